"""A study of one's own on disk, as the book's page has it: three listeners, three runs."""

import re
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import yaml
from tiny_models import text_of

PAGE = Path(__file__).parents[1] / "book" / "own_study.md"


def blocks(language: str) -> list[str]:
    """Blocks of code of a language on the page."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


(STUDY,) = blocks("yaml")
TOLD = yaml.safe_load(STUDY)
SUBJECTS, RUNS = ("01", "02", "03"), ("1", "2", "3")
TR, N_SCANS = 2.0, (40, 42, 41)
SHAPE, EDGE = (8, 6, 5), 12.0


def affine() -> np.ndarray:
    """Of a grid that is its own mirror image."""
    matrix = np.diag([EDGE, EDGE, EDGE, 1])
    matrix[:3, 3] = -EDGE * (SHAPE[0] - 1) / 2, -40, -20
    return matrix


def brain() -> np.ndarray:
    """Voxels that are brain, bool of shape SHAPE: all but the outermost ones."""
    inside = np.zeros(SHAPE, dtype=bool)
    inside[1:-1, 1:-1, 1:-1] = True
    return inside


def region() -> np.ndarray:
    """A region in the left hemisphere, bool of shape SHAPE."""
    return brain() & (np.arange(SHAPE[0])[:, None, None] < 3)


def text_of_run(run: int) -> str:
    """The passage of one run."""
    return text_of(8, seed=run)


def events(run: int) -> pd.DataFrame:
    """Events of one run as BIDS has them."""
    words = re.findall(r"[\w']+", text_of_run(run))
    onset = np.linspace(0.5, TR * N_SCANS[run] - 4, len(words)).round(3)
    return pd.DataFrame({"onset": onset, "duration": 0.3, "word": words, "trial_type": "story"})


def measured(subject: int, run: int) -> np.ndarray:
    """Images of a listener, (*SHAPE, scans): words, drift and noise on a mean of 100."""
    rng = np.random.default_rng([subject, run])
    rate = np.histogram(events(run)["onset"], np.arange(N_SCANS[run] + 1) * TR)[0]
    signal = np.convolve(rate, [0, 0.2, 1, 1, 0.4])[: N_SCANS[run]]
    drift = np.linspace(-3, 3, N_SCANS[run]) * rng.normal(size=(*SHAPE, 1))
    values = 100 + signal + drift + rng.normal(size=(*SHAPE, N_SCANS[run]))
    return np.where(brain()[..., None], values, 0).astype(np.float32)


def write_image(path: Path, values: np.ndarray) -> None:
    """Write an image on the grid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.Nifti1Image(values, affine()).to_filename(path)


def make_study(folder: Path, study: str = STUDY) -> Path:
    """Write the files of the page below a folder, with this study.yml."""
    folder.mkdir(parents=True)
    (folder / "study.yml").write_text(study)
    write_image(folder / "mask.nii.gz", brain().astype(np.uint8))
    write_image(folder / "regions" / "STS.nii.gz", region().astype(np.uint8))
    (folder / "stimuli").mkdir()
    for run, label in enumerate(RUNS):
        events(run).to_csv(folder / TOLD["words"].format(run=label), sep="\t", index=False)
        (folder / TOLD["text"].format(run=label)).write_text(text_of_run(run))
        for number, subject in enumerate(SUBJECTS):
            path = folder / TOLD["images"].format(subject=subject, run=label)
            write_image(path, measured(number, run))
    return folder
