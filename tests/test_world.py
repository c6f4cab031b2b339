"""The world against enumeration by hand, statistics of long samples, and English written down a second time."""

import hashlib
import itertools
import os
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from labutils.world import BOS, ENGLISH, MASK, Grammar, World, add_s

WORLD = World()
SAMPLE = WORLD.sample(2000, length=64, seed=1)

# ---------------------------------------------------------------------------- a world small enough to enumerate

TINY = World(
    Grammar(
        topics={"land": "cat", "water": "eel"},
        nouns={"ANIMAL": "cat eel"},
        verbs={"ACT": "nap"},
        fixed_words={"PLACE": "here=0.7 there"},
        features={"number": "one many"},
        rules="""
<sentence> = 60% a/an <animal.one> .
           | 40% some <animal.many> .
<animal.{number}> = ANIMAL.{number} ACT.{number} <where>
<where> = 75% nothing | 25% PLACE
""",
        favour=3.0,
        tilt=0.0,
    )
)


def tiny_by_hand(topic):
    """The same language as a table, worked out on paper: {state: {word: (probability, next state)}}."""
    weights = {"cat": (3 if topic == 0 else 1) / 4, "eel": (3 if topic == 1 else 1) / 5}
    cat, eel = (weights[word] / sum(weights.values()) for word in ("cat", "eel"))
    return {
        "start": {"a": (0.6 * cat, "cat next"), "an": (0.6 * eel, "eel next"), "some": (0.4, "plural")},
        "cat next": {"cat": (1, "naps next")},
        "eel next": {"eel": (1, "naps next")},
        "plural": {"cats": (cat, "nap next"), "eels": (eel, "nap next")},
        "naps next": {"naps": (1, "place?")},
        "nap next": {"nap": (1, "place?")},
        "place?": {".": (0.75, "start"), "here": (0.25 * 0.7, "end"), "there": (0.25 * 0.3, "end")},
        "end": {".": (1, "start")},
    }


def enumerate_tiny(length):
    """All documents of this length: tokens [documents, length + 1] and joint probability [documents, topics]."""
    strings = {}
    for topic in range(2):
        table = tiny_by_hand(topic)
        paths = [((), 1 / 2, "start")]
        for _ in range(length):
            paths = [((*w, x), p * q, n) for w, p, s in paths for x, (q, n) in table[s].items()]
        for words, probability, _ in paths:
            strings.setdefault(words, [0, 0])[topic] += probability
    tokens = np.array([[BOS, *TINY.encode(" ".join(words))] for words in strings])
    return tokens, np.array(list(strings.values()))


LENGTH = 9
DOCUMENTS, JOINT = enumerate_tiny(LENGTH)
PROBABILITY = JOINT.sum(axis=1)


def test_the_enumeration_is_a_law():
    assert PROBABILITY.sum() == pytest.approx(1)
    assert len(DOCUMENTS) > 100


def test_next_token_law_equals_enumeration():
    law = TINY.next_token_law(DOCUMENTS[:, :-1])
    for i in range(LENGTH):
        for prefix in np.unique(DOCUMENTS[:, : i + 1], axis=0):
            here = (DOCUMENTS[:, : i + 1] == prefix).all(axis=1)
            expected = np.bincount(DOCUMENTS[here, i + 1], PROBABILITY[here], TINY.vocab_size) / PROBABILITY[here].sum()
            np.testing.assert_allclose(law[here, i], np.tile(expected, (here.sum(), 1)), atol=1e-12)


def test_topic_posterior_and_surprisal_equal_enumeration():
    posterior = TINY.topic_posterior(DOCUMENTS)[:, -1]
    np.testing.assert_allclose(posterior, JOINT / PROBABILITY[:, None], atol=1e-12)
    np.testing.assert_allclose(TINY.surprisal(DOCUMENTS).sum(axis=1), -np.log(PROBABILITY), atol=1e-12)


def masked_by_enumeration(document, mask):
    """The law of each masked token: the documents that agree with what is seen, by their probability."""
    agree = (DOCUMENTS[:, ~mask] == document[~mask]).all(axis=1)
    total = PROBABILITY[agree].sum()
    return [np.bincount(DOCUMENTS[agree, i], PROBABILITY[agree], TINY.vocab_size) / total for i in np.flatnonzero(mask)]


MASKS = {
    "nothing": [],
    "the first": [1],
    "the last": [LENGTH],
    "neighbours": [2, 3],
    "apart": [1, 4, 8],
    "all but one": [1, 2, 3, 5, 6, 7, 8, 9],
    "everything": list(range(1, LENGTH + 1)),
}


@pytest.mark.parametrize("places", MASKS.values(), ids=MASKS.keys())
def test_masked_law_equals_enumeration(places):
    mask = np.zeros(LENGTH + 1, dtype=bool)
    mask[places] = True
    documents = DOCUMENTS[::7]
    law = TINY.masked_token_law(np.where(mask, MASK, documents), np.tile(mask, (len(documents), 1)))
    expected = [row for document in documents for row in masked_by_enumeration(document, mask)]
    np.testing.assert_allclose(law, np.reshape(expected, law.shape), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_masked_law_equals_enumeration_under_any_masks(data):
    rows = data.draw(st.lists(st.integers(0, len(DOCUMENTS) - 1), min_size=1, max_size=3))
    bits = st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH)
    mask = np.array([[False, *data.draw(bits)] for _ in rows])  # a mask of its own for each document
    law = TINY.masked_token_law(DOCUMENTS[rows], mask)
    expected = [law for row, m in zip(rows, mask, strict=True) for law in masked_by_enumeration(DOCUMENTS[row], m)]
    np.testing.assert_allclose(law, np.reshape(expected, law.shape), atol=1e-12)


def test_masked_law_does_not_look_under_the_mask():
    mask = np.random.default_rng(0).random(DOCUMENTS.shape) < 0.4
    mask[:, 0] = False
    law = TINY.masked_token_law(DOCUMENTS, mask)
    np.testing.assert_array_equal(law, TINY.masked_token_law(np.where(mask, MASK, DOCUMENTS), mask))


def test_masked_law_is_nan_where_the_seen_tokens_are_impossible():
    tokens = np.concatenate([TINY.prompt("a cat naps ."), TINY.prompt("a eel naps ."), TINY.prompt("an cat naps .")])
    mask = np.zeros(tokens.shape, dtype=bool)
    mask[:, 3] = True
    law = TINY.masked_token_law(tokens, mask)
    assert law[0, TINY.encode("naps")] == pytest.approx(1)
    assert np.isnan(law[1:]).all()


def test_masking_all_after_a_prefix_gives_the_next_token_law():
    tokens = SAMPLE.tokens[:20, :24]
    mask = np.zeros(tokens.shape, dtype=bool)
    mask[:, 17:] = True
    law = WORLD.masked_token_law(tokens, mask).reshape(20, 7, -1)[:, 0]
    np.testing.assert_allclose(law, WORLD.next_token_law(tokens[:, :17])[:, -1], atol=1e-12)


def test_entropy_rate_and_baselines_equal_enumeration():
    floor, error = TINY.entropy_rate(LENGTH, n=4000)
    assert abs(floor + PROBABILITY @ np.log(PROBABILITY) / LENGTH) < 5 * error

    counts, pairs = np.zeros(TINY.vocab_size), np.zeros((TINY.vocab_size, TINY.vocab_size))
    for document, probability in zip(DOCUMENTS, PROBABILITY, strict=True):
        np.add.at(counts, document[1:], probability)
        np.add.at(pairs, (document[:-1], document[1:]), probability)
    law, cross_entropy = TINY.unigram(LENGTH)
    np.testing.assert_allclose(law, counts / LENGTH, atol=1e-12)
    assert cross_entropy == pytest.approx(-sum(c * np.log(c / LENGTH) for c in counts if c) / LENGTH)

    law, cross_entropy = TINY.bigram(LENGTH)
    met = pairs.sum(axis=1) > 0
    np.testing.assert_allclose(law[met], pairs[met] / pairs[met].sum(axis=1, keepdims=True), atol=1e-12)
    np.testing.assert_allclose(law[~met], np.tile(counts / LENGTH, ((~met).sum(), 1)), atol=1e-12)
    given_previous = -sum(p * np.log(p / row.sum()) for row in pairs for p in row if p)
    assert cross_entropy == pytest.approx(given_previous / LENGTH)


def test_grammaticality_equals_enumeration():
    possible = {tuple(prefix) for prefix in DOCUMENTS[:, :5]}
    tokens = np.array([(BOS, *words) for words in itertools.product(range(TINY.vocab_size), repeat=4)])
    expected = [tuple(row) in possible for row in tokens]
    assert TINY.is_grammatical(tokens).tolist() == expected
    assert 0 < sum(expected) < 100


# ---------------------------------------------------------------------------- statistics of samples


def chi_square_p(counts, expected):
    """The p-value of counts against expected ones, the rare cases pooled."""
    rare = expected < 5
    counts = [*counts[~rare], counts[rare].sum()]
    expected = [*expected[~rare], expected[rare].sum()]
    if expected[-1] == 0:
        assert counts[-1] == 0
        counts, expected = counts[:-1], expected[:-1]
    return chisquare(counts, np.array(expected) * sum(counts) / sum(expected)).pvalue


def test_samples_of_the_tiny_world_follow_the_enumeration():
    n = 50_000
    sample = TINY.sample(n, LENGTH, seed=3)
    place = {tuple(document): i for i, document in enumerate(DOCUMENTS)}
    documents = np.array([place[tuple(document)] for document in sample.tokens])
    for topic in range(2):  # the joint law of document and topic
        counts = np.bincount(documents[sample.topics == topic], minlength=len(DOCUMENTS))
        assert chi_square_p(counts, n * JOINT[:, topic]) > 1e-3


@pytest.mark.parametrize("prefix", ["", "the", "a", "some old"])
def test_samples_follow_the_law(prefix):
    tokens = WORLD.sample(60_000, length=3, seed=5).tokens
    start = WORLD.prompt(prefix)[0]
    here = (tokens[:, : len(start)] == start).all(axis=1)
    counts = np.bincount(tokens[here, len(start)], minlength=WORLD.vocab_size)
    assert here.sum() > 500
    assert chi_square_p(counts, here.sum() * WORLD.law_after(prefix)) > 1e-3


def test_topics_and_posterior_are_calibrated():
    posterior = WORLD.topic_posterior(SAMPLE.tokens)
    assert chi_square_p(np.bincount(SAMPLE.topics), np.full(WORLD.n_topics, 2000 / WORLD.n_topics)) > 1e-3
    for i in (2, 6, 20):  # the mean probability of the best guess is the share of right guesses
        right = posterior[:, i].argmax(axis=1) == SAMPLE.topics
        assert abs(right.mean() - posterior[:, i].max(axis=1).mean()) < 4 * 0.5 / np.sqrt(2000)


def test_entropy_rate_against_surprisal_and_against_the_entropy_of_the_law():
    floor, error = WORLD.entropy_rate()
    assert error < 1e-4
    surprisal = WORLD.surprisal(WORLD.sample(20_000, seed=7).tokens).mean(axis=1)
    assert abs(surprisal.mean() - floor) < 4 * surprisal.std() / np.sqrt(len(surprisal))
    law = WORLD.next_token_law(SAMPLE.tokens[:600, :-1])
    entropy = -np.sum(law * np.log(np.where(law > 0, law, 1)), axis=-1).mean(axis=1)
    assert abs(entropy.mean() - floor) < 4 * entropy.std() / np.sqrt(len(entropy))


def test_more_context_helps():
    floor, _ = WORLD.entropy_rate()
    assert floor + 0.3 < WORLD.bigram().cross_entropy < WORLD.unigram().cross_entropy - 1


def test_baselines_predict_a_sample_as_well_as_they_say():
    tokens = WORLD.sample(10_000, seed=11).tokens
    unigram, bigram = WORLD.unigram(), WORLD.bigram()
    for law, cross_entropy in (
        (unigram.law[tokens[:, 1:]], unigram[1]),
        (bigram.law[tokens[:, :-1], tokens[:, 1:]], bigram[1]),
    ):
        loss = -np.log(law).mean(axis=1)
        assert abs(loss.mean() - cross_entropy) < 4 * loss.std() / np.sqrt(len(loss))


def test_divergence():
    rng = np.random.default_rng(0)
    tokens = SAMPLE.tokens[:130, :9]  # more than one chunk
    law = WORLD.next_token_law(tokens)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(WORLD.divergence(tokens, np.log(law)), 0, atol=1e-12)
    logits = rng.normal(size=law.shape).astype(np.float32)
    model = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    expected = np.sum(law * np.log(np.where(law > 0, law, model) / model), axis=-1)
    np.testing.assert_allclose(WORLD.divergence(tokens, logits + 3), expected, rtol=1e-5)


def test_rows_after_an_impossible_token_are_nan():
    tokens = WORLD.prompt("the dogs sleeps . the dog")
    law, posterior, surprisal = WORLD.next_token_law(tokens), WORLD.topic_posterior(tokens), WORLD.surprisal(tokens)
    np.testing.assert_allclose(law[0, :3].sum(axis=-1), 1)
    assert np.isnan(law[0, 3:]).all()
    assert np.isfinite(posterior[0, :3]).all()
    assert np.isnan(posterior[0, 3:]).all()
    assert np.isfinite(surprisal[0, :2]).all()
    assert surprisal[0, 2] == np.inf
    assert np.isnan(surprisal[0, 3:]).all()


def test_sample_tells_what_is_hidden():
    assert (SAMPLE.tokens[:, 0] == BOS).all()
    np.testing.assert_array_equal(WORLD.states(SAMPLE.tokens)[:, :-1], SAMPLE.states)
    names = {WORLD.state_names[state] for state in SAMPLE.states[:, 0]}
    assert names == {"<sentence>"}


# ---------------------------------------------------------------------------- the parser


def test_every_sample_is_grammatical():
    parse = WORLD.parse(SAMPLE.tokens)
    assert parse.grammatical.all()
    assert (parse.first_error == -1).all()


def impossible_words(rng, documents, places):
    """For each document a word that cannot stand at the place, by the exact law."""
    law = WORLD.next_token_law(documents)[np.arange(len(documents)), places - 1]
    return (rng.random(law.shape) * (law == 0)).argmax(axis=1)


@pytest.mark.parametrize("slip", ["replaced", "put in", "left out"])
def test_one_slip_is_one_error_where_it_was_planted(slip):
    rng = np.random.default_rng(13)
    documents, n = SAMPLE.tokens, len(SAMPLE.tokens)
    places = rng.integers(1, 50, size=n)
    words = impossible_words(rng, documents, places)
    corrupted = [list(document) for document in documents]
    for document, place, word in zip(corrupted, places, words, strict=True):
        if slip == "replaced":
            document[place] = word
        elif slip == "put in":
            document.insert(place, word)
        else:
            del document[place]
    corrupted = np.array(corrupted)
    if slip == "left out":  # an error only where the word after the gap cannot stand in it
        law = WORLD.next_token_law(documents)[np.arange(n), places - 1]
        wrong = law[np.arange(n), corrupted[np.arange(n), places]] == 0
        corrupted, places = corrupted[wrong], places[wrong]
        assert len(corrupted) > n / 2
    parse = WORLD.parse(corrupted)
    assert not parse.grammatical.any()
    np.testing.assert_array_equal(parse.first_error, places)
    np.testing.assert_array_equal(parse.errors.sum(axis=1), 1)  # so the later sentences are clean


def test_to_begin_anew_after_an_error_would_report_false_ones():
    document = WORLD.prompt("the dogs the near a barn sleep . a cat sees the dog .")
    table = {
        (s, w): t for s, w, t in zip(*(getattr(WORLD.automaton, a) for a in ("source", "word", "target")), strict=True)
    }
    state, naive_errors = 0, 0
    for token in document[0, 1:]:
        naive_errors += (state, token) not in table
        state = table.get((state, token), 0)
    assert naive_errors > 1
    assert WORLD.parse(document).errors.sum() == 1


def test_errors_are_counted_by_sentence():
    text = "the dogs sleeps . a owl sees the the coin . the cat sleeps . some"
    parse = WORLD.parse(WORLD.prompt(text))
    assert parse.sentence_errors.tolist() == [[1, 2, 0, 0]]
    assert parse.first_error.tolist() == [3]
    assert parse.sentences[0].tolist() == [0] * 5 + [1] * 7 + [2] * 4 + [3]


# ---------------------------------------------------------------------------- English, written down a second time


def in_pairs(text):
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


BEINGS = in_pairs("""
dog dogs farmer farmers child children cat cats teacher teachers horse horses sailor sailors cook cooks wolf wolves
trader traders cow cows owl owls hunter hunters baker bakers gull gulls artist artists whale whales thief thieves
""")
THINGS = in_pairs("""
tree trees book books boat boats box boxes coin coins spoon spoons barn barns leaf leaves basket baskets oven ovens
rope ropes desk desks fence fences dish dishes anchor anchors bell bells axe axes bucket buckets
""")
BEINGS_DO = in_pairs("""
sleep sleeps work works swim swims study studies shout shouts climb climbs see sees carry carries watch watches
chase chases feed feeds buy buys teach teaches taste tastes read reads
""")
THINGS_DO = in_pairs("""
fall falls stand stands shine shines burn burns sink sinks float floats
hide hides hold holds cover covers touch touches block blocks
""")
PLURAL_OF = BEINGS | THINGS
THIRD_PERSON_OF = BEINGS_DO | THINGS_DO
TAKES_AN = {"owl", "artist", "oven", "anchor", "axe", "old", "honest", "unusual", "empty"}

ADJECTIVE = "(?:old|small|red|green|clean|heavy|quiet|useful|brown|honest|unusual|empty)"
NOUN = rf"(?:{'|'.join([*PLURAL_OF, *PLURAL_OF.values()])})\b"
PHRASE = f"(?:the|an?|some) (?:{ADJECTIVE} )?{NOUN}"
CLAUSE = re.compile(
    f"(?P<determiner>the|an?|some) (?:{ADJECTIVE} )?(?P<noun>{NOUN})(?: (?:near|behind|under|with) {PHRASE})? "
    f"(?P<verb>{'|'.join([*THIRD_PERSON_OF, *THIRD_PERSON_OF.values()])})"
    rf"(?P<rest>| (?:often|slowly|quietly|quickly|loudly|today)| {PHRASE}(?: and {PHRASE})?) \."
)
QUALITY = "(?:great|wonderful|funny|comfortable|awful|terrible|boring|ugly)"
OTHERS = {
    "dessert": re.compile(r"for dessert we had the \w+ \."),
    "review": re.compile(
        r"classify this review : "
        r"(?:i (?:loved|enjoyed|liked|hated|disliked|do not like) this (?:movie|chair)"
        rf"(?: (?:and|but) the \w+ was {QUALITY})?"
        rf"|this (?:movie|chair) was (?:not )?{QUALITY}) ! sentiment : (?:positive|negative) \."
    ),
    "question": re.compile(
        r"question : (?:what is the (?:largest moon|largest planet|red planet|hottest planet) \? answer : \w+"
        r"|where is \w+ \? answer : it is (?:a moon|inside the orbit) of \w+) \."
    ),
}
SENTENCES = [
    f"{sentence.strip()} ." for document in SAMPLE.tokens for sentence in WORLD.decode(document[1:]).split(" .")[:-1]
]


def test_every_sentence_is_of_a_known_kind_with_the_right_share():
    shares = {kind: np.mean([bool(form.fullmatch(s)) for s in SENTENCES]) for kind, form in OTHERS.items()}
    clauses = np.mean([bool(CLAUSE.fullmatch(sentence)) for sentence in SENTENCES])
    assert clauses + sum(shares.values()) == pytest.approx(1, abs=1e-12)
    for share in shares.values():
        assert 0.02 < share < 0.04


def test_number_agrees_and_verbs_suit_their_subject():
    plurals, third_persons = set(PLURAL_OF.values()), set(THIRD_PERSON_OF.values())
    interrupted = 0
    for clause in filter(None, map(CLAUSE.fullmatch, SENTENCES)):
        one = clause["noun"] not in plurals
        assert one == (clause["verb"] in third_persons), clause[0]
        being = clause["noun"] in {*BEINGS, *BEINGS.values()}
        assert being == (clause["verb"] in {*BEINGS_DO, *BEINGS_DO.values()}), clause[0]
        interrupted += f"{clause['noun']} {clause['verb']}" not in clause[0]
    assert interrupted > 1000


def test_determiners_agree_with_what_follows():
    seen = Counter()
    for sentence in SENTENCES:
        for phrase in re.finditer(PHRASE, sentence):
            determiner, after, *_ = words = phrase[0].split()
            seen[determiner] += 1
            if determiner in ("a", "an"):
                assert (determiner == "an") == (after in TAKES_AN), phrase[0]
                assert words[-1] in PLURAL_OF, phrase[0]
            if determiner == "some":
                assert words[-1] in PLURAL_OF.values(), phrase[0]
    assert min(seen[determiner] for determiner in ("a", "an", "some")) > 100


def test_every_noun_and_verb_is_spelled_right():
    for name, spelling in (("BEING", BEINGS), ("THING", THINGS)):
        one, many = (WORLD.decode(WORLD.tokens_of(f"{name}.{number}")).split() for number in ("one", "many"))
        assert [spelling[word] for word in one] == many
    for name in ("REST.being", "REST.thing", "ACT.being", "ACT.thing"):
        one, many = (WORLD.decode(WORLD.tokens_of(f"{name}.{number}")).split() for number in ("one", "many"))
        assert [THIRD_PERSON_OF[word] for word in many] == one
    assert [add_s(word) for word in ("carry", "buy", "watch", "bus", "dish", "box")] == [
        "carries", "buys", "watches", "buses", "dishes", "boxes",
    ]  # fmt: skip


def test_a_topic_favours_its_words():
    automaton = WORLD.automaton
    taken = WORLD.visits()[:, automaton.source] * automaton.weight
    for topic, words in enumerate(ENGLISH.topics.values()):
        nouns = set(words.split()) & set(PLURAL_OF)
        assert nouns
        for noun in nouns:
            share = taken[:, automaton.word == WORLD.encode(noun)].sum(axis=1)
            assert share.argmax() == topic, noun


# ---------------------------------------------------------------------------- the notes' examples


def test_the_dessert_law_is_that_of_the_notes():
    prefix = "a cow works . for dessert we had the"  # whatever the topic
    for text in ("for dessert we had the", prefix):
        law = WORLD.law_after(text)
        order = np.argsort(-law)
        assert WORLD.decode(order[:4]) == "cake donut banana apple"
        np.testing.assert_allclose(law[order[:4]], [0.20, 0.10, 0.02, 0.01], rtol=1e-12)
        tail = law[order[4:]]
        tail = tail[tail > 0]
        assert len(tail) >= 72
        assert tail.max() < 0.01
        assert len(np.unique(tail.round(9))) == len(tail)
        assert tail.sum() == pytest.approx(0.67)


@pytest.mark.parametrize(
    ("review", "positive"),
    [
        ("i loved this movie", 1),
        ("i do not like this chair", 0),
        ("this chair was comfortable", 1),
        ("this movie was not funny", 0),
        ("this movie was not boring", 0.75),
        ("i liked this movie and the acting was great", 1),
        ("i liked this movie but the story was awful", 0.75),
        ("i hated this chair but the fabric was wonderful", 0.25),
    ],
)
def test_the_label_of_a_review(review, positive):
    law = WORLD.law_after(f"classify this review : {review} ! sentiment :")
    assert law[WORLD.encode("positive negative")] == pytest.approx([positive, 1 - positive])


def test_a_review_can_be_given_as_an_example():
    shot = "classify this review : i loved this movie ! sentiment : positive ."
    law = WORLD.law_after(f"{shot} classify this review : i do not like this chair ! sentiment :")
    assert law[WORLD.encode("negative")] == pytest.approx(1)


@pytest.mark.parametrize(
    ("question", "answer", "probability"),
    [
        ("what is the largest moon", "ganymede", 1),
        ("what is the largest planet", "jupiter", 1),
        ("what is the red planet", "mars", 1),
        ("what is the hottest planet", "venus", 1),
        ("where is ganymede", "it is a moon of jupiter", 0.7),
        ("where is ganymede", "it is inside the orbit of jupiter", 0.3),
        ("where is titan", "it is a moon of saturn", 0.7),
        ("where is triton", "it is a moon of neptune", 0.7),
        ("where is mars", "it is inside the orbit of jupiter", 1),
    ],
)
def test_the_answer_to_a_question(question, answer, probability):
    prompt = f"question : {question} ? answer :"
    surprisal = WORLD.surprisal(WORLD.prompt(f"{prompt} {answer} ."))[0, len(prompt.split()) :]
    assert np.exp(-surprisal.sum()) == pytest.approx(probability)


# ---------------------------------------------------------------------------- words, errors, determinism


def test_encode_and_decode():
    text = "for dessert we had the cake ."
    assert WORLD.decode(WORLD.encode(text)) == text
    assert WORLD.encode("").shape == (0,)
    assert WORLD.vocab[BOS] == "<bos>"
    assert WORLD.vocab[MASK] == "<mask>"
    assert WORLD.vocab[WORLD.stop] == "."
    assert len(set(WORLD.vocab)) == WORLD.vocab_size <= 300


def tiny(rules, **fields):
    return World(Grammar(topics={"only": ""}, rules=rules, **fields))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: WORLD.encode("the pizza"), "'pizza' is not one of the .* words"),
        (lambda: WORLD.next_token_law(WORLD.prompt("the dog")[:, 1:]), "must start with <bos>"),
        (lambda: WORLD.parse(np.array([[BOS, WORLD.vocab_size]])), "Tokens must lie in"),
        (lambda: WORLD.law_after("the dogs sleeps"), "not the beginning of a document"),
        (lambda: WORLD.tokens_of("FRUIT"), "no word list 'FRUIT'"),
        (lambda: WORLD.masked_token_law(WORLD.prompt("the"), np.array([[True, False]])), "<bos> cannot be masked"),
        (lambda: tiny("<s> = 60% a . | 50% b .").automaton, "sum to 100%"),
        (lambda: tiny("<s> = a .\n<s> = b .").automaton, "two rules for <s>"),
        (lambda: tiny("<s> = 50% a b . | 50% a c .").automaton, "'a' could lead to 'b .' or to 'c .'"),
        (lambda: tiny("<s> = <t> .").automaton, "no rule or word list <t>"),
        (lambda: tiny("<s> = a <s> .").automaton, "Does a rule contain itself"),
        (lambda: tiny("<s> = 50% <s> a | 50% b .").automaton, "Does a rule contain itself"),
        (lambda: tiny("<s> = X .", fixed_words={"X": "a=0.7 b=0.2"}).automaton, "positive and sum to 1"),
    ],
)
def test_mistakes_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def fingerprint(world):
    """A hash of the vocabulary and of the law to six digits."""
    automaton = world.automaton
    law = np.rint(automaton.weight * 1e6).astype(np.int64)
    parts = [
        " ".join(world.vocab).encode(),
        *(a.tobytes() for a in (automaton.source, automaton.word, automaton.target, law)),
    ]
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def test_the_world_is_the_one_that_the_shipped_models_know():
    assert fingerprint(WORLD) == "2303be22995efc56"


def test_the_same_in_another_process_and_without_torch():
    code = """
import sys
from labutils.world import World
world = World()
assert "torch" not in sys.modules
print(world.vocab, world.automaton.weight.tobytes().hex()[:4000], world.sample(3, 9, seed=2).tokens.tolist())
"""
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    weight = WORLD.automaton.weight.tobytes().hex()[:4000]
    assert outputs == {f"{WORLD.vocab} {weight} {WORLD.sample(3, 9, seed=2).tokens.tolist()}\n".encode()}
