"""Consistency beside plain correlations, and with planted signal, noise and sharing."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from synthetic_concepts import simulate

from brainalign.concepts import consistency as module
from brainalign.concepts.consistency import (
    Moments,
    consistency,
    excess_consistency,
    moments,
    normalised_consistency,
    pooled_consistency,
    stimulus_parts,
)
from brainalign.errors import InputError


def plain(responses):
    """Mean of the correlations between paradigms, of one voxel."""
    return np.mean([np.corrcoef(x, y)[0, 1] for x, y in combinations(responses, 2)])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


@pytest.mark.parametrize("n_paradigms", [2, 3, 4])
def test_consistency_is_the_mean_correlation(n_paradigms, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 7)
    responses = 3 + 5 * normal(n_paradigms, 30, 20)
    expected = [plain(responses[..., voxel]) for voxel in range(20)]
    np.testing.assert_allclose(consistency(responses), expected, atol=1e-6)
    np.testing.assert_allclose(consistency(responses.astype("float32")), expected, atol=1e-6)


@given(arrays(float, (3, 6), elements=st.integers(-9, 9)), st.floats(0.1, 9), st.floats(-9, 9))
def test_scale_and_shift_of_a_paradigm_do_not_matter(values, scale, shift):
    moved = values.copy()
    moved[1] = scale * moved[1] + shift
    both = consistency(np.stack([values, moved, normal(3, 6)], axis=-1))
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)
    assert np.isnan(both[0]) or -0.5 - 1e-6 <= both[0] <= 1 + 1e-6


def test_consistency_of_unrelated_paradigms():
    found = consistency(normal(3, 180, 4000, seed=1))
    assert found.std() == pytest.approx(1 / np.sqrt(3 * 179), abs=1e-3)
    assert np.quantile(found, 0.95) == pytest.approx(0.071, abs=2e-3)


def test_voxels_without_a_consistency_are_missing():
    responses = normal(3, 9, 5)
    responses[1, 4, 0] = np.nan
    responses[2, :, 1] = 7
    responses[:, :, 2] = np.nan
    assert np.isfinite(consistency(responses)).tolist() == [False, False, False, True, True]
    repeats = np.stack([responses, normal(3, 9, 5, seed=1)], axis=1)
    found = excess_consistency(moments(repeats))
    assert np.isfinite(found).tolist() == [False, True, False, True, True]


def splits(repeats):
    """Covariance of the two members of every pair of repeats, mean over pairs, of one voxel."""
    return np.mean([np.cov(x, y)[0, 1] for x, y in combinations(repeats, 2)])


def test_moments_are_means_over_all_pairs(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    repeats = normal(3, 4, 12, 5) + normal(3, 1, 12, 5, seed=1)
    found = moments(repeats)
    for voxel in range(5):
        own = repeats[..., voxel]
        means = own.mean(axis=1)
        for paradigm in range(3):
            assert found.signal[paradigm, voxel] == pytest.approx(splits(own[paradigm]))
            assert found.total[paradigm, voxel] == pytest.approx(means[paradigm].var(ddof=1))
            single = own[paradigm].var(axis=1, ddof=1).mean()
            assert found.single[paradigm, voxel] == pytest.approx(single)
        expected = [np.cov(x, y)[0, 1] for x, y in combinations(means, 2)]
        np.testing.assert_allclose(found.shared[:, voxel], expected)


def test_reliability_of_halves_is_after_spearman_and_brown():
    # For halves of equal variance: 2 r / (1 + r).
    x = stats.zscore(normal(2, 40), axis=1)
    r = np.corrcoef(x)[0, 1]
    repeats = np.stack([x, x[::-1]])[..., None]
    found = moments(repeats).reliability
    np.testing.assert_allclose(found[:, 0], 2 * r / (1 + r))


def test_normalised_and_pooled_consistency_by_hand():
    found = Moments(
        shared=np.array([[0.2, 0.1], [0.1, 0.2], [0.3, 0.3]]),
        signal=np.array([[0.5, 0.4], [0.5, 0.6], [0.5, -0.1]]),
        total=np.ones((3, 2)),
        single=np.full((3, 2), [1.5, 3]),
    )
    pairs = zip(found.shared[:, 1], combinations([0.4, 0.6, 0.25], 2), strict=True)
    expected = np.mean([s / np.sqrt(a * b) for s, (a, b) in pairs])
    np.testing.assert_allclose(normalised_consistency(found, floor=0.25), [0.4, expected])
    pooled = pooled_consistency(found, ["one", "two"])
    assert pooled.to_dict() == pytest.approx({"one": 0.2 / 0.5, "two": 0.2 / 0.3})
    both = pooled_consistency(found, np.zeros(2))[0]
    assert both == pytest.approx((0.2 / 1.5 + 0.2 / 3) / (0.5 / 1.5 + 0.3 / 3))
    excess = [0.2 / 1.5 - both * 0.5 / 1.5, 0.2 / 3 - both * 0.3 / 3]
    np.testing.assert_allclose(excess_consistency(found), excess)
    found.signal[:, 1] = -1
    assert np.isnan(pooled_consistency(found, ["one", "two"])["two"])


def test_what_was_planted_is_found_whatever_the_noise():
    groups = np.repeat([0, 1, 2], 400)
    shared = np.repeat([0.2, 0.5, 0.8], 400)
    repeats, snr, *_ = simulate(np.random.default_rng(0), 1200, shared=shared)
    pooled = pooled_consistency(moments(repeats), groups)
    np.testing.assert_allclose(pooled, [0.2, 0.5, 0.8], atol=0.03)
    raw = consistency(repeats.mean(axis=1)).reshape(3, 400).mean(axis=1)
    assert (raw < [0.12, 0.3, 0.5]).all()
    # Half the signal shared, with little or much noise.
    repeats, snr, *_ = simulate(np.random.default_rng(1), 4000)
    by_noise = pooled_consistency(moments(repeats), snr > np.median(snr))
    np.testing.assert_allclose(by_noise, 0.5, atol=0.04)


def test_signal_and_noise_alone_make_raw_consistency_but_no_excess():
    raw, excess = [], []
    for seed in range(6):
        repeats, snr, _ = simulate(np.random.default_rng(seed), 600)
        raw.append(stats.pearsonr(consistency(repeats.mean(axis=1)), snr).statistic)
        excess.append(stats.pearsonr(excess_consistency(moments(repeats)), snr).statistic)
    assert min(raw) > 0.6
    low, high = stats.ttest_1samp(excess, 0).confidence_interval()
    assert low < 0 < high and np.mean(np.abs(excess)) < 0.15


def test_parts_of_stimuli_share_none_and_use_all():
    # Stimulus k of a concept responds with 2 ** k: sums say which ones are in a part.
    shown = np.random.default_rng(0).random((6, 40)) < 0.6
    shown[:4, shown.sum(axis=0) < 4] = True
    responses = np.where(shown[..., None], 2.0 ** np.arange(6)[:, None, None], np.nan)
    parts = stimulus_parts(np.repeat(responses, 3, axis=2), 4, np.random.default_rng(1))
    assert parts.shape == (4, 40, 3) and (parts == parts[..., :1]).all()
    firsts = set()
    for concept in range(40):
        left = set(np.flatnonzero(shown[:, concept]))
        for mean in parts[:, concept, 0]:
            # One or two stimuli in a part of four to six.
            pairs = combinations(sorted(left), 2)
            single = [{k} for k in left if 2.0**k == mean]
            members = single or [{a, b} for a, b in pairs if 2.0**a + 2.0**b == 2 * mean]
            assert len(members) == 1
            left -= members[0]
        assert not left
        firsts.add(parts[0, concept, 0])
    assert len(firsts) > 4


@pytest.mark.parametrize("n_parts", [2, 4, 6])
@pytest.mark.parametrize("n_stimuli", [6, 7, 8, 9])
def test_halves_of_the_parts_have_as_many_stimuli(n_parts, n_stimuli):
    # Only voxel k responds to stimulus k.
    responses = np.eye(n_stimuli)[:, None].repeat(9, axis=1)
    members = stimulus_parts(responses, n_parts, np.random.default_rng(0)) > 0
    assert (members.sum(axis=0) == 1).all()
    sizes = members.sum(axis=2)
    assert np.ptp(sizes, axis=0).max() <= 1
    halves = sizes[: n_parts // 2].sum(axis=0), sizes[n_parts // 2 :].sum(axis=0)
    assert set(halves[0]) == {(n_stimuli + 1) // 2} and set(halves[1]) == {n_stimuli // 2}


def test_parts_of_stimuli_need_as_many_stimuli():
    responses = normal(4, 5, 2)
    responses[1, 2] = np.nan
    responses[:, :, 1] = np.nan
    parts = stimulus_parts(responses, 3, np.random.default_rng(0))
    assert np.isfinite(parts[..., 0]).all() and np.isnan(parts[..., 1]).all()
    with pytest.raises(InputError, match="Concept 3 was shown with 3 stimuli; at least 4"):
        stimulus_parts(responses, 4, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 9, 5), r"shape \(1, 9, 5\); .* at least 2 paradigms"),
        ((3, 3, 5), "at least 2 paradigms and 4 concepts"),
        ((3, 9), r"\(paradigm, concept, voxel\)"),
        ((3, 9, 0), r"\(paradigm, concept, voxel\)"),
    ],
)
def test_shapes_that_do_not_fit(shape, message):
    with pytest.raises(InputError, match=message):
        consistency(np.zeros(shape))


def test_what_is_missing_is_named():
    responses = normal(3, 9, 5)
    responses[1, 2] = np.nan
    with pytest.raises(InputError, match="each of the 9 concepts in paradigm 2"):
        consistency(responses)
    repeats = np.stack([normal(3, 9, 5), responses], axis=1)
    with pytest.raises(InputError, match="Repeat 2: No voxel .* in paradigm 2"):
        moments(repeats)
    with pytest.raises(InputError, match="at least 2 repeats"):
        moments(repeats[:, :1])
    found = moments(repeats[:, [0, 0]])
    with pytest.raises(InputError, match="groups has 3 labels; one for each of 5"):
        pooled_consistency(found, [1, 2, 3])
    with pytest.raises(InputError, match="floor is 0"):
        normalised_consistency(found, floor=0)
