"""What a reader has done: the directive {progress}, the box to tick below each lab, and storage that cannot fail.

The pages hold empty boxes and the ids of the questions; scripts in _public/_static/progress fill them from the reader's
browser. Nothing is sent anywhere.
"""

import json
import re
from html import escape
from pathlib import Path

from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from _ext.accessible import pages
from _ext.claims import CHAPTERS, LABS, ROOT
from _ext.evidence_role import link
from _ext.quiz import identity, raw, read_quiz

STORE = "progress/store.js"

# A browser may refuse its storage to a page, or have no room, and the theme's scripts do not expect that: give them a
# storage that forgets. It bears the mark `refused`, so that store.js can say so.
SHELTER = """<script>
for (const name of ["localStorage", "sessionStorage"]) {
try { window[name].setItem("probe", ""); window[name].removeItem("probe"); } catch {
const kept = new Map();
Object.defineProperty(window, name, { value: {
refused: true,
getItem: (key) => kept.get(key) ?? null,
setItem: (key, value) => void kept.set(key, String(value)),
removeItem: (key) => void kept.delete(key) } });
} }
</script>"""

HEAD = """
<noscript><p>This page needs JavaScript: what you have done is known to your browser only.</p></noscript>
<p id="progress-sum" role="status"></p>
<p id="progress-not-kept" hidden>This browser keeps nothing for this page, so all marks last until you leave it.</p>
<table class="table progress-table stacked" aria-label="Progress by chapter">
<thead><tr><th scope="col">Chapter read</th><th scope="col">Quiz</th><th scope="col">Labs done</th></tr></thead>
<tbody>
"""

FOOT = """
</tbody></table>
<div id="progress-controls" class="progress-controls" hidden>
<button type="button" id="progress-export">Export to a file</button>
<button type="button" id="progress-import">Import from a file</button>
<button type="button" id="progress-erase">Erase everything</button>
<input type="file" id="progress-file" accept=".json,application/json" hidden>
<p id="progress-report" role="status"></p>
</div>
"""

LAB_DONE = """
<p class="lab-done" data-lab="{name}" hidden>
<label><input type="checkbox" autocomplete="off"> I have done this lab</label>
<a href="../chapters/progress.html">Your progress</a></p>
"""


def lab_title(name: str) -> str:
    """The first heading of a lab's notebook, such as "Lab 12: Decoding"."""
    cells = json.loads((ROOT / "labs" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    found = re.search(r"^# (.+)$", "\n".join("".join(cell["source"]) for cell in cells[:2]), re.MULTILINE)
    return found[1] if found else name


def tick(part: str, name: str, label: str) -> nodes.raw:
    """A box for one entry of the record; without its script it can do nothing, so it is disabled."""
    box = f'<input type="checkbox" name="{part}" value="{name}" aria-label="{escape(label)}"'
    return raw(f'{box} autocomplete="off" disabled> ')


class ProgressDirective(SphinxDirective):
    """A row for each chapter of the book: a box to tick, the quiz, and a box for each of its labs."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        self.env.note_reread()
        parts: list[Node] = [raw(HEAD)]
        for chapter, title in CHAPTERS.items():
            if f"chapters/{chapter}" in self.env.found_docs:
                parts += self._row(chapter, f"{int(chapter[:2])}. {title}")
        return [nodes.container("", *parts, raw(FOOT), classes=["course-progress"])]

    def _row(self, chapter: str, title: str) -> list[Node]:
        ids = [identity(item["question"]) for item in read_quiz(ROOT / "chapters" / "quizzes" / f"{chapter}.yml")]
        row = [
            raw('<tr><th scope="row"><div class="progress-tick">'),
            tick("chapters", chapter, f"Chapter {title}: read"),
        ]
        row += [self._link(f"chapters/{chapter}", "", title)]
        row += [
            raw(f'</div></th><td data-questions="{" ".join(ids)}">'),
            self._link(f"chapters/{chapter}", "quiz", "Quiz"),
            raw(
                f': <span class="progress-words">{len(ids)} questions</span><progress value="0" max="{len(ids)}" '
                f'aria-label="Questions of chapter {escape(title)} answered"></progress></td><td>'
            ),
        ]
        for number, (name, home) in LABS.items():
            page = f"labs/{number}_{name}"
            if home == chapter and page in self.env.found_docs:
                label = lab_title(f"{number}_{name}")
                row += [raw('<div class="progress-tick">'), tick("labs", f"{number}_{name}", f"{label}: done")]
                row += [self._link(page, "", label.removeprefix("Lab ")), raw("</div>")]
        return [*row, raw("</td></tr>")]

    def _link(self, page: str, target: str, text: str) -> Node:
        return nodes.inline("", "", link(self.env, page, target, "", nodes.Text(text), classes=[]))


def add_parts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """The box below a lab, and the scripts of those pages that have something to tick."""
    if page.startswith("labs/"):
        context["body"] += LAB_DONE.format(name=Path(page).name)
        script = "progress/lab.js"
    elif doctree is not None and any("course-progress" in node["classes"] for node in doctree.findall(nodes.container)):
        script = "progress/page.js"
    else:
        return
    for name in (STORE, script):
        app.add_js_file(name, loading_method="defer")


def shelter_storage(app: Sphinx, error: Exception | None) -> None:
    if error or app.builder.format != "html":
        return
    for path in pages(Path(app.outdir)):
        page = path.read_text(encoding="utf-8")
        if SHELTER not in page:
            path.write_text(
                page.replace('<meta charset="utf-8" />', f'<meta charset="utf-8" />\n{SHELTER}', 1), "utf-8"
            )


def setup(app: Sphinx) -> dict:
    app.add_directive("progress", ProgressDirective)
    app.connect("html-page-context", add_parts)
    app.connect("build-finished", shelter_storage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
