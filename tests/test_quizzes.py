"""The quizzes: each is complete, has one right answer an item, and explains every choice."""

from pathlib import Path

import pytest
import yaml

QUIZZES = sorted((Path(__file__).parent.parent / "chapters" / "quizzes").glob("*.yml"))


def load(path: Path) -> list[dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_there_is_a_quiz():
    assert QUIZZES


@pytest.mark.parametrize("path", QUIZZES, ids=lambda path: path.stem)
def test_a_quiz_is_well_formed(path):
    items = load(path)
    assert len(items) >= 15
    questions = [item["question"] for item in items]
    assert len(set(questions)) == len(questions), "a question is asked twice"
    for item in items:
        assert set(item) == {"question", "choices"}, item["question"]
        assert 3 <= len(item["choices"]) <= 4, item["question"]
        for choice in item["choices"]:
            assert set(choice) == {"text", "right", "why"}, choice
            assert isinstance(choice["right"], bool), choice
            for field in ("text", "why"):
                assert isinstance(choice[field], str), f"quote the number in {choice}"
                assert choice[field].strip(), choice
        texts = [choice["text"] for choice in item["choices"]]
        assert len(set(texts)) == len(texts), item["question"]
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
