"""Our samplers beside Hugging Face's logits processors, by the size of the vocabulary.

    python benchmarks/samplers.py

Both get the same logits of 16 texts. What they do is the same, up to tokens that tie.
"""

from collections.abc import Callable

import torch
from results import Row, publish
from timing import compare, start
from torch import Tensor
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from labutils import runtime
from labutils.sampling import apply_temperature, keep_min_p, keep_top_k, keep_top_p, penalize_repetition

TEXTS, LENGTH = 16, 64
Pair = tuple[Callable[[], Tensor], Callable[[], Tensor]]


def pairs(vocab_size: int) -> dict[str, Pair]:
    """What we do to logits and what Hugging Face does, by name. Raises AssertionError if the results differ."""
    device = runtime.device()
    logits = 3 * torch.randn(TEXTS, vocab_size, device=device)
    tokens = torch.randint(vocab_size, (TEXTS, LENGTH), device=device)
    processors = {
        "temperature": (lambda: apply_temperature(logits, 0.7), TemperatureLogitsWarper(0.7)),
        "top-k": (lambda: keep_top_k(logits, 50), TopKLogitsWarper(50)),
        "top-p": (lambda: keep_top_p(logits, 0.9), TopPLogitsWarper(0.9)),
        "min-p": (lambda: keep_min_p(logits, 0.05), MinPLogitsWarper(0.05)),
        "repetition": (lambda: penalize_repetition(logits, tokens, 1.2), RepetitionPenaltyLogitsProcessor(1.2)),
    }
    found = {
        name: (ours, lambda process=process: process(tokens, logits)) for name, (ours, process) in processors.items()
    }
    for name, (ours, theirs) in found.items():
        same = torch.isclose(ours(), theirs()).double().mean()
        assert same > 1 - 1e-3, f"{name}: {same} of the logits agree"  # sums of another order shift the nucleus' edge
    return found


def repeated(call: Callable[[], Tensor], repeats: int) -> Callable[[], None]:
    """The call some times, since a short one is hard to time."""

    def calls() -> None:
        for _ in range(repeats):
            call()

    return calls


def stability(vocab_size: int, rounds: int) -> Row:
    """What it costs our top-p that its sort keeps tied tokens in their order."""
    logits = torch.randn(TEXTS, vocab_size, device=runtime.device())
    times = compare(
        {stable: lambda stable=stable: logits.sort(dim=-1, descending=True, stable=stable) for stable in (False, True)},
        rounds=rounds,
    )
    return Row(
        key=f"sort-{vocab_size}",
        what="a sort that keeps ties in order",
        seconds=times[True],
        other="a sort that need not",
        other_seconds=times[False],
        size=vocab_size,
    )


def rows(*, tiny: bool = False) -> list[Row]:
    """All that this benchmark measures."""
    start()
    found = []
    for vocab_size in (100, 200) if tiny else (1024, 4096, 16_384, 65_536, 262_144):
        repeats = 1 if tiny else max(1, 65_536 // vocab_size)
        for name, (ours, theirs) in pairs(vocab_size).items():
            times = compare(
                {"ours": repeated(ours, repeats), "theirs": repeated(theirs, repeats)}, rounds=1 if tiny else 5
            )
            found.append(
                Row(
                    key=f"{name}-{vocab_size}",
                    what=f"our {name}",
                    seconds=[seconds / repeats for seconds in times["ours"]],
                    other=f"Hugging Face's {name}",
                    other_seconds=[seconds / repeats for seconds in times["theirs"]],
                    size=vocab_size,
                )
            )
    return [*sorted(found, key=lambda row: row.what), stability(200 if tiny else 65_536, rounds=1 if tiny else 5)]


if __name__ == "__main__":
    publish("samplers", rows)
