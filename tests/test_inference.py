"""Intervals of slopes: against statsmodels, scipy and plain loops, and by simulation."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic_folds import fold_scores
from synthetic_scores import brain_scores, reliable_voxels, voxel_table

from brainalign import inference, published, regions, statistics
from brainalign.errors import InputError
from brainalign.statistics import bootstrap_indices


def difference(folds, *arguments, **options):
    return inference.slopes(folds, *arguments, **options).sel(region="X", side="L-R")


def values_of(folds):
    """Models × folds of L − R, and log sizes."""
    part = folds.sel(region="X", side="L-R").transpose("model", "fold", ...)
    return part.to_numpy(), np.log10(folds["n_parameters"].to_numpy())


def with_folds():
    """The made-up study's language models, with two folds that differ by a constant."""
    scores = brain_scores()
    scores = scores.isel(model=(scores["kind"] == "language model").to_numpy())
    return scores.expand_dims(fold=[0, 1]) + np.array([-0.01, 0.01])[:, None, None]


def test_table_of_folds_holds_means_by_hand():
    scores, voxels = with_folds().astype(float), voxel_table()
    table = inference.fold_table(scores)
    assert table.dims == ("fold", "model", "region", "side")
    for side in ("L", "R"):
        inside = ((voxels["roi"] == "BA45") & (voxels["hemisphere"] == side)).to_numpy()
        expected = scores.to_numpy()[1, 2, inside].mean()
        found = table.sel(region="BA45", side=side).isel(fold=1, model=2)
        assert float(found) == pytest.approx(expected)
    sides = (table.sel(side=side, drop=True) for side in ("L", "R"))
    np.testing.assert_allclose(next(sides) - next(sides), table.sel(side="L-R"), atol=1e-12)


def test_table_of_folds_agrees_with_the_table_of_regions():
    scores = with_folds()
    from_voxels = inference.fold_table(scores).mean("fold")
    rows = regions.roi_table(scores.mean("fold"))
    from_table = inference.table_as_folds(rows).isel(fold=0)
    from_table = from_table.sel(region=from_voxels["region"], model=from_voxels["model"])
    np.testing.assert_allclose(from_voxels.transpose(*from_table.dims), from_table, atol=1e-6)


def test_groups_of_voxels_can_be_given():
    reliable = reliable_voxels().to_numpy()
    table = inference.fold_table(with_folds(), {"reliable": reliable})
    assert list(table["region"].values) == ["reliable"]


def test_coefficients_give_the_slopes_of_repeated_points():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(3, 6, 8), rng.standard_normal(8)
    samples = rng.integers(8, size=(20, 8))
    counts = np.array([np.bincount(sample, minlength=8) for sample in samples])
    found = inference.slope_coefficients(x, counts) @ y
    np.testing.assert_allclose(found, [stats.linregress(x[s], y[s]).slope for s in samples])


def test_samples_at_one_size_have_no_slope():
    counts = np.array([[3, 0, 0], [1, 1, 1]])
    coefficients = inference.slope_coefficients(np.array([1.0, 2.0, 4.0]), counts)
    assert np.isnan(coefficients[0]).all() and np.isfinite(coefficients[1]).all()


def test_runs_alone_are_a_t_interval_with_a_corrected_error():
    folds = fold_scores(slope=0.02)
    values, x = values_of(folds)
    by_fold = [stats.linregress(x, values[:, fold]).slope for fold in range(9)]
    found = difference(folds, "runs")
    error = np.std(by_fold, ddof=1) * np.sqrt(1 / 9 + 1 / 8)
    assert float(found["slope"]) == pytest.approx(np.mean(by_fold))
    assert float(found["error"]) == pytest.approx(error)
    assert float(found["high"] - found["slope"]) == pytest.approx(stats.t.ppf(0.975, 8) * error)
    expected = 2 * stats.t.sf(abs(np.mean(by_fold) / error), 8)
    assert float(found["p"]) == pytest.approx(expected)


def test_models_alone_are_the_jackknife_of_a_loop():
    folds = fold_scores(slope=0.02)
    values, x = values_of(folds)
    mean, n = values.mean(axis=1), len(x)
    without = [stats.linregress(np.delete(x, k), np.delete(mean, k)).slope for k in range(n)]
    error = np.sqrt((n - 1) / n * np.square(without - np.mean(without)).sum())
    assert float(difference(folds, "models")["error"]) == pytest.approx(error)
    # The jackknife of a slope is close to White's error with a correction for leverage.
    robust = sm.OLS(mean, sm.add_constant(x)).fit(cov_type="HC3").bse[1]
    assert error == pytest.approx(robust, rel=0.1)


def test_both_add_their_variances():
    folds = fold_scores(slope=0.02)
    found = {what: float(difference(folds, what)["error"]) for what in ("models", "runs", "both")}
    assert found["both"] == pytest.approx(np.hypot(found["models"], found["runs"]))
    both = difference(folds)
    parts = [(found["models"] ** 2, 11), (found["runs"] ** 2, 8)]
    freedom = sum(v for v, _ in parts) ** 2 / sum(v * v / n for v, n in parts)
    assert float(both["freedom"]) == pytest.approx(freedom)


def test_listeners_are_a_third_source_of_error():
    folds = fold_scores(slope=0.02, listeners=6)
    values = folds.sel(region="X", side="L-R").transpose("listener", "model", "fold").to_numpy()
    x = np.log10(folds["n_parameters"].to_numpy())
    alone = [stats.linregress(x, one.mean(axis=1)).slope for one in values]
    without = float(difference(folds.mean("listener"), "runs")["error"])
    found = float(difference(folds, "runs")["error"])
    assert found == pytest.approx(np.hypot(without, stats.sem(alone)))
    drawn = difference(folds, "runs", "bootstrap", 200)
    assert float(drawn["low"]) < float(drawn["slope"]) < float(drawn["high"])


def test_bootstrap_agrees_with_loops():
    folds = fold_scores(slope=0.02)
    values, x = values_of(folds)
    found = difference(folds, "both", "bootstrap", 50, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    models, runs = bootstrap_indices(12, 50, rng), bootstrap_indices(9, 50, rng)
    slopes = [
        stats.linregress(x[model], values[np.ix_(model, run)].mean(axis=1)).slope
        for model, run in zip(models, runs, strict=True)
    ]
    np.testing.assert_allclose(
        [found["low"], found["high"]], np.percentile(slopes, [2.5, 97.5]), rtol=1e-9
    )


def test_families_are_left_out_and_drawn_whole():
    folds = fold_scores(slope=0.02)
    values, x = values_of(folds)
    families = folds["family"].to_numpy()
    mean, names = values.mean(axis=1), np.unique(families)
    without = [stats.linregress(x[families != f], mean[families != f]).slope for f in names]
    error = np.sqrt(3 / 4 * np.square(without - np.mean(without)).sum())
    found = difference(folds, "models", clusters=families)
    assert float(found["error"]) == pytest.approx(error) and float(found["freedom"]) == 3
    counts = inference.draw_counts(12, 30, np.random.default_rng(0), families)
    for name in names:
        assert (np.ptp(counts[:, families == name], axis=1) == 0).all()
    drawn = difference(folds, "models", "bootstrap", 100, clusters=families)
    assert float(drawn["low"]) < float(drawn["high"])


def test_swapped_hemispheres_change_the_sign_exactly():
    scores = with_folds()
    swapped = scores["hemisphere"].to_series().replace({"L": "R", "R": "L"}).to_numpy()
    mirrored = scores.assign_coords(hemisphere=("voxel", swapped))
    there, back = (
        inference.slopes(inference.fold_table(one), "models").sel(side="L-R")
        for one in (scores, mirrored)
    )
    assert (there["slope"] == -back["slope"]).all()
    np.testing.assert_allclose(there["low"], -back["high"])


@pytest.mark.parametrize("noise", [(0.0, 0.02, 0.01), (0.02, 0.0, 0.0), (0.01, 0.01, 0.01)])
def test_intervals_over_both_cover_and_models_alone_do_not(noise):
    """What varies is drawn anew in each of 300 brains; folds are independent here."""
    folds = fold_scores(brains=300, noise=noise, seed=1)
    covered = {}
    for what in ("models", "both"):
        found = difference(folds, what)
        covered[what] = float(((found["low"] <= 0) & (found["high"] >= 0)).mean())
    assert covered["both"] >= 0.93
    if noise[1] > noise[0]:
        assert covered["models"] < 0.8


def test_published_slopes_have_intervals_over_models():
    rows = published.region_table()
    folds = inference.table_as_folds(rows[rows["kind"] == "language model"])
    found = inference.slopes(folds, "models").sel(side="L-R")
    fits = regions.difference_fits(regions.region_fits(rows, 100, np.random.default_rng(0)))
    for name, fit in fits.items():
        assert float(found["slope"].sel(region=name)) == pytest.approx(fit.slope)
    assert float(found["low"].sel(region="AG_TPJ")) > 0 > float(found["low"].sel(region="BA44"))


@pytest.mark.parametrize(
    ("models", "arguments", "words"),
    [
        (1, {}, "at least 3 models; 1 was given"),
        (12, {"resample": "voxels"}, "resample is 'voxels'"),
        (12, {"method": "guess"}, "method 'guess'"),
        (12, {"clusters": ["a", "b"] * 6}, "Families can be resampled"),
    ],
)
def test_bad_requests_are_refused(models, arguments, words):
    with pytest.raises(InputError, match=words):
        inference.slopes(fold_scores(models=models), **arguments)


def test_one_size_has_no_slope():
    folds = fold_scores()
    alike = folds.assign_coords(n_parameters=("model", np.full(12, 1000)))
    with pytest.raises(InputError, match="several sizes"):
        inference.slopes(alike)


def test_two_runs_cannot_be_resampled():
    with pytest.raises(InputError, match="at least 3; 2 was given"):
        inference.slopes(fold_scores(folds=2))
    assert np.isfinite(difference(fold_scores(folds=2), "models")["low"])


def test_a_region_outside_the_mask_is_refused():
    with pytest.raises(InputError, match="'V1' has no voxels on both sides.*AG_TPJ"):
        inference.region_masks(brain_scores(), ["BA45", "V1"])
    nowhere = np.zeros(len(voxel_table()), dtype=bool)
    with pytest.raises(InputError, match="'none' has no voxels in hemisphere L"):
        inference.fold_table(with_folds(), {"none": nowhere})


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=12))
def test_corrections(p):
    p = np.array(p)
    holm, fdr = statistics.corrected(p), statistics.corrected(p, "fdr")
    order, n = np.argsort(p), len(p)
    expected = np.empty(n)
    expected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(n, 0, -1)), 1)
    np.testing.assert_allclose(holm, expected)
    np.testing.assert_allclose(fdr, stats.false_discovery_control(p))
    assert (holm >= fdr - 1e-12).all() and (fdr >= p - 1e-12).all()


def test_another_correction_is_refused():
    with pytest.raises(InputError, match="'holm' or 'fdr'"):
        statistics.corrected([0.1], "none")
