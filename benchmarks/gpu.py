"""What the labs cost and how near they come to the exact laws: the table in benchmarks/gpu.md.

    python benchmarks/gpu.py            # on a machine with a GPU all labs in the gpu profile, else in the cpu profile
    python benchmarks/gpu.py 04 06      # these labs only
    python benchmarks/gpu.py --missing  # the labs that have no result in this profile: to go on after a break

Each lab's solution is run by nbclient in an empty folder. What was measured before, of other labs or in the other
profile, stays: benchmarks/gpu.json holds it, and is written after every lab. A cell that fails does not end the run;
the table counts such cells. Nor does a lab whose kernel dies or hangs; it is named, and has no result.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from labutils import runtime
from labutils.files import whole_file

ROOT = Path(__file__).resolve().parent.parent
RESULTS, TABLE = Path(__file__).with_suffix(".json"), Path(__file__).with_suffix(".md")
SECONDS = 3600  # a cell that takes longer hangs

# Dense products in 16 bits, operations a second, as the maker gives them [nvidia2018turing] [nvidia2022h100].
PEAKS = {"Tesla T4": 65e12, "NVIDIA H100 80GB HBM3": 989e12}

# The number by which a lab says how near a model that it has trained comes to the exact law; on a GPU that of a bigger
# model, if the lab trains one there.
NEAR: dict[str, dict[str, str]] = {
    "02": dict.fromkeys(("cpu", "gpu"), "llm-size-understanding/kl-32-fresh"),
    "03": dict.fromkeys(("cpu", "gpu"), "pretrain-quality-filter/kl-good"),
    "04": {
        "cpu": "pretrain-statistical-representation/above-floor",
        "gpu": "pretrain-statistical-representation/above-floor-big",
    },
    "05": {"cpu": "enc-denoising-analogy/gap-bert", "gpu": "enc-denoising-analogy/gap-big"},
    "06": {"cpu": "seq2seq-decoder-reconstructs-sentence/way", "gpu": "seq2seq-decoder-reconstructs-sentence/way-big"},
    "08": {"gpu": "since-gqa-mla/big-8"},
    "09": {"cpu": "pos-rotary/loss-rope-1-16", "gpu": "pos-rotary/loss-rope-big-1-16"},
    "12": {"gpu": "temp-t1-as-is/above-big"},
    "13": {"cpu": "synth-responses/kl-real-800", "gpu": "synth-responses/kl-big-words"},
}

ABOUT = """\
# The labs on a CPU and on a GPU

Written by `python benchmarks/gpu.py`. Each cell of the table holds CPU / GPU; – stands for what was not run. On a
machine with a GPU that command fills the GPU's side, lab by lab; stopped, it goes on with `--missing`.

On the CPU: seconds of the processor, with one thread, and the memory of the whole process. On the GPU: seconds of the
clock, and the memory that torch took on the card. Tokens and operations are counted in training alone, which is in 32
bits unless a lab asks for less; the peak is what the card's maker gives for dense products in 16 bits. "Near the law"
is the number that the lab measures under the keys in the last table; where these differ, the GPU trains a bigger model.
"""

# Runs before the lab, which then imports the `train` that is put in the place of the real one. The operations of a
# training are those of its first forward pass, three times (the backward pass is twice as much), times its steps.
# All is kept in one function, for the lab may use any name.
BEFORE = '''\
def _keep_account():
    import json, resource, time
    import torch
    from torch import nn
    from torch.utils.flop_counter import FlopCounterMode
    from labutils import runtime, training

    on_gpu = runtime.device().type == "cuda"
    train, account = training.train, {"tokens": 0, "operations": 0, "seconds": 0.0}

    def clock():
        """On a GPU the time of day, when its work is done; else the processor's, which other work does not change."""
        if on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() if on_gpu else time.process_time()

    def counting_train(model, batches, loss, *, steps, **settings):
        read, counts = [], []
        hooks = [
            module.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0].numel()))
            for module in model.modules() if isinstance(module, nn.Embedding)
        ]

        def counting_loss(model, batch):
            if counts:
                return loss(model, batch)
            with FlopCounterMode(display=False) as counter:
                value = loss(model, batch)
            counts.append(counter.get_total_flops())
            for hook in hooks:
                hook.remove()
            return value

        start = clock()
        losses = train(model, batches, counting_loss, steps=steps, **settings)
        account["seconds"] += clock() - start
        account["tokens"] += sum(read) * steps
        account["operations"] += 3 * sum(counts) * steps
        return losses

    def close(started=clock()):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps(account | {
            "lab_seconds": clock() - started,
            "memory": (torch.cuda.max_memory_allocated() if on_gpu else peak) / 2**30,
            "device": torch.cuda.get_device_name() if on_gpu else "CPU, one thread",
        }))

    training.train, training.close_account = counting_train, close

_keep_account()
'''

AFTER = """\
from labutils import training
training.close_account()
"""


def run(notebook: NotebookNode, profile: str) -> NotebookNode:
    """Run it in an empty folder, in this profile; on the CPU offline and with one thread."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder:
        env = os.environ | {"LABUTILS_PROFILE": profile}
        if profile == "cpu":
            env |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        client = NotebookClient(notebook, timeout=SECONDS, allow_errors=True, resources={"metadata": {"path": folder}})
        return client.execute(env=env)


def result(notebook: NotebookNode) -> dict[str, Any]:
    """What the last cell printed, the lab's evidence by its key, and how many cells failed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    printed = json.loads(outputs[-1].text)
    evidence = [output.metadata.evidence for output in outputs if "evidence" in output.get("metadata", {})]
    values = {f"{record.claim}/{record.name}": [record.value, record.unit] for record in evidence}
    failed = sum(output.output_type == "error" for output in outputs)
    wanted = {key: None for keys in NEAR.values() for key in keys.values()}
    return printed | {"near": {key: values[key] for key in wanted if key in values}, "failed": failed}


def made(path: Path) -> NotebookNode:
    """A lab's solution with a cell before it and one after."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [nbformat.v4.new_code_cell(BEFORE), *notebook.cells, nbformat.v4.new_code_cell(AFTER)]
    return notebook


def table(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The page: a row for each lab, and for each quantity the CPU and the GPU side by side. A dash is "not run"."""
    columns = ["lab", "seconds", "trained on, tokens/s", "operations/s", "share of the peak", "memory, GiB",
               "near the law", "failed cells"]  # fmt: skip
    lines = [
        ABOUT,
        "| " + " | ".join(columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
    ]
    for lab, profiles in sorted(results.items()):
        both = [described(lab, profile, profiles.get(profile)) for profile in ("cpu", "gpu")]
        lines.append(f"| {lab} | " + " | ".join(" / ".join(pair) for pair in zip(*both, strict=True)) + " |")
    devices = sorted({run["device"] for profiles in results.values() for run in profiles.values()})
    lines += [
        "",
        "Devices: " + "; ".join(devices) + ".",
        "",
        "| lab | key on a CPU | key on a GPU |",
        "| --- | --- | --- |",
    ]
    for lab, keys in NEAR.items():
        named = [f"`{keys[profile]}`" if profile in keys else "–" for profile in ("cpu", "gpu")]
        lines.append(f"| {lab} | " + " | ".join(named) + " |")
    return "\n".join(lines) + "\n"


def described(lab: str, profile: str, found: dict[str, Any] | None) -> list[str]:
    """The columns of one lab in one profile, as words."""
    if found is None:
        return ["–"] * 7
    seconds, peak = found["seconds"], PEAKS.get(found["device"])
    rate = found["operations"] / seconds if seconds else 0.0
    value, unit = found["near"].get(NEAR.get(lab, {}).get(profile), (None, ""))
    return [
        f"{found['lab_seconds']:.0f}",
        _rate(found["tokens"], seconds),
        f"{rate:.1e}" if seconds else "–",
        "unknown" if peak is None else f"{rate / peak:.2%}",
        f"{found['memory']:.2f}",
        "–" if value is None else f"{value:.3g} {unit}".strip(),
        str(found["failed"]),
    ]


def _rate(tokens: int, seconds: float) -> str:
    """Tokens a second, as words. A model without an embedding reads no tokens that could be counted."""
    if not seconds:
        return "trains nothing"
    return f"{tokens / seconds:,.0f}" if tokens else "no tokens"


def put(path: Path, text: str) -> None:
    """Write a file in one piece: who stops the run leaves the old one or the new one."""
    with whole_file(path) as file:
        file.write(text.encode())


def main(arguments: list[str]) -> int:
    """The command line; 1 if anything failed."""
    parser = argparse.ArgumentParser(description="Run labs and write down what they cost: benchmarks/gpu.md.")
    parser.add_argument("labs", nargs="*", help="such as 04; without one, all")
    parser.add_argument("--missing", action="store_true", help="only labs that have no result in this profile")
    asked, profile, failed = parser.parse_args(arguments), runtime.profile(), 0
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for path in sorted((ROOT / "labs" / "solutions").glob("*.ipynb")):
        lab = path.name[:2]
        if (asked.labs and lab not in asked.labs) or (asked.missing and profile in results.get(lab, {})):
            continue
        try:
            found = result(run(made(path), profile))
        except (CellTimeoutError, DeadKernelError) as error:
            print(f"{lab}  {profile}  {type(error).__name__}: no result", flush=True)
            failed += 1
            continue
        failed += found["failed"]
        results.setdefault(lab, {})[profile] = found
        put(RESULTS, json.dumps(results, indent=1, sort_keys=True) + "\n")
        put(TABLE, table(results))
        print(lab, profile, *described(lab, profile, found), sep="  ", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
