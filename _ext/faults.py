"""The directive {faults}: for each claim that a lab measures, changes of the lab that its ranges refuse.

The labs' sources name the faults, tools/sabotage.py tries them and writes what they did into benchmarks/sabotage.json.
How the numbers are without a fault comes from the notebooks, like all numbers of the site.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from html import escape
from itertools import groupby, takewhile
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from _ext.claims import ROOT, Evidence, lab_notebooks, read_evidence, read_ledger, with_unit
from _ext.evidence_role import depends_on_evidence, link, link_to_claim, link_to_evidence
from _ext.progress import lab_title

log = logging.getLogger(__name__)

RESULTS = ROOT / "benchmarks" / "sabotage.json"
FAULTS_PAGE = "chapters/sabotage"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A change of a lab, `old` into `new` in `line`; the `key` of the number that refused it, and its `value` then."""

    line: str
    old: str
    new: str
    key: str
    value: float

    @property
    def claim(self) -> str:
        """The item of the ledger that the number belongs to."""
        return self.key.partition("/")[0]


@cache
def read_faults(path: Path = RESULTS) -> dict[str, list[Fault]]:
    """The faults of each lab (file stem such as "12_decoding") in the order of its cells."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return {lab: [_fault(entry) for entry in entries] for lab, entries in document.items()}


def _fault(entry: dict[str, Any]) -> Fault:
    fields: dict[str, Any] = entry | {"value": math.nan if entry["value"] is None else entry["value"]}
    return Fault(**fields)


def broken_number(record: Evidence) -> str:
    """The number with its unit, in as many digits as show that it lies outside its range."""
    if not math.isfinite(record.value):
        return "no finite number"
    if record.exact:
        return with_unit(replace(record, low=record.value, high=record.value))
    for digits in range(record.digits, 17):
        shown = replace(record, digits=digits)
        if not replace(record, value=float(shown.number.replace(",", ""))).holds:
            return with_unit(shown)
    raise ValueError(f"{record.key}: {record.value} lies in its range, so no fault was refused.")


def fault_lines(fault: Fault) -> str:
    """The line of the lab and the line with the fault, as HTML; what differs is marked, to whole words."""
    old, new = (re.findall(r"\w+|\W", text) for text in (fault.old, fault.new))
    start = _agree(old, new)
    end = _agree(old[start:][::-1], new[start:][::-1])
    before, after = fault.line.split(fault.old)
    parts = []
    for tag, label, words in (("del", "As it is: ", old), ("ins", "With the fault: ", new)):
        same, changed, same_again = words[:start], words[start : len(words) - end], words[len(words) - end :]
        texts = (escape("".join(text)) for text in ([before, *same], changed, [*same_again, after]))
        marked = "{}<{tag}>{}</{tag}>{}".format(*texts, tag=tag)
        parts.append(f'<code><span class="visually-hidden">{label}</span>{marked}\n</code>')
    return "".join(parts)


def _agree(one: list[str], other: list[str]) -> int:
    """How many words two lists share at their beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))


def link_to_faults(env: BuildEnvironment, claim: str) -> Node | None:
    """A link to the faults of a claim, which says how many there are; None if there are none."""
    env.note_dependency(str(RESULTS))
    number = sum(fault.claim == claim for faults in read_faults().values() for fault in faults)
    if not number:
        return None
    text = "one fault" if number == 1 else f"{number} faults"
    return link(env, FAULTS_PAGE, f"breaks-{claim}", "", nodes.Text(text), classes=[])


class FaultsDirective(SphinxDirective):
    """How many faults were tried; then a section for each lab, with a box for each claim and its faults."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        depends_on_evidence(self.env)
        self.env.note_dependency(str(RESULTS))
        self.named: set[str] = set()
        sections = [self._lab(path.stem) for path in lab_notebooks() if path.stem in read_faults()]
        faults = [fault for found in read_faults().values() for fault in found]
        measured = {record.claim for record in read_evidence().values()}
        counted = (
            f"{len(faults)} faults in {len(sections)} labs, at least one for each of the {len(measured)} items of the "
            "ledger that have a number. Every one of them was refused."
        )
        return [nodes.paragraph("", counted), *sections]

    def _lab(self, lab: str) -> nodes.section:
        name = nodes.make_id(f"faults-{lab}")
        title = nodes.title("", "", link(self.env, f"labs/{lab}", "", "", nodes.Text(lab_title(lab)), classes=[]))
        section = nodes.section("", title, ids=[name], names=[name])
        order = list(dict.fromkeys(fault.claim for fault in read_faults()[lab]))
        faults = sorted(read_faults()[lab], key=lambda fault: order.index(fault.claim))
        for claim, group in groupby(faults, lambda fault: fault.claim):
            section += self._claim(claim, list(group))
        return section

    def _claim(self, claim: str, faults: list[Fault]) -> nodes.container:
        item = nodes.container(ids=[f"breaks-{claim}"] * (claim not in self.named), classes=["claim"])
        self.named.add(claim)
        if claim not in read_ledger():
            log.warning("The ledger has no item %r.", claim, location=self.get_location(), type="claim")
            return item
        settled = read_ledger()[claim]
        item += nodes.paragraph("", "", link_to_claim(self.env, settled), classes=["claim-head"])
        item += self._line("The notes", [nodes.Text(settled.claim)], "notes-say")
        for fault in faults:
            item += self._parts(fault)
        return item

    def _parts(self, fault: Fault) -> Iterator[Node]:
        honest = read_evidence().get(fault.key)
        if honest is None:
            log.warning("No lab has measured %r.", fault.key, location=self.get_location(), type="measured")
            return
        bound = "exact" if honest.exact else honest.range
        broken = broken_number(replace(honest, value=fault.value))
        yield self._line("Number", [nodes.Text(honest.what)], "fault-number")
        yield nodes.raw("", f'<pre class="fault">{fault_lines(fault)}</pre>', format="html")
        yield self._line("As it is", [link_to_evidence(self.env, honest), nodes.Text(f" ({bound})")])
        yield self._line("Broken", [nodes.inline("", broken, classes=["broken"])])

    def _line(self, label: str, content: list[Node], *classes: str) -> nodes.paragraph:
        return nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "), *content, classes=list(classes))


def setup(app: Sphinx) -> dict:
    app.add_directive("faults", FaultsDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
