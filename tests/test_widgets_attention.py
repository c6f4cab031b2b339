"""The figures of chapter 3: their arithmetic in JavaScript against torch, labutils and Hugging Face."""

import math
import re
from pathlib import Path

import javascript
import numpy as np
import pytest
import torch
from transformers import FalconConfig, LlamaConfig

from labutils import evidence, positions, widgets
from labutils.models import Config, Decoder
from labutils.widgets import attention as figures
from labutils.widgets.parts import uniform

LABS = Path(__file__).resolve().parent.parent / "labs"
FALCON_LLAMA = "mech-mqa-falcon-llama2"

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
    for c, result in zip(cases, javascript.run("attention_explorer.js", "module.attend", cases), strict=True):
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
            figures._jacobian_norm([float(p) for p in result["weights"]]), result["gradient"], rtol=1e-12
        )
        root = math.sqrt(c["d_k"]) if c["divided"] else 1
        expected = c["query_size"] * np.array(figures._dot_products(c["d_k"], c["seed"])) / root
        np.testing.assert_allclose(result["scores"], expected, rtol=1e-13)


def test_the_components_are_those_of_mulberry32_with_mean_0_and_variance_1():
    assert [round(2**32 * u) for u, _ in zip(uniform(0), range(3), strict=False)] == mulberry32(0, 3)
    drawn = np.fromiter(uniform(7), dtype=float, count=20_000)
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
        return javascript.run("attention_explorer.js", "module.attend", cases)

    bare, divided = course(divided=False), course(divided=True)
    assert bare[0]["largest"] < 0.5
    assert all(result["largest"] > 0.99 and result["gradient"] < 0.02 for result in bare[-3:])
    assert all(result["largest"] < 0.7 and result["gradient"] > 0.25 for result in divided)
    assert all(0.83 < result["spread"] < 1.26 for result in divided)


def test_the_theory_of_the_attention_figure_is_the_spread_over_all_draws():
    [once] = javascript.run(
        "attention_explorer.js", "module.attend", [widgets.attention_explorer(d_k=16).state | {"d_k": 16}]
    )
    draws = javascript.run("attention_explorer.js", "(seed) => module.dotProducts(16, 8, seed)", list(range(2000)))
    assert np.std(draws) == pytest.approx(once["expected"], rel=0.03)
    assert once["expected"] == 4


def test_a_gradient_passes_equal_weights_and_not_a_single_one():
    equal, single = javascript.run("attention_explorer.js", "module.jacobianNorm", [[1 / 8] * 8, [1.0, 0.0]])
    assert equal == pytest.approx(math.sqrt(7) / 8)  # 1/8 times the norm of a projection on 7 of 8 axes
    assert single == 0
    [tiny] = javascript.run("attention_explorer.js", "module.jacobianNorm", [[1 - 1e-12, 1e-12]])
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
            [result] = javascript.run(
                "attention_explorer.js", "module.attend", [state | {"d_k": d_k, "divided": divided}]
            )
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
    for c, result in zip(cases, javascript.run("rotary_explorer.js", "module.shares", cases), strict=True):
        expected = rotated_scores(np.array(c["query"]), np.array(c["key"]), c["m"], c["n"], c["base"])
        np.testing.assert_allclose(result, expected, atol=1e-11)


def test_moving_query_and_key_together_leaves_every_score():
    state = widgets.rotary_explorer().state
    cases = [state | {"m": 20 + shift, "n": 3 + shift} for shift in (0, 1, 17, 1000)]
    first, *others = javascript.run("rotary_explorer.js", "module.shares", cases)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-12)
    [elsewhere] = javascript.run("rotary_explorer.js", "module.shares", [state | {"m": 21, "n": 3}])
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


# The cache explorer


def measured_bytes(model: str, **settings) -> dict:
    """What the figure says of one setting; a model's shape where none is given."""
    state = widgets.cache_explorer().state
    shape = state["models"][model] | {"tokens": 1, "texts": 1, "number_bytes": 2} | settings
    [size] = javascript.run("cache_explorer.js", "module.memory", [shape])
    return size


def test_the_cache_figure_counts_the_bytes_of_a_real_cache():
    config = Config(vocab_size=11, d_model=48, n_heads=6, n_kv_heads=2, n_layers=3, max_len=7)  # room for 7 tokens
    decoder = Decoder(config)
    cache = decoder.empty_cache(batch=5)
    with torch.no_grad():
        decoder(torch.zeros(5, 7, dtype=torch.long), cache)
    shape = {"layers": 3, "heads": 6, "kv_heads": 2, "width": 8, "tokens": 7, "texts": 5, "number_bytes": 4}
    [size] = javascript.run("cache_explorer.js", "module.memory", [shape | {"billions": 1}])
    assert size["cache"] == sum(part.keys.nbytes + part.values.nbytes for part in cache)
    assert size["whole"] == 3 * size["cache"]
    assert size["perText"] * 5 == size["perToken"] * 7 * 5 == size["cache"]
    assert size["weights"] == 4e9


def test_the_shapes_of_the_cache_figure_are_those_of_the_libraries():
    models = widgets.cache_explorer().state["models"]
    llama, falcon = LlamaConfig(), FalconConfig()
    named = models["Llama 2 7B"]
    assert (named["layers"], named["heads"], named["kv_heads"], named["width"]) == (
        llama.num_hidden_layers,
        llama.num_attention_heads,
        llama.num_key_value_heads,
        llama.hidden_size // llama.num_attention_heads,
    )
    named = models["Falcon 7B"]
    assert (named["layers"], named["heads"], named["kv_heads"], named["width"]) == (
        falcon.num_hidden_layers,
        falcon.num_attention_heads,
        1 if falcon.multi_query else falcon.num_kv_heads,
        falcon.hidden_size // falcon.num_attention_heads,
    )


def test_the_cache_figure_agrees_with_the_evidence_of_lab_08():
    [notebook] = LABS.glob("08_*.ipynb")
    kib = {record.name: record.value for record in evidence.collect([notebook]) if record.claim == FALCON_LLAMA}
    for name in widgets.cache_explorer().state["models"]:
        size = measured_bytes(name)
        assert size["perToken"] / 2**10 == kib[f"kib-{name.lower().replace(' ', '-')}"]
    assert measured_bytes("Llama 2 70B")["whole"] / 2**10 == kib["kib-70b-mha"]


def test_heads_are_shared_evenly():
    found = javascript.run("cache_explorer.js", "module.sharings", list(range(1, 257)))
    assert found == [[n for n in range(1, heads + 1) if heads % n == 0] for heads in range(1, 257)]


def test_bytes_are_told_in_the_largest_unit_that_leaves_one():
    sizes = {
        1: "1 B",
        1023: "1023 B",
        1024: "1 KiB",
        1536: "1.5 KiB",
        2**19: "512 KiB",
        2**31: "2 GiB",
        3 * 2**50: "3072 TiB",
    }
    assert javascript.run("cache_explorer.js", "module.bytes", list(sizes)) == list(sizes.values())


def test_without_javascript_the_cache_figure_is_a_table_of_models():
    rows = re.findall(r"<th scope=\"row\">(.*?)</th>(.*?)</tr>", widgets.cache_explorer().fallback)
    assert len(rows) == 4
    for name, cells in rows:
        size = measured_bytes(name, tokens=4096, texts=16)
        expected = [f"{size[key] / 2**30:.1f} GiB" for key in ("cache", "whole", "weights")]
        assert re.findall(r"<td>(.*?)</td>", cells) == [f"{size['perToken'] / 2**10:g} KiB", *expected]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"model": "GPT-9"}, "model is 'GPT-9'"), ({"tokens": 1000}, "power of two"), ({"texts": 0}, "texts is 0")],
)
def test_bad_settings_of_the_cache_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.cache_explorer(**arguments)
