"""The Little Prince in English: 49 listeners to nine runs (Li et al. 2022).

Words come from the corpus; mask, regions, the map of reliability and the average listener from
Bonnasse-Gahot & Pallier (2024). The average listener is large and optional.
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.studies.arrays import read_joblib_array
from brainalign.studies.images import read_mask, voxel_table
from brainalign.studies.registry import (
    data_files,
    optional_files,
    terms,
    verified_path,
    verified_paths,
)
from brainalign.study import Run, Study, voxel_coordinates
from brainalign.words import check_words

NAME = "petitprince-en"
SOURCES = (
    "study",
    "studies/arrays",
    "studies/images",
    "studies/petitprince",
    "studies/registry",
    "words",
)

TR = 2.0
#: Scans at the start and the end of each run that the paper leaves out.
TRIM = (10, 10)
N_SCANS = (282, 298, 340, 303, 265, 343, 325, 292, 368)
#: Grid of 4 mm on which mask, regions and responses are.
SHAPE = (37, 46, 38)
N_SPLITS = 10
#: Rows that the paper leaves out: a word that is there twice, and two words never heard.
DROPPED_ROWS = (3919, 6775, 6781)
_ANNOTATIONS = {"lemma": "lemma", "logfreq": "log_frequency", "pos": "part_of_speech"}
_PARSER = ("top_down", "bottom_up", "left_corner")


def fingerprint(**options) -> str:
    """Identity of the study that `load` would make, without reading any file."""
    if options:
        raise InputError(f"Study {NAME!r} has no option {sorted(options)[0]!r}; it has none.")
    checksums = [file.checksum for file in [*data_files(NAME), *optional_files(NAME)]]
    return digest([NAME, checksums, source_digest(SOURCES)])


def load(**options) -> Study:
    """Read words and geometry; responses and reliability are read when they are asked for.

    Parameters
    ----------
    **options
        None yet.

    Returns
    -------
    Study
        Without individual listeners. `responses("average")` needs the optional files; they are
        free of drifts already. `reliability()` is the published map.

    Raises
    ------
    InputError
        For an option, and for files that are missing or not what they should be.
    """
    identity = fingerprint(**options)
    paths = verified_paths(NAME)
    mask = read_mask(paths["mask_lpp_en.nii.gz"], SHAPE)
    regions = {
        path.name.removesuffix(".nii.gz"): read_mask(path, SHAPE, mask.affine)
        for name, path in paths.items()
        if name.startswith("roi_masks/")
    }
    voxels = voxel_table(mask, regions)
    tables = read_words(paths["annotation/lppEN_word_information.csv"])
    licence, citation = terms(NAME)
    return Study(
        name=NAME,
        language="en",
        runs=tuple(_make_run(run, words, len(voxels)) for run, words in enumerate(tables)),
        subjects=(),
        tr=TR,
        voxels=voxels,
        trim=TRIM,
        fingerprint=identity,
        mask=mask,
        has_average=True,
        reliability=partial(read_reliability, paths["isc_10trials_en.gz"], voxels),
        licence=licence,
        citation=citation,
    )


def _make_run(run: int, words: pd.DataFrame, n_voxels: int) -> Run:
    def average(_: str) -> np.ndarray:
        path = verified_path(optional_files(NAME)[run])
        return _read_matrix(path, (N_SCANS[run], n_voxels)).astype(np.float32)

    return Run(words, " ".join(words["word"]), N_SCANS[run], average)


def _read_matrix(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """A matrix of finite floats of a known shape."""
    values = read_joblib_array(path, max_bytes=8 * shape[0] * shape[1])
    if values.shape != shape:
        raise InputError(f"{path} has shape {values.shape}; {shape} is expected.")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise InputError(
            f"{path} has {values[row, column]} in row {row}, voxel {column}; finite numbers are "
            "expected."
        )
    return values


def read_reliability(path: Path, voxels: pd.DataFrame) -> xr.DataArray:
    """Published reliability: half of the listeners predicted from the other half.

    Parameters
    ----------
    path
        An array of shape (10, n_voxels) written by joblib.
    voxels
        Voxel table.

    Returns
    -------
    xarray.DataArray
        Dims (split, voxel): mean over runs of the correlation between measured and predicted.

    Raises
    ------
    InputError
        For a file that is not such an array.
    """
    values = _read_matrix(path, (N_SPLITS, len(voxels)))
    coords = voxel_coordinates(voxels)
    return xr.DataArray(values, coords, dims=("split", "voxel"), name="reliability")


def read_words(path: Path) -> list[pd.DataFrame]:
    """Words of each run with their annotations.

    Parameters
    ----------
    path
        `lppEN_word_information.csv` of the corpus.

    Returns
    -------
    list of pandas.DataFrame
        One per run: `word`, `onset` and `offset` in seconds from the first scan, `lemma`,
        `log_frequency`, `part_of_speech`, and counts of parser actions. As in the paper, three
        rows and the rows without a word (clitics lost in the corpus) are left out.

    Raises
    ------
    InputError
        For a table without these columns or with other runs, and for onsets that go backwards.
    """
    columns = ["word", "onset", "offset", *_ANNOTATIONS, *_PARSER]
    try:
        # "null" and "none" are words.
        table = pd.read_csv(path, index_col=0, na_values=[""], keep_default_na=False)
        table = table[["section", *columns]].astype({"onset": float, "offset": float})
    except (ValueError, KeyError) as error:
        raise InputError(
            f"{path} cannot be read as a word table with the columns {', '.join(columns)} ({error})."
        ) from error
    sections = sorted(table["section"].unique().tolist())
    if sections != list(range(1, len(N_SCANS) + 1)):
        raise InputError(
            f"{path} has the sections {sections}; those from 1 to {len(N_SCANS)} are expected."
        )
    for _, words in table.groupby("section"):
        check_words(words, str(path))
    kept = table.drop(index=list(DROPPED_ROWS), errors="ignore").dropna(subset="word")
    runs = kept.rename(columns=_ANNOTATIONS).groupby("section")
    return [words.drop(columns="section").reset_index(drop=True) for _, words in runs]
