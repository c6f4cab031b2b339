"""From logits to text: what a decoder does with the scores that a language model gives it.

A language model gives one logit per token of its vocabulary. Everything here happens after the model:

1. Reshape the logits: `apply_temperature`, `penalize_repetition`.
2. Remove the tail, by setting logits to −∞: `keep_top_k`, `keep_top_p`, `keep_min_p`.
3. Choose a token: `greedy` or `sample`.
4. Repeat: `generate` extends a batch of prompts token by token; `beam_search` looks for a likely sequence.

Each function of step 1 and 2 takes logits and returns new logits, so they chain. A later `softmax` shares the mass of
the removed tokens among the kept ones in proportion.

A model is anything that is called as `model(tokens)`, with tokens of shape [batch, seq], and returns logits of shape
[batch, seq, vocab_size]. A model with a method `empty_cache(batch)` is also called as `model(new_tokens, cache)`: it
appends to the cache and returns the logits of the new positions only. A cache is a list of parts (one a layer);
`part.select(rows)` returns the part for these rows of the batch. Put a model with dropout in `eval()` mode first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

STOP_TOKEN = "stop token"
MAX_NEW_TOKENS = "max new tokens"


# --------------------------------------------------------------------------------------------------------------
# Reshaping and cutting the distribution
# --------------------------------------------------------------------------------------------------------------


def apply_temperature(logits: Float[Tensor, "*batch vocab"], temperature: float) -> Float[Tensor, "*batch vocab"]:
    """Divide the logits by the temperature: pᵢ ∝ exp(zᵢ / T), which is pᵢ^(1/T) renormalised [ackley1985learning].

    T = 1 changes nothing, T → 0 puts all mass on the largest logit, T → ∞ makes the law uniform; the order is kept.

    Raises:
        ValueError: if the temperature is not a positive finite number.

    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"temperature is {temperature}, but it divides the logits and must be positive and finite. "
            "For the limit of zero, use greedy decoding."
        )
    return logits / temperature


def penalize_repetition(
    logits: Float[Tensor, "batch vocab"], tokens: Int[Tensor, "batch seq"], penalty: float
) -> Float[Tensor, "batch vocab"]:
    """Make the tokens that occur in `tokens` less likely, once each: z / penalty if z > 0, else z · penalty.

    A penalty of 1 changes nothing; below 1 it rewards repetition. The rule depends on where zero lies although
    `softmax` does not: adding a constant to all logits changes the result [keskar2019ctrl].

    Raises:
        ValueError: if the penalty is not a positive finite number.

    """
    if not 0 < penalty < math.inf:
        raise ValueError(f"penalty is {penalty}, but it must be positive and finite. Use 1 for no penalty.")
    seen = logits.gather(-1, tokens)
    penalized = torch.where(seen > 0, seen / penalty, seen * penalty)
    return logits.scatter(-1, tokens, penalized)  # a token that occurs twice is written twice, with the same number


def keep_top_k(logits: Float[Tensor, "*batch vocab"], k: int) -> Float[Tensor, "*batch vocab"]:
    """Keep the k largest logits and set the others to −∞ [fan2018hierarchical].

    Tokens that tie with the k-th largest logit are all kept, so more than k can remain: nothing but the order of the
    vocabulary could choose between them. A k beyond the vocabulary keeps everything.

    Raises:
        ValueError: if k is below 1.

    """
    if k < 1:
        raise ValueError(f"k is {k}, but at least one token must remain. Use k = 1 or more.")
    kth_largest = logits.topk(min(k, logits.shape[-1])).values[..., -1:]
    return logits.masked_fill(logits < kth_largest, -math.inf)


def keep_top_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    """Keep the nucleus, the smallest set of tokens whose probability reaches p [holtzman2020curious].

    Go through the tokens from the most probable down and keep each one as long as the mass *before* it is below p. The
    token that crosses the threshold is therefore kept, and so is always the first. p = 1 keeps everything. Among tied
    tokens the one that comes first in the vocabulary is taken first.

    Sums are taken in the precision of the logits, so do not expect a particular answer where a sum of probabilities
    meets p to the last bit. Unlike the other filters this one is not idempotent: what remains is renormalised, and a
    second call may cut again.

    Raises:
        ValueError: if p is not in (0, 1].

    """
    if not 0 < p <= 1:
        raise ValueError(f"p is {p}, but it is a share of the probability mass. Use 0 < p <= 1.")
    if p == 1:  # rounded sums can reach 1 before the last token does
        return logits
    descending, order = logits.sort(dim=-1, descending=True, stable=True)
    mass = descending.softmax(dim=-1).cumsum(dim=-1)
    mass_before = F.pad(mass[..., :-1], (1, 0))
    # `order` says where each sorted token came from; scattering puts the answers back in the order of the vocabulary.
    removed = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, mass_before >= p)
    return logits.masked_fill(removed, -math.inf)


def keep_min_p(logits: Float[Tensor, "*batch vocab"], p: float) -> Float[Tensor, "*batch vocab"]:
    """Keep the tokens that are at least p times as probable as the most probable one [nguyen2025turning].

    The cut moves with the confidence of the model: deep in a flat law, high in a peaked one. p = 0 keeps everything,
    p = 1 only the most probable token and those that tie with it.

    Raises:
        ValueError: if p is not in [0, 1].

    """
    if not 0 <= p <= 1:
        raise ValueError(f"p is {p}, but it is a fraction of the largest probability. Use 0 <= p <= 1.")
    probabilities = logits.softmax(dim=-1)
    too_small = probabilities < p * probabilities.amax(dim=-1, keepdim=True)
    return logits.masked_fill(too_small, -math.inf)


def filter_logits(
    logits: Float[Tensor, "*batch vocab"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "*batch vocab"]:
    """Apply the temperature, then top-k, top-p and min-p, in this order, as Hugging Face does [wolf2020transformers].

    The order matters: the temperature comes first and so changes how many tokens top-p and min-p keep.
    """
    logits = apply_temperature(logits, temperature)
    if top_k is not None:
        logits = keep_top_k(logits, top_k)
    if top_p is not None:
        logits = keep_top_p(logits, top_p)
    if min_p is not None:
        logits = keep_min_p(logits, min_p)
    return logits


# --------------------------------------------------------------------------------------------------------------
# Choosing one token
# --------------------------------------------------------------------------------------------------------------


def greedy(logits: Float[Tensor, "*batch vocab"]) -> Int[Tensor, "*batch"]:
    """Return the most probable token; of tied tokens, the one that comes first in the vocabulary."""
    return logits.argmax(dim=-1)


def sample(logits: Float[Tensor, "*batch vocab"], generator: torch.Generator | None = None) -> Int[Tensor, "*batch"]:
    """Draw one token per row from softmax(logits). The generator must live on the device of the logits."""
    probabilities = logits.softmax(dim=-1)
    drawn = torch.multinomial(probabilities.reshape(-1, logits.shape[-1]), num_samples=1, generator=generator)
    return drawn.reshape(logits.shape[:-1])


# --------------------------------------------------------------------------------------------------------------
# Whole sequences
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What `generate` returns.

    Attributes:
        tokens: the prompt and what follows it; behind a stop token a row is padded with that token.
        prompt_length: how many columns of `tokens` are the prompt.
        lengths: how many tokens each row generated, the stop token counted, the padding not.
        reasons: why each row ended, "stop token" or "max new tokens".

    """

    tokens: Int[Tensor, "batch seq"]
    prompt_length: int
    lengths: Int[Tensor, " batch"]
    reasons: tuple[str, ...]

    @property
    def new_tokens(self) -> Int[Tensor, "batch new"]:
        """The generated tokens, without the prompt."""
        return self.tokens[:, self.prompt_length :]


@torch.no_grad()
def generate(
    model: Callable,
    prompt: Int[Tensor, "batch prompt"],
    *,
    max_new_tokens: int,
    stop_token: int | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    repetition_penalty: float = 1.0,
    greedy: bool = False,
    generator: torch.Generator | None = None,
    use_cache: bool = True,
) -> Generation:
    """Extend each prompt by up to `max_new_tokens` tokens, one at a time.

    A row ends at its first stop token, which belongs to the result; the loop ends when all rows have ended. The limit
    counts generated tokens only, not the prompt. The repetition penalty acts on all tokens so far, the prompt included.
    With `greedy`, the most probable token is taken; temperature and filters keep it on top and so change nothing.

    The cache is used if the model has one. It saves work and leaves the result as it is.

    Raises:
        ValueError: if the prompt is empty, `max_new_tokens` is below 1, or a setting is out of its range.

    """
    _check_request(prompt, max_new_tokens)
    batch, prompt_length = prompt.shape
    cache = _empty_cache(model, batch) if use_cache else None
    tokens = unseen = prompt
    lengths = torch.zeros(batch, dtype=torch.int64, device=prompt.device)
    running = torch.ones(batch, dtype=torch.bool, device=prompt.device)

    for _ in range(max_new_tokens):
        logits = _next_logits(model, tokens, unseen, cache)
        logits = penalize_repetition(logits, tokens, repetition_penalty)
        logits = filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p)
        new = logits.argmax(dim=-1) if greedy else sample(logits, generator)
        lengths += running
        if stop_token is not None:
            new = torch.where(running, new, stop_token)
            running &= new != stop_token
        unseen = new[:, None]
        tokens = torch.cat((tokens, unseen), dim=1)
        if not running.any():
            break

    reasons = tuple(MAX_NEW_TOKENS if row_runs else STOP_TOKEN for row_runs in running.tolist())
    return Generation(tokens=tokens, prompt_length=prompt_length, lengths=lengths, reasons=reasons)


@dataclass(frozen=True, kw_only=True)
class Beams:
    """What `beam_search` returns, best beam first.

    Attributes:
        tokens: the prompt and what follows it; behind its end a beam is padded with the stop token.
        prompt_length: how many columns of `tokens` are the prompt.
        lengths: how many tokens each beam generated, the stop token counted.
        log_probabilities: log P(generated tokens | prompt), in nats.
        scores: `log_probabilities / lengths ** length_penalty`, by which beams are ranked.

    A vocabulary may be too small to fill all beams. The empty ones come last, with length 0 and log-probability −∞.

    """

    tokens: Int[Tensor, "batch width seq"]
    prompt_length: int
    lengths: Int[Tensor, "batch width"]
    log_probabilities: Float[Tensor, "batch width"]
    scores: Float[Tensor, "batch width"]

    @property
    def new_tokens(self) -> Int[Tensor, "batch width new"]:
        """The generated tokens, without the prompt."""
        return self.tokens[..., self.prompt_length :]


@torch.no_grad()
def beam_search(
    model: Callable,
    prompt: Int[Tensor, "batch prompt"],
    *,
    width: int,
    max_new_tokens: int,
    stop_token: int | None = None,
    length_penalty: float = 0.0,
    use_cache: bool = True,
) -> Beams:
    """Search for the most probable continuation of each prompt, keeping the `width` best beginnings at every step.

    Width 1 is greedy decoding (as long as the length penalty is 0). A width that holds every beginning is an exact
    search. In between the search may miss the best sequence, and a wider beam can even find a worse one.

    A sequence is complete at its stop token or at `max_new_tokens`. Complete sequences are ranked by log-probability /
    length ** `length_penalty`, where the length counts generated tokens and the stop token. With 0, the default, that
    is the probability itself, which favours short sequences, as each further token multiplies by a factor below 1. With
    1 it is the mean log-probability per token. Hugging Face's default is 1; this search equals its
    `early_stopping="never"` [wolf2020transformers].

    The cache is used if the model has one; its rows follow the beams, which die and branch.

    Raises:
        ValueError: if the prompt is empty, or `width` or `max_new_tokens` is below 1.

    """
    _check_request(prompt, max_new_tokens)
    if width < 1:
        raise ValueError(f"width is {width}, but at least one beam is needed. Use width = 1 or more.")
    batch, prompt_length = prompt.shape

    # All beams start as the same prompt. Only the first one counts, or the search would find everything `width` times.
    running = unseen = prompt[:, None].expand(batch, width, prompt_length)
    running_log_p = torch.full((batch, width), -math.inf, device=prompt.device)
    running_log_p[:, 0] = 0.0
    cache = _empty_cache(model, batch * width) if use_cache else None
    first_row = width * torch.arange(batch, device=prompt.device)[:, None]
    padding = 0 if stop_token is None else stop_token
    complete = Beams(
        tokens=torch.full((batch, width, prompt_length + max_new_tokens), padding, device=prompt.device),
        prompt_length=prompt_length,
        lengths=torch.zeros((batch, width), dtype=torch.int64, device=prompt.device),
        log_probabilities=torch.full((batch, width), -math.inf, device=prompt.device),
        scores=torch.full((batch, width), -math.inf, device=prompt.device),
    )

    for length in range(1, max_new_tokens + 1):
        logits = _next_logits(model, running.flatten(0, 1), unseen.flatten(0, 1), cache)
        next_log_p = logits.log_softmax(dim=-1).unflatten(0, (batch, width))
        vocab = next_log_p.shape[-1]
        all_log_p = (running_log_p[..., None] + next_log_p).flatten(1)
        # Of 2 · width candidates at most `width` end here, one per beam, so enough are left to go on with.
        log_p, chosen = all_log_p.topk(min(2 * width, width * vocab))
        parent, new = chosen // vocab, chosen % vocab
        candidates = torch.cat((_rows(running, parent), new[..., None]), dim=-1)
        is_last = length == max_new_tokens
        ends = torch.full_like(new, is_last, dtype=torch.bool)
        if stop_token is not None:
            ends |= new == stop_token

        # What ranks below `width` has left the beam: it was only kept to replace those that end.
        log_p_of_complete = log_p.masked_fill(~ends, -math.inf)[:, :width]
        complete = _merge(complete, candidates[:, :width], log_p_of_complete, length, length_penalty)
        if is_last:
            break
        running_log_p, survivors = log_p.masked_fill(ends, -math.inf).topk(width)
        running = _rows(candidates, survivors)
        unseen = running[..., -1:]
        if cache is not None:
            rows = (first_row + parent.gather(1, survivors)).flatten()
            cache = [part.select(rows) for part in cache]
        # Log-probabilities only fall. A positive penalty forgives that most at the greatest length.
        best_length = max_new_tokens if length_penalty > 0 else length + 1
        if (running_log_p[:, 0] / best_length**length_penalty <= complete.scores[:, -1]).all():
            break

    longest = int(complete.lengths.max())
    return replace(complete, tokens=complete.tokens[..., : prompt_length + longest])


def _merge(
    complete: Beams,
    tokens: Int[Tensor, "batch new_width seq"],
    log_p: Float[Tensor, "batch new_width"],
    length: int,
    length_penalty: float,
) -> Beams:
    """Add sequences of `length` generated tokens to the complete ones and keep the best; −∞ marks those to ignore."""
    padded = complete.tokens[:, : tokens.shape[1]].clone()
    padded[..., : tokens.shape[-1]] = tokens
    lengths = torch.where(log_p > -math.inf, length, 0)
    scores = torch.cat((complete.scores, log_p / length**length_penalty), dim=1)
    scores, best = scores.topk(complete.scores.shape[1])
    return Beams(
        tokens=_rows(torch.cat((complete.tokens, padded), dim=1), best),
        prompt_length=complete.prompt_length,
        lengths=torch.cat((complete.lengths, lengths), dim=1).gather(1, best),
        log_probabilities=torch.cat((complete.log_probabilities, log_p), dim=1).gather(1, best),
        scores=scores,
    )


def _rows(sequences: Int[Tensor, "batch width seq"], index: Int[Tensor, "batch new_width"]) -> Tensor:
    """Pick the sequences `index` of each batch item."""
    return sequences.gather(1, index[..., None].expand(-1, -1, sequences.shape[-1]))


def _empty_cache(model: Callable, batch: int) -> list | None:
    empty_cache = getattr(model, "empty_cache", None)
    return empty_cache(batch) if empty_cache else None


def _next_logits(
    model: Callable, tokens: Int[Tensor, "batch seq"], unseen: Int[Tensor, "batch new"], cache: list | None
) -> Float[Tensor, "batch vocab"]:
    """Return the logits of the token after `tokens`. With a cache, only the `unseen` ones go in."""
    logits = (model(tokens) if cache is None else model(unseen, cache))[:, -1]
    # Sums over a large vocabulary need more than half precision.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _check_request(prompt: Int[Tensor, "batch prompt"], max_new_tokens: int) -> None:
    if prompt.shape[1] == 0:
        raise ValueError("The prompt is empty, so the model has nothing to continue. Begin it with <bos>.")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens is {max_new_tokens}, but generation adds at least one token. Use 1 or more.")


# --------------------------------------------------------------------------------------------------------------
# Models of Hugging Face's transformers
# --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HuggingFaceModel:
    """A causal language model of Hugging Face's `transformers` in the form that `generate` and `beam_search` call."""

    model: Any

    def empty_cache(self, batch: int) -> list["HuggingFaceCache"]:
        """Return a cache of one part, which takes the batch size from the first tokens it sees."""
        from transformers import DynamicCache  # here, so that the import costs only those who use it

        return [HuggingFaceCache(DynamicCache(config=self.model.config))]

    def __call__(
        self, tokens: Int[Tensor, "batch seq"], cache: list["HuggingFaceCache"] | None = None
    ) -> Float[Tensor, "batch seq vocab_size"]:
        """Return the logits of the given tokens."""
        past = cache[0].keys_and_values if cache else None
        return self.model(input_ids=tokens, past_key_values=past, use_cache=cache is not None).logits


@dataclass(frozen=True)
class HuggingFaceCache:
    """All layers' cache of a Hugging Face model, which changes in place."""

    keys_and_values: Any

    def select(self, rows: Int[Tensor, " rows"]) -> "HuggingFaceCache":
        """Keep these rows of the batch, in this order, in place."""
        self.keys_and_values.reorder_cache(rows)
        return self
