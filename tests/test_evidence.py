"""measure() and collect(): what they print, record, refuse and read back."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from labutils.evidence import Evidence, OutOfRange, collect, measure


def record(**fields) -> Evidence:
    return Evidence(
        **{"claim": "a-claim", "name": "a-claim", "what": "it", "value": 0.5, "low": 0.0, "high": 1.0} | fields
    )


@pytest.mark.parametrize(
    ("value", "between", "options", "line"),
    [
        (0.70349, (0.69, 0.71), {"unit": "nats"}, "it: ≈ 0.703 nats (must lie in [0.69, 0.71])"),
        (0.70349, (0.69, 0.71), {"digits": 4}, "it: ≈ 0.7035 (must lie in [0.69, 0.71])"),
        (0.625, (0.625, 0.625), {}, "it: = 0.625"),
        (0.1 + 0.2, (0.3, 0.3), {"unit": "nats"}, "it: = 0.3 nats"),
        (124439808, (124439808, 124439808), {}, "it: = 124,439,808"),
        (7.2, (2, math.inf), {}, "it: ≈ 7.20 (must be at least 2)"),
        (-7.2, (-math.inf, 2), {}, "it: ≈ -7.20 (must be at most 2)"),
        (1234.5, (1000, 2000), {}, "it: ≈ 1,234 (must lie in [1,000, 2,000])"),
        (0.00001234, (0, 1), {}, "it: ≈ 1.23e-05 (must lie in [0, 1])"),
        (0, (0, 1), {}, "it: ≈ 0 (must lie in [0, 1])"),
        (1, (1, 2), {}, "it: ≈ 1.00 (must lie in [1, 2])"),
        (2, (1, 2), {}, "it: ≈ 2.00 (must lie in [1, 2])"),
    ],
)
def test_the_printed_line(capsys, value, between, options, line):
    measure("a-claim", value, between=between, what="it", **options)
    assert capsys.readouterr().out == f"{line}\n"


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), np.array(0.5), torch.tensor(0.5), torch.tensor([0.5]), 1])
def test_any_single_number_will_do_and_a_cell_that_ends_in_measure_shows_nothing_more(value):
    assert measure("a-claim", value, between=(0, 1), what="it") is None


@pytest.mark.parametrize("value", [0.68999, 0.71001, math.nan, math.inf, -math.inf])
def test_a_number_outside_its_range_is_refused_by_name(capsys, value):
    with pytest.raises(
        OutOfRange, match=r"^a-claim/part: the loss is .*, but it must lie in \[0\.69, 0\.71\]"
    ) as caught:
        measure("a-claim", value, between=(0.69, 0.71), what="the loss", name="part")
    assert caught.value.evidence.key == "a-claim/part"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_open_end_does_not_admit_infinity(value):
    with pytest.raises(OutOfRange, match="must be at least 0"):
        measure("a-claim", value, between=(0, math.inf), what="it")


def test_an_exact_number_must_agree_to_nine_digits():
    measure("a-claim", 1 / 3 + 1e-12, between=(1 / 3, 1 / 3), what="it")
    with pytest.raises(OutOfRange, match=r"is 0\.333333, but it must be 0\.3333333333"):
        measure("a-claim", 1 / 3 + 1e-8, between=(1 / 3, 1 / 3), what="it")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"between": (1, 0)}, "holds no number"),
        ({"between": (math.nan, 1)}, "holds no number"),
        ({"between": (0, math.nan)}, "holds no number"),
        ({"between": (-math.inf, math.inf)}, "allows everything or nothing"),
        ({"between": (math.inf, math.inf)}, "allows everything or nothing"),
        ({"claim": "A claim"}, "is not an id"),
        ({"claim": ""}, "is not an id"),
        ({"name": "a/b"}, "is not an id"),
        ({"what": " "}, "say on one line"),
        ({"what": "two\nlines"}, "say on one line"),
        ({"what": "≈ it"}, "say on one line"),
        ({"unit": "≈"}, "say on one line"),
        ({"digits": 0}, "at least one significant digit"),
        ({"value": True}, "is a number"),
        ({"value": torch.ones(2)}, "is one number"),
        ({"value": np.ones(2)}, "is one number"),
    ],
)
def test_unusable_arguments_are_refused(change, message):
    arguments = {"claim": "a-claim", "value": 0.5, "between": (0, 1), "what": "it"} | change
    claim, value = arguments.pop("claim"), arguments.pop("value")
    with pytest.raises(ValueError, match=message):
        measure(claim, value, **arguments)


# A learner has no type checker, which refuses these here before measure() sees them.
WRONG_TYPES = """
from labutils.evidence import measure
for value, between in (("0.5", (0, 1)), (None, (0, 1)), ([0.5], (0, 1)), (0, (0, 1, 2)), (0, 3), (0, ("low", "high"))):
    try:
        measure("a-claim", value, between=between, what="it")
    except ValueError as error:
        print(error)
"""


def test_arguments_of_a_wrong_type_are_refused_with_a_sentence():
    result = subprocess.run([sys.executable, "-c", WRONG_TYPES], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == [
        "A measurement is a number, not '0.5'.",
        "A measurement is one number, not None.",
        "A measurement is one number, not [0.5].",
        "between must be two numbers (low, high), not (0, 1, 2).",
        "between must be two numbers (low, high), not 3.",
        "between must be two numbers (low, high), not ('low', 'high').",
    ]


@given(st.floats(-1e300, 1e300), st.integers(1, 12))
def test_a_printed_number_has_the_digits_it_shows(value, digits):
    shown = float(record(value=value, digits=digits).number.replace(",", ""))
    assert math.isclose(shown, value, rel_tol=0.5000001 * 10.0 ** (1 - digits), abs_tol=5e-324)


# ------------------------------------------------------------------------------------------------------ reading it back

IN_A_KERNEL = """
import json
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from traitlets.config import Config
shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
with capture_output() as captured:
    shell.run_cell(
        "from labutils.evidence import measure; import math\\n"
        "measure('a-claim', 0.7, between=(0.5, math.inf), what='it', name='part', unit='nats', digits=2);"
    ).raise_error()
(output,) = captured.outputs
print(json.dumps({"data": output.data, "metadata": output.metadata}, allow_nan=False))
"""


def notebook(path, *evidence: dict):
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "hello"},
                {"output_type": "display_data", "data": {}, "metadata": {"evidence": fields}},
            ],
        }
        for number, fields in enumerate(evidence)
    ]
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": ""}, *cells]}), encoding="utf-8")
    return path


def test_in_ipython_the_record_travels_in_the_metadata_of_the_output(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", IN_A_KERNEL], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    output = json.loads(result.stdout)
    assert output["data"] == {"text/plain": "it: ≈ 0.70 nats (must be at least 0.5)"}
    (read,) = collect([notebook(tmp_path / "01_lab.ipynb", output["metadata"]["evidence"])])
    assert read == record(
        name="part", value=0.7, low=0.5, high=math.inf, unit="nats", digits=2, notebook="01_lab", cell="cell-0"
    )
    assert read.key == "a-claim/part"


FIELDS = {
    "claim": "a-claim",
    "name": "a-claim",
    "what": "it",
    "value": 0.5,
    "low": 0,
    "high": 1,
    "unit": "",
    "digits": 3,
}


def test_records_come_in_the_order_of_notebooks_and_cells(tmp_path):
    first = notebook(tmp_path / "01.ipynb", FIELDS, FIELDS | {"name": "b"})
    second = notebook(tmp_path / "02.ipynb", FIELDS | {"claim": "other", "name": "other"})
    assert [read.key for read in collect([first, second])] == ["a-claim", "a-claim/b", "other"]


def test_a_key_that_is_measured_twice_is_refused_with_both_places(tmp_path):
    path = notebook(tmp_path / "01_lab.ipynb", FIELDS, FIELDS | {"value": 0.6})
    with pytest.raises(
        ValueError, match=r"a-claim is measured twice: in 01_lab \(cell cell-0\) and in 01_lab \(cell cell-1\)"
    ):
        collect([path])


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"cells"', "3"])
def test_a_file_that_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "broken.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="is not a notebook"):
        collect([path])
