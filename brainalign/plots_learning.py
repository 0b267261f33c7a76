"""Figures of what training does, each with a function that says the same in words."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from brainalign import look
from brainalign.alt_text import family_order, source_of
from brainalign.look import INK, STYLE, WIDTH
from brainalign.scaling import LANGUAGE_MODEL, matching
from brainalign.statistics import LineFit
from brainalign.wording import format_count, number, opening, short_name

Fits = dict[tuple[str, str], list[LineFit]]
_SIDES = {"both": ("both hemispheres", INK, "D", ":"), **look.SIDES}


def _family_panel(axes: Axes, rows: pd.DataFrame, fits: Fits, colour: str, marker: str) -> None:
    """Trained models filled, untrained ones hollow with the range of their seeds."""
    family = rows["family"].iloc[0]
    trained, untrained = (matching(rows, kind=kind) for kind in (LANGUAGE_MODEL, "untrained"))
    seeds = untrained.groupby("n_parameters")["score"].agg(["mean", "min", "max"])
    axes.axhline(0, color=INK, lw=1)
    axes.vlines(seeds.index, seeds["min"], seeds["max"], color="#777777", lw=2)
    for kind, dashes, shade in [(LANGUAGE_MODEL, "-", colour), ("untrained", "--", "#777777")]:
        for fit in fits.get((family, kind), []):
            look.draw_line(axes, fit, rows["n_parameters"], shade, dashes)
    hollow = {"mfc": "white", "mec": "#777777", "ms": 8, "label": "untrained"}
    axes.plot(seeds.index, seeds["mean"], marker, **hollow)
    style = {"color": colour, "mec": "white", "ms": 9, "zorder": 3, "label": "trained"}
    axes.plot(trained["n_parameters"], trained["score"], marker, **style)
    look.size_axis(axes, rows["n_parameters"])
    axes.set_title(family)


@mpl.rc_context(STYLE)
def training_figure(table: pd.DataFrame, fits: Fits) -> Figure:
    """Left minus right of trained and untrained models against size, one panel per family.

    Parameters
    ----------
    table
        From `learning.training_table`.
    fits
        From `learning.training_fits`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    families = sorted(family_order(table))
    colours, markers = look.looks(families)
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    panels = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
    for axes, family in zip(panels, families, strict=True):
        rows = table[table["family"] == family]
        _family_panel(axes, rows, fits, colours[family], markers[family])
        axes.label_outer()
    panels[0].set_ylabel("Left − right brain score\n(mean r, reliable voxels)")
    n_seeds = table["seed"].nunique()
    seeds = "seed" if n_seeds == 1 else "seeds"
    text = f"filled: trained; hollow, dashed: untrained, {n_seeds} {seeds} (bars: their range)"
    look.stamp(figure, source_of(table), f"{text}\n{look.rules_text(table)}")
    look.free_margins(figure)
    return figure


def training_alt(table: pd.DataFrame, fits: Fits) -> str:
    """What `training_figure` shows, in sentences with its numbers."""
    parts = []
    for (family, kind), lines in fits.items():
        rows = matching(table, family=family, kind=kind)
        state = "trained" if kind == LANGUAGE_MODEL else "untrained"
        slopes = [line.slope for line in lines]
        span = [number(value, 4) for value in dict.fromkeys((min(slopes), max(slopes)))]
        parts.append(
            f"{family} {state}, {lines[0].n} models: {number(rows['score'].min(), 4)} to "
            f"{number(rows['score'].max(), 4)}, slope per decade {' to '.join(span)}"
        )
    return (
        f"{opening(source_of(table))} Left minus right brain score in reliable voxels against the "
        f"number of parameters, one panel per family. {'; '.join(parts)}."
    )


def _step_axis(axes: Axes, steps: np.ndarray) -> None:
    """Logarithmic axis of training steps on which step 0 has a place."""
    least = steps[steps > 0].min()
    axes.set_xscale("symlog", linthresh=least, linscale=0.4)
    decades = 10.0 ** np.arange(np.ceil(np.log10(least)), np.log10(steps.max()) + 1e-9)
    axes.xaxis.set_major_locator(FixedLocator([0, *decades]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    axes.set_xlim(-0.1 * least, steps.max() * 1.15)


def _curve_panel(axes: Axes, curve: pd.DataFrame, sides: list[str]) -> None:
    for side in sides:
        rows = matching(curve, hemisphere=side).sort_values("step")
        if rows.empty:
            continue
        name, colour, marker, dashes = _SIDES.get(side, ("left − right", look.PURPLE, "o", "-"))
        axes.fill_between(rows["step"], rows["low"], rows["high"], color=colour, alpha=0.15, lw=0)
        axes.plot(rows["step"], rows["score"], color=colour, marker=marker, ls=dashes, label=name)


@mpl.rc_context(STYLE)
def checkpoint_figure(curve: pd.DataFrame, decoded: pd.DataFrame | None = None) -> Figure:
    """Score, left minus right, and what the model knows of the story, by training step.

    Parameters
    ----------
    curve
        From `training_curves.checkpoint_curve`.
    decoded
        From `training_curves.checkpoint_knowledge`; None leaves the third panel out.

    Returns
    -------
    matplotlib.figure.Figure
        Panels below each other with one common axis.
    """
    n_panels = 2 if decoded is None else 3
    figure = Figure(figsize=(WIDTH, 1.3 + 2.3 * n_panels), layout="constrained")
    panels = figure.subplots(n_panels, 1, sharex=True)
    _curve_panel(panels[0], curve, ["L", "R"] if "L" in set(curve["hemisphere"]) else ["both"])
    panels[0].set_ylabel("Brain score\n(mean r)")
    panels[0].legend(loc="upper left", borderpad=0)
    panels[1].axhline(0, color=INK, lw=1)
    _curve_panel(panels[1], curve, ["L-R"])
    panels[1].set_ylabel("Left − right")
    if decoded is not None:
        known = decoded.groupby("latents", sort=False)
        for (latents, rows), (colour, marker) in zip(known, look.LATENTS, strict=False):
            panels[2].plot(rows["step"], rows["r"], color=colour, marker=marker, label=latents)
        panels[2].set(ylabel="Prediction of\nthe latents (r)", ylim=(0, 1))
    _step_axis(panels[-1], curve["step"].to_numpy())
    panels[-1].set_xlabel("Training step (log scale)")
    for axes in panels:
        axes.locator_params(axis="y", nbins=5)
    # The published intervals are those of reading the figure.
    bands = "95 % interval over runs" if "L" in set(curve["hemisphere"]) else "width of a pixel"
    text = f"{short_name(curve['model'].iloc[0])}, reliable voxels; bands: {bands}"
    look.stamp(figure, source_of(curve), f"{text}\n{look.rules_text(curve)}")
    look.free_margins(figure, legend_rows=n_panels - 2)
    if decoded is not None:
        handles, labels = panels[2].get_legend_handles_labels()
        look.legend_below(figure, handles, labels, len(labels))
    return figure


def checkpoint_alt(curve: pd.DataFrame, decoded: pd.DataFrame | None = None) -> str:
    """What `checkpoint_figure` shows, in sentences with its numbers."""
    parts = []
    for side, rows in curve.groupby("hemisphere", sort=False):
        name = {"both": "score", "L": "left", "R": "right", "L-R": "left minus right"}[side]
        values = [
            f"{number(row.score, 4)} at {format_count(row.step)}" for row in rows.itertuples()
        ]
        parts.append(f"{name} {', '.join(values)}")
    if decoded is not None:
        for latents, rows in decoded.groupby("latents", sort=False):
            first, last = rows["r"].iloc[0], rows["r"].iloc[-1]
            parts.append(
                f"{latents} decoded with r {number(first, 2)} at first, {number(last, 2)} at last"
            )
    return (
        f"{opening(source_of(curve))} Curves over the training steps of "
        f"{short_name(curve['model'].iloc[0])}, reliable voxels: {'; '.join(parts)}."
    )
