"""Stands in for Colab's own package: importable, with the calls that notebooks make, which do nothing."""

from types import SimpleNamespace


def _nothing(*args, **kwargs):
    return None


output = SimpleNamespace(enable_custom_widget_manager=_nothing, disable_custom_widget_manager=_nothing, clear=_nothing)
files = SimpleNamespace(upload=_nothing, download=_nothing)
drive = SimpleNamespace(mount=_nothing, flush_and_unmount=_nothing)
runtime = SimpleNamespace(unassign=_nothing)
