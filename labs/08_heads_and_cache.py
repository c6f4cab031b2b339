# %% [markdown]
r"""
# Lab 08: Heads and cache

Attention is one function: queries, keys and values go in, weighted means of the values come out. Self-attention,
multi-head, multi-query, grouped-query and cross-attention are five ways to call it. In this lab you write them, look
into a trained model with them, and measure what each one costs.

**What you will measure.** Which head of a trained model carries subject-verb agreement, and what happens when it is
taken away. How work grows with length. How many bytes a model must remember for each token it has read, and why
multi-query attention was invented. Where a memory of fixed size fails.

**What you need.** Matrix products, and the scaled dot product of lab 07. The chapter on
[attention](../chapters/03_attention.md) explains the same ideas with more words.

**Time.** Reading and exercises: about 100 minutes. The cells run in under a minute on two cores; on a T4 the trainings
are longer, bigger models follow them, and GPT-2 is looked at, too.

**Claims settled** (see the [ledger](../chapters/ledger.md)): everything the notes say on attention mechanisms, that
attention replaced recurrent networks, and the later additions on grouped-query and latent attention, the KV cache,
FlashAttention, long contexts and state-space models.
"""

# %% setup

# %%
import copy
import math
import random
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode
from transformers import FalconConfig, LlamaConfig

# %%
from labutils import attention, hub, plotting, sampling
from labutils.attention import MultiHeadAttention
from labutils.attention_views import head_view, model_view
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Block, Config, Decoder
from labutils.runtime import device, dtype, profile
from labutils.training import metered, train
from labutils.weights import load_world_decoder
from labutils.world import ENGLISH, World, word_lists

torch.manual_seed(0)
x = torch.randn(2, 8, 48, dtype=torch.float64)  # 2 sequences of 8 positions, each a vector of 48 numbers

# %% [markdown]
r"""
## 1. Who sees whom

In **self-attention** queries, keys and values come from one sequence: position i asks, all positions answer, and the
answer is a mean of their values. The **weights** of that mean are non-negative and sum to 1. One says "position i
*attends to* position j", and means that the weight is large.

The notes say that every position attends to every position. A **causal mask** hides the future.

**Predict.** Of the 64 weights among 8 positions, how many are not zero under a causal mask?
"""

# %%
claim = "mech-attends-all-positions"
scores = attention.scaled_dot_scores(x, x)
for name, (mask, expected) in {"bidirectional": (None, 64), "causal": (attention.causal_mask(8), 36)}.items():
    seen = (attention.attention_weights(scores, mask)[0] > 0).sum()
    measure(claim, seen, between=(expected, expected), name=name, what=f"weights that are not zero, {name}")
# sabotage: mech-attends-all-positions/causal: (scores, mask) => (scores, None)

# %% [markdown]
r"""
*Verdict on `mech-attends-all-positions`: imprecise. An encoder's position sees all, a decoder's sees itself and what
came before: n(n + 1)/2 pairs of n².*

Two items are matters of wording and of history, and nothing can be measured about them. `mech-attends-to-phrase`: "A
attends to B" is the standard phrase; the notes use it, and so do we. `mech-original-by-vaswani`: self-attention is the
attention of the Transformer ([Vaswani and others, 2017](../chapters/bibliography.md)), but not the first attention.
That was an attention from one sequence to another, in a recurrent network for translation
([Bahdanau and others, 2015](../chapters/bibliography.md)), and self-attention had been used before 2017, too.

## 2. Heads

**Multi-head attention** runs several attentions side by side. Each **head** gets its own queries, keys and values, and
each is narrow: `d_model` numbers are cut into `n_heads` pieces of `d_head = d_model / n_heads`. Afterwards the pieces
are joined and mixed by one more matrix, the output map.

Cutting and joining are two lines each, and almost everybody gets them wrong once: the numbers must stay with their
position.

**Exercise 1** (8 minutes, difficulty 2 of 5, 1 point).
"""


# %% exercise
def split_heads(x, n_heads):
    """Cut each vector of `x` [..., seq, d_model] into `n_heads` pieces: return [..., n_heads, seq, d_head].

    The first head gets the first d_head numbers of every vector, the second head the next ones.
    """
    ### BEGIN SOLUTION
    return x.unflatten(-1, (n_heads, -1)).transpose(-3, -2)
    ### END SOLUTION


check("split_heads", split_heads)

# %% [markdown]
r"""
**Exercise 2** (5 minutes, difficulty 2 of 5, 1 point).
"""


# %% exercise
def merge_heads(x):
    """Put the heads' vectors end to end: from `x` [..., n_heads, seq, d_head] make [..., seq, n_heads * d_head]."""
    ### BEGIN SOLUTION
    return x.transpose(-3, -2).flatten(-2)
    ### END SOLUTION


check("merge_heads", merge_heads)

# %% [markdown]
r"""
**Predict.** With `d_model` fixed, does a layer with 16 heads have more parameters than one with a single head? Does it
need more multiplications?
"""

# %%
claim = "mech-multihead-definition"
layers = {h: MultiHeadAttention(48, h).double() for h in (1, 4, 16)}
for h, layer in layers.items():
    layer.load_state_dict(layers[1].state_dict())  # the same matrices, cut in another way
    size = sum(p.numel() for p in layer.parameters())
    measure(claim, size, between=(9408, 9408), name=f"parameters-{h}", what=f"parameters with n_heads = {h}")
with torch.no_grad():
    flops, outputs = {}, {}
    for h, layer in layers.items():
        with FlopCounterMode(display=False) as counter:
            outputs[h] = layer(x)
        flops[h] = counter.get_total_flops()
# sabotage: mech-multihead-definition/apart: MultiHeadAttention(48, h) => MultiHeadAttention(48, 1)

# %%
work = flops[16] / flops[1]
measure(claim, work, between=(1, 1), name="work", what="multiplications with 16 heads, over those with one")
apart = (outputs[16] - outputs[1]).norm() / outputs[1].norm()
measure(claim, apart, between=(0.05, 2), name="apart", what="relative distance of their outputs")

# %% [markdown]
r"""
The same matrices, cut in another way, cost the same and give another result: a head forms its weights from its own
piece of the vectors. What is new with heads is several sets of weights, not more parameters.

*Verdict on `mech-multihead-definition`: holds, but leaves out half: heads are narrow, joined, and mixed by an output
map.*

## 3. Sharing keys and values

In **multi-query attention** (MQA) all query heads share one key head and one value head. **Grouped-query attention**
(GQA) lies between: each group of neighbouring query heads shares one pair. What it is for, we shall see in section 8.
First write it, without copying the shared heads.

**Exercise 3** (15 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def grouped_attention(query, key, value):
    """Return [..., n_heads, queries, d_value]. Neighbouring query heads share a key-value head; there is no mask.

    `query` is [..., n_heads, queries, d_key], `key` [..., n_kv_heads, keys, d_key], `value` [..., n_kv_heads, keys,
    d_value], and n_kv_heads divides n_heads. The scores are divided by the square root of d_key.
    """
    ### BEGIN SOLUTION
    grouped = query.unflatten(-3, (key.shape[-3], -1))  # [..., n_kv_heads, group, queries, d_key]
    key, value = key.unsqueeze(-3), value.unsqueeze(-3)  # a group axis of size 1, which broadcasts
    weights = (grouped @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
    return (weights @ value).flatten(-4, -3)
    ### END SOLUTION


check("grouped_attention", grouped_attention)

# %% [markdown]
r"""
**Predict.** Three identities should hold exactly: with as many key-value heads as query heads, grouped-query attention
is multi-head attention; with one, it is multi-query attention; and sharing gives what copying the shared heads would
give. Which function should the three be compared with?
"""

# %%
query = torch.randn(2, 8, 5, 6, dtype=torch.float64)  # 8 query heads
keys, values = torch.randn(2, 2, 8, 7, 6, dtype=torch.float64)
for name, n_kv_heads in {"mha": 8, "gqa": 2, "mqa": 1}.items():
    key, value = keys[:, :n_kv_heads], values[:, :n_kv_heads]
    ours = attention.grouped_attention(query, key, value)
    copies = (part.repeat_interleave(8 // n_kv_heads, dim=1) for part in (key, value))
    theirs = F.scaled_dot_product_attention(query, *copies)
    what = f"largest difference to torch's attention on copied heads, {n_kv_heads} key-value heads"
    claim = "mech-mqa-definition" if n_kv_heads < 8 else "mech-multihead-definition"
    measure(claim, (ours - theirs).abs().max(), between=(0, 1e-12), name=f"error-{name}", what=what, digits=1)
# sabotage: mech-mqa-definition/error-gqa: repeat_interleave(8 // n_kv_heads, dim=1) => repeat(1, 8 // n_kv_heads, 1, 1)

# %% [markdown]
r"""
Torch's own attention on copied heads knows nothing of groups, so it is the judge. Put
`repeat(1, 8 // n_kv_heads, 1, 1)` in the place of `repeat_interleave`, and the range refuses: `repeat` copies the heads
in turn (head i uses i modulo g), `repeat_interleave` makes neighbours share. A program has to use the order with which
its weights were trained.

*Verdict on `mech-mqa-definition`: holds. The sharing is across heads, not across positions.*

## 4. Looking elsewhere

In **cross-attention** the queries come from one sequence and the keys and values from another, the **context**. The
notes write it as "Q is not equal to K, V" (the sign is damaged in the copy). Before you measure whether that is what
makes the difference, write it, with a mask that hides the context's padding.

**Exercise 4** (15 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def cross_attention(x, context, visible, query_weight, key_weight, value_weight):
    """Let `x` [..., queries, d_model] attend to `context` [..., keys, d_model]: return [..., queries, d_head].

    The three matrices are [d_model, d_head]. `visible` [..., keys] is False where the context is padding: no weight
    goes there, and where all of it is padding the result is zero. The scores are divided by the square root of d_head.
    """
    ### BEGIN SOLUTION
    query, key, value = x @ query_weight, context @ key_weight, context @ value_weight
    scores = query @ key.mT / math.sqrt(query.shape[-1])
    mask = visible.unsqueeze(-2)  # the same for all queries
    weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(-1)
    return (weights * mask) @ value
    ### END SOLUTION


check("cross_attention", cross_attention)

# %% [markdown]
r"""
**Predict.** Feed a cross-attention layer its own input as context. What does it become? And in ordinary
self-attention, are the matrices Q, K and V equal?
"""

# %%
claim = "mech-cross-q-neq-kv"
layer = MultiHeadAttention(48, 4).double()
with torch.no_grad():
    difference = (layer(x, context=x) - layer(x)).abs().max()
    apart = (layer.query(x) - layer.key(x)).norm() / layer.key(x).norm()
    weights = layer.weights(x, context=x[:, :5])
measure(claim, difference, between=(0, 0), name="with-itself", what="cross-attention with itself, minus self-attention")
measure(claim, apart, between=(0.5, 3), name="q-minus-k", what="in self-attention, |Q - K| / |K|")
print("weights of 8 queries on a context of 5 positions, 4 heads, 2 sequences:", list(weights.shape))
# sabotage: mech-cross-q-neq-kv/with-itself: context=x) - layer(x) => context=x.flip(0)) - layer(x)

# %% [markdown]
r"""
Q and K differ in self-attention, too, because different matrices make them. What tells cross-attention apart is where
K and V come from; the weights are then a rectangle.

*Verdict on `mech-cross-q-neq-kv`: imprecise. Not "Q ≠ K, V", but "Q from one sequence, K and V from another".*

The context need not be text. Below, three words look at a picture of 4 × 4 patches. We write all vectors by hand, so
nothing is learned here: patches that show a cat share a direction with the word cat, and so on.
"""

# %%
# sabotage: mech-cross-modalities/cat: dot_scores(5 * directions, patches) => dot_scores(directions, patches)
claim = "mech-cross-modalities"
objects = {"cat": [0, 1, 4, 5], "ball": [10], "grass": [12, 13, 14, 15]}  # patches count row by row
directions = torch.eye(3, 16, dtype=torch.float64)
noise = torch.randn(16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
patches = 0.1 * noise
for direction, places in zip(directions, objects.values(), strict=True):
    patches[places] += direction
weights = attention.attention_weights(attention.dot_scores(5 * directions, patches))
print("weights of 3 words on 16 patches:", list(weights.shape))
for row, (word, places) in zip(weights, objects.items(), strict=True):
    what = f"weight of the word {word} on the {len(places)} of 16 that show it"
    measure(claim, row[places].sum(), between=(0.7, 1), name=word, what=what)

# %%
# alt: Three rows, one a word, and 16 columns, one a patch. Each word has its weight on the patches of its own object.
names = [f"{row}{column}" for row in "abcd" for column in "1234"]
ax = plotting.heatmap(weights.tolist(), list(objects), names, xlabel="patch", ylabel="word", unit="weight")

# %% [markdown]
r"""
*Verdict on `mech-cross-modalities`: holds. The function does not ask what its vectors stand for. Its first use was from
text to text, in translation; a caption that looks at its picture followed in 2015 ([Xu and
others](../chapters/bibliography.md)). Others, such as LLaVA, put patches and words into one sequence and use
self-attention ([Liu and others, 2023](../chapters/bibliography.md)).*

## 5. A head that does something

Now a trained model: the world decoder, with 2 layers of 4 heads, trained on the course's small language. Its grammar
has a long-range rule. In "the dogs near the old tree ..." the verb must agree with *dogs*, not with *tree* beside it.

We make 400 such beginnings, in which subject and other noun always differ in number.

**Predict.** The model has 8 heads. When it is about to choose the verb, how many of them look at the subject?
"""

# %%
world = World()
model = load_world_decoder().to(device())
lists = word_lists(ENGLISH)
OTHER = {"one": "many", "many": "one"}


def beginnings(number):
    """200 times "the SUBJECT near the old OTHER": the subject of this number, the other noun of the other one."""
    draw = random.Random(0).choice
    forms = {name: lists[name].forms for name in ("PREPOSITION", "ADJECTIVE")}
    forms |= {"SUBJECT": lists[f"BEING.{number}"].forms, "OTHER": lists[f"THING.{OTHER[number]}"].forms}
    texts = ["the SUBJECT PREPOSITION the ADJECTIVE OTHER" for _ in range(200)]
    rows = [[draw(forms[word]) if word in forms else word for word in text.split()] for text in texts]
    return torch.cat([torch.from_numpy(world.prompt(" ".join(row))) for row in rows]).to(device())


# %%
begun = {number: beginnings(number) for number in OTHER}
verbs = {
    number: [world.vocab.index(verb) for kind in ("REST", "ACT") for verb in lists[f"{kind}.being.{number}"].forms]
    for number in OTHER
}
print(world.decode(begun["many"][0].tolist()), "...")


@torch.no_grad()
def agreement(some_model, number, tokens=None):
    """Probability of the verbs of the subject's number, over that of all verbs: the mean of the 200 beginnings."""
    p = some_model(begun[number] if tokens is None else tokens)[:200, -1].softmax(-1)
    right, wrong = p[:, verbs[number]].sum(-1), p[:, verbs[OTHER[number]]].sum(-1)
    return (right / (right + wrong)).mean().item()


# %%
claim = "res-explainable-ai"
share = min(agreement(model, number) for number in OTHER)
measure(claim, share, between=(0.995, 1), name="agreement", what="verbs that agree with the subject", digits=5)
with torch.no_grad():
    weights = torch.cat([torch.cat(model.attention_weights(tokens), dim=1) for tokens in begun.values()])
last = weights[:, :, -1].mean(0)  # [8 heads, 7 words]: where the last word looks, head by head
SUBJECT, PREPOSITION = 2, 3
subject, other = last[6, SUBJECT], last[6, -1]
measure(claim, subject, between=(0.98, 1), name="on-subject", what="layer 1, head 2: weight on the subject", digits=4)
measure(claim, other, between=(0, 0.01), name="on-other", what="on the noun beside the verb", digits=1)
measure(claim, 1 / 7, between=(0.142, 0.143), name="uniform", what="weight of each word if all were equal")
measure(
    claim, last[2, PREPOSITION], between=(0.95, 1), name="on-preposition", what="layer 0, head 2: on the preposition"
)
measure(claim, last[5, -1], between=(0.7, 1), name="on-itself", what="layer 1, head 1: on the noun beside the verb")
# sabotage: res-explainable-ai/on-subject: weights[:, :, -1] => weights[:, :, -2]

# %%
# alt: Eight rows, one a head, and seven columns, one a word. Layer 1, head 2 has all its weight on the subject.
heads = [f"layer {layer}, head {head}" for layer in range(2) for head in range(4)]
places = ["<bos>", "the", "SUBJECT", "near", "the", "old", "OTHER"]
ax = plotting.heatmap(
    last.tolist(), heads, places, xlabel="looks at", ylabel="who looks", unit="weight", between=(0, 1)
)

# %% [markdown]
r"""
Layers and heads count from 0. One head of eight looks at the subject, with all its weight, and ignores the noun beside
the verb. Others spread out, or look at the word itself. Layer 0, head 2 looks at the preposition: remember it.

The same, to turn over by hand. The sentence is "the dogs near the old tree watch a boat"; each word's lines lead to
the words that it attends to. Turn on other heads, change the layer, and point at *tree*.
"""

# %%
sentence = "the dogs near the old tree watch a boat"
words = ["<bos>", *sentence.split()]
precise = copy.deepcopy(model).cpu().double()  # the views round, and should round alike on every machine
with torch.no_grad():
    seen = precise.attention_weights(torch.from_numpy(world.prompt(sentence)))
title = "Layer 1, head 2: the last word of the phrase attends to the subject"
head_view(seen, words, title=title, layer=1, heads=[2], digits=2)

# %%
model_view(seen, words, title="All heads of the world decoder on one sentence", digits=2)

# %% [markdown]
r"""
The pattern is clear. Is it an *explanation*? A weight says where a head looks. It does not say that the model uses what
the head brings home ([Jain and Wallace, 2019](../chapters/bibliography.md);
[Wiegreffe and Pinter, 2019](../chapters/bibliography.md)). To find out, we must intervene.

**Predict.** We silence one head at a time, by setting to zero the part of the output map that reads it. After which of
the eight does agreement break? Take the two heads with much weight on one word: layer 1, head 1 (on the noun beside the
verb) and layer 0, head 2 (on the preposition).
"""


# %%
def without(layer, head):
    """A copy of the model in which one head is silent."""
    silenced = copy.deepcopy(model)
    with torch.no_grad():
        silenced.blocks[layer].attention.output.weight[:, 16 * head : 16 * head + 16] = 0
    return silenced


spared = {(layer, head): [agreement(without(layer, head), n) for n in OTHER] for layer in range(2) for head in range(4)}
needed = [place for place, shares in spared.items() if min(shares) < 0.9]
print("heads without which agreement breaks (layer, head):", needed)
for place, between in {(1, 2): (0.2, 0.8), (0, 2): (0.05, 0.49), (1, 1): (0.99, 1)}.items():
    what = f"verbs that agree without layer {place[0]}, head {place[1]}"
    measure(claim, np.mean(spared[place]), between=between, name=f"without-{place[0]}-{place[1]}", what=what)
# sabotage: res-explainable-ai/without-1-2: 16 * head : => 16 * head + 16 :

# %% [markdown]
r"""
Without the head that looks at the subject, number is a coin toss. The head that looks at its own noun can go: large
weights, no use for agreement. And the head that looks at the *preposition* is needed more than any other: without it
the verb agrees with the wrong noun more often than not. Why? Ask the first head where it looks now.
"""

# %%
with torch.no_grad():
    moved = torch.cat([without(0, 2).attention_weights(tokens)[1][:, 2, -1] for tokens in begun.values()]).mean(0)
what = "layer 1, head 2 without layer 0, head 2: weight on the subject"
measure(claim, moved[SUBJECT], between=(0, 0.05), name="lost-subject", what=what, digits=1)
measure(claim, moved[-1], between=(0.9, 1), name="found-other", what="on the noun beside the verb")

# %% [markdown]
r"""
So the two work in a row. Layer 0, head 2 looks at the preposition. With what it brings, layer 1, head 2 looks past the
noun in the phrase, to the subject; without it, the same head looks at the nearest noun.

One test is left, and it is the strictest. Run the model on "the dogs near the old tree" and on "the dog near the old
tree". Take from the second run the output of *one* head at the last position, and put it into the first run. Nothing
else changes.

**Predict.** Which verb does the model choose?
"""


# %%
def swap_subject(tokens, number):
    """The same beginnings with the subject in its other number."""
    forms = zip(lists[f"BEING.{number}"].forms, lists[f"BEING.{OTHER[number]}"].forms, strict=True)
    other = {world.vocab.index(old): world.vocab.index(new) for old, new in forms}
    changed = tokens.clone()
    changed[:, SUBJECT] = torch.tensor([other[token] for token in tokens[:, SUBJECT].tolist()])
    return changed


# %%
def agreement_with_other_head(layer, head, number):
    """Agreement, with one head's output at the last position taken from the run with the other subject."""

    def transplant(_, inputs):
        [runs] = inputs
        runs[:200, -1, 16 * head : 16 * head + 16] = runs[200:, -1, 16 * head : 16 * head + 16]

    both = torch.cat((begun[number], swap_subject(begun[number], number)))
    hook = model.blocks[layer].attention.output.register_forward_pre_hook(transplant)
    share = agreement(model, number, both)
    hook.remove()
    return share


swapped = {place: [agreement_with_other_head(*place, number) for number in OTHER] for place in spared}
print("heads that carry the number (layer, head):", [place for place, shares in swapped.items() if min(shares) < 0.9])

# %%
what = "verbs that agree with the subject, with layer 1, head 2 from the other run"
measure(claim, max(swapped[1, 2]), between=(0, 0.01), name="transplanted", what=what, digits=1)
least = min(min(shares) for place, shares in swapped.items() if place != (1, 2))
what = "the least with one of the seven other heads"
measure(claim, least, between=(0.99, 1), name="transplanted-others", what=what, digits=5)
# sabotage: res-explainable-ai/transplanted: max(swapped[1, 2]) => max(swapped[1, 1])

# %% [markdown]
r"""
One head's output at one position decides the verb, and no other head's does. Now it is fair to say: this head tells the
model the number of the subject, and its weights show where it gets it from. The weights alone did not show that. They
were nearly as large in a head that does nothing for agreement.

*Verdict on `res-explainable-ai`: holds with a caveat. Look with bertviz ([Vig, 2019](../chapters/bibliography.md)),
then intervene.*

## 6. Are heads specialists?

The notes say that each head concentrates on a different feature. We have found two specialists. Are all eight?

**Predict.** Silence one head at a time, and measure the loss on ordinary text of the language. How many heads cost more
than a tenth of a nat?
"""

# %%
claim = "mech-heads-specialised"
documents = torch.from_numpy(world.sample(60, 127, seed=9).tokens).to(device())


def next_token_loss(some_model, tokens):
    """Mean cross-entropy of the next token, in nats."""
    return F.cross_entropy(some_model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


# %%
with torch.no_grad():
    whole = next_token_loss(model, documents).item()
    cost = [(next_token_loss(without(*place), documents) - whole).item() for place in spared]
measure(claim, whole, between=(1.8, 1.95), name="whole", what="loss of the whole model", unit="nats per token")
dear = sum(loss > 0.1 for loss in cost)
measure(claim, dear, between=(3, 3), name="dear", what="heads whose silence costs more than a tenth of a nat")
for name, rank, between in (("first", 0, (0.7, 1.8)), ("second", 1, (0.08, 0.2)), ("fourth", 3, (0.02, 0.09))):
    what = f"loss added by silencing the {name} of eight, dearest first"
    measure(claim, sorted(cost, reverse=True)[rank], between=between, name=name, what=what, unit="nats")

# %%
# alt: Eight bars, one a head. Layer 0, head 2 costs more than one nat; the next two about a tenth; the rest less.
ax = plotting.bars({"added loss": cost}, heads, unit="added loss (nats per token)")

# %%
with torch.no_grad():
    maps = torch.cat(model.attention_weights(documents[:, :64]), dim=1).flatten(2)
maps = F.normalize(maps, dim=-1)
alike = (maps @ maps.mT).mean(0)  # [8, 8] cosines between the weights of two heads, averaged over texts
first = alike[[0, 0, 1], [1, 3, 3]].min()
measure(claim, first, between=(0.6, 0.95), name="alike", what="least cosine among heads 0, 1 and 3 of layer 0")
measure(claim, alike[2, 6], between=(0.05, 0.35), name="unlike", what="cosine of the two heads of section 5")
# sabotage: mech-heads-specialised/alike: [1, 3, 3]] => [4, 5, 6]]

# %% [markdown]
r"""
Three heads of the first layer have much the same weights. Five of the eight can be silenced, one at a time, for a few
hundredths of a nat or less; one costs more than a nat. Nothing in the training asked the heads to differ or to share
the work evenly.

*Verdict on `mech-heads-specialised`: imprecise. Own weights, yes. Specialisation is possible and not enforced, as in
larger models: a few heads do most of the work ([Voita and others, 2019](../chapters/bibliography.md)), and many can be
removed ([Michel and others, 2019](../chapters/bibliography.md)).*

## 7. What length costs, and what distance costs

**Predict.** You double the length of a text. By what factor does the work of attention grow? And the work of a
recurrent network?

We count multiply-adds exactly, and we time both on one thread of the CPU. The slope of time against length, both on
logarithmic axes, is the exponent.
"""


# %%
def seconds(function, *inputs):
    """The least CPU time of one thread over some runs, so that other programs disturb little."""
    threads, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    for _ in range(6):
        start = time.thread_time()
        function(*inputs)
        times.append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return min(times)


# %%
def multiply_adds(function, *inputs):
    """How many products of two numbers the matrix products in a piece of work take."""
    with FlopCounterMode(display=False) as counter:
        function(*inputs)
    return counter.get_total_flops() // 2


def self_attention(x):
    return attention.attention(x, x, x)


# %%
claim = "mech-on2-computation"
lengths, gru = [256, 512, 1024, 2048], nn.GRU(64, 64, batch_first=True)
with torch.no_grad():
    texts = [torch.randn(1, n, 64) for n in lengths]
    work = [multiply_adds(self_attention, text) for text in texts]
    times = {f: [seconds(f, text) for text in texts] for f in (self_attention, gru)}
growth = work[-1] / work[-2]
measure(claim, growth, between=(4, 4), name="work-doubled", what="multiply-adds of attention at 2,048 over 1,024")
for f, name, between in ((self_attention, "attention", (1.4, 3.2)), (gru, "gru", (0.7, 1.35))):
    slope = np.polyfit(np.log(lengths), np.log(times[f]), 1)[0]
    what = f"exponent of the time of {name} against length"
    measure(claim, slope, between=between, name=f"exponent-{name}", what=what, digits=2)
# sabotage: mech-on2-computation/exponent-attention: ((self_attention, "attention" => ((gru, "attention"

# %% [markdown]
r"""
Attention compares all pairs: n²d multiply-adds for the scores and as many for the means. A recurrent network makes n
steps of d² each. Which is more depends on whether n exceeds d. And quadratic work does not mean quadratic memory, as
section 10 shows.

*Verdict on `mech-on2-computation`: holds with a caveat.*

What does the quadratic price buy? In attention, any two positions are one step apart. In a recurrent network the first
word reaches the last through all states between. How much of it arrives? The **Jacobian** of the last output with
respect to the first input says how strongly the one moves with the other. Both networks have random weights here.
"""

# %%
claim = "mech-distance-o1"
torch.manual_seed(0)
recurrent = nn.GRU(32, 32, batch_first=True).double()


def influence(function, n):
    """Norm of the Jacobian of the last output with respect to the first of n random inputs."""
    first, rest = torch.randn(1, n, 32, dtype=torch.float64).split([1, n - 1], dim=1)
    return torch.func.jacrev(lambda first: function(torch.cat((first, rest), 1))[0, -1])(first).norm().log10().item()


arrives = {n: (influence(self_attention, n), influence(lambda x: recurrent(x)[0], n)) for n in (8, 64, 512)}
allowed = {8: ((-4, 1), (-3, 0)), 64: ((-4, 1), (-20, -8)), 512: ((-5, 0), (-200, -60))}
for n in arrives:
    for name, power, between in zip(("attention", "gru"), arrives[n], allowed[n], strict=True):
        what = f"influence of the first of {n} inputs on the last output, {name}: 10 to the power"
        measure(claim, power, between=between, name=f"{name}-{n}", what=what, digits=2)
# sabotage: mech-distance-o1/gru-64: recurrent(x)[0] => self_attention(x)

# %% [markdown]
r"""
Sixty-four steps through random states leave less than a millionth of a millionth of the influence. Attention has lost
about what a mean over more words must lose.

*Verdict on `mech-distance-o1`: holds with a caveat. One step per layer, and in a decoder only backwards. The second
gain is that all positions can be computed at once, while a recurrent network must take its n steps one by one.*

Random weights are not trained ones. So train both. The task: the first word is one of ten; noise follows; at the end
the first word is asked for. Two models of similar size get the same 300 batches, once with 8 words of noise and once
with 64.

**Predict.** Chance is 0.1. Which of the four combinations fails?
"""


# %%
class RecurrentModel(nn.Module):
    """Words go into a GRU, logits come out of its states."""

    def __init__(self):
        super().__init__()
        self.embedding, self.gru, self.head = nn.Embedding(21, 48), nn.GRU(48, 48, batch_first=True), nn.Linear(48, 21)

    def forward(self, tokens):
        return self.head(self.gru(self.embedding(tokens))[0])


def recall_texts(n, distance, seed):
    """n texts: a word from 0 to 9, noise from 10 to 19, and 20, which asks for the first word."""
    noise = torch.randint(10, 20, (n, distance + 2), generator=torch.Generator().manual_seed(seed))
    return torch.cat((noise[:, :1] - 10, noise[:, 1:-1], torch.full((n, 1), 20)), dim=1)


# %%
def recall(make_model, lr, distance):
    """Train on the task, and return how many parameters there are and the share of right answers to new texts."""
    torch.manual_seed(0)
    student = make_model().to(device())

    def loss(model, texts):
        return F.cross_entropy(model(texts)[:, -1], texts[:, 0])

    train(student, lambda step: recall_texts(32, distance, step), loss, steps=300, lr=lr)
    texts = recall_texts(1000, distance, seed=10**6).to(device())
    with torch.no_grad():
        right = student(texts)[:, -1].argmax(-1) == texts[:, 0]
    return sum(p.numel() for p in student.parameters()), right.double().mean()


# %%
def transformer():
    return Decoder(Config(vocab_size=21, d_model=32, n_heads=2, n_layers=1))


claim = "prob-replace-rnns"
for name, make_model, lr, far in (("attention", transformer, 3e-3, (0.9, 1)), ("gru", RecurrentModel, 4e-3, (0, 0.5))):
    for distance, between in ((8, (0.8, 1)), (64, far)):
        size, right = recall(make_model, lr, distance)
        what = f"{name}, {distance} words back: first word recalled"
        measure(claim, right, between=between, name=f"{name}-{distance}", what=what)
    print(f"parameters of {name}: {size}")
# sabotage: prob-replace-rnns/gru-64: RecurrentModel, 4e-3 => transformer, 3e-3

# %% [markdown]
r"""
Both learn the short task. At 64 words the GRU has not found it after 300 steps, and the Jacobian above suggests
why: hardly any gradient reaches the first word. That is a statement about this training, not about what a GRU can
represent: with a learning rate of 0.01, some seeds make it. Try.

*Verdict on `prob-replace-rnns`: holds with a caveat. The paper showed it for translation and parsing, and practice
followed. Recurrent ideas have come back, for a reason that section 12 measures.*

## 8. The KV cache

A decoder writes one token at a time. The keys and values of earlier tokens do not change, since no token sees the
future. So store them: this is the **KV cache**. Each step then computes one query, one key and one value.

**Exercise 5** (20 minutes, difficulty 4 of 5, 4 points).
"""


# %% exercise
def cached_attention(query, key, value, past_keys, past_values):
    """Append the new keys and values to the past ones, attend causally, and return (output, all keys, all values).

    All arguments are [..., positions, width]; the first three belong to the new positions, of which there may be
    several. A new position sees the past, the new positions before it, and itself.
    """
    ### BEGIN SOLUTION
    keys, values = torch.cat((past_keys, key), dim=-2), torch.cat((past_values, value), dim=-2)
    new, past = key.shape[-2], past_keys.shape[-2]
    mask = torch.ones(new, past + new, dtype=torch.bool, device=key.device).tril(past)
    scores = (query @ keys.mT / math.sqrt(query.shape[-1])).masked_fill(~mask, float("-inf"))
    return scores.softmax(-1) @ values, keys, values
    ### END SOLUTION


check("cached_attention", cached_attention)

# %% [markdown]
r"""
**Predict.** The world decoder writes n tokens, once with the cache and once without. Are the texts equal? How does the
ratio of the work grow with n?
"""

# %%
claim = "since-kv-cache"
prompt = torch.from_numpy(world.prompt("the")).to(device())


def write(n, use_cache):
    return sampling.generate(model, prompt, max_new_tokens=n, greedy=True, use_cache=use_cache).tokens


same = (write(120, True) == write(120, False)).double().mean()
measure(claim, same, between=(1, 1), name="same", what="share of equal tokens, with and without cache")
saved = {n: multiply_adds(write, n, False) / multiply_adds(write, n, True) for n in (15, 30, 60, 120)}
for n, ratio in saved.items():
    between = (round(0.9 * (n + 2) / 2, 2), round(1.1 * (n + 2) / 2, 2))
    measure(claim, ratio, between=between, name=f"work-{n}", what=f"{n} tokens: work without cache, over with it")
# sabotage: since-kv-cache/work-15: write, n, True => write, n, False

# %% [markdown]
r"""
The text is the same, and the work without a cache is about n/2 times as much: step i processes i tokens in place of
one. That is counted. Does the clock agree? For the time of one step we need a model in which the work outweighs the
calls: 4 layers of width 256, and 511 tokens behind us.
"""

# %%
torch.manual_seed(0)
larger = Decoder(Config(vocab_size=300, d_model=256, n_heads=8, n_layers=4, max_len=512)).eval()
tokens = torch.randint(300, (1, 512), generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    cache = larger.empty_cache(batch=1)
    larger(tokens[:, :511], cache)

    def next_step():
        for layer in cache:
            layer.length = 511  # forget the step before, so that each run does the same
        larger(tokens[:, 511:], cache)

    faster = seconds(larger, tokens) / seconds(next_step)
measure(
    claim, faster, between=(3, 1000), name="time-512", what="time of step 512 without cache, over with it", digits=2
)

# %% [markdown]
r"""
The price is memory. It grows with every token, for every user at the same time, and in the end it limits how many
users a machine can serve. PagedAttention manages it in blocks, like pages of virtual memory
([Kwon and others, 2023](../chapters/bibliography.md)).

*Verdict on `since-kv-cache`: missing in the notes, and needed to understand the next section.*

## 9. What sharing keys and values is for

For each token a model stores a key and a value, in each layer and for each key-value head. So the cache has

$$2 \cdot n_\text{layers} \cdot n_\text{kv heads} \cdot d_\text{head} \cdot \text{bytes}$$

per token. The table has the sizes as published: Falcon ([Almazrouei and others, 2023](../chapters/bibliography.md), and
[Technology Innovation Institute, 2023](../chapters/bibliography.md)), Llama 2 ([Touvron and others,
2023](../chapters/bibliography.md)).

**Predict.** The notes say that Falcon and LLaMA 2 use multi-query attention, one key-value head. Which of the six do?
"""

# %%
MODELS = {  # layers, query heads, key-value heads, width of a head
    "Falcon-7B": (32, 71, 1, 64),
    "Falcon-40B": (60, 128, 8, 64),
    "Falcon-180B": (80, 232, 8, 64),
    "Llama-2-7B": (32, 32, 32, 128),
    "Llama-2-13B": (40, 40, 40, 128),
    "Llama-2-70B": (80, 64, 8, 128),
}
kinds = {name: "MQA" if kv == 1 else "MHA" if kv == h else f"GQA, {kv}" for name, (_, h, kv, _) in MODELS.items()}
print(kinds)
# The defaults of transformers' config classes are these two models.
falcon, llama = FalconConfig(), LlamaConfig()
print("Falcon-7B:", falcon.num_hidden_layers, falcon.num_attention_heads, "multi-query:", falcon.multi_query)
print("Llama-2-7B:", llama.num_hidden_layers, llama.num_attention_heads, llama.num_key_value_heads)


# %%
def cache_bytes(n_layers, n_kv_heads, d_head, tokens=1, bytes_per_number=2):
    """Bytes of the keys and values of some tokens; 2 bytes a number is float16."""
    return 2 * n_layers * n_kv_heads * d_head * tokens * bytes_per_number


claim = "mech-mqa-falcon-llama2"
print("models with one key-value head:", [name for name, kind in kinds.items() if kind == "MQA"])
kib = {name: cache_bytes(layers, kv, d_head) / 2**10 for name, (layers, _, kv, d_head) in MODELS.items()}
for (name, size), expected in zip(kib.items(), (8, 120, 160, 512, 800, 320), strict=True):
    slug, what = f"kib-{name.lower()}", f"{name} ({kinds[name]}): cache per token"
    measure(claim, size, between=(expected, expected), name=slug, what=what, unit="KiB")
whole = cache_bytes(80, 64, 128) / 2**10
measure(claim, whole, between=(2560, 2560), name="kib-70b-mha", what="Llama-2-70B if it were multi-head", unit="KiB")
# sabotage: mech-mqa-falcon-llama2/kib-falcon-7b: layers, _, kv, d_head => layers, kv, _, d_head

# %%
# alt: Six bars. Falcon-7B needs 8 KiB a token, Llama-2-13B 800; Llama-2-70B needs 320, less than the smaller Llamas.
ax = plotting.bars({"cache": list(kib.values())}, list(kib), unit="cache per token (KiB, float16)")

# %% [markdown]
r"""
The largest Llama needs less cache per token than the smallest.

*Verdict on `mech-mqa-falcon-llama2`: wrong. Of the six, Falcon-7B alone is multi-query. The two larger Falcons and
Llama 2 70B share in groups, and the small Llamas do not share at all.*

Why do they share? The notes say: for a much larger training batch, thanks to shared parameters. Let us see what sharing
changes in training. Three numbers of one block of width 512 with 16 heads: its parameters, the multiply-adds of a
training step, and the bytes that the step must keep for the backward pass, which is what limits the batch.

**Predict.** By how much does each shrink, from 16 key-value heads to one?
"""


# %%
def training_step(block, texts):
    block(texts, attention.causal_mask(256)).sum().backward()


def kept_bytes(block, texts):
    """Bytes that the forward pass stores for the backward pass, weights aside."""
    weights, kept = {p.untyped_storage().data_ptr() for p in block.parameters()}, {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = (storage.nbytes(), tensor)  # held, so that no address is used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        output = block(texts, attention.causal_mask(256))
    del output
    return sum(size for address, (size, _) in kept.items() if address not in weights)


# %%
claim = "mech-mqa-training-batch"
batch = torch.randn(2, 256, 512, generator=torch.Generator().manual_seed(0))
blocks = {kv: Block(512, 16, kv) for kv in (16, 1)}
gains = {
    "parameters": (lambda kv: sum(p.numel() for p in blocks[kv].parameters()), (1.1, 1.3)),
    "multiply-adds": (lambda kv: multiply_adds(training_step, blocks[kv], batch), (1.05, 1.3)),
    "bytes kept": (lambda kv: kept_bytes(blocks[kv], batch), (1.0, 1.2)),
    "cache": (lambda kv: cache_bytes(1, kv, 32), (16, 16)),
}
for name, (size, between) in gains.items():
    what = f"{name}, multi-head over multi-query"
    measure(claim, size(16) / size(1), between=between, name=name.replace(" ", "-"), what=what)
# sabotage: mech-mqa-training-batch/bytes-kept: kept_bytes(blocks[kv], batch) => cache_bytes(1, kv, 32)

# %% [markdown]
r"""
A training step saves some arithmetic, because the key and value maps are smaller. The bytes that limit the batch shrink
by a few percent, which makes no "much larger batch". The cache shrinks 16-fold. A decoding step reads all of it and
uses each number in a single multiply-add for each query head, so it is mostly reading. Sharing makes it read less,
**if** the shared heads are not copied first.

Below, one decoding step of attention: 4 sequences with 2,048 tokens behind them, 16 query heads of width 64.

**Predict.** How much faster is the step with one key-value head? And if the program first repeats that head 16 times?
"""

# %%
claim = "mech-mqa-training-batch"
query = torch.randn(4, 16, 1, 64)


def repeat_first(query, key, value):
    """The same result, from copies of the shared heads."""
    times = query.shape[1] // key.shape[1]
    return attention.attention(query, key.repeat_interleave(times, 1), value.repeat_interleave(times, 1))


with torch.no_grad():
    caches = {kv: torch.randn(2, 4, kv, 2048, 64) for kv in (16, 4, 1)}
    grouped = {kv: seconds(attention.grouped_attention, query, *cache) for kv, cache in caches.items()}
    repeated = {kv: seconds(repeat_first, query, *cache) for kv, cache in caches.items()}
print("cache of this layer:", {kv: f"{cache.nbytes / 2**20:g} MiB" for kv, cache in caches.items()})

# %%
for kv, between in {4: (1.2, 30), 1: (1.5, 60)}.items():
    what = f"time with 16 key-value heads, over that with {kv}"
    measure(claim, grouped[16] / grouped[kv], between=between, name=f"faster-{kv}", what=what, digits=2)
what = "the same, if the one head is repeated first"
measure(claim, grouped[16] / repeated[1], between=(0.005, 1.2), name="repeat-destroys", what=what, digits=1)
# sabotage: mech-mqa-training-batch/faster-4: grouped[16] / grouped[kv] => grouped[16] / repeated[kv]

# %% [markdown]
r"""
Repeating first makes the step slower than multi-head attention, which needs no copy: the copy has to be written and
read in full. The same formula, the same result, and the whole gain is lost.

*Verdict on `mech-mqa-training-batch`: wrong. The gain is in decoding: less cache to keep and less to read
([Shazeer, 2019](../chapters/bibliography.md); [Pope and others, 2023](../chapters/bibliography.md)).*

What does it cost in quality? Models that exist can be converted: replace the key maps of a group by their mean, the
value maps likewise, and go on training for a small part of the steps ("uptraining",
[Ainslie and others, 2023](../chapters/bibliography.md)). The world decoder was trained for 6,000 steps. We convert it
and give each version 60 more, 1% of that.

**Predict.** How bad is the multi-query version before the 60 steps, and after?
"""


# %%
def converted(n_kv_heads):
    """The world decoder with fewer key-value heads: each is the mean of those of its group."""
    state, group = model.state_dict(), model.config.n_heads // n_kv_heads
    for name in state:
        if ".attention.key." in name or ".attention.value." in name:
            state[name] = state[name].unflatten(0, (n_kv_heads, group, 16)).mean(1).flatten(0, 1)
    result = Decoder(replace(model.config, n_kv_heads=n_kv_heads)).to(device())
    result.load_state_dict(state)
    return result


def loss_now(version):
    with torch.no_grad():
        return next_token_loss(version, documents[:, :64]).item()


# %%
claim = "since-gqa-mla"
steps = {"cpu": 60, "gpu": 300}[profile()]
more = torch.from_numpy(world.sample(16 * steps, 63, seed=77).tokens)
before, after = {}, {}
for kv in (4, 2, 1):
    version = converted(kv)
    before[kv] = loss_now(version)
    with metered(claim, tokens=more.numel(), name=f"gpu-{kv}"):
        train(version, lambda step: more[16 * step : 16 * step + 16], next_token_loss, steps=steps, lr=4e-3)
    after[kv] = loss_now(version)

# %%
unit = "nats per token"
for kv, name, at_once, later in ((2, "gqa", (0.15, 0.4), (-0.03, 0.05)), (1, "mqa", (1.0, 2.0), (-0.02, 0.12))):
    what = f"loss of {kv} key-value heads over that of 4"
    measure(claim, before[kv] - before[4], between=at_once, name=f"{name}-before", what=f"{what}, converted", unit=unit)
    what = f"{what}, all after {steps} further steps"
    measure(claim, after[kv] - after[4], between=later, name=f"{name}-after", what=what, unit=unit)
# sabotage: since-gqa-mla/gqa-after: after[kv] - after[4] => before[kv] - after[4]

# %% [markdown]
r"""
Straight after the conversion both are worse, and multi-query is ruined. After 1% of the training the two-head version
is as good as the original with the same extra steps, and the one-head version nearly. That is a small model, at each of
five seeds; the paper reports the same for large ones, with 5%.

Where there is a GPU, three bigger decoders with 8, 2 and 1 key-value heads learn from the start, in half precision.
"""

# %%
if profile() == "gpu":
    read = documents[:, :64]
    fresh = torch.from_numpy(world.sample(64 * 1000, 63, seed=78).tokens).split(64)
    for kv in (8, 2, 1):
        torch.manual_seed(0)
        size = Config(vocab_size=world.vocab_size, d_model=256, n_heads=8, n_layers=4, n_kv_heads=kv)
        big = Decoder(size).to(device())
        with metered(claim, tokens=64 * 1000 * 64, name=f"gpu-big-{kv}"):
            train(big, fresh.__getitem__, next_token_loss, steps=1000, lr=2.6e-3, precision=dtype())
        with torch.no_grad():
            gap = world.divergence(read.cpu().numpy(), big(read).cpu().numpy()).mean()
        what = f"bigger decoder, {kv} key-value heads: loss above the floor"
        measure(claim, gap, between=(0, 0.1), name=f"big-{kv}", what=what, unit="nats per token")
else:
    print("In the gpu profile this cell trains three decoders of about 3 million weights on 4 million tokens each.")

# %% [markdown]
r"""
**Latent attention** (MLA) goes another way: it caches one short vector per token and layer, from which keys and values
of all heads are made, and beside it a small key that carries the position. DeepSeek-V2 has 60 layers, a latent of 512
and a position key of 64; its predecessor with 67 billion parameters has 95 layers and 8 key-value heads of width 128
([DeepSeek-AI, 2024](../chapters/bibliography.md)).

**Predict.** The report says that its cache is 93.3% smaller than that of the predecessor. Does the formula agree?
"""

# %%
claim = "since-gqa-mla"
per_token = {"latent": 60 * (512 + 64) * 2}  # no factor 2 for keys and values: both are made from the latent
per_token |= {name: cache_bytes(60, kv, 128) for name, kv in {"mha": 128, "gqa": 8, "mqa": 1}.items()}
per_token["predecessor"] = cache_bytes(95, 8, 128)
for (name, size), kib in zip(per_token.items(), (67.5, 3840, 240, 30, 380), strict=True):
    what = f"{name}: cache per token in float16"
    measure(claim, size / 2**10, between=(kib, kib), name=f"kib-{name}", what=what, unit="KiB")
ratio = per_token["latent"] / per_token["predecessor"]
for name, bits, between in (("saved", 16, (82, 82.5)), ("saved-6-bits", 6, (93.2, 93.4))):
    what = f"cache saved against the predecessor, {bits} bits a number in the latent"
    measure(claim, 100 * (1 - ratio * bits / 16), between=between, name=name, what=what, unit="%")

# %% [markdown]
r"""
At equal precision the latent saves 82%. The reported 93.3% comes out if the latent's numbers have 6 bits, as the report
says of its deployment, and the predecessor's 16. So a part of the saving is quantisation, and would be open to any
model.

*Verdict on `since-gqa-mla`: missing in the notes. Mixtral and Llama 3 use grouped-query attention ([Jiang and others,
2024](../chapters/bibliography.md); [Grattafiori and others, 2024](../chapters/bibliography.md)); the latent is smaller
than 8 groups and larger than multi-query.*

## 10. Quadratic work in linear memory

Section 7 counted n² scores. Must they ever be in memory all at once? The softmax seems to need a whole row, for its
sum. It does not: keep the largest score so far and the sum so far, and when a larger score comes, shrink what was
summed. This is the idea of FlashAttention, and our `tiled_attention` does it, 16 keys at a time.

**Predict.** How large is its error? When the length doubles, by how much does the largest tensor grow?
"""


# %%
class Largest(TorchDispatchMode):
    """While it is on, remembers how many numbers the largest tensor has that was made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        self.numbers = max([self.numbers, *(x.numel() for x in tree_leaves(made) if isinstance(x, torch.Tensor))])
        return made


def largest(function, *inputs):
    with Largest() as watch:
        function(*inputs)
    return watch.numbers


# %%
claim = "since-flashattention"
long = torch.randn(1, 2048, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
tiled = attention.tiled_attention(long, long, long, 16)
for name, other in {"error": self_attention(long), "torch": F.scaled_dot_product_attention(long, long, long)}.items():
    what = {"error": "tiled minus full attention, at most", "torch": "tiled minus torch's, at most"}[name]
    measure(claim, (tiled - other).abs().max(), between=(0, 1e-13), name=name, what=what, digits=1)
half = long[:, :1024]
tiles = [largest(attention.tiled_attention, part, part, part, 16) for part in (half, long)]
full = [largest(self_attention, part) for part in (half, long)]
measure(claim, tiles[1] / tiles[0], between=(2, 2), name="tiled", what="largest tensor, length doubled, tiled")
measure(claim, full[1] / full[0], between=(4, 4), name="full", what="largest tensor, length doubled, full")
# sabotage: since-flashattention/tiled: attention.tiled_attention, part, part, part, 16 => self_attention, part
# sabotage: since-flashattention/error: attention.tiled_attention(long, long, long, 16) => long

# %% [markdown]
r"""
The same result to the last digits, the same number of multiplications, and no n × n matrix. On a GPU the tiles stay in
fast memory, which is where the speed comes from ([Dao and others, 2022](../chapters/bibliography.md)); PyTorch's
`scaled_dot_product_attention` uses such kernels.

*Verdict on `since-flashattention`: missing in the notes; it corrects "attention needs quadratic memory".*

## 11. A million tokens

**Predict.** How many GPUs with 80 GB does the cache of a single text of 2²⁰ tokens fill, for Llama 2 7B?
"""

# %%
# sabotage: since-long-context/gib-gqa: cache_bytes(32, kv, 128 => cache_bytes(32, 32, 128
claim = "since-long-context"
for name, (kv, expected) in {"mha": (32, 512), "gqa": (8, 128), "mqa": (1, 16)}.items():
    gib = cache_bytes(32, kv, 128, tokens=2**20) / 2**30
    what = f"cache of 2^20 tokens, Llama-2-7B with {kv} key-value heads"
    measure(claim, gib, between=(expected, expected), name=f"gib-{name}", what=what, unit="GiB")
gpus = cache_bytes(32, 32, 128, tokens=2**20) / 80e9
measure(claim, gpus, between=(6.8, 6.9), name="gpus", what="GPUs of 80 GB that it fills, multi-head", digits=2)

# %% [markdown]
r"""
*Verdict on `since-long-context`: missing in the notes. Windows of a million tokens exist
([Gemini Team, 2024](../chapters/bibliography.md)), at the price of the cache; and a long window is not a long memory:
tests find that models use less of it than they accept ([Hsieh and others, 2024](../chapters/bibliography.md)), and the
middle least ([Liu and others, 2024](../chapters/bibliography.md)).*

## 12. A memory of fixed size

State-space models such as Mamba ([Gu and Dao, 2023](../chapters/bibliography.md)) keep no cache. They carry a **state**
of fixed size, as a recurrent network does, and update it with each token. What can such a state not do?

The test is **associative recall**: store n pairs of key and value, then ask for the value of each key. The simplest
fixed state adds up the products of keys and values, $S = \sum_i k_i^\top v_i$, and answers $q S$: this is linear
attention ([Katharopoulos and others, 2020](../chapters/bibliography.md)). Keys are random directions in 16 dimensions,
values are one of 32 symbols.

**Predict.** The state has 16 × 32 numbers. From how many pairs on does it make mistakes? And attention over a cache?
"""

# %%
generator = torch.Generator().manual_seed(0)


def recalled(n):
    """Share of n stored values that a fixed state and that attention find again, with the size of their memories."""
    keys = F.normalize(torch.randn(4096 // n, n, 16, generator=generator), dim=-1)
    symbols = torch.randint(32, keys.shape[:2], generator=generator)
    values = F.one_hot(symbols, 32).float()
    state = keys.mT @ values  # [16, 32], however many pairs there are
    answers = {"state": keys @ state, "attention": attention.attention(32 * keys, keys, values)}
    sizes = {"state": state[0].numel(), "attention": keys[0].numel() + values[0].numel()}
    return {
        name: ((answer.argmax(-1) == symbols).double().mean().item(), sizes[name]) for name, answer in answers.items()
    }


found = {n: recalled(n) for n in (4, 16, 64, 256)}

# %%
claim = "since-ssm-hybrids"
for n, between in ((4, (0.99, 1)), (16, (0.95, 1)), (64, (0.6, 0.8)), (256, (0.2, 0.4))):
    (state, _), (attends, _) = found[n].values()
    measure(claim, state, between=between, name=f"state-{n}", what=f"recalled of {n} pairs by a fixed state")
    measure(claim, attends, between=(0.999, 1), name=f"attention-{n}", what=f"recalled of {n} pairs by attention")
for name, expected in {"state": 1, "attention": 64}.items():
    growth = found[256][name][1] / found[4][name][1]
    measure(
        claim, growth, between=(expected, expected), name=f"memory-{name}", what=f"memory at 256 pairs over 4, {name}"
    )
# sabotage: since-ssm-hybrids/state-64: found[n].values() => found[4].values()

# %%
# alt: Recall against pairs from 4 to 256. Attention stays at 1; the fixed state falls from 1 to less than a third.
recall_curves = {name: [found[n][name][0] for n in found] for name in ("attention", "state")}
ax = plotting.curves(list(found), recall_curves, xlabel="pairs stored", ylabel="share recalled", log_x=True)

# %% [markdown]
r"""
The state costs the same at any length, and that is its charm; but it has room for so much and no more. Real state-space
models choose better what to keep. The size still is fixed, and hybrids keep some attention layers for recall
([Lieber and others, 2024](../chapters/bibliography.md)).

*Verdict on `since-ssm-hybrids`: missing in the notes. Constant memory against exact recall is the trade.*

## With a real model

In the `gpu` profile, or when you ask for them, the next cells load two models. To GPT-2 (`openai-community/gpt2`: 124
million parameters, 549 MB, licence MIT) they put the questions of section 5: which of its 144 heads look from the end
of "The keys to the old cabinet" back to *keys*, and does the verb need them? In SmolLM2 (`HuggingFaceTB/SmolLM2-135M`:
135 million parameters, 271 MB, licence Apache-2.0) groups of three heads share keys and values; our attention takes the
place of one of its layers.
"""


# %%
def plural_share(gpt2, tokenizer, tokens):
    """P(are) / (P(are) + P(is)) for the next word."""
    are, is_ = (tokenizer.encode(word)[0] for word in (" are", " is"))
    p = gpt2(tokens).logits[0, -1].float().softmax(-1)
    return (p[are] / (p[are] + p[is_])).item()


def silence(gpt2, layer, head):
    """Stop what one head writes, and return a function that undoes it."""
    weight = gpt2.transformer.h[layer].attn.c_proj.weight
    width = weight.shape[0] // gpt2.config.n_head
    rows = weight[width * head : width * head + width]
    saved = rows.clone()
    rows.zero_()
    return lambda: rows.copy_(saved)


# %%
def look_into_gpt2(gpt2, tokenizer, text="The keys to the old cabinet"):
    """Print how GPT-2 agrees, and how it does without each of the heads that look at the second word most."""
    tokens = torch.tensor([tokenizer.encode(text)], device=device())
    weights = torch.stack(gpt2(tokens, output_attentions=True).attentions)[:, 0, :, -1]  # [layers, heads, words]
    print(f"{text} ... are, not is: {plural_share(gpt2, tokenizer, tokens):.3f}")
    for place in weights[:, :, 1].flatten().argsort(descending=True)[:5].tolist():
        layer, head = divmod(place, weights.shape[1])
        undo = silence(gpt2, layer, head)
        share = plural_share(gpt2, tokenizer, tokens)
        undo()
        print(f"layer {layer}, head {head}: weight {weights[layer, head, 1]:.2f}; without it {share:.3f}")


if loaded := hub.offer("decoder", dtype=torch.float32, read_attention=True):
    with torch.no_grad():
        look_into_gpt2(*loaded)

# %% [markdown]
r"""
Do not expect one head that decides. Where several heads can do the same, silencing one changes little; that does not
show that it does nothing.

**Predict.** How many bytes of float32 does SmolLM2's cache take for a token, in 30 layers of 3 shared heads, 64 wide?
"""

# %%
from functools import partial

from labutils import positions


def our_layer(theirs, config):
    """The course's attention with the weights of a layer of SmolLM2, which has no biases."""
    heads = config.num_attention_heads, config.num_key_value_heads
    ours = MultiHeadAttention(config.hidden_size, *heads).to(theirs.q_proj.weight.device)
    for name, part in {"query": "q", "key": "k", "value": "v", "output": "o"}.items():
        getattr(ours, name).weight.copy_(getattr(theirs, f"{part}_proj").weight)
        getattr(ours, name).bias.zero_()
    return ours


# %%
@torch.no_grad()
def compare_layers(smol, tokenizer, text="The keys to the old cabinet"):
    """Print how far our attention is from SmolLM2's in its last layer, and the size of its cache."""
    tokens, kept = torch.tensor([tokenizer.encode(text)], device=device()), {}
    theirs, n = smol.model.layers[-1].self_attn, tokens.shape[1]
    theirs.register_forward_hook(lambda _, __, given, out: kept.update(given, out=out[0]), with_kwargs=True)
    cache = smol(tokens, use_cache=True).past_key_values
    base = smol.config.rope_parameters["rope_theta"]
    angles = positions.rotary_angles(torch.arange(n, device=device()), theirs.head_dim, base=base)
    turn = partial(positions.rotary, angles=angles)
    mask = attention.causal_mask(n, device=device())
    ours = our_layer(theirs, smol.config)(kept["hidden_states"], mask, rotate=turn)
    print(f"largest difference from the model's own layer: {(ours - kept['out']).abs().max():.1e}")
    print("bytes of cache a token:", sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers) // n)


# %%
if loaded := hub.offer("base", dtype=torch.float32):
    compare_layers(*loaded)

# %% [markdown]
r"""

## What you have shown

- Self-, multi-head, multi-query, grouped-query and cross-attention are one function; they differ in where keys and
  values come from and in how many heads share them.
- In a trained model one head carries the number of the subject to the verb, another makes that possible, and most can
  be silenced. Large weights alone would have pointed to a head that does nothing for it.
- Work grows with the square of the length, memory need not, and any two words are one step apart.
- The cache makes a step cheap and fills the memory. Multi-query and grouped-query attention shrink it. That is what
  they are for; in training they save little.
- A fixed state costs the same at any length and forgets. Attention does neither.

## Where to go next

Lab 09 asks how attention knows the order of its words, and what the rest of the block is for. The chapter on
[attention](../chapters/03_attention.md) proves what you measured, and ends with a quiz.
"""
