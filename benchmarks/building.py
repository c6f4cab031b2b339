"""How long the site takes to build: the whole book in an empty folder, and one page of it again.

    python benchmarks/building.py

The labs are not run; their stored outputs are shown. On two cores the book is to take at most 60 s and a page at most
10 s of the clock. Seconds of the processor are kept too, because other work on the machine changes them less.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from results import Row, publish
from timing import of_children

ROOT = Path(__file__).resolve().parent.parent
PAGES, ROUNDS = ("chapters/05_sampling", "labs/12_decoding"), 2


def timed(call: Callable[[], int]) -> tuple[float, float]:
    """Seconds of the processor and of the clock. Raises RuntimeError if the build fails."""

    def must() -> None:
        if call():
            raise RuntimeError("The site does not build: see above.")

    return of_children(must)


def rows() -> list[Row]:
    """All that this benchmark measures."""
    sys.path.insert(0, str(ROOT))
    from tools import book

    times: dict[str, list[tuple[float, float]]] = {}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent, "_build")
            times.setdefault("book", []).append(timed(lambda folder=folder: book.build(folder)))
            for page in PAGES:
                once = timed(lambda page=page, folder=folder: book.build_page(page, folder))
                times.setdefault(page, []).append(once)
    cpu, wall = ({name: [both[i] for both in found] for name, found in times.items()} for i in range(2))
    whole = Row(key="book", what="the whole book, in an empty folder", seconds=cpu["book"], wall=wall["book"])
    return [whole] + [
        Row(
            key=page.rpartition("/")[2],
            what=f"{page}, again",
            seconds=cpu[page],
            other="the whole book",
            other_seconds=cpu["book"],
            wall=wall[page],
        )
        for page in PAGES
    ]


if __name__ == "__main__":
    publish("building", rows, threads=2)
