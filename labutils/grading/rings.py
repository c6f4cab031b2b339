"""The inner ring: what the student's process gives up before it runs a line of their code. Linux; no root is needed.

Three layers, each optional and each probed once it is in force:
- rlimits bound memory, processor time, files, processes and the size of files;
- Landlock closes the file system but for the Python that is running, and signals to other processes;
- seccomp refuses every system call that is not on a list of about ninety.

The list was made by trial: the system calls of a process with torch were recorded while it trained networks, ran
threads, did linear algebra, imported scipy and transformers and solved the course's exercises. `tests/
test_grading_boundary.py` runs the like of it, so a new torch that needs a call more is noticed there.
"""

import ctypes
import os
import platform
import resource
import signal
import socket
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38

# --- rlimits ---------------------------------------------------------------------------------------------------------


def limit(memory: int, seconds: int) -> str:
    """Bound this process: `memory` bytes beyond what it maps now, `seconds` of processor time, no byte written."""
    # Counted from here because torch maps from 0.5 GB to 20 GB, depending on its build.
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for which, value in (
        (resource.RLIMIT_AS, mapped + memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 512),  # counts the user's other processes too; seccomp is what forbids a new one
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing raises OSError instead of ending the process
    return "rlimits"


def drop_capabilities() -> str | None:
    """Give up root's powers, where there are any. Returns the layer's name."""
    header, nothing = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    return None if libc.capset(header, nothing) else "no capabilities"


# --- Landlock --------------------------------------------------------------------------------------------------------

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3


def python_folders() -> list[Path]:
    """The folders that a running Python imports from, and those of the libraries that it loads."""
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    folders |= {"/usr/lib", "/lib", "/lib64", "/usr/local/lib"}
    return sorted({Path(folder).resolve() for folder in folders if Path(folder).is_dir()})


def _readable(path: Path, secret: Path) -> Iterator[tuple[Path, int]]:
    """The rights that open `path` for reading, but for `secret` where it lies below: Landlock can only grant."""
    if not secret.is_relative_to(path):
        yield path, READ_FILE | READ_DIR
    elif path != secret:
        yield path, READ_DIR  # Python's import lists the folder to find the other entries
        for entry in path.iterdir():
            yield from _readable(entry.resolve(), secret)


def python_files(secret: Path) -> list[tuple[Path, int]]:
    """What a process with torch loaded may still read: the Python that is running, and not the course's own code."""
    rules = [rule for folder in python_folders() for rule in _readable(folder, secret)]
    return [*rules, (Path("/dev/null"), READ_FILE | WRITE_FILE), (Path("/dev/urandom"), READ_FILE)]


def landlock_ruleset(rules: list[tuple[Path, int]]) -> tuple[int, str] | None:
    """A rule set that closes the file system but for `rules`, TCP, abstract sockets and signals out.

    Returns its descriptor and the layer's name, or None where the kernel has no Landlock. It is made once; a process
    puts it in force for itself.
    """
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return None
    files = (1 << (13 if version < 2 else 14 if version < 3 else 15 if version < 5 else 16)) - 1
    network, scope = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    attributes = struct.pack("<QQQ", files, network, scope)[: 24 if scope else 16 if network else 8]
    ruleset = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    for path, rights in rules:
        if not path.is_dir():
            rights &= ~READ_DIR
        try:
            opened = os.open(path, os.O_PATH)
        except OSError:
            continue
        libc.syscall(ADD_RULE, ruleset, 1, struct.pack("<Qi", rights, opened), 0)
        os.close(opened)
    return ruleset, f"Landlock (ABI {version})"


# --- seccomp ---------------------------------------------------------------------------------------------------------

# Number on x86_64, number on aarch64 (None: it has no such call).
_ALLOWED = {
    # Reading what Landlock lets it open, and the one socket that it was given.
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67), "lseek": (8, 62),
    "close": (3, 57), "close_range": (436, 436), "open": (2, None), "openat": (257, 56), "fstat": (5, 80),
    "newfstatat": (262, 79), "statx": (332, 291), "stat": (4, None), "lstat": (6, None), "access": (21, None),
    "faccessat": (269, 48), "faccessat2": (439, 439), "readlink": (89, None), "readlinkat": (267, 78),
    "getcwd": (79, 17), "getdents64": (217, 61), "fadvise64": (221, 223), "dup": (32, 23), "dup2": (33, None),
    "dup3": (292, 24), "sendto": (44, 206), "recvfrom": (45, 207),
    # Waiting, and pipes from thread to thread.
    "poll": (7, None), "ppoll": (271, 73), "select": (23, None), "pselect6": (270, 72), "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22), "eventfd2": (290, 19),
    "pipe": (22, None), "pipe2": (293, 59),
    # Memory.
    "mmap": (9, 222), "munmap": (11, 215), "mprotect": (10, 226), "mremap": (25, 216), "madvise": (28, 233),
    "brk": (12, 214), "mbind": (237, 235), "get_mempolicy": (239, 236), "membarrier": (324, 283),
    # Threads (`clone` has a rule of its own below), and the end.
    "futex": (202, 98), "set_robust_list": (273, 99), "rseq": (334, 293), "set_tid_address": (218, 96),
    "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "getcpu": (309, 168), "exit": (60, 93),
    "exit_group": (231, 94), "restart_syscall": (219, 128),
    # Its own signals.
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigsuspend": (130, 133),
    "rt_sigtimedwait": (128, 137), "rt_sigpending": (127, 136), "sigaltstack": (131, 132), "pause": (34, None),
    "alarm": (37, None), "setitimer": (38, 103), "getitimer": (36, 102),
    # Time, and who it is.
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "nanosleep": (35, 101),
    "gettimeofday": (96, 169), "time": (201, None), "times": (100, 153), "getrusage": (98, 165), "getpid": (39, 172),
    "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175), "getgid": (104, 176),
    "getegid": (108, 177), "uname": (63, 160), "sysinfo": (99, 179), "getrandom": (318, 278), "getrlimit": (97, 163),
}  # fmt: skip
_CLONE, _CLONE3, _TGKILL, _PRLIMIT, _PRCTL, _FCNTL = (56, 220), (435, 435), (234, 131), (302, 261), (157, 167), (72, 25)
_IOCTL = (16, 29)
_FCNTL_ALLOWED = (0, 1, 2, 3, 4, 1030)  # duplicate, get and set flags; not F_SETOWN and the like, which send signals
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # is it a terminal, how much to read, (non)blocking
_PRCTL_ALLOWED = (3, 15, 16, 23, 0x53564D41)  # PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_CAPBSET_READ, PR_SET_VMA
_NEWEST = 451
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _REFUSE, _MISSING, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # EPERM is 1, ENOSYS is 38 = 0x26


def _filter(architecture: str) -> bytes:
    """The seccomp program, in classic BPF. Loads: 0 is the call's number, 4 the architecture, 16 + 8i argument i."""
    column, audit = _ARCHITECTURES[architecture]

    def op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, k)

    def only_if(call: tuple[int, int], index: int, values: tuple[int, ...], code: int = _JUMP_EQUAL) -> list[bytes]:
        """Allow `call` where the low half of argument `index` is one of `values`, or has their bit; else refuse it."""
        tests = [piece for value in values for piece in (op(code, value, 0, 1), op(_RETURN, _ALLOW))]
        return [
            op(_JUMP_EQUAL, call[column], 0, len(tests) + 2),
            op(_LOAD, 16 + 8 * index),
            *tests,
            op(_RETURN, _REFUSE),
        ]

    program = [op(_LOAD, 4), op(_JUMP_EQUAL, audit, 1, 0), op(_RETURN, _KILL), op(_LOAD, 0)]
    # A call that is newer than the list "does not exist": the C library then takes an older one. So does clone3, whose
    # flags lie where a filter cannot look. This also refuses x86_64's x32 twins of every call.
    program += [op(_JUMP_GREATER, _NEWEST, 0, 1), op(_RETURN, _MISSING)]
    program += [op(_JUMP_EQUAL, _CLONE3[column], 0, 1), op(_RETURN, _MISSING)]
    for numbers in _ALLOWED.values():
        if numbers[column] is not None:
            program += [op(_JUMP_EQUAL, numbers[column], 0, 1), op(_RETURN, _ALLOW)]
    program += only_if(_CLONE, 0, (0x10000,), _JUMP_BITS)  # CLONE_THREAD: threads, no processes
    program += only_if(_TGKILL, 0, (os.getpid(),))
    program += only_if(_PRLIMIT, 0, (0, os.getpid()))
    program += only_if(_PRCTL, 0, _PRCTL_ALLOWED)
    program += only_if(_FCNTL, 1, _FCNTL_ALLOWED)
    program += only_if(_IOCTL, 1, _IOCTL_ALLOWED)
    program.append(op(_RETURN, _REFUSE))
    return b"".join(program)


def seccomp() -> str | None:
    """Refuse all but the calls above for the rest of this process's life. Returns the layer's name."""
    if platform.machine() not in _ARCHITECTURES:
        return None
    code = ctypes.create_string_buffer(program := _filter(platform.machine()), len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return None if libc.prctl(PR_SET_SECCOMP, 2, pointer, 0, 0) else "seccomp (allow-list)"


# --- all of them -----------------------------------------------------------------------------------------------------


def die_with(parent: int) -> None:
    """End this process when its parent ends, in whatever way."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def die_first() -> None:
    """Where the machine runs out of memory, let the kernel end this process before any other."""
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else the file would belong to root
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def harden(ruleset: tuple[int, str] | None, memory: int, seconds: int, without: list[str]) -> list[str]:
    """Apply every layer that this machine has, but for those named in `without`. Returns the names of those applied."""
    die_first()
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    layers = [limit(memory, seconds), drop_capabilities()]
    if ruleset and "landlock" not in without and libc.syscall(RESTRICT_SELF, ruleset[0], 0) == 0:
        layers.append(ruleset[1])
    if "seccomp" not in without:
        layers.append(seccomp())
    return [layer for layer in layers if layer]


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False


def _fork() -> None:
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)


def probe(secret: Path) -> dict[str, bool]:
    """Try what must fail, and say what did: a layer is believed only for what it is seen to refuse."""
    return {
        "network": _refused(lambda: socket.socket(socket.AF_INET).close()),
        "processes": _refused(_fork),
        "signals": _refused(lambda: os.kill(os.getppid(), 0)),
        "files": all(
            _refused(lambda path=path: os.close(os.open(path, os.O_RDONLY))) for path in (secret, "/etc/passwd")
        )
        and _refused(lambda: os.close(os.open("written", os.O_WRONLY | os.O_CREAT))),
    }
