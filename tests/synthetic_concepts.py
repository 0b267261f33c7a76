"""Voxels that respond to concepts: what paradigms share, how strong the signal is, what a model has."""

import numpy as np


def simulate(rng, n_voxels, shared=0.5, n_concepts=180, n_repeats=2, n_units=8, alignment=0.7):
    """Responses with a signal of varying strength, of which `shared` is the same in all paradigms.

    A linear model predicts `alignment`² of what is shared. In every voxel what is predicted, the
    rest of what is shared and each paradigm's own part have unit variance and no correlation, so
    that what is planted is exact.

    Returns
    -------
    repeats : (3, repeat, concept, voxel)
    snr : (voxel,), standard deviation of the signal where that of the noise is 1
    model : (concept, unit)
    """
    snr = np.exp(rng.normal(-1.0, 0.8, n_voxels))
    model = rng.standard_normal((n_concepts, n_units))
    predicted = (model - model.mean(axis=0)) @ rng.standard_normal((n_units, n_voxels))
    parts = np.stack(
        [np.ones_like(predicted), predicted, *rng.standard_normal((4, n_concepts, n_voxels))]
    )
    parts = np.sqrt(n_concepts) * np.linalg.qr(parts.transpose(2, 1, 0))[0].transpose(2, 1, 0)[1:]
    code = alignment * parts[0] + np.sqrt(1 - alignment**2) * parts[1]
    signal = snr * (np.sqrt(shared) * code + np.sqrt(1 - np.asarray(shared)) * parts[2:])
    noise = rng.standard_normal((3, n_repeats, n_concepts, n_voxels))
    return signal[:, None] + noise, snr, model
