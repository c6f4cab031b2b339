"""Says, where a link stands, what it leads to: the meaning of a term, a reference, or a claim with its verdict.

The texts lie in the page as data, so that hover.js needs no request and the page has the size it would have without.
How a number was measured stands in the title of its link, where hover.js finds it.
"""

import html
import json
import re
from functools import cache
from typing import cast

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.environment import BuildEnvironment
from sphinxcontrib.bibtex.domain import BibtexDomain
from sphinxcontrib.bibtex.transforms import BibliographyTransform, node_text_transform

from _ext.claims import LEDGER_PAGE, VERDICTS, Claim, read_ledger
from _ext.formulas import render

GLOSSARY_PAGE, BIBLIOGRAPHY_PAGE = "chapters/glossary", "chapters/bibliography"
SAID_ON = (GLOSSARY_PAGE, BIBLIOGRAPHY_PAGE, LEDGER_PAGE)


@cache
def meanings(app: Sphinx) -> dict[str, str]:
    """What can be said of a link, as HTML, by the page and the id that it leads to: "chapters/ledger#claim-x"."""
    said = {f"{LEDGER_PAGE}#claim-{claim.id}": claim_text(claim) for claim in read_ledger().values()}
    found = app.env.found_docs
    if GLOSSARY_PAGE in found:
        for term, meaning in glossary(app.env):
            text = f"<p><b>{html.escape(term.astext())}.</b> {inside(app, meaning)}</p>"
            said[f"{GLOSSARY_PAGE}#{term['ids'][0]}"] = text
    if BIBLIOGRAPHY_PAGE in found:
        for citation in cast(BibtexDomain, app.env.get_domain("cite")).citations:
            entry = nodes.container("", BibliographyTransform.backend.paragraph(citation.formatted_entry))
            node_text_transform(entry)
            said[f"{BIBLIOGRAPHY_PAGE}#{citation.citation_id}"] = f"<p>{inside(app, entry)}</p>"
    return said


def glossary(env: BuildEnvironment) -> list[tuple[nodes.term, nodes.Element]]:
    """The terms with their definitions, in the order of the page."""
    items = env.get_doctree(GLOSSARY_PAGE).findall(nodes.definition_list_item)
    pairs = [(item.next_node(nodes.term), item.next_node(nodes.definition)) for item in items]
    return [(term, meaning) for term, meaning in pairs if term and meaning and term["ids"]]


def claim_text(claim: Claim) -> str:
    said, correct = html.escape(claim.claim), html.escape(claim.correct)
    badge = f'<span class="verdict verdict-{claim.verdict}">{VERDICTS[claim.verdict]}</span>'
    return f"<p>{badge} <b>The notes:</b> {said}</p><p><b>Checked:</b> {correct}</p>"


def inside(app: Sphinx, element: nodes.Element) -> str:
    """The paragraphs of an element as HTML in one line, without links; formulas as MathML, which needs no style."""
    assert isinstance(app.builder, StandaloneHTMLBuilder)
    paragraphs = []
    for paragraph in element.findall(nodes.paragraph):
        copy = paragraph.deepcopy()
        for link in [node for node in copy.findall() if isinstance(node, nodes.reference | addnodes.pending_xref)]:
            link.parent.replace(link, link.children)
        for formula in list(copy.findall(nodes.math)):
            formula.parent.replace(formula, nodes.raw("", mathml(formula.astext()), format="html"))
        fragment = app.builder.render_partial(copy)["fragment"].strip()
        paragraphs.append(re.sub(r"\s+", " ", re.sub(r"^<p>|</p>$", "", fragment)))
    return "</p><p>".join(paragraphs)


@cache
def mathml(tex: str) -> str:
    """A formula for browsers that lay out MathML, and that is all of them."""
    found = re.search(r"<math.*?</math>", render(tex, display=False).get("html", ""), re.DOTALL)
    return re.sub(r"<annotation.*?</annotation>", "", found[0], flags=re.DOTALL) if found else html.escape(tex)


def add_texts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Give the page what its links need, and the script that shows it."""
    if doctree is None:
        return
    relative = {app.builder.get_relative_uri(page, home): home for home in SAID_ON if home != page}
    texts, titled = {}, False
    for link in doctree.findall(nodes.reference):
        address, _, name = link.get("refuri", "").partition("#")
        if text := meanings(app).get(f"{relative.get(address)}#{name}"):
            texts[link["refuri"]] = text
        titled = titled or "reftitle" in link
    if texts or titled:
        data = json.dumps(texts, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
        context["body"] += f'<script type="application/json" id="hover-texts">{data}</script>\n'
        app.add_js_file("hover.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", add_texts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
