"""Figures of regions of interest, each with a function that says the same in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.look import BLUE, GREEN, GREY, INK, ORANGE, SIDES, STYLE, WIDTH, free_margins, stamp
from brainalign.simulations import PAPER_R, PAPER_T
from brainalign.study import SIMULATED
from brainalign.wording import interval, number, opening

# Inches for a row of dots, and for everything that is not rows.
ROW, AROUND = 0.42, 2.4


def _rows(axes: Axes, names: list[str]) -> None:
    """One row for each name, the first one at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.axvline(0, color=INK, lw=1)
    axes.grid(visible=False, axis="y")
    axes.locator_params(axis="x", nbins=4)


@mpl.rc_context(STYLE)
def slopes_figure(table: pd.DataFrame, source: str, note: str) -> Figure:
    """Slope of the score on model size in every region: left and right, and their difference.

    Parameters
    ----------
    table
        From `region_scores.slope_table`.
    source
        Whose responses.
    note
        What the bars are, and how the scores were made; at most two lines.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(WIDTH, AROUND + ROW * len(table)), layout="constrained")
    sides, difference = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(table))
    for side, away in {"L": -0.14, "R": 0.14}.items():
        name, colour, marker, _ = SIDES[side]
        _dots(sides, table, side, places + away, colour, marker, name)
    _dots(difference, table, "L-R", places, INK, "D", "left − right")
    for axes, title in ((sides, "Each hemisphere"), (difference, "Left − right")):
        _rows(axes, list(table["region"]))
        axes.set(title=title, xlabel="Slope per factor of ten\nin parameters")
    handles, labels = sides.get_legend_handles_labels()
    stamp(figure, source, note)
    free_margins(figure, legend_rows=1)
    height = figure.get_size_inches()[1]
    figure.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 0.5 / height), ncols=2)
    return figure


def _dots(
    axes: Axes,
    table: pd.DataFrame,
    side: str,
    places: np.ndarray,
    colour: str,
    marker: str,
    label: str,
) -> None:
    """Slopes with their intervals, where there are any."""
    edges = table[[f"low_{side}", f"high_{side}"]].to_numpy(dtype=float)
    axes.hlines(places, edges[:, 0], edges[:, 1], color=colour, lw=2.2)
    axes.plot(
        table[f"slope_{side}"], places, marker, color=colour, ms=8, mec="white", ls="", label=label
    )


def slopes_alt(table: pd.DataFrame, source: str) -> str:
    """What `slopes_figure` shows, in sentences with its numbers."""
    parts = []
    for row in table.to_dict("records"):
        edges = (row["low_L-R"], row["high_L-R"])
        known = f" ({interval(edges)})" if np.isfinite(edges).all() else ""
        parts.append(
            f"{row['region']} left {number(row['slope_L'], 4)}, right {number(row['slope_R'], 4)}, "
            f"difference {number(row['slope_L-R'], 4)}{known}"
        )
    return (
        f"{opening(source)} One row per region of interest, the steepest difference at the top; "
        "left panel: slope of the brain score per factor of ten in parameters, left and right "
        "hemisphere; right panel: the slope of left minus right, with 95 % intervals in brackets "
        f"here. {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def levels_figure(levels: pd.DataFrame, order: list[str], source: str, note: str) -> Figure:
    """Left minus right of every model and region, as it is and after a baseline was subtracted.

    Parameters
    ----------
    levels
        From `regions.baseline_rows`.
    order
        Regions from top to bottom.
    source, note
        As for `slopes_figure`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(WIDTH, AROUND + ROW * len(order)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    titles = {"raw": "Scores as they are", "subtracted": "Minus random embeddings"}
    for axes, (column, title) in zip(panels, titles.items(), strict=True):
        for place, name in enumerate(order):
            values = levels.loc[levels["roi"] == name, column]
            # Transparent, so that models on top of each other show as darker dots.
            axes.plot(values, np.full(len(values), place), "o", color=BLUE, alpha=0.35, ms=7, mew=0)
            axes.plot(values.mean(), place, "|", color=INK, ms=16, mew=2.5)
        _rows(axes, order)
        axes.set(title=title, xlabel="Left − right brain score")
    stamp(figure, source, note)
    free_margins(figure)
    return figure


def levels_alt(levels: pd.DataFrame, order: list[str], source: str) -> str:
    """What `levels_figure` shows, in sentences with its numbers."""
    parts = []
    for name in order:
        rows = levels[levels["roi"] == name]
        parts.append(
            f"{name} {number(rows['raw'].mean())} and {number(rows['subtracted'].mean())} "
            f"(positive for {(rows['raw'] > 0).sum()} and {(rows['subtracted'] > 0).sum()} of "
            f"{len(rows)} models)"
        )
    return (
        f"{opening(source)} Two panels with one row per region and one dot per model: left minus "
        "right brain score as it is, and after the scores of random embeddings were subtracted. "
        f"Means: {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def null_figure(rates: pd.DataFrame, n_brains: int) -> Figure:
    """How often each test finds a difference in simulated brains that have none.

    Parameters
    ----------
    rates
        From `simulations.false_positives`.
    n_brains
        Simulated brains.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(WIDTH, AROUND + ROW * len(rates)), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(rates))
    default, paper = "jackknife over models and runs", (PAPER_T, PAPER_R)
    colours = [
        GREEN if test == default else ORANGE if test in paper else GREY for test in rates["test"]
    ]
    axes.hlines(places, 100 * rates["low"], 100 * rates["high"], color=colours, lw=2.5)
    axes.scatter(100 * rates["rate"], places, color=colours, s=80, zorder=3, edgecolor="white")
    _rows(axes, [_wrapped(test, default) for test in rates["test"]])
    axes.axvline(5, color=INK, lw=1.5, ls="--")
    axes.set_xlabel("Differences found where there are none\n(% of regions; dashed: 5 %)")
    axes.set_xlim(left=-1)
    note = (
        f"{n_brains} brains × {rates['cells'].iloc[0] // n_brains} regions, both sides alike\n"
        "bars: 95 % interval of the percentage, as if regions were independent"
    )
    stamp(figure, SIMULATED, note)
    free_margins(figure)
    return figure


def _wrapped(test: str, default: str) -> str:
    """Name of a test on two lines."""
    head, _, tail = test.replace("the paper: ", "the paper:\n").rpartition("\n")
    if head:
        return f"{head}\n{tail}"
    way, _, what = test.partition(" over ")
    return f"{way}{' (default)' if test == default else ''}\nover {what}"


def null_alt(rates: pd.DataFrame, n_brains: int) -> str:
    """What `null_figure` shows, in sentences with its numbers."""
    parts = [
        f"{row['test']} {100 * row['rate']:.0f} % ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
        for row in rates.to_dict("records")
    ]
    return (
        f"{opening(SIMULATED)} Percentage of regions in {n_brains} brains with two hemispheres alike "
        "in which a test finds that left and right differ in slope; 5 % would be right. "
        f"{'; '.join(parts)}."
    )
