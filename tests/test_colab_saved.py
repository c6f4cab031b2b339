"""Notebooks that Colab has saved: they are graded, run, compared and shown like those that the build wrote.

What Colab does to a file was seen in some hundred commits that it made: a badge cell without an id comes first, each
cell's id is repeated in its metadata together with one for its outputs, widgets lose their state, and a file that it
takes for older than format 4.5 ends as 4.0, without ids.
"""

import copy
import io
import json
import re
from pathlib import Path

import colab
import pytest
from course import ROOT, read_course
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from test_colab import READY, small_wheel
from test_labs import nbval

import labs
from labutils.exercises import exercises_of
from labutils.grading.extract import Submission, parse

NOTEBOOKS = sorted([*(ROOT / "labs").glob("*.ipynb"), *(ROOT / "labs" / "solutions").glob("*.ipynb")])
WIDGETS = {"application/vnd.jupyter.widget-state+json": {"4ddc8e4f": {"model_name": "HTMLModel"}}}


def as_saved_by_colab(notebook: dict, *, ids: bool = True) -> dict:
    """A notebook's content as Colab saves it; with `ids=False`, as it saves a file of an older format."""
    saved = copy.deepcopy(notebook)
    for number, cell in enumerate(saved["cells"]):
        cell["metadata"]["id"] = cell.get("id", f"made-up-{number}")
        if cell["cell_type"] == "code":
            cell["metadata"]["outputId"] = f"9a86e3f4-{number:04}"
        if not ids:
            cell.pop("id", None)
    badge = {
        "cell_type": "markdown",
        "metadata": {"id": "view-in-github", "colab_type": "text"},
        "source": ['<a href="https://colab.research.google.com/github/student/fork/blob/main/lab.ipynb"></a>'],
    }
    saved["cells"].insert(0, badge)
    saved["metadata"] |= {
        "accelerator": "GPU",
        "colab": {"provenance": [], "gpuType": "T4", "include_colab_link": True},
        "widgets": WIDGETS,
    }
    saved["nbformat_minor"] = 5 if ids else 0
    return saved


def needed(submission: Submission, lab: str) -> dict[str, list[dict]]:
    """For each exercise of a lab, the code that the grader would run."""
    names = {exercise.name for exercise in exercises_of(lab)}
    return {name: submission.cells(submission.needed_by(name, names)) for name in names}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}-{path.name[:2]}")
def test_the_grader_finds_the_same_exercises(path):
    stored = json.loads(path.read_text(encoding="utf-8"))
    lab = path.name[:2]
    original = parse(path.read_bytes())
    assert all(original.bindings(exercise.name) for exercise in exercises_of(lab))
    for ids in (True, False):
        saved = parse(json.dumps(as_saved_by_colab(stored, ids=ids)).encode())
        assert saved.lab == lab
        assert saved.sources == original.sources
        assert saved.findings == original.findings
        assert needed(saved, lab) == needed(original, lab)


@pytest.fixture(scope="module")
def toy(tmp_path_factory, toy_text) -> Path:
    """A made-up lab, built."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "99_toy.py").write_text(toy_text, encoding="utf-8")
    labs.build(folder, read_course(), [])
    return folder


@pytest.fixture(params=[True, False], ids=["with ids", "without ids"])
def saved(request, toy, tmp_path) -> Path:
    """The learner's copy of the made-up lab after Colab has saved it."""
    stored = json.loads((toy / "99_toy.ipynb").read_text(encoding="utf-8"))
    path = tmp_path / "99_toy.ipynb"
    path.write_text(json.dumps(as_saved_by_colab(stored, ids=request.param)), encoding="utf-8")
    return path


def test_its_outputs_are_compared(toy, tmp_path):
    """All of them in one run, to start nbval once: two that Colab saved, and one with an output that is not true."""
    stored = json.loads((toy / "99_toy.ipynb").read_text(encoding="utf-8"))
    texts = {f"ids-{ids}": json.dumps(as_saved_by_colab(stored, ids=ids)) for ids in (True, False)}
    assert '"10\\n"' in texts["ids-True"]
    texts["wrong"] = texts["ids-True"].replace('"10\\n"', '"11\\n"')
    paths = [tmp_path / f"{name}.ipynb" for name in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text, encoding="utf-8")
    said = nbval(*paths).stdout
    failed = re.findall(r"^FAILED (\S+)\.ipynb", said, re.MULTILINE)
    assert failed == ["wrong", "wrong"], said  # the two cells that print 10
    cells = sum(cell["cell_type"] == "code" for cell in stored["cells"])
    assert f"{3 * cells - 2} passed" in said


def test_it_runs_again_on_colab(saved, tmp_path):
    """With a wheel that stands for labutils and has just what the made-up lab imports."""
    folder = tmp_path / "machine"
    folder.mkdir()
    evidence = "import sys\nthis = sys.modules['labutils.evidence'] = sys.modules[__name__]\n__path__ = []\n"
    measure = "def measure(*args, **kwargs):\n    pass\n"
    wheel = small_wheel(tmp_path, "labutils", read_course().version, evidence + measure + READY)
    assert colab.run_on_colab(saved, colab.borrowed_machine(folder), wheel).problems == []


@pytest.mark.filterwarnings("ignore::nbformat.warnings.MissingIDFieldWarning")
def test_it_can_be_shown_on_a_page(saved, tmp_path):
    """The book's own notebook reader shows what it holds, and Sphinx has nothing to warn of."""
    settings = {"extensions": ["myst_nb"], "nb_execution_mode": "off", "root_doc": "99_toy"}
    quiet = {"suppress_warnings": ["myst.xref_missing"]}  # the ledger is another page of the book
    lines = [f"{name} = {value!r}\n" for name, value in (settings | quiet).items()]
    (tmp_path / "conf.py").write_text("".join(lines), encoding="utf-8")
    with docutils_namespace():
        folders = [str(tmp_path), str(tmp_path), str(tmp_path / "out"), str(tmp_path / "doctrees")]
        said = io.StringIO()
        Sphinx(*folders, "html", status=None, warning=said).build()
    assert said.getvalue() == ""
    page = (tmp_path / "out" / "99_toy.html").read_text(encoding="utf-8")
    assert "A toy lab" in page
    assert "add: not written yet" in page


def test_the_check_says_what_to_do_with_one_that_was_committed(toy, saved):
    source = saved.with_suffix(".py")
    source.write_text((toy / source.name).read_text(encoding="utf-8"), encoding="utf-8")
    first = labs.drift(labs.read_lab(source), "learner", read_course())[0]
    assert re.search(r"Mend it with: \.venv/bin/python tools/labs\.py (build 99|address)$", first)
