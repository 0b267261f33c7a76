"""Tables about single words: a passage, classes of words, and the words that set scene and goal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.attribution import metrics
from brainalign.attribution.cues import cue_area, score_by_word
from brainalign.attribution.word_classes import class_table, cue_words, word_covariates
from brainalign.attribution_tables import BRAIN, OUTPUT, THRESHOLD, of_target
from brainalign.errors import InputError
from brainalign.study import Study


def story_words(study: Study, scores: xr.Dataset) -> tuple[pd.DataFrame, np.ndarray]:
    """Word tables of the runs, one below the other, and every score's row in it.

    Returns
    -------
    words : pandas.DataFrame
        The runs' tables, with the column run.
    word : numpy.ndarray
        Shape (fold, scan, distance); -1 where there is no word.
    """
    tables = [run.words.assign(run=number) for number, run in enumerate(study.runs)]
    first = np.cumsum([0, *map(len, tables)])[scores["run"].to_numpy()]
    word = scores["word"].to_numpy()
    return (
        pd.concat(tables, ignore_index=True),
        np.where(word >= 0, word + first[:, None, None], -1),
    )


def classes(
    scores: xr.Dataset,
    words: pd.DataFrame,
    word: np.ndarray,
    kinds: pd.DataFrame,
    threshold: float = THRESHOLD,
) -> pd.DataFrame:
    """Log odds that a class of words is important, for the brain, the next word and by chance.

    Parameters
    ----------
    scores
        Of one layer.
    words, word
        From `story_words`.
    kinds
        bool, one row per word: `word_classes.testbed_classes` or `plain_classes`.
    threshold
        Of important words, per cent of the attribution.

    Returns
    -------
    pandas.DataFrame
        Columns class, task, base_rate, share, log_odds, low, high, p, p_adjusted.
    """
    tasks = {"brain": BRAIN, "next word": OUTPUT, "brain, shuffled responses": "error: shuffled"}
    sets = {
        task: metrics.important_sets(of_target(scores, target), threshold)
        for task, target in tasks.items()
        if target in scores["target"]
    }
    n_scans = word.shape[1]
    rows = np.flatnonzero((word >= 0).any(-1).ravel())
    flat = {task: found.reshape(-1, word.shape[2])[rows] for task, found in sets.items()}
    clusters = np.repeat(np.arange(len(word)), n_scans)[rows]
    table = class_table(
        flat, kinds, word.reshape(-1, word.shape[2])[rows], word_covariates(words["word"]), clusters
    )
    return table[table["task"].isin(tasks)].rename(columns={"p_corrected": "p_adjusted"})


def cue_areas(
    found: xr.Dataset,
    words: pd.DataFrame,
    word: np.ndarray,
    language: str,
    regions: Sequence[str],
    rng: np.random.Generator,
    n_boot: int = 1000,
) -> pd.DataFrame:
    """Whether the words that set scene and goal change a readout more than words like them.

    Words that the model itself takes to be important change every readout. So a word's change of a
    readout is divided by what it changes in readouts of the same responses in another order.

    Parameters
    ----------
    found
        From `attribution.scores.erasure_scores`.
    words, word
        From `story_words`.
    language
        Of the story.
    regions
        Names of the region and of the other one.
    rng
        Seeded generator.
    n_boot
        Bootstrap samples of runs.

    Returns
    -------
    pandas.DataFrame
        Columns target, cue ("scene", "goal", "both"), area, low, high. Every random readout is
        divided by the others; "random readouts" is their mean, with ± 1.96 standard deviations.
    """
    change = {
        str(name): found["change"].sel(target=name).to_numpy() for name in found["target"].values
    }
    random = {name: values for name, values in change.items() if ": random " in name}
    total = sum(random.values())
    ratios = {
        f"brain, {regions[0]}": change["region"] / total,
        f"brain, {regions[1]}": change["other"] / total,
        "brain, shifted responses": change["region: shifted"] / total,
        f"brain, {regions[0]}, undivided": change["region"],
        f"brain, {regions[1]}, undivided": change["other"],
    } | {name: values / (total - values) for name, values in random.items()}
    if OUTPUT in change:
        ratios["next word"] = np.abs(change[OUTPUT])
    setters, about = cue_words(words, language), (words["run"].to_numpy(), rng, n_boot)
    rows = []
    for target, values in ratios.items():
        with_value = np.where(np.isfinite(values), word, -1)
        scores = score_by_word(
            *(one.reshape(-1, word.shape[2]) for one in (values, with_value)), len(words)
        )[:, 0]
        rows += [{"target": target} | one for one in _areas_of_cues(scores, setters, *about)]
    table = pd.DataFrame(rows)
    drawn = table["target"].str.contains(": random ")
    null = table[drawn].groupby("cue", sort=False)["area"].agg(["mean", "std"]).reset_index()
    null = pd.DataFrame(
        {
            "target": "random readouts",
            "cue": null["cue"],
            "area": null["mean"],
            "low": null["mean"] - 1.96 * null["std"],
            "high": null["mean"] + 1.96 * null["std"],
        }
    )
    return pd.concat([table[~drawn], null], ignore_index=True)


def _areas_of_cues(
    scores: np.ndarray,
    setters: pd.DataFrame,
    runs: np.ndarray,
    rng: np.random.Generator,
    n_boot: int,
) -> list[dict]:
    rows = []
    for name, kinds in {"scene": ["scene"], "goal": ["goal"], "both": ["scene", "goal"]}.items():
        cue = setters[kinds].any(axis=1).to_numpy()
        control = setters[[f"{kind} control" for kind in kinds]].any(axis=1).to_numpy()
        used = cue | control
        strata = (setters["goal"] | setters["goal control"]).to_numpy()
        area, (low, high) = cue_area(scores[used], cue[used], strata[used], runs[used], n_boot, rng)
        rows.append({"cue": name, "area": area, "low": low, "high": high})
    return rows


def _cues(study: Study, words: pd.DataFrame) -> np.ndarray:
    """Of every word whether it sets "scene" or "goal", as far as that is known; "" otherwise."""
    if not study.simulated:
        return np.full(len(words), "")
    setters = cue_words(words, study.language)
    return np.select([setters["scene"], setters["goal"]], ["scene", "goal"], "")


def passage(study: Study, scores: xr.Dataset, fold: int = 0) -> pd.DataFrame:
    """One context word by word, with the share of attribution of each word.

    Parameters
    ----------
    study
        Whose text may be printed.
    scores
        Of one layer, from `attribution.scores.attribution_scores`.
    fold
        Its middle scan is shown.

    Returns
    -------
    pandas.DataFrame
        One row per word, oldest first: columns word, brain (share of the region's |attribution|),
        next_word (NaN for models that predict none), cue ("scene" and "goal" for the testbed's words
        that set them), pooled.

    Raises
    ------
    InputError
        For a study whose text is under copyright, and a fold without attributions.
    """
    if "copyright" in study.licence:
        raise InputError(
            f"The text of study {study.name!r} is under copyright ({study.licence}); pages print "
            "words of free texts only, such as those of 'testbed' and 'alice'."
        )
    if not 0 <= fold < scores.sizes["fold"]:
        raise InputError(
            f"fold is {fold}; folds 0 to {scores.sizes['fold'] - 1} have attributions."
        )
    one = scores.isel(fold=fold)
    here = one.sel(scan=int(one["passage_scan"]))
    number = here["word"].to_numpy()
    there = number >= 0
    words = study.runs[int(one["run"])].words
    rows = number[there]
    causal = OUTPUT in scores["target"]
    output = here["score"].sel(target=OUTPUT).to_numpy() if causal else np.full(there.shape, np.nan)
    table = pd.DataFrame(
        {
            "word": words["word"].to_numpy()[rows],
            "brain": metrics.shares(one["passage"].to_numpy()[: len(there)][there]),
            "next_word": metrics.shares(output[there]),
            "cue": _cues(study, words)[rows],
            "pooled": np.arange(there.sum()) < int(here["pooled"]),
        }
    )
    return table[::-1].reset_index(drop=True)


def cue_numbers(areas: pd.DataFrame) -> dict[str, float]:
    """Areas under the curve by target and kind of cue, with their intervals' lower edges."""
    found = {}
    for _, row in areas.iterrows():
        name = f"cue_area_{row['target']}_{row['cue']}".replace(", ", "_").replace(" ", "_")
        found |= {name: float(row["area"]), name.replace("area", "low"): float(row["low"])}
    return found
