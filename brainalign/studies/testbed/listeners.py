"""Simulated listeners: what the planted brain does with the story, plus noise."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.regressors import hrf_operator
from brainalign.studies.testbed.config import TestbedConfig


def latent_regressors(
    latents: list[np.ndarray], words: list[pd.DataFrame], config: TestbedConfig
) -> list[np.ndarray]:
    """Latents of the words as the haemodynamic response shows them, in scans.

    Parameters
    ----------
    latents, words
        For each run, shape (words, latents), and the words' onsets and offsets.
    config
        Numbers of the testbed.

    Returns
    -------
    list of numpy.ndarray
        For each run, shape (scans, latents), float32, standardised over all runs together.
    """
    scans = [
        hrf_operator(run["onset"], run["offset"], config.n_scans, config.tr) @ values
        for run, values in zip(words, latents, strict=True)
    ]
    together = np.concatenate(scans)
    mean, scale = together.mean(axis=0), together.std(axis=0)
    scale[scale == 0] = 1  # a category that the story never uses
    return [((run - mean) / scale).astype(np.float32) for run in scans]


def preferences(
    regressors: list[np.ndarray], families: np.ndarray, weight: xr.DataArray, seed: int
) -> np.ndarray:
    """How much every latent drives every voxel.

    Within a family each voxel prefers a random direction; its signal from that family has a
    standard deviation of exactly the planted weight.

    Parameters
    ----------
    regressors
        From `latent_regressors`.
    families
        Family of each latent.
    weight
        Planted weights, dims (family, voxel).
    seed
        Of the simulated brains.

    Returns
    -------
    numpy.ndarray
        Shape (latents, voxels), float32.
    """
    rng = np.random.default_rng([seed, 0])
    together = np.concatenate(regressors)
    blocks = np.zeros((len(families), weight.sizes["voxel"]), dtype=np.float32)
    for family in weight["family"].to_numpy():
        rows = np.flatnonzero(families == family)
        direction = rng.standard_normal((len(rows), weight.sizes["voxel"]))
        covariance = np.cov(together[:, rows], rowvar=False, ddof=0)
        deviation = np.sqrt(
            np.einsum("iv,ij,jv->v", direction, covariance, direction, optimize=True)
        )
        blocks[rows] = direction / deviation * weight.sel(family=family).to_numpy()
    return blocks


def listener_gains(config: TestbedConfig) -> np.ndarray:
    """Gain of each listener, shape (listeners,)."""
    rng = np.random.default_rng([config.seed, 1])
    return np.exp(config.gain_spread * rng.standard_normal(config.n_listeners))


def listener_noise(config: TestbedConfig) -> float:
    """Standard deviation of an individual listener's noise."""
    return config.noise * np.sqrt(config.n_listeners)


def signal_variance(
    regressors: list[np.ndarray], drive: np.ndarray, trim: tuple[int, int]
) -> np.ndarray:
    """Variance of every voxel's signal within a run, before gains.

    Parameters
    ----------
    regressors
        From `latent_regressors`.
    drive
        How much every latent drives every voxel, from `preferences`, shape (latents, voxels).
    trim
        Scans that are dropped at the start and at the end of a run.

    Returns
    -------
    numpy.ndarray
        Shape (voxels,): the mean over runs. Scores are correlations within runs, so that
        differences between the means of runs count for nothing.
    """
    start, end = trim
    kept = [run[start : len(run) - end] for run in regressors]
    covariance = np.mean([np.cov(run, rowvar=False, ddof=0) for run in kept], axis=0)
    return np.einsum("lv,lv->v", drive, covariance.astype(np.float32) @ drive)


def noise_ceiling(signal_variance: np.ndarray, config: TestbedConfig) -> np.ndarray:
    """Correlation that a perfect model would reach with the average listener.

    Parameters
    ----------
    signal_variance
        From the function of this name, shape (voxels,).
    config
        Numbers of the testbed.

    Returns
    -------
    numpy.ndarray
        Shape (voxels,). The average is that of the listeners' standardised responses.
    """
    gains, noise = listener_gains(config)[:, None], listener_noise(config) ** 2
    deviation = np.sqrt(gains**2 * signal_variance + noise)
    signal = (gains / deviation).sum(axis=0) ** 2 * signal_variance
    return np.sqrt(signal / (signal + (noise / deviation**2).sum(axis=0)))


def _noise(rng: np.random.Generator, parcels: np.ndarray, config: TestbedConfig) -> np.ndarray:
    """AR(1) noise of unit variance, partly shared within parcels; shape (scans, voxels)."""
    rho, shared = config.autocorrelation, config.shared_noise
    values = rng.standard_normal((config.n_scans, len(parcels)), dtype=np.float32)
    common = rng.standard_normal((config.n_scans, parcels.max() + 1), dtype=np.float32)
    values *= np.float32(np.sqrt(1 - shared**2))
    common *= np.float32(shared)
    # Scan by scan, so that a row stays in the processor's cache through all steps.
    for scan, row in enumerate(values):
        row += common[scan].take(parcels)
        if scan:
            row *= np.float32(np.sqrt(1 - rho**2))
            row += np.float32(rho) * values[scan - 1]
    return values


def make_loader(
    run: int,
    signal: Callable[[], np.ndarray],
    parcels: np.ndarray,
    subjects: tuple[str, ...],
    config: TestbedConfig,
) -> Callable[[str], np.ndarray]:
    """Function that simulates one listener's responses in one run.

    Parameters
    ----------
    run
        Index of the run.
    signal
        Gives the shared signal of that run, shape (scans, voxels), float32.
    parcels
        Number of each voxel's parcel, shape (voxels,).
    subjects
        Names of the listeners.
    config
        Numbers of the testbed.

    Returns
    -------
    callable
        From a listener's name to responses of shape (scans, voxels); the same name gives the same
        numbers.
    """
    gains = dict(zip(subjects, listener_gains(config), strict=True))

    def load(subject: str) -> np.ndarray:
        rng = np.random.default_rng([config.seed, 2, subjects.index(subject), run])
        values = _noise(rng, parcels, config)
        values *= np.float32(listener_noise(config))
        values += signal() * np.float32(gains[subject])
        return values

    return load
