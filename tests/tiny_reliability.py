"""Small studies with regions, a mask and listeners, summed up, for tests of reliability's page."""

from dataclasses import replace

import numpy as np
import pandas as pd
import xarray as xr
from nibabel import Nifti1Image
from synthetic_scores import voxel_table
from tiny_study import tiny_study

from brainalign.reliability_summary import StudyReliability, study_reliability
from brainalign.study import Study, voxel_coordinates

REGIONS = {"LATL": "ATL", "RATL": "ATL", "LPTL": "PTL"}


def voxel_study(n_subjects: int = 4) -> Study:
    """A simulated study of a block of voxels with eight regions on both sides."""
    voxels = voxel_table()
    study = tiny_study(n_voxels=len(voxels), n_subjects=n_subjects)
    affine = np.diag([4.0, 4, 4, 1])
    affine[0, 3] = -36
    truth = xr.Dataset(
        {"noise_ceiling": ("voxel", np.linspace(0.5, 0.9, len(voxels)))},
        coords=voxel_coordinates(voxels),
    )
    mask = Nifti1Image(np.ones((19, 6, 8), np.uint8), affine)
    return replace(study, voxels=voxels, mask=mask, simulated=True, truth=truth)


def region_study() -> Study:
    """A measured study of three regions, one of them on both sides."""
    voxels = pd.DataFrame({"parcel": list(REGIONS), "roi": list(REGIONS.values())})
    voxels["hemisphere"] = voxels["parcel"].str[0]
    voxels[["x", "y", "z"]] = np.nan
    return replace(tiny_study(n_voxels=3, n_subjects=5, name="regions"), voxels=voxels)


def published_study() -> Study:
    """A study without listeners that brings a map of three splits."""
    study = voxel_study(n_subjects=0)
    side = study.voxels["hemisphere"].map({"L": 0.5, "R": 0.3, "midline": 0.4}).to_numpy()
    noise = np.random.default_rng(0).normal(0, 0.05, (3, len(side)))
    maps = xr.DataArray(
        side + noise, voxel_coordinates(study.voxels), dims=("split", "voxel"), name="reliability"
    )
    return replace(study, simulated=False, truth=None, reliability=lambda: maps)


STUDIES = {"voxels": voxel_study, "regions": region_study, "published": published_study}


def summed_up(name: str, **options) -> StudyReliability:
    """One of `STUDIES`, summed up."""
    return study_reliability(STUDIES[name](), **options)
