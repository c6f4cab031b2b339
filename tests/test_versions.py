"""Both ends of the admitted versions; `make versions` installs them, which no test waits for."""

import subprocess
from pathlib import Path

import pytest
import versions
from course import ROOT
from packaging.requirements import Requirement
from packaging.version import Version


@pytest.mark.parametrize("requirement", versions.ranges())
def test_the_floor_is_the_oldest_version_that_is_admitted(requirement):
    pinned, asked = Requirement(versions.floor(requirement)), Requirement(requirement)
    assert pinned.name == asked.name
    (oldest,) = (Version(part.version) for part in pinned.specifier)
    assert asked.specifier.contains(oldest)
    below = f"{oldest.major}.{oldest.minor - 1}" if oldest.minor else f"{oldest.major - 1}.9999"
    assert not asked.specifier.contains(below)


def test_a_range_without_an_oldest_version_is_refused():
    with pytest.raises(ValueError, match="names no oldest version"):
        versions.floor("torch<3")


def test_another_torch_takes_the_place_of_the_end_s():
    assert "torch==2.6" in versions.pins("floor", None)
    assert [pin for pin in versions.pins("floor", "2.13.0") if pin.startswith("torch==")] == ["torch==2.13.0"]
    assert versions.pins("newest", None) == []
    assert versions.pins("newest", "2.13.0") == ["torch==2.13.0"]


def test_what_is_run_exists_and_one_failure_fails_the_end_but_stops_nothing(monkeypatch, tmp_path):
    ran = []
    monkeypatch.setattr(versions, "CACHE", tmp_path)

    def run(command: list[str], **options) -> subprocess.CompletedProcess:
        ran.append(command)
        failed = versions.TESTS[0] in command
        assert not (failed and options.get("check"))
        return subprocess.CompletedProcess(command, int(failed))

    monkeypatch.setattr(versions.subprocess, "run", run)
    monkeypatch.setattr(versions.venv, "create", lambda folder, **_: folder.mkdir(parents=True))
    assert versions.run("floor", "2.13.0") is False
    assert versions.LAB in ran[-1]
    assert not list(tmp_path.iterdir())
    for test in [*versions.TESTS, versions.LAB]:
        path, _, name = test.partition("::")
        assert f"def {name}(" in Path(ROOT, path).read_text(encoding="utf-8") if name else Path(ROOT, path).exists()
