"""Small files in the layouts that responses to concepts come in."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from scipy.io import savemat

from brainalign.studies.concepts.responses import PARADIGMS

CONCEPTS = ("apple", "bird", "cloud", "dance", "engine")
SUBJECTS = ("M01", "M02")
SHAPE = (5, 4, 3)
AFFINE = np.array([[-2, 0, 0, 4], [0, 2, 0, -6], [0, 0, 2, -2], [0, 0, 0, 1]], dtype=float)
RELEASED = {"sentences": "sentences", "pictures": "pictures", "word_clouds": "wordclouds"}


def column_places(subject: str) -> np.ndarray:
    """Places of a participant's voxels, (voxels, 3), from 0: each has one that others lack."""
    order = np.random.default_rng(SUBJECTS.index(subject)).permutation(np.prod(SHAPE))
    kept = [n for n in order if n != SUBJECTS.index(subject)][:40]
    return np.column_stack(np.unravel_index(kept, SHAPE))


def write_released(folder: Path) -> dict[tuple[str, str], np.ndarray]:
    """The layout of Pereira et al.; gives the examples, (concepts, columns)."""
    found = {}
    for subject in SUBJECTS:
        for paradigm in PARADIGMS:
            rng = np.random.default_rng([len(found), 1])
            examples = found[subject, paradigm] = rng.standard_normal((len(CONCEPTS), 40))
            write_mat(folder, subject, paradigm, examples)
    return found


def write_mat(folder, subject, paradigm, examples, concepts=CONCEPTS, shift=0, **more) -> Path:
    """One file of the layout of Pereira et al."""
    path = folder / subject / f"data_180concepts_{RELEASED[paradigm]}.mat"
    path.parent.mkdir(exist_ok=True)
    names = np.array([[name] for name in concepts], dtype=object)
    places = column_places(subject) + 1 + shift
    meta = {"dimensions": np.array(SHAPE, dtype=float), "colToCoord": places.astype(float)}
    savemat(path, {"examples": examples, "keyConcept": names, "meta": meta} | more)
    return path


def mask_values() -> np.ndarray:
    """A mask with holes."""
    return (np.random.default_rng(9).random(SHAPE) < 0.7).astype(np.uint8)


def trial_table(subject: str, paradigm: str) -> pd.DataFrame:
    """Four of six stimuli of every concept in two runs, the second run first."""
    rng = np.random.default_rng([SUBJECTS.index(subject), PARADIGMS.index(paradigm)])
    shown = [(name, n + 1) for name in CONCEPTS for n in rng.permutation(6)[:4]]
    # Both halves of every concept: the odd and the even stimuli.
    shown = [*{(name, n) for name in CONCEPTS for n in (1, 2)} | set(shown)]
    shown = [sorted(shown)[k] for k in rng.permutation(len(shown))]
    table = pd.DataFrame(shown, columns=["concept", "stimulus_idx"])
    table["run"] = np.where(np.arange(len(table)) < len(table) // 2, 7, 3)
    table["onset"] = 10.0 + 5 * np.arange(len(table))
    return table.assign(stimulus="x")


def write_betas(folder: Path, kind: str) -> None:
    """A folder of betas: in voxel (i, j, k) of a trial 100 concept + 10 stimulus + voxel / 100."""
    nib.Nifti1Image(mask_values(), AFFINE).to_filename(folder / "mask.nii.gz")
    for paradigm in PARADIGMS:
        rows = [(name, n, 2 - n % 2) for name in CONCEPTS for n in range(1, 7)]
        table = pd.DataFrame(rows, columns=["concept", "stimulus_idx", "split"])
        table.to_csv(folder / f"split_{paradigm}.csv", index=False)
        for subject in SUBJECTS:
            trials = trial_table(subject, paradigm)
            trials.to_csv(folder / f"stimuli_order_{subject}_{paradigm}.csv", index=False)
            # Betas are in the order of ascending runs.
            ordered = pd.concat([trials[trials["run"] == 3], trials[trials["run"] == 7]])
            write_trials(folder / f"{subject}_{paradigm}{kind}", ordered)


def write_trials(path: Path, trials: pd.DataFrame, affine: np.ndarray = AFFINE) -> None:
    """Betas of one participant in one paradigm."""
    concept = np.array([CONCEPTS.index(name) for name in trials["concept"]])
    values = 100.0 * concept + 10 * trials["stimulus_idx"].to_numpy()
    values = values + np.arange(np.prod(SHAPE)).reshape(*SHAPE, 1) / 100
    if path.suffix == ".npy":
        np.save(path, values.astype(np.float32))
    else:
        nib.Nifti1Image(values.astype(np.float32), affine).to_filename(path)
