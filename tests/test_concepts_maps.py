"""The published maps of consistency: measured numbers, and the traps of their files."""

import nibabel as nib
import numpy as np
import pytest
from scipy.stats import spearmanr

from brainalign.errors import InputError
from brainalign.studies import load_concepts, load_study, study_fingerprint
from brainalign.studies.concepts.maps import (
    AFFINE,
    REGIONS,
    SHAPE,
    read_contrast,
    read_counts,
    read_regions,
)

N_SUBJECTS = 17


@pytest.fixture(scope="module")
def maps(real_data):
    return load_concepts("concepts")


def write(path, values, affine=AFFINE, slope=None):
    image = nib.Nifti1Image(values, affine)
    if slope is not None:
        # Eight bits and a slope, as the published files have them.
        image.header.set_slope_inter(slope, 0)
    image.to_filename(path)
    return path


def test_counts_of_the_published_map(maps):
    assert maps.subjects == tuple(f"M{number:02d}" for number in range(1, 18))
    # Whole grid 861,475 at k = 0; here without the voxels that no map covers.
    assert np.bincount(maps.counts)[1:].tolist() == [33758, 5815, 1269, 263, 39, 9, 1]
    assert (maps.counts > 0).sum() == 41_154
    most = maps.voxels.iloc[maps.counts.argmax()]
    assert most[["x", "y", "z"]].tolist() == [-24, 32, -18]
    assert (most["hemisphere"], most["roi"]) == ("L", "")


def test_the_map_is_lateralised_as_measured(maps):
    side = maps.voxels["hemisphere"].to_numpy()
    expected = {
        1: (24_272, 16_196, 686),
        2: (5_500, 1_784, 112),
        3: (1_380, 172, 29),
        4: (295, 14, 3),
    }
    for k, sizes in expected.items():
        found = tuple((maps.counts[side == name] >= k).sum() for name in ("L", "R", "midline"))
        assert found == sizes


def test_regions_of_the_published_map(maps):
    measured = {
        "posterior temporal": ([254, 314, 215, 143, 45, 4], (-57.4, -33.4, 1.1), 0.591),
        "frontal": ([175, 237, 189, 65, 8, 1], (-46.4, 28.1, 5.3), 0.128),
        "ventral occipitotemporal": (
            [137, 178, 166, 114, 43, 5, 3],
            (-47.6, -51.4, -16.7),
            -0.158,
        ),
    }
    for name, (counts, centre, selectivity) in measured.items():
        inside = (maps.voxels["roi"] == name).to_numpy()
        table = maps.voxels[inside]
        assert len(table) == sum(counts) and (table["parcel"] == f"{name} L").all()
        np.testing.assert_allclose(table[["x", "y", "z"]].mean(), centre, atol=0.05)
        assert np.bincount(maps.counts[inside]).tolist() == counts
        found = maps.selectivity[:, inside].mean(dim="voxel").mean()
        assert float(found) == pytest.approx(selectivity, abs=6e-4)


def test_selectivity_of_the_participants(maps):
    everywhere = np.isfinite(maps.selectivity).all(dim="subject").to_numpy()
    assert everywhere.sum() == 181_140
    mean = maps.selectivity[:, everywhere].mean(dim="subject")
    assert np.corrcoef(maps.counts[everywhere], mean)[0, 1] == pytest.approx(0.1325, abs=5e-5)
    assert spearmanr(maps.counts[everywhere], mean)[0] == pytest.approx(0.059, abs=1e-3)
    covered = np.isfinite(maps.selectivity).sum(dim="voxel")
    assert (int(covered.min()), int(covered.max())) == (230_260, 247_939)


def test_the_mask_holds_the_voxels_in_their_order(maps):
    inside = np.argwhere(np.asarray(maps.mask.dataobj) > 0)
    xyz = nib.affines.apply_affine(maps.mask.affine, inside)
    np.testing.assert_array_equal(maps.voxels[["x", "y", "z"]], xyz)
    assert nib.aff2axcodes(maps.mask.affine) == ("L", "A", "S")


def test_trials_and_halves(maps):
    sizes = maps.trials.groupby("paradigm").size()
    assert sizes.to_dict() == {"sentences": 15_570, "pictures": 16_470, "word_clouds": 15_180}
    assert maps.trials["concept"].nunique() == 180
    assert not maps.trials.duplicated(["subject", "paradigm", "concept", "stimulus"]).any()
    halves = maps.splits.groupby(["paradigm", "concept"])["half"].agg(list)
    assert len(halves) == 540 and all(sorted(h) == [1, 1, 1, 2, 2, 2] for h in halves)


def test_eight_bits_come_back_as_whole_numbers(tmp_path):
    values = np.zeros(SHAPE)
    values.flat[: N_SUBJECTS + 1] = np.arange(N_SUBJECTS + 1)
    path, slope = tmp_path / "map.nii", 1 / 255
    write(path, np.rint(values / N_SUBJECTS / slope).astype(np.uint8), slope=slope)
    stored = nib.load(path).get_fdata() * N_SUBJECTS
    assert (stored != np.rint(stored)).any()
    np.testing.assert_array_equal(read_counts(path, N_SUBJECTS), values)
    labels = np.zeros(SHAPE)
    labels.flat[1:4] = [1, 2, 3]
    write(path, np.rint(labels * 85).astype(np.uint8), slope=0.0117647)
    np.testing.assert_array_equal(read_regions(path), labels)
    assert list(REGIONS) == [1, 2, 3]


@pytest.mark.parametrize("read", [lambda path: read_counts(path, 17), read_regions, read_contrast])
def test_maps_of_another_shape_or_orientation(tmp_path, read):
    path = write(tmp_path / "map.nii", np.zeros((91, 109, 90), dtype=np.float32))
    with pytest.raises(InputError, match=r"shape \(91, 109, 90\); \(91, 109, 91\) is expected"):
        read(path)
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    write(path, np.zeros(SHAPE, dtype=np.float32), flipped)
    with pytest.raises(InputError, match="has the affine .* is expected"):
        read(path)


def test_values_that_a_map_cannot_have(tmp_path):
    path, values = tmp_path / "map.nii", np.zeros(SHAPE, dtype=np.float32)
    for wrong, read, message in (
        (0.5, lambda path: read_counts(path, 17), "holds 0.5; parts of 17 participants"),
        (1.2, lambda path: read_counts(path, 5), "holds 1.2; parts of 5"),
        (-0.2, lambda path: read_counts(path, 5), "holds -0.2; parts of 5"),
        (np.nan, lambda path: read_counts(path, 5), "holds nan"),
        (4, read_regions, "holds 4; labels from 0 to 3"),
        (np.inf, read_contrast, "no number, or infinite ones"),
    ):
        values[3, 2, 1] = wrong
        with pytest.raises(InputError, match=message):
            read(write(path, values))
    with pytest.raises(InputError, match="no number, or infinite ones"):
        read_contrast(write(path, np.full(SHAPE, np.nan, dtype=np.float32)))


def test_studies_of_concepts_are_kept_apart_from_those_with_a_story():
    with pytest.raises(InputError, match="one of single concepts"):
        load_study("concepts")
    with pytest.raises(InputError, match="has a story and no concepts"):
        load_concepts("alice")
    with pytest.raises(InputError, match="Unknown study"):
        load_concepts("nothing")
    with pytest.raises(InputError, match="'concepts' has no option 'seed'"):
        load_concepts("concepts", seed=1)
    with pytest.raises(InputError, match="`brainalign fetch concepts` fetches them"):
        load_concepts("concepts")
    assert study_fingerprint("concepts") != study_fingerprint("concepts-testbed")
