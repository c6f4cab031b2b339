# %% [markdown]
r"""
# Lab 03: Data for pretraining

A language model is made of what it reads. Before the first step of training, somebody decided which pages it reads and
how often. In this lab you make those decisions yourself, on a crawl where every page is labelled, so that each
decision can be scored.

**What you will measure.** How much text "gigabytes to petabytes" is; what a crawl consists of; what rules, scores and
classifiers keep of it and what they miss; how many copies there are; which stage of a pipeline is to blame for how
little survives; and what all this is worth: a model is trained on each selection and held against the exact law of the
language. At the end, a small model on real text, against gzip, xz and plain counting.

**What you need.** Python, and what a probability is. The chapter on [pretraining](../chapters/02_pretraining.md) says
what a model does with the text.

**Time.** Reading and exercises: about two hours. The cells run in about a minute on two cores; on a T4 the last model
trains ten times as long, and a bigger one follows.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on the size, the sources and the
filtering of training data, and everything on the section that they leave empty, the most common sources of data.
"""

# %% setup

# %%
import math
import zlib
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import torch

from labutils import corpora, curation, plotting
from labutils.checks import check
from labutils.evidence import measure
from labutils.tokenizer import ByteTokenizer
from labutils.world import World

# %% [markdown]
r"""
## 1. How much text is that?

The notes say that a model is fed *gigabytes to petabytes* of text. Papers count in bytes, words, tokens or documents,
and a comparison needs one unit. The exchange rates can be measured on any text. Ours is the documentation of the
Python that runs this notebook: its reference, and the docstrings of its library. Its size differs from one Python to
the next.

A **token** is a piece of text with a number. **Byte-pair encoding** starts from single bytes and joins the most
frequent pair of neighbours, again and again ([Sennrich and others, 2016](../chapters/bibliography.md)). Here it goes
on until there are 1,024 tokens.

**Predict.** How many bytes has a token, on average, and how many has a word?
"""

# %%
claim = "pretrain-gigabytes-to-petabytes"
learn, test = ("\n\n".join(part) for part in corpora.split(corpora.documentation(), test_share=0.06))
megabytes = len((learn + test).encode()) / 1e6
measure(claim, megabytes, between=(0.5, 4), name="sample", what="documentation of Python", unit="megabytes")
tokenizer = ByteTokenizer([learn], vocab_size=1024)
stream, held_out = (torch.tensor(tokenizer.encode(text)) for text in (learn, test))
n_bytes = len(test.encode())
per_token, per_word = n_bytes / len(held_out), n_bytes / len(test.split())
measure(claim, per_token, between=(2.1, 3), name="per-token", what="bytes in a token of 1,024", unit="bytes")
measure(claim, per_word, between=(5.5, 10), name="per-word", what="bytes in a word and its space", unit="bytes")

# %% [markdown]
r"""
A larger vocabulary makes longer tokens. That of GPT-2 has 50,257 ([Radford and others,
2019](../chapters/bibliography.md)), that of BLOOM 250,680 ([BigScience Workshop, 2022](../chapters/bibliography.md)).
So the next cell is a lower estimate for them. It turns three published counts into bytes: BERT's 3.3 billion words, the
300 billion tokens that GPT-3 read, the 15 trillion tokens of FineWeb.
"""

# %%
tera = 1e12
bert, gpt3, fineweb = 3.3e9 * per_word / 1e9, 300e9 * per_token / tera, 15e12 * per_token / tera
measure(claim, bert, between=(16, 33), name="bert", what="BERT's 3.3 billion words, by our words", unit="gigabytes")
measure(claim, gpt3, between=(0.6, 1), name="gpt3", what="GPT-3's 300 billion tokens, by ours", unit="terabytes")
measure(claim, fineweb, between=(30, 46), name="fineweb", what="FineWeb's 15 trillion, by ours", unit="terabytes")
archive = 377 * 2**40 / tera
measure(
    claim, round(archive, 1), between=(414.5, 414.5), name="archive", what="one crawl of May 2024", unit="terabytes"
)
# sabotage: pretrain-gigabytes-to-petabytes/gpt3: 300e9 * per_token => 300e9 * per_word

# %% [markdown]
r"""
The papers say 16 gigabytes for BERT's text and about 44 terabytes for FineWeb, so our exchange rates are not far off
([Liu and others, 2019](../chapters/bibliography.md); [Penedo and others, 2024](../chapters/bibliography.md)). The last
line is of another kind: the archive of a single crawl, uncompressed, with all the HTML in it. Only such archives, many
of them together, reach petabytes. Nobody trains on those bytes.

*Verdict on `pretrain-gigabytes-to-petabytes`: imprecise. The text that models read is gigabytes to tens of terabytes;
petabytes are what it is dug from.*

## 2. Where text comes from

The notes have a heading, *Most common sources*, and nothing below it. This table fills the gap. Mind the units.

| source | what it is | published size | licence, questions |
| --- | --- | --- | --- |
| Common Crawl | an archive of the web since 2008 | 2.7 billion pages in May 2024 | pages remain their authors' |
| C4 (2020) | one month of it, cleaned by rules | about 750 GB | a word list removed whole groups |
| RefinedWeb, FineWeb, DCLM | web alone, filtered, deduplicated | 5, 15, 3.8 T tokens | open lists of others' pages |
| The Pile (2020) | 22 sets: papers, code, law, books | 825 GiB | one of them pirated books |
| Dolma, RedPajama | open copies of whole mixtures | 3 and over 100 T tokens | documented source by source |
| Wikipedia | an encyclopedia | 2.5 billion words (BERT's) | CC BY-SA |
| BooksCorpus | novels from one site | 800 million words | authors not asked; duplicates |
| The Stack | code | v1 3.1 TB, v2 67.5 TB | v1 permissive licences; opt-out |
| StackExchange | questions, answers, votes | 78 GB in LLaMA | CC BY-SA |
| arXiv | papers as LaTeX | 92 GB in LLaMA | differs from paper to paper |

The papers are in the [bibliography](../chapters/bibliography.md), and the ledger names them claim by claim.

Later stages of training use other data: pairs of instruction and answer, and pairs of answers of which one is
preferred. Labs 13 and 14 make those.

**Predict.** The Pile is 825 GiB. How many gigabytes is that, and do its 22 parts add up?
"""

# %%
# sabotage: data-sources-empty/sum: name: part.size for => name: part.size * part.epochs for
claim = "data-sources-empty"
sizes = {name: part.size for name, part in corpora.PILE_MIXTURE.items()}
print(len(sizes), "parts")
measure(claim, round(sum(sizes.values()), 2), between=(825.18, 825.18), what="sum of the parts", unit="GiB", name="sum")
gigabytes = 825.18 * 2**30 / 1e9
measure(
    claim, round(gigabytes, 1), between=(886, 886), what="the Pile's 825.18 GiB", unit="gigabytes", name="gigabytes"
)
stack = 67.5e12 / per_token / 1e12
what = "The Stack v2, if its 67.5 terabytes were text like ours"
measure(claim, stack, between=(20, 33), name="stack", what=what, unit="trillion tokens")

# %% [markdown]
r"""
*Verdict on `data-sources-empty`: missing in the notes; the table says what belongs there. Seven percent of the Pile's
size hang on one letter, GiB or GB.*

### A page as it is archived

A crawler stores the server's whole answer, in the **WARC** format. Two derived formats hold less: WAT the metadata,
WET the visible text.

**Predict.** Of the bytes of this small page, what share does a reader see?
"""


# %%
class VisibleText(HTMLParser):
    """Collects the text of a page, without what a reader does not see."""

    unseen = ("script", "style", "title")

    def __init__(self):
        super().__init__()
        self.hidden, self.text = 0, []

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in self.unseen

    def handle_endtag(self, tag):
        self.hidden -= tag in self.unseen

    def handle_data(self, data):
        self.text += [] if self.hidden else data.split()


# sabotage: data-common-crawl: ("script", "style", "title") => ("main",)


# %%
claim = "data-common-crawl"
record, answer, html = corpora.WARC_RECORD.split("\n\n", 2)
headers = dict(line.split(": ", 1) for line in record.splitlines()[1:])
print(headers["WARC-Type"], headers["WARC-Target-URI"], "|", answer.splitlines()[0])
reader = VisibleText()
reader.feed(html)
visible = " ".join(reader.text)
print(visible)
share = 100 * len(visible) / len(html)
measure(claim, share, between=(18, 20), what="share of the HTML that is visible text", unit="%")

# %% [markdown]
r"""
*Verdict on `data-common-crawl`: missing in the notes, and the raw material of nearly every web corpus. "home news
shop" is visible and still no text: that is the next problem.*

### Code and mathematics

**Predict.** Which compresses best: prose, code or a server's log? And what does LaTeX cost a tokenizer that grew up on
prose?
"""

# %%
import argparse
import ast
import inspect

claim = "data-code"
log = "\n".join(
    f"2026-05-{1 + i // 900:02} 09:{i // 60 % 60:02}:{i % 60:02} GET /page/{i * i % 97} {200 + 204 * (i % 7 == 0)}"
    for i in range(2000)
)
code = "\n".join(inspect.getsource(module) for module in (argparse, ast, inspect))


def redundancy(text):
    """How many times smaller zlib makes a text."""
    return len(text.encode()) / len(zlib.compress(text.encode(), 9))


for name, text, between in (("prose", learn, (2.7, 4)), ("code", code, (3.5, 6)), ("log", log, (5, 15))):
    measure(claim, redundancy(text), between=between, name=name, what=f"{name}: bytes before over bytes after zlib")
# sabotage: data-code/code: ("code", code => ("code", learn

# %%
# sabotage: data-qa-papers/latex: (("l", latex), ("p", prose)) => (("p", latex), ("l", prose))
claim = "data-qa-papers"
latex = r"""\begin{equation}\label{eq:attention} \mathrm{Attention}(Q,K,V)=\mathrm{softmax}\left(\frac{QK^{\top}}
{\sqrt{d_{k}}}\right)V \end{equation} where $Q\in\mathbb{R}^{n\times d_{k}}$, $\|x\|_{2}^{2}=\sum_{i=1}^{n}x_{i}^{2}$
and $\nabla_{\theta}\mathcal{L}(\theta)=-\mathbb{E}_{x\sim p}\left[\nabla_{\theta}\log p_{\theta}(x)\right]$."""
prose = (
    "The weight of a value is the softmax of the scaled product of a query and a key, and the loss is its logarithm."
)
tokens_per_character = {name: len(tokenizer.encode(text)) / len(text) for name, text in (("l", latex), ("p", prose))}
for name, what, between in (("l", "LaTeX", (0.5, 0.85)), ("p", "prose", (0.25, 0.45))):
    measure(claim, tokens_per_character[name], between=between, name=what.lower(), what=f"tokens a character, {what}")
ratio = tokens_per_character["l"] / tokens_per_character["p"]
measure(claim, ratio, between=(1.4, 2.6), name="ratio", what="what LaTeX costs over prose", unit="times")

# %% [markdown]
r"""
*Verdicts. `data-code`: missing in the notes; code is a standard source, more regular than prose, and a gigabyte of it
holds less news. `data-qa-papers`: missing too; StackExchange and arXiv bring structure and formulas, which cost more
tokens per character.*

## 3. How sources are mixed

Sources are not read in proportion to their size. Each gets a **share** of the tokens that are drawn; an **epoch** is
one pass through a source.

Your turn. Later cells use the library's version, so you can go on whatever happens.

**Exercise 1** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def mixture_epochs(shares, sizes, budget):
    """Return how often each source is read when `budget` tokens are drawn, as a list.

    `shares` are weights that need not sum to 1 (divide them by their sum); `sizes` are in tokens.
    """
    ### BEGIN SOLUTION
    total = sum(shares)
    return [share / total * budget / size for share, size in zip(shares, sizes, strict=True)]
    ### END SOLUTION


check("mixture_epochs", mixture_epochs)

# %% [markdown]
r"""
**Predict.** GPT-3's table gives the crawl 60%, WebText2 22%, two sets of books 8% each, Wikipedia 3%. Do the epochs
that it prints follow from the shares and sizes that it prints? And what do the shares sum to?
"""

# %%
claim = "data-mixture"
gpt3 = corpora.GPT3_MIXTURE
shares, sizes, printed = ([getattr(part, field) for part in gpt3.values()] for field in ("share", "size", "epochs"))
measure(claim, sum(shares), between=(101, 101), name="gpt3-shares", what="GPT-3's shares add up to", unit="%")
epochs = [share / 100 * 300 / size for share, size in zip(shares, sizes, strict=True)]
exact = {"crawl": 0.44, "webtext": 3.47, "books1": 2, "books2": 0.44, "wikipedia": 3}
for (slug, value), name, found, part in zip(exact.items(), gpt3, epochs, gpt3.values(), strict=True):
    what = f"epochs of {name}, printed as {part.epochs}"
    measure(claim, round(found, 2), between=(value, value), name=f"gpt3-{slug}", what=what)
# sabotage: data-mixture/gpt3-crawl: * 300 / => * 410 /

# %%
slack = [300 * 0.005 / size + 0.05 for size in sizes]  # a share is rounded to 1%, an epoch printed to one digit or two
explained = sum(abs(a - b) <= most for a, b, most in zip(printed, epochs, slack, strict=True))
measure(claim, explained, between=(4, 4), name="gpt3-explained", what="of the five, explained by rounding")
total = sum(part.share for part in corpora.LLAMA_MIXTURE.values())
measure(claim, total, between=(100, 100), name="llama-shares", what="LLaMA's shares add up to", unit="%")

# %%
# alt: Bars of the epochs in GPT-3's table. Wikipedia 3.4, WebText2 2.9, the crawl and Books2 0.4.
by_epochs = {"printed": printed, "share x 300 / size": epochs}
ax = plotting.bars(by_epochs, list(gpt3), unit="epochs in 300 billion tokens")

# %% [markdown]
r"""
Four of the five agree with the rounding of the shares; WebText2 does not: 22% of 300 billion over 19 billion is 3.5,
the paper prints 2.9. The reason for the mixture is in the figure: what was thought good is read several times, and
more than half of the crawl not once.

**Predict.** What share of GPT-3's and LLaMA's tokens comes from crawls, and how much from corpora built by hand?
"""

# %%
# sabotage: pretrain-sources/pile: PILE_MIXTURE["OpenWebText2"].share => PILE_MIXTURE["Books3"].share
# sabotage: data-pile/off: 100 * part.size * part.epochs / total => 100 * part.size / total
claim = "pretrain-sources"
crawled = {"GPT-3": 60 / 1.01, "LLaMA": 67 + 15}
measure(claim, crawled["GPT-3"], between=(59, 60), name="gpt3", what="GPT-3: share of crawls", unit="%")
measure(claim, crawled["LLaMA"], between=(82, 82), name="llama", what="LLaMA: share of crawls, C4 included", unit="%")
total = sum(part.size * part.epochs for part in corpora.PILE_MIXTURE.values())
web = corpora.PILE_MIXTURE["Pile-CC"].share + corpora.PILE_MIXTURE["OpenWebText2"].share
measure(claim, web, between=(28.12, 28.12), name="pile", what="The Pile: share of Pile-CC and OpenWebText2", unit="%")
claim = "data-pile"
measure(claim, total, between=(1253.5, 1254.8), name="read", what="GiB read, each part as often as listed", digits=5)
most = max(corpora.PILE_MIXTURE.values(), key=lambda part: part.epochs)
measure(claim, most.epochs, between=(3, 3), name="most", what="the largest number of epochs, Wikipedia's")
off = max(abs(part.share - 100 * part.size * part.epochs / total) for part in corpora.PILE_MIXTURE.values())
measure(claim, off, between=(0, 0.01), name="off", what="share listed minus size x epochs, at most", unit="points")

# %%
# alt: The 22 parts of the Pile as bars of their share. Pile-CC has 18 percent, PubMed Central 14, Books3 12, Enron 0.1.
shares = {"share": [part.share for part in corpora.PILE_MIXTURE.values()]}
ax = plotting.bars(shares, list(corpora.PILE_MIXTURE), unit="share of what is read (%)")

# %% [markdown]
r"""
*Verdicts. `data-mixture`: missing in the notes; shares are a choice, and the best known table has a number that does
not follow from its neighbours. `pretrain-sources`: holds. `data-pile`: missing; 22 parts, of which two are plain web
text.*

## 4. A crawl with labels

Real crawls come without labels, so nobody knows what a filter loses. Ours is made from the course's small language,
whose exact law is known. 3% of its pages are **good**: fresh documents. The rest is what crawls are full of.

**Predict.** Read the kinds below. Which of them will a language model find *least* surprising?
"""

# %%
world, N, LENGTH = World(), 8000, 48
fresh = [world.decode(row) for row in world.sample(N, LENGTH, seed=1).tokens[:, 1:]]
test_items = [world.decode(row) for row in world.sample(200, LENGTH, seed=2).tokens[:, 1:]]
crawl = corpora.crawl(fresh, test_items, N, seed=0)
kinds = np.array(crawl.kinds)
count = Counter(crawl.kinds)
for kind in corpora.KINDS:
    lines = crawl.pages[crawl.kinds.index(kind)].splitlines()
    print(f"{kind:12}{count[kind]:5}  {lines[len(lines) // 2]}")
good = kinds == "good"

# %% [markdown]
r"""
The kinds, one by one: *copy* is an earlier good page with up to two words changed; *leaked* is an item of a test that
we shall want to use; *foreign* is the same language in other letters; *menu* has no text at all; *boilerplate* says
one sentence again and again; *salad* has its words shuffled; *noise* has a quarter of them replaced; *careless* has
five of 48 replaced. A published pipeline has these steps, in about this order: extract the text, identify the
language, filter, deduplicate, remove test items, mix, document.

## 5. Rules

C4 was made by rules that fit on a postcard ([Raffel and others, 2020](../chapters/bibliography.md)).

**Exercise 2** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def clean_page(page, min_words=5, min_lines=3):
    """Return the lines of `page` that read like sentences, joined by newlines, or "".

    Drop spaces around a line; keep it if it ends in one of . ! ? " and has at least `min_words` words. Return "" if
    fewer than `min_lines` lines are kept, or if the page holds "{", or "lorem ipsum" in any case.
    """
    ### BEGIN SOLUTION
    if "{" in page or "lorem ipsum" in page.lower():
        return ""
    lines = [line.strip() for line in page.splitlines()]
    kept = [line for line in lines if line.endswith((".", "!", "?", '"')) and len(line.split()) >= min_words]
    return "\n".join(kept) if len(kept) >= min_lines else ""
    ### END SOLUTION


check("clean_page", clean_page)

# %% [markdown]
r"""
**Predict.** How many menus survive the rules of C4? How many pages of word salad? And do good pages come through
unhurt?
"""

# %%
claim = "data-c4"
strict = [curation.clean_page(page) for page in crawl.pages]
survives = {kind: np.mean([bool(strict[i]) for i in np.flatnonzero(kinds == kind)]) for kind in corpora.KINDS}
print({kind: f"{100 * share:.0f}%" for kind, share in survives.items()})
measure(claim, survives["menu"], between=(0, 0), name="menus", what="share of menus that survive")
measure(claim, survives["boilerplate"], between=(0.5, 1), name="boilerplate", what="share of boilerplate that survives")
measure(claim, survives["good"], between=(0.85, 1), name="good", what="share of good pages that survive")
lost = 1 - sum(len(strict[i].split()) for i in np.flatnonzero(good)) / (LENGTH * good.sum())
measure(claim, lost, between=(0.1, 0.4), name="words", what="share of the words of good pages that is lost")
# sabotage: data-c4/menus: curation.clean_page(page) => page

# %% [markdown]
r"""
The rules see the form of a line, not its sense. Menus go, and so do short sentences: the rule of five words removes
part of the language itself ("some boats sink ." counts four), and what remains is no fair sample. From here on we use
a milder rule, four words and one line.

*Verdict on `data-c4`: missing in the notes; rules remove what has the wrong form, and they bend what they keep.*

C4 had one more rule: a page with a word from a list of bad words was dropped. The next cell does the same to 30 pages
made up for this purpose, 8 of which do harm.

**Predict.** How many of the 8 does a list of 20 words catch, and how many of the 22 others?
"""

# %%
claim = "pretrain-quality-filter"
blocked = {page: curation.listed_words(page.text, corpora.BLOCKLIST.split()) for page in corpora.SPECIMENS}
for about in ("health", "law", "identity", "other"):
    pages = [page for page in blocked if page.about == about]
    dropped = [blocked[page] for page in pages if blocked[page]]
    print(f"{about:9} {len(dropped)} of {len(pages)} dropped for {[word for found in dropped for word in found]}")
caught = sum(bool(words) for page, words in blocked.items() if page.harmful)
harmless = sum(bool(words) for page, words in blocked.items() if not page.harmful)
measure(claim, caught, between=(2, 2), name="caught", what="harmful pages that the list drops, of 8")
measure(claim, harmless, between=(16, 16), name="harmless", what="harmless pages that it drops, of 22")
# sabotage: pretrain-quality-filter/harmless: if not page.harmful => if page.harmful

# %% [markdown]
r"""
Threats need no bad words, and hospitals, courts and choirs do. These pages were made to show how it happens, so the
counts say nothing of how often. An audit of C4 found that its list removed text about and by minority groups more
often than other text ([Dodge and others, 2021](../chapters/bibliography.md)); and models trained on filtered text
still produce toxic text ([Gehman and others, 2020](../chapters/bibliography.md)).

*Verdict on `pretrain-quality-filter`: holds, with the caveat that filtering reduces what it aims at, does not remove
it, and brings a bias of its own.*

## 6. Scores

For each page we now compute numbers, **quality signals**, once. Then every filter is a threshold. First the simple
ones: the words of the page, the share of them that the language has, and the share of 3-grams seen earlier on the
page.
"""

# %%
texts = [curation.clean_page(page, min_words=4, min_lines=1) for page in crawl.pages]
number = {word: token for token, word in enumerate(world.vocab)}
UNKNOWN = number["<mask>"]
tokens, real = np.zeros((N, LENGTH), np.int64), np.zeros((N, LENGTH), bool)
for page, text in enumerate(texts):
    row = [number.get(word, UNKNOWN) for word in text.split()]
    tokens[page, : len(row)], real[page, : len(row)] = row, True
words = real.sum(1)
known = ((tokens != UNKNOWN) & real).sum(1) / words.clip(min=1)
repetition = np.array([curation.repetition(text) for text in texts])
in_language = (words >= 20) & (known >= 0.9)
print("pages of 20 words or more in our language:", in_language.sum(), "of", N)

# %% [markdown]
r"""
Now a language model as the judge. It has to be small, since it reads the whole crawl, and it has to have read
something good: 500 documents that we trust, as others trust Wikipedia ([Wenzek and others,
2020](../chapters/bibliography.md)). A model that counts is enough: the law of a word given the two before it. What it
did not expect is **surprising**: −log p, in nats. The mean over a page is the logarithm of the page's **perplexity**.

**Predict.** Keep the 3% of the crawl with the lowest perplexity. What will you have?
"""

# %%
trusted = world.sample(500, LENGTH, seed=77).tokens[:, 1:]
judge = curation.NGram(trusted, order=3, vocab_size=world.vocab_size)
nats = torch.from_numpy(judge.nats(tokens))
mean = curation.surprise_score(nats, torch.from_numpy(real), LENGTH).numpy()


def keep(score, among, share=0.03):
    """Mark the pages with the lowest scores among those marked, up to a share of the whole crawl."""
    best = np.argsort(np.where(among, score, np.inf), kind="stable")[: round(share * N)]
    kept = np.zeros(N, bool)
    kept[best] = True
    return kept & among


# %%
claim = "pretrain-quality-filter"
by_perplexity = keep(mean, in_language)
found = Counter(kinds[by_perplexity].tolist())
print(dict(found.most_common()))
boilerplate = found["boilerplate"] / by_perplexity.sum()
precision = good[by_perplexity].mean()
base = good[in_language].mean()
measure(claim, boilerplate, between=(0.55, 0.85), name="boilerplate", what="share of boilerplate in the best 3%")
before = (kinds[in_language] == "boilerplate").mean()
measure(claim, before, between=(0.18, 0.26), name="boilerplate-before", what="share of boilerplate before that choice")
measure(claim, precision, between=(0.06, 0.2), name="perplexity-precision", what="share of good pages in the best 3%")
measure(claim, base, between=(0.04, 0.08), name="precision-before", what="share of good pages before that choice")
# sabotage: pretrain-quality-filter/boilerplate: keep(mean, => keep(-mean,

# %%
for kind, name, (low, high) in (("good", "good", (0.3, 0.55)), ("boilerplate", "same", (0.65, 0.9))):
    here = mean[kinds == kind]
    measure(claim, here.mean(), between=(2.5, 2.85), name=f"mean-{name}", what=f"mean score, {kind} pages", unit="nats")
    measure(claim, here.std(), between=(low, high), name=f"spread-{name}", what="standard deviation of it", unit="nats")

# %% [markdown]
r"""
The judge prefers boilerplate. On average a page of boilerplate is as surprising as a good one. But it is one sentence
again and again, so its score is that sentence's, and scores of single sentences spread almost twice as wide as those
of pages. Whoever takes the lowest scores takes the end of the wider spread. Two remedies. A rule against repetition.
And another score: a page with a few wrong words hides them in the mean, so look at its **most surprising** words only.

**Exercise 3** (15 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def surprise_score(nats, real, k):
    """Return the mean of the k largest surprisals of each page: `nats` and `real` have the shape [..., seq].

    Where `real` is False there is padding, which does not count. With fewer than k real tokens take the mean over those
    there are; with none the score is infinity.
    """
    ### BEGIN SOLUTION
    n_counted = real.sum(-1).clamp(max=k)
    largest = nats.masked_fill(~real, 0.0).topk(min(k, nats.shape[-1])).values
    return torch.where(n_counted > 0, largest.sum(-1) / n_counted.clamp(min=1), torch.inf)
    ### END SOLUTION


check("surprise_score", surprise_score)

# %% [markdown]
r"""
**Precision** is the share of good pages among those kept, **recall** the share of the good pages that is kept. A
second number counts as right also what is good text but unwanted for another reason: copies and leaked items. No rule
so far can tell them from good pages.

**Predict.** Rule, score, or both: what brings most?
"""

# %%
surprise = curation.surprise_score(nats, torch.from_numpy(real), 3).numpy()
fluent = np.isin(kinds, ("good", "copy", "leaked"))
varied = in_language & (repetition < 0.4)
methods = {
    "perplexity": (mean, in_language),
    "surprise": (surprise, in_language),
    "rule + perplexity": (mean, varied),
    "rule + surprise": (surprise, varied),
}
ranges = {"perplexity": (0.14, 0.36), "surprise": (0, 0.05), "rule-perplexity": (0.7, 0.95)}
ranges |= {"rule-surprise": (0.78, 0.98)}
for (name, (score, among)), (slug, between) in zip(methods.items(), ranges.items(), strict=True):
    kept = keep(score, among)
    measure(claim, fluent[kept].mean(), between=between, name=f"fluent-{slug}", what=f"{name}: share of good text")

# %%
for slug, between in {"rule-perplexity": (0.28, 0.48), "rule-surprise": (0.33, 0.53)}.items():
    name = slug.replace("-", " + ")
    kept = keep(*methods[name])
    measure(claim, good[kept].mean(), between=between, name=f"precision-{slug}", what=f"{name}: precision")
    recall = good[kept].sum() / good.sum()
    measure(claim, recall, between=between, name=f"recall-{slug}", what=f"{name}: recall")

# %%
# alt: Share of good text against the share kept, 1 to 8 percent. Both lines with the rule fall from 0.9.
shares = [0.01, 0.02, 0.03, 0.05, 0.08]
names = ["perplexity", "rule + perplexity", "rule + surprise"]
lines = {name: [fluent[keep(*methods[name], share)].mean() for share in shares] for name in names}
percent = [100 * share for share in shares]
ax = plotting.curves(percent, lines, xlabel="share of the crawl that is kept (%)", ylabel="share of good text")
for name, slug in zip(names, ("p", "rp", "rs"), strict=True):
    what = f"{name}: share of good text at 1%"
    between = (0.7, 1) if slug != "p" else (0, 0.4)
    measure(claim, lines[name][0], between=between, name=f"one-percent-{slug}", what=what)

# %% [markdown]
r"""
The rule does most of the work, the score adds to it. The score *without* the rule is worse than perplexity: a page of
boilerplate has no very surprising word at all. Signals work together or not at all.

### A table of signals, and a classifier

RedPajama's second version does not filter. It publishes the pages with their signals, and everybody sets thresholds of
his own ([Weber and others, 2024](../chapters/bibliography.md)). Our table has 8,000 rows.

**Predict.** Four recipes, each stricter than the one before. How many pages does each keep, and how many good ones?
"""

# %%
# sabotage: data-dolma-redpajama/form-repetition-surprise-kept: varied & (surprise < 8) => varied
claim = "data-dolma-redpajama"
recipes = {
    "form": in_language,
    "form-repetition": varied,
    "form-repetition-mean": varied & (mean < 3),
    "form-repetition-surprise": varied & (surprise < 8),
}
ranges = [(50, 60), (38, 48), (4.5, 10), (3, 6)]
for (name, kept), between in zip(recipes.items(), ranges, strict=True):
    share = 100 * kept.mean()
    measure(claim, share, between=between, name=f"{name}-kept", what=f"{name}: share of the crawl kept", unit="%")
    print(
        f"  good pages kept {good[kept].sum()} of {good.sum()}, good text {100 * fluent[kept].mean():.0f}% of what is"
    )

# %% [markdown]
r"""
*Verdict on `data-dolma-redpajama`: missing in the notes. The same signals give corpora of very different sizes.*

FineWeb-Edu and DCLM let a **classifier** decide: trained on pages that people think good, against pages of the crawl
([Li and others, 2024](../chapters/bibliography.md)). Ours gets 200 of each and sees either the words of a page, or its
words and pairs of words, or its signals.

**Predict.** Which view is worth most?
"""


# %%
def signals(nats, real, repetition):
    """Four numbers a page: mean surprisal, that of the worst 3 and the worst 8 words, and repetition."""
    nats, real = torch.from_numpy(nats), torch.from_numpy(real)
    scores = [curation.surprise_score(nats, real, k).numpy() for k in (LENGTH, 3, 8)]
    return np.stack([*scores, repetition], axis=1)


praised = world.sample(200, LENGTH, seed=78).tokens[:, 1:]
praised_texts = [world.decode(row) for row in praised]
praised_signals = signals(
    judge.nats(praised), np.ones(praised.shape, bool), np.array([curation.repetition(text) for text in praised_texts])
)
pool = np.flatnonzero(in_language)
ordinary = np.random.default_rng(0).choice(pool, 200, replace=False)
labels = [1] * 200 + [0] * 200

# %%
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

scores = {}
for name, longest in (("words", 1), ("pairs", 2)):
    bag = HashingVectorizer(token_pattern=r"\S+", ngram_range=(1, longest), n_features=2**14)
    classifier = make_pipeline(bag, LogisticRegression(C=10))
    classifier.fit([*praised_texts, *(texts[i] for i in ordinary)], labels)
    scores[name] = -classifier.decision_function(texts)
table = np.full((N, 4), 99.0)
table[pool] = signals(nats[pool].numpy(), real[pool], repetition[pool])
classifier = make_pipeline(StandardScaler(), LogisticRegression(C=10))
classifier.fit(np.concatenate([praised_signals, table[ordinary]]), labels)
scores["signals"] = -classifier.decision_function(table)

# %%
claim = "data-refinedweb-fineweb-dclm"
for name, between in {"words": (0.05, 0.25), "pairs": (0.45, 0.75), "signals": (0.82, 1)}.items():
    kept = keep(scores[name], in_language)
    measure(
        claim, fluent[kept].mean(), between=between, name=f"fluent-{name}", what=f"{name}: share of good text at 3%"
    )
clean = world.sample(300, LENGTH, seed=5).tokens[:, 1:]
tenth = 0.1 * len(pool) / N
chance = np.random.default_rng(1).random(N)
ranges = {"chance": (20, 26), "words": (22, 34), "pairs": (15, 20), "signals": (13, 18.5)}
for (name, between), score in zip(ranges.items(), (chance, *scores.values()), strict=True):
    bigram = curation.NGram(tokens[keep(score, in_language, tenth)], order=2, vocab_size=world.vocab_size)
    perplexity = math.exp(bigram.nats(clean).mean())
    what = f"{name}: perplexity on clean text of a bigram counted on the best tenth"
    measure(claim, perplexity, between=between, name=f"bigram-{name}", what=what)
# sabotage: data-refinedweb-fineweb-dclm/fluent-words: keep(scores[name], => keep(-scores[name],

# %% [markdown]
r"""
Single words tell the classifier nothing: salad has the words of good text, and the bigram counted on its choice is no
better than one counted on a random tenth. Pairs of words tell it something. The signals, which contain a judge that
has read 500 documents, tell it most: a classifier is as good as what it gets to see.

*Verdict on `data-refinedweb-fineweb-dclm`: missing in the notes. Web text alone can do, if the filter is a good one.*

## 7. Copies and leaks

How alike are two pages? Cut each into overlapping n-grams of words and compare the two sets: what they share, over
what either has. That is the **Jaccard similarity** ([Broder, 1997](../chapters/bibliography.md)).

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def ngram_jaccard(first, second, n):
    """Return the share of the different word n-grams of two pages that both have; 0 if neither has any."""
    ### BEGIN SOLUTION
    sets = []
    for page in (first, second):
        words = page.split()
        sets.append({tuple(words[i : i + n]) for i in range(len(words) - n + 1)})
    both, either = sets[0] & sets[1], sets[0] | sets[1]
    return len(both) / len(either) if either else 0.0
    ### END SOLUTION


check("ngram_jaccard", ngram_jaccard)

# %% [markdown]
r"""
Comparing all pairs of 8,000 pages would take 32 million comparisons; of a billion pages, nobody would live to see it.
**MinHash** keeps a short signature of each set: under each of many hash functions, the smallest hash of any member.
The share of equal entries in two signatures estimates their similarity.

**Exercise 5** (15 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def minhash_signature(items, multipliers, offsets):
    """Return, for each hash function (a · x + b) mod (2**31 - 1), the smallest hash of any of the items.

    All are tensors of whole numbers: `items` [items], `multipliers` (the a) and `offsets` (the b) [hashes].
    """
    ### BEGIN SOLUTION
    hashes = (multipliers[:, None] * items + offsets[:, None]) % (2**31 - 1)
    return hashes.min(dim=1).values
    ### END SOLUTION


check("minhash_signature", minhash_signature)

# %% [markdown]
r"""
**Predict.** With 64 hash functions an estimate is a mean of 64 coin throws. How far off will it be, on average, over
500 pairs of documents of every degree of similarity?
"""

# %%
claim = "data-dedup"
generator = torch.Generator().manual_seed(0)
multipliers, offsets = (torch.randint(1, 2**31 - 1, (64,), generator=generator) for _ in range(2))


def signature(text):
    """The MinHash signature of the 3-grams of a text."""
    items = [zlib.crc32(" ".join(gram).encode()) % (2**31 - 1) for gram in curation.ngrams(text.split(), 3)]
    return curation.minhash_signature(torch.tensor(items), multipliers, offsets)


truth, estimate = [], []
for i in range(500):  # two documents with a common beginning, from nothing to all
    first, second = fresh[i].split(), fresh[i + 500].split()
    pair = fresh[i], " ".join(first[: i * LENGTH // 499] + second[i * LENGTH // 499 :])
    truth.append(curation.ngram_jaccard(*pair))
    estimate.append((signature(pair[0]) == signature(pair[1])).double().mean().item())

# %%
truth, estimate = np.array(truth), np.array(estimate)
error = np.abs(truth - estimate).mean()
measure(claim, error, between=(0.02, 0.05), name="minhash-error", what="mean error of a MinHash of 64, 500 pairs")
expected = np.mean(np.sqrt(truth * (1 - truth) / 64)) * math.sqrt(2 / math.pi)
measure(claim, expected, between=(0.02, 0.05), name="minhash-expected", what="what coin throws would give")
bias = (estimate - truth).mean()
measure(claim, bias, between=(-0.01, 0.01), name="minhash-bias", what="mean of estimate minus truth", digits=1)
# sabotage: data-dedup/minhash-bias: (estimate - truth) => (estimate - 0.9 * truth)

# %% [markdown]
r"""
The library **datasketch** computes signatures faster, and its index finds the pages that may be alike without looking
at the others. Two pages are **near-duplicates** here if they share half of their 3-grams or more; the first one stays.

**Predict.** Of the copies, two thirds of which have a changed word, how many will go? And of the good pages?
"""


# %%
from datasketch import MinHash, MinHashLSH


def first_ones(signatures, among):
    """Of each group of near-duplicates among the pages marked, mark the first."""
    index, first = MinHashLSH(threshold=0.5, num_perm=64), np.zeros(len(among), bool)
    for i in np.flatnonzero(among).tolist():
        alike = any(signatures[i].jaccard(signatures[j]) >= 0.5 for j in index.query(signatures[i]))
        first[i] = not alike
        if not alike:
            index.insert(i, signatures[i])
    return first


shingles = [{" ".join(gram).encode() for gram in curation.ngrams(text.split(), 3)} for text in texts]
signatures = MinHash.bulk(shingles, num_perm=64)

# %%
unique = first_ones(signatures, in_language)
exact = len({text for text in texts if text}) / sum(map(bool, texts))
measure(claim, 1 - exact, between=(0.01, 0.1), name="exact", what="share of pages with text that are exact copies")
removed = {kind: 1 - unique[in_language & (kinds == kind)].mean() for kind in ("copy", "good", "leaked", "boilerplate")}
for kind, between in {"copy": (0.97, 1), "good": (0, 0.02), "leaked": (0.1, 0.3), "boilerplate": (0.02, 0.15)}.items():
    measure(claim, removed[kind], between=between, name=f"removed-{kind}", what=f"share of {kind} pages removed")
# sabotage: data-dedup/removed-copy: first_ones(signatures, in_language) => in_language

# %% [markdown]
r"""
Now the leaked items. The usual sign is an n-gram of 13 words that a page and the test have in common; GPT-3's authors
used it ([Brown and others, 2020](../chapters/bibliography.md)).

**Predict.** How many good pages, which have nothing to do with the test, share 13 words in a row with it?
"""

# %%
in_test = {gram for item in test_items for gram in curation.ngrams(item.split(), 13)}
grams = [set(curation.ngrams(text.split(), 13)) for text in texts]
shared = [in_test & page for page in grams]
pages_with = Counter(gram for page in shared for gram in page)
overlap = np.array([len(part) / max(1, len(page)) for part, page in zip(shared, grams, strict=True)])
leaks = {
    "one 13-gram": overlap > 0,
    "one on at most 10 pages": np.array([any(pages_with[gram] <= 10 for gram in page) for page in shared]),
    "half of its 13-grams": overlap >= 0.5,
}
# sabotage: data-dedup/false-half: overlap >= 0.5 => overlap >= 0.02

# %%
leaked = kinds == "leaked"
wrongly = {"any": (0.08, 0.3), "rare": (0.06, 0.3), "half": (0, 0.01)}
for (name, between), (what, found) in zip(wrongly.items(), leaks.items(), strict=True):
    measure(claim, found[leaked].mean(), between=(0.97, 1), name=f"leaks-{name}", what=f"leaks found by {what}")
    measure(claim, found[good].mean(), between=between, name=f"false-{name}", what=f"good pages accused by {what}")

# %% [markdown]
r"""
A surprise: about one good page in six goes as well. "question : where is ganymede ? answer : it is a moon of jupiter
." is 14 words, and many pages say it. GPT-3's authors met such false alarms too, and ignored n-grams that more than
ten documents share. Here that helps little: our crawl is small, so that few phrases occur that often. Asking for half
of the page's 13-grams finds every leak and spares every good page.

Does a leak matter? A model that counts, trained on the good pages with and without the leaked ones, is tested on the
items that leaked and on items that did not.

**Predict.** On which of the four combinations does it do best?
"""

# %%
item_tokens = np.stack([world.encode(item) for item in test_items])
leaked_texts = {texts[i] for i in np.flatnonzero(leaked)}
was_leaked = np.array([curation.clean_page(item.replace(" . ", " .\n"), 4, 1) in leaked_texts for item in test_items])
print(was_leaked.sum(), "of", len(test_items), "items leaked")
for name, kept, low, high in (("without", good, 2.8, 3.4), ("with", good | leaked, 0.5, 1.2)):
    counts = curation.NGram(tokens[kept], order=5, vocab_size=world.vocab_size).nats(item_tokens).mean(1)
    what = f"nats a word {name} the leaked pages"
    measure(claim, counts[was_leaked].mean(), between=(low, high), name=f"{name}-old", what=f"{what}, leaked items")
    measure(claim, counts[~was_leaked].mean(), between=(2.8, 3.4), name=f"{name}-new", what=f"{what}, other items")

# %% [markdown]
r"""
Only where the items were seen does the loss fall, and it falls far: a benchmark that leaked measures memory. Large
models that were trained on deduplicated text repeat their training text about ten times less often ([Lee and others,
2022](../chapters/bibliography.md)).

*Verdict on `data-dedup`: missing in the notes; copies and leaks are common, cheap to find, and distort what is
measured.*

## 8. The funnel

Now all stages in a row. Each page leaves at the first stage that it fails.

**Predict.** Which stage removes most? And if the order of the stages changes, does your answer?
"""

# %%
not_leaked = overlap < 0.5
cut = np.sort(surprise[varied & unique & not_leaked])[round(0.03 * N) - 1]  # leaves 3% of the crawl
stages = {
    "length": words >= 20,
    "language": known >= 0.9,
    "repetition": repetition < 0.4,
    "duplicates": None,  # depends on what is left
    "test items": not_leaked,
    "quality": surprise <= cut,
}


# %%
def funnel(order):
    """The pages left after each stage of a pipeline."""
    left, alive = {}, np.ones(N, bool)
    for stage in order:
        alive = first_ones(signatures, alive) if stage == "duplicates" else alive & stages[stage]
        left[stage] = alive
    return left


# %%
usual = funnel(["length", "language", "repetition", "duplicates", "test items", "quality"])
for stage, alive in usual.items():
    left = Counter(kinds[alive].tolist())
    print(f"{stage:11}{alive.sum():5}", " ".join(f"{kind} {left[kind]}" for kind in corpora.KINDS if left[kind]))
final = usual["quality"]
claim = "data-intro-missing"
measure(claim, 100 * final.mean(), between=(2.5, 3.3), name="left", what="share of the crawl that is left", unit="%")
measure(claim, good[final].mean(), between=(0.55, 0.85), name="precision", what="precision at the end")
measure(claim, good[final].sum() / good.sum(), between=(0.55, 0.85), name="recall", what="recall at the end")
# sabotage: data-intro-missing/left: usual["quality"] => usual["language"]

# %% [markdown]
r"""
*Verdict on `data-intro-missing`: the section needs an introduction, and this funnel is one: collect, extract, identify
the language, filter, deduplicate, decontaminate, mix, and write down what was done.*

### Who is to blame?

The notes put the small share that survives down to filtering for quality. Count what each stage removes, in two
orders.
"""

# %%
claim = "pretrain-filter-causes-loss"
other = funnel(["quality", "duplicates", "test items", "repetition", "language", "length"])
early = funnel(["duplicates", "length", "language", "repetition", "test items", "quality"])
for name, run in (("last", usual), ("first", other)):
    before = [N, *(alive.sum() for alive in run.values())]
    removed = {stage: n - alive.sum() for (stage, alive), n in zip(run.items(), before, strict=False)}
    blame = 100 * removed["quality"] / (N - before[-1])
    between = (28, 50) if name == "last" else (75, 95)
    measure(
        claim, blame, between=between, name=f"quality-{name}", what=f"blame on quality if it comes {name}", unit="%"
    )
# sabotage: pretrain-filter-causes-loss/quality-last: 100 * removed["quality"] => 100 * removed["repetition"]
same = (final & other["length"]).sum() / (final | other["length"]).sum()
measure(claim, same, between=(0.9, 1), name="same", what="survivors of both orders, over those of either")

# %%
late = 100 * (usual["repetition"].sum() - usual["duplicates"].sum()) / (N - final.sum())
soon = 100 * (N - early["duplicates"].sum()) / (N - early["quality"].sum())
measure(claim, late, between=(2, 7), name="duplicates-fourth", what="blame on duplicates if fourth", unit="%")
measure(claim, soon, between=(20, 40), name="duplicates-first", what="blame on duplicates if first", unit="%")

# %% [markdown]
r"""
The survivors are the same, the blame is not: it falls on whoever comes first. "Quality filtering leaves 3%" is a
statement about an order. In RefinedWeb nearly 90% of the documents go, in all stages together ([Penedo and others,
2023](../chapters/bibliography.md)).

*Verdict on `pretrain-filter-causes-loss`: imprecise.*

### Is it one to three percent?

The notes give a range for what survives. Published pipelines, each by what its authors count:

| corpus | before | after |
| --- | --- | --- |
| GPT-3's crawl (2020) | 45 TB, compressed text | 570 GB |
| DCLM-Baseline (2024) | 240 T tokens of extracted text | 3.8 T tokens |
| C4 (2020) | about 20 TB a month of extracted text | about 750 GB |
| RefinedWeb (2023) | documents crawled | about 10% of them |
| FineWeb-Edu (2024) | 15 T tokens, filtered before | 1.3 T tokens |
"""

# %%
claim = "pretrain-one-to-three-percent"
published = {"GPT-3": (0.570, 45), "DCLM": (3.8, 240), "C4": (0.750, 20), "RefinedWeb": (10, 100)}
published |= {"FineWeb-Edu": (1.3, 15)}
kept = {name: round(100 * after / before, 1) for name, (after, before) in published.items()}
for (name, value), exact in zip(kept.items(), (1.3, 1.6, 3.8, 10, 8.7), strict=True):
    measure(claim, value, between=(exact, exact), name=name.lower(), what=f"{name}: share that is left", unit="%")
inside = sum(1 <= share <= 3 for share in kept.values())
measure(claim, inside, between=(2, 2), name="inside", what="of these five, between 1 and 3 percent")
# sabotage: pretrain-one-to-three-percent/inside: 1 <= share <= 3 => 1 <= share <= 10

# %%
limits = {"strict": (7.5, (0.4, 2)), "middle": (8.5, (1.8, 5)), "loose": (12, (17, 30)), "off": (math.inf, (35, 46))}
for name, (limit, between) in limits.items():
    left = 100 * (usual["test items"] & (surprise <= limit)).mean()
    measure(claim, left, between=between, name=name, what=f"our funnel, threshold {limit}: left", unit="%")

# %% [markdown]
r"""
Two of five. The unit before the slash differs each time (compressed text, tokens, documents, text that was filtered
before), and a threshold moves the share from two percent to forty.

*Verdict on `pretrain-one-to-three-percent`: imprecise; true of two well-known corpora, no constant.*

## 9. What it is worth

A filter is good if models trained on what it keeps are good. Five training sets from the same crawl, the same small
decoder (one layer, 70,000 parameters), the same number of steps. The judge is the exact law of the language: **KL
divergence**, the nats per word that a model loses to it.

**Predict.** Order the five: everything in the language; the 3% of lowest perplexity; rule and surprise; the whole
funnel; the good pages themselves.
"""

# %%
from labutils.models import Config, Decoder
from labutils.objectives import bits_per_byte, causal_loss
from labutils.runtime import device, dtype, profile, seed
from labutils.training import metered, train

STEPS, BATCH = 150, 16
probe = world.sample(300, LENGTH, seed=5).tokens


def shuffled(n):
    """The rows of each step's batch: all n in random order, again and again if they are few."""
    generator = torch.Generator().manual_seed(1)
    rounds = [torch.randperm(n, generator=generator) for _ in range(STEPS * BATCH // n + 1)]
    return torch.cat(rounds)[: STEPS * BATCH].reshape(STEPS, BATCH)


# %%
def divergence(rows, present):
    """Train a small decoder on the rows and return its KL from the true law, in nats per word."""
    rows = torch.from_numpy(np.pad(rows, ((0, 0), (1, 0))))  # <bos> is token 0
    present = torch.from_numpy(np.pad(present, ((0, 0), (1, 0)), constant_values=True))
    order = shuffled(len(rows))
    seed(0)
    model = Decoder(Config(vocab_size=world.vocab_size, n_layers=1)).to(device())

    def batch(step):
        return rows[order[step]], present[order[step]]

    train(model, batch, lambda model, batch: causal_loss(model(batch[0]), *batch), steps=STEPS, lr=6e-3)
    with torch.no_grad():
        logits = model(torch.from_numpy(probe).to(device())).cpu()
    return world.divergence(probe, logits.numpy()).mean()


# %%
claim = "pretrain-quality-filter"
selections = {
    "everything": (in_language, (1, 1.9)),
    "perplexity": (by_perplexity, (0.9, 1.8)),
    "surprise": (keep(surprise, varied), (0.4, 0.8)),
    "funnel": (final, (0.4, 1)),
    "good": (good & in_language, (0.3, 0.6)),
}
lost = {}
for name, (kept, between) in selections.items():
    lost[name] = divergence(tokens[kept], real[kept])
    what = f"KL after training on {name} ({kept.sum()} pages)"
    measure(claim, lost[name], between=between, name=f"kl-{name}", what=what, unit="nats")
gain = lost["perplexity"] / lost["surprise"]

# %%
measure(claim, gain, between=(1.9, 3.2), name="kl-gain", what="perplexity's KL over that of rule and surprise")
idle = lost["perplexity"] / lost["everything"]
measure(claim, idle, between=(0.5, 1.2), name="kl-idle", what="perplexity's KL over that of everything")
ratio = lost["funnel"] / lost["surprise"]
what = "the funnel's KL over that of rule and surprise"
measure(claim, ratio, between=(0.75, 1.3), name="kl-funnel-ratio", what=what)

# %% [markdown]
r"""
Perplexity alone is a little better than no filter; how much depends on the seed. A rule and a better score more than
halve what the model loses, and come near the good pages themselves.

And a surprise: the funnel has a far higher precision than rule and surprise (it has thrown out copies and leaks), yet
the two models hardly differ. Copies and leaked items are good text. They do not spoil this model; they spoil what you
believe about it.

*The verdict on `pretrain-quality-filter` stands: filtering is worth much, and how it is done decides.*

## 10. Reading the same again

The good pages were few, so the last model read each of them about nine times (2,400 pages in all). Sources that are
thought good are often read more than once. What is that worth, against as many fresh pages?

**Predict.** The same steps on 2,400 pages once, on 600 four times, on 150 sixteen times, on 38 sixty-four times: where
does it begin to hurt?
"""

# %%
claim = "data-wikipedia-books"
many = world.sample(STEPS * BATCH, LENGTH, seed=9).tokens[:, 1:]
again = {}
for n_epochs, between in {1: (0.35, 0.6), 4: (0.3, 0.55), 16: (0.33, 0.75), 64: (0.9, 3)}.items():
    rows = many[: -(-len(many) // n_epochs)]
    again[n_epochs] = divergence(rows, np.ones(rows.shape, bool))
    what = f"KL after {len(rows)} pages, {n_epochs} epochs"
    measure(claim, again[n_epochs], between=between, name=f"epochs-{n_epochs}", what=what, unit="nats")
harm = again[4] / again[1]
measure(claim, harm, between=(0.7, 1.2), name="four", what="KL of four epochs over that of one", unit="times")
# sabotage: data-wikipedia-books/epochs-16: // n_epochs => // n_epochs**2

# %%
# alt: KL against epochs on a logarithmic axis. Nearly flat from 1 to 16, far up at 64.
ax = plotting.curves(
    list(again), {"KL to the law": list(again.values())}, xlabel="epochs", ylabel="nats per word", log_x=True
)

# %% [markdown]
r"""
Four epochs cost nothing that shows here, and sixteen little; at sixty-four the harm is plain.
Experiments with large models found that up to four epochs are almost as good as fresh text ([Muennighoff and others,
2023](../chapters/bibliography.md)).

*Verdict on `data-wikipedia-books`: missing in the notes. Small sources of high quality are read more than once; LLaMA
read Wikipedia and books more than twice. As to the law: BookCorpus was collected without asking its authors, and a
look back found thousands of duplicates in it ([Bandy and Vincent, 2021](../chapters/bibliography.md)).*

## 11. Real text

Last, the documentation of Python again. Its unit is **bits per byte**: what a compressor would need for a byte of the
test text. It does not depend on the tokenizer, so a model can be compared with gzip.

Three kinds of rivals. gzip and xz see the test text alone, or after the training text. A model that **counts** knows
how often each byte followed the four before it. The **decoder** has 120,000 parameters and seconds to train.

**Predict.** Order them.
"""

# %%
import gzip
import lzma

claim = "pretrain-gigabytes-to-petabytes"


def bits(compress, before=""):
    """Bits that a compressor needs for a byte of the test text, after having seen the text before."""
    return 8 * (len(compress((before + test).encode())) - len(compress(before.encode()))) / n_bytes


for name, compress, between in (("gzip", gzip.compress, (2.6, 3.3)), ("xz", lzma.compress, (2.4, 3.1))):
    measure(
        claim, bits(compress), between=between, name=name, what=f"{name}, the test text alone", unit="bits per byte"
    )
after = bits(lzma.compress, learn)
measure(claim, after, between=(1.6, 2.2), name="xz-after", what="xz, after the training text", unit="bits per byte")
as_bytes = [np.frombuffer(text.encode(), np.uint8).astype(int)[None] for text in (learn, test)]
by_bytes = curation.NGram(as_bytes[0], 5, 256).nats(as_bytes[1]).mean() / math.log(2)
measure(claim, by_bytes, between=(1.8, 2.4), name="bytes", what="counts of 5 bytes", unit="bits per byte")

# %%
CONTEXT, BATCH_SIZE = 64, 8
steps = {"cpu": 600, "gpu": 6000}[profile()]
by_tokens = curation.NGram(stream[None].numpy(), 3, tokenizer.vocab_size).nats(held_out[None].numpy()).mean()
by_tokens = bits_per_byte(by_tokens, n_tokens=len(held_out), n_bytes=n_bytes)
measure(claim, by_tokens, between=(1.6, 2.2), name="tokens", what="counts of 3 tokens", unit="bits per byte")


def windows(step):
    """Pieces of the training text, from anywhere."""
    generator = torch.Generator().manual_seed(step)
    starts = torch.randint(len(stream) - CONTEXT, (BATCH_SIZE, 1), generator=generator)
    return stream[starts + torch.arange(CONTEXT)]


# %%
seed(0)
decoder = Decoder(Config(vocab_size=tokenizer.vocab_size, n_layers=1, max_len=CONTEXT)).to(device())
with metered(claim, tokens=steps * BATCH_SIZE * CONTEXT):
    losses = train(decoder, windows, lambda model, batch: causal_loss(model(batch), batch), steps=steps, lr=1e-2)
pieces = held_out.unfold(0, CONTEXT, CONTEXT - 1).to(device())
with torch.no_grad():
    loss = causal_loss(decoder(pieces), pieces).item()
by_decoder = bits_per_byte(loss, n_tokens=len(held_out), n_bytes=n_bytes)
between = {"cpu": (2.45, 2.85), "gpu": (1.7, 2.7)}[profile()]
measure(claim, by_decoder, between=between, name="decoder", what="the decoder", unit="bits per byte")
gain = bits(gzip.compress) - by_decoder
measure(claim, gain, between=(-0.3, 0.7), name="gain", what="what it saves over gzip", unit="bits per byte")
epochs = steps * BATCH_SIZE * CONTEXT / len(stream)
measure(claim, epochs, between=(0.3, 10), name="epochs", what="epochs of the training text that it read")
# sabotage: pretrain-gigabytes-to-petabytes/decoder: CONTEXT - 1) => CONTEXT - 1).flip(1)

# %%
# alt: Bars of bits per byte. gzip 3.0, xz 2.8, decoder 2.7, after training text: bytes 2.1, xz and tokens 1.9.
names = ["gzip, alone", "xz, alone", "xz, after", "counts of 5 bytes", "counts of 3 tokens", "decoder"]
results = [bits(gzip.compress), bits(lzma.compress), after, by_bytes, by_tokens, by_decoder]
ax = plotting.bars({"test text": results}, names, unit="bits per byte")

# %% [markdown]
r"""
The decoder beats gzip on the test text alone and is close to xz, and it loses to everything that saw what it saw. In
seconds of training, counting learns faster. (The lead over gzip depends on which texts are held out: with two of five
seeds there was next to none. That counting wins did not depend on it.)

Where there is a GPU, a deeper and wider decoder reads the text three times, in half precision.
"""

# %%
if profile() == "gpu":
    seed(0)
    size = Config(vocab_size=tokenizer.vocab_size, d_model=128, n_layers=4, max_len=CONTEXT)
    big, rounds = Decoder(size).to(device()), 3 * len(stream) // (8 * BATCH_SIZE * CONTEXT)

    def more(step):
        return torch.cat([windows(8 * step + i) for i in range(8)])

    with metered(claim, tokens=rounds * 8 * BATCH_SIZE * CONTEXT, name="gpu-big"):
        train(big, more, lambda m, b: causal_loss(m(b), b), steps=rounds, lr=4e-3, precision=dtype())
    with torch.no_grad():
        loss = causal_loss(big(pieces), pieces).item()
    by_big = bits_per_byte(loss, n_tokens=len(held_out), n_bytes=n_bytes)
    measure(claim, by_big, between=(0, 2.85), name="decoder-big", what="the bigger decoder", unit="bits per byte")
else:
    print("In the gpu profile this cell trains a decoder of four layers on three epochs of the text.")

# %% [markdown]
r"""
With minutes the order turns round. The course's repository has a script for that, `python benchmarks/documentation.py`:
a decoder of 0.66 million parameters, 2,000 steps, 2,048 tokens. This is what it printed once, under Python 3.11 on one
core. No cell of this notebook checks it:

```text
xz, the test text alone  2.758 bits per byte
xz, after the other text 1.919
counts of 5 bytes        2.088
counts of 3 tokens       1.848
decoder                  1.781
658,944 parameters, 2000 steps, 5.7 epochs, 146 s
```

## With a real model

In the `gpu` profile, or when you ask for them, the next cells use two models. GPT-2 (`openai-community/gpt2`: 124
million parameters, 549 MB, licence MIT) scores a few lines of English: by the mean and by the three most surprising
tokens. MiniLM (`sentence-transformers/all-MiniLM-L6-v2`: 23 million parameters, 91 MB, licence Apache-2.0) looks for
copies that share no words.

**Predict.** Which line will have the lowest mean, and which the lowest "worst three"?
"""

# %%
from labutils import hub

lines = {
    "good": "The council met on Tuesday to discuss the new bridge, which will open in the spring.",
    "boilerplate": "Click here to read more. " * 4,
    "salad": "bridge the Tuesday will new which council met spring the in open to discuss on",
    "careless": "The council met on Tuesday to banana the new bridge, which will open in the quickly.",
}


def scored(model, text):
    """The mean surprisal of the tokens after the first, and that of the worst three."""
    with torch.no_grad():
        logits = model(text).logits[0, :-1].float()
    nats = torch.nn.functional.cross_entropy(logits, text[0, 1:], reduction="none")
    return [curation.surprise_score(nats, torch.ones_like(nats, dtype=torch.bool), k).item() for k in (len(nats), 3)]


# %%
if loaded := hub.offer("decoder"):
    gpt2, gpt2_tokenizer = loaded
    for name, line in lines.items():
        text = torch.tensor([gpt2_tokenizer.encode(line)], device=device())
        print(name, "mean {:.2f}, worst three {:.2f}".format(*scored(gpt2, text)))

# %% [markdown]
r"""
Shared word 3-grams find a copy. They do not find the same thing said in other words; the cosine of two sentence vectors
may ([Reimers and Gurevych, 2019](../chapters/bibliography.md)).
"""

# %%
original = "The council met on Tuesday to discuss the new bridge."
others = {
    "one word changed": "The council met on Monday to discuss the new bridge.",
    "other words": "On Tuesday the town's leaders talked about the bridge that is being built.",
    "other subject": "The recipe asks for two eggs and a cup of flour.",
}
if loaded := hub.offer("embedding"):
    first = hub.embed(*loaded, [original])
    for name, line in others.items():
        cosine = torch.nn.functional.cosine_similarity(first, hub.embed(*loaded, [line])).item()
        print(f"{name}: Jaccard {curation.ngram_jaccard(original, line):.2f}, cosine {cosine:.2f}")

# %% [markdown]
r"""
## What you have shown

- Models read gigabytes to tens of terabytes; petabytes are archives.
- Sources are mixed by choice. Small good ones are read often; four epochs cost nothing that you could measure.
- A language model alone, as a judge, prefers boilerplate. A rule and the most surprising words find the good pages, and
  a model trained on those loses about half as much.
- A blocklist drops what is about a subject, not what does harm.
- Copies and leaks can be found. A leak makes a test worthless and leaves the model as it is.
- "One to three percent" holds for two of five pipelines, and which stage is to blame depends on their order.
- In seconds of training, counting beats a decoder on real text. (In minutes, the decoder beats counting.)

## Where to go next

[Chapter 2](../chapters/02_pretraining.md) puts the text to use: lab 04 trains a decoder until it comes near the floor.
Here, change the 3% to 1%, or the judge's 500 trusted pages to 50, and see which range refuses.
"""
