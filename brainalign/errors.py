"""The one exception for input that a person can put right, and the hint that goes into it."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Input that cannot be used: one sentence that says what was found and what is expected.

    The command line prints the sentence and exits with status 2; nothing is written.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A question that names the known name most like `name`, and a blank; empty where none is."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""


def suggestion(name: str, known: Iterable[str]) -> str:
    """Half a sentence that lists the known names and points at the one most like `name`."""
    known = list(known)
    return f"{did_you_mean(name, known)}known are {', '.join(known) or 'none'}"
