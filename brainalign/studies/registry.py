"""Files that studies need: where they lie and what they must be.

The tables below `files/` name every file with its size, checksum, source, licence and citation.
Files are looked for below the folder `BRAINALIGN_DATA` and in the user's cache, at
`<collection>/<path at the source>`.
"""

import csv
import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from brainalign.errors import InputError
from brainalign.files import PACKAGE, file_sha256

TABLES = PACKAGE / "studies" / "files"
GIT_BLOB = "git-blob-sha1"


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
        "sha256:..." or "git-blob-sha1:...", the latter as git names the file.
    url : str
        Address at a fixed commit.
    licence, citation : str
        Of the collection.
    optional : bool
        Whether the study can be loaded without it.
    """

    study: str
    collection: str
    path: str
    size: int | None
    checksum: str
    url: str
    licence: str
    citation: str
    optional: bool = False


def _read_table(name: str) -> list[dict[str, str]]:
    with open(TABLES / name, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


@cache
def _registry() -> tuple[DataFile, ...]:
    sources = {row["collection"]: row for row in _read_table("collections.csv")}
    files = []
    for row in _read_table("files.csv"):
        source = sources[row["collection"]]
        files.append(
            DataFile(
                study=row["study"],
                collection=row["collection"],
                path=row["path"],
                size=int(row["size"]) if row["size"] else None,
                checksum=row["checksum"],
                url=source["url"] + row["path"],
                licence=source["licence"],
                citation=source["citation"],
                optional=row["optional"] == "yes",
            )
        )
    return tuple(files)


def data_files(study: str) -> list[DataFile]:
    """Files that a study cannot do without; none for a study that is generated."""
    return [file for file in _registry() if file.study == study and not file.optional]


def optional_files(study: str) -> list[DataFile]:
    """Files that add to a study, too large to be fetched unasked."""
    return [file for file in _registry() if file.study == study and file.optional]


def terms(study: str) -> tuple[str, str]:
    """Licences and citations of a study's files, each in one line."""
    files = data_files(study)
    kinds = ([file.licence for file in files], [file.citation for file in files])
    licence, citation = ("; ".join(dict.fromkeys(kind)) for kind in kinds)
    return licence, citation


def data_folders() -> list[Path]:
    """Folders in which files are looked for, first one first."""
    import pooch

    named = os.environ.get("BRAINALIGN_DATA")
    first = [Path(named).expanduser().resolve()] if named else []
    return [*first, Path(pooch.os_cache("brainalign")) / "data"]


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


def file_checksum(path: Path, algorithm: str) -> str:
    """Checksum of a file as the registry states it, "algorithm:digits".

    Parameters
    ----------
    path
        File to read.
    algorithm
        "sha256" or "git-blob-sha1": SHA-1 of `blob <size>`, a zero byte and the content, by which
        git names a file.
    """
    if algorithm != GIT_BLOB:
        return f"sha256:{file_sha256(path)}"
    header = f"blob {path.stat().st_size}\0".encode()
    with open(path, "rb") as stream:
        digits = hashlib.file_digest(stream, lambda: hashlib.sha1(header)).hexdigest()
    return f"{GIT_BLOB}:{digits}"


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
    found = file_checksum(path, file.checksum.partition(":")[0])
    return None if found == file.checksum else f"has {found}; {file.checksum} is expected"


def fetch_command(file: DataFile) -> str:
    """The command that fetches a file."""
    return f"brainalign fetch {file.study}{' --all' if file.optional else ''}"


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
