"""Do the labs' numbers hold at other seeds? Each lab runs four times more, with all its random generators elsewhere.

    python benchmarks/seeds.py                 # all labs: about half an hour of one core
    python benchmarks/seeds.py 07 12           # these labs only; what the file says of the others stays
    python benchmarks/seeds.py 12 --jobs 2     # two processes at a time

The notebooks' own run is the first of five. Run n moves each seed that a cell or `labutils` gives to a generator, by n
times SHIFT, so that no draw of one run is a draw of another. What is not moved: the languages, which are what the labs
measure and no draw; and the exercises, whose inputs are drawn to test a learner.

A number that leaves its range does not stop the lab. benchmarks/seeds.json holds, for each number, its values at the
seeds, the range where that moves with the seed, and what varied: see ORIGINS. A cell that fails at a seed is named
there with its error; the numbers that it would have measured are null.
"""

import argparse
import ast
import dis
import json
import math
import operator
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from traceback import walk_stack
from types import CodeType
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).with_suffix(".json")
SEEDS: tuple[int, ...] = (1, 2, 3, 4)  # besides the notebooks' own
SHIFT = 1_000_000_007  # farther than any two seeds of a lab are apart
SECONDS = 1800  # a lab that takes longer hangs

LANGUAGES = {("labutils.world", "word_lists"), ("labutils.task_mixture", "_drawn")}
"""Module and function of the seeds that make a language."""

ORIGINS = {
    "draw": "other draws",
    "shipped": "other draws, one model that comes with the course",
    "trained": "other trainings",
    "both": "other trainings, beside one model that comes with the course",
    "timed": "other runs of the clock",
}
"""What a number rests on, by the names that lead to it in the lab's source: see `Source`."""

# Names and attributes that say what a value rests on.
SAID = {"train": "trained", "load_world_decoder": "shipped", "load_world_encoder": "shipped"} | {
    "load_in_context": "shipped"
}
SAID_BY_ATTRIBUTE = {"fit": "trained", "step": "trained"} | dict.fromkeys(
    ("perf_counter", "process_time", "thread_time"), "timed"
)


# ------------------------------------------------------------------------------------------------------------ the seeds


class Shift:
    """Moves seeds by `amount`, where a cell or `labutils` seeds a generator; not while it is `paused`."""

    def __init__(self, amount: int):
        self.amount, self.paused = amount, False

    def __call__(self, seed: Any) -> Any:
        """The seed to use; its caller is a function that somebody called to seed a generator.

        Raises TypeError if a cell or `labutils` gives a seed that is no integer, for that would stay where it is.
        """
        caller = sys._getframe(2)
        module, function = caller.f_globals.get("__name__", ""), caller.f_code.co_name
        ours = module == "__main__" or module.partition(".")[0] == "labutils"
        testing = module.startswith(("labutils.checks", "labutils.exercises"))
        if self.paused or not ours or testing or (module, function) in LANGUAGES:
            return seed
        return operator.index(seed) + self.amount


def shift_seeds(shift: Shift) -> None:
    """Put functions and classes that move their seed in the place of Python's, NumPy's and torch's."""
    import numpy as np
    import torch

    class MovedGenerator(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(shift(seed))

    class MovedRandom(random.Random):
        def __init__(self, x: Any = None):
            super().__init__(shift(x))

    seed_torch, seed_random, numpy_generator = torch.manual_seed, random.seed, np.random.default_rng
    if shift.amount:  # for a cell that draws before it has seeded anything
        seed_torch(shift.amount)
        seed_random(shift.amount)
    # Written with setattr, since a type checker refuses to see a library changed.
    for module, name, moved in (
        (torch, "Generator", MovedGenerator),
        (torch, "manual_seed", lambda seed: seed_torch(shift(seed))),
        (random, "Random", MovedRandom),
        (random, "seed", lambda a: seed_random(shift(a))),
        (np.random, "default_rng", lambda seed: numpy_generator(shift(seed))),
    ):
        setattr(module, name, moved)


# ----------------------------------------------------------------------------------------------- what a number rests on


@dataclass
class Source:
    """Which names of a lab rest on a training, a shipped model or a clock.

    A statement rests on what the names that it reads rest on; so does every name that it sets. A function rests on
    what its body reads. This follows names, not values: a table that holds the numbers of two models rests on both.
    """

    rests: dict[str, set[str]] = field(default_factory=dict)
    bodies: dict[str, set[str]] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)  # modules, plain numbers, strings: no call changes them

    def read(self, cell: str) -> dict[int, str]:
        """Follow one more cell; give, for each of its lines, a key of ORIGINS."""
        found = {}
        for statement in ast.parse(cell).body:
            code = compile(ast.Module([statement], []), "<cell>", "exec")
            origin = self._follow(statement, code)
            found |= dict.fromkeys(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1), origin)
        return found

    def _follow(self, statement: ast.stmt, code: CodeType) -> str:
        loads, stores, attributes, again = set(), set(), set(), set()
        for instruction in _instructions(code):
            match instruction.opname:
                case "LOAD_NAME" | "LOAD_GLOBAL":
                    loads.add(instruction.argval)
                case "STORE_NAME":
                    if instruction.argval in loads - stores:  # read before it is set, as in x = x + 1
                        again.add(instruction.argval)
                    stores.add(instruction.argval)
                case "LOAD_ATTR" | "LOAD_METHOD":
                    attributes.add(instruction.argval)
        loads -= stores - again
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            self.fixed |= stores
            return "draw"
        direct = {SAID[name] for name in loads if name in SAID}
        direct |= {SAID_BY_ATTRIBUTE[name] for name in attributes if name in SAID_BY_ATTRIBUTE}
        for name in set(_changed(statement)) - self.fixed:  # besides what it was
            self.rests.setdefault(name, set()).update(direct, *map(self._of, loads))
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            self.bodies[statement.name], self.rests[statement.name] = loads, direct
            return "draw"
        all_of_it = direct.union(*map(self._of, loads))
        plain = isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
        self.fixed = self.fixed | stores if plain else self.fixed - stores
        for name in stores:
            self.bodies.pop(name, None)
            self.rests[name] = all_of_it | (self.rests.get(name, set()) if name in again else set())
        return _origin(all_of_it)

    def _of(self, name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        if name in seen:
            return set()
        inner = (self._of(other, seen | {name}) for other in self.bodies.get(name, ()))
        return self.rests.get(name, set()).union(*inner)


def _origin(rests: set[str]) -> str:
    if "timed" in rests:
        return "timed"
    if {"trained", "shipped"} <= rests:
        return "both"
    return next(iter(rests), "draw")


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)


def _changed(statement: ast.stmt) -> Iterator[str]:
    """Names whose object a statement changes: x[i] = ..., x.y = ..., x.append(...), train(x, ...)."""
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return
    for node in ast.walk(statement):
        if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(node.ctx, ast.Store):
            yield from _root(node)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if isinstance(node.value.func, ast.Attribute):
                yield from _root(node.value.func)
            if node.value.args:
                yield from _root(node.value.args[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "train":
            yield from _root(node.args[0])


def _root(node: ast.expr) -> Iterator[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


# -------------------------------------------------------------------------------------------------------------- one run


def run(path: Path, seed: int) -> dict[str, Any]:
    """Run a lab's solution at a seed in a process of its own.

    Gives "numbers", {key: value, low, high, origin}; "failed", {cell: error}; and the version of "torch".
    """
    with tempfile.TemporaryDirectory(prefix="seeds-") as folder:
        env = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "IPYTHONDIR": folder, "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(
            # -P: the folder of this file has modules that bear the names of libraries.
            [sys.executable, "-P", str(Path(__file__).resolve()), "--in-this-process", str(path.resolve()), str(seed)],
            cwd=folder,
            env=env | {"LABUTILS_PROFILE": "cpu", "LABUTILS_STILL": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    if result.returncode:
        raise RuntimeError(f"{path.name}, seed {seed}: {result.stderr.strip()[-2000:]}")
    return json.loads(result.stdout.splitlines()[-1])


def _run_here(path: Path, seed: int) -> dict[str, Any]:
    sys.path.insert(0, str(ROOT))
    # No history, because IPython writes it to the home folder.
    import torch
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    from labutils import evidence
    from tools.lab_source import read_lab

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    numbers, failed = {}, {}
    strict, source, lines = evidence.measure, Source(), {}

    def keep(record: evidence.Evidence) -> None:
        line = next(n for frame, n in walk_stack(None) if frame.f_code.co_name == "<module>")  # the cell's own
        numbers[record.key] = (record.value, record.low, record.high, lines[line])

    def measure(*arguments: Any, **settings: Any) -> None:
        try:
            strict(*arguments, **settings)
        except evidence.OutOfRange as refused:
            keep(refused.evidence)

    shift = Shift(seed * SHIFT)
    shift_seeds(shift)
    for cell in read_lab(path).cells:
        if cell.kind not in ("code", "exercise"):
            continue
        lines = source.read(cell.source)
        shift.paused = cell.kind == "exercise"
        with patch.multiple(evidence, _show=keep, measure=measure), capture_output():
            result = shell.run_cell(cell.source)
        if (error := result.error_before_exec or result.error_in_exec) is not None:
            failed[cell.place] = f"{type(error).__name__}: {error}"
    return {"numbers": numbers, "failed": failed, "torch": torch.__version__}


# ------------------------------------------------------------------------------------------------------------- the file


def combined(runs: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    """What the file says of a lab: its runs by seed, put together number by number."""
    numbers = {}
    for key in dict.fromkeys(key for run in runs.values() for key in run["numbers"]):
        found = [run["numbers"].get(key) for run in runs.values()]
        measured = [record for record in found if record is not None]
        number: dict[str, Any] = {"values": [record and _number(record[0]) for record in found]}
        ranges = [record and [_number(end) for end in record[1:3]] for record in found]
        if any(record[1:3] != measured[0][1:3] for record in measured):
            number["ranges"] = ranges  # computed in the lab, from the draw
        numbers[key] = number | {"origin": measured[0][3]}
    failed = {str(seed): run["failed"] for seed, run in runs.items() if run["failed"]}
    versions = sorted({run["torch"] for run in runs.values()})
    return {"seeds": list(runs), "torch": ", ".join(versions), "failed": failed, "numbers": numbers}


def _number(value: float) -> float | None:
    """As the file has it: an open end, and what is no number, is null."""
    return float(f"{value:.12g}") if math.isfinite(value) else None


def written(labs: dict[str, Any]) -> str:
    """The file's text: one number a line, so that a difference can be read."""
    parts = []
    for lab, content in sorted(labs.items()):
        lines = [f"   {json.dumps(key)}: {json.dumps(number)}" for key, number in content["numbers"].items()]
        head = "".join(f'  "{name}": {json.dumps(content[name])},\n' for name in ("seeds", "torch", "failed"))
        parts.append(f' "{lab}": {{\n{head}  "numbers": {{\n' + ",\n".join(lines) + "\n  }\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run labs at other seeds.")
    parser.add_argument("labs", nargs="*", help="numbers of labs, such as 07; all if none is named")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes at a time")
    options = parser.parse_args()
    sources = {path.name[:2]: path for path in sorted((ROOT / "labs").glob("[0-9][0-9]_*.py"))}
    for lab in options.labs or sources:
        with ThreadPoolExecutor(options.jobs) as pool:
            runs = dict(zip(SEEDS, pool.map(run, [sources[lab]] * len(SEEDS), SEEDS), strict=True))
        stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
        stored[lab] = combined(runs)
        RESULTS.write_text(written(stored), encoding="utf-8")
        print(f"lab {lab}: {len(stored[lab]['numbers'])} numbers, failed: {stored[lab]['failed']}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--in-this-process"]:
        print(json.dumps(_run_here(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
