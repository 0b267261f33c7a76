"""What choosing on the test runs invents: the paper's own numbers, and noise whose truth is known."""

import numpy as np
import pytest
import synthetic_layers
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_study import tiny_study

from brainalign.circularity import (
    BEST,
    DIFFERENCE,
    MODELS,
    NESTED,
    PUBLISHED_RULE,
    SCORE,
    VECTORS,
    by_number_of_layers,
    choice_table,
    invented,
    numbers,
    published_choice_table,
    reference_rule,
    rule_scores,
    shifted_scores,
    slope_table,
    stacked,
    vector_names,
)
from brainalign.encoding import encode
from brainalign.errors import InputError
from brainalign.layers import study_layers
from brainalign.scaling import matching

NOISE = 0.06


@pytest.fixture(scope="module")
def found():
    return synthetic_layers.found(NOISE)


@pytest.fixture(scope="module")
def vectors(found):
    return stacked(one for one in found.encoded if one.sizes["layer"] == 1)


@pytest.fixture(scope="module")
def choices(found, vectors):
    return choice_table(found, vectors)


def highest_of(n: int) -> float:
    """Mean of the highest of n standard normal numbers, by simulation."""
    return np.random.default_rng(1).normal(size=(200_000, n)).max(axis=1).mean()


def test_the_papers_excess_over_its_best_single_layer():
    choices = published_choice_table(study_layers("published").table)
    assert reference_rule(choices) == BEST
    values = numbers(invented(choices))
    assert values["invented_score"] == pytest.approx(0.0069, abs=5e-5)
    assert values["invented_score_lowest"] == pytest.approx(0.0039, abs=5e-5)
    assert values["invented_score_highest"] == pytest.approx(0.0121, abs=5e-5)
    assert values["invented_score_r_layers"] == pytest.approx(-0.17, abs=0.005)
    slopes = slope_table(choices).set_index(["layer chosen", "measure"])
    assert slopes.loc[(BEST, SCORE), "r with log parameters"] == pytest.approx(0.958, abs=1e-3)
    slope = slopes.loc[(BEST, SCORE), "slope per decade"] / np.log(10)
    assert slope == pytest.approx(0.0121, abs=5e-5)


def test_noise_gains_what_the_highest_of_n_exceeds_its_mean(found, vectors):
    """Layers without signal, independent noise: sd of a mean over folds times a known number."""
    curves = by_number_of_layers({VECTORS: vectors}, found, np.random.default_rng(0), 5)
    scores = matching(curves, measure=SCORE).set_index("n_layers")["invented"]
    sd = NOISE / np.sqrt(synthetic_layers.N_FOLDS)
    assert scores[1] == 0
    for n in (2, 5, 13):
        assert scores[n] == pytest.approx(sd * highest_of(n), abs=0.2 * sd)
    differences = matching(curves, measure=DIFFERENCE)["invented"]
    assert differences.abs().max() < 0.6 * sd


def test_choice_on_inner_runs_invents_nothing(found, vectors):
    voxels = found.study.voxels
    table = rule_scores(vectors, voxels).set_index(["rule", "measure"])["value"]
    assert abs(table[NESTED, SCORE]) < 0.002
    assert table[PUBLISHED_RULE, SCORE] > 0.02


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_the_published_rule_is_never_below_any_layer(seed):
    one = synthetic_layers.encoded("x", "x", "language model", 1, 4, 0.05, seed)
    table = rule_scores(one, synthetic_layers.voxel_table())
    best = matching(table, rule=PUBLISHED_RULE, measure=SCORE)["value"].item()
    assert best >= one["r"].mean("voxel").max().item()
    alone = rule_scores(one.isel(layer=[2]), synthetic_layers.voxel_table())
    assert alone.groupby("measure")["value"].nunique().eq(1).all()


def test_every_model_has_a_null_of_its_depth(choices):
    counts = choices.drop_duplicates(["what", "model"]).set_index(["what", "model"])["n_layers"]
    for name, (_, kind, _, n_states) in synthetic_layers.MODELS.items():
        if kind == "language model":
            assert counts[MODELS, name] == counts[VECTORS, name] == n_states
        else:
            assert name not in set(choices["model"])
    excess = invented(choices)
    values = numbers(excess)
    assert 0 < values["invented_score"] < values["invented_null_score"]
    assert values["invented_null_score_r_layers"] == pytest.approx(1)
    assert set(choices["rule"]) == {PUBLISHED_RULE, NESTED, BEST}


def test_slopes_by_rule_and_too_few_vectors(choices, found, vectors):
    slopes = slope_table(choices)
    assert len(slopes) == 10 and slopes["slope per decade"].notna().all()
    # In the null, depth that grows with size makes a scaling law out of nothing.
    null = slopes[(slopes["what"] == VECTORS) & (slopes["measure"] == SCORE)]
    null = null.set_index("layer chosen")["slope per decade"]
    assert null[PUBLISHED_RULE] > 2 * abs(null[NESTED])
    two = slope_table(choices[choices["model"].isin(["nano-gpt2-8x2", "nano-gpt2-32x4"])])
    assert two["slope per decade"].isna().all() and two["mean over models"].notna().all()
    with pytest.raises(InputError, match="has 3 layers and there are 2 random vectors"):
        choice_table(found, vectors.isel(layer=[0, 1]))


def test_names_of_the_vectors():
    assert vector_names("published") == []
    names = vector_names("testbed", ["nano-gpt2-8x2"])
    assert len(names) == len(set(names)) == 13


def test_activations_moved_in_time_predict_nothing(tmp_path, monkeypatch):
    """Random embeddings of the words that were heard predict; of other words they do not."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    study = tiny_study(n_voxels=40)
    name = "random-embeddings-64"
    (heard,) = encode(study, [name], jobs=1)
    moved = shifted_scores(study, name)
    assert moved["r_fold"].dims == moved["r_inner"].dims == ("layer", "fold", "voxel")
    assert heard["r"].mean() > 0.3
    assert abs(moved["r_fold"].mean()) < 0.12
