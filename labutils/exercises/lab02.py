"""The exercises of lab 02: count words, doubt a score, fit a learning curve, match exactly, use Bayes' rule."""

import math

import torch
from torch import Tensor

from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer


def _uniform(generator: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


# --- bag_of_words ----------------------------------------------------------------------------------------------------

# (texts and positions, size of the vocabulary, padding)
BAGS = (
    ((6,), 5, 0),
    ((3, 7), 6, 5),  # the padding is the last token
    ((5,), 9, 0),  # a text without padding
    ((4, 8), 5, 2),
    ((2, 3, 9), 7, 0),
    ((1,), 4, 3),
)


def _bag_inputs(generator: torch.Generator, case: int) -> dict:
    """Texts of unequal length. A word is repeated at once and, in the longer ones, comes again after another."""
    shape, vocab_size, padding = BAGS[case]
    words = torch.tensor([token for token in range(vocab_size) if token != padding])
    number = torch.randint(len(words), shape, generator=generator)
    seq, shortest = shape[-1], 2
    if seq > 1:
        if padding != 0:
            number[0, 0] = 0  # token 0 is a word here
        number[..., 1] = number[..., 0]
    if seq >= 7:
        number[..., 2], number[..., 3] = (number[..., 0] + 1) % len(words), number[..., 0]
        shortest = 4
    tokens = words[number]
    if case not in (2, 5):  # each text loses at least its last word
        lengths = torch.randint(shortest, seq, shape[:-1], generator=generator)
        tokens[torch.arange(seq) >= lengths[..., None]] = padding
    return {"tokens": tokens, "vocab_size": vocab_size, "padding": padding}


def _counts(tokens: Tensor, vocab_size: int) -> Tensor:
    counts = torch.zeros(*tokens.shape[:-1], vocab_size, dtype=torch.long)
    return counts.scatter_add(-1, tokens, torch.ones_like(tokens))


def _without(counts: Tensor, padding: int) -> Tensor:
    return counts.index_fill(-1, torch.tensor(padding), 0)


def _bag(tokens: Tensor, vocab_size: int, padding: int) -> Tensor:
    return _without(_counts(tokens, vocab_size), padding)


def _bag_of_all(tokens: Tensor, vocab_size: int, padding: int) -> Tensor:
    counts = _bag(tokens, vocab_size, padding)
    return counts.reshape(-1, vocab_size).sum(0).expand_as(counts)


def _drop_column(tokens: Tensor, vocab_size: int, padding: int) -> Tensor:
    kept = [token for token in range(vocab_size) if token != padding]
    return _counts(tokens, vocab_size)[..., kept]


def _without_repeats(tokens: Tensor, vocab_size: int, padding: int) -> Tensor:
    """Count a word only where it differs from the one before it."""
    counts = torch.zeros(*tokens.shape[:-1], vocab_size, dtype=torch.long)
    new = torch.ones_like(tokens)
    new[..., 1:] = (tokens[..., 1:] != tokens[..., :-1]).long()
    return _without(counts.scatter_add(-1, tokens, new), padding)


BAG_OF_WORDS = Exercise(
    name="bag_of_words",
    lab="02",
    task=(
        "Return how often each token of the vocabulary occurs in each text: whole numbers of the shape "
        "[..., vocab_size], for `tokens` of the shape [..., seq]. The token `padding` only fills up short texts, so "
        "its count is 0. Tokens are numbers from 0 to vocab_size - 1."
    ),
    points=2,
    minutes=8,
    difficulty=2,
    inputs=_bag_inputs,
    reference=_bag,
    cases=len(BAGS),
    hints=(
        "For one text, start with a row of zeros and add 1 at the place of each token.",
        "`zeros.scatter_add(-1, tokens, ones)` does so for all texts; what must be added where the token is padding?",
        "Add `(tokens != padding).long()` instead of ones.",
    ),
    mutants=(
        Mutant(
            name="counts padding",
            function=lambda tokens, vocab_size, padding: _counts(tokens, vocab_size),
            message="You count the padding as if it were a word; its count has to be 0.",
        ),
        Mutant(
            name="presence",
            function=lambda tokens, vocab_size, padding: _bag(tokens, vocab_size, padding).clamp(max=1),
            message="You note whether a word occurs; count how often.",
        ),
        Mutant(
            name="shares",
            function=lambda tokens, vocab_size, padding: (
                _bag(tokens, vocab_size, padding) / (tokens != padding).sum(-1, keepdim=True)
            ),
            message="You divide by the length of the text; the counts themselves are asked for.",
        ),
        Mutant(
            name="one bag for all",
            function=_bag_of_all,
            message="You pour all texts into one bag; each text has a bag of its own.",
        ),
        Mutant(
            name="drops the column",
            function=_drop_column,
            message="You leave out the column of the padding, which moves all later words; keep it, with zeros.",
        ),
        Mutant(
            name="forgets repeats",
            function=_without_repeats,
            message="You count a word that is repeated at once only one time; every occurrence counts.",
        ),
        Mutant(
            name="always the first token",
            function=lambda tokens, vocab_size, padding: _without(_counts(tokens, vocab_size), 0),
            message="You take token 0 for the padding; the argument `padding` says which one it is.",
        ),
        Mutant(
            name="floating point",
            function=lambda tokens, vocab_size, padding: _bag(tokens, vocab_size, padding).double(),
            message="Your counts are floating-point numbers; return whole numbers.",
        ),
    ),
)


# --- wilson_interval -------------------------------------------------------------------------------------------------

# (n, smallest and largest number of hits)
TESTS = ((10, 5, 9), (20, 0, 0), (25, 25, 25), (1000, 880, 990), (7, 1, 1), (100, 92, 99))


def _wilson_inputs(generator: torch.Generator, case: int) -> dict:
    """Small and large tests; none right, and all right; one right of seven, where the simple interval goes below 0."""
    n, low, high = TESTS[case]
    z = 1.96 if case == 0 else round(_uniform(generator, 1.2, 3.2), 3)
    return {"hits": integer(generator, low, high), "n": n, "z": z}


def _wilson(hits: int, n: int, z: float) -> list[float]:
    return _ends(hits / n + z**2 / (2 * n), _wilson_half(hits, n, z), 1 + z**2 / n)


def _wilson_half(hits: int, n: int, z: float) -> float:
    p = hits / n
    return z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))


def _ends(centre: float, half: float, divisor: float = 1.0) -> list[float]:
    return [(centre - half) / divisor, (centre + half) / divisor]


def _wald(hits: int, n: int, z: float) -> list[float]:
    p = hits / n
    return _ends(p, z * math.sqrt(p * (1 - p) / n))


WILSON_INTERVAL = Exercise(
    name="wilson_interval",
    lab="02",
    task=(
        "Return [low, high], Wilson's interval for an accuracy of which `hits` right answers out of `n` were seen: the "
        "values p with |hits/n - p| <= z * sqrt(p (1 - p) / n). With s = hits/n its ends are (s + z²/(2n) -+ z * "
        "sqrt(s (1 - s)/n + z²/(4n²))) / (1 + z²/n)."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_wilson_inputs,
    reference=_wilson,
    cases=len(TESTS),
    forbidden=("labutils.prompting.wilson_interval",),
    rtol=1e-7,
    atol=1e-9,
    hints=(
        "Compute the three parts one after the other: the centre s + z²/(2n), half of the width, the divisor 1 + z²/n.",
        "The divisor belongs to both ends, and to the whole of each: (centre - half) / divisor.",
    ),
    mutants=(
        Mutant(
            name="Wald's interval",
            function=_wald,
            message="You take s -+ z·sqrt(s(1 - s)/n), which has no width at all when every answer is right; "
            "use Wilson's formula.",
        ),
        Mutant(
            name="Wald's interval, clipped",
            function=lambda hits, n, z: [min(1.0, max(0.0, end)) for end in _wald(hits, n, z)],
            message="You clip the simple interval to [0, 1]; Wilson's formula never leaves [0, 1] by itself.",
        ),
        Mutant(
            name="no divisor",
            function=lambda hits, n, z: _ends(hits / n + z**2 / (2 * n), _wilson_half(hits, n, z)),
            message="You forget to divide by 1 + z²/n.",
        ),
        Mutant(
            name="only the centre divided",
            function=lambda hits, n, z: _ends((hits / n + z**2 / (2 * n)) / (1 + z**2 / n), _wilson_half(hits, n, z)),
            message="You divide the centre by 1 + z²/n, but not half of the width.",
        ),
        Mutant(
            name="centre not moved",
            function=lambda hits, n, z: _ends(hits / n, _wilson_half(hits, n, z), 1 + z**2 / n),
            message="Your centre is s; it has to be s + z²/(2n), which moves it towards one half.",
        ),
        Mutant(
            name="no correction under the root",
            function=lambda hits, n, z: _ends(
                hits / n + z**2 / (2 * n), z * math.sqrt(hits / n * (1 - hits / n) / n), 1 + z**2 / n
            ),
            message="The term z²/(4n²) is missing under the root.",
        ),
        Mutant(
            name="z outside of the root forgotten",
            function=lambda hits, n, z: _ends(hits / n + z**2 / (2 * n), _wilson_half(hits, n, z) / z, 1 + z**2 / n),
            message="You forget to multiply the root by z.",
        ),
        Mutant(
            name="hits for the share",
            function=lambda hits, n, z: _ends(
                hits + z**2 / (2 * n),
                z * math.sqrt(abs(hits * (1 - hits)) / n + z**2 / (4 * n**2)),
                1 + z**2 / n,
            ),
            message="You put the number of hits where their share, hits / n, belongs.",
        ),
        Mutant(
            name="centre and half",
            function=lambda hits, n, z: [
                (hits / n + z**2 / (2 * n)) / (1 + z**2 / n),
                _wilson_half(hits, n, z) / (1 + z**2 / n),
            ],
            message="You return the centre and half of the width; return the two ends.",
        ),
    ),
)


# --- fit_learning_curve ----------------------------------------------------------------------------------------------

# (number of points, noise in the logarithm of the distance to the floor)
CURVES = ((2, 0.0), (4, 0.0), (5, 0.2), (7, 0.3), (3, 0.1), (12, 0.4))


def _curve_inputs(generator: torch.Generator, case: int) -> dict:
    """Losses around floor + a n^-b, for numbers of examples that are not evenly spaced in their logarithm."""
    points, noise = CURVES[case]
    steps = 0.2 + 0.4 * torch.rand(points, generator=generator, dtype=torch.float64)
    n = (5 * 10 ** steps.cumsum(0)).round()
    a, b, floor = _uniform(generator, 2.0, 9.0), _uniform(generator, 0.2, 0.6), _uniform(generator, 0.5, 2.5)
    jitter = noise * torch.randn(points, generator=generator, dtype=torch.float64)
    return {"n": n, "losses": floor + a * n**-b * jitter.exp(), "floor": floor}


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Intercept and slope of the line of least squares."""
    x, y = x.double(), y.double()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return (y.mean() - slope * x.mean()).item(), slope.item()


def _fit(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    start, slope = _line(n.double().log(), (losses.double() - floor).log())
    return [math.exp(start), -slope]


def _through_the_ends(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    return _fit(n[[0, -1]], losses[[0, -1]], floor)


def _mixed_logarithms(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    start, slope = _line(n.double().log10(), (losses.double() - floor).log())
    return [math.exp(start), -slope]


def _tens_for_e(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    start, slope = _line(n.double().log10(), (losses.double() - floor).log10())
    return [math.exp(start), -slope]


def _wrong_way_round(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    """Regress log n on log loss, and solve for the loss."""
    start, slope = _line((losses.double() - floor).log(), n.double().log())
    return [math.exp(-start / slope), -1 / slope]


def _half_logarithmic(n: Tensor, losses: Tensor, floor: float) -> list[float]:
    start, slope = _line(n.double(), (losses.double() - floor).log())
    return [math.exp(start), -slope]


FIT_LEARNING_CURVE = Exercise(
    name="fit_learning_curve",
    lab="02",
    task=(
        "Return [a, b] of the learning curve L(n) = floor + a * n ** -b that fits best: the line of least squares "
        "through the points (log n, log(loss - floor)), with natural logarithms. `n` and `losses` are tensors of one "
        "axis and equal length (at least 2); `floor` lies below all losses."
    ),
    points=3,
    minutes=12,
    difficulty=3,
    inputs=_curve_inputs,
    reference=_fit,
    cases=len(CURVES),
    rtol=1e-6,
    atol=1e-8,
    hints=(
        "With x = log n and y = log(loss - floor), the curve is the line y = log a - b x.",
        "The slope is the sum of (x - mean x)(y - mean y) over the sum of (x - mean x)²; the line passes through the "
        "means.",
        "b is minus the slope, and a is e to the intercept, mean y - slope · mean x.",
    ),
    mutants=(
        Mutant(
            name="floor left in",
            function=lambda n, losses, floor: _fit(n, losses, 0.0),
            message="You fit the losses themselves; subtract the floor before you take the logarithm.",
        ),
        Mutant(
            name="sign of b",
            function=lambda n, losses, floor: [_fit(n, losses, floor)[0], -_fit(n, losses, floor)[1]],
            message="You return the slope; b is minus the slope, since L(n) has n to the power -b.",
        ),
        Mutant(
            name="logarithm of a",
            function=lambda n, losses, floor: [math.log(_fit(n, losses, floor)[0]), _fit(n, losses, floor)[1]],
            message="You return the intercept, which is log a; take its exponential.",
        ),
        Mutant(
            name="swapped",
            function=lambda n, losses, floor: _fit(n, losses, floor)[::-1],
            message="You return [b, a]; the order is [a, b].",
        ),
        Mutant(
            name="two kinds of logarithm",
            function=_mixed_logarithms,
            message="You mix logarithms to base 10 and natural ones; the slope needs the same base on both axes.",
        ),
        Mutant(
            name="exponential of a logarithm to base 10",
            function=_tens_for_e,
            message="You take logarithms to base 10 and then e to the intercept; undo a base with the same base.",
        ),
        Mutant(
            name="n without logarithm",
            function=_half_logarithmic,
            message="You take the logarithm of the losses only; a power law is a line if n has its logarithm, too.",
        ),
        Mutant(
            name="through the two ends",
            function=_through_the_ends,
            message="You draw the line through the first and the last point; least squares uses all of them.",
        ),
        Mutant(
            name="the wrong way round",
            function=_wrong_way_round,
            message="You fit log n as a function of the loss; the loss is the noisy one, so fit it as a function of "
            "log n.",
        ),
    ),
)


# --- exact_match -----------------------------------------------------------------------------------------------------

# (texts and positions, length of a run, share of right places)
MATCHES = (((1, 5), 2, 0.7), ((2, 6), 1, 0.6), ((3, 4), 4, 0.9), ((3, 9), 3, 0.8), ((5, 12), 4, 0.85), ((2, 8), 2, 0.7))


def _match_inputs(generator: torch.Generator, case: int) -> dict:
    """Truth values with at least one run that is right and, where there are several, one that is not."""
    shape, n, share = MATCHES[case]
    correct = torch.rand(shape, generator=generator) < share
    correct[0, :n] = True
    if shape[0] > 1:
        correct[-1, integer(generator, 0, n - 1)] = False
    else:
        correct[0, n] = False
    return {"correct": correct, "n": n}


def _runs(correct: Tensor, n: int) -> Tensor:
    return correct.unfold(-1, n, 1)


def _match(correct: Tensor, n: int) -> Tensor:
    return _runs(correct, n).all(-1).double().mean()


def _longer(correct: Tensor, n: int) -> Tensor:
    return _match(correct, min(n + 1, correct.shape[-1]))


EXACT_MATCH = Exercise(
    name="exact_match",
    lab="02",
    task=(
        "Return the share of all runs of `n` neighbouring places of a text that are right throughout. `correct` "
        "[texts, seq] holds truth values. A text has seq - n + 1 runs; they overlap, and none passes from one text to "
        "the next."
    ),
    points=2,
    minutes=8,
    difficulty=2,
    inputs=_match_inputs,
    reference=_match,
    cases=len(MATCHES),
    hints=(
        "How many runs of 2 are there in a text of 5 places? Write down their truth values by hand.",
        "`correct.unfold(-1, n, 1)` has all runs along a new last axis: [texts, seq - n + 1, n].",
        "`.all(-1)` says which runs are right throughout; then take the mean.",
    ),
    mutants=(
        Mutant(
            name="power of the accuracy",
            function=lambda correct, n: correct.double().mean() ** n,
            message="You raise the accuracy to the power n, which is right only if errors are independent; "
            "look at the runs themselves.",
        ),
        Mutant(
            name="runs that do not overlap",
            function=lambda correct, n: correct.unfold(-1, n, n).all(-1).double().mean(),
            message="You cut each text into pieces; a run starts at every place that leaves room for it.",
        ),
        Mutant(
            name="across texts",
            function=lambda correct, n: _match(correct.flatten(), n),
            message="Some of your runs begin in one text and end in the next; keep the texts apart.",
        ),
        Mutant(
            name="any",
            function=lambda correct, n: _runs(correct, n).any(-1).double().mean(),
            message="You ask whether one place of the run is right; all of them have to be.",
        ),
        Mutant(
            name="share within the runs",
            function=lambda correct, n: _runs(correct, n).double().mean(),
            message="You average over the places of each run, which gives partial credit; a run counts or it does not.",
        ),
        Mutant(
            name="texts with a run",
            function=lambda correct, n: _runs(correct, n).all(-1).any(-1).double().mean(),
            message="You count the texts that have a perfect run somewhere; take the share of all runs.",
        ),
        Mutant(
            name="the first run",
            function=lambda correct, n: correct[:, :n].all(-1).double().mean(),
            message="You look at the first n places of each text only; take all runs.",
        ),
        Mutant(
            name="one place too long",
            function=_longer,
            message="Your runs have n + 1 places.",
        ),
        Mutant(
            name="divided by the places",
            function=lambda correct, n: _runs(correct, n).all(-1).double().sum() / correct.numel(),
            message="You divide by the number of places; a text of seq places has only seq - n + 1 runs.",
        ),
    ),
)


# --- naive_bayes_log_odds --------------------------------------------------------------------------------------------

# (labelled examples, of these in class 1, words, new texts, dtype)
BAYES = (
    (3, 1, 2, 1, torch.float64),
    (5, 3, 4, 2, torch.float64),
    (6, 2, 7, 3, torch.float64),
    (9, 4, 8, 5, torch.float64),
    (11, 8, 6, 4, torch.float32),
)


def _bayes_inputs(generator: torch.Generator, case: int) -> dict:
    """Classes of unequal size, texts of unequal length, a word that a class never shows, a new text without words."""
    examples, ones, vocab, texts, dtype = BAYES[case]
    counts = torch.randint(0, 4, (examples, vocab), generator=generator)
    labels = (torch.arange(examples) < ones).long()[torch.randperm(examples, generator=generator)]
    word = integer(generator, 0, vocab - 1)
    counts[labels == 0, word] = 0
    counts[labels == 1, word] += 2  # and it comes more than once, so that counts are not presence
    new = torch.randint(0, 4, (texts, vocab), generator=generator)
    new[0, word] = 2 + integer(generator, 0, 2)
    if texts > 2:
        new[-1] = 0
    return {"counts": counts.to(dtype), "labels": labels, "new": new.to(dtype)}


def _log_odds(
    counts: Tensor,
    labels: Tensor,
    new: Tensor,
    *,
    added: float = 1.0,
    extra: float | None = None,
    prior: bool = True,
) -> Tensor:
    """The reference; `added` is added to each count, `extra` (vocab · added if right) to the number of words."""
    counts, new = counts.double(), new.double()
    ones = labels == 1
    odds = torch.log(ones.sum() / (~ones).sum()).double() if prior else torch.zeros((), dtype=torch.float64)
    logs = []
    for members in (ones, ~ones):
        total = counts[members].sum(0)
        words = total.sum() + (added * len(total) if extra is None else extra)
        logs.append(((total + added) / words).log())
    # A word that the text lacks counts for nothing, even where its probability is 0.
    terms = torch.where(new > 0, new * (logs[0] - logs[1]), 0.0)
    return (odds + terms.sum(-1)).to(torch.float64)


def _odds(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return _log_odds(counts, labels, new).to(new.dtype)


def _odds_with_one_added(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return _log_odds(counts, labels, new, extra=1.0)


def _odds_by_texts(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    """Divide by the number of texts of the class, not by its words."""
    counts, new = counts.double(), new.double()
    logs = [((counts[labels == c].sum(0) + 1) / ((labels == c).sum() + counts.shape[1])).log() for c in (1, 0)]
    return torch.log((labels == 1).sum() / (labels == 0).sum()).double() + new @ (logs[0] - logs[1])


def _odds_of_an_average(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    prior = _log_odds(counts, labels, torch.zeros_like(new))
    words = new.double().sum(-1)
    return prior + (_log_odds(counts, labels, new) - prior) / words.clamp(min=1)


def _odds_with_opposite_prior(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    return _log_odds(counts, labels, new) - 2 * _log_odds(counts, labels, torch.zeros_like(new))


def _odds_with_smoothed_prior(counts: Tensor, labels: Tensor, new: Tensor) -> Tensor:
    ones, zeros = (labels == 1).sum() + 1, (labels == 0).sum() + 1
    return _log_odds(counts, labels, new, prior=False) + torch.log(ones / zeros).double()


NAIVE_BAYES_LOG_ODDS = Exercise(
    name="naive_bayes_log_odds",
    lab="02",
    task=(
        "Naive Bayes for two classes: return log p(1 | x) - log p(0 | x), natural logarithm, for each text of `new` "
        "[texts, vocab], in the shape [texts]. `counts` [examples, vocab] are the word counts of the labelled texts, "
        "`labels` [examples] their classes, 0 or 1; both occur. The share of a class among the examples is its prior. "
        "The probability of a word in a class is its count there plus 1, over the class's number of words plus vocab. "
        "A word that occurs c times in a text counts c times."
    ),
    points=4,
    minutes=20,
    difficulty=4,
    inputs=_bayes_inputs,
    reference=_odds,
    cases=len(BAYES),
    rtol=1e-4,
    atol=1e-4,
    hints=(
        "Begin with a text without words: only the prior speaks, log of (examples of class 1 / examples of class 0).",
        "For one class: `total = counts[labels == 1].sum(0) + 1`, and its law of words is `total / total.sum()`.",
        "A text's words add `new @ (log law of class 1 - log law of class 0)`.",
    ),
    mutants=(
        Mutant(
            name="no smoothing",
            function=lambda counts, labels, new: _log_odds(counts, labels, new, added=0.0),
            message="A word that a class has never shown gets probability 0, which decides alone; add 1 to each count.",
        ),
        Mutant(
            name="one added to the number of words",
            function=_odds_with_one_added,
            message="You add 1 to each count but only 1 to their sum; add vocab, so that the probabilities sum to 1.",
        ),
        Mutant(
            name="sum not smoothed",
            function=lambda counts, labels, new: _log_odds(counts, labels, new, extra=0.0),
            message="You add 1 to each count but nothing to their sum; add vocab, so that the probabilities sum to 1.",
        ),
        Mutant(
            name="texts for words",
            function=_odds_by_texts,
            message="You divide by the number of texts of the class; divide by the number of its words.",
        ),
        Mutant(
            name="no prior",
            function=lambda counts, labels, new: _log_odds(counts, labels, new, prior=False),
            message="You forget the prior: the log of the ratio of the classes' shares belongs to the sum.",
        ),
        Mutant(
            name="opposite prior",
            function=_odds_with_opposite_prior,
            message="Your prior has the wrong sign: it is log of the share of class 1 over that of class 0.",
        ),
        Mutant(
            name="smoothed prior",
            function=_odds_with_smoothed_prior,
            message="You add 1 to the numbers of texts, too; only the counts of words are smoothed.",
        ),
        Mutant(
            name="presence",
            function=lambda counts, labels, new: _log_odds(counts, labels, new.clamp(max=1)),
            message="You look only at whether a word occurs in the text; a word that occurs c times counts c times.",
        ),
        Mutant(
            name="presence in the examples",
            function=lambda counts, labels, new: _log_odds(counts.clamp(max=1), labels, new),
            message="You count in how many examples of a class a word occurs; count its occurrences.",
        ),
        Mutant(
            name="classes swapped",
            function=lambda counts, labels, new: -_log_odds(counts, labels, new),
            message="You return the log odds of class 0; those of class 1 are asked for.",
        ),
        Mutant(
            name="base 2",
            function=lambda counts, labels, new: _log_odds(counts, labels, new) / math.log(2),
            message="Your logarithms have base 2; take natural ones.",
        ),
        Mutant(
            name="probability",
            function=lambda counts, labels, new: _log_odds(counts, labels, new).sigmoid(),
            message="You return the probability of class 1; return the log odds.",
        ),
        Mutant(
            name="mean over words",
            function=_odds_of_an_average,
            message="You average over the words of the text; each word is evidence by itself, so add them up.",
        ),
    ),
)


EXERCISES = (BAG_OF_WORDS, WILSON_INTERVAL, FIT_LEARNING_CURVE, EXACT_MATCH, NAIVE_BAYES_LOG_ODDS)
