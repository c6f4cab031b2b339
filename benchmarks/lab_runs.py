"""How long each lab takes: its solution, run once from a cold kernel in an empty folder, without a network.

    python benchmarks/lab_runs.py
    python benchmarks/lab_runs.py 03 06   # these two; what was measured of the others stays

A lab is to take at most 60 s of the clock on two cores. The seconds of the processor are those of the kernel with all
that it starts. For each lab it also prints the cells that took longest, by the clock.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from results import Row, publish
from timing import of_children

SOLUTIONS = Path(__file__).resolve().parent.parent / "labs" / "solutions"
THREADS = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))


def run(notebook: NotebookNode) -> None:
    """Run a notebook. Raises CellExecutionError if a cell fails."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        env = os.environ | {"LABUTILS_PROFILE": "cpu", "HF_HUB_OFFLINE": "1", "LABUTILS_STILL": "1"}
        arguments = ["--log-level=40"]
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=600, extra_arguments=arguments, resources=resources).execute(env=env)


def longest(notebook: NotebookNode, count: int = 3) -> str:
    """The cells that took longest, with their seconds of the clock."""
    cells = []
    for number, cell in enumerate(notebook.cells, start=1):
        times = cell.metadata.get("execution", {})
        if "shell.execute_reply" in times:
            begin, end = (datetime.fromisoformat(times[key]) for key in ("iopub.status.busy", "shell.execute_reply"))
            cells.append(((end - begin).total_seconds(), number))
    return ", ".join(f"cell {number} {seconds:.1f} s" for seconds, number in sorted(cells, reverse=True)[:count])


def rows(folder: Path = SOLUTIONS, wanted: Sequence[str] = ()) -> list[Row]:
    """All that this benchmark measures, of all labs or of those that are wanted."""
    found = []
    for path in sorted(folder.glob("*.ipynb")):
        number = path.name[:2]
        if wanted and number not in wanted:
            continue
        notebook, load = nbformat.read(path, as_version=4), os.getloadavg()[0]
        cpu, wall = of_children(partial(run, notebook))
        found.append(Row(key=number, what=f"lab {number}", seconds=[cpu], wall=[wall], load=load))
        print(f"lab {number}: {cpu:.0f} s of the processor, {wall:.0f} s of the clock; {longest(notebook)}", flush=True)
    return found


if __name__ == "__main__":
    publish("lab_runs", lambda: rows(wanted=sys.argv[1:]), threads=THREADS, keep=True)
