"""Prompts as text, answers as data.

A prompt is a string that ends where the answer begins (`few_shot_prompt`). A model completes it, or scores the answers
that could follow (`log_probability`, `label_scores`). From a completion `parse_answer` reads the answer; from several
completions `majority_vote` makes one.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from jaxtyping import Float, Int
from torch import Tensor

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
        scores = scores - (of_each.logsumexp(dim=0) - math.log(len(of_each)))
    return scores.log_softmax(dim=-1)
