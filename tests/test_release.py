"""What is published, acted out: a copy of the course with an address on this machine is built, served, and used.

The learner's side is a notebook's real setup cell in an environment without the course, which knows no other address
than the one that the release wrote into it.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import colab
import nbformat
import pytest
import release
from course import PLACEHOLDER, ROOT, read_course


@dataclass(frozen=True)
class Release:
    """A copy of the course that was released: its folder, what it published, where, and who asked for what."""

    copy: Path
    published: Path
    address: str
    requests: list[str]


def copy_of_the_course(folder: Path) -> None:
    """All files that git would commit, without history."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in filter(lambda name: (ROOT / name).is_file(), names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def set_address(folder: Path, address: str) -> None:
    """Edit the one setting, as somebody does who publishes the course on a server of their own."""
    path = folder / "_config.yml"
    text = path.read_text(encoding="utf-8")
    for old, new in {
        r"^  url: .*$": "  url: https://github.com/ada/llm-course",
        r"^  branch: .*$": "  branch: main",
        r"^  baseurl: .*\n": "",
        r"^html:$": f"html:\n  baseurl: {address}",
    }.items():
        text = re.sub(old, new, text, flags=re.MULTILINE)
    path.write_text(text, encoding="utf-8")


def tool(folder: Path, *command: str) -> subprocess.CompletedProcess:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run([sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Iterator[Release]:
    """The course, released to a server on this machine."""
    copy, published = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("published") / "site"
    requests = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args) -> None:
            requests.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(published))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        copy_of_the_course(copy)
        set_address(copy, address)
        early = tool(copy, "tools/release.py", "--out", str(published))
        assert early.returncode == 1, "notebooks with an old address must not be published"
        assert "tools/labs.py address" in early.stderr
        assert not published.exists()
        for command in (["tools/labs.py", "address"], ["tools/release.py", "--out", str(published)]):
            done = tool(copy, *command)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        yield Release(copy, published, address, requests)
        server.shutdown()


def test_without_an_address_nothing_is_built(monkeypatch, tmp_path):
    unready = replace(read_course(), repository=PLACEHOLDER)
    monkeypatch.setattr(release, "read_course", lambda: unready)
    monkeypatch.setattr(sys, "argv", ["release.py", "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stopped:
        release.main()
    sentence = stopped.value.code
    assert sentence == f"The course has no address yet: put its repository in place of {PLACEHOLDER} into _config.yml."
    assert not (tmp_path / "out").exists()


def test_files_that_still_name_the_placeholder_are_found(tmp_path):
    owner, name = PLACEHOLDER.split("/")
    texts = {
        "link.html": f"https://github.com/{owner}/{name}",
        "quoted.html": f"git-pull?repo=https%3A%2F%2Fgithub.com%2F{owner}%2F{name}&branch=main",
        "site.ipynb": f"https://{owner.lower()}.github.io/{name}/chapters/ledger.html",
        "innocent.html": "https://github.com/ada/llm-course and the OWNER of a REPO",
    }
    for file, text in texts.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert [path.name for path in release.placeholders(tmp_path)] == ["link.html", "quoted.html", "site.ipynb"]


def test_site_wheel_and_notebooks_lie_side_by_side(released):
    published = {str(path.relative_to(released.published)) for path in released.published.rglob("*") if path.is_file()}
    labs = {f"labs/{path.name}" for path in (ROOT / "labs").glob("*.ipynb")}
    wheel = f"labutils-{read_course().version}-py3-none-any.whl"
    assert {"index.html", "chapters/index.html", wheel, *labs} <= published
    assert not any("solutions" in name for name in published)


def test_notebooks_and_pages_name_the_new_address_only(released):
    for path in (released.published / "labs").glob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        assert f"{released.address}labutils-" in text
        assert "https://colab.research.google.com/github/ada/llm-course/blob/main/labs/" in text
    assert not release.placeholders(released.published)
    page = (released.published / "chapters" / "index.html").read_text(encoding="utf-8")
    assert f'<link rel="canonical" href="{released.address}chapters/index.html"' in page


def test_a_new_address_changes_no_output(released):
    for path in (ROOT / "labs").rglob("*.ipynb"):
        here = json.loads(path.read_text(encoding="utf-8"))["cells"]
        there = json.loads((released.copy / path.relative_to(ROOT)).read_text(encoding="utf-8"))["cells"]
        for part in ("outputs", "execution_count", "id"):
            assert [cell.get(part) for cell in here] == [cell.get(part) for cell in there]


def test_a_learner_starts_with_nothing_but_a_published_notebook(released, tmp_path):
    """Setup and the first cells of a lab: the wheel comes from the served site, and nothing else is asked for."""
    notebook = nbformat.read(released.published / "labs" / "07_attention_scores.ipynb", as_version=4)
    code = [number for number, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    notebook.cells = notebook.cells[: code[2] + 1]
    path = tmp_path / "07_attention_scores.ipynb"
    nbformat.write(notebook, path)
    released.requests.clear()
    machine = tmp_path / "machine"
    machine.mkdir()
    visit = colab.run_on_colab(path, colab.borrowed_machine(machine), None)
    assert visit.problems == []
    assert released.requests == [f"/labutils-{read_course().version}-py3-none-any.whl"]
