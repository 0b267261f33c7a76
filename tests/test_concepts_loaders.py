"""Responses to concepts from files: known numbers in both layouts, and all that can be wrong."""

import pickle

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from tiny_concepts import (
    AFFINE,
    CONCEPTS,
    SHAPE,
    SUBJECTS,
    column_places,
    mask_values,
    trial_table,
    write_betas,
    write_mat,
    write_released,
    write_trials,
)

from brainalign.errors import InputError
from brainalign.studies.concepts.design import half_array, read_splits, read_trials
from brainalign.studies.concepts.loaders import read_betas, read_pereira
from brainalign.studies.concepts.responses import PARADIGMS


@pytest.fixture
def released(tmp_path):
    return tmp_path, write_released(tmp_path)


@pytest.fixture
def betas(tmp_path):
    write_betas(tmp_path, ".npy")
    return tmp_path


def test_released_responses_lie_where_their_columns_say(released):
    folder, examples = released
    study = read_pereira(folder, AFFINE)
    assert (study.subjects, study.concepts, study.simulated) == (SUBJECTS, CONCEPTS, False)
    assert study.n_voxels == len({tuple(p) for s in SUBJECTS for p in column_places(s)})
    places = study.voxels[["x", "y", "z"]].to_numpy().tolist()
    for (subject, paradigm), expected in examples.items():
        means = study.concept_means(subject).sel(paradigm=paradigm)
        xyz = column_places(subject) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
        columns = [places.index(place) for place in xyz.tolist()]
        np.testing.assert_allclose(means[:, columns], expected, rtol=1e-6)
        missing = np.setdiff1d(np.arange(study.n_voxels), columns)
        assert len(missing) and np.isnan(means[:, missing]).all()


def test_released_voxels_are_on_the_side_that_the_affine_says(released):
    table = read_pereira(released[0], AFFINE).voxels
    assert (np.sign(table["x"]).map({-1: "L", 0: "midline", 1: "R"}) == table["hemisphere"]).all()
    mirrored = read_pereira(released[0], AFFINE * [[-1], [1], [1], [1]]).voxels
    assert (mirrored["x"] == -table["x"]).all()


def test_released_means_have_no_halves(released):
    with pytest.raises(InputError, match="halves need responses to single stimuli"):
        read_pereira(released[0], AFFINE).half_means("M01")


def test_released_files_that_do_not_agree(released):
    folder, examples = released
    swapped = ("bird", "apple", *CONCEPTS[2:])
    example = examples["M02", "pictures"]
    for change, message in (
        ({"concepts": swapped}, "'bird' in row 1 of keyConcept; 'apple'"),
        ({"concepts": CONCEPTS[1:]}, "has 4 concepts; 5 are expected"),
        ({"shift": 9}, "voxels outside of its grid"),
        ({"meta": 3}, "lacks meta.colToCoord"),
    ):
        write_mat(folder, "M02", "pictures", example, **change)
        with pytest.raises(InputError, match=message):
            read_pereira(folder, AFFINE)
    path = write_mat(folder, "M02", "pictures", example[:, 1:])
    with pytest.raises(InputError, match=r"examples of shape \(5, 39\); \(5, 40\)"):
        read_pereira(folder, AFFINE).concept_means("M02")
    path.write_bytes(b"no MATLAB file at all, but long enough to hold a header" * 9)
    with pytest.raises(InputError, match="cannot be read as a MATLAB file"):
        read_pereira(folder, AFFINE)
    path.unlink()
    with pytest.raises(InputError, match="data_180concepts_pictures.mat is not there"):
        read_pereira(folder, AFFINE)
    with pytest.raises(InputError, match="has no <participant>"):
        read_pereira(folder / "M01", AFFINE)


def test_partly_covered_voxels_are_refused(released):
    folder, examples = released
    example = examples["M01", "sentences"].copy()
    example[2, 7] = np.nan
    write_mat(folder, "M01", "sentences", example)
    with pytest.raises(InputError, match="finite for 4 of 5 stimuli in voxel"):
        read_pereira(folder, AFFINE).concept_means("M01")


@pytest.mark.parametrize("kind", [".npy", ".nii", ".nii.gz"])
def test_betas_lie_where_their_tables_say(tmp_path, kind):
    write_betas(tmp_path, kind)
    study = read_betas(tmp_path)
    assert (study.subjects, study.concepts) == (SUBJECTS, CONCEPTS)
    offset = (np.arange(np.prod(SHAPE)).reshape(SHAPE) / 100)[mask_values() > 0]
    for subject in SUBJECTS:
        for paradigm in PARADIGMS:
            found = study.responses(subject, paradigm)
            expected = np.full(found.shape, np.nan)
            for trial in trial_table(subject, paradigm).itertuples():
                concept = CONCEPTS.index(trial.concept)
                expected[trial.stimulus_idx - 1, concept] = (
                    100 * concept + 10 * trial.stimulus_idx + offset
                )
            np.testing.assert_allclose(found, expected, rtol=1e-6)
            by_concept = np.nanmean(expected, axis=0)
            means = study.concept_means(subject).sel(paradigm=paradigm)
            np.testing.assert_allclose(means, by_concept, rtol=1e-6)
            halves = study.half_means(subject).sel(paradigm=paradigm)
            # Odd stimuli are half 1, even ones half 2.
            for half in (1, 2):
                by_half = np.nanmean(expected[half - 1 :: 2], axis=0)
                np.testing.assert_allclose(halves.sel(half=half), by_half, rtol=1e-6)


def test_betas_that_are_missing(betas):
    (betas / "M02_word_clouds.npy").rename(betas / "elsewhere.npy")
    with pytest.raises(InputError, match="has 0 files M02_word_clouds"):
        read_betas(betas)
    (betas / "stimuli_order_M02_word_clouds.csv").unlink()
    with pytest.raises(InputError, match="has 0 files stimuli_order_M02_word_clouds"):
        read_betas(betas)
    (betas / "split_pictures.csv").unlink()
    with pytest.raises(InputError, match="has 0 files split_pictures"):
        read_betas(betas)


def test_betas_of_another_shape_or_orientation(betas):
    trials = trial_table("M01", "pictures")
    path = betas / "M01_pictures.npy"
    write_trials(path, trials[1:])
    expected = (*SHAPE, len(trials))
    with pytest.raises(InputError) as caught:
        read_betas(betas).responses("M01", "pictures")
    assert f"{(*SHAPE, len(trials) - 1)}; {expected}" in str(caught.value)
    path.unlink()
    image = path.with_suffix(".nii")
    write_trials(image, trials, AFFINE @ np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(InputError, match="that of the mask, is expected"):
        read_betas(betas).responses("M01", "pictures")
    write_trials(image, trials)
    image.write_bytes(image.read_bytes()[:-50])
    with pytest.raises(InputError, match="cannot be read as a complete image"):
        read_betas(betas).responses("M01", "pictures")


def test_pickled_betas_are_never_unpickled(betas):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.save(betas / "M01_pictures.npy", {"betasmd": np.ones(3), "x": 1}, allow_pickle=True)
    study = read_betas(betas)
    with pytest.raises(InputError, match="complete array of plain numbers"):
        study.responses("M01", "pictures")
    (betas / "M01_pictures.npy").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="complete array of plain numbers"):
        study.responses("M01", "pictures")


def test_betas_of_voxels_that_are_covered_in_some_trials_only(betas):
    path = betas / "M01_sentences.npy"
    values = np.load(path)
    inside = np.argwhere(mask_values())
    values[tuple(inside[3])] = np.nan
    np.save(path, values)
    assert np.isnan(read_betas(betas).concept_means("M01")[0, :, 3]).all()
    values[tuple(inside[5])][2] = np.nan
    np.save(path, values)
    with pytest.raises(InputError, match="in voxel 5; a voxel with numbers for all stimuli"):
        read_betas(betas).concept_means("M01")


def test_a_half_without_a_trial(betas):
    path = betas / "stimuli_order_M01_sentences.csv"
    trials = pd.read_csv(path)
    even = (trials["concept"] == "cloud") & (trials["stimulus_idx"] % 2 == 0)
    trials[~even].to_csv(path, index=False)
    ordered = trials[~even].sort_values("run", kind="stable")
    write_trials(betas / "M01_sentences.npy", ordered)
    study = read_betas(betas)
    study.concept_means("M01")
    with pytest.raises(InputError, match="no response to 'cloud' in half 2 of the sentences"):
        study.half_means("M01")


def test_tables_of_halves(betas):
    paths = {paradigm: betas / f"split_{paradigm}.csv" for paradigm in PARADIGMS}
    splits = read_splits(paths)
    halves = half_array(splits, CONCEPTS)
    assert (
        halves.shape == (3, 6, 5) and (halves[:, ::2] == 1).all() and (halves[:, 1::2] == 2).all()
    )
    table = pd.read_csv(paths["pictures"])
    for wrong, message in (
        (table.assign(split=1), r"halves \(1,\) for 'apple'"),
        (table.assign(split=table["split"] + 1), r"halves \(2, 3\)"),
        (table[table["concept"] != "dance"], "differ in the concept 'dance'"),
        (table.drop(columns="split"), "cannot be read as a table with the columns concept"),
        (table.assign(split="first"), "cannot be read as a table"),
        (table.assign(stimulus_idx=0), "below 1"),
        (table[:0], "no stimuli"),
    ):
        wrong.to_csv(paths["pictures"], index=False)
        with pytest.raises(InputError, match=message):
            read_splits(paths)
    with pytest.raises(InputError, match="no table of halves for word_clouds"):
        read_splits(
            {name: paths[name] for name in PARADIGMS[:2]} | {"pictures": paths["sentences"]}
        )


def test_trials_are_put_into_the_order_of_runs(betas):
    path = betas / "stimuli_order_M01_pictures.csv"
    trials = read_trials(path)
    assert trials["run"].is_monotonic_increasing
    for _, run in trials.groupby("run"):
        assert run["onset"].is_monotonic_increasing
    table = pd.read_csv(path)
    pd.concat([table, table[:1]]).to_csv(path, index=False)
    with pytest.raises(InputError, match="twice; a stimulus that is shown once"):
        read_trials(path)
    table["stimulus_idx"] += 6
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="which split_pictures.csv puts into no half"):
        read_betas(betas)


def test_masks_of_betas(betas):
    nib.Nifti1Image(np.zeros(SHAPE, dtype=np.uint8), AFFINE).to_filename(betas / "mask.nii.gz")
    with pytest.raises(InputError, match="a mask of zeros and ones"):
        read_betas(betas)
