"""A small language whose laws are known exactly.

A document has a hidden **topic** (farm, kitchen, sea, ...), which never changes and tilts the choice of words. Its words
come from a grammar, compiled to an **automaton**: a state says what remains to be said, a word leads from one state to
the next. The words so far determine the state, so the topic is all that a reader does not know, and the law of the next
word follows from Bayes' rule. No model can do better than that law; its entropy is the **floor** of every loss.

>>> world = World()
>>> documents = world.sample(2, length=64, seed=0)
>>> print(world.decode(documents.tokens[0]))
>>> world.next_token_law(documents.tokens)          # [2, 65, vocab]: row i is the law of the token after tokens[:, i]

The file reads from top to bottom: the language (word lists and rules), the compiler, the laws.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

# ---------------------------------------------------------------------------------------------------- the language

# A topic favours these words: each is FAVOUR times as likely there as its rank in its list alone would make it.
TOPICS = {
    "farm": "farmer horse cow barn fence bucket work feed stand carry heavy brown",
    "kitchen": "cook baker cat oven spoon dish sleep taste burn cover clean quickly",
    "sea": "sailor whale gull boat anchor rope swim watch sink float green slowly",
    "school": "teacher child artist book desk bell study teach read touch quiet quietly",
    "market": "trader thief dog coin basket box shout buy shine hold useful loudly",
    "forest": "hunter wolf owl tree leaf axe climb chase fall hide old often",
}

# Nouns come in .one and .many, verbs in .one (third person singular) and .many. Irregular forms are written out.
NOUNS = {
    "BEING": "dog farmer child/children cat teacher horse sailor cook wolf/wolves trader cow owl hunter baker gull "
    "artist whale thief/thieves",
    "THING": "tree book boat box coin spoon barn leaf/leaves basket oven rope desk fence dish anchor bell axe bucket",
}
VERBS = {
    "REST.being": "sleep work swim study shout climb",
    "REST.thing": "fall stand shine burn sink float",
    "ACT.being": "see carry watch chase feed buy teach taste read",
    "ACT.thing": "hide hold cover touch block",
}
WORDS = {
    "ADJECTIVE": "old small red green clean heavy quiet useful brown honest unusual empty",
    "ADVERB": "often slowly quietly quickly loudly today",
    "PREPOSITION": "near behind under with",
}

# The same in every topic. A word may name its probability; the others share the rest in slowly falling parts.
FIXED_WORDS = {
    "DESSERT": "cake=0.20 donut=0.10 banana=0.02 apple=0.01 "
    "sorbet brownie pudding trifle custard tiramisu gelato eclair cheesecake pavlova meringue mousse parfait cobbler "
    "crumble strudel baklava cannoli macaron macaroon shortbread gingerbread cookie cupcake muffin pancake waffle "
    "crepe fritter churro profiterole madeleine fudge toffee nougat caramel praline truffle marzipan halva "
    "sundae milkshake sherbet popsicle granita semifreddo panettone stollen babka flan blancmange syllabub posset pie "
    "tart galette clafoutis turnover scone brioche beignet tartlet torte gateau roulade lamington bonbon "
    "marshmallow jelly compote affogato mochi kulfi mango peach melon",
    "LOVED": "loved enjoyed liked",
    "HATED": "hated disliked",
    "PART.movie": "story acting music",
    "PART.chair": "seat fabric",
    "PRAISE.movie": "great wonderful funny",
    "PRAISE.chair": "great wonderful comfortable",
    "BLAME.movie": "awful terrible boring",
    "BLAME.chair": "awful terrible ugly",
    "MOON.jupiter": "ganymede=0.55 callisto europa io",
    "MOON.saturn": "titan rhea",
    "MOON.neptune": "triton",
}

# A rule is written once for each value of the {features} in it.
FEATURES = {
    "number": "one many",  # of a noun and its verb
    "any": "one many any",  # what a determiner allows: "the" goes with either number
    "kind": "being thing",
    "item": "movie chair",
    "tone": "praise blame",
    "planet": "jupiter saturn neptune",
    "body": "ganymede jupiter venus mars",
}

# A rule gives the ways to say <something>, each with its share. A way is a row of plain words, WORD LISTS and other
# <rules>; the empty way is written "nothing". "a/an" becomes the one that the sound of the next word asks for.
RULES = """
<sentence> = 91% <clause> . | 3% <dessert> . | 3% classify this review : <review> . | 3% question : <question> .

<clause> = 50% the <subject.any> | 28% a/an <subject.one> | 22% some <subject.many>
<subject.{any}> = 65% <head.{any}> | 35% ADJECTIVE <head.{any}>
<head.any> = 60% <head.one> | 40% <head.many>
<head.{number}> = 65% BEING.{number} <predicate.being.{number}> | 35% THING.{number} <predicate.thing.{number}>
<predicate.{kind}.{number}> = 70% <verb.{kind}.{number}> | 30% PREPOSITION <phrase> <verb.{kind}.{number}>
<verb.{kind}.{number}> = 40% REST.{kind}.{number} <manner> | 60% ACT.{kind}.{number} <phrase> <more>
<manner> = 60% nothing | 40% ADVERB
<more> = 85% nothing | 15% and <phrase>

<phrase> = 50% the <named.any> | 28% a/an <named.one> | 22% some <named.many>
<named.{any}> = 70% <noun.{any}> | 30% ADJECTIVE <noun.{any}>
<noun.any> = 60% <noun.one> | 40% <noun.many>
<noun.{number}> = 65% BEING.{number} | 35% THING.{number}

<dessert> = for dessert we had the DESSERT

<review> = 60% i <feeling> | 40% this <judged>
<feeling> = 45% LOVED this <item.praise> | 35% HATED this <item.blame> | 20% do not like this <item.blame>
<item.{tone}> = 50% movie <detail.movie.{tone}> | 50% chair <detail.chair.{tone}>
<detail.{item}.praise> = 60% <label.praise> | 20% and <part.{item}.praise> <label.praise> \
                       | 20% but <part.{item}.blame> <label.praise.but>
<detail.{item}.blame> = 60% <label.blame> | 20% and <part.{item}.blame> <label.blame> \
                      | 20% but <part.{item}.praise> <label.blame.but>
<part.{item}.praise> = the PART.{item} was PRAISE.{item}
<part.{item}.blame> = the PART.{item} was BLAME.{item}
<judged> = 50% movie was <verdict.movie> | 50% chair was <verdict.chair>
<verdict.{item}> = 40% PRAISE.{item} <label.praise> | 30% BLAME.{item} <label.blame> | 30% not <denied.{item}>
<denied.{item}> = 60% PRAISE.{item} <label.blame> | 40% BLAME.{item} <label.not.blame>
<label.praise> = ! sentiment : positive
<label.blame> = ! sentiment : negative
<label.praise.but> = ! sentiment : <mostly.positive>
<label.blame.but> = ! sentiment : <mostly.negative>
<label.not.blame> = ! sentiment : <mostly.positive>
<mostly.positive> = 75% positive | 25% negative
<mostly.negative> = 75% negative | 25% positive

<question> = 50% where is <moon> | 50% what is the <most>
<moon> = 55% MOON.jupiter <place.jupiter> | 15% MOON.saturn <place.saturn> \
       | 15% MOON.neptune <place.neptune> | 15% mars <place.mars>
<place.{planet}> = ? answer : it is <whereabouts.{planet}>
<place.mars> = ? answer : it is inside the orbit of jupiter
<whereabouts.{planet}> = 70% a moon of {planet} | 30% inside the orbit of {planet}
<most> = 60% largest <largest> | 20% red planet <answer.mars> | 20% hottest planet <answer.venus>
<largest> = 60% moon <answer.ganymede> | 40% planet <answer.jupiter>
<answer.{body}> = ? answer : {body}
"""


@dataclass(frozen=True)
class Grammar:
    """A language as data; the constants above show the notation of each field.

    `favour` is how many times likelier a word is in a topic that names it. `tilt` is the size of a further random
    preference of each topic for each word, drawn from `seed` (0: none).
    """

    topics: Mapping[str, str]
    rules: str
    nouns: Mapping[str, str]
    verbs: Mapping[str, str]
    words: Mapping[str, str]
    fixed_words: Mapping[str, str]
    features: Mapping[str, str]
    favour: float = 8.0
    tilt: float = 0.8
    seed: int = 0


ENGLISH = Grammar(
    topics=TOPICS,
    rules=RULES,
    nouns=NOUNS,
    verbs=VERBS,
    words=WORDS,
    fixed_words=FIXED_WORDS,
    features=FEATURES,
)

BOS, MASK = 0, 1
SPECIAL = ("<bos>", "<mask>")
SILENT_H = {"honest"}
SOUNDS_LIKE_YOU = {"useful"}


def add_s(word: str) -> str:
    """A noun's plural or a verb's third person: cows, boxes, watches, carries.

    >>> add_s("carry"), add_s("buy"), add_s("bench")
    ('carries', 'buys', 'benches')
    """
    if word.endswith(("s", "x", "z", "sh", "ch")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def starts_with_vowel_sound(word: str) -> bool:
    """Whether the word asks for "an": an owl, an honest cook, a useful book."""
    return word in SILENT_H or (word[0] in "aeiou" and word not in SOUNDS_LIKE_YOU)


# ---------------------------------------------------------------------------------------------------- the compiler


class WordList(NamedTuple):
    """The forms of a word list and, for each topic, their law (a row sums to 1)."""

    forms: tuple[str, ...]
    law: Float[ndarray, "topics words"]


def word_lists(grammar: Grammar) -> dict[str, WordList]:
    """Every WORD LIST that the rules may name, with its law in each topic.

    In a topic-dependent list the word of rank r = 0, 1, ... has a probability proportional to
    favour^[the topic names it] · exp(tilt · u) / (r + 4), with u uniform in [-1, 1] (a tilted Zipf law).
    """
    lists = {}
    for name, text in grammar.fixed_words.items():
        forms, shares = _fixed_law(text)
        lists[name] = WordList(forms, np.tile(shares, (len(grammar.topics), 1)))

    # The standard library promises that random() yields the same numbers in every release; numpy does not.
    uniform = random.Random(grammar.seed).random
    favourites = [set(text.split()) for text in grammar.topics.values()]
    for name, text in {**grammar.nouns, **grammar.verbs, **grammar.words}.items():
        pairs = [word.split("/") for word in text.split()]
        bases = [pair[0] for pair in pairs]
        marked = [pair[1] if len(pair) == 2 else add_s(pair[0]) for pair in pairs]
        weights = np.array(
            [
                [grammar.favour ** (word in words) / (rank + 4) for rank, word in enumerate(bases)]
                for words in favourites
            ]
        )
        weights *= np.exp([[grammar.tilt * (2 * uniform() - 1) for _ in bases] for _ in favourites])
        law = weights / weights.sum(axis=1, keepdims=True)
        if name in grammar.nouns:
            lists |= {f"{name}.one": WordList(tuple(bases), law), f"{name}.many": WordList(tuple(marked), law)}
        elif name in grammar.verbs:
            lists |= {f"{name}.one": WordList(tuple(marked), law), f"{name}.many": WordList(tuple(bases), law)}
        else:
            lists[name] = WordList(tuple(bases), law)
    return lists


def _fixed_law(text: str) -> tuple[tuple[str, ...], Float[ndarray, " words"]]:
    """Read "cake=0.20 sorbet brownie": words without a number share the rest, from 9/8 to 7/8 of an even part."""
    entries = [entry.partition("=") for entry in text.split()]
    named = sum(float(number) for _, _, number in entries if number)
    others = sum(not number for _, _, number in entries)
    parts = iter(np.linspace(9 / 8, 7 / 8, others) * (1 - named) / others if others > 1 else [1 - named])
    return (
        tuple(word for word, _, _ in entries),
        np.array([float(number) if number else next(parts) for _, _, number in entries]),
    )


Ways = list[tuple[float, tuple[str, ...]]]
Todo = tuple[str, ...]


def read_rules(grammar: Grammar) -> dict[str, Ways]:
    """The rules by name, each a list of (share, symbols), written out for every value of every {feature}.

    Raises ValueError if a rule is given twice or its shares do not sum to 100%.
    """
    rules: dict[str, Ways] = {}
    for line in grammar.rules.replace("\\\n", " ").strip().splitlines():
        for text in _each_value(line, grammar.features):
            name, _, body = (part.strip() for part in text.partition("="))
            if not name:
                continue
            ways = []
            for way in body.split("|"):
                first, *rest = way.split()
                share, symbols = (float(first[:-1]) / 100, rest) if first.endswith("%") else (1.0, [first, *rest])
                ways.append((share, () if symbols == ["nothing"] else tuple(symbols)))
            if abs(sum(share for share, _ in ways) - 1) > 1e-9:
                raise ValueError(f"The shares of {name} do not sum to 100%.")
            if name in rules:
                raise ValueError(f"There are two rules for {name}. Write all the ways in one.")
            rules[name] = ways
    return rules


def _each_value(text: str, features: Mapping[str, str]) -> Iterator[str]:
    """The text with each {feature} replaced by each of its values, in all combinations."""
    used = [feature for feature in features if f"{{{feature}}}" in text]
    for values in product(*(features[feature].split() for feature in used)):
        yield text.format(**dict(zip(used, values, strict=True)))


class Arc(NamedTuple):
    """One next word: what it is, its probability in each topic, and what remains to be said after it."""

    word: str
    weight: Float[ndarray, " topics"]
    todo: Todo


class Compiler:
    """Turns rules into arcs. A state is what remains to be said, a row of symbols such as ("<verb.being.one>", ".")."""

    def __init__(self, grammar: Grammar):
        self.lists = word_lists(grammar)
        self.rules = read_rules(grammar)
        self.start = (next(iter(self.rules)),)
        self.sure = np.ones(len(grammar.topics))

    def arcs(self, todo: Todo) -> list[Arc]:
        """The next words of a state. Raises ValueError if one word could lead to two states."""
        if not todo:  # the sentence is over: begin another
            return self.arcs(self.start)
        first, rest = todo[0], todo[1:]
        if first in self.rules:
            ways = ((share, self.arcs(symbols + rest)) for share, symbols in self.rules[first])
            return self._merge(todo, [arc._replace(weight=share * arc.weight) for share, arcs in ways for arc in arcs])
        if first in self.lists:
            forms, law = self.lists[first]
            return [Arc(word, law[:, i], rest) for i, word in enumerate(forms)]
        if first == "a/an":
            # "a" and "an" are as likely as the words that ask for them; the choice is then among those alone.
            return [
                Arc(article, sum((arc.weight for arc in arcs), 0 * self.sure), (sound, *rest))
                for article, sound in (("a", "(consonant)"), ("an", "(vowel)"))
                if (arcs := self._sounding(sound, rest))
            ]
        if first in ("(consonant)", "(vowel)"):
            arcs = self._sounding(first, rest)
            total = sum(arc.weight for arc in arcs)
            return [arc._replace(weight=arc.weight / total) for arc in arcs]
        if first[0] == "<" or first[0].isupper():
            raise ValueError(f"There is no rule or word list {first}, which the state {' '.join(todo)!r} needs.")
        return [Arc(first, self.sure, rest)]

    def _sounding(self, sound: str, todo: Todo) -> list[Arc]:
        return [arc for arc in self.arcs(todo) if starts_with_vowel_sound(arc.word) == (sound == "(vowel)")]

    @staticmethod
    def _merge(todo: Todo, arcs: list[Arc]) -> list[Arc]:
        merged: dict[str, Arc] = {}
        for arc in arcs:
            known = merged.setdefault(arc.word, arc._replace(weight=0 * arc.weight))
            if known.todo != arc.todo:
                raise ValueError(
                    f"In the state {' '.join(todo)!r} the word {arc.word!r} could lead to {' '.join(known.todo)!r} "
                    f"or to {' '.join(arc.todo)!r}. Put off the difference until after the word."
                )
            merged[arc.word] = arc._replace(weight=known.weight + arc.weight)
        return list(merged.values())


@dataclass(frozen=True)
class Automaton:
    """The compiled grammar: arc a leads from state source[a] by the word word[a] to the state target[a].

    In topic z it is taken with probability weight[z, a]; the arcs out of a state sum to 1. State 0 starts a sentence.
    """

    vocab: tuple[str, ...]
    state_names: tuple[str, ...]
    source: Int[ndarray, " arcs"]
    word: Int[ndarray, " arcs"]
    target: Int[ndarray, " arcs"]
    weight: Float[ndarray, "topics arcs"]


def compile_grammar(grammar: Grammar) -> Automaton:
    """Visit every state that can be reached from the start. Raises ValueError if the grammar is not deterministic."""
    compiler = Compiler(grammar)
    words = {word: i for i, word in enumerate(SPECIAL)}
    states: dict[Todo, int] = {compiler.start: 0}
    rows = []
    queue = [compiler.start]
    for todo in queue:  # grows as new states are met
        for arc in compiler.arcs(todo):
            after = arc.todo or compiler.start
            if after not in states:
                states[after] = len(states)
                queue.append(after)
            rows.append((states[todo], words.setdefault(arc.word, len(words)), states[after], arc.weight))
    source, word, target, weight = zip(*rows, strict=True)
    return Automaton(
        vocab=tuple(words),
        state_names=tuple(" ".join(todo) for todo in states),
        source=np.array(source),
        word=np.array(word),
        target=np.array(target),
        weight=np.stack(weight, axis=1),
    )


# -------------------------------------------------------------------------------------------------------- the laws


@dataclass(frozen=True)
class Sample:
    """Documents and what is hidden in them.

    `tokens[:, 0]` is <bos>. `states[:, i]` is the state after `tokens[:, i]`: it decides what tokens[:, i + 1] may be.
    """

    tokens: Int[ndarray, "documents length+1"]
    topics: Int[ndarray, " documents"]
    states: Int[ndarray, "documents length"]


@dataclass(frozen=True)
class Parse:
    """What the tolerant parser found. `errors` marks tokens that cannot stand where they stand.

    `sentences[:, i]` counts the full stops before tokens[:, i]: the number of the sentence that the token belongs to.
    """

    errors: Bool[ndarray, "documents length"]
    sentences: Int[ndarray, "documents length"]

    @property
    def grammatical(self) -> Bool[ndarray, " documents"]:
        """Whether a document is free of errors (its last sentence may be cut short)."""
        return ~self.errors.any(axis=1)

    @property
    def first_error(self) -> Int[ndarray, " documents"]:
        """The position of the first error, or -1 where there is none."""
        return np.where(self.grammatical, -1, self.errors.argmax(axis=1))

    @property
    def sentence_errors(self) -> Int[ndarray, "documents sentences"]:
        """The number of errors in each sentence; -1 where a document has fewer sentences than the longest."""
        documents, n_sentences = len(self.errors), int(self.sentences.max()) + 1
        counts = np.zeros((documents, n_sentences), np.int64)
        np.add.at(counts, (np.arange(documents)[:, None], self.sentences), self.errors)
        counts[np.arange(n_sentences) > self.sentences.max(axis=1, keepdims=True)] = -1
        return counts


class Baseline(NamedTuple):
    """A law that looks at too little, and its cross-entropy in nats per token."""

    law: Float[ndarray, "*previous vocab"]
    cross_entropy: float


@dataclass(frozen=True)
class World:
    """The language and its exact laws. `World()` is always the same one, on every machine.

    Token arrays start with <bos>. With Z the topic (uniform), s_i the state after token i, and w_z(s, x) the
    probability of the word x in the state s and the topic z, a document has the probability
    p(x_1 .. x_t) = mean over z of prod_i w_z(s_(i-1), x_i).
    """

    grammar: Grammar = ENGLISH

    @cached_property
    def automaton(self) -> Automaton:
        """The compiled grammar."""
        return compile_grammar(self.grammar)

    @property
    def vocab(self) -> tuple[str, ...]:
        """The words; the index is the token. 0 is <bos>, 1 is <mask>."""
        return self.automaton.vocab

    @property
    def vocab_size(self) -> int:
        """The number of words, <bos> and <mask> included."""
        return len(self.automaton.vocab)

    @property
    def topics(self) -> tuple[str, ...]:
        """The names of the topics."""
        return tuple(self.grammar.topics)

    @property
    def n_topics(self) -> int:
        """The number of topics."""
        return len(self.grammar.topics)

    @property
    def state_names(self) -> tuple[str, ...]:
        """What remains to be said in each state."""
        return self.automaton.state_names

    @property
    def n_states(self) -> int:
        """The number of states."""
        return len(self.automaton.state_names)

    # --- words and tokens

    @cached_property
    def _token_of(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.vocab)}

    def encode(self, text: str) -> Int[ndarray, " seq"]:
        """The tokens of words that spaces separate, without <bos>. Raises ValueError for an unknown word."""
        for word in text.split():
            if word not in self._token_of:
                raise ValueError(
                    f"{word!r} is not one of the {self.vocab_size} words of this world (see world.vocab). "
                    "Write in lower case and put spaces around every mark, as in 'the dog sleeps .'"
                )
        return np.array([self._token_of[word] for word in text.split()], dtype=np.int64)

    def decode(self, tokens: Int[ndarray, " seq"]) -> str:
        """The words of the tokens, with spaces between them."""
        return " ".join(self.vocab[token] for token in tokens)

    def prompt(self, text: str) -> Int[ndarray, "1 seq"]:
        """<bos> and the tokens of the text, as a batch of one."""
        return np.concatenate([[BOS], self.encode(text)])[None]

    # --- sampling

    @cached_property
    def _arc_at(self) -> Int[ndarray, "states+1 vocab"]:
        """The arc that a word takes from a state. Impossible words take the arc beyond the last, to a trap state."""
        table = np.full((self.n_states + 1, self.vocab_size), len(self.automaton.source))
        table[self.automaton.source, self.automaton.word] = np.arange(len(self.automaton.source))
        return table

    @cached_property
    def _target(self) -> Int[ndarray, "arcs+1"]:
        return np.append(self.automaton.target, self.n_states)

    def sample(self, n: int, length: int = 64, seed: int = 0) -> Sample:
        """Draw n documents of <bos> and `length` tokens.

        Lay the arcs of a topic on a line, each as long as it is probable, in the order of their states: the state s
        owns the piece [s, s + 1). With u uniform in [0, 1), the arc at the point s + u is a fair draw.
        """
        rng = np.random.default_rng(seed)
        automaton, n_arcs = self.automaton, len(self.automaton.source)
        topics = rng.integers(self.n_topics, size=n)
        lines = np.cumsum(automaton.weight, axis=1) + self.n_states * np.arange(self.n_topics)[:, None]
        line = lines.ravel()
        first, last = (np.searchsorted(automaton.source, np.arange(self.n_states), side) for side in ("left", "right"))

        tokens = np.full((n, length + 1), BOS, dtype=np.int64)
        states = np.zeros((n, length), dtype=np.int64)
        state = np.zeros(n, dtype=np.int64)
        for i in range(length):
            states[:, i] = state
            arc = np.searchsorted(line, self.n_states * topics + state + rng.random(n), side="right")
            # The sums are rounded: a point within 1e-12 of a state's border may fall on the other side of it.
            arc = np.clip(arc - n_arcs * topics, first[state], last[state] - 1)
            tokens[:, i + 1] = automaton.word[arc]
            state = automaton.target[arc]
        return Sample(tokens, topics, states)

    # --- the law of the next token

    @cached_property
    def _emission(self) -> Float[ndarray, "states+1 topics vocab"]:
        """w_z(s, x); NaN in the trap state."""
        automaton = self.automaton
        emission = np.zeros((self.n_states + 1, self.n_topics, self.vocab_size))
        emission[automaton.source, :, automaton.word] = automaton.weight.T
        emission[-1] = np.nan
        return emission

    def states(self, tokens: Int[ndarray, "documents seq"]) -> Int[ndarray, "documents seq"]:
        """The state after each token; n_states from the first impossible token on."""
        self._check_bos(tokens)
        states = np.zeros(tokens.shape, dtype=np.int64)
        for i in range(1, tokens.shape[1]):
            states[:, i] = self._target[self._arc_at[states[:, i - 1], tokens[:, i]]]
        return states

    def _check_bos(self, tokens: Int[ndarray, "documents seq"]) -> None:
        if tokens.shape[1] == 0 or (tokens[:, 0] != BOS).any():
            raise ValueError(f"Every row of tokens must start with <bos>, the token {BOS}.")
        if tokens.min() < 0 or tokens.max() >= self.vocab_size:
            raise ValueError(f"Tokens must lie in 0 .. {self.vocab_size - 1}.")

    def _log_joint(
        self, tokens: Int[ndarray, "documents seq"], states: Int[ndarray, "documents seq"]
    ) -> Float[ndarray, "documents seq topics"]:
        """log p(z, x_1 .. x_i) = -log Z + sum over j <= i of log w_z(s_(j-1), x_j); NaN from an impossible token on."""
        with np.errstate(divide="ignore"):
            log_weight = np.append(np.log(self.automaton.weight.T), np.full((1, self.n_topics), np.nan), axis=0)
        steps = np.zeros((*tokens.shape, self.n_topics))
        steps[:, 1:] = log_weight[self._arc_at[states[:, :-1], tokens[:, 1:]]]
        return np.cumsum(steps, axis=1) - np.log(self.n_topics)

    def topic_posterior(self, tokens: Int[ndarray, "documents seq"]) -> Float[ndarray, "documents seq topics"]:
        """p(z | x_1 .. x_i): what the first i tokens say about the topic. NaN from an impossible token on."""
        return _normalised_exp(self._log_joint(tokens, self.states(tokens)))

    def next_token_law(self, tokens: Int[ndarray, "documents seq"]) -> Float[ndarray, "documents seq vocab"]:
        """p(x_(i+1) | x_1 .. x_i) = sum over z of p(z | x_1 .. x_i) w_z(s_i, x_(i+1)).

        Row i is the law of the token after tokens[:, i], as a decoder's logits are. NaN from an impossible token on.
        It takes 8 · vocab_size bytes a position: ask for a few thousand documents at a time, or see `surprisal`.
        """
        states = self.states(tokens)
        posterior = _normalised_exp(self._log_joint(tokens, states)).reshape(-1, self.n_topics)
        # One matrix product a state: the positions in the order of their states, cut where the state changes.
        order = np.argsort(states, axis=None, kind="stable")
        cuts = np.searchsorted(states.ravel()[order], np.arange(1, self.n_states + 1))
        law = np.empty((states.size, self.vocab_size))
        for state, here in enumerate(np.split(order, cuts)):
            law[here] = posterior[here] @ self._emission[state]
        return law.reshape(*tokens.shape, self.vocab_size)

    def law_after(self, text: str) -> Float[ndarray, " vocab"]:
        """The law of the token after <bos> and the text. Raises ValueError if the text is impossible."""
        law = self.next_token_law(self.prompt(text))[0, -1]
        if np.isnan(law).any():
            raise ValueError(f"{text!r} is not the beginning of a document of this world.")
        return law

    def surprisal(self, tokens: Int[ndarray, "documents seq"]) -> Float[ndarray, "documents seq-1"]:
        """-log p(x_i | x_1 .. x_(i-1)) in nats, for every token after <bos>, without the law of the other words.

        An impossible token has inf, those after it NaN.
        """
        log_joint = self._log_joint(tokens, self.states(tokens))
        evidence = _log_sum_exp(log_joint)
        surprisal = evidence[:, :-1] - evidence[:, 1:]
        impossible = np.isnan(evidence)
        surprisal[impossible[:, 1:] & ~impossible[:, :-1]] = np.inf
        return surprisal

    # --- entropy and baselines

    @cached_property
    def _transition(self) -> Float[ndarray, "topics states states"]:
        matrix = np.zeros((self.n_topics, self.n_states, self.n_states))
        np.add.at(matrix, (slice(None), self.automaton.source, self.automaton.target), self.automaton.weight)
        return matrix

    def occupancy(self, length: int = 64) -> Float[ndarray, "topics states"]:
        """The exact mean, over the `length` positions of a document, of p(topic, state before the token)."""
        now = np.zeros((self.n_topics, 1, self.n_states))
        now[:, :, 0] = 1 / self.n_topics
        total = np.zeros_like(now)
        for _ in range(length):
            total += now
            now = now @ self._transition
        return total[:, 0] / length

    def entropy_rate(self, length: int = 64, n: int = 4000, seed: int = 0) -> tuple[float, float]:
        """The floor: H(X_1 .. X_length) / length in nats per token, and its standard error.

        H(X) = H(Z) + H(X | Z) - H(Z | X). The first two are sums over the automaton, H(X | Z) being the sum over the
        positions of the mean entropy of w_z(s, ·). Only the last, the doubt that a whole document leaves about its
        topic, is a mean over n sampled documents; so the standard error is tiny.
        """
        weight = self.automaton.weight
        given_topic = np.sum(self.occupancy(length)[:, self.automaton.source] * weight * -_log_or_zero(weight))
        documents = self.sample(n, length, seed).tokens
        posterior = self.topic_posterior(documents)[:, -1]
        doubt = -np.sum(posterior * _log_or_zero(posterior), axis=1)
        rate = given_topic + (np.log(self.n_topics) - doubt.mean()) / length
        return float(rate), float(doubt.std(ddof=1) / np.sqrt(n) / length)

    def unigram(self, length: int = 64) -> Baseline:
        """The exact share of each word in documents of this length, and its entropy."""
        automaton = self.automaton
        flow = (self.occupancy(length)[:, automaton.source] * automaton.weight).sum(axis=0)
        law = np.bincount(automaton.word, flow, minlength=self.vocab_size)
        return Baseline(law, float(-np.sum(law * _log_or_zero(law))))


# ------------------------------------------------------------------------------------------------ small mathematics


def _log_or_zero(p: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """log p, and 0 where p is 0, so that p log p is right there too."""
    return np.log(p, out=np.zeros_like(p), where=p > 0)


def _log_sum_exp(x: Float[ndarray, "*shape n"]) -> Float[ndarray, "*shape"]:
    """log of the sum over the last axis of exp(x), without overflow."""
    top = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=-1)) + top[..., 0]


def _normalised_exp(x: Float[ndarray, "*shape n"]) -> Float[ndarray, "*shape n"]:
    """exp(x) divided by its sum over the last axis."""
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
