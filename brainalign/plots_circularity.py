"""Figure of what a layer chosen on the test runs adds, and the same in words with its numbers."""

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brainalign import look
from brainalign.circularity import BEST, DIFFERENCE, MODELS, NESTED, SCORE, SHIFTED, VECTORS
from brainalign.look import INK, STYLE, WIDTH, legend_below
from brainalign.scaling import matching
from brainalign.wording import number, opening

_LOOKS = {
    VECTORS: (look.GREY, "s", ":"),
    SHIFTED: (look.ORANGE, "^", "--"),
}


def _look(what: str) -> tuple[str, str, str]:
    """Colour, marker and dashes of some features; those that are no null are a language model."""
    return _LOOKS.get(what, (look.BLUE, "o", "-"))


@mpl.rc_context(STYLE)
def circularity_figure(
    excess: pd.DataFrame, source: str, against: str, curves: pd.DataFrame | None = None
) -> Figure:
    """How far the choice on test runs lies above the other one, by the number of layers.

    Parameters
    ----------
    excess
        From `circularity.invented`; one open circle per language model.
    source
        Of the scores.
    against
        The rule that it is held against.
    curves
        From `circularity.by_number_of_layers`; None where only the models' totals are known.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels: brain score, and left minus right.
    """
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for axes, measure in zip(panels, (SCORE, DIFFERENCE), strict=True):
        axes.axhline(0, color=INK, lw=1)
        rows = matching(excess, what=MODELS, measure=measure)
        style = {"mfc": "none", "mec": INK, "ms": 8, "label": "each language model"}
        axes.plot(rows["n_layers"], rows["invented"], "o", **style)
        if curves is not None:
            for what, part in matching(curves, measure=measure).groupby("what", sort=False):
                colour, marker, dashes = _look(what)
                style = {"color": colour, "ls": dashes, "ms": 6, "mec": "white", "label": what}
                axes.plot(part["n_layers"], part["invented"], marker, **style)
        axes.set(xlabel="Layers to choose from", title=measure.capitalize())
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.locator_params(axis="y", nbins=6)
    panels[0].set_ylabel("Added by the choice\non test runs (mean r)")
    handles, labels = panels[0].get_legend_handles_labels()
    other = {NESTED: "chosen on inner runs", BEST: "the best single layer"}[against]
    text = f"layer of every voxel chosen on test runs, minus {other}\nmean over reliable voxels"
    look.stamp(figure, source, text)
    look.free_margins(figure, legend_rows=-(-len(labels) // 2))
    legend_below(figure, handles, labels, columns=2)
    return figure


def circularity_alt(
    excess: pd.DataFrame, source: str, against: str, curves: pd.DataFrame | None = None
) -> str:
    """What `circularity_figure` shows, in sentences with its numbers."""
    parts = []
    for measure in (SCORE, DIFFERENCE):
        values = matching(excess, what=MODELS, measure=measure)["invented"]
        text = (
            f"{measure} of {len(values)} language models: mean {number(values.mean(), 4)}, from "
            f"{number(values.min(), 4)} to {number(values.max(), 4)}"
        )
        if curves is not None:
            for what, part in matching(curves, measure=measure).groupby("what", sort=False):
                last = part.iloc[-1]
                text += f", {what} {number(last['invented'], 4)} with {last['n_layers']} layers"
        parts.append(text)
    return (
        f"{opening(source)} Two panels against the number of layers to choose from: what choosing "
        f"every voxel's layer on the test runs adds to the score and to left minus right, compared "
        f"with {against}. {'; '.join(parts)}."
    )
