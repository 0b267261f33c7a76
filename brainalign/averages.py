"""The average listener on disk: to make it, every listener's responses have to be read or drawn."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from filelock import FileLock

from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.study import AVERAGE, Run, Study

# Modules whose source decides what the average is.
SOURCES = ("study", "drift", "averages")


def keep_average(study: Study) -> Study:
    """The same study, whose average listener is made once and found again afterwards.

    Parameters
    ----------
    study
        With listeners and without an average of its own.

    Returns
    -------
    Study
        With the same fingerprint, because its responses are the same to the last bit. They lie in
        `responses` in the cache, one file per run.
    """
    folder = digest([study.fingerprint, source_digest(SOURCES)])

    def keeping(number: int, run: Run) -> Run:
        def load(subject: str) -> np.ndarray:
            if subject != AVERAGE:
                return run.load(subject)
            average = partial(study.responses, number, AVERAGE)
            return _kept(f"{folder}/run-{number + 1}.npy", lambda: average().to_numpy()[0])

        return replace(run, load=load)

    runs = tuple(keeping(number, run) for number, run in enumerate(study.runs))
    return replace(study, runs=runs, has_average=True)


def _kept(name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Array of a file in the cache, which is made first where it is not there."""
    path = cache_folder() / "responses" / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Pages that are executed side by side need the same average at the same time.
        with FileLock(path.with_suffix(".lock")):
            if not path.is_file():
                with atomic_path(path) as temporary, open(temporary, "wb") as stream:
                    np.save(stream, make())
    return np.load(path, allow_pickle=False)
