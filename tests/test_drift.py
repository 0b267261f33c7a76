"""Drift removal against a regression written out."""

import warnings

import numpy as np
import pytest
from nilearn.glm.first_level.design_matrix import create_cosine_drift
from nilearn.signal import clean

from brainalign.drift import remove_drift
from brainalign.errors import InputError

N_SCANS, TR = 200, 2.0


def projected(values, high_pass, confounds=None):
    """Residual of a least-squares fit of a constant, a line, slow cosines and confounds."""
    scans = np.arange(N_SCANS)
    columns = [np.ones(N_SCANS)]
    if high_pass:
        n_cosines = int(2 * N_SCANS * TR * high_pass)
        columns += [scans / N_SCANS]
        columns += [
            np.cos(np.pi * (2 * scans + 1) * k / (2 * N_SCANS)) for k in range(1, n_cosines + 1)
        ]
    design = np.column_stack(columns + ([] if confounds is None else [confounds]))
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


@pytest.mark.parametrize(
    "high_pass, with_confounds",
    [(1 / 240, False), (1 / 128, False), (1 / 240, True), (None, True)],
)
def test_is_one_projection(high_pass, with_confounds):
    rng = np.random.default_rng(0)
    values = 100 + rng.normal(size=(N_SCANS, 5)).cumsum(axis=0)
    confounds = 3 + rng.normal(size=(N_SCANS, 2)).cumsum(axis=0) if with_confounds else None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cleaned = remove_drift(values, TR, high_pass, confounds)
    expected = projected(values, high_pass, confounds)
    np.testing.assert_allclose(cleaned, expected, atol=1e-4)


@pytest.mark.parametrize("high_pass", [None, 1 / 100, 1 / 128, 1 / 240])
@pytest.mark.parametrize("n_scans, tr", [(61, 1.5), (200, 2.0), (372, 2.0)])
def test_is_what_nilearn_removes(high_pass, n_scans, tr):
    rng = np.random.default_rng(0)
    values = 100 + rng.normal(size=(n_scans, 5)).cumsum(axis=0)
    confounds = rng.normal(size=(n_scans, 4)) * [1, 1e-3, 1e4, 1] + [0, 0, 1e6, 5]
    confounds[:, 3] = 2 * confounds[:, 0] - 1
    slow = np.empty((n_scans, 0))
    if high_pass:
        slow = create_cosine_drift(high_pass, tr * np.arange(n_scans))[:, :-1]
    removed = np.hstack([slow, confounds])
    expected = clean(
        values, detrend=bool(high_pass), standardize=None, filter=False, confounds=removed
    )
    expected -= expected.mean(axis=0)
    found = remove_drift(values, tr, high_pass, confounds)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_constant_confounds_take_nothing_but_the_mean():
    values = np.random.default_rng(0).normal(size=(N_SCANS, 3))
    cleaned = remove_drift(values, TR, None, np.full((N_SCANS, 2), 150.1))
    np.testing.assert_allclose(cleaned, values - values.mean(axis=0), atol=1e-12)


def test_confounds_that_resemble_a_drift_leave_no_drift_in():
    slow = np.cos(np.pi * (2 * np.arange(N_SCANS) + 1) / N_SCANS)
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_SCANS, 4)) + 5 * slow[:, None]
    confounds = (slow + 0.1 * rng.normal(size=N_SCANS))[:, None]
    cleaned = remove_drift(values, TR, 1 / 128, confounds)
    assert np.abs(slow @ cleaned).max() < 1e-3
    np.testing.assert_allclose(cleaned, projected(values, 1 / 128, confounds), atol=1e-4)


def test_nothing_is_touched_where_nothing_is_asked_for():
    values = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    assert remove_drift(values, TR, None) is values


def test_columns_that_are_all_drift_become_zero():
    scans = np.arange(N_SCANS)
    values = np.column_stack([np.full(N_SCANS, 150.1), 80 + 0.3 * scans, np.sin(scans)])
    cleaned = remove_drift(values, TR, 1 / 240)
    assert (cleaned[:, :2] == 0).all() and cleaned[:, 2].std() > 0.5


def test_missing_values_stay_in_their_column():
    values = np.random.default_rng(0).normal(size=(N_SCANS, 3))
    values[7, 1] = np.nan
    cleaned = remove_drift(values, TR, 1 / 240, np.sin(np.arange(N_SCANS))[:, None])
    assert np.isnan(cleaned[:, 1]).all() and np.isfinite(cleaned[:, [0, 2]]).all()


@pytest.mark.parametrize(
    "high_pass, confounds, message",
    [
        (0.0, None, r"high_pass is 0.0 Hz; a frequency above 0 and below 0.25 Hz"),
        (0.25, None, "high_pass is 0.25 Hz"),
        (0.2, None, "take 160 time courses out of 200 scans; at most half as many as scans are"),
        (None, np.zeros((3, 1)), r"confounds has shape \(3, 1\); \(200, confounds\) is expected"),
        (None, np.full((N_SCANS, 1), np.nan), "confounds has values that are not finite"),
    ],
)
def test_bad_input_gives_one_sentence(high_pass, confounds, message):
    with pytest.raises(InputError, match=message):
        remove_drift(np.ones((N_SCANS, 1)), TR, high_pass, confounds)
