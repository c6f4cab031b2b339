"""A small language whose laws are known exactly.

A document is a row of sentences on one hidden **topic** (farm, kitchen, sea, ...), which tilts the choice of words. The
sentences come from a grammar, compiled to an **automaton**: a state says what remains to be said, and a word leads from
one state to the next. The words so far determine the state, so the topic is all that a reader does not know, and the
law of the next word follows from Bayes' rule. No model can beat that law; its entropy is the **floor** of every loss.

    world = World()
    tokens = world.sample(100, length=64, seed=0).tokens    # [100, 65], <bos> first
    print(world.decode(tokens[0]))
    law = world.next_token_law(tokens)                      # [100, 65, vocab]: law[:, i] is that of tokens[:, i + 1]

Read from top to bottom: the language as data, the compiler, the laws.
"""

import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

# ---------------------------------------------------------------------------------------------------- the language

# A topic favours these words: there, each weighs `favour` times (8 times) what its rank in its list gives it.
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
#
# What a later word must agree with is part of a rule's name: after "the dogs near a barn" the rest of the sentence is
# <verb.being.many>, however long the phrase between. The label of a review is certain where all its clues agree; after
# "but", and after a denial such as "not awful", the milder reading has 75%.
RULES = """
<sentence> = 91% <clause> . | 3% <dessert> . | 3% classify this review : <review> . | 3% question : <question> .

<clause>        = 50% the <subject.any> | 28% a/an <subject.one> | 22% some <subject.many>
<subject.{any}> = 65% <head.{any}> | 35% ADJECTIVE <head.{any}>
<head.any>      = 60% <head.one> | 40% <head.many>
<head.{number}> = 65% BEING.{number} <predicate.being.{number}> | 35% THING.{number} <predicate.thing.{number}>
<predicate.{kind}.{number}> = 70% <verb.{kind}.{number}> | 30% PREPOSITION <phrase> <verb.{kind}.{number}>
<verb.{kind}.{number}>      = 40% REST.{kind}.{number} <manner> | 60% ACT.{kind}.{number} <phrase> <more>
<manner>        = 60% nothing | 40% ADVERB
<more>          = 85% nothing | 15% and <phrase>

<phrase>        = 50% the <named.any> | 28% a/an <named.one> | 22% some <named.many>
<named.{any}>   = 70% <noun.{any}> | 30% ADJECTIVE <noun.{any}>
<noun.any>      = 60% <noun.one> | 40% <noun.many>
<noun.{number}> = 65% BEING.{number} | 35% THING.{number}

<dessert>       = for dessert we had the DESSERT

<review>        = 60% i <feeling> | 40% this <judged>
<feeling>       = 45% LOVED this <item.praise> | 35% HATED this <item.blame> | 20% do not like this <item.blame>
<item.{tone}>   = 50% movie <detail.movie.{tone}> | 50% chair <detail.chair.{tone}>
<detail.{item}.praise> = 60% <label.praise>
                       | 20% and <part.{item}.praise> <label.praise>
                       | 20% but <part.{item}.blame> <label.praise.but>
<detail.{item}.blame>  = 60% <label.blame>
                       | 20% and <part.{item}.blame> <label.blame>
                       | 20% but <part.{item}.praise> <label.blame.but>
<part.{item}.praise>   = the PART.{item} was PRAISE.{item}
<part.{item}.blame>    = the PART.{item} was BLAME.{item}
<judged>        = 50% movie was <verdict.movie> | 50% chair was <verdict.chair>
<verdict.{item}>       = 40% PRAISE.{item} <label.praise> | 30% BLAME.{item} <label.blame> | 30% not <denied.{item}>
<denied.{item}>        = 60% PRAISE.{item} <label.blame> | 40% BLAME.{item} <label.not.blame>
<label.praise>         = ! sentiment : positive
<label.blame>          = ! sentiment : negative
<label.praise.but>     = ! sentiment : <mostly.positive>
<label.blame.but>      = ! sentiment : <mostly.negative>
<label.not.blame>      = ! sentiment : <mostly.positive>
<mostly.positive>      = 75% positive | 25% negative
<mostly.negative>      = 75% negative | 25% positive

<question>      = 50% where is <moon> | 50% what is the <most>
<moon>          = 55% MOON.jupiter <place.jupiter> | 15% MOON.saturn <place.saturn>
                | 15% MOON.neptune <place.neptune> | 15% mars <place.mars>
<place.{planet}>       = ? answer : it is <whereabouts.{planet}>
<place.mars>           = ? answer : it is inside the orbit of jupiter
<whereabouts.{planet}> = 70% a moon of {planet} | 30% inside the orbit of {planet}
<most>          = 60% largest <largest> | 20% red planet <answer.mars> | 20% hottest planet <answer.venus>
<largest>       = 60% moon <answer.ganymede> | 40% planet <answer.jupiter>
<answer.{body}> = ? answer : {body}
"""

# Words whose sound their first letter does not tell: an honest cook, a useful book.
SILENT_H = {"honest"}
SOUNDS_LIKE_YOU = {"useful"}

CHUNK = 100  # documents whose laws are held in memory together: 15 MB at 64 tokens
BOS, MASK = 0, 1
SPECIAL = ("<bos>", "<mask>")


@dataclass(frozen=True)
class Grammar:
    """A language as data; the constants above show the notation of each field.

    The first rule is that of a sentence. `favour` is the weight of a topic's own words against the others, `tilt` the
    size of a further random preference of each topic for each word, drawn from `seed` (0: none).
    """

    topics: Mapping[str, str]
    rules: str
    nouns: Mapping[str, str] = field(default_factory=dict)
    verbs: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    fixed_words: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
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

# A language of 40 words and two topics, which a model of some thousand weights learns within seconds.
LAND_AND_SEA = Grammar(
    topics={"land": "dog horse barn tree eat see", "sea": "whale sailor boat rope float watch"},
    nouns={"NOUN": "dog horse barn tree whale sailor boat rope"},
    verbs={"REST": "sleep float fall eat", "ACT": "see carry watch"},
    words={"ADJECTIVE": "old small red green", "PREPOSITION": "near behind"},
    features={"number": "one many"},
    rules="""
<sentence> = 50% the <subject.any> | 25% this <subject.one> | 25% some <subject.many>
<subject.any> = 60% <head> | 40% ADJECTIVE <head>
<head> = 50% NOUN.one <predicate.one> | 50% NOUN.many <predicate.many>
<subject.{number}> = 60% NOUN.{number} <predicate.{number}> | 40% ADJECTIVE NOUN.{number} <predicate.{number}>
<predicate.{number}> = 60% <verb.{number}> | 40% PREPOSITION <phrase> <verb.{number}>
<verb.{number}> = 50% REST.{number} . | 50% ACT.{number} <phrase> .
<phrase> = 50% the <noun> | 25% this NOUN.one | 25% some NOUN.many
<noun> = 50% NOUN.one | 50% NOUN.many
""",
)


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
    """Every WORD LIST that the rules may name, with its law in each topic."""
    # The standard library promises the same random() in every release; numpy does not promise as much.
    uniform = random.Random(grammar.seed).random
    plain, with_s = {}, {}
    for name, text in {**grammar.nouns, **grammar.verbs, **grammar.words}.items():
        pairs = [entry.split("/") for entry in text.split()]
        bases = tuple(pair[0] for pair in pairs)
        law = tilted_law(bases, grammar, uniform)
        plain[name] = WordList(bases, law)
        with_s[name] = WordList(tuple(pair[1] if pair[1:] else add_s(pair[0]) for pair in pairs), law)

    lists = {name: plain[name] for name in grammar.words}
    for name in grammar.nouns:
        lists |= {f"{name}.one": plain[name], f"{name}.many": with_s[name]}
    for name in grammar.verbs:
        lists |= {f"{name}.one": with_s[name], f"{name}.many": plain[name]}
    for name, text in grammar.fixed_words.items():
        forms, law = fixed_law(text)
        lists[name] = WordList(forms, np.tile(law, (len(grammar.topics), 1)))
    return lists


def tilted_law(
    words: tuple[str, ...], grammar: Grammar, uniform: Callable[[], float]
) -> Float[ndarray, "topics words"]:
    """A tilted Zipf law: p_z(word of rank r) ∝ favour^[topic z names the word] · exp(tilt · u) / (r + 4).

    The rank r counts from 0; u is uniform in [-1, 1], drawn afresh for each word and topic.
    """
    named = np.array([[word in text.split() for word in words] for text in grammar.topics.values()])
    noise = np.array([[2 * uniform() - 1 for _ in words] for _ in grammar.topics])
    weight = grammar.favour**named * np.exp(grammar.tilt * noise) / (np.arange(len(words)) + 4)
    return weight / weight.sum(axis=1, keepdims=True)


def fixed_law(text: str) -> tuple[tuple[str, ...], Float[ndarray, " words"]]:
    """Read "cake=0.20 sorbet brownie": words without a number share the rest, from 9/8 to 7/8 of an even part.

    Raises ValueError if the numbers leave nothing for the others, or do not sum to 1 where there are no others.
    """
    entries = [entry.partition("=") for entry in text.split()]
    law = np.array([float(number) if number else np.nan for _, _, number in entries])
    unnamed = np.isnan(law)
    rest = 1 - law[~unnamed].sum()
    if unnamed.any():
        slope = np.linspace(9 / 8, 7 / 8, unnamed.sum())
        law[unnamed] = rest * slope / slope.sum()
    if (law <= 0).any() or abs(law.sum() - 1) > 1e-9:
        raise ValueError(f"The probabilities in {text!r} must be positive and sum to 1.")
    return tuple(word for word, _, _ in entries), law


Todo = tuple[str, ...]  # symbols that remain to be said
Ways = list[tuple[float, Todo]]


def read_rules(grammar: Grammar) -> dict[str, Ways]:
    """The rules by name, each a list of (share, symbols), written out for every value of every {feature}.

    Raises ValueError if a rule is given twice, or if its shares are not positive or do not sum to 100%.
    """
    rules: dict[str, Ways] = {}
    text = re.sub(r"\n *\|", " |", grammar.rules)  # a line that starts with a bar goes on
    for line in filter(None, text.splitlines()):
        for rule in _each_value(line, grammar.features):
            name, _, body = rule.partition("=")
            name = name.strip()
            if name in rules:
                raise ValueError(f"There are two rules for {name}. Write all the ways in one.")
            rules[name] = [_read_way(way) for way in body.split("|")]
            shares = [share for share, _ in rules[name]]
            if min(shares) <= 0 or abs(sum(shares) - 1) > 1e-9:
                raise ValueError(f"The shares of {name} must be positive and sum to 100%.")
    return rules


def _read_way(way: str) -> tuple[float, Todo]:
    """Read "28% a/an <subject.one>"; without a share it is 100%."""
    first, *rest = way.split()
    share, symbols = (float(first[:-1]) / 100, rest) if first.endswith("%") else (1.0, [first, *rest])
    return share, () if symbols == ["nothing"] else tuple(symbols)


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
        self.start: Todo = (next(iter(self.rules)),)
        self.sure = np.ones(len(grammar.topics))

    def arcs(self, todo: Todo) -> list[Arc]:
        """The next words of a state: those of its first symbol, each with what then remains.

        Raises ValueError if one word could lead to two states: the words so far must always tell the state.
        """
        if len(todo) > 100:
            raise ValueError(f"The state {' '.join(todo[:5])!r} ... never ends. Does a rule contain itself?")
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
                Arc(article, np.sum([arc.weight for arc in arcs], axis=0), (sound, *rest))
                for article, sound in (("a", "(consonant)"), ("an", "(vowel)"))
                if (arcs := self._sounding(sound, rest))
            ]
        if first in ("(consonant)", "(vowel)"):
            arcs = self._sounding(first, rest)
            total = np.sum([arc.weight for arc in arcs], axis=0)
            return [arc._replace(weight=arc.weight / total) for arc in arcs]
        if first[0] == "<" or first[0].isupper():
            raise ValueError(f"There is no rule or word list {first}, which the state {' '.join(todo)!r} needs.")
        return [Arc(first, self.sure, rest)]

    def _sounding(self, sound: str, todo: Todo) -> list[Arc]:
        """The arcs whose word starts with this sound."""
        return [arc for arc in self.arcs(todo) if starts_with_vowel_sound(arc.word) == (sound == "(vowel)")]

    @staticmethod
    def _merge(todo: Todo, arcs: list[Arc]) -> list[Arc]:
        """Add up the arcs of each word, which several ways of a rule may share."""
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
    states = {compiler.start: 0}
    rows = []
    queue: list[Todo] = [compiler.start]
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

    tokens: Int[ndarray, "documents seq"]
    topics: Int[ndarray, " documents"]
    states: Int[ndarray, "documents seq-1"]


@dataclass(frozen=True)
class Parse:
    """What the tolerant parser found. `errors` marks tokens that cannot stand where they stand.

    `sentences[:, i]` counts the full stops before tokens[:, i]: the number of the sentence that the token belongs to.
    """

    errors: Bool[ndarray, "documents seq"]
    sentences: Int[ndarray, "documents seq"]

    @property
    def grammatical(self) -> Bool[ndarray, " documents"]:
        """Whether a document is free of errors (its last sentence may be cut short)."""
        return np.all(~self.errors, axis=1)

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

    def decode(self, tokens: Iterable[SupportsIndex]) -> str:
        """The words of the tokens (an array, a tensor or a list of one axis), with spaces between them."""
        return " ".join(self.vocab[token] for token in tokens)

    def prompt(self, text: str) -> Int[ndarray, "1 seq"]:
        """<bos> and the tokens of the text, as a batch of one."""
        return np.concatenate([[BOS], self.encode(text)])[None]

    @property
    def stop(self) -> int:
        """The token of the full stop, which ends every sentence and stands nowhere else."""
        return self._token_of["."]

    def tokens_of(self, word_list: str) -> Int[ndarray, " words"]:
        """The tokens of a word list, such as "BEING.many" or "DESSERT". Raises ValueError if there is no such list."""
        lists = word_lists(self.grammar)
        if word_list not in lists:
            raise ValueError(f"There is no word list {word_list!r}. There are {', '.join(lists)}.")
        return self.encode(" ".join(lists[word_list].forms))

    # --- sampling

    @cached_property
    def _arc_at(self) -> Int[ndarray, "states_and_trap vocab"]:
        """The arc that a word takes from a state. Impossible words take the arc beyond the last, to a trap state."""
        table = np.full((self.n_states + 1, self.vocab_size), len(self.automaton.source))
        table[self.automaton.source, self.automaton.word] = np.arange(len(self.automaton.source))
        return table

    @cached_property
    def _target(self) -> Int[ndarray, " arcs_and_trap"]:
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
    def _emission(self) -> Float[ndarray, "states_and_trap topics vocab"]:
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
        if ((tokens < 0) | (tokens >= self.vocab_size)).any():
            raise ValueError(f"Tokens must lie in 0 .. {self.vocab_size - 1}.")

    def _log_joint(
        self, tokens: Int[ndarray, "documents seq"], states: Int[ndarray, "documents seq"]
    ) -> Float[ndarray, "documents seq topics"]:
        """log p(z, x_1 .. x_i) = -log Z + sum over j <= i of log w_z(s_(j-1), x_j); NaN from an impossible token on."""
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

    def divergence(
        self, tokens: Int[ndarray, "documents seq"], logits: Float[ndarray, "documents seq vocab"]
    ) -> Float[ndarray, "documents seq"]:
        """KL(law || model) in nats after each token: what the model's next-token law, softmax(logits), loses.

        Its mean is the model's loss minus the floor, with far less noise than the difference of the two.
        """
        divergence = np.empty(tokens.shape)
        for i in range(0, len(tokens), CHUNK):
            law = self.next_token_law(tokens[i : i + CHUNK])
            scores = logits[i : i + CHUNK].astype(np.float64)
            with np.errstate(invalid="ignore"):  # 0 · inf, where both law and model exclude a word
                loss = law * (_log_or_zero(law) - scores + _log_sum_exp(scores)[..., None])
            divergence[i : i + CHUNK] = loss.sum(axis=-1, where=law != 0)
        return divergence

    # --- entropy and baselines

    @cached_property
    def _transition(self) -> Float[ndarray, "topics states states"]:
        """The probability of each next state, whatever the word."""
        automaton, shape = self.automaton, (self.n_states, self.n_states)
        pair = np.ravel_multi_index((automaton.source, automaton.target), shape)
        return np.stack([np.bincount(pair, row, self.n_states**2).reshape(shape) for row in automaton.weight])

    def visits(self, length: int = 64) -> Float[ndarray, "topics states"]:
        """The expected number of tokens, out of a document's `length`, before which it has the topic and the state."""
        now = np.zeros((self.n_topics, 1, self.n_states))
        now[:, :, 0] = 1 / self.n_topics
        visits = np.zeros_like(now)
        for _ in range(length):
            visits += now
            now = now @ self._transition
        return visits[:, 0]

    def entropy_rate(self, length: int = 64, n: int = 4000, seed: int = 0) -> tuple[float, float]:
        """The floor: H(X_1 .. X_length) / length in nats per token, and its standard error.

        H(X) = H(Z) + H(X | Z) - H(Z | X). The first two are sums over the automaton, H(X | Z) being the sum, over the
        states that a document visits, of the entropy of w_z(s, ·). Only the last, the doubt about the topic that
        remains after a document, is a mean over n sampled documents; so the standard error is tiny.
        """
        weight = self.automaton.weight
        given_topic = -np.sum(self.visits(length)[:, self.automaton.source] * weight * np.log(weight))
        documents = self.sample(n, length, seed).tokens
        posterior = self.topic_posterior(documents)[:, -1]
        doubt = -np.sum(posterior * _log_or_zero(posterior), axis=1)
        rate = (np.log(self.n_topics) + given_topic - doubt.mean()) / length
        return float(rate), float(doubt.std(ddof=1) / np.sqrt(n) / length)

    def unigram(self, length: int = 64) -> Baseline:
        """The exact share of each word in documents of this length, and its entropy."""
        automaton = self.automaton
        taken = self.visits(length)[:, automaton.source] * automaton.weight
        law = np.bincount(automaton.word, taken.sum(axis=0), minlength=self.vocab_size) / length
        return Baseline(law, float(-np.sum(law * _log_or_zero(law))))

    def bigram(self, length: int = 64) -> Baseline:
        """The exact law of a word given the one before, and its cross-entropy in documents of this length.

        The expected number of pairs (u, v) in a document is the sum, over topics z and states s, of the number of times
        that u leads to s, times w_z(s, v). A row of pairs, divided by its sum, is a law. A word that nothing follows
        gets the unigram law.
        """
        automaton = self.automaton
        taken = self.visits(length - 1)[:, automaton.source] * automaton.weight
        led = np.zeros((self.vocab_size, self.n_states, self.n_topics))
        np.add.at(led, (automaton.word, automaton.target), taken.T)
        led[BOS, 0] = 1 / self.n_topics
        pairs = np.tensordot(led, self._emission[:-1], axes=((1, 2), (0, 1)))
        total = pairs.sum(axis=1, keepdims=True)
        law = np.where(total > 0, pairs / np.where(total > 0, total, 1), self.unigram(length).law)
        return Baseline(law, float(-np.sum(pairs * _log_or_zero(law)) / length))

    # --- the law of a hidden token

    def masked_token_law(
        self, tokens: Int[ndarray, "documents seq"], mask: Bool[ndarray, "documents seq"]
    ) -> Float[ndarray, "masked vocab"]:
        """The law of every token under the mask, given all tokens that are not; in the order of tokens[mask].

        The forward-backward algorithm [rabiner1989tutorial]. With s·v the state to which the word v leads from s, and
        with every sum over v taken over the seen word alone where there is one,

            forward    a_1(z, s) = [s = 0] / Z     a_(i+1)(z, s') = sum over s·v = s' of a_i(z, s) w_z(s, v)
            backward   b_(T+1)(z, s) = 1           b_i(z, s) = sum over v of w_z(s, v) b_(i+1)(z, s·v)
            law        p(x_i = v | seen) ∝ sum over z and s of a_i(z, s) w_z(s, v) b_(i+1)(z, s·v)

        The tokens under the mask are not looked at. The rows of a document are NaN if its seen tokens are impossible.
        A masked token takes 12 kB: give a few hundred documents at a time. Raises ValueError if <bos> is masked.
        """
        self._check_bos(tokens)
        if mask.shape != tokens.shape or mask[:, 0].any():
            raise ValueError("The mask must have the shape of the tokens, and <bos> cannot be masked.")
        length = tokens.shape[1]
        forward = np.zeros((self.n_topics, len(tokens), self.n_states))
        forward[:, :, 0] = 1 / self.n_topics
        before_masked = []
        for i in range(1, length):
            hidden = mask[:, i]
            before_masked.append(forward[:, hidden])
            following = np.empty_like(forward)
            following[:, hidden] = forward[:, hidden] @ self._transition
            following[:, ~hidden] = self._push(forward[:, ~hidden], tokens[~hidden, i])
            forward = _scaled(following)

        row = mask.cumsum().reshape(mask.shape) - 1
        law = np.empty((int(mask.sum()), self.vocab_size))
        backward = np.ones_like(forward)
        for i in range(length - 1, 0, -1):
            hidden = mask[:, i]
            law[row[hidden, i]] = self._between(before_masked[i - 1], backward[:, hidden])
            preceding = np.empty_like(backward)
            preceding[:, hidden] = backward[:, hidden] @ self._transition.transpose(0, 2, 1)
            preceding[:, ~hidden] = self._pull(backward[:, ~hidden], tokens[~hidden, i])
            backward = _scaled(preceding)
        return law

    def _push(
        self, forward: Float[ndarray, "topics documents states"], token: Int[ndarray, " documents"]
    ) -> Float[ndarray, "topics documents states"]:
        """Carry the forward message over a seen token: each state's part moves along the arc of that word, if any."""
        arc = self._arc_at[:-1, token].T
        part = forward * self._weight_or_zero[:, arc]
        moved = np.zeros((*part.shape[:2], self.n_states + 1))
        topic, document, _ = np.ogrid[: part.shape[0], : part.shape[1], :1]
        np.add.at(moved, (topic, document, self._target[arc]), part)
        return moved[..., :-1]

    def _pull(
        self, backward: Float[ndarray, "topics documents states"], token: Int[ndarray, " documents"]
    ) -> Float[ndarray, "topics documents states"]:
        """Carry the backward message over a seen token: each state looks where the arc of that word leads."""
        arc = self._arc_at[:-1, token].T
        target = np.minimum(self._target[arc], self.n_states - 1)  # the trap's weight is 0, so any state will do
        return self._weight_or_zero[:, arc] * np.take_along_axis(backward, target[None], axis=2)

    def _between(
        self,
        forward: Float[ndarray, "topics documents states"],
        backward: Float[ndarray, "topics documents states"],
    ) -> Float[ndarray, "documents vocab"]:
        """The law of a hidden token from the messages before and after it: sum over topics and over a word's arcs."""
        automaton = self.automaton
        joint = np.zeros((forward.shape[1], len(automaton.source)))
        for topic in range(self.n_topics):
            before, after = forward[topic][:, automaton.source], backward[topic][:, automaton.target]
            joint += before * automaton.weight[topic] * after
        order = np.argsort(automaton.word, kind="stable")
        words, starts = np.unique(automaton.word[order], return_index=True)
        law = np.zeros((len(joint), self.vocab_size))
        law[:, words] = np.add.reduceat(joint[:, order], starts, axis=1)
        return _scaled(law[None])[0]

    @cached_property
    def _weight_or_zero(self) -> Float[ndarray, "topics arcs_and_trap"]:
        """The weight of every arc, and 0 for the arc to the trap."""
        return np.pad(self.automaton.weight, ((0, 0), (0, 1)))

    # --- grammar

    def parse(self, tokens: Int[ndarray, "documents seq"]) -> Parse:
        """Find the tokens that cannot stand where they stand, and read on after each.

        The parser keeps the set of states that the document may be in. A token that none of them allows is an error.
        After it the set holds every state that one slip explains: the token replaced another word, was put in, or was
        reached by leaving words out. (To begin anew at the start of a sentence would report errors that are not there.)
        """
        self._check_bos(tokens)
        following = self._target[self._arc_at]
        anywhere = np.zeros((self.vocab_size, self.n_states + 1), dtype=bool)  # states to which a word may lead
        anywhere[self.automaton.word, self.automaton.target] = True
        onward = np.zeros((self.n_states + 1, self.n_states + 1), dtype=bool)  # states one word further
        onward[self.automaton.source, self.automaton.target] = True

        errors = np.zeros(tokens.shape, dtype=bool)
        possible = np.zeros((len(tokens), self.n_states + 1), dtype=bool)
        possible[:, 0] = True
        for i in range(1, tokens.shape[1]):
            document, state = np.nonzero(possible)
            after = np.zeros_like(possible)
            after[document, following[state, tokens[document, i]]] = True
            after[:, -1] = False  # the trap
            wrong = ~after.any(axis=1)
            replaced, put_in, left_out = possible[wrong] @ onward, possible[wrong], anywhere[tokens[wrong, i]]
            after[wrong] = replaced | put_in | left_out
            errors[:, i] = wrong
            possible = after

        stops = tokens == self.stop
        return Parse(errors, sentences=np.cumsum(stops, axis=1) - stops)

    def is_grammatical(self, tokens: Int[ndarray, "documents seq"]) -> Bool[ndarray, " documents"]:
        """Whether the language could have said this; the last sentence may be cut short."""
        return self.parse(tokens).grammatical


# ------------------------------------------------------------------------------------------------ small mathematics


def _log_or_zero(p: Float[ndarray, "*shape"]) -> Float[ndarray, "*shape"]:
    """log p, and 0 where p is 0, so that p log p is right there too."""
    return np.log(p, out=np.zeros_like(p), where=p > 0)


def _log_sum_exp(x: Float[ndarray, "*shape n"]) -> Float[ndarray, "*shape"]:
    """log of the sum over the last axis of exp(x), without overflow."""
    top = x.max(axis=-1, keepdims=True)
    return np.log(np.exp(x - top).sum(axis=-1)) + top[..., 0]


def _scaled(x: Float[ndarray, "a b c"]) -> Float[ndarray, "a b c"]:
    """x divided by its sum over the first and the last axis; NaN where that is 0."""
    with np.errstate(invalid="ignore"):
        return x / x.sum(axis=(0, 2), keepdims=True)


def _normalised_exp(x: Float[ndarray, "*shape n"]) -> Float[ndarray, "*shape n"]:
    """exp(x) divided by its sum over the last axis."""
    p = np.exp(x - x.max(axis=-1, keepdims=True))
    return p / p.sum(axis=-1, keepdims=True)
