"""Is it size that makes a model predict the brain, or what the model can do?

Two abilities of every language model: perplexity on text that it has not seen, and how often it picks
the right ending of a passage among four.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from brainalign import published_panels
from brainalign.comparison import Printed, correlation
from brainalign.errors import InputError
from brainalign.scaling import MINIMUM_BOOTSTRAP, select
from brainalign.scores import PUBLISHED
from brainalign.statistics import LineFit, bootstrap_indices, fit_line, partial_correlation
from brainalign.wording import interval

# A partial correlation with one covariate has one degree of freedom left.
LEAST_MODELS = 4
# Column of an ability -> its name, and the paper's name of the test.
PREDICTORS = {
    "size": ("log parameters", "ln n_parameters"),
    "perplexity": ("perplexity", "wikitext2 perplexity"),
    "completion": ("completion task", "hellaswag"),
}
_PANELS = {"all": "wb_mean", "reliable": "rv_mean"}


def abilities(study: str) -> pd.DataFrame:
    """Abilities of the language models of a study.

    Parameters
    ----------
    study
        "published" (WikiText-2 and HellaSwag) or "testbed" (both of its own stories).

    Returns
    -------
    pandas.DataFrame
        Index model; columns perplexity, completion (part of the endings chosen rightly).
    """
    if study == PUBLISHED:
        return published_panels.abilities()
    from brainalign.studies.testbed import zoo

    return zoo.abilities()


def ability_rows(table: pd.DataFrame, known: pd.DataFrame, voxels: str) -> pd.DataFrame:
    """Scores of the language models beside their size and abilities.

    Parameters
    ----------
    table
        A score table.
    known
        From `abilities`.
    voxels
        "all" or "reliable".

    Returns
    -------
    pandas.DataFrame
        Rows of the score table, smallest model first, with columns perplexity, completion and
        size (log10 parameters).

    Raises
    ------
    InputError
        For a model whose abilities were not measured, or fewer than four models.
    """
    rows = select(table, voxels)
    if unknown := [name for name in rows["model"] if name not in known.index]:
        raise InputError(
            f"The abilities of model {unknown[0]!r} were not measured; they are known of "
            f"{', '.join(known.index)}."
        )
    if len(rows) < LEAST_MODELS:
        raise InputError(
            f"The page needs at least {LEAST_MODELS} language models; {len(rows)} were given."
        )
    rows = rows.join(known[["perplexity", "completion"]], on="model")
    return rows.assign(size=np.log10(rows["n_parameters"].astype(float)))


def largest(rows: pd.DataFrame, n: int | None = None) -> pd.DataFrame:
    """The largest models alone.

    Parameters
    ----------
    rows
        From `ability_rows`.
    n
        How many; None takes the largest third. Of the paper's 28 models these are the ten with
        more than three billion parameters, which the paper looks at.

    Returns
    -------
    pandas.DataFrame
        The last `n` of the rows, at least four by default.

    Raises
    ------
    InputError
        For more models than there are.
    """
    n = max(LEAST_MODELS, -(-len(rows) // 3)) if n is None else n
    if n > len(rows):
        raise InputError(f"n_largest is {n}; at most the {len(rows)} models that there are.")
    return rows.tail(n)


def fits(rows: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> dict[str, LineFit]:
    """Line of the score on each predictor, as the figure draws it: perplexity in log10.

    Parameters
    ----------
    rows
        From `ability_rows` or `largest`.
    n_boot
        Bootstrap samples of models; fewer than six models get no interval.
    rng
        Seeded generator.

    Returns
    -------
    dict
        "size", "perplexity", "completion" -> LineFit, with the same samples for all three.
    """
    score = rows["score"].to_numpy()
    few = len(rows) < MINIMUM_BOOTSTRAP
    samples = None if few else bootstrap_indices(len(rows), n_boot, rng)
    return {name: fit_line(values, score, samples) for name, values in _drawn(rows).items()}


def _drawn(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    return {
        "size": rows["size"].to_numpy(),
        "perplexity": np.log10(rows["perplexity"].to_numpy(dtype=float)),
        "completion": rows["completion"].to_numpy(dtype=float),
    }


def correlations(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Correlation of the score with size and with abilities, in several groups of models.

    Parameters
    ----------
    groups
        Name -> rows from `ability_rows`.

    Returns
    -------
    pandas.DataFrame
        Columns models, n, predictor, r, p. Perplexity as it is, as in the paper, and its log10.
    """
    rows = []
    for name, part in groups.items():
        score = part["score"].to_numpy()
        for predictor, (label, _) in PREDICTORS.items():
            fit = fit_line(part[predictor].to_numpy(dtype=float), score)
            rows.append({"models": name, "n": fit.n, "predictor": label, "r": fit.r, "p": fit.p})
            if predictor == "perplexity":
                log = fit_line(_drawn(part)["perplexity"], score)
                rows.append(rows[-1] | {"predictor": "log perplexity", "r": log.r, "p": log.p})
    return pd.DataFrame(rows)


def partial_correlations(groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What size still explains when an ability is known, and the ability when size is known.

    Parameters
    ----------
    groups
        Name -> rows from `ability_rows`, four models or more each.

    Returns
    -------
    pandas.DataFrame
        Columns models, n, predictor, given, partial r, 95 % interval (Fisher's z), p.
    """
    rows = []
    for name, part in groups.items():
        values, score = _drawn(part), part["score"].to_numpy()
        for ability in ("perplexity", "completion"):
            for of, given in [("size", ability), (ability, "size")]:
                r, p = partial_correlation(values[of], score, values[given])
                rows.append(
                    {
                        "models": name,
                        "n": len(part),
                        "predictor": _log_name(of),
                        "given": _log_name(given),
                        "partial r": r,
                        "95 % interval": interval(_fisher_interval(r, len(part)), 2),
                        "p": p,
                    }
                )
    return pd.DataFrame(rows)


def _fisher_interval(r: float, n: int) -> tuple[float, float]:
    """95 % interval of a partial correlation with one covariate (Fisher's z, n − 4 in its error)."""
    from scipy import stats

    if n <= LEAST_MODELS:
        return np.nan, np.nan
    half = stats.norm.ppf(0.975) / np.sqrt(n - 4)
    return tuple(np.tanh(np.arctanh(r) + np.array([-half, half])))


def _log_name(predictor: str) -> str:
    return "log perplexity" if predictor == "perplexity" else PREDICTORS[predictor][0]


def comparison_rows(groups: Mapping[str, pd.DataFrame], voxels: str) -> list[Printed]:
    """The paper's correlations with size and abilities, beside those found here.

    Parameters
    ----------
    groups
        Two groups from `ability_rows`: all models first, then the largest.
    voxels
        As for `ability_rows`.

    Returns
    -------
    list of Printed
        For `comparison.compare`.
    """
    found = correlations(groups).set_index(["models", "predictor"])
    rows = []
    for group, n in zip(groups, (28, 10), strict=True):
        for label, test in PREDICTORS.values():
            r, p = found.loc[(group, label), ["r", "p"]]
            rows += correlation(f"{group}, {label}", _PANELS[voxels], r, p, test, n)
    return rows


def numbers(groups: Mapping[str, pd.DataFrame]) -> dict[str, float]:
    """Numbers of the page.

    Parameters
    ----------
    groups
        Two groups from `ability_rows`: all models first, then the largest.

    Returns
    -------
    dict
        `n_models`, `n_largest`, `r_<predictor>` and `partial_r_<predictor>_given_<other>`, each
        also with the suffix `_largest`.
    """
    result = {}
    for (suffix, name), part in zip(
        [("", "n_models"), ("_largest", "n_largest")], groups.values(), strict=True
    ):
        result[name] = len(part)
        for row in correlations({"": part}).to_dict("records"):
            result[f"r_{_identifier(row['predictor'])}{suffix}"] = row["r"]
        for row in partial_correlations({"": part}).to_dict("records"):
            of, given = _identifier(row["predictor"]), _identifier(row["given"])
            result[f"partial_r_{of}_given_{given}{suffix}"] = row["partial r"]
    return result


def _identifier(predictor: str) -> str:
    return predictor.removesuffix(" task").replace(" ", "_")
