"""The site builds without a warning, loads nothing from elsewhere, and every page has what a page needs."""

import html
import re
import subprocess
import sys
from pathlib import Path

import book
import pytest
import yaml
from bs4 import BeautifulSoup
from course import read_course
from sphinxcontrib.katex import katex_version

from _ext.accessible import INSTEAD, THEME_SCRIPT, repair, without_the_call
from _ext.icons import code_points, without_unused
from _ext.quiz import read_quiz
from _ext.selfhost import Loads, external, trimmed
from _ext.styles import trimmed as trimmed_sheet

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = {"", ".bib", ".css", ".js", ".md", ".py", ".svg", ".toml", ".txt", ".yml"}  # notebooks are generated
GENERATED = {"index.html", "search.html", "genindex.html", "404.html"}  # no prose of ours, so no description


def pages(site: Path) -> list[Path]:
    return [path for path in site.rglob("*.html") if "_static" not in path.parts]


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def with_frames(page: BeautifulSoup) -> list[BeautifulSoup]:
    """The page, and the pages that its frames hold."""
    frames = [BeautifulSoup(str(frame["srcdoc"]), "html.parser") for frame in page.select("iframe[srcdoc]")]
    return [page, *(inner for frame in frames for inner in with_frames(frame))]


def elsewhere(address: str) -> bool:
    return re.match(r"\s*([a-z]+:)?//", address, re.IGNORECASE) is not None


def test_no_page_loads_anything_from_another_host(site: Path):
    found = []
    for path in pages(site):
        for tag in (tag for page in with_frames(soup(path)) for tag in page.find_all(True)):
            if tag.name in ("script", "img", "iframe", "source", "video", "audio", "embed", "object", "track", "input"):
                found += [
                    (path.name, tag[name])
                    for name in ("src", "data", "poster", "srcset")
                    if elsewhere(str(tag.get(name, "")))
                ]
            if tag.name == "link" and not {"canonical", "license", "author", "next", "prev"} & set(
                tag.get("rel") or []
            ):
                found += [(path.name, tag["href"])] if elsewhere(str(tag.get("href", ""))) else []
            if tag.name in ("use", "image") and elsewhere(str(tag.get("href", tag.get("xlink:href", "")))):
                found.append((path.name, str(tag)))
            if "url(" in str(tag.get("style", "")):
                found += [(path.name, tag["style"])] if "//" in str(tag["style"]) else []
    assert found == []


def test_no_style_sheet_or_script_loads_anything_from_another_host(site: Path):
    styles = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.css")}
    shown = {path: with_frames(soup(path)) for path in pages(site)}
    styles |= {path: "".join(str(tag) for page in parts for tag in page("style")) for path, parts in shown.items()}
    scripts = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.js")}
    scripts |= {path: "".join(str(tag) for page in parts for tag in page("script")) for path, parts in shown.items()}
    sheet = re.compile(r"""(url\(\s*|@import\s+)["']?(https?:)?//""")
    script = re.compile(
        r"""(import\s*\(?|from|fetch\s*\(|importScripts\s*\(|["']GET["']\s*,|\.src\s*=)\s*["'`](https?:)?//"""
    )
    assert [path.name for path, text in styles.items() if sheet.search(text)] == []
    assert [path.name for path, text in scripts.items() if script.search(text)] == []


def test_every_file_that_a_page_asks_for_is_in_the_site(site: Path):
    missing = set()
    for path in pages(site):
        for address in Loads(path.read_text(encoding="utf-8")).found:
            name = re.sub(r"[?#].*", "", address)
            if name and not name.startswith(("data:", "#")):
                target = site / name.lstrip("/") if name.startswith("/") else path.parent / name
                if not target.exists():
                    missing.add((path.name, address))
    assert missing == set()


def test_every_page_has_language_title_description_and_one_heading(site: Path):
    for path in pages(site):
        page = soup(path)
        assert page.html is not None
        assert page.html.get("lang") == "en", path
        assert page.title is not None, path
        assert page.title.get_text().strip(), path
        assert len(page.select("h1")) == 1, path
        if path.name not in GENERATED or path.parent != site:
            description = page.select_one("meta[name=description]")
            assert description is not None, path
            assert len(str(description["content"])) >= 20, path


def test_every_image_says_what_it_shows(site: Path):
    bare = [
        (path.name, str(image)) for path in pages(site) for image in soup(path).find_all("img") if not image.get("alt")
    ]
    assert bare == []


def test_ids_are_unique_on_a_page_and_local_links_lead_somewhere(site: Path):
    known = {path.resolve(): [str(tag["id"]) for tag in soup(path).find_all(id=True)] for path in pages(site)}
    for path, ids in known.items():
        assert len(ids) == len(set(ids)), path
    broken = set()
    for path in pages(site):
        main = soup(path).select_one("article") or BeautifulSoup("", "html.parser")
        for tag in main.select("a[href*='#']"):
            target, _, name = str(tag["href"]).partition("#")
            page = (path.parent / target).resolve() if target else path.resolve()
            if not elsewhere(target) and name and name not in known.get(page, []):
                broken.add((path.name, tag["href"]))
    assert broken == set()


def test_the_ledger_page_has_every_item_once(site: Path):
    page = soup(site / "chapters" / "ledger.html")
    items = [str(item["id"]) for item in page.select(".claim")]
    claims = yaml.safe_load((ROOT / "chapters" / "claims.yml").read_text(encoding="utf-8"))
    assert items == [f"claim-{claim['id']}" for claim in claims]
    assert len(items) == 218
    assert all(item.select_one(".verdict") for item in page.select(".claim"))


def test_the_ledger_can_be_filtered_by_what_is_on_the_page(site: Path):
    page = soup(site / "chapters" / "ledger.html")
    form = page.select_one("#ledger-filter")
    assert form is not None
    assert form.has_attr("hidden"), "without its script the form would do nothing"
    assert [
        field["id"] for field in form.select("input, select") if not form.select_one(f"label[for={field['id']}]")
    ] == []
    for option in form.select("option"):
        if option["value"] and option["value"] != "status-measured":
            assert page.select(f".claim.{option['value']}"), option["value"]


def test_pages_are_light(site: Path):
    for path in pages(site):
        page = soup(path)
        scripts = [path.parent / str(tag["src"]).split("?")[0] for tag in page.select("script[src]")]
        assert sum(script.stat().st_size for script in scripts if script.exists()) < 600_000, path
    assert sum(font.stat().st_size for font in (site / "_static").rglob("fa-*.woff2")) < 30_000


def test_the_repository_is_named_in_one_file_only():
    setting = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"]
    name = "/".join(setting.rstrip("/").split("/")[-2:])
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    texts = [ROOT / path for path in listing.splitlines() if Path(path).suffix in WRITTEN]
    naming = [path.relative_to(ROOT).as_posix() for path in texts if path.exists() and name in path.read_text("utf-8")]
    assert naming == ["_config.yml"]


def test_a_labs_links_lead_to_pages_of_this_book(site: Path):
    """In the notebook they lead to the published site, for readers in Colab."""
    source = (ROOT / "labs" / "12_decoding.ipynb").read_text(encoding="utf-8")
    assert f"]({read_course().site}chapters/ledger.html)" in source
    links = {str(link["href"]) for link in soup(site / "labs" / "12_decoding.html").select("a[href]")}
    assert "../chapters/ledger.html" in {link.partition("#")[0] for link in links}
    assert not any(link.startswith(read_course().site) for link in links)


# What the extensions do, by themselves


@pytest.mark.parametrize(
    "page",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<img src="//cdn.example/x.png">',
        '<link rel="stylesheet" href="https://cdn.example/x.css">',
        "<style>@import 'https://cdn.example/x.css';</style>",
        '<p style="background: url(https://cdn.example/x.png)">',
        '<script>import("https://cdn.example/x.js")</script>',
        '<iframe src="https://cdn.example/"></iframe>',
        '<base href="https://cdn.example/">',
        '<svg><image href="https://cdn.example/x.svg"/></svg>',
        "<p onclick=\"import('https://cdn.example/x.js')\">",
    ],
)
def test_a_load_from_elsewhere_is_found(page: str):
    assert len(external(Loads(page).found)) == 1
    assert len(external(Loads(framed(page)).found)) == 1, "inside a frame too"
    assert len(external(Loads(framed(framed(page))).found)) == 1, "and in a frame's frame"


def framed(page: str) -> str:
    return f'<iframe title="x" srcdoc="{html.escape(page)}"></iframe>'


@pytest.mark.parametrize(
    "script",
    [
        "require.config({paths: {d3: 'https://cdn.example/d3.min'}})",
        'const lib = "//cdn.example/x.js"; load(lib)',
        "new WebSocket(`wss://cdn.example/`)",
    ],
)
def test_in_a_frame_every_quoted_address_counts(script: str):
    assert len(external(Loads(framed(f"<script>{script}</script>")).found)) == 1


def test_in_a_frame_comments_and_names_of_languages_are_no_loads():
    script = 'const svg = "http://www.w3.org/2000/svg"; // see https://example.org\n'
    assert external(Loads(framed(f"<script>{script}</script>")).found) == []


def test_the_build_names_a_load_that_a_frame_hides(tmp_path: Path):
    page = framed('<script>load("https://cdn.example/x.js")</script>')
    (tmp_path / "index.md").write_text(f"# Title\n\n```{{raw}} html\n{page}\n```\n", encoding="utf-8")
    (tmp_path / "conf.py").write_text("extensions = ['myst_parser', '_ext.selfhost']\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=book.environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "index.html loads https://cdn.example/x.js" in done.stderr


def test_a_link_is_not_a_load():
    page = '<a href="https://example.org">x</a><link rel="canonical" href="https://example.org"><img src="a.png">'
    assert external(Loads(page).found) == []


def test_trimming_keeps_what_is_needed_and_drops_the_rest():
    page = (
        '<head><script src="_static/documentation_options.js?v=1"></script><script src="a.js"></script>\n'
        '<script>const THEBE_JS_URL = "https://unpkg.com/x"</script><script src="searchindex.js"></script></head>'
    )
    text = trimmed(page, "const OPTIONS = 1;", is_search=False)
    assert text == '<head><script>const OPTIONS = 1;</script><script defer src="a.js"></script>\n</head>'
    assert trimmed(text, "const OPTIONS = 1;", is_search=False) == text
    assert "searchindex" in trimmed(page, "", is_search=True)


def test_repairs_change_nothing_the_second_time():
    page = '<div id="pst-primary-sidebar" class="x"><button class="theme-switch-button" aria-label="Mode">a</button>'
    once = repair(page)
    assert 'role="complementary"' in once
    assert 'aria-label="Mode"' not in once
    assert repair(once) == once


def test_the_formulas_style_sheet_is_that_of_the_renderer():
    sheet = (ROOT / "_public" / "_static" / "katex" / "katex.min.css").read_text(encoding="utf-8")
    assert f'content:"{katex_version}"' in sheet
    fonts = set(re.findall(r"url\(fonts/([^)]+)\)", sheet))
    assert fonts == {path.name for path in (ROOT / "_public" / "_static" / "katex" / "fonts").iterdir()}


def test_icons_that_no_page_uses_are_dropped():
    sheet = '.a{color:red}.fa-sun:before,.fa-day:before{content:"\\f185"}.fa-moon:before{content:"\\f186"}'
    assert without_unused(sheet, {"fa-day"}) == '.a{color:red}.fa-sun:before,.fa-day:before{content:"\\f185"}'
    assert code_points(sheet) == {0xF185, 0xF186}


CHOICES = [{"text": "a", "right": True, "why": "w"}, {"text": "b", "right": False, "why": "w"}]


@pytest.mark.parametrize(
    ("quiz", "message"),
    [
        ([], "must be a list"),
        ([{"question": "q"}], "question 1: it needs"),
        (
            [{"question": "q", "choices": CHOICES}, {"question": "q", "choices": CHOICES[:1]}],
            "question 2: .*two choices",
        ),
        ([{"question": "q", "choices": [CHOICES[0], {"text": "b", "right": False}]}], "choice 2 needs"),
        ([{"question": "q", "choices": [CHOICES[0], {"text": "b", "right": "no", "why": "w"}]}], "`right` of choice 2"),
        (
            [{"question": "q", "choices": [CHOICES[0], {"text": 3, "right": False, "why": "w"}]}],
            "choice 2 must be words",
        ),
        ([{"question": "q", "choices": [CHOICES[1], CHOICES[1]]}], "no choice is right"),
    ],
)
def test_a_wrong_quiz_names_the_question(tmp_path: Path, quiz: list, message: str):
    path = tmp_path / "quiz.yml"
    path.write_text(yaml.safe_dump(quiz), encoding="utf-8")
    with pytest.raises(ValueError, match=f"quiz.yml.*{message}"):
        read_quiz(path)


PAGE = """# Title

{measured}`no-such-number` {claim}`no-such-item` {claim}`topp-definition` $\\frac{$

```{errata} another-missing-item
Body.
```

```{quiz} missing.yml
```

```{live} no_such_figure
```

```{live} sampling_explorer
temperature: -1
```
"""


def test_what_does_not_exist_is_a_warning_at_its_line(tmp_path: Path):
    (tmp_path / "index.md").write_text(PAGE, encoding="utf-8")
    extensions = ["myst_parser", *(f"_ext.{name}" for name in ("formulas", "evidence_role", "quiz", "live"))]
    settings = f"extensions = {extensions}\nhtml_math_renderer = 'katex'\nmyst_enable_extensions = ['dollarmath']\n"
    (tmp_path / "conf.py").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=book.environment(), capture_output=True, text=True)
    said = {match[1]: match[2] for match in re.finditer(r"index\.md:(\d+): WARNING: (.*)", done.stderr)}
    assert "No lab has measured 'no-such-number'." in done.stderr
    assert "The ledger has no item 'no-such-item'." in done.stderr
    assert "KaTeX parse error" in said["3"] or "KaTeX parse error" in done.stderr
    assert "The ledger has no item 'another-missing-item'." in said["5"]
    assert "There is no quiz file missing.yml." in said["9"]
    assert "no such figure" in said["12"]
    assert "temperature is -1" in said["15"]
    assert "topp-definition'" not in done.stderr


def test_the_themes_script_no_longer_lays_out_the_whole_page(site: Path):
    script = (site / THEME_SCRIPT).read_text(encoding="utf-8")
    assert INSTEAD in script
    assert without_the_call(script) == script
    with pytest.raises(ValueError, match="has changed"):
        without_the_call("(()=>{I()})();")


@pytest.mark.parametrize(
    ("sheet", "kept"),
    [
        (".known{top:0}", ".known{top:0}\n"),
        (".new{top:0}", ""),
        ("#new{top:0}", ""),
        ("p{top:0}", "p{top:0}\n"),
        (".new,.known > p , a.known.new{top:0}", ".known > p{top:0}\n"),
        (".known:not(.new){top:0}", ".known:not(.new){top:0}\n"),
        (".known:is(.new, p){top:0}", ".known:is(.new, p){top:0}\n"),
        ("@media print{.new{top:0}.known{top:0}}", "@media print{.known{top:0}\n}\n"),
        ("@media print{.new{top:0}}", ""),
        ("@keyframes new{from{top:0}}", "@keyframes new{from{top:0}}\n"),
        ('@font-face{src:url("a.woff2")}', '@font-face{src:url("a.woff2")}\n'),
        ("/* .known */.known{/* a */top:0}", ".known{top:0}\n"),
    ],
)
def test_a_style_sheet_keeps_what_can_match(sheet: str, kept: str):
    assert trimmed_sheet(sheet, {"known"}) == kept
    assert trimmed_sheet(kept, {"known"}) == kept
