"""Where are voxels consistent? Voxels of a participant, maps over participants, regions."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np

from brainalign.concepts.permutations import PermutationTest
from brainalign.errors import InputError
from brainalign.statistics import corrected

Rule = Literal["fdr", "published"]
LEVEL = 0.05


def significant_voxels(
    tests: Sequence[PermutationTest], rule: Rule = "fdr", level: float = LEVEL
) -> np.ndarray:
    """Voxels of one participant that are consistent beyond chance.

    Parameters
    ----------
    tests
        One test of all trials, or one of each half.
    rule
        "fdr": p against the pooled permutations, corrected for the number of voxels (Benjamini &
        Hochberg); "published": the voxel's own p below the level, uncorrected (Ryskina et al. 2025,
        section 2.2). Of several tests all must find the voxel: the paper has two halves.
    level
        Below which a p counts.

    Returns
    -------
    numpy.ndarray of bool
        Shape (voxel,); False where a voxel has no consistency.

    Raises
    ------
    InputError
        For another rule, no test, and tests of different voxels.
    """
    if rule not in get_args(Rule):
        raise InputError(f"rule is {rule!r}; 'fdr' or 'published' is expected.")
    sizes = {len(test.observed) for test in tests}
    if len(sizes) != 1:
        raise InputError(
            f"There are {len(tests)} tests, of {sorted(sizes)} voxels; at least one, all of the "
            "same voxels, is expected."
        )
    found = [test.p if rule == "published" else _corrected(test.p_pooled) for test in tests]
    return np.all([p < level for p in found], axis=0)


def _corrected(p: np.ndarray) -> np.ndarray:
    valid = np.isfinite(p)
    out = np.full(len(p), np.nan)
    out[valid] = corrected(p[valid], "fdr")
    return out


def probability_map(significant: np.ndarray, covered: np.ndarray | None = None) -> np.ndarray:
    """Part of the participants in whom a voxel is consistent.

    Parameters
    ----------
    significant
        Shape (participant, voxel), bool.
    covered
        Shape (participant, voxel), bool: whether the voxel was measured. The part is one of the
        participants that have it; None takes all of them, as published, so that voxels at the
        edge of the images come out low.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,); NaN where nobody was measured.

    Raises
    ------
    InputError
        For arrays of different shapes.
    """
    significant = np.asarray(significant, dtype=bool)
    covered = np.ones_like(significant) if covered is None else np.asarray(covered, dtype=bool)
    if significant.ndim != 2 or covered.shape != significant.shape:
        raise InputError(
            f"significant has shape {significant.shape} and covered {covered.shape}; the same "
            "(participant, voxel) is expected."
        )
    n = covered.sum(axis=0)
    return (significant & covered).sum(axis=0) / np.where(n > 0, n, np.nan)


def binomial_p(counts: np.ndarray, n_participants: int, rate: float) -> np.ndarray:
    """Chance of at least that many participants, where each is significant with a given rate.

    Parameters
    ----------
    counts
        Participants in whom a voxel is consistent, shape (voxel,).
    n_participants
        Number of participants.
    rate
        Of false positives in one participant: 0.05² for two independent halves. The mean of
        counts / participants is the cautious choice, as if no voxel were truly consistent.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,).
    """
    from scipy import stats

    return stats.binom.sf(np.asarray(counts) - 1, n_participants, rate)


def derive_regions(
    values: np.ndarray, ijk: np.ndarray, threshold: float, minimum_voxels: int
) -> np.ndarray:
    """Connected regions of a map above a threshold.

    The published regions were chosen by eye among the parcels of an atlas; these follow from the
    map alone, so that they can be found without the participant who is then tested in them.

    Parameters
    ----------
    values
        Shape (voxel,); NaN is below any threshold.
    ijk
        Place of every voxel on the grid, shape (voxel, 3), integers.
    threshold
        Lowest value in a region.
    minimum_voxels
        Smaller regions are dropped.

    Returns
    -------
    numpy.ndarray of int
        Shape (voxel,): 1 for the largest region, 2 for the next; 0 outside. Voxels that share a
        face, an edge or a corner belong together.

    Raises
    ------
    InputError
        For another number of places than values.
    """
    from scipy import ndimage

    values, ijk = np.asarray(values), np.asarray(ijk)
    if ijk.shape != (len(values), 3):
        raise InputError(f"ijk has shape {ijk.shape}; ({len(values)}, 3) is expected.")
    places = tuple((ijk - ijk.min(axis=0)).astype(int).T)
    grid = np.zeros([place.max() + 1 for place in places], dtype=bool)
    grid[places] = values >= threshold
    labels, n = ndimage.label(grid, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    order = np.argsort(-sizes, kind="stable")
    rank = np.zeros(n + 1, dtype=int)
    rank[1 + order] = np.where(sizes[order] >= minimum_voxels, np.arange(1, n + 1), 0)
    return rank[labels[places]]


def regions_without_each(
    significant: np.ndarray,
    ijk: np.ndarray,
    threshold: float,
    minimum_voxels: int,
    covered: np.ndarray | None = None,
) -> np.ndarray:
    """Regions for every participant, from the map of all the others.

    Parameters
    ----------
    significant, covered
        As in `probability_map`, of at least two participants.
    ijk, threshold, minimum_voxels
        As in `derive_regions`.

    Returns
    -------
    numpy.ndarray of int
        Shape (participant, voxel). Regions of different participants are ranked by size, each on
        its own, so that a number need not stand for the same place.

    Raises
    ------
    InputError
        As `probability_map` and `derive_regions`, and for a single participant.
    """
    n = len(significant)
    if n < 2:
        raise InputError(f"There is {n} participant; at least 2 are expected, to leave one out.")
    found = []
    for left_out in range(n):
        others = np.arange(n) != left_out
        measured = None if covered is None else covered[others]
        values = probability_map(significant[others], measured)
        found.append(derive_regions(values, ijk, threshold, minimum_voxels))
    return np.stack(found)
