"""Can a language model predict responses to concepts that it was not fitted to?

Rows are stimuli: several show the same concept. The published folds are drawn from the rows, so that
other stimuli of a tested concept are fitted; here a concept is never in both (`grouped`). Layer and
pooling are chosen within the fitted concepts, and a paradigm can be predicted by a model that was
fitted to another one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from brainalign.errors import InputError

ALPHAS = tuple(10.0 ** np.arange(-1, 8))
# The penalties of the authors' code.
PUBLISHED_ALPHAS = tuple(10.0 ** np.arange(-30, 30))
PUBLISHED_FOLDS = 5


@dataclass(frozen=True)
class Stimuli:
    """What was shown in one paradigm, in a model and in the brain.

    Attributes
    ----------
    features : sequence of numpy.ndarray
        One array (row, unit) per configuration: layer and pooling.
    responses : numpy.ndarray
        Shape (row, target): voxels, or means over regions.
    concepts : numpy.ndarray
        Concept of every row.
    """

    features: Sequence[np.ndarray]
    responses: np.ndarray
    concepts: np.ndarray

    def __post_init__(self):
        n = len(self.concepts)
        shapes = [np.shape(values) for values in (*self.features, self.responses)]
        if len(shapes) < 2 or any(len(s) != 2 or s[0] != n or not s[1] for s in shapes):
            raise InputError(
                f"Features and responses have shapes {shapes}; at least one array of features and "
                f"one of responses, each with one row for each of {n} stimuli, are expected."
            )
        for values in (*self.features, self.responses):
            if not np.isfinite(values).all():
                raise InputError("Features or responses are missing; finite ones are expected.")


@dataclass(frozen=True)
class ConceptScores:
    """Scores of held-out concepts.

    Attributes
    ----------
    r : numpy.ndarray
        Correlation of predictions and responses over all held-out rows, each centred in its fold,
        shape (target,).
    r_fold : numpy.ndarray
        Within each fold, (fold, target).
    configuration : numpy.ndarray of int
        Chosen features, (fold, target).
    """

    r: np.ndarray
    r_fold: np.ndarray
    configuration: np.ndarray


def draw_folds(
    concepts: np.ndarray, n_folds: int, rng: np.random.Generator, grouped: bool = True
) -> np.ndarray:
    """Number of the fold that each row is tested in.

    Parameters
    ----------
    concepts
        Concept of every row.
    n_folds
        Number of folds.
    rng
        Seeded generator.
    grouped
        Whether all rows of a concept are in one fold; False draws rows, as published.

    Returns
    -------
    numpy.ndarray of int
        Shape (row,).

    Raises
    ------
    InputError
        For fewer than two folds, or more than there are concepts (rows).
    """
    names, codes = np.unique(concepts, return_inverse=True)
    units = codes if grouped else np.arange(len(codes))
    n_units = len(names) if grouped else len(codes)
    if not 2 <= n_folds <= n_units:
        raise InputError(f"n_folds is {n_folds}; from 2 to {n_units} folds are expected.")
    return rng.permutation(np.arange(n_units) % n_folds)[units]


def encode_concepts(
    train: Stimuli,
    rng: np.random.Generator,
    test: Stimuli | None = None,
    n_folds: int = 10,
    alphas: Sequence[float] = ALPHAS,
    grouped: bool = True,
) -> ConceptScores:
    """Predict responses to held-out concepts by nested ridge regression.

    In every fold the features (standardised as in training) and the penalty of each target are
    those with the highest mean correlation when the training folds are held out in turn, too.

    Parameters
    ----------
    train
        Paradigm that the model is fitted to.
    rng
        Seeded generator, for the folds.
    test
        Paradigm that is predicted, with the same configurations and targets; held-out concepts
        only. None predicts `train`.
    n_folds
        Number of folds, at least three.
    alphas
        Penalties to choose from.
    grouped
        Whether folds are of concepts. False, for one paradigm, draws rows: other stimuli of a
        tested concept are then fitted.

    Returns
    -------
    ConceptScores

    Raises
    ------
    InputError
        As `draw_folds`, and for fewer than three folds; for another number of configurations,
        units or targets in `test`, for concepts that lack in one of them, and for ungrouped folds
        of two paradigms.
    """
    if n_folds < 3:
        raise InputError(f"n_folds is {n_folds}; at least 3 are expected, one to choose with.")
    if test is not None:
        _check_alike(train, test, grouped)
    fold = draw_folds(train.concepts, n_folds, rng, grouped)
    other, tested = train, fold
    if test is not None:
        fold_of = dict(zip(train.concepts, fold, strict=True))
        other, tested = test, np.array([fold_of[name] for name in test.concepts])
    penalties = np.asarray(alphas, dtype=float)
    shape = n_folds, train.responses.shape[1]
    best, choice = np.full(shape, -np.inf), np.zeros(shape, dtype=int)
    products = np.zeros((n_folds, 3, shape[1]))
    for number, (X, X_other) in enumerate(zip(train.features, other.features, strict=True)):
        for k, scores in enumerate(_inner_scores(X, train.responses, fold, penalties)):
            better = scores.max(axis=0) > best[k]
            fit = _fit(X[fold != k], train.responses[fold != k][:, better])
            alpha = penalties[scores.argmax(axis=0)[better]]
            predicted = _predict(fit, _projected(fit, X_other[tested == k]), alpha)
            products[k][:, better] = _products(predicted, other.responses[tested == k][:, better])
            best[k, better], choice[k, better] = scores.max(axis=0)[better], number
    return ConceptScores(_correlation(products.sum(axis=0)), _correlation(products), choice)


def _inner_scores(X: np.ndarray, Y: np.ndarray, fold: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Mean correlation in the other folds, without a fold and with each penalty.

    Shape (fold, alpha, target). A fit without two folds serves both: one of them is left out, the
    other one scored.
    """
    n_folds = fold.max() + 1
    scores = np.zeros((n_folds, len(alphas), Y.shape[1]))
    for left_out, scored in combinations(range(n_folds), 2):
        rows = (fold != left_out) & (fold != scored)
        fit = _fit(X[rows], Y[rows])
        for without, within in ((left_out, scored), (scored, left_out)):
            projected, measured = _projected(fit, X[fold == within]), Y[fold == within]
            for number, alpha in enumerate(alphas):
                r = _correlation(_products(_predict(fit, projected, alpha), measured))
                scores[without, number] += np.nan_to_num(r) / (n_folds - 1)
    return scores


@dataclass(frozen=True)
class _Fit:
    """Ridge regressions of standardised features with any penalty, from one decomposition.

    Predictions are A diag(1 / (s + alpha)) B, with the eigenvalues s of XᵀX or XXᵀ, whichever is
    smaller. They lack the mean of the responses, which does not count here.
    """

    mean: np.ndarray
    scale: np.ndarray
    into: np.ndarray
    eigenvalues: np.ndarray
    B: np.ndarray


def _fit(X: np.ndarray, Y: np.ndarray) -> _Fit:
    mean, scale = X.mean(axis=0, dtype=np.float64), X.std(axis=0, dtype=np.float64)
    # Constant units are left out.
    scale = np.where(scale > 1e-6 * np.abs(X).max(axis=0), scale, np.inf)
    x, y = (X - mean) / scale, (Y - Y.mean(axis=0)).astype(np.float32)
    wide = x.shape[1] > len(x)
    eigenvalues, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    out = vectors if wide else x @ vectors
    into = x.T @ vectors if wide else vectors
    return _Fit(mean, scale, into, eigenvalues[:, None], out.T.astype(np.float32) @ y)


def _projected(fit: _Fit, X: np.ndarray) -> np.ndarray:
    return (((X - fit.mean) / fit.scale) @ fit.into).astype(np.float32)


def _predict(fit: _Fit, projected: np.ndarray, alpha: np.ndarray | float) -> np.ndarray:
    """Predictions, (row, target), with one penalty or one for each target."""
    return projected @ (fit.B / (fit.eigenvalues + alpha).astype(np.float32))


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums over rows of xy, xx and yy of deviations from the mean, (3, target).

    The mean of a training set leans against that of its test set, so that means must not count.
    """
    x, y = _deviations(x), _deviations(y)
    return np.stack([np.einsum("rt,rt->t", a, b) for a, b in ((x, y), (x, x), (y, y))])


def _deviations(values: np.ndarray) -> np.ndarray:
    # What is constant up to rounding would correlate by chance.
    constant = np.ptp(values, axis=0) <= 1e-9 * np.abs(values).max(axis=0)
    return np.where(constant, 0, values - values.mean(axis=0))


def _correlation(products: np.ndarray) -> np.ndarray:
    """Correlation from `_products`, (..., 3, target): NaN for constant responses, 0 predictions."""
    xy, xx, yy = np.moveaxis(products, -2, 0)
    r = xy / np.sqrt(np.where(xx > 0, xx, np.inf) * np.where(yy > 0, yy, 1))
    return np.where(yy > 0, r, np.nan)


def _check_alike(train: Stimuli, test: Stimuli, grouped: bool) -> None:
    """Raise InputError where one paradigm cannot be predicted from another."""
    widths = [
        ([values.shape[1] for values in part.features], part.responses.shape[1])
        for part in (train, test)
    ]
    if widths[0] != widths[1]:
        raise InputError(
            "The paradigms have different units of features or targets: (units, targets) are "
            f"{widths[0]} and {widths[1]}."
        )
    if lacking := set(np.unique(train.concepts)) ^ set(np.unique(test.concepts)):
        raise InputError(
            f"Concept {min(lacking)} is in one of the two paradigms only; the same "
            "concepts are expected."
        )
    if not grouped:
        raise InputError("Folds between two paradigms are of concepts; grouped must be True.")


def published_encoding(
    stimuli: Stimuli, chosen_by: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores as in the authors' code (Ryskina et al. 2025, section 4).

    Five shuffled folds of rows, so that most concepts are fitted and tested; ridge regression of
    features as they are, penalties by leaving single rows out; the configuration that scores best
    in the test folds.

    Parameters
    ----------
    stimuli
        Rows of one paradigm; targets are means over the voxels of a region.
    chosen_by
        Responses that choose the configuration, of the shape of `responses`: the mean over
        participants. None takes the same.

    Returns
    -------
    r : numpy.ndarray
        Mean over folds of the correlation, shape (target,).
    configuration : numpy.ndarray of int
        Shape (target,).
    """
    own = _published_scores(stimuli.features, stimuli.responses)
    choosing = own if chosen_by is None else _published_scores(stimuli.features, chosen_by)
    configuration = choosing.argmax(axis=0)
    return own[configuration, np.arange(own.shape[1])], configuration


def _published_scores(features: Sequence[np.ndarray], responses: np.ndarray) -> np.ndarray:
    """Mean correlation over folds, (configuration, target)."""
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import KFold

    folds = KFold(PUBLISHED_FOLDS, shuffle=True, random_state=0)
    scores = np.zeros((len(features), responses.shape[1]))
    for number, X in enumerate(features):
        for rows, held_out in folds.split(X):
            ridge = RidgeCV(alphas=PUBLISHED_ALPHAS, alpha_per_target=True)
            predicted = ridge.fit(X[rows], responses[rows]).predict(X[held_out])
            products = _products(predicted.reshape(len(held_out), -1), responses[held_out])
            scores[number] += _correlation(products) / PUBLISHED_FOLDS
    return scores
