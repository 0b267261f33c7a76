"""Zip archives from elsewhere, read without unpacking anything to disk."""

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from brainalign.errors import InputError

#: Text shrinks to a third; what shrinks more than this many times was made to fill a memory.
MAX_RATIO = 200
_OUTSIDE = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)", re.DOTALL)
_ORDINARY = (0, stat.S_IFREG, stat.S_IFDIR)
# What zipfile raises for a file that is not what it says.
_MALFORMED = (BadZipFile, NotImplementedError, ValueError, struct.error, EOFError, OSError)
_ENCRYPTED = 0x1


def member_names(path: Path) -> list[str]:
    """Names of the files in an archive.

    Parameters
    ----------
    path
        A zip file.

    Returns
    -------
    list of str
        In the archive's order, without folders.

    Raises
    ------
    InputError
        For a file that is no complete zip archive, and one with a path that leads out of it, a
        link, or two files of one name.
    """
    with _opened(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


@contextmanager
def open_member(path: Path, name: str, max_bytes: int) -> Iterator[IO[bytes]]:
    """Read one file of an archive in pieces.

    Parameters
    ----------
    path
        A zip file.
    name
        Of the file in it, as from `member_names`.
    max_bytes
        Size of the largest file that is accepted; no more is ever decompressed.

    Yields
    ------
    file object
        Of bytes, from the beginning to the end; it cannot give more than `max_bytes`.

    Raises
    ------
    InputError
        As `member_names`; for a file that is not there, encrypted, compressed by another method
        than deflate, larger than `max_bytes` or more than 200 times as large as its compressed
        form; and while reading, for one that is damaged.
    """
    with _opened(path) as archive:
        infos = [info for info in archive.infolist() if info.filename == name]
        if not infos:
            raise InputError(f"{path} has no file {name!r}.")
        _check_content(infos[0], f"{path} holds {name!r}", max_bytes)
        with _opened_stream(archive, infos[0], path) as stream:
            try:
                yield stream
            except (BadZipFile, EOFError, zlib.error) as error:
                raise InputError(f"{path} is damaged in {name!r} ({error}).") from error


def read_member(path: Path, name: str, max_bytes: int) -> bytes:
    """Content of one file of an archive; see `open_member` for parameters and errors."""
    with open_member(path, name, max_bytes) as stream:
        # A size that is a lie would let a read without a limit expand without one.
        return stream.read(max_bytes)


@contextmanager
def _opened(path: Path) -> Iterator[ZipFile]:
    """The archive, once all names in it are found to be harmless."""
    try:
        archive = ZipFile(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; a zip archive is expected.") from error
    except _MALFORMED as error:
        raise InputError(f"{path} is not a complete zip archive ({error}).") from error
    with archive:
        names = set()
        for info in archive.infolist():
            _check_name(info, path)
            if info.filename in names:
                raise InputError(f"{path} holds {info.filename!r} twice; it is not read.")
            names.add(info.filename)
        yield archive


@contextmanager
def _opened_stream(archive: ZipFile, info: ZipInfo, path: Path) -> Iterator[IO[bytes]]:
    try:
        stream = archive.open(info)
    except _MALFORMED as error:
        raise InputError(f"{path} is damaged at {info.filename!r} ({error}).") from error
    with stream:
        yield stream


def _check_name(info: ZipInfo, path: Path) -> None:
    if not info.filename or _OUTSIDE.match(info.filename):
        raise InputError(
            f"{path} holds {info.filename!r}, a path that leads out of the archive; it is not read."
        )
    if stat.S_IFMT(info.external_attr >> 16) not in _ORDINARY:
        raise InputError(
            f"{path} holds {info.filename!r}, a link or another special file; it is not read."
        )


def _check_content(info: ZipInfo, what: str, max_bytes: int) -> None:
    # zipfile never gives more than the size that is stated here.
    if info.flag_bits & _ENCRYPTED:
        raise InputError(f"{what}, which is encrypted; an archive without a password is expected.")
    if info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise InputError(
            f"{what}, compressed by method {info.compress_type}; deflate is expected, as every zip "
            "program writes it."
        )
    if info.file_size > max_bytes:
        raise InputError(
            f"{what}, which expands to {info.file_size:,} bytes; at most {max_bytes:,} are expected."
        )
    if info.file_size > MAX_RATIO * info.compress_size:
        raise InputError(
            f"{what}, which expands from {info.compress_size:,} to {info.file_size:,} bytes, more "
            f"than {MAX_RATIO} times; it is not read."
        )
