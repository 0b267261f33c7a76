"""Figures of reliability, each with a function that says the same in words with its numbers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from brainalign.glass_brain import VIEWS, colour_bar, glass_row
from brainalign.look import (
    BLUE,
    FOOTER,
    GREY,
    HEADER,
    INK,
    ORANGE,
    SIDES,
    STYLE,
    WIDTH,
    free_margins,
    stamp,
)
from brainalign.reliability_summary import (
    LEAVE_ONE_OUT,
    LISTENER,
    SPLIT,
    SPLIT_HALVES,
    StudyReliability,
    differences,
    interval_name,
    mean_interval,
    region_names,
    reliable_counts,
    unit_means,
)
from brainalign.wording import interval, number, opening

MAP_COLOURS = "viridis"
AXIS = {
    LEAVE_ONE_OUT: "Inter-subject correlation\n(r of a listener with the mean of the others)",
    SPLIT_HALVES: "Reliability\n(r of predicted with measured mean of half the listeners)",
}


def _units_text(found: StudyReliability) -> str:
    n_units = found.units.sizes["unit"]
    return f"{n_units} {found.unit}s; bars: {interval_name(found.unit)}"


def _drawn(figure: Figure, found: StudyReliability, text: str) -> Figure:
    stamp(figure, found.source, text)
    free_margins(figure)
    return figure


@mpl.rc_context(STYLE)
def distribution_figure(found: StudyReliability) -> Figure:
    """Distribution of reliability over voxels with its threshold; of regions, over listeners.

    Parameters
    ----------
    found
        From `reliability_summary.study_reliability`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    if found.study.of_regions:
        return _listeners_by_region(found)
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    values = found.isc.to_numpy()
    if found.null is not None:
        null = found.null.to_numpy().ravel()
        sns.kdeplot(null, cut=0, color=GREY, ls="--", lw=2, label="shifted listeners", ax=axes)
    sns.kdeplot(values, cut=0, color=BLUE, lw=2, label="voxels", ax=axes)
    curve = axes.lines[-1].get_xydata()
    beyond = curve[curve[:, 0] >= found.threshold]
    axes.fill_between(*beyond.T, color=BLUE, alpha=0.25, lw=0, label="reliable voxels")
    axes.axvline(found.threshold, color=INK, lw=1.5, label=f"threshold {number(found.threshold)}")
    axes.set(xlabel=AXIS[found.measure], ylabel="Density of voxels")
    axes.locator_params(nbins=6)
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    axes.legend(loc="upper right", handlelength=1.4)
    n_voxels, n_reliable = found.study.n_voxels, int(found.reliable.sum())
    text = f"{n_voxels:,} voxels, {n_reliable:,} of them reliable"
    return _drawn(figure, found, text)


def _listeners_by_region(found: StudyReliability) -> Figure:
    """One row per region, one dot per listener, the mean with its interval."""
    names = found.study.voxels["parcel"].tolist()
    figure = Figure(figsize=(WIDTH, 1.9 + 0.5 * len(names)), layout="constrained")
    axes = figure.subplots()
    values = pd.DataFrame(found.units.to_numpy(), columns=names)
    axes.axvline(0, color=INK, lw=1)
    edge = _null_edge(found)
    axes.axvline(edge, color=ORANGE, lw=2, ls="--", label="95 % point, shifted listeners")
    sns.stripplot(values, orient="h", color=BLUE, alpha=0.35, size=6, jitter=False, ax=axes)
    # seaborn's own jitter differs from run to run.
    rng = np.random.default_rng(0)
    for dots in axes.collections:
        places = dots.get_offsets()
        places[:, 1] += rng.uniform(-0.18, 0.18, len(places))
        dots.set_offsets(places)
    for place, name in enumerate(names):
        _bar(axes, values[name], place, found.unit, INK, "D")
    axes.set(xlabel=AXIS[found.measure], ylabel="")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderpad=0, handlelength=1.6)
    return _drawn(figure, found, f"one dot per listener; diamonds: means of {_units_text(found)}")


def _null_edge(found: StudyReliability) -> float:
    return float(found.null.quantile(0.95))


def _bar(
    axes: Axes, values: pd.Series, place: float, unit: str, colour: str, marker: str, **options
) -> None:
    """Mean of the units with its interval, at a height."""
    axes.hlines(place, *mean_interval(values, unit), color=colour, lw=2.5, zorder=4)
    axes.plot(values.mean(), place, marker, color=colour, ms=8, mec="white", zorder=5, **options)


def distribution_alt(found: StudyReliability) -> str:
    """What `distribution_figure` shows, in sentences with its numbers."""
    null = "" if found.null is None else (
        f" Of listeners shifted against each other, 95 % of the values lie below "
        f"{number(_null_edge(found))}."
    )  # fmt: skip
    if found.study.of_regions:
        means = found.units.mean("unit").to_numpy()
        names = found.study.voxels["parcel"]
        parts = [f"{name} {number(mean)}" for name, mean in zip(names, means, strict=True)]
        return (
            f"{opening(found.source)} One row per region, one dot per listener "
            f"({found.units.sizes['unit']}): {found.measure}, means {', '.join(parts)}.{null}"
        )
    isc = found.isc
    return (
        f"{opening(found.source)} Density curve of the reliability ({found.measure}) of "
        f"{found.study.n_voxels:,} voxels, from {number(float(isc.min()))} to "
        f"{number(float(isc.max()))} with mean {number(float(isc.mean()))}. A line marks the "
        f"threshold {number(found.threshold)}, which {int(found.reliable.sum()):,} reliable voxels "
        f"exceed.{null}"
    )


@mpl.rc_context(STYLE)
def glass_brain_figure(found: StudyReliability) -> Figure:
    """Reliable voxels seen through the brain from the left, the back, the right and above.

    Parameters
    ----------
    found
        Of a study with a mask.

    Returns
    -------
    matplotlib.figure.Figure
        Along each line of sight the highest value shows.
    """
    figure = Figure(figsize=(WIDTH, 3.6))
    height = figure.get_size_inches()[1]
    low, high = found.threshold, float(found.isc.max())
    shown = np.where(found.reliable, found.isc, 0)
    bottom, top = (FOOTER + 0.8) / height, (HEADER + 0.25) / height
    colours = ScalarMappable(Normalize(low, high), MAP_COLOURS)
    box = (0, bottom, 1, 1 - bottom - top)
    for view, axes in glass_row(figure, found.study.mask, shown, box, colours, low).items():
        axes.set_title(VIEWS[view], size=12, loc="center")
    # Not `capitalize`, which would write "isc".
    label = f"{found.measure[0].upper()}{found.measure[1:]} (r)"
    colour_bar(figure, colours, label, 0.25, 0.5, FOOTER + 0.6)
    stamp(figure, found.source, f"{int(found.reliable.sum()):,} reliable voxels")
    return figure


def glass_brain_alt(found: StudyReliability) -> str:
    """What `glass_brain_figure` shows, in sentences with its numbers."""
    counts = reliable_counts(found.study, found.reliable)
    top = found.study.voxels.iloc[int(np.nanargmax(found.isc))]
    return (
        f"{opening(found.source)} Transparent brain from the left, the back, the right and above: the "
        f"{counts['n_reliable']:,} reliable voxels, {counts['n_reliable_left']:,} of them left, "
        f"{counts['n_reliable_right']:,} right and {counts['n_reliable_midline']:,} on the midline, "
        f"coloured by {found.measure} from {number(found.threshold)} to "
        f"{number(float(found.isc.max()))}; the highest voxel is at x = {number(top['x'], 0)}, "
        f"y = {number(top['y'], 0)}, z = {number(top['z'], 0)} mm."
    )


@mpl.rc_context(STYLE)
def regions_figure(found: StudyReliability) -> Figure:
    """Left against right in every region, and left minus right in every listener or split.

    Parameters
    ----------
    found
        From `reliability_summary.study_reliability`.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; the right one has a row for every region that was measured on both sides.
    """
    names = region_names(found)
    figure = Figure(figsize=(WIDTH, 2.4 + 0.42 * len(names)), layout="constrained")
    sides, difference = figure.subplots(1, 2)
    _sides_panel(sides, found, names)
    _difference_panel(difference, found, names)
    return _drawn(figure, found, f"{found.measure}; {_units_text(found)}")


def _rows(axes: Axes, names: list[str]) -> None:
    """One named row for each, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)


def _sides_panel(sides: Axes, found: StudyReliability, names: dict[str, str]) -> None:
    """Mean of both sides of every region, from 0 on."""
    means = unit_means(found)
    for place, region in enumerate(names):
        measured = [side for side in SIDES if (region, side) in means]
        for side in measured:
            _, colour, marker, _ = SIDES[side]
            offset = {"L": -0.14, "R": 0.14}[side] if len(measured) > 1 else 0
            _bar(sides, means[region, side], place + offset, found.unit, colour, marker)
    _rows(sides, [*names.values()])
    if sides.dataLim.x0 >= 0:
        sides.set_xlim(left=0)
    for name, colour, marker, _ in SIDES.values():
        sides.plot([], [], marker, color=colour, ms=8, label=name)
    sides.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=2,
        borderpad=0,
        columnspacing=1,
        handletextpad=0,
    )
    sides.set_xlabel("Mean r over voxels" if not found.study.of_regions else "Mean r")
    sides.locator_params(axis="x", nbins=5)


def _difference_panel(difference: Axes, found: StudyReliability, names: dict[str, str]) -> None:
    """Left minus right of every listener or split, regions of both sides only."""
    gaps = differences(found)
    pairs = [region for region in names if region in gaps]
    for place, region in enumerate(pairs):
        spread = place + np.linspace(-0.2, 0.2, len(gaps))
        difference.plot(gaps[region], spread, "o", color=GREY, ms=5, alpha=0.6, mec="none")
        _bar(difference, gaps[region], place, found.unit, INK, "D")
    difference.axvline(0, color=INK, lw=1)
    # The same rows have their names in the left panel.
    _rows(difference, [""] * len(pairs) if pairs == [*names] else pairs)
    difference.tick_params(left=False)
    difference.set_xlabel("Left − right")
    difference.set_title(f"one dot per {found.unit}", size=11)
    difference.locator_params(axis="x", nbins=4)


def regions_alt(found: StudyReliability) -> str:
    """What `regions_figure` shows, in sentences with its numbers."""
    means, gaps, parts = unit_means(found), differences(found), []
    for region, name in region_names(found).items():
        known = [f"{SIDES[side][0]} {number(means[region, side].mean())}" for side in ("L", "R")
                 if (region, side) in means]  # fmt: skip
        if region in gaps:
            edges = interval(mean_interval(gaps[region], found.unit))
            known.append(f"left minus right {number(gaps[region].mean(), 4)} ({edges})")
        parts.append(f"{name} {', '.join(known)}")
    spread = {LISTENER: "95 % interval over listeners", SPLIT: "lowest to highest split"}
    return (
        f"{opening(found.source)} Two panels, {found.measure} of every region on its sides and the "
        f"difference in regions that have both, in brackets "
        f"{spread[found.unit]}: {'; '.join(parts)}."
    )
