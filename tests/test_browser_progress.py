"""In a browser: answers and ticks survive, can be taken along, and are never lost or sent."""

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page
from watched import Watch

from _ext.claims import ROOT
from _ext.quiz import identity, read_quiz

CHAPTER = "05_sampling"
ITEMS = read_quiz(ROOT / "chapters" / "quizzes" / f"{CHAPTER}.yml")
N = len(ITEMS)
REFUSE = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { configurable: true, get() { throw new DOMException("", "SecurityError") } })"""
FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }; 0"
FULL_LATER = FULL.replace("throw", "if (this === localStorage) throw").replace("() =>", "function ()")


def answer(page: Page, item: dict, *, right: bool) -> str:
    """Choose the first right or wrong choice of a question; returns the id of the choice."""
    choice = next(choice for choice in item["choices"] if choice["right"] == right)
    field = question(page, item).locator(f"input[value='{identity(choice['text'])}']")
    field.check()
    return identity(choice["text"])


def question(page: Page, item: dict) -> Locator:
    return page.locator(f"[data-question='{identity(item['question'])}']")


def record(page: Page) -> dict:
    return page.evaluate("Progress.load()")


def score(page: Page) -> str:
    return page.locator(".quiz-bar .quiz-score").inner_text()


def import_file(page: Page, content: str) -> str:
    """Import a file on the progress page; returns what the page says."""
    page.locator("#progress-report").evaluate("node => { node.textContent = '' }")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Import from a file").click()
    chooser.value.set_files({"name": "x.json", "mimeType": "application/json", "buffer": content.encode()})
    page.wait_for_function("document.getElementById('progress-report').textContent")
    return page.locator("#progress-report").inner_text()


def test_answers_survive_and_only_the_first_try_counts(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    assert score(page) == f"{N} questions, none answered yet."
    answer(page, ITEMS[0], right=True)
    answer(page, ITEMS[2], right=False)
    assert score(page) == f"1 of 2 right at first try, {N - 2} to go."
    chosen = answer(page, ITEMS[2], right=True)
    assert score(page) == f"1 of 2 right at first try, {N - 2} to go."
    page.reload()
    assert score(page) == f"1 of 2 right at first try, {N - 2} to go."
    assert page.locator(".quiz input:checked").count() == 2
    assert question(page, ITEMS[2]).locator("input:checked").get_attribute("value") == chosen
    assert question(page, ITEMS[2]).locator(".quiz-why:visible p").count() == 1
    assert record(page)["answers"][identity(ITEMS[2]["question"])] == {"first": False, "choice": chosen}


def test_a_whole_quiz_by_keyboard_then_cleared(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    page.locator(".quiz input").first.focus()
    for _ in ITEMS:
        page.keyboard.press("Space")
        page.keyboard.press("Tab")
    right = sum(item["choices"][0]["right"] for item in ITEMS)
    assert score(page) == f"{right} of {N} right at first try."
    assert page.locator(".quiz-score").last.inner_text() == score(page)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Clear these answers").press("Enter")
    assert len(record(page)["answers"]) == N
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear these answers").press("Enter")
    assert record(page)["answers"] == {}
    assert page.locator(".quiz input:checked").count() == 0


def test_clearing_one_quiz_leaves_the_others(page: Page):
    page.goto("/chapters/06_synthetic_data.html")
    page.locator(".quiz input").first.check()
    page.goto(f"/chapters/{CHAPTER}.html")
    answer(page, ITEMS[0], right=True)
    assert len(record(page)["answers"]) == 2
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear these answers").click()
    assert len(record(page)["answers"]) == 1


def test_every_explanation_can_be_shown(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    assert page.locator(".quiz-why p:visible").count() == 0
    button = page.get_by_role("button", name="Show every explanation")
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert page.locator(".quiz-why p:visible").count() == sum(len(item["choices"]) for item in ITEMS)
    assert record(page)["answers"] == {}
    button.click()
    assert page.locator(".quiz-why p:visible").count() == 0


def test_a_chapter_is_read_when_its_quiz_comes_into_view_and_a_lab_done_when_ticked(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    page.evaluate("document.getElementById('beam-search').scrollIntoView()")
    page.wait_for_timeout(100)
    assert record(page)["chapters"] == []
    page.evaluate("document.getElementById('quiz').scrollIntoView()")
    page.wait_for_function("Progress.load().chapters.length")
    page.goto("/labs/12_decoding.html")
    page.get_by_label("I have done this lab").check()
    page.goto("/chapters/progress.html")
    assert page.locator(".progress-table input:checked").evaluate_all("boxes => boxes.map(box => box.value)") == [
        CHAPTER,
        "12_decoding",
    ]
    summary = page.locator("#progress-sum")
    assert summary.inner_text().startswith("Read: 1 of 6 chapters. Answered: 0 of ")
    assert summary.inner_text().endswith("Done: 1 of 14 labs.")
    page.get_by_label("Chapter 5. From logits to text: read").uncheck()
    assert record(page)["chapters"] == []
    page.reload()
    assert summary.inner_text().startswith("Read: 0 of 6 chapters.")


def test_the_record_goes_to_a_file_and_comes_back(page: Page, tmp_path: Path):
    page.goto(f"/chapters/{CHAPTER}.html")
    for item in ITEMS[:3]:
        answer(page, item, right=True)
    page.goto("/chapters/progress.html")
    page.get_by_label("Lab 12: Decoding: done").check()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export to a file").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    before = record(page)
    assert json.loads(path.read_text(encoding="utf-8")) == before
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Erase everything").click()
    assert page.evaluate("localStorage.getItem(Progress.KEY)") is None
    nothing = r"Read: 0 of \d+ chapters. Answered: 0 of \d+ questions, 0 right at first try. Done: 0 of \d+ labs."
    assert re.fullmatch(nothing, page.locator("#progress-sum").inner_text())
    said = import_file(page, path.read_text(encoding="utf-8"))
    assert said == "Added 3 answers, 1 chapter and 1 lab; what was here has stayed."
    assert record(page) == before
    assert "3 of 25 answered, 3 right" in page.locator(".progress-table").inner_text()


def test_an_import_adds_and_never_overwrites(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    mine = answer(page, ITEMS[0], right=True)
    page.goto("/chapters/progress.html")
    names = [identity(item["question"]) for item in ITEMS]
    theirs = {name: {"first": False, "choice": "0" * 12} for name in names[:2]}
    other = {
        "course": "Generative AI, Measured",
        "format": 1,
        "answers": theirs,
        "chapters": [],
        "labs": ["07_x", "07_x"],
    }
    assert import_file(page, json.dumps(other)).startswith("Added 1 answer, 0 chapters and 1 lab;")
    assert record(page)["answers"] == {names[0]: {"first": True, "choice": mine}, names[1]: theirs[names[1]]}
    assert record(page)["labs"] == ["07_x"]
    assert import_file(page, json.dumps(other)).startswith("Added 0 answers, 0 chapters and 0 labs;")


GOOD = {"course": "Generative AI, Measured", "format": 1, "answers": {}, "chapters": [], "labs": []}
BAD = {
    "not json": ("{", "the file is not JSON, so it is no record of this course"),
    "empty": ("", "the file is not JSON, so it is no record of this course"),
    "a list": ("[1]", "the file is no record of this course"),
    "null": ("null", "the file is no record of this course"),
    "another course": (json.dumps(GOOD | {"course": "x"}), "the file is no record of this course"),
    "newer": (json.dumps(GOOD | {"format": 2}), "the file was written by another version of this site"),
    "answers": (json.dumps(GOOD | {"answers": []}), "the file is damaged where it lists answers"),
    "prototype": (
        json.dumps(GOOD)[:-1].replace('"answers": {}', '"answers": {"__proto__": {"first": true, "choice": "0"}}')
        + "}",
        "the file is damaged where it lists answers",
    ),
    "choice": (
        json.dumps(GOOD | {"answers": {"0" * 12: {"first": 1, "choice": "0" * 12}}}),
        "the file is damaged where it lists answers",
    ),
    "chapters": (json.dumps(GOOD | {"chapters": "all"}), "the file is damaged where it lists chapters"),
    "labs": (json.dumps(GOOD | {"labs": ["<b>"]}), "the file is damaged where it lists labs"),
    "no labs": (
        json.dumps({key: GOOD[key] for key in GOOD if key != "labs"}),
        "the file is damaged where it lists labs",
    ),
    "huge": (json.dumps(GOOD) + " " * 1_000_001, "the file is too large to be a record of this course"),
}


def test_a_bad_file_changes_nothing_and_one_sentence_says_why(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    answer(page, ITEMS[0], right=True)
    page.goto("/chapters/progress.html")
    before = page.evaluate("localStorage.getItem(Progress.KEY)")
    for name, (content, reason) in BAD.items():
        assert import_file(page, content) == f"Nothing was imported: {reason}.", name
        assert page.evaluate("localStorage.getItem(Progress.KEY)") == before, name


def test_a_record_that_cannot_be_read_is_put_aside(page: Page):
    page.goto("/chapters/progress.html")
    page.evaluate("localStorage.setItem(Progress.KEY, '{broken')")
    page.reload()
    page.get_by_label("Lab 12: Decoding: done").check()
    assert record(page)["labs"] == ["12_decoding"]
    assert page.evaluate("localStorage.getItem(Progress.KEY + '/unreadable')") == "{broken"


@pytest.mark.parametrize("script", [REFUSE, FULL], ids=["refused", "full"])
def test_where_nothing_can_be_kept_the_page_works_and_says_so(page: Page, script: str):
    page.add_init_script(script)
    page.goto(f"/chapters/{CHAPTER}.html")
    answer(page, ITEMS[0], right=True)
    assert score(page) == f"1 of 1 right at first try, {N - 1} to go."
    assert page.get_by_text("This browser keeps nothing for this page").is_visible()
    assert page.get_by_text("Your answers stay in this browser").is_hidden()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.goto("/chapters/progress.html")
    page.get_by_label("Lab 12: Decoding: done").check()
    assert page.locator("#progress-sum").inner_text().endswith("Done: 1 of 14 labs.")
    assert page.get_by_text("This browser keeps nothing").is_visible()


def test_two_tabs_do_not_overwrite_each_other(page: Page, watch: Watch):
    page.goto(f"/chapters/{CHAPTER}.html")
    second = page.context.new_page()
    watch.start(second)
    second.goto(f"/chapters/{CHAPTER}.html")
    answer(page, ITEMS[0], right=True)
    answer(second, ITEMS[1], right=True)
    answer(page, ITEMS[2], right=True)
    page.wait_for_function("document.querySelectorAll('.quiz input:checked').length === 3")
    second.wait_for_function("document.querySelectorAll('.quiz input:checked').length === 3")
    assert len(record(page)["answers"]) == 3


def test_storage_that_fills_up_later_loses_nothing_on_this_page(page: Page):
    page.goto(f"/chapters/{CHAPTER}.html")
    answer(page, ITEMS[0], right=True)
    page.evaluate(FULL_LATER)
    answer(page, ITEMS[1], right=True)
    assert score(page) == f"2 of 2 right at first try, {N - 2} to go."
    assert page.get_by_text("This browser keeps nothing for this page").is_visible()
    page.reload()
    assert score(page) == f"1 of 1 right at first try, {N - 1} to go."


def test_without_a_script_a_choice_still_explains_itself(browser: Browser, site_url: str):
    context = browser.new_context(java_script_enabled=False)
    bare = context.new_page()
    bare.goto(f"{site_url}/chapters/{CHAPTER}.html")
    bare.locator(".quiz input").first.check()
    assert bare.locator(".quiz-why p:visible").count() == 1
    assert bare.locator(".quiz-bar, .quiz-score").locator("visible=true").count() == 0
    context.close()
