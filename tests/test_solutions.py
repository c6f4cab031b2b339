"""Below each exercise on the page of a lab: its hints, each inside the one before, and its solution, all folded."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import book
import pytest
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from lab_source import read_lab

from _ext.claims import lab_notebooks
from _ext.solutions import exercise_of, ladder, marked_up, read_hints, read_solutions
from labutils.exercises import exercises_of

ROOT = Path(__file__).resolve().parent.parent
LABS = [path.stem for path in lab_notebooks()]


@pytest.mark.parametrize("lab", LABS)
def test_hints_read_from_the_syntax_tree_are_those_of_the_module(lab: str):
    exercises = exercises_of(lab[:2])
    found = read_hints(ROOT / "labutils" / "exercises" / f"lab{lab[:2]}.py")
    assert found == {exercise.name: exercise.hints for exercise in exercises}


@pytest.mark.parametrize("lab", LABS)
def test_solutions_are_those_of_the_source(lab: str):
    found = read_solutions(ROOT / "labs" / "solutions" / f"{lab}.ipynb")
    cells = [cell for cell in read_lab(ROOT / "labs" / f"{lab}.py").cells if cell.kind == "exercise"]
    assert list(found) == [cell.exercise for cell in cells]
    for cell in cells:
        kept = [line for line in cell.source.splitlines() if "### " not in line]
        written = [node for node in ast.parse("\n".join(kept)).body if not isinstance(node, ast.Expr)]
        assert ast.dump(ast.parse(found[cell.exercise])) == ast.dump(ast.Module(written, []))


@pytest.mark.parametrize("lab", LABS)
def test_the_page_folds_each_exercises_hints_and_solution_behind_its_cell(site: Path, lab: str):
    page = BeautifulSoup((site / "labs" / f"{lab}.html").read_text(encoding="utf-8"), "html.parser")
    ladders = page.select("article .ladder")
    exercises = {exercise.name: exercise for exercise in exercises_of(lab[:2])}
    assert len(ladders) == len(exercises) >= 3
    for box in ladders:
        cell = box.find_previous_sibling()
        assert isinstance(cell, Tag)
        source = cell.select_one(".cell_input pre")
        assert source is not None
        name = exercise_of(source.get_text())
        hints = exercises.pop(name).hints
        assert "not written yet" in cell.get_text()
        assert "Hint 1" not in cell.get_text()
        first, solution = box.find_all("details", recursive=False)
        for number, hint in enumerate(hints, start=1):
            words = [tag.get_text() for tag in first.find_all(["summary", "p"], recursive=False)]
            assert words == [f"Hint {number} of {len(hints)}", re.sub(r"`|(?<!\S)\*(?=\w)|(?<=\w)\*(?!\S)", "", hint)]
            inner = first.find_all("details", recursive=False)
            assert len(inner) == (number < len(hints))
            first = inner[0] if inner else first
        assert [tag.get_text() for tag in solution("summary")] == ["Solution"]
        assert [f"def {name}(" in tag.get_text() for tag in solution("pre")] == [True]
        assert solution.select("pre .k"), "it is highlighted"
        assert not any(details.has_attr("open") for details in box.find_all("details"))
    assert exercises == {}


def test_a_ladder_without_hints_is_a_solution():
    box = ladder((), "def f(): ...")
    assert box.astext().count("<details>") == box.astext().count("</details>") == 1


def test_code_and_emphasis_in_a_hint():
    parts = marked_up("Use `max(a, *b)` on `x`, *before* it: 2 * y * z.")
    assert [part.astext() for part in parts] == ["Use ", "max(a, *b)", " on ", "x", ", ", "before", " it: 2 * y * z."]
    kinds = [nodes.Text, nodes.literal, nodes.Text, nodes.literal, nodes.Text, nodes.emphasis, nodes.Text]
    assert [type(part) for part in parts] == kinds


def test_a_cell_poses_an_exercise_if_it_ends_in_its_check():
    assert exercise_of('def f(x):\n    return x\n\n\ncheck("f", f)') == "f"
    assert exercise_of('check("f", g)') == ""
    assert exercise_of("x = 1") == ""


def test_an_exercise_without_hints_fails_the_build(tmp_path: Path):
    """The lab's page is built from a notebook that asks for a function which no module knows."""
    program = f"""
import _ext.solutions as solutions
solutions.read_hints = lambda module: {{}}
from sphinx.cmd.build import main
raise SystemExit(main(["-q", "-E", "-W", {str(tmp_path)!r}, {str(tmp_path / "out")!r}]))
"""
    (tmp_path / "index.md").write_text("# Title\n\n```{toctree}\nlabs/12_decoding\n```\n", encoding="utf-8")
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "12_decoding.ipynb").write_bytes((ROOT / "labs" / "12_decoding.ipynb").read_bytes())
    settings = "extensions = ['myst_nb', '_ext.solutions']\nnb_execution_mode = 'off'\n"
    settings += "myst_enable_extensions = ['dollarmath']\nsuppress_warnings = ['myst.header', 'myst.xref_missing']\n"
    (tmp_path / "conf.py").write_text(settings, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=book.environment(), capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "12_decoding.ipynb: the exercise apply_temperature has no hints or no solution." in done.stderr
