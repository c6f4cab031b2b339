"""What the inputs of lab 06's exercises promise, and how their references agree with independent code."""

import re

import pytest
import torch
from exercise_inputs import all_inputs, seeds
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers.models.bart.modeling_bart import shift_tokens_right

from labutils.exercises import exercises_of, find
from labutils.objectives import corrupt_spans, infill, random_spans, restore_spans

NAMES = [exercise.name for exercise in exercises_of("06")]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_input_can_be_read(name):
    sizes = [x.numel() if torch.is_tensor(x) else len(x) for x in all_inputs(name, 0)[0].values() if not is_number(x)]
    assert sum(sizes) <= 22


def is_number(x) -> bool:
    return isinstance(x, int | float)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_sentinels_are_in_no_order_and_no_words(seed):
    for name in ("span_corruption", "sentinel_decoding"):
        for inputs in all_inputs(name, seed):
            sentinels = inputs["sentinels"]
            text = inputs.get("tokens", [])
            assert len(set(sentinels)) == len(sentinels)
            assert not set(sentinels) & set(text)
            if name == "span_corruption":
                assert sentinels not in (sorted(sentinels), sorted(sentinels, reverse=True))
                assert len(set(text)) == len(text)


@pytest.mark.parametrize("name", ["span_corruption", "text_infilling"])
def test_spans_stand_at_either_end_and_nowhere_and_everywhere(name):
    patterns = [inputs["dropped"] for inputs in all_inputs(name, 0)]
    for kind in (lambda p: p[0], lambda p: p[-1], all, lambda p: not any(p), lambda p: p[0] and p[-1] and not all(p)):
        assert any(map(kind, patterns))


def spelled(tokens, dropped) -> tuple[str, str]:
    """The text as letters, and the same with capitals where it is dropped: an oracle for regular expressions."""
    letters = [chr(ord("a") + i) for i in range(len(tokens))]
    return "".join(letters), "".join(x.upper() if drop else x for x, drop in zip(letters, dropped, strict=True))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_span_corruption_is_a_substitution_of_runs(seed):
    for inputs in all_inputs("span_corruption", seed):
        plain, marked = spelled(inputs["tokens"], inputs["dropped"])
        spans = re.findall("[A-Z]+", marked)
        source = marked
        for i in range(len(spans)):
            source = re.sub("[A-Z]+", str(i), source, count=1)  # one digit for each run of capitals
        target = "".join(f"{i}{span.lower()}" for i, span in enumerate(spans)) + str(len(spans))
        number = dict(zip(plain, inputs["tokens"], strict=True))
        number |= {str(i): sentinel for i, sentinel in enumerate(inputs["sentinels"])}
        wanted = [number[x] for x in source], [number[x] for x in target]
        assert find("span_corruption").reference(**inputs) == wanted


@settings(max_examples=10, deadline=None)
@given(seeds, st.integers(2, 40), st.floats(0.05, 0.6))
def test_the_three_on_spans_agree_with_the_library(seed, length, rate):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(100, (length,), generator=generator)
    dropped = random_spans(length, generator, rate=rate)
    sentinels = list(range(200, 200 + length + 1))
    source, target = (x.tolist() for x in corrupt_spans(tokens, dropped, sentinels))
    ours = find("span_corruption").reference(tokens.tolist(), dropped.tolist(), sentinels)
    assert ours == (source, target)
    assert find("sentinel_decoding").reference(source, target, sentinels) == tokens.tolist()
    ours = find("text_infilling").reference(tokens.tolist(), dropped.tolist(), 1)
    assert [torch.tensor(x).tolist() for x in ours] == [x.tolist() for x in infill(tokens, dropped, 1)]


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_faulty_targets_are_decoded_as_the_library_decodes_them(seed):
    for inputs in all_inputs("sentinel_decoding", seed):
        assert find("sentinel_decoding").reference(**inputs) == restore_spans(**inputs)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_shift_right_is_hugging_faces(seed):
    for inputs in all_inputs("shift_right", seed):
        labels = inputs["labels"]
        rows = labels.reshape(-1, labels.shape[-1])
        wanted = shift_tokens_right(rows, inputs["pad"], inputs["start"]).view(labels.shape)
        assert torch.equal(find("shift_right").reference(**inputs), wanted)
        assert (labels == -100).any() or labels.ndim == 1
    ignored = [(x["labels"] == -100).sum(-1).unique().tolist() for x in all_inputs("shift_right", seed)[3:]]
    assert all(counts == [0, 1, 2] for counts in ignored)


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_contrastive_loss_is_a_classification_of_cosines(seed):
    loss = find("contrastive_loss").reference
    for inputs in all_inputs("contrastive_loss", seed):
        a, b, temperature = inputs["a"], inputs["b"], inputs["temperature"]
        cosine = F.cosine_similarity(a[:, None], b[None], dim=-1)
        torch.testing.assert_close(loss(**inputs), F.cross_entropy(cosine / temperature, torch.arange(len(a))))
        torch.testing.assert_close(loss(3 * a, b, temperature), loss(**inputs), msg="the length does not count")


def test_one_pair_has_nothing_to_be_told_from():
    inputs = all_inputs("contrastive_loss", 0)[1]
    assert len(inputs["a"]) == 1
    assert find("contrastive_loss").reference(**inputs).item() == pytest.approx(0, abs=1e-7)
