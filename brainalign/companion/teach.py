"""The notebooks for a course: without solutions for students, with them for instructors.

Both come from the source notebooks (see `exercises`). Beside them lies `checks.json`: what the
students' `check` asserts, and digests of the notebooks as they were written, so that nothing that
somebody has worked in is ever replaced.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path

from brainalign.companion.exercises import CHECKS, Exercise, read_exercises, without_marks
from brainalign.companion.notebooks import (
    book_root,
    has_tag,
    notebook_names,
    notebook_path,
    read_notebook,
    title,
)
from brainalign.companion.targets import check_folder
from brainalign.companion.webpage import plain_markdown
from brainalign.errors import InputError
from brainalign.files import atomic_path

#: Page that includes the table of chapters, and the table.
PAGE, CHAPTERS = Path("book/teaching.md"), Path("book/executed/chapters.md")
_READERS = {False: "students", True: "instructors"}
_CHECK = 'from brainalign.companion.exercises import check\n\ncheck("{label}")'
_SECTIONS = {
    "goals": "What you will learn",
    "needs": "Prerequisites.",
    "reading": "Time.",
    "time": "Run time.",
}


def course_notebook(notebook, solutions: bool):
    """A notebook for a course.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        A source notebook.
    solutions
        Whether it holds the solutions or their stubs.

    Returns
    -------
    nbformat.NotebookNode
        Its text in plain Markdown, which JupyterLab shows; every exercise is its text, a cell with
        stub or solution, and a cell that checks the answer. No outputs.

    Raises
    ------
    InputError
        For an exercise that is not complete.
    """
    import nbformat

    numbers = _numbers(notebook.cells)
    exercises = zip(read_exercises(notebook.cells), numbers, strict=True)
    cells = []
    for cell in notebook.cells:
        if has_tag(cell, "exercise"):
            cells += _exercise_cells(*next(exercises), solutions)
        elif not (has_tag(cell, "solution") or has_tag(cell, "check")):
            cells.append(_cell(cell.cell_type, cell.source, cell.metadata.get("tags", [])))
    for place, cell in enumerate(cells):
        cell["id"] = f"cell-{place:03d}"
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return nbformat.from_dict(
        {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    )


def _numbers(cells: Sequence) -> list[int]:
    """Numbers of a notebook's exercises: those below its heading "Exercises" come first.

    An exercise above stands in a part of the page that some studies do not have.
    """
    below, places = False, []
    for cell in cells:
        below = below or cell.source.startswith("## Exercises")
        if has_tag(cell, "exercise"):
            places.append(below)
    order = sorted(range(len(places)), key=lambda place: not places[place])
    return [order.index(place) + 1 for place in range(len(places))]


def _cell(kind: str, source: str, tags: Sequence[str] = ()) -> dict:
    """One cell; of the tags only the one that papermill needs is kept."""
    kept = [tag for tag in tags if tag == "parameters"]
    cell = {"cell_type": kind, "metadata": {"tags": kept} if kept else {}, "source": source}
    if kind == "code":
        return cell | {"execution_count": None, "outputs": []}
    return cell | {"source": plain_markdown(source).strip()}


def _exercise_cells(exercise: Exercise, number: int, solutions: bool) -> list[dict]:
    """Text, answer and check of one exercise."""
    text = f"**Exercise {number}: {exercise.title}**\n\n{exercise.text}"
    answer = without_marks(exercise.solution) if solutions else exercise.stub
    return [
        _cell("markdown", text),
        _cell("code", answer),
        _cell("code", _CHECK.format(label=exercise.label)),
    ]


def write_course(folder: Path, solutions: bool, names: Sequence[str] | None = None) -> int:
    """Write the notebooks of a course into a folder.

    Parameters
    ----------
    folder
        Made where it does not exist. Files in it that are not ours stay.
    solutions
        With solutions, for instructors, or without, for students.
    names
        Notebooks; None takes all.

    Returns
    -------
    int
        Number of exercises in these notebooks.

    Raises
    ------
    InputError
        For an unknown notebook; for a folder of the book's own, or one that holds a notebook of the
        same name that `write_course` did not write, or that was changed since, or that is for other
        readers.
        Nothing is written then.
    """
    folder = folder.expanduser()
    check_folder(folder)
    earlier = _earlier(folder, solutions)
    texts, checks = {}, dict(earlier["checks"])
    count = 0
    for name in names or notebook_names():
        source = read_notebook(notebook_path(name))
        exercises = _exercises(source, name)
        count += len(exercises)
        checks |= {one.label: {"answers": [*one.answers], "check": one.test} for one in exercises}
        texts[f"{name}.ipynb"] = _text(course_notebook(source, solutions))
        _refuse_others(folder / f"{name}.ipynb", texts[f"{name}.ipynb"], earlier["written"])
    for name, text in texts.items():
        _write(folder / name, text)
    written = earlier["written"] | {name: _digest(text) for name, text in texts.items()}
    record = {"for": _READERS[solutions], "written": written, "checks": checks}
    _write(folder / CHECKS, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    return count


def _exercises(notebook, name: str) -> list[Exercise]:
    try:
        return read_exercises(notebook.cells)
    except InputError as error:
        raise InputError(f"Notebook {name}: {error}") from error


def _text(notebook) -> str:
    import nbformat

    return nbformat.writes(notebook) + "\n"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _earlier(folder: Path, solutions: bool) -> dict:
    """What an earlier call left in the folder."""
    path = folder / CHECKS
    if not path.exists():
        return {"written": {}, "checks": {}}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        readers, found = record["for"], {name: dict(record[name]) for name in ("written", "checks")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"Folder {str(folder)!r} holds a {CHECKS} that brainalign teach did not write; name "
            "another folder."
        ) from error
    if readers != _READERS[solutions]:
        raise InputError(
            f"Folder {str(folder)!r} holds the notebooks of {readers}; name another folder for "
            f"those of {_READERS[solutions]}."
        )
    return found


def _refuse_others(path: Path, text: str, written: dict) -> None:
    """Refuse to replace a notebook that is not as it was written."""
    if not path.exists():
        return
    try:
        now = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        now = None
    if now == text or (now is not None and _digest(now) == written.get(path.name)):
        return
    what = "was changed since it was written" if path.name in written else "is not of this course"
    raise InputError(
        f"Notebook {str(path)!r} {what}; move it away or name another folder: it is not replaced."
    )


def teach(
    student: Path | None, instructor: Path | None, names: Sequence[str] | None = None
) -> list[str]:
    """Write the notebooks of a course for students, for instructors, or for both.

    Parameters
    ----------
    student, instructor
        Folders; at least one.
    names
        Notebooks; None or an empty list takes all.

    Returns
    -------
    list of str
        One line per folder.

    Raises
    ------
    InputError
        Without a folder, for one folder named twice, and as `write_course`.
    """
    wanted = [(path, kind) for path, kind in ((student, False), (instructor, True)) if path]
    if not wanted:
        raise InputError("teach needs --student DIR, --instructor DIR, or both.")
    if len({path.expanduser().resolve() for path, _ in wanted}) < len(wanted):
        raise InputError("--student and --instructor name one folder; two are expected.")
    chosen = list(dict.fromkeys(names or notebook_names()))
    lines = []
    for path, solutions in wanted:
        count = write_course(path, solutions, chosen)
        how = "with their solutions" if solutions else "without solutions"
        books = "1 notebook" if len(chosen) == 1 else f"{len(chosen)} notebooks"
        tasks = "1 exercise" if count == 1 else f"{count} exercises"
        lines.append(f"{path}: {books}, {tasks} {how}")
    return lines


def chapter(name: str) -> dict:
    """What a notebook says of itself at its top.

    Parameters
    ----------
    name
        Of the notebook.

    Returns
    -------
    dict
        Plain text: title, goals (a list), needs, reading ("Ten minutes"), time; exercises, a number.
    """
    notebook = read_notebook(notebook_path(name))
    top = plain_markdown(notebook.cells[0].source)
    # A bold phrase opens each section and the next one ends it.
    parts = re.split(r"^\*\*(.+?)\*\*", top, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    found = {key: sections.get(phrase, "") for key, phrase in _SECTIONS.items()}
    goals = re.split(r"^- ", found["goals"], flags=re.MULTILINE)[1:]
    return {
        "title": title(notebook),
        "goals": [_line(goal).rstrip(".;") for goal in goals],
        "needs": _line(found["needs"]),
        "reading": _line(found["reading"]).removesuffix(" to read."),
        "time": _line(found["time"]),
        "exercises": len(_exercises(notebook, name)),
    }


def _line(text: str) -> str:
    return " ".join(text.split())


def chapters_text(names: Sequence[str]) -> str:
    """Chapters for the page on teaching: a table of exercises and times, then what each teaches.

    Parameters
    ----------
    names
        Notebooks, in the book's order.

    Returns
    -------
    str
        Markdown; links go to the notebooks' pages from `book/`.
    """
    rows, goals = ["| chapter | exercises | to read | run time |", "|---|--:|---|---|"], []
    for name in names:
        one = chapter(name)
        link = f"[{one['title']}](executed/{name}.ipynb)"
        told = (link, str(one["exercises"]), one["reading"].lower() or "–", one["time"])
        cells = (cell.replace("|", "\\|") for cell in told)
        rows.append(f"| {' | '.join(cells)} |")
        taught = [f"- {goal[0].upper()}{goal[1:]}." for goal in one["goals"]]
        goals += ["", f"**{link}**", "", *taught, "", f"*Needs:* {one['needs']}"]
    return "\n".join([*rows, "", "### What each teaches", *goals]) + "\n"


def write_chapters(names: Sequence[str]) -> Path | None:
    """Write the table that the page on teaching includes.

    Returns
    -------
    pathlib.Path or None
        The table, not written again where it has not changed; None for a book without the page.
    """
    root = book_root()
    if not (root / PAGE).is_file():
        return None
    target, text = root / CHAPTERS, chapters_text(names)
    if not target.is_file() or target.read_text(encoding="utf-8") != text:
        _write(target, text)
    return target
