"""What a user's own study says of itself in study.yml, and the files that fit it.

Nothing but study.yml is opened here.
"""

import json
import re
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from brainalign.errors import InputError
from brainalign.studies.yaml_text import read_mapping
from brainalign.study import AVERAGE

FILE = "study.yml"
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
# Labels as BIDS has them.
_LABEL = "[A-Za-z0-9]+"


class Description(BaseModel):
    """What study.yml says; paths are below its folder.

    Attributes
    ----------
    name, language : str
        For headings; "en".
    tr : float
        Repetition time in seconds.
    images : str
        Pattern of the preprocessed images, with `{subject}` and, unless there is one run, `{run}`.
    words : str
        Pattern of the tables of words, one for each run, with `{run}`: TSV or CSV with the columns
        word, onset, and offset or duration, in seconds from the first scan.
    text : str or None
        Pattern of the texts, with `{run}`: the passage with its punctuation. None joins the words.
    mask : str or None
        Of the brain, on the grid that images are brought to; None finds one that all listeners
        have in common, on the grid of 4 mm of *Le Petit Prince*.
    regions : str or None
        Folder with a mask for each region in the left hemisphere, on that grid; the right one is
        its mirror image.
    trim : tuple of int
        Scans left out at the start and at the end of every run.
    high_pass : float or None
        In Hz; slower drifts are removed, with a line. None removes none.
    smoothing : float or None
        Width of the kernel in mm (full width at half maximum).
    n_scans : tuple of int or None
        Scans of every run; None takes those of the first listener for all.
    n_folds, gap : int
        See `Study`: for a single run, which is cut into so many stretches.
    licence, citation : str
        Of the data.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    name: Annotated[str, Field(min_length=1)]
    language: Annotated[str, Field(min_length=2)]
    tr: Annotated[float, Field(gt=0)]
    images: str
    words: str
    text: str | None = None
    mask: str | None = None
    regions: str | None = None
    trim: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = (0, 0)
    high_pass: Annotated[float, Field(gt=0)] | None = 1 / 128
    smoothing: Annotated[float, Field(gt=0)] | None = None
    n_scans: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    n_folds: Annotated[int, Field(ge=1)] | None = None
    gap: Annotated[int, Field(ge=0)] = 0
    licence: str = ""
    citation: str = ""


@dataclass(frozen=True)
class Files:
    """What was found below the folder.

    Attributes
    ----------
    images : dict
        (listener, index of the run) -> path.
    subjects, runs : tuple of str
        Labels in the paths, numbers by their size.
    words, texts : tuple of pathlib.Path
        One for each run; no texts where the words are joined.
    regions : dict
        Name -> path.
    """

    images: dict[tuple[str, int], Path]
    subjects: tuple[str, ...]
    runs: tuple[str, ...]
    words: tuple[Path, ...]
    texts: tuple[Path, ...]
    regions: dict[str, Path]


def study_folder(path: str) -> Path:
    """Folder of a study that is named by its path."""
    return Path(path).expanduser()


def read_description(path: str) -> Description:
    """Read study.yml; no other file is looked at.

    Parameters
    ----------
    path
        Of the folder.

    Returns
    -------
    Description

    Raises
    ------
    InputError
        For a folder without the file, and for a key that is unknown, missing or of another type.
    """
    file = study_folder(path) / FILE
    if not file.is_file():
        raise InputError(f"There is no file {file}, which would make the folder {path!r} a study.")
    values = read_mapping(file, "study file")
    try:
        # In JSON, strict types take lists for tuples, but never "1" for 1.
        return Description.model_validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise InputError(_sentence(file, values, error.errors()[0])) from error


def _sentence(file: Path, values: dict, detail: dict) -> str:
    """What is wrong with a key of study.yml."""
    key, *inside = map(str, detail["loc"])
    if detail["type"] == "missing" and not inside:
        return f"{file} lacks the key {key!r}."
    if detail["type"] == "extra_forbidden":
        known = ", ".join(Description.model_fields)
        return f"{file} has the unknown key {key!r}; known keys are {known}."
    reason = "more values are expected" if detail["type"] == "missing" else detail["msg"].lower()
    return f"{file}: {key} is {values[key]!r}; {reason}."


def _check_pattern(file: Path, key: str, pattern: str, allowed: set[str], needed: set[str]) -> None:
    found = set(_PLACEHOLDER.findall(pattern))
    if Path(pattern).is_absolute() or found - allowed or needed - found:
        names = " and ".join("{" + name + "}" for name in sorted(allowed, reverse=True))
        raise InputError(
            f"{file}: {key} is {pattern!r}; a path below the folder with {names or 'no braces'} is "
            "expected."
        )


def _filled(pattern: str, labels: dict[str, str]) -> str:
    """The path that a pattern gives for one listener and run."""
    return _PLACEHOLDER.sub(lambda match: labels[match[1]], pattern)


def _matches(folder: Path, pattern: str) -> dict[tuple[str, str], Path]:
    """Files that fit a pattern, by the labels of listener and run ("" where it has none)."""
    parts = _PLACEHOLDER.split(pattern)
    glob, regex, seen = "", "", set()
    for place, part in enumerate(parts):
        if place % 2 == 0:
            glob, regex = glob + escape(part), regex + re.escape(part)
        else:
            glob += "*"
            regex += f"(?P={part})" if part in seen else f"(?P<{part}>{_LABEL})"
            seen.add(part)
    found = {}
    for path in folder.glob(glob):
        if match := re.fullmatch(regex, path.relative_to(folder).as_posix()):
            labels = match.groupdict()
            found[labels["subject"], labels.get("run", "")] = path
    return found


def _by_number(label: str) -> tuple:
    """Key that sorts numbers by their size, before other labels."""
    return (0, int(label), label) if label.isdigit() else (1, 0, label)


def find_files(path: str) -> Files:
    """Find listeners, runs and the files of both from the patterns of study.yml.

    Parameters
    ----------
    path
        Of the folder.

    Returns
    -------
    Files

    Raises
    ------
    InputError
        For a pattern that lacks its placeholders, that no file fits, or that a listener or a run
        has no file for.
    """
    told, folder = read_description(path), study_folder(path)
    file = folder / FILE
    several = "{run}" in told.images
    of_run = {"run"} if several else set()
    _check_pattern(file, "images", told.images, {"subject", "run"}, {"subject"})
    _check_pattern(file, "words", told.words, of_run, of_run)
    found = _matches(folder, told.images)
    if not found:
        raise InputError(f"{file}: images is {told.images!r}; no file below the folder fits it.")
    subjects, runs = (
        tuple(sorted({labels[place] for labels in found}, key=_by_number)) for place in (0, 1)
    )
    if AVERAGE in subjects:
        raise InputError(
            f"{file}: images has a listener called {AVERAGE!r}, as the average of all is called; "
            "another label is expected."
        )
    for subject in subjects:
        for run in runs:
            if (subject, run) not in found:
                wanted = _filled(told.images, {"subject": subject, "run": run})
                raise InputError(
                    f"{file}: there is no {wanted}; every listener needs images of every run."
                )
    texts = ()
    if told.text is not None:
        _check_pattern(file, "text", told.text, of_run, of_run)
        texts = _per_run(file, "text", told.text, runs)
    return Files(
        {(subject, runs.index(run)): where for (subject, run), where in found.items()},
        subjects,
        runs,
        _per_run(file, "words", told.words, runs),
        texts,
        _region_files(file, told.regions),
    )


def _per_run(file: Path, key: str, pattern: str, runs: tuple[str, ...]) -> tuple[Path, ...]:
    paths = tuple(file.parent / _filled(pattern, {"run": run}) for run in runs)
    for path in paths:
        if not path.is_file():
            raise InputError(f"{file}: {key} is {pattern!r}; there is no file {path}.")
    return paths


def _region_files(file: Path, name: str | None) -> dict[str, Path]:
    if name is None:
        return {}
    paths = sorted((file.parent / name).glob("*.nii*"))
    if not paths:
        raise InputError(f"{file}: regions is {name!r}; a folder with masks (.nii.gz) is expected.")
    return {path.name.partition(".nii")[0]: path for path in paths}
