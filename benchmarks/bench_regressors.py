"""Regressors of one run: time per feature and agreement against nilearn.

    python benchmarks/bench_regressors.py

nilearn's `compute_regressor` makes one regressor after the other, so that a few of them tell the
time of all. Ours are trimmed and standardised as well; the difference is between standardised
regressors, nilearn's in float64.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from measure import add_ratios, in_fresh_process, row

from brainalign import regressors
from brainalign.regressors import run_regressors

FEATURES = (1, 100, 1000, 4096)
# A ninth of The Little Prince.
N_SCANS, TR, N_WORDS, WORD_SECONDS, TRIM = 290, 2.0, 1700, 0.3, (10, 10)
N_MEASURED = 5
REPEATS = 20
MEGABYTE = 1e6


def simulate(n_features: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Word features, with means as large as activations have, and the words' times."""
    rng = np.random.default_rng(0)
    onset = np.sort(rng.uniform(0, N_SCANS * TR - 1, N_WORDS))
    words = pd.DataFrame({"onset": onset, "offset": onset + WORD_SECONDS})
    features = rng.standard_normal((N_WORDS, n_features), dtype=np.float32)
    return features + rng.normal(scale=3, size=n_features).astype(np.float32), words


def prepare_ours(n_features: int, first: bool) -> Callable[[], np.ndarray]:
    """All regressors of a layer, of the first one or of one for which the operator is kept."""
    features, words = simulate(n_features)
    make = partial(run_regressors, features, words, N_SCANS, TR, TRIM)

    def anew() -> np.ndarray:
        regressors._kept_operator.cache_clear()
        return make()

    make()
    return anew if first else make


def prepare_nilearn(n_features: int) -> Callable[[], np.ndarray]:
    """The first few regressors."""
    from nilearn.glm.first_level import compute_regressor

    features, words = simulate(n_features)
    onset, duration = words["onset"], words["offset"] - words["onset"]
    frames = (np.arange(N_SCANS) + 0.5) * TR

    def make() -> np.ndarray:
        events = ([onset, duration, values] for values in features[:, :N_MEASURED].T.astype(float))
        options = {"oversampling": regressors.OVERSAMPLING, "min_onset": regressors.MIN_ONSET}
        columns = [compute_regressor(one, "glover", frames, **options)[0] for one in events]
        return np.hstack(columns)

    make()
    return make


def allocated(prepare: Callable, *arguments: Any) -> float:
    """Most memory in megabytes that arrays of one call take at a time, the result included."""
    make = prepare(*arguments)
    tracemalloc.start()
    make()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / MEGABYTE


def compare(n_features: int) -> list[dict[str, Any]]:
    """Rows of one number of features: ours, ours with the operator to be built, nilearn's."""
    later, ours = in_fresh_process(prepare_ours, n_features, False, repeats=REPEATS)
    first, _ = in_fresh_process(prepare_ours, n_features, True, repeats=REPEATS)
    peer, theirs = in_fresh_process(prepare_nilearn, n_features, repeats=REPEATS)
    n_measured = theirs.shape[1]
    theirs = theirs[TRIM[0] : -TRIM[1]]
    theirs = (theirs - theirs.mean(axis=0)) / theirs.std(axis=0)
    both = ("regressors", f"{n_features:,} features")
    memory = [allocated(prepare_ours, n_features, first) for first in (False, True)]
    memory.append(allocated(prepare_nilearn, n_features))
    share = f"{n_measured} of {n_features:,} features"
    difference = float(np.abs(ours[:, :n_measured] - theirs).max())
    found = [
        row(*both, "brainalign", later, how="operator kept", max_difference=difference),
        row(*both, "brainalign, first layer", first, how="operator built"),
        row(*both, "nilearn", peer, peer.seconds * n_features / n_measured, how=share),
    ]
    return [
        entry | {"us_per_feature": 1e6 * entry["seconds"] / n_features, "allocated_mb": megabytes}
        for entry, megabytes in zip(found, memory, strict=True)
    ]


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of the table.

    Parameters
    ----------
    quick
        Only 1,000 features.
    """
    return [entry for n in FEATURES if not quick or n == 1000 for entry in compare(n)]


def main() -> None:
    """Print the table."""
    table = pd.DataFrame(add_ratios(rows()))
    shown = ["case", "who", "how", "us_per_feature", "ratio", "allocated_mb", "max_difference"]
    print(f"{N_SCANS} scans, {N_WORDS} words; ratio: seconds, ours with the operator kept is 1\n")
    print(table[shown].to_string(index=False, float_format="{:.3g}".format))


if __name__ == "__main__":
    main()
