# %% [markdown]
r"""
# Lab 07: Attention scores

Attention is a look-up in which every entry answers a little. A **query** says what is sought, a **key** says what an
entry offers, a **value** says what it hands over, and a **score** says how well query and key fit. This lab is about
the score: four ways to compute it, and what depends on the choice.

**What you will measure.** Every number of $\mathrm{softmax}(QK^\top/\sqrt{d_k})V$, first by hand. What masks do to it,
and what happens to a query that may look nowhere. What the $\sqrt{d_k}$ is good for, where its effect begins, and what
the start of the training has to do with it. Why the additive score of the notes cannot work. And which scores learn to
find the right entry among sixteen.

**What you need.** The product of two matrices, and the exponential function. The chapter on
[attention](../chapters/03_attention.md) explains the same ideas with more words.

**Time.** Reading and exercises: about two hours. The cells run in under a minute on two cores; on a T4 four times as
many layers are trained, and wider ones.

**Claims settled** (see the [ledger](../chapters/ledger.md)): everything the notes say on attention scores, on the
scaled, the multiplicative, the additive and the general one.
"""

# %% setup

# %%
import math
import time

import torch
from torch import nn
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from labutils import attention, hub, plotting
from labutils.attention import attention_weights, dot_scores, scaled_dot_scores
from labutils.checks import check
from labutils.evidence import measure
from labutils.runtime import device, profile
from labutils.training import metered, train
from labutils.world import World

# %% [markdown]
r"""
## 1. One look-up by hand

Three words, *the dogs sleep*. The word *sleep* wants to know who sleeps. Its query is (2, 0). Each word has a key and a
value, also of two numbers, so that you can check all of it with a pocket calculator:

1. **dot product** of the query with each key: multiply number by number and add;
2. divide by $\sqrt{d_k}$, where $d_k = 2$ is how many numbers a key has: this is the **score**;
3. raise $e$ to each score, and divide by the sum: these are the **weights**;
4. multiply each value by its weight, and add: this is the **output**.

**Predict.** Which word gets the largest weight? Does any word get none?
"""

# %%
words = ["the", "dogs", "sleep"]
keys = {"the": [0, 1], "dogs": [2, 1], "sleep": [1, 0]}
values = {"the": [1, 0], "dogs": [0, 3], "sleep": [1, 1]}
query = [2, 0]
dot = {word: query[0] * key[0] + query[1] * key[1] for word, key in keys.items()}
score = {word: dot[word] / math.sqrt(2) for word in words}
exp = {word: math.exp(score[word]) for word in words}
weight = {word: exp[word] / sum(exp.values()) for word in words}
for word in words:
    print(f"{word:5}  dot {dot[word]}  score {score[word]:.2f}  exp {exp[word]:5.2f}  weight {weight[word]:.3f}")
output = [sum(weight[word] * values[word][axis] for word in words) for axis in (0, 1)]
print(f"output ({output[0]:.2f}, {output[1]:.2f})")
# %% [markdown]
r"""
*dogs* wins with about three quarters, and no word gets nothing: $e$ to any power is positive. The output is mostly the
value of *dogs*. That is the whole operation. What follows is the same for many queries at once.

## 2. All words at once

If every word has a query, write the queries one below the other. That is the matrix $Q$, with a row for each query;
$K$ and $V$ hold keys and values. Row $i$ and column $j$ of $QK^\top$ is the dot product of query $i$ with key $j$.

Where do the three matrices come from? From one matrix $X$ with a row for each word, by three learned matrices:
$Q = XW_Q$, $K = XW_K$, $V = XW_V$. The notes leave that out. Here each word is a row of zeros with a single 1, so that
the product just picks a row of $W$.
"""

# %%
X = torch.eye(3, dtype=torch.float64)  # the, dogs, sleep
W_Q = torch.tensor([[0, 2], [1, 1], [2, 0]], dtype=torch.float64)
W_K = torch.tensor(list(keys.values()), dtype=torch.float64)
W_V = torch.tensor(list(values.values()), dtype=torch.float64)
Q, K, V = X @ W_Q, X @ W_K, X @ W_V
scores = Q @ K.T / math.sqrt(2)
weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
outputs = weights @ V
for name, matrix in {"scores": scores, "weights": weights, "outputs": outputs}.items():
    print(f"{name:8}", list(matrix.shape), [[round(x, 2) for x in row] for row in matrix.tolist()])

# %% [markdown]
r"""
The last row is the look-up that you know. Keep three words apart: a **score** is the number for one query and one key
before the softmax, a **weight** is what the softmax makes of it, and **attention** is the whole. A score may be any
number. A weight may not.

**Predict.** Do the rows of the weights sum to one, or the columns, or the whole matrix?
"""

# %%
# sabotage: attn-score-values-confusion/smallest-weight: attention_weights(other).aminmax() => other.aminmax()
claim = "attn-score-values-confusion"
other = dot_scores(torch.tensor([[-1.0, 4.0]]), W_K.float())  # a fourth query
measure(claim, other.min(), between=(-1, -1), name="smallest-score", what="smallest score of the query (-1, 4)")
measure(claim, other.max(), between=(4, 4), name="largest-score", what="its largest score")
small, large = attention_weights(other).aminmax()
measure(claim, small, between=(0, 1), name="smallest-weight", what="its smallest weight")
measure(claim, large, between=(0, 1), name="largest-weight", what="its largest weight")
claim = "attn-softmax-sum-one"
far = (weights.sum(dim=1) - 1).abs().max()
measure(claim, far, between=(0, 1e-15), name="row-error", what="largest distance of a row's sum from 1")
measure(claim, weights.sum(), between=(3, 3), name="total", what="sum of the whole matrix")
for j, (word, about) in enumerate(zip(words, (0.655, 1.887, 0.459), strict=True)):
    between = (about - 0.001, about + 0.001)
    measure(claim, weights[:, j].sum(), between=between, name=f"column-{word}", what=f"sum of the column of {word}")
# sabotage: attn-softmax-sum-one/row-error: sum(dim=1) - 1 => sum(dim=0) - 1

# %% [markdown]
r"""
Every query spends exactly 1, so the rows sum to one and the matrix to the number of queries. A column tells how much a
word is looked at: *dogs* most of all.

*Verdicts. `attn-score-values-confusion`: imprecise; the dot products are scores, and what the softmax returns are
weights. `attn-softmax-sum-one`: imprecise; each row sums to one, not the matrix. `attn-scores-vs-mechanisms` is a
matter of words: a score compares one query with one key. Where $Q$, $K$ and $V$ come from, which tells self-attention
from cross-attention, is the subject of lab 08.*

An output is a mean of the values, so it cannot leave the triangle that they span. Turn that round: the place of a point
in a triangle tells the weights of its corners, so the outputs alone must give the weights back.
"""

# %%
# alt: The values are the corners of a triangle. The three outputs lie inside it, that of sleep nearest to that of dogs.
claim = "attn-calculation"
corners = torch.cat((V, torch.ones(3, 1, dtype=torch.float64)), dim=1)
places = torch.cat((outputs, torch.ones(3, 1, dtype=torch.float64)), dim=1)
recovered = torch.linalg.solve(corners.T, places.T).T
off = (recovered - weights).abs().max()
measure(claim, off, between=(0, 1e-14), name="recovered-error", what="error of the weights read off the outputs")
outside = (-recovered).clamp(min=0).max()
measure(claim, outside, between=(0, 1e-14), name="outside", what="largest distance outside the triangle")
measure(claim, weight["dogs"], between=(0.767, 0.769), name="by-hand", what="weight of dogs for the query of sleep")
points = {f"value of {word}": tuple(row) for word, row in zip(words, V.tolist(), strict=True)}
points |= {f"output of {word}": tuple(row) for word, row in zip(words, outputs.tolist(), strict=True)}
families = {name: "values" if name.startswith("value") else "outputs" for name in points}
ax = plotting.plane(points, families, xlabel="first number", ylabel="second number")
# sabotage: attn-calculation/recovered-error: solve(corners.T, => solve(corners.T + 1,

# %% [markdown]
r"""
*Verdict on `attn-calculation`: holds, with two additions: the softmax runs over the keys, for each query by itself, and
$Q$, $K$ and $V$ are learned projections of the inputs.*

Now write it. Three rows become any number of queries and keys, and there may be a batch of texts, or several, in front:
the axes are `[..., queries, d]`.

**Exercise 1** (15 minutes, difficulty 2 of 5, 2 points). Write the softmax yourself.
"""


# %% exercise
def scaled_dot_weights(query, key):
    """Return the weights: the softmax over the keys of q·k / √d.

    `query` has the shape [..., queries, d], `key` has [..., keys, d], the result [..., queries, keys]. A score may be
    larger than a thousand, where exp gives infinity: subtract the largest score of each row first.
    """
    ### BEGIN SOLUTION
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    exp = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    return exp / exp.sum(dim=-1, keepdim=True)
    ### END SOLUTION


check("scaled_dot_weights", scaled_dot_weights)

# %% [markdown]
r"""
## 3. The whole formula, with a mask

The notes announce the complete formula, and then it is missing. Here it is
([Vaswani and others, 2017](../chapters/bibliography.md)):

$$\mathrm{softmax}\!\left(\frac{QK^\top}{\sqrt{d_k}} + M\right)V.$$

$M$ is the **mask**: 0 where a query may look, $-\infty$ where it may not. As $e^{-\infty} = 0$, a forbidden key gets
the weight 0. In programs a mask is mostly kept as truth values: true where the query may look.

**Predict.** PyTorch has the formula built in. By how much will ours differ from it?
"""

# %%
claim = "attn-complete-formula-missing"
generator = torch.Generator().manual_seed(0)
q, k, v = (torch.randn(2, n, d, dtype=torch.float64, generator=generator) for n, d in ((5, 8), (7, 8), (7, 3)))
mask = torch.rand(2, 5, 7, generator=generator) < 0.6
mask[..., 0] = True  # every query may look somewhere
M = torch.zeros(2, 5, 7, dtype=torch.float64).masked_fill(~mask, -math.inf)
written_out = (q @ k.mT / math.sqrt(8) + M).softmax(dim=-1) @ v
torchs = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
measure(claim, (written_out - torchs).abs().max(), between=(0, 1e-14), what="largest difference from PyTorch's own")
ours = attention.attention(q, k, v, mask)
far = (ours - torchs).abs().max()
measure(claim, far, between=(0, 1e-14), name="labutils", what="the same for attention of labutils")
# sabotage: attn-complete-formula-missing: math.sqrt(8) => 8

# %% [markdown]
r"""
*Verdict on `attn-complete-formula-missing`: missing, and found.*

The mask has one trap. What if a query may look *nowhere*, as a row of pure padding does? There are three common ways to
mask.

**Predict.** What does each make of a row in which all four keys are forbidden?
"""

# %%
row = torch.tensor([[2.0, 0.0, 1.0, -1.0]])
nowhere = torch.zeros(1, 4, dtype=torch.bool)
ways = {
    "minus infinity": row.masked_fill(~nowhere, -math.inf).softmax(dim=-1),
    "minus a billion": row.masked_fill(~nowhere, -1e9).softmax(dim=-1),
    "zero afterwards": row.softmax(dim=-1) * nowhere,
    "labutils": attention_weights(row, nowhere),
}
for name, result in ways.items():
    print(f"{name:15}", result[0].tolist())
late = (attention_weights(row) * torch.tensor([[True, True, False, True]])).sum()
what = "what a row sums to if one key is masked after the softmax"
measure(claim, late, between=(0.75, 0.78), name="mask-too-late", what=what)
# %% [markdown]
r"""
The softmax of nothing is 0/0, which is NaN, and one NaN spoils every number that it meets later. A large negative
number hides the problem: the row looks at all forbidden keys alike. Setting weights to zero *after* the softmax is
right for this row and wrong for all others, because the forbidden keys have already taken their share.

In this course a query that may look nowhere takes nothing home: zeros.

**Exercise 2** (20 minutes, difficulty 4 of 5, 4 points).
"""


# %% exercise
def masked_attention(query, key, value, mask):
    """Return softmax(QKᵀ / √d) V, where a query looks only where `mask` is true, and gets zeros if it looks nowhere.

    Shapes: `query` [..., queries, d], `key` [..., keys, d], `value` [..., keys, d_value]; `mask` holds truth values and
    broadcasts to [..., queries, keys]. You may use torch.softmax.
    """
    ### BEGIN SOLUTION
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
    return weights.masked_fill(~mask, 0.0) @ value
    ### END SOLUTION


check("masked_attention", masked_attention)

# %% [markdown]
r"""
Two masks do nearly all the work in language models. The **causal mask** hides the future, so that a model can be
trained to predict every next word of a text at once. The **padding mask** hides the filler after short texts.

**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def causal_mask(n_queries, n_keys):
    """Return truth values [n_queries, n_keys]: true where the key is not later than the query.

    The queries are the last `n_queries` of the `n_keys` positions, so the last query sees every key.
    """
    ### BEGIN SOLUTION
    position = torch.arange(n_keys - n_queries, n_keys)
    return torch.arange(n_keys) <= position[:, None]
    ### END SOLUTION


check("causal_mask", causal_mask)

# %% [markdown]
r"""
**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def padding_mask(lengths, n_keys):
    """Return truth values [batch, 1, n_keys]: true where sequence b has a real token, at its first `lengths[b]` places.

    The axis of size 1 stands for all queries of the sequence.
    """
    ### BEGIN SOLUTION
    real = torch.arange(n_keys) < lengths[:, None]
    return real[:, None, :]
    ### END SOLUTION


check("padding_mask", padding_mask)

# %% [markdown]
r"""
## 4. Why the square root

Let the numbers of a query and a key be independent, with mean 0 and variance 1. Their dot product is a sum of $d_k$
products, each with variance 1, so its variance is $d_k$ and its typical size $\sqrt{d_k}$. Dividing by $\sqrt{d_k}$
makes it 1 at every width. Note what $d_k$ is: the width of one key, not a size of the matrix $K$.

The notes say what this is for: large scores make gradients tiny. The next cell draws 2000 queries and 64 keys, and
looks at four things.

- The **largest weight** of each query. If it is close to 1, the softmax is **saturated**.
- The **Jacobian** of the softmax, all derivatives of weights with respect to scores: $\partial a_i / \partial s_j =
  a_i(\delta_{ij} - a_j)$. Its size (root of the sum of squares, mean of 500 queries) says how much the weights still
  react.
- The **gradient** that reaches the query from a random task behind it: its mean over the queries, and its median, which
  half of the queries do not reach.

**Predict.** At which width does the trouble begin: 4, 16, 64, 256 or 1024?
"""


# %%
def at_the_start(d_k, scale, n_keys=64):
    """What the softmax does with random queries and keys, if the scores are `scale` times their dot products."""
    generator = torch.Generator().manual_seed(d_k)
    sizes = ((2000, d_k), (n_keys, d_k), (n_keys, 8), (2000, 8))
    query, key, value, task = (torch.randn(size, generator=generator) for size in sizes)
    query.requires_grad_()
    scores = scale * dot_scores(query, key)
    a = attention_weights(scores)
    (gradient,) = torch.autograd.grad((a @ value * task).sum(), query)  # a task that is linear in the output
    gradient, a, scores = gradient.norm(dim=-1), a.detach(), scores.detach()
    jacobian = torch.diag_embed(a[:500]) - a[:500, :, None] * a[:500, None]
    found = {"variance": scores.var(), "top": a.amax(-1).mean(), "saturated": (a.amax(-1) > 0.99).float().mean()}
    found |= {"jacobian": jacobian.flatten(1).norm(dim=1).mean(), "mean": gradient.mean(), "median": gradient.median()}
    return {name: number.item() for name, number in found.items()}


# %%
claim = "attn-scaling-sqrt-dk"
widths = [4, 8, 16, 32, 64, 128, 256, 512, 1024]
raw = {d: at_the_start(d, 1) for d in widths}
scaled = {d: at_the_start(d, 1 / math.sqrt(d)) for d in widths}
for d in (4, 64, 1024):
    what = f"variance of the scores, d_k = {d}"
    measure(claim, raw[d]["variance"], between=(0.8 * d, 1.25 * d), name=f"variance-{d}", what=what)
ends = [min(s["variance"] for s in scaled.values()), max(s["variance"] for s in scaled.values())]
measure(claim, ends[0], between=(0.8, 1), name="variance-scaled-least", what="smallest variance if scaled, any width")
measure(claim, ends[1], between=(1, 1.25), name="variance-scaled-most", what="largest variance if scaled, any width")

# %%
expected = {4: (0.26, 0.105), 16: (0.58, 0.107), 64: (0.79, 0.107), 256: (0.895, 0.107), 1024: (0.947, 0.107)}
for d, (unscaled_about, scaled_about) in expected.items():
    between = (round(unscaled_about - 0.05, 3), round(unscaled_about + 0.05, 3))
    measure(claim, raw[d]["top"], between=between, name=f"top-{d}", what=f"mean largest weight, unscaled, d_k = {d}")
    between = (round(scaled_about - 0.025, 3), round(scaled_about + 0.025, 3))
    what = f"mean largest weight, scaled, d_k = {d}"
    measure(claim, scaled[d]["top"], between=between, name=f"top-scaled-{d}", what=what)
for d, between in {4: (0, 0.01), 16: (0.005, 0.05), 64: (0.15, 0.25), 256: (0.42, 0.54), 1024: (0.63, 0.75)}.items():
    what = f"share of unscaled queries with a weight above 0.99, d_k = {d}"
    measure(claim, raw[d]["saturated"], between=between, name=f"saturated-{d}", what=what)

# %%
# alt: Mean largest weight against width. Scaled it stays near 0.11; unscaled it climbs from 0.27 at 4 to 0.95 at 1024.
lines = {"unscaled": [raw[d]["top"] for d in widths], "scaled": [scaled[d]["top"] for d in widths]}
ax = plotting.curves(widths, lines, xlabel="width of a key, d_k", ylabel="mean largest weight", log_x=True)
# %% [markdown]
r"""
Unscaled, wide heads have made up their mind before they have learned anything. Scaled, the start is the same at every
width. Now the derivatives.
"""

# %%
expected = {4: (0.258, 0.181), 16: (0.295, 0.183), 64: (0.21, 0.183), 256: (0.124, 0.183), 1024: (0.069, 0.183)}
for d, (unscaled_about, scaled_about) in expected.items():
    between = (round(unscaled_about - 0.03, 3), round(unscaled_about + 0.03, 3))
    measure(claim, raw[d]["jacobian"], between=between, name=f"jacobian-{d}", what=f"Jacobian, unscaled, d_k = {d}")
    between, name = (round(scaled_about - 0.03, 3), round(scaled_about + 0.03, 3)), f"jacobian-scaled-{d}"
    measure(claim, scaled[d]["jacobian"], between=between, name=name, what=f"Jacobian, scaled, d_k = {d}")

# %%
places = {(16, 8): (1, 1.12), (16, 16): (0.86, 0.99), (64, 64): (1.04, 1.25), (64, 128): (0.8, 0.98)}
for (n_keys, d), between in places.items():
    ratio = at_the_start(d, 1, n_keys)["jacobian"] / at_the_start(d, d**-0.5, n_keys)["jacobian"]
    what = f"{n_keys} keys, d_k = {d}: Jacobian unscaled over scaled"
    measure(claim, ratio, between=between, name=f"begins-{n_keys}-keys-{d}", what=what)
# sabotage: attn-scaling-sqrt-dk/begins-16-keys-8: d**-0.5 => d**0.5

# %%
for d, unscaled, at_scale in (
    (4, (0.7, 1.3), (0.3, 0.5)),
    (64, (1.5, 2.7), (0.36, 0.56)),
    (1024, (0, 0.08), (0.36, 0.56)),
):
    what = f"median gradient at a query, unscaled, d_k = {d}"
    measure(claim, raw[d]["median"], between=unscaled, name=f"median-{d}", what=what)
    what = f"median gradient at a query, scaled, d_k = {d}"
    measure(claim, scaled[d]["median"], between=at_scale, name=f"median-scaled-{d}", what=what)
what = "mean gradient at a query, unscaled, d_k = 1024"
measure(claim, raw[1024]["mean"], between=(3.5, 6.5), name="mean-1024", what=what)
what = "mean gradient at a query, scaled, d_k = 1024"
measure(claim, scaled[1024]["mean"], between=(0.4, 0.6), name="mean-scaled-1024", what=what)
# %% [markdown]
r"""
This is less simple than "gradients become tiny".

- At small widths the unscaled Jacobian is *larger*: a flat softmax is no good either. Where it becomes the smaller one
  depends on the number of keys, too: with 16 keys between 8 and 16, with 64 keys only between 64 and 128.
- The *mean* gradient at a query does not shrink at all. At a width of 1024 it is ten times as large without the scale,
  because an unscaled score moves $\sqrt{d_k}$ times as fast. What collapses is the *median*. Most queries get next to
  nothing, and a few get very much.

So unscaled scores do not silence learning. They make it unfair: a query that starts out sure and wrong is not told so.
Section 7 shows what comes of that.
"""

# %% [markdown]
r"""
All of this holds for vectors with variance 1. Is that how models start? GPT-2 draws its weights with a standard
deviation of 0.02 and multiplies them with 768 numbers that a layer norm has brought to variance 1; its keys are 64 wide
([Radford and others, 2018](../chapters/bibliography.md), whose start GPT-2 keeps; [2019](../chapters/bibliography.md)).

**Predict.** Without the scale, would GPT-2's softmax be saturated on its first day?
"""

# %%
generator = torch.Generator().manual_seed(1)
states = torch.randn(64, 768, generator=generator)  # what a layer norm hands over: variance 1
to_query, to_key = 0.02 * torch.randn(2, 768, 64, generator=generator)
scores = dot_scores(states @ to_query, states @ to_key)
spread = (states @ to_query).std()
measure(claim, spread, between=(0.53, 0.58), name="gpt2-component", what="standard deviation of a query's numbers")
measure(claim, scores.std(), between=(2.1, 2.8), name="gpt2-spread", what="standard deviation of unscaled scores")
top = attention_weights(scores).amax(-1).mean()
measure(claim, top, between=(0.3, 0.48), name="gpt2-top", what="mean largest weight, unscaled")
top = attention_weights(scores / 8).amax(-1).mean()
measure(claim, top, between=(0.025, 0.04), name="gpt2-top-scaled", what="the same, scaled")
# sabotage: attn-scaling-sqrt-dk/gpt2-component: 0.02 * torch.randn => torch.randn

# %% [markdown]
r"""
No. Unscaled it would be sharper from the start, but far from sure. The scores follow from the width *and* from how
large the numbers are, and one can be traded for the other: a model that multiplies its queries by $\sqrt{d_k}$ undoes
the scale.
"""

# %%
claim = "attn-dot-formula"
printed = dot_scores(q, k).softmax(dim=-1) @ v  # softmax(QKᵀ)V, as in the notes
far = (printed - functional.scaled_dot_product_attention(q, k, v, scale=1.0)).abs().max()
measure(claim, far, between=(0, 1e-14), name="unscaled", what="difference from PyTorch's attention without scale")
far = (printed - functional.scaled_dot_product_attention(q, k, v)).abs().max()
measure(claim, far, between=(0.2, 3), name="scaled", what="difference from PyTorch's attention with scale")
far = (printed - attention.attention(math.sqrt(8) * q, k, v)).abs().max()
measure(claim, far, between=(0, 1e-14), name="absorbed", what="the same if queries are multiplied by the root first")
# sabotage: attn-dot-formula/unscaled: scale=1.0 => scale=0.5

# %% [markdown]
r"""
*Verdicts. `attn-dot-formula`: correct for the unscaled score; with or without the scale a model can compute the same
things, and what differs is where it starts and how far a step takes it. `attn-scaling-sqrt-dk`: holds with caveats,
namely width, number of keys and initialisation, and that it is the typical gradient that vanishes, not the mean.
`attn-multiplicative-equals-dot` is about names: for Vaswani and others multiplicative means the dot product; for
Luong and others the family has the general score, too. It is next.*

## 5. The general score

Put a learned matrix between query and key: $s(q, k) = q\,W k^\top$
([Luong and others, 2015](../chapters/bibliography.md)).

**Exercise 5** (5 minutes, difficulty 1 of 5, 1 point).
"""


# %% exercise
def general_scores(query, key, weight):
    """Return q W kᵀ for every query and key, in the shape [..., queries, keys].

    Shapes: `query` [..., queries, d], `key` [..., keys, d], `weight` W [d, d].
    """
    ### BEGIN SOLUTION
    return query @ weight @ key.mT
    ### END SOLUTION


check("general_scores", general_scores)

# %% [markdown]
r"""
**Predict.** With $W = I$, what is it? And does $W$ change the key, as the notes say, or the query?
"""

# %%
# sabotage: attn-general-key-transform/either-side: dot_scores(q @ W, k) => dot_scores(q @ W.T, k)
claim = "attn-general-formula"
W = torch.randn(8, 8, dtype=torch.float64, generator=generator)
general = attention.general_scores(q, k, W)
identity = attention.general_scores(q, k, torch.eye(8, dtype=torch.float64))
far = (identity - dot_scores(q, k)).abs().max()
measure(claim, far, between=(0, 1e-14), name="identity", what="difference from the dot product if W is the identity")
far = (general - dot_scores(q, k @ W.T)).abs().max()
measure(claim, far, between=(0, 1e-13), name="on-the-keys", what="difference from dot products with keys K times W^T")
claim = "attn-general-key-transform"
far = (dot_scores(q @ W, k) - dot_scores(q, k @ W.T)).abs().max()
measure(claim, far, between=(0, 1e-13), name="either-side", what="difference between changing queries and keys")
swapped = (general - attention.general_scores(k, q, W).mT).abs().max()
measure(claim, swapped, between=(1, 100), name="swapped", what="difference if query and key change places")
swapped = (dot_scores(q, k) - dot_scores(k, q).mT).abs().max()
measure(claim, swapped, between=(0, 1e-14), name="swapped-dot", what="the same for the dot product")
# sabotage: attn-general-formula/on-the-keys: general - dot_scores(q, k @ W.T) => general - dot_scores(q, k @ W)

# %% [markdown]
r"""
The matrix belongs to neither side. What it does change is the symmetry: with the dot product, if *dogs* fits *sleep*
then *sleep* fits *dogs* just as well. It also lets queries and keys differ in width.

There is a surprise in store. A Transformer computes $Q = XW_Q$ and $K = XW_K$, and then $QK^\top = X\,W_QW_K^\top
X^\top$: that *is* a general score of the inputs, with $W = W_QW_K^\top$. **Predict.** Can such a $W$ be any matrix?
"""

# %%
claim = "attn-general-formula"
d_model, d_k = 64, 16
W_Q, W_K = torch.randn(2, d_model, d_k, dtype=torch.float64, generator=generator)
x = torch.randn(6, d_model, dtype=torch.float64, generator=generator)
error = (dot_scores(x @ W_Q, x @ W_K) / attention.general_scores(x, x, W_Q @ W_K.T) - 1).abs().max()
measure(claim, error, between=(0, 1e-10), name="transformer", what="relative difference, a head and a general score")
rank = torch.linalg.matrix_rank(W_Q @ W_K.T)
measure(claim, rank, between=(16, 16), name="rank", what=f"rank of W of a head, d_model = {d_model} and d_k = {d_k}")
claim = "attn-general-variant"
measure(claim, d_model**2, between=(4096, 4096), name="parameters", what="parameters of the general score, d = 64")
measure(claim, 2 * d_model * d_k, between=(2048, 2048), name="parameters-head", what="of a head's W_Q and W_K together")

# %% [markdown]
r"""
The **rank** counts the independent directions that a matrix can tell apart. A head of a Transformer is a general score
made of two thin matrices: cheaper, and of rank at most $d_k$.

*Verdicts. `attn-general-variant`: holds. `attn-general-formula`: holds with the caveat that nothing is scaled here.
`attn-general-key-transform`: holds with the caveat that it transforms the query just as well.*

## 6. The additive score

The oldest of the four is a small network that looks at a query and a key together
([Bahdanau and others, 2015](../chapters/bibliography.md)):

$$s(q, k) = \tanh(q\,W + k\,U)\cdot v.$$

Two matrices map query and key to a **hidden** vector each; the two are added, bent by tanh, and reduced to one number
by a vector $v$.

**Exercise 6** (15 minutes, difficulty 3 of 5, 3 points). Every query must meet every key.
"""


# %% exercise
def additive_scores(query, key, query_weight, key_weight, vector):
    """Return tanh(q W + k U)·v for every query and key, in the shape [..., queries, keys].

    Shapes: `query` [..., queries, d], `key` [..., keys, d], `query_weight` W and `key_weight` U [d, hidden], `vector` v
    [hidden].
    """
    ### BEGIN SOLUTION
    queries = (query @ query_weight).unsqueeze(-2)  # [..., queries, 1, hidden]
    keys = (key @ key_weight).unsqueeze(-3)  # [..., 1, keys, hidden]
    return torch.tanh(queries + keys) @ vector
    ### END SOLUTION


check("additive_scores", additive_scores)

# %% [markdown]
r"""
The notes describe this in words, nearly right, and print $\mathrm{softmax}(W[(Q+K)^\top])V$. The tanh is gone, and
there is one $W$ where three things are learned.

**Predict.** Leave out the tanh. By how much can the weights of two queries then differ?
"""


# %%
def without_tanh(query, key, query_weight, key_weight, vector):
    """The additive score with the tanh left out."""
    return ((query @ query_weight).unsqueeze(-2) + (key @ key_weight).unsqueeze(-3)) @ vector


def spread_over_queries(weights):
    """The largest difference between the weights that two queries give to one key."""
    return (weights.amax(dim=-2) - weights.amin(dim=-2)).max()


claim = "attn-additive-formula"
W, U = torch.randn(2, 8, 16, dtype=torch.float64, generator=generator)
vector = torch.randn(16, dtype=torch.float64, generator=generator)
spread = spread_over_queries(attention_weights(without_tanh(q, k, W, U, vector)))
measure(claim, spread, between=(0, 1e-12), name="spread-linear", what="spread of weights over queries, without tanh")
spread = spread_over_queries(attention_weights(attention.additive_scores(q, k, W, U, vector)))
measure(claim, spread, between=(0.3, 1), name="spread", what="spread of weights over queries, with tanh")
# sabotage: attn-additive-formula/spread-linear: query_weight).unsqueeze(-2) + => query_weight).tanh().unsqueeze(-2) *

# %% [markdown]
r"""
Not at all. Without the tanh the query adds the same number to all scores of its row, and a softmax does not see what is
added to all. Every query gets the same answer: the question has no influence.

The printed formula has two more faults. **Predict.** What is $Q + K$, if there are five queries and seven keys? And
what shape has $W[(Q+K)^\top]$, if there are five of each?
"""

# %%
try:
    _ = q[0] + k[0]
except RuntimeError:
    print("Five queries and seven keys: Q + K does not exist.")
one_row = torch.randn(1, 8, dtype=torch.float64, generator=generator)
as_printed = one_row @ (q[0] + k[0, :5]).T
print("Five of each, and W a single row:", list(as_printed.shape), "instead of", [5, 5])
measure(claim, as_printed.numel(), between=(5, 5), name="printed-scores", what="scores for 5 queries and 5 keys")

# %%
# sabotage: attn-additive-w/parameters: W.numel() + U.numel() + vector.numel() => W.numel() + vector.numel()
claim = "attn-additive-w"
several = torch.randn(3, 8, dtype=torch.float64, generator=generator) @ (q[0] + k[0, :5]).T
per_pair = several.numel() / as_printed.numel()
measure(claim, per_pair, between=(3, 3), name="scores-per-pair", what="scores for one pair if W is a matrix of 3 rows")
count = W.numel() + U.numel() + vector.numel()
measure(claim, count, between=(272, 272), name="parameters", what="parameters, width 8 and hidden width 16")
at_64 = 2 * 64 * 64 + 64
measure(claim, at_64, between=(8256, 8256), name="parameters-64", what="the same, width 64 and hidden width 64")

# %% [markdown]
r"""
*Verdicts. `attn-additive-formula`: wrong, three times over. `attn-additive-w`: imprecise; it takes two matrices and a
vector.*

The words of the notes are better: query and key are added, passed through tanh, then projected to a score. What they
leave out is that each is projected before, by a matrix of its own. If both go through the *same* matrix, one may as
well add first and project then. That is a special case.
"""

# %%
# sabotage: attn-additive-procedure/shared: in_words = torch.tanh( => in_words = (
claim = "attn-additive-procedure"
shared = attention.additive_scores(q, k, W, W, vector)
in_words = torch.tanh((q.unsqueeze(-2) + k.unsqueeze(-3)) @ W) @ vector
far = (shared - in_words).abs().max()
measure(claim, far, between=(0, 1e-13), name="shared", what="difference, one W for both and W on the sum")
swapped = (shared[:, :, :5] - attention.additive_scores(k[:, :5], q, W, W, vector).mT).abs().max()
measure(claim, swapped, between=(0, 1e-13), name="shared-swapped", what="change if query and key swap, one W")
own = attention.additive_scores(q, k[:, :5], W, U, vector)
swapped = (own - attention.additive_scores(k[:, :5], q, W, U, vector).mT).abs().max()
measure(claim, swapped, between=(1, 50), name="own-swapped", what="change if query and key swap, W and U")
# %% [markdown]
r"""
With one matrix the score is symmetric, like the dot product. With two it is not.

*Verdict on `attn-additive-procedure`: holds, once each side has its own projection and the last step gives a single
number.*

### More flexible?

The notes say that adding makes the interaction more flexible. Here is a small test: query and key are one bit each, and
the right key is the one that *differs* from the query. What counts is the weight of the right key, for the query that
does worse; 0.5 is guessing. First the bits are written 0 and 1, then -1 and +1. For the additive score two hidden
numbers will do, with weights that were found by thought: $\tanh(3s) - \tanh(s/2)/2$ with $s = q + k$ is larger at 1
than at 0 or 2.

**Predict.** Which score can do it, in which of the two ways of writing?
"""

# %%
claim = "attn-additive-flexible"
bits = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
signs = 2 * bits - 1
hidden = torch.tensor([[3.0, 0.5]], dtype=torch.float64)
by_thought = torch.tensor([40.0, -20.0], dtype=torch.float64)


def worst(scores):
    """The weight of the key that differs, for the query that does worse (two queries, two keys)."""
    return attention_weights(scores)[[0, 1], [1, 0]].min()


tanh = worst(attention.additive_scores(bits, bits, hidden, hidden, by_thought))
measure(claim, tanh, between=(0.99, 1), name="bits-additive", what="bits 0 and 1: additive, weights by thought")
best = max(worst(attention.general_scores(bits, bits, torch.full((1, 1), w).double())) for w in range(-50, 51))
measure(claim, best, between=(0.5, 0.5), name="bits-general", what="bits 0 and 1: best general score of 101")
dot = worst(attention.general_scores(signs, signs, torch.full((1, 1), -5.0).double()))
measure(claim, dot, between=(0.99, 1), name="signs-general", what="bits -1 and +1: general score with W = -5")

# %%
sizes = ((1, 8), (1, 8), (8,))
draws = [[torch.randn(size, dtype=torch.float64, generator=generator) for size in sizes] for _ in range(1000)]
best = max(worst(attention.additive_scores(signs, signs, *weights)) for weights in draws)
measure(claim, best, between=(0.49, 0.5), name="signs-additive", what="bits -1 and +1: best additive score of 1000")
sums = torch.stack([attention_weights(attention.additive_scores(signs, signs, *weights)) for weights in draws])
right = sums[:, 0, 1] + sums[:, 1, 0]
far = (right - 1).abs().max()
what = "distance from 1 of the two right weights' sum, 1000 draws"
measure(claim, far, between=(0, 1e-12), name="signs-additive-sum", what=what)
# sabotage: attn-additive-flexible/signs-additive: for weights in draws) => for weights in draws for signs in (bits,))

# %%
linear = max(worst(without_tanh(bits, bits, *weights)) for weights in draws)
measure(claim, linear, between=(0.45, 0.5), name="bits-linear", what="bits 0 and 1: best of 1000 without tanh")
with_one = torch.cat((bits, torch.ones_like(bits)), dim=1)
differ = torch.tensor([[-2.0, 1.0], [1.0, 0.0]], dtype=torch.float64)  # q + k - 2qk
general = worst(attention.general_scores(with_one, with_one, 10 * differ))
what = "bits 0 and 1 with a constant 1 beside: general score"
measure(claim, general, between=(0.99, 1), name="with-one-general", what=what)

# %% [markdown]
r"""
Neither contains the other. On 0 and 1 the additive score can do it, and no product can, as it is 0 for every key when
the query is 0. On -1 and +1 it is the other way round: a product with a minus sign is all it takes, while the additive
score fails with *any* weights. Tanh is odd, so turning both signs turns the sign of the score; then the two right
weights always sum to one, and the worse is at most one half. A constant 1 beside the bit, which is what a bias amounts
to, removes the obstacle.

*Verdict on `attn-additive-flexible`: holds with caveats. Without tanh it is the least flexible of all. With it, it
expresses other things than a product of the same vectors, not simply more. A large study of translation models found it
slightly better ([Britz and others, 2017](../chapters/bibliography.md)).*

### Content-based?

The notes call the additive score *content-based*, as if the others were not. The opposite of content-based is
**location-based**: weights that depend on the query and the position only, here $\mathrm{softmax}(q\,P)$ with a learned
column of $P$ for each position ([Luong and others, 2015](../chapters/bibliography.md)).

**Predict.** Reverse the keys. Which weights are reversed with them?
"""

# %%
claim = "attn-additive-content-based"
W_8, P = (torch.randn(8, n, dtype=torch.float64, generator=generator) for n in (8, 7))
by_name = {
    "dot": dot_scores,
    "general": lambda query, key: attention.general_scores(query, key, W_8),
    "additive": lambda query, key: attention.additive_scores(query, key, W, U, vector),
    "location": lambda query, key: (query @ P)[..., : key.shape[-2]],
}
for name, function in by_name.items():
    before, after = attention_weights(function(q, k)), attention_weights(function(q, k.flip(-2)))
    moved = (after - before.flip(-1)).abs().max()
    between = (0.1, 1) if name == "location" else (0, 1e-12)
    measure(
        claim, moved, between=between, name=name, what=f"{name}: difference from weights that moved with their keys"
    )
# sabotage: attn-additive-content-based/dot: k.flip(-2))) => k.roll(1, -2)))

# %% [markdown]
r"""
*Verdict on `attn-additive-content-based`: wrong. All three are content-based; the second name of the additive score is
concat, or Bahdanau attention.*

### What it costs

The dot product of all pairs is one product of matrices. The additive score forms a hidden vector for every pair before
it reduces them to one number. Take 512 queries and 512 keys of width 64.

**Predict.** How much longer does it take, and how much memory?
"""


# %%
class LargestTensor(TorchDispatchMode):
    """Remembers the bytes of the largest tensor that an operation returns."""

    bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.bytes = max(self.bytes, result.untyped_storage().nbytes())
        return result


def seconds(function, runs):
    """The shortest of several runs."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


# %%
claim = "attn-dot-efficient"
long_query, long_key = torch.randn(2, 512, 64)
W_64, U_64 = torch.randn(2, 64, 64) / 8
costly = {
    "dot": lambda: dot_scores(long_query, long_key),
    "additive": lambda: attention.additive_scores(long_query, long_key, W_64, U_64, W_64[0]),
}
for name, between in {"dot": (1, 1), "additive": (64, 64)}.items():
    with LargestTensor() as largest:
        costly[name]()
    what = f"largest tensor of the {name} score"
    measure(claim, largest.bytes / 2**20, between=between, name=f"memory-{name}", what=what, unit="MiB")
ratio = seconds(costly["additive"], 3) / seconds(costly["dot"], 20)
measure(claim, ratio, between=(15, 30_000), name="time", what="time of additive over dot", unit="times", digits=1)
# sabotage: attn-dot-efficient/time: seconds(costly["additive"], 3) => seconds(costly["dot"], 3)

# %% [markdown]
r"""
Both do a number of multiplications that grows like queries × keys × width. One of them does it in a shape for which
computers are built.

*Verdict on `attn-dot-efficient`: holds. It has no parameters, and needs memory for scores only.*

## 7. Which of them learns to look up?

Sixteen guests each order a dessert. Then comes a question: *the wolves*? The answer is what the *wolf* ordered. Guests
are named by nouns of the course's small language, 36 of them; the question uses the plural. A layer of attention gets
a vector for each plural (queries), each singular (keys) and each of 32 desserts (values), all learned, and a matrix
that reads the dessert off the output. The only way to be right is to look the guest up.
"""

# %%
world = World()
names = {
    n: [world.vocab[i] for kind in ("BEING", "THING") for i in world.tokens_of(f"{kind}.{n}")] for n in ("one", "many")
}
desserts = [world.vocab[i] for i in world.tokens_of("DESSERT")][:32]


def orders(step, size=64, shown=16):
    """A batch: who is asked for, who sits there, what each of them ordered, and the right answer."""
    generator = torch.Generator().manual_seed(step)
    guests = torch.rand(size, len(names["one"]), generator=generator).argsort(dim=1)[:, :shown]
    ordered = torch.randint(len(desserts), (size, shown), generator=generator)
    place = torch.randint(shown, (size, 1), generator=generator)
    return guests.gather(1, place), guests, ordered, ordered.gather(1, place).squeeze(1)


asked, guests, ordered, right = (part[0] for part in orders(0, size=1))
print("; ".join(f"{names['one'][g]}: {desserts[d]}" for g, d in zip(guests[:4], ordered[:4], strict=True)), "...")
print(f"the {names['many'][asked]}? {desserts[right]}")

# %% [markdown]
r"""
Several layers are trained side by side, in tensors with one more axis, because one layer is so small that the computer
would mostly wait. They differ in their random start. What interests us is the **spread** of the scores at the start,
their standard deviation. If the numbers in the vectors have the standard deviation σ, a dot product has σ²√d, a scaled
one σ².
"""


# %%
def at_random(layers, shapes):
    """For each shape normal numbers [layers, *shape], the same ones in each call."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(layers, *shape, generator=generator) for shape in shapes]


# %%
class LookUp(nn.Module):
    """Layers of attention side by side: `sigma` has one number a layer, the standard deviation of queries and keys."""

    def __init__(self, score, d, sigma, shapes=()):
        super().__init__()
        query, key, value, *matrices = at_random(len(sigma), [(36, d), (36, d), (32, d), (d, 32), *shapes])
        self.query, self.key = (nn.Parameter(sigma[:, None, None] * start) for start in (query, key))
        self.value, self.matrices = nn.Parameter(value), nn.ParameterList([w / math.sqrt(d) for w in matrices])
        self.score = torch.vmap(score)  # a layer has its own weights

    def scores(self, asked, guests):
        every_pair = self.score(self.query, self.key, *self.matrices[1:])  # plurals × singulars
        return every_pair[:, asked, guests]

    def forward(self, asked, guests, ordered):
        one_hot = functional.one_hot(ordered, 32).float()  # guests of one dessert have one value: add their weights
        weights = torch.einsum("lbg,bgd->lbd", attention_weights(self.scores(asked, guests)), one_hot)
        return weights @ self.value @ self.matrices[0]


# %%
def loss(model, batch):
    """The layers' cross-entropies, added up, so that each layer gets its own gradient and nothing else."""
    *question, right = batch
    logits = model(*question)
    return functional.cross_entropy(logits.flatten(0, 1), right.repeat(len(logits)), reduction="sum") / len(right)


def accuracy(model):
    """The share of right answers of each layer, in 1000 questions that were not in the training."""
    *question, right = (part.to(device()) for part in orders(10**6, size=1000))
    with torch.no_grad():
        return (model(*question).argmax(-1) == right).double().mean(1).cpu()


def learn(score, sigma, shapes=(), d=64, steps=300, lr=0.01):
    """Train layers of this score."""
    model = LookUp(score, d, sigma, shapes).to(device())
    train(model, orders, loss, steps=steps, lr=lr, weight_decay=0.0, clip=math.inf)
    return model


# %% [markdown]
r"""
**Predict.** All queries and keys start with σ = 1, at the width 64. Four layers each, 300 steps. Which scores succeed?
"""

# %%
layers = {"cpu": 4, "gpu": 16}[profile()]
one, small = torch.ones(layers), torch.full((layers,), 64**-0.25)  # dot products start with a spread of 8, or of 1
matrix, vectors = [(64, 64)], [(64, 64), (64, 64), (64,)]
claim = "attn-scaling-sqrt-dk"
with metered(claim, tokens=5 * layers * 300 * 64 * 16):  # a guest is a token
    models = {"dot": learn(dot_scores, one), "scaled": learn(scaled_dot_scores, one)}
    models["general"] = learn(attention.general_scores, one, matrix)
    models["additive"] = learn(attention.additive_scores, one, vectors)
    models["printed"] = learn(without_tanh, one, vectors)
mean = {name: accuracy(model).mean() for name, model in models.items()}
measure(claim, mean["dot"], between=(0.25, 0.6), name="learned-dot", what="dot: share of right answers")
measure(claim, mean["scaled"], between=(0.97, 1), name="learned-scaled", what="scaled dot")
measure("attn-general-variant", mean["general"], between=(0.35, 0.75), name="learned", what="general, not scaled")
measure("attn-additive-procedure", mean["additive"], between=(0.97, 1), name="learned", what="additive")
measure("attn-additive-formula", mean["printed"], between=(0.12, 0.19), name="learned", what="additive without tanh")
# sabotage: attn-additive-formula/learned: learn(without_tanh => learn(attention.additive_scores
# sabotage: attn-scaling-sqrt-dk/learned-scaled: learn(scaled_dot_scores => learn(dot_scores

# %%
_, guests, ordered, right = orders(10**6, size=1000)
counts = functional.one_hot(ordered, 32).sum(dim=1)
most_ordered = (counts.argmax(1) == right).double().mean()
what = "share of right answers if the most ordered dessert is named"
measure("attn-additive-formula", most_ordered, between=(0.13, 0.2), name="blind", what=what)
print(f"one of 32 desserts at random: {1 / 32:.3f}")

# %% [markdown]
r"""
Without the tanh the layer does as well as a waiter who does not listen and names the dessert that most guests ordered.

The dot product and the general score, both unscaled, get about half right. Why? Ask how far the right key was behind
the best one *before* the training, and sort the questions by that.
"""

# %%
asked, guests, ordered, right = (part.to(device()) for part in orders(10**6, size=1000))
before = LookUp(dot_scores, 64, one).to(device())
with torch.no_grad():
    start = before.scores(asked, guests)
    correct = models["dot"](asked, guests, ordered).argmax(-1) == right
behind = start.amax(-1) - (start * (guests == asked)).sum(-1)
quarters = behind.flatten().argsort().chunk(4)
ranges = {"nearest": (0.75, 1), "second": (0.2, 0.75), "third": (0.05, 0.35), "farthest": (0, 0.15)}
for (name, between), quarter in zip(ranges.items(), quarters, strict=True):
    share = correct.flatten()[quarter].double().mean()
    what = f"right answers after training, {name} quarter at the start"
    measure(claim, share, between=between, name=f"quarter-{name}", what=what)
# sabotage: attn-scaling-sqrt-dk/quarter-nearest: behind.flatten().argsort() => (-behind.flatten()).argsort()

# %% [markdown]
r"""
There it is. Questions whose right key started close behind the best are learned; those whose right key started far
behind are not. That is what one expects of a saturated softmax: a wrong and sure answer gets hardly any correction.

Is it just slow? And would a higher learning rate help?
"""

# %%
patient = accuracy(learn(dot_scores, one, steps=600)).mean()
measure(claim, patient, between=(0.3, 0.7), name="learned-dot-600", what="dot: right answers after 600 steps")
for lr, between in {0.03: (0.38, 0.7), 0.1: (0.42, 0.75)}.items():
    share = accuracy(learn(dot_scores, one, lr=lr)).mean()
    what = f"dot: right answers at a learning rate of {lr}"
    measure(claim, share, between=between, name=f"learned-dot-lr-{str(lr)[2:]}", what=what)

# %% [markdown]
r"""
Patience and a higher learning rate help a little, and neither is a cure. Now the other suspect, the start. Six spreads,
from 0.25 to 16, for the dot product and the scaled one. The vectors of the two are drawn so that both begin with *the
same scores*.

**Predict.** Which of the two does better, from the same start?
"""

# %%
# alt: Share of right answers against the spread at the start. Both lines are near 1 up to a spread of 1 and fall then.
spreads = torch.tensor([0.25, 1.0, 2.0, 4.0, 8.0, 16.0])
sigma = spreads.repeat_interleave(layers).sqrt()
curves = {
    "dot": accuracy(learn(dot_scores, sigma / 32**0.25, d=32)).view(6, layers).mean(1).tolist(),
    "scaled": accuracy(learn(scaled_dot_scores, sigma, d=32)).view(6, layers).mean(1).tolist(),
}
ranges = {"dot": [(0.97, 1), (0.97, 1), (0.9, 1), (0.5, 0.8), (0.25, 0.5), (0.15, 0.4)]}
ranges["scaled"] = [(0.97, 1), (0.95, 1), (0.65, 0.95), (0.38, 0.62), (0.2, 0.42), (0.12, 0.33)]
for name, found in curves.items():
    for s, share, between in zip(spreads.tolist(), found, ranges[name], strict=True):
        what = f"{name}: right answers from a spread of {s:g}"
        measure(claim, share, between=between, name=f"{name}-spread-{s:g}".replace(".", ""), what=what)
ax = plotting.curves(spreads.tolist(), curves, xlabel="spread of the scores at the start", ylabel="right", log_x=True)
# sabotage: attn-scaling-sqrt-dk/scaled-spread-2: learn(scaled_dot_scores, sigma, => learn(scaled_dot_scores, sigma / 4,

# %% [markdown]
r"""
From the same scores both fall once the spread passes 1, and the dot product *without* scale is ahead all the way (why,
we did not measure). So the division has no merit of its own. Its merit is that σ = 1 gives a spread of 1 at every
width, with nothing to tune. With small vectors the plain dot product needs no help. Does that go for the general score,
too?
"""

# %%
models["general, small start"] = learn(attention.general_scores, small, matrix)
share = accuracy(models["general, small start"]).mean()
what = "general, started with a spread of 1: right answers"
measure("attn-general-variant", share, between=(0.97, 1), name="learned-small", what=what)
share = accuracy(learn(dot_scores, small)).mean()
measure(
    claim, share, between=(0.97, 1), name="learned-dot-small", what="dot, started with a spread of 1: right answers"
)
# sabotage: attn-general-variant/learned-small: attention.general_scores, small => attention.general_scores, one

# %% [markdown]
r"""
It does. *To the verdict on `attn-scaling-sqrt-dk` this adds: at σ = 1 and a width of 64 the unscaled scores learn about
half of the task and the scaled one all of it; whether the start is a bad one is a matter of the initialisation.*

Where there is a GPU, the next cell tries other widths, with σ = 1 throughout.
"""

# %%
if profile() == "gpu":
    for d, dot_range in ((256, (0.2, 0.6)), (1024, (0.12, 0.45))):
        for name, score, between in (("dot", dot_scores, dot_range), ("scaled", scaled_dot_scores, (0.97, 1))):
            with metered(claim, tokens=layers * 300 * 64 * 16, name=f"gpu-{name}-{d}"):
                wide = learn(score, one, d=d)
            what = f"{name}, width {d}: right answers"
            measure(claim, accuracy(wide).mean(), between=between, name=f"{name}-width-{d}", what=what)
else:
    print("In the gpu profile this cell trains layers that are 256 and 1,024 wide.")

# %% [markdown]
r"""
## 8. Three ways to share out attention

Three of the trained layers answer everything. Do they also look alike? Eight guests, four questions, one layer each.

**Predict.** Are the weights of the three the same?
"""

# %%
# alt: Twelve rows of weights, four questions for each of three scores. In every row the right guest has most of it.
seated, questions = names["one"][:8], [0, 3, 7, 5]
rows, table = [], []
for label in ("scaled", "general, small start", "additive"):
    asked, guests = torch.tensor(questions)[:, None], torch.arange(8).expand(4, -1)
    with torch.no_grad():
        found = attention_weights(models[label].scores(asked.to(device()), guests.to(device())))[0]
    rows += [f"{names['many'][i]}, {label.split(',')[0]}" for i in questions]
    table += found.tolist()
print("questions:", ", ".join(names["many"][i] for i in questions))
ax = plotting.heatmap(table, rows, seated, xlabel="key", ylabel="query and score", unit="weight", between=(0, 1))

# %%
claim = "attn-closing-weighting"
by_score = torch.tensor(table, dtype=torch.float64).view(3, 4, 8)
picked = [(weights.argmax(-1) == torch.tensor(questions)).sum() for weights in by_score]
measure(claim, sum(picked), between=(12, 12), name="same-answers", what="right keys with the largest weight, of 12")
on_right = by_score[:, torch.arange(4), questions].mean(1)
for name, mean_weight, low in zip(("scaled", "general", "additive"), on_right, (0.75, 0.9, 0.9), strict=True):
    measure(claim, mean_weight, between=(low, 1), name=f"weight-{name}", what=f"{name}: mean weight of the right key")
# sabotage: attn-closing-weighting/same-answers: view(3, 4, 8) => view(3, 4, 8).roll(1, 1)

# %% [markdown]
r"""
The same answers with different weights. A weight matrix shows how a layer shares out its attention. It is tempting to
read it as the *reason* for an output. Careful: seven keys whose values have three numbers each leave room for quite
different weights with the same output. The next cell moves weights as far as it can along a direction that the values
do not see.
"""

# %%
w = attention_weights(scaled_dot_scores(q, k))[0, 0]
unseen = torch.cat((v[0].T, torch.ones(1, 7, dtype=torch.float64)))  # the output, and the sum of the weights
direction = torch.arange(7, dtype=torch.float64)
direction = direction - torch.linalg.pinv(unseen) @ (unseen @ direction)
other = w + (w / -direction)[direction < 0].min() * direction
print("weights      ", [f"{x:.2f}" for x in w.tolist()])
print("other weights", [f"{abs(x):.2f}" for x in other.tolist()])
far = ((other - w) @ v[0]).abs().max()
measure(claim, far, between=(0, 1e-13), name="same-output", what="difference of the two outputs")
moved = (other - w).abs().sum() / 2
measure(claim, moved, between=(0.1, 1), name="other-weights", what="share of the weight that has moved")
# sabotage: attn-closing-weighting/same-output: - torch.linalg.pinv(unseen) @ (unseen @ direction) => - direction.mean()

# %% [markdown]
r"""
*Verdict on `attn-closing-weighting`: holds, the scores are ways of sharing out weight. That a weight explains an output
is another claim, and a disputed one ([Jain and Wallace, 2019](../chapters/bibliography.md);
[Wiegreffe and Pinter, 2019](../chapters/bibliography.md)).*

## With a real model

In the `gpu` profile, or when you ask for it, the next cells load GPT-2 (`openai-community/gpt2`: 124 million
parameters, 549 MB, licence MIT) and rebuild the weights of its layers from the layers' own queries and keys, with the
functions of this lab. Then they show the largest weights of the head that looks back at the previous word the most.

**Predict.** Is it in an early layer or in a late one?
"""


# %%
def rebuilt(model, states, layer):
    """The weights of a layer of GPT-2, from what enters the layer."""
    block, heads = model.transformer.h[layer], model.config.n_head
    query, key, _ = block.attn.c_attn(block.ln_1(states)).chunk(3, dim=-1)
    query, key = (attention.split_heads(part, heads) for part in (query, key))
    return attention_weights(scaled_dot_scores(query, key), attention.causal_mask(states.shape[1]).to(states.device))


# %%
if loaded := hub.offer("decoder", dtype=torch.float32, read_attention=True):
    gpt2, tokenizer = loaded
    tokens = tokenizer.encode("The dogs near the old barn sleep when the farmer comes home.")
    with torch.no_grad():
        seen = gpt2(torch.tensor([tokens], device=device()), output_attentions=True, output_hidden_states=True)
        own = torch.cat([rebuilt(gpt2, seen.hidden_states[i], i) for i in range(gpt2.config.n_layer)])
    given = torch.cat(seen.attentions)  # [layers, heads, queries, keys]
    layer, head = divmod(int(given.diagonal(-1, 2, 3).mean(-1).argmax()), gpt2.config.n_head)
    print(f"d_k = {gpt2.config.n_embd // gpt2.config.n_head}, layer {layer + 1}, head {head + 1}")
    print(f"largest difference from the model's own weights, all layers: {(own - given).abs().max():.1e}")
    for i, row in enumerate(own[layer, head].tolist()):
        best = max(range(i + 1), key=row.__getitem__)
        print(f"{tokenizer.decode([tokens[i]]):>8} -> {tokenizer.decode([tokens[best]]):<8} {row[best]:.2f}")

# %% [markdown]
r"""
What carries over: the formula, with the same $d_k$ of 64 as in section 7. What does not: a head of a real model has no
teacher that tells it whom to look at.

## What you have shown

- Attention is a weighted mean. You computed one by hand, and can say what each symbol of
  $\mathrm{softmax}(QK^\top/\sqrt{d_k} + M)V$ is: queries, keys and values in rows, the width of a key, a mask, and a
  softmax over the keys for each query by itself.
- The mask comes before the softmax, and a query that may look nowhere should get zeros.
- Dividing by $\sqrt{d_k}$ makes the start the same at every width. Without it, wide heads with vectors of variance 1
  are sure before they know anything, and questions that start out sure and wrong are not learned. With a smaller start,
  nothing of the kind happens.
- The general score is what a Transformer's head computes anyway, with a matrix of low rank.
- The additive score lives by its tanh. As the notes print it, it does not hear the question.

## Where to go next

Lab 08 gives a layer several heads and looks into a trained model. The chapter on
[attention](../chapters/03_attention.md) tells the whole story. Change a number here, the width in section 7, say, and
see which range refuses.
"""
