"""Right answers of other kinds to the exercises of lab 13."""

import math
from bisect import bisect_right

import torch
from torch.nn import functional as F


def distillation_by_torch(student, teacher, temperature):
    total = F.kl_div(
        (student / temperature).log_softmax(-1),
        (teacher / temperature).log_softmax(-1),
        reduction="sum",
        log_target=True,
    )
    return total * temperature**2 / student[..., 0].numel()


def distillation_by_distributions(student, teacher, temperature):
    laws = [torch.distributions.Categorical(logits=z / temperature) for z in (teacher, student)]
    return torch.distributions.kl_divergence(*laws).mean() * temperature**2


def distillation_in_loops(student, teacher, temperature):
    total = count = 0
    for s, t in zip(student.reshape(-1, student.shape[-1]), teacher.reshape(-1, teacher.shape[-1]), strict=True):
        q, p = (torch.exp(z / temperature) for z in (s, t))
        p, q = p / p.sum(), q / q.sum()
        total += sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
        count += 1
    return total / count * temperature * temperature


def keep_by_counting(scores, share):
    rated = [score for score in scores if score == score]
    return [score == score and sum(r > score for r in rated) < share * len(rated) for score in scores]


def keep_with_tensors(scores, share):
    z = torch.tensor(scores, dtype=torch.float64)
    known = ~z.isnan()
    higher = (z[None, known] > z[:, None]).sum(1)
    return (known & (higher < share * known.sum())).tolist()


def keep_by_bisection(scores, share):
    ranked = sorted(score for score in scores if not math.isnan(score))
    return [not math.isnan(x) and len(ranked) - bisect_right(ranked, x) < share * len(ranked) for x in scores]


def clean_by_padding(texts, tests, n):
    """Whole words are found in a string if every word stands between spaces."""
    padded = [f" {' '.join(test.lower().split())} " for test in tests]
    clean = []
    for text in texts:
        words = text.lower().split()
        runs = [f" {' '.join(words[i : i + n])} " for i in range(len(words) - n + 1)]
        clean.append(not any(run in test for run in runs for test in padded))
    return clean


def clean_in_loops(texts, tests, n):
    def shares(a, b):
        for i in range(len(a) - n + 1):
            for j in range(len(b) - n + 1):
                if a[i : i + n] == b[j : j + n]:
                    return True
        return False

    return [not any(shares(text.lower().split(), test.lower().split()) for test in tests) for text in texts]


def missing_in_loops(rows, required):
    result = []
    for row in rows:
        lacking = []
        for name in required:
            value = row.get(name, "")
            if isinstance(value, str):
                lacking += [name] if value.strip() == "" else []
        result.append(lacking)
    return result


def missing_by_isspace(rows, required):
    return [
        [n for n in required if (v := row.get(n)) is None or (type(v) is str and (not v or v.isspace()))]
        for row in rows
    ]


RIGHT = {
    "distillation_loss": (distillation_by_torch, distillation_by_distributions, distillation_in_loops),
    "keep_best": (keep_by_counting, keep_with_tensors, keep_by_bisection),
    "uncontaminated": (clean_by_padding, clean_in_loops),
    "missing_provenance": (missing_in_loops, missing_by_isspace),
}
