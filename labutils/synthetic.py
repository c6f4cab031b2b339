"""Synthetic data: generate, filter, label, keep. With any model, and with a record of where each row comes from.

A `Recipe` says how rows are made; `make` makes them. A row is one prompt, the answer or answers to it, and its
**provenance**: model, seed, settings, filters passed, licence. The result is a dataset as the Hugging Face hub keeps
them [lhoest2021datasets], a folder that `datasets.load_dataset(folder)` reads:

    README.md           the card: a YAML header, what was made, how many rows each filter dropped
    data/train.jsonl    the rows that were kept, one JSON object a line
    attempts.jsonl      all rows, also those that a filter dropped, with its name
    recipe.json         what the rows follow from

A run that is killed goes on where it stopped. Each row follows from the seed of the dataset and the number of the row,
so the files end the same, byte for byte, as if nothing had happened.

Below `read` come the filters, as functions of texts and scores that return which to keep.
"""

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from labutils.curation import ngrams
from labutils.files import whole_file
from labutils.sampling import filter_logits

Row = dict[str, Any]
Generate = Callable[[list[str], list[int]], list[str]]  # prompts and a seed for each; a text for each
Filter = Callable[[list[Row]], list[bool]]  # which rows to keep
Label = Callable[[list[Row]], list[dict[str, Any]]]  # columns to add to each row

PROVENANCE = {"row": int, "prompt": str, "model": str, "seed": int, "settings": dict, "filters": list, "licence": str}
CARD, TRAIN, ATTEMPTS, RECIPE = "README.md", "data/train.jsonl", "attempts.jsonl", "recipe.json"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How rows are made.

    `generate(prompts, seeds)` returns a text for each prompt, and must return the same text for the same prompt and
    seed. It is called once for each column in `answers`: once for responses, twice for pairs to choose from.

    `filters` then look at a few rows at a time, in their order; `label` adds columns, such as a judge's score, to the
    rows that passed. `select` are filters that must see all rows together, such as a search for duplicates. `model`,
    `licence` (as the hub spells it, such as "apache-2.0") and `settings` are written into every row.
    """

    title: str
    model: str
    licence: str
    generate: Generate
    settings: Mapping[str, Any]
    filters: Mapping[str, Filter] = field(default_factory=dict)
    label: Label | None = None
    select: Mapping[str, Filter] = field(default_factory=dict)
    answers: tuple[str, ...] = ("response",)


@dataclass(frozen=True)
class Made:
    """What `make` returns: the rows that were kept, and how many each filter dropped."""

    rows: list[Row]
    dropped: dict[str, int]


# ------------------------------------------------------------------------------------------------------------- making


def make(folder: Path | str, recipe: Recipe, prompts: Sequence[str], *, seed: int, chunk: int = 64) -> Made:
    """Answer every prompt, and write what the filters leave as a dataset into the folder.

    Rows are made and saved in chunks. If the folder holds a part of the run, or all of it, only the rest is made.
    Raises ValueError if it holds another run, if a function of the recipe returns too many or too few answers for its
    rows, or if nothing is kept.
    """
    folder = Path(folder)
    _claim(folder, recipe, prompts, seed, chunk)
    attempts = folder / ATTEMPTS
    done = _whole_lines(attempts)
    done = done[: len(done) if len(done) == len(prompts) else len(done) // chunk * chunk]
    with attempts.open("ab") as file:
        file.truncate(sum(map(len, done)))  # of a chunk that was torn, nothing stays
        for start in range(len(done), len(prompts), chunk):
            rows = _chunk(recipe, prompts[start : start + chunk], start, seed)
            file.write(_lines(rows))
            file.flush()
            os.fsync(file.fileno())

    rows = [json.loads(line) for line in _whole_lines(attempts)]
    dropped = Counter(dict.fromkeys((*recipe.filters, *recipe.select), 0))
    dropped.update(row["dropped_by"] for row in rows if "dropped_by" in row)
    rows = [row for row in rows if "dropped_by" not in row]
    for name, keep in recipe.select.items():
        passed = _each(rows, keep(rows), name)
        dropped[name] += passed.count(False)
        rows = [_passed(row, name) for row, kept in zip(rows, passed, strict=True) if kept]
    table = "".join(f"| {name} | {count} |\n" for name, count in dropped.items())
    about = f"{len(prompts)} prompts were answered.\n\n| dropped by | rows |\n| --- | --- |\n{table}"
    write(folder, rows, title=recipe.title, about=about)
    return Made(rows, dict(dropped))


def row_seed(seed: int, row: int) -> int:
    """The seed of a row: a whole number below 2^48 that looks random and follows from both numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed} {row}".encode()).digest()[:6], "big")


def _chunk(recipe: Recipe, prompts: Sequence[str], start: int, seed: int) -> list[Row]:
    """Some rows in a row: generate, filter, label. A row that is dropped says by what, and is not looked at again."""
    rows: list[Row] = [
        {"row": start + i, "prompt": prompt, "seed": row_seed(seed, start + i)} for i, prompt in enumerate(prompts)
    ]
    for number, column in enumerate(recipe.answers):
        texts = recipe.generate(list(prompts), [row["seed"] + number for row in rows])
        for row, text in zip(rows, _each(rows, texts, "generate"), strict=True):
            row[column] = text
    for row in rows:
        row |= {"model": recipe.model, "settings": dict(recipe.settings), "licence": recipe.licence, "filters": []}
    left = list(range(len(rows)))
    for name, keep in recipe.filters.items():
        passed = _each(left, keep([rows[i] for i in left]), name)
        for i, kept in zip(left, passed, strict=True):
            rows[i] = _passed(rows[i], name) if kept else rows[i] | {"dropped_by": name}
        left = [i for i, kept in zip(left, passed, strict=True) if kept]
    if recipe.label is not None:
        for i, columns in zip(left, _each(left, recipe.label([rows[i] for i in left]), "label"), strict=True):
            rows[i] |= columns
    return rows


def _passed(row: Row, name: str) -> Row:
    return row | {"filters": [*row["filters"], name]}


def _each(rows: Sequence, answers: Sequence, who: str) -> Sequence:
    if len(rows) != len(answers):
        raise ValueError(f"{who!r} was given {len(rows)} rows and returned {len(answers)} answers: one for each row.")
    return answers


# ------------------------------------------------------------------------------------------------ writing and reading


def write(folder: Path | str, rows: Sequence[Row], *, title: str, about: str = "") -> None:
    """Write rows and card. A file is never half-written.

    Raises ValueError if there are no rows, or, with a sentence for each fault, if one is not what `read` would accept.
    """
    folder = Path(folder)
    if not rows:
        raise ValueError("No row is left to write: look into the attempts for what dropped them.")
    if found := faults(rows):
        raise ValueError("\n".join(found))
    licences = "".join(f"- {licence}\n" for licence in sorted({row["licence"] for row in rows}))
    models = ", ".join(sorted({row["model"] for row in rows}))
    header = (
        f"pretty_name: {json.dumps(title)}\nlicense:\n{licences}tags:\n- synthetic\n"
        f"configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: {TRAIN}\n"
        f"dataset_info:\n  splits:\n  - name: train\n    num_examples: {len(rows)}\n"
    )
    text = f"{len(rows)} rows, made by {models}. Each row says how: {', '.join(PROVENANCE)}."
    card = f"---\n{header}---\n\n# {title}\n\n{text}\n\n{about}"
    for name, content in ((TRAIN, _lines(rows)), (CARD, card.encode())):
        with whole_file(folder / name) as file:
            file.write(content)


def read(folder: Path | str) -> list[Row]:
    """The rows of a dataset. Raises ValueError with a sentence for each fault, and FileNotFoundError if it is missing.

    A line that is not an object, a row without its provenance, or fewer lines than the card says: each is a fault.
    """
    folder = Path(folder)
    rows = []
    for line in (folder / TRAIN).read_bytes().splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            rows.append(None)
    found = faults(rows)
    announced = re.search(r"num_examples: (\d+)", (folder / CARD).read_text(encoding="utf-8"))
    if announced is None or int(announced[1]) != len(rows):
        promised = announced[1] if announced else "no number of"
        found.append(f"{CARD} promises {promised} rows, and {TRAIN} has {len(rows)}.")
    if found:
        raise ValueError("\n".join(found))
    return rows


def faults(rows: Iterable[Any]) -> list[str]:
    """What is wrong with the rows: one sentence for each fault, with the line; none if every row has its provenance.

    A row needs the columns of PROVENANCE, each of its type; model and licence must not be blank (a prompt may be); a
    row number must not occur twice; and at least one more column must hold a text.
    """
    found, lines = [], {}
    for line, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            found.append(f"line {line}: this is not a JSON object.")
            continue
        for name, kind in PROVENANCE.items():
            value = row.get(name)
            if name not in row:
                found.append(f"line {line}: {name} is missing.")
            elif type(value) is not kind:
                found.append(f"line {line}: {name} is {json.dumps(value)}, which is not of the type {kind.__name__}.")
            elif name != "prompt" and isinstance(value, str) and not value.strip():
                found.append(f"line {line}: {name} is blank.")
        if not any(isinstance(value, str) for name, value in row.items() if name not in PROVENANCE):
            found.append(f"line {line}: there is no answer, a column with a text besides the provenance.")
        number = row.get("row")
        if isinstance(number, int) and lines.setdefault(number, line) != line:
            found.append(f"line {line}: row {number} was already on line {lines[number]}.")
    return found


def _claim(folder: Path, recipe: Recipe, prompts: Sequence[str], seed: int, chunk: int) -> None:
    """Write down what the rows of this folder follow from, or see that it is the same as what is written there."""
    asked = {
        "title": recipe.title,
        "model": recipe.model,
        "licence": recipe.licence,
        "settings": dict(recipe.settings),
        "filters": [*recipe.filters],
        "select": [*recipe.select],
        "answers": [*recipe.answers],
        "prompts": hashlib.sha256(json.dumps(list(prompts)).encode()).hexdigest(),
        "rows": len(prompts),
        "seed": seed,
        "chunk": chunk,
    }
    path = folder / RECIPE
    if not path.exists():
        with whole_file(path) as file:
            file.write((json.dumps(asked, indent=2) + "\n").encode())
    there = json.loads(path.read_text(encoding="utf-8"))
    if changed := [name for name in asked if there.get(name) != json.loads(json.dumps(asked[name]))]:
        raise ValueError(f"{folder} holds another run ({', '.join(changed)} differ): choose another folder.")


def _lines(rows: Iterable[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows).encode()


def _whole_lines(path: Path) -> list[bytes]:
    """The lines up to the first that is torn: without its end, or not JSON."""
    whole = []
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else []:
        try:
            json.loads(line)
        except ValueError:
            break
        if not line.endswith(b"\n"):
            break
        whole.append(line)
    return whole


# ------------------------------------------------------------------------------------- a language model that generates


def sampler(
    model: Callable,
    encode: Callable[[str], list[int]],
    decode: Callable[[list[int]], str],
    *,
    max_new_tokens: int,
    stop_token: int,
    device: torch.device | str = "cpu",
    **settings: Any,
) -> Generate:
    """A `generate` that draws from a model of `labutils.sampling`, with the settings of `filter_logits`.

    A text ends before its stop token. Each row has random numbers of its own, so it does not depend on which rows are
    answered with it: with u uniform in [0, 1), the first token at which the summed probabilities exceed u is a fair
    draw.
    """

    @torch.no_grad()
    def generate(prompts: list[str], seeds: list[int]) -> list[str]:
        starts = [encode(prompt) for prompt in prompts]
        texts: list[str] = [""] * len(prompts)
        for length in sorted(set(map(len, starts))):  # without padding, which a model would have to be told of
            here = [i for i, start in enumerate(starts) if len(start) == length]
            tokens = torch.tensor([starts[i] for i in here], device=device)
            noise = [torch.rand(max_new_tokens, 1, generator=torch.Generator().manual_seed(seeds[i])) for i in here]
            for u in torch.stack(noise, dim=1).double():
                logits = filter_logits(model(tokens)[:, -1].cpu(), **settings)
                mass = logits.double().softmax(-1).cumsum(-1)
                new = torch.searchsorted(mass, u * mass[:, -1:], right=True).clamp(max=mass.shape[1] - 1)
                tokens = torch.cat((tokens, new.to(device)), dim=1)
                if (tokens[:, length:] == stop_token).any(dim=1).all():
                    break
            for i, row in zip(here, tokens[:, length:].tolist(), strict=True):
                texts[i] = decode(row[: row.index(stop_token)] if stop_token in row else row)
        return texts

    return generate


# ------------------------------------------------------------------------------------------------------------ filters


def normal(text: str) -> str:
    """The text in small letters, with one space between words: texts that differ only in these count as equal."""
    return " ".join(text.lower().split())


def first_of_each(texts: Sequence[str]) -> list[bool]:
    """Keep the first of texts that are equal: deduplication."""
    seen: set[str] = set()
    return [not (normal(text) in seen or seen.add(normal(text))) for text in texts]


def uncontaminated(texts: Sequence[str], tests: Iterable[str], n: int) -> list[bool]:
    """Keep texts that share no n words in a row with any text of a test set: decontamination [brown2020language].

    A text of fewer than n words cannot share any, and is kept.
    """
    forbidden = {gram for test in tests for gram in ngrams(normal(test).split(), n)}
    return [forbidden.isdisjoint(ngrams(normal(text).split(), n)) for text in texts]


def comes_back(prompts: Sequence[str], recovered: Sequence[str]) -> list[bool]:
    """Keep rows whose prompt was recovered from the answer alone: the round trip."""
    return [normal(prompt) == normal(again) for prompt, again in zip(prompts, recovered, strict=True)]


def keep_best(scores: Sequence[float], share: float) -> list[bool]:
    """Keep the best share of the rows that have a score, rounded up: self-curation [li2024self].

    All that tie with the last one kept are kept too, since nothing but their order could choose between them. NaN, no
    score, is never kept. Raises ValueError for a share outside (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"share is {share}, but it is a part of the rows. Use 0 < share <= 1.")
    ranked = sorted((score for score in scores if not math.isnan(score)), reverse=True)
    if not ranked:
        return [False] * len(scores)
    threshold = ranked[math.ceil(share * len(ranked)) - 1]
    return [score >= threshold for score in scores]  # a comparison with NaN is False


def licensed(rows: Sequence[Row], allowed: Collection[str]) -> list[bool]:
    """Keep rows whose licence is on the list; one that is not on it is not allowed."""
    return [row["licence"] in allowed for row in rows]
