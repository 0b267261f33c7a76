"""Tables and numbers of the page on regions of interest, from what `region_scores` gives."""

import numpy as np
import pandas as pd

from brainalign import published
from brainalign.comparison import Printed, correlation
from brainalign.inference import Resample
from brainalign.region_scores import SIDE_NAMES, RegionScores, SlopeMethod, resampled
from brainalign.regions import planted_table
from brainalign.simulations import PAPER_R, PAPER_T, WAYS
from brainalign.spatial import MapCorrelation
from brainalign.statistics import pearson
from brainalign.wording import interval, number

# The paper's figure gives slopes to about this much per ln(parameters).
SLOPE_TOLERANCE = 1e-4
# How often 95 % intervals cover the truth, in words: from these parts on.
_REACHED = (
    (0.97, "more often than they need to"),
    (0.95, "as often as they should"),
    (0.9, "nearly as often as they should"),
    (0.0, "less often than they should"),
)


def note(found: RegionScores, method: SlopeMethod, resample: Resample) -> str:
    """Small print of the figure: what the bars are, and how layers were chosen."""
    models, runs = (found.folds.sizes[dim] for dim in ("model", "fold"))
    if method == "published":
        bars = "95 % intervals over voxels, as if these were independent"
    else:
        units = {"models": f"{models} models", "runs": f"{runs} runs"}
        units["both"] = f"{units['models']} and {units['runs']}"
        bars = f"95 % intervals, {method} over {units[resampled(found, resample)]}"
    return f"bars: {bars}\nlayers: {found.layer_rule} rule"


def page_table(table: pd.DataFrame) -> pd.DataFrame:
    """`slope_table` as it is printed: one row per region, the interval of L − R as text."""
    edges = zip(table["low_L-R"], table["high_L-R"], strict=True)
    return pd.DataFrame(
        {
            "region": table["region"],
            "slope, left": table["slope_L"],
            "slope, right": table["slope_R"],
            "slope, left − right": table["slope_L-R"],
            "95 % interval": [interval(pair) for pair in edges],
            "p": table["p"],
            "p, corrected": table["p_corrected"],
            "r of left − right": table["r"],
        }
    )


def model_table(found: RegionScores) -> pd.DataFrame:
    """Scores of the language models per region and side, one row each, smallest first.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, parameters, and for each region left, right, left − right.
    """
    means = found.folds.mean("fold")
    columns = {
        "model": means["model"].to_numpy(),
        "family": means["family"].to_numpy(),
        "parameters": means["n_parameters"].to_numpy().astype(int),
    }
    for region in means["region"].to_numpy():
        for side, name in {"L": "left", "R": "right", "L-R": "left − right"}.items():
            columns[f"{region}, {name}"] = means.sel(region=region, side=side).to_numpy()
    return pd.DataFrame(columns)


def numbers(found: RegionScores, table: pd.DataFrame) -> dict[str, float]:
    """Numbers of the page: slope of L − R of every region, its interval, and r with log size.

    Parameters
    ----------
    found
        From `region_scores.region_scores`.
    table
        From `region_scores.slope_table`.

    Returns
    -------
    dict
        `n_models`, `n_regions`, and with the suffix `_difference_<region>`: `slope`, `ci_low`,
        `ci_high` (per decade) and `r_log_parameters`.
    """
    columns = {
        "slope": "slope_L-R",
        "ci_low": "low_L-R",
        "ci_high": "high_L-R",
        "r_log_parameters": "r",
    }
    result = {"n_models": found.folds.sizes["model"], "n_regions": len(table)}
    for row in table.to_dict("records"):
        result |= {
            f"{name}_difference_{row['region']}": row[column] for name, column in columns.items()
        }
    return result


def paper_rows(found: RegionScores, table: pd.DataFrame, method: SlopeMethod) -> list[Printed]:
    """What the paper says of its seven regions, beside `slope_table`, for `comparison.compare`.

    Parameters
    ----------
    found
        From `region_scores`.
    table, method
        From `slope_table`, and the method it was made with. The paper's t-tests over voxels are
        printed only, unless the method is "published" and there are voxels to test.
    """
    printed = published.roi_slopes().set_index("roi")
    own = table.set_index("region")
    shared = [name for name in own.index if name in printed.index]
    known = printed.loc[shared]
    steepest = (known["slope_L_per_lnN"] - known["slope_R_per_lnN"]).sort_values(ascending=False)
    order = Printed("order of the slopes of L − R", list(steepest.index), shared)
    rows = [order] if len(shared) > 1 else []
    for name in shared:
        row = printed.loc[name]
        for side in "LR":
            here = own.loc[name, f"slope_{side}"] / np.log(10)
            what = f"{name}, slope {SIDE_NAMES[side]} per ln N"
            rows.append(Printed(what, row[f"slope_{side}_per_lnN"], here, SLOPE_TOLERANCE))
        rows += correlation(
            f"{name}, L − R", f"roi_{name} L-R", own.loc[name, "r"], own.loc[name, "p_r"]
        )
        tested = method == "published" and found.voxels is not None
        here = own.loc[name, "p"] if tested else None
        rows.append(
            Printed(
                f"{name}, t-test over voxels: p", row["printed_ttest_LvsR_p"], here, signed=False
            )
        )
    return rows


def truth_table(found: RegionScores, table: pd.DataFrame) -> pd.DataFrame | None:
    """Planted asymmetry of every region, beside the slope of L − R that was found.

    Parameters
    ----------
    found
        From `region_scores`.
    table
        From `slope_table`.

    Returns
    -------
    pandas.DataFrame or None
        Columns region, planted discourse weight L − R, slope of L − R, 95 % interval; the largest
        planted difference first. None without a truth.
    """
    if found.truth is None:
        return None
    planted = planted_table(found.truth).loc[table["region"]]
    edges = zip(table["low_L-R"], table["high_L-R"], strict=True)
    rows = pd.DataFrame(
        {
            "region": table["region"],
            "planted discourse weight L − R": (
                planted["weight_L"] - planted["weight_R"]
            ).to_numpy(),
            "slope of L − R": table["slope_L-R"],
            "95 % interval": [interval(pair) for pair in edges],
        }
    )
    return rows.sort_values("planted discourse weight L − R", ascending=False, ignore_index=True)


def recovery(truth: pd.DataFrame) -> float:
    """Correlation over regions of what was planted with what was found, of a `truth_table`."""
    columns = ("planted discourse weight L − R", "slope of L − R")
    return float(pearson(*(truth[name].to_numpy(dtype=float) for name in columns)))


def recovery_numbers(truth: pd.DataFrame, parcels: MapCorrelation) -> dict[str, float]:
    """Numbers of the page: how well planted differences are recovered."""
    return {
        "r_planted_recovered": recovery(truth),
        "r_planted_recovered_parcels": parcels.r,
        "p_planted_recovered_parcels": parcels.p,
    }


def recovery_text(truth: pd.DataFrame, parcels: MapCorrelation) -> str:
    """How well planted differences are recovered, in regions and in all parcels of the brain."""
    return (
        f"Over these {len(truth)} regions, planted and recovered differences correlate with "
        f"r = {number(recovery(truth), 2)}; over all {parcels.n} pairs of parcels of the brain, with "
        f"r = {number(parcels.r, 2)} (p = {parcels.p_independent:.1g} if parcels were independent, "
        f"p = {parcels.p:.2g} against {len(parcels.null):,} maps as smooth as the planted one)."
    )


def null_numbers(rates: pd.DataFrame) -> dict[str, float]:
    """Numbers of the page from `simulations.false_positives`."""
    own, paper = rates.set_index("test"), {PAPER_T: "t_test_voxels", PAPER_R: "r_log_parameters"}
    return {
        **{
            f"null_coverage_{way.method}_{way.resample}": own.loc[way.name, "coverage"]
            for way in WAYS
        },
        **{f"false_positives_{name}": own.loc[test, "rate"] for test, name in paper.items()},
    }


def null_table(rates: pd.DataFrame) -> pd.DataFrame:
    """`simulations.false_positives` as it is printed: one row per test, the interval as text."""
    edges = zip(rates["low"], rates["high"], strict=True)
    return pd.DataFrame(
        {
            "test": rates["test"],
            "regions × brains": rates["cells"],
            "false alarms": rates["rate"],
            "95 % interval": [interval(pair, 3) for pair in edges],
            "coverage of 0": rates["coverage"],
        }
    )


def null_text(rates: pd.DataFrame) -> str:
    """What the brains with nothing to find say, in a sentence or two."""
    own = rates.set_index("test")
    default, models = (own.loc[way.name, "coverage"] for way in (WAYS[-1], WAYS[0]))
    reached = next(words for least, words in _REACHED if default >= least)
    return (
        f"The default intervals cover 0 in {100 * default:.0f} % of regions and brains, {reached}; "
        f"those of a bootstrap over models in {100 * models:.0f} %, because noise that all models "
        f"share is the same in every sample. The paper's t-test over voxels calls "
        f"{100 * own.loc[PAPER_T, 'rate']:.0f} % of these differences significant, its correlation "
        f"over models {100 * own.loc[PAPER_R, 'rate']:.0f} %, where 5 % would be right."
    )
