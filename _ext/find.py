"""Lets the search find what is smaller than a page: the terms of the glossary and the claims of the ledger.

They are written into the file search_entries.js, which only the search page loads; find.js shows those that match above
the pages that Sphinx's own search finds, and keeps the inside of formulas out of its excerpts.
"""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from _ext.claims import LEDGER_PAGE, read_ledger
from _ext.hover import GLOSSARY_PAGE, glossary, meanings


def entries(app: Sphinx) -> list[dict[str, str]]:
    """Every term and every claim: its name, its kind in words, its address in the site, and its text as HTML."""
    kinds = {}
    if GLOSSARY_PAGE in app.env.found_docs:
        kinds = {f"{GLOSSARY_PAGE}#{term['ids'][0]}": (term.astext(), "glossary") for term, _ in glossary(app.env)}
    if LEDGER_PAGE in app.env.found_docs:
        kinds |= {f"{LEDGER_PAGE}#claim-{name}": (name, "claim in the ledger") for name in read_ledger()}
    found = []
    for key, (name, kind) in kinds.items():
        page, _, anchor = key.partition("#")
        address = f"{app.builder.get_target_uri(page)}#{anchor}"
        found.append({"name": name, "kind": kind, "address": address, "text": meanings(app)[key]})
    return found


def write_entries(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    data = json.dumps(entries(app), ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", "search_entries.js").write_text(f"const searchEntries = {data};\n", encoding="utf-8")


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if page == "search":
        app.add_js_file("search_entries.js", loading_method="defer")
        app.add_js_file("find.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", write_entries, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
