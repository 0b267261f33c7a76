"""Brain score against the number of parameters: lines, intervals, and the tables they need."""

import numpy as np
import pandas as pd

from brainalign.comparison import Printed, of_fits
from brainalign.errors import InputError
from brainalign.statistics import MINIMUM_POINTS, LineFit, bootstrap_indices, fit_line
from brainalign.wording import format_count, interval

LANGUAGE_MODEL = "language model"
EMBEDDINGS = "random embeddings"
CEILING = "noise ceiling"
# Fewer models than this say too little of their spread for a bootstrap interval to mean anything.
MINIMUM_BOOTSTRAP = 6
CONTROL_WIDTHS = (16, 128)
CONTROL_SEEDS = (0, 1, 2)


def control_names() -> list[str]:
    """The default controls: random vectors and random embeddings, two widths, three seeds."""
    return [
        f"{kind}-{width}:seed-{seed}"
        for kind in ("random-vectors", "random-embeddings")
        for width in CONTROL_WIDTHS
        for seed in CONTROL_SEEDS
    ]


def matching(table: pd.DataFrame, **wanted: str) -> pd.DataFrame:
    """Rows of a score table whose columns have the wanted values; maybe none."""
    keep = np.logical_and.reduce([table[name] == value for name, value in wanted.items()])
    return table[keep]


def select(
    table: pd.DataFrame,
    voxels: str,
    statistic: str = "mean",
    hemisphere: str = "both",
    kind: str = LANGUAGE_MODEL,
) -> pd.DataFrame:
    """Rows of a score table, smallest model first.

    Parameters
    ----------
    table
        A score table: columns model, family, kind, seed, n_parameters, voxels, statistic,
        hemisphere, score.
    voxels, statistic, hemisphere, kind
        Values of those columns.

    Returns
    -------
    pandas.DataFrame
        At most one row per model.

    Raises
    ------
    InputError
        Where the table has no such row.
    """
    wanted = {"voxels": voxels, "statistic": statistic, "hemisphere": hemisphere, "kind": kind}
    rows = matching(table, **wanted).sort_values(["n_parameters", "model"], ignore_index=True)
    if rows.empty:
        described = ", ".join(f"{name} {value!r}" for name, value in wanted.items())
        raise InputError(f"The score table has no rows with {described}.")
    return rows


def log_parameters(rows: pd.DataFrame) -> np.ndarray:
    """log10 of the number of parameters, so that slopes are per decade."""
    return np.log10(rows["n_parameters"].to_numpy(dtype=float))


def fit_scaling(
    table: pd.DataFrame,
    voxels: str,
    n_boot: int,
    rng: np.random.Generator,
    statistic: str = "mean",
    hemisphere: str = "both",
) -> LineFit:
    """Line of the language models' score on log10 parameters; the bootstrap draws models.

    Parameters
    ----------
    table, voxels, statistic, hemisphere
        As for `select`.
    n_boot
        Bootstrap samples.
    rng
        Seeded generator.

    Returns
    -------
    LineFit
        Slope in units of score per decade (factor of ten in parameters).
    """
    rows = select(table, voxels, statistic, hemisphere)
    samples = bootstrap_indices(len(rows), n_boot, rng)
    return fit_line(log_parameters(rows), rows["score"].to_numpy(), samples)


def line_columns(fit: LineFit) -> dict[str, object]:
    """What tables of lines on log10 parameters say of each: models, r, slope and its interval."""
    return {
        "models": fit.n,
        "r with log parameters": fit.r,
        "slope per decade": fit.slope,
        "95 % interval": interval(fit.slope_interval),
    }


def family_fits(
    table: pd.DataFrame, voxels: str, statistic: str = "mean", hemisphere: str = "both"
) -> pd.DataFrame:
    """Line of each family of models.

    Parameters
    ----------
    table, voxels, statistic, hemisphere
        As for `select`.

    Returns
    -------
    pandas.DataFrame
        Columns family, models, smallest, largest (parameters), r with log parameters (NaN with
        fewer than three models), slope per decade (NaN with one); most models first.
    """
    rows = select(table, voxels, statistic, hemisphere)
    result = []
    for family, part in rows.groupby("family"):
        x, y = log_parameters(part), part["score"].to_numpy()
        several = len(part) > 1 and np.ptp(x) > 0
        result.append(
            {
                "family": family,
                "models": len(part),
                "smallest": format_count(part["n_parameters"].min()),
                "largest": format_count(part["n_parameters"].max()),
                "r with log parameters": fit_line(x, y).r
                if several and len(part) >= MINIMUM_POINTS
                else np.nan,
                "slope per decade": np.polyfit(x, y, 1)[0] if several else np.nan,
            }
        )
    table = pd.DataFrame(result).sort_values(["models", "family"], ascending=[False, True])
    return table.reset_index(drop=True)


def sensitivity(
    table: pd.DataFrame,
    voxels: str,
    statistic: str,
    hemisphere: str,
    n_boot: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The same line under other choices of models.

    Parameters
    ----------
    table, voxels, statistic, hemisphere, n_boot, rng
        As for `fit_scaling`.

    Returns
    -------
    pandas.DataFrame
        Rows: all models; without the three smallest; without the three largest; whole families
        drawn instead of models (where there are three families or more); untrained models of each
        family and seed. Columns what, models, r with log parameters, slope per decade, 95 %
        interval (none under six models).
    """
    rows = select(table, voxels, statistic, hemisphere)

    def fit(part: pd.DataFrame, groups: np.ndarray | None = None) -> LineFit:
        few = len(part) < MINIMUM_BOOTSTRAP
        samples = None if few else bootstrap_indices(len(part), n_boot, rng, groups)
        return fit_line(log_parameters(part), part["score"].to_numpy(), samples)

    lines = {"all models": fit(rows)}
    if len(rows) >= MINIMUM_POINTS + 3:
        lines["without the three smallest"] = fit(rows.iloc[3:])
        lines["without the three largest"] = fit(rows.iloc[:-3])
    if rows["family"].nunique() >= 3:
        lines["all models, whole families drawn"] = fit(rows, rows["family"])
    wanted = {"voxels": voxels, "statistic": statistic, "hemisphere": hemisphere}
    untrained = matching(table, **wanted, kind="untrained")
    for (family, seed), part in untrained.groupby(["family", "seed"]):
        if len(part) >= MINIMUM_POINTS:
            lines[f"untrained {family}, seed {seed}"] = fit(part)
    return pd.DataFrame([{"what": what, **line_columns(line)} for what, line in lines.items()])


def model_table(table: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the language models, one row each, smallest first.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, parameters, whole brain, reliable voxels.
    """
    scores = {voxels: select(table, voxels) for voxels in ("all", "reliable")}
    result = scores["all"][["model", "family"]].copy()
    result["parameters"] = scores["all"]["n_parameters"].astype(int)
    for voxels, name in [("all", "whole brain"), ("reliable", "reliable voxels")]:
        result[name] = scores[voxels].set_index("model")["score"].loc[result["model"]].to_numpy()
    return result


def paper_rows(table: pd.DataFrame) -> list[Printed]:
    """The paper's correlations of the mean score with log parameters, beside those found here.

    Parameters
    ----------
    table
        A score table.

    Returns
    -------
    list of comparison.Printed
        r and p of the whole brain and of the reliable voxels.
    """
    of = [("whole brain", "all", "wb_mean"), ("reliable voxels", "reliable", "rv_mean")]
    fits = []
    for where, voxels, panel in of:
        rows = select(table, voxels)
        fits.append((where, panel, fit_line(log_parameters(rows), rows["score"].to_numpy())))
    return of_fits(fits)


def ceiling_comparison(table: pd.DataFrame) -> pd.DataFrame | None:
    """What a perfect model would score in a simulated brain, beside the largest model's score.

    Parameters
    ----------
    table
        A score table.

    Returns
    -------
    pandas.DataFrame or None
        One row per voxels and hemisphere: noise ceiling (truth), score of the largest model
        (recovered), their ratio. None where the table has no noise ceiling.
    """
    if not (table["kind"] == CEILING).any():
        return None
    rows = []
    for voxels in ("all", "reliable"):
        for hemisphere, name in {"both": "both", "L": "left", "R": "right"}.items():
            ceiling = select(table, voxels, "mean", hemisphere, CEILING).iloc[0]
            largest = select(table, voxels, "mean", hemisphere).iloc[-1]
            rows.append(
                {
                    "voxels": voxels,
                    "hemisphere": name,
                    "noise ceiling (truth)": ceiling["score"],
                    f"{largest['model']} (recovered)": largest["score"],
                    "recovered / truth": largest["score"] / ceiling["score"],
                }
            )
    return pd.DataFrame(rows)


def numbers(table: pd.DataFrame, fit: LineFit, regions: pd.DataFrame | None) -> dict[str, float]:
    """Numbers of the page.

    Parameters
    ----------
    table
        A score table.
    fit
        The line drawn.
    regions
        From `regions.roi_table` or `published.region_table`; None without regions.

    Returns
    -------
    dict
        `n_models`, `r_log_parameters`, `slope_per_decade`, the edges of their intervals, and
        `score_<model>_<region>`: the mean of both hemispheres, or each by itself in a study whose
        responses are those of whole regions.
    """
    result = {
        "n_models": fit.n,
        "r_log_parameters": fit.r,
        "slope_per_decade": fit.slope,
        "ci_low_r_log_parameters": fit.r_interval[0],
        "ci_high_r_log_parameters": fit.r_interval[1],
        "ci_low_slope_per_decade": fit.slope_interval[0],
        "ci_high_slope_per_decade": fit.slope_interval[1],
    }
    if regions is not None:
        rows = regions[regions["kind"] == LANGUAGE_MODEL]
        if (rows["n_voxels"] == 1).all():  # a study of whole regions: "LATL", "RATL"
            rows = rows.assign(roi=rows["hemisphere"] + rows["roi"])
        means = rows.groupby(["model", "roi"], sort=False)["score"].mean()
        result |= {f"score_{model}_{roi}": score for (model, roi), score in means.items()}
    return result
