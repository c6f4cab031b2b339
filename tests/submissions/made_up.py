"""A grader that grades by the name of a file alone and at once, and that ends its process where the name says so.

What is tested with it is who grades, what is written and when, not the score.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from labutils.grading import batch, engines
from labutils.grading.sandbox import Isolation, Sandbox, SandboxError

ISOLATED = Isolation(layers=("made up",), refused={"network": True})
OPEN = Isolation(layers=("made up",), refused={"network": False})
SETTINGS = batch.Settings(secret="s", lab="99")
SLEEP = 0.002  # seconds for each paper


class NoSandbox(Sandbox):
    """What stands for the sandbox: nothing is started."""

    isolation = ISOLATED

    def __init__(self):
        pass

    def close(self) -> None:
        pass


def has_happened(paper: batch.Paper) -> bool:
    """Whether this was asked for this paper before, by any process."""
    mark = paper.path.with_suffix(".happened")
    there = mark.exists()
    mark.touch()
    return there


def grade_paper(paper: batch.Paper, settings: batch.Settings, sandbox: Sandbox) -> dict:
    """A result that depends on the file alone."""
    time.sleep(SLEEP)
    what = paper.student.rpartition("-")[0]
    if what == "dies" or (what == "dies-once" and not has_happened(paper)):
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "raises" or (what == "raises-once" and not has_happened(paper)):
        raise SandboxError("The grading process has ended.")
    if what == "hangs":
        time.sleep(60)
    content = batch.content_of(paper.path)
    return batch._zero(paper, settings, content, "99", sandbox.isolation, f"{len(content)} bytes")


def install(monkeypatch) -> None:
    """Let the engines grade like this; processes that they fork do so too."""
    monkeypatch.setattr(engines, "Sandbox", NoSandbox)
    monkeypatch.setattr(engines, "grade_paper", grade_paper)


def papers(folder: Path, *names: str) -> list[batch.Paper]:
    """A file for each name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}.ipynb").write_text(f"the file of {name}")
    return batch.papers([folder])


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path. Another process may be writing there."""
    found = {}
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError, IsADirectoryError):
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found
