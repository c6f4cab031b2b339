"""Prompts as text, answers as data, and experiments that compare prompts.

A prompt is a string that ends where the answer begins (`few_shot_prompt`). A model completes it, or scores the answers
that could follow (`log_probability`, `label_scores`). From a completion `parse_answer` reads the answer; from several
completions `majority_vote` makes one.

An experiment completes every prompt on every case:

    table = run(prompts, cases, complete, parse)    # prompts: name -> function from an input to the prompt's text
    print(table.summary(baseline="plain"))          # accuracy, difference and p-value, each with its interval
    table.errors("plain")                           # what was expected, what came, how often
    log.write(table, cases, "development")          # and the log says how often each set of cases was looked at

`complete` is any function from a list of prompts to the list of their completions: those of `labutils.completions`, or
your own. `Cached` remembers what it said.
"""

import hashlib
import json
import math
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import NormalDist
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Case = tuple[str, str]  # an input and its right answer
Complete = Callable[[Sequence[str]], list[str]]

# ---------------------------------------------------------------------------------------------------------------------
# From a task to a prompt, and from a completion to an answer
# ---------------------------------------------------------------------------------------------------------------------

TEMPLATE = "Input: {input}\nOutput: {output}"


def few_shot_prompt(
    instruction: str,
    examples: Sequence[tuple[str, str]],
    query: str,
    *,
    template: str = TEMPLATE,
    separator: str = "\n\n",
) -> str:
    r"""Write an instruction, examples with their answers and a query as one text: zero-, one- or few-shot prompting.

    Each example is an (input, output) pair, written as `template` says; `separator` stands between all parts, and an
    empty instruction is left out. The query is written with the same template, which is cut where its output would
    begin. White space before the cut goes too: most tokenizers join a space to the word after it, so a prompt that
    ends in a space asks for a token that the model has hardly ever seen there.

        >>> few_shot_prompt("Say the opposite.", [("hot", "cold")], "dry", template="{input} -> {output}")
        'Say the opposite.\n\nhot -> cold\n\ndry ->'

    Raises ValueError if the template does not name {input} and then {output}, once each.
    """
    if template.count("{input}") != 1 or template.count("{output}") != 1:
        raise ValueError(f"The template {template!r} must name {{input}} once and {{output}} once.")
    # Not str.format: a template in JSON has braces of its own.
    before, _, rest = template.partition("{input}")
    between, named, after = rest.partition("{output}")
    if not named:
        raise ValueError(f"In the template {template!r} the {{input}} must come before the {{output}}.")
    shown = [before + text + between + answer + after for text, answer in examples]
    asked = (before + query + between).rstrip()
    return separator.join([*([instruction] if instruction else []), *shown, asked])


def parse_answer(completion: str, labels: Sequence[str]) -> str | None:
    """The label that a completion names first, spelled as in `labels`; None if it names none.

    Upper and lower case are the same, and so are all kinds of white space. A label counts as a whole word only:
    "impositive" does not name "positive". Where two labels begin at one place, the longer is meant: of "good" and "good
    enough" the second. A first match is a convention, not understanding: "not positive" names "positive".

    Raises ValueError if a label is empty or two are the same.
    """
    by_spelling = {_spelling(label): label for label in labels}
    if len(by_spelling) < len(labels) or "" in by_spelling:
        raise ValueError(f"The labels {list(labels)} must be different from each other and not empty.")
    longest_first = sorted(by_spelling, key=len, reverse=True)
    either = "|".join(map(re.escape, longest_first))
    found = re.search(rf"(?<!\w)(?:{either})(?!\w)", _spelling(completion))
    return by_spelling[found.group()] if labels and found else None


def _spelling(text: str) -> str:
    """A text without what an answer's meaning does not depend on: case and kinds of white space."""
    return " ".join(text.casefold().split())


def majority_vote(answers: Iterable[str | None]) -> str | None:
    """The most frequent answer [wang2023selfconsistency]; of tied ones the one that came first.

    None, for a completion without an answer, is no vote; with no votes the result is None.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    return max(votes, key=votes.__getitem__, default=None)  # a Counter keeps the order of the first votes


# ---------------------------------------------------------------------------------------------------------------------
# From logits to the probability of an answer
# ---------------------------------------------------------------------------------------------------------------------


def log_probability(
    logits: Float[Tensor, "batch seq vocab"], tokens: Int[Tensor, "batch seq"], n_prompt: int
) -> Float[Tensor, " batch"]:
    """log P(completion | prompt) in nats, for rows whose first `n_prompt` tokens are the prompt, the rest completion.

    The sum of log p(token t | all tokens before t) over the tokens of the completion: the chain rule. `logits` are a
    causal model's, so those at t − 1 score token t, and the last ones score nothing here.

    Raises ValueError unless there is at least one token of the prompt and one of the completion.
    """
    seq = tokens.shape[1]
    if not 0 < n_prompt < seq:
        raise ValueError(f"n_prompt is {n_prompt}, but must lie in 1 .. {seq - 1} for rows of {seq} tokens.")
    log_p = logits[:, n_prompt - 1 : -1].log_softmax(dim=-1)
    return log_p.gather(-1, tokens[:, n_prompt:, None]).squeeze(-1).sum(dim=-1)


def label_scores(
    log_probabilities: Float[Tensor, "*batch labels"], content_free: Float[Tensor, "*inputs labels"] | None = None
) -> Float[Tensor, "*batch labels"]:
    """Log-probabilities of the labels, given that the answer is one of them; calibrated if `content_free` is given.

    `log_probabilities` are log P(label | prompt). `content_free` are the same for a prompt whose query says nothing,
    such as "N/A"; there every label should be equally likely. Contextual calibration divides by what they are instead
    [zhao2021calibrate]. Of several such queries (leading axes) the mean probability is taken.
    """
    scores = log_probabilities.log_softmax(dim=-1)
    if content_free is not None:
        of_each = content_free.log_softmax(dim=-1).reshape(-1, content_free.shape[-1])
        scores = scores - of_each.logsumexp(dim=0)  # the mean but for a constant, which the last line takes out
    return scores.log_softmax(dim=-1)


# ---------------------------------------------------------------------------------------------------------------------
# How sure a number is
# ---------------------------------------------------------------------------------------------------------------------


def wilson_interval(n_right: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The accuracies that n_right of n agree with: those from which n_right / n is not too many standard errors away.

    It stays within 0 and 1, and has a width even where all are right or none is [wilson1927probable].

    Raises ValueError unless 0 <= n_right <= n and n > 0.
    """
    if not 0 <= n_right <= n or n == 0:
        raise ValueError(f"{n_right} right of {n} is not possible.")
    z, p = NormalDist().inv_cdf((1 + confidence) / 2), n_right / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At both ends the exact bound is 0 or 1, which rounding could miss.
    return 0.0 if n_right == 0 else centre - half, 1.0 if n_right == n else centre + half


def resample(n_cases: int, n_resamples: int = 2000, seed: int = 0) -> Int[Tensor, "resamples cases"]:
    """Draw, again and again, as many cases as there are, with replacement: their numbers, for `bootstrap_interval`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(n_cases, (n_resamples, n_cases), generator=generator)


def bootstrap_interval(
    values: Float[Tensor, " cases"], drawn: Int[Tensor, "resamples drawn"], confidence: float = 0.95
) -> tuple[float, float]:
    """An interval for the mean of `values`: the middle part of the means of the resamples [efron1979bootstrap].

    `drawn` says which cases each resample holds. If all values are equal the interval is a point, however few there
    are: the bootstrap knows nothing beyond what it was given.
    """
    means = values[drawn].mean(dim=1)
    tail = (1 - confidence) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=means.dtype)).tolist()
    return low, high


def sign_test(wins: int, losses: int) -> float:
    """How likely is a result at least as lopsided as this if wins and losses were equally likely: the p-value.

    Two-sided and exact. For two prompts on the same cases, count the cases that only the one and those that only the
    other has right; this is then McNemar's test [mcnemar1947note]. Cases where both agree say nothing about which is
    better, and with no others the p-value is 1.
    """
    n, fewer = wins + losses, min(wins, losses)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(fewer + 1)) / 2**n)


def expected_best(accuracy: float, n_cases: int, n_prompts: int) -> float:
    """The mean of the best of `n_prompts` measured accuracies, if every prompt is right with the same probability.

    Cases and prompts are independent. E[max] is the sum over k of P(max >= k), and P(max < k) = P(one < k)^n_prompts.
    """
    law = [
        math.comb(n_cases, k) * accuracy**k * (1 - accuracy) ** (n_cases - k) for k in range(n_cases)
    ]  # of the number right, all but n_cases
    below, total = 0.0, 0.0
    for p in law:
        below += p
        total += 1 - below**n_prompts
    return total / n_cases


# ---------------------------------------------------------------------------------------------------------------------
# The experiment
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One prompt on one case: what was sent, what came back, and the answer that was read from it."""

    prompt: str
    text: str
    completion: str
    expected: str
    answer: str | None

    @property
    def right(self) -> bool:
        """Whether the answer is the expected one."""
        return self.answer == self.expected


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """The share of cases that a prompt has right, with its Wilson interval."""

    value: float
    low: float
    high: float
    n_right: int
    n_cases: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One prompt against another on the same cases.

    `difference` of accuracies with its bootstrap interval; `wins` and `losses` count the cases that only the one or
    only the other has right, and `p_value` is their sign test.
    """

    difference: float
    low: float
    high: float
    wins: int
    losses: int
    p_value: float


@dataclass(frozen=True)
class Table:
    """The outcome of an experiment: for each prompt, a trial on each case, in the order of the cases."""

    trials: Mapping[str, tuple[Trial, ...]]

    @cached_property
    def right(self) -> dict[str, Bool[Tensor, " cases"]]:
        """For each prompt, which cases it has right."""
        return {name: torch.tensor([trial.right for trial in trials]) for name, trials in self.trials.items()}

    def accuracy(self, name: str, confidence: float = 0.95) -> Accuracy:
        """The share that this prompt has right, and the interval that its true accuracy may lie in."""
        n_right, n = int(self.right[name].sum()), len(self.right[name])
        low, high = wilson_interval(n_right, n, confidence)
        return Accuracy(value=n_right / n, low=low, high=high, n_right=n_right, n_cases=n)

    def compare(self, name: str, other: str, confidence: float = 0.95) -> Comparison:
        """This prompt against another one, case by case: what is hard about a case is hard for both, and cancels."""
        gain = self.right[name].double() - self.right[other].double()
        low, high = bootstrap_interval(gain, resample(len(gain)), confidence)
        wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
        return Comparison(
            difference=gain.mean().item(),
            low=low,
            high=high,
            wins=wins,
            losses=losses,
            p_value=sign_test(wins, losses),
        )

    def errors(self, name: str) -> Counter[tuple[str, str | None]]:
        """How often each (expected, answer) occurs among the errors of a prompt; the answer None was not readable."""
        return Counter((trial.expected, trial.answer) for trial in self.trials[name] if not trial.right)

    def summary(self, baseline: str | None = None) -> str:
        """The table as text: a line for each prompt, and beside it how it compares with the baseline."""
        width = max(map(len, self.trials))
        lines = [f"{'prompt':{width}}  right  accuracy [95% interval]"]
        if baseline is not None:
            lines[0] += f"  minus {baseline} [95% interval]  wins-losses  p"
        for name in self.trials:
            a = self.accuracy(name)
            line = f"{name:{width}}  {a.n_right:>5}  {a.value:.2f} [{a.low:.2f}, {a.high:.2f}]"
            if baseline is not None and name != baseline:
                c = self.compare(name, baseline)
                line += f"  {c.difference:+.2f} [{c.low:+.2f}, {c.high:+.2f}]  {c.wins}-{c.losses}  {c.p_value:.2g}"
            lines.append(line)
        return "\n".join(lines)


def run(
    prompts: Mapping[str, Callable[[str], str]],
    cases: Sequence[Case],
    complete: Complete,
    parse: Callable[[str], str | None],
) -> Table:
    """Complete every prompt on every case and read the answers.

    `prompts` maps a prompt's name to the function that writes it for an input; `parse` reads the answer from a
    completion, None where there is none. Every prompt meets the same cases, so that they can be compared case by case.

    Raises ValueError without prompts or cases, or if `complete` does not return one completion a prompt.
    """
    if not prompts or not cases:
        raise ValueError("An experiment needs at least one prompt and one case.")
    trials = {}
    for name, write in prompts.items():
        texts = [write(text) for text, _ in cases]
        trials[name] = tuple(
            Trial(prompt=name, text=text, completion=completion, expected=expected, answer=parse(completion))
            for text, completion, (_, expected) in zip(texts, _completed(complete, texts), cases, strict=True)
        )
    return Table(trials)


def _completed(complete: Complete, prompts: Sequence[str]) -> list[str]:
    completions = complete(prompts)
    if len(completions) != len(prompts):
        raise ValueError(f"The completion function returned {len(completions)} completions for {len(prompts)} prompts.")
    return completions


# ---------------------------------------------------------------------------------------------------------------------
# What is kept: completions and a log
# ---------------------------------------------------------------------------------------------------------------------


class Cached:
    """A completion function that asks the model only once for each prompt.

    `identity` is everything besides the prompt on which a completion depends, as plain data: the model and its version,
    temperature, seed, the most tokens. The functions of `labutils.completions` have it as an attribute. With another
    identity nothing is found. A random completion is one draw, kept for ever; for another draw use another seed.

    With a `folder`, each completion is a file in it, which is there as a whole or not at all, so that several programs
    may share the folder and a broken run goes on where it ended. `asked` counts the prompts that reached the model.

    Raises TypeError if the identity is not plain data, ValueError if a file in the folder is not one of these.
    """

    def __init__(self, complete: Complete, identity: Mapping[str, Any], folder: Path | str | None = None):
        self.complete = complete
        self.identity = json.dumps(identity, sort_keys=True)
        self.folder = None if folder is None else Path(folder)
        self.memory: dict[str, str] = {}
        self.asked = 0

    def __call__(self, prompts: Sequence[str]) -> list[str]:
        """The completions of the prompts, from the memory, the folder, or the model, in this order."""
        for prompt in prompts:
            if prompt not in self.memory and (kept := self._read(prompt)) is not None:
                self.memory[prompt] = kept
        missing = list(dict.fromkeys(prompt for prompt in prompts if prompt not in self.memory))
        if missing:
            for prompt, completion in zip(missing, _completed(self.complete, missing), strict=True):
                self.memory[prompt] = completion
                self._write(prompt, completion)
            self.asked += len(missing)
        return [self.memory[prompt] for prompt in prompts]

    def _path(self, prompt: str) -> Path | None:
        name = hashlib.sha256(json.dumps([self.identity, prompt]).encode()).hexdigest()
        return self.folder and self.folder / f"{name}.json"

    def _read(self, prompt: str) -> str | None:
        path = self._path(prompt)
        if path is None or not path.exists():
            return None
        try:
            return json.loads(path.read_text(encoding="utf-8"))["completion"]
        except (ValueError, KeyError, TypeError):
            raise ValueError(f"{path} is not a cached completion: delete it.") from None

    def _write(self, prompt: str, completion: str) -> None:
        path = self._path(prompt)
        if path is not None:
            kept = {"identity": json.loads(self.identity), "prompt": prompt, "completion": completion}
            _write_whole(path, json.dumps(kept, ensure_ascii=False, indent=1))


def _write_whole(path: Path, text: str) -> None:
    """Write to a file that no other program writes, then give it its name, so that nobody ever reads half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, path)
    except BaseException:
        os.unlink(unfinished)
        raise


class Log:
    """What was tried, in order: an entry for each table, in memory and, with a `path`, as a line of JSON in a file.

    The file is read at the start, so a log goes on where it ended. Raises ValueError if a line of it is not JSON.
    """

    def __init__(self, path: Path | str | None = None):
        self.path = None if path is None else Path(path)
        self.entries: list[dict[str, Any]] = []
        if self.path is not None and self.path.exists():
            try:
                self.entries = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
            except ValueError:
                raise ValueError(f"{self.path} is not a log: a line of it is not JSON.") from None

    def write(self, table: Table, cases: Sequence[Case], of: str, *, note: str = "") -> dict[str, Any]:
        """Add an entry and return it. `of` names the set of cases, `note` says what was changed and why.

        For each prompt it holds its text on the first case and how many cases were right, so that the entry says what
        was measured even when the program that wrote the prompts has changed.
        """
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "cases": of,
            "n_cases": len(cases),
            "fingerprint": _fingerprint(cases),
            "prompts": {
                name: {"text": trials[0].text, "right": sum(trial.right for trial in trials)}
                for name, trials in table.trials.items()
            },
            "note": note,
        }
        self.entries.append(entry)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        return entry

    def looks(self, cases: Sequence[Case]) -> int:
        """How many prompts were measured on these cases so far. On a test set this should be 0, then 1."""
        return sum(len(entry["prompts"]) for entry in self.entries if entry["fingerprint"] == _fingerprint(cases))


def _fingerprint(cases: Sequence[Case]) -> str:
    """A number that changes with any case; their order does not matter."""
    return hashlib.sha256(json.dumps(sorted(map(list, cases))).encode()).hexdigest()[:16]
