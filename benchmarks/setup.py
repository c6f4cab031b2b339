"""How long does a lab's setup cell take on the emulated Colab, where the course is missing and its wheel is at hand?

    python benchmarks/setup.py

The course promises at most 5 seconds. Half of them go into importing torch, which a lab would do anyway, so a cell that
only does that is timed too. The kernel times its cells by the clock, so the fastest of some rounds counts.

With torch 2.13 on two busy cores: setup cell 2.6 s, importing torch alone 1.7 s, ratio 1.53.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "labs" / "08_heads_and_cache.ipynb"  # its setup cell brings the most: labutils, jaxtyping and bertviz
ROUNDS, LIMIT = 5, 5.0


def first_cells(folder: Path) -> list[Path]:
    """Two notebooks of one cell each: the setup cell of a lab, and one that imports torch."""
    setup = next(cell for cell in nbformat.read(LAB, as_version=4).cells if cell.cell_type == "code")
    paths = []
    for name, source in {"setup": setup.source, "torch": "import torch"}.items():
        path = folder / f"{name}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
        paths.append(path)
    return paths


def seconds(notebook: Path) -> float:
    """How long the first cell of a notebook took on the emulated Colab."""
    command = [sys.executable, ROOT / "tools" / "colab.py", notebook]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r", setup ([\d.]+) s", said)
    if found is None:
        sys.exit(f"The cell did not finish:\n{said}")
    return float(found[1])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="setup-") as folder:
        notebooks = first_cells(Path(folder))
        table = [[seconds(notebook) for notebook in notebooks] for _ in range(ROUNDS)]
    setup, torch = (min(row[i] for row in table) for i in range(2))
    print(f"setup cell {setup:.1f} s, importing torch alone {torch:.1f} s, ratio {setup / torch:.2f}")
    print(f"{'within' if setup <= LIMIT else 'above'} the limit of {LIMIT:g} s")


if __name__ == "__main__":
    main()
