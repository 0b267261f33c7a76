"""Tables of two checks of attributions: what deleting words costs, and whether parts sum to a whole."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.attribution_tables import interval_row


def deletion(found: xr.Dataset) -> pd.DataFrame:
    """Curves of deletion, mean over runs.

    Returns
    -------
    pandas.DataFrame
        Columns fraction, ranking, measure, value, low, high; fraction 0 is the text as it is.
    """
    curve = found["curve"].transpose("measure", "ranking", "fraction", "fold")
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


def deletion_areas(found: xr.Dataset) -> pd.DataFrame:
    """How much more each ranking loses than random words at the same distances: one number each.

    Returns
    -------
    pandas.DataFrame
        Columns measure, ranking, beyond random words (mean over fractions of the difference of the
        curves), low, high.
    """
    curve = found["curve"].sel(fraction=found["fraction"] > 0)
    beyond = (curve - curve.sel(ranking="random words, same distances")).mean("fraction")
    rows = [
        {"measure": str(measure), "ranking": str(ranking)}
        | interval_row(
            beyond.sel(measure=measure, ranking=ranking).to_numpy(),
            "beyond random words",
        )
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
        One row per run: brain score r of its scans, sum of all integrated gradients, share of the
        baseline, largest error of completeness, and the sums of ranges of distances.
    """
    stops = [*edges[1:], None]
    distance = found["distance"].to_numpy()
    rows = []
    for fold in range(found.sizes["fold"]):
        one = found.isel(fold=fold)
        total = float(one["score"].sum() + one["others"].sum())
        row = {
            "run": int(one["run"]) + 1,
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
