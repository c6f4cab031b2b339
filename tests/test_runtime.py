"""The machine: device, number type and profile on made-up machines; seeds; progress bars; ready()."""

import io
import random
import re
import subprocess
import sys

import nbformat
import pytest
import torch
from nbclient import NotebookClient

import labutils
from labutils import runtime


@pytest.fixture
def machine(monkeypatch):
    """Pretends that torch runs on a machine with some accelerator."""

    def pretend(*, capability=None, mps=False, profile=None):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        monkeypatch.delenv("LABUTILS_PROFILE", raising=False)
        if profile is not None:
            monkeypatch.setenv("LABUTILS_PROFILE", profile)

    return pretend


@pytest.mark.parametrize(
    ("pretended", "profile", "device", "dtype"),
    [
        ({}, "cpu", "cpu", torch.float32),
        ({"capability": (7, 5)}, "gpu", "cuda", torch.float16),  # a T4, which says that it supports bfloat16
        ({"capability": (8, 0)}, "gpu", "cuda", torch.bfloat16),
        ({"capability": (9, 0)}, "gpu", "cuda", torch.bfloat16),
        ({"capability": (9, 0), "profile": "cpu"}, "cpu", "cpu", torch.float32),
        ({"mps": True}, "cpu", "cpu", torch.float32),
        ({"mps": True, "profile": "gpu"}, "gpu", "mps", torch.float32),
        ({"profile": "gpu"}, "gpu", "cpu", torch.float32),
        ({"profile": ""}, "cpu", "cpu", torch.float32),
    ],
)
def test_profile_device_and_number_type(machine, pretended, profile, device, dtype):
    machine(**pretended)
    assert (runtime.profile(), runtime.device(), runtime.dtype()) == (profile, torch.device(device), dtype)


def test_processes_that_torchrun_starts_take_a_gpu_each(machine, monkeypatch):
    machine(capability=(9, 0))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert runtime.device() == torch.device("cuda", 1)


def test_an_unknown_profile_is_refused(machine):
    machine(profile="big")
    with pytest.raises(ValueError, match="LABUTILS_PROFILE is 'big': set it to 'cpu' or 'gpu'"):
        runtime.profile()


def test_a_seed_repeats_everything():
    def draw():
        return random.random(), torch.rand(3).tolist(), torch.rand(2, generator=torch.default_generator).tolist()

    runtime.seed(7)
    first = draw()
    assert draw() != first
    runtime.seed(7)
    assert draw() == first


# --------------------------------------------------------------------------------------------------------- progress bar

BAR = """
import time
from labutils.runtime import progress
for item in progress(range(3), what="training"):
    time.sleep(0.15)
print(item, list(progress(iter("ab"), total=2)))
"""


def run_in_notebook(tmp_path, *, allow_stdin):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(BAR)])
    client = NotebookClient(made, resources={"metadata": {"path": str(tmp_path)}})
    if allow_stdin:  # what a front end that a person sits at says with every cell
        client.on_notebook_start = lambda notebook: setattr(client.kc, "allow_stdin", True)
    client.execute()
    return made.cells[0].outputs


def test_a_notebook_that_a_program_runs_stores_no_progress(tmp_path):
    (output,) = run_in_notebook(tmp_path, allow_stdin=False)
    assert (output.name, output.text) == ("stdout", "2 ['a', 'b']\n")


def test_a_person_at_a_notebook_sees_progress(tmp_path):
    outputs = run_in_notebook(tmp_path, allow_stdin=True)
    assert any("training" in str(output) for output in outputs)


def test_no_progress_is_written_to_a_file(tmp_path):
    result = subprocess.run([sys.executable, "-c", BAR], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert (result.stdout, result.stderr) == ("2 ['a', 'b']\n", "")


def test_a_person_at_a_terminal_sees_progress(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(runtime.progress(range(3), what="training")) == [0, 1, 2]
    assert "training" in terminal.getvalue()


# ------------------------------------------------------------------------------------------------------------- ready()

LINE = re.compile(
    r"labutils \S+ ready on [\w ]+ \| Python \S+ \| torch [^|]+ \| transformers [^|]+ \| [^|]+, \w+ \| "
    r"profile (cpu|gpu)\n"
)


def test_ready_prints_one_line(capsys):
    labutils.ready()
    assert LINE.fullmatch(capsys.readouterr().out)


def test_ready_says_that_a_notebook_is_for_another_release(capsys):
    labutils.ready(labutils.__version__)
    assert "this notebook" not in capsys.readouterr().out
    labutils.ready("99.0")
    assert " (this notebook is for 99.0) ready on " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variable", "host"),
    [
        (None, "this computer"),
        ("COLAB_RELEASE_TAG", "Colab"),
        ("KAGGLE_KERNEL_RUN_TYPE", "Kaggle"),
        ("BINDER_SERVICE_HOST", "Binder"),
        ("CODESPACES", "Codespaces"),
    ],
)
def test_ready_names_the_host(monkeypatch, capsys, variable, host):
    for name in ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "BINDER_SERVICE_HOST", "CODESPACES"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    labutils.ready()
    assert f" ready on {host} | " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("release", "shown"),
    [
        ("2.10.0", "torch 2.10.0 (untested)"),
        ("2.11.0+cpu", "torch 2.11.0 |"),
        ("2.13.9", "torch 2.13.9 |"),
        ("2.14.0.dev1", "torch 2.14.0.dev1 (untested)"),
        ("3.0", "torch 3.0 (untested)"),
    ],
)
def test_ready_marks_what_no_test_has_seen(monkeypatch, capsys, release, shown):
    monkeypatch.setattr(labutils, "version", lambda package: {"torch": release}.get(package, "5.20.0"))
    labutils.ready()
    assert shown in capsys.readouterr().out


def test_ready_says_what_is_missing():
    code = (
        "import importlib.metadata as m\nfound = m.version\n"
        "def version(name):\n    if name == 'transformers': raise m.PackageNotFoundError(name)\n"
        "    return found(name)\n"
        "m.version = version\nimport labutils\nlabutils.ready()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "transformers missing (install it with: pip install transformers)" in result.stdout
    assert result.stdout.count("\n") == 1
