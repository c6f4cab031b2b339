"""The pretrained models of the course: one table of jobs, and the functions that load them.

    MODELS            each job with its model: its revision, licence, size, and what the labs do with it
    offer(job)        what the labs call: load the model if the reader wants it, else print one line
    load(job)         load it, and fetch its files the first time
    embed(...)        one vector for a text

Every model is pinned to a commit, so that a lab runs on the same weights next year, and none asks for an account.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from labutils import runtime


@dataclass(frozen=True, kw_only=True)
class Source:
    """A pretrained model: where it comes from, how big it is, how it is loaded.

    `parameters` counts millions, `megabytes` (of 10⁶ bytes) what is fetched, `kind` is the class of `transformers` that
    reads it. `float16` is False for a model whose numbers float16 may not hold; it runs in float32 where there is no
    bfloat16. `use` says what the labs do with it.
    """

    id: str
    revision: str
    licence: str
    parameters: float
    megabytes: int
    kind: str
    use: str
    float16: bool = True

    def __str__(self) -> str:
        return f"{self.id} ({self.parameters:.0f} million parameters, {self.megabytes} MB, licence {self.licence})"


MODELS = {
    "decoder": Source(
        id="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        licence="MIT",
        parameters=124.4,
        megabytes=549,
        kind="AutoModelForCausalLM",
        use="the plain decoder of the chapters: its loss, its heads, its learned positions, its text",
    ),
    "base": Source(
        id="HuggingFaceTB/SmolLM2-135M",
        revision="93efa2f097d58c2a74874c7e644dbc9b0cee75a2",
        licence="Apache-2.0",
        parameters=134.52,
        megabytes=271,
        kind="AutoModelForCausalLM",
        use="a newer decoder: rotary positions, shared keys and values; what `instruct` was before it was tuned",
    ),
    "instruct": Source(
        id="HuggingFaceTB/SmolLM2-135M-Instruct",
        revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
        licence="Apache-2.0",
        parameters=134.52,
        megabytes=271,
        kind="AutoModelForCausalLM",
        use="`base` tuned on instructions: prompts in its chat template, synthetic data, what tuning changed",
    ),
    "encoder": Source(
        id="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        licence="Apache-2.0",
        parameters=109.5,
        megabytes=441,
        kind="AutoModelForMaskedLM",
        use="fills blanks; its vectors are compared with those of `embedding`",
    ),
    "encoder-decoder": Source(
        id="google-t5/t5-small",
        revision="df1b051c49625cf57a3d0d8d3863ed4d13564fe4",
        licence="Apache-2.0",
        parameters=60.51,
        megabytes=243,
        kind="AutoModelForSeq2SeqLM",
        use="fills spans; its relative positions",
        float16=False,
    ),
    "embedding": Source(
        id="sentence-transformers/all-MiniLM-L6-v2",
        revision="c9745ed1d9f207416be6d2e6f8de32d1f16199bf",
        licence="Apache-2.0",
        parameters=22.7,
        megabytes=91,
        kind="AutoModel",
        use="one vector for a sentence: search, probes, near-duplicates",
    ),
}

# All that is fetched. No model of the table needs more, and some of them offer gigabytes of the same in other formats.
FILES = ("config.json", "tokenizer_config.json", "tokenizer.json", "model.safetensors")

WANTED = "LABUTILS_MODELS"


class Unavailable(OSError):
    """A pretrained model cannot be had. The text says why and what to do, in a sentence or two."""


def offer(job: str, **options: Any) -> tuple[Any, Any] | None:
    """`load(job, **options)` if the reader wants it and can have it; otherwise print one line that says why not.

    It is wanted in the gpu profile, and where the environment variable LABUTILS_MODELS is 1.
    """
    source = _source(job)
    if runtime.profile() != "gpu" and os.environ.get(WANTED) != "1":
        print(f'Not loaded: {source}. To load it, run `import os; os.environ["{WANTED}"] = "1"` and this cell again.')
        return None
    try:
        return load(job, **options)
    except Unavailable as reason:
        print(reason)
        return None


def load(
    job: str,
    *,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    read_attention: bool = False,
) -> tuple[Any, Any]:
    """Load the model that MODELS has for a job, in eval mode, and its tokenizer; fetch their files the first time.

    Before it fetches anything it prints what: name, size, licence. The model goes to `device` (default: that of the
    profile) in `dtype` (default: `number_type`). With `read_attention` the model can return its attention weights, at
    some cost of speed: only the plain ("eager") code path keeps them.

    Raises:
        KeyError: if MODELS has no such job.
        Unavailable: if a file is neither on this machine nor to be had, or arrives damaged.
    """
    source = _source(job)
    folder = _fetch(source)
    import transformers  # takes seconds, so only when it is needed

    device = device or runtime.device()
    # What transformers 5 would take on its own is the checkpoint's number type, so it is always named.
    how = {
        "dtype": dtype or number_type(source, device),
        "attn_implementation": "eager" if read_attention else "sdpa",
    }
    with _quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = getattr(transformers, source.kind).from_pretrained(folder, **how)
    if source.kind == "AutoModelForCausalLM":
        model.loss_type = "ForCausalLM"  # GPT-2's class has another name, so transformers would guess this and warn
    return model.to(device).eval(), tokenizer


@torch.no_grad()
def embed(model: Any, tokenizer: Any, texts: Sequence[str]) -> Float[Tensor, "texts d_model"]:
    """One vector for a text: the mean of its tokens' vectors in the last layer [reimers2019sentence].

    Works with every model of the table but the encoder-decoder. The texts are read one by one, so none needs padding.
    """
    rows = [torch.tensor([tokenizer.encode(text)], device=model.device) for text in texts]
    return torch.cat([model(row, output_hidden_states=True).hidden_states[-1].float().mean(1) for row in rows])


def number_type(source: Source, device: torch.device) -> torch.dtype:
    """The number type for a model on a device: bfloat16 or float16 on CUDA by its capability, float32 elsewhere."""
    narrow = runtime.dtype() if device.type == "cuda" else torch.float32
    return torch.float32 if narrow == torch.float16 and not source.float16 else narrow


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep `transformers` from reporting: that BERT has weights for a task nobody asked for reads like an error."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def _source(job: str) -> Source:
    if job not in MODELS:
        raise KeyError(f"The course has no model for the job {job!r}. It has: {', '.join(MODELS)}.")
    return MODELS[job]


def _fetch(source: Source) -> Path:
    """The folder with a model's files, in the hub's cache. Raises Unavailable."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    # A file that is in the cache costs no request: what a commit holds does not change.
    cached = {name: try_to_load_from_cache(source.id, name, revision=source.revision) for name in FILES}
    if missing := [name for name, path in cached.items() if not isinstance(path, str)]:
        _ask(source, missing)
        print(f"Fetching {source} from the model hub, once.")
    paths = []
    for name in FILES:
        try:
            # No token: none is needed, and looking for one makes Colab ask for its secrets.
            path = Path(hf_hub_download(source.id, name, revision=source.revision, token=False))
        except Exception as error:  # of the connection, the hub, the disk: the reader is told which
            why = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
            raise Unavailable(f"{name} of {source.id} did not arrive: {why}. Run the cell again.") from error
        if not _intact(path):
            _forget(path)
            raise Unavailable(
                f"{name} of {source.id} is damaged: its checksum is not the one that the hub names. It has been "
                "deleted; run the cell again to fetch it anew."
            )
        paths.append(path)
    return paths[0].parent


def _ask(source: Source, names: list[str]) -> None:
    """Ask the hub for files without fetching them. Raises Unavailable if it cannot be reached or refuses one."""
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_url

    for name in names:
        try:
            get_hf_file_metadata(hf_hub_url(source.id, name, revision=source.revision), token=False)
        except errors.HfHubHTTPError as error:
            raise Unavailable(f"{_refusal(source, name, error)} Nothing below needs it.") from error
        except Exception as error:  # no connection, no answer in time, offline mode
            raise Unavailable(
                f"{source} is not on this machine and the model hub cannot be reached. Run the cell again with a "
                "network; nothing below needs it."
            ) from error


def _intact(path: Path) -> bool:
    """Whether a file of the cache is what the hub says. It stores a large file under the name of its SHA-256.

    True as well where the name does not tell: for small files, and where the system has no symbolic links.
    """
    # One step only: the stored file may itself be a link, into a store that names its files otherwise.
    name = path.readlink().name if path.is_symlink() else ""
    if len(name) != 64:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == name


def _forget(path: Path) -> None:
    """Delete a file of the cache, and what it links to."""
    stored = path.parent / path.readlink()
    for part in (path.resolve(), stored, path):
        part.unlink(missing_ok=True)


def _refusal(source: Source, name: str, error: Exception) -> str:
    """One sentence on what the hub answered in place of a file."""
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            return f"The model hub now gives {source.id} only to readers who have an account and accept its terms."
        case errors.RepositoryNotFoundError():  # this, too, when a model has become private
            return f"The model hub no longer shows {source.id} to readers without an account."
        case errors.RevisionNotFoundError():
            return f"The model hub no longer has revision {source.revision[:7]} of {source.id}."
        case errors.EntryNotFoundError():
            return f"Revision {source.revision[:7]} of {source.id} has no file {name} on the model hub."
        case _:
            why = str(error).partition("\n")[0].partition(" for url")[0].rstrip(".")
            return f"The model hub does not give {name} of {source.id} at the moment: {why}."
