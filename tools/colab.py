"""Run the learners' notebooks as Colab would, and see that they leave the machine as they found it.

    python tools/colab.py [--full] [labs/12_decoding.ipynb ...]

Each notebook starts alone in an empty folder, on a machine that has what Colab has installed (tests/colab) and not the
course. Its setup cell installs the wheel of labutils that is built here, and the helpers that Colab lacks from a folder
that stands for the package index; all other use of the network is refused and reported.

The light version takes this Python, and this project's torch and setuptools. The full one (--full) takes all versions
from Colab's list and needs Colab's Python. Neither has Colab's own kernel and front end, or a GPU.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import site
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import venv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import nbformat
from course import ROOT, normalized, read_course
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

COLAB = ROOT / "tests" / "colab"
CACHE = ROOT / ".cache"
RESTART = "application/vnd.colab-display-data+json"
SECONDS = 600


@dataclass(frozen=True)
class Machine:
    """What a notebook finds: a site-packages folder, and a folder of wheels that stands for the package index."""

    packages: Path
    index: Path


@dataclass(frozen=True)
class Visit:
    """How a notebook fared: what Colab's users would suffer from, and how many seconds its setup cell took."""

    problems: list[str]
    setup: float | None


def colab_pins(freeze: str) -> dict[str, str]:
    """The versions in Colab's list that a package index has, by normalized name.

    A package that Colab installs from an address, as it does with torch, has its version in the name of the file.
    """
    pins = {}
    for line in freeze.splitlines():
        line = line.partition("#")[0].strip().replace("%2B", "+")
        listed = re.fullmatch(r"([\w.-]+)==([\w.!]+)(?:\+\w+)?", line)
        linked = re.fullmatch(r"([\w.-]+) @ https://\S+/[\w.]+-(\d[\w.]*)(?:\+\w+)?-(?:cp|py)\d\S+\.whl", line)
        if pin := listed or linked:
            pins[normalized(pin[1])] = pin[2]
    return {name: version for name, version in pins.items() if not name.startswith(("nvidia", "cuda", "triton"))}


def colab_python(freeze: str) -> str:
    """Colab's Python, such as 3.13, which its list tells in the names of compiled wheels; "unknown" if it does not."""
    found = set(re.findall(r"-cp3(\d+)-cp3\d+-", freeze))
    return f"3.{found.pop()}" if len(found) == 1 else "unknown"


def read_freeze() -> str:
    """Colab's list as this project has it: the one file that pins and constraints of the emulation come from."""
    return (COLAB / "pip-freeze.txt").read_text(encoding="utf-8")


def packages_used() -> set[str]:
    """The packages that labutils and the labs ask for, and those that make a notebook run, by normalized name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["labs"]
    asked = (normalized(re.split(r"[<>=!~ ]", requirement)[0]) for requirement in requirements)
    return {"pip", "ipykernel", "ipython", *asked}


def colab_machine(*, full: bool = False) -> Machine:
    """An environment with Colab's versions, made anew when its inputs change.

    In the light version two versions are ours: Colab's torch is a build that the package registry does not have, and
    ours needs another setuptools. Exits with a sentence if the full version is asked of another Python than Colab's.
    """
    freeze, course = read_freeze(), read_course()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if full and here != colab_python(freeze):
        sys.exit(f"The full version runs on Colab's Python, {colab_python(freeze)}, and this is {here}.")
    pins = colab_pins(freeze)
    if not full:
        pins = {name: version for name, version in pins.items() if name != "setuptools"}
        pins["torch"] = course.pins["torch"]
    wanted = sorted(packages_used() & pins.keys())  # what Colab lacks, the setup cell brings
    constraints = [f"{package}=={version}" for package, version in pins.items()]
    labs = (nbformat.read(path, as_version=4) for path in (ROOT / "labs").glob("*.ipynb"))
    helpers = sorted({requirement for lab in labs for requirement in _helpers(lab)})

    inputs = "\n".join([sys.version, *wanted, *constraints, *helpers])
    folder = CACHE / f"colab-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
    finished = folder / "finished"
    if not finished.exists():
        for old in CACHE.glob("colab-*"):
            shutil.rmtree(old)
        print("==> installing Colab's versions (once; a minute or two)", flush=True)
        venv.create(folder, with_pip=True)
        listed = folder / "constraints.txt"
        listed.write_text("\n".join(constraints), encoding="utf-8")
        pip = [folder / "bin" / "python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--constraint", listed, *wanted], check=True)
        subprocess.run([*pip, "download", "--no-deps", "--dest", folder / "index", *helpers], check=True)
        finished.touch()
    return Machine(_site_packages(folder), folder / "index")


def borrowed_machine(folder: Path) -> Machine:
    """This environment without labutils, and an empty index: no Colab, but there at once, since it is only links."""
    machine = Machine(folder / "site-packages", folder / "index")
    machine.packages.mkdir()
    machine.index.mkdir()
    for item in Path(site.getsitepackages()[0]).iterdir():
        if "labutils" not in item.name and item.suffix != ".pth":
            (machine.packages / item.name).symlink_to(item)
    return machine


def build_wheel(folder: Path) -> Path:
    """Build the wheel of labutils into a folder, from a copy of the sources, so that no old build gets into it."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as copy:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "labutils", Path(copy, "labutils"), ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", folder, copy], check=True)
    return next(folder.glob("labutils-*.whl"))


def run_on_colab(path: Path, machine: Machine, wheel: Path | str | None) -> Visit:
    """Run a notebook on a machine and say how it fared.

    `wheel` is the path or the address of the wheel of labutils; None leaves it to the notebook, which has an address.
    """
    notebook = nbformat.v4.reads(path.read_text(encoding="utf-8"))  # unchecked: the badge that Colab adds has no id
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory(prefix="colab-") as temporary:
        root, content = Path(temporary), Path(temporary, "content")
        content.mkdir()
        shutil.copy(path, content)
        asked = root / "asked.txt"
        asked.touch()
        python = _overlay(root / "venv", machine)
        before = _distributions(python)
        with _deaf_proxy(asked) as proxy:
            env = _environment(root, python) | {
                "PIP_FIND_LINKS": str(machine.index),
                "NETWORK_LOG": str(asked),
                **{f"{scheme}_proxy": proxy for scheme in ("http", "https", "all")},
                "no_proxy": "localhost,127.0.0.1",
                **({} if wheel is None else {"LABUTILS_WHEEL": str(wheel)}),
            }
            failures = _execute(notebook, python, content, env)
        after = _distributions(python)
        left = sorted(item.name for item in content.iterdir() if item.name != path.name)
        hosts = sorted(set(asked.read_text(encoding="utf-8").split()))

    allowed = {"labutils", *(normalized(helper.partition("==")[0]) for helper in _helpers(notebook))}
    changed = sorted(name for name in before if after.get(name) != before[name])
    added = sorted(after.keys() - before.keys() - allowed)
    problems = [*failures, *_setup_problems(notebook), *_stderr(notebook), *_restarts(notebook)]
    if changed:
        problems.append(f"changes what Colab has installed: {', '.join(changed)}.")
    if added:
        problems.append(f"installs more than its setup cell says: {', '.join(added)}.")
    if hosts:
        problems.append(f"uses the network for more than the wheel: {', '.join(hosts)}.")
    if left:
        problems.append(f"leaves files behind: {', '.join(left)}.")
    return Visit(problems, _seconds(_setup(notebook)))


def _overlay(folder: Path, machine: Machine) -> Path:
    """An empty environment that sees the machine's packages below its own, so that installing never touches them.

    Every Python process in it, pip's too, loads the guard of the network first.
    """
    venv.create(folder, with_pip=False)
    own = _site_packages(folder)
    (own / "machine.pth").write_text(f"import network_guard\n{machine.packages}\n", encoding="utf-8")
    shutil.copy(COLAB / "network_guard.py", own)
    shutil.copytree(COLAB / "google", own / "google")
    return folder / "bin" / "python"


@contextmanager
def _deaf_proxy(asked: Path) -> Iterator[str]:
    """The address of a proxy that writes down whom it is asked for and refuses.

    The guard sees the sockets of Python. Other programs (curl, git) and compiled libraries are pointed here instead.
    """

    class Refuse(StreamRequestHandler):
        def handle(self) -> None:
            _, target, *_ = [*self.rfile.readline().decode("latin-1").split(), "", ""]
            host = re.sub(r"^\w+://|[:/].*$", "", target) or "somewhere"
            with asked.open("a", encoding="utf-8") as log:
                log.write(f"{host}\n")
            self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Refuse) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def _site_packages(folder: Path) -> Path:
    return next(folder.glob("lib/python3.*/site-packages"))


def _distributions(python: Path) -> dict[str, list[str]]:
    """Version and place of every distribution that an interpreter sees, by normalized name."""
    code = (
        "import importlib.metadata, json\n"
        "found = {}\n"
        "for one in importlib.metadata.distributions():\n"
        "    found.setdefault(one.name, [one.version, str(one.locate_file(''))])\n"
        "print(json.dumps(found))"
    )
    result = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    return {normalized(name): where for name, where in json.loads(result.stdout).items()}


def _environment(root: Path, python: Path) -> dict[str, str]:
    """Colab's environment variables, without those of this project's own environment and of this machine's pip."""
    ours = ("PYTHON", "VIRTUAL_ENV", "LABUTILS", "PIP_", "HF_")
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) and not name.lower().endswith("_proxy")
    }
    return env | {
        "HOME": str(root),
        "PATH": f"{python.parent}{os.pathsep}{env.get('PATH', '')}",
        "COLAB_RELEASE_TAG": "emulated",
        "HF_HUB_OFFLINE": "1",
        "LABUTILS_PROFILE": "cpu",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_RETRIES": "0",
    }


def _execute(notebook: NotebookNode, python: Path, content: Path, env: dict[str, str]) -> list[str]:
    launch = [str(python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = KernelSpec(
        argv=[*launch, "--IPKernelApp.exec_lines=import google.colab"], display_name="Colab", language="python"
    )

    class ColabKernel(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:
            return spec

    client = NotebookClient(notebook, timeout=SECONDS, kernel_manager_class=ColabKernel)
    try:
        client.execute(cwd=str(content), env=env)
    except CellExecutionError as error:
        return [f"fails with {error.ename}: {error.evalue}"]
    except (CellTimeoutError, DeadKernelError) as error:
        return [f"fails with {type(error).__name__}: {error}"]
    return []


def _setup(notebook: NotebookNode) -> NotebookNode:
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


def _helpers(notebook: NotebookNode) -> list[str]:
    """What the setup cell installs besides the wheel, such as jaxtyping==0.3.11."""
    return re.findall(r'"([\w.-]+==[\w.]+)"', _setup(notebook).source)


def _seconds(cell: NotebookNode) -> float | None:
    """How long a cell ran, or None if it did not finish."""
    times = cell.metadata.get("execution", {})
    if not {"iopub.execute_input", "shell.execute_reply"} <= times.keys():
        return None
    begin, end = (datetime.fromisoformat(times[name]) for name in ("iopub.execute_input", "shell.execute_reply"))
    return (end - begin).total_seconds()


def _setup_problems(notebook: NotebookNode) -> list[str]:
    outputs = _setup(notebook).outputs
    text = "".join(output.get("text", "") for output in outputs if output.get("name") == "stdout")
    if len(outputs) == 1 and text.count("\n") == 1 and "ready on Colab" in text:
        return []
    return [f"its setup cell must print one line, 'labutils ... ready on Colab ...', and nothing else, not {text!r}."]


def _stderr(notebook: NotebookNode) -> list[str]:
    streams = (
        output for cell in notebook.cells for output in cell.get("outputs", ()) if output.get("name") == "stderr"
    )
    return [f"writes to stderr: {stream.text.strip()[-300:]!r}" for stream in streams]


def _restarts(notebook: NotebookNode) -> list[str]:
    """Colab's box "You must restart the runtime" is an output that only its own page can show."""
    boxes = (
        output.data[RESTART]["pip_warning"]["packages"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if RESTART in output.get("data", {})
    )
    return [f"makes Colab ask for a restart, since these are imported already: {', '.join(box)}." for box in boxes]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the learners' notebooks as Colab would.")
    parser.add_argument("--full", action="store_true", help="take all versions from Colab's list; needs its Python")
    parser.add_argument("notebooks", nargs="*", type=Path, help="all labs if none is given")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or sorted((ROOT / "labs").glob("*.ipynb"))
    machine = colab_machine(full=arguments.full)
    failed = False
    # A notebook that trains small models gains little from a second thread; two notebooks at a time do.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        wheel = build_wheel(Path(folder))

        def run(path: Path) -> tuple[Visit, float]:
            start = time.perf_counter()
            return run_on_colab(path, machine, wheel), time.perf_counter() - start

        for path, (visit, seconds) in zip(paths, pool.map(run, paths), strict=True):
            setup = "" if visit.setup is None else f", setup {visit.setup:.1f} s"
            print(f"{path.name}  {seconds:.1f} s{setup}  {'failed' if visit.problems else 'passed'}")
            print("".join(f"    {problem}\n" for problem in visit.problems), end="", flush=True)
            failed |= bool(visit.problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
