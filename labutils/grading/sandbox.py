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
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from labutils.grading import extract, frames, outer

COURSE = Path(__file__).resolve().parents[1]  # the folder of labutils, which no child may read

START_ZYGOTE = """
import json, socket, sys
settings = json.loads(sys.argv[2])
sys.path.insert(0, settings["root"])
from labutils.grading import worker
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
        """Whether the child had no way to the network, to other processes, or to a file of others."""
        return all(self.refused.values())

    @property
    def sentence(self) -> str:
        """The isolation in words."""
        layers = ", ".join(self.layers)
        if self.complete:
            return f"The code ran in a process without network, other files or new processes ({layers})."
        open_ways = ", ".join(way for way, refused in self.refused.items() if not refused)
        return f"This code was NOT isolated: the way to {open_ways} stayed open (applied: {layers})."


REMARKS = frozenset({"changed", "gradients", "subclass", "view"})  # on a result that may be right, see worker._remarks


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What came of one call. Only `value` and `place` depend on the student's process beyond a fixed set of words.

    `outcome` is "value", "raised", "missing" (the function was not there), "not plain" (no plain data came back),
    "forbidden", "timeout", "died", "unreadable" or "late" (the submission's time was used up before this call).
    """

    outcome: str
    value: Any = None
    error: str = ""
    place: tuple[int, int] | None = None  # (cell, line) in the student's code
    forbidden: str = ""
    kind: str = ""  # what came instead of plain data, see frames.NotPlain
    while_loading: "tuple[Reply, ...]" = ()
    remarks: frozenset[str] = frozenset()


class Sandbox:
    """A zygote, ready to fork one child for each submission. Use it as a context manager.

    `memory` in bytes beyond what torch has mapped, `seconds` of processor time for each child, `deadline` in seconds
    of wall time for each call, `budget` in seconds of wall time for all calls of a session. `without` names layers to
    leave out ("bubblewrap", "landlock", "seccomp"). Raises SandboxError where it cannot start.
    """

    def __init__(
        self,
        *,
        memory: int = 1 << 30,
        seconds: int = 60,
        deadline: float = 10.0,
        budget: float = 60.0,
        without: tuple[str, ...] = (),
    ):
        if sys.platform != "linux":
            raise SandboxError(
                "Grading runs on Linux only: it isolates the students' code with Landlock and seccomp. Use Linux, "
                "WSL 2, or the container that containers/grading/Dockerfile describes. In a notebook, check() helps on "
                "any system."
            )
        self.deadline, self.budget = deadline, budget
        self._settings = {
            "root": str(COURSE.parent),
            "course": str(COURSE),
            "memory": memory,
            "seconds": seconds,
            "without": list(without),
        }
        self._folder = tempfile.TemporaryDirectory(prefix="grading-")
        inside = outer.wrap if "bubblewrap" not in without else None
        if not (inside and self._starts(inside)) and not self._starts(None):
            self._folder.cleanup()
            raise SandboxError(
                f"The grading process did not start. Does `{sys.executable} -P -c 'import torch'` work, and is there "
                "enough memory?"
            )

    def _starts(self, wrap: Callable[[list[str], Path], tuple[list[str], str] | None] | None) -> bool:
        """Start the zygote, by the command line that `wrap` makes, and one child that says what it gave up."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # -P and an environment of our own: nothing that the caller's shell or folder holds reaches the child.
            settings = json.dumps(self._settings)
            command = [sys.executable, "-P", "-B", "-c", START_ZYGOTE, str(theirs.fileno()), settings]
            command, self._ring = (command, None) if wrap is None else wrap(command, COURSE) or ([], None)
            if not command:
                self._control.close()
                return False
            self._process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                cwd=self._folder.name,
                stdin=subprocess.DEVNULL,
                env={"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONUTF8": "1"},
                start_new_session=True,  # Ctrl-C is for the grader, which then ends the zygote
            )
        try:
            self._control.settimeout(120)  # a first import of torch from a cold disk
            if self._control.recv(16) != b"ready":
                raise SandboxError
            with Session(self) as session:
                session.start()
                assert session.isolation
                self.isolation = session.isolation
        except (OSError, SandboxError):
            self._stop()
            return False
        return True

    def fork(self) -> tuple[int, socket.socket]:
        """Make a child. Returns its process id and our end of its socket. Raises SandboxError if the zygote is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            return self._order(b"f", 0, [theirs.fileno()]), ours

    def end(self, pid: int) -> int:
        """Kill a child with all that it started. Returns how it ended, as os.waitpid tells it. Raises SandboxError."""
        return self._order(b"k", pid, [])

    def _order(self, order: bytes, pid: int, descriptors: list[int]) -> int:
        try:
            socket.send_fds(self._control, [frames.CONTROL.pack(order, pid)], descriptors)
            answer = self._control.recv(frames.CONTROL.size)
        except OSError:
            answer = b""
        if len(answer) != frames.CONTROL.size:
            raise SandboxError("The grading process has ended, perhaps for want of memory. Start again.")
        return frames.CONTROL.unpack(answer)[1]

    def layers(self, namespaces: list[str], inner: list[str]) -> tuple[str, ...]:
        """The names of all layers around a child that is in these namespaces: the outer ring counts only if seen."""
        apart = all(theirs != ours for theirs, ours in zip(namespaces, outer.namespaces(), strict=True))
        return (self._ring, *inner) if self._ring and apart else tuple(inner)

    def read(self, path: Path) -> extract.Submission:
        """Read a notebook or a .py file, in a child of its own. Raises Unreadable with a sentence for the student."""
        data = extract.file_bytes(path)
        with Session(self) as session:
            return session.read(data, is_notebook=path.suffix.lower() != ".py")

    def close(self) -> None:
        """End the zygote, and with it every child."""
        self._stop()
        self._folder.cleanup()

    def _stop(self) -> None:
        self._control.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

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
        self._questions = 0
        self._end_of_time = time.monotonic() + sandbox.budget

    def start(self) -> socket.socket:
        """Fork a child where there is none, and read what it gave up. Raises SandboxError if it does not come up."""
        if self._child is None:
            self._child = self._sandbox.fork()
            try:
                # Trusted: the child writes this before it has read anything of the student's.
                first = frames.receive(self._child[1], time.monotonic() + 60)
            except (EOFError, OSError, frames.BadFrame):  # TimeoutError is an OSError
                self._end()
                raise SandboxError("The student's process did not start: is there enough memory?") from None
            layers = self._sandbox.layers(first["namespaces"], first["layers"])
            self.isolation = Isolation(layers=layers, refused=first["refused"])
        return self._child[1]

    def read(self, data: bytes, *, is_notebook: bool) -> extract.Submission:
        """Parse a file's bytes in the child. Raises Unreadable with a sentence for the student."""
        content = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(0, dtype=torch.uint8)
        answer = self._ask({"is_notebook": is_notebook}, content)
        try:
            if isinstance(answer, dict) and answer["ok"] is True:
                return extract.Submission.from_plain(answer["value"])
            if isinstance(answer, dict) and isinstance(answer["value"], str):
                raise extract.Unreadable(answer["value"])
        except (KeyError, ValueError, TypeError, AttributeError):
            pass
        raise extract.Unreadable(
            "Python could not read the code in this file: it is too long, or some of it is nested too deeply. "
            "Hand in the lab's own notebook with your functions in it."
        )

    def call(self, request: dict, inputs: dict) -> Reply:
        """Ask for one call. `request` has the keys function, cells, adapter, forbidden and seed (see `worker`)."""
        answer = self._ask(request, inputs)
        if isinstance(answer, Reply):
            return answer
        try:
            return _read(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            self._end()
            return Reply(outcome="unreadable")

    def _ask(self, request: dict, value: Any) -> dict | Reply:
        """The child's answer, or what came instead of one."""
        self._questions += 1
        question = frames.pack({**request, "id": self._questions}, value)
        if time.monotonic() >= self._end_of_time:
            return Reply(outcome="late")
        connection = self.start()
        patience = min(self._sandbox.deadline, max(0.1, self._end_of_time - time.monotonic()))
        limit = time.monotonic() + patience
        try:
            connection.settimeout(patience)
            connection.sendall(question)
            answer = frames.receive(connection, limit)
            if answer.get("id") != self._questions:
                raise frames.BadFrame("an answer to another question")
            return answer
        except TimeoutError:
            self._end()
            return Reply(outcome="timeout")
        except (EOFError, OSError):
            return Reply(outcome="died", error=_cause(self._end()))
        except frames.BadFrame:
            self._end()
            return Reply(outcome="unreadable")

    def _end(self) -> int:
        if self._child is None:
            return 0
        pid, connection = self._child
        self._child = None
        connection.close()
        return self._sandbox.end(pid)

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exception) -> None:
        self._end()


def _read(answer: dict) -> Reply:
    """Check an answer's form: the child may have written anything. Words come from lists of ours, never from there."""
    loading = tuple(_failure(raised) for raised in answer["raised"][:20])
    if answer["ok"] is True:
        remarks = REMARKS.intersection(answer["remarks"])
        return Reply(outcome="value", value=answer["value"], while_loading=loading, remarks=remarks)
    return replace(_failure(answer), while_loading=loading)


def _failure(raised: dict) -> Reply:
    outcomes = {"MissingFunction": "missing", "NotPlain": "not plain", "NotAllowed": "forbidden"}
    error, place = raised["error"], raised["place"]
    if place is not None:
        cell, line = place
        place = (cell, line) if type(cell) is int and type(line) is int else None
    kind = getattr(builtins, error, None)
    known = isinstance(kind, type) and issubclass(kind, BaseException)
    forbidden, kind = raised.get("forbidden"), raised.get("kind")
    return Reply(
        outcome=outcomes.get(error, "raised"),
        error=error if known else "an exception",
        place=place,
        forbidden=forbidden if isinstance(forbidden, str) else "",
        kind=kind if isinstance(kind, str) else "",
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
