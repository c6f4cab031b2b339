"""Fills the page "Run the labs" with addresses, all of which follow from the one setting that names the repository."""

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from tools.course import Course, read_course

PAGE = "chapters/running"


def titles(folder: Path) -> dict[str, str]:
    """The labs of a folder: the path of the learner's notebook and the title, in their order."""
    found = {}
    for source in sorted(folder.glob("[0-9][0-9]_*.py")):
        title = re.search(r"^# (Lab .*)$", source.read_text(encoding="utf-8"), re.MULTILINE)
        if title is None:
            raise ExtensionError(f"{source} has no title of the form '# Lab 01: ...'.")
        found[f"labs/{source.stem}.ipynb"] = title[1]
    return found


def table(labs: dict[str, str], course: Course) -> str:
    """A row for each lab: its page, and a link to it on each host that opens single notebooks."""
    hosts = {"Colab": course.colab, "Kaggle": course.kaggle, "Binder": course.binder}
    rows = ["| Lab | Open in |", "| --- | --- |"]
    for path, title in labs.items():
        links = " · ".join(f"[{host}]({address(path)})" for host, address in hosts.items())
        rows.append(f"| [{title}](../{path}) | {links} |")
    return "\n".join(rows)


def fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Replace {{name}} by what the name stands for. Raises ExtensionError for a name that stands for nothing."""
    if docname != PAGE:
        return
    course = read_course()
    labs = titles(Path(app.srcdir, "labs"))
    first = next(iter(labs))
    known = {
        "binder": course.binder("labs"),
        "codespaces": course.codespaces(),
        "colab": course.colab(first),
        "folder": course.repository.partition("/")[2],
        "jupyterhub": course.jupyterhub("https://hub.example.edu", "labs"),
        "kaggle": course.kaggle(first),
        "labs": table(labs, course),
        "source": course.source,
        "wheel": course.wheel,
    }
    if unknown := set(re.findall(r"\{\{(\w+)\}\}", source[0])) - known.keys():
        raise ExtensionError(f"{PAGE}.md: nothing is called {', '.join(sorted(unknown))}. Known: {', '.join(known)}.")
    source[0] = re.sub(r"\{\{(\w+)\}\}", lambda name: known[name[1]], source[0])


def setup(app: Sphinx) -> dict:
    app.connect("source-read", fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
