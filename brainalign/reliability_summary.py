"""Reliability of one study, summed up per hemisphere and per region of interest."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign.parcels import atlas_at_hand
from brainalign.reliability import (
    leave_one_out_isc,
    listener_isc,
    measure_all,
    noise_ceiling,
    reliability_map,
    reliable_voxels,
    shifted_isc,
    split_half_reliability,
)
from brainalign.study import HemisphereRule, Study, hemispheres

LISTENER, SPLIT = "listener", "split"
WHOLE, RELIABLE = "whole brain", "reliable voxels"
SIDES = {"L": "left", "R": "right", "midline": "midline"}
LEAVE_ONE_OUT, SPLIT_HALVES = "leave-one-out ISC", "prediction from the other half"
# Random values enough for a 95 % point.
NULL_VALUES, MOST_SHIFTS = 30_000, 1000


@dataclass(frozen=True)
class StudyReliability:
    """What is known of the reliability of one study.

    Attributes
    ----------
    study : Study
        Whose responses these are.
    source : str
        The same in words, for figures.
    measure : str
        What `isc` is.
    isc : xarray.DataArray
        Dim (voxel); the map that the reliable voxels come from.
    units : xarray.DataArray
        Dims (unit, voxel): one map for each listener, or for each split of a published map.
    unit : str
        "listener" or "split".
    reliable : xarray.DataArray
        Dim (voxel), bool; all regions of a study of a few regions, without a threshold.
    side : numpy.ndarray
        Hemisphere of every voxel under the rule asked for.
    halves : xarray.DataArray or None
        Dims (split, voxel), from `reliability.split_half_reliability`.
    ceiling : xarray.DataArray or None
        Dim (voxel), from `reliability.noise_ceiling`.
    null : xarray.DataArray or None
        Dims (shift, voxel), from `reliability.shifted_isc`.
    """

    study: Study = field(repr=False)
    source: str
    measure: str
    isc: xr.DataArray
    units: xr.DataArray
    unit: str
    reliable: xr.DataArray
    side: np.ndarray
    halves: xr.DataArray | None = None
    ceiling: xr.DataArray | None = None
    null: xr.DataArray | None = None

    @property
    def threshold(self) -> float:
        """Value that reliable voxels exceed; NaN where all count."""
        return self.reliable.attrs.get("threshold", np.nan)

    @property
    def not_at_hand(self) -> list[str]:
        """What does not concern a page of this study: tags of the notebook's cells."""
        of_regions = self.study.of_regions
        english = self.unit == SPLIT and self.study.language == "en"
        known = {
            "map": self.study.mask is not None,
            "truth": self.study.truth is not None,
            "measures": self.halves is not None and not of_regions,
            "listeners": self.unit == LISTENER,
            "published": self.unit == SPLIT,
            "voxels": not of_regions,
            "regions": of_regions,
            # The paper prints numbers of its English map only.
            "papers-map": english or self.unit == LISTENER,
            "parcels": english and atlas_at_hand(),
            "no-atlas": english and not atlas_at_hand(),
        }
        return [name for name, at_hand in known.items() if not at_hand]


def study_reliability(
    study: Study,
    quantile: float = 0.75,
    n_splits: int = 1,
    rule: HemisphereRule = "anatomical",
    seed: int = 0,
) -> StudyReliability:
    """Compute what can be known of a study's reliability.

    Parameters
    ----------
    study
        With listeners, or with a published map; of the latter nothing but the map is known.
    quantile
        Of all voxels, which reliable ones exceed.
    n_splits
        Splits in which one half of the listeners predicts the other; 0 for none.
    rule
        For the midline.
    seed
        Of the splits and shifts.

    Returns
    -------
    StudyReliability

    Raises
    ------
    InputError
        As `reliability.leave_one_out_isc` and `reliability.reliable_voxels`.
    """
    n_shifts = int(np.clip(NULL_VALUES // study.n_voxels, 1, MOST_SHIFTS))
    # A published map is shown where the listeners themselves are not at hand.
    published = study.reliability is not None and len(study.subjects) < 2
    if not published:
        measure_all(study, n_shifts, n_splits, seed)
    isc = reliability_map(study) if published else leave_one_out_isc(study)
    reliable = reliable_voxels(isc, quantile)
    side = hemispheres(study.voxels, rule)
    if study.of_regions:
        # Of a handful of regions all count, and the order of voxels tells nothing of their side.
        reliable = xr.ones_like(reliable).drop_attrs()
        side = hemispheres(study.voxels)
    if published:
        units = study.reliability().rename(split="unit")
        source, measure = "published map of reliability", SPLIT_HALVES
        return StudyReliability(study, source, measure, isc, units, SPLIT, reliable, side)
    return StudyReliability(
        study,
        study.source,
        LEAVE_ONE_OUT,
        isc,
        listener_isc(study).rename(subject="unit"),
        LISTENER,
        reliable,
        side,
        split_half_reliability(study, n_splits, seed) if n_splits else None,
        noise_ceiling(study, seed=seed),
        shifted_isc(study, n_shifts, seed),
    )


def areas(found: StudyReliability) -> dict[tuple[str, str], np.ndarray]:
    """Voxels of the whole brain, of its reliable part and of each region, by hemisphere.

    Returns
    -------
    dict
        (region, "both" | "L" | "R" | "midline") -> shape (voxel,), bool; none is empty. Regions of
        interest come by their mean ISC, highest first, and have no "both".
    """
    names = found.study.voxels["roi"].to_numpy()
    masks = {}
    if not found.study.of_regions:
        for region, keep in {WHOLE: names == names, RELIABLE: found.reliable.to_numpy()}.items():
            masks[region, "both"] = keep
            masks |= {(region, side): keep & (found.side == side) for side in SIDES}
    isc = found.isc.to_numpy()
    regions = sorted(set(names) - {""}, key=lambda name: -np.nanmean(isc[names == name]))
    for region in regions:
        masks |= {(region, side): (names == region) & (found.side == side) for side in SIDES}
    return {area: keep for area, keep in masks.items() if keep.any()}


def regions_of(found: StudyReliability) -> list[str]:
    """Regions of interest, highest ISC first."""
    return [name for name in dict.fromkeys(region for region, _ in areas(found))
            if name not in (WHOLE, RELIABLE)]  # fmt: skip


def own_names(found: StudyReliability) -> dict[tuple[str, str], str]:
    """Name of every area of `areas`: a single region's own in the data where it has one.

    Returns
    -------
    dict
        (region, hemisphere) -> "whole brain", "AG_TPJ"; of a study of regions "LATL", "RATL".
    """
    masks = areas(found)
    if not found.study.of_regions:
        return {area: area[0] for area in masks}
    parcels = found.study.voxels["parcel"].to_numpy()
    return {area: parcels[keep].item() for area, keep in masks.items()}


def region_names(found: StudyReliability) -> dict[str, str]:
    """Regions of `regions_of`, as rows are named that may hold both sides.

    Returns
    -------
    dict
        Region -> "ATL" where both sides were measured; of a study of regions "LPTL" where one was.
    """
    names = {region: [] for region in regions_of(found)}
    for (region, _), name in own_names(found).items():
        if region in names:
            names[region].append(name)
    return {region: own[0] if len(own) == 1 else region for region, own in names.items()}


def unit_means(found: StudyReliability) -> pd.DataFrame:
    """Mean over the voxels of every area in every listener or split.

    Returns
    -------
    pandas.DataFrame
        One row per unit, columns (region, hemisphere).
    """
    values = found.units.to_numpy()
    means = {area: np.nanmean(values[:, keep], axis=1) for area, keep in areas(found).items()}
    return pd.DataFrame(means)


def mean_interval(values: np.ndarray, unit: str) -> tuple[float, float]:
    """95 % interval of the mean over listeners (t), or the lowest and highest of splits.

    Splits share their listeners, so that their spread says nothing of other listeners.
    """
    if unit == SPLIT:
        return float(np.min(values)), float(np.max(values))
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    return float(low), float(high)


def interval_name(unit: str) -> str:
    """What `mean_interval` is, as a heading."""
    return "lowest to highest split" if unit == SPLIT else "95 % interval"


def differences(found: StudyReliability) -> pd.DataFrame:
    """Left minus right of every unit in areas with both hemispheres, columns named by region."""
    means = unit_means(found)
    both = [r for r in means.columns.unique(0) if {"L", "R"} <= set(means[r].columns)]
    return pd.DataFrame({region: means[region, "L"] - means[region, "R"] for region in both})


def reliable_counts(study: Study, reliable: xr.DataArray) -> dict[str, float]:
    """Reliable voxels in all and on each side, without the midline and by the published rule.

    Parameters
    ----------
    study
        Any study; in one of regions the published rule means nothing, and gives NaN.
    reliable
        Dim (voxel), bool.

    Returns
    -------
    dict
        n_reliable, and the same with the suffixes _left, _midline, _right, _left_published,
        _right_published.
    """
    keep = reliable.to_numpy()
    side = hemispheres(study.voxels)
    counts = {f"n_reliable_{SIDES[name]}": int((keep & (side == name)).sum()) for name in SIDES}
    halves = hemispheres(study.voxels, "published")
    for name in ("L", "R"):
        inside = int((keep & (halves == name)).sum())
        counts[f"n_reliable_{SIDES[name]}_published"] = np.nan if study.of_regions else inside
    return {"n_reliable": int(keep.sum()), **counts}


def numbers(found: StudyReliability) -> dict[str, float]:
    """What `isc_reliability` records: voxels, threshold, ISC and ceiling of every region."""
    recorded = {
        "n_voxels": found.study.n_voxels,
        "threshold": found.threshold,
        **reliable_counts(found.study, found.reliable),
        "isc_mean": float(found.isc.mean()),
    }
    own = own_names(found)
    for (region, side), keep in areas(found).items():
        name = region if side == "both" else f"{region}_{side}"
        if found.study.of_regions:
            name = own[region, side]
        recorded[f"isc_{name}"] = float(found.isc.to_numpy()[keep].mean())
        if found.ceiling is not None:
            recorded[f"ceiling_{name}"] = float(found.ceiling.to_numpy()[keep].mean())
    for region, values in differences(found).items():
        recorded[f"difference_{region}"] = float(values.mean())
        if found.unit == LISTENER:
            recorded[f"t_difference_{region}"] = float(stats.ttest_1samp(values, 0).statistic)
    if found.null is not None:
        recorded["null_95"] = float(found.null.quantile(0.95))
    if found.halves is not None:
        recorded["split_half_mean"] = float(found.halves.mean())
    return recorded
