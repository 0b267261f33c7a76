"""Readouts of a small study, their nulls, and the files that keep their attributions."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from scipy import stats
from tiny_attribution import alone, words_of
from tiny_study import tiny_study

from brainalign import fitting
from brainalign.attribution import material as materials
from brainalign.attribution import results, scores
from brainalign.attribution.erasure import left_out
from brainalign.attribution.gradients import gradient_times_input
from brainalign.attribution.heads import fit_heads
from brainalign.attribution.material import (
    AttributionSettings,
    chosen_regions,
    material,
    region_mask,
    scramble,
    shuffle_blocks,
    word_rates,
)
from brainalign.attribution.next_word import next_word_loss
from brainalign.attribution.reading import reading, scan_features
from brainalign.attribution.readouts import SHIFT, error_cotangents, region_weights
from brainalign.errors import InputError
from brainalign.loading import load_language_model, predicts_next_word
from brainalign.study import AVERAGE

SETTINGS = AttributionSettings(
    n_context=8, region="AG_TPJ", side="L", n_folds=2, every=3, n_random=2
)
LAYER = 2


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Nothing is kept from other tests, nor for them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
    return reading(load_language_model(folder, head=True), LAYER)


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


@pytest.fixture(scope="module")
def fitted(made, read):
    """Features and heads of all folds, and their scores."""
    x = [scan_features(read, contexts) for contexts in made.contexts]
    return x, *fit_heads(x, made.responses)


def test_responses_are_kept(study, made, read, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("read again")

    monkeypatch.setattr(materials, "load_responses", fail)
    again = material(study, read, SETTINGS)
    for old, new in ((made.responses, again.responses), (made.halves[1], again.halves[1])):
        for one, other in zip(old, new, strict=True):
            np.testing.assert_array_equal(one, other)
    with pytest.raises(AssertionError, match="read again"):
        material(replace(study, fingerprint="another"), read, SETTINGS)


def test_halves_are_means_of_their_listeners(study, made):
    named = study.voxels["roi"] != ""
    for fold, parts in enumerate(zip(made.responses, *made.halves, strict=True)):
        each = [
            fitting.load_responses(study, subject)[fold][:, named] for subject in study.subjects
        ]
        average = fitting.load_responses(study, AVERAGE)[fold][:, named]
        for found, own in zip(parts, ([average], each[0::2], each[1::2]), strict=True):
            np.testing.assert_allclose(found, stats.zscore(np.mean(own, 0), axis=0), atol=1e-4)


def test_readouts_of_a_region_are_those_of_its_voxels(made, fitted):
    x, heads, _ = fitted
    found = region_weights(made, x, heads[1], 1, SETTINGS)
    names = ["region", "region: half 1", "region: half 2", "region: refit", "region: shifted"]
    names += ["other", "region: random 1", "region: random 2"]
    assert list(found) == names
    region = region_mask(made.voxels, "AG_TPJ", "L")
    other = region_mask(made.voxels, "A1", "both")
    assert region.sum() == 4 and other.sum() == 8
    np.testing.assert_array_equal(found["region"], heads[1].weights[:, region])
    np.testing.assert_array_equal(found["other"], heads[1].weights[:, other])
    # The ridge of one half of the listeners, written out.
    z = np.vstack([stats.zscore(x[fold], axis=0) for fold in (0, 2)]).astype(float)
    gram = z.T @ z + heads[1].alpha * np.eye(z.shape[1])
    y = np.vstack([made.halves[0][fold][:, region] for fold in (0, 2)])
    expected = np.linalg.solve(gram, z.T @ y) / x[1].std(0)[:, None]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found["region: half 1"], expected, atol=1e-4 * scale)
    late = [np.roll(made.responses[k], min(SHIFT, len(x[k]) // 2), axis=0) for k in (0, 2)]
    y = np.vstack(late)[:, region]
    expected = np.linalg.solve(gram, z.T @ y) / x[1].std(0)[:, None]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found["region: shifted"], expected, atol=1e-4 * scale)
    again = region_weights(made, x, heads[1], 1, SETTINGS)
    np.testing.assert_array_equal(found["region: random 2"], again["region: random 2"])
    drawn = [found["region: random 1"], found["region: random 2"], found["region: refit"]]
    for number, one in enumerate(drawn):
        assert not np.allclose(one, drawn[number - 1])


def test_halves_share_what_the_region_follows_and_random_readouts_do_not(made, fitted):
    x, heads, _ = fitted
    found = region_weights(made, x, heads[0], 0, SETTINGS)
    scaled = {name: (values * x[0].std(0)[:, None]).ravel() for name, values in found.items()}
    shared = np.corrcoef(scaled["region: half 1"], scaled["region: half 2"])[0, 1]
    null = np.corrcoef(scaled["region"], scaled["region: random 1"])[0, 1]
    assert shared > 0.5 > abs(null)


def test_the_squared_error_and_what_it_is_held_against(made, fitted):
    x, heads, _ = fitted
    found = error_cotangents(made, x[0], heads[0], 0, SETTINGS)
    weights, h = torch.tensor(heads[0].weights), torch.tensor(x[0], dtype=torch.float64)
    h.requires_grad_()
    for name, y in (("error", made.responses[0]), ("error: half 2", made.halves[1][0])):
        loss = ((h - torch.tensor(heads[0].mean)) @ weights - torch.tensor(y)).square().mean(1)
        (expected,) = torch.autograd.grad(loss.sum(), h)
        np.testing.assert_allclose(found[name], expected, rtol=1e-3, atol=1e-6)
    # A mixture of voxels lies in what their weights span; white noise is as large in all features.
    mixed = found["error: mixture"]
    inside = np.linalg.lstsq(heads[0].weights, mixed.T)[0]
    np.testing.assert_allclose(heads[0].weights @ inside, mixed.T, atol=1e-5 * np.abs(mixed).max())
    white = (found["error: white"] * x[0].std(0)).std(0)
    assert white.min() > 0.5 and white.max() < 1.6
    assert not np.allclose(found["error: shuffled"], found["error"])


@pytest.fixture(scope="module")
def question(study, folder):
    """Results about the small study are computed in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (scores, results):
            patch.setattr(module, "load_study", lambda *_, **__: study)
        patch.setattr(scores, "study_fingerprint", lambda *_, **__: "made up")
        yield results.Question("tiny", folder, SETTINGS)


@pytest.fixture(scope="module")
def attributed(question):
    return scores.attribution_scores(question, [1, LAYER], jobs=1)


def chosen(made, fold):
    return made.contexts[fold][:: SETTINGS.every]


def test_attributions_say_which_words_they_are_of(attributed, made):
    assert set(attributed["score"].dims) == {"layer", "target", "fold", "scan", "distance"}
    assert attributed["layer"].values.tolist() == [1, LAYER]
    assert "layer" not in attributed["word"].dims and "target" not in attributed["word"].dims
    for fold in range(2):
        of_fold = attributed.isel(fold=fold)
        for one in chosen(made, fold):
            of_scan = of_fold.sel(scan=one.scan)
            words = of_scan["word"].values
            assert words[: len(one.words)].tolist() == one.words[::-1].tolist()
            assert (words[len(one.words) :] == -1).all()
            first = one.word_of_token[one.pooling.any(0)].min(initial=len(one.words))
            assert int(of_scan["pooled"]) == len(one.words) - first
            there = np.isfinite(of_scan["score"].values)
            assert (there == (words >= 0)).all()
    assert attributed["run"].values.tolist() == [made.contexts[fold][0].run for fold in range(2)]


def test_attributions_are_those_of_the_means_of_weights(attributed, made, read, fitted):
    x, heads, _ = fitted
    contexts = chosen(made, 1)
    scans = [one.scan for one in contexts]
    found = attributed.sel(layer=LAYER, scan=scans).isel(fold=1)
    weights = region_weights(made, x, heads[1], 1, SETTINGS)
    for name in ("region", "other", "region: random 2"):
        cotangent = weights[name].mean(1)[None, None]
        expected = gradient_times_input(read, contexts, cotangent).values[0]
        values = found["score"].sel(target=name).values[:, : expected.shape[1]]
        np.testing.assert_allclose(values, expected, atol=1e-5 * np.nanmax(np.abs(expected)))
    errors = error_cotangents(made, x[1], heads[1], 1, SETTINGS)
    assert {*weights, *errors} <= set(found["target"].values)
    expected = gradient_times_input(read, contexts, errors["error"][None, :: SETTINGS.every])
    values = found["score"].sel(target="error").values[:, : expected.values.shape[2]]
    scale = np.nanmax(np.abs(expected.values))
    np.testing.assert_allclose(values, expected.values[0], atol=1e-5 * scale)
    np.testing.assert_allclose(
        found["loss"].sel(place="output"), next_word_loss(read, contexts), rtol=1e-4
    )


def test_the_passage_is_the_mean_size_over_single_voxels(attributed, made, read, fitted):
    x, heads, _ = fitted
    found = attributed.sel(layer=LAYER).isel(fold=0)
    scan = int(found["passage_scan"])
    (one,) = [one for one in chosen(made, 0) if one.scan == scan]
    embeddings, h = alone(read, one)
    sizes = []
    for weight in heads[0].weights[:, region_mask(made.voxels, "AG_TPJ", "L")].T:
        scalar = h @ torch.tensor(weight, dtype=torch.float32)
        (gradient,) = torch.autograd.grad(scalar, embeddings, retain_graph=True)
        sizes.append(
            np.abs(words_of((gradient * embeddings).detach().sum(-1)[0].numpy(), read, one))
        )
    expected = np.mean(sizes, axis=0)
    values = found["passage"].values
    np.testing.assert_allclose(
        values[: len(expected)], expected, rtol=1e-4, atol=1e-5 * expected.max()
    )
    assert np.isnan(values[len(expected) :]).all()


def test_layers_are_scored_in_thirds(question, fitted):
    found = scores.layer_scores(question, jobs=1)
    assert found["layer"].tolist() == [1, 2, 3]
    assert found["group"].tolist() == ["early", "middle", "late"] and found["best"].all()
    assert found["r"][LAYER - 1] == pytest.approx(fitted[2].mean(), abs=1e-5)


def test_erasure_is_of_all_readouts_and_the_loss(question, made, read, fitted):
    x, heads, _ = fitted
    found = scores.erasure_scores(question, LAYER, jobs=1)
    names = ["region", "region: shifted", "other", "region: random 1", "region: random 2"]
    assert {*names, "next word: output"} <= set(found["target"].values)
    contexts = chosen(made, 0)
    scans = [one.scan for one in contexts]
    change = found["change"].isel(fold=0).sel(scan=scans)
    changes, losses = left_out(read, contexts, read.reader.pad)
    weights = region_weights(made, x, heads[0], 0, SETTINGS)
    there = found["word"].isel(fold=0).sel(scan=scans).values >= 0
    for name in names:
        expected = ((changes @ weights[name]) ** 2).mean(-1)
        values = change.sel(target=name).values
        assert (np.isfinite(values) == there).all()
        width = expected.shape[1]
        np.testing.assert_allclose(
            values[:, :width][there[:, :width]],
            expected[there[:, :width]],
            rtol=1e-3,
            atol=1e-5 * expected.max(),
        )
    values = change.sel(target="next word: output").values[:, : losses.shape[1]]
    np.testing.assert_allclose(values, losses, rtol=1e-3, atol=1e-5)
    assert found["curve"].sizes["fold"] == 2 and found["curve"].notnull().all()
    assert {"brain", "next word", "brain, each word left out", "lowest words"} <= set(
        found["ranking"].values
    )


def test_alignment_sums_to_the_brain_score_of_its_scans(question, made, read, fitted):
    x, heads, _ = fitted
    found = scores.alignment_scores(question, LAYER, 1, jobs=1).isel(fold=0)
    some = slice(None, None, SETTINGS.every)
    predicted, y = heads[0].predict(x[0][some]), made.responses[0][some]
    r = np.mean([stats.pearsonr(a, b)[0] for a, b in zip(predicted.T, y.T, strict=True)])
    assert float(found["scalar"].sum()) == pytest.approx(r, abs=1e-5)
    assert found["error"].max() <= 1e-2
    # The text of nothing but the baseline's token, through the whole model.
    blank = [
        replace(one, ids=np.full_like(one.ids, read.reader.pad)) for one in made.contexts[0][some]
    ]
    z = stats.zscore(y, axis=0) / (y.size * predicted.std(0))
    baseline = ((heads[0].predict(scan_features(read, blank)) - predicted.mean(0)) * z).sum()
    total = float(found["score"].sum() + found["others"].sum())
    size = float(np.abs(found["score"]).sum() + np.abs(found["others"]).sum())
    assert total == pytest.approx(r - baseline, abs=1e-2 * size)
    assert float(found["change"].sum()) == pytest.approx(r - baseline, abs=1e-4 * size)


def test_results_are_kept_and_only_what_is_missing_is_computed(question, attributed, monkeypatch):
    computed, compute = [], scores._compute

    def noted(item):
        computed.append(item[1:])
        compute(item)

    monkeypatch.setattr(scores, "_compute", noted)
    again = scores.attribution_scores(question, [1, LAYER], jobs=1)
    assert computed == [] and again.identical(attributed)
    items = scores.wanted(question, "gradient", [1, LAYER])
    assert [item[2:] for item in items] == [(1, 0), (1, 1), (LAYER, 0), (LAYER, 1)]
    paths = scores.compute(items, jobs=1)
    assert len(set(paths)) == 4 and all(path.is_file() for path in paths)
    paths[-1].unlink()
    again = scores.attribution_scores(question, [1, LAYER], jobs=1)
    assert computed == [("gradient", LAYER, 1)] and again.identical(attributed)


def test_one_call_computes_everything_the_slowest_first(question, monkeypatch):
    computed = []
    monkeypatch.setattr(scores, "_compute", computed.append)
    other = replace(question, settings=replace(SETTINGS, seed=1))
    items = [
        *scores.wanted(other, "layer", [1, 2, 3]),
        *scores.wanted(other, "gradient", [LAYER]),
        *scores.wanted(other, "alignment", [LAYER], n_folds=1),
    ]
    assert [item[1:] for item in items] == [
        *(("layer", layer, 0) for layer in (1, 2, 3)),
        ("gradient", LAYER, 0),
        ("gradient", LAYER, 1),
        ("alignment", LAYER, 0),
    ]
    scores.compute(items, jobs=1)
    assert computed == [items[5], *items[3:5], *items[:3]]


def test_an_encoder_has_no_next_word(question, tmp_path):
    path = str(tiny_models.save_model(tmp_path / "bert", "bert", positions=96))
    assert not predicts_next_word(path)
    asked = replace(question, model=path, settings=replace(SETTINGS, n_folds=1))
    found = scores.attribution_scores(asked, [1], jobs=1)
    assert "loss" not in found and "region" in found["target"].values
    assert not any("next word" in str(name) for name in found["target"].values)
    found = scores.erasure_scores(asked, 1, jobs=1)
    assert "next word: output" not in found["target"].values
    assert "next word" not in found["ranking"].values
    assert found["curve"].sel(measure="next-word loss").isnull().all()


def test_regions_are_those_of_the_study_unless_others_are_given():
    assert chosen_regions("testbed", None, None, None) == {
        "region": "AG_TPJ",
        "side": "L",
        "other_region": "A1",
    }
    assert chosen_regions("testbed", "A1", "both", None)["region"] == "A1"
    assert chosen_regions("alice", None, "R", None) == {
        "region": "PTL",
        "side": "R",
        "other_region": "PreM",
    }
    found = chosen_regions("mine", "V1", None, "V2")
    assert found == {"region": "V1", "side": "both", "other_region": "V2"}
    with pytest.raises(InputError, match="other_region is not given; a region of study 'mine'"):
        chosen_regions("mine", "V1", None, None)


@pytest.mark.parametrize(
    ("name", "least"), [("n_context", 1), ("n_folds", 1), ("every", 1), ("n_random", 0)]
)
def test_settings_refuse_too_little(name, least):
    assert getattr(AttributionSettings(**{name: least}), name) == least
    with pytest.raises(InputError, match=f"{name} is {least - 1}; {least} or more is expected"):
        AttributionSettings(**{name: least - 1})


def test_bad_input_is_one_sentence(study, read, made):
    with pytest.raises(InputError, match="has 1 listeners; two or more are expected"):
        material(replace(study, subjects=("s1",)), read, SETTINGS)
    with pytest.raises(
        InputError, match="Region 'V1' has no voxels on side 'L'.*it has A1, AG_TPJ"
    ):
        region_mask(made.voxels, "V1", "L")
