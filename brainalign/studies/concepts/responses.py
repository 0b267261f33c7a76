"""Responses to concepts: one number for every stimulus and voxel, without a course in time."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest
from brainalign.study import SIMULATED, VOXEL_COLUMNS, kept_voxels, voxel_coordinates

#: How a concept is presented: as a word in a sentence, beside a picture, among related words.
PARADIGMS = ("sentences", "pictures", "word_clouds")
HALVES = (1, 2)


@dataclass(frozen=True)
class ConceptResponses:
    """Responses of several participants to the same concepts in three paradigms.

    Attributes
    ----------
    name : str
        "concepts-testbed".
    subjects, concepts : tuple of str
        Participants, and concepts in the order of the responses.
    voxels : pandas.DataFrame
        As of `study.Study`: `x`, `y`, `z` (mm, MNI), `hemisphere`, `roi`, `parcel`.
    load : callable
        Takes a participant and a paradigm, gives shape (stimuli, concepts, voxels), float32; NaN
        for stimuli that were not shown and voxels that were not covered. Called when the responses
        are asked for, so that no more than one paradigm of one participant need be in memory.
    fingerprint : str
        Identifies the data: it changes when they do.
    halves : numpy.ndarray or None
        Half of the stimuli, 1 or 2, that each belongs to; shape (paradigms, stimuli, concepts), 0
        where there is no such stimulus. None where there is one mean response to each concept.
    stimuli : pandas.DataFrame or None
        One row per stimulus: `paradigm`, `concept`, `stimulus` (from 1) and `text`, the words that
        it shows.
    selectivity : callable or None
        Takes a participant, gives the contrast of sentences and nonwords, shape (voxels,), from
        runs of its own.
    mask : nibabel image or None
        The voxels' mask.
    paradigms : tuple of str
        In the order of the responses.
    simulated : bool
        Whether the responses were made by a program; every figure then says so.
    truth : xarray.Dataset or None
        What a simulated study knows of itself.
    options : dict
        What the study was loaded with.
    licence, citation : str
        Of the data.
    """

    name: str
    subjects: tuple[str, ...]
    concepts: tuple[str, ...]
    voxels: pd.DataFrame = field(repr=False)
    load: Callable[[str, str], np.ndarray] = field(repr=False)
    fingerprint: str
    halves: np.ndarray | None = field(default=None, repr=False)
    stimuli: pd.DataFrame | None = field(default=None, repr=False)
    selectivity: Callable[[str], np.ndarray] | None = field(default=None, repr=False)
    mask: object | None = field(default=None, repr=False)
    paradigms: tuple[str, ...] = PARADIGMS
    simulated: bool = False
    truth: xr.Dataset | None = field(default=None, repr=False)
    options: dict = field(default_factory=dict)
    licence: str = ""
    citation: str = ""

    def __post_init__(self):
        if missing := set(VOXEL_COLUMNS) - set(self.voxels.columns):
            raise InputError(f"The voxel table of study {self.name!r} lacks {sorted(missing)}.")
        if set(self.paradigms) != set(PARADIGMS):
            raise InputError(
                f"Study {self.name!r} has the paradigms {', '.join(self.paradigms)}; "
                f"{', '.join(PARADIGMS)} are expected."
            )

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return len(self.voxels)

    @property
    def source(self) -> str:
        """Whose responses they are, for the stamp of a figure."""
        return SIMULATED if self.simulated else f"{len(self.subjects)} measured participants"

    def responses(self, subject: str, paradigm: str) -> xr.DataArray:
        """Responses of one participant to every stimulus of a paradigm.

        Parameters
        ----------
        subject, paradigm
            One of `subjects`, one of `paradigms`.

        Returns
        -------
        xarray.DataArray
            Dims (stimulus, concept, voxel), float32, with `concept` and the voxel table as
            coordinates; NaN for stimuli that were not shown and voxels that were not covered.

        Raises
        ------
        InputError
            For a participant or a paradigm that the study does not have, responses of another
            shape, and a voxel that is covered in some of the stimuli only.
        """
        self._check_names(subject, paradigm)
        values = np.asarray(self.load(subject, paradigm), dtype=np.float32)
        n_stimuli = values.shape[0] if self.halves is None else self.halves.shape[1]
        expected = (n_stimuli, len(self.concepts), self.n_voxels)
        if values.shape != expected:
            raise InputError(
                f"Responses of {subject!r} to {paradigm} have shape {values.shape}; {expected} "
                "(stimuli, concepts, voxels) is expected."
            )
        self._check_coverage(values, f"Responses of {subject!r} to {paradigm}")
        coords = {"concept": list(self.concepts), **voxel_coordinates(self.voxels)}
        return xr.DataArray(values, dims=("stimulus", "concept", "voxel"), coords=coords)

    def concept_means(self, subject: str) -> xr.DataArray:
        """Mean response of one participant to every concept.

        Parameters
        ----------
        subject
            One of `subjects`.

        Returns
        -------
        xarray.DataArray
            Dims (paradigm, concept, voxel), float32: the mean over all stimuli shown; NaN for
            voxels that were not covered.

        Raises
        ------
        InputError
            As `responses`, and for a concept that was never shown.
        """
        return self._means(subject, (None,)).isel(half=0, drop=True)

    def half_means(self, subject: str) -> xr.DataArray:
        """Mean response of one participant to every concept in each half of the stimuli.

        Parameters
        ----------
        subject
            One of `subjects`.

        Returns
        -------
        xarray.DataArray
            Dims (paradigm, half, concept, voxel), float32.

        Raises
        ------
        InputError
            As `responses`; for a study without single stimuli, and for a half in which a concept
            was not shown.
        """
        if self.halves is None:
            raise InputError(
                f"Study {self.name!r} has one mean response to each concept; halves need responses "
                "to single stimuli."
            )
        return self._means(subject, HALVES)

    def _means(self, subject: str, halves: tuple[int | None, ...]) -> xr.DataArray:
        """Means over all stimuli (None) or one half, dims (paradigm, half, concept, voxel)."""
        shape = (len(self.paradigms), len(halves), len(self.concepts), self.n_voxels)
        means = np.empty(shape, dtype=np.float32)
        # Paradigm by paradigm: the single stimuli of a whole brain take gigabytes.
        for number, paradigm in enumerate(self.paradigms):
            values = self.responses(subject, paradigm).to_numpy()
            seen = np.isfinite(values).any(axis=2)
            for place, half in enumerate(halves):
                what = f"{paradigm} of {subject!r}"
                if half is None:
                    means[number, place] = self._mean(values, seen, what)
                else:
                    own = seen & (self.halves[number] == half)
                    means[number, place] = self._mean(values, own, f"half {half} of the {what}")
        coords = {
            "paradigm": list(self.paradigms),
            "half": list(halves),
            "concept": list(self.concepts),
            **voxel_coordinates(self.voxels),
        }
        return xr.DataArray(means, coords, ("paradigm", "half", "concept", "voxel"))

    def _mean(self, values: np.ndarray, seen: np.ndarray, what: str) -> np.ndarray:
        """Mean over the stimuli that are `seen`, (stimuli, concepts); shape (concepts, voxels)."""
        count = seen.sum(axis=0)
        if not count.all():
            concept = self.concepts[int(count.argmin())]
            raise InputError(f"There is no response to {concept!r} in {what}; one is expected.")
        total = np.zeros(values.shape[1:], dtype=np.float32)
        for response, there in zip(values, seen, strict=True):
            total[there] += response[there]
        return total / count[:, None]

    def _check_names(self, subject: str, paradigm: str) -> None:
        for kind, value, known in (
            ("participant", subject, self.subjects),
            ("paradigm", paradigm, self.paradigms),
        ):
            if value not in known:
                raise InputError(
                    f"Study {self.name!r} has no {kind} {value!r}; it has {', '.join(known)}."
                )

    @staticmethod
    def _check_coverage(values: np.ndarray, what: str) -> None:
        finite = np.isfinite(values)
        count, seen = finite.sum(axis=(0, 1)), finite.any(axis=2).sum()
        partly = np.flatnonzero((count > 0) & (count < seen))
        if len(partly):
            voxel = partly[0]
            raise InputError(
                f"{what} are finite for {count[voxel]} of {seen} stimuli in voxel {voxel}; a voxel "
                "with numbers for all stimuli shown, or for none, is expected."
            )


def select_voxels(study: ConceptResponses, keep: np.ndarray) -> ConceptResponses:
    """The same responses in only some of the voxels.

    Parameters
    ----------
    study
        Any responses to concepts.
    keep
        Shape (voxels,), bool.

    Returns
    -------
    ConceptResponses
        With another fingerprint, without a mask, and with the truth of the voxels kept.

    Raises
    ------
    InputError
        If `keep` does not have one value for each voxel.
    """
    keep = kept_voxels(study.name, study.n_voxels, keep)
    known = study.selectivity
    return replace(
        study,
        voxels=study.voxels[keep].reset_index(drop=True),
        load=lambda subject, paradigm: study.load(subject, paradigm)[..., keep],
        selectivity=None if known is None else lambda subject: known(subject)[keep],
        fingerprint=digest([study.fingerprint, np.flatnonzero(keep).tolist()]),
        mask=None,
        truth=None if study.truth is None else study.truth.isel(voxel=keep),
    )
