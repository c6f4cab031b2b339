"""The exercises of lab 10, in-context learning: write a prompt, read an answer, calibrate, learn as Bayes does."""

import re

import torch
from torch import Tensor

from labutils import prompting
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer, some

# --- write_prompt ----------------------------------------------------------------------------------------------------

REVIEWS = [
    "I loved this movie!",
    "I don't like this chair.",
    "Great acting, weak story.",
    "This chair is not great",
    "So boring :(",
    "Wonderful seat",
    "The fabric is ugly.",
    "What a funny film!",
    "I hated every minute.",
]
REQUESTS = ["Classify this review.", "Is this review positive or negative?", "Give the sentiment."]
SHOTS = (1, 0, 2, 3, 2, 4)  # examples by case; case 4 has no instruction


def _prompt_inputs(generator: torch.Generator, case: int) -> dict:
    query, *texts = some(generator, REVIEWS, SHOTS[case] + 1)
    labels = ["positive", "negative"] * 2
    start = integer(generator, 0, 1)
    examples = [[text, label] for text, label in zip(texts, labels[start:] + labels[:start], strict=False)]
    instruction = "" if case == 4 else some(generator, REQUESTS, 1)[0]
    return {"instruction": instruction, "examples": examples, "query": query}


def _prompt(instruction: str, examples: list, query: str, *, separator: str = "\n\n", end: str = "") -> str:
    """The reference, with other white space where a mutant wants it."""
    pairs = [(text, label) for text, label in examples]
    template = "Review: {input}\nSentiment: {output}"
    return prompting.few_shot_prompt(instruction, pairs, query, template=template, separator=separator) + end


def _query_first(instruction, examples, query):
    asked = f"Review: {query}\nSentiment:"
    shown = [f"Review: {text}\nSentiment: {label}" for text, label in examples]
    return "\n\n".join([*([instruction] if instruction else []), asked, *shown])


def _instruction_last(instruction, examples, query):
    return "\n\n".join(filter(None, [_prompt("", examples, query), instruction]))


def _instruction_before_the_query(instruction, examples, query):
    shown = [f"Review: {text}\nSentiment: {label}" for text, label in examples]
    return "\n\n".join([*shown, *([instruction] if instruction else []), f"Review: {query}\nSentiment:"])


def _keeps_an_empty_instruction(instruction, examples, query):
    return instruction + "\n\n" + _prompt("", examples, query)


def _no_labels(instruction, examples, query):
    shown = [f"Review: {text}\nSentiment:" for text, _ in examples]
    return "\n\n".join([*([instruction] if instruction else []), *shown, f"Review: {query}\nSentiment:"])


def _answers_itself(instruction, examples, query):
    return _prompt(instruction, examples, query) + (f" {examples[-1][1]}" if examples else "")


def _no_cue(instruction, examples, query):
    return _prompt(instruction, examples, query).removesuffix("\nSentiment:")


WRITE_PROMPT = Exercise(
    name="write_prompt",
    lab="10",
    task=(
        "Return a prompt as one string. First comes the instruction; an empty one is left out. Then comes each example "
        "[text, label] of the list, in its order, as two lines, `Review: text` and `Sentiment: label`. Then comes the "
        "query in the same form, but without a label: the prompt ends with `Sentiment:`, and no white space follows. "
        "One empty line stands between the parts."
    ),
    points=2,
    minutes=10,
    difficulty=1,
    inputs=_prompt_inputs,
    reference=_prompt,
    cases=len(SHOTS),
    hints=(
        "Make a list of the parts, each a string, and join it with an empty line: '\\n\\n'.join(parts).",
        'An example is f"Review: {text}\\nSentiment: {label}"; the query is the same up to the colon.',
        "Put the instruction into the list only if it is not empty.",
    ),
    forbidden=("labutils.prompting.few_shot_prompt",),
    mutants=(
        Mutant(
            name="keeps an empty instruction",
            function=_keeps_an_empty_instruction,
            message="Without an instruction your prompt begins with empty lines; leave the part out if it is empty.",
        ),
        Mutant(
            name="answers itself",
            function=_answers_itself,
            message="Your prompt ends with a label, so the answer is given away before the model can give it.",
        ),
        Mutant(
            name="one example",
            function=lambda instruction, examples, query: _prompt(instruction, examples[:1], query),
            message="You show the first example only; go through the whole list.",
        ),
        Mutant(
            name="last example lost",
            function=lambda instruction, examples, query: _prompt(instruction, examples[:-1], query),
            message="You lose the last example; the query is an argument of its own and not the last of the list.",
        ),
        Mutant(
            name="examples in reverse",
            function=lambda instruction, examples, query: _prompt(instruction, examples[::-1], query),
            message="You show the examples in reverse; keep the order of the list.",
        ),
        Mutant(
            name="no labels",
            function=_no_labels,
            message="Your examples have no labels; without them they show reviews but not the task.",
        ),
        Mutant(
            name="query first",
            function=_query_first,
            message="The query stands before the examples, so the model would go on after an example that is answered "
            "already; the query comes last.",
        ),
        Mutant(
            name="instruction before the query",
            function=_instruction_before_the_query,
            message="The instruction stands between the examples and the query; it comes first.",
        ),
        Mutant(
            name="instruction last",
            function=_instruction_last,
            message="Your prompt ends with the instruction; a model completes the end of a text, so the end must be "
            "where the label belongs.",
        ),
        Mutant(
            name="no instruction",
            function=lambda instruction, examples, query: _prompt("", examples, query),
            message="You leave the instruction out; it comes first, where there is one.",
        ),
        Mutant(
            name="ends with a space",
            function=lambda instruction, examples, query: _prompt(instruction, examples, query, end=" "),
            message="Your prompt ends with a space, and most tokenizers join a space to the word after it, so the "
            "label would need a token that the model hardly knows there.",
        ),
        Mutant(
            name="ends with a new line",
            function=lambda instruction, examples, query: _prompt(instruction, examples, query, end="\n"),
            message="Your prompt ends with a new line, so the label cannot follow the colon as in the examples.",
        ),
        Mutant(
            name="no empty lines",
            function=lambda instruction, examples, query: _prompt(instruction, examples, query, separator="\n"),
            message="Only a line break separates your parts; put an empty line between them, '\\n\\n'.",
        ),
        Mutant(
            name="no cue",
            function=_no_cue,
            message="Your prompt ends with the review; write `Sentiment:` after it, so that a label comes next.",
        ),
    ),
)


# --- read_label ------------------------------------------------------------------------------------------------------


def _read_inputs(generator: torch.Generator, case: int) -> dict:
    """A completion of each kind; which label plays which part is drawn."""
    labels = some(generator, ["positive", "negative"], 2)
    one, other = some(generator, labels, 2)
    tail = some(generator, ["I think so.", "That is clear.", "No doubt.", "See the last line."], 1)[0]
    match case:
        case 0:
            completion = f" {one}"
        case 1:
            completion = f"{one.capitalize()}! {tail}"
        case 2:  # the first label of the list is named first
            one, other = labels
            completion = f" {one}.\n\nReview: a good one\nSentiment: {other}. Or {other}?"
        case 3:  # the first label of the list is named second
            one, other = labels[1], labels[0]
            completion = f"It is {one}, and not {other}, {tail}"
        case 4:
            completion = f"The im{other[1:]}{other} word aside: **{one.upper()}** {tail}"
        case 5:
            completion = f"I cannot say. {tail}"
        case 6:
            labels = some(generator, ["good", "bad", "good enough"], 3)
            completion = f"Sentiment: good enough. {tail} Not bad."
        case 7:
            labels = some(generator, ["No", "Yes"], 2)
            completion = f"I know nothing, but: {labels[0].lower()}; yesterday, {labels[1].lower()}. {tail}"
        case _:
            labels = some(generator, ["4 stars", "5 stars", "14 stars"], 3)
            completion = f"Sentiment: '{labels[1]}'\n'{labels[0]}'\n'{labels[0]}' {tail}"
    return {"completion": completion, "labels": labels}


def _read(completion: str, labels: list) -> str:
    return prompting.parse_answer(completion, labels) or ""


def _found(completion: str, labels: list, *, whole: bool = True, longest: bool = True) -> list:
    """All labels named, in the order of their places."""
    ordered = sorted(labels, key=len, reverse=longest)
    either = "|".join(re.escape(label.lower()) for label in ordered)
    pattern = rf"(?<!\w)(?:{either})(?!\w)" if whole else either
    spelled = {label.lower(): label for label in labels}
    return [spelled[name] for name in re.findall(pattern, completion.lower())]


def _case_matters(completion, labels):
    places = {label: re.search(rf"(?<!\w){re.escape(label)}(?!\w)", completion) for label in labels}
    found = sorted((place.start(), -len(label), label) for label, place in places.items() if place)
    return found[0][2] if found else ""


def _in_order_of_the_list(completion, labels):
    named = _found(completion, labels)
    return next((label for label in labels if label in named), "")


def _most_frequent(completion, labels):
    named = _found(completion, labels)
    return max(named, key=named.count) if named else ""


def _by_spaces(completion, labels):
    spelled = {label.lower(): label for label in labels}
    return next((spelled[word] for word in completion.lower().split() if word in spelled), "")


def _at_the_beginning(completion, labels):
    text = completion.strip().lower()
    fitting = [label for label in labels if re.match(rf"{re.escape(label.lower())}(?!\w)", text)]
    return max(fitting, key=len, default="")


def _as_spelled(completion, labels):
    label = _read(completion, labels)
    place = completion.lower().find(label.lower())
    return completion[place : place + len(label)]


READ_LABEL = Exercise(
    name="read_label",
    lab="10",
    task=(
        "Return the label that the completion names first, spelled as in the list `labels`, or '' if it names none. "
        "Upper and lower case are the same. A label counts as a whole word only: no letter, digit or underscore stands "
        "right before or after it. Where two labels begin at the same place, the longer one is meant."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_read_inputs,
    reference=_read,
    cases=9,
    hints=(
        "Search in `completion.lower()` for `label.lower()`, and compare the places where the labels begin.",
        r"In a regular expression `(?<!\w)` and `(?!\w)` say that no letter or digit comes before and after; "
        "`re.escape` makes a label safe to put between them.",
        "Try the longer labels first: `sorted(labels, key=len, reverse=True)`, joined by `|` into one pattern.",
    ),
    forbidden=("labutils.prompting.parse_answer",),
    mutants=(
        Mutant(
            name="guesses",
            function=lambda completion, labels: _read(completion, labels) or labels[0],
            message="You return a label although none is named; a missing answer must not be counted as an answer.",
        ),
        Mutant(
            name="the shorter label",
            function=lambda completion, labels: next(iter(_found(completion, labels, longest=False)), ""),
            message="Of two labels that begin at the same place you take the shorter; try the longer one first.",
        ),
        Mutant(
            name="parts of words",
            function=lambda completion, labels: next(iter(_found(completion, labels, whole=False)), ""),
            message="You find a label inside of another word, as in `know` and `nothing`; ask for whole words.",
        ),
        Mutant(
            name="the most frequent",
            function=_most_frequent,
            message="You return the label that is named most often; the first counts, because a model that has "
            "answered goes on with reviews of its own.",
        ),
        Mutant(
            name="as spelled in the completion",
            function=_as_spelled,
            message="You return the label as the completion spells it; return it as the list does, or no two answers "
            "can be compared.",
        ),
        Mutant(
            name="in the order of the list",
            function=_in_order_of_the_list,
            message="You return the first label of the list that is named anywhere; compare the places in the text.",
        ),
        Mutant(
            name="the last one named",
            function=lambda completion, labels: next(reversed(_found(completion, labels)), ""),
            message="You return the label that is named last; a base model goes on with reviews of its own, so the "
            "first is its answer.",
        ),
        Mutant(
            name="case matters",
            function=_case_matters,
            message="You miss a label that is written in other letters; make both lower case before you compare.",
        ),
        Mutant(
            name="words between spaces",
            function=_by_spaces,
            message="You split at spaces, so that `positive.` is not `positive`; punctuation may touch a label.",
        ),
        Mutant(
            name="the beginning only",
            function=_at_the_beginning,
            message="You look at the beginning only; models like to say something before the label.",
        ),
        Mutant(
            name="the whole completion",
            function=lambda completion, labels: completion.strip() if completion.strip() in labels else "",
            message="You compare the whole completion with the labels; a label may be followed or preceded by more.",
        ),
    ),
)


# --- calibrated_probabilities ----------------------------------------------------------------------------------------

# (prompts, labels, content-free prompts)
CALIBRATIONS = ((1, 2, 1), (3, 2, 1), (4, 3, 1), (2, 3, 4), (5, 4, 3))


def _calibration_inputs(generator: torch.Generator, case: int) -> dict:
    """Log-probabilities of some labels out of a larger vocabulary: they do not sum to 1, row by row differently."""
    batch, labels, inputs = CALIBRATIONS[case]

    def drawn(rows: int) -> Tensor:
        scores = 2 * torch.randn(rows, labels, generator=generator, dtype=torch.float64)
        share = 0.2 + 0.7 * torch.rand(rows, 1, generator=generator, dtype=torch.float64)
        return scores.log_softmax(-1) + share.log()

    return {"log_p": drawn(batch), "content_free": drawn(inputs)}


def _calibrated(log_p: Tensor, content_free: Tensor) -> Tensor:
    return prompting.label_scores(log_p, content_free).exp()


def _share(content_free: Tensor) -> Tensor:
    return content_free.softmax(-1).mean(0)


def _rows_sum_to_one(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


CALIBRATED_PROBABILITIES = Exercise(
    name="calibrated_probabilities",
    lab="10",
    task=(
        "Return the calibrated probabilities [batch, labels]. `log_p` [batch, labels] are log-probabilities of the "
        "labels after each prompt, and `content_free` [inputs, labels] are those after prompts whose query says "
        "nothing. Make each row of both into probabilities that sum to 1 over the labels, take the mean of the "
        "content-free probabilities over the inputs, divide the probabilities by it, and let each row sum to 1 again."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_calibration_inputs,
    reference=_calibrated,
    cases=len(CALIBRATIONS),
    hints=(
        "`log_p.softmax(-1)` are probabilities that sum to 1 over the labels.",
        "`content_free.softmax(-1).mean(0)` is what each label gets when there is nothing to say.",
        "After the division the rows no longer sum to 1: divide each by `sum(-1, keepdim=True)`.",
    ),
    forbidden=("labutils.prompting.label_scores",),
    mutants=(
        Mutant(
            name="first content-free prompt",
            function=lambda log_p, content_free: _calibrated(log_p, content_free[:1]),
            message="You use the first content-free prompt only; take the mean over all of them.",
        ),
        Mutant(
            name="mean of logarithms",
            function=lambda log_p, content_free: (log_p - content_free.log_softmax(-1).mean(0)).softmax(-1),
            message="You take the mean of log-probabilities; take the mean of the probabilities.",
        ),
        Mutant(
            name="content-free rows as they are",
            function=lambda log_p, content_free: (log_p - content_free.exp().mean(0).log()).softmax(-1),
            message="You average the content-free prompts before each of them sums to 1, so one that gives the labels "
            "little counts little; normalise each row first.",
        ),
        Mutant(
            name="does not calibrate",
            function=lambda log_p, content_free: log_p.softmax(-1),
            message="You do not use content_free; divide by what the labels get when the query says nothing.",
        ),
        Mutant(
            name="not renormalised",
            function=lambda log_p, content_free: log_p.softmax(-1) / _share(content_free),
            message="Your rows do not sum to 1; divide each by its sum at the end.",
        ),
        Mutant(
            name="multiplies",
            function=lambda log_p, content_free: _rows_sum_to_one(log_p.softmax(-1) * _share(content_free)),
            message="You multiply by the content-free probabilities, which doubles the lean; divide by them.",
        ),
        Mutant(
            name="divides logarithms",
            function=lambda log_p, content_free: (log_p / _share(content_free).log()).softmax(-1),
            message="You divide log-probabilities; a ratio of probabilities is a difference of logarithms.",
        ),
        Mutant(
            name="subtracts probabilities",
            function=lambda log_p, content_free: log_p.softmax(-1) - _share(content_free),
            message="You subtract probabilities; subtract logarithms, or divide probabilities.",
        ),
        Mutant(
            name="returns logarithms",
            function=lambda log_p, content_free: prompting.label_scores(log_p, content_free),
            message="You return logarithms; return probabilities.",
        ),
        Mutant(
            name="along the batch",
            function=lambda log_p, content_free: (log_p - _share(content_free).log()).softmax(0),
            message="You normalise along the prompts; it is the labels of a prompt, dim=-1, that share the mass.",
        ),
        Mutant(
            name="the answers",
            function=lambda log_p, content_free: _calibrated(log_p, content_free).argmax(-1),
            message="You return the most probable labels; return the probabilities of all labels.",
        ),
    ),
)


# --- label_law -------------------------------------------------------------------------------------------------------

# (tones of the examples, tone of the query, number of labels); 0 is praise and 1 blame, turned round by a coin
LAWS = (
    ([], 0, 4),
    ([0], 0, 3),
    ([0], 1, 4),
    ([0], 1, 2),
    ([1, 0], 0, 5),
    ([0, 0, 1], 0, 3),
    ([1, 0, 1], 0, 6),
    ([0, 0], 1, 7),
    ([0, 1, 1, 0, 1], 0, 16),
)


def _law_inputs(generator: torch.Generator, case: int) -> dict:
    tones, query, n_labels = LAWS[case]
    turned = integer(generator, 0, 1)
    pair = torch.randperm(n_labels, generator=generator)[:2].tolist()
    return {
        "tones": [tone ^ turned for tone in tones],
        "labels": [pair[tone] for tone in tones],
        "query_tone": query ^ turned,
        "n_labels": n_labels,
    }


def _law(tones: list, labels: list, query_tone: int, n_labels: int) -> list:
    """Certain if this tone was seen; else even among the labels that the other tone left."""
    meaning = dict(zip(tones, labels, strict=True))
    if query_tone in meaning:
        return [float(label == meaning[query_tone]) for label in range(n_labels)]
    left = [label not in meaning.values() for label in range(n_labels)]
    return [float(possible) / sum(left) for possible in left]


def _evenly(possible: list, n_labels: int) -> list:
    return [(label in possible) / len(possible) for label in range(n_labels)]


def _with_prior_counts(tones, labels, query_tone, n_labels):
    counts = [1.0] * n_labels
    for tone, label in zip(tones, labels, strict=True):
        counts[label] += tone == query_tone
    return [count / sum(counts) for count in counts]


def _not_excluded(tones, labels, query_tone, n_labels):
    if query_tone in tones:
        return _law(tones, labels, query_tone, n_labels)
    return _evenly(list(range(n_labels)), n_labels)


def _excluded_but_not_shared(tones, labels, query_tone, n_labels):
    if query_tone in tones:
        return _law(tones, labels, query_tone, n_labels)
    return [(label not in labels) / n_labels for label in range(n_labels)]


LABEL_LAW = Exercise(
    name="label_law",
    lab="10",
    task=(
        "Return the exact law of the query's label: a list of `n_labels` probabilities. Praise (tone 0) has one label "
        "and blame (tone 1) another, different one; before any example all such pairs are equally likely. `tones` and "
        "`labels` are those of the examples, none of them wrong; `labels` counts from 0. `query_tone` is the tone of "
        "the query."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_law_inputs,
    reference=_law,
    cases=len(LAWS),
    hints=(
        "If an example has the query's tone, its label is the answer, with probability 1.",
        "If no example has it, every label is equally likely that the other tone does not have.",
        "How many labels are left? All of them without an example, one less if the other tone was seen.",
    ),
    mutants=(
        Mutant(
            name="other label not excluded",
            function=_not_excluded,
            message="An example of the other tone tells something, too: its label is taken, so one label less is left.",
        ),
        Mutant(
            name="does not share the rest",
            function=_excluded_but_not_shared,
            message="You exclude the label of the other tone, but the rest must share its mass: the law sums to 1.",
        ),
        Mutant(
            name="ignores the examples",
            function=lambda tones, labels, query_tone, n_labels: _evenly(list(range(n_labels)), n_labels),
            message="You ignore the examples; an example of the query's tone settles the label.",
        ),
        Mutant(
            name="copies the last label",
            function=lambda tones, labels, query_tone, n_labels: _evenly(
                labels[-1:] or list(range(n_labels)), n_labels
            ),
            message="You copy the label of the last example, whatever its tone; look for an example with the query's.",
        ),
        Mutant(
            name="labels without tones",
            function=lambda tones, labels, query_tone, n_labels: _evenly(
                sorted(set(labels)) or list(range(n_labels)), n_labels
            ),
            message="You share the mass among the labels that were seen, without a look at the tones; that is to know "
            "the labels and not which is which.",
        ),
        Mutant(
            name="counts labels",
            function=lambda tones, labels, query_tone, n_labels: (
                [labels.count(label) / len(labels) for label in range(n_labels)]
                if labels
                else _evenly(list(range(n_labels)), n_labels)
            ),
            message="You count how often each label was seen; what matters is the tone it was seen with.",
        ),
        Mutant(
            name="never certain",
            function=_with_prior_counts,
            message="You add one to every count, as if examples could be wrong; here one example is proof.",
        ),
        Mutant(
            name="the other tone's label",
            function=lambda tones, labels, query_tone, n_labels: _law(tones, labels, 1 - query_tone, n_labels),
            message="You give the label of the other tone; compare with query_tone itself.",
        ),
        Mutant(
            name="the label alone",
            function=lambda tones, labels, query_tone, n_labels: max(
                range(n_labels), key=_law(tones, labels, query_tone, n_labels).__getitem__
            ),
            message="You return the most probable label; return the probabilities of all of them.",
        ),
    ),
)


EXERCISES = (WRITE_PROMPT, READ_LABEL, LABEL_LAW, CALIBRATED_PROBABILITIES)
