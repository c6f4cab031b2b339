"""The ledger is complete, its sources and homes exist, and what the chapters and labs say of it is true."""

import re
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from _ext.claims import (
    CHAPTERS,
    LABS,
    anchor,
    duration,
    lab_minutes,
    lab_notebooks,
    read_evidence,
    read_ledger,
    reading_minutes,
    with_unit,
)
from labutils.evidence import Evidence

ROOT = Path(__file__).resolve().parent.parent
ITEMS = yaml.safe_load((ROOT / "chapters" / "claims.yml").read_text(encoding="utf-8"))
IDS = {item["id"] for item in ITEMS}
BIBLIOGRAPHY = set(
    re.findall(r"^@\w+\{([^,\s]+),", (ROOT / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
)
PROSE = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "chapters").glob("*.md")}
EVIDENCE = read_evidence()


def cited_in_prose() -> set[str]:
    sources = [*PROSE.values(), *(path.read_text(encoding="utf-8") for path in (ROOT / "labs").glob("*.py"))]
    groups = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", "\n".join(sources))
    return {key.strip() for group in groups for key in group.split(",")}


def test_there_are_201_items_on_the_notes_and_17_on_what_came_since():
    since = [item for item in ITEMS if item["section"] == "Since the notes were written"]
    assert len(ITEMS) == 218
    assert len(since) == 17
    assert all(item["id"].startswith("since-") for item in since)


def test_every_item_has_the_same_fields_with_words_in_them():
    for item in ITEMS:
        assert list(item) == ["id", "section", "claim", "verdict", "correct", "sources", "show", "home"], item["id"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", item["id"])
        assert all(
            isinstance(item[field], str) and item[field].strip() for field in ("section", "claim", "correct", "show")
        )
        assert isinstance(item["sources"], list)
        assert item["verdict"] in {"holds", "holds-with-caveat", "imprecise", "outdated", "wrong", "missing"}


def test_ids_are_unique():
    assert [name for name, times in Counter(item["id"] for item in ITEMS).items() if times > 1] == []


def test_every_source_is_in_the_bibliography():
    missing = {(item["id"], key) for item in ITEMS for key in item["sources"] if key not in BIBLIOGRAPHY}
    assert missing == set()
    assert cited_in_prose() - BIBLIOGRAPHY == set()


def test_every_entry_of_the_bibliography_is_cited():
    assert BIBLIOGRAPHY - {key for item in ITEMS for key in item["sources"]} - cited_in_prose() == set()


def test_every_item_has_a_home_whose_lab_belongs_to_its_chapter():
    for item in ITEMS:
        assert set(item["home"]) == {"chapter", "lab"}, item["id"]
        assert item["home"]["chapter"] in CHAPTERS, item["id"]
        assert item["home"]["lab"] in LABS, f"{item['id']}: _toc.yml has no lab {item['home']['lab']}"
        assert LABS[item["home"]["lab"]][1] == item["home"]["chapter"], item["id"]


def test_every_lab_and_every_chapter_is_the_home_of_something():
    assert {item["home"]["lab"] for item in ITEMS} == set(LABS)
    assert {item["home"]["chapter"] for item in ITEMS} == set(CHAPTERS)


def test_a_lab_measures_every_item_that_can_be_measured():
    measured = {record.claim for record in EVIDENCE.values()}
    written = {notebook.stem[:2] for notebook in lab_notebooks()}
    claims = [claim for claim in read_ledger().values() if claim.lab in written and not claim.text_only]
    assert [(claim.lab, claim.id) for claim in claims if claim.id not in measured] == []


def test_a_lab_names_every_item_whose_home_it_is():
    silent = []
    for claim in read_ledger().values():
        source = (ROOT / "labs" / f"{claim.lab}_{LABS[claim.lab][0]}.py").read_text(encoding="utf-8")
        if claim.id not in re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", source):
            silent.append((claim.lab, claim.id))
    assert silent == []


def test_an_item_without_evidence_says_why():
    measured = {record.claim for record in EVIDENCE.values()}
    without = [claim for claim in read_ledger().values() if claim.id not in measured]
    assert [claim.id for claim in without if not (claim.text_only and claim.reason)] == []


def test_evidence_is_about_items_of_the_ledger_and_lies_in_its_range():
    assert {record.claim for record in EVIDENCE.values()} <= IDS
    assert [record.key for record in EVIDENCE.values() if not record.holds] == []


@pytest.mark.parametrize("chapter", sorted(set(CHAPTERS) & set(PROSE)))
def test_a_chapter_mentions_every_item_whose_home_it_is(chapter: str):
    mine = [item["id"] for item in ITEMS if item["home"]["chapter"] == chapter]
    mentioned = set(re.findall(r"[a-z0-9]+(?:-[a-z0-9]+)*", PROSE[chapter]))
    assert [name for name in mine if name not in mentioned] == []


@pytest.mark.parametrize("page", sorted(PROSE))
def test_pages_cite_items_and_numbers_that_exist(page: str):
    boxes = re.findall(r"^[`:]{3,}\{errata\}[ \t]*(.*)$", PROSE[page], re.MULTILINE)
    assert all(box.split() for box in boxes), "an errata box cites no item"
    claims = {name for box in boxes for name in box.split()} | set(re.findall(r"\{claim\}`([^`]+)`", PROSE[page]))
    assert claims <= IDS
    assert set(re.findall(r"\{measured\}`([^`]+)`", PROSE[page])) <= set(EVIDENCE)


def ledger_with(tmp_path: Path, **changes: object) -> Path:
    item = {
        "id": "a-claim",
        "section": "S",
        "claim": "C",
        "verdict": "holds",
        "correct": "Yes.",
        "sources": [],
        "show": "Text only: dates; and a toy.",
        "home": {"chapter": "05_sampling", "lab": "12"},
    }
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump([item | changes]), encoding="utf-8")
    return path


def test_reading_the_ledger_gives_its_items(tmp_path: Path):
    claim = read_ledger(ledger_with(tmp_path))["a-claim"]
    assert (claim.chapter, claim.lab, claim.text_only, claim.reason) == ("05_sampling", "12", True, "dates")
    assert not read_ledger(ledger_with(tmp_path / "..", show="Count them.", id="b"))["b"].text_only


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"verdict": "fine"}, "a-claim: 'fine' is no verdict"),
        ({"home": {"chapter": "05_sampling"}}, "a-claim: 'lab'"),
        ({"note": "x"}, "a-claim"),
    ],
)
def test_an_unusable_item_is_named(tmp_path: Path, changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        read_ledger(ledger_with(tmp_path, **changes))


def test_two_items_with_one_id_are_refused(tmp_path: Path):
    path = ledger_with(tmp_path)
    path.write_text(path.read_text(encoding="utf-8") * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="two items have the id a-claim"):
        read_ledger(path)


def test_a_number_is_shown_with_its_unit():
    record = Evidence(claim="a-claim", name="x", what="share", value=12.34, low=0.0, high=20.0, unit="nats")
    assert with_unit(record) == "12.3\u00a0nats"
    assert anchor(record.key) == "evidence-a-claim--x"
    percent = Evidence(claim="a-claim", name="a-claim", what="share", value=12.34, low=0.0, high=20.0, unit="%")
    assert with_unit(percent) == "12.3%"


def test_the_ledger_is_read_into_claims():
    assert list(read_ledger()) == [item["id"] for item in ITEMS]
    for claim, item in zip(read_ledger().values(), ITEMS, strict=True):
        written = {name: value for name, value in item.items() if name != "home"} | item["home"]
        assert asdict(claim) == written | {"sources": tuple(item["sources"])}


def test_every_lab_says_how_long_it_takes():
    assert all(30 <= lab_minutes(notebook) <= 240 for notebook in lab_notebooks())


@pytest.mark.parametrize(
    ("words", "minutes"), [("about 90 minutes", 90), ("about\\ntwo hours", 120), ("about an hour", 60)]
)
def test_the_time_of_a_lab_is_read_from_its_words(tmp_path: Path, words: str, minutes: int):
    notebook = tmp_path / "lab.ipynb"
    text = '{"cells": [{"source": ["**Time.** Reading and exercises: ' + words + '."]}]}'
    notebook.write_text(text, encoding="utf-8")
    assert lab_minutes(notebook) == minutes


def test_a_lab_without_a_time_is_named(tmp_path: Path):
    notebook = tmp_path / "lab.ipynb"
    notebook.write_text('{"cells": [{"source": ["Takes a while."]}]}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"lab\.ipynb must say how long it takes"):
        lab_minutes(notebook)


@pytest.mark.parametrize("chapter", sorted(set(CHAPTERS) & set(PROSE)))
def test_the_time_of_a_chapter_grows_with_its_words(chapter: str):
    assert len(PROSE[chapter].split()) / 250 < reading_minutes(chapter) < len(PROSE[chapter].split()) / 100


def test_a_duration_is_written_in_hours_and_minutes():
    assert [duration(minutes) for minutes in (0, 35, 60, 110)] == [
        "",
        "35\u00a0min",
        "1\u00a0h",
        "1\u00a0h\u00a050\u00a0min",
    ]
