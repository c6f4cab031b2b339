"""The exercises of lab 06, spans and contrast: sentinels in and out, infilling, the decoder's input, InfoNCE."""

import torch
from torch import Tensor
from torch.nn import functional as F

from labutils.exercises import Exercise, Mutant

VOCAB = 20  # words are 2 to 19; sentinels are 32 and beyond
IGNORED = -100


def _words(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(2, VOCAB, shape, generator=generator)


def _distinct(generator: torch.Generator, low: int, high: int, n: int) -> list[int]:
    return (low + torch.randperm(high - low, generator=generator)[:n]).tolist()


def _flags(pattern: str) -> list[bool]:
    return [letter == "x" for letter in pattern]


# --- span_corruption -------------------------------------------------------------------------------------------------

# x marks a dropped token. Most texts end in a span, as T5's do; some do not.
SPANS = (
    "..xx.",  # the first that is shown
    "xx..x..",
    ".....",  # nothing is dropped
    "xxx",  # everything is
    "x..xx",  # a span at either end
    ".x.xxx..x.xx",
    "...xx.x....xxxx.x.xx",
)


def _span_inputs(generator: torch.Generator, case: int) -> dict:
    """Different tokens, and sentinels in no order, so that no arithmetic on their numbers can find the next one."""
    dropped = _flags(SPANS[case])
    sentinels = _distinct(generator, 40, 90, 9)
    if sentinels == sorted(sentinels, reverse=sentinels[0] > sentinels[1]):
        sentinels[:2] = sentinels[1::-1]
    return {"tokens": _distinct(generator, 2, 40, len(dropped)), "dropped": dropped, "sentinels": sentinels}


def _spans(tokens: list[int], dropped: list[bool]) -> list[tuple[bool, list[int]]]:
    """The text in runs of the same kind: (dropped, tokens of the run)."""
    runs: list[tuple[bool, list[int]]] = []
    for token, drop in zip(tokens, dropped, strict=True):
        if runs and runs[-1][0] == drop:
            runs[-1][1].append(token)
        else:
            runs.append((drop, [token]))
    return runs


def _corrupt(tokens: list[int], dropped: list[bool], sentinels: list[int]) -> tuple[list[int], list[int]]:
    source, target, n_spans = [], [], 0
    for drop, run in _spans(tokens, dropped):
        if drop:
            source.append(sentinels[n_spans])
            target += [sentinels[n_spans], *run]
            n_spans += 1
        else:
            source += run
    return source, [*target, sentinels[n_spans]]


def _corrupt_no_final(tokens: list[int], dropped: list[bool], sentinels: list[int]) -> tuple[list[int], list[int]]:
    source, target = _corrupt(tokens, dropped, sentinels)
    return source, target[:-1]


def _corrupt_final_repeated(tokens: list[int], dropped: list[bool], sentinels: list[int]):
    source, target = _corrupt(tokens, dropped, sentinels)
    last = [token for token in source if token in sentinels][-1:] or [sentinels[0]]
    return source, target[:-1] + last


def _corrupt_each_token(tokens: list[int], dropped: list[bool], sentinels: list[int]):
    """One sentinel for each dropped token; further ones are made up, if there are not enough."""
    sentinels = sentinels + list(range(1000, 1000 + len(tokens)))
    source, target, n = [], [], 0
    for token, drop in zip(tokens, dropped, strict=True):
        source.append(sentinels[n] if drop else token)
        if drop:
            target += [sentinels[n], token]
            n += 1
    return source, [*target, sentinels[n]]


def _corrupt_after(tokens: list[int], dropped: list[bool], sentinels: list[int]):
    """The sentinel after its span."""
    source, target, n_spans = [], [], 0
    for drop, run in _spans(tokens, dropped):
        if drop:
            source.append(sentinels[n_spans])
            target += [*run, sentinels[n_spans]]
            n_spans += 1
        else:
            source += run
    return source, [*target, sentinels[n_spans]]


def _corrupt_complement(tokens: list[int], dropped: list[bool], sentinels: list[int]):
    """As some print T5's scheme: the kept text too, with a sentinel for each kept run."""
    return _corrupt(tokens, [not drop for drop in dropped], sentinels)


def _corrupt_wrapped(tokens: list[int], dropped: list[bool], sentinels: list[int]):
    """A span starts where the one before was kept, and before the first stands the last: dropped[-1]."""
    source, target, n_spans = [], [], -1
    for i, (token, drop) in enumerate(zip(tokens, dropped, strict=True)):
        if not drop:
            source.append(token)
            continue
        if not dropped[i - 1]:
            n_spans += 1
            source.append(sentinels[n_spans])
            target.append(sentinels[n_spans])
        target.append(token)
    return source, [*target, sentinels[n_spans + 1]]


SPAN_CORRUPTION = Exercise(
    name="span_corruption",
    lab="06",
    task=(
        "Return (source, target) of span corruption as T5 writes it, as two lists. `tokens` is a list of tokens, and "
        "`dropped` says of each whether it is dropped. A span is a run of neighbouring dropped tokens. In the source "
        "each span gives way to one sentinel: the first to sentinels[0], the second to sentinels[1], and so on. The "
        "target holds each sentinel followed by the tokens of its span, and at the end the next unused sentinel."
    ),
    points=4,
    minutes=20,
    difficulty=3,
    inputs=_span_inputs,
    reference=_corrupt,
    cases=len(SPANS),
    hints=(
        "Walk through the text once, with two lists and a counter of the spans so far.",
        "A kept token goes to the source. A dropped token goes to the target; if the token before it was kept, or if "
        "it is the first of the text, put the next sentinel into both lists before it.",
        "When the walk is over, append sentinels[number of spans] to the target.",
    ),
    forbidden=("labutils.objectives.corrupt_spans",),
    mutants=(
        Mutant(
            name="the first token looks at the last",
            function=_corrupt_wrapped,
            message="You compare the first token with dropped[-1], the last one; at the first there is none before.",
        ),
        Mutant(
            name="the last sentinel again",
            function=_corrupt_final_repeated,
            message="You close the target with the sentinel of the last span; the end takes the next, unused one.",
        ),
        Mutant(
            name="no final sentinel",
            function=_corrupt_no_final,
            message="Your target lacks the final sentinel, which says that no further span comes.",
        ),
        Mutant(
            name="one sentinel a token",
            function=_corrupt_each_token,
            message="You give each dropped token a sentinel; neighbouring dropped tokens share one.",
        ),
        Mutant(
            name="the same sentinel for all",
            function=lambda tokens, dropped, sentinels: _corrupt(tokens, dropped, sentinels[:1] * len(sentinels)),
            message="You use one sentinel for all spans, so the decoder could not say which gap it fills.",
        ),
        Mutant(
            name="sentinels in order of their numbers",
            function=lambda tokens, dropped, sentinels: _corrupt(tokens, dropped, sorted(sentinels)),
            message="You sort the sentinels by their numbers; they come in the order of the list.",
        ),
        Mutant(
            name="sentinels backwards",
            function=lambda tokens, dropped, sentinels: _corrupt(tokens, dropped, sentinels[::-1]),
            message="You take the sentinels from the end of the list; the first span takes sentinels[0].",
        ),
        Mutant(
            name="sentinels counted up",
            function=lambda tokens, dropped, sentinels: _corrupt(
                tokens, dropped, [sentinels[0] + i for i in range(len(sentinels))]
            ),
            message="You count up from the first sentinel; take the next one from the list, whatever its number.",
        ),
        Mutant(
            name="the sentinel behind its span",
            function=_corrupt_after,
            message="You write each sentinel behind its span; it comes first, so that the decoder announces the gap.",
        ),
        Mutant(
            name="target without sentinels",
            function=lambda tokens, dropped, sentinels: (
                _corrupt(tokens, dropped, sentinels)[0],
                [token for token, drop in zip(tokens, dropped, strict=True) if drop],
            ),
            message="Your target is the dropped tokens alone; each span comes after its sentinel.",
        ),
        Mutant(
            name="the target is the whole text",
            function=lambda tokens, dropped, sentinels: (_corrupt(tokens, dropped, sentinels)[0], list(tokens)),
            message="Your target is the whole text, as in BART; T5 writes the dropped spans only.",
        ),
        Mutant(
            name="source without sentinels",
            function=lambda tokens, dropped, sentinels: (
                [token for token, drop in zip(tokens, dropped, strict=True) if not drop],
                _corrupt(tokens, dropped, sentinels)[1],
            ),
            message="Your source does not show where the spans were; each gives way to its sentinel.",
        ),
        Mutant(
            name="drops what should stay",
            function=_corrupt_complement,
            message="You keep the dropped tokens and drop the others; `dropped` is True for what leaves the source.",
        ),
        Mutant(
            name="source and target swapped",
            function=lambda tokens, dropped, sentinels: _corrupt(tokens, dropped, sentinels)[::-1],
            message="You return the target first; the source, which the encoder reads, comes first.",
        ),
    ),
)


# --- sentinel_decoding -----------------------------------------------------------------------------------------------

# The source, the target; numbers are places in the list of sentinels, letters are words.
DECODES = (
    ("a 0 b", "0 c d 1"),
    ("0 a b 1", "0 c 1 d e 2"),
    ("a b", "0"),  # nothing was dropped
    ("a 0 b 1 c", "0 d e f"),  # the target breaks off: one gap stays empty
    ("a 0 b 1 c", "1 d 0 e f 2"),  # the spans come in another order
    ("a 0 b", "c 0 d 1 e"),  # words before the first sentinel and behind the last belong to no gap
    ("0 a 1 b c 2", "0 d e 1 2 f g 3"),  # an empty span
)


def _decode_inputs(generator: torch.Generator, case: int) -> dict:
    sentinels = _distinct(generator, 40, 90, 4)
    words = _distinct(generator, 2, 40, 10)
    letters = {**dict(zip("abcdefghij", words, strict=True)), **{str(i): s for i, s in enumerate(sentinels)}}
    source, target = ([letters[symbol] for symbol in text.split()] for text in DECODES[case])
    return {"source": source, "target": target, "sentinels": sentinels}


def _read_spans(target: list[int], sentinels: list[int]) -> dict[int, list[int]]:
    spans: dict[int, list[int]] = {}
    current: list[int] = []
    for token in target:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return spans


def _decode(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    spans = _read_spans(target, sentinels)
    return [word for token in source for word in (spans.get(token, []) if token in sentinels else [token])]


def _decode_by_order(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """The k-th span of the target into the k-th gap, whatever the sentinels say."""
    spans = list(_read_spans(target, sentinels).values())
    gaps = iter(spans + [[]] * len(source))
    return [word for token in source for word in (next(gaps) if token in sentinels else [token])]


def _decode_keeps_gaps(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    spans = _read_spans(target, sentinels)
    return [word for token in source for word in (spans.get(token, [token]) if token in sentinels else [token])]


def _decode_first_word(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    spans = _read_spans(target, sentinels)
    return [word for token in source for word in (spans.get(token, [])[:1] if token in sentinels else [token])]


def _decode_to_the_end(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """From its sentinel on, everything that is no sentinel."""
    words = []
    for token in source:
        if token not in sentinels:
            words.append(token)
        elif token in target:
            words += [word for word in target[target.index(token) + 1 :] if word not in sentinels]
    return words


def _decode_leading_words(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """Words before the first sentinel join the first gap."""
    first = next((i for i, token in enumerate(target) if token in sentinels), len(target))
    spans = _read_spans(target, sentinels)
    gap = next((token for token in source if token in sentinels), None)
    if gap is not None:
        spans[gap] = target[:first] + spans.get(gap, [])
    return [word for token in source for word in (spans.get(token, []) if token in sentinels else [token])]


def _decode_trailing_words(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    """Words behind the closing sentinel are put behind the text."""
    closing = [token for token in target if token in sentinels and token not in source]
    return _decode(source, target, sentinels) + (_read_spans(target, sentinels)[closing[-1]] if closing else [])


def _decode_keeps_sentinels(source: list[int], target: list[int], sentinels: list[int]) -> list[int]:
    spans = _read_spans(target, sentinels)
    return [word for token in source for word in ([token, *spans.get(token, [])] if token in sentinels else [token])]


SENTINEL_DECODING = Exercise(
    name="sentinel_decoding",
    lab="06",
    task=(
        "Undo span corruption: return the text as a list of tokens. Each sentinel in the list `source` gives way to "
        "the tokens that follow the same sentinel in the list `target`, up to the next sentinel there. `target` may be "
        "what a model wrote: a sentinel that it lacks leaves nothing; words before its first sentinel, and words after "
        "a sentinel that the source does not have, belong nowhere. No sentinel stands in `target` twice."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_decode_inputs,
    reference=_decode,
    cases=len(DECODES),
    hints=(
        "First read the target into a dictionary: sentinel -> list of the tokens that follow it.",
        "`spans.get(token, [])` gives an empty list for a sentinel that the target lacks.",
        "Then walk through the source: a word is appended, a sentinel is replaced by the list in the dictionary.",
    ),
    forbidden=("labutils.objectives.restore_spans",),
    mutants=(
        Mutant(
            name="words before the first sentinel",
            function=_decode_leading_words,
            message="You put words before the target's first sentinel into the first gap; they belong nowhere.",
        ),
        Mutant(
            name="words behind the closing sentinel",
            function=_decode_trailing_words,
            message="You append what follows the closing sentinel; the source has no gap for it.",
        ),
        Mutant(
            name="gaps stay open",
            function=_decode_keeps_gaps,
            message="You leave a sentinel in the text if the target lacks it; it leaves nothing.",
        ),
        Mutant(
            name="by order",
            function=_decode_by_order,
            message="You fill the gaps in the order of the target; the sentinel says to which gap a span belongs.",
        ),
        Mutant(
            name="the first word only",
            function=_decode_first_word,
            message="You take one word a gap; a span goes on until the next sentinel.",
        ),
        Mutant(
            name="to the end of the target",
            function=_decode_to_the_end,
            message="You take everything that follows a sentinel; a span ends at the next sentinel.",
        ),
        Mutant(
            name="sentinels kept",
            function=_decode_keeps_sentinels,
            message="You keep the sentinels in the text; the words of the span replace them.",
        ),
        Mutant(
            name="gaps dropped",
            function=lambda source, target, sentinels: [token for token in source if token not in sentinels],
            message="You delete the sentinels and put nothing in their places.",
        ),
        Mutant(
            name="the target's words",
            function=lambda source, target, sentinels: [token for token in target if token not in sentinels],
            message="You return the spans alone; the text is the source with its gaps filled.",
        ),
    ),
)


# --- text_infilling --------------------------------------------------------------------------------------------------

INFILLS = ("..xx.", "x.xx...", "....", "xxx", "x.x.x", ".xx.x..xxx", "xx...x.xxxx..x.")
MASK = 1


def _infill_inputs(generator: torch.Generator, case: int) -> dict:
    dropped = _flags(INFILLS[case])
    return {"tokens": _distinct(generator, 2, 40, len(dropped)), "dropped": dropped, "mask_token": MASK}


def _infill(tokens: list[int], dropped: list[bool], mask_token: int) -> tuple[list[int], list[int]]:
    source = []
    for drop, run in _spans(tokens, dropped):
        source += [mask_token] if drop else run
    return source, list(tokens)


def _infill_source(tokens: list[int], dropped: list[bool], mask_token: int) -> list[int]:
    return _infill(tokens, dropped, mask_token)[0]


def _masked_in_place(tokens: list[int], dropped: list[bool], mask_token: int) -> list[int]:
    return [mask_token if drop else token for token, drop in zip(tokens, dropped, strict=True)]


def _infill_wrapped(tokens: list[int], dropped: list[bool], mask_token: int):
    source = []
    for i, (token, drop) in enumerate(zip(tokens, dropped, strict=True)):
        if not drop:
            source.append(token)
        elif not dropped[i - 1]:
            source.append(mask_token)
    return source, list(tokens)


def _infill_numbered(tokens: list[int], dropped: list[bool], mask_token: int):
    return _corrupt(tokens, dropped, list(range(mask_token, mask_token - len(tokens) - 1, -1)))[0], list(tokens)


TEXT_INFILLING = Exercise(
    name="text_infilling",
    lab="06",
    task=(
        "Return (source, target) of text infilling as BART does it, as two lists. `tokens` is a list of tokens, and "
        "`dropped` says of each whether it is dropped. In the source each run of neighbouring dropped tokens gives way "
        "to a single `mask_token`, the same for all runs. The target is the whole text."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_infill_inputs,
    reference=_infill,
    cases=len(INFILLS),
    hints=(
        "The walk is that of span corruption, with the mask in the place of every sentinel.",
        "Append the mask only where a run begins: the token is dropped, and it is the first, or the one before stays.",
    ),
    forbidden=("labutils.objectives.infill",),
    mutants=(
        Mutant(
            name="the first token looks at the last",
            function=_infill_wrapped,
            message="You compare the first token with dropped[-1], the last one; at the first there is none before.",
        ),
        Mutant(
            name="numbered masks",
            function=_infill_numbered,
            message="You number the masks as if they were sentinels; in BART all are the same token.",
        ),
        Mutant(
            name="one mask a token",
            function=lambda tokens, dropped, mask_token: (_masked_in_place(tokens, dropped, mask_token), list(tokens)),
            message="You put a mask for each dropped token, which tells the length; a run gives way to one.",
        ),
        Mutant(
            name="deletes the runs",
            function=lambda tokens, dropped, mask_token: (
                [token for token, drop in zip(tokens, dropped, strict=True) if not drop],
                list(tokens),
            ),
            message="You delete the runs without a trace, which is another of BART's noises; here a mask stays.",
        ),
        Mutant(
            name="the target is the spans",
            function=lambda tokens, dropped, mask_token: (
                _infill_source(tokens, dropped, mask_token),
                [token for token, drop in zip(tokens, dropped, strict=True) if drop],
            ),
            message="Your target is the dropped tokens, as in T5; BART writes the whole text.",
        ),
        Mutant(
            name="the target is damaged",
            function=lambda tokens, dropped, mask_token: (_infill_source(tokens, dropped, mask_token),) * 2,
            message="Your target is the damaged text; it is the text before.",
        ),
        Mutant(
            name="masks what should stay",
            function=lambda tokens, dropped, mask_token: _infill(tokens, [not drop for drop in dropped], mask_token),
            message="You mask the tokens that stay; `dropped` is True for what leaves the source.",
        ),
    ),
)


# --- shift_right -----------------------------------------------------------------------------------------------------

# (axes in front, positions)
SHIFTS = (((), 4), ((), 1), ((2,), 5), ((3,), 7), ((2, 3), 6))


def _shift_inputs(generator: torch.Generator, case: int) -> dict:
    """Labels with padding behind them, marked by IGNORED; one row has none, and in the last cases one has two words."""
    front, seq = SHIFTS[case]
    labels = _words(generator, *front, seq)
    rows = labels.view(-1, seq)
    lengths = torch.arange(len(rows)) % 3  # how many are ignored at the end
    if case == 0:
        lengths = torch.tensor([1])
    for row, ignored in zip(rows, lengths.tolist(), strict=True):
        if ignored:
            row[-ignored:] = IGNORED
    return {"labels": labels, "start": int(torch.randint(40, 50, (), generator=generator)), "pad": 1}


def _shift_labels(labels: Tensor, start: int) -> Tensor:
    return torch.cat((torch.full_like(labels[..., :1], start), labels[..., :-1]), dim=-1)


def _without_ignored(labels: Tensor, pad: int) -> Tensor:
    return labels.masked_fill(labels == IGNORED, pad)


def _shift_right(labels: Tensor, start: int, pad: int) -> Tensor:
    return _without_ignored(_shift_labels(labels, start), pad)


def _shift_left(labels: Tensor, start: int, pad: int) -> Tensor:
    left = torch.cat((labels[..., 1:], torch.full_like(labels[..., :1], start)), dim=-1)
    return _without_ignored(left, pad)


def _start_over_first(labels: Tensor, start: int, pad: int) -> Tensor:
    over = labels.clone()
    over[..., 0] = start
    return _without_ignored(over, pad)


def _shift_down(labels: Tensor, start: int, pad: int) -> Tensor:
    """From text to text."""
    down = torch.cat((torch.full_like(labels[:1], start), labels[:-1]))
    return _without_ignored(down, pad)


def _shift_in_place(labels: Tensor, start: int, pad: int) -> Tensor:
    """The copy runs over itself: every position gets the first label."""
    shifted = labels[..., :1].expand_as(labels).clone()
    shifted[..., 0] = start
    return _without_ignored(shifted, pad)


SHIFT_RIGHT = Exercise(
    name="shift_right",
    lab="06",
    task=(
        "Return what the decoder reads while it learns to write `labels` [..., seq]: a tensor of the same shape with "
        "the token `start` in front and without the last label, so that at each position the decoder reads the labels "
        "before it. Labels of −100 are padding, over which no loss is taken; they are no tokens, so give `pad` in "
        "their places. Leave `labels` as they are."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_shift_inputs,
    reference=_shift_right,
    cases=len(SHIFTS),
    hints=(
        "`labels[..., :-1]` is everything but the last label; `torch.cat` along the last axis puts the start before.",
        "`torch.full_like(labels[..., :1], start)` is a column of starts, whatever axes there are in front.",
        "`torch.where(shifted == -100, pad, shifted)` turns the ignored labels into padding.",
    ),
    mutants=(
        Mutant(
            name="no start",
            function=lambda labels, start, pad: _shift_right(labels, int(labels.flatten()[-1]), pad),
            message="You put the last label in front, as `roll` does; the first thing the decoder reads is the start.",
        ),
        Mutant(
            name="ignored labels kept",
            function=lambda labels, start, pad: _shift_labels(labels, start),
            message="You leave −100 in the decoder's input, for which no embedding exists; put `pad` there.",
        ),
        Mutant(
            name="start for padding",
            function=lambda labels, start, pad: _shift_right(labels, start, start),
            message="You put the start in the places of the ignored labels; they become `pad`.",
        ),
        Mutant(
            name="not shifted",
            function=lambda labels, start, pad: _without_ignored(labels, pad),
            message="You do not shift, so the decoder reads the very token that it must predict.",
        ),
        Mutant(
            name="shifted left",
            function=_shift_left,
            message="You shift to the left, so the decoder reads the token after the one that it must predict.",
        ),
        Mutant(
            name="one longer",
            function=lambda labels, start, pad: _shift_right(F.pad(labels, (0, 1)), start, pad),
            message="You put the start in front and keep the last label; the input is as long as the labels.",
        ),
        Mutant(
            name="start over the first label",
            function=_start_over_first,
            message="You overwrite the first label by the start and leave the others where they are; they move.",
        ),
        Mutant(
            name="along the wrong axis",
            function=_shift_down,
            message="You shift along the first axis, from text to text; the positions are the last axis.",
        ),
        Mutant(
            name="copied over itself",
            function=_shift_in_place,
            message="You copy each label to the next place one after another, so that the first one runs through all.",
        ),
    ),
)


# --- contrastive_loss ------------------------------------------------------------------------------------------------

# (pairs, width, temperature, dtype)
CONTRASTS = (
    (2, 3, 0.5, torch.float32),
    (1, 4, 0.1, torch.float32),  # one pair: nothing to tell apart, the loss is 0
    (3, 2, 0.2, torch.float32),
    (5, 8, 0.07, torch.float32),
    (6, 4, 2.0, torch.float64),
)


def _contrast_inputs(generator: torch.Generator, case: int) -> dict:
    """Vectors of different lengths, partners somewhat alike."""
    n, d, temperature, dtype = CONTRASTS[case]
    a = torch.randn(n, d, generator=generator, dtype=dtype)
    b = a + torch.randn(n, d, generator=generator, dtype=dtype)
    lengths = 0.5 + 2 * torch.rand(2, n, 1, generator=generator, dtype=dtype)
    return {"a": a * lengths[0], "b": b * lengths[1], "temperature": temperature}


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def _partner_loss(scores: Tensor) -> Tensor:
    return -scores.log_softmax(-1).diag().mean()


def _contrast(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    return _partner_loss(_cosines(a, b) / temperature)


def _contrast_without_partner(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The partner left out of the denominator."""
    scores = _cosines(a, b) / temperature
    others = scores.masked_fill(torch.eye(len(a), dtype=torch.bool), -torch.inf)
    return (others.logsumexp(-1) - scores.diag()).mean()


def _contrast_both_ways(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    return (_contrast(a, b, temperature) + _contrast(b, a, temperature)) / 2


CONTRASTIVE_LOSS = Exercise(
    name="contrastive_loss",
    lab="06",
    task=(
        "Return the InfoNCE loss in nats, with in-batch negatives. Row i of `a` [n, d] and row i of `b` [n, d] are the "
        "vectors of two views of the same thing; the other rows of `b` are negatives. The score of a[i] and b[j] is "
        "the cosine of the two vectors, divided by `temperature`. For each i take a softmax of its scores over all j, "
        "the partner among them; the loss is the mean over i of −log of what the partner gets."
    ),
    points=4,
    minutes=20,
    difficulty=3,
    inputs=_contrast_inputs,
    reference=_contrast,
    cases=len(CONTRASTS),
    hints=(
        "`torch.nn.functional.normalize(a, dim=-1)` gives every row the length 1; then `a @ b.T` holds the cosines.",
        "Divide by the temperature, then `log_softmax(-1)`: along the last axis are the candidates for one a[i].",
        "The partners are on the diagonal: minus the mean of it.",
    ),
    forbidden=("labutils.objectives.info_nce", "torch.nn.functional.cross_entropy"),
    mutants=(
        Mutant(
            name="partner left out below",
            function=_contrast_without_partner,
            message="You leave the partner out of the denominator; the softmax is over all candidates.",
        ),
        Mutant(
            name="other direction",
            function=lambda a, b, temperature: _contrast(b, a, temperature),
            message="You take the softmax over the rows of a for each b[j]; for each a[i] it is over the rows of b.",
        ),
        Mutant(
            name="both directions",
            function=_contrast_both_ways,
            message="You average both directions, as CLIP does; here a[i] looks among the rows of b, and that is all.",
        ),
        Mutant(
            name="summed",
            function=lambda a, b, temperature: _contrast(a, b, temperature) * len(a),
            message="You sum over the pairs; the loss is the mean, so that it does not grow with the batch.",
        ),
        Mutant(
            name="no temperature",
            function=lambda a, b, temperature: _partner_loss(_cosines(a, b)),
            message="You forget the temperature; a cosine is at most 1, so without it the softmax stays flat.",
        ),
        Mutant(
            name="times the temperature",
            function=lambda a, b, temperature: _partner_loss(_cosines(a, b) * temperature),
            message="You multiply by the temperature; the cosines are divided by it.",
        ),
        Mutant(
            name="not normalised",
            function=lambda a, b, temperature: _partner_loss(a @ b.T / temperature),
            message="You take dot products, which long vectors win; make every vector of length 1 first.",
        ),
        Mutant(
            name="normalised over the batch",
            function=lambda a, b, temperature: _partner_loss(
                F.normalize(a, dim=0) @ F.normalize(b, dim=0).T / temperature
            ),
            message="You normalise each coordinate over the batch; give each vector the length 1, along its last axis.",
        ),
        Mutant(
            name="mean over all pairs",
            function=lambda a, b, temperature: -(_cosines(a, b) / temperature).log_softmax(-1).mean(),
            message="You average over all pairs of the table; only the diagonal holds partners.",
        ),
        Mutant(
            name="first column",
            function=lambda a, b, temperature: -(_cosines(a, b) / temperature).log_softmax(-1)[:, 0].mean(),
            message="You take b[0] for everybody's partner; that of a[i] is b[i], on the diagonal.",
        ),
        Mutant(
            name="no negatives",
            function=lambda a, b, temperature: -(_cosines(a, b) / temperature).diag().mean(),
            message="You only pull partners together; without the negatives, one vector for everything is best.",
        ),
        Mutant(
            name="probability, no logarithm",
            function=lambda a, b, temperature: -(_cosines(a, b) / temperature).softmax(-1).diag().mean(),
            message="You average what the partners get; the loss is minus the logarithm of it.",
        ),
    ),
)


EXERCISES = (SPAN_CORRUPTION, SENTINEL_DECODING, TEXT_INFILLING, SHIFT_RIGHT, CONTRASTIVE_LOSS)
