"""Results that pages read, as one archive for places without torch, such as Binder.

`python -m brainalign.companion.kept write results.tar` makes it after the book was built;
`python -m brainalign.companion.kept fetch` downloads and unpacks the one that the repository's
release `results` holds.
"""

import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.error import URLError

from brainalign.companion import WorkError, cache
from brainalign.companion.project import Project, read_project
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, file_sha256

NAME = "results.tar"
#: Release that the workflow of the book replaces whenever it has built the book.
RELEASE = "results"
# Of scores, only those that a page has read; measures of reliability are few.
_SCORES = "scores"
_FOLDERS = (_SCORES, "reliability")
_KIND = ".nc"


def address(project: Project) -> str:
    """Where the archive is published; empty while no repository is set."""
    return f"{project.repository}/releases/download/{RELEASE}/{NAME}" if project.repository else ""


def kept_files(folder: Path) -> list[Path]:
    """Files of a cache folder that executed pages read, in alphabetical order."""
    keys = {score["key"] for page in folder.glob("pages/*") for score in cache.read_scores(page)}
    found = [path for name in _FOLDERS for path in (folder / name).glob("*")]
    found = [path for path in found if path.suffix == _KIND]
    return sorted(path for path in found if path.parent.name != _SCORES or path.stem in keys)


def write(target: Path) -> Path:
    """Write the archive, and its checksum beside it.

    Parameters
    ----------
    target
        File for the archive; the same results give the same bytes.

    Returns
    -------
    pathlib.Path
        The file with its SHA-256, as `sha256sum` writes it.

    Raises
    ------
    InputError
        If no page was executed, so that there is nothing to write.
    """
    folder = cache_folder()
    files = kept_files(folder)
    if not files:
        raise InputError(
            f"{str(folder)!r} holds no results that a page read; build the book first."
        )
    with atomic_path(target) as temporary, tarfile.open(temporary, "w") as archive:
        for path in files:
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size, member.mode = path.stat().st_size, 0o644
            with open(path, "rb") as stream:
                archive.addfile(member, stream)
    checksum = target.with_name(f"{target.name}.sha256")
    with atomic_path(checksum) as temporary:
        temporary.write_text(f"{file_sha256(target)}  {target.name}\n", encoding="utf-8")
    return checksum


def unpack(archive: Path) -> int:
    """Unpack an archive of results into the cache folder; what is there is replaced.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    InputError
        For an archive with anything but results.
    """
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        for member in members:
            path = PurePosixPath(member.name)
            known = len(path.parts) == 2 and path.parts[0] in _FOLDERS and path.suffix == _KIND
            if not (known and member.isfile()):
                raise InputError(f"{archive.name} holds {member.name!r}, which is no result.")
        for member in members:
            with (
                atomic_path(cache_folder() / member.name) as temporary,
                opened.extractfile(member) as content,
                open(temporary, "wb") as stream,
            ):
                shutil.copyfileobj(content, stream)
    return len(members)


def fetch(source: str) -> int:
    """Download an archive, hold it against its checksum and unpack it.

    Parameters
    ----------
    source
        Its address; the checksum is at the same address with ".sha256" behind it.

    Returns
    -------
    int
        Number of files.

    Raises
    ------
    WorkError
        If one of the two cannot be had, or the archive is not the one that the checksum is of.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive, checksum = Path(folder, NAME), Path(folder, "checksum")
        try:
            urllib.request.urlretrieve(f"{source}.sha256", checksum)
            urllib.request.urlretrieve(source, archive)
        except (URLError, OSError) as error:
            raise WorkError(f"Kept results could not be fetched from {source}: {error}") from error
        if checksum.read_text(encoding="utf-8").split()[:1] != [file_sha256(archive)]:
            raise WorkError(f"Kept results from {source} are not those that the checksum is of.")
        return unpack(archive)


def main(arguments: Sequence[str]) -> int:
    """Write or fetch the archive; exit status as of the command line."""
    try:
        match arguments:
            case ["write", target]:
                print(write(Path(target)))
            case ["fetch"]:
                source = address(read_project())
                print(
                    f"{fetch(source)} files"
                    if source
                    else "No repository is set: nothing to fetch."
                )
            case _:
                print(
                    "usage: python -m brainalign.companion.kept write FILE | fetch", file=sys.stderr
                )
                return 2
    except (InputError, WorkError) as error:
        print(f"brainalign: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
