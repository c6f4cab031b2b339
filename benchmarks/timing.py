"""Time calls on a machine that may be busy with something else."""

import resource
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from labutils import runtime

Name = TypeVar("Name")


def start() -> None:
    """Choose the conditions: one thread on the CPU, so that seconds mean the same wherever they run."""
    if runtime.profile() == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)


def compare(calls: Mapping[Name, Callable[[], object]], *, rounds: int) -> dict[Name, list[float]]:
    """The seconds of each call in every round, after a round that does not count.

    The calls of a round run right after each other: what slows the machine down slows all of them, and the ratios of a
    round stay.
    """
    table = [{name: seconds(call) for name, call in calls.items()} for _ in range(rounds + 1)][1:]
    return {name: [row[name] for row in table] for name in calls}


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes. On the CPU, the time that it had the processor: waiting for others does not count."""
    if runtime.device().type != "cuda":
        begin = time.process_time()
        call()
        return time.process_time() - begin
    # The GPU takes orders and works through them later.
    torch.cuda.synchronize()
    begin = time.perf_counter()
    call()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def of_children(call: Callable[[], object]) -> tuple[float, float]:
    """How long a call takes that leaves its work to other processes: their time on the processor, and on the clock.

    Only processes that have ended count, so the call must wait for them.
    """
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    call()
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall
