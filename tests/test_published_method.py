"""Under its published settings the package gives what the paper's algorithm gives.

The other side is `reference_published`: an implementation of its own, from the description.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import reference_published as reference
import tiny_models
import xarray as xr
from scipy import stats
from tiny_study import WORDS

from brainalign.activations import extract
from brainalign.encoding import encode
from brainalign.files import digest
from brainalign.fitting import EncodingSettings
from brainalign.lateralization import hemisphere_fits
from brainalign.layer_choice import brain_scores
from brainalign.layers import best_layers, layer_table
from brainalign.regions import voxel_tests
from brainalign.reliability import reliable_voxels
from brainalign.scores import VoxelScores, summarise
from brainalign.study import Run, Study

TR, TRIM = 2.0, (3, 2)
N_SCANS = (44, 40, 48, 42)
N_VOXELS, SUBJECTS = 60, ("s1", "s2")
# Family and number of positions; models differ in size by the latter too.
MODELS = (("gpt2", 24), ("gpt2", 96), ("opt", 24), ("llama", 24))
BASELINES = ("random-vectors-6", "random-embeddings-6:seed-1")
REGIONS = ("TP", "AG_TPJ")


def listeners_of(number, n_scans):
    """Responses of every listener to a run: something shared, and noise of their own."""
    rng = np.random.default_rng([7, number])
    shared = rng.normal(size=(n_scans, N_VOXELS))
    return {name: shared + rng.normal(size=shared.shape) for name in SUBJECTS}


def made_up_study() -> Study:
    """Four runs of random words; some voxels in two regions of both sides."""
    rng = np.random.default_rng(0)
    runs = []
    for number, n_scans in enumerate(N_SCANS):
        forms = [WORDS[k] for k in rng.integers(len(WORDS), size=int(n_scans * TR / 0.6))]
        onset = 0.6 * np.arange(len(forms)) + rng.uniform(0, 0.1, len(forms))
        offset = onset + rng.uniform(0.1, 0.5, len(forms))
        words = pd.DataFrame({"word": forms, "onset": onset, "offset": offset})
        responses = {k: v.astype(np.float32) for k, v in listeners_of(number, n_scans).items()}
        runs.append(Run(words, " ".join(forms) + ".", n_scans, responses.__getitem__))
    # x is slowest, as in a mask, and 0 in the middle.
    x = np.repeat([-8.0, -4.0, 0.0, 4.0, 8.0], N_VOXELS // 5)
    side = np.select([x < 0, x > 0], ["L", "R"], "midline")
    roi = np.where(np.abs(x) == 8, REGIONS[0], np.where(np.abs(x) == 4, REGIONS[1], ""))
    voxels = pd.DataFrame({"x": x, "y": 0.0, "z": 0.0, "hemisphere": side, "roi": roi})
    fingerprint = digest("published method")
    return Study(
        "tiny", "en", tuple(runs), SUBJECTS, TR, voxels.assign(parcel=roi), TRIM, fingerprint
    )


@pytest.fixture(scope="module")
def isc():
    return np.random.default_rng(3).uniform(0, 0.8, N_VOXELS)


@pytest.fixture(scope="module")
def study(isc):
    known = xr.DataArray(isc[None], dims=("split", "voxel"))
    return replace(made_up_study(), reliability=lambda: known)


@pytest.fixture(scope="module")
def encoded(study, tmp_path_factory):
    """The package's scores of four tiny models and two baselines, by the paper's settings."""
    folder = tmp_path_factory.mktemp("published")
    names = [
        str(
            tiny_models.save_model(
                folder / f"{family}-{positions}", family, positions, tiny_models.byte_level()
            )
        )
        for family, positions in MODELS
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(folder / "cache"))
        scores = encode(study, [*names, *BASELINES], EncodingSettings(validation="first"), jobs=1)
        vectors = {name: extract(study, name) for name in [*names, *BASELINES]}
    return scores, vectors


@pytest.fixture(scope="module")
def expected(study, encoded):
    """The reference's maps (layer, voxel) and alphas (fold, layer) of every model."""
    Y = [
        reference.average_listener([run.load(name).astype(float) for name in SUBJECTS], TRIM)
        for run in study.runs
    ]
    found = {}
    for name, arrays in encoded[1].items():
        layers = [
            reference.layer_map(
                [
                    reference.regressors(
                        np.asarray(array[:, layer]), run.words, run.n_scans, TR, TRIM
                    )
                    for array, run in zip(arrays, study.runs, strict=True)
                ],
                Y,
            )
            for layer in range(arrays[0].shape[1])
        ]
        found[name] = (
            np.array([r for r, _ in layers]),
            np.transpose([alpha for _, alpha in layers]),
        )
    return found


@pytest.fixture(scope="module")
def summed_up(study, encoded, isc):
    """The package's tables under the paper's rules for layers and hemispheres."""
    chosen = brain_scores(encoded[0], "published")
    reliable = reliable_voxels(study.reliability().mean("split"))
    return summarise(study, chosen, reliable, "published", "published")


def test_every_layer_has_the_score_and_the_penalty_of_the_reference(encoded, expected):
    assert {scores.sizes["layer"] for scores in encoded[0]} == {1, tiny_models.LAYERS + 1}
    for scores, (maps, alphas) in zip(encoded[0], expected.values(), strict=True):
        np.testing.assert_allclose(scores["alpha"], alphas)
        np.testing.assert_allclose(scores["r"][0], maps, rtol=0, atol=1e-6)
    # Otherwise the penalty would not be tested.
    assert len(np.unique([alphas for _, alphas in expected.values()][0])) > 1


def test_scores_of_hemispheres_are_those_of_the_reference(summed_up, expected, isc):
    for name, (maps, _) in expected.items():
        rows = summed_up.table[summed_up.table["model"] == name]
        for (voxels, statistic), sides in reference.summaries(
            reference.best_of_layers(maps), isc
        ).items():
            part = rows[(rows["voxels"] == voxels) & (rows["statistic"] == statistic)]
            found = part.set_index("hemisphere")["score"]
            for side, value in sides.items():
                assert found[side] == pytest.approx(value, abs=1e-6), (name, voxels, side)


def test_correlations_with_size_are_those_of_the_reference(summed_up, expected, isc):
    models = summed_up.table[summed_up.table["kind"] == "language model"]
    sizes = models.groupby("model", sort=False)["n_parameters"].first()
    assert len(set(sizes)) == len(MODELS)
    maps = {name: reference.best_of_layers(expected[name][0]) for name in sizes.index}
    for measure, key in {
        "whole brain": ("all", "mean"),
        "reliable voxels": ("reliable", "mean"),
        "90th percentile": ("all", "90th percentile"),
    }.items():
        fits = hemisphere_fits(summed_up.table, measure, 10, np.random.default_rng(0))
        for side, fit in fits.items():
            values = [reference.summaries(maps[name], isc)[key][side] for name in sizes.index]
            r, p = stats.pearsonr(np.log(sizes), values)
            assert fit.r == pytest.approx(r, abs=1e-4) and fit.p == pytest.approx(p, abs=1e-4)
            # The package's slopes are per decade.
            slope = stats.linregress(np.log(sizes), values).slope * np.log(10)
            assert fit.slope == pytest.approx(slope, abs=1e-5)


def test_the_best_layer_is_that_of_the_reference(study, encoded, expected, isc):
    found = VoxelScores(study, encoded[0], isc > np.percentile(isc, 75))
    table = layer_table(found, "published")
    best = best_layers(table, "reliable", "published").set_index("model")
    assert len(best) == len(MODELS)
    for name, row in best.iterrows():
        means = [one[isc > np.percentile(isc, 75)].mean() for one in expected[name][0]]
        assert row["best_layer"] == np.argmax(means)
        assert row["relative_depth"] == np.argmax(means) / len(means)
        assert row["score"] == pytest.approx(max(means), abs=1e-6)


def test_tests_of_regions_are_those_of_the_reference(study, encoded, summed_up, expected):
    chosen = brain_scores(encoded[0][: len(MODELS)], "published")
    found = voxel_tests(chosen).set_index("region")
    assert set(found.index) == set(REGIONS)
    maps = [reference.best_of_layers(maps) for maps, _ in list(expected.values())[: len(MODELS)]]
    sizes = chosen["n_parameters"].to_numpy()
    slopes = reference.voxel_slopes(maps, sizes)
    side = study.voxels["hemisphere"].to_numpy()
    for region, row in found.iterrows():
        inside = study.voxels["roi"].to_numpy() == region
        left, right = inside & (side == "L"), inside & (side == "R")
        *means, t, p = reference.slope_test(slopes, left, right)
        # The package's slopes are per decade.
        assert row[["slope_L", "slope_R"]].tolist() == pytest.approx(
            np.multiply(means, np.log(10)).tolist(), abs=1e-6
        )
        assert row["t"] == pytest.approx(t, rel=1e-4) and row["p"] == pytest.approx(p, rel=1e-4)
        differences = [one[left].mean() - one[right].mean() for one in maps]
        assert row["r"] == pytest.approx(stats.pearsonr(np.log(sizes), differences)[0], abs=1e-4)
