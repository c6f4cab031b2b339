"""Other hosts than Colab: the files that describe their environment, and the links that lead to them.

None of the hosts can be started here. What can be done is to install from the files without installing, to run the
command of the container in a copy, and to compare the links with the form that each host asks for.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import colab
import pytest
import yaml
from course import ROOT, read_course
from sphinx.errors import ExtensionError
from tqdm.notebook import tqdm

from _ext.hosts import PAGE, fill_in, titles

COURSE = replace(read_course(), repository="ada/llm-course", branch="main", home="")
LAB = "labs/12_decoding.ipynb"
# Nothing is installed or fetched: what is missing or in another version ends the command.
DRY = ("--dry-run", "--no-index", "--no-build-isolation", "--quiet")


def install(*what: str | Path, folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pip", "install", *DRY, *what]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def copy(tmp_path) -> Path:
    """The files of the course that an installation needs, elsewhere."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("labutils", ".binder", ".devcontainer"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_the_environment_file_installs_the_course_in_the_versions_that_ci_tests(copy):
    """This environment has exactly those versions, so nothing but the course itself may be left to install."""
    listed = copy / "report.json"
    command = [sys.executable, "-m", "pip", "install", *DRY, "--report", listed]
    done = subprocess.run(
        [*command, "--requirement", ".binder/requirements.txt"], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    installed = json.loads(listed.read_text(encoding="utf-8"))["install"]
    (course,) = [item["metadata"] for item in installed]
    assert (course["name"], course["version"]) == ("labutils", read_course().version)
    assert installed[0]["requested_extras"] == ["labs"]


def test_a_version_that_ci_does_not_test_would_be_noticed(copy):
    path = copy / "constraints.txt"
    path.write_text(re.sub(r"(?m)^numpy==.*$", "numpy==2.0.0", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert install("--requirement", ".binder/requirements.txt", folder=copy).returncode != 0


def test_all_hosts_have_the_python_that_ci_has():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    (python,) = (
        step["with"]["python-version"]
        for step in workflow["jobs"]["test"]["steps"]
        if "setup-python" in step.get("uses", "")
    )
    assert (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8").strip() == f"python-{python}"
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["image"] == f"mcr.microsoft.com/devcontainers/python:{python}"


def test_the_command_of_the_container_runs(copy):
    """With a `pip` first on the path that resolves everything and installs nothing."""
    programs = copy / "bin"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@" {" ".join(DRY)}\n', encoding="utf-8")
    pip.chmod(0o755)
    command = json.loads((copy / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))[
        "postCreateCommand"
    ]
    done = subprocess.run(command, shell=True, cwd=copy, env={"PATH": f"{programs}:/usr/bin:/bin"}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_the_line_without_a_clone_installs_the_wheel_and_what_the_labs_need(tmp_path):
    wheel = colab.build_wheel(tmp_path)
    line = re.search(r'pip install "(.*?) @ ', (ROOT / f"{PAGE}.md").read_text(encoding="utf-8"))
    done = install(f"{line[1]} @ {wheel.as_uri()}", folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_links_have_the_form_that_the_hosts_ask_for():
    assert (
        COURSE.kaggle(LAB)
        == f"https://www.kaggle.com/kernels/welcome?src=https://github.com/ada/llm-course/blob/main/{LAB}"
    )
    assert COURSE.binder(LAB) == f"https://mybinder.org/v2/gh/ada/llm-course/main?urlpath=lab/tree/{LAB}"
    assert COURSE.colab(LAB) == f"https://colab.research.google.com/github/ada/llm-course/blob/main/{LAB}"
    assert COURSE.codespaces() == "https://codespaces.new/ada/llm-course/tree/main?quickstart=1"


def test_a_branch_with_a_slash_stays_one_part_of_binders_address():
    address = replace(COURSE, branch="spring/2027").binder(LAB)
    assert address.startswith("https://mybinder.org/v2/gh/ada/llm-course/spring%2F2027?")


def test_the_link_for_a_jupyterhub_says_what_nbgitpuller_asks():
    address = urlsplit(COURSE.jupyterhub("https://hub.example.edu/", LAB))
    assert (address.netloc, address.path) == ("hub.example.edu", "/hub/user-redirect/git-pull")
    assert parse_qs(address.query) == {
        "repo": ["https://github.com/ada/llm-course"],
        "branch": ["main"],
        "urlpath": [f"lab/tree/llm-course/{LAB}"],
    }


class App:
    """As much of Sphinx as the page needs."""

    srcdir = str(ROOT)


def test_the_page_has_a_link_for_every_lab_on_every_host(monkeypatch):
    monkeypatch.setattr("_ext.hosts.read_course", lambda: COURSE)
    source = [(ROOT / f"{PAGE}.md").read_text(encoding="utf-8")]
    fill_in(App(), PAGE, source)
    assert "{{" not in source[0]
    labs = [f"labs/{path.name}" for path in sorted((ROOT / "labs").glob("*.ipynb"))]
    assert list(titles(ROOT / "labs")) == labs
    for lab in labs:
        for link in (COURSE.colab(lab), COURSE.kaggle(lab), COURSE.binder(lab)):
            assert f"]({link})" in source[0]
    for host in ("Colab", "Kaggle", "Binder", "Codespaces", "VS Code", "Your own computer", "JupyterHub"):
        assert re.search(rf"^\*\*[^*]*{host}[^*]*\*\*", source[0], re.MULTILINE), host
    addresses = re.findall(r"https?://[^\s)\"]+", source[0])
    known = ("ada/llm-course", "ada.github.io/llm-course", "ada%2Fllm-course", "https://huggingface.co")
    assert [address for address in addresses if not any(name in address for name in known)] == []


def test_a_name_that_stands_for_nothing_stops_the_build():
    with pytest.raises(ExtensionError, match="nothing is called nowhere"):
        fill_in(App(), PAGE, ["Open [it]({{nowhere}})."])


def test_other_pages_are_left_alone():
    source = ["{{nowhere}}"]
    fill_in(App(), "chapters/index", source)
    assert source == ["{{nowhere}}"]


# ----------------------------------------------------------------------------------------------- ipywidgets 7.7 and 8.1


def test_the_labs_run_with_both_releases_of_ipywidgets():
    """Only `labutils.controls` imports it; the figures are plain HTML, so neither release can break them."""
    importing = set()
    for path in [*(ROOT / "labutils").rglob("*.py"), *(ROOT / "labs").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "ipywidgets" for name in names):
                importing.add(path.name)
    assert importing == {"controls.py"}
    assert colab.colab_pins(colab.read_freeze())["ipywidgets"].startswith("7.7.")  # `make colab` runs its sliders
    assert read_course().pins["ipywidgets"].startswith("8.1.")  # tests/test_controls.py


def test_the_live_figures_and_their_output_in_a_notebook_come_without_ipywidgets():
    """In an interpreter where it cannot be imported: what a notebook is given to show."""
    code = (
        "import sys\n"
        "sys.modules['ipywidgets'] = sys.modules['anywidget'] = None\n"
        "from labutils.widgets import sampling_explorer\n"
        "print(sampling_explorer()._repr_html_()[:20])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.startswith('<div class="gam-live'), done.stderr


def test_the_progress_bar_is_drawn_by_the_ipywidgets_that_is_here():
    """It is used through tqdm where a person watches a notebook; also run by `make versions`."""
    bar = tqdm(range(3), desc="steps", display=False)
    assert list(bar) == [0, 1, 2]
    label, progress, _ = bar.container.children
    assert label.value.startswith("steps")
    assert (progress.max, progress.value) == (3, 3)
