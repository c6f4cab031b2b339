"""A model hub on this machine: enough of the protocol of huggingface.co for `huggingface_hub`, and faults on demand.

    GET  /api/models/ID/revision/REVISION     what the repository is, as JSON
    GET  /api/models/ID/tree/REVISION         its files, as JSON
    HEAD /ID/resolve/REVISION/FILE            commit, name of the content (ETag), size
    GET  /ID/resolve/REVISION/FILE            the content, from the byte that a Range header asks for

Each repository has one revision. A name that it does not know is answered as the real hub answers it: with 401 for a
repository (to a stranger it does not say which ones exist) and with 404 for a revision or a file.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from stand_ins import etag


@dataclass
class Hub:
    """The server's state. The tests set the faults and read the requests.

    `repositories` maps an id to (revision, folder). `requests` collects (method, file, first byte asked for).
    `breaks[file]` counts the downloads of a file that end in the middle; `damaged` and `cut` name files of which one
    byte is wrong or the last one missing; `gated` names repositories; while `down`, every answer is 503.
    """

    repositories: dict[str, tuple[str, Path]]
    address: str = ""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    breaks: dict[str, int] = field(default_factory=dict)
    damaged: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    gated: set[str] = field(default_factory=set)
    down: bool = False


class Refusal(Exception):
    """An answer other than a file: the status, and the reason under the name that the hub gives it."""

    def __init__(self, status: int, code: str):
        super().__init__(code)
        self.status, self.code = status, code


def described(path: Path) -> dict[str, object]:
    """A file's size and the name of its content, as the hub lists them."""
    content = path.read_bytes()
    return {"size": len(content), "oid": etag(path, content)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body: bool) -> None:
        try:
            if self.hub.down:
                raise Refusal(503, "ServiceUnavailable")
            self.send_found(*self.find(unquote(self.path.partition("?")[0]).strip("/").split("/")), body=body)
        except Refusal as refusal:
            self.send_response(refusal.status)
            self.send_header("X-Error-Code", refusal.code)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def find(self, parts: list[str]) -> tuple[str, Path | None, bytes]:
        """The revision, the file's path, and the content that an address stands for."""
        match parts:
            case ["api", "models", owner, name, "revision", revision]:
                commit, folder = self.repository(f"{owner}/{name}", revision)
                files = [{"rfilename": path.name} for path in sorted(folder.iterdir())]
                about = {"id": f"{owner}/{name}", "sha": commit, "siblings": files, "tags": [], "private": False}
                return commit, None, json.dumps(about).encode()
            case ["api", "models", owner, name, "tree", revision]:
                commit, folder = self.repository(f"{owner}/{name}", revision)
                paths = sorted(folder.iterdir())
                tree = [{"type": "file", "path": path.name, **described(path)} for path in paths]
                return commit, None, json.dumps(tree).encode()
            case [owner, name, "resolve", revision, file]:
                commit, folder = self.repository(f"{owner}/{name}", revision)
                if not (folder / file).is_file():
                    raise Refusal(404, "EntryNotFound")
                return commit, folder / file, (folder / file).read_bytes()
            case _:
                raise Refusal(404, "NotFound")

    def repository(self, name: str, revision: str) -> tuple[str, Path]:
        if name in self.hub.gated:
            raise Refusal(401, "GatedRepo")
        if name not in self.hub.repositories:
            raise Refusal(401, "RepoNotFound")
        commit, folder = self.hub.repositories[name]
        if revision not in (commit, "main"):
            raise Refusal(404, "RevisionNotFound")
        return commit, folder

    def send_found(self, commit: str, path: Path | None, content: bytes, *, body: bool) -> None:
        size, start = len(content), 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").partition("-")[0])
        name = path.name if path else "api"
        self.hub.requests.append((self.command, name, start))
        self.send_response(206 if asked else 200)
        if path:
            self.send_header("ETag", f'"{etag(path, content)}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Accept-Ranges", "bytes")
        if body and name in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if body and name in self.hub.cut:
            content, size = content[:-1], size - 1
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        if body:
            self.send_body(name, content[start:])

    def send_body(self, name: str, content: bytes) -> None:
        if self.hub.breaks.get(name, 0) > 0:
            self.hub.breaks[name] -= 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True  # before all that was announced
        else:
            self.wfile.write(content)

    def log_message(self, format, *args):
        """Say nothing on stderr."""


@contextmanager
def running(repositories: dict[str, tuple[str, Path]]) -> Iterator[Hub]:
    """A hub with these repositories, {id: (revision, folder)}, for the time of a `with` block."""
    hub = Hub(repositories)
    handler = type("HandlerOfThisHub", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
