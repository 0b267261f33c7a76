"""What the figures of `plots` show, in sentences with the numbers of this very table."""

import re

import pandas as pd

from brainalign.errors import InputError
from brainalign.lateralization import EVERY_MEASURE, measure_rows
from brainalign.scaling import CEILING, LANGUAGE_MODEL, matching, select
from brainalign.statistics import LineFit
from brainalign.wording import format_count, interval, number, opening, short_name, voxel_name

KIND_NAMES = {
    LANGUAGE_MODEL: "language models",
    "untrained": "untrained copies",
    CEILING: "noise ceiling (truth)",
    "word vectors": "GloVe word vectors",
}


def source_of(table: pd.DataFrame) -> str:
    """The one source of a table's scores.

    Raises
    ------
    InputError
        Where scores of several sources are mixed, or none is named.
    """
    sources = list(table["source"].unique()) if "source" in table else []
    if len(sources) != 1:
        raise InputError(f"A figure shows scores of one source; the table has {sources}.")
    return sources[0]


def family_order(rows: pd.DataFrame) -> list[str]:
    """Families, most models first, then by name; the same for every figure of a table."""
    counts = rows.groupby("family")["model"].nunique()
    return sorted(counts.index, key=lambda name: (-counts[name], name))


def measure_label(measure: str) -> str:
    """Name of a measure on an axis: "mean r, reliable voxels"."""
    voxels, statistic, _ = EVERY_MEASURE[measure]
    what = {"mean": "mean r", "90th percentile": "90th percentile of r"}.get(statistic, statistic)
    return f"{what}, {voxel_name(voxels)}"


def _group_label(row: pd.Series) -> str:
    """Row label of the control figure: kind, and width for vectors and embeddings."""
    if row["kind"] in KIND_NAMES:
        return KIND_NAMES[row["kind"]]
    width = re.search(r"-(\d+)(?::|$)", row["model"])
    return f"{row['kind']}, {width[1]} wide" if width else row["kind"]


def control_rows(
    table: pd.DataFrame, voxels: str, statistic: str = "mean", hemisphere: str = "both"
) -> dict[str, pd.DataFrame]:
    """Rows of language models, untrained copies, controls and ceiling, grouped for the figure.

    Returns
    -------
    dict
        Label -> rows, language models first.
    """
    rows = matching(table, voxels=voxels, statistic=statistic, hemisphere=hemisphere)
    order = [CEILING, LANGUAGE_MODEL, "untrained", "word vectors", "random embeddings"]
    place = {kind: i for i, kind in enumerate(order)}
    kinds = sorted(rows["kind"].unique(), key=lambda kind: (place.get(kind, len(order)), kind))
    groups = {}
    for kind in kinds:
        part = rows[rows["kind"] == kind]
        labels = part.apply(_group_label, axis=1)
        for label in dict.fromkeys(labels):
            groups[label] = part[labels == label]
    return groups


def scaling_alt(table: pd.DataFrame, fit: LineFit, voxels: str = "reliable") -> str:
    """What `scaling_figure` shows, in sentences with its numbers."""
    rows = select(table, voxels)
    first, best = rows.iloc[0], rows.loc[rows["score"].idxmax()]
    families = family_order(rows)
    return (
        f"{opening(source_of(table))} Scatter plot of the mean brain score of {fit.n} language models "
        f"({voxel_name(voxels)}) against their number of parameters on a logarithmic axis from "
        f"{format_count(rows['n_parameters'].min())} to {format_count(rows['n_parameters'].max())}."
        f" The smallest model, {short_name(first['model'])}, scores {number(first['score'])}; the best, "
        f"{short_name(best['model'])}, {number(best['score'])}. The fitted line has r = {number(fit.r, 2)} "
        f"and a slope of {number(fit.slope, 4)} per factor of ten in parameters "
        f"(95 % interval {interval(fit.slope_interval)}). "
        f"{'Family' if len(families) == 1 else 'Families'}: {', '.join(families)}."
    )


def control_alt(
    table: pd.DataFrame, voxels: str, statistic: str = "mean", hemisphere: str = "both"
) -> str:
    """What `control_figure` shows, in sentences with its numbers."""
    groups = control_rows(table, voxels, statistic, hemisphere)
    parts = []
    for label, rows in groups.items():
        low, high = rows["score"].min(), rows["score"].max()
        values = number(low, 4) if len(rows) == 1 else f"{number(low, 4)} to {number(high, 4)}"
        parts.append(f"{label} {values}")
    what = "Left minus right brain score" if hemisphere == "L-R" else "Brain score"
    return f"{opening(source_of(table))} {what}, {voxel_name(voxels)}, in rows of dots: {'; '.join(parts)}."


def asymmetry_alt(
    table: pd.DataFrame, fits: dict[str, LineFit], measure: str = "reliable voxels"
) -> str:
    """What `asymmetry_figure` shows, in sentences with its numbers."""
    rows = measure_rows(table, measure, "L-R")
    left, right, difference = fits["L"], fits["R"], fits["L-R"]
    low, high = rows["score"].min(), rows["score"].max()
    return (
        f"{opening(source_of(table))} Two panels for {left.n} language models from "
        f"{format_count(rows['n_parameters'].min())} to {format_count(rows['n_parameters'].max())} "
        f"parameters ({measure_label(measure)}). Left panel: the score of the left hemisphere "
        f"(r = {number(left.r, 2)} with log parameters, slope {number(left.slope, 4)} per "
        f"decade) and of the right (r = {number(right.r, 2)}, slope {number(right.slope, 4)}). "
        f"Right panel: left minus right runs from {number(low, 4)} to {number(high, 4)}; "
        f"r = {number(difference.r, 2)}, slope {number(difference.slope, 4)} per decade "
        f"(95 % interval {interval(difference.slope_interval)})."
    )


def measures_alt(table: pd.DataFrame, fits: dict[str, dict[str, LineFit]]) -> str:
    """What `measures_figure` shows, in sentences with its numbers."""
    parts = [
        f"{measure} r = {number(lines['L-R'].r, 2)}, slope {number(lines['L-R'].slope, 4)} per "
        f"decade (95 % interval {interval(lines['L-R'].slope_interval)})"
        for measure, lines in fits.items()
    ]
    return (
        f"{opening(source_of(table))} Three panels of left minus right brain score against the number of "
        f"parameters: {'; '.join(parts)}."
    )
