"""What the scripts tools/train_*.py write down about a training."""

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import nn


def facts(model: nn.Module, losses: Sequence[float], start: float, **settings: float) -> dict[str, object]:
    """The settings, and what came of them; `start` is `time.process_time()` as it was before the first step."""
    return {
        **settings,
        "parameters": sum(p.numel() for p in model.parameters()),
        "cpu_seconds": round(time.process_time() - start),
        "torch": torch.__version__,
        "last_loss": round(float(np.mean(losses[-100:])), 4),
    }


def show(parts: Mapping[str, Mapping[str, object]]) -> None:
    """Print a line for each fact."""
    for part in parts.values():
        for name, value in part.items():
            print(f"{name}: {value}")
