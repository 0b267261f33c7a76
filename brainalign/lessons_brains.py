"""Small simulated brains of which everything is known, for lessons on what misleads.

They hear the testbed's story and are made by the testbed's own functions, but only in some of its
voxels, so that many of them take seconds. Their truth holds the signal itself, which is what a
perfect model would predict.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.fitting import EncodingSettings, study_regressors
from brainalign.ridge import Responses, RidgeResult, leave_one_run_out, prepare_responses
from brainalign.studies.testbed import configure
from brainalign.studies.testbed.brain import planted_brain
from brainalign.studies.testbed.listeners import (
    latent_regressors,
    make_loader,
    noise_ceiling,
    preferences,
    signal_variance,
)
from brainalign.study import Run, Study, standardise

SIDES = ("L", "R")


def sample_voxels(study: Study, n_elsewhere: int, seed: int = 0) -> np.ndarray:
    """The regions of interest, and a random sample of voxels outside of them.

    Parameters
    ----------
    study
        The testbed.
    n_elsewhere
        Voxels outside the regions; all where there are fewer.
    seed
        Of the sample.

    Returns
    -------
    numpy.ndarray of bool
        Shape (voxels,).
    """
    keep = (study.voxels["roi"] != "").to_numpy(copy=True)
    outside = np.flatnonzero(~keep)
    rng = np.random.default_rng([seed, 11])
    keep[rng.permutation(outside)[:n_elsewhere]] = True
    return keep


def small_brain(
    study: Study,
    keep: np.ndarray,
    seed: int = 0,
    asymmetry: float = 1.0,
    gains: tuple[float, float] = (1.0, 1.0),
    alone: bool = False,
) -> Study:
    """A simulated brain of some voxels, in which each side has a signal strength of its own.

    Parameters
    ----------
    study
        The testbed with its own options, whose story is heard.
    keep
        Shape (voxels,), bool: the voxels to simulate.
    seed
        Of preferences, listeners' gains and noise.
    asymmetry
        Times the planted difference of the sides' preferences; 0 makes both alike.
    gains
        Factors of the signal on the left and on the right, where the noise stays as it is. The
        midline takes their mean. (0, 0) is a brain of pure noise.
    alone
        Whether the average listener is drawn directly, with the noise of the average, instead of
        as the mean of its listeners; this takes an eighth of the time.

    Returns
    -------
    Study
        Its `truth` has `noise_ceiling` (voxel), `amplitude` (voxel), 0 where a voxel is silent, and
        `signal` (run, scan, voxel), before noise.

    Raises
    ------
    InputError
        For a study that is not the testbed, and for negative gains.
    """
    if study.name != "testbed":
        raise InputError(f"Study is {study.name!r}; 'testbed' is expected, whose truth is known.")
    if min(gains) < 0:
        raise InputError(f"gains is {gains}; two numbers from 0 are expected.")
    config = replace(configure(**study.options), seed=seed, asymmetry=asymmetry)
    if alone:
        config = replace(config, n_listeners=1, gain_spread=0.0)
    voxels = study.voxels[np.asarray(keep, dtype=bool)].reset_index(drop=True)
    side = voxels["hemisphere"].to_numpy()
    strength = np.select([side == "L", side == "R"], gains, np.mean(gains)).astype(np.float32)

    latents = study.truth["latents"]
    told = latents["run"].to_numpy()
    words = [run.words for run in study.runs]
    values = [latents.to_numpy()[told == run].astype(float) for run in range(len(words))]
    regressors = latent_regressors(values, words, config)
    brain = planted_brain(voxels, config)
    families = latents["latent_family"].to_numpy()
    drive = preferences(regressors, families, brain["weight"], config.seed) * strength
    signals = [run @ drive for run in regressors]
    variance = signal_variance(regressors, drive, config.trim)
    truth = _truth(brain, signals, variance, strength, config)
    identity = [study.fingerprint, np.flatnonzero(keep).tolist(), asdict(config), list(gains)]
    return replace(
        study,
        runs=tuple(_run(study, n, signals[n], voxels, config) for n in range(len(words))),
        subjects=study.subjects[: config.n_listeners],
        voxels=voxels,
        fingerprint=digest([*identity, source_digest(["lessons_brains"])]),
        mask=None,
        reliability=None,
        truth=truth,
        has_average=False,
    )


def _run(study: Study, number: int, signal: np.ndarray, voxels: pd.DataFrame, config) -> Run:
    parcels = pd.factorize(voxels["parcel"])[0]
    subjects = study.subjects[: config.n_listeners]
    load = make_loader(number, lambda: signal, parcels, subjects, config)
    return replace(study.runs[number], load=load)


def _truth(
    brain: xr.Dataset, signals: list, variance: np.ndarray, strength: np.ndarray, config
) -> xr.Dataset:
    return xr.Dataset(
        {
            "amplitude": ("voxel", brain["amplitude"].to_numpy() * strength),
            "noise_ceiling": ("voxel", noise_ceiling(variance, config)),
            "signal": (("run", "scan", "voxel"), np.stack(signals)),
        }
    )


def silent(brain: Study) -> np.ndarray:
    """Voxels in which there is nothing to find, shape (voxels,), bool."""
    return brain.truth["amplitude"].to_numpy() == 0


def true_signal(brain: Study) -> list[np.ndarray]:
    """What a perfect model predicts: the signal in every run, trimmed, (scan, voxel)."""
    return [brain.trimmed(run) for run in brain.truth["signal"].to_numpy()]


def model_regressors(study: Study, names: Sequence[str]) -> dict[str, list[np.ndarray]]:
    """Last hidden state of language models as regressors.

    Parameters
    ----------
    study
        Whose words are read.
    names
        Language models.

    Returns
    -------
    dict
        Name -> one array (scans, units) per run.
    """
    from brainalign.activations import extract

    settings = EncodingSettings()
    found = {}
    for name in names:
        layers = extract(study, name, settings.activations)
        last = [np.asarray(run[:, -1]) for run in layers]
        found[name] = study_regressors(study, last, settings)
    return found


def word_regressors(study: Study, name: str) -> list[np.ndarray]:
    """Regressors of features without context, such as "random-vectors-16:seed-3"."""
    from brainalign.baselines import word_features

    features = [word_features(run.words["word"], i, name)[0][0] for i, run in enumerate(study.runs)]
    return study_regressors(study, features, EncodingSettings())


def fit(regressors: list[np.ndarray], responses: object) -> RidgeResult:
    """Nested leave-one-fold-out ridge regression with the book's own penalties.

    Parameters
    ----------
    regressors
        One array (scans, columns) per fold.
    responses
        One array (scans, voxels) per fold, or those prepared by `ridge.prepare_responses`.
    """
    return leave_one_run_out(regressors, responses, alphas=EncodingSettings().alpha_grid)


def side_by_side(responses: Sequence[list[np.ndarray]]) -> Responses:
    """Responses of several brains as voxels beside each other, prepared for `fit`.

    Parameters
    ----------
    responses
        For every brain, one array (scans, voxels) per run.
    """
    runs = zip(*responses, strict=True)
    return prepare_responses([np.concatenate(run, axis=1) for run in runs])


def matched(
    brain: Study, responses: list[np.ndarray], rng: np.random.Generator
) -> list[np.ndarray]:
    """Responses in which the better side of every region is made as noisy as the other one.

    Parameters
    ----------
    brain
        From `small_brain`; regions are compared by their mean noise ceilings.
    responses
        One array (scans, voxels) per run, standardised.
    rng
        Seeded generator, of the noise.

    Returns
    -------
    list of numpy.ndarray
        The same with noise of the testbed's own slowness added, so much that c² becomes that of
        the other side: of unit variance, c² / (1 + s²), hence s² = c² / c'² − 1.
    """
    ceiling = brain.truth["noise_ceiling"].to_numpy()
    side = brain.voxels["hemisphere"].to_numpy()
    extra = np.zeros(len(ceiling))
    for region in brain.voxels["roi"].unique():
        of = (brain.voxels["roi"] == region).to_numpy()
        if not all((side[of] == one).any() for one in SIDES):
            continue
        squares = {one: np.mean(ceiling[of & (side == one)] ** 2) for one in SIDES}
        better = max(squares, key=squares.get)
        lower = min(squares.values())
        extra[of & (side == better)] = np.sqrt(max(squares[better] / lower - 1, 0))
    lag_one = configure(**brain.options).autocorrelation
    return [standardise(run + extra * slow_noise(*run.shape, lag_one, rng)) for run in responses]


def slow_noise(n_scans: int, n_series: int, lag_one: float, rng: np.random.Generator) -> np.ndarray:
    """Series of unit variance in which every scan keeps a part of the one before.

    Parameters
    ----------
    n_scans, n_series
        Shape of the result.
    lag_one
        Correlation of neighbouring scans, from 0 to below 1; that of scans k apart is its k-th
        power.
    rng
        Seeded generator.

    Returns
    -------
    numpy.ndarray
        Shape (n_scans, n_series).

    Raises
    ------
    InputError
        For a correlation below 0 or from 1.
    """
    from scipy.signal import lfilter

    if not 0 <= lag_one < 1:
        raise InputError(
            f"The correlation of neighbouring scans is {lag_one}; a number from 0 to below 1 is "
            "expected."
        )
    fresh = rng.standard_normal((n_scans, n_series))
    fresh[1:] *= np.sqrt(1 - lag_one**2)
    return lfilter([1.0], [1.0, -lag_one], fresh, axis=0)
