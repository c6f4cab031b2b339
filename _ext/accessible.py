"""Repairs, in the finished pages, what the theme and docutils get wrong for readers who do not see the page.

Each repair names the rule of axe-core (deque.com/axe) that finds the fault; where the theme mends it, the repair does
nothing and can be deleted.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

REPAIRS = (
    # label-content-name-mismatch: the words on a button are its name, for those who speak to it
    (r'(<button[^>]*(?:search-button-field|theme-switch-button)[^>]*?) aria-label="[^"]*"', r"\1"),
    (r'<summary aria-label="Toggle hidden content"', "<summary"),
    # summary-name: the arrow that opens the pages below a chapter has no words
    (r'<summary>(?=<span class="toctree-toggle")', '<summary aria-label="Pages below">'),
    # region: the sidebar is a landmark, because the logo in it lies outside the navigation
    (
        r'<(div|dialog) id="pst-primary-sidebar"(?! role)',
        r'<\1 id="pst-primary-sidebar" role="complementary" aria-label="Book"',
    ),
    # page-has-heading-one wants one heading: the theme writes the title a second time for print
    (r'(<div id="jb-print-docs-body" class="onlyprint">\s*)<h1>.*?</h1>', r"\1"),
    # aria-deprecated-role, aria-required-children: a bibliography is a list
    (r' role="doc-biblioentry"', ' role="listitem"'),
)


def repair(page: str) -> str:
    """The page with every repair applied; applying it twice changes nothing."""
    for fault, cure in REPAIRS:
        page = re.sub(fault, cure, page)
    return page


def pages(site: Path) -> list[Path]:
    """The built pages of the site."""
    return [path for path in site.rglob("*.html") if "_static" not in path.relative_to(site).parts]


THEME_SCRIPT = "_static/scripts/pydata-sphinx-theme.js"
# Once a page is there, and again after every change of it, this call lays out the whole page to see which boxes can be
# scrolled, and lets the keyboard reach those. scrollable.js does the same for the boxes that are on the screen.
CALL = re.compile(r',"complete"===document\.readyState\?(\w+)\(\):window\.addEventListener\("load",\1\)(?=\}\)\(\);)')


INSTEAD = "/* scrollable.js */"


def without_the_call(script: str) -> str:
    """The theme's script without `CALL`; doing it twice changes nothing. Raises ValueError if it has another form."""
    if INSTEAD in script:
        return script
    script, count = CALL.subn(INSTEAD, script)
    if count != 1:
        raise ValueError(f"The theme's script has changed: see CALL in {__file__}.")
    return script


def repair_script(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    path = Path(app.outdir, THEME_SCRIPT)
    path.write_text(without_the_call(path.read_text(encoding="utf-8")), encoding="utf-8")


def repair_pages(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    for path in pages(Path(app.outdir)):
        before = path.read_text(encoding="utf-8")
        if (after := repair(before)) != before:
            path.write_text(after, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.add_js_file("scrollable.js", loading_method="defer")
    app.connect("build-finished", repair_pages)
    app.connect("build-finished", repair_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
