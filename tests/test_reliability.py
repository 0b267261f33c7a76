"""Inter-subject correlation, prediction of halves and noise ceiling against their definitions."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import Ridge
from tiny_study import tiny_study

from brainalign.errors import InputError
from brainalign.reliability import (
    leave_one_out_isc,
    listener_isc,
    measure_all,
    noise_ceiling,
    reliability_map,
    reliable_voxels,
    shifted_isc,
    split_half_correlation,
    split_half_reliability,
)
from brainalign.ridge import ALPHAS
from brainalign.studies import load_study
from brainalign.study import Study

MEASURES = (
    leave_one_out_isc,
    listener_isc,
    partial(shifted_isc, n_shifts=3, seed=1),
    partial(noise_ceiling, seed=1),
    partial(split_half_reliability, n_splits=1, seed=1),
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    return tmp_path


def standardised(study: Study) -> list[np.ndarray]:
    """Standardised responses of all listeners, one (subject, scan, voxel) per run, float64."""
    runs = []
    for number, run in enumerate(study.runs):
        kept = slice(study.trim[0], run.n_scans - study.trim[1])
        data = study.responses(number, study.subjects).to_numpy()[:, kept].astype(float)
        runs.append((data - data.mean(1, keepdims=True)) / data.std(1, keepdims=True))
    return runs


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Correlation of every column of one array with that of another, by numpy's corrcoef."""
    return np.array([np.corrcoef(x, y)[0, 1] for x, y in zip(a.T, b.T, strict=True)])


def by_definition(runs: list[np.ndarray]) -> np.ndarray:
    """Each listener with the mean of the others, by loops; mean over runs, (subject, voxel)."""
    found = []
    for z in runs:
        listeners = []
        for k in range(len(z)):
            others = np.delete(z, k, axis=0).mean(0)
            listeners.append(correlations(z[k], others))
        found.append(listeners)
    return np.mean(found, axis=0)


@pytest.mark.parametrize("n_subjects", [2, 3, 6])
def test_equals_its_definition(n_subjects):
    study = tiny_study(n_subjects=n_subjects)
    isc = leave_one_out_isc(study)
    assert isc.dims == ("voxel",) and isc.dtype == np.float32
    expected = by_definition(standardised(study))
    np.testing.assert_allclose(isc, expected.mean(0), atol=1e-6)
    np.testing.assert_array_equal(isc["hemisphere"], study.voxels["hemisphere"])
    listeners = listener_isc(study)
    np.testing.assert_allclose(listeners, expected, atol=1e-6)
    assert listeners.dims == ("subject", "voxel")
    assert listeners["subject"].values.tolist() == list(study.subjects)


def with_loader(study, function):
    """The study with `function(run, subject, responses)` between it and its listeners."""

    def loader(number, run):
        return lambda subject: function(number, subject, run.load(subject))

    runs = tuple(replace(run, load=loader(k, run)) for k, run in enumerate(study.runs))
    return replace(study, runs=runs, fingerprint="changed")


def test_identical_and_opposite_listeners():
    study = tiny_study(n_subjects=4)
    same = with_loader(study, lambda run, subject, _: study.runs[run].load("s1"))
    np.testing.assert_allclose(leave_one_out_isc(same), 1, atol=1e-6)
    pair = with_loader(
        tiny_study(n_subjects=2),
        lambda run, subject, _: study.runs[run].load("s1") * (1 if subject == "s1" else -2) + 5,
    )
    np.testing.assert_allclose(leave_one_out_isc(replace(pair, fingerprint="p")), -1, atol=1e-6)


def test_constant_voxels():
    def spoil(run, subject, values):
        values = values.copy()
        values[:, 0] = 4.2
        if subject == "s1" or run == 1:
            values[:, 1] = -1
        if subject == "s1":
            values[:, 2] = 0
        return values

    study = tiny_study(n_subjects=4)
    spoiled = leave_one_out_isc(with_loader(study, spoil))
    assert np.isnan(spoiled[:2]).all() and np.isfinite(spoiled[2:]).all()
    # Where one listener's voxel is constant, the others are compared among themselves.
    others = replace(study, subjects=study.subjects[1:], fingerprint="others")
    np.testing.assert_allclose(spoiled[2], leave_one_out_isc(others)[2], atol=1e-6)
    np.testing.assert_allclose(spoiled[3:], leave_one_out_isc(study)[3:], atol=1e-6)
    assert not reliable_voxels(spoiled)[:2].any()


def test_streams_run_by_run_and_is_found_again(own_cache):
    study = tiny_study()
    log = study.runs[0].load.log
    first = leave_one_out_isc(study)
    assert log == [(run, subject) for run in range(3) for subject in study.subjects]
    xr.testing.assert_identical(leave_one_out_isc(study), first)
    assert len(log) == 9
    leave_one_out_isc(replace(study, fingerprint="other data"))
    assert len(log) == 18
    assert len(list((own_cache / "reliability").glob("*.nc"))) == 2


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=40), st.floats(0, 1))
def test_reliable_voxels_exceed_the_quantile(values, quantile):
    isc = xr.DataArray(np.array(values, np.float32), dims="voxel")
    reliable = reliable_voxels(isc, quantile)
    assert reliable.sum() <= np.ceil((1 - quantile) * len(values))
    if reliable.any() and not reliable.all():
        assert isc[reliable].min() > isc[~reliable].max()
    assert reliable.attrs["threshold"] == pytest.approx(np.quantile(isc, quantile), abs=1e-6)


def test_reliable_quarter():
    isc = xr.DataArray(np.append(np.arange(100.0), np.nan), dims="voxel")
    reliable = reliable_voxels(isc)
    assert np.flatnonzero(reliable).tolist() == list(range(75, 100))


def test_bad_input_gives_one_sentence():
    with pytest.raises(InputError, match="'tiny' has 1 individual"):
        leave_one_out_isc(tiny_study(n_subjects=1))
    with pytest.raises(InputError, match=r"quantile is 1\.5"):
        reliable_voxels(xr.DataArray([0.1], dims="voxel"), 1.5)

    def spoil(run, subject, values):
        return np.where(np.arange(12) == 7, np.nan, values) if subject == "s2" else values

    with pytest.raises(InputError, match="Run 1 of subject 's2' is not finite in voxel 7"):
        leave_one_out_isc(with_loader(tiny_study(), spoil))


def halves(n_subjects, split, seed=0):
    """The split as documented: seeded by the pair, the smaller half first."""
    order = np.random.default_rng([seed, split]).permutation(n_subjects)
    return order[: n_subjects // 2], order[n_subjects // 2 :]


@pytest.mark.parametrize("n_subjects", [2, 5])
def test_correlation_of_halves_equals_its_definition(n_subjects):
    study = tiny_study(n_subjects=n_subjects)
    expected = []
    for z in standardised(study):
        for split in range(7):
            first, second = halves(n_subjects, split, seed=3)
            expected.append(correlations(z[first].mean(0), z[second].mean(0)))
    found = split_half_correlation(study, 7, seed=3)
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-6)
    r = np.clip(np.mean(expected, axis=0), 0, None)
    ceiling = noise_ceiling(study, 7, seed=3)
    np.testing.assert_allclose(ceiling, np.sqrt(2 * r / (1 + r)), atol=1e-6)


def test_noise_ceiling_is_the_correlation_of_the_average_with_the_signal():
    n_subjects, noise = 10, 3.0

    def louder(run, subject, values):
        rng = np.random.default_rng([run, *subject.encode()])
        return (values + noise * rng.standard_normal(values.shape)).astype(np.float32)

    study = with_loader(tiny_study(n_voxels=400, n_subjects=n_subjects), louder)
    found = noise_ceiling(study, 100)
    known = []
    for number, run in enumerate(study.runs):
        signal = tiny_study(n_voxels=400).runs[number].load.signal
        kept = slice(study.trim[0], run.n_scans - study.trim[1])
        average = np.mean(standardised(study)[number], axis=0)
        known.append(correlations(average, signal[kept]))
    assert float(found.mean()) == pytest.approx(np.mean(known), abs=0.02)
    unrelated = with_loader(study, lambda run, subject, values: values * 0 + np.random.default_rng(
        [9, run, *subject.encode()]).standard_normal(values.shape).astype(np.float32))  # fmt: skip
    assert float(split_half_correlation(replace(unrelated, fingerprint="noise"), 100).mean()) < 0.02


def test_shifted_listeners_are_the_same_listeners_at_other_times():
    study = tiny_study(n_subjects=4)
    rng, expected = np.random.default_rng(5), []
    for z in standardised(study):
        moves = rng.integers(z.shape[1], size=(3, 4))
        rolled = [np.stack([np.roll(z[k], move[k], axis=0) for k in range(4)]) for move in moves]
        expected.append([by_definition([one]).mean(0) for one in rolled])
    found = shifted_isc(study, 3, seed=5)
    assert found.dims == ("shift", "voxel")
    np.testing.assert_allclose(found, np.mean(expected, axis=0), atol=1e-6)
    assert float(found.mean()) < 0.2 < float(leave_one_out_isc(study).mean())


def predicted_half(study: Study, split: int) -> np.ndarray:
    """The paper's recipe with scikit-learn: one alpha per fold, chosen on the first training run."""
    first, second = halves(len(study.subjects), split)
    runs = standardised(study)
    scale = np.concatenate([z[first].mean(0) for z in runs]).std(0)
    zscore = stats.zscore
    X = [zscore(z[first].mean(0)) * scale for z in runs]
    Y = [zscore(z[second].mean(0)) for z in runs]

    def fit(training, alpha):
        stacked = (np.concatenate([part[k] for k in training]) for part in (X, Y))
        return Ridge(alpha=alpha, fit_intercept=False).fit(*stacked)

    scores = []
    for fold in range(len(X)):
        validation, *others = training = [k for k in range(len(X)) if k != fold]
        inner = [
            correlations(fit(others, alpha).predict(X[validation]), Y[validation]).mean()
            for alpha in ALPHAS
        ]
        chosen = fit(training, ALPHAS[np.argmax(inner)])
        scores.append(correlations(chosen.predict(X[fold]), Y[fold]))
    return np.mean(scores, axis=0)


@pytest.mark.parametrize("n_voxels", [12, 150])
def test_prediction_of_half_the_listeners_from_the_other_half(n_voxels):
    study = tiny_study(n_voxels=n_voxels, n_subjects=5)
    found = split_half_reliability(study, 2)
    assert found.dims == ("split", "voxel") and found.dtype == np.float32
    expected = [predicted_half(study, split) for split in range(2)]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_interrupted_splits_continue(monkeypatch):
    study = tiny_study(n_subjects=4)
    log = study.runs[0].load.log
    two = split_half_reliability(study, 2)
    once = len(log) // 2
    assert once == len(study.runs) * len(study.subjects)
    three = split_half_reliability(study, 3)
    assert len(log) == 3 * once
    np.testing.assert_array_equal(three[:2], two)
    assert not np.array_equal(three[0], three[2])


def test_one_pass_over_the_listeners_serves_all_measures():
    apart, study = (replace(tiny_study(n_subjects=4), fingerprint=name) for name in "ab")
    expected = [measure(apart) for measure in MEASURES]
    log = study.runs[0].load.log
    measure_all(study, n_shifts=3, n_splits=2, seed=1)
    assert len(log) == len(set(log)) == len(study.runs) * len(study.subjects)
    for measure, separately in zip(MEASURES, expected, strict=True):
        xr.testing.assert_identical(measure(study), separately)
    assert len(log) == len(set(log))


def test_listeners_are_read_once_by_those_who_ask_at_the_same_time():
    study = tiny_study(n_subjects=4)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(leave_one_out_isc, [study] * 4))
    assert len(study.runs[0].load.log) == len(study.runs) * len(study.subjects)
    for other in found[1:]:
        xr.testing.assert_identical(other, found[0])


def test_folds_of_one_run():
    study = tiny_study(n_subjects=4)
    single = replace(study, runs=study.runs[:1], fingerprint="single")
    with pytest.raises(InputError, match="has 1 fold"):
        split_half_reliability(single, 1)
    cut = replace(single, n_folds=3, gap=2, fingerprint="cut")
    assert float(split_half_reliability(cut, 1).mean()) > 0.2


def test_a_published_map_comes_first():
    study = tiny_study(n_subjects=0)
    maps = xr.DataArray(np.arange(24.0).reshape(2, 12), dims=("split", "voxel"))
    published = replace(study, reliability=lambda: maps)
    np.testing.assert_array_equal(reliability_map(published), np.arange(12) + 6)
    with_listeners = tiny_study()
    xr.testing.assert_identical(reliability_map(with_listeners), leave_one_out_isc(with_listeners))
    by_halves = replace(with_listeners, split_halves=True)
    expected = split_half_reliability(with_listeners, n_splits=10).mean("split")
    xr.testing.assert_identical(reliability_map(by_halves), expected)


def test_bad_numbers_give_one_sentence():
    study = tiny_study()
    with pytest.raises(InputError, match="n_splits is 0; a number from 1"):
        split_half_correlation(study, 0)
    with pytest.raises(InputError, match="n_splits is -1; a number from 1"):
        split_half_reliability(study, -1)
    with pytest.raises(InputError, match="n_shifts is 0; a number from 1"):
        shifted_isc(study, 0)
    for measure in (listener_isc, noise_ceiling, split_half_reliability):
        with pytest.raises(InputError, match="'tiny' has 1 individual"):
            measure(tiny_study(n_subjects=1))


def test_alice(real_data):
    study = load_study("alice")
    known = {
        "isc": [0.277, 0.225, 0.397, 0.267, 0.249, 0.193],
        "null": [0.037, 0.035, 0.038, 0.034, 0.039, 0.037],
        "half": [0.60, 0.52, 0.75, 0.59, 0.56, 0.46],
        "ceiling": [0.87, 0.83, 0.93, 0.86, 0.85, 0.79],
    }
    np.testing.assert_allclose(leave_one_out_isc(study), known["isc"], atol=0.001)
    null = shifted_isc(study, 1000).quantile(0.95, "shift")
    np.testing.assert_allclose(null, known["null"], atol=0.006)
    np.testing.assert_allclose(split_half_correlation(study), known["half"], atol=0.015)
    np.testing.assert_allclose(noise_ceiling(study), known["ceiling"], atol=0.01)
    left, right = listener_isc(study).to_numpy()[:, :2].T
    assert (left - right).mean() == pytest.approx(0.052, abs=5e-4)
    assert stats.ttest_rel(left, right).statistic == pytest.approx(2.51, abs=0.005)


@pytest.mark.parametrize(
    "options, left, right",
    [
        ({"high_pass": None}, 0.306, 0.197),
        ({"confounds": ["movement", "sound power"]}, 0.255, 0.204),
    ],
)
def test_alice_depends_on_cleaning_as_the_page_says(real_data, options, left, right):
    isc = leave_one_out_isc(load_study("alice", **options)).to_numpy()
    np.testing.assert_allclose(isc[:2], [left, right], atol=5e-4)
