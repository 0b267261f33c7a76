"""Distances and kernels beside definitions written out, and without difference or relation."""

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import squareform

from brainalign.concepts.similarity import (
    correlation_distances,
    crossnobis,
    debiased_cka,
    repeat_residuals,
)
from brainalign.errors import InputError


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_correlation_distances():
    patterns = normal(6, 9)
    expected = squareform(1 - np.corrcoef(patterns), checks=False)
    np.testing.assert_allclose(correlation_distances(patterns), expected, atol=1e-12)


@pytest.mark.parametrize("n_folds", [2, 3])
def test_crossnobis_is_the_mean_over_pairs_of_folds(n_folds):
    from sklearn.covariance import ledoit_wolf

    folds, residuals = normal(n_folds, 5, 7), normal(40, 7, seed=1) @ normal(7, 7, seed=2)
    for noise in (None, residuals):
        precision = np.eye(7) if noise is None else np.linalg.inv(ledoit_wolf(noise)[0])
        expected = [
            np.mean([(x[i] - x[j]) @ precision @ (y[i] - y[j]) for x, y in permutations(folds, 2)])
            / 7
            for i, j in combinations(range(5), 2)
        ]
        np.testing.assert_allclose(crossnobis(folds, noise), expected)


def test_means_of_voxels_and_scale_of_noise_cancel():
    folds, residuals = normal(2, 5, 7), normal(400, 7, seed=1)
    moved = folds + 3 * normal(2, 1, 7, seed=3)
    np.testing.assert_allclose(crossnobis(moved, residuals), crossnobis(folds, residuals))
    np.testing.assert_allclose(crossnobis(5 * folds, 5 * residuals), crossnobis(folds, residuals))


def correlated_noise(*shape):
    mixing = sqrtm(0.5 ** np.abs(np.subtract.outer(np.arange(12), np.arange(12)))).real
    return np.random.default_rng(0).standard_normal((*shape, 12)) @ mixing


def mean_distances(folds, residuals):
    pairs = zip(folds, residuals, strict=True)
    return np.array([crossnobis(x, repeat_residuals(noise)).mean() for x, noise in pairs])


def test_concepts_that_do_not_differ_have_no_distance():
    repeats = correlated_noise(80, 3, 2, 30)
    paradigms = mean_distances(repeats.mean(axis=2), repeats)
    other = mean_distances(repeats[:, 0], repeats[:, 1:])
    for found in (paradigms, other):
        assert abs(found.mean()) < 3 * found.std() / np.sqrt(80)
    # Weights from the noise of the folds themselves make distances out of nothing.
    own = mean_distances(repeats[:, 0], repeats[:, :1])
    assert own.mean() > 20 * own.std() / np.sqrt(80) / 2
    # So does a single set of responses.
    assert correlation_distances(repeats[0, 0, 0]).mean() > 0.9


def test_noise_makes_correlation_distances_larger_but_not_crossnobis():
    truth, noise = normal(20, 50), np.random.default_rng(1).standard_normal((2, 20, 50))
    few, many = truth + 0.1 * noise, truth + 1.0 * noise
    grown = correlation_distances(many.mean(axis=0)) - correlation_distances(truth)
    assert abs(crossnobis(many).mean() / crossnobis(few).mean() - 1) < 0.1
    near = correlation_distances(truth) < 0.9
    assert grown[near].mean() > 0.03


def test_residuals_are_what_repeats_differ_by():
    repeats = normal(3, 2, 6, 4) + 5 * normal(3, 2, 1, 4, seed=1)
    found = repeat_residuals(repeats).reshape(repeats.shape)
    np.testing.assert_allclose(found.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=2), 0, atol=1e-12)
    difference = repeats[:, 0] - repeats[:, 1]
    expected = (difference - difference.mean(axis=1, keepdims=True)) / 2
    np.testing.assert_allclose(found[:, 0], expected)


def unbiased_hsic(k, m):
    """Song et al. (2012), equation 5."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + middle - 2 / (n - 2) * one @ k @ m @ one) / (n * (n - 3))


def test_debiased_cka():
    x, y = normal(9, 4), normal(9, 30, seed=1)
    y[:, :4] += x
    k, m = x @ x.T, y @ y.T
    expected = unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))
    assert debiased_cka(x, y) == pytest.approx(expected)
    assert debiased_cka(x, y) == pytest.approx(debiased_cka(3 * x + 1, y[:, ::-1] - 2))
    assert debiased_cka(x, x) == pytest.approx(1)


def test_unrelated_representations_have_no_similarity_however_wide():
    found = [debiased_cka(normal(30, 300, seed=s), normal(30, 300, seed=s + 99)) for s in range(99)]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(99)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: correlation_distances(np.zeros((3, 5))), "at least 4 rows"),
        (lambda: correlation_distances(np.ones((5, 5))), "concept 1 is the same in all 5"),
        (lambda: crossnobis(normal(1, 5, 5)), "There is 1 fold"),
        (lambda: crossnobis(normal(5, 5)), r"\(fold, concept, voxel\)"),
        (lambda: crossnobis(normal(2, 5, 5), normal(9, 4)), "Residuals have 4 voxels; 5"),
        (lambda: crossnobis(np.full((2, 5, 5), np.nan)), "50 values of the patterns are missing"),
        (lambda: debiased_cka(normal(5, 2), normal(6, 2)), "5 and 6 concepts"),
    ],
)
def test_input_that_does_not_fit(call, message):
    with pytest.raises(InputError, match=message):
        call()
