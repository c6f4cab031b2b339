"""Right answers of other kinds to the exercises of lab 02."""

import math
from collections import Counter

import numpy as np
import torch
from scipy.stats import binomtest
from sklearn.naive_bayes import MultinomialNB
from torch.nn import functional as F


def bag_by_one_hot(tokens, vocab_size, padding):
    visible = (tokens != padding).long()
    return torch.einsum("...s,...sv->...v", visible, F.one_hot(tokens, vocab_size))


def bag_by_counter(tokens, vocab_size, padding):
    if tokens.ndim > 1:
        return torch.stack([bag_by_counter(row, vocab_size, padding) for row in tokens])
    counter = Counter(token for token in tokens.tolist() if token != padding)
    return torch.tensor([counter[token] for token in range(vocab_size)])


def bag_with_numpy(tokens, vocab_size, padding):
    rows = tokens.reshape(-1, tokens.shape[-1]).numpy()
    counts = np.stack([np.bincount(row[row != padding], minlength=vocab_size) for row in rows])
    return torch.from_numpy(counts).view(*tokens.shape[:-1], vocab_size)


def wilson_by_scipy(hits, n, z):
    confidence = math.erf(z / math.sqrt(2))
    interval = binomtest(hits, n).proportion_ci(confidence, method="wilson")
    return [float(interval.low), float(interval.high)]


def wilson_by_the_quadratic(hits, n, z):
    """The two roots of n (s - p)² = z² p (1 - p)."""
    share = hits / n
    return sorted(np.roots([n + z**2, -(2 * n * share + z**2), n * share**2]).real.tolist())


def wilson_by_bisection(hits, n, z):
    """The definition: walk from the share to either side until p is refused."""
    share = hits / n

    def end(refused, kept):
        for _ in range(100):
            middle = (refused + kept) / 2
            if abs(share - middle) <= z * math.sqrt(middle * (1 - middle) / n):
                kept = middle
            else:
                refused = middle
        return kept

    # With no hit at all (or nothing but hits) the share itself is the end.
    return [0.0 if hits == 0 else end(0.0, share), 1.0 if hits == n else end(1.0, share)]


def curve_by_polyfit(n, losses, floor):
    slope, start = np.polyfit(np.log(n.double().numpy()), np.log(losses.double().numpy() - floor), 1)
    return [float(np.exp(start)), float(-slope)]


def curve_by_lstsq(n, losses, floor):
    x = torch.stack([torch.ones(len(n), dtype=torch.float64), -n.double().log()], dim=1)
    log_a, b = torch.linalg.lstsq(x, (losses.double() - floor).log()[:, None]).solution[:, 0].tolist()
    return math.exp(log_a), b


def curve_by_covariance(n, losses, floor):
    """The slope is the covariance of the logarithms over the variance of log n."""
    x, y = n.double().log(), (losses.double() - floor).log()
    covariance = torch.cov(torch.stack([x, y]))
    b = -covariance[0, 1] / covariance[0, 0]
    return [torch.exp(y.mean() + b * x.mean()), b]


def match_by_loops(correct, n):
    hits, runs = 0, 0
    for row in correct.tolist():
        for start in range(len(row) - n + 1):
            runs += 1
            hits += all(row[start : start + n])
    return hits / runs


def match_by_convolution(correct, n):
    """The sum over a run is n only if all of it is right."""
    sums = F.conv1d(correct.double()[:, None], torch.ones(1, 1, n, dtype=torch.float64))
    return (sums > n - 0.5).double().mean().item()


def match_by_cumulative_sums(correct, n):
    total = F.pad(correct.long().cumsum(-1), (1, 0))
    return ((total[:, n:] - total[:, :-n]) == n).float().mean()


def odds_by_sklearn(counts, labels, new):
    log_p = np.asarray(MultinomialNB().fit(counts.numpy(), labels.numpy()).predict_joint_log_proba(new.numpy()))
    return torch.from_numpy(log_p[:, 1] - log_p[:, 0]).to(new.dtype)


def odds_word_by_word(counts, labels, new):
    """Multiply probabilities of words, text by text, as the rule says it."""
    odds = []
    for text in new.long().tolist():
        joint = []
        for label in (0, 1):
            mine = counts[labels == label].sum(0).tolist()
            p = math.log(len(labels[labels == label]) / len(labels))
            for word, times in enumerate(text):
                for _ in range(times):
                    p += math.log((mine[word] + 1) / (sum(mine) + len(mine)))
            joint.append(p)
        odds.append(joint[1] - joint[0])
    return torch.tensor(odds, dtype=new.dtype)


def odds_by_one_hot(counts, labels, new):
    member = F.one_hot(labels, 2).to(counts.dtype)
    totals = member.T @ counts + 1
    logs = (totals / totals.sum(1, keepdim=True)).log()
    joint = new @ logs.T + member.mean(0).log()
    return joint[:, 1] - joint[:, 0]


RIGHT = {
    "bag_of_words": (bag_by_one_hot, bag_by_counter, bag_with_numpy),
    "wilson_interval": (wilson_by_scipy, wilson_by_the_quadratic, wilson_by_bisection),
    "fit_learning_curve": (curve_by_polyfit, curve_by_lstsq, curve_by_covariance),
    "exact_match": (match_by_loops, match_by_convolution, match_by_cumulative_sums),
    "naive_bayes_log_odds": (odds_by_sklearn, odds_word_by_word, odds_by_one_hot),
}
