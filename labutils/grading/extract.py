"""From the bytes of a notebook, or of a .py file, to the statements that an exercise needs. Nothing is executed.

Exercises are found by the name of their function, so cell ids, tags and other metadata do not matter. Of a
notebook's statements only imports, definitions and plain assignments can be chosen, and of those only what the
exercise's function needs, directly or through others: the training loops and plots between the exercises never run.

Python's parser and compiler were not made for hostile text: some of it needs gigabytes or minutes, or ends the process.
So `parse` runs in a child of the sandbox, before any of the student's code does, and what comes out is plain data.
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
MAX_FINDINGS = 20
SAVE_AGAIN = "Download the notebook again (in Colab: File > Download > Download .ipynb) and hand in that file."

KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)


class Unreadable(Exception):
    """The file holds no code to grade. The text tells the student why and what to do."""


@dataclass(frozen=True)
class Finding:
    """A sentence for the student. `sentence` is ours; `code` is theirs, and only ever shown as code."""

    sentence: str
    code: str = ""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A statement at the top level of a cell: where it is, and what the compiler knows of it."""

    cell: int
    number: int
    line: int
    is_import: bool
    is_wanted_always: bool  # it binds names that cannot be known here, or changes how what follows is read
    is_stub: bool  # a function with nothing in it, or that raises NotImplementedError at once
    binds: frozenset[str]  # the names that it gives a value
    needs: frozenset[str]  # the global names that it reads
    imported: dict[str, str]  # what it imports: the name here, and the dotted name there
    uses: list[tuple[str, int]]  # the dotted names in it, such as "torch.softmax", each with its first line


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
                place = statement.cell, statement.number
                if place not in chosen and not (statement.is_import and current in exercises):
                    chosen[place] = statement
                    wanted += statement.needs
        return [chosen[place] for place in sorted(chosen)]

    def look_alike(self, name: str) -> str:
        """A name that the file binds and that differs from `name` in letters of other alphabets only, or ""."""
        return next((other for other in self._by_name if _looks_like(other, name)), "")

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

    def as_plain(self) -> list:
        """Everything as plain data, for the way out of the child that parsed it."""
        statements = [[_plain(value) for value in vars(statement).values()] for statement in self.statements]
        findings = [[finding.sentence, finding.code] for finding in self.findings]
        return [self.sources, statements, findings, self.is_notebook, self.lab, self.title]

    @classmethod
    def from_plain(cls, plain: list) -> "Submission":
        """The other way. Raises ValueError, TypeError or AttributeError where the form is another."""
        sources, statements, findings, is_notebook, lab, title = plain
        return cls(
            sources=[str(source) for source in sources],
            statements=[_statement(*row) for row in statements],
            findings=[Finding(str(sentence), str(code)) for sentence, code in findings],
            is_notebook=bool(is_notebook),
            lab=str(lab),
            title=str(title),
        )


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, dict):
        return [list(item) for item in value.items()]
    return value


def _statement(cell, number, line, is_import, is_wanted_always, is_stub, binds, needs, imported, uses) -> Statement:
    return Statement(
        cell=int(cell),
        number=int(number),
        line=int(line),
        is_import=bool(is_import),
        is_wanted_always=bool(is_wanted_always),
        is_stub=bool(is_stub),
        binds=frozenset(map(str, binds)),
        needs=frozenset(map(str, needs)),
        imported={str(here): str(there) for here, there in imported},
        uses=[(str(name), int(at)) for name, at in uses],
    )


def _looks_like(other: str, name: str) -> bool:
    pairs = list(zip(other, name, strict=False))
    return len(other) == len(name) and other != name and all(a == b or ord(a) > 127 for a, b in pairs)


def file_bytes(path: Path) -> bytes:
    """The bytes of a file. Raises Unreadable with a sentence for the student."""
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
    return data


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
    del submission.findings[MAX_FINDINGS:]
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
        lists = [sheet.get("cells") for sheet in worksheets if isinstance(sheet, dict)]
        cells = [cell for cells in lists if isinstance(cells, list) for cell in cells]
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


_MAGIC = re.compile(r"[%!?]|\w[\w, ]*=\s*[%!]|[\w.]+\?+\s*$")  # of a line without its indentation
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
            if not 0 <= number < len(lines) or not _MAGIC.match(line := lines[number].lstrip()):
                raise
            indentation = " " * (len(lines[number]) - len(line))
            lines[number] = indentation + "pass"
            if line.startswith("!") and line.endswith("\\") and number + 1 < len(lines):
                lines[number + 1] = f"{indentation}!{lines[number + 1].strip()}"  # the command goes on there
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
        if not isinstance(node, KEPT):
            continue
        try:
            statement = _describe(index, number, node)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            where = submission.where(index, node.lineno)
            sentence = f"Python refuses the statement in {where}, so it does not count."
            submission.findings.append(Finding(sentence, submission.line(index, node.lineno)))
            continue
        submission.statements.append(statement)


# --- what the compiler knows of a statement --------------------------------------------------------------------------


def _describe(cell: int, number: int, node: ast.stmt) -> Statement:
    code = compile(ast.Module([node], []), "<statement>", "exec", dont_inherit=True)
    stars = isinstance(node, ast.ImportFrom) and any(name.name == "*" for name in node.names)
    return Statement(
        cell=cell,
        number=number,
        line=node.lineno,
        is_import=isinstance(node, ast.Import | ast.ImportFrom),
        is_wanted_always=stars or (isinstance(node, ast.ImportFrom) and node.module == "__future__"),
        is_stub=_is_stub(node),
        binds=frozenset(str(i.argval) for i in dis.get_instructions(code) if i.opname == "STORE_NAME"),
        needs=frozenset(_needs(code)),
        imported=_imported(node),
        uses=_uses(node),
    )


def _needs(code: types.CodeType) -> Iterator[str]:
    """The global names that a piece of code reads. The compiler knows which names are local, so it is asked."""
    for instruction in dis.get_instructions(code):
        if instruction.opname.startswith(("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")):
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _needs(constant)


def _is_stub(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    if not body or all(isinstance(statement, ast.Pass) for statement in body):
        return True
    return isinstance(body[0], ast.Raise) and "NotImplementedError" in ast.dump(body[0])


def _imported(node: ast.stmt) -> dict[str, str]:
    """What the imports in a statement bind, wherever they stand in it, and to which dotted name."""
    known: dict[str, str] = {}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Import):
            for name in inner.names:
                first = name.name.split(".")[0]
                known |= {name.asname: name.name} if name.asname else {first: first}
        elif isinstance(inner, ast.ImportFrom):
            known |= {name.asname or name.name: f"{inner.module}.{name.name}" for name in inner.names}
    return known


def _uses(node: ast.stmt) -> list[tuple[str, int]]:
    """The dotted names in a statement, each with its first line; ".softmax" where what stands before has no name.

    A name of more than eight parts is none that an exercise forbids, and a chain of thousands would take for ever.
    """
    if isinstance(node, ast.Import | ast.ImportFrom):
        return []
    found: dict[str, int] = {}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute | ast.Name):
            parts, below = [], inner
            while isinstance(below, ast.Attribute) and len(parts) < 8:
                parts.append(below.attr)
                below = below.value
            parts.append(below.id if isinstance(below, ast.Name) else "")
            found.setdefault(".".join(reversed(parts)), inner.lineno)
    return list(found.items())
