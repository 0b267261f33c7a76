"""Nested leave-one-run-out ridge regression.

Every run is scored by a model that was fitted to the other runs, with a penalty alpha that was
chosen by scoring those others in the same way. `factorisations` says how the fits share their work.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np

from brainalign.errors import InputError
from brainalign.factorisations import (
    Products,
    Split,
    Worker,
    correlations,
    make_split,
    reduce_runs,
    worker,
)
from brainalign.study import standardise

if TYPE_CHECKING:
    from torch import Tensor

ALPHAS = np.logspace(2, 7, 16)
# Penalty of the first band divided by that of the second one.
RATIOS = (0.01, 0.1, 1.0, 10.0, 100.0)
Validation = Literal["all", "first"]


@dataclass(frozen=True)
class RidgeResult:
    """Scores of a nested leave-one-run-out ridge regression.

    Attributes
    ----------
    r : numpy.ndarray
        Pearson correlation in the run that was left out, (fold, voxel), float32. NaN where the
        voxel is constant in that run; 0 where the prediction is constant.
    alpha : numpy.ndarray
        Chosen penalties, (fold,) or (fold, voxel); NaN for voxels without an inner score.
    r_inner : numpy.ndarray
        Mean correlation in the inner validation runs at the chosen alpha, (fold, voxel), float32.
        Runs in which the voxel is constant do not count; NaN where no run is left.
    alphas : numpy.ndarray
        The grid, as given.
    """

    r: np.ndarray
    alpha: np.ndarray
    r_inner: np.ndarray
    alphas: np.ndarray

    @property
    def at_edge(self) -> float:
        """Fraction of the chosen alphas at an end of the grid, where a better one may lie beyond.

        0 for a grid of one alpha, which leaves nothing to choose.
        """
        chosen = self.alpha[np.isfinite(self.alpha)]
        if len(self.alphas) == 1 or not chosen.size:
            return 0.0
        return float(np.isin(chosen, [self.alphas.min(), self.alphas.max()]).mean())


def leave_one_run_out(
    X: Sequence[np.ndarray],
    Y: Sequence[np.ndarray],
    alphas: Sequence[float] = ALPHAS,
    per_voxel_alpha: bool = False,
    validation: Validation = "all",
    device: str = "cpu",
    block: int | None = None,
    scale: np.ndarray | None = None,
) -> RidgeResult:
    """Score every run with a ridge regression fitted to the other runs.

    Parameters
    ----------
    X
        Regressors, one array (n_scans, n_regressors) per run. Standardised per run here.
    Y
        Responses, one array (n_scans, n_voxels) per run. Standardised per run here.
    alphas
        Penalties to choose from.
    per_voxel_alpha
        False chooses, in each fold, the one alpha with the highest inner score averaged over
        voxels; True the best alpha of every voxel.
    validation
        Inner validation runs of a fold: "all" its training runs in turn, or the "first" of them
        only (Bonnasse-Gahot & Pallier 2024, code).
    device
        "cpu" or "cuda": himalaya's backend torch or torch_cuda.
    block
        Voxels handled at once; by default as many as suit the device.
    scale
        Factors (n_regressors,) of the standardised regressors. They set the relative penalties of
        bands of regressors: a factor s divides a regressor's penalty by s².

    Returns
    -------
    RidgeResult
        Folds are in the order of the runs.

    Raises
    ------
    InputError
        For fewer than three runs, shapes that do not fit together, values that are not finite,
        alphas that are not positive, an unknown validation or device.
    """
    X, Y = [np.asarray(x) for x in X], [np.asarray(y) for y in Y]
    _check_shapes(X, Y)
    alphas = _positive(alphas, "alphas")
    _check_finite(X, "regressors", "column")
    _check_finite(Y, "responses", "voxel")
    inner_runs = validation_runs(len(X), validation)
    X = [standardise(x) * _factors(scale, x.shape[1]) for x in X]
    with worker(device, block) as work:
        products = reduce_runs(work, X, Y)
        sums, counts = _inner_scores(work, products, alphas, inner_runs)
        choice, r_inner = _choose_alpha(sums, counts, per_voxel_alpha)
        del sums
        r = _outer_scores(work, products, alphas, choice)
        r, r_inner, choice = (work.backend.to_numpy(values) for values in (r, r_inner, choice))
    alpha = alphas[choice]
    if per_voxel_alpha:
        alpha[np.isnan(r_inner)] = np.nan
    return RidgeResult(r, alpha if per_voxel_alpha else alpha[:, 0], r_inner, alphas)


def banded_leave_one_run_out(
    bands: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    Y: Sequence[np.ndarray],
    ratios: Sequence[float] = RATIOS,
    **options,
) -> tuple[RidgeResult, np.ndarray]:
    """Ridge regression with two bands of regressors, each with its own penalty.

    The same model and the same choice as himalaya's `GroupRidgeCV` with the band weights
    (1, ratio) / (1 + ratio), of which every voxel takes those with the best inner score, but with
    the shortcuts of `leave_one_run_out`.

    Parameters
    ----------
    bands
        Two lists of regressors, each as in `leave_one_run_out`.
    Y
        Responses, as in `leave_one_run_out`.
    ratios
        Penalties of the first band divided by those of the second one.
    **options
        Others of `leave_one_run_out`.

    Returns
    -------
    result : RidgeResult
        `alpha` has the shape (fold, voxel).
    ratio : numpy.ndarray
        Chosen ratios, (fold, voxel).

    Raises
    ------
    InputError
        As `leave_one_run_out`, and for ratios that are not positive.
    """
    ratios = _positive(ratios, "ratios")
    first, second = bands
    joint = [np.hstack(pair) for pair in zip(first, second, strict=True)]
    widths = [np.shape(first[0])[1], np.shape(second[0])[1]]
    results = []
    for ratio in ratios:
        weights = np.repeat(np.array([1, ratio]) / (1 + ratio), widths)
        results.append(leave_one_run_out(joint, Y, scale=np.sqrt(weights), **options))
    best = np.argmax([np.nan_to_num(result.r_inner, nan=-np.inf) for result in results], axis=0)

    def chosen(name: str) -> np.ndarray:
        values = [getattr(result, name) for result in results]
        values = [v if v.ndim == 2 else np.repeat(v[:, None], best.shape[1], 1) for v in values]
        return np.take_along_axis(np.stack(values), best[None], axis=0)[0]

    result = RidgeResult(chosen("r"), chosen("alpha"), chosen("r_inner"), results[0].alphas)
    return result, ratios[best]


def validation_runs(n_runs: int, validation: Validation = "all") -> list[tuple[int, ...]]:
    """Inner validation runs of every fold.

    Parameters
    ----------
    n_runs
        Number of runs.
    validation
        "all" training runs, or the "first" of them.

    Returns
    -------
    list of tuple of int
        One tuple per fold.

    Raises
    ------
    InputError
        For another `validation`.
    """
    if validation not in ("all", "first"):
        raise InputError(f"validation is {validation!r}; 'all' or 'first' is expected.")
    training = [tuple(run for run in range(n_runs) if run != fold) for fold in range(n_runs)]
    return training if validation == "all" else [runs[:1] for runs in training]


def _inner_scores(
    work: Worker, products: Products, alphas: np.ndarray, inner_runs: list[tuple[int, ...]]
) -> "tuple[Tensor, Tensor]":
    """Sums of validation scores (fold, alpha, voxel), and number of runs summed (fold, voxel)."""
    n_runs, n_voxels = products.valid.shape
    sums = work.zeros(n_runs, len(alphas), n_voxels)
    counts = work.zeros(n_runs, n_voxels)

    def served(pair: tuple[int, int]) -> tuple[int, ...]:
        """Runs of a pair that validate the fold of the other one."""
        return tuple(run for run in pair if run in inner_runs[sum(pair) - run])

    def add(split: Split, block: slice) -> None:
        r = correlations(products, split, block)
        for run in served(split.left_out):
            sums[sum(split.left_out) - run, :, block] += r[split.scored.index(run)]

    def make(pair: tuple[int, int]) -> Split:
        return make_split(work, products, alphas, pair, served(pair))

    pairs = filter(served, combinations(range(n_runs), 2))
    for split in work.one_ahead(make, pairs):
        work.over_blocks(add, split, n_voxels)
        for run in served(split.left_out):
            counts[sum(split.left_out) - run] += products.valid[run]
    return sums, counts


def _choose_alpha(sums: "Tensor", counts: "Tensor", per_voxel: bool) -> "tuple[Tensor, Tensor]":
    """Index of the best alpha, (fold, voxel) or (fold, 1), and the mean inner scores there."""
    # 0 / 0 is NaN: a voxel that is constant in all validation runs.
    means = sums / counts[:, None]
    criterion = means if per_voxel else means.double().nanmean(-1, keepdim=True)
    choice = criterion.nan_to_num(nan=-2).argmax(1)
    index = choice[:, None].expand(-1, 1, means.shape[-1])
    return choice, means.gather(1, index)[:, 0]


def _outer_scores(
    work: Worker, products: Products, alphas: np.ndarray, choice: "Tensor"
) -> "Tensor":
    """Correlations in the run of each fold at the chosen alphas, (fold, voxel)."""
    n_runs, n_voxels = products.valid.shape
    r = work.zeros(n_runs, n_voxels)
    used = [chosen.unique(return_inverse=True) for chosen in choice]

    def make(fold: int) -> Split:
        chosen = alphas[work.backend.to_numpy(used[fold][0])]
        return make_split(work, products, chosen, (fold,))

    def fill(split: Split, block: slice) -> None:
        fold = split.left_out[0]
        place = used[fold][1].expand(n_voxels)[None, block]
        r[fold, block] = correlations(products, split, block)[0].gather(0, place)[0]

    for split in work.one_ahead(make, range(n_runs)):
        work.over_blocks(fill, split, n_voxels)
    return r.masked_fill(~products.valid, float("nan"))


def _check_shapes(X: list[np.ndarray], Y: list[np.ndarray]) -> None:
    if len(X) != len(Y):
        raise InputError(
            f"There are regressors of {len(X)} runs and responses of {len(Y)}; "
            "the same number is expected."
        )
    if len(X) < 3:
        raise InputError(
            f"There are {len(X)} runs; at least 3 are expected, one to score, one to choose alpha "
            "and one to fit."
        )
    for run, (x, y) in enumerate(zip(X, Y, strict=True), 1):
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or 0 in x.shape + y.shape:
            raise InputError(
                f"Run {run} has regressors of shape {x.shape} and responses of shape {y.shape}; "
                "(scans, columns) and (scans, voxels) with the same number of scans are expected."
            )
        if (x.shape[1], y.shape[1]) != (X[0].shape[1], Y[0].shape[1]):
            raise InputError(
                f"Run {run} has {x.shape[1]} regressors and {y.shape[1]} voxels; "
                f"{X[0].shape[1]} and {Y[0].shape[1]} as in run 1 are expected."
            )


def _positive(values: Sequence[float], name: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values) or not np.all((values > 0) & np.isfinite(values)):
        raise InputError(f"{name} is {values.tolist()}; a list of positive numbers is expected.")
    return values


def _factors(scale: np.ndarray | None, n_regressors: int) -> np.ndarray:
    factors = np.ones(n_regressors) if scale is None else np.asarray(scale)
    if factors.shape != (n_regressors,):
        raise InputError(f"scale has shape {factors.shape}; ({n_regressors},) is expected.")
    return factors.astype(np.float32)


def _check_finite(runs: list[np.ndarray], name: str, column_name: str) -> None:
    for run, values in enumerate(runs, 1):
        bad = ~np.isfinite(values)
        if bad.any():
            scan, column = np.argwhere(bad)[0]
            raise InputError(
                f"The {name} of run {run} hold {values[scan, column]} in {column_name} {column} at "
                f"scan {scan}; finite numbers are expected."
            )
