"""Tables of `isc_reliability`: regions, left against right, the paper, the truth."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign import published
from brainalign.comparison import Printed
from brainalign.reliability import reliable_voxels
from brainalign.reliability_summary import (
    LEAVE_ONE_OUT,
    LISTENER,
    SIDES,
    SPLIT,
    SPLIT_HALVES,
    StudyReliability,
    areas,
    differences,
    interval_name,
    mean_interval,
    own_names,
    reliable_counts,
    unit_means,
)
from brainalign.study import Study, hemispheres
from brainalign.wording import interval


def area_table(found: StudyReliability) -> pd.DataFrame:
    """Reliability of every area, means over its voxels.

    Returns
    -------
    pandas.DataFrame
        Columns region, hemisphere, voxels, the study's measure with its interval, and the other
        measures at hand. A study of regions names them as its data do, and has the null of each
        instead of a number of voxels.
    """
    others = {
        SPLIT_HALVES: None if found.halves is None else found.halves.mean("split"),
        "noise ceiling": found.ceiling,
    }
    means, names, rows = unit_means(found), own_names(found), []
    for (region, side), keep in areas(found).items():
        row = {
            "region": names[region, side],
            "hemisphere": SIDES.get(side, side),
            "voxels": int(keep.sum()),
            found.measure: float(np.nanmean(found.isc.to_numpy()[keep])),
            interval_name(found.unit): interval(mean_interval(means[region, side], found.unit)),
        }
        row |= {
            name: float(np.nanmean(values.to_numpy()[keep]))
            for name, values in others.items()
            if values is not None
        }
        if found.study.of_regions:
            del row["voxels"]
            row["95 % point of shifted listeners"] = float(found.null[:, keep].quantile(0.95))
        rows.append(row)
    return pd.DataFrame(rows)


def difference_table(found: StudyReliability) -> pd.DataFrame:
    """Left minus right of every area that has both hemispheres.

    Returns
    -------
    pandas.DataFrame
        Columns region, left, right, left − right and its interval; with listeners also how many of
        them are higher on the left, and t, degrees of freedom and p of the paired t-test, with q,
        its false discovery rate over the regions. A simulated study has what was planted, too:
        the true noise ceiling on the left minus that on the right, of whole runs.
    """
    means, rows = unit_means(found), []
    for region, values in differences(found).items():
        row = {
            "region": region,
            "left": means[region, "L"].mean(),
            "right": means[region, "R"].mean(),
            "left − right": values.mean(),
            interval_name(found.unit): interval(mean_interval(values, found.unit)),
            f"{found.unit}s higher on the left": f"{(values > 0).sum()} of {len(values)}",
        }
        if found.unit == LISTENER:
            test = stats.ttest_1samp(values, 0)
            row |= {"t": float(test.statistic), "df": int(test.df), "p": float(test.pvalue)}
        rows.append(row)
    table = pd.DataFrame(rows)
    if found.unit == LISTENER and len(table) > 1:
        table["q"] = stats.false_discovery_control(table["p"])
    if found.study.truth is not None:
        masks, truth = areas(found), found.study.truth["noise_ceiling"].to_numpy()
        sides = [[truth[masks[region, side]].mean() for side in "LR"] for region in table["region"]]
        table["planted"] = [float(left - right) for left, right in sides]
    return table


def _paper_quantities(study: Study, isc: xr.DataArray, reliable: xr.DataArray) -> dict[str, float]:
    """Numbers of one map, under the names of `published.isc_summary`."""
    counts = reliable_counts(study, reliable)
    quantities = {
        "n_voxels": study.n_voxels,
        "isc_mean": float(isc.mean()),
        "isc_p75": reliable.attrs["threshold"],
        "isc_max": float(isc.max()),
        "n_reliable": counts["n_reliable"],
        "n_reliable_strict_L": counts["n_reliable_left"],
        "n_reliable_midline": counts["n_reliable_midline"],
        "n_reliable_strict_R": counts["n_reliable_right"],
        "n_reliable_code_L": counts["n_reliable_left_published"],
        "n_reliable_code_R": counts["n_reliable_right_published"],
    }
    side = hemispheres(study.voxels, "published")
    for name in ("L", "R"):
        inside = reliable.to_numpy() & (side == name)
        quantities[f"isc_reliable_code_{name}"] = float(isc.to_numpy()[inside].mean())
    return quantities


_PAPER_ROWS = {
    "n_voxels": "voxels",
    "isc_mean": "mean over voxels",
    "isc_max": "highest voxel",
    "isc_p75": "threshold",
    "n_reliable": "reliable voxels",
    "n_reliable_strict_L": "left of the midline",
    "n_reliable_midline": "on the midline",
    "n_reliable_strict_R": "right of the midline",
    "n_reliable_code_L": "left (published rule)",
    "n_reliable_code_R": "right (published rule)",
    "isc_reliable_code_L": "mean of reliable voxels, left (published rule)",
    "isc_reliable_code_R": "mean of reliable voxels, right (published rule)",
}


def paper_rows(found: StudyReliability) -> list[Printed] | None:
    """The paper's English listeners beside this study, by the paper's measure where it is at hand.

    Returns
    -------
    list of comparison.Printed or None
        None for a study of regions, to which the paper has nothing to compare. The published map
        must give the paper's numbers to the last digit; of other listeners only which side has
        more reliable voxels is compared.
    """
    if found.study.of_regions:
        return None
    paper = published.isc_summary().set_index("lang").loc["en"]
    isc = found.isc if found.halves is None else found.halves.mean("split")
    reliable = reliable_voxels(isc, found.reliable.attrs["quantile"])
    here = _paper_quantities(found.study, isc, reliable)
    rows = []
    for name, label in _PAPER_ROWS.items():
        count = name.startswith("n_")
        values = (int(one[name]) if count else float(one[name]) for one in (paper, here))
        rows.append(Printed(label, *values, tolerance=0 if count else 5e-5, signed=False))
    sides = [
        sorted(("left", "right"), key=lambda side, of=of: -of[f"n_reliable_code_{side[0].upper()}"])
        for of in (paper, here)
    ]
    return [*rows, Printed("reliable voxels, by side", *sides)]


def is_the_papers(found: StudyReliability) -> bool:
    """Whether a summary is of the map of reliability whose numbers the paper prints."""
    return found.unit == SPLIT and found.study.language == "en"


def truth_comparison(found: StudyReliability) -> pd.DataFrame | None:
    """Noise ceiling put into a simulated study, beside what the halves of its listeners give.

    Returns
    -------
    pandas.DataFrame or None
        Columns region, hemisphere, true and estimated noise ceiling, means over voxels; None
        without a truth.
    """
    if found.study.truth is None:
        return None
    truth, estimate = found.study.truth["noise_ceiling"].to_numpy(), found.ceiling.to_numpy()
    return pd.DataFrame(
        [
            {
                "region": region,
                "hemisphere": SIDES.get(side, side),
                "true noise ceiling": truth[keep].mean(),
                "estimated": estimate[keep].mean(),
            }
            for (region, side), keep in areas(found).items()
        ]
    )


def agreement(found: StudyReliability) -> pd.DataFrame:
    """How far leave-one-out ISC and the prediction of halves agree.

    Parameters
    ----------
    found
        With `halves`.

    Returns
    -------
    pandas.DataFrame
        One row per measure: mean, threshold, reliable voxels, those of them that are reliable by
        both measures, and the correlation of both over voxels.
    """
    maps = {LEAVE_ONE_OUT: found.isc, SPLIT_HALVES: found.halves.mean("split")}
    quantile = found.reliable.attrs["quantile"]
    chosen = {name: reliable_voxels(isc, quantile) for name, isc in maps.items()}
    common = int(np.logical_and(*(keep.to_numpy() for keep in chosen.values())).sum())
    return pd.DataFrame(
        [
            {
                "measure": name,
                "mean over voxels": float(isc.mean()),
                "threshold": chosen[name].attrs["threshold"],
                "reliable voxels": int(chosen[name].sum()),
                "reliable by both": common,
                "r over voxels": float(xr.corr(*maps.values())),
            }
            for name, isc in maps.items()
        ]
    )
