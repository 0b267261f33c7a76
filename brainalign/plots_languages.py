"""Figure of several languages, and the same in words."""

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from brainalign.alt_text import source_of
from brainalign.languages import LANGUAGE_NAMES, QUANTITIES
from brainalign.look import (
    BLUE,
    INK,
    ORANGE,
    PURPLE,
    STYLE,
    draw_line,
    family_legend,
    free_margins,
    new_figure,
    size_axis,
    stamp,
)
from brainalign.scaling import select
from brainalign.statistics import LineFit
from brainalign.wording import interval, number, opening

LOOKS = {"en": (BLUE, "o", "-"), "fr": (PURPLE, "^", "--"), "cn": (ORANGE, "s", "-.")}


@mpl.rc_context(STYLE)
def languages_figure(
    tables: Mapping[str, pd.DataFrame], fits: Mapping[str, Mapping[str, LineFit]]
) -> Figure:
    """Score and left minus right of every model against its size, one line per language.

    Parameters
    ----------
    tables
        From `languages.language_scores`.
    fits
        From `languages.language_fits`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(4.6)
    panels = figure.subplots(1, 2)
    for axes, (side, quantity) in zip(panels, QUANTITIES.items(), strict=True):
        _panel(axes, tables, fits, side)
        axes.set_title("Brain score" if side == "both" else quantity.capitalize())
    panels[0].set_ylabel("mean r, reliable voxels")
    panels[1].axhline(0, color=INK, lw=1)
    panels[0].legend()
    together = pd.concat(tables.values())
    family_legend(figure, panels[0], together, "bands: 95 % bootstrap over models")
    return figure


def _panel(
    axes: Axes,
    tables: Mapping[str, pd.DataFrame],
    fits: Mapping[str, Mapping[str, LineFit]],
    side: str,
) -> None:
    sizes = []
    for language, table in tables.items():
        rows = select(table, "reliable", hemisphere=side)
        colour, marker, dashes = LOOKS[language]
        draw_line(axes, fits[language][side], rows["n_parameters"], colour, dashes)
        label = f"{LANGUAGE_NAMES[language]} ({len(rows)})"
        style = {"color": colour, "ms": 7, "mec": "white", "label": label}
        axes.plot(rows["n_parameters"], rows["score"], marker, **style)
        sizes += rows["n_parameters"].tolist()
    size_axis(axes, sizes)


def languages_alt(
    tables: Mapping[str, pd.DataFrame], fits: Mapping[str, Mapping[str, LineFit]]
) -> str:
    """`languages_figure` in words."""
    source = source_of(pd.concat(tables.values()))
    parts = []
    for language, sides in fits.items():
        score, difference = sides["both"], sides["L-R"]
        parts.append(
            f"{LANGUAGE_NAMES[language]}, {score.n} models: the score grows by "
            f"{number(score.slope, 4)} per decade of parameters (r {number(score.r, 2)}), left "
            f"minus right by {number(difference.slope, 4)} (r {number(difference.r, 2)})."
        )
    return " ".join([f"{opening(source)} Score and left minus right against model size.", *parts])


@mpl.rc_context(STYLE)
def slopes_figure(
    source: str,
    fits: Mapping[str, Mapping[str, LineFit]],
    fewer: Mapping[str, Mapping[str, LineFit]],
) -> Figure:
    """Slopes with their intervals in every language, with and without the smallest models.

    Parameters
    ----------
    source
        Of the scores.
    fits, fewer
        From `languages.language_fits`: all models, and those of `languages.without_smallest`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(1.9 + 0.75 * len(fits))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (side, quantity) in zip(panels, QUANTITIES.items(), strict=True):
        axes.axvline(0, color=INK, lw=1)
        for row, language in enumerate(fits):
            colour, marker, _ = LOOKS[language]
            for shift, found, fill in ((-0.15, fits, colour), (0.15, fewer, "white")):
                if language in found:
                    fit = found[language][side]
                    axes.hlines(row + shift, *fit.slope_interval, color=colour, lw=2)
                    axes.plot(fit.slope, row + shift, marker, color=colour, mfc=fill, ms=8)
        axes.set_title("Brain score" if side == "both" else quantity.capitalize())
        axes.set_xlabel("slope per decade")
        axes.locator_params(axis="x", nbins=4)
    panels[0].set_yticks(range(len(fits)), [LANGUAGE_NAMES[language] for language in fits])
    panels[0].set_ylim(len(fits) - 0.5, -0.5)
    stamp(
        figure,
        source,
        "filled: all models; hollow: without the two smallest\n95 % bootstrap over models",
    )
    free_margins(figure)
    return figure


def slopes_alt(
    source: str,
    fits: Mapping[str, Mapping[str, LineFit]],
    fewer: Mapping[str, Mapping[str, LineFit]],
) -> str:
    """`slopes_figure` in words."""
    parts = []
    for language, sides in fits.items():
        for side, quantity in QUANTITIES.items():
            text = f"{LANGUAGE_NAMES[language]}, {quantity}: {_slope(sides[side])}"
            if language in fewer:
                text += f", without the two smallest models {_slope(fewer[language][side])}"
            parts.append(text)
    return f"{opening(source)} Slopes per decade of parameters. {'; '.join(parts)}."


def _slope(fit: LineFit) -> str:
    return f"{number(fit.slope, 4)} ({interval(fit.slope_interval)})"
