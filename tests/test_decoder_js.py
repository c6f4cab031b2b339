"""The model in the page, run by Node: the decoder against PyTorch, the law against the world, the draws against it."""

import json
from functools import cache

import javascript
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save
from scipy.stats import chisquare

from labutils import sampling, widgets
from labutils.models import Decoder
from labutils.weights import WORLD_DECODER, load_world_decoder
from labutils.widgets import model as figures
from labutils.world import World

TEXTS = (
    "",
    "for dessert we had the",
    "question : where is ganymede ? answer : it is",
    "the dogs near the old tree chase a cow . some dogs",
    "classify this review : i do not like this movie but the story was great ! sentiment :",
    "the the of",  # "of" is a word, and nothing here is a sentence: the model answers all the same
)
READ = """(tokens, i, cases) => {
    if (i === 0) return null;
    cases.opened ??= module.open(cases[0]);
    return module.read(cases.opened, tokens);
}"""


@pytest.fixture(scope="module")
def world() -> World:
    return World()


@pytest.fixture(scope="module")
def model() -> Decoder:
    return load_world_decoder().double()


def read(texts: list[list[int]]) -> list[dict]:
    """What the page's model says after each of these rows of tokens, in this order."""
    return javascript.run("model_explorer.js", READ, [figures._packed(), *texts])[1:]


def logits_after(model: Decoder, tokens: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([tokens]))[0, -1].numpy()


def documents(world: World) -> list[list[int]]:
    """The texts above, and four documents that end at some place; the last one fills the window."""
    sampled = world.sample(4, 127, seed=3).tokens
    cut = [row[:n].tolist() for row, n in zip(sampled, (17, 64, 127, 128), strict=True)]
    return [world.prompt(text)[0].tolist() for text in TEXTS] + cut


def test_logits_and_attention_are_those_of_pytorch(world, model):
    rows = documents(world)
    assert max(map(len, rows)) == model.config.max_len
    for tokens, result in zip(rows, read(rows), strict=True):
        np.testing.assert_allclose(result["logits"], logits_after(model, tokens), atol=1e-9)
        with torch.no_grad():
            expected = model.attention_weights(torch.tensor([tokens]))
        for layer, weights in zip(result["attention"], expected, strict=True):
            for head, of_head in zip(layer, weights[0], strict=True):
                assert [len(row) for row in head] == list(range(1, len(tokens) + 1))
                for row, of_row in zip(head, of_head, strict=True):
                    np.testing.assert_allclose(row, of_row[: len(row)], atol=1e-12)


def test_the_law_is_that_of_the_world(world):
    rows = documents(world)
    results = read(rows)
    for tokens, result in zip(rows, results, strict=True):
        law = world.next_token_law(np.array([tokens]))[0, -1]
        if np.isnan(law).any():
            assert result["law"] is None
        else:
            np.testing.assert_allclose(result["law"], law, atol=1e-6)  # its weights are stored in float32
    assert sum(result["law"] is None for result in results) == 1


def test_a_text_that_is_changed_somewhere_is_read_as_if_it_were_new(world, model):
    long = world.sample(1, 60, seed=5).tokens[0].tolist()
    other = world.sample(1, 60, seed=6).tokens[0].tolist()
    rows = [long, long[:10], long[:10], long[:30] + other[30:], [0], long]
    for tokens, result in zip(rows, read(rows), strict=True):
        np.testing.assert_allclose(result["logits"], logits_after(model, tokens), atol=1e-9)
        assert len(result["attention"][1][3]) == len(tokens)


def test_a_text_longer_than_the_window_is_refused():
    refusal = "([packed, tokens]) => { try { module.read(module.open(packed), tokens); } catch (e) { return `${e}`; } }"
    [message] = javascript.run("model_explorer.js", refusal, [[figures._packed(), [0] * 129]])
    assert message == "RangeError: The context window holds 128 tokens."


def test_greedy_completions_are_those_of_pytorch_token_by_token(world):
    """In PyTorch's single precision, the one that the labs use: no tie is that close."""
    single = load_world_decoder()
    starts = [world.prompt(text)[0].tolist() for text in TEXTS[:5]]
    cases = [{"packed": figures._packed(), "starts": starts}]
    [found] = javascript.run(
        "model_explorer.js",
        """({ packed, starts }) => {
            const opened = module.open(packed);
            return starts.map((tokens) => {
                for (let n = 0; n < 40; n += 1) {
                    const { logits } = module.read(opened, tokens);
                    tokens = [...tokens, logits.indexOf(Math.max(...logits))];
                }
                return tokens;
            });
        }""",
        cases,
    )
    for start, tokens in zip(starts, found, strict=True):
        expected = sampling.generate(single, torch.tensor([start]), max_new_tokens=40, greedy=True)
        assert tokens == expected.tokens[0].tolist()


SETTINGS = [
    {},
    {"temperature": 2.0, "top_p": 0.9},
    {"temperature": 1.5, "min_p": 0.05},
    {"top_k": 5},
    {"temperature": 0.5, "top_k": 40, "top_p": 0.95, "min_p": 0.02},
]


def law_of(settings: dict, logits: list[float]) -> np.ndarray:
    return sampling.filter_logits(torch.tensor(logits, dtype=torch.float64), **settings).softmax(-1).numpy()


def test_what_is_left_to_draw_from_is_that_of_labutils_sampling():
    rng = np.random.default_rng(8)
    cases = [
        {"logits": rng.normal(scale=3, size=int(rng.integers(2, 60))).tolist(), "settings": settings}
        for settings in SETTINGS
        for _ in range(20)
    ]
    found = javascript.run("sampling.js", "({ logits, settings }) => module.decode(logits, settings).after", cases)
    for case, after in zip(cases, found, strict=True):
        np.testing.assert_allclose(after, law_of(case["settings"], case["logits"]), atol=1e-12)


DRAWS = 5000


@pytest.mark.parametrize("chance", ["chance(n, 6)", "chance(Math.floor(n / 100), n % 100)"], ids=["seeds", "positions"])
def test_the_draws_follow_the_law(world, chance):
    """5,000 seeds at one position, and 50 seeds at 100 positions.

    The numbers are the same on every machine, so the test gives one answer for ever. Beforehand, a right sampler had
    one chance in 100,000 to fail in each of the ten comparisons.
    """
    with torch.no_grad():
        logits = load_world_decoder()(torch.from_numpy(world.prompt("for dessert we had the")))[0, -1].tolist()
    draw = f"""({{ logits, settings }}) => {{
        const {{ after }} = module.decode(logits, settings);
        return Array.from({{ length: {DRAWS} }}, (_, n) => module.drawToken(after, module.{chance}).token);
    }}"""
    cases = [{"logits": logits, "settings": settings} for settings in SETTINGS]
    for settings, drawn in zip(SETTINGS, javascript.run("model_explorer.js sampling.js", draw, cases), strict=True):
        expected = DRAWS * law_of(settings, logits)
        counts = np.bincount(drawn, minlength=len(expected))
        assert not counts[expected == 0].any()
        rare = (expected > 0) & (expected < 5)  # counted together: the approximation needs a few of each
        observed, due = ([*x[expected >= 5], *([x[rare].sum()] if rare.any() else [])] for x in (counts, expected))
        assert chisquare(observed, due).pvalue > 1e-5, settings


def test_a_draw_falls_on_the_stretch_of_its_token():
    draw = "([probabilities, u]) => module.drawToken(probabilities, u)"
    probabilities = [0.25, 0.0, 0.5, 0.25]  # without rounding; of equal ones the first of the vocabulary comes first
    cases = [[probabilities, u] for u in (0, 0.49, 0.5, 0.74, 0.75, 1 - 2**-32)]
    found = javascript.run("sampling.js", draw, cases)
    assert [result["token"] for result in found] == [2, 2, 0, 0, 3, 3]
    assert all(result["start"] <= u < result["end"] for result, (_, u) in zip(found, cases, strict=True))
    [beyond] = javascript.run("sampling.js", draw, [[[0.5, 0.4999, 0], 0.99999]])
    assert beyond["token"] == 1  # the sum was rounded down


# --- the text


def test_a_text_becomes_tokens_up_to_its_first_unknown_word(world):
    texts = [
        "The dogs sleep.",
        "question: where is titan?",
        "the dogz near",
        "the do",
        "the fa",
        "the fa ",
        " ",
        "a <bos>",
    ]
    cases = [{"text": text, "vocab": list(world.vocab)} for text in texts]
    found = javascript.run("model_explorer.js", "({ text, vocab }) => module.parse(text, vocab)", cases)
    assert found[0]["tokens"] == world.prompt("the dogs sleep .")[0].tolist()
    assert found[1]["tokens"] == world.prompt("question : where is titan ?")[0].tolist()
    assert [result["unknown"] for result in found[:2]] == [None, None]
    assert found[2]["tokens"] == world.prompt("the")[0].tolist()
    assert found[2]["unknown"] == {"word": "dogz", "unfinished": False, "after": ["near"]}
    assert found[3]["unknown"] is None
    assert [found[i]["unknown"]["unfinished"] for i in (4, 5)] == [True, False]
    assert found[6] == {"tokens": [0], "known": [], "unknown": None}
    assert found[7]["unknown"]["word"] == "<bos>"  # no word of the reader's, though it is in the vocabulary


@cache
def changes(a: str, b: str) -> int:
    """The edit distance by its definition."""
    if not a or not b:
        return len(a) + len(b)
    return min(changes(a[1:], b) + 1, changes(a, b[1:]) + 1, changes(a[1:], b[1:]) + (a[0] != b[0]))


def test_suggestions_begin_with_the_word_or_are_near_it(world):
    words = list(world.vocab[2:])
    rng = np.random.default_rng(0)
    typed = ["wha", "dogz", "boot", "xylophon", "q", *("".join(rng.choice(list("abdeglorst"), 5)) for _ in range(20))]
    found = javascript.run(
        "world.js",
        "({ word, words }) => module.suggestions(word, words, 6)",
        [{"word": w, "words": words} for w in typed],
    )
    for word, suggested in zip(typed, found, strict=True):
        rank = {known: 0 if known.startswith(word) else changes(word, known) for known in words}
        near = sorted(rank[known] for known in words if rank[known] <= len(word) / 2)
        assert [rank[known] for known in suggested] == near[:6]
    assert found[0] == ["whale", "whales", "what"]
    assert found[3] == []


# --- the files


def test_the_stored_law_is_the_automaton_of_the_world(world):
    with safe_open(figures._WORLD_LAW, "numpy") as file:
        arcs, weight, words = file.get_tensor("arcs"), file.get_tensor("weight"), file.metadata()["vocab"].split()
    automaton = world.automaton
    assert tuple(words) == world.vocab
    np.testing.assert_array_equal(arcs, np.stack((automaton.source, automaton.word, automaton.target), axis=1))
    np.testing.assert_allclose(weight, automaton.weight.T, rtol=1e-6)


def test_the_stored_results_are_those_of_the_model_and_the_law(world, model):
    examples = json.loads((WORLD_DECODER.parent / "world_examples.json").read_text(encoding="utf-8"))
    assert len({example["text"] for example in examples}) == len(examples) >= 3
    for example in examples:
        tokens = world.prompt(example["text"])[0].tolist()
        np.testing.assert_allclose(example["logits"], logits_after(model, tokens), atol=1e-4)
        np.testing.assert_allclose(example["law"], world.law_after(example["text"]), atol=1e-4)
        with torch.no_grad():
            expected = model.attention_weights(torch.tensor([tokens]))
        for layer, weights in zip(example["attention"], expected, strict=True):
            for head, of_head in zip(layer, weights[0], strict=True):
                for row, of_row in zip(head, of_head, strict=True):
                    np.testing.assert_allclose(row, of_row[: len(row)], atol=1e-4)


def test_safetensors_are_read_as_they_were_written():
    rng = np.random.default_rng(2)
    files = [
        {f"t{i}": rng.integers(-9, 9, rng.integers(1, 5, 1 + i)).astype(kind) for i, kind in enumerate(kinds)}
        for kinds in (["f4"], ["i4", "f4"], ["f4", "i4", "f4"])
        for _ in range(5)
    ]
    reading = """(bytes) => Object.entries(module.readSafetensors(Uint8Array.from(bytes)).tensors)
        .map(([name, { shape, data }]) => [name, shape, [...data]])"""
    found = javascript.run("decoder.js", reading, [list(save(tensors)) for tensors in files])
    for tensors, entries in zip(files, found, strict=True):
        assert {name: (shape, data) for name, shape, data in entries} == {
            name: (list(x.shape), x.ravel().tolist()) for name, x in tensors.items()
        }


def test_an_unknown_number_type_is_refused():
    file = list(save({"x": np.zeros(2, np.float16)}))
    refusal = "(bytes) => { try { module.readSafetensors(Uint8Array.from(bytes)); } catch (e) { return `${e}`; } }"
    assert javascript.run("decoder.js", refusal, [file]) == ["TypeError: x holds F16; this reader knows F32,I32."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"view": "heads"}, "view is 'heads'"),
        ({"text": "the the"}, "No results are stored for 'the the'"),
        ({"seed": -1}, "seed is -1"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"head": "3.1"}, r"head is '3\.1'"),
    ],
)
def test_bad_settings_of_the_model_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.model_explorer(**arguments)


@pytest.mark.parametrize("view", figures._VIEWS)
def test_on_the_site_the_weights_are_not_in_the_page(view):
    alone, embedded = (widgets.model_explorer(view, embedded=embedded)._repr_html_() for embedded in (False, True))
    assert len(alone) < 80_000 < 800_000 < len(embedded)
    assert widgets.world_model_address() in alone
    assert figures._packed()["decoder"] in widgets.world_model()


def test_without_javascript_the_model_figure_is_a_table(world):
    table = widgets.model_explorer(text="for dessert we had the").fallback
    with torch.no_grad():
        p = load_world_decoder()(torch.from_numpy(world.prompt("for dessert we had the")))[0, -1].softmax(-1)
    cake = world.vocab.index("cake")
    assert f"<td>{p[cake]:.3f}</td><td>0.200</td>" in table
