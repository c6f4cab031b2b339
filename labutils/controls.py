"""Sliders for a function, where a kernel answers.

A figure of `widgets` computes in the browser and moves on a page without a kernel. Here it is the other way round: the
lab's own Python function runs each time a slider moves.
"""

import inspect
import os
from collections.abc import Callable

STILL = "LABUTILS_STILL"
"""The environment variable of a run that nobody watches: the build of the notebooks, the tests. It shows no sliders."""


def controls(function: Callable[..., None], **ranges: tuple[int | float, int | float, int | float]) -> None:
    """Call a function that prints, with its defaults, and show a slider for each of its parameters.

    Each of `ranges` is (least, greatest, step), in whole numbers for a parameter whose default is one. Where sliders
    cannot be shown, what the function prints with its defaults is all there is.

    Raises:
        ValueError: if the ranges are not those of the function's parameters, or a default lies outside of its range.
    """
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    if ranges.keys() != defaults.keys():
        raise ValueError(f"Give a range for each parameter, and for no other: {', '.join(defaults)}.")
    for name, (least, greatest, _) in ranges.items():
        value = defaults[name]
        if not isinstance(value, int | float) or not least <= value <= greatest:
            raise ValueError(f"The default of {name} must be a number from {least} to {greatest}, not {value!r}.")
    if STILL in os.environ:
        function(**defaults)
        return
    # Here and not above: a machine without a notebook need not have it. The calls are common to its versions 7 and 8.
    from ipywidgets import FloatSlider, IntSlider, interact

    sliders = {}
    for name, (least, greatest, step) in ranges.items():
        kind = IntSlider if isinstance(defaults[name], int) else FloatSlider
        sliders[name] = kind(
            value=defaults[name], min=least, max=greatest, step=step, description=name.replace("_", "-"),
            continuous_update=False,
        )  # fmt: skip
    interact(function, **sliders)
