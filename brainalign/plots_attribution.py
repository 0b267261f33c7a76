"""Figures of how attribution is spread over words, each with a function that says the same in words.

Tables hold a row for every point, with the edges of its interval (NaN where there is none).
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.scale import FuncScale
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from brainalign.errors import InputError
from brainalign.look import GREY, STYLE, new_figure
from brainalign.look_attribution import (
    BRAIN,
    DARK_GREY,
    EDGE,
    FINDING,
    NEXT_WORD,
    POOLED_SHADE,
    Look,
    finish,
    looks,
    offsets,
    rows_with,
    spoken_each,
)
from brainalign.wording import number, opening

ZOOM = 20
_GROUPS = ("early", "middle", "late")
_MEASURES = {
    "prediction": "Change of the\nprediction",
    "brain score": "Brain score\n(mean r)",
    "next-word loss": "Next-word loss\n(nats)",
}


def _curve(axes: Axes, rows: pd.DataFrame, look: Look, columns: Sequence[str], **style) -> None:
    """Line over x, y with the band between its low and its high where there are any."""
    x, y = columns
    rows = rows.sort_values(x)
    band = {"color": look.colour, "alpha": 0.35 if look.colour == GREY else 0.2, "lw": 0}
    if np.isfinite(rows["low"] + rows["high"]).any():
        axes.fill_between(rows[x], rows["low"], rows["high"], **band)
    axes.plot(rows[x], rows[y], color=look.colour, ls=look.dashes, **style)


def _label_ticks(axes: Axes, ticks: Sequence[float], factor: float = 1) -> None:
    """Labels at these places of a horizontal axis, multiplied, and nowhere else."""
    axes.xaxis.set_major_locator(FixedLocator(list(ticks)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{factor * value:g}"))


def _log_height(axes: Axes, rows: pd.DataFrame, value: str, factor: float = 1) -> None:
    """Logarithmic vertical axis, labelled in multiples; what is 0 ends at its foot."""
    positive = rows.loc[rows[value] > 0, value]
    if positive.empty:
        return
    axes.set_yscale("log", nonpositive="clip")
    axes.set_ylim(0.7 * positive.min(), 1.4 * rows[[value, "high"]].max(axis=None))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda height, _: f"{factor * height:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


@mpl.rc_context(STYLE)
def overlap_figure(curves: pd.DataFrame, source: str, note: str) -> Figure:
    """Words that two attributions share, against the part of the attribution that they carry.

    Parameters
    ----------
    curves
        Columns threshold (per cent of the attribution), what, iou (intersection over union), low,
        high.
    source
        Whose responses these are, for the stamp.
    note
        One line for the small print.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels: all thresholds, and those up to `ZOOM`, on a logarithmic axis, because what is
        to be told apart there is small. The line of `FINDING` is thick.
    """
    rows = rows_with(curves, ("threshold", "what", "iou", "low", "high"), "iou")
    styles = looks(rows["what"])
    figure = new_figure(5.0)
    panels = figure.subplots(1, 2, width_ratios=(1.15, 1))
    for axes, most in zip(panels, (100, ZOOM), strict=True):
        shown = rows[rows["threshold"] <= most]
        for what, look in styles.items():
            style = {"lw": 3.5, "zorder": 3} if what == FINDING else {"lw": 1.8}
            part = shown[shown["what"] == what]
            _curve(axes, part, look, ("threshold", "iou"), label=what, **style)
        axes.axvline(10, color=DARK_GREY, lw=1, gid="hint")
        axes.set(xscale="log", xlabel="Part of the attribution (%)")
        _label_ticks(axes, [tick for tick in (1, 2, 5, 10, 20, 50, 98) if tick <= most])
    panels[0].set_ylim(bottom=0)
    panels[0].locator_params(axis="y", nbins=5)
    panels[0].set_ylabel("Shared words\n(intersection over union)")
    _log_height(panels[1], rows[rows["threshold"] <= ZOOM], "iou")
    panels[0].set_title("All thresholds", size=12)
    panels[1].set_title(f"Up to {ZOOM} %, log scale", size=12)
    handles, labels = panels[0].get_legend_handles_labels()
    finish(figure, source, f"{note}\nvertical line: 10 % of the attribution", handles, labels)
    return figure


def overlap_alt(curves: pd.DataFrame, source: str) -> str:
    """What `overlap_figure` shows, in sentences with its numbers."""
    rows = rows_with(curves, ("threshold", "what", "iou", "low", "high"), "iou")
    thresholds = np.sort(rows["threshold"].unique())
    # 10 % is the paper's first number; by the last threshold nearly all words are in both sets.
    named = dict.fromkeys([thresholds[np.abs(thresholds - 10).argmin()], thresholds[-1]])
    parts = [
        f"At {threshold:g} %: {spoken_each(rows[rows['threshold'] == threshold], 'what', 'iou')}."
        for threshold in named
    ]
    return (
        f"{opening(source)} Lines of the intersection over union of two sets of important words "
        f"against the part of the attribution that the sets carry, {thresholds[0]:g} to "
        f"{thresholds[-1]:g} %; intervals in brackets. {' '.join(parts)}"
    )


def _layer_places(rows: pd.DataFrame) -> dict[tuple[str, object], str]:
    """Group and layer, early before late, with the label of their place: "early\\nlayer 2"."""
    order = {name: place for place, name in enumerate(_GROUPS)}
    pairs = rows[["layer_group", "layer"]].drop_duplicates()
    key = [pairs["layer_group"].map(order).fillna(len(order)), pairs["layer"]]
    pairs = pairs.iloc[np.lexsort(key[::-1])]
    return {tuple(pair): f"{pair[0]}\nlayer {pair[1]}" for pair in pairs.itertuples(index=False)}


@mpl.rc_context(STYLE)
def spread_figure(spread: pd.DataFrame, source: str, note: str) -> Figure:
    """Over how many words attribution is spread, by group of layers.

    Parameters
    ----------
    spread
        Columns layer_group ("early", "middle", "late"), layer, what, area (mean part of a context's
        words that is needed), low, high.
    source, note
        As for `overlap_figure`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = rows_with(spread, ("layer_group", "layer", "what", "area", "low", "high"), "area")
    styles, places = looks(rows["what"]), _layer_places(rows)
    at = rows.set_index(["layer_group", "layer"]).index.map(
        {key: i for i, key in enumerate(places)}
    )
    rows = rows.assign(place=at.to_numpy(float))
    figure = new_figure(4.9)
    axes = figure.subplots()
    for shift, (what, look) in zip(offsets(len(styles), 0.16), styles.items(), strict=True):
        part = rows[rows["what"] == what]
        x = part["place"] + shift
        axes.vlines(x, part["low"], part["high"], color=look.colour, lw=2.5)
        style = {"color": look.colour, "ms": 9} | EDGE
        axes.plot(x, part["area"], look.marker, label=what, **style)
    axes.set_xticks(range(len(places)), places.values())
    axes.set_xlim(-0.5, len(places) - 0.5)
    axes.grid(axis="x", visible=False)
    axes.set_ylabel("Spread: mean part of\nthe words needed")
    axes.locator_params(axis="y", nbins=6)
    handles, labels = axes.get_legend_handles_labels()
    text = "area under the curve of words needed for 1 to 98 % of the attribution"
    finish(figure, source, f"{note}\n{text}", handles, labels)
    return figure


def spread_alt(spread: pd.DataFrame, source: str) -> str:
    """What `spread_figure` shows, in sentences with its numbers."""
    rows = rows_with(spread, ("layer_group", "layer", "what", "area", "low", "high"), "area")
    parts = []
    for group, layer in _layer_places(rows):
        own = rows[(rows["layer_group"] == group) & (rows["layer"] == layer)]
        parts.append(f"{group.capitalize()}, layer {layer}: {spoken_each(own, 'what', 'area', 3)}.")
    return (
        f"{opening(source)} Points of the mean part of a context's words that is needed to reach a "
        f"part of the attribution, by layer; intervals in brackets. {' '.join(parts)}"
    )


def _distance_axis(axes: Axes, farthest: float) -> None:
    """Axis of log(1 + words back), on which the newest word, 0 back, has a place."""
    axes.set_xscale(FuncScale(axes, (np.log1p, np.expm1)))
    axes.set_xlim(-0.12, farthest * 1.15)
    ticks = [t for t in (0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if t <= farthest]
    _label_ticks(axes, ticks)
    axes.set_xlabel("Words back from the newest (log scale)")


@mpl.rc_context(STYLE)
def positions_figure(profiles: pd.DataFrame, source: str, note: str, pooled: float) -> Figure:
    """Share of attribution of each word of a context against how far back it lies.

    Parameters
    ----------
    profiles
        Columns what, distance (words back, the newest has 0), share, low, high.
    source, note
        As for `overlap_figure`.
    pooled
        Words that the readout pools, the newest ones: a shade that ends with them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        For a table without these columns or without values, negative distances, and shares that
        are all 0.
    """
    rows = rows_with(profiles, ("what", "distance", "share", "low", "high"), "share")
    if (rows["distance"] < 0).any() or not (rows["share"] > 0).any():
        raise InputError(
            "Distances are words back, 0 for the newest, and shares parts of the attribution; none "
            "below 0, and some shares above it, are expected."
        )
    figure = new_figure(5.6)
    axes = figure.subplots()
    axes.axvspan(-0.5, pooled - 0.5, color=POOLED_SHADE, lw=0, zorder=0)
    axes.axvline(pooled - 0.5, color=DARK_GREY, lw=1, gid="pooled")
    for what, look in looks(rows["what"]).items():
        style = {"lw": 2.8, "zorder": 3} if what in (BRAIN, NEXT_WORD) else {"lw": 1.8}
        # The oldest word often stands out, but has little room on this axis.
        style |= {"marker": look.marker, "markevery": [0, -1], "ms": 7} | EDGE
        part = rows[rows["what"] == what]
        _curve(axes, part, look, ("distance", "share"), label=what, **style)
    _distance_axis(axes, max(rows["distance"].max(), pooled))
    _log_height(axes, rows, "share", 100)
    axes.set_ylabel("Share of the attribution\nper word (%, log scale)")
    handles, labels = axes.get_legend_handles_labels()
    handles.append(Patch(color=POOLED_SHADE))
    finish(figure, source, note, handles, [*labels, "pooled by the readout"])
    return figure


def positions_alt(profiles: pd.DataFrame, source: str, pooled: float) -> str:
    """What `positions_figure` shows, in sentences with its numbers."""
    rows = rows_with(profiles, ("what", "distance", "share", "low", "high"), "share")
    parts = []
    for what in dict.fromkeys(rows["what"]):
        own = rows[rows["what"] == what].sort_values("distance")
        edge = own[own["distance"] < pooled].tail(1)
        within = [f"{number(100 * row.share)} at {row.distance:g}" for row in edge.itertuples()]
        ends = [
            f"{number(100 * row.share)} at {row.distance:g}"
            for row in own.iloc[[0, -1]].itertuples()
        ]
        parts.append(f"{what} {', '.join(dict.fromkeys([ends[0], *within, ends[1]]))}")
    return (
        f"{opening(source)} Lines of the share of the attribution per word, in per cent, against its "
        f"distance in words from the newest word; the readout pools the newest {pooled:.0f} words. "
        f"Shares at the newest word, at the last pooled one and at the oldest: {'; '.join(parts)}."
    )


def _deletion_panel(axes: Axes, rows: pd.DataFrame, styles: dict[str, Look]) -> None:
    """A line per ranking, side by side, so that the intervals of one do not hide another."""
    for shift, (ranking, look) in zip(offsets(len(styles), 0.04), styles.items(), strict=True):
        part = rows[rows["ranking"] == ranking].sort_values("fraction")
        x = part["fraction"] * np.exp(shift)
        axes.vlines(x, part["low"], part["high"], color=look.colour, lw=1.8)
        style = {"color": look.colour, "marker": look.marker, "ls": look.dashes, "lw": 1.8, "ms": 7}
        axes.plot(x, part["value"], label=ranking, **style | EDGE)


@mpl.rc_context(STYLE)
def deletion_figure(curves: pd.DataFrame, source: str, note: str) -> Figure:
    """What is lost when the words that a ranking puts first are replaced.

    Parameters
    ----------
    curves
        Columns fraction (of the words, above 0), ranking, measure ("prediction", "brain score",
        "next-word loss"), value, low, high.
    source, note
        As for `overlap_figure`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel per measure, below each other, in each all rankings: the one of its own task and
        those of the other.

    Raises
    ------
    InputError
        For a table without these columns or without values, and fractions outside 0 to 1.
    """
    rows = rows_with(curves, ("fraction", "ranking", "measure", "value", "low", "high"), "value")
    if not rows["fraction"].between(0, 1, inclusive="right").all():
        raise InputError("A fraction of words lies outside 0 to 1; parts above 0 are expected.")
    styles, measures = looks(rows["ranking"]), list(dict.fromkeys(rows["measure"]))
    figure = new_figure(1.9 + 2.0 * len(measures))
    panels = figure.subplots(len(measures), 1, sharex=True, squeeze=False)[:, 0]
    for axes, measure in zip(panels, measures, strict=True):
        _deletion_panel(axes, rows[rows["measure"] == measure], styles)
        axes.set(xscale="log", ylabel=_MEASURES.get(measure, measure.capitalize()))
        axes.locator_params(axis="y", nbins=4)
    figure.align_ylabels(panels)
    _label_ticks(panels[-1], np.sort(rows["fraction"].unique()), 100)
    panels[-1].set_xlabel("Words replaced (%, log scale)")
    handles, labels = panels[0].get_legend_handles_labels()
    finish(
        figure,
        source,
        f"{note}\neach line: which words are replaced first",
        handles,
        labels,
    )
    return figure


def deletion_alt(curves: pd.DataFrame, source: str) -> str:
    """What `deletion_figure` shows, in sentences with its numbers."""
    rows = rows_with(curves, ("fraction", "ranking", "measure", "value", "low", "high"), "value")
    parts = []
    for measure, own in rows.groupby("measure", sort=False):
        most = own["fraction"].max()
        values = spoken_each(own[own["fraction"] == most], "ranking", "value", 3)
        parts.append(f"{measure} with {100 * most:g} % of the words replaced: {values}")
    return (
        f"{opening(source)} One panel per measure against the per cent of words replaced, a line for "
        f"each ranking that says which words go first; intervals in brackets. "
        f"{'. '.join(part[0].upper() + part[1:] for part in parts)}."
    )
