"""The data model: labels, averages, hemispheres, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import zscore

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
    with pytest.raises(InputError, match=r"keep has shape \(3,\)"):
        select_voxels(study, [True] * 3)


def test_bad_input_is_one_clear_sentence():
    with pytest.raises(InputError, match="no subject 'three'; it has one, two and 'average'"):
        make_study().responses(0, "three")
    with pytest.raises(InputError, match=r"shape \(6, 9\); \(6, 10\) \(scans, voxels\)"):
        make_study(shape=(6, 9)).responses(0, "one")
    with pytest.raises(InputError, match="lacks the columns"):
        Run(WORDS.drop(columns="onset"), "", 3, None)
    with pytest.raises(InputError, match=r"Word 1 \('b'\) ends at 0.5 s, before its onset"):
        Run(WORDS.assign(offset=[0.5, 0.5]), "", 3, None)
    with pytest.raises(InputError, match="voxel table of study 'tiny' lacks"):
        make_study(voxels=pd.DataFrame({"x": [0.0]}))
