"""Could a score be chance? Predictions against responses whose blocks of scans change places."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from brainalign.activations import extract
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings, load_responses, study_regressors
from brainalign.study import Study

BLOCK = 10
# Voxels that are solved at once: each takes a matrix of scans × scans.
_BATCH = 64


def held_out_predictions(
    study: Study, model: str, settings: EncodingSettings, scores: xr.Dataset, layers: np.ndarray
) -> list[np.ndarray]:
    """What a model predicts in every fold from the others, at given layers and the stored alphas.

    Parameters
    ----------
    study, model, settings
        What the scores were made of.
    scores
        The model's, from `encoding.encode`.
    layers
        Shape (fold, voxel), from `layer_choice.chosen_layers`.

    Returns
    -------
    list of numpy.ndarray
        One per fold, (n_scans, n_voxels); their correlations with the responses are the scores.

    Raises
    ------
    InputError
        For settings with nuisance features, which have two penalties.
    """
    if settings.nuisance:
        raise InputError("Predictions with nuisance features are not kept; nuisance must be off.")
    arrays = extract(study, model, settings.activations)
    layers = np.asarray(layers)
    regressors = {
        layer: study_regressors(study, [np.asarray(a[:, layer]) for a in arrays], settings)
        for layer in np.unique(layers)
    }
    responses = load_responses(study, settings.subject)
    alpha = scores["alpha"].broadcast_like(scores["r_fold"]).transpose("fold", "layer", "voxel")
    return [
        _fold_predictions(fold, regressors, responses, layers[fold], alpha.to_numpy()[fold])
        for fold in range(len(responses))
    ]


def _fold_predictions(
    fold: int,
    regressors: dict[int, list[np.ndarray]],
    responses: list[np.ndarray],
    layers: np.ndarray,
    alpha: np.ndarray,
) -> np.ndarray:
    """Predictions of one fold; voxels with the same layer are fitted together."""
    from himalaya.backend import get_backend
    from himalaya.ridge import solve_ridge_svd

    backend = get_backend()
    training = [other for other in range(len(responses)) if other != fold]
    Y = np.concatenate([responses[other] for other in training], dtype=np.float64)
    predicted = np.empty_like(responses[fold])
    for layer in np.unique(layers):
        voxels = np.flatnonzero(layers == layer)
        X = np.concatenate([regressors[layer][other] for other in training], dtype=np.float64)
        # With X = QR, R and QᵀY have the same solution, and the solver little left to decompose.
        Q, R = np.linalg.qr(X)
        known = (backend.asarray(values) for values in (R, Q.T @ Y[:, voxels]))
        penalties = backend.asarray(alpha[layer, voxels].astype(np.float64))
        weights = solve_ridge_svd(*known, penalties, n_targets_batch=_BATCH, warn=False)
        predicted[:, voxels] = regressors[layer][fold] @ backend.to_numpy(weights)
    return predicted


def block_permutation(
    predicted: Sequence[np.ndarray],
    measured: Sequence[np.ndarray],
    n_permutations: int,
    rng: np.random.Generator,
    block: int = BLOCK,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of fixed predictions when blocks of scans of the responses change places.

    Whole blocks move, within their fold, so that the slowness of responses, which makes chance
    correlations large, is kept. All voxels are permuted alike, so that means over voxels can be
    tested too. The last scans of a fold, which fill no block, are left out.

    Parameters
    ----------
    predicted, measured
        One array (n_scans, n_voxels) per fold.
    n_permutations
        Number of permutations.
    rng
        Seeded generator.
    block
        Scans in a block.

    Returns
    -------
    observed : numpy.ndarray
        Shape (voxel,): mean over folds of the Pearson correlations in whole blocks.
    null : numpy.ndarray
        Shape (n_permutations, voxel): the same with permuted blocks.

    Raises
    ------
    InputError
        For a fold with fewer than two blocks.
    """
    observed, null = 0.0, 0.0
    for number, (x, y) in enumerate(zip(predicted, measured, strict=True), 1):
        n_blocks = len(y) // block
        if n_blocks < 2:
            raise InputError(
                f"Fold {number} has {len(y)} scans; at least {2 * block}, two blocks of {block}, "
                "are expected."
            )
        products = _block_products(x, y, n_blocks, block)
        own = np.arange(n_blocks)
        observed = observed + products[own, own].sum(axis=0)
        orders = rng.permuted(np.tile(own, (n_permutations, 1)), axis=1)
        null = null + _sum_products(products, orders)
    return observed / len(measured), null / len(measured)


def _block_products(x: np.ndarray, y: np.ndarray, n_blocks: int, block: int) -> np.ndarray:
    """Part that every pair of blocks would add to the correlation, (block, block, voxel).

    Moving blocks changes neither a fold's mean nor its norm, so that the correlation is a sum of
    such parts.
    """

    def blocks(values: np.ndarray) -> np.ndarray:
        kept = np.asarray(values[: n_blocks * block], dtype=np.float64)
        kept = kept - kept.mean(axis=0)
        norm = np.linalg.norm(kept, axis=0)
        # A constant prediction correlates with nothing: 0, as in the scores.
        return (kept / np.where(norm > 0, norm, np.inf)).reshape(n_blocks, block, -1)

    return np.einsum("isv,jsv->ijv", blocks(x), blocks(y))


def _sum_products(products: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Sum over blocks i of products[i, order[i]] for every order, (order, voxel)."""
    from scipy.sparse import csr_array

    n_orders, n_blocks = orders.shape
    columns = (np.arange(n_blocks) * n_blocks + orders).ravel()
    starts = np.arange(n_orders + 1) * n_blocks
    chosen = csr_array((np.ones(columns.size), columns, starts), (n_orders, n_blocks**2))
    return chosen @ products.reshape(n_blocks**2, -1)


def p_values(observed: np.ndarray, null: np.ndarray) -> np.ndarray:
    """One-sided p of observed scores: (1 + chance ones as high) / (1 + chance ones).

    Parameters
    ----------
    observed
        Shape (...).
    null
        Scores of permutations or of shifts, shape (permutation or shift, ...).

    Returns
    -------
    numpy.ndarray
        Shape (...), never 0.
    """
    # The identity among the permutations differs from the observed score by rounding only.
    as_high = (null >= np.asarray(observed) - 1e-9).sum(axis=0)
    return (1 + as_high) / (1 + len(null))
