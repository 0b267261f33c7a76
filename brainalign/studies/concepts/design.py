"""Which stimulus was shown when, and which half it belongs to: the tables of Ryskina et al."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.studies.concepts.responses import HALVES, PARADIGMS


def read_trials(path: Path) -> pd.DataFrame:
    """Trials of one participant in one paradigm, in the order of the betas.

    Parameters
    ----------
    path
        `stimuli_order_<participant>_<paradigm>.csv` with the columns `run`, `concept`,
        `stimulus_idx` and `onset`.

    Returns
    -------
    pandas.DataFrame
        Columns `run`, `concept`, `stimulus` (from 1) and `onset` (seconds from the run's first
        scan), runs in ascending order as in the authors' `fit_glm.py`.

    Raises
    ------
    InputError
        For a table without these columns, and a stimulus that is shown twice.
    """
    trials = _read(path, {"run": int, "concept": str, "stimulus_idx": int, "onset": float})
    trials = trials.sort_values("run", kind="stable", ignore_index=True)
    twice = trials[trials.duplicated(["concept", "stimulus"])]
    if len(twice):
        raise InputError(
            f"{path} has stimulus {twice['stimulus'].iloc[0]} of {twice['concept'].iloc[0]!r} "
            "twice; a stimulus that is shown once at most is expected."
        )
    return trials


def read_splits(paths: Mapping[str, Path]) -> pd.DataFrame:
    """Halves of the stimuli in every paradigm.

    Parameters
    ----------
    paths
        Paradigm -> `split_<paradigm>.csv` with the columns `concept`, `stimulus_idx` and `split`.

    Returns
    -------
    pandas.DataFrame
        Columns `paradigm`, `concept`, `stimulus` and `half` (1 or 2).

    Raises
    ------
    InputError
        For a paradigm without a table, a table without these columns, a half other than 1 and 2,
        an empty half, and concepts that differ between the paradigms.
    """
    tables = []
    for paradigm in PARADIGMS:
        if paradigm not in paths:
            raise InputError(f"There is no table of halves for {paradigm}; one is expected.")
        table = _read(paths[paradigm], {"concept": str, "stimulus_idx": int, "split": int})
        table = table.rename(columns={"split": "half"}).assign(paradigm=paradigm)
        _check_halves(table, paths[paradigm])
        tables.append(table)
        if odd := set(tables[0]["concept"]) ^ set(table["concept"]):
            raise InputError(
                f"{paths[paradigm]} and {paths[PARADIGMS[0]]} differ in the concept "
                f"{min(odd)!r}; the same concepts are expected."
            )
    return pd.concat(tables, ignore_index=True)[["paradigm", "concept", "stimulus", "half"]]


def half_array(splits: pd.DataFrame, concepts: tuple[str, ...]) -> np.ndarray:
    """Halves as an array.

    Parameters
    ----------
    splits
        From `read_splits`.
    concepts
        In the order wanted.

    Returns
    -------
    numpy.ndarray of int
        Shape (paradigms, stimuli, concepts); 0 where there is no such stimulus.
    """
    halves = np.zeros((len(PARADIGMS), splits["stimulus"].max(), len(concepts)), dtype=int)
    paradigm = pd.Index(PARADIGMS).get_indexer(splits["paradigm"])
    concept = pd.Index(concepts).get_indexer(splits["concept"])
    halves[paradigm, splits["stimulus"] - 1, concept] = splits["half"]
    return halves


def _check_halves(table: pd.DataFrame, path: Path) -> None:
    there = table.groupby("concept")["half"].agg(lambda halves: tuple(sorted(set(halves))))
    wrong = there[there != HALVES]
    if len(wrong):
        raise InputError(
            f"{path} has the halves {wrong.iloc[0]} for {wrong.index[0]!r}; stimuli in both halves, "
            "1 and 2, are expected."
        )


def _read(path: Path, columns: dict[str, type]) -> pd.DataFrame:
    """Columns of a table, `stimulus_idx` as `stimulus`."""
    try:
        # "None" would be a concept.
        table = pd.read_csv(path, keep_default_na=False)[list(columns)].astype(columns)
    except (ValueError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path} cannot be read as a table with the columns {', '.join(columns)} ({reason})."
        ) from error
    if len(table) == 0 or (table["stimulus_idx"] < 1).any():
        raise InputError(f"{path} has no stimuli, or one below 1; numbers from 1 are expected.")
    return table.rename(columns={"stimulus_idx": "stimulus"})
