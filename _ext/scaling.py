"""The role {scaling}: numbers of the course's scaling law, from what benchmarks/scaling.py measured.

{scaling}`compute/exponent` and the like. A name that does not exist is a warning, which fails the build.
"""

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from _ext.claims import ROOT

log = logging.getLogger(__name__)

RESULTS = ROOT / "benchmarks" / "scaling.json"


def words(document: dict[str, Any]) -> dict[str, str]:
    """Every number that the prose may name, as it is written there."""
    said = {}
    for name, fit in document["fits"].items():
        said[f"{name}/exponent"] = f"{fit['exponent']:.2f}"
        said[f"{name}/interval"] = _between((fit["low"], fit["high"]))
        said[f"{name}/local"] = _between(fit["local"])
        said[f"{name}/worst"] = f"{math.exp(max(abs(residual) for residual in fit['residuals'])):.1f}"
        said[f"{name}/points"] = str(len(fit["points"]))
    weights = [run["weights"] for run in document["runs"]]
    said |= {"smallest": f"{min(weights):,}", "largest": f"{max(weights):,}", "runs": str(len(weights))}
    gaps = [point["gap"] for point in document["fits"]["compute"]["points"]]
    said |= {"first-gap": f"{gaps[0]:.2f}", "last-gap": f"{gaps[-1]:.4f}"}
    said["rates"] = _between([other["ratio"] for other in document["other_rates"]])
    return said


def _between(values: list[float] | tuple[float, float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


@cache
def read(path: Path = RESULTS) -> dict[str, str]:
    """The numbers of the stored results."""
    return words(json.loads(path.read_text(encoding="utf-8")))


class ScalingRole(SphinxRole):
    """{scaling}`compute/exponent`."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """What the role puts into the line, and no messages."""
        self.env.note_dependency(str(RESULTS))
        said = read().get(self.text)
        if said is None:
            log.warning("The scaling law has no %r.", self.text, location=self.get_location(), type="scaling")
            return [nodes.literal("", self.text)], []
        return [nodes.Text(said)], []


def setup(app: Sphinx) -> dict:
    app.add_role("scaling", ScalingRole())
    return {"parallel_read_safe": True, "parallel_write_safe": True}
