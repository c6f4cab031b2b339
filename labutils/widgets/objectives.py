"""The figures of pretraining: what a model sees and predicts, and which spans are hidden."""

import html

from labutils.widgets.live import Live
from labutils.widgets.parts import check_seed, without_javascript

# One sentence, and what is done to it before a model is trained on it. tests/test_widgets_objectives.py makes
# the same with labutils.objectives.
_WORDS = ["the", "dogs", "near", "the", "old", "tree", "watch", "a", "cow", "."]
_CORRUPTED = ["the", "[mask]", "near", "the", "old", "bell", "watch", "a", "cow", "."]
_CHOSEN = [place in (1, 2, 5) for place in range(len(_WORDS))]
_SOURCE = ["the", "dogs", "⟨X⟩", "old", "tree", "⟨Y⟩", "a", "cow", "."]
_TARGET = ["⟨X⟩", "near", "the", "⟨Y⟩", "watch", "⟨Z⟩"]
_PROMPT = 6  # words that a prefix decoder is given
_FAMILIES = {
    "causal": (
        "Causal (decoder)",
        " ".join(_WORDS),
        "itself and all before it",
        f"the next word, at all positions but the last: {' '.join(_WORDS[1:])}",
    ),
    "full": (
        "Full (encoder)",
        " ".join(_CORRUPTED),
        "all positions",
        "the true word, at the three chosen positions only: 2 dogs, 3 near, 6 tree",
    ),
    "prefix": (
        "Prefix (decoder)",
        " ".join(_WORDS),
        f"the first {_PROMPT} positions, itself and all before it",
        f"the next word, from position {_PROMPT} on: {' '.join(_WORDS[_PROMPT:])}",
    ),
    "encoder-decoder": (
        "Encoder-decoder",
        f"encoder: {' '.join(_SOURCE)}; decoder: ⟨start⟩ {' '.join(_TARGET[:-1])}",
        "in the encoder all of it; in the decoder all of the encoder, itself and all before it",
        f"the next token of the target, at all positions of the decoder: {' '.join(_TARGET)}",
    ),
}


def _mask_table() -> str:
    """What a reader without JavaScript gets: a row a family."""
    return without_javascript(
        "here is how four families of models are trained on one sentence.",
        ("family", "input", "a position sees", "target, and where it counts"),
        [(name, *map(html.escape, cells)) for name, *cells in _FAMILIES.values()],
    )


def mask_explorer(*, family: str = "causal", position: int = 5) -> Live:
    """Buttons for a family of models and a slider for a position, over one sentence as that family is trained on it.

    The figure shows the input, what the position can see, what it has to predict, and whether that counts in the loss:
    a causal decoder [radford2018improving], an encoder with masked words [devlin2019bert], a decoder that sees its
    prompt both ways, and an encoder-decoder with dropped spans [raffel2020exploring]. The rows and columns of the
    encoder-decoder's mask are the encoder's positions and then the decoder's.

    Args:
        family: the family at first: "causal", "full", "prefix" or "encoder-decoder".
        position: where the slider starts, from 1 to the number of positions: 10, and 15 for the encoder-decoder.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if family not in _FAMILIES:
        raise ValueError(f"family is {family!r}; give one of {', '.join(_FAMILIES)}.")
    n_positions = len(_SOURCE) + len(_TARGET) if family == "encoder-decoder" else len(_WORDS)
    if not 1 <= position <= n_positions:
        raise ValueError(f"position is {position}; this family has positions from 1 to {n_positions}.")
    return Live(
        module="mask_explorer.js",
        label="Mask explorer: a family of models, a position, and what that position sees and predicts",
        fallback=_mask_table(),
        state={
            "family": family,
            "position": position,
            "words": _WORDS,
            "corrupted": _CORRUPTED,
            "chosen": _CHOSEN,
            "source": _SOURCE,
            "target": _TARGET,
            "prompt": _PROMPT,
        },
        height=645 if family == "encoder-decoder" else 536,
    )


_TEXT = """
the dogs near the old tree watch a cow . some farmers carry a heavy bucket and an axe .
a small cat behind the old fence sleeps often . the hunters chase an owl and the red wolves .
"""
_OTHER_WORDS = """
barn horse whale sailor boat rope teacher desk book child coin thief basket oven spoon baker green brown slowly quickly
sleep swim burn hide
"""
_SENTINELS = [f"⟨{letter}⟩" for letter in "XYZABCDEFGHIJKLMNOPQRSTUVW"]


def _spans_table() -> str:
    """What a reader without JavaScript gets: how long T5's source and target are, for some rates and spans."""
    n_words, rows = len(_TEXT.split()), []
    for rate in (0.15, 0.3, 0.5):
        for mean_span in (1, 3):
            n_dropped = round(n_words * rate)
            n_spans = round(n_dropped / mean_span)
            source, target = n_words - n_dropped + n_spans, n_dropped + n_spans + 1
            rows.append((f"{rate:.0%}, spans of {mean_span}", *map(str, (n_dropped, n_spans, source, target))))
    return without_javascript(
        f"here is what T5 makes of a text of {n_words} words. BERT reads all of them, with a mask at most of the "
        "chosen places, and is asked for the chosen words alone.",
        ("hidden", "words hidden", "spans", "the encoder reads", "the decoder writes"),
        rows,
    )


def spans_explorer(*, percent: int = 15, mean_span: float = 3.0, seed: int = 70) -> Live:
    """Sliders for the share of hidden words and the length of a span, over a text that T5 and BERT are trained on.

    T5 replaces each span by a sentinel and writes the spans [raffel2020exploring]; BERT hides single words, not all of
    them behind the mask, and is asked for those [devlin2019bert]. A table has the positions that are read and written
    and the answers that the loss counts, for both and for BART [lewis2020bart].

    Args:
        percent: share of the words to hide at first, a multiple of 5 from 5 to 60.
        mean_span: mean length of a span at first, a multiple of 0.5 from 1 to 6; it is met as nearly as whole numbers
            of words and spans allow.
        seed: number of the first draw; the button in the figure adds one. In the default draw BERT's rule does all
            that it can do to a word.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if not 5 <= percent <= 60 or percent % 5:
        raise ValueError(f"percent is {percent}; give a multiple of 5 from 5 to 60.")
    if not 1 <= mean_span <= 6 or 2 * mean_span % 1:
        raise ValueError(f"mean_span is {mean_span}; give a multiple of 0.5 from 1 to 6.")
    check_seed(seed)
    return Live(
        module="spans_explorer.js",
        label="Spans explorer: how many words are hidden, in how long spans, and what T5 and BERT are then asked",
        fallback=_spans_table(),
        state={
            "words": _TEXT.split(),
            "others": _OTHER_WORDS.split(),
            "sentinels": _SENTINELS,
            "percent": percent,
            "mean_span": mean_span,
            "seed": seed,
        },
        height=659,
    )
