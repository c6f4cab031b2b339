"""Real text without a network, the crawl and its labels, and published tables that must add up."""

from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labutils import corpora
from labutils.curation import clean_page, listed_words, ngram_jaccard, repetition

# --- the documentation -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return corpora.documentation()


def test_there_is_real_text_on_every_machine(documents):
    assert 300_000 < sum(map(len, documents)) < 10_000_000
    assert len(documents) > 500
    text = "\n".join(documents)
    assert '"with" statement' in text  # the reference
    assert "Return a list" in text  # the library


def test_no_long_line_occurs_in_two_documents(documents):
    lines = [line.strip() for document in documents for line in document.splitlines()]
    assert max(Counter(line for line in lines if len(line) >= 20).values()) == 1


def test_the_documentation_is_the_same_each_time(documents):
    assert corpora.documentation() == documents


def test_a_python_without_its_documentation_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(corpora, "sysconfig", SimpleNamespace(get_path=lambda name: str(tmp_path)))
    monkeypatch.setitem(__import__("sys").modules, "pydoc_data.topics", None)
    with pytest.raises(OSError, match="neither its reference topics nor its source"):
        corpora.documentation()


@given(st.lists(st.lists(st.sampled_from(["x" * 25, "y" * 30, "short", "", "z" * 45]), max_size=4)))
def test_repeated_lines_go_and_others_stay(documents):
    kept = corpora.without_repeated_lines(["\n".join(lines) for lines in documents])
    lines = [line for document in kept for line in document.splitlines()]
    assert all(lines.count(long) <= 1 for long in ("x" * 25, "y" * 30, "z" * 45))
    assert ("z" * 45 in lines) == any("z" * 45 in document for document in documents)


@given(st.lists(st.text(alphabet="ab", min_size=1, max_size=30), min_size=3, unique=True), st.floats(0.05, 0.9))
def test_a_split_keeps_every_document_whole_and_in_one_part(documents, share):
    learn, test = corpora.split(documents, share)
    assert sorted(learn + test) == sorted(documents)
    taken, total = sum(map(len, test)), sum(map(len, documents))
    assert share * total <= taken < share * total + max(map(len, documents))
    assert corpora.split(documents, share) == (learn, test)


@pytest.mark.parametrize("share", [0.0, 1.0, -1.0])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        corpora.split(["a", "b"], share)


# --- the crawl -------------------------------------------------------------------------------------------------------

DOCUMENTS = [f"the dog{i} sees a cow{i} . some owls{i} sleep ." + f" a wolf{i} runs ." * 4 for i in range(3000)]
TESTS = ["a test item stands here . nobody should see it ."] * 3


@pytest.fixture(scope="module")
def crawl() -> corpora.Crawl:
    return corpora.crawl(DOCUMENTS, TESTS, 3000)


def text(page: str) -> str:
    return " ".join(clean_page(page, 3, 1).split())


def of_kind(crawl: corpora.Crawl, kind: str) -> list[tuple[int, str]]:
    return [(i, page) for i, page in enumerate(crawl.pages) if crawl.kinds[i] == kind]


def test_kinds_come_in_their_shares(crawl):
    assert len(crawl.pages) == len(crawl.kinds) == 3000
    assert sum(corpora.KINDS.values()) == 100
    for kind, percent in corpora.KINDS.items():
        expected, n = 30 * percent, Counter(crawl.kinds)[kind]
        assert abs(n - expected) < 5 * expected**0.5


def test_each_kind_is_what_it_is_called(crawl):
    assert all(text(page) == DOCUMENTS[i] for i, page in of_kind(crawl, "good"))
    good = [text(page) for _, page in of_kind(crawl, "good")]
    assert all(text(page) == TESTS[0] for _, page in of_kind(crawl, "leaked"))
    assert all(set(page.splitlines()) <= set(corpora.FURNITURE) for _, page in of_kind(crawl, "menu"))
    assert all(repetition(text(page)) > 0.5 for _, page in of_kind(crawl, "boilerplate"))
    for i, page in of_kind(crawl, "salad")[:20]:
        words = [word for line in page.splitlines() if line not in corpora.FURNITURE for word in line.split()]
        assert sorted(words) == sorted(DOCUMENTS[i].split())
        assert " ".join(words) != DOCUMENTS[i]
    for i, page in of_kind(crawl, "foreign")[:20]:
        assert not {"the", "dog", "sees", "a", "cow"} & set(page.split("\n", 1)[1].split())
        assert "." in page
        assert DOCUMENTS[i] not in text(page)
    near = [max(ngram_jaccard(text(page), other) for other in good) for _, page in of_kind(crawl, "copy")[5:25]]
    assert min(near) > 0.3


@pytest.mark.parametrize(("kind", "most"), [("careless", corpora.SLIPS), ("noise", 8)])
def test_replaced_words_are_as_many_as_were_said(crawl, kind, most):
    changed = []
    for i, page in of_kind(crawl, kind):
        words = [word for line in page.splitlines() if line not in corpora.FURNITURE for word in line.split()]
        changed.append(sum(a != b for a, b in zip(words, DOCUMENTS[i].split(), strict=True)))
    assert max(changed) <= most
    assert sum(changed) / len(changed) > 0.6 * most


def test_a_crawl_is_the_same_each_time_and_another_for_another_seed(crawl):
    assert corpora.crawl(DOCUMENTS, TESTS, 3000) == crawl
    assert corpora.crawl(DOCUMENTS, TESTS, 3000, seed=1) != crawl


@pytest.mark.parametrize(("documents", "tests"), [(DOCUMENTS[:9], TESTS), (DOCUMENTS, [])])
def test_a_crawl_without_enough_documents_is_refused(documents, tests):
    with pytest.raises(ValueError, match="A crawl of 10 pages needs 10 documents and at least one test item"):
        corpora.crawl(documents, tests, 10)


# --- specimens and tables --------------------------------------------------------------------------------------------


def test_the_specimens_for_the_blocklist():
    assert len(corpora.SPECIMENS) == 30
    assert sum(page.harmful for page in corpora.SPECIMENS) == 8
    words = corpora.BLOCKLIST.split()
    assert len(words) == len(set(words)) == 20
    used = {word for page in corpora.SPECIMENS for word in listed_words(page.text, words)}
    assert set(words) - used <= {"bomb", "hate", "drug"}


def test_the_published_mixtures_add_up():
    assert sum(source.share for source in corpora.GPT3_MIXTURE.values()) == 101
    assert sum(source.share for source in corpora.LLAMA_MIXTURE.values()) == pytest.approx(100)
    pile = corpora.PILE_MIXTURE.values()
    assert len(pile) == 22
    assert sum(source.share for source in pile) == pytest.approx(100, abs=0.03)
    assert sum(source.size for source in pile) == pytest.approx(825.18)
    total = sum(source.size * source.epochs for source in pile)
    assert total == pytest.approx(1254.20, abs=0.2)
    assert all(source.share == pytest.approx(100 * source.size * source.epochs / total, abs=0.01) for source in pile)
