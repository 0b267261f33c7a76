"""What every table of words must hold, said with the file's name."""

from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.errors import InputError


def check_onsets(words: pd.DataFrame, path: Path) -> None:
    """Refuse times that are missing or go backwards.

    Parameters
    ----------
    words
        Words of one run in the order of the file, with `word`, `onset` and `offset` in seconds.
    path
        The file, for the message.

    Raises
    ------
    InputError
        Naming the file and the first word whose onset lies before the one above it, whose offset
        lies before its onset, or whose times are not finite.
    """
    onset, offset = words["onset"].to_numpy(float), words["offset"].to_numpy(float)
    back = np.concatenate([[False], np.diff(onset) < 0])
    wrong = np.flatnonzero(back | ~(offset >= onset) | ~np.isfinite(onset + offset))
    if len(wrong):
        row = wrong[0]
        above = f", and the word above it starts at {onset[row - 1]:g} s" if back[row] else ""
        raise InputError(
            f"{path} has word {words.index[row]} ({words['word'].iloc[row]!r}) from "
            f"{onset[row]:g} to {offset[row]:g} s{above}; onsets that never go back, and offsets "
            "after them, are expected."
        )
