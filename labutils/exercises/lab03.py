"""The exercises of lab 03, data for pretraining: a rule, a score, two ways to find copies, and a mixture."""

from functools import partial

import torch
from torch import Tensor

from labutils import curation
from labutils.curation import PRIME, SENTENCE_ENDS, ngrams
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import choices, integer, some

# --- clean_page ------------------------------------------------------------------------------------------------------

SENTENCES = [
    "The dog near the barn sleeps all day.",
    "The cows carry a heavy basket home.",
    "Some gulls near the boat watch the sailor.",
    "An owl often sees the old horse.",
    "The baker and the cook clean the oven.",
]
OTHER_ENDS = [
    "Where does the whale swim in winter?",
    "The cook burns an old spoon again!",
    'The trader said: "You will like this boat."',
]
FIVE_WORDS = [
    "The wolf hunts at night.",
    "Some leaves fall in autumn.",
    "The bell rings at noon.",
    "A cat sees the cow.",
]
SHORT = ["Read more.", "Stop!", "Who knows?", "See also here."]
FURNITURE = ["home | news | shop | login", "you may also like these seven other pages", "next page >>", ""]
CODE = [
    "Write { open } to open the door.",
    "Here { and } enclose a block of code.",
    "The mark { opens what } closes again.",
]
FILLER = ["This is lorem ipsum dolor sit amet.", "Here lorem ipsum stands for a real text."]


def _clean_inputs(generator: torch.Generator, case: int) -> dict:
    pick = partial(some, generator)
    min_words, min_lines = 5, 2
    lines = pick(SENTENCES, 2)
    match case:
        case 0:
            lines[1:1] = [*pick(FURNITURE, 1), *pick(SHORT, 1)]
        case 1:  # too few sentences, lines enough
            lines = [lines[0], *pick(SHORT, 1), *pick(FURNITURE, 1)]
        case 2:
            lines[1:1] = pick(CODE, 1)
        case 3:
            lines[1:1] = pick(FILLER, 1)
        case 4:
            lines[1:1] = [line.upper() for line in pick(FILLER, 1)]
        case 5:
            lines, min_lines = [f"  {lines[0]}  ", lines[1], *pick(OTHER_ENDS, 1)], 1
        case 6:
            lines = [*pick(OTHER_ENDS, 2), lines[0]]
        case 7:
            lines = pick(FIVE_WORDS, 3)
        case 8:  # too few lines of any kind
            min_lines = 3
        case 9:
            lines = pick(FURNITURE, 3)
        case _:
            lines = [*pick(SENTENCES, 2), *pick(OTHER_ENDS, 2), *pick(SHORT, 2), *pick(FURNITURE, 2)]
            lines = [lines[i] for i in torch.randperm(len(lines), generator=generator).tolist()]
            min_words, min_lines = integer(generator, 2, 6), integer(generator, 1, 4)
    return {"page": "\n".join(lines), "min_words": min_words, "min_lines": min_lines}


def _filler(page: str) -> bool:
    return "{" in page or "lorem ipsum" in page.lower()


def _kept(page: str, min_words: int, ends: tuple[str, ...] = SENTENCE_ENDS) -> list[str]:
    lines = [line.strip() for line in page.splitlines()]
    return [line for line in lines if line.endswith(ends) and len(line.split()) >= min_words]


def _page_of(lines: list[str], min_lines: int) -> str:
    return "\n".join(lines) if len(lines) >= min_lines else ""


def _any_ending(page, min_words, min_lines):
    lines = [line.strip() for line in page.splitlines() if len(line.split()) >= min_words]
    return "" if _filler(page) else _page_of(lines, min_lines)


def _counts_characters(page, min_words, min_lines):
    lines = [line.strip() for line in page.splitlines()]
    lines = [line for line in lines if line.endswith(SENTENCE_ENDS) and len(line) >= min_words]
    return "" if _filler(page) else _page_of(lines, min_lines)


def _counts_all_lines(page, min_words, min_lines):
    enough = len(page.splitlines()) >= min_lines and not _filler(page)
    return "\n".join(_kept(page, min_words)) if enough else ""


def _drops_lines_only(page, min_words, min_lines):
    return _page_of([line for line in _kept(page, min_words) if not _filler(line)], min_lines)


def _case_counts(page, min_words, min_lines):
    return "" if "{" in page or "lorem ipsum" in page else _page_of(_kept(page, min_words), min_lines)


def _does_not_strip(page, min_words, min_lines):
    lines = page.splitlines()
    lines = [line for line in lines if line.endswith(SENTENCE_ENDS) and len(line.split()) >= min_words]
    return "" if _filler(page) else _page_of(lines, min_lines)


def _joined_by_spaces(page, min_words, min_lines):
    return "" if _filler(page) else _page_of(_kept(page, min_words), min_lines).replace("\n", " ")


CLEAN_PAGE = Exercise(
    name="clean_page",
    lab="03",
    task=(
        "Return the lines of `page` that read like sentences, joined by newlines. Drop the spaces around each line; "
        'keep it if it ends in one of . ! ? " and has at least `min_words` words (what spaces separate). Return "" if '
        'fewer than `min_lines` lines are kept, if the page holds a "{" anywhere, or "lorem ipsum" in any case.'
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_clean_inputs,
    reference=curation.clean_page,
    cases=13,
    hints=(
        "First the rules for the whole page, then those for its lines, then count what is left.",
        "`page.splitlines()` gives the lines, `line.strip()` drops spaces, `line.split()` gives the words.",
        "`line.endswith(('.', '!', '?', '\"'))` tries all four marks at once.",
    ),
    forbidden=("labutils.curation.clean_page",),
    mutants=(
        Mutant(
            name="case of the filler text",
            function=_case_counts,
            message='You look for "lorem ipsum" in small letters only; compare with `page.lower()`.',
        ),
        Mutant(
            name="drops bad lines, not the page",
            function=_drops_lines_only,
            message='You drop the line with "{" or "lorem ipsum"; one such line condemns the whole page.',
        ),
        Mutant(
            name="keeps code",
            function=lambda page, min_words, min_lines: (
                "" if "lorem ipsum" in page.lower() else _page_of(_kept(page, min_words), min_lines)
            ),
            message='You keep pages with a curly bracket; a "{" is a sign of code, and the page goes.',
        ),
        Mutant(
            name="keeps filler text",
            function=lambda page, min_words, min_lines: (
                "" if "{" in page else _page_of(_kept(page, min_words), min_lines)
            ),
            message='You keep pages with "lorem ipsum", the filler of unfinished pages.',
        ),
        Mutant(
            name="counts lines before the rules",
            function=_counts_all_lines,
            message="You count all lines of the page; `min_lines` is about the lines that are kept.",
        ),
        Mutant(
            name="ignores min_lines",
            function=lambda page, min_words, min_lines: "" if _filler(page) else "\n".join(_kept(page, min_words)),
            message='You ignore `min_lines`; a page with fewer lines than that becomes "".',
        ),
        Mutant(
            name="one line too many",
            function=lambda page, min_words, min_lines: (
                "" if _filler(page) else _page_of(_kept(page, min_words), min_lines + 1)
            ),
            message="You ask for more than `min_lines` lines; exactly so many are enough (>=, not >).",
        ),
        Mutant(
            name="one word too many",
            function=lambda page, min_words, min_lines: (
                "" if _filler(page) else _page_of(_kept(page, min_words + 1), min_lines)
            ),
            message="You ask for more than `min_words` words; exactly so many are enough (>=, not >).",
        ),
        Mutant(
            name="does not drop spaces",
            function=_does_not_strip,
            message="You keep the spaces around a line, so a sentence that a space follows has no end; strip the line.",
        ),
        Mutant(
            name="full stop alone",
            function=lambda page, min_words, min_lines: (
                "" if _filler(page) else _page_of(_kept(page, min_words, (".",)), min_lines)
            ),
            message='You accept a full stop only; ! ? and " end sentences too.',
        ),
        Mutant(
            name="any ending",
            function=_any_ending,
            message="You keep lines whatever their end; a menu has words enough, but no end of a sentence.",
        ),
        Mutant(
            name="counts characters",
            function=_counts_characters,
            message="You count the characters of a line; `len(line.split())` counts its words.",
        ),
        Mutant(
            name="joins with spaces",
            function=_joined_by_spaces,
            message='You join the lines with spaces; join them with "\\n", so that they stay lines.',
        ),
    ),
)


# --- surprise_score --------------------------------------------------------------------------------------------------


def _surprise_inputs(generator: torch.Generator, case: int) -> dict:
    def drawn(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Different numbers above 0 with one digit, which can be read."""
        n = torch.Size(shape).numel()
        return (torch.randperm(n * 10, generator=generator)[:n] / 10 + 0.1).to(dtype).reshape(shape)

    if case == 0:  # the first two are neither the largest nor the smallest
        smallest, small, large, largest = drawn(4).sort().values
        return {
            "nats": torch.stack([small, largest, smallest, large])[None],
            "real": torch.ones(1, 4, dtype=torch.bool),
            "k": 2,
        }
    if case == 1:  # the largest numbers stand at padding
        nats = drawn(1, 5)
        nats[:, 3:] += 9
        return {"nats": nats, "real": torch.tensor([[True, True, True, False, False]]), "k": 2}
    if case == 2:  # fewer real tokens than k, and fewer places
        return {"nats": drawn(1, 3), "real": torch.tensor([[True, True, False]]), "k": 4}
    if case == 3:  # no batch axis, one token
        return {"nats": drawn(1), "real": torch.tensor([True]), "k": 1}
    if case == 4:  # a row without real tokens
        return {"nats": drawn(2, 2), "real": torch.tensor([[True, True], [False, False]]), "k": 2}
    *batch, seq = ((3, 7), (2, 3, 5), (9,), (4, 11))[case % 4]
    nats = drawn(*batch, seq, dtype=(torch.float32, torch.float64)[case % 2])
    lengths = torch.randint(1, seq + 1, (*batch, 1), generator=generator)
    return {"nats": nats, "real": torch.arange(seq) < lengths, "k": integer(generator, 2, seq + 2)}


def _top(nats: Tensor, k: int) -> Tensor:
    return nats.topk(min(k, nats.shape[-1])).values


def _or_infinite(score: Tensor, real: Tensor) -> Tensor:
    return torch.where(real.any(-1), score, torch.inf)


def _counts_padding(nats, real, k):
    return _or_infinite(_top(nats, k).mean(-1), real)


def _divides_by_k(nats, real, k):
    return _or_infinite(_top(nats.masked_fill(~real, 0.0), k).sum(-1) / k, real)


def _divides_by_places(nats, real, k):
    return _or_infinite(_top(nats.masked_fill(~real, 0.0), k).mean(-1), real)


def _mean_of_all(nats, real, k):
    return _or_infinite(nats.masked_fill(~real, 0.0).sum(-1) / real.sum(-1), real)


def _least_surprising(nats, real, k):
    counted = real.sum(-1).clamp(max=k)
    smallest = nats.masked_fill(~real, torch.inf).topk(min(k, nats.shape[-1]), largest=False).values
    return _or_infinite(smallest.masked_fill(smallest.isinf(), 0.0).sum(-1) / counted.clamp(min=1), real)


def _sum(nats, real, k):
    return _or_infinite(_top(nats.masked_fill(~real, 0.0), k).sum(-1), real)


def _largest_alone(nats, real, k):
    return _or_infinite(nats.masked_fill(~real, 0.0).amax(-1), real)


def _kth_alone(nats, real, k):
    largest = nats.masked_fill(~real, 0.0).sort(dim=-1, descending=True).values
    place = (real.sum(-1, keepdim=True).clamp(max=k) - 1).clamp(min=0)
    return _or_infinite(largest.gather(-1, place).squeeze(-1), real)


def _first_k(nats, real, k):
    counted = real.sum(-1).clamp(max=k)
    return _or_infinite(nats.masked_fill(~real, 0.0)[..., :k].sum(-1) / counted.clamp(min=1), real)


def _one_score(nats, real, k):
    return curation.surprise_score(nats.flatten(), real.flatten(), k)


SURPRISE_SCORE = Exercise(
    name="surprise_score",
    lab="03",
    task=(
        "Return for each page the mean surprisal of its k most surprising tokens. `nats` [..., seq] holds -log p of "
        "each token, never negative; `real` [..., seq] is False at padding, which does not count. A page with fewer "
        "than k real tokens gets the mean over those it has, and one with none gets infinity. k is at least 1."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_surprise_inputs,
    reference=curation.surprise_score,
    cases=13,
    hints=(
        "Padding must not win: give it a surprisal that no real token is below, before you look for the largest.",
        "`nats.masked_fill(~real, 0.0).topk(k).values` has the k largest; k may be larger than the last axis.",
        "Divide the sum by `real.sum(-1).clamp(max=k)`, and put infinity where that is 0.",
    ),
    forbidden=("labutils.curation.surprise_score",),
    mutants=(
        Mutant(
            name="divides by k",
            function=_divides_by_k,
            message="You divide by k where a page has fewer than k tokens; divide by the number of tokens you took.",
        ),
        Mutant(
            name="divides by the places taken",
            function=_divides_by_places,
            message="You average padding in where a page has fewer than k real tokens; divide by the real ones alone.",
        ),
        Mutant(
            name="not a number for empty pages",
            function=lambda nats, real, k: _top(nats.masked_fill(~real, 0.0), k).sum(-1) / real.sum(-1).clamp(max=k),
            message="You divide 0 by 0 on a page without real tokens; the task asks for infinity there.",
        ),
        Mutant(
            name="zero for empty pages",
            function=lambda nats, real, k: (
                _top(nats.masked_fill(~real, 0.0), k).sum(-1) / real.sum(-1).clamp(min=1, max=k)
            ),
            message="You give 0, the best of scores, to a page without real tokens; it must be infinity, the worst.",
        ),
        Mutant(
            name="counts padding",
            function=_counts_padding,
            message="You let padding compete with the real tokens; mask it before you look for the largest.",
        ),
        Mutant(
            name="mean of all tokens",
            function=_mean_of_all,
            message="You average all tokens, which is the log of the perplexity; average the k most surprising ones.",
        ),
        Mutant(
            name="largest alone",
            function=_largest_alone,
            message="You take the single most surprising token; take the mean of k of them.",
        ),
        Mutant(
            name="k-th alone",
            function=_kth_alone,
            message="You take the k-th most surprising token alone; take the mean of all k.",
        ),
        Mutant(
            name="sum",
            function=_sum,
            message="You return the sum of the k surprisals; divide by how many there are.",
        ),
        Mutant(
            name="least surprising",
            function=_least_surprising,
            message="You take the k least surprising tokens; mistakes show in the most surprising ones.",
        ),
        Mutant(
            name="first k",
            function=_first_k,
            message="You take the first k tokens of the page; take those with the largest surprisal.",
        ),
        Mutant(
            name="one score for all pages",
            function=_one_score,
            message="You mix the tokens of all pages; every row (the last axis) is a page of its own.",
        ),
    ),
)


# --- ngram_jaccard ---------------------------------------------------------------------------------------------------

ANIMALS = ["dog", "cow", "owl", "wolf", "whale", "gull", "horse"]
WORDS = [*ANIMALS, "the", "the", "some", "sees", "near", "old", "red", "."]


def _jaccard_inputs(generator: torch.Generator, case: int) -> dict:
    x, y, z = (ANIMALS[i] for i in torch.randperm(len(ANIMALS), generator=generator)[:3].tolist())
    readable = {
        0: (f"the {x} sees the {y}", f"the {x} sees the {z}", 2),
        1: (f"the {x} sees the {x} sees", f"the {x} sees", 2),  # n-grams that repeat
        2: (f"the {x}", f"the {x} sees the {y}", 3),  # too short for a single n-gram
        3: (x, y, 2),  # neither has any
        4: (f"{x} near {y}", f"{y} near {x}", 2),  # the same words in another order
        5: (f"the old {x}", f"the old {x}", 3),
        6: (f"{x}  near\n{y}", f"near {y}  {x}", 1),  # any white space separates
    }
    if case in readable:
        first, second, n = readable[case]
        return {"first": first, "second": second, "n": n}
    words = choices(generator, WORDS, integer(generator, 14, 20))
    changed = words[integer(generator, 1, 3) :] + choices(generator, WORDS, integer(generator, 6, 9))
    changed[3] = "boat"
    first, second = (words, changed) if case % 2 else (changed, words)  # the longer page comes now first, now second
    return {"first": " ".join(first), "second": " ".join(second), "n": 1 + case % 3}


def _sets(first: str, second: str, n: int) -> tuple[set, set]:
    return set(ngrams(first.split(), n)), set(ngrams(second.split(), n))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _words_only(first, second, n):
    a, b = _sets(first, second, 1)
    return _share(len(a & b), len(a | b))


def _characters(first, second, n):
    a, b = set(ngrams(first, n)), set(ngrams(second, n))
    return _share(len(a & b), len(a | b))


def _with_repeats(first, second, n):
    a, b = ngrams(first.split(), n), ngrams(second.split(), n)
    shared = sum(min(a.count(gram), b.count(gram)) for gram in set(a))
    return _share(shared, len(a) + len(b) - shared)


def _containment(first, second, n):
    a, b = _sets(first, second, n)
    return _share(len(a & b), min(len(a), len(b)))


def _of_the_first(first, second, n):
    a, b = _sets(first, second, n)
    return _share(len(a & b), len(a))


def _dice(first, second, n):
    a, b = _sets(first, second, n)
    return _share(2 * len(a & b), len(a) + len(b))


def _sum_of_sizes(first, second, n):
    a, b = _sets(first, second, n)
    return _share(len(a & b), len(a) + len(b))


def _without_order(first, second, n):
    a, b = ({tuple(sorted(gram)) for gram in grams} for grams in _sets(first, second, n))
    return _share(len(a & b), len(a | b))


def _blocks(first, second, n):
    a, b = (set(ngrams(page.split(), n)[::n]) for page in (first, second))
    return _share(len(a & b), len(a | b))


def _same_if_empty(first, second, n):
    a, b = _sets(first, second, n)
    return len(a & b) / len(a | b) if a | b else 1.0


def _difference(first, second, n):
    a, b = _sets(first, second, n)
    return 1 - _share(len(a & b), len(a | b)) if a | b else 0.0


NGRAM_JACCARD = Exercise(
    name="ngram_jaccard",
    lab="03",
    task=(
        "Return the Jaccard similarity of two pages: the number of different word n-grams that both have, divided by "
        "the number that at least one of them has. White space separates words; an n-gram is n words in a row. If "
        "neither page has an n-gram, return 0."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_jaccard_inputs,
    reference=curation.ngram_jaccard,
    cases=15,
    hints=(
        "Make a set of n-grams for each page; sets forget order and repeats, and that is what you want.",
        "`tuple(words[i : i + n])` for i in `range(len(words) - n + 1)` gives the n-grams.",
        "`a & b` is what both have, `a | b` what either has.",
    ),
    forbidden=("labutils.curation.ngram_jaccard", "labutils.curation.ngrams"),
    mutants=(
        Mutant(
            name="one if both are empty",
            function=_same_if_empty,
            message="You call two pages without n-grams alike; the task asks for 0 there.",
        ),
        Mutant(
            name="counts repeats",
            function=_with_repeats,
            message="You count an n-gram as often as it occurs; the similarity counts different n-grams, so use sets.",
        ),
        Mutant(
            name="forgets order",
            function=_without_order,
            message="You ignore the order inside an n-gram; use tuples of the words as they stand.",
        ),
        Mutant(
            name="words instead of n-grams",
            function=_words_only,
            message="You compare single words; two pages can share all their words and no sentence, so use n in a row.",
        ),
        Mutant(
            name="characters",
            function=_characters,
            message="You make n-grams of characters; split the page into words first.",
        ),
        Mutant(
            name="blocks",
            function=_blocks,
            message="You cut the page into blocks of n words; n-grams overlap, one starts at every word.",
        ),
        Mutant(
            name="share of the smaller page",
            function=_containment,
            message="You divide by the smaller of the two sets, which is containment; divide by the union.",
        ),
        Mutant(
            name="share of the first page",
            function=_of_the_first,
            message="You divide by the n-grams of the first page; divide by those of both together, the union.",
        ),
        Mutant(
            name="Dice",
            function=_dice,
            message="You compute Dice's coefficient, 2|A∩B| / (|A| + |B|); Jaccard divides by the union, |A∪B|.",
        ),
        Mutant(
            name="sum of the sizes",
            function=_sum_of_sizes,
            message="You divide by |A| + |B|, which counts what both have twice; divide by the union, |A∪B|.",
        ),
        Mutant(
            name="difference",
            function=_difference,
            message="You return the distance, 1 minus the similarity.",
        ),
    ),
)


# --- minhash_signature -----------------------------------------------------------------------------------------------


def _minhash_inputs(generator: torch.Generator, case: int) -> dict:
    n_items, n_hashes = ((5, 4), (1, 3), (6, 1), (9, 7))[case % 4]
    limit = PRIME
    if case == 0:  # small enough for mental arithmetic
        n_items, n_hashes, limit = 3, 2, 10
    items, multipliers, offsets = (
        torch.randint(1, limit, (n,), generator=generator) for n in (n_items, n_hashes, n_hashes)
    )
    if case % 3 == 2:  # an item twice
        items = torch.cat((items, items[:1]))
    return {"items": items, "multipliers": multipliers, "offsets": offsets}


def _hashes(items: Tensor, multipliers: Tensor, offsets: Tensor) -> Tensor:
    return (multipliers[:, None] * items + offsets[:, None]) % PRIME


MINHASH_SIGNATURE = Exercise(
    name="minhash_signature",
    lab="03",
    task=(
        "Return the MinHash signature [hashes] of a set of whole numbers: for each hash function "
        "h_j(x) = (multipliers[j] · x + offsets[j]) mod (2**31 - 1), the smallest hash of any of the `items`. All "
        "arguments are tensors of whole numbers with one axis: `items` [items], at least one, `multipliers` and "
        "`offsets` [hashes]. Everything fits into 64 bits."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_minhash_inputs,
    reference=curation.minhash_signature,
    cases=10,
    hints=(
        "Make a table of all hashes first: one row for each hash function, one column for each item.",
        "`multipliers[:, None] * items` has the shape [hashes, items]; the offsets need the same new axis.",
        "Take the remainder, then the smallest of each row: `.min(dim=1).values`.",
    ),
    forbidden=("labutils.curation.minhash_signature",),
    mutants=(
        Mutant(
            name="hashes the smallest item",
            function=lambda items, multipliers, offsets: (multipliers * items.min() + offsets) % PRIME,
            message="You look for the smallest item before you hash, so one item wins under all functions; hash first.",
        ),
        Mutant(
            name="no remainder",
            function=lambda items, multipliers, offsets: (
                (multipliers[:, None] * items + offsets[:, None]).min(dim=1).values
            ),
            message="You leave out the remainder; without it the order of the items never changes.",
        ),
        Mutant(
            name="no offsets",
            function=lambda items, multipliers, offsets: _hashes(items, multipliers, 0 * offsets).min(dim=1).values,
            message="You leave out the offsets; the hash is (a · x + b) mod p.",
        ),
        Mutant(
            name="wrong power of two",
            function=lambda items, multipliers, offsets: (
                ((multipliers[:, None] * items + offsets[:, None]) % 2**31).min(dim=1).values
            ),
            message="You take the remainder by 2**31; the prime is 2**31 - 1.",
        ),
        Mutant(
            name="smallest over the functions",
            function=lambda items, multipliers, offsets: _hashes(items, multipliers, offsets).min(dim=0).values,
            message="You take the minimum over the hash functions, one number an item; take it over the items.",
        ),
        Mutant(
            name="largest",
            function=lambda items, multipliers, offsets: _hashes(items, multipliers, offsets).max(dim=1).values,
            message="You take the largest hash; MinHash keeps the smallest.",
        ),
        Mutant(
            name="place of the smallest",
            function=lambda items, multipliers, offsets: _hashes(items, multipliers, offsets).argmin(dim=1),
            message="You return the place of the smallest hash; return the hash itself, two pages cannot share places.",
        ),
        Mutant(
            name="the item of the smallest hash",
            function=lambda items, multipliers, offsets: items[_hashes(items, multipliers, offsets).argmin(dim=1)],
            message="You return the item whose hash is smallest; return the hash.",
        ),
        Mutant(
            name="one number",
            function=lambda items, multipliers, offsets: _hashes(items, multipliers, offsets).min(),
            message="You return one minimum for all hash functions; the signature has one entry for each.",
        ),
    ),
)


# --- mixture_epochs --------------------------------------------------------------------------------------------------


def _epochs_inputs(generator: torch.Generator, case: int) -> dict:
    def drawn(n: int) -> list[float]:
        return [float(number) for number in torch.randint(1, 40, (n,), generator=generator).tolist()]

    n = (2, 3, 1, 2)[case] if case < 4 else 2 + case % 4
    shares, sizes, budget = drawn(n), drawn(n), float(integer(generator, 50, 300))
    if case == 0:
        shares = [0.5, 0.5]
    if case == 1:  # percent
        shares = [60.0, 30.0, 10.0]
    if case == 3:  # a source that is not used
        shares = [0.0, 2.0]
    return {"shares": shares, "sizes": sizes, "budget": budget}


def _rounded_epochs(shares, sizes, budget):
    return [float(round(epochs)) for epochs in curation.mixture_epochs(shares, sizes, budget)]


MIXTURE_EPOCHS = Exercise(
    name="mixture_epochs",
    lab="03",
    task=(
        "Return how often each source of a mixture is read, as a list. `budget` tokens are drawn in all; a source has "
        "its share of them, and `sizes` says how many tokens it has. `shares` are weights that need not sum to 1 "
        "(think of percentages that were rounded): divide them by their sum. Sizes are positive."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_epochs_inputs,
    reference=curation.mixture_epochs,
    cases=9,
    hints=(
        "How many tokens are drawn from a source? Then: how many times its size is that?",
        "Tokens drawn = share / sum of the shares × budget.",
        "One epoch is one pass: divide the tokens drawn by the size.",
    ),
    forbidden=("labutils.curation.mixture_epochs",),
    mutants=(
        Mutant(
            name="shares as they are",
            function=lambda shares, sizes, budget: [
                share * budget / size for share, size in zip(shares, sizes, strict=True)
            ],
            message="You use the shares as they are; they are weights, so divide them by their sum.",
        ),
        Mutant(
            name="takes percentages for granted",
            function=lambda shares, sizes, budget: [
                share / 100 * budget / size for share, size in zip(shares, sizes, strict=True)
            ],
            message="You divide the shares by 100; not all weights are percentages, so divide them by their sum.",
        ),
        Mutant(
            name="tokens drawn",
            function=lambda shares, sizes, budget: [share / sum(shares) * budget for share in shares],
            message="You return the tokens drawn from each source; an epoch is a pass, so divide by its size.",
        ),
        Mutant(
            name="upside down",
            function=lambda shares, sizes, budget: [
                size * sum(shares) / (share * budget) if share else 0.0
                for share, size in zip(shares, sizes, strict=True)
            ],
            message="You divide the size by the tokens drawn; a small source that is drawn often has many epochs.",
        ),
        Mutant(
            name="proportional to size",
            function=lambda shares, sizes, budget: [budget / sum(sizes) for _ in sizes],
            message="You draw in proportion to size, so that all sources have the same epochs; use the shares.",
        ),
        Mutant(
            name="share of the whole size",
            function=lambda shares, sizes, budget: [share / sum(shares) * budget / sum(sizes) for share in shares],
            message="You divide by the size of the whole mixture; divide by the size of each source.",
        ),
        Mutant(
            name="whole epochs",
            function=_rounded_epochs,
            message="You round to whole epochs; a source may well be read 0.44 times, which means in part.",
        ),
        Mutant(
            name="forgets the budget",
            function=lambda shares, sizes, budget: [
                share / sum(shares) / (size / sum(sizes)) for share, size in zip(shares, sizes, strict=True)
            ],
            message="You leave out the budget; twice as many tokens drawn are twice the epochs.",
        ),
    ),
)


EXERCISES = (MIXTURE_EPOCHS, CLEAN_PAGE, SURPRISE_SCORE, NGRAM_JACCARD, MINHASH_SIGNATURE)
