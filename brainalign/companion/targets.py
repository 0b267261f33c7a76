"""Where commands write: folders and files that may be written to, and how a run's results get there."""

import json
import os
import shutil
from pathlib import Path

from brainalign.errors import InputError
from brainalign.files import project_root

RESULTS = ("figures", "table.csv", "numbers.json", "provenance.json")
# Folders of the project that hold what the book is made from.
_SOURCES = ("notebooks", "book")


def check_target(target: Path, notebook: str) -> None:
    """Refuse a folder whose own files a run of a notebook would replace.

    Raises
    ------
    InputError
        As `check_folder`, and where `target` holds results, or a notebook or page of this name,
        that no run of brainalign left there.
    """
    check_folder(target)
    names = (f"{notebook}.ipynb", f"{notebook}.html", *RESULTS)
    taken = [name for name in names if (target / name).exists()]
    if taken and not _is_left_by_a_run(target):
        raise InputError(
            f"Output folder {str(target)!r} holds {taken[0]!r}, which no run of brainalign left "
            "there; name another folder with -o."
        )


def _is_left_by_a_run(folder: Path) -> bool:
    """Whether a folder holds a record that a run of brainalign writes."""
    try:
        record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and "notebook" in record


def check_folder(folder: Path) -> None:
    """Refuse an output folder that belongs to the book, or as `check_writable`.

    Raises
    ------
    InputError
        For the book's notebooks/ and book/ and what lies below them.
    """
    root, place = project_root(), folder.expanduser().resolve()
    for own in _SOURCES if root else ():
        if (root / own).resolve() in (place, *place.parents):
            raise InputError(
                f"Output folder {str(folder)!r} belongs to {own}/, from which the book is made; "
                "name another folder."
            )
    check_writable(folder)


def check_file(target: Path, suffix: str) -> None:
    """Refuse a file to be written that would replace something of another kind.

    Parameters
    ----------
    target
        The file.
    suffix
        Ending of such files: ".html", ".pdf".

    Raises
    ------
    InputError
        For a folder, an existing file with another ending, and as `check_writable`.
    """
    if target.is_dir():
        raise InputError(f"Output {str(target)!r} is a folder; the name of a file is expected.")
    if target.exists() and target.suffix.lower() != suffix:
        raise InputError(
            f"Output {str(target)!r} is there and does not end with {suffix}, so it is not "
            "replaced; name another file with -o."
        )
    check_writable(target.parent)


def check_writable(folder: Path) -> None:
    """Refuse an output folder that cannot be made or written to.

    Raises
    ------
    InputError
        If it lies below a file, or below a folder that is not writable.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"Output folder {str(folder)!r}: {str(existing)!r} is a file.")
    if not os.access(existing, os.W_OK):
        raise InputError(f"Output folder {str(folder)!r}: {str(existing)!r} is not writable.")


def publish(source: Path, target: Path) -> None:
    """Move a finished run's files into the target folder, in place of an earlier run's.

    Parameters
    ----------
    source
        Folder on the same file system; empty afterwards.
    target
        Made where it does not exist; files that are not results stay.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted({*RESULTS, *os.listdir(source)}):
        new, old = source / name, target / name
        if old.is_dir():
            # A folder cannot be replaced in one step: out of the way first, then deleted.
            aside = source / f".old-{name}"
            os.replace(old, aside)
        elif old.exists() and not new.exists():
            old.unlink()
        if new.exists():
            os.replace(new, old)
    shutil.rmtree(source)
