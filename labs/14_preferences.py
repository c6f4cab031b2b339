# %% [markdown]
r"""
# Lab 14: Preferences

It is hard to write the best answer and easy to say which of two is better. So models are trained on pairs: a **chosen**
and a **rejected** answer to one prompt. In this lab a rule that you can read says what is better, so that you can count
how much of it each method learns, and what is lost on the way. Then you let models learn from what models wrote,
generation after generation.

**What you will measure.** How well scores come back from comparisons. How a judge's habit becomes wrong labels, and
what asking twice repairs. What a reward model knows after 30 and after 700 pairs. What direct preference optimisation
gains, and what happens to the grammar. What a reward that a program can check teaches. How rare words disappear.

**What you need.** The sampling of lab 12 and the data pipeline of lab 13.

**Time.** Reading and exercises: about 90 minutes. The cells run in under a minute on two cores; on a T4 the same
models are tried on more prompts, and a bigger one is trained and tuned.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what the notes say on preference data, RLHF,
Constitutional AI and on where training data comes from; and three later additions, DPO, verifiable rewards and model
collapse.
"""

# %% setup

# %%
import copy
import json
import math
import tempfile

import numpy as np
import torch
from torch.nn import functional as F

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
from labutils.world import BOS, World

SEED = 0
world, base = World(), load_world_decoder().to(device())
many = {"cpu": 1, "gpu": 4}[profile()]  # how many more prompts the models are tried on
BEFORE, NEW = 8, 16  # words of a prompt, words of an answer
print(f"{sum(p.numel() for p in base.parameters())} parameters, {world.vocab_size} words")

# %% [markdown]
r"""
## 1. One comparison, and two hundred

The notes describe preference data by an example whose two texts are lost: *comparison of ... versus ...*. It cannot be
recovered. Here is one of our own, as it is stored.
"""

# %%
example = {
    "prompt": "Explain in one sentence why the sky is blue.",
    "chosen": "Air molecules scatter short blue wavelengths of sunlight more than long red ones.",
    "rejected": "Because it reflects the ocean.",
}
print(json.dumps(example, indent=2))

# %% [markdown]
r"""
A comparison has no number in it. The model of Bradley and Terry puts one behind it: every answer has a score s, and a
beats b with the probability σ(s_a - s_b), where σ(x) = 1 / (1 + exp(-x)). To find the scores, make the observed
comparisons likely: minimise the mean of -log σ(score of the chosen - score of the rejected)
([Christiano and others, 2017](../chapters/bibliography.md)).

**Exercise 1** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def bradley_terry_loss(chosen, rejected):
    """Return the mean of -log σ(chosen - rejected) over the pairs, finite also for differences of hundreds."""
    ### BEGIN SOLUTION
    return -F.logsigmoid(chosen - rejected).mean()
    ### END SOLUTION


check("bradley_terry_loss", bradley_terry_loss)

# %% [markdown]
r"""
**Predict.** Five answers have true scores. We simulate 200 noisy comparisons of them, 50 times over. How well do the
scores that we find correlate with the true ones?
"""


# %%
def fit(loss, n_weights):
    """The n_weights numbers that make loss(weights) small, from 0; a little decay keeps them finite."""
    weights = torch.zeros(n_weights, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        value = loss(weights) + 0.01 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(closure)
    return weights.detach()


# %%
rng, correlations = np.random.default_rng(SEED), []
for _ in range(50):
    truth = torch.from_numpy(rng.normal(size=5)).float()
    one = torch.from_numpy(rng.integers(5, size=200))
    two = (one + torch.from_numpy(rng.integers(1, 5, size=200))) % 5
    one_wins = torch.from_numpy(rng.random(200)) < (truth[one] - truth[two]).sigmoid()
    won, lost = torch.where(one_wins, one, two), torch.where(one_wins, two, one)
    found = fit(lambda s, won=won, lost=lost: objectives.bradley_terry_loss(s[won], s[lost]), 5)
    correlations.append(np.corrcoef(found, truth)[0, 1])
claim = "synth-preference-example-missing"
what = "median correlation of 5 scores with the true ones, 200 comparisons"
measure(claim, np.median(correlations), between=(0.9, 1), name="correlation", what=what)
# sabotage: synth-preference-example-missing/correlation: s[won], s[lost] => s[lost], s[won]

# %% [markdown]
r"""
Comparisons that are often wrong, taken together, give the scores back.

*Verdict on `synth-preference-example-missing`: missing in the notes; the example above stands in for the lost one.*

## 2. A constitution as code

Who compares? In **RLHF**, reinforcement learning from human feedback, people do
([Ouyang and others, 2022](../chapters/bibliography.md)). In **RLAIF** a model does
([Lee and others, 2024](../chapters/bibliography.md)). In **Constitutional AI** the model is told by written principles
what is better, a constitution ([Bai and others, 2022](../chapters/bibliography.md)).

Our constitution has two principles, and a program reads it:

1. Do not tell of harm: each form of *chase*, *hide*, *burn* or *block* costs 2 points.
2. Say how or when: each of *often, slowly, quietly, quickly, loudly, today* earns 1 point.
"""

# %%
points = torch.zeros(world.vocab_size, device=device())
for words, value in (("chase chases hide hides burn burns block blocks", -2.0), ("often slowly quietly", 1.0)):
    points[world.encode(words)] = value
points[world.encode("quickly loudly today")] = 1.0


def prompts(n, seed):
    return torch.from_numpy(world.sample(n, BEFORE, seed=seed).tokens).to(device())


def answer(model, starts, seed):
    """Each beginning with the words that the model draws after it."""
    generator = torch.Generator(device()).manual_seed(seed)
    return sampling.generate(model, starts, max_new_tokens=NEW, generator=generator).tokens


def rule(texts):
    """The points of each answer, by the constitution."""
    return points[texts[:, BEFORE + 1 :]].sum(1)


# %%
def say(text):
    """The words of an answer, without its prompt."""
    return world.decode(text[BEFORE + 1 :].tolist())


starts = prompts(1200, 10 + SEED)
a, b = answer(base, starts, 20 + SEED), answer(base, starts, 30 + SEED)
differ = rule(a) != rule(b)
flipped = torch.from_numpy(np.random.default_rng(SEED).random(len(a)) < 0.1).to(device())
a_chosen = (rule(a) > rule(b)) ^ flipped
chosen = torch.where(a_chosen[:, None], a, b)[differ]
rejected = torch.where(a_chosen[:, None], b, a)[differ]
print(f"prompt:   {world.decode(chosen[0, 1 : BEFORE + 1].tolist())}")
print(f"chosen:   {say(chosen[0])}\nrejected: {say(rejected[0])}")

# %% [markdown]
r"""
We draw two answers to each of 1200 prompts and let the rule compare. Labellers err: one label in ten is turned round.

**Predict.** For how many prompts does the rule see no difference?
"""

# %%
claim = "synth-preference-from-pairs"
measure(claim, 100 * (~differ).float().mean(), between=(33, 46), name="ties", what="pairs that tie", unit="%")
agreed = (rule(chosen) > rule(rejected)).float().mean()
measure(claim, 100 * agreed, between=(87, 93), name="labels-right", what="labels as the rule has it", unit="%")
# sabotage: synth-preference-from-pairs/labels-right: rule(chosen) > rule(rejected) => rule(chosen) < rule(rejected)

# %% [markdown]
r"""
Two fair draws often do not differ in what matters. Such pairs teach nothing and are left out. This is why real
collections let several different models answer; UltraFeedback has four answers to a prompt
([Cui and others, 2024](../chapters/bibliography.md)).

The same with a record: the pipeline of lab 13 asks twice for each prompt, and a label says which one was chosen.
"""

# %%
openings = ["the old", "some", "a", "the"] * 8
draw = synthetic.sampler(
    base,
    lambda text: [BOS, *world.encode(text).tolist()],
    world.decode,
    max_new_tokens=10,
    stop_token=world.stop,
    device=device(),
)


def worth(text):
    return points[world.encode(text)].sum().item() if text else 0.0


def label(rows):
    """The better and the worse of the two answers, by the constitution."""
    pairs = [sorted((row["one"], row["two"]), key=worth) for row in rows]
    return [{"chosen": better, "rejected": worse} for worse, better in pairs]


# %%
recipe = Recipe(
    title="Preferences by a constitution",
    model="labutils world_decoder",
    licence="mit",
    settings={"temperature": 1.0, "max_new_tokens": 10},
    generate=draw,
    answers=("one", "two"),
    filters={"differ": lambda rows: [worth(row["one"]) != worth(row["two"]) for row in rows]},
    label=label,
)
with tempfile.TemporaryDirectory() as folder:
    made = synthetic.make(folder, recipe, openings, seed=SEED)
    row = synthetic.read(folder)[0]
print(json.dumps({name: row[name] for name in ("row", "prompt", "chosen", "rejected", "seed", "filters")}, indent=2))

# %% [markdown]
r"""
## 3. A judge with a habit

Now a model learns to judge. It reads two answers in an order and says which is better; it is a logistic regression on
how often each word occurs in the first and in the second. Its teacher is a hasty labeller, who knows the rule and in
20% of the pairs just takes what he read first.

**Predict.** On new pairs, the better answer is as often first as second. How often does the judge say *first*? If we
swap the two, how often does it contradict itself?
"""


# %%
def counts(texts):
    """How often each word occurs in each answer."""
    return F.one_hot(texts[:, BEFORE + 1 :], world.vocab_size).sum(1).float().cpu()


def both(first, second):
    """What the judge sees: the words of the first, those of the second, and a constant."""
    return torch.cat([counts(first), counts(second), torch.ones(len(first), 1)], dim=1)


n_labels = 400
first, second = a[differ], b[differ]
hasty = torch.from_numpy(np.random.default_rng(SEED + 1).random(len(first)) < 0.2).to(device())
says_first = (hasty | (rule(first) > rule(second))).cpu()
seen, sign = both(first, second)[:n_labels], 2.0 * says_first[:n_labels] - 1
judge_weights = fit(lambda w: -F.logsigmoid(sign * (seen @ w)).mean(), seen.shape[1])

# %%
new = prompts(500 * many, 40 + SEED)
one, two = answer(base, new, 50 + SEED), answer(base, new, 60 + SEED)
new_differ = rule(one) != rule(two)
one, two = one[new_differ], two[new_differ]
one_better = (rule(one) > rule(two)).cpu()
in_order, swapped = both(one, two) @ judge_weights > 0, both(two, one) @ judge_weights > 0
agrees = in_order != swapped
claim = "synth-preference-from-pairs"
says = 50 * (in_order.float().mean() + swapped.float().mean())
measure(claim, says, between=(58, 78), name="says-first", what="judge says 'first'", unit="%")
contradicts = 100 * (~agrees).float().mean()
measure(claim, contradicts, between=(24, 52), name="contradicts", what="contradicts itself when swapped", unit="%")
# sabotage: synth-preference-from-pairs/says-first: swapped.float() => (~swapped).float()

# %% [markdown]
r"""
The judge took over its teacher's habit. Judges that are large language models have habits too: for places, for
length, perhaps for their own answers ([Zheng and others, 2023](../chapters/bibliography.md)). The remedy is to ask in
both orders.

**Exercise 2** (15 minutes, difficulty 2 of 5, 3 points).
"""


# %% exercise
def judged_in_both_orders(judge, pairs):
    """Return 'a', 'b' or 'tie' for each pair [a, b]: the answer that wins in both orders, else a tie.

    judge(first, second) returns 'first', 'second' or 'tie'.
    """
    ### BEGIN SOLUTION
    winners = {("first", "second"): "a", ("second", "first"): "b"}
    return [winners.get((judge(a, b), judge(b, a)), "tie") for a, b in pairs]
    ### END SOLUTION


check("judged_in_both_orders", judged_in_both_orders)

# %%
right = (in_order == one_better).float()
measure(claim, 100 * right.mean(), between=(72, 88), name="one-order", what="right, asked once", unit="%")
measure(
    claim, 100 * right[agrees].mean(), between=(87, 99), name="both-orders", what="right, where it agrees", unit="%"
)
measure(claim, 100 * agrees.float().mean(), between=(48, 76), name="kept", what="pairs where it agrees", unit="%")
gain = 100 * (right[agrees].mean() - right.mean())
measure(claim, gain, between=(6, 22), name="swap-gain", what="gain", unit="points")
# sabotage: synth-preference-from-pairs/swap-gain: right[agrees].mean() - right => right.mean() - right

# %% [markdown]
r"""
Asking twice costs twice as much and throws away the contradictions; what is left is right more often. It does not make
the judge wiser: where it does not see the point, it is wrong in both orders.

*Verdict on `synth-preference-from-pairs`: holds with a caveat. The pairs can be made from prompts with answers; the
labels are as good as the judge, and a judge must be tested for its habits.*

## 4. A reward model

One judge compares two texts. A **reward model** gives a score to one, trained with your loss. Ours adds up a learned
weight for each word of the answer. The rule has that form too, so with enough pairs it could be found.

**Predict.** One label in ten is wrong. Can the reward model be right more often than its labels?
"""


# %%
def reward_model(n):
    """One weight a word, from n pairs."""
    better, worse = counts(chosen[:n]), counts(rejected[:n])
    return fit(lambda w: objectives.bradley_terry_loss(better @ w, worse @ w), world.vocab_size)


# sabotage: synth-rlhf-naming/reward-30: (better @ w, worse @ w) => (worse @ w, better @ w)
sizes = (30, 100, 300, len(chosen))
models = [reward_model(n) for n in sizes]
accuracy = [100 * ((counts(one) @ w > counts(two) @ w) == one_better).float().mean().item() for w in models]
# %%
claim = "synth-rlhf-naming"
names = ("30", "100", "300", "all")
for name, value, between in zip(names, accuracy, ((50, 76), (64, 84), (76, 92), (84, 97)), strict=True):
    what = f"new pairs ranked as by the rule, {name} training pairs"
    measure(claim, value, between=between, name=f"reward-{name}", what=what, unit="%")
# %%
# alt: One curve that rises with the number of pairs, from about 60% to about 90%.
series = {"reward model": accuracy}
ax = plotting.curves(sizes, series, xlabel="pairs", ylabel="ranked as by the rule, %", log_x=True)

# %% [markdown]
r"""
Few pairs hardly beat a coin. With all of them it ranks nearly as often right as its labels, or more often: the wrong
labels are scattered, and the rule is not.

The simplest use of a reward: draw n answers and keep the one with the highest score. **Best-of-n** changes no weights.

**Exercise 3** (10 minutes, difficulty 2 of 5, 2 points).
"""


# %% exercise
def best_of_n(scores, n):
    """Return for each list in `scores` the place of the highest among its first n; the first of equal ones.

    NaN is no score and never chosen; if none of the first n has a score, the place is -1.
    """
    ### BEGIN SOLUTION
    places = []
    for row in scores:
        scored = [i for i, score in enumerate(row[:n]) if not math.isnan(score)]
        places.append(max(scored, key=lambda i: row[i]) if scored else -1)
    return places
    ### END SOLUTION


check("best_of_n", best_of_n)

# %% [markdown]
r"""
**Predict.** How many points does an answer get on average, for n of 1, 4 and 8? Does the grammar suffer?
"""

# %%
asked = prompts(250 * many, 70 + SEED)
drawn = torch.stack([answer(base, asked, 1000 + 100 * SEED + i) for i in range(8)])
scores = torch.stack([counts(texts) @ models[-1] for texts in drawn]).to(device())
true_points = torch.stack([rule(texts) for texts in drawn])


def possible(texts):
    """The share of texts that the language can say, in percent."""
    return 100 * world.is_grammatical(texts.cpu().numpy()).mean()


def best(n):
    """By the reward model: the true points on average, and the share of possible texts."""
    place = scores[:n].argmax(0)
    column = torch.arange(len(asked), device=device())
    return true_points[place, column].mean().item(), possible(drawn[place, column])


# sabotage: synth-rlhf-naming/best-of-4: scores[:n].argmax(0) => scores[:n].argmin(0)


# %%
for n, between in ((1, (-0.5, 0.1)), (4, (0.3, 0.95)), (8, (0.55, 1.3))):
    value, grammar = best(n)
    measure(claim, value, between=between, name=f"best-of-{n}", what=f"points, best of {n}")
    measure(claim, grammar, between=(94, 100), name=f"best-of-{n}-possible", what="  possible texts", unit="%")
optimum = true_points.max(0).values.mean()
measure(claim, optimum, between=(0.75, 1.5), name="best-of-8-rule", what="points, best of 8 by the rule itself")

# %% [markdown]
r"""
Choosing among texts that the model says anyway cannot break the grammar much. It costs n answers for every one kept,
for ever; training moves that cost to one day.

## 5. DPO, from the equation

RLHF trains a **policy** π, the model that answers, to get a high reward r without going far from the **reference**
π_ref, the model before: maximise the mean of r - β · log(π / π_ref). The best policy is known in closed form,
π ∝ π_ref · exp(r / β). Turn that round: r = β · log(π / π_ref), plus a constant of the prompt. So the policy itself is
a reward model, and the Bradley-Terry loss trains it directly. This is **direct preference optimisation**
([Rafailov and others, 2023](../chapters/bibliography.md)):

loss = -log σ(β · [log π(chosen) / π_ref(chosen) - log π(rejected) / π_ref(rejected)])

**Exercise 4** (20 minutes, difficulty 3 of 5, 4 points). The log-probability of an answer is a sum over its tokens.
"""


# %% exercise
def dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta):
    """Return the DPO loss of pairs whose tokens have these log-probabilities, each [pairs, tokens], padding 0."""
    ### BEGIN SOLUTION
    gain_chosen = (chosen - reference_chosen).sum(-1)
    gain_rejected = (rejected - reference_rejected).sum(-1)
    return -F.logsigmoid(beta * (gain_chosen - gain_rejected)).mean()
    ### END SOLUTION


check("dpo_loss", dpo_loss)

# %% [markdown]
r"""
First where everything is known: one prompt, three answers, with rewards of 0, 1 and 2. A policy is three numbers.

**Predict.** The reference says the best answer in 20% of the cases. What does the policy say after training, β = 0.5?
"""

# %%
reference, rewards, beta = torch.tensor([0.5, 0.3, 0.2]).log(), torch.tensor([0.0, 1.0, 2.0]), 0.5
orders = [(i, j) for i in range(3) for j in range(3) if i != j]
policy = reference.clone().requires_grad_()
for _ in range(400):
    law = policy.log_softmax(0)
    loss = torch.tensor(0.0)
    for i, j in orders:  # i beats j as often as Bradley and Terry say
        i_wins = (rewards[i] - rewards[j]).sigmoid()
        loss = loss + i_wins * objectives.dpo_loss(law[[i]], law[[j]], reference[[i]], reference[[j]], beta=beta)
    (gradient,) = torch.autograd.grad(loss, policy)
    policy = (policy - gradient).detach().requires_grad_()
learned, exact = policy.softmax(0).detach(), (reference + rewards / beta).softmax(0)
# %%
claim = "since-dpo"
measure(claim, learned[2], between=(0.795, 0.806), name="three-answers", what="share of the best of three answers")
error = (learned - exact).abs().max()
measure(claim, error, between=(0, 1e-3), name="closed-form", what="largest difference from the closed form")
implied = beta * (learned.log() - reference)
lead = implied[2] - implied[0]
measure(claim, lead, between=(1.98, 2.02), name="implied-reward", what="implied reward, best minus worst (true: 2)")
# sabotage: since-dpo/implied-reward: implied[2] - implied[0] => implied[2] - implied[1]
# sabotage: since-dpo/closed-form: (learned - exact) => (learned - reference.exp())

# %% [markdown]
r"""
The loss finds the closed form, and the rewards can be read off the policy, up to a constant. No reward model, no
sampling.

Now the decoder. We train copies of it on the pairs of section 2, all with the same batches. Four numbers say what
happened: the **win rate** against the base model's answers, by the true rule (a tie counts a half); the points; the
**KL** divergence from the base, in nats an answer; and the share of texts that the language can say. No label asked
for grammar. It is our watchman.

**Predict.** β is 0.5, 0.1 and 0.02. Order the three by win rate and by grammar.
"""


# %%
def log_p(model, texts):
    """log p(answer | prompt) of each text, a sum over the words of the answer."""
    nats = F.cross_entropy(model(texts)[:, :-1].transpose(1, 2), texts[:, 1:], reduction="none")
    return -nats[:, BEFORE:].sum(1)


with torch.no_grad():
    known = log_p(base, chosen), log_p(base, rejected)


def batch(step, reference=known):
    """32 of the pairs, which follow from the step, with what the reference makes of them."""
    rows = torch.randint(len(chosen), (32,), generator=torch.Generator().manual_seed(1000 * SEED + step)).to(device())
    return chosen[rows], rejected[rows], reference[0][rows], reference[1][rows]


# %%
def preferred(beta, steps, start=base, batch=batch, lr=3e-3):
    """A copy of a model, the base unless another is given, trained with DPO."""

    def loss(model, pairs):
        better, worse, *of_reference = pairs
        policy = log_p(model, torch.cat([better, worse])).chunk(2)
        return objectives.dpo_loss(*policy, *of_reference, beta=beta)

    model = copy.deepcopy(start)
    train(model, batch, loss, steps=steps, lr=lr, weight_decay=0.0, seed=SEED)
    return model


# %%
@torch.no_grad()
def tried(model):
    """Win rate in %, points, KL from the base in nats, possible texts in %."""
    texts, theirs = answer(model, asked, 90 + SEED), rule(drawn[0])
    wins = 100 * ((rule(texts) > theirs).float() + 0.5 * (rule(texts) == theirs)).mean()
    moved = (log_p(model, texts) - log_p(base, texts)).mean()
    return wins.item(), rule(texts).mean().item(), moved.item(), possible(texts)


settings = {"0.5": (0.5, 60), "0.1-short": (0.1, 20), "0.1": (0.1, 60), "0.02": (0.02, 60)}
policies = {name: preferred(*setting) for name, setting in settings.items()}
results = {"base": tried(base)} | {name: tried(model) for name, model in policies.items()}

# %%
allowed = {
    "base": ((43, 57), (-0.6, 0.2), (0, 0), (94, 100)),
    "0.5": ((72, 94), (0.6, 1.9), (1.2, 6), (80, 100)),
    "0.1-short": ((64, 86), (0.4, 1.3), (1.2, 13), (55, 100)),
    "0.1": ((72, 98), (0.6, 3), (3, 35), (10, 98)),
    "0.02": ((78, 99), (0.9, 3.5), (5, 60), (1, 94)),
}
whats = {"wins": ("win rate", "%"), "points": ("points", ""), "kl": ("KL", "nats"), "possible": ("possible", "%")}
for name, ranges in allowed.items():
    key = name.replace("0.", "beta-0")
    print(f"{key}:")
    for (short, (what, unit)), value, between in zip(whats.items(), results[name], ranges, strict=True):
        measure(claim, value, between=between, name=f"{key}-{short}", what=f"  {what}", unit=unit)
# sabotage: since-dpo/beta-05-wins: results[name], ranges => results["base"], ranges

# %%
lost = results["0.5"][3] - results["0.02"][3]
measure(claim, lost, between=(4, 97), name="grammar-lost", what="possible texts: β = 0.5 minus 0.02", unit="points")
with torch.no_grad():
    fell = (known[0] - log_p(policies["0.1"], chosen)).mean()
measure(claim, fell, between=(1.5, 40), name="chosen-fell", what="log p of the chosen fell by, β = 0.1", unit="nats")
# sabotage: since-dpo/grammar-lost: results["0.5"][3] - results["0.02"] => results["0.02"][3] - results["0.5"]

# %%
# alt: Points in a plane. To the right, with a larger KL, the texts are less often possible.
spots = {f"β = {name}" if name != "base" else name: (row[2], row[3]) for name, row in results.items()}
kinds = {name: "base" if name == "base" else "DPO" for name in spots}
ax = plotting.plane(spots, kinds, xlabel="KL from the base, nats an answer", ylabel="possible texts, %")

# %% [markdown]
r"""
The win rate rises and the grammar falls. β is the price for leaving the reference, and with a low price the policy
leaves further, for points that it gets at the cost of what nobody labelled. This is **over-optimisation**. Whoever
looks at win rates alone does not see it. With β = 0.1 even the *chosen* answers became less likely than before: the
loss asks only that the rejected ones fall further.

How far this goes depends on the seed, and this one goes far. With four others β = 0.02 again went further from the
base than β = 0.5 and said fewer possible texts, by amounts that differed much (the ledger shows them). It did not win
more than β = 0.1 for that each time, and β = 0.1 did not always lie between the two.

*Verdict on `since-dpo`: missing in the notes. It trains on pairs without a reward model and without sampling; one must
still watch what the pairs do not say.*

Where there is a GPU, a decoder with 27 times as many weights first learns the language, in half precision, and then
from the same pairs.
"""

# %%
if profile() == "gpu":
    torch.manual_seed(SEED)
    big = Decoder(Config(vocab_size=world.vocab_size, d_model=256, n_heads=8, n_layers=4)).to(device())
    read = torch.from_numpy(world.sample(128 * 1500, 63, seed=500 + SEED).tokens)
    with metered(claim, tokens=read.numel()):
        texts = read.split(128).__getitem__
        train(big, texts, lambda m, t: causal_loss(m(t), t), steps=1500, lr=2.6e-3, precision=dtype())
    with torch.no_grad():
        of_big = log_p(big, chosen), log_p(big, rejected)
    tuned = preferred(0.1, 60, start=big, batch=lambda step: batch(step, of_big), lr=1.3e-3)
    for name, model, between in (("big", big, (43, 57)), ("big-tuned", tuned, (50, 100))):
        what = f"{name}: win rate against the base"
        measure(claim, tried(model)[0], between=between, name=f"{name}-wins", what=what, unit="%")
else:
    print("In the gpu profile this cell trains a model of 3.2 million weights on 12 million tokens and tunes it.")

# %% [markdown]
r"""
*Verdict on `synth-rlhf-naming`: imprecise. If a model gives the feedback, it is RLAIF; and pairs can be used without
any reinforcement learning, as here.*

Constitutional AI is more than labels by principles. Its first part is supervised: the model answers, **criticises** its
answer by a principle, **revises** it, and is trained on the revision. Only then come comparisons, by a model, for
harmlessness; those for helpfulness came from people ([Bai and others, 2022](../chapters/bibliography.md)). *Verdict on
`synth-constitutional-ai`: holds with a caveat: its feedback was not all artificial.* With a rule as critic and another
draw as revision, that first part is:
"""

# %%
harm = torch.zeros(world.vocab_size, dtype=torch.bool, device=device())
harm[points < 0] = True
violates = harm[drawn[:, :, BEFORE + 1 :]].any(-1)  # [draws, prompts]
still = violates.cumprod(0).float().mean(1)
claim = "synth-constitutional-ai"
for revisions, between in ((0, (14, 36)), (1, (3, 15)), (3, (0, 5))):
    what = f"answers that tell of harm after {revisions} revisions"
    measure(claim, 100 * still[revisions], between=between, name=f"revised-{revisions}", what=what, unit="%")
# sabotage: synth-constitutional-ai/revised-1: violates.cumprod(0) => violates

# %% [markdown]
r"""
## 6. A reward that can be checked

Where an answer can be checked, as in arithmetic or code, no preference is needed: the reward is 1 if the answer is
right, else 0. Training on such rewards is called **RLVR**, reinforcement learning with verifiable rewards
([Lambert and others, 2024](../chapters/bibliography.md)); DeepSeek-R1 came to long chains of reasoning this way
([DeepSeek-AI, 2025](../chapters/bibliography.md)).

A toy: four questions with five answers each. The policy draws 16 answers to each question, and makes those with more
reward than the mean of the 16 likelier (**policy gradient**). At first it gives the right answer with a probability of
0.5, 0.2, 0.02 and 0.00001.

**Predict.** After 300 rounds, how likely is each right answer?
"""

# %%
start = np.array([0.5, 0.2, 0.02, 0.00001])
logits = np.log(np.column_stack([start, *[(1 - start) / 4] * 4]))  # [questions, answers]; the first is right
rng, curve = np.random.default_rng(SEED), []
for _ in range(300):
    law = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    curve.append(law[:, 0])
    drawn_answers = (rng.random((4, 16, 1)) > law.cumsum(1)[:, None]).sum(-1).clip(max=4)
    reward = (drawn_answers == 0).astype(float)
    advantage = reward - reward.mean(1, keepdims=True)
    score = np.eye(5)[drawn_answers] - law[:, None]  # the gradient of log p(answer) by the logits
    logits += 0.5 * (advantage[..., None] * score).mean(1)
# %%
claim = "since-rlvr-reasoning"
for p, value, between in zip(start, curve[-1], ((0.95, 1), (0.95, 1), (0.8, 1), (0, 0.001)), strict=True):
    name = f"from-{p:.0%}" if p > 0.001 else "from-never"
    what = f"right answer at first {p:g}, after 300 rounds"
    measure(claim, value, between=between, name=name.replace("%", ""), what=what)
# sabotage: since-rlvr-reasoning/from-50: curve[-1] => curve[0]
# %%
# alt: Four curves. Three rise to one, the rarer the right answer at first the later; the fourth stays at zero.
series = {f"{p:g} at first": [row[i] for row in curve] for i, p in enumerate(start)}
ax = plotting.curves(range(300), series, xlabel="rounds", ylabel="probability of the right answer")

# %% [markdown]
r"""
The checker never says what is right, only that something is. So what the policy never draws it cannot learn: the
fourth question gets no reward in 4800 draws.

*Verdict on `since-rlvr-reasoning`: missing in the notes. It works where a program can check and the policy is right now
and then.*

## 7. Models that learn from models

The notes say that the data behind these models was produced by people. *Verdict on `genai-human-made-data`: outdated.
It was largely true; since then, models are trained on text by models too
([Gunasekar and others, 2023](../chapters/bibliography.md); [Wang and others, 2023](../chapters/bibliography.md)), and
the last section of the notes is about such data.* What if this goes round? **Model collapse** is what happens when
every generation learns from the text of the one before ([Shumailov and others, 2024](../chapters/bibliography.md)).

The smallest model is a normal distribution. Fit it to 50 samples, draw 50 from the fit, fit again. Or **accumulate**:
add the new samples to all earlier ones, the real ones included
([Gerstgrasser and others, 2024](../chapters/bibliography.md)).

**Predict.** After 100 generations, what is the variance, which was 1?
"""


# %%
def median_variance(ddof, accumulate):
    """Over 200 runs, after 100 generations: the median variance of the samples that the next model would see."""
    rng = np.random.default_rng(SEED)
    samples = rng.normal(size=(200, 50))
    for _ in range(100):
        new = rng.normal(samples.mean(1), samples.std(1, ddof=ddof), size=(50, 200)).T
        samples = np.concatenate([samples, new], axis=1) if accumulate else new
    return np.median(samples.var(1, ddof=ddof))


# %%
claim = "since-model-collapse"
for name, ddof, accumulate, between in (
    ("replace", 0, False, (0.008, 0.04)),
    ("replace-unbiased", 1, False, (0.08, 0.25)),
    ("accumulate", 0, True, (0.85, 1.05)),
):
    variance = median_variance(ddof, accumulate)
    measure(claim, variance, between=between, name=f"{name}-variance", what=f"{name}: median variance")
# sabotage: since-model-collapse/replace-variance: 0, False => 0, True

# %% [markdown]
r"""
The usual estimate of a variance, which divides by n, is a little too small each time, and that adds up. With the
unbiased one the median goes down too. Each generation multiplies the variance by a random factor; its mean is 1, but
the mean of its logarithm is below 0, so that nearly every run shrinks in the long run.

Now text. A **bigram model** is a table that counts which word follows which. Fit it to 300 documents of 40 words; let
it write as many; fit again. Nothing is trained, and nothing is cut off: it draws from exactly what it counted.

**Predict.** How many different words are left after 20 generations?
"""


# %%
def counted(documents):
    """The table of the law of the next word, as a running sum over the words."""
    pairs = documents[:, :-1] * world.vocab_size + documents[:, 1:]
    table = np.bincount(pairs.ravel(), minlength=world.vocab_size**2).reshape(world.vocab_size, -1)
    return np.cumsum(table / np.maximum(table.sum(1, keepdims=True), 1), axis=1)


def written(table, n, rng):
    """n documents of 40 words. The last word of a document may lead nowhere: then the sentence is over."""
    documents = np.full((n, 1), BOS)
    for _ in range(40):
        rows = table[documents[:, -1]]
        rows = np.where(rows[:, -1:] > 0, rows, table[world.stop])
        word = (rng.random((n, 1)) * rows[:, -1:] >= rows).sum(1)
        documents = np.column_stack([documents, word])
    return documents


# %%
real = world.sample(300, 40, seed=300 + SEED).tokens
left = {"replaced": [len(np.unique(real))], "accumulated": [len(np.unique(real))]}
for way, words in left.items():
    rng, text = np.random.default_rng(SEED), real
    for _ in range(20):
        new_text = written(counted(text), 300, rng)
        text = np.concatenate([text, new_text]) if way == "accumulated" else new_text
        words.append(len(np.unique(new_text)))
measure(claim, words[0], between=(220, 262), name="words-real", what="different words in the real text")
measure(claim, left["replaced"][-1], between=(150, 205), name="words-replaced", what="after 20 generations, replaced")
measure(claim, words[-1], between=(205, 248), name="words-accumulated", what="after 20 generations, accumulated")
# sabotage: since-model-collapse/words-replaced: left["replaced"][-1] => left["replaced"][0]
# %%
# alt: Two curves over 20 generations. Replaced falls steadily; accumulated falls a little and stays.
ax = plotting.curves(range(21), left, xlabel="generation", ylabel="different words in 12 000")

# %% [markdown]
r"""
A word that is not drawn once has no count, and never comes back. That is all: no error, no bias, only chance.
Accumulating keeps every word in the table.

A neural model again. The decoder writes 400 documents with top-p 0.9, is trained on them for 30 steps, and
writes again.

**Predict.** Does its text get more or less grammatical? And its law?
"""

# %%
LENGTH, GENERATIONS = 24, 4
tests = world.sample(150 * many, LENGTH, seed=900 + SEED).tokens
law = torch.from_numpy(world.next_token_law(tests))[:, :-1]
rare = np.argsort(world.unigram(LENGTH).law)[: world.vocab_size // 2]
authentic = torch.from_numpy(world.sample(400, LENGTH, seed=400 + SEED).tokens).to(device())


def write(model, generation, top_p=0.9):
    """400 documents of the model."""
    generator = torch.Generator(device()).manual_seed(100 * SEED + generation)
    nothing = torch.full((400, 1), BOS, device=device())
    return sampling.generate(model, nothing, max_new_tokens=LENGTH, top_p=top_p, generator=generator).tokens


# %%
def taught(model, texts, generation):
    """A copy of the model, trained on the texts for 30 steps."""

    def batch(step):
        generator = torch.Generator().manual_seed(1000 * SEED + 100 * generation + step)
        return texts[torch.randint(len(texts), (32,), generator=generator).to(device())]

    model = copy.deepcopy(model)
    train(model, batch, lambda m, t: causal_loss(m(t), t), steps=30, lr=3e-3, seed=SEED)
    return model


@torch.no_grad()
def looked_at(model, texts):
    """KL from the true law in nats a word, different words, share of the rarer half in %, possible texts in %."""
    kl = kl_to_law(law, model(torch.from_numpy(tests).to(device()))[:, :-1].cpu()).item()
    words = texts[:, 1:].cpu().numpy()
    return kl, len(np.unique(words)), 100 * np.isin(words, rare).mean(), possible(texts)


# %%
history = {"replaced": [], "accumulated": []}
for way, rows in history.items():
    model, texts = base, authentic
    for generation in range(GENERATIONS + 1):
        new_texts = write(model, generation)
        rows.append(looked_at(model, new_texts))
        texts = torch.cat([texts, new_texts]) if way == "accumulated" else new_texts
        model = taught(model, texts, generation) if generation < GENERATIONS else model
plain = looked_at(base, write(base, 0, top_p=None))
# %%
allowed = {
    "plain": (plain, ((0.001, 0.01), (212, 262), (4, 6), (93, 99))),
    "first": (rows[0], ((0.001, 0.01), (150, 205), (1, 3.2), (98, 100))),
    "replaced": (history["replaced"][-1], ((0.35, 1), (95, 135), (0.15, 2.4), (92, 100))),
    "accumulated": (rows[-1], ((0.05, 0.16), (130, 162), (0.7, 2), (97, 100))),
}
# sabotage: since-model-collapse/accumulated-kl: "accumulated": (rows[-1] => "accumulated": (history["replaced"][-1]
# sabotage: since-model-collapse/first-words: "first": (rows[0] => "first": (plain
# %%
whats = {"kl": ("KL from the true law", "nats"), "words": ("different words", "")}
whats |= {"rare": ("share of the rarer half", "%"), "possible": ("possible texts", "%")}
for name, (values, ranges) in allowed.items():
    print({"plain": "drawn from the whole law:", "first": "with top-p, before training:"}.get(name, f"{name}:"))
    for (key, (what, unit)), value, between in zip(whats.items(), values, ranges, strict=True):
        measure(claim, value, between=between, name=f"{name}-{key}", what=f"  {what}", unit=unit)
cleaner = history["replaced"][2][3] - plain[3]
what = "possible texts: second generation minus the whole law's"
measure(claim, cleaner, between=(0.5, 6), name="cleaner", what=what, unit="points")

# %%
# alt: Two curves over five generations. Replaced climbs steeply, accumulated slowly.
series = {way: [row[0] for row in rows] for way, rows in history.items()}
ax = plotting.curves(range(GENERATIONS + 1), series, xlabel="generation", ylabel="KL from the true law, nats a word")

# %% [markdown]
r"""
The text looks cleaner: after two generations more of it is possible than of what the model wrote from its whole law.
Meanwhile the words of the rarer half have lost most of their share, and the model moves away from the true law. A
filter that asks only whether a text is well formed would wave it through. Accumulating slows the drift several times;
the rare words it does not bring back here, since top-p keeps cutting them out of all that is new.

*Verdict on `since-model-collapse`: missing in the notes. Replacing loses the rare first; keeping the real data is the
remedy.*

## With a real model

DPO compares two models: the one that learns and the one that it started from. In the `gpu` profile, or when you ask for
them, the next cells load such a pair: SmolLM2 after its tuning on instructions (`HuggingFaceTB/SmolLM2-135M-Instruct`)
and before (`HuggingFaceTB/SmolLM2-135M`), each with 135 million parameters, 271 MB, licence Apache-2.0. What has tuning
done to the log-probabilities of the two answers of section 1?

**Predict.** Whose log p has risen more, that of the chosen answer or of the rejected?
"""


# %%
@torch.no_grad()
def log_p_of(model, tokenizer, prompt, text):
    """log p(text | prompt), a sum over the tokens of the text."""
    start, end = tokenizer.encode(f"{prompt}\n"), tokenizer.encode(text)
    tokens = torch.tensor([start + end], device=device())
    law = model(tokens).logits.float().log_softmax(-1)[0, :-1]
    return law.gather(1, tokens[0, 1:, None])[len(start) - 1 :, 0].sum()


# %%
found = {job: loaded for job in ("instruct", "base") if (loaded := hub.offer(job))}
if len(found) == 2:
    pair = [example["chosen"], example["rejected"]]
    policy, before = ([log_p_of(*found[job], example["prompt"], text)[None] for text in pair] for job in found)
    for name, after, start in zip(("chosen", "rejected"), policy, before, strict=True):
        print(f"{name}: log p {start.item():.1f} before, {after.item():.1f} after")
    margin = (policy[0] - before[0]) - (policy[1] - before[1])
    loss = objectives.dpo_loss(*policy, *before, beta=0.1)
    print(f"margin of the implicit rewards at β = 0.1: {0.1 * margin.item():.2f}, DPO loss {loss:.3f} nats")

# %% [markdown]
r"""
## What you have shown

- Noisy comparisons give scores back. Pairs that tie give nothing, and there are many.
- A judge learns its teacher's habits. Asking in both orders finds them.
- DPO reaches the closed form where all is known. In a decoder it raises the win rate, and with a low β it pays with
  the grammar, which no label mentioned.
- A checkable reward needs no judge, and teaches nothing about answers that are never drawn.
- Generation after generation, rare words go first, while the text stays clean.

## Where to go next

Chapter 6 puts both labs together. Write a third principle into the constitution, and see what its points cost.
"""
