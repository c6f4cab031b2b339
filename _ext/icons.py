"""Shrinks the icon fonts from 300 KB to the few glyphs that the book shows.

The theme brings all of Font Awesome, as fonts and again as a script of 1.5 MB that draws the same icons. The pages use
about two dozen. The script goes (see selfhost), and the fonts and the style sheet keep what a page or a rule names.
"""

import re
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

from _ext.accessible import pages

THEME_SHEET = "_static/styles/pydata-sphinx-theme.css"
FONTS = "_static/vendor/fontawesome/webfonts"
# The theme's scripts put these into the page when it is open.
SCRIPTED = {"fa-circle-half-stroke", "fa-sun", "fa-moon", "fa-check", "fa-xmark"}
ICON_RULE = re.compile(r'((?:\.fa-[a-z0-9-]+:before,?)+)\{content:"\\?([^"]+)"\}')


def used_icons(html: str) -> set[str]:
    """The names of the icons in a page, such as fa-download."""
    return set(re.findall(r"\bfa-[a-z0-9-]+", html))


def without_unused(sheet: str, used: set[str]) -> str:
    """The theme's style sheet without the rules of icons that no page uses, and without the fonts of old browsers."""

    def keep(rule: re.Match) -> str:
        return rule[0] if used & used_icons(rule[1]) else ""

    return re.sub(r',url\([^)]*\.ttf\) format\("truetype"\)', "", ICON_RULE.sub(keep, sheet))


def code_points(sheet: str) -> set[int]:
    """The characters of the private use area, where icons live, that a style sheet names or contains."""
    named = {int(digits, 16) for digits in re.findall(r"\\([ef][0-9a-f]{3})\b", sheet)}
    return named | {ord(character) for character in sheet if "\ue000" <= character <= "\uf8ff"}


def shrink(font: Path, characters: set[int]) -> None:
    """Rewrite a font with these characters only."""
    options = subset.Options(flavor="woff2", layout_features=[], notdef_outline=True)
    loaded = subset.load_font(str(font), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=characters)
    subsetter.subset(loaded)
    subset.save_font(loaded, str(font), options)


def shrink_icons(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    used = SCRIPTED.union(*(used_icons(page.read_text(encoding="utf-8")) for page in pages(site)))
    theme = site / THEME_SHEET
    theme.write_text(without_unused(theme.read_text(encoding="utf-8"), used), encoding="utf-8")
    sheets = (path.read_text(encoding="utf-8") for path in (site / "_static").rglob("*.css"))
    characters = set().union(*map(code_points, sheets))
    for font in (site / FONTS).glob("*.woff2"):
        shrink(font, characters)
    for unused in (site / FONTS).glob("*.ttf"):
        unused.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", shrink_icons, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
