"""The exercises of lab 11: the vote of many completions, and how sure one may be which prompt is better."""

import math

import torch
from torch import Tensor

from labutils import prompting
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer


def _choice(generator: torch.Generator, options):
    return options[integer(generator, 0, len(options) - 1)]


def _coins(generator: torch.Generator, *shape: int, p: float = 0.5) -> Tensor:
    """Truth values, each True with probability p."""
    return torch.rand(shape, generator=generator) < p


# --- self_consistent_answer ------------------------------------------------------------------------------------------

MARKERS = ("answer:", "So", "####", "= ")


def _pad(generator: torch.Generator, marker: str, answer: str, *, steps: int = 1) -> str:
    """A text that ends in its answer; with two steps it names another one on the way."""
    guesses = [f"perhaps {marker} {integer(generator, 100, 999)}, no" for _ in range(steps - 1)]
    spaces = _choice(generator, (" ", "  ", "", "\n"))
    return ", ".join([*guesses, f"it is {marker}{spaces}{answer}{_choice(generator, ('', ' ', chr(10)))}"])


def _vote_inputs(generator: torch.Generator, case: int) -> dict:
    marker = MARKERS[0] if case < 4 else _choice(generator, MARKERS)
    a, b, c = (str(10 + 30 * i + integer(generator, 0, 29)) for i in range(3))
    answers = {
        0: [a, b, b],
        1: [a, b, a, b],  # a tie: a came first
        2: [None, a, None, None],  # most are cut off
        3: [None, None],
        4: [b, c, a, c, a],  # b came first, c and a tie
        5: [a, b, b, c],
    }.get(case)
    if answers is None:
        answers = [_choice(generator, (a, b, c, None)) for _ in range(7 + case)] + [a]
    completions = [
        f"let me see: {integer(generator, 1000, 9999)} and"
        if answer is None
        else _pad(generator, marker, answer, steps=1 + (case in (0, 5) or i % 2))
        for i, answer in enumerate(answers)
    ]
    return {"completions": completions, "marker": marker}


def _vote(completions: list[str], marker: str) -> str | None:
    return prompting.majority_vote(t.rpartition(marker)[2].strip() if marker in t else None for t in completions)


def _votes(completions: list[str], marker: str) -> list[str]:
    """The answers in the order of the texts."""
    return [text.rpartition(marker)[2].strip() for text in completions if marker in text]


def _last_of_a_tie(completions: list[str], marker: str) -> str | None:
    return prompting.majority_vote(reversed(_votes(completions, marker)))


def _smallest_of_a_tie(completions: list[str], marker: str) -> str | None:
    return prompting.majority_vote(sorted(_votes(completions, marker)))


SELF_CONSISTENT_ANSWER = Exercise(
    name="self_consistent_answer",
    lab="11",
    task=(
        "Return the most frequent answer of a list of texts (a string), or None if no text has one. The answer of a "
        "text is what follows the last `marker` in it, without white space at its ends; a text without the marker has "
        "no vote. Of answers with equally many votes, the one that came first in the list wins."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_vote_inputs,
    reference=_vote,
    cases=10,
    hints=(
        "First make a list of the answers alone, leaving out the texts without the marker; then count.",
        "`text.rpartition(marker)[2].strip()` is what follows the last marker.",
        "Count in a dictionary, `votes[answer] = votes.get(answer, 0) + 1`. It keeps the order of first votes, and "
        "`max(votes, key=votes.get, default=None)` takes the first of the largest.",
    ),
    forbidden=("labutils.prompting.majority_vote",),
    mutants=(
        Mutant(
            name="the smallest of a tie",
            function=_smallest_of_a_tie,
            message="You break ties by sorting the answers; the one that came first in the list wins.",
        ),
        Mutant(
            name="the last of a tie",
            function=_last_of_a_tie,
            message="Of answers with equally many votes you take one that came later; the first one wins.",
        ),
        Mutant(
            name="texts without an answer vote",
            function=lambda completions, marker: prompting.majority_vote(
                t.rpartition(marker)[2].strip() for t in completions
            ),
            message="A text without the marker votes with all its words; leave it out.",
        ),
        Mutant(
            name="None wins",
            function=lambda completions, marker: max(
                kept := [t.rpartition(marker)[2].strip() if marker in t else None for t in completions],
                key=kept.count,
            ),
            message="You count None as an answer, and where most texts are cut off it wins; None has no vote.",
        ),
        Mutant(
            name="the first marker",
            function=lambda completions, marker: prompting.majority_vote(
                t.partition(marker)[2].strip() for t in completions if marker in t
            ),
            message="You cut at the first marker of a text; the answer follows the last one.",
        ),
        Mutant(
            name="white space kept",
            function=lambda completions, marker: prompting.majority_vote(
                t.rpartition(marker)[2] for t in completions if marker in t
            ),
            message="You keep the white space around an answer, so that equal answers count as different; strip it.",
        ),
        Mutant(
            name="the first answer",
            function=lambda completions, marker: next(iter(_votes(completions, marker)), None),
            message="You return the first answer; count all of them and return the most frequent.",
        ),
        Mutant(
            name="the least frequent",
            function=lambda completions, marker: min(
                votes := _votes(completions, marker), key=votes.count, default=None
            ),
            message="You return the answer with the fewest votes; use max instead of min.",
        ),
        Mutant(
            name="an empty text for no answer",
            function=lambda completions, marker: _vote(completions, marker) or "",
            message="Where no text has an answer you return an empty string; return None.",
        ),
    ),
)


# --- bootstrap_interval ----------------------------------------------------------------------------------------------


def _bootstrap_inputs(generator: torch.Generator, case: int) -> dict:
    n_cases, n_resamples = ((4, 5), (3, 4), (5, 7), (20, 40), (11, 101), (60, 200), (17, 64))[case]
    right = _coins(generator, n_cases, p=0.6)
    right[:2] = torch.tensor([True, False])
    if case == 2:
        right[:] = True  # the interval is a point
    drawn = torch.randint(n_cases, (n_resamples, n_cases), generator=generator)
    confidence = (0.5, 0.8, 0.95, 0.9, 0.95, 0.95, 0.68)[case]
    return {"right": right, "drawn": drawn, "confidence": confidence}


def _means(right: Tensor, drawn: Tensor) -> Tensor:
    return right[drawn].double().mean(dim=1)


def _quantiles(values: Tensor, low: float, high: float) -> list[float]:
    return values.quantile(torch.tensor([low, high], dtype=values.dtype)).tolist()


def _bootstrap(right: Tensor, drawn: Tensor, confidence: float) -> list[float]:
    return list(prompting.bootstrap_interval(right.double(), drawn, confidence))


def _by_normal(right: Tensor, drawn: Tensor, confidence: float) -> list[float]:
    z = math.sqrt(2) * torch.erfinv(torch.tensor(confidence, dtype=torch.float64)).item()
    accuracy, spread = right.double().mean().item(), _means(right, drawn).std().item()
    return [accuracy - z * spread, accuracy + z * spread]


BOOTSTRAP_INTERVAL = Exercise(
    name="bootstrap_interval",
    lab="11",
    task=(
        "Return [low, high], the middle part of the accuracies of resampled cases. `right` [cases] says which cases "
        "are right; each row of `drawn` [resamples, cases] holds the numbers of the cases of one resample, in which a "
        "case may occur several times. A share of (1 − confidence) / 2 of the accuracies lies below `low`, as much "
        "above `high`: quantiles as torch.quantile takes them."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_bootstrap_inputs,
    reference=_bootstrap,
    cases=7,
    hints=(
        "`right[drawn]` has the shape of `drawn` and says for each case that was drawn whether it is right.",
        "Each row of it is one resample: its mean, along the last axis, is an accuracy. Means need floating-point "
        "numbers, so convert with `.double()`.",
        "At a confidence of 0.95 a share of 0.025 lies outside on each side: `torch.quantile(accuracies, 0.025)` and "
        "`torch.quantile(accuracies, 0.975)`.",
    ),
    forbidden=("labutils.prompting.bootstrap_interval",),
    mutants=(
        Mutant(
            name="one-sided",
            function=lambda right, drawn, confidence: _quantiles(_means(right, drawn), 1 - confidence, confidence),
            message="You cut 1 − confidence off at each end; half of that belongs to each.",
        ),
        Mutant(
            name="the other axis",
            function=lambda right, drawn, confidence: _quantiles(
                right[drawn].double().mean(0), (1 - confidence) / 2, (1 + confidence) / 2
            ),
            message="You take means over the resamples; a row is one resample, so take the mean along the last axis.",
        ),
        Mutant(
            name="the range",
            function=lambda right, drawn, confidence: [
                _means(right, drawn).min().item(),
                _means(right, drawn).max().item(),
            ],
            message="You return the smallest and the largest accuracy; cut the outer ones off, as `confidence` says.",
        ),
        Mutant(
            name="errors instead of accuracies",
            function=lambda right, drawn, confidence: _bootstrap(~right, drawn, confidence),
            message="You measure the share of wrong cases; the accuracy is the share of right ones.",
        ),
        Mutant(
            name="counts instead of shares",
            function=lambda right, drawn, confidence: [
                end * drawn.shape[1] for end in _bootstrap(right, drawn, confidence)
            ],
            message="You return how many cases are right; divide by the number of cases.",
        ),
        Mutant(
            name="the ends exchanged",
            function=lambda right, drawn, confidence: _bootstrap(right, drawn, confidence)[::-1],
            message="You return [high, low]; the lower end comes first.",
        ),
        Mutant(
            name="each case once",
            function=lambda right, drawn, confidence: _quantiles(
                torch.stack([right[row.unique()].double().mean() for row in drawn]),
                (1 - confidence) / 2,
                (1 + confidence) / 2,
            ),
            message="You count a case once in a resample that drew it several times; it counts as often as drawn.",
        ),
        Mutant(
            name="the normal interval",
            function=_by_normal,
            message="You take the spread of the accuracies and a normal law; take their quantiles instead.",
        ),
        Mutant(
            name="ignores the draws",
            function=lambda right, drawn, confidence: _quantiles(
                right.double(), (1 - confidence) / 2, (1 + confidence) / 2
            ),
            message="You take quantiles of the single cases; take them of the accuracies of the resamples.",
        ),
    ),
)


# --- sign_test_p -----------------------------------------------------------------------------------------------------


def _sign_inputs(generator: torch.Generator, case: int) -> dict:
    # How many cases only a has right, only b, both, neither.
    groups = {
        0: (5, 0, 2, 1),
        1: (1, 3, 1, 1),
        2: (0, 0, 3, 2),  # they agree on all cases
        3: (3, 3, 0, 0),  # a draw, where twice the tail is more than 1
        4: (2, 9, 30, 4),
        5: (26, 5, 23, 6),
        6: (4, 4, 11, 2),
    }.get(case)
    if groups is None:
        groups = tuple(integer(generator, 0, 25) for _ in range(4))
    patterns = ((True, False), (False, True), (True, True), (False, False))
    pairs = [pattern for pattern, count in zip(patterns, groups, strict=True) for _ in range(count)] or [patterns[0]]
    shuffled = torch.tensor(pairs)[torch.randperm(len(pairs), generator=generator)]
    return {"right_a": shuffled[:, 0].clone(), "right_b": shuffled[:, 1].clone()}


def _wins_and_losses(right_a: Tensor, right_b: Tensor) -> tuple[int, int]:
    return int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())


def _tail(k: int, n: int, p: float = 0.5) -> float:
    """The probability of at most k heads in n tosses."""
    return math.fsum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def _sign_test(right_a: Tensor, right_b: Tensor) -> float:
    return prompting.sign_test(*_wins_and_losses(right_a, right_b))


def _one_sided(right_a: Tensor, right_b: Tensor) -> float:
    wins, losses = _wins_and_losses(right_a, right_b)
    return _tail(min(wins, losses), wins + losses)


def _ties_count(right_a: Tensor, right_b: Tensor) -> float:
    wins, losses = _wins_and_losses(right_a, right_b)
    return min(1.0, 2 * _tail(min(wins, losses), len(right_a)))


def _unpaired(right_a: Tensor, right_b: Tensor) -> float:
    return prompting.sign_test(int(right_a.sum()), int(right_b.sum()))


def _exactly(right_a: Tensor, right_b: Tensor) -> float:
    wins, losses = _wins_and_losses(right_a, right_b)
    return min(1.0, 2 * math.comb(wins + losses, wins) / 2 ** (wins + losses))


def _off_by_one(right_a: Tensor, right_b: Tensor) -> float:
    wins, losses = _wins_and_losses(right_a, right_b)
    return min(1.0, 2 * _tail(min(wins, losses) - 1, wins + losses))


def _above_one(right_a: Tensor, right_b: Tensor) -> float:
    return 2 * _one_sided(right_a, right_b)


def _chi_square(right_a: Tensor, right_b: Tensor) -> float:
    """McNemar's approximation for many cases."""
    wins, losses = _wins_and_losses(right_a, right_b)
    n = wins + losses
    return math.erfc(abs(wins - losses) / math.sqrt(2 * n)) if n else 1.0


def _larger_tail(right_a: Tensor, right_b: Tensor) -> float:
    wins, losses = _wins_and_losses(right_a, right_b)
    return min(1.0, 2 * _tail(max(wins, losses), wins + losses))


SIGN_TEST_P = Exercise(
    name="sign_test_p",
    lab="11",
    task=(
        "Return the two-sided exact p-value of two prompts on the same cases, a number in (0, 1]. `right_a` and "
        "`right_b` [cases] say which cases each has right. Cases where they agree do not count. Of the others, let the "
        "one prompt have w and the other l: p is the probability that w + l tosses of a fair coin come out at least as "
        "one-sided, in either direction. Without such cases p is 1."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_sign_inputs,
    reference=_sign_test,
    cases=10,
    hints=(
        "`right_a & ~right_b` are the cases that only a has right. Count them, and those that only b has right.",
        "The probability of exactly k heads in n tosses is `math.comb(n, k) / 2**n`. Add up k = 0 .. the smaller of "
        "the two counts: that is one direction.",
        "The other direction is as probable, so double the sum. With equal counts the double exceeds 1, which no "
        "probability does: `min(1.0, ...)`.",
    ),
    forbidden=("labutils.prompting.sign_test",),
    mutants=(
        Mutant(
            name="above one",
            function=_above_one,
            message="Your p exceeds 1 where both have nearly equally many; a probability is at most 1.",
        ),
        Mutant(
            name="one-sided",
            function=_one_sided,
            message="You count one direction only; you did not know beforehand which prompt would win, so double it.",
        ),
        Mutant(
            name="off by one",
            function=_off_by_one,
            message="Your sum ends one too early: outcomes exactly as one-sided as the observed one belong to it.",
        ),
        Mutant(
            name="this outcome only",
            function=_exactly,
            message="You take the probability of exactly this outcome; add those that are more one-sided.",
        ),
        Mutant(
            name="agreeing cases count",
            function=_ties_count,
            message="You toss a coin for cases where both agree, too; only those where they differ count.",
        ),
        Mutant(
            name="not paired",
            function=_unpaired,
            message="You compare the totals; go case by case, and count what only the one or only the other has right.",
        ),
        Mutant(
            name="the larger tail",
            function=_larger_tail,
            message="You add up to the larger count, which is always likely; add up to the smaller one.",
        ),
        Mutant(
            name="the approximation",
            function=_chi_square,
            message="You use the normal approximation, which is off for few cases; add up binomial probabilities.",
        ),
        Mutant(
            name="one minus p",
            function=lambda right_a, right_b: 1 - _sign_test(right_a, right_b),
            message="You return 1 − p; a small p speaks for a difference.",
        ),
    ),
)


# --- choose_on_development -------------------------------------------------------------------------------------------


def _with_a_test_set(student_function, counts, right, test_accuracies):
    """Let the student's function choose, and count how often it looks at the test set."""
    looks = []

    def measure_test(count):
        looks.append(int(count))
        return test_accuracies[counts.index(int(count))]

    result = student_function(counts, right, measure_test)
    return {"the result": result, "measured on the test set": looks}


def _choose(counts, right, measure_test):
    accuracies = right.double().mean(1).tolist()
    best = min(zip(counts, accuracies, strict=True), key=lambda tried: (-tried[1], tried[0]))[0]
    return [best, measure_test(best)]


def _choose_inputs(generator: torch.Generator, case: int) -> dict:
    n_counts, n_cases = ((3, 5), (4, 6), (2, 4), (5, 9), (6, 20), (4, 60), (7, 31))[case]
    counts = sorted(torch.randperm(16, generator=generator)[:n_counts].tolist(), reverse=case in (1, 4))
    n_right = torch.randint(0, n_cases - 1, (n_counts,), generator=generator)
    order = torch.randperm(n_counts, generator=generator).tolist()
    best, other = order[:2]
    n_right[best] = n_cases - 1
    if case in (1, 3, 4):  # two are equally good
        n_right[other] = n_cases - 1
    if case == 5:  # the smallest number is neither the best nor the worst
        smallest = counts.index(min(counts))
        best, other, worst = (row for row in order if row != smallest)
        n_right[[worst, smallest, other, best]] = torch.tensor([0, n_cases // 3, n_cases // 2, n_cases - 1])
    right = torch.stack([torch.randperm(n_cases, generator=generator) < k for k in n_right])
    # On the test set another one happens to be better.
    test = [round(0.3 + 0.4 * torch.rand((), generator=generator).item(), 2) for _ in counts]
    lucky = _choice(generator, [i for i in range(n_counts) if n_right[i] < n_cases - 1] or [other])
    test[lucky] = 0.9
    return {"counts": counts, "right": right, "test_accuracies": test}


def _chosen_by(key):
    """A wrong choice: `key(count, development accuracy)` is made large."""

    def choose(counts, right, measure_test):
        tried = zip(counts, right.double().mean(1).tolist(), strict=True)
        best = max(tried, key=lambda pair: key(*pair))[0]
        return [best, measure_test(best)]

    return choose


def _on_the_test_set(counts, right, measure_test):
    accuracies = {count: measure_test(count) for count in counts}
    best = max(accuracies, key=accuracies.__getitem__)
    return [best, accuracies[best]]


def _looks_at_all(counts, right, measure_test):
    accuracies = {count: measure_test(count) for count in counts}
    best = _choose(counts, right, lambda count: 0.0)[0]
    return [best, accuracies[best]]


def _reports_development(counts, right, measure_test):
    best = _choose(counts, right, measure_test)[0]
    return [best, right[counts.index(best)].double().mean().item()]


def _never_tests(counts, right, measure_test):
    best = _choose(counts, right, lambda count: 0.0)[0]
    return [best, right[counts.index(best)].double().mean().item()]


def _best_of_both(counts, right, measure_test):
    development = right.double().mean(1).tolist()
    both = {count: measure_test(count) + seen for count, seen in zip(counts, development, strict=True)}
    best = max(both, key=both.__getitem__)
    return [best, measure_test(best)]


def _looks_twice(counts, right, measure_test):
    measure_test(_choose(counts, right, lambda count: 0.0)[0])
    return _choose(counts, right, measure_test)


CHOOSE_ON_DEVELOPMENT = Exercise(
    name="choose_on_development",
    lab="11",
    task=(
        "Choose a number of examples by the development set, and return the list [the number chosen, its accuracy on "
        "the test set]. `counts` holds the numbers that were tried, each once and in no particular order; row i of "
        "`right` [counts, cases] says which cases of the development set were right with counts[i] examples. "
        "`measure_test(count)` returns the accuracy on the test set with that many examples. Of equally good numbers "
        "choose the smallest. The test set may be used once."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_choose_inputs,
    reference=_choose,
    adapter=_with_a_test_set,
    cases=7,
    hints=(
        "The mean of each row of `right` is an accuracy: `right.double().mean(dim=1)`.",
        "Among the numbers whose accuracy equals the largest one, take the smallest: "
        "`min(c for c, a in zip(counts, accuracies) if a == max(accuracies))`.",
        "Only now call `measure_test`, with the number that you chose and with no other.",
    ),
    mutants=(
        Mutant(
            name="looks twice",
            function=_looks_twice,
            message="You measure on the test set twice; once is enough, so keep the result.",
        ),
        Mutant(
            name="never tests",
            function=_never_tests,
            message="You report the accuracy on the development set, which the choice has made too good; measure the "
            "chosen number on the test set.",
        ),
        Mutant(
            name="reports development",
            function=_reports_development,
            message="You measure on the test set and then report the development set's accuracy; report the test's.",
        ),
        Mutant(
            name="looks at all",
            function=_looks_at_all,
            message="You measure every number on the test set; measure only the one that you chose.",
        ),
        Mutant(
            name="chooses on the test set",
            function=_on_the_test_set,
            message="You choose the number that is best on the test set, so its accuracy there means little; choose "
            "on the development set.",
        ),
        Mutant(
            name="chooses on both",
            function=_best_of_both,
            message="You let the test set take part in the choice; only the development set may.",
        ),
        Mutant(
            name="the first of a tie",
            function=_chosen_by(lambda count, accuracy: accuracy),
            message="Of equally good numbers you take the one that was tried first; take the smallest.",
        ),
        Mutant(
            name="the largest of a tie",
            function=_chosen_by(lambda count, accuracy: (accuracy, count)),
            message="Of equally good numbers you take the largest; fewer examples do the same for less, so take the "
            "smallest.",
        ),
        Mutant(
            name="returns the row",
            function=lambda counts, right, measure_test: [
                counts.index(chosen := _choose(counts, right, lambda count: 0.0)[0]),
                measure_test(chosen),
            ],
            message="You return the row of the best number; return the number itself, counts[row].",
        ),
        Mutant(
            name="the worst",
            function=_chosen_by(lambda count, accuracy: (-accuracy, -count)),
            message="You choose the number with the lowest accuracy; the highest is wanted.",
        ),
        Mutant(
            name="the smallest number",
            function=_chosen_by(lambda count, accuracy: -count),
            message="You always choose the smallest number; that is for ties only.",
        ),
    ),
)


EXERCISES = (SELF_CONSISTENT_ANSWER, BOOTSTRAP_INTERVAL, SIGN_TEST_P, CHOOSE_ON_DEVELOPMENT)
