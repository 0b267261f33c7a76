"""One page from several executions of a notebook, each under its own heading.

The first part is whole; the later ones leave out cells tagged `once` (title, introduction). Cells
tagged `once` at the notebook's end (an exercise) close the page and come from the last execution,
so that every output stands under the heading of the data that it was computed from. A part whose
data are not at hand is a note under its heading. Code that an earlier part has shown is folded away
in later ones.
"""

import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from brainalign.companion.notebooks import has_tag

#: Tag of the code cells of a section of variants.
EXPLORED = "explored"
_HEADING = re.compile(r"^#{1,5} ")
_FENCE = re.compile(r"^\s*(`{3,}|~{3,})")
# Longest name of a table in the line that unfolds it.
_LONGEST_NAME = 100
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
        "This part shows **SIMULATED** brain responses: a program made them, with a known truth, "
        "and nobody listened. Language models, where the part uses any, are real and were run to "
        "make it.",
    ),
    "alice": (
        "In measured listeners to Alice",
        "note",
        "Measured data",
        "This part shows **measured** brain responses: six regions of 27 people who listened to "
        "the first chapter of *Alice in Wonderland* (Brennan et al. 2016, *Brain and Language* "
        "157–158, 81–94; data CC BY 4.0).",
    ),
    "concepts": (
        "In the published maps of 17 people",
        "note",
        "Measured data, published maps",
        "This part rests on **measured** brain responses of 17 people to 180 concepts (Pereira et al. "
        "2018, *Nature Communications* 9, 963). The maps were published by Ryskina et al. (2025), "
        "not computed here.",
    ),
    "concepts-testbed": (
        "In simulated listeners to concepts",
        "warning",
        "Simulated data",
        "This part shows **SIMULATED** brain responses: a program made them, with a known truth, "
        "and nobody saw or read anything. The language model is real and was run to make it.",
    ),
}

# What changes nothing in published values, which were made with the paper's rules.
_OF_OUR_OWN = ("layer_rule", "hemispheres", "brain_seed", "asymmetry")

# Of Le Petit Prince: the language and its listeners in the corpus.
_LISTENERS = {
    "petitprince-en": ("English", 49),
    "petitprince-fr": ("French", 28),
    "petitprince-cn": ("Chinese", 35),
}


class Part(NamedTuple):
    """One execution on a page.

    Attributes
    ----------
    parameters : Mapping
        Resolved; `study` names the source of the responses.
    notebook : nbformat.NotebookNode
        Executed; not executed where there is a note.
    note : str
        Markdown that stands for the part where it cannot be executed; else empty.
    takeaway : str
        Markdown of the box that ends the part: parameters, command, downloads; may be empty.
    """

    parameters: Mapping
    notebook: Any
    note: str = ""
    takeaway: str = ""


def source_text(parameters: Mapping, brief: bool = False) -> tuple[str, str]:
    """Heading and box that say whose brain responses a part of a page shows.

    Parameters
    ----------
    parameters
        Resolved; `study` names the source.
    brief
        Without a word on parameters, where none are shown.

    Returns
    -------
    tuple of str
        The heading's text and the Markdown of the box; both empty without a `study`.
    """
    study = parameters.get("study")
    if study is None:
        return "", ""
    if study in _LISTENERS:
        heading, kind, name, text = _petit_prince(study, parameters)
    elif study in _SOURCES:
        heading, kind, name, text = _SOURCES[study]
        idle = [f"`{one}`" for one in _OF_OUR_OWN if one in parameters]
        if idle and study == "published" and not brief:
            text += (
                " They were made with the paper's rules; without effect on them, whatever their "
                f"values here: {', '.join(idle)}."
            )
    else:
        heading, kind, name, text = _own_study(study)
    return heading, f":::{{admonition}} {name}\n:class: {kind}\n{text}\n:::"


def _petit_prince(study: str, parameters: Mapping) -> tuple[str, str, str, str]:
    """Heading and box of *Le Petit Prince*, whose average the authors of the paper published."""
    language, n = _LISTENERS[study]
    spoken = "" if language == "English" else f" in {language}"
    options = parameters.get("study_options") or {}
    if options.get("responses") == "openneuro":
        named = options.get("subjects")
        who = f"{len(named)} of the {n} people" if isinstance(named, list) and named else "people"
        name, rest = "Measured data", "They were prepared here from the images of single listeners."
    else:
        scored = "models" in parameters or "largest" in parameters
        who, name = f"{n} people", "Measured data, published map"
        what = (
            "Their average and the map of their reliability were"
            if scored
            else ("The map of their reliability was")
        )
        rest = f"{what} published by Bonnasse-Gahot and Pallier (2024), not computed here."
    return (
        f"In the measured listeners to Le Petit Prince{spoken}",
        "note",
        name,
        f"This part rests on **measured** brain responses of {who} who listened to *Le Petit "
        f"Prince* in {language} (Li et al. 2022, *Scientific Data* 9, 530). {rest}",
    )


def _own_study(study: str) -> tuple[str, str, str, str]:
    """Heading and box of a user's own study, as its study.yml names and cites it."""
    from brainalign.studies import is_path

    if not is_path(study):
        return f"In the study {study}", "note", "Measured data", f"Brain responses: {study}."
    from brainalign.studies.folder_files import read_description

    told = read_description(study)
    about = "; ".join(filter(None, [told.citation, told.licence]))
    source = f"**measured** brain responses of the study *{told.name}*"
    text = f"This part shows {source}{f' ({about})' if about else ''}."
    return f"In the study {told.name}", "note", "Measured data", text


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
        if has_tag(cell, "exercise"):
            cell.source = re.sub(r"^(:label: \S+)$", rf"\1-{suffix}", cell.source, flags=re.M)
    figure = cell.metadata.get("mystnb", {}).get("figure", {})
    if "name" in figure:
        figure["name"] = f"{figure['name']}-{suffix}"


def _folded(cell) -> str:
    """What a cell folds away, in words; empty where it folds nothing."""
    if has_tag(cell, "solution"):
        return "the solution"
    caption = next(filter(None, map(_table_caption, cell.get("outputs", []))), "")
    if caption and (has_tag(cell, "hide-output") or has_tag(cell, "hide-cell")):
        return f"the table: {_beginning(caption)}"
    return "the code" if has_tag(cell, "hide-input") else ""


def _table_caption(output) -> str:
    """Caption of a table, which stands in for it as its text."""
    data = output.get("data", {})
    return data.get("text/plain", "") if "<table" in data.get("text/html", "") else ""


def _beginning(text: str) -> str:
    """As many whole sentences as a line of a fold has room for, one at least; no full stop."""
    first, *others = re.split(r"(?<=[.?!]) (?=[A-Z0-9])", text)
    for sentence in others:
        if len(first) + len(sentence) >= _LONGEST_NAME:
            break
        first += f" {sentence}"
    return first.rstrip(".")


def _is_code(cell) -> bool:
    return cell.cell_type == "code"


def _name_folds(cell) -> None:
    """Say in words what is folded, in the line that unfolds it."""
    if what := _folded(cell):
        prompts = {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}
        cell.metadata["mystnb"] = {**cell.metadata.get("mystnb", {}), **prompts}


def _fold_code(cell) -> None:
    """Fold the code of a cell; with a table that is folded, too, under one line."""
    tags = list(cell.metadata.get("tags", []))
    if "hide-output" in tags:
        tags[tags.index("hide-output")] = "hide-cell"
    elif "hide-cell" not in tags:
        tags.append("hide-input")
    cell.metadata["tags"] = tags


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
            tags = [*part.metadata.get("tags", []), "remove-input"]
            part.metadata["tags"] = list(dict.fromkeys(tags))
        if alt := next(filter(None, map(_alt, outputs)), ""):
            settings = part.metadata.setdefault("mystnb", {})
            settings["image"] = {**settings.get("image", {}), "alt": alt}
        cells.append(part)
    return cells


def _alt(output) -> str:
    return output.get("metadata", {}).get("image/png", {}).get("alt", "")


def compose(parts: Sequence[Part], footer: str = "", explorer: Sequence = ()):
    """Make one page.

    Parameters
    ----------
    parts
        In order.
    footer
        Markdown for the end of the introduction (links); may be empty.
    explorer
        Cells that follow the parts, from `explorer_section.section`.

    Returns
    -------
    nbformat.NotebookNode
        The page.
    """
    import nbformat

    executed = [part for part in parts if not part.note]
    first = (executed or parts)[0]
    cells = [copy.deepcopy(cell) for cell in split_once(first.notebook.cells)[0]]
    if footer:
        cells.append(nbformat.from_dict(_markdown(footer)))
    known: set[str] = set()
    for part in parts:
        here = _part_cells(part, several=len(parts) > 1, again=part is not first)
        code = [cell for cell in here if _is_code(cell)]
        for cell in code:
            if cell.source in known or (known and has_tag(cell, "parameters")):
                _fold_code(cell)
        known.update(cell.source for cell in code)
        cells += here
    cells += [copy.deepcopy(cell) for cell in explorer]
    if executed:
        cells += [copy.deepcopy(cell) for cell in split_once(executed[-1].notebook.cells)[2]]
    cells = [piece for cell in cells for piece in split_images(nbformat.from_dict(cell))]
    for cell in filter(_is_code, cells):
        _name_folds(cell)
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number:03d}"
    metadata = first.notebook.metadata
    page = {"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": cells}
    return nbformat.from_dict(page)


def _part_cells(part: Part, several: bool, again: bool) -> list:
    """Cells of one part: the source of its data, then its body or the note in its place.

    Parameters
    ----------
    part
        One execution.
    several
        Whether the page has other parts, so that this one needs a heading.
    again
        Whether an executed part comes before it, so that labels and `once` cells are there.
    """
    import nbformat

    heading, box = source_text(part.parameters)
    heading = f"## {heading}\n\n" if several and heading else ""
    opening = heading + (part.note or box)
    cells = [nbformat.from_dict(_markdown(opening))] if opening else []
    if part.note:
        return cells
    for cell in split_once(part.notebook.cells)[1]:
        if again and has_tag(cell, "once"):
            continue
        cell = copy.deepcopy(cell)
        if again:
            study = str(part.parameters.get("study", "again"))
            _without_labels(cell, re.sub(r"\W+", "-", study))
        if heading and cell.cell_type == "markdown":
            cell.source = demote(cell.source)
        cells.append(cell)
    if part.takeaway:
        cells.append(nbformat.from_dict(_markdown(part.takeaway)))
    return cells
