"""Build the website: execute pages that are out of date, compose them, call Jupyter Book."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from brainalign.companion import WorkError, cache, kernels
from brainalign.companion.availability import in_words, lacks, note
from brainalign.companion.compose import Part, compose
from brainalign.companion.explorer import (
    Explorer,
    check_scores,
    check_seconds,
    labels,
    plan_explorers,
    to_execute,
)
from brainalign.companion.notebooks import (
    book_root,
    notebook_names,
    notebook_path,
    page_settings,
    read_notebook,
    title,
)
from brainalign.companion.project import launch_links, read_project
from brainalign.companion.run import Execution, plan
from brainalign.companion.site import citing, gallery, reference, slides, takeaway
from brainalign.companion.site.explorer_section import section
from brainalign.companion.site.records import notebook_without_path, without_path
from brainalign.companion.site.website import INDEX, build, is_current
from brainalign.errors import InputError, suggestion
from brainalign.files import atomic_path
from brainalign.parallel import cpu_count, progress

_EXECUTED = Path("book/executed")
# What the page that reads most, the reliability of the testbed, takes.
MEMORY_OF_PAGE = 4 * 2**30


def book_notebooks() -> list[str]:
    """Notebooks with a page in the book, in the order of its table of contents.

    Raises
    ------
    InputError
        If the table of contents names a notebook that does not exist.
    """
    names = [Path(file).name for file in pages_listed() if Path(file).parent == _EXECUTED]
    for name in names:
        notebook_path(name)
    return names


def pages_listed() -> list[str]:
    """Files of the table of contents, from the book's folder and without ending, in order."""
    import yaml

    return _toc_files(yaml.safe_load((book_root() / "_toc.yml").read_text(encoding="utf-8")))


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
    called: Mapping[str, str] | None = None,
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
        Notebooks to look at; the others stay as they are.
    say
        Takes one line for every page executed or left out.
    called
        What executions are called there, by their names; the others as `label` says.

    Returns
    -------
    int
        Number of executions.

    Raises
    ------
    WorkError
        If one failed, after the others have ended.
    """
    todo, called = [], called or {}
    for name, executions in pages.items():
        if only is not None and name not in only:
            continue
        for execution in executions:
            told = called.get(execution.name, label(execution))
            if missing := lacks(execution):
                say(f"{told}: left out; {in_words(missing)}")
                continue
            if reasons := cache.stale_reasons(execution):
                todo.append(execution)
                say(f"{told}: {'; '.join(reasons)}")
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
        text = without_path(note(missing), execution.parameters.get("study"))
        return Part(execution.parameters, read_notebook(execution.path), text)
    path = cache.page_folder(execution) / f"{execution.notebook}.ipynb"
    if not path.is_file():
        return Part(execution.parameters, read_notebook(execution.path), _not_yet(execution))
    notebook = nbformat.read(path, as_version=4)
    study = execution.parameters.get("study")
    return Part(execution.parameters, notebook_without_path(notebook, study))


def _not_yet(execution: Execution) -> str:
    """Markdown that stands for a part that the command was not asked to execute."""
    return (
        ":::{admonition} Not executed yet\n:class: note\n"
        "This part was not asked for when the book was built. To execute it:\n\n"
        f"```bash\nbrainalign book --only {execution.notebook}\n```\n:::"
    )


def write_pages(
    pages: Mapping[str, Sequence[Execution]], explorers: Mapping[str, Explorer] | None = None
) -> list[Path]:
    """Compose the executed pages into the book's folder.

    Parameters
    ----------
    pages
        From `plan_pages`.
    explorers
        From `explorer.plan_explorers`.

    Returns
    -------
    list of pathlib.Path
        The pages; those that did not change are not written again.
    """
    import nbformat

    root, composed, files, written = book_root(), {}, {}, []
    sections = {name: section(explorer) for name, explorer in (explorers or {}).items()}
    project = read_project(root)
    for name, executions in pages.items():
        parts = [_part(execution) for execution in executions]
        links = (launch_links(project, name), slides.write_slides(root, name, parts))
        parts, offered = takeaway.add_boxes(parts, executions, project)
        files |= offered
        composed[name] = gallery.label_figures(
            compose(parts, " · ".join(filter(None, links)), sections.get(name, ())), name
        )
        citing.add_section(composed[name], name, parts, root)
        text = nbformat.writes(composed[name]) + "\n"
        target = root / _EXECUTED / f"{name}.ipynb"
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            with atomic_path(target) as temporary:
                temporary.write_text(text, encoding="utf-8")
        written.append(target)
    takeaway.write_files(root / _EXECUTED, files)
    gallery.write_gallery(root, composed)
    slides.write_list(root, {name: title(page) for name, page in composed.items()})
    return written


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
    from brainalign.companion import speed, teach
    from brainalign.companion.site import crate, record_pages, records

    _check_known(only or [], "--only")
    pages = plan_pages(changes)
    explorers = plan_explorers(pages, changes)
    execute_stale(pages, jobs, only, say)
    # Afterwards, because pages leave the scores that their variants read.
    execute_stale(to_execute(explorers), jobs, only, say, labels(explorers))
    check_seconds(pages, explorers, only)
    check_scores(pages, explorers, only)
    write_pages(pages, explorers)
    shown = {name: [*pages[name], *extra] for name, extra in to_execute(explorers).items()}
    citing.write_page(book_root())
    reference.write_reference(book_root(), pages_listed())
    teach.write_chapters(list(pages))
    # After the notebooks, so that they do not disturb a benchmark.
    speed.write_page(book_root(), say, measure=only is None)
    records.note_sources(book_root(), pages | shown)
    if not (is_current(book_root()) and crate.is_there(book_root())):
        kept = records.read_book(pages | shown)
        record_pages.write_pages(book_root(), kept)
        build(book_root())
        crate.write(book_root(), kept)
    return book_root() / INDEX
