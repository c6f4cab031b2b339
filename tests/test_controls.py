"""Sliders over a lab's function: what they call it with, in a real kernel too, and what is left in a still run."""

import io
from contextlib import redirect_stdout

import ipywidgets
import nbformat
import pytest
from ipywidgets import interactive
from nbclient import NotebookClient

from labutils.controls import STILL, controls

CELL = """
from labutils.controls import controls

def product(a=2, b=0.5):
    print("the product is", a * b)

controls(product, a=(1, 5, 1), b=(0.0, 1.0, 0.25))
"""


def product(a=2, b=0.5):
    print("the product is", a * b)


RANGES = {"a": (1, 5, 1), "b": (0.0, 1.0, 0.25)}


def test_a_still_run_prints_what_the_defaults_give_and_shows_nothing_else(monkeypatch, capsys):
    monkeypatch.setenv(STILL, "1")
    controls(product, **RANGES)
    assert capsys.readouterr().out == "the product is 1.0\n"


def test_a_slider_calls_the_function(monkeypatch):
    monkeypatch.delenv(STILL, raising=False)
    seen: list[interactive] = []

    def interact(function, **sliders):
        seen.append(interactive(function, **sliders))

    monkeypatch.setattr(ipywidgets, "interact", interact)
    calls = []
    controls(lambda a=2, b=0.5: calls.append((a, b)), **RANGES)
    [shown] = seen
    whole, real, _ = shown.children
    assert (type(whole), whole.min, whole.max, whole.value) == (ipywidgets.IntSlider, 1, 5, 2)
    assert (type(real), real.min, real.max, real.step, real.value) == (ipywidgets.FloatSlider, 0.0, 1.0, 0.25, 0.5)
    with redirect_stdout(io.StringIO()):
        whole.value = 3
        real.value = 1.0
    assert calls == [(2, 0.5), (3, 0.5), (3, 1.0)]


def kernel_outputs(monkeypatch, *, still: bool) -> list[dict]:
    """What a notebook's kernel sends back for the cell."""
    monkeypatch.delenv(STILL, raising=False)
    if still:
        monkeypatch.setenv(STILL, "1")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, store_widget_state=True).execute()
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    return [*notebook.cells[0].outputs, *({"model": model} for model in state.values())]


def test_a_kernel_shows_the_sliders_and_the_result_below_them(monkeypatch):
    outputs = kernel_outputs(monkeypatch, still=False)
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    models = {output["model"]["model_name"]: output["model"]["state"] for output in outputs if "model" in output}
    assert {"IntSliderModel", "FloatSliderModel", "OutputModel"} <= models.keys()
    assert models["OutputModel"]["outputs"][0]["text"] == "the product is 1.0\n"


def test_a_still_kernel_leaves_plain_text_alone(monkeypatch):
    [output] = kernel_outputs(monkeypatch, still=True)
    assert (output["output_type"], output["text"]) == ("stream", "the product is 1.0\n")


@pytest.mark.parametrize(
    ("ranges", "word"),
    [
        ({"a": (1, 5, 1)}, "each parameter"),
        ({**RANGES, "c": (0, 1, 1)}, "no other"),
        ({**RANGES, "a": (3, 5, 1)}, "default of a"),
    ],
)
def test_ranges_that_do_not_fit_are_refused(ranges, word):
    with pytest.raises(ValueError, match=word):
        controls(product, **ranges)
