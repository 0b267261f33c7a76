"""Figures of consistent voxels: maps, hemispheres, regions; and their alt text."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike

from brainalign.concepts.maps import (
    WHOLE,
    ConsistencyMap,
    consistency_by_selectivity,
    lateralization,
    region_names,
    region_table,
)
from brainalign.glass_brain import colour_bar, glass_row
from brainalign.look import (
    COLOURS,
    FOOTER,
    HEADER,
    INK,
    MARKERS,
    SIDES,
    STYLE,
    WIDTH,
    new_figure,
    stamp,
)
from brainalign.look_attribution import finish, offsets, spoken, spoken_each
from brainalign.plots_maps import BAR, HIDDEN, NAME, ROW, surface_row
from brainalign.wording import number, opening

MAP_COLOURS, TRUTH_COLOURS = "viridis", "plasma"
# Participants from which on the map is drawn.
DRAWN = 2
_RULES = {"fdr": "all stimuli, FDR 5 %", "published": "p < .05 in both halves (published)"}


def dots(
    axes: Axes, rows: pd.DataFrame, value: str, places: ArrayLike, upright: bool = False, **look
) -> Line2D:
    """Values with bars from `low` to `high`, at heights, or upright above places on the x axis.

    Parameters
    ----------
    axes
        Where to draw.
    rows
        With columns `low`, `high` and the value's. The value may lie outside of its interval.
    value
        Name of a column.
    places
        Of the rows.
    upright
        Whether bars are upright.
    **look
        Of `Axes.plot`: color, marker, line.

    Returns
    -------
    matplotlib.lines.Line2D
        The dots, for a legend.
    """
    bars, along = (
        (axes.vlines, (places, rows[value])) if upright else (axes.hlines, (rows[value], places))
    )
    bars(places, rows["low"], rows["high"], color=look["color"], lw=1.6)
    return axes.plot(*along, **{"ls": "", "ms": 7.5, "mec": "white", "mew": 0.6} | look)[0]


@mpl.rc_context(STYLE)
def map_figure(found: ConsistencyMap) -> Figure:
    """Part of the participants in whom voxels are consistent; regions made from it, or the truth.

    Parameters
    ----------
    found
        From `concepts.maps`.

    Returns
    -------
    matplotlib.figure.Figure
        Published maps through a transparent brain, along whose lines of sight the highest value
        shows; those of simulated listeners, where most voxels have a little consistency, on the
        cortex.
    """
    rows = _simulated_rows(found) if found.planted is not None else _published_rows(found)
    base = FOOTER + BAR
    figure = Figure(figsize=(WIDTH, HEADER + len(rows) * (ROW + NAME) + base))
    height = figure.get_size_inches()[1]
    for place, (name, values, colours) in enumerate(rows[::-1]):
        bottom = base + place * (ROW + NAME)
        if found.planted is not None:
            surface_row(figure, found.mask, values, colours, bottom)
        else:
            box = (0, bottom / height, 1, ROW / height)
            glass_row(figure, found.mask, values, box, colours, _drawn_from(found))
        figure.text(0.01, (bottom + ROW + 0.04) / height, name, size=12, weight="bold")
    colour_bar(figure, rows[0][2], f"Part of the {found.people}", 0.05, 0.42, FOOTER + 0.5)
    if found.planted is not None:
        colour_bar(figure, rows[1][2], "Consistency", 0.54, 0.42, FOOTER + 0.5)
        hidden = f"values below {100 * HIDDEN:.0f} % of the colour range"
    else:
        _region_legend(figure, found)
        hidden = f"fewer than {DRAWN} {found.people}"
    stamp(figure, found.source, f"not drawn: {hidden}\nconsistent: {_RULES[found.rule]}")
    return figure


def _drawn_from(found: ConsistencyMap) -> float:
    return (DRAWN - 0.5) / found.n_subjects


def _simulated_rows(found: ConsistencyMap) -> list[tuple[str, np.ndarray, ScalarMappable]]:
    """Name, values and colours of the map, of consistency without noise and of the truth."""
    parts = ScalarMappable(Normalize(0, 1), MAP_COLOURS)
    values = ScalarMappable(Normalize(0, float(found.planted.max())), TRUTH_COLOURS)
    return [
        (
            f"Part of {found.n_subjects} listeners in whom it is significant",
            found.probability,
            parts,
        ),
        ("Consistency without noise, all listeners together", found.without_noise, values),
        ("Planted consistency", found.planted, values),
    ]


def _published_rows(found: ConsistencyMap) -> list[tuple[str, np.ndarray, ScalarMappable]]:
    """Name, values and colours of the map and of the regions."""
    names = region_names(found)
    label = found.voxels["roi"].map({name: k + 1 for k, name in enumerate(names)})
    regions = ScalarMappable(
        Normalize(0.5, len(names) + 0.5), ListedColormap(COLOURS[: len(names)])
    )
    parts = ScalarMappable(Normalize(0, float(found.probability.max())), MAP_COLOURS)
    return [
        (f"Consistent in a part of {found.n_subjects} participants", found.probability, parts),
        ("Regions made from it", label.fillna(0).to_numpy(float), regions),
    ]


def _region_legend(figure: Figure, found: ConsistencyMap) -> None:
    names = region_names(found)
    marks = [Line2D([], [], marker="s", ls="", color=colour, ms=9) for colour in COLOURS]
    place = (0.52, (FOOTER + 0.02) / figure.get_size_inches()[1])
    figure.legend(
        marks[: len(names)],
        [f"{k}: {name}" for k, name in enumerate(names, start=1)],
        loc="lower left",
        bbox_to_anchor=place,
        fontsize=11,
        handletextpad=0.3,
        borderpad=0,
        labelspacing=0.25,
    )


def map_alt(found: ConsistencyMap) -> str:
    """What `map_figure` shows, in sentences with its numbers."""
    top = found.voxels.iloc[int(found.counts.argmax())]
    inside = (found.counts >= DRAWN).sum()
    rows = (
        "Three rows of inflated cortex, lateral and medial views of both sides: part of the "
        "listeners in whom a voxel is consistent, consistency without noise, planted consistency."
    )
    if found.planted is None:
        rows = (
            "Two rows of transparent brains from the left, the back, the right and above: part of "
            "the participants in whom a voxel is consistent, and the regions made from it."
        )
    return (
        f"{opening(found.source)} {rows} {inside:,} voxels are consistent in at least {DRAWN} of "
        f"{found.n_subjects}. The highest has {found.counts.max()}, at x = {number(top['x'], 0)}, "
        f"y = {number(top['y'], 0)}, z = {number(top['z'], 0)} mm."
    )


@mpl.rc_context(STYLE)
def lateralization_figure(found: ConsistencyMap) -> Figure:
    """Consistent voxels on the left and on the right, and their difference as a part of all.

    Parameters
    ----------
    found
        From `concepts.maps`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = lateralization(found)
    several = table["where"].nunique() > 1
    figure = new_figure(4.6 if several else 4.2)
    counts, index = figure.subplots(1, 2)
    handles = []
    for where, rows in table.groupby("where", sort=False):
        filled = where == WHOLE
        for side, (name, colour, marker, dashes) in SIDES.items():
            face = colour if filled else "white"
            look = {"color": colour, "marker": marker, "ls": dashes, "mfc": face, "ms": 8}
            column = {"L": "left", "R": "right"}[side]
            handles += counts.plot(
                rows["k"], rows[column], label=f"{name}, {where}" if several else name, **look
            )
        face = INK if filled else "white"
        index.plot(rows["k"], rows["index"], "D-", color=INK, mfc=face, ms=8)
    counts.set_yscale("log")
    counts.yaxis.set_major_locator(LogLocator(subs=(1, 3)))
    counts.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    counts.yaxis.set_minor_formatter(NullFormatter())
    index.axhline(0, color=INK, lw=1)
    index.set_ylim(min(-0.1, float(table["index"].min()) - 0.1), 1)
    counts.set(ylabel="Voxels (log scale)", title="Voxels")
    index.set(ylabel="Left − right, by their sum", title="Difference")
    for axes in (counts, index):
        axes.set(xlabel="Consistent in at least k", xticks=table["k"].unique())
    text = f"k of {found.n_subjects}; midline left out\nconsistent: {_RULES[found.rule]}"
    finish(figure, found.source, text, handles, [handle.get_label() for handle in handles])
    return figure


def lateralization_alt(found: ConsistencyMap) -> str:
    """What `lateralization_figure` shows, in sentences with its numbers."""
    parts = [
        f"{where}: "
        + "; ".join(
            f"k = {row.k}: {row.left:,} left, {row.right:,} right, index {number(row.index_, 2)}"
            for row in rows.rename(columns={"index": "index_"}).itertuples()
        )
        for where, rows in lateralization(found).groupby("where", sort=False)
    ]
    return (
        f"{opening(found.source)} Two panels: voxels that are consistent in at least k of "
        f"{found.n_subjects}, left and right, and their difference by their sum. "
        f"{'. '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def regions_figure(found: ConsistencyMap) -> Figure:
    """Regions beside their mirror images, and their selectivity for language.

    Parameters
    ----------
    found
        From `concepts.maps`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = region_table(found)
    places = np.arange(len(table))
    figure = new_figure(2.5 + 0.36 * len(table))
    parts, language = figure.subplots(1, 2, sharey=True)
    handles = []
    columns = ("probability", "mirrored")
    for column, (name, colour, marker, _) in zip(columns, SIDES.values(), strict=True):
        label = "region, on the left" if name == "left" else "its mirror image"
        shift = -0.13 if name == "left" else 0.13
        handles += parts.plot(
            table[column], places + shift, marker, color=colour, ms=9, mec="white", label=label
        )
    dots(language, table, "selectivity", places, color=INK, marker="D")
    language.axvline(0, color=INK, lw=1)
    parts.set_xlim(left=0)
    labels = [_broken(name) for name in table["region"]]
    parts.set_yticks(places, labels)
    parts.set_ylim(len(table) - 0.5, -0.5)
    parts.set(xlabel=f"Mean part of the {found.people}", title="Consistent")
    language.set(xlabel="Sentences − nonwords", title="Selective for language")
    for axes in (parts, language):
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=4)
    text = f"bars: 95 % interval over {found.n_subjects} {found.people}"
    text += f"\nconsistent: {_RULES[found.rule]}"
    finish(figure, found.source, text, handles, [handle.get_label() for handle in handles])
    return figure


def _broken(name: str) -> str:
    """Long names on two lines."""
    return name.replace(" ", "\n") if len(name) > 10 else name


def regions_alt(found: ConsistencyMap) -> str:
    """What `regions_figure` shows, in sentences with its numbers."""
    table = region_table(found)
    parts = "; ".join(
        f"{row.region} {number(row.probability)} (mirror image {number(row.mirrored)})"
        for row in table.itertuples()
    )
    return (
        f"{opening(found.source)} Two panels with one row per region. Mean part of the {found.people} "
        f"in whom its voxels are consistent: {parts}. Sentences minus nonwords, with 95 % "
        f"intervals: {spoken_each(table, 'region', 'selectivity')}."
    )


@mpl.rc_context(STYLE)
def selectivity_figure(found: ConsistencyMap) -> Figure:
    """Consistency of a region's voxels by quartile of everybody's own selectivity.

    Parameters
    ----------
    found
        From `concepts.maps`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    table = consistency_by_selectivity(found)
    figure = new_figure(4.6)
    axes = figure.subplots()
    names = list(table["region"].unique())
    handles, shifts = [], offsets(len(names), 0.05)
    for k, name in enumerate(names):
        rows = table[table["region"] == name]
        # Crosses are all edge.
        edge = {"mec": COLOURS[k], "mew": 1.6}
        look = {"color": COLOURS[k], "marker": MARKERS[k], "ls": "-", "lw": 1.8} | edge
        places = rows["quartile"] + shifts[k]
        handles.append(dots(axes, rows, "value", places, upright=True, **look))
    axes.set(
        xlabel=f"Quartile of sentences − nonwords, in each of the {found.people}",
        ylabel=f"Mean part of the {found.people}\nin whom voxels are consistent",
        xticks=range(1, 5),
    )
    axes.set_ylim(bottom=0)
    text = f"bars: 95 % interval over {found.n_subjects} {found.people}"
    text += f"\nconsistent: {_RULES[found.rule]}"
    finish(figure, found.source, text, handles, names)
    return figure


def selectivity_alt(found: ConsistencyMap) -> str:
    """What `selectivity_figure` shows, in sentences with its numbers."""
    table = consistency_by_selectivity(found)
    parts = [
        f"{name}: {', '.join(spoken(row, 'value', 3) for _, row in rows.iterrows())}"
        for name, rows in table.groupby("region", sort=False)
    ]
    return (
        f"{opening(found.source)} Lines over the four quartiles of everybody's own selectivity for "
        f"language: mean part of the {found.people} in whom a region's voxels are consistent, with "
        f"95 % intervals. {'; '.join(parts)}."
    )
