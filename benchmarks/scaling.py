"""The course's own scaling law: decoders of several sizes, and how their gap to the floor shrinks with compute.

    python benchmarks/scaling.py                        # sizes up to 0.4 million weights, some minutes on one core
    LABUTILS_PROFILE=gpu python benchmarks/scaling.py   # and on to 10 million, on a GPU

Each run is a training of its own with its own schedule, so that every gap is that of a model that was finished. The
gap is the mean KL from the exact law of the next word to the model's, in nats per word: the loss minus the floor,
without the noise of the draw. Compute is 6N + 12LTd operations a token, for N weights, L layers, texts of T tokens and
vectors of d numbers [chowdhery2023palm]: the rule 6ND, and the products of queries, keys and values, which in small
models are no trifle.

Results go to benchmarks/scaling.json after every run. What is there already is not run again, so the command can be
stopped, and continued on another machine.
"""

import json
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from labutils import runtime
from labutils.files import whole_file
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss
from labutils.training import train
from labutils.world import World

RESULTS = Path(__file__).with_suffix(".json")
LENGTH, WEIGHT_DECAY = 64, 0.01
SMALL = 64  # the width of the course's small decoder
HELD_OUT = 1_000_000  # the seed of the documents for the test; a batch has the seed of its step, and of its run


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is trained, and how long. The learning rate is `rate` times the rule's."""

    d_model: int
    n_heads: int
    n_layers: int
    steps: int
    batch: int
    rate: float = 1.0

    @property
    def lr(self) -> float:
        """The narrower the model, the higher: 0.006 for the course's small decoder, and d to the power -0.6."""
        return self.rate * 6e-3 * (64 / self.d_model) ** 0.6

    @property
    def tokens(self) -> int:
        """How many it reads."""
        return self.steps * self.batch * LENGTH


BATCH = {"cpu": 16, "gpu": 128}
PLAN = {  # width, heads, layers; steps; learning rates relative to the rule; seeds
    "cpu": [
        *(((*size, 2), (125, 500, 2000), (1.0,), 2) for size in ((4, 2), (8, 2), (16, 4), (32, 4))),
        ((32, 4, 2), (8000,), (1.0,), 1),
        ((64, 4, 2), (125, 500, 2000), (1.0,), 1),
        ((96, 6, 3), (125, 500, 2000), (1.0,), 1),
        *(((*size, 2), (500,), (0.5, 2.0), 1) for size in ((16, 4), (64, 4))),
    ],
    "gpu": [
        ((64, 4, 2), (1000, 4000, 16_000), (1.0,), 2),
        ((128, 4, 4), (1000, 4000, 16_000), (1.0,), 2),
        ((256, 8, 4), (1000, 4000, 16_000), (1.0,), 1),
        ((384, 6, 6), (1000, 4000, 16_000), (1.0,), 1),
        ((256, 8, 4), (1000,), (0.5, 2.0), 1),
    ],
}


def settings(profile: str) -> list[tuple[Setting, int]]:
    """All runs of a profile, cheap ones first: (setting, seed)."""
    plan = [
        (Setting(d_model=d, n_heads=heads, n_layers=layers, steps=n, batch=BATCH[profile], rate=rate), seed)
        for (d, heads, layers), steps, rates, seeds in PLAN[profile]
        for n in steps
        for rate in rates
        for seed in range(seeds)
    ]
    return sorted(plan, key=lambda run: (run[1], run[0].tokens * run[0].d_model ** 2 * run[0].n_layers))


@dataclass(frozen=True, kw_only=True)
class Run:
    """A training that was done: its setting, and what came of it. `gap` in nats per word."""

    setting: Setting
    seed: int
    weights: int
    compute: float
    gap: float
    seconds: float
    device: str

    @classmethod
    def read(cls, fields: dict[str, Any]) -> "Run":
        """From what is in the file."""
        return cls(**{**fields, "setting": Setting(**fields["setting"])})


def operations(setting: Setting, weights: int) -> float:
    """Floating-point operations of the training: 6N + 12LTd for each token [chowdhery2023palm]."""
    return setting.tokens * float(6 * weights + 12 * setting.n_layers * LENGTH * setting.d_model)


def perform(setting: Setting, seed: int, world: World) -> Run:
    """Train one model and measure its gap."""
    runtime.seed(seed)
    config = Config(
        vocab_size=world.vocab_size,
        d_model=setting.d_model,
        n_heads=setting.n_heads,
        n_layers=setting.n_layers,
        max_len=LENGTH,
    )
    model = Decoder(config).to(runtime.device())
    on_gpu = runtime.device().type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time  # on a busy machine only the processor's own time counts
    begin = clock()
    train(
        model,
        lambda step: torch.from_numpy(world.sample(setting.batch, LENGTH - 1, seed=step + seed * 10**8).tokens),
        lambda model, tokens: causal_loss(model(tokens), tokens),
        steps=setting.steps,
        lr=setting.lr,
        weight_decay=WEIGHT_DECAY,
        precision=runtime.dtype(),
        what=f"{setting.d_model} wide, {setting.tokens:,} tokens",
    )
    seconds, weights = clock() - begin, sum(p.numel() for p in model.parameters())
    return Run(
        setting=setting,
        seed=seed,
        weights=weights,
        compute=operations(setting, weights),
        gap=gap(model, world),
        seconds=round(seconds, 2),
        device=torch.cuda.get_device_name() if on_gpu else "CPU, one thread",
    )


@torch.no_grad()
def gap(model: Decoder, world: World) -> float:
    """Mean KL from the law to the model on fresh documents, in nats per word."""
    tokens = world.sample(400, LENGTH - 1, seed=HELD_OUT).tokens[:, :-1]
    logits = model(torch.from_numpy(tokens).to(runtime.device())).float().cpu().numpy()
    return float(world.divergence(tokens, logits).mean())


# ------------------------------------------------------------------------------------------------------------- the fit


@dataclass(frozen=True, kw_only=True)
class Point:
    """All seeds of a setting together: the geometric mean of their gaps."""

    d_model: int
    weights: int
    tokens: int
    compute: float
    gap: float


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """y = (x / scale) ** -exponent, by least squares in the logarithms.

    `residuals` are the logarithms of y over the fit's; `low` and `high` the least and the greatest exponent when one
    point is left out; `local` the exponents between neighbouring points, which are all equal in a power law.
    """

    exponent: float
    low: float
    high: float
    scale: float
    residuals: list[float]
    local: list[float]


def power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    """Fit a falling power law. Raises ValueError for fewer than 3 points, or for numbers that are not positive."""
    if len(x) < 3 or len(x) != len(y) or min(*x, *y) <= 0:
        raise ValueError("A power law is fitted to at least 3 points with positive coordinates.")
    order = np.argsort(x)
    log_x, log_y = np.log(np.asarray(x, float)[order]), np.log(np.asarray(y, float)[order])
    slope, intercept = np.polyfit(log_x, log_y, 1)
    without = [-np.polyfit(np.delete(log_x, i), np.delete(log_y, i), 1)[0] for i in range(len(x))]
    return PowerLaw(
        exponent=float(-slope),
        low=float(min(without)),
        high=float(max(without)),
        scale=math.exp(-intercept / slope),
        residuals=(log_y - slope * log_x - intercept).tolist(),
        local=(-np.diff(log_y) / np.diff(log_x)).tolist(),
    )


def points(runs: Iterable[Run]) -> list[Point]:
    """The runs at the rule's learning rate, their seeds taken together, by compute."""
    groups: dict[Setting, list[Run]] = {}
    for run in runs:
        if run.setting.rate == 1:
            groups.setdefault(run.setting, []).append(run)
    found = [
        Point(
            d_model=setting.d_model,
            weights=same[0].weights,
            tokens=setting.tokens,
            compute=same[0].compute,
            gap=math.exp(float(np.mean([math.log(run.gap) for run in same]))),
        )
        for setting, same in groups.items()
    ]
    return sorted(found, key=lambda point: (point.compute, point.gap))


def frontier(candidates: Iterable[Point]) -> list[Point]:
    """The points that no cheaper one equals: the best gap for each amount of compute."""
    best: list[Point] = []
    for point in sorted(candidates, key=lambda point: (point.compute, point.gap)):
        if not best or point.gap < best[-1].gap:
            best.append(point)
    return best


def fits(runs: Iterable[Run]) -> dict[str, dict]:
    """The gap against compute on the frontier, against size at one amount of text, and against text at one size.

    The amount is the one that most sizes have read, the size that of the course's small decoder. What has fewer than
    three points is left out.
    """
    every = points(runs)
    amounts = [point.tokens for point in every]
    amount = max(set(amounts), key=lambda tokens: (amounts.count(tokens), tokens))
    chosen = {
        "compute": frontier(every),
        "weights": sorted((point for point in every if point.tokens == amount), key=lambda point: point.weights),
        "tokens": sorted((point for point in every if point.d_model == SMALL), key=lambda point: point.tokens),
    }
    return {
        name: asdict(power_law([getattr(point, name) for point in part], [point.gap for point in part]))
        | {"points": [asdict(point) for point in part]}
        for name, part in chosen.items()
        if len(part) >= 3
    }


def other_rates(runs: Iterable[Run]) -> list[dict[str, float]]:
    """What another learning rate did to the gap: by which factor it changed."""
    runs = list(runs)
    rule = {(run.setting, run.seed): run.gap for run in runs if run.setting.rate == 1}
    found = []
    for run in runs:
        usual = rule.get((replace(run.setting, rate=1.0), run.seed))
        if run.setting.rate != 1 and usual is not None:
            found.append({"d_model": run.setting.d_model, "rate": run.setting.rate, "ratio": run.gap / usual})
    return found


# --------------------------------------------------------------------------------------------------------- the command


def read(path: Path = RESULTS) -> list[Run]:
    """The runs of the file, if there is one."""
    return [Run.read(fields) for fields in json.loads(path.read_text())["runs"]] if path.exists() else []


def write(runs: list[Run], floor: float, path: Path = RESULTS) -> None:
    """All runs, and the fits where there are enough of them."""
    ordered = sorted(runs, key=lambda run: (run.weights, run.setting.tokens, run.setting.rate, run.seed))
    document = {"floor": floor, "text": LENGTH, "weight_decay": WEIGHT_DECAY, "fits": fits(runs)}
    document["other_rates"] = other_rates(runs)
    document["runs"] = [asdict(run) for run in ordered]
    with whole_file(path) as file:  # who stops the run leaves the old file or the new one
        file.write((json.dumps(document, indent=1) + "\n").encode())


def main() -> None:
    profile, world = runtime.profile(), World()
    if profile == "cpu":
        torch.set_num_threads(1)
    runs, (floor, _) = read(RESULTS), world.entropy_rate(LENGTH - 1)
    done = {(run.setting, run.seed) for run in runs}
    for setting, seed in settings(profile):
        if (setting, seed) not in done:
            runs.append(perform(setting, seed, world))
            write(runs, floor, RESULTS)
            print(f"{runs[-1].weights:>10,} weights {setting.tokens:>12,} tokens, seed {seed}, rate {setting.lr:.4f}:"
                  f" gap {runs[-1].gap:.4f}, {runs[-1].seconds:.0f} s", flush=True)  # fmt: skip
    for name, fit in fits(runs).items():
        print(f"{name}: exponent {fit['exponent']:.3f} ({fit['low']:.3f} to {fit['high']:.3f} with a point left out),"
              f" residuals {', '.join(f'{residual:+.2f}' for residual in fit['residuals'])}")  # fmt: skip
        print(f"  between neighbours: {', '.join(f'{exponent:.2f}' for exponent in fit['local'])}")


if __name__ == "__main__":
    main()
