"""Every cell under "With a real model" runs, on stand-ins for the models, through the course's own way of loading them.

Of the lab before it, a cell gets the imports, the functions that it uses and the constants written out, and no more.
So no lab has to be run here, and none of these cells may lean on what the lab has trained.
"""

import ast
import contextlib
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants as settings
from lab_source import Cell, Lab, read_lab

from labutils import hub

ROOT = Path(__file__).resolve().parent.parent
LABS = sorted((ROOT / "labs").glob("*.py"))
SECTION = "## With a real model"


def section(lab: Lab) -> list[Cell]:
    """The cells from the one with the section's heading to the one before the next heading."""
    headed = [i for i, cell in enumerate(lab.cells) if cell.kind == "markdown" and re.search("(?m)^## ", cell.source)]
    (start,) = (i for i in headed if SECTION in lab.cells[i].source)
    return list(lab.cells[start : next(i for i in headed if i > start)])


def code(lab: Lab) -> list[Cell]:
    """The section's cells that are run."""
    return [cell for cell in section(lab) if cell.kind == "code"]


def text(lab: Lab) -> str:
    """What the section tells the reader."""
    return "\n".join(cell.source for cell in section(lab) if cell.kind == "markdown")


def definition(statement: ast.stmt) -> str | None:
    """The name that a statement defines without a computation: a function's, or that of a constant written out."""
    match statement:
        case ast.FunctionDef(name=name):
            return name
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            with contextlib.suppress(ValueError):
                ast.literal_eval(value)
                return name
    return None


def used(node: ast.AST) -> set[str]:
    """The names that a piece of code looks up."""
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load)}


def before(lab: Lab) -> ast.Module:
    """What the section's cells get of the lab before them."""
    start = code(lab)[0].number
    cells = [cell for cell in lab.cells if cell.kind == "code" and cell.number < start]
    statements = [statement for cell in cells for statement in ast.parse(cell.source).body]
    wanted = set().union(*(used(ast.parse(cell.source)) for cell in code(lab)))
    kept = []
    for statement in reversed(statements):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            kept.append(statement)
        elif definition(statement) in wanted:
            kept.append(statement)
            wanted |= used(statement)
    return ast.Module(kept[::-1], [])


def run(lab: Lab) -> str:
    """Run the section's cells; return what they print."""
    names: dict[str, object] = {"__name__": lab.path.stem}
    exec(compile(before(lab), str(lab.path), "exec"), names)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for cell in code(lab):
            exec(compile(cell.source, f"{lab.path.name}, {cell.place}", "exec"), names)
    return printed.getvalue()


def jobs(lab: Lab) -> list[str]:
    """The jobs whose models the section loads, in the order in which it names them."""
    source = "\n".join(cell.source for cell in code(lab))
    constants = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    names = [node.value for node in sorted(constants, key=lambda node: (node.lineno, node.col_offset))]
    return [name for name in dict.fromkeys(names) if isinstance(name, str) and name in hub.MODELS]


def faults(printed: str) -> list[str]:
    """What the cells print that no model can make true: two numbers or texts that must agree and do not."""
    found = [line for line in printed.splitlines() if re.search(r"the same \S.*: False", line)]
    for line in printed.splitlines():
        if (far := re.search("largest difference.*?: (\\S+)$|largest difference (\\S+)$", line)) is not None:
            found += [line] * (float(far[1] or far[2]) > 1e-4)
        if (twice := re.search(r"(\S+) nats each \(its own loss: (\S+)\)", line)) is not None:
            found += [line] * (twice[1] != twice[2])
    return found


def lab_number(number: str) -> Lab:
    (path,) = (path for path in LABS if path.name.startswith(number))
    return read_lab(path)


@pytest.fixture(params=LABS, ids=lambda path: path.stem[:2])
def lab(request) -> Lab:
    return read_lab(request.param)


@pytest.fixture
def loaded(stand_in_cache, monkeypatch) -> list[str]:
    """A learner who wants the models, on a machine without network that has the stand-ins: the jobs as they load."""
    monkeypatch.setattr(settings, "HF_HUB_CACHE", str(stand_in_cache))
    monkeypatch.setattr(settings, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    torch.manual_seed(0)
    jobs, load = [], hub.load

    def recorded(job, **options):
        found = load(job, **options)
        jobs.append(job)
        return found

    monkeypatch.setattr(hub, "load", recorded)
    return jobs


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """What `transformers` would write onto a learner's screen."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = logging.getLogger("transformers")
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


def test_the_cells_run_on_stand_ins(lab, loaded, warned):
    printed = run(lab)
    assert loaded == jobs(lab), printed
    assert printed.count("\n") >= 2
    assert faults(printed) == []
    assert warned == []


@pytest.mark.parametrize(
    ("number", "old", "new"),
    [
        ("01", "gpt2_tokenizer.decode(pieces)", "gpt2_tokenizer.decode(pieces[1:])"),
        ("04", "causal_loss(found.logits, tokens)", "causal_loss(found.logits, other)"),
        ("04", "[:, :12].abs()", "[:, :13].abs()"),
        ("05", "masked_loss(found.logits.float(), text, chosen)", "masked_loss(found.logits.float(), text, ~chosen)"),
        ("07", "block.ln_1(states)", "states"),
        ("07", "scaled_dot_scores(query, key)", "dot_scores(query, key)"),
        ("08", ", rotate=turn)", ")"),
        ("08", '"value": "v"', '"value": "k"'),
        ("09", ".head_dim, base=base)", ".head_dim)"),
        ("09", "places[None] - places[:, None]", "places[:, None] - places[None]"),
        ("12", "max_new_tokens=40, greedy=True", "max_new_tokens=40, temperature=5.0"),
        ("12", "filter_logits(scores, ", "filter_logits(scores / 2, "),
    ],
)
def test_a_wrong_cell_is_noticed(loaded, number, old, new):
    lab = lab_number(number)
    cells = section(lab)
    assert sum(cell.source.count(old) for cell in cells) == 1, f"lab {number} has changed: plant another mistake"
    wrong = [replace(cell, source=cell.source.replace(old, new)) if cell in cells else cell for cell in lab.cells]
    assert faults(run(replace(lab, cells=tuple(wrong))))


def test_without_a_model_each_cell_prints_one_line(lab, monkeypatch):
    monkeypatch.setenv("LABUTILS_PROFILE", "cpu")
    monkeypatch.delenv("LABUTILS_MODELS", raising=False)
    lines = run(lab).splitlines()
    assert len(lines) == len(jobs(lab))
    for line, job in zip(lines, jobs(lab), strict=True):
        assert line.startswith(f"Not loaded: {hub.MODELS[job]}.")


def test_the_text_says_what_would_be_fetched(lab):
    told = " ".join(text(lab).split())
    for job in jobs(lab):
        source = hub.MODELS[job]
        said = f"{source.parameters:.0f} million parameters, {source.megabytes} MB, licence {source.licence}"
        assert source.id in told, f"{lab.path.name} loads {source.id} and does not name it"
        assert said in told, f"{lab.path.name} does not say of {source.id}: {said}"


def test_the_page_on_running_lists_every_model_and_who_loads_it():
    page = (ROOT / "chapters" / "running.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| `")]
    listed = {row[0]: row[1:] for row in rows}
    labs = {path.stem[:2]: jobs(read_lab(path)) for path in LABS}
    for job, source in hub.MODELS.items():
        users = ", ".join(number for number, loaded in labs.items() if job in loaded)
        assert users, f"no lab loads {source.id}"
        size = [f"{source.parameters:.0f} million", f"{source.megabytes} MB", source.licence, users]
        assert listed.get(source.id) == size, f"chapters/running.md: {source.id} is {size}"
    total = sum(source.megabytes for source in hub.MODELS.values())
    assert f"{total / 1000:.1f} GB" in page
