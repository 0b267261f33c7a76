"""A book of one small notebook, for the tests of the companion."""

import shutil
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]

PARAMETERS = """from brainalign.companion.parameters import Annotated, Field, Literal

study: Literal["published", "testbed"] = "testbed"  # whose brain responses
n_boot: Annotated[int, Field(ge=100, le=100_000)] = 1_000  # bootstrap samples
names: list[str] | None = None  # Wörter, or None
"""
COMPUTE = """import sys

import matplotlib.pyplot as plt
import pandas as pd

from brainalign.companion.output import record, rerun_command, show, table

print("not for the page", file=sys.stderr)
print(study, n_boot)
for name in ("up", "down"):
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, n_boot if name == "up" else -1])
    show(figure, name, alt=f"A line going {name}, {n_boot} samples")
record({"r (left)": 0.5, "n_boot": n_boot})
table(pd.DataFrame({"model": ["a", "b"], "score": [0.12345, 2.0]}), "table", "Scores")
"""


def code(source: str, *tags: str):
    """A code cell."""
    return nbformat.v4.new_code_cell(source, metadata={"tags": list(tags)} if tags else {})


def text(source: str, *tags: str):
    """A Markdown cell."""
    return nbformat.v4.new_markdown_cell(source, metadata={"tags": list(tags)} if tags else {})


def write_notebook(folder: Path, name: str, cells, pages=None) -> Path:
    """Write a notebook without outputs below `folder`/notebooks."""
    metadata = {"brainalign": {"pages": pages}} if pages else {}
    path = folder / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=metadata), path)
    return path


def tiny_cells() -> list:
    """Cells of the small notebook."""
    return [
        text("# Does it grow?\n\nWith $r = .95$.", "once"),
        code(PARAMETERS, "parameters"),
        text("(growth)=\n## Compute\n\nThe numbers."),
        code(COMPUTE),
        code('rerun_command("tiny", n_boot=200)'),
        text("## Exercise\n\n```{admonition} Try\nWhat else?\n```", "once"),
    ]


def make_project(folder: Path) -> Path:
    """A project folder with one notebook, two executions of which make its page."""
    write_notebook(folder, "tiny", tiny_cells(), [{"study": "published"}, {"study": "testbed"}])
    shutil.copy(ROOT / "_config.yml", folder)
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static")
    toc = "format: jb-book\nroot: book/index\nchapters:\n  - file: book/executed/tiny\n"
    (folder / "_toc.yml").write_text(toc)
    (folder / "book" / "index.md").write_text("# Start\n\n```{bibliography}\n```\n")
    (folder / "book" / "references.bib").write_text("")
    return folder
