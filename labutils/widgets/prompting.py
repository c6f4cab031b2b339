"""The figure of learning in context: right answers by the number of examples."""

import json
from pathlib import Path

from labutils.widgets.live import Live
from labutils.widgets.parts import check_slider, without_javascript

_COUNTED = Path(__file__).parent.parent / "weights" / "in_context.json"

_INSTRUCTIONS = {"frequent": "frequent", "middle": "less frequent", "rare": "rare", "never": "never seen"}


def _in_context_table(counted: dict) -> str:
    """What a reader without JavaScript gets: the share of right answers after some numbers of examples."""
    shown = (0, 1, 2, 4, 8)
    rows = [
        (
            f"{counted['parameters'][size]:,} weights{', taught with errors' * ('noisy' in size)}, {name}",
            groups[group]["right"],
        )
        for size, groups in counted["accuracy"].items()
        for group, name in _INSTRUCTIONS.items()
        if group in ("rare", "never")
    ]
    rows.append(("best possible without the instruction", counted["bayes"]))
    return without_javascript(
        "here is the share of right answers after k examples with right labels, on instructions that were rare in "
        "training or never seen.",
        ["model, instruction", *(f"k = {k}" for k in shown)],
        [(name, *(f"{shares[k]:.3f}" for k in shown)) for name, shares in rows],
    )


def in_context_explorer(*, size: str = "8", group: str = "rare", labels: str = "right", examples: int = 1) -> Live:
    """Buttons for a model, an instruction and the labels of the examples, and a slider for the number of examples.

    The figure shows the share of right answers on the task mixture, with its 95% interval, and the best that a reader
    can do who does not know the instruction. tools/train_in_context.py counted the shares. The model "32_noisy" was
    trained with a quarter of all labels replaced at random.

    Args:
        size: the model at first, by its d_model: "8", "16", "32", "64" or "32_noisy".
        group: how often training showed the instruction: "frequent", "middle", "rare" or "never".
        labels: the labels of the examples: "right", "random" or "swapped".
        examples: where the slider starts, from 0 to 8.

    Returns:
        A figure; the last line of a cell shows it.

    Raises:
        ValueError: a setting is out of range.
    """
    counted = json.loads(_COUNTED.read_text(encoding="utf-8"))
    if size not in counted["accuracy"]:
        raise ValueError(f"size is {size!r}; give one of {', '.join(counted['accuracy'])}.")
    if group not in _INSTRUCTIONS:
        raise ValueError(f"group is {group!r}; give one of {', '.join(_INSTRUCTIONS)}.")
    if labels not in (kinds := tuple(counted["accuracy"][size][group])):
        raise ValueError(f"labels is {labels!r}; give one of {', '.join(kinds)}.")
    check_slider("examples", examples, 0, len(counted["bayes"]) - 1)
    return Live(
        module="in_context_explorer.js",
        label="In-context explorer: a model, an instruction, a number of examples, and the share of right answers",
        fallback=_in_context_table(counted),
        state=counted | {"size": size, "group": group, "labels": labels, "examples": examples},
        height=545,
    )
