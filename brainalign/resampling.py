"""The same study many times over: without one listener, listener by listener, shifted in time.

Each of these is a study whose "voxels" are all copies side by side, so that one call of
`encoding.encode` with an alpha for every voxel fits them all at once. They are made for a few
regions and kept in memory, so that they can be fitted again and again.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.study import AVERAGE, Run, Study, standardise

# A listener that is left out must leave at least two others.
MINIMUM_LISTENERS = 3


def average_alone(study: Study) -> Study:
    """The average listener and nobody else.

    Parameters
    ----------
    study
        Any study.

    Returns
    -------
    Study
        With the same voxels.
    """
    return _side_by_side(study, 1, lambda run: study.responses(run, AVERAGE).to_numpy(), "average")


def listeners_side_by_side(study: Study) -> Study:
    """Every listener, and every average of all listeners but one.

    Parameters
    ----------
    study
        With at least three listeners.

    Returns
    -------
    Study
        With 2 × listeners × voxels "voxels": first those of each listener, then those of the
        average without each of them. `split_copies` takes them apart.

    Raises
    ------
    InputError
        For fewer than three listeners.
    """
    if len(study.subjects) < MINIMUM_LISTENERS:
        raise InputError(
            f"Study {study.name!r} has {len(study.subjects)} individual listener(s); an interval "
            f"over listeners needs at least {MINIMUM_LISTENERS}."
        )

    def both(run: int) -> np.ndarray:
        listeners = study.responses(run, study.subjects).to_numpy()
        alone = np.stack([standardise(values) for values in listeners])
        total = alone.sum(axis=0)
        without = np.stack([standardise(total - values) for values in alone])
        return np.concatenate([alone, without])

    return _side_by_side(study, 2 * len(study.subjects), both, "listeners")


def draw_shifts(
    study: Study, n_shifts: int, rng: np.random.Generator, least: int = 15
) -> np.ndarray:
    """Circular shifts, in scans: all that are long enough of a single run, draws of several.

    Parameters
    ----------
    study
        Each of several runs is shifted by a draw of its own.
    n_shifts
        Number of draws; a study of a single run has as many shifts as there are, and no draws.
    rng
        Seeded generator, for the draws.
    least
        Fewest scans, in either direction; 15 scans of 2 s are more than the haemodynamic response
        lasts.

    Returns
    -------
    numpy.ndarray of int
        Shape (shift, run).

    Raises
    ------
    InputError
        For a run that is too short to be shifted so far.
    """
    lengths = np.array([run.n_scans - sum(study.trim) for run in study.runs])
    if lengths.min() <= 2 * least:
        raise InputError(
            f"Run {lengths.argmin() + 1} of study {study.name!r} has {lengths.min()} scans; more "
            f"than {2 * least} are expected, to shift it by {least} in either direction."
        )
    if len(lengths) == 1:
        return np.arange(least, lengths[0] - least + 1)[:, None]
    return rng.integers(least, lengths - least + 1, size=(n_shifts, len(lengths)))


def shifted(study: Study, shifts: np.ndarray) -> Study:
    """The average listener against features that are circularly shifted in time.

    Responses are shifted and features stay, which is the same for how they match. A shift keeps
    everything about both, such as their slowness, but the moment at which they belong together:
    what is predicted then is predicted by chance.

    Parameters
    ----------
    study
        Any study.
    shifts
        Scans, shape (n_shifts, n_runs), see `draw_shifts`.

    Returns
    -------
    Study
        With shifts × voxels "voxels", see `split_copies`.
    """

    def rolled(run: int) -> np.ndarray:
        values = study.responses(run, AVERAGE).to_numpy()[0]
        copies = np.repeat(values[None], len(shifts), axis=0)
        for copy, shift in zip(copies, shifts[:, run], strict=True):
            study.trimmed(copy)[:] = np.roll(study.trimmed(values), shift, axis=0)
        return copies

    return _side_by_side(study, len(shifts), rolled, ["shifts", np.asarray(shifts).tolist()])


def split_copies(scores: xr.DataArray, n_voxels: int) -> np.ndarray:
    """Take the copies of a study apart again.

    Parameters
    ----------
    scores
        Dim (voxel), of a study made here.
    n_voxels
        Voxels of the study that it was made from.

    Returns
    -------
    numpy.ndarray
        Shape (copy, n_voxels).
    """
    return scores.transpose("voxel").to_numpy().reshape(-1, n_voxels)


def _side_by_side(
    study: Study, n_copies: int, make: Callable[[int], np.ndarray], what: object
) -> Study:
    """Study of copies; `make` gives those of one run, (copy, scan, voxel), cleaned."""

    def copied(number: int, run: Run) -> Run:
        @cache
        def load(subject: str) -> np.ndarray:
            return np.swapaxes(make(number), 0, 1).reshape(run.n_scans, -1)

        return replace(run, load=load, confounds=None)

    return replace(
        study,
        runs=tuple(copied(number, run) for number, run in enumerate(study.runs)),
        subjects=(),
        voxels=pd.concat([study.voxels] * n_copies, ignore_index=True),
        fingerprint=digest([study.fingerprint, what, source_digest(("resampling",))]),
        mask=None,
        truth=None,
        reliability=None,
        has_average=True,
    )
