"""Refuses every connection of a Python process that would leave this machine, and writes down whom it was for.

A .pth file loads it first in the emulated Colab, so that it holds for pip and for every child too.
"""

import errno
import os
import sys

# The position of the address or the host among an event's arguments, as Python's table of audit events has them.
_EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}
_HERE = ("127.", "::1", "localhost", "0.0.0.0", os.uname().nodename)


def _refuse(event: str, arguments: tuple) -> None:
    if event not in _EVENTS:
        return
    address = arguments[_EVENTS[event]]
    # A network address is a host, or a tuple that begins with one; a path in the file system is no tuple.
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = address[0] if isinstance(address, tuple) else None
    host = address.decode("latin-1") if isinstance(address, bytes) else address
    if not host or str(host).startswith(_HERE):
        return
    with open(os.environ["NETWORK_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{host}\n")
    raise OSError(errno.ENETUNREACH, f"the emulated Colab has no network, and {host} was asked for")


if "NETWORK_LOG" in os.environ:
    sys.addaudithook(_refuse)
