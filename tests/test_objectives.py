import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import entropy
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch.nn import functional as F
from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from labutils.objectives import (
    bits_per_byte,
    bradley_terry_loss,
    causal_loss,
    corrupt_spans,
    distillation_loss,
    dpo_loss,
    infill,
    info_nce,
    kl_to_law,
    mask_tokens,
    masked_loss,
    perplexity,
    random_spans,
    restore_spans,
    sentence_pairs,
)

BATCH, SEQ, VOCAB_SIZE = 3, 5, 7


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 1000), batch=st.integers(1, 4), seq=st.integers(2, 6), vocab_size=st.integers(1, 9))
def test_causal_loss_equals_a_loop(seed, batch, seq, vocab_size):
    logits = normal(batch, seq, vocab_size, seed=seed)
    tokens = torch.randint(vocab_size, (batch, seq), generator=torch.Generator().manual_seed(seed))
    surprises = [
        -log_softmax(logits[b, i].numpy())[tokens[b, i + 1].item()] for b in range(batch) for i in range(seq - 1)
    ]
    assert causal_loss(logits, tokens).item() == pytest.approx(np.mean(surprises), abs=1e-12)


def test_causal_loss_equals_torch():
    logits, tokens = normal(BATCH, SEQ, VOCAB_SIZE), torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, VOCAB_SIZE), tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(causal_loss(logits, tokens), expected, rtol=0, atol=1e-12)


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    tokens = torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    assert causal_loss(torch.zeros(BATCH, SEQ, VOCAB_SIZE), tokens).item() == pytest.approx(math.log(VOCAB_SIZE))


def test_a_single_token_is_refused():
    with pytest.raises(ValueError, match="at least 2 tokens"):
        causal_loss(torch.zeros(BATCH, 1, VOCAB_SIZE), torch.zeros(BATCH, 1, dtype=torch.int64))


def test_padding_does_not_count():
    logits, tokens = normal(BATCH, SEQ, VOCAB_SIZE), torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    visible = torch.arange(SEQ) < torch.tensor([[2], [SEQ], [1]])  # the last sequence has nothing to predict
    expected = F.cross_entropy(
        logits[:, :-1].flatten(0, 1), torch.where(visible, tokens, -100)[:, 1:].flatten(), ignore_index=-100
    )
    torch.testing.assert_close(causal_loss(logits, tokens, visible), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        causal_loss(logits, tokens, torch.ones_like(visible)), causal_loss(logits, tokens), rtol=0, atol=1e-12
    )


def test_a_batch_of_padding_is_refused():
    with pytest.raises(ValueError, match="nothing to predict"):
        causal_loss(
            torch.zeros(1, 3, VOCAB_SIZE), torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[True, False, False]])
        )


def test_a_masked_loss_is_that_of_the_chosen_positions():
    logits, tokens = normal(BATCH, SEQ, VOCAB_SIZE), torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    chosen = torch.rand(BATCH, SEQ, generator=torch.Generator().manual_seed(1)) < 0.4
    places = chosen.nonzero().tolist()
    surprises = [-log_softmax(logits[b, i].numpy())[tokens[b, i].item()] for b, i in places]
    assert masked_loss(logits, tokens, chosen).item() == pytest.approx(np.mean(surprises), abs=1e-12)


def test_no_gradient_reaches_a_position_that_was_not_chosen():
    logits, tokens = normal(BATCH, SEQ, VOCAB_SIZE).requires_grad_(), torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    chosen = torch.zeros(BATCH, SEQ, dtype=torch.bool)
    chosen[1, 2] = True
    masked_loss(logits, tokens, chosen).backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(-1) > 0).equal(chosen)


def test_units():
    assert perplexity(math.log(50)) == pytest.approx(50)
    assert bits_per_byte(math.log(2), n_tokens=1, n_bytes=1) == 1
    # A byte that is uniform over 256 values costs eight bits, however it is cut into tokens.
    assert bits_per_byte(2 * math.log(256), n_tokens=5, n_bytes=10) == pytest.approx(8)


# --- masks -----------------------------------------------------------------------------------------------------------

MASK, SPECIAL, WORDS = 0, (1, 2), 40


def masked(tokens: torch.Tensor, seed: int = 0, **settings):
    generator = torch.Generator().manual_seed(seed)
    return mask_tokens(tokens, generator, mask_token=MASK, vocab_size=WORDS, special=SPECIAL, **settings)


def test_masking_has_the_shares_of_bert():
    """Each count lies within five standard deviations of what the rule gives."""
    tokens = torch.full((400, 500), 7)
    corrupted, chosen = masked(tokens)
    n = tokens.numel()
    counts = {
        0.15: chosen,
        0.15 * 0.8: corrupted == MASK,
        0.15 * 0.1 * 36 / 37: (corrupted != MASK) & (corrupted != 7),  # a random word may be the word itself
        0.15 * 0.1 * 38 / 37: chosen & (corrupted == 7),
    }
    for share, where in counts.items():
        assert abs(int(where.sum()) - share * n) < 5 * math.sqrt(n * share * (1 - share)), share
    assert corrupted[~chosen].eq(7).all()


def test_masking_agrees_with_hugging_faces_collator():
    words = {f"w{i}": i for i in range(WORDS)} | {"[MASK]": WORDS, "[PAD]": WORDS + 1}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="[PAD]")), mask_token="[MASK]", pad_token="[PAD]"
    )
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=1)
    tokens = torch.full((300, 300), 7)
    theirs = collator(list(tokens))
    generator = torch.Generator().manual_seed(0)
    corrupted, chosen = mask_tokens(tokens, generator, mask_token=WORDS, vocab_size=WORDS + 2, rate=0.3)
    for mine, other in (
        (chosen, theirs["labels"] != -100),
        (corrupted == WORDS, theirs["input_ids"] == WORDS),
        (corrupted == 7, theirs["input_ids"] == 7),
    ):
        spread = math.sqrt(2 * tokens.numel() * 0.25)
        assert abs(int(mine.sum()) - int(other.sum())) < 5 * spread


@given(seed=st.integers(0, 1000), rate=st.floats(0.0, 1.0))
def test_special_tokens_are_neither_masked_nor_drawn(seed, rate):
    tokens = torch.randint(WORDS, (4, 9), generator=torch.Generator().manual_seed(seed))
    corrupted, chosen = masked(tokens, seed, rate=rate)
    excluded = torch.isin(tokens, torch.tensor([MASK, *SPECIAL]))
    assert not (chosen & excluded).any()
    changed = corrupted != tokens
    assert not (changed & ~chosen).any()
    assert not torch.isin(corrupted[changed], torch.tensor(SPECIAL)).any()


def test_a_rate_of_one_chooses_every_ordinary_token():
    tokens = torch.tensor([[1, 5, 0, 6, 2]])
    assert masked(tokens, rate=1.0)[1].tolist() == [[False, True, False, True, False]]


# --- pairs -----------------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 1000))
def test_a_wrong_next_sentence_comes_from_another_document(seed):
    documents = [[[10 * d + s] for s in range(4)] for d in range(3)]
    pairs = sentence_pairs(documents, torch.Generator().manual_seed(seed))
    assert [first for first, _, _ in pairs] == [[10 * d + s] for d in range(3) for s in range(3)]
    for [first], [second], follows in pairs:
        assert (second == first + 1) if follows else (second // 10 != first // 10)


def test_half_of_the_pairs_follow_and_other_documents_are_drawn_alike():
    documents = [[[10 * d + s] for s in range(5)] for d in range(4)] * 200
    pairs = sentence_pairs(documents, torch.Generator().manual_seed(0))
    follows = sum(follows for _, _, follows in pairs)
    assert abs(follows - len(pairs) / 2) < 5 * math.sqrt(len(pairs) / 4)


def test_one_document_has_no_wrong_next_sentence():
    with pytest.raises(ValueError, match="at least two"):
        sentence_pairs([[[1], [2]], []], torch.Generator())


# --- spans -----------------------------------------------------------------------------------------------------------

SENTINELS = range(100, 130)


def test_the_example_of_the_t5_paper():
    words = ["Thank", "you", "for", "inviting", "me", "to", "your", "party", "last", "week", "."]
    dropped = torch.tensor([word in {"for", "inviting", "last"} for word in words])
    source, target = corrupt_spans(torch.arange(len(words)), dropped, [100, 101, 102])

    def text(tokens):
        return " ".join({100: "<X>", 101: "<Y>", 102: "<Z>"}.get(token) or words[token] for token in tokens.tolist())

    assert text(source) == "Thank you <X> me to your party <Y> week ."
    assert text(target) == "<X> for inviting <Y> last <Z>"


@given(data=st.data(), length=st.integers(1, 30))
def test_spans_can_be_restored(data, length):
    dropped = torch.tensor(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    tokens = torch.randint(100, (length,), generator=torch.Generator().manual_seed(length))
    source, target = corrupt_spans(tokens, dropped, SENTINELS)
    assert restore_spans(source.tolist(), target.tolist(), SENTINELS) == tokens.tolist()
    # Every dropped token moves; each run leaves one sentinel on either side, and the target has one more.
    n_runs = int(dropped[0]) + int((dropped[1:] & ~dropped[:-1]).sum())
    assert len(source) == length - int(dropped.sum()) + n_runs
    assert len(target) == int(dropped.sum()) + n_runs + 1
    used = [token for token in target.tolist() if token in SENTINELS]
    assert used == list(SENTINELS[: n_runs + 1])


def test_too_few_sentinels_are_refused():
    with pytest.raises(ValueError, match="2 sentinels are too few"):
        corrupt_spans(torch.arange(5), torch.tensor([True, False, True, False, False]), [100, 101])


def test_a_sentinel_that_the_target_lacks_leaves_nothing():
    assert restore_spans([1, 100, 2, 101], [100, 7, 8], [100, 101, 102]) == [1, 7, 8, 2]
    assert restore_spans([1, 100], [9, 100, 7], [100, 101]) == [1, 7]


@given(length=st.integers(2, 200), rate=st.floats(0.01, 0.9), mean_span=st.floats(1.0, 6.0), seed=st.integers(0, 1000))
def test_random_spans_follow_the_rule_of_t5(length, rate, mean_span, seed):
    dropped = random_spans(length, torch.Generator().manual_seed(seed), rate=rate, mean_span=mean_span)
    n_noise = min(max(round(length * rate), 1), length - 1)
    assert int(dropped.sum()) == n_noise
    assert not dropped[0]
    assert dropped[-1]
    n_runs = int((dropped[1:] & ~dropped[:-1]).sum())
    assert n_runs == min(max(round(n_noise / mean_span), 1), n_noise, length - n_noise)


def test_every_division_into_spans_comes_as_often():
    """Two spans with three tokens together: 1 + 2 or 2 + 1; six tokens around them, in five ways."""
    generator, seen = torch.Generator().manual_seed(0), {}
    for _ in range(2000):
        dropped = tuple(random_spans(9, generator, rate=1 / 3, mean_span=1.5).tolist())
        seen[dropped] = seen.get(dropped, 0) + 1
    assert len(seen) == 10
    assert all(abs(count - 200) < 5 * math.sqrt(200) for count in seen.values())


def test_a_text_without_room_is_refused():
    with pytest.raises(ValueError, match="no room"):
        random_spans(1, torch.Generator())


def test_infilling_hides_the_length_and_wants_the_whole_text():
    source, target = infill(torch.tensor([5, 6, 7, 8, 9]), torch.tensor([True, True, False, False, True]), 0)
    assert source.tolist() == [0, 7, 8, 0]
    assert target.tolist() == [5, 6, 7, 8, 9]


@given(data=st.data(), length=st.integers(1, 30))
def test_infilling_is_span_corruption_with_one_mask_for_all_sentinels(data, length):
    dropped = torch.tensor(data.draw(st.lists(st.booleans(), min_size=length, max_size=length)))
    tokens = torch.arange(length)
    source, _ = corrupt_spans(tokens, dropped, SENTINELS)
    assert infill(tokens, dropped, 99)[0].tolist() == [99 if token in SENTINELS else token for token in source.tolist()]


# --- contrast --------------------------------------------------------------------------------------------------------


@given(batch=st.integers(1, 6), width=st.integers(1, 5), temperature=st.floats(0.05, 2.0), seed=st.integers(0, 99))
def test_info_nce_equals_a_loop(batch, width, temperature, seed):
    a, b = normal(batch, width, seed=seed), normal(batch, width, seed=seed + 1000)
    cosine = [[float(F.cosine_similarity(a[i], b[j], dim=0)) / temperature for j in range(batch)] for i in range(batch)]
    losses = [-log_softmax(row)[i] for i, row in enumerate(cosine)]
    assert info_nce(a, b, temperature=temperature).item() == pytest.approx(np.mean(losses), abs=1e-10)


def test_info_nce_at_its_ends():
    said_nothing = torch.ones(8, 3, dtype=torch.float64)
    assert info_nce(said_nothing, said_nothing).item() == pytest.approx(math.log(8))
    perfect = torch.eye(8, dtype=torch.float64)
    assert info_nce(perfect, 3 * perfect, temperature=0.01).item() < 1e-40


# --- laws ------------------------------------------------------------------------------------------------------------


def test_kl_equals_scipy_and_torch():
    law = normal(BATCH, SEQ, VOCAB_SIZE).softmax(-1)
    logits = normal(BATCH, SEQ, VOCAB_SIZE, seed=1)
    model = logits.softmax(-1)
    by_scipy = np.mean([entropy(law[b, i], model[b, i]) for b in range(BATCH) for i in range(SEQ)])
    assert kl_to_law(law, logits).item() == pytest.approx(by_scipy, abs=1e-12)
    by_torch = F.kl_div(logits.log_softmax(-1), law, reduction="sum") / (BATCH * SEQ)
    torch.testing.assert_close(kl_to_law(law, logits), by_torch, rtol=0, atol=1e-12)


def test_kl_of_float32_logits_is_computed_in_float64():
    law = normal(BATCH, SEQ, VOCAB_SIZE).softmax(-1)
    assert kl_to_law(law, law.log().float()).dtype == torch.float64
    assert abs(kl_to_law(law, law.log()).item()) < 1e-12


def test_impossible_tokens_on_both_sides_add_nothing():
    law = torch.tensor([[0.5, 0.5, 0.0]])
    assert kl_to_law(law, torch.tensor([[0.0, 0.0, -torch.inf]])).item() == 0
    assert kl_to_law(law, torch.zeros(1, 3)).item() == pytest.approx(math.log(1.5))


def test_a_model_that_excludes_what_happens_is_infinitely_wrong():
    assert kl_to_law(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.0, -torch.inf]])).item() == torch.inf


def test_an_undefined_law_is_refused():
    with pytest.raises(ValueError, match="The law is NaN"):
        kl_to_law(torch.tensor([[0.5, torch.nan]]), torch.zeros(1, 2))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_distillation_equals_the_kl_of_softened_laws(temperature):
    student, teacher = normal(BATCH, SEQ, VOCAB_SIZE), normal(BATCH, SEQ, VOCAB_SIZE, seed=1)
    soft = [(logits / temperature).softmax(-1).reshape(-1, VOCAB_SIZE) for logits in (teacher, student)]
    by_scipy = temperature**2 * np.mean([entropy(p, q) for p, q in zip(*soft, strict=True)])
    found = distillation_loss(student, teacher, temperature=temperature)
    assert found.item() == pytest.approx(by_scipy, abs=1e-12)


def test_at_high_temperature_distillation_matches_logits():
    """Hinton's limit: with logits of mean 0 the gradient tends to (student - teacher) / vocab_size, whatever T."""
    student, teacher = (normal(SEQ, VOCAB_SIZE, seed=s) for s in (0, 1))
    student, teacher = (z - z.mean(-1, keepdim=True) for z in (student, teacher))
    student.requires_grad_()
    distillation_loss(student, teacher, temperature=1e4).backward()
    assert student.grad is not None
    torch.testing.assert_close(student.grad, (student - teacher).detach() / VOCAB_SIZE / SEQ, rtol=1e-3, atol=1e-6)


def test_the_teacher_is_not_taught():
    student, teacher = normal(SEQ, VOCAB_SIZE).requires_grad_(), normal(SEQ, VOCAB_SIZE, seed=1).requires_grad_()
    distillation_loss(student, teacher).backward()
    assert student.grad is not None
    assert teacher.grad is None


def test_bradley_terry_is_logistic_regression_on_differences():
    """Without intercept; its gradient vanishes where scikit-learn, which knows nothing of pairs, has its optimum."""
    better, worse = normal(60, 3), normal(60, 3, seed=1)
    differences = (better - worse).numpy()
    signs = np.where(np.arange(60) % 2, 1, -1)  # scikit-learn wants both classes: turn every other pair round
    found = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=1000)
    weights = torch.from_numpy(found.fit(differences * signs[:, None], signs).coef_[0]).requires_grad_()
    loss = bradley_terry_loss(better @ weights, worse @ weights)
    p_better = found.predict_proba(differences)[:, 1]
    assert loss.item() == pytest.approx(-np.log(p_better).mean(), abs=1e-12)
    loss.backward()
    assert weights.grad is not None
    torch.testing.assert_close(weights.grad, torch.zeros_like(weights), rtol=0, atol=1e-6)


def test_a_constant_changes_no_preference():
    better, worse = normal(BATCH), normal(BATCH, seed=1)
    torch.testing.assert_close(bradley_terry_loss(better, worse), bradley_terry_loss(better + 5, worse + 5))


@given(seed=st.integers(0, 1000), pairs=st.integers(1, 6), beta=st.floats(0.01, 3))
def test_dpo_equals_its_equation(seed, pairs, beta):
    p_win, p_lose, ref_win, ref_lose = (-5 * normal(4, pairs, seed=seed).abs()).numpy()
    losses = [
        -math.log(1 / (1 + math.exp(-(beta * (a - c) - beta * (b - d)))))
        for a, b, c, d in zip(p_win, p_lose, ref_win, ref_lose, strict=True)
    ]
    found = dpo_loss(*map(torch.from_numpy, (p_win, p_lose, ref_win, ref_lose)), beta=beta)
    assert found.item() == pytest.approx(np.mean(losses), rel=1e-9, abs=1e-12)


def test_a_policy_that_is_its_reference_costs_log_2():
    win, lose = -normal(BATCH).abs(), -normal(BATCH, seed=1).abs()
    assert dpo_loss(win, lose, win, lose, beta=0.1).item() == pytest.approx(math.log(2), abs=1e-12)


def test_dpo_teaches_the_policy_and_not_the_reference():
    win, lose, ref_win, ref_lose = (normal(BATCH, seed=s).requires_grad_() for s in range(4))
    dpo_loss(win, lose, ref_win, ref_lose, beta=0.1).backward()
    assert win.grad is not None
    assert lose.grad is not None
    assert bool((win.grad < 0).all())  # a step down the gradient makes the chosen answer likelier
    assert bool((lose.grad > 0).all())
    assert ref_win.grad is None
    assert ref_lose.grad is None
