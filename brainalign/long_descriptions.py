"""Brain maps in numbers, for those who cannot see them: how much is drawn, peaks, regions.

An alt text names a map's highest voxel; a long description is the tables below the map.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.brain_maps import BrainMaps
from brainalign.concepts.maps import ConsistencyMap
from brainalign.plots_concepts import DRAWN
from brainalign.plots_maps import HIDDEN, PLANTED
from brainalign.plots_parcels import drawn_voxels
from brainalign.reliability_summary import StudyReliability
from brainalign.study import Study
from brainalign.wording import short_name

SIDES = {"L": "left", "R": "right", "midline": "midline"}
#: Peaks of one map on one side, and how far they are apart at least, in mm.
N_PEAKS, APART = 3, 20.0


@dataclass(frozen=True)
class MapDescription:
    """What maps hold, as tables.

    Attributes
    ----------
    text : str
        What the values are and which voxels are drawn.
    drawn : pandas.DataFrame
        One row per map and side: map, side, voxels drawn, mean, highest (of those drawn).
    peaks : pandas.DataFrame
        The highest voxels drawn: map, side, x, y, z (mm), value, region.
    regions : pandas.DataFrame
        Means over all voxels of every region of interest, drawn or not: region, side, voxels, and
        a column for every map; empty without such regions.
    """

    text: str
    drawn: pd.DataFrame
    peaks: pd.DataFrame
    regions: pd.DataFrame


def describe_maps(
    maps: Mapping[str, np.ndarray],
    drawn: Mapping[str, np.ndarray],
    voxels: pd.DataFrame,
    text: str,
) -> MapDescription:
    """Describe maps of the same voxels.

    Parameters
    ----------
    maps
        Name -> values, shape (voxel,).
    drawn
        Name -> whether a voxel is drawn, shape (voxel,), bool.
    voxels
        As of `study.Study`: x, y, z (mm), hemisphere, roi.
    text
        What the values are and which voxels are drawn.

    Returns
    -------
    MapDescription
    """
    side = voxels["hemisphere"].to_numpy()
    amounts, peaks = [], []
    for name, values in maps.items():
        for letter, called in SIDES.items():
            keep = np.flatnonzero(drawn[name] & (side == letter))
            if not len(keep) and letter == "midline":
                continue
            mean, high = (values[keep].mean(), values[keep].max()) if len(keep) else (np.nan,) * 2
            row = {"map": name, "side": called}
            amounts.append(row | {"voxels drawn": len(keep), "mean": mean, "highest": high})
            peaks += [
                row | _peak(voxels, values, peak) for peak in find_peaks(values, voxels, keep)
            ]
    columns = ["map", "side", "x", "y", "z", "value", "region"]
    return MapDescription(
        text,
        pd.DataFrame(amounts),
        pd.DataFrame(peaks, columns=columns),
        _region_means(maps, voxels),
    )


def find_peaks(values: np.ndarray, voxels: pd.DataFrame, keep: np.ndarray) -> list[int]:
    """The highest of some voxels, each at least `APART` mm from a higher one.

    Parameters
    ----------
    values
        Shape (voxel,).
    voxels
        Columns x, y, z in mm.
    keep
        Numbers of the voxels to choose from.

    Returns
    -------
    list of int
        Numbers of at most `N_PEAKS` voxels, the highest first.
    """
    places = voxels[["x", "y", "z"]].to_numpy(float)
    left, found = keep[np.argsort(-values[keep], kind="stable")], []
    while len(left) and len(found) < N_PEAKS:
        found.append(int(left[0]))
        left = left[np.linalg.norm(places[left] - places[left[0]], axis=1) >= APART]
    return found


def _peak(voxels: pd.DataFrame, values: np.ndarray, number: int) -> dict[str, object]:
    place = voxels.iloc[number]
    at = {axis: int(round(float(place[axis]))) for axis in "xyz"}
    return at | {"value": float(values[number]), "region": region_at(voxels, number)}


def region_at(voxels: pd.DataFrame, number: int) -> str:
    """Region of interest of a voxel, or how far the nearest one of its side is.

    Parameters
    ----------
    voxels
        As for `describe_maps`.
    number
        Of the voxel.

    Returns
    -------
    str
        "AG_TPJ", "12 mm from AG_TPJ", or "–" where its side has no region.
    """
    place = voxels.iloc[number]
    if place["roi"]:
        return str(place["roi"])
    others = voxels[(voxels["roi"] != "") & (voxels["hemisphere"] == place["hemisphere"])]
    if others.empty:
        return "–"
    here = place[["x", "y", "z"]].to_numpy(float)
    distances = np.linalg.norm(others[["x", "y", "z"]].to_numpy(float) - here, axis=1)
    nearest = int(distances.argmin())
    return f"{distances[nearest]:.0f} mm from {others['roi'].iloc[nearest]}"


def _region_means(maps: Mapping[str, np.ndarray], voxels: pd.DataFrame) -> pd.DataFrame:
    """Mean of every map in every region and side, in the order of the regions' names."""
    table = pd.DataFrame(dict(maps)).assign(
        region=voxels["roi"].to_numpy(), side=voxels["hemisphere"].map(SIDES).to_numpy()
    )
    table = table[table["region"] != ""]
    groups = table.groupby(["region", "side"], sort=True)
    means = groups[list(maps)].mean()
    means.insert(0, "voxels", groups.size())
    return means.reset_index()


def describe_brain_maps(maps: BrainMaps) -> MapDescription:
    """Describe both models' maps above random embeddings, and the planted one where it is known."""
    values = dict(zip(map(short_name, maps.models), maps.above.to_numpy(), strict=True))
    top = {name: float(maps.above.max()) for name in values}
    if maps.planted is not None:
        weight = maps.planted.sel(family=PLANTED).to_numpy()
        values[f"planted weight of {PLANTED}"] = weight
        top[f"planted weight of {PLANTED}"] = float(weight.max())
    drawn = {name: one > HIDDEN * top[name] for name, one in values.items()}
    text = (
        "Brain scores of the smallest and of the largest model above those of random embeddings (r)"
        f"; voxels below {100 * HIDDEN:.0f} % of the colour range are not drawn."
    )
    return describe_maps(values, drawn, maps.study.voxels, text)


def describe_reliability(found: StudyReliability) -> MapDescription:
    """Describe the map of reliable voxels."""
    name = f"{found.measure[0].upper()}{found.measure[1:]}"
    values, reliable = found.isc.to_numpy(), found.reliable.to_numpy()
    text = f"{name} (r); only voxels above the threshold, {found.threshold:.3f}, are drawn."
    return describe_maps({name: values}, {name: reliable}, found.study.voxels, text)


def describe_slopes(slopes: xr.Dataset, study: Study) -> MapDescription:
    """Describe where the score grows with model size."""
    values = slopes["slope"].to_numpy()
    text = (
        "Slope of the brain score per factor of ten in parameters; only voxels with "
        f"t > {slopes.attrs['threshold']:.2f} are drawn."
    )
    return describe_maps({"slope": values}, {"slope": drawn_voxels(slopes)}, study.voxels, text)


def describe_consistency(found: ConsistencyMap) -> MapDescription:
    """Describe in which part of the people a voxel is consistent, and the truth where it is known."""
    name = f"part of {found.n_subjects} {found.people}"
    values, drawn = {name: found.probability}, {name: found.counts >= DRAWN}
    if found.planted is None:
        text = (
            f"Part of the {found.people} in whom a voxel is consistent; at least {DRAWN} are drawn."
        )
    else:
        values |= {"without noise": found.without_noise, "planted": found.planted}
        tops = {name: 1.0, "without noise": found.planted.max(), "planted": found.planted.max()}
        drawn = {key: one > HIDDEN * float(tops[key]) for key, one in values.items()}
        text = (
            f"Part of the {found.people} in whom a voxel is consistent, consistency without noise and "
            f"planted consistency; values below {100 * HIDDEN:.0f} % of the colour range are not drawn."
        )
    return describe_maps(values, drawn, found.voxels, text)
