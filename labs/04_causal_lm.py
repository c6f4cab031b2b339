# %% [markdown]
r"""
# Lab 04: Causal language modelling

A GPT learns from text alone, by one task repeated: **given the words so far, say how likely each next word is**. This
is *causal language modelling*. In this lab you write its loss, look at the mask that makes it honest, train a model
until it is close to the best that any model could be, and then let it read its own words.

**What you will measure.** How far a trained model is from the truth, which is known here: the text comes from a small
synthetic language whose exact law the course can compute. What the causal mask does, and what happens without it. What
teacher forcing is good for, and where its price, exposure bias, is paid and where not. What training costs.

**What you need.** Python, a little PyTorch, and what a probability is. The chapter on
[pretraining](../chapters/02_pretraining.md) explains the same ideas with more words; the attention layer itself is the
matter of the chapter on [attention](../chapters/03_attention.md).

**Time.** Reading and exercises: about two hours. The cells run in under a minute on two cores; on a T4 they evaluate on
ten times as much text.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on the initial training process, on
autoregression and decoder-only models, on teacher forcing, and on why future words are masked.
"""

# %% setup

# %%
import math
import time
from itertools import pairwise, product

import numpy as np
import torch
from torch.nn import functional as F

# %%
from labutils import hub, plotting, sampling
from labutils.attention import attention, causal_mask
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Decoder, Encoder
from labutils.objectives import causal_loss, mask_tokens
from labutils.runtime import device, dtype, profile, seed
from labutils.training import metered, train
from labutils.weights import load_world_decoder
from labutils.world import MASK, World

# %% [markdown]
r"""
## 1. Text is its own teacher

The notes call the first phase of a model's life **pre-training**, and so does everybody (`pretrain-name`); it is
**self-supervised**, they say: nobody has to label anything.

**Predict.** How many questions and answers are in this sentence of seven tokens?
"""

# %%
world = World()
sentence = torch.from_numpy(world.prompt("the dog near the boats sleeps ."))
for place in range(1, sentence.shape[1]):
    print(f"{world.decode(sentence[0, :place]):38} -> {world.vocab[sentence[0, place]]}")

# %%
claim = "pretrain-self-supervised"
questions, answers = sentence[:, :-1], sentence[:, 1:]
measure(claim, answers.shape[1], between=(7, 7), name="pairs", what="questions with an answer, by shifting")
documents = torch.from_numpy(world.sample(100, 63, seed=1).tokens)
generator = torch.Generator().manual_seed(0)
hidden, chosen = mask_tokens(documents, generator, mask_token=MASK, vocab_size=world.vocab_size, special=(0,))
measure(
    claim, chosen.double().mean(), between=(0.13, 0.165), name="masked", what="share of words asked for, by masking"
)
# sabotage: pretrain-self-supervised/pairs: sentence[:, 1:] => sentence[:, 1:-1]
# %% [markdown]
r"""
`<bos>` marks the beginning. Every word but `<bos>` is an answer, and what stands before it is the question. A text of
T tokens teaches T times. Hiding words, as BERT does, asks about 15% of them (lab 05).

*Verdict on `pretrain-self-supervised`: holds. The labels are the text.*

In a program, a question is not cut out for each answer. The model reads the text once, and position i gets the
**label** that comes next. So labels are the text shifted by one place.

**Exercise 1** (10 minutes, difficulty 2 of 5, 2 points). Real batches hold texts of unequal length, filled up with
**padding**. Padding is not a label.
"""


# %% exercise
def shift_labels(tokens, visible):
    """Return the label of each position: the token that comes next, or -100 where there is none to predict.

    `tokens` has the shape [..., seq]; `visible`, of the same shape, is False where a token is padding.
    """
    ### BEGIN SOLUTION
    following = tokens[..., 1:].masked_fill(~visible[..., 1:], -100)
    return torch.nn.functional.pad(following, (0, 1), value=-100)
    ### END SOLUTION


check("shift_labels", shift_labels)

# %% [markdown]
r"""
The most common mistake in home-made training loops is here: labels that are not shifted, or shifted twice, because many
libraries shift inside their loss. The model then learns to repeat what it has just read, and its loss looks wonderful.

## 2. One number for a text

Why should predicting *next* words be enough? The **chain rule** of probability says so:
$p(x_1 \dots x_T) = \prod_t p(x_t \mid x_1 \dots x_{t-1})$. The notes say that autoregression *presupposes* that a value
depends on the values before it.

**Predict.** Three coins that have nothing to do with each other: is the product of next-coin laws still their joint
law?
"""


# %%
TRIPLES = list(product((0, 1), repeat=3))


def chain_rule_error(joint):
    """The largest error of p(a) p(b | a) p(c | a, b) as the probability of a, b, c."""
    p_a, p_ab = joint.sum((1, 2)), joint.sum(2)
    product_of_three = [p_a[a] * (p_ab[a, b] / p_a[a]) * (joint[a, b, c] / p_ab[a, b]) for a, b, c in TRIPLES]
    return max(abs(p - joint[triple]) for p, triple in zip(product_of_three, TRIPLES, strict=True))


# sabotage: dec-ar-assumes-continuity/dependent: joint[a, b, c] / p_ab[a, b] => joint.sum(0)[b, c] / p_ab.sum(0)[b]


# %%
claim = "dec-ar-assumes-continuity"
rng = np.random.default_rng(0)
any_joint = rng.random((2, 2, 2))
coins = np.einsum("a,b,c->abc", *rng.dirichlet([1, 1], size=3))
for name, joint in {"dependent": any_joint / any_joint.sum(), "independent": coins}.items():
    measure(claim, chain_rule_error(joint), between=(0, 1e-15), name=name, what=f"chain rule, {name} coins: error")

# %% [markdown]
r"""
Exact in both cases, up to the last digit of the computer. The rule assumes nothing about the values. What *is* assumed
comes later: that a network of this size, looking back this far, can compute those laws.

*Verdict on `dec-ar-assumes-continuity`: imprecise.*

So a model of next words is a model of texts. Take a finished one, which comes with the course, and let it judge five
words.
"""

# %%
finished = load_world_decoder().to(device())
five = torch.from_numpy(world.prompt("the dog near the boats")).to(device())
with torch.no_grad():
    laws = finished(five)[0].double().softmax(-1).cpu()
by_hand = 0.0
for place in range(5):
    p = laws[place, five[0, place + 1]].item()
    by_hand += math.log(p)
true = -world.surprisal(five.cpu().numpy())[0]
print("true probabilities:", [f"{p:.4f}" for p in np.exp(true)])
# %%
claim = "dec-autoregressive-clm"
loss = causal_loss(torch.log(laws)[None], five.cpu()).item()
measure(
    claim, abs(by_hand + 5 * loss), between=(0, 1e-9), name="sum", what="sum of log p by hand, plus 5 times the loss"
)
measure(claim, by_hand, between=(-12, -11.5), name="log-p", what="log p of the five words, the model")
measure(claim, true.sum(), between=(-11.674, -11.673), name="true-log-p", what="log p of the five words, the language")
# sabotage: dec-autoregressive-clm/sum: five.cpu() => five.cpu().roll(1)
# %% [markdown]
r"""
The training loss is nothing but this: minus the log-probability of the text, divided by the number of its tokens. Its
unit is the **nat** (a bit is 0.69 nats). Models trained so are called *autoregressive*, *decoder-only* or *causal*; GPT
and BLOOM are the notes' examples (`dec-examples`). Some papers call it *full language modelling*, as
against prefix or masked language modelling (`dec-full-lm-term`).

*Verdict on `dec-autoregressive-clm`: holds.*

With padding, "divided by the number of its tokens" is where mistakes hide. Three averages of one batch:
"""

# %%
lengths = torch.tensor([64, 16, 4, 4])
batch = documents[:4].to(device())
visible = (torch.arange(64) < lengths[:, None]).to(device())
with torch.no_grad():
    logits = finished(batch.where(visible, 0))
padded = batch.where(visible, 0)
right = causal_loss(logits, padded, visible)
with_padding = causal_loss(logits, padded)
of_rows = torch.stack([causal_loss(logits[i, None], padded[i, None], visible[i, None]) for i in range(4)]).mean()
measure(claim, right, between=(2.02, 2.1), name="loss", what="mean over the tokens to predict", unit="nats")
measure(claim, with_padding, between=(10, 15), name="loss-with-padding", what="mean with the padding", unit="nats")
measure(claim, of_rows, between=(2.3, 2.43), name="loss-of-rows", what="mean of each row's mean", unit="nats")

# %% [markdown]
r"""
**Exercise 2** (15 minutes, difficulty 3 of 5, 3 points). Write the first of the three.
"""


# %% exercise
def padded_loss(logits, tokens, visible):
    """Return the mean of -log p(next token), in nats, over all tokens to predict that are not padding.

    Position i of `logits` [batch, seq, vocab] scores the token at i + 1. `tokens` and `visible` are [batch, seq].
    """
    ### BEGIN SOLUTION
    log_probabilities = logits[:, :-1].log_softmax(dim=-1)
    nats = -log_probabilities.gather(-1, tokens[:, 1:, None]).squeeze(-1)
    return nats[visible[:, 1:]].mean()
    ### END SOLUTION


check("padded_loss", padded_loss)

# %% [markdown]
r"""
## 3. The mask

If the model reads the whole text at once, what keeps position i from looking at its own answer, which stands at i + 1?
The **causal mask**. The Transformer of 2017 had it in its decoder (`transformer-2017`;
the readings that the notes recommend are good ones, `transformer-resources-links`). GPT, in 2018 and before BERT,
kept the decoder alone (`dec-gpt-before-bert`).

The notes say that *the input tokens are masked*.

**Predict.** Which of the seven words will the model not get to see?
"""

# %%
# alt: A square of attention weights, eight words by eight. All cells right of the diagonal are zero.
words = [world.vocab[token] for token in sentence[0]]
before = sentence.clone().to(device())
weights = finished.attention_weights(before)[1][0].detach().cpu()
ax = plotting.heatmap(
    weights[0].tolist(), words, words, xlabel="word looked at", ylabel="position", unit="attention weight"
)
print("the tokens that the model reads:", before[0].tolist())

# %%
claim = "dec-tokens-masked"
changed = (before.cpu() != sentence).sum()
measure(claim, changed, between=(0, 0), name="tokens-changed", what="input tokens that the mask changed")
future = weights.triu(1).max()
measure(claim, future, between=(0, 0), name="future-weight", what="largest weight on a later word, all heads")
rows = weights.sum(-1)
measure(claim, (rows - 1).abs().max(), between=(0, 1e-5), name="row-sum", what="largest error of a row's sum, 1")
# sabotage: dec-tokens-masked/future-weight: triu(1) => triu(0)

# %% [markdown]
r"""
The model sees *every* word. What is masked is *who may look at whom*: each row ends at its own diagonal.

*Verdict on `dec-tokens-masked`: imprecise, and easily confused with BERT's masking, which does replace tokens.*

Does the mask hold? Change one word and look at the logits before it. Then take the same weights *without* the mask: in
this course an `Encoder` is a `Decoder` that may look both ways, and the weights of one fit into the other.
"""

# %%
# sabotage: dec-unidirectional/unmasked: "unmasked": unmasked => "unmasked": finished
unmasked = Encoder(finished.config).to(device()).eval()
unmasked.load_state_dict(finished.state_dict())
text = documents[:50].to(device())
other = text.clone()
other[:, 40] = other[:, 40].roll(1)  # place 40 gets the word of another document
with torch.no_grad():
    change = {name: (m(other) - m(text)).abs() for name, m in {"masked": finished, "unmasked": unmasked}.items()}
early, late = change["masked"][:, :40].max(), change["masked"][:, 40:].max()
measure("dec-no-future", early, between=(0, 0), name="before", what="largest change of a logit before the change")
measure("dec-no-future", late, between=(5, 100), name="after", what="largest change of a logit from there on")
both_ways = change["unmasked"][:, :40].max()
measure("dec-unidirectional", both_ways, between=(5, 100), name="unmasked", what="change before it, without the mask")
# sabotage: dec-no-future/before: "masked": finished => "masked": unmasked

# %% [markdown]
r"""
Not small: zero. No bit of an earlier logit depends on a later word.

*Verdicts. `dec-no-future` and `dec-unidirectional` hold. (A "prefix LM" lets the words of a prompt look both ways and
masks only what follows.)*

How is a score masked? The notes say: set to minus infinity. Two other ways are often seen. One uses a large negative
number, the other sets weights to zero *after* the softmax.

**Predict.** Which of the three lets something leak?
"""


# %%
def masked_weights(scores, way):
    """Causal attention weights, masked in one of three ways."""
    hidden = ~causal_mask(len(scores))
    if way == "zero-after":
        return scores.softmax(-1).masked_fill(hidden, 0)
    return scores.masked_fill(hidden, -math.inf if way == "infinity" else -1e4).softmax(-1)


# %%
claim = "dec-future-minus-infinity"
scores = torch.randn(6, 6, generator=torch.Generator().manual_seed(1)).half()
brighter = scores.clone()
brighter[:, -1] += 4  # the last word becomes more attractive
for way, total in {"infinity": (0.99, 1.01), "minus-10000": (0.99, 1.01), "zero-after": (0.01, 0.4)}.items():
    kept, moved = masked_weights(scores, way), masked_weights(brighter, way)
    measure(claim, kept[0].sum(), between=total, name=f"{way}-sum", what=f"{way}: sum of the first row's weights")
    leak = (moved - kept)[:5].abs().max()
    low, high = (0.1, 1) if way == "zero-after" else (0, 0)
    measure(claim, leak, between=(low, high), name=f"{way}-leak", what=f"{way}: change if the last word changes")
# sabotage: dec-future-minus-infinity/infinity-leak: masked_weights(brighter, way) => brighter.softmax(-1)

# %% [markdown]
r"""
Zeroing after the softmax hides the later word but not the room that it took: the rows no longer sum to 1, and how much
is missing tells about the future. In half precision −10,000 does as well as −∞, because $e^{-10000}$ is zero there.

*Verdict on `dec-future-minus-infinity`: holds; before the softmax is the point.*

The notes also say that future words are masked **during decoding**, when the model generates.

**Predict.** While the model writes word 8, what stands at place 9?
"""

# %%
claim = "prob-mask-during-decoding"
query, key, value = torch.randn(3, 9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
hidden = (~causal_mask(1, 9)).sum()
measure(claim, hidden, between=(0, 0), name="hidden", what="keys that the mask hides from a single new query")
whole = attention(query, key, value, causal_mask(9))[-1:]
step = attention(query[-1:], key, value)
measure(claim, (whole - step).abs().max(), between=(0, 1e-15), name="step", what="new word without a mask: difference")
# sabotage: prob-mask-during-decoding/step: attention(query[-1:], key => attention(query[:1], key

# %%
with torch.no_grad():
    laws, unmasked_laws = (m(text).softmax(-1) for m in (finished, unmasked))
    cache = finished.empty_cache(len(text))
    finished(text[:, :-1], cache)
    cached = finished(text[:, -1:], cache)[:, -1].softmax(-1)
change = (cached - laws[:, -1]).abs().max()
measure(claim, change, between=(0, 1e-4), name="cached", what="the whole model, one new word, cached: change", digits=1)
distance = (unmasked_laws - laws).abs().sum(-1).mean(0) / 2
measure(claim, distance[-1], between=(0, 0.03), name="last", what="no mask at all: total variation at the last place")
measure(claim, distance[:-1].mean(), between=(0.05, 0.3), name="others", what="and at the other places, on average")

# %% [markdown]
r"""
A new word is the last one. There is no future to hide, and with a **cache** of the earlier words' keys and values
nothing needs masking at all. Even when this model reads everything anew without its mask, the last law hardly moves;
only the places that *have* a future go wrong. (**Total variation** is half the summed difference of two laws, 0 for
equal ones and 1 for laws that never agree.)

*Verdict on `prob-mask-during-decoding`: imprecise. The mask belongs to training, where the future lies in the input.*

## 4. All positions at once

*In training the model steps through the sequence one token at a time*, say the notes.

**Predict.** 63 predictions: how many times must the model run? And how much faster is it to do it the other way?
"""


# %%
def in_one_pass(model, tokens):
    """The causal loss, from one run over the text."""
    return causal_loss(model(tokens), tokens)


def one_at_a_time(model, tokens):
    """The same, from a run over each beginning of the text."""
    places = range(1, tokens.shape[1])
    return torch.stack([F.cross_entropy(model(tokens[:, :i])[:, -1], tokens[:, i]) for i in places]).mean()


def seconds(call, repeats=5):
    """How long a call takes: the fastest of some, since a slower one had to share the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call().item()  # on a GPU, item() waits for the result
        times.append(time.perf_counter() - start)
    return min(times)


# %%
claim = "dec-iterates-one-by-one"
few = text[:8]
with torch.no_grad():
    difference = (in_one_pass(finished, few) - one_at_a_time(finished, few)).abs()
    ratio = seconds(lambda: one_at_a_time(finished, few)) / seconds(lambda: in_one_pass(finished, few))
measure(
    claim, difference, between=(0, 1e-5), name="difference", what="difference of the two losses", unit="nats", digits=1
)
measure(claim, ratio, between=(8, 400), name="ratio", what="time one at a time, over time in one pass", digits=2)
measure(claim, few.shape[1] - 1, between=(63, 63), name="predictions", what="predictions in one pass, for each text")
# sabotage: dec-iterates-one-by-one/ratio: lambda: one_at_a_time => lambda: in_one_pass
# %% [markdown]
r"""
The same loss, many times faster. The shifted labels and the mask turn one run into 63 honest exams. That is what the
Transformer has over recurrent networks, which must read word by word even in training.

*Verdict on `dec-iterates-one-by-one`: wrong. Only generation goes word by word.*

## 5. Training

Ten steps by hand first: compute the loss, compute how it changes with each weight, move each weight a little.

**Predict.** A model that knows nothing spreads its probability evenly over 298 words. What is its loss?
"""

# %%
seed(0)
small = Decoder(Config(vocab_size=world.vocab_size, n_layers=1)).double()  # so that all machines print the same
optimizer = torch.optim.AdamW(small.parameters(), lr=3e-3)
lesson = torch.from_numpy(world.sample(16, 31, seed=2).tokens)
history = []
for step in range(10):
    loss = causal_loss(small(lesson), lesson)
    weight = small.blocks[0].ffn.expand.weight[0, 0].item()
    history.append((loss.item(), weight))
    print(f"step {step}: loss {loss.item():.2f}, one of the weights {weight:.3f}")
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# %%
claim = "pretrain-weights-minimise-loss"
losses, path = zip(*history, strict=True)
ignorant = math.log(world.vocab_size)
measure(claim, ignorant, between=(5.697, 5.6971), name="ignorant", what="loss of even guesses, log 298", unit="nats")
measure(claim, losses[0], between=(5.6, 5.8), name="first", what="loss at the first step", unit="nats")
measure(claim, losses[-1], between=(3.8, 5.2), name="tenth", what="loss at the tenth step", unit="nats")
rises = sum(b > a for a, b in pairwise(losses))
measure(claim, rises, between=(0, 0), name="rises", what="rises of the loss on one and the same batch")
moved = max(abs(b - a) for a, b in pairwise(path))
measure(claim, moved, between=(1e-3, 4e-3), name="moved", what="the weight's largest move in a step")
# sabotage: pretrain-weights-minimise-loss/tenth: losses[-1] => losses[0]

# %% [markdown]
r"""
Now in earnest. The model is a decoder with one layer and 69,000 weights; 600 batches of 16 fresh texts, 64 tokens each.
No text comes twice, with three exceptions: one text is planted 1 time, one 10 times, one 100 times among the 9,600.
What the model makes of them comes later.

Three lines to hold the loss against, all exact. The **floor** is the entropy of the language: no model can be better on
average. A **bigram** knows only the word before, a **unigram** only how frequent words are.

**Predict.** How many of the 600 steps does it take to beat the bigram?
"""

# %%
STEPS, BATCH, LENGTH = 600, 16, 63
planted = torch.from_numpy(world.sample(3, LENGTH, seed=2_000_000).tokens)
TIMES = (1, 10, 100)
guests = {}  # step -> the planted texts in its batch
for number, times in enumerate(TIMES):
    for step in np.linspace(0, STEPS - 1, times + 2)[1:-1].astype(int):
        guests.setdefault(int(step), []).append(number)


def batches(step):
    tokens = torch.from_numpy(world.sample(BATCH, LENGTH, seed=step).tokens)
    for place, number in enumerate(guests.get(step, [])):
        tokens[place] = planted[number]
    return tokens


# %%
def next_token_loss(model, tokens):
    return causal_loss(model(tokens), tokens)


seed(0)
model = Decoder(Config(vocab_size=world.vocab_size, n_layers=1)).to(device())
start = time.perf_counter()
losses = train(model, batches, next_token_loss, steps=STEPS, lr=1e-2)
training_seconds = time.perf_counter() - start
# sabotage: pretrain-statistical-representation: lr=1e-2 => lr=1e-4

# %%
# alt: The loss against the step: a steep fall through the unigram and the bigram line, then slowly towards the floor.
floor, _ = world.entropy_rate(LENGTH)
unigram, bigram = world.unigram(LENGTH).cross_entropy, world.bigram(LENGTH).cross_entropy
smooth = np.convolve(losses, np.ones(20) / 20, mode="valid")  # the mean of the last 20 steps
steps = list(range(20, STEPS + 1))
lines = {"the model": smooth.tolist()}
lines |= {name: [value] * len(steps) for name, value in {"unigram": unigram, "bigram": bigram, "floor": floor}.items()}
ax = plotting.curves(steps, lines, xlabel="step", ylabel="loss in nats per token")
print(f"unigram {unigram:.4f}, bigram {bigram:.4f}, floor {floor:.4f} nats per token")

# %%
claim = "pretrain-statistical-representation"
for name, (line, between) in {"unigram": (unigram, (21, 60)), "bigram": (bigram, (40, 250))}.items():
    crossed, what = steps[int((smooth < line).argmax())], f"step at which the loss falls below the {name}'s"
    measure(claim, crossed, between=between, name=f"below-{name}", what=what, digits=2)
ups = (np.diff(losses[-300:]) > 0).mean()
what = "share of the last 300 steps whose loss is above the step before"
measure("pretrain-weights-minimise-loss", ups, between=(0.38, 0.6), name="ups", what=what)

# %%
size = {"cpu": 300, "gpu": 3000}[profile()]
held_out = torch.from_numpy(world.sample(size, LENGTH, seed=1_000_000).tokens)
with torch.no_grad():
    logits = model(held_out[:, :-1].to(device())).cpu()
gaps = world.divergence(held_out[:, :-1].numpy(), logits.numpy())
above = 100 * gaps.mean() / floor
measure(
    claim, above, between=(0.5, 3), name="above-floor", what="how far the trained model is above the floor", unit="%"
)
# %% [markdown]
r"""
To fall below the unigram, the model must know more than which words are frequent; below the bigram, more than any table
of neighbours. That takes a fraction of the run. The rest of it goes into the last half nat, and ends within 3% of the
best that is possible. From step to step the loss rises about as often as it falls, because each batch is another text;
on one and the same batch, above, it only fell.

How far a model is above the floor is measured by the **Kullback-Leibler divergence** (KL): the mean, under the true
law, of log(true probability / the model's). It is the loss minus the floor, without the noise of the draw.

*Verdicts. `pretrain-weights-minimise-loss`: holds, on average. `pretrain-statistical-representation`: holds as
shorthand; what the crossings show is structure beyond counts.*

Where there is a GPU, a wider and deeper model reads fifty times as much, in half precision. How much of the gap is
left?
"""

# %%
if profile() == "gpu":
    big = Decoder(Config(vocab_size=world.vocab_size, d_model=256, n_heads=8, n_layers=4)).to(device())

    def more(step):
        return torch.from_numpy(world.sample(128, LENGTH, seed=step).tokens)

    with metered(claim, tokens=4000 * 128 * (LENGTH + 1)):
        train(big, more, next_token_loss, steps=4000, lr=2.6e-3, precision=dtype())
    with torch.no_grad():
        big_gaps = world.divergence(held_out[:, :-1].numpy(), big(held_out[:, :-1].to(device())).cpu().numpy())
    what = "how far the big model is above the floor"
    measure(claim, 100 * big_gaps.mean() / floor, between=(0, 3), name="above-floor-big", what=what, unit="%")
else:
    print("In the gpu profile this cell trains a model of 3 million weights on 33 million tokens.")

# %% [markdown]
r"""
**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points). Papers rarely report nats. They report perplexity, or bits per
byte.
"""


# %% exercise
def perplexity_and_bits(log_probabilities, text):
    """Return the list [perplexity, bits per byte of UTF-8] of a text.

    `log_probabilities` [n_tokens] holds log p, in nats, of each token of the string `text`.
    """
    ### BEGIN SOLUTION
    perplexity = math.exp(-log_probabilities.mean().item())
    bits = -log_probabilities.sum().item() / math.log(2)
    return [perplexity, bits / len(text.encode())]
    ### END SOLUTION


check("perplexity_and_bits", perplexity_and_bits)

# %%
claim = "dec-autoregressive-clm"
guesses = {"uniform": (ignorant, (298, 298)), "unigram": (unigram, (74.4, 74.6))}
guesses |= {"bigram": (bigram, (11.4, 11.5)), "floor": (floor, (6.67, 6.69))}
for name, (nats, between) in guesses.items():
    measure(claim, math.exp(nats), between=between, name=f"perplexity-{name}", what=f"perplexity, {name}", unit="words")
nats = F.cross_entropy(logits.flatten(0, 1), held_out[:, 1:].flatten()).item()
measure(
    claim, math.exp(nats), between=(6.6, 7.3), name="perplexity-model", what="perplexity, trained model", unit="words"
)
n_bytes = sum(len(world.decode(row).encode()) for row in held_out[:, 1:].tolist())
bits = nats * held_out[:, 1:].numel() / n_bytes / math.log(2)
measure(claim, bits, between=(0.5, 0.65), name="bits-per-byte", what="the trained model, bits per byte")

# %% [markdown]
r"""
**Perplexity** is the number of equally likely words that would leave a reader as unsure. It depends on the tokenizer:
with smaller tokens there are more of them, and each is easier. Bits per byte do not, so they compare models that cut
text differently.

### Where the model is still wrong

**Predict.** At which places of a text is the model furthest from the truth: at the beginning, where it knows nothing
yet, or later?
"""

# %%
# alt: The divergence from the truth by place in the text: near 0 at the first token, then a rise to a plateau.
claim = "pretrain-statistical-representation"
by_place = gaps.mean(0)
ax = plotting.curves(list(range(1, LENGTH + 1)), {"KL": by_place.tolist()}, xlabel="tokens read", ylabel="KL in nats")
for name, (first, last, between) in {
    "start": (0, 2, (0, 0.03)),
    "early": (8, 24, (0.02, 0.08)),
    "late": (48, 63, (0.01, 0.07)),
}.items():
    what = f"divergence after {first + 1} to {last} tokens"
    measure(claim, by_place[first:last].mean(), between=between, name=f"kl-{name}", what=what, unit="nats")

# %% [markdown]
r"""
Nearly perfect on the first words, whose few possible pasts come again and again in training. Then the divergence rises,
and stays up to the end.

Now look at single laws. Between a subject and its verb can stand another noun.

**Predict.** After "the dogs near the old tree", does the model say *sleep* or *sleeps*?
"""


# %%
def model_law(model, prefix):
    """The model's law of the word after a prefix."""
    with torch.no_grad():
        return model(torch.from_numpy(world.prompt(prefix)).to(device()))[0, -1].double().softmax(-1).cpu().numpy()


# %%
# alt: Bars for six verbs after the dogs near the old tree: the model's probabilities beside the true ones.
prefix = "the dogs near the old tree"
truth, guess = world.law_after(prefix), model_law(model, prefix)
best = truth.argsort()[::-1][:6]
ax = plotting.bars(
    {"the language": truth[best].tolist(), "the model": guess[best].tolist()},
    [world.vocab[i] for i in best],
    unit="probability of the next word",
)
print([f"{world.vocab[i]} {truth[i]:.3f}" for i in best])

# %%
claim = "pretrain-statistical-representation"
prefixes = {"verb": (prefix, 0.35), "an": ("an", 0.2), "dessert": ("for dessert we had the", 0.35)}
prefixes |= {"sea": ("the sailor sees the whale . the", 0.2)}
for name, (prefix, most) in prefixes.items():
    distance = np.abs(model_law(model, prefix) - world.law_after(prefix)).sum() / 2
    what = f"total variation to the truth after '{prefix}'"
    measure(claim, distance, between=(0, most), name=f"tv-{name}", what=what)
# %% [markdown]
r"""
The laws are right in their main lines and rough in detail. The numbers differ a good deal: after "an", which is common,
the model is closer than after "for dessert we had the", which begins 3% of the sentences and has 80 continuations.

The notes define **autoregressive** as predicting the next token *from the last own output*. A bigram does that. Change
one word five places back.
"""

# %%
claim = "objectives-autoregressive"
singular = np.concatenate([world.tokens_of(f"{kind}.being.one") for kind in ("REST", "ACT")])
subjects = {"dog": "the dog near the old tree", "dogs": "the dogs near the old tree"}
for word, prefix in subjects.items():
    between = {"dog": (0.9, 1), "dogs": (0, 0.1)}[word]
    mass = model_law(model, prefix)[singular].sum()
    measure(claim, mass, between=between, name=word, what=f"mass on singular verbs after '{prefix}'")
neighbours = torch.from_numpy(world.bigram(LENGTH).law)
laws = [neighbours[world.encode(prefix)[-1]] for prefix in subjects.values()]
change = (laws[0] - laws[1]).abs().max()
measure(claim, change, between=(0, 0), name="bigram", what="largest change in the bigram's law")
# sabotage: objectives-autoregressive: model_law(model, prefix) => model_law(model, "the " + prefix.split()[-1])

# %% [markdown]
r"""
The last word is *tree* in both. The bigram cannot tell them apart; the model turns round. And in all of training, not
one of the words that it read was its own.

*Verdict on `objectives-autoregressive`: imprecise. A model conditions on the whole text so far, and only at inference
is that text its own.*

### What it learned by heart

The notes say that the model **absorbs structure**. It also absorbs sentences. For the three planted texts the language
itself tells how surprising they are: no one who knows only the language can have a lower loss on them, except by luck.

**Predict.** How often must a text come among 9,600 until it is known better than it can be?
"""

# %%
claim = "pretrain-internalises-patterns"
surprisal = world.surprisal(planted.numpy()).mean(1)
with torch.no_grad():
    known = [causal_loss(model(row[None].to(device())), row[None].to(device())).item() for row in planted]
for times, loss, exact, between in zip(
    TIMES, known, surprisal, [(-0.12, 0.2), (-0.18, 0.15), (-1, -0.15)], strict=True
):
    name = f"planted-{times}"
    what = f"loss minus what the language allows, text seen {times}x"
    measure(claim, loss - exact, between=between, name=name, what=what, unit="nats")
# sabotage: pretrain-internalises-patterns/planted-100: model(row[None] => finished(row[None]

# %% [markdown]
r"""
Once or ten times leave no trace that could be told from the model's ordinary error. A hundred times do: the loss lies
below what the language allows, so part of that text is stored. Large models do the same with text that the web repeats,
which is one reason to remove duplicates ([Lee and others, 2022](../chapters/bibliography.md)).

*Verdict on `pretrain-internalises-patterns`: holds, with the caveat that memory is part of it.*

## 6. The mask removed

*If all is known, the model learns nothing proper*, say the notes. So train the same model on the same task without the
mask.

**Predict.** What will its loss be, and what its text?
"""

# %%
claim = "prob-known-information"
seed(0)
cheat = Encoder(Config(vocab_size=world.vocab_size, n_layers=1)).to(device())
train(
    cheat,
    lambda step: torch.from_numpy(world.sample(16, 31, seed=step).tokens),
    next_token_loss,
    steps=250,
    lr=1e-2,
)
short = held_out[:, :32].to(device())
with torch.no_grad():
    loss = next_token_loss(cheat, short)
    answer_gone = F.cross_entropy(cheat(short[:, :16])[:, -1], short[:, 16])
# sabotage: prob-known-information/loss: cheat = Encoder( => cheat = Decoder(

# %%
lowest, _ = world.entropy_rate(31)
measure(claim, loss, between=(0, 0.5), name="loss", what="loss without the mask", unit="nats")
measure(claim, lowest, between=(1.94, 1.95), name="floor", what="floor for texts of this length", unit="nats")
measure(claim, answer_gone, between=(6, 40), name="no-answer", what="loss where no later word is given", unit="nats")
generator = torch.Generator(device()).manual_seed(3)
for name, (writer, between) in {"masked": (model, (0, 4)), "unmasked": (cheat, (20, 90))}.items():
    made = sampling.generate(writer, short[:100, :4], max_new_tokens=24, generator=generator).tokens.cpu().numpy()
    errors = 100 * world.parse(made).errors[:, 4:].mean()
    measure(claim, errors, between=between, name=f"{name}-errors", what=f"{name} model: impossible words", unit="%")

# %% [markdown]
r"""
A loss below the floor is impossible for a forecaster, so it is proof of a leak. The model has learned to copy the next
word from the next place. Where there is no next place, at the end of a prompt, it is worse than even guesses.

Remember the first number when a loss of your own looks too good.

*Verdict on `prob-known-information`: holds. The model does learn: to copy.*

## 7. What the finished model is used for

*At inference, decoder-only models mostly generate text.* The same model also judges. A question of the language has
four possible answers; which is the most likely continuation?

**Exercise 4** (10 minutes, difficulty 3 of 5, 2 points). The score of a continuation is its log-probability given the
prompt.
"""


# %% exercise
def sequence_log_probability(logits, tokens, n_prompt):
    """Return log p of all tokens after the first `n_prompt` ones, given these: a tensor of the shape [...].

    `tokens` is [..., seq]; position i of `logits` [..., seq, vocab] scores the token at i + 1.
    """
    ### BEGIN SOLUTION
    log_probabilities = logits[..., n_prompt - 1 : -1, :].log_softmax(dim=-1)
    following = tokens[..., n_prompt:, None]
    return log_probabilities.gather(-1, following).squeeze(-1).sum(dim=-1)
    ### END SOLUTION


check("sequence_log_probability", sequence_log_probability)

# %%
# sabotage: dec-text-generation/mars: tokens) * (tokens.shape[1] - 1) => tokens)
claim = "dec-text-generation"
start = torch.from_numpy(world.prompt("the old sailor")).to(device())
made = sampling.generate(finished, start, max_new_tokens=30, generator=generator)
new = made.new_tokens.shape[1]
measure(claim, new, between=(30, 30), name="generated", what="tokens generated")
question = "question : what is the red planet ? answer :"
for answer, between in {"mars": (0.9, 1), "venus": (0, 0.05), "jupiter": (0, 0.05), "ganymede": (0, 0.05)}.items():
    tokens = torch.from_numpy(world.prompt(f"{question} {answer}")).to(device())
    with torch.no_grad():
        score = causal_loss(finished(tokens), tokens) * (tokens.shape[1] - 1)
        prompt = tokens[:, :-1]
        score -= causal_loss(finished(prompt), prompt) * (prompt.shape[1] - 1)
    measure(claim, (-score).exp(), between=between, name=answer, what=f"probability of the answer {answer}")

# %% [markdown]
r"""
Multiple-choice tests of large models are scored in this way. (The cell subtracts two losses; your function does it in
one.)

*Verdict on `dec-text-generation`: holds; they also classify and judge.*

After the mask, the notes go on, the model *picks the most probable token*.
"""

# %%
claim = "dec-then-picks-highest"
rules = {"greedy": {"greedy": True}, "random": {}, "top-5": {"top_k": 5}, "top-p": {"top_p": 0.9}}
ranges = {"greedy": (0, 0.3), "random": (0.7, 0.87), "top-5": (0.5, 0.72), "top-p": (0.65, 0.85)}
for name, rule in rules.items():
    prompts = held_out[:20, :4].to(device())
    made = sampling.generate(finished, prompts, max_new_tokens=120, generator=generator, **rule).tokens.tolist()
    pairs = [list(pairwise(row)) for row in made]
    distinct = np.mean([len(set(row)) / len(row) for row in pairs])
    measure(claim, distinct, between=ranges[name], name=name, what=f"{name}: different pairs of words in a text, share")
# sabotage: dec-then-picks-highest/random: "random": {} => "random": {"top_k": 1}

# %% [markdown]
r"""
The model gives a law. In training nothing is picked at all; at inference a decoding rule picks, and the maximum is one
rule of several, the one that repeats itself (lab 12).

*Verdict on `dec-then-picks-highest`: wrong.*

## 8. Teacher forcing

In training the model reads the *true* words, whatever it would have said itself. This is **teacher forcing**; the name
is from 1989, when the practice was already common (`dec-teacher-forcing-1980s`). The notes say that it keeps a model
from *piling up errors in a vicious circle*. The other way is **free running**: feed the model its own words.

**Exercise 5** (15 minutes, difficulty 3 of 5, 3 points). One loop does both.
"""


# %% exercise
def feedback_losses(next_logits, start, targets, forced):
    """Run a model along a text and return the list of its losses, -log p(target) in nats, one a target.

    `next_logits(tokens)` returns the logits [vocab] of the token after the list `tokens`; at first these are `start`.
    After step i the model reads targets[i] if forced[i] is True, else its own most probable token.
    """
    ### BEGIN SOLUTION
    tokens, losses = list(start), []
    for target, force in zip(targets, forced, strict=True):
        logits = next_logits(tokens)
        losses.append(-logits.log_softmax(dim=-1)[target].item())
        tokens.append(target if force else int(logits.argmax()))
    return losses
    ### END SOLUTION


check("feedback_losses", feedback_losses)

# %% [markdown]
r"""
A game in which one error ruins the rest: a ball lies under one of five cups; eight times two cups are swapped; say
after each swap where the ball is. Who keeps track of the ball needs his own last answer and one swap. Who has a wrong
answer behind him must start again from the first swap.
"""

# %%
CUPS, SWAPS = 5, 8


def games(n, number):
    """`n` games: what is told (the ball's cup, the swaps, a question mark), and where the ball is after each swap."""
    rng = np.random.default_rng(number)
    ball, first = rng.integers(CUPS, size=n), rng.integers(CUPS, size=(n, SWAPS))
    second = (first + rng.integers(1, CUPS, size=(n, SWAPS))) % CUPS
    swaps = np.stack([first, second], axis=2).reshape(n, -1)
    told, where = np.column_stack([ball, swaps, np.full(n, CUPS)]), []
    for a, b in zip(first.T, second.T, strict=True):
        ball = np.where(ball == a, b, np.where(ball == b, a, ball))
        where.append(ball)
    return torch.from_numpy(told), torch.from_numpy(np.stack(where, axis=1))


# %%
def teacher(model, told, where):
    """What the model reads as its answers so far: the true ones."""
    return where[:, :-1]


def itself(model, told, where):
    """Its own ones."""
    return sampling.generate(model, told, max_new_tokens=SWAPS - 1, greedy=True).new_tokens


def answers(model, told, where, feed):
    """The logits of all eight answers, [batch, 8, vocab], if `feed` says what is read."""
    return model(torch.cat([told, feed(model, told, where)], dim=1))[:, told.shape[1] - 1 :]


# %%
def play(feed, steps):
    """Train a player whose answers so far come from `feed`. The right answer is always the target."""
    seed(0)
    config = Config(vocab_size=CUPS + 1, n_layers=1, position="learned", max_len=3 * SWAPS + 1)
    player = Decoder(config).to(device())

    def loss(model, game):
        return F.cross_entropy(answers(model, *game, feed).flatten(0, 1), game[1].flatten())

    train(player, lambda step: games(32, step), loss, steps=steps, lr=6e-3)
    return player


def right(player, feed):
    """The share of right answers at each of the eight steps, in 1,000 new games."""
    told, where = (part.to(device()) for part in games(1000, 1_000_000))
    with torch.no_grad():
        return (answers(player, told, where, feed).argmax(-1) == where).double().cpu()


# %% [markdown]
r"""
**Predict.** Two players, 300 steps each. One reads the true answers in training, the other its own. Which one plays
better *alone*, when it must read its own?
"""

# %%
claim = "dec-teacher-forcing-effect"
taught, untaught = play(teacher, 300), play(itself, 300)
for name, (player, between) in {"taught": (taught, (0.9, 1)), "untaught": (untaught, (0.15, 0.4))}.items():
    share = right(player, itself)[:, -1].mean()
    measure(claim, share, between=between, name=name, what=f"{name}: last answer right, playing alone")
measure(claim, 1 / CUPS, between=(0.2, 0.2), name="chance", what="by chance")
# sabotage: dec-teacher-forcing-effect/taught: play(teacher, 300), => play(itself, 300),

# %% [markdown]
r"""
The player that always saw the truth plays perfectly without it. The other one, at the same number of steps and more
work, has learned nothing. Its answers are mostly wrong at first, and from a wrong answer one swap does not lead to the
right one. That is the vicious circle, and teacher forcing breaks it.

Now the price. Stop the training of a taught player early, so that it still makes mistakes.

**Predict.** With the truth to read, more than half of its answers are right. Alone, how many are at the last step?
"""

# %%
# alt: Share of right answers by step. With the truth to read the line stays high; alone it falls step by step.
half_taught = play(teacher, 140)
forced, alone = right(half_taught, teacher), right(half_taught, itself)
curves = {"reads the truth": forced.mean(0).tolist(), "reads itself": alone.mean(0).tolist()}
curves |= {"product of the first": forced.mean(0).cumprod(0).tolist()}
ax = plotting.curves(list(range(1, SWAPS + 1)), curves, xlabel="answer", ylabel="share right")
measure(
    claim, forced.mean(), between=(0.5, 0.9), name="half-forced", what="half taught: answers right, reading the truth"
)
measure(claim, alone[:, -1].mean(), between=(0.1, 0.6), name="half-alone", what="last answer right, alone")
lost = forced.mean() - alone[:, -1].mean()
measure(claim, lost, between=(0.15, 0.7), name="half-lost", what="lost to its own errors")
# sabotage: dec-teacher-forcing-effect/half-lost: right(half_taught, itself) => right(half_taught, teacher)

# %%
after_right = alone[:, 1:][alone[:, :-1] == 1].mean()
after_wrong = alone[:, 1:][alone[:, :-1] == 0].mean()
measure(
    claim, after_right, between=(0.4, 0.95), name="after-right", what="alone: right, if the answer before was right"
)
measure(claim, after_wrong, between=(0, 0.3), name="after-wrong", what="alone: right, if the answer before was wrong")

# %% [markdown]
r"""
After a wrong answer the next one is hardly ever right: whoever follows the swaps faithfully from a wrong cup arrives at
a wrong cup. So alone, the player ends near chance. This gap between reading the truth in training and reading oneself
in use is called **exposure bias** ([Ranzato and others, 2016](../chapters/bibliography.md)); to mix both in training,
as your function can, is scheduled sampling ([Bengio and others, 2015](../chapters/bibliography.md)).

*Verdict on `dec-teacher-forcing-effect`: holds in training. At inference the circle is back.*

Does it bite as hard in ordinary text? Let the model of section 5 write, and compare what it reads: true beginnings, and
its own ones (as long as they are free of errors, for after an impossible word there is no true law).

**Predict.** How much further from the truth is it on its own text?
"""

# %%
# sabotage: dec-transformer-objective/kl-own: model(own[:, :-1]) => model(own[:, 1:])
claim = "dec-transformer-objective"
n_texts = {"cpu": 1000, "gpu": 4000}[profile()]
generator = torch.Generator(device()).manual_seed(4)
begin = torch.zeros(n_texts, 1, dtype=torch.int64, device=device())
own = sampling.generate(model, begin, max_new_tokens=LENGTH, generator=generator).tokens
with torch.no_grad():
    own_gaps = world.divergence(own[:, :-1].cpu().numpy(), model(own[:, :-1]).cpu().numpy())
errors = world.parse(own.cpu().numpy()).errors
first = np.where(errors.any(1), errors.argmax(1), LENGTH + 1)[:, None]
clean = np.arange(LENGTH) < first
on_truth, on_own = gaps.mean(), own_gaps[clean].mean()
measure(claim, on_truth, between=(0.01, 0.057), name="kl-true", what="KL after true words", unit="nats")
measure(claim, on_own, between=(0.01, 0.09), name="kl-own", what="KL after its own words", unit="nats")
measure(claim, on_own / on_truth, between=(0.9, 1.9), name="kl-ratio", what="ratio of the two")

# %%
after = np.arange(LENGTH + 1) - first  # how many words after the first error
until = 100 * (after == 0).sum() / clean.sum()
next_two = 100 * errors[(after >= 1) & (after <= 2)].mean()
later = 100 * errors[(after >= 6) & (after <= 20)].mean()
measure(
    claim, until, between=(0.4, 2), name="errors-before", what="impossible words until the first of a text", unit="%"
)
measure(claim, next_two, between=(0.8, 7), name="errors-next", what="in the two words after it", unit="%")
measure(claim, next_two / until, between=(1.05, 6), name="errors-ratio", what="ratio of the two")
measure(claim, later / until, between=(0.5, 2), name="errors-later", what="6 to 20 words after it: ratio to the first")
# %% [markdown]
r"""
Here it hardly bites. On its own words the model is a little further from the truth. Right after an error it errs more
often, but six words later it is nearly back where it was. In the cup game it never comes back. Exposure bias is a
property of the task as much as of the training.

*Verdict on `dec-transformer-objective`: imprecise. Training and inference ask for the same law, but after different
words. And next words were never the objective of the Transformer of 2017, which was trained to translate.*

## 9. What it costs

A useful rule: training costs about **6ND** floating-point operations, for N weights and D tokens
([Kaplan and others, 2020](../chapters/bibliography.md)). Each weight takes part in one multiplication and one addition
for each token, and the backward pass costs twice as much as the forward pass.

**Predict.** Is the rule right for our model? And how long would GPT-3 take on this machine?
"""

# %%
from torch.utils.flop_counter import FlopCounterMode

claim = "pretrain-compute-gpus"
n_weights = sum(weight.numel() for weight in model.parameters())
n_tokens = STEPS * BATCH * (LENGTH + 1)
rule = 6 * n_weights * n_tokens
measure(claim, n_weights, between=(69_184, 69_184), name="n", what="N, weights of our model")
measure(claim, n_tokens, between=(614_400, 614_400), name="d", what="D, tokens that it read")
measure(claim, rule / 1e9, between=(255, 255.1), name="ours", what="6ND of our training", unit="billion operations")
with FlopCounterMode(display=False) as counter:
    next_token_loss(model, batches(0).to(device())).backward()
counted = counter.get_total_flops() * STEPS
measure(claim, counted / rule, between=(1.05, 1.2), name="counted", what="operations counted in a step, over 6ND")
# sabotage: pretrain-compute-gpus/ours: rule = 6 => rule = 2

# %%
square = torch.randn(1024, 1024, device=device())
best = 2 * 1024**3 / seconds(lambda: (square @ square).sum())
rate, year = counted / training_seconds, 365.25 * 24 * 3600
what = "our training's speed, over that of a large matrix product"
measure(claim, rate / best, between=(1e-4, 1.5), name="utilisation", what=what, digits=1)
gpt3 = 6 * 175e9 * 300e9
measure(
    claim, gpt3, between=(3.15e23, 3.15e23), name="gpt3", what="6ND of GPT-3, 175 billion weights, 300 billion tokens"
)
here, what = gpt3 / rate / year / 1e6, "GPT-3 at our training's speed"
measure(claim, here, between=(1e-6, 100), name="gpt3-here", what=what, unit="million years", digits=1)

# %%
for name, (peak, years, ms) in {"T4": (65e12, 383.9, 9.81), "H100": (989e12, 25.23, 0.645)}.items():
    speed, slug = 0.4 * peak, name.lower()
    theirs, ours = gpt3 / speed / year, 1000 * rule / speed
    around = (round(0.999 * years, 3), round(1.001 * years, 3))
    measure(claim, theirs, between=around, name=f"gpt3-{slug}", what=f"GPT-3 on one {name} at 40%", unit="years")
    around = (round(0.999 * ms, 4), round(1.001 * ms, 4))
    measure(claim, ours, between=around, name=f"ours-{slug}", what=f"our training on one {name} at 40%", unit="ms")
days = gpt3 / (1000 * 0.4 * 989e12) / (24 * 3600)
measure(claim, days, between=(9.2, 9.23), name="gpt3-thousand", what="GPT-3 on a thousand H100 at 40%", unit="days")
# %% [markdown]
r"""
The count is a tenth above the rule, which leaves out the products of queries, keys and values: these depend on the
length of the text and not on the weights. The T4 and the H100 are taken at 40% of what their maker publishes (65 and
989 million million operations a second, in 16-bit precision; [NVIDIA, 2018](../chapters/bibliography.md) and
[2022](../chapters/bibliography.md)); PaLM reported 46% on its TPUs ([Chowdhery and others,
2023](../chapters/bibliography.md)). So GPT-3 is a matter of *many* accelerators.

The milliseconds for our model are a bound and no forecast: operations so small do not reach 40% of such a chip.

*Verdict on `pretrain-compute-gpus`: holds with a caveat. Compute, yes; GPUs are common, not required.*

More than one device? The loop of section 5 runs unchanged under `torchrun`: each process takes its share of every
batch, and the gradients are averaged. In a clone of the course, try
`torchrun --nproc-per-node 2 benchmarks/distributed.py`.

## With a real model

In the `gpu` profile, or when you ask for them, the next cell asks two models the same: their loss, their bits per byte,
and whether their masks hold. They are GPT-2 (`openai-community/gpt2`: 124 million parameters, 549 MB, licence MIT) and
SmolLM2 (`HuggingFaceTB/SmolLM2-135M`: 135 million parameters, 271 MB, licence Apache-2.0). Their tokenizers differ, so
nats a token do not compare. Bits a byte do.

**Predict.** Which has fewer bits a byte?
"""

# %%
from labutils.objectives import bits_per_byte

page = "The boat lay quietly at anchor. Nobody on board had seen the whale, but everybody had heard it."


def look_at(model, tokenizer):
    """Print a model's loss, ours and its own, its bits a byte, and what a later word changes."""
    tokens = torch.tensor([[tokenizer.bos_token_id, *tokenizer.encode(page)]], device=device())
    other = torch.cat([tokens[:, :12], tokens[:, 12:].flip(1)], dim=1)  # the end of the text, backwards
    with torch.no_grad():
        found, changed = model(tokens, labels=tokens), model(other).logits
    nats = causal_loss(found.logits, tokens).item()
    n = tokens.shape[1] - 1
    bits = bits_per_byte(nats, n_tokens=n, n_bytes=len(page.encode()))
    print(f"{n} tokens: {nats:.3f} nats each (its own loss: {found.loss:.3f}), {bits:.3f} bits a byte")
    print(f"largest difference of a logit before the change: {(changed - found.logits)[:, :12].abs().max():.1e}")


# %%
for job in ("decoder", "base"):
    if loaded := hub.offer(job, dtype=torch.float32):
        look_at(*loaded)

# %% [markdown]
r"""
What carries over to large models: the loss, the mask, the parallel pass, 6ND. What does not: the floor. Nobody knows
the entropy of English, so nobody can say how far above it a model is; papers compare models with each other.

## What you have shown

- The labels are the text, shifted by one; the chain rule makes next words enough.
- The mask hides scores, not words; with it, no bit of a logit depends on a later word; without it, a loss below the
  floor and junk for text.
- One pass makes all predictions of a text, many times faster than one at a time.
- A model of 69,000 weights comes within 3% of the floor, through unigram and bigram, and memorises what comes often.
- Teacher forcing makes learning possible where free running learns nothing; exposure bias is severe where errors never
  heal, and mild where they do.
- Training costs about 6ND.

## Where to go next

Lab 05 hides words instead of shifting them; lab 07 opens the attention layer; lab 12 turns laws into text. The chapter
on [pretraining](../chapters/02_pretraining.md) sets the three families of models side by side.
"""
