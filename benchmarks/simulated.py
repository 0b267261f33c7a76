"""Simulated regressors and responses in files, so that every process measures the same data."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.signal import lfilter
from scipy.stats import gamma

from brainalign.study import standardise

#: Scans of The Little Prince's nine runs (English), without ten at either end; one every 2 s.
SCANS = (262, 278, 320, 283, 245, 323, 305, 272, 348)
TR = 2.0
_N_DRIVING = 64


@dataclass(frozen=True)
class Size:
    """Sizes of one fit: scans of every run, regressors, voxels."""

    scans: tuple[int, ...]
    features: int
    voxels: int


def write(folder: Path, size: Size, seed: int = 0) -> None:
    """Draw regressors and responses of a size, and keep those that are not there yet.

    The regressors are slow, like words after a haemodynamic response, and their components fade
    like 1/k: over five decades together, as those of MiniLM's layers for *Alice*. The responses
    follow 64 of their processes; a few percent of their variance does.

    Parameters
    ----------
    folder
        Takes X-SCANS-FEATURES.npy and Y-SCANS-VOXELS.npy, (scans, columns), float32.
    size
        Sizes.
    seed
        Of all random numbers.
    """
    driving = _slow(np.random.default_rng([seed, 0]), size.scans, _N_DRIVING)
    regressors, responses = _paths(folder, size)
    if not regressors.exists():
        rng = np.random.default_rng([seed, 1, size.features])
        rest = _slow(rng, size.scans, max(size.features - _N_DRIVING, 1))
        strength = 1 / np.sqrt(1 + np.arange(_N_DRIVING + rest.shape[1], dtype=np.float32))
        mixing = rng.standard_normal((len(strength), size.features), dtype=np.float32)
        np.save(regressors, _by_run(np.hstack([driving, rest]) * strength @ mixing, size.scans))
    if not responses.exists():
        rng = np.random.default_rng([seed, 2])
        weights = rng.standard_normal((_N_DRIVING, size.voxels), dtype=np.float32)
        weights *= rng.uniform(0, 0.08, size.voxels).astype(np.float32)
        noise = rng.standard_normal((sum(size.scans), size.voxels), dtype=np.float32)
        np.save(responses, _by_run(driving @ weights + noise, size.scans))


def _slow(rng: np.random.Generator, scans: tuple[int, ...], n: int) -> np.ndarray:
    """Standardised processes that a haemodynamic response has smoothed, (scans, n)."""
    times = TR * np.arange(16)
    response = gamma.pdf(times, 6 / 0.9, scale=0.9) - 0.35 * gamma.pdf(times, 12 / 0.9, scale=0.9)
    white = rng.standard_normal((sum(scans) + len(times), n), dtype=np.float32)
    return standardise(lfilter(response, 1, white, axis=0)[len(times) :])


def _by_run(values: np.ndarray, scans: tuple[int, ...]) -> np.ndarray:
    return np.vstack([standardise(values[start:stop]) for start, stop in _ends(scans)])


def _ends(scans: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(pairwise(np.cumsum([0, *scans]).tolist()))


def _paths(folder: Path, size: Size) -> tuple[Path, Path]:
    n_scans = sum(size.scans)
    return folder / f"X-{n_scans}-{size.features}.npy", folder / f"Y-{n_scans}-{size.voxels}.npy"


def read(folder: Path, size: Size) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Regressors and responses, one array (scans, columns) per run."""
    X, Y = map(np.load, _paths(folder, size))
    return tuple([both[start:stop] for start, stop in _ends(size.scans)] for both in (X, Y))
