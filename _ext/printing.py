"""Two buttons that print a page, and downloads that save a file; the work is done by _static/print.css and print.js."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from _ext.accessible import pages

PRINT = {
    "type": "javascript",
    "javascript": "window.print()",
    "text": "Print",
    "tooltip": "Print this page as it is shown",
    "icon": "fas fa-print",
    "label": "print-button",
}
PRINT_ALL = PRINT | {
    "javascript": "Printing.printAll()",
    "text": "Print with all answers",
    "tooltip": "Print this page with everything opened",
    "label": "print-all-button",
}


def offer_print(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Replace the theme's button ".pdf", which prints, by two that say what they do."""
    for group in context.get("header_buttons", []):
        if group.get("label") == "download-buttons":
            kept = [button for button in group["buttons"] if button["label"] != "download-pdf-button"]
            group["buttons"] = [*kept, PRINT, PRINT_ALL]


def save_downloads(app: Sphinx, error: Exception | None) -> None:
    """Let the button that downloads a page's source save it; in a tab, as the theme has it, a notebook is no use."""
    if error or app.builder.format != "html":
        return
    for path in pages(Path(app.outdir)):
        before = path.read_text(encoding="utf-8")
        after = re.sub(r'(<a href="[^"]*_sources/[^"]*") target="_blank"', r"\1 download", before)
        if after != before:
            path.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", offer_print, priority=600)  # after the theme has made its buttons
    app.connect("build-finished", save_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
