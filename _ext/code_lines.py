"""Marks each line of a program, so that the style sheet can break a long one and hang the rest below it.

Lines of the labs have up to 120 characters, a phone shows 40, and sideways scrolling hides what a line ends in. A mark
in the style sheet tells the continuation from a line of its own. The text that is copied stays as it was.
"""

import re
from html import unescape

from docutils import nodes
from sphinx.application import Sphinx

PROGRAM = re.compile(
    r'(<div class="highlight-i?python3? [^>]*><div class="highlight"><pre>)(.*?)\n?(?=</pre>)', re.DOTALL
)


def mark_lines(body: str) -> str:
    """The HTML of a page with a span around each line of its programs, whose class says how far it is indented."""
    return PROGRAM.sub(lambda found: found[1] + "".join(map(mark_line, found[2].split("\n"))), body)


def mark_line(line: str) -> str:
    text = unescape(re.sub(r"<[^>]*>", "", line))
    indent = min(len(text) - len(text.lstrip(" ")), 24) // 4
    return f'<span class="code-line in-{indent}">{line}\n</span>'


def mark_page(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if doctree is not None:
        context["body"] = mark_lines(context["body"])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", mark_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
