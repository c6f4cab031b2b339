"""Objectives: the number that training makes small, in nats per token. And how far a model is from the truth."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def causal_loss(logits: Float[Tensor, "batch seq vocab_size"], tokens: Int[Tensor, "batch seq"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of the next token, in nats: the logits at position i are scored on token i + 1.

    The last logits have no token to predict and do not count. Raises ValueError for sequences of a single token.
    """
    if tokens.shape[1] < 2:
        raise ValueError("A causal loss needs sequences of at least 2 tokens: one to read and one to predict.")
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())


def kl_to_law(law: Float[Tensor, "*batch vocab_size"], logits: Float[Tensor, "*batch vocab_size"]) -> Float[Tensor, ""]:
    """Mean over positions of KL(law || model), in nats and in float64: what the model loses to the true law.

    It equals the cross-entropy to the law minus the law's own entropy, and is 0 only if the model is exact. It is
    infinite if the model excludes a token that the law allows. Raises ValueError where the law is undefined (NaN).
    """
    law = law.double()
    if law.isnan().any():
        raise ValueError("The law is NaN at some positions: the text before them is impossible. Leave those out.")
    log_ratio = law.log() - logits.double().log_softmax(-1)
    # A token of probability 0 adds nothing, even where the model excludes it too and the ratio is 0/0.
    return torch.where(law > 0, law * log_ratio, 0.0).sum(-1).mean()
