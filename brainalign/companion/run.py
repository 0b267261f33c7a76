"""Execute notebooks: papermill puts the parameters in, a kernel of its own runs each.

What comes out is the same from run to run: volatile metadata is dropped, what went to stderr is
kept in a log, and the parameters cell shows the values that were used.
"""

import json
import re
import shutil
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from brainalign.companion import DISK_FULL, WorkError, is_disk_full, provenance
from brainalign.companion.availability import require
from brainalign.companion.exercises import (
    ExerciseError,
    end_source,
    read_exercises,
    without_marks,
)
from brainalign.companion.kernels import manager_class
from brainalign.companion.notebooks import has_tag, notebook_path, parameters_cell, read_notebook
from brainalign.companion.output import CHANGED_VARIABLE, LEFT_OUT
from brainalign.companion.parameters import changed, read_schema, resolve, rewrite_cell
from brainalign.companion.targets import check_target, publish
from brainalign.errors import InputError
from brainalign.files import cache_folder, digest

_END_TAG = "brainalign-end"
_NOT_FOR_PAGES = ("injected-parameters", "check", _END_TAG)
_END_SOURCE = "import brainalign.companion.output as _output\n\n_output.write_modules()"
# A Unix socket's path has about 100 bytes.
_LONGEST_SOCKET_FOLDER = 80


# What published values do not depend on: the paper's rules made them, and nothing is encoded for them.
_NOT_FOR_PUBLISHED = ("layer_rule", "hemispheres", "brain_seed", "asymmetry", "baselines")
_NOT_FOR_PUBLISHED += ("untrained_seeds", "study_options", "hrf", "alphas", "window")


@dataclass(frozen=True)
class Execution:
    """One notebook with all its parameters.

    Attributes
    ----------
    notebook : str
        Its name.
    path : pathlib.Path
        Its file.
    parameters : dict
        Every parameter's value.
    changed : dict
        Those that differ from the defaults.
    """

    notebook: str
    path: Path
    parameters: dict
    changed: dict

    @property
    def idle(self) -> list[str]:
        """Those changed that change nothing, because the values are published ones."""
        published = self.parameters.get("study") == "published"
        return [name for name in self.changed if published and name in _NOT_FOR_PUBLISHED]

    @property
    def name(self) -> str:
        """Name for files: the notebook and a digest of its parameters."""
        return f"{self.notebook}-{digest(self.parameters)}"

    @property
    def log(self) -> Path:
        """File that takes what is not for the page."""
        return cache_folder() / "logs" / f"{self.name}.log"


def plan(notebook: str, values: Mapping, path: Path | None = None) -> Execution:
    """Check a notebook's name and parameters; nothing is written.

    Raises
    ------
    InputError
        For an unknown notebook or parameter, a wrong type, a value out of range.
    """
    path = path or notebook_path(notebook)
    schema = read_schema(notebook, path)
    parameters = resolve(schema, values, notebook)
    if options := parameters.get("study_options"):
        _check_options(parameters["study"], options)
    return Execution(notebook, path, parameters, changed(schema, parameters))


def _check_options(study: str, options: Mapping) -> None:
    """Refuse options of a study that it does not have, or that do not fit, before anything runs."""
    from brainalign.scores import load_options
    from brainalign.studies import check_study

    check_study(study, **load_options(study, own=options))


def execute(execution: Execution, folder: Path, warm: bool = False) -> None:
    """Execute a notebook and leave it with its results in a folder.

    Parameters
    ----------
    execution
        What to run.
    folder
        Empty folder; takes NOTEBOOK.ipynb, provenance.json, modules.json and whatever the
        notebook leaves.
    warm
        Whether its kernel comes from the server of `kernels`.

    Raises
    ------
    WorkError
        If a cell fails or the kernel dies; its sentence names the cell, or is the cell's own where
        that refused its input.
    """
    import nbformat

    source = read_notebook(execution.path)
    started, clock = time.time(), time.perf_counter()
    execution.log.parent.mkdir(parents=True, exist_ok=True)
    with open(execution.log, "w", encoding="utf-8") as log:
        try:
            executed = _run_cells(source, execution, folder, log, warm)
        except Exception as error:
            log.write(plain(traceback.format_exc()))
            raise _failure(error, source, execution) from None
        log.write(_stderr(executed))
    page = clean(executed, execution.parameters, _left_out(folder))
    nbformat.write(page, folder / f"{execution.notebook}.ipynb")
    seconds = time.perf_counter() - clock
    numbers = folder / "numbers.json"
    if not numbers.is_file():
        numbers.write_text("{}\n")
    provenance.write(execution, folder, started, seconds)


def _left_out(folder: Path) -> list[str]:
    """Tags of the cells that the notebook wants off its page, see `output.leave_out`."""
    path = folder / LEFT_OUT
    if not path.is_file():
        return []
    tags = json.loads(path.read_text(encoding="utf-8"))
    path.unlink()
    return tags


def _run_cells(source, execution: Execution, folder: Path, log: IO[str], warm: bool):
    """Run the cells in a fresh kernel; the notebook with outputs."""
    import logging

    import nbformat
    import papermill

    # asyncio reports what a cell raised while it was interrupted, after the command has ended.
    for name in ("papermill", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    notebook = nbformat.from_dict(source)
    ending = end_source(read_exercises(notebook.cells)) + _END_SOURCE
    end = nbformat.v4.new_code_cell(ending, id="cell-end", metadata={"tags": [_END_TAG]})
    notebook.cells = [*notebook.cells, end]
    with tempfile.TemporaryDirectory(prefix="brainalign-", dir=_socket_folder()) as private:
        environment = {
            "BRAINALIGN_OUTPUT": str(folder.resolve()),
            CHANGED_VARIABLE: json.dumps(execution.changed),
            "IPYTHONDIR": private,
            "PYTHONHASHSEED": "0",
        }
        return papermill.execute_notebook(
            notebook,
            None,
            parameters=execution.parameters,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            request_save_on_cell_execute=False,
            kernel_manager_class=manager_class(Path(private), environment, log, warm),
        )


def _socket_folder() -> str | None:
    return None if len(tempfile.gettempdir()) < _LONGEST_SOCKET_FOLDER else "/tmp"


def _failure(error: Exception, source, execution: Execution) -> WorkError:
    """What to say of a failed execution."""
    notebook, log = execution.notebook, execution.log
    if is_disk_full(error):
        return WorkError(DISK_FULL, log)
    name, value = getattr(error, "ename", None), getattr(error, "evalue", None)
    if name is None:
        text = plain(str(error)).strip() or type(error).__name__
        sentence = f"Notebook {notebook} could not be executed: {text.splitlines()[0]}"
        return WorkError(sentence, log)
    line = (plain(str(value)).strip().splitlines() or [""])[0]
    if name == InputError.__name__:
        return WorkError(f"Notebook {notebook}: {line}", status=2)
    if name == ExerciseError.__name__:
        return WorkError(f"Notebook {notebook}: {line}", log)
    # papermill counts all cells, including the one it put in after those of the parameters.
    index = error.cell_index + (not execution.parameters)
    first = next(i for i, cell in enumerate(source.cells) if has_tag(cell, "parameters"))
    before = source.cells[: index + 1 if index <= first else index]
    number = sum(cell.cell_type == "code" for cell in before)
    return WorkError(f"Notebook {notebook} failed in code cell {number}: {name}: {line}", log)


def plain(text: str) -> str:
    """Text without terminal colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _is_stderr(output) -> bool:
    return output.output_type == "stream" and output.name == "stderr"


def _is_widget(output) -> bool:
    return any("widget-view" in kind for kind in output.get("data", {}))


def _stderr(notebook) -> str:
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", []) if _is_stderr(o)]
    return plain("".join(output.text for output in outputs))


def clean(notebook, parameters: Mapping, left_out: Sequence[str] = ()):
    """Keep of an executed notebook what belongs on a page, the same from run to run.

    Parameters
    ----------
    notebook
        Executed by papermill.
    parameters
        The values used; they replace the defaults in the parameters cell, and the cell that
        papermill put in after it goes.
    left_out
        Tags of cells that go too.

    Returns
    -------
    nbformat.NotebookNode
        Without stderr, progress bars, times, random cell ids and papermill's metadata; without the
        checks of exercises and the marks around their solutions.
    """
    import nbformat

    cells = []
    for cell in notebook.cells:
        if any(has_tag(cell, tag) for tag in (*_NOT_FOR_PAGES, *left_out)):
            continue
        source = without_marks(cell.source) if has_tag(cell, "solution") else cell.source
        kept = {"id": f"cell-{len(cells):03d}", "cell_type": cell.cell_type, "source": source}
        volatile = {"papermill", "execution", "collapsed", "scrolled"}
        kept["metadata"] = {k: v for k, v in cell.metadata.items() if k not in volatile}
        if not kept["metadata"].get("tags", True):
            del kept["metadata"]["tags"]
        if cell.cell_type == "code":
            count = 1 + sum(c["cell_type"] == "code" for c in cells)
            kept |= {"execution_count": count, "outputs": _page_outputs(cell.outputs, count)}
        cells.append(kept)
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    metadata["brainalign"] = {"parameters": dict(parameters)}
    page = nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    )
    cell = parameters_cell(page, "executed")
    cell.source = rewrite_cell(cell.source, parameters)
    return page


def _page_outputs(outputs, count: int) -> list:
    kept = [output for output in outputs if not (_is_stderr(output) or _is_widget(output))]
    for output in kept:
        if output.output_type == "execute_result":
            output["execution_count"] = count
    return kept


def run_to(execution: Execution, target: Path, say: Callable[[str], object] | None = None) -> None:
    """Execute a notebook and leave everything in a folder, or nothing if it fails.

    Parameters
    ----------
    execution
        What to run.
    target
        Gets NOTEBOOK.ipynb, NOTEBOOK.html, figures/, table.csv, numbers.json, provenance.json.
    say
        Takes one line, once everything is checked and before the notebook is executed, and one more
        where parameters were changed that change nothing.

    Raises
    ------
    InputError
        For a target that cannot be used, and where data or a model's package are not at hand.
    WorkError
        As `execute`.
    """
    from brainalign.companion.webpage import write_webpage

    target = target.expanduser().resolve()
    check_target(target, execution.notebook)
    require(execution)
    if say and (idle := execution.idle):
        say(f"With study=published this changes nothing: {', '.join(idle)}")
    if say:
        say(f"Executing {execution.notebook}; log: {execution.log}")
    beside = next(path for path in target.parents if path.exists())
    folder = Path(tempfile.mkdtemp(prefix=".brainalign-", dir=beside))
    try:
        execute(execution, folder)
        write_webpage(folder / f"{execution.notebook}.ipynb")
        (folder / "figures").mkdir(exist_ok=True)
        for unseen in ("modules.json", "models.jsonl", "scores.jsonl", "usage.json"):
            (folder / unseen).unlink(missing_ok=True)
        publish(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
