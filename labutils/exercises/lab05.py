"""The exercises of lab 05, masked language modelling: hide words, score guesses, pair sentences, pool, fill in."""

import math

import torch
from torch import Tensor

from labutils.exercises import Exercise, Mutant

SPECIAL, MASK, VOCAB = [0, 2], 1, 20  # tokens 0 and 2 mark beginning and end, say; words start at 3


def _uniform(generator: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(shape, generator=generator, dtype=dtype)


def _words(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randint(3, VOCAB, shape, generator=generator)


def _other_word(words: Tensor, generator: torch.Generator) -> Tensor:
    """For each word another one, never itself."""
    step = torch.randint(1, VOCAB - 3, words.shape, generator=generator)
    return 3 + (words - 3 + step) % (VOCAB - 3)


def _shuffled(generator: torch.Generator, *rows: Tensor) -> list[Tensor]:
    """The rows in another order, the same one for all."""
    order = torch.randperm(len(rows[0]), generator=generator)
    return [row[order] for row in rows]


# --- hide_words ------------------------------------------------------------------------------------------------------

FATES = torch.tensor([0.0, 0.8, 0.9, 1.0])  # the mask below 0.8; the word itself from 0.8 to 0.9; a random word above

# (axes in front and positions, rate, dtype)
HIDES = (
    ((4,), 0.5, torch.float32),
    ((1,), 0.5, torch.float32),  # one position
    ((8,), 0.3, torch.float32),
    ((3, 12), 0.15, torch.float32),
    ((4, 13), 0.3, torch.float64),
    ((2, 3, 12), 0.4, torch.float32),
)


def _hide_inputs(generator: torch.Generator, case: int) -> dict:
    """Draws in which every fate meets chosen and other positions, and words as well as special tokens."""
    shape, rate, dtype = HIDES[case]
    n = math.prod(shape)
    kind = torch.arange(n) % 12
    fate, is_chosen, is_special = kind % 3, kind % 4 != 1, kind // 3 == 2
    if case < 3:  # few positions: words alone, or one special token, and all three fates
        fate, is_chosen, is_special = torch.arange(n) % 3, torch.arange(n) != 3, torch.arange(n) == 6
    low, high = FATES[fate].to(dtype), FATES[fate + 1].to(dtype)
    fate = low + (0.02 + 0.96 * _uniform(generator, n, dtype=dtype)) * (high - low)
    u = 0.02 + 0.96 * _uniform(generator, n, dtype=dtype)
    choice = torch.where(is_chosen, u * rate, rate + u * (1 - rate))
    words = _words(generator, n)
    tokens = torch.where(is_special, torch.tensor(SPECIAL)[torch.randint(2, (n,), generator=generator)], words)
    replacement = _other_word(words, generator)
    rows = _shuffled(generator, tokens, choice, fate, replacement)
    tokens, choice, fate, replacement = (row.view(shape) for row in rows)
    draws = {"choice": choice, "fate": fate, "replacement": replacement}
    return {"tokens": tokens, **draws, "rate": rate, "special": SPECIAL, "mask_token": MASK}


def _hide(tokens, choice, fate, replacement, rate, special, mask_token, *, mask=0.8, kept=0.1):
    """The reference, with other shares where a mutant wants them."""
    chosen = (choice < rate) & ~torch.isin(tokens, torch.tensor(special))
    return _corrupted(tokens, chosen, fate, replacement, mask_token, mask=mask, kept=kept), chosen


def _corrupted(tokens, where, fate, replacement, mask_token, *, mask=0.8, kept=0.1):
    corrupted = torch.where(where & (fate < mask), mask_token, tokens)
    return torch.where(where & (fate >= mask + kept), replacement, corrupted)


def _hide_reference(tokens, choice, fate, replacement, rate, special, mask_token):
    return _hide(tokens, choice, fate, replacement, rate, special, mask_token)


def _hide_special_too(tokens, choice, fate, replacement, rate, special, mask_token):
    return _hide(tokens, choice, fate, replacement, rate, [-1], mask_token)


def _hide_reports_special(tokens, choice, fate, replacement, rate, special, mask_token):
    return _hide(tokens, choice, fate, replacement, rate, special, mask_token)[0], choice < rate


def _hide_all_tokens(tokens, choice, fate, replacement, rate, special, mask_token):
    """80/10/10 of the words of the text, whether chosen or not."""
    _, chosen = _hide(tokens, choice, fate, replacement, rate, special, mask_token)
    word = ~torch.isin(tokens, torch.tensor(special))
    return _corrupted(tokens, word, fate, replacement, mask_token), chosen


def _hide_random_elsewhere(tokens, choice, fate, replacement, rate, special, mask_token):
    """The mask on chosen words, random words on all."""
    corrupted, chosen = _hide(tokens, choice, fate, replacement, rate, special, mask_token)
    word = ~torch.isin(tokens, torch.tensor(special))
    return torch.where(word & (fate >= 0.9), replacement, corrupted), chosen


def _hide_reports_changed(tokens, choice, fate, replacement, rate, special, mask_token):
    corrupted, _ = _hide(tokens, choice, fate, replacement, rate, special, mask_token)
    return corrupted, corrupted != tokens


def _hide_reports_masked(tokens, choice, fate, replacement, rate, special, mask_token):
    corrupted, _ = _hide(tokens, choice, fate, replacement, rate, special, mask_token)
    return corrupted, corrupted == mask_token


def _hide_swapped(tokens, choice, fate, replacement, rate, special, mask_token):
    _, chosen = _hide(tokens, choice, fate, replacement, rate, special, mask_token)
    corrupted = torch.where(chosen & (fate < 0.8), mask_token, tokens)
    return torch.where(chosen & (fate >= 0.8) & (fate < 0.9), replacement, corrupted), chosen


def _hide_the_others(tokens, choice, fate, replacement, rate, special, mask_token):
    return _hide(tokens, 1 - choice, fate, replacement, 1 - rate, special, mask_token)


def _hide_corrupted_only(tokens, choice, fate, replacement, rate, special, mask_token):
    return _hide(tokens, choice, fate, replacement, rate, special, mask_token)[0]


HIDE_WORDS = Exercise(
    name="hide_words",
    lab="05",
    task=(
        "Corrupt a text as BERT does, with the random draws given. A position of `tokens` [..., seq] is chosen if its "
        "number in `choice` is below `rate` and its token is not one of `special`. What happens to a chosen token is "
        "decided by its number in `fate`: below 0.8 it becomes `mask_token`; from 0.9 on it becomes its word in "
        "`replacement`; in between it stays. Return two tensors of the shape of `tokens`: the corrupted tokens, and "
        "which positions were chosen (truth values)."
    ),
    points=3,
    minutes=15,
    difficulty=2,
    inputs=_hide_inputs,
    reference=_hide_reference,
    cases=len(HIDES),
    hints=(
        "First the chosen positions: `choice < rate`, and not special; `torch.isin(tokens, torch.tensor(special))` "
        "finds the special ones.",
        "`torch.where(condition, a, b)` takes a where the condition holds, else b. Every condition starts with chosen.",
        "Use it twice: the mask where chosen and fate < 0.8, then the replacement where chosen and fate >= 0.9.",
    ),
    forbidden=("labutils.objectives.mask_tokens",),
    mutants=(
        Mutant(
            name="reports special tokens",
            function=_hide_reports_special,
            message="The text is right, but you report special tokens as chosen; they are never to be predicted.",
        ),
        Mutant(
            name="reports changed tokens only",
            function=_hide_reports_changed,
            message="You report only the tokens that changed; a chosen token that stays is to be predicted, too.",
        ),
        Mutant(
            name="reports masks only",
            function=_hide_reports_masked,
            message="You report only the masks as chosen; random words and kept words are to be predicted, too.",
        ),
        Mutant(
            name="hides special tokens",
            function=_hide_special_too,
            message="You choose special tokens as well; they carry no content, so leave them out.",
        ),
        Mutant(
            name="random words everywhere",
            function=_hide_random_elsewhere,
            message="You put random words at positions that were not chosen; every corruption asks for chosen first.",
        ),
        Mutant(
            name="80/10/10 of all tokens",
            function=_hide_all_tokens,
            message="You apply 80/10/10 to all tokens; the shares are of the chosen tokens, the others stay.",
        ),
        Mutant(
            name="no kept tokens",
            function=lambda tokens, choice, fate, replacement, rate, special, mask_token: _hide(
                tokens, choice, fate, replacement, rate, special, mask_token, kept=0.0
            ),
            message="You replace a fifth of the chosen tokens by random words; between 0.8 and 0.9 they stay.",
        ),
        Mutant(
            name="no random words",
            function=lambda tokens, choice, fate, replacement, rate, special, mask_token: _hide(
                tokens, choice, fate, replacement, rate, special, mask_token, kept=1.0
            ),
            message="You leave out the random words; from 0.9 on, a chosen token becomes its replacement.",
        ),
        Mutant(
            name="random and kept swapped",
            function=_hide_swapped,
            message="You swap the last two fates; between 0.8 and 0.9 a token stays, from 0.9 on it is replaced.",
        ),
        Mutant(
            name="all chosen become the mask",
            function=lambda tokens, choice, fate, replacement, rate, special, mask_token: _hide(
                tokens, choice, fate, replacement, rate, special, mask_token, mask=1.0
            ),
            message="You turn every chosen token into the mask; only those with a fate below 0.8 become it.",
        ),
        Mutant(
            name="chooses the others",
            function=_hide_the_others,
            message="You choose the positions with a number above the rate; a position is chosen if it is below.",
        ),
        Mutant(
            name="returns the text only",
            function=_hide_corrupted_only,
            message="You return the corrupted text alone; the loss also needs to know which positions were chosen.",
        ),
    ),
)


# --- hidden_word_loss ------------------------------------------------------------------------------------------------

# (axes in front, positions, vocabulary)
LOSSES = (
    ((), 3, 2),
    ((), 1, 4),
    ((), 6, 5),
    ((2,), 7, 9),
    ((3,), 8, 6),
    ((2, 3), 9, 8),
)


def _loss_inputs(generator: torch.Generator, case: int) -> dict:
    """The chosen positions hold a mask, a kept word and a random word, as far as there is room; some rows hold none."""
    front, seq, vocab = LOSSES[case]
    shape = (*front, seq)
    words = torch.randint(1, vocab, shape, generator=generator)
    chosen = torch.zeros(shape, dtype=torch.bool)
    chosen.view(-1)[: 3 if seq > 3 else 1] = True
    if front:  # the first row: three chosen; the second: two; further ones: none
        chosen.view(-1, seq)[1, :2] = True
    corrupted = words.clone()
    flat = corrupted.view(-1)
    flat[0] = 0  # the mask
    if seq > 3:
        flat[1] = 1 + flat[1] % (vocab - 1)  # a random word; the next one is kept
    if front:
        corrupted.view(-1, seq)[1, :2] = 0
    order = torch.randperm(seq, generator=generator)
    words, corrupted, chosen = words[..., order], corrupted[..., order], chosen[..., order]
    logits = 2 * torch.randn(*shape, vocab, generator=generator, dtype=torch.float64 if case == 4 else torch.float32)
    return {"logits": logits, "words": words, "corrupted": corrupted, "chosen": chosen}


def _surprisal(logits: Tensor, words: Tensor) -> Tensor:
    """-log p of each word, [..., seq]."""
    return -logits.log_softmax(-1).gather(-1, words[..., None])[..., 0]


def _hidden_loss(logits: Tensor, words: Tensor, corrupted: Tensor, chosen: Tensor) -> Tensor:
    return _surprisal(logits, words)[chosen].mean()


def _loss_row_means(logits: Tensor, words: Tensor, corrupted: Tensor, chosen: Tensor) -> Tensor:
    rows = (_surprisal(logits, words) * chosen).sum(-1) / chosen.sum(-1).clamp(min=1)
    return rows[chosen.any(-1)].mean()


def _loss_no_softmax(logits: Tensor, words: Tensor, corrupted: Tensor, chosen: Tensor) -> Tensor:
    return -logits.gather(-1, words[..., None])[..., 0][chosen].mean()


def _loss_shifted(logits: Tensor, words: Tensor, corrupted: Tensor, chosen: Tensor) -> Tensor:
    """As in a decoder: the word at i + 1 from the logits at i. The last position keeps its own."""
    shifted = torch.cat((words[..., 1:], words[..., -1:]), dim=-1)
    return _surprisal(logits, shifted)[chosen].mean()


HIDDEN_WORD_LOSS = Exercise(
    name="hidden_word_loss",
    lab="05",
    task=(
        "Return the loss of a masked language model: the mean of −log p(true word), in nats, over the chosen positions "
        "of the whole batch. `logits` [..., seq, vocab] are what the model says at each position, after it read "
        "`corrupted` [..., seq]. `words` [..., seq] is the text before it was corrupted. `chosen` [..., seq] is True "
        "where a word is to be predicted: there the model reads the mask, a random word, or the word itself. All "
        "chosen positions weigh the same; at least one is chosen, though not in every row."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_loss_inputs,
    reference=_hidden_loss,
    cases=len(LOSSES),
    hints=(
        "Which of the two texts must the model find? It reads one and has to say the other.",
        "`logits.log_softmax(-1)` gives log-probabilities; `gather(-1, words[..., None])` picks those of the words.",
        "Take the chosen ones with `[chosen]`, which makes one long row of them, and return minus their mean.",
    ),
    forbidden=(
        "labutils.objectives.masked_loss",
        "torch.nn.functional.cross_entropy",
        "torch.nn.functional.nll_loss",
    ),
    mutants=(
        Mutant(
            name="mean of row means",
            function=_loss_row_means,
            message="You average within each row first, so that a word in a row with few chosen ones weighs more.",
        ),
        Mutant(
            name="predicts the corrupted text",
            function=lambda logits, words, corrupted, chosen: _hidden_loss(logits, corrupted, corrupted, chosen),
            message="You score the corrupted text, which the model has read; it must find the text from before.",
        ),
        Mutant(
            name="leaves out kept words",
            function=lambda logits, words, corrupted, chosen: (
                _surprisal(logits, words)[corrupted != words].sum() / max(1, int((corrupted != words).sum()))
            ),
            message="You count only words that were changed; a chosen word that was kept counts, too.",
        ),
        Mutant(
            name="leaves out random words",
            function=lambda logits, words, corrupted, chosen: _surprisal(logits, words)[
                chosen & ((corrupted == 0) | (corrupted == words))
            ].mean(),
            message="You leave out the chosen positions that hold a random word; there, too, the true word counts.",
        ),
        Mutant(
            name="all positions",
            function=lambda logits, words, corrupted, chosen: _surprisal(logits, words).mean(),
            message="You count all positions; most show their word, so there is nothing to predict but a copy.",
        ),
        Mutant(
            name="divides by all positions",
            function=lambda logits, words, corrupted, chosen: (_surprisal(logits, words) * chosen).mean(),
            message="You leave the other positions out of the sum but not out of the count; divide by the chosen ones.",
        ),
        Mutant(
            name="the positions that were not chosen",
            function=lambda logits, words, corrupted, chosen: (
                _surprisal(logits, words)[~chosen].sum() / max(1, int((~chosen).sum()))
            ),
            message="You count the positions that were not chosen; it is the chosen ones that are to be predicted.",
        ),
        Mutant(
            name="shifted as in a decoder",
            function=_loss_shifted,
            message="You score the next word, as for a decoder; an encoder predicts the word at its own position.",
        ),
        Mutant(
            name="adds up",
            function=lambda logits, words, corrupted, chosen: _surprisal(logits, words)[chosen].sum(),
            message="You return the sum; the loss is the mean over the chosen positions.",
        ),
        Mutant(
            name="no minus",
            function=lambda logits, words, corrupted, chosen: -_hidden_loss(logits, words, corrupted, chosen),
            message="You forget the minus: log-probabilities are negative, and a loss is positive.",
        ),
        Mutant(
            name="bits",
            function=lambda logits, words, corrupted, chosen: (
                _hidden_loss(logits, words, corrupted, chosen) / math.log(2)
            ),
            message="You return bits (logarithms to base 2); the loss is in nats, with the natural logarithm.",
        ),
        Mutant(
            name="no softmax",
            function=_loss_no_softmax,
            message="You take logits for log-probabilities; apply log_softmax along the vocabulary first.",
        ),
        Mutant(
            name="softmax along the positions",
            function=lambda logits, words, corrupted, chosen: (
                -logits.log_softmax(-2).gather(-1, words[..., None])[..., 0][chosen].mean()
            ),
            message="You take the softmax along the positions; the vocabulary is the last axis, dim=-1.",
        ),
    ),
)


# --- next_sentence_pairs ---------------------------------------------------------------------------------------------

SUBJECTS = ("the owl", "a boat", "some cooks", "the old bell", "a thief", "the whale", "some coins", "an artist")
ENDINGS = ("sleeps .", "sees the tree .", "falls .", "hides a box .", "waits .", "shines .", "reads .", "works today .")


def _pair_inputs(generator: torch.Generator, case: int) -> dict:
    """Different sentences, and coins that fall on both sides where there are two pairs or more."""
    n = (3, 2, 1, 5, 6, 8)[case]
    order = torch.randperm(64, generator=generator)[: 2 * n].tolist()
    made = [f"{SUBJECTS[i // 8]} {ENDINGS[i % 8]}" for i in order]
    coins = _uniform(generator, n - 1) / 2
    coins[::2] += 0.5  # the first pair is a wrong one
    order = torch.randperm(n - 1, generator=generator) if n > 3 else torch.arange(n - 1)
    return {"sentences": made[:n], "strangers": made[n : 2 * n - 1], "coins": coins[order]}


def _pairs(sentences: list, strangers: list, coins: Tensor) -> list:
    return [
        (first, following, True) if coin < 0.5 else (first, stranger, False)
        for first, following, stranger, coin in zip(
            sentences[:-1], sentences[1:], strangers, coins.tolist(), strict=True
        )
    ]


def _pairs_do_not_overlap(sentences: list, strangers: list, coins: Tensor) -> list:
    return _pairs(sentences, strangers, coins)[::2]


def _pairs_with_the_last(sentences: list, strangers: list, coins: Tensor) -> list:
    """The last sentence, too, gets a partner: the first one."""
    wrapped = (sentences[-1], sentences[0], True)
    return [*_pairs(sentences, strangers, coins), wrapped]


NEXT_SENTENCE_PAIRS = Exercise(
    name="next_sentence_pairs",
    lab="05",
    task=(
        "Make the pairs for next-sentence prediction from one document. `sentences` is the document, a list of n "
        "strings; `strangers` are n − 1 sentences of other documents; `coins` is a tensor of n − 1 numbers from 0 to "
        "1. Each sentence but the last is the first of one pair. Where its coin is below 0.5, the second is the "
        "sentence that really follows, and the label is True; else it is the stranger of the same number, and the "
        "label is False. Return a list of (first, second, label), in the order of the document."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_pair_inputs,
    reference=_pairs,
    cases=6,
    hints=(
        "Pair number i has `sentences[i]` as its first; i runs from 0 to n − 2, so a document of one has no pair.",
        "`coins[i] < 0.5` decides two things at once: which sentence is the second, and what the label is.",
    ),
    forbidden=("labutils.objectives.sentence_pairs",),
    mutants=(
        Mutant(
            name="all are called real",
            function=lambda sentences, strangers, coins: [
                (a, b, True) for a, b, _ in _pairs(sentences, strangers, coins)
            ],
            message="You label every pair True; where the second sentence is a stranger, the label is False.",
        ),
        Mutant(
            name="real pairs only",
            function=lambda sentences, strangers, coins: _pairs(sentences, strangers, 0 * coins),
            message="All your pairs are real; without wrong ones there is nothing to tell apart.",
        ),
        Mutant(
            name="leaves out the wrong pairs",
            function=lambda sentences, strangers, coins: [p for p in _pairs(sentences, strangers, coins) if p[2]],
            message="You leave out the pairs whose coin is 0.5 or more; they become wrong pairs, with a stranger.",
        ),
        Mutant(
            name="labels turned round",
            function=lambda sentences, strangers, coins: [
                (a, b, not real) for a, b, real in _pairs(sentences, strangers, coins)
            ],
            message="The pairs are right and the labels turned round; True means that the second really follows.",
        ),
        Mutant(
            name="coins turned round",
            function=lambda sentences, strangers, coins: _pairs(sentences, strangers, 1 - coins - 1e-6),
            message="You take the real sentence where the coin is 0.5 or more; a coin below 0.5 stands for it.",
        ),
        Mutant(
            name="second before first",
            function=lambda sentences, strangers, coins: [
                (b, a, real) for a, b, real in _pairs(sentences, strangers, coins)
            ],
            message="You put the second sentence in front; the sentence that comes first in the text stands first.",
        ),
        Mutant(
            name="swapped neighbours as wrong pairs",
            function=lambda sentences, strangers, coins: [
                (a, b, True) if coin < 0.5 else (b, a, False)
                for a, b, coin in zip(sentences[:-1], sentences[1:], coins.tolist(), strict=True)
            ],
            message="Your wrong pairs are neighbours in swapped order, as in ALBERT; here they take a stranger.",
        ),
        Mutant(
            name="every other pair",
            function=_pairs_do_not_overlap,
            message="You use each sentence once; every sentence but the last is the first of a pair.",
        ),
        Mutant(
            name="a pair for the last sentence",
            function=_pairs_with_the_last,
            message="You give the last sentence a partner, too; nothing follows it.",
        ),
        Mutant(
            name="labels as numbers",
            function=lambda sentences, strangers, coins: [
                (a, b, int(real)) for a, b, real in _pairs(sentences, strangers, coins)
            ],
            message="Your labels are the numbers 1 and 0; the task asks for True and False.",
        ),
    ),
)


# --- mean_pool -------------------------------------------------------------------------------------------------------

# (the lengths of the rows; None: no batch axis), positions, width, dtype
POOLS = (
    (None, 3, 2, torch.float32),
    ([2, 3], 3, 1, torch.float32),
    ([1, 0], 4, 2, torch.float32),  # a row of padding alone
    ([1, 1, 1], 1, 4, torch.float64),  # one position
    ([6, 2, 0, 5], 6, 5, torch.float64),
    ([7, 3, 1, 5, 2, 6], 7, 5, torch.float32),  # to be seen as [2, 3]
)


def _pool_inputs(generator: torch.Generator, case: int) -> dict:
    lengths, seq, width, dtype = POOLS[case]
    visible = torch.arange(seq) < torch.tensor([2] if lengths is None else lengths)[:, None]
    if case == 4:
        visible = visible.flip(1)  # padding on the left
    visible = visible[0] if lengths is None else visible.unflatten(0, (2, 3)) if case == 5 else visible
    hidden = 1 + torch.randn(*visible.shape, width, generator=generator, dtype=dtype)
    return {"hidden": hidden, "visible": visible}


def _pool(hidden: Tensor, visible: Tensor) -> Tensor:
    return (hidden * visible[..., None]).sum(-2) / visible.sum(-1, keepdim=True).clamp(min=1)


def _pool_count_of_batch(hidden: Tensor, visible: Tensor) -> Tensor:
    """The mean number of visible positions, in place of each row's own."""
    rows = visible.reshape(-1, visible.shape[-1])
    return (hidden * visible[..., None]).sum(-2) / max(1.0, rows.sum().item() / len(rows))


def _pool_largest(hidden: Tensor, visible: Tensor) -> Tensor:
    largest = hidden.masked_fill(~visible[..., None], -math.inf).amax(-2)
    return torch.where(visible.any(-1, keepdim=True), largest, torch.zeros_like(largest))


def _pool_last(hidden: Tensor, visible: Tensor) -> Tensor:
    last = (torch.arange(visible.shape[-1]) * visible).argmax(-1)
    taken = hidden.gather(-2, last[..., None, None].expand(*last.shape, 1, hidden.shape[-1]))[..., 0, :]
    return taken * visible.any(-1, keepdim=True)


MEAN_POOL = Exercise(
    name="mean_pool",
    lab="05",
    task=(
        "Make one vector of a text: the mean of its words' vectors, padding left out. `hidden` is [..., seq, d_model], "
        "`visible` [..., seq] is False where a token is padding; return [..., d_model]. Where all of a text is padding "
        "the result is zero. The vectors at padded positions hold numbers of no meaning."
    ),
    points=2,
    minutes=10,
    difficulty=2,
    inputs=_pool_inputs,
    reference=_pool,
    cases=len(POOLS),
    hints=(
        "Add up the visible vectors, and divide each row by its own number of visible positions.",
        "`visible[..., None]` has the shape [..., seq, 1], so that `hidden * visible[..., None]` is zero at padding.",
        "`visible.sum(-1, keepdim=True).clamp(min=1)` counts them, and divides by 1 where there are none.",
    ),
    mutants=(
        Mutant(
            name="nan for padding alone",
            function=lambda hidden, visible: (hidden * visible[..., None]).sum(-2) / visible.sum(-1, keepdim=True),
            message="A text of padding alone gives 0/0, which is NaN; divide by at least 1.",
        ),
        Mutant(
            name="counts padding in the mean",
            function=lambda hidden, visible: hidden.mean(-2),
            message="You average over padding, too, so the vector changes with the length of other texts in the batch.",
        ),
        Mutant(
            name="divides by all positions",
            function=lambda hidden, visible: (hidden * visible[..., None]).mean(-2),
            message="You leave padding out of the sum but not out of the count; divide by the visible positions.",
        ),
        Mutant(
            name="adds up",
            function=lambda hidden, visible: (hidden * visible[..., None]).sum(-2),
            message="You return the sum, which grows with the length of the text; divide by the visible positions.",
        ),
        Mutant(
            name="one count for the batch",
            function=_pool_count_of_batch,
            message="You divide every row by the same number; each text has its own number of visible positions.",
        ),
        Mutant(
            name="the largest",
            function=_pool_largest,
            message="You take the largest number along the text; the task asks for the mean.",
        ),
        Mutant(
            name="the last word",
            function=_pool_last,
            message="You take the vector of the last word, as one does with a decoder; take the mean of all words.",
        ),
        Mutant(
            name="the first word",
            function=lambda hidden, visible: hidden[..., 0, :],
            message="You take the vector of the first position, as BERT's [CLS]; take the mean of all words.",
        ),
        Mutant(
            name="padding instead of words",
            function=lambda hidden, visible: _pool(hidden, ~visible),
            message="You average the padding; visible is True at the words.",
        ),
        Mutant(
            name="along the width",
            function=lambda hidden, visible: (hidden * visible[..., None]).mean(-1),
            message="You average along each vector; average along the text, dim=-2, so that a vector comes out.",
        ),
        Mutant(
            name="axis kept",
            function=lambda hidden, visible: _pool(hidden, visible).unsqueeze(-2),
            message="You keep an axis of size 1 for the text; sum over dim=-2 without keepdim.",
        ),
    ),
)


# --- choose_to_fill --------------------------------------------------------------------------------------------------

# (number of masked positions of each row; None: no batch axis), positions, vocabulary, rounds that are left
FILLS = (
    (None, 4, 3, 2),
    (None, 1, 3, 1),  # one position
    ([0, 3], 4, 3, 2),  # a row without masks
    ([7, 4, 5], 9, 5, 3),
    ([12, 6, 8], 14, 6, 4),
    ([7, 11, 9, 5, 10, 8], 13, 5, 4),  # to be seen as [2, 3]
)


def _fill_inputs(generator: torch.Generator, case: int) -> dict:
    counts, seq, vocab, rounds = FILLS[case]
    rows = [min(3, seq)] if counts is None else counts
    masked = torch.stack([torch.randperm(seq, generator=generator) < n for n in rows])
    # Each position has its own sharpness, so that no two are as sure, and its own offset, which softmax does not see.
    sharpness = torch.stack([torch.randperm(seq, generator=generator) + 1.0 for _ in rows]) / seq
    offset = 6 * torch.randn(len(rows), seq, 1, generator=generator)
    best = torch.randint(vocab, (len(rows), seq, 1), generator=generator)
    logits = torch.zeros(len(rows), seq, vocab).scatter(-1, best, 5 * sharpness[..., None]) + offset
    logits += 0.05 * torch.rand(logits.shape, generator=generator)
    logits = logits.double() if case == 4 else logits
    if counts is None:
        logits, masked = logits[0], masked[0]
    elif case == 5:
        logits, masked = logits.unflatten(0, (2, 3)), masked.unflatten(0, (2, 3))
    return {"logits": logits, "masked": masked, "rounds_left": rounds}


def _top(score: Tensor, masked: Tensor, count: Tensor) -> Tensor:
    """The `count` [...] masked positions of each row with the highest score [..., seq]."""
    rank = score.masked_fill(~masked, -math.inf).argsort(-1, descending=True).argsort(-1)
    return (rank < count[..., None]) & masked


def _surest(logits: Tensor) -> Tensor:
    return logits.softmax(-1).amax(-1)


def _due(masked: Tensor, rounds_left: int) -> Tensor:
    """How many of each row are due in this round, rounded up."""
    return -(-masked.sum(-1) // rounds_left)


def _choose(logits: Tensor, masked: Tensor, rounds_left: int) -> Tensor:
    return _top(_surest(logits), masked, _due(masked, rounds_left))


def _choose_among_all(logits: Tensor, masked: Tensor, rounds_left: int) -> Tensor:
    """The surest positions of the row, masked or not."""
    return _top(_surest(logits), torch.ones_like(masked), _due(masked, rounds_left))


def _choose_share_of_row(logits: Tensor, masked: Tensor, rounds_left: int) -> Tensor:
    count = torch.full(masked.shape[:-1], -(-masked.shape[-1] // rounds_left))
    return _top(_surest(logits), masked, count)


def _choose_over_the_batch(logits: Tensor, masked: Tensor, rounds_left: int) -> Tensor:
    """The surest of the whole batch."""
    flat = masked.flatten()
    return _top(_surest(logits).flatten(), flat, _due(flat, rounds_left)).view_as(masked)


CHOOSE_TO_FILL = Exercise(
    name="choose_to_fill",
    lab="05",
    task=(
        "One round of iterative unmasking: decide which masked positions to fill now. `logits` [..., seq, vocab] are "
        "what the model says; `masked` [..., seq] is True where a word is still missing; `rounds_left` counts this "
        "round and those to come. In each row fill its missing words divided by the rounds left, rounded up. Take the "
        "masked positions of which the model is most sure: those whose largest probability is highest. Return truth "
        "values [..., seq], True where a word is to be filled in now. A row may have nothing missing."
    ),
    points=4,
    minutes=20,
    difficulty=4,
    inputs=_fill_inputs,
    reference=_choose,
    cases=len(FILLS),
    hints=(
        "How sure the model is: `logits.softmax(-1).amax(-1)`. Where nothing is missing, put −infinity in its place.",
        "`math.ceil(m / r)` is `-(-m // r)` for whole numbers; for a tensor of counts the second works, too.",
        "`argsort(descending=True).argsort()` gives each position its rank; fill where the rank is below the count.",
    ),
    mutants=(
        Mutant(
            name="not rounded up",
            function=lambda logits, masked, rounds_left: _top(_surest(logits), masked, masked.sum(-1) // rounds_left),
            message="You round down, so that the last round has to fill what all others left; round up.",
        ),
        Mutant(
            name="a share of all positions",
            function=_choose_share_of_row,
            message="You divide the length of the text by the rounds left; divide the number of missing words.",
        ),
        Mutant(
            name="most likely over the batch",
            function=_choose_over_the_batch,
            message="You let the rows compete, so that a hard text gets nothing; each row fills its own share.",
        ),
        Mutant(
            name="the largest logit",
            function=lambda logits, masked, rounds_left: _top(logits.amax(-1), masked, _due(masked, rounds_left)),
            message="You compare logits of different positions, which have no common scale; compare probabilities.",
        ),
        Mutant(
            name="the least sure",
            function=lambda logits, masked, rounds_left: _top(-_surest(logits), masked, _due(masked, rounds_left)),
            message="You fill the positions of which the model is least sure; begin with the surest.",
        ),
        Mutant(
            name="left to right",
            function=lambda logits, masked, rounds_left: _top(
                -torch.arange(masked.shape[-1]).expand(masked.shape).double(), masked, _due(masked, rounds_left)
            ),
            message="You fill from left to right; the order is that of confidence.",
        ),
        Mutant(
            name="one a round",
            function=lambda logits, masked, rounds_left: _top(_surest(logits), masked, masked.any(-1).long()),
            message="You fill one word a round and will not be done in time; spread the missing words over the rounds.",
        ),
        Mutant(
            name="all at once",
            function=lambda logits, masked, rounds_left: masked.clone(),
            message="You fill everything at once, so that no word can know what the others became.",
        ),
        Mutant(
            name="positions already filled",
            function=_choose_among_all,
            message="You also pick positions that are not masked; only missing words can be filled.",
        ),
        Mutant(
            name="what is left",
            function=lambda logits, masked, rounds_left: masked & ~_choose(logits, masked, rounds_left),
            message="You return what is still missing after the round; return what is filled in it.",
        ),
    ),
)


EXERCISES = (HIDE_WORDS, HIDDEN_WORD_LOSS, NEXT_SENTENCE_PAIRS, MEAN_POOL, CHOOSE_TO_FILL)
