"""What the student's process gives up before it runs a line of their code. Linux; every layer is optional and probed.

Three layers, none of which needs root or a user namespace:
- rlimits bound memory, processor time, files and processes;
- Landlock closes the file system but for the Python that is running, and signals to other processes;
- seccomp refuses system calls: network, new processes, a look into other processes, file attributes.

seccomp is a deny-list for now. It refuses by name what the threats need, and every call newer than the list.
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
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38

# --- rlimits ---------------------------------------------------------------------------------------------------------


def limit(memory: int, seconds: int) -> bool:
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
    ):
        hard = resource.getrlimit(which)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (value, value))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing raises OSError instead of ending the process
    return True


def drop_capabilities() -> bool:
    """Give up root's powers, where there are any."""
    header, nothing = struct.pack("<Ii", 0x20080522, 0), bytes(24)
    return libc.capset(header, nothing) == 0


# --- Landlock --------------------------------------------------------------------------------------------------------

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
WRITE_FILE, READ_FILE, READ_DIR = 1 << 1, 1 << 2, 1 << 3


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
    paths = sysconfig.get_paths()
    folders = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders |= {entry for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")}
    folders |= {"/usr/lib", "/lib", "/lib64", "/usr/local/lib"}
    existing = sorted({Path(folder).resolve() for folder in folders if Path(folder).is_dir()})
    rules = [rule for folder in existing for rule in _readable(folder, secret)]
    return [*rules, (Path("/dev/null"), READ_FILE | WRITE_FILE), (Path("/dev/urandom"), READ_FILE)]


def landlock(rules: list[tuple[Path, int]]) -> str | None:
    """Close the file system but for `rules`, TCP, abstract sockets and signals out. Returns the layer's name."""
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
    refused = libc.syscall(RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)
    return None if refused else f"Landlock (ABI {version})"


# --- seccomp ---------------------------------------------------------------------------------------------------------

# Number on x86_64, number on aarch64 (None: it has no such call).
_NETWORK = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
}  # fmt: skip
_PROCESSES = {
    "fork": (57, None), "vfork": (58, None), "execve": (59, 221), "execveat": (322, 281), "unshare": (272, 97),
    "setns": (308, 268),
}  # fmt: skip
_OTHERS_PROCESSES = {
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424), "pidfd_getfd": (438, 438), "kill": (62, 129),
    "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240), "setpriority": (141, 140),
    "ioprio_set": (251, 30), "sched_setaffinity": (203, 122), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "move_pages": (279, 239), "migrate_pages": (256, 238),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "perf_event_open": (298, 241),
}  # fmt: skip
_FILES_BESIDE_LANDLOCK = {  # Landlock does not see attributes
    "chmod": (90, None), "fchmod": (91, 52), "fchmodat": (268, 53), "chown": (92, None), "fchown": (93, 55),
    "lchown": (94, None), "fchownat": (260, 54), "utime": (132, None), "utimes": (235, None), "futimesat": (261, None),
    "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6), "fsetxattr": (190, 7),
    "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16), "truncate": (76, 45),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262),
}  # fmt: skip
_OUTLIVES_THE_PROCESS = {
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semctl": (66, 191),
    "semop": (65, 193), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "mq_open": (240, 180),
    "mq_unlink": (241, 181), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
}  # fmt: skip
_KERNEL = {
    "bpf": (321, 280), "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "move_mount": (429, 429),
    "open_tree": (428, 428), "mount_setattr": (442, 442), "personality": (135, 92), "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
}  # fmt: skip
_DENIED = _NETWORK | _PROCESSES | _OTHERS_PROCESSES | _FILES_BESIDE_LANDLOCK | _OUTLIVES_THE_PROCESS | _KERNEL
_CLONE, _CLONE3, _TGKILL, _PRLIMIT, _PRCTL, _FCNTL = (56, 220), (435, 435), (234, 131), (302, 261), (157, 167), (72, 25)
_IOCTL = (16, 29)
_NEWEST = 451
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_ALLOW, _REFUSE, _MISSING, _KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # EPERM is 1, ENOSYS is 38 = 0x26


def _filter(architecture: str) -> bytes:
    """The seccomp program, in classic BPF. Loads: 0 is the call's number, 4 the architecture, 16 + 8i argument i."""
    column, audit = _ARCHITECTURES[architecture]

    def op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
        return struct.pack("<HBBI", code, yes, no, k)

    def on_argument(call: tuple[int, int], index: int, code: int, value: int, then: int, otherwise: int) -> list[bytes]:
        """For `call`, decide by the low half of argument `index`: `then` if the comparison holds, else `otherwise`."""
        return [
            op(_JUMP_EQUAL, call[column], 0, 4),
            op(_LOAD, 16 + 8 * index),
            op(code, value, 0, 1),
            op(_RETURN, then),
            op(_RETURN, otherwise),
        ]

    def refused_if(call: tuple[int, int], index: int, refused: tuple[int, ...]) -> list[bytes]:
        """Refuse `call` where argument `index` is one of `refused`, and allow it elsewhere."""
        tests = [piece for value in refused for piece in (op(_JUMP_EQUAL, value, 0, 1), op(_RETURN, _REFUSE))]
        return [
            op(_JUMP_EQUAL, call[column], 0, len(tests) + 2),
            op(_LOAD, 16 + 8 * index),
            *tests,
            op(_RETURN, _ALLOW),
        ]

    program = [op(_LOAD, 4), op(_JUMP_EQUAL, audit, 1, 0), op(_RETURN, _KILL), op(_LOAD, 0)]
    program += [op(_JUMP_GREATER, _NEWEST, 0, 1), op(_RETURN, _MISSING)]  # refuses x86_64's x32 twin calls too
    program += [op(_JUMP_EQUAL, _CLONE3[column], 0, 1), op(_RETURN, _MISSING)]  # glibc falls back to clone
    for numbers in _DENIED.values():
        if numbers[column] is not None:
            program += [op(_JUMP_EQUAL, numbers[column], 0, 1), op(_RETURN, _REFUSE)]
    program += on_argument(_CLONE, 0, _JUMP_BITS, 0x10000, _ALLOW, _REFUSE)  # CLONE_THREAD: threads, no processes
    program += on_argument(_TGKILL, 0, _JUMP_EQUAL, os.getpid(), _ALLOW, _REFUSE)
    program += on_argument(_PRLIMIT, 0, _JUMP_EQUAL, 0, _ALLOW, _REFUSE)
    program += refused_if(_PRCTL, 0, (PR_SET_PDEATHSIG, PR_SET_DUMPABLE))
    program += refused_if(_FCNTL, 1, (8, 10, 15))  # F_SETOWN, F_SETSIG, F_SETOWN_EX: signals by way of a socket
    program += refused_if(_IOCTL, 1, (0x8901, 0x8902))  # FIOSETOWN, SIOCSPGRP: the same
    program.append(op(_RETURN, _ALLOW))
    return b"".join(program)


def seccomp() -> str | None:
    """Refuse the calls above for the rest of this process's life. Returns the layer's name."""
    if platform.machine() not in _ARCHITECTURES:
        return None
    code = ctypes.create_string_buffer(program := _filter(platform.machine()), len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return None if libc.prctl(PR_SET_SECCOMP, 2, pointer, 0, 0) else "seccomp (deny-list)"


# --- all of them -----------------------------------------------------------------------------------------------------


def harden(rules: list[tuple[Path, int]], memory: int, seconds: int, without: list[str]) -> list[str]:
    """Apply every layer that this machine has, but for those named in `without`. Returns the names of those applied."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    layers = [
        "rlimits" if limit(memory, seconds) else None,
        "no capabilities" if drop_capabilities() else None,
        landlock(rules) if "landlock" not in without else None,
        seccomp() if "seccomp" not in without else None,
    ]
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
        "files": all(
            _refused(lambda path=path: os.close(os.open(path, os.O_RDONLY))) for path in (secret, "/etc/passwd")
        )
        and _refused(lambda: os.close(os.open("written", os.O_WRONLY | os.O_CREAT))),
    }
