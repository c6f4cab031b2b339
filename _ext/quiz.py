"""The directive {quiz} FILE.yml: questions whose every choice explains itself once it is chosen.

The file, relative to the page, is a list of {question, choices: [{text, right: true or false, why}]}; the texts are
MyST on one line, so formulas, code and roles work in them. The result is plain radio buttons; the style sheet shows the
explanation of the choice that is checked, so a quiz works without a script. Where scripts run, quiz.js remembers the
answers in the reader's browser and counts them.

What it remembers is filed under an id made from the words of the question, and of the choice. So an answer keeps its
place when questions are added, dropped or put in another order, and is forgotten when the words change.
"""

import hashlib
from pathlib import Path

import yaml
from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)

SCRIPTS = ("progress/store.js", "progress/quiz.js")  # in _public/_static

# Shown by the script, because without it there is nothing to count.
HEAD = """
<div class="quiz-bar" hidden>
<p class="quiz-score" role="status"></p>
<p class="is-kept">Your answers stay in this browser and nowhere else; see
<a href="progress.html">your progress</a>.</p>
<p class="is-not-kept">This browser keeps nothing for this page, so your answers last until you leave it.</p>
<p><button type="button" class="quiz-explain" aria-pressed="false">Show every explanation</button>
<button type="button" class="quiz-clear">Clear these answers</button></p>
</div>
"""
FOOT = '<p class="quiz-score" hidden></p>'


def identity(text: str) -> str:
    """Twelve hexadecimal digits that depend on the words of a text, not on where its lines break."""
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:12]


def read_quiz(path: Path) -> list[dict]:
    """The questions of a quiz file. Raises ValueError naming the question at fault."""
    try:
        quiz = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"There is no quiz file {path.name}.") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(quiz, list) or not quiz:
        raise ValueError(f"{path.name} must be a list of questions.")
    for number, item in enumerate(quiz, start=1):
        if problem := _problem(item):
            raise ValueError(f"{path.name}, question {number}: {problem}")
    names = [identity(item["question"]) for item in quiz]
    for number, name in enumerate(names, start=1):
        if (first := names.index(name) + 1) != number:
            raise ValueError(f"{path.name}, question {number}: it asks the same as question {first}.")
    return quiz


def _problem(item: object) -> str | None:
    if not isinstance(item, dict) or set(item) != {"question", "choices"} or not isinstance(item["choices"], list):
        return "it needs `question` and a list `choices`, and nothing else."
    if len(item["choices"]) < 2:
        return "it needs at least two choices."
    for place, choice in enumerate(item["choices"], start=1):
        if not isinstance(choice, dict) or set(choice) != {"text", "right", "why"}:
            return f"choice {place} needs `text`, `right` and `why`, and nothing else."
        if not isinstance(choice["right"], bool):
            return f"`right` of choice {place} must be true or false."
        if not all(isinstance(choice[key], str) and choice[key].strip() for key in ("text", "why")):
            return f"`text` and `why` of choice {place} must be words; quote them if they look like a number."
    if not any(choice["right"] for choice in item["choices"]):
        return "no choice is right."
    if len({identity(choice["text"]) for choice in item["choices"]}) < len(item["choices"]):
        return "two choices have the same text."
    return None


class QuizDirective(SphinxDirective):
    """One fieldset a question, one radio button a choice."""

    required_arguments = 1

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        name, path = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(name)
        try:
            quiz = read_quiz(Path(path))
        except ValueError as error:
            log.warning("%s", error, location=self.get_location(), type="quiz")
            return []
        page = Path(self.env.docname).name
        form = nodes.container(classes=["quiz"])
        form += raw(f'<div data-quiz="{page}">{HEAD}')
        for number, item in enumerate(quiz, start=1):
            form += self._question(number, item)
        form += raw(f"{FOOT}</div>")
        return [form]

    def _question(self, number: int, item: dict) -> list[Node]:
        name = identity(item["question"])
        parts: list[Node] = [raw(f'<fieldset class="quiz-question" data-question="{name}"><legend>')]
        parts += [
            raw(f'<span class="quiz-number">{number}.</span> '),
            *self._inline(item["question"]),
            raw("</legend>"),
        ]
        for place, choice in enumerate(item["choices"], start=1):
            verdict, word = ("right", "Right.") if choice["right"] else ("wrong", "Not so.")
            group, field, value = f"quiz-{name}", f"quiz-{name}-{place}", identity(choice["text"])
            parts += [
                raw(
                    f'<div class="quiz-choice"><input type="radio" name="{group}" id="{field}" value="{value}" '
                    f'autocomplete="off"><label for="{field}">'
                ),
                *self._inline(choice["text"]),
                raw(f'</label><div class="quiz-why quiz-{verdict}" role="status"><p><strong>{word}</strong> '),
                *self._inline(choice["why"]),
                raw("</p></div></div>"),
            ]
        return [*parts, raw("</fieldset>")]

    def _inline(self, text: str) -> list[Node]:
        content, messages = self.parse_inline(" ".join(text.split()))
        return [*content, *messages]


def raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def add_scripts(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    """Only a page with a quiz loads the scripts."""
    if doctree is not None and any("quiz" in node["classes"] for node in doctree.findall(nodes.container)):
        for script in SCRIPTS:
            app.add_js_file(script, loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.add_directive("quiz", QuizDirective)
    app.connect("html-page-context", add_scripts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
