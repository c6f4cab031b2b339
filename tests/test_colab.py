"""The emulation of Colab: that it passes a good notebook, and that it fails one that a student would suffer from.

The machine here is this environment without labutils, so that no test waits for an installation; `make colab` runs the
labs on Colab's own versions.
"""

import site
import zipfile
from pathlib import Path

import colab
import nbformat
import pytest
from course import ROOT, read_course

import labs
from labutils import TESTED


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> Path:
    """This environment's packages, all but labutils."""
    folder = tmp_path_factory.mktemp("site-packages")
    for item in Path(site.getsitepackages()[0]).iterdir():
        if "labutils" not in item.name and item.suffix != ".pth":
            (folder / item.name).symlink_to(item)
    return folder


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return colab.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture
def notebook(tmp_path, toy_text):
    """Writes a lab with a setup cell and one line of code, and returns its path."""

    def write(line: str) -> Path:
        source = tmp_path / "99_toy.py"
        source.write_text(toy_text.partition("# %%\nimport math")[0] + f"# %%\n{line}\n", encoding="utf-8")
        path = tmp_path / "99_toy.ipynb"
        made = labs.make_notebook(labs.read_lab(source), "learner", read_course())
        path.write_text(labs.to_text(made), encoding="utf-8")
        return path

    return write


def foreign_wheel(folder: Path, name: str) -> Path:
    """A wheel that holds nothing but the claim to be some package."""
    path = folder / f"{name}-0.0.1-py3-none-any.whl"
    info = f"{name}-0.0.1.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.0.1\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def test_a_lab_installs_what_it_needs_and_runs(notebook, machine, wheel):
    line = "import pathlib; assert 'site-packages' in str(pathlib.Path(labutils.__file__)), labutils.__file__"
    assert colab.run_on_colab(notebook(line), machine, wheel) == []


def test_what_a_student_would_suffer_from_is_reported(notebook, machine, wheel, tmp_path):
    numpy, other = foreign_wheel(tmp_path, "numpy"), foreign_wheel(tmp_path, "unheard_of")
    lines = [
        f"subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', {str(numpy)!r}, {str(other)!r}])",
        "open('left.csv', 'w').close()",
        "import pandas",
    ]
    problems = colab.run_on_colab(notebook("\n".join(lines)), machine, wheel)
    assert problems == [
        "fails with ModuleNotFoundError: No module named 'pandas'",
        "changes what Colab has installed: numpy.",
        "installs more than its setup cell says: unheard-of.",
        "leaves files behind: left.csv.",
    ]


def test_a_setup_cell_that_prints_more_than_a_line_is_reported(notebook, machine, wheel):
    path = notebook("1")
    path.write_text(path.read_text(encoding="utf-8").replace('"import labutils\\n"', '"import labutils; print()\\n"'))
    (problem,) = colab.run_on_colab(path, machine, wheel)
    assert problem.startswith("its setup cell must print one line")


def test_without_a_network_the_setup_cell_says_one_sentence(notebook, machine, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(colab, "_stderr", lambda made: shown.extend(colab._setup(made).outputs) or [])
    failure, _ = colab.run_on_colab(notebook("1"), machine, tmp_path / "nowhere.whl")
    assert failure.startswith(
        "fails with SetupError: The course's helpers could not be installed; is this machine online?"
    )
    (error,) = shown
    assert len(error.traceback) == 1
    assert error.traceback[0].isprintable()


def test_a_notebook_that_was_saved_with_an_error_is_run_afresh(notebook, machine, wheel):
    path = notebook("1")
    made = nbformat.read(path, as_version=4)
    made.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stderr", text="old")]
    nbformat.write(made, path)
    assert colab.run_on_colab(path, machine, wheel) == []


def test_the_pins_are_colabs():
    pins = colab.colab_pins((ROOT / "tests" / "colab" / "pip-freeze.txt").read_text(encoding="utf-8"))
    assert {name: pins[name] for name in ("ipykernel", "ipython", "ipywidgets", "numpy", "transformers")} == {
        "ipykernel": "6.17.1",
        "ipython": "7.34.0",
        "ipywidgets": "7.7.1",
        "numpy": "2.1.3",
        "transformers": "5.15.0",
    }
    assert "torch" not in pins


def test_ready_calls_tested_what_is_tested():
    freeze = (ROOT / "tests" / "colab" / "pip-freeze.txt").read_text(encoding="utf-8")
    ours = read_course().pins
    for package, (oldest, newest) in TESTED.items():
        assert f"{package}=={oldest[0]}.{oldest[1]}." in freeze or f"/{package}-{oldest[0]}.{oldest[1]}." in freeze
        assert ours[package].startswith(f"{newest[0]}.{newest[1]}.")
