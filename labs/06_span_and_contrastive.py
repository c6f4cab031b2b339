# %% [markdown]
r"""
# Lab 06: Spans and contrast

Some models read one text and write another. To train them without pairs of texts, a text is made into both sides: T5
cuts out spans and writes *them*, BART damages a text and writes *all* of it. Other models write nothing. They make
vectors, and learn which two texts belong together. In this lab you build all of these objectives and hold each against
what the best possible model could do.

**What you will measure.** What span corruption does to a text, and what the target costs. What one network becomes
under three masks. How far an encoder-decoder gets in some seconds, on gaps and on a translation into another word
order, and whether the first helps the second. How well vectors find the other half of a document, and what happens
without strangers to tell apart. One question, sentiment, asked in three ways.

**What you need.** Cross-entropy, the three masks and cross-attention: the chapters on
[pretraining](../chapters/02_pretraining.md) and on [attention](../chapters/03_attention.md). Lab 05 hides single words.

**Time.** Reading and exercises: about two hours. The cells run in under a minute on two cores; on a T4 a bigger
model is trained, too, and BERT's vectors are looked at.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on encoder-decoder models, on
contrastive and denoising objectives, and on how objective and architecture belong together.
"""

# %% setup

# %%
import copy
import inspect
import re
from pydoc_data.topics import topics as manual

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F
from transformers import AutoModel, BartConfig, BertConfig, GPT2Config, T5Config, T5TokenizerFast

# %%
from labutils import hub, plotting
from labutils.attention import causal_mask
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Decoder, Encoder, EncoderDecoder
from labutils.objectives import causal_loss, corrupt_spans, infill, info_nce, mask_tokens, random_spans, restore_spans
from labutils.runtime import device, dtype, profile
from labutils.tokenizer import ByteTokenizer
from labutils.training import metered, train
from labutils.weights import load_world_decoder, load_world_encoder
from labutils.world import BOS, LAND_AND_SEA, MASK, World

world = World()

# %% [markdown]
r"""
## 1. Spans, as T5 writes them

A **span** is a row of neighbouring words. Span corruption drops some spans of a text and asks for them. The encoder
reads what is left, with a **sentinel** where each span was: a token that stands for no word. The decoder writes the
spans, each after its sentinel ([Raffel and others, 2020](../chapters/bibliography.md)).

The notes say that a *part* of the input is replaced by *a* sentinel, that the output is a sentinel followed by
predicted tokens, and that the decoder rebuilds the sentence.

**Predict.** Two spans are dropped from a sentence of ten words. How many sentinels does the target hold?

**Exercise 1** (20 minutes, difficulty 3 of 5, 4 points).
"""


# %% exercise
def span_corruption(tokens, dropped, sentinels):
    """Return (source, target), two lists, from the list `tokens` and the list `dropped` of truth values.

    In the source each run of dropped tokens gives way to the next sentinel of the list `sentinels`. The target is each
    sentinel followed by the tokens of its run, and at the end the next unused sentinel.
    """
    ### BEGIN SOLUTION
    source, target, n_spans = [], [], 0
    for i, (token, drop) in enumerate(zip(tokens, dropped, strict=True)):
        if drop and (i == 0 or not dropped[i - 1]):
            source.append(sentinels[n_spans])
            target.append(sentinels[n_spans])
            n_spans += 1
        (target if drop else source).append(token)
    return source, [*target, sentinels[n_spans]]
    ### END SOLUTION


check("span_corruption", span_corruption)

# %%
claim = "seq2seq-output-format"
SENTINELS = [world.vocab_size + i for i in range(100)]
words = [*world.vocab, *(f"<{i}>" for i in range(100))]
text = torch.from_numpy(world.encode("the dogs near the old tree watch a cow ."))
dropped = torch.tensor([0, 0, 1, 1, 0, 0, 1, 0, 0, 0]).bool()
source, target = corrupt_spans(text, dropped, SENTINELS)
for name, tokens in (("text", text), ("source", source), ("target", target)):
    print(f"{name:7}", " ".join(words[token] for token in tokens))
measure(claim, (target >= SENTINELS[0]).sum(), between=(3, 3), name="sentinels", what="sentinels for two spans")
measure(claim, target[0] - SENTINELS[0], between=(0, 0), name="first", what="the target begins with sentinel number")
measure(claim, target[-1] - SENTINELS[0], between=(2, 2), name="last", what="the target ends with sentinel number")
# sabotage: seq2seq-output-format/sentinels: corrupt_spans(text, dropped => corrupt_spans(text, dropped.cumsum(0) == 1

# %% [markdown]
r"""
Three: one for each span, in order, and a last one that says that no more come. A sentinel does not say how long its gap
is. The decoder finds out by writing, since a span ends where the next sentinel begins.

*Verdict on `seq2seq-output-format`: holds with a caveat: once for each span, and closed by one more sentinel.*

T5 drops 15% of the tokens, in spans of three on average. It reads texts of 512 tokens. Let us do this 1,000 times, and
also to 1,000 single sentences of our language.

**Predict.** How long is the target, compared with the text? In which of the two is it longer?
"""

# %%
pages = torch.from_numpy(world.sample(1000, 512, seed=1).tokens)[:, 1:]
begins = world.sample(1000, 64, seed=2).tokens[:, 1:]
sentences = [torch.from_numpy(row[: list(row).index(world.stop) + 1]) for row in begins]


def t5(texts):
    """Each text with a random choice of spans and with what span corruption makes of it."""
    generator = torch.Generator().manual_seed(0)
    chosen = [random_spans(len(text), generator) for text in texts]
    return [(text, drop, *corrupt_spans(text, drop, SENTINELS)) for text, drop in zip(texts, chosen, strict=True)]


def lengths(examples):
    """Share of words dropped, mean length of a span, and target length over text length."""
    counts = [(len(text), int(dropped.sum()), len(target)) for text, dropped, _, target in examples]
    text, dropped, target = (sum(column) for column in zip(*counts, strict=True))
    spans = target - dropped - len(examples)  # what is left are sentinels: one a span, and one that closes
    return dropped / text, dropped / spans, target / text


# %%
claim = "seq2seq-one-sentinel"
examples = {"pages": t5(pages), "sentences": t5(sentences)}
share, span, ratio = lengths(examples["pages"])
spans = share * 512 / span
measure(claim, 100 * share, between=(14.8, 15.2), name="share", what="dropped from texts of 512 tokens", unit="%")
measure(claim, span, between=(2.9, 3.05), name="span", what="mean length of a span", unit="tokens")
measure(claim, spans, between=(25, 27), name="spans", what="spans in a text, each with a sentinel of its own", digits=4)
# sabotage: seq2seq-one-sentinel/share: t5(pages) => t5(pages[:, :8])

# %%
claim = "seq2seq-decoder-reconstructs-sentence"
measure(claim, ratio, between=(0.2, 0.21), name="t5", what="T5: target over text, 512 tokens")
short = lengths(examples["sentences"])[2]
measure(claim, short, between=(0.3, 0.5), name="t5-sentences", what="T5: target over text, single sentences")
back = [restore_spans(s.tolist(), t.tolist(), SENTINELS) == x.tolist() for x, _, s, t in examples["pages"]]
measure(claim, np.mean(back), between=(1, 1), name="restored", what="texts that source and target give back")
merged = [[min(token, SENTINELS[0]) for token in s.tolist()] for _, _, s, _ in examples["pages"]]
one = [[min(token, SENTINELS[0]) for token in t.tolist()] for *_, t in examples["pages"]]
back = [restore_spans(s, t, SENTINELS) == x.tolist() for x, s, t in zip(pages, merged, one, strict=True)]
what = "texts given back if all sentinels are the same"
measure("seq2seq-one-sentinel", np.mean(back), between=(0, 0), name="same", what=what)
# sabotage: seq2seq-decoder-reconstructs-sentence/restored: s.tolist(), t.tolist() => t.tolist(), s.tolist()

# %% [markdown]
r"""
The target is a fifth of the text. From a sentence of eight words only one is dropped, and one word takes two
sentinels; so for short texts the saving is smaller.

*Verdicts. `seq2seq-one-sentinel`: imprecise. Several spans, each with its own sentinel; with one sentinel for all, the
text cannot be put together again. `seq2seq-decoder-reconstructs-sentence`: wrong. The decoder writes the dropped spans,
and these are a fifth of the text. Source and target* together *hold the whole text.*

To put it together again is your next exercise. The target may be one that a model wrote, with faults.

**Exercise 2** (15 minutes, difficulty 2 of 5, 3 points).
"""


# %% exercise
def sentinel_decoding(source, target, sentinels):
    """Return the text as a list: each sentinel of the list `source` gives way to what follows it in the list `target`.

    What follows goes up to the next sentinel in `target`. A sentinel that the target lacks leaves nothing; words of the
    target that belong to no sentinel of the source are left out.
    """
    ### BEGIN SOLUTION
    spans, current = {}, []
    for token in target:
        if token in sentinels:
            current = spans.setdefault(token, [])
        else:
            current.append(token)
    return [word for token in source for word in (spans.get(token, []) if token in sentinels else [token])]
    ### END SOLUTION


check("sentinel_decoding", sentinel_decoding)

# %% [markdown]
r"""
Sentinels are entries of the vocabulary that match no word. T5 has 100 of them, which its tokenizer class adds. Here we
add them behind the last token of a byte-level tokenizer, and give it some text: the manual of the Python that runs
this notebook.

**Predict.** How often does a sentinel come out of the tokenizer?
"""

# %%
claim = "seq2seq-sentinels-special"
tokenizer = ByteTokenizer(list(manual.values())[:20], vocab_size=512)
first = tokenizer.vocab_size  # the first sentinel's number
tokens = [token for page in manual.values() for token in tokenizer.encode(page)]
found = sum(token >= first for token in tokens)
measure(claim, found, between=(0, 0), name="from-text", what="sentinels among the tokens of the whole manual")
added = inspect.signature(T5TokenizerFast.__init__).parameters["extra_ids"].default
measure(claim, added, between=(100, 100), name="t5", what="sentinels that T5's tokenizer class adds")
# sabotage: seq2seq-sentinels-special/from-text: first = tokenizer.vocab_size => first = tokenizer.vocab_size - 500

# %% [markdown]
r"""
*Verdict on `seq2seq-sentinels-special`: holds. Text never becomes a sentinel; only the corruption writes them.*

## 2. Other damage

BART damages differently ([Lewis and others, 2020](../chapters/bibliography.md)). Its authors try five kinds of noise:
mask words, delete words, infill (each span gives way to *one* mask, whatever its length), shuffle the sentences, and
begin at another word. The target is always the same: the whole text, undamaged. This is **denoising**, as in the
denoising autoencoders of old ([Vincent and others, 2008](../chapters/bibliography.md)).

**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def text_infilling(tokens, dropped, mask_token):
    """Return (source, target), two lists: each run of dropped tokens gives way to one mask; the target is the text.

    `tokens` is a list of tokens, `dropped` a list of truth values, one a token.
    """
    ### BEGIN SOLUTION
    source = []
    for i, (token, drop) in enumerate(zip(tokens, dropped, strict=True)):
        if not drop:
            source.append(token)
        elif i == 0 or not dropped[i - 1]:
            source.append(mask_token)
    return source, list(tokens)
    ### END SOLUTION


check("text_infilling", text_infilling)

# %% [markdown]
r"""
**Predict.** Which of the five noises keep every word?
"""

# %%
text = torch.from_numpy(world.encode("the dogs near the old tree watch a cow . a cook sleeps ."))
dropped = torch.tensor([0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0]).bool()
second = 10  # where the second sentence begins
noises = {"mask": torch.where(dropped, MASK, text), "delete": text[~dropped], "infill": infill(text, dropped, MASK)[0]}
noises |= {"shuffle": torch.cat([text[second:], text[:second]]), "rotate": text.roll(-4)}
for name, damaged in noises.items():
    print(f"{name:8}", world.decode(damaged))
print("target  ", world.decode(text))
# sabotage: objectives-denoising/infill: infill(text, dropped, MASK)[0] => torch.where(dropped, MASK, text)

# %%
claim = "objectives-denoising"
expected = {"mask": (14, 10), "delete": (10, 10), "infill": (13, 10), "shuffle": (14, 14), "rotate": (14, 14)}
for name, (n, kept) in expected.items():
    damaged = noises[name]
    measure(claim, len(damaged), between=(n, n), name=name, what=f"{name}: tokens to read")
    left = (damaged != MASK).sum()
    measure(claim, left, between=(kept, kept), name=f"{name}-kept", what=f"{name}: words of the text among them")

# %%
claim = "seq2seq-objective-varies"
source, target = corrupt_spans(text, dropped, SENTINELS)
print("T5   reads ", " ".join(words[token] for token in source))
print("T5   writes", " ".join(words[token] for token in target))
for name, wanted, n in (("t5", target, 8), ("bart", infill(text, dropped, MASK)[1], 14)):
    measure(claim, len(wanted), between=(n, n), name=name, what=f"tokens to write, {name.upper()}")
whole = [len(infill(x, drop, MASK)[1]) / len(x) for x, drop, *_ in examples["pages"]]
claim = "seq2seq-decoder-reconstructs-sentence"
measure(claim, np.mean(whole), between=(1, 1), name="bart", what="BART: target over text, 512 tokens")
# sabotage: seq2seq-objective-varies/bart: infill(text, dropped, MASK)[1], 14 => infill(text, dropped, MASK)[0], 14

# %% [markdown]
r"""
Shuffling and rotating lose no word, and still there is something to repair: the order. The model that its authors
kept infills 30% of the words and shuffles the sentences, and its spans may have length zero, so that a mask may stand
where nothing is missing.

*Verdicts. `objectives-denoising`: holds, and it is a family: masking, deleting, infilling, shuffling. (T5's spans
belong to it, too.) `seq2seq-objective-varies`: holds. UL2 trains on a mixture of such noises
([Tay and others, 2023](../chapters/bibliography.md)).* `seq2seq-name` *is about words: these are called
sequence-to-sequence models, and the notes have the heading twice. The name fits a form of task, and section 5 has a
decoder doing it.*
"""

# %% [markdown]
r"""
## 3. One network, three objectives

"Which objective is used follows from the architecture", say the notes. First, what *is* different between the
architectures? Who sees whom. Let us not draw that from memory but ask the models: change one token, and look at whose
output moves.

**Predict.** An encoder-decoder reads five tokens and has written four. Of the 81 pairs (who looks, at whom), how many
are there?
"""

# %%
n, n_source = 9, 5
config = Config(vocab_size=20, d_model=16, n_heads=2, n_layers=1, max_len=16)
torch.manual_seed(0)
encoder, decoder, both = (kind(config).double() for kind in (Encoder, Decoder, EncoderDecoder))
nine = torch.arange(1, n + 1)[None]


def read_and_write(tokens):
    """What an encoder-decoder makes of each token: the first five are read, the others are written."""
    source, target = tokens[:, :n_source], tokens[:, n_source:]
    return torch.cat([both.encoder(source), both(source, target)], dim=1)


def who_sees_whom(model):
    """Truth values [position, token]: whether the output at the position moves when the token is replaced."""
    changed = nine.repeat(n, 1) + 10 * torch.eye(n, dtype=torch.long)
    return ((model(changed) - model(nine)).abs().amax(-1) > 1e-12).T


# %%
with torch.no_grad():
    seen = {"encoder": who_sees_whom(encoder), "decoder": who_sees_whom(decoder), "both": who_sees_whom(read_and_write)}
pairs = {"encoder": 81, "decoder": 45, "both": 25 + 20 + 10}
claim = "transformer-encoder-decoder-original"
for name, count in pairs.items():
    measure(claim, seen[name].sum(), between=(count, count), name=name, what=f"pairs that see each other, {name}")
functions = {"encoder": torch.ones(n, n).bool(), "decoder": causal_mask(n), "both": causal_mask(n)}
functions["both"][:, :n_source] = True  # the source is seen by all, and sees nothing else
for name, mask in functions.items():
    wrong = (mask != seen[name]).sum()
    what = f"entries where the mask's function errs, {name}"
    measure("notes-figures-lost", wrong, between=(0, 0), name=name, what=what)
# sabotage: transformer-encoder-decoder-original/both: who_sees_whom(read_and_write) => who_sees_whom(encoder)
# sabotage: notes-figures-lost/decoder: "decoder": causal_mask(n), "both" => "decoder": causal_mask(n).T, "both"

# %%
# alt: Three squares of nine by nine. Encoder: all filled. Decoder: lower triangle. Both: left five columns, and for the
# alt: last four rows a small lower triangle.
gap = torch.full((n, 1), torch.nan)
table = torch.cat([seen["encoder"], gap, seen["decoder"], gap, seen["both"]], dim=1)
numbers = [str(i) for i in range(1, n + 1)]
across = [*numbers, " ", *numbers, " ", *numbers]
ax = plotting.heatmap(table.tolist(), numbers, across, xlabel="is seen", ylabel="sees", unit="yes or no", digits=0)

# %% [markdown]
r"""
On the left the encoder; in the middle the decoder; on the right the encoder-decoder, where tokens 1 to 5 are read and 6
to 9 are written: a full square, a triangle, and between them the **cross-attention**, by which everything written sees
everything read. The right one came first, for translation ([Vaswani and others, 2017](../chapters/bibliography.md)).

*Verdicts. `transformer-encoder-decoder-original`: holds. BERT keeps the first half, GPT the second without its
cross-attention. `notes-figures-lost`: three drawings were lost on the way to the notes. This one is measured, and those
of the chapter are drawn by the same functions.*

Now one network, with the mask and the loss chosen by a flag. *Causal*: see what came before, predict the next word.
*Prefix*: the first eight tokens see each other, and the words after them are predicted. *Masked*: see everything,
predict the hidden words.

**Predict.** What must change in the network?
"""

# %%
small = World(LAND_AND_SEA)
V = small.vocab_size
print(V - 2, "words:", small.decode(small.sample(1, 14, seed=0).tokens[0, 1:]))


# %%
def run(model, tokens, mask):
    """The logits of an encoder's layers under any mask."""
    x = model.embedding(tokens)
    rotate = model.positions.rotation(torch.arange(tokens.shape[1], device=tokens.device), x.dtype)
    for block in model.blocks:
        x = block(x, mask, rotate=rotate)
    return F.linear(model.final_norm(x), model.embedding.weight)


def lesson(flag, text):
    """What a flag makes of texts: (what is read, what is to be said, where it counts)."""
    if flag == "masked":
        generator = torch.Generator().manual_seed(0)
        read, counts = mask_tokens(text, generator, mask_token=MASK, vocab_size=V, special=(BOS,))
        return read, text, counts
    counts = torch.arange(text.shape[1] - 1).expand_as(text[:, 1:]) >= (7 if flag == "prefix" else 0)
    return text[:, :-1], text[:, 1:], counts


# %%
masks = {"causal": causal_mask(15), "prefix": causal_mask(15), "masked": torch.ones(16, 16).bool()}
masks["prefix"][:, :8] = True


def loss_under(flag):
    """The loss of a batch (what is read, what is to be said, where it counts) under the flag's mask."""

    def loss(model, batch):
        read, say, counts = batch
        return F.cross_entropy(run(model, read, masks[flag].to(read.device))[counts], say[counts])

    return loss


torch.manual_seed(0)
small_config = Config(vocab_size=V, d_model=32, n_layers=1, max_len=16)
start = Encoder(small_config)
steps = 160
texts = torch.from_numpy(small.sample(32 * steps, 15, seed=0).tokens)

# %%
models, losses, lessons = {}, {}, {flag: lesson(flag, texts) for flag in masks}
for flag in masks:
    models[flag] = copy.deepcopy(start).to(device())
    batches = [tuple(x[i : i + 32] for x in lessons[flag]) for i in range(0, len(texts), 32)]
    losses[flag] = train(models[flag], batches.__getitem__, loss_under(flag), steps=steps, lr=1e-2, weight_decay=0.01)

# %%
claim = "pretrain-objective-depends-on-architecture"
tests = small.sample(600, 15, seed=10**6).tokens
surprisal = small.surprisal(tests)
hidden = np.random.default_rng(0).random(tests.shape) < 0.15
hidden[:, 0] = False
law = small.masked_token_law(tests, hidden)
floors = {"causal": surprisal.mean(), "prefix": surprisal[:, 7:].mean()}
floors["masked"] = -np.log(law[np.arange(len(law)), tests[hidden]]).mean()
test = torch.from_numpy(tests)
asked = {flag: lesson(flag, test) for flag in ("causal", "prefix")}
asked["masked"] = (torch.from_numpy(np.where(hidden, MASK, tests)), test, torch.from_numpy(hidden))
found = {flag: loss_under(flag)(models[flag], tuple(x.to(device()) for x in asked[flag])).item() for flag in masks}

# %%
ranges = {"causal": ((1.45, 1.55), (1.47, 1.75)), "prefix": ((1.4, 1.5), (1.42, 1.75))}
ranges["masked"] = ((0.95, 1.2), (1.3, 2.95))
unit = "nats per word to be said"
for flag, (floor_range, loss_range) in ranges.items():
    measure(
        claim, losses[flag][0], between=(3.5, 4), name=f"start-{flag}", what=f"{flag}: loss at the start", unit=unit
    )
    measure(claim, found[flag], between=loss_range, name=flag, what=f"{flag}: loss after training", unit=unit)
    measure(claim, floors[flag], between=floor_range, name=f"floor-{flag}", what=f"{flag}: the floor", unit=unit)
shapes = {tuple((name, tuple(x.shape)) for name, x in model.state_dict().items()) for model in models.values()}
measure(claim, len(shapes), between=(1, 1), name="shapes", what="different sets of weight shapes among the three")
# sabotage: pretrain-objective-depends-on-architecture/causal: found[flag], between => losses[flag][0], between

# %%
twin = Decoder(small_config).to(device())
twin.load_state_dict(models["causal"].state_dict())
read = asked["causal"][0][:50].to(device())
with torch.no_grad():
    moved = (twin(read) - run(models["causal"], read, masks["causal"].to(device()))).abs().max()
what = "largest difference of a logit: the course's decoder with the same weights"
measure(claim, moved, between=(0, 1e-4), name="decoder", what=what, digits=1)
# sabotage: pretrain-objective-depends-on-architecture/decoder: masks["causal"].to => masks["prefix"].to

# %% [markdown]
r"""
Nothing had to change. The weights have the same names and shapes; under the causal mask the network *is* the course's
decoder. All three objectives train, each towards its own floor.

*Verdict on `pretrain-objective-depends-on-architecture`: imprecise. The pairs are habits: UL2 trains decoders on
spans ([Tay and others, 2023](../chapters/bibliography.md)), ELECTRA trains an encoder to spot replaced words
([Clark and others, 2020](../chapters/bibliography.md)).*

The masked one is furthest from its floor after the same number of steps. It also got the fewest answers. How many does
a text give?

**Predict.** A text of 512 tokens: how many answers do you get from next-word prediction, from masking at 15%, from T5's
spans?
"""

# %%
claim = "objectives-better-for-ssl"
signals = {flag: lessons[flag][2].double().sum(1).mean() for flag in masks}
for flag, between in (("causal", (15, 15)), ("prefix", (8, 8)), ("masked", (2.15, 2.35))):
    measure(claim, signals[flag], between=between, name=flag, what=f"{flag}: answers from a text of 15 words")
measure(claim, pages.shape[1] - 1, between=(511, 511), name="causal-512", what="next word, 512 tokens: answers")
_, chosen = mask_tokens(pages, torch.Generator().manual_seed(0), mask_token=MASK, vocab_size=world.vocab_size)
masked = chosen.double().sum(1).mean()
measure(claim, masked, between=(75, 78.5), name="masked-512", what="masked at 15%, 512 tokens: answers")
words_asked = np.mean([len(target) for *_, target in examples["pages"]])
measure(claim, words_asked, between=(104, 104), name="spans-512", what="T5's spans, 512 tokens: tokens to write")
# sabotage: objectives-better-for-ssl/prefix: lessons[flag][2] => lessons["causal"][2]

# %% [markdown]
r"""
Same text, and fewer answers in a step. But the answers are not of one kind: a hidden word can be guessed from both
sides, and its floor is lower. So fewer answers do not mean a worse objective.

*Verdict on `objectives-better-for-ssl`: imprecise. If a target needs annotation, the objective is not self-supervised
at all. Among those that are, a large comparison found next-word prediction best straight after pretraining, and a
masked objective in a model that sees its prompt both ways best after further training on many tasks
([Wang and others, 2022](../chapters/bibliography.md)).*

## 4. An encoder-decoder fills gaps

How does one train a model that writes? Show it the right words so far, and let it say the next one: **teacher
forcing**, as in lab 04. What the decoder reads is the target, moved to the right by one place.

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def shift_right(labels, start, pad):
    """Return what the decoder reads while it learns to write `labels` [..., seq]: a tensor of the same shape.

    It begins with the token `start`, and the last label is left out. Labels of -100, over which no loss is taken,
    become `pad`.
    """
    ### BEGIN SOLUTION
    first = torch.full_like(labels[..., :1], start)
    shifted = torch.cat((first, labels[..., :-1]), dim=-1)
    return torch.where(shifted == -100, pad, shifted)
    ### END SOLUTION


check("shift_right", shift_right)

# %% [markdown]
r"""
We take texts of 12 words of the small language and drop four words, in two spans. (T5's 15% would be two words; we ask
for more, because the training is short.) The model is small: one layer reads, one layer writes.

**Predict.** Where will it be after 350 steps: near the frequencies of the words, near the floor, or between?
"""

# %%
PAD = MASK  # what fills short texts up; the mask is not used otherwise here
gap_sentinels = [V, V + 1, V + 2]


def gaps(texts, seed):
    """Sources and targets of span corruption, with four of twelve words dropped in two spans."""
    generator = torch.Generator().manual_seed(seed)
    choices = [random_spans(12, generator, rate=0.3, mean_span=2.0) for _ in texts]
    pairs = [corrupt_spans(text, drop, gap_sentinels) for text, drop in zip(texts, choices, strict=True)]
    sources, targets = zip(*pairs, strict=True)
    return torch.stack(sources), torch.stack(targets)


def writing_loss(model, batch):
    """The loss of writing the target, by teacher forcing."""
    source, target = batch
    read, counts = F.pad(target, (1, -1), value=BOS), target != PAD
    return F.cross_entropy(model(source, read, source != PAD)[counts], target[counts])


# %%
def learn(model, data, steps, lr=5e-3, loss=writing_loss):
    """Train on rows of 32 examples, from the beginning again where they end."""

    def batch(step):
        pick = torch.arange(32 * step, 32 * (step + 1)) % len(data[0])
        return tuple(x[pick] for x in data)

    train(model, batch, loss, steps=steps, lr=lr, weight_decay=0.01)
    return model


def new_model(kind=EncoderDecoder, n_layers=1, seed=0):
    torch.manual_seed(seed)
    config = Config(vocab_size=V + 3, d_model=32, n_layers=n_layers, max_len=24, position="learned")
    return kind(config).to(device())


practice = gaps(torch.from_numpy(small.sample(4000, 12, seed=0).tokens)[:, 1:], seed=0)
gap_filler = learn(new_model(), practice, steps=350, lr=1e-2)

# %% [markdown]
r"""
The floor: no model can beat p(target | source). That is p(text) over the probability of everything that is visible,
and the lengths of the two gaps are not visible: 1 and 3, 2 and 2, or 3 and 1, equally often. Each is a sum over all
words that could stand in the gaps, which the forward algorithm takes.
"""


# %%
def likelihood(texts):
    """The exact probability of the words of each row, where -1 stands for a word that could be any."""
    law = small.automaton
    step = np.zeros((small.n_topics, V + 1, small.n_states, small.n_states))
    step[:, law.word, law.source, law.target] = law.weight
    step[:, -1] = step.sum(1)
    state = np.zeros((small.n_topics, len(texts), small.n_states))
    state[:, :, 0] = 1 / small.n_topics
    for word in np.transpose(texts):
        state = np.einsum("zds,zdst->zdt", state, step[:, word])
    return state.sum((0, 2))


def written_out(source, lengths):
    """The source with so many hidden words in the place of each sentinel."""
    return [[w for t in row for w in ([-1] * lengths[t - V] if t >= V else [t])] for row in source.tolist()]


# %%
claim = "seq2seq-decoder-reconstructs-sentence"
fresh = torch.from_numpy(small.sample(500, 12, seed=10**6).tokens)[:, 1:]
source, target = gaps(fresh, seed=1)
visible = sum(likelihood(written_out(source, ways)) for ways in ((1, 3), (2, 2), (3, 1)))
nats = -np.log(likelihood(fresh.numpy()) / visible).mean()  # of a whole target
share = torch.bincount(practice[1].flatten(), minlength=V + 3) / practice[1].numel()
by_place = torch.stack([torch.bincount(column, minlength=V + 3) / len(column) for column in practice[1].T])
with torch.no_grad():
    logits = gap_filler(source.to(device()), F.pad(target, (1, -1), value=BOS).to(device())).cpu()
at_place = {"encoder-decoder": F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(0)}
at_place["frequencies"] = -by_place[torch.arange(7), target].clamp(min=1e-4).log().mean(0)
gap_losses = {name: x.mean().item() for name, x in at_place.items()}
gap_losses |= {"unigram": -share[target].log().mean().item(), "floor": nats / 7}

# %%
whats = {"unigram": "frequencies of the target's tokens", "frequencies": "frequencies by their place in the target"}
whats |= {"encoder-decoder": "the encoder-decoder", "floor": "the exact floor"}
ranges = {"unigram": (2.9, 3.1), "frequencies": (1.9, 2.3), "encoder-decoder": (0.8, 1.65), "floor": (0.7, 0.82)}
for name, what in whats.items():
    measure(claim, gap_losses[name], between=ranges[name], name=name, what=what, unit="nats per token to write")
places, reached, floor = (gap_losses[name] for name in ("frequencies", "encoder-decoder", "floor"))
way = (places - reached) / (places - floor)
measure(claim, way, between=(0.33, 0.95), name="way", what="share of the way from the frequencies to the floor")
form = at_place["encoder-decoder"][[0, -1]].mean()
measure(
    claim, form, between=(0, 0.05), name="form", what="the encoder-decoder at the first and the last token", digits=1
)
bart = "floor per token, if the whole text were written"
measure(claim, nats / 12, between=(0.38, 0.5), name="floor-bart", what=bart, unit="nats per token to write")
# sabotage: seq2seq-decoder-reconstructs-sentence/way: (places - reached) => (gap_losses["unigram"] - reached)

# %%
# alt: Loss by place in the target. At the five places in the middle the encoder-decoder lies about one nat below the
# alt: frequencies; at the first and the last place both are zero.
lines = {name: at_place[name].tolist() for name in ("frequencies", "encoder-decoder")}
print({name: [round(x, 2) for x in line] for name, line in lines.items() if name == "frequencies"})
ax = plotting.curves(range(1, 8), lines, xlabel="place in the target", ylabel="nats")

# %% [markdown]
r"""
Between. The form of the target (a sentinel in front, another at the end) is learned. The words in the gaps are not:
after these few seconds the model is well above the floor.

The last number is a remark on BART. What is unknown about a text does not depend on how much of it must be written:
one mask for each gap says as much as a sentinel does, so the nats for the whole target are the same. BART's decoder
spends most of its tokens on copying.

Where there is a GPU, a bigger model fills 18 times as many gaps, in half precision. How far does it get?
"""

# %%
if profile() == "gpu":
    torch.manual_seed(0)
    size = Config(vocab_size=V + 3, d_model=128, max_len=24, position="learned")
    big, batches = EncoderDecoder(size).to(device()), 400
    rows = gaps(torch.from_numpy(small.sample(128 * batches, 12, seed=3).tokens)[:, 1:], seed=3)
    rows = list(zip(*(x.split(128) for x in rows), strict=True))
    with metered(claim, tokens=1600 * sum(x.numel() for x in rows[0])):
        train(big, lambda step: rows[step % batches], writing_loss, steps=1600, lr=3e-3, precision=dtype())
    with torch.no_grad():
        reached = writing_loss(big, (source.to(device()), target.to(device()))).item()
    way = (places - reached) / (places - floor)
    measure(claim, way, between=(0.33, 1.02), name="way-big", what="the same with a bigger model")
else:
    print("In the gpu profile this cell trains an encoder-decoder of 0.9 million weights on 51,200 texts, four times.")

# %% [markdown]
r"""
FLAN-T5 is named in the notes as a model of span corruption. *T5* is one. FLAN-T5 is T5 after it was trained on about
1,800 tasks with instructions ([Chung and others, 2024](../chapters/bibliography.md)). What does a model do that has
learned nothing but to fill gaps, if it gets a text without a gap?

**Predict.** It gets "the dogs behind the horse see some horses ." What does it write first?
"""

# %%
VERBS = {t for kind in ("REST", "ACT") for n in ("one", "many") for t in small.tokens_of(f"{kind}.{n}").tolist()}
PREPOSITIONS = set(small.tokens_of("PREPOSITION").tolist())


def turned(sentence):
    """The sentence in another word order: the verb at the end, and a preposition behind its phrase."""
    verb = next(i for i, word in enumerate(sentence) if word in VERBS)
    prep = next((i for i in range(verb) if sentence[i] in PREPOSITIONS), verb)
    phrase = [*sentence[prep + 1 : verb], sentence[prep]] if prep < verb else []
    return [*sentence[:prep], *phrase, *sentence[verb + 1 : -1], sentence[verb], sentence[-1]]


def some_sentences(n, seed):
    """The first sentences of documents, if they have at least five words."""
    rows = small.sample(n, 30, seed).tokens[:, 1:].tolist()
    found = [row[: row.index(small.stop) + 1] for row in rows]
    return [sentence for sentence in found if len(sentence) >= 5]


# %%
def padded(rows, width):
    tokens = torch.full((len(rows), width), PAD)
    for i, row in enumerate(rows):
        tokens[i, : len(row)] = torch.tensor(row)
    return tokens


known = some_sentences(6000, seed=1)
new = sorted({tuple(x) for x in some_sentences(1500, seed=2)} - {tuple(x) for x in known})
new = [list(sentence) for sentence in new]
to_learn, to_ask = ((padded(x, 10), padded([turned(s) for s in x], 10)) for x in (known, new))
print(len(known), "sentences to learn from,", len(new), "new ones to be asked about, such as:")
example = max(new, key=len)
print(small.decode(example), "->", small.decode(turned(example)))

# %%
claim = "seq2seq-flan-t5-span-corruption"


@torch.no_grad()
def write(model, source, n):
    """The most probable token, n times."""
    written = torch.full((len(source), 1), BOS, device=source.device)
    for _ in range(n):
        following = model(source, written, source != PAD)[:, -1].argmax(-1)
        written = torch.cat([written, following[:, None]], dim=1)
    return written[:, 1:]


said = write(gap_filler, to_ask[0].to(device()), 10)
begins = (said[:, 0] == V).double().mean()
measure(claim, begins, between=(0.99, 1), name="sentinel", what="answers that begin with the first sentinel")
words_only = (said < V).all(1).double().mean()
measure(claim, words_only, between=(0, 0.01), name="words", what="answers without any sentinel")
# sabotage: seq2seq-flan-t5-span-corruption/sentinel: write(gap_filler => write(new_model()

# %% [markdown]
r"""
It answers in its mother tongue, sentinels.

*Verdict on `seq2seq-flan-t5-span-corruption`: imprecise. Span corruption made T5. What makes FLAN-T5 different from T5
is what came after.*

## 5. From one text to another

The first Transformer was built to translate. Our foreign language has the same words in another order: the verb comes
last, and *near some barn* becomes *some barn near*. There is exactly one right translation. An answer counts if every
word of it is right.

Two models read the same 300 batches. The encoder-decoder has one layer on each side. The decoder has two layers, reads
the sentence and its translation in a row, and its loss is taken on the translation alone. Both have about 30,000
weights.

**Predict.** Which learns it first? And does it help to have filled gaps before?
"""


# %%
def in_a_row(sentences):
    """Each sentence and its translation as one text, and which words of it are the translation."""
    tokens = padded([[BOS, *s, *turned(s)] for s in sentences], 21)
    n = torch.tensor([len(s) for s in sentences])[:, None]
    place = torch.arange(21)
    return tokens, (place > n) & (place <= 2 * n)


def translation_loss(model, batch):
    return causal_loss(model(batch[0]), *batch)


row_to_learn, row_to_ask = in_a_row(known), in_a_row(new)
translators = {"both": learn(new_model(), to_learn, 300), "after": learn(copy.deepcopy(gap_filler), to_learn, 300)}
for name, steps in (("decoder", 300), ("longer", 600)):
    translators[name] = learn(new_model(Decoder, n_layers=2), row_to_learn, steps, loss=translation_loss)

# %% [markdown]
r"""
A greedy writer is right if, after right words, the most probable word is right each time. So one pass by teacher
forcing tells what it would write.
"""


# %%
@torch.no_grad()
def exact(model):
    """The share of new sentences of which every word of the translation would be right."""
    if isinstance(model, Decoder):
        tokens, counts = (x.to(device()) for x in row_to_ask)
        guess, wanted, counts = model(tokens)[:, :-1].argmax(-1), tokens[:, 1:], counts[:, 1:]
    else:
        source, wanted = (x.to(device()) for x in to_ask)
        guess = model(source, F.pad(wanted, (1, -1), value=BOS), source != PAD).argmax(-1)
        counts = wanted != PAD
    return ((guess == wanted) | ~counts).all(1).double().mean().item()


# %%
claim = "seq2seq-uses"
whats = {"both": "encoder-decoder, 300 steps", "decoder": "decoder, 300 steps", "longer": "decoder, 600 steps"}
whats["after"] = "encoder-decoder, 300 steps, after it had learned to fill gaps"
ranges = {"both": (0.85, 1), "decoder": (0.02, 0.75), "longer": (0.75, 1), "after": (0, 0.3)}
right = {name: exact(model) for name, model in translators.items()}
for name, what in whats.items():
    measure(claim, right[name], between=ranges[name], name=name, what=f"translations without a fault: {what}")
ahead = right["both"] - right["decoder"]
measure(claim, ahead, between=(0.2, 0.98), name="ahead", what="after 300 steps the encoder-decoder is ahead by")
# sabotage: seq2seq-uses/both: exact(model) for name, model in => exact(translators["after"]) for name, model in

# %%
for name in ("both", "decoder"):
    print(f"{whats[name]}: {sum(x.numel() for x in translators[name].parameters()):,} weights")
answers = write(translators["both"], to_ask[0].to(device()), 10)
same = ((answers == to_ask[1].to(device())) | (to_ask[1] == PAD).to(device())).all(1).double().mean()
measure(
    claim, same - right["both"], between=(-0.01, 0.01), name="written", what="written word by word instead: more by"
)

# %%
# alt: Four bars. Encoder-decoder and the decoder with twice the steps are near 1, the decoder is at half or less, and
# alt: the encoder-decoder after gap filling at zero.
short = ["encoder-decoder", "decoder", "decoder, twice the steps", "after filling gaps"]
ax = plotting.bars({"right": [right[name] for name in whats]}, short, unit="share of faultless answers")

# %% [markdown]
r"""
The encoder-decoder gets there first, and with twice the steps the decoder gets there, too. This is one task. To write
a sentence backwards, the decoder is hardly behind (`benchmarks/translation.py` tries four seeds). And the model that
could fill gaps already is the *worst* of all: in as many steps as the others had it learns nothing. What stands in its
way is not measured here. At full size pretraining on spans does help T5
([Raffel and others, 2020](../chapters/bibliography.md)), and ours was stopped far from its floor.

*Verdict on `seq2seq-uses`: holds, with the remark that decoders now do the same: translating, summarising, answering.*

## 6. Telling pairs apart

Now an objective that asks for no words. Two **views** of the same thing are made into vectors; those of partners should
point the same way, those of strangers should not. Our views are the first three and the next three sentences of a
document.

The strangers are the other documents of the batch. For each first view, find its partner among all second views: the
loss is the surprise at the right one, from the cosines over a **temperature**. This is InfoNCE
([Oord and others, 2018](../chapters/bibliography.md)).

**Exercise 5** (20 minutes, difficulty 3 of 5, 4 points).
"""


# %% exercise
def contrastive_loss(a, b, temperature):
    """Return the InfoNCE loss in nats: the mean of -log of what each a[i] [n, d] gives to its partner b[i] [n, d].

    The scores of a[i] are its cosines with all rows of b, over the temperature; a softmax over them says how much each
    row gets.
    """
    ### BEGIN SOLUTION
    a, b = (x / x.norm(dim=-1, keepdim=True) for x in (a, b))
    scores = a @ b.T / temperature
    return -scores.log_softmax(-1).diag().mean()
    ### END SOLUTION


check("contrastive_loss", contrastive_loss)

# %% [markdown]
r"""
How well can a partner be found? Given the topic, the sentences of a document are independent of each other. So all that
one view can tell about the other is the topic, and Bayes' rule says how much:
p(partners) / p(strangers) = 6 · sum over topics of p(topic | a) · p(topic | b). The best finder takes the largest.

**Predict.** In a batch of 64 documents and six topics: how often does the best possible finder get the right one?
"""

# %%
N = 64


def views(n, seed, size=3):
    """The first `size` and the next `size` sentences of documents, and their topics."""
    sample = world.sample(n, 64, seed)
    ends = [np.flatnonzero(row == world.stop) + 1 for row in sample.tokens]
    kept = [i for i, end in enumerate(ends) if len(end) >= 2 * size]
    kept = kept[: len(kept) // N * N]
    first = [sample.tokens[i, 1 : ends[i][size - 1]].tolist() for i in kept]
    second = [sample.tokens[i, ends[i][size - 1] : ends[i][2 * size - 1]].tolist() for i in kept]
    return first, second, sample.topics[kept]


def with_bos(rows, width=48):
    """Texts as one tensor with <bos> in front, and where it holds words of the text."""
    n = torch.tensor([len(row) for row in rows])[:, None]
    place = torch.arange(width)
    return padded([[BOS, *row] for row in rows], width), (place > 0) & (place <= n)


# %%
first, second, topics = views(1000, seed=10**6)


def topic_law(rows):
    """What each text says about its topic, by Bayes' rule."""
    tokens, inside = with_bos(rows)
    return world.topic_posterior(torch.where(inside, tokens, BOS).numpy())[np.arange(len(rows)), inside.sum(1)]


def by_batch(a, b):
    """The scores of all pairs within each batch of N: [batches, N, N]."""
    return np.einsum("kid,kjd->kij", a.reshape(-1, N, a.shape[1]), b.reshape(-1, N, b.shape[1]))


def retrieval(scores):
    """How often the highest score is the partner's, and how often it is a text on the same topic."""
    guess, groups = scores.argmax(-1), topics.reshape(-1, N)
    return (guess == np.arange(N)).mean(), (np.take_along_axis(groups, guess, 1) == groups).mean()


# %%
claim = "objectives-contrastive"
scores = by_batch(topic_law(first), topic_law(second))
shares = scores / scores.sum(-1, keepdims=True)
floor = -np.log(np.diagonal(shares, axis1=1, axis2=2)).mean()
exact_best, topic_best = retrieval(scores)
ceiling = shares.max(-1).mean()
measure(claim, 1 / N, between=(0.015625, 0.015625), name="chance", what="a blind guess finds the partner")
measure(claim, ceiling, between=(0.08, 0.105), name="ceiling", what="the best finder may expect")
measure(claim, exact_best, between=(0.07, 0.115), name="best", what="the best finder finds, in these batches")
measure(claim, topic_best, between=(0.94, 0.99), name="topic-best", what="the best finder finds a text on the topic")
measure(claim, floor, between=(2.4, 2.75), name="floor", what="the floor of the loss", unit="nats")
print(f"the loss of vectors that say nothing: {np.log(N):.3f} nats; {len(first)} pairs")
# sabotage: objectives-contrastive/ceiling: topic_law(second)) => topic_law(second[::-1]) ** 0)

# %% [markdown]
r"""
One in eleven: about that many documents share a topic in a batch of 64, and nobody can tell them apart. But a text on
the right topic can be found nearly always.

Now a small encoder, one layer, from random weights. A text's vector is the mean of its words' vectors.
"""


# %%
class Embedder(nn.Module):
    """An encoder that makes one vector of a text."""

    def __init__(self):
        super().__init__()
        self.encoder = Encoder(Config(vocab_size=world.vocab_size, d_model=32, n_layers=1, max_len=65))

    def forward(self, tokens, inside):
        hidden = self.encoder.hidden(tokens, inside | (tokens == BOS))
        return (hidden * inside[..., None]).sum(1) / inside.sum(1, keepdim=True)


# %%
def embedder(loss, steps):
    """A fresh one, trained on batches of pairs."""
    torch.manual_seed(0)
    model = Embedder().to(device())

    def batch(step):
        here = slice(step * N % n_lessons, step * N % n_lessons + N)
        return tuple(tuple(x[here] for x in side) for side in lessons_in_pairs)

    train(model, batch, loss, steps=steps, lr=1e-2, weight_decay=0.01)
    return model


# %%
sides = views(4000, seed=1)[:2]
lessons_in_pairs, n_lessons = [with_bos(side) for side in sides], len(sides[0])


def info_nce_at(temperature):
    return lambda model, batch: info_nce(model(*batch[0]), model(*batch[1]), temperature=temperature)


def agreement(model, batch):
    """No strangers: partners alone, who should agree."""
    return 1 - F.cosine_similarity(model(*batch[0]), model(*batch[1])).mean()


embedders = {"trained": embedder(info_nce_at(0.1), 60), "lonely": embedder(agreement, 20)}
embedders |= {"untrained": embedder(agreement, 0), "warm": embedder(info_nce_at(1.0), 60)}

# %%
tests = [with_bos(side) for side in (first, second)]
same_topic = topics.reshape(-1, N, 1) == topics.reshape(-1, 1, N)
cosines, results = {}, {}
for name, model in embedders.items():
    with torch.no_grad():
        a, b = (F.normalize(model(*(x.to(device()) for x in side)), dim=-1).cpu().numpy() for side in tests)
    cosines[name] = by_batch(a, b)
    results[name] = retrieval(cosines[name])
losses = -(torch.from_numpy(cosines["trained"]) / 0.1).log_softmax(-1).diagonal(dim1=1, dim2=2)

# %%
claim = "objectives-contrastive"
measure(claim, losses.mean(), between=(2.6, 3.5), name="loss", what="the loss of the trained encoder", unit="nats")
ranges = {"untrained": ((0.01, 0.054), (0.2, 0.5)), "trained": ((0.055, 0.1), (0.72, 0.96))}
for name, (exact_range, topic_range) in ranges.items():
    found, on_topic = results[name]
    measure(claim, found, between=exact_range, name=f"exact-{name}", what=f"{name}: finds the partner")
    measure(claim, on_topic, between=topic_range, name=f"topic-{name}", what=f"{name}: finds a text on the topic")
for name, between in (("same", (0.8, 0.97)), ("other", (0.2, 0.75))):
    mean = cosines["trained"][same_topic if name == "same" else ~same_topic].mean()
    measure(claim, mean, between=between, name=f"cosine-{name}", what=f"trained: cosine of texts on the {name} topic")
# sabotage: objectives-contrastive/exact-trained: results[name] => results["untrained"]

# %%
# alt: Cosines of 22 first with 22 second views, sorted by topic. Along the diagonal lies a bright square for each of
# alt: the six topics, here and there with a dark column; a few other cells are bright.
order = np.argsort(topics[:N], kind="stable")[::3]
shown, names = cosines["trained"][0][np.ix_(order, order)], [world.topics[topics[i]] for i in order]
ax = plotting.heatmap(shown.tolist(), names, names, xlabel="second view", ylabel="first view", unit="cosine")

# %% [markdown]
r"""
Most of the way from blind to best. The bright squares in the figure are topics, not pairs: that is all the pairs have
in common, so that is what was learned. Whoever makes the pairs decides what a vector knows.

**Predict.** The cosine of two strangers, if the model was trained on partners alone?
"""

# %%
strangers = {name: x[:, ~np.eye(N, dtype=bool)].mean() for name, x in cosines.items()}
partners = {name: np.diagonal(x, axis1=1, axis2=2).mean() for name, x in cosines.items()}
what = "cosine of strangers, trained without negatives"
measure(claim, strangers["lonely"], between=(0.98, 1), name="strangers-lonely", what=what)
what = "cosine of strangers, trained with negatives"
measure(claim, strangers["trained"], between=(0.3, 0.8), name="strangers-trained", what=what)
loss = 1 - partners["lonely"]
measure(claim, loss, between=(0, 0.01), name="loss-lonely", what="the loss of partners alone", digits=1)
measure(claim, partners["trained"], between=(0.85, 0.97), name="partners", what="cosine of partners, with negatives")
what = "without negatives: finds a text on the topic"
measure(claim, results["lonely"][1], between=(0.15, 0.6), name="topic-lonely", what=what)
# sabotage: objectives-contrastive/strangers-lonely: strangers["lonely"] => strangers["untrained"]

# %% [markdown]
r"""
All vectors have become the same one. The loss is as good as zero, and the model finds no more than before: this is
**collapse**. The negatives are what forbids it.

The temperature says how much a difference of cosines counts. Take the cosines of the trained model. A negative is
pushed away with a force in proportion to what the softmax gives it.

**Predict.** Of the whole push on the 63 negatives, how much falls on the five nearest, at a temperature of 1, of 0.1
and of 0.02?
"""

# %%
negatives = torch.from_numpy(cosines["trained"][:, ~np.eye(N, dtype=bool)]).reshape(-1, N - 1)
for temperature, name, between in ((1.0, "1", (0.08, 0.16)), (0.1, "01", (0.3, 0.7)), (0.02, "002", (0.75, 1))):
    push = (negatives / temperature).softmax(-1).topk(5).values.sum(-1).mean()
    measure(
        claim, push, between=between, name=f"push-{name}", what=f"share of the push on the nearest 5, {temperature}"
    )
print(f"an equal push would give them {5 / 63:.3f}")
what = "trained at temperature 1: cosine of strangers"
measure(claim, strangers["warm"], between=(-0.2, 0.25), name="strangers-warm", what=what)
what = "trained at temperature 1: finds a text on the topic"
measure(claim, results["warm"][1], between=(0.4, 0.9), name="topic-warm", what=what)
least = np.log(1 + 63 * np.exp(-1))
print(f"temperature 1, partners at cosine 1, strangers at 0: loss {least:.3f} nats")
# sabotage: objectives-contrastive/push-01: (negatives / temperature) => (negatives * temperature)

# %% [markdown]
r"""
At a low temperature the push falls on the nearest negatives. At a temperature of 1 it is spread far more evenly. To say
the same, the cosines must then spread wider: trained so, strangers end near a right angle.

*Verdict on `objectives-contrastive`: holds with a caveat. Partners are pulled together and the others are pushed apart;
both are needed. It trains vectors and no generator: SimCSE for sentences
([Gao and others, 2021](../chapters/bibliography.md)), CLIP for images and their captions
([Radford and others, 2021](../chapters/bibliography.md)). So it does not belong to one of the three configurations.*

## 7. One question, three ways

The notes say that the three configurations are trained differently and *therefore* learn different tasks. So we ask one
question of all three: is a review good or bad? The **encoder** makes a vector, and a logistic regression on it is
trained with labels. The **decoder** reads the review up to "sentiment :" and we compare two words, *positive* and
*negative*. The **encoder-decoder** reads the review and *writes* the label. Encoder and decoder come trained on the
language; the third has that encoder for its first half, and learns from the same labels.

**Predict.** Who is best?
"""

# %%
START, ASK = (world.encode(text).tolist() for text in ("classify this review :", "! sentiment :"))
LABELS = world.encode("negative positive").tolist()
reviews, labels = [], []
for document in world.sample(4000, 63, seed=5).tokens:
    pattern = f" {' '.join(map(str, START))} ([\\d ]+?) {' '.join(map(str, ASK))} ({LABELS[0]}|{LABELS[1]})\\b"
    for found in re.finditer(pattern, " ".join(map(str, document.tolist()))):
        reviews.append([int(token) for token in found[1].split()])
        labels.append(LABELS.index(int(found[2])))
labels, half = np.array(labels), len(reviews) // 2
print(len(reviews), "reviews; the first half is to learn from. One:", world.decode(reviews[2]))
laws = {tuple(review): world.law_after(world.decode(START + review + ASK))[LABELS] for review in reviews}
answers = {"best": np.array([laws[tuple(review)].argmax() for review in reviews])}


# %%
reader, speaker = load_world_encoder().to(device()), load_world_decoder().to(device())
tokens, inside = (x.to(device()) for x in with_bos([START + review for review in reviews], width=32))
lead = len(START) + 1
with torch.no_grad():
    vectors = reader.hidden(tokens, inside | (tokens == BOS))[:, lead:]
    pooled = (vectors * inside[:, lead:, None]).sum(1) / inside[:, lead:].sum(1, keepdim=True)
    asked, inside = (x.to(device()) for x in with_bos([START + review + ASK for review in reviews], width=32))
    after = speaker(asked)[torch.arange(len(asked)), inside.sum(1)]
head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
answers["encoder"] = head.fit(pooled[:half].cpu(), labels[:half]).predict(pooled.cpu())
answers["decoder"] = after[:, LABELS].argmax(-1).cpu().numpy()

# %%
torch.manual_seed(0)
writer = EncoderDecoder(reader.config).to(device())
writer.encoder.load_state_dict(reader.state_dict())
pairs = padded(reviews, 24), torch.tensor([[LABELS[label], world.stop] for label in labels])
learn(writer, tuple(x[:half] for x in pairs), steps=60, lr=2e-3)
said = write(writer, pairs[0].to(device()), 2).cpu()
answers["both"] = torch.where((said[:, 1] == world.stop) & (said[:, 0] == LABELS[1]), 1, 0).numpy()
readable = (torch.isin(said[:, 0], torch.tensor(LABELS)) & (said[:, 1] == world.stop)).double().mean()

# %%
claim = "objectives-three-configurations"
whats = {"best": "the exact law", "encoder": "encoder and a head", "decoder": "decoder, two words compared"}
whats["both"] = "encoder-decoder, which writes the label"
ranges = {"best": (0.92, 0.98), "encoder": (0.83, 0.95), "decoder": (0.9, 0.98), "both": (0.68, 0.97)}
score = {name: (answer == labels)[half:].mean() for name, answer in answers.items()}
for name, what in whats.items():
    measure(claim, score[name], between=ranges[name], name=name, what=f"right on the second half: {what}")
measure(claim, readable, between=(0.99, 1), name="readable", what="texts written that are a label and a full stop")
majority = max(labels[half:].mean(), 1 - labels[half:].mean())
measure(claim, majority, between=(0.5, 0.56), name="majority", what="always the more common label")
# sabotage: objectives-three-configurations/best: answer == labels => answer == labels[::-1]

# %%
# alt: Four bars, all above 0.85: exact law, encoder, decoder, encoder-decoder.
ax = plotting.bars({"right": list(score.values())}, [whats[name] for name in score], unit="share of reviews")

# %% [markdown]
r"""
All three do it, and here all three do it well. (With one of five seeds the encoder-decoder was right on three in four
only.) The decoder had no labelled examples from us, but reviews with their labels
are part of the language that it read; the other two learned from labels that we showed.

*Verdict on `objectives-three-configurations`: imprecise. The usual objectives differ, the tasks overlap. GPT-3 is a
decoder, and it classifies and translates ([Brown and others, 2020](../chapters/bibliography.md)).*

## 8. Four models on paper

The claim is that popular models differ in architecture *and* in objective. Their configurations come with the
`transformers` library, and no weights are needed: we build each at its default size without memory for the weights, and
a tiny one with random weights to ask who sees whom.

**Predict.** Which of BERT, GPT-2, T5 and BART have cross-attention?
"""

# %%
kinds = {"BERT": BertConfig, "GPT-2": GPT2Config, "T5": T5Config, "BART": BartConfig}
sizes = {"vocab_size": 50, "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}
tiny = {
    "BERT": kinds["BERT"](**sizes, intermediate_size=64),
    "GPT-2": kinds["GPT-2"](vocab_size=50, n_embd=32, n_head=2, n_layer=1, bos_token_id=1, eos_token_id=1),
}
tiny["T5"] = T5Config(vocab_size=50, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2)
halves = {f"{half}_{size}": n for half in ("encoder", "decoder") for size, n in (("layers", 1), ("ffn_dim", 64))}
halves |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
tiny["BART"] = BartConfig(vocab_size=50, d_model=32, **halves)
torch.manual_seed(0)
small_models = {name: AutoModel.from_config(config).eval() for name, config in tiny.items()}
with torch.device("meta"):
    papers = {name: AutoModel.from_config(kind()) for name, kind in kinds.items()}

# %%
CROSS = ("EncDecAttention", "encoder_attn", "crossattention")  # what the library calls cross-attention
one, other = torch.arange(10, 18)[None], torch.arange(10, 18)[None].clone()
other[0, -1] = 30


def looks_ahead(model):
    """Whether the output at the first position moves with the last token, in the half that reads and that writes."""
    halves = (
        {"reads": model} if not model.config.is_encoder_decoder else {"reads": model.encoder, "writes": model.decoder}
    )
    with torch.no_grad():
        return {name: bool(((half(one)[0] - half(other)[0])[:, 0].abs() > 1e-6).any()) for name, half in halves.items()}


for name, model in papers.items():
    cross = sum(module.endswith(CROSS) for module, _ in model.named_modules())
    facts = f"two halves: {model.config.is_encoder_decoder!s:5}  layers with cross-attention: {cross:2}"
    print(f"{name:6} {facts}  looks ahead: {looks_ahead(small_models[name])}")

# %%
claim = "objectives-differ-architecture-and-objective"
expected = {"BERT": 0, "GPT-2": 0, "T5": 6, "BART": 12}
for name, count in expected.items():
    cross = sum(module.endswith(CROSS) for module, _ in papers[name].named_modules())
    what = f"{name}: layers with cross-attention, at the default size"
    measure(claim, cross, between=(count, count), name=f"cross-{name.lower().replace('-', '')}", what=what)
ahead = {name: looks_ahead(model) for name, model in small_models.items()}
reads, writes = (sum(half.get(side, 0) for half in ahead.values()) for side in ("reads", "writes"))
measure(claim, reads, between=(3, 3), name="reads-ahead", what="models of the four whose first half looks ahead")
measure(claim, writes, between=(0, 0), name="writes-ahead", what="second halves that look ahead")
# sabotage: objectives-differ-architecture-and-objective/cross-t5: papers[name].named => small_models[name].named

# %% [markdown]
r"""
GPT-2 is the one whose only half cannot look ahead. And what they were trained on, from their papers:

| model | halves | reads | must say |
| --- | --- | --- | --- |
| BERT | encoder | two segments; 15% of the tokens chosen | the chosen ones; whether the second follows |
| GPT-2 | decoder | the text so far | the next token |
| T5 | both | text with numbered sentinels for spans | the spans |
| FLAN-T5 | both | T5's training, then instructions | the spans, then answers |
| BART | both | text with one mask for each span, sentences shuffled | the whole text |

The papers: [Devlin and others, 2019](../chapters/bibliography.md);
[Radford and others, 2019](../chapters/bibliography.md); [Raffel and others, 2020](../chapters/bibliography.md);
[Chung and others, 2024](../chapters/bibliography.md); [Lewis and others, 2020](../chapters/bibliography.md).

*Verdict on `objectives-differ-architecture-and-objective`: holds. T5 and BART share an architecture and differ in the
objective; T5 and FLAN-T5 share both and differ in what came after.*

## With a real model

In the `gpu` profile, or when you ask for them, the next cells load three models: T5 (`google-t5/t5-small`: 61 million
parameters, 243 MB, licence Apache-2.0), whose sentinels are those of this lab; BERT (`google-bert/bert-base-uncased`:
110 million parameters, 441 MB, licence Apache-2.0), which was never trained on pairs; and MiniLM
(`sentence-transformers/all-MiniLM-L6-v2`: 23 million parameters, 91 MB, licence Apache-2.0), which was.

**Predict.** Which words does T5 put into the gaps of "The dogs near the old tree watch a cow."?
"""


# %%
def fill_spans(t5, tokenizer, line, dropped):
    """Drop these tokens of a line by our rule; return source, target, what T5 writes, and its loss on the target."""
    sentinels = tokenizer.convert_tokens_to_ids([f"<extra_id_{i}>" for i in range(100)])
    tokens = torch.tensor(tokenizer.encode(line, add_special_tokens=False))
    gaps = torch.zeros(len(tokens), dtype=torch.bool).index_fill(0, torch.tensor(dropped), True)
    source, target = corrupt_spans(tokens, gaps, sentinels)
    end = tokens.new_tensor([tokenizer.eos_token_id])
    given, wanted = (torch.cat([part, end])[None].to(device()) for part in (source, target))
    loss = t5(input_ids=given, labels=wanted).loss.item()
    made = t5.generate(input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=12)[0, 1:]
    filled = restore_spans(source.tolist(), made[made != end.to(device())].tolist(), sentinels)
    return {"source": source, "target": target, "T5 writes": made, "restored": filled}, loss


# %%
if loaded := hub.offer("encoder-decoder"):
    with torch.no_grad():
        parts, loss = fill_spans(*loaded, "The dogs near the old tree watch a cow.", [3, 4, 7])
    for name, part in parts.items():
        print(f"{name}: {loaded[1].decode(part)}")
    print(f"loss on the true target: {loss:.2f} nats a token")

# %% [markdown]
r"""
**Predict.** Four sentences, and four that say the same in other words. How many partners does each of the two encoders
find by the cosine?
"""

# %%
pairs = {
    "The cat sleeps on the sofa.": "Our pet is lying on the couch.",
    "Interest rates rose again in May.": "Loans became dearer in spring.",
    "He repaired the old bicycle.": "The rusty bike can be ridden once more.",
    "The soup needs more salt.": "This broth tastes bland.",
}
for job in ("encoder", "embedding"):
    if loaded := hub.offer(job):
        a, b = (hub.embed(*loaded, list(side)) for side in (pairs, pairs.values()))
        cosine = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T
        found, same = (cosine.argmax(1).cpu() == torch.arange(4)).sum(), cosine.diagonal().mean()
        strangers = (cosine.sum() - cosine.trace()) / 12
        print(f"{hub.MODELS[job].id}: {found} of 4 found, InfoNCE {info_nce(a, b):.2f} nats (a guess: {np.log(4):.2f})")
        print(f"  cosine of partners {same:.2f}, of strangers {strangers:.2f}")

# %% [markdown]
r"""
## What you have shown

- Span corruption drops several spans, each with its own sentinel, and the target is the spans: a fifth of a long text.
  Source and target together give the text back, exactly.
- Masks make the families: one network trains causally, with a prefix or masked, with the same weights.
- An encoder-decoder of 30,000 weights learns the form of the target at once and the words in the gaps slowly. Asked
  something else, it still writes sentinels.
- It learned another word order in fewer steps than a decoder, which got there later. Filling gaps first did harm here.
- Contrastive training finds the topic, which is all that the pairs have in common, and cannot find more. Without
  negatives all vectors become one.
- Sentiment can be asked of all three families.

## Where to go next

Lab 10 asks a decoder for tasks by examples in its prompt. The chapter on
[pretraining](../chapters/02_pretraining.md) sets the families side by side, and ends with a quiz.
"""
