"""What the inputs of lab 10's exercises promise."""

import torch
from exercise_inputs import draw, seeds
from hypothesis import given, settings

from labutils.exercises import find
from labutils.prompting import parse_answer
from labutils.task_mixture import bayes_law


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_prompts_have_every_number_of_examples_and_no_text_twice(seed):
    exercise = find("write_prompt")
    shots, instructions = set(), set()
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        texts = [text for text, _ in inputs["examples"]] + [inputs["query"]]
        assert len(set(texts)) == len(texts)
        assert inputs["query"] == inputs["query"].strip()
        shots.add(len(inputs["examples"]))
        instructions.add(inputs["instruction"] != "")
    assert shots == {0, 1, 2, 3, 4}
    assert instructions == {True, False}


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_completions_name_a_label_in_every_way(seed):
    exercise = find("read_label")
    seen = set()
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        label = exercise.run(exercise.reference, inputs)
        assert label == (parse_answer(**inputs) or "")
        text = inputs["completion"]
        seen |= {"none"} if label == "" else set()
        seen |= {"alone"} if text.strip() == label else set()
        seen |= {"other letters"} if label and label not in text else set()
        seen |= {"not the first of the list"} if label and label != inputs["labels"][0] else set()
        parts = [name for name in inputs["labels"] if label and text.lower().find(name.lower()) >= 0]
        first = min(parts, key=lambda name: text.lower().find(name.lower()), default=label)
        seen |= {"inside of a word"} if first != label else set()
    assert seen >= {"none", "alone", "other letters", "not the first of the list", "inside of a word"}


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_no_row_of_log_probabilities_is_normalised(seed):
    exercise = find("calibrated_probabilities")
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        for rows in inputs.values():
            assert (rows.exp().sum(-1) < 0.91).all()
        calibrated = exercise.run(exercise.reference, inputs)
        assert calibrated.sum(-1).allclose(torch.ones(len(calibrated), dtype=calibrated.dtype))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_law_of_the_exercise_is_that_of_the_mixture(seed):
    """Where there are 16 labels, as in the mixture."""
    exercise = find("label_law")
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case) | {"n_labels": 16}
        tones, labels = (
            torch.tensor([[*inputs[name], last]]) for name, last in (("tones", inputs["query_tone"]), ("labels", 0))
        )
        expected = bayes_law(tones, labels)[0, -1]
        torch.testing.assert_close(torch.tensor(exercise.run(exercise.reference, inputs)).double(), expected)
