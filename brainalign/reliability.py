"""Which voxels respond alike in all listeners: correlation of each listener with the others."""

import numpy as np
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.parallel import map_threads, progress
from brainalign.study import Study, standardise, voxel_coordinates

# Modules whose source decides what the numbers are.
SOURCES = ("study", "reliability")


def leave_one_out_isc(study: Study) -> xr.DataArray:
    """Inter-subject correlation (ISC): each listener with the mean of the others.

    Runs are trimmed and standardised as for encoding. Listeners stream by, one run of all of them
    in memory at a time.

    Parameters
    ----------
    study
        With at least two listeners.

    Returns
    -------
    xarray.DataArray
        Dim (voxel), float32, with the voxels' coordinates: the mean over runs of the mean over
        listeners of the Pearson correlation. Listeners in whom a voxel is constant in a run do not
        count there; NaN where too few are left in any run. Found again by the study's fingerprint.

    Raises
    ------
    InputError
        For a study with fewer than two listeners, and for responses that are not finite.
    """
    if len(study.subjects) < 2:
        raise InputError(
            f"Study {study.name!r} has {len(study.subjects)} individual listener(s); the "
            "correlation between listeners needs at least 2."
        )
    key = digest([study.fingerprint, list(study.subjects), source_digest(SOURCES)])
    path = cache_folder() / "reliability" / f"{key}.nc"
    if not path.is_file():
        runs = progress(range(len(study.runs)), desc="inter-subject correlation")
        isc = np.mean([_run_isc(_standardised(study, run)) for run in runs], axis=0)
        array = xr.DataArray(
            isc.astype(np.float32),
            voxel_coordinates(study.voxels),
            dims="voxel",
            name="isc",
            attrs={"study": study.name, "n_subjects": len(study.subjects)},
        )
        with atomic_path(path) as temporary:
            array.to_netcdf(temporary, engine="h5netcdf")
    return xr.load_dataarray(path, engine="h5netcdf")


def reliable_voxels(isc: xr.DataArray, quantile: float = 0.75) -> xr.DataArray:
    """Voxels with an inter-subject correlation above a quantile of all voxels.

    Parameters
    ----------
    isc
        Dim (voxel).
    quantile
        From 0 to 1; .75 keeps the upper quarter (Bonnasse-Gahot & Pallier 2024).

    Returns
    -------
    xarray.DataArray of bool
        Dim (voxel); voxels without a correlation (NaN) are not reliable.

    Raises
    ------
    InputError
        For a quantile outside 0 to 1.
    """
    if not 0 <= quantile <= 1:
        raise InputError(f"quantile is {quantile}; a number from 0 to 1 is expected.")
    threshold = float(np.nanquantile(isc.to_numpy(), quantile))
    reliable = (isc > threshold).rename("reliable")
    return reliable.assign_attrs(quantile=quantile, threshold=threshold)


def _standardised(study: Study, run: int) -> np.ndarray:
    """Standardised responses of all listeners to one run, (subject, scan, voxel)."""
    start, end = study.trim
    kept = slice(start, study.runs[run].n_scans - end)
    shape = (len(study.subjects), kept.stop - kept.start, study.n_voxels)
    values = np.empty(shape, dtype=np.float32)

    def fill(number: int) -> None:
        target, subject = values[number], study.subjects[number]
        target[:] = standardise(study.responses(run, subject).to_numpy()[0][kept])
        if not np.isfinite(target).all():
            voxel = int(np.flatnonzero(~np.isfinite(target).all(axis=0))[0])
            raise InputError(
                f"Run {run + 1} of subject {subject!r} is not finite in voxel {voxel}; finite "
                "numbers are expected."
            )

    list(map_threads(fill, range(len(values))))
    return values


def _run_isc(values: np.ndarray) -> np.ndarray:
    """Mean over listeners of the correlation with the mean of the others, (voxel,).

    For standardised listeners s with the sum t the others are t - s, so that two sums over scans,
    of t² and of s·t, are all that is needed.
    """
    n_scans = values.shape[1]
    total = values.sum(axis=0)
    squared_total = np.einsum("ij,ij->j", total, total, dtype=np.float64)
    correlations = []
    for listener in values:
        shared = np.einsum("ij,ij->j", listener, total, dtype=np.float64)
        own = np.einsum("ij,ij->j", listener, listener, dtype=np.float64)
        others = squared_total - 2 * shared + own
        # Others that cancel out up to rounding have no correlation.
        defined = (own > 0) & (others > 1e-6 * n_scans)
        bottom = np.sqrt(np.where(defined, own * others, np.nan))
        correlations.append((shared - own) / bottom)
    counts = np.isfinite(correlations).sum(axis=0)
    return np.where(counts > 0, np.nansum(correlations, axis=0), np.nan) / np.maximum(counts, 1)
