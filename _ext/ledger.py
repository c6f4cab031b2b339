"""The directives {ledger}, which shows every item with its evidence, and {course}, the table of chapters and labs.

Both are generated from chapters/claims.yml and from what the committed labs measured, so neither can be out of date.
"""

import math
from collections import Counter
from dataclasses import replace
from itertools import groupby

from docutils import nodes
from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

from _ext.claims import (
    CHAPTERS,
    LABS,
    LEDGER_PAGE,
    ONE_DRAW_FILE,
    ROOT,
    SEEDS_FILE,
    VERDICTS,
    Claim,
    Evidence,
    Spread,
    duration,
    lab_minutes,
    read_evidence,
    read_ledger,
    read_one_draw,
    read_spreads,
    reading_minutes,
)
from _ext.evidence_role import badge, cited_at, cited_claims, depends_on_evidence, link, link_to_evidence
from _ext.faults import FAULTS_PAGE, link_to_faults

log = logging.getLogger(__name__)

STATUS = {"measured": "Measured", "text": "Text only", "to-come": "Not yet measured"}

VARIED = {
    "draw": "{n} draws",
    "shipped": "{n} draws, one trained model",
    "trained": "{n} trainings",
    "both": "{n} trainings, beside one trained model",
    "timed": "{n} timings",
}
"""What was repeated, by what benchmarks/seeds.py says that a number rests on."""

FILTER = """
<form id="ledger-filter" class="ledger-filter" role="search" aria-label="Ledger" hidden>
<p><label for="ledger-words">Words</label>
<input id="ledger-words" type="search" autocomplete="off" placeholder="such as top-p, cache, BERT"></p>
{selects}
<p><button type="reset">Show all</button> <output id="ledger-count" aria-live="polite"></output></p>
</form>
"""


def status(claim: Claim, evidence: list[Evidence]) -> str:
    """A key of STATUS: measured, settled in text because nothing can be measured, or still to come."""
    return "measured" if evidence else "text" if claim.text_only else "to-come"


def by_claim(evidence: dict[str, Evidence]) -> dict[str, list[Evidence]]:
    """The evidence of each claim, in the order of the labs."""
    found: dict[str, list[Evidence]] = {}
    for record in evidence.values():
        found.setdefault(record.claim, []).append(record)
    return found


def spread_in_words(record: Evidence, spread: Spread | None) -> str:
    """A number's least and greatest value over the seeds, such as "5 draws: 0.61 to 0.7"; "" if it is always exact."""
    if spread is None:
        return "tried at one seed"
    values = [value for value in (record.value, *(other.value for other in spread.records)) if math.isfinite(value)]
    low, high = (replace(record, value=value).number for value in (min(values), max(values)))
    if record.exact:
        if spread.holds:
            return ""
        low, high = (replace(record, value=value, low=value, high=value).number for value in (min(values), max(values)))
    what = VARIED[spread.varied].format(n=len(values))
    return f"{what}: {low} to {high}" if low != high else f"{what}: always {low}"


def steadiness(evidence: dict[str, Evidence], spreads: dict[str, Spread], one_draw: dict[str, str]) -> str:
    """A sentence: how many numbers were tried at other seeds, and what came of it."""
    held = {key for key, spread in spreads.items() if spread.holds and key not in one_draw}
    exact = sum(evidence[key].exact for key in held)
    return (
        f"Of the {len(evidence):,} numbers, {exact:,} are exact at every seed, {len(held) - exact:,} more lie in their "
        f"range at every seed, and {len(one_draw):,} belong to one draw."
    )


def select(name: str, label: str, choices: dict[str, str]) -> str:
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in choices.items())
    field = f"ledger-{name}"
    options = f'<option value="">all</option>{options}'
    return f'<p><label for="{field}">{label}</label> <select id="{field}">{options}</select></p>'


def filter_form(present: set[str]) -> nodes.raw:
    """The form; of the states of STATUS it offers those that are present."""
    chapters = {f"home-{chapter}": f"{int(chapter[:2])}. {title}" for chapter, title in CHAPTERS.items()}
    verdicts = {f"is-{verdict}": text for verdict, text in VERDICTS.items()}
    states = {f"status-{state}": text for state, text in STATUS.items() if state in present}
    selects = (
        select("verdict", "Verdict", verdicts),
        select("chapter", "Chapter", chapters),
        select("status", "Evidence", states),
    )
    return nodes.raw("", FILTER.format(selects="\n".join(selects)), format="html")


def counts(claims: list[Claim], evidence: dict[str, list[Evidence]]) -> str:
    """A Markdown table: how many items have each verdict, and how many of them are settled."""
    of = Counter((claim.verdict, status(claim, evidence.get(claim.id, []))) for claim in claims)
    lines = ["| verdict | items | measured | text only | to come |", "| --- | --: | --: | --: | --: |"]
    for verdict, text in VERDICTS.items():
        row = [of[verdict, state] for state in STATUS]
        lines.append(f"| {text} | {sum(row)} | {' | '.join(map(str, row))} |")
    total = [sum(of[verdict, state] for verdict in VERDICTS) for state in STATUS]
    lines.append(f"| **all** | **{sum(total)}** | {' | '.join(f'**{n}**' for n in total)} |")
    return "\n".join(lines)


class LedgerDirective(SphinxDirective):
    """All items by section of the notes, after a table of counts and a form that filters them."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        depends_on_evidence(self.env)
        for path in (SEEDS_FILE, ONE_DRAW_FILE):
            self.env.note_dependency(str(path))
        claims = list(read_ledger().values())
        self.evidence = by_claim(read_evidence())
        self.spreads, self.one_draw = read_spreads(read_evidence()), read_one_draw()
        steady = steadiness(read_evidence(), self.spreads, self.one_draw)
        present = {status(claim, self.evidence.get(claim.id, [])) for claim in claims}
        table = self.parse_text_to_nodes(f"{counts(claims, self.evidence)}\n\n{steady}")
        page: list[Node] = [*table, filter_form(present)]
        for part, group in groupby(claims, lambda claim: claim.section.partition(" > ")[0]):
            section = self._section(part)
            for title, items in groupby(group, lambda claim: claim.section.partition(" > ")[2]):
                inner = self._section(title, within=part) if title else section
                inner += [self._item(claim) for claim in items]
                if title:
                    section += inner
            page.append(section)
        return page

    def _section(self, title: str, within: str = "") -> nodes.section:
        name = nodes.make_id(f"notes-{within}-{title}")
        return nodes.section("", nodes.title("", title), ids=[name], names=[name], classes=["ledger-section"])

    def _item(self, claim: Claim) -> nodes.container:
        records = self.evidence.get(claim.id, [])
        classes = ["claim", f"is-{claim.verdict}", f"home-{claim.chapter}", f"status-{status(claim, records)}"]
        name = nodes.reference("", claim.id, refuri=f"#claim-{claim.id}", classes=["claim-id"])
        item = nodes.container(ids=[f"claim-{claim.id}"], classes=classes)
        item += nodes.paragraph("", "", badge(claim.verdict), nodes.Text(" "), name, classes=["claim-head"])
        item += self._line("The notes", [nodes.Text(claim.claim)], "notes-say")
        item += self._line("Checked", [nodes.Text(claim.correct)])
        if claim.sources:
            citations, messages = self.parse_inline("{cite:t}`" + ",".join(claim.sources) + "`")
            item += self._line("Sources", citations + messages, "aside")
        item += self._line("Home", self._home(claim), "aside", "claim-home")
        if records:
            item += self._line("Evidence", [], "aside")
            item += nodes.bullet_list("", *map(self._number, records))
            if faults := link_to_faults(self.env, claim.id):
                item += self._line("Broken by", [faults], "aside")
        elif claim.text_only:
            item += self._line(
                "Evidence", [nodes.Text(f"Nothing to measure ({claim.reason or 'text only'}).")], "aside"
            )
        else:
            item += self._line("Evidence", [nodes.Text(f"Lab {claim.lab}, not yet measured.")], "aside")
        return item

    def _number(self, record: Evidence) -> nodes.list_item:
        reason = self.one_draw.get(record.key)
        bound = record.range if not record.exact else "exact" if reason is None else "exact for this draw"
        spread = spread_in_words(record, self.spreads.get(record.key))
        said = "; ".join(filter(None, (bound, spread)))
        text = [nodes.Text(f"{record.what}: "), link_to_evidence(self.env, record), nodes.Text(f" ({said})")]
        if reason is not None:
            text.append(nodes.Text(f" One draw: {reason}"))
        return nodes.list_item("", nodes.paragraph("", "", *text))

    def _line(self, label: str, content: list[Node], *classes: str) -> nodes.paragraph:
        return nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "), *content, classes=list(classes))

    def _home(self, claim: Claim) -> list[Node]:
        chapter, lab = home_pages(claim)
        title = f"Chapter {int(claim.chapter[:2])}, {CHAPTERS[claim.chapter]}"
        return [
            self._link_if_written(chapter, title, claim),
            nodes.Text("; "),
            self._link_if_written(lab, f"lab {claim.lab}", claim),
        ]

    def _link_if_written(self, page: str, text: str, claim: Claim) -> Node:
        if page not in self.env.found_docs:
            return nodes.Text(text)
        return link(self.env, page, cited_at(claim.id), "", nodes.Text(text), classes=[])


def home_pages(claim: Claim) -> tuple[str, str]:
    """The pages of the chapter that explains a claim and of the lab that measures it."""
    return f"chapters/{claim.chapter}", f"labs/{claim.lab}_{LABS[claim.lab][0]}"


def link_other_places(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Add to the home of each claim the other pages that name it, with links to the place."""
    if page != LEDGER_PAGE:
        return
    places: dict[str, list[str]] = {}
    for other in sorted(app.env.found_docs):
        for claim in cited_claims(app.env, other):
            places.setdefault(claim, []).append(other)
    for item in [node for node in doctree.findall(nodes.container) if "claim" in node["classes"]]:
        claim = read_ledger()[item["ids"][0].removeprefix("claim-")]
        also = [other for other in places.get(claim.id, ()) if other not in (*home_pages(claim), FAULTS_PAGE)]
        home = next(line for line in item.findall(nodes.paragraph) if "claim-home" in line["classes"])
        for place, other in enumerate(also):
            folder, _, name = other.partition("/")
            text = nodes.Text(f"{folder.removesuffix('s')} {int(name[:2]) if folder == 'chapters' else name[:2]}")
            home += nodes.Text(", " if place else "; also ")
            home += make_refnode(app.builder, page, other, cited_at(claim.id), text)


class CourseDirective(SphinxDirective):
    """The table of chapters and labs: a link where one exists, "to come" where not; times; the items settled so far."""

    def run(self) -> list[Node]:
        """What the directive puts into the page."""
        depends_on_evidence(self.env)
        self.env.note_reread()
        evidence = by_claim(read_evidence())
        claims = read_ledger().values()
        lines = ["| chapter | reading | labs | items | measured |", "| --- | --- | --- | --: | --: |"]
        total = 0
        for chapter, title in CHAPTERS.items():
            mine = [claim for claim in claims if claim.chapter == chapter]
            measured = sum(claim.id in evidence for claim in mine)
            page, name = f"chapters/{chapter}", f"{int(chapter[:2])}. {title}"
            written = page in self.env.found_docs
            minutes = reading_minutes(chapter) if written else 0
            labs, more = self._labs([f"{n}_{lab}" for n, (lab, home) in LABS.items() if home == chapter])
            total += minutes + more
            name = f"[{name}](/{page})" if written else f"{name} (to come)"
            lines.append(f"| {name} | {duration(minutes)} | {labs} | {len(mine)} | {measured} |")
        total = 60 * round(total / 60)
        table = self.parse_text_to_nodes("\n".join(lines))
        for node in table:
            if isinstance(node, nodes.table):
                node["classes"] += ["course-table", "stacked"]
        return [
            *table,
            *self.parse_text_to_nodes(f"That is about {duration(total)} in all."),
        ]

    def _labs(self, names: list[str]) -> tuple[str, int]:
        """Links to the labs that exist, each with its time, then the numbers of those to come; and the minutes."""
        texts, total = [], 0
        written = [name for name in names if f"labs/{name}" in self.env.found_docs]
        for name in written:
            try:
                minutes = lab_minutes(ROOT / "labs" / f"{name}.ipynb")
            except ValueError as error:
                log.warning("%s", error, location=self.get_location(), type="course")
                minutes = 0
            texts.append(f"[{name[:2]}](/labs/{name}) ({duration(minutes)})")
            total += minutes
        missing = [name[:2] for name in names if name not in written]
        return "; ".join(texts + ([f"{', '.join(missing)} (to come)"] if missing else [])), total


def add_script(app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None) -> None:
    if page == LEDGER_PAGE:
        app.add_js_file("ledger.js", loading_method="defer")


def setup(app: Sphinx) -> dict:
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("course", CourseDirective)
    app.connect("html-page-context", add_script)
    app.connect("doctree-resolved", link_other_places)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
