"""Completion functions: against models walked by hand, and a small server over real HTTP."""

import json
import socket
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from labutils import completions, prompting
from labutils.models import Config, Decoder
from labutils.tokenizer import WordTokenizer

VOCAB = ("<s>", "a", "b", "c", ".")


class Cycle(nn.Module):
    """A model that says the alphabet: after a comes b, then c, then the full stop; after <s> comes a."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.full((5, 5), -50.0))
        with torch.no_grad():
            for word, following in {0: 1, 1: 2, 2: 3, 3: 4, 4: 1}.items():
                self.table[word, following] = 50.0

    def forward(self, tokens):
        return self.table[tokens]


def words(**changes) -> completions.WordModel:
    settings = {"model": Cycle(), "tokenizer": WordTokenizer(VOCAB), "max_new_tokens": 3, "start_token": 0}
    return completions.WordModel(**(settings | changes))


# --- a model of words


def test_a_completion_is_the_new_text_alone_in_the_order_of_the_prompts():
    assert words()(["a", "b . a", "", "c"]) == ["b c .", "b c .", "a b c", ". a b"]


def test_a_completion_ends_before_the_stop_token():
    assert words(stop_token=4)(["a", "c", ""]) == ["b c", "", "a b c"]


def test_a_greedy_completion_does_not_depend_on_its_company():
    torch.manual_seed(0)
    model = Decoder(Config(vocab_size=5, d_model=16, n_heads=2, n_layers=1)).double().eval()
    complete = words(model=model, max_new_tokens=4)
    prompts = ["a", "b c", "b", "c c c", "a b"]
    assert complete(prompts) == [complete([prompt])[0] for prompt in prompts]


def test_a_random_completion_follows_the_law_and_its_seed():
    model = Cycle()
    nn.init.zeros_(model.table)
    with torch.no_grad():
        model.table[:, 1] = 2.0
    complete = words(model=model, max_new_tokens=1, temperature=2.0, seed=3)
    made = complete(["a"] * 4000)
    assert made == complete(["a"] * 4000)
    assert made != words(model=model, max_new_tokens=1, temperature=2.0, seed=4)(["a"] * 4000)
    p = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0]).softmax(0)[1].item()
    assert made.count("a") / 4000 == pytest.approx(p, abs=4 * (p * (1 - p) / 4000) ** 0.5)


def test_two_prompts_do_not_share_their_noise():
    model = Cycle()
    nn.init.zeros_(model.table)
    complete = words(model=model, max_new_tokens=1, temperature=1.0)
    same = [a == b for a, b in zip(complete(["a"] * 2000), complete(["b"] * 2000), strict=True)]
    assert sum(same) / 2000 == pytest.approx(0.2, abs=4 * (0.2 * 0.8 / 2000) ** 0.5)


def test_an_unknown_word_is_named():
    with pytest.raises(ValueError, match="'z'"):
        words()(["a z"])


def test_an_identity_changes_with_everything_that_matters_and_with_nothing_else():
    other = Cycle()
    with torch.no_grad():
        other.table[0, 0] += 1e-3
    changes = [
        {"model": other},
        {"tokenizer": WordTokenizer(("<s>", "a", "b", "d", "."))},
        {"max_new_tokens": 4},
        {"start_token": None},
        {"stop_token": 4},
        {"temperature": 1.0},
        {"seed": 1},
    ]
    identities = [json.dumps(words(**change).identity) for change in [{}, *changes]]
    assert len(set(identities)) == len(identities)
    assert words().identity == words().identity


# --- a model of Hugging Face


@pytest.fixture(scope="module")
def gpt2():
    torch.manual_seed(0)
    tokens = {word: i for i, word in enumerate([*VOCAB, "user", ":", "you", "</s>"])}
    raw = Tokenizer(WordLevel(tokens, unk_token="."))
    raw.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", bos_token="<s>")
    config = GPT2Config(vocab_size=9, n_positions=64, n_embd=16, n_layer=1, n_head=2, eos_token_id=8, bos_token_id=0)
    return GPT2LMHeadModel(config).double().eval(), tokenizer


def test_it_completes_as_the_models_own_generate_does(gpt2):
    model, tokenizer = gpt2
    complete = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5)
    for prompt, found in zip(prompts := ["a b", "c", "b b b"], complete(prompts), strict=True):
        tokens = tokenizer(prompt, return_tensors="pt")
        made = model.generate(**tokens, max_new_tokens=5, do_sample=False, pad_token_id=8)
        assert found == tokenizer.decode(made[0, tokens["input_ids"].shape[1] :], skip_special_tokens=True)


def test_a_completion_ends_at_each_of_the_models_ends_and_before_the_stop_text(gpt2, monkeypatch):
    model, tokenizer = gpt2
    whole = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5)(["a b"])[0]
    made = tokenizer.encode(whole)
    stop = tokenizer.decode([made[0]])
    cut = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5, stop=stop)
    assert cut(["a b"]) == [""]
    monkeypatch.setattr(model.generation_config, "eos_token_id", [8, made[0]])
    assert completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5)(["a b"]) == [""]


def test_of_several_ends_the_first_counts():
    assert completions._until([4, 1, 2, 3, 2], (3, 2)) == [4, 1]
    assert completions._until([4, 1], (3, 2)) == [4, 1]


def test_with_a_chat_template_the_prompt_is_the_turn_of_a_user(gpt2, monkeypatch):
    model, tokenizer = gpt2
    bare = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5)(["user : a you :"])
    without = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5).identity
    template = "{% for m in messages %}{{ m.role }} : {{ m.content }}{% endfor %} you :"
    monkeypatch.setattr(tokenizer, "chat_template", template)
    chat = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5)
    assert chat(["a"]) == bare
    assert chat.identity != without
    plain = completions.HuggingFace(model=model, tokenizer=tokenizer, max_new_tokens=5, chat=False)
    assert plain(["user : a you :"]) == bare


# --- a server, over real HTTP


class Stub(BaseHTTPRequestHandler):
    """A server that mirrors the prompt, and misbehaves for some models."""

    def do_POST(self):
        assert isinstance(self.server, Listener)
        seen = self.server.seen
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen.append((self.path, body, self.headers.get("Authorization")))
        prompt = body["messages"][0]["content"] if "messages" in body else body["prompt"]
        text = prompt[::-1]
        choice = {"message": {"content": text}} if "messages" in body else {"text": text}
        match body["model"]:
            case "slow":
                time.sleep(0.5)
            case "unknown":
                return self.reply(404, json.dumps({"error": {"message": "no model of\nthis name"}}))
            case "unknown to others":
                return self.reply(404, json.dumps({"error": "no such model"}))
            case "broken":
                return self.reply(500, "")
            case "not json":
                return self.reply(200, "<html>")
            case "empty":
                return self.reply(200, json.dumps({"choices": []}))
            case "silent":
                return self.reply(200, json.dumps({"choices": [{"text": None}]}))
            case "elsewhere":
                return self.reply(302, "", location="http://example.invalid/")
            case "hangs up":
                return self.connection.shutdown(socket.SHUT_RDWR)
        return self.reply(200, json.dumps({"choices": [choice]}))

    def reply(self, status: int, text: str, location: str | None = None):
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format, *args):
        """Say nothing."""


class Listener(HTTPServer):
    """A server that remembers what it was asked, and shrugs at clients that do not wait."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Stub)
        self.seen: list = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request, client_address):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.delenv(completions.KEY, raising=False)
    with Listener() as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listener
        listener.shutdown()
        thread.join()


def test_a_server_completes_and_gets_the_settings(server):
    complete = completions.Server(model="m", base_url=server.url, max_new_tokens=7, temperature=0.5, seed=3, stop="\n")
    assert complete(["näive", "ab"]) == ["evi\u00e4n", "ba"]
    path, body, key = server.seen[0]
    assert (path, key) == ("/v1/completions", None)
    assert body == {"model": "m", "prompt": "näive", "max_tokens": 7, "temperature": 0.5, "seed": 3, "stop": "\n"}


def test_a_chat_server_gets_the_prompt_as_the_turn_of_a_user(server):
    complete = completions.Server(model="m", base_url=server.url + "/", max_new_tokens=7, chat=True)
    assert complete(["ab"]) == ["ba"]
    path, body, _ = server.seen[0]
    assert path == "/v1/chat/completions"
    assert body["messages"] == [{"role": "user", "content": "ab"}]
    assert "stop" not in body


def test_a_key_comes_from_the_environment_and_stays_out_of_the_identity(server, monkeypatch):
    complete = completions.Server(model="m", base_url=server.url, max_new_tokens=7)
    identity = complete.identity
    monkeypatch.setenv(completions.KEY, "secret")
    complete(["ab"])
    assert server.seen[0][2] == "Bearer secret"
    assert complete.identity == identity
    assert "secret" not in json.dumps(identity) + repr(complete)


def test_a_proxy_does_not_stand_between_this_machine_and_itself(server, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert completions.Server(model="m", base_url=server.url, max_new_tokens=1)(["ab"]) == ["ba"]


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("unknown", "refused with HTTP 404: no model of this name$"),
        ("unknown to others", "refused with HTTP 404: no such model$"),
        ("broken", "refused with HTTP 500: Internal Server Error$"),
        ("elsewhere", "refused with HTTP 302: Found$"),
        ("not json", "something that is not JSON"),
        ("empty", "without a completion"),
        ("silent", "without a completion"),
        ("hangs up", "No server answers"),
        ("slow", "within 0.1 seconds"),
    ],
)
def test_each_failure_is_one_clear_sentence(server, model, sentence):
    complete = completions.Server(model=model, base_url=server.url, max_new_tokens=1, timeout=0.1)
    with pytest.raises(completions.NoCompletion, match=sentence) as caught:
        complete(["ab"])
    assert server.url in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_server_is_said():
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        complete = completions.Server(
            model="m", base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", max_new_tokens=1
        )
        with pytest.raises(completions.NoCompletion, match=r"No server answers at .* start one there"):
            complete(["ab"])


@pytest.mark.parametrize("address", ["file:///etc/passwd", "localhost:8000/v1", "", "ftp://localhost/v1"])
def test_an_address_must_be_http(address):
    with pytest.raises(ValueError, match="base_url"):
        completions.Server(model="m", base_url=address, max_new_tokens=1)


def test_an_experiment_runs_over_http_and_is_remembered(server, tmp_path):
    complete = completions.Server(model="m", base_url=server.url, max_new_tokens=5)
    cases = [("on", "on"), ("pot", "top")]
    parse = partial(prompting.parse_answer, labels=["on", "top"])
    tables = [
        prompting.run({"bare": str}, cases, prompting.Cached(complete, complete.identity, tmp_path), parse)
        for _ in range(2)
    ]
    assert len(server.seen) == 2
    assert tables[0] == tables[1]
    assert tables[0].errors("bare") == {("on", None): 1}
