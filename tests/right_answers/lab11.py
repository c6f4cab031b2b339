"""Right answers of other kinds to the exercises of lab 11."""

import re
from collections import Counter
from statistics import mode

import numpy as np
import torch
from scipy import stats


def vote_by_counter(completions, marker):
    answers = [text.split(marker)[-1].strip() for text in completions if marker in text]
    return Counter(answers).most_common(1)[0][0] if answers else None


def vote_by_mode(completions, marker):
    found = [re.search(f".*{re.escape(marker)}(.*)", text, re.DOTALL) for text in completions]
    answers = [match[1].strip() for match in found if match]
    return mode(answers) if answers else None


def vote_by_loops(completions, marker):
    answers = [text[text.rindex(marker) + len(marker) :].strip() for text in completions if marker in text]
    best = None
    for answer in answers:
        if best is None or answers.count(answer) > answers.count(best):
            best = answer
    return best


def bootstrap_of_numpy(right, drawn, confidence):
    means = right.numpy()[drawn.numpy()].mean(axis=1)
    return np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist()


def bootstrap_by_sorting(right, drawn, confidence):
    means = sorted(sum(bool(right[i]) for i in row) / len(row) for row in drawn.tolist())
    ends = []
    for q in ((1 - confidence) / 2, (1 + confidence) / 2):
        place = q * (len(means) - 1)
        below = int(place)
        above = min(below + 1, len(means) - 1)
        ends.append(means[below] + (place - below) * (means[above] - means[below]))
    return ends


def bootstrap_by_counting(right, drawn, confidence):
    times = torch.nn.functional.one_hot(drawn, len(right)).sum(1).double()
    means = times @ right.double() / len(right)
    tail = (1 - confidence) / 2
    return [torch.quantile(means, tail).item(), torch.quantile(means, 1 - tail).item()]


def sign_test_of_scipy(right_a, right_b):
    differ = right_a != right_b
    n = int(differ.sum())
    return float(stats.binomtest(int((right_a & differ).sum()), n).pvalue) if n else 1.0


def sign_test_by_symmetry(right_a, right_b):
    difference = (right_a.int() - right_b.int()).tolist()
    wins, losses = difference.count(1), difference.count(-1)
    n = wins + losses
    law = [1.0]
    for _ in range(n):  # Pascal's triangle, a toss at a time
        law = [(a + b) / 2 for a, b in zip([0.0, *law], [*law, 0.0], strict=True)]
    return sum(p for k, p in enumerate(law) if abs(2 * k - n) >= abs(wins - losses))


def choose_by_filter(counts, right, measure_test):
    scores = right.sum(1).tolist()
    chosen = min(count for count, score in zip(counts, scores, strict=True) if score == max(scores))
    return [chosen, measure_test(chosen)]


def choose_by_sorting(counts, right, measure_test):
    order = sorted(range(len(counts)), key=counts.__getitem__)
    best = order[int(right[order].float().mean(-1).argmax())]
    return (counts[best], measure_test(counts[best]))


RIGHT = {
    "self_consistent_answer": (vote_by_counter, vote_by_mode, vote_by_loops),
    "bootstrap_interval": (bootstrap_of_numpy, bootstrap_by_sorting, bootstrap_by_counting),
    "sign_test_p": (sign_test_of_scipy, sign_test_by_symmetry),
    "choose_on_development": (choose_by_filter, choose_by_sorting),
}
