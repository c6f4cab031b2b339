# %% [markdown]
r"""
# Lab 05: Masked language modelling

Hide some words of a text and let a model find them. It may look to the left and to the right, so it becomes a reader
rather than a writer: an **encoder**, as BERT is. In this lab you hide the words, count the loss, and find out what such
a reader knows that a writer of the same size does not.

**What you will measure.** How far a trained encoder is from the exact law of the hidden words. What the odd rule "80%
mask, 10% random, 10% unchanged" does. What next-sentence prediction teaches. What a frozen encoder and a frozen decoder
know about number, topic and sentiment. Whether an encoder can write.

**What you need.** Cross-entropy and the two masks of the chapter on
[pretraining](../chapters/02_pretraining.md). Lab 04 does the same for a decoder.

**Time.** Reading and exercises: about 110 minutes. The cells run in under a minute on two cores; on a T4 the small
trainings are longer, a bigger model follows them, and BERT itself is asked.

**Claims settled** (see the [ledger](../chapters/ledger.md)): everything the notes say on encoder-only models, their
loose end about ELMo, and the later additions on diffusion language models and on the return of encoders.
"""

# %% setup

# %%
import collections
import copy
import re
import time
from itertools import pairwise

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

# %%
from labutils import corpora, hub, plotting, sampling
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Encoder
from labutils.objectives import kl_to_law, mask_tokens, masked_loss, sentence_pairs
from labutils.runtime import device, dtype, profile
from labutils.training import metered, train
from labutils.weights import load_world_decoder, load_world_encoder
from labutils.world import BOS, LAND_AND_SEA, MASK, World

world = World()
encoder, decoder = load_world_encoder().to(device()), load_world_decoder().to(device())

# %% [markdown]
r"""
## 1. Hiding words

The notes say that "a fraction of the tokens" is masked, and end the paragraph with a stray remark about masking. The
missing rule is BERT's ([Devlin and others, 2019](../chapters/bibliography.md)). Each token is **chosen** with
probability 15%. A chosen token has one of three fates: with 80% it becomes the **mask**, a token that stands for no
word; with 10% it becomes a random word; with 10% it stays as it is. The model must predict the true word at *all*
chosen positions, and is not told which of the visible words were chosen.

**Predict.** Of 100,000 tokens, how many become the mask?

To make the rule testable, the random draws are given to you.

**Exercise 1** (15 minutes, difficulty 2 of 5, 3 points).
"""


# %% exercise
def hide_words(tokens, choice, fate, replacement, rate, special, mask_token):
    """Return the corrupted tokens and which positions were chosen, both of the shape of `tokens` [..., seq].

    A position is chosen if `choice` is below `rate` and its token is not one of the list `special`. A chosen token
    becomes `mask_token` if its `fate` is below 0.8, its word in `replacement` from 0.9 on, and stays in between.
    """
    ### BEGIN SOLUTION
    chosen = (choice < rate) & ~torch.isin(tokens, torch.tensor(special))
    corrupted = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    return torch.where(chosen & (fate >= 0.9), replacement, corrupted), chosen
    ### END SOLUTION


check("hide_words", hide_words)

# %%
claim = "enc-stray-mask-note"
text = torch.from_numpy(world.sample(1000, 100, seed=1).tokens)
generator = torch.Generator().manual_seed(0)
corrupted, chosen = mask_tokens(text, generator, mask_token=MASK, vocab_size=world.vocab_size, special=(BOS,))
n, masked, same = 100_000, corrupted == MASK, corrupted == text
counts = {"masked": masked, "random": ~masked & ~same, "kept": chosen & same, "untouched": same & ~chosen}
allowed = {"masked": (11.6, 12.4), "random": (1.35, 1.65), "kept": (1.35, 1.65), "untouched": (84.4, 85.6)}
for name, where in counts.items():
    share = 100 * where[:, 1:].sum() / n
    measure(claim, share, between=allowed[name], name=name, what=f"tokens {name}", unit="%")
share = 100 * chosen.sum() / n
measure("enc-mlm-fraction", share, between=(14.4, 15.6), name="chosen", what="tokens to be predicted", unit="%")
share = 100 * masked.sum() / chosen.sum()
measure("enc-mlm-fraction", share, between=(79, 81), name="masked", what="of these, hidden by the mask", unit="%")
# sabotage: enc-stray-mask-note/masked: special=(BOS,)) => special=(BOS,), rate=0.3)
# sabotage: enc-mlm-fraction/masked: masked.sum() / chosen => counts["untouched"].sum() / chosen

# %% [markdown]
r"""
*Verdicts. `enc-stray-mask-note`: a leftover; this rule belongs there. `enc-mlm-fraction`: holds with a caveat. The
fraction is 15%, and a fifth of it is not masked at all.*

Two items are about words and history, and nothing can be measured about them. `enc-bert-first-adoption`: that BERT was
the first large language model to be widely taken up is a fair judgement, but ULMFiT
([Howard and Ruder, 2018](../chapters/bibliography.md)), ELMo ([Peters and others, 2018](../chapters/bibliography.md))
and GPT ([Radford and others, 2018](../chapters/bibliography.md)) were in use months before.
`enc-autoencoding-name`: "autoencoding model" is a term that is used
([Yang and others, 2019](../chapters/bibliography.md)), for the objective; BERT has no bottleneck, and the next section
shows that it does not rebuild its input.

## 2. What counts

**Predict.** The model gives scores at every position. At which of them does the loss pull?

**Exercise 2** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def hidden_word_loss(logits, words, corrupted, chosen):
    """Mean of -log p(true word) in nats over the chosen positions of the whole batch.

    `logits` [..., seq, vocab] were computed from `corrupted` [..., seq]; `words` [..., seq] is the text before.
    """
    ### BEGIN SOLUTION
    log_p = logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]
    return -log_p[chosen].mean()
    ### END SOLUTION


check("hidden_word_loss", hidden_word_loss)

# %%
claim = "enc-mlm-reconstruct-sequence"
seen, hidden, words = (x[:50].to(device()) for x in (corrupted, chosen, text))
logits = encoder(seen)
logits.retain_grad()
whole = F.cross_entropy(logits.flatten(0, 1), words.flatten())
masked_loss(logits, words, hidden).backward()
pull = logits.grad.norm(dim=-1)
measure(claim, pull[~hidden].max(), between=(0, 0), name="others", what="largest pull at a position not chosen")
measure(claim, pull[hidden].min(), between=(1e-12, 1), name="chosen", what="smallest pull at a chosen one", digits=1)
ratio = masked_loss(logits, words, hidden) / whole
what = "loss on the chosen positions, over the loss on all"
measure(claim, ratio.detach(), between=(2.5, 8), name="diluted", what=what)
# sabotage: enc-mlm-reconstruct-sequence/others: masked_loss(logits, words, hidden).backward => whole.backward

# %% [markdown]
r"""
The pull is the gradient of the loss at the output. It is exactly zero where no word was chosen. Had we counted all
positions, most of the loss would ask for a copy of what is in plain sight.

*Verdict on `enc-mlm-reconstruct-sequence`: imprecise. BERT's paper says the opposite: unlike a denoising autoencoder
([Vincent and others, 2008](../chapters/bibliography.md)) it predicts the chosen words and does not rebuild the input.
The models that write the whole text anew are BART ([Lewis and others, 2020](../chapters/bibliography.md)) and its kin;
lab 06 has them.*

## 3. The exact answer

What should the model say at a hidden position? A law, not a word. In our small language that law can be computed, given
everything that is visible on both sides. Its entropy is the floor: no model can have a lower loss.

Training a good encoder takes longer than a lab may last. So it comes trained: `tools/train_world_encoder.py` took
five minutes on one core for 2 layers, 120,000 parameters and 12 million tokens. Section 4 trains small ones live.

**Predict.** How often does the best possible guesser find a hidden word: 20%, 50%, 80%? And always saying "the"?
"""

# %%
claim = "enc-denoising-analogy"
unit = "nats per hidden word"


def hide(tokens, rate, seed=0):
    """Hide words at random, all by the mask; never the first token."""
    mask = np.random.default_rng(seed).random(tokens.shape) < rate
    mask[:, 0] = False
    return mask


@torch.no_grad()
def against_the_law(model, language, tokens, mask):
    """The exact law of the hidden words, the model's logits there, and the words themselves."""
    law = torch.from_numpy(language.masked_token_law(tokens, mask))
    logits = model(torch.from_numpy(np.where(mask, MASK, tokens)).to(device())).cpu()
    return law, logits[torch.from_numpy(mask)], torch.from_numpy(tokens[mask])


# %%
documents = world.sample(100, 63, seed=10**6).tokens
law, logits, words = against_the_law(encoder, world, documents, hide(documents, 0.15))
floor, kl = torch.special.entr(law).sum(-1).mean(), kl_to_law(law, logits)
measure(claim, floor, between=(1.15, 1.45), name="floor", what="entropy of the exact law", unit=unit)
measure(claim, 100 * kl / floor, between=(1.5, 3.5), name="above", what="the encoder lies above it by", unit="%")
for name, guess, between in (
    ("law", law.argmax(-1), (0.5, 0.62)),
    ("encoder", logits.argmax(-1), (0.5, 0.62)),
    ("unigram", torch.full_like(words, int(world.unigram().law.argmax())), (0.1, 0.2)),
):
    share = (guess == words).double().mean()
    measure(claim, share, between=between, name=f"found-{name}", what=f"hidden words found, by the {name}")
# sabotage: enc-denoising-analogy/above: against_the_law(encoder, => against_the_law(Encoder(encoder.config),
# sabotage: enc-denoising-analogy/found-encoder: logits.argmax(-1) => logits.argmin(-1)

# %% [markdown]
r"""
Nearly half of the hidden words cannot be known, by anybody. The encoder finds as many as the exact law does; chance
decides which is ahead. "Unigram" always says the most common word. One position, in full:
"""

# %%
sentence = world.prompt("the dogs near the old tree watch a boat")
hidden = np.zeros(sentence.shape, dtype=bool)
hidden[0, 7] = True  # the verb
law, logits, _ = against_the_law(encoder, world, sentence, hidden)
top = law[0].argsort(descending=True)[:6]
guess = logits[0].double().softmax(-1)
likely = [world.vocab[i] for i in top]
print("the dogs near the old tree <mask> a boat:", ", ".join(likely))
for name, p, between in (("law", law[0], (0.999, 1)), ("encoder", guess, (0.97, 1))):
    plural = p[torch.from_numpy(world.tokens_of("ACT.being.many"))].sum()
    measure(claim, plural, between=between, name=f"plural-{name}", what=f"mass on plural verbs with an object, {name}")

# %%
# alt: Six pairs of bars, one a verb. The encoder's probabilities lie close to those of the exact law.
ax = plotting.bars({"exact law": law[0][top].tolist(), "encoder": guess[top].tolist()}, likely, unit="probability")

# %% [markdown]
r"""
All are plural, because of *dogs* to the left, and all take an object, because of *a boat* to the right.

The notes call masking noise and prediction its removal. The 10% of random words are noise in the full sense: nothing
marks them. Does the encoder see them?

**Predict.** At a random word, what does the encoder think: that the word is right, or that another one belongs there?
"""

# %%
claim = "enc-denoising-analogy"
tokens, noisy, picked = (x[:, :64].to(device()) for x in (text[:300], corrupted[:300], chosen[:300]))
with torch.no_grad():
    p = encoder(noisy).softmax(-1)
true, shown = (p.gather(-1, x[..., None])[..., 0] for x in (tokens, noisy))
wrong = picked & (noisy != tokens) & (noisy != MASK)
right = (noisy == tokens) & (tokens != BOS)
measure(claim, shown[wrong].mean(), between=(0, 0.08), name="random-kept", what="belief in a random word that is shown")
measure(claim, true[wrong].mean(), between=(0.4, 0.6), name="random-true", what="in the word that it replaced")
measure(claim, shown[right].mean(), between=(0.88, 0.98), name="right-kept", what="in a word that is right")
# sabotage: enc-denoising-analogy/random-kept: (tokens, noisy)) => (noisy, tokens))

# %% [markdown]
r"""
The encoder distrusts a random word nearly as if it were a mask, and believes in the word that it replaced. *Verdict on
`enc-denoising-analogy`: holds with a caveat: an analogy for the masks, and literal for the random words.* (Why they and
the kept words are there, section 4 asks.)

That it uses both sides can be shown exactly. Change the last word, and look at the vectors of the words before it.

**Predict.** By how much does the vector of the first word move, in the encoder and in the decoder?
"""

# %%
claim = "enc-bidirectional"
one, other = (torch.from_numpy(world.prompt(f"the dogs near the old tree watch a {x}")) for x in ("boat", "coin"))
with torch.no_grad():
    moved = {
        name: (model.hidden(one.to(device())) - model.hidden(other.to(device())))[0, :-1].norm(dim=-1)
        for name, model in {"encoder": encoder, "decoder": decoder}.items()
    }
first = moved["encoder"][1]
measure(claim, first, between=(0.5, 6), name="encoder", what="encoder: how far the first word's vector moves")
measure(claim, moved["decoder"].max(), between=(0, 0), name="decoder", what="decoder: the furthest of all before")
# sabotage: enc-bidirectional/decoder: "decoder": decoder} => "decoder": encoder}

# %% [markdown]
r"""
*Verdict on `enc-bidirectional`: holds. There is no causal mask.*

How many words should be hidden? More hidden words are more to learn from in each text, and leave less to learn them
from.

**Predict.** If 80% of the words are hidden, how uncertain is a hidden word?
"""

# %%
claim = "enc-mlm-fraction"
few = documents[:40]
rates = (0.05, 0.15, 0.3, 0.5, 0.8)
floors, gaps = [], []
for rate in rates:
    law, logits, _ = against_the_law(encoder, world, few, hide(few, rate, seed=1))
    floors.append(torch.special.entr(law).sum(-1).mean().item())
    gaps.append(kl_to_law(law, logits).item())
for i, between in ((1, (1.15, 1.45)), (2, (1.3, 1.5)), (4, (2.3, 2.6))):
    rate = f"{100 * rates[i]:.0f}"
    measure(claim, floors[i], between=between, name=f"floor-{rate}", what=f"floor with {rate}% hidden", unit=unit)
ratio = gaps[4] / gaps[1]
measure(claim, ratio, between=(1.5, 20), name="gap", what="gap of the encoder at 80% over that at 15%")
print("entropy without any context:", f"{world.unigram().cross_entropy:.3f}")

# %%
# alt: Entropy of a hidden word against the share hidden. It rises slowly, then fast, towards that of a word alone.
lines = {"exact law": floors, "encoder": [a + b for a, b in zip(floors, gaps, strict=True)]}
ax = plotting.curves(rates, lines, xlabel="share of words hidden", ylabel="nats per hidden word")

# %% [markdown]
r"""
At 30% a word is hardly harder to find than at 15%, and there are twice as many of them; our encoder was trained at 30%.
For models as large as BERT's larger one, 40% was found to be better than 15%
([Wettig and others, 2023](../chapters/bibliography.md)). The 15% is a choice, not a law.

## 4. Why 80/10/10

The paper's reason: the mask never occurs in the texts on which the model is used later. If all chosen words became
masks, the model would have no need for a good vector at a visible word. Let us train without the rule and see. To be
quick, the language is smaller (40 words, 2 topics), and so is the model.
"""

# %%
small = World(LAND_AND_SEA)
steps = {"cpu": 400, "gpu": 2000}[profile()]
lessons = torch.from_numpy(small.sample(32 * steps, 15, seed=0).tokens)
print(small.vocab_size - 2, "words:", small.decode(lessons[0, 1:]))


# %%
def corrupt(tokens, generator, mask, random):
    """Choose 30% of the words; of these, the shares `mask` and `random` are replaced, and the rest stays."""
    choice, fate, word = torch.rand(3, *tokens.shape, generator=generator)
    chosen = (choice < 0.3) & (tokens != BOS)
    words = 2 + (word * (small.vocab_size - 2)).long()
    corrupted = torch.where(chosen & (fate < mask), MASK, tokens)
    return torch.where(chosen & (fate >= 1 - random), words, corrupted), chosen


# %%
def trained(mask, random, seed=0):
    """A small encoder, trained with these shares."""
    torch.manual_seed(seed)
    model = Encoder(Config(vocab_size=small.vocab_size, d_model=32, max_len=16)).to(device())
    generator = torch.Generator().manual_seed(seed)
    read, picked = corrupt(lessons, generator, mask, random)
    batches = [tuple(x[i : i + 32] for x in (read, lessons, picked)) for i in range(0, len(lessons), 32)]
    train(
        model, batches.__getitem__, lambda m, b: masked_loss(m(b[0]), *b[1:]), steps=steps, lr=1e-2, weight_decay=0.01
    )
    return model


# %% [markdown]
r"""
Three ways to corrupt: BERT's rule; masks alone; and 80% masks with 20% kept, without random words. The test hides 15%
of the words, *all by the mask*. That is what the second model was trained for, and the other two only in part.

**Predict.** Which of the three comes closest to the exact law?
"""

# %%
claim = "enc-denoising-analogy"
ways = {"bert": (0.8, 0.1), "masks": (1.0, 0.0), "kept": (0.8, 0.0)}
with metered(claim, tokens=len(ways) * lessons.numel()):
    models = {name: trained(*shares) for name, shares in ways.items()}
tests = small.sample(400, 15, seed=10**6).tokens
gap = {}
for name, model in models.items():
    law, logits, _ = against_the_law(model, small, tests, hide(tests, 0.15))
    gap[name] = kl_to_law(law, logits).item()
floor = torch.special.entr(law).sum(-1).mean().item()
what = "gap to the exact law, BERT's rule"
measure(claim, gap["bert"], between=(0.1, 0.9), name="gap-bert", what=what, unit=unit)
for name, between in (("masks", (1.15, 5)), ("kept", (0.2, 0.95))):
    measure(claim, gap[name] / gap["bert"], between=between, name=f"gap-{name}", what=f"the same with {name}, over it")
# sabotage: enc-denoising-analogy/gap-masks: "masks": (1.0, 0.0) => "masks": (0.8, 0.0)
# sabotage: enc-denoising-analogy/gap-kept: "kept": (0.8, 0.0) => "kept": (1.0, 0.0)

# %% [markdown]
r"""
A surprise. The model that saw nothing but masks is the worst *at masks*. So the rule does more than prepare for texts
without them: it makes this training faster. And the random words are not what helps; without them, and with more kept
words, the model is better still. On the full language, with four times the steps, masks alone stay far behind, and the
other two are equal (`benchmarks/masking.py`). What the kept words do inside the model is not measured here. And these
are short trainings of small models: at full size masks alone did as well
([Wettig and others, 2023](../chapters/bibliography.md)).

Where there is a GPU, a bigger encoder reads twenty times as many texts as each of these did on two cores, by BERT's
rule and in half precision. How much of the gap is left?
"""

# %%
if profile() == "gpu":
    torch.manual_seed(0)
    big = Encoder(Config(vocab_size=small.vocab_size, d_model=128, n_layers=4, max_len=16)).to(device())
    more = torch.from_numpy(small.sample(128 * 2000, 15, seed=1).tokens)
    read, picked = corrupt(more, torch.Generator().manual_seed(1), *ways["bert"])
    rows = list(zip(*(x.split(128) for x in (read, more, picked)), strict=True))
    with metered(claim, tokens=more.numel(), name="gpu-big"):
        train(big, rows.__getitem__, lambda m, b: masked_loss(m(b[0]), *b[1:]), steps=2000, lr=4e-3, precision=dtype())
    with torch.no_grad():
        law, logits, _ = against_the_law(big, small, tests, hide(tests, 0.15))
    what = "gap to the exact law, the bigger encoder"
    measure(claim, kl_to_law(law, logits), between=(0, 0.9), name="gap-big", what=what, unit=unit)
else:
    print("In the gpu profile this cell trains an encoder of 0.8 million weights on 256,000 texts.")

# %% [markdown]
r"""
Now the paper's own reason. Give the three models texts without a single mask. Do they still know the topic of a text?
We freeze each model, average its vectors, and train only a logistic regression on them: a **probe**.
"""


# %%
def probe(features, labels, train_on, test_on=None):
    """Accuracy of a logistic regression on the frozen features, on all rows that it was not trained on."""
    test_on = np.setdiff1d(np.arange(len(labels)), train_on) if test_on is None else test_on
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return regression.fit(features[train_on], labels[train_on]).score(features[test_on], labels[test_on])


def vectors(model, tokens):
    with torch.no_grad():
        return model.hidden(tokens.to(device())).cpu()


# %%
unmasked = small.sample(1200, 15, seed=99)
texts = torch.from_numpy(unmasked.tokens)
best = (small.topic_posterior(unmasked.tokens)[:, -1].argmax(-1) == unmasked.topics).mean()
measure(claim, best, between=(0.95, 1), name="topic-best", what="topic of two, from 15 words, by the exact law")
for name, between in (("bert", (0.9, 1)), ("masks", (0.4, 0.9)), ("kept", (0.9, 1))):
    pooled = vectors(models[name], texts)[:, 1:].mean(1).numpy()
    found = probe(pooled, unmasked.topics, np.arange(100))
    measure(claim, found, between=between, name=f"topic-{name}", what=f"by a probe with 100 labels, {name}")
# sabotage: enc-denoising-analogy/topic-bert: models[name], texts => models["masks"], texts

# %% [markdown]
r"""
The paper's reason holds, too. From texts without masks, the vectors of the model that was trained on masks alone tell
clearly less about the topic; those of the other two tell nearly all there is to tell.

## 5. Is this the next sentence?

BERT had a second task, **next-sentence prediction** (NSP). It reads two spans of text and says whether the second
follows the first. In half of the pairs it does; in the others the second comes from another document.

**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def next_sentence_pairs(sentences, strangers, coins):
    """Return a list of (first, second, label), one for each of the n sentences but the last.

    Where its number in the tensor `coins` [n - 1] is below 0.5, the second is the sentence that follows, and the label
    is True; else it is the stranger of the same number, and the label is False.
    """
    ### BEGIN SOLUTION
    pairs = []
    for i, stranger in enumerate(strangers):
        real = bool(coins[i] < 0.5)
        pairs.append((sentences[i], sentences[i + 1] if real else stranger, real))
    return pairs
    ### END SOLUTION


check("next_sentence_pairs", next_sentence_pairs)

# %% [markdown]
r"""
In our language a sentence depends on the one before through the topic of the document, and through nothing else. So the
best possible rule is known: compare the two topics. We use spans of three sentences.

**Predict.** A rule that only asks whether the spans share a content word: how often is it right? And what happens to
any of these rules if the wrong pairs are *neighbours in swapped order*?
"""


# %%
def spans(document, size=3):
    """The whole sentences of a document of tokens, in spans of `size`."""
    ends = np.flatnonzero(document == world.stop)
    cuts = [1, *(ends[size - 1 :: size] + 1)]
    return [document[a:b].tolist() for a, b in pairwise(cuts)]


def padded(rows):
    """Rows of tokens as one tensor with <bos> in front, and where it holds tokens."""
    lengths = torch.tensor([len(row) + 1 for row in rows])
    tokens = torch.full((len(rows), int(lengths.max())), BOS)
    for i, row in enumerate(rows):
        tokens[i, 1 : len(row) + 1] = torch.tensor(row)
    return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]


# %%
claim = "enc-nsp"
library = [spans(row) for row in world.sample(400, 120, seed=8).tokens]
pairs = sentence_pairs(library, torch.Generator().manual_seed(0))
follows = np.array([label for *_, label in pairs])
plain = set(world.encode("the a an some and near behind under with .").tolist())
overlap = np.array([len(set(a) & set(b) - plain) > 0 for a, b, _ in pairs])


def topic_law(rows):
    """What a span says about its topic, by Bayes' rule."""
    tokens, visible = padded(rows)
    return world.topic_posterior(tokens.numpy())[np.arange(len(rows)), visible.sum(1) - 1]


same_topic = 6 * np.sum(topic_law([a for a, *_ in pairs]) * topic_law([b for _, b, _ in pairs]), axis=1) > 1

# %%
print(len(pairs), "pairs")
for name, rule, between in (("overlap", overlap, (0.58, 0.74)), ("best", same_topic, (0.83, 0.94))):
    what = {"overlap": "pairs told apart by a shared word", "best": "by the exact topics, the best possible rule"}[name]
    measure(claim, (rule == follows).mean(), between=between, name=name, what=what)
# sabotage: enc-nsp/overlap: (rule == follows) => (rule == follows[::-1])

# %% [markdown]
r"""
Now a learned rule: a probe on the frozen encoder's vectors of both spans. It needs one vector for a span, whatever its
length, and the spans of a batch are padded.

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def mean_pool(hidden, visible):
    """Mean of the vectors `hidden` [..., seq, d_model] where `visible` [..., seq] is True: return [..., d_model].

    Where nothing is visible the result is zero.
    """
    ### BEGIN SOLUTION
    total = (hidden * visible[..., None]).sum(-2)
    return total / visible.sum(-1, keepdim=True).clamp(min=1)
    ### END SOLUTION


check("mean_pool", mean_pool)


# %%
@torch.no_grad()
def text_vectors(rows):
    """The mean of the frozen encoder's vectors, padding and <bos> left out: [texts, d_model]."""
    tokens, visible = (x.to(device()) for x in padded(rows))
    hidden, visible = encoder.hidden(tokens, visible), visible & (tokens != BOS)
    return ((hidden * visible[..., None]).sum(1) / visible.sum(1, keepdim=True)).cpu().numpy()


a, b = text_vectors([a for a, *_ in pairs]), text_vectors([b for _, b, _ in pairs])
centre, scale = a.mean(0), a.std(0)


def both(a, b):
    """Features of a pair in this order: the two vectors and their products."""
    a, b = (a - centre) / scale, (b - centre) / scale
    return np.concatenate([a, b, a * b], axis=1)


# %%
half = len(pairs) // 2
rule = LogisticRegression(C=0.01, max_iter=300).fit(both(a, b)[:half], follows[:half])
score = rule.score(both(a, b)[half:], follows[half:])
measure(claim, score, between=(0.75, 0.9), name="probe", what="by a probe on the frozen encoder")
real = np.flatnonzero(follows[half:]) + half
kept, turned = real[::2], real[1::2]  # half of the neighbours in their order, half swapped
said = np.concatenate([rule.predict(both(a[kept], b[kept])), ~rule.predict(both(b[turned], a[turned]))])
measure(claim, said.mean(), between=(0.42, 0.58), name="swapped", what="the same probe on swapped neighbours")
# sabotage: enc-nsp/probe: follows[:half]) => follows[half : 2 * half])

# %% [markdown]
r"""
The probe is good at telling documents apart, and a coin toss at order. Here that must be so: our sentences have no
order to learn. So try real text, the documentation of the Python that runs this notebook, and the simplest rule.
"""

# %%
prose = [re.split(r"(?<=[.:])\s+(?=[A-Z])", document) for document in corpora.documentation()]
prose = [[sentence for sentence in document if len(sentence.split()) >= 8] for document in prose]
prose = [[re.findall(r"[a-z_]+", sentence.lower()) for sentence in document] for document in prose if len(document) > 1]
common = collections.Counter(word for document in prose for sentence in document for word in set(sentence))
common = {word for word, _ in common.most_common(100)}
real = sentence_pairs(prose, torch.Generator().manual_seed(0))
shared = np.array([len(set(a) & set(b) - common) > 0 for a, b, _ in real])
turned = np.array([len(set(b) & set(a) - common) > 0 for a, b, _ in real])
label = np.array([label for *_, label in real])
hits = (shared == label).mean()
measure(claim, hits, between=(0.68, 0.9), name="prose", what="real text: told apart by a shared word")
order = (shared.mean() + 1 - turned.mean()) / 2
measure(claim, order, between=(0.5, 0.5), name="prose-swapped", what="the same rule, against swapped neighbours")

# %% [markdown]
r"""
A shared word decides four pairs in five of real text, and it cannot know which sentence came first. Most of NSP can be
solved by topic.

*Verdict on `enc-nsp`: correct as a description, and not needed. RoBERTa dropped it and lost nothing
([Liu and others, 2019](../chapters/bibliography.md)). ALBERT found that a model trained on it is at chance on the order
of two sentences, and replaced it by just that task ([Lan and others, 2020](../chapters/bibliography.md)).*

## 6. What a frozen model knows

The notes say that encoders suit tagging and classification. Against what? We take the world decoder, of the same size
and trained on the same language, and ask both models the same questions. Three are about **number**:

- at *the*: is the noun that will follow singular or plural? (The clue comes later.)
- at the noun: is it singular or plural?
- at the word before the verb, after a phrase such as *near the old tree*: what number has the subject?

**Predict.** On which of the three does the decoder lose?
"""

# %%
sample = world.sample(300, 63, seed=31)
frozen = {"encoder": vectors(encoder, torch.from_numpy(sample.tokens)).numpy()}
frozen["decoder"] = vectors(decoder, torch.from_numpy(sample.tokens)).numpy()
nouns = {n: np.concatenate([world.tokens_of(f"{kind}.{n}") for kind in ("BEING", "THING")]) for n in ("one", "many")}
is_noun, is_many = (np.isin(sample.tokens, x) for x in (np.concatenate(list(nouns.values())), nouns["many"]))
adjective = np.isin(sample.tokens, world.tokens_of("ADJECTIVE"))
row, place = np.nonzero((sample.tokens == world.vocab.index("the"))[:, :-2])
noun = place + 1 + adjective[row, place + 1]
ok = is_noun[row, noun]
row, place, noun = row[ok], place[ok], noun[ok]
questions = {"the": (row, place, is_many[row, noun]), "noun": (row, noun, is_many[row, noun])}

# %%
state = world.states(sample.tokens)
waits = np.array([name.startswith("<verb.") for name in world.state_names])  # a verb must come, and its number is known
row, place = np.nonzero(waits[state] & is_noun)
subject = np.array([".many" in name.split()[0] for name in world.state_names])[state[row, place]]
after_phrase = np.isin(sample.tokens[row, place - 1], world.encode("the a an some")) | adjective[row, place - 1]
questions["verb"] = (row[after_phrase], place[after_phrase], subject[after_phrase])
known = {}
for name, (row, place, label) in questions.items():
    train_on = np.arange(len(label) * 2 // 3)
    for model, hidden in frozen.items():
        known[model, name] = probe(hidden[row, place], label, train_on)
    known["majority", name] = max(label.mean(), 1 - label.mean())

# %%
claim = "enc-suited-tasks"
where = {"the": "at 'the', number of the noun to come", "noun": "at the noun", "verb": "before the verb, the subject's"}
allowed = {("encoder", "the"): (0.985, 1), ("encoder", "noun"): (0.985, 1), ("encoder", "verb"): (0.95, 1)}
allowed |= {("decoder", "the"): (0.5, 0.66), ("decoder", "noun"): (0.9, 1), ("decoder", "verb"): (0.95, 1)}
allowed |= {("majority", name): (0.5, 0.7) for name in questions}
for name in questions:
    for model in ("encoder", "decoder", "majority"):
        what = f"{where[name]}: {model}"
        measure(claim, known[model, name], between=allowed[model, name], name=f"{name}-{model}", what=what)
# sabotage: enc-suited-tasks/the-encoder: known[model, name] => known["decoder", name]

# %%
# alt: Three groups of bars. At "the" the decoder is at the majority, the encoder at 1; at the other two both are high.
series = {model: [known[model, name] for name in questions] for model in ("encoder", "decoder", "majority")}
ax = plotting.bars(series, ["at 'the'", "at the noun", "before the verb"], unit="accuracy of the probe")

# %% [markdown]
r"""
"Majority" always says the more common number. Before the noun has come the decoder knows no more than that, and no
decoder could: in this language the left context says nothing about it. Once the clue has come, the decoder knows it,
too. So for tagging the encoder is better exactly where the clue follows the word, as it does for "Jordan" in "Jordan
scored" and "Jordan exports".

Now a label for a whole text: its topic, of six, from 16 words and 60 labelled texts. A logistic regression on the
counts of words, a **bag of words**, needs no model at all.

**Predict.** Bag of words, encoder, decoder: which order?
"""


# %%
def few_labels(features, labels, n, draws=8):
    """Mean accuracy of probes on n labelled texts, over draws of these from the first half; the second half tests."""
    half, test_on = len(labels) // 2, np.arange(len(labels) // 2, len(labels))
    picks = [np.random.default_rng(seed).permutation(half)[:n] for seed in range(draws)]
    return np.mean([probe(features, labels, pick, test_on) for pick in picks])


def bag(tokens):
    """Counts of words: [texts, vocab]."""
    return np.stack([np.bincount(row, minlength=world.vocab_size) for row in tokens]).astype(float)


# %%
claim = "enc-suited-tasks"
short = world.sample(1000, 16, seed=32)
readings = {
    name: vectors(m, torch.from_numpy(short.tokens)) for name, m in (("encoder", encoder), ("decoder", decoder))
}
features = {"bag": bag(short.tokens[:, 1:]), **{name: x[:, 1:].mean(1).numpy() for name, x in readings.items()}}
features["last"] = readings["decoder"][:, -1].numpy()
best = (world.topic_posterior(short.tokens)[:, -1].argmax(-1) == short.topics)[500:].mean()
measure(claim, best, between=(0.85, 0.97), name="topic-best", what="topic from 16 words: the best possible")
# sabotage: enc-suited-tasks/topic-encoder: ("encoder", encoder) => ("encoder", Encoder(encoder.config))

# %%
ranges = {"bag": (0.6, 0.82), "encoder": (0.76, 0.92), "decoder": (0.72, 0.9), "last": (0.5, 0.82)}
whats = {"bag": "bag of words", "encoder": "encoder, mean of the vectors", "decoder": "decoder, mean of the vectors"}
found = {}
for name, x in features.items():
    what = whats.get(name, "decoder, last vector") + ", 60 labels"
    found[name] = few_labels(x, short.topics, 60)
    measure(claim, found[name], between=ranges[name], name=f"topic-{name}", what=what)
for other, between in (("decoder", (0.02, 0.18)), ("bag", (0.1, 0.28))):
    what = f"encoder ahead of {whats[other].split(',')[0]} by"
    measure(claim, found["encoder"] - found[other], between=between, name=f"topic-ahead-{other}", what=what)

# %% [markdown]
r"""
Pretraining helps: the mean of either model's vectors beats the bag of words, from the same 60 labels. The encoder comes
near the best possible and is ahead of the decoder. The decoder's last vector, which one would take by habit, does no
better than counting.

*Verdict on `enc-suited-tasks`: holds with a caveat: for words whose clue follows, and here for topic; the next section
has a task where it does not hold. (The name is spelled RoBERTa,
[Liu and others, 2019](../chapters/bibliography.md).)*

## 7. Sentiment from few labels

The notes' example is the classification of film reviews. The world has reviews of films and chairs. 3% of its sentences
read "classify this review : i loved this movie but the acting was awful ! sentiment : positive".
"""

# %%
START, ASK = (world.encode(text).tolist() for text in ("classify this review :", "! sentiment :"))
POSITIVE, NEGATIVE = world.encode("positive negative").tolist()
reviews, positive = [], []
for document in world.sample(4000, 63, seed=5).tokens:
    words = " ".join(map(str, document.tolist()))
    pattern = f" {' '.join(map(str, START))} ([\\d ]+?) {' '.join(map(str, ASK))} ({POSITIVE}|{NEGATIVE})\\b"
    for found in re.finditer(pattern, words):
        reviews.append([int(token) for token in found[1].split()])
        positive.append(int(found[2]) == POSITIVE)
positive = np.array(positive)
print(len(reviews), "reviews, such as:", world.decode(reviews[2]))
says = {tuple(review): world.law_after(world.decode(START + review + ASK))[POSITIVE] for review in reviews}
half = len(reviews) // 2

# %% [markdown]
r"""
Some reviews are mixed. After "but", the milder label comes only three times in four, so even the best rule errs.

**Predict.** With 100 labels, is a probe on the frozen encoder better than the bag of words? Than the decoder?
"""

# %%
claim = "enc-finetuning-base"
tokens, visible = padded([START + review for review in reviews])
visible[:, : len(START) + 1] = False  # the words of the review alone
counted = visible[..., None] / visible.sum(1)[:, None, None]
features = {"bag": bag([np.array(review) for review in reviews]), "encoder": None, "decoder": None}
with torch.no_grad():
    full = padded([START + review for review in reviews])[1].to(device())
    features["encoder"] = (encoder.hidden(tokens.to(device()), full).cpu() * counted).sum(1).numpy()
    features["decoder"] = (decoder.hidden(tokens.to(device())).cpu() * counted).sum(1).numpy()
best = np.mean([(says[tuple(review)] > 0.5) == label for review, label in zip(reviews, positive, strict=True)])
measure(claim, best, between=(0.93, 0.98), name="best", what="sentiment: the best possible")
score = {name: {n: few_labels(x, positive, n) for n in (30, 100)} for name, x in features.items()}
# sabotage: enc-finetuning-base/bag-30: few_labels(x, positive => few_labels(x, positive[::-1]

# %%
for n, between in ((30, (0.7, 0.92)), (100, (0.83, 0.96))):
    for name in features:
        what = (
            f"{n} labels: probe on the {name} of words" if name == "bag" else f"{n} labels: probe on the frozen {name}"
        )
        measure(claim, score[name][n], between=between, name=f"{name}-{n}", what=what)
for other, between in (("bag", (-0.03, 0.06)), ("decoder", (-0.1, 0))):
    ahead = score["encoder"][100] - score[other][100]
    measure(claim, ahead, between=between, name=f"ahead-{other}", what=f"100 labels: encoder minus {other}", digits=2)

# %% [markdown]
r"""
The encoder is hardly better than counting words, and the decoder is ahead of it. The reviews of this language are
short, use few words, and the same ones come again. For real reviews pretraining counts for much more: ULMFiT reached
with 100 labels what took ten to a hundred times as many without it ([Howard and Ruder,
2018](../chapters/bibliography.md)).

Fine-tuning moves all weights, not only those of the probe. And there is a way that needs no labels: hide the label
itself, as the encoder was trained to, and let it fill the blank ("sentiment : `<mask>`"). The decoder is asked for the
next word.

**Predict.** Which of the three is best?
"""


# %%
def fine_tuned(model, n=100, steps=25):
    """Accuracy on the second half, after all weights were trained on n labelled reviews."""
    torch.manual_seed(0)
    learner = nn.ModuleDict({"body": model, "head": nn.Linear(64, 2)}).to(device())
    truth, weights = torch.from_numpy(positive).long(), counted.to(device(), torch.float32)

    def scores(rows):
        hidden = learner["body"].hidden(tokens[rows].to(device()), full[rows])
        return learner["head"]((hidden * weights[rows]).sum(1))

    def loss(_, rows):
        return F.cross_entropy(scores(rows), truth[rows].to(device()))

    pick = torch.from_numpy(np.random.default_rng(0).permutation(half)[:n])
    train(learner, lambda step: pick, loss, steps=steps, lr=3e-3, weight_decay=0.01)
    with torch.no_grad():
        return (scores(torch.arange(half, len(reviews))).argmax(-1).cpu() == truth[half:]).double().mean()


# %%
claim = "enc-finetuning-base"
bodies = {"pretrained": (copy.deepcopy(encoder), (0.7, 0.97)), "random": (Encoder(encoder.config), (0.45, 0.97))}
for name, (body, between) in bodies.items():
    what = f"100 labels, all weights trained, {name} at the start"
    measure(claim, fine_tuned(body), between=between, name=f"tuned-{name}", what=what, digits=2)
blank, visible = (x.to(device()) for x in padded([START + review + ASK + [MASK] for review in reviews]))
prompt, _ = padded([START + review + ASK for review in reviews])
with torch.no_grad():
    filled = encoder(blank, visible)[blank == MASK]
    next_word = decoder(prompt.to(device()))[torch.arange(len(reviews)), visible.sum(1).cpu() - 2]
whats = {"cloze": "the encoder fills the blank", "next-word": "the decoder's next word"}
for name, found, between in (("cloze", filled, (0.68, 0.88)), ("next-word", next_word, (0.92, 0.98))):
    right = ((found[:, POSITIVE] > found[:, NEGATIVE]).cpu().numpy() == positive).mean()
    measure(claim, right, between=between, name=name, what=f"no labels: {whats[name]}")
# sabotage: enc-finetuning-base/next-word: visible.sum(1).cpu() - 2 => visible.sum(1).cpu() - 4

# %% [markdown]
r"""
Here the decoder wins without a single label, because its training text says what comes after "sentiment :". The
encoder has seen the same sentences and fills the blank much less well. (It learns only from the words that were
chosen, three in ten; whether that is the cause we have not measured.) So "classification needs an encoder" is not a law
of nature. What an encoder offers is a good start for many tasks, at one pass per text. And a safe one: with each of
five seeds, tuning from the pretrained weights reached 85% or more. From random weights, two of the five learned the
task, the one above among them, and three guessed.

*Verdict on `enc-finetuning-base`: holds as a description of use: retrieval, tagging and classification still start from
encoders ([Warner and others, 2024](../chapters/bibliography.md)). That it beats the alternatives has to be measured
for each task; here it did not.*

## 8. One word, many vectors

In the notes ELMo is mentioned as if it had been explained. In two sentences: ELMo
([Peters and others, 2018](../chapters/bibliography.md)) runs two recurrent language models over a text, one forwards
and one backwards, and takes their states as the vectors of its words. So a word has another vector in every sentence,
where the word vectors before it had one for all.

**Predict.** "the dog sleeps" and "the dogs sleep": are the two vectors of *the* equal in a table of word vectors? In a
decoder? In an encoder?
"""

# %%
claim = "prob-elmo-dangling"


def vector(model, text, word):
    """The vector of a word in a text."""
    place = text.split().index(word) + 1
    return vectors(model, torch.from_numpy(world.prompt(text)))[0, place].double()


pair = ("the dog sleeps", "the dogs sleep")
static = encoder.embedding.weight.detach().cpu()[world.vocab.index("the")].double()
for name, x, y, between in (
    ("static", static, static, (1, 1)),
    ("decoder", *(vector(decoder, text, "the") for text in pair), (1, 1)),
    ("encoder", *(vector(encoder, text, "the") for text in pair), (0.3, 0.95)),
):
    cosine = F.cosine_similarity(x, y, dim=0)
    measure(claim, cosine, between=between, name=name, what=f"cosine of the two vectors of 'the', {name}")
# sabotage: prob-elmo-dangling/encoder: (vector(encoder, text => (vector(decoder, text

# %%
planet, orbit = "what is the largest planet ? answer : jupiter", "answer : it is inside the orbit of jupiter"
roles = (f"question : {planet}", f"question : where is mars ? {orbit}")
for name, model, between in (("decoder", decoder, (0.9, 1)), ("encoder", encoder, (0.2, 0.9))):
    cosine = F.cosine_similarity(*(vector(model, text, "jupiter") for text in roles), dim=0)
    measure(claim, cosine, between=between, name=f"jupiter-{name}", what=f"'jupiter' in two sentences, {name}")

# %% [markdown]
r"""
The decoder's vector of *the* cannot know what follows. That of *jupiter* could know what came before, and yet the two
are nearly the same; in both sentences a full stop comes next. The encoder tells the two apart. It has by nature what
ELMo's backward model is for.

*Verdict on `prob-elmo-dangling`: a reference without a text; now it has one.*

## 9. Can an encoder write?

It fills blanks. So let it fill a whole text. From left to right, it writes one word at a time and sees only masks to
the right. Or all at once, or in a few rounds: guess all blanks, keep the guesses that it is surest of, guess the rest
anew. **Diffusion language models** such as LLaDA do this, trained with every rate of masking from 0 to 100%
([Nie and others, 2025](../chapters/bibliography.md)).

**Exercise 5** (20 minutes, difficulty 4 of 5, 4 points).
"""


# %% exercise
def choose_to_fill(logits, masked, rounds_left):
    """Return truth values [..., seq]: which of the `masked` positions [..., seq] to fill in this round.

    In each row as many as are missing, divided by `rounds_left` (this round counts) and rounded up; those whose
    largest probability is highest. `logits` is [..., seq, vocab].
    """
    ### BEGIN SOLUTION
    sure = logits.softmax(-1).amax(-1).masked_fill(~masked, -1.0)
    rank = sure.argsort(-1, descending=True).argsort(-1)
    due = -(-masked.sum(-1, keepdim=True) // rounds_left)
    return masked & (rank < due)
    ### END SOLUTION


check("choose_to_fill", choose_to_fill)

# %% [markdown]
r"""
We hide 12 of 31 words in 100 documents, once scattered and once in a row, and fill them with the likeliest word each
time.

**Predict.** All at once, in 4 rounds (surest first), or in 12 from left to right: which gives the most documents
without an impossible word? And does it matter whether the 12 stand in a row?
"""


# %%
@torch.no_grad()
def fill(tokens, masked, rounds, order):
    """Fill the masked positions in so many rounds: the surest first, or from left to right."""
    tokens = torch.where(masked, MASK, tokens)
    for left in range(rounds, 0, -1):
        p = encoder(tokens)[..., 2:].softmax(-1)  # neither <bos> nor the mask is a word
        places = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
        rank = p.amax(-1) if order == "surest" else -places.float()
        rank = rank.masked_fill(~masked, -torch.inf).argsort(-1, descending=True).argsort(-1)
        now = masked & (rank < -(-masked.sum(-1, keepdim=True) // left))
        tokens, masked = torch.where(now, p.argmax(-1) + 2, tokens), masked & ~now
    return tokens.cpu().numpy()


# %%
truth = torch.from_numpy(world.sample(100, 31, seed=77).tokens).to(device())
scattered = torch.rand(truth.shape, generator=torch.Generator().manual_seed(1))
scattered[:, 0] = 2  # <bos> stays
scattered = (scattered.argsort(-1).argsort(-1) < 12).to(device())
in_a_row = torch.zeros_like(scattered)
in_a_row[:, 10:22] = True
orders = {"once": (1, "surest"), "four": (4, "surest"), "twelve": (12, "surest"), "left": (12, "left to right")}
clean = {}
for kind, masked in {"scattered": scattered, "row": in_a_row}.items():
    for name, (rounds, order) in orders.items():
        clean[kind, name] = world.is_grammatical(fill(truth, masked, rounds, order)).mean()

# %%
claim = "since-diffusion-lm"
whats = {"once": "all at once", "four": "4 rounds, surest first", "twelve": "12 rounds, surest first"}
whats["left"] = "12 rounds, left to right"
ranges = {("scattered", "once"): (0.35, 0.68), ("scattered", "four"): (0.7, 0.95), ("scattered", "twelve"): (0.85, 1)}
ranges |= {("scattered", "left"): (0.78, 0.98), ("row", "once"): (0, 0.05), ("row", "four"): (0.1, 0.42)}
ranges |= {("row", "twelve"): (0.78, 1), ("row", "left"): (0.58, 0.9)}
for (kind, name), share in clean.items():
    what = f"possible texts, 12 words {'scattered' if kind == 'scattered' else 'in a row'}, {whats[name]}"
    measure(claim, share, between=ranges[kind, name], name=f"{kind}-{name}", what=what)
# sabotage: since-diffusion-lm/scattered-four: clean.items(): => {k: clean[k[0], "once"] for k in clean}.items():

# %%
# alt: Two groups of four bars. Scattered words: from half to nearly all. In a row: none at once, nine in ten at best.
series = {whats[name]: [clean[kind, name] for kind in ("scattered", "row")] for name in orders}
ax = plotting.bars(series, ["12 words scattered", "12 words in a row"], unit="share of possible texts")

# %% [markdown]
r"""
Each position's law is nearly exact, and still the words do not fit each other when they are filled at once: each is the
likeliest by itself. Words far apart hardly depend on each other, so four rounds do nearly as well as twelve, at a third
of the passes. Neighbours depend on each other, and there the saving is paid for dearly. With as many rounds as words,
the surest first is at least as good as left to right.

Now without any text to start from: 32 masks, drawn one after another from left to right, against the decoder.
"""

# %%
generator = torch.Generator(device()).manual_seed(0)
blank = torch.full((100, 33), MASK, device=device())
blank[:, 0] = BOS
with torch.no_grad():
    for i in range(1, 33):
        p = encoder(blank)[:, i, 2:].softmax(-1)
        blank[:, i] = torch.multinomial(p, 1, generator=generator)[:, 0] + 2
start = torch.full((100, 1), BOS, device=device())
written = sampling.generate(decoder, start, max_new_tokens=32, generator=generator).tokens
for name, tokens, between in (("encoder", blank, (0.3, 2)), ("decoder", written, (0, 0.4))):
    errors = 100 * world.parse(tokens.cpu().numpy()).errors[:, 1:].mean()
    what = f"impossible words in texts that the {name} wrote"
    measure(claim, errors, between=between, name=f"errors-{name}", what=what, unit="%", digits=2)

# %% [markdown]
r"""
One word in a hundred is impossible. That is many times the decoder's share, for a model that was never trained on
texts of nothing but masks. "An encoder cannot generate" is too strong. It writes worse and needs a full pass for each
word, since nothing can be cached.

*Verdict on `since-diffusion-lm`: missing in the notes. Next-token prediction is not the only way to write.*

## 10. Are encoders cheaper?

Encoders came back, with rotary positions and long contexts, for search and classification
([Warner and others, 2024](../chapters/bibliography.md)). They are called economical. Where is the saving?

**Predict.** One pass over 100 sentences: how much faster is the encoder than a decoder of the same size? And if 25
queries are to be compared with 100 sentences?
"""


# %%
def seconds(function):
    """The least time of some runs on one thread, so that other programs disturb little."""
    threads, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    for _ in range(3):
        begin = time.thread_time()
        function()
        times.append(time.thread_time() - begin)
    torch.set_num_threads(threads)
    return min(times)


# %%
claim = "since-modern-encoders"
corpus, queries = (torch.from_numpy(world.sample(n, 11, seed=n).tokens).to(device()) for n in (100, 25))
every = torch.cat([queries.repeat_interleave(100, 0), corpus[:, 1:].repeat(25, 1)], dim=1)  # query and sentence


def by_vectors():
    return encoder.hidden(queries).mean(1) @ encoder.hidden(corpus).mean(1).T


with torch.no_grad():
    one_pass = seconds(lambda: decoder.hidden(corpus)) / seconds(lambda: encoder.hidden(corpus))
    search = seconds(lambda: [decoder(part) for part in every.split(500)]) / seconds(by_vectors)
what = "time of the decoder over that of the encoder, one pass over 100 sentences"
measure(claim, one_pass, between=(0.4, 2.5), name="one-pass", what=what, digits=2)
what = "the same, 25 queries against 100 sentences"
measure(claim, search, between=(8, 200), name="search", what=what, digits=2)
passes = len(every) / (len(queries) + len(corpus))
measure(claim, passes, between=(20, 20), name="passes", what="texts to read, decoder over encoder")
# sabotage: since-modern-encoders/search: every.split(500) => [queries]

# %% [markdown]
r"""
A pass costs the same. The saving is that a vector is made once: the encoder reads 125 texts, and all comparisons are
dot products. A decoder that reads query and sentence together reads 2,500 pairs. (An encoder that reads pairs, a
*cross-encoder*, pays the same price; a decoder can make vectors, too. And whether the vectors find the right sentence
is another question: lab 06 trains them for it.)

*Verdict on `since-modern-encoders`: missing in the notes. The economy lies in vectors that are made once and kept, and
in small models; not in the pass.*

## With a real model

In the `gpu` profile, or when you ask for it, the next cells load BERT (`google-bert/bert-base-uncased`: 110 million
parameters, 441 MB, licence Apache-2.0). It fills a blank, doubts a wrong word, and has two vectors for *bank*; and our
corruption and our loss are put to it.

**Predict.** How alike are its two vectors of *bank*, as a cosine?
"""


# %%
def reader(bert, tokenizer):
    """A function from a text to its tokens, BERT's belief at each place, and the vectors there."""

    def read(text):
        tokens = torch.tensor([tokenizer.encode(text)], device=device())
        found = bert(tokens, output_hidden_states=True)
        return tokens[0].tolist(), found.logits[0].float().softmax(-1), found.hidden_states[-1][0].float()

    return read


def two_vectors(read, token, texts):
    """The cosine of the vectors of one token in two texts."""
    found = [read(text) for text in texts]
    a, b = (vectors[tokens.index(token)] for tokens, _, vectors in found)
    return F.cosine_similarity(a, b, dim=0).item()


# %%
if loaded := hub.offer("encoder", dtype=torch.float32):
    bert, bert_tokenizer = loaded
    read, (blank, bank, odd) = reader(*loaded), bert_tokenizer.convert_tokens_to_ids(["[MASK]", "bank", "sentence"])
    with torch.no_grad():
        tokens, p, _ = read("The dogs near the old tree [MASK] a boat.")
        best = p[tokens.index(blank)].topk(5).indices.tolist()
        print("blank:", ", ".join(bert_tokenizer.convert_ids_to_tokens(best)))
        tokens, p, _ = read("She put the milk into the sentence and closed the door.")
        print(f"belief in 'sentence': {p[tokens.index(odd), odd]:.3f}")
        banks = "He sat on the bank of the river.", "He took the money to the bank."
        print(f"cosine of the two vectors of 'bank': {two_vectors(read, bank, banks):.2f}")

# %% [markdown]
r"""
Now the objective itself: our `mask_tokens` corrupts a text, BERT reads it, and our `masked_loss` is compared with the
loss that the model computes.
"""

# %%
if loaded:
    page = "The river runs past the old mill. Nobody has lived there since the flood, and its wheel is broken."
    text = torch.tensor([bert_tokenizer.encode(page)])
    settings = {"mask_token": blank, "vocab_size": len(bert_tokenizer), "special": bert_tokenizer.all_special_ids}
    given, chosen = mask_tokens(text, torch.Generator().manual_seed(1), rate=0.3, **settings)
    print(bert_tokenizer.decode(given[0]))
    text, given, chosen = (part.to(device()) for part in (text, given, chosen))
    with torch.no_grad():
        found = bert(given, labels=torch.where(chosen, text, -100))
    ours = masked_loss(found.logits.float(), text, chosen)
    print(f"{chosen.sum()} of {text.shape[1]} tokens: {ours:.2f} nats each (its own loss: {found.loss:.2f})")

# %% [markdown]
r"""
## What you have shown

- 15% of the tokens are chosen, 12% are hidden, and the loss pulls at the chosen ones only.
- The target at a hidden word is a law. Nearly half of the words cannot be known, and a trained encoder comes close to
  the law.
- The 80/10/10 rule makes vectors of unmasked texts useful, as its authors say. It also makes a short training better at
  masks themselves, and that gain comes with the kept words, not with the random ones.
- Next-sentence prediction can be solved by topic, and says nothing about order.
- A frozen encoder knows what follows a word; a frozen decoder cannot. For the label of a whole text the encoder was
  ahead on topic and behind on sentiment, where counting words did nearly as well.
- An encoder can write, in few rounds if the blanks are far apart.

## Where to go next

Lab 06 hides whole spans and lets a decoder write them, and trains vectors for search. The chapter on
[pretraining](../chapters/02_pretraining.md) sets the three families side by side, and ends with a quiz.
"""
