"""Figures of one language model beside features that know less, and their alt text."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.control_tables import SHIFTED
from brainalign.look import (
    COLOURS,
    FOOTER,
    HEADER,
    INK,
    LEGEND_ROW,
    MARKERS,
    STYLE,
    WIDTH,
    free_margins,
    stamp,
)
from brainalign.wording import interval, number, opening

# Inches for a set of features, between two regions, and for the horizontal axis.
_ROW, _BETWEEN, _AXIS = 0.15, 0.13, 1.0


def _places(n_regions: int, n_groups: int) -> np.ndarray:
    """Heights in inches of every group in every region, (region, group), first region on top."""
    step = n_groups * _ROW + _BETWEEN
    return step * np.arange(n_regions)[:, None] + _ROW * (np.arange(n_groups) + 0.5)


def _forest(axes: Axes, table: pd.DataFrame, group: str, value: str, first: int = 0) -> np.ndarray:
    """A dot with its interval for every group in every region, from the first look on."""
    regions, groups = table["region"].unique(), table[group].unique()
    places = _places(len(regions), len(groups))
    for k, name in enumerate(groups):
        rows = table[table[group] == name]
        edges = np.abs(rows[["low", "high"]].to_numpy() - rows[[value]].to_numpy())
        axes.errorbar(
            rows[value],
            places[:, k],
            xerr=edges.T,
            fmt=MARKERS[first + k],
            color=COLOURS[first + k],
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            elinewidth=1.5,
            label=name,
        )
    axes.axvline(0, color=INK, lw=1)
    axes.set_yticks(places.mean(axis=1), regions)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_ylim(places[-1, -1] + _ROW / 2 + _BETWEEN, -_BETWEEN)
    axes.locator_params(axis="x", nbins=7)
    return places


def _new(table: pd.DataFrame, group: str, legend_rows: int) -> Figure:
    """A figure as high as its rows need."""
    places = _places(table["region"].nunique(), table[group].nunique())
    height = HEADER + places.max() + _AXIS + FOOTER + LEGEND_ROW * legend_rows
    return Figure(figsize=(WIDTH, height), layout="constrained")


def _finish(figure: Figure, controls: xr.Dataset, legend_rows: int) -> None:
    """Stamp, small print, and a legend below the panel."""
    (axes,) = figure.axes
    text = (
        f"lines: 95 % interval over {controls.sizes['listener']} listeners (jackknife)\n"
        f"layers: {controls.attrs['layer_rule']} rule"
    )
    stamp(figure, controls.attrs["source"], text)
    free_margins(figure, legend_rows)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, FOOTER / figure.get_size_inches()[1]),
        ncols=int(np.ceil(len(labels) / legend_rows)),
        borderaxespad=0,
        columnspacing=1.2,
        handletextpad=0.4,
        borderpad=0.1,
    )


@mpl.rc_context(STYLE)
def features_figure(controls: xr.Dataset, table: pd.DataFrame) -> Figure:
    """Scores of one model and of its controls in every region, with intervals over listeners.

    Parameters
    ----------
    controls
        From `controls.control_scores`.
    table
        Its `control_tables.score_table`.

    Returns
    -------
    matplotlib.figure.Figure
        The grey bar of a region ends where 95 % of the scores of shifted features are below; a
        black line stands at its noise ceiling.
    """
    scored, shifted = (table[(table["features"] == SHIFTED) == flag] for flag in (False, True))
    legend_rows = 4
    figure = _new(scored, "features", legend_rows)
    axes = figure.subplots()
    places = _forest(axes, scored, "features", "score")
    axes.barh(
        places.mean(axis=1),
        shifted["high"],
        height=np.ptp(places[0]) + _ROW,
        color="#d9d9d9",
        zorder=0,
        label=f"95 % of {controls.sizes['shift']} shifts",
    )
    # Lines of error bars, not `vlines`, so that the line in the legend is upright, too.
    axes.errorbar(
        controls["ceiling"],
        places.mean(axis=1),
        yerr=(np.ptp(places[0]) + _ROW) / 2,
        fmt="none",
        color=INK,
        elinewidth=1.5,
        label="noise ceiling",
    )
    axes.set_xlabel("Brain score (r of the average listener)")
    _finish(figure, controls, legend_rows)
    return figure


@mpl.rc_context(STYLE)
def differences_figure(controls: xr.Dataset, differences: pd.DataFrame) -> Figure:
    """What some features score more than others in every region, with intervals over listeners.

    Parameters
    ----------
    controls
        From `controls.control_scores`.
    differences
        Its `control_tables.difference_table`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    legend_rows = differences["difference"].nunique()
    figure = _new(differences, "difference", legend_rows)
    axes = figure.subplots()
    # Not the look of the model, which is in most of the differences.
    _forest(axes, differences, "difference", "value", first=1)
    axes.set_xlabel("Difference of brain scores (average listener)")
    _finish(figure, controls, legend_rows)
    return figure


def _listed(rows: pd.DataFrame, value: str, digits: int) -> str:
    return "; ".join(
        f"{row['region']} {number(row[value], digits)} "
        f"({interval((row['low'], row['high']), digits)})"
        for _, row in rows.iterrows()
    )


def features_alt(controls: xr.Dataset, table: pd.DataFrame) -> str:
    """What `features_figure` shows, in sentences with its numbers."""
    scored, shifted = (table[(table["features"] == SHIFTED) == flag] for flag in (False, True))
    parts = [
        f"{name}: {_listed(rows, 'score', 2)}."
        for name, rows in scored.groupby("features", sort=False)
    ]
    ends, ceilings = (
        "; ".join(
            f"{region} {number(value, 2)}"
            for region, value in zip(shifted["region"], values, strict=True)
        )
        for values in (shifted["high"], controls["ceiling"].values)
    )
    return (
        f"{opening(controls.attrs['source'])} Dots with lines for {table['region'].nunique()} regions: brain "
        "score of the average listener and its 95 % interval over listeners. "
        f"{' '.join(parts)} 95 % of the scores of shifted features lie below: {ends}. "
        f"Black lines stand at the noise ceiling of the average listener: {ceilings}."
    )


def differences_alt(controls: xr.Dataset, differences: pd.DataFrame) -> str:
    """What `differences_figure` shows, in sentences with its numbers."""
    parts = [
        f"{name}: {_listed(rows, 'value', 3)}."
        for name, rows in differences.groupby("difference", sort=False)
    ]
    return (
        f"{opening(controls.attrs['source'])} Dots with lines for {differences['region'].nunique()} regions: "
        "differences of brain scores of the average listener and their 95 % intervals over "
        f"listeners. {' '.join(parts)}"
    )
