"""Linear readouts of scan features, and the scalars whose gradients say what they listen to.

A head is the ridge regression of one fold. Every scalar of its predictions becomes a cotangent: the
derivative with respect to the features, which `gradients.gradient_times_input` carries back to the
words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from brainalign.ridge import ALPHAS, leave_one_run_out
from brainalign.study import standardise


@dataclass(frozen=True)
class Head:
    """Readout of one run, fitted to the others.

    Attributes
    ----------
    weights : numpy.ndarray
        Shape (feature, voxel): predictions per unit of the unstandardised features.
    mean : numpy.ndarray
        Shape (feature,): that of the features in the run.
    alpha : float
        Penalty of the standardised features.
    """

    weights: np.ndarray
    mean: np.ndarray
    alpha: float = np.nan

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predictions, (scan, voxel), in units of standardised responses."""
        return (features - self.mean) @ self.weights


def fit_heads(
    features: Sequence[np.ndarray],
    responses: Sequence[np.ndarray],
    alphas: Sequence[float] = ALPHAS,
) -> tuple[list[Head], np.ndarray]:
    """Ridge regressions that leave one run out, each with the alpha that its other runs choose.

    Parameters
    ----------
    features
        One array (n_scans, n_features) per run, from `reading.scan_features`.
    responses
        One array (n_scans, n_voxels) per run.
    alphas
        Penalties to choose from.

    Returns
    -------
    heads : list of Head
        One per run, for that run.
    r : numpy.ndarray
        Shape (run, voxel): correlation in the run that was left out.

    Raises
    ------
    InputError
        As `ridge.leave_one_run_out`.
    """
    found = leave_one_run_out(features, responses, alphas=alphas)
    heads = [
        fit_head(features, responses, run, float(alpha)) for run, alpha in enumerate(found.alpha)
    ]
    return heads, found.r


def fit_head(
    features: Sequence[np.ndarray],
    responses: Sequence[np.ndarray],
    run: int,
    alpha: float,
    scans: np.ndarray | None = None,
) -> Head:
    """Readout of one run with a given penalty.

    Parameters
    ----------
    features, responses
        As for `fit_heads`.
    run
        The run that is left out.
    alpha
        Penalty.
    scans
        Training scans to take, by their place among all training scans; a bootstrap sample, say.
    """
    from sklearn.linear_model import Ridge

    others = [number for number in range(len(features)) if number != run]
    x = np.vstack([standardise(features[number]) for number in others])
    y = np.vstack([standardise(responses[number]) for number in others])
    if scans is not None:
        x, y = x[scans], y[scans]
    fitted = Ridge(alpha=alpha, fit_intercept=False, solver="cholesky").fit(x, y)
    here = np.asarray(features[run], dtype=np.float64)
    scale = here.std(0)
    # A feature that is constant in a run says nothing there.
    inverse = np.divide(1, scale, out=np.zeros_like(scale), where=scale > 1e-6 * scale.max())
    return Head(fitted.coef_.reshape(y.shape[1], -1).T * inverse[:, None], here.mean(0), alpha)


def squared_error_cotangents(head: Head, features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Derivative of the mean squared error over voxels (Proietti et al. 2025: the scalar `mse`).

    Parameters
    ----------
    head
        Of the run.
    features, responses
        Shape (scan, feature) and (scan, voxel), of the run; responses are standardised here.

    Returns
    -------
    numpy.ndarray
        Shape (scan, feature).
    """
    error = head.predict(features) - standardise(responses)
    return 2 / error.shape[1] * error @ head.weights.T


def alignment_cotangents(head: Head, features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """Derivative of every scan's part of the Pearson correlation, mean over voxels (`align`).

    The scalar of scan t is the mean over voxels of z(y) (prediction - m) / (K s), with K scans and
    the prediction's mean m and standard deviation s in the run; over all scans it sums to r.

    Parameters
    ----------
    head, features, responses
        As for `squared_error_cotangents`.

    Returns
    -------
    numpy.ndarray
        Shape (scan, feature).
    """
    return _alignment_weights(head, features, responses) @ head.weights.T


def alignment_scalars(head: Head, features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    """The scalars that `alignment_cotangents` are the derivatives of, (scan,); their sum is r."""
    predicted = head.predict(features)
    weights = _alignment_weights(head, features, responses)
    return (weights * (predicted - predicted.mean(0))).sum(1)


def _alignment_weights(head: Head, features: np.ndarray, responses: np.ndarray) -> np.ndarray:
    z = standardise(responses)
    spread = head.predict(features).std(0)
    used = spread > 0
    weights = np.divide(z, spread, out=np.zeros(z.shape), where=used)
    return weights / z.size


def voxel_basis(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Few cotangents whose attributions, mixed, are exactly those of all voxels (`pred_all`).

    With weights = U S Vᵀ, attributions are linear in the cotangent: those of the voxels are
    (V S) times those of the columns of U.

    Parameters
    ----------
    weights
        Shape (feature, voxel), of a readout.

    Returns
    -------
    cotangents : numpy.ndarray
        Shape (component, 1, feature).
    mixing : numpy.ndarray
        Shape (voxel, component).
    """
    left, sizes, right = np.linalg.svd(weights, full_matrices=False)
    keep = sizes > sizes[0] * np.finfo(np.float32).eps if len(sizes) else sizes > 0
    return left.T[keep, None], right.T[:, keep] * sizes[keep]
