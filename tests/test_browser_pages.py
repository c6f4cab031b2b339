"""Every page in a browser without a network: light, dark, on a phone; accessible, small, no wider than the screen."""

from importlib import import_module
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

ROOT = Path(__file__).resolve().parent.parent
KILOBYTES = 500  # what a page may cost, compressed, before its reader touches anything
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "scheme": "light"},
}


def named_in_contents(node: object) -> list[str]:
    """The files that the table of contents names."""
    if isinstance(node, dict):
        own = [node[key] for key in ("root", "file") if key in node]
        return own + [name for value in node.values() for name in named_in_contents(value)]
    return [name for item in node for name in named_in_contents(item)] if isinstance(node, list) else []


CONTENTS = named_in_contents(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
PAGES = [f"/{name}.html" for name in CONTENTS] + ["/search.html", "/404.html"]


def violations(page: Page) -> list[str]:
    """What axe finds wrong, a line each: the rule, and the elements at fault."""
    options = {"resultTypes": ["violations"], "preload": False, "rules": {"target-size": {"enabled": True}}}
    found = Axe().run(page, options=options).response["violations"]
    return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"][:3]]


def bytes_received(page: Page) -> list[float]:
    """A list that grows by what the page receives, as it comes over the wire."""
    sizes: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    return sizes


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("address", PAGES)
def test_page_is_accessible_light_and_within_its_width(page: Page, address: str, look: str):
    settings = LOOKS[look]
    page.set_viewport_size(settings["viewport"])
    page.emulate_media(color_scheme=settings["scheme"], reduced_motion="reduce")
    received = bytes_received(page)
    page.goto(address)
    page.wait_for_load_state("networkidle")
    kilobytes = sum(received) / 1024
    page.add_style_tag(content="* { content-visibility: visible !important; }")  # else unseen parts are not laid out
    assert page.evaluate("document.documentElement.dataset.theme") == settings["scheme"]
    assert kilobytes <= KILOBYTES
    assert page.evaluate("document.documentElement.scrollWidth") <= settings["viewport"]["width"]
    assert violations(page) == []


SHEETS = {
    "pydata_sphinx_theme": "theme/pydata_sphinx_theme/static/styles/pydata-sphinx-theme.css",
    "sphinx_book_theme": "theme/sphinx_book_theme/static/styles/sphinx-book-theme.css",
    "sphinx_design": "static/sphinx-design.min.css",
    "myst_nb": "static/mystnb.css",
}
SELECTORS = """(sheet) => {
    const rules = (list) => [...list].flatMap((rule) => rule.selectorText ? [rule] : rules(rule.cssRules ?? []));
    const parts = (rule) => rule.selectorText.split(/,(?![^(]*\\))/).map((part) => part.trim());
    const state = /:not\\(:[\\w-]+\\)|::?(before|after|hover|focus(-\\w+)?|active|checked|disabled)\\b/g;
    const unread = [];
    const matches = (part) => {
        try { return document.querySelector(part.replaceAll(state, "") || "*"); } catch { unread.push(part); }
    };
    const original = new CSSStyleSheet();
    original.replaceSync(sheet);
    const kept = new Set([...document.styleSheets].flatMap((own) => rules(own.cssRules)).flatMap(parts));
    const matching = rules(original.cssRules).flatMap(parts).filter(matches);
    return [matching.length, matching.filter((part) => !kept.has(part)), unread.length];
}"""


@pytest.mark.parametrize("package", SHEETS)
def test_no_rule_that_matches_anything_was_taken_out(page: Page, package: str):
    """The browser itself says which selectors of the packages' own sheets match on the pages."""
    sheet = Path(str(import_module(package).__file__)).parent / SHEETS[package]
    found = 0
    for address in (
        "/chapters/03_attention.html",
        "/labs/08_heads_and_cache.html",
        "/chapters/ledger.html",
        "/404.html",
    ):
        page.goto(address)
        page.wait_for_load_state("networkidle")
        matching, lost, unread = page.evaluate(SELECTORS, sheet.read_text(encoding="utf-8"))
        assert [part for part in lost if ".fa-" not in part] == [], "icons are another matter: see _ext/icons.py"
        found += matching
        assert unread <= matching / 10, "nearly all can be tried once :hover and its like are left out"
    assert found, "the packages' sheets are in use"
