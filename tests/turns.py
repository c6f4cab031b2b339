"""Tests that cost much, and are therefore tried on a third of the labs at a time: another third with every commit.

With LABS=all, or without git, all have their turn. As a command it prints those of the named files whose turn it is.
"""

import os
import subprocess
import sys
from pathlib import Path

PARTS = 3


def whose_turn(labs: list[Path], shift: int = 0) -> list[Path]:
    """The labs whose turn it is: it follows from the commit's hash. Tests with another `shift` take another third."""
    if os.environ.get("LABS") == "all":
        return labs
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    return labs if commit.returncode else labs[(int(commit.stdout, 16) + shift) % PARTS :: PARTS]


if __name__ == "__main__":
    print(*whose_turn([Path(name) for name in sys.argv[1:]]))
