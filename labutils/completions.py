"""Completion functions: a list of prompts in, the list of their completions out. For `labutils.prompting`.

    WordModel       a model of this course with its word tokenizer
    HuggingFace     a causal language model of `transformers` with its tokenizer
    Server          a program that speaks OpenAI's protocol over HTTP, such as llama.cpp, Ollama or vLLM on your machine

A completion is the new text alone, without the prompt. A temperature of 0 means greedy decoding. Each has an
`identity`, plain data that says everything besides the prompt on which its completions depend.
"""

import hashlib
import http.client
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import torch
from torch import nn

from labutils.sampling import HuggingFaceModel, generate

BATCH = 256  # prompts that are completed together

# ---------------------------------------------------------------------------------------------------------------------
# Models on this machine
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WordModel:
    """A model of words: anything that `sampling.generate` can run, with a tokenizer such as `WordTokenizer`.

    `start_token` is set before every prompt (`<bos>` in the world). A completion ends before `stop_token`, or after
    `max_new_tokens`. With a temperature above 0 the words are drawn at random: the same ones for the same list of
    prompts and `seed`, independent ones for another list. Raises what the tokenizer raises for a word that it does not
    know.
    """

    model: nn.Module
    tokenizer: Any
    max_new_tokens: int
    start_token: int | None = None
    stop_token: int | None = None
    temperature: float = 0.0
    seed: int = 0

    @property
    def identity(self) -> dict[str, Any]:
        """The weights and the words, by their fingerprints, and the settings."""
        return {
            "kind": "words",
            "weights": _fingerprint(self.model),
            "words": hashlib.sha256("\n".join(self.tokenizer.vocab).encode()).hexdigest(),
            **_settings(self, "max_new_tokens", "start_token", "stop_token", "temperature", "seed"),
        }

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The completions of the prompts."""
        start = [] if self.start_token is None else [self.start_token]
        rows = [start + list(self.tokenizer.encode(prompt)) for prompt in prompts]
        stop = () if self.stop_token is None else (self.stop_token,)
        new = _continue(self.model, rows, stop, self.max_new_tokens, self.temperature, self.seed)
        return [self.tokenizer.decode(tokens) for tokens in new]


@dataclass(frozen=True, kw_only=True)
class HuggingFace:
    """A causal language model of Hugging Face's `transformers` with its tokenizer [wolf2020transformers].

    Where the tokenizer has a chat template, the prompt becomes the turn of a user, and the completion is the model's
    turn; `chat=False` sends the bare text all the same. A completion ends where the model ends it, before the text
    `stop`, or after `max_new_tokens`.
    """

    model: Any
    tokenizer: Any
    max_new_tokens: int
    stop: str | None = None
    chat: bool = True
    temperature: float = 0.0
    seed: int = 0

    @property
    def identity(self) -> dict[str, Any]:
        """The weights and the tokens, by their fingerprints, and the settings."""
        tokens = json.dumps([self.tokenizer.get_vocab(), self.tokenizer.chat_template], sort_keys=True)
        return {
            "kind": "hugging face",
            "weights": _fingerprint(self.model),
            "tokens": hashlib.sha256(tokens.encode()).hexdigest(),
            **_settings(self, "max_new_tokens", "stop", "chat", "temperature", "seed"),
        }

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The completions of the prompts."""
        model, tokenizer = HuggingFaceModel(self.model), self.tokenizer
        new = _continue(
            model,
            [self._encode(prompt) for prompt in prompts],
            self._ends(),
            self.max_new_tokens,
            self.temperature,
            self.seed,
            self.model.device,
        )
        return [_before(tokenizer.decode(tokens, skip_special_tokens=True), self.stop) for tokens in new]

    def _encode(self, prompt: str) -> list[int]:
        if not (self.chat and self.tokenizer.chat_template):
            return self.tokenizer.encode(prompt)
        turns = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        # The template has written the special tokens already.
        return self.tokenizer.encode(text, add_special_tokens=False)

    def _ends(self) -> tuple[int, ...]:
        """The tokens that end a text; a chat model often has several."""
        ends = self.model.generation_config.eos_token_id
        return () if ends is None else (ends,) if isinstance(ends, int) else tuple(ends)


def _continue(
    model: Any,
    rows: Sequence[list[int]],
    stop_tokens: Sequence[int],
    max_new_tokens: int,
    temperature: float,
    seed: int,
    device: torch.device | None = None,
) -> list[list[int]]:
    """The new tokens of each row, without a stop token.

    Rows of one length are completed together: nothing needs padding, which a model might not ignore.
    """
    device = device or next(model.parameters()).device
    # Another prompt gets other noise, or two prompts would be wrong together more often than by chance.
    noise = hashlib.sha256(json.dumps([seed, rows]).encode()).digest()
    generator = torch.Generator(device).manual_seed(int.from_bytes(noise[:7]))
    new: dict[int, list[int]] = {}
    for length in sorted({len(row) for row in rows}):
        together = [i for i, row in enumerate(rows) if len(row) == length]
        for start in range(0, len(together), BATCH):
            batch = together[start : start + BATCH]
            made = generate(
                model,
                torch.tensor([rows[i] for i in batch], device=device),
                max_new_tokens=max_new_tokens,
                stop_token=stop_tokens[0] if len(stop_tokens) == 1 else None,
                temperature=temperature or 1.0,
                greedy=temperature == 0,
                generator=generator,
            )
            new |= {i: _until(tokens, stop_tokens) for i, tokens in zip(batch, made.new_tokens.tolist(), strict=True)}
    return [new[i] for i in range(len(rows))]


def _until(tokens: list[int], stop_tokens: Iterable[int]) -> list[int]:
    """The tokens before the first stop token."""
    ends = [tokens.index(stop) for stop in stop_tokens if stop in tokens]
    return tokens[: min(ends, default=len(tokens))]


def _before(text: str, stop: str | None) -> str:
    return text if stop is None else text.partition(stop)[0]


def _settings(function: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(function, name) for name in names}


def _fingerprint(model: nn.Module) -> str:
    """A number that changes with any weight."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


# ---------------------------------------------------------------------------------------------------------------------
# A server
# ---------------------------------------------------------------------------------------------------------------------

KEY = "LABUTILS_API_KEY"


class NoCompletion(RuntimeError):
    """A server gave no completion. The text says why, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A language model behind OpenAI's protocol: by default, a program on this machine.

    `model` is the name under which the server knows the model. The prompts are sent one by one to `base_url` +
    "/completions", or as the turn of a user to "/chat/completions" if `chat`. An answer may take `timeout` seconds. A
    key, where the server asks for one, is read from the environment variable LABUTILS_API_KEY; it never stands in a
    notebook, and it is not part of the identity.

    Raises ValueError for an address that is not HTTP, NoCompletion if the server cannot be reached or its answer is of
    no use.
    """

    model: str
    max_new_tokens: int
    base_url: str = "http://localhost:8000/v1"
    stop: str | None = None
    chat: bool = False
    temperature: float = 0.0
    seed: int = 0
    timeout: float = 60.0

    def __post_init__(self):
        address = urlsplit(self.base_url)
        if address.scheme not in ("http", "https") or not address.hostname:
            raise ValueError(f"base_url is {self.base_url!r}, but must be an address such as http://localhost:8000/v1.")

    @property
    def identity(self) -> dict[str, Any]:
        """The address, the model's name and the settings. What the server runs under that name, nobody can tell."""
        settings = ("base_url", "model", "max_new_tokens", "stop", "chat", "temperature", "seed")
        return {"kind": "server", **_settings(self, *settings)}

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The completions of the prompts."""
        return [self._complete(prompt) for prompt in prompts]

    def _complete(self, prompt: str) -> str:
        asked = {"messages": [{"role": "user", "content": prompt}]} if self.chat else {"prompt": prompt}
        settings = {"max_tokens": self.max_new_tokens, "temperature": self.temperature, "seed": self.seed}
        if self.stop is not None:
            settings["stop"] = self.stop
        answer = self._post({"model": self.model, **asked, **settings})
        try:
            choice = answer["choices"][0]
            text = choice["message"]["content"] if self.chat else choice["text"]
        except (KeyError, IndexError, TypeError):
            text = None
        if not isinstance(text, str):
            raise NoCompletion(f"The server at {self.base_url} answered without a completion in its JSON.")
        return text

    def _post(self, body: dict[str, Any]) -> Any:
        address = f"{self.base_url.rstrip('/')}/{'chat/' if self.chat else ''}completions"
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(address, json.dumps(body).encode(), headers, method="POST")
        try:
            with self._opener().open(request, timeout=self.timeout) as response:
                text = response.read()
        except HTTPError as error:
            raise NoCompletion(f"The server at {address} refused with HTTP {error.code}: {_reason(error)}") from None
        except TimeoutError:
            raise NoCompletion(f"The server at {address} did not answer within {self.timeout:g} seconds.") from None
        except (URLError, http.client.HTTPException, OSError) as error:
            reason = error.reason if isinstance(error, URLError) else error
            if isinstance(reason, TimeoutError):
                raise NoCompletion(f"The server at {address} did not answer within {self.timeout:g} seconds.") from None
            raise NoCompletion(
                f"No server answers at {address} ({type(reason).__name__}): start one there, or set base_url."
            ) from None
        try:
            return json.loads(text)
        except ValueError:
            raise NoCompletion(f"The server at {address} answered with something that is not JSON.") from None

    def _opener(self):
        """No redirects, which would carry the key elsewhere; and no proxy between this machine and itself."""
        local = urlsplit(self.base_url).hostname in ("localhost", "127.0.0.1", "::1")
        return build_opener(_NoRedirect, *([ProxyHandler({})] if local else []))


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, req, fp, code, msg, headers, newurl):
        return None


def _reason(error: HTTPError) -> str:
    """What the server says about its refusal, on one line."""
    with error:
        text = error.read().decode("utf-8", "replace")
    try:
        said = json.loads(text)["error"]
        said = said["message"] if isinstance(said, dict) else said
    except (ValueError, KeyError, TypeError):
        said = text
    return " ".join(str(said).split())[:200] or str(error.reason)
