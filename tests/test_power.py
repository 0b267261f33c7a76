"""Power: against scipy's t distribution, and against counting simulated studies."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from synthetic_folds import fold_scores
from synthetic_scores import simulated_study

from brainalign import comparison, plots_power, power, scores
from brainalign.errors import InputError


@pytest.fixture(scope="module")
def designs():
    """Two numbers of listeners with two of runs; more of either, more slope."""
    parts = []
    for listeners in (1, 4):
        for runs in (5, 9):
            slope = 0.004 * listeners**0.5 * runs / 9
            folds = fold_scores(slope, 10, runs, brains=40, noise=(0.004, 0.012, 0.004))
            summary = power.design_summary(power.with_mean(folds))
            parts.append(summary.assign(listeners=listeners, runs=runs))
    return pd.concat(parts, ignore_index=True)


def test_mean_of_regions_is_one_more_region():
    folds = fold_scores(0.01)
    both = folds.assign_coords(region=["Y"]) + 1
    table = power.with_mean(xr.concat([folds, both], "region"))
    assert list(table["region"].values) == ["X", "Y", power.ALL_REGIONS]
    np.testing.assert_allclose(table.isel(region=2), folds.isel(region=0) + 0.5)
    assert (table["n_parameters"] == folds["n_parameters"]).all()


def test_formula_agrees_with_counting_studies():
    """One source of error alone: a t-test of a mean over runs, with the larger error."""
    rng = np.random.default_rng(0)
    runs, slope, spread = 9, 0.02, 0.015
    drawn = slope + spread * np.sqrt(9 * (1 / 9 + 1 / 8)) * rng.standard_normal((20_000, runs))
    # Independent runs whose mean has the variance that the formula supposes.
    error = drawn.std(axis=1, ddof=1) / np.sqrt(runs)
    found = np.abs(drawn.mean(axis=1)) > stats.t.ppf(0.975, runs - 1) * error
    expected = power.interval_power(slope, 1e-30, spread**2, 20, runs)
    assert found.mean() == pytest.approx(float(expected), abs=0.01)


def test_no_slope_is_found_as_often_as_the_level_says():
    found = power.interval_power(np.zeros(3), 1e-4, np.array([1e-4, 1e-3, 1e-2]), 8, 9)
    np.testing.assert_allclose(found, 0.05, atol=1e-6)


def test_a_huge_slope_is_always_found():
    assert power.interval_power(np.array([10.0]), 1e-8, 1e-8, 8, 36) == 1


def test_summary_counts_brains_and_agrees_with_the_formula(designs):
    part = designs[designs["region"] == power.ALL_REGIONS].iloc[-1]
    assert part["models"] == 10 and part["brains"] == 40
    assert part["slope"] == pytest.approx(0.008, abs=0.003)
    table = power.check_table(designs)
    # The formula has the larger error of folds that share runs; these do not.
    assert (table["found (part of brains)"] >= table["power (formula)"] - 0.15).all()


def test_power_grows_with_runs_and_slopes_stay_beyond_them(designs):
    predicted = power.predicted_power(designs, [5, 7, 9, 18, 36])
    for _, part in predicted.groupby(["region", "listeners"]):
        assert part["power"].is_monotonic_increasing
        beyond = part[part["runs"] >= 9]["slope"]
        assert beyond.nunique() == 1
    at_seven = predicted[predicted["runs"] == 7]["slope"].to_numpy()
    neighbours = [predicted[predicted["runs"] == n]["slope"].to_numpy() for n in (5, 9)]
    np.testing.assert_allclose(at_seven, np.mean(neighbours, axis=0))


def test_runs_needed_are_the_fewest(designs):
    predicted = power.predicted_power(designs, [5, 9, 18, 36])
    table = power.runs_needed(predicted).set_index("region")
    for (region, n), part in predicted.groupby(["region", "listeners"]):
        enough = part.loc[part["power"] >= 0.8, "runs"]
        text = table.loc[region, f"{n} listener{'' if n == 1 else 's'}"]
        if enough.empty:
            assert text == "> 36"
        else:
            assert text.removeprefix("≤ ") == str(enough.min())


def test_numbers_and_comparison(designs):
    predicted = power.predicted_power(designs, [5, 9])
    numbers = power.numbers(predicted, designs)
    assert set(numbers) == {
        f"{what}_listeners_{n}_runs_{runs}"
        for what in ("power", "found") for n in (1, 4) for runs in (5, 9)
    }  # fmt: skip
    rows = comparison.compare(power.paper_rows(predicted, 9), published_points=False)
    assert rows["paper"].tolist() == ["0.4", "0.8"]


def test_models_are_spread_over_sizes():
    names = [f"m{k}" for k in range(28)]
    assert scores.spread_models(names, 4) == ["m0", "m9", "m18", "m27"]
    assert scores.spread_models(names, 50) == names


def test_impossible_designs_are_refused(designs):
    with pytest.raises(InputError, match="from 1 listener and from 3 runs"):
        power.simulate_designs([0], [9], [1])
    with pytest.raises(InputError, match="from 3 runs"):
        power.simulate_designs([2], [2], [1])
    with pytest.raises(InputError, match="from 5 runs"):
        power.predicted_power(designs, [4])


def test_figures_say_what_they_show(designs):
    predicted = power.predicted_power(designs, [5, 9, 18])
    regions = [power.ALL_REGIONS, "X", "X"]
    figure = plots_power.power_figure(predicted, designs, regions)
    assert [axes.get_title(loc="left") for axes in figure.axes] == regions
    alt = plots_power.power_alt(predicted, designs, regions)
    assert alt.startswith("Simulated listeners") and "1 listener and 5 runs" in alt
    figure = plots_power.designs_figure(designs, "X")
    assert len(figure.axes) == 1
    assert "4 listeners and 9 runs" in plots_power.designs_alt(designs, "X")


@pytest.mark.parametrize(
    ("regions", "more_runs", "words"),
    [
        (["BA45", "V1"], [12], "'V1' has no voxels on both sides"),
        ([], [12], "0 names; from 1 to 4"),
        (["BA45"] * 5, [12], "5 names; from 1 to 4"),
        (["BA45"], [12, 4], "runs is 4; power can be predicted from 5"),
    ],
)
def test_what_cannot_be_shown_is_refused_beforehand(regions, more_runs, words):
    with pytest.raises(InputError, match=words):
        power.check_page(simulated_study(), regions, [5, 9], more_runs)
    power.check_page(simulated_study(), [power.ALL_REGIONS, "BA45"], [5, 9], [])
