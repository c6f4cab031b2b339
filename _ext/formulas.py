"""Renders formulas with KaTeX while the book is built, so that a page carries no script for them.

Node runs the KaTeX that comes with the Python package sphinxcontrib-katex; style sheet and fonts of the same version
lie in _public/_static/katex. A formula that KaTeX cannot read is a warning at its place in the source.
"""

import atexit
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator
from sphinxcontrib import katex

log = logging.getLogger(__name__)

RENDERER = """
const katex = require(process.argv[1]);
require("readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { tex, displayMode } = JSON.parse(line);
  let answer;
  try { answer = { html: katex.renderToString(tex, { displayMode, throwOnError: true, strict: "ignore" }) }; }
  catch (error) { answer = { error: error.message }; }
  console.log(JSON.stringify(answer));
});
"""


@cache
def renderer() -> subprocess.Popen:
    """The Node process that answers one line of JSON with one line of JSON; it lives as long as the build."""
    node = shutil.which("node")
    if node is None:
        raise ExtensionError("Formulas need Node. Build with `make book`, which finds the one that pip installed.")
    script = str(Path(katex.__file__).with_name("katex.min.js"))
    process = subprocess.Popen(
        [node, "-e", RENDERER, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    atexit.register(process.kill)
    return process


@cache
def render(tex: str, *, display: bool) -> dict:
    """What KaTeX makes of a formula: {"html": ...} or {"error": ...}."""
    process = renderer()
    assert process.stdin is not None
    assert process.stdout is not None
    print(json.dumps({"tex": tex, "displayMode": display}), file=process.stdin, flush=True)
    return json.loads(process.stdout.readline())


def html_of(node: nodes.Element, *, display: bool) -> str:
    answer = render(node.astext(), display=display)
    if "error" in answer:
        log.warning("%s", answer["error"], location=node, type="katex")
    return answer.get("html", "")


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(f'<span class="math">{html_of(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    # The theme gives what bears the second class a tab stop as long as it is wider than the page.
    self.body.append(self.starttag(node, "div", CLASS="math pst-scrollable-table-container"))
    self.body.append(html_of(node, display=True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def add_style(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Only a page with formulas loads the style sheet."""
    if doctree is not None and next(doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block)), None):
        app.add_css_file("katex/katex.min.css")


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("katex", (visit_inline, None), (visit_block, None))
    app.connect("html-page-context", add_style)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
