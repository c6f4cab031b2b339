"""The exercises of lab 01, prompt to completion: from text to tokens, from scores to a token, and round again."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain, pairwise

import torch
from torch import Tensor

from labutils.exercises import Exercise, Mutant

Pair = tuple[str, str]

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _letters(generator: torch.Generator, n: int) -> list[str]:
    """Different letters, in the order of the alphabet."""
    return [LETTERS[i] for i in sorted(torch.randperm(26, generator=generator)[:n].tolist())]


def _shuffled_letters(generator: torch.Generator, n: int) -> list[str]:
    return [LETTERS[i] for i in torch.randperm(26, generator=generator)[:n].tolist()]


def _words_of(generator: torch.Generator, letters: list[str], lengths: list[int]) -> list[list[str]]:
    """Random words of these lengths."""
    return [[letters[i] for i in torch.randint(len(letters), (n,), generator=generator).tolist()] for n in lengths]


# --- bpe_merge_step --------------------------------------------------------------------------------------------------


def _joined(pieces: list[str], pair: Pair) -> list[str]:
    """The pieces of a word with the pair joined, from left to right."""
    result, i = [], 0
    while i < len(pieces):
        here = tuple(pieces[i : i + 2]) == pair
        result.append("".join(pair) if here else pieces[i])
        i += 2 if here else 1
    return result


def _pairs(words: Iterable[list[str]]) -> Counter[Pair]:
    """How often each pair of neighbours occurs. A Counter keeps the order in which it met them."""
    return Counter(chain.from_iterable(pairwise(word) for word in words))


def _most_frequent(counts: Counter[Pair]) -> Pair:
    return max(counts, key=counts.__getitem__)  # the first of those that tie


def _merge_step(
    words: list[list[str]],
    count: Callable[[list[list[str]]], Counter[Pair]] = _pairs,
    choose: Callable[[Counter[Pair]], Pair] = _most_frequent,
    join: Callable[[list[str], Pair], list[str]] = _joined,
) -> list[list[str]]:
    counts = count(words)
    if not counts:
        return [list(word) for word in words]
    pair = choose(counts)
    return [join(word, pair) for word in words]


def _merge_inputs(generator: torch.Generator, case: int) -> dict:
    a, b, c, d, e, f = _letters(generator, 6)
    v, w, x, y, z = _shuffled_letters(generator, 5)
    templates = {
        0: [x + y, x + y + z, z + x + y],
        1: [x * 3, y + x],  # a pair that overlaps with itself
        2: [b + e, a + e, d + e, c + e],  # all tie
        3: [x + y, x + y, x + y, z + w, z + w + v],  # one word again and again
        4: [v + x, y + v, w + x, y + w, x + y, z + x, z + x],  # a pair across the spaces
        5: [x, y, z],  # nothing to join
        6: [x * 3 + y, x * 3, y + z, y + z, y + z],
    }
    if case in templates:
        return {"words": [list(word) for word in templates[case]]}
    if case == 7:  # pieces that are longer than a letter
        new = x + y
        return {"words": [[new, z], [new, z, w], [v, new, z, new, z], [x, w], [x, w]]}
    return {"words": _words_of(generator, [a, c, f], [3, 5, 4, 2, 6, 3])}


def _overlapping(pieces: list[str], pair: Pair) -> list[str]:
    """Join every place, also where two of them share a piece."""
    result, covered = [], False
    for i, piece in enumerate(pieces):
        if tuple(pieces[i : i + 2]) == pair:
            result.append("".join(pair))
            covered = True
        else:
            result += [] if covered else [piece]
            covered = False
    return result


def _from_the_right(pieces: list[str], pair: Pair) -> list[str]:
    left, right = pair
    return [piece if piece != right + left else left + right for piece in _joined(pieces[::-1], (right, left))][::-1]


def _once_a_word(pieces: list[str], pair: Pair) -> list[str]:
    for i in range(len(pieces) - 1):
        if tuple(pieces[i : i + 2]) == pair:
            return [*pieces[:i], "".join(pair), *pieces[i + 2 :]]
    return list(pieces)


def _once(words: list[list[str]]) -> list[list[str]]:
    """Join the pair in the first word that has it, and only there."""
    merged = _merge_step(words, join=_once_a_word)
    changed = [i for i, word in enumerate(words) if merged[i] != word]
    return [merged[i] if changed and i == changed[0] else list(word) for i, word in enumerate(words)]


def _keeps_the_second(pieces: list[str], pair: Pair) -> list[str]:
    return ["".join(pair) if tuple(pieces[i : i + 2]) == pair else piece for i, piece in enumerate(pieces)]


def _without_overlap(words: list[list[str]]) -> Counter[Pair]:
    """Count the places of a pair that would be joined: two neighbours in "aaa" count once."""
    return Counter({pair: sum(len(word) - len(_joined(word, pair)) for word in words) for pair in _pairs(words)})


BPE_MERGE_STEP = Exercise(
    name="bpe_merge_step",
    lab="01",
    task=(
        "Do one step of byte-pair encoding and return the new list of words. A word is a list of pieces. Find "
        "the pair of neighbouring pieces that occurs most often within words; every place counts, so a, a, a holds the "
        "pair (a, a) twice. Of pairs that tie, take the one that occurs first in the text. Then join this pair in all "
        "words, from left to right; a piece can be joined once only. Without any pair, nothing changes."
    ),
    points=3,
    minutes=20,
    difficulty=3,
    inputs=_merge_inputs,
    reference=_merge_step,
    cases=10,
    hints=(
        "Two halves: first count the pairs `zip(word, word[1:])` of all words, then rebuild every word.",
        "A `Counter` remembers the order in which it met its keys, and `max(counts, key=counts.get)` takes the first "
        "of those that tie.",
        "Rebuild a word with an index `i` in a `while` loop: where the pair stands, append the joined piece and go on "
        "by 2, else append the piece and go on by 1.",
    ),
    mutants=(
        Mutant(
            name="joins a piece twice",
            function=lambda words: _merge_step(words, join=_overlapping),
            message="You join a piece twice where pairs overlap: a, a, a becomes aa, a, for the second a is used up.",
        ),
        Mutant(
            name="from the right",
            function=lambda words: _merge_step(words, join=_from_the_right),
            message="You join from right to left; in a, a, a the first two pieces are joined, not the last two.",
        ),
        Mutant(
            name="counts without overlap",
            function=lambda words: _merge_step(words, count=_without_overlap),
            message="You count overlapping places once; for the choice of the pair every place counts.",
        ),
        Mutant(
            name="the last of a tie",
            function=lambda words: _merge_step(
                words, choose=lambda counts: max(reversed(list(counts)), key=counts.__getitem__)
            ),
            message="Of pairs that tie you take the one that occurs last; take the first in the text.",
        ),
        Mutant(
            name="the alphabet decides a tie",
            function=lambda words: _merge_step(
                words, choose=lambda counts: min(counts, key=lambda pair: (-counts[pair], pair))
            ),
            message="Of pairs that tie you take the first in the alphabet; take the one that occurs first in the text.",
        ),
        Mutant(
            name="the end of the alphabet decides a tie",
            function=lambda words: _merge_step(
                words, choose=lambda counts: max(counts, key=lambda pair: (counts[pair], pair))
            ),
            message="Of pairs that tie you take the last in the alphabet; take the one that occurs first in the text.",
        ),
        Mutant(
            name="different words only",
            function=lambda words: _merge_step(
                words, count=lambda words: _pairs(list(word) for word in dict.fromkeys(map(tuple, words)))
            ),
            message="You count a repeated word once; a word that occurs three times counts three times.",
        ),
        Mutant(
            name="pairs across words",
            function=lambda words: _merge_step(words, count=lambda words: _pairs([list(chain.from_iterable(words))])),
            message="You count pairs across the end of a word; both pieces must stand in the same word.",
        ),
        Mutant(
            name="once in each word",
            function=lambda words: _merge_step(words, join=_once_a_word),
            message="You join the pair once in each word; a word can hold it at several places.",
        ),
        Mutant(
            name="letters again",
            function=lambda words: _merge_step([list("".join(word)) for word in words]),
            message="You split the words into letters again; count and join the pieces as they are.",
        ),
        Mutant(
            name="keeps the second piece",
            function=lambda words: _merge_step(words, join=_keeps_the_second),
            message="You keep the second piece after joining it; step over both pieces of a joined pair.",
        ),
        Mutant(
            name="once in all",
            function=_once,
            message="You join the pair at its first place only; join it everywhere.",
        ),
        Mutant(
            name="the rarest pair",
            function=lambda words: _merge_step(words, choose=lambda counts: min(counts, key=counts.__getitem__)),
            message="You join the rarest pair; take the one with the largest count.",
        ),
        Mutant(
            name="joins backwards",
            function=lambda words: _merge_step(
                words,
                join=lambda word, pair: [pair[1] + pair[0] if p == "".join(pair) else p for p in _joined(word, pair)],
            ),
            message="You join the second piece before the first; the text must stay as it was.",
        ),
    ),
)


# --- bpe_encode ------------------------------------------------------------------------------------------------------


def _encode(word: str, merges: list[list[str]], join: Callable[[list[str], Pair], list[str]] = _joined) -> list[str]:
    pieces = list(word)
    for left, right in merges:
        pieces = join(pieces, (left, right))
    return pieces


def _learned(words: list[list[str]], n: int) -> list[list[str]]:
    """The first n merges that these words teach."""
    merges = []
    for _ in range(n):
        counts = _pairs(words)
        if not counts:
            break
        merges.append(list(_most_frequent(counts)))
        words = _merge_step(words)
    return merges


def _encode_inputs(generator: torch.Generator, case: int) -> dict:
    w, x, y, z = _shuffled_letters(generator, 4)
    templates = {
        0: (x + y + z, [[x, y], [x + y, z]]),
        1: (x + y + z, [[y, z], [x, y]]),  # the order of the merges decides, not that of the text
        2: (x * 3, [[x, x]]),
        3: (x + y, []),  # nothing was learned
        4: (x + y + w + x + y, [[x, y]]),
        5: (x + y + z + w, [[x, y], [z, w], [x + y, z]]),  # the longest piece is not what the merges give
        6: ((x + y) * 2 + z, [[x, y], [x + y, x + y], [x + y, z]]),
        7: (x + y + z, [[y, z], [x, y + z], [x, y]]),  # here it is
    }
    if case in templates:
        word, merges = templates[case]
        return {"word": word, "merges": merges}
    letters = [x, y, z][: 2 + case % 2]
    merges = _learned(_words_of(generator, letters, [4, 6, 5, 7, 3, 6]), 5 + case)
    return {"word": "".join(_words_of(generator, letters, [9 + case])[0]), "merges": merges}


def _longest_first(word: str, merges: list[list[str]]) -> list[str]:
    """Take the longest known piece from the left, again and again."""
    known = {left + right for left, right in merges}
    pieces, rest = [], word
    while rest:
        size = max(n for n in range(1, len(rest) + 1) if n == 1 or rest[:n] in known)
        pieces.append(rest[:size])
        rest = rest[size:]
    return pieces


def _leftmost_first(word: str, merges: list[list[str]]) -> list[str]:
    """Join the leftmost pair that any merge knows, again and again."""
    pieces = list(word)
    while True:
        places = [i for i in range(len(pieces) - 1) if pieces[i : i + 2] in merges]
        if not places:
            return pieces
        i = places[0]
        pieces[i : i + 2] = ["".join(pieces[i : i + 2])]


BPE_ENCODE = Exercise(
    name="bpe_encode",
    lab="01",
    task=(
        "Encode a word with the merges that byte-pair encoding has learned, and return the list of its pieces. Begin "
        "with the letters of `word`, a string. Go through `merges`, a list of pairs [left, right], in the order in "
        "which they were learned, and join each pair wherever it stands in the word by then, from left to right."
    ),
    points=2,
    minutes=15,
    difficulty=3,
    inputs=_encode_inputs,
    reference=_encode,
    cases=11,
    hints=(
        "`pieces = list(word)` are the letters. Each merge takes a list of pieces and gives a new one.",
        "Two loops: over the merges outside, over the places in the word inside.",
        "The inner loop is the second half of the exercise before: append the joined piece and go on by 2, or append "
        "the piece and go on by 1.",
    ),
    mutants=(
        Mutant(
            name="joins a piece twice",
            function=lambda word, merges: _encode(word, merges, _overlapping),
            message="You join a piece twice where pairs overlap: a, a, a becomes aa, a, for the second a is used up.",
        ),
        Mutant(
            name="from the right",
            function=lambda word, merges: _encode(word, merges, _from_the_right),
            message="You join from right to left; in a, a, a the first two pieces are joined, not the last two.",
        ),
        Mutant(
            name="the longest piece first",
            function=_longest_first,
            message="You take the longest known piece from the left; that is another algorithm, so apply the merges in "
            "order.",
        ),
        Mutant(
            name="the order of the text",
            function=_leftmost_first,
            message="You join whichever known pair comes first in the word; the merge that was learned first goes "
            "first, wherever it stands.",
        ),
        Mutant(
            name="the last merge first",
            function=lambda word, merges: _encode(word, merges[::-1]),
            message="You apply the last merge first; later merges need the pieces that the earlier ones make.",
        ),
        Mutant(
            name="once for each merge",
            function=lambda word, merges: _encode(word, merges, _once_a_word),
            message="You join each pair at its first place only; join it wherever it stands.",
        ),
        Mutant(
            name="one merge only",
            function=lambda word, merges: _encode(word, merges[:1]),
            message="You apply the first merge and stop; go through all of them.",
        ),
        Mutant(
            name="letters",
            function=lambda word, merges: list(word),
            message="You return the letters; apply the merges to them.",
        ),
        Mutant(
            name="keeps the second piece",
            function=lambda word, merges: _encode(word, merges, _keeps_the_second),
            message="You keep the second piece after joining it; step over both pieces of a joined pair.",
        ),
        Mutant(
            name="one string",
            function=lambda word, merges: [word],
            message="You return the whole word as one piece; it is one piece only if the merges join all of it.",
        ),
    ),
)


# --- stable_softmax --------------------------------------------------------------------------------------------------

SHAPES = ((2, 5), (3, 7), (2, 3, 4), (6, 3))


def _softmax_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        return {"logits": torch.tensor([0.0, 1.0, 3.0])[torch.randperm(3, generator=generator)]}
    if case == 1:  # exp(1000) is too large for any number
        return {"logits": torch.tensor([1000.0, 1001.0, 998.0])[torch.randperm(3, generator=generator)]}
    if case == 2:  # and exp(-1000) is too small
        return {"logits": torch.tensor([-1000.0, -1002.0, -1001.0])[torch.randperm(3, generator=generator)]}
    if case == 3:  # a token that was ruled out
        return {"logits": torch.tensor([2.0, -math.inf, 1.0, 0.5])[torch.randperm(4, generator=generator)]}
    if case == 4:
        return {"logits": torch.tensor([0.0, 50.0, 100.0])[torch.randperm(3, generator=generator)]}
    logits = 2 * torch.randn(SHAPES[case % 4], generator=generator)
    if case >= 9:  # every row on a level of its own
        logits = logits + 400 * torch.randperm(len(logits), generator=generator).view(-1, *[1] * (logits.ndim - 1))
    return {"logits": logits}


def _softmax(logits: Tensor, shift: Tensor | float | None = None, axis: int = -1) -> Tensor:
    weights = (logits - (logits.amax(axis, keepdim=True) if shift is None else shift)).exp()
    return weights / weights.sum(axis, keepdim=True)


def _without_normalising(logits: Tensor) -> Tensor:
    return (logits - logits.amax(-1, keepdim=True)).exp()


STABLE_SOFTMAX = Exercise(
    name="stable_softmax",
    lab="01",
    task=(
        "Return the softmax of the logits along the last axis, the vocabulary: exp(z) divided by the sum of all exp(z) "
        "of the row. Logits may be 1000 or -1000, where exp alone fails, and some may be -inf, which means "
        "probability 0. Every row has at least one finite logit."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_softmax_inputs,
    reference=_softmax,
    cases=13,
    hints=(
        "A constant added to all logits of a row changes nothing: it is a factor above and below the fraction bar.",
        "Which constant makes the largest exp(z) equal to 1?",
        "`logits - logits.amax(dim=-1, keepdim=True)`, then `exp`, then divide by the sum with `dim=-1, keepdim=True`.",
    ),
    forbidden=(
        "torch.softmax",
        "torch.Tensor.softmax",
        "torch.nn.functional.softmax",
        "torch.log_softmax",
        "torch.Tensor.log_softmax",
        "torch.nn.functional.log_softmax",
        "torch.logsumexp",
        "torch.Tensor.logsumexp",
    ),
    mutants=(
        Mutant(
            name="one maximum for all rows",
            function=lambda logits: _softmax(logits, logits.amax()),
            message="You subtract the largest logit of the whole tensor, and low rows vanish; every row has its own "
            "maximum.",
        ),
        Mutant(
            name="subtracts the mean",
            function=lambda logits: _softmax(logits, logits.mean(-1, keepdim=True)),
            message="You subtract the mean, which is -inf as soon as one logit is; subtract the largest.",
        ),
        Mutant(
            name="subtracts the smallest",
            function=lambda logits: _softmax(logits, logits.amin(-1, keepdim=True)),
            message="You subtract the smallest logit, so the largest can still overflow and -inf spoils the row; "
            "subtract the largest.",
        ),
        Mutant(
            name="no subtraction",
            function=lambda logits: _softmax(logits, 0.0),
            message="You take exp of the logits as they are, which overflows at 1000; first subtract the largest "
            "logit of the row.",
        ),
        Mutant(
            name="clamps",
            function=lambda logits: _softmax(logits.clamp(-80, 80), 0.0),
            message="You clamp the logits, which makes all large ones equal; a shift keeps their differences.",
        ),
        Mutant(
            name="the wrong axis",
            function=lambda logits: _softmax(logits, axis=0),
            message="You work along the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="one sum for all rows",
            function=lambda logits: _without_normalising(logits) / _without_normalising(logits).sum(),
            message="You divide by the sum over the whole tensor; every row must sum to 1.",
        ),
        Mutant(
            name="no division",
            function=_without_normalising,
            message="You do not divide by the sum, so the row does not sum to 1.",
        ),
        Mutant(
            name="divides logits",
            function=lambda logits: logits / logits.sum(-1, keepdim=True),
            message="You divide the logits by their sum; take exp first, so that all are positive.",
        ),
        Mutant(
            name="base 2",
            function=lambda logits: _softmax(logits * math.log(2)),
            message="You raise 2 to the logits; the softmax is made with e, torch.exp.",
        ),
        Mutant(
            name="logarithms",
            function=lambda logits: _softmax(logits).log(),
            message="You return logarithms of probabilities; return the probabilities.",
        ),
    ),
)


# --- choose_token ----------------------------------------------------------------------------------------------------


def _choose(probabilities: Tensor, u: float) -> int:
    total = 0.0
    for token, p in enumerate(probabilities.tolist()):
        total += p
        if u < total:
            return token
    return len(probabilities) - 1


def _choose_inputs(generator: torch.Generator, case: int) -> dict:
    """Eighths are exact, so that `u` may lie on a border; elsewhere it stays away from all borders."""
    eighths = {
        0: ([4, 1, 3], [1, 5, 6, 7]),
        1: ([2, 0, 4, 2], [2, 6]),  # exactly on a border, and the token there is impossible
        2: ([0, 3, 5], [0]),  # token 0 is impossible
        3: ([1, 5, 2], [1, 6]),
    }
    if case in eighths:
        parts, borders = eighths[case]
        u = borders[int(torch.randint(len(borders), (), generator=generator))] / 8
        if case == 2:  # the other two differ from draw to draw
            left = int(torch.randint(1, 8, (), generator=generator))
            parts = [0, left, 8 - left]
        return {"probabilities": torch.tensor(parts) / 8, "u": u}
    low, high = ((0.02, 0.3), (0.3, 0.7), (0.7, 0.98))[case % 3]
    while True:
        probabilities = (1.5 * torch.randn(case + 1, generator=generator)).softmax(-1)
        u = round(low + (high - low) * torch.rand((), generator=generator).item(), 3)
        right, alike, rank = _choose(probabilities, u), int(u * len(probabilities)), _rank(probabilities, u)
        mirrored, best = _choose(probabilities, 1 - u), int(probabilities.argmax())
        mistakes = {mirrored, best, _nearest(probabilities, u), rank, _first_above(probabilities, u)}
        away = (probabilities.double().cumsum(0) - u).abs().min() > 1e-3
        # Among many tokens the common mistakes shall all give different answers; among few that is too rare.
        told_apart = case < 8 or not mistakes & {right, alike}
        if away and len({right, mirrored, best}) == 3 and right != alike and told_apart:
            return {"probabilities": probabilities, "u": u}


def _rank(probabilities: Tensor, u: float) -> int:
    return _choose(probabilities.sort(descending=True).values, u)


def _nearest(probabilities: Tensor, u: float) -> int:
    return int((probabilities - u).abs().argmin())


def _first_above(probabilities: Tensor, u: float) -> int:
    return int((probabilities > u).int().argmax())


def _sorted_first(probabilities: Tensor, u: float) -> int:
    values, order = probabilities.sort(descending=True, stable=True)
    return int(order[_choose(values, u)])


CHOOSE_TOKEN = Exercise(
    name="choose_token",
    lab="01",
    task=(
        "Draw a token. Lay the probabilities [vocab] side by side on the line from 0 to 1, in the order of the "
        "vocabulary, and return the number of the token on whose piece `u` lies, with 0 <= u < 1: the first one at "
        "which the running sum exceeds u. A token of probability 0 has no piece and is never drawn."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_choose_inputs,
    reference=_choose,
    cases=11,
    hints=(
        "With probabilities 0.5, 0.2, 0.3 the pieces are [0, 0.5), [0.5, 0.7) and [0.7, 1).",
        "The running sums are `probabilities.cumsum(0)`. The first that is larger than u is yours.",
        "How many running sums are *not* larger than u? That number is the token.",
    ),
    forbidden=("torch.multinomial",),
    mutants=(
        Mutant(
            name="a border belongs to the left",
            function=lambda probabilities, u: int((probabilities.cumsum(0) < u).sum()),
            message="You give a border to the token before it, so u = 0 can draw an impossible token; the running sum "
            "must exceed u.",
        ),
        Mutant(
            name="sorts first",
            function=_sorted_first,
            message="You lay the largest probability first; keep the order of the vocabulary.",
        ),
        Mutant(
            name="the rank",
            function=_rank,
            message="You return a place in the sorted list; return the number of the token in the vocabulary.",
        ),
        Mutant(
            name="from the other end",
            function=lambda probabilities, u: len(probabilities) - 1 - _choose(probabilities.flip(0), u),
            message="You lay the pieces from the end of the vocabulary; begin with token 0.",
        ),
        Mutant(
            name="greedy",
            function=lambda probabilities, u: int(probabilities.argmax()),
            message="You take the most probable token, whatever u is; u has to decide.",
        ),
        Mutant(
            name="no running sum",
            function=_first_above,
            message="You look for a probability larger than u; compare u with the running sum.",
        ),
        Mutant(
            name="the nearest probability",
            function=_nearest,
            message="You take the token with the probability nearest to u; u is a place on the line.",
        ),
        Mutant(
            name="all tokens alike",
            function=lambda probabilities, u: int(u * len(probabilities)),
            message="You give every token a piece of the same length; its length is its probability.",
        ),
        Mutant(
            name="one too early",
            function=lambda probabilities, u: _choose(probabilities, u) - 1,
            message="You are one token too early; the piece ends at the running sum that includes its own probability.",
        ),
        Mutant(
            name="one too late",
            function=lambda probabilities, u: _choose(probabilities, u) + 1,
            message="You are one token too late; the number of running sums that do not exceed u is the token.",
        ),
        Mutant(
            name="a probability",
            function=lambda probabilities, u: float(probabilities[_choose(probabilities, u)]),
            message="You return the probability of the token; return its number.",
        ),
    ),
)


# --- complete_in_window ----------------------------------------------------------------------------------------------


def _run(
    votes: Tensor,
    prompt: list[int],
    window: int,
    end_token: int,
    max_new_tokens: int,
    see: Callable[[list[int], int, int], list[int]] = lambda tokens, window, n: tokens[-window:],
) -> list[int]:
    """The loop. `see(tokens, window, prompt_length)` says which tokens the model reads."""
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        tokens.append(int(votes[see(tokens, window, len(prompt))].sum(0).argmax()))
        if tokens[-1] == end_token:
            break
    return tokens


def _with_the_end_left_out(votes, prompt, window, end_token, max_new_tokens):
    tokens = _run(votes, prompt, window, end_token, max_new_tokens)
    return tokens[:-1] if tokens[-1] == end_token else tokens


def _without_the_end(votes, prompt, window, end_token, max_new_tokens):
    return _run(votes, prompt, window, -1, max_new_tokens)


def _stops_on_the_prompt(votes, prompt, window, end_token, max_new_tokens):
    return list(prompt) if end_token in prompt else _run(votes, prompt, window, end_token, max_new_tokens)


def _stops_at_a_full_window(votes, prompt, window, end_token, max_new_tokens):
    return _run(votes, prompt, window, end_token, max(0, min(max_new_tokens, window - len(prompt))))


def _counts_the_prompt(votes, prompt, window, end_token, max_new_tokens):
    return _run(votes, prompt, window, end_token, max_new_tokens - len(prompt))


def _new_only(votes, prompt, window, end_token, max_new_tokens):
    return _run(votes, prompt, window, end_token, max_new_tokens)[len(prompt) :]


def _forgets_what_left(votes, prompt, window, end_token, max_new_tokens):
    return _run(votes, prompt, window, end_token, max_new_tokens)[-window:]


def _changes_the_prompt(votes, prompt, window, end_token, max_new_tokens):
    prompt[:] = _run(votes, prompt, window, end_token, max_new_tokens)
    return prompt[:-1]


# The mistakes that change what the model sees, by name.
_SIGHTS: dict[str, Callable[[list[int], int, int], list[int]]] = {
    "prompt cut once": lambda tokens, window, n: tokens[max(0, n - window) :],
    "one too many": lambda tokens, window, n: tokens[-(window + 1) :],
    "one too few": lambda tokens, window, n: tokens[-(window - 1) :],
    "the beginning": lambda tokens, window, n: tokens[:window],
    "all": lambda tokens, window, n: tokens,
    "the last": lambda tokens, window, n: tokens[-1:],
    "the prompt": lambda tokens, window, n: tokens[:n][-window:],
}


def _seeing(name: str) -> Callable[[Tensor, list[int], int, int, int], list[int]]:
    """The loop of a learner who shows the model the wrong tokens."""
    return lambda votes, prompt, window, end_token, max_new_tokens: _run(
        votes, prompt, window, end_token, max_new_tokens, _SIGHTS[name]
    )


# Of each case: how long the prompt is, how many tokens are visible, how many may come; which token ends the text.
_CASES = (
    (2, 8, 3, "never"),
    (4, 2, 3, "never"),
    (3, 4, 7, "on the way"),
    (5, 3, 6, "in the prompt"),
    (4, 3, 5, "at once"),
    (2, 3, 6, "at the limit"),
    (6, 4, 8, "never"),
    (3, 5, 8, "on the way"),
    (7, 2, 4, "never"),
)


def _window_inputs(generator: torch.Generator, case: int) -> dict:
    """Draw a model, let it run without an end, and choose the end token with a look at what it does."""
    prompt_length, window, max_new_tokens, end = _CASES[case]
    vocab = 9 + case
    while True:
        votes = torch.randn(vocab, vocab, generator=generator)
        prompt = torch.randint(vocab, (prompt_length,), generator=generator).tolist()
        inputs = {"votes": votes, "prompt": prompt, "window": window, "max_new_tokens": max_new_tokens}
        tokens = _run(**inputs, end_token=-1)
        new = tokens[prompt_length:]
        early = 1 + max_new_tokens // 2  # a wrong view must show before the text may end
        wrong = [see for see in _SIGHTS.values() if _sees_other(see, tokens, prompt_length, window, early)]
        shown = all(_run(votes, prompt, window, -1, early, see)[prompt_length:] != new[:early] for see in wrong)
        if not (shown and _is_clear(votes, tokens, prompt_length, window)):
            continue
        candidates = {
            "never": [token for token in range(vocab) if token not in tokens],
            "on the way": [t for t in new[early:-1] if t not in prompt and t not in new[:early]],
            "in the prompt": [token for token in prompt if token not in new],
            "at once": [token for token in new[:1] if token not in prompt],
            "at the limit": [token for token in new[-1:] if token not in tokens[:-1]],
        }[end]
        if candidates:
            return inputs | {"end_token": candidates[0]}


def _sees_other(see: Callable, tokens: list[int], prompt_length: int, window: int, steps: int) -> bool:
    """Whether, in the first steps, this view of the text is another than the right one."""
    texts = [tokens[: prompt_length + step] for step in range(steps)]
    return any(see(text, window, prompt_length) != text[-window:] for text in texts)


def _is_clear(votes: Tensor, tokens: list[int], prompt_length: int, window: int) -> bool:
    """Whether the best token leads by more than rounding at every step."""
    scores = [votes[tokens[:n][-window:]].sum(0) for n in range(prompt_length, len(tokens))]
    return all((best := s.topk(2).values)[0] - best[1] > 1e-3 for s in scores)


COMPLETE_IN_WINDOW = Exercise(
    name="complete_in_window",
    lab="01",
    task=(
        "Complete a prompt with a model that sees only the last `window` tokens, and return the list of all tokens, "
        "those of the prompt included. The model is a table `votes` [vocab, vocab]: every visible token t gives the "
        "scores votes[t] to all tokens, the scores are added, and that with the largest sum comes next. Stop after "
        "`max_new_tokens` new tokens, or after a generated `end_token`, which belongs to the result; one in the prompt "
        "does not count. Leave `prompt` as it is."
    ),
    points=3,
    minutes=20,
    difficulty=3,
    inputs=_window_inputs,
    reference=_run,
    cases=len(_CASES),
    hints=(
        "Begin with a copy, `tokens = list(prompt)`. At each step, which part of `tokens` does the model see?",
        "`visible = tokens[-window:]` are the last `window` tokens, or all if there are fewer. Take it anew each time.",
        "`votes[visible].sum(0).argmax()` is the next token. Append it to `tokens`, not to `visible`, and compare it "
        "with `end_token` after that.",
    ),
    forbidden=("labutils.sampling.generate",),
    mutants=(
        Mutant(
            name="forgets the end token",
            function=_without_the_end,
            message="You go on after the end token; leave the loop once you have appended it.",
        ),
        Mutant(
            name="leaves the end token out",
            function=_with_the_end_left_out,
            message="You stop in time but leave the end token out; append first, then look at it.",
        ),
        Mutant(
            name="stops on the prompt",
            function=_stops_on_the_prompt,
            message="You stop because the prompt holds the end token; look only at tokens that were generated.",
        ),
        Mutant(
            name="cuts the prompt once",
            function=_seeing("prompt cut once"),
            message="You cut the prompt at the start only; the window moves on with every new token.",
        ),
        Mutant(
            name="ignores the window",
            function=_seeing("all"),
            message="You show the model all tokens; it sees the last `window` of them.",
        ),
        Mutant(
            name="one token too many",
            function=_seeing("one too many"),
            message="You show the model one token too many; the last `window` tokens are tokens[-window:].",
        ),
        Mutant(
            name="one token too few",
            function=_seeing("one too few"),
            message="You show the model one token too few; the last `window` tokens are tokens[-window:].",
        ),
        Mutant(
            name="sees the beginning",
            function=_seeing("the beginning"),
            message="You show the model the first tokens of the text; what leaves the window is the oldest.",
        ),
        Mutant(
            name="sees the prompt only",
            function=_seeing("the prompt"),
            message="You show the model the prompt at every step; it must see the tokens that it generated, too.",
        ),
        Mutant(
            name="sees the last token only",
            function=_seeing("the last"),
            message="You show the model the last token only; it sees the last `window` of them.",
        ),
        Mutant(
            name="stops at a full window",
            function=_stops_at_a_full_window,
            message="You stop when the window is full; here the oldest token drops out and the text goes on.",
        ),
        Mutant(
            name="returns the window",
            function=_forgets_what_left,
            message="You return the visible tokens only; what has left the window still belongs to the text.",
        ),
        Mutant(
            name="drops the prompt",
            function=_new_only,
            message="You return the new tokens only; here the prompt belongs to the result.",
        ),
        Mutant(
            name="one step too few",
            function=lambda votes, prompt, window, end_token, max_new_tokens: _run(
                votes, prompt, window, end_token, max_new_tokens - 1
            ),
            message="You generate one token less than max_new_tokens; range(max_new_tokens) counts right.",
        ),
        Mutant(
            name="one step too many",
            function=lambda votes, prompt, window, end_token, max_new_tokens: _run(
                votes, prompt, window, end_token, max_new_tokens + 1
            ),
            message="You generate one token more than max_new_tokens; range(max_new_tokens) counts right.",
        ),
        Mutant(
            name="counts the prompt",
            function=_counts_the_prompt,
            message="You count the prompt's tokens in max_new_tokens; the limit is on new tokens only.",
        ),
        Mutant(
            name="the least likely token",
            function=lambda votes, prompt, window, end_token, max_new_tokens: _run(
                -votes, prompt, window, end_token, max_new_tokens
            ),
            message="You take the token with the smallest sum; the largest comes next, argmax.",
        ),
    ),
)


EXERCISES = (BPE_MERGE_STEP, BPE_ENCODE, STABLE_SOFTMAX, CHOOSE_TOKEN, COMPLETE_IN_WINDOW)
