"""The model in the pages, as a reader meets it: in Chromium, against PyTorch, by keyboard, and without a network."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect
from watched import Watch

from labutils import sampling, widgets
from labutils.models import Decoder
from labutils.weights import load_world_decoder
from labutils.widgets.parts import uniform
from labutils.world import World

PAGES = {"next": "index", "steps": "01_llms", "attention": "03_attention", "sampling": "05_sampling"}
FILE = "world_model.js"


# Notes when the file has been run, and when the figure has changed its text.
WATCH = """() => {
    document.addEventListener("load", ({ target }) => {
        if (target.src?.includes("world_model")) globalThis.loadedAt = performance.now();
    }, true);
    const field = document.querySelector(".gam-live textarea");
    const before = field.value;
    new MutationObserver(() => {
        if (field.value !== before) globalThis.wroteAt ??= performance.now();
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def model() -> Decoder:
    return load_world_decoder()


def address(view: str) -> str:
    return f"/chapters/{PAGES[view]}.html"


def figure(page: Page, view: str) -> Locator:
    """The figure of a page that was just opened. What it writes appears at once, as for readers who want no motion."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(address(view))
    shown = page.locator(".gam-live:has(textarea)")
    shown.scroll_into_view_if_needed()  # what was never on the screen is not laid out
    return shown


def write(shown: Locator, text: str) -> None:
    """Type a text, once the model is there."""
    shown.get_by_role("textbox").fill(text)
    expect(shown).to_contain_text("The model is at work in this page")


def numbers(shown: Locator) -> dict[str, list[str]]:
    """The table of the next words: what its rows say after the word and the bar."""
    rows = shown.locator("tbody tr:visible").all_inner_texts()
    return {cells[0].strip(): cells[2:] for row in rows if (cells := row.split("\t"))}


@pytest.mark.parametrize("view", PAGES)
def test_the_first_state_is_useful_and_loads_nothing(page: Page, view: str):
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    shown = figure(page, view)
    expect(shown).to_contain_text("These are stored results of the trained model")
    page.wait_for_load_state("networkidle")
    assert not [url for url in requests if FILE in url]
    if view == "attention":
        assert len(shown.locator("canvas").all()) == 8
        expect(shown).to_contain_text("layer 2, head 3: “tree” takes most, 1.000, from “dogs”.")
    else:
        word, column = {"next": ("cake", 1), "steps": ("a", 1), "sampling": ("cake", 0)}[view]
        assert float(numbers(shown)[word][column]) == pytest.approx({"a": 0.685, "cake": 0.2}[word], abs=0.001)


def test_logits_of_the_served_script_and_weights_are_pytorchs(page: Page, world: World, model: Decoder):
    """The script of the page, run once more to get at its functions, with the weights that the page loads."""
    rows = [world.prompt(text)[0].tolist() for text in ("for dessert we had the", "the dogs near the old tree", "")]
    rows += world.sample(3, 127, seed=11).tokens.tolist()
    figure(page, "next")
    found = page.evaluate(
        """async ([rows, address]) => {
            const { parentNode } = document.querySelector(".gam-live:has(textarea)");
            const script = parentNode.querySelector("script[type=module]").textContent;
            const source = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
            const module = await import(source);
            const loaded = document.createElement("script");
            loaded.src = document.documentElement.dataset.content_root + address;
            document.head.append(loaded);
            await new Promise((resolve) => { loaded.onload = resolve; });
            const opened = module.open(globalThis.labutilsWorldModel);
            return rows.map((tokens) => module.read(opened, tokens).logits);
        }""",
        [rows, widgets.world_model_address()],
    )
    for tokens, logits in zip(rows, found, strict=True):
        with torch.no_grad():
            expected = model(torch.tensor([tokens]))[0, -1].numpy()
        assert np.abs(np.array(logits) - expected).max() < 1e-4


def test_greedy_sentences_are_those_of_pytorch(page: Page, world: World, model: Decoder):
    shown = figure(page, "sampling")
    shown.get_by_role("button", name="Greedy", exact=True).click()
    for text in ("for dessert we had the", "the dogs near the old tree", "question : where is titan ?", "some"):
        write(shown, text)
        shown.get_by_role("button", name="Write to the full stop").click()
        prompt = torch.from_numpy(world.prompt(text))
        expected = sampling.generate(model, prompt, max_new_tokens=40, greedy=True, stop_token=world.stop)
        assert shown.get_by_role("textbox").input_value() == world.decode(expected.tokens[0, 1:].tolist())


def drawn(world: World, model: Decoder, text: str, seed: int, temperature: float = 1.0, top_p: float = 1.0) -> str:
    """The sentence that a seed writes: word n falls where number n of the seed lies on the line of probabilities."""
    tokens = world.prompt(text)[0].tolist()
    numbers = [number for _, number in zip(range(128), uniform(seed), strict=False)]
    while tokens[-1] != world.stop:
        with torch.no_grad():
            logits = model(torch.tensor([tokens]))[0, -1].double()
        law = sampling.filter_logits(logits, temperature=temperature, top_p=top_p).softmax(-1)
        ordered, tokens_ordered = law.sort(descending=True, stable=True)
        place = int(torch.searchsorted(ordered.cumsum(0), numbers[len(tokens)], right=True))
        tokens.append(int(tokens_ordered[place]))
    return world.decode(tokens[1:])


def test_a_seed_writes_its_sentence_word_by_word_or_at_once(page: Page, world: World, model: Decoder):
    shown = figure(page, "next")
    field = shown.get_by_role("textbox")
    texts = []
    for seed in (0, 1, 2, 3):
        write(shown, "the old")
        shown.get_by_role("spinbutton", name="Seed").fill(str(seed))
        shown.get_by_role("spinbutton", name="Seed").blur()
        if seed % 2:
            shown.get_by_role("button", name="Write to the full stop").click()
        else:
            while not field.input_value().endswith("."):
                shown.get_by_role("button", name="Add a word").click()
        assert field.input_value() == drawn(world, model, "the old", seed)
        texts.append(field.input_value())
    assert len(set(texts)) > 1


def test_hot_and_filtered_words_follow_the_settings(page: Page, world: World, model: Decoder):
    shown = figure(page, "sampling")
    shown.get_by_role("button", name="Hot, nucleus").click()
    write(shown, "a cow")
    with torch.no_grad():
        logits = model(torch.from_numpy(world.prompt("a cow")))[0, -1]
    after = sampling.filter_logits(logits, temperature=2.0, top_p=0.9).softmax(-1)
    columns = np.stack((world.law_after("a cow"), logits.softmax(-1).numpy(), after.numpy()))
    rows = {text: cells for text, cells in numbers(shown).items() if text in world.vocab}
    assert len(rows) == 8
    for text, cells in rows.items():
        np.testing.assert_allclose([float(cell) for cell in cells], columns[:, world.vocab.index(text)], atol=6e-4)
    shown.get_by_role("button", name="Write to the full stop").click()
    assert shown.get_by_role("textbox").input_value() == drawn(world, model, "a cow", 0, temperature=2.0, top_p=0.9)


def test_the_steps_come_one_by_one(page: Page):
    shown = figure(page, "steps")
    step = shown.get_by_role("button", name="Step")
    step.click()
    field = shown.get_by_role("textbox")
    expect(field).to_have_value("question : where is ganymede ? answer : it is a")
    expect(shown.locator("[aria-current=step]")).to_have_text("1 tokens")
    expect(shown.locator(".gam-tokens li").last).to_have_text("a")
    step.click()
    expect(shown.locator(".gam-tokens li").last).to_have_text(re.compile(r"a\d+"))
    assert numbers(shown)["moon"] == ["", "", ""]
    step.click()
    assert float(numbers(shown)["moon"][0]) > 5
    assert numbers(shown)["moon"][1:] == ["", ""]
    step.click()
    assert float(numbers(shown)["moon"][1]) > 0.9
    step.click()
    expect(shown).to_contain_text("falls on the stretch of “moon”")
    step.click()
    expect(field).to_have_value("question : where is ganymede ? answer : it is a moon")


def test_attention_shows_the_numbers_of_pytorch(page: Page, world: World, model: Decoder):
    shown = figure(page, "attention")
    text = "the dogs behind some small boats"
    write(shown, text)
    with torch.no_grad():
        weights = model.attention_weights(torch.from_numpy(world.prompt(text)))
    shown.locator("summary").click()
    slider = shown.get_by_role("slider", name="Position")
    for position in (6, 4):
        slider.fill(str(position))
        rows = [row.split("\t") for row in shown.locator(".gam-heads tbody tr").all_inner_texts()]
        assert [name for name, *_ in rows] == [f"{i} {word}" for i, word in enumerate(["<bos>", *text.split()])][
            : position + 1
        ]
        found = np.array([[float(cell) for cell in cells] for _, *cells in rows])
        expected = torch.cat([layer[0, :, position, : position + 1] for layer in weights]).T
        np.testing.assert_allclose(found, expected, atol=0.0051)
    slider.fill("6")
    head = shown.get_by_role("button", name="layer 1, head 3")
    head.press("Enter")
    expect(head).to_have_attribute("aria-pressed", "true")
    expect(shown).to_contain_text(re.compile(r"layer 1, head 3: “boats” takes most, 0\.99\d, from “behind”"))
    box = head.locator("canvas").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.1)
    expect(shown).to_contain_text("“<bos>” cannot see “boats”, which comes later.")
    page.mouse.move(box["x"] + box["width"] * 3.5 / 7, box["y"] + box["height"] * 6.5 / 7)
    expect(shown).to_contain_text(f"“boats” takes {weights[0][0, 2, 6, 3]:.3f} from “behind”")


def test_unknown_words_get_a_sentence_and_suggestions(page: Page):
    shown = figure(page, "next")
    write(shown, "the dogz near ")
    expect(shown.get_by_role("status").first).to_have_text(
        "“dogz” is not one of the 296 words of this language. Words like it:"
    )
    expect(shown.get_by_role("button", name="Add a word")).to_be_disabled()
    shown.get_by_role("button", name="dogs", exact=True).click()
    expect(shown.get_by_role("textbox")).to_have_value("the dogs near")
    expect(shown.get_by_role("button", name="Add a word")).to_be_enabled()
    write(shown, "the dogs near the xylophones ")
    expect(shown.get_by_role("status").first).to_have_text("“xylophones” is not one of the 296 words of this language.")
    write(shown, "the dogs near the fa")  # still being typed
    expect(shown.get_by_role("status").first).to_have_text("Words that begin with “fa”:")
    shown.get_by_role("button", name="farmer", exact=True).click()
    expect(shown.get_by_role("textbox")).to_have_value("the dogs near the farmer")
    write(shown, "the the")
    expect(shown.get_by_role("status").first).to_contain_text("The language cannot say this")
    write(shown, "the dog sleeps . " * 32)
    expect(shown.get_by_role("status").first).to_contain_text("The context window holds 128 tokens")


def test_all_of_it_works_by_keyboard(page: Page):
    shown = figure(page, "next")
    press = page.keyboard.press
    shown.get_by_role("button", name="classify this review").focus()
    press("Tab")
    press("Control+A")
    page.keyboard.type("the cows")
    expect(shown).to_contain_text("The model is at work in this page")
    press("Enter")
    field = shown.get_by_role("textbox")
    expect(field).to_have_value(re.compile(r"^the cows \w+$"))
    press("Tab")
    expect(shown.get_by_role("button", name="Add a word")).to_be_focused()
    press("Space")
    press("Tab")
    press("Enter")
    expect(field).to_have_value(re.compile(r"^the cows .*\.$"))
    expect(shown.get_by_role("status").last).to_have_text(f"The text is now: {field.input_value()}")
    press("Tab")
    press("Enter")
    press("Tab")
    expect(shown.get_by_role("spinbutton", name="Seed")).to_have_value("1")
    press("Tab")
    word = page.evaluate("document.activeElement.textContent")
    before = field.input_value()
    press("Enter")
    expect(field).to_have_value(f"{before} {word}")
    assert page.evaluate("document.activeElement.closest('tbody') !== null")  # the focus stays where it was


def test_the_first_word_comes_soon_after_the_weights(page: Page):
    """A generous bound; benchmarks/model_in_page.py measures it. The clock starts when the browser has run the file."""
    shown = figure(page, "next")
    page.evaluate(WATCH)
    shown.get_by_role("button", name="Add a word").click()
    expect(shown.get_by_role("textbox")).not_to_have_value("for dessert we had the")
    assert 0 < page.evaluate("globalThis.wroteAt - globalThis.loadedAt") < 3000


def test_a_model_that_does_not_load_is_told_and_tried_again(page: Page, watch: Watch):
    page.route(f"**/{FILE}*", lambda route: route.abort())
    shown = figure(page, "next")
    shown.get_by_role("button", name="Add a word").click()
    expect(shown).to_contain_text("The model could not be loaded. What you see are stored results.")
    expect(shown.get_by_role("textbox")).to_have_value("for dessert we had the")
    page.unroute(f"**/{FILE}*")
    shown.get_by_role("button", name="Add a word").click()
    expect(shown.get_by_role("textbox")).not_to_have_value("for dessert we had the")
    watch.errors.clear()


def test_it_works_in_a_page_that_was_opened_from_a_disk(browser: Browser, site: Path):
    page = browser.new_page()
    page.goto((site / address("next").lstrip("/")).as_uri())
    shown = page.locator(".gam-live:has(textarea)")
    shown.get_by_role("button", name="Add a word").click()
    expect(shown).to_contain_text("The model is at work in this page")
    page.close()


def test_embedded_in_a_notebook_it_needs_no_other_file(page: Page):
    page.goto("/404.html")
    page.set_content(f"<!doctype html><title>A notebook</title>{widgets.model_explorer('sampling')._repr_html_()}")
    shown = page.locator(".gam-live")
    shown.get_by_role("button", name="Add a word").click()
    expect(shown.get_by_role("textbox")).not_to_have_value("for dessert we had the")
