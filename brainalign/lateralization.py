"""Left against right: scores per hemisphere, and how their difference grows with model size."""

import re

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.scaling import line_columns, log_parameters, select
from brainalign.statistics import LineFit, bootstrap_indices, fit_line
from brainalign.study import HemisphereRule, hemispheres

SIDE_NAMES = {"L": "left", "R": "right", "L-R": "left − right"}
SIDES = tuple(SIDE_NAMES)
# The paper's three ways to sum up a hemisphere: voxels, statistic, and its name for the panel.
MEASURES = {
    "whole brain": ("all", "mean", "wb"),
    "reliable voxels": ("reliable", "mean", "rv"),
    "90th percentile": ("all", "90th percentile", "p90"),
}
# Its scores are no correlations, so it stands in a table and in figures of its own.
NORMALISED = "mean of score / ISC"
EVERY_MEASURE = {**MEASURES, "score / ISC": ("reliable", NORMALISED, "rv_iscnorm")}
MODEL_COLUMNS = ("family", "kind", "n_parameters")


def model_seed(name: str) -> int | None:
    """Seed that the name of a control or an untrained model ends with; None without one."""
    found = re.search(r":(?:seed|untrained)-(\d+)$", name)
    return int(found[1]) if found else None


def model_columns(brain_scores: xr.DataArray) -> pd.DataFrame:
    """One row per model: model, family, kind, seed, n_parameters.

    Parameters
    ----------
    brain_scores
        Has dim `model` with coordinates family, kind and n_parameters.
    """
    names = [str(name) for name in brain_scores["model"].values]
    columns = {name: brain_scores[name].values for name in MODEL_COLUMNS}
    seeds = pd.array([model_seed(name) for name in names], dtype="Int64")
    table = pd.DataFrame({"model": names, **columns, "seed": seeds})
    return table[["model", "family", "kind", "seed", "n_parameters"]]


def checked_values(brain_scores: xr.DataArray) -> np.ndarray:
    """Scores as float64 of shape (model, voxel); missing ones are an error."""
    values = brain_scores.transpose("model", "voxel").to_numpy().astype(float)
    missing = ~np.isfinite(values)
    if missing.any():
        row = np.flatnonzero(missing.any(axis=1))[0]
        raise InputError(
            f"The scores of model {str(brain_scores['model'].values[row])!r} are missing or "
            f"infinite in {missing[row].sum()} of {values.shape[1]} voxels; all must be numbers."
        )
    return values


def _sides(values: np.ndarray, keep: np.ndarray, side: np.ndarray) -> dict[str, dict]:
    """Statistic -> hemisphere -> score per model, over the kept voxels."""
    summaries = {
        "mean": lambda part: part.mean(axis=1),
        "90th percentile": lambda part: np.percentile(part, 90, axis=1),
    }
    masks = {"both": keep, "L": keep & (side == "L"), "R": keep & (side == "R")}
    result = {}
    for statistic, summarise in summaries.items():
        scores = {name: summarise(values[:, mask]) for name, mask in masks.items() if mask.any()}
        if {"L", "R"} <= scores.keys():
            scores["L-R"] = scores["L"] - scores["R"]
        result[statistic] = scores
    return result


def hemisphere_table(
    brain_scores: xr.DataArray, reliable: xr.DataArray, rule: HemisphereRule = "anatomical"
) -> pd.DataFrame:
    """Score of every model in both hemispheres, left, right, and left minus right.

    Parameters
    ----------
    brain_scores
        Dims (model, voxel); coordinates hemisphere (voxel) and family, kind, n_parameters (model).
    reliable
        Dim (voxel), bool: the voxels with a high inter-subject correlation.
    rule
        "anatomical" leaves midline voxels out of both sides; "published" gives each side half of
        them. "both" always has all voxels.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, kind, seed, n_parameters, voxels ("all", "reliable"), statistic
        ("mean", "90th percentile" over voxels), hemisphere ("both", "L", "R", "L-R"), score,
        hemisphere_rule. Swapping the labels L and R changes the sign of "L-R" exactly.

    Raises
    ------
    InputError
        For missing scores, another rule, or a mask of another length.
    """
    values = checked_values(brain_scores)
    reliable = np.asarray(reliable, dtype=bool)
    if reliable.shape != (values.shape[1],):
        raise InputError(
            f"reliable has shape {reliable.shape}; one value for each of the {values.shape[1]} "
            "voxels is expected."
        )
    side = hemispheres(pd.DataFrame({"hemisphere": brain_scores["hemisphere"].values}), rule)
    models = model_columns(brain_scores)
    parts = []
    for voxels, keep in {"all": np.ones_like(reliable), "reliable": reliable}.items():
        for statistic, scores in _sides(values, keep, side).items():
            for hemisphere, score in scores.items():
                labels = {"voxels": voxels, "statistic": statistic, "hemisphere": hemisphere}
                parts.append(models.assign(**labels, score=score))
    return pd.concat(parts, ignore_index=True).assign(hemisphere_rule=rule)


def isc_normalised(
    brain_scores: xr.DataArray,
    isc: xr.DataArray | np.ndarray,
    reliable: xr.DataArray | np.ndarray,
    rule: HemisphereRule = "anatomical",
) -> pd.DataFrame:
    """Scores as parts of what listeners share: mean of score / ISC over the reliable voxels.

    Parameters
    ----------
    brain_scores, reliable, rule
        As for `hemisphere_table`.
    isc
        Shape (voxel,), above 0 in reliable voxels: an inter-subject correlation, or a noise
        ceiling.

    Returns
    -------
    pandas.DataFrame
        Columns of `hemisphere_table`; voxels "reliable", statistic "mean of score / ISC",
        hemisphere "L", "R", "L-R".

    Raises
    ------
    InputError
        As `hemisphere_table`, and where the divisor is not above 0.
    """
    keep, divisor = np.asarray(reliable, dtype=bool), np.asarray(isc, dtype=float)
    if not (divisor[keep] > 0).all():
        raise InputError(
            f"Scores are divided by {float(np.min(divisor[keep])):g} in a reliable voxel; numbers "
            "above 0 are expected."
        )
    # Elsewhere the quotient means nothing, and is left out.
    table = hemisphere_table(brain_scores / np.where(keep, divisor, 1), keep, rule)
    rows = (table["voxels"] == "reliable") & (table["statistic"] == "mean")
    table = table[rows & (table["hemisphere"] != "both")]
    return table.assign(statistic=NORMALISED).reset_index(drop=True)


def zero_crossing(fit: LineFit) -> float:
    """Number of parameters at which a line on log10 parameters crosses zero.

    Returns
    -------
    float
        NaN without a slope; infinite where a flat line crosses zero beyond all numbers.
    """
    if not fit.slope:
        return np.nan
    with np.errstate(over="ignore"):
        return float(np.power(10.0, -fit.intercept / fit.slope))


def hemisphere_fits(
    table: pd.DataFrame, measure: str, n_boot: int, rng: np.random.Generator
) -> dict[str, LineFit]:
    """Lines of L, R and L-R on log10 parameters, with the same bootstrap samples for all three.

    Parameters
    ----------
    table
        A score table.
    measure
        "whole brain", "reliable voxels", "90th percentile" or, in a table of `isc_normalised`,
        "score / ISC".
    n_boot
        Bootstrap samples over models.
    rng
        Seeded generator.

    Returns
    -------
    dict
        "L", "R", "L-R" -> LineFit.

    Raises
    ------
    InputError
        For another measure, and where left and right do not have the same models.
    """
    rows = {side: measure_rows(table, measure, side) for side in SIDES}
    names = {tuple(part["model"]) for part in rows.values()}
    if len(names) > 1:
        raise InputError(f"Left and right of {measure!r} do not have the same models.")
    samples = bootstrap_indices(len(rows["L"]), n_boot, rng)
    return {
        side: fit_line(log_parameters(part), part["score"].to_numpy(), samples)
        for side, part in rows.items()
    }


def measure_rows(table: pd.DataFrame, measure: str, hemisphere: str, **selection) -> pd.DataFrame:
    """Rows of a score table that belong to one measure and hemisphere, smallest model first.

    Raises
    ------
    InputError
        For another measure than `EVERY_MEASURE` has, and as `scaling.select`.
    """
    if measure not in EVERY_MEASURE:
        raise InputError(f"measure is {measure!r}; one of {', '.join(EVERY_MEASURE)} is expected.")
    voxels, statistic, _ = EVERY_MEASURE[measure]
    return select(table, voxels, statistic, hemisphere, **selection)


def all_fits(
    table: pd.DataFrame, n_boot: int, rng: np.random.Generator
) -> dict[str, dict[str, LineFit]]:
    """Lines of all three measures: measure -> side -> LineFit."""
    return {measure: hemisphere_fits(table, measure, n_boot, rng) for measure in MEASURES}


def fits_table(fits: dict[str, dict[str, LineFit]]) -> pd.DataFrame:
    """Lines of all measures as a table, slopes per decade with their 95 % intervals."""
    rows = [
        {
            "measure": measure,
            "hemisphere": SIDE_NAMES[side],
            **line_columns(fit),
        }
        for measure, sides in fits.items()
        for side, fit in sides.items()
    ]
    return pd.DataFrame(rows)


def model_table(table: pd.DataFrame) -> pd.DataFrame:
    """Scores of the language models per hemisphere, one row each, smallest first.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, parameters, and for each measure left, right, left − right.
    """
    first = measure_rows(table, "whole brain", "L")
    result = first[["model", "family"]].assign(parameters=first["n_parameters"].astype(int))
    for measure in MEASURES:
        for side, name in SIDE_NAMES.items():
            scores = measure_rows(table, measure, side).set_index("model")["score"]
            result[f"{measure}, {name}"] = scores.loc[result["model"]].to_numpy()
    return result


def numbers(fits: dict[str, dict[str, LineFit]]) -> dict[str, float]:
    """Numbers of the page: correlations and slopes, whole brain and (`_reliable`) reliable voxels.

    Returns
    -------
    dict
        `r_log_parameters_left`, `_right`, `_difference`, `slope_difference_per_decade` and the
        edges of its interval, each also with the suffix `_reliable`.
    """
    result = {}
    for measure, suffix in {"whole brain": "", "reliable voxels": "_reliable"}.items():
        fit = fits[measure]
        low, high = fit["L-R"].slope_interval
        values = {
            "r_log_parameters_left": fit["L"].r,
            "r_log_parameters_right": fit["R"].r,
            "r_log_parameters_difference": fit["L-R"].r,
            "slope_difference_per_decade": fit["L-R"].slope,
            "ci_low_slope_difference_per_decade": low,
            "ci_high_slope_difference_per_decade": high,
        }
        result |= {name + suffix: value for name, value in values.items()}
    return {"n_models": fits["whole brain"]["L"].n, **result}


def interaction(table: pd.DataFrame, measure: str) -> pd.Series:
    """Does the left grow faster than the right? Hemisphere x log-size interaction over models.

    Least squares of score ~ model + hemisphere + hemisphere x log10 parameters on two rows per
    model, with a constant for every model, so that models and not voxels are the units.

    Parameters
    ----------
    table
        A score table.
    measure
        "whole brain", "reliable voxels" or "90th percentile".

    Returns
    -------
    pandas.Series
        coefficient (slope left minus slope right, per decade), standard_error, t, p, freedom.
    """
    import statsmodels.formula.api as formula

    left, right = (measure_rows(table, measure, side) for side in ("L", "R"))
    rows = pd.concat([left.assign(side=0.5), right.assign(side=-0.5)], ignore_index=True)
    # Centred sizes leave the interaction as it is and keep the regressors well scaled.
    rows["size"] = np.log10(rows["n_parameters"]) - np.log10(rows["n_parameters"]).mean()
    fit = formula.ols("score ~ 0 + C(model) + side + side:size", rows).fit()
    return pd.Series(
        {
            "coefficient": fit.params["side:size"],
            "standard_error": fit.bse["side:size"],
            "t": fit.tvalues["side:size"],
            "p": fit.pvalues["side:size"],
            "freedom": fit.df_resid,
        }
    )
