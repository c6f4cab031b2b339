"""The site's address, derived from the one setting that names the repository, and the door at its root."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config


def site_address(repository: str) -> str:
    """The GitHub Pages address of a repository, or "" while the setting still holds its placeholders."""
    match = re.fullmatch(r"https://github\.com/([\w-]+)/([\w.-]+?)/?", repository)
    if not match or match.groups() == ("OWNER", "REPO"):
        return ""
    owner, name = match.groups()
    host = f"{owner.lower()}.github.io"
    return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"


def set_address(app: Sphinx, config: Config) -> None:
    """Fill in what needs the address: canonical links, previews in other sites, and the links of the 404 page."""
    address = site_address(config.html_theme_options.get("repository_url", ""))
    config["html_baseurl"] = config["ogp_site_url"] = address
    config["notfound_urls_prefix"] = "/" + address.partition("github.io/")[2]


FRONT_DOOR = """<!DOCTYPE html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="0; url={page}">
<title>{title}</title>
</head>
<body><main><h1><a href="{page}">{title}</a></h1></main></body>
</html>
"""


def write_front_door(app: Sphinx, error: Exception | None) -> None:
    """Send whoever opens the site's address to the first page; the redirect that Sphinx is given has no title."""
    if error or app.builder.format != "html" or app.config.root_doc == "index":
        return
    page = app.builder.get_target_uri(app.config.root_doc)
    door = FRONT_DOOR.format(language=app.config.language, page=page, title=app.config.html_title)
    Path(app.outdir, "index.html").write_text(door, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", set_address, priority=100)
    app.connect("build-finished", write_front_door, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
