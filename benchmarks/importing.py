"""How long a Python that was just started takes to import parts of the course, beside importing torch alone.

python benchmarks/importing.py
"""

import subprocess
import sys

from results import Row, publish
from timing import of_children

TORCH = "import torch"
WAYS = {
    "package": "import labutils",
    "sampling": "from labutils.sampling import generate",
    "models": "from labutils.models import Decoder",
    "check": "from labutils.checks import check",
}


def seconds(statement: str) -> float:
    """Of the processor, for a new interpreter that runs this."""
    cpu, _ = of_children(lambda: subprocess.run([sys.executable, "-c", statement], check=True))
    return cpu


def rows(ways: dict[str, str] = WAYS, *, rounds: int = 3) -> list[Row]:
    """All that this benchmark measures; the start of the interpreter counts on both sides."""
    times = [{name: seconds(name) for name in (TORCH, *ways.values())} for _ in range(rounds)]
    return [
        Row(
            key=key,
            what=statement,
            seconds=[row[statement] for row in times],
            other=TORCH,
            other_seconds=[row[TORCH] for row in times],
        )
        for key, statement in ways.items()
    ]


if __name__ == "__main__":
    publish("importing", rows)
