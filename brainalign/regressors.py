"""From features of words to regressors of scans: one linear operator per run.

A regressor is linear in the features, so the haemodynamic response of every word is computed once
per run, as a matrix of scans by words, and applied to all features in one product. A word reaches
the few scans after it only, so that the matrix is sparse; it is kept for the layers to come.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from brainalign.drift import remove_drift
from brainalign.errors import InputError
from brainalign.study import standardise

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Hrf = Literal["glover", "glover_published", "glover_impulse", "impulse", "fir"]

OVERSAMPLING = 50
MIN_ONSET = -24.0
FIR_DELAYS = (1, 2, 3, 4, 5)
NUISANCE_COLUMNS = ("word_rate", "word_length", "position")

_KERNEL_SECONDS = 32.0
# Columns that are convolved at once: in float64 they fit a processor's cache.
_BLOCK = 256
# Weight of the undershoot in nilearn 0.14, and in nilearn 0.10.4, which the paper used.
_UNDERSHOOT = {"glover": 0.48, "glover_published": 0.35, "glover_impulse": 0.48}


def hrf_operator(
    onsets: np.ndarray,
    offsets: np.ndarray,
    n_scans: int,
    tr: float,
    hrf: Hrf = "glover",
    delays: Sequence[int] = FIR_DELAYS,
) -> np.ndarray:
    """Response of every scan to a word of unit amplitude.

    Parameters
    ----------
    onsets, offsets
        Seconds from the start of the first scan, shape (n_words,).
    n_scans
        Scans in the run.
    tr
        Repetition time in seconds. Scan k lasts from k to k + 1 repetition times and stands for
        its middle.
    hrf
        "glover": a boxcar from onset to offset, convolved with nilearn's Glover response and
        sampled in the middle of each scan; equal to `nilearn.glm.first_level.compute_regressor`
        with oversampling 50 and min_onset -24. "glover_published": the same with the weight of
        the undershoot in nilearn 0.10.4 (.35 instead of .48), as in Bonnasse-Gahot & Pallier
        (2024). "glover_impulse": an impulse at the end of each word, convolved with Glover's
        response, so that every word counts alike, however long it lasts. "impulse": 1 in the scan
        in which the word ends. "fir": that impulse at each of several delays.
    delays
        Delays of "fir" in scans.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_scans, n_words), or (n_delays, n_scans, n_words) for "fir".

    Raises
    ------
    InputError
        For an unknown response, times that are no numbers, a word that ends before it starts or
        starts more than 24 s before the first scan's middle.
    """
    operator = _operator(onsets, offsets, n_scans, tr, hrf, delays).toarray()
    return operator.reshape(len(delays), n_scans, -1) if hrf == "fir" else operator


def check_hrf(hrf: str) -> None:
    """Raise InputError for a name that is no haemodynamic response."""
    if hrf not in get_args(Hrf):
        raise InputError(f"hrf is {hrf!r}; one of {', '.join(get_args(Hrf))} is expected.")


def run_regressors(
    features: np.ndarray,
    words: pd.DataFrame,
    n_scans: int,
    tr: float,
    trim: tuple[int, int] = (0, 0),
    hrf: Hrf = "glover",
    delays: Sequence[int] = FIR_DELAYS,
    high_pass: float | None = None,
) -> np.ndarray:
    """Regressors of one run, trimmed and standardised.

    Parameters
    ----------
    features
        Shape (n_words, n_units).
    words
        Table with `onset` and `offset` in seconds, one row per word.
    n_scans, tr, hrf, delays
        See `hrf_operator`.
    trim
        Scans dropped at the start and at the end, before standardising.
    high_pass
        Cut-off in Hz of the drifts that are removed before trimming, as from the responses; None
        removes nothing.

    Returns
    -------
    numpy.ndarray
        float32, shape (n_scans - sum(trim), n_units); with "fir" n_delays * n_units columns, all
        units of the first delay first. Columns have mean 0 and standard deviation 1; constant
        ones are 0.

    Raises
    ------
    InputError
        For features that do not fit the words or are not finite, and for a trim that leaves fewer
        than two scans.
    """
    timing = (words, n_scans, tr, trim, hrf, delays, high_pass)
    return stretch_regressors([slice(None)], features, *timing)[0]


def stretch_regressors(
    stretches: Sequence[slice],
    features: np.ndarray,
    words: pd.DataFrame,
    n_scans: int,
    tr: float,
    trim: tuple[int, int] = (0, 0),
    hrf: Hrf = "glover",
    delays: Sequence[int] = FIR_DELAYS,
    high_pass: float | None = None,
) -> list[np.ndarray]:
    """Regressors of stretches of one run, each standardised by itself.

    Parameters
    ----------
    stretches
        Scans of each stretch, counted from the first one that trimming leaves.
    features, words, n_scans, tr, trim, hrf, delays, high_pass
        See `run_regressors`, which has the whole run as its only stretch.

    Returns
    -------
    list of numpy.ndarray
        One per stretch, float32, as from `run_regressors`.

    Raises
    ------
    InputError
        As `run_regressors`.
    """
    features = _check_features(features, len(words))
    start, end = trim
    if min(start, end) < 0 or start + end > n_scans - 2:
        raise InputError(f"trim is {tuple(trim)}; at least two of {n_scans} scans must be left.")
    operator = _operator(words["onset"], words["offset"], n_scans, tr, hrf, delays)
    n_delays, n_units = operator.shape[0] // n_scans, features.shape[1]
    kept = range(start, n_scans - end)
    found = [np.empty((len(kept[one]), n_delays, n_units), np.float32) for one in stretches]
    for first in range(0, n_units, _BLOCK):
        units = slice(first, first + _BLOCK)
        responses = operator @ features[:, units].astype(np.float64, order="C")
        # Delays lie side by side in the result, one below the other in the operator.
        columns = responses.reshape(n_delays, n_scans, -1).swapaxes(0, 1).reshape(n_scans, -1)
        columns = remove_drift(columns, tr, high_pass)[start : n_scans - end]
        for one, regressors in zip(stretches, found, strict=True):
            part = standardise(columns[one])
            regressors[..., units] = part.reshape(len(part), n_delays, -1)
    return [regressors.reshape(len(regressors), -1) for regressors in found]


def _check_features(features: np.ndarray, n_words: int) -> np.ndarray:
    features = np.asarray(features)
    if features.ndim != 2 or len(features) != n_words:
        raise InputError(
            f"features has shape {features.shape}; ({n_words}, units) is expected, one row for "
            "each word."
        )
    finite = np.isfinite(features)
    if not finite.all():
        row = int(np.flatnonzero(~finite.all(axis=1))[0])
        raise InputError(f"features has a value that is not finite, for word {row}.")
    return features


def nuisance_features(words: pd.DataFrame, columns: Sequence[str] = NUISANCE_COLUMNS) -> np.ndarray:
    """Features of words that are no language: how often, how long, how late.

    Parameters
    ----------
    words
        Word table of one run.
    columns
        "word_rate" is 1 for every word, so that its regressor follows the rate of speech;
        "word_length" counts characters (0 for an empty word); "position" runs from -1 at the first
        onset to 1 at the last. Any other name is a column of numbers of the table itself.

    Returns
    -------
    numpy.ndarray
        float64, shape (n_words, n_columns).

    Raises
    ------
    InputError
        For a column that the table lacks or that holds something else than finite numbers.
    """
    if not len(columns):
        return np.empty((len(words), 0))
    return np.column_stack([_nuisance_column(words, column) for column in columns])


def _nuisance_column(words: pd.DataFrame, column: str) -> np.ndarray:
    if column == "word_rate":
        return np.ones(len(words))
    if column == "word_length":
        return words["word"].fillna("").str.strip().str.len().to_numpy(dtype=np.float64)
    if column == "position":
        onset = words["onset"].to_numpy(dtype=np.float64)
        span = np.ptp(onset) if len(onset) else 0.0
        return 2 * (onset - onset.min()) / span - 1 if span else np.zeros(len(onset))
    if column not in words:
        raise InputError(
            f"Nuisance column {column!r} is unknown; {', '.join(NUISANCE_COLUMNS)} or a column of "
            f"the word table ({', '.join(map(str, words.columns))}) is expected."
        )
    values = pd.to_numeric(words[column], errors="coerce").to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(
            f"Nuisance column {column!r} holds {words[column].iloc[row]} for word {row}; a "
            "finite number is expected."
        )
    return values


def _check_times(
    onsets: np.ndarray, offsets: np.ndarray, n_scans: int, tr: float
) -> tuple[np.ndarray, np.ndarray]:
    onsets, offsets = np.asarray(onsets, np.float64), np.asarray(offsets, np.float64)
    if onsets.ndim != 1 or onsets.shape != offsets.shape:
        raise InputError(
            f"onsets has shape {onsets.shape} and offsets {offsets.shape}; one of each per word is "
            "expected."
        )
    if n_scans < 2 or not tr > 0:
        raise InputError(
            f"n_scans is {n_scans} and tr is {tr} s; at least 2 scans and a positive time are "
            "expected."
        )
    possible = (offsets >= onsets) & np.isfinite(offsets) & (onsets >= tr / 2 + MIN_ONSET)
    if not possible.all():
        row = int(np.flatnonzero(~possible)[0])
        raise InputError(
            f"Word {row} lasts from {onsets[row]} to {offsets[row]} s; an onset after "
            f"{tr / 2 + MIN_ONSET} s and an offset not before it are expected."
        )
    return onsets, offsets


def _operator(
    onsets: np.ndarray,
    offsets: np.ndarray,
    n_scans: int,
    tr: float,
    hrf: str,
    delays: Sequence[int],
) -> "csr_array":
    """`hrf_operator` as a sparse matrix, (n_delays * n_scans, n_words), built once and kept."""
    check_hrf(hrf)
    onsets, offsets = _check_times(onsets, offsets, n_scans, tr)
    if hrf == "fir":
        whole = all(isinstance(delay, (int, np.integer)) and delay >= 0 for delay in delays)
        if not len(delays) or not whole:
            raise InputError(f"delays is {delays!r}; whole numbers of scans from 0 are expected.")
    # Kept under the times themselves: tables of words are not hashable, and studies share them.
    used = tuple(delays) if hrf == "fir" else (0,)
    return _kept_operator(onsets.tobytes(), offsets.tobytes(), n_scans, tr, hrf, used)


@lru_cache(maxsize=64)
def _kept_operator(
    onsets: bytes, offsets: bytes, n_scans: int, tr: float, hrf: str, delays: tuple[int, ...]
) -> "csr_array":
    from scipy.sparse import vstack

    starts, stops = np.frombuffer(onsets), np.frombuffer(offsets)
    if hrf in _UNDERSHOOT:
        starts = stops if hrf == "glover_impulse" else starts
        return _boxcar_responses(starts, stops, n_scans, tr, hrf)
    return vstack([_impulses(stops, n_scans, tr, delay) for delay in delays], format="csr")


def _impulses(offsets: np.ndarray, n_scans: int, tr: float, delay: int) -> "csr_array":
    """1 in the scan in which a word ends, `delay` scans later; nothing after the last scan."""
    from scipy.sparse import csr_array

    # Offsets that are whole scans but for rounding belong to the scan that starts there.
    scans = np.floor(offsets / tr + 1e-9) + delay
    words = np.flatnonzero((scans >= 0) & (scans < n_scans))
    entries = (np.ones(len(words)), (scans[words].astype(int), words))
    return csr_array(entries, shape=(n_scans, len(offsets)))


def _boxcar_responses(
    onsets: np.ndarray, offsets: np.ndarray, n_scans: int, tr: float, hrf: str
) -> "csr_array":
    """Sampled response to boxcars in closed form, shape (n_scans, n_words).

    The convolution of a boxcar that covers the samples [a, b) with a kernel h is, at sample g,
    H(g - a) - H(g - b) with H the cumulative sum of h. Scans lie between samples, where nilearn
    interpolates linearly.
    """
    from scipy.sparse import csr_array

    grid = _fine_grid(n_scans, tr)
    last = len(grid) - 1
    first = np.minimum(np.searchsorted(grid, onsets), last)
    stop = np.minimum(np.searchsorted(grid, offsets), last)
    # A word shorter than a sample lasts one sample.
    stop = np.where((stop == first) & (stop < last), stop + 1, stop)

    frames = (np.arange(n_scans) + 0.5) * tr
    below = np.clip(np.searchsorted(grid, frames) - 1, 0, last - 1)
    share = (frames - grid[below]) / (grid[below + 1] - grid[below])
    # After the kernel both sums have reached the same total, before it they are 0.
    cumulative = np.concatenate([[0.0], np.cumsum(_glover(tr, _UNDERSHOOT[hrf]))])
    total = len(cumulative) - 1

    # Hence a word reaches the scans from its first sample to the end of the kernel after its last.
    low, high = np.searchsorted(below, first - 1), np.searchsorted(below, stop + total - 1)
    counts = np.maximum(high - low, 0)
    words = np.repeat(np.arange(len(onsets)), counts)
    scans = np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)

    def interpolated(start: np.ndarray) -> np.ndarray:
        lag = below[scans] - start[words]
        here, next_one = (cumulative[np.clip(lag + k, 0, total)] for k in (1, 2))
        return here + share[scans] * (next_one - here)

    values = interpolated(first) - interpolated(stop)
    return csr_array((values, (scans, words)), shape=(n_scans, len(onsets)))


def _fine_grid(n_scans: int, tr: float) -> np.ndarray:
    """Times in seconds at which nilearn samples boxcars; 50 per scan but for rounding."""
    first, last = tr / 2, (n_scans - 0.5) * tr
    start, end = first + MIN_ONSET, last * (1 + 1 / (n_scans - 1))
    size = (n_scans - 1) / (last - first) * (end - start) * OVERSAMPLING + 1
    return np.linspace(start, end, int(np.rint(size)))


def _glover(tr: float, undershoot: float) -> np.ndarray:
    """Glover's haemodynamic response at `OVERSAMPLING` samples per scan, summing to 1."""
    from scipy.stats import gamma

    step = tr / OVERSAMPLING
    times = np.linspace(0, _KERNEL_SECONDS, int(np.rint(_KERNEL_SECONDS / step)))
    peak = gamma.pdf(times, 6 / 0.9, loc=step, scale=0.9)
    kernel = peak - undershoot * gamma.pdf(times, 12 / 0.9, loc=step, scale=0.9)
    return kernel / kernel.sum()
