"""Writes what the figure "the model in the page" needs beside the decoder's own weights (labutils/widgets).

    python tools/export_world.py        after a change to labutils/world.py, or after tools/train_world_decoder.py

`world_law.safetensors` is the automaton of the world and, as metadata, its words: the exact law of the next word
follows from it. `world_examples.json` is what the model and the law say about some texts: what the figure shows before
the model is there. tests/test_decoder_js.py compares both with PyTorch and with `labutils.world`.
"""

import json

import numpy as np
import torch
from safetensors.numpy import save_file

from labutils.weights import WORLD_DECODER, load_world_decoder
from labutils.world import World

TEXTS = (
    "for dessert we had the",
    "question : where is ganymede ? answer : it is",
    "the dogs near the old tree",
)


def example(text: str) -> dict:
    """The logits and the law of the next word after a text, and the attention weights of its positions, by head."""
    world, model = World(), load_world_decoder()
    tokens = torch.from_numpy(world.prompt(text))
    with torch.no_grad():
        logits = model(tokens)[0, -1]
        layers = [layer[0].tolist() for layer in model.attention_weights(tokens)]
    return {
        "text": text,
        "logits": rounded(logits.tolist()),
        "law": rounded(world.law_after(text).tolist()),
        "attention": [[[rounded(row[: i + 1]) for i, row in enumerate(head)] for head in layer] for layer in layers],
    }


def rounded(numbers: list[float]) -> list[float]:
    """Four decimals, which is more than a figure shows; a whole number without any."""
    return [int(x) if x == int(x) else x for x in (round(number, 4) for number in numbers)]


def main() -> None:
    automaton, folder = World().automaton, WORLD_DECODER.parent
    arcs = np.stack((automaton.source, automaton.word, automaton.target), axis=1).astype(np.int32)
    weight = np.ascontiguousarray(automaton.weight.T, dtype=np.float32)
    save_file({"arcs": arcs, "weight": weight}, folder / "world_law.safetensors", {"vocab": " ".join(automaton.vocab)})
    examples = json.dumps([example(text) for text in TEXTS], separators=(",", ":"))
    (folder / "world_examples.json").write_text(examples.replace("},{", "},\n{") + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
