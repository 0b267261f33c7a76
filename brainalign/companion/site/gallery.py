"""The gallery: every figure of the book as a small picture that leads to its place on its page."""

import base64
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from brainalign.companion.compose import EXPLORED
from brainalign.companion.notebooks import has_tag, title
from brainalign.companion.webpage import plain_markdown
from brainalign.files import atomic_path

#: Below the book's folder: the generated part of `book/gallery.md`, and its pictures.
GENERATED, PICTURES = Path("book/executed/gallery.md"), Path("book/executed/gallery")
# Pixels of a small picture, twice what is shown, and its colours: some 15 kB each.
_SIZE, _COLOURS = (560, 460), 48
_CAPTION = re.compile(r"\*\*Figure: (.+?)\*\*", re.DOTALL)
# Above a part of a page: its heading, which names the study, and the box of its kind.
_BOX = re.compile(
    r"^:::\{admonition\} (Published|Simulated|Measured) (?:values|data)(, published maps?)?$",
    re.MULTILINE,
)
_STUDY = re.compile(r"^## In .*(?:listeners to|maps of|study) (.+)$", re.MULTILINE)
_WORDS = {
    "Published": "published values",
    "Simulated": "simulated listeners",
    "Measured": "measured responses",
}


class Entry(NamedTuple):
    """One figure of a page.

    Attributes
    ----------
    label : str
        Of its place; unique in the book.
    title : str
        From its caption.
    kind : str
        "Published", "Simulated" or "Measured"; empty where its part does not say.
    words : str
        The kind in words, with the study where people were measured.
    alt : str
        What it shows.
    png : bytes
        The image itself.
    """

    label: str
    title: str
    kind: str
    words: str
    alt: str
    png: bytes


def _image(cell) -> tuple[bytes, str] | None:
    """First image with an alt text that a cell shows."""
    # What can be chosen in an explorer is no figure of its own.
    unseen = ("remove-cell", "remove-output", EXPLORED)
    if cell.cell_type != "code" or any(has_tag(cell, tag) for tag in unseen):
        return None
    for output in cell.get("outputs", []):
        alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
        data = output.get("data", {}).get("image/png")
        if alt and data:
            return base64.b64decode(data), alt
    return None


def _label(name: str, number: int) -> str:
    return f"figure-{name.replace('_', '-')}-{number}"


def label_figures(page, name: str):
    """Give every figure of a composed page a label, `figure-<name>-<number>`, to link to.

    Parameters
    ----------
    page : nbformat.NotebookNode
        From `compose`; one image to a cell.
    name
        Of the notebook.

    Returns
    -------
    nbformat.NotebookNode
        The page with a cell for the label before every figure.
    """
    import nbformat

    cells, number = [], 0
    for cell in page.cells:
        if _image(cell):
            number += 1
            label = {
                "cell_type": "markdown",
                "metadata": {},
                "source": f"({_label(name, number)})=",
            }
            cells.append(nbformat.from_dict(label))
        cells.append(cell)
    for place, cell in enumerate(cells):
        cell.id = f"cell-{place:03d}"
    return nbformat.from_dict({**page, "cells": cells})


def _titles(page) -> list[str]:
    """Short title of every figure: from the next caption, or else the last heading."""
    found, waiting, heading = [], [], title(page) or ""
    for cell in page.cells:
        if _image(cell):
            waiting.append(len(found))
            found.append(heading)
        elif cell.cell_type == "markdown":
            if waiting and (caption := _CAPTION.search(cell.source)):
                text = " ".join(plain_markdown(caption[1]).split()).rstrip(".")
                for place in waiting:
                    found[place] = text[:1].upper() + text[1:]
                waiting = []
            if headings := re.findall(r"^#+ (.+)$", cell.source, re.MULTILINE):
                heading, waiting = plain_markdown(headings[-1]), []
    return found


def entries(page, name: str) -> list[Entry]:
    """Figures of a composed page, in order.

    Parameters
    ----------
    page : nbformat.NotebookNode
        From `compose`, with or without labels.
    name
        Of the notebook.
    """
    titles, found, kind, words = _titles(page), [], "", ""
    for cell in page.cells:
        if cell.cell_type == "markdown" and (box := _BOX.search(cell.source)):
            kind, words = box[1], _in_words(box, cell.source)
        if image := _image(cell):
            place = len(found)
            about = (_label(name, place + 1), titles[place], kind, words)
            found.append(Entry(*about, alt=image[1], png=image[0]))
    return found


def _in_words(box: re.Match, opening: str) -> str:
    """What a card says of the kind: "measured, published map: Le Petit Prince"."""
    words = f"measured{box[2]}" if box[2] else _WORDS[box[1]]
    study = _STUDY.search(opening) if box[1] == "Measured" else None
    return f"{words}: {study[1]}" if study else words


def thumbnail(png: bytes) -> bytes:
    """A small picture of a figure; the same bytes for the same figure."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        flat = Image.new("RGB", image.size, "white")
        rgba = image.convert("RGBA")
        flat.paste(rgba, mask=rgba.getchannel("A"))
    flat.thumbnail(_SIZE, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small = flat.quantize(_COLOURS, dither=Image.Dither.NONE)
    small.save(stream, format="PNG", optimize=True)
    return stream.getvalue()


def _item(entry: Entry) -> str:
    """Markdown of one figure in the gallery; addresses are relative to the folder `book`."""
    stamp = entry.kind and (
        f":::{{container}} kind kind-{entry.kind.lower()}\n{entry.words}\n:::\n"
    )
    return (
        "::::{container} gallery-item\n"
        f":::{{image}} executed/gallery/{entry.label}.png\n"
        f":alt: {json.dumps(entry.alt, ensure_ascii=False)}\n:::\n\n"
        f"{{ref}}`{entry.title} <{entry.label}>`\n\n{stamp}::::\n"
    )


def gallery_text(pages: Mapping[str, tuple[str, list[Entry]]]) -> str:
    """Generated part of the gallery.

    Parameters
    ----------
    pages
        Notebook to the title of its page and its figures; pages without any are left out.

    Returns
    -------
    str
        Markdown: a heading for every page, and its figures.
    """
    parts = []
    for heading, figures in pages.values():
        if figures:
            items = "\n".join(_item(entry) for entry in figures)
            parts.append(f"## {heading}\n\n:::::{{container}} gallery\n{items}:::::\n")
    return "\n".join(parts) or "No page with a figure has been made yet.\n"


def write_gallery(root: Path, pages: Mapping) -> Path:
    """Write the gallery of the book's figures; pictures that nobody needs any more are removed.

    Parameters
    ----------
    root
        The book's folder.
    pages
        Notebook to its composed page, in the order of the book.

    Returns
    -------
    pathlib.Path
        The generated Markdown.
    """
    listed = {name: (title(page) or name, entries(page, name)) for name, page in pages.items()}
    wanted = {f"{entry.label}.png": entry for _, found in listed.values() for entry in found}
    folder = root / PICTURES
    for path in folder.glob("*.png"):
        if path.name not in wanted:
            path.unlink()
    for name, entry in wanted.items():
        _write(folder / name, thumbnail(entry.png))
    return _write(root / GENERATED, gallery_text(listed).encode())


def _write(path: Path, content: bytes) -> Path:
    """Write a file unless it is there already as it should be."""
    if not path.is_file() or path.read_bytes() != content:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    return path
