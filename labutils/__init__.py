"""The code of the course *Generative AI, Measured*. Import what you need; nothing heavy is imported here.

runtime          device, number type, profile, seeds, progress bars
files            a file that is there as a whole or not at all
evidence         measure(): a number, its claim and the range it must lie in
world            a synthetic language whose laws are known exactly
corpora          text on any machine, a crawl with labels, published mixtures
tokenizer        text to tokens and back: words, or byte pairs
curation         quality rules and scores, duplicates, mixtures
attention        scores, masks, heads
positions        how a model learns the order of tokens
models           Config and the models, written out
objectives       the losses that models are trained on
training         one training loop
sampling         from logits to tokens: greedy, temperature, top-k, top-p, min-p, beam
synthetic        data made by models: generate, filter, label, keep, with the origin of each row
prompting        prompts, answers, and experiments with prompts
completions      what completes a prompt: the course's models, Hugging Face's, a server
task_mixture     tasks whose instructions and examples have a known worth
hub              the pretrained models that labs use, each pinned to a revision
weights          models trained on the world and on the task mixture, ready to load
plotting         draws arrays, returns Axes
widgets          figures that move, in Jupyter, in Colab and on the page
controls         sliders over a function, where a kernel answers
attention_views  which word attends to which, drawn by BertViz
exercises        what the learner writes, and the mistakes that are made
checks           check(): feedback while you work
grading          python -m labutils.grading: scores for notebooks handed in
"""

import os
from importlib.metadata import PackageNotFoundError, version

# Two threads that wait for each other in a busy loop crawl as soon as another program wants a core: a lab then took 25
# times as long. A shorter loop (GNU OpenMP's count, read when torch is imported) costs nothing on an idle machine.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

try:
    __version__ = version("labutils")
except PackageNotFoundError:  # a checkout that is not installed: the site reads the evidence without torch and the rest
    __version__ = "unknown"

# From the oldest to the newest release that the tests run with, both included: Colab's and that of constraints.txt.
TESTED = {"torch": ((2, 11), (2, 13)), "transformers": ((5, 15), (5, 23))}


def ready(made_for: str | None = None) -> None:
    """Print one line about the machine: host, Python, torch, transformers, device, number type, profile.

    A release outside the tested range is marked "(untested)"; nothing is ever upgraded. `made_for` is the release of
    labutils that a notebook was written for; another one that is installed is marked too.
    """
    import platform

    from labutils import runtime

    here = runtime.device()
    name = here.type
    if here.type == "cuda":
        import torch

        card = torch.cuda.get_device_properties(here)
        name = f"{card.name} {card.total_memory / 2**30:.0f} GiB"
    other = f" (this notebook is for {made_for})" if made_for not in (None, __version__) else ""
    print(
        f"labutils {__version__}{other} ready on {_host()}",
        f"Python {platform.python_version()}",
        *(f"{package} {_release(package)}" for package in TESTED),
        f"{name}, {str(runtime.dtype()).removeprefix('torch.')}",
        f"profile {runtime.profile()}",
        sep=" | ",
    )


def _host() -> str:
    import sys

    if "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ:
        return "Colab"
    signs = {
        "KAGGLE_KERNEL_RUN_TYPE": "Kaggle",
        "BINDER_SERVICE_HOST": "Binder",
        "CODESPACES": "Codespaces",
    }
    return next((host for sign, host in signs.items() if sign in os.environ), "this computer")


def _release(package: str) -> str:
    import re
    from importlib.metadata import PackageNotFoundError

    try:
        release = version(package).split("+")[0]
    except PackageNotFoundError:
        return f"missing (install it with: pip install {package})"
    oldest, newest = TESTED[package]
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    return release if oldest <= numbers <= newest else f"{release} (untested)"
