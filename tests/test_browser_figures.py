"""The interactive figures of the chapters in a browser: they start, obey the keyboard, have names, and fit a phone."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
FIGURES = {
    f"/chapters/{path.stem}.html": count
    for path in sorted(CHAPTERS.glob("*.md"))
    if (count := path.read_text(encoding="utf-8").count("```{live}"))
}
LOOKS: dict[str, tuple[int, Literal["light", "dark"]]] = {
    "light": (1280, "light"),
    "dark": (1280, "dark"),
    "phone": (390, "light"),
}


def figures(page: Page, address: str) -> Iterator[Locator]:
    """The figures of a page, each in the window."""
    page.goto(address)
    all_figures = page.locator("[data-live]")
    assert all_figures.count() == FIGURES[address]
    for figure in all_figures.all():
        figure.scroll_into_view_if_needed()
        yield figure


def drawn(figure: Locator) -> str:
    """What a figure shows now, its pictures included."""
    return figure.evaluate("(el) => el.innerHTML")


def test_the_book_has_at_least_ten_figures():
    named = {
        line.removeprefix("```{live} ").strip()
        for path in CHAPTERS.glob("*.md")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("```{live} ")
    }
    assert len(named) >= 10


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("address", FIGURES)
def test_figures_start_and_fit(page: Page, address: str, look: str):
    width, scheme = LOOKS[look]
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    for figure in figures(page, address):
        assert figure.get_attribute("data-live-started") == ""
        assert figure.get_attribute("aria-label")
        assert figure.get_attribute("role") == "group"
        # what is closed must fit too
        figure.evaluate("(el) => el.querySelectorAll('details').forEach((part) => { part.open = true; })")
        left, right = figure.evaluate(
            "(el) => { const box = el.getBoundingClientRect(); return [box.left, box.right]; }"
        )
        assert 0 <= left < right <= width
        assert figure.evaluate("(el) => el.scrollWidth <= el.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("address", FIGURES)
def test_arrow_keys_move_every_slider_and_the_figure_follows(page: Page, address: str):
    for figure in figures(page, address):
        figure.evaluate("(el) => el.querySelectorAll('details').forEach((part) => { part.open = true; })")
        for slider in figure.locator("input[type=range]").all():
            assert slider.evaluate("(el) => el.labels[0].textContent.trim()")
            value, said, before = slider.input_value(), slider.get_attribute("aria-valuetext"), drawn(figure)
            at_the_end = slider.evaluate("(el) => Number(el.value) + Number(el.step) > Number(el.max) + 1e-9")
            slider.focus()
            page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
            assert slider.input_value() != value
            assert slider.get_attribute("aria-valuetext") != said
            assert drawn(figure) != before
            page.keyboard.press("ArrowRight" if at_the_end else "ArrowLeft")
            assert slider.input_value() == value


@pytest.mark.parametrize("address", FIGURES)
def test_every_control_is_reached_by_tab_and_has_a_name(page: Page, address: str):
    controls = "button:not([disabled]), input, select, textarea, summary"
    for figure in figures(page, address):
        expected = figure.locator(controls).filter(visible=True).count()
        figure.locator(controls).filter(visible=True).first.focus()
        reached = 0
        while page.evaluate("(el) => el.contains(document.activeElement)", figure.element_handle()):
            reached += page.evaluate(f"document.activeElement.matches({controls!r})")
            assert reached <= expected
            page.keyboard.press("Tab")
        assert reached == expected
        for control in figure.locator(controls).filter(visible=True).all():
            name = control.evaluate("(el) => el.ariaLabel || (el.labels?.[0] ?? el).textContent")
            assert name.strip()


@pytest.mark.parametrize("address", FIGURES)
def test_presets_bring_the_figure_into_their_state(page: Page, address: str):
    for figure in figures(page, address):
        for button in figure.locator("button[aria-pressed=false]").element_handles():
            if button.get_attribute("aria-pressed") == "false":
                before = drawn(figure)
                button.focus()
                page.keyboard.press("Enter")
                page.wait_for_function("(el) => el.ariaPressed === 'true'", arg=button)
                assert drawn(figure) != before


def test_the_beam_is_walked_with_its_buttons(page: Page):
    page.goto("/chapters/05_sampling.html")
    figure = page.get_by_role("group", name="Beam explorer")
    fact = figure.locator("dd").first
    for _ in range(2):
        figure.get_by_role("button", name="Next step").press("Enter")
    assert fact.inner_text().startswith("some dogs sleep .")
    figure.get_by_role("slider", name="Beam width").press("ArrowRight")
    assert fact.inner_text().startswith("cats sleep .")
    for _ in range(4):
        figure.get_by_role("button", name="Back").press("Enter")
    assert fact.inner_text() == "none yet"
    assert figure.get_by_role("button", name="Back").is_disabled()


def test_a_reader_without_javascript_gets_a_table(browser: Browser, site_url: str):
    context = browser.new_context(base_url=site_url, java_script_enabled=False)
    page = context.new_page()
    for address, count in FIGURES.items():
        page.goto(address)
        tables = page.locator("[data-live] table")
        assert tables.count() == count
        for table in tables.all():
            expect(table).to_be_visible()
            expect(table).to_have_text(re.compile(r"\S"))
    context.close()
