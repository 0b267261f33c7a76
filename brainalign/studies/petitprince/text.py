"""The user's own copy of the book's text, which is under copyright.

It is read where it lies and never written anywhere: what is kept of it is a digest.
"""

import re
from pathlib import Path, PurePosixPath

import pandas as pd

from brainalign.archives import member_names, read_member
from brainalign.errors import InputError
from brainalign.files import digest
from brainalign.studies.petitprince.languages import N_SECTIONS, Language
from brainalign.studies.petitprince.words import join_words
from brainalign.studies.texts import MAX_BYTES, decode, read_text

# Hidden files are what an operating system puts beside the user's, under the same name.
_SECTION = re.compile(r"(?!\.)(?:.*[^0-9])?([0-9]{1,3})\.txt", re.IGNORECASE)


def section_texts(text: str | None, tables: list[pd.DataFrame], language: Language) -> list[str]:
    """Text of every section: the book's where the user has it, else the words of the tables.

    Parameters
    ----------
    text
        As `read_texts`; None joins the words.
    tables
        Words of every section, from `words.read_words`.
    language
        Of the story.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        As `read_texts`.
    """
    if text is None:
        return [join_words(table["word"], language) for table in tables]
    return read_texts(Path(text).expanduser())


def text_digest(text: str | None) -> str:
    """What identifies the text that `section_texts` gives: a digest of the content, "" for None."""
    return "" if text is None else digest(read_texts(Path(text).expanduser()))


def read_texts(path: Path) -> list[str]:
    """Texts of the nine sections.

    Parameters
    ----------
    path
        A folder, or a zip archive without a password, with one file for each section whose name
        ends in its number: `text_english_run1.txt` to `text_english_run9.txt`. UTF-8, or UTF-16
        with a byte order mark. Other files are passed over.

    Returns
    -------
    list of str
        With line feeds only at the end of lines.

    Raises
    ------
    InputError
        For a section without or with two files, and a file that is empty, too large or in another
        encoding.
    """
    if not path.exists():
        raise InputError(
            f"There is no {path}; a folder or a zip file with the texts of the sections is expected."
        )
    if path.is_dir():
        files = {found.name: found for found in sorted(path.iterdir()) if found.is_file()}
        names = _by_section(list(files), path)
        return [read_text(files[name]) for name in names]
    names = _by_section(member_names(path), path)
    return [decode(read_member(path, name, MAX_BYTES), f"{name} in {path}") for name in names]


def _by_section(names: list[str], path: Path) -> list[str]:
    """The one name for each section, in order."""
    found: dict[int, list[str]] = {number: [] for number in range(1, N_SECTIONS + 1)}
    for name in names:
        if match := _SECTION.fullmatch(PurePosixPath(name).name):
            found.setdefault(int(match[1]), []).append(name)
    for number in range(1, N_SECTIONS + 1):
        if not found[number]:
            raise InputError(
                f"{path} has no text of section {number}; one file for each section is expected, "
                f"with names that end in 1.txt to {N_SECTIONS}.txt."
            )
        if len(found[number]) > 1:
            raise InputError(
                f"{path} has two texts of section {number}, {found[number][0]} and "
                f"{found[number][1]}; one is expected."
            )
    return [found[number][0] for number in range(1, N_SECTIONS + 1)]
