"""The directive {start}: the three ways into the course, as links that look like buttons."""

from html import escape

from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from _ext.claims import lab_notebooks
from _ext.evidence_role import link
from _ext.quiz import raw
from tools.course import read_course

FIRST, GRADE = "chapters/01_llms", "chapters/instructors"


class StartDirective(SphinxDirective):
    """Read the first chapter, run the first lab in Colab, grade a notebook."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        colab = read_course().colab(f"labs/{lab_notebooks()[0].name}")
        line = nodes.paragraph(classes=["start"])
        line += link(self.env, FIRST, "", "Chapter 1, Language models", nodes.Text("Read"), classes=[])
        line += raw(f' <a href="{escape(colab)}" title="Lab 01 in Colab">Run in Colab</a> ')
        line += link(self.env, GRADE, "", "How to grade a notebook with one command", nodes.Text("Grade"), classes=[])
        return [line]


def setup(app: Sphinx) -> dict:
    app.add_directive("start", StartDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
