"""The course's one setting, where it is published, and what follows from it: the addresses of site, wheel and labs."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import yaml

ROOT = Path(__file__).resolve().parent.parent
PLACEHOLDER = "/".join(("OWNER", "REPO"))  # the one setting, before somebody publishes the course


@dataclass(frozen=True, kw_only=True)
class Course:
    """Where the course is published (`repository` is owner and name), its release, and its pinned packages.

    `home` is the site's address where GitHub Pages does not publish it, ending in a slash.
    """

    repository: str
    branch: str
    version: str
    pins: dict[str, str]
    home: str = ""

    @property
    def site(self) -> str:
        """Address of the site: its home, or the place where GitHub Pages publishes it."""
        if self.home:
            return self.home
        owner, name = self.repository.split("/")
        host = f"{owner.lower()}.github.io"
        return f"https://{host}/" if name.lower() == host else f"https://{host}/{name}/"

    @property
    def wheel(self) -> str:
        """Address of the wheel of labutils. It lies beside the pages, so that both are always of the same commit."""
        return f"{self.site}labutils-{self.version}-py3-none-any.whl"

    @property
    def source(self) -> str:
        """Address of the repository."""
        return f"https://github.com/{self.repository}"

    def colab(self, path: str) -> str:
        """Address at which Colab opens a notebook, given its path in the repository."""
        return f"https://colab.research.google.com/github/{self.repository}/blob/{self.branch}/{path}"

    def kaggle(self, path: str) -> str:
        """Address at which Kaggle copies a notebook, given its path in the repository."""
        return f"https://www.kaggle.com/kernels/welcome?src={self.source}/blob/{self.branch}/{path}"

    def binder(self, path: str) -> str:
        """Address at which Binder opens a file or a folder of the repository in JupyterLab."""
        return f"https://mybinder.org/v2/gh/{self.repository}/{quote(self.branch, safe='')}?urlpath=lab/tree/{path}"

    def codespaces(self) -> str:
        """Address at which GitHub makes a codespace, a container with an editor, for the repository."""
        return f"https://codespaces.new/{self.repository}/tree/{self.branch}?quickstart=1"

    def jupyterhub(self, hub: str, path: str) -> str:
        """Address at which a JupyterHub with nbgitpuller fetches the repository and opens a file or a folder of it."""
        opened = f"lab/tree/{self.repository.partition('/')[2]}/{path}"
        return (
            f"{hub.rstrip('/')}/hub/user-redirect/git-pull?repo={quote(self.source, safe='')}"
            f"&branch={quote(self.branch, safe='')}&urlpath={quote(opened, safe='')}"
        )


def normalized(package: str) -> str:
    """The one spelling of a package's name that the packaging standards compare by: wadler_lindig -> wadler-lindig."""
    return re.sub(r"[-_.]+", "-", package).lower()


def read_course() -> Course:
    """Read `repository` from _config.yml, the version from pyproject.toml and the pins from constraints.txt.

    A site that is published elsewhere than on GitHub Pages has its address in `html: baseurl` of _config.yml.

    Raises ValueError if _config.yml does not name a repository on GitHub.
    """
    configuration = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    settings, home = configuration["repository"], configuration["html"].get("baseurl", "")
    if not (found := re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", settings["url"])):
        raise ValueError(
            f"_config.yml: repository.url is {settings['url']!r}; it must be https://github.com/<owner>/<name>."
        )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    return Course(
        repository=found[1],
        branch=settings["branch"],
        version=project["version"],
        pins={normalized(package): version.strip() for package, version in pins.items()},
        home=f"{home.rstrip('/')}/" if home else "",
    )
