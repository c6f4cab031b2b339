"""The benchmarks of speed: how they count, what they stored, what the page makes of it, and that each still runs."""

import importlib
import json
import re
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient.exceptions import CellExecutionError

from _ext import benchmarks as page
from _ext.loglog import drawing
from benchmarks import results, run
from benchmarks.results import Benchmark, Row

ROOT = Path(__file__).resolve().parent.parent
STORED = json.loads(results.RESULTS.read_text(encoding="utf-8"))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """Imports a benchmark as its command would: from its own folder."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module


# ------------------------------------------------------------------------------------------------------ how they count


def row(ours: list[float], theirs: list[float], **fields) -> Row:
    return Row(key="a", what="ours", seconds=ours, other="theirs", other_seconds=theirs, **fields)


def test_a_ratio_is_taken_within_a_round_and_survives_a_machine_that_slows_down():
    assert row([1, 10, 100], [2, 20, 200]).ratios == [0.5] * 3


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        ([1, 3], "undecided"),
        ([1, 1.9], "faster"),
        ([2.1, 3], "slower"),
        ([1, 2], "undecided"),
        ([2.02, 2.04], "undecided"),
        ([1.96, 1.98], "undecided"),
    ],
)
def test_the_verdict_needs_all_rounds(ours: list[float], verdict: str):
    assert row(ours, [2, 2]).verdict == verdict


def test_a_round_without_the_other_is_refused():
    with pytest.raises(ValueError, match="every round"):
        row([1, 2], [1])


def test_the_first_round_does_not_count_and_calls_take_turns(script):
    turns = []
    times = script("timing").compare({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, rounds=2)
    assert turns == ["a", "b"] * 3
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 2, "b": 2}


def test_time_asleep_is_not_the_processors(script):
    timing = script("timing")
    assert timing.seconds(lambda: time.sleep(0.2)) < 0.1
    assert timing.seconds(lambda: sum(range(3_000_000))) > 0.01
    nap, busy = "time.sleep(0.5)", "exec('while time.process_time() < 0.5: pass')"
    for code, least, most in ((nap, 0, 0.4), (busy, 0.5, 1)):
        command = [sys.executable, "-c", f"import time; {code}"]
        cpu, wall = timing.of_children(lambda command=command: subprocess.run(command, check=True))
        assert least <= cpu < most
        assert wall >= 0.5


def test_a_benchmark_takes_the_place_of_its_older_self_and_leaves_the_others(tmp_path: Path):
    path = tmp_path / "results.json"
    for name, seconds in (("a", [1.0]), ("b", [2.0]), ("a", [3.0, 4.0])):
        results.write(name, Benchmark(conditions={"load": 1.5}, rows=[Row(key="k", what="w", seconds=seconds)]), path)
    found = results.read(path)
    assert {name: list(part.rows[0].seconds) for name, part in found.items()} == {"a": [3.0, 4.0], "b": [2.0]}
    assert found["a"].conditions == {"load": 1.5}
    another = Benchmark(conditions={"load": 2.5}, rows=[Row(key="j", what="w", seconds=[5.0])])
    results.write("a", another, path, keep=True)
    assert {row.key: list(row.seconds) for row in results.read(path)["a"].rows} == {"j": [5.0], "k": [3.0, 4.0]}


# ----------------------------------------------------------------------------------------------------- that each runs


@pytest.mark.parametrize("name", ["attention", "decoding", "samplers", "training", "world"])
def test_it_runs_at_a_tiny_size_and_makes_the_rows_that_are_stored(script, name: str):
    rows = script(name).rows(tiny=True)
    keys = [row.key for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(min(row.seconds) > 0 for row in rows)
    stored = {(row["key"].rstrip("0123456789"), row.get("other")) for row in STORED[name]["rows"]}
    assert {(row.key.rstrip("0123456789"), row.other or None) for row in rows} == stored


def notebook(folder: Path, source: str) -> None:
    cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "07_toy.ipynb")


def test_a_labs_seconds_are_those_of_its_kernel(script, tmp_path: Path):
    notebook(tmp_path, "import time\nstart = time.process_time()\nwhile time.process_time() < start + 1: pass")
    (found,) = script("lab_runs").rows(tmp_path)
    assert found.key == "07"
    assert 1 < found.seconds[0] < 4
    assert found.wall[0] > 1


def test_a_lab_that_fails_has_no_seconds(script, tmp_path: Path):
    notebook(tmp_path, "1 / 0")
    with pytest.raises(CellExecutionError):
        script("lab_runs").rows(tmp_path)


def test_an_import_is_timed_in_a_new_interpreter(script):
    importing = script("importing")
    (found,) = importing.rows({"package": "import labutils"}, rounds=1)
    assert found.seconds[0] < found.other_seconds[0]  # it brings no torch
    with pytest.raises(subprocess.CalledProcessError):
        importing.rows({"gone": "import labutils.gone"}, rounds=1)


def test_a_site_that_does_not_build_has_no_seconds(script):
    building = script("building")
    with pytest.raises(RuntimeError, match="does not build"):
        building.timed(lambda: 1)
    assert all((ROOT / f"{name}.md").exists() or (ROOT / f"{name}.ipynb").exists() for name in building.PAGES)


def test_the_setup_cell_that_is_timed_is_a_labs(script, tmp_path: Path):
    paths = script("setup").first_cells(tmp_path)
    sources = {name: nbformat.read(path, as_version=4).cells[0].source for name, path in paths.items()}
    assert sources["torch"] == "import torch"
    assert "labutils.ready(" in sources["setup"]


def test_the_command_runs_what_it_is_told_and_says_what_failed(monkeypatch, capsys):
    called = []

    def start(command: list) -> subprocess.CompletedProcess:
        called.append(command[1].name)
        return subprocess.CompletedProcess(command, int(command[1].name == "world.py"))

    monkeypatch.setattr(run.subprocess, "run", start)
    monkeypatch.setattr(sys, "argv", ["run.py", "attention", "world"])
    assert run.main() == 1
    assert called == ["attention.py", "world.py"]
    assert capsys.readouterr().err.rstrip().endswith("stay: world")
    monkeypatch.setattr(sys, "argv", ["run.py", "attentoin"])
    with pytest.raises(SystemExit):
        run.main()


# ----------------------------------------------------------------------------------------- what is stored and the page


def test_every_benchmark_has_stored_rows_and_a_script():
    assert set(STORED) == set(run.BENCHMARKS)
    for name, part in STORED.items():
        assert (ROOT / "benchmarks" / f"{name}.py").exists()
        keys = [row["key"] for row in part["rows"]]
        assert len(set(keys)) == len(keys) > 0
    labs = {path.name[:2] for path in (ROOT / "labs" / "solutions").glob("*.ipynb")}
    assert {row["key"] for row in STORED["lab_runs"]["rows"]} == labs


def test_what_the_page_says_in_words_holds():
    rows = {(name, row.key): row for name, part in results.read().items() for row in part.rows if row.other}
    verdicts = {key: row.verdict for key, row in rows.items()}
    middles = {key: statistics.median(row.ratios) for key, row in rows.items()}
    longest = max(row.size for key, row in rows.items() if key[0] == "attention" and row.size)
    assert {verdicts["training", f"{way}-64"] for way in ("model", "loop", "trainer")} == {"faster"}
    assert {verdicts["training", f"{way}-512"] for way in ("model", "loop", "trainer")} == {"slower"}
    assert {verdicts["decoding", way] for way in ("loop", "generate")} == {"faster"}
    assert {verdict for key, verdict in verdicts.items() if key[1].startswith("top-p")} == {"slower"}
    assert {verdict for key, verdict in verdicts.items() if key[1].startswith("repetition")} == {"faster"}
    assert {verdict for key, verdict in verdicts.items() if key[1].startswith("ours-causal")} == {"slower"}
    assert max(middles.values()) == middles["attention", f"ours-causal-forward-{longest}"]


def test_every_stored_row_is_on_the_page_with_its_ratio_and_its_spread(site: Path):
    text = (site / "chapters" / "benchmarks.html").read_text(encoding="utf-8")
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    lines = [
        [cell.get_text() for cell in line.select("td")] for line in BeautifulSoup(text, "html.parser").select("tr")
    ]
    for part in STORED.values():
        for row in part["rows"]:
            wanted = {row["what"]}
            if "size" in row:
                wanted.add(f"{row['size']:,}")
            if "other" in row:
                pairs = zip(row["seconds"], row["other_seconds"], strict=True)
                ratios = [own / other for own, other in pairs]
                middle = statistics.median(ratios)
                shown = [
                    f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}" for ratio in (middle, min(ratios), max(ratios))
                ]
                faster, slower = max(ratios) < 1 and middle <= 0.95, min(ratios) > 1 and middle >= 1.05
                side = "faster" if faster else "slower" if slower else "no clear difference"
                wanted |= {row["other"], f"{shown[0]} ({shown[1]} to {shown[2]})", side}
            assert any(wanted <= set(line) for line in lines), (row["key"], wanted)


def test_a_cost_that_is_a_power_of_the_size_is_a_straight_line_and_has_its_factor():
    rows = [row([3e-6 * n**2], [1e-4 * n], size=n) for n in (10, 100, 1000)]
    lines = page.series(rows)
    assert {name: round(page.doubling(line), 6) for name, line in lines.items()} == {"ours": 4, "theirs": 2}
    svg = ElementTree.fromstring(drawing(lines, x="size", ticks_y=page.powers_of_ten(lines), alt="<two> lines"))
    assert svg.get("aria-label") == "<two> lines"
    drawn = [
        re.findall(r"([\d.]+) ([\d.]+)", path.get("d", "")) for path in svg.iter("{http://www.w3.org/2000/svg}path")
    ]
    first, second = (
        [(float(b[1]) - float(a[1])) / (float(b[0]) - float(a[0])) for a, b in pairwise(places)]
        for places in drawn
        if len(places) == len(rows)
    )
    assert first == pytest.approx([first[0]] * 2, rel=0.01)
    assert second == pytest.approx([first[0] / 2] * 2, rel=0.02)


PAGE = """# Title

{timed}`world/sample` and {timed}`world/no-such-row`

```{benchmark} attention/step-* nothing
```
"""


def test_a_name_that_no_row_has_stops_the_build(tmp_path: Path):
    import book

    (tmp_path / "index.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "conf.py").write_text("extensions = ['myst_parser', '_ext.benchmarks']\n", encoding="utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", str(tmp_path), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, env=book.environment(), capture_output=True, text=True)
    assert done.returncode != 0
    assert "'world/no-such-row'" in done.stderr
    assert "'nothing'" in done.stderr
    assert "'world/sample'" not in done.stderr
