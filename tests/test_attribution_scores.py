"""Readouts of a small study, their nulls, and the file that keeps their attributions."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
from tiny_study import tiny_study

from brainalign.attribution import scores
from brainalign.attribution.gradients import gradient_times_input
from brainalign.attribution.heads import fit_heads
from brainalign.attribution.material import (
    AttributionSettings,
    material,
    region_mask,
    scramble,
    shuffle_blocks,
    word_rates,
)
from brainalign.attribution.reading import reading, scan_features
from brainalign.attribution.readouts import paired_readouts, readouts
from brainalign.errors import InputError
from brainalign.loading import load_language_model, predicts_next_word

SETTINGS = AttributionSettings(
    n_context=8, region="AG_TPJ", side="L", n_folds=2, n_random=2, n_voxels=2
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(tiny_models.save_model(tmp_path_factory.mktemp("model"), "gpt2", positions=64))


@pytest.fixture(scope="module")
def study():
    """Two regions on both sides, and voxels of none."""
    study = tiny_study(n_voxels=20, n_subjects=4)
    roi = ["AG_TPJ"] * 8 + ["A1"] * 8 + [""] * 4
    return replace(study, voxels=study.voxels.assign(roi=roi), simulated=True)


@pytest.fixture(scope="module")
def read(folder):
    return reading(load_language_model(folder, head=True), 2)


@pytest.fixture(scope="module")
def made(study, read):
    return material(study, read, SETTINGS)


def test_material_is_of_regions_and_halves(study, made):
    assert len(made.voxels) == 16 and len(made.contexts) == 3
    for number, contexts in enumerate(made.contexts):
        n_scans = study.runs[number].n_scans - sum(study.trim)
        assert len(contexts) == len(made.responses[number]) == n_scans
        assert made.responses[number].shape == made.halves[0][number].shape == (n_scans, 16)
    together = made.halves[0][0] + made.halves[1][0]
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(together.T, made.responses[0].T, strict=True)]
    assert min(r) > 0.99


def test_real_responses_come_without_the_rate_of_words(study, read):
    found = material(replace(study, simulated=False), read, SETTINGS)
    for contexts, values in zip(found.contexts, found.responses, strict=True):
        rates = word_rates(contexts)
        assert rates.shape == (len(contexts), 4) and np.ptp(rates) > 0
        ends = study.runs[contexts[0].run].words["offset"] // study.tr
        expected = [
            [(ends == one.scan - delay).sum() for delay in (1, 2, 3, 4)] for one in contexts
        ]
        np.testing.assert_array_equal(rates, expected)
        np.testing.assert_allclose((rates - rates.mean(0)).T @ values, 0, atol=1e-3)


def test_scrambling_keeps_the_pooled_words_and_all_others(made):
    rng = np.random.default_rng(0)
    one = made.contexts[0][20]
    other = scramble(one, rng)
    assert sorted(other.ids) == sorted(one.ids) and not np.array_equal(other.ids, one.ids)
    np.testing.assert_array_equal(other.pooling, one.pooling)
    pooled = one.pooling.any(0)
    np.testing.assert_array_equal(other.ids[pooled], one.ids[pooled])
    for word in range(len(one.words)):
        before = one.ids[one.word_of_token == list(one.words).index(other.words[word])]
        np.testing.assert_array_equal(other.ids[other.word_of_token == word], before)


def test_blocks_are_moved_whole():
    values = np.arange(100)[:, None]
    moved = shuffle_blocks(values, np.random.default_rng(1), size=20)[:, 0]
    assert sorted(moved) == list(range(100)) and not np.array_equal(moved, values[:, 0])
    assert (np.diff(moved) == 1).sum() >= 95 - 4


def test_readouts_of_a_region_are_linear_in_its_voxels(made, read):
    x = [scan_features(read, contexts) for contexts in made.contexts]
    heads, _ = fit_heads(x, made.responses)
    found = readouts(made, x, heads[1], 1, SETTINGS)
    mask = region_mask(made.voxels, "AG_TPJ", "L")
    expected = heads[1].weights[:, mask].mean(1)
    np.testing.assert_allclose(found["region"][0], expected, rtol=1e-3, atol=1e-6)
    assert all(cotangents.shape == x[1].shape for cotangents in found.values())
    random = [name for name in found if "random" in name]
    assert len(random) == 2 and not np.allclose(*(found[name] for name in random))
    pairs = paired_readouts(made, x, heads[1], 1, SETTINGS)
    assert all(halves.shape == (2, 2, x[1].shape[1]) for halves in pairs.values())


def test_halves_share_what_the_region_follows_and_not_what_is_shuffled(made, read):
    x = [scan_features(read, contexts) for contexts in made.contexts]
    head = fit_heads(x, made.responses)[0][0]
    pairs = paired_readouts(made, x, head, 0, replace(SETTINGS, n_voxels=8))
    r = {
        name: np.corrcoef(halves[0].ravel(), halves[1].ravel())[0, 1]
        for name, halves in pairs.items()
    }
    assert r["region"] > 0.5 > abs(r["region: shuffled"])


@pytest.fixture
def cached(study, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    monkeypatch.setattr(scores, "load_study", lambda *_, **__: study)
    monkeypatch.setattr(scores, "study_fingerprint", lambda *_, **__: "made up")
    return lambda layers, **changes: scores.attribution_scores(
        "tiny", folder, layers, replace(SETTINGS, **changes), jobs=1
    )


def test_attributions_are_kept_and_say_which_words_they_are_of(
    cached, study, made, read, monkeypatch
):
    found = cached([2])[2]
    assert set(found["score"].dims) == {"target", "fold", "scan", "distance"}
    first = found.isel(fold=0)
    for scan, one in enumerate(made.contexts[0]):
        words = first["word"].values[scan]
        assert words[: len(one.words)].tolist() == one.words[::-1].tolist()
        assert (words[len(one.words) :] == -1).all()
    x = [scan_features(read, contexts) for contexts in made.contexts]
    head = fit_heads(x, made.responses)[0][0]
    halves = paired_readouts(made, x, head, 0, SETTINGS)["region"]
    one, two = (
        gradient_times_input(read, made.contexts[0], half[:, None]).values for half in halves
    )
    n_scans, n_words = one.shape[1:]
    shared = first["score"].sel(target="shared: region").values[:n_scans, :n_words]
    np.testing.assert_allclose(shared, (one * two).mean(0), rtol=1e-4, atol=1e-9)
    assert {"error", "next word: output", "region: random 2"} <= set(found["target"].values)
    assert found["loss"].sel(place="output").notnull().any()

    def fail(*_, **__):
        raise AssertionError("computed again")

    monkeypatch.setattr(scores, "material", fail)
    again = cached([2])[2]
    np.testing.assert_array_equal(again["score"].values, found["score"].values)
    with pytest.raises(AssertionError, match="computed again"):
        cached([2], seed=1)


def test_an_encoder_has_no_next_word(cached, tmp_path, monkeypatch):
    path = str(tiny_models.save_model(tmp_path / "bert", "bert", positions=96))
    assert not predicts_next_word(path)
    found = scores.attribution_scores("tiny", path, [1], SETTINGS, jobs=1)[1]
    assert "loss" not in found and "region" in found["target"].values


def test_bad_input_is_one_sentence(study, read, made):
    with pytest.raises(InputError, match="has 1 listeners; two or more are expected"):
        material(replace(study, subjects=("s1",)), read, SETTINGS)
    with pytest.raises(
        InputError, match="Region 'V1' has no voxels on side 'L'.*it has A1, AG_TPJ"
    ):
        region_mask(made.voxels, "V1", "L")
