"""Encoding of concepts: folds, the leak, the choice of layers, transfer, other implementations."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from brainalign.concepts.encoding import (
    PUBLISHED_ALPHAS,
    Stimuli,
    draw_folds,
    encode_concepts,
    published_encoding,
)
from brainalign.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def stimuli(n_concepts=30, n_repeats=3, n_units=6, n_targets=4, noise=1.0, seed=0):
    """Responses that are linear in the second of two sets of features."""
    concepts = np.repeat(np.arange(n_concepts), n_repeats)
    draw = rng(seed)
    features = draw.standard_normal((2, n_concepts, n_units))[:, concepts]
    features = features + 0.3 * draw.standard_normal(features.shape)
    responses = features[1] @ rng(7).standard_normal((n_units, n_targets))
    responses = responses + noise * draw.standard_normal(responses.shape)
    return Stimuli(list(features), responses, concepts)


@given(st.integers(2, 12), st.integers(1, 4), st.integers(2, 6), st.integers(0, 99))
def test_a_concept_is_in_one_fold_only(n_concepts, n_repeats, n_folds, seed):
    n_folds = min(n_folds, n_concepts)
    concepts = rng(seed).permutation(np.repeat(np.arange(n_concepts), n_repeats).astype(str))
    fold = draw_folds(concepts, n_folds, rng(seed))
    assert all(len(set(fold[concepts == name])) == 1 for name in concepts)
    sizes = [len(set(concepts[fold == k])) for k in range(n_folds)]
    assert max(sizes) - min(sizes) <= 1
    rows = np.bincount(draw_folds(concepts, n_folds, rng(seed), grouped=False), minlength=n_folds)
    assert rows.max() - rows.min() <= 1 and rows.sum() == len(concepts)


def correlation(model, X, y):
    return stats.pearsonr(model.predict(X), y).statistic


@pytest.mark.parametrize("n_units", [6, 80])
def test_scores_are_those_of_scikit_learns_grid_search(n_units):
    data, alphas = stimuli(n_units=n_units, n_targets=2, noise=3), [0.1, 10.0, 1000.0]
    found = encode_concepts(data, rng(1), n_folds=3, alphas=alphas)
    fold = draw_folds(data.concepts, 3, rng(1))
    deviations = {0: [], 1: []}
    for number, target in product(range(3), deviations):
        rows, held_out, y = fold != number, fold == number, data.responses[:, target]
        searches = [
            GridSearchCV(
                make_pipeline(StandardScaler(), Ridge()),
                {"ridge__alpha": alphas},
                scoring=correlation,
                cv=PredefinedSplit(fold[rows]),
            ).fit(X[rows], y[rows])
            for X in data.features
        ]
        best = int(np.argmax([search.best_score_ for search in searches]))
        assert found.configuration[number, target] == best
        predicted = searches[best].predict(data.features[best][held_out])
        r = stats.pearsonr(predicted, y[held_out]).statistic
        assert found.r_fold[number, target] == pytest.approx(r, abs=1e-5)
        deviations[target].append([v - v.mean() for v in (predicted, y[held_out])])
    for target, parts in deviations.items():
        x, y = np.hstack(parts)
        assert found.r[target] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-5)


def test_the_layer_is_chosen_and_chance_stays_chance():
    found = encode_concepts(stimuli(), rng(), n_folds=5)
    assert (found.configuration == 1).all() and (found.r > 0.7).all()
    noise, draw = [], rng(3)
    for seed in range(10):
        features = list(draw.standard_normal((12, 40, 5)))
        nothing = Stimuli(features, draw.standard_normal((40, 30)), np.arange(40))
        noise.append(encode_concepts(nothing, rng(seed), n_folds=4).r.mean())
    assert abs(np.mean(noise)) < 0.03
    assert published_encoding(nothing)[0].mean() > 0.15


def unrelated_codes(seed, variance=0.2):
    """Concepts have codes in features and responses that are unrelated to each other."""
    draw, concepts = rng(seed), np.repeat(np.arange(180), 5)
    features = draw.standard_normal((180, 150))[concepts] + 0.3 * draw.standard_normal((900, 150))
    responses = np.sqrt(variance) * draw.standard_normal((180, 20))[concepts]
    responses = responses + np.sqrt(1 - variance) * draw.standard_normal((900, 20))
    return Stimuli([features], responses, concepts)


def test_ungrouped_folds_leak_and_grouped_ones_do_not():
    data = unrelated_codes(0)
    options = {"n_folds": 5, "alphas": np.logspace(0, 4, 5)}
    ungrouped = encode_concepts(data, rng(), grouped=False, **options).r
    grouped = encode_concepts(data, rng(), **options).r
    published, _ = published_encoding(data)
    assert ungrouped.mean() > 0.15 and published.mean() > 0.15
    assert abs(grouped.mean()) < 0.05


def test_what_paradigms_share_transfers():
    sentences, pictures = stimuli(seed=1), stimuli(seed=2, n_repeats=2)
    # The same concepts, in any order and with other numbers of stimuli, have their own stimuli.
    order = rng().permutation(60)
    pictures = Stimuli(
        [values[order] for values in pictures.features],
        pictures.responses[order],
        pictures.concepts[order],
    )
    assert (encode_concepts(sentences, rng(), pictures).r > 0.7).all()
    unlike = Stimuli(pictures.features, rng(9).standard_normal((60, 4)), pictures.concepts)
    assert abs(encode_concepts(sentences, rng(), unlike).r).mean() < 0.2


def test_transfer_never_sees_the_tested_concepts():
    data = stimuli(n_concepts=12)
    tested = Stimuli(data.features, np.full((36, 4), np.pi), data.concepts)
    constant = encode_concepts(data, rng(), tested, n_folds=3)
    assert np.isnan(constant.r).all() and np.isnan(constant.r_fold).all()
    # Responses of a concept that is held out in a fold do not change its prediction there.
    same = encode_concepts(data, rng(), data, n_folds=3)
    np.testing.assert_allclose(same.r, encode_concepts(data, rng(), n_folds=3).r)


def test_constant_units_and_predictions():
    data = stimuli()
    features = [np.hstack([values, np.full((90, 1), 1e4)]) for values in data.features]
    wider = Stimuli(features, data.responses, data.concepts)
    expected = encode_concepts(data, rng(), n_folds=3)
    np.testing.assert_allclose(encode_concepts(wider, rng(), n_folds=3).r, expected.r, atol=1e-6)
    flat = Stimuli([np.ones((90, 2))], data.responses, data.concepts)
    np.testing.assert_array_equal(encode_concepts(flat, rng(), n_folds=3).r, 0)


def test_the_published_scores_written_out():
    data = stimuli(noise=4)
    r, configuration = published_encoding(data)
    expected = np.zeros((2, 4))
    for number, X in enumerate(data.features):
        for rows, held_out in KFold(5, shuffle=True, random_state=0).split(X):
            for target, y in enumerate(data.responses.T):
                ridge = RidgeCV(PUBLISHED_ALPHAS).fit(X[rows], y[rows])
                x = ridge.predict(X[held_out])
                # The largest penalties leave only rounding beside the mean.
                if np.ptp(x) > 1e-9 * np.abs(x).max():
                    expected[number, target] += stats.pearsonr(x, y[held_out]).statistic / 5
    np.testing.assert_allclose(r, expected.max(axis=0), atol=1e-6)
    np.testing.assert_array_equal(configuration, expected.argmax(axis=0))
    chosen = np.repeat(data.features[0][:, :1], 4, axis=1)
    r, configuration = published_encoding(data, chosen_by=chosen)
    assert (configuration == 0).all()
    np.testing.assert_allclose(r, expected[0], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda d: Stimuli([], d.responses, d.concepts), "at least one array of features"),
        (lambda d: Stimuli(d.features, d.responses[1:], d.concepts), "each of 90 stimuli"),
        (lambda d: Stimuli(d.features, d.responses * np.nan, d.concepts), "are missing"),
        (lambda d: encode_concepts(d, rng(), n_folds=31), "from 2 to 30 folds"),
        (lambda d: encode_concepts(d, rng(), n_folds=2), "at least 3"),
        (lambda d: encode_concepts(d, rng(), stimuli(n_targets=5)), "different units"),
        (lambda d: encode_concepts(d, rng(), stimuli(31)), "Concept 30 is in one of the two"),
        (lambda d: encode_concepts(d, rng(), d, grouped=False), "grouped must be True"),
    ],
)
def test_input_that_does_not_fit(call, message):
    with pytest.raises(InputError, match=message):
        call(stimuli())
