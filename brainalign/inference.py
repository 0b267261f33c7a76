"""How sure is a slope on model size? Models, runs and listeners resampled, alone or together.

Scores come as one value per model, fold, region and side. A slope is a weighted sum over models and
a mean over folds and listeners; so resampling any of them is a matrix product.

Folds are not independent of each other: any two share all training runs but two. The variance of a
mean over folds is therefore s² (1/n + 1/(n − 1)) instead of s²/n (Nadeau & Bengio 2003, with one run
of n for testing), and the default interval is a jackknife that says so. The joint bootstrap of runs
and models (Owen 2007) is there to compare: it takes folds for independent.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.lateralization import SIDES
from brainalign.statistics import MINIMUM_POINTS, bootstrap_indices, percentile_interval

Resample = Literal["both", "models", "runs"]
Method = Literal["jackknife", "bootstrap"]
# Dims over which a slope is a mean, so that they can be resampled beside the models.
REPEATS = ("fold", "listener")


def region_masks(
    voxels: xr.DataArray | pd.DataFrame, names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Voxels of regions of interest.

    Parameters
    ----------
    voxels
        Scores with coordinates roi and hemisphere (voxel), or a study's voxel table.
    names
        Regions; None takes all that have voxels on both sides.

    Returns
    -------
    dict
        Name -> bool of shape (voxel,).

    Raises
    ------
    InputError
        For a region without voxels on the left or on the right.
    """
    roi, side = voxels["roi"].to_numpy(), voxels["hemisphere"].to_numpy()
    known = sorted(set(roi[side == "L"]) & set(roi[side == "R"]) - {""})
    if unknown := [name for name in names or () if name not in known]:
        raise InputError(
            f"Region {unknown[0]!r} has no voxels on both sides of this study's mask; "
            f"{', '.join(known) or 'no region'} {'have' if len(known) > 1 else 'has'}."
        )
    return {name: roi == name for name in (known if names is None else names)}


def fold_table(
    scores: xr.DataArray, groups: Mapping[str, np.ndarray] | None = None
) -> xr.DataArray:
    """Mean score of every model and fold over groups of voxels, left, right, and left minus right.

    Parameters
    ----------
    scores
        From `layer_choice.fold_scores`: dims (model, fold, voxel), maybe also (listener);
        coordinates roi and hemisphere (voxel).
    groups
        Name -> bool of shape (voxel,), such as the reliable voxels; None takes the regions of
        interest.

    Returns
    -------
    xarray.DataArray
        Dims (..., region, side), float64, with the models' coordinates; side is "L", "R", "L-R".

    Raises
    ------
    InputError
        For a group without voxels on one side.
    """
    masks = region_masks(scores) if groups is None else dict(groups)
    hemisphere = scores["hemisphere"].to_numpy()
    columns = np.stack([mask & (hemisphere == side) for mask in masks.values() for side in "LR"])
    sizes = columns.sum(axis=1)
    if (sizes == 0).any():
        which, side = divmod(int(np.flatnonzero(sizes == 0)[0]), 2)
        raise InputError(f"{list(masks)[which]!r} has no voxels in hemisphere {'LR'[side]}.")
    scores = scores.transpose(..., "voxel")
    # Only voxels of some group are read: a whole brain's worth would be converted for nothing.
    used = np.flatnonzero(columns.any(axis=0))
    weights = (columns[:, used] / sizes[:, None]).T
    means = scores.to_numpy()[..., used] @ weights
    means = means.reshape(*means.shape[:-1], len(masks), 2)
    difference = means[..., :1] - means[..., 1:]
    dims = [*scores.dims[:-1], "region", "side"]
    coords = {name: c for name, c in scores.coords.items() if "voxel" not in c.dims}
    coords |= {"region": list(masks), "side": list(SIDES)}
    return xr.DataArray(np.concatenate([means, difference], axis=-1), coords, dims)


def table_as_folds(regions: pd.DataFrame) -> xr.DataArray:
    """Scores that are known for models only, in the shape of `fold_table` with a single fold.

    Parameters
    ----------
    regions
        One kind of models of a region table: columns model, family, n_parameters, roi, hemisphere
        ("L", "R"), score.

    Returns
    -------
    xarray.DataArray
        Dims (model, fold, region, side), smallest model first.
    """
    sides = regions.pivot(index="model", columns=["roi", "hemisphere"], values="score")
    about = regions.drop_duplicates("model").sort_values(["n_parameters", "model"])
    sides = sides.loc[about["model"]]
    names = list(dict.fromkeys(regions["roi"]))
    values = np.stack([sides[name][["L", "R"]].to_numpy() for name in names], axis=1)
    values = np.concatenate([values, values[..., :1] - values[..., 1:]], axis=-1)
    coords = {
        "model": about["model"].to_numpy(),
        **{name: ("model", about[name].to_numpy()) for name in ("family", "n_parameters")},
        "fold": [0],
        "region": names,
        "side": list(SIDES),
    }
    return xr.DataArray(values[:, None], coords, ("model", "fold", "region", "side"))


def slope_coefficients(x: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """What to multiply y with, to get the slope of y on x where points count so many times.

    Parameters
    ----------
    x
        Shape (point,).
    counts
        Shape (sample, point): how often each point is in each sample.

    Returns
    -------
    numpy.ndarray
        Shape (sample, point); NaN for samples whose points lie at one single x.
    """
    x, counts = np.asarray(x, dtype=float), np.asarray(counts, dtype=float)
    centre = counts @ x / counts.sum(axis=1)
    weighted = counts * (x - centre[:, None])
    spread = weighted @ x
    least = 1e-12 * counts.sum(axis=1) * np.square(x).max()
    return weighted / np.where(spread > least, spread, np.nan)[:, None]


def model_slopes(folds: xr.DataArray, coefficients: np.ndarray | None = None) -> xr.DataArray:
    """Slope of scores on log10 parameters, in every fold, region and side.

    Parameters
    ----------
    folds
        With dim (model) and its coordinate n_parameters.
    coefficients
        From `slope_coefficients`, shape (sample, model); None takes every model once.

    Returns
    -------
    xarray.DataArray
        As `folds`, with (sample) for (model), or without either; per decade.

    Raises
    ------
    InputError
        For fewer than three models, and for models of one single size.
    """
    x = log_sizes(folds)
    single = coefficients is None
    rows = slope_coefficients(x, np.ones((1, len(x)))) if single else coefficients
    slopes = xr.DataArray(rows, dims=("sample", "model")).dot(
        folds.drop_vars(folds["model"].coords, errors="ignore"), dim="model"
    )
    return slopes.isel(sample=0) if single else slopes


def log_sizes(scores: xr.DataArray) -> np.ndarray:
    """log10 parameters of models that a line can be drawn through.

    Parameters
    ----------
    scores
        With dim (model) and its coordinate n_parameters.

    Returns
    -------
    numpy.ndarray
        Shape (model,).

    Raises
    ------
    InputError
        For fewer than three models, and for models of one single size.
    """
    sizes = scores["n_parameters"].to_numpy().astype(float)
    if len(sizes) < MINIMUM_POINTS:
        raise InputError(
            f"A slope on model size needs at least {MINIMUM_POINTS} models; {len(sizes)} "
            f"{'was' if len(sizes) == 1 else 'were'} given "
            f"({', '.join(map(str, scores['model'].to_numpy()))})."
        )
    if np.ptp(sizes) == 0:
        raise InputError(
            f"A slope on model size needs models of several sizes; all have {sizes[0]:g} "
            "parameters."
        )
    return np.log10(sizes)


def slopes(
    folds: xr.DataArray,
    resample: Resample = "both",
    method: Method = "jackknife",
    n_boot: int = 1000,
    rng: np.random.Generator | None = None,
    clusters: Sequence[str] | None = None,
    level: float = 0.95,
) -> xr.Dataset:
    """Slopes on log10 parameters with intervals over models, runs (and listeners), or both.

    Parameters
    ----------
    folds
        From `fold_table` or `table_as_folds`: dims (model, fold, ...), maybe (listener); other
        dims, such as region and side, stay.
    resample
        "models", "runs" (and listeners, where there are any), or "both".
    method
        "jackknife": the slope ± t standard errors, whose square is the sum over models, runs and
        listeners of the jackknife's variance, that over runs enlarged for the training runs that
        folds share; degrees of freedom after Satterthwaite. "bootstrap": percentile interval over
        samples in which models, runs and listeners are drawn independently of each other.
    n_boot, rng
        Samples of the bootstrap, and where they come from.
    clusters
        Label of every model: whole families are left out, or drawn, instead of single models.
    level
        Of the intervals.

    Returns
    -------
    xarray.Dataset
        `slope`, `low`, `high` per decade; with the jackknife also `error`, `freedom` and the
        two-sided `p` of a slope of zero.

    Raises
    ------
    InputError
        As `model_slopes`; for another choice; and for runs to be resampled where there are fewer
        than three.
    """
    if resample not in ("both", "models", "runs") or method not in ("jackknife", "bootstrap"):
        raise InputError(
            f"resample is {resample!r} and method {method!r}; 'both', 'models' or 'runs' and "
            "'jackknife' or 'bootstrap' are expected."
        )
    repeats = [dim for dim in REPEATS if dim in folds.dims] if resample != "models" else []
    if repeats and folds.sizes["fold"] < MINIMUM_POINTS:
        raise InputError(
            f"Runs can be resampled where there are at least {MINIMUM_POINTS}; "
            f"{folds.sizes['fold']} was given (resample='models' takes them as they are)."
        )
    over_models = resample != "runs"
    if method == "jackknife":
        return _jackknife(folds, over_models, repeats, clusters, level)
    return _bootstrap(folds, over_models, repeats, n_boot, rng, clusters, level)


def _means(values: xr.DataArray, apart: str | None = None) -> xr.DataArray:
    """Mean over folds and listeners, except for one of them."""
    return values.mean([dim for dim in REPEATS if dim in values.dims and dim != apart])


def variance_over_models(folds: xr.DataArray, clusters: Sequence[str]) -> xr.DataArray:
    """Jackknife's variance of the slope, the mean over folds and listeners, over models.

    Parameters
    ----------
    folds
        As for `slopes`.
    clusters
        Label of every model; all models with one label are left out together.

    Raises
    ------
    InputError
        As `model_slopes`, and for fewer than three labels.
    """
    names, labels = np.unique(clusters, return_inverse=True)
    n = len(names)
    if n < MINIMUM_POINTS:
        raise InputError(
            f"Families can be resampled where there are at least {MINIMUM_POINTS}; "
            f"{n} {'was' if n == 1 else 'were'} given."
        )
    without = slope_coefficients(log_sizes(folds), np.arange(n)[:, None] != labels)
    return (n - 1) ** 2 / n * _means(model_slopes(folds, without)).var("sample", ddof=1)


def _jackknife(
    folds: xr.DataArray,
    over_models: bool,
    repeats: Sequence[str],
    clusters: Sequence[str] | None,
    level: float,
) -> xr.Dataset:
    from scipy import stats

    by_repeat = model_slopes(folds)
    slope = _means(by_repeat)
    parts = []
    if over_models:
        labels = folds["model"].to_numpy() if clusters is None else clusters
        parts.append((variance_over_models(folds, labels), len(set(labels)) - 1))
    for dim in repeats:
        n = folds.sizes[dim]
        # Two folds share all but two of their training runs; listeners share nothing.
        shared = 1 / (n - 1) if dim == "fold" else 0
        parts.append((_means(by_repeat, dim).var(dim, ddof=1) * (1 / n + shared), n - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / n for part, n in parts)
    error = np.sqrt(variance)
    half = stats.t.ppf((1 + level) / 2, freedom) * error
    p = xr.zeros_like(slope) + 2 * stats.t.sf(np.abs(slope / error), freedom)
    return xr.Dataset(
        {
            "slope": slope,
            "low": slope - half,
            "high": slope + half,
            "error": error,
            "freedom": freedom,
            "p": p,
        }
    )


def _bootstrap(
    folds: xr.DataArray,
    over_models: bool,
    repeats: Sequence[str],
    n_boot: int,
    rng: np.random.Generator | None,
    clusters: Sequence[str] | None,
    level: float,
) -> xr.Dataset:
    rng = np.random.default_rng(0) if rng is None else rng
    coefficients = None
    if over_models:
        counts = draw_counts(folds.sizes["model"], n_boot, rng, clusters)
        coefficients = slope_coefficients(log_sizes(folds), counts)
    drawn = model_slopes(folds, coefficients)
    for dim in repeats:
        counts = draw_counts(folds.sizes[dim], n_boot, rng) / folds.sizes[dim]
        weights = xr.DataArray(counts, dims=("sample", dim))
        drawn = drawn.drop_vars(dim, errors="ignore").dot(weights, dim=dim)
    drawn = _means(drawn).transpose("sample", ...)
    slope = _means(model_slopes(folds))
    low, high = percentile_interval(drawn.to_numpy(), level)
    return xr.Dataset({"slope": slope, "low": slope.copy(data=low), "high": slope.copy(data=high)})


def draw_counts(
    n: int, n_boot: int, rng: np.random.Generator, clusters: Sequence[str] | None = None
) -> np.ndarray:
    """How often each of n points is in each bootstrap sample; shape (n_boot, n).

    Parameters
    ----------
    n, n_boot, rng, clusters
        As for `statistics.bootstrap_indices`.
    """
    samples = bootstrap_indices(n, n_boot, rng, clusters)
    return np.array([np.bincount(sample, minlength=n) for sample in samples])
