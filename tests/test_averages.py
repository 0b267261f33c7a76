"""The kept average listener: the same to the last bit, made once, never half-written."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_study import tiny_study

from brainalign.averages import keep_average
from brainalign.files import cache_folder
from brainalign.studies import load_study
from brainalign.study import AVERAGE, select_voxels, standardise


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A small study with a cache of its own, and the listeners that were read."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    read = []

    def counting(run):
        def load(subject):
            read.append(subject)
            return run.load(subject)

        return replace(run, load=load)

    study = tiny_study()
    return replace(study, runs=tuple(map(counting, study.runs))), read


def kept_files():
    return sorted(path.name for path in (cache_folder() / "responses").rglob("*.npy"))


def test_the_average_is_made_once_and_is_the_same(counted):
    study, read = counted
    kept = keep_average(study)
    expected = [study.responses(run).to_numpy() for run in range(len(study.runs))]
    before = len(read)
    for _ in range(2):
        for run, values in enumerate(expected):
            np.testing.assert_array_equal(kept.responses(run).to_numpy(), values)
    assert len(read) == 2 * before
    assert kept_files() == [f"run-{run + 1}.npy" for run in range(len(study.runs))]
    assert kept.fingerprint == study.fingerprint


def test_listeners_stay_as_they_are(counted):
    study, _ = counted
    both = [one.responses(1, study.subjects).to_numpy() for one in (study, keep_average(study))]
    np.testing.assert_array_equal(*both)


def test_other_responses_have_another_average(counted):
    study, _ = counted
    keep_average(study).responses(0)
    runs = tuple(
        replace(run, load=lambda subject, run=run: -run.load(subject)) for run in study.runs
    )
    other = keep_average(replace(study, runs=runs, fingerprint="other"))
    values = -study.responses(0).to_numpy()
    np.testing.assert_allclose(other.responses(0).to_numpy(), values, atol=1e-6)


def test_some_voxels_of_a_kept_average(counted):
    study, _ = counted
    some = np.arange(study.n_voxels) % 2 == 0
    narrow = select_voxels(keep_average(study), some).responses(0).to_numpy()
    np.testing.assert_array_equal(narrow, study.responses(0).to_numpy()[..., some])


def test_a_failure_leaves_nothing_behind(counted):
    study, _ = counted

    def fail(subject):
        raise OSError("no disk")

    broken = replace(study, runs=tuple(replace(run, load=fail) for run in study.runs))
    with pytest.raises(OSError, match="no disk"):
        keep_average(broken).responses(0)
    assert kept_files() == []


def test_the_testbed_keeps_its_average(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    options = {"n_runs": 3, "n_scans": 40, "n_listeners": 3}
    study = load_study("testbed", **options)
    total = sum(standardise(values) for values in study.responses(1, study.subjects).to_numpy())
    average = study.responses(1, AVERAGE).to_numpy()[0]
    np.testing.assert_allclose(average, standardise(total), atol=1e-6)
    assert kept_files() == ["run-2.npy"]
    again = load_study("testbed", **options).responses(1, AVERAGE).to_numpy()[0]
    np.testing.assert_array_equal(again, average)


def test_one_listener_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    study = load_study("testbed", n_runs=3, n_scans=40, n_listeners=1)
    study.responses(0)
    assert not (tmp_path / "responses").exists()
