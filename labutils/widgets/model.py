"""The model in the page: the trained decoder of the world, packed for the browser."""

import base64
import gzip
import hashlib
import html
import json
from pathlib import Path

from labutils.widgets.live import Live
from labutils.widgets.parts import check_seed, check_slider, softmax, without_javascript

_WEIGHTS = Path(__file__).parent.parent / "weights"
_DECODER = _WEIGHTS / "world_decoder.safetensors"
_WORLD_LAW = _WEIGHTS / "world_law.safetensors"
_VIEWS = {"next": 614, "steps": 731, "attention": 794, "sampling": 844}  # with their heights in pixels


def world_model() -> str:
    """The trained decoder of the world and its law as a script, which a page loads when its reader wants the model.

    A script and not the files themselves, because a page that was opened from a disk may load nothing else.
    """
    return f"globalThis.labutilsWorldModel = {json.dumps(_packed())};\n"


def world_model_address() -> str:
    """Where the site keeps that script, from its root. The address changes with the content, so no old copy is used."""
    return f"_static/world_model.js?v={hashlib.sha256(world_model().encode()).hexdigest()[:8]}"


def _packed() -> dict:
    """The config, and the two files in base64."""
    decoder, law = (base64.b64encode(path.read_bytes()).decode() for path in (_DECODER, _WORLD_LAW))
    return {"config": _about_decoder()["config"], "decoder": decoder, "law": law}


def _about_decoder() -> dict:
    return json.loads(_DECODER.with_suffix(".json").read_text(encoding="utf-8"))


def _vocabulary() -> list[str]:
    """The words of the world, which stand in the header of the file with its law."""
    data = _WORLD_LAW.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header["__metadata__"]["vocab"].split()


def _model_table(vocab: list[str], example: dict) -> str:
    """What a reader without JavaScript gets: the likeliest next words, by the model and by the law."""
    model, law = softmax(example["logits"], 1.0), example["law"]
    first = sorted(range(len(vocab)), key=lambda token: -model[token])[:8]
    return without_javascript(
        f"here is what the trained model says about the word after “{html.escape(example['text'])}”.",
        ("next word", "logit", "model", "exact law"),
        (
            (html.escape(vocab[token]), f"{example['logits'][token]:.2f}", f"{model[token]:.3f}", f"{law[token]:.3f}")
            for token in first
        ),
    )


def model_explorer(
    view: str = "next",
    text: str = "for dessert we had the",
    *,
    seed: int = 0,
    temperature: float = 1.0,
    head: str = "1.1",
    embedded: bool = True,
) -> Live:
    """The trained decoder of the world, at work in the page: the reader types a text and the model writes on.

    The model is the one of `labutils.weights.load_world_decoder`. decoder.js computes it in float64, in 110 lines that
    weigh 2.4 kB compressed. onnxruntime-web 1.30 would do so too, in 3.7 MB, and would not show the attention weights
    without another export. The weights stay in float32: in float16 a logit moves by up to 0.01. Until the reader
    touches the figure it shows stored results, so that a page costs nothing to open.

    Args:
        view: "next" compares the model with the exact law of the next word, "steps" goes from tokens to the chosen
            word one step at a time, "attention" shows each head, "sampling" has the settings of a sampler.
        text: what the reader finds; one of those that tools/export_world.py stores results for.
        seed: of the words that are drawn; the same seed writes the same text.
        temperature: where its slider starts in the view "sampling", in [0.05, 3].
        head: the head that the view "attention" starts with, layer and head counted from 1.
        embedded: whether the figure holds the weights (0.8 MB), as it must in a notebook. On the site it need not:
            there _ext/live.py puts them into a file of their own.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range, or no results are stored for the text.
    """
    about, vocab = _about_decoder(), _vocabulary()
    examples = json.loads((_WEIGHTS / "world_examples.json").read_text(encoding="utf-8"))
    heads = [f"{i + 1}.{j + 1}" for i in range(about["config"]["n_layers"]) for j in range(about["config"]["n_heads"])]
    if view not in _VIEWS:
        raise ValueError(f"view is {view!r}; give one of {', '.join(_VIEWS)}.")
    if not (example := next((example for example in examples if example["text"] == text), None)):
        raise ValueError(f"No results are stored for {text!r}. Add it to tools/export_world.py, and run that.")
    check_seed(seed)
    check_slider("temperature", temperature, 0.05, 3)
    if head not in heads:
        raise ValueError(f"head is {head!r}; give one of {', '.join(heads)}.")
    return Live(
        module="model_explorer.js",
        label="The model in the page: type a text of the small language, and a trained decoder writes on",
        fallback=_model_table(vocab, example),
        state={
            "view": view,
            "text": text,
            "seed": seed,
            "vocab": vocab,
            "example": example if view == "attention" else example | {"attention": []},
            "parameters": about["training"]["parameters"],
            "kilobytes": len(gzip.compress(world_model().encode())) // 1000,
            "max_len": about["config"]["max_len"],
            "temperature": temperature,
            "top_k": len(vocab),
            "top_p": 1,
            "min_p": 0,
            "stage": 5,
            "query": len(text.split()),
            "head": heads.index(head),
            **({"packed": _packed()} if embedded else {"address": world_model_address()}),
        },
        height=_VIEWS[view],
    )
