"""A mixture of tasks in which it is known what an instruction is worth and what an example is worth.

A prompt is an instruction of two words and then reviews of one word, each with its label:

    rate films superb fig dull oak great fig

Every instruction has a label of its own for praise and one for blame, drawn at random, so nothing in its words tells
which. Whoever has learned this instruction needs no example. Whoever has not can read the labels off the examples, and
how well that can go is a sum over the 240 pairs of labels: `bayes_law`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn
from torch.nn import functional as F

_WORDS = {
    "verbs": "rate mark judge label sort grade tag class rank score weigh code file group sift flag "
    "note list log map name sign stamp chart scan check test read try taste price praise",
    "objects": "films chairs books songs lamps shoes plays games tools cars boats pens hats coats desks beds "
    "cups bowls forks soups cakes wines teas breads jams farms parks trains hotels shops schools phones",
    "labels": "fig oak elm ash yew fir pine palm rose lily fern moss reed iris sage mint",
    "praise": "superb great lovely fine splendid charming brilliant perfect pleasant neat sweet bright",
    "blame": "dull awful ugly poor dreadful boring terrible clumsy nasty weak bitter gloomy",
    "neutral": "n/a average",
}
VERBS, OBJECTS, LABELS, PRAISE, BLAME, NEUTRAL = (tuple(words.split()) for words in _WORDS.values())

SEEN = 700  # instructions that training shows; the rest of the 32 x 32 are never seen
FREQUENT, MIDDLE, RARE = range(16), range(16, 64), range(64, SEEN)
NEVER = range(SEEN, len(VERBS) * len(OBJECTS))
GROUPS = {"frequent": FREQUENT, "middle": MIDDLE, "rare": RARE, "never": NEVER}


@dataclass(frozen=True)
class Prompts:
    """Prompts of one length.

    tokens: the instruction, then a review word and its label, `shots + 1` times; the last pair is the query's.
    tones: of each review word, 0 for praise, 1 for blame, 2 for neutral.
    tasks: the number of the instruction, 0 for the most frequent.
    """

    tokens: Int[Tensor, "prompts seq"]
    tones: Int[Tensor, "prompts reviews"]
    tasks: Int[Tensor, " prompts"]


@dataclass(frozen=True)
class TaskMixture:
    """The instructions, what they mean, and how often they are drawn. The seed draws the meanings.

    The instruction number i is drawn in proportion to 1 / (i + 8): a few are common and most are rare.
    """

    seed: int = 0

    @cached_property
    def vocab(self) -> tuple[str, ...]:
        """All words, by their tokens."""
        return (*VERBS, *OBJECTS, *LABELS, *PRAISE, *BLAME, *NEUTRAL)

    @cached_property
    def _token_of(self) -> dict[str, int]:
        return {word: token for token, word in enumerate(self.vocab)}

    @property
    def vocab_size(self) -> int:
        """The number of words."""
        return len(self.vocab)

    @cached_property
    def label_tokens(self) -> range:
        """The tokens of the labels."""
        first = self._token_of[LABELS[0]]
        return range(first, first + len(LABELS))

    @cached_property
    def _drawn(self) -> tuple[Int[ndarray, "tasks 2"], Int[ndarray, "tasks 2"]]:
        rng = np.random.default_rng(self.seed)
        order = rng.permutation(len(VERBS) * len(OBJECTS))
        words = np.stack([order // len(OBJECTS), len(VERBS) + order % len(OBJECTS)], axis=1)
        first = rng.integers(len(LABELS), size=len(order))
        second = (first + rng.integers(1, len(LABELS), size=len(order))) % len(LABELS)
        return words, self.label_tokens[0] + np.stack([first, second], axis=1)

    @property
    def instructions(self) -> Int[ndarray, "tasks 2"]:
        """The two tokens of each instruction."""
        return self._drawn[0]

    @property
    def labels(self) -> Int[ndarray, "tasks 2"]:
        """The labels that each instruction means, for praise and for blame."""
        return self._drawn[1]

    @cached_property
    def law(self) -> Float[ndarray, " seen"]:
        """How probable each of the `SEEN` instructions is in training."""
        weight = 1 / (np.arange(SEEN) + 8)
        return weight / weight.sum()

    @cached_property
    def dictionary(self) -> tuple[str, ...]:
        """A line for each instruction, with its two labels: what there is to be learned by heart."""
        rows = np.concatenate([self.instructions, self.labels], axis=1)
        return tuple(self.decode(row) for row in rows)

    def encode(self, text: str) -> Int[Tensor, " seq"]:
        """The tokens of a text, its words separated by white space. Raises ValueError for a word it does not have."""
        for word in text.split():
            if word not in self._token_of:
                raise ValueError(f"{word!r} is not one of the {self.vocab_size} words of this mixture.")
        return torch.tensor([self._token_of[word] for word in text.split()], dtype=torch.long)

    def decode(self, tokens: Tensor | ndarray | Sequence[int]) -> str:
        """The words of some tokens."""
        return " ".join(self.vocab[int(token)] for token in tokens)

    def sample(
        self,
        n: int,
        seed: int,
        *,
        shots: int = 8,
        tasks: Sequence[int] | None = None,
        neutral: bool = False,
        noise: float = 0.0,
    ) -> Prompts:
        """Draw n prompts with `shots` examples and a query.

        Without `tasks` the instructions are drawn by `law`, else evenly from these numbers. Review words are drawn
        evenly from those for praise and for blame; with `neutral` also from the two neutral ones, whose label is one of
        the instruction's two by a fair coin. With `noise`, that share of the labels is replaced by a label drawn evenly
        from all 16.
        """
        rng = np.random.default_rng(seed)
        drawn = rng.choice(SEEN, size=n, p=self.law) if tasks is None else rng.choice(np.asarray(tasks), size=n)
        word = rng.integers(len(PRAISE) + len(BLAME) + neutral * len(NEUTRAL), size=(n, shots + 1))
        tone = (word >= len(PRAISE)).astype(np.int64) + (word >= len(PRAISE) + len(BLAME))
        coin = rng.integers(2, size=tone.shape)
        label = np.take_along_axis(self.labels[drawn], np.where(tone == 2, coin, tone), axis=1)
        replaced = rng.random(tone.shape) < noise
        label = np.where(replaced, rng.choice(self.label_tokens, size=tone.shape), label)
        pairs = np.stack([self._token_of[PRAISE[0]] + word, label], axis=2).reshape(n, -1)
        tokens = np.concatenate([self.instructions[drawn], pairs], axis=1)
        return Prompts(*map(torch.from_numpy, (tokens, tone, drawn)))

    def relabelled(self, prompts: Prompts, how: str, seed: int = 0) -> Int[Tensor, "prompts seq"]:
        """The same prompts with other labels, that of the query too.

        "swapped" labels praise as the instruction labels blame, and blame as praise; "random" draws each label evenly
        from all 16; "right" gives the labels that the instruction means. There must be no neutral words.
        Raises ValueError for another word.
        """
        if how not in ("right", "swapped", "random"):
            raise ValueError(f"how is {how!r}; give 'right', 'swapped' or 'random'.")
        tokens = prompts.tokens.clone()
        if how == "random":
            generator = torch.Generator().manual_seed(seed)
            drawn = torch.randint(len(LABELS), prompts.tones.shape, generator=generator)
            tokens[:, 3::2] = self.label_tokens[0] + drawn
        else:
            meant = torch.from_numpy(self.labels)[prompts.tasks]
            tokens[:, 3::2] = meant.gather(1, 1 - prompts.tones if how == "swapped" else prompts.tones)
        return tokens


def bayes_law(
    tones: Int[Tensor, "prompts reviews"], labels: Int[Tensor, "prompts reviews"], *, noise: float = 0.0
) -> Float[Tensor, "prompts reviews labels"]:
    """The exact law of each label given the reviews and labels before it, for a reader who cannot use the instruction.

    `tones` are 0 for praise, 1 for blame, 2 for neutral, and `labels` are counted from 0. Before any example each of
    the 240 ordered pairs of two different labels is equally likely. An example keeps the pairs that agree with it; a
    neutral one agrees half with a pair that has its label. With `noise`, that share of all labels says nothing.

    Raises ValueError if a label contradicts the ones before it, which can be only with noise.
    """
    n = len(LABELS)
    pairs = torch.cartesian_prod(torch.arange(n), torch.arange(n))
    means = F.one_hot(pairs[pairs[:, 0] != pairs[:, 1]], n).double()  # [pairs, 2, labels]: for praise and for blame
    means = torch.cat([means, means.mean(dim=1, keepdim=True)], dim=1)  # and for a neutral word
    means = (1 - noise) * means + noise / n  # [pairs, tones, labels]
    likelihood = means[:, tones, labels]  # [pairs, prompts, reviews]
    before = torch.cat([torch.ones_like(likelihood[..., :1]), likelihood.cumprod(dim=-1)[..., :-1]], dim=-1)
    total = before.sum(dim=0)
    if (total == 0).any():
        raise ValueError("A label contradicts the ones before it, and without noise no instruction gives such labels.")
    law = torch.einsum("pnr,ptl->nrtl", before / total, means)  # for each tone that the review could have
    return law.gather(2, tones[..., None, None].expand(*tones.shape, 1, n))[:, :, 0]


def bayes_accuracy(law: Float[Tensor, "*batch labels"], labels: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """How often the most probable label is the right one, where ties are broken evenly: 1, 0, or 1 / (labels tied)."""
    best = law >= law.amax(-1, keepdim=True) - 1e-9
    return best.gather(-1, labels[..., None])[..., 0].double() / best.sum(-1)


def label_logits(model: nn.Module, tokens: Int[Tensor, "prompts seq"]) -> Float[Tensor, "prompts reviews vocab"]:
    """The model's logits at the review words of the prompts: what it says before it sees their labels."""
    return model(tokens[:, :-1])[:, 2::2]


def label_loss(model: nn.Module, tokens: Int[Tensor, "prompts seq"]) -> Float[Tensor, ""]:
    """Mean cross-entropy of all labels of the prompts, in nats: one prompt teaches every number of examples."""
    return F.cross_entropy(label_logits(model, tokens).flatten(0, 1), tokens[:, 3::2].flatten())


@torch.no_grad()
def hits(
    model: nn.Module, tokens: Int[Tensor, "prompts seq"], right: Int[Tensor, "prompts seq"] | None = None
) -> Float[Tensor, "prompts reviews"]:
    """1 where the model's most probable word is the label, else 0. In column k, from 0, it has seen k examples.

    With `right`, the labels in `tokens` are what the model is shown, and those in `right` are what it is graded by.
    """
    graded = (tokens if right is None else right)[:, 3::2]
    return (label_logits(model, tokens).argmax(-1) == graded).double().cpu()
