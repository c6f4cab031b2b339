import itertools
import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from labutils import sampling
from labutils.models import Config, Decoder
from labutils.sampling import (
    HuggingFaceModel,
    apply_temperature,
    beam_search,
    filter_logits,
    generate,
    greedy,
    keep_min_p,
    keep_top_k,
    keep_top_p,
    penalize_repetition,
    sample,
)

ROWS, VOCAB = 3, 11
NO_TOKENS = torch.zeros(ROWS, 1, dtype=torch.int64)  # Hugging Face's filters ask for the tokens so far and ignore them

seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.05, 20.0)
shares = st.floats(0.01, 1.0)
counts = st.integers(1, VOCAB + 2)


def random_logits(seed: int, *, scale: float = 3.0, shape: tuple[int, ...] = (ROWS, VOCAB)) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tied_logits(seed: int) -> Tensor:
    """Whole numbers from a small range, so that most rows hold ties at every rank."""
    return torch.randint(-2, 3, (ROWS, VOCAB), generator=torch.Generator().manual_seed(seed)).double()


def kept(logits: Tensor) -> Tensor:
    return logits > -math.inf


# --------------------------------------------------------------------------------------------------------------
# Hugging Face's logits processors
# --------------------------------------------------------------------------------------------------------------


@given(seeds, temperatures)
def test_temperature_equals_hugging_face(seed, temperature):
    logits = random_logits(seed)
    assert torch.equal(apply_temperature(logits, temperature), TemperatureLogitsWarper(temperature)(NO_TOKENS, logits))


@given(seeds, st.floats(0.1, 10.0), st.booleans())
def test_repetition_penalty_equals_hugging_face(seed, penalty, ties):
    logits = tied_logits(seed) if ties else random_logits(seed)
    tokens = torch.randint(VOCAB, (ROWS, 5), generator=torch.Generator().manual_seed(seed))
    expected = RepetitionPenaltyLogitsProcessor(penalty)(tokens, logits)
    assert torch.equal(penalize_repetition(logits, tokens, penalty), expected)


@given(seeds, counts, st.booleans())
def test_top_k_equals_hugging_face_ties_included(seed, k, ties):
    logits = tied_logits(seed) if ties else random_logits(seed)
    assert torch.equal(keep_top_k(logits, k), TopKLogitsWarper(k)(NO_TOKENS, logits))


@given(seeds, shares)
def test_top_p_equals_hugging_face_away_from_the_threshold(seed, p):
    logits = random_logits(seed)
    mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    assume((mass - p).abs().min() > 1e-9)
    assert torch.equal(keep_top_p(logits, p), TopPLogitsWarper(p)(NO_TOKENS, logits))


@given(seeds, shares)
def test_top_p_keeps_as_many_of_tied_tokens_as_hugging_face(seed, p):
    """Which of the tied tokens stay is left to the sorting there; here the first in the vocabulary stay."""
    logits = tied_logits(seed)
    mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
    assume((mass - p).abs().min() > 1e-9)
    ours, theirs = keep_top_p(logits, p), TopPLogitsWarper(p)(NO_TOKENS, logits)
    assert torch.equal(ours.sort(-1).values, theirs.sort(-1).values)
    for row, before in zip(kept(ours), logits, strict=True):
        for value in before.unique():
            of_this_value = row[before == value].int()
            assert torch.equal(of_this_value, of_this_value.sort(descending=True, stable=True).values)


@given(seeds, st.floats(0.0, 1.0), st.booleans())
def test_min_p_equals_hugging_face_ties_included(seed, p, ties):
    logits = tied_logits(seed) if ties else random_logits(seed)
    assert torch.equal(keep_min_p(logits, p), MinPLogitsWarper(p)(NO_TOKENS, logits))


def test_top_p_of_one_keeps_what_hugging_faces_processor_drops():
    logits = torch.tensor([[0.0, -1.0, -1000.0]])
    assert torch.equal(keep_top_p(logits, 1.0), logits)
    assert kept(TopPLogitsWarper(1.0)(NO_TOKENS, logits)).tolist() == [[True, True, False]]


def test_top_p_and_hugging_face_may_disagree_where_a_sum_meets_the_threshold():
    """Cake 0.20 and donut 0.10 meet P = 0.30 on paper. In floating point the sum decides, and each adds in its own way.

    Hugging Face adds from the smallest probability up, we add from the largest down.
    """
    tail = 670
    table = torch.tensor([0.20, 0.10, 0.02, 0.01] + [0.67 / tail] * tail)
    ours, theirs = keep_top_p(table.log()[None], 0.30), TopPLogitsWarper(0.30)(NO_TOKENS[:1], table.log()[None])
    assert int(kept(ours).sum()) in {2, 3}
    assert int(kept(theirs).sum()) in {2, 3}
    assert 0.2 + 0.1 > 0.3


def test_settings_apply_in_the_order_of_hugging_face():
    logits = random_logits(0)
    expected = logits
    for warper in (TemperatureLogitsWarper(1.7), TopKLogitsWarper(7), TopPLogitsWarper(0.9), MinPLogitsWarper(0.1)):
        expected = warper(NO_TOKENS, expected)
    assert torch.equal(filter_logits(logits, temperature=1.7, top_k=7, top_p=0.9, min_p=0.1), expected)
    assert torch.equal(filter_logits(logits), logits)


# --------------------------------------------------------------------------------------------------------------
# What the filters promise
# --------------------------------------------------------------------------------------------------------------

FILTERS = {"keep_top_k": (keep_top_k, 4), "keep_top_p": (keep_top_p, 0.7), "keep_min_p": (keep_min_p, 0.2)}


@pytest.mark.parametrize(("cut", "setting"), FILTERS.values(), ids=FILTERS)
@given(seed=seeds)
def test_a_filter_keeps_the_most_probable_and_leaves_their_logits_alone(cut, setting, seed):
    logits = random_logits(seed, shape=(2, ROWS, VOCAB))
    before = logits.clone()
    result = cut(logits, setting)
    assert torch.equal(logits, before)
    assert torch.equal(result[kept(result)], logits[kept(result)])
    assert kept(result).gather(-1, logits.argmax(-1, keepdim=True)).all()
    smallest_kept = logits.masked_fill(~kept(result), math.inf).amin(-1)
    largest_removed = logits.masked_fill(kept(result), -math.inf).amax(-1)
    assert (smallest_kept > largest_removed).all()


@pytest.mark.parametrize(("cut", "everything"), [(keep_top_k, VOCAB), (keep_top_p, 1.0), (keep_min_p, 0.0)])
@given(seed=seeds)
def test_the_loosest_setting_keeps_everything(cut, everything, seed):
    logits = random_logits(seed, scale=200.0)
    assert torch.equal(cut(logits, everything), logits)


@pytest.mark.parametrize(("cut", "tightest"), [(keep_top_k, 1), (keep_top_p, 1e-9), (keep_min_p, 1.0)])
@given(seed=seeds)
def test_the_tightest_setting_is_greedy(cut, tightest, seed):
    logits = random_logits(seed)
    result = cut(logits, tightest)
    assert kept(result).sum(-1).eq(1).all()
    assert torch.equal(sample(result), greedy(logits))


@given(seeds, counts, shares)
def test_top_k_and_min_p_are_idempotent(seed, k, p):
    logits = random_logits(seed)
    for cut, setting in ((keep_top_k, k), (keep_min_p, p)):
        once = cut(logits, setting)
        assert torch.equal(cut(once, setting), once)


def test_top_p_is_not_idempotent():
    logits = torch.tensor([0.60, 0.15, 0.13, 0.12]).log()
    once = keep_top_p(logits, 0.7)
    assert kept(once).tolist() == [True, True, False, False]
    assert kept(keep_top_p(once, 0.7)).tolist() == [True, False, False, False]


@given(seeds, st.floats(0.01, 0.99))
def test_top_p_is_the_smallest_set_that_reaches_p(seed, p):
    """Against all subsets of a small vocabulary."""
    logits = random_logits(seed, scale=1.5, shape=(6,))
    probabilities = logits.softmax(-1)
    subsets = [
        subset
        for size in range(1, 7)
        for subset in itertools.combinations(range(6), size)
        if probabilities[list(subset)].sum() >= p
    ]
    size = len(subsets[0])
    best = max((s for s in subsets if len(s) == size), key=lambda s: float(probabilities[list(s)].sum()))
    assert kept(keep_top_p(logits, p)).nonzero().flatten().tolist() == list(best)


def test_top_p_keeps_the_token_that_crosses_the_threshold():
    logits = torch.tensor([0.01, 0.20, 0.10, 0.02, 0.67]).log()[:4]  # renormalised: 0.03, 0.61, 0.30, 0.06
    assert kept(keep_top_p(logits, 0.5)).tolist() == [False, True, False, False]
    assert kept(keep_top_p(logits, 0.7)).tolist() == [False, True, True, False]
    assert kept(keep_top_p(logits, 0.95)).tolist() == [False, True, True, True]


def test_a_sum_that_meets_p_exactly_is_enough():
    assert kept(keep_top_p(torch.zeros(4), 0.5)).tolist() == [True, True, False, False]


def test_of_many_tied_tokens_top_p_keeps_the_first():
    assert kept(keep_top_p(torch.zeros(1024), 0.25)).nonzero().flatten().tolist() == list(range(256))


def test_top_k_keeps_all_that_tie_with_the_kth():
    assert kept(keep_top_k(torch.tensor([5.0, 2.0, 3.0, 2.0, 1.0]), 3)).tolist() == [True, True, True, True, False]


@given(seeds, temperatures)
def test_temperature_keeps_the_order_and_one_changes_nothing(seed, temperature):
    logits = random_logits(seed)
    assert torch.equal(apply_temperature(logits, temperature).argsort(-1), logits.argsort(-1))
    assert torch.equal(apply_temperature(logits, 1.0), logits)


@given(seeds, temperatures, st.floats(1.05, 3.0))
def test_entropy_rises_with_temperature(seed, temperature, factor):
    logits = random_logits(seed)
    cool, warm = apply_temperature(logits, temperature), apply_temperature(logits, factor * temperature)
    entropies = [torch.distributions.Categorical(logits=x).entropy() for x in (cool, warm)]
    assert (entropies[1] >= entropies[0] - 1e-12).all()


@given(seeds)
def test_temperature_has_greedy_and_uniform_as_its_limits(seed):
    logits = random_logits(seed)
    assert torch.equal(sample(apply_temperature(logits, 1e-6)), greedy(logits))
    assert torch.allclose(apply_temperature(logits, 1e9).softmax(-1), torch.full_like(logits, 1 / VOCAB))


def test_removed_tokens_stay_removed():
    logits = torch.tensor([[1.0, -math.inf, 3.0, 2.0]])
    for result in (
        apply_temperature(logits, 0.5),
        keep_top_k(logits, 4),
        keep_top_p(logits, 1.0),
        keep_top_p(logits, 0.99),
        keep_min_p(logits, 0.0),
        penalize_repetition(logits, torch.tensor([[1, 2]]), 1.3),
    ):
        assert kept(result).tolist() == [[True, False, True, True]]


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda z: apply_temperature(z, 0.0), "use greedy decoding"),
        (lambda z: apply_temperature(z, -1.0), "must be positive"),
        (lambda z: apply_temperature(z, math.nan), "must be positive"),
        (lambda z: apply_temperature(z, math.inf), "finite"),
        (lambda z: keep_top_k(z, 0), "at least one token must remain"),
        (lambda z: keep_top_p(z, 0.0), "0 < p <= 1"),
        (lambda z: keep_top_p(z, 1.1), "0 < p <= 1"),
        (lambda z: keep_min_p(z, -0.1), "0 <= p <= 1"),
        (lambda z: penalize_repetition(z, NO_TOKENS, 0.0), "must be positive"),
        (lambda z: generate(lambda t: z[t], NO_TOKENS[:, :0], max_new_tokens=3), "prompt is empty"),
        (lambda z: generate(lambda t: z[t], NO_TOKENS, max_new_tokens=0), "max_new_tokens is 0"),
        (lambda z: beam_search(lambda t: z[t], NO_TOKENS, width=0, max_new_tokens=3), "at least one beam"),
    ],
)
def test_bad_settings_are_rejected_with_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(random_logits(0))


# --------------------------------------------------------------------------------------------------------------
# Drawing
# --------------------------------------------------------------------------------------------------------------


def test_samples_follow_the_filtered_law():
    logits = random_logits(5, scale=1.0)
    filtered = filter_logits(logits, temperature=1.5, top_k=9, top_p=0.95, min_p=0.05)
    n = 20_000
    drawn = sample(filtered.expand(n, ROWS, VOCAB), torch.Generator().manual_seed(0))
    assert drawn.shape == (n, ROWS)
    for row in range(ROWS):
        observed = torch.bincount(drawn[:, row], minlength=VOCAB)
        possible = kept(filtered[row])
        assert 1 < possible.sum() < VOCAB
        assert observed[~possible].sum() == 0
        expected = n * filtered[row].softmax(-1)[possible]
        assert chisquare(observed[possible], expected).pvalue > 1e-3


def test_generated_pairs_follow_the_law_of_the_chain():
    """P(first, second) = P(first) P(second | first): generation feeds its own draws back."""
    table = random_logits(1, scale=1.0, shape=(4, 4))
    n = 20_000
    prompt = torch.full((n, 1), 2)
    new = generate(
        lambda t: table[t], prompt, max_new_tokens=2, temperature=0.8, generator=torch.Generator().manual_seed(0)
    ).new_tokens
    law = (table / 0.8).softmax(-1)
    observed = torch.bincount(4 * new[:, 0] + new[:, 1], minlength=16)
    assert chisquare(observed, n * (law[2][:, None] * law).flatten()).pvalue > 1e-3


def test_the_generator_decides_the_draw():
    logits = random_logits(0)
    draws = [sample(logits, torch.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2, 3, 4)]
    assert draws[0] == draws[1]
    assert len({tuple(draw) for draw in draws}) > 1


def test_greedy_takes_the_first_of_tied_tokens():
    assert greedy(torch.tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])).tolist() == [1, 0]


# --------------------------------------------------------------------------------------------------------------
# generate
# --------------------------------------------------------------------------------------------------------------


def successor_model(tokens: Tensor) -> Tensor:
    """Token i is always followed by i + 1, and the last token by the first."""
    return torch.eye(VOCAB).roll(1, dims=1)[tokens] * 1000


def tiny_decoder(seed: int = 0) -> Decoder:
    """Large random weights in float64, so that every part of the past matters."""
    model = Decoder(Config(vocab_size=VOCAB, d_model=24, n_heads=6, n_layers=2, max_len=14)).double()
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.requires_grad_(False).parameters():
        parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model.eval()


def tiny_gpt2(**changes) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCAB, "n_positions": 24, "n_embd": 16, "n_layer": 2, "n_head": 4, "initializer_range": 0.7}
    return GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0, **changes)).eval()


def random_prompt(batch: int = 4, length: int = 3) -> Tensor:
    return torch.randint(1, VOCAB, (batch, length), generator=torch.Generator().manual_seed(7))


def test_rows_stop_each_at_its_own_stop_token_and_only_padding_follows():
    prompt = torch.tensor([[1, 2], [6, 7], [8, 9], [3, 5]])
    result = generate(successor_model, prompt, max_new_tokens=5, stop_token=9)
    assert result.tokens.tolist() == [
        [1, 2, 3, 4, 5, 6, 7],
        [6, 7, 8, 9, 9, 9, 9],
        [8, 9, 10, 0, 1, 2, 3],  # a stop token in the prompt does not count
        [3, 5, 6, 7, 8, 9, 9],
    ]
    assert result.lengths.tolist() == [5, 2, 5, 4]
    assert result.reasons == ("max new tokens", "stop token", "max new tokens", "stop token")
    assert torch.equal(result.new_tokens, result.tokens[:, 2:])


def test_a_stop_token_at_the_very_limit_is_the_reason():
    result = generate(successor_model, torch.tensor([[6]]), max_new_tokens=3, stop_token=9)
    assert (result.lengths.tolist(), result.reasons) == ([3], ("stop token",))


def test_generation_ends_when_all_rows_have_ended():
    calls = []

    def model(tokens):
        calls.append(tokens.shape)
        return successor_model(tokens)

    result = generate(model, torch.tensor([[6], [7]]), max_new_tokens=20, stop_token=9)
    assert len(calls) == 3
    assert result.tokens.tolist() == [[6, 7, 8, 9], [7, 8, 9, 9]]


def test_without_a_stop_token_generation_runs_to_the_limit():
    result = generate(successor_model, random_prompt(), max_new_tokens=6)
    assert result.lengths.tolist() == [6] * 4
    assert set(result.reasons) == {"max new tokens"}


def test_the_prompt_is_left_alone():
    prompt = random_prompt()
    before = prompt.clone()
    result = generate(successor_model, prompt, max_new_tokens=2)
    assert torch.equal(prompt, before)
    assert torch.equal(result.tokens[:, :3], before)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 20), st.booleans())
def test_cached_equals_uncached(seed, is_greedy):
    model = tiny_decoder(seed)

    def run(use_cache):
        return generate(
            model,
            random_prompt(),
            max_new_tokens=9,
            stop_token=0,
            temperature=2.0,
            top_p=0.9,
            greedy=is_greedy,
            generator=torch.Generator().manual_seed(seed),
            use_cache=use_cache,
        )

    cached, uncached = run(True), run(False)
    assert torch.equal(cached.tokens, uncached.tokens)
    assert cached.reasons == uncached.reasons


def test_with_a_cache_the_model_sees_each_token_once():
    model = tiny_decoder()
    seen = []
    handle = model.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].shape[1]))
    generate(model, random_prompt(length=3), max_new_tokens=4, greedy=True)
    handle.remove()
    assert seen == [3, 1, 1, 1]


def test_filters_and_temperature_do_not_change_greedy_decoding():
    model, prompt = tiny_decoder(), random_prompt()
    plain = generate(model, prompt, max_new_tokens=8, greedy=True)
    shaped = generate(model, prompt, max_new_tokens=8, greedy=True, temperature=3.0, top_k=4, top_p=0.5, min_p=0.2)
    cold = generate(model, prompt, max_new_tokens=8, temperature=1e-6)
    top_1 = generate(model, prompt, max_new_tokens=8, top_k=1)
    for other in (shaped, cold, top_1):
        assert torch.equal(plain.tokens, other.tokens)


def test_repetition_penalty_breaks_a_loop():
    table = torch.eye(VOCAB)  # every token is most likely to follow itself
    looped = generate(lambda t: table[t], torch.tensor([[4]]), max_new_tokens=6, greedy=True)
    assert looped.tokens.unique().tolist() == [4]
    table = table + 0.01 * torch.arange(VOCAB)
    freed = generate(lambda t: table[t], torch.tensor([[4]]), max_new_tokens=6, greedy=True, repetition_penalty=1000.0)
    assert len(freed.tokens.unique()) == 7


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_greedy_generation_equals_hugging_face(use_cache, penalty):
    model = tiny_gpt2()
    prompt = random_prompt(batch=6)
    expected = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=12,
        do_sample=False,
        repetition_penalty=penalty,
        eos_token_id=4,
        pad_token_id=4,
    )
    result = generate(
        HuggingFaceModel(model),
        prompt,
        max_new_tokens=12,
        stop_token=4,
        greedy=True,
        repetition_penalty=penalty,
        use_cache=use_cache,
    )
    assert torch.equal(result.tokens, expected)
    assert penalty == 1.0 or len(set(result.reasons)) == 2


# --------------------------------------------------------------------------------------------------------------
# beam_search
# --------------------------------------------------------------------------------------------------------------


def all_sequences(tables: Tensor, start: int, max_new_tokens: int, stop: int, length_penalty: float):
    """Every complete continuation, with its score and log-probability, best first. Each place has its own table."""
    log_p = tables.log_softmax(-1).tolist()
    complete = []
    for length in range(1, max_new_tokens + 1):
        for sequence in itertools.product(range(tables.shape[-1]), repeat=length):
            if stop in sequence[:-1] or (length < max_new_tokens and sequence[-1] != stop):
                continue
            total = sum(log_p[i][a][b] for i, (a, b) in enumerate(itertools.pairwise((start, *sequence))))
            complete.append((total / length**length_penalty, total, sequence))
    return sorted(complete, reverse=True)


@settings(max_examples=25, deadline=None)
@given(seeds, st.sampled_from([0.0, 0.7, 1.0, 2.0, -1.0]))
def test_a_wide_beam_is_an_exact_search(seed, length_penalty):
    width, limit, stop = 4**3, 3, 0
    tables = random_logits(seed, scale=1.5, shape=(limit, 4, 4))
    expected = all_sequences(tables, 2, limit, stop, length_penalty)
    found = beam_search(
        lambda tokens: tables[torch.arange(tokens.shape[1]), tokens],
        torch.tensor([[2]]),
        width=width,
        max_new_tokens=limit,
        stop_token=stop,
        length_penalty=length_penalty,
    )
    assert (found.lengths > 0).sum() == len(expected)
    for i, (score, log_probability, sequence) in enumerate(expected[:5]):
        assert found.new_tokens[0, i, : found.lengths[0, i]].tolist() == list(sequence)
        assert (found.new_tokens[0, i, found.lengths[0, i] :] == stop).all()
        assert found.scores[0, i].item() == pytest.approx(score)
        assert found.log_probabilities[0, i].item() == pytest.approx(log_probability)


def test_empty_beams_come_last():
    found = beam_search(lambda t: torch.zeros(3, 3)[t], torch.tensor([[1]]), width=5, max_new_tokens=1)
    assert found.lengths.tolist() == [[1, 1, 1, 0, 0]]
    assert found.log_probabilities[0, :3].tolist() == pytest.approx([-math.log(3)] * 3)
    assert found.log_probabilities[0, 3:].tolist() == [-math.inf] * 2


@given(seeds)
def test_a_beam_of_one_is_greedy(seed):
    table = random_logits(seed, shape=(VOCAB, VOCAB))
    prompt = random_prompt()
    found = beam_search(lambda t: table[t], prompt, width=1, max_new_tokens=6, stop_token=0)
    expected = generate(lambda t: table[t], prompt, max_new_tokens=6, stop_token=0, greedy=True)
    assert torch.equal(found.lengths[:, 0], expected.lengths)
    assert torch.equal(found.tokens[:, 0], expected.tokens)


def test_beam_search_finds_what_greedy_misses():
    """Greedy takes 0.40 · 0.50 = 0.20; the other branch has 0.35 · 0.90 = 0.315."""
    law = torch.tensor(
        [[0.0, 0.40, 0.35, 0.25, 0.0], [0.0, 0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.0, 0.1, 0.9]] + 2 * [[0.2] * 5]
    )

    def model(tokens):
        return law.log()[tokens]

    found = beam_search(model, torch.tensor([[0]]), width=2, max_new_tokens=2)
    assert found.new_tokens[0, 0].tolist() == [2, 4]
    assert found.log_probabilities[0].exp().tolist() == pytest.approx([0.315, 0.20])
    assert generate(model, torch.tensor([[0]]), max_new_tokens=2, greedy=True).new_tokens.tolist() == [[1, 3]]


def test_a_length_penalty_lets_a_longer_sequence_overtake_a_complete_one():
    """Stop with 0.5 at once, or go on with 0.4 and then surely: log 0.5 / 1 is worse than log 0.4 / 4²."""
    law = torch.tensor([[0.5, 0.4, 0.1], [0.0, 1.0, 0.0], [0.2, 0.3, 0.5]])

    def search(length_penalty):
        found = beam_search(
            lambda tokens: law.log()[tokens],
            torch.tensor([[0]]),
            width=1,
            max_new_tokens=4,
            stop_token=0,
            length_penalty=length_penalty,
        )
        return found.new_tokens[0, 0].tolist(), found.scores.item()

    assert search(0.0) == ([0], pytest.approx(math.log(0.5)))
    assert search(2.0) == ([1, 1, 1, 1], pytest.approx(math.log(0.4) / 16))


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 20), st.integers(1, 4))
def test_cached_beam_search_equals_uncached(seed, width):
    model = tiny_decoder(seed)
    found = [
        beam_search(model, random_prompt(), width=width, max_new_tokens=8, stop_token=0, use_cache=use_cache)
        for use_cache in (True, False)
    ]
    assert torch.equal(found[0].tokens, found[1].tokens)
    assert torch.allclose(found[0].log_probabilities, found[1].log_probabilities)


@pytest.mark.parametrize("width", [2, 3, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_beam_search_equals_hugging_face(width, length_penalty):
    model, prompt, limit = tiny_gpt2(), random_prompt(batch=4), 8
    expected = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=limit,
        do_sample=False,
        num_beams=width,
        num_return_sequences=width,
        early_stopping="never",
        length_penalty=length_penalty,
        eos_token_id=4,
        pad_token_id=4,
        return_dict_in_generate=True,
        output_scores=True,
    )
    for use_cache in (True, False):
        found = beam_search(
            HuggingFaceModel(model),
            prompt,
            width=width,
            max_new_tokens=limit,
            stop_token=4,
            length_penalty=length_penalty,
            use_cache=use_cache,
        )
        assert torch.equal(found.tokens.flatten(0, 1), expected.sequences)
        assert torch.allclose(found.scores.flatten(), expected.sequences_scores, atol=1e-5)
    assert len(found.lengths.unique()) > 1


def test_reasons_are_public_names():
    assert {sampling.STOP_TOKEN, sampling.MAX_NEW_TOKENS} == {"stop token", "max new tokens"}
