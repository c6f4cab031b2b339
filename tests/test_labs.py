"""The builder on a made-up lab: what it writes, what it refuses; the stored labs; and what nbval compares."""

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from course import ROOT, Course, read_course
from lab_source import read_lab

import labs
import labutils
from labutils.evidence import collect
from labutils.exercises import exercises_of

SANITIZE = ROOT / "tests" / "nbval_sanitize.cfg"
COURSE = Course(
    repository="someone/some-course",
    branch="main",
    version=labutils.__version__,
    pins={"jaxtyping": "0.3.11", "wadler-lindig": "0.1.8", "bertviz": "1.4.1"},
)


def write(folder: Path, text: str) -> Path:
    path = folder / "99_toy.py"
    path.write_text(text, encoding="utf-8")
    return path


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


@pytest.mark.parametrize(
    ("repository", "address"),
    [("Ada/course", "https://ada.github.io/course/"), ("ada/ada.github.io", "https://ada.github.io/")],
)
def test_the_sites_address_follows_from_the_repository(repository, address):
    assert replace(COURSE, repository=repository).site == address


def nbval(*notebooks: Path, threads: int = 1) -> subprocess.CompletedProcess:
    """Run nbval as `make test` does, from a folder without this project's pytest settings."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--nbval",
        f"--nbval-sanitize-with={SANITIZE}",
    ]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    return subprocess.run(
        [*command, f"--rootdir={notebooks[0].parent}", *notebooks],
        capture_output=True,
        text=True,
        env=env,
        cwd=notebooks[0].parent,
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory, toy_text) -> Path:
    """A folder in which the made-up lab has been built once."""
    folder = tmp_path_factory.mktemp("labs")
    write(folder, toy_text)
    labs.build(folder, COURSE, [])
    return folder


# ---------------------------------------------------------------------------------------------------- what is written


def test_a_second_build_writes_the_same_bytes(built, tmp_path, toy_text):
    write(tmp_path, toy_text)
    labs.build(tmp_path, COURSE, ["99"])
    for name in ("99_toy.ipynb", "solutions/99_toy.ipynb"):
        assert (tmp_path / name).read_bytes() == (built / name).read_bytes()


def test_the_learner_gets_stubs_and_the_solution_works(built):
    learner = next(cell for cell in code_cells(built / "99_toy.ipynb") if cell.id == "exercise-add")
    solution = next(cell for cell in code_cells(built / "solutions" / "99_toy.ipynb") if cell.id == "exercise-add")
    stub = ast.parse(learner.source).body[0]
    assert isinstance(stub, ast.FunctionDef)
    assert ast.get_docstring(stub) == "Write me."
    assert ast.unparse(stub.body[1:]) == "raise NotImplementedError('not written yet')"
    assert learner.outputs[0].text == "add: not written yet\n"
    assert "SOLUTION" not in solution.source
    assert solution.outputs[0].text == "add: correct (5)\n"
    assert "result = a + b" not in (built / "99_toy.ipynb").read_text(encoding="utf-8")


def test_what_is_not_for_the_reader_is_gone(built):
    for path in (built / "99_toy.ipynb", built / "solutions" / "99_toy.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert "sabotage" not in text
        assert '"metadata": {"execution"' not in text
        assert str(built.parent) not in text
        assert sys.version.split()[0] not in json.dumps(read(path).metadata)


def test_counts_run_from_one_and_ids_are_unique(built):
    notebook = read(built / "99_toy.ipynb")
    assert [cell.execution_count for cell in code_cells(built / "99_toy.ipynb")] == list(range(1, 9))
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert ids[:3] == ["view-in-github", ids[1], "setup"]
    nbformat.validate(notebook)


def test_ids_do_not_depend_on_position(built, tmp_path, toy_text):
    path = write(tmp_path, toy_text.replace("# %%\nimport math", "# %%\n1 + 1\n\n# %%\nimport math"))
    after = labs.make_notebook(labs.read_lab(path), "learner", COURSE)
    before = read(built / "99_toy.ipynb")
    assert {cell.id for cell in before.cells} < {cell.id for cell in after.cells}


def test_both_versions_have_the_same_ids(built):
    learner, solution = read(built / "99_toy.ipynb"), read(built / "solutions" / "99_toy.ipynb")
    assert [cell.id for cell in learner.cells] == [cell.id for cell in solution.cells]


def test_the_notebook_names_its_lab_and_its_place_on_colab(built):
    notebook = read(built / "99_toy.ipynb")
    assert notebook.metadata.labutils == {"lab": "99", "version": "learner"}
    assert "accelerator" not in notebook.metadata
    assert (
        "https://colab.research.google.com/github/someone/some-course/blob/main/labs/99_toy.ipynb"
        in notebook.cells[0].source
    )


def test_a_gpu_lab_carries_colabs_metadata(tmp_path, toy_text):
    header = "# ---\n# jupyter:\n#   accelerator: GPU\n# ---\n\n"
    lab = labs.read_lab(write(tmp_path, header + toy_text))
    metadata = labs.make_notebook(lab, "learner", COURSE).metadata
    assert metadata.accelerator == "GPU"
    assert metadata.colab == {"gpuType": "T4"}


def test_the_setup_cell_installs_only_helpers_and_prints_one_line(built):
    setup = next(cell for cell in code_cells(built / "99_toy.ipynb") if cell.id == "setup")
    assert f'"https://someone.github.io/some-course/labutils-{COURSE.version}-py3-none-any.whl"' in setup.source
    assert setup.source.splitlines()[-1] == f'labutils.ready("{COURSE.version}")'
    assert '"jaxtyping==0.3.11"' in setup.source
    assert "bertviz" not in setup.source
    assert len(setup.outputs) == 1
    assert setup.outputs[0].text.count("\n") == 1


def test_a_lab_runs_in_an_empty_folder_as_on_any_machine(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    names = ("OMP_NUM_THREADS", "LABUTILS_PROFILE", "HF_HUB_OFFLINE")
    code = f"import os\nprint(os.listdir(), *(os.environ.get(name) for name in {names}))"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    labs.run(notebook, "toy")
    assert notebook.cells[0].outputs[0].text == "[] None cpu 1\n"


@pytest.mark.parametrize("line", ["import bertviz", "from labutils import attention_views, world"])
def test_bertviz_is_installed_only_for_a_lab_that_needs_it(tmp_path, toy_text, line):
    lab = labs.read_lab(write(tmp_path, toy_text.replace("import math", f"import math\n\n{line}")))
    assert '"bertviz==1.4.1"' in labs.setup_cell(lab, COURSE)


def test_evidence_reaches_the_reader_of_the_notebook(built):
    mean, root = collect([built / "99_toy.ipynb"])
    assert (mean.key, mean.value, mean.low, mean.high, mean.exact) == ("toy-mean", 4.5, 4.5, 4.5, True)
    assert (root.key, root.number, root.unit) == ("toy-mean/root", "2.12", "units")
    assert root.notebook == "99_toy"
    assert root.cell in {cell.id for cell in code_cells(built / "99_toy.ipynb")}


# ---------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# %% setup", "# %% set-up", "is marked 'set-up'"),
        ("toy-mean: range(10) => range(11)", "toy-mean: range(10)", "CLAIM: OLD => NEW"),
        ("toy-mean: range(10) =>", "toy-mean: range(9) =>", "must occur once"),
        ('check("add", add)', "add(1, 2)", 'ends in check("add", add)'),
        ('    ### END SOLUTION\n\n\ncheck("add"', '\n\ncheck("add"', "### BEGIN SOLUTION and ### END SOLUTION"),
        ('def add(a, b):\n    """Write me."""', "def add(a, b):", "one function with a docstring"),
    ],
)
def test_a_source_out_of_form_is_refused(tmp_path, toy_text, old, new, message):
    assert toy_text.count(old) == 1
    with pytest.raises(labs.LabError, match=re.escape(message)):
        labs.read_lab(write(tmp_path, toy_text.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# A toy lab", "A toy lab", "title"),
        ("What you will measure", "Something", "'what you will measure'"),
        ("two cores", "some cores", "two cores"),
        ("[ledger]", "[list]", None),
        ("## With a real model", "## Elsewhere", "With a real model"),
        ("## Where to go next", "", "Where to go next"),
        ("# %%\nimport math", "# %%\n" + "1\n" * 16 + "import math", "a cell has at most 15"),
        ("# %%\nimport math", "# %%\n# NBVAL_IGNORE_OUTPUT\nimport math", "exempt from comparison"),
        ("# %%\nimport math", '# %% tags=["nbval-skip"]\nimport math', "exempt from comparison"),
        ("# %%\nimport math", '# %% tags=["raises-exception"]\nimport math', "exempt from comparison"),
        ("## What you have shown", "![plot](plot.png)\n\n## What you have shown", "holds an image"),
    ],
)
def test_a_lab_that_breaks_a_rule_is_refused(tmp_path, toy_text, old, new, message):
    assert old in toy_text
    problems = labs.lint(labs.read_lab(write(tmp_path, toy_text.replace(old, new, 1))))
    if message is None:  # the link still names the ledger
        assert problems == []
    else:
        assert len(problems) == 1
        assert message in problems[0]


def test_too_few_exercises_are_refused(tmp_path, toy_text):
    text = toy_text.replace("# %% exercise\ndef add", "# %%\ndef add")
    assert labs.lint(labs.read_lab(write(tmp_path, text))) == ["a lab has 3 to 6 exercises, not 2."]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 / 0", "fails with ZeroDivisionError"),
        ("import sys; print('hello', file=sys.stderr)", "writes to stderr"),
        ("import warnings; warnings.warn('careful')", "writes to stderr"),
        ("print('≈ 0.7 (must lie in [0, 1])')", "use measure()"),
        ("print(object())", "memory address"),
        ("open('left.txt', 'w').close()", "leaves left.txt behind"),
    ],
)
def test_a_cell_with_unstable_output_fails_the_build(tmp_path, toy_text, line, message):
    write(tmp_path, toy_text.replace("import math\n", f"import math\n{line}\n"))
    with pytest.raises(labs.LabError, match=re.escape(message)):
        labs.build(tmp_path, COURSE, [])
    assert not (tmp_path / "99_toy.ipynb").exists()


def test_an_unknown_lab_is_refused(tmp_path, toy_text):
    write(tmp_path, toy_text)
    with pytest.raises(labs.LabError, match="There is no lab 98"):
        labs.build(tmp_path, COURSE, ["98"])


# -------------------------------------------------------------------------------------------------------------- drift


@pytest.fixture
def copy(built, tmp_path) -> Path:
    """A copy of the built lab, to be changed."""
    (tmp_path / "solutions").mkdir()
    for name in ("99_toy.py", "99_toy.ipynb", "solutions/99_toy.ipynb"):
        (tmp_path / name).write_bytes((built / name).read_bytes())
    return tmp_path


def edit(path: Path, change) -> None:
    notebook = read(path)
    change(notebook)
    path.write_text(labs.to_text(notebook), encoding="utf-8")


def test_what_was_just_built_agrees(copy):
    assert labs.check(copy, COURSE) == []


def test_a_changed_source_is_found_in_both_notebooks(copy):
    path = copy / "99_toy.py"
    path.write_text(path.read_text(encoding="utf-8").replace("list(range(10))", "[*range(10)]"), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("toy-mean: range(10)", "toy-mean: (10)"), encoding="utf-8")
    problems = labs.check(copy, COURSE)
    assert len(problems) == 2
    assert all("the source of cell 5 differs" in problem for problem in problems)
    assert all(problem.endswith("Mend it with: .venv/bin/python tools/labs.py build 99") for problem in problems)


def test_a_new_release_is_found_and_written_without_a_run(copy):
    course = replace(COURSE, version="99.0")
    told = labs.check(copy, course)[0]
    assert "the source of cell 3 differs" in told
    assert told.endswith("Only what needs no run differs. Mend it with: .venv/bin/python tools/labs.py address")
    before = read(copy / "99_toy.ipynb")
    labs.readdress(copy, course)
    assert labs.check(copy, course) == []
    after = read(copy / "99_toy.ipynb")
    assert after.cells[2].outputs[0].text.startswith("labutils 99.0 ready on this computer | ")
    assert [cell.get("outputs") for cell in after.cells[3:]] == [cell.get("outputs") for cell in before.cells[3:]]


def test_a_solution_that_its_check_refuses_fails_the_build(tmp_path, toy_text):
    lab = labs.read_lab(write(tmp_path, toy_text.replace("result = a + b", "result = a / b")))
    notebook = labs.make_notebook(lab, "solution", COURSE)
    with pytest.raises(
        labs.LabError, match=r"cell \d+: the solution of add is refused by its check: add: 1 of 1 tests"
    ):
        labs.run(notebook, "toy")


@pytest.mark.parametrize(
    ("alt", "message"),
    [
        ("", "shows a figure: describe it in a comment '# alt: ...' in that cell."),
        ("# alt: A line.\n", "has a comment '# alt: ...' and shows no figure."),
    ],
)
def test_a_figure_without_words_and_words_without_a_figure_are_told(tmp_path, toy_text, alt, message):
    lab = labs.read_lab(write(tmp_path, toy_text.replace("# %%\nimport math", f"# %%\n{alt}import math")))
    notebook = labs.make_notebook(lab, "solution", COURSE)
    if not alt:
        cell = next(cell for cell in notebook.cells if cell.source.startswith("import math"))
        cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": ""})]
    assert [problem.partition(" ")[2].partition(" ")[2] for problem in labs.output_problems(notebook)] == [message]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.cells[4].update(source="1"), "the source of cell 5"),
        (lambda nb: nb.cells[4].update(id="other"), "the id of cell 5"),
        (lambda nb: nb.cells[4].metadata.update(tags=["nbval-skip"]), "the metadata of cell 5"),
        (lambda nb: nb.cells.pop(), "ends before cell 12"),
        (lambda nb: nb.cells.append(nbformat.v4.new_markdown_cell("more")), "cell 13 is not in"),
        (lambda nb: nb.metadata.pop("labutils"), "its metadata"),
        (lambda nb: nb.cells[4].update(execution_count=None), "not run from first to last"),
        (lambda nb: nb.cells[4].outputs[0].metadata.clear(), "prints ≈ by itself"),
    ],
)
def test_an_edited_notebook_is_found(copy, change, message):
    if "≈" in message:
        edit(copy / "99_toy.ipynb", lambda nb: [output.metadata.clear() for output in nb.cells[4].outputs])
    else:
        edit(copy / "99_toy.ipynb", change)
    problems = labs.check(copy, COURSE)
    assert len(problems) == 1
    assert message in problems[0]
    assert str(copy / "99_toy.ipynb") in problems[0]


def test_missing_broken_and_orphaned_notebooks_are_found(copy):
    (copy / "99_toy.ipynb").unlink()
    (copy / "solutions" / "99_toy.ipynb").write_text("{", encoding="utf-8")
    (copy / "98_gone.ipynb").write_text("{}", encoding="utf-8")
    missing, broken, orphan = labs.check(copy, COURSE)
    assert "missing" in missing
    assert "not a notebook" in broken
    assert "has no source" in orphan


# ------------------------------------------------------------------------------------------------------ what nbval sees

NUMBERS = '''\
# %% [markdown]
r"""
# Numbers
"""

# %%
import os

from labutils.evidence import measure

value = 0.7 + 0.001 * int(os.environ["OMP_NUM_THREADS"])

# %%
{line}
'''


def numbers_notebook(folder: Path, line: str) -> Path:
    """A stored notebook with a number that depends on the number of threads, as it came out with one thread."""
    source = folder / "99_numbers.py"
    source.write_text(NUMBERS.format(line=line), encoding="utf-8")
    notebook = labs.make_notebook(labs.read_lab(source), "solution", COURSE)
    notebook.cells[2].source = 'import os; os.environ.setdefault("OMP_NUM_THREADS", "1")\n' + notebook.cells[2].source
    labs.run(notebook, "numbers")
    path = folder / "99_numbers.ipynb"
    path.write_text(labs.to_text(notebook), encoding="utf-8")
    return path


MEASURE = 'measure("toy", value, between=({low}, {high}), what="the number", unit="nats")'


def test_a_number_printed_without_measure_is_caught(tmp_path):
    path = numbers_notebook(tmp_path, "print(f'{value:.4f}')")
    assert nbval(path, threads=1).returncode == 0
    second = nbval(path, threads=2)
    assert second.returncode == 1
    assert "0.7020" in second.stdout


def test_the_same_number_passes_through_measure(tmp_path):
    path = numbers_notebook(tmp_path, MEASURE.format(low=0.69, high=0.71))
    assert nbval(path, threads=1).returncode == 0
    assert nbval(path, threads=2).returncode == 0


def test_a_number_outside_its_range_fails(tmp_path):
    path = numbers_notebook(tmp_path, MEASURE.format(low=0.7, high=0.7015))
    second = nbval(path, threads=2)
    assert second.returncode == 1
    plain = re.sub(r"\x1b\[[\d;]*m", "", second.stdout)
    assert "OutOfRange: toy: the number is 0.702, but it must lie in [0.7, 0.7015]" in plain


def test_all_of_a_measured_line_but_its_number_is_compared_and_all_of_an_exact_one(tmp_path):
    exact = 'measure("toy", 0.5, between=(0.5, 0.5), name="half", what="a half")'
    path = numbers_notebook(tmp_path, f"{exact}; {MEASURE.format(low=0.69, high=0.71)}")
    stored = path.read_text(encoding="utf-8")
    changes = {
        '"the number: ≈ 0.701': '"the number: ≈ 0.699',
        "0.71]": "0.72]",
        '"the number:': '"the other:',
        "701 nats": "701 bits",
        "a half: = 0.5": "a half: = 0.6",
    }
    copies = []
    for number, (old, new) in enumerate(changes.items()):
        assert stored.count(old) == 1
        copies.append(path.with_name(f"{number}.ipynb"))
        copies[-1].write_text(stored.replace(old, new), encoding="utf-8")
    result = nbval(*copies)
    failed = set(re.findall(r"FAILED (\d)\.ipynb", result.stdout))
    assert failed == {"1", "2", "3", "4"}, result.stdout


def test_nbval_passes_both_versions_of_a_lab(built):
    result = nbval(built / "99_toy.ipynb", built / "solutions" / "99_toy.ipynb")
    assert result.returncode == 0, result.stdout
    assert "16 passed" in result.stdout


def test_the_machine_in_the_setup_line_is_not_compared_but_the_release_is(built, tmp_path):
    text = (built / "99_toy.ipynb").read_text(encoding="utf-8")
    path = tmp_path / "99_toy.ipynb"
    elsewhere, count = re.subn(
        r"ready on .*?\\n",
        r"ready on Colab | Python 3.13.5 | torch 2.11.0 | transformers 5.15.0 "
        r"(untested) | Tesla T4 15 GiB, float16 | profile gpu\\n",
        text,
    )
    assert count == 1
    path.write_text(elsewhere, encoding="utf-8")
    assert nbval(path).returncode == 0
    path.write_text(text.replace(f"labutils {COURSE.version} ready", "labutils 0.0.1 ready"), encoding="utf-8")
    assert nbval(path).returncode == 1


# ----------------------------------------------------------------------------------------------------- the stored labs


def test_the_stored_labs_agree_with_their_sources(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert labs.check(Path("labs"), read_course()) == []


def test_the_stored_labs_measure_each_number_once():
    paths = [path.with_suffix(".ipynb") for path in labs.sources(ROOT / "labs")]
    assert {record.notebook for record in collect(paths)} == {path.stem for path in paths}


@pytest.mark.parametrize("path", sorted((ROOT / "labs").glob("*.py")), ids=lambda path: path.stem)
def test_a_lab_announces_its_exercises_as_their_specs_do(path):
    lab = read_lab(path)
    specs = {exercise.name: exercise for exercise in exercises_of(lab.number)}
    asked = [cell for cell in lab.cells if cell.kind == "exercise"]
    assert [cell.exercise for cell in asked] == list(specs)
    for number, cell in enumerate(asked, start=1):
        spec = specs[cell.exercise]
        points = f"{spec.points} point{'s' * (spec.points > 1)}"
        announced = f"**Exercise {number}** ({spec.minutes} minutes, difficulty {spec.difficulty} of 5, {points})"
        assert announced in lab.cells[lab.cells.index(cell) - 1].source, f"the text before {cell.exercise} must say so"
