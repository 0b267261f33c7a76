"""Scores per region: by hand, against planted weights, and the published slopes."""

import numpy as np
import pytest
from synthetic_scores import LATERAL, REGIONS, brain_scores, simulated_scores, voxel_table

from brainalign import published, regions


def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def simulated():
    return simulated_scores()


def test_means_by_hand():
    scores, voxels = brain_scores(), voxel_table()
    table = regions.roi_table(scores)
    assert set(table["roi"]) == set(REGIONS) and set(table["hemisphere"]) == {"L", "R"}
    inside = ((voxels["roi"] == "BA45") & (voxels["hemisphere"] == "R")).to_numpy()
    row = table[
        (table["model"] == "nano-gpt2-16x2")
        & (table["roi"] == "BA45")
        & (table["hemisphere"] == "R")
    ].iloc[0]
    values = scores.sel(model="nano-gpt2-16x2").to_numpy()[inside]
    assert row["n_voxels"] == inside.sum()
    assert row["score"] == pytest.approx(values.astype(float).mean())
    assert len(table) == scores.sizes["model"] * 2 * len(REGIONS)


def test_slopes_are_the_planted_ones(simulated):
    fits = regions.region_fits(simulated.regions, 200, rng())
    assert set(fits) == set(REGIONS)
    for roi, sides in fits.items():
        planted = 0.03 * 0.5 if roi in LATERAL else 0.0
        assert sides["L-R"].slope == pytest.approx(planted, abs=0.004), roi
        assert sides["L"].slope - sides["R"].slope == pytest.approx(sides["L-R"].slope)


def test_published_slopes_agree_with_the_paper():
    fits = regions.region_fits(published.region_table(), 100, rng())
    bars = published.roi_slopes().set_index("roi")
    for roi, sides in fits.items():
        for side in ("L", "R"):
            found = sides[side].slope / np.log(10)
            assert found == pytest.approx(bars.loc[roi, f"slope_{side}_per_lnN"], abs=1e-4), (
                roi,
                side,
            )


def test_truth_is_recovered(simulated):
    fits = regions.region_fits(simulated.regions, 200, rng())
    table = regions.truth_comparison(simulated.truth, fits, simulated.regions)
    assert set(table["region"].head(2)) == set(LATERAL)
    planted = table.set_index("region")["planted discourse weight L − R"]
    assert planted["AG_TPJ"] == pytest.approx(0.5) and planted["A1"] == pytest.approx(0)
    ceiling = table.set_index("region")["noise ceiling L − R"]
    assert ceiling["aSTS"] == pytest.approx(0.05)
    assert regions.recovery(table) > 0.9


def test_without_a_truth_there_is_no_comparison():
    table = published.region_table()
    assert regions.truth_comparison(None, regions.region_fits(table, 100, rng()), table) is None


def test_planted_table(simulated):
    table = regions.planted_table(simulated.truth)
    assert list(table.columns) == ["weight_L", "weight_R", "ceiling_L", "ceiling_R"]
    assert table.loc["AG_TPJ", "weight_L"] == pytest.approx(0.7)
    assert table.loc["AG_TPJ", "weight_R"] == pytest.approx(0.2)
