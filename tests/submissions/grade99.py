"""The grader's command line, for a process of its own that knows the made-up lab 99."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def know_lab_99() -> None:
    """Let `labutils.exercises.lab99` be imported."""
    import labutils.exercises

    if str(FOLDER) not in labutils.exercises.__path__:
        labutils.exercises.__path__.append(str(FOLDER))


def dask_setup(_worker) -> None:
    """Dask calls this in each worker that is told to load this file first."""
    know_lab_99()


if __name__ == "__main__":
    know_lab_99()
    from labutils.grading.__main__ import main

    sys.exit(main())
