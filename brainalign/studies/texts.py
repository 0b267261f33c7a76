"""Text files of stories, as their owners have them."""

import codecs
from pathlib import Path

from brainalign.errors import InputError

#: A chapter has some ten thousand characters.
MAX_BYTES = 1_000_000
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """Content of a text file in UTF-8, or in UTF-16 with a byte order mark.

    Raises
    ------
    InputError
        For a file that is empty, larger than a megabyte or in another encoding.
    """
    if (size := path.stat().st_size) > MAX_BYTES:
        raise InputError(f"{path} has {size:,} bytes; at most {MAX_BYTES:,} are expected.")
    return decode(path.read_bytes(), str(path))


def decode(content: bytes, where: str) -> str:
    """Text of a file's content, with line feeds only at the end of lines.

    Parameters
    ----------
    content
        All of it.
    where
        Names the file in messages.

    Raises
    ------
    InputError
        As `read_text`.
    """
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is neither in UTF-8 nor in UTF-16 with a byte order mark (byte "
            f"{error.start}); save it in UTF-8."
        ) from error
    if "\0" in text:
        raise InputError(f"{where} has null characters, as no text has; save it in UTF-8.")
    if not text.strip():
        raise InputError(f"{where} is empty; a text is expected.")
    return text.replace("\r\n", "\n").replace("\r", "\n")
