"""Figures of homologous parcels and of voxels' slopes, each with its words."""

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from brainalign.glass_brain import colour_bar, glass_row
from brainalign.look import (
    BLUE,
    FOOTER,
    HEADER,
    INK,
    PURPLE,
    SIDES,
    STYLE,
    WIDTH,
    free_margins,
    stamp,
)
from brainalign.statistics import LineFit, pearson
from brainalign.study import Study
from brainalign.wording import number, opening

if TYPE_CHECKING:
    from brainalign.parcel_slopes import ParcelSlopes

SLOPE_COLOURS = "viridis"
# Parcels named in a figure: those farthest up.
NAMED = 3


def _drawn(figure: Figure, source: str, text: str) -> Figure:
    stamp(figure, source, text)
    free_margins(figure)
    return figure


def _short(parcel: str) -> str:
    """Name of a parcel without what its brackets add."""
    return parcel.partition(" (")[0].replace(", ", ",\n")


def _name(axes: Axes, x: pd.Series, y: pd.Series, names: pd.Series) -> None:
    """Names beside the highest points, on the side where there is more room."""
    middle = (x.min() + x.max()) / 2
    for row in y.nlargest(NAMED).index:
        left = x[row] < middle
        axes.annotate(
            _short(names[row]),
            (x[row], y[row]),
            xytext=(7 if left else -7, 0),
            textcoords="offset points",
            ha="left" if left else "right",
            va="center",
            size=10,
            color="#444444",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _identity(axes: Axes, values: np.ndarray) -> None:
    low, high = float(np.min(values)), float(np.max(values))
    axes.plot([low, high], [low, high], color=INK, lw=1)


@mpl.rc_context(STYLE)
def isc_figure(table: pd.DataFrame, source: str) -> Figure:
    """Reliability of homologous parcels, left against right, and as the paper prints it.

    Parameters
    ----------
    table
        From `parcels.published_isc`.
    source
        Of the map.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, one dot per parcel.
    """
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    sides, printed = figure.subplots(1, 2)
    _identity(sides, table[["left", "right"]].to_numpy())
    sides.plot(table["right"], table["left"], "o", color=BLUE, ms=6, alpha=0.8, mec="white")
    sides.set(xlabel="Right (r)", ylabel="Left (r)", title="Reliability of parcels")
    _identity(printed, table[["printed", "difference"]].to_numpy())
    printed.plot(
        table["printed"], table["difference"], "o", color=PURPLE, ms=6, alpha=0.8, mec="white"
    )
    printed.set(xlabel="Printed in the paper", ylabel="Here", title="Left − right")
    for axes in (sides, printed):
        axes.locator_params(nbins=5)
    return _drawn(figure, source, f"{len(table)} parcels of the Harvard–Oxford atlas, threshold 25")


def isc_alt(table: pd.DataFrame, source: str) -> str:
    """What `isc_figure` shows, in sentences with its numbers."""
    first, last = table.loc[table["difference"].idxmax()], table.loc[table["difference"].idxmin()]
    r = float(pearson(table["difference"], table["printed"]))
    return (
        f"{opening(source)} Two scatter plots of {len(table)} parcels. Left: reliability in the left "
        f"against the right hemisphere; {(table['difference'] > 0).sum()} lie above the line of equality. "
        f"Right: left minus right here against the paper's, r = {number(r, 2)}; from "
        f"{number(last['difference'])} in {_plain(last['parcel'])} to {number(first['difference'])} "
        f"in {_plain(first['parcel'])}."
    )


def _plain(parcel: str) -> str:
    return _short(parcel).replace("\n", " ")


def _line(axes: Axes, fit: LineFit, x: np.ndarray) -> None:
    ends = np.array([np.min(x), np.max(x)])
    axes.plot(ends, fit.predict(ends), color=INK, lw=2)


@mpl.rc_context(STYLE)
def slopes_figure(found: "ParcelSlopes") -> Figure:
    """How the asymmetry of parcels grows, against how much more reliable their left side is.

    Parameters
    ----------
    found
        From `parcels.parcel_slopes` or `parcels.published_slopes`.

    Returns
    -------
    matplotlib.figure.Figure
        One dot per parcel; where there are scores, a second panel shows the mean score against
        reliability, each side of each parcel.
    """
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(1, 1 if found.levels is None else 2, squeeze=False)[0]
    table = found.table
    panels[0].axhline(0, color=INK, lw=0.8)
    panels[0].axvline(0, color=INK, lw=0.8)
    _line(panels[0], found.fit, table["difference"])
    panels[0].plot(
        table["difference"], table["slope"], "o", color=BLUE, ms=6, alpha=0.8, mec="white"
    )
    if found.levels is None:
        _name(panels[0], table["difference"], table["slope"], table["parcel"])
    panels[0].set(
        xlabel="ISC, left − right", ylabel="Slope of the score's left − right\nper decade"
    )
    panels[0].set_title(f"r = {number(found.fit.r, 2)}")
    if found.levels is not None:
        _levels_panel(panels[1], found)
    for axes in panels:
        axes.locator_params(nbins=4)
    return _drawn(
        figure, found.source, f"{len(table)} pairs of parcels; neighbours are not independent"
    )


def _levels_panel(axes: Axes, found: "ParcelSlopes") -> None:
    table = found.table
    _line(axes, found.levels, table[["isc_left", "isc_right"]].to_numpy())
    for side, (name, colour, marker, _) in SIDES.items():
        side = {"L": "left", "R": "right"}[side]
        axes.plot(table[f"isc_{side}"], table[f"score_{side}"], marker, color=colour, ms=5,
                  alpha=0.7, mec="white", label=name)  # fmt: skip
    axes.legend(loc="upper left", borderpad=0, handletextpad=0.1)
    axes.set(xlabel="ISC", ylabel="Mean score of all models")
    axes.set_title(f"r = {number(found.levels.r, 2)}")


def slopes_alt(found: "ParcelSlopes") -> str:
    """What `slopes_figure` shows, in sentences with its numbers."""
    top = found.table.nlargest(NAMED, "slope")
    named = ", ".join(
        f"{_plain(name)} {number(slope, 4)}"
        for name, slope in zip(top["parcel"], top["slope"], strict=True)
    )
    text = (
        f"{opening(found.source)} Scatter plot of {len(found.table)} pairs of parcels: slope of left minus "
        f"right per factor of ten in parameters against left minus right of ISC, "
        f"r = {number(found.fit.r, 2)}. Largest slopes: {named}."
    )
    if found.levels is None:
        return text
    return (
        f"{text} Second panel: mean score of all models against ISC, {found.levels.n} parcels, "
        f"r = {number(found.levels.r, 2)}."
    )


@mpl.rc_context(STYLE)
def voxel_slopes_figure(slopes: xr.Dataset, study: Study) -> Figure:
    """Where the score grows with model size, seen through the brain.

    Parameters
    ----------
    slopes
        From `parcels.voxel_slopes`.
    study
        With a mask.

    Returns
    -------
    matplotlib.figure.Figure
        Slopes of the voxels whose t exceeds the threshold: those where the score grows.
    """
    figure = Figure(figsize=(WIDTH, 3.4))
    height = figure.get_size_inches()[1]
    shown = drawn_voxels(slopes)
    values = np.where(shown, slopes["slope"].to_numpy(), 0)
    colours = ScalarMappable(Normalize(0, float(values.max()) or 1), SLOPE_COLOURS)
    base = FOOTER + 0.8
    box = (0, base / height, 1, 1 - (base + HEADER + 0.05) / height)
    glass_row(figure, study.mask, values, box, colours, threshold=1e-6)
    colour_bar(figure, colours, "Slope per decade", 0.25, 0.5, FOOTER + 0.55)
    text = (
        f"{int(shown.sum()):,} voxels with t > {slopes.attrs['threshold']:.2f} "
        f"({slopes.attrs['n']} models)"
    )
    stamp(figure, study.source, text)
    return figure


def drawn_voxels(slopes: xr.Dataset) -> np.ndarray:
    """Voxels that `voxel_slopes_figure` draws, shape (voxel,), bool."""
    return (slopes["t"] > slopes.attrs["threshold"]).to_numpy()


def voxel_slopes_alt(slopes: xr.Dataset, study: Study) -> str:
    """What `voxel_slopes_figure` shows, in sentences with its numbers."""
    shown, side = drawn_voxels(slopes), study.voxels["hemisphere"].to_numpy()
    left, right = (int((shown & (side == name)).sum()) for name in ("L", "R"))
    text = (
        f"{opening(study.source)} Transparent brain from the left, the back, the right and above: "
        f"{int(shown.sum()):,} voxels whose score grows with model size beyond "
        f"t = {slopes.attrs['threshold']:.2f}, {left:,} of them left and {right:,} right"
    )
    if not shown.any():
        return f"{text}."
    top = study.voxels.iloc[int(np.where(shown, slopes["slope"], -np.inf).argmax())]
    return (
        f"{text}; the steepest, {number(float(slopes['slope'].to_numpy()[shown].max()))} per decade, at "
        f"x = {number(top['x'], 0)}, y = {number(top['y'], 0)}, z = {number(top['z'], 0)} mm."
    )
