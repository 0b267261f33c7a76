"""A small copy of the corpus of Le Petit Prince in the layout of its sources, for whole chains.

Two languages, three listeners each, nine sections: images as on OpenNeuro (run labels count what the
scanner recorded), word tables, and the mask, regions and reliability map of the paper's repository.
The words are the testbed's, so that its language models know them, and the responses follow them.
"""

import csv
import gzip
import hashlib
import io
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from nibabel import Nifti1Image

from brainalign.regressors import run_regressors
from brainalign.studies import load_study, registry
from brainalign.study import standardise

TR = 2.0
SHAPE, ORIGIN = (37, 46, 38), (-72.0, -106.0, -64.0)
# Coarser than the grid that images are resampled to, over the same field of view.
COARSE, EDGE = (20, 24, 20), 8.0
REGIONS = ("TP", "aSTS", "pSTS", "AG_TPJ", "BA44", "BA45", "BA47")
WORDS_PER_SECTION, SECONDS_PER_WORD = 120, 0.55
N_SCANS = tuple(40 + section for section in range(9))
# What the scanner had recorded before the story; one number was skipped for the last listener.
FIRST_LABELS = {"EN": (6, 7, 15), "FR": (1, 1, 1)}
LISTENERS = {"EN": ("EN057", "EN058", "EN059"), "FR": ("FR001", "FR002", "FR003")}
STUDIES = {"petitprince-en": "EN", "petitprince-fr": "FR"}
N_SPLITS = 10
# A row of the French table that the paper drops, and what it holds.
DROPPED_ROW = (338, "s'")


def image_bytes(values: np.ndarray, edge: float) -> bytes:
    """A compressed NIfTI file with the corpus's origin."""
    affine = np.diag([edge, edge, edge, 1.0])
    affine[:3, 3] = ORIGIN
    return gzip.compress(Nifti1Image(values, affine).to_bytes(), compresslevel=1, mtime=0)


def mask_values() -> np.ndarray:
    """A symmetrical box of 4 mm voxels, midline and all regions in it."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[6:31:2, 12:34:3, 14:30:3] = 1
    return mask


def region_values(number: int) -> np.ndarray:
    """A region on the left: some of the mask's planes along y."""
    region = np.zeros(SHAPE, dtype=np.uint8)
    region[6:13, 12 + 3 * number : 14 + 3 * number] = 1
    return region & mask_values()


def sections(language: str) -> list[pd.DataFrame]:
    """Words of every section, with their times."""
    story = load_study("testbed", language=language.lower(), n_runs=len(N_SCANS))
    tables = []
    for number, run in enumerate(story.runs):
        onset = 2.0 + SECONDS_PER_WORD * np.arange(WORDS_PER_SECTION)
        table = pd.DataFrame({"word": run.words["word"].to_numpy()[:WORDS_PER_SECTION]})
        table = table.assign(lemma=table["word"], onset=onset, offset=onset + 0.4)
        table = table.assign(logfreq=1.0, pos="NOUN", section=number + 1)
        tables.append(table.assign(top_down=1, bottom_up=1, left_corner=1))
    if language == "FR":
        row, word = DROPPED_ROW
        tables[row // WORDS_PER_SECTION].loc[row % WORDS_PER_SECTION, "word"] = word
    return tables


def signals(tables: list[pd.DataFrame]) -> list[np.ndarray]:
    """What all listeners share: random features of word forms, (scan, voxel of the coarse grid)."""
    rng = np.random.default_rng(5)
    forms, codes = np.unique(
        np.concatenate([table["word"] for table in tables]), return_inverse=True
    )
    features = np.split(rng.normal(size=(len(forms), 4))[codes], len(tables))
    weights = rng.normal(size=(4, int(np.prod(COARSE))))
    found = []
    for values, table, n_scans in zip(features, tables, N_SCANS, strict=True):
        found.append(standardise(run_regressors(values, table, n_scans, TR)) @ weights)
    return found


def run_image(signal: np.ndarray, seed: list[int]) -> bytes:
    """One listener's preprocessed images of one section: baseline, drift, signal and noise."""
    rng = np.random.default_rng(seed)
    n_scans = len(signal)
    values = signal + 1.5 * rng.normal(size=signal.shape) + np.linspace(0, 8, n_scans)[:, None]
    volumes = 1000 + 10 * values.reshape(n_scans, *COARSE)
    # Nothing was measured in the outermost planes.
    volumes[:, [0, -1]] = volumes[:, :, [0, -1]] = volumes[..., [0, -1]] = 0
    return image_bytes(np.moveaxis(volumes, 0, -1).astype(np.int16), EDGE)


def responses(label: str, tables: list[pd.DataFrame]) -> dict[str, bytes]:
    """Images of all listeners to one language, by path."""
    found, shared = {}, signals(tables)
    for number, (name, first) in enumerate(zip(LISTENERS[label], FIRST_LABELS[label], strict=True)):
        labels = [first + k + (k > 4 and number == 2) for k in range(len(shared))]
        for section, (run, signal) in enumerate(zip(labels, shared, strict=True)):
            stem = f"sub-{name}_task-lpp{label}_run-{run:02d}"
            path = f"derivatives/sub-{name}/func/{stem}_space-MNIColin27_desc-preproc_bold.nii.gz"
            found[path] = run_image(signal, [number, section, len(label)])
    return found


def reliability_bytes() -> bytes:
    """The reliability map of the paper's repository: high in the left half of the mask."""
    n_voxels = int(mask_values().sum())
    rng = np.random.default_rng(8)
    stream = io.BytesIO()
    joblib.dump(rng.uniform(0.2, 0.9, size=(N_SPLITS, n_voxels)), stream, compress=("gzip", 4))
    return stream.getvalue()


def text_files(tables: list[pd.DataFrame]) -> dict[str, str]:
    """The story as a book would print it: capitals, commas and full stops."""
    found = {}
    for number, table in enumerate(tables):
        words = [
            w + ("." if k % 8 == 7 else "," if k % 8 == 3 else "")
            for k, w in enumerate(table["word"])
        ]
        found[f"text_run{number + 1}.txt"] = " ".join(words).capitalize()
    return found


def contents() -> dict[str, bytes]:
    """Every file by `collection/path`."""
    found = {}
    for label in LISTENERS:
        tables = sections(label)
        csv_bytes = pd.concat(tables, ignore_index=True).to_csv().encode()
        path = f"annotation/{label}/lpp{label}_word_information.csv"
        found[f"{registry.CORPUS}/{path}"] = csv_bytes
        if label == "EN":
            found["petitprince-annotation/annotation/lppEN_word_information.csv"] = csv_bytes
        for path, content in responses(label, tables).items():
            found[f"{registry.CORPUS}/{path}"] = content
        found[f"petitprince/mask_lpp_{label.lower()}.nii.gz"] = image_bytes(mask_values(), 4.0)
        found[f"petitprince/isc_10trials_{label.lower()}.gz"] = reliability_bytes()
    for number, name in enumerate(REGIONS):
        found[f"petitprince/roi_masks/{name}.nii.gz"] = image_bytes(region_values(number), 4.0)
    return found


def write_tables(files: dict[str, bytes], folder: Path) -> None:
    """Tables of the registry for these files, in the place of the package's own."""
    folder.mkdir(parents=True, exist_ok=True)
    source = registry.TABLES
    (folder / "collections.csv").write_bytes((source / "collections.csv").read_bytes())
    with open(source / "files.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    kept = []
    for row in rows:
        content = files.get(f"{row['collection']}/{row['path']}")
        if content is not None:
            checksum = f"sha256:{hashlib.sha256(content).hexdigest()}"
            kept.append(row | {"size": len(content), "checksum": checksum})
    _write_csv(folder / "files.csv", kept, open)
    corpus = []
    for name, content in files.items():
        collection, _, path = name.partition("/")
        if collection == registry.CORPUS:
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            corpus.append({"path": path, "size": len(content), "md5": md5, "version": ""})
    blank = {"earlier_path": "", "earlier_version": ""}
    rows = [row | blank for row in sorted(corpus, key=lambda row: row["path"])]
    _write_csv(folder / f"{registry.CORPUS}.csv.gz", rows, gzip.open)


def _write_csv(path: Path, rows: list[dict], opened) -> None:
    with opened(path, "wt", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
