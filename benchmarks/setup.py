"""How long does a lab's setup cell take on the emulated Colab, where the course is missing and its wheel is at hand?

    python benchmarks/setup.py

The course promises at most 5 seconds. A good part of them goes into importing torch, which a lab would do anyway, so a
cell that does only that is timed beside it. The kernel times its cells by the clock.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from results import Row, publish

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "labs" / "08_heads_and_cache.ipynb"  # its setup cell brings the most: labutils, jaxtyping and bertviz
ROUNDS = 3


def first_cells(folder: Path) -> dict[str, Path]:
    """Two notebooks of one cell each: the setup cell of a lab, and one that imports torch."""
    setup = next(cell for cell in nbformat.read(LAB, as_version=4).cells if cell.cell_type == "code")
    paths = {}
    for name, source in {"setup": setup.source, "torch": "import torch"}.items():
        paths[name] = folder / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), paths[name])
    return paths


def seconds(notebook: Path) -> float:
    """How long the first cell of a notebook took on the emulated Colab."""
    command = [sys.executable, ROOT / "tools" / "colab.py", notebook]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r", setup ([\d.]+) s", said)
    if found is None:
        sys.exit(f"The cell did not finish:\n{said}")
    return float(found[1])


def rows() -> list[Row]:
    """All that this benchmark measures."""
    with tempfile.TemporaryDirectory(prefix="setup-") as folder:
        notebooks = first_cells(Path(folder))
        times = [{name: seconds(path) for name, path in notebooks.items()} for _ in range(ROUNDS)]
    return [
        Row(
            key="cell",
            what="the setup cell of lab 08, which installs the course and two packages",
            seconds=[row["setup"] for row in times],
            other="a cell that imports torch",
            other_seconds=[row["torch"] for row in times],
        )
    ]


if __name__ == "__main__":
    publish("setup", rows, clock="wall", threads=2)
