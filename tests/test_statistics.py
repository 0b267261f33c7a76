"""Against scipy, statsmodels, numpy's lstsq, closed forms, and a plain-Python bootstrap."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from brainalign.errors import InputError
from brainalign.statistics import (
    bootstrap_indices,
    fit_line,
    jackknife_interval,
    partial_correlation,
    pearson,
    percentile_interval,
)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    x = rng.uniform(3, 6, 20)
    return x, 0.1 + 0.02 * x + 0.01 * rng.standard_normal(20)


def test_line_agrees_with_scipy(points):
    fit, expected = fit_line(*points), stats.linregress(*points)
    assert fit.n == 20
    assert fit.slope == pytest.approx(expected.slope)
    assert fit.intercept == pytest.approx(expected.intercept)
    assert fit.r == pytest.approx(expected.rvalue)
    assert fit.p == pytest.approx(expected.pvalue)
    assert np.isnan(fit.slope_interval).all()


def test_bootstrap_agrees_with_a_loop(points):
    x, y = points
    samples = bootstrap_indices(20, 200, np.random.default_rng(1))
    fit = fit_line(x, y, samples)
    loop = [stats.linregress(x[index], y[index]) for index in samples]
    np.testing.assert_allclose(fit.samples[:, 0], [line.slope for line in loop])
    np.testing.assert_allclose(fit.samples[:, 1], [line.intercept for line in loop])
    slopes = np.percentile([line.slope for line in loop], [2.5, 97.5])
    np.testing.assert_allclose(fit.slope_interval, slopes)
    correlations = np.percentile([line.rvalue for line in loop], [2.5, 97.5])
    np.testing.assert_allclose(fit.r_interval, correlations)


def test_bootstrap_interval_has_the_width_of_the_standard_error():
    rng = np.random.default_rng(2)
    x = np.linspace(0, 1, 200)
    y = 2 * x + rng.standard_normal(200)
    fit = fit_line(x, y, bootstrap_indices(200, 4000, rng))
    error = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC0").bse[1]
    assert np.ptp(fit.slope_interval) == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_same_seed_same_samples_other_seed_other_samples():
    draw = [bootstrap_indices(9, 50, np.random.default_rng(seed)) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert (draw[0] != draw[2]).any()


def test_groups_are_drawn_whole():
    groups = np.array(["a", "a", "b", "c", "c", "c"])
    for index in bootstrap_indices(6, 100, np.random.default_rng(0), groups):
        counts = np.bincount(index, minlength=6)
        for name in "abc":
            assert len(set(counts[groups == name])) == 1
        assert sum(counts[[0, 2, 3]]) == 3


def test_grouped_samples_give_the_same_fit_as_single_ones(points):
    x, y = points
    fit = fit_line(x, y, bootstrap_indices(20, 50, np.random.default_rng(0), np.arange(20) // 5))
    assert len(fit.samples) == 50
    assert fit.slope_interval[0] < fit.slope < fit.slope_interval[1]


def test_samples_at_a_single_x_are_left_out():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 2.0])
    samples = np.array([[0, 0, 0], [0, 1, 2], [2, 2, 2], [0, 1, 1]])
    fit = fit_line(x, y, samples)
    assert np.isnan(fit.samples[[0, 2]]).all()
    slopes = [stats.linregress(x[i], y[i]).slope for i in samples[[1, 3]]]
    np.testing.assert_allclose(fit.slope_interval, np.percentile(slopes, [2.5, 97.5]))


def test_band_holds_the_line_and_widens_at_the_ends(points):
    x, y = points
    fit = fit_line(x, y, bootstrap_indices(20, 1000, np.random.default_rng(0)))
    at = np.array([3.0, x.mean(), 6.0])
    low, high = fit.band(at)
    assert (low < fit.predict(at)).all() and (fit.predict(at) < high).all()
    width = high - low
    assert width[1] < width[0] and width[1] < width[2]


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        ([1, 2], [1, 2], "at least 3"),
        ([1, 1, 1], [1, 2, 3], "different x"),
        ([1, 2, np.nan], [1, 2, 3], "finite"),
        ([1, 2, 3], [1, 2], "one value each"),
    ],
)
def test_bad_points_are_refused(x, y, words):
    with pytest.raises(InputError, match=words):
        fit_line(np.array(x, float), np.array(y, float))


VALUES = arrays(float, 12, elements=st.floats(-100, 100, width=32))


@settings(max_examples=60, deadline=None)
@given(VALUES, VALUES, st.floats(0.1, 10), st.floats(-50, 50))
def test_pearson_properties(x, y, scale, shift):
    if np.std(x) < 1e-2 or np.std(y) < 1e-2:
        return
    r = pearson(x, y)
    assert -1 <= r <= 1
    assert r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-9)
    assert pearson(scale * x + shift, y) == pytest.approx(r, abs=1e-6)
    assert pearson(x, -y) == pytest.approx(-r, abs=1e-12)


def test_pearson_broadcasts():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((4, 1, 30)), rng.standard_normal((5, 30))
    assert pearson(x, y).shape == (4, 5)
    assert pearson(x, y)[2, 3] == pytest.approx(np.corrcoef(x[2, 0], y[3])[0, 1])


def test_partial_correlation_agrees_with_the_inverse_covariance():
    rng = np.random.default_rng(0)
    data = rng.standard_normal((40, 4)) @ rng.standard_normal((4, 4))
    precision = np.linalg.inv(np.cov(data, rowvar=False))
    expected = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    r, p = partial_correlation(data[:, 0], data[:, 1], data[:, 2:])
    assert r == pytest.approx(expected)
    regression = sm.OLS(data[:, 1], sm.add_constant(data[:, [0, 2, 3]])).fit()
    assert p == pytest.approx(regression.pvalues[1])


def test_partial_correlation_vanishes_when_a_third_variable_explains_all():
    rng = np.random.default_rng(0)
    cause = rng.standard_normal(500)
    x, y = cause + rng.standard_normal(500), cause + rng.standard_normal(500)
    assert pearson(x, y) > 0.4
    assert abs(partial_correlation(x, y, cause)[0]) < 0.15


def test_partial_correlation_needs_enough_points():
    with pytest.raises(InputError, match="at least 5 points"):
        partial_correlation(np.arange(4.0), np.array([1.0, 3, 2, 4]), np.ones((4, 2)))


def test_percentile_interval_of_a_known_distribution():
    samples = np.linspace(0, 1, 1001)[:, None] * [1, 10]
    low, high = percentile_interval(samples, 0.9)
    np.testing.assert_allclose(low, [0.05, 0.5])
    np.testing.assert_allclose(high, [0.95, 9.5])


@given(st.lists(st.floats(-10, 10), min_size=3, max_size=40), st.floats(0.5, 0.99))
def test_jackknife_of_a_mean_is_the_t_interval(values, level):
    values = np.array(values)
    n = len(values)
    without = (values.sum() - values) / (n - 1)
    low, high = jackknife_interval(values.mean(), without, level)
    half = stats.t.ppf((1 + level) / 2, n - 1) * stats.sem(values)
    np.testing.assert_allclose([low, high], [values.mean() - half, values.mean() + half], atol=1e-9)


def test_jackknife_agrees_with_a_bootstrap_of_a_correlation():
    rng = np.random.default_rng(3)
    x = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], size=200)

    def r(rows):
        return np.corrcoef(rows.T)[0, 1]

    without = np.array([r(np.delete(x, k, axis=0)) for k in range(len(x))])
    low, high = jackknife_interval(r(x), without)
    drawn = [r(x[rng.integers(len(x), size=len(x))]) for _ in range(2000)]
    assert (high - low) / 2 == pytest.approx(1.96 * np.std(drawn), rel=0.1)
