"""The machine that runs a lab: its device, its number type, its profile; seeds and progress bars."""

import os
import random
import sys
from collections.abc import Iterable
from typing import Literal, TypeVar

import torch
from tqdm.auto import tqdm

Item = TypeVar("Item")


def profile() -> Literal["cpu", "gpu"]:
    """The size of the experiments: "gpu" where there is a CUDA device, else "cpu" (two cores, no network).

    The environment variable LABUTILS_PROFILE overrides it. Raises ValueError if that names no profile.
    """
    match os.environ.get("LABUTILS_PROFILE"):
        case "cpu":
            return "cpu"
        case "gpu":
            return "gpu"
        case None | "":
            return "gpu" if torch.cuda.is_available() else "cpu"
        case other:
            raise ValueError(f"LABUTILS_PROFILE is {other!r}: set it to 'cpu' or 'gpu', or leave it unset.")


def device() -> torch.device:
    """Where models run: the CPU in the cpu profile; in the gpu profile CUDA, MPS or the CPU, the first there is.

    Under torchrun each process of a machine gets a CUDA device of its own, by its LOCAL_RANK.
    """
    if profile() == "gpu":
        if torch.cuda.is_available():
            local_rank = os.environ.get("LOCAL_RANK")
            return torch.device("cuda") if local_rank is None else torch.device("cuda", int(local_rank))
        if torch.backends.mps.is_available():
            return torch.device("mps")
    return torch.device("cpu")


def dtype() -> torch.dtype:
    """The number type for pretrained models on `device()`: bfloat16 or float16 on CUDA, float32 elsewhere.

    Asks for compute capability 8.0, because `torch.cuda.is_bf16_supported()` also says yes on older devices that only
    emulate bfloat16, and slowly.
    """
    if device().type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16


def seed(number: int) -> None:
    """Seed Python's and torch's global generators, on all devices. (With NumPy use `np.random.default_rng(number)`.)"""
    random.seed(number)
    torch.manual_seed(number)


def progress(iterable: Iterable[Item], *, what: str = "", total: int | None = None) -> Iterable[Item]:
    """Iterate with a progress bar that vanishes when done, and that only a person at a screen gets to see.

    Where nobody watches (a notebook that a program runs, a file that takes the output) nothing is written, so that
    stored outputs stay the same from run to run.
    """
    return tqdm(iterable, desc=what or None, total=total, leave=False, disable=None if _watched() else True)


def _watched() -> bool:
    """Whether a person may be watching: a program that runs a notebook tells its kernel that nobody answers input()."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    kernel = getattr(shell, "kernel", None)
    return getattr(kernel, "_allow_stdin", True)
