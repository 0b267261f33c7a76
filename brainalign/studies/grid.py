"""Preprocessed images on one grid for all listeners, and the voxels that are brain in each."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from brainalign.errors import InputError
from brainalign.studies.images import reading

if TYPE_CHECKING:
    from nibabel import Nifti1Image

# Volumes that are in memory at once on the grid that they come on.
_BLOCK = 16


@dataclass(frozen=True)
class Grid:
    """A grid of cubes along the axes of the brain; by default that of Bonnasse-Gahot & Pallier.

    Attributes
    ----------
    shape : tuple of int
        Voxels from left to right, back to front, bottom to top.
    origin : tuple of float
        Centre of the first voxel, in mm.
    edge : float
        Of a voxel, in mm.
    """

    shape: tuple[int, int, int] = (37, 46, 38)
    origin: tuple[float, float, float] = (-72.0, -106.0, -64.0)
    edge: float = 4.0

    def __post_init__(self):
        if min(self.shape) < 1 or not self.edge > 0:
            raise InputError(
                f"The grid has shape {self.shape} and voxels of {self.edge:g} mm; positive numbers "
                "are expected."
            )
        mirrored = -self.edge * (self.shape[0] - 1) / 2
        if abs(self.origin[0] - mirrored) > 1e-3:
            raise InputError(
                f"The grid starts at x = {self.origin[0]:g} mm; {mirrored:g} mm is expected, for "
                f"{self.shape[0]} voxels of {self.edge:g} mm to be their own mirror image."
            )

    @property
    def affine(self) -> np.ndarray:
        """From indices of voxels to mm, shape (4, 4)."""
        affine = np.diag([self.edge, self.edge, self.edge, 1.0])
        affine[:3, 3] = self.origin
        return affine


def count_volumes(path: Path) -> int:
    """Volumes of a series of images, from its header.

    Raises
    ------
    InputError
        For a file that is no NIfTI image, or that holds one volume.
    """
    from nibabel import Nifti1Image

    with reading(path):
        shape = Nifti1Image.from_filename(path).shape
    if len(shape) != 4:
        raise InputError(f"{path} has shape {shape}; a series of volumes is expected.")
    return shape[3]


def resample(path: Path, grid: Grid, n_scans: int) -> "Nifti1Image":
    """Bring a series of images onto a grid, a few volumes at a time.

    Voxels that are not finite in any volume were not measured and count as zero.

    Parameters
    ----------
    path
        A NIfTI file on any grid.
    grid
        The grid wanted.
    n_scans
        Volumes that the file must have.

    Returns
    -------
    nibabel.Nifti1Image
        Shape (*grid.shape, n_scans), float32, by cubic splines as nilearn's `resample_img` makes
        it by default.

    Raises
    ------
    InputError
        For a file that cannot be read as a whole, another number of volumes, a voxel that is
        finite in some volumes only, and images that never change on the grid.
    """
    from nibabel import Nifti1Image
    from nilearn.image import resample_img

    if (found := count_volumes(path)) != n_scans:
        raise InputError(f"{path} has {found} volumes; {n_scans} are expected.")
    # Compressed files are read on from where the last block ended.
    source = Nifti1Image.from_filename(path, keep_file_open=True)
    values = np.empty((*grid.shape, n_scans), dtype=np.float32, order="F")
    unmeasured, low, high = None, 0.0, 0.0
    for start in range(0, n_scans, _BLOCK):
        with reading(path):
            block = np.asanyarray(source.dataobj[..., start : start + _BLOCK]).astype(np.float32)
        missing = ~np.isfinite(block)
        unmeasured = missing[..., 0] if unmeasured is None else unmeasured
        _check_finite(path, missing != unmeasured[..., None], start)
        block[missing] = 0
        low, high = min(low, block.min()), max(high, block.max())
        image = Nifti1Image(block, source.affine)
        resampled = resample_img(image, grid.affine, grid.shape, clip=False)
        values[..., start : start + _BLOCK] = np.asanyarray(resampled.dataobj)
    # Splines overshoot; by default nilearn keeps them within the values of all volumes.
    values.clip(low, high, out=values)
    if not (values != values[..., :1]).any():
        raise InputError(
            f"{path} is the same in all volumes where the grid of {grid.edge:g} mm lies; responses "
            "that vary are expected."
        )
    return Nifti1Image(values, grid.affine)


def _check_finite(path: Path, wrong: np.ndarray, start: int) -> None:
    if wrong.any():
        *voxel, volume = np.argwhere(wrong)[0].tolist()
        raise InputError(
            f"{path} is finite in some volumes only in voxel {tuple(voxel)}, with a change in "
            f"volume {start + volume}; voxels that are finite throughout, or in no volume, are "
            "expected."
        )


def brain_mask(image: "Nifti1Image") -> "Nifti1Image":
    """Voxels of one series of images that are brain, if any, by nilearn's `compute_epi_mask`."""
    from nilearn.masking import compute_epi_mask

    # Of an empty mask nilearn warns; it is empty then.
    with warnings.catch_warnings(action="ignore"):
        return compute_epi_mask(image)


def common_mask(masks: list["Nifti1Image"]) -> "Nifti1Image":
    """Voxels that are brain in more than half of the series, with their mirror images (nilearn).

    Parameters
    ----------
    masks
        From `brain_mask`, one for each series; their grid is its own mirror image.

    Returns
    -------
    nibabel.Nifti1Image
        uint8: the intersection of what nilearn's `compute_multi_epi_mask` gives with its reflexion
        in x (Bonnasse-Gahot & Pallier 2024, code).

    Raises
    ------
    InputError
        Where the series have no voxel in common.
    """
    from nibabel import Nifti1Image
    from nilearn.masking import intersect_masks

    values = np.asanyarray(intersect_masks(masks, threshold=0.5).dataobj) > 0
    both = values & values[::-1]
    if not both.any():
        raise InputError(
            f"The masks of {len(masks)} series of images have no voxel in common with their mirror "
            "images; brains on the grid asked for are expected."
        )
    return Nifti1Image(both.astype(np.uint8), masks[0].affine)
