"""Files that studies need: where they lie, what they must be, and how they are fetched.

The tables below `files/` name every file with its size, checksum, source, licence and citation.
Files are looked for below the folder `BRAINALIGN_DATA` and in the user's cache, at
`<collection>/<path at the source>`.
"""

import csv
import hashlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, BinaryIO

from brainalign.errors import InputError
from brainalign.files import PACKAGE, file_sha256
from brainalign.parallel import progress

TABLES = PACKAGE / "studies" / "files"
GIT_BLOB = "git-blob-sha1"
# A file from this size on, in bytes, has a progress bar of its own.
_LARGE = 1_000_000
_TIMEOUT = 60


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
    """Files that a study needs and that are not there in their full size; none is read."""
    return [file for file in data_files(study) if not _is_there(file)]


def _is_there(file: DataFile) -> bool:
    path = local_path(file)
    return path.is_file() and file.size in (None, path.stat().st_size)


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


def _difference(file: DataFile, path: Path) -> str | None:
    """What is wrong with a file, found and expected; None if it is as the registry says."""
    size = path.stat().st_size
    if file.size not in (None, size):
        return f"has {size:,} bytes; {file.size:,} are expected"
    found = file_checksum(path, file.checksum.partition(":")[0])
    return None if found == file.checksum else f"has {found}; {file.checksum} is expected"


def fetch_command(file: DataFile) -> str:
    """The command that fetches a file."""
    return f"brainalign fetch {file.study}{' --all' if file.optional else ''}"


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
    if difference := _difference(file, path):
        raise InputError(
            f"{path} {difference}; delete it and call `{fetch_command(file)}` to fetch it again."
        )
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
    absent = [file for file in files if not local_path(file).is_file()]
    if len(absent) > 1:
        raise InputError(
            f"Study {study!r} lacks {len(absent)} of its {len(files)} files in "
            f"{_listed_folders()}, such as {absent[0].collection}/{absent[0].path}; "
            f"`{fetch_command(absent[0])}` fetches them."
        )
    return {file.path: verified_path(file) for file in files}


def _listed_folders() -> str:
    return " or ".join(str(folder) for folder in data_folders())


def fetch(
    study: str, dry_run: bool = False, say: Callable[[str], Any] = print, optional: bool = False
) -> None:
    """Fetch the files of a study that are not at hand.

    A file gets its name only when its checksum is right. What has come of an interrupted one is
    kept beside it as `<name>.part`, and the rest is asked for next time.

    Parameters
    ----------
    study
        Name of a study.
    dry_run
        Whether to list the files and their sizes and licences only.
    say
        Called with each line of text.
    optional
        Whether to fetch the optional files as well.

    Raises
    ------
    InputError
        For an unknown study, a file at hand that is not what it should be, and a file that cannot
        be fetched.
    """
    from brainalign.studies import study_names

    if study not in study_names():
        raise InputError(f"Unknown study {study!r}; known studies are {', '.join(study_names())}.")
    files = data_files(study) + (optional_files(study) if optional else [])
    absent = [file for file in files if not local_path(file).is_file()]
    if dry_run:
        for file in files:
            state = "to be fetched" if file in absent else "at hand"
            say(f"{state}  {_size(file)}  {file.licence}  {file.collection}/{file.path}")
    say(_summary(study, files, absent))
    if not dry_run:
        for file in files:
            if file not in absent:
                verified_path(file)
        for file in progress(absent, desc=study, unit="file"):
            download(file, target_folder() / file.collection / file.path)


def _size(file: DataFile) -> str:
    return "size unknown" if file.size is None else f"{file.size:,} bytes"


def _summary(study: str, files: list[DataFile], absent: list[DataFile]) -> str:
    if not files:
        return f"Study {study!r} needs no files."
    known = sum(file.size or 0 for file in absent)
    unknown = sum(file.size is None for file in absent)
    size = f"{known:,} bytes" + (f" and {unknown} of unknown size" if unknown else "")
    sources = {file.collection: f"{file.citation} ({file.licence})" for file in files}
    about = "".join(f"\n{name}: {text}" for name, text in sources.items())
    left = (
        f"{len(absent)} to be fetched into {target_folder()}, {size}" if absent else "all at hand"
    )
    return f"Study {study!r}: {len(files)} file(s), {left}.{about}"


def download(file: DataFile, target: Path) -> None:
    """Fetch one file, or the rest of it, and give it its name when its checksum is right.

    Parameters
    ----------
    file
        What to fetch.
    target
        Where to put it; what has come so far lies at `<target>.part`.

    Raises
    ------
    InputError
        Where the server cannot be reached or sends something else.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    try:
        with open(part, "ab") as stream:
            if file.size is None or stream.tell() < file.size:
                _append(file, stream)
    except BaseException:
        if not part.stat().st_size:
            part.unlink()
        raise
    if difference := _difference(file, part):
        part.unlink()
        raise InputError(f"{file.url} {difference}; what came has been deleted.")
    os.replace(part, target)


def _append(file: DataFile, stream: BinaryIO) -> None:
    """Append to an open file what it lacks."""
    from pooch import HTTPDownloader

    start = stream.tell()
    # Text that a server compresses on the way cannot be continued at a byte.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    large = file.size is None or file.size >= _LARGE
    downloader = HTTPDownloader(
        progressbar=large and sys.stderr.isatty(),
        timeout=_TIMEOUT,
        headers=headers,
        hooks={"response": partial(_start_over, stream)},
    )
    try:
        downloader(file.url, stream, None)
    except OSError as error:
        # Errors of the disk have a number, those of the network (requests) have none.
        if error.errno is not None:
            raise
        status = getattr(getattr(error, "response", None), "status_code", None)
        # 416: there is nothing left to send.
        if status != 416:
            raise InputError(
                f"{file.url} cannot be fetched ({type(error).__name__}"
                f"{f' {status}' if status else ''}); `{fetch_command(file)}` continues where this "
                "one stopped."
            ) from error


def _start_over(part: BinaryIO, response: Any, **_: Any) -> None:
    """Drop what is there when a server answers with the whole file instead of the rest."""
    if response.status_code == 200:
        part.truncate(0)
