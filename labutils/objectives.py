"""Objectives: the number that training makes small, in nats per token. And how far a model is from the truth.

An objective is two things: what is done to the text before the model sees it (nothing, masks, spans), and the loss.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F


def causal_loss(
    logits: Float[Tensor, "batch seq vocab_size"],
    tokens: Int[Tensor, "batch seq"],
    visible: Bool[Tensor, "batch seq"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the next token, in nats: the logits at position i are scored on token i + 1.

    The last logits have no token to predict and do not count; nor does a token that is padding (`visible` is False).
    Raises ValueError for sequences of a single token, or if nothing is left to predict.
    """
    if tokens.shape[1] < 2:
        raise ValueError("A causal loss needs sequences of at least 2 tokens: one to read and one to predict.")
    return _cross_entropy(logits[:, :-1], tokens[:, 1:], None if visible is None else visible[:, 1:])


def masked_loss(
    logits: Float[Tensor, "batch seq vocab_size"], tokens: Int[Tensor, "batch seq"], chosen: Bool[Tensor, "batch seq"]
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the true tokens at the chosen positions alone, in nats [devlin2019bert].

    `tokens` is the text before its corruption. Raises ValueError if no position was chosen.
    """
    return _cross_entropy(logits, tokens, chosen)


def _cross_entropy(logits: Tensor, targets: Tensor, counts: Tensor | None) -> Tensor:
    if counts is not None:
        if not counts.any():
            raise ValueError("No position counts: there is nothing to predict in this batch.")
        logits, targets = logits[counts], targets[counts]
        return F.cross_entropy(logits, targets)
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def perplexity(nats_per_token: float) -> float:
    """How many equally likely tokens would leave a reader as uncertain: e to the loss."""
    return math.exp(nats_per_token)


def bits_per_byte(nats_per_token: float, *, n_tokens: int, n_bytes: int) -> float:
    """The loss in a unit that does not depend on the tokenizer: what a compressor would need for a byte of the text."""
    return nats_per_token * n_tokens / n_bytes / math.log(2)


def mask_tokens(
    tokens: Int[Tensor, "batch seq"],
    generator: torch.Generator,
    *,
    mask_token: int,
    vocab_size: int,
    rate: float = 0.15,
    special: Sequence[int] = (),
) -> tuple[Int[Tensor, "batch seq"], Bool[Tensor, "batch seq"]]:
    """The text as an encoder gets it, and the positions whose tokens it must predict [devlin2019bert].

    Each position is chosen with probability `rate`. Of the chosen, 80% become the mask, 10% a random token, and 10%
    stay as they are. The `special` tokens and the mask are never chosen, and never drawn as the random token.
    """
    excluded = torch.tensor([*special, mask_token], device=tokens.device)
    chosen = (_uniform(tokens, generator) < rate) & ~torch.isin(tokens, excluded)
    fate = _uniform(tokens, generator)
    ordinary = torch.arange(vocab_size, device=tokens.device)
    ordinary = ordinary[~torch.isin(ordinary, excluded)]
    random = ordinary[(_uniform(tokens, generator) * len(ordinary)).long()]
    corrupted = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    return torch.where(chosen & (fate >= 0.9), random, corrupted), chosen


def _uniform(tokens: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(tokens.shape, generator=generator, device=generator.device).to(tokens.device)


def sentence_pairs(
    documents: Sequence[Sequence[list[int]]], generator: torch.Generator
) -> list[tuple[list[int], list[int], bool]]:
    """Pairs of sentences for next-sentence prediction: (first, second, whether the second follows) [devlin2019bert].

    Each sentence that has a next one is the first of one pair. In half of the pairs the second is that next one; in the
    others it is drawn from another document. Raises ValueError for fewer than two documents with a sentence.
    """
    documents = [document for document in documents if document]
    if len(documents) < 2:
        raise ValueError("A wrong next sentence comes from another document: give at least two that are not empty.")
    pairs = []
    for number, document in enumerate(documents):
        for first, following in pairwise(document):
            if _draw(2, generator):
                pairs.append((first, following, True))
            else:
                other = documents[(number + 1 + _draw(len(documents) - 1, generator)) % len(documents)]
                pairs.append((first, other[_draw(len(other), generator)], False))
    return pairs


def _draw(n: int, generator: torch.Generator) -> int:
    """A whole number from 0 to n - 1."""
    return int(torch.randint(n, (), generator=generator))


def random_spans(
    length: int, generator: torch.Generator, *, rate: float = 0.15, mean_span: float = 3.0
) -> Bool[Tensor, " length"]:
    """Where to drop spans from a text of `length` tokens, as T5 does: True in a span [raffel2020exploring].

    About `rate * length` tokens in spans of `mean_span` on average; the text starts outside a span and ends in one.
    Raises ValueError for a text of fewer than two tokens.
    """
    if length < 2:
        raise ValueError(f"A text of {length} tokens has no room for a span and a token that stays.")
    n_noise = min(max(round(length * rate), 1), length - 1)
    n_spans = min(max(round(n_noise / mean_span), 1), n_noise, length - n_noise)
    spans, gaps = _parts(n_noise, n_spans, generator), _parts(length - n_noise, n_spans, generator)
    lengths = torch.stack((gaps, spans), dim=1).flatten()
    return torch.tensor([False, True]).repeat(n_spans).repeat_interleave(lengths)


def _parts(total: int, n: int, generator: torch.Generator) -> Tensor:
    """`n` whole numbers, each at least 1, that add up to `total`; every such list is equally likely."""
    cuts = torch.randperm(total - 1, generator=generator)[: n - 1].sort().values + 1
    return torch.diff(cuts, prepend=torch.tensor([0]), append=torch.tensor([total]))


def corrupt_spans(
    tokens: Int[Tensor, " seq"], dropped: Bool[Tensor, " seq"], sentinels: Sequence[int]
) -> tuple[Int[Tensor, " source"], Int[Tensor, " target"]]:
    """Span corruption as T5 writes it: (source, target) [raffel2020exploring].

    In the source each run of dropped tokens gives way to one sentinel. The target is the runs, each after its sentinel,
    and then one more sentinel that says that there are no more. Sentinels come in the order given.
    Raises ValueError if there are fewer than that takes.
    """
    source, target, n_spans = [], [], 0
    for i, (token, drop) in enumerate(zip(tokens.tolist(), dropped.tolist(), strict=True)):
        if not drop:
            source.append(token)
            continue
        if i == 0 or not dropped[i - 1]:
            sentinel = _sentinel(sentinels, n_spans)
            source.append(sentinel)
            target.append(sentinel)
            n_spans += 1
        target.append(token)
    target.append(_sentinel(sentinels, n_spans))
    return tokens.new_tensor(source), tokens.new_tensor(target)


def _sentinel(sentinels: Sequence[int], number: int) -> int:
    if number >= len(sentinels):
        raise ValueError(f"{len(sentinels)} sentinels are too few: each span takes one, and the end one more.")
    return sentinels[number]


def restore_spans(source: Sequence[int], target: Sequence[int], sentinels: Sequence[int]) -> list[int]:
    """The text again: each sentinel of the source gives way to what follows it in the target, up to the next sentinel.

    It undoes `corrupt_spans`. A sentinel that the target lacks, as a model's target may, leaves nothing.
    """
    known, spans, current = set(sentinels), {}, []
    for token in target:
        if token in known:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [word for token in source for word in (spans.get(token, []) if token in known else [token])]


def infill(
    tokens: Int[Tensor, " seq"], dropped: Bool[Tensor, " seq"], mask_token: int
) -> tuple[Int[Tensor, " source"], Int[Tensor, " seq"]]:
    """Text infilling as in BART: (source, target) [lewis2020bart].

    In the source each run of dropped tokens gives way to one mask, so its length is hidden too. The target is the whole
    text.
    """
    first = dropped & ~dropped.roll(1)
    first[:1] = dropped[:1]
    source = torch.where(dropped, mask_token, tokens)[first | ~dropped]
    return source, tokens


def info_nce(
    a: Float[Tensor, "batch d"], b: Float[Tensor, "batch d"], *, temperature: float = 0.1
) -> Float[Tensor, ""]:
    """Contrastive loss with in-batch negatives, in nats [oord2018representation]: find a[i]'s partner among all b.

    Partners are a[i] and b[i]; every other row of `b` is a negative. The score is the cosine over the temperature, so
    the loss is log(batch) for vectors that say nothing.
    """
    cosine = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
    return F.cross_entropy(cosine / temperature, torch.arange(len(a), device=a.device))


def kl_to_law(law: Float[Tensor, "*batch vocab_size"], logits: Float[Tensor, "*batch vocab_size"]) -> Float[Tensor, ""]:
    """Mean over positions of KL(law || model), in nats and in float64: what the model loses to the true law.

    It equals the cross-entropy to the law minus the law's own entropy, and is 0 only if the model is exact. It is
    infinite if the model excludes a token that the law allows. Raises ValueError where the law is undefined (NaN).
    """
    law = law.double()
    if law.isnan().any():
        raise ValueError("The law is NaN at some positions: the text before them is impossible. Leave those out.")
    log_ratio = law.log() - logits.double().log_softmax(-1)
    # A token of probability 0 adds nothing, even where the model excludes it too and the ratio is 0/0.
    return torch.where(law > 0, law * log_ratio, 0.0).sum(-1).mean()


def distillation_loss(
    student: Float[Tensor, "*batch vocab_size"],
    teacher: Float[Tensor, "*batch vocab_size"],
    *,
    temperature: float = 1.0,
) -> Float[Tensor, ""]:
    """Mean over positions of T² · KL(teacher || student), both laws at the temperature T [hinton2015distilling].

    The teacher's law is the target at every position, instead of one token. The factor T² keeps the gradient as large
    as at T = 1, because each of the two logits is divided by T. The teacher gets no gradient.
    """
    target = (teacher.detach() / temperature).log_softmax(-1)
    learned = (student / temperature).log_softmax(-1)
    return temperature**2 * (target.exp() * (target - learned)).sum(-1).mean()


def bradley_terry_loss(chosen: Float[Tensor, " pairs"], rejected: Float[Tensor, " pairs"]) -> Float[Tensor, ""]:
    """Mean over pairs of -log sigmoid(chosen - rejected), in nats: the loss of a reward model [christiano2017deep].

    The scores are rewards without a unit; the model says that an answer wins with the probability sigmoid(its score
    minus the other's). Only differences count, so scores are learned up to a constant. It is log 2 for equal scores.
    """
    return -F.logsigmoid(chosen - rejected).mean()


def dpo_loss(
    chosen: Float[Tensor, " pairs"],
    rejected: Float[Tensor, " pairs"],
    reference_chosen: Float[Tensor, " pairs"],
    reference_rejected: Float[Tensor, " pairs"],
    *,
    beta: float,
) -> Float[Tensor, ""]:
    """Direct preference optimisation: mean over pairs, in nats [rafailov2023direct].

    Each argument is log p(answer | prompt), the *sum* over the answer's tokens; the first two under the policy that
    learns, the others under the reference that it started from, which gets no gradient. It is the Bradley-Terry loss of
    the rewards beta · (log p - log p_reference). A small `beta` lets the policy go far from the reference.
    """
    reward_chosen = beta * (chosen - reference_chosen.detach())
    reward_rejected = beta * (rejected - reference_rejected.detach())
    return bradley_terry_loss(reward_chosen, reward_rejected)
