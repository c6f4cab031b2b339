"""The exercises of lab 04, causal language modelling: what is predicted, what it costs, and what the model reads."""

import math
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional as F

from labutils import objectives
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer

IGNORED = -100  # the label that torch's cross_entropy skips


def _tokens(generator: torch.Generator, *shape: int, vocab: int = 50) -> Tensor:
    return torch.randint(vocab, shape, generator=generator)


def _visible(lengths: list[int], seq: int) -> Tensor:
    """True for the first tokens of each row, as many as it has; what follows is padding."""
    return torch.arange(seq) < torch.tensor(lengths)[:, None]


# --- shift_labels ----------------------------------------------------------------------------------------------------


def _shift_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        tokens = 1 + torch.randperm(9, generator=generator)[:4]  # all different, and none is 0
        return {"tokens": tokens, "visible": torch.ones(4, dtype=torch.bool)}
    if case == 1:  # the padding is 0, as it often is
        tokens = torch.cat((1 + torch.randperm(9, generator=generator)[:3], torch.zeros(2, dtype=torch.int64)))
        return {"tokens": tokens, "visible": torch.tensor([True, True, True, False, False])}
    if case == 2:  # nothing to predict
        return {"tokens": _tokens(generator, 3, 1), "visible": torch.ones(3, 1, dtype=torch.bool)}
    if case == 3:  # padding on the left, and a row of nothing else
        visible = torch.arange(6) >= torch.tensor([0, 2, 6])[:, None]
        return {"tokens": _tokens(generator, 3, 6), "visible": visible}
    if case == 4:
        return {"tokens": _tokens(generator, 2, 3, 5), "visible": torch.ones(2, 3, 5, dtype=torch.bool)}
    tokens = _tokens(generator, 4, 7)
    return {"tokens": tokens, "visible": _visible([7, 2, 5, integer(generator, 3, 6)], 7)}


def _pad_last(labels: Tensor, value: int = IGNORED) -> Tensor:
    """One label more at the end, for the last position."""
    return F.pad(labels, (0, 1), value=value)


def _shift_labels(tokens: Tensor, visible: Tensor) -> Tensor:
    return _pad_last(tokens[..., 1:].masked_fill(~visible[..., 1:], IGNORED))


def _shift_with(tokens: Tensor, visible: Tensor, ignored: int) -> Tensor:
    return _pad_last(tokens[..., 1:].masked_fill(~visible[..., 1:], ignored), ignored)


def _shift_back(tokens: Tensor, visible: Tensor) -> Tensor:
    labels = F.pad(tokens[..., :-1], (1, 0), value=IGNORED)
    return labels.masked_fill(~F.pad(visible[..., :-1], (1, 0), value=True), IGNORED)


def _shift_by_two(tokens: Tensor, visible: Tensor) -> Tensor:
    return _shift_labels(_shift_labels(tokens, visible), F.pad(visible[..., 1:], (0, 1), value=False))


def _shift_first_axis(tokens: Tensor, visible: Tensor) -> Tensor:
    seen = torch.cat((visible[1:], torch.zeros_like(visible[:1])))
    return torch.cat((tokens[1:], tokens[:1])).masked_fill(~seen, IGNORED)


def _shift_all_rows_as_one(tokens: Tensor, visible: Tensor) -> Tensor:
    return _shift_labels(tokens.flatten(), visible.flatten()).view_as(tokens)


SHIFT_LABELS = Exercise(
    name="shift_labels",
    lab="04",
    task=(
        "Return the labels of a causal model, as a tensor of the shape of `tokens`: at each position, the token that "
        "comes next. `tokens` has the shape [..., seq]; `visible`, of the same shape, is False where a token is "
        "padding. The label is −100, the number that torch's cross_entropy skips, wherever there is no next token, or "
        "the next token is padding."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_shift_inputs,
    reference=_shift_labels,
    cases=7,
    hints=(
        "The label of position i is the token at i + 1, so `tokens[..., 1:]` are all labels but the last one.",
        "Whether a label counts depends on the token to predict: that is `visible[..., 1:]`, not `visible[..., :-1]`.",
        "Fill −100 where the next token is padding, then append a column of −100: `torch.nn.functional.pad(labels, "
        "(0, 1), value=-100)` does the last.",
    ),
    mutants=(
        Mutant(
            name="wraps around",
            function=lambda tokens, visible: tokens.roll(-1, -1).masked_fill(~visible.roll(-1, -1), IGNORED),
            message="The first token comes back as the last label, since roll turns in a circle; nothing comes last.",
        ),
        Mutant(
            name="all rows as one",
            function=_shift_all_rows_as_one,
            message="The last label of a row is the first token of the next row; each row ends by itself.",
        ),
        Mutant(
            name="shifts along the first axis",
            function=_shift_first_axis,
            message="You shift along the first axis, which is the batch; the sequence is the last axis.",
        ),
        Mutant(
            name="padding is a label",
            function=lambda tokens, visible: _pad_last(tokens[..., 1:]),
            message="You ask the model to predict padding; where the next token is not visible, the label is −100.",
        ),
        Mutant(
            name="visibility not shifted",
            function=lambda tokens, visible: _pad_last(tokens[..., 1:].masked_fill(~visible[..., :-1], IGNORED)),
            message="You look whether the position is padding; it is the token to predict, one further, that matters.",
        ),
        Mutant(
            name="not shifted",
            function=lambda tokens, visible: tokens.masked_fill(~visible, IGNORED),
            message="You return the tokens unshifted, so that the model would learn to repeat what it just read.",
        ),
        Mutant(
            name="shifted the wrong way",
            function=_shift_back,
            message="You shift the wrong way, so that each position predicts the token before it; it needs the next.",
        ),
        Mutant(
            name="shifted by two",
            function=_shift_by_two,
            message="You shift by two positions; the label is the very next token.",
        ),
        Mutant(
            name="zero instead of -100",
            function=lambda tokens, visible: _shift_with(tokens, visible, 0),
            message="You fill with 0, but 0 is a token like any other; the number that is skipped is −100.",
        ),
        Mutant(
            name="minus one instead of -100",
            function=lambda tokens, visible: _shift_with(tokens, visible, -1),
            message="You fill with −1, which cross_entropy takes for a mistake; the number that it skips is −100.",
        ),
        Mutant(
            name="one label short",
            function=lambda tokens, visible: tokens[..., 1:].masked_fill(~visible[..., 1:], IGNORED),
            message="You return one label less than there are tokens; the last position has a label too, −100.",
        ),
    ),
)


# --- padded_loss -----------------------------------------------------------------------------------------------------


def _loss_inputs(generator: torch.Generator, case: int) -> dict:
    # The lengths of the rows; what is beyond them is padding.
    lengths, vocab = {
        0: ([2], 3),  # one position to predict
        1: ([4], 3),
        2: ([3, 5], 4),
        3: ([6, 2, 4], 5),
        4: ([0, 5], 7),  # a row of padding alone
        5: ([7, 7, 7, 7], 6),
    }.get(case, ([integer(generator, 7, 8), 2, integer(generator, 3, 5)], 9))
    seq = max(lengths)
    logits = 2 * torch.randn(len(lengths), seq, vocab, generator=generator)
    return {
        "logits": logits.double() if case == 3 else logits,
        "tokens": _tokens(generator, len(lengths), seq, vocab=vocab),
        "visible": _visible(lengths, seq),
    }


def _surprisal(logits: Tensor, tokens: Tensor) -> Tensor:
    """-log p of each token but the first, [batch, seq - 1]."""
    return -logits[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]


def _mean_where(values: Tensor, counts: Tensor) -> Tensor:
    return values[counts].mean()


def _mean_of_row_means(logits: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
    values, counts = _surprisal(logits, tokens), visible[:, 1:]
    rows = (values * counts).sum(1) / counts.sum(1).clamp(min=1)
    return rows[counts.any(1)].mean()


def _mean_of_position_means(logits: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
    values, counts = _surprisal(logits, tokens), visible[:, 1:]
    return ((values * counts).sum(0) / counts.sum(0).clamp(min=1))[counts.any(0)].mean()


def _loss_without_log_softmax(logits: Tensor, tokens: Tensor, visible: Tensor) -> Tensor:
    return _mean_where(-logits[:, :-1].gather(-1, tokens[:, 1:, None])[..., 0], visible[:, 1:])


PADDED_LOSS = Exercise(
    name="padded_loss",
    lab="04",
    task=(
        "Return the causal loss of a padded batch: the mean of −log p(next token), in nats, over all tokens that the "
        "model had to predict. `logits` has the shape [batch, seq, vocab]; its position i scores the token at i + 1. "
        "`tokens` and `visible` have the shape [batch, seq]; `visible` is False where a token is padding, which counts "
        "for nothing. Every token to predict weighs the same, whatever row it is in. At least one counts."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_loss_inputs,
    reference=objectives.causal_loss,
    cases=8,
    hints=(
        "Cut both: the logits lose their last position, the tokens their first. Then position matches position.",
        "`log_softmax(dim=-1)` gives log-probabilities; `gather(-1, tokens[:, 1:, None])` picks the ones that came.",
        "Select with `visible[:, 1:]` as an index, and take the mean of what is left.",
    ),
    forbidden=(
        "labutils.objectives.causal_loss",
        "labutils.objectives.masked_loss",
        "torch.nn.functional.cross_entropy",
        "torch.nn.functional.nll_loss",
    ),
    mutants=(
        Mutant(
            name="mean of row means",
            function=_mean_of_row_means,
            message="You average within each row first, so that a token of a short row weighs more than others.",
        ),
        Mutant(
            name="mean of position means",
            function=_mean_of_position_means,
            message="You average over the batch first, then over positions, so that a token at a place that few rows "
            "reach weighs more than others.",
        ),
        Mutant(
            name="divides by all positions",
            function=lambda logits, tokens, visible: (_surprisal(logits, tokens) * visible[:, 1:]).mean(),
            message="You leave padding out of the sum but not out of the count; divide by the number that counts.",
        ),
        Mutant(
            name="counts padding",
            function=lambda logits, tokens, visible: _surprisal(logits, tokens).mean(),
            message="You count padding as if the model had to predict it; leave out what is not visible.",
        ),
        Mutant(
            name="visibility not shifted",
            function=lambda logits, tokens, visible: _mean_where(_surprisal(logits, tokens), visible[:, :-1]),
            message="You look whether the position is padding; it is the token to predict, one further, that matters.",
        ),
        Mutant(
            name="adds up",
            function=lambda logits, tokens, visible: _surprisal(logits, tokens)[visible[:, 1:]].sum(),
            message="You return the sum; the loss is the mean, so that it does not grow with the batch.",
        ),
        Mutant(
            name="not shifted",
            function=lambda logits, tokens, visible: _mean_where(
                -logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0], visible
            ),
            message="You score each position on the token that it has just read; score it on the next one.",
        ),
        Mutant(
            name="shifted the wrong way",
            function=lambda logits, tokens, visible: _mean_where(
                -logits[:, 1:].log_softmax(-1).gather(-1, tokens[:, :-1, None])[..., 0], visible[:, :-1]
            ),
            message="You score each position on the token before it; cut the last logits and the first token.",
        ),
        Mutant(
            name="bits",
            function=lambda logits, tokens, visible: objectives.causal_loss(logits, tokens, visible) / math.log(2),
            message="You return bits (logarithms to base 2); the loss is in nats, with the natural logarithm.",
        ),
        Mutant(
            name="no minus",
            function=lambda logits, tokens, visible: -objectives.causal_loss(logits, tokens, visible),
            message="You forget the minus: log-probabilities are negative, and a loss is positive.",
        ),
        Mutant(
            name="no logarithm",
            function=lambda logits, tokens, visible: _mean_where(-(-_surprisal(logits, tokens)).exp(), visible[:, 1:]),
            message="You average probabilities; average their logarithms.",
        ),
        Mutant(
            name="logarithm of the mean",
            function=lambda logits, tokens, visible: (
                -_mean_where((-_surprisal(logits, tokens)).exp(), visible[:, 1:]).log()
            ),
            message="You take the logarithm of the mean probability; take the mean of the logarithms.",
        ),
        Mutant(
            name="no softmax",
            function=_loss_without_log_softmax,
            message="You take logits for log-probabilities; apply log_softmax along the vocabulary first.",
        ),
        Mutant(
            name="softmax along the wrong axis",
            function=lambda logits, tokens, visible: _mean_where(
                -logits[:, :-1].log_softmax(1).gather(-1, tokens[:, 1:, None])[..., 0], visible[:, 1:]
            ),
            message="You take the softmax along the positions; the vocabulary is the last axis, dim=-1.",
        ),
    ),
)


# --- perplexity_and_bits ---------------------------------------------------------------------------------------------

WORDS = ("the", "boat", "near", "shines", "an", "owl", "of", "paper", "sleeps", "bell")
ACCENTED = ("café", "naïve", "señor", "Zürich", "日本", "œuvre")  # more bytes than characters


def _text_inputs(generator: torch.Generator, case: int) -> dict:
    """A text of words, and a log-probability for each of its tokens, which are not its words."""
    n_words, n_tokens = ((2, 4), (3, 1), (3, 2), (4, 5), (6, 8), (7, 3))[case]
    words = [WORDS[i] for i in torch.randperm(len(WORDS), generator=generator)[:n_words]]
    if case >= 3:
        words[1] = ACCENTED[integer(generator, 0, len(ACCENTED) - 1)]
    log_probabilities = -0.3 - 3 * torch.rand(n_tokens, generator=generator)
    return {
        "log_probabilities": log_probabilities.double() if case == 4 else log_probabilities,
        "text": " ".join(words),
    }


def _measures(log_probabilities: Tensor, text: str, *, size: int | None = None, log: float = math.log(2)) -> list:
    nats = -log_probabilities.mean().item()
    n_bytes = len(text.encode()) if size is None else size
    return [math.exp(nats), nats * len(log_probabilities) / n_bytes / log]


def _with_perplexity(perplexity, log_probabilities: Tensor, text: str) -> list:
    return [perplexity, _measures(log_probabilities, text)[1]]


PERPLEXITY_AND_BITS = Exercise(
    name="perplexity_and_bits",
    lab="04",
    task=(
        "Return a list of two numbers: the perplexity of a text under a model, and its bits per byte. "
        "`log_probabilities` [n_tokens] holds the natural logarithm of the probability that the model gave to each "
        "token of the text; `text` is the text as a string. A byte is a byte of its UTF-8 form, which has more of them "
        "than characters where there are accents."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_text_inputs,
    reference=_measures,
    cases=6,
    hints=(
        "Perplexity is e to the mean surprisal per token. Which tensor method gives the mean?",
        "Bits per byte spread the surprisal of the whole text, the sum, over `len(text.encode())` bytes.",
        "A nat is 1 / log(2) bits: divide by `math.log(2)`. `.item()` makes a number of a tensor.",
    ),
    forbidden=("labutils.objectives.perplexity", "labutils.objectives.bits_per_byte"),
    mutants=(
        Mutant(
            name="characters",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, size=len(text)),
            message="You divide by characters; a letter with an accent takes two bytes or more, so use text.encode().",
        ),
        Mutant(
            name="exp of the sum",
            function=lambda log_probabilities, text: _with_perplexity(
                math.exp(-log_probabilities.sum().item()), log_probabilities, text
            ),
            message="Your perplexity is e to the sum of the surprisals, so it grows with the text; take their mean.",
        ),
        Mutant(
            name="mean of the inverse probabilities",
            function=lambda log_probabilities, text: _with_perplexity(
                (-log_probabilities).exp().mean().item(), log_probabilities, text
            ),
            message="You average 1/p over the tokens; perplexity averages the logarithms first, then takes e to that.",
        ),
        Mutant(
            name="mean probability",
            function=lambda log_probabilities, text: _with_perplexity(
                1 / log_probabilities.exp().mean().item(), log_probabilities, text
            ),
            message="You turn the mean probability upside down; perplexity averages logarithms of probabilities.",
        ),
        Mutant(
            name="upside down",
            function=lambda log_probabilities, text: _with_perplexity(
                math.exp(log_probabilities.mean().item()), log_probabilities, text
            ),
            message="Your perplexity is below 1: it lacks a minus, since log-probabilities are negative.",
        ),
        Mutant(
            name="power of two",
            function=lambda log_probabilities, text: _with_perplexity(
                2 ** -log_probabilities.mean().item(), log_probabilities, text
            ),
            message="You raise 2 to a mean that is in nats; with natural logarithms the base is e.",
        ),
        Mutant(
            name="mean over bytes",
            function=lambda log_probabilities, text: [
                _measures(log_probabilities, text)[0],
                _measures(log_probabilities, text)[1] / len(log_probabilities),
            ],
            message="You divide the mean surprisal by the bytes; it is the sum, of the whole text, that counts.",
        ),
        Mutant(
            name="bits per token",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, size=len(log_probabilities)),
            message="You return bits per token, a number that depends on the tokenizer; divide by bytes.",
        ),
        Mutant(
            name="bits per word",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, size=len(text.split())),
            message="You return bits per word; divide by the bytes of the text.",
        ),
        Mutant(
            name="spaces left out",
            function=lambda log_probabilities, text: _measures(
                log_probabilities, text, size=len(text.replace(" ", "").encode())
            ),
            message="You do not count the spaces; they are bytes of the text like any other.",
        ),
        Mutant(
            name="nats per byte",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, log=1.0),
            message="You return nats per byte; one nat is 1 / log(2) bits, about 1.44.",
        ),
        Mutant(
            name="times log 2",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, log=1 / math.log(2)),
            message="You multiply by log(2) where you must divide: there are more bits than nats.",
        ),
        Mutant(
            name="base ten",
            function=lambda log_probabilities, text: _measures(log_probabilities, text, log=math.log(10)),
            message="You divide by log(10), which gives decimal digits; bits need log(2).",
        ),
        Mutant(
            name="no minus in bits",
            function=lambda log_probabilities, text: [
                _measures(log_probabilities, text)[0],
                -_measures(log_probabilities, text)[1],
            ],
            message="Your bits per byte are negative: log-probabilities are, and a surprisal is minus that.",
        ),
        Mutant(
            name="wrong order",
            function=lambda log_probabilities, text: _measures(log_probabilities, text)[::-1],
            message="Both numbers are right, but the perplexity comes first.",
        ),
    ),
)


# --- sequence_log_probability ----------------------------------------------------------------------------------------


def _sequence_inputs(generator: torch.Generator, case: int) -> dict:
    shape, vocab, n_prompt = {
        0: ((3,), 4, 1),
        1: ((5,), 3, 2),
        2: ((4,), 5, 4),  # nothing comes after the prompt
        3: ((2, 6), 7, 3),
        4: ((90,), 40, 2),  # so long that a product of probabilities is 0 in single precision
        5: ((2, 3, 5), 4, 2),
    }.get(case, ((3, 8), 6, integer(generator, 3, 6)))
    logits = 2 * torch.randn(*shape, vocab, generator=generator)
    return {
        "logits": logits.double() if case == 3 else logits,
        "tokens": _tokens(generator, *shape, vocab=vocab),
        "n_prompt": n_prompt,
    }


def _next_log_probabilities(logits: Tensor, tokens: Tensor) -> Tensor:
    """log p of each token but the first, [..., seq - 1]."""
    return logits[..., :-1, :].log_softmax(-1).gather(-1, tokens[..., 1:, None])[..., 0]


def _sequence(logits: Tensor, tokens: Tensor, n_prompt: int) -> Tensor:
    return _next_log_probabilities(logits, tokens)[..., n_prompt - 1 :].sum(-1)


def _sequence_unshifted(logits: Tensor, tokens: Tensor, n_prompt: int) -> Tensor:
    return logits.log_softmax(-1).gather(-1, tokens[..., None])[..., n_prompt:, 0].sum(-1)


def _sequence_from_logits(logits: Tensor, tokens: Tensor, n_prompt: int) -> Tensor:
    return logits[..., :-1, :].gather(-1, tokens[..., 1:, None])[..., n_prompt - 1 :, 0].sum(-1)


def _sequence_along_positions(logits: Tensor, tokens: Tensor, n_prompt: int) -> Tensor:
    scores = logits[..., :-1, :].log_softmax(-2).gather(-1, tokens[..., 1:, None])[..., 0]
    return scores[..., n_prompt - 1 :].sum(-1)


def _sequence_of_the_best(logits: Tensor, tokens: Tensor, n_prompt: int) -> Tensor:
    return logits[..., :-1, :].log_softmax(-1).amax(-1)[..., n_prompt - 1 :].sum(-1)


SEQUENCE_LOG_PROBABILITY = Exercise(
    name="sequence_log_probability",
    lab="04",
    task=(
        "Return the natural logarithm of the probability that a model gives to all tokens after the prompt, given the "
        "prompt: a tensor of the shape [...]. `tokens` [..., seq] holds the prompt, which is its first `n_prompt` "
        "tokens (at least 1), and what follows; `logits` [..., seq, vocab] is what the model made of these tokens, so "
        "that its position i scores the token at i + 1. If nothing follows the prompt, the result is 0."
    ),
    points=2,
    minutes=10,
    difficulty=3,
    inputs=_sequence_inputs,
    reference=_sequence,
    cases=7,
    hints=(
        "The chain rule: the probability of a text is the product of p(token | all tokens before it). In logarithms, "
        "a sum.",
        "The first token after the prompt stands at `n_prompt`; the logits that score it stand at `n_prompt - 1`.",
        "`log_softmax(-1)` of `logits[..., n_prompt - 1 : -1, :]`, `gather` the tokens from `n_prompt` on, sum.",
    ),
    mutants=(
        Mutant(
            name="multiplies probabilities",
            function=lambda logits, tokens, n_prompt: (
                _next_log_probabilities(logits, tokens)[..., n_prompt - 1 :].exp().prod(-1).log()
            ),
            message="You multiply probabilities, and for a long text the product is too small for the computer, "
            "so it becomes 0; add logarithms.",
        ),
        Mutant(
            name="one number for the batch",
            function=lambda logits, tokens, n_prompt: _sequence(logits, tokens, n_prompt).sum(),
            message="You add up the whole batch; each sequence has its own probability.",
        ),
        Mutant(
            name="the prompt too",
            function=lambda logits, tokens, n_prompt: _next_log_probabilities(logits, tokens).sum(-1),
            message="You also count the tokens of the prompt, which are given; start after them.",
        ),
        Mutant(
            name="one too early",
            function=lambda logits, tokens, n_prompt: _next_log_probabilities(logits, tokens)[
                ..., max(n_prompt - 2, 0) :
            ].sum(-1),
            message="You also count the last token of the prompt; the first token that counts stands at n_prompt.",
        ),
        Mutant(
            name="one too late",
            function=lambda logits, tokens, n_prompt: _next_log_probabilities(logits, tokens)[..., n_prompt:].sum(-1),
            message="You leave out the first token after the prompt; it is scored at position n_prompt − 1.",
        ),
        Mutant(
            name="the last token alone",
            function=lambda logits, tokens, n_prompt: _next_log_probabilities(logits, tokens)[
                ..., max(n_prompt - 1, tokens.shape[-1] - 2) :
            ].sum(-1),
            message="You return the last token alone; the chain rule takes all tokens after the prompt.",
        ),
        Mutant(
            name="not shifted",
            function=_sequence_unshifted,
            message="You read the logits at the token's own place, where the model has already seen it; one earlier.",
        ),
        Mutant(
            name="mean",
            function=lambda logits, tokens, n_prompt: (
                _next_log_probabilities(logits, tokens)[..., n_prompt - 1 :].sum(-1)
                / max(tokens.shape[-1] - n_prompt, 1)
            ),
            message="You return the mean per token; the logarithm of a product is the sum.",
        ),
        Mutant(
            name="probability",
            function=lambda logits, tokens, n_prompt: _sequence(logits, tokens, n_prompt).exp(),
            message="You return the probability; return its logarithm, which stays a usable number.",
        ),
        Mutant(
            name="surprisal",
            function=lambda logits, tokens, n_prompt: -_sequence(logits, tokens, n_prompt),
            message="You return minus the logarithm, the surprisal; a log-probability is negative.",
        ),
        Mutant(
            name="no softmax",
            function=_sequence_from_logits,
            message="You add up logits; only after log_softmax are they log-probabilities.",
        ),
        Mutant(
            name="softmax along the wrong axis",
            function=_sequence_along_positions,
            message="You take the softmax along the positions; the vocabulary is the last axis, dim=-1.",
        ),
        Mutant(
            name="the best instead of the given",
            function=_sequence_of_the_best,
            message="You take the most probable token at each step; take the one that stands there.",
        ),
        Mutant(
            name="bits",
            function=lambda logits, tokens, n_prompt: _sequence(logits, tokens, n_prompt) / math.log(2),
            message="You use logarithms to base 2; the natural logarithm was asked for.",
        ),
    ),
)


# --- feedback_losses -------------------------------------------------------------------------------------------------


def _read_with_a_table(student_function, votes, start, targets, forced):
    """Make a model from a table: the token at each place votes for the next one, so the whole past matters."""

    def next_logits(tokens):
        return sum(votes[place % len(votes), int(token)] for place, token in enumerate(tokens))

    losses = student_function(next_logits, start, targets, forced)
    return {"the losses": losses, "the start afterwards": start}


def _feedback(next_logits, start, targets, forced, *, choose=None, scored=None, read=None, sign=-1.0):
    """The losses. `choose(i, target, own)` is the next input, `scored(target, own)` the token that the loss is about,
    and `read(inputs)` what the model gets to see of the inputs."""
    inputs, losses = list(start), []
    for i, target in enumerate(targets):
        log_probabilities = next_logits(inputs if read is None else read(inputs)).log_softmax(-1)
        own = int(log_probabilities.argmax())
        losses.append(sign * float(log_probabilities[target if scored is None else scored(target, own)]))
        inputs.append(choose(i, target, own) if choose else target if forced[i] else own)
    return losses


def _greedy_path(next_logits, start, n):
    tokens = list(start)
    for _ in range(n):
        tokens.append(int(next_logits(tokens).argmax()))
    return tokens[len(start) :]


def _feedback_inputs(generator: torch.Generator, case: int) -> dict:
    """A model whose own tokens are often not the targets, so that it matters which of the two it reads."""
    vocab = 4 + case
    n_start, forced = {
        0: (1, [True, True, True]),
        1: (1, [False, False, False]),
        2: (2, [True]),
        3: (2, [True, False, True, True]),
        4: (3, [False, True, True, False, True, False]),
        5: (1, [True, True, False, False, True, True, False]),
    }.get(case, (2, [True, False, False, True, False, True, True, False]))
    while True:
        votes = torch.randn(n_start + len(forced), vocab, vocab, generator=generator)
        start, targets = (_tokens(generator, n, vocab=vocab).tolist() for n in (n_start, len(forced)))
        inputs = {"votes": votes, "start": start, "targets": targets, "forced": forced}
        if all(_is_far(_read_with_a_table(other, **inputs), inputs) for other in _near_misses(forced)):
            return inputs


def _is_far(result: dict, inputs: dict) -> bool:
    """Whether wrong losses differ from the right ones by more than rounding."""
    want = _read_with_a_table(_feedback, **inputs)["the losses"]
    return max(abs(a - b) for a, b in zip(result["the losses"], want, strict=True)) > 1e-2


def _near_misses(forced: list[bool]) -> list:
    """The mutants that a run of luck could make right."""
    steps = forced[:-1]  # what is read after the last step, nobody asks
    chosen = [_scores_its_own]
    chosen += [_always_forced] if not all(steps) else []
    chosen += [_never_forced] if any(steps) else []
    if len(set(steps)) == 2:
        chosen += [_late]
    if any(force and not then for force, then in pairwise(steps)):
        chosen += [_own_path_from_the_start]
    if steps:
        chosen += [_turned_round]
    if len(forced) >= 3:
        chosen += [_reads_the_last]
    return chosen


def _always_forced(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, [True] * len(targets))


def _never_forced(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, [False] * len(targets))


def _turned_round(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, [not force for force in forced])


def _late(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, [True, *forced[:-1]])


def _scores_its_own(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, forced, scored=lambda target, own: own)


def _reads_the_last(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, forced, read=lambda inputs: inputs[-1:])


def _reads_the_start(next_logits, start, targets, forced):
    return _feedback(next_logits, start, targets, forced, read=lambda inputs: inputs[: len(start)])


def _reads_the_target_before_scoring(next_logits, start, targets, forced):
    losses, inputs = [], list(start)
    for target, force in zip(targets, forced, strict=True):
        inputs.append(target if force else int(next_logits(inputs).argmax()))
        losses.append(-float(next_logits(inputs).log_softmax(-1)[target]))
    return losses


def _own_path_from_the_start(next_logits, start, targets, forced):
    """The own tokens are those of a free run, not of the mixed one."""
    path = _greedy_path(next_logits, start, len(targets))
    return _feedback(
        next_logits, start, targets, forced, choose=lambda i, target, own: target if forced[i] else path[i]
    )


def _changes_the_start(next_logits, start, targets, forced):
    losses = _feedback(next_logits, start, targets, forced)
    start.extend(targets)
    return losses


def _least_likely(next_logits, start, targets, forced):
    inputs, losses = list(start), []
    for target, force in zip(targets, forced, strict=True):
        log_probabilities = next_logits(inputs).log_softmax(-1)
        losses.append(-float(log_probabilities[target]))
        inputs.append(target if force else int(log_probabilities.argmin()))
    return losses


def _mean_feedback(next_logits, start, targets, forced):
    return sum(_feedback(next_logits, start, targets, forced)) / len(targets)


FEEDBACK_LOSSES = Exercise(
    name="feedback_losses",
    lab="04",
    task=(
        "Run a model along a text and return the list of its losses, −log p(target) in nats, one a target. `start` is "
        "the list of tokens that it has read, `targets` the list of those that truly follow; `next_logits(tokens)` "
        "returns the logits [vocab] of the token after the list `tokens`. After step i the model reads the true token "
        "targets[i] if forced[i] is True (teacher forcing); otherwise it reads its own most probable token (free "
        "running). The loss is always about the true token. Leave `start` as it is."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_feedback_inputs,
    reference=_feedback,
    adapter=_read_with_a_table,
    cases=7,
    hints=(
        "Keep a list of what the model has read, `tokens = list(start)`, and go through the targets in a loop.",
        "In each step: ask for the logits, note the loss of the target, then decide what to append.",
        "The loss is `-logits.log_softmax(-1)[target].item()`; the own token is `int(logits.argmax())`.",
    ),
    mutants=(
        Mutant(
            name="changes the start",
            function=_changes_the_start,
            message="You append to `start` itself and so change the caller's list; begin with a copy, list(start).",
        ),
        Mutant(
            name="always forced",
            function=_always_forced,
            message="You feed the true token at every step; where forced is False, feed the model's own.",
        ),
        Mutant(
            name="never forced",
            function=_never_forced,
            message="You feed the model's own token at every step; where forced is True, feed the true one.",
        ),
        Mutant(
            name="a free run's tokens",
            function=_own_path_from_the_start,
            message="You let the model run freely once and feed from that; its own token is the one that it gives "
            "after what it has read in this run.",
        ),
        Mutant(
            name="one step late",
            function=_late,
            message="You use forced one step late; forced[i] says what is read after target i was predicted.",
        ),
        Mutant(
            name="turned round",
            function=_turned_round,
            message="You have it the wrong way round; True in forced means that the true token is read.",
        ),
        Mutant(
            name="the least likely",
            function=_least_likely,
            message="You feed back the token with the smallest logit; the model's own is the one with the largest.",
        ),
        Mutant(
            name="scores its own token",
            function=_scores_its_own,
            message="You score the model's own token; the loss is about the true one, whatever is read next.",
        ),
        Mutant(
            name="reads before it predicts",
            function=_reads_the_target_before_scoring,
            message="You append the token before you ask for the loss, so the model has seen it; predict, then read.",
        ),
        Mutant(
            name="reads the last token only",
            function=_reads_the_last,
            message="You show the model the last token only; the next one depends on all that it has read.",
        ),
        Mutant(
            name="reads the start only",
            function=_reads_the_start,
            message="You show the model the start at every step; it must also see what was appended.",
        ),
        Mutant(
            name="no minus",
            function=lambda next_logits, start, targets, forced: _feedback(
                next_logits, start, targets, forced, sign=1.0
            ),
            message="You forget the minus: log-probabilities are negative, and a loss is positive.",
        ),
        Mutant(
            name="the mean",
            function=_mean_feedback,
            message="You return the mean; return the list, one loss a target.",
        ),
    ),
)


EXERCISES = (SHIFT_LABELS, PADDED_LOSS, PERPLEXITY_AND_BITS, SEQUENCE_LOG_PROBABILITY, FEEDBACK_LOSSES)
