"""Google's Lighthouse on every page of the built site, as a phone on a slow network would load it.

    make book && .venv/bin/python tools/lighthouse.py [PAGE...]

It prints the four scores of each page (performance, accessibility, best practices, SEO; 100 is best), the compressed
bytes, and the largest layout shift. A page is named like chapters/05_sampling.html; without names, all are tried.
Lighthouse is installed with npm below .cache. Its simulated network makes the scores nearly independent of this
machine's; a busy processor lowers the first one.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import book
import browser
from served import serve

VERSION = "13.5.0"
FOLDER = book.ROOT / ".cache" / f"lighthouse-{VERSION}"
SCORES = ("performance", "accessibility", "best-practices", "seo")


def install() -> Path:
    """The path of Lighthouse's command, installed if it is not there."""
    command = FOLDER / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not command.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        npm = ["npm", "install", "--silent", "--no-audit", "--no-fund", f"lighthouse@{VERSION}"]
        subprocess.run(npm, cwd=FOLDER, env=book.environment(), check=True)
    return command


def measure(command: Path, address: str) -> dict:
    """Lighthouse's report of one page."""
    with tempfile.TemporaryDirectory(prefix="lighthouse-") as folder:
        path = Path(folder, "report.json")
        flags = ["--no-sandbox", "--headless=new", *browser.ARGUMENTS, f"--user-data-dir={folder}/profile"]
        subprocess.run(
            ["node", command, address, "--quiet", "--output=json", f"--output-path={path}",
             f"--only-categories={','.join(SCORES)}", f"--chrome-flags={' '.join(flags)}"],
            env=book.environment() | {"CHROME_PATH": str(browser.find()), "HOME": os.environ.get("HOME", folder)},
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return json.loads(path.read_text(encoding="utf-8"))


def main() -> int:
    site = book.BUILD / "html"
    names = sys.argv[1:] or sorted(
        str(path.relative_to(site)) for path in site.glob("*/*.html") if path.parent.name != "_static"
    )
    if browser.find() is None or not names:
        print("This needs a built site (make book) and a Chromium (tools/browser.py).", file=sys.stderr)
        return 1
    command = install()
    print(f"Lighthouse {VERSION}, mobile")
    print(f"{'page':44} perf  acc best  seo      kB  shift  what costs points")
    below = 0
    with serve(site) as home:
        for name in names:
            report = measure(command, f"{home}/{name}")
            points = [round(100 * (report["categories"][score]["score"] or 0)) for score in SCORES]
            audits = report["audits"]
            weight = audits["total-byte-weight"]["numericValue"] / 1024
            shift = audits["cumulative-layout-shift"]["numericValue"]
            counted = {
                ref["id"] for score in SCORES for ref in report["categories"][score]["auditRefs"] if ref["weight"] > 0
            }
            lost = [id for id in counted if (audits[id]["score"] or 1) < 0.9]
            below += any(point < 95 for point in points)
            print(
                f"{name:44} {' '.join(f'{point:4}' for point in points)} {weight:7.0f} {shift:6.3f}  {', '.join(lost)}",
                flush=True,
            )
    print(f"{below} of {len(names)} pages have a score below 95.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
