"""The wheel of labutils: what it holds, that it installs by itself, and that importing it is quick."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import colab
import pytest
import yaml
from course import ROOT, read_course

import labutils


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return colab.build_wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel):
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "labutils").rglob("*") if path.is_file()}
    expected = {name for name in files if "__pycache__" not in name}
    info = f"labutils-{read_course().version}.dist-info/"
    assert {name for name in held if not name.startswith(info)} == expected
    for suffix in (".py", ".js", ".safetensors", ".json"):
        assert any(name.endswith(suffix) for name in held), suffix


def test_it_installs_alone_in_an_empty_environment_and_imports_quickly_without_torch(wheel, tmp_path):
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True)
    code = (
        "import sys, time\nstart = time.perf_counter()\nimport labutils, labutils.evidence\n"
        "print(time.perf_counter() - start, labutils.__version__, 'torch' in sys.modules, 'numpy' in sys.modules)"
    )
    # The best of three: the machine may be busy, and the first import compiles.
    runs = [subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    seconds, version, *heavy = min((run.stdout.split() for run in runs), key=lambda fields: float(fields[0]))
    assert float(seconds) < 0.3
    assert version == read_course().version
    assert heavy == ["False", "False"]


def test_the_installed_version_is_the_projects():
    assert labutils.__version__ == read_course().version


def test_the_version_is_the_same_wherever_it_is_written():
    version = read_course().version
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == version, "CITATION.cff"
    told = re.findall(r"^## ([\d.]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    numbers = [tuple(map(int, release.split("."))) for release in told]
    assert numbers == sorted(numbers, reverse=True), "CHANGELOG.md: the newest release stands first"
    assert numbers[0] >= tuple(map(int, version.split("."))), "CHANGELOG.md says nothing about this version"


def test_the_map_names_every_module():
    modules = {path.stem for path in (ROOT / "labutils").glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in (ROOT / "labutils").glob("*/__init__.py")}
    named = {line.split()[0] for line in labutils.__doc__.splitlines()[2:] if line.strip()}
    assert modules | packages <= named, "Add the new module to the docstring of labutils/__init__.py."
