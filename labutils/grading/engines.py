"""Who grades the papers of a run: processes of this machine, or the workers of a Dask cluster.

An engine is called as `engine(papers, settings)` and yields each paper's result once, in any order. What grades may end
at any moment, by a bug, for want of memory, or with its machine. That costs the paper one retry; a paper with which it
happens again gets 0 and a sentence of its own. Each process that grades has a sandbox of its own, and is not let near
a paper before it has shown that the sandbox isolates.
"""

import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Generator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from typing import Any

import torch

from labutils.grading.batch import BatchError, Paper, Settings, give_up, grade_paper, version
from labutils.grading.sandbox import Isolation, Sandbox, SandboxError

PATIENCE, LOOK = 600.0, 5.0  # seconds for one paper, which the sandbox's own limits end well before; between looks
FEW, MANY = 40, 200  # papers in a task of a cluster: its sandbox takes as long to start as some forty take to grade


def start(settings: Settings) -> Sandbox:
    """A sandbox that isolates, or any in practice mode. Raises SandboxError."""
    sandbox = Sandbox()
    if sandbox.isolation.complete or settings.practice:
        return sandbox
    sandbox.close()
    raise SandboxError(
        f"{sandbox.isolation.sentence} No grades are given. Use Linux 5.13 or newer on x86_64 or aarch64, "
        "or pass --practice if you trust this code."
    )


# --- processes of this machine ---------------------------------------------------------------------------------------


class _Grader:
    """A process that grades one paper after another."""

    def __init__(self, settings: Settings, scratch: str, others: list["_Grader"]):
        self.connection, theirs = multiprocessing.Pipe()
        ours = [self.connection, *(other.connection for other in others)]
        fork = multiprocessing.get_context("fork")  # torch is here already; a new interpreter would load it for 2 s
        self._process = fork.Process(target=_serve, args=(theirs, ours, os.getpid(), settings, scratch), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns where other threads run, whose locks would stay locked. Ours waits for no thread.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process.start()
        theirs.close()
        self.isolation: Isolation | None = None  # until the sandbox has started
        self.paper: Paper | None = None
        self.since = time.monotonic()

    def give(self, paper: Paper) -> None:
        """Send the next paper."""
        self.paper, self.since = paper, time.monotonic()
        with suppress(OSError):  # it has just ended: its end is read next
            self.connection.send(paper)

    def interrupt(self) -> None:
        """End it, wherever it is; its pipe will tell. The sandbox ends with it."""
        self._process.kill()

    def kill(self) -> None:
        """End it and forget it."""
        self._process.kill()
        self._process.join()
        self.connection.close()

    def close(self) -> None:
        """Let it end by itself."""
        self.connection.close()
        self._process.join(10)
        self._process.kill()


def _serve(connection: Connection, others: list[Connection], parent: int, settings: Settings, scratch: str) -> None:
    from labutils.grading import rings  # it cannot be imported on other systems

    for other in others:
        other.close()  # else nobody would see the end of a process whose pipe is held here
    rings.die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who reads the results
    tempfile.tempdir = scratch
    torch.set_num_threads(1)  # the tensors are small: threads would only wait for each other
    try:
        sandbox = start(settings)
    except SandboxError as error:
        connection.send(str(error))
        return
    with sandbox, suppress(EOFError, ConnectionError, SandboxError):  # the run is over, or the sandbox
        connection.send(sandbox.isolation)
        while True:
            connection.send(grade_paper(connection.recv(), settings, sandbox))


def local(papers: list[Paper], settings: Settings, *, jobs: int) -> Generator[dict, None, None]:
    """Grade with `jobs` processes. Raises SandboxError where they cannot start or do not isolate."""
    if sys.platform != "linux":
        start(settings)  # it says why not
    waiting, deaths, failures = deque(papers), Counter[Paper](), 0
    graders: list[_Grader] = []
    with tempfile.TemporaryDirectory(prefix="grading-") as scratch:
        try:
            while waiting or any(grader.paper for grader in graders):
                while len(graders) < min(jobs, len(waiting) + sum(grader.paper is not None for grader in graders)):
                    graders.append(_Grader(settings, scratch, graders))
                for grader in graders:
                    if waiting and grader.isolation and not grader.paper:
                        grader.give(waiting.popleft())
                ready = wait_for([grader.connection for grader in graders], timeout=LOOK)
                for grader in [grader for grader in graders if grader.connection in ready]:
                    paper, grader.paper = grader.paper, None
                    try:
                        message = grader.connection.recv()
                    except (EOFError, OSError):  # it has ended
                        graders.remove(grader)
                        grader.kill()
                        if paper is None or grader.isolation is None:
                            failures += 1
                            if failures == 2:
                                raise SandboxError(
                                    "A grading process ended while it started, and so did the next one. "
                                    "Is there enough memory?"
                                ) from None
                            continue
                        deaths[paper] += 1
                        if deaths[paper] == 1:
                            waiting.appendleft(paper)
                        else:
                            yield give_up(paper, settings, grader.isolation)
                        continue
                    if isinstance(message, str):
                        raise SandboxError(message)
                    if isinstance(message, Isolation):
                        grader.isolation, failures = message, 0
                        continue
                    if waiting:  # before the result is looked at, so that nobody waits for that
                        grader.give(waiting.popleft())
                    yield message
                for grader in graders:
                    if grader.paper and time.monotonic() - grader.since > PATIENCE:
                        grader.interrupt()
            for grader in graders:
                grader.close()
        finally:
            for grader in graders:
                grader.kill()


# --- a cluster -------------------------------------------------------------------------------------------------------

_ALONE = threading.Lock()  # torch's random state belongs to the process: start workers with one thread each


def _probe(settings: Settings) -> tuple[str, Isolation]:
    with _ALONE, start(settings) as sandbox:
        return version(), sandbox.isolation


def grade_chunk(papers: list[Paper], settings: Settings) -> tuple[str, list[dict]]:
    """What a worker of a cluster does with a task. Returns its version too. Raises SandboxError."""
    torch.set_num_threads(1)
    results = []
    with _ALONE:
        sandbox = start(settings)
        try:
            for paper in papers:
                for _ in range(2):
                    try:
                        results.append(grade_paper(paper, settings, sandbox))
                        break
                    except SandboxError:
                        sandbox.close()
                        sandbox = start(settings)
                else:
                    results.append(give_up(paper, settings, sandbox.isolation))
        finally:
            sandbox.close()
    return version(), results


def chunks(papers: list[Paper], workers: int) -> list[list[Paper]]:
    """Tasks of FEW to MANY papers: about four for each worker if there are enough, so that all end together."""
    least = min(FEW, -(-len(papers) // workers))
    size = max(1, min(MANY, max(least, -(-len(papers) // (4 * workers)))))
    return [papers[first : first + size] for first in range(0, len(papers), size)]


def spread(
    papers: list[Paper], settings: Settings, executor: Executor, *, workers: int, lost: tuple[type[Exception], ...]
) -> Generator[dict, None, None]:
    """Grade through an executor of `concurrent.futures`, which raises one of `lost` where a task ended its worker.

    Such a task is halved until the paper that did it stands alone.
    """
    graded_by, isolation = executor.submit(_probe, settings).result()
    tasks: dict[Future, list[Paper]] = {}

    def submit(papers: list[Paper]) -> None:
        tasks[executor.submit(grade_chunk, papers, settings)] = papers

    _same_version(graded_by)
    for chunk in chunks(papers, workers):
        submit(chunk)
    while tasks:
        for task in wait(tasks, return_when=FIRST_COMPLETED).done:
            chunk = tasks.pop(task)
            try:
                graded_by, results = task.result()
            except lost:
                if len(chunk) == 1:
                    yield give_up(chunk[0], settings, isolation)
                else:
                    submit(chunk[: len(chunk) // 2])
                    submit(chunk[len(chunk) // 2 :])
                continue
            _same_version(graded_by)
            yield from results


def _same_version(theirs: str) -> None:
    if theirs != version():
        raise BatchError(f"A worker has another grader than you: {theirs}, and here {version()}. Install the same.")


def dask(papers: list[Paper], settings: Settings, *, address: str, jobs: int) -> Generator[dict, None, None]:
    """Grade on the Dask cluster at `address`, or on one of `jobs` processes here if that is "local".

    The workers read the papers by their paths, so they need the same folders. They are sent the seed, and whoever can
    reach the cluster's ports can run code on it: use one that is yours alone, and `local` on no machine that others log
    in to. Raises BatchError, SandboxError, OSError.
    """
    with _client(address, jobs) as (client, lost):
        workers = len(client.scheduler_info(n_workers=-1)["workers"])
        with client.get_executor() as executor:
            yield from spread(papers, settings, executor, workers=workers, lost=(lost,))


@contextmanager
def _client(address: str, jobs: int):
    try:
        import dask.config
        from distributed import Client, KilledWorker, LocalCluster
    except ModuleNotFoundError:
        raise BatchError("--dask needs Dask: pip install 'labutils[dask]'.") from None
    if address != "local":
        with Client(address, timeout=30) as client:
            client.wait_for_workers(1, timeout=60)
            yield client, KilledWorker
        return
    here: dict[str, Any] = {
        "n_workers": jobs,
        "threads_per_worker": 1,
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": 50,
    }
    one_retry = {"distributed.scheduler.allowed-failures": 1}
    with dask.config.set(one_retry), LocalCluster(**here) as cluster, Client(cluster) as client:
        yield client, KilledWorker
