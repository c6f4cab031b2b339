"""Interactive figures that need no kernel, no server and no network.

A figure is one ECMAScript module in the form that anywidget introduced (`export default { render({ model, el }) }`)
and a small dictionary of state. `Live` shows it as plain HTML, so that the same cell works in Jupyter, in Colab and
in the built book. The standard library is all this module imports: the book is built without torch.
"""

import base64
import gzip
import hashlib
import html
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

_TAIL = """
sorbet brownie pudding trifle custard tiramisu gelato eclair cheesecake pavlova meringue mousse parfait cobbler
crumble strudel baklava cannoli macaron macaroon shortbread gingerbread cookie cupcake muffin pancake waffle crepe
fritter churro profiterole madeleine fudge toffee nougat caramel praline truffle marzipan halva sundae milkshake
sherbet popsicle granita semifreddo panettone stollen babka flan blancmange syllabub posset pie tart galette clafoutis
turnover scone brioche beignet tartlet torte gateau roulade lamington bonbon marshmallow jelly compote affogato mochi
kulfi mango peach melon
"""

_OTHERS = _TAIL.split()
# The rest of the mass, in parts that fall slowly from 9/8 to 7/8 of an even part.
_PARTS = [9 / 8 - n / 4 / (len(_OTHERS) - 1) for n in range(len(_OTHERS))]

DESSERT: dict[str, float] = {
    "cake": 0.20,
    "donut": 0.10,
    "banana": 0.02,
    "apple": 0.01,
    **{word: 0.67 * part / len(_OTHERS) for word, part in zip(_OTHERS, _PARTS, strict=True)},
}
"""The dessert table, completed: what may follow "for dessert we had the" in the world, four words and 76 others."""

# The module and what it imports are pasted into a script of their own, where `render` is in scope: no Blob URL, no
# escaping of code inside a string. A page may show the same figure twice, so a script takes the first element not yet
# taken.
_PAGE = """<div class="gam-live" role="group" aria-label="{label}" data-live="{key}" style="min-height: {height}px">
<noscript>{fallback}</noscript>
</div>
<script type="module">
{module}
{{
  const state = {state};
  const listeners = {{}};
  const el = document.querySelector('[data-live="{key}"]:not([data-live-started])');
  if (el) {{
    el.dataset.liveStarted = "";
    render({{
      el,
      model: {{
        get: (name) => state[name],
        set: (name, value) => {{
          if (state[name] === value) return;
          state[name] = value;
          (listeners["change:" + name] ?? []).forEach((listener) => listener());
        }},
        on: (event, listener) => {{ (listeners[event] ??= []).push(listener); }},
        off: () => {{}},
        save_changes: () => {{}},
      }},
    }});
    el.style.minHeight = "";
  }}
}}
</script>"""


def _with_imports(name: str, pasted: set[str]) -> str:
    """The text of a module after those that it imports in its first lines, each once."""
    pasted.add(name)
    text = (_HERE / name).read_text(encoding="utf-8").strip()
    imports, rest = [], text
    while found := re.match(r'import \{.*\} from "\./(.*)";\n', rest):
        imports.append(found[1])
        rest = rest[found.end() :]
    if pasted == {name} and "live_parts.js" not in imports:
        raise ValueError(f"{name} must begin with its import from live_parts.js, on one line.")
    return "\n".join([*(_with_imports(part, pasted) for part in imports if part not in pasted), rest])


@dataclass(frozen=True)
class Live:
    """A figure that stays alive in a static page.

    Args:
        module: name of the module in this folder; its first line imports from live_parts.js, others from other
            modules here, and it has a top-level function `render({ model, el })`.
        label: what the figure is, for a screen reader.
        fallback: HTML for a reader without JavaScript.
        state: the initial state; only what JSON can hold.
        height: pixels to reserve before the figure is drawn, so that the page does not jump.

    Equal figures give equal HTML, byte for byte: nothing in it is drawn at random.
    """

    module: str
    label: str
    fallback: str
    state: dict = field(default_factory=dict)
    height: int = 480

    def _repr_html_(self) -> str:
        source = _with_imports(self.module, set())
        # Inside a script element only "<" could end it early.
        state = json.dumps(self.state, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
        key = hashlib.sha256(f"{source}\0{state}\0{self.label}\0{self.fallback}".encode()).hexdigest()[:12]
        return _PAGE.format(
            key=key,
            label=html.escape(self.label),
            height=self.height,
            fallback=self.fallback,
            module=source,
            state=state,
        )

    def __repr__(self) -> str:
        return f"Live figure: {self.label}"


def _without_javascript(sentence: str, heads: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    """A sentence, and a table whose rows begin with their names; heads and cells are HTML."""
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for name, *cells in rows
    )
    return (
        f"<p>This figure moves when JavaScript is on. Without it, {sentence}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _softmax(logits: list[float], temperature: float) -> list[float]:
    top = max(logits)
    weights = [math.exp((z - top) / temperature) for z in logits]
    return [weight / sum(weights) for weight in weights]


def _table(
    tokens: list[str], logits: list[float], shown: int, temperatures: tuple[float, ...] = (0.5, 1.0, 2.0)
) -> str:
    """What a reader without JavaScript gets: the distribution at three temperatures, the tail as one row."""
    order = sorted(range(len(tokens)), key=lambda i: -logits[i])
    columns = [_softmax(logits, temperature) for temperature in temperatures]
    rows = [(tokens[i], [column[i] for column in columns]) for i in order[:shown]]
    if order[shown:]:
        rows.append((f"{len(order) - shown} others", [sum(column[i] for i in order[shown:]) for column in columns]))
    return _without_javascript(
        "here is the distribution at three temperatures T.",
        ["token", *(f"T = {temperature:g}" for temperature in temperatures)],
        [(html.escape(name), *(f"{p:.3f}" for p in values)) for name, values in rows],
    )


def sampling_explorer(
    tokens: Iterable[str] | None = None,
    logits: Iterable[Any] | None = None,
    *,
    temperature: float = 0.7,
    top_k: int | None = None,
    top_p: float = 0.9,
    rule: str = "nucleus",
    shown: int | None = None,
) -> Live:
    """Sliders for temperature, top-k and top-p over one next-token distribution.

    Args:
        tokens: the vocabulary, one string a token; without it the completed dessert table.
        logits: one finite number a token; a list, an array or a tensor. Six decimals are kept. In a notebook that
            is stored give an exact law rather than a model's output, which differs in the last digits by machine.
        temperature: where the slider starts, in [0.05, 3].
        top_k: where the slider starts, from 1 to the size of the vocabulary; None is off.
        top_p: where the slider starts, in [0.01, 1]; 1 is off.
        rule: "nucleus" keeps the smallest set that reaches p [holtzman2020curious]; "at-most" keeps tokens while the
            sum is at most p, as the notes word it.
        shown: how many tokens get a row of their own; the others start as one row that opens.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: tokens and logits do not match, or a setting is out of range.
    """
    if (tokens is None) != (logits is None):
        raise ValueError("Give both tokens and logits, or neither for the dessert table.")
    if tokens is None or logits is None:
        tokens, logits, shown = DESSERT, map(math.log, DESSERT.values()), shown or 4
    names, values = list(tokens), [round(float(z), 6) for z in logits]
    if len(names) != len(values) or len(names) < 2:
        raise ValueError(f"Give one logit a token and at least two tokens: got {len(names)} and {len(values)}.")
    if not all(math.isfinite(z) for z in values):
        raise ValueError("A logit is infinite or not a number. Give the logits as they were before any filter.")
    if not 0.05 <= temperature <= 3:
        raise ValueError(f"temperature is {temperature}; the slider goes from 0.05 to 3.")
    if top_k is not None and not 1 <= top_k <= len(names):
        raise ValueError(f"top_k is {top_k}; give a number from 1 to {len(names)}, or None for off.")
    if not 0.01 <= top_p <= 1:
        raise ValueError(f"top_p is {top_p}; the slider goes from 0.01 to 1.")
    if rule not in ("nucleus", "at-most"):
        raise ValueError(f"rule is {rule!r}; give 'nucleus' or 'at-most'.")
    shown = min(shown or 8, len(names))
    return Live(
        module="sampling_explorer.js",
        label="Sampling explorer: sliders for temperature, top-k and top-p, and the probability of each token",
        fallback=_table(names, values, shown),
        state={
            "tokens": names,
            "logits": values,
            "shown": shown,
            "temperature": temperature,
            "top_k": top_k or len(names),
            "top_p": top_p,
            "rule": rule,
        },
        height=323 + 24 * min(shown + 1, len(names)),
    )


_KEYS = 8
_D_K = "<i>d<sub>k</sub></i>"


def _uniform(seed: int) -> Iterator[float]:
    """Numbers in [0, 1): mulberry32 in 32-bit arithmetic, the same bits as in live_parts.js."""
    low = 0xFFFFFFFF
    state = seed & low
    while True:
        state = (state + 0x6D2B79F5) & low
        mixed = ((state ^ state >> 15) * (1 | state)) & low
        mixed = ((mixed + ((mixed ^ mixed >> 7) * (61 | mixed) & low)) & low) ^ mixed
        yield (mixed ^ mixed >> 14) / 2**32


def _dot_products(d_k: int, seed: int) -> list[float]:
    """One query with each key: all components are drawn evenly from -√3 to √3, so that their variance is 1."""
    numbers = _uniform(seed)
    scores = [0.0] * _KEYS
    for _ in range(d_k):
        component, *others = ((2 * next(numbers) - 1) * math.sqrt(3) for _ in range(1 + _KEYS))
        scores = [score + component * other for score, other in zip(scores, others, strict=True)]
    return scores


def _jacobian_norm(weights: list[float]) -> float:
    """The Frobenius norm of diag(p) - p pᵀ; 1 - p is a sum over the others, which is exact where p is close to 1."""
    squares = 0.0
    for i, weight in enumerate(weights):
        others = weights[:i] + weights[i + 1 :]
        squares += weight**2 * (sum(others) ** 2 + sum(other**2 for other in others))
    return math.sqrt(squares)


def _short(value: float) -> str:
    """Three decimals, or a power of ten where they would all be 0."""
    if value >= 0.001 or value == 0:
        return f"{value:.3f}"
    digits, power = f"{value:.1e}".split("e-")
    return f"{digits} · 10<sup>−{int(power)}</sup>"


def _attention_table(query_size: float, seed: int) -> str:
    """What a reader without JavaScript gets: three sizes of d_k, with the scores divided and as they are."""
    rows = []
    for d_k in (4, 64, 1024):
        for divided in (False, True):
            scores = [query_size * score for score in _dot_products(d_k, seed)]
            weights = _softmax(scores, math.sqrt(d_k) if divided else 1.0)
            effective = math.exp(-sum(p * math.log(p) for p in weights if p > 0))
            name = f"{d_k}, {f'divided by √{_D_K}' if divided else 'as they are'}"
            rows.append((name, f"{max(weights):.3f}", f"{effective:.2f}", _short(_jacobian_norm(weights))))
    return _without_javascript(
        "here are the weights of eight keys for one query.",
        (f"{_D_K}, scores", "largest weight", f"keys in use, of {_KEYS}", "gradient let through"),
        rows,
    )


def attention_explorer(*, d_k: int = 64, divided: bool = False, query_size: float = 1.0, seed: int = 333) -> Live:
    """Sliders for d_k and the query's size, and a box for the division by the root of d_k, over eight weights.

    The query and the keys are drawn at random, with components of mean 0 and variance 1, by a generator that gives the
    same numbers everywhere. The figure shows the scores and the weights, the largest weight, how many keys are in use
    (the exponential of the entropy), and the Frobenius norm of the softmax's Jacobian, which is what a gradient is
    multiplied by on its way back through the weights: 0.331 where eight weights are equal, 0.5 where two share all,
    0 where one has all [vaswani2017attention].

    Args:
        d_k: components of the query and of each key where the slider starts; a power of two from 4 to 1024.
        divided: whether the scores start divided by the root of d_k.
        query_size: factor on the query where the slider starts; a multiple of 0.5 from 0.5 to 8.
        seed: number of the first draw; the button in the figure adds one. The default is a typical draw: its scores
            spread between 0.83 and 1.26 times the root of d_k, for every d_k.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if d_k not in (powers := [2**n for n in range(2, 11)]):
        raise ValueError(f"d_k is {d_k}; give one of {powers}.")
    if not 0.5 <= query_size <= 8 or 2 * query_size % 1:
        raise ValueError(f"query_size is {query_size}; give a multiple of 0.5 from 0.5 to 8.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; give a number from 0 to 2147483647.")
    return Live(
        module="attention_explorer.js",
        label="Attention explorer: sliders for d_k and the size of the query, and the attention weight of each key",
        fallback=_attention_table(query_size, seed),
        state={
            "exponent": d_k.bit_length() - 1,
            "n_keys": _KEYS,
            "query_size": query_size,
            "divided": divided,
            "seed": seed,
        },
        height=505,
    )


# One query and one key in four pairs of axes: arrows of length 1, apart by an angle that differs from pair to pair.
_QUERY = [[0.8, 0.6], [1.0, 0.0], [0.6, 0.8], [0.96, 0.28]]
_KEY = [[0.96, -0.28], [0.8, -0.6], [0.8, 0.6], [0.8, 0.6]]


def _rotary_table(base: float) -> str:
    """What a reader without JavaScript gets: the score of each pair at some distances."""
    rows = []
    for distance in (0, 1, 2, 4, 8, 16, 32):
        shares = []
        for pair, ((a, b), (c, d)) in enumerate(zip(_QUERY, _KEY, strict=True)):
            angle = distance * base ** (-pair / len(_QUERY))
            shares.append((a * c + b * d) * math.cos(angle) + (a * d - b * c) * math.sin(angle))
        rows.append((str(distance), *(f"{share:.3f}" for share in [*shares, sum(shares)])))
    return _without_javascript(
        "here is the score by the distance from the key to the query. Where the two stand does not matter: only their "
        "distance does.",
        ["distance", *(f"pair {pair + 1}" for pair in range(len(_QUERY))), "all pairs"],
        rows,
    )


def rotary_explorer(
    *, query_position: int = 16, key_position: int = 8, shift: int = 0, pair: int = 2, base: float = 10_000.0
) -> Live:
    """Sliders for the positions of a query and a key that are turned pair by pair, and their score by distance.

    Rotary positions turn each pair of axes of the query and of the key by an angle that grows with the position
    [su2024roformer]. Moving both by the same number of positions turns both arrows and leaves each score as it is.

    Args:
        query_position: where the slider of the query starts, from 0 to 32.
        key_position: where the slider of the key starts, from 0 to 32.
        shift: how far both are moved at first, from 0 to 1000.
        pair: the pair of axes whose score is drawn as a curve at first, from 1 to 4.
        base: the base of the frequencies, above 1; the first pair turns by 1 radian a position, pair i by
            base^(-(i - 1)/4).

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    for name, position in (("query_position", query_position), ("key_position", key_position)):
        if not 0 <= position <= 32:
            raise ValueError(f"{name} is {position}; the slider goes from 0 to 32.")
    if not 0 <= shift <= 1000:
        raise ValueError(f"shift is {shift}; the slider goes from 0 to 1000.")
    if not 1 <= pair <= len(_QUERY):
        raise ValueError(f"pair is {pair}; there are {len(_QUERY)}, counted from 1.")
    if not 1 < base < math.inf:
        raise ValueError(f"base is {base}; give a number above 1.")
    return Live(
        module="rotary_explorer.js",
        label="Rotary explorer: sliders for the positions of a query and a key, and their score pair by pair",
        fallback=_rotary_table(base),
        state={
            "query": _QUERY,
            "key": _KEY,
            "base": base,
            "query_position": query_position,
            "key_position": key_position,
            "shift": shift,
            "pair": pair,
        },
        height=738,
    )


# One sentence, and what is done to it before a model is trained on it. tests/test_widgets_objectives.py makes
# the same with labutils.objectives.
_WORDS = ["the", "dogs", "near", "the", "old", "tree", "watch", "a", "cow", "."]
_CORRUPTED = ["the", "[mask]", "near", "the", "old", "bell", "watch", "a", "cow", "."]
_CHOSEN = [place in (1, 2, 5) for place in range(len(_WORDS))]
_SOURCE = ["the", "dogs", "⟨X⟩", "old", "tree", "⟨Y⟩", "a", "cow", "."]
_TARGET = ["⟨X⟩", "near", "the", "⟨Y⟩", "watch", "⟨Z⟩"]
_PROMPT = 6  # words that a prefix decoder is given
_FAMILIES = {
    "causal": (
        "Causal (decoder)",
        " ".join(_WORDS),
        "itself and all before it",
        f"the next word, at all positions but the last: {' '.join(_WORDS[1:])}",
    ),
    "full": (
        "Full (encoder)",
        " ".join(_CORRUPTED),
        "all positions",
        "the true word, at the three chosen positions only: 2 dogs, 3 near, 6 tree",
    ),
    "prefix": (
        "Prefix (decoder)",
        " ".join(_WORDS),
        f"the first {_PROMPT} positions, itself and all before it",
        f"the next word, from position {_PROMPT} on: {' '.join(_WORDS[_PROMPT:])}",
    ),
    "encoder-decoder": (
        "Encoder-decoder",
        f"encoder: {' '.join(_SOURCE)}; decoder: ⟨start⟩ {' '.join(_TARGET[:-1])}",
        "in the encoder all of it; in the decoder all of the encoder, itself and all before it",
        f"the next token of the target, at all positions of the decoder: {' '.join(_TARGET)}",
    ),
}


def _mask_table() -> str:
    """What a reader without JavaScript gets: a row a family."""
    return _without_javascript(
        "here is how four families of models are trained on one sentence.",
        ("family", "input", "a position sees", "target, and where it counts"),
        [(name, *map(html.escape, cells)) for name, *cells in _FAMILIES.values()],
    )


def mask_explorer(*, family: str = "causal", position: int = 5) -> Live:
    """Buttons for a family of models and a slider for a position, over one sentence as that family is trained on it.

    The figure shows the input, what the position can see, what it has to predict, and whether that counts in the loss:
    a causal decoder [radford2018improving], an encoder with masked words [devlin2019bert], a decoder that sees its
    prompt both ways, and an encoder-decoder with dropped spans [raffel2020exploring]. The rows and columns of the
    encoder-decoder's mask are the encoder's positions and then the decoder's.

    Args:
        family: the family at first: "causal", "full", "prefix" or "encoder-decoder".
        position: where the slider starts, from 1 to the number of positions: 10, and 15 for the encoder-decoder.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if family not in _FAMILIES:
        raise ValueError(f"family is {family!r}; give one of {', '.join(_FAMILIES)}.")
    n_positions = len(_SOURCE) + len(_TARGET) if family == "encoder-decoder" else len(_WORDS)
    if not 1 <= position <= n_positions:
        raise ValueError(f"position is {position}; this family has positions from 1 to {n_positions}.")
    return Live(
        module="mask_explorer.js",
        label="Mask explorer: a family of models, a position, and what that position sees and predicts",
        fallback=_mask_table(),
        state={
            "family": family,
            "position": position,
            "words": _WORDS,
            "corrupted": _CORRUPTED,
            "chosen": _CHOSEN,
            "source": _SOURCE,
            "target": _TARGET,
            "prompt": _PROMPT,
        },
        height=645 if family == "encoder-decoder" else 536,
    )


_INSTRUCTIONS = {"frequent": "frequent", "middle": "less frequent", "rare": "rare", "never": "never seen"}


def _in_context_table(counted: dict) -> str:
    """What a reader without JavaScript gets: the share of right answers after some numbers of examples."""
    shown = (0, 1, 2, 4, 8)
    rows = [
        (
            f"{counted['parameters'][size]:,} weights{', taught with errors' * ('noisy' in size)}, {name}",
            groups[group]["right"],
        )
        for size, groups in counted["accuracy"].items()
        for group, name in _INSTRUCTIONS.items()
        if group in ("rare", "never")
    ]
    rows.append(("best possible without the instruction", counted["bayes"]))
    return _without_javascript(
        "here is the share of right answers after k examples with right labels, on instructions that were rare in "
        "training or never seen.",
        ["model, instruction", *(f"k = {k}" for k in shown)],
        [(name, *(f"{shares[k]:.3f}" for k in shown)) for name, shares in rows],
    )


def in_context_explorer(*, size: str = "8", group: str = "rare", labels: str = "right", examples: int = 1) -> Live:
    """Buttons for a model, an instruction and the labels of the examples, and a slider for the number of examples.

    The figure shows the share of right answers on the task mixture, with its 95% interval, and the best that a reader
    can do who does not know the instruction. tools/train_in_context.py counted the shares. The model "32_noisy" was
    trained with a quarter of all labels replaced at random.

    Args:
        size: the model at first, by its d_model: "8", "16", "32", "64" or "32_noisy".
        group: how often training showed the instruction: "frequent", "middle", "rare" or "never".
        labels: the labels of the examples: "right", "random" or "swapped".
        examples: where the slider starts, from 0 to 8.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    counted = json.loads((_HERE / "weights" / "in_context.json").read_text(encoding="utf-8"))
    if size not in counted["accuracy"]:
        raise ValueError(f"size is {size!r}; give one of {', '.join(counted['accuracy'])}.")
    if group not in _INSTRUCTIONS:
        raise ValueError(f"group is {group!r}; give one of {', '.join(_INSTRUCTIONS)}.")
    if labels not in (kinds := tuple(counted["accuracy"][size][group])):
        raise ValueError(f"labels is {labels!r}; give one of {', '.join(kinds)}.")
    if not 0 <= examples < len(counted["bayes"]):
        raise ValueError(f"examples is {examples}; the slider goes from 0 to {len(counted['bayes']) - 1}.")
    return Live(
        module="in_context_explorer.js",
        label="In-context explorer: a model, an instruction, a number of examples, and the share of right answers",
        fallback=_in_context_table(counted),
        state=counted | {"size": size, "group": group, "labels": labels, "examples": examples},
        height=545,
    )


_DECODER = _HERE / "weights" / "world_decoder.safetensors"
_WORLD_LAW = _HERE / "weights" / "world_law.safetensors"
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
    model, law = _softmax(example["logits"], 1.0), example["law"]
    first = sorted(range(len(vocab)), key=lambda token: -model[token])[:8]
    return _without_javascript(
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
    examples = json.loads((_HERE / "weights" / "world_examples.json").read_text(encoding="utf-8"))
    heads = [f"{i + 1}.{j + 1}" for i in range(about["config"]["n_layers"]) for j in range(about["config"]["n_heads"])]
    if view not in _VIEWS:
        raise ValueError(f"view is {view!r}; give one of {', '.join(_VIEWS)}.")
    if not (example := next((example for example in examples if example["text"] == text), None)):
        raise ValueError(f"No results are stored for {text!r}. Add it to tools/export_world.py, and run that.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; give a number from 0 to 2147483647.")
    if not 0.05 <= temperature <= 3:
        raise ValueError(f"temperature is {temperature}; the slider goes from 0.05 to 3.")
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


_TEXT = """
the dogs near the old tree watch a cow . some farmers carry a heavy bucket and an axe .
a small cat behind the old fence sleeps often . the hunters chase an owl and the red wolves .
"""
_OTHER_WORDS = """
barn horse whale sailor boat rope teacher desk book child coin thief basket oven spoon baker green brown slowly quickly
sleep swim burn hide
"""
_SENTINELS = [f"⟨{letter}⟩" for letter in "XYZABCDEFGHIJKLMNOPQRSTUVW"]


def _spans_table() -> str:
    """What a reader without JavaScript gets: how long T5's source and target are, for some rates and spans."""
    n_words, rows = len(_TEXT.split()), []
    for rate in (0.15, 0.3, 0.5):
        for mean_span in (1, 3):
            n_dropped = round(n_words * rate)
            n_spans = round(n_dropped / mean_span)
            source, target = n_words - n_dropped + n_spans, n_dropped + n_spans + 1
            rows.append((f"{rate:.0%}, spans of {mean_span}", *map(str, (n_dropped, n_spans, source, target))))
    return _without_javascript(
        f"here is what T5 makes of a text of {n_words} words. BERT reads all of them, with a mask at most of the "
        "chosen places, and is asked for the chosen words alone.",
        ("hidden", "words hidden", "spans", "the encoder reads", "the decoder writes"),
        rows,
    )


def spans_explorer(*, percent: int = 15, mean_span: float = 3.0, seed: int = 70) -> Live:
    """Sliders for the share of hidden words and the length of a span, over a text that T5 and BERT are trained on.

    T5 replaces each span by a sentinel and writes the spans [raffel2020exploring]; BERT hides single words, not all of
    them behind the mask, and is asked for those [devlin2019bert]. A table has the positions that are read and written
    and the answers that the loss counts, for both and for BART [lewis2020bart].

    Args:
        percent: share of the words to hide at first, a multiple of 5 from 5 to 60.
        mean_span: mean length of a span at first, a multiple of 0.5 from 1 to 6; it is met as nearly as whole numbers
            of words and spans allow.
        seed: number of the first draw; the button in the figure adds one. In the default draw BERT's rule does all
            that it can do to a word.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if not 5 <= percent <= 60 or percent % 5:
        raise ValueError(f"percent is {percent}; give a multiple of 5 from 5 to 60.")
    if not 1 <= mean_span <= 6 or 2 * mean_span % 1:
        raise ValueError(f"mean_span is {mean_span}; give a multiple of 0.5 from 1 to 6.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; give a number from 0 to 2147483647.")
    return Live(
        module="spans_explorer.js",
        label="Spans explorer: how many words are hidden, in how long spans, and what T5 and BERT are then asked",
        fallback=_spans_table(),
        state={
            "words": _TEXT.split(),
            "others": _OTHER_WORDS.split(),
            "sentinels": _SENTINELS,
            "percent": percent,
            "mean_span": mean_span,
            "seed": seed,
        },
        height=659,
    )


# A law over 13 sentences: each next word with its probability and the law after it. Its first steps are those of the
# tree of chapter 5. The most probable sentence is short and begins with the least probable word.
_END = {".": (1.0, None)}
_TREE = {
    "the": (
        0.40,
        {
            "big": (
                0.50,
                {
                    "dogs": (0.55, {"sleep": (0.6, _END), "run": (0.4, _END)}),
                    "cats": (0.45, {"play": (1.0, _END)}),
                },
            ),
            "dogs": (0.30, {"sleep": (0.6, _END), "run": (0.4, _END)}),
            "cats": (0.20, {"sleep": (0.7, _END), "run": (0.3, _END)}),
        },
    ),
    "some": (
        0.35,
        {
            "dogs": (0.90, {"sleep": (0.45, _END), "run": (0.35, _END), "play": (0.2, _END)}),
            "cats": (0.10, {"sleep": (1.0, _END)}),
        },
    ),
    "cats": (0.25, {"sleep": (0.84, _END), "run": (0.16, _END)}),
}


def _sentences(law: dict, words: tuple[str, ...] = (), p: float = 1.0) -> Iterator[tuple[tuple[str, ...], float]]:
    """All sentences of a law with their probabilities."""
    for word, (share, after) in law.items():
        if after is None:
            yield (*words, word), p * share
        else:
            yield from _sentences(after, (*words, word), p * share)


def _beam_table() -> str:
    """What a reader without JavaScript gets: all sentences, with what a search ranks them by."""
    found = sorted(_sentences(_TREE), key=lambda sentence: -sentence[1])
    rows = [
        (" ".join(words), f"{p:.3f}", f"{math.log(p):.3f}", f"{math.log(p) / len(words):.3f}") for words, p in found
    ]
    return _without_javascript(
        "here are all sentences of the law, the most probable first. Greedy decoding writes the big dogs sleep.",
        ("sentence", "probability", "log-probability", "per token"),
        rows,
    )


def beam_explorer(*, width: int = 2, penalty: float = 0.0, step: int = 2) -> Live:
    """Sliders for the width of a beam and the length penalty, and buttons that walk the search step by step.

    The figure shows a small law as a tree, what the search keeps, cuts and completes, and the best sentence of all,
    which a narrow beam can miss. It searches as `labutils.sampling.beam_search` does.

    Args:
        width: beams that are kept, from 1 to 4; 1 is greedy decoding.
        penalty: a complete sentence is ranked by log-probability / length ** penalty; from 0 to 1.5 in steps of 0.1.
        step: how many steps have been made at first, from 0 to 5.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if not 1 <= width <= 4:
        raise ValueError(f"width is {width}; the slider goes from 1 to 4.")
    if not 0 <= penalty <= 1.5:
        raise ValueError(f"penalty is {penalty}; the slider goes from 0 to 1.5.")
    if not 0 <= step <= 5:
        raise ValueError(f"step is {step}; the slider goes from 0 to 5.")
    return Live(
        module="beam_explorer.js",
        label="Beam explorer: a tree of sentences, and which beginnings beam search keeps at each step",
        fallback=_beam_table(),
        state={"law": _TREE, "width": width, "penalty": penalty, "step": step},
        height=725,
    )


# Layers, query heads, key-value heads, the width of a head, and the weights in billions that the name says
# [touvron2023llama2, almazrouei2023falcon].
_SHAPES = {
    "Llama 2 7B": (32, 32, 32, 128, 7),
    "Llama 2 70B": (80, 64, 8, 128, 70),
    "Falcon 7B": (32, 71, 1, 64, 7),
    "Falcon 180B": (80, 232, 8, 64, 180),
}
_TOKENS = 4096


def _cache_table(texts: int) -> str:
    """What a reader without JavaScript gets: the cache of known models beside their weights."""
    rows = []
    for name, (layers, heads, kv_heads, width, billions) in _SHAPES.items():
        token = 2 * layers * kv_heads * width * 2
        sizes = (token * _TOKENS * texts, token * _TOKENS * texts * heads // kv_heads, billions * 10**9 * 2)
        rows.append((name, f"{token / 2**10:g} KiB", *(f"{size / 2**30:.1f} GiB" for size in sizes)))
    return _without_javascript(
        f"here is the cache of {texts} texts of {_TOKENS:,} tokens, with 2 bytes a number.",
        ("model", "cache of a token", "cache", "cache if no head were shared", "weights"),
        rows,
    )


def cache_explorer(*, model: str = "Llama 2 70B", tokens: int = _TOKENS, texts: int = 16) -> Live:
    """Sliders for the key-value heads, the length of a text and the texts at once, and the bytes of the KV cache.

    A token leaves a key and a value in each layer for each key-value head. The bars compare the cache with the weights
    and with the cache of a model in which every query head has its own keys [shazeer2019fast, ainslie2023gqa].

    Args:
        model: the published shape at first: "Llama 2 7B", "Llama 2 70B", "Falcon 7B" or "Falcon 180B"
            [touvron2023llama2, almazrouei2023falcon]. A further set of sliders changes it.
        tokens: tokens in a text where the slider starts; a power of two from 128 to 1,048,576.
        texts: texts at once where the slider starts, from 1 to 64.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if model not in _SHAPES:
        raise ValueError(f"model is {model!r}; give one of {', '.join(_SHAPES)}.")
    if tokens not in (powers := [2**n for n in range(7, 21)]):
        raise ValueError(f"tokens is {tokens}; give a power of two from {powers[0]} to {powers[-1]}.")
    if not 1 <= texts <= 64:
        raise ValueError(f"texts is {texts}; the slider goes from 1 to 64.")
    names = ("layers", "heads", "kv_heads", "width", "billions")
    models = {name: dict(zip(names, shape, strict=True)) for name, shape in _SHAPES.items()}
    shape = {name: value for name, value in models[model].items() if name != "kv_heads"}
    divisors = [n for n in range(1, shape["heads"] + 1) if shape["heads"] % n == 0]
    return Live(
        module="cache_explorer.js",
        label="Cache explorer: key-value heads, tokens and texts, and the bytes of the cache beside the weights",
        fallback=_cache_table(texts),
        state=shape
        | {
            "models": models,
            "sharing": divisors.index(models[model]["kv_heads"]) + 1,
            "exponent": tokens.bit_length() - 1,
            "texts": texts,
            "number_bytes": 2,
        },
        height=345,
    )


# Six answers to "the": the share of each in the model before, among its kind, its points by the constitution of lab 14,
# and whether the language of the world has such a text. The points reward adverbs and do not read.
_ANSWERS = [
    {"text": "the dogs sleep .", "share": 0.5, "points": 0, "possible": True},
    {"text": "the cows swim quickly .", "share": 0.3, "points": 1, "possible": True},
    {"text": "the thief chases the dog .", "share": 0.2, "points": -2, "possible": True},
    {"text": "the dogs loudly quickly .", "share": 0.6, "points": 2, "possible": False},
    {"text": "the loudly quickly today .", "share": 0.3, "points": 3, "possible": False},
    {"text": "the today today today today .", "share": 0.1, "points": 4, "possible": False},
]


def _preferences_table(junk: float) -> str:
    """What a reader without JavaScript gets: the optimum at some prices."""
    before = [answer["share"] * (1 - junk if answer["possible"] else junk) for answer in _ANSWERS]
    rows = []
    for beta in (10.0, 3.0, 1.0, 0.5, 0.3, 0.1):
        after = _softmax([math.log(p) + a["points"] / beta for p, a in zip(before, _ANSWERS, strict=True)], 1.0)
        kl = sum(p * math.log(p / q) for p, q in zip(after, before, strict=True) if p > 0)
        points = sum(p * answer["points"] for p, answer in zip(after, _ANSWERS, strict=True))
        possible = sum(p for p, answer in zip(after, _ANSWERS, strict=True) if answer["possible"])
        rows.append((f"{beta:g}", f"{points:.2f}", f"{kl:.2f}", f"{possible:.3f}"))
    return _without_javascript(
        "here is the best policy for some prices β of moving away from the model before.",
        ("β", "points", "KL from the model before, nats", "share of possible texts"),
        rows,
    )


def preferences_explorer(*, beta: float = 1.0, junk: float = 0.001) -> Live:
    """Sliders for the price of moving away and for what the model did before, over a model of six answers.

    The figure shows the policy that has the most points less beta times its KL from the reference, which is the optimum
    of the DPO loss as well [rafailov2023direct]: its wins, its distance, and the share of texts that the language has.
    The points are those of a rule that likes adverbs and does not read.

    Args:
        beta: the price where the slider starts, from 0.1 to 10; the nearest of 41 steps is taken.
        junk: share of the impossible answers in the reference where the slider starts, from 1e-6 to 0.1; the nearest
            of 11 steps is taken.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if not 0.1 <= beta <= 10:
        raise ValueError(f"beta is {beta}; the slider goes from 0.1 to 10.")
    if not 1e-6 <= junk <= 0.1:
        raise ValueError(f"junk is {junk}; the slider goes from 0.000001 to 0.1.")
    return Live(
        module="preferences_explorer.js",
        label="Preferences explorer: the price of moving away from a model, and what that buys in points and in junk",
        fallback=_preferences_table(junk),
        state={
            "answers": _ANSWERS,
            "log_beta": round(20 * math.log10(beta)) / 20,
            "log_junk": round(2 * math.log10(junk)) / 2,
        },
        height=653,
    )


_N_WORDS = 50
_GENERATIONS = 21
_ZIPF = [1 / (rank + 4) for rank in range(_N_WORDS)]  # the form of a word list's law in the world
_WORD_LAW = [weight / sum(_ZIPF) for weight in _ZIPF]


def _words_expected(length: int) -> list[float]:
    """Different words to expect in each generation's text, where a text is all that the next one is drawn from.

    From the end: a word that occurs x times now is still there g generations later with a probability that is a mean
    over what it may be in the next one.
    """
    counts = range(length + 1)

    def mean(p: float, values: list[float]) -> float:
        return sum(math.comb(length, y) * p**y * (1 - p) ** (length - y) * values[y] for y in counts)

    left, present = [float(x > 0) for x in counts], []
    for _ in range(_GENERATIONS):
        present.append(sum(mean(p, left) for p in _WORD_LAW))
        left = [mean(x / length, left) for x in counts]
    return present


def _collapse_table(length: int) -> str:
    """What a reader without JavaScript gets: the expected number of words, by generation."""
    present = _words_expected(length)
    rows = [(str(g), f"{present[g]:.1f}", f"{present[g] / _N_WORDS:.0%}") for g in (0, 1, 2, 5, 10, 20)]
    return _without_javascript(
        f"here is how many of {_N_WORDS} words are to be expected in each generation's text of {length} words, if "
        "nothing but the text before is learned from.",
        ("generation", "words expected", "of all"),
        rows,
    )


def collapse_explorer(*, generation: int = 10, length: int = 100, percent: int = 0, seed: int = 1) -> Live:
    """Sliders for the generation, the length of its text and the real data in it, over a table that reads itself.

    Each generation counts the words of the text before and draws its own text from the shares [shumailov2024ai]. The
    figure shows one run and the exact expectation of how many different words are left. Real words in every text bring
    lost ones back; in the accumulating data of [gerstgrasser2024model] they are kept in another way.

    Args:
        generation: the generation that is shown at first, from 0, which draws from the true law, to 20.
        length: words in a text where the slider starts, a multiple of 10 from 20 to 100.
        percent: share of the words drawn from the true law where the slider starts, a multiple of 5 from 0 to 50.
        seed: number of the first run; the button in the figure adds one.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    if not 0 <= generation < _GENERATIONS:
        raise ValueError(f"generation is {generation}; the slider goes from 0 to {_GENERATIONS - 1}.")
    if not 20 <= length <= 100 or length % 10:
        raise ValueError(f"length is {length}; give a multiple of 10 from 20 to 100.")
    if not 0 <= percent <= 50 or percent % 5:
        raise ValueError(f"percent is {percent}; give a multiple of 5 from 0 to 50.")
    if not 0 <= seed < 2**31:
        raise ValueError(f"seed is {seed}; give a number from 0 to 2147483647.")
    return Live(
        module="collapse_explorer.js",
        label="Collapse explorer: a table of words that is filled again and again from its own text",
        fallback=_collapse_table(length),
        state={
            "law": _WORD_LAW,
            "generations": _GENERATIONS,
            "generation": generation,
            "length": length,
            "percent": percent,
            "seed": seed,
        },
        height=659,
    )
