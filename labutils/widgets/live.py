"""What carries an interactive figure: one HTML fragment with its script inside."""

import hashlib
import html
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent

# The module and what it imports are pasted into a script of their own, where `render` is in scope: no Blob URL, no
# escaping of code inside a string. A page may show the same figure twice, so a script takes the first element not yet
# taken.
_PAGE = """<div class="gam-live" role="group" aria-label="{label}" data-live="{key}" style="min-height: {height}px">
<noscript>{fallback}</noscript>
</div>
<script type="module">
{module}
{{
  const state = {state};
  const listeners = {{}};
  const el = document.querySelector('[data-live="{key}"]:not([data-live-started])');
  if (el) {{
    el.dataset.liveStarted = "";
    render({{
      el,
      model: {{
        get: (name) => state[name],
        set: (name, value) => {{
          if (state[name] === value) return;
          state[name] = value;
          (listeners["change:" + name] ?? []).forEach((listener) => listener());
        }},
        on: (event, listener) => {{ (listeners[event] ??= []).push(listener); }},
        off: () => {{}},
        save_changes: () => {{}},
      }},
    }});
    el.style.minHeight = "";
  }}
}}
</script>"""


def _with_imports(name: str, pasted: set[str]) -> str:
    """The text of a module after those that it imports in its first lines, each once."""
    pasted.add(name)
    text = (_HERE / name).read_text(encoding="utf-8").strip()
    imports, rest = [], text
    while found := re.match(r'import \{.*\} from "\./(.*)";\n', rest):
        imports.append(found[1])
        rest = rest[found.end() :]
    if pasted == {name} and "live_parts.js" not in imports:
        raise ValueError(f"{name} must begin with its import from live_parts.js, on one line.")
    return "\n".join([*(_with_imports(part, pasted) for part in imports if part not in pasted), rest])


@dataclass(frozen=True)
class Live:
    """A figure that stays alive in a static page.

    Args:
        module: name of the module in this folder; its first line imports from live_parts.js, others from other
            modules here, and it has a top-level function `render({ model, el })`.
        label: what the figure is, for a screen reader.
        fallback: HTML for a reader without JavaScript.
        state: the initial state; only what JSON can hold.
        height: pixels to reserve before the figure is drawn, so that the page does not jump.

    Equal figures give equal HTML, byte for byte: nothing in it is drawn at random.
    """

    module: str
    label: str
    fallback: str
    state: dict = field(default_factory=dict)
    height: int = 480

    def _repr_html_(self) -> str:
        source = _with_imports(self.module, set())
        # Inside a script element only "<" could end it early.
        state = json.dumps(self.state, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
        key = hashlib.sha256(f"{source}\0{state}\0{self.label}\0{self.fallback}".encode()).hexdigest()[:12]
        return _PAGE.format(
            key=key,
            label=html.escape(self.label),
            height=self.height,
            fallback=self.fallback,
            module=source,
            state=state,
        )

    def __repr__(self) -> str:
        return f"Live figure: {self.label}"
