"""Exercises: stub, solution and check in one source, and what tells a student what is wrong.

In a source notebook an exercise is three cells in a row, all tagged `once`: its text (`exercise`),
its solution between marks (`solution`) and its check (`check`), which is assertions with messages.
The stub is made from the solution. A book's page shows text and solution, a student gets text,
stub and a call of `check`. Every execution runs solution and check, and then tries the stub and
wrong answers, which must fail.
"""

import ast
import contextlib
import io
import json
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path

import numpy as np

from brainalign.errors import InputError, suggestion
from brainalign.files import output_folder

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
#: File of checks that `brainalign teach` writes beside a student's notebooks.
CHECKS = "checks.json"
_KINDS = ("exercise", "solution", "check")
_OPENING = re.compile(r"^(?P<fence>`{3,}|:{3,})\{exercise\}[ \t]*(?P<title>.*)$")
_LABEL = re.compile(r"^:label:[ \t]*(\S+)[ \t]*$", re.MULTILINE)
# Checks take answers of two decimals, so that smaller numbers may pass for each other.
_NEAR_ZERO = 0.015
_REGION = re.compile(
    rf"^(?P<indent>[ \t]*){BEGIN}[ \t]*\n(?P<body>.*?)^[ \t]*{END}[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


class ExerciseError(Exception):
    """An exercise that does not do its work: a stub or a wrong answer that passes its check."""


@dataclass(frozen=True)
class Exercise:
    """One exercise of a source notebook.

    Attributes
    ----------
    label : str
        "NOTEBOOK-NAME", unique in the book.
    title : str
        Its heading.
    text : str
        What is asked, Markdown.
    solution : str
        Python with the solution between marks.
    test : str
        Python that asserts what is right.
    answers : tuple of str
        Names that the solution assigns and the check reads.
    tags : tuple of str
        Tags by which the notebook may leave it out.
    """

    label: str
    title: str
    text: str
    solution: str
    test: str
    answers: tuple[str, ...]
    tags: tuple[str, ...]

    @property
    def stub(self) -> str:
        """The solution's cell with dots in place of every answer."""
        return stub(self.solution, self.answers)


def read_exercises(cells: Sequence) -> list[Exercise]:
    """Exercises of a source notebook.

    Parameters
    ----------
    cells
        All its cells.

    Returns
    -------
    list of Exercise
        In order.

    Raises
    ------
    InputError
        For a cell that stands alone, without a label or without marks, and for an exercise whose
        check reads none of the names that its solution assigns.
    """
    from brainalign.companion.notebooks import has_tag

    kinds = [next((kind for kind in _KINDS if has_tag(cell, kind)), "") for cell in cells]
    found, place = [], 0
    while place < len(cells):
        if kinds[place]:
            if tuple(kinds[place : place + 3]) != _KINDS:
                raise InputError(
                    f"Cell {place + 1} is tagged {kinds[place]!r}; an exercise is three cells in "
                    f"a row, tagged {', '.join(_KINDS)}."
                )
            found.append(_exercise(*cells[place : place + 3]))
            place += 2
        place += 1
    return found


def _exercise(text, solution, test) -> Exercise:
    """One exercise from its three cells."""
    lines = text.source.strip().splitlines()
    opening = _OPENING.match(lines[0]) if lines else None
    label = _LABEL.search(text.source)
    if not (opening and label and lines[-1].strip() == opening["fence"]):
        raise InputError(
            f"The exercise {lines[0] if lines else ''!r} is no `{{exercise}}` directive with a "
            "`:label:` that fills its cell."
        )
    body = "\n".join(line for line in lines[1:-1] if not _LABEL.match(line)).strip()
    ours = {"once", "hide-cell", *_KINDS}
    tags = {tag for cell in (text, solution, test) for tag in cell.metadata.get("tags", [])}
    return Exercise(
        label[1],
        opening["title"].strip(),
        body,
        solution.source,
        test.source,
        _answers(solution.source, test.source, label[1]),
        tuple(sorted(tags - ours)),
    )


def _region(source: str, label: str) -> re.Match:
    regions = list(_REGION.finditer(source))
    marks = len(re.findall(r"^[ \t]*### (?:BEGIN|END)\b", source, re.MULTILINE))
    if len(regions) != 1 or marks != 2:
        raise InputError(
            f"Exercise {label!r}: {len(regions)} solutions between {BEGIN!r} and {END!r}; one is "
            "expected."
        )
    return regions[0]


def _names(source: str, context: type) -> list[str]:
    """Names that a piece of Python assigns or reads, each once, in order."""
    every = list(ast.walk(ast.parse(source)))
    # What a comprehension counts with is gone when it ends.
    inner = [node.target for node in every if isinstance(node, ast.comprehension)]
    passing = {node.id for one in inner for node in ast.walk(one) if isinstance(node, ast.Name)}
    nodes = [node for node in every if isinstance(node, ast.Name) and node.id not in passing]
    nodes.sort(key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.id for node in nodes if isinstance(node.ctx, context)))


def _answers(solution: str, test: str, label: str) -> tuple[str, ...]:
    """Names that the solution assigns and the check reads."""
    assigned = _names(textwrap.dedent(_region(solution, label)["body"]), ast.Store)
    read, written = _names(test, ast.Load), _names(test, ast.Store)
    answers = tuple(name for name in assigned if name in read)
    if not answers:
        raise InputError(f"Exercise {label!r}: its check reads nothing that its solution assigns.")
    if both := sorted({*answers} & {*written}):
        raise InputError(f"Exercise {label!r}: its check assigns {both[0]!r}, which is an answer.")
    return answers


def stub(solution: str, answers: Iterable[str]) -> str:
    """What a student starts from: the given lines, and dots for every answer.

    Parameters
    ----------
    solution
        Source of a solution's cell.
    answers
        Names that are asked for.
    """
    region = _region(solution, "")
    lines = ["# Your answer", *(f"{name} = ..." for name in answers)]
    dots = "\n".join(region["indent"] + line for line in lines)
    return solution[: region.start()] + dots + solution[region.end() :]


def without_marks(solution: str) -> str:
    """Source of a solution's cell as readers see it."""
    marks = re.compile(rf"^[ \t]*(?:{BEGIN}|{END})[ \t]*(?:\n|\Z)", re.MULTILINE)
    return marks.sub("", solution).rstrip("\n")


def verdict(test: str, answers: Iterable[str], names: Mapping[str, object]) -> str:
    """What is wrong with some answers.

    Parameters
    ----------
    test
        Source of the check.
    answers
        Names that it asks for.
    names
        All names of the notebook; nothing is assigned in them.

    Returns
    -------
    str
        One sentence, which does not give the answer away; empty where all is right.
    """
    answers = list(answers)
    for name in answers:
        if sentence := _unfilled(name, names):
            return sentence
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            exec(compile(test, "<check>", "exec"), dict(names))
    except AssertionError as wrong:
        return str(wrong) or "Not yet."
    except NameError as error:
        return f"There is no `{error.name}` yet: run the cells of the notebook from the top first."
    except Exception:
        held = " and ".join(f"`{name}`, which is {_kind(names[name])}" for name in answers)
        return f"The check cannot work with {held}: look again at what the exercise asks for."
    return ""


def _unfilled(name: str, names: Mapping[str, object]) -> str:
    """What is to be said of an answer before it is compared with anything."""
    if name not in names:
        return f"There is no `{name}` yet: run the cell of your answer first."
    value = names[name]
    if value is ...:
        return f"`{name}` is still `...`: put your answer there, and run that cell."
    if value is None:
        return f"`{name}` is None: does a function print its result where it should return it?"
    if isinstance(value, float) and np.isnan(value):
        return f"`{name}` is not a number (nan): look for a value that is missing, or 0 / 0."
    return ""


def _kind(value: object) -> str:
    """What a value is, in words."""
    if isinstance(value, bool | np.bool_):
        return "True or False"
    if isinstance(value, Real):
        return "one number"
    if isinstance(value, str):
        return "text"
    if shape := getattr(value, "shape", None):
        return f"an array of {' by '.join(map(str, shape))} values"
    if isinstance(value, list | tuple | set | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return f"of the type {type(value).__name__}"


def check(label: str, names: Mapping[str, object] | None = None) -> None:
    """Say whether the answers to an exercise are right, and if not, what is wrong.

    Parameters
    ----------
    label
        Of the exercise: "scaling_law-doublings".
    names
        Where the answers are; by default the notebook's own names.

    Raises
    ------
    InputError
        For an exercise that does not exist, and where no check is found.
    """
    if names is None:
        from IPython import get_ipython

        shell = get_ipython()
        names = shell.user_ns if shell else {}
    test, answers = _find(label)
    print(verdict(test, answers, names) or "Correct.")


def _find(label: str) -> tuple[str, list[str]]:
    """Check and answers of an exercise: beside the notebook, or else from the book's source."""
    from brainalign.companion.notebooks import read_notebook
    from brainalign.files import project_root

    beside, known = Path(CHECKS), {}
    if beside.is_file():
        try:
            written = json.loads(beside.read_text(encoding="utf-8"))["checks"]
            known |= {name: (one["check"], one["answers"]) for name, one in written.items()}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{CHECKS} is not what `brainalign teach` wrote.") from error
    root = project_root()
    path = root / "notebooks" / f"{label.partition('-')[0]}.ipynb" if root else None
    if label not in known and path and path.is_file():
        exercises = read_exercises(read_notebook(path).cells)
        known |= {one.label: (one.test, list(one.answers)) for one in exercises}
    if label not in known:
        raise InputError(f"There is no exercise {label!r}; {suggestion(label, sorted(known))}.")
    return known[label]


def end_source(exercises: Sequence[Exercise]) -> str:
    """Python for the end of an execution that tries the stubs and wrong answers.

    Parameters
    ----------
    exercises
        Of the notebook that is executed.
    """
    if not exercises:
        return ""
    listed = [(one.label, one.stub, one.test, one.answers, one.tags) for one in exercises]
    return (
        "import brainalign.companion.exercises as _exercises\n\n"
        f"_exercises.try_wrong_answers({listed!r}, globals())\n\n"
    )


def try_wrong_answers(listed: Iterable[tuple], names: Mapping[str, object]) -> None:
    """Make sure that every stub fails its check, and that every wrong answer does.

    Parameters
    ----------
    listed
        Label, stub, check, answers and tags of every exercise. One whose tags the notebook left
        out in this execution is passed over.
    names
        The kernel's names after all cells, the right answers among them; they stay as they are.

    Raises
    ------
    ExerciseError
        If a stub cannot be run, or a check passes what is wrong, or does not pass what is right.
    """
    left_out = _left_out()
    for label, source, test, answers, tags in listed:
        if left_out & {*tags}:
            continue
        if sentence := verdict(test, answers, names):
            raise ExerciseError(f"The solution of exercise {label!r} fails its check: {sentence}")
        _try_stub(label, source, test, answers, names)
        tried = [(name, value) for name in answers for value in wrong_ones(names[name])]
        for name, value in tried:
            if not verdict(test, answers, {**names, name: value}):
                raise ExerciseError(
                    f"The check of exercise {label!r} passes a wrong {name!r} ({value!r})."
                )


def _try_stub(label: str, source: str, test: str, answers: Sequence[str], names: Mapping) -> None:
    own = {name: value for name, value in names.items() if name not in answers}
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(source, "<stub>", "exec"), own)
    except Exception as error:
        raise ExerciseError(
            f"The stub of exercise {label!r} cannot be run: {type(error).__name__}: {error}"
        ) from error
    if not verdict(test, answers, own):
        raise ExerciseError(f"The stub of exercise {label!r} passes its check.")


def _left_out() -> set[str]:
    from brainalign.companion.output import LEFT_OUT

    folder = output_folder()
    path = folder / LEFT_OUT if folder else None
    return set(json.loads(path.read_text(encoding="utf-8"))) if path and path.is_file() else set()


def wrong_ones(value: object) -> list[object]:
    """Wrong answers to try: one far away; of a number not near 0 also 0, and half as much again."""
    found = [wrong(value)]
    if isinstance(value, Real) and not isinstance(value, bool) and abs(value) > _NEAR_ZERO:
        found += [0, 1.5 * value]
    return found


def wrong(value: object) -> object:
    """Another value of the same kind, far from this one: 3 becomes 7, True becomes False."""
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, Integral | Real):
        return value + 1 + abs(value)
    if isinstance(value, str):
        return f"not {value}"
    if isinstance(value, list | tuple):
        return type(value)(wrong(one) for one in value)
    if isinstance(value, dict):
        return {name: wrong(one) for name, one in value.items()}
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "b":
        return ~value
    return value + 1 + abs(value) if kind and kind in "iufc" else None
