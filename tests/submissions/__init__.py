"""What students hand in, made up: notebooks from cells, as each tool saves them, and a small lab to grade them on."""

import json

SOFTEN = '''
def soften(logits, temperature):
    """Softmax of the logits over the temperature."""
    scaled = logits / temperature
    weights = torch.exp(scaled - scaled.max(dim=-1, keepdim=True).values)
    return weights / weights.sum(dim=-1, keepdim=True)
'''
COUNT = """
def count(words):
    counts = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    return counts
"""
FOLLOW = """
def follow(step, start, length):
    path = [start]
    while len(path) < length:
        path.append(step(path[-1]))
    return path
"""
SETUP = "import torch"
RIGHT = [SETUP, SOFTEN + "\ncheck('soften', soften)", COUNT, FOLLOW]


def notebook(cells: list[str], **metadata) -> dict:
    """A notebook of format 4.5, as Jupyter saves it; a cell that starts with "#md" is text."""
    return {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}, **metadata},
        "cells": [_cell(number, source) for number, source in enumerate(cells)],
    }


def _cell(number: int, source: str) -> dict:
    cell = {"id": f"cell-{number}", "metadata": {"tags": ["exercise"]}, "source": source.splitlines(keepends=True)}
    if source.startswith("#md"):
        return {**cell, "cell_type": "markdown"}
    return {**cell, "cell_type": "code", "execution_count": number, "outputs": []}


def saved_by_colab(notebook: dict) -> dict:
    """The same notebook after "Save a copy in GitHub": a badge cell without an id, ids repeated in the metadata."""
    cells = [{**cell, "metadata": {**cell["metadata"], "id": cell["id"]}} for cell in notebook["cells"]]
    badge = {
        "cell_type": "markdown",
        "metadata": {"id": "view-in-github", "colab_type": "text"},
        "source": ['<a href="https://colab.research.google.com/github/x/y/blob/main/z.ipynb"></a>'],
    }
    colab = {"provenance": [], "gpuType": "T4", "include_colab_link": True}
    return {
        **notebook,
        "metadata": {**notebook["metadata"], "colab": colab, "accelerator": "GPU"},
        "cells": [badge, *cells],
    }


def stripped(notebook: dict) -> dict:
    """The same notebook without any metadata, ids or outputs."""
    cells = [{"cell_type": cell["cell_type"], "source": "".join(cell["source"])} for cell in notebook["cells"]]
    return {"nbformat": 4, "nbformat_minor": 0, "metadata": {}, "cells": cells}


def format_3(notebook: dict) -> dict:
    """The same notebook in the format of 2013: worksheets, and code under "input"."""
    cells = [
        {"cell_type": "code", "language": "python", "metadata": {}, "outputs": [], "input": cell["source"]}
        if cell["cell_type"] == "code"
        else {"cell_type": "markdown", "metadata": {}, "source": cell["source"]}
        for cell in notebook["cells"]
    ]
    return {
        "nbformat": 3,
        "nbformat_minor": 0,
        "metadata": {"name": ""},
        "worksheets": [{"cells": cells, "metadata": {}}],
    }


def as_bytes(notebook: dict) -> bytes:
    """The file."""
    return json.dumps(notebook).encode()
