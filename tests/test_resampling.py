"""Copies of a study side by side: listeners, averages without each of them, shifts."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import TRIM, tiny_study

from brainalign.encoding import EncodingSettings, encode
from brainalign.errors import InputError
from brainalign.fitting import load_responses
from brainalign.resampling import draw_shifts, listeners_side_by_side, shifted, split_copies
from brainalign.study import standardise

BASELINE = "random-embeddings-16"


@pytest.fixture
def study():
    return tiny_study(n_voxels=4, n_subjects=4)


def copies_of(study, copied, run=0):
    values = copied.responses(run).to_numpy()[0]
    return values.reshape(len(values), -1, study.n_voxels).transpose(1, 0, 2)


def test_listeners_come_first_then_the_averages_without_each(study):
    copies = copies_of(study, listeners_side_by_side(study), run=1)
    alone = [standardise(study.responses(1, name).to_numpy()[0]) for name in study.subjects]
    assert len(copies) == 8
    for number, values in enumerate(alone):
        np.testing.assert_allclose(copies[number], values, atol=1e-6)
        others = np.mean([v for k, v in enumerate(alone) if k != number], axis=0)
        np.testing.assert_allclose(copies[4 + number], standardise(others), atol=1e-5)


def test_scores_side_by_side_are_those_of_each_listener(study, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    settings = EncodingSettings(alpha_per_voxel=True, alphas=(0, 4, 5))
    (both,) = encode(listeners_side_by_side(study), [BASELINE], settings)
    found = split_copies(both["r"][0, 0], study.n_voxels)
    for number, name in enumerate(study.subjects):
        own = EncodingSettings(name, alpha_per_voxel=True, alphas=(0, 4, 5))
        (alone,) = encode(study, [BASELINE], own)
        np.testing.assert_allclose(found[number], alone["r"][0, 0], atol=1e-5)


def test_too_few_listeners_are_one_sentence():
    with pytest.raises(InputError, match=r"has 2 individual listener\(s\).*at least 3"):
        listeners_side_by_side(tiny_study(n_subjects=2))


def test_shifts_are_long_in_either_direction(study):
    shifts = draw_shifts(study, 500, np.random.default_rng(0), least=6)
    lengths = [run.n_scans - sum(TRIM) for run in study.runs]
    assert shifts.shape == (500, 3)
    assert (shifts.min(axis=0) == 6).all()
    assert (shifts.max(axis=0) == np.array(lengths) - 6).all()
    with pytest.raises(InputError, match="Run 2 .* has 35 scans; more than 40 are expected"):
        draw_shifts(study, 5, np.random.default_rng(0), least=20)


@given(st.integers(-100, 100), st.integers(0, 2))
def test_a_shift_turns_the_scans_that_are_kept(shift, run):
    study = tiny_study(n_voxels=2, n_subjects=3)
    (copy,) = copies_of(study, shifted(study, np.full((1, 3), shift)), run)
    values = study.responses(run).to_numpy()[0]
    start, stop = TRIM[0], len(values) - TRIM[1]
    np.testing.assert_array_equal(copy[start:stop], np.roll(values[start:stop], shift, axis=0))
    np.testing.assert_array_equal(copy[:start], values[:start])


def test_no_shift_is_the_study_itself(study):
    twice = shifted(study, np.zeros((2, 3), dtype=int))
    for plain, copies in zip(load_responses(study), load_responses(twice), strict=True):
        np.testing.assert_allclose(copies, np.hstack([plain, plain]), atol=1e-6)


def test_copies_are_a_study_of_their_own(study):
    one, other = (shifted(study, np.full((1, 3), k)) for k in (6, 7))
    prints = {s.fingerprint for s in (study, one, other, listeners_side_by_side(study))}
    assert len(prints) == 4
    assert one.subjects == () and one.has_average and one.mask is None
    assert one.name == study.name and one.options == study.options


def test_copies_are_taken_apart_in_order():
    scores = xr.DataArray(np.arange(6), dims="voxel")
    np.testing.assert_array_equal(split_copies(scores, 2), [[0, 1], [2, 3], [4, 5]])
