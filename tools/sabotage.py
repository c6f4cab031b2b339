"""Break labs on purpose, and see that the ranges of their numbers refuse.

    python tools/sabotage.py labs/12_decoding.py

A comment `# sabotage: CLAIM: OLD => NEW` in a cell says: with NEW in the place of OLD, the number of that claim leaves
its range, in this cell or in a later one. The cells of a lab run once; each sabotage runs in a process that is forked
just before its cell, so that no sabotage sees what another one did.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from course import ROOT
from lab_source import Cell, LabError, Sabotage, read_lab

SECONDS = 600


def run_all(path: Path) -> list[str]:
    """Run all sabotages of a lab in a process of their own, and return what each that was not refused did instead."""
    read_lab(path)  # so that a fault of form is told here, not by the other process
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
    return json.loads(result.stdout.splitlines()[-1])


def _run_here(path: Path) -> list[str]:
    """Run the cells one after another, and each sabotage in a child of this process."""
    # IPython, because cells use display() and top-level expressions; no history, because it writes to the home folder.
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    cells = [cell for cell in read_lab(path).cells if cell.kind in ("code", "exercise")]
    last = max((index for index, cell in enumerate(cells) if cell.sabotages), default=-1)
    outcomes = {}
    for index, cell in enumerate(cells[: last + 1]):
        for sabotage in cell.sabotages:
            place = f"{path.name}: {cell.place}: {sabotage.old!r} => {sabotage.new!r}"
            outcomes[place] = _in_child(shell, cells[index:], sabotage)
        _run_cell(shell, cell.source).raise_error()
    return [f"{place} {outcome}" for place, outcome in outcomes.items() if outcome]


def _in_child(shell, cells: list[Cell], sabotage: Sabotage) -> str:
    """Say what a sabotaged lab did instead of refusing the number; "" if it refused."""
    read_end, write_end = os.pipe()
    if (child := os.fork()) == 0:
        try:
            reason = _outcome(shell, cells, sabotage)
        except BaseException as error:
            reason = f"stopped the test: {error!r}"
        os.write(write_end, reason.encode()[:4000])
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as pipe:
        reason = pipe.read()
    _, status = os.waitpid(child, 0)
    return reason if status == 0 else f"killed the process (status {status})."


def _outcome(shell, cells: list[Cell], sabotage: Sabotage) -> str:
    from labutils.evidence import OutOfRange

    broken = cells[0].source.replace(sabotage.old, sabotage.new)
    for source in (broken, *(cell.source for cell in cells[1:])):
        match _run_cell(shell, source).error_in_exec:
            case None:
                continue
            case OutOfRange(evidence=evidence) if sabotage.key in (evidence.key, evidence.claim):
                return ""
            case OutOfRange(evidence=evidence):
                return f"was refused by {evidence.key}, not by {sabotage.key}: name that one."
            case error:
                return f"raised {type(error).__name__}: {error}. It must be refused by the range of {sabotage.key}."
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
    if sys.argv[1:2] == ["--in-this-process"]:
        print(json.dumps(_run_here(Path(sys.argv[2]))))
        return
    paths = [Path(name) for name in sys.argv[1:]] or sorted((ROOT / "labs").glob("[0-9][0-9]_*.py"))
    try:
        problems = [problem for path in paths for problem in run_all(path)]
    except LabError as error:
        sys.exit(str(error))
    sys.exit("\n".join(problems) if problems else 0)


if __name__ == "__main__":
    main()
