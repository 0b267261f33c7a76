"""Files that studies need: where they lie and what they must be.

The tables below `files/` name every file with its size, checksum, source, licence and citation.
`ds003643.csv.gz` lists the corpus of *Le Petit Prince* (Li et al. 2022): all files of release 2.0.7
on OpenNeuro, commit c0766f4b53f37ed44fbb4e044b53530caf354814. Files are looked for below the folder
`BRAINALIGN_DATA` and in the user's cache, at `<collection>/<path at the source>`.
"""

import csv
import gzip
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from brainalign.errors import InputError
from brainalign.files import GIT_BLOB, PACKAGE, data_folders, file_digest
from brainalign.studies.petitprince.languages import LANGUAGES

TABLES = PACKAGE / "studies" / "files"
#: Word vectors, fetched by this name like a study.
GLOVE = "glove"
#: Corpus of *Le Petit Prince*.
CORPUS = "ds003643"
# The English word table comes with another collection.
_WORD_TABLES = [f"annotation/{name}/lpp{name}_word_information.csv" for name in ("FR", "CN")]
# A release's files by path, with colons for slashes; it finds those that were renamed as well.
_RELEASE = f"https://openneuro.org/crn/datasets/{CORPUS}/snapshots/2.0.7/files/"
# An archive of public repositories, which gives out contents by their checksums.
_ARCHIVE = "https://archive.softwareheritage.org/api/1/content/"
_ARCHIVE_NAMES = {"sha256": "sha256", GIT_BLOB: "sha1_git"}


@dataclass(frozen=True)
class DataFile:
    """One public file.

    Attributes
    ----------
    study : str
        Study that reads it.
    collection, path : str
        Folder below the data folder, and the path at the source.
    size : int or None
        In bytes; None where the source does not state it.
    checksum : str
        "sha256:...", "md5:..." or "git-blob-sha1:...", the latter as git names the file.
    url : str
        Address at a fixed commit or version.
    licence, citation : str
        Of the collection.
    option : str
        Option of `brainalign fetch` that asks for it; empty where the study needs it.
    mirrors : tuple of str
        Addresses to ask when the first one does not give the file.
    subject : str or None
        Whom it was recorded from.
    """

    study: str
    collection: str
    path: str
    size: int | None
    checksum: str
    url: str
    licence: str
    citation: str
    option: str = ""
    mirrors: tuple[str, ...] = ()
    subject: str | None = None


def _read_table(name: str) -> list[dict[str, str]]:
    opened = gzip.open if name.endswith(".gz") else open
    with opened(TABLES / name, "rt", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def _collections() -> dict[str, dict[str, str]]:
    return {row["collection"]: row for row in _read_table("collections.csv")}


@cache
def _registry() -> tuple[DataFile, ...]:
    files = []
    for row in _read_table("files.csv"):
        source = _collections()[row["collection"]]
        algorithm, _, digits = row["checksum"].partition(":")
        mirrors = [source["mirror"] + row["path"]] if source["mirror"] else []
        mirrors.append(f"{_ARCHIVE}{_ARCHIVE_NAMES[algorithm]}:{digits}/raw/")
        for study in row["study"].split():
            files.append(
                DataFile(
                    study=study,
                    collection=row["collection"],
                    path=row["path"],
                    size=int(row["size"]) if row["size"] else None,
                    checksum=row["checksum"],
                    url=source["url"] + row["path"],
                    licence=source["licence"],
                    citation=source["citation"],
                    option=row["option"],
                    mirrors=tuple(mirrors),
                )
            )
    return tuple(files)


@cache
def _corpus(study: str) -> tuple[DataFile, ...]:
    language = LANGUAGES.get(study)
    rows = _read_table(f"{CORPUS}.csv.gz") if language else []
    labels = [re.search("(?:sub-|lpp)([A-Z]{2})", row["path"]) for row in rows]
    return tuple(
        _corpus_file(study, row)
        for row, label in zip(rows, labels, strict=True)
        if not label or label[1] == language.label
    )


def _corpus_file(study: str, row: dict[str, str]) -> DataFile:
    source, path = _collections()[CORPUS], row["path"]
    mirrors = [_RELEASE + path.replace("/", ":")]
    if row["earlier_path"]:
        # Its version was noted under the name that it was uploaded with.
        earlier = f"{row['earlier_path']}?versionId={row['earlier_version']}"
        mirrors.insert(0, source["url"] + earlier)
    subject = re.match(r"(derivatives/)?sub-(\w+)/", path)
    option = f"--subjects {subject[2]}" if subject and subject[1] else f"--files {path}"
    if path in _WORD_TABLES:
        option = ""
    return DataFile(
        study=study,
        collection=CORPUS,
        path=path,
        size=int(row["size"]),
        checksum=f"md5:{row['md5']}",
        url=source["url"] + path + (f"?versionId={row['version']}" if row["version"] else ""),
        licence=source["licence"],
        citation=source["citation"],
        option=option,
        mirrors=tuple(mirrors),
        subject=subject[2] if subject else None,
    )


def corpus_files(study: str) -> list[DataFile]:
    """Files of the corpus that belong to a study's language or to all three, by path.

    Empty for a study that is not part of the corpus.
    """
    return list(_corpus(study))


def subject_names(study: str) -> list[str]:
    """Listeners whose preprocessed responses the corpus has, such as "EN057"; sorted."""
    files = corpus_files(study)
    return sorted({file.subject for file in files if file.option.startswith("--subjects")})


def response_files(study: str, subject: str) -> list[DataFile]:
    """Preprocessed responses of a listener, in the order of the nine sections of the story.

    The run labels count what the scanner recorded; sorted, they are in the order of the sections.
    """
    wanted = f"--subjects {subject}"
    return sorted(
        (file for file in corpus_files(study) if file.option == wanted), key=lambda file: file.path
    )


def data_files(study: str) -> list[DataFile]:
    """Files that a study cannot do without; none for a study that is generated."""
    files = [file for file in _registry() if file.study == study]
    return [file for file in (*files, *corpus_files(study)) if not file.option]


def optional_files(study: str) -> list[DataFile]:
    """Files that add to a study, too large to be fetched unasked."""
    return [file for file in _registry() if file.study == study and file.option]


def terms(study: str) -> tuple[str, str]:
    """Licences and citations of a study's files, each in one line."""
    files = data_files(study)
    kinds = ([file.licence for file in files], [file.citation for file in files])
    licence, citation = ("; ".join(dict.fromkeys(kind)) for kind in kinds)
    return licence, citation


def target_folder() -> Path:
    """Folder that files are fetched into: the first of `data_folders` that can be written to."""
    *before, last = data_folders()
    for folder in before:
        existing = next(path for path in [folder, *folder.parents] if path.exists())
        if existing.is_dir() and os.access(existing, os.W_OK):
            return folder
    return last


def local_path(file: DataFile) -> Path:
    """Where a file lies, or would lie once it is fetched."""
    places = [folder / file.collection / file.path for folder in data_folders()]
    target = target_folder() / file.collection / file.path
    return next((path for path in places if path.is_file()), target)


def missing_files(study: str) -> list[DataFile]:
    """Files that a study needs and that are not there."""
    return [file for file in data_files(study) if not local_path(file).is_file()]


def damaged_files(study: str) -> list[str]:
    """A sentence for each file of a study that is there with another size; none is read."""
    files = data_files(study) + optional_files(study)
    found = [(file, local_path(file)) for file in files]
    there = [(file, path) for file, path in found if path.is_file()]
    return [
        _replaceable(file, path, wrong)
        for file, path in there
        if (wrong := _wrong_size(file, path))
    ]


def _wrong_size(file: DataFile, path: Path) -> str | None:
    """Size found and expected; None if it is right or unknown."""
    size = path.stat().st_size
    if file.size in (None, size):
        return None
    return f"has {size:,} bytes; {file.size:,} are expected"


def difference(file: DataFile, path: Path) -> str | None:
    """What is wrong with a file, found and expected; None if it is as the registry says."""
    if wrong := _wrong_size(file, path):
        return wrong
    algorithm = file.checksum.partition(":")[0]
    found = f"{algorithm}:{file_digest(path, algorithm)}"
    return None if found == file.checksum else f"has {found}; {file.checksum} is expected"


def fetch_command(file: DataFile) -> str:
    """The command that fetches a file."""
    return f"brainalign fetch {file.study} {file.option}".rstrip()


def _replaceable(file: DataFile, path: Path, wrong: str) -> str:
    """What is wrong with a file at hand, and what helps."""
    return f"{path} {wrong}; delete it and call `{fetch_command(file)}` to fetch it again."


def verified_path(file: DataFile) -> Path:
    """Path of a file whose size and checksum are right.

    Raises
    ------
    InputError
        Where the file is missing, or is not what the registry says; with the command that helps.
    """
    path = local_path(file)
    if not path.is_file():
        raise InputError(
            f"{file.collection}/{file.path} is not in {_listed_folders()}; "
            f"`{fetch_command(file)}` fetches it."
        )
    if wrong := difference(file, path):
        raise InputError(_replaceable(file, path, wrong))
    return path


def verified_paths(study: str) -> dict[str, Path]:
    """All files that a study needs, each with the right checksum.

    Returns
    -------
    dict
        Path at the source -> local path.

    Raises
    ------
    InputError
        Where files are missing, or one is not what the registry says.
    """
    files = data_files(study)
    absent = missing_files(study)
    if len(absent) > 1:
        raise InputError(
            f"Study {study!r} lacks {len(absent)} of its {len(files)} files in "
            f"{_listed_folders()}, such as {absent[0].collection}/{absent[0].path}; "
            f"`{fetch_command(absent[0])}` fetches them."
        )
    return {file.path: verified_path(file) for file in files}


def _listed_folders() -> str:
    return " or ".join(str(folder) for folder in data_folders())
