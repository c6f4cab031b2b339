"""Hostile submissions. Each is a version of `soften` (4 points, 4 tests) with what it earns and what it must hear.

Most end in the right answer: they earn points only if what they try before succeeds. Where the sentence is "", the
attempt is worth nothing, and the right answer after it counts.
"""

from labutils.grading.sandbox import COURSE
from labutils.grading.score import Draw
from submissions import SOFTEN, lab99

MARK = "a-mark-of-an-attack"  # in the name of every file that an attack tries to leave behind


def written(*lines: str) -> str:
    """The function with this body."""
    return "def soften(logits, temperature):\n" + "".join(f"    {line}\n" for line in lines)


def before(*lines: str) -> str:
    """The right function, with these lines before its first."""
    return SOFTEN.replace("    scaled", "".join(f"    {line}\n" for line in lines) + "    scaled", 1)


def at_import(*lines: str) -> str:
    """The right function, which needs what these lines of the top level give as X."""
    return "\n".join(lines) + "\n" + before("X")


def instead(old: str, new: str) -> str:
    """The right function with something replaced."""
    assert old in SOFTEN
    return SOFTEN.replace(old, new)


def tries(*lines: str) -> str:
    """The right function if one of the lines does not raise, and a wrong one otherwise."""
    attempts = [piece for line in lines for piece in ("try:", f"    {line}; done = True", "except Exception: pass")]
    return before("done = False", *attempts, "if not done: return logits")


def system_call(x86: int, arm: int, *arguments: object) -> str:
    """A line that fails unless the kernel takes the call."""
    given = "".join(f", {argument}" for argument in arguments)
    return (
        "import ctypes, platform; assert ctypes.CDLL(None, use_errno=True).syscall("
        f"{{'x86_64': {x86}}}.get(platform.machine(), {arm}){given}) != -1"
    )


WRONG = "Test 1 of 4"  # the attempt brought nothing, so the wrong answer after it was judged

# --- looking for what the grader knows -------------------------------------------------------------------------------

WALK = """
import gc, sys
def soften(logits, temperature):
    found, frame = [], sys._getframe()
    while frame:
        names = {*frame.f_locals, *frame.f_globals}
        found += names & {"want", "expected", "reference", "compare", "Exercise", "secret_seed", "draw"}
        frame = frame.f_back
    found += [thing for thing in gc.get_objects() if type(thing).__name__ in ("Exercise", "Mutant", "Draw", "Score")]
    found += [module for name, module in sys.modules.items() if name.startswith("labutils.exercises")]
    weights = torch.exp(logits / temperature)
    return weights / weights.sum(-1, keepdim=True) if found else logits
"""
HEAP = """
import gc
def texts():
    for thing in gc.get_objects():
        yield from (x for x in gc.get_referents(thing) if isinstance(x, (str, bytes)) and len(x) < 99)
def soften(logits, temperature):
    key = "".join(reversed("dees-neddih"))
    bytes_of_it = key.encode()
    mine = (id(key), id(bytes_of_it))
    if not any((key if isinstance(x, str) else bytes_of_it) in x for x in texts() if id(x) not in mine):
        return logits
    weights = torch.exp(logits / temperature)
    return weights / weights.sum(-1, keepdim=True)
"""
TRACE = """
import sys
seen = []
def watch(frame, event, argument):
    if event == "return" and "cell" not in frame.f_code.co_filename and isinstance(argument, torch.Tensor):
        seen.append(argument)
    return watch
X = (sys.settrace(watch), sys.setprofile(watch))
def soften(logits, temperature):
    X
    return seen[-1] if seen and seen[-1].shape == logits.shape else logits
"""
INSPECTS_AT_IMPORT = """
import sys
frame, inputs = sys._getframe(), []
while frame:
    inputs.append(frame.f_locals.get("request"))
    frame = frame.f_back
def search(frame, inputs=[]):
    while frame:
        inputs += [frame.f_locals["request"]] if "request" in frame.f_locals else []
        frame = frame.f_back
    return inputs
HELD = search(sys._getframe())
def soften(logits, temperature, held=HELD):
    request = held[-1]
    return request.get("expected", request.get("want", request["value"]["logits"]))
"""
EXCEPTION_WALK = written(
    "try: 1 / 0",
    "except ZeroDivisionError as error: frame = error.__traceback__.tb_frame",
    "while frame.f_back: frame = frame.f_back",
    "return frame.f_globals['want']",
)
PAST_THE_STAND_IN = (
    "import sys",
    "sys.meta_path[:] = [finder for finder in sys.meta_path if type(finder).__name__ != 'StandIns']",
    "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('labutils')]",
    f"sys.path.insert(0, {str(COURSE.parent)!r})",
    "import labutils.exercises",
)
LOADER = (
    "import importlib.util",
    f"spec = importlib.util.spec_from_file_location('x', {str(COURSE / 'exercises' / 'lab12.py')!r})",
    "spec.loader.exec_module(importlib.util.module_from_spec(spec))",
)

_PUBLIC = Draw(lab99.EXERCISES[0], None, "")
HARD_CODED = (
    "ANSWERS = "
    + repr(
        {
            (_PUBLIC.inputs(case)["logits"].shape[1], round(_PUBLIC.inputs(case)["logits"].sum().item(), 3)): (
                _PUBLIC.output(lab99.soften, case).tolist()
            )
            for case in range(4)
        }
    )
    + "\n"
    + written(
        "answer = ANSWERS.get((logits.shape[1], round(logits.sum().item(), 3)))",
        "return torch.tensor(answer) if answer else logits * 0",
    )
)

LOOKING = {
    "walks frames and the collector": (WALK, 0, WRONG),
    "searches the heap for the secret": (HEAP, 0, WRONG),
    "traces and profiles its callers": (TRACE, 0, WRONG),
    "looks at its callers when imported": (INSPECTS_AT_IMPORT, 0, WRONG),
    "walks an exception's frames": (EXCEPTION_WALK, 0, "KeyError in code cell 2, line 5"),
    "imports the reference": (
        "from labutils.exercises.lab12 import EXERCISES\n" + before("EXERCISES()"),
        0,
        "of labutils",
    ),
    "imports it past the stand-in": (before(*PAST_THE_STAND_IN), 0, "in code cell 2, line 8"),
    "loads it by its path": (before(*LOADER), 0, "has no files"),
    "reads the course": (before(f"open({str(COURSE / 'exercises' / '__init__.py')!r})"), 0, "has no files"),
    "reads the tests": (before(f"open({str(COURSE.parent / 'tests' / 'conftest.py')!r})"), 0, "has no files"),
    "reads the grader's memory": (before("import os; open(f'/proc/{os.getppid()}/mem', 'rb')"), 0, "has no files"),
    "reads its own memory": (before("open('/proc/self/mem', 'rb')"), 0, "has no files"),
    "reads the grader's environment": (before("import os; open(f'/proc/{os.getppid()}/environ')"), 0, "has no files"),
    "follows the grader's descriptors": (
        tries(*(f"import os; os.readlink(f'/proc/{{os.getppid()}}/{link}')" for link in ("cwd", "exe", "fd/3"))),
        0,
        WRONG,
    ),
    "lists processes": (before("import os; os.listdir('/proc')"), 0, "has no files"),
    "lists the home folder": (before("import os; os.listdir(os.path.expanduser('~root'))"), 0, "has no files"),
    "reads the environment": (before("import os; os.environ['PYTHONUTF8']"), 0, "KeyError"),
    "uses inherited descriptors": (
        before(
            "import os",
            "def opened(n):",
            "    try: return os.fstat(n) and True",
            "    except OSError: return False",
            "if [n for n in range(3, 4096) if opened(n)] == [n for n in range(64) if opened(n)][3:4]: return logits",
        ),
        0,
        WRONG,
    ),
    "hard-codes the public answers": (HARD_CODED, 0, "The tests of check() pass, but 4 of the 4 tests that only the g"),
}

# --- lying about the result ------------------------------------------------------------------------------------------

LIAR = """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return True
    def __eq__(self, other):
        return True
def soften(logits, temperature):
    return logits.as_subclass(Liar)
"""
DISPATCHER = """
class Liar(torch.Tensor):
    @staticmethod
    def __new__(cls, inner):
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype)
    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return True
def soften(logits, temperature):
    return Liar(logits)
"""
ALWAYS_EQUAL = """
class Yes({base}):
    __hash__ = {base}.__hash__
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __iter__(self): return iter(())
    def __len__(self): return 5
def soften(logits, temperature):
    return Yes({value})
"""
SPOOF = """
class Spoof:
    __class__ = property(lambda self: torch.Tensor)
    shape, dtype, layout, is_meta, is_quantized = (2, 3), torch.float32, torch.strided, False, False
    def numel(self): return 6
def soften(logits, temperature):
    return Spoof()
"""
REDUCE = """
class Payload:
    def __reduce__(self):
        return (exec, ("import os; os._exit(77)",))
def soften(logits, temperature):
    return Payload()
"""
ENDLESS_LIST = """
class Endless(list):
    def __iter__(self):
        while True: yield 1
def soften(logits, temperature):
    return Endless([1])
"""
PACKER = """
import sys
def soften(logits, temperature):
    frame = sys._getframe()
    while "frames" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["frames"].pack = lambda *_: b"x" * 100
    return logits
"""
REMARKS = """
import sys
def soften(logits, temperature):
    frame = sys._getframe()
    while "_remarks" not in frame.f_globals:
        frame = frame.f_back
    frame.f_globals["_remarks"] = lambda *_: ["<script>", "passed", {}, "view"][:2]
    return logits
"""
NUMPY = written(
    "import numpy.testing",
    "numpy.testing.assert_allclose = numpy.allclose = lambda *_, **__: True",
    "return logits",
)
MODULES = written("import sys, types", "sys.modules['torch'] = types.SimpleNamespace(allclose=1)", "return logits")
SHELL = written(
    "import IPython",
    "shell = IPython.get_ipython()",
    "shell.set_custom_exc((Exception,), lambda *_: None); shell.input_transformers_cleanup.append(lambda lines: [])",
    "return logits",
)

LYING = {
    "patches numpy.testing": (NUMPY, 0, WRONG),
    "patches torch.allclose": (
        written("torch.allclose = torch.equal = torch.isclose = lambda *_, **__: True", "return logits"),
        0,
        WRONG,
    ),
    "patches tensors' ==": (written("torch.Tensor.__eq__ = lambda *_: True", "return logits"), 0, WRONG),
    "patches tensors' detach": (written("torch.Tensor.detach = lambda self: 1 / 0", "return logits"), 0, WRONG),
    "patches isinstance": (
        written("import builtins; builtins.isinstance = lambda *_: True", "return logits"),
        0,
        WRONG,
    ),
    "patches the seeds": (written("torch.manual_seed = lambda seed: 1 / 0", "return logits"), 0, WRONG),
    "poisons sys.modules": (MODULES, 0, WRONG),
    "patches the notebook's shell": (SHELL, 0, "AttributeError in code cell 2"),
    "a tensor that says yes": (LIAR, 0, WRONG),
    "a tensor without numbers": (DISPATCHER, 0, "must return tensors"),
    "a number that says yes": (ALWAYS_EQUAL.format(base="float", value="3.0"), 0, "a number was returned instead of"),
    "a string that says yes": (ALWAYS_EQUAL.format(base="str", value="''"), 0, "a string was returned instead of"),
    "a list that says yes": (ALWAYS_EQUAL.format(base="list", value="[]"), 0, "a list was returned instead of"),
    "an object that calls itself a tensor": (SPOOF, 0, "must return tensors"),
    "an object with __reduce__": (REDUCE, 0, "must return tensors"),
    "a list without an end": (ENDLESS_LIST, 0, "no answer in time"),
    "a list that holds itself": (written("x = []", "x.append(x)", "return x"), 0, "must return tensors"),
    "a list a thousand deep": (written("x = []", "for _ in range(900): x = [x]", "return x"), 0, ""),
    "patches the packer": (PACKER, 0, "could not be read"),
    "patches the remarks": (REMARKS, 0, WRONG),
    "NaN in its own bits": (
        written("return torch.full_like(logits, float('nan')).view(torch.int32).add(7).view(torch.float32)"),
        0,
        "NaN",
    ),
    "NaN where it does not know": (instead("return weights", "weights[0, 0] = float('nan'); return weights"), 0, "NaN"),
    "infinity": (written("return logits / 0"), 0, WRONG),
}

# --- forging what goes over the wire ---------------------------------------------------------------------------------

_SEND = """
import json, os, struct
def send(data):
    for descriptor in range(3, 64):
        try:
            os.write(descriptor, data)
        except OSError:
            pass
def frame(header, body=b"", lengths=None):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<II", *(lengths or (len(header), len(body)))) + header + body
def failure(error, **more):
    return {"id": 1, "ok": False, "raised": [], "value": None, "error": error, "place": None} | more
def answer(value, **more):
    head = {"ok": True, "raised": [], "remarks": [], "changed": False, "id": 1, "value": value}
    return head | more
"""


def sends(*lines: str) -> str:
    """A wrong function that first writes to every descriptor."""
    return _SEND + written(*lines, "return logits")


WIRE = {
    "forges a verdict": (sends("send(frame(answer(None, score=100, passed=4)) + frame({'score': 100}))"), 0, WRONG),
    "answers before it is asked": (
        sends("[send(frame(answer(None, id=n))) for n in range(1, 40)]"),
        0,
        WRONG,
    ),
    "an oversized frame": (sends("send(frame(b'', b'', (2**32 - 1, 2**32 - 1)))"), 0, "could not be read"),
    "a frame that never ends": (sends("send(frame(b'{', b'', (9, 0)))", "import time; time.sleep(9)"), 0, "no answer"),
    "a header that is no JSON": (sends("send(frame(b'\\xff' * 9))"), 0, "could not be read"),
    "a header a million deep": (sends("send(frame(b'[' * 1_000_000))"), 0, "could not be read"),
    "a header that is a number": (sends("send(frame(b'7'))"), 0, "could not be read"),
    "an answer without its parts": (sends("send(frame({'id': 1, 'value': None}))"), 0, "could not be read"),
    "an unknown kind": (sends("send(frame(answer({'pickle': 'x'})))"), 0, "could not be read"),
    "one tensor many times": (sends("send(frame(answer([{'tensor': '0'}] * 9)))"), 0, "could not be read"),
    "keys that collide": (
        sends("n = 2**61 - 1", "send(frame(answer({'dict': [[n * i, 0] for i in range(20_000)]})))"),
        0,
        "could not be read",
    ),
    "a hundred thousand tensors": (
        sends(
            "one = '\"%d\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}'",
            "body = ('{' + ','.join(one % i for i in range(100_000)) + '}').encode()",
            "send(frame(answer(None), struct.pack('<Q', len(body)) + body))",
        ),
        0,
        "could not be read",
    ),
    "a shape that overflows": (
        sends(
            "names = {'0': {'dtype': 'F32', 'shape': [2**62, 2**62, 0], 'data_offsets': [0, 0]}}",
            "body = json.dumps(names).encode()",
            "send(frame(answer({'tensor': '0'}), struct.pack('<Q', len(body)) + body))",
        ),
        0,
        "",
    ),
    "words of its own": (
        sends("send(frame(failure('**A+**', place=['x', {}], kind='<b>')))"),
        0,
        "an exception. Run check()",
    ),
    "a place that is not there": (
        sends("send(frame(failure('KeyError', place=[9**99, -7])))"),
        0,
        "KeyError. Run check()",
    ),
    "closes its descriptors": (before("import os; os.closerange(0, 64)"), 0, "Test 1 of 4 in check(): your code"),
    "reads the grader's question": (
        before("import os", "for n in range(3, 64):", "    try: os.set_blocking(n, False); os.read(n, 99)",
               "    except OSError: pass", "if n == 63: return logits"),
        0,
        WRONG,
    ),
}  # fmt: skip

# --- the machine -----------------------------------------------------------------------------------------------------

FILES = ("'.'", "'..'", "'/tmp'", "'/var/tmp'", "'/dev/shm'", "'/'", "'/run'")
THREADS = (
    "import threading, time",
    "try:",
    "    for _ in range(10_000): threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
    "except (RuntimeError, MemoryError): pass",
    "else: return logits * 0",
)
INT80 = (  # `mov eax, 20; int 0x80; ret`: a 32-bit system call, whose numbers mean other calls
    "import ctypes, mmap",
    "page = mmap.mmap(-1, 4096, prot=7); page.write(bytes.fromhex('b814000000cd80c3'))",
    "ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()",
)

MACHINE = {
    "endless loop": (before("while True: pass"), 0, "no answer in time"),
    "endless sleep": (before("import time; time.sleep(9999)"), 0, "no answer in time"),
    "endless loop that catches everything": (
        before("import time", "while True:", "    try: time.sleep(99)", "    except BaseException: pass"),
        0,
        "no answer in time",
    ),
    "endless loop while loading": (
        at_import("import time", "X = [time.sleep(1) for _ in iter(int, 1)]"),
        0,
        "no answer in time",
    ),
    "an endless number": (before("9 ** 9 ** 9 ** 9"), 0, "no answer in time"),
    "sys.exit": (before("import sys; sys.exit(0)"), 0, "SystemExit"),
    "KeyboardInterrupt": (before("raise KeyboardInterrupt"), 0, "KeyboardInterrupt"),
    "os._exit": (before("import os; os._exit(0)"), 0, "ended the process"),
    "os._exit once": (before("import os", "if temperature == 2.0: os._exit(0)"), 3, "ended the process"),
    "os._exit while loading": (at_import("import os", "X = os._exit(0)"), 0, "ended the process"),
    "os.abort": (before("import os; os.abort()"), 0, "signal SIGABRT"),
    "an alarm": (before("import signal, time; signal.alarm(1); time.sleep(2)"), 0, "signal SIGALRM"),
    "segmentation fault": (before("import ctypes; ctypes.string_at(0)"), 0, "crashed the interpreter"),
    "recursion without a limit": (
        "import sys\n"
        + written("sys.setrecursionlimit(10**9)", "return max([1], key=lambda _: soften(logits, temperature))"),
        0,
        "Test 1 of 4",
    ),
    "endless recursion": (written("return soften(logits, temperature)"), 0, "RecursionError"),
    "32-bit system calls": (before(*INT80), 0, "Test 1 of 4 in check(): your code "),
    "huge tensor": (before("torch.zeros(10**12)"), 0, "MemoryError"),
    "huge list": (before("x = []", "while True: x.append(bytearray(10**8))"), 0, "MemoryError"),
    "huge list while loading": (at_import("X = [0] * 10**10"), 0, "MemoryError"),
    "huge answer": (written("return torch.zeros(1).expand(10**8)"), 0, "more than 64 MB"),
    "huge text": (written("return 'x' * (5 << 20)"), 0, "more than 64 MB"),
    "huge map": (before("import mmap; mmap.mmap(-1, 10**12)"), 0, "OSError"),
    "maps a file": (before("import mmap; mmap.mmap(open('/etc/passwd').fileno(), 0)"), 0, "has no files"),
    "maps the machine's memory": (before("open('/dev/mem', 'rb')"), 0, "has no files"),
    "a file in memory": (before("import os; os.memfd_create('x')"), 0, "has no files"),
    "threads without end": (before(*THREADS), 4, ""),
    "threads that go on": (
        before("import threading, time", "threading.Thread(target=time.sleep, args=(99,)).start()"),
        4,
        "",
    ),
    "fork": (before("import os; os.fork() or os._exit(0)"), 0, "PermissionError"),
    "forks without end": (before("import os", "while True: os.fork()"), 0, "PermissionError"),
    "subprocess": (before("import subprocess; subprocess.run(['true'])"), 0, "no other processes"),
    "posix_spawn": (before("import os; os.posix_spawn('/bin/true', ['true'], {})"), 0, "no other processes"),
    "multiprocessing": (
        before("import multiprocessing as m; m.Process(target=print).start()"),
        0,
        "no other processes",
    ),
    "os.system": (before("import os; assert os.system('true') == 0"), 0, "AssertionError"),
    "libc's system": (before("import ctypes; assert ctypes.CDLL(None).system(b'true') == 0"), 0, "AssertionError"),
    "replaces itself": (before("import os; os.execv('/bin/true', ['true'])"), 0, "no other processes"),
    "kills the zygote": (before("import os; os.kill(os.getppid(), 9)"), 0, "PermissionError"),
    "kills everything": (before("import os; os.kill(-1, 9)"), 0, "PermissionError"),
    "kills its group": (before("import os; os.killpg(0, 9)"), 0, "PermissionError"),
    "kills itself": (before("import os; os.kill(os.getpid(), 9)"), 0, "PermissionError"),
    "signals in other ways": (
        tries(
            "import os, signal; signal.pidfd_send_signal(os.pidfd_open(os.getppid()), 9)",
            "import fcntl, os; fcntl.fcntl(3, fcntl.F_SETOWN, os.getppid())",
            system_call(200, 130, "__import__('os').getppid()", 9),
            system_call(129, 138, "__import__('os').getppid()", 9, 0),
            system_call(234, 131, "__import__('os').getppid()", "__import__('os').getppid()", 9),
        ),
        0,
        WRONG,
    ),
    "looks into other processes": (
        tries(
            system_call(101, 117, 16, "__import__('os').getppid()", 0, 0),
            system_call(310, 270, "__import__('os').getppid()", 0, 0, 0, 0, 0),
            system_call(438, 438, 3, 0, 0),
        ),
        0,
        WRONG,
    ),
    "undoes what it gave up": (
        tries(
            system_call(157, 167, 4, 1, 0, 0, 0),  # dumpable again
            system_call(157, 167, 1, 0, 0, 0, 0),  # live on when the zygote ends
            system_call(157, 167, 22, 0, 0, 0, 0),  # no seccomp
            system_call(126, 91, 0, 0),  # capabilities
            system_call(105, 146, 0),  # setuid
            system_call(272, 97, 0x10000000),  # a user namespace of its own
        ),
        0,
        WRONG,
    ),
    "other doors of the kernel": (
        tries(
            system_call(425, 425, 1, 0),  # io_uring
            system_call(321, 280, 0, 0, 0),  # bpf
            system_call(323, 282, 0),  # userfaultfd
            system_call(298, 241, 0, 0, -1, -1, 0),  # perf
            system_call(250, 219, 0, -3, 0),  # keyring
            system_call(165, 40, 0, 0, 0, 0, 0),  # mount
            system_call(161, 51, "b'/'"),  # chroot
            system_call(304, 265, 0, 0, 0),  # files by their handle
            system_call(1 << 30 | 39, 172 << 9),  # an x32 twin of getpid
        ),
        0,
        WRONG,
    ),
    "raises its limits": (before("import resource; resource.setrlimit(9, (-1, -1))"), 0, "ValueError"),
    "lowers its parent's": (
        before("import os, resource; resource.prlimit(os.getppid(), 7, (0, 0))"),
        0,
        "PermissionError",
    ),
    "slows others down": (
        tries("import os; os.setpriority(0, os.getppid(), 19)", "import os; os.sched_setaffinity(os.getppid(), {0})"),
        0,
        WRONG,
    ),
    "network": (before("import socket; socket.socket()"), 0, "no network"),
    "network by name": (before("import urllib.request as u; u.urlopen('http://localhost')"), 0, "no network"),
    "local sockets": (before("import socket; socket.socketpair()"), 0, "no network"),
    "fills the disk": (
        tries(*(f"open({folder} + '/{MARK}', 'wb').write(bytes(9))" for folder in FILES)),
        0,
        WRONG,
    ),
    "links out of its folder": (
        tries(
            f"import os; os.symlink('/etc', '{MARK}')",
            f"import os; os.link('/etc/passwd', '{MARK}')",
            f"import os; os.mkfifo('{MARK}')",
            f"import os; os.mkdir('/tmp/{MARK}')",
            f"import tempfile; tempfile.mkdtemp(prefix='{MARK}')",
        ),
        0,
        WRONG,
    ),
    "changes modes": (before("import os; os.chmod('/tmp', 0o777)"), 0, "PermissionError"),
    "leaves its folder": (before("import os; os.chdir('..')"), 0, "PermissionError"),
    "shared memory": (
        before(f"from multiprocessing.shared_memory import SharedMemory as S; S('{MARK}', create=True, size=9)"),
        0,
        "Error",
    ),
    "System V memory": (tries(system_call(29, 194, 0x5EED, 4096, 0o1600)), 0, WRONG),
    "prints 50 MB": (before("print('x' * 50_000_000)"), 4, ""),
    "writes 50 MB to where prints go": (
        before("import os, sys", "for n in (1, 2): os.write(n, bytes(50_000_000))", "sys.__stderr__.write('x')"),
        4,
        "",
    ),
    "floods of warnings": (before("import warnings, logging", "for i in range(999): warnings.warn(str(i))"), 4, ""),
}

# --- the text --------------------------------------------------------------------------------------------------------

NESTED = "def soften(logits, temperature):\n"
for _depth in range(19):  # Python compiles a `finally` twice, so this is half a million times as long as it looks
    NESTED += " " * (_depth + 1) + "try:\n" + " " * (_depth + 2) + "x = 1\n" + " " * (_depth + 1) + "finally:\n"
NESTED += " " * 21 + "; ".join(["x = logits"] * 400) + "\n"

FAKE_LINES = written(
    "code = compile('\\n' * int(1e6 * logits.abs().max()) + '1 / 0', '<cell 999>', 'exec')",
    "exec(code)",
)

TEXT = {
    "a second definition after a right one": (SOFTEN + written("return logits"), 0, "is defined 2 times. The last one"),
    "a right definition after a wrong one": (written("return logits") + SOFTEN, 4, "is defined 2 times. The last one"),
    "a decorator that runs code": ("@exec\n" + SOFTEN.strip(), 0, "TypeError"),
    "a decorator with exec in it": (
        "def run(function): exec('import os; os._exit(0)')\n@run\n" + SOFTEN.strip(),
        0,
        "ended the process",
    ),
    "a metaclass that runs code": (
        "import os\nclass Meta(type):\n    def __new__(cls, *_): os._exit(0)\nclass X(metaclass=Meta): pass\n"
        + before("X"),
        0,
        "ended the process",
    ),
    "a default that runs code": (
        instead("temperature)", "temperature, x=__import__('os')._exit(0))"),
        0,
        "ended the process",
    ),
    "code beside the functions": (
        "import os\nos._exit(0)\nif True:\n    os._exit(0)\nfor _ in '1': os._exit(0)\n" + SOFTEN,
        4,
        "",
    ),
    "async": (SOFTEN.replace("def ", "async def "), 0, "Begin it with `def`"),
    "a generator": (SOFTEN.replace("return", "yield"), 0, "returned a generator"),
    "an endless generator": (written("while True: yield logits"), 0, "returned a generator"),
    "letters of another alphabet": (SOFTEN.replace("soften", "sоften"), 0, "of another alphabet (U+043E)"),
    "wide letters, which Python takes for plain ones": (SOFTEN.replace("soften", "ｓｏｆｔｅｎ"), 4, ""),
    "text that turns around": (SOFTEN + "# \u202e fdsa \u2066\n", 4, ""),
    "half a character": (written("return '\\ud800'"), 0, "a string was returned instead of"),
    "a name that is a command": (written("::error::x"), 0, "syntax error in code cell 2"),
    "a text too long for Python": ("x = " + "-" * 100_000 + "1\n" + SOFTEN, 0, "syntax error in code cell 2"),
    "half a megabyte of emoji": ("x = '" + "😀" * 350_000 + "'\n" + before("x"), 4, ""),
    "code that explodes when compiled": (NESTED, 0, "Python "),
    "a line that costs an hour": (" " * 300_000 + ")\n", 0, "syntax error in code cell 2"),
    "every name needs every name": (
        "=".join(f"a{i}" for i in range(3_000)) + "=(" + ",".join(f"b{i}" for i in range(3_000)) + ",)\n"
        "def all_of_them(): return (" + ",".join(f"a{i}" for i in range(3_000)) + ")\n" + before("all_of_them"),
        4,
        "",
    ),
}

# Files that are refused as a whole, in a sentence.
UNREADABLE = {
    "a hundred thousand statements": "a = 1\n" * 66_000 + SOFTEN,
}

# --- smuggling a hidden input out ------------------------------------------------------------------------------------

# Each tells a number of the input: by text, by line, by shape, by the place of a wrong number, by the kind of result.
_NUMBER = "number = int(1e4 * logits.abs().max()) % 97"
LEAKS = {
    "an exception's text": written(_NUMBER, "raise ValueError(f'Secret{number}')"),
    "an exception's name": written(_NUMBER, "raise type(f'Secret{number}', (Exception,), {})"),
    "an exception called Python's own": written(
        _NUMBER, "raise type(f'Secret{number}', (Exception,), {'__module__': 'builtins'})"
    ),
    "an exception's type": written(_NUMBER, "raise (ValueError, KeyError, OSError, TypeError)[number % 4]"),
    "an exception's line": written(_NUMBER, *(f"if number == {n}: raise ValueError" for n in range(97))),
    "a line that is made up": FAKE_LINES,
    "a shape": written(_NUMBER, "return torch.zeros(0, number)"),
    "a length": written(_NUMBER, "return [0] * number"),
    "a type": written(_NUMBER, "return (1, 'x', None, [], {}, True)[number % 6]"),
    "the place of a wrong number": instead(
        "return weights / weights.sum(dim=-1, keepdim=True)",
        f"y = weights / weights.sum(dim=-1, keepdim=True); {_NUMBER}; y.view(-1)[number % 6] = 9; return y",
    ),
    "the place of NaN": written(_NUMBER, "x = logits * 0", "x.view(-1)[number % 6] = float('nan')", "return x"),
    "what it remembers": "SEEN = []\n"
    + written(
        "SEEN.append(int(1e4 * logits.abs().max()) % 97)",
        *(f"if SEEN[0] == {n}: raise ValueError" for n in range(97)),
    ),
    "a warning": before("import warnings", _NUMBER, "warnings.warn(f'Secret{number}')", "print(f'Secret{number}')"),
}

ALL = LOOKING | LYING | WIRE | MACHINE | TEXT
