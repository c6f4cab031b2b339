"""Loading is tested on stand-ins: from a folder laid out as the hub's cache, and from a small hub on this machine."""

import json
import os
import re
import shutil
import subprocess
import sys

import hub_server
import huggingface_hub
import pytest
import torch
import transformers
from huggingface_hub import constants

from labutils import hub
from labutils.sampling import HuggingFaceModel, generate

JOBS = list(hub.MODELS)
WEIGHTS = "model.safetensors"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No test meets this machine's own cache, nor the real hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    point_to(monkeypatch, "http://127.0.0.1:9")
    monkeypatch.delenv("LABUTILS_MODELS", raising=False)
    monkeypatch.setenv("LABUTILS_PROFILE", "cpu")


def point_to(monkeypatch, address):
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def cached(stand_in_cache, monkeypatch):
    """The stand-ins in the cache, and no network."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(stand_in_cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def server(stand_ins, monkeypatch):
    """A hub that has the stand-ins, and an empty cache."""
    repositories = {hub.MODELS[job].id: (hub.MODELS[job].revision, folder) for job, folder in stand_ins.items()}
    with hub_server.running(repositories) as running:
        point_to(monkeypatch, running.address)
        yield running


def said(job="decoder"):
    """What a reader is told who cannot have the model."""
    with pytest.raises(hub.Unavailable) as refused:
        hub.load(job)
    return str(refused.value)


# What is loaded


@pytest.mark.parametrize("job", JOBS)
def test_the_saved_weights_come_in_the_number_type_asked_for(cached, stand_ins, job):
    model, tokenizer = hub.load(job, dtype=torch.float64)
    saved = getattr(transformers, hub.MODELS[job].kind).from_pretrained(stand_ins[job], dtype=torch.float64)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float64}
    for name, weight in saved.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], weight, rtol=0, atol=0)
    written = json.loads((stand_ins[job] / "tokenizer.json").read_text())["model"]["vocab"]
    assert len(tokenizer) >= len(written) > 500
    text = "the bank of the river"
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


@pytest.mark.parametrize("job", JOBS)
def test_attention_is_kept_only_where_it_is_to_be_read(cached, job):
    assert hub.load(job)[0].config._attn_implementation == "sdpa"
    model, tokenizer = hub.load(job, read_attention=True)
    tokens = torch.tensor([tokenizer.encode("the bank of the river")])
    model = model.encoder if job == "encoder-decoder" else model
    layers = model(tokens, output_attentions=True).attentions
    n = tokens.shape[1]
    assert layers
    assert all(weights.shape[-2:] == (n, n) for weights in layers)
    torch.testing.assert_close(layers[0].sum(-1), torch.ones(layers[0].shape[:-1]))


def test_the_courses_own_loop_runs_on_it(cached):
    model, _ = hub.load("decoder")
    ours = generate(HuggingFaceModel(model), torch.tensor([[1, 2]]), max_new_tokens=6, greedy=True)
    theirs = model.generate(
        torch.tensor([[1, 2]]), max_new_tokens=6, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert torch.equal(ours.tokens, theirs)


@pytest.mark.parametrize(
    ("capability", "decoder", "encoder_decoder"),
    [((8, 0), torch.bfloat16, torch.bfloat16), ((7, 5), torch.float16, torch.float32)],
)
def test_cuda_gets_what_it_computes_well_in(monkeypatch, capability, decoder, encoder_decoder):
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)  # a T4 says so too
    cuda = torch.device("cuda")
    assert hub.number_type(hub.MODELS["decoder"], cuda) == decoder
    assert hub.number_type(hub.MODELS["encoder-decoder"], cuda) == encoder_decoder
    assert hub.number_type(hub.MODELS["decoder"], torch.device("mps")) == torch.float32
    assert hub.number_type(hub.MODELS["decoder"], torch.device("cpu")) == torch.float32


@pytest.mark.parametrize(("job", "body"), [("embedding", ""), ("encoder", "bert"), ("decoder", "transformer")])
def test_a_texts_vector_is_the_mean_that_a_padded_batch_gives(cached, job, body):
    model, tokenizer = hub.load(job, dtype=torch.float64)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    texts = ["the bank of the river", "a boat", "the farmer watches some horses and the dogs near the barn"]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    reader = getattr(model, body) if body else model
    states, real = reader(**batch).last_hidden_state, batch["attention_mask"][..., None]
    wanted = ((states * real).sum(1) / real.sum(1)).float()  # a vector is stored in single precision
    torch.testing.assert_close(hub.embed(model, tokenizer, texts), wanted)


def test_loading_prints_nothing_when_there_is_nothing_to_fetch(cached, capfd):
    hub.load("encoder")  # a checkpoint with weights that this class has no use for
    assert capfd.readouterr() == ("", "")


def test_the_environment_of_an_offline_machine_is_enough(stand_in_cache):
    """Nothing patched: a new process that knows the cache and that it is offline."""
    code = "from labutils import hub; model, tokenizer = hub.load('embedding'); print(type(model).__name__)"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(stand_in_cache)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "BertModel\n"
    assert done.stderr == ""


# What is offered


def test_an_offer_costs_one_line_unless_the_model_is_wanted(cached, monkeypatch, capsys):
    assert hub.offer("decoder") is None
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert "openai-community/gpt2 (124 million parameters, 549 MB, licence MIT)" in line
    (command,) = re.findall("`(.*?)`", line)
    assert command == 'import os; os.environ["LABUTILS_MODELS"] = "1"'
    monkeypatch.setenv("LABUTILS_MODELS", "1")
    assert hub.offer("decoder", dtype=torch.float64)[0].dtype == torch.float64
    monkeypatch.delenv("LABUTILS_MODELS")
    monkeypatch.setenv("LABUTILS_PROFILE", "gpu")
    assert hub.offer("decoder")[0].dtype == torch.float32
    assert capsys.readouterr().out == ""


def test_an_offer_that_fails_says_why_in_one_line(monkeypatch, capsys):
    monkeypatch.setenv("LABUTILS_MODELS", "1")
    assert hub.offer("decoder") is None
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    assert line.startswith("openai-community/gpt2 (124 million parameters, 549 MB, licence MIT) is not on this machine")


# Fetching


def test_the_server_is_a_hub_to_the_hubs_own_client(server, stand_ins, tmp_path):
    """The client's own way to a whole repository, which the course does not go."""
    source = hub.MODELS["base"]
    huggingface_hub.snapshot_download(source.id, revision=source.revision, local_dir=tmp_path / "all", token=False)
    for path in stand_ins["base"].iterdir():
        assert (tmp_path / "all" / path.name).read_bytes() == path.read_bytes()


def test_the_first_time_fetches_the_pinned_files_and_the_second_nothing(server, stand_ins, capsys):
    tokens = torch.tensor([[5, 6, 7]])
    model, _ = hub.load("decoder")
    assert capsys.readouterr().out.splitlines() == [
        "Fetching openai-community/gpt2 (124 million parameters, 549 MB, licence MIT) from the model hub, once."
    ]
    assert {name for method, name, _ in server.requests if method == "GET"} == set(hub.FILES)
    saved = transformers.AutoModelForCausalLM.from_pretrained(stand_ins["decoder"]).eval()
    torch.testing.assert_close(model(tokens).logits, saved(tokens).logits)
    server.requests.clear()
    hub.load("decoder")
    assert server.requests == []
    assert capsys.readouterr().out == ""


def test_what_is_to_be_fetched_is_said_before(server, monkeypatch):
    requests = []
    monkeypatch.setattr("builtins.print", lambda *_: requests.append([method for method, _, _ in server.requests]))
    hub.load("decoder")
    assert requests == [["HEAD"] * len(hub.FILES)]


def test_only_what_is_missing_is_fetched(server, tmp_path):
    hub.load("decoder")
    (link,) = (tmp_path / "cache").rglob("tokenizer.json")
    link.resolve().unlink()
    link.unlink()
    server.requests.clear()
    hub.load("decoder")
    assert {name for _, name, _ in server.requests} == {"tokenizer.json"}


def test_a_broken_download_goes_on_where_it_stopped(server, stand_ins, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # the client keeps whole chunks only
    server.breaks[WEIGHTS] = 2
    hub.load("decoder")
    size = (stand_ins["decoder"] / WEIGHTS).stat().st_size
    starts = [start for method, name, start in server.requests if (method, name) == ("GET", WEIGHTS)]
    assert starts == pytest.approx([0, size / 2, size * 3 / 4], abs=3000)


def test_a_download_that_never_ends_is_given_up(server, monkeypatch, tmp_path):
    monkeypatch.setattr("time.sleep", lambda _: None)
    server.breaks[WEIGHTS] = 1000
    assert re.fullmatch(r"model.safetensors of openai-community/gpt2 did not arrive: .+\. Run the cell again\.", said())
    assert not list((tmp_path / "cache").rglob("*.incomplete"))
    server.breaks.clear()
    hub.load("decoder")


def test_a_file_of_the_wrong_size_is_refused(server):
    server.cut.add(WEIGHTS)
    assert re.search(r"model.safetensors of openai-community/gpt2 did not arrive: .*should be of size", said())
    server.cut.clear()
    hub.load("decoder")


def test_a_file_with_a_wrong_bit_is_refused_and_fetched_anew(server):
    server.damaged.add(WEIGHTS)
    assert said() == (
        "model.safetensors of openai-community/gpt2 is damaged: its checksum is not the one that the hub names. It has "
        "been deleted; run the cell again to fetch it anew."
    )
    server.damaged.clear()
    hub.load("decoder")


@pytest.mark.parametrize("shared", [False, True], ids=["own", "shared"])
def test_a_cache_with_a_wrong_bit_is_refused(stand_in_cache, monkeypatch, tmp_path, shared):
    cache = tmp_path / "cache"
    shutil.copytree(stand_in_cache, cache, symlinks=True)
    (link,) = cache.rglob("models--openai-community--gpt2/snapshots/*/" + WEIGHTS)
    stored = link.parent / link.readlink()
    if shared:  # newer versions of the client move the content on, to a store with names of another kind
        (cache / "blobs").mkdir()
        stored.rename(cache / "blobs" / ("ab" * 32))
        stored.symlink_to(cache / "blobs" / ("ab" * 32))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.load("decoder")
    content = bytearray(link.read_bytes())
    content[-1] ^= 1
    link.resolve().write_bytes(content)
    assert "is damaged" in said()
    assert not any(path.is_symlink() or path.exists() for path in (link, stored, cache / "blobs" / ("ab" * 32)))


def test_a_revision_that_is_gone_is_named(server, stand_ins):
    server.repositories[hub.MODELS["decoder"].id] = ("f" * 40, stand_ins["decoder"])
    assert said() == ("The model hub no longer has revision 607a30d of openai-community/gpt2. Nothing below needs it.")
    assert "GET" not in {method for method, _, _ in server.requests}


def test_a_file_that_is_missing_is_named(server, stand_ins, tmp_path):
    source = hub.MODELS["decoder"]
    shutil.copytree(stand_ins["decoder"], tmp_path / "less")
    (tmp_path / "less" / "tokenizer.json").unlink()
    server.repositories[source.id] = (source.revision, tmp_path / "less")
    assert said() == (
        "Revision 607a30d of openai-community/gpt2 has no file tokenizer.json on the model hub. Nothing below needs it."
    )


def test_a_model_behind_an_account_is_not_asked_for_twice(server):
    server.gated.add(hub.MODELS["decoder"].id)
    assert said() == (
        "The model hub now gives openai-community/gpt2 only to readers who have an account and accept its terms. "
        "Nothing below needs it."
    )
    assert server.requests == []


def test_a_model_that_is_gone_is_named(server):
    del server.repositories[hub.MODELS["decoder"].id]
    assert said() == (
        "The model hub no longer shows openai-community/gpt2 to readers without an account. Nothing below needs it."
    )


def test_a_hub_that_is_down_is_quoted(server):
    server.down = True
    assert re.fullmatch(
        r"The model hub does not give config.json of openai-community/gpt2 at the moment: .*503 Service Unavailable'\. "
        r"Nothing below needs it\.",
        said(),
    )


def test_without_network_one_sentence_says_what_is_missing(monkeypatch):
    reached = (
        "openai-community/gpt2 (124 million parameters, 549 MB, licence MIT) is not on this machine and the model hub "
        "cannot be reached. Run the cell again with a network; nothing below needs it."
    )
    assert said() == reached
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert said() == reached


# The table


def test_an_unknown_job_lists_what_there_is():
    for ask in (hub.load, hub.offer):
        with pytest.raises(KeyError, match=r"no model for the job 'poet'\. It has: decoder, base, instruct, encoder"):
            ask("poet")


def test_every_model_is_pinned_to_a_commit_and_names_its_licence():
    assert [job for job, source in hub.MODELS.items() if not re.fullmatch("[0-9a-f]{40}", source.revision)] == []
    assert {source.licence for source in hub.MODELS.values()} == {"MIT", "Apache-2.0"}
    # No fewer bytes than two for each parameter, and no more than four and a half.
    assert all(2 <= source.megabytes / source.parameters <= 4.5 for source in hub.MODELS.values())
