"""Makes sure that a page loads nothing from another host, and nothing that this book does not use.

Links to other sites are fine, a reader decides to follow them. What a browser would fetch by itself (scripts, styles,
fonts, images, frames) must lie in the site. Anything else is a warning, which fails the build. A page inside a frame's
srcdoc is read in the same way; its scripts are other people's work and may load in ways that no list foresees, so in
them every address that stands in quotes counts as a load.
"""

import re
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util import logging

from _ext.accessible import pages

log = logging.getLogger(__name__)

# Whole tags that the theme and Jupyter Book put on every page and this book has no use for.
UNUSED = (
    r"<script[^>]*scripts/fontawesome\.js.*?</script>",  # draws the icons that the style sheet draws already
    r"<script[^>]*sphinx-thebe\.js.*?</script>",  # Thebe runs cells through a remote server
    r"<script>const THEBE_JS_URL.*?</script>",
    r'<script type="text/x-thebe-config">.*?</script>',
    r"<script>\s*kernelName = .*?</script>",
    r"<link[^>]*sphinx-thebe\.css[^>]*/>",
)
SEARCH_ONLY = r'<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
DEAD_FILES = ("*.map", "fontawesome.js", "fontawesome.js.LICENSE.txt", "sphinx-thebe.*")


def trimmed(page: str, options: str, *, is_search: bool) -> str:
    """The page without tags it does not need; scripts of the head wait until the page is there.

    `options` is the text of documentation_options.js, which inline scripts need at once, so it moves into the page.
    """
    for tag in UNUSED if is_search else (*UNUSED, SEARCH_ONLY):
        page = re.sub(tag + r"\s*", "", page, flags=re.DOTALL)
    if is_search:
        return page
    head, end, body = page.partition("</head>")
    head = re.sub(r'<script src="[^"]*documentation_options\.js[^"]*">', lambda _: f"<script>{options}", head)
    head = re.sub(r"<script (?![^>]*\b(?:defer|async|type=))(?=[^>]*\bsrc=)", "<script defer ", head)
    return head + end + body


CALLS = r"""(?:import\s*\(|import\s|from\s|fetch\s*\(|\.src\s*=)\s*["'`]([^"'`]+)"""
QUOTED = r"""["'`]((?:\w+:)?//(?!www\.w3\.org/)\w[^"'`\s]*)"""  # w3.org: the names of the languages SVG and HTML


class Loads(HTMLParser):
    """Collects the addresses that a browser fetches by itself when it opens a page."""

    SOURCES = ("src", "srcset", "poster", "data")
    LINKS = ("stylesheet", "icon", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "manifest")

    def __init__(self, page: str, calls: str = CALLS):
        super().__init__()
        self.calls = calls  # the pattern of what a script loads
        self.found: list[str] = []
        self.code = ""  # the open <script> or <style>
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag loads."""
        values = {name: value or "" for name, value in attrs}
        if tag == "link" and set(values.get("rel", "").split()) & set(self.LINKS):
            self.found.append(values.get("href", ""))
        if tag in ("base", "image", "use"):
            self.found += [values[name] for name in ("href", "xlink:href") if name in values]
        self.found += [values[name] for name in self.SOURCES if name in values]
        for name, value in values.items():
            self.found += re.findall(self.calls, value) if name.startswith("on") else []
        self.found += in_style(values.get("style", ""))
        self.found += Loads(values.get("srcdoc", ""), QUOTED).found
        self.code = tag if tag in ("script", "style") else ""

    def handle_data(self, data: str) -> None:
        """Note what an inline script or style loads."""
        if self.code == "style":
            self.found += in_style(data)
        elif self.code == "script":
            self.found += re.findall(self.calls, data)


def in_style(sheet: str) -> list[str]:
    """The addresses that a style sheet loads."""
    return re.findall(r"""(?:url\(\s*|@import\s+)["']?([^"')\s;]+)""", sheet)


def external(addresses: list[str]) -> list[str]:
    """Those of the addresses that name another host."""
    return sorted({address for address in addresses if re.match(r"(?:(?:https?|wss?):)?//", address.strip())})


def finish(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    options = (site / "_static" / "documentation_options.js").read_text(encoding="utf-8").strip()
    for path in pages(site):
        before, is_search = path.read_text(encoding="utf-8"), path.name == "search.html"
        page = trimmed(before, options, is_search=is_search)
        if page == before and not is_search:
            continue  # every new page loads the options, so this one has been here, in an earlier build
        path.write_text(page, encoding="utf-8")
        for address in external(Loads(page).found):
            log.warning(
                "%s loads %s: put a copy into _public instead.", path.relative_to(site), address, type="selfhost"
            )
    for path in (site / "_static").rglob("*.css"):
        for address in external(in_style(path.read_text(encoding="utf-8"))):
            log.warning("%s loads %s.", path.relative_to(site), address, type="selfhost")
    for pattern in DEAD_FILES:
        for path in (site / "_static").rglob(pattern):
            path.unlink()


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", finish, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
