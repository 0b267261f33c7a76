"""Scores per region of interest and hemisphere, and how their left–right difference grows."""

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.inference import log_sizes, slope_coefficients
from brainalign.lateralization import checked_values, model_columns
from brainalign.scaling import EMBEDDINGS, LANGUAGE_MODEL, log_parameters
from brainalign.statistics import (
    LineFit,
    bootstrap_indices,
    fit_line,
    pearson,
    percentile_interval,
)
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


def baseline_rows(regions: pd.DataFrame) -> pd.DataFrame:
    """Left minus right of every language model and region, as it is and less that of a baseline.

    Parameters
    ----------
    regions
        From `roi_table` or `published.region_table`.

    Returns
    -------
    pandas.DataFrame
        Columns model, n_parameters, roi, raw, baseline, subtracted; by region, smallest model first.
        The baseline is that of the widest random embeddings, the mean of their seeds; NaN without
        any.
    """
    sides = regions.pivot(index=["kind", "model", "roi"], columns="hemisphere", values="score")
    difference = (sides["L"] - sides["R"]).dropna().rename("raw").reset_index()
    sizes = regions.drop_duplicates("model").set_index("model")["n_parameters"]
    rows = difference[difference["kind"] == LANGUAGE_MODEL].drop(columns="kind")
    rows.insert(1, "n_parameters", rows["model"].map(sizes).astype(float))
    embeddings = difference[difference["kind"] == EMBEDDINGS]
    width = embeddings["model"].str.extract(r"-(\d+)(?::|$)")[0].astype(float)
    widest = embeddings[width == width.max()].groupby("roi")["raw"].mean()
    rows["baseline"] = rows["roi"].map(widest)
    rows["subtracted"] = rows["raw"] - rows["baseline"]
    return rows.sort_values(["roi", "n_parameters", "model"], ignore_index=True)


def region_fits(
    regions: pd.DataFrame | None,
    n_boot: int,
    rng: np.random.Generator,
    kind: str = LANGUAGE_MODEL,
) -> dict[str, dict[str, LineFit]]:
    """Lines of L, R and L-R on log10 parameters in each region that has both hemispheres.

    Parameters
    ----------
    regions
        From `roi_table`; None where a study has no regions.
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
    for roi in [] if regions is None else regions["roi"].unique():
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


def voxel_tests(
    brain_scores: xr.DataArray, n_boot: int = 0, rng: np.random.Generator | None = None
) -> pd.DataFrame:
    """The paper's tests per region: slopes of voxels left against right, r of left minus right.

    Every voxel's score is fitted on ln(parameters); Student's t-test compares the slopes of left
    and right voxels (Bonnasse-Gahot & Pallier 2024, code).

    Parameters
    ----------
    brain_scores
        Language models only: dims (model, voxel); coordinates roi, hemisphere (voxel) and
        n_parameters (model).
    n_boot
        Bootstrap samples of voxels for the intervals; 0 for none.
    rng
        Seeded generator of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        One row per region: region; slope_, low_ and high_ with L, R and L-R, per decade, the
        intervals over voxels; t, p of the t-test; r, p_r of L − R with ln(parameters).

    Notes
    -----
    Its p values are too small, as if voxels were independent: neighbours share noise, and all of
    them share the models, the story and the listeners.
    """
    from scipy import stats

    x = log_sizes(brain_scores)
    values = checked_values(brain_scores)
    voxel_slopes = slope_coefficients(x, np.ones((1, len(x))))[0] @ values
    roi, side = brain_scores["roi"].to_numpy(), brain_scores["hemisphere"].to_numpy()
    rows = []
    for name in sorted(set(roi[side == "L"]) & set(roi[side == "R"]) - {""}):
        row, inside = {"region": name}, {half: (roi == name) & (side == half) for half in "LR"}
        for half, voxels in inside.items():
            low, high = _voxel_interval(voxel_slopes[voxels], n_boot, rng)
            mean = voxel_slopes[voxels].mean()
            row |= {f"slope_{half}": mean, f"low_{half}": low, f"high_{half}": high}
        test = stats.ttest_ind(*(voxel_slopes[voxels] for voxels in inside.values()))
        edges = test.confidence_interval(0.95)
        row |= {"slope_L-R": row["slope_L"] - row["slope_R"]}
        row |= {"low_L-R": edges.low, "high_L-R": edges.high}
        left, right = (values[:, voxels].mean(axis=1) for voxels in inside.values())
        line = stats.pearsonr(x, left - right)
        row |= {"t": test.statistic, "p": test.pvalue, "r": line.statistic, "p_r": line.pvalue}
        rows.append(row)
    return pd.DataFrame(rows)


def _voxel_interval(
    values: np.ndarray, n_boot: int, rng: np.random.Generator | None
) -> tuple[float, float]:
    """Percentile interval of a mean over voxels; NaN without a bootstrap."""
    if not n_boot:
        return np.nan, np.nan
    drawn = values[bootstrap_indices(len(values), n_boot, rng or np.random.default_rng(0))]
    return percentile_interval(drawn.mean(axis=1))


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
