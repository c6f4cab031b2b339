"""The quizzes: each is complete, has one right answer an item, and explains every choice; ids follow from the words."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from _ext.quiz import identity, read_quiz

QUIZZES = sorted((Path(__file__).parent.parent / "chapters" / "quizzes").glob("*.yml"))
ITEMS = 150  # that the course promises, over all chapters


def load(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_are_enough_questions_and_each_is_asked_once():
    questions = [item["question"] for path in QUIZZES for item in load(path)]
    assert len(questions) >= ITEMS
    names = [identity(question) for question in questions]
    assert len(set(names)) == len(names), "a reader's answer to one question would count for another"


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_a_quiz_is_well_formed(path):
    items = load(path)
    assert len(items) >= 15
    for item in items:
        assert set(item) == {"question", "choices"}, item["question"]
        assert 3 <= len(item["choices"]) <= 4, f"three or four choices: {item['question']}"
        for choice in item["choices"]:
            assert set(choice) == {"text", "right", "why"}, choice
            assert isinstance(choice["right"], bool), choice
            for field in ("text", "why"):
                assert isinstance(choice[field], str), f"quote the number in {choice}"
                assert choice[field].strip(), choice
        for field in ("text", "why"):
            texts = [choice[field] for choice in item["choices"]]
            assert len(set(texts)) == len(texts), f"{item['question']}: two choices share their {field}"
        assert sum(choice["right"] for choice in item["choices"]) == 1, item["question"]


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_the_right_answer_does_not_betray_itself(path):
    """Neither always in one place nor always the longest text."""
    items = load(path)
    places = [[choice["right"] for choice in item["choices"]].index(True) for item in items]
    assert len(set(places)) >= 3
    assert max(places.count(place) for place in set(places)) <= 0.6 * len(places)
    longest = [max(item["choices"], key=lambda choice: len(choice["text"]))["right"] for item in items]
    assert sum(longest) <= 0.6 * len(items)


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_a_chapter_asks_its_quiz(path):
    chapter = path.parent.parent / f"{path.stem}.md"
    assert f"quizzes/{path.name}" in chapter.read_text(encoding="utf-8")


@given(st.lists(st.text("abc.?", min_size=1), min_size=1, max_size=8), st.sampled_from([" ", "\n", "\n  ", "  "]))
def test_an_id_does_not_depend_on_where_the_lines_break(words: list[str], space: str):
    assert identity(space.join(words)) == identity(" ".join(words) + "\n")


def test_an_id_is_of_the_words_and_stays_for_good():
    """Readers' browsers hold these ids: another way to make them would forget every answer ever given."""
    assert identity("What does greedy decoding maximise?") == "f8d5752349eb"
    assert identity("What does greedy decoding minimise?") != "f8d5752349eb"


def test_the_same_question_twice_is_refused(tmp_path: Path):
    choices = [{"text": "a", "right": True, "why": "w"}, {"text": "b", "right": False, "why": "w"}]
    path = tmp_path / "quiz.yml"
    items = [{"question": question, "choices": choices} for question in ("one?", "two?", "one?")]
    path.write_text(yaml.safe_dump(items), encoding="utf-8")
    with pytest.raises(ValueError, match=r"quiz.yml, question 3: it asks the same as question 1"):
        read_quiz(path)
    items = [{"question": "one?", "choices": [*choices, choices[1]]}]
    path.write_text(yaml.safe_dump(items), encoding="utf-8")
    with pytest.raises(ValueError, match=r"question 1: two choices have the same text"):
        read_quiz(path)
