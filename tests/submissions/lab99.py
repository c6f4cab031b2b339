"""Three small exercises: tensors in and out, plain data in and out, and an adapter."""

import torch

from labutils.exercises import Exercise, Mutant


def soften(logits, temperature):
    return torch.softmax(logits / temperature, dim=-1)


def _logits(generator, case):
    return {"logits": torch.randn(2, 3 + case, generator=generator), "temperature": (1.0, 0.5, 2.0, 3.0)[case]}


def count(words):
    return {word: words.count(word) for word in words}


def _words(generator, case):
    return {"words": [f"w{i}" for i in torch.randint(5, (7 * case,), generator=generator).tolist()]}


def follow(step, start, length):
    path = [start]
    for _ in range(length - 1):
        path.append(step(path[-1]))
    return path


def _by_table(student_function, table, start, length):
    return student_function(lambda state: int(table[state]), start, length)


def _tables(generator, case):
    return {"table": torch.randint(9, (9,), generator=generator), "start": case, "length": 4 + case}


EXERCISES = (
    Exercise(
        name="soften",
        lab="99",
        task="Softmax with a temperature.",
        points=4,
        minutes=5,
        difficulty=1,
        inputs=_logits,
        reference=soften,
        cases=4,
        hints=("Divide before you exponentiate.",),
        mutants=(
            Mutant(
                name="multiplies",
                function=lambda logits, temperature: torch.softmax(logits * temperature, dim=-1),
                message="You multiply by the temperature. Divide by it.",
            ),
        ),
        forbidden=("torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.softmax"),
    ),
    Exercise(
        name="count",
        lab="99",
        task="Count words.",
        points=2,
        minutes=5,
        difficulty=1,
        inputs=_words,
        reference=count,
        cases=3,
        hints=(),
        mutants=(),
    ),
    Exercise(
        name="follow",
        lab="99",
        task="Follow a step function.",
        points=1,
        minutes=5,
        difficulty=1,
        inputs=_tables,
        reference=follow,
        cases=3,
        hints=(),
        mutants=(),
        adapter=_by_table,
    ),
)
