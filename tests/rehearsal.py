"""Run a lab in the gpu profile without a GPU: `python tests/rehearsal.py labs/04_causal_lm.py`.

Everything runs but the trainings, of which only the first steps do, and no number has to lie in its range. Where a lab
has a size for each profile it gets the smaller one. At the end it prints the most memory that a training needs, in GiB,
and the keys of what was measured.
A process of its own, because labs pass to functions what their types, checked to the letter, do not admit.
"""

import contextlib
import io
import json
import os
import re
import sys
from pathlib import Path

os.environ |= {"LABUTILS_PROFILE": "gpu", "HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg"}
sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))

import matplotlib.pyplot as plt
import torch
from lab_source import Lab, read_lab

import labs
from labutils import evidence, training

FEW = 3  # steps of a training that are done
SIZE = re.compile(r"(\{[^{}]*\})\[profile\(\)\]")

train, measure = training.train, evidence.measure
needed = [0.0]  # bytes, of each training
measured: list[str] = []  # the keys, "claim/name"


def bytes_kept(model: torch.nn.Module, steps) -> float:
    """What training needs at least: weights, gradients, two running means; and what is kept for a backward pass."""
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        steps()
    return 16 * sum(parameter.numel() for parameter in model.parameters()) + sum(kept.values())


def short_train(model, batches, loss, *, steps, **settings):
    """The first steps, and then batches alone: a lab may look at its model whenever it is asked for a batch."""
    few = min(steps, FEW)
    losses: list[float] = []
    settings.pop("checkpoint", None)
    needed.append(bytes_kept(model, lambda: losses.extend(train(model, batches, loss, steps=few, **settings))))
    for step in range(few, steps):
        batches(step)
    return losses + losses[-1:] * (steps - few)


def lenient_measure(*arguments, **settings):
    """Models that were hardly trained measure anything."""
    measured.append(f"{arguments[0]}/{settings.get('name', '')}")
    with contextlib.suppress(evidence.OutOfRange):
        measure(*arguments, **settings)


def rehearse(lab: Lab) -> None:
    """Run the cells of the solution one after the other."""
    names: dict[str, object] = {"__name__": "rehearsal"}
    for cell in lab.cells:
        if cell.kind not in ("markdown", "setup"):
            source = SIZE.sub(r'\1["cpu"]', labs.unmarked(cell.source))
            with contextlib.redirect_stdout(io.StringIO()):
                exec(compile(source, cell.place, "exec"), names)
            plt.close("all")


if __name__ == "__main__":
    training.train = short_train
    evidence.measure = training.measure = lenient_measure
    torch.set_num_threads(1)
    rehearse(read_lab(Path(sys.argv[1])))
    print(json.dumps({"memory": max(needed) / 2**30, "measured": measured}))
