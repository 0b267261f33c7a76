"""Scores by layer: the paper's own numbers, and made-up models whose truth is known."""

import numpy as np
import pytest
import synthetic_layers

from brainalign import comparison, published, published_panels
from brainalign.errors import InputError
from brainalign.layers import (
    LAYER_COLUMNS,
    NEARLY,
    best_layers,
    best_table,
    depth_fits,
    largest_models,
    layer_table,
    mean_profile,
    numbers,
    printed_rows,
    profile_rows,
    study_layers,
)


@pytest.fixture(scope="module")
def paper():
    return study_layers("published").table


@pytest.fixture(scope="module")
def made_up():
    return synthetic_layers.found(noise=0.001)


@pytest.fixture(scope="module")
def simulated(made_up):
    return layer_table(made_up)


def rng():
    return np.random.default_rng(0)


def test_best_layers_of_the_paper_are_the_exact_ones(paper):
    best = best_layers(paper).set_index("model")
    exact = published_panels.best_layers().set_index("model")
    assert len(best) == 28
    assert (best["best_layer"] == exact["best_layer"].loc[best.index]).all()
    depth = exact["relative_depth_published"].loc[best.index]
    np.testing.assert_allclose(best["relative_depth"], depth, atol=1e-6)


def test_depth_correlates_with_size_and_ability_as_printed(paper):
    fits = depth_fits(best_layers(paper), 100, rng())
    for name, printed in {"log parameters": -0.56, "HellaSwag": -0.68}.items():
        assert fits[name].r == pytest.approx(printed, abs=comparison.R_TOLERANCE)
    table = comparison.compare(printed_rows(paper), True)
    assert len(table) == 4 and (table["agrees"] == "yes").all()


def test_numbers_have_the_names_that_others_rely_on(paper):
    best = best_layers(paper)
    found = numbers(best, depth_fits(best, 100, rng()))
    assert found["n_models"] == 28
    assert found["best_relative_depth_gpt2"] == pytest.approx(10 / 13)
    assert found["r_best_depth_log parameters"] == pytest.approx(-0.557, abs=1e-3)
    assert found["r_best_depth_hellaswag"] == pytest.approx(-0.685, abs=1e-3)


def test_some_of_the_papers_models(paper):
    names = ["gpt2", "gpt2-xl", "opt-13b"]
    some = study_layers("published", names).table
    assert sorted(some["model"].unique()) == names
    with pytest.raises(InputError, match="no model 'gpt3'; they have gpt2, "):
        study_layers("published", ["gpt3"])


def test_layers_take_the_place_of_models(made_up, simulated):
    assert list(simulated.columns) == LAYER_COLUMNS
    assert set(simulated["model"]) == set(synthetic_layers.MODELS)
    name = "nano-gpt2-128x4"
    rows = profile_rows(simulated, "reliable", "L-R")
    rows = rows[rows["model"] == name]
    assert rows["layer"].tolist() == [0, 1, 2, 3, 4]
    assert rows["relative_depth"].tolist() == [0, 0.25, 0.5, 0.75, 1]
    r = made_up.encoded[2]["r"][0].to_numpy()[:, made_up.reliable].astype(float)
    side = made_up.study.voxels["hemisphere"].to_numpy()[made_up.reliable]
    expected = r[:, side == "L"].mean(1) - r[:, side == "R"].mean(1)
    np.testing.assert_allclose(rows["score"], expected)
    untrained = profile_rows(simulated, "reliable", "both", "untrained")
    assert untrained["seed"].tolist() == [0] * 5
    assert np.all(np.diff(untrained["score"]) < 0)


def test_the_midline_can_be_split(made_up):
    split = layer_table(made_up, "published")
    assert set(split["hemisphere_rule"]) == {"published"}
    strict = layer_table(made_up)
    pick = {"voxels": "all", "hemisphere": "L"}
    left = [profile_rows(table, **pick)["score"].to_numpy() for table in (split, strict)]
    assert not np.allclose(*left)


def test_best_layer_by_either_rule(simulated):
    default, paper_rule = (
        best_layers(simulated, "reliable", rule).set_index("model")
        for rule in ("first to last", "published")
    )
    np.testing.assert_allclose(
        default["relative_depth"] * default["n_layers"],
        paper_rule["relative_depth"] * (paper_rule["n_layers"] + 1),
    )
    # From the middle on the truth is a plateau: every layer there is nearly as good.
    row = default.loc["nano-gpt2-128x4"]
    assert row["first"] == 2 and row["last"] == 4 and row["first"] <= row["best_layer"]
    assert row["difference"] == pytest.approx(0.02, abs=0.002)
    assert best_table(default.reset_index())[f"layers within {NEARLY}"].iloc[-1] == "2 to 4"
    with pytest.raises(InputError, match="The depth rule is 'half'"):
        best_layers(simulated, "reliable", "half")


def test_mean_curve_of_models_of_different_depth(simulated):
    rows = profile_rows(simulated, "reliable", "both")
    curve = mean_profile(rows, 3)
    first = rows[rows["layer"] == 0]["score"]
    assert curve["mean"].iloc[0] == pytest.approx(first.mean())
    assert curve["sd"].iloc[0] == pytest.approx(first.std(ddof=0))
    assert curve["relative_depth"].tolist() == [0, 0.5, 1]


def test_largest_model_of_every_family(simulated, paper):
    assert largest_models(simulated) == ["nano-opt-16x2", "nano-gpt2-128x4"]
    assert largest_models(paper)[-1] == "Qwen1.5-14B" and len(largest_models(paper)) == 8


def test_too_few_models_and_controls_only_are_one_sentence(simulated):
    best = best_layers(simulated)
    with pytest.raises(InputError, match="A line needs at least 3 points; 1 was given"):
        depth_fits(best.iloc[:1], 10, rng())
    only = synthetic_layers.found(names=[])
    with pytest.raises(InputError, match="controls only"):
        layer_table(only)


def test_published_depths_say_so(paper):
    assert set(paper["source"]) == {published.SOURCE}
