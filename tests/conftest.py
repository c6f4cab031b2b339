"""What several tests share: the tools as importable modules, and a made-up lab."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no fault of the code. CI draws the same examples each time; at home every run tries new ones.
settings.register_profile("course", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("course")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))


def pytest_report_header() -> str:
    """Say what this machine lets be tested: without bubblewrap the attacks meet the grader's inner ring alone."""
    from labutils.grading.outer import wrap

    inside = sys.platform == "linux" and wrap(["true"], ROOT) is not None
    return "grader's outer ring: " + ("bubblewrap" if inside else "none here, so the inner one is tested alone")


TOY = '''\
# %% [markdown]
r"""
# A toy lab

What you will measure: the mean of ten numbers, in 1 s on two cores and on a T4 ([ledger](../chapters/ledger.md)).
"""

# %% setup

# %%
import math

from labutils.evidence import measure


def check(name, function):
    try:
        print(f"{name}: {function(3, 2)}")
    except NotImplementedError as error:
        print(f"{name}: {error}")


# %%
# sabotage: toy-mean: range(10) => range(11)
# sabotage: toy-mean/root: math.sqrt => math.exp
numbers = list(range(10))
mean = sum(numbers) / len(numbers)
measure("toy-mean", mean, between=(4.5, 4.5), what="the mean of 0 to 9")
measure("toy-mean", math.sqrt(mean), name="root", between=(2, 3), what="its root", unit="units")

EXERCISES
# %% [markdown]
r"""
## With a real model
"""

# %%
print(len(numbers))

# %%
print(len(numbers))

# %% [markdown]
r"""
## What you have shown

## Where to go next
"""
'''

EXERCISE = '''\
# %% exercise
def {name}(a, b):
    """Write me."""
    ### BEGIN SOLUTION
    result = a {operator} b
    return result
    ### END SOLUTION


check("{name}", {name})
'''

EXERCISES = "\n".join(
    EXERCISE.format(name=name, operator=operator)
    for name, operator in {"add": "+", "subtract": "-", "multiply": "*"}.items()
)


@pytest.fixture(scope="session")
def toy_text() -> str:
    """The source of a lab that follows every rule."""
    return TOY.replace("EXERCISES\n", EXERCISES)
