"""Prompts, answers, scores: against texts written out, Hugging Face, and the exact law of the world."""

import json
import math
import os
import re
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from labutils import prompting
from labutils.world import World

# --- few_shot_prompt


def test_a_zero_shot_prompt_is_an_instruction_and_a_query():
    assert prompting.few_shot_prompt("Classify.", [], "I loved it.") == "Classify.\n\nInput: I loved it.\nOutput:"


def test_a_few_shot_prompt_written_out():
    prompt = prompting.few_shot_prompt(
        "Classify this review:",
        [("I loved this movie!", "Positive"), ("I don't like this chair.", "Negative")],
        "Who would buy this?",
        template="Review: {input}\nSentiment: {output}",
    )
    assert prompt == (
        "Classify this review:\n\n"
        "Review: I loved this movie!\nSentiment: Positive\n\n"
        "Review: I don't like this chair.\nSentiment: Negative\n\n"
        "Review: Who would buy this?\nSentiment:"
    )


def test_what_follows_the_output_is_written_after_examples_only():
    template = "classify this review : {input} ! sentiment : {output} ."
    examples = [("i loved this movie", "positive")]
    prompt = prompting.few_shot_prompt("", examples, "i hated this chair", template=template, separator=" ")
    assert prompt == (
        "classify this review : i loved this movie ! sentiment : positive . "
        "classify this review : i hated this chair ! sentiment :"
    )
    World().encode(prompt)  # every word is a word of the world


@given(
    st.text(),
    st.lists(st.tuples(st.text(), st.text()), max_size=4),
    st.text(),
    st.sampled_from([prompting.TEMPLATE, '{"q": "{input}", "a": {output}}', "{input}\t=> {output} ."]),
)
def test_a_prompt_holds_its_parts_in_order_and_ends_at_the_answer(instruction, examples, query, template):
    prompt = prompting.few_shot_prompt(instruction, examples, query, template=template)
    assert prompt == prompt.rstrip()
    place = 0
    for part in (instruction, *(part for example in examples for part in example), query.rstrip()):
        place = prompt.index(part, place) + len(part)
    _, _, cue = template.partition("{output}")[0].partition("{input}")
    assert prompt.endswith(cue.rstrip())


@pytest.mark.parametrize("template", ["{input}", "{output} {input}", "{input} {input} {output}", ""])
def test_a_template_must_name_input_then_output(template):
    with pytest.raises(ValueError, match="template"):
        prompting.few_shot_prompt("", [], "a", template=template)


# --- parse_answer

LABELS = ("positive", "negative", "good", "good enough", "42")


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        (" Positive", "positive"),
        ("NEGATIVE!\nReview: a positive one", "negative"),
        ("**positive**.", "positive"),
        ("impositive, or negatives; rather good", "good"),
        ("it is good\n enough", "good enough"),
        ("good, enough", "good"),
        ("The answer is (42).", "42"),
        ("The answer is 421.", None),
        ("not positive", "positive"),
        ("", None),
        ("neither", None),
    ],
)
def test_an_answer_is_the_first_label_named_as_a_whole_word(completion, answer):
    assert prompting.parse_answer(completion, LABELS) == answer


def test_an_answer_is_spelled_as_its_label_and_symbols_are_taken_literally():
    assert prompting.parse_answer("i'd say c++ or c", ["C", "C++"]) == "C++"
    assert prompting.parse_answer("a.b", ["A.B", "a"]) == "A.B"
    assert prompting.parse_answer("axb", ["a.b"]) is None
    assert prompting.parse_answer("anything", []) is None


@pytest.mark.parametrize("labels", [["a", "A"], ["a", " "], ["new york", "New  York"]])
def test_labels_must_be_different(labels):
    with pytest.raises(ValueError, match="labels"):
        prompting.parse_answer("a", labels)


words = st.sampled_from(["good", "bad", "so so", "unknown", "baddy", "it", "is"])


@given(st.lists(words, max_size=6), st.sampled_from([" ", ", ", "\n"]))
def test_an_answer_agrees_with_reading_word_by_word(parts, space):
    first = next((part for part in parts if part in ("good", "bad", "so so")), None)
    assert prompting.parse_answer(space.join(parts), ["good", "bad", "so so"]) == first


# --- majority_vote


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        (["a", "b", "b"], "b"),
        (["b", "a", "a", "b"], "b"),  # a tie: the first
        ([None, None, "a"], "a"),
        ([None, None], None),
        ([], None),
    ],
)
def test_a_vote(answers, winner):
    assert prompting.majority_vote(answers) == winner


@given(st.lists(st.sampled_from(["a", "b", "c", None])))
def test_no_answer_has_more_votes_than_the_winner(answers):
    winner, counts = prompting.majority_vote(answers), Counter(filter(None, answers))
    assert counts[winner] == max(counts.values(), default=0)
    assert all(answers.index(winner) <= answers.index(other) for other in counts if counts[other] == counts[winner])


# --- log_probability


def test_a_log_probability_is_that_of_a_table_walked_by_hand():
    law = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]], dtype=torch.float64)  # bigrams
    tokens = torch.tensor([[0, 2, 1, 0], [1, 1, 2, 2]])
    logits = law.log()[tokens] + torch.randn(2, 4, 1, dtype=torch.float64)  # a shift of all logits says nothing
    found = prompting.log_probability(logits, tokens, 2)
    assert found.exp().tolist() == pytest.approx([0.25 * 0.1, 0.3 * 0.5])


def test_a_log_probability_agrees_with_the_exact_law_of_the_world():
    world = World()
    tokens = world.sample(5, 12, seed=1).tokens
    laws = torch.from_numpy(world.next_token_law(tokens)).log()
    for n_prompt in (1, 4, 12):
        want = -world.surprisal(tokens)[:, n_prompt - 1 :].sum(1)
        found = prompting.log_probability(laws, torch.from_numpy(tokens), n_prompt)
        np.testing.assert_allclose(found.numpy(), want, rtol=1e-12)


def test_the_probabilities_of_all_completions_sum_to_one():
    torch.manual_seed(0)
    table = torch.randn(4, 4, dtype=torch.float64)
    prompt = [2, 0]
    tokens = torch.tensor([[*prompt, *rest] for rest in product(range(4), repeat=3)])
    assert prompting.log_probability(table[tokens], tokens, 2).exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize("n_prompt", [0, 3, 4, -1])
def test_a_prompt_and_a_completion_are_needed(n_prompt):
    with pytest.raises(ValueError, match="n_prompt"):
        prompting.log_probability(torch.zeros(2, 3, 5), torch.zeros(2, 3, dtype=torch.int64), n_prompt)


# --- label_scores


def test_scores_are_the_law_given_that_the_answer_is_a_label():
    p = torch.tensor([[0.02, 0.06], [0.5, 0.1]], dtype=torch.float64)
    found = prompting.label_scores(p.log()).exp()
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.75], [5 / 6, 1 / 6]], dtype=torch.float64))


def test_calibration_is_a_diagonal_matrix_as_in_the_paper():
    """[zhao2021calibrate]: q = softmax(W p) without the exponential, W = diag(p_cf)^-1, p and p_cf normalised."""
    p, content_free = torch.rand(7, 3, dtype=torch.float64), torch.rand(4, 3, dtype=torch.float64)
    normalised = content_free / content_free.sum(-1, keepdim=True)
    W = torch.diag(1 / normalised.mean(0))
    want = (p / p.sum(-1, keepdim=True)) @ W
    found = prompting.label_scores(p.log(), content_free.log()).exp()
    torch.testing.assert_close(found, want / want.sum(-1, keepdim=True))


def test_a_calibrated_prompt_without_content_prefers_no_label():
    content_free = torch.tensor([-1.0, -3.0, -7.0])
    scores = prompting.label_scores(content_free, content_free)
    torch.testing.assert_close(scores, torch.full((3,), -math.log(3)))


# --- how sure a number is


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("n_right", "n"), [(0, 7), (3, 7), (60, 60), (41, 60), (1, 1)])
def test_the_interval_of_an_accuracy_agrees_with_scipy(n_right, n, confidence):
    want = stats.binomtest(n_right, n).proportion_ci(confidence, method="wilson")
    assert prompting.wilson_interval(n_right, n, confidence) == pytest.approx((want.low, want.high), abs=1e-12)


@pytest.mark.parametrize(("n_right", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_an_impossible_count_is_refused(n_right, n):
    with pytest.raises(ValueError, match="not possible"):
        prompting.wilson_interval(n_right, n)


def test_the_bootstrap_agrees_with_numpy():
    rng = np.random.default_rng(0)
    values, drawn = rng.normal(size=11), rng.integers(11, size=(500, 11))
    want = np.quantile(values[drawn].mean(1), [0.05, 0.95])
    found = prompting.bootstrap_interval(torch.from_numpy(values), torch.from_numpy(drawn), 0.9)
    assert found == pytest.approx(tuple(want))


def test_the_bootstrap_interval_has_the_width_that_theory_gives_a_mean():
    values = torch.randn(400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    low, high = prompting.bootstrap_interval(values, prompting.resample(400, 4000))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std().item() / 20, rel=0.05)


def test_resamples_draw_every_case_about_equally_often_and_some_twice():
    drawn = prompting.resample(10, 3000, seed=1)
    assert drawn.shape == (3000, 10)
    assert (drawn.flatten().bincount() - 3000).abs().max() < 250
    assert np.mean([len(set(row)) for row in drawn.tolist()]) == pytest.approx(10 * (1 - 0.9**10), rel=0.02)
    assert not torch.equal(drawn, prompting.resample(10, 3000, seed=2))


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_agrees_with_scipy(wins, losses):
    want = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert prompting.sign_test(wins, losses) == pytest.approx(want)


@pytest.mark.parametrize(("accuracy", "n", "prompts"), [(0.7, 3, 2), (0.5, 4, 3), (1.0, 3, 2), (0.0, 3, 2)])
def test_the_expected_best_agrees_with_counting_all_outcomes(accuracy, n, prompts):
    law = stats.binom.pmf(range(n + 1), n, accuracy)
    want = sum(max(ks) / n * np.prod(law[list(ks)]) for ks in product(range(n + 1), repeat=prompts))
    assert prompting.expected_best(accuracy, n, prompts) == pytest.approx(want)


def test_the_expected_best_agrees_with_a_simulation():
    best = np.random.default_rng(0).binomial(60, 0.7, size=(20_000, 50)).max(1) / 60
    assert prompting.expected_best(0.7, 60, 50) == pytest.approx(best.mean(), abs=4 * best.std() / 20_000**0.5)


# --- the experiment

CASES = [("2", "even"), ("3", "odd"), ("4", "even"), ("5", "odd")]
PROMPTS = {"plain": "{} is".format, "shouted": "{} IS".format, "silent": "{}".format}


def parity(prompt: str) -> str:
    """A model that is right if asked plainly, always says even if shouted at, and else says nothing."""
    number, *rest = prompt.split()
    return {"is": " even." if int(number) % 2 == 0 else " odd.", "IS": " even!"}["".join(rest)] if rest else "..."


def parities(prompts: list[str]) -> list[str]:
    return [parity(prompt) for prompt in prompts]


def parsed(completion: str) -> str | None:
    return prompting.parse_answer(completion, ["even", "odd"])


@pytest.fixture
def table() -> prompting.Table:
    return prompting.run(PROMPTS, CASES, parities, parsed)


def test_an_experiment_completes_every_prompt_on_every_case(table):
    assert {name: right.tolist() for name, right in table.right.items()} == {
        "plain": [True] * 4,
        "shouted": [True, False, True, False],
        "silent": [False] * 4,
    }
    trial = table.trials["shouted"][1]
    assert (trial.text, trial.completion, trial.expected, trial.answer) == ("3 IS", " even!", "odd", "even")


def test_a_table_counts_errors_and_compares_case_by_case(table):
    assert table.errors("plain") == {}
    assert table.errors("shouted") == {("odd", "even"): 2}
    assert table.errors("silent") == {("odd", None): 2, ("even", None): 2}
    accuracy = table.accuracy("shouted")
    assert (accuracy.value, accuracy.n_right, accuracy.n_cases) == (0.5, 2, 4)
    found = table.compare("plain", "shouted")
    assert (found.difference, found.wins, found.losses, found.p_value) == (0.5, 2, 0, 0.5)
    assert found.low <= 0.5 <= found.high
    back = table.compare("shouted", "plain")
    assert (back.difference, back.low, back.wins) == (-0.5, pytest.approx(-found.high), 0)


def test_a_comparison_of_pairs_is_sharper_than_two_intervals():
    """Two prompts that agree on all cases but five, of which one has all five right."""
    right = [i % 2 == 0 for i in range(60)]
    better = [is_right or i < 10 for i, is_right in enumerate(right)]
    trials = {
        name: tuple(
            prompting.Trial(prompt=name, text="", completion="", expected="a", answer="a" if is_right else None)
            for is_right in rights
        )
        for name, rights in {"worse": right, "better": better}.items()
    }
    table = prompting.Table(trials)
    assert table.accuracy("worse").high > table.accuracy("better").low
    found = table.compare("better", "worse")
    assert (found.wins, found.losses) == (5, 0)
    assert found.low > 0


def test_a_summary_names_every_prompt_and_compares_with_the_baseline(table):
    lines = table.summary(baseline="plain").splitlines()
    assert lines[1].split() == ["plain", "4", "1.00", "[0.51,", "1.00]"]
    assert lines[2].split()[:5] == ["shouted", "2", "0.50", "[0.15,", "0.85]"]
    assert lines[2].split()[-2:] == ["0-2", "0.5"]
    assert "minus" not in table.summary()


@pytest.mark.parametrize(("prompts", "cases"), [({}, CASES), (PROMPTS, [])])
def test_an_experiment_needs_prompts_and_cases(prompts, cases):
    with pytest.raises(ValueError, match="at least one"):
        prompting.run(prompts, cases, parities, parsed)


def test_a_completion_function_must_return_one_completion_a_prompt():
    with pytest.raises(ValueError, match="returned 1 completions for 4"):
        prompting.run(PROMPTS, CASES, lambda prompts: ["even"], parsed)


# --- the cache


class Counting:
    """A model that counts what it is asked."""

    def __init__(self):
        self.asked: list[str] = []

    def __call__(self, prompts):
        self.asked += prompts
        return [prompt[::-1] for prompt in prompts]


def test_a_cache_asks_once_for_each_prompt_and_keeps_the_order():
    model = Counting()
    complete = prompting.Cached(model, {"model": "mirror"})
    assert complete(["ab", "cd", "ab"]) == ["ba", "dc", "ba"]
    assert complete(["ef", "cd"]) == ["fe", "dc"]
    assert model.asked == ["ab", "cd", "ef"]
    assert complete.asked == 3


def test_a_cache_on_disk_outlasts_the_program_and_tells_identities_apart(tmp_path):
    first = prompting.Cached(Counting(), {"model": "mirror", "temperature": 0.0}, tmp_path / "new" / "folder")
    first(["äb", "cd"])
    again, other = Counting(), Counting()
    same = prompting.Cached(again, {"temperature": 0.0, "model": "mirror"}, tmp_path / "new" / "folder")
    assert same(["cd", "äb", "ef"]) == ["dc", "bä", "fe"]
    assert again.asked == ["ef"]
    prompting.Cached(other, {"model": "mirror", "temperature": 1.0}, tmp_path / "new" / "folder")(["cd"])
    assert other.asked == ["cd"]
    files = list((tmp_path / "new" / "folder").iterdir())
    assert len(files) == 4
    kept = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    assert {"identity": {"model": "mirror", "temperature": 0.0}, "prompt": "äb", "completion": "bä"} in kept


def test_what_the_model_said_before_it_broke_is_kept_and_no_half_file_is_left(tmp_path, monkeypatch):
    complete = prompting.Cached(Counting(), {}, tmp_path)
    real = os.replace

    def breaks(source, target):
        if len(list(tmp_path.glob("*.json"))) == 1:
            raise OSError("no space left")
        real(source, target)

    monkeypatch.setattr(os, "replace", breaks)
    with pytest.raises(OSError, match="no space"):
        complete(["ab", "cd"])
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    model = Counting()
    assert prompting.Cached(model, {}, tmp_path)(["ab", "cd"]) == ["ba", "dc"]
    assert model.asked == ["cd"]


def test_a_spoilt_file_in_the_cache_is_named(tmp_path):
    prompting.Cached(Counting(), {}, tmp_path)(["ab"])
    (file,) = tmp_path.iterdir()
    file.write_text("half a fi")
    with pytest.raises(ValueError, match=re.escape(str(file))):
        prompting.Cached(Counting(), {}, tmp_path)(["ab"])


def test_an_identity_is_plain_data():
    with pytest.raises(TypeError):
        prompting.Cached(Counting(), {"model": torch.zeros(2)})


# --- the log


def test_a_log_counts_the_looks_at_each_set_of_cases_and_goes_on_from_its_file(table, tmp_path):
    log = prompting.Log(tmp_path / "logs" / "prompts.jsonl")
    assert log.looks(CASES) == 0
    entry = log.write(table, CASES, "development", note="three ways to ask")
    assert entry["prompts"]["shouted"] == {"text": "2 IS", "right": 2}
    assert (entry["cases"], entry["n_cases"], entry["note"]) == ("development", 4, "three ways to ask")
    again = prompting.Log(tmp_path / "logs" / "prompts.jsonl")
    again.write(table, CASES, "development")
    assert again.looks(CASES[::-1]) == 6
    assert again.looks(CASES[1:]) == 0
    assert prompting.Log(tmp_path / "logs" / "prompts.jsonl").entries == again.entries


def test_a_log_needs_no_file_and_refuses_one_that_is_none(table, tmp_path):
    log = prompting.Log()
    log.write(table, CASES, "test")
    assert log.looks(CASES) == 3
    (tmp_path / "log").write_text("not a log\n")
    with pytest.raises(ValueError, match="not a log"):
        prompting.Log(tmp_path / "log")
