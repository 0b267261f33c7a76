"""How alike listeners respond in one run: correlations of standardised responses, by voxel."""

import numpy as np

from brainalign.parallel import map_threads

# Numbers in one block of voxels of the correlations between halves.
BLOCK_SIZE = 2**22


def isc(values: np.ndarray) -> np.ndarray:
    """Correlation of every listener with the mean of the others, (subject, voxel).

    For standardised listeners s with the sum t the others are t - s, so that two sums over scans,
    of t² and of s·t, are all that is needed.
    """
    n_scans = values.shape[1]
    total = values.sum(axis=0)
    squared_total = np.einsum("ij,ij->j", total, total, dtype=np.float64)
    correlations = []
    for listener in values:
        shared = np.einsum("ij,ij->j", listener, total, dtype=np.float64)
        own = np.einsum("ij,ij->j", listener, listener, dtype=np.float64)
        others = squared_total - 2 * shared + own
        # Others that cancel out up to rounding have no correlation.
        defined = (own > 0) & (others > 1e-6 * n_scans)
        bottom = np.sqrt(np.where(defined, own * others, np.nan))
        correlations.append((shared - own) / bottom)
    return np.stack(correlations)


def shifted_isc(values: np.ndarray, n_shifts: int, rng: np.random.Generator) -> np.ndarray:
    """Mean ISC of a run's listeners, each shifted on its own, (shift, voxel)."""
    moves = rng.integers(values.shape[1], size=(n_shifts, len(values)))

    def one(shifts: np.ndarray) -> np.ndarray:
        rolled = [np.roll(listener, k, axis=0) for listener, k in zip(values, shifts, strict=True)]
        found = isc(np.stack(rolled))
        with np.errstate(invalid="ignore"):
            return np.nansum(found, axis=0) / np.isfinite(found).sum(axis=0)

    return np.stack(list(map_threads(one, moves)))


def half_correlation(values: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Correlation between the halves' means in one run, mean over splits, (voxel,).

    The products of all pairs of listeners hold the variance of every half and their covariance.
    """
    n_subjects, _, n_voxels = values.shape
    first, second = np.zeros((2, len(splits), n_subjects))
    for number, (a, b) in enumerate(splits):
        first[number, a], second[number, b] = 1 / len(a), 1 / len(b)

    def block(start: int) -> np.ndarray:
        part = values[..., start : start + step].transpose(2, 0, 1).astype(np.float64)
        products = part @ part.transpose(0, 2, 1)
        left, right = first @ products, second @ products
        bottom = (left * first).sum(-1) * (right * second).sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((left * second).sum(-1) / np.sqrt(bottom)).mean(axis=1)

    step = max(1, BLOCK_SIZE // (n_subjects * max(len(splits), values.shape[1])))
    return np.concatenate(list(map_threads(block, range(0, n_voxels, step))))
