"""The site's address, derived from the one setting that names the repository, and the door at its root."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.application import Sphinx
from sphinx.config import Config

from tools.course import PLACEHOLDER, read_course


def set_address(app: Sphinx, config: Config) -> None:
    """Fill in what needs the address: canonical links, previews in other sites, and the links of the 404 page."""
    course = read_course()
    address = "" if course.repository == PLACEHOLDER else course.site
    config["html_baseurl"] = config["ogp_site_url"] = address
    config["notfound_urls_prefix"] = urlsplit(address).path or "/"


def link_to_pages(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links of a lab lead to the published site, for readers in Colab; in the book they lead to the page itself."""
    if docname.startswith("labs/"):
        pattern = rf"\]\({re.escape(read_course().site)}(chapters/\w+)\.html"
        source[0] = re.sub(pattern, r"](../\1.md", source[0])


FRONT_DOOR = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
{card}
</head>
<body><main><h1><a href="{page}">{title}</a></h1></main></body>
</html>
"""


def write_front_door(app: Sphinx, error: Exception | None) -> None:
    """Send whoever opens the site's address to the first page; the redirect that Sphinx is given has no title.

    It bears the first page's card, because the sites that show one do not follow redirects.
    """
    if error or app.builder.format != "html" or app.config.root_doc == "index":
        return
    page = app.builder.get_target_uri(app.config.root_doc)
    first = Path(app.outdir, page).read_text(encoding="utf-8")
    card = "\n".join(
        re.findall(r'<(?:meta (?:property="og:|name="(?:twitter:|description"))|link rel="canonical")[^>]*>', first)
    )
    door = FRONT_DOOR.format(language=app.config.language, page=page, title=app.config.html_title, card=card)
    Path(app.outdir, "index.html").write_text(door, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", set_address, priority=100)
    app.connect("source-read", link_to_pages)
    app.connect("build-finished", write_front_door, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
