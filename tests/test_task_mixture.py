"""The mixture of tasks: its exact Bayes curve by brute force and by a closed form, and what its samples promise."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch.nn import functional as F

from labutils.models import Config, Decoder
from labutils.task_mixture import (
    GROUPS,
    LABELS,
    NEVER,
    SEEN,
    TaskMixture,
    bayes_accuracy,
    bayes_law,
    hits,
    label_logits,
    label_loss,
)
from labutils.weights import IN_CONTEXT, about, fingerprint, load_in_context

MIXTURE = TaskMixture()


def draw_reviews(rng: np.random.Generator, n: int, noise: float) -> tuple[tuple[int, int], list[int], list[int]]:
    """A pair of labels, and n reviews with labels of that pair."""
    pair = tuple(rng.choice(len(LABELS), size=2, replace=False).tolist())
    tones = rng.integers(3, size=n).tolist()
    meant = [pair[tone] if tone < 2 else pair[rng.integers(2)] for tone in tones]
    labels = [int(rng.integers(len(LABELS))) if rng.random() < noise else label for label in meant]
    return pair, tones, labels


def looped_law(tones: list[int], labels: list[int], noise: float) -> list[list[float]]:
    """Bayes' rule pair by pair and review by review, in ordinary numbers."""

    def chance(pair: tuple[int, int], tone: int, label: int) -> float:
        says = [pair[0] == label, pair[1] == label, (pair[0] == label) / 2 + (pair[1] == label) / 2][tone]
        return (1 - noise) * says + noise / len(LABELS)

    laws = []
    for k, tone in enumerate(tones):
        weight = {
            pair: math.prod(chance(pair, t, y) for t, y in zip(tones[:k], labels[:k], strict=True))
            for pair in itertools.permutations(range(len(LABELS)), 2)
        }
        total = sum(weight.values())
        laws.append([sum(w * chance(p, tone, y) for p, w in weight.items()) / total for y in range(len(LABELS))])
    return laws


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 5), noise=st.sampled_from([0.0, 0.25]))
def test_the_exact_law_equals_bayes_rule_pair_by_pair(seed, n, noise):
    _, tones, labels = draw_reviews(np.random.default_rng(seed), n, noise)
    law = bayes_law(torch.tensor([tones]), torch.tensor([labels]), noise=noise)
    torch.testing.assert_close(law[0], torch.tensor(looped_law(tones, labels, noise), dtype=torch.float64))


def test_the_law_is_calibrated():
    """Of the labels to which it gives a probability, that share comes true."""
    prompts = MIXTURE.sample(4000, 3, tasks=NEVER, neutral=True, noise=0.2)
    labels = prompts.tokens[:, 3::2] - MIXTURE.label_tokens[0]
    law = bayes_law(prompts.tones, labels, noise=0.2)
    came = F.one_hot(labels, len(LABELS)).double()
    for low, high in itertools.pairwise((0.0, 0.03, 0.1, 0.3, 0.6, 0.8, 1.0)):
        inside = (law > low) & (law <= high)
        assert came[inside].mean().item() == pytest.approx(law[inside].mean().item(), abs=0.015)


def test_the_curve_has_a_closed_form_without_neutral_words():
    """A tone was seen with probability 1 - 2^-k; else the label is one of 16, or of the 15 that the other tone left."""
    prompts = MIXTURE.sample(20_000, 5, tasks=NEVER)
    labels = prompts.tokens[:, 3::2] - MIXTURE.label_tokens[0]
    curve = bayes_accuracy(bayes_law(prompts.tones, labels), labels).mean(0)
    expected = [1 - 2.0**-k + 2.0**-k / (16 - (k > 0)) for k in range(9)]
    np.testing.assert_allclose(curve, expected, atol=0.012)


def test_ties_are_broken_evenly():
    law = torch.tensor([[0.4, 0.4, 0.2], [0.5, 0.3, 0.2], [1 / 3, 1 / 3, 1 / 3]], dtype=torch.float64)
    assert bayes_accuracy(law, torch.tensor([1, 1, 2])).tolist() == pytest.approx([0.5, 0.0, 1 / 3])


def test_labels_that_no_instruction_gives_are_refused():
    contradiction = torch.tensor([[0, 0, 0]]), torch.tensor([[3, 5, 3]])
    with pytest.raises(ValueError, match="contradicts"):
        bayes_law(*contradiction)
    assert bayes_law(*contradiction, noise=0.1).sum(-1).allclose(torch.ones(1, 3, dtype=torch.float64))


# --- samples


def test_every_label_is_what_its_instruction_means():
    prompts = MIXTURE.sample(500, 1, shots=3, neutral=True)
    meanings = {tuple(words.split()[:2]): words.split()[2:] for words in MIXTURE.dictionary}
    good, bad = set(MIXTURE.vocab[80:92]), set(MIXTURE.vocab[92:104])
    for row in prompts.tokens:
        verb, thing, *pairs = MIXTURE.decode(row).split()
        for word, label in zip(pairs[::2], pairs[1::2], strict=True):
            praise, blame = meanings[verb, thing]
            allowed = {praise} if word in good else {blame} if word in bad else {praise, blame}
            assert label in allowed
    assert len(meanings) == 1024
    assert all(praise != blame for praise, blame in meanings.values())


def test_instructions_are_drawn_by_the_law_and_groups_evenly():
    tasks = MIXTURE.sample(50_000, 2, shots=0).tasks
    counts = np.bincount(tasks.numpy(), minlength=SEEN)
    assert chisquare(counts, 50_000 * MIXTURE.law).pvalue > 1e-3
    assert MIXTURE.law[0] / MIXTURE.law[8] == pytest.approx(2)
    for group in GROUPS.values():
        drawn = MIXTURE.sample(len(group) * 30, 2, shots=0, tasks=group).tasks.numpy()
        assert chisquare(np.bincount(drawn - group[0], minlength=len(group))).pvalue > 1e-3
    assert [*GROUPS["frequent"], *GROUPS["middle"], *GROUPS["rare"], *GROUPS["never"]] == list(range(1024))


def test_noise_replaces_its_share_of_the_labels():
    prompts = MIXTURE.sample(4000, 4, noise=0.4)
    kept = (prompts.tokens == MIXTURE.relabelled(prompts, "right"))[:, 3::2].double().mean().item()
    assert kept == pytest.approx(0.6 + 0.4 / 16, abs=0.01)


def test_relabelling_changes_labels_only():
    prompts = MIXTURE.sample(300, 6, shots=4)
    right, swapped, random = (MIXTURE.relabelled(prompts, how) for how in ("right", "swapped", "random"))
    assert right.equal(prompts.tokens)
    for changed in (swapped, random):
        assert changed[:, 2::2].equal(right[:, 2::2])
        assert changed[:, 1].equal(right[:, 1])
    assert not (swapped == right)[:, 3::2].any()
    assert all(
        set(a[3::2].tolist()) <= set(MIXTURE.labels[t].tolist()) for a, t in zip(swapped, prompts.tasks, strict=True)
    )
    assert (random == right)[:, 3::2].double().mean().item() == pytest.approx(1 / 16, abs=0.03)
    with pytest.raises(ValueError, match="'wrong'"):
        MIXTURE.relabelled(prompts, "wrong")


def test_words_and_tokens():
    assert len(set(MIXTURE.vocab)) == MIXTURE.vocab_size == 106
    text = "rate films superb fig n/a oak"
    assert MIXTURE.decode(MIXTURE.encode(text)) == text
    with pytest.raises(ValueError, match="'nice' is not one of the 106 words"):
        MIXTURE.encode("rate films nice")
    assert TaskMixture(1).dictionary != MIXTURE.dictionary
    assert TaskMixture(0).dictionary == MIXTURE.dictionary


# --- models


class Copier(torch.nn.Module):
    """Says the word two places before: after a review word the review word before it, so never a label."""

    def forward(self, tokens):
        before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
        return F.one_hot(before, MIXTURE.vocab_size).double()


def test_a_model_is_read_at_the_review_words():
    tokens = MIXTURE.encode("rate films superb fig great fig dull oak")[None]
    assert [MIXTURE.vocab[i] for i in label_logits(Copier(), tokens).argmax(-1)[0]] == ["films", "fig", "fig"]
    assert hits(Copier(), tokens).tolist() == [[0, 1, 0]]
    graded = MIXTURE.encode("rate films superb fig great oak dull fig")[None]
    assert hits(Copier(), tokens, graded).tolist() == [[0, 0, 1]]


def test_the_loss_is_the_mean_surprise_of_the_labels():
    torch.manual_seed(0)
    model = Decoder(Config(vocab_size=MIXTURE.vocab_size, d_model=8, n_heads=2)).eval()
    tokens = MIXTURE.sample(5, 7, shots=2).tokens
    by_hand = []
    for row in tokens:
        for place in (3, 5, 7):
            p = model(row[None, :place])[0, -1].double().softmax(-1)
            by_hand.append(-p[row[place]].log().item())
    assert label_loss(model, tokens).item() == pytest.approx(np.mean(by_hand), abs=1e-5)


@pytest.mark.parametrize("name", IN_CONTEXT)
def test_the_shipped_models_are_what_is_written_beside_them(name):
    model, facts = load_in_context(name), about(IN_CONTEXT[name])
    assert facts["training"]["parameters"] == sum(p.numel() for p in model.parameters())
    assert facts["vocab_sha256"] == fingerprint((*MIXTURE.vocab, *MIXTURE.dictionary))
    assert model.config.d_model == int(name.split("_")[0])
    assert next(model.parameters()).dtype == torch.float32
    assert not model.training


def test_the_shipped_models_are_small():
    assert sum(path.stat().st_size for path in IN_CONTEXT.values()) < 400_000


def test_the_numbers_of_the_figure_are_those_of_the_models():
    figure = json.loads(IN_CONTEXT["8"].with_name("in_context.json").read_text(encoding="utf-8"))
    prompts = {group: MIXTURE.sample(figure["prompts"], 10**6, tasks=tasks) for group, tasks in GROUPS.items()}
    for name in IN_CONTEXT:
        model = load_in_context(name)
        assert figure["parameters"][name] == sum(p.numel() for p in model.parameters())
        for group, drawn in prompts.items():
            for labels, shares in figure["accuracy"][name][group].items():
                found = hits(model, MIXTURE.relabelled(drawn, labels), drawn.tokens).mean(0)
                np.testing.assert_allclose(found, shares, atol=0.003, err_msg=f"{name} {group} {labels}")
    labels = prompts["never"].tokens[:, 3::2] - MIXTURE.label_tokens[0]
    bayes = bayes_accuracy(bayes_law(prompts["never"].tones, labels), labels).mean(0)
    np.testing.assert_allclose(bayes, figure["bayes"], atol=1e-4)
