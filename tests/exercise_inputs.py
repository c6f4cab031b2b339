"""The inputs that an exercise draws, for the tests of what they promise."""

import torch
from hypothesis import strategies as st

from labutils.exercises import Exercise, find

seeds = st.integers(0, 2**62)


def draw(exercise: Exercise, seed: int, case: int) -> dict:
    """The arguments of one test."""
    return exercise.inputs(torch.Generator().manual_seed((seed + case) % 2**63), case)


def all_inputs(name: str, seed: int) -> list[dict]:
    """The arguments of all tests of an exercise."""
    exercise = find(name)
    return [draw(exercise, seed, case) for case in range(exercise.cases)]
