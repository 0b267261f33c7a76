"""A small study whose listeners follow the words, for tests of encoding and reliability."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from brainalign.files import digest
from brainalign.regressors import run_regressors
from brainalign.study import Run, Study

WORDS = "the cook saw an old red boat near king anna cut bread thought of his her".split()
N_SCANS = (44, 40, 48)
TR, TRIM = 2.0, (3, 2)


@dataclass(frozen=True)
class Listener:
    """Responses of one subject to one run, and a log of who was asked for."""

    signal: np.ndarray
    number: int
    log: list

    def __call__(self, subject: str) -> np.ndarray:
        self.log.append((self.number, subject))
        seed = [self.number, sum(subject.encode())]
        noise = np.random.default_rng(seed).normal(size=self.signal.shape)
        return (self.signal + 0.8 * noise).astype(np.float32)


def tiny_study(n_voxels: int = 12, n_subjects: int = 3, name: str = "tiny") -> Study:
    """Three runs of random words; every voxel follows random features of the word forms.

    `study.runs[0].load.log` lists what was loaded, as (run, subject), over all runs.
    """
    rng = np.random.default_rng(0)
    features = rng.normal(size=(len(WORDS), 4))
    weights = rng.normal(size=(4, n_voxels))
    log, runs = [], []
    for number, n_scans in enumerate(N_SCANS):
        forms = rng.integers(len(WORDS), size=int(n_scans * TR / 0.6))
        onset = 0.6 * np.arange(len(forms))
        words = pd.DataFrame(
            {"word": [WORDS[k] for k in forms], "onset": onset, "offset": onset + 0.5}
        )
        signal = run_regressors(features[forms], words, n_scans, TR) @ weights
        signal /= signal.std(0)
        text = " ".join(words["word"]) + "."
        runs.append(Run(words, text, n_scans, Listener(signal, number, log)))
    voxels = pd.DataFrame(
        {
            "x": np.where(np.arange(n_voxels) % 2, 30.0, -30.0),
            "y": np.arange(n_voxels, dtype=float),
            "z": 0.0,
            "hemisphere": np.where(np.arange(n_voxels) % 2, "R", "L"),
            "roi": "",
            "parcel": "",
        }
    )
    subjects = tuple(f"s{k + 1}" for k in range(n_subjects))
    fingerprint = digest([name, n_voxels, n_subjects])
    return Study(name, "en", tuple(runs), subjects, TR, voxels, TRIM, fingerprint)
