"""Alice in Wonderland: fMRI of 27 listeners to the first chapter (Brennan et al. 2016).

Six regions, of which only the anterior temporal lobe is there on both sides; one run of 362 scans.
"""

import warnings
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.studies.options import make_config
from brainalign.studies.registry import data_files, terms, verified_paths
from brainalign.study import Run, Study
from brainalign.words import check_words

SOURCES = (
    "study",
    "drift",
    "studies/alice",
    "studies/registry",
    "words",
)

#: Columns of the response files, which have no header: hemisphere and region.
REGIONS = ("LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG")
TR = 2.0
N_SCANS = 362
#: Seconds of the sound file before the first scan.
START = 20.0
#: Scans at the start of the movement files that the responses lack.
DISCARDED = 10
CONFOUNDS = ("movement", "sound power")

_RESPONSES = "alice_data_shared/6mm/{}-timecourses.txt"
_PAUSES = ("", "sp")
# All responses of this listener are zero.
_EMPTY_LISTENERS = {"s33"}


@dataclass(frozen=True)
class AliceConfig:
    """How the study is cut and cleaned.

    Attributes
    ----------
    high_pass : float or None
        Cut-off in Hz of the drifts that are removed; None removes none.
    n_folds : int
        Contiguous stretches that the run is cut into for cross-validation.
    gap : int
        Scans dropped between two stretches.
    confounds : tuple of str
        Regressed out of every listener's responses: "movement" (six parameters), "sound power".
    """

    high_pass: float | None = 1 / 240
    n_folds: int = 6
    gap: int = 8
    confounds: tuple[str, ...] = ()

    def __post_init__(self):
        if unknown := set(self.confounds) - set(CONFOUNDS):
            raise InputError(
                f"confounds has {sorted(unknown)[0]!r}; {' and '.join(map(repr, CONFOUNDS))} are "
                "there."
            )


def configure(**options) -> AliceConfig:
    """Configuration with some values changed.

    Raises
    ------
    InputError
        For an option or a confound that the study does not have, or a value of another type.
    """
    if isinstance(options.get("confounds"), str):
        options["confounds"] = (options["confounds"],)
    return make_config(AliceConfig, "alice", options)


def fingerprint(**options) -> str:
    """Identity of the study that `load` would make, without reading any file."""
    checksums = [file.checksum for file in data_files("alice")]
    config = asdict(configure(**options))
    return digest(["alice", config, checksums, source_digest(SOURCES)])


def load(**options) -> Study:
    """Read the words; responses are read when they are asked for.

    Parameters
    ----------
    **options
        Fields of `AliceConfig`.

    Returns
    -------
    Study
        Its six "voxels" are regions: `roi` is "ATL", "PTL", "IPL", "PreM" or "IFG", `parcel` the
        name in the data, such as "LATL".

    Raises
    ------
    InputError
        For an unknown option, and for files that are missing or not what they should be.
    """
    config = configure(**options)
    paths = verified_paths("alice")
    words = read_words(_find(paths, "alice_stim_shared/", ".TextGrid"))
    subjects = {Path(name).name.partition("-")[0] for name in paths if "/6mm/" in name}
    licence, citation = terms("alice")
    run = Run(
        words=words,
        text=join_words(words["word"]),
        n_scans=N_SCANS,
        load=lambda subject: read_responses(_find(paths, _RESPONSES.format(subject))),
        confounds=partial(_confounds, paths, config.confounds) if config.confounds else None,
    )
    return Study(
        name="alice",
        language="en",
        runs=(run,),
        subjects=tuple(sorted(subjects - _EMPTY_LISTENERS)),
        tr=TR,
        voxels=_region_table(),
        trim=(0, 0),
        fingerprint=fingerprint(**options),
        high_pass=config.high_pass,
        n_folds=config.n_folds,
        gap=config.gap,
        known_confounds=CONFOUNDS,
        options=options,
        licence=licence,
        citation=citation,
    )


def _find(paths: dict[str, Path], part: str, end: str = ".txt") -> Path:
    """The one file whose path has this part and this end."""
    return next(path for name, path in paths.items() if part in name and name.endswith(end))


def _region_table() -> pd.DataFrame:
    names = pd.Series(REGIONS)
    table = pd.DataFrame(np.nan, index=names.index, columns=["x", "y", "z"])
    return table.assign(hemisphere=names.str[0], roi=names.str[1:], parcel=names)


def read_words(path: Path) -> pd.DataFrame:
    """Words and their times from the hand-corrected alignment.

    Parameters
    ----------
    path
        A TextGrid with a tier "word".

    Returns
    -------
    pandas.DataFrame
        Columns `word`, `onset`, `offset` (seconds from the first scan), without the pauses.

    Raises
    ------
    InputError
        For a file that is no TextGrid or lacks the tier, or whose intervals go backwards.
    """
    # praatio's own Textgrid would put the intervals into the order of time.
    from praatio.utilities.errors import PraatioException
    from praatio.utilities.textgrid_io import parseTextgridStr

    try:
        tiers = parseTextgridStr(path.read_text(encoding="utf-8"))["tiers"]
        entries = {tier["name"]: tier["entries"] for tier in tiers}["word"]
        times = [(label, float(start), float(end)) for start, end, label in entries]
    except (PraatioException, ValueError, LookupError, TypeError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())
        raise InputError(
            f"{path} cannot be read as a TextGrid with a tier 'word' ({reason})."
        ) from error
    table = pd.DataFrame(times, columns=["word", "onset", "offset"])
    table[["onset", "offset"]] -= START
    check_words(table, str(path))
    return table[~table["word"].isin(_PAUSES)].reset_index(drop=True)


def join_words(words: pd.Series) -> str:
    """Words as a text: blanks between them, but none before "'s" and "n't"."""
    clitic = words.str.startswith("'") | (words == "n't")
    return "".join(np.where(clitic, words, " " + words)).strip()


def read_columns(path: Path, names: tuple[str, ...], n_rows: int = N_SCANS) -> np.ndarray:
    """Read a text file of numbers without header.

    Parameters
    ----------
    path
        The file.
    names
        What each column is.
    n_rows
        Rows expected.

    Returns
    -------
    numpy.ndarray
        Shape (n_rows, columns), float32.

    Raises
    ------
    InputError
        Naming the file, and the column where one holds something else than finite numbers that
        vary.
    """
    try:
        # numpy warns of an empty file; below it is an error.
        with warnings.catch_warnings(action="ignore"):
            values = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except ValueError as error:
        raise InputError(f"{path} is not a table of numbers ({error}).") from error
    if values.shape != (n_rows, len(names)):
        raise InputError(
            f"{path} has {values.shape[0]} rows and {values.shape[1]} columns; {n_rows} rows and "
            f"{len(names)} column(s) are expected."
        )
    for name, column in zip(names, values.T, strict=True):
        wrong = np.flatnonzero(~np.isfinite(column))
        if len(wrong):
            raise InputError(
                f"{path} has {column[wrong[0]]} in row {wrong[0] + 1} of column {name}; finite "
                "numbers are expected."
            )
        if np.ptp(column) == 0:
            raise InputError(
                f"{path} has {column[0]:g} in all rows of column {name}; numbers that vary are "
                "expected."
            )
    return values


def read_responses(path: Path) -> np.ndarray:
    """Responses of one listener, (scans, regions), see `read_columns`."""
    return read_columns(path, REGIONS)


def _confounds(paths: dict[str, Path], chosen: tuple[str, ...], subject: str) -> np.ndarray:
    """Confounds of one listener, (scans, confounds)."""
    found = []
    if "movement" in chosen:
        path = _find(paths, f"alice_data_shared/{subject}-rp_")
        names = tuple(f"{number} (movement)" for number in range(1, 7))
        found.append(read_columns(path, names, N_SCANS + DISCARDED)[DISCARDED:])
    if "sound power" in chosen:
        path = _find(paths, f"alice_data_shared/{subject}-sndpwr")
        found.append(read_columns(path, ("1 (sound power)",)))
    return np.hstack(found)
