"""What the inputs of lab 08's exercises promise, and the identities that their references keep."""

import pytest
import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from labutils.exercises import exercises_of, find

NAMES = [exercise.name for exercise in exercises_of("08")]


@pytest.mark.parametrize("name", NAMES)
def test_there_are_inputs_with_and_without_a_batch_in_either_precision_and_of_one_position(name):
    cases = [next(iter(inputs.values())) for inputs in all_inputs(name, 0)]
    ranks = {x.ndim for x in cases}
    assert {min(ranks), min(ranks) + 1, min(ranks) + 2} <= ranks
    assert {x.dtype for x in cases} == {torch.float32, torch.float64}
    assert any(x.shape[-2] == 1 for x in cases)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_inputs_can_be_read(name):
    for inputs in all_inputs(name, 0)[:2]:
        assert sum(x.numel() for x in inputs.values() if torch.is_tensor(x)) <= 18


@pytest.mark.parametrize("name", NAMES)
def test_the_axes_of_the_large_cases_have_different_sizes(name):
    """So that a mistake in an axis shows: within a tensor no size comes twice."""
    for inputs in all_inputs(name, 0)[-3:]:
        for x in inputs.values():
            if torch.is_tensor(x):
                sizes = [size for size in x.shape if size > 1]
                assert len(set(sizes)) == len(sizes), x.shape


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_contexts_are_visible_padded_and_empty(seed):
    kinds = set()
    for inputs in all_inputs("cross_attention", seed):
        visible = inputs["visible"]
        kinds |= {"all"} if visible.all() else set()
        kinds |= {"none"} if (~visible).all() else set()
        kinds |= {"one of several is empty"} if visible.ndim > 1 and not visible.any(-1).all() else set()
        kinds |= {"part"} if (visible.any(-1) & ~visible.all(-1)).any() else set()
    assert kinds == {"all", "none", "one of several is empty", "part"}


def test_steps_begin_empty_and_go_on_with_one_position_and_with_several():
    shapes = {
        (inputs["past_keys"].shape[-2] == 0, inputs["key"].shape[-2] == 1)
        for inputs in all_inputs("cached_attention", 0)
    }
    assert shapes == {(True, True), (True, False), (False, True), (False, False)}


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_cutting_and_joining_undo_each_other(seed):
    split, merge = find("split_heads").reference, find("merge_heads").reference
    for inputs in all_inputs("split_heads", seed):
        assert torch.equal(merge(split(**inputs)), inputs["x"])


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_groups_of_one_are_multi_head_and_one_group_is_multi_query(seed):
    grouped = find("grouped_attention").reference
    query, key, value = all_inputs("grouped_attention", seed)[-1].values()
    every = [x.repeat_interleave(query.shape[-3] // key.shape[-3], -3) for x in (key, value)]
    torch.testing.assert_close(grouped(query, *every), F.scaled_dot_product_attention(query, *every))
    one = [x[..., :1, :, :] for x in (key, value)]
    shared = F.scaled_dot_product_attention(query, *(x.expand(*query.shape[:-2], -1, -1) for x in one))
    torch.testing.assert_close(grouped(query, *one), shared)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_cross_attention_with_itself_is_self_attention(seed):
    inputs = all_inputs("cross_attention", seed)[-1]
    x, maps = inputs["x"], [inputs[f"{name}_weight"] for name in ("query", "key", "value")]
    inputs |= {"context": x, "visible": torch.ones(x.shape[:-1], dtype=torch.bool)}
    wanted = F.scaled_dot_product_attention(*(x @ weight for weight in maps))
    torch.testing.assert_close(find("cross_attention").reference(**inputs), wanted)


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(0, 9))
def test_however_the_steps_are_cut_the_outputs_are_those_of_causal_attention(seed, cut):
    """Fed in two parts, the first of which may be empty, a sequence gets what it would get in one."""
    step = find("cached_attention").reference
    query, key, value = torch.randn(3, 2, 9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    output, keys, values = step(*(x[:, :cut] for x in (query, key, value)), key[:, :0], value[:, :0])
    rest, keys, values = step(*(x[:, cut:] for x in (query, key, value)), keys, values)
    assert torch.equal(keys, key)
    assert torch.equal(values, value)
    wanted = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(torch.cat((output, rest), dim=1), wanted)
