"""Figures of language models and responses to concepts, and their alt text."""

from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.concepts.answers import SHARED, TRAINED, UNTRAINED, quartile_scores
from brainalign.concepts.tables import ANALYSES, PARADIGM_NAMES
from brainalign.look import BLUE, GREEN, GREY, INK, MARKERS, ORANGE, RED, STYLE, new_figure
from brainalign.look_attribution import finish, offsets, spoken, spoken_each
from brainalign.plots_concepts import dots
from brainalign.study import SIMULATED
from brainalign.wording import number, opening

# Of the lowest to the highest quartile.
QUARTILE_COLOURS = ("#8ecae6", "#4f9bd0", "#2b5c9e", "#0b2a5b")
_MODELS = {TRAINED: (BLUE, "o"), UNTRAINED: (GREEN, "^")}
_FOLDS = {"of concepts": (BLUE, "o"), "of stimuli": (ORANGE, "s")}
_ANALYSES = dict(zip(ANALYSES, ((ORANGE, "s"), (BLUE, "o")), strict=True))


@mpl.rc_context(STYLE)
def quartiles_figure(values: Mapping[str, np.ndarray], world: str) -> Figure:
    """Scores by quartile of consistency with selectivity held fixed, and the reverse.

    Parameters
    ----------
    values
        From `answers.voxel_values`.
    world
        What was planted, for the small print.

    Returns
    -------
    matplotlib.figure.Figure
    """
    means = np.nanmean(quartile_scores(values), axis=0)
    figure = new_figure(4.5)
    panels = figure.subplots(1, 2, sharey=True)
    names = ("consistency", "selectivity")
    for axes, table, name, fixed in zip(panels, (means.T, means), names, names[::-1], strict=True):
        for k, row in enumerate(table):
            look = {"color": QUARTILE_COLOURS[k], "marker": MARKERS[k], "ms": 8}
            (line,) = axes.plot(range(1, 5), row, lw=1.8, mec="white", **look)
            line.set_label(f"quartile {k + 1}")
        axes.axhline(0, color=INK, lw=1)
        axes.set(xlabel=f"Quartile of {name}", xticks=range(1, 5), title=f"Lines: {fixed}")
    panels[0].set_ylabel("Mean score (r)")
    handles, labels = panels[0].get_legend_handles_labels()
    n = len(values["score"])
    text = f"{n} listeners; the published way: all stimuli for both\nplanted: {world}"
    finish(figure, SIMULATED, text, handles, labels)
    return figure


def quartiles_alt(values: Mapping[str, np.ndarray], world: str) -> str:
    """What `quartiles_figure` shows, in sentences with its numbers."""
    cells = np.nanmean(quartile_scores(values), axis=0)
    parts = [
        f"quartiles 1 to 4 of {name}: {', '.join(number(value) for value in means)}"
        for name, means in (
            ("consistency", cells.mean(axis=1)),
            ("selectivity", cells.mean(axis=0)),
        )
    ]
    return (
        f"{opening(SIMULATED)} Planted: {world}. Two panels of mean scores by quartile of consistency, "
        f"one line per quartile of selectivity, and the reverse. Means over the lines, "
        f"{'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def relations_figure(worlds: Mapping[str, pd.DataFrame]) -> Figure:
    """What scores go with, as published and by default, in listeners with different truths.

    Parameters
    ----------
    worlds
        What was planted -> `answers.relation_table`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(3.4)
    panels = np.atleast_1d(figure.subplots(1, len(worlds), sharex=True, sharey=True))
    for axes, (world, table) in zip(panels, worlds.items(), strict=True):
        names, handles = list(dict.fromkeys(table["what"])), []
        shifts = zip(offsets(2, 0.26), _ANALYSES.items(), strict=True)
        for shift, (analysis, (colour, marker)) in shifts:
            part = table[table["analysis"] == analysis]
            places = np.array([names.index(name) for name in part["what"]]) + shift
            handles.append(dots(axes, part, "r", places, color=colour, marker=marker))
        _rows(axes, names)
        axes.set(xlabel="r of the score with it", title=world.capitalize())
        axes.locator_params(axis="x", nbins=5)
    text = "bars: 95 % interval over listeners\nof consistency and selectivity, the other one is held fixed"
    finish(figure, SIMULATED, text, handles, list(ANALYSES.values()))
    return figure


def _rows(axes: Axes, names: list[str]) -> None:
    """Named rows from top to bottom, and a line at zero."""
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def relations_alt(worlds: Mapping[str, pd.DataFrame]) -> str:
    """What `relations_figure` shows, in sentences with its numbers."""
    parts = [
        f"Planted: {world}. {ANALYSES[analysis]}: {spoken_each(rows, 'what', 'r')}."
        for world, table in worlds.items()
        for analysis, rows in table.groupby("analysis", sort=False)
    ]
    return (
        f"{opening(SIMULATED)} Dots with 95 % intervals over listeners: correlation of the score with "
        f"consistency and with selectivity. {' '.join(parts)}"
    )


@mpl.rc_context(STYLE)
def geometry_figure(table: pd.DataFrame) -> Figure:
    """How alike the geometries of concepts are in a model and in brains, by paradigm.

    Parameters
    ----------
    table
        From `answers.geometry_table`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each group of regions.
    """
    shown = [*dict.fromkeys(table["concepts as"])]
    names = {**PARADIGM_NAMES, SHARED: "shared by\nall three"}
    figure = new_figure(2.3 + 0.5 * len(shown))
    groups = list(table.groupby("regions", sort=False))
    panels = np.atleast_1d(figure.subplots(1, len(groups), sharex=True, sharey=True))
    for axes, (regions, rows) in zip(panels, groups, strict=True):
        handles = []
        for shift, (model, (colour, marker)) in zip(offsets(2, 0.26), _MODELS.items(), strict=True):
            part = rows[rows["model"] == model]
            places = np.array([shown.index(name) for name in part["concepts as"]]) + shift
            handles.append(dots(axes, part, "r", places, color=colour, marker=marker))
        _rows(axes, [names[name] for name in shown])
        axes.set(xlabel="Spearman's r of distances", title=f"Regions: {regions}")
        axes.locator_params(axis="x", nbins=5)
    text = (
        "bars: 95 % interval over listeners and concepts (bootstrap)\nbrain: crossnobis distances"
    )
    finish(figure, SIMULATED, text, handles, ["language model", "its untrained copy"])
    return figure


def geometry_alt(table: pd.DataFrame) -> str:
    """What `geometry_figure` shows, in sentences with its numbers."""
    named = table.replace({"concepts as": PARADIGM_NAMES})
    parts = [
        f"{regions} regions, {model} model: {spoken_each(rows, 'concepts as', 'r')}."
        for (regions, model), rows in named.groupby(["regions", "model"], sort=False)
    ]
    return (
        f"{opening(SIMULATED)} Dots with 95 % intervals: rank correlation of distances between concepts "
        f"in the model and in the brain. {' '.join(parts)}"
    )


@mpl.rc_context(STYLE)
def leak_figure(table: pd.DataFrame) -> Figure:
    """Scores of responses that nothing predicts, with both kinds of folds.

    Parameters
    ----------
    table
        From `answers.leak_table`.

    Returns
    -------
    matplotlib.figure.Figure
        One small dot per listener, and their mean.
    """
    paradigms = list(dict.fromkeys(table["paradigm"]))
    figure = new_figure(2.1 + 0.6 * len(paradigms))
    axes = figure.subplots()
    handles = []
    for shift, (folds, (colour, marker)) in zip(offsets(2, 0.3), _FOLDS.items(), strict=True):
        for place, paradigm in enumerate(paradigms):
            rows = table[(table["folds"] == folds) & (table["paradigm"] == paradigm)]
            height = np.full(len(rows), place + shift)
            axes.plot(rows["r"], height, "|", color=colour, ms=12, mew=1.6, alpha=0.7)
            (mean,) = axes.plot(rows["r"].mean(), place + shift, marker, color=colour)
            mean.set(ms=10, mec="white")
        handles.append(mean)
    _rows(axes, [PARADIGM_NAMES[name] for name in paradigms])
    axes.set_xlabel("Score (r)")
    text = f"lines: {table['subject'].nunique()} listeners; markers: their means"
    text += "\nplanted: codes of concepts that are unrelated to each other"
    finish(figure, SIMULATED, text, handles, [f"folds {name}" for name in _FOLDS])
    return figure


def leak_alt(table: pd.DataFrame) -> str:
    """What `leak_figure` shows, in sentences with its numbers."""
    means = table.groupby(["paradigm", "folds"])["r"].mean()
    parts = [
        f"{PARADIGM_NAMES[paradigm]}, folds {folds}: {number(r)}"
        for (paradigm, folds), r in means.items()
    ]
    return (
        f"{opening(SIMULATED)} Scores of responses from which nothing generalises, a line for each "
        f"of {table['subject'].nunique()} listeners and a marker for their mean. {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def recovery_figure(table: pd.DataFrame) -> Figure:
    """Consistency found in every region against what was planted.

    Parameters
    ----------
    table
        From `maps.recovered_table`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
    clear = table["snr"] > table["snr"].median()
    looks = {"high signal-to-noise ratio": (clear, BLUE, "o"), "low": (~clear, RED, "s")}
    handles = []
    for shift, (rows, colour, marker) in zip(offsets(2, 0.012), looks.values(), strict=True):
        part = table[rows]
        look = {"color": colour, "marker": marker, "upright": True}
        handles.append(dots(axes, part, "found", part["planted"] + shift, **look))
    axes.set(xlabel="Planted consistency", ylabel="Found, without noise")
    axes.set(xlim=(0, 0.85), ylim=(0, 0.95))
    text = "one dot per region and side; bars: 95 % interval over listeners\nline: found as planted"
    finish(figure, SIMULATED, text, handles, list(looks))
    return figure


def recovery_alt(table: pd.DataFrame) -> str:
    """What `recovery_figure` shows, in sentences with its numbers."""
    parts = [
        f"{row['region']} {row['side']}: planted {number(row['planted'], 2)}, found "
        f"{spoken(row, 'found')}"
        for _, row in table.iterrows()
    ]
    return (
        f"{opening(SIMULATED)} Scatter plot of the consistency found in every region against what was "
        f"planted. {'; '.join(parts)}."
    )
