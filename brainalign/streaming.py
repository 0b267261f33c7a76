"""Measures of many listeners that are made run by run: in one pass over the responses, and kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock

from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.parallel import map_threads, progress
from brainalign.study import Study, standardise


@dataclass(frozen=True)
class Measure:
    """Something about every voxel that comes from the responses of one run after the other.

    Attributes
    ----------
    parts : list
        What sets it apart from others of the same study.
    of_run : callable
        Takes the standardised responses to one run, (subject, scan, voxel).
    finish : callable
        Takes what `of_run` gave for every run.
    sources : tuple of str
        Modules whose source decides what the numbers are.
    """

    parts: list
    of_run: Callable[[np.ndarray], Any]
    finish: Callable[[list], xr.DataArray]
    sources: tuple[str, ...]


def measured(study: Study, *measures: Measure) -> xr.DataArray:
    """The first of some measures; all that were not made before are made in one pass and kept.

    Parameters
    ----------
    study
        With listeners; they stream by, one run of all of them in memory at a time.
    *measures
        Each is kept under a key of the study's data, its parts and the source of its modules.

    Returns
    -------
    xarray.DataArray

    Raises
    ------
    InputError
        For responses that are not finite.
    """
    folder, data = cache_folder() / "reliability", [study.fingerprint, list(study.subjects)]
    keys = [digest([*data, one.parts, source_digest(one.sources)]) for one in measures]
    paths = [folder / f"{key}.nc" for key in keys]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        # Pages that are executed side by side ask for the same.
        with FileLock(folder / f"{digest(data)}.lock"):
            pairs = zip(paths, measures, strict=True)
            _make(study, {path: one for path, one in pairs if not path.is_file()})
    return xr.load_dataarray(paths[0], engine="h5netcdf")


def _make(study: Study, missing: dict[Path, Measure]) -> None:
    found = {path: [] for path in missing}
    for run in progress(range(len(study.runs)) if missing else (), desc="listeners"):
        values = _standardised(study, run)
        for path, measure in missing.items():
            found[path].append(measure.of_run(values))
    for path, measure in missing.items():
        array = measure.finish(found.pop(path))
        with atomic_path(path) as temporary:
            array.to_netcdf(temporary, engine="h5netcdf")


def _standardised(study: Study, run: int) -> np.ndarray:
    """Standardised responses of all listeners to one run, (subject, scan, voxel)."""
    shape = (len(study.subjects), study.runs[run].n_scans - sum(study.trim), study.n_voxels)
    values = np.empty(shape, dtype=np.float32)

    def fill(number: int) -> None:
        target, subject = values[number], study.subjects[number]
        target[:] = standardise(study.trimmed(study.responses(run, subject).to_numpy()[0]))
        finite = np.isfinite(target).all(axis=0)
        if not finite.all():
            voxel = int(np.flatnonzero(~finite)[0])
            raise InputError(
                f"Run {run + 1} of subject {subject!r} is not finite in {study.label(voxel)}; "
                "finite numbers are expected."
            )

    list(map_threads(fill, range(len(values))))
    return values
