"""Files beside the pages: all labs in one archive, the map of the site, and what programs may read.

The map needs the address at which the site is published, so without one there is none (see _ext/address.py).
"""

from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from sphinx.application import Sphinx

from _ext.claims import lab_notebooks

ARCHIVE = "labs.zip"


def archive(notebooks: list[Path], path: Path) -> None:
    """Put notebooks into a folder `labs` of a zip file; the same notebooks give the same bytes."""
    with ZipFile(path, "w", ZIP_DEFLATED, compresslevel=9) as file:
        for notebook in sorted(notebooks):
            entry = ZipInfo(f"labs/{notebook.name}")  # its date is 1980, the first that the format knows
            entry.compress_type = ZIP_DEFLATED
            entry.create_system = 3  # Unix, whatever wrote the file
            entry.external_attr = 0o644 << 16
            file.writestr(entry, notebook.read_bytes())


def sitemap(addresses: list[str]) -> str:
    """The map of a site in the format of sitemaps.org."""
    urls = "".join(f"<url><loc>{escape(address)}</loc></url>\n" for address in sorted(addresses))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        f"{urls}</urlset>\n"
    )


def write_files(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    site, home = Path(app.outdir), app.config.html_baseurl
    archive(lab_notebooks(), site / ARCHIVE)
    robots = "User-agent: *\nAllow: /\n"
    if home:
        pages = [home + quote(app.builder.get_target_uri(name)) for name in app.env.found_docs if name != "404"]
        (site / "sitemap.xml").write_text(sitemap(pages), encoding="utf-8")
        robots += f"Sitemap: {home}sitemap.xml\n"
    (site / "robots.txt").write_text(robots, encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
