"""Right answers of other kinds to the exercises of lab 10."""

import itertools
import re

import numpy as np
import torch


def prompt_by_adding(instruction, examples, query):
    text = ""
    if instruction != "":
        text += instruction + "\n\n"
    for review, label in examples:
        text += "Review: " + review + "\n" + "Sentiment: " + label + "\n\n"
    return text + "Review: " + query + "\nSentiment:"


def prompt_by_cutting(instruction, examples, query):
    """The query as an example with an empty label, whose end is then cut off."""
    blocks = ["Review: {}\nSentiment: {}".format(*pair) for pair in [*examples, [query, ""]]]
    return "\n\n".join(filter(None, [instruction, *blocks])).rstrip()


def read_by_places(completion, labels):
    """Try each place of the text and each label, the longest first."""
    text = completion.lower()
    for place in range(len(text)):
        if place and (text[place - 1].isalnum() or text[place - 1] == "_"):
            continue
        for label in sorted(labels, key=lambda label: -len(label)):
            after = text[place + len(label) : place + len(label) + 1]
            if text.startswith(label.lower(), place) and not (after.isalnum() or after == "_"):
                return label
    return ""


def read_by_ranking(completion, labels):
    """One search a label; the earliest wins, then the longest."""
    best = (len(completion) + 1, 0, "")
    for label in labels:
        place = re.search(r"(?<!\w)" + re.escape(label) + r"(?!\w)", completion, re.IGNORECASE)
        if place:
            best = min(best, (place.start(), -len(label), label))
    return best[2]


def calibrated_by_loops(log_p, content_free):
    """Row by row, in ordinary numbers."""
    n_labels = log_p.shape[1]
    free = [[np.exp(x) for x in row] for row in content_free.tolist()]
    free = [[x / sum(row) for x in row] for row in free]
    mean = [sum(row[i] for row in free) / len(free) for i in range(n_labels)]
    rows = []
    for row in log_p.tolist():
        weights = [float(np.exp(x)) / q for x, q in zip(row, mean, strict=True)]
        rows.append([w / sum(weights) for w in weights])
    return torch.tensor(rows)


def calibrated_by_a_matrix(log_p, content_free):
    """As the paper writes it: a diagonal matrix W times the probabilities [zhao2021calibrate]."""
    mean = torch.softmax(content_free, dim=1).mean(dim=0)
    weighted = torch.softmax(log_p, dim=1) @ torch.diag(1 / mean)
    return torch.nn.functional.normalize(weighted, p=1, dim=1)


def law_by_enumeration(tones, labels, query_tone, n_labels):
    """All pairs of labels, those kept that agree with every example."""
    pairs = [
        pair
        for pair in itertools.permutations(range(n_labels), 2)
        if all(pair[tone] == label for tone, label in zip(tones, labels, strict=True))
    ]
    return [sum(pair[query_tone] == label for pair in pairs) / len(pairs) for label in range(n_labels)]


def law_by_a_table(tones, labels, query_tone, n_labels):
    """Weights in a tensor: start with ones, strike out, normalise."""
    weights = torch.ones(n_labels, dtype=torch.float64)
    for tone, label in zip(tones, labels, strict=True):
        if tone == query_tone:
            weights = torch.zeros(n_labels, dtype=torch.float64)
            weights[label] = 1
            break
        weights[label] = 0
    return (weights / weights.sum()).tolist()


RIGHT = {
    "write_prompt": (prompt_by_adding, prompt_by_cutting),
    "read_label": (read_by_places, read_by_ranking),
    "calibrated_probabilities": (calibrated_by_loops, calibrated_by_a_matrix),
    "label_law": (law_by_enumeration, law_by_a_table),
}
