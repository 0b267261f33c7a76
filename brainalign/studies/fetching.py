"""Download the files of a study: each is checked before it gets its name, and continued if cut."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from brainalign.errors import InputError
from brainalign.parallel import progress
from brainalign.studies.registry import (
    DataFile,
    data_files,
    difference,
    fetch_command,
    local_path,
    optional_files,
    target_folder,
    verified_path,
)

# A file from this size on, in bytes, has a progress bar of its own.
_LARGE = 1_000_000
# No more than this is fetched of a file whose size is unknown.
_LARGEST = 1_000_000_000
_TIMEOUT = 60


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
        For an unknown study, a file at hand that is not what it should be, a file that cannot be
        fetched, and a folder that cannot be written to or that another call is writing to.
    """
    from brainalign.studies import study_names

    if study not in study_names():
        raise InputError(f"Unknown study {study!r}; known studies are {', '.join(study_names())}.")
    files = data_files(study) + (optional_files(study) if optional else [])
    absent = [file for file in files if not local_path(file).is_file()]
    for file in files:
        if file not in absent:
            verified_path(file)
    if dry_run:
        for file in files:
            state = "to be fetched" if file in absent else "at hand"
            say(f"{state}  {_size(file)}  {file.licence}  {file.collection}/{file.path}")
    say(_summary(study, files, absent))
    if absent and not dry_run:
        _download_all(study, absent, target_folder())


def _download_all(study: str, files: list[DataFile], folder: Path) -> None:
    """Fetch files of a study into a folder, unless another process is doing so."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes would append to the same partial file.
        with FileLock(folder / f".fetch-{study}.lock", timeout=0):
            for file in progress(files, desc=study, unit="file"):
                download(file, folder / file.collection / file.path)
    except Timeout as error:
        raise InputError(
            f"Another `brainalign fetch {study}` is writing to {folder}; call it again when that "
            "one has ended."
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise InputError(
            f"{folder} cannot take the files of study {study!r} ({error.strerror}: "
            f"{error.filename}); move what is in the way, or set BRAINALIGN_DATA to another folder."
        ) from error


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
        if part.is_file() and not part.stat().st_size:
            part.unlink()
        raise
    if wrong := difference(file, part):
        part.unlink()
        raise InputError(f"{file.url} {wrong}; what came has been deleted.")
    os.replace(part, target)


@dataclass(frozen=True)
class _Capped:
    """An open file that takes no more bytes than the file to be fetched should have."""

    file: DataFile
    stream: BinaryIO

    def write(self, chunk: bytes) -> None:
        most = _LARGEST if self.file.size is None else self.file.size
        if self.stream.tell() + len(chunk) > most:
            _empty(self.stream)
            raise InputError(
                f"{self.file.url} has more than the {most:,} bytes that are expected; what came "
                "has been deleted."
            )
        self.stream.write(chunk)

    def flush(self) -> None:
        self.stream.flush()


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
        downloader(file.url, _Capped(file, stream), None)
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
        _empty(part)


def _empty(stream: BinaryIO) -> None:
    # Without the first step, `tell` would go on counting from where it was.
    stream.seek(0)
    stream.truncate()
