"""Reliability per hemisphere and region, and the tables of its page."""

import numpy as np
import pytest
from scipy import stats
from tiny_reliability import STUDIES, summed_up

from brainalign import comparison
from brainalign import reliability_tables as tables
from brainalign.reliability import leave_one_out_isc, listener_isc, noise_ceiling
from brainalign.reliability_summary import (
    RELIABLE,
    WHOLE,
    areas,
    differences,
    mean_interval,
    numbers,
    own_names,
    region_names,
    regions_of,
    study_reliability,
    unit_means,
)
from brainalign.studies import load_study


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield {name: summed_up(name) for name in STUDIES}


def test_areas_cover_the_brain_by_hemisphere(found):
    masks = areas(found["voxels"])
    sides = [masks[WHOLE, side] for side in ("L", "midline", "R")]
    assert (np.sum(sides, axis=0) == 1).all() and masks[WHOLE, "both"].all()
    assert (masks[RELIABLE, "both"] == found["voxels"].reliable.to_numpy()).all()
    regions = regions_of(found["voxels"])
    assert len(regions) == 8
    isc, names = found["voxels"].isc, found["voxels"].study.voxels["roi"].to_numpy()
    means = [float(isc[names == region].mean()) for region in regions]
    assert means == sorted(means, reverse=True)


def test_published_hemispheres_split_the_midline(found):
    study = found["voxels"].study
    halves = areas(study_reliability(study, n_splits=0, rule="published"))
    assert (WHOLE, "midline") not in halves
    assert halves[WHOLE, "L"].sum() == halves[WHOLE, "R"].sum() == study.n_voxels // 2


def test_regions_all_count_and_keep_their_side_under_either_rule(found):
    for rule in ("anatomical", "published"):
        summary = study_reliability(found["regions"].study, n_splits=0, rule=rule)
        assert summary.reliable.all() and np.isnan(summary.threshold)
        assert set(areas(summary)) == {("ATL", "L"), ("ATL", "R"), ("PTL", "L")}


def test_cells_that_do_not_concern_a_study_are_left_out(found):
    left_out = {
        "voxels": ["published", "regions", "parcels", "no-atlas"],
        "regions": ["map", "truth", "measures", "published", "voxels", "parcels", "no-atlas"],
        "published": ["truth", "measures", "listeners", "regions", "parcels"],
    }
    assert {name: summary.not_at_hand for name, summary in found.items()} == left_out


def test_single_regions_have_the_names_of_the_data(found):
    own = {("ATL", "L"): "LATL", ("ATL", "R"): "RATL", ("PTL", "L"): "LPTL"}
    assert own_names(found["regions"]) == own
    assert sorted(region_names(found["regions"]).items()) == [("ATL", "ATL"), ("PTL", "LPTL")]
    assert set(tables.area_table(found["regions"])["region"]) == set(own.values())
    assert own_names(found["voxels"])["TP", "L"] == region_names(found["voxels"])["TP"] == "TP"


def test_unit_means_are_means_over_voxels_of_every_listener(found):
    summary = found["voxels"]
    keep = (summary.study.voxels["roi"] == "TP") & (summary.study.voxels["hemisphere"] == "R")
    expected = listener_isc(summary.study).to_numpy()[:, keep].mean(1)
    np.testing.assert_allclose(unit_means(summary)["TP", "R"], expected, rtol=1e-6)
    gap = unit_means(summary)["TP", "L"] - unit_means(summary)["TP", "R"]
    np.testing.assert_array_equal(differences(summary)["TP"], gap)


def test_intervals_over_listeners_and_over_splits():
    values = np.array([0.1, 0.3, 0.2, 0.4])
    half = stats.t.ppf(0.975, 3) * values.std(ddof=1) / 2
    assert mean_interval(values, "listener") == pytest.approx((0.25 - half, 0.25 + half))
    assert mean_interval(values, "split") == (0.1, 0.4)


def test_numbers_have_the_same_names_for_voxels_and_regions(found):
    voxels, regions = numbers(found["voxels"]), numbers(found["regions"])
    common = {"n_voxels", "threshold", "n_reliable", "n_reliable_left", "n_reliable_midline"}
    common |= {"n_reliable_right", "n_reliable_left_published", "n_reliable_right_published"}
    assert common <= set(voxels) and common <= set(regions)
    isc = leave_one_out_isc(found["voxels"].study)
    assert voxels["threshold"] == pytest.approx(float(isc.quantile(0.75)))
    assert voxels["n_reliable"] == voxels["n_voxels"] // 4
    sides = ("left", "midline", "right")
    assert sum(voxels[f"n_reliable_{side}"] for side in sides) == voxels["n_reliable"]
    published_sides = ("left_published", "right_published")
    assert sum(voxels[f"n_reliable_{side}"] for side in published_sides) == voxels["n_reliable"]
    assert {"isc_LATL", "isc_RATL", "isc_LPTL", "ceiling_RATL", "t_difference_ATL"} <= set(regions)
    assert np.isnan(regions["n_reliable_left_published"]) and np.isnan(regions["threshold"])


def test_area_table_of_every_study(found):
    table = tables.area_table(found["voxels"])
    row = table[(table["region"] == WHOLE) & (table["hemisphere"] == "both")].iloc[0]
    ceiling = noise_ceiling(found["voxels"].study)
    assert row["noise ceiling"] == pytest.approx(float(ceiling.mean()))
    assert row["voxels"] == found["voxels"].study.n_voxels
    assert "voxels" not in tables.area_table(found["regions"])
    assert "lowest to highest split" in tables.area_table(found["published"])


def test_difference_table_is_a_paired_t_test(found):
    table = tables.difference_table(found["voxels"]).set_index("region")
    means = unit_means(found["voxels"])["TP"]
    expected = stats.ttest_rel(means["L"], means["R"])
    assert table.loc["TP", "t"] == pytest.approx(expected.statistic)
    assert table.loc["TP", "p"] == pytest.approx(expected.pvalue)
    assert (table["q"] >= table["p"]).all()
    alone = tables.difference_table(found["regions"])
    assert alone["region"].tolist() == ["ATL"] and "q" not in alone
    splits = tables.difference_table(found["published"])
    assert "t" not in splits and "planted" not in splits and "planted" not in alone
    assert splits.iloc[0]["splits higher on the left"] == "3 of 3"
    assert splits.iloc[0]["left − right"] == pytest.approx(0.2, abs=0.01)


def test_planted_differences_stand_beside_those_found(found):
    table = tables.difference_table(found["voxels"]).set_index("region")
    ceilings = tables.truth_comparison(found["voxels"]).set_index(["region", "hemisphere"])
    true = ceilings["true noise ceiling"].unstack()
    for region, planted in table["planted"].items():
        assert planted == pytest.approx(true.loc[region, "left"] - true.loc[region, "right"])


def test_comparison_with_the_paper(found):
    assert tables.paper_rows(found["regions"]) is None
    rows = tables.paper_rows(found["voxels"])
    table = comparison.compare(rows, tables.is_the_papers(found["voxels"])).set_index("what")
    assert table.loc["voxels", "paper"] == "25,870" and table.loc["threshold", "paper"] == "0.487"
    assert table.loc["left (published rule)", "paper"] == "3,297"
    assert table.loc["reliable voxels, by side", "paper"] == "left > right"
    # Other listeners: counts are not compared, sides are.
    verdicts = table["agrees"].to_dict()
    assert verdicts.pop("reliable voxels, by side").startswith("order agrees")
    assert set(verdicts.values()) == {"not compared"}
    halves = found["voxels"].halves.mean("split")
    mean = next(row.here for row in rows if row.what == "mean over voxels")
    assert mean == pytest.approx(float(halves.mean()))


def test_truth_beside_the_estimate(found):
    assert tables.truth_comparison(found["regions"]) is None
    table = tables.truth_comparison(found["voxels"])
    truth = found["voxels"].study.truth["noise_ceiling"]
    assert table["true noise ceiling"].iloc[0] == pytest.approx(float(truth.mean()))


def test_agreement_of_two_measures(found):
    table = tables.agreement(found["voxels"])
    assert table["reliable by both"].nunique() == 1
    assert table["reliable by both"][0] <= table["reliable voxels"].min()
    maps = (found["voxels"].isc, found["voxels"].halves.mean("split"))
    assert table["r over voxels"][0] == pytest.approx(np.corrcoef(*maps)[0, 1], abs=1e-5)


def test_the_published_map(real_data):
    summary = study_reliability(load_study("petitprince-en"))
    recorded = numbers(summary)
    assert recorded["threshold"] == pytest.approx(0.48730, abs=5e-6)
    expected = {
        "n_voxels": 25_870,
        "n_reliable": 6468,
        "n_reliable_left": 3159,
        "n_reliable_midline": 294,
        "n_reliable_right": 3015,
        "n_reliable_left_published": 3297,
        "n_reliable_right_published": 3171,
    }
    assert {name: recorded[name] for name in expected} == expected
    for region, value in {"BA44": 0.086, "BA45": 0.056, "BA47": 0.122, "AG_TPJ": 0.046,
                          "TP": 0.011, "aSTS": -0.069, "pSTS": -0.016}.items():  # fmt: skip
        assert recorded[f"difference_{region}"] == pytest.approx(value, abs=5e-4)
    assert tables.is_the_papers(summary)
    table = comparison.compare(tables.paper_rows(summary), published_points=True)
    assert table["agrees"].tolist() == ["yes"] * (len(table) - 1) + ["order agrees"]
    assert "noise ceiling" not in tables.area_table(summary)
