"""Run a quick set of tests and one lab on the oldest and on the newest versions that pyproject.toml admits.

    python tools/versions.py [floor] [newest] [--torch 2.13.0]

CI runs everything on the versions of constraints.txt, and the emulation runs the labs on Colab's. This is about the two
ends of the ranges. Each gets an environment of its own in .cache, which goes afterwards. --torch takes another torch
than the end would, for a package index that has that one for the CPU only.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv

from colab import CACHE
from course import ROOT, normalized

# What rests on torch, transformers, numpy and ipywidgets most directly, and takes seconds.
TESTS = [f"tests/test_{name}.py" for name in ("positions", "sampling", "tokenizer", "runtime", "plotting", "widgets")]
TESTS.append("tests/test_models.py::test_logits_equal_hugging_face_with_our_weights")
TESTS.append("tests/test_hosts.py::test_the_progress_bar_is_drawn_by_the_ipywidgets_that_is_here")
# Their oracle is another one in an old transformers: GPT-NeoX names its last layer otherwise, and random weights are
# drawn otherwise, so that no beam ends early and the test has nothing to show.
NOT_THERE = "not gpt_neox and not beam_search_equals_hugging_face"
LAB = "labs/07_attention_scores.ipynb"
SAY = """
from importlib.metadata import version
print(*(f"{name} {version(name)}" for name in ("torch", "transformers", "tokenizers", "numpy", "ipywidgets")), sep=", ")
"""


def ranges() -> list[str]:
    """What labutils and the labs ask for, such as "torch>=2.6"."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"] + project["optional-dependencies"]["labs"]


def floor(requirement: str) -> str:
    """The oldest version that a requirement admits, pinned: torch>=2.6 -> torch==2.6. Raises ValueError without one."""
    found = re.match(r"([\w.-]+)[^,]*?[>=]=\s*([\w.]+)", requirement)
    if found is None:
        raise ValueError(f"{requirement!r} in pyproject.toml names no oldest version.")
    return f"{found[1]}=={found[2]}"


def pins(end: str, torch: str | None) -> list[str]:
    """The constraints that make an environment of one end of the ranges."""
    asked = ranges()
    chosen = [floor(requirement) for requirement in asked] if end == "floor" else []
    if torch is None:
        return chosen
    return [pin for pin in chosen if normalized(pin.partition("==")[0]) != "torch"] + [f"torch=={torch}"]


def run(end: str, torch: str | None) -> bool:
    """Make the environment, say what is in it, run the tests and the lab; True if all passed."""
    folder = CACHE / f"versions-{end}"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"==> {end}: installing", flush=True)
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins(end, torch)), encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    # An old version may warn of what has changed since; what counts is whether it still does its work.
    test = [python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-W", "default", "--disable-warnings"]
    making = [
        [*pip, "pip"],
        [
            *pip,
            "--upgrade-strategy",
            "eager",
            "--constraint",
            str(constraints),
            "--group",
            "dev",
            "--editable",
            ".[labs]",
        ],
        [python, "-c", SAY],
    ]
    testing = [
        [*test, *TESTS, *(["-k", NOT_THERE] if end == "floor" else [])],
        [*test, "--nbval-lax", LAB],  # not lax about numbers: measure() refuses one that leaves its range
    ]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "LABUTILS_PROFILE": "cpu", "OMP_NUM_THREADS": "1"}
    try:
        for step in making:
            subprocess.run(step, cwd=ROOT, env=env, check=True)
        status = [subprocess.run(step, cwd=ROOT, env=env).returncode for step in testing]
        return not any(status)
    except subprocess.CalledProcessError:
        return False
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Test the oldest and the newest versions that pyproject.toml admits.")
    parser.add_argument("ends", nargs="*", choices=["floor", "newest"], default=["floor", "newest"])
    parser.add_argument("--torch", help="this version of torch instead of the oldest or the newest")
    arguments = parser.parse_args()
    failed = [end for end in arguments.ends if not run(end, arguments.torch)]
    print(f"==> failed: {', '.join(failed)}" if failed else f"==> passed: {', '.join(arguments.ends)}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
