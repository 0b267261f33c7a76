"""What a table of words must hold, from whatever file or program it comes."""

import numpy as np
import pandas as pd

from brainalign.errors import InputError


def check_words(words: pd.DataFrame, where: str = "The word table") -> None:
    """Refuse times that are missing or go backwards.

    Parameters
    ----------
    words
        Words of one run in the order heard, with `word`, `onset` and `offset` in seconds.
    where
        The table in messages, such as its file.

    Raises
    ------
    InputError
        For a column that is not there; naming the first word whose onset lies before the one above
        it, whose offset lies before its onset, or whose times are not finite.
    """
    if missing := {"word", "onset", "offset"} - set(words.columns):
        raise InputError(f"{where} lacks the columns {sorted(missing)}.")
    onset, offset = words["onset"].to_numpy(float), words["offset"].to_numpy(float)
    before = np.concatenate([onset[:1], onset[:-1]])
    back = onset < before
    wrong = np.flatnonzero(back | ~(offset >= onset) | ~np.isfinite(onset + offset))
    if len(wrong):
        row = wrong[0]
        above = f", and the word above it starts at {before[row]:g} s" if back[row] else ""
        raise InputError(
            f"{where} has word {words.index[row]} ({words['word'].iloc[row]!r}) from "
            f"{onset[row]:g} to {offset[row]:g} s{above}; onsets that never go back, and offsets "
            "after them, are expected."
        )
