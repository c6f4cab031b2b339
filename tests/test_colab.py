"""The emulation of Colab: that it passes a good notebook, and that it fails one that a student would suffer from.

The machine here is this environment without labutils, so that no test waits for an installation; `make colab` runs the
labs on Colab's own versions. Where the course's code does not matter, a wheel that only says that it is ready stands
for it, because importing torch would cost more than everything else.
"""

import re
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import colab
import nbformat
import pytest
from course import read_course

import labs
from labutils import TESTED

READY = "def ready(made_for):\n    print('labutils', made_for, 'ready on Colab')\n"


def small_wheel(folder: Path, name: str, version: str = "0.0.1", source: str = "") -> Path:
    """A wheel that claims to be some package and holds one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}.py", source)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.fixture(scope="module")
def machine(tmp_path_factory) -> colab.Machine:
    """This environment's packages, all but labutils, and an index with a false NumPy, tqdm and something unknown."""
    made = colab.borrowed_machine(tmp_path_factory.mktemp("machine"))
    for name in ("numpy", "tqdm", "unheard_of"):
        small_wheel(made.index, name)
    return made


@pytest.fixture(scope="module")
def stub(tmp_path_factory) -> Path:
    """A wheel that only says that it is ready."""
    return small_wheel(tmp_path_factory.mktemp("stub"), "labutils", read_course().version, READY)


@pytest.fixture
def notebook(tmp_path, toy_text):
    """Writes a lab with a setup cell and one cell of code, and returns its path."""

    def write(code: str) -> Path:
        source = tmp_path / "99_toy.py"
        source.write_text(toy_text.partition("# %%\nimport math")[0] + f"# %%\n{code}\n", encoding="utf-8")
        path = tmp_path / "99_toy.ipynb"
        made = labs.make_notebook(labs.read_lab(source), "learner", read_course())
        path.write_text(labs.to_text(made), encoding="utf-8")
        return path

    return write


def test_a_lab_installs_what_it_needs_and_runs(notebook, machine, tmp_path):
    """With the course's real wheel, on a notebook that was saved after an error."""
    line = "import pathlib; assert 'site-packages' in str(pathlib.Path(labutils.__file__)), labutils.__file__"
    path = notebook(line)
    made = nbformat.read(path, as_version=4)
    made.cells[-1].outputs = [nbformat.v4.new_output("stream", name="stderr", text="old")]
    nbformat.write(made, path)
    visit = colab.run_on_colab(path, machine, colab.build_wheel(tmp_path))
    assert visit.problems == []
    assert visit.setup > 0


PIP = "subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', {!r}])"
FAULTS = {
    "changed numpy": (PIP.format("numpy==0.0.1"), ["changes what Colab has installed: numpy."]),
    "extra dependency": (PIP.format("unheard_of"), ["installs more than its setup cell says: unheard-of."]),
    "import from the parent folder": (
        "sys.path += ['..', '../..']\nimport beside",
        ["fails with ModuleNotFoundError: No module named 'beside'"],
    ),
    "restart prompt": (
        "import tqdm\nget_ipython().run_line_magic('pip', 'install --quiet --no-deps tqdm==0.0.1')",
        [
            "makes Colab ask for a restart, since these are imported already: tqdm.",
            "changes what Colab has installed: tqdm.",
        ],
    ),
    "network": (
        "import contextlib, socket, urllib.request\n"
        "with contextlib.suppress(OSError):\n    socket.create_connection(('192.0.2.7', 80), timeout=1)\n"
        "with contextlib.suppress(OSError):\n    socket.gethostbyname('gethostbyname.example')\n"
        "with contextlib.suppress(OSError):\n    urllib.request.urlopen('http://proxy.example/index.html')",
        ["uses the network for more than the wheel: 192.0.2.7, gethostbyname.example, proxy.example."],
    ),
    "network, in a child": (
        "child = 'import socket; socket.getaddrinfo(\"child.example\", 80)'\n"
        "subprocess.run([sys.executable, '-c', child], capture_output=True)",
        ["uses the network for more than the wheel: child.example."],
    ),
    "cell error": ("1 / 0", ["fails with ZeroDivisionError: division by zero"]),
    "file left behind": ("open('left.csv', 'w').close()", ["leaves files behind: left.csv."]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_student_would_suffer_from_is_reported(fault, notebook, machine, stub, tmp_path):
    code, problems = FAULTS[fault]
    (tmp_path / "beside.py").touch()
    assert colab.run_on_colab(notebook(code), machine, stub).problems == problems


def test_a_setup_cell_that_prints_more_than_a_line_is_reported(notebook, machine, tmp_path):
    chatty = small_wheel(tmp_path, "labutils", read_course().version, "print('welcome')\n" + READY)
    (problem,) = colab.run_on_colab(notebook("1"), machine, chatty).problems
    assert problem.startswith("its setup cell must print one line")
    assert "welcome" in problem


def test_without_a_network_the_setup_cell_says_one_sentence(notebook, machine, monkeypatch):
    shown = []
    monkeypatch.setattr(colab, "_stderr", lambda made: shown.extend(colab._setup(made).outputs) or [])
    nobody = "http://127.0.0.1:9/labutils-0.1.0-py3-none-any.whl"  # the port "discard", where nothing answers
    visit = colab.run_on_colab(notebook("1"), machine, nobody)
    failure, _ = visit.problems
    assert failure.startswith(
        "fails with SetupError: The course's helpers could not be installed; is this machine online?"
    )
    (error,) = shown
    assert len(error.traceback) == 1
    assert error.traceback[0].isprintable()


def test_an_address_in_the_machine_is_no_network(tmp_path):
    """The guard alone: what it lets through and what it refuses, in a child because a guard cannot be taken off."""
    log = tmp_path / "log.txt"
    code = (
        "import socket, network_guard\n"
        "with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "    socket.create_connection(server.getsockname()).close()\n"
        "socket.getaddrinfo('localhost', 80)\n"
        "for family, host in ((socket.AF_INET, '192.0.2.7'), (socket.AF_INET6, '2001:db8::1')):\n"
        "    with socket.socket(family, socket.SOCK_DGRAM) as one:\n"
        "        try:\n"
        "            one.sendto(b'', (host, 53))\n"
        "        except OSError as error:\n"
        "            print(error)\n"
    )
    env = {"PYTHONPATH": str(colab.COLAB), "NETWORK_LOG": str(log)}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert result.stdout.count("the emulated Colab has no network") == 2
    assert log.read_text(encoding="utf-8").split() == ["192.0.2.7", "2001:db8::1"]


def test_the_pins_are_colabs():
    pins = colab.colab_pins(colab.read_freeze())
    assert {name: pins[name] for name in ("ipykernel", "ipython", "ipywidgets", "numpy", "torch", "transformers")} == {
        "ipykernel": "6.17.1",
        "ipython": "7.34.0",
        "ipywidgets": "7.7.1",
        "numpy": "2.1.3",
        "torch": "2.11.0",
        "transformers": "5.15.0",
    }
    assert not any(name.startswith("nvidia") for name in pins)
    assert all(re.fullmatch(r"[\w.!]+", version) for version in pins.values())


def test_the_full_version_asks_for_colabs_python(monkeypatch):
    assert colab.colab_python(colab.read_freeze()) == "3.13"
    monkeypatch.setattr(colab, "colab_python", lambda freeze: "3.99")
    with pytest.raises(SystemExit, match=r"runs on Colab's Python, 3\.99, and this is 3\."):
        colab.colab_machine(full=True)


def test_a_machine_is_made_of_colabs_versions_and_what_the_setup_cells_bring(monkeypatch, tmp_path):
    """Which commands make the machine, without running them."""
    commands = []
    monkeypatch.setattr(colab, "CACHE", tmp_path)
    monkeypatch.setattr(
        colab.venv, "create", lambda folder, **_: (folder / "lib/python3.0/site-packages").mkdir(parents=True)
    )
    monkeypatch.setattr(colab.subprocess, "run", lambda command, **_: commands.append([str(part) for part in command]))
    monkeypatch.setattr(colab, "colab_python", lambda freeze: f"3.{sys.version_info.minor}")
    for full, torch, setuptools in ((False, read_course().pins["torch"], False), (True, "2.11.0", True)):
        commands.clear()
        machine = colab.colab_machine(full=full)
        install, download = commands
        constraints = Path(install[install.index("--constraint") + 1]).read_text(encoding="utf-8").split()
        assert f"torch=={torch}" in constraints
        assert "numpy==2.1.3" in constraints
        assert any(line.startswith("setuptools==") for line in constraints) == setuptools
        assert {"torch", "transformers", "ipywidgets", "ipykernel"} <= {*install}
        assert f"jaxtyping=={read_course().pins['jaxtyping']}" in download
        assert f"bertviz=={read_course().pins['bertviz']}" in download
        assert str(machine.index) in download


def test_ready_calls_tested_what_is_tested():
    theirs, ours = colab.colab_pins(colab.read_freeze()), read_course().pins
    for package, (oldest, newest) in TESTED.items():
        assert theirs[package].startswith(f"{oldest[0]}.{oldest[1]}.")
        assert ours[package].startswith(f"{newest[0]}.{newest[1]}.")


def test_a_fork_elsewhere_has_its_own_addresses():
    course = replace(read_course(), repository="Ada/course", branch="main", home="https://ada.example/llm/")
    assert course.wheel == f"https://ada.example/llm/labutils-{course.version}-py3-none-any.whl"
