"""Plain data on a socket: a JSON header and a safetensors body, never pickle, so that reading a frame runs nothing.

A frame is two little-endian 32-bit lengths, the header, and the body. Tensors travel in the body; the header holds
numbers, strings, booleans, None, lists, tuples and dictionaries, and names the tensors by their place in the body.

The grader reads frames that a student's code may have written. So every size is bounded before anything is made of
it, and what cannot be read, for whatever reason, is a BadFrame.
"""

import inspect
import json
import math
import socket
import struct
import time
import types
from collections.abc import Iterator
from typing import Any

import torch
from safetensors.torch import load, save

LENGTHS = struct.Struct("<II")
CONTROL = struct.Struct("<cq")  # to the zygote: b"f", fork, with a socket attached; b"k" and a process id, end it
MAX_HEADER, MAX_BODY = 4 << 20, 64 << 20
MAX_TENSORS = 1 << 20  # bytes of the body's own header, some 10 000 tensors
# Dictionaries are filled while a frame is read. Keys that were chosen to collide make that quadratic: a second, here.
MAX_KEYS, MAX_KEY = 5_000, 1 << 53


class BadFrame(Exception):
    """What came over the socket is too large, or is not a frame."""


class NotPlain(TypeError):
    """A value is not plain data. `kind` says what it is instead, as far as there is advice for it."""

    def __init__(self, value: object):
        super().__init__(f"a value of type {type(value).__name__} is not plain data")
        self.kind = _kind(value)


def _kind(value: object) -> str:
    """One of the words that the grader has a sentence for, or "other"."""
    kinds = (
        ("generator", inspect.isgenerator(value) or inspect.isasyncgen(value)),
        ("coroutine", inspect.iscoroutine(value)),
        ("numpy", type(value).__module__ == "numpy"),
        ("module", isinstance(value, torch.nn.Module)),
        ("tensor", isinstance(value, torch.Tensor)),
        ("function", isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType | type)),
        ("set", isinstance(value, set | frozenset)),
        ("iterator", isinstance(value, Iterator | range)),
    )
    return next((kind for kind, is_it in kinds if is_it), "other")


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Turn a value into JSON; put its tensors into `tensors`. Subclasses become the plain type they extend."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        with torch._C.DisableTorchFunctionSubclass():  # a subclass must not choose what "detach" means
            if value.layout != torch.strided or value.is_meta or value.is_quantized:
                raise NotPlain(value)
            if value.numel() * value.element_size() > MAX_BODY:
                raise BadFrame("too large")  # before it is copied: an expanded tensor may claim any size
            # The clone makes views and expanded tensors independent, as safetensors requires.
            tensors[name] = value.detach().as_subclass(torch.Tensor).cpu().contiguous().clone()
        return {"tensor": name}
    for plain in (bool, int, float, str):
        if isinstance(value, plain):
            return plain(value)
    if value is None:
        return None
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    raise NotPlain(value)


def _key(value: Any) -> Any:
    """A dictionary's key, if it is one that cannot be made to collide more often than MAX_KEYS allows for."""
    parts = value if type(value) is tuple else (value,)
    if all(part is None or isinstance(part, str | float) or abs(part) < MAX_KEY for part in parts):
        return value
    raise BadFrame("not a key")


def _decode(value: Any, tensors: dict[str, torch.Tensor], keys: list[int]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors, keys) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors.pop(content)  # popped: a forged header cannot name one tensor a million times
    if kind == "tuple":
        return tuple(_decode(item, tensors, keys) for item in content)
    if kind == "dict":
        keys[0] += len(content)
        if keys[0] > MAX_KEYS:
            raise BadFrame("too many keys")
        return {_key(_decode(key, tensors, keys)): _decode(item, tensors, keys) for key, item in content}
    raise BadFrame(f"unknown kind {kind!r}")


def pack(head: dict, value: Any = None) -> bytes:
    """Make a frame of `head` (JSON) and `value` (plain data).

    Raises NotPlain if `value` is not plain data, and BadFrame if the frame is larger than the other end accepts.
    """
    tensors: dict[str, torch.Tensor] = {}
    # Not as ASCII: an escaped letter takes up to six bytes. A lone surrogate is a legal character of a Python string.
    text = json.dumps({**head, "value": _encode(value, tensors)}, ensure_ascii=False)
    header, body = text.encode("utf-8", "surrogatepass"), save(tensors) if tensors else b""
    if len(header) > MAX_HEADER or len(body) > MAX_BODY:
        raise BadFrame(f"a frame holds at most {MAX_BODY >> 20} MB of tensors and {MAX_HEADER >> 20} MB of the rest")
    return LENGTHS.pack(len(header), len(body)) + header + body


def unpack(header: bytes, body: bytes) -> dict:
    """Read a frame's two parts; the value is under the key "value". Raises BadFrame for anything malformed."""
    try:
        head = json.loads(header.decode("utf-8", "surrogatepass"))
        if body and int.from_bytes(body[:8], "little") > MAX_TENSORS:
            raise BadFrame("too many tensors")
        head["value"] = _decode(head["value"], load(body) if body else {}, [0])
    except Exception as error:  # every way to be malformed is the same to us; the bytes may be forged
        raise BadFrame(f"not a frame ({type(error).__name__})") from None
    return head


def receive(connection: socket.socket, deadline: float = math.inf) -> dict:
    """Read one frame. Raises TimeoutError at `deadline` (time.monotonic), EOFError at the end, BadFrame otherwise."""

    def exactly(count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(None if math.isinf(left) else left)
            piece = connection.recv(min(count - len(data), 1 << 20))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)

    header, body = LENGTHS.unpack(exactly(LENGTHS.size))
    if header > MAX_HEADER or body > MAX_BODY:
        raise BadFrame("too large")
    return unpack(exactly(header), exactly(body))
