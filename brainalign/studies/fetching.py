"""Fetch the files of a study: which ones, into which folder, side by side."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Lock
from typing import Any

from brainalign.errors import InputError, suggestion
from brainalign.parallel import progress
from brainalign.studies.downloading import Call, Unreachable, bytes_at, download, part_path
from brainalign.studies.registry import (
    GLOVE,
    DataFile,
    corpus_files,
    data_files,
    local_path,
    optional_files,
    response_files,
    subject_names,
    target_folder,
    verified_path,
)


def fetch(
    study: str,
    dry_run: bool = False,
    say: Callable[[str], Any] = print,
    optional: bool = False,
    subjects: Sequence[str] = (),
    paths: Sequence[str] = (),
    mirror: str | None = None,
    jobs: int = 4,
) -> None:
    """Fetch the files of a study that are not at hand.

    A file gets its name only when its checksum is right. What has come of an interrupted one is
    kept beside it as `<name>.part`, and the rest is asked for next time. Proxies are those of the
    variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY.

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
    subjects
        Whose preprocessed responses to fetch as well, such as "EN057"; "all" stands for everybody.
    paths
        Which other files to fetch as well: paths at the source, in which `*` stands for anything.
    mirror
        Address to be asked first, with the files at `<collection>/<path>`.
    jobs
        Files that are fetched side by side.

    Raises
    ------
    InputError
        For an unknown study, subject or file, a file at hand that is not what it should be, a file
        that cannot be fetched, a disk with too little space, and a folder that cannot be written to
        or that another call is writing to.
    """
    if mirror and not mirror.startswith(("http://", "https://")):
        raise InputError(
            f"The mirror is {mirror!r}; an address with http:// or https:// is expected."
        )
    files = _wanted(study, optional, subjects, paths)
    at_hand = {file for file in files if local_path(file).is_file()}
    absent = [file for file in files if file not in at_hand]
    for file in progress(files, desc="checking", unit="file"):
        if file in at_hand:
            verified_path(file)
    if dry_run:
        for file in files:
            state = "at hand" if file in at_hand else "to be fetched"
            say(f"{state}  {_size(file)}  {file.licence}  {file.collection}/{file.path}")
    say(_summary(study, files, absent))
    if absent and not dry_run:
        _download_all(study, absent, target_folder(), mirror, jobs)


def _wanted(
    study: str, optional: bool, subjects: Sequence[str], paths: Sequence[str]
) -> list[DataFile]:
    """Files that a call asks for, each once."""
    from brainalign.studies import is_path, study_names

    known = [*study_names(), GLOVE]
    if study not in known:
        if is_path(study):
            raise InputError(f"Study {study!r} is a folder of your own; nothing is fetched for it.")
        raise InputError(
            f"Unknown study {study!r}; {suggestion(study, study_names())}. "
            f"Word vectors have files, too: {GLOVE!r}."
        )
    files = data_files(study) + (optional_files(study) if optional else [])
    everything = [*data_files(study), *optional_files(study), *corpus_files(study)]
    if subjects:
        # Files at the top describe the corpus and whom it was recorded from.
        files += [file for file in corpus_files(study) if "/" not in file.path]
        for subject in _subjects(study, subjects):
            files += response_files(study, subject)
    for path in paths:
        found = [file for file in everything if fnmatchcase(file.path, path)]
        if not found:
            raise InputError(
                f"Study {study!r} has no file {path!r}; "
                f"`brainalign fetch {study} --files '*' --dry-run` lists all."
            )
        files += found
    return list(dict.fromkeys(files))


def _subjects(study: str, named: Sequence[str]) -> list[str]:
    """Subjects by the names that the corpus has for them, with or without "sub-"."""
    known = subject_names(study)
    if not known:
        raise InputError(f"Study {study!r} has no files of single subjects to choose from.")
    names = [name.removeprefix("sub-") for name in named]
    if unknown := [name for name in names if name not in (*known, "all")]:
        raise InputError(
            f"Study {study!r} has no subject {unknown[0]!r}; it has {', '.join(known)}."
        )
    return known if "all" in names else names


def _download_all(
    study: str, files: list[DataFile], folder: Path, mirror: str | None, jobs: int
) -> None:
    """Fetch files of a study into a folder, unless another process is writing to it."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Two processes would append to the same partial file; studies have files in common.
        with FileLock(folder / ".fetch.lock", timeout=0):
            _check_space(files, folder)
            _download_side_by_side(study, files, folder, mirror, jobs)
    except Timeout as error:
        raise InputError(
            f"Another `brainalign fetch` is writing to {folder}; call it again when that one has "
            "ended."
        ) from error
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise InputError(
            f"{folder} cannot take the files of study {study!r} ({error.strerror}{where}); move "
            "what is in the way, make room, or set BRAINALIGN_DATA to another folder."
        ) from error


def _target(file: DataFile, folder: Path) -> Path:
    return folder / file.collection / file.path


def _check_space(files: list[DataFile], folder: Path) -> None:
    """Refuse what would not fit on the disk; files of unknown size do not count."""
    known = [file for file in files if file.size is not None]
    needed = sum(file.size - bytes_at(part_path(_target(file, folder))) for file in known)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder} has {free:,} bytes free; {needed:,} are to be fetched: make room, or set "
            "BRAINALIGN_DATA to another folder."
        )


def _download_side_by_side(
    study: str, files: list[DataFile], folder: Path, mirror: str | None, jobs: int
) -> None:
    """Fetch all files that can be had; where no server answers, stop at once."""
    targets, lock = [_target(file, folder) for file in files], Lock()
    total = sum(file.size or 0 for file in files)
    begun = sum(bytes_at(part_path(target)) for target in targets)
    with (
        progress(None, desc=study, total=total, initial=begun, unit="B", unit_scale=True) as bar,
        ThreadPoolExecutor(jobs) as pool,
    ):

        def count(n_bytes: int) -> None:
            with lock:
                bar.update(n_bytes)

        call = Call(mirror, count)
        futures = [
            pool.submit(download, file, target, call)
            for file, target in zip(files, targets, strict=True)
        ]
        try:
            failures = [error for future in futures if (error := _failure(future))]
        except BaseException:
            call.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    if len(failures) > 1:
        raise InputError(
            f"{len(failures)} of {len(files)} files cannot be fetched, such as this: {failures[0]}"
        )
    if failures:
        raise failures[0]


def _failure(future: Future) -> InputError | None:
    """Why one file cannot be had; raises what keeps the others from coming as well."""
    error = future.exception()
    if error and (isinstance(error, Unreachable) or not isinstance(error, InputError)):
        raise error
    return error


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
