"""The pages offer everything that can be ticked, with ids that agree, and the scripts send nothing."""

import re
from functools import cache
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from _ext.claims import CHAPTERS, LABS, ROOT
from _ext.progress import lab_title
from _ext.quiz import identity, read_quiz

SCRIPTS = sorted((ROOT / "_public" / "_static" / "progress").glob("*.js"))


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def values(page: BeautifulSoup, part: str) -> list[str]:
    return [str(box["value"]) for box in page.select(f".progress-table input[name={part}]")]


def test_the_progress_page_has_a_box_for_each_chapter_and_each_lab(site: Path):
    page = soup(site / "chapters" / "progress.html")
    assert values(page, "chapters") == list(CHAPTERS)
    assert values(page, "labs") == [f"{number}_{name}" for number, (name, _) in LABS.items()]
    assert all(box["aria-label"] for box in page.select(".progress-table input"))
    assert all(box.has_attr("disabled") for box in page.select(".progress-table input")), "without a script"


def test_a_chapter_has_one_name_and_every_lab_is_in_the_contents():
    for chapter, title in CHAPTERS.items():
        assert f"# {title}" in (ROOT / "chapters" / f"{chapter}.md").read_text(encoding="utf-8").splitlines()
    assert sorted(f"{number}_{name}" for number, (name, _) in LABS.items()) == sorted(
        path.stem for path in (ROOT / "labs").glob("*.py")
    ), "the sections of _toc.yml, and the sources in labs/"


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_progress_page_asks_for_the_answers_that_the_quiz_stores(site: Path, chapter: str):
    quiz = soup(site / "chapters" / f"{chapter}.html").select_one("[data-quiz]")
    assert quiz is not None
    assert quiz["data-quiz"] == chapter
    stored = [str(question["data-question"]) for question in quiz.select("[data-question]")]
    rows = soup(site / "chapters" / "progress.html").select(".progress-table tbody tr")
    row = next(row for row in rows if row.select_one(f"input[value='{chapter}']"))
    cell = row.select_one("[data-questions]")
    assert cell is not None
    assert str(cell["data-questions"]).split() == stored
    items = read_quiz(ROOT / "chapters" / "quizzes" / f"{chapter}.yml")
    assert stored == [identity(item["question"]) for item in items]
    for question, item in zip(quiz.select("[data-question]"), items, strict=True):
        shown = {
            str(box["value"]): box.parent.select_one(".quiz-right") is not None for box in question.select("input")
        }
        assert shown == {identity(choice["text"]): choice["right"] for choice in item["choices"]}


@pytest.mark.parametrize("number", LABS)
def test_a_lab_can_be_ticked_on_its_own_page(site: Path, number: str):
    name = f"{number}_{LABS[number][0]}"
    page = soup(site / "labs" / f"{name}.html")
    box = page.select_one("[data-lab]")
    assert box is not None
    assert box["data-lab"] == name
    assert box.has_attr("hidden"), "without a script it could not be ticked"
    heading = page.select_one("h1")
    assert heading is not None
    assert lab_title(name) == heading.get_text().rstrip("#")


def test_storage_is_made_safe_before_anything_uses_it(site: Path):
    for path in site.rglob("*.html"):
        if "_static" not in path.parts and path != site / "index.html":
            text = path.read_text(encoding="utf-8")
            assert text.count("refused: true") == 1, path
            assert text.index("refused: true") < text.index("localStorage.getItem"), path


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_script_can_send_anything(path: Path):
    words = r"\b(fetch|XMLHttpRequest|sendBeacon|WebSocket|EventSource|import\(|cookie|src|action)\b"
    code = re.sub(r"//.*", "", path.read_text(encoding="utf-8"))
    assert re.findall(words, code) == []


def test_only_pages_that_need_a_script_load_it(site: Path):
    loading = {
        path.relative_to(site).as_posix()
        for path in site.rglob("*.html")
        if "progress/store.js" in path.read_text(encoding="utf-8")
    }
    labs = {f"labs/{number}_{name}.html" for number, (name, _) in LABS.items()}
    assert loading == labs | {f"chapters/{chapter}.html" for chapter in CHAPTERS} | {"chapters/progress.html"}
