"""Preprocessed images of listeners, prepared once and kept: on one grid, and cleaned in a mask.

The cache folder holds, below `prepared/<study>/<listener>/`, the images of each run on the study's
grid (`.nii.gz`, and the voxels that are brain in them) and the cleaned responses of a mask's voxels
(`.npy`). Each file has its name from when it is complete, with a key of all that decides what is in
it, so that a call that was interrupted continues.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, file_sha256, source_digest
from brainalign.parallel import map_processes
from brainalign.studies.cleaning import check_filter, clean
from brainalign.studies.grid import Grid, brain_mask, common_mask, resample
from brainalign.studies.images import read_image, read_mask
from brainalign.study import AVERAGE, standardise

if TYPE_CHECKING:
    from nibabel import Nifti1Image

# Modules whose source decides what the files hold.
_RESAMPLED = ("studies/grid",)
_CLEANED = ("studies/cleaning", "studies/preparation", "study")
# Responses that are asked for from several threads are cleaned one run at a time, for the memory.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True)
class RunImage:
    """Preprocessed images of one listener in one run.

    Attributes
    ----------
    subject : str
        The listener.
    run : int
        Index of the run.
    checksum : str
        Identifies the content of the file.
    path : pathlib.Path
        Where the file lies, or would lie.
    verify : callable or None
        Gives the path of the file if it is what it should be, or an InputError with what helps.
    """

    subject: str
    run: int
    checksum: str
    path: Path
    verify: Callable[[], Path] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Preparation:
    """Images of a study, and what is to be made of them.

    Attributes
    ----------
    study : str
        What it is called on the command line; the end of it names its part of the cache folder.
    images : tuple of RunImage
        Of all listeners and runs.
    n_scans : tuple of int
        Volumes of each run.
    tr : float
        Repetition time in seconds.
    grid : Grid
        That the images are resampled to.
    mask : pathlib.Path or None
        A mask on the grid; None takes the voxels that are brain in more than half of all series,
        with their mirror images.
    high_pass : float or None
        Cut-off in Hz, see `cleaning.clean`.
    smoothing : float or None
        Full width at half maximum in mm.
    """

    study: str
    images: tuple[RunImage, ...] = field(repr=False)
    n_scans: tuple[int, ...]
    tr: float
    grid: Grid = Grid()
    mask: Path | None = None
    high_pass: float | None = 1 / 128
    smoothing: float | None = None

    def __post_init__(self):
        for n_scans in self.n_scans:
            check_filter(self.high_pass, self.tr, n_scans)
        if self.smoothing is not None and not self.smoothing > 0:
            raise InputError(f"smoothing is {self.smoothing} mm; a positive width is expected.")
        for subject in self.subjects:
            runs = sorted(image.run for image in self.images if image.subject == subject)
            if runs != list(range(len(self.n_scans))):
                raise InputError(
                    f"Listener {subject!r} of study {self.study!r} has images of {len(runs)} "
                    f"run(s); {len(self.n_scans)} are expected, one for each section."
                )

    @property
    def subjects(self) -> tuple[str, ...]:
        """The listeners, in the order of their images."""
        return tuple(dict.fromkeys(image.subject for image in self.images))


def narrowed(preparation: Preparation, subjects: Sequence[str]) -> Preparation:
    """The same for some of the listeners.

    Raises
    ------
    InputError
        For a listener that the study does not have.
    """
    subjects = [name.removeprefix("sub-") for name in subjects]
    if unknown := [name for name in subjects if name not in preparation.subjects]:
        known = preparation.subjects
        listed = ", ".join(known if len(known) < 9 else [*known[:8], f"... ({len(known)} in all)"])
        raise InputError(
            f"Study {preparation.study!r} has no listener {unknown[0]!r}; it has {listed}."
        )
    images = tuple(image for image in preparation.images if image.subject in subjects)
    return replace(preparation, images=images)


def subjects_at_hand(preparation: Preparation) -> tuple[str, ...]:
    """Listeners all of whose images are on this machine."""
    absent = {image.subject for image in preparation.images if not image.path.is_file()}
    return tuple(name for name in preparation.subjects if name not in absent)


def prepared_subjects(preparation: Preparation) -> tuple[str, ...]:
    """Listeners all of whose images are resampled; no file is read."""
    images = preparation.images
    absent = {i.subject for i in images if not _resampled_path(preparation, i).is_file()}
    return tuple(name for name in preparation.subjects if name not in absent)


def require_prepared(preparation: Preparation, images: Sequence[RunImage]) -> None:
    """Refuse images that are not resampled yet.

    Raises
    ------
    InputError
        With the command that does it.
    """
    for image in images:
        if not _resampled_path(preparation, image).is_file():
            raise InputError(
                f"Listener {image.subject!r} of study {preparation.study!r} is not prepared; "
                f"`brainalign prepare {preparation.study} --subjects {image.subject}` does it."
            )


def only_prepared(preparation: Preparation) -> Preparation:
    """The same for the listeners who are prepared.

    Raises
    ------
    InputError
        Where none is.
    """
    if found := prepared_subjects(preparation):
        return narrowed(preparation, found)
    raise InputError(
        f"Study {preparation.study!r} has {len(preparation.subjects)} listener(s), none of whom is "
        f"prepared; `brainalign prepare {preparation.study}` prepares those at hand."
    )


def identity(preparation: Preparation) -> str:
    """Changes when any of the responses would; of all files no more than a mask is read."""
    mask_key = _mask_key(preparation)
    return digest([_cleaned_key(preparation, image, mask_key) for image in preparation.images])


def mask_image(preparation: Preparation) -> "Nifti1Image":
    """The mask that is given, or the one that the resampled images have in common.

    Raises
    ------
    InputError
        For a given mask on another grid, for listeners that are not prepared, and for images that
        have no voxel in common.
    """
    return read_mask(_mask_path(preparation), preparation.grid.shape, preparation.grid.affine)


def responses(preparation: Preparation, run: int, subject: str) -> np.ndarray:
    """Cleaned responses of a listener, or of the average listener, to one run.

    What is asked for first is made from the resampled images and kept.

    Parameters
    ----------
    preparation
        What to make of the images.
    run
        Index of the run.
    subject
        A listener, or "average": the standardised mean of all listeners' standardised responses.

    Returns
    -------
    numpy.ndarray
        Shape (scans, voxels), float32; each voxel with mean 0 and standard deviation 1.

    Raises
    ------
    InputError
        For a listener that the study does not have or that is not prepared.
    """
    if subject == AVERAGE:
        return _average(preparation, run)
    (image,) = (i for i in narrowed(preparation, [subject]).images if i.run == run)
    target = _cleaned_path(preparation, image, _mask_key(preparation))
    if not target.is_file():
        with _ONE_AT_A_TIME:
            _clean_run(preparation, _mask_path(preparation), (image, target))
    return np.load(target)


def _average(preparation: Preparation, run: int) -> np.ndarray:
    target = _folder(preparation, AVERAGE) / f"run-{run + 1}_{identity(preparation)}.npy"
    if not target.is_file():
        first, *others = preparation.subjects
        total = responses(preparation, run, first)
        for subject in others:
            total += responses(preparation, run, subject)
        with atomic_path(target) as temporary:
            np.save(temporary, standardise(total))
    return np.load(target)


def prepare(
    study: str,
    subjects: Sequence[str] = (),
    jobs: int | None = None,
    say: Callable[[str], Any] = print,
    options: Mapping[str, Any] | None = None,
) -> None:
    """Resample the images of listeners, and clean the responses in the study's mask.

    Parameters
    ----------
    study
        Name of a study with images.
    subjects
        Listeners; by default those whose images are on this machine, "all" stands for everybody.
    jobs
        Runs that are prepared side by side; by default one per core.
    say
        Called with a line of text on what was done.
    options
        Of the study: its mask, its smoothing.

    Raises
    ------
    InputError
        For a study without images, an unknown listener, and images that are missing, damaged or
        have another number of volumes.
    """
    from brainalign.studies import study_preparation

    whole = study_preparation(study, **options or {})
    chosen = whole.subjects if "all" in subjects else subjects
    found = subjects_at_hand(whole) or prepared_subjects(whole)
    if not (chosen or found):
        raise InputError(
            f"No listener's images of study {study!r} are on this machine; `brainalign fetch {study} "
            f"--subjects {whole.subjects[0]}` fetches one listener's, `--subjects all` everybody's."
        )
    part = narrowed(whole, chosen or found)
    waiting = [i for i in part.images if not _resampled_path(whole, i).is_file()]
    map_processes(partial(_resample_run, part), waiting, jobs, "resampling")
    # A mask in common is that of all listeners who are there by now.
    ready = only_prepared(whole)
    if whole.mask is None:
        unseen = [image for image in ready.images if not _brain_path(whole, image).is_file()]
        map_processes(partial(_find_brain, ready), unseen, jobs, "finding the brain")
    key, mask = _mask_key(ready), _mask_path(ready)
    pairs = [(image, _cleaned_path(ready, image, key)) for image in ready.images]
    unclean = [(image, path) for image, path in pairs if not path.is_file()]
    map_processes(partial(_clean_run, ready, mask), unclean, jobs, "cleaning")
    n_runs = len(whole.n_scans)
    say(
        f"Study {study!r}: {len(ready.subjects)} of {len(whole.subjects)} listener(s) prepared, "
        f"{n_runs} run(s) each, in {_folder(whole)}; this call resampled {len(waiting)} and cleaned "
        f"{len(unclean)} run(s)."
    )


def _resample_run(preparation: Preparation, image: RunImage) -> None:
    target = _resampled_path(preparation, image)
    path = image.path if image.verify is None else image.verify()
    resampled = resample(path, preparation.grid, preparation.n_scans[image.run])
    with atomic_path(target) as temporary:
        resampled.to_filename(temporary)


def _find_brain(preparation: Preparation, image: RunImage) -> "Nifti1Image":
    """Voxels that are brain in one series of resampled images, found once."""
    path = _brain_path(preparation, image)
    if not path.is_file():
        mask = brain_mask(_read_resampled(preparation, image))
        if not mask.get_fdata().any():
            raise InputError(
                f"Run {image.run + 1} of listener {image.subject!r} of study {preparation.study!r} "
                "has no voxels that stand out as brain; images that keep their mean, or a mask, "
                "are expected."
            )
        with atomic_path(path) as temporary:
            mask.to_filename(temporary)
    return read_mask(path, preparation.grid.shape, preparation.grid.affine)


def _read_resampled(preparation: Preparation, image: RunImage) -> "Nifti1Image":
    require_prepared(preparation, [image])
    grid, n_scans = preparation.grid, preparation.n_scans[image.run]
    return read_image(_resampled_path(preparation, image), (*grid.shape, n_scans), grid.affine)


def _clean_run(preparation: Preparation, mask: Path, work: tuple[RunImage, Path]) -> None:
    image, target = work
    values = clean(
        _read_resampled(preparation, image),
        read_mask(mask, preparation.grid.shape, preparation.grid.affine),
        preparation.tr,
        preparation.high_pass,
        preparation.smoothing,
    )
    with atomic_path(target) as temporary:
        np.save(temporary, values)


def _folder(preparation: Preparation, *names: str) -> Path:
    # A user's own study is named by its path, which may be "." or "..".
    name = Path(preparation.study).resolve().name
    return cache_folder().joinpath("prepared", name, *names)


@cache
def _sources(modules: tuple[str, ...]) -> str:
    return source_digest(modules)


def _resampled_key(preparation: Preparation, image: RunImage) -> str:
    n_scans = preparation.n_scans[image.run]
    return digest([image.checksum, n_scans, asdict(preparation.grid), _sources(_RESAMPLED)])


def _resampled_path(preparation: Preparation, image: RunImage) -> Path:
    name = f"run-{image.run + 1}_{_resampled_key(preparation, image)}.nii.gz"
    return _folder(preparation, image.subject, name)


def _brain_path(preparation: Preparation, image: RunImage) -> Path:
    resampled = _resampled_path(preparation, image)
    return resampled.with_name(resampled.name.replace(".nii.gz", "_mask.nii.gz"))


def _mask_key(preparation: Preparation) -> str:
    if preparation.mask is not None:
        return file_sha256(preparation.mask)
    return digest(["common", *(_resampled_key(preparation, i) for i in preparation.images)])


def _mask_path(preparation: Preparation) -> Path:
    """Path of the mask, made and kept where none is given."""
    if preparation.mask is not None:
        return preparation.mask
    path = _folder(preparation, f"mask_{_mask_key(preparation)}.nii.gz")
    if not path.is_file():
        mask = common_mask([_find_brain(preparation, image) for image in preparation.images])
        with atomic_path(path) as temporary:
            mask.to_filename(temporary)
    return path


def _cleaned_key(preparation: Preparation, image: RunImage, mask_key: str) -> str:
    settings = [preparation.tr, preparation.high_pass, preparation.smoothing]
    resampled = _resampled_key(preparation, image)
    return digest([resampled, mask_key, *settings, _sources(_CLEANED)])


def _cleaned_path(preparation: Preparation, image: RunImage, mask_key: str) -> Path:
    key = _cleaned_key(preparation, image, mask_key)
    return _folder(preparation, image.subject, f"run-{image.run + 1}_{key}.npy")
