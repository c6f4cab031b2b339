"""Draw the figures of chapter 2: `python chapters/figures/02_pretraining.py`, from the repository's root.

The drawings are written as SVG by hand: lines, boxes and words at chosen places. What is done to the sentence in them
is done by `labutils.objectives`, and the masks are those of `labutils.attention`. The colours are mid-tones that can be
told apart by the colour-blind and read on white and on black; where a colour means something, a word or a shape says it
too.
"""

from functools import partial

import torch
from figure_kit import BLUE, GREEN, INK, ORANGE, PINK, WIDTH, arrow, box, save_drawing, text

from labutils.attention import causal_mask
from labutils.objectives import corrupt_spans, mask_tokens

text = partial(text, size=13)

SENTENCE = "the dogs near the old tree watch a cow ."
WORDS = [str(word) for word in SENTENCE.split()]
MASK, SENTINELS = "[mask]", ("⟨X⟩", "⟨Y⟩", "⟨Z⟩")
OTHER_WORDS = "barn boat bell sleeps owl gull spoon basket"
VOCAB = ["<bos>", MASK, *sorted({*WORDS, *OTHER_WORDS.split()}), *SENTINELS]
DROPPED = (2, 3, 6)  # places in the sentence
# Each fate once among three of ten words; at the rate of 0.15 that is rare, so the rate and the seed are chosen.
RATE, SEED = 0.3, 2206

CELL = WIDTH / len(WORDS)


def row(y: float, name: str, words: list[str], colours: dict[int, str] | None = None, *, start: float = 0) -> list[str]:
    """A named row of words in boxes, coloured where `colours` says so; an empty word leaves its place empty."""
    marks = [text(0, y, name, anchor="start", bold=True)]
    for i, word in enumerate(words):
        colour = (colours or {}).get(i, INK)
        if word:
            x = start + CELL * i
            marks += [
                box(x + 1.5, y + 12, CELL - 3, 26, colour, fill=0.05 if colour == INK else 0.22),
                text(x + CELL / 2, y + 25, word, colour, size=12 if len(word) < 5 else 10, bold=colour != INK),
            ]
    return marks


def mask_grid(x: float, y: float, mask: torch.Tensor, cell: float, crossed: torch.Tensor | None = None) -> list[str]:
    """A mask as squares: filled where a row may look at a column, with a dot where it looks at another text."""
    marks = []
    for i, sees in enumerate(mask.tolist()):
        for j, seen in enumerate(sees):
            other = crossed is not None and bool(crossed[i, j])
            colour = ORANGE if other else BLUE
            left, top = x + cell * j, y + cell * i
            marks.append(
                f'<rect x="{left:g}" y="{top:g}" width="{cell:g}" height="{cell:g}" stroke="{INK}" stroke-width="0.7" '
                f'fill="{colour}" fill-opacity="{0.6 if seen else 0:g}"/>'
            )
            if other:
                marks.append(f'<circle cx="{left + cell / 2:g}" cy="{top + cell / 2:g}" r="1.4" fill="{INK}"/>')
    return marks


def lines_of_text(x: float, y: float, *lines: str) -> list[str]:
    """Text in lines, from the left."""
    return [text(x, y + 19 * i, words, anchor="start") for i, words in enumerate(lines)]


def causal() -> tuple[list[str], int]:
    """Every position predicts the word that comes next."""
    n = len(WORDS)
    marks = row(10, "input: the text as it is", WORDS)
    marks += row(92, "target: the next word", [*WORDS[1:], ""], dict.fromkeys(range(n - 1), GREEN))
    marks += [arrow((CELL * (i + 0.5), 50), (CELL * (i + 0.5), 82), colour=GREEN) for i in range(n - 1)]
    marks += mask_grid(1, 168, causal_mask(n), 12)
    marks.append(text(0, 154, "mask", anchor="start", bold=True))
    marks += lines_of_text(
        140, 176, "Row i is position i; filled squares are what it", "sees: itself and all that stands before it.", "",
        "Nothing in the input is changed.", f"The loss counts {n - 1} of {n} positions.",
    )  # fmt: skip
    return marks, 292


def masked() -> tuple[list[str], int]:
    """Some words are hidden, and these are predicted."""
    tokens = torch.tensor([[VOCAB.index(word) for word in WORDS]])
    corrupted, chosen = mask_tokens(
        tokens,
        torch.Generator().manual_seed(SEED),
        mask_token=VOCAB.index(MASK),
        vocab_size=len(VOCAB) - len(SENTINELS),
        rate=RATE,
        special=(0,),
    )
    shown = [VOCAB[token] for token in corrupted[0].tolist()]
    places = chosen[0].nonzero().flatten().tolist()
    fates = {i: "masked" if shown[i] == MASK else "kept" if shown[i] == WORDS[i] else "random" for i in places}
    colours = {i: {"masked": ORANGE, "kept": BLUE, "random": PINK}[fate] for i, fate in fates.items()}
    n = len(WORDS)
    marks = row(10, "text", WORDS)
    marks += row(78, "input: three positions were chosen", shown, colours)
    marks += [text(CELL * (i + 0.5), 128, fate, colours[i], size=12) for i, fate in fates.items()]
    marks += row(162, "target: the true words there", [w if i in fates else "" for i, w in enumerate(WORDS)], colours)
    marks.append(text(0, 224, "mask", anchor="start", bold=True))
    marks += mask_grid(1, 238, torch.ones(n, n, dtype=torch.bool), 12)
    marks += lines_of_text(
        140, 246, "Every position sees every position,", "to the left and to the right.", "",
        f"The loss counts {len(places)} of {n} positions: the chosen", "ones, whatever was done to them.",
    )  # fmt: skip
    return marks, 362


def spans() -> tuple[list[str], int]:
    """Spans give way to sentinels, and the decoder writes what they stand for."""
    tokens = torch.tensor([VOCAB.index(word) for word in WORDS])
    dropped = torch.zeros(len(WORDS), dtype=torch.bool)
    dropped[list(DROPPED)] = True
    made = corrupt_spans(tokens, dropped, [VOCAB.index(name) for name in SENTINELS])
    source, target = ([VOCAB[token] for token in part.tolist()] for part in made)
    sentinel = dict(zip(SENTINELS, (ORANGE, PINK, INK), strict=True))

    def colours(words: list[str]) -> dict[int, str]:
        found, current = {}, INK
        for i, word in enumerate(words):
            current = sentinel.get(word, current)
            found[i] = current
        return found

    at_source = {i: sentinel[word] for i, word in enumerate(source) if word in sentinel}
    runs = {place: ORANGE if place < DROPPED[-1] else PINK for place in DROPPED}
    n, m = len(source), len(target)
    marks = row(10, "text, with two spans to drop", WORDS, runs)
    marks += row(80, "input of the encoder", source, at_source)
    marks += row(150, "input of the decoder", ["⟨start⟩", *target[:-1]], {0: INK} | {
        i + 1: colour for i, colour in colours(target[:-1]).items()
    })  # fmt: skip
    marks += row(220, "target: the spans, each after its sentinel", target, colours(target))
    mask = torch.zeros(n + m, n + m, dtype=torch.bool)
    mask[:, :n] = True
    mask[n:, n:] = causal_mask(m)
    crossed = torch.zeros_like(mask)
    crossed[n:, :n] = True
    marks.append(text(0, 284, "mask", anchor="start", bold=True))
    marks += mask_grid(1, 298, mask, 9, crossed)
    marks += lines_of_text(
        155, 306, f"Rows and columns 1 to {n}: the encoder,", "which sees all of its input.",
        f"Rows {n + 1} to {n + m}: the decoder. It sees all", "of the encoder (dots: cross-attention) and",
        "what it has written so far.", "", f"The loss counts the {m} tokens of the target.",
    )  # fmt: skip
    return marks, 442


def teacher() -> tuple[list[str], int]:
    """What the model reads in training, and what it reads when it writes."""
    truth = ["the", "dogs", "near", "the", "tree", "sleep"]
    made = ["dogs", "near", "a", "barn", "sleep"]
    marks = []
    step = WIDTH / 5
    for y, name, own in (
        (10, "teacher forcing: it reads the text", False),
        (176, "free running: it reads its own words", True),
    ):
        reads = [truth[0], *(made[:-1] if own else truth[1:-1])]
        # The same first slip in both. The teacher then puts the true word, and the next guess starts from there.
        says = made if own else ["dogs", "near", "a", "tree", "sleep"]
        marks.append(text(0, y, name, anchor="start", bold=True))
        for i in range(5):
            x = step * i
            wrong = says[i] != truth[i + 1]
            misled = reads[i] != truth[i]
            colour, source = (ORANGE if wrong else GREEN), (ORANGE if misled else BLUE)
            marks += [
                box(x + 8, y + 20, step - 24, 28, colour, fill=0.22 if wrong else 0.08),
                text(x + step / 2 - 4, y + 34, says[i], colour, bold=True),
                box(x + 8, y + 88, step - 24, 28, source),
                text(x + step / 2 - 4, y + 102, reads[i], source, bold=True),
                arrow((x + step / 2 - 4, y + 88), (x + step / 2 - 4, y + 52)),
            ]
            if own and i < 4:
                marks.append(
                    arrow((x + step - 16, y + 34), (x + step - 4, y + 34), (x + step + 10, y + 84), dash="4 3")
                )
        marks.append(text(0, y + 132, "it says (above), having read (below) and all before", anchor="start", size=12))
    return marks, 318


SIMILARITY = torch.tensor([[0.9, 0.1, 0.3], [0.2, 0.8, 0.0], [0.4, 0.1, 0.7]], dtype=torch.float64)
TEMPERATURE = 0.5


def contrast() -> tuple[list[str], int]:
    """Three pairs of views: similarities, and what the softmax of each row makes of them."""
    weights = (SIMILARITY / TEMPERATURE).softmax(-1)
    cell, marks = 44, []
    for x, name, values in ((62, "cosine", SIMILARITY), (292, "softmax of each row", weights)):
        marks.append(text(x + 1.5 * cell, 12, name, bold=True))
        for i in range(3):
            marks.append(text(x + cell * (i + 0.5), 36, f"b{'₁₂₃'[i]}", bold=True))
            marks.append(text(x - 12, 50 + cell * (i + 0.5), f"a{'₁₂₃'[i]}", bold=True))
            for j in range(3):
                colour = GREEN if i == j else INK
                share = float(values[i, j]) if name != "cosine" else 0.2
                marks += [
                    box(x + cell * j, 50 + cell * i, cell, cell, colour, fill=0.05 + 0.5 * share),
                    text(x + cell * (j + 0.5), 50 + cell * (i + 0.5), f"{values[i, j]:.2f}", colour, bold=i == j),
                ]
    marks += [
        arrow((204, 116), (262, 116)),
        text(233, 98, f"÷ {TEMPERATURE:g}", size=12),
        text(0, 204, "On the diagonal are the partners; all others in a row are negatives.", anchor="start"),
    ]
    return marks, 220


def parallel() -> tuple[list[str], int]:
    """Three ways to share the work of a training step among two devices."""
    marks = []
    plans = (("data", "the batch is cut"), ("tensor", "each layer is cut"), ("pipeline", "the stack is cut"))
    for i, (name, what) in enumerate(plans):
        x = 4 + 148 * i
        marks += [text(x + 66, 12, name, bold=True, size=15), text(x + 66, 32, what)]
        for layer in range(4):
            y = 170 - 32 * layer
            for device in range(2):
                colour = (BLUE, ORANGE)[device]
                if name == "pipeline":
                    if device == layer // 2:
                        marks += [box(x + 16, y, 100, 24, colour, fill=0.3), text(x + 66, y + 12, f"layer {layer + 1}")]
                else:
                    left = x + 70 * device if name == "data" else x + 16 + 52 * device
                    width = 62 if name == "data" else 48
                    label = f"layer {layer + 1}" if name == "data" else "half"
                    marks += [box(left, y, width, 24, colour, fill=0.3), text(left + width / 2, y + 12, label, size=12)]
        if name == "data":
            for device in range(2):
                marks += [
                    text(
                        x + 31 + 70 * device, 232, f"rows {('1–16', '17–32')[device]}", (BLUE, ORANGE)[device], size=12
                    ),
                    arrow((x + 31 + 70 * device, 222), (x + 31 + 70 * device, 200)),
                ]
        else:
            marks += [text(x + 66, 232, "all rows", size=12), arrow((x + 66, 222), (x + 66, 200))]
        sent = {"data": "sent: gradients", "tensor": "sent: parts of sums", "pipeline": "sent: activations"}[name]
        marks.append(text(x + 66, 258, sent, size=12))
    marks += [
        box(96, 282, 16, 14, BLUE, fill=0.3), text(120, 289, "device 1", anchor="start"),
        box(246, 282, 16, 14, ORANGE, fill=0.3), text(270, 289, "device 2", anchor="start"),
    ]  # fmt: skip
    return marks, 304


if __name__ == "__main__":
    for draw in (causal, masked, spans, teacher, contrast, parallel):
        save_drawing(f"02_{draw.__name__}", *draw())
