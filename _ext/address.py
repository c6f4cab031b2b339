"""Derives the site's own address from the one setting that names the repository."""

import re

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


def setup(app: Sphinx) -> dict:
    app.connect("config-inited", set_address, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
