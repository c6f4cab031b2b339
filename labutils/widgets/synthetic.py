"""The figures of data that models make: preferences that are followed, and a model that reads itself."""

import math

from labutils.widgets.live import Live
from labutils.widgets.parts import check_seed, check_slider, softmax, without_javascript

# Six answers to "the": the share of each in the model before, among its kind, its points by the constitution of lab 14,
# and whether the language of the world has such a text. The points reward adverbs and do not read.
_ANSWERS = [
    {"text": "the dogs sleep .", "share": 0.5, "points": 0, "possible": True},
    {"text": "the cows swim quickly .", "share": 0.3, "points": 1, "possible": True},
    {"text": "the thief chases the dog .", "share": 0.2, "points": -2, "possible": True},
    {"text": "the dogs loudly quickly .", "share": 0.6, "points": 2, "possible": False},
    {"text": "the loudly quickly today .", "share": 0.3, "points": 3, "possible": False},
    {"text": "the today today today today .", "share": 0.1, "points": 4, "possible": False},
]


def _preferences_table(junk: float) -> str:
    """What a reader without JavaScript gets: the optimum at some prices."""
    before = [answer["share"] * (1 - junk if answer["possible"] else junk) for answer in _ANSWERS]
    rows = []
    for beta in (10.0, 3.0, 1.0, 0.5, 0.3, 0.1):
        after = softmax([math.log(p) + a["points"] / beta for p, a in zip(before, _ANSWERS, strict=True)], 1.0)
        kl = sum(p * math.log(p / q) for p, q in zip(after, before, strict=True) if p > 0)
        points = sum(p * answer["points"] for p, answer in zip(after, _ANSWERS, strict=True))
        possible = sum(p for p, answer in zip(after, _ANSWERS, strict=True) if answer["possible"])
        rows.append((f"{beta:g}", f"{points:.2f}", f"{kl:.2f}", f"{possible:.3f}"))
    return without_javascript(
        "here is the best policy for some prices β of moving away from the model before.",
        ("β", "points", "KL from the model before, nats", "share of possible texts"),
        rows,
    )


def preferences_explorer(*, beta: float = 1.0, junk: float = 0.001) -> Live:
    """Sliders for the price of moving away and for what the model did before, over a model of six answers.

    The figure shows the policy that has the most points less beta times its KL from the reference, which is the optimum
    of the DPO loss as well [rafailov2023direct]: its wins, its distance, and the share of texts that the language has.
    The points are those of a rule that likes adverbs and does not read.

    Args:
        beta: the price where the slider starts, from 0.1 to 10; the nearest of 41 steps is taken.
        junk: share of the impossible answers in the reference where the slider starts, from 1e-6 to 0.1; the nearest
            of 11 steps is taken.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    check_slider("beta", beta, 0.1, 10)
    check_slider("junk", junk, 1e-6, 0.1)
    return Live(
        module="preferences_explorer.js",
        label="Preferences explorer: the price of moving away from a model, and what that buys in points and in junk",
        fallback=_preferences_table(junk),
        state={
            "answers": _ANSWERS,
            "log_beta": round(20 * math.log10(beta)) / 20,
            "log_junk": round(2 * math.log10(junk)) / 2,
        },
        height=653,
    )


_N_WORDS = 50
_GENERATIONS = 21
_ZIPF = [1 / (rank + 4) for rank in range(_N_WORDS)]  # the form of a word list's law in the world
_WORD_LAW = [weight / sum(_ZIPF) for weight in _ZIPF]


def _words_expected(length: int) -> list[float]:
    """Different words to expect in each generation's text, where a text is all that the next one is drawn from.

    From the end: a word that occurs x times now is still there g generations later with a probability that is a mean
    over what it may be in the next one.
    """
    counts = range(length + 1)

    def mean(p: float, values: list[float]) -> float:
        return sum(math.comb(length, y) * p**y * (1 - p) ** (length - y) * values[y] for y in counts)

    left, present = [float(x > 0) for x in counts], []
    for _ in range(_GENERATIONS):
        present.append(sum(mean(p, left) for p in _WORD_LAW))
        left = [mean(x / length, left) for x in counts]
    return present


def _collapse_table(length: int) -> str:
    """What a reader without JavaScript gets: the expected number of words, by generation."""
    present = _words_expected(length)
    rows = [(str(g), f"{present[g]:.1f}", f"{present[g] / _N_WORDS:.0%}") for g in (0, 1, 2, 5, 10, 20)]
    return without_javascript(
        f"here is how many of {_N_WORDS} words are to be expected in each generation's text of {length} words, if "
        "nothing but the text before is learned from.",
        ("generation", "words expected", "of all"),
        rows,
    )


def collapse_explorer(*, generation: int = 10, length: int = 100, percent: int = 0, seed: int = 1) -> Live:
    """Sliders for the generation, the length of its text and the real data in it, over a table that reads itself.

    Each generation counts the words of the text before and draws its own text from the shares [shumailov2024ai]. The
    figure shows one run and the exact expectation of how many different words are left. Real words in every text bring
    lost ones back; in the accumulating data of [gerstgrasser2024model] they are kept in another way.

    Args:
        generation: the generation that is shown at first, from 0, which draws from the true law, to 20.
        length: words in a text where the slider starts, a multiple of 10 from 20 to 100.
        percent: share of the words drawn from the true law where the slider starts, a multiple of 5 from 0 to 50.
        seed: number of the first run; the button in the figure adds one.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    check_slider("generation", generation, 0, _GENERATIONS - 1)
    if not 20 <= length <= 100 or length % 10:
        raise ValueError(f"length is {length}; give a multiple of 10 from 20 to 100.")
    if not 0 <= percent <= 50 or percent % 5:
        raise ValueError(f"percent is {percent}; give a multiple of 5 from 0 to 50.")
    check_seed(seed)
    return Live(
        module="collapse_explorer.js",
        label="Collapse explorer: a table of words that is filled again and again from its own text",
        fallback=_collapse_table(length),
        state={
            "law": _WORD_LAW,
            "generations": _GENERATIONS,
            "generation": generation,
            "length": length,
            "percent": percent,
            "seed": seed,
        },
        height=659,
    )
