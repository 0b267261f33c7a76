"""One page from several executions of a notebook, each under its own heading.

The first part is whole; the later ones leave out cells tagged `once` (title, introduction). Cells
tagged `once` at the notebook's end (an exercise) close the page and come from the last execution,
so that every output stands under the heading of the data that it was computed from.
"""

import copy
import re
from collections.abc import Mapping, Sequence

from brainalign.companion.notebooks import has_tag

_HEADING = re.compile(r"^#{1,5} ")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
_LABEL = re.compile(r"^\([^\s()]+\)=[ \t]*\n?", re.MULTILINE)

# What is shown of every source of brain responses: heading, kind and text of the box below it.
_SOURCES = {
    "published": (
        "In the paper's own numbers",
        "note",
        "Published values",
        "This part shows **published values digitised from the paper's figures**. No brain "
        "response was analysed to make it.",
    ),
    "testbed": (
        "In the simulated testbed",
        "warning",
        "Simulated data",
        "This part shows **SIMULATED** brain responses: a program made them, with a known truth. "
        "The language models are real and were run for this page; the listeners were not.",
    ),
}


def source_text(parameters: Mapping) -> tuple[str, str]:
    """Heading and box that say whose brain responses a part of a page shows.

    Parameters
    ----------
    parameters
        Resolved; `study` names the source.

    Returns
    -------
    tuple of str
        The heading's text and the Markdown of the box; both empty without a `study`.
    """
    study = parameters.get("study")
    if study is None:
        return "", ""
    default = (f"In the study {study}", "note", "Measured data", f"Brain responses: {study}.")
    heading, kind, name, text = _SOURCES.get(study, default)
    return heading, f":::{{admonition}} {name}\n:class: {kind}\n{text}\n:::"


def demote(source: str) -> str:
    """Lower every heading of a Markdown text by one level, code blocks apart."""
    lines, fence = [], ""
    for line in source.splitlines():
        if match := _FENCE.match(line):
            mark = match[1]
            fence = "" if fence and mark.startswith(fence) else fence or mark
        lines.append(f"#{line}" if not fence and _HEADING.match(line) else line)
    return "\n".join(lines)


def split_once(cells: Sequence) -> tuple[list, list, list]:
    """Cells before, of and after the part that is repeated.

    Returns
    -------
    tuple of list
        Leading cells tagged `once`; everything between; trailing cells tagged `once`.
    """
    ordinary = [number for number, cell in enumerate(cells) if not has_tag(cell, "once")]
    if not ordinary:
        return list(cells), [], []
    first, last = ordinary[0], ordinary[-1] + 1
    return list(cells[:first]), list(cells[first:last]), list(cells[last:])


def _markdown(source: str) -> dict:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _without_labels(cell, suffix: str) -> None:
    """Labels are for the first part of a page; a second one of the same name is an error."""
    if cell.cell_type == "markdown":
        cell.source = _LABEL.sub("", cell.source)
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if "name" in figure:
        figure["name"] = f"{figure['name']}-{suffix}"


def split_images(cell) -> list:
    """Give every image of a code cell its alt text in the book, one image to a cell.

    myst-nb takes the alt text of an image from the metadata of its cell, not of the output.

    Returns
    -------
    list
        The cell, and one more without its source for every further image.
    """
    groups: list[list] = [[]]
    for output in cell.get("outputs", []):
        if _alt(output) and any(_alt(earlier) for earlier in groups[-1]):
            groups.append([])
        groups[-1].append(output)
    cells = []
    for number, outputs in enumerate(groups):
        part = copy.deepcopy(cell)
        if cell.cell_type == "code":
            part.outputs = outputs
        if number:
            part.metadata["tags"] = [*part.metadata.get("tags", []), "remove-input"]
        if alt := next(filter(None, map(_alt, outputs)), ""):
            settings = part.metadata.setdefault("mystnb", {})
            settings["image"] = {**settings.get("image", {}), "alt": alt}
        cells.append(part)
    return cells


def _alt(output) -> str:
    return output.get("metadata", {}).get("image/png", {}).get("alt", "")


def compose(executions: Sequence[tuple[Mapping, object]], footer: str = ""):
    """Make one page.

    Parameters
    ----------
    executions
        Resolved parameters and executed notebook of every part, in order.
    footer
        Markdown for the end of the introduction (links); may be empty.

    Returns
    -------
    nbformat.NotebookNode
        The page.
    """
    import nbformat

    parts = [split_once(notebook.cells) for _, notebook in executions]
    cells = [copy.deepcopy(cell) for cell in parts[0][0]]
    if footer:
        cells.append(nbformat.from_dict(_markdown(footer)))
    several = len(executions) > 1
    for number, ((parameters, _), (_, body, _)) in enumerate(zip(executions, parts, strict=True)):
        heading, box = source_text(parameters)
        opening = f"## {heading}\n\n{box}" if several and heading else box
        if opening:
            cells.append(nbformat.from_dict(_markdown(opening)))
        for cell in body:
            if number and has_tag(cell, "once"):
                continue
            cell = copy.deepcopy(cell)
            if number:
                _without_labels(cell, str(parameters.get("study", number)))
            if several and heading and cell.cell_type == "markdown":
                cell.source = demote(cell.source)
            cells.append(cell)
    cells += [copy.deepcopy(cell) for cell in parts[-1][2]]
    cells = [part for cell in cells for part in split_images(nbformat.from_dict(cell))]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03d}"
    first = executions[0][1]
    page = {"nbformat": 4, "nbformat_minor": 5, "metadata": first.metadata, "cells": cells}
    return nbformat.from_dict(page)
