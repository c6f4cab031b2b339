"""Synthetic data: a killed run ends as if it had not been killed; what is read was checked; filters by definition."""

import hashlib
import json
import math
import random
import re
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from labutils import synthetic
from labutils.synthetic import Recipe, make, read

words = st.text(alphabet="ab ", max_size=12)


def digest(prompts, seeds):
    """A generate function without a model: a text that follows from prompt and seed."""
    return [hashlib.sha256(f"{p} {s}".encode()).hexdigest()[:8] for p, s in zip(prompts, seeds, strict=True)]


def recipe(**changes) -> Recipe:
    standard = {
        "title": "Digests",
        "model": "sha256",
        "licence": "mit",
        "generate": digest,
        "settings": {"digits": 8},
        "filters": {"odd": lambda rows: [int(row["response"], 16) % 2 == 1 for row in rows]},
        "label": lambda rows: [{"score": int(row["response"][:2], 16) / 255} for row in rows],
    }
    return Recipe(**(standard | changes))


PROMPTS = [f"prompt {i}" for i in range(50)]


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ------------------------------------------------------------------------------------------------------------- making


def test_a_row_follows_from_the_seed_and_its_number(tmp_path):
    made = make(tmp_path, recipe(), PROMPTS, seed=3)
    for row in made.rows:
        assert row["seed"] == synthetic.row_seed(3, row["row"])
        assert [row["response"]] == digest([row["prompt"]], [row["seed"]])
        assert row["prompt"] == PROMPTS[row["row"]]
    by_hand = [int(digest([p], [synthetic.row_seed(3, i)])[0], 16) % 2 for i, p in enumerate(PROMPTS)]
    assert [row["row"] for row in made.rows] == [i for i, odd in enumerate(by_hand) if odd]
    assert made.dropped == {"odd": by_hand.count(0)}
    assert make(tmp_path / "other", recipe(), PROMPTS, seed=4).rows != made.rows


def test_seeds_of_rows_differ():
    seeds = [synthetic.row_seed(seed, row) for seed in range(20) for row in range(500)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**48 for seed in seeds)


def test_each_row_says_where_it_comes_from(tmp_path):
    for row in make(tmp_path, recipe(), PROMPTS, seed=3).rows:
        assert row["model"] == "sha256"
        assert row["settings"] == {"digits": 8}
        assert row["filters"] == ["odd"]
        assert row["licence"] == "mit"
        assert row["score"] == int(row["response"][:2], 16) / 255


def test_a_row_that_was_dropped_is_kept_among_the_attempts_and_not_looked_at_again(tmp_path):
    seen = Counter()

    def counting(name, keep):
        def filter_rows(rows):
            seen[name] += len(rows)
            return [keep(row["row"]) for row in rows]

        return filter_rows

    filters = {"even": counting("even", lambda n: n % 2 == 0), "small": counting("small", lambda n: n < 20)}
    made = make(tmp_path, recipe(filters=filters), PROMPTS, seed=0, chunk=7)
    assert [row["row"] for row in made.rows] == list(range(0, 20, 2))
    assert made.dropped == {"even": 25, "small": 15}
    assert seen == {"even": 50, "small": 25}
    attempts = lines(tmp_path / "attempts.jsonl")
    assert [row.get("dropped_by") for row in attempts[18:23]] == [None, "even", "small", "even", "small"]
    assert "score" not in attempts[19]


def test_some_filters_see_all_rows_together(tmp_path):
    sizes = []

    def best_tenth(rows):
        sizes.append(len(rows))
        return synthetic.keep_best([row["score"] for row in rows], 0.1)

    made = make(tmp_path, recipe(filters={}, select={"best": best_tenth}), PROMPTS, seed=0, chunk=7)
    assert sizes == [50]
    assert len(made.rows) == 5
    assert made.dropped == {"best": 45}
    assert all(row["filters"] == ["best"] for row in made.rows)


def test_several_answers_to_a_prompt_differ(tmp_path):
    rows = make(tmp_path, recipe(filters={}, label=None, answers=("first", "second")), PROMPTS, seed=0).rows
    for row in rows:
        pair = digest([row["prompt"]] * 2, [row["seed"], row["seed"] + 1])
        assert [row["first"], row["second"]] == pair
        assert "response" not in row


def test_a_function_that_loses_a_row_is_named(tmp_path):
    for change, name in (
        ({"generate": lambda prompts, seeds: ["only one"]}, "generate"),
        ({"filters": {"lossy": lambda rows: [True]}}, "lossy"),
        ({"label": lambda rows: []}, "label"),
        ({"select": {"global": lambda rows: [True]}}, "global"),
    ):
        with pytest.raises(ValueError, match=f"'{name}' was given .* rows and returned . answers"):
            make(tmp_path / name, recipe(**change), PROMPTS, seed=0)


def test_a_prompt_may_be_empty_but_a_dataset_may_not(tmp_path):
    assert make(tmp_path / "some", recipe(filters={}), ["", ""], seed=0).rows[1]["prompt"] == ""
    with pytest.raises(ValueError, match="No row is left to write"):
        make(tmp_path / "none", recipe(filters={"none": lambda rows: [False] * len(rows)}), PROMPTS, seed=0)


def test_a_folder_belongs_to_one_run(tmp_path):
    make(tmp_path, recipe(), PROMPTS, seed=0)
    for other, prompts, seed, what in (
        (recipe(settings={"digits": 9}), PROMPTS, 0, "settings"),
        (recipe(model="md5", licence="apache-2.0"), PROMPTS, 0, "model, licence"),
        (recipe(), PROMPTS[::-1], 0, "prompts"),
        (recipe(), PROMPTS, 1, "seed"),
    ):
        with pytest.raises(ValueError, match=rf"holds another run \({what} differ\)"):
            make(tmp_path, other, prompts, seed=seed)


# ------------------------------------------------------------------------------------------------------ being killed


# It imports torch once; each run is a process of its own, forked, and killed unless its delay is 0.
JOB = """
    import hashlib, os, signal, sys, time
    from labutils.synthetic import Recipe, first_of_each, make

    def slow(prompts, seeds):
        time.sleep(0.01)
        return [hashlib.sha256(f"{p} {s}".encode()).hexdigest()[:2] * 500 for p, s in zip(prompts, seeds)]

    recipe = Recipe(
        title="Slow", model="sha256", licence="mit", generate=slow, settings={},
        filters={"first letter": lambda rows: [row["response"][0] < "c" for row in rows]},
        select={"distinct": lambda rows: first_of_each([row["response"] for row in rows])},
    )
    folder, *delays = sys.argv[1:]
    for delay in map(float, delays):
        child = os.fork()
        if child == 0:
            make(folder, recipe, [f"prompt {i}" for i in range(150)], seed=0, chunk=3)
            os._exit(0)
        if delay:
            time.sleep(delay)
            os.kill(child, signal.SIGKILL)
        print(os.waitpid(child, 0)[1])
"""


def run(folder: Path, delays: list[float]) -> list[int]:
    """Run the job once for each delay, killed so many seconds after its start; the status with which each ended."""
    command = [sys.executable, "-c", textwrap.dedent(JOB), folder, *map(str, delays)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(synthetic.__file__).parent.parent)
    assert result.stderr == ""
    return [int(status) for status in result.stdout.split()]


def test_killed_at_random_moments_it_ends_in_the_same_bytes(tmp_path):
    assert run(tmp_path / "whole", [0]) == [0]
    rng = random.Random(0)
    delays = [rng.uniform(0.05, 0.15) for _ in range(6)]
    ends = run(tmp_path / "killed", [*delays, 0])
    assert ends[0] == signal.SIGKILL
    assert ends[-1] == 0
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert [row["row"] for row in lines(tmp_path / "whole" / "attempts.jsonl")] == list(range(150))


def test_wherever_the_file_was_torn_it_ends_in_the_same_bytes(tmp_path):
    """The same at every byte of a small run, and with rubbish where a disk lost a block."""
    make(tmp_path / "whole", recipe(), PROMPTS[:7], seed=1, chunk=3)
    whole = contents(tmp_path / "whole")
    attempts = tmp_path / "torn" / "attempts.jsonl"
    make(tmp_path / "torn", recipe(), PROMPTS[:7], seed=1, chunk=3)
    size = len(whole["attempts.jsonl"])
    for left in [*range(0, size, 37), size - 1, size]:
        for rubbish in (b"", b"\0" * 20, b'{"row": 3}'):
            attempts.write_bytes(whole["attempts.jsonl"][:left] + rubbish)
            (tmp_path / "torn" / "data" / "train.jsonl").unlink()
            make(tmp_path / "torn", recipe(), PROMPTS[:7], seed=1, chunk=3)
            assert contents(tmp_path / "torn") == whole


def test_what_is_done_is_not_done_again(tmp_path):
    asked = []

    def counting(prompts, seeds):
        asked.extend(prompts)
        if len(asked) == 20:
            raise KeyboardInterrupt
        return digest(prompts, seeds)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path, recipe(generate=counting), PROMPTS, seed=0, chunk=5)
    for _ in range(2):
        make(tmp_path, recipe(generate=counting), PROMPTS, seed=0, chunk=5)
    assert len(asked) == 50 + 5  # the chunk that was interrupted, twice


# ------------------------------------------------------------------------------------------------ writing and reading


def test_the_card_is_what_the_hub_reads(tmp_path):
    made = make(tmp_path, recipe(title='Digests: "odd" ones'), PROMPTS, seed=3)
    _, header, text = (tmp_path / "README.md").read_text().split("---\n", 2)
    card = yaml.safe_load(header)
    assert card["pretty_name"] == 'Digests: "odd" ones'
    assert card["license"] == ["mit"]
    assert card["configs"][0]["data_files"] == [{"split": "train", "path": "data/train.jsonl"}]
    assert card["dataset_info"]["splits"] == [{"name": "train", "num_examples": len(made.rows)}]
    assert f"| odd | {made.dropped['odd']} |" in text
    assert read(tmp_path) == made.rows
    assert lines(tmp_path / "data" / "train.jsonl") == made.rows


def test_rows_of_several_runs_can_be_joined(tmp_path):
    a = make(tmp_path / "a", recipe(), PROMPTS[:20], seed=0).rows
    b = make(tmp_path / "b", recipe(licence="apache-2.0", model="other"), PROMPTS[20:], seed=0).rows
    joined = [row | {"row": i} for i, row in enumerate(a + b)]
    synthetic.write(tmp_path / "both", joined, title="Both")
    assert read(tmp_path / "both") == joined
    card = (tmp_path / "both" / "README.md").read_text()
    assert "license:\n- apache-2.0\n- mit\n" in card
    assert "made by other, sha256." in card
    assert synthetic.licensed(joined, {"mit"}) == [True] * len(a) + [False] * len(b)


GOOD = {
    "row": 0,
    "prompt": "p",
    "model": "m",
    "seed": 1,
    "settings": {},
    "filters": [],
    "licence": "mit",
    "response": "r",
}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (7, "this is not a JSON object."),
        (None, "this is not a JSON object."),
        ({k: v for k, v in GOOD.items() if k != "licence"}, "licence is missing."),
        (GOOD | {"seed": "1"}, 'seed is "1", which is not of the type int.'),
        (GOOD | {"seed": True}, "seed is true, which is not of the type int."),
        (GOOD | {"settings": []}, "settings is [], which is not of the type dict."),
        (GOOD | {"model": "  "}, "model is blank."),
        ({k: v for k, v in GOOD.items() if k != "response"}, "there is no answer,"),
        (GOOD | {"row": 5}, "row 5 was already on line 1."),
    ],
)
def test_each_fault_is_one_sentence_with_its_line(tmp_path, row, sentence):
    found = synthetic.faults([GOOD | {"row": 5}, row])
    assert len(found) == 1
    assert found[0].startswith(f"line 2: {sentence}")
    synthetic.write(tmp_path, [GOOD | {"row": 5}, GOOD | {"row": 6}], title="Two")
    path = tmp_path / "data" / "train.jsonl"
    path.write_text(f"{path.read_text().splitlines()[0]}\n{json.dumps(row)}\n")
    with pytest.raises(ValueError, match=f"^{re.escape(found[0])}$"):
        read(tmp_path)


def test_reading_sees_torn_and_missing_lines(tmp_path):
    rows = make(tmp_path, recipe(), PROMPTS, seed=3).rows
    path = tmp_path / "data" / "train.jsonl"
    whole = path.read_text()
    path.write_text(whole[:-20])
    with pytest.raises(ValueError, match=rf"^line {len(rows)}: this is not a JSON object\.$"):
        read(tmp_path)
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    with pytest.raises(ValueError, match=rf"README.md promises {len(rows)} rows, and .* has {len(rows) - 1}\."):
        read(tmp_path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read(tmp_path)


def test_rows_with_faults_are_not_written(tmp_path):
    with pytest.raises(ValueError, match=r"line 1: licence is missing\.\nline 2: model is blank\."):
        synthetic.write(
            tmp_path,
            [{k: v for k, v in GOOD.items() if k != "licence"}, GOOD | {"row": 1, "model": ""}],
            title="Bad",
        )
    with pytest.raises(ValueError, match="not JSON compliant"):
        synthetic.write(tmp_path, [GOOD | {"score": math.nan}], title="Not a number")
    assert contents(tmp_path) == {}


# ------------------------------------------------------------------------------------- a language model that generates


class Table:
    """A model whose next token depends on the last one only."""

    law = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.5, 0.0], [0.0, 0.7, 0.1, 0.2], [0.4, 0.3, 0.2, 0.1]])

    def __call__(self, tokens):
        return self.law[tokens].log()


def table_sampler(**settings):
    return synthetic.sampler(
        Table(),
        lambda text: [int(word) for word in text.split()],
        lambda tokens: " ".join(map(str, tokens)),
        stop_token=3,
        **settings,
    )


def test_a_sampler_draws_from_the_law_of_its_model():
    n = 20_000
    texts = table_sampler(max_new_tokens=1)(["1 0"] * n, list(range(n)))
    found = Counter(texts)
    for text, p in (("0", 0.1), ("1", 0.2), ("2", 0.3), ("", 0.4)):  # the stop token does not belong to the text
        assert abs(found[text] - n * p) < 4 * math.sqrt(n * p * (1 - p))
    cut = Counter(table_sampler(max_new_tokens=1, top_k=2)(["0"] * n, list(range(n))))
    assert set(cut) == {"2", ""}
    assert abs(cut["2"] - n * 3 / 7) < 4 * math.sqrt(n * 12 / 49)


def test_a_text_depends_on_its_own_prompt_and_seed_only():
    generate = table_sampler(max_new_tokens=6)
    prompts, seeds = ["0", "1 2", "2", "0 1 2", "1 2", "0"], [5, 6, 7, 8, 9, 5]
    together = generate(prompts, seeds)
    assert together == [generate([p], [s])[0] for p, s in zip(prompts, seeds, strict=True)]
    assert together[0] == together[5]
    assert all("3" not in text for text in together)


# ------------------------------------------------------------------------------------------------------------ filters


@given(st.lists(words, max_size=12))
def test_the_first_of_each_is_kept(texts):
    kept = synthetic.first_of_each(texts)
    normal = [" ".join(text.split()) for text in texts]
    assert kept == [normal.index(text) == i for i, text in enumerate(normal)]


def test_equal_means_equal_up_to_case_and_spaces():
    assert synthetic.first_of_each(["A  cat", "a cat ", "acat"]) == [True, False, True]


@given(st.lists(words, max_size=6), st.lists(words, max_size=4), st.integers(1, 4))
def test_no_run_of_n_words_is_shared_with_a_test(texts, tests, n):
    padded = [f" {' '.join(test.split())} " for test in tests]

    def clean(text):
        split = text.split()
        runs = [" ".join(split[i : i + n]) for i in range(len(split) - n + 1)]
        return not any(f" {gram} " in test for gram in runs for test in padded)

    assert synthetic.uncontaminated(texts, tests, n) == [clean(text) for text in texts]


def test_the_round_trip_compares_words():
    assert synthetic.comes_back(["dog sleep", "cat"], ["Dog  sleep", "cow"]) == [True, False]


scores = st.lists(st.sampled_from([0.0, 1.0, 2.0, 2.5, 5.0, math.nan, -math.inf]), max_size=12)


@settings(max_examples=200)
@given(scores, st.sampled_from([0.1, 0.25, 1 / 3, 0.5, 0.8, 1.0]))
def test_the_best_share_is_kept(scores, share):
    kept = synthetic.keep_best(scores, share)
    rated = [score for score in scores if not math.isnan(score)]
    for score, keep in zip(scores, kept, strict=True):  # kept means: fewer than the share are better
        assert keep == (not math.isnan(score) and sum(other > score for other in rated) < share * len(rated))


def test_the_share_is_a_share():
    for share in (0.0, -0.1, 1.01, math.nan):
        with pytest.raises(ValueError, match="it is a part of the rows"):
            synthetic.keep_best([1.0, 2.0], share)
