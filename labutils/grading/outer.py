"""The outer ring: bubblewrap, where it is installed and allowed. One function says how to start a command inside.

The inner ring (`rings`) works by refusing; this one by absence. Under it the zygote and its children have users,
processes, a network and files of their own: no interface but the loopback, no process but theirs, and of the file
system only the running Python, without the course's references. It rests on another part of the kernel (namespaces)
than Landlock and seccomp do, so a hole in one is not a hole in both. That is why it was chosen over sandlock, which
needs no user namespaces, but is made of Landlock and seccomp again.

Some systems forbid user namespaces (Ubuntu 24.04 by AppArmor, most containers by their own filter). Then `wrap` finds
that the ring cannot be entered, and the grader goes on without it and says so.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = "/.grading"  # nothing else is called that
APART = ("user", "pid", "net", "mnt", "ipc")  # the namespaces that must differ from the grader's
# What the zygote imports of the course. The rest, references above all, does not exist inside.
MODULES = ("__init__", "extract", "frames", "outer", "rings", "worker")
VISIBLE = ("__init__.py", *(f"grading/{name}.py" for name in MODULES))


def namespaces() -> list[str]:
    """The namespaces that this process is in."""
    return [os.readlink(f"/proc/self/ns/{name}") for name in APART]


def _bubblewrap() -> list[str] | None:
    """The start of a command line, if the ring can be entered here."""
    if (program := shutil.which("bwrap")) is None:
        return None
    start = [program, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    try:
        entered = subprocess.run(
            [*start, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"], capture_output=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if entered.returncode else start


def wrap(command: list[str], course: Path) -> tuple[list[str], str] | None:
    """The command line that starts `command` in the outer ring, and the ring's name; None where there is no such ring.

    Inside, the working folder is empty, writable and in memory, and `course` holds the files in `VISIBLE` alone.
    """
    from labutils.grading import rings  # it cannot be imported on other systems

    if (start := _bubblewrap()) is None:
        return None
    folders = {*rings.python_folders(), Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    # An outer folder is mounted before what lies in it. A link such as /lib is made by mounting where it leads.
    named = {Path(sys.prefix), *(Path(name) for name in ("/lib", "/lib64") if Path(name).is_dir())}
    binds = [piece for path in sorted(folders | named) for piece in ("--ro-bind", str(path), str(path))]
    files = [piece for name in VISIBLE for piece in ("--ro-bind", str(course / name), str(course / name))]
    return [
        *start,
        *binds,
        *("--tmpfs", str(course), *files, "--remount-ro", str(course)),
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", FOLDER, "--chdir", FOLDER, "--remount-ro", "/", "--"),
        *command,
    ], "bubblewrap (own users, processes, network and files)"
