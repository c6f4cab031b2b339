"""How fast the grader is, beside nbgrader and otter, with ten thousand submissions, and on a Dask cluster.

    python benchmarks/grading.py                  all of it: about an hour on two cores
    python benchmarks/grading.py compare          the three graders on one notebook with five exercises
    python benchmarks/grading.py many --papers N  N submissions of all kinds, and the memory that they take
    python benchmarks/grading.py dask             one worker and two

It installs nbgrader and otter into .cache/benchmark, each into an environment of its own that borrows torch from this
one, and writes benchmarks/grading.md. Wall times need a machine with nothing else to do; the seconds of processor time
do not, so both are given.
"""

import argparse
import ast
import hashlib
import inspect
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from labutils.exercises import Exercise, exercises_of

ROOT = Path(__file__).resolve().parent.parent
CACHE, PAGE = ROOT / ".cache" / "benchmark", Path(__file__).with_suffix(".md")
LAB, FILE = "12", "12_decoding.ipynb"
TOOLS = {"nbgrader": ["nbgrader==0.9.6", "ipykernel"], "otter": ["otter-grader[grading]==7.0.0", "ipykernel"]}
SEED = "benchmark"

# --- one notebook, five exercises ------------------------------------------------------------------------------------


def solutions() -> dict[str, str]:
    """The source of the course's own solution of each exercise."""
    cells = json.loads((ROOT / "labs" / "solutions" / FILE).read_text())["cells"]
    found = {}
    for source in ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"):
        if "def " in source and not source.lstrip().startswith(("%", "!")):
            for node in ast.parse(source).body:
                if isinstance(node, ast.FunctionDef):
                    found.setdefault(node.name, ast.get_source_segment(source, node))
    return {exercise.name: found[exercise.name] for exercise in exercises_of(LAB)}


def plain(value: object) -> object:
    """What the tests hold, as JSON."""
    if isinstance(value, torch.Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


SETUP = "import torch\n"
TESTING = """\
import json

def value(item):
    if isinstance(item, dict) and "tensor" in item:
        return torch.tensor(item["tensor"], dtype=getattr(torch, item["dtype"]))
    if isinstance(item, dict):
        return {key: value(one) for key, one in item.items()}
    return [value(one) for one in item] if isinstance(item, list) else item

def same(got, want):
    return torch.allclose(got, want) if isinstance(want, torch.Tensor) else got == want
"""


def tests(exercise: Exercise) -> str:
    """A cell that tests as often as this grader does, on the inputs of check()."""

    def inputs(case: int) -> dict:
        return exercise.inputs(torch.Generator().manual_seed(case), case)

    cases = [plain([inputs(i), exercise.run(exercise.reference, inputs(i))]) for i in range(exercise.cases)]
    adapter, call = "", f"{exercise.name}("
    if exercise.adapter:
        adapter = textwrap.dedent(inspect.getsource(exercise.adapter)) + "\n"
        call = f"{exercise.adapter.__name__}({exercise.name}, "
    loop = f"for inputs, want in value(json.loads(cases)):\n    assert same({call}**inputs), want)\n"
    return f"{adapter}cases = {json.dumps(cases)!r}\n{loop}"


def cell(source: str, **metadata) -> dict:
    """A code cell."""
    head = {"cell_type": "code", "execution_count": None, "outputs": [], "metadata": metadata, "source": source}
    return {"id": hashlib.sha256(source.encode()).hexdigest()[:12], **head}


def notebook(*cells: dict) -> dict:
    """A notebook as Jupyter saves it."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "labutils": {"lab": LAB}}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": list(cells)}


def nbgrader_cell(source: str, name: str, points: int = 0) -> dict:
    """A cell for the learner's code, or one with tests that are worth points."""
    kind = {"grade": points > 0, "solution": points == 0, "locked": points > 0, "task": False}
    points_of = {"points": points} if points else {}
    return cell(source, nbgrader={"schema_version": 3, "cell_type": "code", "grade_id": name, **kind, **points_of})


def five_exercises() -> dict:
    """The notebook that all three grade. It holds nbgrader's tests; the others bring theirs."""
    cells = [cell(SETUP), cell(TESTING)]
    for exercise in exercises_of(LAB):
        cells.append(nbgrader_cell(solutions()[exercise.name], exercise.name))
        cells.append(nbgrader_cell(tests(exercise), f"test_{exercise.name}", exercise.points))
    return notebook(*cells)


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Seconds for one submission."""

    wall: float
    cpu: float


def processes() -> Iterator[tuple[int, int, str, bytes, float, float]]:
    """Of each process: id, parent, name, command line, seconds of processor time with what it waited for, megabytes."""
    ticks, pages = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            head, _, rest = (folder / "stat").read_text().rpartition(") ")
            size = int((folder / "statm").read_text().split()[1]) * pages / 1e6
            command = (folder / "cmdline").read_bytes()
        except (OSError, ValueError):  # it has ended meanwhile
            continue
        fields = rest.split()
        yield (
            int(folder.name),
            int(fields[1]),
            head.partition("(")[2],
            command,
            sum(map(int, fields[11:15])) / ticks,
            size,
        )


class Watch(threading.Thread):
    """Looks, every second, at the processes of a grader that runs: their memory, and the time that its zygotes take.

    A zygote's time is not in what the grader has waited for, because bubblewrap stands between them.
    """

    def __init__(self, process: int):
        super().__init__()
        self.process, self.over = process, threading.Event()
        self.seconds: dict[int, float] = {}
        self.memory: list[dict[str, float]] = []
        self.graded = 0

    def run(self) -> None:
        """Look until it is over."""
        start = time.perf_counter()
        while not self.over.wait(1):
            rows = {row[0]: row for row in processes()}

            def is_below(pid: int, rows=rows) -> bool:
                while pid in rows and pid != self.process:
                    pid = rows[pid][1]
                return pid == self.process

            def is_zygote(pid: int, rows=rows) -> bool:
                return pid in rows and b"worker.zygote" in rows[pid][3] and rows[pid][2].startswith("python")

            zygotes = [row for pid, row in rows.items() if is_zygote(pid) and not is_zygote(row[1]) and is_below(pid)]
            self.seconds |= {row[0]: row[4] for row in zygotes}
            graders = [row[5] for row in rows.values() if row[1] == self.process]
            self.memory.append({
                "seconds": time.perf_counter() - start,
                "graded": self.graded,
                "who writes": rows[self.process][5] if self.process in rows else 0.0,
                "who grades": max(graders, default=0.0),
                "zygote": max((row[5] for row in zygotes), default=0.0),
            })  # fmt: skip

    def end(self) -> float:
        """Stop looking. Returns the seconds of processor time of all zygotes."""
        self.over.set()
        self.join()
        return sum(self.seconds.values())


def children_time() -> float:
    """Seconds of processor time of all processes that were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command: list[str], cwd: Path, programs: Path | None = None, count: int = 1) -> Cost:
    """Run a command that grades `count` submissions."""
    path = f"{programs}{os.pathsep}{os.environ['PATH']}" if programs else os.environ["PATH"]  # nbgrader calls alembic
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    before, start = children_time(), time.perf_counter()
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return Cost((time.perf_counter() - start) / count, (children_time() - before) / count)


def empty(folder: Path) -> Path:
    """A new folder in place of an old one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def grade(folder: Path, out: Path, *options: str) -> tuple[Cost, list[dict[str, float]]]:
    """This grader's command line on a folder: the cost of all of it, and its memory over time."""
    command = [sys.executable, "-m", "labutils.grading", "grade", str(folder), "--out", str(out), "--seed", SEED]
    before, start = children_time(), time.perf_counter()
    process = subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    watch = Watch(process.pid)
    watch.start()
    assert process.stdout
    for line in process.stdout:
        watch.graded += line.endswith(" points\n")
    failed, wall = process.wait(), time.perf_counter() - start
    zygotes = watch.end()
    if failed:
        raise SystemExit(f"{' '.join(command)} ended with {failed}")
    return Cost(wall, children_time() - before + zygotes), watch.memory


# --- three graders ---------------------------------------------------------------------------------------------------


def environment(tool: str) -> Path:
    """The folder of programs of an environment with this tool, made if it is not there."""
    folder = CACHE / tool
    programs = folder / "bin"
    if not (folder / ".ready").exists():
        print(f"installing {tool} into {folder}", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", *TOOLS[tool]], check=True)
        library = next(folder.glob("lib/python*/site-packages"))
        (library / "torch_of_the_course.pth").write_text(sysconfig.get_path("purelib") + "\n")  # looked at last
        (folder / ".ready").touch()
    return programs


def hand_in(folder: Path, students: int, content: str, *below: str) -> Path:
    """A folder for each student, with the notebook in it."""
    for number in range(students):
        path = folder.joinpath(f"s{number:03}", *below, FILE)
        path.parent.mkdir(parents=True)
        path.write_text(content)
    return folder


def by_us(content: str, students: int, jobs: int) -> Cost:
    """One command for all."""
    folder = empty(CACHE / "ours")
    cost, _ = grade(hand_in(folder / "in", students, content), folder / "out", "--jobs", str(jobs))
    points = sum(exercise.points for exercise in exercises_of(LAB))
    rows = json.loads((folder / "out" / "summary.json").read_text())["results"]
    assert [row["score"] for row in rows] == [points] * students
    return Cost(cost.wall / students, cost.cpu / students)


def by_nbgrader(content: str, students: int) -> Cost:
    """One `nbgrader autograde` for all, as it is meant for a class."""
    programs, folder = environment("nbgrader"), empty(CACHE / "course")
    (folder / "source" / "lab").mkdir(parents=True)
    (folder / "source" / "lab" / FILE).write_text(content)
    program = str(programs / "nbgrader")
    run([program, "generate_assignment", "lab", "--quiet"], folder, programs)
    hand_in(folder / "submitted", students, content, "lab")
    cost = run([program, "autograde", "lab", "--quiet"], folder, programs, students)
    run([program, "export"], folder, programs)
    header, *rows = [line.split(",") for line in (folder / "grades.csv").read_text().splitlines()]
    score, most = header.index("score"), header.index("max_score")
    assert len(rows) == students
    assert all(float(row[score]) == float(row[most]) > 0 for row in rows)
    return cost


def by_otter(content: str, students: int) -> Cost:
    """One `otter run` for each, which is how it grades without Docker."""
    programs, folder = environment("otter"), empty(CACHE / "otter-course")
    (folder / "tests").mkdir()
    for exercise in exercises_of(LAB):
        lines = tests(exercise).splitlines()
        shown = "\n".join((">>> " if line[:1].strip() else "... ") + line for line in lines)
        suite = {"cases": [{"code": shown, "hidden": False, "locked": False}], "scored": True, "type": "doctest"}
        test = {"name": exercise.name, "points": exercise.points, "suites": [suite]}
        (folder / "tests" / f"{exercise.name}.py").write_text(f"OK_FORMAT = True\n\ntest = {test!r}\n")
    program = str(programs / "otter")
    run([program, "generate", "-t", "tests", "-o", "autograder.zip", "--no-environment"], folder, programs)
    (folder / FILE).write_text(content)
    costs = []
    for number in range(students):
        out = f"out{number}"
        (folder / out).mkdir()
        costs.append(run([program, "run", "-a", "autograder.zip", "-o", out, FILE], folder, programs))
        results = json.loads((folder / out / "results.json").read_text())["tests"]
        assert sum(test["score"] for test in results if "score" in test) == sum(e.points for e in exercises_of(LAB))
    return Cost(statistics.mean(c.wall for c in costs), statistics.mean(c.cpu for c in costs))


def compare(rounds: int) -> dict:
    """Each grader in turn, several times."""
    content = json.dumps(five_exercises())
    measured: dict[str, list[list[float]]] = {}
    graders: dict[str, Callable[[], Cost]] = {
        "nbgrader autograde, 8 in one call": lambda: by_nbgrader(content, 8),
        "otter run, one call each": lambda: by_otter(content, 2),
        "this grader, 400 in one call, --jobs 1": lambda: by_us(content, 400, 1),
        "this grader, 400 in one call, --jobs 2": lambda: by_us(content, 400, 2),
    }
    for number in range(rounds):
        for name, one in graders.items():
            cost = one()
            measured.setdefault(name, []).append([cost.wall, cost.cpu])
            print(f"round {number + 1}: {name}: {60 / cost.wall:.0f} a minute, {cost.cpu:.3f} CPU-s each", flush=True)
    return measured


# --- ten thousand ----------------------------------------------------------------------------------------------------

WRONG = {  # one slip for each exercise
    "apply_temperature": ("logits / temperature", "logits * temperature"),
    "keep_top_k": ("logits < kth_largest", "logits <= kth_largest"),
    "keep_top_p": ("mass_before >= p", "mass_before > 1 - p"),
    "keep_min_p": ("probabilities < smallest", "probabilities < p"),
    "complete": ("tokens = list(prompt)", "tokens = prompt"),
}
CRASHES = {  # what happens in one function, and how often among those that crash
    "raise ValueError('no')": 30,
    "return undefined_name": 30,
    "import os; os._exit(1)": 10,
    "import ctypes; return ctypes.string_at(0)": 10,
    "return torch.ones(1 << 40)": 10,
    "while True: pass": 3,
    "print('x' * 10_000_000)": 7,
}
MIXTURE = {"right": 55, "one or two mistakes": 20, "unfinished": 15, "crash": 5, "syntax error": 3, "broken file": 2}


def stub(name: str) -> str:
    """The exercise as the learner finds it."""
    definition = solutions_once[name].split("\n")[0]
    return f"{definition}\n    raise NotImplementedError('write me')"


solutions_once: dict[str, str] = {}


def submission(number: int, draw: random.Random) -> tuple[str, bytes]:
    """The kind of a submission, and its file."""
    kind = draw.choices([*MIXTURE], [*MIXTURE.values()])[0]
    sources = dict(solutions_once)
    if kind == "one or two mistakes":
        for name in draw.sample([*WRONG], draw.choice((1, 2))):
            assert WRONG[name][0] in sources[name]
            sources[name] = sources[name].replace(*WRONG[name])
    elif kind == "unfinished":
        for name in draw.sample([*sources], draw.randint(1, 5)):
            sources[name] = stub(name)
    elif kind == "crash":
        name = draw.choice([*sources])
        happens = draw.choices([*CRASHES], [*CRASHES.values()])[0]
        sources[name] = f"{sources[name].split(chr(10))[0]}\n    {happens}"
    elif kind == "syntax error":
        name = draw.choice([*sources])
        sources[name] = sources[name].replace(":", "", 1)
    extra = [cell(f"# {number}: notes\nprint({draw.random()})\n{key} = {draw.random()}") for key in "abc"]
    data = json.dumps(notebook(cell(SETUP), *map(cell, sources.values()), *extra)).encode()
    if kind == "broken file":
        data = draw.choice((b"", data[: len(data) // 2], b"<html>", b"PK\x03\x04", data.replace(b"{", b"\xff", 1)))
    return kind, data


def many(papers: int) -> dict:
    """Grade a large class of all kinds of submissions on two processes, and watch their memory."""
    solutions_once.update(solutions())
    folder, draw, kinds = empty(CACHE / "many"), random.Random(0), dict.fromkeys(MIXTURE, 0)
    for number in range(papers):
        kind, data = submission(number, draw)
        kinds[kind] += 1
        path = folder / "in" / f"s{number:05}" / FILE
        path.parent.mkdir(parents=True)
        path.write_bytes(data)
    cost, memory = grade(folder / "in", folder / "out", "--jobs", "2")
    assert len(json.loads((folder / "out" / "summary.json").read_text())["results"]) == papers
    print(f"{papers} in {cost.wall:.0f} s, {cost.cpu / papers:.3f} CPU-s each", flush=True)
    return {"papers": papers, "kinds": kinds, "wall": cost.wall, "cpu": cost.cpu, "memory": memory}


# --- a cluster -------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(workers: int) -> Iterator[str]:
    """The address of a Dask cluster on this machine: plain processes, as one starts them on several."""
    file = empty(CACHE / "cluster") / "scheduler.json"
    dask, where = str(Path(sys.executable).with_name("dask")), ["--scheduler-file", str(file)]
    quiet = {"cwd": file.parent, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    local = ["--host", "127.0.0.1", "--dashboard-address", "127.0.0.1:0"]
    loaded = ["--nthreads", "1", "--preload", "labutils.grading.engines"]  # torch, before the clock runs
    wait = f"from distributed import Client; Client(scheduler_file={str(file)!r}).wait_for_workers({workers})"
    started = []
    try:
        started.append(subprocess.Popen([dask, "scheduler", "--port", "0", *local, *where], **quiet))
        started.append(subprocess.Popen([dask, "worker", "--nworkers", str(workers), *loaded, *local, *where], **quiet))
        subprocess.run([sys.executable, "-c", wait], check=True, cwd=file.parent, timeout=120)
        yield json.loads(file.read_text())["address"]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def on_dask(papers: int, rounds: int) -> dict:
    """The same papers on one worker and on two, in turn. The cluster is there already; nothing else is."""
    content = json.dumps(five_exercises())
    folder = empty(CACHE / "dask")
    hand_in(folder / "in", papers, content)
    measured: dict[str, list[float]] = {"1": [], "2": []}
    for number in range(rounds):
        for workers in (1, 2):
            with cluster(workers) as address:
                out = folder / f"out-{number}-{workers}"
                wall = grade(folder / "in", out, "--dask", address)[0].wall
            measured[str(workers)].append(wall)
            print(f"round {number + 1}: {workers} Dask workers, {papers} papers: {wall:.1f} s", flush=True)
    return {"papers": papers, "walls": measured}


# --- the page --------------------------------------------------------------------------------------------------------


def spread(values: list[float], digits: int = 0) -> str:
    """The median, and from least to most."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def page(measured: dict) -> str:
    """What was measured, as Markdown."""
    lines = [
        "# How fast the grader is",
        "",
        "`benchmarks/grading.py` wrote this page. Numbers are medians over rounds, then the least and the most.",
        "",
    ]
    if "compare" in measured:
        lines += _compared(_how(measured["compare"]), measured["compare"]["result"])
    if "many" in measured:
        lines += _many(_how(measured["many"]), measured["many"]["result"])
    if "dask" in measured:
        lines += _dasked(_how(measured["dask"]), measured["dask"]["result"])
    return "\n".join(lines).rstrip() + "\n"


def _how(part: dict) -> str:
    """The command, and whether its wall times can be trusted."""
    load, cores = part["load"], f"{os.cpu_count()} cores"
    busy = f"{load:.1f} other processes wanted a core when it began, so its wall times say what a busy machine does"
    return f"Command: `{part['command']}`, on {cores}; " + (busy if load > 0.5 else "nothing else ran") + "."


def _compared(how: str, result: dict[str, list[list[float]]]) -> list[str]:
    lines = [
        "## Beside nbgrader and otter",
        "",
        f"The five exercises of lab {LAB}, all solved; {sum(e.cases for e in exercises_of(LAB))} tests.",
        "It imports torch. Each command's own start counts.",
        "",
        how,
        "",
        "| grader | submissions a minute | CPU-seconds each |",
        "| --- | --- | --- |",
    ]
    for name, costs in result.items():
        rates, seconds = [60 / wall for wall, _ in costs], [cpu for _, cpu in costs]
        lines.append(f"| {name} | {spread(rates, 1)} | {spread(seconds, 3)} |")
    one, two = (costs for name, costs in result.items() if name.startswith("this grader"))
    lines += [
        "",
        "| this grader's rate over | --jobs 1 | --jobs 2 | CPU-seconds | wanted |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, wanted in (("nbgrader", 20), ("otter", 60)):
        (theirs,) = (costs for tool, costs in result.items() if tool.startswith(name))
        ratios = [[t[0] / ours[0] for t, ours in zip(theirs, mine, strict=True)] for mine in (one, two)]
        cpu = [t[1] / ours[1] for t, ours in zip(theirs, one, strict=True)]
        lines.append(f"| {name} | {spread(ratios[0])} | {spread(ratios[1])} | {spread(cpu)} | {wanted} |")
    return [*lines, ""]


def _many(how: str, result: dict) -> list[str]:
    papers, wall, cpu = result["papers"], result["wall"], result["cpu"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in result["kinds"].items())
    seen = result["memory"]
    shown = [next(row for row in seen if row["graded"] >= share * papers) for share in (0.02, 0.25, 0.5, 0.75)]
    shown += [[row for row in seen if row["zygote"]][-1]]
    return [
        f"## {papers:,} submissions",
        "",
        f"`--jobs 2`, made-up submissions: {kinds}.",
        "",
        how,
        "",
        f"All were graded and written in **{wall / 60:.1f} minutes** ({papers / wall * 60:.0f} a minute), with",
        f"{cpu / papers:.3f} CPU-seconds each. (Wanted for 10,000: at most 20 minutes.)",
        "",
        "Resident memory in MB; of two processes of a kind, the larger one:",
        "",
        "| graded | who writes | who grades | zygote |",
        "| --- | --- | --- | --- |",
        *(
            f"| {row['graded']:.0f} | {row['who writes']:.0f} | {row['who grades']:.0f} | {row['zygote']:.0f} |"
            for row in shown
        ),
        "",
        f"At the end, while the formats are made of all results, who writes takes {seen[-1]['who writes']:.0f} MB.",
        "",
    ]


def _dasked(how: str, result: dict) -> list[str]:
    one, two = result["walls"]["1"], result["walls"]["2"]
    ratios = [a / b for a, b in zip(one, two, strict=True)]
    return [
        "## One Dask worker and two",
        "",
        f"{result['papers']} notebooks with the five exercises; the cluster runs already.",
        "",
        how,
        "",
        f"One worker: {spread(one)} s. Two: {spread(two)} s. Two are **{spread(ratios, 2)}** times as fast as one.",
        "(Wanted on two free cores: 1.7.)",
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=["compare", "many", "dask"], default=["compare", "many", "dask"])
    parser.add_argument(
        "--papers", type=int, default=10_000, help="for `many` (default: 10000), and for `dask` up to 1000"
    )
    parser.add_argument("--rounds", type=int, default=3, help="for `compare` and `dask` (default: 3)")
    parser.add_argument("--page", type=Path, default=PAGE, help=f"what to write (default: {PAGE.relative_to(ROOT)})")
    options = parser.parse_args()
    parts: dict[str, Callable[[], dict]] = {
        "compare": lambda: compare(options.rounds),
        "many": lambda: many(options.papers),
        "dask": lambda: on_dask(min(options.papers, 1000), options.rounds),
    }
    store = CACHE / "measured.json"
    measured = json.loads(store.read_text()) if store.exists() and len(options.parts) < len(parts) else {}
    command = " ".join(["python benchmarks/grading.py", *sys.argv[1:]])
    for name in options.parts:
        load = os.getloadavg()[0]
        measured[name] = {"command": command, "load": load, "result": parts[name]()}
        store.write_text(json.dumps(measured))
        options.page.write_text(page(measured))


if __name__ == "__main__":
    main()
