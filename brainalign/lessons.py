"""What misleads, measured where the truth is known: leakage, circularity, ceilings, counts.

Every function takes arrays and gives a table. The lesson on slow series is in `lessons_nulls`, the one
on slopes of the asymmetry in `lessons_slopes`.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.layer_choice import choose_layer
from brainalign.lessons_brains import fit
from brainalign.statistics import corrected, pearson
from brainalign.study import standardise

CHOSEN, NESTED, EXPECTED = "by test score", "nested", "expected of chance"
RULES = ("runs as if independent", "uncorrected", "false discovery rate", "Holm")


def time_bumps(lengths: Sequence[int], step: int = 3, width: float = 2.0) -> list[np.ndarray]:
    """Features that know nothing but the time: Gaussian bumps, which every run has of its own.

    Parameters
    ----------
    lengths
        Scans of every run.
    step
        Scans from one bump to the next.
    width
        Standard deviation of a bump in scans.

    Returns
    -------
    list of numpy.ndarray
        One per run, (scans, bumps of all runs), float32: 0 where the bump is of another run.
    """
    counts = [len(range(0, n, step)) for n in lengths]
    starts = np.cumsum([0, *counts])
    runs = []
    for n, first, count in zip(lengths, starts, counts, strict=False):
        values = np.zeros((n, starts[-1]), dtype=np.float32)
        distance = np.arange(n)[:, None] - np.arange(0, n, step)
        values[:, first : first + count] = np.exp(-(distance**2) / (2 * width**2))
        runs.append(values)
    return runs


def block_folds(
    lengths: Sequence[int], block: int, n_folds: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Scans of all runs, cut into blocks that are dealt to folds at random.

    Parameters
    ----------
    lengths
        Scans of every run.
    block
        Scans in a block: 1 shuffles single scans, the longest length keeps runs whole.
    n_folds
        Number of folds.
    rng
        Seeded generator.

    Returns
    -------
    list of numpy.ndarray of int
        For every fold, the numbers of its scans, counted through all runs, in order.

    Raises
    ------
    InputError
        For a block of no scans, and for fewer blocks than folds.
    """
    if block < 1:
        raise InputError(f"block is {block}; at least one scan is expected.")
    starts = np.cumsum([0, *lengths])
    cut = [
        np.arange(start + first, min(start + first + block, start + n))
        for start, n in zip(starts, lengths, strict=False)
        for first in range(0, n, block)
    ]
    if len(cut) < n_folds:
        raise InputError(
            f"There are {len(cut)} blocks; at least {n_folds}, one per fold, are expected."
        )
    order = rng.permutation(len(cut))
    return [np.sort(np.concatenate([cut[i] for i in order[k::n_folds]])) for k in range(n_folds)]


def leakage(
    features: Mapping[str, list[np.ndarray]],
    responses: list[np.ndarray],
    blocks: Sequence[int],
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The same features, scans and ridge regression with ever longer blocks in the folds.

    Parameters
    ----------
    features
        What -> one array (scans, columns) per run.
    responses
        One array (scans, voxels) per run, standardised.
    blocks
        Lengths of blocks in scans; a length of whole runs is always added.
    rng
        Seeded generator, of the order of blocks.

    Returns
    -------
    pandas.DataFrame
        Columns features, block, score (mean over voxels and folds).
    """
    lengths = [len(run) for run in responses]
    whole = max(lengths)
    y = np.concatenate(responses)
    rows = []
    for block in sorted({min(block, whole) for block in blocks} | {whole}):
        folds = block_folds(lengths, block, len(lengths), rng)
        measured = [y[fold] for fold in folds]
        for name, runs in features.items():
            x = np.concatenate([standardise(run) for run in runs])
            r = fit([x[fold] for fold in folds], measured).r
            rows.append({"features": name, "block": block, "score": float(r.mean())})
    return pd.DataFrame(rows)


def layers_of_nothing(regressors: Sequence[list[np.ndarray]], responses: object) -> xr.Dataset:
    """Scores of unrelated features as the layers of a model.

    Parameters
    ----------
    regressors
        For every layer, one array (scans, columns) per run.
    responses
        As for `lessons_brains.fit`.

    Returns
    -------
    xarray.Dataset
        `r_fold`, `r_inner`, dims (fold, layer, voxel).
    """
    found = [fit(layer, responses) for layer in regressors]
    dims = ("fold", "layer", "voxel")
    return xr.Dataset(
        {
            "r_fold": (dims, np.stack([one.r for one in found], axis=1)),
            "r_inner": (dims, np.stack([one.r_inner for one in found], axis=1)),
        }
    )


def invented(scores: xr.Dataset, rng: np.random.Generator, n_draws: int = 10) -> pd.DataFrame:
    """Score of a voxel's best layer with 1, 2, ... layers to choose from, by both ways to choose.

    Parameters
    ----------
    scores
        From `layers_of_nothing`.
    rng
        Seeded generator.
    n_draws
        Sets of layers drawn for every number; a score is their mean, and that of voxels.

    Returns
    -------
    pandas.DataFrame
        Columns layers, `CHOSEN`, `NESTED`, and `EXPECTED`: the mean score plus what the maximum of
        so many independent normal numbers with the layers' own spread is expected to be.
    """
    n_layers, rows = scores.sizes["layer"], []
    layer_means = scores["r_fold"].mean("fold").to_numpy()
    spread = np.sqrt(layer_means.var(axis=0, ddof=1).mean()) if n_layers > 1 else 0.0
    for n in range(1, n_layers + 1):
        found = []
        for _ in range(n_draws if n < n_layers else 1):
            part = scores.isel(layer=np.sort(rng.permutation(n_layers)[:n]))
            found.append(
                [float(choose_layer(part, rule).mean()) for rule in ("published", "nested")]
            )
        chosen, nested = np.mean(found, axis=0)
        expected = layer_means.mean() + spread * expected_maximum(n)
        rows.append({"layers": n, CHOSEN: chosen, NESTED: nested, EXPECTED: expected})
    return pd.DataFrame(rows)


def expected_maximum(n: int) -> float:
    """Expected maximum of `n` independent standard normal numbers."""
    from scipy import integrate, stats

    def weighted(x: float) -> float:
        return x * n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)

    return integrate.quad(weighted, -9, 9)[0]


def perfect_scores(signal: Sequence[np.ndarray], responses: Sequence[np.ndarray]) -> np.ndarray:
    """Brain score of a model that predicts the signal itself.

    Parameters
    ----------
    signal, responses
        One array (scans, voxels) per run.

    Returns
    -------
    numpy.ndarray
        Shape (voxel,): mean over runs; NaN where there is no signal.
    """
    return np.mean([pearson(x.T, y.T) for x, y in zip(signal, responses, strict=True)], axis=0)


def divided(
    true: np.ndarray, estimate: np.ndarray, score: np.ndarray, n_bins: int = 6
) -> pd.DataFrame:
    """A perfect model's score divided by the noise ceiling, in voxels of ever higher ceilings.

    Parameters
    ----------
    true, estimate
        Noise ceilings put in, and estimated from the listeners, shape (voxel,).
    score
        Of the perfect model, (voxel,).
    n_bins
        Groups of equally many voxels, by true ceiling.

    Returns
    -------
    pandas.DataFrame
        One row per group: ceiling (mean true one), voxels, undefined (part whose estimate is 0),
        low, middle, high (5th, 50th and 95th percentile of the voxels' quotients), mean (of
        quotients), of_means (mean score / mean estimate, every voxel counted), of_true (mean score
        / mean true ceiling).
    """
    known = np.isfinite(score) & (true > 0)
    true, estimate, score = (np.asarray(v, dtype=float)[known] for v in (true, estimate, score))
    rows = []
    for group in np.array_split(np.argsort(true, kind="stable"), n_bins):
        t, e, s = true[group], estimate[group], score[group]
        quotients = s[e > 0] / e[e > 0]
        low, middle, high = np.percentile(quotients, [5, 50, 95])
        rows.append(
            {
                "ceiling": t.mean(),
                "voxels": len(group),
                "undefined": float((e <= 0).mean()),
                "low": low,
                "middle": middle,
                "high": high,
                "mean": quotients.mean(),
                "of_means": s.mean() / e.mean(),
                "of_true": s.mean() / t.mean(),
            }
        )
    return pd.DataFrame(rows)


def run_p(r: np.ndarray, apart: bool = False) -> np.ndarray:
    """One-sided p of every voxel's score from its spread over the runs that were left out.

    Parameters
    ----------
    r
        Scores of the folds, shape (fold, voxel).
    apart
        True takes the folds for independent, as a plain t-test does. They are not: run i is
        predicted from run j, and j from i. Otherwise the variance of their mean is s² (1/n +
        1/(n − 1)) instead of s²/n (Nadeau & Bengio 2003).

    Returns
    -------
    numpy.ndarray
        Shape (voxel,).
    """
    from scipy import stats

    n = len(r)
    factor = 1 / n if apart else 1 / n + 1 / (n - 1)
    t = r.mean(axis=0) / np.sqrt(factor * r.var(axis=0, ddof=1))
    return stats.t.sf(t, n - 1)


def discoveries(r: np.ndarray, empty: np.ndarray) -> pd.DataFrame:
    """Voxels that are called predicted at .05 by four rules, and how many of them are false.

    Parameters
    ----------
    r
        Scores of the folds, shape (fold, voxel).
    empty
        Whether there is nothing to find in a voxel, (voxel,), bool.

    Returns
    -------
    pandas.DataFrame
        Columns rule (`RULES`), found, false, missed (voxels with something to find that are not
        found).
    """
    p = run_p(r)
    values = [run_p(r, apart=True), p, corrected(p, "fdr"), corrected(p, "holm")]
    rows = []
    for rule, q in zip(RULES, values, strict=True):
        found = q < 0.05
        counts = (found.sum(), (found & empty).sum(), (~found & ~empty).sum())
        rows.append((rule, *map(int, counts)))
    return pd.DataFrame(rows, columns=["rule", "found", "false", "missed"])


def noise_discoveries(r: np.ndarray, n_brains: int) -> pd.DataFrame:
    """What the rules find in brains of pure noise.

    Parameters
    ----------
    r
        Scores of the folds, (fold, brain × voxel): the brains side by side.
    n_brains
        Number of them.

    Returns
    -------
    pandas.DataFrame
        Columns rule, part (mean part of voxels found), brains (part with at least one).
    """
    brains = np.split(r, n_brains, axis=1)
    empty = np.ones(brains[0].shape[1], dtype=bool)
    counts = pd.concat([discoveries(one, empty) for one in brains])
    found = counts.groupby("rule", sort=False)["found"]
    part = found.mean() / len(empty)
    brains_with = found.apply(lambda numbers: (numbers > 0).mean())
    return pd.DataFrame({"part": part, "brains": brains_with}).reset_index()
