"""A user's own study: a folder with a file study.yml, preprocessed images and tables of words.

The file says where images (derivatives in the layout of BIDS, or any other) and words lie, as
patterns with `{subject}` and `{run}`. Listeners and runs are found from them; images are prepared
as those of *Le Petit Prince* are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import digest, file_sha256, source_digest
from brainalign.studies import preparation as prepared
from brainalign.studies.folder_files import (
    FILE,
    Description,
    Files,
    find_files,
    read_description,
    study_folder,
)
from brainalign.studies.grid import Grid, count_volumes
from brainalign.studies.images import read_mask, voxel_table
from brainalign.studies.options import make_config
from brainalign.studies.preparation import Preparation, RunImage
from brainalign.studies.texts import read_text
from brainalign.study import Run, Study
from brainalign.words import check_words

SOURCES = (
    *("study", "studies/folder", "studies/folder_files", "studies/images", "studies/texts"),
    "words",
)

_SEPARATORS = {".tsv": "\t", ".csv": ","}
# Languages written without blanks between words.
_UNSPACED = ("cn", "zh", "ja")


@dataclass(frozen=True)
class FolderConfig:
    """Options that a study of one's own is loaded with.

    Attributes
    ----------
    subjects : tuple of str
        Only these listeners; empty takes all.
    """

    subjects: tuple[str, ...] = ()


def of(path: str) -> SimpleNamespace:
    """The functions of this module for one folder, as another study's module has them."""
    functions = (load, fingerprint, configure, preparation)
    return SimpleNamespace(**{function.__name__: partial(function, path) for function in functions})


def configure(path: str, **options) -> FolderConfig:
    """Check study.yml, the files that it names and options, without opening any image.

    Raises
    ------
    InputError
        As `read_description` and `find_files`, for an unknown option, and for a listener that the
        study does not have.
    """
    config = make_config(FolderConfig, path, options)
    known = find_files(path).subjects
    if unknown := [name for name in config.subjects if name not in known]:
        raise InputError(
            f"Study {path!r} has no subject {unknown[0]!r}; it has {', '.join(known)}."
        )
    return config


def preparation(path: str, **options) -> Preparation:
    """What is to be prepared of the images, and how.

    Parameters
    ----------
    path, **options
        As for `load`.
    """
    config, told, files = configure(path, **options), read_description(path), find_files(path)
    mask = None if told.mask is None else study_folder(path) / told.mask
    whole = Preparation(
        study=path,
        images=tuple(
            _run_image(subject, run, files.images[subject, run])
            for subject in files.subjects
            for run in range(len(files.runs))
        ),
        n_scans=_scan_counts(path, told, files),
        tr=told.tr,
        grid=Grid() if mask is None else _grid(path, mask),
        mask=mask,
        high_pass=told.high_pass,
        smoothing=told.smoothing,
    )
    return prepared.narrowed(whole, config.subjects) if config.subjects else whole


def _run_image(subject: str, run: int, path: Path) -> RunImage:
    return RunImage(subject, run, f"sha256:{file_sha256(path)}", path)


def _scan_counts(path: str, told: Description, files: Files) -> tuple[int, ...]:
    """Scans of every run: as study.yml says, or as the first listener has them."""
    if told.n_scans is None:
        first = files.subjects[0]
        return tuple(count_volumes(files.images[first, run]) for run in range(len(files.runs)))
    if len(told.n_scans) != len(files.runs):
        raise InputError(
            f"{study_folder(path) / FILE}: n_scans has {len(told.n_scans)} numbers; one for each of the "
            f"{len(files.runs)} runs is expected."
        )
    return told.n_scans


def _grid(path: str, mask: Path) -> Grid:
    """Grid that a mask is on."""
    if not mask.is_file():
        raise InputError(
            f"{study_folder(path) / FILE}: mask is {mask.name!r}; there is no file {mask}."
        )
    image = read_mask(mask)
    try:
        grid = Grid(image.shape, tuple(image.affine[:3, 3].tolist()), float(image.affine[0, 0]))
    except InputError as error:
        raise InputError(f"{mask}: {error}") from error
    if not np.allclose(image.affine, grid.affine):
        raise InputError(
            f"{mask} has the affine {image.affine.tolist()}; voxels that are cubes along the axes, "
            "from left to right, are expected."
        )
    return grid


def fingerprint(path: str, **options) -> str:
    """Identity of the study that `load` would make: the content of all files that it comes from."""
    told, files, source = read_description(path), find_files(path), preparation(path, **options)
    others = [*files.words, *files.texts, *files.regions.values()]
    # Names of files and of the study do not matter, listeners and regions do.
    labels = [source.subjects, *files.regions]
    told = told.model_dump(include={"language", "tr", "trim", "n_folds", "gap"})
    checksums = [file_sha256(file) for file in others]
    return digest([prepared.identity(source), labels, told, checksums, source_digest(SOURCES)])


def load(path: str, **options) -> Study:
    """Read words and geometry; responses are read when they are asked for.

    Parameters
    ----------
    path
        Of the folder.
    **options
        Fields of `FolderConfig`.

    Returns
    -------
    Study
        Named by its path.

    Raises
    ------
    InputError
        For an option, for files that are missing or not what they should be, and for images that
        have to be prepared before there is a mask.
    """
    told, files, source = read_description(path), find_files(path), preparation(path, **options)
    mask = prepared.mask_image(source)
    regions = {
        name: read_mask(file, source.grid.shape, source.grid.affine)
        for name, file in files.regions.items()
    }
    texts = files.texts or (None,) * len(files.words)
    return Study(
        name=path,
        language=told.language,
        runs=tuple(
            _make_run(
                told, words, text, source.n_scans[run], partial(prepared.responses, source, run)
            )
            for run, (words, text) in enumerate(zip(files.words, texts, strict=True))
        ),
        subjects=source.subjects,
        tr=told.tr,
        voxels=voxel_table(mask, regions),
        trim=told.trim,
        fingerprint=fingerprint(path, **options),
        mask=mask,
        has_average=True,
        n_folds=told.n_folds,
        gap=told.gap,
        options=options,
        licence=told.licence,
        citation=told.citation,
    )


def _make_run(
    told: Description,
    words: Path,
    text: Path | None,
    n_scans: int,
    responses: Callable[[str], np.ndarray],
) -> Run:
    table = read_words(words)
    last = table["onset"].iloc[-1]
    if last >= n_scans * told.tr:
        raise InputError(
            f"{words} has its last word at {last:g} s; the run's {n_scans} scans of {told.tr:g} s "
            f"end at {n_scans * told.tr:g} s."
        )
    if text is not None:
        passage = read_text(text)
    else:
        passage = ("" if told.language in _UNSPACED else " ").join(table["word"])
    return Run(table, passage, n_scans, responses)


def read_words(path: Path) -> pd.DataFrame:
    """Words of one run with the times at which they were heard.

    Parameters
    ----------
    path
        TSV or CSV with the columns word, onset, and offset or duration, in seconds from the first
        scan; the events file of BIDS is one. Rows without a word ("" or "n/a") are left out.

    Returns
    -------
    pandas.DataFrame
        `word`, `onset`, `offset`; other columns are annotations.

    Raises
    ------
    InputError
        For another kind of file, columns that are missing, times that are no numbers or go
        backwards, and a table without words.
    """
    if path.suffix not in _SEPARATORS:
        raise InputError(f"{path} is no table that is known; a .tsv or .csv file is expected.")
    separator = _SEPARATORS[path.suffix]
    # "null" and "nan" are words.
    missing = {"na_values": ["", "n/a"], "keep_default_na": False}
    try:
        table = pd.read_csv(
            path, sep=separator, dtype={"word": str}, encoding="utf-8-sig", **missing
        )
        if "offset" not in table and {"onset", "duration"} <= set(table.columns):
            table["offset"] = table["onset"] + table.pop("duration")
        table["word"] = table["word"].str.strip().replace("", None)
        table = table.dropna(subset="word").astype({"onset": float, "offset": float})
    except (ValueError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as a table with the columns word, onset, and offset or "
            f"duration ({reason})."
        ) from error
    if table.empty:
        raise InputError(f"{path} has no words.")
    check_words(table, str(path))
    return table.reset_index(drop=True)
