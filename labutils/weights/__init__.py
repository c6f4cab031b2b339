"""Trained models that come with the package. The scripts `tools/train_*.py` make them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load_file, save

from labutils.files import whole_file
from labutils.models import Config, Decoder, Encoder
from labutils.task_mixture import TaskMixture
from labutils.world import World

WORLD_DECODER = Path(__file__).with_name("world_decoder.safetensors")
WORLD_ENCODER = Path(__file__).with_name("world_encoder.safetensors")
IN_CONTEXT = {
    name: Path(__file__).with_name(f"in_context_{name}.safetensors") for name in ("8", "16", "32", "64", "32_noisy")
}
"""Decoders trained on `TaskMixture()`, by their d_model; the last one with a quarter of all labels replaced."""

Model = TypeVar("Model", Decoder, Encoder)


def load_world_decoder() -> Decoder:
    """A decoder trained on `World()` to within half a percent of the floor, on the CPU and in `eval()` mode.

    `about(WORLD_DECODER)` says how it was trained and how good it is. Raises ValueError if the world's words have
    changed since.
    """
    return load_model(Decoder, WORLD_DECODER, World().vocab)


def load_world_encoder() -> Encoder:
    """An encoder trained on `World()` to fill in masked words, on the CPU and in `eval()` mode.

    `about(WORLD_ENCODER)` says how it was trained and how far it is from the exact law of the masked words. Raises
    ValueError if the world's words have changed since.
    """
    return load_model(Encoder, WORLD_ENCODER, World().vocab)


def load_in_context(name: str) -> Decoder:
    """The decoder of that name in IN_CONTEXT, which reads prompts of `TaskMixture()`; on the CPU, in `eval()` mode.

    Its weights are stored in half precision and computed with in single precision. Raises KeyError if there is no such
    name, and ValueError if the words or the meanings of the instructions have changed since.
    """
    mixture = TaskMixture()
    return load_model(Decoder, IN_CONTEXT[name], (*mixture.vocab, *mixture.dictionary))


def save_model(
    path: Path,
    model: Decoder | Encoder,
    vocab: Sequence[str],
    facts: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the weights to `path`, and to the .json beside it the config, a fingerprint of the words, and `facts`."""
    weights = {name: tensor.to(dtype).cpu().contiguous() for name, tensor in model.state_dict().items()}
    description = {"config": asdict(model.config), "vocab_sha256": fingerprint(vocab), **facts}
    with whole_file(path) as file:
        file.write(save(weights))
        path.with_suffix(".json").write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def load_model(kind: type[Model], path: Path, vocab: Sequence[str]) -> Model:
    """The model that `save_model` wrote. Raises ValueError if it was trained on other words than `vocab`."""
    description = about(path)
    if description["vocab_sha256"] != fingerprint(vocab):
        raise ValueError(
            f"{path.name} was trained on another vocabulary than these {len(vocab)} words: "
            "its tokens would mean other words. The scripts tools/train_*.py train it anew."
        )
    model = kind(Config(**description["config"]))
    model.load_state_dict(load_file(path))
    return model.eval()


def about(path: Path = WORLD_DECODER) -> dict:
    """What the .json beside the weights says: the config, how the model was trained, what was measured then."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def fingerprint(vocab: Sequence[str]) -> str:
    """A number that changes with any word, or with the order of the words."""
    return hashlib.sha256("\n".join(vocab).encode()).hexdigest()
