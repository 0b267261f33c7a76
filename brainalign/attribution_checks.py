"""Tables of two checks of attributions: what deleting words costs, and whether parts sum to a whole."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.attribution_tables import interval_row


def curves(found: xr.Dataset, way: str = "deletion") -> pd.DataFrame:
    """Curves of deletion or of insertion, mean over runs.

    Parameters
    ----------
    found
        From `attribution.scores.erasure_scores`.
    way
        "deletion" or "insertion".

    Returns
    -------
    pandas.DataFrame
        Columns fraction, ranking, measure, value, low, high. Fraction 0 is the text as it is, or
        nothing of it.
    """
    curve = found["curve"].sel(way=way).transpose("measure", "ranking", "fraction", "fold")
    rows = [
        {"fraction": float(fraction), "ranking": str(ranking), "measure": str(measure)}
        | interval_row(
            curve.sel(measure=measure, ranking=ranking, fraction=fraction).to_numpy(), "value"
        )
        for measure in curve["measure"].values
        for ranking in curve["ranking"].values
        for fraction in curve["fraction"].values
    ]
    return pd.DataFrame(rows).dropna(subset="value")


def areas(found: xr.Dataset) -> pd.DataFrame:
    """How far each ranking lies beyond random words at the same distances: one number each.

    Returns
    -------
    pandas.DataFrame
        Columns way, measure, ranking, beyond random words (mean over fractions of the difference of
        the curves), low, high.
    """
    curve = found["curve"].sel(fraction=found["fraction"] > 0)
    beyond = (curve - curve.sel(ranking="random words, same distances")).mean("fraction")
    rows = [
        {"way": str(way), "measure": str(measure), "ranking": str(ranking)}
        | interval_row(
            beyond.sel(way=way, measure=measure, ranking=ranking).to_numpy(),
            "beyond random words",
        )
        for way in beyond["way"].values
        for measure in beyond["measure"].values
        for ranking in beyond["ranking"].values
        if "random" not in str(ranking)
    ]
    return pd.DataFrame(rows).dropna(subset="beyond random words")


def completeness(found: xr.Dataset, edges: Sequence[int] = (0, 16, 32, 64)) -> pd.DataFrame:
    """Whether integrated gradients of the brain score's parts sum to it, and where it comes from.

    Parameters
    ----------
    found
        From `attribution.scores.alignment_scores`.
    edges
        First distance of every range of words.

    Returns
    -------
    pandas.DataFrame
        One row per fold: brain score r of its scans, sum of all integrated gradients, share of the
        baseline, largest error of completeness, and the sums of ranges of distances.
    """
    stops = [*edges[1:], None]
    distance = found["distance"].to_numpy()
    rows = []
    for fold in range(found.sizes["fold"]):
        one = found.isel(fold=fold)
        total = float(one["score"].sum() + one["others"].sum())
        row = {
            "fold": fold + 1,
            "r": float(one["scalar"].sum()),
            "sum": total,
            "baseline": round(float((one["scalar"] - one["change"]).sum()), 6),
            "largest error": float(one["error"].max()),
        }
        for first, stop in zip(edges, stops, strict=True):
            inside = (distance >= first) & (distance < (np.inf if stop is None else stop))
            name = f"{first} to {stop - 1} back" if stop else f"{first} or more back"
            row[name] = float(one["score"].sel(distance=inside).sum())
        rows.append(row)
    return pd.DataFrame(rows)
