"""Homologous parcels: by hand, against scipy and polyfit, and against the paper's printed values."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from synthetic_scores import brain_scores, voxel_table

from brainalign import comparison, lateralization, parcel_slopes, parcels, plots_parcels
from brainalign.errors import InputError
from brainalign.studies import load_study


@pytest.fixture(scope="module")
def voxels():
    """Regions named with their side, as studies name their parcels."""
    table = voxel_table()
    named = (table["roi"] != "") & (table["hemisphere"] != "midline")
    return table.assign(parcel=np.where(named, table["roi"] + " " + table["hemisphere"], ""))


@pytest.fixture(scope="module")
def members(voxels):
    return parcels.homologues(voxels)


@pytest.fixture(scope="module")
def isc(voxels):
    rng = np.random.default_rng(1)
    return 0.3 + 0.1 * (voxels["hemisphere"] == "L") + 0.05 * rng.normal(size=len(voxels))


def test_homologues_have_both_sides(voxels, members):
    assert set(members["side"]) == {"L", "R"}
    assert len(members) == (voxels["parcel"] != "").sum()
    one_sided = voxels.assign(parcel=voxels["parcel"].where(voxels["hemisphere"] == "L", ""))
    with pytest.raises(InputError, match="at least 5 voxels on the left and on the right"):
        parcels.homologues(one_sided)


def test_isc_of_a_pair_by_hand(members, isc):
    row = parcels.isc_table(isc, members).set_index("parcel").loc["TP"]
    left, right = (
        isc[members.index[(members["parcel"] == "TP") & (members["side"] == side)]] for side in "LR"
    )
    assert row["difference"] == pytest.approx(left.mean() - right.mean())
    assert row["p"] == pytest.approx(stats.ttest_ind(left, right).pvalue)
    assert (row["n_left"], row["n_right"]) == (len(left), len(right))


def test_slopes_of_parcels_and_voxels_are_those_of_polyfit(members, isc):
    scores = brain_scores()
    rng = np.random.default_rng(0)
    found = parcel_slopes.parcel_slopes(scores, isc, members, "made up", 99, rng)
    models = scores[scores["kind"] == "language model"]
    x = np.log10(models["n_parameters"].to_numpy())
    inside = members[members["parcel"] == "aSTS"]
    left, right = (
        models[:, inside.index[inside["side"] == side]].mean("voxel").to_numpy() for side in "LR"
    )
    slope = found.table.set_index("parcel").loc["aSTS", "slope"]
    assert slope == pytest.approx(np.polyfit(x, left - right, 1)[0], abs=1e-7)
    assert found.spatial.r == pytest.approx(found.fit.r)
    assert found.levels.n == 2 * found.fit.n
    by_voxel = parcel_slopes.voxel_slopes(scores)
    expected = stats.linregress(x, models[:, 7].to_numpy().astype(float))
    assert float(by_voxel["slope"][7]) == pytest.approx(expected.slope)
    assert float(by_voxel["t"][7]) == pytest.approx(expected.slope / expected.stderr)
    with pytest.raises(InputError, match="at least 3 language models; 2 were given"):
        parcel_slopes.voxel_slopes(models[:2])


def test_threshold_of_28_models_is_the_papers():
    values = np.random.default_rng(0).normal(size=(28, 2))
    coords = {"kind": ("model", ["language model"] * 28)}
    coords |= {"model": np.arange(28), "n_parameters": ("model", np.geomspace(1e8, 1e10, 28))}
    found = parcel_slopes.voxel_slopes(xr.DataArray(values, coords, dims=("model", "voxel")))
    assert found.attrs["threshold"] == pytest.approx(7.2755, abs=5e-5)


def test_published_values_give_what_is_printed():
    found = parcel_slopes.parcel_scores("published")
    rng = np.random.default_rng(0)
    fits = lateralization.hemisphere_fits(found.table, parcel_slopes.MEASURE, 100, rng)
    rows = comparison.compare(parcel_slopes.paper_rows(found.slopes, fits), True)
    assert rows["agrees"].tolist() == ["yes"] * 4 + ["printed only"] * 2
    assert len(parcel_slopes.model_table(found.table)) == 28
    assert parcel_slopes.numbers(found, fits)["n_parcels"] == 48
    assert parcel_slopes.true_ceiling_rows(found) is None


@pytest.fixture(scope="module")
def published_pairs(real_data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_DATA", str(real_data))
        study = load_study("petitprince-en")
        named = parcels.harvard_oxford(study)
        isc = study.reliability().mean("split").to_numpy()
    return parcels.published_isc(parcels.isc_table(isc, parcels.homologues(named)))


def test_parcels_of_the_published_map(published_pairs):
    """Threshold 25 and a cut at the midline, beside the paper's atlas with threshold 0."""
    assert parcels.counts(published_pairs) == {
        "all": 48, "within": 48, "near": 44, "starred": 21, "same_sign": 20
    }  # fmt: skip
    assert set(parcels.isc_agreement(published_pairs)["agrees"]) == {"yes"}
    top = published_pairs.nlargest(2, "difference")["parcel"].tolist()
    assert top == [
        "Parietal Opercular Cortex",
        "Inferior Temporal Gyrus, temporooccipital part",
    ]


def test_without_the_atlas_or_a_mask(tmp_path, monkeypatch, voxels):
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    assert not parcels.atlas_at_hand()
    study = type("Study", (), {"name": "none", "mask": None, "voxels": voxels})
    with pytest.raises(InputError, match="'none' has no brain mask"):
        parcels.harvard_oxford(study)
    study.mask = "some"
    with pytest.raises(InputError, match="brainalign fetch petitprince-en --all"):
        parcels.harvard_oxford(study)


def written(figure):
    return [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]


def test_figures_say_whose_values_they_show(members, isc):
    found = parcel_slopes.published_slopes()
    figure = plots_parcels.slopes_figure(found)
    assert written(figure) == ["published values (digitised)"] and len(figure.axes) == 1
    assert "48 pairs of parcels" in plots_parcels.slopes_alt(found)
    assert "Angular Gyrus 0.0201" in plots_parcels.slopes_alt(found)
    rng = np.random.default_rng(0)
    found = parcel_slopes.parcel_slopes(
        brain_scores(), isc, members, "SIMULATED LISTENERS", 99, rng
    )
    assert len(plots_parcels.slopes_figure(found).axes) == 2
    assert plots_parcels.slopes_alt(found).startswith("Simulated listeners, not people.")
    table = parcels.isc_table(isc, members).assign(printed=0.1, stars="ns")
    table["printed"] += 0.01 * np.arange(len(table))
    figure = plots_parcels.isc_figure(table, "published map of reliability")
    assert written(figure) == ["published map of reliability"]
    assert f"{len(table)} parcels" in plots_parcels.isc_alt(table, "published map of reliability")


def test_printed_parcels_are_found_by_name():
    table = pd.DataFrame({"parcel": ["Angular Gyrus", "nowhere"], "difference": [0.05, 1.0]})
    table = table.assign(n_left=1, n_right=1, left=0.5, right=0.45, p=0.1)
    found = parcels.published_isc(table)
    assert found["parcel"].tolist() == ["Angular Gyrus"]
    assert found["gap"].item() == pytest.approx(0.01)
