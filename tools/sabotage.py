"""Break labs on purpose, and see that the ranges of their numbers refuse.

    python tools/sabotage.py labs/12_decoding.py             # try the faults of a lab, or, without a name, of all labs
    python tools/sabotage.py --report labs/12_decoding.py    # and write what they did into benchmarks/sabotage.json

A comment `# sabotage: CLAIM: OLD => NEW` in a cell says: with NEW in the place of OLD, the number of that claim leaves
its range, in this cell or in a later one. The cells of a lab run once; each sabotage runs in a process that is forked
just before its cell, so that no sabotage sees what another one did.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from course import ROOT
from lab_source import Cell, LabError, Sabotage, read_lab

from labutils.evidence import Evidence, OutOfRange

SECONDS = 1200
RESULTS = ROOT / "benchmarks" / "sabotage.json"


@dataclass(frozen=True)
class Trial:
    """What became of a sabotage: the number that refused it, as it was then, or the problem that it was not refused."""

    sabotage: Sabotage
    refused: Evidence | None
    problem: str = ""


def run_all(path: Path) -> list[Trial]:
    """Run all sabotages of a lab in a process of their own. Raises LabError if the lab fails without them."""
    lab = read_lab(path)  # here too, so that a fault of form is told by this process
    with tempfile.TemporaryDirectory(prefix="sabotage-") as folder:
        # One thread: a forked process must not inherit a pool of threads that are not there.
        env = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "IPYTHONDIR": folder, "HF_HUB_OFFLINE": "1"}
        result = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--in-this-process", str(path.resolve())],
            cwd=folder,
            env=env | {"LABUTILS_PROFILE": "cpu", "LABUTILS_STILL": "1"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    if result.returncode:
        raise LabError(f"{path}: the lab itself fails: {result.stderr.strip()[-2000:]}")
    found = json.loads(result.stdout.splitlines()[-1])
    tried = [(cell, sabotage) for cell in lab.cells for sabotage in cell.sabotages]
    return [_trial(path, *one, outcome) for one, outcome in zip(tried, found, strict=True)]


def problems(trials: list[Trial]) -> list[str]:
    """A sentence for each sabotage that was not refused."""
    return [trial.problem for trial in trials if trial.problem]


def write_report(path: Path, trials: list[Trial], results: Path = RESULTS) -> None:
    """Put the trials of one lab into the report, which keeps those of the other labs that exist."""
    kept = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    kept = {name: entries for name, entries in kept.items() if (path.parent / f"{name}.py").exists()}
    kept[path.stem] = [_entry(trial) for trial in trials]
    text = json.dumps(dict(sorted(kept.items())), indent=1, ensure_ascii=False, allow_nan=False)
    results.write_text(text + "\n", encoding="utf-8")


def _entry(trial: Trial) -> dict[str, Any]:
    """A trial as the report has it: range and words are the notebook's. JSON knows no number that is not finite."""
    assert trial.refused is not None
    value = trial.refused.value if math.isfinite(trial.refused.value) else None
    return asdict(trial.sabotage) | {"key": trial.refused.key, "value": value}


def _trial(path: Path, cell: Cell, sabotage: Sabotage, outcome: dict | str) -> Trial:
    if isinstance(outcome, dict):
        return Trial(sabotage, Evidence(**outcome))
    return Trial(sabotage, None, f"{path.name}: {cell.place}: {sabotage.old!r} => {sabotage.new!r} {outcome}")


def _run_here(path: Path) -> list[dict | str]:
    """Run the cells one after another, and each sabotage in a child of this process."""
    # IPython, because cells use display() and top-level expressions; no history, because it writes to the home folder.
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    cells = [cell for cell in read_lab(path).cells if cell.kind in ("code", "exercise")]
    last = max((index for index, cell in enumerate(cells) if cell.sabotages), default=-1)
    outcomes = []
    for index, cell in enumerate(cells[: last + 1]):
        outcomes += [_in_child(shell, cells[index:], sabotage) for sabotage in cell.sabotages]
        _run_cell(shell, cell.source).raise_error()
    return outcomes


def _in_child(shell, cells: list[Cell], sabotage: Sabotage) -> dict | str:
    """The number that refused a sabotage, as a dictionary, or what the sabotaged lab did instead, in words."""
    read_end, write_end = os.pipe()
    if (child := os.fork()) == 0:
        try:
            outcome = _outcome(shell, cells, sabotage)
        except BaseException as error:
            outcome = f"stopped the test: {error!r}"[:4000]
        os.write(write_end, json.dumps(outcome).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8") as pipe:
        outcome = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(outcome) if status == 0 else f"killed the process (status {status})."


def _outcome(shell, cells: list[Cell], sabotage: Sabotage) -> dict | str:
    broken = cells[0].source.replace(sabotage.old, sabotage.new)
    for source in (broken, *(cell.source for cell in cells[1:])):
        match _run_cell(shell, source).error_in_exec:
            case None:
                continue
            case OutOfRange(evidence=evidence) if sabotage.key in (evidence.key, evidence.claim):
                return asdict(evidence)
            case OutOfRange(evidence=evidence):
                return f"was refused by {evidence.key}, not by {sabotage.key}: name that one."
            case error:
                text = f"{type(error).__name__}: {error}"[:4000]
                return f"raised {text}. It must be refused by the range of {sabotage.key}."
    return f"was not refused: the range of {sabotage.key} is too wide to notice."


def _run_cell(shell, source: str):
    """Run a cell as a notebook would, with what it prints thrown away."""
    from IPython.utils.capture import capture_output

    with capture_output():
        result = shell.run_cell(source)
    if result.error_before_exec is not None:
        raise result.error_before_exec
    return result


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Break labs on purpose, and see that their numbers refuse.")
    parser.add_argument("labs", nargs="*", type=Path, help="sources such as labs/12_decoding.py; without, all of them")
    parser.add_argument("--report", action="store_true", help=f"write what was found into {RESULTS.name}")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_this_process:
        print(json.dumps(_run_here(given.labs[0])))
        return
    missed = []
    for path in given.labs or sorted((ROOT / "labs").glob("[0-9][0-9]_*.py")):
        try:
            trials = run_all(path)
        except (LabError, OSError) as error:
            sys.exit(str(error))
        found = problems(trials)
        if given.report and not found:
            write_report(path, trials)
        print(f"{path.name}: {len(trials) - len(found)} of {len(trials)} faults were refused")
        missed += found
    sys.exit("\n".join(missed) if missed else 0)


if __name__ == "__main__":
    main()
