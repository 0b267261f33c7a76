"""Predictions beside the stored scores, and block permutations beside shuffled scans."""

from itertools import permutations

import numpy as np
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from tiny_study import tiny_study

from brainalign.encoding import EncodingSettings, encode
from brainalign.errors import InputError
from brainalign.fitting import load_responses
from brainalign.layer_choice import choose_layer, chosen_layers, scores_at
from brainalign.significance import (
    block_permutation,
    held_out_predictions,
    p_values,
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(tiny_models.save_model(folder, "gpt2", tokenizer=tiny_models.byte_level()))


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("per_voxel", [False, True])
@pytest.mark.parametrize("rule", ["nested", "published"])
def test_predictions_correlate_as_the_scores_say(model, per_voxel, rule):
    study = tiny_study(n_voxels=7)
    settings = EncodingSettings("s1", alphas=(0, 4, 5), alpha_per_voxel=per_voxel)
    (scores,) = encode(study, [model], settings, jobs=1)
    layers = chosen_layers(scores, rule)
    assert layers.dims == ("fold", "voxel")
    assert rule == "published" or len(np.unique(layers)) > 1
    predicted = held_out_predictions(study, model, settings, scores, layers)
    for fold, measured in enumerate(load_responses(study, "s1")):
        for voxel in range(study.n_voxels):
            stored = scores["r_fold"].values[fold, layers.values[fold, voxel], voxel]
            r = stats.pearsonr(predicted[fold][:, voxel], measured[:, voxel]).statistic
            assert r == pytest.approx(stored, abs=2e-5)
    np.testing.assert_allclose(scores_at(scores, layers), choose_layer(scores, rule), atol=1e-6)


def test_predictions_with_nuisance_are_refused(model):
    study, settings = tiny_study(), EncodingSettings(nuisance=True)
    with pytest.raises(InputError, match="nuisance must be off"):
        held_out_predictions(study, model, settings, None, np.zeros((3, 12), int))


def slow_series(n_scans, n_voxels, seed):
    """Series as slow as responses."""
    noise = rng(seed).normal(size=(n_scans + 20, n_voxels))
    return np.stack([noise[k : k + 8].mean(0) for k in range(n_scans)])


def test_permuted_scores_are_those_of_rearranged_scans():
    """Two folds of three blocks, one with a rest: every permutation, done by hand."""
    predicted = [slow_series(12, 3, 0), slow_series(14, 3, 1)]
    measured = [slow_series(12, 3, 2), slow_series(14, 3, 3)]
    observed, null = block_permutation(predicted, measured, 400, rng(), block=4)

    def by_hand(orders):
        total = np.zeros(3)
        for x, y, order in zip(predicted, measured, orders, strict=True):
            moved = np.concatenate([y[4 * k : 4 * k + 4] for k in order])
            total += [stats.pearsonr(x[:12, v], moved[:, v]).statistic for v in range(3)]
        return total / 2

    np.testing.assert_allclose(observed, by_hand([(0, 1, 2)] * 2), atol=1e-12)
    each = list(permutations(range(3)))
    possible = np.array([by_hand([a, b]) for a in each for b in each])
    distance = np.abs(null[:, None] - possible[None]).max(axis=2)
    assert (distance.min(axis=1) < 1e-12).all()
    assert len(np.unique(distance.argmin(axis=1))) == 36


@given(st.integers(0, 1000), st.integers(2, 6), st.integers(20, 60))
def test_observed_is_the_correlation_in_whole_blocks(seed, block, n_scans):
    x, y = slow_series(n_scans, 2, seed), slow_series(n_scans, 2, seed + 1)
    observed, null = block_permutation([x], [y], 20, rng(seed), block)
    kept = n_scans // block * block
    expected = [stats.pearsonr(x[:kept, v], y[:kept, v]).statistic for v in range(2)]
    np.testing.assert_allclose(observed, expected, atol=1e-12)
    assert np.abs(null).max() <= 1 + 1e-12


def test_constant_predictions_score_nothing():
    observed, null = block_permutation([np.ones((20, 1))], [slow_series(20, 1, 0)], 5, rng(), 5)
    assert observed == 0 and (null == 0).all()


def test_too_short_folds_are_one_sentence():
    with pytest.raises(InputError, match="Fold 1 has 19 scans; at least 20"):
        block_permutation([np.ones((19, 1))], [np.ones((19, 1))], 5, rng())


def test_p_of_unrelated_slow_series_is_uniform():
    """Slowness alone must not make scores significant."""
    n = 300
    x, y = slow_series(200, n, 5), slow_series(200, n, 6)
    p = p_values(*block_permutation([x[:100], x[100:]], [y[:100], y[100:]], 200, rng()))
    assert stats.kstest(p, "uniform").pvalue > 0.01
    assert (p < 0.05).mean() < 0.1


def test_p_of_related_series_is_the_smallest_possible():
    x = slow_series(200, 4, 7)
    p = p_values(*block_permutation([x[:100], x[100:]], [x[:100], x[100:]], 199, rng()))
    np.testing.assert_allclose(p, 1 / 200)


def test_p_counts_ties():
    null = np.array([[0.1, 0.5], [0.3, 0.5], [0.3, 0.5]])
    np.testing.assert_allclose(p_values(np.array([0.3, 0.6]), null), [3 / 4, 1 / 4])
