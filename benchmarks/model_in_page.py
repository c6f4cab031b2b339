"""The model in the page: how soon the first word comes once the weights are there, and what reading costs.

    make book && python benchmarks/model_in_page.py [site] [rounds]

Chromium opens the first page of the built site and presses "Add a word". Its own clock is read from the moment that it
has run the file with the weights to the moment that the figure holds the new word; 300 ms on two cores are asked for.
Then the whole context window of 128 tokens is read at once; the figure itself says how long that took.
"""

import re
import runpy
import sys
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
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


def measure(browser: Browser, address: str) -> tuple[float, float]:
    """Milliseconds to the first word, and for the whole window."""
    page = browser.new_page()
    page.goto(address)
    page.evaluate(WATCH)
    shown = page.locator(".gam-live:has(textarea)")
    shown.get_by_role("button", name="Add a word").click()
    page.wait_for_function("globalThis.wroteAt")
    first = page.evaluate("globalThis.wroteAt - globalThis.loadedAt")
    shown.get_by_role("textbox").fill("the dog sleeps . " * 31 + "a dog sleeps")
    said = re.search(r"128 tokens \(([\d.]+) ms\)", shown.inner_text())
    page.close()
    if said is None:
        raise RuntimeError("The figure does not say how long it took.")
    return first, float(said[1])


def main() -> None:
    site = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "_build" / "html"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 9
    path = runpy.run_path(str(ROOT / "tools" / "browser.py"))["find"]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        times = [measure(browser, (site / "chapters" / "index.html").resolve().as_uri()) for _ in range(rounds)]
        print(f"Chromium {browser.version}, {rounds} rounds: median, and the slowest")
        browser.close()
    for name, column in zip(("first word after loading", "128 tokens at once"), zip(*times, strict=True), strict=True):
        print(f"  {name:25} {median(column):6.0f} ms {max(column):6.0f} ms")


if __name__ == "__main__":
    main()
