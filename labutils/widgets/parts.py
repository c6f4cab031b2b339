"""What the figures' functions share: limits of settings, the table for a reader without JavaScript, some arithmetic."""

import math
from collections.abc import Iterable, Iterator


def check_slider(name: str, value: int | float, least: int | float, greatest: int | float) -> None:
    """Raise ValueError, with one sentence, for a value that the slider cannot show."""
    if not least <= value <= greatest:
        raise ValueError(f"{name} is {value}; the slider goes from {least} to {greatest}.")


def check_seed(seed: int) -> None:
    """Raise ValueError for a seed that the generator in live_parts.js cannot hold."""
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; give a number from 0 to {2**31 - 1}.")


def without_javascript(sentence: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A sentence, and a table whose rows begin with their names; heads and cells are HTML."""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, *cells in rows
    )
    return (
        f"<p>This figure moves when JavaScript is on. Without it, {sentence}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def softmax(logits: list[float], temperature: float) -> list[float]:
    """The probabilities that logits stand for, at a temperature."""
    top = max(logits)
    weights = [math.exp((z - top) / temperature) for z in logits]
    return [weight / sum(weights) for weight in weights]


def uniform(seed: int) -> Iterator[float]:
    """Numbers in [0, 1): mulberry32 in 32-bit arithmetic, the same bits as in live_parts.js."""
    low = 0xFFFFFFFF
    state = seed & low
    while True:
        state = (state + 0x6D2B79F5) & low
        mixed = ((state ^ state >> 15) * (1 | state)) & low
        mixed = ((mixed + ((mixed ^ mixed >> 7) * (61 | mixed) & low)) & low) ^ mixed
        yield (mixed ^ mixed >> 14) / 2**32
