"""Quartiles and relations by other means; noise alone makes the published pattern, not the default."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic_concepts import simulate

from brainalign.concepts.consistency import consistency, excess_consistency, moments
from brainalign.concepts.decoupling import (
    cell_means,
    published_relation,
    quartile_bins,
    quartile_cells,
    relation,
)
from brainalign.concepts.encoding import Stimuli, encode_concepts
from brainalign.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def test_bins_count_thresholds_as_the_authors_do():
    values = np.round(rng().standard_normal(57), 1)
    thresholds = pd.Series(values).quantile([0, 0.25, 0.5, 0.75])
    expected = [(thresholds <= value).sum() - 1 for value in values]
    assert quartile_bins(values).tolist() == expected
    with_gap = np.insert(values, 3, np.nan)
    assert quartile_bins(with_gap).tolist() == np.insert(expected, 3, -1).tolist()


def test_cells_and_their_means():
    c, s = rng().standard_normal((2, 40))
    c[4], s[7] = np.nan, np.nan
    both = np.isfinite(c) & np.isfinite(s)
    cells = quartile_cells(c, s)
    assert cells[[4, 7]].tolist() == [-1, -1]
    expected = 4 * quartile_bins(c[both]) + quartile_bins(s[both])
    np.testing.assert_array_equal(cells[both], expected)
    values = rng(1).standard_normal((3, 40))
    values[1, 5] = np.nan
    means = cell_means(values, cells)
    for cell in range(16):
        members = values[:, cells == cell]
        found = means[:, cell // 4, cell % 4]
        if not members.size:
            assert np.isnan(found).all()
        else:
            np.testing.assert_allclose(found, np.nanmean(members, axis=1))


def test_published_relation():
    scores = rng().standard_normal((17, 4, 4)) + 0.3 * np.arange(4)[:, None]
    scores[3, 2, 1] = np.nan
    found = published_relation(scores)
    for fixed in range(4):
        table = pd.DataFrame(scores[:, :, fixed]).melt()
        table["variable"] = table["variable"].astype(float)
        assert found.consistency[fixed] == pytest.approx(table.corr().iloc[0, 1])
        table = pd.DataFrame(scores[:, fixed]).melt()
        table["variable"] = table["variable"].astype(float)
        assert found.selectivity[fixed] == pytest.approx(table.corr().iloc[0, 1])
    assert found.consistency.mean() > found.selectivity.mean() + 0.1


def residual(values, covariates):
    design = np.column_stack([np.ones(len(values)), *covariates])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def test_relation_is_a_mean_of_partial_correlations():
    maps = rng().standard_normal((4, 5, 60))
    maps[1] += 0.3 * maps[0] + maps[2]
    maps[0, 2, 7] = np.nan
    found = relation(*maps)
    for participant, r in enumerate(found.r):
        known = np.isfinite(maps[:, participant]).all(axis=0)
        first, second, *others = maps[:, participant, known]
        expected = stats.pearsonr(residual(first, others), residual(second, others)).statistic
        assert r == pytest.approx(expected)
    test = stats.ttest_1samp(np.arctanh(found.r), 0)
    assert found.p == pytest.approx(test.pvalue)
    np.testing.assert_allclose(np.arctanh([found.low, found.high]), test.confidence_interval())
    assert found.low < found.mean < found.high
    plain = relation(maps[2], maps[3])
    assert plain.r[0] == pytest.approx(np.corrcoef(maps[2:, 0])[0, 1])


def participant(seed, shared):
    """Maps of one participant: what the published and the default relation are about."""
    repeats, snr, model = simulate(rng(seed), 400, shared, n_repeats=4)
    responses = repeats.mean(axis=1)

    def score(means):
        options = {"n_folds": 5, "alphas": [10.0]}
        every = [Stimuli([model], paradigm, np.arange(180)) for paradigm in means]
        return np.mean([encode_concepts(one, rng(seed), **options).r for one in every], axis=0)

    return {
        "raw": consistency(responses),
        "score": score(responses),
        "own_reliability": moments(repeats).reliability.mean(axis=0),
        "excess": excess_consistency(moments(repeats[:, :2])),
        "score_half": score(repeats[:, 2:].mean(axis=1)),
        "reliability": moments(repeats[:, 2:]).reliability.mean(axis=0),
        "selectivity": rng((seed, 1)).standard_normal(400),
        "snr": snr,
    }


def maps(shared, n=8):
    found = [participant(seed, shared(rng((seed, 2)))) for seed in range(n)]
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def test_noise_alone_makes_the_published_pattern_and_no_default_relation():
    found = maps(lambda draw: 0.5)
    cells = [quartile_cells(*pair) for pair in zip(found["raw"], found["selectivity"], strict=True)]
    scores = np.stack([cell_means(*pair) for pair in zip(found["score"], cells, strict=True)])
    published = published_relation(scores)
    assert published.consistency.min() > 0.7 and abs(published.selectivity).max() < 0.3
    assert relation(found["raw"], found["snr"]).low > 0.5
    # Even with the reliability removed, noise in it leaves a relation.
    assert relation(found["raw"], found["score"], found["own_reliability"]).low > 0.1
    default = relation(
        found["excess"], found["score_half"], found["selectivity"], found["reliability"]
    )
    assert default.low < 0 < default.high and abs(default.mean) < 0.05
    of_snr = relation(found["excess"], found["snr"])
    assert of_snr.low < 0 < of_snr.high and abs(of_snr.mean) < 0.05


def test_the_default_finds_what_is_there():
    found = maps(lambda draw: draw.uniform(0.05, 0.95, 400))
    default = relation(
        found["excess"], found["score_half"], found["selectivity"], found["reliability"]
    )
    assert default.low > 0.1
    selective = relation(found["selectivity"], found["score_half"], found["excess"])
    assert selective.low < 0 < selective.high


def test_input_that_does_not_fit():
    with pytest.raises(InputError, match="3 of 4 voxels have a value"):
        quartile_bins([1, 2, np.nan, 3])
    with pytest.raises(InputError, match="the same voxels"):
        quartile_cells(np.zeros(5), np.zeros(6))
    with pytest.raises(InputError, match=r"\(participant, 4, 4\)"):
        published_relation(np.zeros((4, 4)))
    with pytest.raises(InputError, match="2 participants were given"):
        relation(np.zeros((2, 9)), np.zeros((2, 9)))
    with pytest.raises(InputError, match="the same .participant"):
        relation(np.zeros((3, 9)), np.zeros((3, 8)))
