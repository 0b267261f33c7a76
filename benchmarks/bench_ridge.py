"""Nested leave-one-run-out ridge: time and agreement against himalaya, in the same run.

    python benchmarks/bench_ridge.py                                  about a minute on two cores
    python benchmarks/bench_ridge.py --voxels 5000 --repeats 3
    python benchmarks/bench_ridge.py --alone --voxels 25870           no peers, absolute times

himalaya is asked fold by fold, as a user would: its cross-validation over the training runs, then
the prediction of the run that was left out. Times are the best of the repeats; what counts is the
ratio, since seconds depend on the machine and on what else it does.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from himalaya.backend import set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import GroupRidgeCV, RidgeCV
from himalaya.scoring import correlation_score

from brainalign.ridge import RATIOS, banded_leave_one_run_out, leave_one_run_out
from brainalign.study import standardise

ALPHAS = np.logspace(2, 7, 16)
N_NUISANCE = 3


@dataclass(frozen=True)
class Case:
    """One comparison; sizes are per run, voxels as a share of those asked for."""

    peer: type
    n_features: int
    n_runs: int
    n_scans: int
    share: float = 1.0
    per_voxel: bool = False


CASES = (
    Case(RidgeCV, 16, 9, 285),
    Case(RidgeCV, 128, 9, 285),
    Case(RidgeCV, 128, 9, 285, per_voxel=True),
    Case(KernelRidgeCV, 1024, 5, 150),
    Case(GroupRidgeCV, 64, 5, 150, share=0.5),
)


def simulate(case: Case, n_voxels: int, seed: int = 0) -> tuple[list, list]:
    """Slow regressors, as a haemodynamic response leaves them, and voxels that follow them."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(case.n_features, n_voxels)) / np.sqrt(case.n_features)
    X, Y = [], []
    for _ in range(case.n_runs):
        white = rng.normal(size=(case.n_scans + 5, case.n_features))
        x = standardise(sum(white[k : k + case.n_scans] for k in range(6)))
        X.append(x)
        Y.append(standardise(x @ weights + 3 * rng.normal(size=(case.n_scans, n_voxels))))
    return X, Y


def fit_ours(case: Case, X: list, Y: list) -> np.ndarray:
    """Scores (fold, voxel) by brainalign."""
    options = {"alphas": ALPHAS, "per_voxel_alpha": case.per_voxel}
    if case.peer is GroupRidgeCV:
        bands = [[x[:, :-N_NUISANCE] for x in X], [x[:, -N_NUISANCE:] for x in X]]
        return banded_leave_one_run_out(bands, Y, **options)[0].r
    return leave_one_run_out(X, Y, **options).r


def fit_peer(case: Case, X: list, Y: list) -> np.ndarray:
    """Scores (fold, voxel) by himalaya, fold by fold."""
    return np.stack([_peer_fold(case, X, Y, fold) for fold in range(case.n_runs)])


def _peer_fold(case: Case, X: list, Y: list, fold: int) -> np.ndarray:
    runs = [run for run in range(case.n_runs) if run != fold]
    ends = np.cumsum([0, *(len(X[run]) for run in runs)])
    everything = np.arange(ends[-1])
    held = [everything[start:stop] for start, stop in pairwise(ends)]
    splits = [(np.setdiff1d(everything, part), part) for part in held]
    params = {"local_alpha": case.per_voxel, "score_func": correlation_score}
    x, y = (np.vstack([values[run] for run in runs]) for values in (X, Y))
    if case.peer is GroupRidgeCV:
        weights = np.array([[1, ratio] for ratio in RATIOS], dtype=np.float32)
        weights /= weights.sum(1, keepdims=True)
        params |= {"n_iter": weights, "alphas": ALPHAS, "progress_bar": False, "warn": False}
        model = GroupRidgeCV("input", solver_params=params, cv=splits)
        predicted = model.fit(_bands(x), y).predict(_bands(X[fold]))
    else:
        model = case.peer(alphas=ALPHAS, solver_params=params, cv=splits)
        predicted = model.fit(x, y).predict(X[fold])
    predicted = torch.as_tensor(np.asarray(predicted))
    return np.asarray(correlation_score(torch.as_tensor(Y[fold]), predicted))


def _bands(x: np.ndarray) -> list[np.ndarray]:
    return [x[:, :-N_NUISANCE], x[:, -N_NUISANCE:]]


def best_time(function: Callable, repeats: int) -> tuple[float, np.ndarray]:
    """Shortest time of some calls in seconds, and the result."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        times.append(time.perf_counter() - start)
    return min(times), result


def compare(case: Case, n_voxels: int, repeats: int, alone: bool) -> dict[str, object]:
    """One row of the table."""
    n_voxels = max(int(n_voxels * case.share), 2)
    X, Y = simulate(case, n_voxels)
    seconds, ours = best_time(lambda: fit_ours(case, X, Y), repeats)
    row = {
        "peer": case.peer.__name__,
        "alpha": "per voxel" if case.per_voxel else "global",
        "features": case.n_features,
        "runs x scans": f"{case.n_runs} x {case.n_scans}",
        "voxels": n_voxels,
        "brainalign s": round(seconds, 2),
    }
    if alone:
        return row
    peer_seconds, peer = best_time(lambda: fit_peer(case, X, Y), 1)
    difference = np.abs(ours - peer)
    return row | {
        "himalaya s": round(peer_seconds, 2),
        "ratio": f"{seconds / peer_seconds:.3f}",
        "times faster": round(peer_seconds / seconds, 1),
        "median |dr|": f"{np.median(difference):.0e}",
        "max |dr|": f"{difference.max():.0e}",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=500)
    parser.add_argument("--features", type=int, help="only cases with so many features")
    parser.add_argument("--repeats", type=int, default=2, help="of brainalign; peers run once")
    parser.add_argument("--alone", action="store_true", help="brainalign without its peers")
    options = parser.parse_args()
    set_backend("torch")
    chosen = [case for case in CASES if options.features in (None, case.n_features)]
    if not chosen:
        parser.error(f"no case has {options.features} features")
    compare(Case(RidgeCV, 4, 3, 20), 10, 1, options.alone)
    rows = [compare(case, options.voxels, options.repeats, options.alone) for case in chosen]
    print(f"torch with {torch.get_num_threads()} threads, alphas logspace(2, 7, 16)\n")
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
