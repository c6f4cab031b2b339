"""Every number of the labs was tried at other seeds, and holds there or says that it belongs to one draw."""

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from _ext.claims import LABS, Spread, read_evidence, read_ledger, read_one_draw, read_spreads
from _ext.ledger import VARIED, spread_in_words, steadiness
from benchmarks import seeds
from benchmarks.seeds import SHIFT, Source
from labutils.evidence import Evidence
from labutils.world import World

EVIDENCE = read_evidence()
SPREADS = read_spreads(EVIDENCE)
ONE_DRAW = read_one_draw()
STORED = json.loads(seeds.RESULTS.read_text(encoding="utf-8"))


# -------------------------------------------------------------------------------------------------- the stored results


@pytest.mark.parametrize("lab", LABS)
def test_every_number_of_a_lab_was_tried_at_other_seeds(lab: str):
    """If this fails: python benchmarks/seeds.py with the lab's number."""
    assert [key for key, record in EVIDENCE.items() if record.notebook[:2] == lab and key not in SPREADS] == []


@pytest.mark.parametrize("lab", LABS)
def test_every_number_holds_at_every_seed_or_belongs_to_one_draw(lab: str):
    """If this fails: is the range cut to one draw, or does the claim change with the seed?"""
    left = {
        key: [other.value for other in spread.records]
        for key, spread in SPREADS.items()
        if EVIDENCE[key].notebook[:2] == lab and not spread.holds and key not in ONE_DRAW
    }
    assert left == {}


@pytest.mark.parametrize("lab", LABS)
def test_a_lab_was_tried_at_four_more_seeds_and_none_of_its_cells_failed(lab: str):
    assert STORED[lab]["seeds"] == list(seeds.SEEDS)
    assert len(set(STORED[lab]["seeds"]) | {0}) >= 5
    assert all(len(number["values"]) == len(seeds.SEEDS) for number in STORED[lab]["numbers"].values())
    assert STORED[lab]["failed"] == {}


def test_one_draw_is_said_only_of_numbers_that_need_it_and_with_a_reason():
    assert set(ONE_DRAW) <= set(EVIDENCE)
    assert [key for key in ONE_DRAW if SPREADS[key].holds] == []
    assert [reason for reason in ONE_DRAW.values() if not (reason[0].isupper() and reason.endswith("."))] == []


def test_the_seeds_changed_something_in_every_lab_that_draws():
    for lab in LABS:
        numbers = [number for number in STORED[lab]["numbers"].values() if number["origin"] != "timed"]
        assert any(len(set(number["values"])) > 1 for number in numbers), lab


def test_the_file_is_written_as_the_command_writes_it():
    assert seeds.written(STORED) == seeds.RESULTS.read_text(encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------- one run

LAB = '''\
# %% [markdown]
"""# Toy"""

# %%
import random
import numpy as np
import torch
from labutils.evidence import measure
from labutils.runtime import seed
from labutils.world import World

# %%
drawn = torch.rand(1, generator=torch.Generator().manual_seed(3)).item()
measure("toy", drawn, between=(drawn, drawn), name="generator", what="drawn")
torch.manual_seed(3)
measure("toy", torch.rand(1).item(), between=(2, 3), name="torch", what="drawn, out of range")
seed(4)
measure("toy", random.random(), between=(0, 1), name="random", what="drawn")
measure("toy", random.Random(5).random(), between=(0, 1), name="own", what="drawn")
measure("toy", np.random.default_rng(6).random(), between=(0, 1), name="numpy", what="drawn")
measure("toy", World().sample(1, 9, seed=7).tokens.sum(), between=(0, 10**6), name="world", what="its tokens")
measure("toy", World().next_token_law(np.zeros((1, 1), int)).max(), between=(0, 1), name="law", what="its law")

# %% exercise
def five():
    """Write me."""
    ### BEGIN SOLUTION
    return np.random.default_rng(6).random()
    ### END SOLUTION


check("five", five)

# %%
drawn = drawn / 0

# %%
measure("toy", 1, between=(1, 1), name="last", what="after the cell that fails")
'''


def expected(shift: int) -> dict[str, float]:
    torch.manual_seed(3 + shift)
    random.seed(4 + shift)
    return {
        "generator": torch.rand(1, generator=torch.Generator().manual_seed(3 + shift)).item(),
        "torch": torch.rand(1).item(),
        "random": random.random(),
        "own": random.Random(5 + shift).random(),
        "numpy": np.random.default_rng(6 + shift).random(),
        "world": World().sample(1, 9, seed=7 + shift).tokens.sum(),
        "law": World().next_token_law(np.zeros((1, 1), int)).max(),
        "exercise": np.random.default_rng(6).random(),
        "last": 1,
    }


@pytest.mark.parametrize("number", [0, 2])
def test_a_run_moves_every_seed_but_those_of_the_language_and_of_exercises(tmp_path, number):
    """Run 0 moves nothing: it is the notebook's."""
    checked = "def check(name, function):\n    measure('toy', function(), between=(0, 1), name='exercise', what='its')"
    path = tmp_path / "99_toy.py"
    path.write_text(LAB.replace("# %% exercise", f"# %%\n{checked}\n\n# %% exercise", 1), encoding="utf-8")
    run = seeds.run(path, number)
    values = {key.removeprefix("toy/"): record[0] for key, record in run["numbers"].items()}
    assert values == pytest.approx(expected(number * SHIFT), rel=1e-12)
    assert list(run["failed"].values()) == ["ZeroDivisionError: float division by zero"]
    assert run["torch"] == torch.__version__


# ----------------------------------------------------------------------------------------------- what a number rests on

CELLS = {
    "from labutils.training import train": "draw",
    "shipped = load_world_decoder()": "shipped",
    "model = Decoder(config)": "draw",
    "def score(m, text):\n    return m(text) - shift": "draw",
    "a = score(model, text)": "draw",
    "def taught(m):\n    train(m, batches)\n    return m": "draw",
    "pupil = taught(Decoder(config))": "trained",
    "b = [score(m, text) for m in (pupil,)]": "trained",
    "c = score(shipped, text)": "shipped",
    "both = {'ours': c}": "shipped",
    "both['theirs'] = b": "both",
    "measure('x', both['theirs'])": "both",
    "train(model, batches)": "trained",
    "d = score(model, text)": "trained",
    "model = Decoder(config)\n": "draw",
    "e = score(model, text)": "draw",
    "rows = []": "draw",
    "for m in (pupil, pupil):\n    rows.append(score(m, text))": "trained",
    "measure('y', rows[0])": "trained",
    "start = time.perf_counter()": "timed",
    "f = forest.fit(x)": "trained",
    "x = 3": "draw",
    "x = x + pupil": "trained",
    "x = x + 1": "trained",
    "for x in (1, 2):\n    print(x)": "draw",
    "print(x)": "draw",
    "name = 'z'": "draw",
    "measure(name, pupil)": "trained",
    "measure(name, a)": "draw",
    "import torch": "draw",
    "torch.testing.assert_close(b, b)": "trained",
    "g = torch.ones(3)": "draw",
}


def test_what_a_number_rests_on_follows_the_names():
    source = Source()
    assert {cell: source.read(cell)[1] for cell in CELLS} == CELLS


def test_every_line_of_a_statement_has_its_origin():
    assert Source().read("y = 1\n\nx = [\n    load_in_context('8'),\n]\nz = y") == {
        1: "draw",
        3: "shipped",
        4: "shipped",
        5: "shipped",
        6: "draw",
    }


# -------------------------------------------------------------------------------------------------------- file and page


def test_runs_are_put_together_by_number(tmp_path):
    run = {"numbers": {"a": (0.5, 0.0, math.inf, "draw"), "b": (3.0, 3.0, 3.0, "trained")}, "failed": {}, "torch": "2"}
    other = {"numbers": {"b": (4.0, 4.0, 4.0, "trained")}, "failed": {"cell 3": "KeyError: 1"}, "torch": "2"}
    lab = seeds.combined({1: run, 2: other})
    assert lab["numbers"]["a"] == {"values": [0.5, None], "origin": "draw"}
    assert lab["numbers"]["b"] == {"values": [3.0, 4.0], "ranges": [[3.0, 3.0], [4.0, 4.0]], "origin": "trained"}
    assert lab["failed"] == {"2": {"cell 3": "KeyError: 1"}}
    path = tmp_path / "seeds.json"
    path.write_text(seeds.written({"99": lab}), encoding="utf-8")
    assert json.loads(path.read_text(encoding="utf-8")) == {"99": lab}

    a, b = number("a", 0.7, 0, 1), number("b", 5, 5, 5)
    spreads = read_spreads({"a": a, "b": b, "c": number("c", 1, 0, 2)}, path)
    assert set(spreads) == {"a", "b"}
    assert spreads["b"].holds  # each value in the range that its seed gave
    assert not spreads["a"].holds  # a seed without a number
    assert [other.value for other in spreads["b"].records] == [3, 4]


def number(key: str, value: float, low: float, high: float) -> Evidence:
    return Evidence(claim=key, name=key, what="w", value=float(value), low=float(low), high=float(high), unit="nats")


def spread(record: Evidence, *values: float, varied: str = "draw") -> Spread:
    return Spread(records=tuple(replace(record, value=value) for value in values), varied=varied)


@pytest.mark.parametrize(
    ("record", "values", "varied", "words"),
    [
        (number("a", 0.65, 0, 1), (0.612, 0.7, math.nan), "trained", "3 trainings: 0.612 to 0.700"),
        (number("a", 0.65, 0, 1), (0.6501, 0.6499), "shipped", "3 draws, one trained model: always 0.650"),
        (number("a", 12, 12, 12), (12.0, 12.0), "draw", ""),
        (number("a", 12, 12, 12), (14.0, 11.0), "draw", "3 draws: 11 to 14"),
    ],
)
def test_the_ledger_says_how_far_a_number_goes(record, values, varied, words):
    assert spread_in_words(record, spread(record, *values, varied=varied)) == words


def test_a_number_that_was_tried_once_is_told():
    assert spread_in_words(number("a", 1, 0, 2), None) == "tried at one seed"


def test_the_ledger_counts_what_is_steady():
    a, b, c = number("a", 1, 1, 1), number("b", 1, 0, 2), number("c", 1, 1, 1)
    spreads = {"a": spread(a, 1.0), "b": spread(b, 0.5), "c": spread(c, 2.0)}
    said = steadiness({"a": a, "b": b, "c": c}, spreads, {"c": "Its draw."})
    assert said.startswith("Of the 3 numbers, 1 are exact at every seed, 1 more lie in their range at every seed,")
    assert said.endswith(" and 1 belong to one draw.")


def test_there_are_words_for_everything_that_varies():
    assert set(VARIED) == set(seeds.ORIGINS)
    assert {spread.varied for spread in SPREADS.values()} <= set(VARIED)
    assert set(read_ledger()) >= {record.claim for record in EVIDENCE.values()}
