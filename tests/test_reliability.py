"""Inter-subject correlation against its definition."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import tiny_study

from brainalign.errors import InputError
from brainalign.reliability import leave_one_out_isc, reliable_voxels
from brainalign.study import Study


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    return tmp_path


def by_definition(study: Study) -> np.ndarray:
    """Loops over runs, listeners and voxels, with numpy's corrcoef."""
    runs = []
    for number, run in enumerate(study.runs):
        kept = slice(study.trim[0], run.n_scans - study.trim[1])
        data = study.responses(number, study.subjects).to_numpy()[:, kept].astype(float)
        z = (data - data.mean(1, keepdims=True)) / data.std(1, keepdims=True)
        listeners = []
        for k in range(len(z)):
            others = np.delete(z, k, axis=0).mean(0)
            listeners.append(
                [np.corrcoef(z[k, :, v], others[:, v])[0, 1] for v in range(z.shape[2])]
            )
        runs.append(np.mean(listeners, axis=0))
    return np.mean(runs, axis=0)


@pytest.mark.parametrize("n_subjects", [2, 3, 6])
def test_equals_its_definition(n_subjects):
    study = tiny_study(n_subjects=n_subjects)
    isc = leave_one_out_isc(study)
    assert isc.dims == ("voxel",) and isc.dtype == np.float32
    np.testing.assert_allclose(isc, by_definition(study), atol=1e-6)
    np.testing.assert_array_equal(isc["hemisphere"], study.voxels["hemisphere"])


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
