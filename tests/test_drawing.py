"""A drawing whose parts are links: what the directive makes of it, in a small book of its own."""

import subprocess
import sys
from pathlib import Path

import book
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent

DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">
<a href="/part/there#a-label" data-name="There" data-about="what is there"><text>Go there</text></a>
<a href="/not/written" data-name="Later" data-about="what will be"><text>Go later</text></a>
</svg>"""
PAGE = """# Title

```{drawing} map.svg
:alt: Two boxes.
:name: fig-map

A map.
```
"""


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / "part").mkdir()
    (folder / "index.md").write_text(f"{PAGE}\n```{{toctree}}\npart/there\n```\n", encoding="utf-8")
    (folder / "part" / "there.md").write_text("# There\n\n(a-label)=\n## Section\n", encoding="utf-8")
    (folder / "conf.py").write_text("extensions = ['myst_parser', '_ext.evidence_role', '_ext.drawing']\n", "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", str(folder), str(folder / "out")]
    return subprocess.run(command, cwd=ROOT, env=book.environment(), capture_output=True, text=True)


def test_the_drawing_and_the_list_below_it_lead_to_the_same_pages(tmp_path: Path):
    (tmp_path / "map.svg").write_text(DRAWING, encoding="utf-8")
    done = build(tmp_path)
    assert done.returncode == 0, done.stderr
    page = BeautifulSoup((tmp_path / "out" / "index.html").read_text(encoding="utf-8"), "html.parser")
    figure = page.select_one("figure#fig-map")
    assert figure is not None
    drawing = figure.select_one("svg[role=group]")
    assert drawing is not None
    assert drawing["aria-label"] == "Two boxes."
    assert [link.get("href") for link in drawing.select("a")] == ["part/there.html#a-label", None]
    items = figure.find_next_sibling("ul")
    assert items is not None
    assert [link["href"] for link in items.select("a")] == ["part/there.html#a-label"]
    assert [item.get_text() for item in items.select("li")] == [
        "There: what is there.",
        "Later: what will be (to come).",
    ]


def test_a_drawing_that_is_not_there_is_named(tmp_path: Path):
    done = build(tmp_path)
    assert done.returncode != 0
    assert "map.svg" in done.stderr
