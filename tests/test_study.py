"""The data model: labels, averages, hemispheres, and what it refuses."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import zscore

from brainalign.drift import remove_drift
from brainalign.errors import InputError
from brainalign.study import (
    Run,
    Study,
    hemispheres,
    label_hemispheres,
    select_voxels,
    standardise,
    voxel_size,
)

WORDS = pd.DataFrame({"word": ["a", "b"], "onset": [0.0, 1.0], "offset": [0.5, 1.5]})


def make_study(n_scans=6, shape=None, **more) -> Study:
    x = np.repeat([-8.0, -4.0, 0.0, 4.0, 8.0], 2)
    voxels = pd.DataFrame({"x": x, "y": 0.0, "z": 0.0, "roi": "", "parcel": ""})
    voxels["hemisphere"] = label_hemispheres(x, 4.0)

    def load(subject):
        seed = {"one": 1, "two": 2}[subject]
        return np.random.default_rng(seed).standard_normal(shape or (n_scans, 10)).astype("float32")

    runs = tuple(Run(WORDS, "A b.", n_scans, load) for _ in range(2))
    settings = {"name": "tiny", "language": "en", "tr": 2.0, "trim": (0, 0), "fingerprint": "f"}
    return Study(**{"runs": runs, "subjects": ("one", "two"), "voxels": voxels, **settings, **more})


def test_responses_are_labelled():
    responses = make_study().responses(0, ("two", "one"))
    assert responses.dims == ("subject", "scan", "voxel")
    assert responses["subject"].to_numpy().tolist() == ["two", "one"]
    left = responses.isel(voxel=responses["hemisphere"] == "L")
    assert left.sizes["voxel"] == 4 and (left["x"] < 0).all()


def test_average_is_the_mean_of_standardised_listeners_standardised_again():
    study = make_study()
    alone = [study.responses(0, name).to_numpy()[0] for name in study.subjects]
    expected = zscore(np.mean([zscore(values) for values in alone], axis=0))
    assert np.allclose(study.responses(0).to_numpy()[0], expected, atol=1e-5)


@given(
    arrays(np.float64, (7, 3), elements=st.floats(-1e3, 1e3)).filter(
        lambda values: (values.std(axis=0) > 1e-2).all()
    )
)
def test_standardise_is_zscore(values):
    assert np.allclose(standardise(values), zscore(values), atol=1e-2)


def test_standardise_uses_the_precision_that_it_is_given():
    values = 1e4 + np.random.default_rng(0).normal(size=(300, 4))
    result = standardise(values)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, zscore(values), rtol=0, atol=1e-6)


def test_constant_columns_become_zero():
    values = np.column_stack([np.full(5, 1 / 3), np.zeros(5), np.arange(5)])
    result = standardise(values)
    assert (result[:, :2] == 0).all() and np.isclose(result[:, 2].std(), 1)


def test_midline_is_on_neither_side():
    x = np.array([-4.0, -2.0, -1.9, 0.0, 1.9, 2.0])
    assert label_hemispheres(x, 4.0).tolist() == ["L", "L", *["midline"] * 3, "R"]
    assert voxel_size(np.diag([-4.0, 4, 4, 1])) == 4.0


def test_published_rule_is_the_first_half_of_the_voxels():
    voxels = make_study().voxels
    assert hemispheres(voxels, "published").tolist() == ["L"] * 5 + ["R"] * 5
    assert hemispheres(voxels).tolist() == ["L"] * 4 + ["midline"] * 2 + ["R"] * 4
    with pytest.raises(InputError, match="hemispheres is 'both'"):
        hemispheres(voxels, "both")


def test_selected_voxels_keep_their_responses_and_labels():
    study = make_study()
    keep = (study.voxels["hemisphere"] == "R").to_numpy()
    part = select_voxels(study, keep)
    whole = study.responses(1, "two").isel(voxel=keep)
    assert part.responses(1, "two").identical(whole)
    assert part.fingerprint != study.fingerprint
    reliability = xr.DataArray(np.arange(20.0).reshape(2, 10), dims=("split", "voxel"))
    part = select_voxels(replace(study, reliability=lambda: reliability), keep)
    assert part.reliability().equals(reliability[:, keep])
    with pytest.raises(InputError, match=r"keep has shape \(3,\)"):
        select_voxels(study, [True] * 3)


def test_drift_and_confounds_go_before_listeners_are_averaged():
    def movement(subject):
        return np.random.default_rng(len(subject) + ord(subject[0])).normal(size=(60, 2))

    plain = make_study(60, n_folds=3)
    runs = tuple(replace(run, confounds=movement) for run in plain.runs)
    study = replace(plain, runs=runs, high_pass=0.01)
    clean = [
        remove_drift(plain.responses(1, name).to_numpy()[0], 2.0, 0.01, movement(name))
        for name in study.subjects
    ]
    assert np.allclose(study.responses(1, "two").to_numpy()[0], clean[1], atol=1e-6)
    expected = zscore(np.mean([zscore(values) for values in clean], axis=0))
    assert np.allclose(study.responses(1).to_numpy()[0], expected, atol=1e-4)


def test_every_run_is_a_fold():
    study = make_study(20, trim=(3, 2))
    study = replace(study, runs=study.runs * 2)
    assert study.folds() == [(run, slice(0, 15)) for run in range(4)]


@given(
    n_scans=st.integers(30, 400),
    n_folds=st.integers(3, 8),
    gap=st.integers(0, 9),
    end=st.integers(0, 5),
)
def test_stretches_keep_their_distance(n_scans, n_folds, gap, end):
    study = make_study(n_scans, trim=(1, end), n_folds=n_folds, gap=gap)
    study = replace(study, runs=study.runs[:1])
    kept = n_scans - 1 - end
    if kept / n_folds < gap + 3:
        return
    used = np.zeros(kept, int)
    slices = [scans for run, scans in study.folds()]
    for scans in slices:
        used[scans] += 1
    assert (used <= 1).all() and (used == 0).sum() == gap * (n_folds - 1)
    assert [b.start - a.stop for a, b in pairwise(slices)] == [gap] * (n_folds - 1)
    lengths = [scans.stop - scans.start for scans in slices]
    assert max(lengths) - min(lengths) <= gap - gap // 2 + 1


def test_too_few_folds():
    with pytest.raises(
        InputError, match=r"2 fold\(s\), from 2 run\(s\) with n_folds None; at least 3"
    ):
        make_study().folds()
    one = make_study(30, n_folds=2)
    with pytest.raises(
        InputError, match=r"2 fold\(s\), from 1 run\(s\) with n_folds 2; at least 3"
    ):
        replace(one, runs=one.runs[:1]).folds()
    for wrong in ({"gap": -1, "n_folds": 5}, {"n_folds": 0}):
        with pytest.raises(InputError, match="folds from 1 and a gap from 0 scans are expected"):
            make_study(30, **wrong).folds()
    with pytest.raises(
        InputError, match="has 30 scans; 5 folds with gaps of 8 leave less than two"
    ):
        make_study(30, n_folds=5, gap=8).folds()


@pytest.mark.parametrize(
    ("times", "found"),
    [
        ({"offset": [0.5, 0.5]}, "from 1 to 0.5 s; "),
        ({"onset": [0.0, -1.0]}, "from -1 to 1.5 s, and the word above it starts at 0 s; "),
        ({"onset": [0.0, np.nan]}, "from nan to 1.5 s; "),
        ({"offset": [0.5, np.nan]}, "from 1 to nan s; "),
        ({"offset": [0.5, np.inf]}, "from 1 to inf s; "),
        ({"onset": [-np.inf, 1.0]}, "from -inf to 0.5 s; "),
    ],
)
def test_times_of_words_are_finite_and_never_go_back(times, found):
    with pytest.raises(InputError) as caught:
        Run(WORDS.assign(**times), "", 3, None)
    text = str(caught.value)
    assert text.startswith("The word table has word ") and found in text
    assert text.endswith("onsets that never go back, and offsets after them, are expected.")
    assert "\n" not in text


def test_a_run_without_words():
    assert Run(WORDS[:0], "", 3, None).words.empty


def test_bad_input_is_one_clear_sentence():
    with pytest.raises(InputError, match="no subject 'three'; it has one, two and 'average'"):
        make_study().responses(0, "three")
    with pytest.raises(InputError, match=r"shape \(6, 9\); \(6, 10\) \(scans, voxels\)"):
        make_study(shape=(6, 9)).responses(0, "one")
    with pytest.raises(InputError, match=r"The word table lacks the columns \['onset'\]"):
        Run(WORDS.drop(columns="onset"), "", 3, None)
    with pytest.raises(InputError, match="voxel table of study 'tiny' lacks"):
        make_study(voxels=pd.DataFrame({"x": [0.0]}))
