"""The directive {drawing} FILE.svg: a figure whose parts are links, and below it the same links as a list.

An image cannot hold links, so the SVG becomes a part of the page. In the file a link names a page of the book and, if
need be, a label on it:

    <a href="/chapters/03_attention#attention-formula" data-name="Attention" data-about="what a word takes from others">

A page that the table of contents does not have yet leaves its words without a link, in the drawing and in the list.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from docutils import nodes
from docutils.nodes import Node
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from _ext.evidence_role import link

log = logging.getLogger(__name__)

SVG = "http://www.w3.org/2000/svg"


class DrawingDirective(SphinxDirective):
    """The options are those of a figure: `alt`, which describes the drawing, and `name`; the content is the caption."""

    required_arguments = 1
    has_content = True
    option_spec: ClassVar[dict[str, Callable[[str], str]] | None] = {
        "alt": directives.unchanged_required,
        "name": directives.unchanged,
    }

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(name)
        self.env.note_reread()  # a page that it links to may have come into being
        try:
            drawing = ElementTree.fromstring(Path(path).read_text(encoding="utf-8"))
            alt = self.options["alt"]
        except (OSError, ElementTree.ParseError, KeyError) as error:
            log.warning("%s: %r", self.arguments[0], error, location=self.get_location(), type="drawing")
            return []
        drawing.set("role", "group")
        drawing.set("aria-label", alt)
        items = [self._point_to_page(part) for part in drawing.iter(f"{{{SVG}}}a")]
        ElementTree.register_namespace("", SVG)
        picture = nodes.raw("", ElementTree.tostring(drawing, encoding="unicode"), format="html")
        figure = nodes.figure("", picture, align="center", classes=["drawing"])
        if self.content:
            caption = self.parse_content_to_nodes()[0]
            figure += nodes.caption("", "", *caption.children)
        self.add_name(figure)
        return [figure, nodes.bullet_list("", *items)]

    def _point_to_page(self, part: ElementTree.Element) -> nodes.list_item:
        """Turn the name of a page into its address, and return the link once more, in words."""
        page, _, label = part.attrib.pop("href").lstrip("/").partition("#")
        title, about = nodes.Text(part.attrib.pop("data-name")), part.attrib.pop("data-about")
        if page in self.env.found_docs:
            address = self.env.app.builder.get_relative_uri(self.env.docname, page)
            part.set("href", f"{address}#{label}" if label else address)
            words = [link(self.env, page, label, "", title, classes=[]), nodes.Text(f": {about}.")]
        else:
            words = [title, nodes.Text(f": {about} (to come).")]
        return nodes.list_item("", nodes.paragraph("", "", *words))


def setup(app: Sphinx) -> dict:
    app.add_directive("drawing", DrawingDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
