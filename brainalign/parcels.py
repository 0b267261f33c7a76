"""Homologous parcels: is a region of the left more reliable than the same one of the right?

A parcel's name ends with its side ("Angular Gyrus L"); its homologue has the same name otherwise.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

from brainalign import published_panels
from brainalign.errors import InputError
from brainalign.statistics import pearson
from brainalign.studies.registry import DataFile, local_path, optional_files, verified_path
from brainalign.study import Study

#: Largest difference of a parcel's ISC, left minus right, from the printed one; nine in ten parcels
#: come twice as near. The paper's atlas has threshold 0 and a parcel of its own on each side; the
#: one at hand has threshold 25 and is cut at the midline.
ISC_TOLERANCE = 0.06
# Fewer voxels on a side than this say little.
MINIMUM_VOXELS = 5
ATLAS = "HarvardOxfordcort-maxprob-thr25_space-MNI152NLin6_res-2x2x2.nii.gz"


def _atlas_file() -> DataFile:
    return next(file for file in optional_files("petitprince-en") if file.path == ATLAS)


def atlas_at_hand() -> bool:
    """Whether the file of the Harvard–Oxford atlas is on this machine."""
    return local_path(_atlas_file()).is_file()


def harvard_oxford(study: Study) -> pd.DataFrame:
    """Voxel table of a study with the parcels of the Harvard–Oxford cortical atlas.

    Parameters
    ----------
    study
        With a mask in MNI space.

    Returns
    -------
    pandas.DataFrame
        `study.voxels` with the column parcel changed: "Angular Gyrus L", "" outside all parcels.
        Voxels take the label of the nearest one of the atlas (maximum probability, threshold 25,
        2 mm); the side is that of `hemisphere`.

    Raises
    ------
    InputError
        Where the atlas is not at hand or not what it should be, and for a study without a mask.
    """
    from nibabel import load
    from nilearn.image import resample_to_img

    if study.mask is None:
        raise InputError(f"Study {study.name!r} has no brain mask that an atlas could be laid on.")
    atlas = resample_to_img(
        load(verified_path(_atlas_file())),
        study.mask,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
    labels = np.asarray(atlas.dataobj)[np.asarray(study.mask.dataobj) > 0].astype(int)
    # The paper's table has the parcels in the order of the atlas's labels, which start at 1.
    names = np.array(["", *published_panels.parcels()["parcel"]], dtype=object)[labels]
    names = names + " " + study.voxels["hemisphere"].to_numpy(dtype=object)
    return study.voxels.assign(parcel=np.where(labels > 0, names, ""))


def parcelled(study: Study) -> pd.DataFrame:
    """Voxel table of a study with parcels of both sides: its own, the atlas's, or its regions.

    Parameters
    ----------
    study
        With a mask where it has no parcels of its own. The atlas is that of `harvard_oxford`, where
        it is at hand.
    """
    if (study.voxels["parcel"] != "").any():
        return study.voxels
    if study.mask is not None and atlas_at_hand():
        return harvard_oxford(study)
    names = study.voxels["roi"].astype(str)
    sides = names + " " + study.voxels["hemisphere"].astype(str)
    return study.voxels.assign(parcel=sides.where(names != "", ""))


def homologues(voxels: pd.DataFrame) -> pd.DataFrame:
    """Which parcel and side every voxel belongs to.

    Parameters
    ----------
    voxels
        A study's voxel table.

    Returns
    -------
    pandas.DataFrame
        Index of the voxel, columns parcel (without its side) and side ("L", "R"); voxels on the
        midline or outside all parcels are left out, and parcels with fewer than five voxels on a
        side.

    Raises
    ------
    InputError
        For a study without parcels on both sides.
    """
    parts = voxels["parcel"].astype(str).str.extract(r"^(?P<parcel>.+) (?P<side>[LR])$")
    table = parts[parts["side"] == voxels["hemisphere"]].dropna()
    counts = table.groupby(["parcel", "side"]).size().unstack(fill_value=0)
    large = counts.index[
        (counts.reindex(columns=["L", "R"], fill_value=0) >= MINIMUM_VOXELS).all(axis=1)
    ]
    if not len(large):
        raise InputError(
            f"None of the {voxels['parcel'].nunique()} parcels of the voxel table has at least "
            f"{MINIMUM_VOXELS} voxels on the left and on the right ('NAME L', 'NAME R')."
        )
    return table[table["parcel"].isin(large)]


def parcel_means(values: np.ndarray, members: pd.DataFrame) -> xr.DataArray:
    """Mean of a map over the voxels of every parcel and side.

    Parameters
    ----------
    values
        Shape (..., voxel).
    members
        From `homologues`.

    Returns
    -------
    xarray.DataArray
        Dims (..., parcel, side); sides "L" and "R".
    """
    values = np.asarray(values)
    names = list(dict.fromkeys(members["parcel"]))
    groups = members.groupby(["parcel", "side"]).groups
    means = [[values[..., groups[name, side]].mean(axis=-1) for side in "LR"] for name in names]
    dims = [f"dim_{k}" for k in range(values.ndim - 1)]
    array = xr.DataArray(np.array(means), dims=("parcel", "side", *dims))
    array = array.assign_coords(parcel=names, side=["L", "R"])
    return array.transpose(*dims, "parcel", "side")


def isc_table(isc: np.ndarray, members: pd.DataFrame) -> pd.DataFrame:
    """Inter-subject correlation of homologous parcels, left against right.

    Parameters
    ----------
    isc
        Shape (voxel,).
    members
        From `homologues`.

    Returns
    -------
    pandas.DataFrame
        Columns parcel, n_left, n_right (voxels), left, right, difference (left − right), and p of
        the paper's Student t-test, which takes neighbouring voxels for independent.
    """
    isc = np.asarray(isc, dtype=float)
    rows = []
    for parcel, part in members.groupby("parcel", sort=False):
        left, right = (isc[part.index[part["side"] == side]] for side in "LR")
        row = {"parcel": parcel, "n_left": len(left), "n_right": len(right)}
        row |= {"left": left.mean(), "right": right.mean()}
        row |= {"difference": row["left"] - row["right"], "p": stats.ttest_ind(left, right).pvalue}
        rows.append(row)
    return pd.DataFrame(rows)


def published_isc(found: pd.DataFrame) -> pd.DataFrame:
    """The paper's ISC differences beside those of `isc_table`.

    Parameters
    ----------
    found
        From `isc_table`, of parcels named as in the Harvard–Oxford atlas.

    Returns
    -------
    pandas.DataFrame
        Columns parcel, n_left, n_right, left, right, difference, printed, stars, gap (difference −
        printed), within (the tolerance); one row for each of the 48 parcels that was found.
    """
    printed = published_panels.parcels()[["parcel", "isc_difference", "stars"]]
    table = found.merge(printed.rename(columns={"isc_difference": "printed"}), on="parcel")
    table["gap"] = table["difference"] - table["printed"]
    return table.assign(within=table["gap"].abs() <= ISC_TOLERANCE).drop(columns="p")


def counts(table: pd.DataFrame) -> dict[str, int]:
    """How many parcels agree with the paper.

    Parameters
    ----------
    table
        From `published_isc`.

    Returns
    -------
    dict
        all; within (the tolerance) and near (half of it) the printed ISC difference; starred by the
        paper, and same_sign, those of them with the printed sign.
    """
    starred = table[table["stars"] != "ns"]
    return {
        "all": len(table),
        "within": int(table["within"].sum()),
        "near": int((table["gap"].abs() <= ISC_TOLERANCE / 2).sum()),
        "starred": len(starred),
        "same_sign": int((np.sign(starred["difference"]) == np.sign(starred["printed"])).sum()),
    }


def isc_agreement(table: pd.DataFrame) -> pd.DataFrame:
    """In how many parcels the printed ISC differences are found, and the stated tolerance.

    Parameters
    ----------
    table
        From `published_isc`.

    Returns
    -------
    pandas.DataFrame
        Columns what, expected, here, agrees.
    """
    found = counts(table)
    n, r = found["all"], float(pearson(table["difference"], table["printed"]))
    rows = [
        (f"parcels within ± {ISC_TOLERANCE:g}", "all", n, found["within"], n),
        (f"parcels within ± {ISC_TOLERANCE / 2:g}", "nine in ten", n, found["near"], 0.9 * n),
        ("sign, parcels with stars", "all but one", found["starred"], found["same_sign"],
         found["starred"] - 1),
    ]  # fmt: skip
    rows = [(what, least, f"{k} of {of}", "yes" if k >= bound else "no")
            for what, least, of, k, bound in rows]  # fmt: skip
    rows.append(("r over parcels", "above .85", f"{r:.3f}", "yes" if r > 0.85 else "no"))
    return pd.DataFrame(rows, columns=["what", "expected", "here", "agrees"])
