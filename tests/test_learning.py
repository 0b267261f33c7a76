"""Trained against untrained models, and checkpoints: the paper's numbers, and made-up curves."""

import numpy as np
import pandas as pd
import pytest
import synthetic_layers
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from brainalign import comparison, learning, models, training_curves
from brainalign.errors import InputError
from brainalign.lateralization import hemisphere_table
from brainalign.layer_choice import brain_scores
from brainalign.scaling import matching

STEPS = [0, 100, 200, 400]


@pytest.fixture(scope="module")
def paper():
    return learning.training_table("published")


@pytest.fixture
def checkpoints(monkeypatch):
    """Four checkpoints of a made-up model; the later, the less it is an untrained one."""
    kinds = dict(
        zip(STEPS, ["untrained", "untrained", "language model", "language model"], strict=False)
    )
    names = {step: f"nano-pythia-64x4:step-{step}" for step in STEPS}
    about = {step: ("nano Pythia", kind, 100_000, 5) for step, kind in kinds.items()}
    monkeypatch.setattr(training_curves, "checkpoint_names", lambda model: names)
    scores = [synthetic_layers.encoded(names[s], *about[s], noise=0.002) for s in STEPS]
    found = synthetic_layers.found(names=[], vectors=False)
    found = type(found)(found.study, scores, found.reliable)
    asked = []

    def voxel_scores(study, wanted, *rest, **options):
        asked.append((study, wanted, options))
        return found

    monkeypatch.setattr(training_curves, "voxel_scores", voxel_scores)
    return found, asked


def test_the_papers_families_agree_with_the_print(paper):
    assert len(paper) == 18 and paper["kind"].value_counts().to_dict() == {
        "language model": 9,
        "untrained": 9,
    }
    fits = learning.training_fits(paper)
    table = comparison.compare(learning.training_rows(fits), True)
    assert len(table) == 8 and (table["agrees"] == "yes").all()
    found = learning.numbers(fits)
    assert found["n_models"] == 9
    printed = {"trained_GPT-2": 0.99, "trained_Qwen1.5": 0.96, "untrained_Qwen1.5": -0.28}
    for name, r in printed.items():
        assert found[f"r_{name}"] == pytest.approx(r, abs=0.006)
    # Half a pixel of the coarse figure moves the correlation of four untrained models by .01.
    assert found["r_untrained_GPT-2"] == pytest.approx(-0.02, abs=0.02)
    rows = learning.fits_table(fits)
    assert rows["models"].tolist() == [4, 5, 4, 5] and set(rows["seeds"]) == {1}


def test_seeds_have_lines_of_their_own(paper):
    again = paper[paper["kind"] == "untrained"].assign(seed=2)
    again["score"] = -again["score"]
    fits = learning.training_fits(pd.concat([paper, again]))
    first, second = fits["GPT-2", "untrained"]
    assert first.slope == pytest.approx(-second.slope)
    row = learning.fits_table(fits).set_index(["family", "weights"]).loc[("GPT-2", "untrained")]
    assert row["seeds"] == 2 and row["slope per decade"] == pytest.approx(0)
    assert row["lowest slope"] == -row["highest slope"] < 0


def test_families_by_name(paper):
    only = learning.training_table("published", ["Qwen"])
    assert set(only["family"]) == {"Qwen1.5"}
    with pytest.raises(InputError, match="no models of family 'OPT'.* there are GPT-2, Qwen1.5"):
        learning.training_table("published", ["GPT-2", "OPT"])
    names = learning.training_models(["GPT-2"])
    assert names and all(models.describe(name).family == "nano GPT-2" for name in names)


def test_untrained_copies_by_name():
    assert learning.untrained_names("published", None, 3) == []
    assert learning.untrained_names("testbed", ["a", "b"], 2) == [
        *("a:untrained-0", "b:untrained-0", "a:untrained-1", "b:untrained-1"),
    ]


def test_a_single_model_is_one_sentence(paper):
    with pytest.raises(InputError, match="at least 3 models of one family; there are GPT-2 1, Qw"):
        learning.training_fits(paper[paper["model"].str.match("gpt2$|gpt2:|Qwen1.5-4B")])


def test_table_for_the_page(paper):
    table = learning.states_table(paper)
    assert table["weights"].tolist() == ["trained"] * 9 + ["untrained"] * 9
    assert table["seed"].tolist() == [None] * 9 + [1] * 9
    assert not table["model"].str.contains(":").any()


def test_the_papers_curve_is_printed_and_rises_in_order():
    curve = training_curves.checkpoint_curve("published")
    rises = training_curves.rise_table(curve)
    found = training_curves.numbers(curve, rises)
    assert found["score_step_0"] == pytest.approx(0.2070, abs=3e-4)
    assert found["difference_step_14000"] == pytest.approx(0.00503, abs=5e-5)
    assert found["difference_step_143000"] == pytest.approx(0.0105, abs=5e-5)
    assert 1000 < found["half_step_score"] < found["half_step_difference"] < 14_000
    assert training_curves.checkpoint_knowledge("published") is None
    table = comparison.compare(training_curves.curve_rows(curve), True)
    assert (table["agrees"] == "yes").all() and len(table) == 4
    assert training_curves.rise_order(rises).startswith("score (step 2,409), left − right (step 6")


def test_a_curve_has_the_scores_of_its_checkpoints(checkpoints):
    found, asked = checkpoints
    curve = training_curves.checkpoint_curve("testbed", seed=3)
    study, wanted, options = asked[0]
    assert study == "testbed" and options == {"narrow": True, "seed": 3}
    assert wanted == [f"nano-pythia-64x4:step-{step}" for step in STEPS]
    expected = hemisphere_table(brain_scores(found.encoded), found.reliable)
    expected = matching(expected, voxels="reliable", statistic="mean")
    for row in curve.itertuples():
        name = f"nano-pythia-64x4:step-{row.step}"
        value = matching(expected, model=name, hemisphere=row.hemisphere)["score"].item()
        assert row.score == pytest.approx(value, abs=1e-6)
        assert row.low < row.score < row.high
    rises = training_curves.rise_table(curve).set_index("what")["half-way at step"]
    assert 100 < rises["left − right"] < 200
    assert comparison.compare(training_curves.curve_rows(curve), False)["agrees"].notna().all()


def test_intervals_over_runs_are_those_of_a_t_test_with_more_variance():
    values = np.random.default_rng(0).normal(1, 0.2, size=(3, 9))
    low, high = training_curves.interval_over_runs(xr.DataArray(values, dims=("model", "fold")))
    for row, a, b in zip(values, low.to_numpy(), high.to_numpy(), strict=True):
        edges = stats.ttest_1samp(row, 0).confidence_interval()
        assert b - a == pytest.approx((edges.high - edges.low) * np.sqrt(1 + 9 / 8))
        assert (a + b) / 2 == pytest.approx(row.mean())


@given(st.floats(-1, 1), st.floats(0.01, 2))
def test_a_straight_line_is_half_way_in_the_middle(first, rise):
    steps = np.array([0.0, 10, 40, 100])
    values = first + rise * steps / 100
    assert training_curves.half_way(steps, values) == pytest.approx(50)
    assert np.isnan(training_curves.half_way(steps, values[::-1]))


def test_half_way_is_the_first_time():
    steps = np.array([0.0, 1, 2, 3])
    assert training_curves.half_way(steps, np.array([0, 2.0, 0, 2])) == pytest.approx(0.5)


def test_a_model_without_checkpoints_is_one_sentence():
    with pytest.raises(InputError, match="Model 'nano-gpt2-8x2' has no training checkpoints"):
        training_curves.checkpoint_curve("testbed", "nano-gpt2-8x2")


def test_checkpoints_are_read_in_the_order_of_training(monkeypatch):
    monkeypatch.setattr(models, "checkpoint_steps", lambda name: [0, 20, 100])
    names = training_curves.checkpoint_names("a")
    assert list(names) == [0, 20, 100]
    assert [training_curves.checkpoint_step(name) for name in names.values()] == [0, 20, 100]
