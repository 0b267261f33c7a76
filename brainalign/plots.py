"""Figures from score tables, in the style of `look`; `alt_text` says the same in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from brainalign.alt_text import control_rows, measure_label, source_of
from brainalign.lateralization import measure_rows
from brainalign.look import (
    INK,
    KIND_COLOURS,
    PURPLE,
    SIDES,
    STYLE,
    draw_line,
    draw_models,
    family_legend,
    frame,
    new_figure,
    size_axis,
)
from brainalign.published import SOURCE
from brainalign.scaling import select
from brainalign.statistics import LineFit
from brainalign.wording import number, short_name, voxel_name


def _direct_labels(axes: Axes, rows: pd.DataFrame) -> None:
    """Name the smallest model and the one with the highest score beside their points."""
    sizes = rows["n_parameters"]
    middle = np.sqrt(sizes.min() * sizes.max())
    for row in (rows.iloc[0], rows.loc[rows["score"].idxmax()]):
        left = row["n_parameters"] < middle
        axes.annotate(
            short_name(row["model"]),
            (row["n_parameters"], row["score"]),
            xytext=(8, -5) if left else (6, 8),
            textcoords="offset points",
            ha="left" if left else "right",
            va="top" if left else "bottom",
            size=11,
            color="#444444",
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
    axes.margins(y=0.1)


@mpl.rc_context(STYLE)
def scaling_figure(table: pd.DataFrame, fit: LineFit, voxels: str = "reliable") -> Figure:
    """Mean brain score of every language model against its size, with the fitted line.

    Parameters
    ----------
    table
        A score table of one source.
    fit
        Line to draw, from `scaling.fit_scaling`.
    voxels
        "reliable" or "all".

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = select(table, voxels)
    figure = new_figure(5.4)
    axes = figure.subplots()
    draw_line(axes, fit, rows["n_parameters"], INK)
    draw_models(axes, rows)
    _direct_labels(axes, rows)
    size_axis(axes, rows["n_parameters"], labels=4)
    axes.set_ylabel(f"Brain score\n(mean r, {voxel_name(voxels)})")
    axes.set_title(f"r = {number(fit.r, 2)}, slope {number(fit.slope, 4)} per decade")
    note = f"{models_text(rows)}; band: 95 % bootstrap over models"
    family_legend(figure, axes, table, note)
    return figure


def models_text(rows: pd.DataFrame) -> str:
    """How many models, for the small print: "28 models", or of which family where it is one."""
    families = rows["family"].unique()
    return f"{len(rows)} {families[0] + ' ' if len(families) == 1 else ''}models"


@mpl.rc_context(STYLE)
def control_figure(
    table: pd.DataFrame, voxels: str, statistic: str = "mean", hemisphere: str = "both"
) -> Figure:
    """Scores of the language models beside those of features that know no language.

    Parameters
    ----------
    table
        A score table of one source.
    voxels, statistic, hemisphere
        Which score, as in the table.

    Returns
    -------
    matplotlib.figure.Figure
        One row of dots per kind of features; dots of one row are models or seeds.
    """
    groups = control_rows(table, voxels, statistic, hemisphere)
    rows = pd.concat(groups, names=["row"]).reset_index("row")
    figure = new_figure(2.1 + 0.4 * len(groups))
    axes = figure.subplots()
    axes.axvline(0, color=INK, lw=1)
    sns.stripplot(
        rows,
        x="score",
        y="row",
        hue="kind",
        palette={kind: KIND_COLOURS.get(kind, PURPLE) for kind in rows["kind"]},
        jitter=False,
        size=8,
        alpha=0.75,
        linewidth=0.5,
        edgecolor="white",
        legend=False,
        ax=axes,
    )
    what = "Left − right brain score" if hemisphere == "L-R" else "Brain score"
    measure = "mean r" if statistic == "mean" else statistic
    axes.set(xlabel=f"{what}\n({measure}, {voxel_name(voxels)})", ylabel="")
    axes.locator_params(axis="x", nbins=6)
    averaged = source_of(table) == SOURCE and rows["kind"].str.startswith("random").any()
    note = "one dot per model; random features: mean of ten seeds"
    frame(figure, table, note if averaged else "one dot per model or seed")
    return figure


def sides_panel(axes: Axes, table: pd.DataFrame, fits: dict[str, LineFit], measure: str) -> None:
    """Left and right scores with their lines."""
    for side, (name, colour, marker, dashes) in SIDES.items():
        rows = measure_rows(table, measure, side)
        draw_line(axes, fits[side], rows["n_parameters"], colour, dashes)
        sns.scatterplot(
            rows,
            x="n_parameters",
            y="score",
            s=44,
            color=colour,
            marker=marker,
            zorder=3,
            label=f"{name}: r = {number(fits[side].r, 2)}",
            ax=axes,
        )
    size_axis(axes, rows["n_parameters"])
    axes.set_ylabel(f"Brain score\n({measure_label(measure)})")
    sns.move_legend(axes, "upper left", handletextpad=0.2, borderpad=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.16 * (high - low))


def difference_panel(
    axes: Axes, table: pd.DataFrame, fits: dict[str, LineFit], measure: str, families: bool
) -> pd.DataFrame:
    """Left minus right with its line, zero marked."""
    rows = measure_rows(table, measure, "L-R")
    axes.axhline(0, color=INK, lw=1)
    draw_line(axes, fits["L-R"], rows["n_parameters"], INK)
    if families:
        draw_models(axes, rows, joined=False)
    else:
        sns.scatterplot(rows, x="n_parameters", y="score", s=32, color="#555555", ax=axes)
    size_axis(axes, rows["n_parameters"])
    axes.set_ylabel("Left − right brain score")
    axes.margins(y=0.08)
    return rows


@mpl.rc_context(STYLE)
def asymmetry_figure(
    table: pd.DataFrame, fits: dict[str, LineFit], measure: str = "reliable voxels"
) -> Figure:
    """Left and right scores against model size, and beside them left minus right.

    Parameters
    ----------
    table
        A score table of one source.
    fits
        "L", "R", "L-R" -> line, from `lateralization.hemisphere_fits`.
    measure
        "whole brain", "reliable voxels" or "90th percentile".

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(5.2)
    sides, difference = figure.subplots(1, 2)
    sides_panel(sides, table, fits, measure)
    sides.set_title("Each hemisphere")
    rows = difference_panel(difference, table, fits, measure, families=True)
    difference.set_ylabel(f"Left − right\n({measure_label(measure)})")
    difference.set_title(f"Left − right: r = {number(fits['L-R'].r, 2)}")
    note = f"{models_text(rows)}; bands: 95 % bootstrap over models"
    family_legend(figure, difference, table, note)
    return figure


@mpl.rc_context(STYLE)
def measures_figure(table: pd.DataFrame, fits: dict[str, dict[str, LineFit]]) -> Figure:
    """Left minus right against model size for the whole brain, reliable voxels and 90th percentile.

    Parameters
    ----------
    table
        A score table of one source.
    fits
        From `lateralization.all_fits`.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels with one common vertical axis.
    """
    figure = new_figure(4.2)
    panels = figure.subplots(1, len(fits), sharey=True)
    for axes, (measure, lines) in zip(panels, fits.items(), strict=True):
        rows = difference_panel(axes, table, lines, measure, families=False)
        axes.set_title(f"{measure.capitalize()}\nr = {number(lines['L-R'].r, 2)}")
        axes.label_outer()
        axes.set_xlabel("")
    panels[1].set_xlabel("Parameters (log scale)")
    frame(figure, table, f"{models_text(rows)}; bands: 95 % bootstrap over models")
    # Sizes at the edges of two panels must not read as one.
    figure.get_layout_engine().set(wspace=0.12)
    return figure
