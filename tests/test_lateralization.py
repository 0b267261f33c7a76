"""Left and right: by hand on a few voxels, against linear regression, and under swapped labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic_scores import brain_scores, reliable_voxels, simulated_scores

from brainalign import (
    comparison,
    lateralization,
    lateralization_tables,
    published,
    published_panels,
    regions,
)
from brainalign.errors import InputError
from brainalign.statistics import bootstrap_indices, fit_line
from brainalign.study import hemispheres


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def simulated():
    return simulated_scores()


def score(table, model, voxels, statistic, hemisphere):
    keys = ["model", "voxels", "statistic", "hemisphere"]
    return table.set_index(keys)["score"][model, voxels, statistic, hemisphere]


def test_means_and_percentiles_by_hand():
    scores, reliable = brain_scores(), reliable_voxels()
    table = lateralization.hemisphere_table(scores, reliable)
    model = "nano-gpt2-64x4"
    values = scores.sel(model=model).to_numpy().astype(float)
    side, keep = scores["hemisphere"].to_numpy(), reliable.to_numpy()
    assert score(table, model, "all", "mean", "both") == pytest.approx(values.mean())
    assert score(table, model, "all", "mean", "L") == pytest.approx(values[side == "L"].mean())
    expected = values[keep & (side == "R")].mean()
    assert score(table, model, "reliable", "mean", "R") == pytest.approx(expected)
    ranked = np.sort(values[side == "L"])
    position = 0.9 * (len(ranked) - 1)
    low = ranked[int(position)]
    expected = low + (position % 1) * (ranked[int(position) + 1] - low)
    assert score(table, model, "all", "90th percentile", "L") == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_swapped_labels_flip_the_sign_exactly(seed):
    scores = brain_scores(noise=0.1, seed=seed)
    side = scores["hemisphere"].to_numpy()
    swapped = scores.assign_coords(
        hemisphere=("voxel", np.select([side == "L", side == "R"], ["R", "L"], side))
    )
    tables = [
        lateralization.hemisphere_table(part, reliable_voxels()) for part in (scores, swapped)
    ]
    first, second = (part[part["hemisphere"] == "L-R"]["score"].to_numpy() for part in tables)
    np.testing.assert_array_equal(first, -second)
    fits = [
        lateralization.hemisphere_fits(part, "reliable voxels", 100, rng())["L-R"]
        for part in tables
    ]
    assert fits[0].slope == -fits[1].slope and fits[0].r == -fits[1].r


def test_rules_for_the_midline():
    scores, reliable = brain_scores(), reliable_voxels()
    anatomical, split = (
        lateralization.hemisphere_table(scores, reliable, rule)
        for rule in ("anatomical", "published")
    )
    model, values = "nano-gpt2-8x2", scores.sel(model="nano-gpt2-8x2").to_numpy().astype(float)
    half = len(values) // 2
    assert score(split, model, "all", "mean", "L") == pytest.approx(values[:half].mean())
    assert score(split, model, "all", "mean", "R") == pytest.approx(values[half:].mean())
    assert score(anatomical, model, "all", "mean", "L") != score(split, model, "all", "mean", "L")
    for statistic in ("mean", "90th percentile"):
        both = [score(part, model, "all", statistic, "both") for part in (anatomical, split)]
        assert both[0] == both[1]
    assert set(split["hemisphere_rule"]) == {"published"}
    with pytest.raises(InputError, match="'radiological'"):
        lateralization.hemisphere_table(scores, reliable, "radiological")
    assert callable(hemispheres)


def test_seeds_come_from_names():
    names = [
        "random-vectors-16:seed-2",
        "gpt2:untrained-1",
        "gpt2",
        "C:seed-x",
        "a:seed-3:untrained-4",
    ]
    assert [lateralization.model_seed(name) for name in names] == [2, 1, None, None, 4]


def test_missing_scores_and_wrong_masks_are_refused():
    scores = brain_scores()
    scores[3, 5] = np.nan
    with pytest.raises(InputError, match="missing or infinite in 1 of"):
        lateralization.hemisphere_table(scores, reliable_voxels())
    with pytest.raises(InputError, match="one value for each"):
        lateralization.hemisphere_table(brain_scores(), reliable_voxels()[:-1])


def test_published_numbers():
    fits = lateralization.all_fits(published.score_table(), 200, rng())
    numbers = lateralization.numbers(fits)
    assert numbers["r_log_parameters_difference"] == pytest.approx(0.82, abs=0.006)
    assert numbers["r_log_parameters_difference_reliable"] == pytest.approx(0.89, abs=0.006)
    assert numbers["slope_difference_per_decade_reliable"] == pytest.approx(
        0.00319 * np.log(10), abs=1e-4
    )
    names = ["left", "right", "difference"]
    assert {
        f"r_log_parameters_{name}{suffix}" for name in names for suffix in ("", "_reliable")
    } | {
        "slope_difference_per_decade",
        "slope_difference_per_decade_reliable",
    } <= numbers.keys()


def test_slope_of_the_difference_is_the_difference_of_slopes(simulated):
    for fits in lateralization.all_fits(simulated.table, 100, rng()).values():
        assert fits["L-R"].slope == pytest.approx(fits["L"].slope - fits["R"].slope, abs=1e-12)
        drawn = fits["L"].samples[:, 0] - fits["R"].samples[:, 0]
        np.testing.assert_allclose(fits["L-R"].samples[:, 0], drawn, atol=1e-12)


def test_interaction_is_the_regression_of_the_difference(simulated):
    for measure in lateralization.MEASURES:
        test = lateralization.interaction(simulated.table, measure)
        rows = lateralization.measure_rows(simulated.table, measure, "L-R")
        expected = stats.linregress(np.log10(rows["n_parameters"]), rows["score"])
        assert test["coefficient"] == pytest.approx(expected.slope)
        assert test["standard_error"] == pytest.approx(expected.stderr)
        assert test["p"] == pytest.approx(expected.pvalue)
        assert test["freedom"] == len(rows) - 2


def test_asymmetry_is_found_where_planted_and_only_there(simulated):
    table = simulated.table
    rows = lateralization_tables.trust_table(table, "reliable voxels", 200, rng())
    slopes = rows.set_index("what")["slope per decade"]
    assert slopes["all models"] > 0.002
    assert abs(slopes["untrained nano GPT-2, seed 0"]) < 0.3 * slopes["all models"]
    assert rows["what"].iloc[-1].startswith("regression: hemisphere × log size")


def test_published_comparison_is_within_rounding():
    fits = lateralization.all_fits(published.score_table(), 100, rng())
    region_fits = regions.region_fits(published.region_table(), 100, rng())
    rows = lateralization_tables.paper_rows(fits, regions.difference_fits(region_fits))
    assert len(rows) == 2 * (3 + 7)
    assert set(comparison.compare(rows, True)["agrees"]) == {"yes"}


def test_scores_are_divided_by_reliability_before_they_are_averaged(simulated):
    scores, reliable = brain_scores(), reliable_voxels()
    isc = np.linspace(0.2, 0.8, scores.sizes["voxel"])
    table = lateralization.isc_normalised(scores, isc, reliable)
    assert set(table["hemisphere"]) == {"L", "R", "L-R"}
    model = "nano-gpt2-64x4"
    keep = reliable.to_numpy() & (scores["hemisphere"].to_numpy() == "L")
    expected = (scores.sel(model=model).to_numpy().astype(float) / isc)[keep].mean()
    found = score(table, model, "reliable", lateralization.NORMALISED, "L")
    assert found == pytest.approx(expected)
    isc[keep.argmax()] = 0
    with pytest.raises(InputError, match="divided by 0 in a reliable voxel"):
        lateralization.isc_normalised(scores, isc, reliable)


def test_the_paper_after_division_by_reliability():
    table = published_panels.isc_normalised()
    fit = lateralization.hemisphere_fits(table, "score / ISC", 100, rng())["L-R"]
    assert fit.r == pytest.approx(0.87, abs=0.006)
    assert lateralization.zero_crossing(fit) == pytest.approx(3.7e9, rel=0.02)
    rows = lateralization.measure_rows(table, "score / ISC", "L-R")
    assert (rows["score"] < 0).sum() == 19


def test_nulls_stand_beside_the_models(simulated):
    rows = lateralization_tables.null_table(simulated.table, "reliable voxels", {})
    rows = rows.set_index("what")
    slope = rows["slope of left − right per decade"]
    assert slope["language models"] > 0.002 > 3 * abs(slope["untrained copies"])
    assert np.isnan(slope["random vectors"]) and rows.loc["random vectors", "n"] == 6
    known = lateralization.hemisphere_fits(simulated.table, "reliable voxels", 100, rng())["L-R"]
    assert slope["language models"] == pytest.approx(known.slope)


def test_regions_planted_alike_may_leave_out_zero():
    x, draws = np.arange(8.0), bootstrap_indices(8, 200, rng())
    noise = np.tile([0.01, -0.01, -0.01, 0.01], 2)
    flat, steep = (fit_line(x, slope * x + noise, draws) for slope in (0, 0.1))
    held = lateralization_tables.alike_text({"A1": flat})
    assert "Planted alike on both sides: A1." in held and "holds 0 in all of them" in held
    both = lateralization_tables.alike_text({"A1": flat, "BA44": steep})
    assert "sides: A1 and BA44." in both and "leaves out 0 in BA44." in both


def test_tables(simulated):
    fits = lateralization.all_fits(simulated.table, 100, rng())
    assert len(lateralization.fits_table(fits)) == 9
    table = lateralization.model_table(simulated.table)
    assert len(table) == 9 and table.shape[1] == 3 + 9
    with pytest.raises(InputError, match="'left ear'"):
        lateralization.measure_rows(simulated.table, "left ear", "L")


def test_a_flat_line_crosses_zero_beyond_all_numbers():
    x = np.arange(4.0)
    nearly, flat = (fit_line(x, 0.02 + slope * x) for slope in (-1e-5, 0.0))
    assert lateralization.zero_crossing(nearly) == np.inf
    assert np.isnan(lateralization.zero_crossing(flat))
