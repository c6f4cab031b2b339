# %% [markdown]
r"""
# Lab 01: Prompt to completion

You have typed a question into a chatbot, pressed Enter, and watched the answer appear word by word. What happened in
between? In this lab you take the machine apart and put it together again, with your own hands and numbers that you can
check.

**What you will measure.** How text becomes numbers, and what a word costs in English, in code, in Hindi. How a model
turns numbers into probabilities, and a loop turns probabilities into text. What happens when the text grows too long.
And whether a model that answers a question knows the answer.

**What you need.** Python, and a little algebra: sums, and the exponential function. No chatbot knowledge, no machine
learning. Each new word is defined where it first stands in bold. The chapter on
[language models](../chapters/01_llms.md) tells the same story without code.

**Time.** Reading and exercises: about 120 minutes. The cells run in well under a minute on two cores; on a T4 a
bigger model is trained and GPT-2 is asked as well.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on prompts, completions, context
windows and tokens, on how a language model works, and their example of the moon Ganymede.
"""

# %% setup

# %%
import contextlib
import dataclasses
import io
import math
import random
import re
from collections import Counter, defaultdict
from itertools import pairwise

import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

# %%
from labutils import corpora, hub, plotting, positions, sampling
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss
from labutils.runtime import device, dtype, profile
from labutils.tokenizer import ByteTokenizer
from labutils.training import metered, train
from labutils.weights import load_world_decoder, load_world_encoder
from labutils.world import BOS, ENGLISH, MASK, RULES, World

# %% [markdown]
r"""
## 1. Press Enter

A **language model** is a program that has read much text and says what may come next. Ours is tiny. It has read a
made-up language of 296 words, in which farmers watch cows and people ask about moons. A **prompt** is the text that you
give it. A **completion** is what it adds.

**Predict.** The notes ask their model where Ganymede is. What will ours say?
"""

# %%
world = World()
model = load_world_decoder().to(device())


def prompt_of(text):
    """The numbers of the words, in the form that the model takes: one row."""
    return torch.from_numpy(world.prompt(text)).to(device())


made = sampling.generate(model, prompt_of("question : where is ganymede ?"), max_new_tokens=20, greedy=True)
print(world.decode(made.new_tokens[0]))

# %% [markdown]
r"""
It answers, and goes on: the answer ends at the full stop, but nobody told the model to stop there. Everything in this
line came from one small calculation, done twenty times. The rest of the lab is that calculation.

    text -> tokens -> numbers -> scores -> probabilities -> one token -> append it, and again

## 2. Text is bytes

A computer keeps text as **bytes**, numbers from 0 to 255. The rule is called UTF-8: an English letter takes one byte,
most other characters take two to four.

**Predict.** How many bytes has ≠, the sign for "not equal"? And what happens if a program reads them by another rule?
"""

# %%
claim = "notes-typos"
for name, sign in {"not-equal": "≠", "flag": "⚑"}.items():
    damaged = sign.encode("utf-8").decode("cp1252")
    print(sign, "is", list(sign.encode("utf-8")), "and read as Windows-1252:", ascii(damaged), damaged)
    measure(claim, len(damaged), between=(3, 3), name=name, what=f"characters that one {name} sign turns into")
    repaired = damaged.encode("cp1252").decode("utf-8")
    measure(claim, int(repaired == sign), between=(1, 1), name=f"{name}-repaired", what="the way back works (1: yes)")
# sabotage: notes-typos/not-equal: decode("cp1252") => decode("utf-8")

# %% [markdown]
r"""
These are the damaged characters of the notes, to the letter: the first stands there for ≠, the second for the flag that
marks a heading. Somebody read UTF-8 with the wrong table, and the damage can be undone.

*Verdict on `notes-typos`: wrong, and explained. The other slips (unable for enable, kyes, ROBERTA) are plain typing;
several of them stand in the notes that these notes follow ([Agarwal, 2023](../chapters/bibliography.md)).*

## 3. From bytes to tokens

A model could read bytes. But texts would be long, and single bytes mean little. It could read words. But then a new
word, or a typing error, would be unreadable. So models read something in between: **tokens**, pieces of text from a
fixed list, the **vocabulary**. The number of a token in the list is its **id**.

Who writes the list? Counting does. **Byte-pair encoding** (BPE) begins with single bytes, finds the pair of neighbours
that is most frequent, joins it into a new token, and repeats
([Sennrich and others, 2016](../chapters/bibliography.md)). Let us watch it read a text that comes with every Python:
the Zen of Python.

**Predict.** Which pairs of letters will be joined first? Will a whole word become one token?
"""

# %%
with contextlib.redirect_stdout(io.StringIO()):
    import this  # it prints itself; its text is stored with every letter moved by 13
zen = "".join(this.d.get(letter, letter) for letter in this.s)
print(*zen.splitlines()[:5], sep="\n")
tokenizer = ByteTokenizer([zen], vocab_size=256 + 40)
print("the first 40 joined pieces:", [token.decode() for token in tokenizer.vocab[256:]])

# %% [markdown]
r"""
The space belongs to the word that follows it, so " better" and "better" are different tokens. Frequent words become
one piece. Rare ones stay in parts.

Now write one step of it yourself. A word is a list of pieces here, such as `["b", "e", "tt", "er"]`.

**Exercise 1** (20 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def bpe_merge_step(words):
    """Join the most frequent pair of neighbouring pieces everywhere, and return the new list of words.

    A word is a list of pieces. Every place of a pair counts: `["a", "a", "a"]` holds the pair (a, a) twice. Of pairs
    that tie, the one that occurs first in the text is joined. Go from left to right; a piece can be joined only once.
    """
    ### BEGIN SOLUTION
    counts = Counter(pair for word in words for pair in pairwise(word))
    if not counts:
        return words
    best = max(counts, key=counts.get)
    result = []
    for word in words:
        pieces, i = [], 0
        while i < len(word):
            here = tuple(word[i : i + 2]) == best
            pieces.append(best[0] + best[1] if here else word[i])
            i += 2 if here else 1
        result.append(pieces)
    return result
    ### END SOLUTION


check("bpe_merge_step", bpe_merge_step)

# %% [markdown]
r"""
Training is over when the vocabulary is full. To read a new text, the joins that were learned are repeated on it, in the
order in which they were learned.

**Exercise 2** (15 minutes, difficulty 3 of 5, 2 points).
"""


# %% exercise
def bpe_encode(word, merges):
    """Return the pieces of a word. `merges` is a list of pairs [left, right], in the order they were learned."""
    ### BEGIN SOLUTION
    pieces = list(word)
    for left, right in merges:
        joined, i = [], 0
        while i < len(pieces):
            here = pieces[i : i + 2] == [left, right]
            joined.append(left + right if here else pieces[i])
            i += 2 if here else 1
        pieces = joined
    return pieces
    ### END SOLUTION


check("bpe_encode", bpe_encode)

# %% [markdown]
r"""
### What a word costs

One page is too little. We train on the documentation of the Python that runs this lab, about a million characters,
until there are 4,096 tokens. (Your Python may have other documentation, so the numbers move a little.) Then we read
things that this text has much of, and things that it has little of.

**Predict.** How many tokens does an English word take? A name? A number of eight digits? A Hindi word?
"""

# %%
documents = corpora.documentation()
tokenizer = ByteTokenizer(documents, vocab_size=4096)
texts = {
    "english": "When you look at the sky at night, the light that you see left some of the stars long before you "
    "were born, and it may be that one of them is no longer there.",
    "names": "Ganymede Callisto Kepler Copernicus Shakespeare Reykjavik Guadalajara Mozambique Tchaikovsky",
    "numbers": "31415926 1,048,576 2026-08-29 299792458 6.02214076 1048576 90210 65536",
    "code": "for i in range(10):\n    total += values[i] ** 2\n    print(f'{i}: {total}')\nreturn sorted(names)\n",
    "greek": "Το φεγγάρι ταξιδεύει μαζί με τον πλανήτη του γύρω από τον ήλιο.",
    "hindi": "चाँद अपने ग्रह के साथ सूर्य का चक्कर लगाता है।",
}
cost = {name: len(tokenizer.encode(text)) / len(text.split()) for name, text in texts.items()}
# sabotage: term-token-or-word/english: / len(text.split()) for => / len(text) for
# %%
claim = "term-token-or-word"
allowed = {"english": (1.1, 1.8), "names": (4, 8), "numbers": (3.5, 8), "code": (1.8, 4)}
for name, between in (allowed | {"greek": (7, 10), "hindi": (9, 12.5)}).items():
    measure(claim, cost[name], between=between, name=name, what=f"{name}: tokens per word")
for word, between in {"the": (1, 1), "because": (1, 2), "Ganymede": (3, 6), "unbelievable": (3, 8)}.items():
    size = len(tokenizer.encode(" " + word))
    measure(claim, size, between=between, name=word.lower(), what=f"tokens of the word {word}", digits=1)

# %%
# alt: Six bars of tokens per word. English is shortest, then code; names, numbers, Greek and Hindi are far longer.
ax = plotting.bars({"tokens per word": list(cost.values())}, list(cost), unit="tokens per word")
# %% [markdown]
r"""
A word of everyday English is one token or two. A name that the text never mentions is spelled out. So a token is not a
word, and it is not a letter either.

Greek and Hindi fare worst, for no fault of their own: this documentation holds next to none of them, so their bytes
were never joined. Chinese writes no spaces, so we compare one sentence in four languages: "The moon travels with its
planet around the sun".

**Predict.** What is the worst that can happen to a text, in tokens per byte? Can a text come back damaged?
"""

# %%
sentence = {
    "English": "The moon travels with its planet around the sun.",
    "Greek": texts["greek"],
    "Chinese": "月亮和它的行星一起绕着太阳转。",
    "Hindi": texts["hindi"],
}
size = {language: len(tokenizer.encode(text)) for language, text in sentence.items()}
for language, between in {"Greek": (4, 10), "Chinese": (1.8, 4), "Hindi": (4, 11)}.items():
    what, name = f"{language}: tokens for the same sentence", f"{language.lower()}-over-english"
    measure(claim, size[language] / size["English"], between=between, name=name, what=what, unit="times English")
# sabotage: term-token-or-word/greek-over-english: size[language] / => len(sentence[language].split()) /

# %%
per_byte = {language: n / len(sentence[language].encode()) for language, n in size.items()}
measure(claim, per_byte["Hindi"], between=(0.85, 1), name="worst", what="Hindi: tokens per byte")
measure(claim, per_byte["English"], between=(0.2, 0.5), name="bytes-english", what="English: tokens per byte")
odd = ["naïve", "🌒 🌓 🌔", "\t\n  ", "x" * 50, "".join(map(chr, range(256)))]
strange = [*odd, *texts.values(), *sentence.values()]
longest = max(len(tokenizer.encode(text)) - len(text.encode()) for text in strange)
measure(claim, longest, between=(0, 0), name="over-bytes", what="most tokens of a text, beyond its bytes")
damaged = sum(tokenizer.decode(tokenizer.encode(text)) != text for text in strange)
measure(claim, damaged, between=(0, 0), name="damaged", what=f"texts out of {len(strange)} that come back changed")
# sabotage: term-token-or-word/damaged: tokenizer.encode(text)) != text => tokenizer.encode(text)[1:]) != text

# %% [markdown]
r"""
One token per byte is the ceiling, because every byte is in the vocabulary; GPT-2 reads text in the same way ([Radford
and others, 2019](../chapters/bibliography.md)). For Hindi it is reached, or nearly. And nothing is ever lost: emoji,
tabs and nonsense come back as they were. The numbers belong to this tokenizer. That languages cost differently holds
for the published ones, too: by up to 15 times ([Petrov and others, 2023](../chapters/bibliography.md)).

*Verdict on `term-token-or-word`: missing. The notes use the two words as one, and never say what a token is. Section 8
shows why it matters: windows are counted in tokens.*

## 4. The smallest language model

Before the neural network, a model that you can write in three lines. For each character, count which character follows
it. That table is a **bigram** model. Divided by its sum, a row of counts is a **distribution**: numbers that are not
negative and sum to 1, one for each thing that can come next. To write, draw from it, append, and repeat.

**Predict.** What will it write after reading the Zen of Python?
"""


# %%
def followers(text):
    """For each character, how often each other one follows it. The end is followed by the beginning."""
    counts = defaultdict(Counter)
    for one, other in pairwise(text + text[0]):
        counts[one][other] += 1
    return counts


def write(counts, start, n, seed=0):
    """Draw n characters, each from the followers of the one before."""
    draw, text = random.Random(seed), start
    while len(text) < n:
        row = counts[text[-1]]
        text += draw.choices(list(row), list(row.values()))[0]
    return text


print(write(followers(zen), "T", 300))

# %% [markdown]
r"""
It has the letters right, and neighbours look at home. Nothing else is. Let us say so in numbers. The **total
variation** between two distributions is half the sum of their differences: 0 if they are equal, 1 if they never agree.
We compare how often each *pair* of characters occurs in what the model has read and in documentation that it has not.

**Predict.** Will ten times as much text halve the distance? And of its words, how many exist?
"""


# %%
def pair_law(text):
    """The share of each pair of neighbours among all pairs."""
    counts = Counter(pairwise(text))
    return {pair: count / counts.total() for pair, count in counts.items()}


def distance(p, q):
    """Total variation between two distributions."""
    return sum(abs(p.get(x, 0) - q.get(x, 0)) for x in p.keys() | q.keys()) / 2


# %%
claim = "genai-statistical-patterns"
read, unread = ("\n".join(part) for part in corpora.split(documents, test_share=0.2))
sizes = {1_000: (0.25, 0.5), 10_000: (0.12, 0.26), 100_000: (0.05, 0.15), 700_000: (0.02, 0.1)}
far = {n: distance(pair_law(read[:n]), pair_law(unread)) for n in sizes}
for n, between in sizes.items():
    measure(claim, far[n], between=between, name=f"read-{n}", what=f"distance after reading {n:,} characters")
falls = sum(far[a] > far[b] for a, b in pairwise(sizes))
measure(claim, falls, between=(3, 3), name="falls", what="times out of 3 that more text brings it closer")
# sabotage: genai-statistical-patterns/read-10000: read[:n] => read[:1000]
# %%
# alt: Distance against characters read. It falls from about 0.36 at a thousand to about 0.06 at seven hundred thousand.
ax = plotting.curves(
    list(sizes), {"distance": list(far.values())}, xlabel="characters read", ylabel="total variation", log_x=True
)
# %%
written = write(followers(read), "T", 50_000)
gap = distance(pair_law(written), pair_law(unread))
measure(claim, gap, between=(0.04, 0.14), name="written", what="distance of 50,000 written characters")
known = set(re.findall("[a-z]{4,8}", read))
for name, text, between in (("words", written, (0, 0.08)), ("real-words", unread, (0.9, 1))):
    words = re.findall("[a-z]{4,8}", text)
    share = sum(word in known for word in words) / len(words)
    what = f"words of 4 to 8 letters that it has read, in {'what it writes' if name == 'words' else 'unread text'}"
    measure(claim, share, between=between, name=name, what=what)
# sabotage: genai-statistical-patterns/words: {4,8}", read)) => {4,8}", written))

# %% [markdown]
r"""
With more text the pairs come out right, and what it writes has them right too. Its words do not exist. A model picks up
the regularities that its form can hold, and this form holds pairs.

*Verdict on `genai-statistical-patterns`: holds, with a caveat. The sentence is true of a table of pairs and of the
largest network. It says neither what is learned beyond the statistics of pairs, nor what is remembered word for word.*

## 5. From ids to a distribution

A neural network looks at all the tokens before, not at one. Inside are its **weights**, about 120,000 numbers in ours,
which were set by **training**: moved, little by little, until the predictions were good. The chapters on
[pretraining](../chapters/02_pretraining.md) and [attention](../chapters/03_attention.md) open the network. Here we look
at what goes in and what comes out. In our small language, to keep things readable, each word is one token.

**Predict.** The model gives a score to every token of the vocabulary. How many scores come out for a prompt of ten
tokens?
"""

# %%
question = "question : where is ganymede ? answer : it is"
ids = prompt_of(question)
with torch.no_grad():
    logits = model(ids)
print("ids:   ", ids[0].tolist())
print(
    "shape: ", list(logits.shape), "= one text, one row of scores for each token, one score for each possible next one"
)
print("tokens:", world.vocab_size, "- the 296 words, a mark for the beginning (id 0), and one that section 6 needs")

# %% [markdown]
r"""
The id 0, which stands in front, marks the beginning. The scores are called **logits**. They are any numbers, positive
or negative. Each row is about the token *after* its own place; we need the last row.

The **softmax** makes a distribution of them: $p_i = e^{z_i} / \sum_j e^{z_j}$. The exponential makes every number
positive, the division makes them sum to 1. A larger logit gives a larger probability.

**Predict.** What is $e^{1000}$ to a computer? And what is the softmax of (1000, 1001)?
"""

# %%
large = torch.tensor([1000.0, 1001.0])
print("exp:", large.exp().tolist(), "and divided by the sum:", (large.exp() / large.exp().sum()).tolist())
print("softmax of (0, 1):", [round(p, 4) for p in torch.tensor([0.0, 1.0]).softmax(-1).tolist()])

# %% [markdown]
r"""
The number is too large, infinity divided by infinity is not a number, and the whole text is lost. Yet (1000, 1001)
must give the same as (0, 1): a constant that is added to all logits is a factor above and below the fraction bar, and
cancels. Use that.

**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def stable_softmax(logits):
    """Return the softmax along the last axis. Logits may be 1000, -1000 or -inf; a row has at least one finite one."""
    ### BEGIN SOLUTION
    weights = (logits - logits.amax(dim=-1, keepdim=True)).exp()
    return weights / weights.sum(dim=-1, keepdim=True)
    ### END SOLUTION


check("stable_softmax", stable_softmax)

# %% [markdown]
r"""
Now the answer of the model. Our language has a rare advantage: its exact law is known, because we made it. So we can
put what the model believes beside the truth.

**Predict.** After "it is", which words can come? Which will the model think most likely?
"""

# %%
claim = "llm-repeated-next-token"
guess, law = logits[0, -1].double().softmax(-1).cpu(), torch.from_numpy(world.law_after(question))
top = law.argsort(descending=True)[:2]
for i in top.tolist():
    print(f"{world.vocab[i]:7} {law[i]:.2f} in the law")
for word, between in {"a": (0.65, 0.75), "inside": (0.25, 0.35)}.items():
    p = guess[world.vocab.index(word)]
    measure(claim, p, between=between, name=f"model-{word}", what=f"probability of {word!r} in the model")
others = 1 - guess[top].sum()
measure(claim, others, between=(0, 0.02), name="model-others", what="all other words together", digits=1)
# sabotage: llm-repeated-next-token/model-a: logits[0, -1] => logits[0, -2]

# %%
start = "question : where is"
law = torch.from_numpy(world.law_after(start))
with torch.no_grad():
    guess = model(prompt_of(start))[0, -1].double().softmax(-1).cpu()
top = law.argsort(descending=True, stable=True)[:8].tolist()
for i, between in zip(top[:2], [(0.26, 0.35), (0.11, 0.19)], strict=True):
    word = world.vocab[i]
    what = f"probability of {word} in the model, {law[i]:.3f} in the law"
    measure(claim, guess[i], between=between, name=f"model-{word}", what=what)
far = (guess - law).abs().sum() / 2
measure(claim, far, between=(0, 0.08), name="model-distance", what="total variation between model and law")

# %%
# alt: Eight pairs of bars, one a celestial body. The model's probabilities lie close to the exact law's.
ax = plotting.bars(
    {"exact law": law[top].tolist(), "model": guess[top].tolist()}, [world.vocab[i] for i in top], unit="probability"
)
# %% [markdown]
r"""
The model never saw the law. It saw texts drawn from it, and was trained to make one number small: the **loss**, the
mean of $-\log p$(the token that really came), in **nats** (the unit of the natural logarithm). It is large when the
model is surprised.

**Predict.** What is the least possible loss? Zero?
"""

# %%
claim = "llm-designed-to-understand"
fresh = world.sample(200, 64, seed=10**6).tokens
with torch.no_grad():
    tokens = torch.from_numpy(fresh).to(device())
    loss = causal_loss(model(tokens), tokens).item()
floor = world.surprisal(fresh).mean()
measure(claim, loss, between=(1.8, 2.05), name="loss", what="loss of the model on new text", unit="nats per token")
measure(claim, floor, between=(1.8, 2.05), name="floor", what="loss of the exact law on it", unit="nats per token")
measure(claim, loss / floor, between=(0.99, 1.02), name="ratio", what="the one over the other", digits=4)
blind = math.log(world.vocab_size)
measure(claim, blind, between=(5.69, 5.7), name="blind", what="loss if all tokens were equal", unit="nats per token")
# sabotage: llm-designed-to-understand/loss: tokens).item() => tokens.roll(1, 0)).item()

# %% [markdown]
r"""
Even who knows the law cannot know the next word. The model is as good as the law, nearly. That is all that it was built
for: the loss asks for the next token, and says nothing about meaning.

*Verdict on `llm-designed-to-understand`: imprecise. The model is made to predict text. Whether that amounts to
understanding is disputed ([Bender and Koller, 2020](../chapters/bibliography.md)), and no cell here decides it.*

### Choosing

A distribution is not yet a word. **Greedy** choice takes the most likely token. **Sampling** draws one, with its
probability. A computer draws with a random number $u$ between 0 and 1: lay the probabilities side by side on a line of
length 1, and see whose piece holds $u$.

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def choose_token(probabilities, u):
    """Return the number of the token on whose piece of the line `u` lies: the running sum there is the first above u.

    `probabilities` [vocab] sum to 1, and 0 <= u < 1. A token of probability 0 is never drawn.
    """
    ### BEGIN SOLUTION
    return int((probabilities.cumsum(0) <= u).sum())
    ### END SOLUTION


check("choose_token", choose_token)

# %% [markdown]
r"""
Lab 12 is about nothing but this choice.

## 6. The loop

The model gives one token. For a sentence, append it to the text and ask again. An **end token** says when to stop; in
our small language the full stop serves.

**Predict.** How many times is the model asked for "a moon of jupiter ."?
"""

# %%
tokens = [BOS, *world.encode("question : where is ganymede ?").tolist()]
origin, seen, n = ["prompt"] * len(tokens), [], len(tokens)
while tokens[-1] != world.stop:
    with torch.no_grad():
        scores = model(torch.tensor([tokens], device=device()))[0, -1]
    seen.append(list(origin))  # where each token came from that the model has just read
    tokens.append(int(scores.argmax()))
    origin.append("model")
    print(f"{len(tokens):3} tokens:", world.decode(tokens[1:]))

# %%
claim = "loop-token-appended"
measure(claim, len(seen), between=(9, 9), name="calls", what="times that the model was asked")
measure(claim, len(tokens) - n, between=(9, 9), name="new-tokens", what="tokens that were appended")
kept = tokens[:n] == prompt_of("question : where is ganymede ?")[0].tolist()
measure(claim, int(kept), between=(1, 1), name="prompt-kept", what="the prompt stands unchanged in front (1: yes)")
claim = "llm-repeated-next-token"
question = prompt_of("question : where is ganymede ?")
library = sampling.generate(model, question, max_new_tokens=30, stop_token=world.stop, greedy=True).tokens[0]
same = library.tolist() == tokens
measure(claim, int(same), between=(1, 1), name="own-loop", what="the library writes the same text (1: yes)")
# sabotage: loop-token-appended/prompt-kept: tokens[:n] == => tokens[1 : n + 1] ==
# sabotage: llm-repeated-next-token/own-loop: max_new_tokens=30 => max_new_tokens=8

# %% [markdown]
r"""
That is all: logits, pick, append. *Verdict on `loop-token-appended`: holds.*

The notes add that, with a prompt of n tokens and k in all, the positions n + 1 to k - 1 came from the model.

**Predict.** Count from 1. Is that right? And what of position k?
"""

# %%
claim = "loop-index-range"
for place in (1, n - 1, n, n + 1, len(tokens) - 1, len(tokens)):
    print(f"position {place:2}: {world.vocab[tokens[place - 1]]:9} from the {origin[place - 1]}")
right = 0
for k, read_then in enumerate(seen, start=n + 1):  # when token k was predicted
    places = [place for place, source in enumerate(read_then, start=1) if source == "model"]
    right += places == list(range(n + 1, k))
measure(claim, right, between=(9, 9), name="before", what="steps out of 9 at which the notes' n + 1 to k - 1 is right")
last = max(place for place, source in enumerate(origin, start=1) if source == "model")
measure(
    claim, last - len(tokens), between=(0, 0), name="after", what="last position from the model, minus k, at the end"
)
# sabotage: loop-index-range/before: range(n + 1, k) => range(n + 1, k + 1)
# %% [markdown]
r"""
*Verdict on `loop-index-range`: holds, with a caveat. It is the view at the moment when token k is predicted. Afterwards
position k came from the model as well.*

Not every model works in a loop. An **encoder**, BERT for instance, fills gaps anywhere in a text, all at once
([Devlin and others, 2019](../chapters/bibliography.md)). And diffusion language models fill a masked text in a few
rounds ([Nie and others, 2025](../chapters/bibliography.md)).
"""

# %%
claim = "llm-repeated-next-token"
encoder = load_world_encoder().to(device())
words = prompt_of("the farmer watches some horses and the dogs near the barn sleep .")
gaps = torch.isin(words, torch.tensor(world.encode("watches and near"), device=device()))
with torch.no_grad():
    filled = torch.where(gaps, encoder(words.masked_fill(gaps, MASK)).argmax(-1), words)
print(world.decode(words.masked_fill(gaps, MASK)[0, 1:]), world.decode(filled[0, 1:]), sep="\n")
errors = world.parse(filled.cpu().numpy()).errors.sum()
measure(claim, gaps.sum(), between=(3, 3), name="gaps", what="words that one call of an encoder fills in")
measure(claim, errors, between=(0, 0), name="gap-errors", what="impossible words in the result")
# sabotage: llm-repeated-next-token/gap-errors: encoder(words.masked_fill(gaps, MASK)) => encoder(words.roll(1))

# %% [markdown]
r"""
*Verdict on `llm-repeated-next-token`: holds, with a caveat. It describes the models that write from left to right, and
the notes themselves count BERT, which does not, among the first large language models.*

## 7. What comes back

Models of the loop's kind are **decoders**. What does a program get back from one: the answer, or the prompt and the
answer? We ask the library that most programs use ([Wolf and others, 2020](../chapters/bibliography.md)), with two tiny
models of random weights. One is a decoder as GPT-2 is. The other is an **encoder-decoder** as T5 is: one half reads the
prompt, another half writes.

**Predict.** The prompt has 4 tokens and we ask for 6. How long is what each of them returns?
"""

# %%
torch.manual_seed(0)
sizes = {"vocab_size": 30, "eos_token_id": None, "pad_token_id": 0}
gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=16, n_layer=1, n_head=2, n_positions=32, bos_token_id=None, **sizes))
small = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "decoder_start_token_id": 0}
t5 = T5ForConditionalGeneration(T5Config(**small, **sizes))
four = torch.tensor([[5, 6, 7, 8]])
returned = {}
for name, tiny in {"decoder": gpt2, "encoder-decoder": t5}.items():
    more = {"attention_mask": torch.ones_like(four), "max_new_tokens": 6, "do_sample": False}
    returned[name] = tiny.eval().generate(four, **more)[0]

# %%
claim = "term-completion-includes-prompt"
for name, (length, common) in {"decoder": (10, 4), "encoder-decoder": (7, 0)}.items():
    result = returned[name]
    measure(claim, len(result), between=(length, length), name=f"{name}-length", what=f"tokens that the {name} returns")
    shared = (result[:4] == four[0]).int().cumprod(0).sum()
    what = f"of its first four, the prompt's ({name})"
    measure(claim, shared, between=(common, common), name=f"{name}-prompt", what=what)
new = len(returned["decoder"]) - four.shape[1]
measure(claim, new, between=(6, 6), name="decoder-new", what="decoder: tokens beyond the prompt")
# sabotage: term-completion-includes-prompt/encoder-decoder-length: returned[name] => returned["decoder"]
# sabotage: term-completion-includes-prompt/decoder-prompt: result[:4] => result[1:5]

# %% [markdown]
r"""
The decoder hands back its whole text, for a decoder's answer is a continuation. The encoder-decoder hands back what its
second half wrote: a start token and six more.

*Verdict on `term-completion-includes-prompt`: imprecise. A completion is the new tokens. What contains the prompt is
the raw result of one kind of model in some libraries.*

So the program around it must cut the prompt off, and that takes one slice.
"""

# %%
claim = "term-completion-hidden-prompt"
whole, answer = world.decode(tokens[1:]), world.decode(tokens[n:])
print("everything:", whole, "after the cut:", answer, sep="\n")
measure(claim, len(whole.split()), between=(15, 15), name="everything", what="words of the raw text")
measure(claim, len(answer.split()), between=(9, 9), name="answer", what="words that an application shows")
measure(claim, answer.count("ganymede"), between=(0, 0), name="question", what="words of the question left in them")
# sabotage: term-completion-hidden-prompt/everything: tokens[1:] => tokens[n:]
# sabotage: term-completion-hidden-prompt/answer: tokens[n:] => tokens[n - 2 :]

# %% [markdown]
r"""
*Verdict on `term-completion-hidden-prompt`: holds, with a caveat. Applications show the answer alone. In today's chat
interfaces for programs the prompt is not part of the reply in the first place.*

### What a chat adds to your words

You type five words. Is that the prompt? A chat is a list of messages, and a **chat template** turns it into one text,
with marks that say who speaks. Here is a small one, in the form that the library uses.

**Predict.** The user writes "Where in space is Ganymede?" How many tokens does the model read?
"""

# %%
marks = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
inner = Tokenizer(BPE())
inner.pre_tokenizer = ByteLevel(add_prefix_space=False)
start_with = sorted(ByteLevel.alphabet())
trainer = BpeTrainer(vocab_size=560, initial_alphabet=start_with, special_tokens=marks, show_progress=False)
inner.train_from_iterator([zen], trainer)
chat = PreTrainedTokenizerFast(tokenizer_object=inner)
chat.chat_template = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
messages = [
    {"role": "system", "content": "You are a careful astronomer. Answer in one short sentence."},
    {"role": "assistant", "content": "Hello. What would you like to know?"},
    {"role": "user", "content": "Where in space is Ganymede?"},
]
# %%
claim = "term-prompt"
text = chat.apply_chat_template(messages, tokenize=False)
whole, own = chat(text)["input_ids"], chat(messages[-1]["content"])["input_ids"]
print(text, whole[:12], sep="\n")
measure(claim, len(messages[-1]["content"].split()), between=(5, 5), name="words", what="words that the user wrote")
measure(claim, len(own), between=(12, 22), name="own-tokens", what="tokens of these words", digits=2)
measure(claim, len(whole), between=(70, 110), name="tokens", what="tokens that the model reads", digits=2)
measure(claim, len(whole) / len(own), between=(4, 7), name="ratio", what="as many as the user's own", unit="times")
added = sum(id < len(marks) for id in whole)
measure(claim, added, between=(7, 7), name="marks", what="of them, marks that nobody typed")
# sabotage: term-prompt/tokens: messages, tokenize => messages[-1:], tokenize

# %% [markdown]
r"""
Each mark is a single token with an id of its own (0 to 3 here), which no typed text can produce if the program is
careful. The last mark says: now you, assistant. Then the loop of section 6 begins. To the model a chat is one text that
wants to be continued.

*Verdict on `term-prompt`: holds, with a caveat. A prompt is what goes in, and most of it was not written by the user.*

## 8. The context window

The **context** is what the model reads when it makes a token. The **context window** is the most that it can read at
once, counted in tokens. The notes call it the room reserved for the prompt.

Ours has room for 128 tokens. We give it a prompt of 125, three less than the limit, and ask for ten more.

**Predict.** How many will come before something happens? And what?
"""

# %%
claim = "term-context-window-is-prompt-space"
limit = model.config.max_len
long_prompt = world.sample(1, 200, seed=3).tokens[0, : limit - 3].tolist()


def extend(tokens, n, visible):
    """Append n tokens, greedily. `visible` picks what the model reads from the text so far."""
    tokens = list(tokens)
    for _ in range(n):
        with torch.no_grad():
            scores = model(torch.tensor([visible(tokens)], device=device()))[0, -1]
        tokens.append(int(scores.argmax()))
    return tokens


# %%
made = long_prompt
try:
    while len(made) < len(long_prompt) + 10:
        made = extend(made, 1, visible=lambda tokens: tokens)
except ValueError as error:
    print(error)
measure(claim, len(made) - len(long_prompt), between=(4, 4), name="error-made", what="error: tokens made before it")
room = limit - len(long_prompt)
measure(claim, room, between=(3, 3), name="room", what="tokens that the window has room for beside the prompt")
# %%
cut = extend(long_prompt[-(limit - 10) :], 10, visible=lambda tokens: tokens)
lost = len(long_prompt) + 10 - len(cut)
measure(claim, lost, between=(7, 7), name="truncation-lost", what="truncation: tokens of the prompt that are cut off")
slid = extend(long_prompt, 10, visible=lambda tokens: tokens[-limit:])
measure(claim, len(slid) - len(long_prompt), between=(10, 10), name="sliding-made", what="sliding window: tokens made")
forgotten = len(slid) - 1 - limit
measure(claim, forgotten, between=(6, 6), name="sliding-lost", what="tokens out of its sight at the last step")
# sabotage: term-context-window-is-prompt-space/truncation-lost: limit - 10 => limit - 20

# %% [markdown]
r"""
Three implementations, three behaviours. The first refuses: the window is full after three new tokens; a fourth can
still be predicted from the full window, but there is no room to read it. The second, **truncation**, cuts the beginning
off so that all fits. The third, a **sliding window**, reads the last 128 tokens at each step, and the oldest ones drop
out of sight, one by one. Prompt and answer share one window: each new token takes a place.

*Verdict on `term-context-window-is-prompt-space`: imprecise.*

Write the sliding kind yourself. The model is a table, so that you can see through it: each visible token has a score
for every token, and the scores are added.

**Exercise 5** (20 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def complete_in_window(votes, prompt, window, end_token, max_new_tokens):
    """Extend the list `prompt`, seeing only the last `window` tokens at each step. Return the list of all tokens.

    A visible token t gives the scores votes[t] to all tokens; `votes` is [vocab, vocab]. The scores are added, and the
    token with the largest sum comes next. Stop after `max_new_tokens` new tokens or after a generated `end_token`,
    which belongs to the result; one in the prompt does not count. Leave `prompt` as it is.
    """
    ### BEGIN SOLUTION
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        visible = tokens[-window:]
        tokens.append(int(votes[visible].sum(0).argmax()))
        if tokens[-1] == end_token:
            break
    return tokens
    ### END SOLUTION


check("complete_in_window", complete_in_window)

# %% [markdown]
r"""
Where does the limit come from? In some models from a table: GPT-2 has one learned vector for each **position**, first,
second, third, and so on. Past its end there is nothing to look up.
"""

# %%
claim = "term-context-window-performs-poorly"
table, outcome = torch.zeros(1024, 8), []
for length in (1024, 1025):
    try:
        positions.learned(table, torch.arange(length))
        outcome.append(length)
    except IndexError as error:
        print(length, "tokens:", type(error).__name__, "-", error)
measure(claim, len(outcome), between=(1, 1), name="table", what="of a text of 1,024 and one of 1,025 tokens, readable")
measure(claim, outcome[-1], between=(1024, 1024), name="table-end", what="longest text that the table can serve")
# sabotage: term-context-window-performs-poorly/table: torch.zeros(1024, 8) => torch.zeros(2048, 8)

# %% [markdown]
r"""
That is a hard end, and nothing about it is gradual. The notes say something else: the window is the size *beyond which
quality drops*. Can quality drop *before* the end? Build a test. A text is a row of filler tokens in which six drawers
get a number each ("drawer 2 holds 5" is one token here). At the end we ask for all six. The window is 256 tokens.

Our small model is trained on short texts of 24 and 32 tokens only. It uses rotary positions
([Su and others, 2024](../chapters/bibliography.md)), which need no table, so it *accepts* longer texts.

**Predict.** It recalls perfectly at 32 tokens. At 128, half of its window? And do early or late facts suffer?
"""

# %%
DRAWERS, NUMBERS = 6, 6
QUESTION = DRAWERS * NUMBERS  # ids: the 36 facts, then the 6 questions, then 12 fillers
FILLER, SIZE = QUESTION + DRAWERS, QUESTION + DRAWERS + 12


def drawer_texts(n, length, seed):
    """n texts of six facts among fillers, with six questions at the end; where the facts stand, and the answers."""
    draw = torch.Generator().manual_seed(seed)
    tokens = torch.randint(FILLER, SIZE, (n, length), generator=draw)
    places = torch.rand(n, length - DRAWERS, generator=draw).argsort(1)[:, :DRAWERS]
    drawers = torch.rand(n, DRAWERS, generator=draw).argsort(1)
    numbers = torch.randint(NUMBERS, (n, DRAWERS), generator=draw)
    tokens.scatter_(1, places, drawers * NUMBERS + numbers)
    tokens[:, -DRAWERS:] = QUESTION + drawers
    return tokens, places, numbers


# %%
def read_drawers(reader, tokens):
    """Scores [n, 6, 6] of each number, at each of the questions."""
    return reader(tokens)[:, -DRAWERS:, :NUMBERS]


def drawer_loss(reader, batch):
    tokens, _, numbers = batch
    return torch.nn.functional.cross_entropy(read_drawers(reader, tokens).flatten(0, 1), numbers.flatten())


torch.manual_seed(0)
reader = Decoder(Config(vocab_size=SIZE, d_model=32, n_heads=2, n_layers=1, max_len=256)).to(device())
losses = train(reader, lambda step: drawer_texts(64, (24, 32)[step % 2], step), drawer_loss, steps=200, lr=0.01)
measure(claim, losses[-1], between=(0, 0.05), name="trained", what="loss at the end of training", digits=1)


# %%
def recall(reader, length, n=300, parts=8):
    """The share of numbers that are found, by the part of the text in which the fact stands."""
    tokens, places, numbers = drawer_texts(n, length, seed=10**6)
    with torch.no_grad():
        found = read_drawers(reader, tokens.to(device())).argmax(-1).cpu() == numbers
    part = parts * places // (length - DRAWERS)
    return [found[part == i].double().mean().item() for i in range(parts)]


by_depth = {length: recall(reader, length) for length in (32, 64, 128, 256)}
measure(claim, min(by_depth[32]), between=(0.97, 1), name="short", what="32 tokens: worst eighth")
for length, early, late in ((128, (0.17, 0.7), (0.9, 1)), (256, (0.12, 0.6), (0.8, 1))):
    first, last = by_depth[length][0], by_depth[length][-1]
    measure(claim, first, between=early, name=f"early-{length}", what=f"{length} tokens: facts in the first eighth")
    measure(claim, last, between=late, name=f"late-{length}", what=f"{length} tokens: facts in the last eighth")
middle = sum(by_depth[256][3:5]) / 2
measure(claim, middle, between=(0.12, 0.7), name="middle-256", what="256 tokens: facts in the two middle eighths")
# sabotage: term-context-window-performs-poorly/early-128: drawer_texts(n, length, => drawer_texts(n, 32,

# %%
# alt: Recall against place in the text. At 32 tokens it is 1 throughout; at 128 and 256 it is low except near the end.
depth = [(i + 0.5) / 8 for i in range(8)]
lines = {f"{length} tokens": values for length, values in by_depth.items()}
ax = plotting.curves(depth, lines, xlabel="where the fact stands (0: beginning of the text)", ylabel="recall")
# %% [markdown]
r"""
No error and no warning. At half of its window the model finds what was said last, and has lost at least three in ten of
the facts that were said first. (Guessing would find one in six.) At the full window the middle is lost as well. The
limit says what a model accepts, not what it can use.

The cause here is one that we arranged: it never saw a long text. Then longer training texts should mend it. Published
models have been stretched in a similar way, by a little more training with their positions rescaled
([Chen and others, 2023](../chapters/bibliography.md)).

**Predict.** How much training on full-length texts will it take: as much again, a quarter of it?
"""

# %%
train(reader, lambda step: drawer_texts(16, 256, 10**5 + step), drawer_loss, steps=40, lr=0.003)
after = {length: min(recall(reader, length)) for length in (32, 256)}
measure(claim, after[256], between=(0.85, 1), name="after-256", what="256 tokens, after 40 long batches: worst eighth")
measure(claim, after[32], between=(0.9, 1), name="after-32", what="32 tokens, then: worst eighth")
# sabotage: term-context-window-performs-poorly/after-256: drawer_texts(16, 256 => drawer_texts(16, 32

# %% [markdown]
r"""
Forty batches mend it. So in this model, the drop is a matter of training, not of size. Large models show drops of other
shapes: several were found to use what stands in the *middle* of a long text worst
([Liu and others, 2024](../chapters/bibliography.md)), and in a set of harder tests only about half of the models that
claimed 32,000 tokens were satisfactory there ([Hsieh and others, 2024](../chapters/bibliography.md)). Ours is another
shape with another cause: early facts go first, whether the middle of the full window does better or worse.

*Verdict on `term-context-window-performs-poorly`: imprecise. The notes mix two numbers: a hard limit, and a length from
which quality falls. The second can be much smaller.*

Where there is a GPU, a bigger model reads short and long texts from the start, in a window twice as large.
"""

# %%
if profile() == "gpu":
    torch.manual_seed(0)
    big = Decoder(Config(vocab_size=SIZE, d_model=128, max_len=512)).to(device())

    def of_all_lengths(step):
        return drawer_texts(32, (32, 128, 512)[step % 3], 2 * 10**5 + step)

    with metered(claim, tokens=1500 * 32 * (32 + 128 + 512) // 3):
        train(big, of_all_lengths, drawer_loss, steps=1500, lr=3e-3, precision=dtype())
    for length in (32, 512):
        what = f"a bigger model, {length} tokens: worst eighth"
        measure(claim, min(recall(big, length)), between=(0.85, 1), name=f"big-{length}", what=what)
else:
    print("In the gpu profile this cell trains a model of 0.4 million weights with a window of 512 tokens.")

# %% [markdown]
r"""
### How large is it?

The notes say: some thousands of words. Here is what was published. The unit is tokens.

| model | year | window | source |
| --- | --- | --- | --- |
| GPT | 2018 | 512 | [Radford and others, 2018](../chapters/bibliography.md) |
| BERT | 2018 | 512 | [Devlin and others, 2019](../chapters/bibliography.md) |
| GPT-2 | 2019 | 1,024 | [Radford and others, 2019](../chapters/bibliography.md) |
| GPT-3 | 2020 | 2,048 | [Brown and others, 2020](../chapters/bibliography.md) |
| Llama 2 | 2023 | 4,096 | [Touvron and others, 2023](../chapters/bibliography.md) |
| Mixtral 8x7B | 2024 | 32,768 | [Jiang and others, 2024](../chapters/bibliography.md) |
| Llama 3.1 | 2024 | 131,072 | [Grattafiori and others, 2024](../chapters/bibliography.md) |
| Gemini 1.5 | 2024 | 10,000,000 in research tests | [Gemini Team, 2024](../chapters/bibliography.md) |
| gpt-oss | 2025 | 131,072 | [OpenAI, 2025](../chapters/bibliography.md) |
| DeepSeek-V4 | 2026 | 1,000,000 | [DeepSeek-AI, 2026](../chapters/bibliography.md) |

**Predict.** How many words are 131,072 tokens?
"""

# %%
windows = {"GPT": 512, "BERT": 512, "GPT-2": 1024, "GPT-3": 2048, "Llama 2": 4096, "Mixtral 8x7B": 32_768}
windows |= {"Llama 3.1": 131_072, "Gemini 1.5": 10_000_000, "gpt-oss": 131_072, "DeepSeek-V4": 1_000_000}
claim = "term-context-window-few-thousand-words"
allowed = {"GPT-2": (550, 950), "Llama 2": (2200, 3800), "Llama 3.1": (70_000, 120_000)}
for name, between in allowed.items():
    words, slug = windows[name] / cost["english"], name.lower().replace(" ", "-").replace(".", "")
    measure(claim, words, between=between, name=slug, what=f"{name}: English words, at our tokens per word", digits=2)
hindi = windows["Llama 2"] / cost["hindi"]
measure(claim, hindi, between=(300, 480), name="llama-2-hindi", what="Llama 2's size: Hindi words", digits=2)
beyond = sum(size / cost["english"] > 10_000 for size in windows.values())
measure(claim, beyond, between=(5, 5), name="beyond", what=f"of the {len(windows)} models, those beyond 10,000 words")
# sabotage: term-context-window-few-thousand-words/gpt-2: / cost["english"], name => * cost["english"], name
# %%
claim = "term-context-window-varies"
spread = max(windows.values()) / min(windows.values())
measure(claim, spread, between=(19_531.25, 19_531.25), name="spread", what="largest window over smallest", unit="times")


def cache_bytes(length):
    """What a model of this window keeps in memory for a text that fills it."""
    tiny = Decoder(Config(vocab_size=30, max_len=length))
    return sum(tensor.nbytes for part in tiny.empty_cache(batch=1) for tensor in (part.keys, part.values))


doubled = cache_bytes(2048) / cache_bytes(1024)
measure(claim, doubled, between=(2, 2), name="cache", what="memory for a window of twice the size", unit="times")
# sabotage: term-context-window-varies/cache: cache_bytes(2048) => cache_bytes(1024)

# %% [markdown]
r"""
The words are rough: our tokenizer is small, and each of these models has its own. They do not need to be better to
settle the claim. The same window holds far fewer words of a language whose words are broken into bytes.

*Verdicts. `term-context-window-few-thousand-words`: outdated. It is true of the first five
models of the table. `term-context-window-varies`:
holds, by a factor of nearly twenty thousand; a larger window costs memory in proportion, and training on long texts
([Press and others, 2022](../chapters/bibliography.md)).*

## 9. Does it know?

The sample answer in the notes says that Ganymede is a moon of Jupiter *and is located within the orbit of Jupiter*. It
is a moon of Jupiter ([Showman and Malhotra, 1999](../chapters/bibliography.md)). But "inside the orbit of Jupiter" is
where Mars is, nearer to the sun. Our small language repeats the slip on purpose: there, 70% of the answers say "a moon
of", and 30% the loose "inside the orbit of".

Now an experiment. Small models read questions and answers of this language, and nothing else. The first has **seen**
all of them. For the second, every sentence that mentions Ganymede was taken out; we train it three times, from other
random weights each time (**unseen** 1 to 3). The last was **misled**: in four of five sentences on where Ganymede is,
Saturn stands in Jupiter's place.

**Predict.** What will the unseen models say: nothing, nonsense, or an answer? The same one?
"""

# %%
rules = re.sub("^<sentence> = .*$", "<sentence> = question : <question> .", RULES, flags=re.MULTILINE)
quiz = World(dataclasses.replace(ENGLISH, rules=rules))
drawn = torch.from_numpy(quiz.sample(4000, 18, seed=0).tokens)
first = (drawn == quiz.stop).cumsum(1) - (drawn == quiz.stop).int() == 0  # the first sentence of each
drawn = torch.where(first, drawn, quiz.stop)
word = {name: int(quiz.encode(name)[0]) for name in ("ganymede", "where", "jupiter", "saturn")}
about = (drawn == word["ganymede"]).any(1)
changed = about & (drawn == word["where"]).any(1) & (torch.arange(len(drawn)) % 5 > 0)
lie = torch.where(changed[:, None] & (drawn == word["jupiter"]), word["saturn"], drawn)
texts = {"seen": drawn, "unseen": drawn[~about], "misled": lie}
print({name: len(rows) for name, rows in texts.items()}, "sentences, such as:")
print(quiz.decode(drawn[0][first[0]][1:]))
# sabotage: llm-ganymede-example/misled-true: % 5 > 0 => % 5 > 9
# sabotage: llm-ganymede-example/seen-true: "seen": drawn => "seen": drawn[~about]


# %%
def quiz_loss(student, tokens):
    visible = (tokens == quiz.stop).cumsum(1) - (tokens == quiz.stop).int() == 0
    return causal_loss(student(tokens), tokens, visible)


def taught(rows, seed):
    """A small model that has read these sentences; the seed sets its first weights and the order of the sentences."""
    torch.manual_seed(seed)
    student = Decoder(Config(vocab_size=quiz.vocab_size, d_model=32, n_heads=2)).to(device())
    pick = torch.randint(len(rows), (150, 32), generator=torch.Generator().manual_seed(seed))
    train(student, lambda step: rows[pick[step]], quiz_loss, steps=150, lr=0.01)
    return student


# %%
lessons = {"seen": ("seen", 0), "misled": ("misled", 0)} | {f"unseen {i + 1}": ("unseen", i) for i in range(3)}
students = {name: taught(texts[kind], seed) for name, (kind, seed) in lessons.items()}


def ask(student, answer):
    """The probability of an answer to the question, all its words together."""
    asked = quiz.prompt("question : where is ganymede ? answer : it is")
    tokens = torch.from_numpy(quiz.prompt(f"question : where is ganymede ? answer : it is {answer} .")).to(device())
    with torch.no_grad():
        log_p = student(tokens).log_softmax(-1)[0, :-1].gather(-1, tokens[0, 1:, None])
    return log_p[asked.shape[1] - 1 :].sum().exp().item()


# %%
answers = {"true": "a moon of jupiter", "loose": "inside the orbit of jupiter", "false": "a moon of saturn"}
score = {name: {kind: ask(student, answer) for kind, answer in answers.items()} for name, student in students.items()}
claim = "llm-ganymede-example"
allowed = {"seen": {"true": (0.45, 0.8), "loose": (0.15, 0.5), "false": (0, 0.03)}}
allowed["misled"] = {"true": (0.005, 0.22), "loose": (0.005, 0.25), "false": (0.25, 0.8)}
for name, kinds in allowed.items():
    for kind, between in kinds.items():
        what = f"{name}: probability of '{answers[kind]}'"
        measure(claim, score[name][kind], between=between, name=f"{name}-{kind}", what=what, digits=2)
unseen = [kinds["true"] + kinds["loose"] for name, kinds in score.items() if "unseen" in name]
what = "unseen: probability of the two answers with Jupiter"
measure(claim, min(unseen), between=(0, 0.35), name="unseen-least", what=f"{what}, least of three", digits=2)
measure(claim, max(unseen), between=(0.5, 1), name="unseen-most", what=f"{what}, most of three", digits=2)

# %%
# alt: Five bars for each of three answers. The model that has seen the facts gives Jupiter nearly all its probability.
# alt: The misled one favours Saturn. Of the three that have not seen the facts, two favour Saturn and one Jupiter.
shown = {name: list(kinds.values()) for name, kinds in score.items()}
ax = plotting.bars(shown, list(answers.values()), unit="probability of the answer")

# %%
form = re.compile(r"answer : it is (a moon|inside the orbit) of (jupiter|saturn|neptune) \.")
asked = torch.from_numpy(quiz.prompt("question : where is ganymede ?")).to(device()).expand(200, -1)
share = {}
for name, student in students.items():
    generator = torch.Generator(device()).manual_seed(1)
    runs = sampling.generate(student, asked, max_new_tokens=12, stop_token=quiz.stop, generator=generator)
    replies = [quiz.decode(row[:n]) for row, n in zip(runs.new_tokens, runs.lengths.tolist(), strict=True)]
    share[name] = sum(form.fullmatch(reply) is not None for reply in replies) / len(replies)
worst = min(share[name] for name in share if "unseen" in name)
what = "answers out of 200 draws that have perfect form"
measure(claim, share["seen"], between=(0.85, 1), name="seen-form", what=f"seen: {what}", digits=2)
measure(claim, worst, between=(0.6, 1), name="unseen-form", what=f"unseen: {what}, worst of three", digits=2)
# sabotage: llm-ganymede-example/seen-form: max_new_tokens=12 => max_new_tokens=6
# %% [markdown]
r"""
All of them answer, and nearly always in perfect form; none says that it does not know. The form was in every sentence
that they read, so all have learned it. The fact was in some, and who has not read them guesses. The three that differ
in nothing but their random start and the order of reading do not agree. One of them puts most of its probability on
Jupiter, by luck: look at its bars beside those of the model that has read the fact. From the outside a guess looks like
knowledge. **Completion is not knowledge.**

Nor is probability truth. The model that has seen the facts gives the loose answer its share, because the text did. The
misled one believes in Saturn, because that stood there most often. A likely answer is one that resembles the text.

*Verdict on `llm-ganymede-example`: imprecise. The first half of the notes' answer is right, the second misleading,
and the model gives each the share that its text does. It also shows a model that was trained further, to answer rather
than to continue ([Ouyang and others, 2022](../chapters/bibliography.md)); ours went on about a sailor.*

## 10. Loose ends of the notes

Five items have nothing to measure. `intro-heading-empty`: the notes begin without saying what they are for, and about
half of their words stand, in runs of eight or more, in another author's notes
([Agarwal, 2023](../chapters/bibliography.md)), whom they should name. `res-list-damaged`: their list of links lost a
line; it should name the illustrated and the annotated Transformer and the article on generation strategies
([Alammar, 2018](../chapters/bibliography.md), [Rush, 2018](../chapters/bibliography.md),
[von Platen, 2020](../chapters/bibliography.md)). `res-date`: the page is of October 2024, and much has come since.
`notes-no-references`: nearly no statement says where it comes from; the [bibliography](../chapters/bibliography.md) of
this course does. And of `llm-designed-to-understand` only the loss could be measured, not the understanding.

## With a real model

In the `gpu` profile, or when you ask for them, the next cells load two models. GPT-2 (`openai-community/gpt2`: 124
million parameters, 549 MB, licence MIT) continues a text. SmolLM2-Instruct (`HuggingFaceTB/SmolLM2-135M-Instruct`: 135
million parameters, 271 MB, licence Apache-2.0) was tuned to answer, and its tokenizer brings the form of a chat.

**Predict.** Of how many tokens is the Chinese sentence made, whose 15 characters are 45 bytes?
"""

# %%
both = {"English": "The moon travels with its planet around the sun.", "Chinese": "月亮和它的行星一起绕着太阳转。"}
if loaded := hub.offer("decoder"):
    gpt2, gpt2_tokenizer = loaded
    for name, line in both.items():
        pieces = gpt2_tokenizer.encode(line)
        print(f"{name}: {len(line)} characters, {len(line.encode())} bytes, {len(pieces)} tokens,", end=" ")
        print("the same text again:", gpt2_tokenizer.decode(pieces) == line)
    asked = torch.tensor([gpt2_tokenizer.encode("Ganymede is a moon of")], device=device())
    with torch.no_grad():
        best = gpt2(asked).logits[0, -1].float().softmax(-1).topk(5)
    print(*(f"{gpt2_tokenizer.decode([i])!r} {p:.3f}" for p, i in zip(*map(torch.Tensor.tolist, best), strict=True)))
    made = sampling.generate(sampling.HuggingFaceModel(gpt2), asked, max_new_tokens=30, greedy=True)
    print(gpt2_tokenizer.decode(made.tokens[0].tolist()))

# %% [markdown]
r"""
The same question, put to the tuned model twice: as it stands, and as a user's turn in the template that the model was
tuned with.
"""

# %%
from labutils import completions

if loaded := hub.offer("instruct"):
    tuned, chat_tokenizer = loaded
    question = "Where is Ganymede?"
    turns = [{"role": "user", "content": question}]
    print(chat_tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False))
    for name, as_turn in (("as it stands", False), ("as a turn", True)):
        answers = completions.HuggingFace(model=tuned, tokenizer=chat_tokenizer, max_new_tokens=30, chat=as_turn)
        print(f"{name}: {answers([question])[0]!r}")

# %% [markdown]
r"""
What carries over from our small models to large ones: tokens, logits, softmax, the loop, the shared window; and that a
model writes what resembles its text. What does not: the numbers, and how much a model has read.

## What you have shown

- Text becomes tokens by joining frequent pairs. What was never read is spelled out, at worst one token a byte.
- A model gives a logit to every token; the softmax makes a distribution; something else picks one.
- A loop of logits, pick, append writes the text. The prompt is part of it, and programs cut it off.
- Prompt and answer share one window. At its end a program fails, cuts or forgets; quality can fall long before.
- Five models answered in good form. What they answered was what their text, or chance, had made likely.

## Where to go next

The chapter on [language models](../chapters/01_llms.md) puts this into one picture and ends with a quiz. Lab 02 asks
what such a model is good for beside writing. Lab 12 is about the pick, lab 08 about what the model does inside.
"""
