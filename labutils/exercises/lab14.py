"""The exercises of lab 14, preferences: two losses, a choice among answers, and a judge who is asked twice."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from labutils import objectives
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer, shuffled

# --- bradley_terry_loss ----------------------------------------------------------------------------------------------


def _bradley_terry_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        low, high = shuffled(generator, [0.5, 1.5])[0], 3.0
        return {"chosen": torch.tensor([high]), "rejected": torch.tensor([low])}
    if case == 1:  # one pair is ranked the wrong way round
        return {"chosen": torch.tensor([1.0, 0.5]), "rejected": torch.tensor(shuffled(generator, [2.0, -1.0]))}
    if case == 2:  # so far apart that the probability is 0 in single precision
        return {"chosen": torch.tensor([-120.0, 1.0]), "rejected": torch.tensor(shuffled(generator, [90.0, 80.0]))}
    chosen, rejected = 2 * torch.randn(2, integer(generator, 3, 8), generator=generator)
    return {"chosen": chosen + 0.5, "rejected": rejected}


BRADLEY_TERRY_LOSS = Exercise(
    name="bradley_terry_loss",
    lab="14",
    task=(
        "Return the mean over all pairs of −log σ(chosen − rejected), in nats. `chosen` and `rejected` are the scores "
        "of the better and of the worse answer, both of the shape [pairs], and σ(x) = 1 / (1 + exp(−x)). The result "
        "must be finite and right also where the rejected answer is ahead by hundreds."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_bradley_terry_inputs,
    reference=objectives.bradley_terry_loss,
    cases=8,
    hints=(
        "Subtract first: the model says only how the difference of two scores becomes a probability.",
        "σ of a very negative number is 0 in the computer, and its logarithm is not finite.",
        "`torch.nn.functional.logsigmoid` computes log σ in one step, without that loss of precision.",
    ),
    forbidden=("labutils.objectives.bradley_terry_loss",),
    mutants=(
        Mutant(
            name="logarithm of a rounded sigmoid",
            function=lambda chosen, rejected: -(chosen - rejected).sigmoid().log().mean(),
            message="You take the logarithm of a probability that was rounded to 0; compute log σ in one step.",
        ),
        Mutant(
            name="the wrong way round",
            function=lambda chosen, rejected: -F.logsigmoid(rejected - chosen).mean(),
            message="You subtract the wrong way round, so the loss falls when the worse answer wins.",
        ),
        Mutant(
            name="without the minus",
            function=lambda chosen, rejected: F.logsigmoid(chosen - rejected).mean(),
            message="You return the mean log-probability; a loss is its negative.",
        ),
        Mutant(
            name="probability of a mistake",
            function=lambda chosen, rejected: 1 - (chosen - rejected).sigmoid().mean(),
            message="You return the probability that the worse answer wins; take −log σ of the difference.",
        ),
        Mutant(
            name="without the logarithm",
            function=lambda chosen, rejected: -(chosen - rejected).sigmoid().mean(),
            message="You leave out the logarithm; the loss is −log σ, not −σ.",
        ),
        Mutant(
            name="logarithm of the mean",
            function=lambda chosen, rejected: -(chosen - rejected).sigmoid().mean().log(),
            message="You average the probabilities before the logarithm; take the logarithm for each pair.",
        ),
        Mutant(
            name="each score alone",
            function=lambda chosen, rejected: -(F.logsigmoid(chosen) + F.logsigmoid(-rejected)).mean(),
            message="You judge each score alone; only their difference goes through the sigmoid.",
        ),
        Mutant(
            name="sum over the pairs",
            function=lambda chosen, rejected: -F.logsigmoid(chosen - rejected).sum(),
            message="You add up the pairs; take their mean, so that the loss does not grow with the batch.",
        ),
        Mutant(
            name="difference of the means",
            function=lambda chosen, rejected: -F.logsigmoid(chosen.mean() - rejected.mean()),
            message="You compare the mean scores; compare each pair, then average.",
        ),
        Mutant(
            name="in bits",
            function=lambda chosen, rejected: -F.logsigmoid(chosen - rejected).mean() / math.log(2),
            message="You use the logarithm to base 2; nats take the natural one.",
        ),
        Mutant(
            name="hinge",
            function=lambda chosen, rejected: (1 - chosen + rejected).relu().mean(),
            message="You use the hinge loss of a margin of 1, which is 0 beyond it; Bradley and Terry use −log σ.",
        ),
    ),
)


# --- dpo_loss --------------------------------------------------------------------------------------------------------


def _dpo_inputs(generator: torch.Generator, case: int) -> dict:
    pairs = 1 if case == 0 else integer(generator, 2, 4)
    lengths = (2, 3) if case == 0 else shuffled(generator, [3, 4, 6])[:2]
    tables = []
    for length in lengths:
        policy, reference = -2 * torch.rand(2, pairs, length, generator=generator) - 0.2
        for row in range(1, pairs):  # behind a shorter answer stands padding
            end = integer(generator, length - 1, length)
            policy[row, end:] = reference[row, end:] = 0.0
        tables.append((policy, reference))
    (chosen, reference_chosen), (rejected, reference_rejected) = tables
    if case == 1:  # the policy is still the reference
        chosen, rejected = reference_chosen.clone(), reference_rejected.clone()
    if case == 2:  # it prefers the worse answer by far
        chosen = 90 * chosen
    return {
        "chosen": chosen,
        "rejected": rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
        "beta": 2.0 if case == 2 else integer(generator, 2, 8) / 10,
    }


def _dpo(chosen, rejected, reference_chosen, reference_rejected, beta) -> Tensor:
    sums = [x.sum(-1) for x in (chosen, rejected, reference_chosen, reference_rejected)]
    return objectives.dpo_loss(*sums, beta=beta)


def _margin(
    combine: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor], reduce: Callable[[Tensor], Tensor] | None = None
) -> Callable:
    """The loss of a margin that `combine` makes of the four log-probabilities, which `reduce` makes of the tokens."""

    def loss(chosen, rejected, reference_chosen, reference_rejected, beta):
        tables = (chosen, rejected, reference_chosen, reference_rejected)
        answers = [reduce(x) if reduce else x.sum(-1) for x in tables]
        return -F.logsigmoid(beta * combine(*answers)).mean()

    return loss


def _mean_of_the_words(table: Tensor) -> Tensor:
    return table.sum(-1) / (table != 0).sum(-1)


def _naive(chosen, rejected, reference_chosen, reference_rejected, beta):
    margin = (chosen.sum(-1) - reference_chosen.sum(-1)) - (rejected.sum(-1) - reference_rejected.sum(-1))
    return -(beta * margin).sigmoid().log().mean()


def _no_beta(chosen, rejected, reference_chosen, reference_rejected, beta):
    return _dpo(chosen, rejected, reference_chosen, reference_rejected, 1.0)


def _no_logarithm(chosen, rejected, reference_chosen, reference_rejected, beta):
    margin = (chosen.sum(-1) - reference_chosen.sum(-1)) - (rejected.sum(-1) - reference_rejected.sum(-1))
    return 1 - (beta * margin).sigmoid().mean()


DPO_LOSS = Exercise(
    name="dpo_loss",
    lab="14",
    task=(
        "Return the DPO loss: the mean over the pairs of −log σ(β · (gain of the chosen − gain of the rejected)), in "
        "nats, where the gain of an answer is log p(answer) under the policy minus the same under the reference. The "
        "four tensors hold the log-probability of every token, [pairs, tokens]; chosen and rejected answers may differ "
        "in length, and padding holds 0. log p of an answer is the sum over its tokens. The result must be finite also "
        "where the policy prefers the rejected answer by far."
    ),
    points=4,
    minutes=20,
    difficulty=3,
    inputs=_dpo_inputs,
    reference=_dpo,
    cases=8,
    hints=(
        "First sum each of the four over its last axis: four numbers a pair.",
        "The gain of the chosen answer is `chosen.sum(-1) - reference_chosen.sum(-1)`; likewise for the rejected.",
        "`-logsigmoid(beta * (gain_chosen - gain_rejected)).mean()`: a Bradley-Terry loss of the gains times β.",
    ),
    forbidden=("labutils.objectives.dpo_loss", "labutils.objectives.bradley_terry_loss"),
    mutants=(
        Mutant(
            name="logarithm of a rounded sigmoid",
            function=_naive,
            message="You take the logarithm of a probability that was rounded to 0; compute log σ in one step.",
        ),
        Mutant(
            name="no beta",
            function=_no_beta,
            message="You leave out β, which says how dearly the policy pays for leaving the reference.",
        ),
        Mutant(
            name="no reference",
            function=_margin(lambda win, lose, ref_win, ref_lose: win - lose),
            message="You leave out the reference; what counts is how much each answer gained against it.",
        ),
        Mutant(
            name="mean over the words",
            function=_margin(
                lambda win, lose, ref_win, ref_lose: (win - ref_win) - (lose - ref_lose), _mean_of_the_words
            ),
            message="You average over the words of an answer; the log-probability of an answer is their sum.",
        ),
        Mutant(
            name="mean over the columns",
            function=_margin(
                lambda win, lose, ref_win, ref_lose: (win - ref_win) - (lose - ref_lose), lambda x: x.mean(-1)
            ),
            message="You average over the columns, padding included; sum the log-probabilities of the tokens.",
        ),
        Mutant(
            name="the wrong way round",
            function=_margin(lambda win, lose, ref_win, ref_lose: (lose - ref_lose) - (win - ref_win)),
            message="You subtract the wrong way round, which teaches the policy the rejected answers.",
        ),
        Mutant(
            name="adds the rejected",
            function=_margin(lambda win, lose, ref_win, ref_lose: (win - ref_win) + (lose - ref_lose)),
            message="You add the gain of the rejected answer; it must be subtracted.",
        ),
        Mutant(
            name="adds the reference",
            function=_margin(lambda win, lose, ref_win, ref_lose: (win + ref_win) - (lose + ref_lose)),
            message="You add the reference's log-probabilities; a gain is policy minus reference.",
        ),
        Mutant(
            name="the chosen alone",
            function=_margin(lambda win, lose, ref_win, ref_lose: win - ref_win),
            message="You look at the chosen answer alone; the loss compares its gain with that of the rejected.",
        ),
        Mutant(
            name="probabilities",
            function=_margin(
                lambda win, lose, ref_win, ref_lose: (win.exp() - ref_win.exp()) - (lose.exp() - ref_lose.exp())
            ),
            message="You compare probabilities; a gain is a difference of log-probabilities.",
        ),
        Mutant(
            name="divided by beta",
            function=lambda chosen, rejected, reference_chosen, reference_rejected, beta: _dpo(
                chosen, rejected, reference_chosen, reference_rejected, 1 / beta
            ),
            message="You divide by β; the gains are multiplied by it.",
        ),
        Mutant(
            name="without the logarithm",
            function=_no_logarithm,
            message="You return a probability; the loss is −log σ of the margin.",
        ),
        Mutant(
            name="sum over the pairs",
            function=lambda chosen, rejected, reference_chosen, reference_rejected, beta: (
                len(chosen) * _dpo(chosen, rejected, reference_chosen, reference_rejected, beta)
            ),
            message="You add up the pairs; take their mean.",
        ),
        Mutant(
            name="one margin for the batch",
            function=lambda chosen, rejected, reference_chosen, reference_rejected, beta: (
                -F.logsigmoid(
                    beta * ((chosen.sum() - reference_chosen.sum()) - (rejected.sum() - reference_rejected.sum()))
                )
            ),
            message="You add up the whole batch before the sigmoid; each pair has a margin of its own.",
        ),
    ),
)


# --- best_of_n -------------------------------------------------------------------------------------------------------

NAN = math.nan


def _best_of_n_inputs(generator: torch.Generator, case: int) -> dict:
    low, middle, high, more = (torch.rand(4, generator=generator) + torch.arange(4) + 0.1).round(decimals=2).tolist()
    first = shuffled(generator, [low, middle, high])
    match case:
        case 0:
            return {"scores": [first], "n": 3}
        case 1:  # the best of all comes too late
            return {"scores": [[*first, more, more + 1], [high, low, middle, more, more + 1]], "n": 3}
        case 2:  # a tie
            return {"scores": [[low, high, high, middle], [middle, middle, middle, low]], "n": 3}
        case 3:  # answers without a score, and scores below 0
            return {
                "scores": [[-high, NAN, -middle, more], [-middle, -high, NAN, low], [NAN, -low, -more, 0.0]],
                "n": 3,
            }
        case 4:  # no score among the first
            return {"scores": [[NAN, NAN, high], [NAN, low, middle]], "n": 2}
        case 5:
            return {"scores": [[-low, high], [middle, more]], "n": 1}
    answers = integer(generator, 5, 7)
    scores = 3 * torch.randn(integer(generator, 2, 4), answers, generator=generator)
    return {"scores": scores.tolist(), "n": answers - 2}


def _best(row: list[float]) -> int:
    """The first place of the highest score; -1 if there is none."""
    scored = [i for i, score in enumerate(row) if not math.isnan(score)]
    return max(scored, key=lambda i: row[i]) if scored else -1


def _best_of_n(scores: list[list[float]], n: int) -> list[int]:
    return [_best(row[:n]) for row in scores]


def _last_of_a_tie(row: list[float]) -> int:
    best = _best(row)
    return best if best < 0 else max(i for i, score in enumerate(row) if score == row[best])


def _score_not_place(scores: list[list[float]], n: int) -> list[float]:
    return [row[i] if (i := _best(row[:n])) >= 0 else -1.0 for row in scores]


BEST_OF_N = Exercise(
    name="best_of_n",
    lab="14",
    task=(
        "`scores` holds one list for each prompt: the scores of its answers, in the order in which they were drawn. "
        "Return for each prompt the place, counted from 0, of the answer with the highest score among its first n. Of "
        "equal scores the first wins. A score that is NaN is no score, and its answer is never chosen; if none of the "
        "first n has a score, the place is -1."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_best_of_n_inputs,
    reference=_best_of_n,
    cases=9,
    hints=(
        "`row[:n]` holds the first n scores of a prompt.",
        "Go through them and keep the best place so far, starting with -1; skip a score if `math.isnan(score)`.",
        "Replace the best place only if the new score is strictly higher: then the first of equal scores stays.",
    ),
    mutants=(
        Mutant(
            name="no score is place 0",
            function=lambda scores, n: [max(_best(row[:n]), 0) for row in scores],
            message="You return place 0 where no answer has a score; return -1 there.",
        ),
        Mutant(
            name="the last of equal scores",
            function=lambda scores, n: [_last_of_a_tie(row[:n]) for row in scores],
            message="You take the last of equal scores; the first one wins, so replace it only by a higher score.",
        ),
        Mutant(
            name="takes NaN for the highest",
            function=lambda scores, n: [
                next((i for i, s in enumerate(row[:n]) if math.isnan(s)), _best(row[:n])) for row in scores
            ],
            message="You choose NaN, as argmax in torch does; leave out answers without a score.",
        ),
        Mutant(
            name="NaN is 0",
            function=lambda scores, n: [
                _best([0.0 if math.isnan(score) else score for score in row[:n]]) for row in scores
            ],
            message="You count a missing score as 0, which beats negative scores; such an answer is never chosen.",
        ),
        Mutant(
            name="all answers",
            function=lambda scores, n: [_best(row) for row in scores],
            message="You look at all answers; only the first n were paid for.",
        ),
        Mutant(
            name="one too few",
            function=lambda scores, n: [_best(row[: n - 1]) for row in scores],
            message="You leave out the last of the first n: `row[:n]` already ends before the index n.",
        ),
        Mutant(
            name="one too many",
            function=lambda scores, n: [_best(row[: n + 1]) for row in scores],
            message="You look at n + 1 answers; `row[:n]` are the first n.",
        ),
        Mutant(
            name="the last n",
            function=lambda scores, n: [_best(row[-n:]) for row in scores],
            message="You look at the last n answers; take the first n.",
        ),
        Mutant(
            name="the lowest",
            function=lambda scores, n: [_best([-score for score in row[:n]]) for row in scores],
            message="You choose the lowest score; a high score means good.",
        ),
        Mutant(
            name="the score",
            function=_score_not_place,
            message="You return the best score; return its place in the list.",
        ),
        Mutant(
            name="counted from 1",
            function=lambda scores, n: [_best(row[:n]) + 1 for row in scores],
            message="You count the places from 1; count from 0.",
        ),
    ),
)


# --- judged_in_both_orders -------------------------------------------------------------------------------------------

FIRST, SECOND, TIE = "first", "second", "tie"
SAID = {
    "a": (FIRST, SECOND),  # what the judge says of (a, b), and of (b, a)
    "b": (SECOND, FIRST),
    "always the first": (FIRST, FIRST),
    "always the second": (SECOND, SECOND),
    "tie": (TIE, TIE),
    "a, then tie": (FIRST, TIE),
    "b, then tie": (SECOND, TIE),
    "tie, then a": (TIE, SECOND),
    "tie, then b": (TIE, FIRST),
}


def _judge_inputs(generator: torch.Generator, case: int) -> dict:
    if case < 5:
        kinds = (["a"], ["b", "a"], ["always the first", "b"], ["always the second", "a"], ["tie", "b"])[case]
    elif case < 8:
        kinds = (["a, then tie", "b"], ["tie, then b", "a"], ["b, then tie", "tie, then a"])[case - 5]
    else:
        kinds = shuffled(generator, [*SAID])
    names = shuffled(generator, [f"answer {i}" for i in range(2 * len(kinds))])
    pairs = [[names[2 * i], names[2 * i + 1]] for i in range(len(kinds))]
    verdicts = []
    for (a, b), kind in zip(pairs, kinds, strict=True):
        verdicts += [[a, b, SAID[kind][0]], [b, a, SAID[kind][1]]]
    return {"pairs": pairs, "verdicts": verdicts}


def _with_a_judge(function, pairs, verdicts):
    said = {(first, second): verdict for first, second, verdict in verdicts}

    def judge(first, second):
        if (first, second) not in said:
            raise ValueError("The judge was asked about two texts that are not a pair: ask about (a, b) and (b, a).")
        return said[first, second]

    return function(judge, pairs)


def _by_verdicts(table: dict) -> Callable:
    """A function that asks in both orders and looks the two verdicts up; those not in the table are a tie."""
    return lambda judge, pairs: [table.get((judge(a, b), judge(b, a)), TIE) for a, b in pairs]


_one_order = {FIRST: "a", SECOND: "b", TIE: TIE}

JUDGED_IN_BOTH_ORDERS = Exercise(
    name="judged_in_both_orders",
    lab="14",
    task=(
        "`judge(first, second)` reads two answers in this order and returns 'first', 'second' or 'tie': which it likes "
        "better. `pairs` is a list of pairs [a, b] of texts. Ask the judge in both orders and return a list with 'a', "
        "'b' or 'tie' for each pair: an answer wins only if it is preferred in both orders; all else is a tie."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_judge_inputs,
    reference=_by_verdicts({(FIRST, SECOND): "a", (SECOND, FIRST): "b"}),
    adapter=_with_a_judge,
    cases=10,
    hints=(
        "Ask `judge(a, b)` and `judge(b, a)`: two verdicts a pair.",
        "In the second order a stands second: there 'second' is a vote for a.",
        "a wins if the verdicts are 'first' and then 'second', b if they are 'second' and then 'first'.",
    ),
    mutants=(
        Mutant(
            name="a tie and a win make a win",
            function=_by_verdicts(
                {(FIRST, SECOND): "a", (FIRST, TIE): "a", (TIE, SECOND): "a"}
                | {(SECOND, FIRST): "b", (SECOND, TIE): "b", (TIE, FIRST): "b"}
            ),
            message="You let one vote win against a tie; an answer must be preferred in both orders.",
        ),
        Mutant(
            name="the first order decides",
            function=_by_verdicts(
                {(FIRST, SECOND): "a", (FIRST, FIRST): "a", (SECOND, FIRST): "b", (SECOND, SECOND): "b"}
            ),
            message="You let the first order decide where the two contradict each other; a contradiction is a tie.",
        ),
        Mutant(
            name="asked once",
            function=lambda judge, pairs: [_one_order[judge(a, b)] for a, b in pairs],
            message="You ask in one order only, so an answer can win by its place; ask in both.",
        ),
        Mutant(
            name="asked once, swapped",
            function=lambda judge, pairs: [{FIRST: "b", SECOND: "a", TIE: TIE}[judge(b, a)] for a, b in pairs],
            message="You use the verdict in the second order only; ask in both.",
        ),
        Mutant(
            name="verdicts not turned round",
            function=_by_verdicts({(FIRST, FIRST): "a", (SECOND, SECOND): "b"}),
            message="You compare the words of the two verdicts; after the swap 'first' means b.",
        ),
        Mutant(
            name="a and b exchanged",
            function=_by_verdicts({(FIRST, SECOND): "b", (SECOND, FIRST): "a"}),
            message="You exchange a and b: in the first order 'first' is a vote for a.",
        ),
        Mutant(
            name="always a tie",
            function=lambda judge, pairs: [TIE for _ in pairs],
            message="Nobody ever wins, as when both questions have the same order; swap the two texts.",
        ),
        Mutant(
            name="places",
            function=_by_verdicts({(FIRST, SECOND): FIRST, (SECOND, FIRST): SECOND}),
            message="You return the judge's words; return 'a' or 'b', whichever wins.",
        ),
    ),
)


EXERCISES = (BRADLEY_TERRY_LOSS, JUDGED_IN_BOTH_ORDERS, BEST_OF_N, DPO_LOSS)
