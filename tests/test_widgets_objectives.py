"""The figures of chapter 2: their arithmetic in JavaScript against labutils.models and labutils.objectives."""

import re
from collections import Counter
from itertools import pairwise

import javascript
import numpy as np
import pytest
import torch
from scipy.stats import binomtest, chisquare

from labutils import widgets
from labutils.attention import attention, causal_mask
from labutils.models import Config, Decoder, Encoder, EncoderDecoder
from labutils.objectives import corrupt_spans, infill, mask_tokens, random_spans, restore_spans
from labutils.widgets import objectives as figures
from labutils.world import World

# The mask explorer


def training(family: str) -> list[dict]:
    """The rows of the figure for one family of models."""
    [rows] = javascript.run("mask_explorer.js", "module.training", [widgets.mask_explorer().state | {"family": family}])
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
    assert column(rows, "target") == [None] * (prompt - 1) + figures._WORDS[prompt:] + [None]


def test_a_causal_position_predicts_the_next_word():
    rows = training("causal")
    assert column(rows, "input") == figures._WORDS
    assert column(rows, "target") == [*figures._WORDS[1:], None]


def test_the_masked_sentence_is_one_that_mask_tokens_makes():
    """With three fates on three of ten words, which a rate of 0.15 rarely gives: the seed and the rate are chosen."""
    others = ["barn", "boat", "bell", "sleeps", "owl", "gull", "spoon", "basket"]
    vocab = ["<bos>", "[mask]", *sorted({*figures._WORDS, *others})]
    tokens = torch.tensor([[vocab.index(word) for word in figures._WORDS]])
    generator = torch.Generator().manual_seed(2206)
    corrupted, chosen = mask_tokens(tokens, generator, mask_token=1, vocab_size=len(vocab), rate=0.3, special=(0,))
    rows = training("full")
    assert column(rows, "input") == [vocab[token] for token in corrupted[0].tolist()]
    assert [target is not None for target in column(rows, "target")] == chosen[0].tolist()
    words = [(row["target"], word) for row, word in zip(rows, figures._WORDS, strict=True) if row["target"]]
    assert len(words) == 3
    assert all(target == word for target, word in words)


def test_the_dropped_spans_are_those_that_corrupt_spans_writes():
    vocab = [*sorted({*figures._WORDS}), "⟨X⟩", "⟨Y⟩", "⟨Z⟩"]
    sentinels = [vocab.index(name) for name in ("⟨X⟩", "⟨Y⟩", "⟨Z⟩")]
    tokens = torch.tensor([vocab.index(word) for word in figures._WORDS])
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


# The spans explorer


def runs(dropped: list[bool]) -> int:
    return sum(drop and not before for before, drop in pairwise([False, *dropped]))


def test_halves_are_rounded_as_python_rounds_them():
    numbers = [n / d for d in (1, 2, 4, 5, 8, 10, 20) for n in range(400)]
    assert javascript.run("spans_explorer.js", "module.roundEven", numbers) == [round(x) for x in numbers]


def test_the_spans_figure_hides_as_many_words_in_as_many_spans_as_random_spans():
    generator = torch.Generator().manual_seed(0)
    cases = [
        {"length": length, "rate": percent / 100, "mean_span": mean_span, "seed": length}
        for length in (2, 3, 7, 10, 25, 40)
        for percent in range(5, 65, 5)
        for mean_span in (1, 1.5, 2.5, 3, 6)
    ]
    for c, dropped in zip(cases, javascript.run("spans_explorer.js", "module.randomSpans", cases), strict=True):
        expected = random_spans(c["length"], generator, rate=c["rate"], mean_span=float(c["mean_span"])).tolist()
        assert (len(dropped), sum(dropped), runs(dropped)) == (len(expected), sum(expected), runs(expected)), c
        assert (dropped[0], dropped[-1]) == (False, True)


def test_every_arrangement_of_the_spans_is_equally_likely():
    cases = [{"length": 8, "rate": 0.5, "mean_span": 2, "seed": seed} for seed in range(1800)]
    drawn = Counter(map(tuple, javascript.run("spans_explorer.js", "module.randomSpans", cases)))
    assert len(drawn) == 9  # 4 words in 2 spans, in 3 ways, with 4 words in 2 gaps, in 3 ways
    assert chisquare(list(drawn.values())).pvalue > 0.001


def test_the_spans_figure_writes_what_corrupt_spans_writes():
    vocab = [f"word{i}" for i in range(40)] + figures._SENTINELS
    sentinels = list(range(40, len(vocab)))
    rng = np.random.default_rng(3)
    cases = []
    for _ in range(60):
        words = rng.integers(40, size=int(rng.integers(1, 40))).tolist()
        dropped = (rng.random(len(words)) < rng.uniform(0, 0.9)).tolist()
        cases.append({"words": words, "dropped": dropped, "sentinels": sentinels, "chosen": 3})
    written = javascript.run("spans_explorer.js", "module.t5", cases)
    counted = javascript.run("spans_explorer.js", "module.lengths", cases)
    for c, result, lengths in zip(cases, written, counted, strict=True):
        tokens, dropped = torch.tensor(c["words"]), torch.tensor(c["dropped"])
        source, target = corrupt_spans(tokens, dropped, sentinels)
        assert (result["source"], result["target"]) == (source.tolist(), target.tolist())
        filled, whole = infill(tokens, dropped, 99)
        assert lengths["nDropped"] == int(dropped.sum())
        assert lengths["t5"] == {"reads": len(source), "writes": len(target), "answers": len(target)}
        assert lengths["bart"] == {"reads": len(filled), "writes": len(whole), "answers": len(whole)}
        assert lengths["bert"] == {"reads": len(tokens), "writes": 0, "answers": 3}


def test_the_spans_figure_masks_by_the_rule_of_bert():
    state = widgets.spans_explorer().state
    cases = [{"words": state["words"], "others": state["others"], "rate": 0.15, "seed": seed} for seed in range(600)]
    drawn = [word for text in javascript.run("spans_explorer.js", "module.bert", cases) for word in text]
    fates = Counter(word["fate"] for word in drawn)
    for fate, share in (("mask", 0.12), ("random", 0.015), ("kept", 0.015), ("", 0.85)):
        assert binomtest(fates[fate], len(drawn), share).pvalue > 0.001, fate
    for word, true in zip(drawn, state["words"] * 600, strict=True):
        assert word["fate"] == "mask" or word["shown"] in (state["others"] if word["fate"] == "random" else [true])
        assert (word["shown"] == "[mask]") == (word["fate"] == "mask")


def test_the_text_of_the_spans_figure_is_one_of_the_world_and_has_all_three_fates():
    world, state = World(), widgets.spans_explorer().state
    assert np.isfinite(world.surprisal(world.prompt(" ".join(state["words"])))).all()
    assert set(state["others"]) <= set(world.vocab)
    assert len(state["sentinels"]) > 24  # 60% of 40 words, one by one, and one more
    case = {"words": state["words"], "others": state["others"], "rate": 0.15, "seed": state["seed"] + 1_000_000}
    [text] = javascript.run("spans_explorer.js", "module.bert", [case])
    assert {word["fate"] for word in text} == {"", "mask", "random", "kept"}


def test_without_javascript_the_spans_figure_is_a_table_of_lengths():
    rows = re.findall(r"<tr><th scope=\"row\">(\d+)%, spans of (\d)</th>(.*?)</tr>", widgets.spans_explorer().fallback)
    assert len(rows) == 6
    generator, tokens = torch.Generator().manual_seed(0), torch.arange(40)
    for percent, mean_span, cells in rows:
        dropped = random_spans(40, generator, rate=int(percent) / 100, mean_span=float(mean_span))
        source, target = corrupt_spans(tokens, dropped, range(100, 140))
        expected = [int(dropped.sum()), runs(dropped.tolist()), len(source), len(target)]
        assert [int(cell) for cell in re.findall(r"<td>(.*?)</td>", cells)] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"percent": 12}, "percent is 12"), ({"mean_span": 0.5}, "mean_span is 0.5"), ({"seed": -1}, "seed is -1")],
)
def test_bad_settings_of_the_spans_figure(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.spans_explorer(**arguments)
