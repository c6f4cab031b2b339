"""Chromium on this machine: the browser tests and the PDFs of the chapters use it.

    python tools/browser.py     install it where this machine allows that, and say what there is

Playwright could download a browser of its own, but only from its makers' host. Any Chromium or Chrome will do:
name another one with the variable CHROMIUM.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

# Without a user's namespaces, as in most containers, Chromium's own sandbox cannot start. It shows our own pages alone.
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update"]


def find() -> str | None:
    """The path of the browser, or None where there is none.

    Raises:
        FileNotFoundError: if CHROMIUM names something that is not a program.
    """
    if named := os.environ.get("CHROMIUM"):
        if path := shutil.which(named):
            return path
        raise FileNotFoundError(f"CHROMIUM={named} is not a program on this machine.")
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def install() -> None:
    """Install Debian's Chromium if this is a Debian and we are its administrator; otherwise do nothing."""
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update"], **quiet, check=False)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], **quiet, check=False)


def main() -> int:
    if find() is None:
        print("==> installing Chromium for the browser tests", flush=True)
        install()
    if path := find():
        print(f"browser: {path}")
    else:
        print("browser: NONE. The browser tests will be skipped, each with a line that says so. Install Chromium or "
              "Chrome, or name one with CHROMIUM=/path/to/it.")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
