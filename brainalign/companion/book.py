"""Build the website: execute pages that are out of date, compose them, call Jupyter Book."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib import metadata
from pathlib import Path

from brainalign.companion import DISK_FULL, WorkError, cache, kernels, says_disk_full
from brainalign.companion.availability import in_words, lacks, note
from brainalign.companion.compose import Part, compose
from brainalign.companion.notebooks import (
    book_root,
    notebook_names,
    notebook_path,
    page_settings,
    read_notebook,
    suggestion,
)
from brainalign.companion.project import book_settings, launch_links, read_project
from brainalign.companion.run import Execution, plain, plan
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, file_sha256
from brainalign.parallel import cpu_count, progress

_EXECUTED = Path("book/executed")
# What the page that reads most, the reliability of the testbed, takes.
MEMORY_OF_PAGE = 4 * 2**30
_BUILDERS = ("jupyter-book", "sphinx", "myst-nb", "sphinx-book-theme", "pydata-sphinx-theme")


def book_notebooks() -> list[str]:
    """Notebooks with a page in the book, in the order of its table of contents.

    Raises
    ------
    InputError
        If the table of contents names a notebook that does not exist.
    """
    import yaml

    toc = yaml.safe_load((book_root() / "_toc.yml").read_text(encoding="utf-8"))
    names = [Path(f).name for f in _toc_files(toc) if Path(f).parent == _EXECUTED]
    for name in names:
        notebook_path(name)
    return names


def _toc_files(entry) -> list[str]:
    """Files of a table of contents, in order."""
    if isinstance(entry, list):
        return [file for part in entry for file in _toc_files(part)]
    if not isinstance(entry, dict):
        return []
    own = [entry[key] for key in ("root", "file") if key in entry]
    return own + [
        f for key in ("parts", "chapters", "sections") for f in _toc_files(entry.get(key))
    ]


def _check_known(names, what: str) -> None:
    known = notebook_names()
    for name in names:
        if name not in known:
            raise InputError(f"{what}: there is no notebook {name!r}; {suggestion(name, known)}.")


def plan_pages(changes: Mapping[str, Mapping] | None = None) -> dict[str, list[Execution]]:
    """Executions that the book's pages are made of, all parameters checked.

    Parameters
    ----------
    changes
        Notebook to parameters that replace those of all its executions.

    Returns
    -------
    dict of str to list of Execution
        Notebook to the parts of its page.

    Raises
    ------
    InputError
        For an unknown notebook or an unsuitable parameter; nothing has been executed then.
    """
    changes = changes or {}
    _check_known(changes, "Parameter file")
    for name, values in changes.items():
        if not isinstance(values, Mapping):
            raise InputError(
                f"Parameter file: {name} holds {values!r}; a mapping of parameters is expected."
            )
    pages = {}
    for name in book_notebooks():
        settings = page_settings(read_notebook(notebook_path(name)))
        planned = [plan(name, {**page, **changes.get(name, {})}) for page in settings]
        # A changed `study` makes parts equal; one of them is enough.
        pages[name] = list({execution.name: execution for execution in planned}.values())
    return pages


def _refresh(execution: Execution, warm: bool) -> WorkError | None:
    """Execute one page; a failure comes back, so that the other pages go on."""
    try:
        cache.refresh(execution, warm)
    except WorkError as failure:
        return failure
    return None


def _refresh_all(todo: Sequence[Execution], jobs: int) -> list[WorkError]:
    """Execute pages side by side, each in a kernel of its own; what failed comes back."""
    if len(todo) < 2:
        return list(filter(None, (_refresh(execution, warm=False) for execution in todo)))
    warm = kernels.start_server()
    with ThreadPoolExecutor(jobs) as pool:
        started = [pool.submit(_refresh, execution, warm) for execution in todo]
        try:
            done = progress(as_completed(started), total=len(started), desc="notebooks")
            return [failure for one in done if (failure := one.result())]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            kernels.stop_all()
            raise


def _side_by_side() -> int:
    import psutil

    return max(1, min(cpu_count() + 1, psutil.virtual_memory().total // MEMORY_OF_PAGE))


def execute_stale(
    pages: Mapping[str, Sequence[Execution]],
    jobs: int | None = None,
    only: Sequence[str] | None = None,
    say=print,
) -> int:
    """Execute the pages that are out of date and have what they need.

    Parameters
    ----------
    pages
        From `plan_pages`.
    jobs
        Notebooks side by side; by default as many as memory allows, and at most one more than
        there are cores, because a kernel that starts or ends leaves its core idle.
    only
        Notebooks to look at; others are executed only if they never were.
    say
        Takes one line for every page executed or left out.

    Returns
    -------
    int
        Number of executions.

    Raises
    ------
    WorkError
        If one failed, after the others have ended.
    """
    todo = []
    for name, executions in pages.items():
        for execution in executions:
            if missing := lacks(execution):
                say(f"{label(execution)}: left out; {in_words(missing)}")
                continue
            wanted = only is None or name in only
            if not wanted and cache.recorded(cache.page_folder(execution)) is not None:
                continue
            if reasons := cache.stale_reasons(execution):
                todo.append(execution)
                say(f"{label(execution)}: {'; '.join(reasons)}")
            if len(todo) == 2:
                kernels.start_server()  # which imports while the other pages are looked at
    # The longest first, so that no core is left without work before the end.
    todo.sort(key=cache.seconds, reverse=True)
    for failure in _refresh_all(todo, jobs or _side_by_side()):
        raise failure
    return len(todo)


def label(execution: Execution) -> str:
    """An execution in messages: the notebook, and the study where it has one."""
    study = execution.parameters.get("study")
    return f"{execution.notebook} ({study})" if study else execution.notebook


def _part(execution: Execution) -> Part:
    """One part of a page: as it was executed, or a note where what it needs is not at hand."""
    import nbformat

    if missing := lacks(execution):
        return Part(execution.parameters, read_notebook(execution.path), note(missing))
    path = cache.page_folder(execution) / f"{execution.notebook}.ipynb"
    return Part(execution.parameters, nbformat.read(path, as_version=4))


def write_pages(pages: Mapping[str, Sequence[Execution]]) -> list[Path]:
    """Compose the executed pages into the book's folder.

    Returns
    -------
    list of pathlib.Path
        The pages; those that did not change are not written again.
    """
    import nbformat

    root, written = book_root(), []
    project = read_project(root)
    for name, executions in pages.items():
        parts = [_part(execution) for execution in executions]
        text = nbformat.writes(compose(parts, launch_links(project, name))) + "\n"
        target = root / _EXECUTED / f"{name}.ipynb"
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            with atomic_path(target) as temporary:
                temporary.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def _inputs_digest(root: Path) -> str:
    """Digest of everything that the website is built from."""
    files = [root / name for name in ("_config.yml", "_toc.yml", "pyproject.toml")]
    files += sorted(path for path in (root / "book").rglob("*") if path.is_file())
    files += [Path(__file__), Path(__file__).with_name("sphinx_page.py")]
    versions = {name: metadata.version(name) for name in _BUILDERS}
    content = {str(path): file_sha256(path) for path in files}
    return digest([content, versions])


def build(root: Path) -> Path:
    """Build the website with Jupyter Book, unless nothing has changed since the last time.

    Parameters
    ----------
    root
        Folder with _config.yml and _toc.yml.

    Returns
    -------
    pathlib.Path
        Its index.html.

    Raises
    ------
    WorkError
        If Jupyter Book warns or fails.
    """
    import yaml

    index = root / "_build" / "html" / "index.html"
    stamp = root / "_build" / "inputs.txt"
    inputs = _inputs_digest(root)
    if index.is_file() and stamp.is_file() and stamp.read_text() == inputs:
        return index
    # A build that failed must not leave a page that looks new, nor one that left the book.
    shutil.rmtree(root / "_build", ignore_errors=True)
    base = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    settings = root / "_build" / "_config.yml"
    settings.parent.mkdir(parents=True)
    settings.write_text(yaml.safe_dump(book_settings(base, read_project(root))), encoding="utf-8")
    log = cache_folder() / "logs" / "jupyter-book.log"
    failed = _call_jupyter_book(root, settings, log)
    if failed or not index.is_file():
        if says_disk_full(log.read_text(encoding="utf-8")):
            shutil.rmtree(root / "_build", ignore_errors=True)
            raise WorkError(DISK_FULL, log)
        raise WorkError(f"The website could not be built: {_first_warning(log, root)}", log)
    stamp.write_text(inputs)
    return index


def _call_jupyter_book(root: Path, settings: Path, log: Path) -> bool:
    """Run Jupyter Book with its output in a log; whether it failed or warned."""
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
    command += [str(root), "--config", str(settings), "-W", "--keep-going"]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=root, env=environment
    )
    text = plain(done.stdout.decode("utf-8", errors="replace"))
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text, encoding="utf-8")
    return done.returncode != 0


def _first_warning(log: Path, root: Path) -> str:
    lines = log.read_text(encoding="utf-8").replace(f"{root}/", "").splitlines()
    for mark in ("ERROR", "WARNING", "Error"):
        for line in lines:
            if mark in line:
                return line.strip()
    return lines[-1].strip() if lines else "Jupyter Book said nothing"


def make_book(
    jobs: int | None = None,
    only: Sequence[str] | None = None,
    changes: Mapping[str, Mapping] | None = None,
    say=print,
) -> Path:
    """Execute what is out of date and build the website.

    Parameters
    ----------
    jobs, only, say
        As in `execute_stale`.
    changes
        As in `plan_pages`.

    Returns
    -------
    pathlib.Path
        The website's index.html.
    """
    from brainalign.companion import speed

    _check_known(only or [], "--only")
    pages = plan_pages(changes)
    execute_stale(pages, jobs, only, say)
    write_pages(pages)
    # After the notebooks, so that they do not disturb a benchmark.
    speed.write_page(book_root(), say)
    return build(book_root())
