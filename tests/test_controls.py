"""One model beside features that know less: scores, listeners left out, choices, real listeners."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tiny_models
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import tiny_study

from brainalign import controls
from brainalign.controls import BOXCARS, IMPULSES, JOINT, MODEL, RANDOM
from brainalign.encoding import EncodingSettings, encode
from brainalign.errors import InputError
from brainalign.fitting import encoding_settings, load_responses
from brainalign.layer_choice import choose_layer, chosen_layers, scores_at
from brainalign.models import MINILM, available
from brainalign.reliability import noise_ceiling
from brainalign.resampling import average_alone, draw_shifts, shifted, split_copies
from brainalign.scores import draws_line, load_options, study_settings
from brainalign.significance import (
    block_permutation,
    held_out_predictions,
    p_values,
)
from brainalign.studies import load_study
from brainalign.study import label_hemispheres

SETTINGS = EncodingSettings(alphas=(0, 4, 5), alpha_per_voxel=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("BRAINALIGN_OUTPUT", raising=False)
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(tiny_models.save_model(folder, "gpt2", tokenizer=tiny_models.byte_level()))


def region_study():
    """Four listeners, five regions."""
    study = tiny_study(n_voxels=5, n_subjects=4)
    names = pd.Series(["LA", "RA", "LB", "RB", "LC"])
    voxels = study.voxels.assign(x=np.nan, y=np.nan, z=np.nan, parcel=names, roi=names.str[1:])
    return replace(study, voxels=voxels)


def made(study, model, regions=None):
    regions = regions or controls.region_masks(study)
    return controls.control_scores(
        study, model, SETTINGS, regions, 99, np.random.default_rng(0), n_shifts=10
    )


@pytest.fixture(scope="module")
def found(cache, model):
    return made(region_study(), model)


def alone(study, name, **changes):
    (scores,) = encode(study, [name], replace(SETTINGS, **changes), jobs=1)
    return choose_layer(scores).to_numpy()


def test_scores_are_those_of_each_fit_by_itself(cache, found, model):
    study = region_study()
    both = {"nuisance": True, "nuisance_columns": ("word_rate",)}
    drawn = [f"random-embeddings-{tiny_models.WIDTH}:seed-{seed}" for seed in range(3)]
    expected = {
        MODEL: alone(study, model),
        BOXCARS: alone(study, "word-rate"),
        IMPULSES: alone(study, "word-rate", hrf="glover_impulse"),
        JOINT: alone(study, model, **both),
        RANDOM: np.mean([alone(study, name) for name in drawn], axis=0),
    }
    assert found["features"].values.tolist() == list(expected)
    for features, scores in expected.items():
        np.testing.assert_allclose(found["score"].sel(features=features), scores, atol=1e-5)


def test_averages_lack_one_listener_and_keep_the_layers(cache, found, model):
    study = region_study()
    (average,) = encode(study, [model], SETTINGS, jobs=1)
    layers = chosen_layers(average).to_numpy()
    for number, name in enumerate(study.subjects):
        rest = tuple(other for other in study.subjects if other != name)
        others = replace(study, subjects=rest, fingerprint=f"without {name}")
        for part, fewer, subject in [("without", others, "average"), ("alone", study, name)]:
            (scores,) = encode(fewer, [model], replace(SETTINGS, subject=subject), jobs=1)
            stored = found[part].sel(features=MODEL)[number]
            np.testing.assert_allclose(stored, scores_at(scores, layers), atol=1e-4)


def test_shifts_score_less_and_tests_say_so(found):
    assert found["shift"].shape == (10, 5)
    assert found["shift"].mean() < 0.15 < found["score"].sel(features=MODEL).mean()
    best = found["score"].sel(features=MODEL).argmax("region")
    assert found["p_blocks"][best] == found["p_blocks"].min() == 0.01
    as_high = (found["shift"] >= found["score"].sel(features=MODEL, drop=True)).sum("shift")
    np.testing.assert_allclose(found["p"], (1 + as_high) / 11)
    assert found["p"][best] == 1 / 11
    assert (found["q"] >= found["p"]).all() and (found["q_blocks"] >= found["p_blocks"]).all()
    assert set(found["significant"].values) <= {0.0, 1.0}
    assert found.attrs == {
        "model": found.attrs["model"],
        "hrf": "glover",
        "layer_rule": "nested",
        "n_permutations": 99,
        "source": "4 measured listeners",
    }


def test_regions_of_voxels_are_means(cache, found, model):
    """Two regions of the same voxels, taken together."""
    study = region_study()
    masks = {"two": np.array([1, 1, 0, 0, 0], bool), "one": np.array([0, 0, 0, 0, 1], bool)}
    some = made(study, model, masks)
    for name in ("score", "without", "alone"):
        values = found[name].to_numpy()
        expected = np.stack([values[..., :2].mean(-1), values[..., 4]], axis=-1)
        np.testing.assert_allclose(some[name], expected, atol=1e-5)
    ceiling = noise_ceiling(study)
    np.testing.assert_allclose(some["ceiling"], [ceiling[:2].mean(), ceiling[4]], rtol=1e-6)


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(1, 10))
def test_thinned_regions_are_part_of_themselves(mask, most):
    mask = np.array(mask)
    kept = controls.thinned(mask, most)
    assert not (kept & ~mask).any()
    assert kept.sum() == min(most, mask.sum())


def test_parts_of_a_brain(cache):
    assert list(controls.region_masks(region_study())) == ["LA", "RA", "LB", "RB", "LC"]
    study = tiny_study(n_voxels=40, n_subjects=3)
    x = np.linspace(-20, 20, 40)
    roi = np.where(np.arange(40) < 4, "TP", "")
    voxels = study.voxels.assign(x=x, hemisphere=label_hemispheres(x, 4.0), roi=roi)
    masks = controls.region_masks(replace(study, voxels=voxels, fingerprint="halves"))
    assert list(masks) == ["left", "right", "TP"]
    assert masks["TP"].tolist() == [True] * 4 + [False] * 36
    assert (masks["left"].sum() + masks["right"].sum()) <= 10
    assert (x[masks["left"]] < 0).all() and (x[masks["right"]] > 0).all()


def test_choices_differ_in_one_thing_each(cache, found, model):
    study = replace(region_study(), high_pass=1 / 60, fingerprint="slow")
    windows = replace(SETTINGS.activations, window=16)
    how = replace(SETTINGS, activations=windows)
    scores = controls.sensitivity(study, model, how, controls.region_masks(study))
    assert scores["choice"].values.tolist() == [
        "as on this page",
        "drifts left in",
        "drifts slower than 128 s removed",
        "16 alphas from 1e2 to 1e7",
        "one alpha for all",
        "words as impulses at their end",
        "windows of 8 tokens",
    ]
    left_in = replace(region_study(), fingerprint="fast")
    expected = alone(left_in, model, activations=windows)
    np.testing.assert_allclose(scores.sel(choice="drifts left in")[0], expected, atol=1e-5)
    shorter = alone(study, model, activations=replace(windows, window=8))
    np.testing.assert_allclose(scores.sel(choice="windows of 8 tokens")[0], shorter, atol=1e-5)
    rate = alone(study, "word-rate", hrf="glover_impulse")
    for choice in ("as on this page", "words as impulses at their end"):
        np.testing.assert_allclose(scores.sel(choice=choice)[2], rate, atol=1e-5)


def test_a_study_without_drift_removal_has_fewer_choices(cache, model):
    study = region_study()
    how = replace(SETTINGS, alphas=(2.0, 7.0, 16))
    scores = controls.sensitivity(study, "random-embeddings-8", how, controls.region_masks(study))
    assert scores["choice"].values.tolist() == [
        "as on this page",
        "13 alphas from 1e0 to 1e6",
        "one alpha for all",
        "words as impulses at their end",
    ]


def test_choices_of_confounds_are_those_that_the_study_was_not_loaded_with(cache, real_data):
    study = load_study("alice", confounds="movement")
    regions = controls.region_masks(study)
    settings = encoding_settings(**study_settings("alice"))
    scores = controls.sensitivity(study, "random-embeddings-2", settings, regions)
    removed = [name for name in scores["choice"].values if name.endswith(" removed")]
    assert [name for name in removed if "drifts" not in name] == [
        "no confounds removed",
        "movement, sound power removed",
    ]
    expected = {
        "as on this page": study,
        "no confounds removed": load_study("alice"),
        "movement, sound power removed": load_study("alice", confounds=["movement", "sound power"]),
    }
    for choice, cleaned in expected.items():
        (rate,) = encode(cleaned, ["word-rate"], replace(settings, hrf="glover_impulse"))
        found = scores.sel(choice=choice, features=IMPULSES)
        np.testing.assert_allclose(found, choose_layer(rate), atol=1e-5)


def test_a_study_has_settings_of_its_own():
    assert study_settings("testbed", hrf="fir", alphas=None) == {"hrf": "fir"}
    measured = study_settings("alice", hrf="glover", alphas=(1, 2, 3), window=None)
    assert measured["alphas"] == (1, 2, 3) and measured["window"] == 64
    chosen = controls.one_model_settings("alice")
    assert chosen.alphas == (0, 6, 13) and chosen.alpha_per_voxel
    assert chosen.activations.window == 64
    plain = controls.one_model_settings("testbed")
    assert plain == replace(EncodingSettings(), alpha_per_voxel=True)


def test_a_line_needs_three_models():
    assert draws_line("published", ["gpt2"])
    assert draws_line("testbed", None) and not draws_line("alice", None)
    assert not draws_line("testbed", ["a", "b"]) and draws_line("alice", ["a", "b", "c"])


def test_options_of_a_page():
    assert load_options("published", 3) == load_options("alice", 3, None, [], gap=None) == {}
    assert load_options("testbed", 3) == {"seed": 3}
    asked = load_options("alice", 0, 0.0, ["movement"], n_folds=4, gap=0)
    assert asked == {"high_pass": None, "confounds": ("movement",), "n_folds": 4, "gap": 0}
    with pytest.raises(InputError, match="The published scores have no option 'n_folds'; they"):
        load_options("published", n_folds=4)
    with pytest.raises(InputError, match="Study 'testbed' has no option 'high_pass'; it has"):
        load_study("testbed", **load_options("testbed", high_pass=0.0))


def test_a_single_run_has_as_many_shifts_as_there_are():
    study = region_study()
    one = replace(study, runs=study.runs[:1])
    n_scans = study.runs[0].n_scans - sum(study.trim)
    for seed in (0, 1):
        shifts = draw_shifts(one, 5, np.random.default_rng(seed), least=6)
        assert shifts.tolist() == [[shift] for shift in range(6, n_scans - 5)]


def all_shifted(study):
    shifts = draw_shifts(study, 1, np.random.default_rng(0))
    n_scans = study.runs[0].n_scans
    assert shifts[:, 0].tolist() == list(range(15, n_scans - 14))
    return shifted(average_alone(study), shifts)


def test_blocks_are_liberal_in_a_short_story(cache, real_data):
    """The page says how often unrelated features are called significant; so it must stay true."""
    turned, settings = (
        all_shifted(load_study("alice")),
        encoding_settings(**study_settings("alice")),
    )
    (scores,) = encode(turned, ["word-rate"], settings)
    layers = chosen_layers(scores).to_numpy()
    predicted = held_out_predictions(turned, "word-rate", settings, scores, layers)
    rng = np.random.default_rng(0)
    p = p_values(*block_permutation(predicted, load_responses(turned), 500, rng))
    assert 0.05 < (p < 0.05).mean() < 0.2


def test_language_model_in_the_listeners_of_alice(cache, real_data):
    """Known answers of an analysis written for itself, with nilearn's own cleaning."""
    if not available(MINILM):
        pytest.skip(f"the weights of {MINILM} are not at hand")
    (scores,) = encode(load_study("alice"), [MINILM], encoding_settings(**study_settings("alice")))
    expected = [0.534, 0.466, 0.415, 0.528, 0.404, 0.451]
    np.testing.assert_allclose(choose_layer(scores), expected, atol=0.01)


def test_word_rate_in_the_listeners_of_alice(cache, real_data):
    """Known answers of an analysis written for itself, with nilearn's own cleaning."""
    study = load_study("alice")
    settings = encoding_settings(**study_settings("alice"))
    expected = {
        "glover": [0.30, 0.26, 0.45, 0.36, 0.36, 0.33],
        "glover_impulse": [0.35, 0.37, 0.43, 0.47, 0.44, 0.35],
    }
    turned = all_shifted(study)
    for hrf, scores in expected.items():
        how = replace(settings, hrf=hrf)
        (rate,) = encode(study, ["word-rate"], how)
        np.testing.assert_allclose(choose_layer(rate), scores, atol=0.006)
        (chance,) = encode(turned, ["word-rate"], how)
        copies = split_copies(choose_layer(chance), study.n_voxels)
        assert np.quantile(copies, 0.95, axis=0).max() < 0.21
        assert np.abs(copies.mean(axis=0)).max() < 0.05
