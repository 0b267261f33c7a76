"""Small grids of parameters that a page offers to choose from, executed when the book is built.

A notebook declares them in its metadata, `brainalign.explore`::

    {"grids": [{"study": ["published"], "voxels": ["reliable", "all"]}],
     "seconds": 10, "megabytes": 1.5}

A grid is every combination of the values in its lists. What a combination, a *variant*, shows are
the cells of the notebook tagged `explore`; `explorer_section` makes a page's section of them. Both
budgets are enforced: seconds of processor time, and megabytes on the page.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from brainalign.companion import WorkError, cache
from brainalign.companion.availability import lacks
from brainalign.companion.notebooks import has_tag, notebook_path, read_notebook
from brainalign.companion.parameters import read_schema, to_source
from brainalign.companion.run import Execution, plan
from brainalign.errors import InputError, suggestion

TAG = "explore"
# What the cheapest page of the book costs, in seconds of a processor like the one that the budgets
# were written on: it reads published numbers and draws.
CHEAPEST_PAGE = 2.0
_EXPECTED = {
    "grids": "a list of grids, each with a list of values for every parameter named,",
    "seconds": "a number above 0",
    "megabytes": "a number above 0",
}


@dataclass(frozen=True)
class Variant:
    """One combination of a grid.

    Attributes
    ----------
    execution : Execution
        The notebook with these parameters.
    values : dict
        Of the parameters that its grid names.
    own : bool
        Whether it equals one of the page's parts, so that it costs nothing.
    """

    execution: Execution
    values: dict
    own: bool


@dataclass(frozen=True)
class Explorer:
    """What a page offers to choose from.

    Attributes
    ----------
    notebook : str
        Its name.
    names : tuple of str
        Parameters that can be chosen: those with more than one value.
    variants : tuple of Variant
        In the order of the grids.
    seconds, megabytes : float
        Budgets: of processor time for all executions that the page itself does not need, and of
        what is shown.
    """

    notebook: str
    names: tuple[str, ...]
    variants: tuple[Variant, ...]
    seconds: float
    megabytes: float


def declaration(notebook, name: str) -> Mapping | None:
    """What a notebook declares, its form checked; None where it declares nothing.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        The source notebook.
    name
        For messages.

    Raises
    ------
    InputError
        For a key that is unknown or missing, a value of another kind, or a notebook whose cells
        show nothing.
    """
    declared = notebook.metadata.get("brainalign", {}).get("explore")
    if declared is None:
        return None
    where = f"Notebook {name!r}: brainalign.explore"
    if not isinstance(declared, Mapping):
        raise InputError(f"{where} is {declared!r}; {', '.join(_EXPECTED)} are expected.")
    for key in declared:
        if key not in _EXPECTED:
            raise InputError(f"{where} has {key!r}; {suggestion(key, _EXPECTED)}.")
    for key, expected in _EXPECTED.items():
        value = declared.get(key)
        fits = _is_grids(value) if key == "grids" else _is_positive(value)
        if not fits:
            found = f"is {value!r}" if key in declared else "is missing"
            raise InputError(f"{where}: {key} {found}; {expected.rstrip(',')} is expected.")
    if not any(cell.cell_type == "code" and has_tag(cell, TAG) for cell in notebook.cells):
        raise InputError(f"{where} is declared; a code cell tagged {TAG!r} is expected with it.")
    return declared


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_grids(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    full = (isinstance(grid, Mapping) and len(grid) > 0 for grid in value)
    return all(full) and all(
        isinstance(values, list) and len(values) > 0 for grid in value for values in grid.values()
    )


def _combinations(grids: Sequence[Mapping[str, list]], order: Sequence[str]) -> Iterator[dict]:
    """Every combination of every grid; the last parameter changes fastest.

    The order of parameters is that of the notebook's cell, because programs that write notebooks
    sort the metadata.
    """
    for grid in grids:
        names = sorted(grid, key=[*order, *grid].index)
        for values in itertools.product(*(grid[name] for name in names)):
            yield dict(zip(names, values, strict=True))


def plan_explorer(
    name: str, parts: Sequence[Execution], changes: Mapping[str, Any] | None = None
) -> Explorer | None:
    """Executions that a page's explorer is made of, all parameters checked.

    Parameters
    ----------
    name
        Notebook.
    parts
        The page's own executions.
    changes
        Parameters that replace those of all executions.

    Returns
    -------
    Explorer or None
        None where the notebook declares none, or where the changes leave nothing to choose.

    Raises
    ------
    InputError
        Naming the notebook: for a declaration of another form, an unknown parameter, an unsuitable
        value, or two variants that the choices cannot tell apart.
    """
    declared = declaration(read_notebook(notebook_path(name)), name)
    if declared is None:
        return None
    changes, own = changes or {}, {part.name for part in parts}
    variants = {}
    order = list(read_schema(name))
    for combination in _combinations(declared["grids"], order):
        try:
            execution = plan(name, {**combination, **changes})
        except InputError as error:
            raise InputError(f"Notebook {name!r}: brainalign.explore: {error}") from error
        values = {key: execution.parameters[key] for key in combination}
        variants.setdefault(execution.name, Variant(execution, values, execution.name in own))
    names = _chosen_names(variants.values(), order)
    different = {}
    for variant in variants.values():
        first = different.setdefault(key := choice(variant, names), variant)
        if first is not variant and not changes:
            raise InputError(
                f"Notebook {name!r}: brainalign.explore has two variants with "
                f"{dict(zip(names, key, strict=True))}; a parameter with several values is "
                "expected to tell them apart."
            )
    if len(different) < 2:
        return None
    budgets = declared["seconds"], declared["megabytes"]
    return Explorer(name, names, tuple(different.values()), *budgets)


def _chosen_names(variants: Iterable[Variant], order: Sequence[str]) -> tuple[str, ...]:
    """Parameters of the grids that have more than one value."""
    found: dict[str, set] = {}
    for variant in variants:
        for name, value in variant.values.items():
            found.setdefault(name, set()).add(to_source(value))
    return tuple(name for name in order if len(found.get(name, ())) > 1)


def choice(variant: Variant, names: Sequence[str]) -> tuple[str | None, ...]:
    """A variant's values as texts; None for a parameter that its grid does not name."""
    return tuple(
        value_text(variant.values[name]) if name in variant.values else None for name in names
    )


def value_text(value: object) -> str:
    """A value as it is written in links and shown to be chosen: texts without quotes."""
    return value if isinstance(value, str) else to_source(value)


def plan_explorers(
    pages: Mapping[str, Sequence[Execution]], changes: Mapping[str, Mapping] | None = None
) -> dict[str, Explorer]:
    """Explorers of all pages that have one.

    Parameters
    ----------
    pages, changes
        From and as in `book.plan_pages`.
    """
    planned = {
        name: plan_explorer(name, parts, (changes or {}).get(name)) for name, parts in pages.items()
    }
    return {name: explorer for name, explorer in planned.items() if explorer is not None}


def to_execute(explorers: Mapping[str, Explorer]) -> dict[str, list[Execution]]:
    """Executions that pages do not need for themselves, by notebook."""
    return {
        name: [variant.execution for variant in explorer.variants if not variant.own]
        for name, explorer in explorers.items()
    }


def labels(explorers: Mapping[str, Explorer]) -> dict[str, str]:
    """Names of variants in messages, by the name of their execution: study, then the values."""
    found = {}
    for explorer in explorers.values():
        for variant in explorer.variants:
            rest = dict(variant.values)
            study = [str(rest.pop("study"))] if "study" in rest else []
            told = [f"{name}={value_text(value)}" for name, value in rest.items()]
            text = ", ".join([*study, *told])
            if not variant.own:
                found[variant.execution.name] = f"{explorer.notebook} ({text})"
    return found


def check_scores(
    pages: Mapping[str, Sequence[Execution]],
    explorers: Mapping[str, Explorer],
    only: Sequence[str] | None = None,
) -> None:
    """Refuse variants that read scores which no part of the book needs for itself.

    Fits of a variant's own cost their time once; later executions find the scores kept, and no
    budget of seconds sees them. Nothing is said before all parts of the book have been executed.

    Parameters
    ----------
    pages, explorers, only
        As for `check_seconds`.

    Raises
    ------
    WorkError
        With the first such variant and score.
    """
    parts = [part for part in itertools.chain(*pages.values()) if not lacks(part)]
    if any(cache.recorded(cache.page_folder(part)) is None for part in parts):
        return
    known = {score["key"] for part in parts for score in cache.read_scores(cache.page_folder(part))}
    grids = to_execute(explorers)
    for name in grids if only is None else set(grids) & set(only):
        for variant in grids[name]:
            for score in cache.read_scores(cache.page_folder(variant)):
                if score["key"] not in known:
                    raise WorkError(
                        f"Page {name}: a variant of its explorer, "
                        f"{labels(explorers)[variant.name]}, reads scores of {score['model']} on "
                        f"{score['study']['name']} that no page of the book has; variants choose "
                        "among what pages have computed."
                    )


def check_seconds(
    pages: Mapping[str, Sequence[Execution]],
    explorers: Mapping[str, Explorer],
    only: Sequence[str] | None = None,
) -> None:
    """Hold every explorer against its budget of seconds, made longer where the machine is slow.

    Seconds are those that a processor was busy, because they hardly grow where other programs run
    beside the book. How slow the machine is, the cheapest of all executions of the book tells: it
    imports and draws, like any other. Where it takes twice `CHEAPEST_PAGE`, all budgets are twice
    as long. So a slow machine can build the book, and a grid that asks for fits of its own fails
    everywhere.

    Parameters
    ----------
    pages
        From `book.plan_pages`.
    explorers
        From `plan_explorers`.
    only
        Notebooks to look at; None: all.

    Raises
    ------
    WorkError
        For an explorer that took longer, with what was found and what is allowed.
    """
    grids = to_execute(explorers)
    timed = {
        execution.name: cache.cpu_seconds(execution) or 0.0
        for execution in [*itertools.chain(*pages.values(), *grids.values())]
        if not lacks(execution)
    }
    factor = max(1.0, min(filter(None, timed.values()), default=0) / CHEAPEST_PAGE)
    for name in grids if only is None else set(grids) & set(only):
        found = sum(timed.get(execution.name, 0.0) for execution in grids[name])
        allowed = explorers[name].seconds * factor
        if found > allowed:
            slow = f", {factor:.1f} times as long on this machine" if factor > 1 else ""
            raise WorkError(
                f"Page {name}: the variants of its explorer took {found:.1f} s of processor time; "
                f"{allowed:.1f} s are allowed (brainalign.explore.seconds is "
                f"{explorers[name].seconds:g}{slow})."
            )
