"""How long each lab takes: its solution, run once from a cold kernel in an empty folder, without a network.

    python benchmarks/labs.py

A lab is to take at most 60 s of the clock on two cores. The seconds of the processor are those of the kernel with all
that it starts.
"""

import os
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from results import Row, publish
from timing import of_children

SOLUTIONS = Path(__file__).resolve().parent.parent / "labs" / "solutions"


def run(path: Path) -> None:
    """Run a notebook. Raises CellExecutionError if a cell fails."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        env = os.environ | {"LABUTILS_PROFILE": "cpu", "HF_HUB_OFFLINE": "1", "LABUTILS_STILL": "1"}
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute(env=env)


def rows(folder: Path = SOLUTIONS) -> list[Row]:
    """All that this benchmark measures."""
    found = []
    for path in sorted(folder.glob("*.ipynb")):
        cpu, wall = of_children(lambda path=path: run(path))
        found.append(Row(key=path.stem[:2], what=f"lab {path.stem[:2]}", seconds=[cpu], wall=[wall]))
    return found


if __name__ == "__main__":
    publish("labs", rows, threads=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
