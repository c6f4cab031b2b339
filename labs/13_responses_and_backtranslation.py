# %% [markdown]
r"""
# Lab 13: Responses and backtranslation

Good training pairs, an instruction and its answer, are rare, because people must write them. So models write them:
answers to questions that exist, or questions for answers that exist. In this lab you make such data, keep a record of
where each row comes from, and find out what training on it gives. A language whose exact law is known says which rows
are right.

**What you will measure.** What a student learns from a teacher's answers, from the teacher's whole law, and from real
text. What becomes of 100 generated questions when the copies are removed. How often a model writes the right
instruction for a document, what choosing the best of them finds, and what a model trained on them gains and loses.
What each filter costs for every pair that it keeps.

**What you need.** The next-token loss (lab 04) and temperature and top-p (lab 12).

**Time.** Reading and exercises: about 100 minutes. The cells run in under a minute on two cores; on a T4 the same
models are tried on more documents, and two bigger ones are trained.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on generating training data with
LLMs, on responses, on licences and on backtranslation, and a later addition, instruction tuning.
"""

# %% setup

# %%
import copy
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from labutils import hub, objectives, plotting, sampling, synthetic
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law

# %%
from labutils.runtime import device, dtype, profile
from labutils.synthetic import Recipe
from labutils.training import metered, train
from labutils.weights import load_world_decoder
from labutils.world import BOS, MASK, NOUNS, World

SEED = 0
world, teacher = World(), load_world_decoder().to(device())
many = {"cpu": 1, "gpu": 5}[profile()]  # how much more text the models are tried on
print(f"{sum(p.numel() for p in teacher.parameters())} parameters, {world.vocab_size} words")

# %% [markdown]
r"""
## 1. An answer for every query

The notes count the ways in which a model can make training data: answers to queries, instructions for documents, pairs
of a better and a worse answer. *Verdict on `synth-dimensions`: holds, and there is more: models also rewrite, filter
and grade data.* Lab 14 makes the pairs.

The simplest way first. The queries exist; a model answers them; the two make a training pair. Trained on such pairs,
one model imitates another, which is called **sequence-level distillation**
([Kim and Rush, 2016](../chapters/bibliography.md)). The known case is Alpaca: 52,000 pairs from a larger model, for
less than 500 dollars ([Taori and others, 2023](../chapters/bibliography.md)).

Our teacher is the course's decoder. Our queries are the questions and the reviews in real documents, each cut where
the answer would begin.

**Predict.** Of 200 answers, how many are wrong? And how many of the 200 pairs are different?
"""


# %%
def queries_in(documents):
    """The questions and reviews of these documents, cut before their answer or their label."""
    found = []
    for sentence in " . ".join(world.decode(row[1:]) for row in documents).split(" . "):
        for start, end in (("question :", " ?"), ("classify", " !")):
            if sentence.startswith(start) and end in sentence:
                found.append(sentence[: sentence.index(end)] + end)
    return found


def encode(text):
    return [BOS, *world.encode(text).tolist()]


queries = queries_in(world.sample(700, 63, seed=100 + SEED).tokens)[:200]
print(len(queries), "queries, such as:", *queries[:2], sep="\n")

# %% [markdown]
r"""
`labutils.synthetic` makes data in four steps: **generate, filter, label, keep**. A `Recipe` says how. It works with any
function that turns prompts and seeds into texts. Here that is our decoder, at temperature 1. The one filter is a
**rule**: the answer must fit the question, which in this language a program can decide.
"""

# %%
workplace = tempfile.TemporaryDirectory()
folder = Path(workplace.name)


def follows_the_rule(rows):
    """Whether query and answer together are something that the language can say."""
    return [bool(world.is_grammatical(np.array([encode(f"{r['prompt']} {r['response']} .")]))[0]) for r in rows]


# %%
generate = synthetic.sampler(teacher, encode, world.decode, max_new_tokens=16, stop_token=world.stop, device=device())
answers = Recipe(
    title="Answers of a small decoder",
    model="labutils world_decoder",
    licence="mit",
    settings={"temperature": 1.0, "max_new_tokens": 16},
    generate=generate,
    filters={"rule": follows_the_rule},
    select={"distinct": lambda rows: synthetic.first_of_each([r["prompt"] + r["response"] for r in rows])},
)
made = synthetic.make(folder / "answers", answers, queries, seed=SEED)

# %%
claim = "synth-responses"
right = 100 * (1 - made.dropped["rule"] / len(queries))
measure(claim, right, between=(97, 100), name="right", what="answers that fit their query", unit="%")
measure(claim, len(made.rows), between=(48, 92), name="distinct", what="different pairs among the right ones")
# sabotage: synth-responses/right: made.dropped["rule"] => made.dropped["distinct"]
# sabotage: synth-responses/distinct: len(made.rows) => len(queries)

# %% [markdown]
r"""
Nearly every answer is right, and far fewer than 200 pairs are left: the same questions come again and again, and so do
the answers. What the folder holds is a dataset as the Hugging Face hub keeps them
([Lhoest and others, 2021](../chapters/bibliography.md)): a card and rows in **JSON Lines**, one object a line. Every
row says where it comes from.
"""

# %%
for name, value in synthetic.read(folder / "answers")[0].items():
    print(f"{name:9} {value}")
print(*sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()), sep="\n")

# %% [markdown]
r"""
The seed of a row follows from the seed of the dataset and the number of the row. So a row can be made again from what
it says of itself, and a run that was killed can go on as if nothing had happened.

**Predict.** We break the run off after the second chunk of rows and start it anew. How many rows are made twice?
"""

# %%
asked = []


def breaks_once(prompts, seeds):
    """The same generator, but the third call of all fails."""
    asked.extend(prompts)
    if 2 * 64 < len(asked) <= 3 * 64:
        raise ConnectionError("the machine is gone")
    return generate(prompts, seeds)


broken = replace(answers, generate=breaks_once)
try:
    synthetic.make(folder / "again", broken, queries, seed=SEED)
except ConnectionError as error:
    print(error)
again = synthetic.make(folder / "again", broken, queries, seed=SEED)
print("rows that differ:", sum(a != b for a, b in zip(made.rows, again.rows, strict=True)))
print("asked for twice:", len(asked) - len(queries), "(the chunk that failed)")

# %% [markdown]
r"""
Rows are saved in chunks, and a chunk that was not finished is made again. The files are the same, byte for byte.

A record is worth something only if somebody looks whether it is there. That is your first function.

**Exercise 1** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def missing_provenance(rows, required):
    """Return one list for each of the dictionaries `rows`: the names in `required`, in that order, that it lacks.

    A row lacks a name that is no key of it, or whose value is a blank text. Numbers and lists are never lacking.
    """

    ### BEGIN SOLUTION
    def lacks(row, name):
        return name not in row or (isinstance(row[name], str) and not row[name].strip())

    return [[name for name in required if lacks(row, name)] for row in rows]
    ### END SOLUTION


check("missing_provenance", missing_provenance)

# %%
spoilt = [dict(row) for row in made.rows[:3]]
del spoilt[1]["licence"]
spoilt[2]["model"] = " "
print(*synthetic.faults(spoilt), sep="\n")

# %% [markdown]
r"""
## 2. Is it simple?

The notes call this the most straightforward use of synthetic data. No query is needed even: let the model write the
questions too. In *Self-Instruct* a model does, from 175 examples by people
([Wang and others, 2023](../chapters/bibliography.md)). We ask for 100 questions with their answers, at two
temperatures. The language has 12 questions and 19 pairs of a question and an answer; the model does not know that.

**Predict.** How many different pairs does it write? We remove the copies: does the share of wrong pairs rise or fall?
"""


# %%
def distinct_2(texts):
    """The share of different 2-grams among all."""
    grams = [tuple(words[i : i + 2]) for text in texts if (words := text.split()) for i in range(len(words) - 1)]
    return len(set(grams)) / len(grams)


def questions(temperature):
    """100 questions with answers, and the texts that are left when each is kept once."""
    settings = {"max_new_tokens": 24, "stop_token": world.stop, "temperature": temperature, "device": device()}
    write = synthetic.sampler(teacher, encode, world.decode, **settings)
    texts = write(["question :"] * 100, [synthetic.row_seed(SEED, i) for i in range(100)])
    return texts, [text for text, first in zip(texts, synthetic.first_of_each(texts), strict=True) if first]


def wrong(texts):
    """The share that the language cannot say, in percent."""
    return 100 * (1 - np.mean(follows_the_rule([{"prompt": "question :", "response": text} for text in texts])))


# %%
claim = "synth-straightforward"
allowed = {
    "cool": (1.0, (13, 23), (0, 4), (0, 18), (0.04, 0.06), (0.19, 0.33)),
    "warm": (1.5, (26, 46), (9, 28), (36, 68), (0.06, 0.16), (0.19, 0.42)),
}
for name, (temperature, n, before, after, all_2, once_2) in allowed.items():
    texts, once = questions(temperature)
    print(f"temperature {temperature}:")
    measure(claim, len(once), between=n, name=f"{name}-left", what="different pairs of 100")
    measure(claim, wrong(texts), between=before, name=f"{name}-wrong", what="wrong before", unit="%")
    measure(claim, wrong(once), between=after, name=f"{name}-wrong-once", what="wrong once copies are gone", unit="%")
    measure(claim, distinct_2(texts), between=all_2, name=f"{name}-distinct", what="distinct-2 before")
    measure(claim, distinct_2(once), between=once_2, name=f"{name}-distinct-once", what="distinct-2 after")
# sabotage: synth-straightforward/warm-wrong-once: wrong(once) => wrong(texts)
# sabotage: synth-straightforward/cool-distinct-once: distinct_2(once) => distinct_2(texts)
# sabotage: synth-straightforward/cool-left: len(once) => len(texts)

# %% [markdown]
r"""
At temperature 1 a hundred calls give fewer than 20 different pairs. A higher temperature gives more, and most of what
it adds is wrong. Removing the copies makes that visible: true pairs are alike and are removed as copies, mistakes are
each of their own kind and stay. **Deduplication without verification concentrates mistakes.**

*Verdict on `synth-straightforward`: holds with a caveat. It is simple to do. To get many different right pairs is not.*

## 3. What a student learns from it

A **student** is a smaller model that is trained on the teacher's output: here one layer of width 32, a fifth of the
teacher's size. It sees beginnings of 8 words and learns what follows. Three ways to teach it:

- **real**: the words that really followed;
- **hard**: the words that the teacher drew, in other words synthetic data;
- **soft**: at every position the teacher's whole law for the next word
  ([Hinton and others, 2015](../chapters/bibliography.md)). For this one needs the teacher's logits, which a text does
  not carry and most services do not give.

**Exercise 2** (15 minutes, difficulty 3 of 5, 3 points). The loss for soft labels. At a temperature above 1, both laws
are softened, so that unlikely words count for more.
"""


# %% exercise
def distillation_loss(student, teacher, temperature):
    """T² times the mean over all positions of KL(teacher || student), both logits [..., vocab] divided by T."""
    ### BEGIN SOLUTION
    p, q = (teacher / temperature).log_softmax(-1), (student / temperature).log_softmax(-1)
    return temperature**2 * (p.exp() * (p - q)).sum(-1).mean()
    ### END SOLUTION


check("distillation_loss", distillation_loss)

# %%
LENGTH, BEFORE, STEPS, BATCH = 24, 8, 100, 32
tests = world.sample(200 * many, LENGTH, seed=900 + SEED).tokens
true_law = torch.from_numpy(world.next_token_law(tests))[:, BEFORE:-1]


def continued(n, **settings):
    """n real beginnings of 8 words, with what the teacher goes on to say."""
    start = torch.from_numpy(world.sample(n, BEFORE, seed=200 + SEED).tokens).to(device())
    generator = torch.Generator(device()).manual_seed(SEED)
    made = sampling.generate(teacher, start, max_new_tokens=LENGTH - BEFORE, generator=generator, **settings)
    return made.tokens


real = torch.from_numpy(world.sample(800, LENGTH, seed=300 + SEED).tokens).to(device())
hard = continued(800)

# %%


@torch.no_grad()
def distance(model):
    """KL from the true law to the model, in nats a word, after the beginning."""
    return kl_to_law(true_law, model(torch.from_numpy(tests).to(device()))[:, BEFORE:-1].cpu()).item()


@torch.no_grad()
def law_of_teacher(texts):
    """The teacher's logits for every word after the beginning: its law, not one draw."""
    return teacher(texts)[:, BEFORE:-1]


# %%
def draw(step, n, size):
    """The rows of a batch out of n, which follow from its step."""
    return torch.randint(n, (size,), generator=torch.Generator().manual_seed(1000 * SEED + step)).to(device())


def loss_of_student(model, batch):
    """Of the laws where they are given, else of the words that follow the beginning."""
    texts, laws = batch
    if laws is None:
        follows = torch.arange(LENGTH + 1, device=texts.device).expand_as(texts) > BEFORE
        return causal_loss(model(texts), texts, follows)
    return objectives.distillation_loss(model(texts)[:, BEFORE:-1], laws)


# %%
def student(texts, laws=None):
    """Train a small model on the words of the texts, or on the laws at them; its distance from the true law."""
    torch.manual_seed(SEED)
    model = Decoder(Config(vocab_size=world.vocab_size, d_model=32, n_layers=1, max_len=32)).to(device())

    def batch(step):
        rows = draw(step, len(texts), BATCH)
        return texts[rows], None if laws is None else laws[rows]

    train(model, batch, loss_of_student, steps=STEPS, lr=8e-3, seed=SEED)
    return distance(model)


# %% [markdown]
r"""
**Predict.** Order these six: real, hard and soft, with 64 texts and with 800.
"""

# %%
claim = "synth-responses"
far = {"teacher": distance(teacher)}
measure(claim, far["teacher"], between=(0.001, 0.01), name="kl-teacher", what="distance of the teacher", unit="nats")
for name, texts, laws, between in (
    ("real-64", real[:64], None, (1.2, 1.8)),
    ("real-800", real, None, (0.65, 1.15)),
    ("hard-800", hard, None, (0.65, 1.15)),
    ("soft-64", hard[:64], law_of_teacher(hard[:64]), (0.55, 1.0)),
    ("soft-800", hard, law_of_teacher(hard), (0.5, 0.82)),
):
    far[name] = student(texts, laws)
    measure(claim, far[name], between=between, name=f"kl-{name}", what=f"distance of a student, {name}", unit="nats")
# sabotage: synth-responses/kl-soft-64: law_of_teacher(hard[:64]) => None
# sabotage: synth-responses/kl-real-800: ("real-800", real, => ("real-800", real[:64],

# %%
gain = far["real-64"] / far["soft-64"]
measure(claim, gain, between=(1.45, 2.6), name="soft-gain", what="64 texts: distance with words over that with laws")
same = far["hard-800"] / far["real-800"]
measure(claim, same, between=(0.75, 1.35), name="hard-over-real", what="800 texts: hard over real")
few = far["soft-64"] / far["real-800"]
measure(claim, few, between=(0.65, 1.25), name="soft-over-real", what="64 texts with laws over 800 real texts")

# %% [markdown]
r"""
Words of the teacher at temperature 1 are as good as real ones: the teacher is nearly exact, so its samples are samples
of the language. They are no better either. The teacher's *law* is another matter. Sixty-four texts with it teach about
as much as 800 without: each position tells the probability of all words instead of one draw.

Is a law still worth more than words where text is plenty? Where there is a GPU, two bigger students read 256,000 real
texts once, in half precision: one learns from the words, the other from the teacher's laws at them.
"""

# %%
if profile() == "gpu":
    plenty = torch.from_numpy(world.sample(128 * 2000, LENGTH, seed=310 + SEED).tokens).split(128)
    for name, teach in (("words", lambda texts: None), ("laws", law_of_teacher)):
        torch.manual_seed(SEED)
        big = Decoder(Config(vocab_size=world.vocab_size, d_model=128, n_layers=4, max_len=32)).to(device())

        def loss(model, texts, teach=teach):
            return loss_of_student(model, (texts, teach(texts)))

        with metered(claim, tokens=2000 * plenty[0].numel(), name=f"gpu-{name}"):
            train(big, plenty.__getitem__, loss, steps=2000, lr=4e-3, precision=dtype())
        what = f"distance of a bigger student, {name} of 256,000 texts"
        measure(claim, distance(big), between=(0, 0.5), name=f"kl-big-{name}", what=what, unit="nats")
else:
    print("In the gpu profile this cell trains two students of 0.8 million weights on 6 million tokens each.")

# %% [markdown]
r"""
Now spoil the samples in the usual way, to make them look cleaner.

**Predict.** Does the student get better if the teacher avoids unlikely words?
"""

# %%
for name, settings, between in (
    ("t07", {"temperature": 0.7}, (0.7, 1.45)),
    ("p90", {"top_p": 0.9}, (0.7, 1.5)),
):
    far[name] = student(continued(800, **settings))
    measure(
        claim, far[name], between=between, name=f"kl-{name}", what=f"distance of a student, {settings}", unit="nats"
    )
    ratio = far[name] / far["hard-800"]
    measure(claim, ratio, between=(1.08, 1.75), name=f"{name}-over-hard", what="over that with plain samples")
# sabotage: synth-responses/t07-over-hard: {"temperature": 0.7} => {"temperature": 1.0}
# sabotage: synth-responses/p90-over-hard: {"top_p": 0.9} => {"top_p": 1.0}

# %%
# alt: Seven bars. Soft labels are shortest, 64 real texts longest; a cooler teacher or top-p makes them longer.
names = [name for name in far if name != "teacher"]
ax = plotting.bars({"distance": [far[name] for name in names]}, names, unit="nats a word to the true law")

# %% [markdown]
r"""
A cooler teacher, or one cut at top-p 0.9, makes a worse student. Such samples come from another law than the language,
and the student learns that one. (If only the likeliest answer counts, that may be what is wanted. Here the law counts.)

What does each kind cost? A hard answer of 16 words takes 16 steps of the teacher, one after another. Soft labels for a
text that exists take one pass. But they take the teacher itself, or 298 numbers a word.

*Verdict on `synth-responses`: holds. The pairs are as good as their teacher and its settings, and no better.*

## 4. May you?

The notes say that one should make sure that the licence permits it. The sentence is right and short. What it asks for
is a step of the pipeline: two texts bind you, the licence of the model or data, and the terms of the service through
which you reached it. What some of them say, as of the versions cited (this is a reading of texts, not legal advice):

| text | covers | on training another model |
| --- | --- | --- |
| MIT | software, some weights | permits to use and change it; says nothing of outputs |
| Apache 2.0 ([2004][bib]) | software, many weights | permits use and derivative works; says nothing of outputs |
| GPT-2's "modified MIT" ([2019][bib]) | GPT-2 | what you create is yours; asks to say that GPT-2 made it |
| CC BY 4.0 ([2013][bib]) | texts, data | permits adaptations; name the author, say what was changed |
| CC BY-SA 4.0 ([2013][bib]) | texts, data | the same, and shared adaptations carry the same licence |
| CC BY-NC 4.0 ([2013][bib]) | texts, data | as CC BY, for non-commercial use |
| Llama 2 ([2023][bib]) | model and outputs | forbids to "improve any other large language model" with outputs |
| Llama 3.1 ([2024][bib]) | model and outputs | permits it; the name of what is shared begins with "Llama" |
| OpenAI's terms ([2024][bib]) | service and outputs | forbid to develop models that compete with OpenAI |

[bib]: ../chapters/bibliography.md

Two versions of one family say opposite things. So write down the version, in every row, and let a list decide: what is
not on the list is not allowed.

**Predict.** Four teachers gave 40 rows each, under MIT, Apache 2.0, Llama 2 and Llama 3.1. You want a commercial model
of another family, with a name of its own. How many rows may you train on?
"""

# %%
pooled = []
for number, licence in enumerate(("mit", "apache-2.0", "llama2", "llama3.1")):
    # The same small model plays all four teachers: only the field differs, which is all that the filter reads.
    recipe = replace(answers, licence=licence, filters={}, select={})
    pooled += synthetic.make(folder / licence, recipe, queries[number * 40 :][:40], seed=SEED).rows
pooled = [row | {"row": number} for number, row in enumerate(pooled)]
lists = {
    "own name, commercial": {"mit", "apache-2.0", "cc-by-4.0"},
    "a name with Llama": {"mit", "apache-2.0", "cc-by-4.0", "llama3.1"},
}
for purpose, allowed_licences in lists.items():
    print(f"{purpose}: {sum(synthetic.licensed(pooled, allowed_licences))} of {len(pooled)} rows")

# %%
may = synthetic.licensed(pooled, lists["own name, commercial"])
kept = [row | {"filters": ["licence"]} for row, allowed_row in zip(pooled, may, strict=True) if allowed_row]
synthetic.write(folder / "usable", kept, title="Rows for a commercial model")
print(*(folder / "usable" / "README.md").read_text(encoding="utf-8").splitlines()[:8], sep="\n")

# %% [markdown]
r"""
*Verdict on `synth-licence`: good advice, and incomplete. Terms of service bind you as licences do, versions differ, and
a rule that no field of the data records cannot be kept.*

## 5. Instructions for existing documents

Now the other way round. The answers exist, as documents that people wrote; the *instructions* are missing. A **backward
model** writes them: it reads a document and guesses what somebody might have asked for. The pair is then turned round,
so that the text that a model must learn to write is a human's.

The idea comes from translation, where **back-translation** makes source sentences for text in the target language
([Sennrich and others, 2016](../chapters/bibliography.md)). The notes say that it was developed for translation with
little parallel data. *Verdict on `synth-backtranslation-origin`: imprecise. The paper used monolingual text in general
and improved English-German as well as low-resource Turkish-English, and the method was then scaled up where data are
plentiful ([Edunov and others, 2018](../chapters/bibliography.md)).*

Our instruction is one word, the subject: *dogs* asks for a sentence about dogs. 150 **seed pairs** are given. Then
there are 800 documents without instructions, of which 40% are junk: their words were shuffled.
"""

# %%
nouns = {world.vocab[i] for kind in NOUNS for number in ("one", "many") for i in world.tokens_of(f"{kind}.{number}")}


def subject(text):
    """The first noun of a text: the instruction that it answers."""
    return next((word for word in text.split() if word in nouns), "")


def sentences(n, seed):
    """n sentences about something, of at most 12 words: the first of each document, if it is one."""
    texts = [world.decode(row[1:]) for row in world.sample(2 * n, 12, seed=seed).tokens]
    firsts = [text[: text.index(".") + 1] for text in texts if "." in text]
    return [text for text in firsts if text.split()[0] in ("the", "a", "an", "some")][:n]


print(*((subject(text), text) for text in sentences(3, SEED)), sep="\n")

# %%
rng = np.random.default_rng(SEED)
seeds = [(subject(text), text) for text in sentences(150, 1000 + SEED)]
pool = sentences(800, 2000 + SEED)
junk = rng.random(len(pool)) < 0.4
pool = [" ".join([*rng.permutation(t.split()[:-1]), "."]) if j else t for t, j in zip(pool, junk, strict=True)]
held_out = sentences(300 * many, 3000 + SEED)
print(f"{len(seeds)} seed pairs, {len(pool)} documents, {junk.sum()} of them junk, such as: {pool[junk.argmax()]}")

# %% [markdown]
r"""
Both directions are one and the same model, tuned twice: the world's decoder, which can write the language and has
never seen an instruction. A pair becomes one text, "source, separator, target", and only the target counts in the loss.
"""


# %%
def pack(pairs):
    """Rows of <bos> source <mask> target, the mask as separator, and which of their tokens belong to the target."""
    rows = [torch.tensor([*encode(a), MASK, *encode(b)[1:]]) for a, b in pairs]
    tokens = pad_sequence(rows, batch_first=True, padding_value=BOS)
    separator = (tokens == MASK).int().argmax(1, keepdim=True)
    place, lengths = torch.arange(tokens.shape[1]), torch.tensor([*map(len, rows)])[:, None]
    return tokens.to(device()), ((place > separator) & (place < lengths)).to(device())


# %%


def tuned(start, pairs, steps):
    """A copy of the model, trained to write the target of each pair after its source."""
    model, (tokens, counts) = copy.deepcopy(start), pack(pairs)

    def batch(step):
        rows = draw(step, len(pairs), 16)
        return tokens[rows], counts[rows]

    train(model, batch, lambda m, b: causal_loss(m(b[0]), *b), steps=steps, lr=8e-3, weight_decay=0.01, seed=SEED)
    return model


# %%


def writer(model, max_new_tokens, **settings):
    """A generate function: what the model writes after a source."""
    settings |= {"max_new_tokens": max_new_tokens, "stop_token": world.stop, "device": device()}
    return synthetic.sampler(model, lambda text: [*encode(text), MASK], world.decode, **settings)


backward = tuned(teacher, [(text, name) for name, text in seeds], 200)
name_subject = writer(backward, 1, top_k=1)
guesses = name_subject(pool, [0] * len(pool))
correct = np.array([guess == subject(text) for guess, text in zip(guesses, pool, strict=True)]) & ~junk

# %% [markdown]
r"""
**Predict.** How often is the instruction right, for a clean document? And if its subject occurs in no seed pair?
"""

# %%
claim = "synth-instructions-from-documents"
known = {name for name, _ in seeds}
familiar = np.array([subject(text) in known for text in pool])
for name, where, between, what in (
    ("clean", ~junk, (72, 97), "right instructions, clean documents"),
    ("known", ~junk & familiar, (88, 100), "of these, subject known from the seeds"),
    ("unknown", ~junk & ~familiar, (0, 3), "of these, subject not among the seeds"),
    ("pool", junk | True, (42, 60), "right instructions, whole pool (junk has none)"),
):
    measure(claim, 100 * correct[where].mean(), between=between, name=name, what=what, unit="%")
share = 100 * familiar[~junk].mean()
measure(claim, share, between=(75, 97), name="familiar", what="clean documents whose subject the seeds know", unit="%")
# sabotage: synth-instructions-from-documents/known: ~junk & familiar, => ~junk & ~familiar,
# sabotage: synth-instructions-from-documents/clean: ("clean", ~junk, => ("clean", junk | True,

# %% [markdown]
r"""
The backward model has learned to find the subject among the words that it was taught to name. It never names another.
So whatever it adds to the seeds is more text for the instructions that they had, and no new instruction. (This model
is small and saw 150 pairs. A large pretrained one knows most words; what it cannot name, it cannot name either.)

*Verdict on `synth-instructions-from-documents`: holds, within what the backward model can say.*

## 6. Choosing the best

The notes credit the modern form to *Self-Alignment with Instruction Backtranslation*
([Li and others, 2024](../chapters/bibliography.md)). They tell its first half, **self-augmentation**: write an
instruction for every document. The second half is **self-curation**: the model itself rates the pairs, and only the
best are kept.

**Exercise 3** (15 minutes, difficulty 3 of 5, 3 points). The choice. Mind a judge that gives few different grades, and
one that sometimes gives none.
"""


# %% exercise
def keep_best(scores, share):
    """Return a truth value for each score: whether fewer than share · n of the n scores that are not NaN are higher.

    So rows that tie stay or go together. A row whose score is NaN is never kept. 0 < share <= 1.
    """
    ### BEGIN SOLUTION
    known = [score for score in scores if score == score]
    return [score == score and sum(other > score for other in known) < share * len(known) for score in scores]
    ### END SOLUTION


check("keep_best", keep_best)

# %% [markdown]
r"""
Our judge is the **forward model**, trained on the seed pairs. Its grade for a pair is how likely it finds the document
after the instruction, in nats a word.

**Predict.** Just over half of the pool's pairs are right. Of the best half by this grade, how many?
"""


# %%
@torch.no_grad()
def nats(model, pairs):
    """The mean surprisal of the target's words, for each pair."""
    tokens, counts = pack(pairs)
    surprisal = -model(tokens)[:, :-1].log_softmax(-1).gather(-1, tokens[:, 1:, None])[..., 0]
    return ((surprisal * counts[:, 1:]).sum(1) / counts.sum(1)).cpu().numpy()


forward = tuned(teacher, seeds, 200)
pairs = list(zip(guesses, pool, strict=True))
grade = -nats(forward, pairs)
beyond = grade + nats(teacher, pairs)  # how much more likely than without any tuning

# %%
claim = "synth-instruction-backtranslation-paper"
for name, scores, share, clean_between, right_between in (
    ("half", grade, 0.5, (94, 100), (80, 97)),
    ("tenth", grade, 0.1, (88, 100), (86, 100)),
    ("beyond", beyond, 0.5, (60, 78), (54, 76)),
):
    chosen = np.array(synthetic.keep_best(scores.tolist(), share))
    clean, right = (100 * x[chosen].mean() for x in (~junk, correct))
    what = f"best {share:.0%} by {'gain over the untuned model' if name == 'beyond' else 'likelihood'}"
    measure(claim, clean, between=clean_between, name=f"{name}-clean", what=f"{what}: clean", unit="%")
    measure(claim, right, between=right_between, name=f"{name}-right", what=f"{what}: right", unit="%")
best = np.array(synthetic.keep_best(grade.tolist(), 0.5))
among = 100 * correct[best & ~junk].mean()
measure(claim, among, between=(83, 99), name="half-right-of-clean", what="best half: right among the clean", unit="%")
# sabotage: synth-instruction-backtranslation-paper/half-clean: ("half", grade, => ("half", -grade,
# sabotage: synth-instruction-backtranslation-paper/tenth-clean: ("tenth", grade, => ("tenth", -grade,

# %%
# alt: Share of clean and of right pairs against the share kept. Both fall from above 90% to the pool's values.
shares = [i / 20 for i in range(1, 21)]
kept_at = [np.array(synthetic.keep_best(grade.tolist(), share)) for share in shares]
lines = {
    "clean document": [(~junk)[k].mean() for k in kept_at],
    "right instruction": [correct[k].mean() for k in kept_at],
}
ax = plotting.curves(shares, lines, xlabel="share kept", ylabel="share of the pairs kept")

# %% [markdown]
r"""
Nine in ten. But look at what was found: clean *documents*. Nearly all junk is gone, while among the clean the share of
right instructions has risen by a few points only. A grade that compares with the untuned model, so that the document's
own likelihood drops out, chooses not much better than chance. In this pool the judge's merit is to see bad text.

Now train. The forward model goes on for 100 more steps, each time on the seeds and as many pairs of another kind.

**Predict.** Which of these follows instructions best: on with the seeds alone, with all pseudo-pairs, with the better
half, or with true pairs for 800 other documents?
"""

# %%
true_pairs = [(subject(text), text) for text in sentences(800, 4000 + SEED)]
extra = {
    "seeds": [],
    "all": pairs,
    "best half": [pair for pair, chosen in zip(pairs, best, strict=True) if chosen],
    "true": true_pairs,
}
models = {"base": teacher} | {
    name: tuned(forward, seeds * max(1, len(more) // len(seeds)) + more, 100) for name, more in extra.items()
}
recited = {text.removesuffix(" .") for _, text in seeds}
wanted = [subject(text) for text in held_out]

# %%


def tried(model):
    """Instructions followed, possible sentences, copies of a seed (all in %), and held-out nats a word."""
    texts = writer(model, 14)(wanted, [synthetic.row_seed(SEED, i) for i in range(len(wanted))])
    follows = [subject(text) == name for name, text in zip(wanted, texts, strict=True)]
    possible = [bool(world.is_grammatical(np.array([encode(f"{text} .")]))[0]) for text in texts]
    copies = [text in recited for text in texts]
    loss = nats(model, list(zip(wanted, held_out, strict=True))).mean()
    return *(100 * np.mean(x) for x in (follows, possible, copies)), loss


results = {name: tried(model) for name, model in models.items()}

# %%
whats = ("instructions followed", "possible sentences", "answers copied from a seed", "held-out nats a word")
keys = ("follows", "possible", "copies", "nats")
allowed = {
    "seeds": ((60, 86), (78, 95), (18, 44), (2.9, 4.1)),
    "all": ((27, 53), (34, 60), (0, 8), (2.05, 2.5)),
    "best half": ((48, 73), (78, 97), (0, 8), (1.95, 2.35)),
    "true": ((48, 74), (79, 97), (0, 8), (1.85, 2.15)),
}
for name, ranges in allowed.items():
    print(f"on with {name}:")
    for value, between, key, what in zip(results[name], ranges, keys, whats, strict=True):
        unit = "%" if key != "nats" else ""
        measure(claim, value, between=between, name=f"{name.split()[0]}-{key}", what=f"  {what}", unit=unit)
# sabotage: synth-instruction-backtranslation-paper/seeds-follows: results[name] => results["all"]
# sabotage: synth-instruction-backtranslation-paper/seeds-copies: results[name] => results["true"]

# %%
gain = np.subtract(results["best half"], results["all"])
measure(claim, gain[0], between=(6, 40), name="curated-gain", what="followed: best half minus all", unit="points")
lead = np.subtract(results["seeds"], results["best half"])
measure(claim, lead[0], between=(2, 24), name="seeds-lead", what="followed: seeds minus best half", unit="points")
measure(claim, lead[3], between=(0.7, 1.9), name="seeds-loss", what="held-out nats: seeds minus best half")
second = np.array(synthetic.keep_best((-nats(models["best half"], pairs)).tolist(), 0.5))
more = 100 * (correct[second].mean() - correct[best].mean())
measure(claim, more, between=(-3, 4), name="second-round", what="right pairs, second choice minus first", unit="points")
# %%
# alt: Three groups of four bars. The seeds follow most and copy most; all pairs are worst; the best half repairs that.
series = {name: [results[name][i] / 100 for i in range(3)] for name in allowed}
ax = plotting.bars(series, list(whats[:3]), unit="share of the answers")

# %% [markdown]
r"""
- **Curation rescues.** With all pseudo-pairs the model writes junk, as it was taught to, and follows fewer
  instructions. With the better half it writes sentences.
- **It does not win by the obvious score.** The model that went on with the seeds alone follows the most. It also
  recites: three in ten of its answers are seed documents, word for word, and held-out documents surprise it by about a
  nat a word more than the others. The pseudo-pairs cure that.
- **True pairs do not follow more either**, in so few steps, and have the lowest held-out loss. The order by "followed"
  is not the order by how well the law of the answers was learned.
- **A second round finds nothing new.** The paper curates twice, the second time with the model of the first round as
  judge. Here that judge chooses pairs that are right as often.

With other seeds the signs of these differences were the same. The paper, too, finds that more pairs without curation do
not help. With curation it reports gains, for a model of 65 billion parameters; that is another scale, and other text.

*Verdict on `synth-instruction-backtranslation-paper`: holds with a caveat. The half that the notes leave out is what
makes the other one usable.*

## 7. What instruction tuning changes

The notes have no section on **instruction tuning**: supervised training on pairs of an instruction and its answer
([Wei and others, 2022](../chapters/bibliography.md); [Ouyang and others, 2022](../chapters/bibliography.md);
[Chung and others, 2024](../chapters/bibliography.md)). It is what we have just done. Compare with the model before.

**Predict.** The base model knows every sentence of the language. Asked for *dogs*, what does it do?
"""

# %%
claim = "since-instruction-tuning"
base_follows, base_possible, *_ = results["base"]
measure(claim, base_follows, between=(0, 10), name="base-follows", what="base: instructions followed", unit="%")
measure(claim, base_possible, between=(0, 2), name="base-possible", what="base: possible sentences", unit="%")
tuned_follows = results["true"][0]
measure(claim, tuned_follows, between=(48, 74), name="tuned-follows", what="tuned: instructions followed", unit="%")
plain = [distance(models[name]) for name in ("base", "true")]
for name, value, between in zip(("base", "tuned"), plain, ((0.001, 0.01), (0.7, 2)), strict=True):
    what = f"{name}: distance from the law of plain documents"
    measure(claim, value, between=between, name=f"{name}-kl", what=what, unit="nats")
# sabotage: since-instruction-tuning/tuned-follows: results["true"][0] => results["base"][0]
# sabotage: since-instruction-tuning/tuned-kl: ("base", "true")] => ("base", "base")]

# %% [markdown]
r"""
The base model continues: an instruction is to it a strange beginning of a text. Tuning on less than a thousand pairs,
with no new fact about the language in them, makes it answer. The price is in the last two numbers: what was tuned is a
worse model of plain documents than before.

*Verdict on `since-instruction-tuning`: missing in the notes. It is the step after which a model answers a request
instead of continuing it.*

## 8. What a filter costs

The data are made, some are wrong, and filters are imperfect. For each filter there are two questions: how many of the
pairs that it keeps are right, and what did one right pair cost? We count words that went through a model.

- **Distinct**: keep the first of equal texts. Costs nothing.
- **Rule**: a program decides whether the sentence is possible and has the wanted subject. Costs nothing here. For most
  tasks there is no such program.
- **Round trip**: the backward model must find the instruction in the answer. Costs a second pass over every pair.

**Predict.** The round trip knows nothing of grammar. Does it find the wrong pairs all the same?
"""

# %%
asks = [subject(text) for text in sentences(300, 5000 + SEED)]


def is_right(rows):
    return [
        subject(row["response"]) == row["prompt"] and grammatical
        for row, grammatical in zip(rows, follows_the_rule([row | {"prompt": ""} for row in rows]), strict=True)
    ]


def returns(rows):
    texts = [f"{row['response']} ." for row in rows]
    return synthetic.comes_back([row["prompt"] for row in rows], name_subject(texts, [0] * len(texts)))


filters = {
    "none": lambda rows: [True] * len(rows),
    "distinct": lambda rows: synthetic.first_of_each([row["response"] for row in rows]),
    "round trip": returns,
    "rule": is_right,
}

# %%
about = {"settings": {"max_new_tokens": 14}, "model": "labutils world_decoder, tuned", "licence": "mit"}
raw = Recipe(title="Sentences on request", generate=writer(models["best half"], 14), **about)
rows = synthetic.make(folder / "raw", raw, asks, seed=SEED).rows
right = np.array(is_right(rows))
words = np.array([len(row["response"].split()) + 1 for row in rows])
claim, table = "synth-straightforward", {}
for name, keep in filters.items():
    chosen = np.array(keep(rows))
    read = 2 * words.sum() if name == "round trip" else words.sum()
    table[name] = (100 * chosen.mean(), 100 * right[chosen].mean(), read / right[chosen].sum())
# sabotage: synth-straightforward/round-trip-right: np.array(keep(rows)) => rng.permutation(keep(rows))

# %%
allowed = {
    "none": ((100, 100), (40, 66), (10.5, 17)),
    "distinct": ((94, 100), (40, 66), (10.5, 17.5)),
    "round trip": ((44, 70), (83, 98), (20, 35)),
    "rule": ((40, 66), (100, 100), (10.5, 17)),
}
for name, ranges in allowed.items():
    key = name.replace(" ", "-")
    for value, between, what in zip(
        table[name], ranges, ("kept", "right among them", "cost of a right pair"), strict=True
    ):
        unit = "words" if what.startswith("cost") else "%"
        measure(claim, value, between=between, name=f"{key}-{what.split()[0]}", what=f"{name}: {what}", unit=unit)

# %%
# alt: Four pairs of bars, one a filter. Without a filter nearly half are wrong, after the round trip few are.
series = {
    "kept, of all pairs": [kept / 100 for kept, _, _ in table.values()],
    "wrong, of those kept": [1 - right / 100 for _, right, _ in table.values()],
}
ax = plotting.bars(series, list(table), unit="share")

# %% [markdown]
r"""
The round trip sorts out most wrong pairs, though it looks at the subject alone, and doubles the cost. Removing copies
does not make data right. A rule, where there is one, is best and free.

One filter is not about quality at all. **Decontamination** removes what a later test would ask for, or the test
measures memory.

**Exercise 4** (15 minutes, difficulty 2 of 5, 3 points).
"""


# %% exercise
def uncontaminated(texts, tests, n):
    """Return a truth value for each text: True if it shares no n words in a row with any of the strings `tests`.

    Spaces separate words; capital and small letters are the same. A text of fewer than n words shares nothing.
    """

    ### BEGIN SOLUTION
    def runs(text):
        words = text.lower().split()
        return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}

    forbidden = set().union(*map(runs, tests))
    return [not (runs(text) & forbidden) for text in texts]
    ### END SOLUTION


check("uncontaminated", uncontaminated)

# %% [markdown]
r"""
**Predict.** Our test documents were never shown to the model. How many of its answers share 3, 5 or 7 words in a row
with one of 300 of them?
"""

# %%
responses = [row["response"] for row in rows]
for n, between in ((3, (25, 52)), (5, (0, 4)), (7, (0, 1))):
    dropped = 100 * (1 - np.mean(synthetic.uncontaminated(responses, held_out[:300], n)))
    what = f"answers that share {n} words in a row with a test"
    measure(claim, dropped, between=between, name=f"shares-{n}", what=what, unit="%")
# sabotage: synth-straightforward/shares-3: held_out[:300] => responses

# %% [markdown]
r"""
With short runs one drops what any two texts of the language have in common; with long ones only copies. GPT-3's
authors looked for 13 words ([Brown and others, 2020](../chapters/bibliography.md)).

Everything together, as a dataset:
"""


# %%
def grades(rows):
    """The forward model's grade of each pair, as a column."""
    return [{"nats": round(float(n), 2)} for n in nats(forward, [(r["prompt"], r["response"]) for r in rows])]


def not_in_the_test(rows):
    return synthetic.uncontaminated([row["response"] for row in rows], held_out, 7)


# %%
select = {"distinct": filters["distinct"], "not in the test": not_in_the_test}
final = replace(raw, filters={"round trip": returns}, label=grades, select=select)
made = synthetic.make(folder / "final", final, asks, seed=SEED)
measure(claim, len(made.rows), between=(130, 205), name="final", what="pairs in the dataset, of 300")
measure(claim, 100 * np.mean(is_right(made.rows)), between=(83, 98), name="final-right", what="right ones", unit="%")
print(*made.rows[0], sep=", ")
workplace.cleanup()
# sabotage: synth-straightforward/final-right: is_right(made.rows) => is_right(rows)

# %% [markdown]
r"""
## With a real model

The same pipeline runs on any model. In the `gpu` profile, or when you ask for it, the next cells load SmolLM2 after its
tuning on instructions (`HuggingFaceTB/SmolLM2-135M-Instruct`: 135 million parameters, 271 MB, licence Apache-2.0). It
reads four answers, writes a question to each, and grades the pairs: by how many nats a token does the question make its
answer likelier?

**Predict.** In how many of four does it?
"""

# %%
from functools import partial

from labutils.prompting import log_probability

ANSWERS = ["Fold the paper in half, then fold both corners down to the middle.", "It has eight legs and spins a web."]
ANSWERS += ["The last train leaves at ten past eleven.", "Water the seeds every morning until they sprout."]
ASK = "Write one short question to which this is the answer: "


# %%
def as_turn(tokenizer, text):
    """The tokens of a text as a user's turn in the chat template, up to where the model's turn begins."""
    turns = [{"role": "user", "content": text}]
    whole = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    return tokenizer.encode(whole, add_special_tokens=False)


def writer(model, tokenizer):
    """A generate function for the pipeline: what the model says in its turn."""
    encode = partial(as_turn, tokenizer)
    settings = {"max_new_tokens": 24, "top_p": 0.9, "stop_token": tokenizer.eos_token_id, "device": device()}
    return synthetic.sampler(sampling.HuggingFaceModel(model), encode, tokenizer.decode, **settings)


# %%
@torch.no_grad()
def nats_gained(model, tokenizer, question, answer):
    """How much likelier a question makes its answer than an empty turn does, in nats a token of the answer."""
    end = tokenizer.encode(answer)
    given = []
    for asked in (question, ""):
        start = as_turn(tokenizer, asked)
        row = torch.tensor([start + end], device=device())
        given.append(log_probability(model(row).logits.float(), row, len(start)).item())
    return round((given[0] - given[1]) / len(end), 2)


# %%
if loaded := hub.offer("instruct"):
    recipe = Recipe(
        title="Questions to answers",
        model=hub.MODELS["instruct"].id,
        licence="apache-2.0",
        settings={"top_p": 0.9, "max_new_tokens": 24},
        generate=writer(*loaded),
        answers=("question",),
        label=lambda rows: [{"gain": nats_gained(*loaded, r["question"], ANSWERS[r["row"]])} for r in rows],
    )
    with tempfile.TemporaryDirectory() as place:
        for row in synthetic.make(place, recipe, [ASK + answer for answer in ANSWERS], seed=0).rows:
            print(json.dumps({"answer": ANSWERS[row["row"]], **{k: row[k] for k in ("question", "gain", "licence")}}))

# %% [markdown]
r"""
## What you have shown

- A teacher's samples are worth as much as real text if the teacher is good and its law is left alone. Its whole law at
  each word is worth many times as many texts.
- Asking a model for many texts gives few different ones. Removing copies without checking leaves a larger share wrong.
- A backward model names what its seeds taught it to name, and nothing else.
- Self-curation found clean documents rather than right instructions. That was enough to rescue the training, and not
  enough to follow more instructions than the seeds alone; what it bought was a better law and no reciting.
- A licence that no field records cannot be obeyed.

## Where to go next

Lab 14 makes pairs of a better and a worse answer, trains on them, and asks what happens when models learn from models
generation after generation. To use your own model here, give `Recipe` another `generate`.
"""
