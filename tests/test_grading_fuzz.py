"""Whatever bytes a student's process or file holds, the grader reads them or refuses them, and soon."""

import builtins
import json
import math
import socket
import time
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from submissions import COUNT, RIGHT, SOFTEN, as_bytes, format_3, lab99, notebook, saved_by_colab

from labutils.grading import frames
from labutils.grading.extract import MAX_FINDINGS, Submission, Unreadable, parse
from labutils.grading.sandbox import REMARKS, _read
from labutils.grading.score import Draw

# --- frames ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bytes_",
    [
        b"",
        b"{}",
        b"[]",
        b'{"value": {"tensor": "0"}}',
        b'{"value": {"a": 1, "b": 2}}',
        b"[" * 100_000,
        b"\xff",
        b'{"value": {"x": 1}}',
    ],
)
def test_a_malformed_frame_is_refused(bytes_):
    with pytest.raises(frames.BadFrame):
        frames.unpack(bytes_, b"")
    with pytest.raises(frames.BadFrame):
        frames.unpack(b'{"value": null}', b"x" * 20)


def test_a_frame_brings_plain_data_back():
    value = {"a": [torch.arange(6).reshape(2, 3).T, (1, 2.5, None)], 3: "é", "empty": torch.zeros(0, 2), "flag": True}
    packed = frames.pack({"id": 7}, value)
    header, _ = frames.LENGTHS.unpack(packed[:8])
    back = frames.unpack(packed[8 : 8 + header], packed[8 + header :])
    assert back["id"] == 7
    assert back["value"]["a"][0].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert back["value"]["a"][1] == (1, 2.5, None)
    assert {key: item for key, item in back["value"].items() if key in (3, "flag")} == {3: "é", "flag": True}
    assert back["value"]["empty"].shape == (0, 2)


LEAVES = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text()
KEYS = (
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text() | st.tuples(st.text(), st.booleans())
)
PLAIN = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=4).map(tuple) | st.dictionaries(KEYS, inner, max_size=4)
    ),
    max_leaves=12,
)


def there_and_back(value: object) -> object:
    packed = frames.pack({"id": 1}, value)
    header, body = frames.LENGTHS.unpack(packed[:8])
    assert len(packed) == 8 + header + body
    return frames.unpack(packed[8 : 8 + header], packed[8 + header :])["value"]


@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    assert repr(there_and_back(value)) == repr(value)  # repr, because NaN is not equal to itself


DTYPES = [torch.float32, torch.float64, torch.int64, torch.bool, torch.bfloat16, torch.complex64]


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=4))
def test_tensors_come_back_bit_for_bit(dtype, shape):
    tensor = torch.randn(shape).mul(9).to(dtype)
    for sent in (tensor, tensor.T if tensor.ndim == 2 else tensor.unsqueeze(0).expand(2, *shape)):
        (back,) = there_and_back([sent])
        assert back.dtype == dtype
        assert torch.equal(back, sent)


JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["value", "tensor", "tuple", "dict", "0", "id", "ok"]), inner, max_size=3)
    ),
    max_leaves=10,
)
TENSORS = save({"0": torch.zeros(2)})


@given(st.binary(max_size=99) | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from([b"", TENSORS]))
def test_any_header_is_read_or_refused(header, body):
    with suppress(frames.BadFrame):
        frames.unpack(header, body)


@given(st.integers(0, len(TENSORS) - 1), st.integers(0, 255), st.integers(0, len(TENSORS)))
def test_any_body_is_read_or_refused(place, byte, length):
    body = bytearray(TENSORS)
    body[place] = byte
    with suppress(frames.BadFrame):
        head = frames.unpack(b'{"value": {"tensor": "0"}}', bytes(body[:length]))
        assert isinstance(head["value"], torch.Tensor)


@settings(max_examples=30)
@given(st.binary(max_size=40) | st.binary(max_size=9).map(lambda b: frames.LENGTHS.pack(len(b), 0) + b))
def test_any_stream_ends_in_one_of_two_errors(data):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((EOFError, frames.BadFrame)):
            frames.receive(ours, time.monotonic() + 5)


def test_a_stream_that_drips_ends_at_the_deadline():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(frames.LENGTHS.pack(100, 0) + b"{")
        with pytest.raises(TimeoutError):
            frames.receive(ours, time.monotonic() + 0.05)


DEAR = {
    "keys that collide": (json.dumps({"value": {"dict": [[(2**61 - 1) * i, 0] for i in range(99_999)]}}).encode(), b""),
    "a few keys that do": (json.dumps({"value": {"dict": [[(2**61 - 1) * i, 0] for i in range(9)]}}).encode(), b""),
    "many keys": (json.dumps({"value": {"dict": [[i, 0] for i in range(99_999)]}}).encode(), b""),
    "many dictionaries": (json.dumps({"value": [{"dict": [["a", 0]]}] * 6_000}).encode(), b""),
    "many tensors": (b'{"value": null}', (2 << 20).to_bytes(8, "little") + b" " * (2 << 20)),
    "a key that is a list": (b'{"value": {"dict": [[[], 0]]}}', b""),
    "a long number": (b'{"value": ' + b"9" * 5000 + b"}", b""),
    "lists in lists": (b'{"value": ' + b"[" * 990 + b"]" * 990 + b"}", b""),
    "tuples in tuples": (b'{"value": ' + b'{"tuple": [' * 480 + b"]}" * 480 + b"}", b""),
}


@pytest.mark.parametrize("name", DEAR)
def test_what_would_cost_minutes_or_gigabytes_is_refused_at_once(name):
    start = time.process_time()
    with pytest.raises(frames.BadFrame):
        frames.unpack(*DEAR[name])
    assert time.process_time() - start < 10  # a tenth of a second, more where Python has much to tidy up meanwhile


def test_more_than_the_other_end_accepts_is_not_sent():
    with pytest.raises(frames.BadFrame):
        frames.pack({}, torch.zeros(1).expand(10**12))
    with pytest.raises(frames.BadFrame):
        frames.pack({}, "x" * (5 << 20))


# --- answers ---------------------------------------------------------------------------------------------------------

PARTS = {
    "ok": st.booleans() | JSON,
    "raised": st.lists(st.fixed_dictionaries({"error": st.text(), "place": JSON})) | JSON,
    "remarks": st.lists(st.sampled_from([*REMARKS, "passed"])) | JSON,
    "error": st.sampled_from(["KeyError", "NotPlain", "NotAllowed", "print", "__import__"]) | JSON,
    "place": st.tuples(st.integers(), st.integers()) | JSON,
    "value": PLAIN,
    "kind": JSON,
    "forbidden": JSON,
}


@given(st.fixed_dictionaries({}, optional=PARTS))
def test_any_answer_becomes_words_of_ours_or_is_refused(answer):
    try:
        reply = _read(answer)
    except (KeyError, TypeError, ValueError, AttributeError):  # what Session.call takes for "unreadable"
        return
    assert reply.outcome in ("value", "raised", "missing", "not plain", "forbidden")
    assert reply.remarks <= REMARKS
    assert reply.error in ("", "an exception") or issubclass(getattr(builtins, reply.error), BaseException)


WANTED = [torch.zeros(2, 3), torch.tensor([1, 2]), 3, 2.5, math.inf, "a", True, None, [1.0, "b"], {"a": 1, 3: [2.0]}]


@given(PLAIN | st.lists(st.integers(0, 3), max_size=3).map(torch.zeros), st.sampled_from(WANTED))
def test_any_value_is_compared_with_any_other(got, want):
    class Fixed(Draw):
        def output(self, function, case):
            return want

    problem = Fixed(lab99.EXERCISES[0], "s", "ada").problem(got, None, 0)
    assert problem is None or isinstance(problem, str)


# --- files -----------------------------------------------------------------------------------------------------------

SAVED = [as_bytes(save_as(notebook(RIGHT))) for save_as in (dict, saved_by_colab, format_3)]
PIECES = st.sampled_from([
    "def soften(", "logits", "):\n    ", "return ", "%time ", "!ls \\\n", "?", "import torch\n", "'''", "\\", "\t",
    "@exec\n", "class A:\n  x=", "lambda: ", "await ", "yield", "\u2028", "\x0c", "ｓoften", "\ud800", "\0", "= ",
])  # fmt: skip


def survives(data: bytes, is_notebook: bool = True) -> None:
    try:
        submission = parse(data, is_notebook)
    except Unreadable as error:
        submission, refusal = None, str(error)
    if submission is None:
        assert refusal.endswith(".")
        return
    assert len(submission.findings) <= MAX_FINDINGS
    # It leaves the child that parsed it as a frame, and arrives as it was.
    arrived = Submission.from_plain(there_and_back(submission.as_plain()))
    assert (arrived.sources, arrived.statements) == (submission.sources, submission.statements)
    assert (arrived.findings, arrived.lab, arrived.title) == (submission.findings, submission.lab, submission.title)
    for name in ("soften", "count"):
        needed = arrived.needed_by(name, {"soften", "count"})
        assert {id(s) for s in arrived.bindings(name)} <= {id(s) for s in needed}
        frames.pack({}, arrived.cells(needed))


@given(st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join))
def test_any_source_is_read_or_refused(source):
    survives(as_bytes(notebook([SOFTEN, source, COUNT])))
    survives(source.encode("utf-8", "surrogatepass"), is_notebook=False)


@given(st.sampled_from(SAVED), st.data())
def test_any_damage_to_a_notebook_is_read_or_refused(saved, data):
    place = data.draw(st.integers(0, len(saved) - 1))
    pieces = [b'"', b"[", b"}", b"\\", b"\\ud800", b"null", b",", b'"cells": 3, ']
    inserted = data.draw(st.binary(max_size=4) | st.sampled_from(pieces))
    survives(saved[:place] + inserted + saved[place + data.draw(st.integers(0, 9)) :])


NAMES = st.sampled_from(["cells", "cell_type", "source", "input", "worksheets", "metadata", "labutils", "lab"])
CELLS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner | st.just("code"), max_size=4),
    max_leaves=12,
)


@given(CELLS)
def test_any_json_is_read_or_refused(value):
    survives(json.dumps(value).encode())


@pytest.mark.parametrize("sheets", [3, [3], [{"cells": 3}], [{"cells": [3, {"cell_type": "code", "input": 3}]}]])
def test_worksheets_of_another_form_are_refused(sheets):
    survives(json.dumps({"worksheets": sheets}).encode())


@given(PLAIN)
def test_a_submission_of_another_form_is_refused(plain):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Submission.from_plain(plain)
