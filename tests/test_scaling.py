"""Lines against model size, on scores with known slopes and on the published ones."""

import numpy as np
import pytest
from scipy import stats
from synthetic_scores import SIZES, discourse_weight, reliable_voxels, simulated_scores, voxel_table

from brainalign import comparison, published, scaling
from brainalign.errors import InputError
from brainalign.scores import study_scores


@pytest.fixture(scope="module")
def simulated():
    return simulated_scores()


def rng():
    return np.random.default_rng(0)


def test_slope_is_the_planted_one(simulated):
    fit = scaling.fit_scaling(simulated.table, "reliable", 500, rng())
    planted = 0.03 * discourse_weight(voxel_table())[reliable_voxels().to_numpy()].mean()
    assert fit.n == len(SIZES)
    assert fit.slope == pytest.approx(planted, rel=0.05)
    assert fit.slope_interval[0] < planted < fit.slope_interval[1]


def test_published_line_agrees_with_scipy():
    table = published.score_table()
    fit = scaling.fit_scaling(table, "reliable", 1000, rng())
    rows = scaling.select(table, "reliable")
    expected = stats.linregress(np.log10(rows["n_parameters"]), rows["score"])
    assert (fit.slope, fit.r, fit.p) == pytest.approx(
        (expected.slope, expected.rvalue, expected.pvalue)
    )
    # Per unit of the natural logarithm the paper's figure gives .01187 [.0103, .0134].
    assert fit.slope / np.log(10) == pytest.approx(0.01187, abs=3e-5)
    assert fit.slope_interval[0] / np.log(10) == pytest.approx(0.0103, abs=5e-4)
    assert fit.slope_interval[1] / np.log(10) == pytest.approx(0.0134, abs=5e-4)


def test_same_seed_same_interval():
    table = published.score_table()
    first, second = (scaling.fit_scaling(table, "all", 200, rng()) for _ in range(2))
    assert first.slope_interval == second.slope_interval


def test_only_language_models_are_fitted(simulated):
    rows = scaling.select(simulated.table, "all")
    assert set(rows["kind"]) == {"language model"}
    assert rows["n_parameters"].is_monotonic_increasing


def test_missing_rows_are_one_sentence():
    with pytest.raises(InputError, match="no rows with voxels 'reliable'.*'90th percentile'"):
        scaling.select(published.score_table(), "reliable", "90th percentile")


def test_families():
    table = scaling.family_fits(published.score_table(), "reliable").set_index("family")
    assert table["models"].sum() == 28
    assert table.index[0] == "OPT" and table["models"].iloc[0] == 6
    assert np.isnan(table["r with log parameters"]["Gemma"])
    assert np.isnan(table["slope per decade"]["Mistral"])
    rows = scaling.select(published.score_table(), "reliable")
    opt = rows[rows["family"] == "OPT"]
    expected = stats.linregress(np.log10(opt["n_parameters"]), opt["score"])
    assert table["slope per decade"]["OPT"] == pytest.approx(expected.slope)
    assert table["r with log parameters"]["OPT"] == pytest.approx(expected.rvalue)


def test_sensitivity_of_published_asymmetry():
    rows = scaling.sensitivity(
        published.score_table(), "reliable", "mean", "L-R", 200, rng()
    ).set_index("what")
    # Without the three smallest models .82 was found from the digitised points.
    assert rows["r with log parameters"]["without the three smallest"] == pytest.approx(
        0.82, abs=0.006
    )
    assert "all models, whole families drawn" in rows.index
    assert rows["models"]["untrained GPT-2, seed 1"] == 4
    assert rows["r with log parameters"]["untrained GPT-2, seed 1"] == pytest.approx(
        -0.026, abs=2e-3
    )
    assert rows["95 % interval"]["untrained GPT-2, seed 1"] == "–"


def test_untrained_models_do_not_grow(simulated):
    rows = scaling.sensitivity(simulated.table, "reliable", "mean", "both", 200, rng())
    rows = rows.set_index("what")["slope per decade"]
    assert abs(rows["untrained nano GPT-2, seed 0"]) < 0.1 * rows["all models"]


def test_the_papers_points_give_what_it_prints():
    rows = scaling.paper_rows(published.score_table())
    assert [row.what for row in rows] == [
        f"{where}: {what}" for where in ("whole brain", "reliable voxels") for what in "rp"
    ]
    assert (comparison.compare(rows, published_points=True)["agrees"] == "yes").all()


def test_ceiling_is_the_planted_one(simulated):
    rows = scaling.ceiling_comparison(simulated.table)
    rows = rows.set_index(["voxels", "hemisphere"])["noise ceiling (truth)"]
    weight, voxels = discourse_weight(voxel_table()), voxel_table()
    assert rows["all", "both"] == pytest.approx((0.3 + 0.1 * weight).mean())
    left = (voxels["hemisphere"] == "L").to_numpy()
    assert rows["all", "left"] == pytest.approx((0.3 + 0.1 * weight[left]).mean())
    assert scaling.ceiling_comparison(published.score_table()) is None


def test_numbers(simulated):
    fit = scaling.fit_scaling(simulated.table, "reliable", 200, rng())
    numbers = scaling.numbers(simulated.table, fit, simulated.regions)
    assert {"n_models", "r_log_parameters", "slope_per_decade"} <= numbers.keys()
    assert len([name for name in numbers if name.startswith("score_")]) == 9 * 8
    regions = simulated.regions
    part = regions[(regions["model"] == "nano-gpt2-8x2") & (regions["roi"] == "TP")]
    assert numbers["score_nano-gpt2-8x2_TP"] == pytest.approx(part["score"].mean())
    assert not any(
        name.startswith("score_") for name in scaling.numbers(simulated.table, fit, None)
    )


def test_numbers_of_whole_regions_name_the_hemisphere(simulated):
    fit = scaling.fit_scaling(simulated.table, "reliable", 200, rng())
    regions = simulated.regions.assign(n_voxels=1)
    numbers = scaling.numbers(simulated.table, fit, regions)
    part = regions[(regions["model"] == "nano-gpt2-8x2") & (regions["roi"] == "TP")]
    scores = part.set_index("hemisphere")["score"]
    assert numbers["score_nano-gpt2-8x2_LTP"] == scores["L"]
    assert numbers["score_nano-gpt2-8x2_RTP"] == scores["R"]


def test_model_table():
    table = scaling.model_table(published.score_table())
    assert list(table.columns) == [
        "model",
        "family",
        "parameters",
        "whole brain",
        "reliable voxels",
    ]
    gpt2 = table.set_index("model").loc["gpt2"]
    assert gpt2["whole brain"] == pytest.approx(0.2417, abs=1e-4)
    assert gpt2["reliable voxels"] == pytest.approx(0.3963, abs=1e-4)


def test_study_scores_of_the_published_study():
    found = study_scores("published", ["gpt2", "gpt2-medium", "gpt2-large"])
    assert scaling.fit_scaling(found.table, "all", 100, rng()).n == 3
    assert found.truth is None and found.regions is not None


def test_simulated_scores_say_so(simulated):
    assert set(simulated.table["source"]) == {"SIMULATED LISTENERS"}
    assert set(simulated.regions["source"]) == {"SIMULATED LISTENERS"}
    assert list(simulated.table.columns) == published.SCORE_COLUMNS
