"""Are consistent voxels predicted better, whatever their selectivity for language and their noise?

The published answer bins voxels by consistency and by selectivity, and correlates scores with one
bin where the other is held fixed. But noise lowers consistency and scores alike, so that voxels
that differ in nothing but noise give the same pattern, and a reliability that is itself noisy does
not remove it. The default relation is that of consistency in excess of reliability
(`consistency.excess_consistency`) from some stimuli of every concept with scores from the others
(`consistency.stimulus_parts`), which share no noise.
"""

from dataclasses import dataclass

import numpy as np

from brainalign.errors import InputError
from brainalign.statistics import MINIMUM_POINTS, partial_correlation, pearson

N_BINS = 4


@dataclass(frozen=True)
class Relation:
    """Correlation over voxels, and what it is on average over participants.

    Attributes
    ----------
    r : numpy.ndarray
        Shape (participant,).
    mean, low, high : float
        Mean over participants and its 95 % interval (t, of Fisher's z).
    p : float
        Two-sided, of a mean of zero.
    """

    r: np.ndarray
    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class PublishedRelation:
    """Correlation of scores with bins, the other bin held fixed.

    Attributes
    ----------
    consistency, selectivity : numpy.ndarray
        Correlation with the bin of consistency in every bin of selectivity, and the reverse, shape
        (bin,): over participants × bins, as if these were independent. The paper prints their
        means.
    """

    consistency: np.ndarray
    selectivity: np.ndarray


def quartile_bins(values: np.ndarray) -> np.ndarray:
    """Quartile of every voxel, 0 to 3 (Ryskina et al. 2025, section 5).

    Parameters
    ----------
    values
        Shape (voxel,): those of one participant and region.

    Returns
    -------
    numpy.ndarray of int
        Number of the quantiles .25, .5 and .75 (linear interpolation) that are not above the
        value; −1 where it is missing.

    Raises
    ------
    InputError
        For fewer finite values than bins.
    """
    values = np.asarray(values, dtype=float)
    finite = np.isfinite(values)
    if finite.sum() < N_BINS:
        raise InputError(
            f"{int(finite.sum())} of {values.size} voxels have a value; at least {N_BINS} are "
            "expected, one in each quartile."
        )
    edges = np.quantile(values[finite], np.arange(1, N_BINS) / N_BINS)
    return np.where(finite, np.searchsorted(edges, values, side="right"), -1)


def quartile_cells(consistency: np.ndarray, selectivity: np.ndarray) -> np.ndarray:
    """Cell of every voxel: its quartile of consistency and of selectivity.

    Parameters
    ----------
    consistency, selectivity
        Shape (voxel,): of one participant and region. Quartiles are those of the voxels that have
        both.

    Returns
    -------
    numpy.ndarray of int
        4 × quartile of consistency + quartile of selectivity; −1 where one is missing.

    Raises
    ------
    InputError
        As `quartile_bins`, and for different numbers of voxels.
    """
    consistency, selectivity = np.array(consistency, float), np.array(selectivity, float)
    if consistency.shape != selectivity.shape:
        raise InputError(
            f"consistency has shape {consistency.shape} and selectivity {selectivity.shape}; the "
            "same voxels are expected."
        )
    missing = ~(np.isfinite(consistency) & np.isfinite(selectivity))
    consistency[missing] = np.nan
    selectivity[missing] = np.nan
    cells = N_BINS * quartile_bins(consistency) + quartile_bins(selectivity)
    return np.where(missing, -1, cells)


def cell_means(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Mean over the voxels of every cell: of responses, as published, or of scores.

    Parameters
    ----------
    values
        Shape (..., voxel); missing values do not count.
    cells
        From `quartile_cells`.

    Returns
    -------
    numpy.ndarray
        Shape (..., 4, 4): quartile of consistency, quartile of selectivity. NaN for an empty cell.
    """
    values = np.asarray(values, dtype=float)
    members = np.asarray(cells)[:, None] == np.arange(N_BINS**2)
    known = np.isfinite(values)
    total, n = np.where(known, values, 0) @ members, known.astype(float) @ members
    means = total / np.where(n > 0, n, np.nan)
    return means.reshape(*values.shape[:-1], N_BINS, N_BINS)


def published_relation(scores: np.ndarray) -> PublishedRelation:
    """r_C and r_L of the paper's figure 4.

    Parameters
    ----------
    scores
        Shape (participant, 4, 4): score in each quartile of consistency and of selectivity. NaN,
        for empty cells, is left out.

    Returns
    -------
    PublishedRelation

    Raises
    ------
    InputError
        For another shape.
    """
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 3 or scores.shape[1:] != (N_BINS, N_BINS):
        raise InputError(f"Scores have shape {scores.shape}; (participant, 4, 4) is expected.")
    bins = np.broadcast_to(np.arange(N_BINS), scores.shape[:2])

    def over(values: np.ndarray) -> float:
        known = np.isfinite(values)
        return float(pearson(bins[known], values[known]))

    return PublishedRelation(
        np.array([over(scores[:, :, k]) for k in range(N_BINS)]),
        np.array([over(scores[:, k, :]) for k in range(N_BINS)]),
    )


def relation(first: np.ndarray, second: np.ndarray, *covariates: np.ndarray) -> Relation:
    """Correlation over voxels in every participant, what covariates explain removed.

    Parameters
    ----------
    first, second
        Shape (participant, voxel): excess consistency, say, and scores.
    *covariates
        Same shape: selectivity, and reliability. An excess consistency is unrelated to the true
        reliability, but not to the noise of an estimate from the same stimuli: the reliability of
        the stimuli that are scored suits.

    Returns
    -------
    Relation
        Over voxels with all values; a participant is the unit, as neighbouring voxels are not
        independent.

    Raises
    ------
    InputError
        For different shapes, fewer than three participants, and too few voxels.
    """
    arrays = [np.asarray(values, dtype=float) for values in (first, second, *covariates)]
    if arrays[0].ndim != 2 or any(values.shape != arrays[0].shape for values in arrays):
        raise InputError(
            f"The maps have shapes {[values.shape for values in arrays]}; the same (participant, "
            "voxel) is expected."
        )
    if len(arrays[0]) < MINIMUM_POINTS:
        raise InputError(
            f"{len(arrays[0])} participants were given; an interval over participants needs at "
            f"least {MINIMUM_POINTS}."
        )
    r = np.array([_partial(*maps) for maps in zip(*arrays, strict=True)])
    return over_participants(r)


def over_participants(r: np.ndarray) -> Relation:
    """Mean of correlations, shape (participant,), with its interval and p."""
    from scipy import stats

    test = stats.ttest_1samp(np.arctanh(r), 0)
    low, high = np.tanh(test.confidence_interval())
    mean = np.tanh(np.arctanh(r).mean())
    return Relation(r, float(mean), float(low), float(high), float(test.pvalue))


def _partial(first: np.ndarray, second: np.ndarray, *covariates: np.ndarray) -> float:
    known = np.all(np.isfinite([first, second, *covariates]), axis=0)
    removed = np.reshape(covariates, (len(covariates), known.size))[:, known].T
    return partial_correlation(first[known], second[known], removed)[0]
