"""Paper: the article alone, in light colours, with its references and, on request, its answers; a chapter's PDF."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from _ext.claims import ROOT
from _ext.quiz import read_quiz

CHAPTER = "06_synthetic_data"
BACKGROUND = "getComputedStyle(document.body).backgroundColor"


def test_print_shows_the_article_alone_and_light(page: Page):
    page.emulate_media(color_scheme="dark")
    page.goto(f"/chapters/{CHAPTER}.html")
    assert page.evaluate(BACKGROUND) != "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    page.wait_for_function("document.documentElement.dataset.theme === 'light'")
    assert page.evaluate(BACKGROUND) == "rgb(255, 255, 255)"
    assert page.locator("article h1").is_visible()
    hidden = (".bd-sidebar-primary", ".bd-sidebar-secondary", ".bd-header-article", ".prev-next-footer", ".quiz-bar")
    assert [name for name in hidden if page.locator(f"{name} >> visible=true").count()] == []
    assert page.locator(".verdict").first.is_visible()
    page.emulate_media(media="screen")
    page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    assert page.locator(".print-references").count() == 0


def test_what_is_cited_is_listed_on_paper(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    links = page.locator("article a[href*='bibliography.html#']")
    cited = set(links.evaluate_all("links => links.map(link => link.getAttribute('href').split('#')[1])"))
    page.emulate_media(media="print")
    listed = page.locator(".print-references li")
    listed.first.wait_for()
    assert {name.removeprefix("print-") for name in listed.evaluate_all("items => items.map(item => item.id)")} == cited
    texts = listed.all_inner_texts()
    assert len(set(texts)) == len(texts)
    assert all(re.search(r"\b(19|20)\d\d\b", text) for text in texts), "an entry has a year"


def test_everything_is_opened_and_closed_again(page: Page):
    items = read_quiz(ROOT / "chapters" / "quizzes" / f"{CHAPTER}.yml")
    page.goto("/chapters/03_attention.html")
    closed = page.locator("article details:not([open])").count()
    assert closed
    page.goto(f"/chapters/{CHAPTER}.html")
    page.evaluate("window.print = () => { window.printed = document.querySelectorAll('details:not([open])').length }")
    page.get_by_label("Download this page").click()
    page.get_by_text("Print with all answers").click()
    assert page.evaluate("window.printed") == 0
    answers = page.locator(".print-answers li")
    assert answers.count() == len(items)
    for item, text in zip(items, answers.all_inner_texts(), strict=True):
        letters = re.findall(r"^([a-h])\. (Right|Not so)\.", text, re.MULTILINE)
        right = ["Right" if choice["right"] else "Not so" for choice in item["choices"]]
        assert letters == list(zip("abcdefgh", right, strict=False))
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator(".print-answers, .quiz-unanswered").count() == 0


@pytest.fixture(scope="module")
def printed(site: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of one chapter, whose PDF was made."""
    folder = tmp_path_factory.mktemp("printed")
    (folder / "chapters").mkdir()
    for name in ("_static", "_images"):
        (folder / name).symlink_to(site / name)
    chapter = folder / "chapters" / f"{CHAPTER}.html"
    chapter.write_bytes((site / "chapters" / chapter.name).read_bytes())
    code = "import pdf, sys, pathlib; sys.exit(pdf.make(pathlib.Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT / "tools", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_a_chapters_pdf_is_tagged_has_an_outline_and_leads_nowhere_on_this_machine(printed: Path):
    data = (printed / "chapters" / f"{CHAPTER}.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert 5 < len(re.findall(rb"/Type /Page\b", data)) < 60
    for part in (b"/StructTreeRoot", b"/Outlines", b"/Lang"):
        assert part in data, part
    assert re.findall(rb"/URI \((?:file|http://127)[^)]*", data) == []
    page = (printed / "chapters" / f"{CHAPTER}.html").read_text(encoding="utf-8")
    assert f'<a href="{CHAPTER}.pdf" download' in page
