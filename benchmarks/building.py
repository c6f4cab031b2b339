"""How long the site takes to build: the whole book in an empty folder, and one page of it again.

    python benchmarks/building.py [page ...]

The labs are not run; their stored outputs are shown. On two cores the book is to take at most 60 s and a page at most
10 s. Seconds of the processor are printed too, because other work on the machine changes them less.
"""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

BOOK, PAGE = 60, 10  # seconds


def timed(what: str, limit: int, function: Callable[[], int]) -> tuple[bool, str]:
    """Whether the function succeeded within its limit, and a line on how long it and its children took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu, start = used.ru_utime + used.ru_stime, time.perf_counter()
    status = function()
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = used.ru_utime + used.ru_stime - cpu
    line = f"{what:36s} {seconds:5.1f} s, {cpu:5.1f} s of the processor (at most {limit} s)"
    return status == 0 and seconds <= limit, line


def main() -> int:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from tools import book

    names = sys.argv[1:] or ["chapters/05_sampling", "labs/12_decoding", "chapters/about"]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent, "_build")
        results = [timed("the whole book, in an empty folder", BOOK, lambda: book.build(folder))]
        results += [timed(f"{name}, again", PAGE, lambda name=name: book.build_page(name, folder)) for name in names]
    print(f"\n{os.cpu_count()} cores, load {load:.1f} before")
    for _, line in results:
        print(line)
    return 0 if all(good for good, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
