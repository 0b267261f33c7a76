"""Masks in the NIfTI format, and the voxels in them."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.study import label_hemispheres, voxel_size

if TYPE_CHECKING:
    from nibabel import Nifti1Image


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Say in one sentence what is wrong with an image that is read in the block.

    Raises
    ------
    InputError
        For a file that is truncated or no NIfTI image.
    """
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError
    from nibabel.wrapstruct import WrapStructError

    unreadable = (ImageFileError, HeaderDataError, WrapStructError, zlib.error)
    try:
        yield
    except (*unreadable, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be read as a complete NIfTI image ({reason}).") from error


def read_image(
    path: Path, shape: tuple[int, ...] | None = None, affine: np.ndarray | None = None
) -> "Nifti1Image":
    """Read an image into memory.

    Parameters
    ----------
    path
        A NIfTI file.
    shape
        The shape it must have, in voxels; by default any.
    affine
        The affine it must have; by default any.

    Returns
    -------
    nibabel.Nifti1Image

    Raises
    ------
    InputError
        For a file that is truncated or no NIfTI image, or that is on another grid.
    """
    from nibabel import Nifti1Image

    with reading(path):
        image = Nifti1Image.from_filename(path)
        # Of another shape, nothing more is read.
        wanted = shape is None or image.shape == shape
        values = np.asanyarray(image.dataobj) if wanted else None
    if values is None:
        raise InputError(f"{path} has shape {image.shape}; {shape} is expected.")
    if affine is not None and not np.allclose(image.affine, affine):
        raise InputError(
            f"{path} has the affine {image.affine.tolist()}; {affine.tolist()} is expected."
        )
    # The file need not stay where it is.
    return Nifti1Image(np.array(values), image.affine, dtype=values.dtype)


def read_mask(
    path: Path, shape: tuple[int, int, int] | None = None, affine: np.ndarray | None = None
) -> "Nifti1Image":
    """Read a mask into memory.

    Parameters
    ----------
    path
        A NIfTI file of zeros and ones.
    shape, affine
        As for `read_image`.

    Returns
    -------
    nibabel.Nifti1Image
        uint8, with at least one voxel in it.

    Raises
    ------
    InputError
        As `read_image`, and for an image that holds something else than zeros and ones.
    """
    from nibabel import Nifti1Image

    image = read_image(path, shape, affine)
    values = np.asanyarray(image.dataobj)
    if not np.isin(values, (0, 1)).all() or not values.any():
        raise InputError(
            f"{path} holds values from {values.min():g} to {values.max():g}; a mask of zeros and "
            "ones is expected."
        )
    return Nifti1Image(values.astype(np.uint8), image.affine)


def voxel_table(mask: "Nifti1Image", regions: dict[str, "Nifti1Image"]) -> pd.DataFrame:
    """Coordinates and labels of a mask's voxels.

    Parameters
    ----------
    mask
        Of the brain; its grid is its own mirror image.
    regions
        Name -> mask of a region on the left, on the same grid; its mirror image has the same name.

    Returns
    -------
    pandas.DataFrame
        One row per voxel, x slowest: `x`, `y`, `z` in mm, `hemisphere`, `roi`, `parcel` (""
        everywhere).
    """
    inside = mask.get_fdata() > 0
    xyz = np.argwhere(inside) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    table = pd.DataFrame(xyz, columns=["x", "y", "z"])
    table["hemisphere"] = label_hemispheres(xyz[:, 0], voxel_size(mask.affine))
    roi = np.full(mask.shape, "", dtype=object)
    for name, region in regions.items():
        left = region.get_fdata() > 0
        roi[left | left[::-1]] = name
    return table.assign(roi=roi[inside], parcel="")
