"""Prompts, answers, scores: against texts written out, Hugging Face, and the exact law of the world."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
