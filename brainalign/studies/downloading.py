"""One file from its addresses: continued where it broke off, checked before it gets its name."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO
from urllib.parse import quote

from brainalign.errors import InputError
from brainalign.studies.registry import DataFile, difference, fetch_command

# No more than this is fetched of a file whose size is unknown.
_LARGEST = 1_000_000_000
# Bytes written at once; of a connection that breaks off, less than this is lost.
_CHUNK = 2**16
# Seconds without a byte after which a connection is given up.
_TIMEOUT = 60
# An address is given up when it brings nothing new this often in a row; the pauses in between, of
# this many seconds at first, double.
_ATTEMPTS = 4
_PAUSE = 1.0


class Unreachable(InputError):
    """No address of a file gave an answer of any use."""


class _Failed(Exception):
    """What an address did instead of giving the file."""


class _NoAnswer(_Failed):
    """It cannot be reached, or broke off again and again."""


class _Stopped(Exception):
    """The call that wanted the file has ended."""


@dataclass(frozen=True)
class Call:
    """What the downloads of one call share.

    Attributes
    ----------
    mirror : str or None
        Address to be asked first; it has the files at `<collection>/<path>`.
    count : callable
        Told from any thread how many bytes have come, or with a minus sign been dropped.
    stop : threading.Event
        Set when the downloads are to end.
    """

    mirror: str | None = None
    count: Callable[[int], Any] = lambda _: None
    stop: Event = field(default_factory=Event)


def part_path(target: Path) -> Path:
    """Where a file lies until it is complete."""
    return target.with_name(f"{target.name}.part")


def bytes_at(path: Path) -> int:
    """Size of a file; zero if there is none."""
    return path.stat().st_size if path.is_file() else 0


def download(file: DataFile, target: Path, call: Call | None = None) -> None:
    """Fetch one file, or the rest of it, and give it its name when its checksum is right.

    Parameters
    ----------
    file
        What to fetch, from its address or else from one of its mirrors.
    target
        Where to put it; what has come so far lies at `part_path(target)`.
    call
        What is shared with other downloads.

    Raises
    ------
    InputError
        Where no address gives the file; `Unreachable` where none answers.
    """
    call, part = call or Call(), part_path(target)
    urls = [file.url, *file.mirrors]
    if call.mirror:
        urls.insert(0, f"{call.mirror.rstrip('/')}/{file.collection}/{quote(file.path)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    failures = {}
    for url in urls:
        try:
            _fetch_from(url, file, part, call)
        except _Failed as failure:
            failures[url] = failure
        else:
            os.replace(part, target)
            return
        finally:
            if part.is_file() and not bytes_at(part):
                part.unlink()
    lost = all(isinstance(failure, _NoAnswer) for failure in failures.values())
    reasons = ", ".join(f"{url} ({failure})" for url, failure in failures.items())
    raise (Unreachable if lost else InputError)(
        f"{file.collection}/{file.path} cannot be fetched from {reasons}; `{fetch_command(file)}` "
        "continues where this one stopped."
    )


def _fetch_from(url: str, file: DataFile, part: Path, call: Call) -> None:
    """Complete a partial file from one address, and check it."""
    begun = bytes_at(part)
    _complete(url, file, part, call)
    if not (wrong := difference(file, part)):
        return
    call.count(-bytes_at(part))
    part.unlink()
    if not begun:
        raise _Failed(f"what came {wrong}; it has been deleted")
    # What was there before may have come from elsewhere.
    _fetch_from(url, file, part, call)


def _complete(url: str, file: DataFile, part: Path, call: Call) -> None:
    """Ask an address for what is missing, again and again as long as more comes."""
    furthest, failures = bytes_at(part), 0
    while file.size is None or bytes_at(part) < file.size:
        problem = _append(url, file, part, call)
        if problem is None:
            return
        failures = 0 if bytes_at(part) > furthest else failures + 1
        furthest = max(furthest, bytes_at(part))
        if failures == _ATTEMPTS:
            raise _NoAnswer(problem)
        if call.stop.wait(_PAUSE * 2 ** (failures - 1)):
            raise _Stopped


@dataclass(frozen=True)
class _Stream:
    """An open file that takes no more bytes than the file to be fetched should have."""

    file: DataFile
    stream: BinaryIO
    call: Call

    def write(self, chunk: bytes) -> None:
        if self.call.stop.is_set():
            raise _Stopped
        most = _LARGEST if self.file.size is None else self.file.size
        if self.stream.tell() + len(chunk) > most:
            self.empty()
            raise _Failed(f"it has more than the {most:,} bytes that are expected")
        self.stream.write(chunk)
        self.call.count(len(chunk))

    def flush(self) -> None:
        self.stream.flush()

    def empty(self) -> None:
        self.call.count(-self.stream.tell())
        # Without the first step, `tell` would go on counting from where it was.
        self.stream.seek(0)
        self.stream.truncate()


def _append(url: str, file: DataFile, part: Path, call: Call) -> str | None:
    """Append what an address sends to a partial file.

    Returns
    -------
    str or None
        What went wrong and may go right another time; None if the server sent all that it has.

    Raises
    ------
    _Failed
        Where asking again is of no use.
    """
    from pooch import HTTPDownloader

    with open(part, "ab") as opened:
        stream, start = _Stream(file, opened, call), opened.tell()
        # Text that a server compresses on the way cannot be continued at a byte.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        hooks = {"response": partial(_start_over, stream)}
        downloader = HTTPDownloader(
            chunk_size=_CHUNK, timeout=_TIMEOUT, headers=headers, hooks=hooks
        )
        try:
            downloader(url, stream, None)
        except OSError as error:
            # Errors of the disk have a number, those of the network (requests) have none.
            if error.errno is not None:
                raise
            return _problem(error)
        short = file.size is not None and opened.tell() < file.size
        return f"it ends after {opened.tell():,} bytes" if short else None


def _problem(error: OSError) -> str | None:
    """What an answer other than the file means: see `_append`."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 416:  # nothing is left to send
        return None
    problem = f"{type(error).__name__}{f' {status}' if status else ''}"
    if status is None or status >= 500 or status in (408, 429):
        return problem
    raise _Failed(problem) from error


def _start_over(part: _Stream, response: Any, **_: Any) -> None:
    """Drop what is there when a server answers with the whole file instead of the rest."""
    if response.status_code == 200:
        part.empty()
