"""What the site says about a page: the line below a chapter's title, and the names of the pages before and after it."""

import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from _ext.claims import CHAPTERS, LABS, duration, lab_minutes, lab_notebooks, reading_minutes


def measured_with(notebooks: list[Path]) -> str:
    """What the first cells of these labs printed: "torch 2.13.0 and transformers 5.23.0"."""
    said = "".join(notebook.read_text(encoding="utf-8") for notebook in notebooks)
    found = {package: set(re.findall(rf"\| {package} ([\w.]+) \|", said)) for package in ("torch", "transformers")}
    return " and ".join(f"{package} {' or '.join(sorted(versions))}" for package, versions in found.items() if versions)


def facts(app: Sphinx, chapter: str) -> str:
    """The line below the title of a chapter, as HTML: its number, how long it and its labs take, what measured them."""
    parts = [f"Chapter {int(chapter[:2])}", f"{duration(reading_minutes(chapter))} to read, the quiz not counted"]
    labs = [path for path in lab_notebooks() if LABS[path.name[:2]][1] == chapter]
    for path in labs:
        address = app.builder.get_relative_uri(f"chapters/{chapter}", f"labs/{path.stem}")
        parts.append(f'<a href="{address}">lab {path.name[:2]}</a>, {duration(lab_minutes(path))}')
    if versions := measured_with(labs):
        parts.append(f"measured with {versions}")
    return f'<div class="chapter-facts">{" · ".join(parts)}</div>'


def name_pages(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Put the facts below a chapter's title, and numbers before the chapters' names in the links to other pages."""
    folder, _, name = page.partition("/")
    if doctree is not None and folder == "chapters" and name in CHAPTERS:
        context["body"] = context["body"].replace("</h1>", f"</h1>\n{facts(app, name)}", 1)
    for neighbour in filter(None, (context.get("prev"), context.get("next"))):
        name = neighbour["link"].rpartition("/")[2].removesuffix(".html")
        if name in CHAPTERS:
            neighbour["title"] = f"Chapter {int(name[:2])}: {neighbour['title']}"


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", name_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
