"""The course's one setting, where it is published, and what follows from it: the addresses of wheel and labs."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where the course is published (`repository` is owner and name), its release, and its pinned packages."""

    repository: str
    branch: str
    version: str
    pins: dict[str, str]

    @property
    def wheel(self) -> str:
        """Address of the release's wheel of labutils."""
        name = f"labutils-{self.version}-py3-none-any.whl"
        return f"https://github.com/{self.repository}/releases/download/v{self.version}/{name}"

    @property
    def site(self) -> str:
        """Address at which GitHub Pages publishes the site."""
        owner, name = self.repository.split("/")
        host = f"{owner.lower()}.github.io"
        return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"

    def colab(self, path: str) -> str:
        """Address at which Colab opens a notebook, given its path in the repository."""
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.branch}/{path}"


def normalized(package: str) -> str:
    """The one spelling of a package's name that the packaging standards compare by: wadler_lindig -> wadler-lindig."""
    return re.sub(r"[-_.]+", "-", package).lower()


def read_course(root: Path = ROOT) -> Course:
    """Read `repository` from _config.yml, the version from pyproject.toml and the pins from constraints.txt.

    Raises ValueError if _config.yml does not name a repository on GitHub.
    """
    settings = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]
    if not (found := re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", settings["url"])):
        raise ValueError(
            f"_config.yml: repository.url is {settings['url']!r}; it must be https://github.com/<owner>/<name>."
        )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return Course(
        repository=found[1],
        branch=settings["branch"],
        version=project["version"],
        pins={normalized(package): version.strip() for package, version in pins.items()},
    )
