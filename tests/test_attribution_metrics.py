"""Against brute force over all sets, loops over contexts, simulation, scipy and closed forms."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from brainalign.attribution import metrics
from brainalign.attribution.metrics import THRESHOLDS, important_sets, iou, iou_random
from brainalign.errors import InputError

# Few different values, so that ties and zeros are common.
tied = arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 7)), elements=st.sampled_from([-2.0, -1, -0.5, 0, 0.5, 1, 3, np.nan]))  # fmt: skip
percent = st.sampled_from([*THRESHOLDS, 100])


def contexts(n_contexts=30, n_distances=40, seed=0):
    """Scores of contexts of different lengths, larger for newer words."""
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((n_contexts, n_distances)) / (1 + np.arange(n_distances))
    lengths = rng.integers(1, n_distances + 1, n_contexts)
    scores[np.arange(n_distances) >= lengths[:, None]] = np.nan
    return scores


def smallest(sizes, threshold):
    """Size of the smallest set of all that reaches the threshold."""
    for k in range(len(sizes) + 1):
        best = max(sum(one) for one in combinations(sizes, k))
        if best >= threshold / 100 * sum(sizes) * (1 - 1e-9):
            return k


@settings(deadline=None, max_examples=60)
@given(tied, percent, st.sampled_from(["abs", "positive"]))
def test_important_sets_are_the_smallest_that_reach_the_threshold(scores, threshold, mode):
    found = important_sets(scores, threshold, mode)
    sizes = np.nan_to_num(np.abs(scores) if mode == "abs" else np.maximum(scores, 0))
    assert found.shape == scores.shape and found.dtype == bool
    assert not found[sizes == 0].any()
    for row, one in zip(sizes, found, strict=True):
        assert one.sum() == smallest(row, threshold)
        assert row[one].sum() >= threshold / 100 * row.sum() * (1 - 1e-9)


@settings(deadline=None)
@given(tied)
def test_important_sets_grow_with_the_threshold(scores):
    found = important_sets(scores, THRESHOLDS)
    assert found.shape == (len(THRESHOLDS), *scores.shape)
    assert not (found[:-1] & ~found[1:]).any()
    np.testing.assert_array_equal(found[4], important_sets(scores, 10))
    np.testing.assert_array_equal(found.sum(-1), metrics.spread(scores))


def test_of_equal_words_the_newest_comes_first():
    scores = np.array([[1, -1, 1, 1, np.nan], [0, 0, 0, 0, 0], [np.nan] * 5])
    expected = np.zeros((3, 5), dtype=bool)
    expected[0, :2] = True
    np.testing.assert_array_equal(important_sets(scores, 50), expected)
    # Sums of tenths miss their threshold by rounding.
    assert (important_sets(np.full(10, 0.1), range(10, 101, 10)).sum(-1) == range(1, 11)).all()


def test_the_positive_part_leaves_negative_words_out():
    scores = np.array([-5.0, 1, 3])
    assert important_sets(scores, 98, "positive").tolist() == [False, True, True]
    assert important_sets(scores, 50).tolist() == [True, False, False]
    np.testing.assert_allclose(metrics.shares(scores, "positive"), [0, 0.25, 0.75])


@settings(deadline=None)
@given(tied, percent, st.floats(0.001, 1000))
def test_neither_scale_nor_shares_change_a_set(scores, threshold, scale):
    own = important_sets(scores, threshold)
    for other in (scores * 2 ** round(np.log2(scale)), -scores):
        np.testing.assert_array_equal(important_sets(other, threshold), own)
    # Rounding may change which of two equal words is first, never how many are needed.
    again = important_sets(metrics.shares(scores), threshold)
    np.testing.assert_array_equal(again.sum(-1), own.sum(-1))


@given(arrays(bool, (2, 3, 8)))
def test_overlap_of_sets(sets):
    a, b = sets
    np.testing.assert_array_equal(iou(a, b), iou(b, a))
    np.testing.assert_array_equal(iou(a, a), np.where(a.any(-1), 1, np.nan))
    for one, other, value in zip(a, b, iou(a, b), strict=True):
        first, second = set(np.flatnonzero(one)), set(np.flatnonzero(other))
        expected = len(first & second) / len(first | second) if first | second else np.nan
        np.testing.assert_equal(value, expected)


@pytest.mark.parametrize(("k1", "k2", "n"), [(1, 1, 4), (2, 3, 5), (4, 2, 6), (0, 3, 4), (5, 5, 5)])
def test_random_overlap_is_the_mean_over_all_pairs_of_sets(k1, k2, n):
    first = set(range(k1))
    values = [len(first & set(s)) / len(first | set(s)) for s in combinations(range(n), k2)]
    assert iou_random(k1, k2, n) == pytest.approx(np.mean(values))


def test_random_overlap_by_simulation():
    rng = np.random.default_rng(0)
    k1, k2, n = np.array([3, 10, 0, 25]), np.array([5, 10, 0, 30]), np.array([20, 20, 20, 40])
    expected = iou_random(k1, k2, n)
    assert expected.shape == (4,) and np.isnan(expected[2])
    for one in (0, 1, 3):
        keys = rng.random((2, 20000, n[one]))
        a, b = (key.argsort(-1) < k for key, k in zip(keys, (k1[one], k2[one]), strict=True))
        drawn = iou(a, b)
        assert drawn.mean() == pytest.approx(expected[one], abs=5 * stats.sem(drawn))


def test_random_overlap_of_large_sets_is_high():
    # The overlap of sets of 98 % of a uniform context is no finding.
    values = iou_random([5, 10, 50, 200, 400, 600], [5, 10, 50, 200, 400, 600], 656)
    np.testing.assert_allclose(values, [0.004, 0.008, 0.04, 0.18, 0.44, 0.84], atol=0.005)


def test_overlap_by_position_agrees_with_permutations():
    scores, other = contexts(), np.nan_to_num(contexts(seed=1))
    words = ~np.isnan(scores)
    a, b = important_sets(scores, 60), important_sets(np.where(words, other, np.nan), 60)
    rng = np.random.default_rng(0)
    drawn = metrics.iou_by_position(a, b, words, rng, 4000, edges=(0, 4, 16))
    assert drawn.shape == (4000, len(a))
    bins = metrics.distance_bins(a.shape[1], (0, 4, 16))
    permuted = np.zeros((1000, *b.shape), dtype=bool)
    for one in permuted:
        for row in range(len(b)):
            for number in range(3):
                places = np.flatnonzero(words[row] & (bins == number))
                one[row, places] = b[row, rng.permutation(places)]
    expected = iou(a, permuted)
    error = np.hypot(stats.sem(expected), stats.sem(drawn))
    assert (np.abs(drawn.mean(0) - expected.mean(0)) <= 5 * error + 1e-12).all()
    np.testing.assert_allclose(drawn.std(0), expected.std(0), atol=0.03)


def test_overlap_by_position_in_one_bin_is_the_random_overlap():
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 30)) < 0.4
    drawn = metrics.iou_by_position(a, b, np.ones(30, dtype=bool), rng, 20000, edges=(0,))
    expected = iou_random(a.sum(), b.sum(), 30)
    assert drawn.mean() == pytest.approx(expected, abs=5 * stats.sem(drawn))
    # Two sets of whole bins overlap as much however they are permuted.
    same = np.arange(30) < 4
    assert (metrics.iou_by_position(same, same, np.ones(30, dtype=bool), rng, 10) == 1).all()


def test_spread_area_at_its_ends():
    even, single = np.ones((2, 400)), np.zeros((2, 400))
    single[:, 7] = -3
    np.testing.assert_allclose(metrics.spread_area(even), 0.495, atol=0.003)
    np.testing.assert_allclose(metrics.spread_area(single), 1 / 400)
    assert (metrics.spread(single) == 1).all() and (metrics.spread(np.zeros(4)) == 0).all()
    assert np.isnan(metrics.spread_area(np.zeros((2, 4)))).all()


def test_spread_area_does_not_count_places_without_words():
    scores = contexts()
    longer = np.concatenate([scores, np.full((len(scores), 9), np.nan)], axis=1)
    np.testing.assert_allclose(metrics.spread_area(longer), metrics.spread_area(scores))


def test_positions_agree_with_a_loop():
    scores = contexts()
    centre, sd = metrics.centre_of_mass(scores), metrics.position_sd(scores)
    entropy, newest = metrics.position_entropy(scores), metrics.mass_of_newest(scores, 5)
    oldest, three = metrics.mass_of_oldest(scores), metrics.mass_of_oldest(scores, 3)
    for row, values in enumerate(scores):
        sizes = np.abs(values[~np.isnan(values)])
        law = stats.rv_discrete(values=(np.arange(len(sizes)), sizes / sizes.sum()))
        assert centre[row] == pytest.approx(law.mean())
        assert sd[row] == pytest.approx(law.std(), abs=1e-7)
        assert entropy[row] == pytest.approx(stats.entropy(sizes, base=2), abs=1e-12)
        assert newest[row] == pytest.approx(sizes[:5].sum() / sizes.sum())
        assert oldest[row] == pytest.approx(sizes[-1] / sizes.sum())
        assert three[row] == pytest.approx(sizes[-3:].sum() / sizes.sum())


def test_profile_is_the_mean_over_contexts_with_a_word_there():
    scores = np.array([[3.0, -1, np.nan, np.nan], [1, 0, 3, np.nan], [0, 0, 0, np.nan]])
    expected = [0.5, 0.125, 0.75, np.nan]
    np.testing.assert_allclose(metrics.position_profile(scores), expected)
    stacked = metrics.position_profile(np.stack([scores, 2 * scores]))
    np.testing.assert_allclose(stacked, [expected, expected])


@pytest.mark.parametrize("row", [np.zeros(5), np.full(5, np.nan)])
def test_contexts_without_attribution_have_no_position(row):
    for found in (
        metrics.centre_of_mass(row),
        metrics.position_sd(row),
        metrics.position_entropy(row),
        metrics.mass_of_newest(row, 2),
        metrics.mass_of_oldest(row),
    ):
        assert np.isnan(found)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: important_sets(np.ones(3), 0), "per cent above 0"),
        (lambda: important_sets(np.ones(3), [10, 101]), "per cent above 0"),
        (lambda: important_sets(np.ones(3), 10, "signed"), "'abs' or 'positive'"),
        (lambda: important_sets(np.array([1, np.inf]), 10), "infinite"),
        (lambda: iou_random(3, 5, 4), "0 to n"),
        (lambda: metrics.distance_bins(5, (1, 4)), "growing numbers from 0"),
        (lambda: metrics.distance_bins(5, (0, 4, 4)), "growing numbers from 0"),
        (lambda: metrics.spread_area(np.ones(3), (10, 5)), "that grow"),
        (lambda: metrics.mass_of_newest(np.ones(3), 0), "1 word or more"),
        (
            lambda: metrics.iou_by_position(*np.eye(3, dtype=bool), np.random.default_rng(0)),
            "without a word",
        ),
    ],
)
def test_what_cannot_be_used_is_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()
