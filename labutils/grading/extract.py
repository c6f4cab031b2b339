"""From the bytes of a notebook, or of a .py file, to the statements that an exercise needs. Nothing is executed.

Exercises are found by the name of their function, so cell ids, tags and other metadata do not matter. Of a
notebook's statements only imports, definitions and plain assignments can be chosen, and of those only what the
exercise's function needs, directly or through others: the training loops and plots between the exercises never run.
"""

import ast
import dis
import json
import re
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

MAX_FILE, MAX_CODE = 20 << 20, 400_000  # bytes of the file, characters of its code
SAVE_AGAIN = "Download the notebook again (in Colab: File > Download > Download .ipynb) and hand in that file."

Kept = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


class Unreadable(Exception):
    """The file holds no code to grade. The text tells the student why and what to do."""


@dataclass(frozen=True)
class Finding:
    """A sentence for the student. `sentence` is ours; `code` is theirs, and only ever shown as code."""

    sentence: str
    code: str = ""


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a cell: where it is, its tree, its code."""

    cell: int
    number: int
    node: Kept
    code: types.CodeType

    @cached_property
    def binds(self) -> frozenset[str]:
        """The names that it gives a value."""
        return frozenset(i.argval for i in dis.get_instructions(self.code) if i.opname == "STORE_NAME")

    @cached_property
    def needs(self) -> frozenset[str]:
        """The global names that it reads."""
        return frozenset(_needs(self.code))

    @property
    def is_import(self) -> bool:
        """Whether this statement imports."""
        return isinstance(self.node, ast.Import | ast.ImportFrom)

    @property
    def is_wanted_always(self) -> bool:
        """Whether this binds names that cannot be known here, or changes how what follows is read."""
        return isinstance(self.node, ast.ImportFrom) and (
            self.node.module == "__future__" or any(name.name == "*" for name in self.node.names)
        )


@dataclass
class Submission:
    """The code of one file. `lab` and `title` are what the metadata tell, if they still do: its lab, its first name."""

    sources: list[str] = field(default_factory=list)  # code cells, in order; cell i is shown as "code cell i+1"
    statements: list[Statement] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_notebook: bool = True
    lab: str = ""
    title: str = ""

    def bindings(self, name: str) -> list[Statement]:
        """The statements that give `name` its value, without imports."""
        return [s for s in self._by_name.get(name, []) if not s.is_import]

    def imports(self, name: str) -> bool:
        """Whether `name` is imported from somewhere."""
        return any(s.is_import for s in self._by_name.get(name, []))

    @cached_property
    def _by_name(self) -> dict[str, list[Statement]]:
        index: dict[str, list[Statement]] = {}
        for statement in self.statements:
            for name in statement.binds:
                index.setdefault(name, []).append(statement)
        return index

    def needed_by(self, name: str, exercises: set[str]) -> list[Statement]:
        """The statements that `name` needs, in the notebook's order.

        An import of a name in `exercises` does not count: in the lab, the cell after an exercise imports the
        course's version of the same function.
        """
        chosen = {(s.cell, s.number): s for s in self.statements if s.is_wanted_always}
        wanted, seen = [name], set()
        while wanted:
            current = wanted.pop()
            if current in seen:
                continue
            seen.add(current)
            for statement in self._by_name.get(current, []):
                if not (statement.is_import and current in exercises):
                    chosen[statement.cell, statement.number] = statement
                    wanted += statement.needs
        return [chosen[place] for place in sorted(chosen)]

    def cells(self, statements: list[Statement]) -> list[dict]:
        """What the student's process is sent: each cell's source, and the numbers of the statements to run."""
        numbers: dict[int, list[int]] = {}
        for statement in statements:
            numbers.setdefault(statement.cell, []).append(statement.number)
        return [{"index": i, "source": self.sources[i], "statements": chosen} for i, chosen in numbers.items()]

    def where(self, cell: int, line: int) -> str:
        """A place in words."""
        return f"code cell {cell + 1}, line {line}" if self.is_notebook else f"line {line}"

    def line(self, cell: int, line: int) -> str:
        """The text of a line, or "" where there is none."""
        lines = _lines(self.sources[cell]) if 0 <= cell < len(self.sources) else []
        return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def read(path: Path) -> Submission:
    """Read a notebook or a .py file. Raises Unreadable with a sentence for the student."""
    try:
        if not path.is_file():
            raise Unreadable("There is no such file. Check its name.")
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise Unreadable(f"The file could not be opened ({error.strerror}).") from None
    if len(data) > MAX_FILE:
        raise Unreadable(
            f"The file is larger than {MAX_FILE >> 20} MB ({path.stat().st_size >> 20} MB). Clear the outputs "
            "(Edit > Clear all outputs), save, and hand in the file again."
        )
    return parse(data, is_notebook=path.suffix.lower() != ".py")


def parse(data: bytes, is_notebook: bool = True) -> Submission:
    """Read the bytes of a notebook (format 3 or 4) or of Python source. Raises Unreadable."""
    text = _text(data)
    sources, lab, title = _notebook(text) if is_notebook else ([text], "", "")
    if sum(map(len, sources)) > MAX_CODE:
        raise Unreadable("The code is longer than 400 000 characters. Take pasted data out of them and save again.")
    submission = Submission(is_notebook=is_notebook, lab=lab, title=title)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the student's code; it is the student who should see them
        for index, source in enumerate(sources):
            _add_cell(submission, index, source)
    return submission


def _text(data: bytes) -> str:
    if not data.strip():
        raise Unreadable(f"The file is empty. {SAVE_AGAIN}")
    if data.startswith(b"PK"):
        raise Unreadable("This is a zip archive. Unpack it and hand in the notebook (.ipynb) itself.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("The file is UTF-16 text, as some Windows tools write. Save it as UTF-8 and hand it in again.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"The file is not UTF-8 text (byte {error.start + 1} is not). {SAVE_AGAIN}") from None


def _notebook(text: str) -> tuple[list[str], str, str]:
    """The sources of the code cells, the lab that `tools/labs.py` wrote down, and the title that Colab keeps."""
    if text.lstrip().startswith("<"):
        raise Unreadable(f"This is a web page, not a notebook. {SAVE_AGAIN}")
    try:
        notebook = json.loads(text)
    except RecursionError:
        raise Unreadable(f"This is not a notebook: it is nested too deeply. {SAVE_AGAIN}") from None
    except ValueError as error:
        place = f" (it breaks off at line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"This is not a complete notebook{place}. {SAVE_AGAIN}") from None
    if not isinstance(notebook, dict):
        raise Unreadable(f"This is not a notebook. {SAVE_AGAIN}")
    cells = notebook.get("cells")
    if cells is None and isinstance(worksheets := notebook.get("worksheets"), list):  # format 3
        cells = [cell for sheet in worksheets if isinstance(sheet, dict) for cell in sheet.get("cells") or []]
    if not isinstance(cells, list):
        raise Unreadable(f"This notebook has no cells. {SAVE_AGAIN}")
    sources = []
    for cell in cells:
        if isinstance(cell, dict) and cell.get("cell_type") == "code":
            source = cell.get("source", cell.get("input", ""))
            sources.append("".join(map(str, source)) if isinstance(source, list) else str(source))
    if not any(source.strip() for source in sources):
        raise Unreadable(f"This notebook has no code cells with code in them. {SAVE_AGAIN}")
    return sources, _metadata(notebook, "labutils", "lab"), _metadata(notebook, "colab", "name")


def _metadata(notebook: dict, block: str, key: str) -> str:
    """A text two levels down in the metadata, or "" where there is none."""
    found = notebook.get("metadata")
    for name in (block, key):
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, str) else ""


def _lines(source: str) -> list[str]:
    """The lines as Python counts them: str.splitlines would also break at characters that are fine in a string."""
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


_MAGIC = re.compile(r"\s*([%!?]|[\w, ]+=\s*[%!]|[\w.]+\?+\s*$)")
_PYTHON_CELL_MAGIC = re.compile(r"\s*%%(time|timeit|capture|prun)\b")


def _without_magics(source: str) -> tuple[str, ast.Module]:
    """Blank the lines of IPython's that the parser stumbles over, and only those: `% 3` may continue an expression.

    Raises SyntaxError where something else is wrong.
    """
    first = source.lstrip()
    if first.startswith("%%") and not _PYTHON_CELL_MAGIC.match(first):
        return "", ast.parse("")  # another language
    lines = _lines(source)
    for _ in range(max(5, min(100, 4_000_000 // (len(source) + 1)))):  # each round parses the cell again
        try:
            return "\n".join(lines), ast.parse("\n".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 0) - 1
            if not 0 <= number < len(lines) or not _MAGIC.match(lines[number]):
                raise
            lines[number] = " " * (len(lines[number]) - len(lines[number].lstrip())) + "pass"
    raise SyntaxError("too many lines are not Python")


def _add_cell(submission: Submission, index: int, source: str) -> None:
    try:
        source, tree = _without_magics(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        submission.sources.append(source)
        line = getattr(error, "lineno", None)
        where = submission.where(index, line) if line else f"code cell {index + 1}"
        submission.findings.append(
            Finding(
                f"There is a syntax error in {where}, so nothing in that cell counts. Run the cell and correct it.",
                submission.line(index, line) if line else "",
            )
        )
        return
    submission.sources.append(source)
    for number, node in enumerate(tree.body):
        if not isinstance(node, Kept):
            continue
        try:
            code = compile(ast.Module([node], []), "<statement>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            where = submission.where(index, node.lineno)
            sentence = f"Python refuses the statement in {where}, so it does not count."
            submission.findings.append(Finding(sentence, submission.line(index, node.lineno)))
            continue
        submission.statements.append(Statement(index, number, node, code))


def _needs(code: types.CodeType) -> Iterator[str]:
    """The global names that a piece of code reads. The compiler knows which names are local, so it is asked."""
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _needs(constant)
