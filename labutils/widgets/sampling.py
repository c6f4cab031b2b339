"""The figures of decoding: a sampler's settings over one distribution, and beam search over a tree."""

import html
import math
from collections.abc import Iterable, Iterator
from typing import Any

from labutils.widgets.live import Live
from labutils.widgets.parts import check_slider, softmax, without_javascript

_TAIL = """
sorbet brownie pudding trifle custard tiramisu gelato eclair cheesecake pavlova meringue mousse parfait cobbler
crumble strudel baklava cannoli macaron macaroon shortbread gingerbread cookie cupcake muffin pancake waffle crepe
fritter churro profiterole madeleine fudge toffee nougat caramel praline truffle marzipan halva sundae milkshake
sherbet popsicle granita semifreddo panettone stollen babka flan blancmange syllabub posset pie tart galette clafoutis
turnover scone brioche beignet tartlet torte gateau roulade lamington bonbon marshmallow jelly compote affogato mochi
kulfi mango peach melon
"""

_OTHERS = _TAIL.split()
# The rest of the mass, in parts that fall slowly from 9/8 to 7/8 of an even part.
_PARTS = [9 / 8 - n / 4 / (len(_OTHERS) - 1) for n in range(len(_OTHERS))]

DESSERT: dict[str, float] = {
    "cake": 0.20,
    "donut": 0.10,
    "banana": 0.02,
    "apple": 0.01,
    **{word: 0.67 * part / len(_OTHERS) for word, part in zip(_OTHERS, _PARTS, strict=True)},
}


def _table(
    tokens: list[str], logits: list[float], shown: int, temperatures: tuple[float, ...] = (0.5, 1.0, 2.0)
) -> str:
    """What a reader without JavaScript gets: the distribution at three temperatures, the tail as one row."""
    order = sorted(range(len(tokens)), key=lambda i: -logits[i])
    columns = [softmax(logits, temperature) for temperature in temperatures]
    rows = [(tokens[i], [column[i] for column in columns]) for i in order[:shown]]
    if order[shown:]:
        rows.append((f"{len(order) - shown} others", [sum(column[i] for i in order[shown:]) for column in columns]))
    return without_javascript(
        "here is the distribution at three temperatures T.",
        ["token", *(f"T = {temperature:g}" for temperature in temperatures)],
        [(html.escape(name), *(f"{p:.3f}" for p in values)) for name, values in rows],
    )


def sampling_explorer(
    tokens: Iterable[str] | None = None,
    logits: Iterable[Any] | None = None,
    *,
    temperature: float = 0.7,
    top_k: int | None = None,
    top_p: float = 0.9,
    rule: str = "nucleus",
    shown: int | None = None,
) -> Live:
    """Sliders for temperature, top-k and top-p over one next-token distribution.

    Args:
        tokens: the vocabulary, one string a token; without it the completed dessert table.
        logits: one finite number a token; a list, an array or a tensor. Six decimals are kept. In a notebook that
            is stored give an exact law rather than a model's output, which differs in the last digits by machine.
        temperature: where the slider starts, in [0.05, 3].
        top_k: where the slider starts, from 1 to the size of the vocabulary; None is off.
        top_p: where the slider starts, in [0.01, 1]; 1 is off.
        rule: "nucleus" keeps the smallest set that reaches p [holtzman2020curious]; "at-most" keeps tokens while the
            sum is at most p, as the notes word it.
        shown: how many tokens get a row of their own; the others start as one row that opens.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: tokens and logits do not match, or a setting is out of range.
    """
    if (tokens is None) != (logits is None):
        raise ValueError("Give both tokens and logits, or neither for the dessert table.")
    if tokens is None or logits is None:
        tokens, logits, shown = DESSERT, map(math.log, DESSERT.values()), shown or 4
    names, values = list(tokens), [round(float(z), 6) for z in logits]
    if len(names) != len(values) or len(names) < 2:
        raise ValueError(f"Give one logit a token and at least two tokens: got {len(names)} and {len(values)}.")
    if not all(math.isfinite(z) for z in values):
        raise ValueError("A logit is infinite or not a number. Give the logits as they were before any filter.")
    check_slider("temperature", temperature, 0.05, 3)
    if top_k is not None and not 1 <= top_k <= len(names):
        raise ValueError(f"top_k is {top_k}; give a number from 1 to {len(names)}, or None for off.")
    check_slider("top_p", top_p, 0.01, 1)
    if rule not in ("nucleus", "at-most"):
        raise ValueError(f"rule is {rule!r}; give 'nucleus' or 'at-most'.")
    shown = min(shown or 8, len(names))
    return Live(
        module="sampling_explorer.js",
        label="Sampling explorer: sliders for temperature, top-k and top-p, and the probability of each token",
        fallback=_table(names, values, shown),
        state={
            "tokens": names,
            "logits": values,
            "shown": shown,
            "temperature": temperature,
            "top_k": top_k or len(names),
            "top_p": top_p,
            "rule": rule,
        },
        height=323 + 24 * min(shown + 1, len(names)),
    )


# A law over 13 sentences: each next word with its probability and the law after it. Its first steps are those of the
# tree of chapter 5. The most probable sentence is short and begins with the least probable word.
_END = {".": (1.0, None)}
_TREE = {
    "the": (
        0.40,
        {
            "big": (
                0.50,
                {
                    "dogs": (0.55, {"sleep": (0.6, _END), "run": (0.4, _END)}),
                    "cats": (0.45, {"play": (1.0, _END)}),
                },
            ),
            "dogs": (0.30, {"sleep": (0.6, _END), "run": (0.4, _END)}),
            "cats": (0.20, {"sleep": (0.7, _END), "run": (0.3, _END)}),
        },
    ),
    "some": (
        0.35,
        {
            "dogs": (0.90, {"sleep": (0.45, _END), "run": (0.35, _END), "play": (0.2, _END)}),
            "cats": (0.10, {"sleep": (1.0, _END)}),
        },
    ),
    "cats": (0.25, {"sleep": (0.84, _END), "run": (0.16, _END)}),
}


def _sentences(law: dict, words: tuple[str, ...] = (), p: float = 1.0) -> Iterator[tuple[tuple[str, ...], float]]:
    """All sentences of a law with their probabilities."""
    for word, (share, after) in law.items():
        if after is None:
            yield (*words, word), p * share
        else:
            yield from _sentences(after, (*words, word), p * share)


def _beam_table() -> str:
    """What a reader without JavaScript gets: all sentences, with what a search ranks them by."""
    found = sorted(_sentences(_TREE), key=lambda sentence: -sentence[1])
    rows = [
        (" ".join(words), f"{p:.3f}", f"{math.log(p):.3f}", f"{math.log(p) / len(words):.3f}") for words, p in found
    ]
    return without_javascript(
        "here are all sentences of the law, the most probable first. Greedy decoding writes the big dogs sleep.",
        ("sentence", "probability", "log-probability", "per token"),
        rows,
    )


def beam_explorer(*, width: int = 2, penalty: float = 0.0, step: int = 2) -> Live:
    """Sliders for the width of a beam and the length penalty, and buttons that walk the search step by step.

    The figure shows a small law as a tree, what the search keeps, cuts and completes, and the best sentence of all,
    which a narrow beam can miss. It searches as `labutils.sampling.beam_search` does.

    Args:
        width: beams that are kept, from 1 to 4; 1 is greedy decoding.
        penalty: a complete sentence is ranked by log-probability / length ** penalty; from 0 to 1.5 in steps of 0.1.
        step: how many steps have been made at first, from 0 to 5.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    check_slider("width", width, 1, 4)
    check_slider("penalty", penalty, 0, 1.5)
    check_slider("step", step, 0, 5)
    return Live(
        module="beam_explorer.js",
        label="Beam explorer: a tree of sentences, and which beginnings beam search keeps at each step",
        fallback=_beam_table(),
        state={"law": _TREE, "width": width, "penalty": penalty, "step": step},
        height=725,
    )
