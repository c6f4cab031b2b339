"""The exercises of lab 13, responses and backtranslation: two checks of data, a loss, and a choice by score."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from labutils import objectives, synthetic
from labutils.curation import ngrams
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import choices, integer, shuffled

# --- distillation_loss -----------------------------------------------------------------------------------------------


def _distillation_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        student, teacher = (torch.tensor([shuffled(generator, [0.0, 1.0, 3.0])]) for _ in range(2))
        return {"student": student, "teacher": teacher + torch.tensor([0.0, 0.5, 0.0]), "temperature": 2.0}
    if case == 1:
        student, teacher = torch.randn(2, 1, 2, generator=generator).round(decimals=1)
        return {"student": student, "teacher": teacher + torch.tensor([0.0, 1.0]), "temperature": 1.0}
    shape = ((2, 5), (3, 2, 7), (4, 3), (2, 3, 4), (5, 6), (2, 4, 3))[case - 2]
    student, teacher = 2 * torch.randn(2, *shape, generator=generator)
    low, high = ((15, 40), (3, 8), (50, 90))[case % 3]
    return {"student": student, "teacher": teacher, "temperature": integer(generator, low, high) / 10}


def _distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    return objectives.distillation_loss(student, teacher, temperature=temperature)


def _kl(p_logits: Tensor, q_logits: Tensor, dim: int = -1) -> Tensor:
    """KL(p || q) at every position."""
    p, q = p_logits.log_softmax(dim), q_logits.log_softmax(dim)
    return (p.exp() * (p - q)).sum(dim)


DISTILLATION_LOSS = Exercise(
    name="distillation_loss",
    lab="13",
    task=(
        "Return T² times the mean over all positions of KL(teacher || student), where both laws are the softmax of the "
        "logits divided by the temperature T. `student` and `teacher` are logits of the shape [..., vocab]. "
        "KL(p || q) is the sum over the vocabulary of p · (log p − log q), in nats. Return one number."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_distillation_inputs,
    reference=_distillation,
    cases=8,
    hints=(
        "Divide both by T first. `log_softmax(-1)` then gives log p for the teacher and log q for the student.",
        "The sum over the vocabulary makes one number a position; `.mean()` averages those, whatever the axes are.",
        "`(log_p.exp() * (log_p - log_q)).sum(-1).mean() * temperature**2`.",
    ),
    forbidden=("labutils.objectives.distillation_loss", "labutils.objectives.kl_to_law"),
    mutants=(
        Mutant(
            name="no T squared",
            function=lambda student, teacher, temperature: _kl(teacher / temperature, student / temperature).mean(),
            message="You leave out the factor T², without which a higher temperature weakens the gradient.",
        ),
        Mutant(
            name="T instead of T squared",
            function=lambda student, teacher, temperature: (
                temperature * _kl(teacher / temperature, student / temperature).mean()
            ),
            message="You multiply by T once; each of the two logits is divided by T, so the factor is T².",
        ),
        Mutant(
            name="temperature on the teacher only",
            function=lambda student, teacher, temperature: temperature**2 * _kl(teacher / temperature, student).mean(),
            message="You soften the teacher only, so the student would have to be softer at T = 1; divide both by T.",
        ),
        Mutant(
            name="temperature on the student only",
            function=lambda student, teacher, temperature: temperature**2 * _kl(teacher, student / temperature).mean(),
            message="You soften the student only; divide the teacher's logits by T as well.",
        ),
        Mutant(
            name="multiplied by T",
            function=lambda student, teacher, temperature: (
                temperature**2 * _kl(teacher * temperature, student * temperature).mean()
            ),
            message="You multiply the logits by T, which sharpens the laws; divide by it.",
        ),
        Mutant(
            name="the wrong way round",
            function=lambda student, teacher, temperature: (
                temperature**2 * _kl(student / temperature, teacher / temperature).mean()
            ),
            message="You compute KL(student || teacher); the weights before the logarithms must be the teacher's.",
        ),
        Mutant(
            name="softmax over the wrong axis",
            function=lambda student, teacher, temperature: (
                temperature**2 * _kl(teacher / temperature, student / temperature, dim=0).mean()
            ),
            message="You take the softmax over the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="mean over the vocabulary",
            function=lambda student, teacher, temperature: (
                temperature**2
                * F.kl_div(
                    (student / temperature).log_softmax(-1), (teacher / temperature).softmax(-1), reduction="none"
                ).mean()
            ),
            message="You average over the vocabulary too; sum over the words, and average over the positions only.",
        ),
        Mutant(
            name="batchmean with several axes",
            function=lambda student, teacher, temperature: (
                temperature**2 * _kl(teacher / temperature, student / temperature).sum() / len(student)
            ),
            message="You divide by the first axis alone, as reduction='batchmean' does; divide by all positions.",
        ),
        Mutant(
            name="sum over the positions",
            function=lambda student, teacher, temperature: (
                temperature**2 * _kl(teacher / temperature, student / temperature).sum()
            ),
            message="You add up the positions; take their mean, so that the loss does not grow with the batch.",
        ),
        Mutant(
            name="cross-entropy",
            function=lambda student, teacher, temperature: (
                -(temperature**2)
                * ((teacher / temperature).softmax(-1) * (student / temperature).log_softmax(-1)).sum(-1).mean()
            ),
            message="You return the cross-entropy, which has the same gradient; subtract the teacher's entropy for KL.",
        ),
        Mutant(
            name="hard labels",
            function=lambda student, teacher, temperature: F.cross_entropy(
                student.flatten(0, -2), teacher.argmax(-1).flatten()
            ),
            message="You train on the teacher's likeliest word; soft labels are its whole law.",
        ),
    ),
)


# --- keep_best -------------------------------------------------------------------------------------------------------

NAN = math.nan


def _keep_best_inputs(generator: torch.Generator, case: int) -> dict:
    match case:
        case 0:
            return {"scores": shuffled(generator, [1.0, 2.5, 3.0, 4.5]), "share": 0.5}
        case 1:  # the share is not a whole number of rows: 1.25 becomes 2
            return {"scores": shuffled(generator, [0.5, 1.0, 2.0, 3.5, 4.0]), "share": 0.25}
        case 2:  # ties with the last one kept, as a judge with few grades gives them
            return {"scores": shuffled(generator, [5.0, 4.0, 4.0, 4.0, 3.0, 1.0]), "share": 0.3}
        case 3:  # a judge that gave no score: 2 of 4 scored rows, not 3 of 6
            return {"scores": shuffled(generator, [0.1, 0.4, 0.6, 0.9, NAN, NAN]), "share": 0.5}
        case 4:
            return {"scores": [NAN] * integer(generator, 1, 3), "share": 0.5}
        case 5:  # everything, also what is negative
            return {"scores": shuffled(generator, [-2.0, -0.5, -1.0, 3.0]), "share": 1.0}
        case 6:
            return {"scores": shuffled(generator, [-1.5, -0.25, -3.0, -2.0, NAN]), "share": 0.25}
    scores = (3 * torch.randn(integer(generator, 9, 15), generator=generator)).round(decimals=case - 7).tolist()
    return {"scores": [*scores, NAN], "share": choices(generator, [0.13, 0.37, 0.61], 1)[0]}


def _ranked(scores: list[float]) -> list[float]:
    return sorted((s for s in scores if not math.isnan(s)), reverse=True)


def _from_threshold(scores: list[float], count: int) -> list[bool]:
    ranked = _ranked(scores)
    if not ranked:
        return [False] * len(scores)
    threshold = ranked[min(max(count, 1), len(ranked)) - 1]
    return [s >= threshold for s in scores]


def _exactly(scores: list[float], share: float) -> list[bool]:
    count = math.ceil(share * len(_ranked(scores)))
    order = sorted((i for i, s in enumerate(scores) if not math.isnan(s)), key=lambda i: -scores[i])
    return [i in order[:count] for i in range(len(scores))]


def _drops_the_last(scores: list[float], share: float) -> list[bool]:
    ranked = _ranked(scores)
    return [s > ranked[math.ceil(share * len(ranked)) - 1] for s in scores] if ranked else [False] * len(scores)


def _lowest(scores: list[float], share: float) -> list[bool]:
    ranked = _ranked(scores)[::-1]
    return [s <= ranked[math.ceil(share * len(ranked)) - 1] for s in scores] if ranked else [False] * len(scores)


def _nan_is_best(scores: list[float], share: float) -> list[bool]:
    filled = [math.inf if math.isnan(s) else s for s in scores]
    return _from_threshold(filled, math.ceil(share * len(filled)))


def _nan_is_kept(scores: list[float], share: float) -> list[bool]:
    kept = synthetic.keep_best(scores, share)
    return [k or math.isnan(s) for k, s in zip(kept, scores, strict=True)]


KEEP_BEST = Exercise(
    name="keep_best",
    lab="13",
    task=(
        "Return a list of truth values, one for each score: which rows to keep. Leave out the scores that are NaN; of "
        "the n that remain, keep a row if fewer than share · n of them are higher than its own. So rows that tie stay "
        "or go together, and a share that is no whole number of rows is rounded up. A row whose score is NaN is never "
        "kept. 0 < share <= 1."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_keep_best_inputs,
    reference=synthetic.keep_best,
    cases=10,
    hints=(
        "First make a list of the scores that are not NaN (`math.isnan`); its length is n.",
        "For each score count how many of that list are higher, and compare the count with share · n.",
        "A comparison with NaN is False, so NaN has nothing above it: treat it before you compare.",
    ),
    forbidden=("labutils.synthetic.keep_best",),
    mutants=(
        Mutant(
            name="counts NaN among the rows",
            function=lambda scores, share: _from_threshold(scores, math.ceil(share * len(scores))),
            message="You take the share of all rows; take it of those that have a score.",
        ),
        Mutant(
            name="keeps NaN",
            function=_nan_is_kept,
            message="You keep rows without a score: a comparison with NaN is always False, so test for it.",
        ),
        Mutant(
            name="ranks NaN first",
            function=_nan_is_best,
            message="You rank NaN above all scores, as sorting in torch does; leave it out before you rank.",
        ),
        Mutant(
            name="exactly so many",
            function=_exactly,
            message="You keep some rows that tie and drop others, by their place alone; they stay or go together.",
        ),
        Mutant(
            name="rounds down",
            function=lambda scores, share: _from_threshold(scores, math.floor(share * len(_ranked(scores)))),
            message="You round the number of rows down; the last row that the share touches is kept.",
        ),
        Mutant(
            name="drops all that tie",
            function=_drops_the_last,
            message="You drop the last row of the share and all that tie with it; those belong to the rows to keep.",
        ),
        Mutant(
            name="one too many",
            function=lambda scores, share: _from_threshold(scores, math.ceil(share * len(_ranked(scores))) + 1),
            message="You keep one row too many; counting from zero, the k-th best has the index k − 1.",
        ),
        Mutant(
            name="the lowest",
            function=_lowest,
            message="You keep the rows with the lowest scores; a high score means good.",
        ),
        Mutant(
            name="the others",
            function=lambda scores, share: [not keep for keep in synthetic.keep_best(scores, share)],
            message="You return which rows to drop; return which rows to keep.",
        ),
        Mutant(
            name="share as a score",
            function=lambda scores, share: [s >= share for s in scores],
            message="You compare the scores with the share itself; the share counts rows, whatever their scores are.",
        ),
    ),
)


# --- uncontaminated --------------------------------------------------------------------------------------------------

DOCUMENTS = [
    "the old dog near a barn sleeps today .",
    "some cows carry the heavy basket home .",
    "a teacher reads the small book quietly .",
    "the sailor sees an owl under the tree .",
    "an empty boat hides the rope and a coin .",
]


def _contamination_inputs(generator: torch.Generator, case: int) -> dict:
    a, b, c, d, _ = (document.split() for document in shuffled(generator, DOCUMENTS))
    n = 3
    match case:
        case 0:  # the first shares three words in a row, the second does not
            texts, tests = [a[1:4] + b[1:3], c[:5]], [a[:5]]
        case 1:  # many words of the test, never three in a row
            two_and_two, turned, two = [*a[:2], c[3], *a[2:4]], [a[2], c[3], a[1], c[3], a[0]], [*a[:2], c[3]]
            texts, tests = [two_and_two, turned, two, b[:4]], [a[:4], b]
        case 2:  # a row of words may not begin in one test and end in the next
            texts, tests = [[*a[-2:], *b[:2]], b[2:]], [a, b[:3], c]
        case 3:  # in other letters and with other spaces
            texts, tests = [[word.upper() for word in a], ["", *b[:4]], c], [["", *a[:6]], [w.title() for w in d]]
        case 4:  # a part of a word is not the word
            texts, tests = [["x" + a[1], a[2], a[3] + "x", *b[:2]], a[:4], [word + "x" for word in a]], [a]
        case 5:  # too short to share three in a row
            texts, tests = [a[:2], [], a[:3]], [a]
        case 6:  # at the very end
            texts, tests = [[*b[:3], *c[-3:]], d], [c, a]
        case _:
            n = case - 5
            texts, tests = [a[: n - 1] + b, [*d, *c[-n:]], [*d[: n - 1], *b], [a[0], *d]], [a, c]
    return {"texts": [" ".join(text) for text in texts], "tests": [" ".join(test) for test in tests], "n": n}


def _grams(text: str, n: int) -> set:
    return set(ngrams(text.lower().split(), n))


def _disjoint(texts: list[str], forbidden: set, n: int) -> list[bool]:
    return [forbidden.isdisjoint(_grams(text, n)) for text in texts]


def _case_matters(texts, tests, n):
    forbidden = {gram for test in tests for gram in ngrams(test.split(), n)}
    return [forbidden.isdisjoint(ngrams(text.split(), n)) for text in texts]


def _inside_words(texts, tests, n):
    runs = [" ".join(gram) for test in tests for gram in _grams(test, n)]
    return [not any(run in " ".join(text.lower().split()) for run in runs) for text in texts]


def _of_characters(texts, tests, n):
    forbidden = {gram for test in tests for gram in ngrams(test.lower(), n)}
    return [forbidden.isdisjoint(ngrams(text.lower(), n)) for text in texts]


def _one_word(texts, tests, n):
    known = {word for test in tests for word in test.lower().split()}
    return [known.isdisjoint(text.lower().split()) for text in texts]


def _whole_texts(texts, tests, n):
    known = {" ".join(test.lower().split()) for test in tests}
    return [" ".join(text.lower().split()) not in known for text in texts]


def _without_order(texts, tests, n):
    known = [set(test.lower().split()) for test in tests]
    return [not any(len(words & set(text.lower().split())) >= n for words in known) for text in texts]


def _drops_the_short(texts, tests, n):
    kept = synthetic.uncontaminated(texts, tests, n)
    return [keep and len(text.split()) >= n for keep, text in zip(kept, texts, strict=True)]


UNCONTAMINATED = Exercise(
    name="uncontaminated",
    lab="13",
    task=(
        "Return a list of truth values, one for each of the strings `texts`: True if the text shares no n words in a "
        "row with any of the strings `tests`. Words are what spaces separate; capital and small letters are the same. "
        "A run of words lies within one test. A text of fewer than n words shares nothing."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_contamination_inputs,
    reference=synthetic.uncontaminated,
    cases=10,
    hints=(
        "`text.lower().split()` gives the words; `words[i : i + n]` is a run of n of them.",
        "Put the runs of every test into one set, as tuples, since a list cannot be in a set.",
        "A text is clean if none of its own runs is in that set; `range(len(words) - n + 1)` gives their places.",
    ),
    forbidden=("labutils.synthetic.uncontaminated", "labutils.curation.ngrams"),
    mutants=(
        Mutant(
            name="capital letters count",
            function=_case_matters,
            message="You take capital and small letters for different; a copy in capitals is a copy.",
        ),
        Mutant(
            name="looks inside words",
            function=_inside_words,
            message="You search in the string, which also finds parts of words; compare whole words.",
        ),
        Mutant(
            name="joins the tests",
            function=lambda texts, tests, n: _disjoint(texts, _grams(" ".join(tests), n), n),
            message="You join the tests, so that runs arise that begin in one and end in the next; go test by test.",
        ),
        Mutant(
            name="the first test only",
            function=lambda texts, tests, n: _disjoint(texts, _grams(tests[0], n), n),
            message="You compare with the first test only; a text must share no run with any of them.",
        ),
        Mutant(
            name="drops short texts",
            function=_drops_the_short,
            message="You drop texts of fewer than n words; they share no run and stay.",
        ),
        Mutant(
            name="misses the last run",
            function=lambda texts, tests, n: _disjoint(
                [" ".join(text.split()[:-1]) for text in texts], {gram for test in tests for gram in _grams(test, n)}, n
            ),
            message="You miss the last run of a text; there are len(words) − n + 1 of them.",
        ),
        Mutant(
            name="runs one word too short",
            function=lambda texts, tests, n: _disjoint(
                texts, {gram for test in tests for gram in _grams(test, n - 1)}, n - 1
            ),
            message="Your runs have n − 1 words; words[i : i + n] has n.",
        ),
        Mutant(
            name="runs one word too long",
            function=lambda texts, tests, n: _disjoint(
                texts, {gram for test in tests for gram in _grams(test, n + 1)}, n + 1
            ),
            message="Your runs have n + 1 words; words[i : i + n] has n.",
        ),
        Mutant(
            name="words in any order",
            function=_without_order,
            message="You count shared words in any order; they must stand in a row, in the same order.",
        ),
        Mutant(
            name="single words",
            function=_one_word,
            message="You drop texts that share a single word with a test; only n words in a row count.",
        ),
        Mutant(
            name="whole texts only",
            function=_whole_texts,
            message="You find only texts that equal a whole test; a part of n words is enough.",
        ),
        Mutant(
            name="characters",
            function=_of_characters,
            message="You compare runs of n characters; split the texts into words first.",
        ),
        Mutant(
            name="the other way round",
            function=lambda texts, tests, n: [not clean for clean in synthetic.uncontaminated(texts, tests, n)],
            message="You return True for the texts to drop; True means that a text is clean.",
        ),
    ),
)


# --- missing_provenance ----------------------------------------------------------------------------------------------

ROW = {
    "prompt": "where is titan ?",
    "response": "it is a moon of saturn .",
    "model": "world decoder",
    "licence": "mit",
    "seed": 17,
    "filters": ["rule"],
}
REQUIRED = ["prompt", "model", "seed", "filters", "licence"]


def _with_dictionaries(student_function, rows, required):
    """Rows come as lists of [name, value], which are plain data; the function gets dictionaries."""
    return student_function([dict(row) for row in rows], required)


def _provenance_inputs(generator: torch.Generator, case: int) -> dict:
    def row(*without: str, **changes: Any) -> list:
        return [[name, changes.get(name, value)] for name, value in ROW.items() if name not in without]

    name, other = shuffled(generator, ["prompt", "model", "licence"])[:2]
    seed = integer(generator, 1, 99)
    match case:
        case 0:
            rows = [row(seed=seed), row(name)]
        case 1:  # a text of spaces says nothing
            rows = [row(seed=seed, **{name: "   "}), row(**{other: ""})]
        case 2:  # a seed of 0 is a seed, and no filters are a list of filters
            rows = [row(seed=0), row(filters=[]), row("seed", **{name: "\t"})]
        case 3:  # several at once, and the order is that of `required`
            rows = [row(name, "seed", other), row("filters", **{name: " "})]
        case 4:  # other columns may lack
            rows = [row("response", seed=seed), row(name, response="")]
        case _:
            rows = [
                row(*choices(generator, REQUIRED, 2), **dict.fromkeys(choices(generator, [name, other], 1), "  "))
                for _ in range(case - 2)
            ]
    required = sorted(REQUIRED, reverse=True) if case == 3 else shuffled(generator, REQUIRED)
    return {"rows": rows, "required": required}


def _lacks(row: dict, name: str) -> bool:
    value = row.get(name)
    return name not in row or (isinstance(value, str) and not value.strip())


def _missing_provenance(rows: list[dict], required: list[str]) -> list[list[str]]:
    return [[name for name in required if _lacks(row, name)] for row in rows]


MISSING_PROVENANCE = Exercise(
    name="missing_provenance",
    lab="13",
    task=(
        "Return one list for each of the dictionaries `rows`: the names in `required`, in that order, that the row "
        "lacks. A row lacks a name that is not a key of it, or whose value is a text of nothing but spaces, tabs or "
        "newlines. Numbers and lists are never lacking, not even 0 and []."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_provenance_inputs,
    reference=_missing_provenance,
    adapter=_with_dictionaries,
    cases=8,
    hints=(
        "Two loops: for each row, for each required name. The result has as many lists as there are rows.",
        "`name not in row` finds a missing key; `isinstance(value, str)` tells a text from a number or a list.",
        "`value.strip()` is empty if a text holds nothing but spaces.",
    ),
    mutants=(
        Mutant(
            name="zero is missing",
            function=lambda rows, required: [
                [name for name in required if not row.get(name) or _lacks(row, name)] for row in rows
            ],
            message="You take every empty value for missing, even a seed of 0; only keys and texts can be.",
        ),
        Mutant(
            name="keys only",
            function=lambda rows, required: [[name for name in required if name not in row] for row in rows],
            message="You look for keys only; a text of nothing but spaces tells nothing either.",
        ),
        Mutant(
            name="spaces are a text",
            function=lambda rows, required: [
                [name for name in required if name not in row or row[name] == ""] for row in rows
            ],
            message="You find the empty text but not one of spaces; strip it before you compare.",
        ),
        Mutant(
            name="the order of the row",
            function=lambda rows, required: [sorted(name for name in required if _lacks(row, name)) for row in rows],
            message="You sort the names; keep the order of `required`.",
        ),
        Mutant(
            name="faulty rows only",
            function=lambda rows, required: [lacks for lacks in _missing_provenance(rows, required) if lacks],
            message="You leave out rows without a fault, so that places no longer tell rows; give them an empty list.",
        ),
        Mutant(
            name="all in one list",
            function=lambda rows, required: [name for lacks in _missing_provenance(rows, required) for name in lacks],
            message="You put all names into one list; make one list for each row.",
        ),
        Mutant(
            name="the first fault only",
            function=lambda rows, required: [lacks[:1] for lacks in _missing_provenance(rows, required)],
            message="You stop at the first name that a row lacks; find them all.",
        ),
        Mutant(
            name="all columns",
            function=lambda rows, required: [
                [name for name in dict.fromkeys([*required, *row]) if _lacks(row, name)] for row in rows
            ],
            message="You also report columns that are not required; look at the names in `required` only.",
        ),
        Mutant(
            name="what is there",
            function=lambda rows, required: [[name for name in required if not _lacks(row, name)] for row in rows],
            message="You return the names that a row has; return those that it lacks.",
        ),
        Mutant(
            name="numbers",
            function=lambda rows, required: [len(lacks) for lacks in _missing_provenance(rows, required)],
            message="You count the faults; return the names.",
        ),
    ),
)


EXERCISES = (MISSING_PROVENANCE, DISTILLATION_LOSS, KEEP_BEST, UNCONTAMINATED)
