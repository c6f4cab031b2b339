"""The course as data, for the site and its tests: chapters, labs, the items of the ledger, and the labs' evidence."""

import json
import math
import re
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from labutils.evidence import Evidence, collect

ROOT = Path(__file__).resolve().parent.parent
LEDGER_FILE = ROOT / "chapters" / "claims.yml"
LEDGER_PAGE = "chapters/ledger"
SEEDS_FILE = ROOT / "benchmarks" / "seeds.json"
ONE_DRAW_FILE = ROOT / "chapters" / "one_draw.yml"

_PARTS = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))["parts"]
_CHAPTERS = [entry for part in _PARTS for entry in part["chapters"] if "title" in entry]

CHAPTERS = {Path(entry["file"]).name: entry["title"].partition(". ")[2] for entry in _CHAPTERS}
"""File of the chapter, such as 01_llms: its title, as in the table of contents."""

LABS = {
    Path(lab["file"]).name[:2]: (Path(lab["file"]).name[3:], Path(entry["file"]).name)
    for entry in _CHAPTERS
    for lab in entry.get("sections", ())
}
"""Number of the lab: its name, and the chapter it belongs to."""

VERDICTS = {
    "holds": "holds",
    "holds-with-caveat": "holds, with a caveat",
    "imprecise": "imprecise",
    "outdated": "outdated",
    "wrong": "wrong",
    "missing": "missing",
}
"""Verdict: how it is written on a page."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One item of the ledger: what the notes say, the verdict on it, and where the course treats it."""

    id: str
    section: str
    claim: str
    verdict: str
    correct: str
    sources: tuple[str, ...]
    show: str
    chapter: str
    lab: str

    @property
    def text_only(self) -> bool:
        """Whether no measurement can settle the item, because it is a name, a date, a link or a definition."""
        return self.show.startswith("Text only")

    @property
    def reason(self) -> str:
        """What a text-only item is about, such as "date and authorship"; empty where the ledger does not say."""
        return re.split(r"[;(]", self.show.removeprefix("Text only"))[0].removeprefix(" for").strip(" :.")


@cache
def read_ledger(path: Path = LEDGER_FILE) -> dict[str, Claim]:
    """The items of the ledger by id, in the order of the file. Raises ValueError if an item is unusable."""
    items = {}
    for item in yaml.safe_load(path.read_text(encoding="utf-8")):
        try:
            home = item.pop("home")
            claim = Claim(**item | {"sources": tuple(item["sources"])}, chapter=home["chapter"], lab=home["lab"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path.name}, item {item.get('id', item)}: {error} (see the head of the file).") from None
        if claim.verdict not in VERDICTS:
            raise ValueError(
                f"{path.name}, item {claim.id}: {claim.verdict!r} is no verdict. Use one of {list(VERDICTS)}."
            )
        if claim.id in items:
            raise ValueError(f"{path.name}: two items have the id {claim.id}.")
        items[claim.id] = claim
    return items


def lab_notebooks() -> list[Path]:
    """The learners' notebooks that exist: the pages of the labs, and the source of the numbers on all other pages."""
    return [path for number, (name, _) in LABS.items() if (path := ROOT / "labs" / f"{number}_{name}.ipynb").exists()]


@cache
def read_evidence() -> dict[str, Evidence]:
    """What the labs measured, by key ("claim" or "claim/name")."""
    return {record.key: record for record in collect(lab_notebooks())}


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A number at other seeds: each a record, with the range that it has there, and what varied.

    `varied` is a key of ORIGINS in benchmarks/seeds.py. Where a seed gave no number, the record's value is nan.
    """

    records: tuple[Evidence, ...]
    varied: str

    @property
    def holds(self) -> bool:
        """Whether the number lies in its range at all these seeds."""
        return all(record.holds for record in self.records)


def read_spreads(evidence: dict[str, Evidence], path: Path = SEEDS_FILE) -> dict[str, Spread]:
    """What benchmarks/seeds.py found, by key; of the numbers of `evidence`, those that it has tried.

    A range is the notebook's, unless the lab computes it from the draw: then each seed has its own.
    """
    found = {}
    for lab in json.loads(path.read_text(encoding="utf-8")).values():
        for key, number in lab["numbers"].items():
            if (record := evidence.get(key)) is None:
                continue  # a lab has dropped it since
            records = []
            for place, value in enumerate(number["values"]):
                own = number["ranges"][place] if "ranges" in number else None
                low, high = own or (record.low, record.high)
                low, high = -math.inf if low is None else low, math.inf if high is None else high
                records.append(replace(record, value=math.nan if value is None else value, low=low, high=high))
            found[key] = Spread(records=tuple(records), varied=number["origin"])
    return found


def read_one_draw(path: Path = ONE_DRAW_FILE) -> dict[str, str]:
    """The numbers that belong to one draw on purpose, and why: they may leave their range at other seeds."""
    groups = yaml.safe_load(path.read_text(encoding="utf-8")) or []
    return {key: group["reason"] for group in groups for key in group["numbers"]}


def anchor(key: str) -> str:
    """The HTML id of the cell that recorded the evidence of this key."""
    return "evidence-" + key.replace("/", "--")


def with_unit(record: Evidence) -> str:
    """The number as the prose shows it, with its unit; a no-break space keeps the two on one line."""
    unit = record.unit if record.unit == "%" else f"\N{NO-BREAK SPACE}{record.unit}"
    return record.number + (unit if record.unit else "")


WORDS_A_MINUTE = 150  # of prose that has formulas, tables and numbers in it
NUMBERS = {"an": 1, "one": 1, "two": 2, "three": 3, "four": 4}


def reading_minutes(chapter: str) -> int:
    """How long a chapter takes to read, rounded to five minutes; the names in roles and directives do not count."""
    text = (ROOT / "chapters" / f"{chapter}.md").read_text(encoding="utf-8")
    words = re.findall(
        r"[^\W_]+", re.sub(r"\{[\w:]+\}(`[^`]*`)?|\]\([^)]*\)|^:\w+:|\$+[^$]+\$+", " ", text, flags=re.MULTILINE)
    )
    return max(5, 5 * round(len(words) / WORDS_A_MINUTE / 5))


def lab_minutes(notebook: Path) -> int:
    """What a lab's first words say: "Reading and exercises: about 90 minutes", or "two hours".

    Raises ValueError if they say no time.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(cell["source"]) for cell in cells[:2])
    found = re.search(r"Reading\s+and\s+exercises:\s+about\s+(\w+)\s+(minutes|hours?)\b", text)
    if not found or not (found[1].isdigit() or found[1] in NUMBERS):
        raise ValueError(
            f"{notebook.name} must say how long it takes, such as: Reading and exercises: about 90 minutes."
        )
    return (int(found[1]) if found[1].isdigit() else NUMBERS[found[1]]) * (60 if found[2].startswith("hour") else 1)


def duration(minutes: int) -> str:
    """Minutes as hours and minutes, such as 1 h 50 min, with no-break spaces."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts).replace(" ", "\N{NO-BREAK SPACE}")
