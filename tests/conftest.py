"""What several tests share: the tools as importable modules, a made-up lab, the built site and a browser to see it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright
from watched import Watch

# A busy machine is no fault of the code. CI draws the same examples each time; at home every run tries new ones.
settings.register_profile("course", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("course")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

SOURCES = ("_config.yml", "_toc.yml", "references.bib", "_ext", "_static", "_public", "chapters", "labs", "labutils")


def pytest_report_header() -> list[str]:
    """Say what this machine lets be tested: the grader's outer ring needs bubblewrap, the pages' tests a browser."""
    import browser as chromium

    from labutils.grading.outer import wrap

    inside = sys.platform == "linux" and wrap(["true"], ROOT) is not None
    return [
        "grader's outer ring: " + ("bubblewrap" if inside else "none here, so the inner one is tested alone"),
        f"browser: {chromium.find() or 'none here, so the tests in a browser are skipped (see tools/browser.py)'}",
    ]


def newest(names: tuple[str, ...]) -> float:
    paths = [path for name in names for path in (ROOT / name, *(ROOT / name).rglob("*"))]
    return max(path.stat().st_mtime for path in paths if path.is_file() and "__pycache__" not in path.parts)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site: the one in _build if it is newer than its sources, else one built here."""
    import book

    stamp = book.BUILD / book.STAMP
    if stamp.exists() and stamp.stat().st_mtime >= newest(SOURCES):
        return book.BUILD / "html"
    folder = tmp_path_factory.mktemp("book") / "_build"
    assert book.build(folder) == 0, "the site does not build without a warning: see above"
    return folder / "html"


@pytest.fixture(scope="session")
def site_url(site: Path) -> Iterator[str]:
    """The address of the built site on a server of this machine."""
    from served import serve

    with serve(site) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window. It ends with its module: while it is open, no other test can run an event loop."""
    import browser as chromium

    path = chromium.find()
    if path is None:
        pytest.skip("there is no Chromium here: see tools/browser.py")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=chromium.ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def watch(site_url: str) -> Watch:
    """What the test's page asked of other hosts, and its errors; a test that provokes one may clear `watch.errors`."""
    return Watch(site_url)


@pytest.fixture
def page(browser: Browser, site_url: str, watch: Watch) -> Iterator[Page]:
    """An empty page without a network, 1280 by 800; addresses are relative to the site, as in `page.goto("/labs/...")`.

    The test fails if the page asks another host for anything, or reports an error.
    """
    context = browser.new_context(base_url=site_url, viewport={"width": 1280, "height": 800}, service_workers="block")
    opened = context.new_page()
    watch.start(opened)
    yield opened
    context.close()
    assert watch.elsewhere == [], "asked another host"
    assert watch.errors == [], "reported errors"


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a small random model and a tokenizer for each job of `labutils.hub`."""
    import stand_ins

    return stand_ins.write(tmp_path_factory.mktemp("stand_ins"))


@pytest.fixture(scope="session")
def stand_in_cache(stand_ins: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of the model hub that has the stand-ins, each at the revision that the course pins."""
    from stand_ins import fill

    cache = tmp_path_factory.mktemp("hub")
    fill(cache, stand_ins)
    return cache


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
        print(f"{name}: correct ({function(3, 2)})" if function(3, 2) in (5, 1, 6) else f"{name}: 1 of 1 tests fail.")
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
