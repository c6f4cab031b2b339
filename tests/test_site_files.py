"""What lies beside the pages and what their heads say: downloads, Colab's links, the map of the site, its card, CFF."""

import re
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree
from zipfile import ZipFile

import book
import browser
import pdf
import pytest
import yaml
from bs4 import BeautifulSoup
from course import PLACEHOLDER, read_course

from _ext.claims import LABS, ROOT, lab_notebooks
from _ext.files import archive, sitemap

NOTEBOOKS = [f"{number}_{name}" for number, (name, _) in LABS.items()]
REQUIRED = {"cff-version", "message", "title", "authors"}  # by CFF 1.2.0
SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


# Labs


def test_the_archive_has_every_learners_notebook_and_nothing_else(site: Path):
    with ZipFile(site / "labs.zip") as file:
        assert file.namelist() == [f"labs/{name}.ipynb" for name in NOTEBOOKS]
        assert file.testzip() is None
        for name in NOTEBOOKS:
            assert file.read(f"labs/{name}.ipynb") == (ROOT / "labs" / f"{name}.ipynb").read_bytes()
            assert b"BEGIN SOLUTION" not in file.read(f"labs/{name}.ipynb")


def test_the_same_notebooks_give_the_same_archive(site: Path, tmp_path: Path):
    copies = tmp_path / "labs"
    copies.mkdir()
    for path in lab_notebooks():
        (copies / path.name).write_bytes(path.read_bytes())  # with a date of its own
    archive(sorted(copies.iterdir(), reverse=True), tmp_path / "labs.zip")
    assert (tmp_path / "labs.zip").read_bytes() == (site / "labs.zip").read_bytes()


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_labs_buttons_lead_to_the_learners_notebook(site: Path, name: str):
    page = soup(site / "labs" / f"{name}.html")
    colab = [str(link["href"]) for link in page.select("a[href*='colab.research.google.com']")]
    assert read_course().colab(f"labs/{name}.ipynb") in colab
    assert not [address for address in colab if "solutions" in address]
    button = page.select_one(".dropdown-download-buttons a[href*='.ipynb']")
    assert button is not None
    assert button.has_attr("download")
    target = (site / "labs" / str(button["href"])).resolve()
    assert target.name == f"{name}.ipynb"
    assert target.read_bytes() == (ROOT / "labs" / f"{name}.ipynb").read_bytes()


def test_colabs_address_follows_from_the_setting():
    setting = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    repository = setting["url"].removeprefix("https://github.com/")
    expected = f"https://colab.research.google.com/github/{repository}/blob/{setting['branch']}/labs/12_decoding.ipynb"
    assert read_course().colab("labs/12_decoding.ipynb") == expected


# The first page


def test_the_first_page_begins_with_three_ways_in_and_a_figure(site: Path):
    article = soup(site / "chapters" / "index.html").select_one("article")
    assert article is not None
    ways = {link.get_text(): str(link["href"]) for link in article.select(".start a")}
    assert ways == {
        "Read": "01_llms.html",
        "Run in Colab": read_course().colab(f"labs/{NOTEBOOKS[0]}.ipynb"),
        "Grade": "instructors.html",
    }
    order = [tag.name if tag.name != "div" else "figure" for tag in article.select("h1, .start, .live-figure, h2")]
    assert order[:4] == ["h1", "p", "figure", "h2"]
    archive_link = article.select_one("a[href='../labs.zip']")
    assert archive_link is not None
    assert archive_link.has_attr("download")


# What others read: search engines, and sites that show a card


def test_a_map_lists_every_address_once_and_escapes_it():
    text = sitemap(["https://a.example/b.html", "https://a.example/?x=1&y=2"])
    found = [element.text for element in ElementTree.fromstring(text).iter(f"{SITEMAP}loc")]
    assert found == ["https://a.example/?x=1&y=2", "https://a.example/b.html"]


def test_a_published_site_has_a_map_a_canonical_address_and_robots(tmp_path: Path):
    home = "https://owner.example/course/"
    (tmp_path / "index.md").write_text("# One\n\n[two](two.md)\n", encoding="utf-8")
    (tmp_path / "two.md").write_text("---\norphan: true\n---\n\n# Two\n", encoding="utf-8")
    settings = f"extensions = ['myst_parser', '_ext.files']\nhtml_baseurl = '{home}'\n"
    (tmp_path / "conf.py").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=book.environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tree = ElementTree.parse(tmp_path / "out" / "sitemap.xml")
    assert [element.text for element in tree.iter(f"{SITEMAP}loc")] == [f"{home}index.html", f"{home}two.html"]
    canonical = soup(tmp_path / "out" / "two.html").select_one("link[rel=canonical]")
    assert canonical is not None
    assert canonical["href"] == f"{home}two.html"
    assert f"Sitemap: {home}sitemap.xml" in (tmp_path / "out" / "robots.txt").read_text(encoding="utf-8")


def test_the_map_and_the_canonical_addresses_agree_with_the_pages(site: Path):
    """An unpublished site has no address, so it has neither."""
    assert (site / "robots.txt").read_text(encoding="utf-8").startswith("User-agent: *\nAllow: /\n")
    if read_course().repository == PLACEHOLDER:
        assert not (site / "sitemap.xml").exists()
        assert soup(site / "chapters" / "index.html").select("link[rel=canonical]") == []
        return
    listed = [element.text for element in ElementTree.parse(site / "sitemap.xml").iter(f"{SITEMAP}loc")]
    for path in (*(site / "chapters").glob("*.html"), *(site / "labs").glob("*.html")):
        canonical = soup(path).select_one("link[rel=canonical]")
        assert canonical is not None
        assert canonical["href"] == urljoin(read_course().site, path.relative_to(site).as_posix())
        assert canonical["href"] in listed


def test_the_card_is_as_large_as_the_pages_say_and_the_front_door_shows_it(site: Path):
    data = (site / "_static" / "card.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    size = struct.unpack(">II", data[16:24])
    assert size == (1200, 630)
    assert len(data) < 300_000
    for path in (site / "index.html", site / "chapters" / "index.html", site / "labs" / "12_decoding.html"):
        meta = {
            str(tag.get("property", tag.get("name"))): str(tag["content"]) for tag in soup(path).select("meta[content]")
        }
        assert meta["og:image"].endswith("_static/card.png"), path
        assert (int(meta["og:image:width"]), int(meta["og:image:height"])) == size
        assert meta["twitter:card"] == "summary_large_image"
        assert len(meta["og:image:alt"]) > 40
        assert len(meta["og:description"]) > 40
        assert meta["og:title"]


def test_the_citation_file_is_valid():
    """What CFF 1.2.0 requires (schema.json of citation-file-format), for the keys that stand there."""
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert cff["cff-version"] == "1.2.0"
    assert cff.keys() == REQUIRED | {"abstract", "type", "version", "license", "keywords"}
    assert all(author.keys() == {"name"} and author["name"] for author in cff["authors"]), "entities"
    assert cff["type"] in ("software", "dataset")
    assert cff["license"] == "MIT"
    assert len(set(cff["keywords"])) == len(cff["keywords"])
    assert cff["version"] == read_course().version
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    assert cff["title"] == settings["title"]
    assert [author["name"] for author in cff["authors"]] == [settings["author"]]


# PDFs and single pages


PAGE = """<div class="dropdown dropdown-source-buttons"><ul class="dropdown-menu"></ul></div>
<div class="dropdown dropdown-download-buttons"><button></button><ul class="dropdown-menu"><li>md</li></ul></div>"""


def test_a_pdf_is_offered_once_in_the_menu_of_downloads():
    offered = pdf.offer(PAGE, "05_sampling.pdf")
    menus = BeautifulSoup(offered, "html.parser").select("ul")
    assert [len(menu.select("a[href='05_sampling.pdf'][download]")) for menu in menus] == [0, 1]
    assert pdf.offer(offered, "05_sampling.pdf") == offered


def test_every_chapter_has_a_menu_for_its_pdf(site: Path):
    for path in (site / "chapters").glob("[0-9][0-9]_*.html"):
        offered = pdf.offer(path.read_text(encoding="utf-8"), "x.pdf")
        assert len(BeautifulSoup(offered, "html.parser").select(".dropdown-download-buttons a[href='x.pdf']")) == 1


def test_without_a_browser_or_a_site_one_sentence_says_so(monkeypatch, tmp_path: Path, capsys):
    monkeypatch.setattr(browser, "find", lambda: None)
    assert pdf.make(tmp_path) == 1
    assert capsys.readouterr().err == (
        "No PDF was made: install Chromium or Chrome, or name one with CHROMIUM=/path/to/it.\n"
    )
    monkeypatch.setattr(browser, "find", lambda: "/bin/true")
    assert pdf.make(tmp_path) == 1
    assert capsys.readouterr().err == "No PDF was made: there is no site yet. Build it first: make book\n"
    monkeypatch.undo()
    monkeypatch.setenv("CHROMIUM", "/no/such/program")
    assert pdf.make(tmp_path) == 1
    assert re.fullmatch(r"No PDF was made: CHROMIUM=/no/such/program is not .*\.\n", capsys.readouterr().err)


def test_an_unknown_page_is_named(tmp_path: Path, capsys):
    assert book.build_page("chapters/99_nothing", tmp_path / "_build") == 1
    assert "no page chapters/99_nothing" in capsys.readouterr().err
