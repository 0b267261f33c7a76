"""What could fool us? Other choices of models, layers, baselines and divisors.

Every function takes the `evidence` of one study, published or computed, and what was noted when the
paper was read (`published/critical_reading.csv`) is held against what they give.
"""

import numpy as np
import pandas as pd

from brainalign import published
from brainalign.comparison import Printed
from brainalign.evidence import (
    QUANTITIES,
    WHOLE_BRAIN,
    Evidence,
    layer_bias,
    normalised_fit,
    normalised_rows,
    one_layer_rows,
    quantity_rows,
)
from brainalign.lateralization import zero_crossing
from brainalign.regions import baseline_rows
from brainalign.regression import HIDDEN, LAYERS, LN_PARAMETERS, ols_controls, with_sizes
from brainalign.scaling import log_parameters
from brainalign.statistics import bootstrap_indices, fit_line
from brainalign.wording import interval

ALL, SMALLEST, LARGEST, FAMILIES, DRAWN, ONE_LAYER = (
    "all models",
    "without the three smallest",
    "largest two thirds",
    "a constant for each family",
    "whole families drawn",
    "best single layer",
)


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """The largest two thirds; of the paper's 28 the 19 with more than a billion parameters."""
    return rows.tail(-(-2 * len(rows) // 3))


def line_choices(
    found: Evidence, quantity: str, n_boot: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Slope on log10 parameters under other choices of models and layers.

    Parameters
    ----------
    found
        From `evidence.gather`.
    quantity
        One of `QUANTITIES`.
    n_boot
        Bootstrap samples of families.
    rng
        Seeded generator.

    Returns
    -------
    pandas.DataFrame
        One row per choice: choice, models, r, slope (per decade), low, high (95 % interval: least
        squares over models, or percentiles where whole families are drawn), p. Families need at
        least three of them, and the best single layer is known of reliable voxels only.
    """
    rows = quantity_rows(found, quantity)
    choices = [_line(ALL, rows), _line(SMALLEST, rows.iloc[3:]), _line(LARGEST, largest(rows))]
    if 3 <= rows["family"].nunique() < len(rows) - 1:
        choices += [_within_families(rows), _families_drawn(rows, n_boot, rng)]
    if quantity != WHOLE_BRAIN:
        choices.append(_line(ONE_LAYER, one_layer_rows(found, quantity)))
    return pd.DataFrame(choices)


def all_choices(found: Evidence, n_boot: int, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """`line_choices` of every one of `QUANTITIES`."""
    return {name: line_choices(found, name, n_boot, rng) for name in QUANTITIES}


def _line(choice: str, rows: pd.DataFrame) -> dict[str, object]:
    from scipy import stats

    x, y = log_parameters(rows), rows["score"].to_numpy()
    line = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    return _choice(choice, len(x), line.rvalue, line.slope, (-half, half), line.pvalue)


def _within_families(rows: pd.DataFrame) -> dict[str, object]:
    """Least squares of score ~ family + log size: what sizes tell within families."""
    import statsmodels.formula.api as formula

    fit = formula.ols("score ~ C(family) + size", rows.assign(size=log_parameters(rows))).fit()
    slope, t = fit.params["size"], fit.tvalues["size"]
    r = t / np.sqrt(t**2 + fit.df_resid)
    edges = fit.conf_int().loc["size"].to_numpy() - slope
    return _choice(FAMILIES, len(rows), r, slope, edges, fit.pvalues["size"])


def _families_drawn(rows: pd.DataFrame, n_boot: int, rng: np.random.Generator) -> dict[str, object]:
    """The line of all models, with an interval over samples of whole families."""
    samples = bootstrap_indices(len(rows), n_boot, rng, rows["family"])
    fit = fit_line(log_parameters(rows), rows["score"].to_numpy(), samples)
    edges = np.array(fit.slope_interval) - fit.slope
    return _choice(DRAWN, fit.n, fit.r, fit.slope, edges, np.nan)


def _choice(name: str, n: int, r: float, slope: float, edges: tuple, p: float) -> dict[str, object]:
    around = {"low": slope + edges[0], "high": slope + edges[1]}
    return {"choice": name, "models": n, "r": r, "slope": slope, **around, "p": p}


def shape_table(found: Evidence) -> pd.DataFrame:
    """The same quantities regressed on size, number of layers and width together.

    Parameters
    ----------
    found
        From `evidence.gather`.

    Returns
    -------
    pandas.DataFrame
        Columns quantity, term, coefficient (layers and width per standard deviation of theirs, size
        per unit of ln N), 95 % interval, p, R².

    Raises
    ------
    InputError
        Where size, layers and width of the models follow from each other.
    """
    parts = []
    for quantity in QUANTITIES:
        rows = with_sizes(quantity_rows(found, quantity))
        fit = ols_controls(rows).set_index("term").drop("constant")
        # One more layer and one more unit are too little to compare with a factor in size.
        unit = pd.Series(
            {LN_PARAMETERS: 1.0, LAYERS: rows["n_layers"].std(), HIDDEN: rows["n_hidden"].std()}
        )
        scaled = fit[["coefficient", "ci_low", "ci_high"]].mul(unit, axis=0)
        edges = zip(scaled["ci_low"], scaled["ci_high"], strict=True)
        parts.append(
            pd.DataFrame(
                {
                    "quantity": quantity,
                    "term": fit.index,
                    "coefficient": scaled["coefficient"].to_numpy(),
                    "95 % interval": [interval(pair) for pair in edges],
                    "p": fit["p"].to_numpy(),
                    "R²": fit["r_squared"].to_numpy(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def baseline_table(rows: pd.DataFrame) -> pd.DataFrame:
    """How many models favour the left in each region, before and after a baseline is subtracted.

    Parameters
    ----------
    rows
        From `regions.baseline_rows`.

    Returns
    -------
    pandas.DataFrame
        Columns region, models, left higher (raw), mean left − right (raw), baseline left − right,
        left higher (less baseline), mean left − right (less baseline).
    """
    table = rows.groupby("roi", sort=False).agg(
        models=("raw", "size"),
        raw_left=("raw", lambda values: int((values > 0).sum())),
        raw=("raw", "mean"),
        baseline=("baseline", "first"),
        left=("subtracted", lambda values: int((values > 0).sum())),
        subtracted=("subtracted", "mean"),
    )
    names = {
        "raw_left": "left higher, raw",
        "raw": "left − right, raw",
        "baseline": "left − right of the baseline",
        "left": "left higher, less baseline",
        "subtracted": "left − right, less baseline",
    }
    return table.rename(columns=names).rename_axis("region").reset_index()


def _n_listeners(listeners: pd.DataFrame | None, statistic: str) -> float:
    """Individuals whose left minus right grows with size, p < .05; NaN without individuals."""
    if listeners is None:
        return np.nan
    rows = listeners[(listeners["statistic"] == statistic) & (listeners["hemisphere"] == "L-R")]
    lines = [
        fit_line(log_parameters(one), one["score"].to_numpy())
        for _, one in rows.groupby("listener")
    ]
    return sum(line.p < 0.05 and line.slope > 0 for line in lines)


def findings(found: Evidence, choices: dict[str, pd.DataFrame]) -> dict[str, float]:
    """What the table of the critical reading states, found in these scores.

    Parameters
    ----------
    found
        From `evidence.gather`.
    choices
        From `all_choices`.

    Returns
    -------
    dict
        Names as in `published/critical_reading.csv`; slopes per unit of ln N. A name that these
        scores know nothing of is missing or NaN.
    """
    score, lines, whole = (choices[name].set_index("choice") for name in QUANTITIES)
    bias, per_ln = layer_bias(found)["bias"], np.log(10)
    result = {
        "r_single_layer": score.loc[ONE_LAYER, "r"],
        "slope_single_layer": score.loc[ONE_LAYER, "slope"] / per_ln,
        "layer_bias": bias.mean(),
        "layer_bias_lowest": bias.min(),
        "layer_bias_highest": bias.max(),
        "slope_difference": lines.loc[ALL, "slope"] / per_ln,
        "r_difference_without_smallest": lines.loc[SMALLEST, "r"],
        "r_difference_largest": lines.loc[LARGEST, "r"],
        "p_difference_largest": lines.loc[LARGEST, "p"],
        "r_difference_largest_whole": whole.loc[LARGEST, "r"],
        "p_difference_largest_whole": whole.loc[LARGEST, "p"],
        "n_listeners": _n_listeners(found.listeners, "mean"),
        "n_listeners_p90": _n_listeners(found.listeners, "90th percentile"),
    }
    if FAMILIES in lines.index:
        result["slope_difference_families"] = lines.loc[FAMILIES, "slope"] / per_ln
        result["p_difference_families"] = lines.loc[FAMILIES, "p"]
    return result | _normalised_findings(found) | _region_findings(found)


def _normalised_findings(found: Evidence) -> dict[str, float]:
    return {
        "crossing_normalised": zero_crossing(normalised_fit(found)),
        "n_negative_normalised": int((normalised_rows(found)["score"] < 0).sum()),
    }


def _region_findings(found: Evidence) -> dict[str, float]:
    if found.scores.regions is None:
        return {}
    result = {}
    for roi, rows in baseline_rows(found.scores.regions).groupby("roi"):
        result[f"n_right_{roi}"] = int((rows["raw"] < 0).sum())
        result[f"baseline_{roi}"] = rows["baseline"].iloc[0]
    return result


def claims(found: dict[str, float]) -> list[Printed]:
    """What was noted when the paper was read, beside what is found here.

    Parameters
    ----------
    found
        From `findings`.

    Returns
    -------
    list of Printed
        For `comparison.compare`.
    """
    return [
        Printed(
            row.what,
            row.value,
            found.get(row.name),
            None if np.isnan(row.tolerance) else row.tolerance,
            None if np.isnan(row.factor) else row.factor,
            row.signed == "yes",
        )
        for row in published.critical_reading().itertuples(index=False)
    ]


def choices_table(choices: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """`all_choices` as one table of a page."""
    rows = pd.concat(choices, names=["quantity"]).reset_index("quantity")
    edges = [interval(pair) for pair in zip(rows["low"], rows["high"], strict=True)]
    rows = rows.assign(**{"95 % interval": edges}).drop(columns=["low", "high"])
    names = {"r": "r with log parameters", "slope": "slope per decade"}
    columns = ["quantity", "choice", "models", *names.values(), "95 % interval", "p"]
    return rows.rename(columns=names)[columns]
