"""Masks: what is refused, and the order and labels of their voxels."""

import gzip

import nibabel as nib
import numpy as np
import pytest
from nilearn.masking import apply_mask

from brainalign.errors import InputError
from brainalign.studies.images import read_mask, voxel_table
from brainalign.study import hemispheres

SHAPE = (7, 4, 3)
AFFINE = np.array([[4, 0, 0, -12], [0, 4, 0, -10], [0, 0, 4, -6], [0, 0, 0, 1]], dtype=float)


def mask_values(seed: int = 0) -> np.ndarray:
    inside = np.random.default_rng(seed).random(SHAPE) < 0.6
    return (inside | inside[::-1]).astype(np.uint8)


def write(folder, values, affine=AFFINE, name="mask.nii.gz"):
    path = folder / name
    nib.Nifti1Image(values, affine).to_filename(path)
    return path


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.float64])
def test_reads_a_mask(tmp_path, dtype):
    path = write(tmp_path, mask_values().astype(dtype))
    mask = read_mask(path, SHAPE, AFFINE)
    np.testing.assert_array_equal(mask.get_fdata(), mask_values())
    np.testing.assert_array_equal(mask.affine, AFFINE)
    path.unlink()
    assert mask.get_fdata().any()


def test_incomplete_files(tmp_path):
    path = write(tmp_path, mask_values())
    whole = path.read_bytes()
    for content in (
        b"",
        whole[:10],
        whole[: len(whole) // 2],
        whole[:-9],
        gzip.compress(b"x" * 99),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"{path} cannot be read as a complete NIfTI image"):
            read_mask(path, SHAPE)
    plain = write(tmp_path, np.ones(SHAPE, dtype=np.uint8), name="mask.nii")
    plain.write_bytes(plain.read_bytes()[:-5])
    with pytest.raises(InputError, match=f"{plain} cannot be read") as caught:
        read_mask(plain, SHAPE)
    assert "\n" not in str(caught.value)


def test_other_grids(tmp_path):
    path = write(tmp_path, np.ones((7, 4, 4), dtype=np.uint8))
    with pytest.raises(InputError, match=r"shape \(7, 4, 4\); \(7, 4, 3\) is expected"):
        read_mask(path, SHAPE)
    path = write(tmp_path, np.ones((*SHAPE, 2), dtype=np.uint8))
    with pytest.raises(InputError, match=r"shape \(7, 4, 3, 2\); \(7, 4, 3\) is expected"):
        read_mask(path, SHAPE)
    path = write(tmp_path, mask_values(), affine=np.diag([2.0, 2, 2, 1]))
    with pytest.raises(InputError, match="has the affine .* is expected"):
        read_mask(path, SHAPE, AFFINE)


@pytest.mark.parametrize("value", [2.0, -1.0, 0.5, np.nan])
def test_values_that_are_no_mask(tmp_path, value):
    values = mask_values().astype(float)
    values[0, 0, 0] = value
    with pytest.raises(InputError, match="a mask of zeros and ones is expected"):
        read_mask(write(tmp_path, values), SHAPE)


def test_empty_mask(tmp_path):
    with pytest.raises(InputError, match="values from 0 to 0"):
        read_mask(write(tmp_path, np.zeros(SHAPE, dtype=np.uint8)), SHAPE)


def test_voxels_are_in_the_order_of_nilearn():
    mask = nib.Nifti1Image(mask_values(), AFFINE)
    grid = np.moveaxis(np.indices(SHAPE), 0, -1) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    expected = apply_mask(nib.Nifti1Image(grid.astype(np.float32), AFFINE), mask).T
    table = voxel_table(mask, {})
    np.testing.assert_array_equal(table[["x", "y", "z"]], expected)
    assert table["x"].is_monotonic_increasing
    assert (table["roi"] == "").all() and (table["parcel"] == "").all()


def test_hemispheres_and_mirrored_regions():
    mask = nib.Nifti1Image(np.ones(SHAPE, dtype=np.uint8), AFFINE)
    left = np.zeros(SHAPE, dtype=np.uint8)
    left[1, 2, 1:] = 1
    table = voxel_table(mask, {"TP": nib.Nifti1Image(left, AFFINE)})
    assert (np.sign(table["x"]).map({-1: "L", 0: "midline", 1: "R"}) == table["hemisphere"]).all()
    region = table[table["roi"] == "TP"]
    assert region[["x", "y", "z"]].to_numpy().tolist() == [
        [-8, -2, -2],
        [-8, -2, 2],
        [8, -2, -2],
        [8, -2, 2],
    ]
    assert region["hemisphere"].tolist() == ["L", "L", "R", "R"]
    published = hemispheres(table, "published")
    assert (published[:42] == "L").all() and (published[42:] == "R").all()
