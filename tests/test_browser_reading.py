"""Reading in a browser: meanings of links, search, hints, programs on a phone, the keyboard, missing pages."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
CHAPTER, LAB = "/chapters/05_sampling.html", "/labs/12_decoding.html"


def violations(page: Page) -> list[str]:
    """What axe finds wrong, a line each."""
    options = {"resultTypes": ["violations"], "preload": False}  # it would look for style sheets in wrong places
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"][:3]]


@pytest.fixture
def phone(browser: Browser, site_url: str) -> Iterator[Page]:
    """A page on a phone with a touch screen."""
    context = browser.new_context(
        base_url=site_url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    yield context.new_page()
    context.close()


# What a link means


def test_focus_shows_a_meaning_and_escape_hides_it(page: Page):
    page.goto(CHAPTER)
    tip, link = page.get_by_role("tooltip"), page.locator("a.term", has_text="top-k").first
    assert not tip.is_visible()
    page.locator("a.term", has_text="temperature").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "top-k"
    assert tip.is_visible()
    assert "most probable tokens" in tip.inner_text()
    assert link.get_attribute("aria-describedby") == tip.get_attribute("id")
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    assert page.evaluate("document.activeElement.textContent") == "top-k", "the focus stays"
    assert link.get_attribute("aria-describedby") is None
    page.keyboard.press("Tab")
    assert "top-p" in tip.inner_text()


def test_the_pointer_may_move_onto_a_meaning_and_nothing_moves(page: Page):
    page.goto(CHAPTER)
    page.wait_for_load_state("networkidle")
    page.evaluate("""() => {
        window.shifts = [];
        new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => entry.value)))
            .observe({ type: "layout-shift", buffered: false });
    }""")
    height = page.evaluate("document.documentElement.scrollHeight")
    tip = page.get_by_role("tooltip")
    page.locator("a.term").nth(3).hover()
    tip.wait_for(state="visible")
    box = tip.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 20, box["y"] + 10, steps=4)
    page.wait_for_timeout(600)  # longer than a meaning stays when the pointer has left
    assert tip.is_visible()
    page.mouse.move(5, 790)
    tip.wait_for(state="hidden")
    assert page.evaluate("document.documentElement.scrollHeight") == height
    assert page.evaluate("window.shifts") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_meanings_of_each_kind_are_accessible_and_on_the_screen(page: Page, scheme: Literal["light", "dark"]):
    page.emulate_media(color_scheme=scheme)
    page.goto(CHAPTER)
    tip = page.get_by_role("tooltip")
    kinds = {
        "a.term": "token",
        "a[href*='bibliography.html#']": "20",
        "a[href*='ledger.html#claim-']": "Checked:",
        "a:has(.measured)": "lab 12",
    }
    for selector, words in kinds.items():
        link = page.locator(f"article {selector}").nth(1)
        assert link.get_attribute("title") is None, "or there would be two boxes"
        link.hover()
        tip.wait_for(state="visible")
        page.wait_for_timeout(300)
        assert words in tip.inner_text()
        box = tip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 1280
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 800
    assert violations(page) == []


def test_the_first_tap_shows_the_meaning_and_the_second_follows_the_link(phone: Page):
    phone.goto(CHAPTER)
    link, tip = phone.locator("a.term", has_text="top-p").first, phone.get_by_role("tooltip")
    link.tap()
    tip.wait_for(state="visible")
    assert phone.url.endswith(CHAPTER)
    assert "Tap again" in tip.inner_text()
    assert phone.evaluate("document.documentElement.scrollWidth") == 390
    phone.touchscreen.tap(200, 60)
    assert not tip.is_visible()
    link.tap()
    link.tap()
    phone.wait_for_url("**/glossary.html#term-top-p")


def test_a_claim_leads_from_a_lab_to_the_ledger_and_back(page: Page):
    page.goto(LAB)
    page.locator("article a[href*='ledger.html#claim-topp-definition']").first.click()
    page.wait_for_url("**/ledger.html#claim-topp-definition")
    item = page.locator("#claim-topp-definition")
    assert "lab 12" in item.inner_text()
    item.get_by_role("link", name="lab 12", exact=True).click()
    page.wait_for_url("**/12_decoding.html#cites-topp-definition")
    assert page.locator(":target").inner_text().endswith("topp-definition")


# Search


@pytest.mark.parametrize(
    ("words", "first", "page_title"),
    [
        ("top-p", "glossary.html#term-top-p", "From logits to text"),
        ("KV cache", "glossary.html#term-KV-cache", "Attention"),
        ("kv caches", "glossary.html#term-KV-cache", "Attention"),
        ("topp-definition", "ledger.html#claim-topp-definition", "The ledger"),
        ("beam search", "glossary.html#term-beam-search", "From logits to text"),
        ("adaptation of MinHash", "", ""),
    ],
)
def test_search_finds_terms_claims_and_pages(page: Page, words: str, first: str, page_title: str):
    page.goto("/search.html?q=" + words.replace(" ", "+"))
    page.locator(".search-summary:has-text('found'), .search-summary:has-text('did not match')").wait_for()
    if not first:
        assert page.locator(".search-entries").count() == 0
        return
    entries = page.locator(".search-entries ul.search > li > a")
    assert str(entries.first.get_attribute("href")).endswith(first)
    assert page.locator("#search-results ul.search > li > a").first.inner_text().startswith(page_title)
    page.wait_for_load_state("networkidle")
    assert page.locator("#search-results .context").first.inner_text()
    entries.first.click()
    page.wait_for_url(f"**/{first}*")


def test_an_excerpt_has_a_formula_once_and_no_data(page: Page):
    page.goto("/search.html?q=top-p")
    page.locator("#search-results .context").first.wait_for()
    text = page.evaluate(
        f"fetch('{CHAPTER.lstrip('/')}').then((got) => got.text()).then((html) => Search.htmlToText(html))"
    )
    assert "makes probabilities of them: raise e to each logit" in text
    assert [noise for noise in ("\\", "Copy to clipboard", '"../', "glossary.html") if noise in text] == []


def test_the_icon_of_the_search_leaves_its_words_free(page: Page):
    page.goto("/search.html?q=sentinel")
    form = page.locator("form.bd-search").last
    field, icon = form.locator("input").bounding_box(), form.locator("svg, i").first.bounding_box()
    assert field is not None
    assert icon is not None
    words_begin = field["x"] + float(form.locator("input").evaluate("x => parseFloat(getComputedStyle(x).paddingLeft)"))
    assert icon["x"] + icon["width"] <= words_begin


def test_what_the_search_shows_is_accessible(page: Page):
    page.goto("/search.html?q=top-p")
    page.locator("#search-results .context").first.wait_for()
    page.locator(".search-entries summary").click()
    assert violations(page) == []


# Hints and solutions


@pytest.mark.parametrize("scripts", [True, False])
def test_a_hint_appears_after_the_one_before_was_opened(browser: Browser, site_url: str, scripts: bool):
    context = browser.new_context(base_url=site_url, java_script_enabled=scripts)
    page = context.new_page()
    page.goto(LAB)
    ladder = page.locator(".ladder").first
    hints = [ladder.get_by_text(f"Hint {number} of 3", exact=True) for number in (1, 2, 3)]
    solution = ladder.get_by_text("Solution", exact=True)
    assert [hint.is_visible() for hint in hints] == [True, False, False]
    assert solution.is_visible()
    assert not ladder.locator("pre").is_visible()
    hints[0].focus()
    page.keyboard.press("Enter")
    assert [hint.is_visible() for hint in hints] == [True, True, False]
    hints[1].click()
    hints[2].click()
    assert ladder.get_by_text("One division is enough.").is_visible()
    solution.click()
    assert "return logits / temperature" in ladder.locator("pre").inner_text()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opened_hints_and_solutions_are_accessible(page: Page, scheme: Literal["light", "dark"]):
    page.emulate_media(color_scheme=scheme)
    page.goto(LAB)
    page.evaluate("document.querySelectorAll('.ladder details').forEach((details) => (details.open = true))")
    assert violations(page) == []


# Programs, tables


@pytest.mark.parametrize("width", [390, 1280])
def test_no_program_is_wider_than_its_box_and_its_text_is_the_notebooks(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(LAB)
    pres = "[...document.querySelectorAll('.cell_input pre')]"
    assert page.evaluate(f"{pres}.filter((pre) => pre.scrollWidth > pre.clientWidth).length") == 0
    cells = json.loads((ROOT / "labs" / "12_decoding.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]).strip("\n") for cell in cells if cell["cell_type"] == "code"]
    assert page.evaluate(f"{pres}.map((pre) => pre.textContent.replace(/^\\n+|\\n+$/g, ''))") == sources
    broken = "(line) => line.offsetHeight > 1.5 * parseFloat(getComputedStyle(line).lineHeight)"
    lines = page.evaluate(f"[...document.querySelectorAll('.code-line')].filter({broken}).length")
    assert lines > 50, "long lines are broken"


def test_on_a_phone_a_wide_table_scrolls_in_its_own_box_and_by_keyboard(page: Page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto("/chapters/03_attention.html")
    page.wait_for_load_state("networkidle")
    boxes = "[...document.querySelectorAll('article .pst-scrollable-table-container:has(table)')]"
    wide = page.evaluate(f"""{boxes}.filter((box) => box.scrollWidth > box.clientWidth + 1)
        .map((box) => [box.tabIndex, getComputedStyle(box).backgroundImage.split("gradient").length - 1])""")
    assert wide, "there is one"
    assert all(box == [0, 4] for box in wide), "reachable, and with a shadow at its edge"
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "address",
    [
        "/chapters/03_attention.html#heads",
        "/chapters/03_attention.html#quiz",
        "/chapters/ledger.html#claim-temp-warm-flatter",
        "/chapters/sabotage.html#faults-08-heads-and-cache",
        "/labs/08_heads_and_cache.html#with-a-real-model",
    ],
)
def test_a_link_into_a_long_page_leads_to_its_place(page: Page, address: str, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    place = page.locator(f"[id='{address.partition('#')[2]}']")
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # what comes on the screen is laid out, and may push the rest
    assert 0 <= place.evaluate("(element) => element.getBoundingClientRect().top") < 120


# The keyboard


@pytest.mark.parametrize("address", [CHAPTER, LAB])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page, address: str):
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Tab")
    assert "Skip to main content" in page.evaluate("document.activeElement.textContent")
    page.wait_for_timeout(500)  # it slides in
    seen, lost = [], []
    for _ in range(600):
        here = page.evaluate("""() => {
            const element = document.activeElement;
            if (!element || element === document.body) return null;
            window.stops ??= new Map();
            if (!window.stops.has(element)) window.stops.set(element, window.stops.size);
            const style = getComputedStyle(element), box = element.getBoundingClientRect();
            const marked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
            const onScreen = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
            return [window.stops.get(element), marked && onScreen && box.width > 0, element.outerHTML.slice(0, 150)];
        }""")
        if here is None or here[0] < len(seen):
            break
        seen.append(here[2])
        lost += [] if here[1] else [here[2]]
        page.keyboard.press("Tab")
    assert lost == [], "the focus is visible"
    assert any("right-next" in stop for stop in seen), "it came to the end of the page"
    links = page.locator("article a.term").count()
    assert sum('class="term' in stop or "term reference" in stop for stop in seen) == links


# An address without a page


@pytest.mark.parametrize("address", ["/nothing.html", "/chapters/nothing.html", "/a/b/c/d/nothing.html"])
def test_at_any_depth_a_missing_page_looks_like_the_book(page: Page, site: Path, site_url: str, address: str):
    page.route(
        f"**{address}", lambda route: route.fulfill(status=200, content_type="text/html", path=site / "404.html")
    )
    missing: list[str] = []
    page.on("response", lambda response: missing.append(response.url) if response.status >= 400 else None)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    assert missing == []
    assert page.get_by_role("heading", level=1).inner_text().startswith("Page not found")
    page.get_by_role("link", name="The ledger").first.click()
    page.wait_for_url("**/chapters/ledger.html")
