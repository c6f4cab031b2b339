"""Plain data on a socket: a JSON header and a safetensors body, never pickle, so that reading a frame runs nothing.

A frame is two little-endian 32-bit lengths, the header, and the body. Tensors travel in the body; the header holds
numbers, strings, booleans, None, lists, tuples and dictionaries, and names the tensors by their place in the body.
"""

import json
import math
import socket
import struct
import time
from typing import Any

import torch
from safetensors.torch import load, save

LENGTHS = struct.Struct("<II")
MAX_HEADER, MAX_BODY = 4 << 20, 64 << 20


class BadFrame(Exception):
    """What came over the socket is too large, or is not a frame."""


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """Turn a value into JSON; put its tensors into `tensors`. Subclasses become the plain type they extend."""
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        if torch.Tensor.numel(value) * torch.Tensor.element_size(value) > MAX_BODY:
            raise BadFrame("too large")  # before it is copied: an expanded tensor may claim any size
        with torch._C.DisableTorchFunctionSubclass():  # a subclass must not choose what "detach" means
            # The clone makes views and expanded tensors independent, as safetensors requires.
            tensors[name] = torch.Tensor.detach(value).as_subclass(torch.Tensor).cpu().contiguous().clone()
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
    raise TypeError(f"a value of type {type(value).__name__} is not plain data")


def _decode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors.pop(content)  # popped: a forged header cannot name one tensor a million times
    if kind == "tuple":
        return tuple(_decode(item, tensors) for item in content)
    if kind == "dict":
        return {_decode(key, tensors): _decode(item, tensors) for key, item in content}
    raise BadFrame(f"unknown kind {kind!r}")


def pack(head: dict, value: Any = None) -> bytes:
    """Make a frame of `head` (JSON) and `value` (plain data).

    Raises TypeError if `value` is not plain data, and BadFrame if the frame is larger than the other end accepts.
    """
    tensors: dict[str, torch.Tensor] = {}
    header = json.dumps({**head, "value": _encode(value, tensors)}).encode()
    body = save(tensors) if tensors else b""
    if len(header) > MAX_HEADER or len(body) > MAX_BODY:
        raise BadFrame(f"a frame holds at most {MAX_BODY >> 20} MB of tensors and {MAX_HEADER >> 20} MB of the rest")
    return LENGTHS.pack(len(header), len(body)) + header + body


def unpack(header: bytes, body: bytes) -> dict:
    """Read a frame's two parts; the value is under the key "value". Raises BadFrame for anything malformed."""
    try:
        head = json.loads(header)
        head["value"] = _decode(head["value"], load(body) if body else {})
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
