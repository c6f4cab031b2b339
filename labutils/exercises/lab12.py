"""The exercises of lab 12, decoding: four ways to change a law, and the loop that makes text from it."""

import math

import torch
from torch import Tensor

from labutils import sampling
from labutils.exercises import Exercise, Mutant
from labutils.exercises.draws import integer, two_digits

# The sizes of the random cases. No two axes agree, so that a mistake in an axis shows.
SHAPES = ((2, 5), (3, 7), (2, 3, 11), (9,), (4, 6))


def _random_logits(generator: torch.Generator, *shape: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(shape, generator=generator)


def _shuffled(generator: torch.Generator, values: list[float]) -> Tensor:
    return torch.tensor(values)[torch.randperm(len(values), generator=generator)]


# --- apply_temperature -----------------------------------------------------------------------------------------------


def _temperature_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        return {"logits": _shuffled(generator, [0.0, 1.0, 2.0, 4.0]), "temperature": 2.0}
    if case == 1:
        return {"logits": _shuffled(generator, [-3.0, 0.5, 1.0]), "temperature": 0.5}
    if case == 2:
        return {"logits": _random_logits(generator, 2, 4), "temperature": 1.0}
    if case == 3:  # one token has been removed before
        return {"logits": _shuffled(generator, [1.0, 3.0, -math.inf]), "temperature": 4.0}
    low, high = ((0.1, 0.9), (1.1, 5.0))[case % 2]
    return {
        "logits": _random_logits(generator, *SHAPES[case - 4]),
        "temperature": two_digits(generator, low, high),
    }


APPLY_TEMPERATURE = Exercise(
    name="apply_temperature",
    lab="12",
    task=(
        "Return the logits at a temperature, so that the softmax of the result is proportional to exp(logit / T). "
        "`logits` has the shape [..., vocab] and `temperature` is positive. Return logits, not probabilities."
    ),
    points=1,
    minutes=5,
    difficulty=1,
    inputs=_temperature_inputs,
    reference=sampling.apply_temperature,
    cases=8,
    hints=(
        "A temperature above 1 must bring the logits closer together, one below 1 must spread them.",
        "The formula is p ∝ exp(z / T), where z is a logit. The softmax does the exp; what is left for you?",
        "One division is enough.",
    ),
    forbidden=("labutils.sampling.apply_temperature", "labutils.sampling.filter_logits"),
    mutants=(
        Mutant(
            name="multiplies by the temperature",
            function=lambda logits, temperature: logits * temperature,
            message="You multiply by the temperature, which makes a high temperature sharpen the law; divide instead.",
        ),
        Mutant(
            name="divides probabilities",
            function=lambda logits, temperature: logits.softmax(-1) / temperature,
            message="You divide probabilities by the temperature, which renormalising undoes; divide the logits.",
        ),
        Mutant(
            name="returns probabilities",
            function=lambda logits, temperature: (logits / temperature).softmax(-1),
            message="You return probabilities, but the samplers that follow expect logits; leave out the softmax.",
        ),
        Mutant(
            name="returns log-probabilities",
            function=lambda logits, temperature: (logits / temperature).log_softmax(-1),
            message="Your law is right, but log_softmax also shifts every row; return the divided logits as they are.",
        ),
        Mutant(
            name="power of the logits",
            function=lambda logits, temperature: logits.sign() * logits.abs() ** (1 / temperature),
            message="The power 1/T belongs to probabilities; for logits, which are logarithms, it becomes a division.",
        ),
        Mutant(
            name="power of the probabilities",
            function=lambda logits, temperature: logits.softmax(-1) ** (1 / temperature),
            message="You return powers of probabilities; they give the right law once renormalised, but return logits.",
        ),
        Mutant(
            name="ignores the temperature",
            function=lambda logits, temperature: logits,
            message="You return the logits unchanged; the temperature has to enter.",
        ),
        Mutant(
            name="subtracts the temperature",
            function=lambda logits, temperature: logits - temperature,
            message="You subtract the temperature, but the softmax does not see a shift of all logits; divide instead.",
        ),
        Mutant(
            name="divides by the exponential",
            function=lambda logits, temperature: logits / math.exp(temperature),
            message="You divide by exp(T); divide by T itself, so that T = 1 changes nothing.",
        ),
    ),
)


# --- keep_top_k ------------------------------------------------------------------------------------------------------


def _top_k_inputs(generator: torch.Generator, case: int) -> dict:
    if case == 0:
        return {"logits": _shuffled(generator, [0.0, 1.0, 2.0, 3.0]), "k": 2}
    if case == 1:  # two tokens tie with the third largest
        return {"logits": _shuffled(generator, [5.0, 4.0, 3.0, 3.0, -1.0]), "k": 3}
    if case == 2:
        return {"logits": _shuffled(generator, [-4.0, -3.0, -2.0, -1.0]), "k": 1}
    if case == 3:  # everything stays
        return {"logits": _random_logits(generator, 2, 3), "k": 3}
    logits = _random_logits(generator, *SHAPES[case - 4])
    return {"logits": logits, "k": integer(generator, 2, logits.shape[-1] - 2)}


def _exactly_k(logits: Tensor, k: int) -> Tensor:
    values, where = logits.topk(k)
    return torch.full_like(logits, -math.inf).scatter(-1, where, values)


def _threshold(logits: Tensor, threshold: Tensor) -> Tensor:
    return logits.masked_fill(logits < threshold, -math.inf)


def _top_k(logits: Tensor, k: int) -> Tensor:
    return _threshold(logits, logits.topk(k).values[..., -1:])


def _sorted(logits: Tensor) -> Tensor:
    return logits.sort(dim=-1, descending=True).values


KEEP_TOP_K = Exercise(
    name="keep_top_k",
    lab="12",
    task=(
        "Return the logits with all but the k largest of each row set to −inf. The last axis is the vocabulary; k lies "
        "between 1 and its size. Keep every logit that ties with the k-th largest, even if more than k remain."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_top_k_inputs,
    reference=sampling.keep_top_k,
    cases=9,
    hints=(
        "If you knew the k-th largest logit of a row, which logits would you remove?",
        "`logits.topk(k).values` has the k largest of each row, in falling order. Its last column is your threshold.",
        "Keep the threshold's axis with `[..., -1:]`, so that it broadcasts; then "
        "`masked_fill(logits < threshold, float('-inf'))`.",
    ),
    forbidden=("labutils.sampling.keep_top_k", "labutils.sampling.filter_logits"),
    mutants=(
        Mutant(
            name="one threshold for all rows",
            function=lambda logits, k: _threshold(logits, logits.flatten().topk(k).values[-1]),
            message="You use one threshold for the whole tensor; every row (the last axis) needs its own.",
        ),
        Mutant(
            name="wrong axis",
            function=lambda logits, k: _threshold(logits, logits.topk(min(k, len(logits)), dim=0).values[-1:]),
            message="You look for the largest along the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="zero instead of minus infinity",
            function=lambda logits, k: logits.masked_fill(logits < logits.topk(k).values[..., -1:], 0.0),
            message="You set removed logits to 0, but exp(0) = 1 is no small score; only −inf has probability 0.",
        ),
        Mutant(
            name="a large negative number",
            function=lambda logits, k: logits.masked_fill(logits < logits.topk(k).values[..., -1:], -1e9),
            message="You set removed logits to a large negative number; use float('-inf'), whose probability is 0.",
        ),
        Mutant(
            name="k-th from the wrong end",
            function=lambda logits, k: _threshold(logits, logits.sort(dim=-1).values[..., k - 1 : k]),
            message="You compare with the k-th smallest logit; take the k-th largest (sort with descending=True).",
        ),
        Mutant(
            name="keeps the smallest",
            function=lambda logits, k: logits.masked_fill(logits > logits.sort(-1).values[..., k - 1 : k], -math.inf),
            message="You keep the k smallest logits; the most probable tokens have the largest.",
        ),
        Mutant(
            name="drops the k-th itself",
            function=lambda logits, k: logits.masked_fill(logits <= logits.topk(k).values[..., -1:], -math.inf),
            message="You also remove the k-th largest logit itself; remove only what is strictly smaller.",
        ),
        Mutant(
            name="one too many",
            function=lambda logits, k: _threshold(
                logits, _sorted(logits)[..., min(k, logits.shape[-1] - 1)].unsqueeze(-1)
            ),
            message="You keep k + 1 tokens; counting from zero, the k-th largest has the index k − 1.",
        ),
        Mutant(
            name="exactly k in spite of ties",
            function=_exactly_k,
            message="You keep exactly k tokens where some tie with the k-th; the task asks you to keep all that tie.",
        ),
        Mutant(
            name="returns the k values alone",
            function=lambda logits, k: logits.topk(k).values,
            message="You return the k largest values alone; keep the shape, so that a place still names its token.",
        ),
        Mutant(
            name="returns probabilities",
            function=lambda logits, k: _top_k(logits, k).softmax(-1),
            message="You return probabilities; return logits, with −inf where a token was removed.",
        ),
    ),
)


# --- keep_top_p ------------------------------------------------------------------------------------------------------


def _top_p_inputs(generator: torch.Generator, case: int) -> dict:
    readable = {
        0: ([0.5, 0.25, 0.15, 0.1], 0.6),
        1: ([0.7, 0.2, 0.1], 0.4),  # the first token alone is enough
        2: ([0.4, 0.3, 0.2, 0.07, 0.03], 0.95),
    }
    if case in readable:
        probabilities, p = readable[case]
        return {"logits": _shuffled(generator, probabilities).log(), "p": p}
    if case == 3:  # one token has been removed before; with constants the logits are no log-probabilities
        logits = _shuffled(generator, [0.5, 0.3, 0.15, 0.05]).log() + 3.0
        return {"logits": torch.cat((logits, torch.tensor([-math.inf]))), "p": 0.7}
    # A peaked law or a flat one; and never a sum of probabilities so close to p that rounding decides.
    low, high, scale = ((0.55, 0.75, 2.0), (0.1, 0.45, 0.5), (0.8, 0.97, 3.0))[case % 3]
    while True:
        logits = _random_logits(generator, *SHAPES[case - 4], scale=scale)
        p = two_digits(generator, low, high)
        mass = logits.double().softmax(-1).sort(-1, descending=True).values.cumsum(-1)
        if (mass - p).abs().min() > 1e-3:
            return {"logits": logits, "p": p}


def _mass(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each row: the probabilities from the largest down, their running sum, and where each came from."""
    descending, order = logits.sort(dim=-1, descending=True)
    probabilities = descending.softmax(-1)
    return probabilities, probabilities.cumsum(-1), order


def _remove(logits: Tensor, order: Tensor, removed: Tensor, value: float = -math.inf) -> Tensor:
    """Set logits to `value`, where `removed` is given in sorted order."""
    return logits.masked_fill(torch.zeros_like(removed).scatter(-1, order, removed), value)


def _nucleus(logits: Tensor, p: float) -> Tensor:
    probabilities, mass, order = _mass(logits)
    return _remove(logits, order, mass - probabilities >= p)


def _notes_rule(logits: Tensor, p: float) -> Tensor:
    _, mass, order = _mass(logits)
    return _remove(logits, order, mass > p)


def _notes_rule_but_one(logits: Tensor, p: float) -> Tensor:
    _, mass, order = _mass(logits)
    removed = mass > p
    removed[..., 0] = False
    return _remove(logits, order, removed)


def _in_sorted_order(logits: Tensor, p: float) -> Tensor:
    probabilities, mass, _ = _mass(logits)
    return logits.masked_fill(mass - probabilities >= p, -math.inf)


def _gathered(logits: Tensor, p: float) -> Tensor:
    probabilities, mass, order = _mass(logits)
    return logits.masked_fill((mass - probabilities >= p).gather(-1, order), -math.inf)


def _returns_sorted(logits: Tensor, p: float) -> Tensor:
    probabilities, mass, order = _mass(logits)
    return logits.gather(-1, order).masked_fill(mass - probabilities >= p, -math.inf)


def _one_token_more(logits: Tensor, p: float) -> Tensor:
    _, mass, order = _mass(logits)
    removed = mass >= p
    return _remove(logits, order, torch.nn.functional.pad(removed[..., :-2], (2, 0)))


def _from_the_bottom(logits: Tensor, p: float) -> Tensor:
    ascending, order = logits.sort(dim=-1)
    probabilities = ascending.softmax(-1)
    return _remove(logits, order, probabilities.cumsum(-1) - probabilities >= p)


def _zeros(logits: Tensor, p: float) -> Tensor:
    probabilities, mass, order = _mass(logits)
    return _remove(logits, order, mass - probabilities >= p, 0.0)


def _sums_logits(logits: Tensor, p: float) -> Tensor:
    descending, order = logits.sort(dim=-1, descending=True)
    return _remove(logits, order, descending.cumsum(-1) - descending >= p)


def _all_rows_as_one(logits: Tensor, p: float) -> Tensor:
    return _nucleus(logits.flatten(), p).view_as(logits)


def _sums_along_the_first_axis(logits: Tensor, p: float) -> Tensor:
    descending, order = logits.sort(dim=-1, descending=True)
    probabilities = descending.softmax(0)
    return _remove(logits, order, probabilities.cumsum(0) - probabilities >= p)


KEEP_TOP_P = Exercise(
    name="keep_top_p",
    lab="12",
    task=(
        "Return the logits with all tokens outside the nucleus set to −inf. The nucleus of a row is the smallest set "
        "of its most probable tokens whose probability reaches p: the token whose probability carries the sum to p or "
        "beyond belongs to it, so at least one token remains. The last axis is the vocabulary, and 0 < p < 1. No sum "
        "of probabilities comes close to p in the tests, and no two logits tie."
    ),
    points=4,
    minutes=20,
    difficulty=3,
    inputs=_top_p_inputs,
    reference=sampling.keep_top_p,
    cases=9,
    hints=(
        "Work on sorted probabilities: `descending, order = logits.sort(dim=-1, descending=True)`, then softmax and "
        "cumsum along the last axis.",
        "A token stays if the sum of the probabilities *before* it is below p. For the first token that sum is 0.",
        "`order` says where each sorted token came from. A mask in sorted order goes back to the vocabulary with "
        "`torch.zeros_like(mask).scatter(-1, order, mask)`.",
    ),
    forbidden=("labutils.sampling.keep_top_p", "labutils.sampling.filter_logits"),
    mutants=(
        Mutant(
            name="all rows as one",
            function=_all_rows_as_one,
            message="You treat the whole tensor as one law; every row (the last axis) has its own nucleus.",
        ),
        Mutant(
            name="wrong axis",
            function=_sums_along_the_first_axis,
            message="You take the softmax and the sum along the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="drops the crossing token, but keeps the first",
            function=_notes_rule_but_one,
            message="You rescue the first token, but still drop the token that crosses p where more are kept; compare "
            "the sum before each token.",
        ),
        Mutant(
            name="drops the crossing token",
            function=_notes_rule,
            message="You keep tokens while the sum is at most p, dropping the token that crosses p and at times all; "
            "compare the sum before each token.",
        ),
        Mutant(
            name="mask left in sorted order",
            function=_in_sorted_order,
            message="Your mask is in sorted order and your logits are not; scatter the mask back with `order`.",
        ),
        Mutant(
            name="gathers instead of scattering",
            function=_gathered,
            message="You gather the mask with `order`, which sorts it a second time; scatter puts it back.",
        ),
        Mutant(
            name="returns sorted logits",
            function=_returns_sorted,
            message="You return the logits in sorted order; put them back, as a place in the vocabulary names a token.",
        ),
        Mutant(
            name="one token more",
            function=_one_token_more,
            message="You keep one token more than needed; once the sum has reached p, nothing else is added.",
        ),
        Mutant(
            name="from the least probable up",
            function=_from_the_bottom,
            message="You collect the least probable tokens first; sort with descending=True.",
        ),
        Mutant(
            name="zero instead of minus infinity",
            function=_zeros,
            message="You set removed logits to 0, but exp(0) = 1 is no small score; only −inf has probability 0.",
        ),
        Mutant(
            name="one minus p",
            function=lambda logits, p: _nucleus(logits, 1 - p),
            message="You keep a mass of 1 − p; p is the mass to keep, not the mass to remove.",
        ),
        Mutant(
            name="looks at single probabilities",
            function=lambda logits, p: logits.masked_fill(logits.softmax(-1) < p, -math.inf),
            message="You compare each probability with p; compare the running sum of the sorted probabilities.",
        ),
        Mutant(
            name="sums logits",
            function=_sums_logits,
            message="You sum logits; p is a probability, so take the softmax before the running sum.",
        ),
        Mutant(
            name="returns probabilities",
            function=lambda logits, p: _nucleus(logits, p).softmax(-1),
            message="You return probabilities; return logits, with −inf where a token was removed.",
        ),
    ),
)


# --- keep_min_p ------------------------------------------------------------------------------------------------------


def _min_p_inputs(generator: torch.Generator, case: int) -> dict:
    readable = {
        0: ([0.4, 0.3, 0.2, 0.1], 0.27),
        1: ([0.90, 0.06, 0.04], 0.05),
        2: ([0.24, 0.22, 0.2, 0.19, 0.15], 0.9),
    }
    if case in readable:
        probabilities, p = readable[case]
        return {"logits": _shuffled(generator, probabilities).log() + 2.0, "p": p}
    if case == 3:  # only the most probable token of each row is as probable as itself
        return {"logits": _random_logits(generator, 2, 3), "p": 1.0}
    low, high = ((0.02, 0.2), (0.3, 0.7))[case % 2]
    while True:
        logits = _random_logits(generator, *SHAPES[case - 4])
        p = two_digits(generator, low, high)
        ratio = (logits.double() - logits.double().amax(-1, keepdim=True)).exp()
        if (ratio / p - 1).abs().min() > 1e-3:  # rounding must not decide
            return {"logits": logits, "p": p}


def _cut_at(logits: Tensor, smallest: Tensor | float) -> Tensor:
    return logits.masked_fill(logits.softmax(-1) < smallest, -math.inf)


KEEP_MIN_P = Exercise(
    name="keep_min_p",
    lab="12",
    task=(
        "Return the logits with every token set to −inf that is less probable than p times the most probable token of "
        "its row. The last axis is the vocabulary, and 0 < p <= 1; p = 1 keeps the most probable token. Apart from "
        "that no probability comes close to the limit in the tests."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_min_p_inputs,
    reference=sampling.keep_min_p,
    cases=9,
    hints=(
        "The limit is not p itself: it moves with the probability of the best token.",
        "Find the largest probability of each row with `amax(dim=-1, keepdim=True)`; `keepdim` lets it broadcast.",
        "`masked_fill(probabilities < p * largest, float('-inf'))`, applied to the logits.",
    ),
    forbidden=("labutils.sampling.keep_min_p", "labutils.sampling.filter_logits"),
    mutants=(
        Mutant(
            name="one maximum for all rows",
            function=lambda logits, p: _cut_at(logits, p * logits.softmax(-1).amax()),
            message="You use the largest probability of the whole tensor; every row (the last axis) has its own.",
        ),
        Mutant(
            name="maximum along the wrong axis",
            function=lambda logits, p: _cut_at(logits, p * logits.softmax(-1).amax(0, keepdim=True)),
            message="You take the maximum along the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="softmax along the wrong axis",
            function=lambda logits, p: logits.masked_fill(
                logits.softmax(0) < p * logits.softmax(0).amax(-1, keepdim=True), -math.inf
            ),
            message="You take the softmax along the first axis; the vocabulary is the last one, dim=-1.",
        ),
        Mutant(
            name="removes the limit itself",
            function=lambda logits, p: logits.masked_fill(
                logits.softmax(-1) <= p * logits.softmax(-1).amax(-1, keepdim=True), -math.inf
            ),
            message="You also remove what is exactly at the limit; with p = 1 that is the best token.",
        ),
        Mutant(
            name="relative to one",
            function=lambda logits, p: _cut_at(logits, p),
            message="You compare probabilities with p itself; the limit is p times the largest probability of the row.",
        ),
        Mutant(
            name="ratio of logits",
            function=lambda logits, p: _threshold(logits, p * logits.amax(-1, keepdim=True)),
            message="You take a fraction of the largest logit; the rule is about probabilities, so take the softmax.",
        ),
        Mutant(
            name="difference of logits",
            function=lambda logits, p: _threshold(logits, logits.amax(-1, keepdim=True) - p),
            message="You allow a gap of p between logits; a ratio p of probabilities is a gap of −log p.",
        ),
        Mutant(
            name="relative to the mean",
            function=lambda logits, p: _cut_at(logits, p * logits.softmax(-1).mean(-1, keepdim=True)),
            message="You compare with the mean probability, which is always 1 / vocab; compare with the largest.",
        ),
        Mutant(
            name="keeps the improbable",
            function=lambda logits, p: logits.masked_fill(
                logits.softmax(-1) >= p * logits.softmax(-1).amax(-1, keepdim=True), -math.inf
            ),
            message="You remove the probable tokens and keep the others; turn the comparison round.",
        ),
        Mutant(
            name="one minus p",
            function=lambda logits, p: _cut_at(logits, (1 - p) * logits.softmax(-1).amax(-1, keepdim=True)),
            message="You use 1 − p; a small p must give a low limit.",
        ),
        Mutant(
            name="zero instead of minus infinity",
            function=lambda logits, p: logits.masked_fill(
                logits.softmax(-1) < p * logits.softmax(-1).amax(-1, keepdim=True), 0.0
            ),
            message="You set removed logits to 0, but exp(0) = 1 is no small score; only −inf has probability 0.",
        ),
        Mutant(
            name="returns probabilities",
            function=lambda logits, p: _cut_at(logits, p * logits.softmax(-1).amax(-1, keepdim=True)).softmax(-1),
            message="You return probabilities; return logits, with −inf where a token was removed.",
        ),
    ),
)


# --- complete --------------------------------------------------------------------------------------------------------


def _with_a_table(student_function, votes, prompt, max_new_tokens, stop_token):
    """Make a model from a table: the token at each place votes for the next one, so the whole past matters."""
    calls = 0

    def next_logits(tokens):
        nonlocal calls
        calls += 1
        if calls > max_new_tokens + 20:
            raise RuntimeError("next_logits was called far more often than max_new_tokens: the loop does not end")
        return sum(votes[place % len(votes), int(token)] for place, token in enumerate(tokens))

    completed = student_function(next_logits, prompt, max_new_tokens, stop_token)
    return {"the result": completed, "the prompt afterwards": prompt}


def _complete(next_logits, prompt, max_new_tokens, stop_token):
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        tokens.append(int(next_logits(tokens).argmax()))
        if tokens[-1] == stop_token:
            break
    return tokens


def _complete_inputs(generator: torch.Generator, case: int) -> dict:
    """Draw a model, let it run, and choose the stop token with a look at what it does."""
    vocab = 5 + case
    prompt_length, max_new_tokens = ((1, 3), (2, 4), (3, 6), (4, 1), (2, 7), (3, 5), (5, 8), (1, 9))[case]
    while True:
        votes = torch.randn(prompt_length + max_new_tokens + 2, vocab, vocab, generator=generator)
        prompt = torch.randint(vocab, (prompt_length,), generator=generator).tolist()
        inputs = {"votes": votes, "prompt": prompt, "max_new_tokens": max_new_tokens, "stop_token": -1}
        unstopped = _with_a_table(_complete, **inputs)["the result"]
        new = unstopped[prompt_length:]
        # What the model would say next if it knew less, so that a loop that forgets its past is seen at once.
        forgetful = [_with_a_table(m, **inputs)["the result"] for m in (_feeds_the_last_token, _feeds_the_prompt)]
        if case != 3 and (unstopped in forgetful or len(set(new)) < 2):
            continue
        unsaid = [token for token in range(vocab) if token not in unstopped]
        candidates = {
            1: [token for token in new[1:-1] if token not in prompt and new.count(token) == 1],  # stops on the way
            2: [token for token in prompt if token not in new],  # is in the prompt only
            4: [token for token in new[:1] if token not in prompt],  # stops at once
            5: [token for token in new[-1:] if token not in unstopped[:-1]],  # stops at the limit
            6: [token for token in new[2:-2] if token not in prompt],
        }.get(case, unsaid)
        if candidates:
            return inputs | {"stop_token": candidates[0]}


def _feeds_the_last_token(next_logits, prompt, max_new_tokens, stop_token):
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        tokens.append(int(next_logits(tokens[-1:]).argmax()))
        if tokens[-1] == stop_token:
            break
    return tokens


def _feeds_the_prompt(next_logits, prompt, max_new_tokens, stop_token):
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        tokens.append(int(next_logits(prompt).argmax()))
        if tokens[-1] == stop_token:
            break
    return tokens


def _forgets_the_stop_token(next_logits, prompt, max_new_tokens, stop_token):
    return _complete(next_logits, prompt, max_new_tokens, -1)


def _leaves_the_stop_token_out(next_logits, prompt, max_new_tokens, stop_token):
    tokens = _complete(next_logits, prompt, max_new_tokens, stop_token)
    return tokens[:-1] if tokens[-1] == stop_token else tokens


def _stops_on_the_prompt(next_logits, prompt, max_new_tokens, stop_token):
    tokens = list(prompt)
    for _ in range(max_new_tokens):
        if stop_token in tokens:
            break
        tokens.append(int(next_logits(tokens).argmax()))
    return tokens


def _drops_the_prompt(next_logits, prompt, max_new_tokens, stop_token):
    return _complete(next_logits, prompt, max_new_tokens, stop_token)[len(prompt) :]


def _changes_the_prompt(next_logits, prompt, max_new_tokens, stop_token):
    prompt[:] = _complete(next_logits, prompt, max_new_tokens, stop_token)
    return prompt


def _counts_the_prompt(next_logits, prompt, max_new_tokens, stop_token):
    return _complete(next_logits, prompt, max_new_tokens - len(prompt), stop_token)


def _least_likely(next_logits, prompt, max_new_tokens, stop_token):
    return _complete(lambda tokens: -next_logits(tokens), prompt, max_new_tokens, stop_token)


def _one_token(next_logits, prompt, max_new_tokens, stop_token):
    return _complete(next_logits, prompt, 1, stop_token)


COMPLETE = Exercise(
    name="complete",
    lab="12",
    task=(
        "Extend a prompt greedily and return the list of all tokens, those of the prompt included. `prompt` is a list "
        "of tokens; `next_logits(tokens)` returns the logits [vocab] of the token that follows the list `tokens`. Stop "
        "after `max_new_tokens` new tokens (at least 1), or after a generated `stop_token`, which belongs to the "
        "result. A stop token in the prompt does not count. Leave `prompt` as it is."
    ),
    points=3,
    minutes=15,
    difficulty=3,
    inputs=_complete_inputs,
    reference=_complete,
    adapter=_with_a_table,
    cases=8,
    hints=(
        "Begin with a copy, `tokens = list(prompt)`, and append to it in a loop.",
        "`for _ in range(max_new_tokens)`: ask `next_logits(tokens)` with all tokens so far and take the `argmax`.",
        "Append first, then compare what you appended with `stop_token`, and leave the loop if it is that.",
    ),
    forbidden=("labutils.sampling.generate", "labutils.sampling.beam_search"),
    mutants=(
        Mutant(
            name="forgets the stop token",
            function=_forgets_the_stop_token,
            message="You go on after the stop token; leave the loop once you have appended it.",
        ),
        Mutant(
            name="leaves the stop token out",
            function=_leaves_the_stop_token_out,
            message="You stop in time but leave the stop token out of the result; append first, then look at it.",
        ),
        Mutant(
            name="stops on the prompt",
            function=_stops_on_the_prompt,
            message="You stop because the prompt contains the stop token; look only at tokens that you generated.",
        ),
        Mutant(
            name="drops the prompt",
            function=_drops_the_prompt,
            message="You return the new tokens only; the prompt belongs to the result.",
        ),
        Mutant(
            name="changes the prompt",
            function=_changes_the_prompt,
            message="You append to `prompt` itself and so change the caller's list; begin with a copy, list(prompt).",
        ),
        Mutant(
            name="one token too many",
            function=lambda next_logits, prompt, max_new_tokens, stop_token: _complete(
                next_logits, prompt, max_new_tokens + 1, stop_token
            ),
            message="You generate one token more than max_new_tokens; range(max_new_tokens) counts right.",
        ),
        Mutant(
            name="one token too few",
            function=lambda next_logits, prompt, max_new_tokens, stop_token: _complete(
                next_logits, prompt, max_new_tokens - 1, stop_token
            ),
            message="You generate one token less than max_new_tokens; range(max_new_tokens) counts right.",
        ),
        Mutant(
            name="counts the prompt",
            function=_counts_the_prompt,
            message="You count the prompt's tokens in max_new_tokens; the limit is on generated tokens only.",
        ),
        Mutant(
            name="feeds the last token only",
            function=_feeds_the_last_token,
            message="You show the model the last token only; the next token depends on all tokens so far.",
        ),
        Mutant(
            name="always feeds the prompt",
            function=_feeds_the_prompt,
            message="You show the model the prompt at every step; it must see the tokens that it generated, too.",
        ),
        Mutant(
            name="a single token",
            function=_one_token,
            message="You return after the first new token; repeat, up to max_new_tokens times.",
        ),
        Mutant(
            name="the least likely token",
            function=_least_likely,
            message="You take the token with the smallest logit; greedy takes the largest, argmax.",
        ),
    ),
)


EXERCISES = (APPLY_TEMPERATURE, KEEP_TOP_K, KEEP_TOP_P, KEEP_MIN_P, COMPLETE)
