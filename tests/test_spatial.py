"""Maps as smooth as a map: exact properties, and false alarms on smooth random maps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from brainalign.errors import InputError
from brainalign.spatial import map_correlation, spatial_weights, surrogates


def places(n: int = 60, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform([-60, -100, -40], [-5, 60, 70], size=(n, 3))


def smooth_map(xyz: np.ndarray, rng: np.random.Generator, length: float = 30.0) -> np.ndarray:
    covariance = np.exp(-cdist(xyz, xyz) / length) + 1e-9 * np.eye(len(xyz))
    return np.linalg.cholesky(covariance) @ rng.standard_normal(len(xyz))


def moran(values: np.ndarray, weights: np.ndarray) -> float:
    """Moran's I, by its definition."""
    rest = values - values.mean()
    return len(rest) / weights.sum() * (rest @ weights @ rest) / (rest @ rest)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_surrogates_keep_mean_variance_and_autocorrelation(seed, mirrored):
    rng = np.random.default_rng(seed)
    xyz = places(30, seed)
    values, weights = smooth_map(xyz, rng) + 3, spatial_weights(xyz, mirrored)
    for one in surrogates(values, weights, 5, rng):
        assert one.mean() == pytest.approx(values.mean())
        assert one.std() == pytest.approx(values.std())
        assert moran(one, weights) == pytest.approx(moran(values, weights), abs=1e-9)


def test_weights_fall_with_distance_and_fold_over_the_midline():
    xyz = np.array([[-30.0, 0, 0], [-20, 0, 0], [30, 0, 0], [-30, 40, 0]])
    plain, mirrored = spatial_weights(xyz), spatial_weights(xyz, mirrored=True)
    assert plain[0, 1] == pytest.approx(1 / 10) and plain[0, 2] == pytest.approx(1 / 60)
    assert mirrored[0, 2] == mirrored[0, 1] == pytest.approx(1 / 10)
    assert (np.diag(mirrored) == 0).all()
    np.testing.assert_array_equal(mirrored, mirrored.T)


def test_smooth_maps_that_are_unrelated_are_rarely_called_alike():
    rng = np.random.default_rng(1)
    xyz = places(100)
    tests = [
        map_correlation(smooth_map(xyz, rng), smooth_map(xyz, rng), xyz, 99, rng)
        for _ in range(100)
    ]
    assert np.mean([test.p_independent < 0.05 for test in tests]) > 0.15
    assert np.mean([test.p < 0.05 for test in tests]) <= 0.12


def test_maps_that_are_alike_are_found():
    rng = np.random.default_rng(2)
    xyz = places(100)
    first = smooth_map(xyz, rng)
    found = map_correlation(first, first + 0.3 * smooth_map(xyz, rng), xyz, 199, rng)
    assert found.n == 100 and found.r > 0.8 and found.p < 0.02
    assert found.r == pytest.approx(np.corrcoef(first, first)[0, 1], abs=0.2)


def test_places_with_one_centre_are_neighbours():
    weights = spatial_weights(np.vstack([places(5), places(5)[:1]]))
    assert np.isfinite(weights).all() and weights[0, 5] == weights.max()


@pytest.mark.parametrize(
    ("first", "second", "xyz", "words"),
    [
        (np.arange(5.0), np.arange(6.0), places(5), "shapes"),
        (np.ones(5), np.arange(5.0), places(5), "vary"),
        (np.arange(3.0), np.arange(3.0), places(3), "from 4 to"),
        (np.arange(5.0), np.arange(5.0), np.full((5, 3), np.nan), "0 of 5 places"),
    ],
)
def test_bad_maps_are_refused(first, second, xyz, words):
    with pytest.raises(InputError, match=words):
        map_correlation(first, second, xyz, 10, np.random.default_rng(0))
