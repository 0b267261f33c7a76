"""Nested leave-one-run-out ridge regression.

Every run is scored by a model that was fitted to the other runs, with a penalty alpha that was
chosen by scoring those others in the same way. `eigenbasis` (few regressors) and `block_identities`
(many) say how the fits share their work, `search` how alpha is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from brainalign.errors import InputError
from brainalign.ridge.operations import Operations, of_block_identities, of_eigenbasis
from brainalign.ridge.search import Task, best, candidates, inner_requests, outer_requests
from brainalign.ridge.work import Regressors, Request, Responses, load_responses, worker
from brainalign.study import standardise

ALPHAS = np.logspace(2, 7, 16)
# Penalty of the first band divided by that of the second one.
RATIOS = (0.01, 0.1, 1.0, 10.0, 100.0)
Validation = Literal["all", "first"]
AlphaSearch = Literal["sample", "all"]


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
    Y: Sequence[np.ndarray] | Responses,
    alphas: Sequence[float] = ALPHAS,
    per_voxel_alpha: bool = False,
    validation: Validation = "all",
    device: str = "cpu",
    block: int | None = None,
    scale: np.ndarray | None = None,
    alpha_search: AlphaSearch = "sample",
) -> RidgeResult:
    """Score every run with a ridge regression fitted to the other runs.

    Parameters
    ----------
    X
        Regressors, one array (n_scans, n_regressors) per run. Standardised per run here.
    Y
        Responses, one array (n_scans, n_voxels) per run. Standardised per run here, or once for
        many regressions by `prepare_responses`.
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
    alpha_search
        How one alpha for all voxels is found. "sample" scores in all voxels only the alphas that
        a random sample of voxels leaves in question (`search.candidates`), with the same result
        but for a chance below one in a billion; "all" scores every alpha in every voxel. An alpha
        per voxel always takes "all".

    Returns
    -------
    RidgeResult
        Folds are in the order of the runs.

    Raises
    ------
    InputError
        For fewer than three runs, shapes that do not fit together, values that are not finite,
        alphas that are not positive, an unknown validation, search or device.
    """
    X = [np.asarray(x) for x in X]
    if not isinstance(Y, Responses):
        Y = [np.asarray(y) for y in Y]
    _check_shapes([x.shape for x in X], _shapes(Y))
    alphas = _positive(alphas, "alphas")
    if alpha_search not in get_args(AlphaSearch):
        raise InputError(f"alpha_search is {alpha_search!r}; 'sample' or 'all' is expected.")
    _check_finite(X, "regressors", "column")
    if not isinstance(Y, Responses):
        _check_finite(Y, "responses", "voxel")
    inner_runs = validation_runs(len(X), validation)
    x = np.vstack([standardise(values) * _factors(scale, values.shape[1]) for values in X])
    with worker(device, block) as work:
        regressors = Regressors(work.tensor(x, "float64"), tuple(map(len, X)))
        responses = Y if isinstance(Y, Responses) else load_responses(work, Y)
        everything = np.ones((len(X), len(alphas)), dtype=bool)
        task = Task(work, regressors, responses, alphas, inner_runs, everything)
        if alpha_search == "sample" and not per_voxel_alpha:
            task = task.only(candidates(task))
        choice, r_inner, r = (work.backend.to_numpy(v) for v in best(task, per_voxel_alpha))
    alpha = task.alphas[choice]
    if per_voxel_alpha:
        alpha[np.isnan(r_inner)] = np.nan
    return RidgeResult(r, alpha if per_voxel_alpha else alpha[:, 0], r_inner, alphas)


def prepare_responses(Y: Sequence[np.ndarray], device: str = "cpu") -> Responses:
    """Standardise responses once, for many regressions.

    Parameters
    ----------
    Y
        One array (n_scans, n_voxels) per run.
    device
        As in `leave_one_run_out`, to which they go.

    Returns
    -------
    Responses

    Raises
    ------
    InputError
        For shapes that do not fit together, values that are not finite and an unknown device.
    """
    Y = [np.asarray(y) for y in Y]
    _check_shapes(_shapes(Y), _shapes(Y))
    _check_finite(Y, "responses", "voxel")
    with worker(device) as work:
        return load_responses(work, Y)


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


def count_operations(
    lengths: Sequence[int],
    n_regressors: int,
    n_voxels: int,
    n_alphas: int = len(ALPHAS),
    validation: Validation = "all",
    shared: tuple[float, float] | None = None,
) -> Operations:
    """Arithmetic operations of `leave_one_run_out` with every alpha scored in every voxel.

    Parameters
    ----------
    lengths
        Scans of each run.
    n_regressors, n_voxels, n_alphas
        Numbers of them.
    validation
        As in `leave_one_run_out`.
    shared
        See `operations.of_eigenbasis`.

    Returns
    -------
    Operations
        Of the way that takes fewest.
    """
    every = np.ones((len(lengths), n_alphas), dtype=bool)
    inner = inner_requests(validation_runs(len(lengths), validation), every)
    about = (lengths, n_regressors, n_voxels)

    def least(requests: list[Request]) -> Operations:
        ways = (of_eigenbasis(*about, requests, shared), of_block_identities(*about, requests))
        return min(ways, key=lambda operations: operations.weight)

    apart = least(inner).plus(least(outer_requests(every[:, :1])))
    together = least(inner + outer_requests(every))
    return min(apart, together, key=lambda operations: operations.weight)


def _shapes(Y: list[np.ndarray] | Responses) -> list[tuple[int, ...]]:
    if isinstance(Y, Responses):
        return [(n_scans, Y.n_voxels) for n_scans in Y.lengths]
    return [y.shape for y in Y]


def _check_shapes(X: list[tuple[int, ...]], Y: list[tuple[int, ...]]) -> None:
    """Raise InputError for shapes of regressors and responses that do not fit together."""
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
        if len(x) != 2 or len(y) != 2 or x[0] != y[0] or 0 in x + y:
            raise InputError(
                f"Run {run} has regressors of shape {x} and responses of shape {y}; "
                "(scans, columns) and (scans, voxels) with the same number of scans are expected."
            )
        if (x[1], y[1]) != (X[0][1], Y[0][1]):
            raise InputError(
                f"Run {run} has {x[1]} regressors and {y[1]} voxels; "
                f"{X[0][1]} and {Y[0][1]} as in run 1 are expected."
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
