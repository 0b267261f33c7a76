"""Tables of single listeners: each alone, all together, beside the paper's and beside the truth."""

import numpy as np
import pandas as pd

from brainalign import published_panels
from brainalign.comparison import Printed, of_fits
from brainalign.individuals import MEASURES, SIDES, Fits, ListenerScores, listener_fits
from brainalign.inference import slopes
from brainalign.statistics import MINIMUM_POINTS
from brainalign.wording import interval


def slope_table(fits: Fits) -> pd.DataFrame:
    """Every listener's lines, one row per listener and measure.

    Returns
    -------
    pandas.DataFrame
        Columns listener, measure, models, r of the score, slope of the score, r of left − right,
        p, slope of left − right, 95 % interval (over models); slopes per decade.
    """
    rows = [
        {
            "listener": listener,
            "measure": measure,
            "models": sides["both"].n,
            "r of the score": sides["both"].r,
            "slope of the score": sides["both"].slope,
            "r of left − right": sides["L-R"].r,
            "p": sides["L-R"].p,
            "slope of left − right": sides["L-R"].slope,
            "95 % interval": interval(sides["L-R"].slope_interval),
        }
        for listener, measures in fits.items()
        for measure, sides in measures.items()
    ]
    return pd.DataFrame(rows)


def across_listeners(fits: Fits) -> pd.DataFrame:
    """Is the slope of left minus right above zero in listeners at large?

    Each listener's slope is one number, so that listeners are the units. All listeners heard the
    same models, so a mixed model with a slope of its own for each gives the same mean.

    Parameters
    ----------
    fits
        From `listener_fits`.

    Returns
    -------
    pandas.DataFrame
        One row per measure: listeners, mean slope of left − right per decade, low, high (95 %, t
        over listeners), p (t), above zero (listeners with a positive slope), p (sign test),
        significant alone (p < .05 of a listener's own r); NaN with fewer than
        three listeners.
    """
    from scipy import stats

    rows = []
    for measure in MEASURES:
        lines = [measures[measure]["L-R"] for measures in fits.values()]
        own = np.array([line.slope for line in lines])
        above = int((own > 0).sum())
        low, high, p = np.nan, np.nan, np.nan
        if len(own) >= MINIMUM_POINTS:
            test = stats.ttest_1samp(own, 0)
            (low, high), p = test.confidence_interval(), test.pvalue
        rows.append(
            {
                "measure": measure,
                "listeners": len(own),
                "mean slope of left − right": own.mean(),
                "low": low,
                "high": high,
                "p (t over listeners)": p,
                "above zero": above,
                "p (sign test)": stats.binomtest(above, len(own)).pvalue,
                "significant alone": sum(line.p < 0.05 and line.slope > 0 for line in lines),
            }
        )
    return pd.DataFrame(rows)


def group_table(fits: Fits) -> pd.DataFrame:
    """`across_listeners` as it is printed, the interval as text."""
    rows = across_listeners(fits)
    edges = zip(rows["low"], rows["high"], strict=True)
    rows.insert(rows.columns.get_loc("low"), "95 % interval", [interval(pair) for pair in edges])
    return rows.drop(columns=["low", "high"])


def resampled_table(found: ListenerScores) -> pd.DataFrame | None:
    """How sure are the whole-brain slopes: over models, over runs, and over all that was drawn?

    Parameters
    ----------
    found
        From `listener_scores`.

    Returns
    -------
    pandas.DataFrame or None
        Columns listener, slope of left − right per decade, and 95 % intervals (jackknife) over
        models, over runs, and over both; last row: all listeners together, who are then resampled
        with the runs. None without scores of single runs.
    """
    if found.folds is None:
        return None
    folds = found.folds.sel(region="whole brain", side="L-R")
    groups = {name: folds.sel(listener=name, drop=True) for name in found.listeners}
    if len(groups) > 1:
        groups["all"] = folds
    rows = []
    for name, part in groups.items():
        row = {"listener": name}
        for how in ("models", "runs", "both"):
            line = slopes(part, how)
            row["slope of left − right"] = float(line["slope"])
            row[f"95 %, {how}"] = interval((float(line["low"]), float(line["high"])))
        rows.append(row)
    return pd.DataFrame(rows)


def truth_table(found: ListenerScores, fits: Fits) -> pd.DataFrame | None:
    """Planted asymmetry, the same in all simulated listeners, and the one found in each.

    Parameters
    ----------
    found
        From `listener_scores`.
    fits
        From `listener_fits`.

    Returns
    -------
    pandas.DataFrame or None
        One row per measure: planted discourse weight L − R (mean over a hemisphere's voxels, or
        difference of its 90th percentiles), listeners with a slope of the same sign, lowest and
        highest slope. None where the truth is not known.
    """
    if found.truth is None:
        return None
    weight = found.truth["weight"].sel(family="discourse").to_numpy()
    side = found.truth["hemisphere"].to_numpy()
    left, right = (weight[side == name] for name in ("L", "R"))
    planted = {
        "whole brain": left.mean() - right.mean(),
        "90th percentile": np.percentile(left, 90) - np.percentile(right, 90),
    }
    rows = []
    for measure, difference in planted.items():
        own = np.array([measures[measure]["L-R"].slope for measures in fits.values()])
        same = int((np.sign(own) == np.sign(difference)).sum())
        rows.append(
            {
                "measure": measure,
                "planted discourse weight L − R": difference,
                "listeners with this sign": f"{same} of {len(own)}",
                "lowest slope of L − R": own.min(),
                "highest slope of L − R": own.max(),
            }
        )
    return pd.DataFrame(rows)


def numbers(fits: Fits) -> dict[str, float]:
    """What `individuals` records.

    Returns
    -------
    dict
        `n_listeners`, `n_models`; for every listener and measure (suffix `_p90` for the 90th
        percentile) `r_log_parameters_<listener>`, `r_log_parameters_difference_<listener>`,
        `slope_difference_per_decade_<listener>`; over listeners `slope_difference_per_decade`,
        `n_above_zero`, `n_significant`.
    """
    first = next(iter(fits.values()))
    recorded = {"n_listeners": len(fits), "n_models": first["whole brain"]["both"].n}
    for measure, short in MEASURES.items():
        suffix = f"_{short}" if short else ""
        for listener, measures in fits.items():
            sides = measures[measure]
            recorded[f"r_log_parameters_{listener}{suffix}"] = sides["both"].r
            recorded[f"r_log_parameters_difference_{listener}{suffix}"] = sides["L-R"].r
            recorded[f"slope_difference_per_decade_{listener}{suffix}"] = sides["L-R"].slope
    for short, (_, row) in zip(MEASURES.values(), across_listeners(fits).iterrows(), strict=True):
        suffix = f"_{short}" if short else ""
        recorded[f"slope_difference_per_decade{suffix}"] = row["mean slope of left − right"]
        recorded[f"n_above_zero{suffix}"] = row["above zero"]
        recorded[f"n_significant{suffix}"] = row["significant alone"]
    return recorded


def paper_rows(fits: Fits) -> list[Printed]:
    """The paper's tests of single listeners beside those found here, for `comparison.compare`.

    Other listeners are not the paper's: for them, the mean slopes over listeners are compared.
    """
    names = list(dict.fromkeys(published_panels.individuals()["listener"]))
    if set(fits) <= set(names):
        return of_fits(
            (
                f"{listener}, {measure}{what}",
                f"ind_{listener}_{panel}",
                fits[listener][measure][side],
            )
            for measure, short in MEASURES.items()
            for side, what in [("both", ""), ("L-R", ", left − right")]
            for listener in fits
            for panel in [_panel(short, side)]
        )
    rng = np.random.default_rng(0)
    printed = across_listeners(listener_fits(published_panels.individuals(), 1, rng))
    here = across_listeners(fits)
    column = "mean slope of left − right"
    return [
        Printed(f"{measure}: {column} per decade", printed[column].iloc[k], here[column].iloc[k])
        for k, measure in enumerate(MEASURES)
    ]


def _panel(short: str, side: str) -> str:
    """Name of the paper's panel: "mean", "LmR", "p90", "p90_LmR"."""
    name = SIDES[side]
    if not short:
        return name
    return short if side == "both" else f"{short}_{name}"
