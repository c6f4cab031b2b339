"""Links the first use of each term of the glossary on the page of a chapter or a lab.

A word such as "key" is a term and an everyday word. Such a word is linked where the text sets it in bold or italics,
as it does where it introduces the term; every other term at its first use, in singular or plural.
"""

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx

PAGES = re.compile(r"(chapters|labs)/\d\d_")
EVERYDAY = re.compile(
    "attention|block|claim|completion|decoding|evidence|exercise|floor|head|id|key|lab|ledger|loss|mask|merge|mutant|"
    "notes|objective|parameter|probe|profile|prompt|query|sampling|score|value|vocabulary|world"
)
# Where a link does not belong: in a link, in what is not prose, in the label of a button, in the notes' own words.
CLOSED = (
    nodes.reference | nodes.title | nodes.rubric | nodes.caption | nodes.term | nodes.thead
    | nodes.literal | nodes.FixedTextElement | nodes.math | nodes.raw | nodes.comment | nodes.Invisible
)  # fmt: skip
CLOSED_CLASSES = {
    "quiz",
    "live-figure",
    "cell_input",
    "cell_output",
    "drawing",
    "notes-say",
    "ladder",
    "sd-summary-title",
}


def link_first_uses(document: nodes.Element, addresses: dict[str, str]) -> None:
    """Make a link of the first use of each of the terms that `addresses` names, all in lower case."""
    waiting = dict(addresses)
    pattern = re.compile(rf"(?<![\w-])({'|'.join(spellings(waiting))})(?![\w-])", re.IGNORECASE)
    for text in list(prose(document)):
        marked = isinstance(text.parent, nodes.strong | nodes.emphasis)
        parts, end = [], 0
        for use in pattern.finditer(text.astext()):
            term = singular(use[0].lower(), addresses)
            alone = marked and use[0] == text.astext().strip(" .,;:")
            if term in waiting and (alone or not EVERYDAY.fullmatch(term)):
                link = nodes.reference("", use[0], refuri=waiting.pop(term), internal=True, classes=["term"])
                parts += [nodes.Text(text.astext()[end : use.start()]), link]
                end = use.end()
        if parts:
            parts.append(nodes.Text(text.astext()[end:]))
            text.parent.replace(text, [part for part in parts if part.astext()])


def prose(element: nodes.Element) -> Iterator[nodes.Text]:
    """The running text below an element, where a link may stand."""
    for child in element.children:
        if isinstance(child, nodes.Text):
            yield child
        elif isinstance(child, nodes.Element) and not is_closed(child):
            yield from prose(child)


def is_closed(element: nodes.Element) -> bool:
    return isinstance(element, CLOSED) or bool(CLOSED_CLASSES & set(element.get("classes", ())))


def spellings(terms: dict[str, str]) -> list[str]:
    """What to look for, the longest first, because "attention weight" also begins with "attention"."""
    plurals = {plural(term) for term in terms}
    return [re.escape(words) for words in sorted({*terms, *plurals}, key=lambda words: (-len(words), words))]


def plural(term: str) -> str:
    return re.sub(r"(?<=[^aeiou])y$", "ie", term) + "s"


def singular(words: str, terms: dict[str, str]) -> str:
    """The term that these words are, or are the plural of."""
    return words if words in terms else next(term for term in terms if plural(term) == words)


def link_terms(app: Sphinx, doctree: nodes.document, page: str) -> None:
    if not PAGES.match(page):
        return
    terms = app.env.get_domain("std").get_objects()
    link_first_uses(
        doctree,
        {
            name.lower(): f"{app.builder.get_relative_uri(page, home)}#{anchor}"
            for name, _, kind, home, anchor, _ in terms
            if kind == "term"
        },
    )


def setup(app: Sphinx) -> dict:
    app.connect("doctree-resolved", link_terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
