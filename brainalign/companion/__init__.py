"""From parameters to pages: notebooks are executed, kept, composed and built into a website.

Notebooks themselves need two modules: `parameters` (types of the parameters cell) and `output`
(figures with alt text, recorded numbers, tables).
"""

import errno
import os
from pathlib import Path

#: What is said of a full disk, wherever it showed.
DISK_FULL = (
    "The disk is full: nothing is left half-written; free some space and run the same command "
    "again (`brainalign doctor` lists the folders and their free space)."
)


class WorkError(RuntimeError):
    """Work that failed: one sentence, and where the details are.

    Parameters
    ----------
    sentence : str
        What failed, and how.
    log : pathlib.Path or None
        File with the details.
    status : int
        Exit status of a command that fails with it: 1, or 2 where a notebook refused its input
        (`InputError`), such as a model that the chosen study does not have.
    """

    def __init__(self, sentence: str, log: Path | None = None, status: int = 1):
        super().__init__(sentence, log, status)
        self.sentence = sentence
        self.log = log
        self.status = status

    def __str__(self) -> str:
        return self.sentence


def says_disk_full(text: str) -> bool:
    """Whether a message tells of a full disk or a used-up quota."""
    return any(os.strerror(code) in text for code in (errno.ENOSPC, errno.EDQUOT))


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, came of a full disk; libraries wrap the system's own."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return True
        if says_disk_full(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False


def unexpected(error: Exception) -> str:
    """One sentence for an error that nobody foresaw; its traceback goes to a log."""
    import traceback

    from brainalign.files import cache_folder

    text = str(error).strip().splitlines()
    sentence = f"{type(error).__name__}: {text[0] if text else 'no message'}"
    log = cache_folder() / "logs" / "brainalign.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    except OSError:
        return sentence
    return f"{sentence}\n{log}"
