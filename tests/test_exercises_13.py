"""What the inputs of lab 13's exercises promise."""

import math

from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings

from labutils.exercises import find


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_laws_are_given_at_temperatures_on_both_sides_of_one(seed):
    drawn = all_inputs("distillation_loss", seed)
    temperatures = [inputs["temperature"] for inputs in drawn]
    assert all(type(t) is float and t > 0 for t in temperatures)
    assert min(temperatures) < 1 < max(temperatures)
    assert 1.0 in temperatures
    for inputs in drawn:
        shape = inputs["student"].shape
        assert inputs["teacher"].shape == shape
        assert len(set(shape)) == len(shape), "no two axes agree, so that a mistake in an axis shows"


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_rounding_never_decides_which_rows_are_the_best(seed):
    exercise = find("keep_best")
    for inputs in all_inputs(exercise.name, seed):
        n = sum(not math.isnan(score) for score in inputs["scores"])
        count = inputs["share"] * n
        # Either exact in binary, or far from a whole number.
        assert abs(count - round(count)) > 0.005 or inputs["share"] in (0.5, 0.25, 1.0)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_ties_and_missing_scores_occur(seed):
    drawn = all_inputs("keep_best", seed)
    rated = [[score for score in inputs["scores"] if not math.isnan(score)] for inputs in drawn]
    assert any(len(set(scores)) < len(scores) for scores in rated)
    assert any(not scores for scores in rated)
    assert any(0 < len(scores) < len(inputs["scores"]) for scores, inputs in zip(rated, drawn, strict=True))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_texts_are_clean_and_spoilt_and_sometimes_empty(seed):
    exercise = find("uncontaminated")
    drawn = all_inputs(exercise.name, seed)
    answers = [answer for inputs in drawn for answer in exercise.reference(**inputs)]
    assert {True, False} == set(answers)
    assert any("" in inputs["texts"] for inputs in drawn)
    assert any(text != text.lower() for inputs in drawn for text in inputs["texts"])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_rows_lack_nothing_something_and_several_things(seed):
    exercise = find("missing_provenance")
    lacks = [
        lacking for inputs in all_inputs(exercise.name, seed) for lacking in exercise.run(exercise.reference, inputs)
    ]
    assert {0, 1}.issubset(map(len, lacks))
    assert max(map(len, lacks)) >= 3
