"""Puts hints and the solution of an exercise below its cell, on the page of a lab.

The hints are a ladder: each one is folded, and the next one lies inside it, so that a reader meets it only after
opening the one before. The solution is folded beside them. All of it is plain HTML, so it needs no script.

The hints are read from the syntax tree of labutils/exercises/labNN.py, because that module imports torch and the book
is built without it; the solution is the function in labs/solutions/NN_name.ipynb.
"""

import ast
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from _ext.claims import ROOT, lab_notebooks

log = logging.getLogger(__name__)

CHECKED = re.compile(r'^check\("(\w+)", \1\)$', re.MULTILINE)  # what the cell of an exercise ends in


def read_hints(module: Path) -> dict[str, tuple[str, ...]]:
    """The hints of a lab's exercises by the name of the exercise, in the order of the file."""
    found = {}
    for call in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Exercise":
            given = {word.arg: word.value for word in call.keywords}
            found[ast.literal_eval(given["name"])] = ast.literal_eval(given["hints"])
    return found


def read_solutions(notebook: Path) -> dict[str, str]:
    """The functions that solve a lab's exercises, by name: the source of each, as the solution notebook has it."""
    found = {}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if name := exercise_of(source):
            found[name] = CHECKED.sub("", source).strip("\n")
    return found


def exercise_of(source: str) -> str:
    """The exercise that a cell poses; empty if it poses none."""
    found = CHECKED.search(source)
    return found[1] if found else ""


def ladder(hints: tuple[str, ...], solution: str) -> nodes.container:
    """The folded hints, each inside the one before, and the folded solution."""
    box = nodes.container(classes=["ladder"])
    for number, hint in enumerate(hints, start=1):
        box += raw(f"<details><summary>Hint {number} of {len(hints)}</summary>")
        box += nodes.paragraph("", "", *marked_up(hint))
    box += raw("</details>" * len(hints))
    box += raw("<details><summary>Solution</summary>")
    box += nodes.literal_block(solution, solution, language="python")
    box += raw("</details>")
    return box


def marked_up(text: str) -> list[nodes.Node]:
    """Text in which `this` is code and *this* is emphasis, as in the notebook."""
    parts: list[nodes.Node] = []
    for part in filter(None, re.split(r"(`[^`]+`|(?<!\S)\*\w[^*`]*\*)", text)):
        mark = part[0] if len(part) > 2 and part[0] == part[-1] else ""
        kind = {"`": nodes.literal, "*": nodes.emphasis}.get(mark)
        parts.append(kind("", part[1:-1]) if kind else nodes.Text(part))
    return parts


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def without_hint(cell: nodes.Element) -> None:
    """Take the first hint out of what the stub printed, or the page would give it to readers who have not asked."""
    for block in list(cell.findall(nodes.literal_block)):
        text = re.sub(r"\nHint 1 of .*", "", block.astext(), flags=re.DOTALL)
        if text != block.astext():
            block.replace_self(nodes.literal_block(text, text, **block.attributes))


def add_ladders(app: Sphinx, doctree: nodes.document) -> None:
    notebook = ROOT / f"{app.env.docname}.ipynb"
    if notebook not in lab_notebooks():
        return
    module = ROOT / "labutils" / "exercises" / f"lab{notebook.name[:2]}.py"
    solved = notebook.parent / "solutions" / notebook.name
    for path in (module, solved):
        app.env.note_dependency(str(path))
    hints, solutions = read_hints(module), read_solutions(solved)
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for node in [node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code"]:
        if not (name := exercise_of("".join(cells[node["cell_index"]]["source"]))):
            continue
        if name not in hints or name not in solutions:
            log.warning("%s: the exercise %s has no hints or no solution.", notebook.name, name, type="solutions")
            continue
        without_hint(node)
        node.parent.insert(node.parent.index(node) + 1, ladder(hints[name], solutions[name]))


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", add_ladders)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
