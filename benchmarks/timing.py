"""Compare what calls cost on a machine that may be busy with something else."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import torch

from labutils import runtime


@dataclass(frozen=True)
class Timing:
    """The median `seconds` of a call, and the median `ratio` to the first call of the same round."""

    seconds: float
    ratio: float


def start() -> None:
    """Choose the conditions, and print them: one thread on the CPU, so that seconds mean the same wherever they run."""
    if runtime.profile() == "cpu":
        torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{runtime.device()}, {torch.get_num_threads()} CPU threads, torch {torch.__version__}")


def compare(calls: Sequence[Callable[[], object]], *, rounds: int) -> list[Timing]:
    """Time each call once a round, after a round that does not count.

    The calls of a round run right after each other: what slows the machine down slows all of them, and the ratios stay.
    """
    table = [[seconds(call) for call in calls] for _ in range(rounds + 1)][1:]
    return [
        Timing(median(row[i] for row in table), median(row[i] / row[0] for row in table)) for i in range(len(calls))
    ]


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
