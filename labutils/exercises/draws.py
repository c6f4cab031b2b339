"""What several labs draw the inputs of their exercises with."""

import torch
from torch import Tensor


def integer(generator: torch.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator))


def two_digits(generator: torch.Generator, low: float, high: float) -> float:
    """A number from low to high with two digits after the point, so that it reads well."""
    return round(low + (high - low) * torch.rand((), generator=generator).item(), 2)


def normal(generator: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Numbers of mean 0 and variance 1; in every dtype the same ones, up to rounding."""
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def choices(generator: torch.Generator, values: list, n: int) -> list:
    """n values, drawn one by one."""
    return [values[i] for i in torch.randint(len(values), (n,), generator=generator).tolist()]


def some(generator: torch.Generator, values: list, n: int) -> list:
    """n of the values, in random order."""
    return [values[i] for i in torch.randperm(len(values), generator=generator)[:n].tolist()]


def shuffled(generator: torch.Generator, values: list) -> list:
    """All of the values, in random order."""
    return some(generator, values, len(values))
