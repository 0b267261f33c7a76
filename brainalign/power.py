"""How many listeners and runs are needed until the slope of left minus right is found?

Brains are simulated for a few designs. Each gives the slope to be expected and how much it varies
over models and from run to run; from these follows the power of the interval that
`inference.slopes` makes, for these and for other numbers of runs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.comparison import Printed
from brainalign.errors import InputError
from brainalign.inference import (
    fold_table,
    model_slopes,
    region_masks,
    slopes,
    variance_over_models,
)
from brainalign.study import Study

ALL_REGIONS = "all regions"
POWER = 0.8
PANELS = 4
# A single run has no spread, and a jackknife over two says next to nothing.
FEWEST_RUNS = 3


def with_mean(folds: xr.DataArray) -> xr.DataArray:
    """Scores per region, and their mean as one more region, `ALL_REGIONS`.

    Parameters
    ----------
    folds
        From `inference.fold_table`.
    """
    mean = folds.mean("region").expand_dims(region=[ALL_REGIONS])
    return xr.concat([folds, mean], "region", coords="minimal", compat="override")


def simulate_designs(
    listeners: Sequence[int],
    runs: Sequence[int],
    seeds: Sequence[int],
    models: Sequence[str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Simulated brains for every number of listeners with every number of runs, summed up.

    Parameters
    ----------
    listeners, runs
        Designs.
    seeds, models, **options
        As for `simulations.simulated_brains`.

    Returns
    -------
    pandas.DataFrame
        `design_summary` of every design, with the columns listeners and runs.

    Raises
    ------
    InputError
        For fewer than one listener or three runs.
    """
    from brainalign.simulations import simulated_brains

    _check_designs(listeners, runs)
    parts = []
    for n_runs in runs:
        for n_listeners in listeners:
            design = {"listeners": n_listeners, "n_runs": n_runs}
            scores = simulated_brains(seeds, models, **design, **options)
            summary = design_summary(with_mean(fold_table(scores)))
            parts.append(summary.assign(listeners=n_listeners, runs=n_runs))
    return pd.concat(parts, ignore_index=True)


def check_page(
    study: Study, regions: Sequence[str], runs: Sequence[int], more_runs: Sequence[int]
) -> None:
    """Refuse what the page could not show, before anything is simulated.

    Parameters
    ----------
    study
        With the regions of the simulated brains.
    regions
        Names, among them maybe `ALL_REGIONS`.
    runs, more_runs
        Simulated, and to predict power for.

    Raises
    ------
    InputError
        For no region, more than there are panels, or one without voxels on both sides; as
        `predicted_power`.
    """
    if not 1 <= len(regions) <= PANELS:
        raise InputError(f"regions has {len(regions)} names; from 1 to {PANELS} are expected.")
    region_masks(study.voxels, [name for name in regions if name != ALL_REGIONS])
    if runs and more_runs:
        _check_runs(more_runs, min(runs))


def _check_runs(runs: Sequence[int], fewest: int) -> None:
    if min(runs) < fewest:
        raise InputError(
            f"runs is {min(runs)}; power can be predicted from {fewest} runs, the fewest that were "
            "simulated."
        )


def _check_designs(listeners: Sequence[int], runs: Sequence[int]) -> None:
    if min(listeners, default=0) < 1 or min(runs, default=0) < FEWEST_RUNS:
        raise InputError(
            f"listeners is {list(listeners)} and runs {list(runs)}; from 1 listener and from "
            f"{FEWEST_RUNS} runs are expected."
        )


def design_summary(folds: xr.DataArray) -> pd.DataFrame:
    """Slopes of L − R in the simulated brains of one design, and what they vary with.

    Parameters
    ----------
    folds
        Dims (brain, model, fold, region, side), from `inference.fold_table`.

    Returns
    -------
    pandas.DataFrame
        One row per region: region; models, brains (their numbers); slope (mean over brains) and
        spread (standard deviation over brains); over_models (variance of the slope, jackknife) and
        of_a_run (variance of a single run's slope), means over brains; found (part of the brains
        whose default interval leaves out 0).
    """
    difference = folds.sel(side="L-R")
    by_fold = model_slopes(difference)
    over_models = variance_over_models(difference, folds["model"].to_numpy())
    fit = slopes(difference)
    outside = (fit["low"] > 0) | (fit["high"] < 0)
    return pd.DataFrame(
        {
            "region": folds["region"].to_numpy(),
            "models": folds.sizes["model"],
            "brains": folds.sizes["brain"],
            "slope": fit["slope"].mean("brain").to_numpy(),
            "spread": fit["slope"].std("brain", ddof=1).to_numpy(),
            "over_models": over_models.mean("brain").to_numpy(),
            "of_a_run": by_fold.var("fold", ddof=1).mean("brain").to_numpy(),
            "found": outside.mean("brain").to_numpy(),
        }
    )


def interval_power(
    slope: np.ndarray,
    over_models: np.ndarray,
    of_a_run: np.ndarray,
    models: int,
    runs: np.ndarray,
    level: float = 0.95,
) -> np.ndarray:
    """Chance that the default interval of `inference.slopes` leaves out 0.

    Parameters
    ----------
    slope
        To be expected.
    over_models, of_a_run
        Variances, see `design_summary`.
    models, runs
        Their numbers.
    level
        Of the interval.

    Returns
    -------
    numpy.ndarray
        From the noncentral t distribution; all arguments broadcast.
    """
    from scipy import stats

    over_runs = np.asarray(of_a_run) * (1 / runs + 1 / (runs - 1))
    variance = over_models + over_runs
    freedom = variance**2 / (over_models**2 / (models - 1) + over_runs**2 / (runs - 1))
    edge, away = stats.t.ppf((1 + level) / 2, freedom), np.abs(slope) / np.sqrt(variance)
    power = stats.nct.sf(edge, freedom, away) + stats.nct.cdf(-edge, freedom, away)
    # Far out, where the chance is 1 in any case, the distribution cannot be computed.
    return np.where(np.isnan(power), 1.0, power)


def predicted_power(designs: pd.DataFrame, runs: Sequence[int]) -> pd.DataFrame:
    """Power for other numbers of runs than those simulated.

    Parameters
    ----------
    designs
        From `simulate_designs`.
    runs
        From the fewest that were simulated. Between simulated numbers of runs slopes and variances
        are interpolated. Beyond the largest they stay: what more runs to learn from would add is
        left out, which makes the power there a cautious one.

    Returns
    -------
    pandas.DataFrame
        Columns region, listeners, runs, slope, power.

    Raises
    ------
    InputError
        For fewer runs than were simulated.
    """
    runs = np.asarray(runs, dtype=int)
    _check_runs(runs, int(designs["runs"].min()))
    parts = []
    for (region, n_listeners), part in designs.groupby(["region", "listeners"], sort=False):
        part = part.sort_values("runs")
        known = {
            name: np.interp(runs, part["runs"], part[name])
            for name in ("slope", "over_models", "of_a_run")
        }
        power = interval_power(**known, models=int(part["models"].iloc[0]), runs=runs)
        columns = {"region": region, "listeners": n_listeners, "runs": runs}
        parts.append(pd.DataFrame({**columns, "slope": known["slope"], "power": power}))
    return pd.concat(parts, ignore_index=True)


def runs_needed(predicted: pd.DataFrame, power: float = POWER) -> pd.DataFrame:
    """Fewest runs with which the slope is found with a given power.

    Parameters
    ----------
    predicted
        From `predicted_power`.
    power
        Part of the studies that shall find it.

    Returns
    -------
    pandas.DataFrame
        Columns region, then one for each number of listeners: runs as text, with "> 36" where the
        largest number of runs does not do, and "≤ 5" where the smallest does.
    """
    rows = []
    for region, part in predicted.groupby("region", sort=False):
        row = {"region": region}
        for n_listeners, design in part.groupby("listeners"):
            enough = design.loc[design["power"] >= power, "runs"]
            fewest, most = design["runs"].min(), design["runs"].max()
            if enough.empty:
                text = f"> {most}"
            else:
                text = f"≤ {fewest}" if enough.min() == fewest else f"{enough.min()}"
            row[f"{n_listeners} listener{'' if n_listeners == 1 else 's'}"] = text
        rows.append(row)
    return pd.DataFrame(rows)


def check_table(designs: pd.DataFrame, region: str = ALL_REGIONS) -> pd.DataFrame:
    """Power by the formula beside the part of the simulated brains in which the slope was found.

    Parameters
    ----------
    designs
        From `simulate_designs`.
    region
        One of its regions.

    Returns
    -------
    pandas.DataFrame
        Columns listeners, runs, brains, slope, spread over brains, power (formula), found.
    """
    part = designs[designs["region"] == region]
    power = interval_power(
        part["slope"].to_numpy(),
        part["over_models"].to_numpy(),
        part["of_a_run"].to_numpy(),
        part["models"].to_numpy(),
        part["runs"].to_numpy(),
    )
    return pd.DataFrame(
        {
            "listeners": part["listeners"],
            "runs": part["runs"],
            "brains": part["brains"],
            "slope of L − R": part["slope"],
            "spread over brains": part["spread"],
            "power (formula)": power,
            "found (part of brains)": part["found"],
        }
    )


def numbers(predicted: pd.DataFrame, designs: pd.DataFrame) -> dict[str, float]:
    """Numbers of the page: power of every simulated design for the mean of all regions.

    Returns
    -------
    dict
        `power_listeners_<n>_runs_<n>` by the formula and `found_listeners_<n>_runs_<n>`.
    """
    known = predicted.set_index(["region", "listeners", "runs"])["power"]
    result = {}
    for row in designs[designs["region"] == ALL_REGIONS].to_dict("records"):
        where = f"listeners_{row['listeners']}_runs_{row['runs']}"
        result[f"power_{where}"] = known[ALL_REGIONS, row["listeners"], row["runs"]]
        result[f"found_{where}"] = row["found"]
    return result


def paper_rows(predicted: pd.DataFrame, runs: int) -> list[Printed]:
    """Part of the paper's five listeners with a significant asymmetry, beside the power for few.

    Parameters
    ----------
    predicted
        From `predicted_power`.
    runs
        Number of runs of the row that is compared; the fewest listeners count.

    Returns
    -------
    list of comparison.Printed
        L − R of the whole brain and of the 90th percentile, beside the power for all regions.
    """
    tests = published.tests()
    fewest = predicted["listeners"].min()
    part = predicted[(predicted["region"] == ALL_REGIONS) & (predicted["listeners"] == fewest)]
    here = float(part.set_index("runs")["power"][runs])
    rows = []
    for name, what in {"LmR": "whole brain", "p90_LmR": "90th percentile"}.items():
        own = tests[tests["dependent"].str.fullmatch(rf"ind_EN\d+_{name}")]
        rows.append(
            Printed(
                f"{len(own)} listeners, {what}: part with p < .05",
                float((own["published_p"] < 0.05).mean()),
                here,
                signed=False,
            )
        )
    return rows
