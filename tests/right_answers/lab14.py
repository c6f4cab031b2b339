"""Right answers of other kinds to the exercises of lab 14."""

import math

import torch
from torch.nn import functional as F


def bradley_terry_by_softplus(chosen, rejected):
    return F.softplus(rejected - chosen).mean()


def bradley_terry_by_cross_entropy(chosen, rejected):
    """A pair is a choice among two classes, of which the first is right."""
    return F.cross_entropy(torch.stack([chosen, rejected], dim=1), torch.zeros(len(chosen), dtype=torch.long))


def bradley_terry_in_a_loop(chosen, rejected):
    total = 0.0
    for better, worse in zip(chosen.tolist(), rejected.tolist(), strict=True):
        lead = better - worse
        total += math.log1p(math.exp(-lead)) if lead > 0 else math.log1p(math.exp(lead)) - lead
    return total / len(chosen)


def dpo_by_binary_cross_entropy(chosen, rejected, reference_chosen, reference_rejected, beta):
    gain = (chosen - reference_chosen).sum(1) - (rejected - reference_rejected).sum(1)
    return F.binary_cross_entropy_with_logits(beta * gain, torch.ones_like(gain))


def dpo_in_loops(chosen, rejected, reference_chosen, reference_rejected, beta):
    losses = []
    tables = [x.double().tolist() for x in (chosen, rejected, reference_chosen, reference_rejected)]
    for pair in zip(*tables, strict=True):
        win, lose, reference_win, reference_lose = (sum(tokens) for tokens in pair)
        x = beta * ((win - lose) - (reference_win - reference_lose))
        losses.append(max(-x, 0) + math.log1p(math.exp(-abs(x))))
    return sum(losses) / len(losses)


def best_in_loops(scores, n):
    places = []
    for row in scores:
        best = -1
        for i in range(n):
            if row[i] == row[i] and (best < 0 or row[i] > row[best]):
                best = i
        places.append(best)
    return places


def best_with_tensors(scores, n):
    z = torch.tensor(scores, dtype=torch.float64)[:, :n]
    known = ~z.isnan()
    z = z.masked_fill(~known, -math.inf)
    first = (z == z.max(dim=1, keepdim=True).values).int().argmax(dim=1)
    return torch.where(known.any(dim=1), first, -1).tolist()


def best_by_sorting(scores, n):
    ranked = [sorted((-s, i) for i, s in enumerate(row[:n]) if not math.isnan(s)) for row in scores]
    return [row[0][1] if row else -1 for row in ranked]


def judged_by_votes(judge, pairs):
    """Votes from -1 to 1 in each order; two agree if they add up to 2."""
    vote = {"first": 1, "tie": 0, "second": -1}
    totals = [vote[judge(a, b)] - vote[judge(b, a)] for a, b in pairs]
    return ["a" if total == 2 else "b" if total == -2 else "tie" for total in totals]


def judged_in_ifs(judge, pairs):
    result = []
    for a, b in pairs:
        one, two = judge(a, b), judge(b, a)
        if one == "first" and two == "second":
            result.append("a")
        elif one == "second" and two == "first":
            result.append("b")
        else:
            result.append("tie")
    return result


RIGHT = {
    "bradley_terry_loss": (bradley_terry_by_softplus, bradley_terry_by_cross_entropy, bradley_terry_in_a_loop),
    "dpo_loss": (dpo_by_binary_cross_entropy, dpo_in_loops),
    "best_of_n": (best_in_loops, best_with_tensors, best_by_sorting),
    "judged_in_both_orders": (judged_by_votes, judged_in_ifs),
}
