"""Scores per region of interest and hemisphere, and how their left–right difference grows."""

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.lateralization import checked_values, model_columns
from brainalign.scaling import LANGUAGE_MODEL, log_parameters
from brainalign.statistics import LineFit, bootstrap_indices, fit_line, pearson
from brainalign.wording import interval


def roi_table(brain_scores: xr.DataArray) -> pd.DataFrame:
    """Mean score of every model in every region of interest and hemisphere.

    Parameters
    ----------
    brain_scores
        Dims (model, voxel); coordinates roi, hemisphere (voxel) and family, kind, n_parameters
        (model). Voxels whose roi is "" are left out.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, kind, seed, n_parameters, roi, hemisphere, n_voxels, score; regions
        in the order of their names.
    """
    values = checked_values(brain_scores)
    names, sides = brain_scores["roi"].values, brain_scores["hemisphere"].values
    models = model_columns(brain_scores)
    parts = []
    for roi in sorted(set(names) - {""}):
        for side in ("L", "R", "midline"):
            inside = (names == roi) & (sides == side)
            if inside.any():
                labels = {"roi": roi, "hemisphere": side, "n_voxels": int(inside.sum())}
                parts.append(models.assign(**labels, score=values[:, inside].mean(axis=1)))
    return pd.concat(parts, ignore_index=True)


def _sides(regions: pd.DataFrame, roi: str, kind: str) -> pd.DataFrame:
    """One row per model with columns L and R and n_parameters, smallest model first."""
    rows = regions[(regions["roi"] == roi) & (regions["kind"] == kind)]
    sides = rows.pivot(index=["model", "n_parameters"], columns="hemisphere", values="score")
    return sides.reset_index().sort_values(["n_parameters", "model"], ignore_index=True)


def region_fits(
    regions: pd.DataFrame,
    n_boot: int,
    rng: np.random.Generator,
    kind: str = LANGUAGE_MODEL,
) -> dict[str, dict[str, LineFit]]:
    """Lines of L, R and L-R on log10 parameters in each region that has both hemispheres.

    Parameters
    ----------
    regions
        From `roi_table`.
    n_boot
        Bootstrap samples over models.
    rng
        Seeded generator.
    kind
        Models to use.

    Returns
    -------
    dict
        region -> side ("L", "R", "L-R") -> LineFit; all lines of a region share their samples.
    """
    fits = {}
    for roi in regions["roi"].unique():
        sides = _sides(regions, roi, kind)
        if not {"L", "R"} <= set(sides.columns):
            continue
        sides["L-R"] = sides["L"] - sides["R"]
        x = log_parameters(sides)
        samples = bootstrap_indices(len(x), n_boot, rng)
        fits[roi] = {
            side: fit_line(x, sides[side].to_numpy(), samples) for side in ("L", "R", "L-R")
        }
    return fits


def difference_fits(fits: dict[str, dict[str, LineFit]]) -> dict[str, LineFit]:
    """The L-R lines of `region_fits`."""
    return {roi: sides["L-R"] for roi, sides in fits.items()}


def planted_table(truth: xr.Dataset, family: str = "discourse") -> pd.DataFrame:
    """What was planted in each region of a simulated brain.

    Parameters
    ----------
    truth
        Variables weight (family, voxel) and noise_ceiling (voxel); coordinates roi, hemisphere.
    family
        Family of latents whose weight is summed up.

    Returns
    -------
    pandas.DataFrame
        Index region; columns weight_L, weight_R, ceiling_L, ceiling_R: means over the region's
        voxels.
    """
    columns = {
        "weight": truth["weight"].sel(family=family).values,
        "ceiling": truth["noise_ceiling"].values,
    }
    table = pd.DataFrame(columns).assign(
        region=truth["roi"].values, side=truth["hemisphere"].values
    )
    inside = table[(table["region"] != "") & table["side"].isin(["L", "R"])]
    means = inside.groupby(["region", "side"])[["weight", "ceiling"]].mean().unstack("side")
    means.columns = [f"{name}_{side}" for name, side in means.columns]
    return means


def truth_comparison(
    truth: xr.Dataset | None, fits: dict[str, dict[str, LineFit]], regions: pd.DataFrame
) -> pd.DataFrame | None:
    """Planted asymmetry of every region, beside what the models' scores recover of it.

    Parameters
    ----------
    truth
        Of a simulated study; None otherwise.
    fits
        From `region_fits`.
    regions
        From `roi_table`.

    Returns
    -------
    pandas.DataFrame or None
        Columns region, planted discourse weight L − R, recovered slope of L − R per decade, its
        95 % interval, noise ceiling L − R, and L − R of the largest model; largest planted
        difference first. None without a truth.
    """
    if truth is None:
        return None
    planted = planted_table(truth)
    rows = []
    for roi, sides in fits.items():
        known, largest = planted.loc[roi], _sides(regions, roi, LANGUAGE_MODEL).iloc[-1]
        rows.append(
            {
                "region": roi,
                "planted discourse weight L − R": known["weight_L"] - known["weight_R"],
                "recovered slope of L − R": sides["L-R"].slope,
                "95 % interval": interval(sides["L-R"].slope_interval),
                "noise ceiling L − R": known["ceiling_L"] - known["ceiling_R"],
                f"{largest['model']} L − R": largest["L"] - largest["R"],
            }
        )
    table = pd.DataFrame(rows).sort_values("planted discourse weight L − R", ascending=False)
    return table.reset_index(drop=True)


def recovery(comparison: pd.DataFrame) -> float:
    """Correlation over regions of the planted difference with the recovered slope."""
    return float(
        pearson(
            comparison["planted discourse weight L − R"].to_numpy(),
            comparison["recovered slope of L − R"].to_numpy(),
        )
    )
