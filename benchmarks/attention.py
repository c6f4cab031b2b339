"""What our attention costs beside torch's fused kernel, and what sharing key-value heads gains when decoding.

    python benchmarks/attention.py

All numbers are ratios of calls that ran side by side in this run. Under 1 is faster.
"""

from collections.abc import Callable

import torch
from timing import compare, start
from torch import Tensor
from torch.nn import functional as F

from labutils import runtime
from labutils.attention import attention, causal_mask, grouped_attention, tiled_attention

N_HEADS, D_HEAD = 8, 64
ROUNDS = 7


def against_torch(length: int, n_tokens: int, *, causal: bool) -> str:
    """One row: our attention and the tiled one, forward and with the backward pass, over torch's."""
    device = runtime.device()
    shape = (n_tokens // length, N_HEADS, length, D_HEAD)
    query, key, value, upstream = torch.randn(4, *shape, device=device).unbind()
    inputs = [x.clone().requires_grad_() for x in (query, key, value)]
    mask = causal_mask(length, device=device) if causal else None

    ways: list[Callable[..., Tensor]] = [
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal),
        lambda q, k, v: attention(q, k, v, mask),
    ]
    if not causal:  # the tiled one has no mask
        ways.append(lambda q, k, v: tiled_attention(q, k, v, tile=128))
    forward = [lambda way=way: way(query, key, value) for way in ways]
    both = [lambda way=way: torch.autograd.grad(way(*inputs), inputs, upstream) for way in ways]
    with torch.no_grad():
        ahead = compare(forward, rounds=ROUNDS)
    back = compare(both, rounds=ROUNDS)
    cells = [f"{timing.ratio:9.2f}" for timing in (*ahead[1:], *back[1:])]
    if causal:
        cells = [cells[0], " " * 9, cells[1], " " * 9]
    return f"{length:7} {'yes' if causal else 'no':>7} {ahead[0].seconds * 1e3:9.1f} ms " + " ".join(cells)


def decode(length: int, n_kv_heads: int, n_heads: int = 32, batch: int = 2) -> tuple[list[Callable[[], Tensor]], int]:
    """One new query for each of `batch` texts against a cache of `length` keys: grouped, and with the heads repeated.

    The second number is the size of the cache in bytes.
    """
    device = runtime.device()
    query = torch.randn(batch, n_heads, 1, D_HEAD, device=device)
    key, value = torch.randn(2, batch, n_kv_heads, length, D_HEAD, device=device).unbind()

    def repeated() -> Tensor:
        copies = [x.repeat_interleave(n_heads // n_kv_heads, dim=1) for x in (key, value)]
        return attention(query, *copies)

    n_bytes = 2 * key.numel() * key.element_size()
    return [lambda: grouped_attention(query, key, value), repeated], n_bytes


def main() -> None:
    gpu = runtime.profile() == "gpu"
    start()
    print(f"\nAttention of {N_HEADS} heads of {D_HEAD}, float32; each column but torch's is a ratio to torch's")
    print(f"{'':29} {'forward':^19} {'and backward':^19}")
    print(f"{'length':>7} {'causal':>7} {'torch':>12} {'ours':>9} {'tiled':>9} {'ours':>9} {'tiled':>9}")
    for length in (64, 256, 1024, 4096) if gpu else (64, 256, 1024):
        for causal in (False, True):
            print(against_torch(length, 16_384 if gpu else 2048, causal=causal), flush=True)

    length, n_heads = (32_768, 32) if gpu else (4096, 32)
    print(f"\nOne step of decoding: 2 texts, {n_heads} heads of {D_HEAD}, {length:,} positions in the cache")
    print(f"{'key-value heads':>15} {'cache':>9} {'grouped':>9} {'repeated':>9}   (ratios to {n_heads} heads, grouped)")
    sizes = (32, 8, 1)
    steps = {n_kv_heads: decode(length, n_kv_heads) for n_kv_heads in sizes}
    with torch.no_grad():
        timings = compare([call for calls, _ in steps.values() for call in calls], rounds=ROUNDS)
    for i, n_kv_heads in enumerate(sizes):
        grouped, repeated = timings[2 * i : 2 * i + 2]
        cache = f"{steps[n_kv_heads][1] / 2**20:.0f} MiB"
        print(f"{n_kv_heads:15} {cache:>9} {grouped.ratio:9.2f} {repeated.ratio:9.2f}", flush=True)


if __name__ == "__main__":
    main()
