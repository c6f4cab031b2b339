# %% [markdown]
r"""
# Lab 10: In-context learning

Write three solved cases of a task into a prompt, and a language model can solve the fourth. Nothing in the model has
changed. This is **in-context learning**, and this lab takes it apart: what the instruction gives, what the examples
give, and how close a model comes to the best that anybody could do with them.

**What you will measure.** How the share of right answers depends on the number of examples, on the size of the model
and on how often it met the instruction. The exact curve of the best possible learner is drawn in. What happens if
labels are swapped or random, if the order changes, if an example is beside the point. And that the weights stay as
they are.

**What you need.** What a decoder does (lab 04), and Bayes' rule.

**Time.** Reading and exercises: about 110 minutes. The cells run in under a minute on two cores; on a T4 all models
are trained live.

**Claims settled** (see the [ledger](../chapters/ledger.md)): what a prompt is, X, Y and θ, in-context learning, and
everything the notes say on zero-, one- and few-shot prompts.
"""

# %% setup

# %%
import copy
import hashlib
import itertools
import re

import torch

# %%
from labutils import hub, plotting, sampling
from labutils.checks import check
from labutils.evidence import measure
from labutils.models import Config, Decoder
from labutils.prompting import few_shot_prompt, label_scores, log_probability, parse_answer
from labutils.runtime import device, profile
from labutils.task_mixture import GROUPS, NEVER, TaskMixture, bayes_accuracy, bayes_law, hits, label_logits, label_loss
from labutils.training import metered, train
from labutils.weights import IN_CONTEXT, about, load_in_context, load_world_decoder
from labutils.world import World

torch.set_num_threads(1)  # for models as small as these a second thread costs more than it brings

# %% [markdown]
r"""
## 1. A prompt is a string

A **prompt** is the text that a model is given to go on with. Three kinds have names
([Brown and others, 2020](../chapters/bibliography.md)). A **zero-shot** prompt asks, and shows no example
(`zero-shot-definition`: holds). A **one-shot** prompt shows one. A **few-shot** prompt shows several; GPT-3's authors
used as many as fitted, typically 10 to 100. The notes say "also one-shot" under the heading of few-shot, as if the two
were one (`few-shot-called-one-shot`: imprecise).

The notes announce a zero-shot prompt and do not show it, and they call its task "semantic classification". The task is
**sentiment** classification: is the review positive or negative (`zero-shot-semantic-classification`: wrong)? The
public notes that they follow have the prompt: a request to classify *I loved this movie!*, and then the word
*Sentiment* with a colon ([Agarwal, 2023](../chapters/bibliography.md)).

**Exercise 1** (10 minutes, difficulty 1 of 5, 2 points). An example has two lines, `Review: ` with its text and
`Sentiment: ` with its label. The query has the same two lines, up to the colon after *Sentiment*: no label and no space
behind it. An empty line stands between instruction, examples and query.
"""


# %% exercise
def write_prompt(instruction, examples, query):
    """Return the prompt: the instruction, if not empty; the examples [text, label]; the query, without a label."""
    ### BEGIN SOLUTION
    parts = [instruction] if instruction else []
    parts += [f"Review: {text}\nSentiment: {label}" for text, label in examples]
    return "\n\n".join([*parts, f"Review: {query}\nSentiment:"])
    ### END SOLUTION


check("write_prompt", write_prompt)

# %%
template = "Review: {input}\nSentiment: {output}"
request = "Classify this review."
shown = [("I loved this movie!", "positive"), ("The seat is hard and the fabric ugly.", "negative")]
query = "I don't like this chair."
prompts = {shots: few_shot_prompt(request, shown[:shots], query, template=template) for shots in (0, 1, 2)}
print(prompts[1])

# %% [markdown]
r"""
This is the notes' example: one positive review with its label, and the question for a negative one. Look at the end of
the string. It stops where the label belongs, and no space follows.

**Predict.** A chat model gets a list of messages instead of a string. What does the model see of the list?
"""


# %%
def chat_template(messages):
    """What a chat template does: roles become special tokens, and the answer's beginning is written already."""
    turns = [f"<|{role}|>\n{text}<|end|>\n" for role, text in messages]
    return "".join(turns) + "<|assistant|>\n"


turns = [("user", f"{request}\n\nReview: {shown[0][0]}"), ("assistant", shown[0][1]), ("user", f"Review: {query}")]
whole = chat_template([("system", "Answer with one word."), *turns])
print(whole)

# %%
claim = "prompting-definition"
words = {"typed": len(query.split()), "one-shot": len(prompts[1].split()), "chat": len(whole.split())}
measure(claim, words["typed"], between=(5, 5), name="typed", what="words that the user typed")
measure(claim, words["one-shot"], between=(17, 17), name="one-shot", what="words of the one-shot prompt around them")
measure(claim, words["chat"], between=(24, 24), name="chat", what="words and marks of the same as a chat")
# sabotage: prompting-definition/one-shot: prompts[1] => prompts[2]

# %% [markdown]
r"""
A string again: the model sees one row of tokens. Every chat model has a template of its own, which comes with its
tokenizer ([Wolf and others, 2020](../chapters/bibliography.md)); an example can be a pair of turns that never took
place.

*Verdict on `prompting-definition`: holds with a caveat. The input text is the prompt, but it is not only what somebody
typed.*

## 2. X, Y and θ

A language model is one function: the probability $P(Y \mid X; \theta)$ of an output Y, given an input X and weights
θ. The notes define "a prompt" through all three letters. Only X is the prompt. Y is what comes out, and θ stays.

The decoder that comes with the course was trained on a small language in which reviews occur. It can be asked the
missing prompt as it stands.

**Predict.** How probable are *positive* and *negative* as the next word?
"""

# %%
world, model = World(), load_world_decoder()


@torch.no_grad()
def label_log_p(text, labels=("positive", "negative")):
    """log P(label | text) for each label, by the decoder of the world."""
    rows = torch.cat([torch.from_numpy(world.prompt(f"{text} {label}")) for label in labels])
    return log_probability(model(rows), rows, rows.shape[1] - 1).double()


claim = "zero-shot-prompt-missing"
missing = "classify this review : i loved this movie ! sentiment :"
p = label_log_p(missing).exp()
measure(claim, p[0], between=(0.98, 1), name="positive", what="probability of positive")
measure(claim, p[1], between=(0, 0.02), name="negative", what="probability of negative")
# sabotage: zero-shot-prompt-missing/positive: i loved this => i hated this

# %% [markdown]
r"""
*Verdict on `zero-shot-prompt-missing`: shown and run. It needs no example, because such reviews were in the training
text.*

Usually a model writes text, and the label must be found in it. That is harder than it looks: a model may begin with
"The answer is", write *Positive!*, or answer and then go on with reviews of its own.

**Exercise 2** (15 minutes, difficulty 2 of 5, 3 points). Upper and lower case are the same. A label counts only as a
whole word: *unlikely* does not name *likely*. Where two labels begin at the same place, the longer one is meant.
"""


# %% exercise
def read_label(completion, labels):
    """Return the label that the completion names first, as spelled in the list `labels`, or '' if it names none."""
    ### BEGIN SOLUTION
    longest_first = sorted(labels, key=len, reverse=True)
    either = "|".join(re.escape(label.lower()) for label in longest_first)
    found = re.search(rf"(?<!\w)({either})(?!\w)", completion.lower())
    return next(label for label in labels if label.lower() == found[1]) if found else ""
    ### END SOLUTION


check("read_label", read_label)

# %%
asked = torch.from_numpy(world.prompt("classify this review : i do not like this chair ! sentiment :"))
written = sampling.generate(model, asked, max_new_tokens=12, greedy=True).tokens[0, asked.shape[1] :]
completion = world.decode(written)
print(completion, "->", parse_answer(completion, ["positive", "negative"]))

# %% [markdown]
r"""
Now the two levers on one probability. The review *this movie was not awful!* is an unsure case: in the language such a
review is positive in 75% of the cases. First change X with θ fixed. Then fix X and let θ take one step of gradient
descent towards *negative*.

**Predict.** Which of the two changes the weights, and which the probability?
"""


# %%
def fingerprint(model):
    """A number that changes if any weight changes in any bit."""
    digest = hashlib.sha256()
    for weight in model.state_dict().values():
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()


# %%
claim = "prompt-xy-theta-definition"
before = fingerprint(model)
unsure = "classify this review : this movie was not awful ! sentiment :"
fixed = label_log_p(unsure).exp()[0]
other = label_log_p(unsure.replace("not awful", "awful")).exp()[0]
measure(claim, fixed, between=(0.7, 0.8), name="fixed", what="P(positive) for the unsure review")
measure(claim, other, between=(0, 0.03), name="other-x", what="the same θ, X without 'not'")
changed = int(fingerprint(model) != before)
measure(claim, changed, between=(0, 0), name="theta-after-x", what="weights changed by the prompt")

# %%
student = copy.deepcopy(model)
rows = torch.from_numpy(world.prompt(f"{unsure} negative"))
loss = -log_probability(student(rows), rows, rows.shape[1] - 1).mean()
loss.backward()
with torch.no_grad():
    for weight in student.parameters():
        weight -= 0.1 * weight.grad
    moved = student(rows)[0, -2].softmax(-1)[world.encode("positive")[0]].item()
measure(claim, moved, between=(0, 0.6), name="other-theta", what="the same X after one step on θ")
changed = int(fingerprint(student) != before)
measure(claim, changed, between=(1, 1), name="theta-after-step", what="weights changed by the step")
# sabotage: prompt-xy-theta-definition/other-theta: 0.1 * weight.grad => 0 * weight.grad
# sabotage: prompt-xy-theta-definition/theta-after-step: fingerprint(student) => fingerprint(model)

# %% [markdown]
r"""
*Verdict on `prompt-xy-theta-definition`: wrong. X, Y and θ define the model. Prompting chooses X; training chooses θ.*

Do examples help this model? The exact law of the language says that they cannot: its reviews do not depend on each
other.

**Predict.** Put a positive example before the unsure review, or a negative one, or four. How far does the
probability move?
"""

# %%
claim = "icl-definition"
good = "classify this review : i loved this movie ! sentiment : positive . "
bad = "classify this review : i hated this movie ! sentiment : negative . "
moves = [abs(label_log_p(prefix + unsure).exp()[0] - fixed).item() for prefix in (good, bad, good + bad, 4 * good)]
measure(claim, max(moves), between=(0, 0.05), name="world", what="largest move by examples, decoder of the world")
law = [world.law_after(text)[world.encode("positive")[0]] for text in (unsure, good + unsure, 4 * good + unsure)]
measure(claim, max(law) - min(law), between=(0, 1e-9), name="world-law", what="the same by the exact law")
# sabotage: icl-definition/world: (prefix + unsure) => (prefix + missing)

# %% [markdown]
r"""
They do nothing, and that is right. Where the training text has taught all there is to know about a task, examples have
nothing to add. To see them at work we need tasks that the model does *not* know.

## 3. A mixture of tasks

Our tasks are small enough to be computed. A prompt is an instruction of two words, and then reviews of one word, each
with its label. There are 24 review words, half of them praise, and 16 labels, which are names of plants. **Each
instruction has a label of its own for praise and one for blame**, drawn at random. Nothing in its words tells which.
"""

# %%
mixture = TaskMixture()
for task in (0, 1, 699):
    print(f"{mixture.law[task]:.4f} of the prompts:", mixture.dictionary[task])
prompt = few_shot_prompt(
    "judge cakes", [("superb", "iris"), ("dull", "lily")], "great", template="{input} {output}", separator=" "
)
print("a prompt:", prompt, "| the answer:", "iris")
exposures = 64 * 2000 * mixture.law
for name, group in GROUPS.items():
    seen = exposures[group.start : group.stop] if name != "never" else [0]
    print(f"{name}: {len(group)} instructions, {max(seen):.0f} to {min(seen):.0f} prompts each in training")

# %% [markdown]
r"""
So there are two ways to know a label: to have learned the instruction by heart (zero-shot), or to read it off the
examples (few-shot). The mixture keeps them apart. The best reader who does *not* know the instruction can be written
down: it begins with all pairs of labels, and keeps those that agree with the examples.

**Predict.** After one example, how often is that reader right?

**Exercise 3** (15 minutes, difficulty 3 of 5, 3 points). Praise has one label and blame another. Before any example all
such pairs are equally likely. `tones` and `labels` are those of the examples, which are all right; both count from 0.
"""


# %% exercise
def label_law(tones, labels, query_tone, n_labels):
    """The exact law of the query's label, a list of `n_labels` probabilities. Tone 0 is praise, tone 1 is blame."""
    ### BEGIN SOLUTION
    meaning = dict(zip(tones, labels, strict=True))
    if query_tone in meaning:
        return [float(label == meaning[query_tone]) for label in range(n_labels)]
    left = [label for label in range(n_labels) if label not in meaning.values()]
    return [float(label in left) / len(left) for label in range(n_labels)]
    ### END SOLUTION


check("label_law", label_law)

# %%
claim = "few-shot-multiple"
tests = {name: mixture.sample(1000, 10**6, tasks=group) for name, group in GROUPS.items()}
unknown = tests["never"]
labels = unknown.tokens[:, 3::2] - mixture.label_tokens[0]
bayes = bayes_accuracy(bayes_law(unknown.tones, labels), labels).mean(0)
for k, between in {0: (0.06, 0.065), 1: (0.5, 0.56), 2: (0.72, 0.78), 4: (0.92, 0.96), 8: (0.99, 1)}.items():
    measure(claim, bayes[k], between=between, name=f"bayes-{k}", what=f"best possible share of right answers, k = {k}")
# sabotage: few-shot-multiple/bayes-1: claim, bayes[k] => claim, bayes[max(k - 1, 0)]

# %% [markdown]
r"""
With k examples the reader knows the label for sure with probability $1 - 2^{-k}$, namely if an example has the tone of
the query. Each further example helps half as often as the one before: returns diminish, by arithmetic.

## 4. Watching it form

A decoder with two layers and 16 numbers a token (8,288 weights) is trained now, live, with the usual next-token loss on
the labels. We copy it every 100 steps.

**Predict.** Which comes first: knowing frequent instructions by heart, or reading the labels off the examples?
"""

# %%
STEPS, BATCH = 800, 64


def trained(d_model, lr, steps, noise=0.0, seed=0, copies=None):
    """A decoder trained on the mixture; `copies` collects it every 100 steps."""
    torch.manual_seed(seed)
    n_heads = 2 if d_model < 32 else 4
    model = Decoder(Config(vocab_size=mixture.vocab_size, d_model=d_model, n_heads=n_heads, max_len=32)).to(device())
    lessons = mixture.sample(steps * BATCH, 1 + seed, neutral=True, noise=noise).tokens

    def batch(step):
        if copies is not None and step % 100 == 0:
            copies[step] = copy.deepcopy(model).cpu()
        return lessons[step * BATCH : (step + 1) * BATCH]

    train(model, batch, label_loss, steps=steps, lr=lr)
    return model.cpu()


# %%
copies = {}
copies[STEPS] = trained(16, 1.6e-2, STEPS, copies=copies)
steps = sorted(copies)
course = {
    (name, k): [hits(copies[step], tests[name].tokens)[:, k].mean().item() for step in steps]
    for name, k in (("frequent", 0), ("rare", 0), ("rare", 8), ("never", 8))
}
claim = "few-shot-helps-small"
at = dict(zip(steps, course["never", 8], strict=True))
measure(claim, at[300], between=(0.35, 0.62), name="forming", what="never seen, 8 examples, after 300 steps")
measure(claim, at[800], between=(0.4, 1), name="formed", what="the same after 800 steps")
end = course["rare", 0][-1]
measure(claim, end, between=(0.05, 0.25), name="live-rare", what="rare instructions without examples, 800 steps")
# sabotage: few-shot-helps-small/forming: trained(16, 1.6e-2, => trained(16, 1.6e-4,

# %%
meant = torch.from_numpy(mixture.labels)[unknown.tasks]  # [prompts, 2]
with torch.no_grad():
    answers = label_logits(copies[300], unknown.tokens)[:, -1].argmax(-1)
named = (answers[:, None] == meant).any(1).double().mean()
measure(claim, named, between=(0.8, 1), name="forming-named", what="one of the prompt's two labels, after 300 steps")
# sabotage: few-shot-helps-small/forming-named: [unknown.tasks] => [unknown.tasks.flip(0)]

# %%
# alt: Right answers by training step. Few-shot on unseen tasks waits near one half, then jumps to nearly 1.
names = {("frequent", 0): "frequent, k = 0", ("never", 8): "never seen, k = 8", ("rare", 0): "rare, k = 0"}
lines = {names[key]: course[key] for key in names}
ax = plotting.curves(steps, lines, xlabel="training step", ylabel="right answers")

# %% [markdown]
r"""
Reading examples comes in two stages. After 300 steps the model has half of the answers right on instructions that it
has never seen. That is what one gets by naming one of the two labels that occur in the prompt, without a look at the
review. Then, within some hundred steps, it begins to match the review with the right label. When that begins is a
matter of luck: with one of five seeds it had not begun after 800 steps. The rare instructions, meanwhile, are hardly
known by heart.

## 5. Without examples

For models of four sizes the lab would train too long. They come trained, with 2000 steps each, by
`tools/train_in_context.py`. In the gpu profile the next cell trains them all.

**Predict.** Which accuracy has the largest model on instructions that it has never seen, without an example?
"""

# %%
recipes = {name: about(path)["training"] for name, path in IN_CONTEXT.items()}
for name, recipe in recipes.items():
    print(name, {key: recipe[key] for key in ("parameters", "steps", "lr", "noise", "cpu_seconds")})


def obtain(name):
    """The model of this name: trained here where there is a GPU, else loaded."""
    if profile() == "cpu":
        return load_in_context(name)
    recipe = recipes[name]
    return trained(int(name.split("_")[0]), recipe["lr"], recipe["steps"], recipe["noise"])


with metered("dec-zero-shot", tokens=sum(r["steps"] for r in recipes.values()) * BATCH * unknown.tokens.shape[1]):
    models = {name: obtain(name) for name in IN_CONTEXT}
sizes = ["8", "16", "32", "64"]

# %%
claim = "dec-zero-shot"
found = {(size, name): hits(models[size], tests[name].tokens) for size in sizes for name in GROUPS}
zero = {key: hit[:, 0].mean().item() for key, hit in found.items()}
allowed = {"8": (0.1, 0.25), "16": (0.28, 0.55), "32": (0.55, 0.8), "64": (0.85, 1)}
for size, between in allowed.items():
    what = f"rare instructions, no example, d_model = {size}"
    measure(claim, zero[size, "rare"], between=between, name=f"rare-{size}", what=what)
difference = found["64", "rare"][:, 0] - found["8", "rare"][:, 0]
draws = torch.randint(1000, (2000, 1000), generator=torch.Generator().manual_seed(0))
low, high = difference[draws].mean(1).quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
measure(claim, low, between=(0.6, 0.85), name="interval-low", what="largest minus smallest model, 95% interval from")
measure(claim, high, between=(0.65, 0.9), name="interval-high", what="to (bootstrap over the prompts)")
# sabotage: dec-zero-shot/rare-64: what = f"rare => zero["64", "rare"] = zero["64", "never"]; what = f"rare

# %%
# alt: A table of four sizes and four groups. Frequent instructions are known at every size, unseen ones at none.
ax = plotting.heatmap(
    [[zero[size, name] for name in GROUPS] for size in sizes],
    [f"d_model = {size}" for size in sizes],
    list(GROUPS),
    xlabel="instructions",
    ylabel="model",
    unit="right answers, k = 0",
    between=(0, 1),
)

# %%
claim = "zero-shot-small-fail-features"
worst = max(zero[size, "never"] for size in sizes)
measure(claim, worst, between=(0.03, 0.12), name="never", what="never seen, no example, best of the four sizes")
measure(claim, zero["8", "frequent"], between=(0.95, 1), name="small-frequent", what="frequent ones, smallest model")

# %%
few = range(64, 128)
short = mixture.sample(64 * 200, 5, shots=0, tasks=few).tokens
tuned = copy.deepcopy(models["8"]).to(device())
train(tuned, lambda step: short[64 * step : 64 * (step + 1)], label_loss, steps=200, lr=1e-2)
exam = mixture.sample(1000, 6, shots=0, tasks=few).tokens
who = {"untuned": (models["8"], (0.1, 0.6)), "tuned": (tuned.cpu(), (0.85, 1)), "largest": (models["64"], (0.85, 1))}
for name, (taught, between) in who.items():
    what = f"64 rare instructions, no example: {name}"
    measure(claim, hits(taught, exam).mean(), between=between, name=name, what=what)
for name, k, between in (("frequent", 0, (0.05, 0.5)), ("never", 8, (0.2, 0.8))):
    share = hits(tuned, tests[name].tokens)[:, k].mean()
    measure(claim, share, between=between, name=f"after-{name}", what=f"tuned, {name}, k = {k}")
# sabotage: zero-shot-small-fail-features/tuned: steps=200 => steps=1

# %% [markdown]
r"""
Without examples the four sizes differ where an instruction is rare. On frequent ones they are equal, and on unseen ones
too: there all of them guess, one in sixteen. Here a zero-shot answer is a memory of what the instruction means, and
memory takes weights or repetition. The smallest model, trained for 200 more steps on 64 of the rare instructions, knows
them as well as the largest: what was missing were lessons. But it has paid with what it knew before: the frequent
instructions are mostly forgotten, and reading examples is damaged. This tuning bought some tasks with others.

*Verdicts. `dec-zero-shot`: holds; a larger decoder knows more instructions. For real decoders see
[Radford and others, 2019](../chapters/bibliography.md) and [Wang and others, 2022](../chapters/bibliography.md).
`zero-shot-small-fail-features`: imprecise. What counts is the number of parameters ("features" are inputs), and more
than that what the model was tuned on: tuned on other instructions, a model of 137 billion parameters beat GPT-3 with
175 billion on most tasks, zero-shot ([Wei and others, 2022](../chapters/bibliography.md)). Our tuning taught the
very instructions that were asked, so it shows less than theirs.*

## 6. With examples

**Predict.** The same rare instructions with k examples. How many does the smallest model, which knows 1 in 6 of them,
need to have 90% right?
"""

# %%
claim = "few-shot-helps-small"
curve = {key: hit.mean(0) for key, hit in found.items()}
wanted = {0: (0.1, 0.25), 1: (0.5, 0.65), 2: (0.7, 0.83), 4: (0.91, 0.98), 8: (0.98, 1)}
for k, between in wanted.items():
    measure(claim, curve["8", "rare"][k], between=between, name=f"small-{k}", what=f"smallest model, rare, k = {k}")
for k, between in ((0, (0.85, 1)), (8, (0.99, 1))):
    measure(claim, curve["64", "rare"][k], between=between, name=f"large-{k}", what=f"largest model, rare, k = {k}")
claim = "few-shot-multiple"
gap = max((curve[size, "never"] - bayes).abs().max().item() for size in sizes)
measure(claim, gap, between=(0, 0.05), name="bayes-gap", what="largest distance to Bayes, all sizes, all k, never seen")
# sabotage: few-shot-helps-small/small-0: hit.mean(0) => hit.flip(1).mean(0)
# sabotage: few-shot-multiple/bayes-gap: - bayes) => - bayes.flip(0))

# %%
# alt: Right answers by the number of examples, rare instructions. Four sizes start far apart and meet at 8 examples.
examples = list(range(9))
lines = {f"d_model = {size}": curve[size, "rare"].tolist() for size in sizes}
lines["never seen, d_model = 8"] = curve["8", "never"].tolist()
lines["Bayes, instruction unknown"] = bayes.tolist()
ax = plotting.curves(examples, lines, xlabel="examples in the prompt", ylabel="right answers")

# %% [markdown]
r"""
Two surprises. First, on instructions that were never seen all four sizes lie on the curve of the best possible reader,
the model of 2,608 weights too: it cannot be done better, and so a larger model is not better. Second, on rare
instructions the larger models lie *above* that curve, because they use both sources.

That a model trained on a mixture of tasks behaves like a reader with Bayes' rule was proposed as an account of
in-context learning by [Xie and others (2022)](../chapters/bibliography.md). Here it is measured, for a mixture made for
it. In real text, nobody knows the curve.

*Verdict on `few-shot-helps-small`: holds with a caveat. In this mixture examples help the smallest model, and almost
make it equal. In GPT-3's experiments small models gained less from examples than large ones.*

## 7. Who gains more, the small or the large?

The notes sum up: large models are good without examples, small models need them. GPT-3's authors found that the gap
between zero-, one- and few-shot often *grows* with size ([Brown and others,
2020](../chapters/bibliography.md)). Can both be true?

**Predict.** The gain is the accuracy with 8 examples minus that without. Over the four sizes, does it grow or fall? And
over the training steps of the live model?
"""

# %%
claim = "few-shot-large-vs-small"
gain = {key: (c[8] - c[0]).item() for key, c in curve.items()}
for size, between in {"8": (0.7, 0.9), "16": (0.45, 0.7), "32": (0.2, 0.45), "64": (0, 0.15)}.items():
    measure(claim, gain[size, "rare"], between=between, name=f"rare-{size}", what=f"gain, rare, d_model = {size}")
spread = [gain[size, "never"] for size in sizes]
measure(claim, min(spread), between=(0.88, 1), name="never-least", what="gain, never seen, least of the sizes")
measure(claim, max(spread) - min(spread), between=(0, 0.06), name="never-spread", what="the same, largest less least")
growth = {step: course["rare", 8][i] - course["rare", 0][i] for i, step in enumerate(steps)}
for step, between in {100: (0.05, 0.42), 300: (0.25, 0.6), 800: (0.4, 0.95)}.items():
    measure(claim, growth[step], between=between, name=f"step-{step}", what=f"gain, rare, live model, step {step}")
# sabotage: few-shot-large-vs-small/rare-8: c[8] - c[0] => c[8]
# sabotage: few-shot-large-vs-small/step-100: course["rare", 8][i] - => course["rare", 0][i] -

# %%
# alt: Two rows of bars: the gain from examples falls with size, and grows with training.
ax = plotting.bars(
    {"gain": [gain[size, "rare"] for size in sizes] + [growth[step] for step in (100, 300, 800)]},
    [f"d_model = {size}" for size in sizes] + [f"live, step {step}" for step in (100, 300, 800)],
    unit="right answers, k = 8 minus k = 0",
)

# %% [markdown]
r"""
Both. A gain is a difference of two abilities. *Reading examples* is complete in all our finished models, and cannot
rise beyond the best reader; *knowing instructions* still grows with size. So across them the gain falls with size, as
the notes say. In the live model, reading examples is just forming while the rare instructions are still unknown. There
the gain grows as the model gets better, and it is the second reading that holds.

In GPT-3's experiments both accuracies rose with size, and the few-shot one faster. Our toy cannot say why, nor which
rises faster in another model. It shows that the sign of the difference is not a law of size.

*Verdict on `few-shot-large-vs-small`: imprecise. Both directions occur; for large language models GPT-3's is the one
that was measured.*

## 8. What do examples tell?

An example carries several messages: which labels there are, which one goes with what, what the inputs look like. In
pretrained models random labels in the examples cost surprisingly little ([Min and others,
2022](../chapters/bibliography.md)). So is the input-label mapping ignored?

**Predict.** A *frequent* instruction, which the model knows by heart, with 8 examples whose labels are random words.
Right answers: about 100%, 50%, or 6%?
"""


# %%
def against(name, group, labels, k=8):
    """Right answers after k examples with labels of this kind."""
    shown = mixture.relabelled(tests[group], labels)
    return hits(models[name], shown, tests[group].tokens)[:, k].mean().item()


claim = "icl-definition"
kinds = ("right", "random", "swapped")
share = {(name, kind): against(name, "frequent", kind) for name in ("32", "32_noisy") for kind in kinds}
for kind, between in {"right": (0.99, 1), "random": (0.02, 0.15), "swapped": (0, 0.05)}.items():
    measure(claim, share["32", kind], between=between, name=f"clean-{kind}", what=f"frequent, 8 {kind} labels")
# sabotage: icl-definition/clean-random: claim, share["32", kind] => claim, share["32_noisy", kind]

# %% [markdown]
r"""
About 6%, which is guessing. The model knows the answer, and yet believes the examples. In its training no example was
ever wrong, so examples were the better source. If that is the reason, then a model that has met wrong labels should
trust them less. The fifth model was trained in the same way, except that a quarter of all labels were replaced by
random ones.

**Predict.** The same prompts, the same size. Right answers now?
"""

# %%
for kind, between in {"right": (0.99, 1), "random": (0.9, 1), "swapped": (0.85, 1)}.items():
    what = f"the same, trained with wrong labels, {kind} labels"
    measure(claim, share["32_noisy", kind], between=between, name=f"noisy-{kind}", what=what)
rare = against("32_noisy", "rare", "random")
measure(claim, rare, between=(0.3, 0.8), name="noisy-rare", what="the same, rare instructions, 8 random labels")
price = [against(name, "never", "right") for name in ("32", "32_noisy")]
measure(claim, price[0], between=(0.97, 1), name="clean-never", what="never seen, 8 right labels, clean training")
measure(claim, price[1], between=(0.3, 0.85), name="noisy-never", what="the same, trained with wrong labels")
# sabotage: icl-definition/noisy-random: claim, share["32_noisy", kind] => claim, share["32", kind]

# %%
# alt: Three pairs of bars. With random or swapped labels one model falls to nothing and the other stays near 1.
ax = plotting.bars(
    {"clean training": [share["32", k] for k in kinds], "a quarter wrong": [share["32_noisy", k] for k in kinds]},
    [f"{kind} labels" for kind in kinds],
    unit="right answers, frequent instructions, k = 8",
)
legend = ax.legend(
    loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=plotting.INK
)  # above the bars

# %% [markdown]
r"""
The same size, the same prompts, the opposite result. What a model makes of wrong labels follows from what it was
trained on, and from how well it knows the task: on rare instructions random labels cost the doubting model much. The
finding of Min and others fits a model that knows the task already; it is no proof that labels never matter. Among
language models, larger ones were found to follow swapped labels *more*
([Wei and others, 2023](../chapters/bibliography.md)). Doubt has a price, too: on unseen tasks the doubting model reads
right examples less well.

Now the order. With four examples there are 24 orders. For the best reader they are all the same.

**Predict.** For how many of 300 prompts does the answer depend on the order?
"""

# %%
orders = list(itertools.permutations(range(4)))
four = mixture.sample(300, 6, tasks=NEVER, shots=4)
one_wrong = four.tokens.clone()
one_wrong[:, 3] = mixture.relabelled(four, "swapped")[:, 3]


@torch.no_grad()
def by_order(model, tokens):
    """The model's answer to each prompt in each order of its four examples: [prompts, orders]."""
    places = [[0, 1, *(2 + 2 * i + j for i in order for j in (0, 1)), 10, 11] for order in orders]
    return torch.stack([label_logits(model, tokens[:, place])[:, -1].argmax(-1) for place in places], dim=1)


# %%
claim = "few-shot-multiple"
for name, tokens, between in (("right", four.tokens, (0, 0.03)), ("one-wrong", one_wrong, (0.05, 0.3))):
    answers = by_order(models["16"], tokens)
    depends = (answers != answers[:, :1]).any(1).double().mean()
    measure(claim, depends, between=between, name=f"order-{name}", what=f"answers that depend on the order, {name}")
    accuracy = (answers == four.tokens[:, -1:]).double().mean(0)
    spread = accuracy.max() - accuracy.min()
    measure(claim, spread, between=(0, 0.15), name=f"spread-{name}", what=f"best order less worst, {name}")
# sabotage: few-shot-multiple/order-one-wrong: ("one-wrong", one_wrong, => ("one-wrong", four.tokens,

# %%
both = (four.tones[:, :4].amin(1) == 0) & (four.tones[:, :4].amax(1) == 1)
right = hits(models["16"], four.tokens)[:, 4]
measure(claim, right[both].mean(), between=(0.97, 1), name="both-tones", what="right, if the four show both tones")
measure(claim, right[~both].mean(), between=(0.35, 0.75), name="one-tone", what="right, if they show one tone only")
measure(claim, right.mean(), between=(0.9, 0.98), name="four", what="all of them")
stranger = mixture.sample(300, 7, shots=0).tokens[:, 2:]
neutral = torch.cat([mixture.encode("n/a").expand(300, 1), four.tokens[:, 3:4]], dim=1)
for name, extra, between in (("stranger", stranger, (0.6, 0.9)), ("neutral", neutral, (0.9, 0.99))):
    longer = torch.cat([four.tokens[:, :2], extra, four.tokens[:, 2:]], dim=1)
    share = hits(models["16"], longer)[:, -1].mean()
    measure(claim, share, between=between, name=name, what=f"all, with a {name} example before the four")
# sabotage: few-shot-multiple/both-tones: right[both] => right[~both]

# %% [markdown]
r"""
Order changes nothing here, as long as the examples agree. *Choice* changes much: four examples of one tone say little
about the other. A neutral example ("n/a" with one of the two labels) does no harm. A stranger does, an example with a
label from another task. And where the examples contradict each other, order begins to matter: the prompt is then like
none in training, and no rule says what to do. Pretrained models depend on the order even with right examples
([Lu and others, 2022](../chapters/bibliography.md)).

*Verdict on `few-shot-multiple`: holds with a caveat. More examples help, with falling returns; which ones matters, and
in real models also their order.*

## 9. One example leans

The notes' few-shot prompt shows one positive review and asks about a negative one. Let the labels be given, two of
them, and score only these. One of them has been seen, with praise; the query is blame. The best reader is certain: it
must be the other one.

**Predict.** How often does the model pick the other one?
"""


# %%
def one_shot(tone, n=500):
    """Unseen instructions with one example of this tone, and queries of both tones and of two neutral words."""
    drawn = mixture.sample(40 * n, 8, shots=1, tasks=NEVER, neutral=True)
    tokens, meant = drawn.tokens, torch.from_numpy(mixture.labels)[drawn.tasks]
    start, meant = (x[drawn.tones[:, 0] == tone][:n] for x in (tokens[:, :4], meant))
    words = {word: mixture.encode(word) for word in ("great", "dull", "n/a", "average")}
    prompts = {word: torch.cat([start, token.expand(n, 1), start[:, :1]], dim=1) for word, token in words.items()}
    with torch.no_grad():
        logits = {word: label_logits(models["16"], rows)[:, -1].double() for word, rows in prompts.items()}
    return {word: z.log_softmax(-1).gather(-1, meant) for word, z in logits.items()}


# %%
claim = "few-shot-example"
after = {"praise": one_shot(0), "blame": one_shot(1)}
queries = (("praise", "dull", 1), ("blame", "great", 0))  # the example, the query, the place of the right label
raw = {}
for tone, word, right in queries:
    raw[tone] = (label_scores(after[tone][word]).argmax(-1) == right).double().mean().item()
    what = f"example of {tone}, query {word}: right of two labels"
    measure(claim, raw[tone], between=(0.15, 0.65), name=f"raw-{tone}", what=what)
# sabotage: few-shot-example/raw-praise: ("praise", "dull", 1) => ("praise", "great", 1)

# %% [markdown]
r"""
A coin would do as well, or better. The label in the prompt is favoured, whatever the review. Asking about nothing shows
the lean: give the query "n/a". It says neither praise nor blame, so both labels should be equally likely *if these two
are the only ones*. **Contextual calibration** divides by what they get instead
([Zhao and others, 2021](../chapters/bibliography.md)).

**Exercise 4** (15 minutes, difficulty 2 of 5, 3 points). Let each row of both arguments sum to 1 over the labels, take
the mean of the content-free rows, divide by it, and let each row sum to 1 again.
"""


# %% exercise
def calibrated_probabilities(log_p, content_free):
    """Probabilities [batch, labels] from log_p [batch, labels] and content-free log-probabilities [inputs, labels]."""
    ### BEGIN SOLUTION
    lean = content_free.softmax(-1).mean(0)
    weights = log_p.softmax(-1) / lean
    return weights / weights.sum(-1, keepdim=True)
    ### END SOLUTION


check("calibrated_probabilities", calibrated_probabilities)

# %%
calibrated = {}
for tone, word, right in queries:
    free, neutral = after[tone]["n/a"][:, None], after[tone]["average"]
    lean = label_scores(neutral).exp()[:, 1 - right].mean()
    measure(claim, lean, between=(0.75, 0.99), name=f"lean-{tone}", what=f"'average', belief in the label of {tone}")
    level = torch.stack([*map(label_scores, neutral, free)]).exp()[:, 1 - right].mean()
    measure(claim, level, between=(0.4, 0.6), name=f"level-{tone}", what="the same, calibrated")
    scores = torch.stack([*map(label_scores, after[tone][word], free)])
    calibrated[tone] = (scores.argmax(-1) == right).double().mean().item()
    what = f"example of {tone}, query {word}, calibrated: right"
    measure(claim, calibrated[tone], between=(0.7, 1), name=f"calibrated-{tone}", what=what)
# sabotage: few-shot-example/level-praise: map(label_scores, neutral, free) => map(label_scores, neutral)

# %%
# alt: Two pairs of bars. Calibration raises the right answers from below a half to about nine tenths.
ax = plotting.bars(
    {"as scored": list(raw.values()), "calibrated": list(calibrated.values())},
    [f"example of {tone}, query {word}" for tone, word, _ in queries],
    unit="right answers, one example",
)
legend = ax.legend(
    loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=plotting.INK
)  # above the bars

# %% [markdown]
r"""
The word "average" tests the correction, since it was not used to make it: the belief in the shown label falls from nine
tenths to one half. And most answers about the other tone become right. Part of the lean is no fault: a reader who does
not know the second label *should* believe in the first. It becomes a fault when we tell the scorer, and not the model,
that there are only two.

*Verdict on `few-shot-example`: holds with a caveat. A good illustration, and a biased prompt: swap the example, and
the lean turns round.*

## 10. How it does it

Attention can be read. At the query, where does the second layer look?

**Predict.** Eight examples, about four with the query's tone. Which share of the attention goes to the labels of these?
"""

# %%
claim = "icl-definition"
eight = mixture.sample(300, 9, tasks=NEVER)
with torch.no_grad():
    first, second = models["16"].attention_weights(eight.tokens[:, :-1])
places = torch.arange(3, 18, 2)  # the labels of the examples; the review word of each stands right before
same = (eight.tones[:, :8] == eight.tones[:, 8:])[:, None]
to_labels = second[:, :, -1, places]
back = first[:, :, places, places - 1].mean()
measure(claim, back, between=(0.3, 1), name="looks-back", what="layer 1: from a label to the word before it")
measure(
    claim, to_labels.sum(-1).mean(), between=(0.9, 1), name="to-labels", what="layer 2: from the query to all labels"
)
measure(claim, (to_labels * same).sum(-1).mean(), between=(0.9, 1), name="to-same", what="to those of the same tone")
measure(claim, same.double().mean(), between=(0.45, 0.55), name="chance", what="share of examples with the same tone")
# sabotage: icl-definition/to-same: (to_labels * same) => (to_labels * ~same)

# %%
before = {size: fingerprint(models[size]) for size in sizes}
for size in sizes:
    hits(models[size], eight.tokens)
changed = sum(fingerprint(models[size]) != before[size] for size in sizes)
measure(claim, changed, between=(0, 0), name="weights", what="models whose weights changed over 300 prompts")
# sabotage: icl-definition/weights: hits(models[size], eight.tokens) => models[size].embedding.weight.data[0, 0] += 1

# %% [markdown]
r"""
The weights suggest a mechanism. In the first layer each label looks at the word before it, and so can learn which tone
it belongs to. In the second layer the query looks at the labels of its own tone, and can copy one. (Where a model looks
is not yet what it uses; that, only an intervention could show.) Language models have relatives of these, **induction
heads**, which find an earlier place like the present one and copy what followed there. They form in a short phase of
training, in which in-context learning appears ([Olsson and others, 2022](../chapters/bibliography.md)).

*Verdict on `icl-definition`: holds with a caveat. The model uses the examples, and its weights stay the same to the
last bit: "learning" is a way of speaking. What it takes from examples depends on what it was trained on.*
"""

# %% [markdown]
r"""
## With a real model

In the `gpu` profile, or when you ask for them, the next cells put 16 reviews to SmolLM2 (`HuggingFaceTB/SmolLM2-135M`)
and to what became of it by tuning on instructions (`HuggingFaceTB/SmolLM2-135M-Instruct`), each with 135 million
parameters, 271 MB, licence Apache-2.0. They ask for the sentiment with no example, with one and with four, score the
two labels as they are and calibrated by "N/A", and give the tuned model its prompts a second time in its chat template.

**Predict.** Does the tuned model need the examples? Does it need the template?
"""

# %%
from functools import partial

REVIEWS = {
    "positive": "A joy from start to end.|The seat is soft and warm.|I would watch it again.|Funny, clever and kind.|"
    "Best chair I ever had.|What wonderful music!|Strong legs, lovely fabric.|I smiled the whole time.",
    "negative": "A waste of two hours.|The seat is hard and cold.|I left before the end.|Dull, slow and silly.|"
    "It broke on the first day.|What awful music!|Weak legs, ugly fabric.|I yawned the whole time.",
}
SHOWN = [("I loved this movie!", "positive"), ("I don't like this chair.", "negative")]
SHOWN += [("The story was great.", "positive"), ("The acting was terrible.", "negative")]


# %%
@torch.no_grad()
def ask(model, tokenizer, prompt, chat):
    """log P of the two labels after a prompt, as it stands or as a turn in the model's chat template."""
    if chat:
        turns = [{"role": "user", "content": prompt}]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    start, ends = tokenizer.encode(prompt), [tokenizer.encode(label if chat else f" {label}") for label in REVIEWS]
    rows = [torch.tensor([start + end], device=device()) for end in ends]
    return torch.stack([log_probability(model(row).logits.float(), row, len(start))[0] for row in rows]).cpu()


# %%
def compare(model, tokenizer, chat):
    """Print the right answers out of 16 with 0, 1 and 4 examples, as scored and calibrated."""
    for shots in (0, 1, 4):
        write = partial(few_shot_prompt, TASK, SHOWN[:shots], template=template)
        free = ask(model, tokenizer, write("N/A"), chat)
        scores = [[ask(model, tokenizer, write(r), chat) for r in text.split("|")] for text in REVIEWS.values()]
        right = [
            sum(label_scores(s, given).argmax() == i for i, of_label in enumerate(scores) for s in of_label)
            for given in (None, free)
        ]
        print(f"{shots} examples: {right[0]} of 16 right as scored, {right[1]} calibrated")


# %%
TASK = "Is the review positive or negative?"
for job in ("base", "instruct"):
    if loaded := hub.offer(job):
        for chat in (False, True)[: 1 + bool(loaded[1].chat_template)]:
            print(hub.MODELS[job].id, "in its chat template" if chat else "on bare text")
            compare(*loaded, chat)

# %% [markdown]
r"""
Sixteen reviews are few: a share of 12 in 16 has a 95% interval from about one half to nine tenths. Read the result as
an example of the method. Lab 11 shows what a fair comparison of prompts takes.

## What you have shown

- A prompt is X. It changes the output and no weight; a gradient step changes the weights.
- Without examples, an answer is a memory of the instruction. It grows with size where instructions are rare, and never
  comes for one that was not seen. A short tuning made up for a factor of 41 in size, at the cost of other tasks.
- With examples, all four sizes read an unknown task as well as anybody can: on Bayes' curve.
- Whether the small or the large gain more depends on which of two abilities is still growing.
- Labels in examples override what the model knows, or do not: that follows from how reliable they were in training.
- One example makes a model lean to its label, and calibration takes the lean away.

What a toy cannot say: how much of this mixture is in real text, and so which of the two behaviours a given pretrained
model has. That in-context learning needs data with certain properties, such as many rare classes and bursts of the same
one, was shown by [Chan and others (2022)](../chapters/bibliography.md).

## Where to go next

Lab 11 lets the model write before it answers, and shows how to find a good prompt without fooling oneself. The chapter
on prompting, which follows, has the techniques in use and a quiz.
"""
