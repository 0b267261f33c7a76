"""Which voxels respond alike in all listeners, and how well a perfect model could predict them.

Three measures. *Leave-one-out ISC* correlates each listener with the mean of the others. The paper's
*reliability* predicts one half of the listeners from the whole-brain pattern of the other half. The
*noise ceiling* is the correlation that a perfect model would reach with the average listener.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.parallel import map_threads, progress
from brainalign.ridge import leave_one_run_out
from brainalign.study import Study, standardise, voxel_coordinates

# Modules whose source decides what the numbers are.
SOURCES = ("study", "drift", "reliability")
RIDGE_SOURCES = (*SOURCES, "ridge")
# Numbers in one block of voxels of the correlations between halves.
BLOCK_SIZE = 2**22


def reliability_map(study: Study) -> xr.DataArray:
    """The map that reliable voxels are chosen from: a study's own published one, or its ISC.

    Parameters
    ----------
    study
        With a published map, or with at least two listeners.

    Returns
    -------
    xarray.DataArray
        Dim (voxel): the mean over splits of `study.reliability`, or `leave_one_out_isc`.

    Raises
    ------
    InputError
        As `leave_one_out_isc`.
    """
    if study.reliability is not None:
        return study.reliability().mean("split")
    return leave_one_out_isc(study)


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
    listeners = _isc_by_run(study).astype(float).mean("subject").mean("run", skipna=False)
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
    runs = _isc_by_run(study).astype(float)
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

    def make() -> xr.DataArray:
        rng = np.random.default_rng(seed)
        runs = [
            _shifted_run_isc(_standardised(study, run), n_shifts, rng)
            for run in progress(range(len(study.runs)), desc="shifted listeners")
        ]
        return _labelled(study, np.mean(runs, axis=0), "shift")

    return _cached(study, ["shifted", n_shifts, seed], SOURCES, make)


def split_half_correlation(study: Study, n_splits: int = 200, seed: int = 0) -> xr.DataArray:
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

    def make() -> xr.DataArray:
        splits = [_halves(study, seed, number) for number in range(n_splits)]
        runs = progress(range(len(study.runs)), desc="correlation of halves")
        values = [_run_half_correlation(_standardised(study, run), splits) for run in runs]
        return _labelled(study, np.mean(values, axis=0))

    return _cached(study, ["halves", n_splits, seed], SOURCES, make)


def noise_ceiling(study: Study, n_splits: int = 200, seed: int = 0) -> xr.DataArray:
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
    splits = []
    for number in progress(range(n_splits), desc="split halves"):
        make = partial(_predicted_half, study, seed, number, device)
        splits.append(_cached(study, ["ridge", number, seed], RIDGE_SOURCES, make))
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


def _cached(
    study: Study, parts: list, sources: Sequence[str], make: Callable[[], xr.DataArray]
) -> xr.DataArray:
    """An array that was made before from the same data by the same code, or made and kept."""
    key = digest([study.fingerprint, list(study.subjects), parts, source_digest(sources)])
    path = cache_folder() / "reliability" / f"{key}.nc"
    if not path.is_file():
        array = make()
        with atomic_path(path) as temporary:
            array.to_netcdf(temporary, engine="h5netcdf")
    return xr.load_dataarray(path, engine="h5netcdf")


def _labelled(study: Study, values: np.ndarray, *dims: str) -> xr.DataArray:
    """Values with the study's voxels as their last dimension."""
    coords = voxel_coordinates(study.voxels)
    return xr.DataArray(values.astype(np.float32), coords, dims=(*dims, "voxel"), name="isc")


def _isc_by_run(study: Study) -> xr.DataArray:
    """Correlation of every listener with the mean of the others, (run, subject, voxel)."""
    _check(study)

    def make() -> xr.DataArray:
        runs = progress(range(len(study.runs)), desc="inter-subject correlation")
        values = np.stack([_run_isc(_standardised(study, run)) for run in runs])
        found = _labelled(study, values, "run", "subject")
        return found.assign_coords(subject=list(study.subjects))

    return _cached(study, ["isc"], SOURCES, make)


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


def _run_isc(values: np.ndarray) -> np.ndarray:
    """Correlation of every listener with the mean of the others, (subject, voxel).

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
    return np.stack(correlations)


def _shifted_run_isc(values: np.ndarray, n_shifts: int, rng: np.random.Generator) -> np.ndarray:
    """Mean ISC of a run's listeners, each shifted on its own, (shift, voxel)."""
    moves = rng.integers(values.shape[1], size=(n_shifts, len(values)))

    def one(shifts: np.ndarray) -> np.ndarray:
        rolled = [np.roll(listener, k, axis=0) for listener, k in zip(values, shifts, strict=True)]
        isc = _run_isc(np.stack(rolled))
        with np.errstate(invalid="ignore"):
            return np.nansum(isc, axis=0) / np.isfinite(isc).sum(axis=0)

    return np.stack(list(map_threads(one, moves)))


def _halves(study: Study, seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Listeners of both halves of one random split; the first half is the smaller one."""
    n_subjects = len(study.subjects)
    order = np.random.default_rng([seed, number]).permutation(n_subjects)
    return order[: n_subjects // 2], order[n_subjects // 2 :]


def _run_half_correlation(
    values: np.ndarray, splits: list[tuple[np.ndarray, np.ndarray]]
) -> np.ndarray:
    """Correlation between the halves' means in one run, mean over splits, (voxel,).

    The products of all pairs of listeners hold the variance of every half and their covariance.
    """
    n_subjects, _, n_voxels = values.shape
    first, second = np.zeros((2, len(splits), n_subjects))
    for number, (a, b) in enumerate(splits):
        first[number, a], second[number, b] = 1 / len(a), 1 / len(b)

    def block(start: int) -> np.ndarray:
        part = values[..., start : start + step].transpose(2, 0, 1).astype(np.float64)
        products = part @ part.transpose(0, 2, 1)
        left, right = first @ products, second @ products
        bottom = (left * first).sum(-1) * (right * second).sum(-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((left * second).sum(-1) / np.sqrt(bottom)).mean(axis=1)

    step = max(1, BLOCK_SIZE // (n_subjects * max(len(splits), values.shape[1])))
    return np.concatenate(list(map_threads(block, range(0, n_voxels, step))))


def _predicted_half(study: Study, seed: int, number: int, device: str) -> xr.DataArray:
    """Mean over folds of the correlation of the second half with its prediction, (voxel)."""
    halves, folds, means = _halves(study, seed, number), study.folds(), []
    for run in range(len(study.runs)):
        values = _standardised(study, run)
        means.append([values[half].mean(axis=0) for half in halves])
    X, Y = ([means[run][half][scans] for run, scans in folds] for half in (0, 1))
    scale = np.concatenate(X).std(axis=0)
    options = {"validation": "first", "device": device, "scale": scale}
    return _labelled(study, leave_one_run_out(X, Y, **options).r.mean(axis=0))
