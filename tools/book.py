"""Builds the site from the stored outputs of the labs, and serves it.

python tools/book.py build             build _build/html; every warning is an error
python tools/book.py page chapters/05_sampling     build what changed since then, and this page
python tools/book.py pdf               make a PDF of each chapter of what was built; needs Chromium
python tools/book.py serve             show what was built on http://localhost:8000
"""

import argparse
import functools
import os
import shutil
import subprocess
import sys
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "_build"
STAMP = "built"  # lies in the build folder when the build went without a warning


def environment() -> dict[str, str]:
    """The environment of the build: this interpreter's own commands first, because Node is one of them."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return os.environ | {"PATH": path, "PYTHONUTF8": "1", "PYTHONWARNINGS": "ignore"}


def build(folder: Path = BUILD) -> int:
    """Build the site anew in a folder called _build and say where it is; returns the exit status.

    Everything is built each time. It takes seconds, because the labs are not run, and no page can be out of date.
    """
    shutil.rmtree(folder, ignore_errors=True)
    started = time.monotonic()
    if status := run(folder):
        print("The site was not built: mend the warnings above and build again.", file=sys.stderr)
        return status
    (folder / STAMP).touch()
    print(f"\nThe site is in {os.path.relpath(folder / 'html')} ({time.monotonic() - started:.0f} s).")
    print("`make serve` shows it on http://localhost:8000. It needs no network.")
    return 0


def run(folder: Path) -> int:
    """Run Jupyter Book, which leaves alone what is up to date in the folder; returns its exit status."""
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        str(ROOT),
        "--path-output",
        str(folder.parent),
    ]
    return subprocess.run([*command, "-W", "-n", "--keep-going"], cwd=ROOT, env=environment()).returncode


def build_page(name: str, folder: Path = BUILD) -> int:
    """Build a page of a site that was built before, such as chapters/05_sampling, while you write it.

    Other pages are built if their own sources changed. A change of what makes the pages (_ext, labutils, _config.yml)
    needs the whole build, which is also what the tests and the readers get. Returns the exit status.
    """
    if not any((ROOT / f"{name}{suffix}").exists() for suffix in (".md", ".ipynb")):
        print(f"There is no page {name}. Name one like this: make page P=chapters/05_sampling", file=sys.stderr)
        return 1
    if not (folder / "html").exists():
        return build(folder)
    (folder / ".doctrees" / f"{name}.doctree").unlink(missing_ok=True)  # what Sphinx remembers of the page
    started = time.monotonic()
    if status := run(folder):
        print("The page has the warnings above.", file=sys.stderr)
        return status
    page = os.path.relpath(folder / "html" / f"{name}.html")
    print(f"\nThe page is {page} ({time.monotonic() - started:.0f} s).")
    return 0


def serve(port: int) -> int:
    """Serve the built site to this machine until Ctrl+C; returns the exit status."""
    if not (BUILD / "html").exists():
        print("There is no site yet. Build it first: make book", file=sys.stderr)
        return 1
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(BUILD / "html"))
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        print(f"Cannot serve on port {port}: {error.strerror}. Try another one: make serve PORT=8001", file=sys.stderr)
        return 1
    print(f"http://localhost:{port} (stop with Ctrl+C)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Build the site, make PDFs of it, or serve it on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build _build/html; every warning is an error")
    page = commands.add_parser("page", help="build a page again, after the site was built")
    page.add_argument("name", help="such as chapters/05_sampling")
    commands.add_parser("pdf", help="make a PDF of each chapter of what was built")
    server = commands.add_parser("serve", help="serve what was built on localhost")
    server.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    match arguments.command:
        case "build":
            return build()
        case "page":
            return build_page(arguments.name)
        case "pdf":
            import pdf  # it needs a browser, which nothing else here does

            return pdf.make(BUILD / "html")
        case _:
            return serve(arguments.port)


if __name__ == "__main__":
    sys.exit(main())
