"""The gpu profile without a GPU: labs are rehearsed in it, so that a slip in what only a GPU would run is red here.

`rehearsal.py` says how. It takes the smaller of two sizes; that the larger one is like it is seen from the source.
"""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import torch
from lab_source import Cell, Lab, read_lab
from nbclient.exceptions import DeadKernelError
from turns import whose_turn

from benchmarks import gpu
from labutils import attention, training
from labutils.models import POSITIONS, Config, Decoder, Encoder, EncoderDecoder
from labutils.objectives import causal_loss

TESTS = Path(__file__).parent
SOURCES = sorted((TESTS.parent / "labs").glob("[0-9][0-9]_*.py"))


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem[:2])
def lab(request) -> Lab:
    return read_lab(request.param)


def code(lab: Lab) -> list[Cell]:
    return [cell for cell in lab.cells if cell.kind not in ("markdown", "setup")]


def rehearse(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, TESTS / "rehearsal.py", path]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("path", whose_turn(SOURCES, shift=1), ids=lambda path: path.stem[:2])
def test_what_only_the_gpu_profile_runs_works_and_fits_into_ten_gigabytes(path):
    done = rehearse(path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["memory"] < training.GPU_MEMORY / 2  # as much again for what lives for a moment
    assert [key for key in found["measured"] if key.endswith("-rate")]
    assert gpu.NEAR.get(path.name[:2], {}).get("gpu") in [*found["measured"], None]


TOY = """\
# %%
from labutils.evidence import measure
from labutils.runtime import profile
from labutils.training import train
steps = {"cpu": 1, "gpu": 1000}[profile()]
measure("some-claim", steps, between=(5, 6), what="steps")

# %%
if profile() == "gpu":
    print(stepz)
"""


def test_a_slip_in_a_branch_for_the_gpu_is_red(tmp_path):
    path = tmp_path / "99_toy.py"
    path.write_text(TOY, encoding="utf-8")
    assert "NameError: name 'stepz' is not defined" in rehearse(path).stderr
    path.write_text(TOY.replace("stepz", "steps"), encoding="utf-8")
    assert rehearse(path).returncode == 0


def test_a_lab_asks_for_its_profile_in_two_ways_alone(lab):
    """`{"cpu": small, "gpu": large}[profile()]`, both of one type, or a comparison with a profile's name."""
    for cell in code(lab):
        calls = {node for node in ast.walk(ast.parse(cell.source)) if _asks(node)}
        for node in ast.walk(ast.parse(cell.source)):
            match node:
                case ast.Subscript(value=ast.Dict(keys=keys, values=values), slice=asked) if _asks(asked):
                    assert [ast.literal_eval(key) for key in keys if key] == ["cpu", "gpu"], cell.place
                    small, large = map(ast.literal_eval, values)
                    assert type(small) is type(large), cell.place
                    assert not isinstance(small, int) or small < large, cell.place
                    calls.pop()
                case ast.Compare(left=asked, ops=[ast.Eq()], comparators=[name]) if _asks(asked):
                    assert ast.literal_eval(name) in ("cpu", "gpu"), cell.place
                    calls.pop()
        assert not calls, f"{cell.place} asks for the profile in another way, which no rehearsal knows"


def test_every_lab_measures_what_its_training_costs_on_a_gpu(lab):
    """Tokens a second and the peak of the memory come from `metered`."""
    trees = [ast.walk(ast.parse(cell.source)) for cell in code(lab)]
    blocks = [node for tree in trees for node in tree if isinstance(node, ast.With)]
    assert any("metered(" in ast.unparse(block.items[0]) for block in blocks)


def _asks(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "profile"


def test_no_cell_compiles_a_model(lab):
    """Compiling takes longer than a small training, and torch's compiler fails for bfloat16 on older cards."""
    for cell in code(lab):
        assert not re.search(r"\btorch\.compile\b|(?<!\bre)\.compile\(", cell.source), cell.place


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("kind", [Decoder, Encoder, EncoderDecoder])
def test_models_train_in_half_precision_with_the_fused_attention(kind, position, monkeypatch):
    """As on a GPU, but for the kernel. bfloat16 keeps 8 bits."""
    tokens = torch.randint(20, (4, 9), generator=torch.Generator().manual_seed(0))
    config = Config(vocab_size=20, d_model=16, n_heads=2, n_layers=1, n_kv_heads=1, position=position)

    def loss(model, batch):
        return causal_loss(model(batch, batch) if kind is EncoderDecoder else model(batch), batch)

    def trained(precision):
        torch.manual_seed(0)
        return training.train(kind(config), lambda step: tokens, loss, steps=3, lr=1e-2, precision=precision)

    exact = trained(torch.float32)
    monkeypatch.setattr(attention, "grouped_attention", attention.fused_attention)
    assert trained(torch.float32) == pytest.approx(exact, rel=1e-5)
    assert trained(torch.bfloat16) == pytest.approx(exact, rel=2e-2)


# ------------------------------------------------------------------------------------------------- the table of costs

COSTLY = """
import torch
from labutils.evidence import measure
from labutils.models import Config, Decoder
from labutils.training import train
train(Decoder(Config(vocab_size=9, d_model=8, n_heads=2)), lambda step: torch.zeros(4, 5, dtype=torch.int64),
      lambda model, tokens: model(tokens).mean(), steps=7, lr=0.01)
json = clock = account = None
measure("pretrain-statistical-representation", 1.5, between=(1, 2), name="above-floor", what="gap", unit="%")
"""


def test_the_table_holds_what_a_notebook_cost(tmp_path, monkeypatch):
    cells = [nbformat.v4.new_code_cell(source) for source in (COSTLY, "1 / 0")]
    path = tmp_path / "04_toy.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    found = gpu.result(gpu.run(gpu.made(path), "cpu"))
    assert (found["tokens"], found["failed"], found["device"]) == (4 * 5 * 7, 1, "CPU, one thread")
    assert found["near"] == {"pretrain-statistical-representation/above-floor": [1.5, "%"]}
    # In a layer 12 d² weights, each in one product of 2 operations a token, and 2·2·T·d for attention; 9 d at the end.
    assert found["operations"] == 3 * 7 * 4 * 5 * (2 * (2 * 12 * 8**2 + 4 * 5 * 8) + 2 * 9 * 8)
    assert 0 < found["seconds"] < found["lab_seconds"]

    near = {gpu.NEAR["04"]["gpu"]: [0.2, "%"]}
    card = found | {"device": "Tesla T4", "operations": 65e12, "seconds": 4.0, "near": near}
    (row,) = [
        line for line in gpu.table({"04": {"cpu": found, "gpu": card}}).splitlines() if line.startswith("| 04 | ")
    ][:1]
    assert "| unknown / 25.00% |" in row
    assert "| 1.5 % / 0.2 % | 1 / 1 |" in row


@pytest.mark.parametrize("number", sorted(gpu.NEAR))
def test_a_lab_measures_on_the_cpu_what_the_table_looks_for(number):
    (path,) = (path for path in SOURCES if path.name.startswith(number))
    if "cpu" in gpu.NEAR[number]:
        claim, _, name = gpu.NEAR[number]["cpu"].partition("/")
        cells = nbformat.read(path.with_suffix(".ipynb"), as_version=4).cells
        evidence = [output.metadata.get("evidence", {}) for cell in cells for output in cell.get("outputs", ())
                    if "metadata" in output]  # fmt: skip
        assert (claim, name) in [(record.get("claim"), record.get("name")) for record in evidence]


def test_a_run_that_is_stopped_keeps_its_results_and_goes_on_with_what_is_missing(tmp_path, monkeypatch, capsys):
    """In the gpu profile, as `python benchmarks/gpu.py` is started on a machine with a GPU."""
    solutions = tmp_path / "labs" / "solutions"
    solutions.mkdir(parents=True)
    for name in ("04_toy", "05_dies", "06_toy"):
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(COSTLY)]), solutions / f"{name}.ipynb")
    for name, value in (("ROOT", tmp_path), ("RESULTS", tmp_path / "gpu.json"), ("TABLE", tmp_path / "gpu.md")):
        monkeypatch.setattr(gpu, name, value)
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    done = gpu.run(gpu.made(solutions / "04_toy.ipynb"), "gpu")
    outcomes = iter((done, DeadKernelError("Kernel died"), KeyboardInterrupt(), done))

    def run(notebook, profile):
        if isinstance(outcome := next(outcomes), BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(gpu, "run", run)
    with pytest.raises(KeyboardInterrupt):
        gpu.main([])
    assert "05  gpu  DeadKernelError: no result" in capsys.readouterr().out
    first = json.loads(gpu.RESULTS.read_text())
    assert list(first) == ["04"]
    assert list(first["04"]) == ["gpu"]
    assert gpu.main(["--missing", "04", "06"]) == 0
    after = json.loads(gpu.RESULTS.read_text())
    assert after["04"] == first["04"]
    assert list(after) == ["04", "06"]
    assert "\n| 06 | – / " in gpu.TABLE.read_text(encoding="utf-8")
    assert not list(tmp_path.glob("*.unfinished"))


def test_the_table_is_what_the_results_say():
    stored = json.loads(gpu.RESULTS.read_text(encoding="utf-8"))
    assert gpu.TABLE.read_text(encoding="utf-8") == gpu.table(stored)
