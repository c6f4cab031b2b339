"""Right answers of other kinds to the exercises of lab 04."""

import math

import torch
from torch import nn
from torch.distributions import Categorical
from torch.nn import functional as F


def labels_position_by_position(tokens, visible):
    labels = torch.full_like(tokens, -100)
    for place in torch.cartesian_prod(*map(torch.arange, tokens.shape)).reshape(-1, tokens.ndim).tolist():
        following = (*place[:-1], place[-1] + 1)
        if following[-1] < tokens.shape[-1] and visible[following]:
            labels[tuple(place)] = tokens[following]
    return labels


def labels_by_rolling(tokens, visible):
    last = torch.arange(tokens.shape[-1]) == tokens.shape[-1] - 1
    return torch.where(visible.roll(-1, -1) & ~last, tokens.roll(-1, -1), -100)


def labels_marked_then_shifted(tokens, visible):
    marked = torch.where(visible, tokens, -100)
    return torch.cat((marked[..., 1:], torch.full_like(marked[..., :1], -100)), dim=-1)


def loss_by_torch(logits, tokens, visible):
    labels = torch.where(visible, tokens, -100)
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:])


def loss_token_by_token(logits, tokens, visible):
    losses = [
        logits[row, i].logsumexp(0) - logits[row, i, tokens[row, i + 1]]
        for row in range(tokens.shape[0])
        for i in range(tokens.shape[1] - 1)
        if visible[row, i + 1]
    ]
    return sum(losses) / len(losses)


def loss_by_one_hot(logits, tokens, visible):
    truth = F.one_hot(tokens[:, 1:], logits.shape[-1])
    nats = -torch.einsum("bsv,bsv->bs", logits[:, :-1].log_softmax(-1), truth.to(logits.dtype))
    counts = visible[:, 1:].to(logits.dtype)
    return (nats * counts).sum() / counts.sum()


def loss_of_hugging_face(logits, tokens, visible):
    """The function that its causal models call: it shifts the labels itself."""
    from transformers.loss.loss_utils import ForCausalLMLoss

    loss = ForCausalLMLoss(logits.double(), torch.where(visible, tokens, -100), logits.shape[-1])
    return loss.to(logits.dtype)


def measures_in_plain_python(log_probabilities, text):
    nats = -math.fsum(log_probabilities.tolist())
    return math.e ** (nats / len(log_probabilities)), nats * math.log2(math.e) / len(bytes(text, "utf-8"))


def measures_from_probabilities(log_probabilities, text):
    p = log_probabilities.double().exp()
    return [p.prod() ** (-1 / len(p)), -p.log2().sum() / len(text.encode("utf-8"))]


def sequence_one_step_at_a_time(logits, tokens, n_prompt):
    total = logits.new_zeros(tokens.shape[:-1])
    for i in range(n_prompt, tokens.shape[-1]):
        law = logits[..., i - 1, :].log_softmax(-1)
        total = total + law.gather(-1, tokens[..., i : i + 1]).squeeze(-1)
    return total


def sequence_by_distribution(logits, tokens, n_prompt):
    laws = Categorical(logits=logits[..., n_prompt - 1 : -1, :], validate_args=False)  # which refuses to be empty
    return laws.log_prob(tokens[..., n_prompt:]).sum(-1)


def sequence_by_cross_entropy(logits, tokens, n_prompt):
    scores, targets = logits[..., n_prompt - 1 : -1, :], tokens[..., n_prompt:]
    nats = nn.CrossEntropyLoss(reduction="none")(scores.reshape(-1, logits.shape[-1]), targets.reshape(-1))
    return -nats.view(targets.shape).sum(dim=-1)


def feedback_with_slices(next_logits, start, targets, forced):
    losses, read = [], [*start]
    while len(losses) < len(targets):
        i = len(losses)
        logits = next_logits(read)
        losses += [(torch.logsumexp(logits, 0) - logits[targets[i]]).item()]
        read = [*read, targets[i] if forced[i] else logits.max(0).indices.item()]
    return losses


def feedback_by_recursion(next_logits, start, targets, forced):
    if not targets:
        return []
    logits = next_logits(start)
    own = torch.argmax(logits).item()
    following = feedback_by_recursion(next_logits, [*start, targets[0] if forced[0] else own], targets[1:], forced[1:])
    return [F.cross_entropy(logits, torch.tensor(targets[0])), *following]


RIGHT = {
    "shift_labels": (labels_position_by_position, labels_by_rolling, labels_marked_then_shifted),
    "padded_loss": (loss_by_torch, loss_token_by_token, loss_by_one_hot, loss_of_hugging_face),
    "perplexity_and_bits": (measures_in_plain_python, measures_from_probabilities),
    "sequence_log_probability": (
        sequence_one_step_at_a_time,
        sequence_by_distribution,
        sequence_by_cross_entropy,
    ),
    "feedback_losses": (feedback_with_slices, feedback_by_recursion),
}
