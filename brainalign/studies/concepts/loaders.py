"""Responses to concepts from files: Pereira et al.'s release, and folders of single-trial betas."""

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import digest
from brainalign.studies.concepts.design import half_array, read_splits, read_trials
from brainalign.studies.concepts.responses import PARADIGMS, ConceptResponses
from brainalign.studies.images import read_mask, voxel_table

if TYPE_CHECKING:
    from nibabel import Nifti1Image

# Paradigm in the file names of Pereira et al.
_RELEASED = {"sentences": "sentences", "pictures": "pictures", "word_clouds": "wordclouds"}
_KINDS = (".nii", ".nii.gz", ".npy")


def read_pereira(
    folder: Path | str, affine: np.ndarray, subjects: tuple[str, ...] | None = None
) -> ConceptResponses:
    """Mean responses to concepts in the layout that Pereira et al. (2018) released.

    Parameters
    ----------
    folder
        With `<participant>/data_180concepts_{sentences,pictures,wordclouds}.mat`: `examples`
        (concepts, voxels), `keyConcept` and `meta` with `colToCoord` (voxels, 3; indices from 1)
        and `dimensions`.
    affine
        Of the grid that the indices are on, which the files do not hold; shape (4, 4).
    subjects
        Participants; by default all that have a folder.

    Returns
    -------
    ConceptResponses
        In every voxel that at least one participant has; NaN in those that one does not have.

    Raises
    ------
    InputError
        For a paradigm that is missing, files that are not of this layout, and concepts or voxels
        that differ between the files.
    """
    folder = Path(folder)
    found = sorted(path.parent.name for path in folder.glob("*/data_180concepts_sentences.mat"))
    subjects = tuple(found) if subjects is None else subjects
    if not subjects:
        raise InputError(f"{folder} has no <participant>/data_180concepts_sentences.mat.")
    paths = {(s, p): _released_path(folder, s, p) for s in subjects for p in PARADIGMS}
    heads = {key: _read_head(path) for key, path in paths.items()}
    first = next(iter(heads.values()))
    for (subject, _), path in paths.items():
        _check_head(path, heads[subject, _], first, heads[subject, PARADIGMS[0]])
    concepts, shape, _ = first
    mask = _union_mask([heads[subject, PARADIGMS[0]][2] for subject in subjects], shape, affine)
    number = np.cumsum(mask.get_fdata().ravel() > 0).reshape(shape) - 1

    def load(subject: str, paradigm: str) -> np.ndarray:
        path, places = paths[subject, paradigm], heads[subject, paradigm][2]
        examples = _read_mat(path, ("examples",))["examples"]
        if examples.shape != (len(concepts), len(places)):
            raise InputError(
                f"{path} has examples of shape {examples.shape}; {(len(concepts), len(places))} "
                "(concepts, voxels) is expected."
            )
        values = np.full((1, len(concepts), int(number.max()) + 1), np.nan, dtype=np.float32)
        values[0][:, number[tuple(places.T)]] = examples
        return values

    return ConceptResponses(
        name="pereira",
        subjects=subjects,
        concepts=concepts,
        voxels=voxel_table(mask, {}),
        load=load,
        fingerprint=_files_digest(paths.values(), affine.tolist()),
        mask=mask,
    )


def _released_path(folder: Path, subject: str, paradigm: str) -> Path:
    path = folder / subject / f"data_180concepts_{_RELEASED[paradigm]}.mat"
    if not path.is_file():
        raise InputError(f"{path} is not there; one file for each of three paradigms is expected.")
    return path


def _read_mat(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Variables of a MATLAB file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path, variable_names=names, squeeze_me=True)
        return {name: content[name] for name in names}
    except (MatReadError, NotImplementedError, KeyError, ValueError, TypeError, OSError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise InputError(
            f"{path} cannot be read as a MATLAB file with {' and '.join(names)} ({reason})."
        ) from error


def _read_head(path: Path) -> tuple[tuple[str, ...], tuple[int, ...], np.ndarray]:
    """Concepts, shape of the grid, and places of the voxels on it, (voxels, 3), from 0."""
    content = _read_mat(path, ("keyConcept", "meta"))
    try:
        concepts = tuple(str(concept) for concept in np.atleast_1d(content["keyConcept"]))
        meta = content["meta"]
        shape = tuple(int(size) for size in meta["dimensions"].item())
        places = np.atleast_2d(meta["colToCoord"].item()).astype(int) - 1
    except (IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise InputError(f"{path} lacks meta.colToCoord or meta.dimensions ({reason}).") from error
    if places.shape[1:] != (3,) or (places < 0).any() or (places >= shape).any():
        raise InputError(
            f"{path} has voxels outside of its grid of {shape}; indices from 1 are expected."
        )
    return concepts, shape, places


def _check_head(path: Path, head: tuple, first: tuple, own: tuple) -> None:
    """Refuse other concepts or another grid than the first file's, other voxels than one's own."""
    if len(head[0]) != len(first[0]):
        raise InputError(f"{path} has {len(head[0])} concepts; {len(first[0])} are expected.")
    for row, (concept, expected) in enumerate(zip(head[0], first[0], strict=True)):
        if concept != expected:
            raise InputError(
                f"{path} has {concept!r} in row {row + 1} of keyConcept; {expected!r}, as in the "
                "other files, is expected."
            )
    if head[1] != first[1] or not np.array_equal(head[2], own[2]):
        raise InputError(
            f"{path} has another grid or other voxels than the participant's sentences; the same "
            "are expected."
        )


def _union_mask(
    places: list[np.ndarray], shape: tuple[int, ...], affine: np.ndarray
) -> "Nifti1Image":
    from nibabel import Nifti1Image

    inside = np.zeros(shape, dtype=np.uint8)
    for voxels in places:
        inside[tuple(voxels.T)] = 1
    return Nifti1Image(inside, affine)


def read_betas(folder: Path | str) -> ConceptResponses:
    """Responses to single stimuli, as images or as arrays.

    Parameters
    ----------
    folder
        With, for every participant and paradigm, `<participant>_<paradigm>.nii`, `.nii.gz` or
        `.npy` of shape (i, j, k, trials) and `stimuli_order_<participant>_<paradigm>.csv`; for
        every paradigm `split_<paradigm>.csv` (both as Ryskina et al. have them); and
        `mask.nii.gz` or `mask.nii`. An array is one of plain numbers: GLMsingle's own files are
        pickled, and its `betasmd` is to be saved on its own.

    Returns
    -------
    ConceptResponses
        In the voxels of the mask; betas are read when they are asked for.

    Raises
    ------
    InputError
        For a file that is missing or of another shape or orientation, a paradigm that is missing, an
        empty half, and a stimulus that belongs to no half.
    """
    folder = Path(folder)
    mask = read_mask(_existing(folder, "mask", (".nii.gz", ".nii")))
    splits = read_splits({p: _existing(folder, f"split_{p}", (".csv",)) for p in PARADIGMS})
    concepts = tuple(sorted(set(splits["concept"])))
    halves = half_array(splits, concepts)
    prefix, suffix = "stimuli_order_", f"_{PARADIGMS[0]}"
    orders = sorted(folder.glob(f"{prefix}*{suffix}.csv"))
    subjects = tuple(path.stem[len(prefix) : -len(suffix)] for path in orders)
    if not subjects:
        raise InputError(f"{folder} has no {prefix}<participant>{suffix}.csv.")
    trials = {
        (subject, paradigm): _located(folder, subject, paradigm, concepts, halves)
        for subject in subjects
        for paradigm in PARADIGMS
    }
    betas = {key: _existing(folder, f"{key[0]}_{key[1]}", _KINDS) for key in trials}

    def load(subject: str, paradigm: str) -> np.ndarray:
        stimulus, concept = trials[subject, paradigm]
        found = _read_trial_betas(betas[subject, paradigm], mask, len(stimulus))
        values = np.full((*halves.shape[1:], found.shape[1]), np.nan, dtype=np.float32)
        values[stimulus, concept] = found
        return values

    return ConceptResponses(
        name="betas",
        subjects=subjects,
        concepts=concepts,
        voxels=voxel_table(mask, {}),
        load=load,
        fingerprint=_files_digest(sorted(path for path in folder.iterdir() if path.is_file())),
        halves=halves,
        mask=mask,
    )


def _existing(folder: Path, stem: str, kinds: tuple[str, ...]) -> Path:
    """The one file of this name and one of these kinds."""
    found = [folder / f"{stem}{kind}" for kind in kinds if (folder / f"{stem}{kind}").is_file()]
    if len(found) != 1:
        raise InputError(
            f"{folder} has {len(found)} files {stem} ({' or '.join(kinds)}); one is expected."
        )
    return found[0]


def _located(
    folder: Path, subject: str, paradigm: str, concepts: tuple[str, ...], halves: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Stimulus and concept of each trial, as indices from 0."""
    path = _existing(folder, f"stimuli_order_{subject}_{paradigm}", (".csv",))
    trials = read_trials(path)
    concept = pd.Index(concepts).get_indexer(trials["concept"])
    stimulus = trials["stimulus"].to_numpy() - 1
    own = halves[PARADIGMS.index(paradigm)]
    known = (concept >= 0) & (stimulus < len(own))
    known[known] = own[stimulus[known], concept[known]] > 0
    if not known.all():
        trial = trials[~known].iloc[0]
        raise InputError(
            f"{path} has stimulus {trial['stimulus']} of {trial['concept']!r}, which "
            f"split_{paradigm}.csv puts into no half."
        )
    return stimulus, concept


def _read_trial_betas(path: Path, mask: "Nifti1Image", n_trials: int) -> np.ndarray:
    """Betas inside a mask, (trials, voxels)."""
    from nibabel.filebasedimages import ImageFileError

    inside = mask.get_fdata() > 0
    expected = (*inside.shape, n_trials)
    try:
        betas = _open(path, mask.affine)
        if betas.shape == expected:
            return _masked(betas, inside)
    except (ImageFileError, OSError, EOFError, ValueError, zlib.error) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as a complete {'array' if _is_array(path) else 'image'} of "
            f"plain numbers ({reason})."
        ) from error
    raise InputError(
        f"{path} has shape {betas.shape}; {expected}, the mask's and the number of trials in "
        "their table, is expected."
    )


def _is_array(path: Path) -> bool:
    return path.suffix == ".npy"


def _open(path: Path, affine: np.ndarray) -> Any:
    """An array or an image that is still on the disk."""
    from nibabel import Nifti1Image

    if _is_array(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)
    # The file stays open: a compressed one would be read from its start for every trial.
    image = Nifti1Image.from_filename(path, keep_file_open=True)
    if not np.allclose(image.affine, affine):
        raise InputError(
            f"{path} has the affine {image.affine.tolist()}; {affine.tolist()}, that of the mask, "
            "is expected."
        )
    return image.dataobj


def _masked(betas: Any, inside: np.ndarray) -> np.ndarray:
    if isinstance(betas, np.ndarray):
        return betas[inside].T.astype(np.float32)
    # Trial by trial, as an image lies on the disk: a whole one takes gigabytes.
    trials = (np.asarray(betas[..., trial])[inside] for trial in range(betas.shape[-1]))
    return np.stack(list(trials)).astype(np.float32)


def _files_digest(paths: Any, *more: Any) -> str:
    """Identity of files by name, size and time: the contents may be a hundred gigabytes."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return digest([stats, *more])
