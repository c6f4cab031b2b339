import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax
from scipy.stats import entropy
from torch.nn import functional as F

from labutils.objectives import causal_loss, kl_to_law

BATCH, SEQ, VOCAB_SIZE = 3, 5, 7


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 1000), batch=st.integers(1, 4), seq=st.integers(2, 6), vocab_size=st.integers(1, 9))
def test_causal_loss_equals_a_loop(seed, batch, seq, vocab_size):
    logits = normal(batch, seq, vocab_size, seed=seed)
    tokens = torch.randint(vocab_size, (batch, seq), generator=torch.Generator().manual_seed(seed))
    surprises = [
        -log_softmax(logits[b, i].numpy())[tokens[b, i + 1].item()] for b in range(batch) for i in range(seq - 1)
    ]
    assert causal_loss(logits, tokens).item() == pytest.approx(np.mean(surprises), abs=1e-12)


def test_causal_loss_equals_torch():
    logits, tokens = normal(BATCH, SEQ, VOCAB_SIZE), torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    expected = F.cross_entropy(logits[:, :-1].reshape(-1, VOCAB_SIZE), tokens[:, 1:].reshape(-1))
    torch.testing.assert_close(causal_loss(logits, tokens), expected, rtol=0, atol=1e-12)


def test_equal_logits_cost_the_logarithm_of_the_vocabulary():
    tokens = torch.randint(VOCAB_SIZE, (BATCH, SEQ))
    assert causal_loss(torch.zeros(BATCH, SEQ, VOCAB_SIZE), tokens).item() == pytest.approx(math.log(VOCAB_SIZE))


def test_a_single_token_is_refused():
    with pytest.raises(ValueError, match="at least 2 tokens"):
        causal_loss(torch.zeros(BATCH, 1, VOCAB_SIZE), torch.zeros(BATCH, 1, dtype=torch.int64))


def test_kl_equals_scipy_and_torch():
    law = normal(BATCH, SEQ, VOCAB_SIZE).softmax(-1)
    logits = normal(BATCH, SEQ, VOCAB_SIZE, seed=1)
    model = logits.softmax(-1)
    by_scipy = np.mean([entropy(law[b, i], model[b, i]) for b in range(BATCH) for i in range(SEQ)])
    assert kl_to_law(law, logits).item() == pytest.approx(by_scipy, abs=1e-12)
    by_torch = F.kl_div(logits.log_softmax(-1), law, reduction="sum") / (BATCH * SEQ)
    torch.testing.assert_close(kl_to_law(law, logits), by_torch, rtol=0, atol=1e-12)


def test_kl_of_float32_logits_is_computed_in_float64():
    law = normal(BATCH, SEQ, VOCAB_SIZE).softmax(-1)
    assert kl_to_law(law, law.log().float()).dtype == torch.float64
    assert abs(kl_to_law(law, law.log()).item()) < 1e-12


def test_impossible_tokens_on_both_sides_add_nothing():
    law = torch.tensor([[0.5, 0.5, 0.0]])
    assert kl_to_law(law, torch.tensor([[0.0, 0.0, -torch.inf]])).item() == 0
    assert kl_to_law(law, torch.zeros(1, 3)).item() == pytest.approx(math.log(1.5))


def test_a_model_that_excludes_what_happens_is_infinitely_wrong():
    assert kl_to_law(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.0, -torch.inf]])).item() == torch.inf


def test_an_undefined_law_is_refused():
    with pytest.raises(ValueError, match="The law is NaN"):
        kl_to_law(torch.tensor([[0.5, torch.nan]]), torch.zeros(1, 2))
