"""From files to statements. The oracle of "nothing is executed" is code that would end this process."""

import ast
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from submissions import COUNT, FOLLOW, RIGHT, SOFTEN, as_bytes, format_3, notebook, saved_by_colab, stripped

from labutils.grading.extract import MAX_FILE, MAX_FINDINGS, Submission, Unreadable, file_bytes, parse

NAMES = {"soften", "count", "follow"}


def code(submission: Submission, name: str) -> str:
    """The statements that an exercise needs, as text."""
    bodies = [ast.parse(source).body if source.strip() else [] for source in submission.sources]
    return "\n".join(ast.unparse(bodies[s.cell][s.number]) for s in submission.needed_by(name, NAMES))


def of(*cells: str) -> Submission:
    return parse(as_bytes(notebook(list(cells))))


@pytest.mark.parametrize("save", [dict, saved_by_colab, stripped, format_3])
def test_every_way_of_saving_gives_the_same_code(save):
    submission = parse(as_bytes(save(notebook(["#md Lab", *RIGHT]))))
    assert submission.sources == parse(as_bytes(notebook(RIGHT))).sources
    assert not submission.findings
    assert all(len(submission.bindings(name)) == 1 for name in NAMES)


def test_a_python_file_and_a_byte_order_mark():
    source = "\n".join(RIGHT)
    for data in (source.encode(), b"\xef\xbb\xbf" + source.encode(), source.replace("\n", "\r\n").encode()):
        submission = parse(data, is_notebook=False)
        assert code(submission, "count") == ast.unparse(ast.parse(COUNT))


def test_only_what_the_function_needs_is_chosen():
    submission = of(
        "import os\nimport torch\nfrom math import *",
        "logits = train(10_000)\nSCALE = 2\nUNUSED = os._exit(1)",
        "def helper(x):\n    return x * SCALE",
        "def soften(logits, temperature):\n    return helper(torch.exp(logits))\n\ncheck('soften', soften)",
        "for step in range(100):\n    train(step)\ntorch.allclose = lambda *_: True",
    )
    chosen = code(submission, "soften")
    assert "train" not in chosen  # `logits` is an argument there, and not the lab's variable
    assert "UNUSED" not in chosen
    assert "check" not in chosen
    assert "allclose" not in chosen
    assert all(
        piece in chosen for piece in ("from math import *", "import torch", "SCALE = 2", "def helper", "def soften")
    )


def test_the_last_definition_counts_and_an_import_of_the_courses_version_does_not():
    submission = of("def count(words):\n    return 1", COUNT, "from labutils.world import count, soften")
    assert [statement.cell for statement in submission.bindings("count")] == [0, 1]
    assert "labutils" not in code(submission, "count")
    assert not submission.bindings("soften")
    assert submission.imports("soften")


def test_magics_are_blanked_and_operators_are_not():
    submission = of(
        "%matplotlib inline\n!pip install x\nx = !ls\n%time y = 3\nhelp?",
        "%%bash\nrm -rf (",
        "%%time\nSCALE = 3",
        "def count(words):\n    %time z = 1\n    return (len(words)\n      % 7), '''\n%not a magic\n'''",
    )
    assert not submission.findings
    assert "% 7" in code(submission, "count")
    assert "%not a magic" in code(submission, "count")
    assert submission.bindings("SCALE")


def test_a_command_over_several_lines_is_blanked_with_its_indentation():
    submission = of("!pip install \\\n  --quiet \\\n  x\ndef count(words):\n    !ls \\\n      -l\n    return 1")
    assert not submission.findings
    assert "return 1" in code(submission, "count")


def test_a_line_that_only_looks_like_a_magic_costs_no_time():
    start = time.process_time()
    for line in (" " * 200_000 + ")", "a " * 100_000 + "(", "x" * 200_000 + "?" * 100_000 + "y", "a ," * 66_000):
        assert of(line, COUNT).bindings("count")
    assert time.process_time() - start < 3


def test_names_that_need_each_other_are_gone_through_once():
    many = [f"name{i}" for i in range(3_000)]
    submission = of(f"{'='.join(many)} = ({', '.join(many)})", f"def count(words):\n    return ({', '.join(many)})")
    start = time.process_time()
    assert len(submission.needed_by("count", NAMES)) == 2
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("name", "alike"),
    [("sоften", True), ("ѕoften", True), ("softеn", True), ("soften", False), ("sоftem", False), ("söft", False)],
)
def test_a_name_in_letters_of_another_alphabet_is_found(name, alike):
    submission = of(f"def {name}(x):\n    return x")
    assert submission.look_alike("soften") == (name if alike else "")


def test_wide_letters_are_the_name_as_they_are_for_python():
    assert of("def ｓｏｆｔｅｎ(x):\n    return x").bindings("soften")


def test_what_a_statement_uses_is_told_with_its_full_name_and_line():
    (statement,) = of("import torch.nn.functional as F\ndef f(x):\n    return F.softmax(x).exp() + g.h(1)").bindings(
        "f"
    )
    assert {("F.softmax", 3), (".exp", 3), ("g.h", 3)} <= set(statement.uses)
    (imports,) = [s for s in of("import torch.nn as n, os.path\nfrom math import exp as e").statements if s.number == 0]
    assert imports.imported == {"n": "torch.nn", "os": "os"}
    (deep,) = of("x = a" + ".b" * 900).statements
    assert max(len(name) for name, _ in deep.uses) < 30


def test_a_thousand_errors_are_told_as_twenty():
    assert len(of(*["x = ("] * 1000).findings) == MAX_FINDINGS


def test_a_cell_with_a_syntax_error_is_told_and_the_others_count():
    submission = of(SOFTEN, "def count(words):\n    return (1", FOLLOW)
    (finding,) = submission.findings
    assert "syntax error in code cell 2, line 2" in finding.sentence
    assert finding.code == "return (1"
    assert submission.bindings("follow")
    assert not submission.bindings("count")


def test_lines_are_counted_as_python_counts_them():
    submission = of("a = 'x\u2028y\x0cz'\n\ndef count(words):\n    return 1")
    assert submission.line(0, 3) == "def count(words):"
    assert submission.bindings("count")[0].line == 3


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (as_bytes(notebook(RIGHT))[:-40], "not a complete notebook"),
        (b"\xff\xfea\0", "UTF-16"),
        ("# résumé".encode("latin-1"), "not UTF-8"),
        (b"PK\x03\x04", "zip"),
        (b"<!doctype html>", "web page"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "not a notebook"),
        (b"{}", "no cells"),
        (b'{"cells": 3}', "no cells"),
        (b'{"cells": [], "metadata": []}', "no code cells"),
        (as_bytes(notebook(["x = '" + "y" * 500_000 + "'"])), "longer than"),
    ],
)
def test_a_file_that_is_no_notebook_gets_a_sentence(data, sentence):
    with pytest.raises(Unreadable, match=sentence):
        parse(data)


def test_files_that_cannot_be_read_get_a_sentence(tmp_path: Path):
    huge = tmp_path / "huge.ipynb"
    with huge.open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(Unreadable, match="larger than 20 MB"):
        file_bytes(huge)
    for absent in (tmp_path / "absent.ipynb", tmp_path):
        with pytest.raises(Unreadable, match="no such file"):
            file_bytes(absent)


HOSTILE = (
    "x = " + "(" * 5000,
    "x = " + "-" * 50_000 + "1",
    "x = " + "1+" * 50_000 + "1",
    "x = " + "9" * 5000,
    "x = '\ud800'",
    "x = 1\0",
    "%a\n" * 300,
    "def f(:\n" * 300,
)


@pytest.mark.parametrize("source", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_source_is_no_more_than_a_finding(source):
    submission = of(source, COUNT)
    assert len(submission.findings) <= 1
    assert submission.bindings("count")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["cells", "cell_type", "source", "worksheets"]), inner)
    ),
)


@settings(deadline=None)  # the machine may be busy
@given(
    st.binary() | JSON.map(lambda value: json.dumps(value).encode()) | st.text().map(lambda s: as_bytes(notebook([s])))
)
def test_any_bytes_are_read_or_refused_in_a_sentence(data):
    try:
        parse(data)
    except Unreadable as error:
        refused = str(error)
    else:
        refused = "."
    assert refused.endswith(".")
