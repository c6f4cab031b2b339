"""The grader's end of the boundary: start the zygote, ask a child, enforce deadlines, and end what was started."""

import builtins
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labutils.grading import frames
from labutils.grading.worker import CONTROL

COURSE = Path(__file__).resolve().parents[1]  # the folder of labutils, which no child may read

START_ZYGOTE = """
import json, socket, sys
settings = json.loads(sys.argv[2])
sys.path.insert(0, settings["root"])
from labutils.grading import rings, worker
sys.path.pop(0)  # where the course is installed beside other packages, their folder is on the path by itself
worker.zygote(socket.socket(fileno=int(sys.argv[1])), settings)
"""


class SandboxError(Exception):
    """The student's process could not be started on this machine. The text says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Isolation:
    """What a child gave up: the layers that were applied, and what it was seen to be refused afterwards."""

    layers: tuple[str, ...]
    refused: dict[str, bool]

    @property
    def complete(self) -> bool:
        """Whether the child could neither open a socket, nor start a process, nor read or write a file of others."""
        return all(self.refused.values())

    @property
    def sentence(self) -> str:
        """The isolation in words."""
        layers = ", ".join(self.layers)
        if self.complete:
            return f"The code ran in a process without network, other files or new processes ({layers})."
        open_ways = ", ".join(way for way, refused in self.refused.items() if not refused)
        return f"This code was NOT isolated: the way to {open_ways} stayed open (applied: {layers})."


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of one call. Only `value` and `place` depend on the student's process beyond a fixed set of words.

    `outcome` is "value", "raised", "missing" (the function was not there), "not plain" (no plain data came back),
    "forbidden", "timeout", "died" or "unreadable".
    """

    outcome: str
    value: Any = None
    error: str = ""
    place: tuple[int, int] | None = None  # (cell, line) in the student's code
    forbidden: str = ""
    while_loading: "tuple[Reply, ...]" = ()
    changed: bool = False  # whether the call changed an argument in place


class Sandbox:
    """A zygote, ready to fork one child for each submission. Use it as a context manager.

    `memory` in bytes beyond what torch has mapped, `seconds` of processor time for each child, `deadline` in seconds
    of wall time for each call. `without` names layers to leave out ("landlock", "seccomp").
    Raises SandboxError where it cannot start.
    """

    def __init__(
        self, *, memory: int = 1 << 30, seconds: int = 60, deadline: float = 10.0, without: tuple[str, ...] = ()
    ):
        if sys.platform != "linux":
            raise SandboxError(
                "Grading runs on Linux only: it isolates the students' code with Landlock and seccomp. "
                "Use Linux, WSL 2 or a container; in a notebook, check() helps on any system."
            )
        self.deadline = deadline
        self._folder = tempfile.TemporaryDirectory(prefix="grading-")
        settings = {
            "root": str(COURSE.parent),
            "course": str(COURSE),
            "memory": memory,
            "seconds": seconds,
            "without": list(without),
        }
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            # -P and an environment of our own: nothing that the caller's shell or folder holds reaches the child.
            [sys.executable, "-P", "-B", "-c", START_ZYGOTE, str(theirs.fileno()), json.dumps(settings)],
            pass_fds=[theirs.fileno()],
            cwd=self._folder.name,
            stdin=subprocess.DEVNULL,
            env={"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
        )
        theirs.close()
        os.chmod(self._folder.name, 0o500)
        self._control.settimeout(120)  # a first import of torch from a cold disk
        try:
            ready = self._control.recv(16)
        except TimeoutError:
            ready = b""
        if ready != b"ready":
            self.close()
            raise SandboxError(f"The grading process did not start. Does `{sys.executable} -P -c 'import torch'` work?")
        try:
            with Session(self) as session:
                session.start()
                assert session.isolation
                self.isolation = session.isolation
        except SandboxError:
            self.close()
            raise

    def fork(self) -> tuple[int, socket.socket]:
        """Make a child. Returns its process id and our end of its socket."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        socket.send_fds(self._control, [CONTROL.pack(b"f", 0)], [theirs.fileno()])
        theirs.close()
        return CONTROL.unpack(self._control.recv(CONTROL.size))[1], ours

    def end(self, pid: int) -> int:
        """Kill a child with its process group. Returns how it ended, as os.waitpid tells it."""
        self._control.sendall(CONTROL.pack(b"k", pid))
        return CONTROL.unpack(self._control.recv(CONTROL.size))[1]

    def close(self) -> None:
        """End the zygote, and with it every child."""
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_exception) -> None:
        self.close()


class Session:
    """One submission's child. A call that ends the child costs that call; the next call finds a new child."""

    isolation: Isolation | None = None

    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox
        self._child: tuple[int, socket.socket] | None = None
        self._calls = 0

    def start(self) -> socket.socket:
        """Fork a child where there is none, and read what it gave up. Raises SandboxError if it does not come up."""
        if self._child is None:
            self._child = self._sandbox.fork()
            try:
                # Trusted: the child writes this before it has read anything of the student's.
                first = frames.receive(self._child[1], time.monotonic() + 60)
            except (TimeoutError, EOFError, OSError, frames.BadFrame):
                self._end()
                raise SandboxError("The student's process did not start: is there enough memory?") from None
            self.isolation = Isolation(layers=tuple(first["layers"]), refused=first["refused"])
        return self._child[1]

    def call(self, request: dict, inputs: dict) -> Reply:
        """Ask for one call. `request` has the keys function, cells, adapter, forbidden and seed (see `worker`)."""
        connection = self.start()
        self._calls += 1
        question = frames.pack({**request, "id": self._calls}, inputs)
        limit = time.monotonic() + self._sandbox.deadline
        try:
            connection.settimeout(self._sandbox.deadline)
            connection.sendall(question)
            answer = frames.receive(connection, limit)
            if answer.get("id") != self._calls:
                raise frames.BadFrame("an answer to another question")
            return _read(answer)
        except TimeoutError:
            self._end()
            return Reply(outcome="timeout")
        except (EOFError, OSError):
            return Reply(outcome="died", error=_cause(self._end()))
        except (frames.BadFrame, KeyError, TypeError, ValueError, AttributeError):
            self._end()
            return Reply(outcome="unreadable")

    def _end(self) -> int:
        assert self._child is not None
        pid, connection = self._child
        self._child = None
        connection.close()
        return self._sandbox.end(pid)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exception) -> None:
        if self._child is not None:
            self._end()


def _read(answer: dict) -> Reply:
    """Check an answer's form: the child may have written anything. Words come from lists of ours, never from there."""
    loading = tuple(_failure(raised) for raised in answer["raised"][:20])
    if answer["ok"] is True:
        return Reply(outcome="value", value=answer["value"], while_loading=loading, changed=answer["changed"] is True)
    failure = _failure(answer)
    return Reply(**{**failure.__dict__, "while_loading": loading})


def _failure(raised: dict) -> Reply:
    outcomes = {"MissingFunction": "missing", "NotPlain": "not plain", "NotAllowed": "forbidden"}
    error, place = raised["error"], raised["place"]
    if place is not None:
        cell, line = place
        place = (cell, line) if type(cell) is int and type(line) is int else None
    kind = getattr(builtins, error, None)
    known = isinstance(kind, type) and issubclass(kind, BaseException)
    return Reply(
        outcome=outcomes.get(error, "raised"),
        error=error if known else "an exception",
        place=place,
        forbidden=str(raised.get("forbidden") or ""),
    )


def _cause(status: int) -> str:
    if os.WIFSIGNALED(status):
        died_of = os.WTERMSIG(status)
        if died_of == signal.SIGSEGV:
            return "crashed the interpreter (endless recursion, or memory it should not touch)"
        if died_of == signal.SIGXCPU or died_of == signal.SIGKILL:
            return "was killed: it used up its processor time or memory, or hung up on the grader"
        return f"was ended by signal {signal.Signals(died_of).name}"
    return "ended the process (os._exit, or something like it)"
