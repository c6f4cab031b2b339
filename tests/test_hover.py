"""Terms are linked where they are first used, links say what they mean, the ledger leads back, long lines may break."""

import gzip
import json
import re
from html import unescape
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from docutils.core import publish_doctree
from hypothesis import given
from hypothesis import strategies as st
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from _ext.code_lines import mark_lines
from _ext.reading import measured_with
from _ext.terms import link_first_uses

ROOT = Path(__file__).resolve().parent.parent
CLAIMS = {item["id"]: item for item in yaml.safe_load((ROOT / "chapters" / "claims.yml").read_text(encoding="utf-8"))}
TERMS = ["attention", "attention weight", "key", "token", "top-p", "KV cache", "entropy"]
ADDRESSES = {term.lower(): f"glossary.html#{number}" for number, term in enumerate(TERMS)}


def linked(text: str) -> list[str]:
    """The words that become links in a text of reStructuredText."""
    document = publish_doctree(text)
    before = document.astext()
    link_first_uses(document, ADDRESSES)
    assert document.astext() == before, "the words are the same"
    return [link.astext() for link in document.findall(nodes.reference) if "term" in link["classes"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A token is a token.", ["token"]),
        ("Tokens, and a token.", ["Tokens"]),
        ("The entropies differ.", ["entropies"]),
        ("Tokenizers and stop-tokens are other words, and a top-pick is no top-p.", ["top-p"]),
        ("An attention weight is a *weight*.", ["attention weight"]),
        ("It is the key to the house. A **key** is compared with a query.", ["key"]),
        ("A **key idea**, and *the key*.", []),
        ("Title of a token\n================\n\nA `token <https://x.org>`__ and ``token``.\n\nA token.", ["token"]),
        (".. code::\n\n   token\n\n.. math:: token\n\n.. figure:: x.svg\n\n   A token.\n", []),
        (".. container:: quiz\n\n   A token?\n\n.. container:: other\n\n   The KV cache.\n", ["KV cache"]),
    ],
)
def test_a_term_is_linked_at_its_first_use_in_running_text(text: str, words: list[str]):
    assert linked(text) == words


@given(st.lists(st.sampled_from([*TERMS, "tokens", "and", "*key*", "**token**", "Top-p.", "x"]), max_size=12))
def test_no_term_is_linked_twice_and_no_word_is_lost(words: list[str]):
    found = linked(" ".join(words))
    assert len({word.lower().removesuffix("s").strip(".") for word in found}) == len(found)


# On the pages


def soup(path: Path) -> BeautifulSoup:
    """A page without programs and outputs, which take long to read and have none of the links."""
    page = re.sub(r"<pre>.*?</pre>|<math.*?</math>", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return BeautifulSoup(page, "html.parser")


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, BeautifulSoup]:
    """The chapters and labs, by address."""
    found = [*site.glob("chapters/0*.html"), *site.glob("labs/*.html")]
    return {path.relative_to(site).as_posix(): soup(path) for path in sorted(found)}


def links(page: BeautifulSoup, selector: str) -> list[Tag]:
    article = page.select_one("article")
    assert article is not None
    return article.select(selector)


def texts_of(page: BeautifulSoup) -> dict[str, str]:
    found = page.select("#hover-texts")
    assert len(found) == 1
    return json.loads(found[0].get_text())


def test_every_chapter_and_lab_links_terms_once_and_only_in_prose(pages: dict[str, BeautifulSoup]):
    assert len(pages) == 20
    for address, page in pages.items():
        found = links(page, "a.term")
        assert len(found) >= 4, address
        assert len({link["href"] for link in found}) == len(found), address
        closed = {"h1", "h2", "h3", "h4", "a", "code", "pre", "summary", "label", "legend", "figcaption", "th", "math"}
        inside = [(link.get_text(), parent.name) for link in found for parent in link.parents if parent.name in closed]
        assert inside == [], address


def test_a_chapter_links_the_words_that_its_reader_may_look_up(pages: dict[str, BeautifulSoup]):
    found = {link.get_text().lower() for link in links(pages["chapters/05_sampling.html"], "a.term")}
    assert {"token", "logits", "softmax", "temperature", "top-k", "top-p", "entropy", "beam search"} <= found


def test_every_link_to_a_term_a_reference_or_a_claim_has_a_text(pages: dict[str, BeautifulSoup], site: Path):
    places = {name: soup(site / "chapters" / f"{name}.html") for name in ("glossary", "bibliography")}
    assert len(texts_of(pages["chapters/03_attention.html"])) > 100
    for address, page in pages.items():
        texts = texts_of(page)
        wanted = {str(a["href"]) for a in links(page, "a[href*='glossary.html#term'], a[href*='bibliography.html#']")}
        wanted |= {str(a["href"]) for a in links(page, "a[href*='ledger.html#claim-']")}
        assert set(texts) == wanted, address
        for href, text in texts.items():
            said = BeautifulSoup(text, "html.parser")
            assert said.select("a, button, input, script, [id]") == [], href
            home, _, name = href.rpartition("/")[2].partition(".html#")
            if home == "ledger":
                claim = CLAIMS[name.removeprefix("claim-")]
                assert claim["correct"].strip() in said.get_text(), href
                assert f"verdict-{claim['verdict']}" in text, href
            elif home == "bibliography":
                entry = places[home].find(id=name)
                assert isinstance(entry, Tag), href
                listed = squeezed(entry).partition("]")[2]  # the theme shortens addresses there
                assert listed.partition("URL:")[0] == squeezed(said).partition("URL:")[0], href
            else:
                term = places[home].find(id=name)
                assert isinstance(term, Tag), href
                meaning = term.find_next_sibling("dd")
                assert isinstance(meaning, Tag), href
                if not meaning.select(".math"):
                    assert squeezed(said) == squeezed(term).removesuffix("#") + "." + squeezed(meaning), href


def squeezed(tag: Tag) -> str:
    return re.sub(r"\s+", "", tag.get_text())


def test_the_texts_are_light(pages: dict[str, BeautifulSoup]):
    for address, page in pages.items():
        data = json.dumps(texts_of(page), ensure_ascii=False).encode()
        assert len(gzip.compress(data)) < 20_000, address


def test_a_formula_in_a_text_needs_no_style_sheet(site: Path):
    page = (site / "chapters" / "05_sampling.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="hover-texts">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    formulas = [text for text in json.loads(found[1]).values() if "<math" in text]
    assert formulas
    assert [text for text in formulas if "katex" in text or "annotation" in text] == []


def test_the_ledger_leads_back_to_every_page_that_names_a_claim(pages: dict[str, BeautifulSoup], site: Path):
    ledger = soup(site / "chapters" / "ledger.html")
    back = {str(item["id"]): {str(a["href"]) for a in item.select("a[href]")} for item in ledger.select(".claim")}
    count = 0
    for address, page in pages.items():
        ids = [str(tag["id"]) for tag in page.find_all(id=True)]
        for name in {str(a["href"]).partition("#")[2] for a in links(page, "a[href*='ledger.html#claim-']")}:
            place = f"cites-{name.removeprefix('claim-')}"
            path = address.removeprefix("chapters/") if address.startswith("chapters/") else f"../{address}"
            assert f"{path}#{place}" in back[name], (address, name)
            assert ids.count(place) == 1, (address, name)
            count += 1
    assert count > 400


def test_a_chapter_says_how_long_it_takes_and_what_measured_it(pages: dict[str, BeautifulSoup]):
    index = (ROOT / "labs" / "12_decoding.ipynb").read_text(encoding="utf-8")
    version = re.search(r"ready [^|]*\|[^|]*\| torch ([\d.]+) \|", index)
    assert version is not None
    facts = links(pages["chapters/05_sampling.html"], "h1 + .chapter-facts")
    assert len(facts) == 1
    said = facts[0].get_text().replace("\N{NO-BREAK SPACE}", " ")
    assert re.match(r"Chapter 5 · \d+ min to read", said)
    assert "lab 12, 1 h 30 min" in said
    assert f"torch {version[1]}" in said


def test_two_versions_are_both_named(tmp_path: Path):
    for name, torch in (("a", "2.13.0"), ("b", "2.14.1")):
        (tmp_path / name).write_text(f"ready | torch {torch} | transformers 5.23.0 | cpu", encoding="utf-8")
    assert measured_with([tmp_path / "a", tmp_path / "b"]) == "torch 2.13.0 or 2.14.1 and transformers 5.23.0"


def test_links_to_the_pages_before_and_after_name_the_chapter(pages: dict[str, BeautifulSoup]):
    found = {
        address: [title.get_text() for title in page.select(".prev-next-title")] for address, page in pages.items()
    }
    assert found["labs/12_decoding.html"] == ["Chapter 5: From logits to text", "Chapter 6: Synthetic data"]
    assert found["chapters/06_synthetic_data.html"][0] == "Lab 12: Decoding"


# Programs


@pytest.mark.parametrize("name", ["03_data_for_pretraining", "12_decoding"])
def test_marking_lines_changes_no_letter_and_closes_every_tag(name: str):
    source = (ROOT / "labs" / f"{name}.py").read_text(encoding="utf-8").strip("\n")
    page = f'<div class="highlight-python notranslate">{highlight(source, PythonLexer(), HtmlFormatter())}</div>'
    marked = mark_lines(page)
    found = re.findall(r'<span class="code-line in-(\d)">(.*?)\n</span>', marked)
    lines = [unescape(re.sub(r"<[^>]*>", "", line)) for _, line in found]
    assert lines == source.split("\n")
    for (indent, line), text in zip(found, lines, strict=True):
        assert line.count("<span") == line.count("</span>")
        assert int(indent) == min(len(text) - len(text.lstrip(" ")), 24) // 4
    tags = r"<[^>]*>"
    assert unescape(re.sub(tags, "", marked)).strip("\n") == unescape(re.sub(tags, "", page)).strip("\n")


def test_outputs_and_other_languages_stay_as_they_are():
    page = '<div class="highlight-text notranslate"><div class="highlight"><pre>  a\nb\n</pre></div></div>'
    assert mark_lines(page) == page
