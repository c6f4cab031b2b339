"""The exercises as data: they must be well formed, accept every right answer, and tell every known mistake apart."""

import ast
import inspect
import math
import textwrap
from importlib import import_module
from operator import attrgetter
from pkgutil import iter_modules

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from labutils import exercises
from labutils.checks import compare
from labutils.exercises import Exercise, exercises_of, find

LABS = sorted(m.name.removeprefix("lab") for m in iter_modules(exercises.__path__) if m.name.startswith("lab"))
EXERCISES = [exercise for lab in LABS for exercise in exercises_of(lab)]
seeds = st.integers(0, 2**62)

by_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])


def draw(exercise: Exercise, seed: int, case: int) -> dict:
    return exercise.inputs(torch.Generator().manual_seed((seed + case) % 2**63), case)


def outcome(exercise: Exercise, function, seed: int, case: int):
    """The result, or the exception: a mutant may fail where the reference does not."""
    try:
        return exercise.run(function, draw(exercise, seed, case))
    except Exception as error:
        return error


def problems(exercise: Exercise, function, seed: int) -> list[str | None]:
    return [
        compare(
            outcome(exercise, function, seed, case),
            exercise.run(exercise.reference, draw(exercise, seed, case)),
            exercise.rtol,
            exercise.atol,
        )
        for case in range(exercise.cases)
    ]


# --- every exercise of every lab -------------------------------------------------------------------------------------


def test_names_are_unique_and_found():
    names = [exercise.name for exercise in EXERCISES]
    assert len(set(names)) == len(names)
    assert all(find(exercise.name) is exercise for exercise in EXERCISES)
    assert all(exercise.lab == lab for lab in LABS for exercise in exercises_of(lab))


def test_what_is_not_there_gets_a_sentence():
    with pytest.raises(ValueError, match=r"no exercise 'keep_top_q'. Did you mean 'keep_top_p' or 'keep_top_k'\?"):
        find("keep_top_q")
    with pytest.raises(ValueError, match=r"no exercise 'xyz'\.$"):
        find("xyz")
    with pytest.raises(ValueError, match="no lab '99' with exercises"):
        exercises_of("99")


@by_exercise
def test_an_exercise_is_complete(exercise):
    assert exercise.task.endswith(".")
    assert exercise.points >= 1
    assert exercise.minutes >= 1
    assert 1 <= exercise.difficulty <= 5
    assert 2 <= len(exercise.hints) <= 3
    assert len(exercise.mutants) >= 5
    assert len({mutant.name for mutant in exercise.mutants}) == len(exercise.mutants)
    messages = [mutant.message for mutant in exercise.mutants]
    assert len(set(messages)) == len(messages)
    for message in messages:
        assert message[0].isupper()
        assert message.endswith(".")
        assert message.count(". ") == 0, "one sentence"
    for name in exercise.forbidden:
        module, attribute = name.split(".", 1) if name.startswith("torch.") else name.rsplit(".", 1)
        assert callable(attrgetter(attribute)(import_module(module)))


@by_exercise
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_inputs_are_plain_and_drawn_from_the_generator_alone(exercise, seed):
    def is_plain(value):
        if isinstance(value, list):
            return all(map(is_plain, value))
        return type(value) in (torch.Tensor, int, float, str, bool)

    for case in range(exercise.cases):
        first, again = draw(exercise, seed, case), draw(exercise, seed, case)
        assert all(map(is_plain, first.values()))
        assert all(compare(first[key], again[key], 0.0, 0.0) is None for key in first)


@by_exercise
def test_other_seeds_draw_other_inputs(exercise):
    for case in range(exercise.cases):
        drawn = [draw(exercise, seed, case) for seed in range(6)]
        assert any(compare(other[key], drawn[0][key], 0.0, 0.0) for other in drawn for key in other), case


@by_exercise
@settings(max_examples=5, deadline=None)
@given(seed=seeds)
def test_the_reference_leaves_its_inputs_alone(exercise, seed):
    for case in range(exercise.cases):
        inputs, original = draw(exercise, seed, case), draw(exercise, seed, case)
        exercise.run(exercise.reference, inputs)
        assert all(compare(inputs[key], original[key], 0.0, 0.0) is None for key in inputs)


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.adapter], ids=lambda e: e.name)
def test_an_adapter_needs_nothing_but_torch_and_math(exercise):
    """The grader sends its source to the student's process."""
    namespace = {"torch": torch, "math": math}
    source = textwrap.dedent(inspect.getsource(exercise.adapter))
    assert isinstance(ast.parse(source).body[0], ast.FunctionDef)
    exec(source, namespace)
    for case in range(exercise.cases):
        sent = namespace[exercise.adapter.__name__](exercise.reference, **draw(exercise, 1, case))
        assert compare(sent, exercise.run(exercise.reference, draw(exercise, 1, case)), 0.0, 0.0) is None


@by_exercise
@settings(max_examples=8, deadline=None)
@given(seed=seeds)
def test_every_mutant_is_killed_and_told_apart_whatever_the_seed(exercise, seed):
    """No mutant gives all the wrong results of one that comes after it, so the first that fits is the right one."""
    cases = range(exercise.cases)
    wanted = [outcome(exercise, exercise.reference, seed, case) for case in cases]
    results = [[outcome(exercise, mutant.function, seed, case) for case in cases] for mutant in exercise.mutants]

    def same(a, b):
        return not isinstance(b, Exception) and compare(a, b, exercise.rtol, exercise.atol) is None

    for i, (mutant, own) in enumerate(zip(exercise.mutants, results, strict=True)):
        wrong = [case for case in cases if not same(own[case], wanted[case])]
        assert wrong, f"no test kills {mutant.name!r}"
        for earlier, others in zip(exercise.mutants[:i], results[:i], strict=True):
            assert not all(same(own[case], others[case]) for case in wrong), (
                f"{mutant.name!r} looks like {earlier.name!r}"
            )


# --- lab 12: right answers of other kinds ----------------------------------------------------------------------------


def by_reciprocal(logits, temperature):
    return logits * (1 / temperature)


def row_by_row(logits, temperature):
    return torch.stack([z / temperature for z in logits])


def top_k_by_sorting(logits, k):
    threshold = torch.sort(logits, dim=-1)[0][..., -k].unsqueeze(-1)
    return torch.where(logits >= threshold, logits, torch.tensor(float("-inf")))


def top_k_by_rank(logits, k):
    larger = (logits[..., None, :] > logits[..., :, None]).sum(-1)
    result = logits.clone()
    result[larger >= k] = float("-inf")
    return result


def top_k_of_hugging_face(logits, k):
    return TopKLogitsWarper(k)(None, logits)


def top_p_by_collecting(logits, p):
    """Row by row in plain Python, as the definition says."""
    result = torch.full_like(logits, float("-inf"))
    rows, out = logits.reshape(-1, logits.shape[-1]), result.reshape(-1, logits.shape[-1])
    for row, kept in zip(rows, out, strict=True):
        probabilities, total = row.softmax(-1).tolist(), 0.0
        while total < p:
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            total += probabilities[best]
            probabilities[best] = -1.0
            kept[best] = row[best]
    return result


def top_p_by_comparing(logits, p):
    """The mass before a token is the mass of all larger ones."""
    probabilities = logits.softmax(-1)
    larger = probabilities[..., None, :] > probabilities[..., :, None]
    mass_before = (larger * probabilities[..., None, :]).sum(-1)
    return logits.masked_fill(mass_before >= p, float("-inf"))


def top_p_by_shifting(logits, p):
    """The form that is found in many programs: mark what is beyond p, then shift the marks by one."""
    values, order = torch.sort(logits, descending=True)
    removed = values.softmax(-1).cumsum(-1) > p
    removed[..., 1:] = removed[..., :-1].clone()
    removed[..., 0] = False
    unsorted = order.argsort(-1)
    return logits.masked_fill(removed.gather(-1, unsorted), float("-inf"))


def top_p_of_hugging_face(logits, p):
    return TopPLogitsWarper(p)(None, logits.reshape(-1, logits.shape[-1])).reshape(logits.shape)


def min_p_in_logarithms(logits, p):
    return logits.masked_fill(logits < logits.max(dim=-1, keepdim=True).values + math.log(p), float("-inf"))


def min_p_by_ratio(logits, p):
    ratio = (logits - logits.amax(-1, keepdim=True)).exp()
    return torch.where(ratio < p, float("-inf"), logits)


def min_p_of_hugging_face(logits, p):
    return MinPLogitsWarper(p)(None, logits)


def complete_with_while(next_logits, prompt, max_new_tokens, stop_token):
    tokens = [*prompt]
    new = None
    while new != stop_token and len(tokens) < len(prompt) + max_new_tokens:
        new = torch.argmax(next_logits(tokens)).item()
        tokens += [new]
    return tokens


def complete_by_recursion(next_logits, prompt, max_new_tokens, stop_token):
    if max_new_tokens == 0:
        return prompt
    new = int(next_logits(prompt).argmax())
    if new == stop_token:
        return [*prompt, new]
    return complete_by_recursion(next_logits, [*prompt, new], max_new_tokens - 1, stop_token)


def complete_with_tensors(next_logits, prompt, max_new_tokens, stop_token):
    tokens = torch.tensor(prompt)
    for _ in range(max_new_tokens):
        new = next_logits(tokens).max(-1).indices
        tokens = torch.cat((tokens, new[None]))
        if new == stop_token:
            break
    return tuple(tokens)


RIGHT = {
    "apply_temperature": (by_reciprocal, row_by_row),
    "keep_top_k": (top_k_by_sorting, top_k_by_rank, top_k_of_hugging_face),
    "keep_top_p": (top_p_by_collecting, top_p_by_comparing, top_p_by_shifting, top_p_of_hugging_face),
    "keep_min_p": (min_p_in_logarithms, min_p_by_ratio, min_p_of_hugging_face),
    "complete": (complete_with_while, complete_by_recursion, complete_with_tensors),
}


@pytest.mark.parametrize(
    ("name", "function"),
    [(name, f) for name, functions in RIGHT.items() for f in functions],
    ids=lambda x: getattr(x, "__name__", x),
)
@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_other_right_answers_are_right(name, function, seed):
    assert not any(problems(find(name), function, seed))


# --- lab 12: what the inputs promise ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_no_sum_comes_near_p_and_no_logits_tie(seed):
    exercise = find("keep_top_p")
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        logits = inputs["logits"].double()
        mass = logits.softmax(-1).sort(-1, descending=True).values.cumsum(-1)
        assert (mass - inputs["p"]).abs().min() > 9e-4
        assert (logits.sort(-1).values.diff(dim=-1) > 0).all()


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_the_first_inputs_can_be_read(seed):
    for exercise in exercises_of("12"):
        sizes = [
            sum(v.numel() for key, v in draw(exercise, seed, case).items() if torch.is_tensor(v) and key != "votes")
            for case in range(exercise.cases)
        ]
        assert max(sizes[:2]) <= 5


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_completions_end_in_every_way(seed):
    exercise = find("complete")
    ends = set()
    for case in range(exercise.cases):
        inputs = draw(exercise, seed, case)
        tokens = exercise.run(exercise.reference, inputs)["the result"]
        new = tokens[len(inputs["prompt"]) :]
        ends.add((new[-1] == inputs["stop_token"], len(new) == inputs["max_new_tokens"]))
        ends |= {"in the prompt"} if inputs["stop_token"] in inputs["prompt"] else set()
    assert {(True, False), (True, True), (False, True), "in the prompt"} <= ends
