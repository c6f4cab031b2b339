"""The directive {quiz} FILE.yml: questions whose every choice explains itself once it is chosen.

The file, relative to the page, is a list of {question, choices: [{text, right: true or false, why}]}; the texts are
MyST on one line, so formulas, code and roles work in them. The result is plain radio buttons; the style sheet shows the
explanation of the choice that is checked, so no script runs.
"""

import html
from pathlib import Path

import yaml
from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

log = logging.getLogger(__name__)


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
        form = nodes.container(classes=["quiz"])
        for number, item in enumerate(quiz, start=1):
            form += self._question(number, item)
        return [form]

    def _question(self, number: int, item: dict) -> list[Node]:
        prefix = html.escape(f"quiz-{self.env.new_serialno('quiz')}")
        parts = [raw(f'<fieldset class="quiz-question"><legend><span class="quiz-number">{number}.</span> ')]
        parts += [*self._inline(item["question"]), raw("</legend>")]
        for place, choice in enumerate(item["choices"], start=1):
            verdict, word = ("right", "Right.") if choice["right"] else ("wrong", "Not so.")
            field = f"{prefix}-{place}"
            parts += [
                raw(
                    f'<div class="quiz-choice"><input type="radio" name="{prefix}" id="{field}" autocomplete="off">'
                    f'<label for="{field}">'
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


def setup(app: Sphinx) -> dict:
    app.add_directive("quiz", QuizDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
