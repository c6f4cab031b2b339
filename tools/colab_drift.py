"""Sees whether Colab has moved away from the versions that the emulation installs, and raises the alarm.

    python tools/colab_drift.py [--published FILE_OR_ADDRESS] [--issue]

Colab publishes what it has installed; tests/colab/pip-freeze.txt is our copy, from which pins and constraints of the
emulation come. Only packages that labutils or a lab asks for count, what runs a notebook, and Python.
Without --issue the exit status is 1 on drift. With it, an open issue is written or brought up to date by GitHub's gh.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

from colab import colab_pins, colab_python, packages_used, read_freeze

PUBLISHED = "https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.txt"
TITLE = "Colab has other versions than the emulation"
MEND = f"""\
To follow: put Colab's list ({PUBLISHED}) in place of `tests/colab/pip-freeze.txt`, write its date into the README
beside it, set `TESTED` in `labutils/__init__.py`, and run `make colab`. If Python has changed, also change the version
in `.github/workflows/colab.yml`.
"""


def read_published(place: str) -> str:
    """The text of a list, from a file or an address. Raises ValueError if it is not such a list."""
    if place.startswith("https://"):
        with urllib.request.urlopen(place, timeout=60) as response:
            text = response.read().decode()
    else:
        text = Path(place).read_text(encoding="utf-8")
    if len(colab_pins(text)) < 100:
        raise ValueError(f"{place} is not a list of what Colab has installed: it names fewer than 100 packages.")
    return text


def differences(ours: str, theirs: str, needed: set[str]) -> dict[str, tuple[str, str]]:
    """What differs between two lists among the packages needed, and Python: name -> our version, theirs.

    A package that is missing on one side has the version "none" there.
    """
    before = {"Python": colab_python(ours)} | colab_pins(ours)
    after = {"Python": colab_python(theirs)} | colab_pins(theirs)
    names = sorted((before.keys() | after.keys()) & (needed | {"Python"}))
    pairs = {name: (before.get(name, "none"), after.get(name, "none")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def report(changed: dict[str, tuple[str, str]]) -> str:
    """The differences as a table in Markdown."""
    rows = (f"| {name} | {ours} | {theirs} |" for name, (ours, theirs) in changed.items())
    return "\n".join(["| | emulation | Colab |", "| --- | --- | --- |", *rows])


def write_issue(body: str) -> None:
    """Open the issue, or replace the text of the one that is open."""
    listing = ["gh", "issue", "list", "--state", "open", "--search", f'"{TITLE}" in:title', "--json", "number,title"]
    found = json.loads(subprocess.run(listing, capture_output=True, text=True, check=True).stdout)
    numbers = [str(issue["number"]) for issue in found if issue["title"] == TITLE]
    command = ["edit", numbers[0]] if numbers else ["create", "--title", TITLE]
    subprocess.run(["gh", "issue", *command, "--body-file", "-"], input=body, text=True, check=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Compare our copy of Colab's list with what Colab publishes.")
    parser.add_argument("--published", default=PUBLISHED, help="a file or an address; Colab's own by default")
    parser.add_argument("--issue", action="store_true", help="write an issue with gh instead of failing")
    arguments = parser.parse_args()
    try:
        published = read_published(arguments.published)
    except (OSError, ValueError) as error:
        sys.exit(f"Colab's list could not be read: {error}")
    changed = differences(read_freeze(), published, packages_used())
    if not changed:
        print("Colab has the versions of the emulation.")
        return
    print(report(changed))
    if not arguments.issue:
        sys.exit(1)
    write_issue(f"{report(changed)}\n\n{MEND}")


if __name__ == "__main__":
    main()
