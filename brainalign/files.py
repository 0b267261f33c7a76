"""Where files live, and how they are written so that none is ever half there."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

PACKAGE = Path(__file__).parent
GIT_BLOB = "git-blob-sha1"
# Files of as many bytes take long enough to read for their checksums to be noted.
_NOTED = 2**24


def project_root() -> Path | None:
    """Folder of the book: the nearest one, upwards from here or from the package, with notebooks.

    Returns
    -------
    pathlib.Path or None
        None where the package is installed without its book.
    """
    for folder in [Path.cwd(), *Path.cwd().parents, PACKAGE.parent]:
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder
    return None


def cache_folder() -> Path:
    """Folder for activations, scores and pages; `BRAINALIGN_CACHE` sets another one.

    By default it is `.cache` in the book's folder, so that a fresh clone computes everything
    itself, and the user's cache folder where there is no book.
    """
    if named := os.environ.get("BRAINALIGN_CACHE"):
        return Path(named).expanduser().resolve()
    if root := project_root():
        return root / ".cache"
    import pooch

    return Path(pooch.os_cache("brainalign"))


def data_folders() -> list[Path]:
    """Folders in which public data files are looked for, first one first."""
    import pooch

    named = os.environ.get("BRAINALIGN_DATA")
    first = [Path(named).expanduser().resolve()] if named else []
    return [*first, Path(pooch.os_cache("brainalign")) / "data"]


def output_folder() -> Path | None:
    """Folder that the running notebook leaves its results in; None outside `brainalign run`."""
    named = os.environ.get("BRAINALIGN_OUTPUT")
    return Path(named) if named else None


def note_use(name: str, what: dict) -> None:
    """Add a line of JSON to a file of what the running notebook has read; nothing outside one."""
    folder = output_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / name, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(what) + "\n")


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Give a temporary path beside `path` and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path
        The file or folder to be made. A file there is replaced; a folder there must be empty.

    Yields
    ------
    pathlib.Path
        Path to write to, on the same file system and with the same name.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        temporary = Path(folder) / path.name
        yield temporary
        os.replace(temporary, path)


def digest(value: object) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a JSON-serialisable value."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_sha256(path: Path | str) -> str:
    """SHA-256 of a file, see `file_digest`."""
    return file_digest(path, "sha256")


def file_digest(path: Path | str, algorithm: str) -> str:
    """Checksum of a file, read in pieces; again only if it was written to since the last time.

    Of a large file that is noted in the cache folder, for other processes.

    Parameters
    ----------
    path
        File to read.
    algorithm
        "sha256", "md5" or "git-blob-sha1": SHA-1 of `blob <size>`, a zero byte and the content, by
        which git names a file.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    known = os.stat(path)
    written = (known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns)
    return _file_digest(os.path.abspath(path), algorithm, written)


@lru_cache(maxsize=4096)
def _file_digest(path: str, algorithm: str, written: tuple[int, ...]) -> str:
    if written[1] < _NOTED:
        return _hexdigest(path, algorithm)
    note = cache_folder() / "checksums" / digest([path, algorithm, written])
    if note.is_file():
        return note.read_text(encoding="utf-8")
    found = _hexdigest(path, algorithm)
    # Where nothing can be written, the file is read again another time.
    with suppress(OSError), atomic_path(note) as temporary:
        temporary.write_text(found, encoding="utf-8")
    return found


def _hexdigest(path: str, algorithm: str) -> str:
    with open(path, "rb") as stream:
        if algorithm == GIT_BLOB:
            header = f"blob {os.stat(path).st_size}\0".encode()
            state = hashlib.sha1(header, usedforsecurity=False)
        else:
            state = hashlib.new(algorithm, usedforsecurity=False)
        return hashlib.file_digest(stream, lambda: state).hexdigest()


def source_digest(modules: Iterable[str]) -> str:
    """Digest of the source text of modules or packages of brainalign.

    Parameters
    ----------
    modules
        Names below the package, with slashes: "study", "studies/testbed". A package counts with
        every Python file below it, and the module of its name beside it.
    """
    sources = {}
    for name in modules:
        path = PACKAGE / name
        found = sorted(path.rglob("*.py")) if path.is_dir() else []
        if not path.is_dir() or path.with_suffix(".py").is_file():
            found.append(path.with_suffix(".py"))
        sources |= {str(file.relative_to(PACKAGE)): file.read_text() for file in found}
    return digest(sources)
