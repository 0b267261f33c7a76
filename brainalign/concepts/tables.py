"""Tables and numbers of the page on concepts."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from brainalign import published
from brainalign.comparison import Printed
from brainalign.concepts.answers import (
    DEFAULT,
    PUBLISHED,
    SHARED,
    TRAINED,
    quartile_scores,
)
from brainalign.concepts.decoupling import published_relation
from brainalign.concepts.maps import (
    REGIONS,
    WHOLE,
    ConsistencyMap,
    chance_table,
    lateralization,
    recovered_table,
    recovery,
    region_table,
)
from brainalign.concepts.page import ConceptPage
from brainalign.spatial import MapCorrelation
from brainalign.studies.concepts.responses import PARADIGMS
from brainalign.wording import interval

#: Names of paradigms on axes and in tables.
PARADIGM_NAMES = {name: name.replace("_", " ") for name in PARADIGMS}
ANALYSES = {
    PUBLISHED: "published: quartiles, all stimuli",
    DEFAULT: "default: excess, other stimuli",
}
CONSTANT, VARYING = "constant consistency", "varying consistency"


def map_numbers(page: ConceptPage) -> dict[str, float]:
    """Numbers of the map: voxels by side and k, the highest one, regions.

    Returns
    -------
    dict
        `n_subjects`, `n_consistent`, `n_most`, `x_most`, ..., `n_left_k1`, `n_right_k1`, ...,
        `n_roi_<label or name>`, `probability_roi_...`, `selectivity_roi_...`; published regions by
        their label, simulated ones by their name. Of the published study also `n_concepts` and
        `n_trials`.
    """
    found = page.map
    rows = lateralization(found)
    top = found.voxels.iloc[int(found.counts.argmax())]
    numbers = {
        "n_subjects": found.n_subjects,
        "n_consistent": int((found.counts > 0).sum()),
        "n_most": int(found.counts.max()),
        **{f"{axis}_most": float(top[axis]) for axis in "xyz"},
    }
    for row in rows[rows["where"] == WHOLE].itertuples():
        numbers |= {f"n_left_k{row.k}": row.left, f"n_right_k{row.k}": row.right}
    for label, row in enumerate(region_table(found).itertuples(), start=1):
        name = label if page.study is None else row.region
        numbers |= {
            f"n_roi_{name}": row.voxels,
            f"probability_roi_{name}": row.probability,
            f"selectivity_roi_{name}": row.selectivity,
        }
    if page.published is not None:
        trials = page.published.trials
        numbers |= {"n_concepts": trials["concept"].nunique(), "n_trials": len(trials)}
    return numbers


def lateralization_table(found: ConsistencyMap) -> pd.DataFrame:
    """`maps.lateralization` as it is printed, with what chance gives for the published rule."""
    table = lateralization(found)
    shown = table.drop(columns="where") if table["where"].nunique() == 1 else table
    if found.rule == PUBLISHED:
        columns = chance_table(found).rename(columns={"voxels": "covered by half"})
        shown = shown.merge(columns, on="k")
        if REGIONS in table["where"].to_numpy():
            shown.loc[table["where"] == REGIONS, [*columns][1:]] = np.nan
    names = {"k": "participants, at least", "index": "(left − right) / (left + right)"}
    names |= {"chance": "chance, both sides"}
    return shown.rename(columns=names)


def page_regions(found: ConsistencyMap) -> pd.DataFrame:
    """`maps.region_table` as it is printed."""
    table = region_table(found)
    edges = zip(table["low"], table["high"], strict=True)
    return pd.DataFrame(
        {
            "region": table["region"],
            "voxels": table["voxels"],
            "mean part of the participants": table["probability"],
            "of its mirror image": table["mirrored"],
            "sentences − nonwords": table["selectivity"],
            "95 % interval": [interval(pair, 2) for pair in edges],
            "p": table["p"],
        }
    )


def selectivity_table(r: float, n: int, boxes: MapCorrelation) -> pd.DataFrame:
    """`maps.selectivity_relation` as it is printed."""
    return pd.DataFrame(
        [
            {"over": f"{n:,} voxels", "r": r, "p, spatial null": np.nan},
            {"over": f"{boxes.n} boxes of 24 mm", "r": boxes.r, "p, spatial null": boxes.p},
        ]
    )


def relations_table(worlds: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """`answers.relation_table` of several worlds as it is printed."""
    rows = []
    for world, table in worlds.items():
        for row in table.itertuples():
            rows.append(
                {
                    "simulated listeners": world,
                    "analysis": ANALYSES[row.analysis],
                    "score with": row.what,
                    "r": row.r,
                    "95 % interval": interval((row.low, row.high), 3),
                    "p": row.p,
                }
            )
    return pd.DataFrame(rows)


def relation_numbers(
    worlds: Mapping[str, pd.DataFrame], values: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, float]:
    """Numbers of `relations_table`: `r_<analysis>_<what>`, `ci_low_...`, `ci_high_...`.

    Parameters
    ----------
    worlds, values
        `CONSTANT` and `VARYING` -> `answers.relation_table` and `answers.voxel_values`.

    Returns
    -------
    dict
        Those of `CONSTANT` end in `_constant`; `r_C` and `r_L` are the paper's, over listeners and
        quartiles.
    """
    numbers = {}
    for world, table in worlds.items():
        end = "_constant" if world == CONSTANT else ""
        for row in table.itertuples():
            name = f"{row.analysis}_{row.what}{end}"
            numbers |= {f"r_{name}": row.r, f"ci_low_{name}": row.low, f"ci_high_{name}": row.high}
        pooled = published_relation(quartile_scores(values[world]))
        numbers[f"r_C{end}"] = float(pooled.consistency.mean())
        numbers[f"r_L{end}"] = float(pooled.selectivity.mean())
    return numbers


def geometry_page(table: pd.DataFrame) -> pd.DataFrame:
    """`answers.geometry_table` as it is printed."""
    edges = zip(table["low"], table["high"], strict=True)
    shown = table.drop(columns=["low", "high"]).replace({"concepts as": PARADIGM_NAMES})
    shown.insert(4, "95 % interval", [interval(pair, 2) for pair in edges])
    names = {"nested": "layer chosen elsewhere", "best layer": "published: best layer"}
    return shown.rename(columns=names)


def geometry_numbers(table: pd.DataFrame) -> dict[str, float]:
    """`rsa_<paradigm>` of the trained model in the more consistent regions."""
    rows = table[(table["model"] == TRAINED) & (table["regions"] == "more consistent")]
    names = rows["concepts as"].replace({SHARED: "shared"})
    return dict(zip("rsa_" + names, rows["r"], strict=True))


def listeners_page(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """`answers.leak_table` or `transfer_table` as it is printed: means over listeners.

    Parameters
    ----------
    table
        With columns `paradigm`, `r` and the one of `by`.
    by
        "folds" or "regions".

    Returns
    -------
    pandas.DataFrame
        Columns `paradigm`, that of `by`, `score` and its 95 % interval.
    """
    from scipy import stats

    rows = []
    for (paradigm, kind), part in table.groupby(["paradigm", by], sort=False):
        edges = stats.ttest_1samp(part["r"], 0).confidence_interval()
        row = {"paradigm": PARADIGM_NAMES[paradigm], by: kind, "score": part["r"].mean()}
        rows.append(row | {"95 % interval": interval(edges, 3)})
    return pd.DataFrame(rows)


def leak_numbers(table: pd.DataFrame) -> dict[str, float]:
    """`leak_<paradigm>` with folds of stimuli, `grouped_<paradigm>` with folds of concepts."""
    means = table.groupby(["paradigm", "folds"])["r"].mean()
    names = {"of concepts": "grouped", "of stimuli": "leak"}
    return {f"{names[folds]}_{paradigm}": r for (paradigm, folds), r in means.items()}


def truth_table(page: ConceptPage) -> pd.DataFrame:
    """`maps.recovered_table` as it is printed."""
    table = recovered_table(page.study, page.data)
    edges = zip(table["low"], table["high"], strict=True)
    return pd.DataFrame(
        {
            "region": table["region"] + " " + table["side"],
            "planted": table["planted"],
            "found": table["found"],
            "95 % interval": [interval(pair, 2) for pair in edges],
            "planted signal-to-noise ratio": table["snr"],
        }
    )


def truth_numbers(page: ConceptPage) -> dict[str, float]:
    """How well planted consistency is recovered: over voxels by rank, over regions."""
    table = recovered_table(page.study, page.data)
    return {
        "rank_r_planted_recovered": recovery(page.map),
        "largest_error_regions": float((table["found"] - table["planted"]).abs().max()),
    }


def paper_rows(numbers: Mapping[str, float]) -> list[Printed]:
    """What the paper and its authors' maps say beside the numbers found here.

    Parameters
    ----------
    numbers
        From `map_numbers`, with `n_covered` and `r_probability_selectivity`.

    Returns
    -------
    list of comparison.Printed
    """
    return [
        Printed(row.what, _whole(row.value), numbers.get(row.name), row.tolerance)
        for row in published.concepts().itertuples(index=False)
    ]


def _whole(value: float) -> float:
    """Counts as whole numbers, so that they are written as such; all else as it is."""
    return int(value) if float(value).is_integer() and value >= 0 else float(value)


def claim_rows(
    found: ConsistencyMap, values: Mapping[str, np.ndarray], geometry: pd.DataFrame
) -> list[Printed]:
    """What the paper claims of its people, as orders: it prints no number in its abstract.

    Parameters
    ----------
    found, values, geometry
        Map, `answers.voxel_values` and `answers.geometry_table` of the listeners.

    Returns
    -------
    list of comparison.Printed
    """
    sides = lateralization(found)
    sides = sides[sides["where"] == sides["where"].iloc[-1]]
    counts = sides[["left", "right"]].sum()
    means = np.nanmean(quartile_scores(values), axis=(0, 2))
    quartiles = {f"quartile {k + 1}": mean for k, mean in enumerate(means)}
    rows = geometry[geometry["regions"] == "more consistent"].groupby("model")["r"].mean()
    models = {"language model": rows[TRAINED], "permuted concepts": 0.0}
    names = [*quartiles][::-1]
    return [
        Printed("consistent voxels of the regions", ["left", "right"], _ordered(dict(counts))),
        Printed("score by consistency, selectivity held fixed", names, _ordered(quartiles)),
        Printed("geometry of concepts like the brain's", [*models], _ordered(models)),
    ]


def _ordered(values: Mapping[str, float]) -> list[str]:
    """Names, highest value first."""
    return sorted(values, key=lambda name: -values[name])
