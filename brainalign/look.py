"""The look of all figures: colours, markers, lettering, the stamp, the axis of model sizes.

Every figure carries a stamp that says whose scores it shows and two lines that say how they were
made, so that simulated, published and measured scores cannot be mistaken for each other. Lettering
is large for the width of the figure, so that it can still be read on a phone.
"""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from brainalign.alt_text import family_order, source_of
from brainalign.scaling import CEILING, LANGUAGE_MODEL
from brainalign.statistics import LineFit
from brainalign.study import SIMULATED
from brainalign.wording import format_count

INK = "#262626"
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, _PINK, GREY, _YELLOW, SKY = sns.color_palette(
    "colorblind"
).as_hex()
# The pink and the yellow of that palette are hardly visible on white.
COLOURS = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY, BROWN, GREY, INK)
MARKERS = "os^DvPX<h>"
# Place of every family in both, the same on all pages; two series of Qwen share a colour.
FAMILIES = {
    name: place
    for place, names in enumerate(
        [
            *(("GPT-2",), ("OPT",), ("Llama 2", "Llama"), ("Qwen1.5", "Qwen2"), ("Gemma",)),
            *(("StableLM",), ("Mistral",), ("Mamba",), ("Pythia",)),
        ]
    )
    for name in names
}
KIND_COLOURS = {
    LANGUAGE_MODEL: BLUE,
    "untrained": ORANGE,
    CEILING: INK,
    "word vectors": SKY,
    "random embeddings": GREEN,
    "random vectors": GREY,
}
SIDES = {"L": ("left", BLUE, "o", "-"), "R": ("right", RED, "s", "--")}
# What simulated listeners follow, in its order: beside the two sides, no colour or marker twice.
LATENTS = ((GREY, "P"), (BROWN, "v"), (SKY, "D"), (INK, "X"), (GREEN, "^"))
STYLE = (
    sns.axes_style("ticks", {"axes.grid": True, "grid.color": "#e6e6e6"})
    | sns.plotting_context("notebook", font_scale=1.1)
    | {"font.sans-serif": ["DejaVu Sans"], "axes.titlelocation": "left", "legend.frameon": False}
)
# Inches: width of every figure, and what is kept free above and below the panels for the stamp,
# the lines about the scores, and each row of a legend.
WIDTH, HEADER, FOOTER, LEGEND_ROW = 6.8, 0.46, 0.52, 0.3
LEGEND_COLUMNS = 4
SIZE_STEPS = [(1,), (3,), (1, 3), (1, 2, 5), (1, 3, 6), (1, 2, 3, 5, 7), range(1, 10)]


def looks(families: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Colour and marker of every family: known ones have the same throughout the book.

    Parameters
    ----------
    families
        Names such as "OPT" and its nano counterpart "nano OPT", which look alike; families that
        are not in `FAMILIES` take what those leave.

    Returns
    -------
    colours, markers : dict
        Family -> colour, family -> marker.
    """
    places = {name: FAMILIES.get(name.removeprefix("nano ")) for name in families}
    free = [place for place in range(len(COLOURS)) if place not in places.values()]
    others = [name for name, place in places.items() if place is None]
    places |= {name: (free or [0])[i % max(len(free), 1)] for i, name in enumerate(others)}
    colours = {name: COLOURS[place] for name, place in places.items()}
    markers = {name: MARKERS[place] for name, place in places.items()}
    if {"Qwen1.5", "Qwen2"} <= set(families):
        markers["Qwen2"] = "p"
    return colours, markers


def new_figure(height: float) -> Figure:
    """Empty figure of the book's width.

    Parameters
    ----------
    height
        In inches.
    """
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


def _size_ticks(low: float, high: float, at_least: int) -> list[float]:
    """Round sizes between two: decades where they are enough, otherwise ever more between them."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.log10(high))
    for steps in SIZE_STEPS:
        ticks = [step * decade for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= at_least:
            break
    return ticks


def size_axis(axes: Axes, sizes: np.ndarray, labels: int = 2) -> None:
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


def frame(figure: Figure, table: pd.DataFrame, note: str, legend_rows: int = 0) -> None:
    """Stamp the source at the top, say at the bottom how the scores were made."""
    stamp(figure, source_of(table), f"{note}\n{rules_text(table)}")
    free_margins(figure, legend_rows)


def rules_text(table: pd.DataFrame) -> str:
    """By which rules the scores of a table were made, for the small print."""
    names = [f"{name}s: {table[f'{name}_rule'].iloc[0]} rule" for name in ("layer", "hemisphere")]
    return " · ".join(names)


def draw_line(axes: Axes, fit: LineFit, sizes: np.ndarray, colour: str, dashes: str = "-") -> None:
    """Fitted line with its bootstrap band."""
    x = np.linspace(np.log10(np.min(sizes)), np.log10(np.max(sizes)), 100)
    if len(fit.samples):
        axes.fill_between(10**x, *fit.band(x), color=colour, alpha=0.15, lw=0)
    axes.plot(10**x, fit.predict(x), color=colour, lw=2, ls=dashes)


def draw_models(axes: Axes, rows: pd.DataFrame, joined: bool = True) -> None:
    """One marker per model; families, where there are several, are joined by thin lines."""
    counts = rows["family"].value_counts()
    order = family_order(rows)
    labels = {name: f"{name} ({counts[name]})" for name in order}
    families = pd.Categorical(rows["family"].map(labels), [*labels.values()])
    # Small families last, so that they are not hidden.
    rows = rows.assign(family=families).sort_values("family", kind="stable")
    colours, markers = ({labels[name]: look[name] for name in order} for look in looks(order))
    encoding = {"x": "n_parameters", "y": "score", "hue": "family", "palette": colours}
    if joined and len(labels) > 1:
        sns.lineplot(rows, **encoding, lw=0.8, alpha=0.6, legend=False, ax=axes)
    encoding |= {"style": "family", "markers": markers}
    sns.scatterplot(rows, **encoding, s=72, linewidth=0.5, zorder=3, ax=axes)


def family_legend(figure: Figure, axes: Axes, table: pd.DataFrame, note: str) -> None:
    """Frame of the figure, with a legend below the panels where there are several families."""
    handles, labels = axes.get_legend_handles_labels()
    axes.get_legend().remove()
    rows = int(np.ceil(len(labels) / LEGEND_COLUMNS)) if len(labels) > 1 else 0
    frame(figure, table, note, legend_rows=rows)
    if rows:
        legend_below(figure, handles, labels, LEGEND_COLUMNS)


def legend_below(figure: Figure, handles: list, labels: list[str], columns: int) -> None:
    """Names between the panels and the small print, where `free_margins` left rows free."""
    figure.legend(
        handles,
        labels,
        loc="lower center",
        bbox_to_anchor=(0.5, FOOTER / figure.get_size_inches()[1]),
        ncols=columns,
        borderaxespad=0,
        columnspacing=1,
        handletextpad=0.4,
        handlelength=1.6,
        borderpad=0.1,
        fontsize=11,
    )
