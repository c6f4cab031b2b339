"""A lab's source, labs/NN_name.py in the percent format, split into cells.

Besides code and text it has three kinds of its own: `# %% setup` stands for the generated setup cell; `# %% exercise`
holds one function whose solution lies between ### BEGIN SOLUTION and ### END SOLUTION, followed by its check(); and a
line `# sabotage: CLAIM: OLD => NEW` in a cell says which change the range of a number must refuse.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jupytext
from nbformat import NotebookNode

Version = Literal["learner", "solution"]


class LabError(Exception):
    """What is wrong with a lab, in sentences for its author."""


@dataclass(frozen=True)
class Sabotage:
    """A change of a cell after which the range of the number `key`, in that cell or a later one, must refuse."""

    key: str
    old: str
    new: str
    line: str  # of the cell, the one that has `old` in it


@dataclass(frozen=True)
class Cell:
    """One cell of a source; `number` counts the cells of the notebooks from 1."""

    number: int
    kind: Literal["markdown", "code", "setup", "exercise"]
    source: str
    tags: tuple[str, ...] = ()
    sabotages: tuple[Sabotage, ...] = ()
    alt: str = ""  # what the cell's figure shows, for a reader who does not see it

    @property
    def place(self) -> str:
        """The cell in words, for messages."""
        first = next((line for line in self.source.splitlines() if line.strip()), "empty")
        return f"cell {self.number} ({first[:50]!r})"

    @property
    def exercise(self) -> str:
        """The name of the function that the learner writes."""
        return next(node.name for node in ast.parse(self.source).body if isinstance(node, ast.FunctionDef))


@dataclass(frozen=True)
class Lab:
    """A source, read and split into cells."""

    path: Path
    cells: tuple[Cell, ...]
    gpu: bool

    @property
    def number(self) -> str:
        """Its two digits, such as "12"."""
        return self.path.name[:2]

    def notebook(self, version: Version) -> Path:
        """Where a version of the notebook lies."""
        folder = self.path.parent if version == "learner" else self.path.parent / "solutions"
        return folder / f"{self.path.stem}.ipynb"


def read_lab(path: Path) -> Lab:
    """Split a source into cells. Raises LabError if it does not follow the format."""
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="py:percent")
    # The badge that the build adds is the first cell of the notebooks.
    cells = tuple(_read_cell(path, number, cell) for number, cell in enumerate(notebook.cells, start=2))
    return Lab(path, cells, gpu=notebook.metadata.get("accelerator") == "GPU")


def _read_cell(path: Path, number: int, cell: NotebookNode) -> Cell:
    tags = tuple(cell.metadata.get("tags", ()))
    if cell.cell_type == "markdown":
        return Cell(number, "markdown", cell.source, tags)
    kind = cell.metadata.get("title", "code")
    if cell.cell_type != "code" or kind not in ("code", "setup", "exercise"):
        raise LabError(
            f"{path}: cell {number} is marked {kind!r}. A cell is '# %%', '# %% [markdown]', '# %% setup' or "
            f"'# %% exercise'."
        )
    lines = cell.source.splitlines()
    alts = [line for line in lines if line.startswith("# alt:")]
    marked = [line for line in lines if line.startswith("# sabotage:")]
    source = "\n".join(line for line in lines if line not in marked + alts).strip("\n")
    sabotages = tuple(_read_sabotage(path, number, line, source) for line in marked)
    alt = " ".join(line.removeprefix("# alt:").strip() for line in alts)
    result = Cell(number, kind, source, tags, sabotages, alt)
    if kind == "exercise":
        _check_exercise(path, result)
    return result


def _read_sabotage(path: Path, number: int, line: str, source: str) -> Sabotage:
    found = re.fullmatch(r"# sabotage: (\S+): (.+?) =>(?: (.*))?", line)
    if found is None:
        raise LabError(f"{path}: cell {number}: write a sabotage as '# sabotage: CLAIM: OLD => NEW', not {line!r}.")
    if source.count(found[2]) != 1:
        raise LabError(f"{path}: cell {number}: the sabotage's {found[2]!r} must occur once in the cell.")
    changed = next(line for line in source.splitlines() if found[2] in line)
    return Sabotage(found[1], found[2], found[3] or "", changed.strip())


def _check_exercise(path: Path, cell: Cell) -> None:
    try:
        body = ast.parse(cell.source).body
    except SyntaxError as error:
        raise LabError(f"{path}: {cell.place}: {error}.") from None
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    if len(functions) != 1 or ast.get_docstring(functions[0]) is None:
        raise LabError(f"{path}: {cell.place}: an exercise is one function with a docstring.")
    name = functions[0].name
    if ast.unparse(body[-1]) != f"check({name!r}, {name})":
        raise LabError(f'{path}: {cell.place}: an exercise ends in check("{name}", {name}).')
    if [line.strip() for line in cell.source.splitlines() if "### " in line] != [
        "### BEGIN SOLUTION",
        "### END SOLUTION",
    ]:
        raise LabError(f"{path}: {cell.place}: put the solution between ### BEGIN SOLUTION and ### END SOLUTION.")
