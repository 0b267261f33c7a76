"""Figures of brain score against what language models can do, and their alt text."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from brainalign.alt_text import source_of
from brainalign.look import INK, STYLE, draw_line, draw_models, family_legend, new_figure, size_axis
from brainalign.statistics import LineFit
from brainalign.wording import format_count, number, opening, short_name, voxel_name

_BANDS = "; bands: 95 % bootstrap over models"
_TITLES = {"size": "Size", "perplexity": "Perplexity", "completion": "Right endings"}


def _perplexity_axis(axes: Axes, values: pd.Series) -> None:
    """Logarithmic axis that runs backwards: better models are on the right, as elsewhere."""
    size_axis(axes, values)
    if len(axes.get_xticks()) < 2:  # perplexities of like models differ by less than a round step
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.invert_xaxis()
    axes.set_xlabel("lower is better →\n(log scale)")


def _panel(axes: Axes, rows: pd.DataFrame, name: str, fit: LineFit) -> None:
    column = {"size": "n_parameters"}.get(name, name)
    if name == "completion":
        values = np.linspace(rows[column].min(), rows[column].max(), 50)
        if len(fit.samples):
            axes.fill_between(100 * values, *fit.band(values), color=INK, alpha=0.15, lw=0)
        axes.plot(100 * values, fit.predict(values), color=INK, lw=2)
        rows = rows.assign(completion=100 * rows["completion"])
    else:
        draw_line(axes, fit, rows[column], INK)
    draw_models(axes, rows.assign(n_parameters=rows[column]), joined=False)
    if name == "size":
        size_axis(axes, rows[column])
        axes.set_xlabel("parameters\n(log scale)")
    elif name == "perplexity":
        _perplexity_axis(axes, rows[column])
    else:
        axes.set_xlabel("%, chance 25")
        axes.locator_params(axis="x", nbins=4)
    axes.set_title(f"{_TITLES[name]}\nr = {number(fit.r, 2)}")


@mpl.rc_context(STYLE)
def ability_figure(rows: pd.DataFrame, fits: dict[str, LineFit], voxels: str) -> Figure:
    """Brain score against size, perplexity and the completion task, side by side.

    Parameters
    ----------
    rows
        From `task_performance.ability_rows` or `task_performance.largest`.
    fits
        From `task_performance.fits` of the same rows.
    voxels
        Those of the score, "reliable" or "all".

    Returns
    -------
    matplotlib.figure.Figure
        Three panels with one vertical axis.
    """
    figure = new_figure(5.2)
    panels = figure.subplots(1, len(fits), sharey=True)
    for axes, (name, fit) in zip(panels, fits.items(), strict=True):
        _panel(axes, rows, name, fit)
        axes.set_ylabel(f"Brain score\n(mean r, {voxel_name(voxels)})")
        axes.label_outer()
        if axes is not panels[-1]:
            axes.get_legend().remove()
    family_legend(
        figure, panels[-1], rows, f"{len(rows)} models{_BANDS if len(fit.samples) else ''}"
    )
    return figure


def ability_alt(rows: pd.DataFrame, fits: dict[str, LineFit], voxels: str) -> str:
    """What `ability_figure` shows, in sentences with its numbers."""
    best = rows.loc[rows["score"].idxmax()]
    return (
        f"{opening(source_of(rows))} Three panels of the brain score of {len(rows)} language models "
        f"({voxel_name(voxels)}), from {number(rows['score'].min())} to "
        f"{number(rows['score'].max())} ({short_name(best['model'])}). Against the number of "
        f"parameters from {format_count(rows['n_parameters'].min())} to "
        f"{format_count(rows['n_parameters'].max())}, logarithmic, r = "
        f"{number(fits['size'].r, 2)}; against perplexity from {rows['perplexity'].max():.3g} down to "
        f"{rows['perplexity'].min():.3g}, logarithmic, r = {number(fits['perplexity'].r, 2)}; against "
        f"the part of right endings from {100 * rows['completion'].min():.0f} to "
        f"{100 * rows['completion'].max():.0f} %, r = {number(fits['completion'].r, 2)}."
    )
