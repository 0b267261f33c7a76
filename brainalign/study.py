"""The one data model: a study is words, brain responses and the place of every voxel.

Every source (the testbed, Alice, Le Petit Prince) becomes a `Study`, and everything else reads
nothing but this.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.drift import remove_drift
from brainalign.errors import InputError
from brainalign.files import digest
from brainalign.parallel import map_threads
from brainalign.words import check_words

AVERAGE = "average"
SIMULATED = "SIMULATED LISTENERS"
VOXEL_COLUMNS = ("x", "y", "z", "hemisphere", "roi", "parcel")
HemisphereRule = Literal["anatomical", "published"]
# One fold is scored, one chooses the penalty, one is fitted.
MINIMUM_FOLDS = 3


@dataclass(frozen=True)
class Run:
    """One stretch of story and the scans recorded while it was heard.

    Attributes
    ----------
    words : pandas.DataFrame
        One row per word: `word`, `onset` and `offset` in seconds from the first scan; further
        columns are annotations.
    text : str
        The passage with its capitals and punctuation, which contains the words in order.
    n_scans : int
        Scans recorded, before any are trimmed.
    load : callable
        Takes a subject's name, gives responses of shape (n_scans, n_voxels), float32. Called when
        the responses are asked for, so that a study larger than memory can be streamed.
    confounds : callable or None
        Takes a subject's name, gives time courses of shape (n_scans, n_confounds) that are
        regressed out of that subject's responses (movement of the head).
    """

    words: pd.DataFrame
    text: str
    n_scans: int
    load: Callable[[str], np.ndarray] = field(repr=False)
    confounds: Callable[[str], np.ndarray] | None = field(default=None, repr=False)

    def __post_init__(self):
        check_words(self.words)


@dataclass(frozen=True)
class Study:
    """Words, responses and geometry of one experiment.

    Attributes
    ----------
    name, language : str
        "testbed", "en".
    runs : tuple of Run
        In the order heard.
    subjects : tuple of str
        Individual listeners. `"average"` is always available beside them.
    tr : float
        Repetition time in seconds.
    voxels : pandas.DataFrame
        One row per voxel: `x`, `y`, `z` (mm, MNI), `hemisphere` ("L", "R", "midline"), `roi` (""
        outside the regions of interest) and `parcel`. A study of whole regions has one row for
        each: NaN for coordinates, `roi` the same on both sides, `parcel` the region's own name.
    trim : tuple of int
        Scans dropped at the start and at the end of each run when regressors are fitted.
    fingerprint : str
        Identifies the data: it changes when they do.
    mask : nibabel image or None
        The voxels' mask; None where a study has regions instead of voxels.
    simulated : bool
        Whether the responses were made by a program; every figure then says so.
    truth : xarray.Dataset or None
        What a simulated study knows of itself.
    has_average : bool
        Whether `Run.load("average")` gives the average subject directly. Otherwise it is the mean
        of the listeners' standardised responses.
    high_pass : float or None
        Cut-off in Hz: a line and cosines slower than this are removed from the responses of every
        run and from the regressors that predict them. None removes nothing.
    n_folds : int or None
        None: every run is a fold of the cross-validation. Otherwise every run is cut into this
        many contiguous stretches, for a study with too few runs.
    gap : int
        Scans dropped between neighbouring stretches, because the haemodynamic response carries
        what was heard in one into the next.
    known_confounds : tuple of str
        What the study's option `confounds` can name.
    reliability : callable or None
        Gives a published map of reliability, dims (split, voxel), where a study brings one.
    split_halves : bool
        Whether, without a published map, reliable voxels are those that one half of the listeners
        predicts in the other, instead of those with a high leave-one-out correlation.
    options : dict
        What the study was loaded with, so that it can be loaded again.
    licence, citation : str
        Of the data.
    """

    name: str
    language: str
    runs: tuple[Run, ...]
    subjects: tuple[str, ...]
    tr: float
    voxels: pd.DataFrame = field(repr=False)
    trim: tuple[int, int]
    fingerprint: str
    mask: object | None = field(default=None, repr=False)
    simulated: bool = False
    truth: xr.Dataset | None = field(default=None, repr=False)
    has_average: bool = False
    high_pass: float | None = None
    n_folds: int | None = None
    gap: int = 0
    known_confounds: tuple[str, ...] = ()
    reliability: Callable[[], xr.DataArray] | None = field(default=None, repr=False)
    split_halves: bool = False
    options: dict = field(default_factory=dict)
    licence: str = ""
    citation: str = ""

    def __post_init__(self):
        missing = set(VOXEL_COLUMNS) - set(self.voxels.columns)
        if missing:
            raise InputError(f"The voxel table of study {self.name!r} lacks {sorted(missing)}.")

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return len(self.voxels)

    @property
    def source(self) -> str:
        """Whose responses they are, for the stamp of a figure."""
        if self.simulated:
            return SIMULATED
        n_listeners = len(self.subjects)
        if n_listeners == 1:
            return "1 measured listener"
        return f"{n_listeners} measured listeners" if n_listeners else "measured average listener"

    @property
    def of_regions(self) -> bool:
        """Whether its "voxels" are whole regions, which have a name but no coordinates."""
        return bool(self.voxels["x"].isna().all())

    def trimmed(self, values: np.ndarray) -> np.ndarray:
        """Scans of one run, (scan, ...), without those that `trim` drops."""
        return values[self.trim[0] : len(values) - self.trim[1]]

    def label(self, voxel: int) -> str:
        """A voxel in messages: its number, and its name where the study has named regions."""
        return (
            f"region {self.voxels['parcel'].iloc[voxel]}" if self.of_regions else f"voxel {voxel}"
        )

    def responses(self, run: int, subjects: tuple[str, ...] | str = AVERAGE) -> xr.DataArray:
        """Responses of some subjects in one run, labelled, without drifts and confounds.

        Parameters
        ----------
        run
            Index of the run.
        subjects
            One name or several; "average" is the average subject.

        Returns
        -------
        xarray.DataArray
            Dims (subject, scan, voxel), float32, before trimming; voxel coordinates x, y, z,
            hemisphere, roi, parcel. Drifts go where the study has a `high_pass`, confounds where
            the run has them.

        Raises
        ------
        InputError
            For a subject that the study does not have.
        """
        names = (subjects,) if isinstance(subjects, str) else tuple(subjects)
        values = np.stack([self._load(run, name) for name in names])
        coords = {"subject": list(names), **voxel_coordinates(self.voxels)}
        return xr.DataArray(values, dims=("subject", "scan", "voxel"), coords=coords)

    def _load(self, run: int, subject: str) -> np.ndarray:
        if subject == AVERAGE and not self.has_average:
            listeners = map_threads(lambda name: standardise(self._load(run, name)), self.subjects)
            total = next(listeners)
            for values in listeners:
                total += values
            return standardise(total)
        if subject != AVERAGE and subject not in self.subjects:
            raise InputError(
                f"Study {self.name!r} has no subject {subject!r}; it has {', '.join(self.subjects)}"
                f" and {AVERAGE!r}."
            )
        recorded = self.runs[run]
        values = np.asarray(recorded.load(subject), dtype=np.float32)
        expected = (recorded.n_scans, self.n_voxels)
        if values.shape != expected:
            raise InputError(
                f"Run {run + 1} of subject {subject!r} has shape {values.shape}; "
                f"{expected} (scans, voxels) is expected."
            )
        confounds = None if recorded.confounds is None else recorded.confounds(subject)
        return remove_drift(values, self.tr, self.high_pass, confounds)

    def folds(self) -> list[tuple[int, slice]]:
        """Folds of the cross-validation: the run of each, and its scans.

        Returns
        -------
        list of tuple
            Index of the run, and a slice of the scans that trimming leaves. Neighbouring stretches
            of one run are `gap` scans apart; these scans belong to no fold.

        Raises
        ------
        InputError
            For fewer than three folds, a gap below 0, and stretches that the gap leaves no two
            scans of.
        """
        n_parts = 1 if self.n_folds is None else self.n_folds
        if n_parts < 1 or self.gap < 0:
            raise InputError(
                f"Study {self.name!r} has n_folds {self.n_folds} and gap {self.gap}; a number of "
                "folds from 1 and a gap from 0 scans are expected."
            )
        if len(self.runs) * n_parts < MINIMUM_FOLDS:
            raise InputError(
                f"Study {self.name!r} has {len(self.runs) * n_parts} fold(s), from {len(self.runs)} "
                f"run(s) with n_folds {self.n_folds}; at least {MINIMUM_FOLDS} are expected, one to "
                "score, one to choose the penalty and one to fit."
            )
        found = []
        for number, run in enumerate(self.runs):
            n_kept = run.n_scans - sum(self.trim)
            edges = np.linspace(0, n_kept, n_parts + 1).round().astype(int)
            # Half of each gap is taken from either side, so that stretches stay alike in length.
            starts = edges[:-1] + np.where(edges[:-1] > 0, self.gap // 2, 0)
            stops = edges[1:] - np.where(edges[1:] < n_kept, self.gap - self.gap // 2, 0)
            if (stops - starts).min() < 2:
                raise InputError(
                    f"Run {number + 1} of study {self.name!r} has {n_kept} scans; {n_parts} folds "
                    f"with gaps of {self.gap} leave less than two scans in one of them."
                )
            found += [(number, slice(int(a), int(b))) for a, b in zip(starts, stops, strict=True)]
        return found


def kept_voxels(name: str, n_voxels: int, keep: np.ndarray) -> np.ndarray:
    """Which of a study's voxels to keep, as bool of shape (voxels,).

    Raises
    ------
    InputError
        If `keep` does not have one value for each voxel.
    """
    keep = np.asarray(keep, dtype=bool)
    if keep.shape != (n_voxels,):
        raise InputError(
            f"keep has shape {keep.shape}; one value for each of the {n_voxels} voxels of "
            f"study {name!r} is expected."
        )
    return keep


def select_voxels(study: Study, keep: np.ndarray) -> Study:
    """The same study with only some of its voxels.

    Parameters
    ----------
    study
        Any study.
    keep
        Shape (n_voxels,), bool.

    Returns
    -------
    Study
        With another fingerprint, without a mask, and with the truth of the voxels kept.

    Raises
    ------
    InputError
        If `keep` does not have one value for each voxel.
    """
    keep = kept_voxels(study.name, study.n_voxels, keep)

    def narrowed(run: Run) -> Run:
        return replace(run, load=lambda subject: run.load(subject)[:, keep])

    known = study.reliability
    return replace(
        study,
        runs=tuple(narrowed(run) for run in study.runs),
        voxels=study.voxels[keep].reset_index(drop=True),
        fingerprint=digest([study.fingerprint, np.flatnonzero(keep).tolist()]),
        mask=None,
        reliability=None if known is None else lambda: known().isel(voxel=keep),
        truth=None if study.truth is None else study.truth.isel(voxel=keep),
    )


def voxel_coordinates(voxels: pd.DataFrame) -> dict[str, tuple[str, np.ndarray]]:
    """Voxel table as coordinates of an xarray dimension `voxel`."""
    # Strings of fixed width: xarray copies arrays of Python objects one by one.
    kinds = dict.fromkeys(VOXEL_COLUMNS, str) | dict.fromkeys("xyz", float)
    return {name: ("voxel", voxels[name].to_numpy(dtype=kinds[name])) for name in VOXEL_COLUMNS}


def standardise(values: np.ndarray) -> np.ndarray:
    """Centre columns and scale them to unit standard deviation; constant columns become zero.

    Parameters
    ----------
    values
        Shape (scans, columns).

    Returns
    -------
    numpy.ndarray
        Same shape, float32.
    """
    values = np.asarray(values)
    # What comes in double precision keeps it up to the result.
    values = values.astype(np.promote_types(values.dtype, np.float32), copy=False)
    centred = values - values.mean(axis=0)
    scale = np.sqrt(np.einsum("ij,ij->j", centred, centred) / len(values))
    # A column that is constant up to rounding must not be blown up to unit variance.
    largest = np.maximum(values.max(axis=0, initial=0), -values.min(axis=0, initial=0))
    centred /= np.where(scale <= 1e-6 * largest, np.inf, scale)
    return centred.astype(np.float32, copy=False)


def voxel_size(affine: np.ndarray) -> float:
    """Edge length in mm along x of a voxel grid."""
    return float(np.linalg.norm(np.asarray(affine)[:3, 0]))


def label_hemispheres(x: np.ndarray, edge: float) -> np.ndarray:
    """Side of the brain of every voxel.

    Parameters
    ----------
    x
        Coordinates in mm, negative on the left.
    edge
        Edge length of a voxel in mm; voxels nearer to the midline than half of it are on neither
        side.

    Returns
    -------
    numpy.ndarray of str
        "L", "R" or "midline".
    """
    return np.select([x <= -edge / 2, x >= edge / 2], ["L", "R"], "midline")


def hemispheres(voxels: pd.DataFrame, rule: HemisphereRule = "anatomical") -> np.ndarray:
    """Hemisphere labels under the default or the published rule.

    Parameters
    ----------
    voxels
        The study's voxel table, in the order of its mask (x slowest).
    rule
        "anatomical" leaves the midline out; "published" calls the first half of the voxels left
        and the rest right, so that the midline is split into a posterior "left" and an anterior
        "right" half (Bonnasse-Gahot & Pallier 2024, code).

    Returns
    -------
    numpy.ndarray of str
        "L", "R", "midline".

    Raises
    ------
    InputError
        For another rule.
    """
    if rule == "anatomical":
        return voxels["hemisphere"].to_numpy()
    if rule == "published":
        return np.where(np.arange(len(voxels)) < len(voxels) // 2, "L", "R")
    raise InputError(f"hemispheres is {rule!r}; 'anatomical' or 'published' is expected.")
