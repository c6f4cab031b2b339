"""Interactive figures that need no kernel, no server and no network.

A figure is one ECMAScript module in the form that anywidget introduced (`export default { render({ model, el }) }`)
and a small dictionary of state. `Live` shows it as plain HTML, so that the same cell works in Jupyter, in Colab and
in the built book. The standard library is all this module imports: the book is built without torch.
"""

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
    head = "".join(f'<th scope="col">T = {temperature:g}</th>' for temperature in temperatures)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(f"<td>{p:.3f}</td>" for p in values)}</tr>'
        for name, values in rows
    )
    return (
        "<p>This figure moves when JavaScript is on. Without it, here is the distribution at three temperatures T.</p>"
        f'<table><thead><tr><th scope="col">token</th>{head}</tr></thead><tbody>{body}</tbody></table>'
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
    body = ""
    for d_k in (4, 64, 1024):
        for divided in (False, True):
            scores = [query_size * score for score in _dot_products(d_k, seed)]
            weights = _softmax(scores, math.sqrt(d_k) if divided else 1.0)
            effective = math.exp(-sum(p * math.log(p) for p in weights if p > 0))
            gradient = _jacobian_norm(weights)
            body += (
                f'<tr><th scope="row">{d_k}, {f"divided by √{_D_K}" if divided else "as they are"}</th>'
                f"<td>{max(weights):.3f}</td><td>{effective:.2f}</td><td>{_short(gradient)}</td></tr>"
            )
    heads = (f"{_D_K}, scores", "largest weight", "keys in use, of 8", "gradient let through")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        "<p>This figure moves when JavaScript is on. Without it, here are the weights of eight keys for one query.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
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
        height=472,
    )


# One query and one key in four pairs of axes: arrows of length 1, apart by an angle that differs from pair to pair.
_QUERY = [[0.8, 0.6], [1.0, 0.0], [0.6, 0.8], [0.96, 0.28]]
_KEY = [[0.96, -0.28], [0.8, -0.6], [0.8, 0.6], [0.8, 0.6]]


def _rotary_table(base: float) -> str:
    """What a reader without JavaScript gets: the score of each pair at some distances."""
    body = ""
    for distance in (0, 1, 2, 4, 8, 16, 32):
        shares = []
        for pair, ((a, b), (c, d)) in enumerate(zip(_QUERY, _KEY, strict=True)):
            angle = distance * base ** (-pair / len(_QUERY))
            shares.append((a * c + b * d) * math.cos(angle) + (a * d - b * c) * math.sin(angle))
        cells = "".join(f"<td>{share:.3f}</td>" for share in [*shares, sum(shares)])
        body += f'<tr><th scope="row">{distance}</th>{cells}</tr>'
    heads = ["distance", *(f"pair {pair + 1}" for pair in range(len(_QUERY))), "all pairs"]
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        "<p>This figure moves when JavaScript is on. Without it, here is the score by the distance from the key to the "
        "query. Where the two stand does not matter: only their distance does.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
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
        height=660,
    )


# One sentence, and what is done to it before a model is trained on it. tests/test_widgets.py makes the same with
# labutils.objectives.
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
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("family", "input", "a position sees", "target, and where it counts")
    )
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{html.escape(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in _FAMILIES.values()
    )
    return (
        "<p>This figure moves when JavaScript is on. Without it, here is how four families of models are trained on "
        "one sentence.</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
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
        height=645 if family == "encoder-decoder" else 523,
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
    head = "".join(f'<th scope="col">k = {k}</th>' for k in shown)
    body = "".join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{shares[k]:.3f}</td>" for k in shown)}</tr>'
        for name, shares in rows
    )
    return (
        "<p>This figure moves when JavaScript is on. Without it, here is the share of right answers after k examples "
        "with right labels, on instructions that were rare in training or never seen.</p>"
        f'<table><thead><tr><th scope="col">model, instruction</th>{head}</tr></thead><tbody>{body}</tbody></table>'
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
        height=490,
    )
