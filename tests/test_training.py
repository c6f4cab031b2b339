import copy
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import distributed_job
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labutils.evidence import OutOfRange
from labutils.training import cosine_schedule, metered, train

IN_FEATURES, HIDDEN, OUT_FEATURES, BATCH = 5, 7, 3, 11


def new_model() -> nn.Module:
    """A model with dropout, so that a resumed run must also draw the same noise."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(IN_FEATURES, HIDDEN), nn.GELU(), nn.Dropout(0.2), nn.Linear(HIDDEN, OUT_FEATURES)
        )


def batches(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(BATCH, IN_FEATURES, generator=torch.Generator().manual_seed(step))
    return x, x[:, :OUT_FEATURES].sin()


def loss(model, batch):
    x, y = batch
    return F.mse_loss(model(x), y)


def interrupted_at(last: int):
    def until(step: int):
        if step == last:
            raise KeyboardInterrupt
        return batches(step)

    return until


def assert_same_weights(a: nn.Module, b: nn.Module) -> None:
    for (name, ours), theirs in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs), name


@pytest.mark.parametrize("stop", [3, 10, 17])
def test_a_resumed_run_equals_one_without_a_break(tmp_path, stop):
    whole, broken, file = new_model(), new_model(), tmp_path / "run" / "checkpoint.pt"
    settings = {"steps": 20, "lr": 1e-2, "checkpoint_every": 5}
    expected = train(whole, batches, loss, **settings)

    with pytest.raises(KeyboardInterrupt):
        train(broken, interrupted_at(stop), loss, checkpoint=file, **settings)
    resumed, seen = new_model(), []
    torch.manual_seed(123)  # another state of the generators must not matter
    losses = train(resumed, lambda step: seen.append(step) or batches(step), loss, checkpoint=file, **settings)

    assert seen[0] == stop // 5 * 5
    assert losses == expected
    assert_same_weights(resumed, whole)


def test_a_finished_checkpoint_is_only_loaded(tmp_path):
    first, second, file = new_model(), new_model(), tmp_path / "checkpoint.pt"
    losses = train(first, batches, loss, steps=4, lr=1e-2, checkpoint=file)
    assert train(second, interrupted_at(0), loss, steps=4, lr=1e-2, checkpoint=file) == losses
    assert_same_weights(first, second)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_a_crash_while_writing_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "checkpoint.pt"
    settings = {"steps": 4, "lr": 1e-2, "checkpoint": file, "checkpoint_every": 2}
    save = torch.save

    def full_disk(state, target):
        if len(state["losses"]) > 2:
            target.write(b"half of it")
            raise OSError("No space left on device")
        save(state, target)

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        train(new_model(), batches, loss, **settings)
    monkeypatch.setattr(torch, "save", save)
    whole, resumed = new_model(), new_model()
    train(whole, batches, loss, steps=4, lr=1e-2)
    train(resumed, batches, loss, **settings)
    assert_same_weights(resumed, whole)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_an_unreadable_checkpoint_is_refused(tmp_path, content):
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint that can be read: delete it"):
        train(new_model(), batches, loss, steps=4, lr=1e-2, checkpoint=file)


def test_a_file_that_holds_something_else_is_refused(tmp_path):
    file = tmp_path / "checkpoint.pt"
    torch.save(torch.zeros(3), file)
    with pytest.raises(ValueError, match="not a checkpoint that can be read"):
        train(new_model(), batches, loss, steps=4, lr=1e-2, checkpoint=file)


class Trap:
    """An object that writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return self.target.write_text, ("code ran",)


def test_a_checkpoint_cannot_run_code(tmp_path):
    file, target = tmp_path / "checkpoint.pt", tmp_path / "trace"
    torch.save({"settings": Trap(target)}, file)
    with pytest.raises(ValueError, match="not a checkpoint that can be read"):
        train(new_model(), batches, loss, steps=4, lr=1e-2, checkpoint=file)
    assert not target.exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    file = tmp_path / "checkpoint.pt"
    train(new_model(), batches, loss, steps=4, lr=1e-2, checkpoint=file)
    with pytest.raises(ValueError, match=r"another run \(lr was 0.01 and is now 0.02\)"):
        train(new_model(), batches, loss, steps=4, lr=2e-2, checkpoint=file)
    with pytest.raises(ValueError, match="the model had other shapes"):
        train(nn.Linear(IN_FEATURES, OUT_FEATURES), batches, loss, steps=4, lr=1e-2, checkpoint=file)


def test_one_step_equals_adamw_by_hand():
    """The first step of Adam moves each parameter by the learning rate against its gradient's sign."""
    model, lr, decay = new_model().eval(), 1e-2, 0.1
    before = copy.deepcopy(model)
    batch_loss = loss(before, batches(0))
    batch_loss.backward()
    norm = torch.cat([p.grad.flatten() for p in before.parameters() if p.grad is not None]).norm().item()
    train(model, batches, lambda _, batch: loss(model.eval(), batch), steps=1, lr=lr, weight_decay=decay, clip=norm / 2)
    for p, q in zip(before.parameters(), model.parameters(), strict=True):
        assert p.grad is not None
        gradient = p.grad / 2
        shrunk = p * (1 - lr * decay) if p.ndim == 2 else p
        # One warm-up step has the full rate.
        expected = shrunk - lr * gradient / (gradient.abs() + 1e-8)
        torch.testing.assert_close(q, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("clip", [1e-3, 1e3])
def test_the_gradient_is_clipped_to_its_norm(clip):
    model, plain = new_model().eval(), new_model().eval()
    loss(plain, batches(0)).backward()
    train(model, batches, lambda _, batch: loss(model.eval(), batch), steps=1, lr=1e-2, clip=clip)
    norms = [torch.cat([p.grad.flatten() for p in m.parameters()]).norm().item() for m in (plain, model)]
    assert norms[1] == pytest.approx(min(norms[0], clip), rel=1e-4)


def test_training_learns():
    model = new_model()
    losses = train(model, batches, loss, steps=200, lr=1e-2)
    assert len(losses) == 200
    assert sum(losses[-20:]) < 0.5 * sum(losses[:20])
    assert not model.training


def test_the_seed_decides_the_noise_and_the_callers_generator_stays():
    first, same, other = new_model(), new_model(), new_model()
    torch.manual_seed(7)
    expected = torch.rand(2)
    torch.manual_seed(7)
    losses = train(first, batches, loss, steps=5, lr=1e-2, seed=1)
    assert torch.equal(torch.rand(2), expected)
    assert train(same, batches, loss, steps=5, lr=1e-2, seed=1) == losses
    assert train(other, batches, loss, steps=5, lr=1e-2, seed=2) != losses


def test_a_loss_that_is_no_number_is_reported():
    with pytest.raises(FloatingPointError, match="The loss is nan at step 0: try a smaller learning rate"):
        train(new_model(), batches, lambda model, batch: loss(model, batch) * torch.nan, steps=2, lr=1e-2)


def test_schedule_rises_then_falls_to_zero():
    shares = [cosine_schedule(step, steps=100, warmup=0.1) for step in range(100)]
    assert shares[:10] == pytest.approx([i / 10 for i in range(1, 11)])
    assert all(a > b for a, b in pairwise(shares[9:]))
    assert shares[54] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 91)))
    assert 0 < shares[-1] < 1e-3
    assert cosine_schedule(0, steps=1, warmup=0.0) == 1


# --- two processes


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict]:
    """What two processes saw that trained together, started as a reader starts them."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("TORCHELASTIC")}
    job = Path(__file__).with_name("distributed_job.py")
    done = subprocess.run(
        [*torchrun, job, folder], env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(folder / f"rank{rank}.pt") for rank in range(2)]


def test_two_processes_get_the_losses_and_the_weights_of_one(together):
    model = distributed_job.new_model()
    losses = train(model, distributed_job.batches, distributed_job.loss, **distributed_job.SETTINGS)
    for seen in together:
        assert seen["losses"] == pytest.approx(losses, rel=1e-9)
        for name, weight in model.state_dict().items():
            torch.testing.assert_close(seen["weights"][name], weight, rtol=1e-7, atol=1e-9)


def test_two_processes_hold_the_same_weights_to_the_last_bit(together):
    first, second = (seen["weights"] for seen in together)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_two_processes_resume_where_they_were(together):
    for seen in together:
        assert seen["resumed_losses"] == seen["losses"]
        assert all(torch.equal(seen["resumed_weights"][name], weight) for name, weight in seen["weights"].items())


def test_each_process_draws_its_own_noise(together):
    assert together[0]["noise"] != together[1]["noise"]


def test_processes_count_alike_however_many_tokens_they_have(together):
    assert [seen["unequal"] for seen in together] == [3.0, 3.0]  # and not (1 * 2 + 3 * 4) / 4


def test_rows_that_cannot_be_shared_are_refused(together):
    for seen in together:
        assert seen["odd"] == "2 processes cannot share 11 rows evenly: change the size of the batch."


def test_a_checkpoint_that_not_all_processes_see_is_refused(together):
    for seen in together:
        assert seen["unseen"].startswith("The processes would start at the steps [20, 0]")


# ------------------------------------------------------------------------------------------------- half precision, cost


@pytest.mark.parametrize(("precision", "error"), [(torch.bfloat16, 2e-2), (torch.float16, 3e-3)])
def test_half_precision_trains_float32_weights_to_about_the_same_loss(precision, error):
    """The error allowed is some units in the last place of the type: 8 bits of precision, or 11."""
    ours, theirs = new_model(), new_model()
    rough = train(ours, batches, loss, steps=20, lr=1e-2, precision=precision)
    exact = train(theirs, batches, loss, steps=20, lr=1e-2)
    assert rough != exact
    assert rough == pytest.approx(exact, rel=error)
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}


def test_gradients_too_small_for_float16_still_train():
    """Gradients of about 1e-9 are 0 in float16, whose smallest number is 6e-8, unless the loss is scaled up."""

    def tiny(model, batch):
        return loss(model, batch) * 1e-7

    def trained(precision):
        return train(new_model(), lambda step: batches(0), tiny, steps=60, lr=3e-2, precision=precision)

    exact = trained(torch.float32)
    assert exact[-1] < 0.5 * exact[0]
    assert trained(torch.float16) == pytest.approx(exact, rel=1e-2, abs=0)


def test_a_run_in_half_precision_resumes_bit_for_bit(tmp_path):
    whole, broken, file = new_model(), new_model(), tmp_path / "checkpoint.pt"
    settings = {"steps": 12, "lr": 1e-2, "precision": torch.float16}
    expected = train(whole, batches, loss, **settings)
    with pytest.raises(KeyboardInterrupt):
        train(broken, interrupted_at(7), loss, checkpoint=file, checkpoint_every=5, **settings)
    assert train(new_model(), batches, loss, checkpoint=file, **settings) == expected
    with pytest.raises(ValueError, match=r"precision was torch\.float16 and is now torch\.float32"):
        train(new_model(), batches, loss, checkpoint=file, steps=12, lr=1e-2)


def test_the_cost_is_measured_in_the_gpu_profile_alone(monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_PROFILE", "cpu")
    with metered("some-claim", tokens=10):
        pass
    assert capsys.readouterr().out == ""
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with metered("some-claim", tokens=10):
        pass
    assert capsys.readouterr().out.startswith("trained on, tokens a second: ≈ ")


def test_more_than_ten_gigabytes_are_refused(monkeypatch, capsys):
    peaks = iter([9 * 2**30, 11 * 2**30])
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: next(peaks))
    with metered("some-claim", tokens=10):
        pass
    assert "≈ 9.00 GiB" in capsys.readouterr().out
    with pytest.raises(OutOfRange, match="is 11"), metered("some-claim", tokens=10):
        pass
