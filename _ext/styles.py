"""Frees the style sheets of the rules that nothing in this book can match.

The theme brings all of Bootstrap, 300 KB of rules, and the other packages bring theirs. A browser reads them all before
it shows a word. Kept is a rule whose classes and ids all occur as words somewhere in a page or a script: what a script
may add later has its name in the script, so nothing that can ever match is lost.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import tinycss2
from sphinx.application import Sphinx
from tinycss2.ast import AtRule, HashToken, IdentToken, Node, QualifiedRule

from _ext.accessible import pages

WORD = re.compile(r"[\w-]+")
GROUPS = {"media", "supports", "layer", "container"}  # at-rules that hold rules of the usual form


def words(text: str) -> set[str]:
    """All that could be the name of a class or an id."""
    return set(WORD.findall(text))


def trimmed(sheet: str, known: set[str]) -> str:
    """The sheet without the selectors that name a class or an id which is not `known`, and without comments."""
    return "".join(_rules(tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True), known))


def _rules(rules: Sequence[Node], known: set[str]) -> Iterator[str]:
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            if kept := [selector for selector in _selectors(rule.prelude) if _names(selector) <= known]:
                yield f"{','.join(map(_text, kept))}{{{_text(rule.content)}}}\n"
        elif isinstance(rule, AtRule) and rule.content is not None and rule.lower_at_keyword in GROUPS:
            inner = tinycss2.parse_blocks_contents(rule.content, skip_comments=True, skip_whitespace=True)
            if kept := "".join(_rules(inner, known)):
                yield f"@{rule.at_keyword} {_text(rule.prelude)}{{{kept}}}\n"
        else:
            yield rule.serialize() + "\n"


def _selectors(prelude: Sequence[Node]) -> list[list[Node]]:
    """The parts of a list of selectors; a comma inside parentheses belongs to its part."""
    parts: list[list[Node]] = [[]]
    for token in prelude:
        if token == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def _names(selector: list[Node]) -> set[str]:
    """The classes and ids that an element and its ancestors must have; :not(...) and its like demand nothing here."""
    classes = {name.value for dot, name in pairwise(selector) if dot == "." and isinstance(name, IdentToken)}
    return classes | {token.value for token in selector if isinstance(token, HashToken)}


def _text(tokens: Sequence[Node]) -> str:
    return tinycss2.serialize([token for token in tokens if token.type != "comment"]).strip()


def trim(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    sources = [*pages(site), *site.rglob("*.js")]
    known = set().union(*(words(path.read_text(encoding="utf-8")) for path in sources))
    for path in (site / "_static").rglob("*.css"):
        path.write_text(trimmed(path.read_text(encoding="utf-8"), known), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", trim, priority=800)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
