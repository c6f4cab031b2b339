import linecache
import math
import re
import signal
import threading
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from labutils import checks, sampling
from labutils.checks import check, compare, feedback
from labutils.exercises import Exercise, Mutant, exercises_of, find
from labutils.prompting import parse_answer

TOP_K = find("keep_top_k")


@pytest.fixture(autouse=True)
def no_hints_yet():
    checks._hints_shown.clear()


def learner(source: str, name: str, **names):
    """A function as a notebook defines it: compiled from a cell whose lines Python can look up."""
    cell = "<ipython-input-7>"
    linecache.cache[cell] = (len(source), None, source.splitlines(keepends=True), cell)
    namespace = {"torch": torch, "F": F, "math": math, **names}
    exec(compile(source, cell, "exec"), namespace)
    return namespace[name]


BROKEN = "def broken(zero, logits, temperature):\n    return 1 / zero\n"


def right_top_k(logits, k):
    return logits.masked_fill(logits < logits.topk(k).values[..., -1:], -math.inf)


def said(capsys, name, function) -> str:
    check(name, function)
    return capsys.readouterr().out


# --- the answers of check() ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", exercises_of("12"), ids=lambda e: e.name)
def test_a_stub_is_not_written_yet(exercise, capsys):
    def stub(*_args, **_kwargs):
        raise NotImplementedError("not written yet")

    expected = f"{exercise.name}: not written yet\nHint 1 of 3: {exercise.hints[0]}\n"
    assert said(capsys, exercise.name, stub) == expected


@pytest.mark.parametrize(
    ("name", "function", "answer"),
    [
        ("apply_temperature", lambda logits, temperature: logits / temperature, "correct (8 tests, 1 point)"),
        ("keep_top_k", right_top_k, "correct (9 tests, 2 points)"),
    ],
)
def test_a_right_answer_is_correct(name, function, answer, capsys):
    assert said(capsys, name, function) == f"{name}: {answer}\n"


@pytest.mark.parametrize(
    ("exercise", "mutant"),
    [(e, m) for e in exercises_of("12") for m in e.mutants],
    ids=[f"{e.name}: {m.name}".replace(" ", "-") for e in exercises_of("12") for m in e.mutants],
)
def test_every_mistake_is_named(exercise, mutant, capsys):
    answer = said(capsys, exercise.name, mutant.function)
    assert re.fullmatch(rf"{exercise.name}: \d of \d tests fail\. {re.escape(mutant.message)}\n", answer)


def test_an_unknown_mistake_shows_the_smallest_failing_input_and_a_new_hint_each_time(capsys):
    def halves_the_best(logits, k):
        kept = TOP_K.reference(logits, k)
        return torch.where(kept == kept.amax(-1, keepdim=True), kept / 2, kept)

    answers = [said(capsys, "keep_top_k", halves_the_best) for _ in range(4)]
    inputs = TOP_K.inputs(torch.Generator().manual_seed(2), 2)["logits"].tolist()
    assert answers[0] == (
        "keep_top_k: 9 of 9 tests fail. Look at test 1:\n"
        "  logits = [0, 1, 3, 2]\n"
        "  k = 2\n"
        "  got:      [-inf, -inf, 1.5, 2]\n"
        "  expected: [-inf, -inf, 3, 2]\n"
        "1 of 4 numbers, at [2], is wrong.\n"
        f"Hint 1 of 3: {TOP_K.hints[0]}\n"
    )
    assert len(inputs) == 4
    for answer, hint in zip(answers, (0, 1, 2, 2), strict=True):
        assert answer.endswith(f"Hint {hint + 1} of 3: {TOP_K.hints[hint]}\n")


def test_the_smallest_failing_input_is_not_always_the_first_case(capsys):
    def wrong_for_rows(logits, k):
        return TOP_K.reference(logits, k) + (logits.ndim > 1)

    answer = said(capsys, "keep_top_k", wrong_for_rows)
    assert "4 of 9 tests fail. Look at test 4:\n" in answer or "5 of 9 tests fail. Look at test 4:\n" in answer


def test_an_exception_is_shown_with_the_line_of_the_learners_code(capsys):
    source = "def keep_top_k(logits, k):\n    best = logits.topk(k)\n    return logits < best\n"
    answer = said(capsys, "keep_top_k", learner(source, "keep_top_k"))
    assert "9 of 9 tests fail. Look at test 1:\n  logits = [" in answer
    assert "It raises TypeError: " in answer
    assert "\nin line 3: return logits < best\n" in answer


def test_an_exception_in_a_helper_names_the_last_line_of_the_learner(capsys):
    source = "def helper(x):\n    return x @ torch.ones(77)\n\ndef keep_top_k(logits, k):\n    return helper(logits)\n"
    assert "\nin line 2: return x @ torch.ones(77)\n" in said(capsys, "keep_top_k", learner(source, "keep_top_k"))


def test_an_exception_outside_the_learners_code_is_told_without_a_line(capsys):
    assert "It could not be called (TypeError: " in said(capsys, "apply_temperature", torch.nn.Linear(4, 4))
    assert "It raises ZeroDivisionError: " in said(capsys, "apply_temperature", partial(learner(BROKEN, "broken"), 0))


def test_other_arguments_are_told(capsys):
    answer = said(capsys, "keep_top_k", lambda logits: logits)
    assert "It could not be called (TypeError: " in answer
    assert "Keep its arguments: keep_top_k(logits, k)." in answer


def test_leaving_python_is_an_exception_too(capsys):
    answer = said(capsys, "keep_top_k", lambda logits, k: exit(3))
    assert "It raises SystemExit: 3\n" in answer


def test_what_torch_has_not_implemented_is_no_stub(capsys):
    source = "def keep_top_k(logits, k):\n    raise NotImplementedError('\"topk\" for Bool')\n"
    assert "It raises NotImplementedError: " in said(capsys, "keep_top_k", learner(source, "keep_top_k"))


def test_an_endless_loop_over_next_logits_ends(capsys):
    def complete(next_logits, prompt, max_new_tokens, stop_token):
        tokens = list(prompt)
        while tokens[-1] != stop_token:
            tokens.append(int(next_logits(tokens).argmax()))
        return tokens

    assert "the loop does not end" in said(capsys, "complete", complete)


def test_a_loop_without_an_end_is_stopped_and_its_line_told(capsys, monkeypatch):
    monkeypatch.setattr(checks, "SECONDS", 0.2)
    source = "def keep_top_k(logits, k):\n    i = 0\n    while True:\n        try:\n            i = i ^ 1\n"
    source += "        except Exception:\n            pass\n"
    before = signal.getsignal(signal.SIGALRM)
    answer = said(capsys, "keep_top_k", learner(source, "keep_top_k"))
    assert "keep_top_k: test 1 does not end. Look at test 1:\n  logits = [0, 1, 3, 2]\n" in answer
    found = re.search(r"It was stopped after 0\.2 seconds: look for a loop without an end\nin line (\d): ", answer)
    assert found is not None
    assert int(found[1]) >= 3
    assert signal.getsignal(signal.SIGALRM) is before
    monkeypatch.undo()  # a busy machine may need longer
    assert "correct" in said(capsys, "keep_top_k", right_top_k)


def test_off_the_main_thread_nothing_is_stopped():
    answers = []
    thread = threading.Thread(target=lambda: answers.append(feedback(TOP_K, right_top_k)[0]))
    thread.start()
    thread.join()
    assert answers == ["keep_top_k: correct (9 tests, 2 points)"]


@pytest.mark.parametrize("after", [True, False], ids=["below the line", "above the line"])
def test_the_stubs_line_that_was_left_in_is_told(after, capsys):
    lines = ['    raise NotImplementedError("not written yet")\n', "    kept = logits.topk(k)\n"]
    source = 'def keep_top_k(logits, k):\n    """Write me."""\n' + "".join(lines if after else reversed(lines))
    assert said(capsys, "keep_top_k", learner(source, "keep_top_k")) == (
        "keep_top_k: delete the line `raise NotImplementedError(...)`, since what you wrote ends there.\n"
    )


def test_to_run_the_stub_again_uses_up_no_hint(capsys):
    source = 'def keep_top_k(logits, k):\n    raise NotImplementedError("not written yet")\n'
    for _ in range(3):
        assert f"Hint 1 of 3: {TOP_K.hints[0]}" in said(capsys, "keep_top_k", learner(source, "keep_top_k"))
    for hint in TOP_K.hints:
        assert said(capsys, "keep_top_k", lambda logits, k: logits + 1).endswith(f"of 3: {hint}\n")


@pytest.mark.parametrize(
    ("got", "want", "sentence"),
    [
        (None, "x", "Here your function comes to its end without a `return` and a value."),
        (torch.tensor([1, 2]), [1, 2], "`.tolist()` makes a list of a tensor."),
        ([torch.tensor([1])], ([1],), "`.tolist()` makes a list of a tensor."),
        ([1.0], torch.tensor([1.0]), "`torch.tensor(...)` makes a tensor of a list."),
        (torch.ones(2).numpy(), torch.ones(2), "`torch.from_numpy` makes a tensor of it."),
        (torch.ones(2).numpy(), [1.0, 1.0], "`.tolist()` makes plain Python of it."),
        ((i for i in (1, 2)), [1, 2], "`list(...)` makes a list of it."),
        ({1, 2}, [1, 2], "`list(...)` makes a list of it."),
        ("So it is said of old, and of all who came after.", "So it is said of old, and of all who came before.", "'a"),
        ("Of old, and of all who came after them", "Of old, and of all who came after them all", "the end instead"),
        ("yes", "no", ""),
        ([1, 2], [1, 3], ""),
    ],
)
def test_another_kind_of_result_gets_advice(got, want, sentence):
    advice = checks._advice(got, want)
    assert sentence in advice
    assert bool(sentence) == bool(advice)


def test_the_place_where_two_texts_part_is_told():
    want = "Review: the seat is hard and the fabric ugly.\nSentiment:"
    assert checks._advice(f"{want} ", want) == f"They part at character {len(want)}: ' ' instead of the end."


@pytest.mark.parametrize(
    ("function", "got", "expected"),
    [
        (lambda tones, labels, query_tone, n_labels: torch.full((n_labels,), 1 / n_labels), "tensor([", "["),
        (lambda tones, labels, query_tone, n_labels: [1 / n_labels + 2e-5] * n_labels, "[0.25002", "[0.25,"),
    ],
    ids=["another kind", "another digit"],
)
def test_what_differs_never_reads_the_same(function, got, expected, capsys):
    answer = said(capsys, "label_law", function)
    assert f"\n  got:      {got}" in answer
    assert f"\n  expected: {expected}" in answer


def test_a_change_in_place_beside_a_wrong_result_is_told_too(capsys):
    def span_corruption(tokens, dropped, sentinels):
        return [sentinels.pop()], tokens

    assert "Besides, you change the argument `sentinels` in place." in said(capsys, "span_corruption", span_corruption)


def test_a_list_that_is_changed_in_place_gets_the_copy_of_a_list():
    def reads(completion, labels):
        labels.sort(key=len, reverse=True)
        return parse_answer(completion, labels) or ""

    exercise = replace(find("read_label"), forbidden=())
    assert "Begin with a copy: `labels = list(labels)`." in feedback(exercise, reads)[0]


def test_values_are_shown_as_a_reader_wants_them():
    assert checks._show(-0.0) == "0"
    assert checks._show({"a": 0.5, "b": [1, 2]}) == "{a: 0.5, b: [1, 2]}"
    assert checks._show(torch.ones(2).numpy()) == "a NumPy array"


def test_a_call_in_place_of_the_function_is_told(capsys):
    assert said(capsys, "keep_top_k", torch.ones(3)) == (
        'keep_top_k: give check the function itself, as in check("keep_top_k", keep_top_k).\n'
    )


def test_a_change_in_place_is_caught_and_named(capsys):
    def keep_top_k(logits, k):
        logits[logits < logits.topk(k).values[..., -1:]] = -math.inf
        return logits

    answer = said(capsys, "keep_top_k", keep_top_k)
    assert "the result is right, but you change the argument `logits` in place" in answer
    assert answer.endswith("Begin with a copy: `logits = logits.clone()`.\n")


def test_the_prompt_that_is_changed_in_place_is_caught_although_the_result_is_right(capsys):
    def complete(next_logits, prompt, max_new_tokens, stop_token):
        for _ in range(max_new_tokens):
            prompt.append(int(next_logits(prompt).argmax()))
            if prompt[-1] == stop_token:
                break
        return list(prompt)

    assert "You append to `prompt` itself" in said(capsys, "complete", complete)


def test_answers_hold_no_addresses_and_are_the_same_each_time(capsys):
    for function in (lambda logits, k: object(), lambda logits, k: {}[object()], lambda logits, k: torch.randn(3)):
        first = feedback(TOP_K, function)
        assert first == feedback(TOP_K, function)
        assert "0x" not in first[0]


def test_results_with_gradients_are_results(capsys):
    assert "correct" in said(
        capsys, "apply_temperature", lambda logits, temperature: logits.requires_grad_() / temperature
    )


def test_the_notebooks_random_numbers_stay_as_they_were():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    feedback(TOP_K, lambda logits, k: torch.rand_like(logits))
    assert torch.equal(torch.rand(3), expected)


def test_an_unknown_name_gets_a_sentence():
    with pytest.raises(ValueError, match="Did you mean 'keep_top_k'"):
        check("keep_topk", lambda: None)


# --- calls to do without ---------------------------------------------------------------------------------------------


def softened(logits):
    return logits.exp() / logits.exp().sum(-1, keepdim=True)


SOFTMAX = Exercise(
    name="soften",
    lab="99",
    task="Write softmax.",
    points=2,
    minutes=5,
    difficulty=1,
    inputs=lambda generator, case: {"logits": torch.randn(2, 3 + case, generator=generator)},
    reference=softened,
    cases=3,
    hints=("Exponentiate.",),
    mutants=(Mutant(name="log", function=lambda logits: logits.log_softmax(-1), message="You return logarithms."),),
    forbidden=("torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.softmax"),
)


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (lambda logits: torch.softmax(logits, -1), "torch.softmax"),
        (lambda logits: logits.softmax(-1), "torch.Tensor.softmax"),
        (lambda logits: F.softmax(logits, -1), "torch.nn.functional.softmax"),
    ],
)
def test_a_forbidden_call_of_torch_is_named(function, named):
    expected = f"soften: please write this without `{named}`. Doing without it is the exercise."
    assert feedback(SOFTMAX, function) == (expected, False)


def test_the_adapter_may_call_what_the_learner_may_not():
    exercise = replace(SOFTMAX, adapter=lambda function, logits: torch.softmax(function(logits), -1))
    assert feedback(exercise, softened)[0] == "soften: correct (3 tests, 2 points)"
    assert "`torch.softmax`" in feedback(exercise, lambda logits: torch.softmax(logits, -1))[0]


@pytest.mark.parametrize(
    "source",
    [
        "def keep_top_k(logits, k):\n    return sampling.keep_top_k(logits, k)\n",
        "from labutils.sampling import keep_top_k as k\ndef keep_top_k(logits, k_):\n    return k(logits, k_)\n",
        "def keep_top_k(logits, k):\n    from labutils.sampling import keep_top_k\n    return keep_top_k(logits, k)\n",
    ],
    ids=["by the module", "by another name", "imported inside"],
)
def test_a_forbidden_call_of_labutils_is_named(source, capsys):
    function = learner(
        source.replace("k_)", "k)").replace("k as k\n", "k as library\n").replace("return k(", "return library("),
        "keep_top_k",
        sampling=sampling,
    )
    before = sampling.keep_top_k
    assert said(capsys, "keep_top_k", function) == (
        "keep_top_k: please write this without `labutils.sampling.keep_top_k`. Doing without it is the exercise.\n"
    )
    assert sampling.keep_top_k is before
    assert function.__globals__.get("library", before) is before


def test_the_librarys_own_function_is_no_answer(capsys):
    assert "without `labutils.sampling.generate`" in said(
        capsys, "complete", lambda *args: sampling.generate(*args, max_new_tokens=3)
    )
    assert "without `labutils.sampling.keep_top_k`" in said(capsys, "keep_top_k", sampling.keep_top_k)


def test_a_learners_function_may_bear_the_name_of_a_forbidden_one():
    source = (
        "def keep_top_k(logits, k):\n"
        "    kth = logits.topk(k).values[..., -1:]\n"
        "    return logits.masked_fill(logits < kth, -math.inf)\n"
    )
    assert "correct" in feedback(TOP_K, learner(source, "keep_top_k"))[0]


# --- compare ---------------------------------------------------------------------------------------------------------

nan, inf = math.nan, math.inf
DIFFERENT = [
    (torch.ones(2, 3), torch.ones(3, 2), "the shape is [2, 3] instead of [3, 2]"),
    (
        torch.ones(3),
        torch.ones(3, dtype=torch.int64),
        "the tensor holds floating-point numbers instead of whole numbers",
    ),
    (
        torch.ones(3, dtype=torch.int64),
        torch.ones(3),
        "the tensor holds whole numbers instead of floating-point numbers",
    ),
    (torch.ones(3, dtype=torch.bool), torch.ones(3, dtype=torch.int64), "truth values instead of whole numbers"),
    (torch.tensor([1.0, nan, 3.0]), torch.tensor([1.0, 2.0, 4.0]), "1 of 3 numbers, at [1], is NaN"),
    (torch.tensor([1.0, 2.0]), torch.tensor([1.0, nan]), "1 of 2 numbers, at [1], is wrong"),
    (
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([[1.0, 0.0], [0.0, 4.0]]),
        "2 of 4 numbers, the first at [0, 1], are wrong",
    ),
    (torch.tensor([inf, 1.0]), torch.tensor([-inf, 1.0]), "1 of 2 numbers, at [0], is wrong"),
    (torch.tensor([-1e9]), torch.tensor([-inf]), "1 of 1 numbers, at [0], is wrong"),
    ([1.0, 2.0], torch.tensor([1.0, 2.0]), "a list was returned instead of a tensor"),
    (None, torch.tensor([1.0, 2.0]), "None was returned instead of a tensor"),
    (torch.tensor([1, 2]), [1, 2], "a tensor was returned instead of a list"),
    ([1, 2, 3], [1, 2], "the list has 3 items, which is too many"),
    ([1], [1, 2], "the list has 1 item, which is too few"),
    ([1, [2, 4]], [1, [2, 3]], "item 1: item 1: the result is wrong"),
    ({"a": 1}, {"b": 1}, "the dictionary has other keys than it should have"),
    ({"a": torch.ones(2)}, {"a": torch.zeros(2)}, "a: 2 of 2 numbers, the first at [0], are wrong"),
    (3, {"b": 1}, "a whole number was returned instead of a dictionary"),
    (nan, 1.0, "the result is NaN"),
    (1.0, nan, "the result is wrong"),
    (2, 1, "the result is wrong"),
    (True, 1, "a truth value was returned instead of a number"),
    (1, True, "a whole number was returned instead of a truth value"),
    ("cake", "donut", "the result is wrong"),
    ("1", 1, "a string was returned instead of a number"),
    (1, None, "a whole number was returned instead of None"),
    (object(), 1.0, "an object was returned instead of a number"),
    (OSError(), 1.0, "an OSError was returned instead of a number"),
]


@pytest.mark.parametrize(("got", "want", "problem"), DIFFERENT)
def test_a_difference_is_told(got, want, problem):
    assert problem in compare(got, want, 1e-5, 1e-6)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (torch.tensor([1.0, nan, -inf]), torch.tensor([1.0, nan, -inf])),
        (torch.tensor([1.0 + 1e-7]), torch.tensor([1.0])),
        (torch.ones(2, dtype=torch.float64), torch.ones(2)),
        (torch.ones(2, dtype=torch.int32), torch.ones(2, dtype=torch.int64)),
        (torch.ones(2, requires_grad=True), torch.ones(2)),
        (torch.nn.Parameter(torch.ones(2)), torch.ones(2)),
        (torch.empty(0, 3), torch.empty(0, 3)),
        (torch.tensor(2.5), 2.5),
        (2.5, torch.tensor(2.5)),
        (torch.tensor(True), True),
        ((1, torch.tensor(2)), [1, 2]),
        (3.0, 3),
        (inf, inf),
        (nan, nan),
        ({"a": [1, "x", None]}, {"a": (1, "x", None)}),
    ],
)
def test_equals_are_equal(got, want):
    assert compare(got, want, 1e-5, 1e-6) is None


numbers = st.floats(-1e6, 1e6)


@given(st.lists(numbers, min_size=1, max_size=6), st.data())
def test_tolerances_are_those_of_torch(values, data):
    want = torch.tensor(values, dtype=torch.float64)
    got = want + torch.tensor([data.draw(st.floats(-1e-2, 1e-2)) for _ in values], dtype=torch.float64)
    close = torch.isclose(got, want, rtol=1e-4, atol=1e-3)
    assert (compare(got, want, 1e-4, 1e-3) is None) == bool(close.all())
    assert (compare(got.tolist(), want.tolist(), 1e-4, 1e-3) is None) == bool(close.all())


@given(st.lists(st.integers(10**6, 10**9), min_size=1, max_size=4), st.lists(st.integers(10**6, 10**9), max_size=4))
def test_no_problem_tells_what_was_expected(want, got):
    for g, w in ((got, want), (torch.tensor(got), torch.tensor(want)), (got[0] if got else None, want[0])):
        problem = compare(g, w, 0.0, 0.0) or ""
        assert not re.search(r"\d{6}", problem)
