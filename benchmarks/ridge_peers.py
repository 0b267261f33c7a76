"""The same nested ridge regression by others: himalaya, scikit-learn, the authors' script.

Each function fits one outer fold or a part of it, which `bench_ridge` multiplies, and says in
which time. All of them get standardised runs.
"""

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from brainalign.ridge import ALPHAS

Runs = list[np.ndarray]
HIMALAYA = ("RidgeCV", "KernelRidgeCV")


def splits(lengths: list[int], validation: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scans to fit and scans to score, for each inner validation run of some training runs."""
    everything = np.arange(sum(lengths))
    parts = [everything[start:stop] for start, stop in pairwise(np.cumsum([0, *lengths]))]
    held = parts if validation == "all" else parts[:1]
    return [(np.setdiff1d(everything, part), part) for part in held]


def _training(X: Runs, Y: Runs, fold: int) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Regressors and responses of all runs but one, and the lengths of these runs."""
    kept = [run for run in range(len(X)) if run != fold]
    x, y = (np.vstack([values[run] for run in kept]) for values in (X, Y))
    return x, y, [len(X[run]) for run in kept]


def himalaya_fold(
    name: str,
    X: Runs,
    Y: Runs,
    fold: int,
    validation: str,
    per_voxel: bool,
    alphas=ALPHAS,
    device: str = "cpu",
) -> np.ndarray:
    """Scores (voxel,) of one fold by a class of himalaya, its cross-validation included."""
    import himalaya.kernel_ridge
    import himalaya.ridge
    from himalaya.backend import set_backend
    from himalaya.scoring import correlation_score

    backend = set_backend("torch_cuda" if device == "cuda" else "torch")
    x, y, lengths = _training(X, Y, fold)
    params = {"local_alpha": per_voxel, "score_func": correlation_score}
    options = {"alphas": alphas, "solver_params": params, "cv": splits(lengths, validation)}
    if name == "RidgeCV":
        model = himalaya.ridge.RidgeCV(**options)
    else:
        model = himalaya.kernel_ridge.KernelRidgeCV(**options, warn=False)
    model.fit(x, y)
    predicted, measured = model.predict(X[fold]), backend.asarray(Y[fold])
    return backend.to_numpy(correlation_score(measured, backend.asarray(predicted)))


def himalaya_scores(X: Runs, Y: Runs, fold: int, alpha: np.ndarray | float) -> np.ndarray:
    """Scores (voxel,) of one fold in double precision, at given alphas."""
    from himalaya.backend import set_backend
    from himalaya.ridge import Ridge

    set_backend("torch")
    # Standardised again, since rounding to single precision has moved their means.
    X, Y = ([_standardised(run.astype(np.float64)) for run in values] for values in (X, Y))
    x, y, _ = _training(X, Y, fold)
    # KernelRidge with an alpha per voxel is exact to 1e-5 only.
    predicted = Ridge(alpha=alpha).fit(x, y).predict(X[fold])
    return np.einsum("sv,sv->v", _standardised(np.asarray(predicted)), Y[fold]) / len(X[fold])


def _standardised(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(0)) / values.std(0)


def sklearn_parts(X: Runs, Y: Runs, n_alphas: int = 2) -> dict[str, float]:
    """Seconds that scikit-learn takes for its grid search per alpha and run, and for a refit.

    `GridSearchCV` over `Ridge` with one alpha for all voxels, scored by the mean correlation.
    """
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GridSearchCV

    x, y, lengths = _training(X, Y, 0)

    def search() -> None:
        grid = {"alpha": ALPHAS[:n_alphas]}
        model = Ridge(fit_intercept=False)
        cv = splits(lengths, "first")
        GridSearchCV(model, grid, scoring=_mean_correlation, cv=cv, refit=False).fit(x, y)

    def refit() -> None:
        _mean_correlation(Ridge(fit_intercept=False).fit(x, y), X[0], Y[0])

    return {"search": _seconds(search) / n_alphas, "refit": _seconds(refit)}


def _mean_correlation(model, x: np.ndarray, y: np.ndarray) -> float:
    predicted = _standardised(model.predict(x))
    return float(np.einsum("sv,sv->v", predicted, y).mean() / len(y))


def authors_parts(X: Runs, Y: Runs, n_voxels: int) -> dict[str, float]:
    """Seconds of one pass of the authors' loop: one fold, one alpha.

    Bonnasse-Gahot & Pallier (2024), `fit_average_subject.py`: `Ridge` in double precision fitted
    to the runs that are left, then `numpy.corrcoef` voxel by voxel, here for `n_voxels` of them.
    """
    from sklearn.linear_model import Ridge

    training = [slice(2, None), slice(1, 2)]
    (x, held), (y, measured) = (
        [np.vstack(values[part]).astype(np.float64) for part in training] for values in (X, Y)
    )
    predicted = None

    def fit() -> None:
        nonlocal predicted
        predicted = Ridge(alpha=ALPHAS[8], fit_intercept=False).fit(x, y).predict(held)

    def correlate() -> None:
        for voxel in range(n_voxels):
            np.corrcoef(measured[:, voxel], predicted[:, voxel])[0, 1]

    return {"fit": _seconds(fit), "correlate": _seconds(correlate) / n_voxels}


def _seconds(function: Callable[[], None]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start
