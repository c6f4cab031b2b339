"""Evidence must be able to fail: each claim has faults that its ranges refuse, and the report says what they did.

The sabotages of a third of the labs are run, another third with every commit; with LABS=all, those of all labs.
"""

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sabotage
from bs4 import BeautifulSoup
from course import ROOT
from lab_source import Sabotage
from turns import whose_turn

import labs
from _ext.claims import read_evidence
from _ext.faults import Fault, broken_number, fault_lines, read_faults
from labutils.evidence import Evidence

SOURCES = labs.sources(ROOT / "labs")
CHOSEN = whose_turn(SOURCES)
LABS = {path.stem: labs.read_lab(path) for path in SOURCES}
EVIDENCE = read_evidence()


@pytest.mark.parametrize("path", CHOSEN, ids=[path.stem for path in CHOSEN])
def test_every_sabotage_of_a_lab_is_refused(path):
    assert sabotage.problems(sabotage.run_all(path)) == []


def sabotages(name: str) -> list[Sabotage]:
    return [one for cell in LABS[name].cells for one in cell.sabotages]


@pytest.mark.parametrize("name", LABS)
def test_every_claim_that_a_lab_measures_has_a_sabotage(name):
    measured = {record.claim for record in EVIDENCE.values() if record.notebook == name}
    assert measured - {one.key.partition("/")[0] for one in sabotages(name)} == set()


# ---------------------------------------------------------------------------------------------------------- the report


def test_the_report_is_about_the_labs_that_exist():
    assert list(read_faults()) == sorted(LABS)


@pytest.mark.parametrize("name", LABS)
def test_the_report_has_every_sabotage_of_a_lab_as_it_is_now(name):
    """If this fails: python tools/sabotage.py --report labs/NAME.py"""
    faults, now = read_faults()[name], sabotages(name)
    assert [(fault.line, fault.old, fault.new) for fault in faults] == [(one.line, one.old, one.new) for one in now]
    assert all(one.key in (fault.key, fault.claim) for fault, one in zip(faults, now, strict=True))


@pytest.mark.parametrize("name", LABS)
def test_each_number_under_a_fault_lies_outside_the_range_that_the_notebook_gives(name):
    """If this fails: python tools/sabotage.py --report labs/NAME.py"""
    for fault in read_faults()[name]:
        honest = EVIDENCE[fault.key]
        assert honest.holds, fault
        assert not replace(honest, value=fault.value).holds, fault


def test_the_report_keeps_the_other_labs_and_writes_what_is_not_finite_as_null(tmp_path, toy_text):
    path = write(tmp_path, toy_text.replace("math.sqrt => math.exp", "math.sqrt(mean) => math.inf"))
    results = tmp_path / "results.json"
    (tmp_path / "98_other.py").touch()
    results.write_text('{"97_gone": [], "98_other": []}', encoding="utf-8")
    sabotage.write_report(path, sabotage.run_all(path), results)
    report = json.loads(results.read_text(encoding="utf-8"))
    assert list(report) == ["98_other", "99_toy"]
    mean, root = report["99_toy"]
    line = "numbers = list(range(10))"
    assert mean == {"key": "toy-mean", "old": "range(10)", "new": "range(11)", "line": line, "value": 5.0}
    assert (root["key"], root["value"]) == ("toy-mean/root", None)
    assert math.isnan(read_faults(results)["99_toy"][1].value)


# ------------------------------------------------------------------------------------------------------------ the page


def record(value: float, low: float, high: float, **settings) -> Evidence:
    return Evidence(claim="a-claim", name="a-claim", what="share", value=value, low=low, high=high, **settings)


@pytest.mark.parametrize(
    ("broken", "shown"),
    [
        (record(0.123456, 0.7, 0.73), "0.123"),
        (record(0.7304, 0.7, 0.73, digits=2), "0.7304"),
        (record(1234567.8, 0.0, 1.0, digits=2), "1,234,568"),
        (record(5.0, 4.0, 4.0, unit="words"), "5\u00a0words"),
        (record(0.1, 0.3, 0.3, unit="%"), "0.1%"),
        (record(math.nan, 0.0, 1.0, unit="%"), "no finite number"),
        (record(math.inf, 0.0, 0.0), "no finite number"),
    ],
)
def test_a_broken_number_is_shown_so_that_one_sees_it_outside_its_range(broken, shown):
    assert broken_number(broken) == shown


def test_a_number_in_its_range_is_not_shown_as_broken():
    with pytest.raises(ValueError, match="a-claim"):
        broken_number(record(0.7, 0.6, 0.8))


@pytest.mark.parametrize(
    ("line", "old", "new", "gone", "come"),
    [
        ("if a < b:  # <b>", "a < b", "b < a", "a < b", "b < a"),
        ("low = at(0.1)", "at(0.1)", "at(1 / 0.1)", "", "1 / "),
        ("weights.sum(dim=1) - 1", "sum(dim=1) - 1", "sum(dim=0) - 1", "1", "0"),
        ("kept = varied & (mean < 8)", "varied & (mean < 8)", "varied", " & (mean < 8)", ""),
        ("f(aa)", "aa", "a", "aa", "a"),
        ("f(a, a)", "a, a", "a", ", a", ""),
    ],
)
def test_only_what_differs_is_marked_in_the_two_lines(line, old, new, gone, come):
    fault = Fault(line=line, old=old, new=new, key="a-claim", value=0.0)
    before, after = BeautifulSoup(fault_lines(fault), "html.parser").find_all("code")
    assert before.get_text() == f"As it is: {line}\n"
    assert after.get_text() == f"With the fault: {line.replace(old, new)}\n"
    assert [mark.get_text() for mark in before.find_all(["del", "ins"])] == [gone]
    assert [mark.get_text() for mark in after.find_all(["del", "ins"])] == [come]


def test_the_page_shows_every_fault_and_the_ledger_leads_to_it(site):
    page, ledger = (
        BeautifulSoup((site / "chapters" / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        for name in ("sabotage", "ledger")
    )
    faults = [one for name in LABS for one in sabotages(name)]
    lines = [line.get_text() for line in page.select("pre.fault code")]
    assert Counter(lines[::2]) == Counter(f"As it is: {one.line}\n" for one in faults)
    assert Counter(lines[1::2]) == Counter(f"With the fault: {one.line.replace(one.old, one.new)}\n" for one in faults)
    for claim in {one.key.partition("/")[0] for one in faults}:
        number = sum(one.key.partition("/")[0] == claim for one in faults)
        assert len(page.select(f"#breaks-{claim}")) == 1
        link = ledger.select_one(f"#claim-{claim} a[href='sabotage.html#breaks-{claim}']")
        assert link is not None, claim
        assert link.get_text() == ("one fault" if number == 1 else f"{number} faults")


# ------------------------------------------------------------------------------------------------------------ the tool


def write(folder: Path, text: str) -> Path:
    path = folder / "99_toy.py"
    path.write_text(text, encoding="utf-8")
    return path


def tried(folder: Path, text: str) -> list[str]:
    return sabotage.problems(sabotage.run_all(write(folder, text)))


def test_sabotages_that_work_are_accepted(tmp_path, toy_text):
    trials = sabotage.run_all(write(tmp_path, toy_text))
    assert sabotage.problems(trials) == []
    found = [trial.refused for trial in trials if trial.refused]
    assert [(record.key, record.value) for record in found] == [
        ("toy-mean", 5),
        ("toy-mean/root", pytest.approx(math.exp(4.5))),
    ]


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("toy-mean: range(10) => range(0, 10)", "was not refused"),
        ("toy-mean/root: range(10) => range(11)", "was refused by toy-mean, not by toy-mean/root"),
        ("toy-mean: range(10) => nothing", "raised NameError"),
        ("toy-mean: range(10) => __import__('os').kill(__import__('os').getpid(), 9)", "killed the process"),
        ("toy-mean: range(10) => __import__('sys').exit()", "SystemExit"),
    ],
)
def test_a_sabotage_that_is_not_refused_is_reported(tmp_path, toy_text, comment, problem):
    found = tried(tmp_path, toy_text.replace("toy-mean: range(10) => range(11)", comment))
    assert len(found) == 1
    assert problem in found[0]


def test_a_later_cell_may_refuse(tmp_path, toy_text):
    extra = "# %%\n# sabotage: toy-mean: first = 0 => first = 1\nfirst = 0\n\n# %%\n# sabotage: toy-mean: range(10)"
    text = toy_text.replace("# %%\n# sabotage: toy-mean: range(10)", extra)
    text = text.replace("list(range(10))", "list(range(first, 10 + first))")
    assert tried(tmp_path, text.replace("range(10) => range(11)", "10 + first => 11")) == []


def test_a_sabotage_leaves_the_next_one_alone(tmp_path, toy_text):
    text = toy_text.replace("range(10) => range(11)", "len(numbers) => (numbers.clear() or 1)")
    assert tried(tmp_path, text) == []


def test_a_lab_that_fails_by_itself_is_reported(tmp_path, toy_text):
    with pytest.raises(labs.LabError, match="the lab itself fails"):
        sabotage.run_all(write(tmp_path, toy_text.replace("import math\n", "import maths\n")))
