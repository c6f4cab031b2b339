"""The workflows of GitHub Actions cannot run here. What makes them fail, or makes them dangerous, can be read."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import release
import yaml
from course import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
HOSTS_COMMANDS = {"sudo", "git", "gh", "echo", "cat", "pip"}  # what every runner has


def read(path: Path) -> dict:
    """A workflow. YAML takes the key `on` for the truth value."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {("on" if key is True else key): value for key, value in workflow.items()}


def steps(workflow: dict) -> Iterator[dict]:
    for job in workflow["jobs"].values():
        yield from job.get("steps", ())


def commands(workflow: dict) -> str:
    """All that the workflow's shells run, with this repository at the root even if it is checked out in a folder."""
    text = "\n".join(step.get("run", "") for step in steps(workflow))
    for step in steps(workflow):
        if "actions/checkout@" in step.get("uses", "") and "path" in step.get("with", {}):
            text = re.sub(rf"(?<![\w/]){re.escape(step['with']['path'])}/", "", text)
    return text


def missing(command: str, root: Path = ROOT) -> list[str]:
    """What a shell command calls that this repository does not have: targets of make, scripts, modules, programs."""
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    absent = []
    for line in filter(None, (line.strip() for line in command.replace("\\\n", " ").splitlines())):
        program, *arguments = shlex.split(line, comments=True) or ["echo"]
        named = [word for word in arguments if not word.startswith("-") and "=" not in word]
        match Path(program).name:
            case "make":
                absent += [f"make {target}" for target in named if target not in targets]
            case "python" | "python3" if "-m" in arguments:
                module = arguments[arguments.index("-m") + 1].replace(".", "/")
                if module != "pip" and not any((root / module).with_suffix(end).exists() for end in ("", ".py")):
                    absent.append(module)
            case "bash" | "python" | "python3":
                absent += [script for script in named[:1] if not (root / script).is_file()]
            case name if name not in HOSTS_COMMANDS:
                absent.append(program)
    return absent


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_well_formed_and_harmless(path):
    workflow = read(path)
    assert workflow["on"]
    assert "pull_request_target" not in workflow["on"], "it gives secrets to strangers' code"
    assert isinstance(workflow.get("permissions"), dict), "without this a workflow may write to everything"
    assert "write" not in workflow["permissions"].values(), "a permission to write belongs to the one job that needs it"
    for name, job in workflow["jobs"].items():
        assert "uses" in job or job["timeout-minutes"] <= 120, f"{name} may hang for six hours"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_nothing_that_a_stranger_writes_gets_into_a_command(path):
    """An expression is pasted into the script before the shell reads it; in `env` it stays data."""
    assert not [step["run"] for step in steps(read(path)) if "${{" in step.get("run", "")]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_and_called_workflows_exist(path):
    workflow = read(path)
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    used += [job["uses"] for job in workflow["jobs"].values() if "uses" in job]
    for action in used:
        if action.startswith("./"):
            assert (ROOT / action).exists(), action
        else:
            assert re.fullmatch(r"[\w./-]+@(v\d+(\.\d+)*|[0-9a-f]{40})", action), f"{action} is not pinned"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_a_step_runs_is_there(path):
    assert missing(commands(read(path))) == []


def test_what_is_not_there_is_noticed(tmp_path):
    (tmp_path / "Makefile").write_text("test: lint\n\techo\n", encoding="utf-8")
    (tmp_path / "here.py").touch()
    gone = "make nothing PYTHON=python\nbash gone.sh\npython tools/gone.py --out x\npython -m gone.module\nunheard-of"
    assert missing(gone, tmp_path) == ["make nothing", "gone.sh", "tools/gone.py", "gone/module", "unheard-of"]
    assert missing("make test\npython here.py x\n# a remark\nsudo apt-get update", tmp_path) == []


def test_what_is_published_was_tested_and_is_what_the_release_builds():
    workflow = read(ROOT / ".github" / "workflows" / "pages.yml")
    assert workflow["jobs"]["test"]["uses"] == "./.github/workflows/ci.yml"
    assert set(workflow["jobs"]["deploy"]["needs"]) == {"test", "build"}
    assert "workflow_call" in read(ROOT / ".github" / "workflows" / "ci.yml")["on"]
    (folder,) = (step["with"]["path"] for step in steps(workflow) if "upload-pages" in step.get("uses", ""))
    assert ROOT / folder == release.RELEASE
    assert "make release" in [step.get("run") for step in steps(workflow)]
