"""The pretrained models of the course, in one table, and the one function that loads them.

Every model is pinned to a revision, so that a lab runs on the same weights next year, and none asks for an account.
"""

from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Source:
    """Where a pretrained model comes from. `job` says what the course uses it for; `parameters` counts millions."""

    id: str
    revision: str
    licence: str
    parameters: float
    job: str


MODELS = {
    "gpt2": Source(
        id="openai-community/gpt2",
        revision="607a30d783dfa663caf39e06633721c8d4cfcd7e",
        licence="MIT",
        parameters=124.4,
        job="decoder",
    ),
    "bert": Source(
        id="google-bert/bert-base-uncased",
        revision="86b5e0934494bd15c9632b12f734a8a67f723594",
        licence="Apache-2.0",
        parameters=109.5,
        job="encoder",
    ),
}


class Unavailable(OSError):
    """A pretrained model is not on this machine and cannot be fetched."""


def load(name: str, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Load the model of that name in MODELS, in eval mode, and its tokenizer; fetch them the first time.

    An encoder comes with the output layer that fills its masks. Attention is computed by the plain ("eager") code path,
    the only one that can also return its weights.

    Raises:
        KeyError: if MODELS has no such name.
        Unavailable: if the model is not in the local cache and the hub cannot be reached.
    """
    if name not in MODELS:
        raise KeyError(f"The course has no model {name!r}. It has: {', '.join(MODELS)}.")
    # Seconds to import, so only when it is needed.
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    source = MODELS[name]
    kind = AutoModelForMaskedLM if source.job == "encoder" else AutoModelForCausalLM
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.id, revision=source.revision)
        # The default dtype is the checkpoint's own since transformers 5, so it is always named.
        model: Any = kind.from_pretrained(source.id, revision=source.revision, dtype=dtype, attn_implementation="eager")
    except OSError as error:
        raise Unavailable(
            f"{source.id} ({source.parameters:g} million parameters) is not on this machine and the model hub cannot "
            "be reached. Run the cell again with a network; nothing below needs it."
        ) from error
    return model.to(device).eval(), tokenizer
