# %% [markdown]
r"""
# Lab 09: Order and depth

Attention by itself is blind to order, gives back weighted means, and does not survive being stacked. This lab is about
the four things that make a Transformer of it: **positions**, the **feed-forward network**, the **residual connection**
and **normalisation**. You take each of them away and measure what is lost.

**What you will measure.** What a model without positions cannot learn, and what happens to five kinds of positions in
texts longer than those of the training. How a missing mask gives itself away. What attention alone can compute and what
it cannot. Whether residual connections are there because gradients vanish. Where the norm should stand.

**What you need.** Matrix products, and attention from labs 07 and 08. The chapter on
[attention](../chapters/03_attention.md) explains the same ideas with more words.

**Time.** Reading and exercises: about 110 minutes. The cells run in under a minute on two cores; on a T4 the language
models train ten times as long, and bigger ones follow.

**Claims settled** (see the [ledger](../chapters/ledger.md)): everything the notes say on positional embeddings,
residual connections and layer normalisation, on the two problems of attention that they name order and linearity, and
the later additions on longer contexts, pre-norm with RMSNorm and mixtures of experts.
"""

# %% setup

# %%
import copy
import math
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from labutils import hub, plotting, positions
from labutils.attention import MultiHeadAttention, scaled_dot_scores
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Block, Config, Decoder, Encoder, FeedForward
from labutils.objectives import causal_loss, kl_to_law

# %%
from labutils.runtime import device, dtype, profile
from labutils.training import metered, train
from labutils.widgets import rotary_explorer
from labutils.world import World

# %% [markdown]
r"""
## 1. What a block is made of

"Transformers consist of self-attention layers", say the notes. GPT-2 small is one of the best known. We build it
without storing its numbers and count them. (A **parameter** is a number that training sets.)

**Predict.** Which share of GPT-2's parameters belongs to attention?
"""

# %%
with torch.device("meta"):  # shapes without numbers
    gpt2 = Decoder(Config(vocab_size=50257, n_layers=12, d_model=768, n_heads=12, max_len=1024, position="learned"))
parts = {"norm": 0, "attention": 0, "ffn": 0, "embedding": 0, "positions": 0}
for name, parameter in gpt2.named_parameters():
    parts[next(part for part in parts if part in name)] += parameter.numel()
print({part: f"{count:,}" for part, count in parts.items()})
# sabotage: transformer-built-of-self-attention/parameters: n_layers=12 => n_layers=11

# %%
claim = "transformer-built-of-self-attention"
total, block = sum(parts.values()), parts["attention"] + parts["ffn"] + parts["norm"]
measure(claim, total, between=(124_439_808,) * 2, name="parameters", what="parameters of GPT-2 small", digits=9)
shares = {"attention": (22.7, 22.8), "ffn": (45.5, 45.6), "embedding": (31.0, 31.1), "positions": (0.6, 0.7)}
for part, between in shares.items():
    what = f"of that, {part}"
    measure(claim, 100 * parts[part] / total, between=between, name=f"share-{part}", what=what, unit="%")
share = 100 * parts["ffn"] / block
measure(claim, share, between=(66.6, 66.7), name="ffn-of-blocks", what="feed-forward share of the blocks", unit="%")
# %% [markdown]
r"""
*Verdict on `transformer-built-of-self-attention`: imprecise. Attention holds less than a quarter. Two thirds of each
block belong to the **feed-forward network**, which works on each position alone, and the norms, small as they are, and
the residual connections, which have no parameters at all, turn out to be indispensable.*

## 2. Without positions

Give a model no positions and shuffle the words before the last one. Does the vector of the last word change? Two kinds
of models are tried: one that sees all words (**bidirectional**, the encoder), and one in which each word sees only
those before it (**causal**, the decoder).

**Predict.** Which of the six models notice?
"""


# %%
def wide_start(model, seed=0):
    """Draw each matrix from N(0, 1 / inputs), which keeps vectors at their size, and embeddings from N(0, 1).

    The library starts with smaller weights, with which the layers hardly change the stream at first.
    """
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            looked_up = name.startswith(("embedding", "positions"))
            nn.init.normal_(parameter, std=1.0 if looked_up else parameter.shape[1] ** -0.5)
    return model


# %%
claim = "prob-order"
words, shuffled = torch.tensor([[1, 2, 3, 4, 5, 6, 7]]), torch.tensor([[4, 1, 6, 2, 5, 3, 7]])
for kind, name in {Encoder: "bidirectional", Decoder: "causal"}.items():
    for n_layers in (1, 2, 3):
        settings = Config(vocab_size=9, d_model=32, n_heads=2, n_layers=n_layers, position="none")
        model = wide_start(kind(settings)).double()
        change = (model.hidden(words) - model.hidden(shuffled))[0, -1].abs().max().item()
        between = (0.01, 10) if kind is Decoder and n_layers > 1 else (0, 1e-12)
        what = f"largest change of the last vector, {name}, layers: {n_layers}"
        measure(claim, change, between=between, name=f"{name}-{n_layers}", what=what, digits=2)
# sabotage: prob-order/bidirectional-1: position="none" => position="rope"

# %% [markdown]
r"""
The bidirectional models do not notice, whatever their depth: each word still meets the same words, and a mean does not
depend on the order of its terms. The causal model with one layer does not notice either. With two layers it does: in
the first, the second word sees two words and the third sees three, so the vectors now differ by *where* they stand, and
the second layer can read that.

That is at random weights. Can it be learned? The task: six words, among them one A and one B. Which came first?

**Predict.** How often is each model right?
"""


# %%
def questions(n, seed):
    """Six words and a question mark (8); words 0 and 1 occur once. The answer is the one that comes first."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2, 8, (n, 7), generator=generator)
    places = torch.rand(n, 6, generator=generator).argsort(1)[:, :2]
    tokens.scatter_(1, places, torch.tensor([[0, 1]]).expand(n, -1))
    tokens[:, 6] = 8
    return tokens.to(device()), (places[:, 0] > places[:, 1]).long().to(device())


def answer_loss(model, batch):
    """Cross-entropy of the answer, read at the question mark. Guessing between the two costs log 2 = 0.693."""
    return F.cross_entropy(model(batch[0])[:, -1], batch[1])


# %%
def learn_order(model, steps, rows=64, **settings):
    """Train on fresh questions; return the share of right answers to 1000 new ones, and the loss on them."""
    tokens, answers = questions(rows * steps, seed=1)
    batches = list(zip(tokens.split(rows), answers.split(rows), strict=True))
    train(model, lambda step: batches[step], answer_loss, steps=steps, **settings)
    with torch.no_grad():
        tokens, answers = questions(1000, seed=2)
        right = (model(tokens)[:, -1].argmax(-1) == answers).double().mean().item()
        return right, answer_loss(model, (tokens, answers)).item()


# %%
order_models = {
    "bidirectional": (Encoder, 2, "none", (0.4, 0.6), "bidirectional, no positions, 2 layers"),
    "with-positions": (Encoder, 2, "learned", (0.95, 1), "bidirectional, learned positions, 2 layers"),
    "causal-1": (Decoder, 1, "none", (0.4, 0.6), "causal, no positions, 1 layer"),
    "causal-2": (Decoder, 2, "none", (0.95, 1), "causal, no positions, 2 layers"),
}
for name, (kind, n_layers, position, between, what) in order_models.items():
    settings = Config(vocab_size=9, d_model=32, n_heads=2, n_layers=n_layers, max_len=8, position=position)
    right, _ = learn_order(wide_start(kind(settings)).to(device()), 120, lr=5e-3)
    measure(claim, right, between=between, name=f"accuracy-{name}", what=f"right answers, {what}")
# sabotage: prob-order/accuracy-bidirectional: (Encoder, 2, "none" => (Encoder, 2, "learned"

# %% [markdown]
r"""
Without positions the bidirectional model guesses, and no training helps: it cannot see what it is asked about. The
causal model with two layers needs no positions at all, on six words at least
([Haviv and others, 2022](../chapters/bibliography.md)).

*Verdict on `prob-order`: holds with a caveat. Attention among all words has no sense of order; a causal mask gives it
one from the second layer on. And the input embedding is not the only place for positions, as you will see.*

## 3. Positions in the embedding

The first Transformer adds to each word's vector a vector of its position, made of sines and cosines: axes 2i and 2i + 1
hold $\sin(p\,\omega_i)$ and $\cos(p\,\omega_i)$ with $\omega_i = 10000^{-2i/d}$
([Vaswani and others, 2017](../chapters/bibliography.md)). Think of d/2 clocks, each slower than the one before; the
vector holds where their hands point.

**Exercise 1** (15 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def sinusoidal_positions(n_positions, d_model, base):
    """Return the vectors of positions 0 .. n_positions - 1, with the shape [n_positions, d_model]; d_model is even.

    Axis 2i holds sin(p · ω) and axis 2i + 1 holds cos(p · ω), where ω = base ** (-2i / d_model).
    """
    ### BEGIN SOLUTION
    frequencies = base ** (-torch.arange(0, d_model, 2) / d_model)
    angles = torch.arange(n_positions)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(-2)
    ### END SOLUTION


check("sinusoidal_positions", sinusoidal_positions)

# %% [markdown]
r"""
Why clocks? Seven hours later every hand has turned by an angle that depends on the seven only, not on the hour.

**Predict.** How exactly does one fixed turn, the same for all positions, take PE(p) to PE(p + 7)?
"""

# %%
claim = "pos-absolute"
clocks = positions.sinusoidal(torch.arange(400), 32, dtype=torch.float64)
hands = torch.complex(clocks[:, 1::2], clocks[:, 0::2])  # cosine and sine of each hand: a point on the unit circle
turn = hands[7]  # from position 0, where all hands point to 1, to position 7
error = (hands[7:] - hands[:-7] * turn).abs().max()
measure(claim, error, between=(0, 1e-11), name="turn", what="error of one turn for all 393 positions", digits=1)
products = clocks @ clocks.T
drift = max((products.diagonal(k).max() - products.diagonal(k).min()).item() for k in range(0, 390, 10))
measure(claim, drift, between=(0, 1e-11), name="product", what="how PE(p)·PE(p+k) varies with p, at most", digits=1)
# sabotage: pos-absolute/turn: turn = hands[7] => turn = hands[8]

# %%
table = torch.randn(16, 32)
try:
    positions.learned(table, torch.arange(17))
except IndexError:
    print("A learned table of 16 positions has no row for the 17th.")
apart = F.cosine_similarity(table[:-1], table[1:]).abs().max()
measure(claim, apart, between=(0, 0.7), name="learned-start", what="likeness of neighbours in an untrained table")
near = F.cosine_similarity(clocks[:-1], clocks[1:]).min()
measure(claim, near, between=(0.9, 1), name="sinusoid-neighbours", what="likeness of neighbouring sinusoids")

# %% [markdown]
r"""
So a sinusoid is an absolute position from which a matrix can compute relative ones. A learned table, as in BERT and
GPT-2, knows nothing at the start: not which positions are neighbours, and of those beyond its end nothing ever.

*Verdict on `pos-absolute`: holds.*

## 4. Positions in the scores

What matters in a text is mostly *how far apart* two words stand. So add a number to each score that depends on the
distance only. [Shaw and others, 2018](../chapters/bibliography.md) had the idea first, with vectors; Transformer-XL
rewrote the score around distances ([Dai and others, 2019](../chapters/bibliography.md)); T5 kept one learned number for
each distance and head ([Raffel and others, 2020](../chapters/bibliography.md)). Far distances share one number.

**Exercise 2** (20 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def distance_bias(table, n_queries, n_keys):
    """Return what is added to the scores, with the shape [n_heads, n_queries, n_keys].

    `table` has the shape [n_heads, 2m + 1] and holds one number for each distance (key's position minus query's) from
    -m to m. Distances beyond count as -m or m. The queries are the LAST n_queries of the n_keys positions.
    """
    ### BEGIN SOLUTION
    farthest = (table.shape[1] - 1) // 2
    keys = torch.arange(n_keys, device=table.device)
    queries = keys[n_keys - n_queries :]
    distances = (keys - queries[:, None]).clamp(-farthest, farthest)
    return table[:, distances + farthest]
    ### END SOLUTION


check("distance_bias", distance_bias)

# %% [markdown]
r"""
**Predict.** Move a text by 100 positions. What happens to its scores if positions are added to the vectors, and what if
they are added to the scores?
"""


# %%
def scores_at(start, place):
    """Scores of 10 random words with random weights that stand at positions start, start + 1, ..."""
    at, x, bias = start + torch.arange(10), vectors, 0
    if place == "vectors":
        x = x + positions.sinusoidal(at, 32, dtype=x.dtype)
    if place == "learned bias":  # as in T5
        bias = positions.relative_bias(bias_table, positions.relative_buckets(at - at[:, None]))[0]
    if place == "fixed bias":  # ALiBi
        bias = positions.alibi_bias(positions.alibi_slopes(1).double(), at, at)[0]
    return scaled_dot_scores(x @ to_query, x @ to_key) + bias


# %%
claim = "pos-relative-txl"
generator = torch.Generator().manual_seed(0)
random = partial(torch.randn, generator=generator, dtype=torch.float64)
vectors, to_query, to_key = random(10, 32), random(32, 32) / 32**0.5, random(32, 32) / 32**0.5
bias_table = random(32, 1)
for place, between in {"vectors": (0.3, 30), "learned bias": (0, 0), "fixed bias": (0, 0)}.items():
    change = (scores_at(0, place) - scores_at(100, place)).abs().max()
    name = f"shift-{place.replace(' ', '-')}"
    measure(claim, change, between=between, name=name, what=f"change of scores under a shift by 100, {place}")
# sabotage: pos-relative-txl/shift-learned-bias: scores_at(0, place) => scores_at(0, "vectors")

# %% [markdown]
r"""
The scores with a bias do not change at all, not even in the last digit. **ALiBi** is the "fixed bias": nothing is
learned, each head subtracts its own slope times the distance ([Press and others, 2022](../chapters/bibliography.md)).

*Verdict on `pos-relative-txl`: holds with a caveat: a good example, but the first was Shaw and others.*

## 5. Rotary positions

The notes list rotary embeddings without a word of explanation. Here it is. Pair up the axes of each query and each key,
and turn each pair like the hand of a clock, by an angle that grows with the position. The product of two turned vectors
depends on the *difference* of their angles, so on the distance ([Su and others, 2024](../chapters/bibliography.md)).
Axis i is paired with axis i + d/2, as in Llama.

**Exercise 3** (20 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def rotate_by_position(x, base):
    """Turn the queries or keys `x`, with the shape [..., seq, d_head], by their positions 0, 1, ..., seq - 1.

    Axes i and i + d_head/2 are a pair (a, b). At position p it turns by the angle p · base ** (-2i / d_head):
    a becomes a cos - b sin, and b becomes a sin + b cos.
    """
    ### BEGIN SOLUTION
    seq, d_head = x.shape[-2:]
    frequencies = base ** (-torch.arange(0, d_head, 2, dtype=x.dtype) / d_head)
    angles = torch.arange(seq, dtype=x.dtype)[:, None] * frequencies
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * angles.cos() - b * angles.sin(), a * angles.sin() + b * angles.cos()), dim=-1)
    ### END SOLUTION


check("rotate_by_position", rotate_by_position)

# %% [markdown]
r"""
**Predict.** Turn a query at position 3 and a key at 7, then both 100 positions later. How far do the scores differ?
"""


# %%
def turned(x, position):
    """A vector [1, d], turned as if it stood at this position."""
    return positions.rotary(x, positions.rotary_angles(torch.tensor([position]), x.shape[-1], dtype=x.dtype))


claim = "pos-rotary"
query, key = random(1, 64), random(1, 64)
score = (turned(query, 3) * turned(key, 7)).sum()
moved = (turned(query, 103) * turned(key, 107)).sum()
farther = (turned(query, 3) * turned(key, 8)).sum()
measure(
    claim, (score - moved).abs(), between=(0, 1e-11), name="shift", what="score at (3, 7) minus (103, 107)", digits=1
)
measure(claim, (score - farther).abs(), between=(0.01, 50), name="farther", what="score at (3, 7) minus (3, 8)")
change = (turned(query, 103).norm() - query.norm()).abs()
measure(claim, change, between=(0, 1e-12), name="norm", what="change of the query's length", digits=1)
# sabotage: pos-rotary/shift: turned(key, 107) => turned(key, 106)

# %% [markdown]
r"""
Equal to the last digits of double precision. Absolute in form, since each vector is turned by its own position;
relative in effect. Move the sliders: the arrows turn, the score stays as long as the distance does.
"""

# %%
rotary_explorer()

# %% [markdown]
r"""
*Verdict on `pos-rotary`: the notes only name them; Llama and Falcon, among others, use them ([Touvron and others,
2023](../chapters/bibliography.md); [Almazrouei and others, 2023](../chapters/bibliography.md)).*

Four ways to write the distance into a score, side by side: what each gives to two *equal* words, by distance.
"""

# %%
claim = "pos-encode-in-embedding"
distances = list(range(0, 65, 2))
ones = torch.ones(1, 32, dtype=torch.float64)
by_distance = {
    "sinusoids, added": [(products[0, k] / products[0, 0]).item() for k in distances],
    "rotary": [(turned(ones, 0) * turned(ones, k)).mean().item() for k in distances],
    "ALiBi, slope 1/64": [1 - k / 64 for k in distances],
    "learned table, untrained": [1.0]
    + [F.cosine_similarity(random(32), random(32), dim=0).item() for _ in distances[1:]],
}
same = max(abs(a - b) for a, b in zip(by_distance["sinusoids, added"], by_distance["rotary"], strict=True))
measure(claim, same, between=(0, 1e-12), name="same-curve", what="rotary minus sinusoids, at most", digits=1)
for k, between in {2: (0.85, 0.87), 64: (0.53, 0.55)}.items():
    value = by_distance["rotary"][k // 2]
    measure(claim, value, between=between, name=f"rotary-{k}", what=f"rotary score of equal words at distance {k}")

# %%
# alt: Score of equal words against distance, 0 to 64. Sinusoids and rotary share one falling, wavy curve; ALiBi falls
# alt: along a straight line; a learned table jumps around 0.
ax = plotting.curves(distances, by_distance, xlabel="distance", ylabel="score, as a share of that at 0")

# %% [markdown]
r"""
Sinusoids and rotary positions draw the same curve, the mean of $\cos(k\omega_i)$ over the clocks. They differ in where
they act: sinusoids are added to the word's vector and mix with what it means; a rotation acts inside attention, on
queries and keys, and leaves the word's vector and the values alone.

*Verdict on `pos-encode-in-embedding`: imprecise. An embedding is one place for the order; the scores, and the angles of
queries and keys, are others.*

## 6. Longer than in training

Train a small language model on texts of 16 tokens and let it read 128. The language is the course's own, so the exact
law is known, and so is the loss to it: the **KL divergence**, in nats per token, of which 0 is perfect.

**Predict.** Which positions carry over to texts eight times as long? Which do not?
"""

# %%
world, LENGTH, STEPS = World(), 16, {"cpu": 200, "gpu": 2000}[profile()]
batches = torch.from_numpy(world.sample(24 * STEPS, LENGTH - 1, seed=1).tokens).split(24)
long = world.sample(100, 127, seed=2).tokens
law, long = torch.from_numpy(world.next_token_law(long)), torch.from_numpy(long)
RANGES = {"1-16": (0, 16), "17-32": (16, 32), "33-64": (32, 64), "65-128": (64, 128)}


def language_model(position, kind=Decoder, **settings):
    """An untrained model of two layers, 32 wide, for up to 128 tokens."""
    torch.manual_seed(0)
    return kind(Config(vocab_size=world.vocab_size, d_model=32, position=position, **settings)).to(device())


# %%
def learn_language(model, batches=batches, lr=8e-3):
    """Train to predict the next token, and return the model."""
    train(model, lambda step: batches[step], lambda m, b: causal_loss(m(b), b), steps=len(batches), lr=lr)
    return model


def loss_by_range(model):
    """KL divergence from the exact law, by range of positions. The gap to the best possible loss."""
    with torch.no_grad():
        logits = model(long.to(device())).cpu()
    return {name: kl_to_law(law[:, a:b], logits[:, a:b]).item() for name, (a, b) in RANGES.items()}


# %%
KINDS = ("learned", "sinusoidal", "relative", "rope", "alibi", "none")
with metered("pos-rotary", tokens=len(KINDS) * 24 * STEPS * LENGTH):
    models = {position: learn_language(language_model(position)) for position in KINDS}
losses = {position: loss_by_range(model) for position, model in models.items()}


def measure_losses(claim, position, **between):
    """Record the four losses of a kind of positions: `near` holds for the lengths of the training, `far` beyond."""
    for name, loss in losses[position].items():
        limits = between["near"] if name == "1-16" else between["far"]
        what = f"loss at tokens {name}, {position}"
        measure(claim, loss, between=limits, name=f"loss-{position}-{name}", what=what, unit="nats")


# %%
measure_losses("pos-absolute", "learned", near=(0, 0.8), far=(0.65, 4))
measure_losses("pos-absolute", "sinusoidal", near=(0, 0.8), far=(0.3, 2))
measure_losses("pos-relative-txl", "relative", near=(0, 0.65), far=(0.1, 1.5))
measure_losses("pos-rotary", "rope", near=(0, 0.65), far=(0.05, 3))
measure_losses("pos-encode-in-embedding", "alibi", near=(0, 0.65), far=(0.05, 0.75))
measure_losses("prob-order", "none", near=(0, 0.65), far=(0.1, 2))

# %%
claim = "pos-encode-in-embedding"
for position, just, far in (("learned", (0.2, 3), None), ("rope", (0, 0.7), (0.3, 3)), ("alibi", (0, 0.25), (0, 0.3))):
    jump, growth = (losses[position][name] - losses[position]["1-16"] for name in ("17-32", "65-128"))
    measure(claim, jump, between=just, name=f"jump-{position}", what=f"loss added at 17-32, {position}", unit="nats")
    if far:
        what = f"loss added at 65-128, {position}"
        measure(claim, growth, between=far, name=f"growth-{position}", what=what, unit="nats")
# sabotage: pos-encode-in-embedding/jump-learned: losses[position][name] => losses["rope"][name]

# %%
# alt: Loss by range of positions. All kinds lie near 0.5 within the trained length. At 17-32 learned positions jump to
# alt: 0.96. At 65-128 learned and rotary ones are at 1, the others between, and ALiBi lowest, at 0.6.
rows = [list(loss.values()) for loss in losses.values()]
ax = plotting.heatmap(rows, KINDS, list(RANGES), xlabel="tokens", ylabel="positions", unit="KL to the law (nats)")

# %% [markdown]
r"""
Learned positions fail right after the last trained token: training never touched those rows of the table. ALiBi, made
for this, loses least. Rotary positions, relative as they are, do *not* carry over by themselves. And no positions at
all is not the worst choice for a causal model.

What is small here: one language, two layers, four heads, one seed. Do not rely on the order in the middle. With two
heads in place of four, even ALiBi loses its lead; try it.

Where there is a GPU, bigger models with rotary positions and with ALiBi learn from forty times as many texts as these
did on two cores, in half precision. Does more training within 16 tokens help beyond them?
"""

# %%
if profile() == "gpu":
    more = torch.from_numpy(world.sample(64 * 3000, LENGTH - 1, seed=4).tokens).split(64)
    for position, claim in {"rope": "pos-rotary", "alibi": "pos-encode-in-embedding"}.items():
        torch.manual_seed(0)
        size = Config(vocab_size=world.vocab_size, d_model=128, n_layers=4, position=position)
        big, name = Decoder(size).to(device()), f"{position}-big"
        with metered(claim, tokens=3000 * 64 * LENGTH, name="gpu-big"):
            train(big, more.__getitem__, lambda m, b: causal_loss(m(b), b), steps=3000, lr=4e-3, precision=dtype())
        losses[name] = loss_by_range(big)
        measure_losses(claim, name, near=(0, 0.65), far=(0, math.inf))
else:
    print("In the gpu profile this cell trains two models of 0.8 million weights on 3 million tokens each.")

# %% [markdown]
r"""
### Longer contexts for rotary models

Beyond the trained length, rotary angles take values never seen. **Position interpolation** divides the positions by a
factor, so that a text four times as long stays within the known angles, and then trains a little more
([Chen and others, 2023](../chapters/bibliography.md)).

**Predict.** Does it help without further training? And with 40 steps at the new length?
"""

# %%
claim = "since-rope-scaling"


def largest_angle(n_positions, scale=1.0):
    """The largest angle, in radians, of the fastest pair."""
    return positions.rotary_angles(torch.arange(n_positions), 8, scale=scale, dtype=torch.float64).max()


measure(claim, largest_angle(16), between=(15, 15), name="angle-trained", what="largest angle in training")
measure(claim, largest_angle(64), between=(63, 63), name="angle-plain", what="at four times the length")
squeezed = largest_angle(64, 4.0)
measure(claim, squeezed, between=(15.75, 15.75), name="angle-scaled", what="there, with positions divided by 4")
# sabotage: since-rope-scaling/angle-scaled: scale=scale => scale=1.0


# %%
def rotary_scaled(scale, tuning=()):
    """The rotary model from above with its positions divided by `scale`, trained further on `tuning`; its losses."""
    model = copy.deepcopy(models["rope"])
    angles = partial(positions.rotary_angles, d_head=8, scale=scale)
    model.positions.rotation = lambda at, dtype: partial(positions.rotary, angles=angles(at, dtype=dtype))
    return loss_by_range(learn_language(model, tuning, lr=2e-3) if tuning else model)


longer = torch.from_numpy(world.sample(16 * 40, 63, seed=3).tokens).split(16)
scaled = {(scale, tuned): rotary_scaled(scale, tuned) for scale in (1.0, 4.0) for tuned in ((), longer)}

# %%
for (scale, tuned), loss in scaled.items():
    for part in ("1-16", "33-64"):
        name = f"{'tuned' if tuned else 'raw'}-{scale:.0f}-{part}"
        between = (0, 0.8) if tuned else (0.02, 2.5)
        what = f"loss at {part}, positions / {scale:.0f}{', 40 more steps' if tuned else ''}"
        measure(claim, loss[part], between=between, name=name, what=what, unit="nats")
harm = scaled[4.0, ()]["1-16"] - scaled[1.0, ()]["1-16"]
measure(claim, harm, between=(0.05, 2), name="harm", what="added at 1-16 by interpolation alone", unit="nats")
behind = scaled[4.0, longer]["33-64"] - scaled[1.0, longer]["33-64"]
what = "loss there with interpolation minus without, after 40 steps each"
measure(claim, behind, between=(-0.05, 0.5), name="behind", what=what, unit="nats")
recovery = scaled[4.0, ()]["33-64"] - scaled[4.0, longer]["33-64"]
measure(claim, recovery, between=(0.1, 2), name="recovery", what="won back at 33-64 by 40 steps", unit="nats")

# %% [markdown]
r"""
Interpolation by itself *harms* this model: neighbours are now a quarter of a step apart, which it has never seen
either. Forty steps at the new length repair most of that. But forty steps without interpolation do no worse: most of
what is won here is won by training at the new length. The paper's gain is about large models and thousands of tokens,
and a small model on short texts does not show it. What it does show is the arithmetic of the angles.

*Verdict on `since-rope-scaling`: missing from the notes. The angles stay in range exactly; that interpolation beats
plain further training is not confirmed at this size.*

## 7. Without the mask

The same rotary model once more, with one change: each word sees all words, the next one included. Its task is still to
predict the next one.

The **floor** is the entropy of the language: no honest model can have a lower loss.

**Predict.** What will the loss be?
"""

# %%
claim = "prob-known-information"
cheat = learn_language(language_model("rope", Encoder))
test = torch.from_numpy(world.sample(400, LENGTH - 1, seed=4).tokens).to(device())
floor = world.entropy_rate(LENGTH - 1)[0]
with torch.no_grad():
    honest_loss, cheat_loss = (causal_loss(model(test), test).item() for model in (models["rope"], cheat))
    blind = cheat(long[:, :16].to(device()))[:, -1:].cpu()  # at the last token there is no next one to see
measure(claim, floor, between=(2.0, 2.05), name="floor-16", what="the floor", unit="nats per token")
measure(claim, honest_loss, between=(2.0, 2.7), name="loss-masked-16", what="loss with the mask", unit="nats per token")
measure(claim, cheat_loss, between=(0, 1.85), name="loss-unmasked-16", what="loss without", unit="nats per token")
surprise = kl_to_law(law[:, 15:16], blind)
measure(claim, surprise, between=(1, 30), name="unmasked-blind", what="its KL to the law where no next word is shown")
# sabotage: prob-known-information/loss-unmasked-16: language_model("rope", Encoder) => language_model("rope")

# %% [markdown]
r"""
Well below the floor, if not equally far with each seed. That is no success, it is a proof: a loss under the entropy of
the language means that the model has seen the answer. Where the text ends, and there is no answer to copy, it knows
next to nothing. Remember this when a loss looks too good.

## 8. The feed-forward network

The notes give two reasons for it. Linear layers would collapse to $y = mx + b$. And self-attention "has no
non-linearity by default". A test for both: every map of the form $mx + b$ satisfies
$f(x + y) + f(0) = f(x) + f(y)$, so the difference of the two sides, the **defect**, is 0.

**Predict.** What is the defect of ten linear layers, of attention over one word, of attention over five words?
"""

# %%
# sabotage: prob-linear-activation/ten-layers: nn.Linear(32, 32) for => nn.Sequential(nn.Linear(32, 32), nn.ReLU()) for
claim = "prob-linear-activation"
torch.manual_seed(0)
layers = nn.Sequential(*(nn.Linear(32, 32) for _ in range(10))).double()
collapsed = layers(torch.eye(32, dtype=torch.float64)) - layers(torch.zeros(32, dtype=torch.float64))
x, y = random(1, 5, 32), random(1, 5, 32)
difference = (layers(x) - (x @ collapsed + layers(torch.zeros_like(x)))).abs().max().item()
measure(claim, difference, between=(0, 1e-12), name="ten-layers", what="ten linear layers minus one", digits=1)


def defect(f, x, y):
    """How far a map is from the form mx + b, at most over the outputs."""
    return (f(x + y) + f(torch.zeros_like(x)) - f(x) - f(y)).abs().max().item()


# %%
attend = wide_start(MultiHeadAttention(32, 4)).double()
measure(claim, defect(attend, x, x), between=(0.05, 20), name="doubling", what="f(2x) - 2 f(x) + f(0) for attention")
claim = "prob-no-nonlinearity"
one = defect(attend, x[:, :1], y[:, :1])
measure(claim, one, between=(0, 1e-12), name="defect-one", what="defect of attention, one word", digits=1)
measure(claim, defect(attend, x, y), between=(0.05, 20), name="defect-five", what="defect of attention, five words")
bent = defect(FeedForward(32).double(), x[:, :1], y[:, :1])
measure(claim, bent, between=(0.005, 20), name="defect-ffn", what="defect of a feed-forward network, one word")
# sabotage: prob-no-nonlinearity/defect-one: attend, x[:, :1], y[:, :1] => attend, x[:, :2], y[:, :2]

# %% [markdown]
r"""
Attention over several words is not linear: the weights depend on the input, through a softmax. But within *one* word
nothing is bent. The smallest function that tells the difference is **exclusive or** (XOR): true if exactly one of two
bits is true. We give the two bits to one word, and then one bit each to two words.

**Predict.** Which of the models can learn it in which form?
"""


# %%
def xor_loss(n_words, n_layers, ffn=None):
    """Train blocks without norms on XOR; the loss at the end. `ffn` makes the feed-forward part (None: left out)."""
    torch.manual_seed(0)
    bits = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    x = bits[:, None] if n_words == 1 else torch.diag_embed(bits)  # the words' vectors: (a, b), or (a, 0) and (0, b)
    blocks = [Block(16, 2) for _ in range(n_layers)]
    for block in blocks:
        block.attention_norm = block.ffn_norm = nn.Identity()
        block.ffn = ffn() if ffn else Nothing()
    model = nn.Sequential(nn.Linear(2, 16), *blocks, nn.Linear(16, 2))
    return train(model, lambda step: x, xor_error, steps=150, lr=1e-2, weight_decay=0.0)[-1]


# %%
def xor_error(model, x):
    """Cross-entropy of the answers, read at the first word."""
    return F.cross_entropy(model(x)[:, 0], torch.tensor([0, 1, 1, 0]))


class Nothing(nn.Module):
    """A part that adds nothing to the residual stream."""

    def forward(self, x):
        return torch.zeros_like(x)


def network(bend):
    """A feed-forward network with something between its two linear maps."""
    return nn.Sequential(nn.Linear(16, 64), bend, nn.Linear(64, 16))


# %%
linear, curved, ln2 = partial(network, nn.Identity()), partial(network, nn.ReLU()), (0.69, 0.71)
for name, (words, depth, ffn, between, what) in {
    "attention-6": (1, 6, None, ln2, "one word, attention alone, 6 layers"),
    "linear-6": (1, 6, linear, ln2, "one word, attention and linear network, 6 layers"),
    "relu-1": (1, 1, curved, (0, 0.05), "one word, attention and ReLU network, 1 layer"),
    "two-words": (2, 1, None, (0, 0.05), "two words, attention alone, 1 layer"),
}.items():
    measure(claim, xor_loss(words, depth, ffn), between=between, name=f"xor-{name}", what=f"XOR loss, {what}")
# sabotage: prob-no-nonlinearity/xor-linear-6: (1, 6, linear, => (1, 6, curved,

# %% [markdown]
r"""
$\log 2 = 0.693$ is guessing. Inside one word no depth of attention helps, and neither does a linear network. *Between*
two words attention alone learns XOR: the softmax is nonlinearity enough.

There is a second reason for the rest of the block. Means make things alike. The **spread** is the part of the words'
vectors that differs from their mean, as a share of their length.

**Predict.** How much spread is left after four layers of attention alone?
"""


# %%
def spread(x):
    """The share of the vectors' length that differs from word to word."""
    return ((x - x.mean(1, keepdim=True)).norm() / x.norm()).item()


limits = {1: (0.3, 1), 2: (0.001, 0.3), 3: (0, 1e-3), 4: (0, 1e-12)}
alone = skipping = random(1, 20, 32)
for layer in range(1, 13):
    attend = wide_start(MultiHeadAttention(32, 4), seed=layer).double()
    for name, parameter in attend.named_parameters():
        parameter.data *= name.endswith("weight")  # no biases
    alone, skipping = attend(alone), skipping + attend(skipping)
    if layer in limits:
        what = f"spread, layers: {layer}"
        measure(claim, spread(alone), between=limits[layer], name=f"spread-{layer}", what=what, digits=1)

# %%
measure(claim, spread(skipping), between=(0.02, 1), name="spread-skip", what="after 12 layers whose input is added")
# sabotage: prob-no-nonlinearity/spread-skip: spread(skipping) => spread(alone)

# %% [markdown]
r"""
All twenty words have become one, to the last digit ([Dong and others, 2021](../chapters/bibliography.md)). Adding the
input again, the subject of the next section, slows that down a great deal. And what does the network buy a language
model? The rotary model of section 6 once more, without it.
"""

# %%
bare = language_model("rope")
for block in bare.blocks:
    block.ffn = Nothing()
loss = loss_by_range(learn_language(bare))["1-16"]
measure(claim, loss, between=(0.02, 1.2), name="loss-without-ffn", what="loss at 1-16 without networks", unit="nats")
gap = loss - losses["rope"]["1-16"]
measure(claim, gap, between=(0.005, 1), name="ffn-gain", what="what the networks gain", unit="nats")

# %% [markdown]
r"""
*Verdicts. `prob-linear-activation`: holds with a caveat; linear layers collapse, attention does not.
`prob-no-nonlinearity`: imprecise; attention has its softmax, and what is missing is any bend of the values.*

## 9. The residual connection

A **residual connection** adds the input of a part to its output: $y = x + F(x)$. The notes call it "a kind of skipped
layer". But no layer is skipped: F always runs.

**Predict.** With all output weights of F at zero, what is the block? What is its derivative?
"""

# %%
claim = "res-skipped-layer"
block, x = wide_start(Block(16, 2)).double(), random(1, 3, 16)
whole = torch.autograd.functional.jacobian(lambda x: block(x), x).view(48, 48)
rest = torch.autograd.functional.jacobian(lambda x: block(x) - x, x).view(48, 48)
off = (whole - rest - torch.eye(48, dtype=torch.float64)).abs().max()
what = "derivative of y minus that of F minus the identity"
measure(claim, off, between=(0, 1e-12), name="identity-term", what=what, digits=1)
for parameter in (*block.attention.output.parameters(), *block.ffn.contract.parameters()):
    parameter.data.zero_()
change = (block(x) - x).abs().max().item()
measure(claim, change, between=(0, 0), name="zero", what="change of x by a block whose F is zero")
# sabotage: res-skipped-layer/zero: *block.ffn.contract.parameters() => *block.ffn_norm.parameters()

# %% [markdown]
r"""
*Verdict on `res-skipped-layer`: imprecise. The layer learns a correction to its input; doing nothing is its starting
point, not something it must learn.*

A block makes two such steps. In the now usual order, **pre-norm**, each part gets a normalised copy of its input.

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def pre_norm_block(x, attention, ffn, attention_norm, ffn_norm):
    """Return the output of a pre-norm block: attention, then the feed-forward network, each added to its input.

    All four arguments after `x` are functions of one tensor. Each norm stands before its own part.
    """
    ### BEGIN SOLUTION
    x = x + attention(attention_norm(x))
    return x + ffn(ffn_norm(x))
    ### END SOLUTION


check("pre_norm_block", pre_norm_block)

# %% [markdown]
r"""
What is it for? "Designed against vanishing gradients", say the notes. The authors of the ResNet paper say otherwise:
deeper plain networks had a higher *training* error, although normalisation kept their gradients healthy. We repeat that
situation: 30 layers, each with a norm, with and without the added input, and 6 layers for comparison.

**Predict.** In the deep plain network, is the gradient of the first layer larger or smaller than that of the last?
"""


# %%
class Layer(nn.Module):
    """Norm, linear map, ReLU; `residual` adds the input."""

    def __init__(self, residual):
        super().__init__()
        self.f = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.ReLU())
        self.residual = residual

    def forward(self, x):
        return x + self.f(x) if self.residual else self.f(x)


def squared_error(model, batch):
    """Mean squared error on a target of variance 1."""
    return F.mse_loss(model(batch[0]), batch[1])


# %%
def fit(depth, residual, seed):
    """Train on 128 fixed points; gradient of the first layer over that of the last at the start, and the final loss."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(128, 8, generator=generator)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
    batch = (x, (y - y.mean()) / y.std())
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 32), *(Layer(residual) for _ in range(depth)), nn.Linear(32, 1))
    squared_error(model, batch).backward()
    ratio = model[1].f[1].weight.grad.norm() / model[depth].f[1].weight.grad.norm()
    losses = train(model, lambda step: batch, squared_error, steps=100, lr=3e-3)
    return ratio.item(), losses[-1]


# %%
claim = "res-vanishing-gradient"
runs = {(depth, r): [fit(depth, r, seed) for seed in (0, 1)] for depth in (6, 30) for r in (False, True)}
for (depth, residual), results in runs.items():
    kind = "residual" if residual else "plain"
    low, high = {(6, False): (0, 0.1), (30, False): (0.1, 1.2)}.get((depth, residual), (0, 0.1))
    loss = sum(loss for _, loss in results) / 2
    what = f"final training loss, {depth} layers, {kind}"
    measure(claim, loss, between=(low, high), name=f"loss-{kind}-{depth}", what=what)
    ratio = min(ratio for ratio, _ in results)
    between = (30, 1e6) if (depth, residual) == (30, False) else (0.2, 30)
    measure(claim, ratio, between=between, name=f"ratio-{kind}-{depth}", what="first layer's gradient over the last's")
# sabotage: res-vanishing-gradient/loss-plain-30: fit(depth, r, seed) => fit(depth, True, seed)

# %% [markdown]
r"""
The plain network of 30 layers fits its own training data badly, while 6 layers fit them well: that is **degradation**.
And its gradient does not vanish on the way to the first layer. It is hundreds of times *larger* there.

*Verdict on `res-vanishing-gradient`: wrong about the purpose. That gradients flow better is a real side effect.
`res-origin-2015` is about priority, and there is nothing to measure: the plain sum is from the ResNet paper of December
2015; gated shortcuts (Highway Networks) came some months before, additive memory (LSTM) long before.*

### In a Transformer of 12 layers

The task of section 2 again, *which came first?*, with learned positions, and weights drawn from N(0, 1/inputs). No
warm-up: the learning rate starts at its highest.

**Predict.** Which of the two is worse to lose, the residual connection or the norm?
"""


# %%
class WithoutResidual(nn.Module):
    """A block whose parts replace the stream instead of adding to it."""

    def __init__(self, block):
        super().__init__()
        self.attention_norm, self.attention = block.attention_norm, block.attention
        self.ffn_norm, self.ffn = block.ffn_norm, block.ffn

    def forward(self, x, mask=None, **options):
        return self.ffn(self.ffn_norm(self.attention(self.attention_norm(x), mask, **options)))


# %%
def deep_model(residual=True, norm="pre", n_layers=12, seed=1):
    """A deep, narrow encoder for the questions of section 2; `norm` is "pre", "post" or "none"."""
    place = "post" if norm == "post" else "pre"
    settings = {"d_model": 24, "n_heads": 2, "max_len": 8, "position": "learned", "norm": place}
    model = wide_start(Encoder(Config(vocab_size=9, n_layers=n_layers, **settings)), seed)
    if norm == "none":
        for block in model.blocks:
            block.attention_norm = block.ffn_norm = nn.Identity()
    if not residual:
        model.blocks = nn.ModuleList(map(WithoutResidual, model.blocks))
    return model.to(device())


# %%
def gradient_norms(model):
    """Norm of the gradient of each layer's feed-forward matrix, on 64 questions."""
    answer_loss(model, questions(64, seed=3)).backward()
    norms = [block.ffn.expand.weight.grad.norm().item() for block in model.blocks]
    model.zero_grad()
    return norms


def deep_run(warmup=0.0, **parts):
    """First layer's gradient over the last's at the start, and the loss (at most 10) after 100 steps."""
    model = deep_model(**parts)
    norms = gradient_norms(model)
    try:
        loss = learn_order(model, 100, rows=32, lr=3e-3, warmup=warmup)[1]
    except FloatingPointError:  # no longer a number
        loss = 10.0
    return norms[0] / norms[-1], min(loss, 10.0)


# %%
claim = "ln-stabilises"
deep = {
    "full": (deep_run(), (0.1, 20), (0, 0.2)),
    "no-residual": (deep_run(residual=False), (0.05, 20), (0.6, 2)),
    "no-norm": (deep_run(norm="none"), (10, 1e5), (0.3, 10)),
    "neither": (deep_run(residual=False, norm="none"), (0.05, 100), (0.3, 10)),
}
for name, ((ratio, loss), ratio_range, loss_range) in deep.items():
    words = name.replace("-", " ")
    measure(claim, ratio, between=ratio_range, name=f"ratio-{name}", what=f"first gradient over last, {words}")
    measure(claim, loss, between=loss_range, name=f"loss-{name}", what=f"loss after 100 steps, {words}", unit="nats")
# sabotage: ln-stabilises/ratio-no-norm: deep_run(norm="none"), (10 => deep_run(), (10

# %% [markdown]
r"""
The whole model learns the task, and no other does. Without norms the gradient grows on its way back, by a factor of
tens to thousands. Without residual connections it is of about the same size in all layers, neither vanished nor
exploded, and still nothing is learned. (A loss of 10 stands for a training that broke off, in numbers too large to
hold. Without both parts it did so on two threads and not on one.)

How bad each loss is depends on the start, so the start is named above, and on luck: change the seed in `deep_model`,
and now and then the model with *neither* learns something after all.

## 10. Normalisation

**Layer normalisation** subtracts the mean and divides by the standard deviation, then multiplies by a learned gain and
adds a learned bias ([Ba and others, 2016](../chapters/bibliography.md)). "Sample by sample", say the notes.

**Exercise 5** (15 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def layer_norm(x, gain, bias, epsilon):
    """Normalise each vector of `x`, with the shape [..., d], then multiply by `gain` [d] and add `bias` [d].

    The variance is the mean of the squared deviations (divide by d); `epsilon` is added to it before the root.
    """
    ### BEGIN SOLUTION
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).square().mean(-1, keepdim=True)
    return (x - mean) / (variance + epsilon).sqrt() * gain + bias
    ### END SOLUTION


check("layer_norm", layer_norm)

# %% [markdown]
r"""
**Predict.** Change one word of a sentence. How far do the normalised vectors of the *others* change, if each word is
normalised by itself, and if the whole sentence is normalised at once?
"""

# %%
claim = "ln-per-sample"
sentence = random(1, 6, 32)
changed = sentence.clone()
changed[0, 5] *= 10
for name, (axes, between) in {"token": ((32,), (0, 0)), "sample": ((6, 32), (0.1, 5))}.items():
    change = (F.layer_norm(sentence, axes) - F.layer_norm(changed, axes))[0, :5].abs().max()
    what = f"change of the five other words, normalised by {name}"
    measure(claim, change, between=between, name=name, what=what)
# sabotage: ln-per-sample/token: (32,), (0, 0) => (6, 32), (0, 0)

# %% [markdown]
r"""
*Verdict on `ln-per-sample`: imprecise. Statistics are taken per word, over its features. Taken over the sample, the
last word would change the first ones: in a causal model, another leak.*

### Before or after

The first Transformer normalises *after* the sum (**post-norm**); GPT-2, for example, does it *before* each part
(pre-norm, [Radford and others, 2019](../chapters/bibliography.md)).

**Predict.** Make a pre-norm model eight times as deep. What happens to the gradient of its last layer?
"""

# %%
claim = "since-prenorm-rmsnorm"
last = {}
for norm in ("pre", "post"):
    for n_layers in (3, 24):
        norms = [gradient_norms(deep_model(norm=norm, n_layers=n_layers, seed=seed))[-1] for seed in range(4)]
        last[norm, n_layers] = sum(norms) / len(norms)
for norm, between in {"pre": (2, 6), "post": (0.4, 2)}.items():
    shrink = last[norm, 3] / last[norm, 24]
    what = f"last layer's gradient, 3 layers over 24, {norm}-norm"
    measure(claim, shrink, between=between, name=f"shrink-{norm}", what=what)
# sabotage: since-prenorm-rmsnorm/shrink-pre: norm=norm => norm="post"

# %%
claim = "ln-stabilises"
for name, warmup, between in (("none", 0.0, (0.4, 2)), ("half", 0.5, (0, 0.3))):
    _, loss = deep_run(warmup, norm="post", n_layers=8)
    what = f"loss, 8 layers in post-norm, {'no warm-up' if name == 'none' else 'warm-up for half of the steps'}"
    measure(claim, loss, between=between, name=f"post-warmup-{name}", what=what, unit="nats")
first, *_, final = gradient_norms(deep_model(norm="post"))
what = "first gradient over last, 12 layers in post-norm"
measure(claim, first / final, between=(0.05, 20), name="ratio-post", what=what)
# sabotage: ln-stabilises/post-warmup-half: warmup, norm="post" => 0.0, norm="post"

# %% [markdown]
r"""
In pre-norm the last layer's gradient shrinks as the model grows deeper, by about $\sqrt 8 = 2.8$ for eight times the
depth. In post-norm it stays as large as ever. So theory has it, whose authors conclude that post-norm needs a slow rise
of the learning rate, a **warm-up** ([Xiong and others, 2020](../chapters/bibliography.md)). Here, too, the post-norm
model, of eight layers, learns nothing without it and learns with it. That is one start. With four other seeds it
learned once without a warm-up, and once it did not learn with one. The pre-norm model of the table above, of twelve
layers, needed none with any of the five.

*Verdict on `ln-stabilises`: holds with a caveat: it depends on where the norm stands.*

The notes suspect that the norm helps *through the gradients*. Test: compute mean and standard deviation as ever, but
treat them as constants in the derivative ([Xu and others, 2019](../chapters/bibliography.md)). The forward pass is the
same to the last digit.
"""


# %%
class DetachedNorm(nn.LayerNorm):
    """Layer norm whose mean and standard deviation are constants for the gradient."""

    def forward(self, x):
        mean, variance = x.mean(-1, keepdim=True).detach(), x.var(-1, keepdim=True, correction=0).detach()
        return (x - mean) / (variance + self.eps).sqrt() * self.weight + self.bias


def detached(model):
    """The model with its blocks' norms detached."""
    for block in model.blocks:
        block.attention_norm, block.ffn_norm = DetachedNorm(32), DetachedNorm(32)
    return model.to(device())


# %%
claim = "ln-gradients"
norms = {
    "post": (language_model("rope", norm="post"), (0, 1)),
    "post-detached": (detached(language_model("rope", norm="post")), (0.3, 10)),
    "pre-detached": (detached(language_model("rope")), (0, 0.65)),
}
found = {"pre": losses["rope"]["1-16"]}
measure(claim, found["pre"], between=(0, 0.65), name="pre", what="loss at 1-16, norms: pre", unit="nats")
for name, (model, between) in norms.items():
    found[name] = loss_by_range(learn_language(model))["1-16"]
    what = f"loss at 1-16, norms: {name.replace('-', ', ')}"
    measure(claim, found[name], between=between, name=name, what=what, unit="nats")

# %%
for norm, between in {"post": (2, 1000), "pre": (0.6, 1.9)}.items():
    times = found[f"{norm}-detached"] / found[norm]
    measure(claim, times, between=between, name=f"times-{norm}", what=f"detached over whole, {norm}-norm", unit="times")
alone = world.unigram(LENGTH - 1).cross_entropy - floor
measure(claim, alone, between=(2.2, 2.35), name="unigram", what="loss of the words' frequencies alone", unit="nats")
# sabotage: ln-gradients/times-post: found[f"{norm}-detached"] => found[norm]

# %% [markdown]
r"""
In post-norm the derivative of the statistics is what makes the norm work: without it the loss is several times as high,
and with the few steps of the cpu profile not far below that of knowing only how frequent words are. In pre-norm it
makes little difference here.

*Verdict on `ln-gradients`: holds with a caveat, and more narrowly than the notes put it: clear for post-norm, not seen
for pre-norm.*

### RMSNorm

Many models now leave out the mean and the bias: **RMSNorm** divides by the root of the mean square
([Zhang and Sennrich, 2019](../chapters/bibliography.md)).

**Exercise 6** (10 minutes, difficulty 1 of 5, 1 point).
"""


# %% exercise
def rms_norm(x, gain, epsilon):
    """Divide each vector of `x`, with the shape [..., d], by the root of its mean square, then multiply by `gain` [d].

    `epsilon` is added to the mean square before the root.
    """
    ### BEGIN SOLUTION
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * gain
    ### END SOLUTION


check("rms_norm", rms_norm)

# %%
claim = "since-prenorm-rmsnorm"
centred = sentence - sentence.mean(-1, keepdim=True)
for name, (x, between) in {"centred": (centred, (0, 1e-12)), "shifted": (sentence + 1, (0.1, 5))}.items():
    difference = (F.rms_norm(x, (32,), eps=1e-5) - F.layer_norm(x, (32,), eps=1e-5)).abs().max()
    what = f"RMSNorm minus LayerNorm, {'mean 0' if name == 'centred' else 'mean about 1'}"
    measure(claim, difference, between=between, name=name, what=what, digits=1)
# sabotage: since-prenorm-rmsnorm/centred: (centred, (0 => (sentence, (0

# %% [markdown]
r"""
On vectors whose mean is 0 the two are the same function. The paper reports 7% to 64% less time; that depends on the
program and the machine, and is not measured here.

*Verdict on `since-prenorm-rmsnorm`: missing from the notes; the Llama models use both ([Touvron and others,
2023](../chapters/bibliography.md)).*

## 11. A mixture of experts

The feed-forward network holds most of the parameters and runs for every word. A **mixture of experts** has several
networks and a **router** that sends each word to the best two: more parameters, not more work
([Fedus and others, 2022](../chapters/bibliography.md); [Jiang and others, 2024](../chapters/bibliography.md)).

**Predict.** With eight experts, which share of the words goes to the busiest?
"""


# %%
class Experts(nn.Module):
    """Eight networks, of which each word uses two. `load` is each expert's share of the last batch's choices."""

    def __init__(self, d_model):
        super().__init__()
        self.experts = nn.ModuleList(FeedForward(d_model) for _ in range(8))
        self.router = nn.Linear(d_model, 8, bias=False)

    def forward(self, x):
        law = self.router(x).softmax(-1)
        best, chosen = law.topk(2)
        gates = torch.zeros_like(law).scatter(-1, chosen, best / best.sum(-1, keepdim=True))
        self.load = (gates > 0).flatten(0, 1).float().mean(0) / 2
        self.imbalance = 8 * (self.load * law.flatten(0, 1).mean(0)).sum()  # 1 if all are equally busy
        return sum(gates[..., [i]] * expert(x) for i, expert in enumerate(self.experts))


# %%
def with_experts(balance):
    """Train a one-layer model; its loss, and each expert's share of the choices, the busiest first."""
    model = language_model("rope", n_layers=1)
    experts = model.blocks[0].ffn = Experts(32).to(device())
    nn.init.normal_(experts.router.weight, std=0.2)

    def loss(model, batch):
        return causal_loss(model(batch), batch) + balance * experts.imbalance

    train(model, lambda step: batches[step][:16], loss, steps=120, lr=8e-3)
    return loss_by_range(model)["1-16"], experts.load.sort(descending=True).values.tolist()


# %%
claim = "since-moe"
sizes = [sum(parameter.numel() for parameter in expert.parameters()) for expert in Experts(32).experts]
share = sum(sizes[:2]) / sum(sizes)
measure(claim, share, between=(0.25, 0.25), name="active", what="share of the experts' parameters that a word uses")
loads = {}

# %%
for name, balance, between in (("free", 0.0, (3, 7.6)), ("balanced", 0.1, (7, 8))):
    loss, loads[name] = with_experts(balance)
    busiest, idlest = loads[name][0], loads[name][-1]
    measure(claim, busiest, between=(0.125, 0.5), name=f"busiest-{name}", what=f"share of the busiest expert, {name}")
    measure(claim, idlest, between=(0, 0.125), name=f"idlest-{name}", what=f"share of the idlest, {name}")
    as_many = 1 / sum(share**2 for share in loads[name])
    measure(claim, as_many, between=between, name=f"as-many-{name}", what=f"as even as so many equal experts, {name}")
    measure(claim, loss, between=(0, 1), name=f"loss-{name}", what=f"loss at 1-16, {name}", unit="nats")
# sabotage: since-moe/as-many-balanced: ("balanced", 0.1, => ("balanced", 0.0,

# %%
# alt: Share of each expert, busiest first. Without a balancing loss the shares fall from 0.3 to 0.03, with it from 0.17
# alt: to 0.05.
ax = plotting.bars(loads, [f"expert {i}" for i in range(1, 9)], unit="share of the choices")

# %% [markdown]
r"""
Left alone, the router has favourites. (The measure of evenness is $1/\sum p_i^2$: eight equal shares give 8, one expert
alone gives 1.) A **balancing loss** that is smallest when all are equally busy evens that out,
at hardly any cost in the loss. On many machines, with an expert on each, the busiest decides how long all wait. (This
small program runs all experts on all words and so saves no time; a real one gathers each expert's words first.)

*Verdict on `since-moe`: missing from the notes.*

## With a real model

In the `gpu` profile, or when you ask for them, the next cells look at the positions of three models: learned vectors in
GPT-2 (`openai-community/gpt2`: 124 million parameters, 549 MB, licence MIT), angles in SmolLM2
(`HuggingFaceTB/SmolLM2-135M`: 135 million parameters, 271 MB, licence Apache-2.0), and relative biases in T5
(`google-t5/t5-small`: 61 million parameters, 243 MB, licence Apache-2.0). In GPT-2 they also take the gradient of each
of its twelve layers.

**Predict.** How alike are GPT-2's learned vectors of two positions, one step apart and a hundred?
"""

# %%
if loaded := hub.offer("decoder", dtype=torch.float32):
    gpt2, tokenizer = loaded
    table = gpt2.transformer.wpe.weight.detach()
    for distance in (1, 10, 100):
        alike = F.cosine_similarity(table[: 900 - distance], table[distance:900]).mean()
        print(f"likeness of position vectors at distance {distance}: {alike:.2f}")
    text = torch.tensor([tokenizer.encode("The dogs near the barn sleep. " * 10)], device=device())
    gpt2(text, labels=text).loss.backward()
    gradients = [layer.mlp.c_fc.weight.grad.norm().item() for layer in gpt2.transformer.h]
    print("gradient by layer:", *(f"{gradient:.2f}" for gradient in gradients))

# %% [markdown]
r"""
Our angles and our buckets, beside those of the models that use them.
"""

# %%
if loaded := hub.offer("base", dtype=torch.float32):
    smol = loaded[0]
    places, base = torch.arange(500, device=device()), smol.config.rope_parameters["rope_theta"]
    angles = positions.rotary_angles(places, smol.model.layers[0].self_attn.head_dim, base=base)
    theirs = smol.model.rotary_emb(torch.zeros(1, device=device()), places[None])[0][0, :, : angles.shape[1]]
    print(f"largest difference from SmolLM2's cosines: {(angles.cos() - theirs).abs().max():.1e}")
    print(f"its slowest pair of axes turns once in {2 * torch.pi / angles[1, -1]:,.0f} tokens")
if loaded := hub.offer("encoder-decoder", dtype=torch.float32):
    first, places = loaded[0].encoder.block[0].layer[0].SelfAttention, torch.arange(200, device=device())
    buckets = positions.relative_buckets(places[None] - places[:, None])
    ours = positions.relative_bias(first.relative_attention_bias.weight, buckets)
    print(f"largest difference from T5's biases: {(ours - first.compute_bias(200, 200)[0]).abs().max():.1e}")
    print("mean bias 0, 1, 10 and 100 tokens ahead:", *(f"{ours[:, 0, d].mean():.2f}" for d in (0, 1, 10, 100)))

# %% [markdown]
r"""
## What you have shown

- Without positions a bidirectional model cannot know the order; a causal one can, from the second layer on.
- One fixed turn moves sinusoids on by k positions; rotary scores and biases by distance do not see a common shift.
- Learned positions end with their table, ALiBi goes on, rotary positions need help.
- A loss below the floor is a leak, not a success.
- Attention alone bends nothing inside a word, and many layers of it make all words alike.
- Residual connections cure degradation, in a network whose gradients had not vanished.
- Norms are per word; before the parts they make deep models easy to train, after them a warm-up helps.

## Where to go next

The chapter on [attention](../chapters/03_attention.md) puts the parts together and ends with a quiz. Try other seeds in
`deep_model`, or a longer training in section 6, and see which ranges refuse.
"""
