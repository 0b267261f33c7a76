"""What a reader can take from a part of a page: its parameters, its command, its files.

Every executed part ends with a box: a table of its parameters, the command that remakes it, links
that open its notebook elsewhere, and downloads. The files lie beside the composed pages, below
`book/executed/files/NOTEBOOK/STUDY`, and Sphinx copies them into the website.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from brainalign.companion import cache
from brainalign.companion.compose import Part, source_text
from brainalign.companion.notebooks import parameters_cell, read_notebook
from brainalign.companion.output import CHANGED_VARIABLE, command, html_table
from brainalign.companion.parameters import read_schema, resolve, rewrite_cell, to_source
from brainalign.companion.project import PUBLISHED_NOTEBOOKS, Project, part_links
from brainalign.companion.run import Execution
from brainalign.companion.site.records import published_result, without_path
from brainalign.files import atomic_path

FILES = "files"
PUBLISHED = "published"
# A larger SVG holds thousands of shapes; its PNG says as much.
LARGEST_SVG = 1_000_000
# The module that loads language models, and those that fit activations on a page itself.
_LOADER = "brainalign.loading"
_FITTERS = {"brainalign.decoding", "brainalign.significance"}
_RESULTS = {
    "table.csv": "Data of the main table",
    "numbers.json": "Numbers of this part",
    "provenance.json": "Versions, checksums and run time",
}
_INSTALL = """# Colab lacks the package of this notebook; everywhere else this cell does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    package = "brainalign @ git+{repository}@{branch}"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", package], check=True)"""
_CHANGED = """# Commands printed further down repeat the parameters above.
import os

os.environ["{variable}"] = {changed!r}"""


def slugs(executions: Sequence[Execution]) -> list[str]:
    """Short names of a page's parts for files and labels: the study, numbered where it returns.

    Of a study that is a folder, its last part counts, so that no local path is published.
    """
    found: list[str] = []
    for execution in executions:
        study = str(execution.parameters.get("study", "")).rstrip("/").rpartition("/")[2]
        slug = re.sub(r"[^A-Za-z0-9]+", "-", study).strip("-") or "page"
        number = 1 + sum(
            re.fullmatch(rf"{re.escape(slug)}(-\d+)?", other) is not None for other in found
        )
        found.append(slug if number == 1 else f"{slug}-{number}")
    return found


def parameter_table(execution: Execution, caption: str) -> str:
    """HTML table of a part's resolved parameters; the default stands beside a value that differs."""
    import pandas as pd

    schema = read_schema(execution.notebook, execution.path)
    default = resolve(schema, {}, execution.notebook)
    rows = [
        {
            "parameter": parameter,
            "value": _shown(value),
            "default, where it differs": _shown(default[parameter])
            if parameter in execution.changed
            else "",
            "meaning": schema[parameter].meaning,
        }
        for parameter, value in execution.parameters.items()
    ]
    return html_table(pd.DataFrame(rows), caption)


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value else to_source(value)


def source_notebook(execution: Execution, project: Project | None = None) -> bytes:
    """The source notebook with a part's parameters in its parameters cell, not executed.

    Parameters
    ----------
    execution
        The part.
    project
        Given for a copy that opens on Colab: a first cell then installs the package there.

    Returns
    -------
    bytes
        The notebook's file; the same from run to run.
    """
    import nbformat

    study = execution.parameters.get("study")
    notebook = read_notebook(execution.path)
    cell = parameters_cell(notebook, execution.notebook)
    cell.source = without_path(rewrite_cell(cell.source, execution.parameters), study)
    changed = without_path(json.dumps(execution.changed, ensure_ascii=False), study)
    text = _CHANGED.format(variable=CHANGED_VARIABLE, changed=changed)
    position = notebook.cells.index(cell) + 1
    notebook.cells.insert(position, nbformat.v4.new_code_cell(text, id="cell-changed"))
    if project:
        text = _INSTALL.format(repository=project.repository, branch=project.branch)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(text, id="cell-install"))
    return (nbformat.writes(notebook) + "\n").encode()


def needs_torch(execution: Execution) -> bool:
    """Whether a part runs or fits a language model itself, where others read kept scores."""
    folder = cache.page_folder(execution)
    modules = cache.read_modules(folder)
    reads = bool(cache.read_scores(folder))
    return bool(_FITTERS & {*modules}) or (_LOADER in modules and not reads)


def part_files(execution: Execution) -> dict[str, bytes]:
    """Files that a part offers, by name: figures, results, the notebook.

    An SVG larger than `LARGEST_SVG` is left out; its PNG is there.
    """
    folder = cache.page_folder(execution)
    paths = [p for p in sorted((folder / "figures").glob("*")) if p.suffix in (".png", ".svg")]
    paths = [p for p in paths if p.suffix != ".svg" or p.stat().st_size <= LARGEST_SVG]
    paths += [folder / name for name in _RESULTS if (folder / name).is_file()]
    study = execution.parameters.get("study")
    files = {path.name: published_result(path, study) for path in paths}
    return files | {f"{execution.notebook}.ipynb": source_notebook(execution)}


def _size(content: bytes) -> str:
    if len(content) >= 1_000_000:
        return f"{len(content) / 1e6:.1f} MB"
    return f"{max(1, round(len(content) / 1000))} kB"


def _downloads(execution: Execution, files: Mapping[str, bytes], folder: str) -> list[str]:
    """Markdown list of a part's files, those of one figure in one line."""

    def link(name: str) -> str:
        return f"{{download}}`{name} <{folder}/{name}>` ({_size(files[name])})"

    figures = dict.fromkeys(Path(n).stem for n in files if n.endswith((".png", ".svg")))
    lines = []
    for figure in figures:
        kinds = [f"{figure}{kind}" for kind in (".svg", ".png")]
        text = ", ".join(link(name) for name in kinds if name in files)
        note = "" if kinds[0] in files else " (as SVG too large; `brainalign run` leaves it)"
        lines.append(f"- Figure: {text}{note}")
    lines += [f"- {what}: {link(name)}" for name, what in _RESULTS.items() if name in files]
    return [*lines, f"- Notebook with these parameters: {link(f'{execution.notebook}.ipynb')}"]


def box(
    execution: Execution,
    slug: str,
    files: Mapping[str, bytes],
    links: str = "",
    several: bool = False,
) -> str:
    """Markdown of the box that ends a part.

    Parameters
    ----------
    execution
        The part.
    slug
        Its short name, unique on the page.
    files
        What it offers, from `part_files`.
    links
        Markdown that opens the notebook elsewhere; may be empty.
    several
        Whether the page has other parts, so that the box says which one it belongs to.

    Returns
    -------
    str
        An admonition that unfolds.
    """
    heading = source_text(execution.parameters)[0] if several else ""
    folder = f"{FILES}/{execution.notebook}/{slug}"
    lines = [
        f"(take-{execution.notebook}-{slug})=",
        f"::::{{admonition}} Take it with you{f': {heading}' if heading else ''}",
        ":class: dropdown brainalign-takeaway",
        "",
        parameter_table(execution, f"Parameters{f' ({heading})' if heading else ''}"),
        "",
        "This command makes it again:",
        "",
        f"```bash\n{command(execution.notebook, **execution.changed)}\n```",
        "",
        *([links, ""] if links else []),
        "Downloads:",
        "",
        *_downloads(execution, files, folder),
        "::::",
    ]
    return without_path("\n".join(lines), execution.parameters.get("study"))


def add_boxes(
    parts: Sequence[Part], executions: Sequence[Execution], project: Project
) -> tuple[list[Part], dict[str, bytes]]:
    """Give every executed part of a page its box.

    Parameters
    ----------
    parts, executions
        In order; parts with a note stay as they are.
    project
        Its repository, where it is set, is what links go to.

    Returns
    -------
    list of Part
        The parts, with their boxes.
    dict of str to bytes
        The files that the boxes link to, by their paths below the composed pages.
    """
    boxed, written = [], {}
    for part, execution, slug in zip(parts, executions, slugs(executions), strict=True):
        if not part.note:
            files = part_files(execution)
            notebook = execution.notebook
            beside = f"{FILES}/{notebook}/{slug}"
            links = part_links(project, notebook, slug, beside, not needs_torch(execution))
            part = part._replace(takeaway=box(execution, slug, files, links, len(parts) > 1))
            written |= {f"{FILES}/{notebook}/{slug}/{name}": files[name] for name in files}
            if links:
                path = f"{PUBLISHED}/{PUBLISHED_NOTEBOOKS}/{notebook}-{slug}.ipynb"
                written[path] = source_notebook(execution, project)
        boxed.append(part)
    return boxed, written


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of all boxes and remove those of earlier ones.

    Parameters
    ----------
    folder
        Of the composed pages.
    files
        Paths below it to contents; a file that did not change is not written again.
    """
    for name, content in files.items():
        target = folder / name
        if not target.is_file() or target.read_bytes() != content:
            with atomic_path(target) as temporary:
                temporary.write_bytes(content)
    for top in (folder / FILES, folder / PUBLISHED):
        # The website's settings name it, be there a part to publish or not.
        top.mkdir(parents=True, exist_ok=True)
        for path in sorted(top.rglob("*"), reverse=True):
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
            elif path.is_file() and path.relative_to(folder).as_posix() not in files:
                path.unlink()
