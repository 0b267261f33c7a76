"""Slow drifts and confounds: what a scanner adds to responses, removed by regression."""

from functools import lru_cache

import numpy as np

from brainalign.errors import InputError


def remove_drift(
    values: np.ndarray, tr: float, high_pass: float | None, confounds: np.ndarray | None = None
) -> np.ndarray:
    """Take a line, slow cosines and confounds out of time courses, all in one regression.

    Parameters
    ----------
    values
        Shape (n_scans, n_columns).
    tr
        Repetition time in seconds.
    high_pass
        Cut-off in Hz; cosines that are slower go, and so do the mean and the linear trend. None
        leaves drifts in.
    confounds
        Shape (n_scans, n_confounds): other time courses to regress out, with the mean.

    Returns
    -------
    numpy.ndarray
        Shape and precision of `values`, not scaled. Columns that are all drift become zero, those
        with a NaN are NaN. Without `high_pass` and `confounds` the values themselves.

    Raises
    ------
    InputError
        For a cut-off that is not positive or not below the Nyquist frequency, for confounds that
        do not fit or are not finite, and where all of it leaves less than half of the scans.
    """
    values = np.asarray(values)
    if high_pass is None and confounds is None:
        return values
    if high_pass is not None and not 0 < high_pass < 0.5 / tr:
        raise InputError(
            f"high_pass is {high_pass} Hz; a frequency above 0 and below {0.5 / tr:g} Hz, half a "
            "scan per repetition time, is expected."
        )
    if confounds is not None:
        confounds = np.asarray(confounds, dtype=np.float64)
        if confounds.ndim != 2 or len(confounds) != len(values):
            raise InputError(
                f"confounds has shape {confounds.shape}; ({len(values)}, confounds) is expected, "
                "one row per scan."
            )
        if not np.isfinite(confounds).all():
            raise InputError("confounds has values that are not finite; finite ones are expected.")
    basis = _slow_basis(len(values), tr, high_pass)
    n_cosines = max(basis.shape[1] - 2, 0)
    n_removed = n_cosines + (0 if confounds is None else confounds.shape[1])
    if n_removed > len(values) / 2:
        raise InputError(
            f"high_pass {high_pass} Hz and the confounds take {n_removed} time courses out of "
            f"{len(values)} scans; at most half as many as scans are expected."
        )
    if confounds is not None:
        basis = _extended(basis, confounds)
    cleaned = values.astype(np.float64)
    cleaned -= basis @ (basis.T @ cleaned)
    # What regression leaves of a constant is rounding; standardising must not blow it up.
    empty = np.ptp(cleaned, axis=0) <= 1e-6 * np.abs(values).max(axis=0, initial=0)
    return np.where(empty, 0, cleaned).astype(np.promote_types(values.dtype, np.float32))


@lru_cache(maxsize=64)
def _slow_basis(n_scans: int, tr: float, high_pass: float | None) -> np.ndarray:
    """Orthonormal basis of the mean and, below a cut-off, of a line and the slow cosines."""
    columns = [np.ones(n_scans)]
    if high_pass is not None:
        from nilearn.glm.first_level.design_matrix import create_cosine_drift

        scans = np.arange(n_scans)
        # nilearn's last column is the mean.
        columns += [scans, *create_cosine_drift(high_pass, tr * scans)[:, :-1].T]
    return np.linalg.qr(np.column_stack(columns))[0]


def _extended(basis: np.ndarray, confounds: np.ndarray) -> np.ndarray:
    """Orthonormal basis of a basis and time courses, which may depend on each other."""
    from scipy.linalg import orth

    spread = confounds - confounds.mean(axis=0)
    length = np.linalg.norm(spread, axis=0)
    # Those that are constant up to rounding are in the mean; scaled, they would be noise.
    constant = length <= 1e-9 * np.linalg.norm(confounds, axis=0)
    return orth(np.hstack([basis, spread / np.where(constant, np.inf, length)]))
