"""Single listeners: the paper's 40 printed tests, and made-up listeners with known slopes."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from synthetic_scores import brain_scores, simulated_study
from tiny_study import tiny_study

from brainalign import comparison, individuals, plots_individuals
from brainalign import individuals_tables as tables
from brainalign.errors import InputError
from brainalign.inference import fold_table
from brainalign.published import SCORE_COLUMNS
from brainalign.study import SIMULATED

NAMES = ("one", "two", "three")


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def published():
    found = individuals.listener_scores("published")
    return found, individuals.listener_fits(found.table, 100, rng())


@pytest.fixture(scope="module")
def simulated():
    """Three listeners who differ by noise only, three runs each."""
    parts, folds = [], []
    for k, name in enumerate(NAMES):
        scores = brain_scores(noise=0.02, seed=k)
        scores = scores[scores["kind"] == "language model"]
        parts.append(individuals.score_rows(scores, name))
        runs = xr.concat([brain_scores(0.05, 10 * k + run) for run in range(3)], "fold")
        runs = runs[:, runs["kind"] == "language model"].assign_coords(fold=range(3))
        everything = {"whole brain": np.ones(runs.sizes["voxel"], dtype=bool)}
        folds.append(fold_table(runs.transpose("model", "fold", "voxel"), everything))
    table = pd.concat(parts, ignore_index=True).assign(source=SIMULATED, layer_rule="nested")
    together = xr.concat(folds, pd.Index(NAMES, name="listener"))
    truth = simulated_study().truth
    found = individuals.ListenerScores(table[["listener", *SCORE_COLUMNS]], together, truth)
    return found, individuals.listener_fits(found.table, 100, rng())


def test_every_printed_test_of_a_listener_is_found(published):
    rows = comparison.compare(tables.paper_rows(published[1]), True)
    assert len(rows) == 5 * 2 * 2 * 2
    assert set(rows["agrees"]) == {"yes"}


def test_two_and_four_of_five_are_significant(published):
    rows = tables.across_listeners(published[1]).set_index("measure")
    assert rows["significant alone"].to_dict() == {"whole brain": 2, "90th percentile": 4}
    assert (rows["above zero"] == 5).all()
    assert rows["p (sign test)"].tolist() == [2 / 32, 2 / 32]
    assert tables.numbers(published[1])["n_listeners"] == 5
    # A p value above .05 and an interval that seems to start at 0 would not go together.
    shown = tables.group_table(published[1])["95 % interval"]
    assert rows["p (t over listeners)"].iloc[0] > 0.05 and shown[0].startswith("−0.00000")


def test_listeners_are_the_units(simulated):
    _, fits = simulated
    row = tables.across_listeners(fits).set_index("measure").loc["whole brain"]
    slopes = [measures["whole brain"]["L-R"].slope for measures in fits.values()]
    test = stats.ttest_1samp(slopes, 0)
    assert row["mean slope of left − right"] == pytest.approx(np.mean(slopes))
    assert row["p (t over listeners)"] == pytest.approx(test.pvalue)
    assert (row["low"], row["high"]) == pytest.approx(tuple(test.confidence_interval()))
    two = {name: fits[name] for name in NAMES[:2]}
    assert tables.across_listeners(two)["low"].isna().all()


def test_lines_are_those_of_numpy(simulated):
    found, fits = simulated
    rows = found.table.set_index(["listener", "statistic", "hemisphere"]).sort_index()
    rows = rows.loc["two", "90th percentile", "L-R"]
    slope = np.polyfit(np.log10(rows["n_parameters"]), rows["score"], 1)[0]
    assert fits["two"]["90th percentile"]["L-R"].slope == pytest.approx(slope)


def test_intervals_over_models_runs_and_listeners(simulated):
    rows = tables.resampled_table(simulated[0])
    assert rows["listener"].tolist() == [*NAMES, "all"]
    own = rows["slope of left − right"]
    assert own.iloc[3] == pytest.approx(own.iloc[:3].mean())
    assert {"95 %, models", "95 %, runs", "95 %, both"} <= set(rows)


def test_without_single_runs_nothing_is_resampled(published):
    assert tables.resampled_table(published[0]) is None
    assert tables.truth_table(*published) is None


def test_truth_is_the_same_in_everyone(simulated):
    row = tables.truth_table(*simulated).set_index("measure").loc["whole brain"]
    weight = simulated[0].truth["weight"].sel(family="discourse")
    left, right = (weight[weight["hemisphere"] == side].mean() for side in ("L", "R"))
    assert row["planted discourse weight L − R"] == pytest.approx(float(left - right))
    assert row["listeners with this sign"] == "3 of 3"
    compared = comparison.compare(tables.paper_rows(simulated[1]), False)
    assert compared["agrees"].tolist() == ["sign agrees", "sign agrees"]


def test_listeners_that_are_not_there():
    assert individuals.chosen_listeners(tiny_study()) == ("s1", "s2")
    assert individuals.chosen_listeners(tiny_study(), 3) == ("s1", "s2", "s3")
    with pytest.raises(InputError, match="listeners is 4; study 'tiny' has 3"):
        individuals.chosen_listeners(tiny_study(), 4)
    with pytest.raises(InputError, match="'tiny' has an average listener only"):
        individuals.chosen_listeners(tiny_study(n_subjects=0))
    with pytest.raises(InputError, match="listeners is 6; the paper scored 5"):
        individuals.listener_scores("published", n=6)
    with pytest.raises(InputError, match="did not score individuals with 'opt-125m'"):
        individuals.listener_scores("published", ["opt-125m"])


def test_one_model_has_no_slope():
    found = individuals.listener_scores("published", ["gpt2"])
    with pytest.raises(InputError, match="at least 3 points; 1 was given"):
        individuals.listener_fits(found.table, 100, rng())


@pytest.mark.parametrize("which", ["published", "simulated"])
def test_figures_say_whose_listeners_they_show(which, request):
    found, fits = request.getfixturevalue(which)
    stamp, opening = {
        "published": ("published values (digitised)", "Published values (digitised)."),
        "simulated": (SIMULATED, "Simulated listeners, not people."),
    }[which]
    drawn = {
        "listeners": ((found.table, fits, "whole brain"), 2 * len(fits)),
        "slopes": ((found.table, fits), 2),
    }
    for name, (arguments, n_panels) in drawn.items():
        figure = getattr(plots_individuals, f"{name}_figure")(*arguments)
        alt = getattr(plots_individuals, f"{name}_alt")(*arguments)
        assert [t.get_text() for t in figure.texts if t.get_gid() == "stamp"] == [stamp]
        assert len(figure.axes) == n_panels
        assert alt.startswith(opening) and "nan" not in alt
        assert all(listener in alt for listener in found.listeners)
        figure.draw_without_rendering()
        assert all(text.get_window_extent().x0 >= 0 for text in figure.texts)
