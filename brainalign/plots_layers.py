"""Figures of scores by layer, each with a function that says the same in words with its numbers."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign import look
from brainalign.alt_text import family_order, source_of
from brainalign.layers import NEARLY, mean_profile, profile_rows
from brainalign.look import INK, STYLE, WIDTH
from brainalign.scaling import LANGUAGE_MODEL
from brainalign.statistics import LineFit
from brainalign.wording import format_count, interval, number, opening, short_name, voxel_name

WHAT = {"both": "Brain score", "L-R": "Left − right"}
DEPTH = "Relative depth"
# Kind of models and voxels of each mean curve: name, colour, dashes.
_CURVES = {
    (LANGUAGE_MODEL, "reliable"): ("reliable voxels", look.BLUE, "-"),
    (LANGUAGE_MODEL, "all"): ("whole brain", look.INK, "--"),
    ("untrained", "reliable"): ("untrained, reliable voxels", look.ORANGE, "-."),
}


def _note(table: pd.DataFrame, text: str) -> str:
    return f"{text}\neach layer by itself · hemispheres: {table['hemisphere_rule'].iloc[0]} rule"


def _shades(colour: str, n: int) -> list:
    """So many shades of a colour, light to dark, the lightest still visible on white."""
    return sns.blend_palette([sns.light_palette(colour, 5)[2], colour, INK], 2 * n + 1)[: 2 * n : 2]


def _family_panel(axes: Axes, rows: pd.DataFrame, colour: str, marker: str) -> None:
    """One curve per model of a family, darker and wider the larger; a marker at its highest."""
    names = list(rows["model"].unique())
    shades = _shades(colour, len(names)) if len(names) > 1 else [colour]
    for place, (name, shade) in enumerate(zip(names, shades, strict=True)):
        one = rows[rows["model"] == name]
        top = one.loc[one["score"].idxmax()]
        width = 1.2 + 1.2 * (place + 1) / len(names)
        axes.plot(one["relative_depth"], one["score"], color=shade, lw=width)
        axes.plot(
            top["relative_depth"], top["score"], marker, color=shade, ms=7, mec="white", zorder=4
        )
    sizes = rows["n_parameters"]
    span = [format_count(size) for size in dict.fromkeys((sizes.min(), sizes.max()))]
    axes.set_title(f"{rows['family'].iloc[0]}, {' to '.join(span)}", size=12)
    axes.locator_params(axis="y", nbins=5)


@mpl.rc_context(STYLE)
def profile_figure(table: pd.DataFrame, voxels: str, hemisphere: str) -> Figure:
    """Score of every layer against its relative depth, a panel for each family of models.

    Parameters
    ----------
    table
        A layer table of one source.
    voxels
        "reliable" or "all".
    hemisphere
        "both", or "L-R" for left minus right.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = profile_rows(table, voxels, hemisphere)
    families = family_order(rows)
    colours, markers = look.looks(families)
    n_rows, n_columns = -(-len(families) // 2), min(len(families), 2)
    height = 1.5 + (1.75 if n_columns > 1 else 3.2) * n_rows
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes, family in zip(panels, families, strict=False):
        if hemisphere == "L-R":
            axes.axhline(0, color=INK, lw=1)
        _family_panel(axes, rows[rows["family"] == family], colours[family], markers[family])
    for axes in panels[len(families) :]:
        axes.set_visible(False)
    for axes in panels[max(len(families) - n_columns, 0) : len(families)]:
        axes.set_xlabel(DEPTH)
        axes.tick_params(labelbottom=True)
    figure.supylabel(f"{WHAT[hemisphere]} (mean r, {voxel_name(voxels)})", size=12)
    text = "light to dark: small to large models; markers: highest layer"
    look.stamp(figure, source_of(table), _note(table, text))
    look.free_margins(figure)
    return figure


def profile_alt(table: pd.DataFrame, voxels: str, hemisphere: str) -> str:
    """What `profile_figure` shows, in sentences with its numbers."""
    rows = profile_rows(table, voxels, hemisphere)
    parts = []
    for family in family_order(rows):
        largest = rows[rows["family"] == family].iloc[-1]["model"]
        one = rows[rows["model"] == largest]
        top = one.loc[one["score"].idxmax()]
        parts.append(
            f"{family}, largest model {short_name(largest)}: {number(one['score'].iloc[0], 4)} at "
            f"the first layer, highest {number(top['score'], 4)} at depth "
            f"{number(top['relative_depth'], 2)}, {number(one['score'].iloc[-1], 4)} at the last"
        )
    what = "Left minus right brain score" if hemisphere == "L-R" else "Brain score"
    return (
        f"{opening(source_of(table))} {what} ({voxel_name(voxels)}) of every layer of "
        f"{rows['model'].nunique()} language models against relative depth, one panel per family. "
        f"{'; '.join(parts)}."
    )


def _curves(table: pd.DataFrame, hemisphere: str) -> dict[tuple[str, str], pd.DataFrame]:
    """Mean curves of the kinds of models and voxels that the table has."""
    found = {key: profile_rows(table, key[1], hemisphere, key[0]) for key in _CURVES}
    return {key: mean_profile(rows) for key, rows in found.items() if len(rows)}


@mpl.rc_context(STYLE)
def mean_figure(table: pd.DataFrame) -> Figure:
    """Mean over models of the score, and of left minus right, against relative depth.

    Parameters
    ----------
    table
        A layer table of one source.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels; a curve for reliable voxels, one for the whole brain and, where there are
        untrained models, one for these. Bands: one standard deviation over models.
    """
    figure = Figure(figsize=(WIDTH, 4.7), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, (hemisphere, name) in zip(panels, WHAT.items(), strict=True):
        for key, curve in _curves(table, hemisphere).items():
            label, colour, dashes = _CURVES[key]
            x, mean, sd = (curve[column] for column in ("relative_depth", "mean", "sd"))
            axes.fill_between(x, mean - sd, mean + sd, color=colour, alpha=0.15, lw=0)
            axes.plot(x, mean, color=colour, ls=dashes, lw=2, label=label)
        axes.set(xlabel=DEPTH, ylabel=f"{name} (mean r)")
        axes.locator_params(nbins=5)
    panels[1].axhline(0, color=INK, lw=1)
    handles, labels = panels[0].get_legend_handles_labels()
    text = "mean over models, interpolated to the same depths; bands: ± 1 SD over models"
    look.stamp(figure, source_of(table), _note(table, text))
    look.free_margins(figure, legend_rows=1)
    look.legend_below(figure, handles, labels, len(labels))
    return figure


def mean_alt(table: pd.DataFrame) -> str:
    """What `mean_figure` shows, in sentences with its numbers."""
    parts = []
    for hemisphere, name in WHAT.items():
        for key, curve in _curves(table, hemisphere).items():
            first, last = curve["mean"].iloc[0], curve["mean"].iloc[-1]
            top = curve.loc[curve["mean"].idxmax()]
            parts.append(
                f"{name}, {_CURVES[key][0]}: {number(first, 4)} at the first layer, highest "
                f"{number(top['mean'], 4)} at depth {number(top['relative_depth'], 2)}, "
                f"{number(last, 4)} at the last"
            )
    return (
        f"{opening(source_of(table))} Two panels against relative depth, means over models. "
        f"{'; '.join(parts)}."
    )


@mpl.rc_context(STYLE)
def best_figure(table: pd.DataFrame, best: pd.DataFrame, fits: dict[str, LineFit]) -> Figure:
    """Relative depth of the best layer against model size.

    Parameters
    ----------
    table
        The layer table that `best` was made from.
    best
        From `layers.best_layers`.
    fits
        From `layers.depth_fits`.

    Returns
    -------
    matplotlib.figure.Figure
        Vertical bars span the layers that are nearly as good.
    """
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    axes = figure.subplots()
    rows = best.assign(score=best["relative_depth"])
    # Under the published rule the deepest layer stays below 1.
    last = best["n_layers"] * best["relative_depth"] / best["best_layer"].replace(0, np.nan)
    scale = (last / best["n_layers"]).fillna(1 / best["n_layers"])
    axes.vlines(
        best["n_parameters"], best["first"] * scale, best["last"] * scale, color="#bbbbbb", lw=3
    )
    fit = fits["log parameters"]
    look.draw_line(axes, fit, best["n_parameters"], INK)
    look.draw_models(axes, rows, joined=False)
    look.size_axis(axes, best["n_parameters"], labels=4)
    axes.set(ylabel="Relative depth of the best layer", ylim=(-0.05, 1.05))
    r = "the same depth in all models" if np.isnan(fit.r) else f"r = {number(fit.r, 2)}"
    axes.set_title(r)
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    text = f"grey bars: layers within {NEARLY} of the best; band: 95 % bootstrap over models"
    look.stamp(figure, source_of(table), _note(table, text))
    columns = look.LEGEND_COLUMNS
    look.free_margins(figure, legend_rows=-(-len(labels) // columns))
    look.legend_below(figure, handles, labels, columns)
    return figure


def best_alt(table: pd.DataFrame, best: pd.DataFrame, fits: dict[str, LineFit]) -> str:
    """What `best_figure` shows, in sentences with its numbers."""
    fit, depth = fits["log parameters"], best["relative_depth"]
    return (
        f"{opening(source_of(table))} Scatter plot of the relative depth of the best layer of "
        f"{fit.n} language models against their number of parameters from "
        f"{format_count(best['n_parameters'].min())} to {format_count(best['n_parameters'].max())}."
        f" Depths run from {number(depth.min(), 2)} to {number(depth.max(), 2)}, mean "
        f"{number(depth.mean(), 2)}; r = {number(fit.r, 2)}, slope {number(fit.slope, 3)} per factor "
        f"of ten in parameters (95 % interval {interval(fit.slope_interval, 3)})."
    )


@mpl.rc_context(STYLE)
def knowledge_figure(table: pd.DataFrame, decoded: pd.DataFrame, model: str) -> Figure:
    """What each layer of a model knows of the story, and its score in both hemispheres.

    Parameters
    ----------
    table
        A layer table of one source.
    decoded
        From `decoding.latent_decoding`.
    model
        Name of a model in both.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels against relative depth: correlation with the latents of each family, and brain
        score left and right (reliable voxels).
    """
    figure = Figure(figsize=(WIDTH, 4.7), layout="constrained")
    known, scores = figure.subplots(1, 2)
    one = decoded[decoded["model"] == model]
    known_latents = one.groupby("latents", sort=False)
    for (family, rows), (colour, marker) in zip(known_latents, look.LATENTS, strict=False):
        known.plot(rows["relative_depth"], rows["r"], color=colour, marker=marker, label=family)
    known.set(xlabel=DEPTH, ylabel="Prediction of the latents (r)", ylim=(0, 1))
    for side, (name, colour, marker, dashes) in look.SIDES.items():
        rows = profile_rows(table, "reliable", side)
        rows = rows[rows["model"] == model]
        depth = rows["relative_depth"]
        scores.plot(depth, rows["score"], color=colour, marker=marker, ls=dashes, label=name)
    scores.set(xlabel=DEPTH, ylabel="Brain score\n(mean r, reliable voxels)")
    scores.legend(loc="best", borderpad=0)
    scores.locator_params(nbins=5)
    look.stamp(figure, source_of(table), _note(table, f"{short_name(model)}"))
    look.free_margins(figure, legend_rows=1)
    handles, labels = known.get_legend_handles_labels()
    look.legend_below(figure, handles, labels, len(labels))
    return figure


def knowledge_alt(table: pd.DataFrame, decoded: pd.DataFrame, model: str) -> str:
    """What `knowledge_figure` shows, in sentences with its numbers."""
    one = decoded[decoded["model"] == model].sort_values("layer")
    known = [
        f"{family} {number(rows['r'].iloc[0], 2)} and {number(rows['r'].iloc[-1], 2)}"
        for family, rows in one.groupby("latents", sort=False)
    ]
    sides = []
    for side, (name, *_) in look.SIDES.items():
        rows = profile_rows(table, "reliable", side)
        rows = rows[rows["model"] == model]["score"]
        sides.append(f"{name} {number(rows.iloc[0], 4)} and {number(rows.iloc[-1], 4)}")
    return (
        f"{opening(source_of(table))} Two panels against relative depth for {short_name(model)}, "
        f"values at the first and the last layer. Correlation with the story's latents: "
        f"{'; '.join(known)}. Brain score: {'; '.join(sides)}."
    )
