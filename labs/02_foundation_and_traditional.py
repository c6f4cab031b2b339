# %% [markdown]
r"""
# Lab 02: Foundation and traditional models

A **traditional** model learns one task from labelled examples. A **foundation model** first reads a great deal of text
without any labels, and is then adapted to one task after another. Which of them is better, and when? Everything is
known here: the texts come from a small synthetic language, so every label is exact and so is the best possible score.

**What you will measure.** Accuracy against the number of labels, from 10 to 1000: logistic regression and a linear SVM
on counted words against two pretrained models. Loss against size and data, down to the exact floor. An ability that
appears suddenly in one metric and gradually in another. A language model without attention. A small model that beats a
bigger one on its task. What a model that can write is good for besides writing.

**What you need.** Python, a little PyTorch, and what a probability is. The chapter on [LLMs](../chapters/01_llms.md)
gives the terms. What is inside a Transformer does not matter yet.

**Time.** Reading and exercises: about two hours. The cells run in under a minute on two cores; on a T4 a bigger grid of
models is trained, and BERT and GPT-2 join the comparison.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on generative AI and machine learning,
on foundation models against traditional ones, and on the size, the abilities and the architecture of large language
models.
"""

# %% setup

# %%
import copy
import time
from dataclasses import replace

import numpy as np
import torch
from scipy import stats
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import nn
from torch.nn import functional as F

# %%
from labutils import hub, plotting, prompting
from labutils.checks import check
from labutils.curation import NGram
from labutils.evidence import measure
from labutils.models import Config, Decoder, Encoder
from labutils.objectives import causal_loss
from labutils.runtime import device, dtype, profile
from labutils.training import metered, train
from labutils.weights import about, load_world_decoder, load_world_encoder
from labutils.world import BOS, ENGLISH, RULES, World

# %% [markdown]
r"""
## 1. One text, three questions

The report that coined the word calls a foundation model "any model that is trained on broad data (generally using
self-supervision at scale) that can be adapted (e.g., fine-tuned) to a wide range of downstream tasks"
([Bommasani and others, 2021](../chapters/bibliography.md)). The notes say it with other words, and leave out that the
many purposes come by adaptation (`foundation-definition`). Their examples, GPT and BERT against linear regression and
the support vector machine, agree with the report (`foundation-examples`).

Ours are small: an encoder, which reads as BERT does, and a decoder, which writes as GPT does. Each has read 12 million
words of the language, without labels.

The texts are 16 words long. Each breaks off before a verb, and a phrase such as *near the owls* stands between the verb
and its subject. We ask of each text:

- **topic**: which of the six topics is it about?
- **number**: must the verb be in the plural?
- **colour**: does it name a colour (red, green or brown)?
"""

# %%
world = World()
encoder, decoder = load_world_encoder().to(device()), load_world_decoder().to(device())
sample = world.sample(60_000, 16, seed=1)
state, last_words = world.states(sample.tokens)[:, -1], sample.tokens[:, -4:-2]
waits = np.array([name.startswith("<verb.") for name in world.state_names])  # a verb must come
is_many = np.array([".many" in name.split()[0] for name in world.state_names])
chosen = waits[state] & np.isin(last_words, world.tokens_of("PREPOSITION")).any(1)
texts = sample.tokens[chosen]
answers = {"topic": sample.topics[chosen], "number": is_many[state[chosen]]}
answers["colour"] = np.isin(texts, world.encode("red green brown")).any(1)
for i in range(3):
    facts = world.topics[answers["topic"][i]], *(bool(answers[task][i]) for task in ("number", "colour"))
    print(*facts, "|", world.decode(texts[i, 1:]))
# sabotage: foundation-vs-traditional/number-encoder-30: is_many[state[chosen]] => is_many[state[chosen]][::-1]

# %% [markdown]
r"""
The first 1000 texts are the test. Labelled examples are drawn from the others.

A traditional model needs numbers. The simplest are a **bag of words**: how often each word of the vocabulary occurs in
the text. Real batches hold texts of unequal length, filled up with **padding**, which is not a word.

**Exercise 1** (8 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def bag_of_words(tokens, vocab_size, padding):
    """Return how often each token of the vocabulary occurs in each text: whole numbers [..., vocab_size].

    `tokens` has the shape [..., seq]. The token `padding` fills up short texts: its count is 0.
    """
    ### BEGIN SOLUTION
    counts = torch.zeros(*tokens.shape[:-1], vocab_size, dtype=torch.long)
    return counts.scatter_add(-1, tokens, (tokens != padding).long())
    ### END SOLUTION


check("bag_of_words", bag_of_words)

# %% [markdown]
r"""
From the pretrained models we take what they compute anyway: a vector for each word, from the last layer. Each text
gets the mean of its words' vectors and the vector of its last word. The model stays as it is; it is **frozen**. A third
network has the same shape and *random* weights: it shows what pretraining adds.
"""


# %%
def bag(tokens):
    """Counts of words: [texts, vocab]. <bos>, which begins each text and fills up short ones, does not count."""
    counts = np.stack([np.bincount(row, minlength=world.vocab_size) for row in tokens]).astype(float)
    counts[:, BOS] = 0
    return counts


@torch.no_grad()
def vectors(model, tokens):
    """The mean of the words' vectors and the last vector of a frozen model: [texts, 2 * d_model]."""
    hidden = model.hidden(torch.from_numpy(tokens).to(device())).cpu()
    return torch.cat([hidden[:, 1:].mean(1), hidden[:, -1]], dim=1).numpy()


# %%
torch.manual_seed(0)
untrained = Encoder(encoder.config).to(device()).eval()
networks = {"encoder": encoder, "decoder": decoder, "random": untrained}
features = {"bag": bag(texts), **{name: vectors(model, texts) for name, model in networks.items()}}
N_TEST, DRAWS, SIZES = 1000, 5, (10, 30, 100, 300, 1000)
on_vectors = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
WAYS = {
    "bag, logistic": ("bag", LogisticRegression(max_iter=500)),
    "bag, SVM": ("bag", LinearSVC(random_state=0)),
    **{name: (name, on_vectors) for name in networks},
}
print({name: x.shape for name, x in features.items()})


# %%
def drawn(n, draw, total):
    """The numbers of n texts to be labelled, out of `total`; never a test text."""
    return N_TEST + np.random.default_rng(draw).permutation(total - N_TEST)[:n]


def accuracies(way, labels, n):
    """Accuracy on the test texts after training on n labels, for each draw of the labelled texts."""
    kind, model = WAYS[way]
    x, picks = features[kind], [drawn(n, draw, len(labels)) for draw in range(DRAWS)]
    return [model.fit(x[pick], labels[pick]).score(x[:N_TEST], labels[:N_TEST]) for pick in picks]


# %% [markdown]
r"""
**Predict.** For each of the three questions: which model is ahead with 30 labels, and which with 1000? Five models
compete: two on counted words, and logistic regression on the vectors of three networks.
"""

# %%
found = {
    task: {way: np.array([accuracies(way, labels, n) for n in SIZES]) for way in WAYS}
    for task, labels in answers.items()
}

# %%
claim = "foundation-vs-traditional"
best = (world.topic_posterior(texts)[:N_TEST, -1].argmax(-1) == answers["topic"][:N_TEST]).mean()
measure(
    claim, best, between=(0.92, 0.97), name="topic-best", what="topic: the best possible accuracy, by the exact law"
)


def compare(task, n, ranges):
    """Measure the accuracy of three ways: the encoder, counted words (the better of two), the random network."""
    mean = {way: accuracy[SIZES.index(n)].mean() for way, accuracy in found[task].items()}
    mean["bag"] = max(mean["bag, logistic"], mean["bag, SVM"])
    for name, between in zip(("encoder", "bag", "random"), ranges, strict=True):
        measure(claim, mean[name], between=between, name=f"{task}-{name}-{n}", what=f"{task}, {n} labels: {name}")


# %%
compare("topic", 30, [(0.8, 0.94), (0.5, 0.72), (0.3, 0.5)])
compare("topic", 1000, [(0.9, 0.96), (0.9, 0.96), (0.7, 0.88)])
compare("number", 30, [(0.95, 1), (0.53, 0.67), (0.5, 0.63)])
compare("number", 1000, [(0.99, 1), (0.65, 0.77), (0.58, 0.74)])
compare("colour", 30, [(0.55, 0.7), (0.7, 0.86), (0.55, 0.7)])
compare("colour", 1000, [(0.78, 0.9), (0.99, 1), (0.84, 0.95)])


# %%
def draw_curves(task):
    """Accuracy against labels, with the band of each way."""
    means = {way: accuracy.mean(1) for way, accuracy in found[task].items()}
    ax = plotting.curves(SIZES, means, xlabel="labelled texts", ylabel=f"accuracy, {task}", log_x=True)
    t = stats.t.ppf(0.975, DRAWS - 1)
    for i, (way, mean) in enumerate(means.items()):
        half = t * found[task][way].std(1, ddof=1) / np.sqrt(DRAWS)
        ax.fill_between(SIZES, mean - half, mean + half, color=plotting.COLOURS[i], alpha=0.2, linewidth=0)
    return ax


# %% [markdown]
r"""
The bands are 95% intervals of the mean over 5 draws of the labelled texts, by Student's t. They say how far the draw of
the labels may move a line. The test texts are the same for all.
"""

# %%
# alt: Topic. Encoder and decoder rise early and reach 0.93; counted words start low and catch up at 1000 labels.
ax = draw_curves("topic")

# %%
# alt: Number. Encoder and decoder are at 1 from 30 labels on; all others crawl from 0.57 to about 0.7.
ax = draw_curves("number")

# %%
# alt: Colour. Counted words rise to 1; the encoder, the decoder and the random network stay below 0.9.
ax = draw_curves("colour")

# %% [markdown]
r"""
Three questions, three answers.

- **Topic.** Pretraining is worth labels: the encoder knows with 30 what counting words learns from hundreds. With 1000
  labels nothing is left of the lead.
- **Number.** The bag has thrown away the order of the words, so it cannot tell the subject from the noun in the phrase.
  A thousand labels do not mend that. The networks' vectors hold the answer ready.
- **Colour.** Counting words wins, at every size from 30 labels on. A linear model on counts only has to find three
  columns. The pretrained vectors are made to predict words, and are no better here than those of a *random* network.

Before you blame the traditional side for number: somebody who knows grammar needs neither labels nor pretraining.
"""

# %%
preposition = np.isin(texts, world.tokens_of("PREPOSITION"))
place = texts.shape[1] - 1 - preposition[:, ::-1].argmax(1)  # the last preposition: its noun phrase ends the text
plural = np.concatenate([world.tokens_of(f"{kind}.many") for kind in ("BEING", "THING")])
rule = np.isin(texts[np.arange(len(texts)), place - 1], plural)
right = (rule == answers["number"]).mean()
measure(claim, right, between=(1, 1), name="number-rule", what="number, no labels: look at the word before 'near'")
# sabotage: foundation-vs-traditional/number-rule: place - 1] => place + 1]

# %% [markdown]
r"""
The encoder got (nearly) every test text right on number. Is it perfect? 1000 texts are a sample. Suppose `hits` of `n`
were right. A true accuracy $p$ would be refused by a test if $\hat p = \text{hits}/n$ lies more than
$z \sqrt{p(1-p)/n}$ away from it. The values of $p$ that are *not* refused form **Wilson's interval**; $z = 1.96$ makes
it a 95% interval. Solve the quadratic equation for its two ends:

$$\frac{\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4n^2}}}{1 + \frac{z^2}{n}}$$

**Exercise 2** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def wilson_interval(hits, n, z):
    """Return [low, high]: the accuracies that `hits` right answers out of `n` do not refuse, at z standard errors."""
    ### BEGIN SOLUTION
    share = hits / n
    centre = share + z**2 / (2 * n)
    half = z * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return [(centre - half) / (1 + z**2 / n), (centre + half) / (1 + z**2 / n)]
    ### END SOLUTION


check("wilson_interval", wilson_interval)

# %%
for hits, low in ((1000, 0.9961732), (10, 0.7224672)):
    between = (low - 1e-6, low + 1e-6)
    what = f"{hits} of {hits} right: the true accuracy is at least"
    measure(
        claim, prompting.wilson_interval(hits, hits)[0], between=between, name=f"wilson-{hits}", what=what, digits=4
    )

# %% [markdown]
r"""
Ten right out of ten is compatible with a model that errs once in four. Keep this in mind where somebody reports a
benchmark of 100 questions to a tenth of a percent.

## 2. Fine-tuning

So far the networks were frozen. **Fine-tuning** trains all of their weights on the labelled texts. It is compared with
the same training from random weights.

**Predict.** With 100 labels: what does pretraining add on topic and number? And with 1000 labels, can fine-tuning save
the encoder on colour?
"""


# %%
def fine_tuned(model, labels, n, steps, seed=0):
    """Accuracy on the test texts after all weights of a copy were trained on n labels."""
    torch.manual_seed(seed)
    head = nn.Linear(2 * model.config.d_model, int(labels.max()) + 1)
    net = nn.ModuleDict({"body": copy.deepcopy(model), "head": head}).to(device())
    tokens, truth = (torch.from_numpy(x).to(device()) for x in (texts, labels.astype(int)))
    picks = torch.from_numpy(np.random.default_rng(seed).choice(drawn(n, seed, len(texts)), (steps, 16)))

    def scores(rows):
        hidden = net["body"].hidden(tokens[rows])
        return net["head"](torch.cat([hidden[:, 1:].mean(1), hidden[:, -1]], 1))

    train(net, lambda i: picks[i], lambda _, i: F.cross_entropy(scores(i), truth[i]), steps=steps, lr=3e-3)
    with torch.no_grad():
        return (scores(torch.arange(N_TEST)).argmax(-1) == truth[:N_TEST]).float().mean()


# %%
claim = "foundation-vs-traditional"
for task, allowed in {"topic": ((0.88, 0.96), (0.55, 0.82)), "number": ((0.98, 1), (0.42, 0.7))}.items():
    for name, body, between in zip(("encoder", "random"), (encoder, untrained), allowed, strict=True):
        score, what = fine_tuned(body, answers[task], 100, 40), f"{task}, 100 labels, all weights trained from {name}"
        measure(claim, score, between=between, name=f"{task}-tuned-{name}", what=what)
score = fine_tuned(encoder, answers["colour"], 1000, 80)
measure(claim, score, between=(0.97, 1), name="colour-tuned", what="colour, 1000 labels, all weights trained")
# sabotage: foundation-vs-traditional/topic-tuned-encoder: (encoder, untrained) => (untrained, encoder)
# sabotage: foundation-vs-traditional/colour-tuned: answers["colour"] => answers["number"][::-1]

# %% [markdown]
r"""
On topic and number, pretrained weights win clearly: the same network from random weights learns far less from 100
labels. And with 1000 labels, fine-tuning finds the colour that a linear model could not read from the frozen vectors.

## 3. Two hundred reviews

Now the notes' own example, the sentiment of reviews. We let the language talk of little else: the same words and rules,
but nine sentences in ten are reviews. Imagine the desk of a shop.
"""

# %%
rules = RULES.replace("91% <clause>", "4% <clause>").replace("3% classify", "90% classify")
desk = World(replace(ENGLISH, rules=rules))
letters = desk.sample(4000, 24, seed=3).tokens
begin, mark, good = world.encode("classify ! positive")
end = (letters == mark).argmax(1)  # the mark after the first review
whole = (letters[:, 1] == begin) & (end > 0) & (end < 22)
letters, end = letters[whole], end[whole]
positive = letters[np.arange(len(letters)), end + 3] == good
reviews = np.where(np.arange(25) < end[:, None], letters, BOS)  # the label and all after it are hidden
distinct, kind = np.unique(reviews, axis=0, return_inverse=True)
print("the same words:", desk.vocab == world.vocab)
print(len(reviews), "reviews,", len(distinct), "of them different, such as:")
print(world.decode(letters[1, 1 : end[1] + 4]))

# %% [markdown]
r"""
The traditional side gets its usual best: a linear SVM on **TF-IDF**, counts of words weighed down for words that most
texts have. The other side gets the decoder's vectors, since lab 05 finds the decoder ahead of the encoder on this task.

The same reviews come again and again. So there are two tests: on any other reviews, and on reviews whose *text* never
occurs among those with labels.

**Predict.** 200 labels: who wins the first test? Who wins the second?
"""


# %%
@torch.no_grad()
def review_vectors(model):
    """The mean of the vectors of a review's own words, and the vector of its last word."""
    hidden = model.hidden(torch.from_numpy(distinct).to(device())).cpu().numpy()
    own = (np.arange(25) > 4) & (distinct != BOS)  # after "classify this review :"
    mean = (hidden * own[..., None]).sum(1) / own.sum(1, keepdims=True)
    last = hidden[np.arange(len(hidden)), (distinct != BOS).sum(1)]
    return np.concatenate([mean, last], axis=1)[kind]


sides = {
    "svm": (bag(reviews), make_pipeline(TfidfTransformer(), LinearSVC(random_state=0))),
    "decoder": (review_vectors(decoder), on_vectors),
}


# %%
def sentiment(side, new, n=200, draws=20):
    """Mean accuracy with n labels. If `new`, the texts tested (two kinds in five) never occur among the labelled."""
    x, model = sides[side]
    scores = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        tested = (rng.random(len(distinct)) < 0.4)[kind] if new else rng.random(len(x)) < 0.4
        pick = rng.permutation(np.flatnonzero(~tested))[:n]
        scores.append(model.fit(x[pick], positive[pick]).score(x[tested], positive[tested]))
    return np.mean(scores)


# %%
law = [world.law_after(world.decode([*row[row != BOS], *world.encode("! sentiment :")]))[good] for row in distinct]
best = ((np.array(law) > 0.5)[kind] == positive).mean()
measure(claim, best, between=(0.94, 0.97), name="sentiment-best", what="sentiment: the best possible accuracy")
scores = {(side, new): sentiment(side, new) for side in sides for new in (False, True)}
allowed = {("svm", False): (0.85, 0.92), ("decoder", False): (0.92, 0.96)}
allowed |= {("svm", True): (0.6, 0.82), ("decoder", True): (0.78, 0.96)}
for (side, new), score in scores.items():
    name, what = (
        f"sentiment-{side}-{'new' if new else 'any'}",
        f"{'unseen' if new else 'any'} texts: {side}, 200 labels",
    )
    measure(claim, score, between=allowed[side, new], name=name, what=what)
ahead = scores["decoder", True] - scores["svm", True]
measure(claim, ahead, between=(0.06, 0.25), name="sentiment-ahead", what="unseen texts: decoder ahead by")
# sabotage: foundation-vs-traditional/sentiment-ahead: ahead = scores["decoder", True] => ahead = scores["svm", True]

# %% [markdown]
r"""
Part of what a model learns from labels is the texts by heart. On texts that it has not seen, both fall, and counted
words fall further.

What does the lead cost? Count the stored numbers, and take the time from the reviews to the fitted model.
"""


# %%
def seconds(call, repeats=5):
    """The shortest of some times: a longer one had to share the machine."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def read_and_fit():
    """Read 200 reviews with the decoder, and fit logistic regression to the vectors."""
    on_vectors.fit(vectors(decoder, reviews[:200]), positive[:200])


# %%
svm = sides["svm"][1]
ratio = seconds(read_and_fit) / seconds(lambda: svm.fit(bag(reviews[:200]), positive[:200]))
measure(
    claim, ratio, between=(1.5, 1000), name="time", what="time to read and fit 200 reviews, decoder over SVM", digits=2
)

# %%
small = svm[0].idf_.size + svm[1].coef_.size + 1
big = sum(p.numel() for p in decoder.parameters()) + 3 * 128 + 1  # and the scale of 128 features, and the regression
training = about()["training"]
print(f"numbers stored: {small} for TF-IDF and the SVM, {big:,} for the decoder and what stands on it")
print(f"words read before: 0 against {training['tokens']:,}, in {training['cpu_seconds']} seconds of a processor")

# %% [markdown]
r"""
And our decoder is tiny; real ones are a thousand and more times bigger. The pretraining is paid once and serves every
task, which is the point of a *foundation*.

*Verdict on `foundation-vs-traditional`: holds with a caveat. It is a spectrum, not two camps: the winner on number and
sentiment is logistic regression, a traditional model, on vectors of a foundation model. Which side wins depends on the
task: here word order and unseen texts favour pretraining, a question of single words favours counting, and on topic
many labels close the gap. For language at full size see ULMFiT ([Howard and Ruder, 2018](../chapters/bibliography.md)),
which reached with 100 labels what took ten to a hundred times as many from scratch.*

## 4. Loss against data and size

"More parameters, more understanding" is how the notes put a finding about *loss*: the mean of −log p(next word), in
nats. No loss can fall below the **floor**, the entropy of the language. In real text the floor is unknown; here we
have it.

First the simplest language model: count which word follows which. This **bigram** model has a floor of its own, since
it looks one word back: the loss of the exact law given one word.

**Predict.** Ten times as much text: by which factor does the distance to the floor shrink?
"""

# %%
unread = world.sample(2000, 32, seed=10**6).tokens
pool = world.sample(30_000, 32, seed=5).tokens
sizes = np.array([30, 100, 300, 1000, 3000, 10_000, 30_000])  # documents of 32 words
loss = np.array([NGram(pool[:n], 2, world.vocab_size).nats(unread)[:, 1:].mean() for n in sizes])
exact = world.bigram(32).law[unread[:, :-1], unread[:, 1:]]
floor = -np.log(exact).mean()
claim, unit = "llm-size-understanding", "nats"
measure(claim, floor, between=(2.42, 2.48), name="bigram-floor", what="floor of a bigram", unit=unit)
for i, between in ((2, (0.3, 0.42)), (4, (0.05, 0.075)), (6, (0.005, 0.01))):
    what = f"above it after {sizes[i]} documents"
    measure(claim, loss[i] - floor, between=between, name=f"bigram-{sizes[i]}", what=what, unit=unit)
# sabotage: llm-size-understanding/bigram-300: NGram(pool[:n], 2 => NGram(pool[:n], 1

# %% [markdown]
r"""
A **learning curve** is often written as $L(n) = \text{floor} + a\, n^{-b}$
([Kaplan and others, 2020](../chapters/bibliography.md)). With the floor known this is a straight line in logarithms:
$\log(L - \text{floor}) = \log a - b \log n$.

**Exercise 3** (12 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def fit_learning_curve(n, losses, floor):
    """Return [a, b] of L(n) = floor + a * n ** -b, by least squares in natural logarithms.

    `n` and `losses` are tensors of one axis and equal length; every loss is above the floor.
    """
    ### BEGIN SOLUTION
    x, y = n.log(), (losses - floor).log()
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return [(y.mean() - slope * x.mean()).exp().item(), -slope.item()]
    ### END SOLUTION


check("fit_learning_curve", fit_learning_curve)

# %% [markdown]
r"""
Such fits are made to look ahead. We fit 300 to 3000 documents and ask for 30,000, once with the floor and once, as one
might who has forgotten it, with floor 0.

**Predict.** Which of the two forecasts is too low?
"""


# %%
def forecast(floor, fitted=slice(2, 5), n=sizes[-1]):
    """The loss for n documents, by a line through those of some smaller numbers, and the slope b."""
    slope, start = np.polyfit(np.log(sizes[fitted]), np.log(loss[fitted] - floor), 1)
    return floor + np.exp(start) * n**slope, -slope


# %%
low, above = (-0.3, -0.12), forecast(floor)[0] - loss[-1]
measure(claim, above, between=(-0.01, 0.02), name="forecast-with", what="forecast with the floor, error", unit=unit)
error, below = forecast(0.0)[0] - loss[-1], forecast(0.0)[0] - floor
measure(claim, error, between=low, name="forecast-without", what="forecast without the floor, error", unit=unit)
measure(claim, below, between=low, name="forecast-impossible", what="forecast without it, minus the floor", unit=unit)
for name, fitted, between in (("early", slice(0, 3), (0.4, 0.6)), ("late", slice(4, 7), (0.8, 1.1))):
    measure(claim, forecast(floor, fitted)[1], between=between, name=f"b-{name}", what=f"exponent b, {name} part")
# sabotage: llm-size-understanding/forecast-with: forecast(floor)[0] - loss[-1] => forecast(2.0)[0] - loss[-1]

# %%
# alt: Loss above the floor against documents, both logarithmic. The line bends: it is steeper to the right.
ax = plotting.curves(sizes, {"bigram": loss - floor}, xlabel="documents", ylabel="nats above the floor", log_x=True)
ax.set_yscale("log")

# %% [markdown]
r"""
Without the floor, the forecast promises a loss that no bigram model can have. And with it the line is not straight:
counting learns by a higher power the more it has read. For Transformers on real text straight lines were found over
many orders of magnitude, with exponents between 0.05 and 0.1 ([Kaplan and others, 2020](../chapters/bibliography.md));
later fits estimate the floor too ([Hoffmann and others, 2022](../chapters/bibliography.md)).

Now Transformers: three decoders of one layer, each trained for 200 steps of 16 documents: on 30 documents (seen again
and again), on 100, or on fresh ones at each step. We measure how far they are above the floor of the language: the
**KL divergence** from the exact law, in nats per word.

**Predict.** Nine numbers: where is the biggest model best, and where is it worst?
"""

# %%
tests = world.sample(80, 32, seed=10**6).tokens
law = torch.from_numpy(world.next_token_law(tests)[:, :-1]).float()
entropy = torch.special.entr(law).sum(-1).mean()
RUNS = (1, 5, 20)


@torch.no_grad()
def exam(model):
    """KL from the exact law on new documents, in nats a word; and where the most likely word is a possible one."""
    logits = model(torch.from_numpy(tests).to(device()))[:, :-1].cpu()
    kl = -(law * logits.log_softmax(-1)).sum(-1).mean() - entropy
    possible = law.gather(-1, logits.argmax(-1, keepdim=True))[..., 0] > 0
    return kl.item(), possible


# %%
STEPS, BATCH, FRESH = 200, 16, 40_000
library = torch.from_numpy(world.sample(FRESH, 32, seed=0).tokens)
LOOKS = (10, 20, 40, 60, 80, 120)


def next_word_loss(model, tokens):
    """What a decoder is trained on."""
    return causal_loss(model(tokens), tokens)


# %%
def taught(model, documents, lr, steps=STEPS, looks=(), loss=next_word_loss, precision=torch.float32):
    """Train on the documents, all equally often, and return the exams after some steps and at the end."""
    generator, exams = torch.Generator().manual_seed(0), {}
    orders = [torch.randperm(len(documents), generator=generator) for _ in range(steps * BATCH // len(documents) + 1)]
    rows = torch.cat(orders)[: steps * BATCH].view(steps, BATCH)

    def batch(step):
        if step in looks:
            exams[step] = exam(model)
        return documents[rows[step]]

    train(model, batch, loss, steps=steps, lr=lr, weight_decay=0.01, precision=precision)
    return exams | {steps: exam(model)}


# %%
def new_decoder(d_model):
    """A decoder of one layer."""
    torch.manual_seed(0)
    config = Config(vocab_size=world.vocab_size, d_model=d_model, n_heads=4 if d_model >= 32 else 2, n_layers=1)
    return Decoder(config).to(device())


RATES = {4: 3e-2, 8: 2e-2, 32: 7e-3}  # the learning rate of each width
AMOUNTS = (30, 100, FRESH)
decoders = {d: new_decoder(d) for d in RATES}
grid = {}
for d, lr in RATES.items():
    for n in AMOUNTS:
        grid[d, n] = taught(decoders[d] if n == FRESH else new_decoder(d), library[:n], lr, looks=LOOKS)
parameters = {d: sum(p.numel() for p in model.parameters()) for d, model in decoders.items()}
print("parameters:", parameters)

# %%
last = {key: exams[STEPS][0] for key, exams in grid.items()}
least = {key: min(kl for kl, _ in exams.values()) for key, exams in grid.items()}
ranges = {(4, 30): (1.5, 3), (8, 30): (1.8, 3.4), (32, 30): (2.5, 4.2), (4, 100): (0.8, 1.7), (8, 100): (0.6, 1.1)}
ranges |= {(32, 100): (0.55, 0.9), (4, FRESH): (0.85, 1.3), (8, FRESH): (0.5, 0.85), (32, FRESH): (0.35, 0.58)}
for (d, n), between in ranges.items():
    amount = "fresh" if n == FRESH else str(n)
    name, what = f"kl-{d}-{amount}", f"{parameters[d]} parameters, documents: {amount}"
    measure(claim, last[d, n], between=between, name=name, what=what, unit=unit)
# sabotage: llm-size-understanding/kl-32-30: exams[STEPS][0] => exams[40][0]

# %%
# alt: A table of nine numbers. In the row of 30 documents they grow with size; in the two other rows they shrink.
ax = plotting.heatmap(
    [[last[d, n] for d in RATES] for n in AMOUNTS],
    ["30", "100", "fresh"],
    [str(p) for p in parameters.values()],
    xlabel="parameters",
    ylabel="documents",
    unit="nats above the floor",
    between=(0, 3.5),
)

# %%
for name, value, between, what in (
    ("many", last[32, FRESH] / last[4, FRESH], (0.3, 0.6), "fresh documents: biggest over smallest"),
    ("few", last[32, 30] / last[4, 30], (1.1, 2.2), "30 documents, at the end: biggest over smallest"),
    ("few-stopped", least[32, 30] / least[4, 30], (0.4, 0.9), "30 documents, each at its best moment: the same"),
    ("data", last[4, FRESH] / least[32, 30], (0.5, 0.95), "smallest with fresh documents over biggest with 30"),
):
    measure(claim, value, between=between, name=name, what=what)
# sabotage: llm-size-understanding/many: last[32, FRESH] / last => last[32, 30] / last
# sabotage: llm-size-understanding/data: last[4, FRESH] / least => last[4, 30] / least

# %% [markdown]
r"""
With fresh text the bigger model is better. With 30 documents, each seen a hundred times, it ends up worse than the
smallest. That is a matter of when to stop: at its best moment, early in the training, the bigger model is still ahead.
And the smallest model with enough text beats the biggest without, even at that moment. Data replace parameters.

That is the finding at full size, too. Chinchilla, with 70 billion parameters and 1.4 trillion tokens, was better than
Gopher, with 280 billion and 0.3 trillion, for the same compute ([Hoffmann and others,
2022](../chapters/bibliography.md)). On a few tasks bigger models have even been found to be worse
([McKenzie and others, 2023](../chapters/bibliography.md)).

*Verdict on `llm-size-understanding`: imprecise. What falls is the loss, and only while data and compute grow along.
That a lower loss is "understanding" is an interpretation: here it means that the model is closer to the law of the
words.*

A bigger grid runs where there is a GPU, in half precision.
"""

# %%
if profile() == "gpu":
    with metered(claim, tokens=9 * 2000 * BATCH * library.shape[1]):
        bigger = {
            (d, n): taught(new_decoder(d), library[:n], lr, steps=2000, looks=(100, 300, 1000), precision=dtype())
            for d, lr in {16: 1.5e-2, 64: 5e-3, 128: 3e-3}.items()
            for n in (100, 1000, FRESH)
        }
    for (d, n), exams in bigger.items():
        best = min(kl for kl, _ in exams.values())
        print(f"width {d}, {n} documents: {exams[2000][0]:.3f} at the end, {best:.3f} at best")
else:
    print("In the gpu profile this cell trains nine bigger decoders, ten times as long.")

# %% [markdown]
r"""
## 5. Abilities that appear suddenly

The notes say that large models can also decompose problems, reason and solve tasks. Labs 10 and 11 let models do that.
Here is one question about the evidence. Some abilities were reported to be **emergent**: absent in small models,
present in big ones, with nothing in between ([Wei and others, 2022](../chapters/bibliography.md)). Part of this comes
from the ruler ([Schaeffer and others, 2023](../chapters/bibliography.md)).

If each of 10 words is right with probability p, independently of the others, the whole is right with $p^{10}$.

**Predict.** p rises evenly from 0.5 to 0.99. Where does $p^{10}$ pass one half?
"""

# %%
claim = "llm-abilities-beyond-language"
p = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])
print("each word right:", p.tolist())
print("all ten right:  ", [round(float(x), 3) for x in p**10])
measure(
    claim,
    0.5**0.1,
    between=(0.9330, 0.9331),
    name="half",
    what="p at which ten in a row are right half of the time",
    digits=4,
)

# %% [markdown]
r"""
So much for arithmetic. Does it happen in a model? Our biggest decoder was examined on the way. At each place of the
test texts we ask whether the word that it finds most likely is *possible* there. The ability: n such words in a row.
Beside it stands a smooth measure, the typical probability of the true word: e to the power of minus the loss.

**Exercise 4** (8 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def exact_match(correct, n):
    """Return the share of all runs of n neighbouring places in a text that are right throughout.

    `correct` [texts, seq] holds truth values; a text has seq - n + 1 runs of n, and they overlap.
    """
    ### BEGIN SOLUTION
    return correct.unfold(-1, n, 1).all(-1).double().mean()
    ### END SOLUTION


check("exact_match", exact_match)

# %%
exams = grid[32, FRESH]
steps = list(exams)
rates = {n: [possible.unfold(-1, n, 1).all(-1).double().mean().item() for _, possible in exams.values()] for n in RUNS}
true_word = [np.exp(-(kl + entropy.item())) for kl, _ in exams.values()]
at = {"middle": steps.index(60), "end": -1}
allowed = {1: ((0.6, 0.9), (0.9, 1)), 5: ((0.02, 0.65), (0.6, 0.9)), 20: ((0, 0.15), (0.15, 0.6))}
for n, ranges in allowed.items():
    for (name, i), between in zip(at.items(), ranges, strict=True):
        what = f"{n} possible in a row, after step {steps[i]}"
        measure(claim, rates[n][i], between=between, name=f"run-{n}-{name}", what=what)
for (name, i), between in zip(at.items(), ((0.04, 0.075), (0.075, 0.11)), strict=True):
    what = f"typical probability of the true word, after step {steps[i]}"
    measure(claim, true_word[i], between=between, name=f"word-{name}", what=what)
# sabotage: llm-abilities-beyond-language/run-5-middle: unfold(-1, n, 1).all(-1) => unfold(-1, n, 1).any(-1)

# %%
# alt: Four curves over training steps. One possible word rises early; twenty in a row stay at zero and then shoot up.
lines = {"probability of the true word": true_word, **{f"{n} possible in a row": rates[n] for n in RUNS}}
ax = plotting.curves(steps, lines, xlabel="step of training", ylabel="share, or probability")
legend = ax.legend(loc="upper left", bbox_to_anchor=(1, 1), labelcolor=plotting.INK, frameon=False)

# %% [markdown]
r"""
One model, one training, the same test. Judged by the probability of the words, it improves all the time. Judged by
twenty in a row, it can do next to nothing at step 60 and a good deal at the end. Somebody who looks at these two
moments would report that the ability emerged.

Two reservations. The axis is training, not size. And not everything is the ruler's doing: the share of possible words
itself does not rise evenly, as the figure shows.

*Verdict on `llm-abilities-beyond-language`: holds with a caveat. Benchmarks support the claim; some of the suddenness
is the metric's. And what a model gives as its reasons need not be what it computes
([Turpin and others, 2023](../chapters/bibliography.md)); lab 11 tests that.*

## 6. A language model without attention

Is every LLM a Transformer? We take our decoder and exchange one part: instead of attention, a **recurrence**. It keeps
a state of fixed size and mixes each new word into it, more or less as the word itself decides:

$$s_t = k_t \odot s_{t-1} + (1 - k_t) \odot v_t$$

where $k_t$ (keep) and $v_t$ (new) are linear in the word's vector, $k_t$ squeezed into [0, 1]. A third map decides
what of the state is shown. RWKV ([Peng and others, 2023](../chapters/bibliography.md)) and Mamba
([Gu and Dao, 2023](../chapters/bibliography.md)) are built from richer recurrences of this kind. A third model has a
**GRU**, a classical recurrent network.
"""


# %%
class Recurrence(nn.Module):
    """A gated linear recurrence, to stand where a block has its attention."""

    def __init__(self, d_model):
        super().__init__()
        self.maps, self.out = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, x, *_, **__):
        keep, new, show = self.maps(x).chunk(3, dim=-1)
        keep, state, states = keep.sigmoid(), torch.zeros_like(x[:, 0]), []
        for t in range(x.shape[1]):
            state = keep[:, t] * state + (1 - keep[:, t]) * new[:, t]
            states.append(state)
        self.state = state.detach()
        return self.out(torch.stack(states, dim=1) * F.silu(show))


# %%
class Gru(nn.Module):
    """PyTorch's GRU, to stand there too."""

    def __init__(self, d_model):
        super().__init__()
        self.gru = nn.GRU(d_model, d_model, batch_first=True)

    def forward(self, x, *_, **__):
        return self.gru(x)[0]


def with_part(part):
    """Our decoder of width 32, with another part instead of attention."""
    model = new_decoder(32)
    model.blocks[0].attention = part(32).to(device())
    return model


# %% [markdown]
r"""
All three get the same words in the same order, and each the best of the learning rates that we tried: 0.007 for
attention, 0.02 for the others.

**Predict.** 200 steps: which is closest to the exact law? And which of the three takes how many numbers to remember 31
words?
"""

# %%
claim = "llm-all-transformers"
others = {"recurrence": with_part(Recurrence), "gru": with_part(Gru)}
gaps = {name: taught(model, library, 2e-2)[STEPS][0] for name, model in others.items()} | {"attention": last[32, FRESH]}
models = others | {"attention": decoders[32]}
print("parameters:", {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()})
ranges = {"recurrence": (0.22, 0.4), "gru": (0.2, 0.4), "attention": (0.35, 0.58)}
for name, between in ranges.items():
    measure(claim, gaps[name], between=between, name=name, what=f"above the floor, {name}", unit="nats")
for name in others:
    ratio, what = gaps[name] / gaps["attention"], f"distance to the floor, {name} over attention"
    measure(claim, ratio, between=(0.35, 0.95), name=f"ratio-{name}", what=what)
# sabotage: llm-all-transformers/recurrence: with_part(Recurrence) => new_decoder(4)
# sabotage: llm-all-transformers/ratio-recurrence: gaps[name] / => gaps["attention"] /

# %%
batch = library[:BATCH].to(device())
spent = {name: seconds(lambda m=m: next_word_loss(m, batch).backward()) for name, m in models.items()}
for name in others:
    ratio, what = spent[name] / spent["attention"], f"time of a training step, {name} over attention"
    measure(claim, ratio, between=(0.05, 20), name=f"time-{name}", what=what, digits=2)

# %%
cache = decoders[32].empty_cache(1)
with torch.no_grad():
    decoders[32](batch[:1, :31], cache)
    others["recurrence"](batch[:1, :31])
kept = sum(x[:, :, : cache[0].length].numel() for x in (cache[0].keys, cache[0].values))
state = others["recurrence"].blocks[0].attention.state.numel()
measure(claim, kept, between=(1984, 1984), name="memory-attention", what="numbers kept of 31 words, attention")
measure(claim, state, between=(32, 32), name="memory-recurrence", what="numbers kept of any text, recurrence")
# sabotage: llm-all-transformers/memory-recurrence: .state.numel() => .state.repeat(31, 1).numel()

# %% [markdown]
r"""
The recurrence has exactly as many parameters as the attention that it replaces, takes a similar time, and is *closer*
to the law after this short training. So is the GRU. What this does not show: who is ahead after a million steps, or on
text where something must be found again word for word. There attention has what a state of fixed size lacks; lab 08
measures it.

*Verdict on `llm-all-transformers`: wrong. Most LLMs are Transformers. RWKV, scaled to 14 billion parameters
([Peng and others, 2023](../chapters/bibliography.md)), and Falcon Mamba, with 7 billion
([Zuo and others, 2024](../chapters/bibliography.md)), have no attention at all; Jamba mixes the two
([Lieber and others, 2024](../chapters/bibliography.md)).*

## 7. Small and tuned against big and general

The course's decoder has 119,168 parameters and is nearly exact on the language. The one-layer decoder of section 4 has
22,304 and is far from it. Now both come to the desk of section 3, where nine sentences in ten are reviews, and the
small one is **tuned** on 400 documents from there. Two ways are tried: on the next word, as before, and on the labels
alone, positive or negative.

The text of the desk is something on which the big model is mediocre; we chose it for that. It has never seen so many
reviews in a row.

**Predict.** Which model is closer to the exact law of the desk's text? Which gets more labels right?
"""

# %%
at_desk = torch.from_numpy(desk.sample(100, 32, seed=10**6).tokens)
desk_law = torch.from_numpy(desk.next_token_law(at_desk.numpy())[:, :-1]).float()
desk_entropy = torch.special.entr(desk_law).sum(-1).mean()
reply = torch.from_numpy(world.encode("positive negative"))
asked = torch.isin(at_desk, reply)[:, 1:]  # where a label comes next
truth = at_desk[:, 1:][asked]


@torch.no_grad()
def desk_exam(model):
    """KL from the exact law of the desk, in nats a word; and the accuracy of the labels, positive or negative."""
    logits = model(at_desk.to(device()))[:, :-1].cpu()
    kl = -(desk_law * logits.log_softmax(-1)).sum(-1).mean() - desk_entropy
    return kl.item(), (reply[logits[asked][:, reply].argmax(-1)] == truth).double().mean().item()


# %%
def label_loss(model, tokens):
    """The loss of the labels alone."""
    label = torch.isin(tokens[:, 1:], reply.to(tokens.device))
    return F.cross_entropy(model(tokens)[:, :-1][label], tokens[:, 1:][label])


examples = torch.from_numpy(desk.sample(400, 32, seed=3).tokens)
new, small = new_decoder(32), decoders[32]
tuned = {"new": new, **{name: copy.deepcopy(small) for name in ("text", "label")}, "big": copy.deepcopy(decoder)}
for name, model in tuned.items():
    steps, lr = {"big": (40, 2.5e-3), "label": (150, 1e-2)}.get(name, (60, 1e-2))
    taught(model, examples, lr, steps=steps, loss=label_loss if name == "label" else next_word_loss)
tuned = {f"{name}-tuned": model for name, model in tuned.items()} | {"small": small, "general": decoder}
marks = {name: desk_exam(model) for name, model in tuned.items()}
print(len(truth), "labels in the test")
# sabotage: llm-small-finetuned/text-tuned: examples, lr, => examples, 0 * lr,

# %%
claim = "llm-small-finetuned"
ranges = {"general": (0.24, 0.32), "small": (0.6, 1.6), "text-tuned": (0.07, 0.2), "new-tuned": (0.2, 0.6)}
for name, between in (ranges | {"big-tuned": (0.008, 0.06)}).items():
    measure(claim, marks[name][0], between=between, name=name, what=f"above the desk's floor, {name}", unit="nats")
ratio = marks["text-tuned"][0] / marks["general"][0]
measure(claim, ratio, between=(0.25, 0.75), name="ratio", what="small and tuned, over big and general")
ranges = {"general": (0.9, 1), "small": (0.4, 0.85), "text-tuned": (0.35, 0.8), "label-tuned": (0.8, 1)}
for name, between in ranges.items():
    measure(claim, marks[name][1], between=between, name=f"label-{name}", what=f"labels right, {name}")
for name, between in (("text-tuned", (2, 7)), ("label-tuned", (4, 60))):
    ratio, what = exam(tuned[name])[0] / last[32, FRESH], f"distance to the general law, {name} over before"
    measure(claim, ratio, between=between, name=f"forgot-{name}", what=what, digits=2)
# sabotage: llm-small-finetuned/forgot-text-tuned: exam(tuned[name])[0] => exam(small)[0]
# sabotage: llm-small-finetuned/label-general: marks[name][1] => 1 - marks[name][1]

# %% [markdown]
r"""
Tuned on 400 documents of text, the small model (`text-tuned`) is closer to the law of the desk than the general one
with five times its parameters. The same tuning from random weights (`new-tuned`) is left far behind: the general text
was worth something.

Look at the labels before you rejoice. The big model gets nearly all of them right that anybody could; there it is not
mediocre, and nothing beats it. The text-tuned model is far from that: a lower loss on the text is not yet the ability
that you may have wanted. Tuned on the labels alone the small model is good at them, and at nothing else: it has all but
lost the language. And tuned on the same 400 documents the big model (`big-tuned`) is best of all. So what tuning buys
is fit to what it is tuned on.

*Verdict on `llm-small-finetuned`: holds. People preferred the answers of a tuned GPT with 1.3 billion parameters to
those of the untuned one with 175 billion ([Ouyang and others, 2022](../chapters/bibliography.md)), and Flan-T5 competes
with much larger models ([Chung and others, 2024](../chapters/bibliography.md)). In both cases the task was to
follow instructions, which the larger, untuned models had not been trained for.*

## 8. Models that can write, and models that cannot

A **discriminative** model gives $p(y \mid x)$: the label, given the text. A **generative** model gives $p(x)$, the text
itself, or $p(x, y)$. The notes place generative AI inside *traditional* machine learning. Is the line between the two
the line between old and new?

**Naive Bayes** is as traditional as it gets, and generative: it draws a label $y$ with $p(y)$, then every word by
itself with $p(w \mid y)$. To classify, it uses Bayes' rule:

$$\log \frac{p(1 \mid x)}{p(0 \mid x)} = \log \frac{p(1)}{p(0)} + \sum_{w \in x} \log \frac{p(w \mid 1)}{p(w \mid 0)},
\qquad p(w \mid y) = \frac{\text{count of } w \text{ in class } y + 1}{\text{all words in class } y + V}$$

$V$ is the size of the vocabulary. The added one keeps a word that a class has never shown from vetoing the class.

**Exercise 5** (20 minutes, difficulty 4 of 5, 4 points).
"""


# %% exercise
def naive_bayes_log_odds(counts, labels, new):
    """Return log p(1 | x) - log p(0 | x), natural logarithm, for each text of `new` [texts, vocab]: shape [texts].

    `counts` [examples, vocab] are the word counts of the labelled texts, `labels` [examples] their classes, 0 or 1.
    p(1) is the share of class 1 among the examples; both classes occur. One is added to each word's count in a class.
    """
    ### BEGIN SOLUTION
    odds = (labels == 1).sum().log() - (labels == 0).sum().log()
    for label, sign in ((1, 1), (0, -1)):
        total = counts[labels == label].sum(0) + 1
        odds = odds + sign * (new @ (total / total.sum()).log().to(new.dtype))
    return odds
    ### END SOLUTION


check("naive_bayes_log_odds", naive_bayes_log_odds)

# %% [markdown]
r"""
Naive Bayes meets logistic regression, its discriminative twin: both add up one number for each word. Two questions,
both from counts of words. Is a text about farm, kitchen or sea, rather than about the other three topics? And the
question of section 1: does it name a colour?

**Predict.** To naive Bayes every word of a text is drawn by itself. For which of the two is that the worse mistake? And
who is ahead with 50 labels?
"""


# %%
papers = world.sample(6000, 16, seed=9)
counts, first_half = bag(papers.tokens), papers.topics < 3


def duel(x, labels, n, n_test, draws):
    """Accuracy of naive Bayes and of logistic regression, on the same draws of n labels: [draws, 2]."""
    rivals, scores = (MultinomialNB(), LogisticRegression(max_iter=500)), []
    for draw in range(draws):
        pick = n_test + np.random.default_rng(draw).permutation(len(x) - n_test)[:n]
        scores.append([rival.fit(x[pick], labels[pick]).score(x[:n_test], labels[:n_test]) for rival in rivals])
    return np.array(scores)


# %%
claim = "genai-subset-traditional-ml"
sooner = duel(counts, first_half, n=50, n_test=2500, draws=40)
level = duel(counts, first_half, n=2000, n_test=2500, draws=4)
false = duel(features["bag"], answers["colour"], n=1000, n_test=N_TEST, draws=4)
for name, scores, between, what in (
    ("sooner", sooner, (0.002, 0.04), "farm, kitchen or sea, 50 labels"),
    ("level", level, (-0.015, 0.015), "the same, 2000 labels"),
    ("false", false, (-0.12, -0.04), "colour, 1000 labels"),
):
    lead = (scores[:, 0] - scores[:, 1]).mean().round(5)
    measure(claim, lead, between=between, name=f"lead-{name}", what=f"{what}: lead of naive Bayes", digits=2)
half = stats.t.ppf(0.975, len(sooner) - 1) * (sooner[:, 0] - sooner[:, 1]).std(ddof=1) / np.sqrt(len(sooner))
measure(
    claim, half, between=(0.003, 0.02), name="lead-sooner-half", what="first lead: half of its 95% interval", digits=2
)
# sabotage: genai-subset-traditional-ml/lead-false: answers["colour"] => answers["topic"]

# %% [markdown]
r"""
With few labels the generative model is ahead; with many the two are level. On colour, where the label follows from the
words instead of causing them, the discriminative model, which assumes less about texts, is far ahead. That the one
learns sooner and the other ends at least as high is a known pattern
([Ng and Jordan, 2002](../chapters/bibliography.md)).

Now ask both for what only one can give. How likely is a new text? Logistic regression has no answer; it never models
$x$. Naive Bayes has one, and so have the bigram model, the decoder, and the language itself.

**Predict.** In nats per word, lower is better: how far apart are they?
"""

# %%
bayes = MultinomialNB().fit(counts[N_TEST:], papers.topics[N_TEST:])
bigram = NGram(pool, 2, world.vocab_size)


def bayes_nats(tokens):
    """-log p(x) of each text, by naive Bayes: the sum over the topics of p(y) p(x | y)."""
    log_joint = bayes.feature_log_prob_[:, tokens[:, 1:]].sum(-1) + bayes.class_log_prior_[:, None]
    return -np.logaddexp.reduce(log_joint)


@torch.no_grad()
def decoder_nats(tokens):
    """-log p of each word, by the decoder."""
    logits = decoder(torch.from_numpy(tokens).to(device())).cpu()
    return F.cross_entropy(logits[:, :-1].mT, torch.from_numpy(tokens[:, 1:]), reduction="none").numpy()


# %%
unseen = papers.tokens[:N_TEST]
nats = {"bayes": bayes_nats(unseen) / 16, "bigram": bigram.nats(unseen)[:, 1:]}
nats |= {"decoder": decoder_nats(unseen), "law": world.surprisal(unseen)}
ranges = {"bayes": (3.9, 4.3), "bigram": (2.35, 2.55), "decoder": (1.9, 2.1), "law": (1.9, 2.1)}
for name, between in ranges.items():
    what = f"nats per word of unread texts, {name}"
    measure(claim, nats[name].mean(), between=between, name=f"nats-{name}", what=what)
# sabotage: genai-subset-traditional-ml/nats-bigram: bigram.nats(unseen) => bigram.nats(unseen[:, ::-1])

# %% [markdown]
r"""
Who has $p(x)$ can **draw** from it. Three models write; the grammar of the language judges.

**Predict.** Which share of the words cannot stand where they stand: of naive Bayes, of the bigram model, of the
language's own automaton?
"""

# %%
table = np.zeros((world.vocab_size, world.vocab_size))
np.add.at(table, (pool[:, :-1], pool[:, 1:]), 1)  # how often the second word followed the first


def write(law_of_next, n=300, length=16, seed=0):
    """Texts drawn word by word; `law_of_next` gives the law of the next word after each of the last words."""
    rng, tokens = np.random.default_rng(seed), np.full((n, length + 1), BOS)
    for i in range(length):
        cumulative = law_of_next(tokens[:, i]).cumsum(-1)
        tokens[:, i + 1] = (cumulative < rng.random((n, 1)) * cumulative[:, -1:]).sum(-1)
    return tokens


# %%
sea_words = np.exp(bayes.feature_log_prob_[world.topics.index("sea")])
sea_words[:2] = 0  # <bos> and <mask> are no words
drafts = {"bayes": write(lambda previous: np.tile(sea_words, (len(previous), 1))), "bigram": write(table.__getitem__)}
drafts["automaton"] = world.sample(300, 16, seed=4).tokens
for name, between in (("bayes", (0.45, 0.65)), ("bigram", (0.1, 0.18)), ("automaton", (0, 0))):
    print(f"{name}: {world.decode(drafts[name][0, 1:])}")
    errors = world.parse(drafts[name]).errors[:, 1:].mean()
    measure(claim, errors, between=between, name=f"errors-{name}", what=f"{name}: words that cannot stand there")
# sabotage: genai-subset-traditional-ml/errors-bigram: write(table.__getitem__) => write(table.T.__getitem__)

# %% [markdown]
r"""
All three are generative, and all three are older than deep learning. The automaton is a kind of **hidden Markov
model**: a hidden topic, a state that moves from word to word, and a law of words for each
([Rabiner, 1989](../chapters/bibliography.md)).

Who has $p(x)$ can also **fill in**: a missing word w between *u* and *v* has $p(w) \propto p(w \mid u)\, p(v \mid w)$
in a bigram model. And it can **notice** that a text is odd. We swap two neighbouring words and keep the texts that this
makes impossible. Each model gives its suspicion; the AUC is the probability that a spoiled text is more suspicious
than a sound one.

**Predict.** What is the AUC of naive Bayes?
"""

# %%
sound, row = unread[:600, :17], np.arange(600)
hole = 1 + np.random.default_rng(1).integers(15, size=600)  # never the last word
before, hidden, after = (sound[row, hole + i] for i in (-1, 0, 1))
given = table / np.maximum(table.sum(1, keepdims=True), 1)  # p(second | first)
guess = (given[before] * given[:, after].T).argmax(1)
usual = world.unigram().law.argmax()
hits, by_habit = (guess == hidden).mean(), (usual == hidden).mean()
measure(claim, hits, between=(0.35, 0.52), name="filled-bigram", what="missing words found by the bigram model")
measure(claim, by_habit, between=(0.1, 0.2), name="filled-habit", what="missing words found by always saying the same")
# sabotage: genai-subset-traditional-ml/filled-bigram: given[:, after].T => given[after]

# %%
spoiled = sound.copy()
spoiled[row, hole], spoiled[row, hole + 1] = after, hidden
wrong = ~world.is_grammatical(spoiled)
both, is_spoiled = np.concatenate([sound[wrong], spoiled[wrong]]), np.repeat([False, True], wrong.sum())
suspicion = {"bayes": bayes_nats(both), "bigram": bigram.nats(both)[:, 1:].max(1), "decoder": decoder_nats(both).max(1)}
for name, between in (("bayes", (0.5, 0.5)), ("bigram", (0.98, 1)), ("decoder", (0.98, 1))):
    auc = roc_auc_score(is_spoiled, suspicion[name].round(6))  # equal up to the order of a sum is equal
    measure(claim, auc, between=between, name=f"auc-{name}", what=f"spoiled texts noticed, AUC of {name}")
# sabotage: genai-subset-traditional-ml/auc-bigram: bigram.nats(both)[:, 1:].max(1) => bigram.nats(both)[:, 1:].min(1)
# sabotage: genai-subset-traditional-ml/auc-bayes: bayes_nats(both) => bayes_nats(both[:, :9])

# %% [markdown]
r"""
Naive Bayes is at one half *exactly*: to it a text is a bag, and swapping two words leaves the bag as it was. The
bigram model notices nearly all: a swap makes three new pairs of neighbours. How much a $p(x)$ is worth depends on how
much of the language it holds.

*Verdict on `genai-subset-traditional-ml`: wrong. Generative AI is part of machine learning and, today, mostly deep. The
word "generative" cuts another way: naive Bayes, hidden Markov models and n-grams are traditional and generative,
logistic regression and the SVM are traditional and not. The standards body NIST defines generative AI by what it does:
imitating the structure of its data to produce new content
([NIST, 2024](../chapters/bibliography.md)).*

## With a real model

In the `gpu` profile, or when you ask for them, the next cells let three models read our reviews: MiniLM
(`sentence-transformers/all-MiniLM-L6-v2`: 23 million parameters, 91 MB, licence Apache-2.0), made for one vector a
sentence; BERT (`google-bert/bert-base-uncased`: 110 million parameters, 441 MB, licence Apache-2.0); and GPT-2
(`openai-community/gpt2`: 124 million parameters, 549 MB, licence MIT). They have read real English, and the words of
our reviews are English, too. A probe on their vectors meets TF-IDF, on reviews whose text has no label.

**Predict.** Which of the four is best at 200 labels?
"""

# %%
import re

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import GroupShuffleSplit, cross_val_score


def read_reviews(n):
    """The first n reviews that the world writes with a label, and the labels."""
    said = " ".join(map(World().decode, World().sample(6 * n, 60, seed=5).tokens[:, 1:]))
    found = re.findall(r"classify this review : ([^:]+?) ! sentiment : (\w+)", said)[:n]
    return [review for review, _ in found], [label for _, label in found]


def on_unseen(x, labels, reviews, probe):
    """Mean accuracy with 200 labels, on reviews whose text is not among the labelled."""
    split = GroupShuffleSplit(20, train_size=0.4, random_state=0)
    return cross_val_score(probe, x, labels, groups=reviews, cv=split).mean()


# %%
for job in ("embedding", "encoder", "decoder"):
    if loaded := hub.offer(job):
        texts, moods = read_reviews(500)
        different = sorted(set(texts))
        vectors = dict(zip(different, hub.embed(*loaded, different).cpu().numpy(), strict=True))
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
        by_vector = on_unseen(np.stack([vectors[text] for text in texts]), moods, texts, probe)
        by_count = on_unseen(np.array(texts), moods, texts, make_pipeline(TfidfVectorizer(), LinearSVC(random_state=0)))
        print(f"{hub.MODELS[job].id}: {by_vector:.3f}, counted words {by_count:.3f} ({len(different)} different texts)")

# %% [markdown]
r"""
## What you have shown

- Pretraining is worth labels where a question needs order or knowledge of words that the labelled texts do not show. It
  is worth nothing where a question hangs on single words, and there the traditional model is better and cheaper.
- A score comes with two doubts: the draw of the labels, and the size of the test.
- Loss falls with size *and* data. Starved of data, the bigger model ends up worse. A forecast needs the floor.
- A hard metric makes steady progress look like a sudden ability.
- A recurrence can take the place of attention in a language model.
- A small tuned model can beat a bigger general one on its text, and forgets something else.
- A model of $p(x)$ can write, fill in and doubt. It need not be deep, and it need not be good.

## Where to go next

Lab 03 asks where the text for pretraining comes from, lab 04 trains a decoder to its floor, and lab 05 looks at what
an encoder knows. The chapter on [LLMs](../chapters/01_llms.md) draws the map, and ends with a quiz.
"""
