# %% [markdown]
r"""
# Lab 12: Decoding

A language model gives every word of its vocabulary a score. Another program turns scores into text. That is
**decoding**, and you write it in this lab.

**What you will measure.** How greedy choice, temperature, top-k, top-p, min-p and beam search change the text, against
a truth that is known: the model was trained on a small synthetic language whose exact law the course can compute. So
"better" and "worse" are numbers here, not impressions.

**What you need.** Python, and what a probability is. The chapter on
[sampling](../chapters/05_sampling.md) explains the same ideas with more words.

**Time.** Reading and exercises: about 90 minutes. The cells run in under a minute on two cores; on a T4 they draw ten
times as many samples and train a bigger model.

**Claims settled** (see the [ledger](../chapters/ledger.md)): everything the notes say on inference parameters,
on top-k and top-p and on temperature, and the two later additions, min-p and speculative decoding.
One item is a link that the notes lost, `inf-decoder-link-missing`. There is nothing to measure in it, and the chapter
names an article to read instead.
"""

# %% setup

# %%
import math
from fractions import Fraction

import numpy as np
import torch

from labutils import hub, plotting, sampling
from labutils.checks import check
from labutils.controls import controls
from labutils.evidence import measure
from labutils.models import Config, Decoder
from labutils.objectives import causal_loss, kl_to_law
from labutils.runtime import device, dtype, profile
from labutils.training import metered, train
from labutils.weights import load_world_decoder
from labutils.widgets import sampling_explorer
from labutils.world import World

# %% [markdown]
r"""
## 1. The table that the notes lost

The notes explain top-k and top-p on a table of four desserts. The table itself is missing from them. It can be
recovered from the public notes that they follow: cake 0.20, donut 0.10, banana 0.02, apple 0.01.

**Predict.** These four sum to 0.33. If apple really is the fourth most likely word, at least how many further words
must share the rest?
"""

# %%
shown = {word: Fraction(p) for word, p in {"cake": "0.20", "donut": "0.10", "banana": "0.02", "apple": "0.01"}.items()}
tail = 1 - sum(shown.values())
claim = "softmax-table-missing"
measure(claim, sum(shown.values()), between=(0.33, 0.33), name="shown-mass", what="mass of the four words shown")
measure(claim, tail, between=(0.67, 0.67), name="tail-mass", what="mass of all other words")
fewest = math.ceil(tail / shown["apple"])
measure(claim, fewest, between=(67, 67), name="least-tail-tokens", what="other words, at least")
# %% [markdown]
r"""
Two thirds of the mass lies where the table does not look. The course completes the table with 76 other desserts, none
as likely as apple. It does so in the language itself: after "for dessert we had the", the world's exact law is this
table.
"""

# %%
# sabotage: softmax-table-missing/logit-gap: logits = table.log() => logits = table
world = World()
law = torch.from_numpy(world.law_after("for dessert we had the"))
order = law.argsort(descending=True, stable=True)[: int((law > 0).sum())]
words, table = [world.vocab[i] for i in order], law[order]
logits = table.log()  # any constant could be added: softmax does not see it
print(len(words), "words:", ", ".join(words[:6]), "...")


# %%
def entropy(p):
    """Entropy in nats: how uncertain the next word is."""
    return torch.special.entr(p).sum(-1).item()


measure(claim, entropy(table), between=(3.8, 3.9), name="entropy", what="entropy of the completed table", unit="nats")
choices = math.exp(entropy(table))
measure(claim, choices, between=(45, 50), name="perplexity", what="as uncertain as a fair choice among", unit="words")
gap = (logits[0] - logits[1]).item()
measure(claim, gap, between=(0.693, 0.6932), name="logit-gap", what="logit of cake minus logit of donut")
print("largest four:", [f"{word} {p:.2f}" for word, p in zip(words[:4], table.tolist(), strict=False)])

# %% [markdown]
r"""
Cake is twice as likely as donut, so its logit is larger by log 2. **Logits** are scores before the **softmax**, the
function that turns them into probabilities: exponentiate, then divide by the sum. Differences of logits are logarithms
of ratios. Keep that in mind: temperature works on ratios.

*Verdict on `softmax-table-missing`: the table can be recovered, and what it leaves out matters
more than what it shows.*

## 2. The model

The model is a Transformer decoder with about a tenth of a million parameters, trained on text of the same language.
It has never seen the law, only samples of it.

**Predict.** How far will its probability for cake lie from 0.20?
"""

# %%
# sabotage: inf-models-give-control/model-cake: model(prompt)[0, -1] => model(prompt)[0, -2]
model = load_world_decoder().to(device())
prompt = torch.from_numpy(world.prompt("for dessert we had the")).to(device())
with torch.no_grad():
    guess = model(prompt)[0, -1].double().softmax(-1).cpu()
for word in words[:4]:
    print(f"{word:7} {law[world.vocab.index(word)]:.2f} in the law")
claim = "inf-models-give-control"
cake = guess[world.vocab.index("cake")]
measure(claim, cake, between=(0.17, 0.23), name="model-cake", what="probability of cake in the model")
distance = (guess - law).abs().sum() / 2
measure(claim, distance, between=(0, 0.1), name="model-distance", what="total variation between model and law")
# %% [markdown]
r"""
**Total variation** is the largest difference that any set of words can show between two laws: 0 means equal, 1 means
that they never agree. The model has learned a law that it only ever saw one draw at a time.

## 3. Greedy choice and random choice

**Greedy** decoding takes the most likely word, always. **Random** decoding draws a word with its probability.

**Predict.** In 10,000 random draws, how often does cake come? And does taking the best word at every step give the
best sentence?
"""

# %%
claim = "inf-greedy-vs-random-undefined"
draws = sampling.sample(logits.expand(10_000, -1), torch.Generator().manual_seed(0))
share = (draws == 0).double().mean()
measure(claim, share, between=(0.188, 0.212), name="draws-cake", what="share of cake in 10,000 draws")
expected = 10_000 * table
chi2 = ((draws.bincount(minlength=len(words)) - expected) ** 2 / expected).sum()
spread = (chi2 - (len(words) - 1)) / math.sqrt(2 * (len(words) - 1))
measure(claim, spread, between=(-4, 4), name="draws-chi2", what="chi-square, in standard deviations from its mean")
print("greedy takes:", words[sampling.greedy(logits)])

# %% [markdown]
r"""
Random draws follow the table. Now two steps. Let the first word be *a* with 0.40 or *b* with 0.35. After *a* the best
next word has 0.50, after *b* it has 0.90.
"""


# %%
class Tree:
    """A model of two steps. Token 0 starts; the rows are laws of the next token."""

    law = torch.tensor(
        [[0, 0.40, 0.35, 0.25, 0], [0, 0.5, 0.3, 0.2, 0], [0, 0.05, 0.05, 0.9, 0], [0, 0.4, 0.3, 0.3, 0]]
    )

    def __call__(self, tokens):
        return self.law[tokens].log()


start = torch.tensor([[0]])
found = {width: sampling.beam_search(Tree(), start, width=width, max_new_tokens=2) for width in (1, 2)}
path = {width: beams.log_probabilities[0, 0].exp().item() for width, beams in found.items()}
measure(claim, round(path[1], 6), between=(0.20, 0.20), name="tree-greedy", what="probability of the greedy path")
measure(claim, round(path[2], 6), between=(0.315, 0.315), name="tree-best", what="best path, found with two beams")
# sabotage: inf-greedy-vs-random-undefined/tree-best: width=width => width=1

# %% [markdown]
r"""
Greedy maximises each step, not the sequence. **Beam search** keeps several beginnings alive and finds the better path.
Is a more likely text also a better text? Let the model write.
"""

# %%
STOP = world.stop
generator = torch.Generator(device()).manual_seed(1)
one = torch.from_numpy(world.prompt("the")).to(device())
greedy_runs = sampling.generate(model, one.expand(200, -1), max_new_tokens=30, stop_token=STOP, greedy=True)
random_runs = sampling.generate(model, one.expand(200, -1), max_new_tokens=30, stop_token=STOP, generator=generator)
different = {name: len(run.tokens.unique(dim=0)) for name, run in {"g": greedy_runs, "r": random_runs}.items()}
measure(claim, different["g"], between=(1, 1), name="greedy-distinct", what="different sentences in 200 greedy runs")
measure(claim, different["r"], between=(180, 200), name="random-distinct", what="different ones in 200 random runs")


# %%
def seen_before(tokens):
    """Share of the 3-grams of a document that occurred earlier in the same document."""
    grams = [tuple(tokens[i : i + 3]) for i in range(1, len(tokens) - 2)]
    return 1 - len(set(grams)) / len(grams)


text = {}
for penalty in (1.0, 1.3, 2.0, 4.0):
    made = sampling.generate(model, one, max_new_tokens=120, greedy=True, repetition_penalty=penalty)
    text[penalty] = made.tokens[0].tolist()
print(world.decode(text[1.0][:40]))

# %%
real = np.mean([seen_before(row) for row in world.sample(200, 122, seed=3).tokens.tolist()])
measure(claim, real, between=(0.03, 0.07), name="real-repeats", what="3-grams seen before, the language itself")
measure(claim, seen_before(text[1.0]), between=(0.8, 1), name="greedy-repeats", what="3-grams seen before, greedy text")
for penalty, (name, between) in {1.3: ("penalty-repeats", (0.4, 0.8)), 2.0: ("penalty2-repeats", (0, 0.02))}.items():
    what = f"the same with a repetition penalty of {penalty}"
    measure(claim, seen_before(text[penalty]), between=between, name=name, what=what)
impossible = world.parse(np.array([text[4.0]])).errors.sum()
measure(claim, impossible, between=(1, 20), name="penalty4-errors", what="impossible words with a penalty of 4")
# %% [markdown]
r"""
Greedy text walks in a circle. The common remedy is a **repetition penalty**: it lowers the scores of all words that
occurred before ([Keskar and others, 2019](../chapters/bibliography.md)). A mild one makes the circle longer. A strong
one ends it, and goes too far: the text now repeats *less* than the language does, because "the" and "." are punished
like any other word, and in the end it breaks the grammar. Drawing at random has no such problem.

*Verdict on `inf-greedy-vs-random-undefined`: the notes name the two and explain neither. Greedy is not "more correct":
it is the likeliest step, and here it gives dull text.*

Who decides which is used? Not the model. Below, your own loop over the raw logits does exactly what the library does.
"""

# %%
claim = "inf-models-give-control"
own = one
with torch.no_grad():
    for _ in range(30):
        own = torch.cat([own, model(own)[:, -1:].argmax(-1)], dim=1)
library = sampling.generate(model, one, max_new_tokens=30, greedy=True).tokens
agreement = (own == library).double().mean()
measure(claim, agreement, between=(1, 1), name="agreement", what="share of equal tokens, own loop and library")
# %% [markdown]
r"""
*Verdict on `inf-models-give-control`: imprecise. The choice belongs to the software around the model. Whoever sees the
logits has it.*

## 4. Temperature

**Temperature** T divides the logits before the softmax: $p_i \propto e^{z_i/T} = p_i^{1/T}$
([Ackley and others, 1985](../chapters/bibliography.md)). Your turn. The library's version is used in all later
cells, so you can go on whatever happens.

**Exercise 1** (5 minutes, difficulty 1 of 5, 1 point).
"""


# %% exercise
def apply_temperature(logits, temperature):
    """Return the logits at this temperature. `logits` has the shape [..., vocab]; `temperature` is positive."""
    ### BEGIN SOLUTION
    return logits / temperature
    ### END SOLUTION


check("apply_temperature", apply_temperature)

# %% [markdown]
r"""
**Predict.** At T = 0.5, is cake at 0.40, as a table in the notes says for "a cooler temperature"? And at T = 2, where
does cake end: above or below banana's old 0.02?
"""


# %%
# sabotage: temp-warm-flatter/cake: words, at(2.0)[:4] => words, (table / 2.0).softmax(-1)[:4]
def at(temperature):
    """The completed table at a temperature."""
    return sampling.apply_temperature(logits, temperature).softmax(-1)


ranges = {0.9: (0.24, 0.26), 0.7: (0.42, 0.45), 0.5: (0.69, 0.73), 0.2: (0.95, 0.98)}
for T, between in ranges.items():
    name = f"t{T * 10:02.0f}"
    measure("temp-cool-peaked", at(T)[0], between=between, name=name, what=f"probability of cake at T = {T}")
for word, p, between in zip(
    words, at(2.0)[:4], [(0.05, 0.06), (0.035, 0.045), (0.016, 0.019), (0.011, 0.014)], strict=False
):
    measure("temp-warm-flatter", p, between=between, name=word, what=f"probability of {word} at T = 2")
# sabotage: temp-cool-peaked/t09: at(T)[0] => at(1 / T)[0]

# %%
# alt: Three groups of bars, one a temperature. At T = 0.5 cake stands far above the others; at T = 2 all four are low.
ax = plotting.bars({f"T = {T}": at(T)[:4].tolist() for T in (0.5, 1.0, 2.0)}, words[:4], unit="probability")
# %% [markdown]
r"""
Look at how the bars of one colour compare. Cooling makes the first word win ground from all others; warming gives it to
the 76 words that the figure does not show.

*Verdicts. `temp-warm-flatter`: holds. `temp-cool-peaked`: imprecise, because "strongly peaked" depends on how cool: at
T = 0.9 little has changed.*

Entropy measures the spread in one number. It must rise with T: its slope is $\mathrm{Var}(z)/T^3$, the variance of the
logits under the law at T, and a variance is never negative.
"""

# %%
# sabotage: temp-controls-randomness/entropy-cool: entropy(at(0.1)) => entropy(at(1 / 0.1))
claim = "temp-controls-randomness"
grid = torch.logspace(-1, 1, 81, dtype=torch.float64)
moves = sum(at(T.item()).argmax().item() != 0 for T in grid)
measure(
    claim, moves, between=(0, 0), name="argmax-changes", what="temperatures from 0.1 to 10 that change the first word"
)
ends = [entropy(at(0.1)), entropy(at(10.0)), math.log(len(words))]
names = {"entropy-cool": (0, 0.05), "entropy-warm": (4.37, 4.382), "entropy-uniform": (4.382, 4.3821)}
whats = ["entropy at T = 0.1", "entropy at T = 10", "entropy if all 80 words were equal"]
for value, (name, between), what in zip(ends, names.items(), whats, strict=True):
    measure(claim, value, between=between, name=name, what=what, unit="nats", digits=4)

# %%
# sabotage: temp-higher-more-random/decreases: entr((random_logits / T) => entr((random_logits * T)
claim = "temp-higher-more-random"
random_logits = torch.randn(100, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def entropies(T):
    return torch.special.entr((random_logits / T).softmax(-1)).sum(-1)


curve = torch.stack([entropies(T) for T in grid])
falls = (curve.diff(dim=0) < -1e-12).sum()
measure(claim, falls, between=(0, 0), name="decreases", what="times that entropy falls, 100 random laws x 80 steps")
T, h = 0.8, 1e-5
p = (random_logits / T).softmax(-1)
variance = (p * random_logits**2).sum(-1) - (p * random_logits).sum(-1) ** 2
error = ((entropies(T + h) - entropies(T - h)) / (2 * h) - variance / T**3).abs().max()
measure(claim, error, between=(0, 1e-6), name="slope-error", what="largest error of Var(z) / T^3 as the slope")
# %%
# alt: Shares against temperature from 0.1 to 10. Entropy climbs from 0 to log 80; cake falls from 1 to 1/80.
# sabotage: temp-shape/cake-at-005: at(0.05)[0] => (table / 0.05).softmax(-1)[0]
temperatures = grid.tolist()
lines = {
    "entropy / log 80": [entropy(at(T)) / math.log(80) for T in temperatures],
    "probability of cake": [at(T)[0].item() for T in temperatures],
    "mass of the 76 others": [at(T)[4:].sum().item() for T in temperatures],
}
ax = plotting.curves(temperatures, lines, xlabel="temperature", ylabel="share", log_x=True)
measure("temp-shape", at(0.05)[0], between=(0.999, 1), name="cake-at-005", what="probability of cake at T = 0.05")
measure(
    "temp-shape", at(1000.0)[0], between=(0.0124, 0.0126), name="cake-at-1000", what="probability of cake at T = 1000"
)
# %% [markdown]
r"""
Three things to see. Entropy only climbs. Cake goes from 1 to 1/80: from greedy choice to all words equal. And most of
what cake loses goes to the tail, not to donut.

*Verdicts: `temp-controls-randomness`, `temp-higher-more-random`, `temp-shape` hold.*

### The notes' two tables

The notes give two more tables, again lost and recovered. A cooler one: cake 0.400, donut 0.012, banana 0.002, apple
0.001. A warmer one: cake 0.150, donut 0.120, banana 0.080, apple 0.040. Both are offered as *the same distribution at
another temperature*. Temperature turns every ratio $p_i/p_j$ into its power $1/T$. So each pair of words tells T.

**Predict.** Will the pairs agree?
"""

# %%
claim = "temp-tables-inconsistent"
before = {"cake": 0.20, "donut": 0.10, "banana": 0.02, "apple": 0.01}
cool = {"cake": 0.400, "donut": 0.012, "banana": 0.002, "apple": 0.001}
warm = {"cake": 0.150, "donut": 0.120, "banana": 0.080, "apple": 0.040}


def implied_temperature(after, one, other):
    """The T that takes the ratio of two words from the first table to `after`."""
    return math.log(before[one] / before[other]) / math.log(after[one] / after[other])


expected = {"cool": (0.198, 0.435, 0.5, 1), "warm": (3.106, 3.663, 2.266, 1)}
for name, after in {"cool": cool, "warm": warm}.items():
    for pair, T in zip(["cake-donut", "cake-banana", "cake-apple", "banana-apple"], expected[name], strict=True):
        implied = round(implied_temperature(after, *pair.split("-")), 3)
        what = f"T that the {name} table implies, {pair.replace('-', ' / ')}"
        measure(claim, implied, between=(T, T), name=f"{name}-{pair}", what=what)

# %%
# sabotage: temp-tables-inconsistent/violations: (random_logits / T) => (random_logits * T)
implied = [implied_temperature(cool, "cake", word) for word in ("donut", "banana", "apple")]
measure(
    claim, max(implied) / min(implied), between=(2, 3), name="cool-disagreement", what="largest T over smallest, cool"
)
top3 = [sum(list(table.values())[:3]) for table in (before, warm)]
measure(claim, round(top3[0], 9), between=(0.32, 0.32), name="top3-before", what="mass of the top three at T = 1")
measure(claim, round(top3[1], 9), between=(0.35, 0.35), name="top3-warm", what="the same in the warm table")
listed = round(sum(warm.values()), 9)
measure(claim, listed, between=(0.39, 0.39), name="warm-shown-mass", what="mass of the four words in the warm table")
mass = torch.stack([(random_logits / T).softmax(-1).sort(-1, descending=True).values.cumsum(-1) for T in grid])
violations = (mass.diff(dim=0) > 1e-12).sum()
what = "times that a top-k mass grows with T: 100 random laws, every k"
measure(claim, violations, between=(0, 0), name="violations", what=what)
# %% [markdown]
r"""
The cool table needs four temperatures at once. The warm one makes the top three *gain* mass, which flattening cannot
do: in 100 random laws it never happened, and the chapter proves that it cannot. The tables are illustrations that were
never computed.

*Verdict on `temp-tables-inconsistent`: wrong.* What would a true table look like? Find the T at which cake has 0.40.
"""

# %%
# sabotage: temp-cake-forty/temperature: at(middle)[0] => at(middle)[1]
# sabotage: temp-cool-table-missing: at(low)[1] / cool["donut"] => at(low)[1] / warm["donut"]
claim = "temp-cake-forty"
listed = sum(cool.values())
measure(claim, round(listed, 9), between=(0.415, 0.415), name="shown-mass", what="mass that the cool table shows")
measure(claim, round(1 - listed, 9), between=(0.585, 0.585), name="unexplained", what="mass that it does not show")
low, high = 0.1, 1.0
for _ in range(60):
    middle = (low + high) / 2
    low, high = (middle, high) if at(middle)[0] > 0.40 else (low, middle)
measure(claim, low, between=(0.70, 0.75), name="temperature", what="T at which cake has 0.40")
measure(claim, at(low)[1], between=(0.14, 0.16), name="donut-there", what="probability of donut there")
excess = at(low)[1] / cool["donut"]
measure("temp-cool-table-missing", excess, between=(10, 15), what="donut there, over the notes' 0.012", unit="times")
# %% [markdown]
r"""
*Verdicts. `temp-cake-forty`: cake can have 0.40, but then donut has more than ten times what the notes print.
`temp-cool-table-missing`: recovered, and not a softmax of the first table.*

### What temperature is not

The notes say that temperature *scales the last softmax layer*. Three readings of that, on the same logits.
"""

# %%
# sabotage: temp-scaling-factor/order-nucleus-first: logits, 0.9) / 0.5) => logits / 0.5, 0.9))
claim = "temp-scaling-factor"
multiplied = (logits * 2).softmax(-1)[0]
measure(claim, multiplied, between=(0.69, 0.73), name="multiplied", what="cake if logits are MULTIPLIED by 2")
scaled = 2 * table / (2 * table).sum()
change = (scaled - table).abs().max()
measure(claim, change, between=(0, 1e-15), name="probabilities-scaled", what="change if probabilities are scaled by 2")
for name, (T, size) in {"05": (0.5, 8), "1": (1.0, 68), "2": (2.0, 71)}.items():
    kept = sampling.keep_top_p(logits / T, 0.9).isfinite().sum()
    measure(claim, kept, between=(size, size), name=f"nucleus-{name}", what=f"words in the p = 0.9 nucleus at T = {T}")
first = sampling.keep_top_p(logits / 0.5, 0.9).isfinite().sum()
last = (sampling.keep_top_p(logits, 0.9) / 0.5).isfinite().sum()
measure(claim, first, between=(8, 8), name="order-temperature-first", what="kept, temperature 0.5 first")
measure(claim, last, between=(68, 68), name="order-nucleus-first", what="kept, nucleus first, then temperature 0.5")
# %%
claim = "temp-t1-as-is"
difference = (sampling.apply_temperature(logits, 1.0).softmax(-1) - logits.softmax(-1)).abs().max()
measure(claim, difference, between=(0, 0), name="difference", what="change at T = 1")
try:
    sampling.apply_temperature(logits, 0.0)
except ValueError as error:
    print(error)

# %% [markdown]
r"""
Multiplying by 2 cools instead of warming. Scaling the probabilities does nothing at all. And the order counts: with the
temperature first, the nucleus is chosen from the reshaped law. At T = 0 there is nothing to divide by; libraries either
refuse, as here, or switch to greedy.

*Verdicts. `temp-scaling-factor`: imprecise, the logits are divided and the network is untouched. `temp-t1-as-is`:
holds, exactly.*

The last sentence of the notes on warmth is that *no word has a clear advantage*. What happens to the tail?
"""

# %%
# sabotage: temp-none-advantage/tail70-t05: (p.log() / T) => (p / T)
claim = "temp-none-advantage"


def tail_mass(n, T):
    """Mass beyond the ten likeliest words when 0.67 is spread evenly over n words."""
    p = torch.cat([table[:4], torch.full((n,), 0.67 / n, dtype=torch.float64)])
    return (p.log() / T).softmax(-1).sort(descending=True).values[10:].sum()


odds = at(2.0)[0] / at(2.0)[1]
measure(claim, odds, between=(1.414, 1.4143), name="odds-t2", what="cake over donut at T = 2", unit="to 1")
# %%
expected = {
    (70, "05"): 0.102,
    (70, "1"): 0.613,
    (70, "2"): 0.797,
    (67_000, "05"): 0.000133,
    (67_000, "1"): 0.67,
    (67_000, "2"): 0.995,
}
for (n, T), about in expected.items():
    mass, name = tail_mass(n, {"05": 0.5, "1": 1, "2": 2}[T]), f"tail{n}-t{T}"
    what = f"mass beyond the top ten, {n:,} tail words, T = {T.replace('05', '0.5')}"
    measure(claim, mass, between=(0.98 * about, 1.02 * about), name=name, what=what)

# %% [markdown]
r"""
The order never changes: cake stays first, by √2 to 1 over donut. But with 67,000 tail words, about as many as a real
vocabulary has, T = 2 hands nearly everything to words that were each nearly impossible. That is what incoherent text
is made of.

*Verdict on `temp-none-advantage`: holds, with the caveat that the tail, not the top, is what goes wrong.*

## 5. Top-k

Keep the k likeliest words, drop the rest, share the mass among those kept
([Fan and others, 2018](../chapters/bibliography.md)).

**Exercise 2** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def keep_top_k(logits, k):
    """Return the logits with all but the k largest of each row set to -inf; what ties with the k-th is kept."""
    ### BEGIN SOLUTION
    kth_largest = logits.topk(k).values[..., -1:]
    return logits.masked_fill(logits < kth_largest, float("-inf"))
    ### END SOLUTION


check("keep_top_k", keep_top_k)

# %% [markdown]
r"""
**Predict.** With k = 3 on the table, what is the probability of cake?
"""

# %%
# sabotage: topk-example-order/others: sampling.keep_top_k(logits, 3).expand => logits.expand
three = sampling.keep_top_k(logits, 3).softmax(-1)
claim = "topk-definition"
measure(claim, table[:3].sum(), between=(0.32, 0.32), name="kept-mass", what="mass of the three kept words")
for word, p, exact in zip(words, three, (0.625, 0.3125, 0.0625), strict=False):
    measure(claim, p, between=(exact, exact), name=word, what=f"{word} after k = 3")
tied = sampling.keep_top_k(torch.tensor([0.4, 0.2, 0.2, 0.2]).log(), 3)
measure(
    claim, tied.isfinite().sum(), between=(4, 4), name="tie-kept", what="words kept by k = 3 when three tie for second"
)
draws = sampling.sample(sampling.keep_top_k(logits, 3).expand(10_000, -1), torch.Generator().manual_seed(4))
others = (draws > 2).sum()
measure("topk-example-order", others, between=(0, 0), name="others", what="other words in 10,000 draws with k = 3")
# sabotage: topk-definition/cake: keep_top_k(logits, 3).softmax => keep_top_k(logits, 4).softmax

# %%
# sabotage: topk-variability/flat-kept-mass: table[:3].sum() => three[:3].sum()
# sabotage: topk-limits-sampling/kept-sum: **setting).softmax(-1).sum() => **setting).exp().sum()
claim = "topk-variability"
flat = table[:3].sum()
peaked = torch.tensor([0.95, 0.03, 0.015, 0.005], dtype=torch.float64)
measure(claim, flat, between=(0.32, 0.32), name="flat-kept-mass", what="mass kept by k = 3, dessert table")
kept = peaked[:3].sum()
measure(claim, kept, between=(0.995, 0.995), name="peaked-kept-mass", what="mass kept by k = 3, a peaked law")
claim = "topk-limits-sampling"
sums = [sampling.filter_logits(logits, **setting).softmax(-1).sum() for setting in ({"top_k": 3}, {"top_p": 0.3})]
measure(claim, min(sums), between=(1, 1), name="kept-sum", what="sum after a cut and renormalising")
# %% [markdown]
r"""
The same k keeps a third of one law and all but half a percent of another. A fixed number of words is too few where the
model is unsure and too many where it is sure.

*Verdicts. `topk-limits-sampling`, `topk-example-order`: hold. `topk-definition`, `topk-variability`: hold with caveats,
ties and the fixed k.*

## 6. Top-p

So let the number of words follow the law. **Nucleus sampling**, or top-p, keeps the *smallest* set of words whose mass
*reaches* p ([Holtzman and others, 2020](../chapters/bibliography.md)). The word that crosses the threshold belongs to
it. The notes say it differently: keep the likeliest words as long as their mass is *at most* p.

**Predict.** On the table, what do the two rules keep at p = 0.15?
"""


# %%
def at_most(p, mass):
    """How many of the likeliest words the notes' wording keeps."""
    return int((p.cumsum(-1) <= mass).sum())


def nucleus(p, mass):
    """How many words the nucleus holds."""
    return int(sampling.keep_top_p(p.log(), mass).isfinite().sum())


claim = "topp-definition"
for P, (literal, correct) in {0.15: (0, 1), 0.25: (1, 2), 0.31: (2, 3)}.items():
    name = f"{P * 100:03.0f}"
    measure(
        claim, at_most(table, P), between=(literal,) * 2, name=f"literal-{name}", what=f"kept by the notes, P = {P}"
    )
    measure(claim, nucleus(table, P), between=(correct,) * 2, name=f"nucleus-{name}", what=f"in the nucleus, p = {P}")
# sabotage: topp-definition/nucleus-015: nucleus(table, P) => at_most(table, P)

# %%
sure = torch.tensor([0.95, 0.03, 0.02], dtype=torch.float64)
measure(
    claim,
    at_most(sure, 0.9),
    between=(0, 0),
    name="literal-peaked",
    what="kept of 0.95, 0.03, 0.02 by the notes, P = 0.9",
)
measure(claim, nucleus(sure, 0.9), between=(1, 1), name="nucleus-peaked", what="in the nucleus, p = 0.9")
measure(
    claim, nucleus(table, 0.9), between=(68, 68), name="nucleus-090", what="words in the p = 0.9 nucleus of the table"
)
# %% [markdown]
r"""
The notes' rule can keep *nothing*, and it does so exactly where the model is most sure. Their own example hides that:
p = 0.30 on 0.20 + 0.10, which meets the threshold to the last digit. Does it?
"""

# %%
# sabotage: topp-example-030/fraction: Fraction("0.2") + Fraction("0.1") => Fraction(0.2) + Fraction(0.1)
claim = "topp-example-030"
pair = ["0.2", "0.1"]
kept = {
    "float64": sum(np.cumsum(np.array(pair, dtype=np.float64)) <= np.float64("0.3")),
    "float32": sum(np.cumsum(np.array(pair, dtype=np.float32)) <= np.float32("0.3")),
    "fraction": sum(s <= Fraction("0.3") for s in (Fraction("0.2"), Fraction("0.2") + Fraction("0.1"))),
}
for number, (name, count) in zip((1, 2, 2), kept.items(), strict=True):
    measure(claim, int(count), between=(number, number), name=name, what=f"words with mass at most 0.30, in {name}")
measure(claim, 0.2 + 0.1 - 0.3, between=(5e-17, 6e-17), name="excess", what="0.2 + 0.1 - 0.3 in float64")
for precision, p in {"float64": table, "float32": table.float()}.items():
    what = f"words in the p = 0.30 nucleus of the table, in {precision}"
    measure(claim, nucleus(p, 0.30), between=(2, 3), name=f"nucleus-{precision}", what=what, digits=1)
# %% [markdown]
r"""
In double precision 0.2 + 0.1 is a little more than 0.3, so a literal program of the notes' rule drops donut. In single
precision it keeps it. The nucleus is no better off: whether the sum of a softmax "reaches" 0.30 is decided by its last
digit, and by the order in which the program adds. Never put an example on the boundary.

*Verdicts. `topp-definition`: wrong. `topp-example-030`: imprecise, right by luck and only in some arithmetic.*

**Exercise 3** (20 minutes, difficulty 3 of 5, 4 points). Sort, sum, cut, and put everything back in its place.
"""


# %% exercise
def keep_top_p(logits, p):
    """Return the logits with all words outside the nucleus set to -inf.

    The nucleus of a row is the smallest set of its likeliest words whose probability reaches p. Each row has its own.
    """
    ### BEGIN SOLUTION
    descending, order = logits.sort(dim=-1, descending=True)
    probabilities = descending.softmax(dim=-1)
    mass_before = probabilities.cumsum(dim=-1) - probabilities
    removed = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, mass_before >= p)
    return logits.masked_fill(removed, float("-inf"))
    ### END SOLUTION


check("keep_top_p", keep_top_p)

# %% [markdown]
r"""
## 7. Min-p

A newer rule cuts relative to the best word: keep what is at least p times as likely as the likeliest word
([Nguyen and others, 2025](../chapters/bibliography.md)).

**Exercise 4** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def keep_min_p(logits, p):
    """Return the logits with all words less likely than p times the likeliest one of their row set to -inf."""
    ### BEGIN SOLUTION
    probabilities = logits.softmax(dim=-1)
    smallest = p * probabilities.max(dim=-1, keepdim=True).values
    return logits.masked_fill(probabilities < smallest, float("-inf"))
    ### END SOLUTION


check("keep_min_p", keep_min_p)

# %%
claim = "since-min-p"
for law_name, p in {"flat": table, "peaked": sure}.items():
    for T_name, T in {"05": 0.5, "1": 1.0, "2": 2.0}.items():
        kept = sampling.keep_min_p(p.log() / T, 0.15).isfinite().sum().item()
        expected = {"flat": {"05": 2, "1": 2, "2": 80}, "peaked": {"05": 1, "1": 1, "2": 2}}[law_name][T_name]
        what = f"words kept by min-p 0.15, {law_name} law, T = {T}"
        measure(claim, kept, between=(expected, expected), name=f"{law_name}-{T_name}", what=what)
# sabotage: since-min-p/flat-2: p.log() / T => p.log()

# %% [markdown]
r"""
Min-p follows the model's confidence, like top-p, but looks at one ratio rather than a sum. Warm the flat table and it
lets everything in; on the peaked law even T = 2 keeps two words.

Move the three sliders. The first row that disappears tells you which rule is at work.
"""

# %%
sampling_explorer(words, logits.tolist(), shown=6)

# %% [markdown]
r"""
The figure computes in your browser. Here are the same three settings on the lab's own function: in a notebook with a
running kernel you see sliders, and the cell's code runs at each move. The page of the book has no kernel and shows the
first result alone. Change the code as you like, for instance to print the words that were cut.
"""


# %%
def kept(temperature=0.7, top_k=80, top_p=0.9):
    p = sampling.filter_logits(logits, temperature=temperature, top_k=top_k, top_p=top_p).softmax(-1)
    print(f"{int((p > 0).sum())} of {len(words)} words can be drawn, the most likely ones:")
    for value, place in zip(*p.topk(4), strict=True):
        print(f"{words[place]:8} {value:.4f}")


controls(kept, temperature=(0.1, 3.0, 0.1), top_k=(1, 80, 1), top_p=(0.05, 1.0, 0.05))

# %% [markdown]
r"""
## 8. The loop, and when it stops

Text comes from a loop: ask the model for logits, choose a token, append it, repeat. It ends at a **stop token** or at a
limit, **max new tokens**, whichever comes first. In the notes the name of the end token has vanished, because it was
written in angle brackets and taken for markup.

**Exercise 5** (15 minutes, difficulty 3 of 5, 3 points).
"""


# %% exercise
def complete(next_logits, prompt, max_new_tokens, stop_token):
    """Extend a prompt greedily, and return the list of all tokens, those of the prompt included.

    `prompt` is a list of tokens. `next_logits(tokens)` returns the logits [vocab] of the token after the list `tokens`.
    Stop after `max_new_tokens` new tokens, or after `stop_token`, which belongs to the result. Leave `prompt` as it is.
    """
    ### BEGIN SOLUTION
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        tokens.append(int(next_logits(tokens).argmax()))
        if tokens[-1] == stop_token:
            break
    return tokens
    ### END SOLUTION


check("complete", complete)

# %%
# sabotage: inf-max-new-tokens/early-50: max_new_tokens=50, stop_token=STOP => max_new_tokens=50
claim = "inf-max-new-tokens"
start = torch.from_numpy(world.prompt("")).to(device()).expand(400, -1)
short = sampling.generate(model, start, max_new_tokens=5, stop_token=STOP, generator=generator)
long = sampling.generate(model, start, max_new_tokens=50, stop_token=STOP, generator=generator)
measure(claim, short.lengths.max(), between=(5, 5), name="longest-5", what="longest output, limit 5", unit="tokens")
cut = np.mean([reason == sampling.MAX_NEW_TOKENS for reason in short.reasons])
early = np.mean([reason == sampling.STOP_TOKEN for reason in long.reasons])
measure(claim, cut, between=(0.5, 0.95), name="cut-5", what="share of outputs cut in mid-sentence at 5")
measure(claim, early, between=(0.95, 1), name="early-50", what="share that stop by themselves before 50")
mean = long.lengths.double().mean()
measure(claim, mean, between=(6, 11), name="mean-50", what="mean length, limit 50", unit="tokens")


# %%
class EndsAtFour:
    """A model of three words that puts all probability on word 2 once four positions have been seen."""

    def __call__(self, tokens):
        end = torch.arange(1, tokens.shape[1] + 1) >= 4
        return torch.where(end[:, None], torch.tensor([0.0, 0.0, 99.0]), torch.tensor([1.0, 0.0, -99.0])).expand(
            1, -1, -1
        )


short = sampling.generate(EndsAtFour(), torch.tensor([[0]]), max_new_tokens=20, stop_token=2, greedy=True)
print("ended by:", short.reasons[0])
measure(
    "inf-eos-lost", short.lengths[0], between=(4, 4), name="length", what="tokens under a limit of 20", unit="tokens"
)
# sabotage: inf-eos-lost/length: stop_token=2 => stop_token=1

# %% [markdown]
r"""
*Verdicts. `inf-max-new-tokens`: holds; the limit is a ceiling, counts new tokens only, and cuts wherever it falls.
`inf-eos-lost`: the missing word is the end-of-sequence token.*

## 9. Quality against diversity

Now all settings at once. Three numbers each, which only a known language can give:

- **errors**: the share of sentences that break the grammar;
- **distinct-3**: the share of different 3-grams among all 3-grams that were written;
- **distance**: the total variation between the law that was sampled from and the true law, averaged over positions.

**Predict.** Which setting comes closest to the real language? Which makes the fewest errors?
"""

# %%
size = {"cpu": 200, "gpu": 2000}[profile()]
real = world.sample(size, 63, seed=5)
tokens = torch.from_numpy(real.tokens).to(device())
with torch.no_grad():
    model_logits = model(tokens[:100]).double().cpu()
true_law = torch.from_numpy(world.next_token_law(real.tokens[:100]))
settings = {"random": {}, "greedy": {"top_k": 1}, "minp": {"min_p": 0.05}}
settings |= {f"t{T * 10:02.0f}": {"temperature": T} for T in (0.5, 0.8, 1.5)}
settings |= {f"k{k}": {"top_k": k} for k in (5, 20)}
settings |= {f"p{100 * p:.0f}": {"top_p": p} for p in (0.5, 0.9, 0.99)}
settings |= {"t15-p90": {"temperature": 1.5, "top_p": 0.9}, "t15-minp": {"temperature": 1.5, "min_p": 0.05}}
print(settings)


# %%
def quality(documents):
    """Errors and distinct-3 of documents. A sentence that the end cuts off counts only if it has an error."""
    counts = world.parse(documents).sentence_errors
    last = np.arange(counts.shape[1]) == (counts >= 0).sum(1, keepdims=True) - 1
    whole = (counts >= 0) & ~(last & (counts == 0))
    grams = [tuple(row[i : i + 3]) for row in documents[:200].tolist() for i in range(1, len(row) - 2)]
    return 100 * (counts[whole] > 0).mean(), len(set(grams)) / len(grams)


def distance(**setting):
    """Total variation between the filtered model and the true law."""
    sampled_from = sampling.filter_logits(model_logits, **setting).softmax(-1)
    return ((sampled_from - true_law).abs().sum(-1) / 2).mean().item()


# %%
opening = tokens[:, :4]  # real beginnings, so that greedy does not write one document again and again
plane = {"real": (*quality(real.tokens), 0.0)}
for name, setting in settings.items():
    made = sampling.generate(model, opening, max_new_tokens=60, generator=generator, **setting).tokens
    plane[name] = (*quality(made.cpu().numpy()), distance(**setting))
beams = sampling.beam_search(model, opening[:40], width=4, max_new_tokens=30).tokens[:, 0]
plane["beam"] = (*quality(beams.cpu().numpy()), math.nan)


# %%
def measure_point(key, errors, distinct, far):
    """Record a setting's three numbers; `errors` is a range, the others are the centres of one."""
    claim, setting = key.split("/")
    found, name = plane[setting], f"plane-{setting}"
    measure(
        claim, found[0], between=errors, name=f"{name}-errors", what=f"{setting}: sentences with an error", unit="%"
    )
    around = (round(distinct - 0.04, 3), round(distinct + 0.04, 3))
    measure(claim, found[1], between=around, name=f"{name}-distinct3", what=f"{setting}: distinct-3")
    if far:
        around = (round(0.7 * far, 4), round(1.3 * far, 4))
        measure(claim, found[2], between=around, name=f"{name}-tv", what=f"{setting}: distance to the true law")


# %%
measure_point("inf-greedy-vs-random-undefined/real", (0, 0), 0.507, None)
measure_point("inf-greedy-vs-random-undefined/greedy", (0, 0.3), 0.044, 0.582)
measure_point("inf-greedy-vs-random-undefined/beam", (0, 1), 0.195, None)
measure_point("inf-greedy-vs-random-undefined/random", (0.3, 1.5), 0.504, 0.0165)
measure_point("temp-higher-more-random/t05", (0, 0.3), 0.316, 0.243)
measure_point("temp-higher-more-random/t08", (0, 0.8), 0.467, 0.078)
measure_point("temp-higher-more-random/t15", (9, 16), 0.531, 0.125)

# %%
measure_point("topk-variability/k5", (0, 1.2), 0.293, 0.248)
measure_point("topk-variability/k20", (0, 1.3), 0.465, 0.079)
measure_point("topp-definition/p50", (0, 0.3), 0.19, 0.349)
measure_point("topp-definition/p90", (0, 1), 0.483, 0.069)
measure_point("topp-definition/p99", (0, 1), 0.502, 0.0176)
measure_point("temp-scaling-factor/t15-p90", (0.1, 1.6), 0.497, 0.118)
measure_point("since-min-p/minp", (0, 1), 0.472, 0.055)
measure_point("since-min-p/t15-minp", (0.1, 1.6), 0.508, 0.117)

# %%
claim = "topp-definition"


def impossible_mass(**setting):
    """Percent of the probability that falls on words which cannot come, averaged over positions."""
    sampled_from = sampling.filter_logits(model_logits, **setting).softmax(-1)
    return 100 * sampled_from[true_law == 0].sum().item() / (true_law.shape[0] * true_law.shape[1])


# %%
before_cut, after_cut = impossible_mass(), impossible_mass(top_p=0.99)
measure(
    claim, before_cut, between=(0.05, 0.2), name="impossible-random", what="mass on impossible words at T = 1", unit="%"
)
removed = 100 * (1 - after_cut / before_cut)
measure(
    claim, removed, between=(50, 80), name="errors-removed", what="of that, removed by p = 0.99", unit="%", digits=2
)
cost = plane["p99"][2] - plane["random"][2]
measure(
    claim, cost, between=(-0.004, 0.004), name="distance-added", what="distance to the true law that it adds", digits=1
)
# sabotage: topp-definition/errors-removed: top_p=0.99 => top_p=1.0

# %%
for name, (p, cut_between, wrong_between) in {
    "99": (0.99, (0.2, 0.5), (10, 35)),
    "90": (0.9, (5, 8), (0.3, 3)),
}.items():
    cut = model_logits.softmax(-1) * sampling.keep_top_p(model_logits, p).isinf()
    mass = 100 * cut.sum(-1).mean()
    what = f"mass that p = {p} cuts, averaged over positions"
    measure(claim, mass, between=cut_between, name=f"cut-{name}", what=what, unit="%", digits=2)
    wrong = 100 * cut[true_law == 0].sum() / cut.sum()
    what = "of that, on impossible words"
    measure(claim, wrong, between=wrong_between, name=f"cut-{name}-impossible", what=what, unit="%", digits=2)

# %%
# alt: Errors against distinct-3. The language has no errors and a distinct-3 of 0.51; p99 lies closest to it.
kind = dict.fromkeys("gb", "maximisation") | dict.fromkeys("t", "temperature") | dict.fromkeys("kpm", "filter")
families = {name: "filter" if "-" in name else kind.get(name[0], "whole law") for name in plane}
points = {name: (distinct, errors) for name, (errors, distinct, _) in plane.items()}
xlabel, ylabel = "distinct-3 (share of different 3-grams)", "sentences with an error (%)"
ax = plotting.plane(points, families, xlabel=xlabel, ylabel=ylabel)

# %% [markdown]
r"""
In the names, t15 is T = 1.5, p99 is p = 0.99, and "random" is T = 1 without a filter. Left is dull, up is wrong.
Greedy and beam search make almost no mistakes and say little. A high temperature says more than the language itself,
and about one sentence in ten is wrong. The filters move left along the floor.

Look for the point that is nearest to the language in *both* directions: it is p = 0.99. It removes more
than half of the mass that random sampling puts on impossible words, and adds almost nothing to the distance from the
true law. Not because it cuts only mistakes: four fifths of what it cuts could have come. But it cuts little, a third of
a percent, and mistakes are far more common in that sliver than in the law as a whole. At p = 0.9 it cuts twenty times
as much and finds hardly more of them.

## 10. Why T = 1

If the model is good, sampling at T = 1 should be closest to the language. **Cross-entropy** to the true law says by how
much: it counts the nats per word that a reader needs who expects the model's law while the truth is the world's. It is
smallest when the two agree, and cannot fall below the entropy of the language, the **floor**.
"""

# %%
claim = "temp-t1-as-is"


def cross_entropy(T):
    """Nats per token of the model at temperature T, under the true law."""
    return -(true_law * (model_logits / T).log_softmax(-1)).sum(-1).mean().item()


floor, unit = torch.special.entr(true_law).sum(-1).mean().item(), "nats per token"
measure(claim, floor, between=(1.85, 2.0), name="floor", what="entropy of the language here", unit=unit, digits=4)

# %%
for name, T in {"ce-08": 0.8, "ce-1": 1.0, "ce-12": 1.2}.items():
    above = {0.8: (1.005, 1.05), 1.0: (1, 1.006), 1.2: (1.005, 1.05)}[T]
    between = tuple(round(floor * factor, 3) for factor in above)
    what = f"cross-entropy at T = {T}"
    measure(claim, cross_entropy(T), between=between, name=name, what=what, unit=unit, digits=4)
candidates = np.arange(0.8, 1.21, 0.02)
best = min(candidates, key=cross_entropy)
measure(claim, best, between=(0.96, 1.04), name="best", what="temperature with the least cross-entropy", digits=2)
# sabotage: temp-t1-as-is/best: key=cross_entropy => key=lambda T: -cross_entropy(T)

# %% [markdown]
r"""
At T = 1 the model speaks as it has learned. Any other temperature is a choice to depart from the data: cooler for fewer
mistakes, warmer for more variety.

Does that go for other models? Where there is a GPU, a decoder with 27 times as many weights learns the language, in
half precision.
"""

# %%
if profile() == "gpu":
    torch.manual_seed(0)
    big = Decoder(Config(vocab_size=world.vocab_size, d_model=256, n_heads=8, n_layers=4)).to(device())
    read = torch.from_numpy(world.sample(128 * 1000, 63, seed=6).tokens)
    with metered(claim, tokens=read.numel()):
        batches = read.split(128).__getitem__
        train(big, batches, lambda m, t: causal_loss(m(t), t), steps=1000, lr=2.6e-3, precision=dtype())
    with torch.no_grad():
        big_logits = big(tokens[:100]).double().cpu()
    above, what = kl_to_law(true_law, big_logits), "a bigger model at T = 1: cross-entropy above the floor"
    measure(claim, above, between=(0, 0.1), name="above-big", what=what, unit=unit)
    best = min(candidates, key=lambda T: kl_to_law(true_law, big_logits / T))
    measure(claim, best, between=(0.9, 1.1), name="best-big", what="its temperature with the least", digits=2)
else:
    print("In the gpu profile this cell trains a model of 3.2 million weights on 8 million tokens.")

# %% [markdown]
r"""
## 11. Speculative decoding

Large models are slow because they make one token a step. **Speculative decoding** lets a small model q propose a token
and the large model p check it: accept with probability min(1, p/q), otherwise draw from what p has left over,
max(0, p − q), renormalised ([Leviathan and others, 2023](../chapters/bibliography.md)).

**Predict.** Is the result distributed as p, or somewhere between p and q?
"""

# %%
claim = "since-speculative"
generator_cpu = torch.Generator().manual_seed(6)
p, q = torch.randn(2, 8, dtype=torch.float64, generator=generator_cpu).softmax(-1)
n = 100_000
proposed = torch.multinomial(q, n, replacement=True, generator=generator_cpu)
accepted = torch.rand(n, dtype=torch.float64, generator=generator_cpu) < (p / q)[proposed]
left_over = (p - q).clamp(min=0)
replacement = torch.multinomial(left_over / left_over.sum(), n, replacement=True, generator=generator_cpu)
result = torch.where(accepted, proposed, replacement)
overlap = torch.minimum(p, q).sum().item()

# %%
share = accepted.double().mean()
measure(claim, share, between=(0.36, 0.39), name="acceptance", what="share of proposals accepted")
measure(claim, share - overlap, between=(-0.01, 0.01), name="gap", what="share accepted minus overlap")
measure(claim, overlap, between=(0.37, 0.38), name="overlap", what="overlap of the two laws, the sum of min(p, q)")
far = (result.bincount(minlength=8) / n - p).abs().sum() / 2
measure(claim, far, between=(0, 0.01), name="tv", what="total variation between the result and p")
# sabotage: since-speculative/tv: result.bincount => proposed.bincount

# %% [markdown]
r"""
Exactly p. The small model changes the speed and never the text: what is accepted and what is put right add up to
min(p, q) + max(0, p − q) = p. The gain depends on how often the two agree, the overlap.

## With a real model

In the `gpu` profile, or when you ask for it, the next cells load GPT-2 (`openai-community/gpt2`: 124 million
parameters, 549 MB, licence MIT) and run the same functions on it: first beside those of the `transformers` library,
then for their texts.

**Predict.** GPT-2 chooses among 50,257 tokens. How many does a nucleus of 0.9 leave after "For dessert we had the"?
"""

# %%
if loaded := hub.offer("decoder", dtype=torch.float32):
    gpt2, tokenizer = loaded
    text = torch.tensor([tokenizer.encode("For dessert we had the")], device=device())
    ours = sampling.generate(sampling.HuggingFaceModel(gpt2), text, max_new_tokens=40, greedy=True).tokens
    settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    theirs = gpt2.generate(text, attention_mask=torch.ones_like(text), max_new_tokens=40, **settings)
    print("greedy, 40 tokens: the same as generate():", torch.equal(ours, theirs))

# %%
from transformers import MinPLogitsWarper, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

others = {"temperature": (0.7, TemperatureLogitsWarper), "top_k": (40, TopKLogitsWarper)}
others |= {"top_p": (0.9, TopPLogitsWarper), "min_p": (0.05, MinPLogitsWarper)}
if loaded:
    with torch.no_grad():
        scores = gpt2(text).logits[:, -1]
    for name, (value, warper) in others.items():
        kept = sampling.filter_logits(scores, **{name: value})
        apart = (kept.softmax(-1) - warper(value)(text, scores).softmax(-1)).abs().max()
        print(f"{name} = {value}: {int(kept.isfinite().sum())} tokens left, largest difference {apart:.1e}")

# %%
if loaded:
    for setting in ({"greedy": True}, {"top_p": 0.9}, {"temperature": 1.5}):
        made = sampling.generate(sampling.HuggingFaceModel(gpt2), text, max_new_tokens=80, **setting).tokens[0].tolist()
        print(setting, f"seen before: {seen_before(made):.2f}", tokenizer.decode(made), sep="\n", end="\n\n")

# %% [markdown]
r"""
What carries over from the small model to large ones: the arithmetic of every filter, the order of operations, the
circle of greedy text ([Holtzman and others, 2020](../chapters/bibliography.md)). What does not: the best
setting. It depends on how good the model is and on what the text is for.

## What you have shown

- The notes' tables cannot come from one model at several temperatures.
- Their top-p rule keeps nothing exactly where the model is most sure; nucleus sampling keeps at least one word.
- Temperature divides logits, keeps the order, and moves mass between the top and the tail.
- A mild cut (p = 0.99) removes more than half of what cannot come, at almost no cost; a strong one pays more for
  hardly more. Maximising probability makes dull text.
- A model that has learned its language speaks it best at T = 1.

## Where to go next

The chapter on [sampling](../chapters/05_sampling.md) proves what you measured, and ends with a quiz. Change a number in
this lab, the p of a plane setting, say, and see which range refuses.
"""
