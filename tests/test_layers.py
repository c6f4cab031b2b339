"""The rule of imports: who may know whom inside labutils. It is read from the syntax trees, so nothing is run."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "labutils"

ALONE: set[str] = set()
MAY_IMPORT = {
    "__init__": {"runtime"},  # inside ready() only
    "runtime": ALONE,
    "evidence": ALONE,
    "files": ALONE,
    "world": ALONE,
    "corpora": ALONE,
    "tokenizer": ALONE,
    "curation": ALONE,
    "attention": ALONE,
    "positions": ALONE,
    "objectives": ALONE,
    "sampling": ALONE,
    "plotting": ALONE,
    "widgets": ALONE,
    "controls": ALONE,
    "attention_views": ALONE,
    "hub": {"runtime"},
    "prompting": ALONE,
    "completions": {"sampling"},
    "task_mixture": ALONE,
    "models": {"attention", "positions"},
    "weights": {"files", "models", "task_mixture", "world"},
    "training": {"evidence", "files", "runtime"},
    "synthetic": {"curation", "files", "sampling"},
    "exercises": {
        "sampling",
        "attention",
        "positions",
        "objectives",
        "curation",
        "prompting",
        "synthetic",
        "task_mixture",
    },
    "checks": {"exercises"},
    "grading": {"exercises", "checks"},
}


def imported(path: Path) -> set[str]:
    """The modules of labutils that a file imports, by their first name below the package."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write the full name of the module instead of dots"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {parts[1] for name in names if (parts := name.split("."))[0] == "labutils" and len(parts) > 1}


def unit(path: Path) -> str:
    """The module or subpackage that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = sorted(path for path in PACKAGE.rglob("*.py"))
MODULES = {unit(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_a_module_imports_only_what_its_layer_allows(path):
    own = unit(path)
    assert own in MAY_IMPORT, f"add {own} to the rule, with what it may import"
    siblings = {name for name in imported(path) if name in MODULES} - {own}
    assert siblings <= MAY_IMPORT[own], f"{own} may not import {sorted(siblings - MAY_IMPORT[own])}"


def test_figures_know_what_all_figures_share_and_not_each_other():
    def known(path: Path) -> set[str]:
        froms = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.ImportFrom))
        return {node.module for node in froms if (node.module or "").startswith("labutils")}

    imports = {path.stem: known(path) for path in (PACKAGE / "widgets").glob("[!_]*.py")}
    assert imports.pop("live") == imports.pop("parts") == set()
    assert imports
    for name, modules in imports.items():
        assert modules == {"labutils.widgets.live", "labutils.widgets.parts"}, name


def test_the_rule_has_no_circle():
    below = dict(MAY_IMPORT)
    while below:
        free = {name for name, imports in below.items() if not imports & set(below)}
        assert free, f"these import each other: {sorted(below)}"
        below = {name: imports for name, imports in below.items() if name not in free}


def test_the_rule_names_no_module_that_is_gone():
    assert set(MAY_IMPORT) == MODULES
