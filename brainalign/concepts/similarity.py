"""Do a model and a brain region find the same concepts alike? Distances and kernels.

Correlation distances of one set of responses (Ryskina et al. 2025) grow with noise. Here distances
can come from independent repeats instead, so that noise cancels (crossnobis; Walther et al. 2016).
`rsa` compares those of models and brains.
"""

import numpy as np

from brainalign.errors import InputError

MINIMUM_CONCEPTS = 4


def correlation_distances(patterns: np.ndarray) -> np.ndarray:
    """One minus the correlation of the patterns of any two concepts (Ryskina et al., section 6).

    Parameters
    ----------
    patterns
        Shape (concept, voxel or unit).

    Returns
    -------
    numpy.ndarray
        Shape (pair,), pairs in the order of `scipy.spatial.distance.squareform`.

    Raises
    ------
    InputError
        For fewer than four concepts, values that are not finite and constant patterns.
    """
    from scipy.spatial.distance import pdist

    patterns = _checked(patterns, 2, "(concept, voxel)")
    if (constant := np.ptp(patterns, axis=1) == 0).any():
        raise InputError(
            f"The pattern of concept {constant.argmax() + 1} is the same in all "
            f"{patterns.shape[1]} voxels; a correlation distance needs patterns that vary."
        )
    return pdist(patterns, "correlation")


def crossnobis(folds: np.ndarray, residuals: np.ndarray | None = None) -> np.ndarray:
    """Cross-validated squared Mahalanobis distances between concepts (Walther et al. 2016).

    Zero on average for concepts that do not differ, and below zero by chance.

    Parameters
    ----------
    folds
        Shape (fold, concept, voxel): independent measurements of the same concepts. Halves give the
        geometry within a paradigm; paradigms as folds give what they have in common. The mean of
        every voxel in every fold cancels.
    residuals
        Noise, shape (observation, voxel), from `repeat_residuals`; voxels are weighted by the
        inverse of its covariance, shrunk after Ledoit & Wolf. None takes all voxels alike. It must
        not come from the repeats that are the folds: where they happen to differ little, weights
        would be large, and distances too. Residuals of the other paradigms suit, or any where
        folds are means over repeats, such as paradigms.

    Returns
    -------
    numpy.ndarray
        Shape (pair,), per voxel: mean over pairs of folds of the product of the same difference in
        both.

    Raises
    ------
    InputError
        For another shape, fewer than two folds or four concepts, and values that are not finite.
    """
    folds = _checked(folds, 3, "(fold, concept, voxel)")
    if len(folds) < 2:
        raise InputError("There is 1 fold; at least 2 are expected, whose noise is independent.")
    if residuals is not None:
        folds = folds @ _whitening(residuals, folds.shape[2])
    total = folds.sum(axis=0)
    # Products of two different folds: those of the sums without those of each with itself.
    products = total @ total.T - np.einsum("fiv,fjv->ij", folds, folds, optimize=True)
    own = np.diag(products)
    first, second = np.triu_indices(len(own), k=1)
    squared = own[first] + own[second] - 2 * products[first, second]
    return squared / (len(folds) * (len(folds) - 1) * folds.shape[2])


def _whitening(residuals: np.ndarray, n_voxels: int) -> np.ndarray:
    """Matrix W with W Wᵀ the inverse of the shrunk covariance of residuals."""
    from sklearn.covariance import LedoitWolf

    residuals = _checked(residuals, 2, "(observation, voxel)")
    if residuals.shape[1] != n_voxels:
        raise InputError(f"Residuals have {residuals.shape[1]} voxels; {n_voxels} are expected.")
    covariance = LedoitWolf(store_precision=False).fit(residuals).covariance_
    return np.linalg.inv(np.linalg.cholesky(covariance)).T


def repeat_residuals(repeats: np.ndarray) -> np.ndarray:
    """What repeats of a concept in a paradigm differ by.

    Parameters
    ----------
    repeats
        Shape (paradigm, repeat, concept, voxel).

    Returns
    -------
    numpy.ndarray
        Shape (paradigm × repeat × concept, voxel).
    """
    repeats = np.asarray(repeats)
    centred = repeats - repeats.mean(axis=2, keepdims=True)
    return (centred - centred.mean(axis=1, keepdims=True)).reshape(-1, repeats.shape[-1])


def debiased_cka(first: np.ndarray, second: np.ndarray) -> float:
    """Centred kernel alignment with linear kernels, without the bias of few concepts.

    Centred products of the same concept with itself are left out (Song et al. 2012, equation 5),
    so that unrelated representations have zero on average, however many units they have.

    Parameters
    ----------
    first, second
        Shape (concept, unit or voxel), the same concepts.

    Returns
    -------
    float
        At most 1.

    Raises
    ------
    InputError
        For different numbers of concepts, fewer than four, and values that are not finite.
    """
    kernels = [_checked(values, 2, "(concept, unit)") for values in (first, second)]
    if len(kernels[0]) != len(kernels[1]):
        raise InputError(
            f"The representations have {len(kernels[0])} and {len(kernels[1])} concepts; the same "
            "ones are expected."
        )
    a, b = (_u_centred(values @ values.T) for values in kernels)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def _u_centred(kernel: np.ndarray) -> np.ndarray:
    """Kernel without diagonal whose rows sum to zero (Székely & Rizzo 2014, definition 2)."""
    n = len(kernel)
    kernel = kernel - np.diag(np.diag(kernel))
    rows = kernel.sum(axis=0) / (n - 2)
    centred = kernel - rows - rows[:, None] + kernel.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0)
    return centred


def _checked(values: np.ndarray, n_dims: int, shape: str) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != n_dims or values.shape[-2] < MINIMUM_CONCEPTS or not values.shape[-1]:
        raise InputError(
            f"Patterns have shape {values.shape}; {shape} with at least {MINIMUM_CONCEPTS} "
            "rows is expected."
        )
    if not np.isfinite(values).all():
        raise InputError(f"{int((~np.isfinite(values)).sum())} values of the patterns are missing.")
    return values
