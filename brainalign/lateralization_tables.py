"""Tables beside the asymmetry: other choices, what should show none, and what the paper prints."""

import math

import numpy as np
import pandas as pd

from brainalign import published
from brainalign.alt_text import KIND_NAMES
from brainalign.comparison import Printed, of_fits
from brainalign.lateralization import MEASURES, interaction
from brainalign.scaling import CEILING, log_parameters, matching, sensitivity
from brainalign.statistics import MINIMUM_POINTS, LineFit, fit_line
from brainalign.wording import interval, number


def trust_table(
    table: pd.DataFrame, measure: str, n_boot: int, rng: np.random.Generator
) -> pd.DataFrame:
    """The slope of L-R under other choices: fewer models, whole families drawn, untrained models.

    Parameters
    ----------
    table, measure, n_boot, rng
        As for `hemisphere_fits`.

    Returns
    -------
    pandas.DataFrame
        One row per choice: what, models, r, slope per decade, 95 % interval.
    """
    from scipy import stats

    voxels, statistic, _ = MEASURES[measure]
    rows = sensitivity(table, voxels, statistic, "L-R", n_boot, rng)
    test = interaction(table, measure)
    half = stats.t.ppf(0.975, test["freedom"]) * test["standard_error"]
    edges = (test["coefficient"] - half, test["coefficient"] + half)
    regression = {
        "what": f"regression: hemisphere × log size (t = {test['t']:.1f}, p = {test['p']:.2g})",
        "models": int(test["freedom"]) + 2,
        "slope per decade": test["coefficient"],
        "95 % interval": interval(edges),
    }
    return pd.concat([rows, pd.DataFrame([regression])], ignore_index=True)


def paper_rows(fits: dict[str, dict[str, LineFit]], regions: dict[str, LineFit]) -> list[Printed]:
    """The paper's tests of L-R against log parameters and those found here, for `compare`.

    Parameters
    ----------
    fits
        From `all_fits`.
    regions
        Region -> line of its L-R, from `regions.difference_fits`; those that the paper does not
        have are left out.
    """
    tests = [
        (f"{measure}, left − right", f"{panel}_LmR", fits[measure]["L-R"])
        for measure, (_, _, panel) in MEASURES.items()
    ]
    tests += [
        (f"{name}, left − right", f"roi_{name} L-R", regions[name])
        for name in published.roi_slopes()["roi"]
        if name in regions
    ]
    return of_fits(tests)


def ols_table(fit: pd.DataFrame) -> pd.DataFrame:
    """A regression with controls, as a page shows it.

    Parameters
    ----------
    fit
        From `regression.ols_controls`.

    Returns
    -------
    pandas.DataFrame
        Columns term, coefficient (per unit of its term), 95 % interval, t, p, R².
    """
    edges = [*zip(fit["ci_low"], fit["ci_high"], strict=True)]
    # Terms have units of their own: two digits of how far each interval reaches to either side.
    digits = [max(0, 1 - math.floor(math.log10((high - low) / 2 or 1))) for low, high in edges]
    return pd.DataFrame(
        {
            "term": fit["term"],
            "coefficient": [*map(number, fit["coefficient"], digits)],
            "95 % interval": [*map(interval, edges, digits)],
            "t": fit["t"],
            "p": fit["p"],
            "R²": fit["r_squared"],
        }
    )


def alike_text(regions: dict[str, LineFit]) -> str:
    """Whether intervals leave out 0 in regions whose two sides were planted alike, and why they can.

    Parameters
    ----------
    regions
        Region -> line of its L-R; of these regions.
    """
    apart = [name for name, fit in regions.items() if np.prod(fit.slope_interval) > 0]
    found = f"leaves out 0 in {' and '.join(apart)}" if apart else "holds 0 in all of them"
    return (
        f"Planted alike on both sides: {' and '.join(regions)}. The interval of the slope of "
        f"left − right {found}. It is an interval over models, which all share these voxels and their "
        "noise: it says what other *models* would give, not what other listeners would."
    )


def null_table(table: pd.DataFrame, measure: str, regions: dict[str, LineFit]) -> pd.DataFrame:
    """What should show no asymmetry that grows with size, and what it shows.

    Parameters
    ----------
    table
        A score table.
    measure
        One of `MEASURES`.
    regions
        Region -> line of its L-R; of regions whose two sides were planted alike.

    Returns
    -------
    pandas.DataFrame
        Columns what, n (models or seeds), slope of left − right per decade, left − right (mean);
        the language models themselves in the first row.
    """
    voxels, statistic, _ = MEASURES[measure]
    rows = matching(table, voxels=voxels, statistic=statistic, hemisphere="L-R")
    result = []
    for kind, part in rows[rows["kind"] != CEILING].groupby("kind", sort=False):
        # One line for all models; of untrained copies, the mean over families and seeds.
        lines = [
            fit_line(log_parameters(own), own["score"].to_numpy()).slope
            for _, own in part.groupby(["family", "seed"] if kind == "untrained" else "kind")
            if own["n_parameters"].nunique() >= MINIMUM_POINTS
        ]
        slope = np.mean(lines) if lines else np.nan
        result.append((KIND_NAMES.get(kind, kind), len(part), slope, part["score"].mean()))
    for name, fit in regions.items():
        result.append((f"language models in {name}", fit.n, fit.slope, np.nan))
    columns = ["what", "n", "slope of left − right per decade", "left − right"]
    return pd.DataFrame(result, columns=columns)
