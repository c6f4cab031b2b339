"""BertViz in the page: which word attends to which, head by head, for a reader to turn over.

BertViz [vig2019multiscale] draws; this module puts its drawing into a frame that needs no network, follows the colours
of the page around it, can be used from the keyboard, and is the same HTML, byte for byte, each time it is made. Only
the two drawings (JavaScript) of the bertviz package are used, so neither torch nor bertviz is imported.
"""

import html
import importlib.util
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_DRAWN_BY = "1.4.1"

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
:root {{ --ink: CanvasText; --paper: Canvas; }}
body {{ margin: 0; padding: 4px; background: var(--paper); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }}
label {{ display: inline-block; margin: 0 0 .6rem; }}
select {{ font: inherit; color: inherit; background: transparent; border: 1px solid; border-radius: .2rem; }}
option {{ color: CanvasText; background: Canvas; }}
svg {{ display: block; }}
svg text {{ fill: var(--ink); }}
svg .background {{ fill: #8886; }}
svg .attn_background {{ fill: transparent; }}
svg .attn_background[stroke-opacity="0.8"] {{ fill: #8883; }}
svg rect.detail {{ fill: var(--paper); }}
svg rect[role="button"] {{ fill: transparent; opacity: 1 !important; }}
:focus-visible {{ outline: 3px solid #3d85c6; outline-offset: 1px; }}
.scroll {{ overflow-x: auto; }}
.scroll svg {{ width: 100%; min-width: 620px; max-width: 970px; height: auto; }}
.scroll svg text {{ font-size: 15px; }}
#said {{ margin: .4rem 0 0; min-height: 1.4em; }}
table {{ border-collapse: collapse; }} th, td {{ padding: .1rem .6rem; text-align: left; font-weight: inherit; }}
</style></head><body>
<noscript><style>#view, #said {{ display: none; }}</style>{fallback}</noscript>
<div id="view">{controls}</div>
<p id="said" role="status">{hint}</p>
<script>
/* d3-selection, BSD 3-Clause, (c) Michael Bostock; the drawing by BertViz {release}, Apache 2.0, (c) Jesse Vig */
{selection}
const view = {view};
{frame}
{drawing}
</script></body></html>"""


@dataclass(frozen=True)
class AttentionView:
    """A drawing by BertViz, in a frame of its own.

    Args:
        title: what the frame shows, for a screen reader and for a reader of plain text.
        document: the HTML page inside the frame.
        height: pixels to reserve before the frame has measured itself.
    """

    title: str
    document: str
    height: int

    def _repr_html_(self) -> str:
        document, title = html.escape(self.document), html.escape(self.title)
        style = f"display: block; width: 100%; height: {self.height}px; border: 0"
        return f'<iframe class="gam-frame" title="{title}" style="{style}" srcdoc="{document}"></iframe>'

    def __repr__(self) -> str:
        return f"Attention view: {self.title}"


def head_view(
    weights: Sequence[Any],
    words: Sequence[str],
    *,
    title: str,
    key_words: Sequence[str] | None = None,
    layer: int = 0,
    heads: Sequence[int] | None = None,
    digits: int = 3,
) -> AttentionView:
    """One layer at a time: lines from each word to the words it attends to, one colour a head.

    A click on a coloured box turns a head off or on, a double click leaves it alone. Pointing at a word shows its lines
    only and says its three largest weights.

    Args:
        weights: one tensor or array a layer, [n_heads queries keys] or [1 n_heads queries keys], each row a
            distribution over the keys or, where all keys are masked, zeros.
        words: the words of the queries.
        title: what the view shows, in a few words.
        key_words: the words of the keys, for cross-attention; without it the keys are the queries' words.
        layer: the layer that is shown first.
        heads: the heads that are on at first; None for all.
        digits: digits kept after the point. A weight near a rounding boundary may differ by one such digit on another
            machine; keep fewer digits for weights that were computed there.

    Returns:
        A view; the last line of a cell shows it.

    Raises:
        ValueError: shapes and words do not match, weights are not in [0, 1], or layer or heads do not exist.
    """
    layers, words, key_words = _checked(weights, words, key_words, digits)
    shown = _chosen(heads, len(layers[0]), "heads")
    [layer] = _chosen([layer], len(layers), "layer")
    view = _view(layers, words, key_words) | {
        "layer": layer,
        "heads": shown,
        "include_layers": list(range(len(layers))),
    }
    fallback = _table(layers[layer], words, key_words, shown, f"layer {layer}")
    controls = '<label>Layer <select id="layer"></select></label>\n<div id="vis"></div>'
    hint = "Point at a word, or choose one with the arrow keys, to read its weights."
    height = 98 + math.ceil(22.5 * max(len(words), len(key_words)))
    return AttentionView(title, _document("head_view", title, view, controls, hint, fallback), height)


def model_view(
    weights: Sequence[Any],
    words: Sequence[str],
    *,
    title: str,
    key_words: Sequence[str] | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    digits: int = 3,
) -> AttentionView:
    """All layers and heads at once, one small picture each; a click enlarges a picture and writes the words beside it.

    Args:
        weights: one tensor or array a layer, as for `head_view`.
        words: the words of the queries.
        title: what the view shows, in a few words.
        key_words: the words of the keys, for cross-attention.
        layers: the layers to show, None for all.
        heads: the heads to show, None for all.
        digits: digits kept after the point.

    Returns:
        A view; the last line of a cell shows it.

    Raises:
        ValueError: shapes and words do not match, weights are not in [0, 1], or layers or heads do not exist.
    """
    every, words, key_words = _checked(weights, words, key_words, digits)
    rows, columns = _chosen(layers, len(every), "layers"), _chosen(heads, len(every[0]), "heads")
    shown = [[every[layer][head] for head in columns] for layer in rows]
    # BertViz sizes a picture by the number of heads. It is told of those shown, or of four: fewer make giants.
    room = max(4, len(columns))
    view = _view(shown, words, key_words) | {
        "display_mode": "light",
        "include_layers": rows,
        "include_heads": columns,
        "total_heads": room,
    }
    fallback = _table(every[rows[0]], words, key_words, columns, f"layer {rows[0]}")
    controls = f'<div id="vis" class="scroll" role="group" tabindex="0" aria-label="{html.escape(title)}"></div>'
    longest = max(len(words), len(key_words))
    picture, enlarged = longest * 84 / room + 10, longest * 18 + 55  # pixels, as in model_view.js
    height = 38 + math.ceil(0.7 * max(len(rows) * picture + 38, enlarged))  # it is 970 wide, a column of the site 680
    hint = "Choose a picture to enlarge it; again to close it."
    return AttentionView(title, _document("model_view", title, view, controls, hint, fallback), height)


def _checked(
    weights: Sequence[Any], words: Sequence[str], key_words: Sequence[str] | None, digits: int
) -> tuple[list, list[str], list[str]]:
    """Nested lists [layer][head][query][key] of rounded weights, and the words of queries and keys."""
    left, right = list(words), list(words if key_words is None else key_words)
    layers = []
    for number, layer in enumerate(weights):
        heads = layer.tolist()
        if layer.ndim == 4 and len(heads) == 1:
            [heads] = heads
        elif layer.ndim != 3:
            raise ValueError(
                f"Layer {number} has the shape {list(layer.shape)}; give [n_heads queries keys] of one sequence."
            )
        if tuple(layer.shape[-2:]) != (len(left), len(right)):
            raise ValueError(
                f"Layer {number} has {layer.shape[-2]} queries and {layer.shape[-1]} keys, "
                f"and there are {len(left)} and {len(right)} words."
            )
        layers.append([[[_short(weight, digits) for weight in row] for row in head] for head in heads])
    if not layers or not left or not right:
        raise ValueError("Give at least one layer and one word.")
    if len({len(heads) for heads in layers}) > 1:
        raise ValueError(f"The layers differ in their number of heads: {[len(heads) for heads in layers]}.")
    return layers, left, right


def _short(weight: float, digits: int) -> float | int:
    if not -1e-6 <= weight <= 1 + 1e-6:
        raise ValueError(f"An attention weight is {weight}; give weights after the softmax, from 0 to 1.")
    short = round(weight, digits)
    return int(short) if short == int(short) else short  # 0 is shorter than 0.0, and most masked weights are 0


def _chosen(numbers: Sequence[int] | None, n: int, what: str) -> list[int]:
    chosen = list(range(n)) if numbers is None else list(numbers)
    if not chosen or not all(0 <= number < n for number in chosen):
        raise ValueError(f"{what}: got {chosen}, and there are {n}, counted from 0.")
    return chosen


def _view(layers: list, words: list[str], key_words: list[str]) -> dict[str, Any]:
    """What both drawings of BertViz ask for."""
    left, right = ([_plain(word) for word in side] for side in (words, key_words))
    attention = [{"name": None, "attn": layers, "left_text": left, "right_text": right}]
    return {"attention": attention, "default_filter": "0", "root_div_id": "view"}


def _plain(word: str) -> str:
    """A token as a reader knows it: without the marks that tokenizers put for a space or the end of a word."""
    return word.replace("Ġ", " ").replace("▁", " ").replace("</w>", "")


def _table(heads: list, words: list[str], key_words: list[str], shown: list[int], layer: str) -> str:
    """What a reader without JavaScript gets: the word that each word attends to most, for up to four heads."""
    columns = shown[:4]
    names = [html.escape(_plain(word)) for word in key_words]
    head = "".join(f'<th scope="col">head {number}</th>' for number in columns)
    body = ""
    for query, word in enumerate(words):
        cells = ""
        for number in columns:
            row = heads[number][query]
            key = row.index(max(row))
            cells += f"<td>{names[key]} {row[key]:.2f}</td>" if row[key] else "<td>nothing</td>"
        body += f'<tr><th scope="row">{html.escape(_plain(word))}</th>{cells}</tr>'
    return (
        f"<p>This view moves when JavaScript is on. Without it, here is the word that each word attends to most, with "
        f"its weight, in {layer}.</p><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _document(name: str, title: str, view: dict[str, Any], controls: str, hint: str, fallback: str) -> str:
    # Inside a script element only "<" could end it early.
    parameters = json.dumps(view, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    drawing = _drawing(name).replace("PYTHON_PARAMS;", "view;", 1)
    return _PAGE.format(
        title=html.escape(title),
        fallback=fallback,
        controls=controls,
        hint=hint,
        release=_DRAWN_BY,
        selection=_read(_HERE / "vendor" / "d3-selection.min.js"),
        view=parameters,
        frame=_read(_HERE / "attention_frame.js"),
        drawing=drawing,
    )


def _drawing(name: str) -> str:
    """BertViz's own JavaScript, less the addresses from which it would load d3 and jQuery."""
    package = importlib.util.find_spec("bertviz")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError(f"This view needs BertViz: pip install bertviz=={_DRAWN_BY}", name="bertviz")
    source = _read(Path(package.submodule_search_locations[0]) / f"{name}.js")
    without, times = re.subn(r"^require\.config\(\{.*?^\}\);\n", "", source, count=1, flags=re.MULTILINE | re.DOTALL)
    if times != 1 or without.count("PYTHON_PARAMS;") != 1:
        raise ImportError(
            f"This release of BertViz is not known here: pip install bertviz=={_DRAWN_BY}", name="bertviz"
        )
    return without


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()
