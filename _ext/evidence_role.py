"""Numbers and claims in the prose: the roles {measured} and {claim}, the directive {errata}, and what they link to.

- {measured}`claim` or {measured}`claim/name` shows a number that a lab measured, and links to the cell that did.
- {claim}`claim` names an item of the ledger with its verdict, and links to it.
- {errata} claim [claim ...] opens a box: the verdict, what the notes say, and then the text that the author writes.

In a lab, a claim's id in code font becomes such a link by itself. The first mention of a claim on a page has an id, to
which the ledger links.

An id that does not exist, or a number that no lab has measured, is a warning, which fails the build.
"""

import json
from collections import defaultdict

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

from _ext.claims import (
    LEDGER_FILE,
    LEDGER_PAGE,
    ROOT,
    VERDICTS,
    Claim,
    Evidence,
    anchor,
    lab_notebooks,
    read_evidence,
    read_ledger,
    with_unit,
)

log = logging.getLogger(__name__)


def badge(verdict: str) -> nodes.inline:
    return nodes.inline("", VERDICTS[verdict], classes=["verdict", f"verdict-{verdict}"])


def link(
    env: BuildEnvironment, page: str, target: str, title: str, *children: Node, classes: list[str]
) -> pending_xref:
    """A link to an id on another page; it is resolved when all pages are read."""
    content = nodes.inline("", "", *children, classes=classes)
    return pending_xref(
        "", content, refdomain="", reftype="course", refdoc=env.docname, page=page, reftarget=target, reftitle=title
    )


def link_to_claim(env: BuildEnvironment, claim: Claim) -> pending_xref:
    children = (badge(claim.verdict), nodes.Text(" "), nodes.inline("", claim.id, classes=["claim-id"]))
    return link(env, LEDGER_PAGE, f"claim-{claim.id}", claim.claim, *children, classes=["claim-link"])


def link_to_evidence(env: BuildEnvironment, record: Evidence) -> pending_xref:
    title = f"{record.what}; {record.range} (lab {record.notebook[:2]})"
    text = nodes.Text(with_unit(record))
    return link(env, f"labs/{record.notebook}", anchor(record.key), title, text, classes=["measured"])


def depends_on_evidence(env: BuildEnvironment) -> None:
    """Tell Sphinx to read the current page again when the ledger or a lab changes."""
    for path in (LEDGER_FILE, *lab_notebooks()):
        env.note_dependency(str(path))


class MeasuredRole(SphinxRole):
    """{measured}`claim` or {measured}`claim/name`."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """What the role puts into the line, and no messages."""
        depends_on_evidence(self.env)
        record = read_evidence().get(self.text)
        if record is None:
            log.warning("No lab has measured %r.", self.text, location=self.get_location(), type="measured")
            return [nodes.literal("", self.text)], []
        return [link_to_evidence(self.env, record)], []


class ClaimRole(SphinxRole):
    """{claim}`claim`."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        """What the role puts into the line, and no messages."""
        self.env.note_dependency(str(LEDGER_FILE))
        claim = read_ledger().get(self.text)
        if claim is None:
            log.warning("The ledger has no item %r.", self.text, location=self.get_location(), type="claim")
            return [nodes.literal("", self.text)], []
        return [link_to_claim(self.env, claim)], []


class ErrataDirective(SphinxDirective):
    """A box that corrects the notes: the items of the ledger that it settles, then the author's text."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        self.env.note_dependency(str(LEDGER_FILE))
        ledger = read_ledger()
        names = self.arguments[0].split()
        for name in set(names) - set(ledger):
            log.warning("The ledger has no item %r.", name, location=self.get_location(), type="claim")
        names = [name for name in names if name in ledger]
        classes = ["errata", *(f"errata-{ledger[name].verdict}" for name in names[:1])]
        box = nodes.admonition("", nodes.title("", "The notes, checked"), classes=classes)
        for name in names:
            said = nodes.inline("", ledger[name].claim, classes=["notes-say"])
            box += nodes.paragraph("", "", link_to_claim(self.env, ledger[name]), nodes.Text(" "), said)
        box += self.parse_content_to_nodes()
        return [box]


def mark_lab(app: Sphinx, doctree: nodes.document) -> None:
    """On the page of a lab, give a cell an id for every number it recorded, and link the claims that the prose names.

    A notebook can only write a claim as `code`, because it is also read where the ledger is not.
    """
    path = ROOT / f"{app.env.docname}.ipynb"
    if path not in lab_notebooks():
        return
    keys = defaultdict(list)
    for record in read_evidence().values():
        if record.notebook == path.stem:
            keys[record.cell].append(record.key)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    for node in doctree.findall(nodes.container):
        if node.get("nb_element") == "cell_code":
            node["ids"] += [anchor(key) for key in keys[cells[node["cell_index"]].get("id", "")]]
    ledger = read_ledger()
    for node in [node for node in doctree.findall(nodes.literal) if node.astext() in ledger]:
        node.replace_self(link_to_claim(app.env, ledger[node.astext()]))


def cited_at(claim: str) -> str:
    """The HTML id of the place where a page first names an item of the ledger."""
    return f"cites-{claim}"


def cited_claims(env: BuildEnvironment, page: str) -> list[str]:
    """The items of the ledger that a page names, once all pages are read."""
    return env.metadata[page].get("cited_claims", [])


def note_citations(app: Sphinx, doctree: nodes.document) -> None:
    """Give the first mention of each item an id, so that the ledger can lead back to it."""
    first: dict[str, pending_xref] = {}
    for node in doctree.findall(pending_xref):
        if node["reftype"] == "course" and node["page"] == LEDGER_PAGE:
            first.setdefault(node["reftarget"].removeprefix("claim-"), node)
    for claim, node in first.items():
        content = node.next_node(nodes.inline)
        assert content is not None  # a `link` has one
        content["ids"].append(cited_at(claim))
    app.env.metadata[app.env.docname]["cited_claims"] = list(first)


def resolve(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: Node) -> Node | None:
    """Turn a `link` into a reference. A page that the table of contents leaves out cannot be linked."""
    if node["reftype"] != "course" or node["page"] not in env.found_docs:
        return None
    page, target = node["page"], node["reftarget"]
    if target.startswith(cited_at("")) and target not in map(cited_at, cited_claims(env, page)):
        target = ""  # the page is the home of a claim that it does not name
    return make_refnode(app.builder, node["refdoc"], page, target, content, node["reftitle"])


def setup(app: Sphinx) -> dict:
    app.add_role("measured", MeasuredRole())
    app.add_role("claim", ClaimRole())
    app.add_directive("errata", ErrataDirective)
    app.connect("doctree-read", mark_lab)
    app.connect("doctree-read", note_citations, priority=600)  # after the claims of a lab are links
    app.connect("missing-reference", resolve)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
