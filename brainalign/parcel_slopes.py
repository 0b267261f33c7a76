"""Does the asymmetry follow reliability? Scores as parts of it, and parcels against each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign import published, published_panels
from brainalign.comparison import Printed, correlation
from brainalign.errors import InputError
from brainalign.inference import slope_coefficients
from brainalign.lateralization import (
    SIDE_NAMES,
    checked_values,
    isc_normalised,
    measure_rows,
    zero_crossing,
)
from brainalign.parcels import homologues, isc_table, parcel_means, parcelled
from brainalign.scaling import LANGUAGE_MODEL, log_parameters
from brainalign.scores import PUBLISHED, voxel_scores
from brainalign.spatial import MapCorrelation, map_correlation
from brainalign.statistics import MINIMUM_POINTS, LineFit, fit_line
from brainalign.study import HemisphereRule, Study
from brainalign.wording import format_count

Divisor = Literal["ISC", "noise ceiling"]
#: Two-sided p of a voxel's slope in the paper's map, there |t| > 7.2755 with 28 models.
VOXEL_P = 1e-7
MEASURE = "score / ISC"


@dataclass(frozen=True)
class ParcelScores:
    """What is known of one study's asymmetry and reliability.

    Attributes
    ----------
    table : pandas.DataFrame
        Score table of `lateralization.isc_normalised`.
    slopes : ParcelSlopes
        Of its parcels.
    study : Study or None
        None for published values.
    scores : xarray.DataArray or None
        Dims (model, voxel); None for published values.
    reliable : numpy.ndarray or None
        Shape (voxel,), bool.
    """

    table: pd.DataFrame = field(repr=False)
    slopes: "ParcelSlopes"
    study: Study | None = field(default=None, repr=False)
    scores: xr.DataArray | None = field(default=None, repr=False)
    reliable: np.ndarray | None = field(default=None, repr=False)


def parcel_scores(
    study: str,
    models: Sequence[str] | None = None,
    divisor: Divisor = "ISC",
    layer_rule: str = "nested",
    hemispheres: HemisphereRule = "anatomical",
    n_null: int = 1000,
    null_seed: int = 0,
    **options,
) -> ParcelScores:
    """The paper's values, or scores, reliability and parcels of a study.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies` with voxels, parcels and listeners.
    models
        Language models; None takes all.
    divisor
        "ISC", or "noise ceiling" as estimated from the listeners; the published scores are divided
        by the paper's ISC.
    layer_rule, hemispheres
        As for `scores.study_scores`.
    n_null, null_seed
        Of the spatial null.
    **options
        Of the study.

    Returns
    -------
    ParcelScores
    """
    if study == PUBLISHED:
        table = published_panels.isc_normalised()
        wanted = table["model"] if models is None else list(models)
        return ParcelScores(table[table["model"].isin(wanted)], published_slopes())
    from brainalign.layer_choice import brain_scores
    from brainalign.reliability import noise_ceiling, reliability_map
    from brainalign.studies import load_study

    if study != "testbed":  # what a study lacks is said before anything is encoded
        loaded = load_study(study, **options)
        _check_parcels(study, homologues(parcelled(loaded))["parcel"].nunique())
        if divisor != "ISC":
            noise_ceiling(loaded)
    found = voxel_scores(study, models, [], **options)
    scores = brain_scores(found.encoded, layer_rule)
    members = homologues(parcelled(found.study))
    isc = reliability_map(found.study).to_numpy()
    by = isc if divisor == "ISC" else noise_ceiling(found.study).to_numpy()
    # Where halves of the listeners do not correlate, the estimated ceiling is 0.
    table = isc_normalised(scores, by, found.reliable & (by > 0), hemispheres)
    how = {"source": found.study.source, "layer_rule": layer_rule}
    slopes = parcel_slopes(
        scores, isc, members, found.study.source, n_null, np.random.default_rng(null_seed)
    )
    return ParcelScores(table.assign(**how), slopes, found.study, scores, found.reliable)


def _check_parcels(study: str, n_parcels: int) -> None:
    if n_parcels < MINIMUM_POINTS:
        raise InputError(
            f"Study {study!r} has {n_parcels} parcel(s) on both sides, and a line needs "
            f"{MINIMUM_POINTS}; `brainalign fetch petitprince-en --all` fetches an atlas of 48."
        )


def not_at_hand(found: ParcelScores) -> list[str]:
    """What does not concern a page of these scores: tags of the notebook's cells."""
    if found.study is None:
        return ["voxels", "truth"]
    return ["truth"] if found.study.truth is None else []


def normalised_numbers(table: pd.DataFrame, fits: dict[str, LineFit]) -> pd.DataFrame:
    """The normalised asymmetry in one row.

    Parameters
    ----------
    table
        Of `ParcelScores`.
    fits
        Its lines, from `lateralization.hemisphere_fits`.

    Returns
    -------
    pandas.DataFrame
        Columns models, r, slope per decade, lowest and highest left − right, models with the right
        ahead, size at which the line crosses zero.
    """
    rows, line = measure_rows(table, MEASURE, "L-R"), fits["L-R"]
    crossing = zero_crossing(line)
    # A line that is nearly flat crosses zero where no model will ever be.
    where = f"{format_count(crossing)} parameters" if 1 <= crossing < 1e15 else "no size"
    return pd.DataFrame(
        [
            {
                "models": line.n,
                "r of left − right": line.r,
                "slope per decade": line.slope,
                "lowest": rows["score"].min(),
                "highest": rows["score"].max(),
                "models with the right ahead": int((rows["score"] < 0).sum()),
                "the line crosses 0 at": where,
            }
        ]
    )


def model_table(table: pd.DataFrame) -> pd.DataFrame:
    """Normalised scores, one row per language model, smallest first.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, parameters, left, right, left − right.
    """
    first = measure_rows(table, MEASURE, "L")
    result = first[["model", "family"]].assign(parameters=first["n_parameters"].astype(int))
    for side, name in SIDE_NAMES.items():
        scores = measure_rows(table, MEASURE, side).set_index("model")["score"]
        result[name] = scores.loc[result["model"]].to_numpy()
    return result


def true_ceiling_rows(
    found: ParcelScores, rule: HemisphereRule = "anatomical"
) -> pd.DataFrame | None:
    """The same division by what a simulated study knows: the noise ceiling that was planted.

    Parameters
    ----------
    found
        From `evidence`.
    rule
        For the midline.

    Returns
    -------
    pandas.DataFrame or None
        As `normalised_numbers`; reliable voxels with a signal. None where the truth is not known.
    """
    if found.study is None or found.study.truth is None:
        return None
    ceiling = found.study.truth["noise_ceiling"].to_numpy()
    # A voxel without signal has a ceiling of 0, and none of its noise can be explained.
    table = isc_normalised(found.scores, ceiling, found.reliable & (ceiling > 0.05), rule)
    rows = measure_rows(table, MEASURE, "L-R")
    line = fit_line(log_parameters(rows), rows["score"].to_numpy())
    return normalised_numbers(table, {"L-R": line})


@dataclass(frozen=True)
class ParcelSlopes:
    """How the asymmetry of every parcel grows, beside its reliability.

    Attributes
    ----------
    table : pandas.DataFrame
        Columns parcel, difference (ISC, left − right), slope (of the score's left − right, per
        decade), and, where scores are at hand, isc_left, isc_right, score_left, score_right (mean
        over models).
    fit : LineFit
        Of slope on difference, over parcels.
    levels : LineFit or None
        Of the mean score on ISC, over parcels and sides.
    source : str
        Whose responses.
    spatial : MapCorrelation or None
        The correlation of `fit` against parcels that are as smooth, but unrelated.
    """

    table: pd.DataFrame = field(repr=False)
    fit: LineFit
    levels: LineFit | None
    source: str
    spatial: MapCorrelation | None = None


def parcel_slopes(
    brain_scores: xr.DataArray,
    isc: np.ndarray,
    members: pd.DataFrame,
    source: str,
    n_null: int,
    rng: np.random.Generator,
) -> ParcelSlopes:
    """Slopes of left minus right per parcel, and how they go with its reliability.

    Parameters
    ----------
    brain_scores
        Dims (model, voxel), with kind and n_parameters; of language models, at least three.
    isc
        Shape (voxel,).
    members
        From `homologues`.
    source
        Of the study.
    n_null, rng
        As for `spatial.map_correlation`.

    Returns
    -------
    ParcelSlopes
    """
    scores, weights = _models(brain_scores)
    means = parcel_means(scores, members).transpose("parcel", "side", ...).to_numpy()
    slopes = (means[:, 0] - means[:, 1]) @ weights
    reliability = isc_table(isc, members)
    levels = means.mean(axis=-1)
    table = reliability[["parcel", "difference"]].assign(
        slope=slopes,
        isc_left=reliability["left"],
        isc_right=reliability["right"],
        score_left=levels[:, 0],
        score_right=levels[:, 1],
    )
    both = fit_line(reliability[["left", "right"]].to_numpy().ravel(), levels.ravel())
    difference = table["difference"].to_numpy()
    fit = fit_line(difference, table["slope"].to_numpy())
    places = np.stack([brain_scores[axis].to_numpy() for axis in "xyz"])
    centres = parcel_means(places, members).sel(side="L").to_numpy().T
    spatial = map_correlation(difference, table["slope"], centres, n_null, rng)
    return ParcelSlopes(table, fit, both, source, spatial)


def slope_numbers(found: ParcelSlopes) -> pd.DataFrame:
    """One row per correlation over parcels: what, n, r, p (parcels independent), p (spatial null)."""
    spatial = np.nan if found.spatial is None else found.spatial.p
    rows = [("slope of left − right with ISC left − right", found.fit, spatial)]
    if found.levels is not None:
        rows.append(("mean score with ISC, both sides", found.levels, np.nan))
    return pd.DataFrame(
        [
            {
                "what": what,
                "parcels": fit.n,
                "r": fit.r,
                "p, parcels independent": fit.p,
                "p, spatial null": p,
            }
            for what, fit, p in rows
        ]
    )


def published_slopes() -> ParcelSlopes:
    """The paper's parcels: their ISC difference and slope, read off its figure."""
    names = {"isc_difference": "difference", "slope_difference": "slope"}
    table = published_panels.parcels().rename(columns=names)[["parcel", "difference", "slope"]]
    fit = fit_line(table["difference"].to_numpy(), table["slope"].to_numpy())
    return ParcelSlopes(table, fit, None, published.SOURCE)


def _models(brain_scores: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Scores (model, voxel) of the language models, and weights that give slopes per decade."""
    models = brain_scores[brain_scores["kind"] == LANGUAGE_MODEL]
    if models.sizes["model"] < MINIMUM_POINTS:
        raise InputError(
            f"A slope on model size needs at least {MINIMUM_POINTS} language models; "
            f"{models.sizes['model']} were given."
        )
    sizes = np.log10(models["n_parameters"].to_numpy().astype(float))
    return checked_values(models), slope_coefficients(sizes, np.ones((1, len(sizes))))[0]


def voxel_slopes(brain_scores: xr.DataArray, p: float = VOXEL_P) -> xr.Dataset:
    """Slope of every voxel's score on log10 parameters, and its t value.

    Parameters
    ----------
    brain_scores
        Dims (model, voxel), with kind and n_parameters; of language models, at least three.
    p
        Two-sided, of the threshold.

    Returns
    -------
    xarray.Dataset
        Dim (voxel): slope (per decade), t; attributes n (models), threshold (|t| at that p with
        n − 2 degrees of freedom).
    """
    values, weights = _models(brain_scores)
    models = brain_scores[brain_scores["kind"] == LANGUAGE_MODEL]
    sizes = np.log10(models["n_parameters"].to_numpy().astype(float))
    centred = sizes - sizes.mean()
    slope = weights @ values
    residual = values - values.mean(axis=0) - np.outer(centred, slope)
    freedom = len(sizes) - 2
    error = np.sqrt((residual**2).sum(axis=0) / freedom / (centred**2).sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        t = slope / error
    attrs = {"n": len(sizes), "threshold": float(stats.t.isf(p / 2, freedom))}
    coords = {name: c for name, c in brain_scores.coords.items() if c.dims == ("voxel",)}
    return xr.Dataset({"slope": ("voxel", slope), "t": ("voxel", t)}, coords, attrs)


def numbers(found: ParcelScores, fits: dict[str, LineFit]) -> dict[str, float]:
    """What `parcels` records: the normalised asymmetry, and the correlations over parcels."""
    line, slopes = fits["L-R"], found.slopes
    recorded = {
        "n_models": line.n,
        "r_log_parameters_difference": line.r,
        "slope_difference_per_decade": line.slope,
        "parameters_at_zero": zero_crossing(line),
        "n_parcels": slopes.fit.n,
        "r_slope_isc": slopes.fit.r,
    }
    if slopes.levels is not None:
        recorded["r_score_isc"] = slopes.levels.r
    return recorded


def paper_rows(found: ParcelSlopes, fits: dict[str, LineFit]) -> list[Printed]:
    """The paper's correlations and those found here, for `comparison.compare`.

    Parameters
    ----------
    found
        Of `ParcelScores`.
    fits
        Lines of the normalised scores, from `lateralization.hemisphere_fits`.
    """
    line = fits["L-R"]
    rows = correlation(
        "score / ISC, left − right with log parameters", "rv_iscnorm_LmR", line.r, line.p
    )
    rows += correlation("slope of left − right with ISC left − right", "slope of L-R vs ln N",
                       found.fit.r, found.fit.p, "parcel ISC L-R")  # fmt: skip
    levels = found.levels
    what, dependent = "mean score with ISC", "mean brain score over 28 models"
    if levels is not None:
        return rows + correlation(what, dependent, levels.r, levels.p, "parcel ISC")
    printed = published.printed_correlation(dependent, "parcel ISC")
    return rows + [
        Printed(f"{what}: r", printed["published_stat"], None),
        Printed(f"{what}: p", printed["published_p"], None),
    ]
