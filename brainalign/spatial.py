"""Are two maps of the brain alike? A null of maps that are as smooth, but unrelated.

Neighbouring places have like values in any map, so that two unrelated maps easily correlate, and a p
value that takes places for independent is too small. Moran spectral randomisation (Wagner & Dray
2015) turns a map into others of the same mean, variance and spatial autocorrelation. It needs
coordinates only, so that it suits voxels and parcels of a volume; it assumes that the
autocorrelation is the same everywhere and in all directions.
"""

from dataclasses import dataclass, field

import numpy as np

from brainalign.errors import InputError
from brainalign.statistics import pearson

# All eigenvectors of a matrix of that many rows are needed.
MOST_PLACES = 4000


@dataclass(frozen=True)
class MapCorrelation:
    """Correlation of two maps.

    Attributes
    ----------
    n : int
        Places.
    r : float
        Pearson correlation over places.
    p_independent : float
        Its two-sided p value as if places were independent.
    p : float
        Its two-sided p value against surrogate maps, never 0.
    null : numpy.ndarray
        Correlations of the surrogates, shape (n_null,).
    """

    n: int
    r: float
    p_independent: float
    p: float
    null: np.ndarray = field(repr=False)


def spatial_weights(xyz: np.ndarray, mirrored: bool = False) -> np.ndarray:
    """How near any two places are: one over their distance, 0 for a place and itself.

    Parameters
    ----------
    xyz
        Shape (place, 3), mm; x is negative on the left.
    mirrored
        Whether a place is also near the mirror image of its neighbours, as in maps in which both
        hemispheres look alike.

    Returns
    -------
    numpy.ndarray
        Shape (place, place), symmetric.

    Raises
    ------
    InputError
        For fewer than four places, more than `MOST_PLACES`, or missing coordinates.
    """
    from scipy.spatial.distance import cdist

    xyz = np.asarray(xyz, dtype=float)
    if not 4 <= len(xyz) <= MOST_PLACES or not np.isfinite(xyz).all():
        raise InputError(
            f"A spatial null needs from 4 to {MOST_PLACES} places with coordinates; "
            f"{int(np.isfinite(xyz).all(axis=-1).sum())} of {len(xyz)} places have them."
        )
    distance = cdist(xyz, xyz)
    nearest = distance[distance > 0].min()
    if mirrored:
        distance = np.minimum(distance, cdist(xyz, xyz * [-1, 1, 1]))
    # Places with one centre (a parcel around another, mirror images) count as nearest neighbours.
    distance = np.maximum(distance, nearest)
    np.fill_diagonal(distance, np.inf)
    return 1 / distance


def surrogates(
    values: np.ndarray, weights: np.ndarray, n_null: int, rng: np.random.Generator
) -> np.ndarray:
    """Maps with the mean, variance and Moran's I of a map, and otherwise unrelated to it.

    Parameters
    ----------
    values
        Shape (place,).
    weights
        From `spatial_weights`.
    n_null
        Number of surrogates.
    rng
        Seeded generator.

    Returns
    -------
    numpy.ndarray
        Shape (n_null, place): the map's parts along the eigenvectors of the centred weights, with
        random signs (the singleton procedure of Wagner & Dray 2015).
    """
    values = np.asarray(values, dtype=float)
    centred = weights - weights.mean(axis=0) - weights.mean(axis=1)[:, None] + weights.mean()
    vectors = np.linalg.eigh(centred)[1]
    parts = vectors.T @ (values - values.mean())
    signs = rng.choice([-1.0, 1.0], size=(n_null, len(values)))
    # The constant is one of the eigenvectors; its part is zero, whatever its sign.
    return values.mean() + (signs * parts) @ vectors.T


def map_correlation(
    first: np.ndarray,
    second: np.ndarray,
    xyz: np.ndarray,
    n_null: int,
    rng: np.random.Generator,
    mirrored: bool = False,
) -> MapCorrelation:
    """Correlation of two maps, against surrogates of the first.

    Parameters
    ----------
    first, second
        Shape (place,), finite.
    xyz, mirrored
        See `spatial_weights`. A map of left minus right has its places on one side only.
    n_null
        Number of surrogates.
    rng
        Seeded generator.

    Returns
    -------
    MapCorrelation

    Raises
    ------
    InputError
        As `spatial_weights`, and for maps of another length or that do not vary.
    """
    from scipy import stats

    first, second = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if first.shape != second.shape or first.shape != (len(xyz),):
        raise InputError(
            f"The maps have shapes {first.shape} and {second.shape}; one value for each of the "
            f"{len(xyz)} places is expected."
        )
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        raise InputError("A correlation of maps needs finite values that vary from place to place.")
    null = pearson(surrogates(first, spatial_weights(xyz, mirrored), n_null, rng), second)
    test = stats.pearsonr(first, second)
    p = (1 + (np.abs(null) >= abs(test.statistic)).sum()) / (1 + n_null)
    return MapCorrelation(len(first), float(test.statistic), float(test.pvalue), float(p), null)
