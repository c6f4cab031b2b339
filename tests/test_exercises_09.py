"""What the inputs of lab 09's exercises promise, and what its exercises must agree with."""

import pytest
import torch
from exercise_inputs import all_inputs, draw, seeds
from hypothesis import given, settings
from torch.nn import functional as F

from labutils.checks import feedback
from labutils.exercises import exercises_of, find


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("09"):
        if exercise.adapter is None:
            sizes = [
                sum(v.numel() for v in draw(exercise, seed, case).values() if torch.is_tensor(v)) for case in (0, 1)
            ]
            assert max(sizes) <= 12


@pytest.mark.parametrize("name", ["rotate_by_position", "pre_norm_block", "layer_norm", "rms_norm"])
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_vectors_come_with_and_without_batches_in_both_precisions(name, seed):
    drawn = [inputs["x"] for inputs in all_inputs(name, seed)]
    assert {x.dtype for x in drawn} == {torch.float32, torch.float64}
    assert {x.ndim for x in drawn} >= {2, 3, 4}


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_single_positions_and_single_features_occur(seed):
    assert 1 in [inputs["n_positions"] for inputs in all_inputs("sinusoidal_positions", seed)]
    assert 1 in [inputs["x"].shape[-2] for inputs in all_inputs("rotate_by_position", seed)]
    assert (1, 1) in [(inputs["n_queries"], inputs["n_keys"]) for inputs in all_inputs("distance_bias", seed)]
    for name in ("layer_norm", "rms_norm"):
        drawn = [inputs["x"] for inputs in all_inputs(name, seed)]
        assert 1 in [x.shape[-1] for x in drawn]
        assert 1 in [x.ndim for x in drawn]


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_distances_go_beyond_the_table_and_queries_are_fewer_than_keys(seed):
    beyond, fewer = 0, 0
    for inputs in all_inputs("distance_bias", seed):
        assert inputs["table"].shape[1] % 2 == 1
        assert inputs["table"].unique().numel() == inputs["table"].numel()  # so that no two distances look alike
        beyond += inputs["n_keys"] - 1 > inputs["table"].shape[1] // 2
        fewer += inputs["n_queries"] < inputs["n_keys"]
    assert beyond >= 4
    assert fewer >= 3


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_references_are_torchs_norms(seed):
    for inputs in all_inputs("layer_norm", seed):
        x, gain, bias, epsilon = inputs.values()
        torch.testing.assert_close(
            find("layer_norm").reference(**inputs), F.layer_norm(x, gain.shape, gain, bias, epsilon)
        )
    for inputs in all_inputs("rms_norm", seed):
        x, gain, epsilon = inputs.values()
        torch.testing.assert_close(find("rms_norm").reference(**inputs), F.rms_norm(x, gain.shape, gain, epsilon))


@pytest.mark.parametrize(
    ("name", "easy"),
    [
        ("layer_norm", lambda x, gain, bias, epsilon: F.layer_norm(x, gain.shape, gain, bias, epsilon)),
        ("rms_norm", lambda x, gain, epsilon: F.rms_norm(x, gain.shape, gain, epsilon)),
    ],
)
def test_the_easy_way_is_refused(name, easy):
    text, _ = feedback(find(name), easy)
    assert f"please write this without `torch.nn.functional.{name}`" in text


def test_changing_the_stream_in_place_is_told():
    def block(x, attention, ffn, attention_norm, ffn_norm):
        x += attention(attention_norm(x))
        x += ffn(ffn_norm(x))
        return x

    text, _ = feedback(find("pre_norm_block"), block)
    assert "you change the argument `x` in place" in text
