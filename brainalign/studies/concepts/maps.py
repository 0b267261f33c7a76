"""The published maps of Ryskina et al. (2025): consistency, regions, language selectivity.

The brain responses that they were made from are not public; the maps are, with the order in which
every participant saw the stimuli and the halves that these were split into.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.studies.concepts.design import read_splits, read_trials
from brainalign.studies.concepts.responses import PARADIGMS
from brainalign.studies.images import read_image, voxel_table
from brainalign.studies.registry import data_files, terms, verified_paths
from brainalign.study import voxel_coordinates

NAME = "concepts"
SOURCES = (
    "study",
    *(f"studies/concepts/{name}" for name in ("design", "maps", "responses")),
    "studies/images",
    "studies/registry",
)

#: Grid of all maps, 2 mm; the first index grows to the *left*.
SHAPE = (91, 109, 91)
AFFINE = np.array([[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]], dtype=float)
#: Labels of the map of regions. Figures 3 and 13 of the paper call region 3 "ROI 2", and 2 "ROI 3".
REGIONS = {1: "posterior temporal", 2: "frontal", 3: "ventral occipitotemporal"}

_PROBABILITY = "outputs/semantic_consistency/probabilistic_consistency_map.nii"
_REGIONS = "outputs/roi_map.nii"
_CONTRASTS = "data/language_selectivity_nii/"
_STIMULI = "data/stimuli/"


@dataclass(frozen=True)
class ConceptMaps:
    """Maps of one group of participants, in the voxels where any of them says something.

    Attributes
    ----------
    subjects : tuple of str
        "M01", ...
    voxels : pandas.DataFrame
        As of `study.Study`; `roi` is one of `REGIONS` or "", `parcel` the same with its side.
    counts : numpy.ndarray of int
        Participants in whom a voxel is consistent in both halves; shape (voxels,).
    selectivity : xarray.DataArray
        Sentences minus nonwords, dims (subject, voxel), float32; NaN where a participant was not
        covered. Its scale differs between participants.
    mask : nibabel image
        The voxels' mask.
    trials : pandas.DataFrame
        What was shown when: `subject`, `paradigm`, `run`, `concept`, `stimulus`, `onset`.
    splits : pandas.DataFrame
        Half of each stimulus: `paradigm`, `concept`, `stimulus`, `half`.
    fingerprint : str
        Identifies the data: it changes when they do.
    licence, citation : str
        Of the data.
    """

    subjects: tuple[str, ...]
    voxels: pd.DataFrame = field(repr=False)
    counts: np.ndarray = field(repr=False)
    selectivity: xr.DataArray = field(repr=False)
    mask: object = field(repr=False)
    trials: pd.DataFrame = field(repr=False)
    splits: pd.DataFrame = field(repr=False)
    fingerprint: str
    licence: str
    citation: str


def fingerprint(**options) -> str:
    """Identity of what `load` would give, without reading any file."""
    if options:
        raise InputError(f"Study {NAME!r} has no option {sorted(options)[0]!r}; it has none.")
    checksums = [file.checksum for file in data_files(NAME)]
    return digest([NAME, checksums, source_digest(SOURCES)])


def load(**options) -> ConceptMaps:
    """Read the maps and tables.

    Parameters
    ----------
    **options
        None yet.

    Returns
    -------
    ConceptMaps

    Raises
    ------
    InputError
        For an option, and for files that are missing or not what they should be.
    """
    identity = fingerprint(**options)
    paths = verified_paths(NAME)
    contrasts = {
        Path(name).name.partition("_")[0]: path
        for name, path in paths.items()
        if name.startswith(_CONTRASTS)
    }
    selectivity = np.stack([read_contrast(path) for path in contrasts.values()])
    counts = read_counts(paths[_PROBABILITY], len(contrasts))
    regions = read_regions(paths[_REGIONS])
    mask, voxels = _voxels(selectivity, counts, regions)
    inside = mask.get_fdata() > 0
    coords = {"subject": list(contrasts), **voxel_coordinates(voxels)}
    licence, citation = terms(NAME)
    return ConceptMaps(
        subjects=tuple(contrasts),
        voxels=voxels,
        counts=counts[inside],
        selectivity=xr.DataArray(selectivity[:, inside], coords, dims=("subject", "voxel")),
        mask=mask,
        trials=_read_all_trials(paths, tuple(contrasts)),
        splits=read_splits({name: paths[f"{_STIMULI}split_{name}.csv"] for name in PARADIGMS}),
        fingerprint=identity,
        licence=licence,
        citation=citation,
    )


def _voxels(
    selectivity: np.ndarray, counts: np.ndarray, regions: np.ndarray
) -> tuple[object, pd.DataFrame]:
    """Mask and table of the voxels in which at least one map says something."""
    from nibabel import Nifti1Image

    inside = np.isfinite(selectivity).any(axis=0) | (counts > 0) | (regions > 0)
    mask = Nifti1Image(inside.astype(np.uint8), AFFINE)
    table = voxel_table(mask, {})
    names = np.array(["", *REGIONS.values()], dtype=object)[regions[inside]]
    parcels = np.where(names == "", "", names + " " + table["hemisphere"])
    return mask, table.assign(roi=names, parcel=parcels)


def _read_all_trials(paths: dict[str, Path], subjects: tuple[str, ...]) -> pd.DataFrame:
    tables = [
        read_trials(paths[f"{_STIMULI}stimuli_order_{subject}_{paradigm}.csv"]).assign(
            subject=subject, paradigm=paradigm
        )
        for subject in subjects
        for paradigm in PARADIGMS
    ]
    columns = ["subject", "paradigm", "run", "concept", "stimulus", "onset"]
    return pd.concat(tables, ignore_index=True)[columns]


def read_counts(path: Path, n_subjects: int) -> np.ndarray:
    """Number of participants in whom a voxel is consistent.

    Parameters
    ----------
    path
        Map of the part of the participants, on the grid of the maps. The published one keeps eight
        bits, so that k of 17 comes back as 17 times the value, rounded.
    n_subjects
        Participants.

    Returns
    -------
    numpy.ndarray of int
        Shape `SHAPE`, from 0 to `n_subjects`.

    Raises
    ------
    InputError
        For an image that cannot be read, on another grid, or with a value that is no such part.
    """
    return _whole_numbers(path, n_subjects, 0.05, f"parts of {n_subjects} participants")


def read_regions(path: Path) -> np.ndarray:
    """Labels of the regions.

    Parameters
    ----------
    path
        Image of the numbers of `REGIONS`, 0 elsewhere, on the grid of the maps.

    Returns
    -------
    numpy.ndarray of int
        Shape `SHAPE`.

    Raises
    ------
    InputError
        For an image that cannot be read, on another grid, or with another number.
    """
    return _whole_numbers(path, 1, 0.01, f"labels from 0 to {max(REGIONS)}", max(REGIONS))


def _whole_numbers(
    path: Path, scale: int, tolerance: float, expected: str, largest: int | None = None
) -> np.ndarray:
    values = np.asanyarray(read_image(path, SHAPE, AFFINE).dataobj) * scale
    # Eight bits and a slope: what was a whole number is one only after rounding.
    numbers = np.rint(np.nan_to_num(values, nan=-1.0))
    most = scale if largest is None else largest
    wrong = ~(np.abs(values - numbers) <= tolerance) | (numbers < 0) | (numbers > most)
    if wrong.any():
        found = values[wrong][0] / scale
        raise InputError(f"{path} holds {found:g}; {expected} are expected.")
    return numbers.astype(int)


def read_contrast(path: Path) -> np.ndarray:
    """Contrast of sentences and nonwords of one participant.

    Parameters
    ----------
    path
        Image on the grid of the maps, NaN where there is no brain.

    Returns
    -------
    numpy.ndarray
        Shape `SHAPE`, float32.

    Raises
    ------
    InputError
        For an image that cannot be read, on another grid, without any number or with infinite
        ones.
    """
    values = np.asanyarray(read_image(path, SHAPE, AFFINE).dataobj).astype(np.float32)
    if np.isnan(values).all() or np.isinf(values).any():
        raise InputError(
            f"{path} holds no number, or infinite ones; finite numbers, and NaN outside the brain, "
            "are expected."
        )
    return values
