"""Figures of single listeners, each with a function that says the same in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from brainalign.alt_text import source_of
from brainalign.individuals import Fits
from brainalign.individuals_tables import across_listeners
from brainalign.look import BLUE, GREY, INK, STYLE, family_legend, frame, new_figure
from brainalign.plots import difference_panel, models_text, sides_panel
from brainalign.wording import interval, number, opening

# Inches: a row of panels, the titles above and the axis below all of them.
ROW, AROUND = 2.0, 2.4


@mpl.rc_context(STYLE)
def listeners_figure(table: pd.DataFrame, fits: Fits, measure: str) -> Figure:
    """Left and right scores of every listener against model size, and beside them the difference.

    Parameters
    ----------
    table
        Of `individuals.ListenerScores`.
    fits
        From `individuals.listener_fits`.
    measure
        "whole brain" or "90th percentile".

    Returns
    -------
    matplotlib.figure.Figure
        One row of panels per listener.
    """
    figure = new_figure(AROUND + ROW * len(fits))
    panels = figure.subplots(len(fits), 2, squeeze=False)
    for (listener, measures), (sides, difference) in zip(fits.items(), panels, strict=True):
        own, lines = table[table["listener"] == listener], measures[measure]
        sides_panel(sides, own, lines, measure)
        sides.set_ylabel(listener, weight="bold")
        rows = difference_panel(difference, own, lines, measure, families=True)
        difference.set_title(f"r = {number(lines['L-R'].r, 2)}", size=11)
        difference.set_ylabel("")
        if listener != list(fits)[-1]:
            difference.get_legend().remove()
            for axes in (sides, difference):
                axes.set_xlabel("")
    panels[0][0].set_title(f"Score, {measure}")
    first = fits[next(iter(fits))][measure]["L-R"]
    panels[0][1].set_title(f"Left − right: r = {number(first.r, 2)}")
    note = f"{models_text(rows)}; bands: 95 % bootstrap over models"
    family_legend(figure, panels[-1][1], table, note)
    return figure


def listeners_alt(table: pd.DataFrame, fits: Fits, measure: str) -> str:
    """What `listeners_figure` shows, in sentences with its numbers."""
    parts = []
    for listener, measures in fits.items():
        sides = measures[measure]
        parts.append(
            f"{listener}: left r = {number(sides['L'].r, 2)} with log parameters, right "
            f"r = {number(sides['R'].r, 2)}, left minus right r = {number(sides['L-R'].r, 2)}"
        )
    return (
        f"{opening(source_of(table))} One row of two panels per listener, scores of the left and "
        f"right hemisphere ({measure}) and their difference against the number of parameters. "
        f"{'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def slopes_figure(table: pd.DataFrame, fits: Fits) -> Figure:
    """Slope of left minus right in every listener, and the mean over listeners.

    Parameters
    ----------
    table, fits
        As for `listeners_figure`.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each measure, a row for each listener.
    """
    group = across_listeners(fits).set_index("measure")
    figure = new_figure(2.5 + 0.4 * (len(fits) + 1))
    panels = figure.subplots(1, len(group), sharey=True)
    for axes, (measure, mean) in zip(panels, group.iterrows(), strict=True):
        axes.axvline(0, color=INK, lw=1)
        for row, measures in enumerate(fits.values()):
            line = measures[measure]["L-R"]
            axes.plot(line.slope_interval, [row, row], color=BLUE, lw=2)
            # Filled where this listener alone is significant.
            fill = BLUE if line.p < 0.05 else "white"
            axes.plot(line.slope, row, "o", color=BLUE, mfc=fill, ms=8, mew=1.5)
        row = len(fits)
        axes.plot([mean["low"], mean["high"]], [row, row], color=INK, lw=2)
        axes.plot(mean["mean slope of left − right"], row, "D", color=INK, ms=8)
        axes.axhline(row - 0.5, color=GREY, lw=0.8)
        axes.set_title(measure.capitalize())
        axes.set_xlabel("Slope of left − right\nper decade")
        axes.locator_params(axis="x", nbins=4)
    panels[0].set_yticks(range(len(fits) + 1), [*fits, "mean"])
    panels[0].set_ylim(len(fits) + 0.5, -0.5)
    frame(figure, table, "bars: 95 %, over models; of the mean: over listeners; filled: p < .05")
    figure.get_layout_engine().set(wspace=0.08)
    return figure


def slopes_alt(table: pd.DataFrame, fits: Fits) -> str:
    """What `slopes_figure` shows, in sentences with its numbers."""
    parts = []
    for measure, mean in across_listeners(fits).set_index("measure").iterrows():
        own = [
            f"{listener} {number(measures[measure]['L-R'].slope, 4)}"
            for listener, measures in fits.items()
        ]
        edges = interval((mean["low"], mean["high"]), 5)
        spread = f" (95 % interval {edges})" if np.isfinite(mean["low"]) else ""
        parts.append(
            f"{measure}: {', '.join(own)}; mean {number(mean['mean slope of left − right'], 4)}{spread}"
        )
    return (
        f"{opening(source_of(table))} Slope of left minus right per factor of ten in parameters, a "
        f"row per listener and the mean over listeners. {'. '.join(parts)}."
    )
