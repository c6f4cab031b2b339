"""What the grader writes for others, against the rules that they publish (tests/schemas names the sources)."""

import csv
import io
import itertools
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from submissions.results import exercise, result, some

from labutils.grading import formats, gradebook, report
from labutils.grading.extract import Finding
from labutils.grading.gradebook import Person, moment

SCHEMAS = Path(__file__).parent / "schemas"


def schema(name: str) -> dict:
    return json.loads((SCHEMAS / f"{name}.json").read_text())


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), strict=True))


# Text that a student may write, and that somebody's program may take for more than text.
HOSTILE = (
    "::error file=a::forged", "##[group]", "`", "``x", "<script>alert(1)</script>", "]]>", "&amp;", "\x00\x1b[31m",
    "\u202egpj.exe", "\ud800", "|a|", "\r\n# Lab 12: 5 of 5 points\n", "=cmd|'/c calc'!A1", "\ufffe",
    "${{ secrets.X }}",
)  # fmt: skip
ANY_TEXT = st.one_of(st.sampled_from(HOSTILE), st.text(), st.lists(st.sampled_from(HOSTILE)).map("".join))


def with_text(text: str) -> list[dict]:
    """Results in which a student wrote `text` wherever a student's text can stand."""
    bad = exercise("keep_top_p", 4, "xxxx-x---", Finding("You keep too many tokens.", text))
    cut = Finding("There is a syntax error.", text)
    return [result("ada", bad, file=text, findings=(cut,)), result("bob", lab="?", file=text, findings=(cut,))]


# --- Markdown --------------------------------------------------------------------------------------------------------


def lines_outside_code(markdown: str) -> list[str]:
    """The lines of Markdown, without code spans: a run of ticks, and what stands before the next run of that length."""
    return [re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", line).rstrip() for line in markdown.split("\n")]


@given(ANY_TEXT)
def test_a_students_text_stays_in_its_code_span(text):
    for one, harmless in zip(with_text(text), with_text("x"), strict=True):
        for page, same in [(formats.feedback(one), formats.feedback(harmless)), *gradescope_pages(one, harmless)]:
            page.encode()
            assert lines_outside_code(page) == lines_outside_code(same)
            assert "::" not in page
            assert "##[" not in page


def gradescope_pages(one: dict, other: dict) -> list[tuple[str, str]]:
    pair = [json.loads(formats.gradescope(each)) for each in (one, other)]
    outputs = [[each["output"], *(test["output"] for test in each["tests"])] for each in pair]
    return list(zip(*outputs, strict=True))


def test_feedback_says_what_each_group_earned_and_what_to_do():
    text = formats.feedback(some()[1])
    assert "# Lab 12: 2.47 of 5 points" in text
    assert "5 of 9 tests passed: 4 of 5 with small inputs and edge cases; 1 of 4 with general inputs." in text
    assert "- You keep too many tokens. `return logits`\n- Hint 1 of 2: Divide." in text


def test_the_summary_of_one_file_is_its_feedback_and_of_many_a_table():
    ada, bob, cyd = some()
    assert formats.summary([bob]) == formats.feedback(bob)
    assert "| `bob` | 12 | 2.47 | 5 |\n" in formats.summary([ada, bob, cyd])


def test_the_summary_stays_below_githubs_limit():
    ada = some()[0]
    many = [ada | {"student": f"student-{i:05}"} for i in range(40_000)]
    text = formats.summary(many)
    assert 900_000 < len(text.encode()) <= formats.SUMMARY_LIMIT < 1024 * 1024
    shown = text.count("| `student-")
    assert f"{40_000 - shown} more students do not fit on this page." in text
    long = result("ada", *[exercise("keep_top_p", 4, "--", Finding("é" * 900))] * 2000)
    text = formats.summary([long])
    assert len(text.encode()) <= formats.SUMMARY_LIMIT
    text.encode().decode()


# --- Gradescope, Classroom 50 ----------------------------------------------------------------------------------------


@given(ANY_TEXT)
def test_gradescope_results_follow_its_page(text):
    for one in [*some(), *with_text(text)]:
        document = json.loads(formats.gradescope(one))
        Draft202012Validator(schema("gradescope")).validate(document)
        assert document["score"] == one["score"]
        assert round(sum(test["score"] for test in document["tests"]), 2) == one["score"]
        assert round(sum(test["max_score"] for test in document["tests"]), 2) == one["points"]


def test_gradescope_shows_each_finding_once_at_the_first_group_that_failed():
    document = json.loads(formats.gradescope(some()[1]))
    outputs = {test["name"]: test["output"] for test in document["tests"]}
    assert "too many tokens" in outputs["keep_top_p: small inputs and edge cases"]
    assert "too many tokens" not in outputs["keep_top_p: general inputs"]
    assert json.dumps(document).count("too many tokens") == 1


RUNNER = {
    "CLASSROOM": "cs-principles",
    "ASSIGNMENT": "decoding",
    "ASSIGNMENT_TYPE": "individual",
    "OWNER": "bob",
    "SUBMISSION_TAG": "submit/2026-10-02T10-00-00Z-a1b2c3d",
    "COMMIT_URL": "https://github.com/x/y/commit/a1b2c3d",
    "RELEASE_URL": "https://github.com/x/y/releases/tag/z",
}


@given(ANY_TEXT)
def test_classroom50_results_follow_its_schema(text):
    for one in [*some(), *with_text(text)]:
        document = json.loads(formats.classroom50(one, RUNNER))
        Draft202012Validator(schema("classroom50")).validate(document)
        assert [document["score"], document["max-score"]] == [round(100 * one["score"]), 100 * one["points"]]
        assert document["score"] == sum(test["score"] for test in document["tests"])
        assert all(test["score"] <= test["max-score"] for test in document["tests"])
        assert document["review"] == RUNNER["COMMIT_URL"]


def test_classroom50_says_which_variable_is_missing():
    with pytest.raises(ValueError, match="sets RELEASE_URL for its autograders"):
        formats.classroom50(some()[0], {**RUNNER, "RELEASE_URL": ""})
    with pytest.raises(ValueError, match="no time of submission"):
        formats.classroom50(some()[0] | {"submitted": None}, RUNNER)


# --- JUnit -----------------------------------------------------------------------------------------------------------


def validate_junit(element: ElementTree.Element, rules: dict) -> None:
    rule = rules[element.tag]
    assert set(rule["required"]) <= set(element.attrib) <= {*rule["required"], *rule["optional"]}
    for child in element:
        assert child.tag in rule["children"], f"{child.tag} in {element.tag}"
        validate_junit(child, rules)


@given(ANY_TEXT)
def test_junit_follows_its_schema_and_counts_right(text):
    results = [*some(), *with_text(text)]
    root = ElementTree.fromstring(formats.junit(results).encode())
    validate_junit(root, schema("junit"))
    assert [suite.get("name") for suite in root] == [one["student"] for one in results]
    for part in [root, *root]:
        assert part.get("tests") == str(len(list(part.iter("testcase"))))
        assert part.get("failures") == str(len(list(part.iter("failure"))))
    assert not any("time" in element.attrib for element in root.iter())
    assert not any("::" in (element.text or "") for element in root.iter())


# --- gradebooks ------------------------------------------------------------------------------------------------------

DUE = moment("2026-10-01T12:00")

ROSTER = """\
student_id,last_name,first_name,email,section,canvas_id,sis_user_id,sis_login_id,submitted,due
ada,North,Ada,ada@example.org,One,17,s17,al,2026-10-01T11:59:59Z,
bob,"O'Hara, Jr.",Bob,,,,,,,
dan,Danger,=HYPERLINK("http://x"),@x,-1,18,,+dan,,2026-10-05
"""


@pytest.fixture
def roster(tmp_path: Path) -> dict[str, Person]:
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER, encoding="utf-8-sig")
    return gradebook.read_roster(path)


@given(
    late=st.integers(-(10**7), 10**7).map(lambda seconds: timedelta(seconds=seconds)),
    percent=st.floats(0, 100),
    points=st.integers(1, 20),
    share=st.floats(0, 1),
)
def test_lateness_costs_a_share_of_the_points_for_each_day_begun(late, percent, points, share):
    raw = round(points * share, 2)
    cost = gradebook.penalty(raw, points, DUE + late, DUE, percent)
    days = next(n for n in itertools.count() if late <= timedelta(days=n))  # counted, not divided
    assert cost == pytest.approx(min(raw, days * points * percent / 100), abs=0.005)
    assert 0 <= cost <= raw


def test_without_a_due_time_or_a_submission_nothing_is_taken_off():
    assert gradebook.penalty(3.0, 5, DUE, None, 50.0) == 0
    assert gradebook.penalty(3.0, 5, None, DUE, 50.0) == 0


def test_nbgraders_columns(roster):
    text = gradebook.nbgrader_csv(gradebook.grades(some(), roster=roster, due=DUE, late_penalty=10.0))
    head, *lines = rows(text)
    # nbgrader/plugins/export.py, CsvExportPlugin
    assert ",".join(head) == (
        "assignment,duedate,timestamp,student_id,last_name,first_name,email,"
        "raw_score,late_submission_penalty,score,max_score"
    )
    due = "2026-10-01 12:00:00"
    assert lines == [
        ["lab12", due, "2026-10-01 11:59:59", "ada", "North", "Ada", "ada@example.org", "5.0", "0.0", "5.0", "5.0"],
        ["lab12", due, "2026-10-02 10:00:00", "bob", "O'Hara, Jr.", "Bob", "", "2.47", "0.5", "1.97", "5.0"],
        ["lab12", due, "2026-10-02 10:00:00", "cyd", "", "", "", "0.0", "0.0", "0.0", "5.0"],
        ["lab12", "2026-10-05 00:00:00", "", "dan", "Danger", '\'=HYPERLINK("http://x")', "'@x", *["0.0"] * 3, "5.0"],
    ]


def canvas_reads(text: str) -> tuple[list[str], dict[str, list[str]]]:
    """The rules of Canvas' lib/gradebook_importer.rb: which rows are the header, the points and the students."""
    header, *others = rows(text)
    for name, found in zip(["Student", "ID", "SIS User ID", "SIS Login ID", "Section"], header, strict=False):
        assert name in found
    points = [row for row in others if "Points Possible" in row[0]]
    assert points == others[:1]
    assert all(len(row) == len(header) for row in others)
    assert text.split("\n")[0].count(";") == 0  # else it might take the semicolon for the separator
    return [header[5:], points[0][5:]], {row[0]: row[1:] for row in others[1:]}


def test_canvas_columns(roster):
    lines = gradebook.grades(some(), roster=roster, assignment="Lab 12 (4711)", due=DUE, late_penalty=10.0)
    columns, students = canvas_reads(gradebook.canvas_csv(lines))
    assert columns == [["Lab 12 (4711)"], ["5"]]
    assert students == {
        "North, Ada": ["17", "s17", "al", "One", "5"],
        "O'Hara, Jr., Bob": ["", "", "bob", "", "1.97"],
        "cyd": ["", "", "cyd", "", "0"],
        'Danger, =HYPERLINK("http://x")': ["18", "", "'+dan", "'-1", "0"],
    }


def test_several_labs_are_several_columns():
    labs = [*some()[:2], result("dan", exercise("causal_mask", 2, "xx"), lab="07"), some()[2]]
    lines = gradebook.grades(labs)
    assert [(line.person.student_id, line.assignment) for line in lines] == [
        ("dan", "lab07"), ("ada", "lab12"), ("bob", "lab12"), ("cyd", "lab?"),
    ]  # fmt: skip
    columns, students = canvas_reads(gradebook.canvas_csv(lines))
    assert columns == [["lab07", "lab12", "lab?"], ["2", "5", "0"]]
    assert students["dan"][-3:] == ["2", "", ""]


@given(st.one_of(ANY_TEXT, st.from_regex(r"\A[\s]*[-=+@\uff1d\t\r].*")))
def test_no_cell_is_a_formula(text):
    made = gradebook.cell(text)
    assert not re.match(r"\s*[-=+@\t\r\n\0\uff1d\uff0b\uff0d\uff20]", made)
    assert "\n" not in made


WRONG_ROSTERS = {
    "name\nada\n": "It needs student_id",
    "student_id,submited\nada,\n": "'submited'",
    "student_id,email\nada\n": "Row 2",
    "student_id,email\nada,a,b\n": "Row 2",
    "student_id,email\n,a\n": "Row 2",
    "student_id\nada\nada\n": "'ada' twice",
    "student_id,due\nada,tomorrow\n": "'tomorrow' is no time",
    "student_id;email\nada;a\n": "Save it with commas between the columns, not semicolons.",
}


@pytest.mark.parametrize(("text", "sentence"), WRONG_ROSTERS.items(), ids=range(len(WRONG_ROSTERS)))
def test_a_slip_in_the_roster_is_told(tmp_path, text, sentence):
    (tmp_path / "roster.csv").write_text(text)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        gradebook.read_roster(tmp_path / "roster.csv")
    with pytest.raises(ValueError, match=r"There is no roster .*absent.csv\.$"):
        gradebook.read_roster(tmp_path / "absent.csv")
    (tmp_path / "roster.csv").write_text(text, encoding="utf-16")
    with pytest.raises(ValueError, match=r"is not UTF-8 text. Save it as CSV in UTF-8\.$"):
        gradebook.read_roster(tmp_path / "roster.csv")


def test_a_name_in_the_roster_may_be_written_as_the_student_writes_it():
    roster = {name: Person(student_id=name) for name in ("Zoë Müller", "ada", "Bo b", "Bo_b", "Ü", "Ä")}
    found = gradebook.by_file(roster, ["Zo__M_ller", "ada", "Bo_b", "_", "eve"])
    assert {student: person.student_id for student, person in found.items()} == {
        "Zo__M_ller": "Zoë Müller",
        "ada": "ada",
        "Bo_b": "Bo_b",  # the very name wins; "_" could be either of two
    }
    assert gradebook.strangers(
        [{"student": "ada"}, {"student": "eve"}], {"ada": roster["ada"], "bob": roster["Ü"]}
    ) == (
        ["eve"],
        ["bob"],
    )


def test_times_without_an_offset_are_utc():
    assert moment("2026-10-01T23:59+02:00") == datetime(2026, 10, 1, 21, 59, tzinfo=UTC)
    assert moment(" 2026-10-01 ") == datetime(2026, 10, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="is no time"):
        moment("soon")


# --- all of them -----------------------------------------------------------------------------------------------------


def test_all_formats_are_the_same_bytes_whatever_the_order(tmp_path, roster):
    written = []
    for order in (some(), some()[::-1]):
        out = tmp_path / str(len(written))
        for one in order:
            report.write(one, out)
        formats.write_all(order, out, roster=roster, due=DUE, late_penalty=10.0)
        written.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()})
    assert written[0] == written[1]
    of_each = {f"{kind}/{name}" for name in ("ada", "bob", "cyd") for kind in ("results", "feedback", "gradescope")}
    whole = {"summary", "junit", "grades", "canvas"}
    assert {path.with_suffix("").as_posix() for path in written[0]} == of_each | whole
