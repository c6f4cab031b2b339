"""Text to curate and to train on: the documentation of the Python that runs, a crawl with labels, published mixtures.

Nothing is downloaded. The documentation differs from one release of Python to the next, so its size is never a fact.
"""

import ast
import random
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# ----------------------------------------------------------------------------------------- the documentation of Python

SHORTEST_DOCUMENT = 40  # characters; what is shorter says little
SHORTEST_LINE = 20  # characters; shorter lines repeat by nature: "Returns:", "Example:"


def documentation() -> list[str]:
    """The documentation of the running Python: its reference topics, and the docstrings of its top modules.

    Each document is one topic or one docstring; a line that occurred in an earlier document is left out, because text
    in both the training and the test part would be learned by heart. About 1.2 MB. Raises OSError if this Python came
    without its documentation and its source.
    """
    documents = [*_topics(), *_docstrings()]
    if not documents:
        raise OSError("This Python has neither its reference topics nor its source: use the one from python.org.")
    return without_repeated_lines(documents)


def _topics() -> list[str]:
    """What help("topics") shows: chapters of the language reference."""
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return []
    return [topics[name] for name in sorted(topics)]


def _docstrings() -> Iterator[str]:
    """The docstrings of the standard library's top modules, in the order of the files."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        yield from filter(None, (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)))


def without_repeated_lines(documents: Sequence[str]) -> list[str]:
    """The documents, each line of 20 characters or more at its first place only; what then is too short is dropped."""
    seen: set[str] = set()
    kept = []
    for document in documents:
        lines = []
        for line in document.splitlines():
            text = line.strip()
            if len(text) < SHORTEST_LINE or text not in seen:
                lines.append(line)
            seen.add(text)
        kept.append("\n".join(lines).strip())
    return [document for document in kept if len(document) >= SHORTEST_DOCUMENT]


def split(documents: Sequence[str], test_share: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Shuffle whole documents into a training part and a test part, which has about `test_share` of the characters.

    Raises ValueError if the share is not between 0 and 1.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"The share of the test part must lie between 0 and 1; it is {test_share}.")
    shuffled = random.Random(seed).sample(documents, len(documents))
    wanted, taken, n_test = test_share * sum(map(len, documents)), 0, 0
    while taken < wanted:
        taken += len(shuffled[n_test])
        n_test += 1
    return shuffled[n_test:], shuffled[:n_test]


# ------------------------------------------------------------------------------------------------- a crawl with labels

# Kinds of pages and their shares, in percent. "good" alone is wanted: a copy adds nothing, and a leaked page holds an
# item of the test.
KINDS = {
    "good": 3,
    "copy": 3,
    "leaked": 1,
    "foreign": 25,
    "menu": 20,
    "boilerplate": 12,
    "salad": 12,
    "noise": 12,
    "careless": 12,
}

# Lines that surround the text of a page.
FURNITURE = (
    "home | news | shop | login",
    "next page >>",
    "copyright 2026 , all rights reserved",
    "cookies : accept all | settings",
    "share this page",
    "you may also like",
    "0 comments",
    "search ...",
)

NOISE, SLIPS = 0.25, 5  # the share of wrong words in noise; wrong words on a careless page

_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"
_FOREIGN = str.maketrans(_VOWELS + _CONSONANTS, _VOWELS[2:] + _VOWELS[:2] + _CONSONANTS[7:] + _CONSONANTS[:7])


@dataclass(frozen=True)
class Crawl:
    """Pages as a crawler finds them, and what each of them is: one of KINDS."""

    pages: tuple[str, ...]
    kinds: tuple[str, ...]


def crawl(documents: Sequence[str], test_items: Sequence[str], n: int, seed: int = 0) -> Crawl:
    """Make n pages of clean documents by spoiling most of them. Their kinds are drawn in the shares of KINDS.

    A document is a row of words in which " . " ends a sentence; it becomes a page of one line a sentence, with
    furniture above and below. `test_items` are documents of a test, some of which leak into the crawl.

    good: as it is; the first page is one. copy: an earlier good page with up to two words changed. leaked: an item of
    the test. foreign: the same language in other letters. menu: furniture alone. boilerplate: one sentence again and
    again. salad: the words shuffled. noise: a quarter of the words replaced. careless: five words replaced.

    Raises ValueError if there are fewer than n documents, or none to leak.
    """
    if len(documents) < n or not test_items:
        raise ValueError(f"A crawl of {n} pages needs {n} documents and at least one test item.")
    rng = random.Random(seed)
    lexicon = [word for document in documents[:500] for word in document.split()]  # as frequent as in the language
    kinds = ["good", *rng.choices(list(KINDS), list(KINDS.values()), k=n - 1)]  # so that there is something to copy
    pages, originals = [], []
    for kind, document in zip(kinds, documents, strict=False):
        words = document.split()
        if kind == "good":
            originals.append(words)
        pages.append(_page(_spoiled(kind, words, originals, test_items, lexicon, rng), rng))
    return Crawl(tuple(pages), tuple(kinds))


def _spoiled(
    kind: str,
    words: list[str],
    originals: Sequence[list[str]],
    test_items: Sequence[str],
    lexicon: Sequence[str],
    rng: random.Random,
) -> list[str]:
    """The words of a page of this kind."""
    match kind:
        case "copy":
            return _replaced(rng.choice(originals), rng.choice((0, 0, 1, 2)), lexicon, rng)
        case "leaked":
            return rng.choice(test_items).split()
        case "foreign":
            return " ".join(words).translate(_FOREIGN).split()
        case "menu":
            return []
        case "boilerplate":
            end = words.index(".") + 1 if "." in words else len(words)
            return (words[:end] * len(words))[: len(words)]
        case "salad":
            return rng.sample(words, len(words))
        case "noise":
            return _replaced(words, round(NOISE * len(words)), lexicon, rng)
        case "careless":
            return _replaced(words, SLIPS, lexicon, rng)
    return words


def _replaced(words: Sequence[str], n: int, lexicon: Sequence[str], rng: random.Random) -> list[str]:
    """The words with n of them replaced, in places and by words drawn at random."""
    new = list(words)
    for place in rng.sample(range(len(words)), min(n, len(words))):
        new[place] = rng.choice(lexicon)
    return new


def _page(words: Sequence[str], rng: random.Random) -> str:
    """One line a sentence, between lines of furniture."""
    text = f"{' '.join(words)} ".replace(" . ", " .\n").strip()
    above, below = (rng.choices(FURNITURE, k=rng.randint(1, 3)) for _ in range(2))
    return "\n".join([*above, *text.splitlines(), *below])


# ------------------------------------------------------------------------------------------------------ small specimens

# A record as a crawler stores it: what was asked for, what the server said, and the page.
WARC_RECORD = """\
WARC/1.0
WARC-Type: response
WARC-Target-URI: https://farm.example/animals
WARC-Date: 2026-05-14T09:30:00Z
Content-Type: application/http; msgtype=response

HTTP/1.1 200 OK
Content-Type: text/html; charset=utf-8
Server: nginx

<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>The farm</title>
<link rel="stylesheet" href="/static/site.css"><style>body{font:16px sans-serif}nav li{display:inline}</style>
<script>window.dataLayer=[];function track(e){dataLayer.push({event:e,at:Date.now()})}track("view")</script></head>
<body class="page light"><nav><ul><li><a href="/">home</a></li><li><a href="/news">news</a></li>
<li><a href="/shop">shop</a></li></ul></nav><main><article id="a-17" data-author="4711">
<p>The dog near the barn sleeps.</p><p>Some cows carry a basket, and the farmer works.</p>
<p>An owl often sees the old horse.</p></article></main>
<footer><a href="/terms">terms</a> <a href="/privacy">privacy</a></footer></body></html>
"""

# Words that a careless author may put on a blocklist, and pages to try it on. The pages are made up to show the
# mechanism; they say nothing about how often it happens.
BLOCKLIST = """
sex breast naked gay lesbian transgender kill shoot bomb attack drug drugs cocaine suicide abuse rape blood hate
muslim jew
"""


class SpecimenPage(NamedTuple):
    """A page for the blocklist: whether it does harm, what it is about, its text."""

    harmful: bool
    about: str
    text: str


SPECIMENS = tuple(
    SpecimenPage(mark == "!", about, text)
    for mark, about, text in (
        line.split(maxsplit=2)
        for line in """\
- health Women over fifty should have a breast scan every second year.
- health The nurse explained how to take a blood sample without pain.
- health Tell your doctor which drugs you take before the operation.
- health If you think about suicide, this line is open day and night.
- health Clear answers on sex, love and growing up, for teenagers.
- health The vaccine reduced the number of infections by half.
- law The court ruled that the search of the flat was unlawful.
- law Victims of abuse may apply for free legal help here.
- law The statute defines rape and sets out the penalties.
- law Customs seized two tons of cocaine, the prosecutor said.
- law The tenant may end the contract with three months of notice.
- identity Our choir for gay and lesbian singers meets on Thursdays.
- identity A transgender teacher tells how her school welcomed her.
- identity The Muslim community invites its neighbours to dinner.
- identity My grandmother was a Jew from Vienna who loved to waltz.
- identity The museum shows the history of the town's migrants.
- other How to kill weeds between the stones without poison.
- other The attack of the home team was too fast for the guests.
- other They shoot the film in the old harbour next spring.
- other The bread needs an hour to rise in a warm place.
- other In August you can see the comet with the naked eye.
- other Bring a coat, because the evening on the boat is cold.
! threat I know where you live, and you will be sorry tonight.
! threat They should all be put on a boat and sunk far from here.
! threat People like you do not deserve to breathe.
! slur Those people are vermin, and everybody knows it.
! slur Her kind is too stupid to vote, so why let them.
! advice Mix the two cleaners in a closed room and breathe deeply.
! advice We hate them, so let us burn down their house on Friday.
! advice Here is how to build a bomb from what is in your kitchen.""".splitlines()
    )
)

# -------------------------------------------------------------------------------------------------- published mixtures


class Source(NamedTuple):
    """A part of a published mixture: its share of what was read in percent, its size, and how often it was read."""

    share: float
    size: float
    epochs: float


# Sizes in billions of tokens; 300 billion were read [brown2020language].
GPT3_MIXTURE = {
    "Common Crawl, filtered": Source(60, 410, 0.44),
    "WebText2": Source(22, 19, 2.9),
    "Books1": Source(8, 12, 1.9),
    "Books2": Source(8, 55, 0.43),
    "Wikipedia": Source(3, 3, 3.4),
}

# Sizes in gigabytes on disk; the epochs are those of 1.4 trillion tokens [touvron2023llama].
LLAMA_MIXTURE = {
    "Common Crawl": Source(67.0, 3300, 1.10),
    "C4": Source(15.0, 783, 1.06),
    "GitHub": Source(4.5, 328, 0.64),
    "Wikipedia": Source(4.5, 83, 2.45),
    "Books": Source(4.5, 85, 2.23),
    "arXiv": Source(2.5, 92, 1.06),
    "StackExchange": Source(2.0, 78, 1.03),
}


def _mixture(table: str) -> Mapping[str, Source]:
    """Read lines of a name, a share, a size and epochs."""
    rows = (line.rsplit(maxsplit=3) for line in table.strip().splitlines())
    return {name: Source(float(share), float(size), float(epochs)) for name, share, size, epochs in rows}


# Sizes in GiB; the epochs are those for which 1,254 GiB are read [gao2020pile].
PILE_MIXTURE = _mixture("""
Pile-CC           18.11 227.12 1.0
PubMed Central    14.40  90.27 2.0
Books3            12.07 100.96 1.5
OpenWebText2      10.01  62.77 2.0
arXiv              8.96  56.21 2.0
GitHub             7.59  95.16 1.0
FreeLaw            6.12  51.15 1.5
StackExchange      5.13  32.20 2.0
USPTO Backgrounds  3.65  22.90 2.0
PubMed Abstracts   3.07  19.26 2.0
Gutenberg (PG-19)  2.17  10.88 2.5
OpenSubtitles      1.55  12.98 1.5
Wikipedia (en)     1.53   6.38 3.0
DM Mathematics     1.24   7.75 2.0
Ubuntu IRC         0.88   5.52 2.0
BookCorpus2        0.75   6.30 1.5
EuroParl           0.73   4.59 2.0
HackerNews         0.62   3.90 2.0
YoutubeSubtitles   0.60   3.73 2.0
PhilPapers         0.38   2.38 2.0
NIH ExPorter       0.30   1.89 2.0
Enron Emails       0.14   0.88 2.0
""")
