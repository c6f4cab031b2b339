"""What our attention costs beside torch's fused kernel, and what sharing key-value heads gains when decoding.

    python benchmarks/attention.py

Ours computes and keeps all scores. Torch's goes through them in blocks, as our tiled one does, which has no mask.
"""

from collections.abc import Callable

import torch
from results import Row, publish
from timing import compare, start
from torch import Tensor
from torch.nn import functional as F

from labutils import runtime
from labutils.attention import attention, causal_mask, grouped_attention, tiled_attention

N_HEADS, D_HEAD = 8, 64
OTHER = "torch's SDPA"


def against_torch(length: int, *, causal: bool, rounds: int) -> list[Row]:
    """Our attention and the tiled one on one text, forward alone and with the backward pass."""
    device = runtime.device()
    query, key, value, upstream = torch.randn(4, 1, N_HEADS, length, D_HEAD, device=device).unbind()
    inputs = [x.clone().requires_grad_() for x in (query, key, value)]
    mask = causal_mask(length, device=device) if causal else None

    ways: dict[str, Callable[..., Tensor]] = {
        OTHER: lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        "ours": lambda q, k, v: attention(q, k, v, mask),
    }
    if not causal:
        ways["tiled"] = lambda q, k, v: tiled_attention(q, k, v, tile=128)
    forward = {name: lambda way=way: way(query, key, value) for name, way in ways.items()}
    both = {name: lambda way=way: torch.autograd.grad(way(*inputs), inputs, upstream) for name, way in ways.items()}
    with torch.no_grad():
        ahead = compare(forward, rounds=rounds)
    back = compare(both, rounds=rounds)
    masked = "causal" if causal else "full"
    return [
        Row(
            key=f"{name}-{masked}-{direction}-{length}",
            what=f"{name}, {masked}, {direction}",
            seconds=times[name],
            other=OTHER,
            other_seconds=times[OTHER],
            size=length,
        )
        for direction, times in (("forward", ahead), ("forward-backward", back))
        for name in ways
        if name != OTHER
    ]


def decode(length: int, n_kv_heads: int, n_heads: int = 32, batch: int = 2) -> dict[str, Callable[[], Tensor]]:
    """One new query for each text against a cache of `length` keys: grouped, and with the heads repeated."""
    device = runtime.device()
    query = torch.randn(batch, n_heads, 1, D_HEAD, device=device)
    key, value = torch.randn(2, batch, n_kv_heads, length, D_HEAD, device=device).unbind()

    def repeated() -> Tensor:
        copies = [x.repeat_interleave(n_heads // n_kv_heads, dim=1) for x in (key, value)]
        return attention(query, *copies)

    return {"grouped": lambda: grouped_attention(query, key, value), "repeated": repeated}


def steps_of_decoding(length: int, rounds: int, sizes: tuple[int, ...] = (32, 8, 1)) -> list[Row]:
    """A step with fewer key-value heads beside one with a pair for each of the query heads."""
    calls = {(n, name): call for n in sizes for name, call in decode(length, n).items()}
    with torch.no_grad():
        times = compare(calls, rounds=rounds)
    return [
        Row(
            key=f"step-{name}-{n}",
            what=f"one step, {length:,} positions in the cache, {n} key-value heads, {name}",
            seconds=times[n, name],
            other=f"{sizes[0]} key-value heads, grouped",
            other_seconds=times[sizes[0], "grouped"],
        )
        for n, name in calls
        if (n, name) != (sizes[0], "grouped")
    ]


def rows(*, tiny: bool = False) -> list[Row]:
    """All that this benchmark measures."""
    start()
    rounds = 1 if tiny else 5
    lengths, cache = ((8, 16), 32) if tiny else ((128, 256, 512, 1024, 2048), 4096)
    if runtime.profile() == "gpu":
        lengths, cache = (*lengths, 4096), 32_768
    against = [
        row for causal in (False, True) for n in lengths for row in against_torch(n, causal=causal, rounds=rounds)
    ]
    return sorted(against, key=lambda row: row.what) + steps_of_decoding(cache, rounds)


if __name__ == "__main__":
    publish("attention", rows)
