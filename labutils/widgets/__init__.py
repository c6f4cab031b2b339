"""Interactive figures that need no kernel, no server and no network.

A figure is one ECMAScript module in the form that anywidget introduced (`export default { render({ model, el }) }`)
and a small dictionary of state. `Live` shows it as plain HTML, so that the same cell works in Jupyter, in Colab and
in the built book. The standard library is all this package imports: the book is built without torch.

The functions stand in the module of their subject; the arithmetic of each figure is in the .js file of its name.
"""

from labutils.widgets.attention import attention_explorer, cache_explorer, rotary_explorer
from labutils.widgets.live import Live
from labutils.widgets.model import model_explorer, world_model, world_model_address
from labutils.widgets.objectives import mask_explorer, spans_explorer
from labutils.widgets.prompting import in_context_explorer
from labutils.widgets.sampling import DESSERT, beam_explorer, sampling_explorer
from labutils.widgets.synthetic import collapse_explorer, preferences_explorer

__all__ = [
    "DESSERT",
    "Live",
    "attention_explorer",
    "beam_explorer",
    "cache_explorer",
    "collapse_explorer",
    "in_context_explorer",
    "mask_explorer",
    "model_explorer",
    "preferences_explorer",
    "rotary_explorer",
    "sampling_explorer",
    "spans_explorer",
    "world_model",
    "world_model_address",
]
