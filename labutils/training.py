"""Training: one loop for every model of the course, in one process or in many; and what it costs."""

import atexit
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from labutils.evidence import measure
from labutils.files import whole_file
from labutils.runtime import device, profile, progress

GPU_MEMORY = 10  # GiB; the gpu profile of every lab fits into it, and so on the cards of free notebooks
Batch = Any  # whatever the loss takes: a tensor, or a tuple of tensors


def cosine_schedule(step: int, *, steps: int, warmup: float) -> float:
    """The share of the learning rate at this step: a straight rise, then half a cosine down to 0.

    The rise takes the first `warmup` share of the steps and reaches 1 at its last one.
    """
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step + 1 - rise) / (steps + 1 - rise)))


def train(
    model: nn.Module,
    batches: Callable[[int], Batch],
    loss: Callable[[nn.Module, Batch], Float[Tensor, ""]],
    *,
    steps: int,
    lr: float,
    warmup: float = 0.05,
    weight_decay: float = 0.1,
    clip: float = 1.0,
    seed: int = 0,
    precision: torch.dtype = torch.float32,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    what: str = "training",
) -> list[float]:
    """Train the model in place, and return the loss of each step. Afterwards the model is in `eval()` mode.

    `batches(step)` is the batch of that step, and `loss(model, batch)` a scalar to make small. A batch must follow from
    its step alone, so that a run can be resumed: slice a tensor, or sample with the step as the seed. Batches go to the
    device of the model, which decides where the training happens.

    AdamW with betas (0.9, 0.98) and weight decay on matrices only; the gradient is clipped to the norm `clip`; the
    learning rate is `lr` times `cosine_schedule`. What torch draws at random within a step follows from `seed` and the
    step; the generators of the caller stay as they are.

    The weights are float32. With another `precision` (such as `runtime.dtype()`) torch computes the large products of
    `loss` in that type [micikevicius2018mixed]. For float16, whose smallest numbers are not small enough for many
    gradients, the loss is scaled up before the backward pass and the gradients down after it; a step whose gradients
    overflow changes nothing.

    With a `checkpoint`, the state is written to that file every `checkpoint_every` steps and at the end. If the file
    exists, the run goes on from there; on a CPU it ends in the same weights, bit for bit, as a run without a break.

    Under `torchrun`, or wherever torch.distributed is initialised, the processes train one model together: each takes
    an equal share of the rows of every batch (of each of its tensors, along the first axis), and what moves the weights
    is the mean of the processes' gradients. The losses returned are the means of the processes' losses. Both equal
    those of one process if every process's loss is a mean over equally many tokens; where shares are padded unequally,
    a token weighs more in a share that has fewer. The weights start as those of process 0, which alone writes the
    checkpoint; all processes must see the file.

    Raises ValueError if the checkpoint cannot be read, or was written by a run of another model or other settings; if
    not all processes see it; or if a batch cannot be shared evenly. Raises FloatingPointError if the loss is no longer
    a number.
    """
    device = next(model.parameters()).device
    rank, processes = _join(device)
    settings = {"steps": steps, "lr": lr, "warmup": warmup, "weight_decay": weight_decay, "clip": clip, "seed": seed}
    settings["precision"] = str(precision)
    optimizer = _adamw(model, lr, weight_decay)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
    losses: list[float] = []
    if checkpoint is not None and Path(checkpoint).exists():
        losses = _load(Path(checkpoint), model, optimizer, scaler, settings)
    if processes > 1:
        _agree(model, len(losses), processes)

    model.train()
    remaining = range(len(losses), steps)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for step in progress(remaining, what=what) if rank == 0 else remaining:
            torch.manual_seed(seed * 1_000_003 + step)
            batch = _share(batches(step), rank, processes)
            if rank > 0:  # all draw the same batch, but not the same noise for their shares of it
                torch.manual_seed(seed * 1_000_003 + step + rank * 2**40)
            for group in optimizer.param_groups:
                group["lr"] = lr * cosine_schedule(step, steps=steps, warmup=warmup)
            with nullcontext() if precision == torch.float32 else torch.autocast(device.type, dtype=precision):
                value = loss(model, _to_device(batch, device))
            optimizer.zero_grad()
            scaler.scale(value).backward()
            if processes > 1:
                value = _average(model, value, processes)
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip)
            scaler.step(optimizer)
            scaler.update()
            losses.append(value.item())
            if not math.isfinite(losses[-1]):
                raise FloatingPointError(f"The loss is {losses[-1]} at step {step}: try a smaller learning rate.")
            if rank == 0 and checkpoint is not None and ((step + 1) % checkpoint_every == 0 or step + 1 == steps):
                _save(Path(checkpoint), model, optimizer, scaler, settings, losses)
    if processes > 1:
        distributed.barrier()  # until process 0 has written the checkpoint
    model.eval()
    return losses


@contextmanager
def metered(claim: str, *, tokens: int, name: str = "gpu") -> Iterator[None]:
    """In the gpu profile, measure what the block costs that reads `tokens` tokens; in the cpu profile, nothing.

    Printed through `measure`, under the claim: tokens a second, and on CUDA the peak of the memory, which must stay
    below GPU_MEMORY.
    """
    if profile() == "cpu":
        yield
        return
    cuda = device().type == "cuda"
    if cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    yield
    if cuda:
        torch.cuda.synchronize()
    rate = tokens / (time.perf_counter() - start)
    measure(claim, rate, between=(1, math.inf), name=f"{name}-rate", what="trained on, tokens a second")
    if cuda:
        peak = torch.cuda.max_memory_allocated() / 2**30
        what = "peak of the GPU's memory"
        measure(claim, peak, between=(0, GPU_MEMORY), name=f"{name}-memory", what=what, unit="GiB")


def _adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Biases and norms are left out of the decay: pulling a scale towards 0 would not make the model simpler."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=(0.9, 0.98), fused=True)


def _to_device(batch: Batch, device: torch.device) -> Batch:
    if isinstance(batch, Tensor):
        return batch.to(device)
    if isinstance(batch, tuple):
        return tuple(_to_device(part, device) for part in batch)
    return batch


# --- several processes, one model: data parallelism


def _join(device: torch.device) -> tuple[int, int]:
    """The number of this process and how many there are: (0, 1) for one that runs alone."""
    if not distributed.is_available():
        return 0, 1
    if not distributed.is_initialized() and distributed.is_torchelastic_launched():  # by torchrun
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        atexit.register(distributed.destroy_process_group)
    if not distributed.is_initialized():
        return 0, 1
    if device.type == "cuda":
        torch.cuda.set_device(device)  # where messages between the processes are kept
    return distributed.get_rank(), distributed.get_world_size()


def _agree(model: nn.Module, steps_done: int, processes: int) -> None:
    """Let all processes start at the same step, and from the weights of process 0."""
    everywhere: list[Any] = [None] * processes
    distributed.all_gather_object(everywhere, steps_done)
    if len(set(everywhere)) > 1:
        raise ValueError(
            f"The processes would start at the steps {everywhere}, because they do not see the same checkpoint: "
            "put it on a disk that all of them share."
        )
    for tensor in model.state_dict().values():
        distributed.broadcast(tensor, src=0)


def _share(batch: Batch, rank: int, processes: int) -> Batch:
    """The rows of a batch that belong to one process."""
    if isinstance(batch, tuple):
        return tuple(_share(part, rank, processes) for part in batch)
    if not isinstance(batch, Tensor):
        return batch
    if len(batch) % processes:
        raise ValueError(f"{processes} processes cannot share {len(batch)} rows evenly: change the size of the batch.")
    return batch.chunk(processes)[rank]


def _average(model: nn.Module, loss: Tensor, processes: int) -> Tensor:
    """Replace each gradient by its mean over the processes, and return the mean of their losses.

    It does plainly what DistributedDataParallel does, which also sends while the backward pass still computes.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    message = torch.cat([parameters_to_vector(gradients), loss.detach().view(1)])
    distributed.all_reduce(message)
    message /= processes
    vector_to_parameters(message[:-1], gradients)
    return message[-1]


# --- checkpoints


def _shapes(model: nn.Module) -> dict[str, list[int]]:
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def _save(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: dict[str, Any],
    losses: list[float],
) -> None:
    """Write the state to `path`, which is never a half-written file."""
    state = {
        "settings": settings,
        "shapes": _shapes(model),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "losses": losses,
    }
    with whole_file(path) as file:
        torch.save(state, file)


def _load(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    settings: dict[str, Any],
) -> list[float]:
    """Put the state of the file into the model, the optimizer and the scaler, and return the losses so far."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        saved, shapes = state["settings"], state["shapes"]
    except (RuntimeError, UnpicklingError, EOFError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is not a checkpoint that can be read: delete it to start anew.") from error
    changed = [
        f"{name} was {saved[name]} and is now {value}" for name, value in settings.items() if saved[name] != value
    ]
    if shapes != _shapes(model):
        changed.append("the model had other shapes")
    if changed:
        raise ValueError(f"{path} belongs to another run ({', '.join(changed)}): delete it to start anew.")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    scaler.load_state_dict(state["scaler"])
    return state["losses"]
