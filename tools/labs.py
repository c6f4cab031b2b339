"""Build the labs' notebooks from their sources, and check that they still agree.

    python tools/labs.py build [12 ...]    write and run the notebooks of these labs, or of all
    python tools/labs.py check             fail if a notebook differs from its source, or a lab breaks a rule
    python tools/labs.py address           write a changed address into the notebooks, without running them

A source is labs/NN_name.py in the percent format. From it come the learner's copy labs/NN_name.ipynb, whose exercises
are not written yet, and labs/solutions/NN_name.ipynb. Both are run in an empty folder, as Colab would, and then freed
of everything that changes from run to run, so that building twice gives the same bytes.
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from course import ROOT, Course, read_course
from lab_source import Cell, Lab, LabError, Version, read_lab
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

MAX_LINES = 15
EXERCISES = range(3, 7)
STUB = 'raise NotImplementedError("not written yet")'
SECONDS = 600  # a cell that takes longer hangs

# What Colab lacks and labutils needs; small packages of pure Python.
HELPERS = {"jaxtyping": "jaxtyping", "wadler_lindig": "wadler-lindig"}
# A word in an import line of a lab, and the package that it needs.
ON_DEMAND = {"bertviz": "bertviz", "attention_views": "bertviz", "datasketch": "datasketch"}

SETUP = """\
# Setup: run me first. I fetch the course's helpers where they are missing, and touch nothing else.
import importlib.util
import os
import re
import subprocess
import sys

wheel = os.environ.get("LABUTILS_WHEEL", "{wheel}")
helpers = {{"labutils": wheel, {helpers}}}
missing = [source for module, source in helpers.items() if importlib.util.find_spec(module) is None]
if missing:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-color", "--no-deps", "--disable-pip-version-check"]
    result = subprocess.run([*pip, *missing], capture_output=True, text=True)
    if result.returncode:
        class SetupError(Exception):
            def _render_traceback_(self):  # the sentence alone, without a traceback
                return [str(self)]

        said = re.sub(r"\\x1b\\[\\d*m", "", result.stderr).strip().rpartition("\\n")[2]
        raise SetupError(f"The course's helpers could not be installed; is this machine online? pip says: {{said}}")
    importlib.invalidate_caches()

import labutils

labutils.ready("{version}")
"""

BADGE = (
    '<a href="{url}" target="_parent"><img src="https://colab.research.google.com/assets/colab-badge.svg" '
    'alt="Open In Colab"/></a>'
)


# ------------------------------------------------------------------------------------------------ making the notebooks


def make_notebook(lab: Lab, version: Version, course: Course) -> NotebookNode:
    """A version of the notebook, not yet run: the cells, their ids and all metadata follow from the source alone."""
    path = f"labs/{lab.path.stem}.ipynb"
    badge = nbformat.v4.new_markdown_cell(
        BADGE.format(url=course.colab(path)),
        id="view-in-github",
        # Colab puts its own badge here on saving, unless it finds one; the site has its own launch buttons.
        metadata={"colab_type": "text", "id": "view-in-github", "tags": ["remove-cell"]},
    )
    cells, taken = [badge], {"view-in-github"}
    for cell in lab.cells:
        name = _cell_id(cell)
        while name in taken:
            name = _another(name)
        taken.add(name)
        new = nbformat.v4.new_markdown_cell if cell.kind == "markdown" else nbformat.v4.new_code_cell
        tags = ["hide-input"] if cell.kind == "setup" else list(cell.tags)
        metadata: dict = {"tags": tags} if tags else {}
        if cell.alt:
            metadata["mystnb"] = {"image": {"alt": cell.alt}}
        cells.append(new(_source(lab, cell, version, course), id=name, metadata=metadata))

    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
        "labutils": {"lab": lab.number, "version": version},
    }
    if lab.gpu:
        metadata |= {"accelerator": "GPU", "colab": {"gpuType": "T4"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def _cell_id(cell: Cell) -> str:
    match cell.kind:
        case "setup":
            return "setup"
        case "exercise":
            return f"exercise-{cell.exercise}"
        case kind:
            return hashlib.sha256(f"{kind}\n{cell.source}".encode()).hexdigest()[:12]


def _another(name: str) -> str:
    """The id for a cell that reads exactly like an earlier one."""
    base, _, count = name.partition("-again-")
    return f"{base}-again-{int(count or 1) + 1}"


def _source(lab: Lab, cell: Cell, version: Version, course: Course) -> str:
    match cell.kind:
        case "setup":
            return setup_cell(lab, course)
        case "exercise":
            return stub(cell.source) if version == "learner" else unmarked(cell.source)
        case "markdown":  # in Colab there is no neighbouring file, so links go to the site, which turns them back
            return re.sub(r"\]\(\.\./(chapters/\w+)\.md", rf"]({course.site}\1.html", cell.source)
    return cell.source


def setup_cell(lab: Lab, course: Course) -> str:
    """The code that installs labutils where it is missing, for the packages that this lab uses."""
    used = {package: package for word, package in ON_DEMAND.items() if _imports(lab, word)}
    pinned = {module: f"{package}=={course.pins[package]}" for module, package in (HELPERS | used).items()}
    helpers = ", ".join(f'"{module}": "{requirement}"' for module, requirement in pinned.items())
    return SETUP.format(wheel=course.wheel, helpers=helpers, version=course.version).rstrip()


def _imports(lab: Lab, word: str) -> bool:
    pattern = re.compile(rf"^\s*(import|from) .*\b{word}\b", re.MULTILINE)
    return any(cell.kind == "code" and pattern.search(cell.source) for cell in lab.cells)


def stub(source: str) -> str:
    """An exercise as the learner gets it: the solution gives way to a line that says that it is missing."""
    return re.sub(
        r"^( *)### BEGIN SOLUTION\n.*?### END SOLUTION$", rf"\1{STUB}", source, flags=re.MULTILINE | re.DOTALL
    )


def unmarked(source: str) -> str:
    """An exercise with its solution, without the marks around it."""
    return re.sub(r"^ *### (BEGIN|END) SOLUTION\n", "", source, flags=re.MULTILINE)


# ------------------------------------------------------------------------------------------------------------- running


def run(notebook: NotebookNode, name: str) -> None:
    """Run a notebook in an empty folder, offline and in the cpu profile, and keep only what is the same each time.

    Raises LabError if a cell fails, writes to stderr or leaves a file behind.
    """
    with tempfile.TemporaryDirectory(prefix="lab-") as temporary:
        home = Path(temporary, "home")
        empty = Path(temporary, "content")
        home.mkdir()
        empty.mkdir()
        env = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
        env |= {"IPYTHONDIR": str(home), "HF_HUB_OFFLINE": "1", "LABUTILS_PROFILE": "cpu", "LABUTILS_STILL": "1"}
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            record_timing=False,
            extra_arguments=["--log-level=40"],
            resources={"metadata": {"path": str(empty)}},
        )
        try:
            client.execute(env=env)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise LabError(_failure(notebook, name, error)) from None
        if left := sorted(path.name for path in empty.iterdir()):
            raise LabError(
                f"{name}: leaves {', '.join(left)} behind in the learner's folder. A lab writes no files there."
            )
    normalize(notebook)
    if problems := [f"{name}: {problem}" for problem in output_problems(notebook)]:
        raise LabError("\n".join(problems))


def _failure(notebook: NotebookNode, name: str, error: Exception) -> str:
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return f"{name}: cell {number} fails with {output.ename}: {output.evalue}\n\n{cell.source}\n"
    return f"{name}: {type(error).__name__}: {error}"


def normalize(notebook: NotebookNode) -> None:
    """Take out what changes from run to run: counts are renumbered, streams merged, widgets' random ids dropped."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        outputs: list[NotebookNode] = []
        for output in cell.outputs:
            before = outputs[-1] if outputs else {}
            if output.output_type == "stream" and before.get("name") == output.name:
                outputs[-1].text += output.text
                continue
            if output.output_type == "execute_result":
                output.execution_count = count
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            outputs.append(output)
        cell.outputs = outputs


def output_problems(notebook: NotebookNode) -> list[str]:
    """What must not be in a stored output: errors, stderr, numbers that pretend to be measured, memory addresses, and
    in the solution notebook a solution that is wrong.
    """
    problems = []
    for number, cell in enumerate(notebook.cells, start=1):
        shown = any("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))
        if shown and "mystnb" not in cell.metadata:
            problems.append(f"cell {number} shows a figure: describe it in a comment '# alt: ...' in that cell.")
        if not shown and "mystnb" in cell.metadata:
            problems.append(f"cell {number} has a comment '# alt: ...' and shows no figure.")
        name = cell.get("id", "").removeprefix("exercise-")
        said = "".join(output.get("text", "") for output in cell.get("outputs", ()))
        is_solution = notebook.metadata.get("labutils", {}).get("version") == "solution"
        if is_solution and name != cell.get("id", "") and said and f"{name}: correct (" not in said:
            problems.append(f"cell {number}: the solution of {name} is refused by its check: {said.strip()}")
        for output in cell.get("outputs", ()):
            text = output.get("text") or output.get("data", {}).get("text/plain", "")
            if output.output_type == "error":
                problems.append(f"cell {number} fails with {output.ename}: {output.evalue}")
            elif output.get("name") == "stderr":
                problems.append(
                    f"cell {number} writes to stderr, which differs from machine to machine: {text.strip()!r}"
                )
            elif "≈" in text and "evidence" not in output.get("metadata", {}):
                problems.append(
                    f"cell {number} prints ≈ by itself, and such a number is never compared: use measure()."
                )
            elif address := re.search(r"\bat 0x[0-9a-f]{6,}", text):
                problems.append(f"cell {number} prints a memory address ({address[0]}), another one in every run.")
    return problems


def to_text(notebook: NotebookNode) -> str:
    """The bytes of the file."""
    return nbformat.writes(notebook).rstrip() + "\n"


# ------------------------------------------------------------------------------------------------------------ checking


def lint(lab: Lab) -> list[str]:
    """The rules of a lab that its source alone can break."""
    problems = []
    for cell in lab.cells:
        lines = sum(bool(line.strip()) for line in cell.source.splitlines())
        if cell.kind == "code" and lines > MAX_LINES:
            problems.append(f"{cell.place} has {lines} lines; a cell has at most {MAX_LINES}: one idea.")
        exempt = [tag for tag in cell.tags if tag.startswith("nbval-") or tag == "raises-exception"]
        if cell.kind != "markdown" and (exempt or re.search(r"#\s*(NBVAL_|PYTEST_VALIDATE)", cell.source)):
            problems.append(f"{cell.place} is exempt from comparison; print its numbers with measure() instead.")
        if cell.kind == "markdown" and re.search(r"!\[[^\]]*\]\(|<img\b", cell.source):
            problems.append(f"{cell.place} holds an image, which Colab does not find; a lab draws its figures.")
    return problems + _lint_order(lab)


def _lint_order(lab: Lab) -> list[str]:
    """A lab has its parts in their order: its aims, setup, exercises, a real model, what was shown, what is next."""
    problems = []
    first = lab.cells[0] if lab.cells else None
    if first is None or first.kind != "markdown" or not first.source.startswith("# "):
        problems.append("the first cell must be text that starts with the title, '# Title'.")
    setups = [cell.number for cell in lab.cells if cell.kind == "setup"]
    if len(setups) != 1:
        return [*problems, f"there must be one '# %% setup' cell, not {len(setups)}."]

    before = "\n".join(cell.source for cell in lab.cells if cell.number < setups[0])
    for phrase, meaning in {
        "what you will measure": "what you will measure",
        "two cores": "the time on two cores",
        "T4": "the time on a T4",
        "ledger": "the claims it settles, with links to the ledger",
    }.items():
        if phrase.lower() not in before.lower():
            problems.append(f"the cells before the setup must say {meaning} ({phrase!r}).")

    exercises = [cell.number for cell in lab.cells if cell.kind == "exercise"]
    if len(exercises) not in EXERCISES:
        problems.append(f"a lab has {EXERCISES[0]} to {EXERCISES[-1]} exercises, not {len(exercises)}.")
    last = max([setups[0], *exercises])
    for title in ("With a real model", "What you have shown", "Where to go next"):
        pattern = re.compile(rf"^##+ {title}", re.MULTILINE | re.IGNORECASE)
        here = [cell.number for cell in lab.cells if cell.kind == "markdown" and pattern.search(cell.source)]
        if not here or here[0] < last:
            problems.append(
                f"after the exercises there must be '## With a real model', '## What you have shown' and "
                f"'## Where to go next', in this order; {title!r} is missing or too early."
            )
            break
        last = here[0]
    return problems


def drift(lab: Lab, version: Version, course: Course) -> list[str]:
    """Where a stored notebook differs from what its source says, outputs aside (nbval compares those)."""
    path = lab.notebook(version)
    build = mend = f"Mend it with: .venv/bin/python tools/labs.py build {lab.number}"
    if not path.exists():
        return [f"{path}: missing. {build}"]
    try:
        # Unchecked, because the badge that Colab adds has no id: what differs is told below.
        stored = nbformat.v4.reads(path.read_text(encoding="utf-8"))
    except (ValueError, AttributeError) as error:
        return [f"{path}: not a notebook ({error}). {build}"]
    wanted = make_notebook(lab, version, course)
    if code_of(stored) == code_of(wanted):
        mend = "Only what needs no run differs. Mend it with: .venv/bin/python tools/labs.py address"
    for number, cell in enumerate(wanted.cells, start=1):
        if number > len(stored.cells):
            return [f"{path}: ends before cell {number} of {lab.path.name}. {mend}"]
        for part in ("source", "cell_type", "id", "metadata"):
            if cell.get(part) != stored.cells[number - 1].get(part):
                return [f"{path}: the {part} of cell {number} differs from {lab.path.name}. {mend}"]
    if len(stored.cells) > len(wanted.cells):
        return [f"{path}: cell {len(wanted.cells) + 1} is not in {lab.path.name}. {mend}"]
    if (stored.metadata, stored.nbformat, stored.nbformat_minor) != (
        wanted.metadata,
        wanted.nbformat,
        wanted.nbformat_minor,
    ):
        return [f"{path}: its metadata differs from what the build writes. {mend}"]
    counts = [cell.execution_count for cell in stored.cells if cell.cell_type == "code"]
    if counts != list(range(1, len(counts) + 1)):
        return [f"{path}: its cells were not run from first to last. {build}"]
    return [f"{path}: {problem} {build}" for problem in output_problems(stored)]


def code_of(notebook: NotebookNode) -> list[str]:
    """The sources that outputs come from: all code but the setup cell, whose one line is compared by its release."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.get("id") != "setup"]


# ------------------------------------------------------------------------------------------------------------ commands


def sources(folder: Path) -> list[Path]:
    """The labs of a folder, in their order."""
    return sorted(folder.glob("[0-9][0-9]_*.py"))


def build(folder: Path, course: Course, numbers: list[str]) -> None:
    """Write and run both notebooks of each lab. Raises LabError on the first lab that breaks a rule or fails."""
    paths = [path for path in sources(folder) if not numbers or path.name[:2] in numbers]
    if unknown := set(numbers) - {path.name[:2] for path in paths}:
        raise LabError(f"There is no lab {', '.join(sorted(unknown))} in {folder}. Give two digits, such as 12.")
    for lab in map(read_lab, paths):
        if problems := lint(lab):
            raise LabError("\n".join(f"{lab.path}: {problem}" for problem in problems))
        for version in ("learner", "solution"):
            path = lab.notebook(version)
            start = time.perf_counter()
            notebook = make_notebook(lab, version, course)
            run(notebook, str(path))
            path.parent.mkdir(exist_ok=True)
            path.write_text(to_text(notebook), encoding="utf-8")
            print(f"{path}  {time.perf_counter() - start:.1f} s", flush=True)


def readdress(folder: Path, course: Course) -> None:
    """Write into all notebooks what needs no run: text, links, badge, the setup cell, and the release that it prints.

    All other outputs stay as they are, because none depends on those. Raises LabError if any other code changed.
    """
    for lab in map(read_lab, sources(folder)):
        for version in ("learner", "solution"):
            path = lab.notebook(version)
            stored, notebook = nbformat.read(path, as_version=4), make_notebook(lab, version, course)
            before, after = ([cell for cell in made.cells if cell.cell_type == "code"] for made in (stored, notebook))
            if code_of(stored) != code_of(notebook):
                raise LabError(f"{path}: its code has changed. Run: .venv/bin/python tools/labs.py build {lab.number}")
            for old, new in zip(before, after, strict=True):
                new.outputs, new.execution_count = old.outputs, old.execution_count
                if new.id == "setup":
                    for output in new.outputs:
                        output.text = re.sub(r"^labutils \S+", f"labutils {course.version}", output.text)
            path.write_text(to_text(notebook), encoding="utf-8")


def check(folder: Path, course: Course) -> list[str]:
    """Every disagreement between sources and notebooks, and every broken rule, as sentences."""
    problems = []
    known = set()
    for path in sources(folder):
        try:
            lab = read_lab(path)
        except LabError as error:
            problems.append(str(error))
            known |= {f"{path.stem}.ipynb"}
            continue
        known |= {f"{path.stem}.ipynb"}
        problems += [f"{path}: {problem}" for problem in lint(lab)]
        problems += drift(lab, "learner", course) + drift(lab, "solution", course)
    for path in sorted([*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")]):
        if path.name not in known:
            problems.append(f"{path}: has no source. Write labs/{path.stem}.py or remove it.")
    return problems


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the labs' notebooks from their sources, or check them.")
    commands = parser.add_subparsers(dest="command", required=True)
    build_command = commands.add_parser("build", help="write and run the notebooks")
    build_command.add_argument("labs", nargs="*", metavar="NN", help="two digits; all labs if none is given")
    commands.add_parser("check", help="fail if a notebook differs from its source")
    commands.add_parser("address", help="write a changed address into the notebooks, without running them")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    folder, course = Path("labs"), read_course()
    if arguments.command in ("build", "address"):
        try:
            build(folder, course, arguments.labs) if arguments.command == "build" else readdress(folder, course)
        except LabError as error:
            sys.exit(str(error))
    elif problems := check(folder, course):
        sys.exit("\n".join(problems))
    else:
        print(f"{len(sources(folder))} labs agree with their notebooks.")


if __name__ == "__main__":
    main()
