"""How fast the world is: python benchmarks/world.py (about ten seconds on one core)."""

import time
from collections.abc import Callable

from labutils.world import World


def best_rate(call: Callable[[], object], amount: int, repeats: int = 3) -> float:
    """The amount a second in the fastest of some calls; a slower one had to share the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return amount / min(times)


def main() -> None:
    start = time.perf_counter()
    world = World()
    floor, error = world.entropy_rate()
    print(f"compiled, and its floor found, in {time.perf_counter() - start:.2f} s")
    print(f"{world.vocab_size} words, {world.n_states} states, {len(world.automaton.source)} arcs")
    print(f"floor   {floor:.5f} ± {error:.1e} nats per token")
    print(f"bigram  {world.bigram().cross_entropy:.4f}")
    print(f"unigram {world.unigram().cross_entropy:.4f}")

    tokens = world.sample(20_000).tokens
    chunk = tokens[:100]
    mask = (chunk % 7 == 3) & (chunk != 0)  # about a seventh of the tokens
    rates = {
        "tokens sampled": (best_rate(lambda: world.sample(20_000), 20_000 * 64), 1_000_000),
        "exact laws of the next token": (best_rate(lambda: world.next_token_law(chunk), chunk.size, 20), 100_000),
        "surprisals": (best_rate(lambda: world.surprisal(tokens), tokens.size), None),
        "tokens parsed": (best_rate(lambda: world.parse(tokens[:2000]), tokens[:2000].size), None),
        "exact laws of a masked token": (best_rate(lambda: world.masked_token_law(chunk, mask), int(mask.sum())), None),
    }
    for what, (rate, wanted) in rates.items():
        print(f"{rate:12,.0f} {what} a second" + (f" (wanted: {wanted:,})" if wanted else ""))


if __name__ == "__main__":
    main()
