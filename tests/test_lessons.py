"""Lessons on what misleads: known answers, and the truth of small simulated brains."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from brainalign import lessons, lessons_nulls, lessons_slopes, plots_lessons
from brainalign import lessons_tables as lesson
from brainalign.companion.parameters import read_schema, resolve
from brainalign.errors import InputError
from brainalign.fitting import load_responses
from brainalign.lessons_brains import (
    matched,
    sample_voxels,
    silent,
    slow_noise,
    small_brain,
    true_signal,
    word_regressors,
)
from brainalign.studies import load_study
from brainalign.study import standardise


@pytest.fixture(scope="module")
def study():
    return load_study("testbed", n_runs=3, n_scans=120)


@pytest.fixture(scope="module")
def brain(study):
    return small_brain(study, sample_voxels(study, 300), seed=3)


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def test_bumps_know_the_time_in_their_own_run_only():
    first, second = lessons.time_bumps([9, 7], step=4, width=1.0)
    assert first.shape == (9, 5) and second.shape == (7, 5)
    assert not first[:, 3:].any() and not second[:, :3].any()
    assert [first[scan, k] for k, scan in enumerate((0, 4, 8))] == [1, 1, 1]
    assert first[5, 1] == pytest.approx(np.exp(-0.5))


@pytest.mark.parametrize("block", [1, 4, 10])
def test_folds_share_out_all_scans_and_keep_blocks_together(block, rng):
    folds = lessons.block_folds([10, 10, 7], block, 3, rng)
    assert sorted(np.concatenate(folds)) == list(range(27))
    starts = {0, 10, 20}
    for fold in folds:
        inside = set(fold)
        for scan in fold:
            start = max(s for s in starts if s <= scan)
            first = start + (scan - start) // block * block
            end = min(first + block, {0: 10, 10: 20, 20: 27}[start])
            assert set(range(first, end)) <= inside


def test_blocks_as_long_as_runs_leave_runs_whole(rng):
    folds = lessons.block_folds([10, 10, 7], 10, 3, rng)
    found = sorted(tuple(fold) for fold in folds)
    assert found == [tuple(range(10)), tuple(range(10, 20)), tuple(range(20, 27))]


def test_bad_blocks_are_refused(rng):
    with pytest.raises(InputError, match="block is 0"):
        lessons.block_folds([10], 0, 3, rng)
    with pytest.raises(InputError, match="1 blocks; at least 3"):
        lessons.block_folds([10], 20, 3, rng)


def test_time_alone_predicts_shuffled_scans_and_no_whole_run(rng):
    responses = [standardise(slow_noise(60, 20, 0.8, rng)) for _ in range(4)]
    features = {"time": lessons.time_bumps([60] * 4)}
    found = lessons.leakage(features, responses, [1, 500], rng).set_index("block")["score"]
    assert list(found.index) == [1, 60]
    assert found[1] > 0.4 and found[60] == 0


def test_expected_maximum_of_normal_numbers():
    known = {1: 0, 2: 1 / np.sqrt(np.pi), 3: 1.5 / np.sqrt(np.pi), 10: 1.5388}
    for n, value in known.items():
        assert lessons.expected_maximum(n) == pytest.approx(value, abs=1e-4)


def test_a_layer_chosen_by_test_score_scores_what_chance_gives(rng):
    r = {name: rng.normal(0, 0.1, (4, 9, 3000)) for name in ("r_fold", "r_inner")}
    scores = xr.Dataset({name: (("fold", "layer", "voxel"), v) for name, v in r.items()})
    found = lessons.invented(scores, rng, n_draws=3)
    assert list(found["layers"]) == list(range(1, 10))
    np.testing.assert_allclose(found[lessons.CHOSEN], found[lessons.EXPECTED], atol=0.003)
    np.testing.assert_allclose(found[lessons.NESTED], 0, atol=0.004)
    last = 0.1 / np.sqrt(4) * lessons.expected_maximum(9)
    assert found[lessons.CHOSEN].iloc[-1] == pytest.approx(last, abs=0.003)


def test_slow_noise_is_as_slow_as_asked(rng):
    values = slow_noise(4000, 30, 0.7, rng)
    assert lessons_nulls.lag_one_correlation(values).mean() == pytest.approx(0.7, abs=0.01)
    assert values.var() == pytest.approx(1, abs=0.03)
    for wrong in (-0.1, 1.0):
        with pytest.raises(InputError, match="from 0 to below 1"):
            slow_noise(10, 1, wrong, rng)


def test_all_shifts_at_once_are_the_shifts_one_by_one(rng):
    x, y = rng.standard_normal((2, 40, 3))
    found = lessons_nulls.shift_null(x, y, least=15)
    one_by_one = [
        [np.corrcoef(x[:, k], np.roll(y[:, k], -shift))[0, 1] for k in range(3)]
        for shift in range(15, 26)
    ]
    np.testing.assert_allclose(found, one_by_one, atol=1e-6)


def test_usual_p_and_p_for_fewer_scans(rng):
    x, y = slow_noise(100, 5, 0.6, rng), slow_noise(100, 5, 0.6, rng)
    p = lessons_nulls.pair_tests(x, y, rng, 19)
    usual = [stats.pearsonr(x[:, k], y[:, k], alternative="greater").pvalue for k in range(5)]
    np.testing.assert_allclose(p[lessons_nulls.NAIVE], usual, rtol=1e-9)
    a, b = (np.corrcoef(v[:-1, 0], v[1:, 0])[0, 1] for v in (x, y))
    n = 100 * (1 - a * b) / (1 + a * b)
    r = np.corrcoef(x[:, 0], y[:, 0])[0, 1]
    expected = stats.t.sf(r * np.sqrt((n - 2) / (1 - r**2)), n - 2)
    assert p[lessons_nulls.EFFECTIVE][0] == pytest.approx(expected)


def test_only_the_usual_p_is_fooled_by_slowness(rng):
    rates = lessons_nulls.false_positives([0, 0.8], 800, 300, rng, n_permutations=99)
    found = rates.set_index(["lag_one", "test"])["rate"]
    assert len(found) == 2 * len(lessons_nulls.TESTS)
    assert found[0.8, lessons_nulls.NAIVE] > 0.15
    for test in set(lessons_nulls.TESTS) - {lessons_nulls.NAIVE}:
        assert 0.02 < found[0.8, test] < 0.1, test
    for test in lessons_nulls.TESTS:
        assert 0.02 < found[0, test] < 0.09, test


def test_p_of_exactly_the_level_is_found(monkeypatch, rng):
    """With 199 permutations p has steps of .005: below .05 would be 4.5 % at most."""
    p = np.arange(1, 201) / 200
    monkeypatch.setattr(lessons_nulls, "pair_tests", lambda *how: {lessons_nulls.BLOCKS: p})
    rates = lessons_nulls.false_positives([0], 200, 10, rng)
    assert rates["rate"].iloc[0] == 0.05


def test_quotients_of_a_perfect_model():
    true = np.linspace(0.1, 0.6, 60)
    found = lessons.divided(true, true, true * 0.9, n_bins=3)
    for column in ("low", "middle", "high", "mean", "of_means", "of_true"):
        np.testing.assert_allclose(found[column], 0.9)
    assert list(found["voxels"]) == [20, 20, 20] and not found["undefined"].any()
    estimate = np.where(np.arange(60) < 5, 0, true)
    score = np.where(np.arange(60) == 59, np.nan, true)
    found = lessons.divided(true, estimate, score, n_bins=3)
    assert found["undefined"].tolist() == [0.25, 0, 0] and found["voxels"].sum() == 59
    assert found["mean"].iloc[0] == pytest.approx(1) and found["of_means"].iloc[0] > 1.1


def test_p_over_runs(rng):
    r = rng.normal(0.02, 0.1, (9, 4))
    usual = stats.ttest_1samp(r, 0, alternative="greater")
    np.testing.assert_allclose(lessons.run_p(r, apart=True), usual.pvalue)
    t = usual.statistic * np.sqrt((1 / 9) / (1 / 9 + 1 / 8))
    np.testing.assert_allclose(lessons.run_p(r), stats.t.sf(t, 8))


def test_discoveries_are_counted_by_every_rule():
    spread = np.tile([-0.01, 0, 0.01], 3)[:, None]
    sure, none, weak = 0.5 + spread, spread, 0.0065 + spread
    r = np.hstack([sure, sure, weak, none, none, none])
    empty = np.array([False, True, False, True, True, True])
    found = lessons.discoveries(r, empty).set_index("rule")
    assert list(found.index) == list(lessons.RULES)
    assert found.loc[lessons.RULES[0]].tolist() == [3, 1, 0]
    assert found.loc["Holm"].tolist() == [2, 1, 1]
    noise = lessons.noise_discoveries(np.hstack([r, spread + np.zeros(6)]), 2).set_index("rule")
    assert noise.loc["Holm"].tolist() == [pytest.approx(1 / 6), 0.5]


def test_small_brain_knows_its_signal_and_its_ceiling(study, brain):
    assert silent(brain).any() and not silent(brain).all()
    ceiling = brain.truth["noise_ceiling"].to_numpy()
    assert (ceiling[silent(brain)] == 0).all()
    scores = lessons.perfect_scores(true_signal(brain), load_responses(brain))
    loud = ceiling > 0.3
    assert scores[loud].mean() == pytest.approx(ceiling[loud].mean(), rel=0.05)
    alone = small_brain(study, sample_voxels(study, 300), seed=3, alone=True)
    np.testing.assert_allclose(alone.truth["noise_ceiling"], ceiling, atol=0.02)
    assert len(alone.subjects) == 1 and alone.fingerprint != brain.fingerprint


def test_signal_is_weaker_on_one_side_only(study):
    keep = sample_voxels(study, 0)
    whole = small_brain(study, keep, asymmetry=0)
    weak = small_brain(study, keep, asymmetry=0, gains=(1, 0.5))
    left = (whole.voxels["hemisphere"] == "L").to_numpy()
    np.testing.assert_array_equal(weak.truth["signal"][..., left], whole.truth["signal"][..., left])
    right = whole.truth["signal"][..., ~left]
    np.testing.assert_allclose(weak.truth["signal"][..., ~left], right / 2, rtol=1e-5)
    noise = small_brain(study, keep, gains=(0, 0))
    assert silent(noise).all() and not noise.truth["signal"].any()


def test_noise_is_made_equal_by_region(study, rng):
    weak = small_brain(study, sample_voxels(study, 0), asymmetry=0, gains=(1, 0.5), alone=True)
    responses = load_responses(weak)
    equal = matched(weak, responses, rng)
    side = weak.voxels["hemisphere"].to_numpy()
    np.testing.assert_allclose(equal[0][:, side == "R"], responses[0][:, side == "R"], atol=1e-5)
    scores = {
        name: lessons.perfect_scores(true_signal(weak), runs)
        for name, runs in [("before", responses), ("after", equal)]
    }
    gap = {k: v[side == "L"].mean() - v[side == "R"].mean() for k, v in scores.items()}
    assert gap["before"] > 0.1 and abs(gap["after"]) < 0.02


def test_only_the_testbed_is_known_well_enough(study):
    from dataclasses import replace

    with pytest.raises(InputError, match="'alice'; 'testbed' is expected"):
        small_brain(replace(study, name="alice"), sample_voxels(study, 0))
    with pytest.raises(InputError, match="from 0"):
        small_brain(study, sample_voxels(study, 0), gains=(1, -1))


def test_sample_holds_all_regions_and_so_many_others(study):
    regions = (study.voxels["roi"] != "").to_numpy()
    keep = sample_voxels(study, 25, seed=1)
    assert keep[regions].all() and keep.sum() == regions.sum() + 25
    assert (sample_voxels(study, 25, seed=2) != keep).any()


def sides():
    """Brains whose sides differ in their ceilings only, and one whose left knows more."""
    rows = []
    for kind, right, growth in [("weaker", 0.2, 0.1), (lessons_slopes.PLANTED, 0.4, 0.05)]:
        for brain in (0, 1):
            for size in (1e4, 1e5, 1e6):
                knows = 0.2 + 0.1 * np.log10(size / 1e4)
                left = 0.4 * knows
                other = right * (0.2 + growth * np.log10(size / 1e4))
                row = {"kind": kind, "brain": brain, "model": f"m{size:.0f}", "n_parameters": size}
                row |= {"left": left, "right": other, "ceiling_left": 0.4, "ceiling_right": right}
                rows.append(row | {"left_matched": left * right / 0.4, "right_matched": other})
    return pd.DataFrame(rows)


def test_a_difference_of_ceilings_alone_makes_a_slope():
    found = lessons_slopes.brain_slopes(sides())
    weaker = found[found["kind"] == "weaker"].iloc[0]
    assert weaker["slope"] == pytest.approx((0.4 - 0.2) * 0.1) and weaker["r"] == pytest.approx(1)
    assert weaker["slope_divided"] == pytest.approx(0) == weaker["slope_matched"]
    planted = found[found["kind"] == lessons_slopes.PLANTED].iloc[0]
    assert planted["slope"] == pytest.approx(0.4 * 0.05) == planted["slope_matched"]
    assert planted["slope_divided"] == pytest.approx(0.05)


def test_expected_difference_is_that_of_the_ceilings():
    found = lessons_slopes.expected_difference(sides())
    weaker = found[found["kind"] == "weaker"]
    np.testing.assert_allclose(weaker["difference"], weaker["expected"])
    assert not found.loc[found["kind"] != "weaker", "expected"].any()
    table = lessons_slopes.slopes_table(sides()).set_index("brains")
    assert table.loc["weaker", "ceilings alone"] == pytest.approx(0.02)
    assert table.loc["weaker", "slope"] == pytest.approx(0.02)


def test_choices_that_cannot_be_drawn_are_refused():
    with pytest.raises(InputError, match="every factor is expected once"):
        lessons_slopes.kinds([0.8, 0.6, 0.8])
    schema = read_schema("pitfalls")
    for name, wrong in [
        ("slowness", []),
        ("slowness", [1.0]),
        ("slowness", [-0.5]),
        ("n_models", 500),
    ]:
        with pytest.raises(InputError, match=name):
            resolve(schema, {name: wrong}, "pitfalls")


def test_kinds_of_brains():
    names = [kind.name for kind in lessons_slopes.kinds([0.5])]
    assert names == [lessons_slopes.ALIKE, "right signal × 0.5", lessons_slopes.PLANTED]


def test_sides_of_simulated_brains(study):
    keep = np.zeros(study.n_voxels, bool)
    keep[np.flatnonzero(sample_voxels(study, 0))[::20]] = True
    regressors = {f"v{n}": word_regressors(study, f"random-embeddings-{n}") for n in (8, 16, 24)}
    sizes = {"v8": 1e4, "v16": 1e5, "v24": 1e6}
    kinds = lessons_slopes.kinds([0.5])
    found = lessons_slopes.side_table(study, keep, regressors, sizes, kinds, [0, 1])
    assert len(found) == 3 * 3 * 2
    ceilings = found.groupby("kind")[["ceiling_left", "ceiling_right"]].mean()
    weak = ceilings.loc["right signal × 0.5"]
    assert weak["ceiling_right"] < 0.65 * weak["ceiling_left"]
    assert ceilings.loc[lessons_slopes.ALIKE].diff().abs().iloc[1] < 0.05
    for figure, alt in [
        (plots_lessons.growth_figure, plots_lessons.growth_alt),
        (plots_lessons.remedies_figure, plots_lessons.remedies_alt),
    ]:
        assert figure(found).get_size_inches()[0] > 6
        assert all(kind.name in alt(found) for kind in kinds)


def leaked():
    rows = [(lesson.MODEL, 1, 0.3), (lesson.MODEL, 80, 0.1)]
    rows += [(lesson.RANDOM, 1, 0.2), (lesson.RANDOM, 80, 0.0)]
    rows += [(lesson.TIME, 1, 0.5), (lesson.TIME, 80, 0.0)]
    return pd.DataFrame(rows, columns=["features", "block", "score"])


def test_published_gains_are_held_against_those_here():
    rows = {row.what: (row.printed, row.here) for row in lesson.paper_rows(leaked())}
    assert len(rows) == 6
    gain = rows[f"Pereira2018, GPT2-XL; here: {lesson.MODEL}"]
    assert gain == pytest.approx((0.398 - 0.14, 0.2))
    assert rows[f"Blank2014, OASM; here: {lesson.TIME}"] == pytest.approx((0.5, 0.5))
    table = lesson.folds_table(leaked()).set_index(["data", "features"])
    assert len(table) == 8
    assert table.loc[("here, simulated", lesson.MODEL)].tolist() == [0.3, 0.1]
    assert table.loc[("Pereira2018", "OASM")].tolist() == [0.451, 0]


def test_numbers_of_the_page(rng):
    chosen = pd.DataFrame({"layers": [1, 2], lessons.CHOSEN: [0, 0.05], lessons.NESTED: [0, 0.01]})
    rates = lessons_nulls.false_positives([0, 0.5], 100, 60, rng, n_permutations=9)
    true = np.linspace(0.1, 0.6, 60)
    groups = lessons.divided(true, true, true)
    counted = lessons.noise_discoveries(rng.normal(size=(5, 8)), 2)
    found = lesson.numbers(leaked(), chosen, rates, groups, counted, sides())
    assert found["shuffled_time"] == 0.5 and found["whole_runs_time"] == 0
    assert found["invented_by_choice"] == pytest.approx(0.04)
    assert found["slope_weaker"] == pytest.approx(0.02)
    assert found["slope_matched_language_on_the_left"] == pytest.approx(0.02)
    of = rates[(rates["lag_one"] == 0.5) & (rates["test"] == lessons_nulls.SHIFTS)]
    assert found["false_positives_shifts"] == of["rate"].item()


def test_alt_texts_say_the_numbers(rng):
    assert "0.500 with blocks of 1, 0.000 with whole runs" in plots_lessons.leakage_alt(leaked())
    rates = pd.DataFrame(
        {
            "lag_one": [0.8],
            "test": [lessons_nulls.NAIVE],
            "rate": [0.25],
            "low": [0.2],
            "high": [0.3],
        }
    )
    assert f"{lessons_nulls.NAIVE}: 0.250 at 0.8" in plots_lessons.nulls_alt(rates, 0.45)
    assert "(0.45 in the simulated responses)" in plots_lessons.nulls_alt(rates, 0.45)
    true = np.linspace(0.1, 0.6, 60)
    groups = lessons.divided(true, true, true)
    assert "60 voxels, r = 1.00" in plots_lessons.ceilings_alt(true, true, groups)
    chosen = lessons.invented(
        xr.Dataset(
            {
                n: (("fold", "layer", "voxel"), rng.normal(size=(3, 2, 9)))
                for n in ("r_fold", "r_inner")
            }
        ),
        rng,
    )
    assert "of 2" in plots_lessons.invented_alt(chosen)
    for figure in (
        plots_lessons.leakage_figure(leaked()),
        plots_lessons.nulls_figure(rates, 0.45),
        plots_lessons.ceilings_figure(true, true, groups),
        plots_lessons.invented_figure(chosen),
    ):
        assert any("SIMULATED" in text.get_text() for text in figure.texts)
