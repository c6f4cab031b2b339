"""Run the learners' notebooks as Colab would, and see that they leave the machine as they found it.

    python tools/colab.py [labs/12_decoding.ipynb ...]

Each notebook starts alone in an empty folder, on a machine that has what Colab has installed (tests/colab) and not the
course. Its setup cell installs the wheel of labutils that is built here. What is not emulated: Colab's Python if it is
another one than this, its build of torch, its own kernel and front end, a GPU.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from course import ROOT, normalized, read_course
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

COLAB = ROOT / "tests" / "colab"
CACHE = ROOT / ".cache"
SECONDS = 600


def colab_pins(freeze: str) -> dict[str, str]:
    """The versions in Colab's list that the package registry has, by normalized name."""
    lines = (line.partition("#")[0].strip() for line in freeze.splitlines())
    found = (re.fullmatch(r"([\w.-]+)==([\w.!]+)(?:\+\w+)?", line) for line in lines)
    return {normalized(pin[1]): pin[2] for pin in found if pin and not pin[1].startswith(("nvidia", "cuda", "triton"))}


def colab_machine() -> Path:
    """The site-packages folder of an environment with Colab's versions, made anew when its inputs change.

    Two versions are ours: Colab's torch is a build that the package registry does not have, and ours needs another
    setuptools.
    """
    pins = colab_pins((COLAB / "pip-freeze.txt").read_text(encoding="utf-8"))
    torch = f"torch=={read_course().pins['torch']}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["labs"]
    needed = {normalized(re.split(r"[<>=!~ ]", requirement)[0]) for requirement in requirements}
    # What labutils and the labs need and Colab has, and what makes a notebook run. What Colab lacks, the setup cell
    # brings.
    wanted = [torch, "pip", "ipykernel", "ipython", *sorted(needed & pins.keys())]
    constraints = [f"{package}=={version}" for package, version in pins.items() if package != "setuptools"]

    inputs = "\n".join([sys.version, *wanted, *constraints])
    folder = CACHE / f"colab-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
    finished = folder / "finished"
    if not finished.exists():
        for old in CACHE.glob("colab-*"):
            shutil.rmtree(old)
        print("==> installing Colab's versions (once; a minute or two)", flush=True)
        venv.create(folder, with_pip=True)
        listed = folder / "constraints.txt"
        listed.write_text("\n".join(constraints), encoding="utf-8")
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--constraint", listed, *wanted], check=True)
        finished.touch()
    return _site_packages(folder)


def build_wheel(folder: Path) -> Path:
    """Build the wheel of labutils into a folder, from a copy of the sources, so that no old build gets into it."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as copy:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        shutil.copytree(ROOT / "labutils", Path(copy, "labutils"), ignore=shutil.ignore_patterns("__pycache__"))
        pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--wheel-dir", folder, copy], check=True)
    return next(folder.glob("labutils-*.whl"))


def run_on_colab(path: Path, machine: Path, wheel: Path | str) -> list[str]:
    """Run a notebook on a machine, given its site-packages folder, and return what Colab's users would suffer from."""
    notebook = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    with tempfile.TemporaryDirectory(prefix="colab-") as temporary:
        root, content = Path(temporary), Path(temporary, "content")
        content.mkdir()
        shutil.copy(path, content)
        python = _overlay(root / "venv", machine)
        before = _distributions(python)
        failures = _execute(notebook, python, content, _environment(root, python, wheel))
        after = _distributions(python)
        left = sorted(item.name for item in content.iterdir() if item.name != path.name)

    allowed = {"labutils", *_installed_by_setup(notebook)}
    changed = sorted(name for name in before if after.get(name) != before[name])
    added = sorted(after.keys() - before.keys() - allowed)
    problems = [*failures, *_setup_problems(notebook), *_stderr(notebook)]
    if changed:
        problems.append(f"changes what Colab has installed: {', '.join(changed)}.")
    if added:
        problems.append(f"installs more than its setup cell says: {', '.join(added)}.")
    if left:
        problems.append(f"leaves files behind: {', '.join(left)}.")
    return problems


def _overlay(folder: Path, machine: Path) -> Path:
    """An empty environment that sees the machine's packages below its own, so that installing never touches them."""
    venv.create(folder, with_pip=False)
    site = _site_packages(folder)
    (site / "machine.pth").write_text(f"{machine}\n", encoding="utf-8")
    shutil.copytree(COLAB / "google", site / "google")
    return folder / "bin" / "python"


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


def _environment(root: Path, python: Path, wheel: Path | str) -> dict[str, str]:
    """Colab's environment variables, without those of this project's own environment."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV", "LABUTILS"))
    }
    return env | {
        "HOME": str(root),
        "PATH": f"{python.parent}{os.pathsep}{env.get('PATH', '')}",
        "COLAB_RELEASE_TAG": "emulated",
        "HF_HUB_OFFLINE": "1",
        "LABUTILS_PROFILE": "cpu",
        "LABUTILS_WHEEL": str(wheel),
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


def _installed_by_setup(notebook: NotebookNode) -> set[str]:
    return {normalized(name) for name in re.findall(r'"([\w.-]+)==[\w.]+"', _setup(notebook).source)}


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


def main() -> None:
    """The command line."""
    paths = [Path(name).resolve() for name in sys.argv[1:]] or sorted((ROOT / "labs").glob("*.ipynb"))
    machine = colab_machine()
    failed = False
    # A notebook that trains small models gains little from a second thread; two notebooks at a time do.
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory(prefix="wheel-") as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        wheel = build_wheel(Path(folder))

        def run(path: Path) -> tuple[list[str], float]:
            start = time.perf_counter()
            return run_on_colab(path, machine, wheel), time.perf_counter() - start

        for path, (problems, seconds) in zip(paths, pool.map(run, paths), strict=True):
            print(f"{path.name}  {seconds:.1f} s  {'failed' if problems else 'passed'}")
            print("".join(f"    {problem}\n" for problem in problems), end="", flush=True)
            failed |= bool(problems)
    sys.exit(failed)


if __name__ == "__main__":
    main()
