"""How fast the world is, which makes the text of nearly all labs and knows its exact laws.

python benchmarks/world.py
"""

from collections.abc import Callable

from results import Row, publish
from timing import compare

from labutils.world import World


def rows(*, tiny: bool = False) -> list[Row]:
    """All that this benchmark measures."""
    world = World()
    documents, chunk_size = (20, 2) if tiny else (20_000, 100)
    tokens = world.sample(documents).tokens
    chunk, parsed = tokens[:chunk_size], tokens[: documents // 10]
    mask = (chunk % 7 == 3) & (chunk != 0)  # about a seventh of the tokens
    tasks: dict[str, tuple[str, int, Callable[[], object]]] = {
        "compile": ("compiling the language, and its floor", 1, lambda: World().entropy_rate()),
        "sample": ("tokens sampled", tokens.size, lambda: world.sample(documents)),
        "next": ("exact laws of the next token", chunk.size, lambda: world.next_token_law(chunk)),
        "surprisal": ("surprisals", tokens.size, lambda: world.surprisal(tokens)),
        "parse": ("tokens parsed", parsed.size, lambda: world.parse(parsed)),
        "masked": ("exact laws of a hidden token", int(mask.sum()), lambda: world.masked_token_law(chunk, mask)),
    }
    times = compare({key: call for key, (_, _, call) in tasks.items()}, rounds=1 if tiny else 3)
    return [
        Row(key=key, what=what, seconds=times[key], amount=amount if amount > 1 else None)
        for key, (what, amount, _) in tasks.items()
    ]


if __name__ == "__main__":
    publish("world", rows)
