"""Measure everything that the page "Benchmarks" shows, but what takes an hour or a GPU.

    python benchmarks/run.py                      # all of it: about ten minutes on two cores
    python benchmarks/run.py attention decoding   # these two

Each benchmark is a script of its own, runs in a process of its own, and puts its rows into benchmarks/results.json.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("attention", "decoding", "samplers", "training", "world", "importing", "setup", "building", "lab_runs")


def main() -> int:
    parser = argparse.ArgumentParser(description="Run benchmarks of speed and keep what they measure.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}; all if none is given")
    names = parser.parse_args().names
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    failed = [
        name for name in names or BENCHMARKS if subprocess.run([sys.executable, HERE / f"{name}.py"]).returncode != 0
    ]
    if failed:
        print(f"\nThese failed, and their older rows stay: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
