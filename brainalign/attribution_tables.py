"""Tables and numbers of the page on attribution, from what `attribution.scores` gives.

Contexts overlap, so that intervals are over runs (Student's t), never over contexts.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.attribution import metrics
from brainalign.statistics import corrected
from brainalign.wording import number

BRAIN, OUTPUT = "error", "next word: output"
#: Thresholds of the figures, and the one that the text and the numbers speak of.
THRESHOLD = 10
#: What a figure of overlap compares: name -> two targets.
PAIRS = {
    "brain and next word": (BRAIN, OUTPUT),
    "same brain, other listeners": ("error: half 1", "error: half 2"),
    "brain, shuffled responses": (BRAIN, "error: shuffled"),
}
#: Pairs of the table, beside those of the figure.
MORE_PAIRS = {
    "brain and next word, over the same words": (BRAIN, "next word: pooled words"),
    "brain and next word, at the same layer": (BRAIN, "next word: layer"),
    "brain, and a random mixture of its voxels": (BRAIN, "error: mixture"),
    "brain, and no readout at all": (BRAIN, "error: white"),
    "region and next word": ("region", OUTPUT),
    "region, halves of the listeners": ("region: half 1", "region: half 2"),
    "region, fitted again to drawn scans": ("region", "region: refit"),
    "region, responses in another order": ("region", "region: random 1"),
    "region, and the other region": ("region", "other"),
}
#: What the squared error could be due to: responses in another order, mixtures of voxels, nothing.
RANDOM_ERRORS = ("error: shuffled", "error: mixture", "error: white")
_LINES = {
    "brain": BRAIN,
    "next word at the output": OUTPUT,
    "next word at the layer": "next word: layer",
}


def over_runs(values: np.ndarray, level: float = 0.95) -> dict[str, float]:
    """Mean over runs with its interval (Student's t).

    Parameters
    ----------
    values
        Shape (run,); NaN for runs without a value.
    level
        Of the interval.

    Returns
    -------
    dict
        mean, low, high, and p against 0 (two-sided); NaN but for the mean where there is one run.
    """
    from scipy import stats

    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    n = len(values)
    if n < 2:
        return {"mean": values.mean() if n else np.nan, "low": np.nan, "high": np.nan, "p": np.nan}
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(n)
    half = stats.t.ppf((1 + level) / 2, n - 1) * error
    p = 2 * stats.t.sf(abs(mean) / error, n - 1) if error > 0 else np.nan
    return {"mean": mean, "low": mean - half, "high": mean + half, "p": p}


def interval_row(values: np.ndarray, name: str) -> dict[str, float]:
    """Mean over runs under this name, and its interval's low and high."""
    found = over_runs(values)
    return {name: found["mean"], "low": found["low"], "high": found["high"]}


def _per_run(values: np.ndarray) -> np.ndarray:
    """Mean over contexts, (..., run), of (..., run, context)."""
    there = np.isfinite(values)
    total = np.where(there, values, 0).sum(-1)
    return np.divide(total, there.sum(-1), out=np.full(total.shape, np.nan), where=there.any(-1))


def of_target(scores: xr.Dataset, target: str) -> np.ndarray:
    """Scores of one target and layer, (run, context, distance)."""
    return scores["score"].sel(target=target).to_numpy()


def overlap(scores: xr.Dataset, rng: np.random.Generator, n_draws: int = 20) -> pd.DataFrame:
    """Intersection over union of important words against the threshold, with null and ceiling.

    Parameters
    ----------
    scores
        Of one layer, from `attribution.scores.attribution_scores`.
    rng
        Seeded generator, of the null that keeps positions.
    n_draws
        Its draws.

    Returns
    -------
    pandas.DataFrame
        Columns threshold, what, iou, low, high: the pairs of `PAIRS` whose targets there are, "next
        word, positions kept" and "random sets".
    """
    sets = {
        target: metrics.important_sets(of_target(scores, target), metrics.THRESHOLDS)
        for target in {one for pair in PAIRS.values() for one in pair}
        if target in scores["target"]
    }
    there = np.isfinite(of_target(scores, BRAIN))
    rows = []
    for k, threshold in enumerate(metrics.THRESHOLDS):
        at = {target: found[k] for target, found in sets.items()}
        values = {
            what: metrics.iou(at[a], at[b]) for what, (a, b) in PAIRS.items() if a in at and b in at
        }
        if OUTPUT in at:
            a, b = at[BRAIN], at[OUTPUT]
            drawn = metrics.iou_by_position(a, b, there, rng, n_draws, metrics.FINE_EDGES)
            values["next word, positions kept"] = drawn.mean(0)
            values["random sets"] = metrics.iou_random(a.sum(-1), b.sum(-1), there.sum(-1))
        rows += [
            {"threshold": threshold, "what": what} | interval_row(_per_run(found), "iou")
            for what, found in values.items()
        ]
    return pd.DataFrame(rows)


def pairs(scores: xr.Dataset, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Overlap of all pairs of readouts at one threshold, with their rank correlation.

    Returns
    -------
    pandas.DataFrame
        Columns what, intersection over union, low, high, rank correlation.
    """
    rows = []
    for what, targets in (PAIRS | MORE_PAIRS).items():
        if not set(targets) <= set(scores["target"].values):
            continue
        a, b = (of_target(scores, target) for target in targets)
        shared = metrics.iou(*(metrics.important_sets(one, threshold) for one in (a, b)))
        found = interval_row(_per_run(shared), "intersection over union")
        rank = np.mean([_rank_correlation(x, y) for x, y in zip(a, b, strict=True)])
        rows.append({"what": what} | found | {"rank correlation": rank})
    return pd.DataFrame(rows)


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman correlation of |scores| within contexts, mean over those of a run."""
    from scipy.stats import spearmanr

    found = [
        spearmanr(np.abs(x[np.isfinite(x)]), np.abs(y[np.isfinite(y)]))[0]
        for x, y in zip(a, b, strict=True)
        if np.isfinite(x).sum() > 2 and np.ptp(np.nan_to_num(x)) and np.ptp(np.nan_to_num(y))
    ]
    return float(np.mean(found))


def spread(scores: xr.Dataset, groups: Mapping[int, str]) -> pd.DataFrame:
    """Over what part of a context's words attribution is spread, in every layer.

    Parameters
    ----------
    scores
        Of several layers.
    groups
        Layer -> early, middle or late.

    Returns
    -------
    pandas.DataFrame
        Columns layer_group, layer, what, area, low, high.
    """
    rows = []
    for layer, group in groups.items():
        for what, areas in _areas(scores.sel(layer=layer)).items():
            rows.append(
                {"layer_group": group, "layer": layer, "what": what} | interval_row(areas, "area")
            )
    return pd.DataFrame(rows)


def _areas(scores: xr.Dataset) -> dict[str, np.ndarray]:
    """Mean area under the curve of the spread of each run, by what is spread."""
    found = {
        what: _per_run(metrics.spread_area(of_target(scores, target)))
        for what, target in _LINES.items()
        if target in scores["target"]
    }
    each = [_per_run(metrics.spread_area(of_target(scores, name))) for name in RANDOM_ERRORS]
    found["random readouts"] = np.mean(each, axis=0)
    return found


def _random(scores: xr.Dataset) -> list[str]:
    return [str(name) for name in scores["target"].values if ": random " in str(name)]


def spread_tests(scores: xr.Dataset, groups: Mapping[int, str]) -> pd.DataFrame:
    """Brain minus next word, and minus random readouts: paired t-tests over runs.

    Returns
    -------
    pandas.DataFrame
        Columns layers, brain minus, difference, low, high, p, p corrected (Benjamini & Hochberg
        1995, over all rows).
    """
    rows = []
    for layer, group in groups.items():
        areas = _areas(scores.sel(layer=layer))
        brain = areas.pop("brain")
        for what, other in areas.items():
            found = over_runs(brain - other)
            found["difference"] = found.pop("mean")
            rows.append({"layers": group, "brain minus": what} | found)
    table = pd.DataFrame(rows)
    known = table["p"].notna()
    table.loc[known, "p corrected"] = corrected(table.loc[known, "p"], "fdr")
    return table["layers,brain minus,difference,low,high,p,p corrected".split(",")]


def positions(scores: xr.Dataset, others: Mapping[str, xr.Dataset]) -> pd.DataFrame:
    """Share of attribution by distance, of the brain, of the next word, and of their controls.

    Parameters
    ----------
    scores
        Of one layer.
    others
        Name -> scores of the same layer for another model or other contexts, whose "error" is
        shown.

    Returns
    -------
    pandas.DataFrame
        Columns what, distance, share, low, high; no row where no context has a share. The band of
        "random readouts" holds 95 % of them, of any kind; that of brain and next word is over runs.
    """
    wanted = {
        "brain": BRAIN,
        "next word": OUTPUT,
        "next word, pooled words": "next word: pooled words",
    }
    lines = {
        what: metrics.position_profile(of_target(scores, target))
        for what, target in wanted.items()
        if target in scores["target"]
    }
    controls = {
        name: metrics.position_profile(of_target(one, BRAIN)) for name, one in others.items()
    }
    rows = [
        {"what": what, "distance": distance} | interval_row(values, "share")
        for what, line in lines.items()
        for distance, values in enumerate(line.T)
    ]
    rows += [
        {"what": what, "distance": distance, "share": share}
        for what, line in controls.items()
        for distance, share in enumerate(line.mean(0))
    ]
    random = [*_random(scores), *RANDOM_ERRORS]
    drawn = np.stack([metrics.position_profile(of_target(scores, name)).mean(0) for name in random])
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    rows += [
        {"what": "random readouts", "distance": k, "share": mean, "low": low[k], "high": high[k]}
        for k, mean in enumerate(drawn.mean(0))
    ]
    table = pd.DataFrame(rows, columns=["what", "distance", "share", "low", "high"])
    return table[table["share"] > 0].reset_index(drop=True)


def position_measures(scores: xr.Dataset, n_newest: int = 16) -> pd.DataFrame:
    """Where attribution lies: one row per readout.

    Returns
    -------
    pandas.DataFrame
        Columns what, centre of mass (words back), its interval, standard deviation, entropy (bits),
        and the shares of the newest words and of the oldest one (primacy), in per cent.
    """
    names = {
        "brain": BRAIN,
        "brain, shuffled responses": "error: shuffled",
        "random mixture of voxels": "error: mixture",
        "region": "region",
        "next word": OUTPUT,
        "next word, at the layer": "next word: layer",
        "next word, pooled words": "next word: pooled words",
    }
    rows = []
    for what, target in names.items():
        if target not in scores["target"]:
            continue
        values = of_target(scores, target)
        centre = interval_row(_per_run(metrics.centre_of_mass(values)), "centre of mass")
        rest = {
            "standard deviation": metrics.position_sd(values),
            "entropy (bits)": metrics.position_entropy(values),
            f"newest {n_newest} words (%)": 100 * metrics.mass_of_newest(values, n_newest),
            "oldest word (%)": 100 * metrics.mass_of_oldest(values),
        }
        means = {name: np.nanmean(_per_run(found)) for name, found in rest.items()}
        rows.append({"what": what} | centre | means)
    return pd.DataFrame(rows)


def paper_rows(
    curves: pd.DataFrame, areas: pd.DataFrame, places: pd.DataFrame, deleted: pd.DataFrame
) -> pd.DataFrame:
    """The table *paper / here / agrees?*: the few numbers and orders that the paper gives.

    Parameters
    ----------
    curves, areas, places
        From `overlap`, `spread` and `position_measures`.
    deleted
        From `attribution_checks.deletion`.

    Returns
    -------
    pandas.DataFrame
        Columns what, paper, here, agrees ("yes", "no"); orders are compared, and numbers with the
        range that the paper's five models and two studies span.
    """
    shared = curves[curves["what"] == "brain and next word"].set_index("threshold")["iou"]
    rows = [
        ("shared words at 10 %", "about 0.16", shared[10], 0.10 <= shared[10] <= 0.25),
        ("shared words at 98 %", "above 0.8", shared[98], shared[98] > 0.8),
    ]
    wide = areas.pivot_table(index="layer_group", columns="what", values="area")
    for group in [name for name in ("early", "middle", "late") if name in wide.index]:
        here = wide.loc[group, "brain"] - wide.loc[group, "next word at the output"]
        paper = "below 0" if group == "early" else "above 0"
        what = f"spread of the brain minus next word, {group} layers"
        rows.append((what, paper, here, (here < 0) == (group == "early")))
    centre = places.set_index("what")["centre of mass"]
    here = centre["brain"] - centre["next word"]
    rows.append(("centre of mass of the brain minus next word", "a little below 0", here, here < 0))
    at = deleted.set_index(["measure", "ranking", "fraction"])["value"].sort_index()
    loss, score = at["next-word loss", "next word"], at["brain score", "brain"]
    # The paper replaces 1 %; of few words that may be less than one.
    least = min(part for part in loss.index if part >= 0.01)
    ratio, fall = loss[least] / loss[0], 1 - score[least] / score[0]
    without = f"without the first {100 * least:g} %"
    rows.append((f"next-word loss {without}, ratio", "above 2", ratio, ratio > 2))
    rows.append((f"brain score lost {without}", "about 100 %", fall, fall > 0.8))
    table = pd.DataFrame(rows, columns=["what", "paper", "here", "agrees"])
    return table.assign(agrees=np.where(table["agrees"], "yes", "no"))


def paper_page(rows: pd.DataFrame) -> pd.DataFrame:
    """`paper_rows` for a page: small numbers keep their digits beside large ones."""
    return rows.assign(here=[number(value) for value in rows["here"]])


def numbers(curves: pd.DataFrame) -> dict[str, float]:
    """Numbers that other tools read: overlap at 10 % of the attribution, its null and its ceiling."""
    at = curves[curves["threshold"] == THRESHOLD].set_index("what")["iou"]
    named = {
        "iou_10": "brain and next word",
        "iou_10_null": "next word, positions kept",
        "iou_10_ceiling": "same brain, other listeners",
    }
    return {name: float(at[what]) for name, what in named.items() if what in at}
