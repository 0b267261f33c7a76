"""Everything that the page on regions of interest shows: scores, slopes, tests, baselines."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.errors import InputError
from brainalign.inference import (
    Resample,
    fold_table,
    log_sizes,
    region_masks,
    slope_coefficients,
    slopes,
    table_as_folds,
)
from brainalign.lateralization import checked_values
from brainalign.regions import roi_table, voxel_tests
from brainalign.regression import differences, family_interaction
from brainalign.scaling import LANGUAGE_MODEL
from brainalign.spatial import MapCorrelation, map_correlation
from brainalign.statistics import MINIMUM_POINTS, Correction, LineFit, corrected, fit_line
from brainalign.wording import interval

SlopeMethod = Literal["jackknife", "bootstrap", "published"]
SIDE_NAMES = {"L": "left", "R": "right", "L-R": "difference"}


@dataclass(frozen=True)
class RegionScores:
    """Scores in the regions of interest of one study.

    Attributes
    ----------
    source : str
        Whose responses, for the stamp of figures.
    folds : xarray.DataArray
        Language models only: dims (model, fold, region, side). Published scores have one fold.
    table : pandas.DataFrame
        Region table of language models and controls, see `regions.roi_table`.
    layer_rule : str
        "nested" or "published".
    voxels : xarray.DataArray or None
        Language models' scores in the whole brain, dims (model, voxel), means over folds; None for
        published scores.
    truth : xarray.Dataset or None
        What a simulated study knows of itself.
    """

    source: str
    folds: xr.DataArray = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    layer_rule: str
    voxels: xr.DataArray | None = field(default=None, repr=False)
    truth: xr.Dataset | None = field(default=None, repr=False)


def region_scores(
    study: str,
    models: Sequence[str] | None = None,
    controls: Sequence[str] | None = None,
    regions: Sequence[str] | None = None,
    layer_rule: str = "nested",
    **options: Any,
) -> RegionScores:
    """Published scores per region, or those of a study that is encoded.

    Parameters
    ----------
    study, models, controls, layer_rule, **options
        As for `scores.study_scores`.
    regions
        Names; None takes all regions that have voxels on both sides.

    Returns
    -------
    RegionScores

    Raises
    ------
    InputError
        For a region that the study does not have, and as `scores.study_scores`.
    """
    from brainalign.scores import PUBLISHED

    if study == PUBLISHED:
        return _published_scores(models, regions)
    # Imported here, so that a page of published scores does not depend on the code of encoding.
    from brainalign.layer_choice import brain_scores, fold_scores
    from brainalign.scores import voxel_scores
    from brainalign.studies import load_study

    if regions is not None or study != "testbed":  # refused before anything is encoded
        masks = region_masks(load_study(study, **options).voxels, regions)
        if not masks:
            raise InputError(f"Study {study!r} has no region with voxels on both sides.")
    given = None if controls is None else list(controls)
    found = voxel_scores(study, None if models is None else list(models), given, **options)
    chosen = brain_scores(found.encoded, layer_rule)
    masks = region_masks(chosen, regions)
    is_language = (chosen["kind"] == LANGUAGE_MODEL).to_numpy()
    language = chosen.isel(model=is_language)
    order = np.lexsort((language["model"].to_numpy(), language["n_parameters"].to_numpy()))
    encoded = [one for one, keep in zip(found.encoded, is_language, strict=True) if keep]
    folds = fold_table(fold_scores([encoded[place] for place in order], layer_rule), masks)
    table = roi_table(chosen)
    return RegionScores(
        found.study.source,
        folds,
        table[table["roi"].isin(masks)],
        layer_rule,
        language.isel(model=order),
        found.study.truth,
    )


def _published_scores(models: Sequence[str] | None, regions: Sequence[str] | None) -> RegionScores:
    table = published.region_table(names=None if models is None else list(models))
    known = sorted(table["roi"].unique())
    if unknown := [name for name in regions or () if name not in known]:
        raise InputError(
            f"Region {unknown[0]!r} is not among those of the published scores; they have "
            f"{', '.join(known)}."
        )
    table = table[table["roi"].isin(known if regions is None else regions)]
    folds = table_as_folds(table[table["kind"] == LANGUAGE_MODEL])
    return RegionScores(published.SOURCE, folds, table, "published")


def resampled(found: RegionScores, resample: Resample) -> Resample:
    """What can be resampled: published scores are known for models only, not for runs."""
    return resample if found.folds.sizes["fold"] >= MINIMUM_POINTS else "models"


def slope_table(
    found: RegionScores,
    method: SlopeMethod = "jackknife",
    resample: Resample = "both",
    n_boot: int = 1000,
    rng: np.random.Generator | None = None,
    correction: Correction = "holm",
) -> pd.DataFrame:
    """Slopes on log10 parameters of every region, left, right and left minus right.

    Parameters
    ----------
    found
        From `region_scores`.
    method
        "jackknife" or "bootstrap" as for `inference.slopes`; "published": intervals over voxels and
        Student's t-test over voxels, as in the paper. Of published scores the paper's printed
        intervals and p values are shown then.
    resample, n_boot, rng
        As for `inference.slopes`; published scores have models only.
    correction
        Of the p values over regions.

    Returns
    -------
    pandas.DataFrame
        Largest difference first: region; slope_, low_ and high_ with L, R and L-R, per decade; p
        of the difference (NaN with the bootstrap), p_corrected; r and p_r of L − R with log
        parameters.

    Raises
    ------
    InputError
        As `inference.slopes`.
    """
    if method == "published":
        table = _published_slopes(found, n_boot, rng)
    else:
        fit = slopes(found.folds, resampled(found, resample), method, n_boot, rng)
        columns = {"region": fit["region"].to_numpy()}
        for side in SIDE_NAMES:
            part = fit.sel(side=side)
            columns |= {
                f"{name}_{side}": part[name].to_numpy() for name in ("slope", "low", "high")
            }
        difference = fit.sel(side="L-R")
        columns["p"] = difference["p"].to_numpy() if "p" in fit else np.nan
        table = pd.DataFrame(columns)
    lines = [difference_line(found.folds, name) for name in table["region"]]
    table["p_corrected"] = (
        np.nan if table["p"].isna().any() else corrected(table["p"].to_numpy(), correction)
    )
    table = table.assign(r=[line.r for line in lines], p_r=[line.p for line in lines])
    return table.sort_values("slope_L-R", ascending=False, ignore_index=True)


def difference_line(folds: xr.DataArray, region: str) -> LineFit:
    """Line of left minus right of one region on log10 parameters."""
    rows = differences(folds, region)
    return fit_line(rows["size"].to_numpy(), rows["difference"].to_numpy())


def _published_slopes(
    found: RegionScores, n_boot: int, rng: np.random.Generator | None
) -> pd.DataFrame:
    """The paper's slopes, intervals over voxels and t-tests; printed ones for its own scores."""
    if found.voxels is not None:
        table = voxel_tests(found.voxels, n_boot, rng).drop(columns=["r", "p_r", "t"])
        return table[table["region"].isin(found.folds["region"].to_numpy())]
    fit = slopes(found.folds, "models")
    table = pd.DataFrame({"region": fit["region"].to_numpy()})
    printed = published.roi_slopes().set_index("roi").loc[table["region"]]
    for side in SIDE_NAMES:
        table[f"slope_{side}"] = fit["slope"].sel(side=side).to_numpy()
        for edge, name in {"low": "lo", "high": "hi"}.items():
            column = f"slope_{side}_ci95_{name}"
            known = printed[column].to_numpy() * np.log(10) if column in printed else np.nan
            table[f"{edge}_{side}"] = known
    return table.assign(p=printed["printed_ttest_LvsR_p"].to_numpy())


def family_table(found: RegionScores) -> pd.DataFrame:
    """The slope of L − R where models of one family are not taken for independent.

    Parameters
    ----------
    found
        From `region_scores`.

    Returns
    -------
    pandas.DataFrame
        One row per region: slope and interval of the mixed model with families as random effects,
        how it was fitted, and the interval that leaves out whole families (a dash under three).
    """
    families = found.folds["family"].to_numpy()
    several = len(set(families)) >= MINIMUM_POINTS
    clusters = slopes(found.folds, "models", clusters=families) if several else None
    rows = []
    for region in found.folds["region"].to_numpy():
        mixed = family_interaction(differences(found.folds, region))
        row = {
            "region": region,
            "hemisphere × log size, families random": mixed["coefficient"],
            "95 % interval": interval((mixed["low"], mixed["high"])),
            "p": mixed["p"],
            "how": mixed["how"],
            "interval, families left out whole": "–",
        }
        if clusters is not None:
            edges = clusters.sel(region=region, side="L-R")
            row["interval, families left out whole"] = interval(
                (float(edges["low"]), float(edges["high"]))
            )
        rows.append(row)
    return pd.DataFrame(rows)


def parcel_recovery(
    found: RegionScores, n_null: int, rng: np.random.Generator
) -> MapCorrelation | None:
    """Planted asymmetry of every parcel of the brain, against the slope of L − R found there.

    Parameters
    ----------
    found
        From `region_scores`.
    n_null, rng
        As for `spatial.map_correlation`.

    Returns
    -------
    spatial.MapCorrelation or None
        Over parcels that have a twin on the other side. None without a truth.
    """
    if found.truth is None:
        return None
    x = log_sizes(found.voxels)
    slope = slope_coefficients(x, np.ones((1, len(x))))[0] @ checked_values(found.voxels)
    sides = found.voxels["hemisphere"].to_numpy()
    table = pd.DataFrame(
        {
            **{name: found.voxels[name].to_numpy() for name in "xyz"},
            "slope": slope,
            "planted": found.truth["weight"].sel(family="discourse").to_numpy(),
            "parcel": [name.rpartition(" ")[0] for name in found.voxels["parcel"].to_numpy()],
        }
    )
    left, right = (table[sides == side].groupby("parcel").mean() for side in "LR")
    left, right = left.align(right, join="inner", axis=0)
    planted, recovered = (left[name] - right[name] for name in ("planted", "slope"))
    return map_correlation(planted, recovered, left[["x", "y", "z"]].to_numpy(), n_null, rng)
