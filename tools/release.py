"""Puts everything that is published into one folder: the site, the wheel of labutils and the learners' notebooks.

    python tools/release.py [--out FOLDER] [--pdf]

All three come from the same commit and lie side by side, so that a notebook never meets a wheel of another one. Where
they are published is the one setting in _config.yml, `repository`. While that is the placeholder, nothing is built.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import book
import pdf
from colab import build_wheel
from course import PLACEHOLDER, ROOT, read_course

RELEASE = ROOT / "_build" / "release"
TEXT = {".css", ".html", ".ipynb", ".js", ".json", ".svg", ".txt", ".xml"}


class Unready(Exception):
    """Why the course cannot be published, in sentences for its author."""


def build(out: Path, *, with_pdf: bool = False) -> None:
    """Build the release into a folder, anew. Raises Unready if it must not be published.

    With `with_pdf` each chapter comes as a PDF too, if there is a browser to print it; if not, a sentence says so.
    """
    course = read_course()
    if course.repository == PLACEHOLDER:
        raise Unready(f"The course has no address yet: put its repository in place of {PLACEHOLDER} into _config.yml.")
    if subprocess.run([sys.executable, ROOT / "tools" / "labs.py", "check"]).returncode:
        raise Unready("If only the address is new, this mends it: .venv/bin/python tools/labs.py address")
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        built = Path(folder, "_build")
        if book.build(built):
            raise Unready("A release has no warnings.")
        if with_pdf:
            pdf.make(built / "html")
        shutil.copytree(built / "html", out)
    wheel = build_wheel(out)
    if not course.wheel.endswith(f"/{wheel.name}"):
        raise Unready(f"The notebooks ask for {course.wheel}, and the wheel is {wheel.name}.")
    (out / "labs").mkdir(exist_ok=True)
    for notebook in sorted((ROOT / "labs").glob("*.ipynb")):
        shutil.copy(notebook, out / "labs")
    if named := placeholders(out):
        raise Unready(f"The placeholder is still in {', '.join(str(path.relative_to(out)) for path in named)}.")
    print(f"What is to be published at {course.site} is in {os.path.relpath(out)}.")


def placeholders(folder: Path) -> list[Path]:
    """The files that name the placeholder, or the address that would follow from it."""
    owner, name = PLACEHOLDER.split("/")
    pattern = re.compile(rf"{owner}(/|%2F){name}\b|\b{owner.lower()}\.github\.io/{name}\b")
    files = (path for path in sorted(folder.rglob("*")) if path.suffix in TEXT)
    return [path for path in files if pattern.search(path.read_text(encoding="utf-8", errors="replace"))]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build what is published: site, wheel and notebooks, in one folder.")
    parser.add_argument("--out", type=Path, default=RELEASE)
    parser.add_argument("--pdf", action="store_true", help="make a PDF of each chapter, if there is a Chromium")
    arguments = parser.parse_args()
    try:
        build(arguments.out.resolve(), with_pdf=arguments.pdf)
    except Unready as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
