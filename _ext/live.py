"""The directive {live} FIGURE: an interactive figure of labutils.widgets, the same one that a notebook cell shows.

The body holds the figure's settings as YAML. The figure is plain HTML with its script inside, so it needs no kernel.
"""

from pathlib import Path
from urllib.parse import urlsplit

import yaml
from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from labutils import widgets

log = logging.getLogger(__name__)


class LiveDirective(SphinxDirective):
    """Calls the figure's function with the settings."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        for path in Path(widgets.__file__).parent.glob("*.*"):
            self.env.note_dependency(str(path))
        function = getattr(widgets, self.arguments[0], None)
        try:
            figure = function(**(yaml.safe_load("\n".join(self.content)) or {})) if function else None
            if not isinstance(figure, widgets.Live):
                raise ValueError("labutils.widgets has no such figure.")
        except (TypeError, ValueError, yaml.YAMLError) as error:
            log.warning("%s: %s", self.arguments[0], error, location=self.get_location(), type="live")
            return []
        return [nodes.container("", nodes.raw("", figure._repr_html_(), format="html"), classes=["live-figure"])]


def keep_model(app: Sphinx, error: Exception | None) -> None:
    """Put the trained model beside the pages; the figures that need it load it when a reader touches them."""
    if not error and app.builder.format == "html":
        path = Path(app.outdir) / urlsplit(widgets.world_model_address()).path
        path.write_text(widgets.world_model(), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", keep_model)
    app.add_directive("live", LiveDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
