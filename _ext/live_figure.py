"""The directive `{live}`: an interactive figure of `labutils.widgets` in a chapter.

```{live} sampling_explorer
temperature: 0.7
top_p: 0.9
```

The argument names a function of `labutils.widgets`; the body, if any, is YAML with its keyword arguments. The HTML is
the one that the same call shows in a notebook, so a figure has one source. It is built without torch.
"""

from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from labutils import widgets

LABUTILS = Path(widgets.__file__).parent


class LiveDirective(SphinxDirective):
    """Put an interactive figure into the page as raw HTML; other formats leave it out."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Call the named function with the arguments of the body."""
        name = self.arguments[0]
        try:
            live = getattr(widgets, name)(**(yaml.safe_load("\n".join(self.content)) or {}))
        except (AttributeError, TypeError, ValueError, yaml.YAMLError) as error:
            raise self.error(f"The figure {name!r} cannot be drawn: {error}") from error
        for source in ("widgets.py", live.module):
            self.env.note_dependency(str(LABUTILS / source))
        return [nodes.raw("", live._repr_html_(), format="html")]


def setup(app: Sphinx) -> dict:
    """Register the directive."""
    app.add_directive("live", LiveDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
