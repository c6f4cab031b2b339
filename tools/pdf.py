"""Makes a PDF of each chapter from the built site, with Chromium, and offers it on the chapter's page.

    python tools/book.py pdf      after `make book`; needs Playwright and a Chromium (see tools/browser.py)

The PDFs lie beside the pages: chapters/05_sampling.pdf. In them everything is opened, a quiz's answers follow its last
question, and what is cited is listed at the end. Links lead to the published site where it has an address.
"""

import sys
from pathlib import Path

import browser
from course import PLACEHOLDER, read_course

WIDTH, HEIGHT = 900, 40_000  # of the window, in pixels: so high that every figure, which wait to be seen, is drawn
SETTLE = 1500  # milliseconds

# In a PDF a relative link would lead to where it was made.
RELINK = """(site) => {
  for (const link of document.querySelectorAll("a[href]")) {
    const href = link.getAttribute("href");
    const cited = /bibliography\\.html#(\\w+)$/.exec(href);
    if (cited && document.getElementById(`print-${cited[1]}`)) link.href = `#print-${cited[1]}`;
    else if (/^(#|https?:)/.test(href)) continue;
    else if (site) link.href = new URL(href, new URL(`chapters/${location.pathname.split("/").pop()}`, site));
    else link.removeAttribute("href");
  }
}"""

BUTTON = """<li><a href="{name}" download class="btn btn-sm btn-download-pdf-button dropdown-item">
<span class="btn__icon-container"><i class="fas fa-file-pdf"></i></span>
<span class="btn__text-container">.pdf</span></a></li>
"""


def offer(page: str, name: str) -> str:
    """A chapter's page with a button that downloads its PDF, in the menu of downloads; twice is harmless."""
    if f'href="{name}"' in page:
        return page
    menu, label, rest = page.partition("dropdown-download-buttons")
    return (
        menu
        + label
        + rest.replace('<ul class="dropdown-menu">', f'<ul class="dropdown-menu">\n{BUTTON.format(name=name)}', 1)
    )


def make(site: Path) -> int:
    """Make the PDFs of a built site; returns the exit status and, where it is not 0, says why in one sentence."""
    try:
        path = browser.find()
    except FileNotFoundError as error:
        print(f"No PDF was made: {error}", file=sys.stderr)
        return 1
    if path is None:
        print("No PDF was made: install Chromium or Chrome, or name one with CHROMIUM=/path/to/it.", file=sys.stderr)
        return 1
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        print("No PDF was made: install Playwright, as in `pip install playwright`.", file=sys.stderr)
        return 1
    chapters = sorted((site / "chapters").glob("[0-9][0-9]_*.html"))
    if not chapters:
        print("No PDF was made: there is no site yet. Build it first: make book", file=sys.stderr)
        return 1
    course = read_course()
    address = "" if course.repository == PLACEHOLDER else course.site
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=browser.ARGUMENTS)
        for chapter in chapters:
            page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            page.goto(chapter.as_uri())
            page.wait_for_timeout(SETTLE)
            page.evaluate("Printing.begin(), Printing.open()")
            page.evaluate(RELINK, address)
            page.pdf(path=chapter.with_suffix(".pdf"), format="A4", print_background=True, tagged=True, outline=True)
            page.close()
        chromium.close()
    for chapter in chapters:
        pdf = chapter.with_suffix(".pdf")
        chapter.write_text(offer(chapter.read_text(encoding="utf-8"), pdf.name), encoding="utf-8")
        print(f"{pdf.name}: {pdf.stat().st_size / 1e6:.1f} MB")
    return 0
