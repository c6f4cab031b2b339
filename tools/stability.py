"""Run the labs under other conditions, many times, and see whether every output stays what it is.

    python tools/stability.py                                    every notebook, once under each condition
    python tools/stability.py --times 10 labs/12_decoding.ipynb  this one, ten times under each
    python tools/stability.py --only clock                       under this condition alone

nbval compares every output with the stored one, as `make test` does. A condition that this machine cannot make is named
as such. The exit status counts the runs that failed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FAKETIME = "/usr/lib/*/faketime/libfaketime.so.1"


def one_thread(folder: Path) -> dict[str, str]:
    return {"OMP_NUM_THREADS": "1"}


def two_threads(folder: Path) -> dict[str, str]:
    return {"OMP_NUM_THREADS": "2"}


def clock(folder: Path) -> dict[str, str] | str:
    """Three years ahead, on an island where it is tomorrow."""
    if not (library := glob(FAKETIME)):
        return "needs libfaketime (Debian: apt-get install libfaketime)"
    kept = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_NO_CACHE": "1"}
    return kept | {"LD_PRELOAD": library[0], "FAKETIME": "+1100d", "TZ": "Pacific/Kiritimati"}


def locale(folder: Path) -> dict[str, str] | str:
    """A Turkish user's: a comma in numbers, and an i whose capital is not I."""
    made = shutil.which("localedef") and subprocess.run(
        ["localedef", "-i", "tr_TR", "-f", "UTF-8", folder / "tr_TR.UTF-8"], capture_output=True
    )
    if not made or made.returncode:
        return "needs the sources of locales (Debian: apt-get install locales)"
    return {"LOCPATH": str(folder), "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"}


def place(folder: Path) -> dict[str, str]:
    """Nothing to set: every condition but this one runs in a folder with a plain name."""
    return {}


CONDITIONS = {"one-thread": one_thread, "two-threads": two_threads, "clock": clock, "locale": locale, "place": place}


def compare(notebooks: list[Path], settings: dict[str, str], folder: Path) -> Iterator[str]:
    """Run copies of the notebooks in a folder, two at a time, and give the names of those whose outputs differ."""
    copies = []
    for path in notebooks:
        copies.append(folder / f"{path.parent.name} {path.name}")
        shutil.copyfile(path, copies[-1])
    lab = {"HF_HUB_OFFLINE": "1", "LABUTILS_PROFILE": "cpu", "LABUTILS_STILL": "1", "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        folder,
        "--nbval",
        "-q",
        "--tb=no",
    ]
    command += ["--nbval-sanitize-with", ROOT / "tests" / "nbval_sanitize.cfg", "--numprocesses", "2"]
    result = subprocess.run(
        [*command, "--dist", "loadfile", *copies],
        cwd=folder,
        env=os.environ | lab | settings,
        capture_output=True,
        text=True,
    )
    lines = result.stdout.splitlines()
    failed = {line.split("::")[0].partition(" ")[2] for line in lines if line.startswith(("FAILED", "ERROR"))}
    if result.returncode and not failed:
        raise RuntimeError(f"nbval did not run: {result.stdout[-1000:]}{result.stderr[-1000:]}")
    yield from sorted(failed)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the labs under other conditions and compare every output.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="all of both versions if none is named")
    parser.add_argument("--times", type=int, default=1, help="how often under each condition")
    parser.add_argument("--only", choices=CONDITIONS, action="append", help="may be given several times")
    arguments = parser.parse_args()
    notebooks = arguments.notebooks or sorted([*ROOT.glob("labs/*.ipynb"), *ROOT.glob("labs/solutions/*.ipynb")])
    failures = 0
    for name in arguments.only or CONDITIONS:
        for run in range(1, arguments.times + 1):
            with tempfile.TemporaryDirectory(prefix="stability-") as temporary:
                folder = Path(temporary, "Übung  eins – l’été" if name == "place" else "plain")
                folder.mkdir()
                settings = CONDITIONS[name](Path(temporary))
                if isinstance(settings, str):
                    print(f"{name:12} not tried: {settings}", flush=True)
                    break
                start = time.monotonic()
                differ = list(compare([path.resolve() for path in notebooks], settings, folder))
                said = f"DIFFERS: {', '.join(differ)}" if differ else f"{len(notebooks)} notebooks as stored"
                print(f"{name:12} {run:3}  {time.monotonic() - start:5.0f} s  {said}", flush=True)
                failures += bool(differ)
    return failures


if __name__ == "__main__":
    sys.exit(main())
