"""Interactive figures that need no kernel, no server and no network.

A figure is one ECMAScript module in the form that anywidget introduced (`export default { render({ model, el }) }`)
and a small dictionary of state. `Live` shows it as plain HTML, so that the same cell works in Jupyter, in Colab and
in the built book. The standard library is all this module imports: the book is built without torch.
"""

import hashlib
import html
import json
import math
from collections.abc import Iterable
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

# The module is pasted into a module script of its own, where its `render` is in scope: no Blob URL, no escaping of
# code inside a string. A page may show the same figure twice, so a script takes the first element not yet taken.
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


@dataclass(frozen=True)
class Live:
    """A figure that stays alive in a static page.

    Args:
        module: name of the module in this folder; it has a top-level function `render({ model, el })`.
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
        source = (_HERE / self.module).read_text(encoding="utf-8").strip()
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
