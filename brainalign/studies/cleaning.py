"""From images on a grid to the cleaned time courses of a mask's voxels."""

from typing import TYPE_CHECKING

import numpy as np

from brainalign.errors import InputError
from brainalign.study import standardise

if TYPE_CHECKING:
    from nibabel import Nifti1Image

#: Scans that nilearn's Butterworth filter of order 5 needs, which pads both ends by one less.
FEWEST_SCANS = 19


def check_filter(high_pass: float | None, tr: float, n_scans: int) -> None:
    """Refuse a filter that does not go with the images.

    Raises
    ------
    InputError
        For a cut-off that is not between 0 and half a scan per repetition time, and for too few
        scans.
    """
    if high_pass is None:
        return
    if not 0 < high_pass < 0.5 / tr:
        raise InputError(
            f"high_pass is {high_pass} Hz; a frequency above 0 and below {0.5 / tr:g} Hz, half a "
            "scan per repetition time, is expected."
        )
    if n_scans < FEWEST_SCANS:
        raise InputError(
            f"A run has {n_scans} scans; at least {FEWEST_SCANS} are expected for high_pass "
            f"{high_pass:g} Hz."
        )


def clean(
    image: "Nifti1Image",
    mask: "Nifti1Image",
    tr: float,
    high_pass: float | None = 1 / 128,
    smoothing: float | None = None,
) -> np.ndarray:
    """Time courses without drifts, each with mean 0 and standard deviation 1.

    As nilearn's `NiftiMasker` with `detrend=True` makes them: smoothed, a line taken out, filtered
    forwards and backwards (Butterworth, order 5), standardised.

    Parameters
    ----------
    image
        Series of volumes.
    mask
        On the same grid.
    tr
        Repetition time in seconds.
    high_pass
        Cut-off in Hz; None filters nothing.
    smoothing
        Full width at half maximum of a Gaussian, in mm; None smooths nothing.

    Returns
    -------
    numpy.ndarray
        Shape (scans, voxels), float32; voxels that are constant, or all drift, are zero.

    Raises
    ------
    InputError
        As `check_filter`.
    """
    from nilearn import signal
    from nilearn.image import smooth_img

    check_filter(high_pass, tr, image.shape[3])
    smoothed = image if smoothing is None else smooth_img(image, smoothing)
    inside = np.asanyarray(mask.dataobj) > 0
    measured = np.asanyarray(smoothed.dataobj)[inside].T.astype(np.float64)
    kind = False if high_pass is None else "butterworth"
    options = {"detrend": True, "standardize": None, "filter": kind, "high_pass": high_pass}
    # By default nilearn filters voxel by voxel, which takes ten times as long.
    cleaned = signal.clean(measured, t_r=tr, butterworth__copy=True, **options)
    # What is left of a constant is rounding; standardising must not blow it up.
    empty = np.ptp(cleaned, axis=0) <= 1e-6 * np.abs(measured).max(axis=0)
    return standardise(np.where(empty, 0, cleaned))
