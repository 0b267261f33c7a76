"""Figures from score tables, in one style; `alt_text` says the same in words.

Every figure carries a stamp that says whose scores it shows (`source` of the table) and two lines
that say how they were made, so that simulated, published and measured scores cannot be mistaken for
each other. Families of models differ in marker and in colour. Lettering is large for the width of
the figure, so that it can still be read on a phone.
"""

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from brainalign.alt_text import control_rows, family_order, measure_label, source_of
from brainalign.lateralization import measure_rows
from brainalign.published import SOURCE
from brainalign.scaling import CEILING, LANGUAGE_MODEL, select
from brainalign.statistics import LineFit
from brainalign.study import SIMULATED
from brainalign.wording import format_count, number, short_name, voxel_name

INK = "#262626"
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, _PINK, GREY, _YELLOW, SKY = sns.color_palette(
    "colorblind"
).as_hex()
# The pink and the yellow of that palette are hardly visible on white.
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BROWN, GREY, INK)
MARKERS = "os^DvPX<h>"
KIND_COLOURS = {
    LANGUAGE_MODEL: BLUE,
    "untrained": ORANGE,
    CEILING: INK,
    "random embeddings": GREEN,
    "random vectors": GREY,
}
SIDES = {"L": ("left", BLUE, "o", "-"), "R": ("right", RED, "s", "--")}
STYLE = (
    sns.axes_style("ticks", {"axes.grid": True, "grid.color": "#e6e6e6"})
    | sns.plotting_context("notebook", font_scale=1.1)
    | {"font.sans-serif": ["DejaVu Sans"], "axes.titlelocation": "left", "legend.frameon": False}
)
# Inches: width of every figure, and what is kept free above and below the panels for the stamp,
# the lines about the scores, and each row of a legend.
WIDTH, HEADER, FOOTER, LEGEND_ROW = 6.8, 0.46, 0.52, 0.3
LEGEND_COLUMNS = 4
SIZE_STEPS = [(1,), (3,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7), range(1, 10)]


def looks(families: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Colour and marker of every family, in the order given."""
    return tuple(
        {name: every[i % len(every)] for i, name in enumerate(families)}
        for every in (COLOURS, MARKERS)
    )


def _figure(height: float) -> Figure:
    return Figure(figsize=(WIDTH, height), layout="constrained")


def stamp(figure: Figure, source: str, text: str) -> None:
    """Say at the top right whose responses a figure shows, and in small print what else to know.

    Parameters
    ----------
    figure
        Any figure, `HEADER` and `FOOTER` inches of which are free.
    source
        Of its numbers.
    text
        At most two lines for the foot.
    """
    simulated = source == SIMULATED
    colour = "#B00020" if simulated else "#1F4E79"
    height = figure.get_size_inches()[1]
    figure.text(
        0.99,
        1 - 0.07 / height,
        source,
        ha="right",
        va="top",
        color="white" if simulated else colour,
        weight="bold",
        size=12,
        bbox={"boxstyle": "square,pad=0.35", "fc": colour if simulated else "white", "ec": colour},
        gid="stamp",
    )
    figure.text(0.005, 0.06 / height, text, va="bottom", color="#5a5a5a", size=10.5)


def free_margins(figure: Figure, legend_rows: int = 0) -> None:
    """Keep the panels out of the stamp, the small print and the rows of a legend."""
    height = figure.get_size_inches()[1]
    top, bottom = HEADER / height, (FOOTER + LEGEND_ROW * legend_rows) / height
    figure.get_layout_engine().set(rect=(0, bottom, 1, 1 - top - bottom), wspace=0.06)
    sns.despine(figure)


def _frame(figure: Figure, table: pd.DataFrame, note: str, legend_rows: int = 0) -> None:
    """Stamp the source at the top, say at the bottom how the scores were made."""
    rules = [f"{name}s: {table[f'{name}_rule'].iloc[0]} rule" for name in ("layer", "hemisphere")]
    stamp(figure, source_of(table), f"{note}\n{' · '.join(rules)}")
    free_margins(figure, legend_rows)


def _size_ticks(low: float, high: float, at_least: int) -> list[float]:
    """Round sizes between two: decades where they are enough, otherwise ever more between them."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    for steps in SIZE_STEPS:
        ticks = [step * decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= at_least:
            break
    return ticks


def _size_axis(axes: Axes, sizes: np.ndarray, labels: int = 2) -> None:
    """Logarithmic axis of model sizes with at least so many labels such as 30k, 100k, 1M."""
    axes.set_xscale("log")
    low, high = np.min(sizes), np.max(sizes)
    margin = (high / low) ** 0.05
    axes.set_xlim(low / margin, high * margin)
    axes.set_xticks(_size_ticks(*axes.get_xlim(), labels))
    axes.xaxis.set_minor_locator(LogLocator(subs=range(1, 10), numticks=50))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Parameters (log scale)")
    axes.locator_params(axis="y", nbins=6)


def _line(axes: Axes, fit: LineFit, sizes: np.ndarray, colour: str, dashes: str = "-") -> None:
    """Fitted line with its bootstrap band."""
    x = np.linspace(np.log10(np.min(sizes)), np.log10(np.max(sizes)), 100)
    if len(fit.samples):
        axes.fill_between(10**x, *fit.band(x), color=colour, alpha=0.15, lw=0)
    axes.plot(10**x, fit.predict(x), color=colour, lw=2, ls=dashes)


def _points(axes: Axes, rows: pd.DataFrame, joined: bool = True) -> None:
    """One marker per model; families, where there are several, are joined by thin lines."""
    counts = rows["family"].value_counts()
    labels = {name: f"{name} ({counts[name]})" for name in family_order(rows)}
    families = pd.Categorical(rows["family"].map(labels), [*labels.values()])
    # Small families last, so that they are not hidden.
    rows = rows.assign(family=families).sort_values("family", kind="stable")
    colours, markers = looks([*labels.values()])
    encoding = {"x": "n_parameters", "y": "score", "hue": "family", "palette": colours}
    if joined and len(labels) > 1:
        sns.lineplot(rows, **encoding, lw=0.8, alpha=0.6, legend=False, ax=axes)
    encoding |= {"style": "family", "markers": markers}
    sns.scatterplot(rows, **encoding, s=72, linewidth=0.5, zorder=3, ax=axes)


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
    figure = _figure(5.4)
    axes = figure.subplots()
    _line(axes, fit, rows["n_parameters"], INK)
    _points(axes, rows)
    _direct_labels(axes, rows)
    _size_axis(axes, rows["n_parameters"], labels=4)
    axes.set_ylabel(f"Brain score\n(mean r, {voxel_name(voxels)})")
    axes.set_title(f"r = {number(fit.r, 2)}, slope {number(fit.slope, 4)} per decade")
    note = f"{_models_text(rows)}; band: 95 % bootstrap over models"
    _family_legend(figure, axes, table, note)
    return figure


def _family_legend(figure: Figure, axes: Axes, table: pd.DataFrame, note: str) -> None:
    """Frame of the figure, with a legend below the panels where there are several families."""
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    rows = int(np.ceil(len(labels) / LEGEND_COLUMNS)) if len(labels) > 1 else 0
    _frame(figure, table, note, legend_rows=rows)
    if rows:
        figure.legend(
            handles,
            labels,
            loc="lower center",
            bbox_to_anchor=(0.5, FOOTER / figure.get_size_inches()[1]),
            ncols=LEGEND_COLUMNS,
            borderaxespad=0,
            columnspacing=1,
            handletextpad=0.1,
            borderpad=0.1,
        )


def _models_text(rows: pd.DataFrame) -> str:
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
    figure = _figure(2.1 + 0.4 * len(groups))
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
    _frame(figure, table, note if averaged else "one dot per model or seed")
    return figure


def _sides_panel(axes: Axes, table: pd.DataFrame, fits: dict[str, LineFit], measure: str) -> None:
    """Left and right scores with their lines."""
    for side, (name, colour, marker, dashes) in SIDES.items():
        rows = measure_rows(table, measure, side)
        _line(axes, fits[side], rows["n_parameters"], colour, dashes)
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
    _size_axis(axes, rows["n_parameters"])
    axes.set_ylabel(f"Brain score\n({measure_label(measure)})")
    sns.move_legend(axes, "upper left", handletextpad=0.2, borderpad=0)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.16 * (high - low))


def _difference_panel(
    axes: Axes, table: pd.DataFrame, fits: dict[str, LineFit], measure: str, families: bool
) -> pd.DataFrame:
    """Left minus right with its line, zero marked."""
    rows = measure_rows(table, measure, "L-R")
    axes.axhline(0, color=INK, lw=1)
    _line(axes, fits["L-R"], rows["n_parameters"], INK)
    if families:
        _points(axes, rows, joined=False)
    else:
        sns.scatterplot(rows, x="n_parameters", y="score", s=32, color="#555555", ax=axes)
    _size_axis(axes, rows["n_parameters"])
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
    figure = _figure(5.2)
    sides, difference = figure.subplots(1, 2)
    _sides_panel(sides, table, fits, measure)
    sides.set_title("Each hemisphere")
    rows = _difference_panel(difference, table, fits, measure, families=True)
    difference.set_title(f"Left − right: r = {number(fits['L-R'].r, 2)}")
    note = f"{_models_text(rows)}; bands: 95 % bootstrap over models"
    _family_legend(figure, difference, table, note)
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
    figure = _figure(4.2)
    panels = figure.subplots(1, len(fits), sharey=True)
    for axes, (measure, lines) in zip(panels, fits.items(), strict=True):
        rows = _difference_panel(axes, table, lines, measure, families=False)
        axes.set_title(f"{measure.capitalize()}\nr = {number(lines['L-R'].r, 2)}")
        axes.label_outer()
        axes.set_xlabel("")
    panels[1].set_xlabel("Parameters (log scale)")
    _frame(figure, table, f"{_models_text(rows)}; bands: 95 % bootstrap over models")
    # Sizes at the edges of two panels must not read as one.
    figure.get_layout_engine().set(wspace=0.12)
    return figure
