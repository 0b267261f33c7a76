"""Brains side by side: against each of them alone; what tests find, against known noise."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from tiny_study import tiny_study

from brainalign import simulations
from brainalign.encoding import encode
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings

MODELS = ["random-embeddings-8", "random-vectors-4"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))


def test_side_by_side_scores_are_those_of_each_study_alone(cache):
    """With a penalty for every voxel no study can have a say in another one's."""
    studies = [tiny_study(name=name) for name in ("one", "two")]
    settings = EncodingSettings(alpha_per_voxel=True)
    together = encode(simulations.side_by_side(studies), MODELS, settings, jobs=1)
    for place, study in enumerate(studies):
        voxels = slice(12 * place, 12 * (place + 1))
        for own, both in zip(encode(study, MODELS, settings, jobs=1), together, strict=True):
            found = both["r_fold"].isel(voxel=voxels)
            np.testing.assert_allclose(found, own["r_fold"], atol=1e-5)


def test_studies_of_other_sizes_are_refused():
    with pytest.raises(InputError, match="same number of voxels"):
        simulations.side_by_side([tiny_study(), tiny_study(n_voxels=10)])
    with pytest.raises(InputError, match="at least one simulated brain"):
        simulations.simulated_brains([])


def test_brains_are_taken_apart_again(cache, monkeypatch):
    asked = []

    def load_study(name, seed, **options):
        asked.append((seed, options))
        study = tiny_study(name=f"brain {seed}")
        study.voxels["roi"] = ["X"] * 8 + [""] * 4
        return study

    monkeypatch.setattr("brainalign.studies.load_study", load_study)
    monkeypatch.setattr(simulations, "select_voxels", lambda study, keep: study)
    scores = simulations.simulated_brains([3, 4], MODELS, listeners=2, asymmetry=0.0)
    assert scores.dims == ("brain", "model", "fold", "voxel") and scores.shape == (2, 2, 3, 12)
    assert [seed for seed, _ in asked] == [3, 4]
    # Eight listeners with noise 2 in their average: two have twice the noise.
    assert asked[0][1] == {"n_listeners": 1, "gain_spread": 0.0, "noise": 4.0, "asymmetry": 0.0}
    settings = EncodingSettings()
    both = encode(
        simulations.side_by_side([load_study("testbed", 3), load_study("testbed", 4)]),
        MODELS, settings, jobs=1,
    )  # fmt: skip
    expected = both[1]["r_fold"].isel(voxel=slice(12, 24)).max("layer")
    np.testing.assert_allclose(scores.sel(brain=4).isel(model=1), expected)


def test_no_listeners_are_refused():
    with pytest.raises(InputError, match="listeners is 0"):
        simulations.simulated_brains([1], MODELS, listeners=0)


def null_scores(shared: float, brains: int = 40, seed: int = 0) -> xr.DataArray:
    """Two regions of 20 voxels a side; noise of a run's slope, part of it shared by a side."""
    rng = np.random.default_rng(seed)
    size = np.linspace(4, 6, 12)
    roi, side = np.repeat(["X", "Y"], 40), np.tile(np.repeat(["L", "R"], 20), 2)
    groups = np.repeat(np.arange(4), 20)
    common = shared * rng.standard_normal((brains, 1, 9, 4))[..., groups]
    own = rng.standard_normal((brains, 1, 9, 80))
    values = 0.2 + 0.02 * (size - 5)[:, None, None] * (1 + common + own)
    values = values + 0.01 * rng.standard_normal((brains, 12, 9, 80))
    coords = {
        "brain": np.arange(brains),
        "model": [f"m{k}" for k in range(12)],
        "n_parameters": ("model", 10**size),
        "roi": ("voxel", roi),
        "hemisphere": ("voxel", side),
    }
    return xr.DataArray(values, coords, ("brain", "model", "fold", "voxel"))


@pytest.fixture(scope="module")
def shared():
    return simulations.false_positives(simulations.null_findings(null_scores(1.0), 200))


def test_every_way_is_there_with_its_cells(shared):
    assert len(shared) == len(simulations.WAYS) + 2
    assert (shared["cells"] == 80).all()
    np.testing.assert_allclose(shared["rate"] + shared["coverage"], 1)
    assert ((shared["low"] <= shared["rate"]) & (shared["rate"] <= shared["high"])).all()


def test_noise_that_voxels_share_fools_the_tests_of_the_paper_only(shared):
    rate = shared.set_index("test")["rate"]
    assert rate[simulations.PAPER_T] > 0.3 and rate[simulations.PAPER_R] > 0.3
    assert rate["bootstrap over models"] > 0.3
    assert rate["jackknife over models and runs"] <= 0.05


def test_t_test_is_right_where_voxels_are_independent():
    rates = simulations.false_positives(simulations.null_findings(null_scores(0.0), 100))
    assert rates.set_index("test").loc[simulations.PAPER_T, "rate"] < 0.12


def test_rates_agree_with_counting():
    scores = null_scores(1.0, brains=5)
    findings = simulations.null_findings(scores, 100)
    x = np.log10(scores["n_parameters"].to_numpy())
    for brain in range(5):
        for roi in "XY":
            part = scores.sel(brain=brain).mean("fold").to_numpy()
            left, right = (
                part[:, ((scores["roi"] == roi) & (scores["hemisphere"] == side)).to_numpy()]
                for side in "LR"
            )
            p = stats.pearsonr(x, left.mean(axis=1) - right.mean(axis=1)).pvalue
            row = findings[
                (findings["brain"] == brain)
                & (findings["region"] == roi)
                & (findings["test"] == simulations.PAPER_R)
            ]
            assert row["found"].item() == (p < 0.05)
