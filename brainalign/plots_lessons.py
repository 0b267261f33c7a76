"""Figures of what misleads, each with a function that says the same in words with its numbers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brainalign import lessons
from brainalign.lessons_slopes import ALIKE, PLANTED, SLOPES, brain_slopes, expected_difference
from brainalign.look import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    STYLE,
    free_margins,
    legend_below,
    new_figure,
    size_axis,
    stamp,
)
from brainalign.study import SIMULATED
from brainalign.wording import format_count, number, opening

_SERIES = ((BLUE, "o", "-"), (ORANGE, "^", "--"), (RED, "s", "-."), (GREY, "D", ":"))
_CHOICES = {
    lessons.CHOSEN: (RED, "s", "-"),
    lessons.NESTED: (BLUE, "o", "-"),
    lessons.EXPECTED: (INK, "", ":"),
}


def _finish(figure: Figure, axes, text: str, columns: int) -> Figure:
    """Stamp, small print, and a legend below the panels."""
    handles, labels = axes.get_legend_handles_labels()
    stamp(figure, SIMULATED, text)
    free_margins(figure, legend_rows=-(-len(labels) // columns))
    legend_below(figure, handles, labels, columns)
    return figure


@mpl.rc_context(STYLE)
def leakage_figure(scores: pd.DataFrame) -> Figure:
    """Score of several features against the length of the blocks that are left out.

    Parameters
    ----------
    scores
        From `lessons.leakage`; the longest blocks are whole runs.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.6)
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=1)
    for (name, part), (colour, marker, dashes) in zip(
        scores.groupby("features", sort=False), _SERIES, strict=False
    ):
        style = {"color": colour, "ls": dashes, "marker": marker, "ms": 8, "mec": "white"}
        axes.plot(part["block"], part["score"], label=name, lw=2, **style)
    blocks = sorted(scores["block"].unique())
    names = [f"{n}" for n in blocks[:-1]] + ["a run"]
    axes.set(xscale="log", xlabel="Neighbouring scans that stay together (log scale)")
    axes.set_xticks(blocks, names)
    axes.minorticks_off()
    axes.set_ylabel("Brain score (mean r)")
    axes.set_title("Shuffled scans, blocks, and whole runs")
    return _finish(figure, axes, "the same scans, features and ridge regression throughout", 2)


def leakage_alt(scores: pd.DataFrame) -> str:
    """What `leakage_figure` shows, in sentences with its numbers."""
    whole = scores["block"].max()
    parts = []
    for name, part in scores.groupby("features", sort=False):
        cells = [
            f"{number(row.score)} with {'whole runs' if row.block == whole else f'blocks of {row.block}'}"
            for row in part.itertuples()
        ]
        parts.append(f"{name}: {', '.join(cells)}")
    return (
        f"{opening(SIMULATED)} Mean brain score against the number of neighbouring scans that stay "
        f"together in a fold. {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def invented_figure(choices: pd.DataFrame) -> Figure:
    """Score of the best of several layers of nothing, by both ways to choose it.

    Parameters
    ----------
    choices
        From `lessons.invented`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.4)
    axes = figure.subplots()
    axes.axhline(0, color=INK, lw=1)
    for name, (colour, marker, dashes) in _CHOICES.items():
        style = {"color": colour, "ls": dashes, "marker": marker, "ms": 7, "mec": "white"}
        axes.plot(choices["layers"], choices[name], label=name, lw=2, **style)
    axes.set(xlabel="Layers to choose from", ylabel="Score of the chosen layer\n(mean r)")
    axes.set_title("Features that have nothing to say")
    axes.locator_params(axis="x", integer=True)
    return _finish(figure, axes, "random vectors for every word; the true score is 0", 3)


def invented_alt(choices: pd.DataFrame) -> str:
    """What `invented_figure` shows, in sentences with its numbers."""
    cells = [
        f"of {row['layers']:.0f} {number(row[lessons.CHOSEN])} by test score, "
        f"{number(row[lessons.NESTED])} nested, {number(row[lessons.EXPECTED])} expected of chance"
        for row in choices.iloc[[0, len(choices) // 2, -1]].to_dict("records")
    ]
    return (
        f"{opening(SIMULATED)} Score of the layer that is chosen for every voxel against the number "
        f"of layers, for random vectors whose true score is 0. {'; '.join(cells)}."
    )


@mpl.rc_context(STYLE)
def nulls_figure(rates: pd.DataFrame, responses_at: float) -> Figure:
    """False positives of tests against the slowness of the series.

    Parameters
    ----------
    rates
        From `lessons.false_positives`.
    responses_at
        Correlation of neighbouring scans in the simulated responses, which is marked.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.8)
    axes = figure.subplots()
    axes.axhline(0.05, color=INK, lw=1, ls="--")
    axes.axvline(responses_at, color=GREY, lw=6, alpha=0.3)
    width = 0.006
    for place, ((test, part), (colour, marker, dashes)) in enumerate(
        zip(rates.groupby("test", sort=False), _SERIES, strict=False)
    ):
        errors = np.abs(part[["low", "high"]].to_numpy().T - part["rate"].to_numpy())
        style = {"color": colour, "ls": dashes, "ms": 7, "mec": "white", "capsize": 2}
        x = part["lag_one"] + width * (place - 1.5)
        axes.errorbar(x, part["rate"], errors, fmt=marker, label=test, **style)
    axes.set(xlabel="Correlation of neighbouring scans", ylabel="False positives")
    axes.set_ylim(0, None)
    axes.set_title("Unrelated series called related at p ≤ .05")
    text = "dashed: the 5 % that are promised; grey: the simulated responses\nbars: 95 % intervals"
    return _finish(figure, axes, text, 2)


def nulls_alt(rates: pd.DataFrame, responses_at: float) -> str:
    """What `nulls_figure` shows, in sentences with its numbers."""
    parts = [
        f"{test}: "
        + ", ".join(
            f"{number(row.rate, 3)} at {number(row.lag_one, 1)}" for row in part.itertuples()
        )
        for test, part in rates.groupby("test", sort=False)
    ]
    return (
        f"{opening(SIMULATED)} Part of pairs of unrelated series that a test calls related at .05, "
        f"against the correlation of neighbouring scans ({number(responses_at, 2)} in the simulated "
        f"responses). {'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def ceilings_figure(true: np.ndarray, estimate: np.ndarray, groups: pd.DataFrame) -> Figure:
    """True and estimated noise ceilings, and a perfect model's score divided by them.

    Parameters
    ----------
    true, estimate
        Shape (voxel,).
    groups
        From `lessons.divided`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.8)
    left, right = figure.subplots(1, 2)
    left.plot(true, estimate, ".", color=BLUE, ms=3, alpha=0.35, rasterized=True)
    top = 1.05 * max(true.max(), estimate.max())
    left.plot([0, top], [0, top], color=INK, lw=1)
    left.set(xlabel="True ceiling", ylabel="Estimated ceiling", title="One dot per voxel")
    x = groups["ceiling"]
    right.axhline(1, color=INK, lw=1)
    spread = np.abs(groups[["low", "high"]].to_numpy().T - groups["middle"].to_numpy())
    style = {"fmt": "s", "color": RED, "ms": 7, "mec": "white", "capsize": 3}
    right.errorbar(x - 0.005, groups["middle"], spread, label="voxel by voxel", **style)
    style = {"color": BLUE, "ms": 8, "mec": "white", "label": "mean / mean"}
    right.plot(x + 0.005, groups["of_means"], "o", **style)
    right.set(xlabel="True ceiling", ylabel="Score / estimated ceiling", title="A perfect model")
    text = "squares: median, bars: 5th to 95th percentile of voxels\nright: should be 1"
    return _finish(figure, right, text, 2)


def ceilings_alt(true: np.ndarray, estimate: np.ndarray, groups: pd.DataFrame) -> str:
    """What `ceilings_figure` shows, in sentences with its numbers."""
    cells = [
        f"{number(row.ceiling, 2)}: {number(row.low, 2)} to {number(row.high, 2)}, median "
        f"{number(row.middle, 2)}, mean over mean {number(row.of_means, 2)}"
        for row in groups.itertuples()
    ]
    return (
        f"{opening(SIMULATED)} Left: estimated against true noise ceiling of {len(true)} voxels, "
        f"r = {number(np.corrcoef(true, estimate)[0, 1], 2)}. Right: a perfect model's score "
        f"divided by the estimated ceiling, 5th to 95th percentile of voxels, by true ceiling, the "
        f"{int((true <= 0).sum())} silent voxels left out. "
        f"{'; '.join(cells)}."
    )


def _kind_looks(kinds: list[str]) -> dict[str, tuple[str, str, str]]:
    """Colour, marker and dashes of every kind of brain."""
    between = iter([(ORANGE, "^", "-."), (RED, "v", "--"), (GREY, "P", ":")] * len(kinds))
    known = {ALIKE: (INK, "o", ":"), PLANTED: (GREEN, "s", "-")}
    return {kind: known.get(kind) or next(between) for kind in kinds}


@mpl.rc_context(STYLE)
def growth_figure(table: pd.DataFrame) -> Figure:
    """Left minus right against model size, by kind of brain; and r and slope of every brain.

    Parameters
    ----------
    table
        From `lessons_slopes.side_table`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    points, slopes = expected_difference(table), brain_slopes(table)
    figure = new_figure(5.0)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.axhline(0, color=INK, lw=1)
    for kind, (colour, marker, dashes) in _kind_looks(list(points["kind"].unique())).items():
        part, brains = points[points["kind"] == kind], slopes[slopes["kind"] == kind]
        style = {"color": colour, "marker": marker, "ms": 7, "mec": "white"}
        left.plot(part["n_parameters"], part["difference"], ls=dashes, label=kind, **style)
        right.plot(brains["slope"], brains["r"], ls="", **style)
    size_axis(left, points["n_parameters"])
    left.set(ylabel="Left − right (mean r)", title="Left − right by size")
    right.set(xlabel="Slope per factor of ten", ylabel="r with log parameters", ylim=(-1.05, 1.05))
    right.set_title("Each brain")
    right.locator_params(axis="x", nbins=4)
    n = table["brain"].nunique()
    text = f"left: means of {n} simulated brains of each kind"
    return _finish(figure, left, text, 2)


def growth_alt(table: pd.DataFrame) -> str:
    """What `growth_figure` shows, in sentences with its numbers."""
    points, slopes, parts = expected_difference(table), brain_slopes(table), []
    for kind, part in points.groupby("kind", sort=False):
        brains = slopes[slopes["kind"] == kind]
        ends = part.sort_values("n_parameters").iloc[[0, -1]]
        sizes = [format_count(n) for n in ends["n_parameters"]]
        parts.append(
            f"{kind}: {number(ends['difference'].iloc[0])} at {sizes[0]} parameters, "
            f"{number(ends['difference'].iloc[1])} at {sizes[1]}; r from "
            f"{number(brains['r'].min(), 2)} to {number(brains['r'].max(), 2)}, slope "
            f"{number(brains['slope'].min(), 4)} to {number(brains['slope'].max(), 4)}"
        )
    return (
        f"{opening(SIMULATED)} Left minus right against model size, and the correlation and slope "
        f"of every brain, for {len(parts)} kinds of brains. {'. '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def remedies_figure(table: pd.DataFrame) -> Figure:
    """Slope of every brain as it is, divided by noise ceilings, and with equal noise.

    Parameters
    ----------
    table
        From `lessons_slopes.side_table`.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels with scales of their own: a quotient has other units.
    """
    slopes = brain_slopes(table)
    looks = _kind_looks(list(slopes["kind"].unique()))
    figure = new_figure(3.9)
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("Measured", "÷ ceiling", "Equal noise")
    for axes, column, name in zip(panels, SLOPES, titles, strict=True):
        axes.axvline(0, color=INK, lw=1)
        for place, (kind, (colour, marker, _)) in enumerate(looks.items()):
            values = slopes.loc[slopes["kind"] == kind, column]
            heights = np.full(len(values), -place)
            axes.plot(values, heights, marker, color=colour, ms=8, mec="white")
        axes.set_title(name)
        axes.locator_params(axis="x", nbins=2)
        axes.set_ylim(0.5 - len(looks), 0.5)
    panels[0].set_yticks(-np.arange(len(looks)), list(looks))
    panels[1].set_xlabel("Slope of left − right per factor of ten in parameters")
    stamp(figure, SIMULATED, "one marker per simulated brain; each panel has its own scale")
    free_margins(figure)
    return figure


def remedies_alt(table: pd.DataFrame) -> str:
    """What `remedies_figure` shows, in sentences with its numbers."""
    means = brain_slopes(table).groupby("kind", sort=False)[list(SLOPES)].mean()
    parts = [
        f"{kind}: {number(row['slope'], 4)} as measured, {number(row['slope_divided'], 4)} divided "
        f"by the noise ceilings, {number(row['slope_matched'], 4)} with equal noise"
        for kind, row in means.iterrows()
    ]
    return (
        f"{opening(SIMULATED)} Slope of left minus right per factor of ten in parameters, mean over "
        f"brains. {'; '.join(parts)}."
    )
