"""The brain of the simulated listeners: a real geometry with planted preferences."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.studies.testbed.config import FAMILIES, SEEDS, WEIGHTS, TestbedConfig
from brainalign.study import label_hemispheres, voxel_coordinates, voxel_size

#: Grid of Bonnasse-Gahot & Pallier (2024).
SHAPE = (37, 46, 38)
AFFINE = np.array([[4, 0, 0, -72], [0, 4, 0, -106], [0, 0, 4, -64], [0, 0, 0, 1]], dtype=float)
SPHERE_RADIUS = 10.0
PARCEL_SPACING = 20.0


@cache
def brain_mask():
    """Mirror-symmetric brain mask on the paper's 4 mm grid.

    Returns
    -------
    nibabel.Nifti1Image
        nilearn's MNI152 brain mask (1 mm), resampled, over one half, and in both hemispheres.
    """
    from nibabel import Nifti1Image
    from nilearn.datasets import load_mni152_brain_mask
    from nilearn.image import resample_img

    fine = load_mni152_brain_mask(resolution=1)
    with warnings.catch_warnings():
        # nilearn advises against interpolating a mask; the fraction of a voxel inside is wanted.
        warnings.filterwarnings("ignore", message="Resampling binary images|Casting data")
        coarse = resample_img(fine, target_affine=AFFINE, target_shape=SHAPE)
    inside = coarse.get_fdata() > 0.5
    return Nifti1Image((inside & inside[::-1]).astype(np.uint8), AFFINE)


def voxel_table(mask) -> pd.DataFrame:
    """Coordinates and labels of the mask's voxels, in its order (x slowest).

    Parameters
    ----------
    mask
        From `brain_mask`.

    Returns
    -------
    pandas.DataFrame
        `x`, `y`, `z`, `hemisphere`, `roi`, `parcel`: regions are spheres of 10 mm around the seeds
        and their mirror images; where two overlap, the nearer seed has the voxel. Parcels are the
        regions and, elsewhere, boxes of 20 mm.
    """
    xyz = np.argwhere(mask.get_fdata() > 0) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    table = pd.DataFrame(xyz, columns=["x", "y", "z"])
    table["hemisphere"] = label_hemispheres(xyz[:, 0], voxel_size(AFFINE))
    distance = seed_distances(xyz)
    names = np.array(list(SEEDS))
    inside = distance.min(axis=1) <= SPHERE_RADIUS
    table["roi"] = np.where(inside, names[distance.argmin(axis=1)], "")
    boxes = np.floor((np.abs(xyz) + [0, 200, 200]) / PARCEL_SPACING).astype(int)
    boxes = [f"box {a}-{b}-{c}" for a, b, c in boxes]
    table["parcel"] = np.where(inside, table["roi"], boxes) + " " + table["hemisphere"]
    return table


def seed_distances(xyz: np.ndarray) -> np.ndarray:
    """Distance in mm of every voxel to every seed, after folding the right side onto the left.

    Parameters
    ----------
    xyz
        Shape (voxels, 3), mm.

    Returns
    -------
    numpy.ndarray
        Shape (voxels, regions).
    """
    folded = np.column_stack([-np.abs(xyz[:, 0]), xyz[:, 1:]])
    return np.linalg.norm(folded[:, None] - np.array(list(SEEDS.values()))[None], axis=2)


def planted_brain(voxels: pd.DataFrame, config: TestbedConfig) -> xr.Dataset:
    """Planted preferences of every voxel.

    Each voxel takes the weights of the regions around it, mixed by a Gaussian of the distance to
    their seeds, and an amplitude that is full near the nearest seed and falls off beyond. The
    midline takes the mean of both sides.

    Parameters
    ----------
    voxels
        From `voxel_table`.
    config
        Numbers of the testbed.

    Returns
    -------
    xarray.Dataset
        `weight` (family, voxel), already times the amplitude; `amplitude` (voxel).
    """
    distance = seed_distances(voxels[["x", "y", "z"]].to_numpy())
    nearest = distance.min(axis=1, keepdims=True)
    sigma = config.kernel_fwhm / np.sqrt(8 * np.log(2))
    # Distances relative to the nearest seed: far from all seeds every kernel would underflow.
    kernel = np.exp(-(distance**2 - nearest**2) / (2 * sigma**2))
    mixture = kernel / kernel.sum(axis=1, keepdims=True)
    beyond = np.maximum(nearest[:, 0] - config.plateau, 0)
    amplitude = np.exp(-(beyond**2) / (2 * config.reach**2))
    amplitude[amplitude < config.silent] = 0
    sides = np.array([WEIGHTS[name] for name in SEEDS])  # region × side × family
    left, right = mixture @ sides[:, 0], mixture @ sides[:, 1]
    middle = (left + right) / 2
    # Written so that 0 and 1 give the mean and the planted weights to the last bit.
    left, right = (
        config.asymmetry * side + (1 - config.asymmetry) * middle for side in (left, right)
    )
    side = voxels["hemisphere"].to_numpy()[:, None]
    weight = np.select([side == "L", side == "R"], [left, right], middle) * amplitude[:, None]
    return xr.Dataset(
        {"weight": (("voxel", "family"), weight), "amplitude": ("voxel", amplitude)},
        coords={"family": list(FAMILIES), **voxel_coordinates(voxels)},
    ).transpose("family", "voxel")
