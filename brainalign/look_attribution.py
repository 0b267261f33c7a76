"""The look of figures of attribution: what they compare has the same colour on all of them.

Their tables hold a row for every point: what it belongs to, where it lies, its value, and the edges
of its interval, low and high (NaN where there is none).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from brainalign.errors import InputError
from brainalign.look import (
    BLUE,
    BROWN,
    COLOURS,
    GREEN,
    GREY,
    INK,
    MARKERS,
    ORANGE,
    PURPLE,
    SKY,
    free_margins,
    legend_below,
    stamp,
)
from brainalign.wording import interval, number

BRAIN, NEXT_WORD, FINDING = "brain", "next word", "brain and next word"
#: Behind words, and places, that the readout pools.
POOLED_SHADE = "#f3ecd2"
DARK_GREY, LIGHT_GREY = "#666666", "#b0b0b0"
#: Around markers, so that those on top of each other can be told apart.
EDGE = {"mec": "white", "mew": 0.6}


class Look(NamedTuple):
    """Colour, marker and dashes of what a figure compares."""

    colour: str
    marker: str
    dashes: str


# Blue is the brain, orange the next word, grey what knows of neither, ink the most there can be.
LOOKS = {
    BRAIN: Look(BLUE, "o", "-"),
    NEXT_WORD: Look(ORANGE, "s", "--"),
    "next word at the output": Look(ORANGE, "s", "--"),
    "next word at the layer": Look(BROWN, "D", "-."),
    "next word, pooled words": Look(BROWN, "D", "-."),
    FINDING: Look(PURPLE, "o", "-"),
    "same brain, other listeners": Look(INK, "^", "-"),
    "brain, shuffled responses": Look(GREY, "v", "--"),
    "brain, shifted responses": Look(GREY, "v", "--"),
    "next word, positions kept": Look(DARK_GREY, "P", "-."),
    "random sets": Look(INK, "X", ":"),
    "random readouts": Look(GREY, "X", ":"),
    "random words": Look(GREY, "X", ":"),
    "random words, same distances": Look(DARK_GREY, "P", "-."),
    "lowest words": Look(LIGHT_GREY, "v", "--"),
    "untrained model": Look(GREEN, "^", "-."),
    "scrambled context": Look(SKY, "v", "--"),
}


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Look of everything that a figure compares; names not in `LOOKS` take what these leave."""
    known = {name: LOOKS[name] for name in names if name in LOOKS}
    colours = [one for one in COLOURS if one not in {look.colour for look in known.values()}]
    markers = [one for one in MARKERS if one not in {look.marker for look in known.values()}]
    others = [name for name in dict.fromkeys(names) if name not in LOOKS]
    new = {
        name: Look(colours[i % len(colours)], markers[i % len(markers)], "-")
        for i, name in enumerate(others)
    }
    return {name: (known | new)[name] for name in dict.fromkeys(names)}


def rows_with(table: pd.DataFrame, columns: Sequence[str], value: str) -> pd.DataFrame:
    """Rows of a table that have a value.

    Raises
    ------
    InputError
        Where a column lacks, or no row has a value.
    """
    if missing := [name for name in columns if name not in table]:
        raise InputError(f"The table lacks {missing}; columns {list(columns)} are expected.")
    rows = table.dropna(subset=[value])
    if rows.empty:
        raise InputError(f"No row of the table has a value in {value!r}; at least one is expected.")
    return rows


def spoken(row: pd.Series, value: str, digits: int = 2) -> str:
    """Value with its interval in brackets, where there is one: "0.16 (0.14 to 0.18)"."""
    edges = interval((row["low"], row["high"]), digits)
    bracket = f" ({edges})" if np.isfinite(row["low"] + row["high"]) else ""
    return f"{number(row[value], digits)}{bracket}"


def spoken_each(rows: pd.DataFrame, name: str, value: str, digits: int = 2) -> str:
    """Values of several rows, each after its name: "brain 0.31 (0.30 to 0.32); next word 0.28"."""
    return "; ".join(f"{row[name]} {spoken(row, value, digits)}" for _, row in rows.iterrows())


def legend_columns(labels: Sequence[str]) -> int:
    """Columns of a legend that its longest name leaves room for."""
    return max(1, min(len(labels), 78 // (8 + max(map(len, labels)))))


def finish(
    figure: Figure, source: str, text: str, handles: Sequence[Artist], labels: Sequence[str]
) -> None:
    """Stamp, small print, and a legend between them and the panels."""
    columns = legend_columns(labels)
    stamp(figure, source, text)
    free_margins(figure, legend_rows=-(-len(labels) // columns))
    legend_below(figure, list(handles), list(labels), columns)


def offsets(n: int, step: float) -> np.ndarray:
    """Places of so many marks side by side, around 0."""
    return step * (np.arange(n) - (n - 1) / 2)
