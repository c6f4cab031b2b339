"""The student's end of the boundary: run their functions on plain inputs, and answer with plain outputs.

The zygote imports torch once and forks one child for each submission. The child closes everything, hardens itself,
reports what it could still do, and only then reads requests, each of which carries the code to run. Nothing here
knows a reference or an expected value, so there is nothing for the student's code to find.
"""

import __future__

import ast
import builtins
import gc
import importlib.abc
import importlib.machinery
import inspect
import io
import math
import os
import random
import signal
import socket
import struct
import sys
import traceback
import types
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from labutils.grading import frames

CONTROL = struct.Struct("<cq")  # b"f": fork, with a socket attached; b"k" and a process id: end it and say how it ended


class NotAllowed(Exception):
    """A call that the exercise asks the student to do without. Its argument is the dotted name."""


class MissingFunction(Exception):
    """The student's statements ran, and the function is still not there."""


# --- what stands where labutils would be -----------------------------------------------------------------------------


class StandIn(types.ModuleType):
    """A module of labutils as the student's process sees it: every name is there, and none may be called."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        dotted = f"{self.__name__}.{name}"

        def refuse(*_args, **_kwargs):
            # Learners' notebooks call these between the exercises; the exercises themselves must not lean on the rest.
            if dotted in ("labutils.ready", "labutils.checks.check"):
                return
            raise NotAllowed(dotted)

        return refuse


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Import every module of labutils as a stand-in."""

    def find_spec(self, fullname, _path=None, _target=None):
        """Claim labutils and everything below it."""
        if fullname.split(".")[0] == "labutils":
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        """Make the module."""
        return StandIn(spec.name)

    def exec_module(self, module):
        """Nothing to run."""


class Forbid(TorchFunctionMode):
    """Refuse some torch functions while the student's function runs."""

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = {id(function): name for name in names if (function := _resolve(name)) is not None}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Stand before every call of a torch function."""
        if id(func) in self.names:
            raise NotAllowed(self.names[id(func)])
        return func(*args, **(kwargs or {}))


def _resolve(dotted: str) -> Any:
    found: Any = torch
    for part in dotted.split(".")[1:]:
        found = getattr(found, part, None)
    return found if dotted.startswith("torch.") else None


# --- one submission --------------------------------------------------------------------------------------------------


class Discard(io.TextIOBase):
    """Where prints go. Fifty megabytes of them cost nothing and are no mistake."""

    def write(self, text: str) -> int:
        """Accept and forget."""
        return len(text)


def _place(error: BaseException) -> dict:
    """What the grader may know of an exception: a built-in type and a line. Its text could hold a hidden input."""
    kind = next(c for c in type(error).__mro__ if c in (NotAllowed, MissingFunction) or c.__module__ == "builtins")
    name = kind.__name__
    if kind is RuntimeError and "allocate memory" in str(error):
        name = "MemoryError"  # torch's own way of saying it
    lines = [
        (int(frame.f_code.co_filename[6:-1]), line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename.startswith("<cell ")
    ]
    return {
        "error": name,
        "place": lines[-1] if lines else None,
        "forbidden": str(error.args[0]) if kind is NotAllowed else None,
    }


def _load(cells: list[dict]) -> tuple[dict[str, Any], list[dict]]:
    """Run the chosen statements of each cell, one by one. Returns the namespace and what was raised on the way."""
    namespace: dict[str, Any] = {"__name__": "__submission__", "__builtins__": builtins}
    raised, flags = [], 0
    for cell in cells:
        name = f"<cell {cell['index']}>"
        body = ast.parse(cell["source"]).body
        for number in cell["statements"]:
            statement = body[number]
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                for feature in statement.names:  # holds for what follows, as in a notebook
                    flags |= getattr(__future__, feature.name).compiler_flag
            try:
                exec(compile(ast.Module([statement], []), name, "exec", flags, dont_inherit=True), namespace)
            except BaseException as error:  # SystemExit too
                raised.append(_place(error))
    return namespace, raised


def _call(function: Callable, adapter: dict | None, forbidden: list[str], inputs: dict) -> Any:
    def guarded(*args, **kwargs):
        with Forbid(forbidden):
            return function(*args, **kwargs)

    asked = guarded if forbidden and not inspect.isclass(function) else function
    if adapter is None:
        return asked(**inputs)
    namespace: dict[str, Any] = {"torch": torch, "math": math}
    exec(compile(adapter["source"], "<adapter>", "exec", dont_inherit=True), namespace)
    return namespace[adapter["name"]](asked, **inputs)


def _bytes(inputs: dict) -> bytes | None:
    """The inputs as a frame, so that a change in place shows."""
    try:
        return frames.pack({}, inputs)
    except (TypeError, frames.BadFrame):
        return None


def _answer(request: dict, loaded: dict[str, tuple[dict, list[dict]]]) -> bytes:
    """The frame that answers a request. Whatever the student's code raises becomes a part of the answer."""
    name, raised = request["function"], []
    try:
        if name not in loaded:  # the code of one exercise is loaded once, apart from that of the others
            loaded[name] = _load(request["cells"])
        namespace, raised = loaded[name]
        if name not in namespace:
            raise MissingFunction
        torch.manual_seed(request["seed"])
        random.seed(request["seed"])
        before = _bytes(request["value"])
        value = _call(namespace[name], request["adapter"], request["forbidden"], request["value"])
        changed = before != _bytes(request["value"])
    except BaseException as error:
        return frames.pack({"id": request["id"], "ok": False, "raised": raised, **_place(error)})
    try:
        return frames.pack({"id": request["id"], "ok": True, "raised": raised, "changed": changed}, value)
    except BaseException:  # not plain data, too large, or no memory left to copy it
        return frames.pack({"id": request["id"], "ok": False, "raised": raised, "error": "NotPlain", "place": None})


def child(connection: socket.socket, settings: dict, rules: list) -> None:
    """Give up everything, then answer requests until the grader hangs up."""
    from labutils.grading import rings

    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 4096)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Discard()
    os.environ.clear()
    course = Path(settings["course"])
    layers = rings.harden(rules, settings["memory"], settings["seconds"], settings["without"])
    refused = rings.probe(course / "exercises" / "__init__.py")
    for module in [name for name in sys.modules if name.split(".")[0] == "labutils"]:
        del sys.modules[module]
    sys.meta_path.insert(0, StandIns())
    connection.sendall(frames.pack({"layers": layers, "refused": refused}))
    loaded: dict[str, tuple[dict, list[dict]]] = {}
    while True:
        connection.sendall(_answer(frames.receive(connection), loaded))


def zygote(control: socket.socket, settings: dict) -> None:
    """Fork a child for each socket that arrives, and end children when told to, until the grader hangs up."""
    from labutils.grading import rings

    rings.libc.prctl(rings.PR_SET_DUMPABLE, 0, 0, 0, 0)
    rules = rings.python_files(Path(settings["course"]))
    torch.set_num_threads(1)
    torch.nn.functional.softmax(torch.ones(2, 2) @ torch.ones(2, 2), dim=-1)  # initialise once, before the forks
    gc.freeze()  # children share these pages with us
    control.sendall(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, CONTROL.size, 1)
        if not message:
            return
        order, pid = CONTROL.unpack(message)
        if order == b"k":
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)  # it may not have reached setsid
            control.sendall(CONTROL.pack(b"k", os.waitpid(pid, 0)[1]))
            continue
        connection = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                control.close()
                child(connection, settings, rules)
            os._exit(0)
        connection.close()
        control.sendall(CONTROL.pack(b"f", pid))
