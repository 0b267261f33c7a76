"""Arrays that the paper's authors published: the average listener and its reliability."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.studies.arrays import read_joblib_array
from brainalign.studies.petitprince.languages import Language
from brainalign.studies.registry import optional_files, verified_path
from brainalign.study import voxel_coordinates

if TYPE_CHECKING:
    from nibabel import Nifti1Image

N_SPLITS = 10


def read_average(language: Language, n_voxels: int, run: int, _subject: str) -> np.ndarray:
    """Responses of the published average listener to one run.

    Parameters
    ----------
    language
        Of the story.
    n_voxels
        In the published mask.
    run
        Index of the run.

    Returns
    -------
    numpy.ndarray
        Shape (scans, voxels), float32; free of drifts.

    Raises
    ------
    InputError
        Where the file is missing or is not such an array.
    """
    (file,) = (f for f in optional_files(language.study) if f.path == language.average(run))
    return _read_matrix(verified_path(file), (language.n_scans[run], n_voxels)).astype(np.float32)


def read_reliability(
    path: Path, published: "Nifti1Image", mask: "Nifti1Image", voxels: pd.DataFrame
) -> xr.DataArray:
    """Published reliability: half of the listeners predicted from the other half.

    Parameters
    ----------
    path
        An array of shape (10, voxels of the published mask) written by joblib.
    published
        That mask.
    mask
        The study's, on the same grid.
    voxels
        Its voxel table.

    Returns
    -------
    xarray.DataArray
        Dims (split, voxel): mean over runs of the correlation between measured and predicted; NaN
        in voxels that are not in the published mask.

    Raises
    ------
    InputError
        For a file that is not such an array.
    """
    inside = np.asanyarray(published.dataobj) > 0
    volumes = np.full((N_SPLITS, *inside.shape), np.nan)
    volumes[:, inside] = _read_matrix(path, (N_SPLITS, int(inside.sum())))
    values = volumes[:, np.asanyarray(mask.dataobj) > 0]
    coords = voxel_coordinates(voxels)
    return xr.DataArray(values, coords, dims=("split", "voxel"), name="reliability")


def _read_matrix(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A matrix of finite floats of a known shape."""
    values = read_joblib_array(path, max_bytes=8 * shape[0] * shape[1])
    if values.shape != shape:
        raise InputError(f"{path} has shape {values.shape}; {shape} is expected.")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path} has {values[row, column]} in row {row}, voxel {column}; finite numbers are "
            "expected."
        )
    return values
