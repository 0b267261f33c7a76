"""Rank correlations of distances, the choice of layers, p values and intervals."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import pdist, squareform

from brainalign.concepts.rsa import (
    concept_pairs,
    count_concepts,
    nested_rsa,
    published_rsa,
    rank_correlations,
    rsa_p_value,
    rsa_scores,
    two_factor_interval,
)
from brainalign.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def distances(n_concepts, noise, n_copies, seed=0, n_units=5):
    """Distances of several noisy copies of one geometry, (copy, pair)."""
    truth = rng(99).standard_normal((n_concepts, n_units))
    copies = truth + noise * rng(seed).standard_normal((n_copies, n_concepts, n_units))
    return np.array([pdist(copy) for copy in copies])


def test_rank_correlations_are_spearmans():
    models, brains = distances(12, 1, 3), np.round(distances(12, 2, 4, seed=1))
    expected = [[stats.spearmanr(b, m).statistic for m in models] for b in brains]
    np.testing.assert_allclose(rank_correlations(models, brains), expected)


@pytest.mark.parametrize("n_concepts", [4, 5, 180])
def test_places_of_pairs(n_concepts):
    matrix = squareform(np.arange(n_concepts * (n_concepts - 1) // 2))
    assert count_concepts(n_concepts * (n_concepts - 1) // 2) == n_concepts
    concepts = rng().integers(n_concepts, size=n_concepts)
    first, second = np.triu_indices(n_concepts, k=1)
    apart = concepts[first] != concepts[second]
    expected = matrix[concepts[first], concepts[second]][apart]
    np.testing.assert_array_equal(concept_pairs(concepts, n_concepts), expected)


def test_the_published_layer_is_the_one_that_fits_best():
    models = np.concatenate([distances(20, 9, 2), distances(20, 0.5, 1)])
    brains = distances(20, 1, 4, seed=1)
    layer, scores = published_rsa(models, brains)
    assert layer == 2
    expected = [stats.spearmanr(brain, models[2]).statistic for brain in brains]
    np.testing.assert_allclose(scores, expected)


def test_the_choice_of_a_layer_adds_nothing_to_nested_scores():
    published, nested = [], []
    for seed in range(25):
        models = np.array([pdist(rng((seed, k)).standard_normal((24, 6))) for k in range(20)])
        brains = np.array([pdist(rng((seed, 99, k)).standard_normal((24, 6))) for k in range(3)])
        published.append(published_rsa(models, brains)[1].mean())
        nested.append(nested_rsa(models, brains, rng(seed), 4).mean())
    assert np.mean(published) > 0.08
    assert abs(np.mean(nested)) < 3 * np.std(nested) / 5


def test_nested_scores_are_those_of_halves_where_one_layer_is_clearly_best():
    models = np.concatenate([distances(20, 9, 3), distances(20, 0.2, 1)])
    brains = distances(20, 0.4, 3, seed=1)
    orders, expected = rng(5), np.zeros(3)
    for _ in range(3):
        order = orders.permutation(20)
        for half in (order[:10], order[10:]):
            pairs = concept_pairs(half, 20)
            expected += rank_correlations(models[3:, pairs], brains[:, pairs])[:, 0] / 6
    np.testing.assert_allclose(nested_rsa(models, brains, rng(5), 3), expected)
    alone = nested_rsa(models, brains[:1], rng(5), 3)
    np.testing.assert_allclose(alone, expected[:1])


def test_p_takes_the_best_layer_of_every_permutation():
    models, brains = distances(9, 1, 3), distances(9, 1, 2, seed=1)
    p = rsa_p_value(models, brains, 40, rng(3))
    orders, observed = rng(3), rank_correlations(models, brains).mean(axis=0).max()
    null = []
    for _ in range(40):
        order = orders.permutation(9)
        moved = [squareform(squareform(brain)[order][:, order]) for brain in brains]
        null.append(rank_correlations(models, np.array(moved)).mean(axis=0).max())
    assert p == (1 + (np.array(null) >= observed - 1e-9).sum()) / 41


def test_p_is_uniform_for_unrelated_geometries():
    found = []
    for seed in range(150):
        patterns = rng(seed).standard_normal((6, 12, 4))
        pairs = np.array([pdist(values) for values in patterns])
        found.append(rsa_p_value(pairs[:4], pairs[4:], 39, rng(seed)))
    assert stats.kstest(found, "uniform").pvalue > 0.01


def linear_scores(table):
    """Scores that are means over concepts of a table (participant, concept)."""
    return lambda concepts: table[:, concepts].mean(axis=1)


def test_interval_covers_new_participants_and_concepts():
    """Score = effect of participant + of concept + noise: the variance is known."""
    errors, covered, naive = [], [], []
    for seed in range(120):
        draw = rng(seed)
        table = draw.normal(0, 0.7, (12, 1)) + draw.normal(0, 1.5, 40) + draw.normal(0, 3, (12, 40))
        found = two_factor_interval(linear_scores(table), 40, 150, draw)
        assert found.mean == pytest.approx(table.mean())
        errors.append(found.error)
        covered.append(found.low < 0 < found.high)
        naive.append(abs(found.mean) < 1.96 * table.mean(axis=1).std(ddof=1) / np.sqrt(12))
    truth = np.sqrt(0.7**2 / 12 + 1.5**2 / 40 + 3**2 / 480)
    assert np.mean(errors) == pytest.approx(truth, rel=0.12)
    assert 0.9 <= np.mean(covered) <= 0.995
    assert np.mean(naive) < np.mean(covered) - 0.05


def test_interval_of_a_single_participant_is_over_concepts():
    table = rng().normal(0.5, 1, (1, 50))
    found = two_factor_interval(linear_scores(table), 50, 2000, rng(1))
    expected = table.std() / np.sqrt(50)
    assert found.error == pytest.approx(expected, rel=0.06)
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 49) * found.error)


def test_scores_of_resampled_concepts():
    model, brains = distances(10, 1, 1)[0], distances(10, 1, 3, seed=1)
    score = rsa_scores(model, brains)
    expected = rank_correlations(model, brains)[:, 0]
    np.testing.assert_allclose(score(np.arange(10)), expected)
    np.testing.assert_allclose(score(rng().permutation(10)), expected)


def test_input_that_does_not_fit():
    with pytest.raises(InputError, match="15 pairs of concepts and the brains 10"):
        rank_correlations(np.zeros((2, 15)), np.zeros((1, 10)))
    with pytest.raises(InputError, match="missing"):
        published_rsa(np.full((2, 15), np.nan), np.zeros((1, 15)))
    with pytest.raises(InputError, match="There are 6 concepts; at least 8"):
        nested_rsa(np.zeros((2, 15)), np.zeros((1, 15)), rng())
