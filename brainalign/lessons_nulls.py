"""How often tests find a correlation of slow series that have nothing to do with each other."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainalign.lessons_brains import slow_noise
from brainalign.significance import BLOCK, block_permutation, p_values
from brainalign.statistics import pearson
from brainalign.study import standardise

NAIVE, EFFECTIVE = "Pearson's p", "p for fewer scans"
SHIFTS, BLOCKS = "circular shifts", f"blocks of {BLOCK} scans"
TESTS = (NAIVE, EFFECTIVE, BLOCKS, SHIFTS)
# A shift of fewer scans would leave some of the likeness that it is to take away.
LEAST_SHIFT = 15
# Permutations give p in steps, of which .05 is one, but for rounding.
_LEVEL = 0.05 + 1e-12


def shift_null(x: np.ndarray, y: np.ndarray, least: int = LEAST_SHIFT) -> np.ndarray:
    """Correlations of every pair of series when one of them is shifted in a circle.

    Parameters
    ----------
    x, y
        Shape (scan, pair).
    least
        Fewest scans of a shift, in either direction.

    Returns
    -------
    numpy.ndarray
        Shape (shift, pair): all shifts that are long enough.
    """
    n = len(x)
    x, y = (standardise(np.asarray(v, dtype=float)).astype(float) for v in (x, y))
    # The circular correlation theorem gives all shifts at once.
    products = np.conj(np.fft.rfft(x, axis=0)) * np.fft.rfft(y, axis=0)
    return np.fft.irfft(products, n, axis=0)[least : n - least + 1] / n


def false_positives(
    lag_ones: Sequence[float],
    n_pairs: int,
    n_scans: int,
    rng: np.random.Generator,
    n_permutations: int = 199,
) -> pd.DataFrame:
    """How often tests find a correlation of series that have nothing to do with each other.

    Parameters
    ----------
    lag_ones
        Correlations of neighbouring scans, as for `slow_noise`.
    n_pairs
        Pairs of series for each.
    n_scans
        Scans of a series.
    rng
        Seeded generator.
    n_permutations
        Of blocks.

    Returns
    -------
    pandas.DataFrame
        Columns lag_one, test (`TESTS`), rate (part of pairs with a one-sided p of at most
        .05), low, high (95 % interval after Wilson).
    """
    from statsmodels.stats.proportion import proportion_confint

    rows = []
    for lag_one in lag_ones:
        x, y = (slow_noise(n_scans, n_pairs, lag_one, rng) for _ in range(2))
        for test, p in pair_tests(x, y, rng, n_permutations).items():
            count = int((p <= _LEVEL).sum())
            low, high = proportion_confint(count, n_pairs, method="wilson")
            rows.append((lag_one, test, count / n_pairs, low, high))
    return pd.DataFrame(rows, columns=["lag_one", "test", "rate", "low", "high"])


def pair_tests(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, n_permutations: int
) -> dict[str, np.ndarray]:
    """One-sided p of the correlation of every pair by four tests.

    Parameters
    ----------
    x, y
        Shape (scan, pair).
    rng, n_permutations
        Of the permutations of blocks.

    Returns
    -------
    dict
        Test -> p, shape (pair,). `EFFECTIVE` counts n (1 − ab) / (1 + ab) scans, where a and b are
        the series' own correlations of neighbouring scans (Bartlett 1935).
    """
    r, n = pearson(x.T, y.T), len(x)
    product = lag_one_correlation(x) * lag_one_correlation(y)
    fewer = n * (1 - product) / (1 + product)
    observed, null = block_permutation([x], [y], n_permutations, rng)
    return {
        NAIVE: _tail(r, np.full(r.shape, float(n))),
        EFFECTIVE: _tail(r, np.minimum(fewer, n)),
        BLOCKS: p_values(observed, null),
        SHIFTS: p_values(r, shift_null(x, y)),
    }


def _tail(r: np.ndarray, n: np.ndarray) -> np.ndarray:
    """One-sided p of Pearson correlations of `n` independent scans."""
    from scipy import stats

    freedom = np.maximum(n - 2, 1)
    return stats.t.sf(r * np.sqrt(freedom / np.maximum(1 - r**2, 1e-12)), freedom)


def lag_one_correlation(values: np.ndarray) -> np.ndarray:
    """Correlation of neighbouring scans of every series, (scan, series) to (series,)."""
    return pearson(values[:-1].T, values[1:].T)
