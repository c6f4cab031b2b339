"""Numbers as evidence: `measure` prints a number with the range it must lie in, and leaves a record of it.

A lab measures; the ledger, the chapters and the tests read what it measured with `collect`. In a notebook the record
travels in the metadata of the output, which nbval does not compare. Nothing heavy is imported here, so that the site
can read the evidence without torch.
"""

import json
import math
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import SupportsFloat

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One measured number of a claim, with the range it must lie in; an open end of the range is infinite.

    `notebook` and `cell` say where it was measured (file stem such as "12_decoding", and the id of the cell); they are
    empty until the record is read back from a notebook.
    """

    claim: str
    name: str
    what: str
    value: float
    low: float
    high: float
    unit: str = ""
    digits: int = 3
    notebook: str = ""
    cell: str = ""

    @property
    def key(self) -> str:
        """What the prose cites: the claim's id, followed by "/name" where the number has a name of its own."""
        return self.claim if self.name == self.claim else f"{self.claim}/{self.name}"

    @property
    def exact(self) -> bool:
        """Whether the range is one number, the same on every machine."""
        return self.low == self.high

    @property
    def holds(self) -> bool:
        """Whether the value lies in its range; an exact number must agree to 9 digits."""
        if self.exact:
            return math.isclose(self.value, self.low, rel_tol=1e-9, abs_tol=1e-12)
        return math.isfinite(self.value) and self.low <= self.value <= self.high

    @property
    def number(self) -> str:
        """The number as it is printed: `digits` significant digits, or the number in full where it is exact."""
        return _in_full(self.low) if self.exact else _rounded(self.value, self.digits)

    @property
    def range(self) -> str:
        """The range in words, such as "must lie in [0.69, 0.71]"."""
        if self.exact:
            return f"must be {_in_full(self.low)}"
        if math.isinf(self.low):
            return f"must be at most {_in_full(self.high)}"
        if math.isinf(self.high):
            return f"must be at least {_in_full(self.low)}"
        return f"must lie in [{_in_full(self.low)}, {_in_full(self.high)}]"

    @property
    def line(self) -> str:
        """The line that `measure` prints. Its form is known to tests/nbval_sanitize.cfg."""
        unit = f" {self.unit}" if self.unit else ""
        if self.exact:
            return f"{self.what}: = {self.number}{unit}"
        return f"{self.what}: ≈ {self.number}{unit} ({self.range})"


class OutOfRange(AssertionError):
    """A measured number, `evidence`, lies outside the range that its claim allows."""

    def __init__(self, evidence: Evidence):
        super().__init__(
            f"{evidence.key}: {evidence.what} is {evidence.value:.6g}, but it {evidence.range}. If you changed "
            f"something above, this is what the change did; if not, restart the kernel and run all cells."
        )
        self.evidence = evidence


def measure(
    claim: str,
    value: SupportsFloat,
    *,
    between: tuple[SupportsFloat, SupportsFloat],
    what: str,
    name: str | None = None,
    unit: str = "",
    digits: int = 3,
) -> None:
    """Print a measured number and record it under the id of its claim.

    `between` is the range, ends included, that the number must lie in on every machine. Use `math.inf` for an open
    end, and the same number twice for an exact result (compared to 9 digits). `name` tells several numbers of one claim
    apart. `digits` is the number of significant digits shown.

    Raises OutOfRange if the value lies outside the range or is not finite, and ValueError if an argument is unusable.
    """
    name = claim if name is None else name
    low, high = _checked_range(between)
    _check_words(claim, name, what, unit, digits)
    measured = _as_float(value)
    record = Evidence(claim=claim, name=name, what=what, value=measured, low=low, high=high, unit=unit, digits=digits)
    if not record.holds:
        raise OutOfRange(record)
    _show(record)


def collect(notebooks: Iterable[Path | str]) -> list[Evidence]:
    """Read the evidence that notebooks recorded, in the order of the notebooks and of their cells.

    Give one version of each lab (the learner's or the solution). Raises ValueError if a file is no notebook, or if two
    cells recorded the same key: the prose could not tell which of them it cites.
    """
    found: dict[str, Evidence] = {}
    for path in map(Path, notebooks):
        for record in _records(path):
            if (other := found.get(record.key)) is not None:
                raise ValueError(
                    f"{record.key} is measured twice: in {other.notebook} (cell {other.cell}) and in {record.notebook} "
                    f"(cell {record.cell}). Give one of them another name=."
                )
            found[record.key] = record
    return list(found.values())


def _records(path: Path) -> Iterable[Evidence]:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not a notebook: rebuild it with tools/labs.py build.") from None
    for cell in cells:
        for output in cell.get("outputs", ()):
            if (fields := output.get("metadata", {}).get("evidence")) is not None:
                low, high = fields["low"], fields["high"]
                numbers = {
                    "value": float(fields["value"]),
                    "low": -math.inf if low is None else float(low),
                    "high": math.inf if high is None else float(high),
                }
                yield Evidence(**(fields | numbers), notebook=path.stem, cell=cell.get("id", ""))


def _show(record: Evidence) -> None:
    """Display the record where IPython runs the code, else print its line."""
    ipython = sys.modules.get("IPython")
    if ipython is None or ipython.get_ipython() is None:
        print(record.line)
        return
    from IPython.display import display

    fields = {key: value for key, value in asdict(record).items() if key not in ("notebook", "cell")}
    # JSON knows no infinity: an open end is written as null.
    fields |= {end: None for end in ("low", "high") if math.isinf(fields[end])}
    display({"text/plain": record.line}, raw=True, metadata={"evidence": fields})


def _checked_range(between: tuple[SupportsFloat, SupportsFloat]) -> tuple[float, float]:
    try:
        low, high = (float(end) for end in between)
    except (TypeError, ValueError):
        raise ValueError(f"between must be two numbers (low, high), not {between!r}.") from None
    if math.isnan(low) or math.isnan(high) or low > high:
        raise ValueError(f"between=({low:g}, {high:g}) holds no number: give (low, high) with low <= high.")
    if math.isinf(low) and math.isinf(high):
        raise ValueError(f"between=({low:g}, {high:g}) allows everything or nothing: give at least one finite end.")
    return low, high


def _check_words(claim: str, name: str, what: str, unit: str, digits: int) -> None:
    for slug in (claim, name):
        if not SLUG.fullmatch(slug):
            raise ValueError(f"{slug!r} is not an id: use small letters, digits and single hyphens, as in claims.yml.")
    if not what.strip() or "\n" in what + unit or "≈" in what + unit:
        raise ValueError(f"what={what!r}, unit={unit!r}: say on one line, without ≈, what the number measures.")
    if digits < 1:
        raise ValueError(f"digits={digits}: show at least one significant digit.")


def _as_float(value: SupportsFloat) -> float:
    if isinstance(value, (bool, str)):
        raise ValueError(f"A measurement is a number, not {value!r}.")
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"A measurement is one number, not {value!r}.") from None


def _rounded(value: float, digits: int) -> str:
    """Round to significant digits, without an exponent between 0.0001 and ten million."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    magnitude = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits - 1 - magnitude)}f}"


def _in_full(value: float) -> str:
    return f"{value:,.10g}"
