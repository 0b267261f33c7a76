"""Slow drifts and confounds: what a scanner adds to responses, removed by regression."""

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
        float32, the shape of `values`, not scaled. Columns that are all drift become zero, those
        with a NaN are NaN. Without `high_pass` and `confounds` the values themselves.

    Raises
    ------
    InputError
        For a cut-off that is not positive or not below the Nyquist frequency, for confounds that
        do not fit or are not finite, and where all of it leaves less than half of the scans.
    """
    values = np.asarray(values, dtype=np.float32)
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
    from nilearn.glm.first_level.design_matrix import create_cosine_drift
    from nilearn.signal import clean

    removed = [] if confounds is None else [confounds]
    if high_pass is not None:
        # Not by clean's own filter, which leaves cosines in where a confound resembles one.
        scans = tr * np.arange(len(values))
        removed.append(create_cosine_drift(high_pass, scans)[:, :-1])
    n_removed = sum(part.shape[1] for part in removed)
    if n_removed > len(values) / 2:
        raise InputError(
            f"high_pass {high_pass} Hz and the confounds take {n_removed} time courses out of "
            f"{len(values)} scans; at most half as many as scans are expected."
        )
    # nilearn removes the line from signals and confounds alike, so that all goes in one projection.
    cleaned = clean(
        values.astype(np.float64),
        detrend=high_pass is not None,
        standardize=None,
        filter=False,
        confounds=np.hstack(removed),
        ensure_finite=False,
    )
    cleaned -= cleaned.mean(axis=0)
    # What regression leaves of a constant is rounding; standardising must not blow it up.
    empty = np.ptp(cleaned, axis=0) <= 1e-6 * np.abs(values).max(axis=0, initial=0)
    return np.where(empty, 0, cleaned).astype(np.float32)
