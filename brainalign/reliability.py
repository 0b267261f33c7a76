"""Which voxels respond alike in all listeners, and how well a perfect model could predict them.

Three measures. *Leave-one-out ISC* correlates each listener with the mean of the others. The paper's
*reliability* predicts one half of the listeners from the whole-brain pattern of the other half. The
*noise ceiling* is the correlation that a perfect model would reach with the average listener.
"""

from functools import partial

import numpy as np
import xarray as xr

from brainalign import agreement
from brainalign.errors import InputError
from brainalign.parallel import progress
from brainalign.ridge import leave_one_run_out
from brainalign.streaming import Measure, measured
from brainalign.study import Study, voxel_coordinates

# Modules whose source decides what the numbers are.
SOURCES = ("study", "drift", "streaming", "agreement", "reliability")
RIDGE_SOURCES = (*SOURCES, "ridge")
# Random halves whose correlation is the base of the noise ceiling.
CORRELATED_SPLITS = 200


def reliability_map(study: Study) -> xr.DataArray:
    """The map that reliable voxels are chosen from: a study's own published one, or its ISC.

    Parameters
    ----------
    study
        With a published map, or with at least two listeners.

    Returns
    -------
    xarray.DataArray
        Dim (voxel): the mean over splits of `study.reliability`, or else of
        `split_half_reliability` for a study with `split_halves`, or `leave_one_out_isc`.

    Raises
    ------
    InputError
        As `leave_one_out_isc`.
    """
    if study.reliability is not None:
        return study.reliability().mean("split")
    if study.split_halves:
        return split_half_reliability(study).mean("split")
    return leave_one_out_isc(study)


def measure_all(study: Study, n_shifts: int, n_splits: int = 1, seed: int = 0) -> None:
    """Compute in one pass over the listeners what the functions below then find.

    Each of `leave_one_out_isc`, `shifted_isc`, `noise_ceiling` and the first split of
    `split_half_reliability` reads all responses, which takes longer than what it computes.

    Parameters
    ----------
    study
        With at least two listeners.
    n_shifts, seed
        As for `shifted_isc`, `noise_ceiling` and `split_half_reliability`.
    n_splits
        As for `split_half_reliability`; 0 for none.

    Raises
    ------
    InputError
        As these.
    """
    _check(study, n_shifts=n_shifts)
    first = [_half_predicted(study, 0, seed, "cpu")] if n_splits else []
    halves = _halves_correlated(study, CORRELATED_SPLITS, seed)
    measured(study, _isc(study), _shifted(study, n_shifts, seed), halves, *first)


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
    _check(study)
    runs = measured(study, _isc(study)).astype(float)
    listeners = runs.mean("subject").mean("run", skipna=False)
    attrs = {"study": study.name, "n_subjects": len(study.subjects)}
    return listeners.astype(np.float32).rename("isc").assign_attrs(attrs)


def listener_isc(study: Study) -> xr.DataArray:
    """Correlation of every listener with the mean of the others.

    Parameters
    ----------
    study
        With at least two listeners.

    Returns
    -------
    xarray.DataArray
        Dims (subject, voxel), float32: the mean over runs; NaN where the voxel is constant in any.

    Raises
    ------
    InputError
        As `leave_one_out_isc`.
    """
    _check(study)
    runs = measured(study, _isc(study)).astype(float)
    return runs.mean("run", skipna=False).astype(np.float32).rename("isc")


def shifted_isc(study: Study, n_shifts: int, seed: int = 0) -> xr.DataArray:
    """Leave-one-out ISC of listeners who do not hear the same at the same time: a null.

    Parameters
    ----------
    study
        With at least two listeners.
    n_shifts
        How often every listener's runs are shifted circularly by random numbers of scans.
    seed
        Of the shifts.

    Returns
    -------
    xarray.DataArray
        Dims (shift, voxel), float32. Shifting keeps the autocorrelation of the responses, and with
        it the chance that they agree.

    Raises
    ------
    InputError
        As `leave_one_out_isc`, and for fewer than one shift.
    """
    _check(study, n_shifts=n_shifts)

    return measured(study, _shifted(study, n_shifts, seed))


def split_half_correlation(
    study: Study, n_splits: int = CORRELATED_SPLITS, seed: int = 0
) -> xr.DataArray:
    """Correlation between the means of two halves of the listeners, mean over random splits.

    Parameters
    ----------
    study
        With at least two listeners.
    n_splits
        Random splits.
    seed
        Of the splits.

    Returns
    -------
    xarray.DataArray
        Dim (voxel), float32: the mean over splits and runs; NaN where a half is constant.

    Raises
    ------
    InputError
        As `leave_one_out_isc`, and for fewer than one split.
    """
    _check(study, n_splits=n_splits)
    return measured(study, _halves_correlated(study, n_splits, seed))


def noise_ceiling(study: Study, n_splits: int = CORRELATED_SPLITS, seed: int = 0) -> xr.DataArray:
    """Correlation that a perfect model would reach with the average listener.

    The correlation r of two half groups becomes the reliability 2 r / (1 + r) of the whole group
    (Spearman–Brown); its square root is the ceiling.

    Parameters
    ----------
    study, n_splits, seed
        As for `split_half_correlation`.

    Returns
    -------
    xarray.DataArray
        Dim (voxel), float32; 0 where the halves do not correlate positively.

    Raises
    ------
    InputError
        As `split_half_correlation`.
    """
    r = split_half_correlation(study, n_splits, seed).clip(min=0)
    return np.sqrt(2 * r / (1 + r)).rename("noise_ceiling")


def split_half_reliability(
    study: Study, n_splits: int = 10, seed: int = 0, device: str = "cpu"
) -> xr.DataArray:
    """Half of the listeners predicted from the whole-brain pattern of the other half.

    The paper's reliability (Bonnasse-Gahot & Pallier 2024, code): the listeners are split at
    random, each half is averaged, and a ridge regression predicts every voxel of the second mean
    from all voxels of the first, with one penalty per fold that the first training fold chooses.
    As there, voxels that the listeners share vary more in their mean, and are penalised less.

    Parameters
    ----------
    study
        With at least two listeners and three folds.
    n_splits
        Random splits; 10 in the paper. Those already made are found again, so that an interrupted
        call continues.
    seed
        Of the splits. Split k is the same whatever `n_splits`.
    device
        "cpu" or "cuda".

    Returns
    -------
    xarray.DataArray
        Dims (split, voxel), float32: the mean over folds of the correlation in the fold left out.

    Raises
    ------
    InputError
        As `leave_one_out_isc` and `ridge.leave_one_run_out`, and for fewer than one split.
    """
    _check(study, n_splits=n_splits)
    numbers = progress(range(n_splits), desc="split halves")
    splits = [measured(study, _half_predicted(study, number, seed, device)) for number in numbers]
    return xr.concat(splits, "split", coords="minimal", compat="override")


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


def _check(study: Study, **counts: int) -> None:
    if len(study.subjects) < 2:
        raise InputError(
            f"Study {study.name!r} has {len(study.subjects)} individual listener(s); the "
            "correlation between listeners needs at least 2."
        )
    for name, value in counts.items():
        if value < 1:
            raise InputError(f"{name} is {value}; a number from 1 is expected.")


def _labelled(study: Study, values: np.ndarray, *dims: str) -> xr.DataArray:
    """Values with the study's voxels as their last dimension."""
    coords = voxel_coordinates(study.voxels)
    return xr.DataArray(values.astype(np.float32), coords, dims=(*dims, "voxel"), name="isc")


def _isc(study: Study) -> Measure:
    """Correlation of every listener with the mean of the others, (run, subject, voxel)."""

    def finish(runs: list[np.ndarray]) -> xr.DataArray:
        found = _labelled(study, np.stack(runs), "run", "subject")
        return found.assign_coords(subject=list(study.subjects))

    return Measure(["isc"], agreement.isc, finish, SOURCES)


def _shifted(study: Study, n_shifts: int, seed: int) -> Measure:
    rng = np.random.default_rng(seed)

    def finish(runs: list[np.ndarray]) -> xr.DataArray:
        return _labelled(study, np.mean(runs, axis=0), "shift")

    of_run = partial(agreement.shifted_isc, n_shifts=n_shifts, rng=rng)
    return Measure(["shifted", n_shifts, seed], of_run, finish, SOURCES)


def _halves_correlated(study: Study, n_splits: int, seed: int) -> Measure:
    splits = [_halves(study, seed, number) for number in range(n_splits)]

    def finish(runs: list[np.ndarray]) -> xr.DataArray:
        return _labelled(study, np.mean(runs, axis=0))

    of_run = partial(agreement.half_correlation, splits=splits)
    return Measure(["halves", n_splits, seed], of_run, finish, SOURCES)


def _halves(study: Study, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Listeners of both halves of one random split; the first half is the smaller one."""
    n_subjects = len(study.subjects)
    order = np.random.default_rng([seed, number]).permutation(n_subjects)
    return order[: n_subjects // 2], order[n_subjects // 2 :]


def _half_predicted(study: Study, number: int, seed: int, device: str) -> Measure:
    """Mean over folds of the correlation of the second half with its prediction, (voxel)."""
    halves, folds = _halves(study, seed, number), study.folds()

    def of_run(values: np.ndarray) -> list[np.ndarray]:
        return [values[half].mean(axis=0) for half in halves]

    def finish(means: list[list[np.ndarray]]) -> xr.DataArray:
        X, Y = ([means[run][half][scans] for run, scans in folds] for half in (0, 1))
        scale = np.concatenate(X).std(axis=0)
        options = {"validation": "first", "device": device, "scale": scale}
        return _labelled(study, leave_one_run_out(X, Y, **options).r.mean(axis=0))

    return Measure(["ridge", number, seed], of_run, finish, RIDGE_SOURCES)
