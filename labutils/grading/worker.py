"""The student's end of the boundary: run their functions on plain inputs, and answer with plain outputs.

The zygote imports torch once and forks one child for each submission. The child closes everything, hardens itself,
reports what it could still do, and only then reads requests: to parse a file, or to call a function. Nothing here
knows a reference or an expected value, so there is nothing for the student's code to find.
"""

import __future__

import ast
import builtins
import dis
import gc
import importlib
import importlib.abc
import importlib.machinery
import io
import math
import os
import random
import shutil
import signal
import socket
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import default_generator
from torch.overrides import TorchFunctionMode

from labutils.grading import extract, frames, outer, rings

ADAPTER = "<adapter>"  # the file name of an adapter's code


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
    """Refuse some torch functions where the student's code calls them. An adapter, which is ours, may."""

    def __init__(self, names: list[str]):
        super().__init__()
        self.names = {id(function): name for name in names for function in _resolve(name)}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Stand before every call of a torch function."""
        # Operators have overloads: torch.ops.aten.softmax calls torch.ops.aten.softmax.int.
        name = self.names.get(id(func)) or self.names.get(id(getattr(func, "overloadpacket", None)))
        if name and not _is_called_by_adapter():
            raise NotAllowed(name)
        return func(*args, **(kwargs or {}))


def _resolve(dotted: str) -> Iterator[Any]:
    """The function of this name, and the operator behind it."""
    if not dotted.startswith("torch."):
        return
    found: Any = torch
    for part in dotted.split(".")[1:]:
        found = getattr(found, part, None)
    if found is not None:
        yield found
    operator = getattr(torch.ops.aten, dotted.rpartition(".")[2], None)
    if operator is not None:
        yield operator


def _is_called_by_adapter() -> bool:
    """Whether the innermost code that is not torch's own is the adapter's."""
    frame = sys._getframe(1)
    while frame and not frame.f_code.co_filename.startswith("<"):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename == ADAPTER


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


def _codes(cells: list[dict]) -> Iterator[types.CodeType]:
    """The chosen statements of each cell, compiled one by one."""
    flags = 0
    for cell in cells:
        body = ast.parse(cell["source"]).body
        for number in cell["statements"]:
            statement = body[number]
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                for feature in statement.names:  # holds for what follows, as in a notebook
                    flags |= getattr(__future__, feature.name).compiler_flag
            yield compile(ast.Module([statement], []), f"<cell {cell['index']}>", "exec", flags, dont_inherit=True)


def _load(cells: list[dict]) -> tuple[dict[str, Any], list[dict]]:
    """Run the chosen statements. Returns the namespace and what was raised on the way.

    Cells may have been moved: a statement that misses a name runs again after the others, unless one of those has
    bound the name that it would bind.
    """
    namespace: dict[str, Any] = {"__name__": "__submission__", "__builtins__": builtins}
    raised, waiting, missing = [], [*_codes(cells)], []
    while waiting:
        missing = []
        for code in waiting:
            try:
                exec(code, namespace)
            except BaseException as error:  # SystemExit too
                binds = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_NAME"}
                again = isinstance(error, NameError) and not binds & namespace.keys()
                (missing if again else raised).append((code, _place(error)))
        if len(missing) == len(waiting):  # none of them helped another
            break
        waiting = [code for code, _ in missing]
    return namespace, [place for _, place in raised + missing]


def _call(function: Callable, adapter: dict | None, forbidden: list[str], inputs: dict) -> Any:
    with Forbid(forbidden):
        if adapter is None:
            return function(**inputs)
        namespace: dict[str, Any] = {"torch": torch, "math": math}
        exec(compile(adapter["source"], ADAPTER, "exec", dont_inherit=True), namespace)
        return namespace[adapter["name"]](function, **inputs)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """The tensors in plain data."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _remarks(value: Any, inputs: dict) -> list[str]:
    """What is not wrong with a result, and worth a sentence."""
    storages = {tensor.untyped_storage().data_ptr() for tensor in _tensors(inputs) if tensor.numel()}
    tensors = list(_tensors(value))
    remarks = {
        "gradients": any(tensor.requires_grad for tensor in tensors),
        "subclass": any(type(tensor) is not torch.Tensor for tensor in tensors),
        "view": any(tensor.numel() and tensor.untyped_storage().data_ptr() in storages for tensor in tensors),
    }
    return [remark for remark, applies in remarks.items() if applies]


def _bytes(inputs: dict) -> bytes | None:
    """The inputs as a frame, so that a change in place shows."""
    try:
        return frames.pack({}, inputs)
    except (TypeError, frames.BadFrame):
        return None


def _answer_call(request: dict, loaded: dict[str, tuple[dict, list[dict]]]) -> bytes:
    """The frame that answers a call. Whatever the student's code raises becomes a part of the answer."""
    name, raised, head = request["function"], [], {"id": request["id"]}
    try:
        if name not in loaded:  # the code of one exercise is loaded once, apart from that of the others
            loaded[name] = _load(request["cells"])
        namespace, raised = loaded[name]
        if name not in namespace:
            raise MissingFunction
        default_generator.manual_seed(request["seed"])
        random.seed(request["seed"])
        inputs = request["value"]
        before = _bytes(inputs)
        value = _call(namespace[name], request["adapter"], request["forbidden"], inputs)
    except BaseException as error:
        return frames.pack({**head, "ok": False, "raised": raised, **_place(error)})
    try:
        remarks = _remarks(value, inputs) + (["changed"] if before != _bytes(inputs) else [])
        return frames.pack({**head, "ok": True, "raised": raised, "remarks": remarks}, value)
    except BaseException as error:  # not plain data, too large, or no memory left to copy it
        kind = error.kind if isinstance(error, frames.NotPlain) else "other"
        kind = "large" if isinstance(error, frames.BadFrame | MemoryError) else kind
        return frames.pack({**head, "ok": False, "raised": raised, "error": "NotPlain", "place": None, "kind": kind})


def _answer_read(request: dict) -> bytes:
    """The frame that answers the request to parse a file: the submission, or the sentence that says why not."""
    head = {"id": request["id"]}
    try:
        submission = extract.parse(request["value"].numpy().tobytes(), request["is_notebook"])
        return frames.pack({**head, "ok": True}, submission.as_plain())
    except extract.Unreadable as error:
        return frames.pack({**head, "ok": False}, str(error))


def child(connection: socket.socket, settings: dict, ruleset: tuple[int, str] | None) -> None:
    """Give up everything, then answer requests until the grader hangs up."""
    namespaces = outer.namespaces()
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Discard()
    os.environ.clear()
    secret = Path(settings["course"]) / "exercises" / "__init__.py"
    layers = rings.harden(ruleset, settings["memory"], settings["seconds"], settings["without"])
    os.closerange(3, connection.fileno())
    os.closerange(connection.fileno() + 1, 4096)
    refused = rings.probe(secret)
    connection.sendall(frames.pack({"layers": layers, "refused": refused, "namespaces": namespaces}))
    loaded: dict[str, tuple[dict, list[dict]]] = {}
    while True:
        request = frames.receive(connection)
        connection.sendall(_answer_read(request) if "is_notebook" in request else _answer_call(request, loaded))


def _end(pid: int) -> int:
    """Kill a child and whatever it has started. Returns how the child ended, as os.waitpid tells it."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)  # it may not have reached setsid
    status = os.waitpid(pid, 0)[1]
    shutil.rmtree(_folder(pid), ignore_errors=True)
    return status


def _folder(pid: int) -> str:
    """The working folder of a child, in that of the zygote."""
    return f"child-{pid}"


def _end_orphans(known: set[int]) -> None:
    """Kill what a child started and left behind. Only where nothing kept it from starting processes."""
    while strangers := {int(pid) for pid in Path("/proc/thread-self/children").read_text().split()} - known:
        for pid in strangers:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def zygote(control: socket.socket, settings: dict) -> None:
    """Fork a child for each socket that arrives, and end children when told to, until the grader hangs up."""
    rings.libc.prctl(rings.PR_SET_DUMPABLE, 0, 0, 0, 0)
    rings.libc.prctl(rings.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)  # what a child leaves behind becomes ours
    ruleset = rings.landlock_ruleset(rings.python_files(Path(settings["course"])))
    torch.set_num_threads(1)
    torch.nn.functional.softmax(torch.ones(2, 2) @ torch.ones(2, 2), dim=-1)  # initialise once, before the forks
    importlib.import_module("torch._dynamo")  # optimisers import it, and without a home folder they could not
    # From here on the name labutils means the stand-ins. Here and not in each child, whom it would cost 5 ms.
    for module in [name for name in sys.modules if name.split(".")[0] == "labutils"]:
        del sys.modules[module]
    sys.meta_path.insert(0, StandIns())
    gc.collect()
    gc.freeze()  # children share these pages with us
    own, children = os.getpid(), set[int]()
    control.sendall(b"ready")
    while True:
        message, descriptors = b"", []
        with suppress(ConnectionResetError):  # the grader was killed before it read our last answer
            message, descriptors, _, _ = socket.recv_fds(control, frames.CONTROL.size, 1)
        if not message:
            return
        order, pid = frames.CONTROL.unpack(message)
        if order == b"k":
            status = _end(pid)
            children.discard(pid)
            _end_orphans(children)
            control.sendall(frames.CONTROL.pack(b"k", status))
            continue
        connection = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                rings.die_with(own)
                control.close()
                os.mkdir(_folder(os.getpid()), 0o500)
                os.chdir(_folder(os.getpid()))
                child(connection, settings, ruleset)
            os._exit(0)
        connection.close()
        children.add(pid)
        control.sendall(frames.CONTROL.pack(b"f", pid))
