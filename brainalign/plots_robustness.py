"""Figures of what could fool us: other models, layers, baselines and divisors; and their alt text."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brainalign.alt_text import source_of
from brainalign.evidence import (
    DIFFERENCE,
    SCORE,
    Evidence,
    layer_bias,
    normalised_fit,
    normalised_rows,
    quantity_rows,
)
from brainalign.lateralization import zero_crossing
from brainalign.look import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    STYLE,
    draw_line,
    draw_models,
    family_legend,
    frame,
    legend_below,
    new_figure,
    size_axis,
)
from brainalign.regions import baseline_rows
from brainalign.robustness import ALL
from brainalign.scaling import log_parameters
from brainalign.statistics import LineFit, fit_line
from brainalign.wording import format_count, interval, number, opening

_TITLES = {SCORE: "Brain score", DIFFERENCE: "Left − right"}
_LAYERS = {"each voxel": (BLUE, "o", "-"), "one layer": (ORANGE, "s", "--")}
# Left minus right of the models, of the baseline, and what is left: column -> label, colour, marker.
_BASELINE = {
    "raw": ("models", BLUE, "o"),
    "baseline": ("random embeddings", GREEN, "D"),
    "subtracted": ("models less embeddings", ORANGE, "s"),
}


@mpl.rc_context(STYLE)
def choices_figure(found: Evidence, choices: dict[str, pd.DataFrame]) -> Figure:
    """Slope of the score, and of left minus right, under other choices of models and layers.

    Parameters
    ----------
    found
        From `evidence.gather`.
    choices
        From `robustness.all_choices`.

    Returns
    -------
    matplotlib.figure.Figure
        A dot and an interval for every choice; the line of all models goes through both panels.
    """
    figure = new_figure(4.1)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, quantity in zip(panels, _TITLES, strict=True):
        rows = choices[quantity].iloc[::-1]
        places = np.arange(len(rows))
        errors = np.abs(rows[["low", "high"]].to_numpy().T - rows["slope"].to_numpy())
        axes.axvline(0, color=INK, lw=1)
        axes.axvline(rows.set_index("choice").loc[ALL, "slope"], color=BLUE, lw=1, ls=":")
        axes.errorbar(rows["slope"], places, xerr=errors, fmt="o", ms=7, color=BLUE, capsize=3)
        axes.set_yticks(places, [f"{row.choice} ({row.models})" for row in rows.itertuples()])
        axes.set_title(_TITLES[quantity])
        axes.set_xlabel("slope per decade")
        axes.locator_params(axis="x", nbins=4)
    note = "in brackets: models; bars: 95 % intervals; reliable voxels"
    frame(figure, found.scores.table, note)
    return figure


def choices_alt(found: Evidence, choices: dict[str, pd.DataFrame]) -> str:
    """What `choices_figure` shows, in sentences with its numbers."""
    parts = []
    for quantity, title in _TITLES.items():
        slopes = [
            f"{row.choice} {number(row.slope, 4)} ({interval((row.low, row.high))})"
            for row in choices[quantity].itertuples()
        ]
        parts.append(f"{title}: {'; '.join(slopes)}.")
    return (
        f"{opening(source_of(found.scores.table))} Two panels of slopes per factor of ten in "
        f"parameters with 95 % intervals, reliable voxels. {' '.join(parts)}"
    )


@mpl.rc_context(STYLE)
def layers_figure(found: Evidence) -> Figure:
    """Score of every model with a layer for each voxel, and with the best single layer for all.

    Parameters
    ----------
    found
        From `evidence.gather`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = layer_bias(found)
    figure = new_figure(4.6)
    axes = figure.subplots()
    for column, (colour, marker, dashes) in _LAYERS.items():
        fit = fit_line(log_parameters(rows), rows[column].to_numpy())
        label = f"best layer of {column}" if column == "each voxel" else "best single layer"
        draw_line(axes, fit, rows["n_parameters"], colour, dashes)
        axes.plot(
            rows["n_parameters"],
            rows[column],
            marker,
            color=colour,
            ms=7,
            mec="white",
            label=f"{label}: r = {number(fit.r, 2)}",
        )
    size_axis(axes, rows["n_parameters"], labels=4)
    axes.set_ylabel("Brain score\n(mean r, reliable voxels)")
    axes.set_title(f"Own layers − single layer: {number(rows['bias'].mean(), 4)}")
    frame(figure, found.scores.table, f"{len(rows)} models, twice each", legend_rows=1)
    legend_below(figure, *axes.get_legend_handles_labels(), 2)
    return figure


def layers_alt(found: Evidence) -> str:
    """What `layers_figure` shows, in sentences with its numbers."""
    rows = layer_bias(found)
    r = {name: fit_line(log_parameters(rows), rows[name].to_numpy()).r for name in _LAYERS}
    return (
        f"{opening(source_of(found.scores.table))} Brain score of {len(rows)} language models "
        f"against their size, reliable voxels, twice: with a layer for each voxel (r = "
        f"{number(r['each voxel'], 3)} with log parameters) and with the best single layer (r = "
        f"{number(r['one layer'], 3)}). The former is higher by {number(rows['bias'].min(), 4)} to "
        f"{number(rows['bias'].max(), 4)}, {number(rows['bias'].mean(), 4)} in the mean."
    )


@mpl.rc_context(STYLE)
def baseline_figure(found: Evidence) -> Figure:
    """Left minus right of every region: models, random embeddings, and models less embeddings.

    Parameters
    ----------
    found
        From `evidence.gather`, with regions.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = baseline_rows(found.scores.regions)
    names = list(rows["roi"].unique())[::-1]
    places = rows["roi"].map({name: i for i, name in enumerate(names)})
    figure = new_figure(2.4 + 0.42 * len(names))
    axes = figure.subplots()
    axes.axvline(0, color=INK, lw=1)
    for shift, (column, (label, colour, marker)) in zip(
        (0.22, 0, -0.22), _BASELINE.items(), strict=True
    ):
        y = places + shift
        axes.plot(rows[column], y, marker, color=colour, ms=6, mec="white", mew=0.4, label=label)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("Left − right brain score")
    axes.locator_params(axis="x", nbins=7)
    frame(figure, found.scores.table, "one dot per model; embeddings: mean over seeds", 1)
    legend_below(figure, *axes.get_legend_handles_labels(), 3)
    return figure


def baseline_alt(found: Evidence) -> str:
    """What `baseline_figure` shows, in sentences with its numbers."""
    parts = [
        f"{roi} {number(part['raw'].mean())}, embeddings {number(part['baseline'].iloc[0])}, less "
        f"embeddings {number(part['subtracted'].mean())}, left higher in {(part['raw'] > 0).sum()} "
        f"of {len(part)} models before and {(part['subtracted'] > 0).sum()} after"
        for roi, part in baseline_rows(found.scores.regions).groupby("roi", sort=False)
    ]
    return (
        f"{opening(source_of(found.scores.table))} Left minus right brain score in rows of dots, one "
        f"row for each region; mean over models: {'; '.join(parts)}."
    )


def _difference_fits(found: Evidence) -> dict[str, tuple[pd.DataFrame, LineFit]]:
    raw = quantity_rows(found, DIFFERENCE)
    line = fit_line(log_parameters(raw), raw["score"].to_numpy())
    parts = {"Raw scores": (raw, line)}
    for divisor in found.normalised["divisor"].unique():
        parts[f"By {divisor}"] = normalised_rows(found, divisor), normalised_fit(found, divisor)
    return parts


@mpl.rc_context(STYLE)
def normalised_figure(found: Evidence) -> Figure:
    """Left minus right against size, from raw scores and from scores that were divided.

    Parameters
    ----------
    found
        From `evidence.gather`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each divisor; a dotted line where the fitted line crosses zero, if it does so among the sizes.
    """
    parts = _difference_fits(found)
    figure = new_figure(5.2)
    panels = figure.subplots(1, len(parts))
    for axes, (title, (rows, fit)) in zip(panels, parts.items(), strict=True):
        sizes, crossing = rows["n_parameters"], zero_crossing(fit)
        axes.axhline(0, color=INK, lw=1)
        draw_line(axes, fit, sizes, INK)
        draw_models(axes, rows, joined=False)
        size_axis(axes, sizes)
        if sizes.min() < crossing < sizes.max():
            axes.axvline(crossing, color=INK, lw=1.5, ls=":")
        axes.set_title(f"{title}\n{(rows['score'] < 0).sum()} of {len(rows)} below 0")
        axes.margins(y=0.08)
        axes.set_xlabel("parameters\n(log scale)")
        if axes is not panels[-1]:
            axes.get_legend().remove()
        axes.set_ylabel("")
    panels[0].set_ylabel("Left − right")
    note = f"{len(rows)} models; dotted: where the line crosses 0; reliable voxels"
    family_legend(figure, panels[-1], rows, note)
    return figure


def normalised_alt(found: Evidence) -> str:
    """What `normalised_figure` shows, in sentences with its numbers."""
    parts = []
    for title, (rows, fit) in _difference_fits(found).items():
        crossing = zero_crossing(fit)
        inside = rows["n_parameters"].min() < crossing < rows["n_parameters"].max()
        where = (
            f"crosses 0 at {format_count(crossing)} parameters" if inside else "does not cross 0"
        )
        parts.append(
            f"{title}: from {number(rows['score'].min(), 4)} to {number(rows['score'].max(), 4)}, "
            f"{(rows['score'] < 0).sum()} of {len(rows)} models below 0, r = {number(fit.r, 2)}; "
            f"the line {where}."
        )
    return (
        f"{opening(source_of(found.scores.table))} Panels of left minus right brain score against the "
        f"number of parameters, reliable voxels, raw and divided. {' '.join(parts)}"
    )
