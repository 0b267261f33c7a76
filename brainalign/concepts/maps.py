"""Where voxels are consistent: published counts of participants, or those of simulated listeners."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign.concepts.consistency import normalised_consistency, pooled_consistency
from brainalign.concepts.decoupling import quartile_bins
from brainalign.concepts.listeners import as_moments, region_voxels
from brainalign.concepts.probability import binomial_p
from brainalign.spatial import MapCorrelation, map_correlation
from brainalign.statistics import pearson
from brainalign.studies.concepts.maps import REGIONS as LABELS
from brainalign.studies.concepts.maps import ConceptMaps
from brainalign.studies.concepts.responses import ConceptResponses

LEVELS = (1, 2, 3, 4)
WHOLE, REGIONS = "whole brain", "regions"
#: Of the published rule, in a voxel without consistency: p < .05 in two independent halves.
CHANCE = 0.05**2
# Edge of the boxes that stand for places where no atlas is at hand, mm.
_BOX = 24


@dataclass(frozen=True)
class ConsistencyMap:
    """In how many participants every voxel is consistent.

    Attributes
    ----------
    counts : numpy.ndarray of int
        Participants, shape (voxel,).
    selectivity : numpy.ndarray
        Sentences minus nonwords, shape (participant, voxel) or empty; NaN where not covered.
    voxels : pandas.DataFrame
        As of `study.Study`.
    mask : nibabel image
        Of the voxels.
    n_subjects : int
        Participants.
    source : str
        Whose map it is, for figures.
    rule : str
        By which a voxel is consistent in a participant.
    people : str
        "participants", or "listeners" of a simulated study.
    without_noise, planted : numpy.ndarray or None
        Consistency of all listeners together without noise, for looking at, and the true one,
        shape (voxel,).
    """

    counts: np.ndarray = field(repr=False)
    selectivity: np.ndarray = field(repr=False)
    voxels: pd.DataFrame = field(repr=False)
    mask: object = field(repr=False)
    n_subjects: int
    source: str
    rule: str
    people: str = "participants"
    without_noise: np.ndarray | None = field(default=None, repr=False)
    planted: np.ndarray | None = field(default=None, repr=False)

    @property
    def probability(self) -> np.ndarray:
        """Part of the participants, shape (voxel,)."""
        return self.counts / self.n_subjects


def published_map(maps: ConceptMaps) -> ConsistencyMap:
    """The map that Ryskina et al. (2025) published."""
    n = len(maps.subjects)
    return ConsistencyMap(
        counts=maps.counts,
        selectivity=maps.selectivity.to_numpy(),
        voxels=maps.voxels,
        mask=maps.mask,
        n_subjects=n,
        source=f"published maps of {n} people",
        rule="published",
    )


def listener_map(study: ConceptResponses, data: xr.Dataset, rule: str) -> ConsistencyMap:
    """The map of listeners, from `listeners.listener_data`, by one of its rules."""
    return ConsistencyMap(
        counts=data["significant"].sel(rule=rule).sum("subject").to_numpy(),
        selectivity=np.stack([study.selectivity(subject) for subject in study.subjects]),
        voxels=study.voxels,
        mask=study.mask,
        n_subjects=len(study.subjects),
        source=study.source,
        rule=rule,
        people="listeners",
        without_noise=normalised_consistency(as_moments(data["moments"].mean("subject"))),
        planted=None if study.truth is None else study.truth["consistency"].to_numpy(),
    )


def lateralization(found: ConsistencyMap) -> pd.DataFrame:
    """Consistent voxels of both hemispheres.

    Parameters
    ----------
    found
        A map.

    Returns
    -------
    pandas.DataFrame
        One row for each k of `LEVELS`, of the whole brain and, where regions lie on both sides, of
        the regions: `where`, `k` participants at least, voxels `left`, `right` and on the
        `midline`, `index` (left − right) / (left + right), NaN without voxels.
    """
    side, regions = found.voxels["hemisphere"].to_numpy(), (found.voxels["roi"] != "").to_numpy()
    places = {WHOLE: np.ones_like(regions)}
    if (regions & (side == "R")).any():
        places[REGIONS] = regions
    rows = []
    for where, inside in places.items():
        for k in LEVELS:
            there = side[inside & (found.counts >= k)]
            left, right, midline = (int((there == s).sum()) for s in ("L", "R", "midline"))
            index = (left - right) / (left + right) if left + right else np.nan
            row = {"where": where, "k": k, "left": left, "right": right, "midline": midline}
            rows.append(row | {"index": index})
    return pd.DataFrame(rows)


def chance_table(found: ConsistencyMap) -> pd.DataFrame:
    """Voxels in which at least k participants are consistent, and how many chance would give.

    Parameters
    ----------
    found
        A map by the published rule.

    Returns
    -------
    pandas.DataFrame
        Of the voxels that at least half of the participants cover, since what nobody measured
        cannot be consistent: columns `k`, `voxels`, `chance` (halves independent, nobody
        consistent: .05² for each) and `cautious chance` (every voxel consistent as often as voxels
        are on average).
    """
    covered = np.isfinite(found.selectivity).sum(axis=0) >= found.n_subjects / 2
    counts = found.counts[covered]
    rates = {"chance": CHANCE, "cautious chance": float(found.probability[covered].mean())}
    rows = []
    for k in LEVELS:
        row = {"k": k, "voxels": int((counts >= k).sum())}
        for name, rate in rates.items():
            p = binomial_p(np.array([k]), found.n_subjects, rate)[0]
            row[name] = float(p * len(counts))
        rows.append(row)
    return pd.DataFrame(rows)


def mirrored(values: np.ndarray, voxels: pd.DataFrame) -> np.ndarray:
    """Value at the mirror image of every voxel, shape (voxel,); 0 where there is none."""
    places = pd.MultiIndex.from_frame(voxels[["x", "y", "z"]])
    images = pd.MultiIndex.from_frame(voxels[["x", "y", "z"]].assign(x=-voxels["x"]))
    found = places.get_indexer(images)
    return np.where(found >= 0, values[found], 0)


def region_table(found: ConsistencyMap) -> pd.DataFrame:
    """Regions of the left hemisphere and their mirror images.

    Parameters
    ----------
    found
        A map.

    Returns
    -------
    pandas.DataFrame
        Columns `region`, `voxels`, `probability` (mean part of the participants), `mirrored` (the
        same of the mirror image), `above zero` (part of the voxels with anybody), `most`;
        `selectivity`, its mean over participants of the mean over the region's voxels, with the
        edges `low` and `high` of its 95 % interval and `p`, two-sided, of zero. In the order of the
        names, or, of the published regions, of their labels.
    """
    left = (found.voxels["hemisphere"] == "L").to_numpy()
    image, rows = mirrored(found.probability, found.voxels), []
    for name in region_names(found):
        inside = left & (found.voxels["roi"] == name).to_numpy()
        selectivity = np.nanmean(found.selectivity[:, inside], axis=1)
        test = stats.ttest_1samp(selectivity, 0)
        low, high = test.confidence_interval()
        rows.append(
            {
                "region": name,
                "voxels": int(inside.sum()),
                "probability": float(found.probability[inside].mean()),
                "mirrored": float(image[inside].mean()),
                "above zero": float((found.counts[inside] > 0).mean()),
                "most": int(found.counts[inside].max()),
                "selectivity": float(selectivity.mean()),
                "low": float(low),
                "high": float(high),
                "p": float(test.pvalue),
            }
        )
    return pd.DataFrame(rows)


def region_names(found: ConsistencyMap) -> list[str]:
    """Regions of a map: those of the study of concepts in the order of their labels."""
    there = set(found.voxels["roi"]) - {""}
    return sorted(there, key=lambda name: ([*LABELS.values(), name].index(name), name))


def consistency_by_selectivity(found: ConsistencyMap) -> pd.DataFrame:
    """Part of the participants in the quartiles of everybody's own selectivity.

    Parameters
    ----------
    found
        A map.

    Returns
    -------
    pandas.DataFrame
        Columns `region`, `quartile` (1 to 4), `value`, the mean over participants of the mean
        probability over their voxels of this quartile, `low` and `high`, its 95 % interval.
    """
    left = (found.voxels["hemisphere"] == "L").to_numpy()
    rows = []
    for name in region_names(found):
        inside = left & (found.voxels["roi"] == name).to_numpy()
        bins = np.stack([quartile_bins(values[inside]) for values in found.selectivity])
        for quartile in range(4):
            means = [found.probability[inside][own == quartile].mean() for own in bins]
            low, high = stats.ttest_1samp(means, 0).confidence_interval()
            row = {"value": float(np.mean(means)), "low": float(low), "high": float(high)}
            rows.append({"region": name, "quartile": quartile + 1} | row)
    return pd.DataFrame(rows)


def selectivity_relation(
    found: ConsistencyMap, n_null: int, rng: np.random.Generator
) -> tuple[float, int, MapCorrelation]:
    """Does the map follow mean selectivity?

    Parameters
    ----------
    found
        A map.
    n_null
        Surrogate maps.
    rng
        Seeded generator.

    Returns
    -------
    r : float
        Correlation over the voxels that all participants have.
    n : int
        Number of these voxels.
    boxes : spatial.MapCorrelation
        Of means over boxes of 24 mm, against maps as smooth and as alike on both sides.
    """
    known = np.isfinite(found.selectivity).all(axis=0)
    selectivity = found.selectivity[:, known].mean(axis=0)
    probability = found.probability[known]
    xyz = found.voxels.loc[known, ["x", "y", "z"]].to_numpy()
    boxes = pd.DataFrame(np.rint(xyz / _BOX), columns=["i", "j", "k"])
    values = boxes.assign(first=probability, second=selectivity)
    values[["x", "y", "z"]] = xyz
    means = values.groupby(["i", "j", "k"]).mean()
    places = means[["x", "y", "z"]].to_numpy()
    maps = means["first"].to_numpy(), means["second"].to_numpy()
    boxed = map_correlation(*maps, places, n_null, rng, mirrored=True)
    return float(pearson(probability, selectivity)), int(known.sum()), boxed


def recovered_table(study: ConceptResponses, data: xr.Dataset) -> pd.DataFrame:
    """Planted consistency of the regions, and what is found without noise.

    Parameters
    ----------
    study
        With a truth.
    data
        From `listeners.listener_data`, with moments.

    Returns
    -------
    pandas.DataFrame
        Columns `region`, `side`, `planted`, `found` (all listeners together), `low` and `high` (95 %
        interval over listeners, centred on their mean), `snr`, planted.
    """
    parcels = study.voxels["parcel"].to_numpy(str)
    pooled = pooled_consistency(as_moments(data["moments"].mean("subject")), parcels)
    each = pd.DataFrame(
        [pooled_consistency(as_moments(values), parcels) for values in data["moments"]]
    )
    rows = []
    regions = study.voxels[study.voxels["roi"] != ""]
    for parcel, part in regions.groupby("parcel"):
        low, high = stats.ttest_1samp(each[parcel], 0).confidence_interval()
        truth = study.truth.isel(voxel=part.index)
        rows.append(
            {
                "region": part["roi"].iloc[0],
                "side": part["hemisphere"].iloc[0],
                "planted": float(truth["consistency"].mean()),
                "found": float(pooled[parcel]),
                "low": float(low),
                "high": float(high),
                "snr": float(truth["snr"].mean()),
            }
        )
    return pd.DataFrame(rows)


def recovery(found: ConsistencyMap) -> float:
    """Rank correlation over voxels of planted consistency and that of all listeners together."""
    return float(stats.spearmanr(found.without_noise, found.planted).statistic)


def region_groups(study: ConceptResponses, data: xr.Dataset) -> dict[str, np.ndarray]:
    """Voxels of the more and of the less consistent half of the regions on the left.

    Parameters
    ----------
    study, data
        As in `recovered_table`; no truth is needed.

    Returns
    -------
    dict
        "more consistent" and "less consistent" -> bool for every voxel of `region_voxels`.
    """
    inside = region_voxels(study)
    mean = as_moments(data["moments"].mean("subject")[:, inside])
    region = study.voxels["roi"].to_numpy(str)[inside]
    order = pooled_consistency(mean, region).sort_values()
    more = np.isin(region, order.index[len(order) // 2 :])
    return {"more consistent": more, "less consistent": ~more}
