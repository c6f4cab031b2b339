"""Stands in for Colab's own package: importable, with the calls that notebooks make, which do nothing.

One thing it does: after `!pip` or `%pip` replaced a package that is already imported, it asks for a restart as Colab
does, with an output of a type of its own.
"""

import sys
from importlib.metadata import distributions, packages_distributions
from types import SimpleNamespace


def _nothing(*args, **kwargs):
    return None


output = SimpleNamespace(enable_custom_widget_manager=_nothing, disable_custom_widget_manager=_nothing, clear=_nothing)
files = SimpleNamespace(upload=_nothing, download=_nothing)
drive = SimpleNamespace(mount=_nothing, flush_and_unmount=_nothing)
runtime = SimpleNamespace(unassign=_nothing)


def _installed():
    """Version and place of every distribution; the first one on the path counts."""
    found = {}
    for one in distributions():
        found.setdefault(one.name, (one.version, str(one.locate_file(""))))
    return found


def _ask_for_restart(shell):
    """Make the shell look, after each command of the system, whether an imported package was replaced."""
    run = shell.system

    def system(command):
        before = _installed()
        run(command)
        changed = {name for name, what in _installed().items() if before.get(name) != what}
        modules = packages_distributions()
        replaced = sorted(module for module in modules if module in sys.modules and changed & {*modules[module]})
        if replaced:
            box = {"pip_warning": {"packages": replaced}}
            shell.display_pub.publish({"application/vnd.colab-display-data+json": box})

    shell.system = system


if "IPython" in sys.modules and (_shell := sys.modules["IPython"].get_ipython()):
    _ask_for_restart(_shell)
