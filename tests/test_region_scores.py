"""The page on regions: published scores against the paper, made-up ones against what is planted."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from synthetic_scores import LATERAL, REGIONS, brain_scores, reliable_voxels, simulated_study

from brainalign import comparison, plots_regions, published, region_tables, simulations
from brainalign import region_scores as rois
from brainalign.errors import InputError
from brainalign.regions import baseline_rows, voxel_tests
from brainalign.scores import VoxelScores

N_FOLDS = 9


@pytest.fixture(scope="module")
def paper():
    return rois.region_scores("published")


@pytest.fixture(scope="module")
def simulated():
    return _simulated()


def _encoded() -> list[xr.Dataset]:
    """Scores of one layer and nine folds, in the shape of `encoding.encode`."""
    scores, rng = brain_scores(), np.random.default_rng(5)
    result = []
    for name in scores["model"].to_numpy():
        one = scores.sel(model=name, drop=False)
        shape = (N_FOLDS, 1, one.sizes["voxel"])
        values = one.to_numpy() + 0.01 * rng.standard_normal(shape)
        info = {key: one[key].item() for key in ("family", "kind", "n_parameters")}
        info |= {"name": str(name), "n_layers": 2, "n_hidden": 8}
        coords = {key: c for key, c in one.coords.items() if c.dims == ("voxel",)}
        dims = ("fold", "layer", "voxel")
        result.append(
            xr.Dataset(
                {"r_fold": (dims, values), "r_inner": (dims, values)},
                coords | {"fold": np.arange(N_FOLDS)},
                {"settings": json.dumps({"model": info})},
            )
        )
    return result


def _simulated(**options) -> rois.RegionScores:
    known = VoxelScores(simulated_study(), _encoded(), reliable_voxels().to_numpy())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("brainalign.scores.voxel_scores", lambda *args, **kwargs: known)
        return rois.region_scores("testbed", **options)


def test_published_rows_all_agree(paper):
    table = rois.slope_table(paper)
    rows = comparison.compare(region_tables.paper_rows(paper, table, "jackknife"), True)
    assert set(rows["agrees"]) == {"yes", "order agrees", "printed only"}
    assert (rows["agrees"] == "printed only").sum() == 7


def test_slopes_of_made_up_scores_are_the_planted_ones(simulated):
    table = rois.slope_table(simulated).set_index("region")
    assert set(table.index) == set(REGIONS)
    for name, row in table.iterrows():
        planted = 0.03 * 0.5 if name in LATERAL else 0.0
        assert row["slope_L-R"] == pytest.approx(planted, abs=0.004)
        assert row["slope_L"] - row["slope_R"] == pytest.approx(row["slope_L-R"])
        assert (row["p_corrected"] < 0.05) == (name in LATERAL)
    assert table["slope_L-R"].is_monotonic_decreasing


def test_numbers_have_the_agreed_names(simulated):
    table = rois.slope_table(simulated)
    numbers = region_tables.numbers(simulated, table)
    assert numbers["n_models"] == 9 and numbers["n_regions"] == len(REGIONS)
    for name in REGIONS:
        low, high = (numbers[f"ci_{edge}_difference_{name}"] for edge in ("low", "high"))
        assert low < numbers[f"slope_difference_{name}"] < high


def test_models_are_listed_with_all_their_scores(paper):
    rows = region_tables.model_table(paper)
    assert len(rows) == 28 and rows["parameters"].is_monotonic_increasing
    difference = rows["TP, left"] - rows["TP, right"]
    np.testing.assert_allclose(difference, rows["TP, left − right"])


def test_baselines_change_levels_and_not_slopes(simulated, paper):
    for found, n_models in ((simulated, 9), (paper, 28)):
        levels = baseline_rows(found.table)
        assert (levels.groupby("roi")["model"].count() == n_models).all()
        for _, part in levels.groupby("roi"):
            size = np.log10(part["n_parameters"])
            raw, subtracted = (np.polyfit(size, part[n], 1)[0] for n in ("raw", "subtracted"))
            assert raw == pytest.approx(subtracted)
    raw = baseline_rows(paper.table).set_index("roi")
    for name in ("aSTS", "pSTS"):
        assert (raw.loc[name, "raw"] < 0).all() and (raw.loc[name, "subtracted"] > 0).all()


def test_without_embeddings_there_is_no_baseline(simulated):
    table = simulated.table
    levels = baseline_rows(table[table["kind"] == "language model"])
    assert levels["raw"].notna().all() and levels["subtracted"].isna().all()


def test_published_method_over_voxels(simulated):
    """Slopes and tests of the paper, with loops and scipy."""
    table = rois.slope_table(simulated, "published", n_boot=500).set_index("region")
    scores = simulated.voxels
    size = np.log(scores["n_parameters"].to_numpy().astype(float))
    slopes = np.array(
        [
            stats.linregress(size, scores.to_numpy()[:, v]).slope
            for v in range(scores.sizes["voxel"])
        ]
    )
    for name in ("BA45", "AG_TPJ"):
        left, right = (
            slopes[((scores["roi"] == name) & (scores["hemisphere"] == side)).to_numpy()]
            for side in "LR"
        )
        row = table.loc[name]
        assert row["slope_L"] == pytest.approx(left.mean() * np.log(10))
        assert row["p"] == pytest.approx(stats.ttest_ind(left, right).pvalue)
        width = 2 * 1.96 * stats.sem(left) * np.log(10)
        assert row["high_L"] - row["low_L"] == pytest.approx(width, rel=0.2)
        assert row["low_L-R"] < row["slope_L-R"] < row["high_L-R"]


def test_published_method_shows_what_the_paper_printed(paper):
    table = rois.slope_table(paper, "published").set_index("region")
    printed = published.roi_slopes().set_index("roi")
    assert table.loc["TP", "p"] == 0.041
    low = printed.loc["TP", "slope_L_ci95_lo"] * np.log(10)
    assert table.loc["TP", "low_L"] == pytest.approx(low)
    assert table["low_L-R"].isna().all()
    assert table.loc["TP", "r"] == pytest.approx(0.357, abs=0.001)


def test_bootstrap_has_intervals_and_no_p(simulated):
    table = rois.slope_table(simulated, "bootstrap", "models", 200, np.random.default_rng(0))
    assert (table["low_L-R"] < table["high_L-R"]).all() and table["p"].isna().all()


def test_families(paper, simulated):
    table = rois.family_table(paper)
    assert len(table) == 7 and {"mixed model"} < set(table["how"])
    assert (table["interval, families left out whole"] != "–").all()
    alone = rois.family_table(simulated)
    assert (alone["interval, families left out whole"] == "–").all()
    assert alone["how"].str.contains("one family of 9 models").all()


def test_truth_is_recovered_in_regions_and_parcels(simulated):
    table = rois.slope_table(simulated)
    truth = region_tables.truth_table(simulated, table)
    assert set(truth["region"].head(2)) == set(LATERAL)
    assert region_tables.recovery(truth) > 0.9


def test_parcels_are_compared_with_their_twins(simulated):
    voxels = simulated.voxels
    places = zip(voxels["y"].values, voxels["z"].values, voxels["hemisphere"].values, strict=True)
    parcels = [f"box {int(y // 8)} {int(z // 8)} {side}" for y, z, side in places]
    found = replace(simulated, voxels=voxels.assign_coords(parcel=("voxel", parcels)))
    parcel = rois.parcel_recovery(found, 99, np.random.default_rng(0))
    assert parcel.n == len({name[:-2] for name in parcels if name.endswith("L")})
    assert parcel.r > 0.9 and 0 < parcel.p <= 1
    text = region_tables.recovery_text(
        region_tables.truth_table(found, rois.slope_table(found)), parcel
    )
    assert f"over all {parcel.n} pairs of parcels" in text


def test_without_a_truth_nothing_is_recovered(paper):
    assert region_tables.truth_table(paper, rois.slope_table(paper)) is None
    assert rois.parcel_recovery(paper, 10, np.random.default_rng(0)) is None


def test_regions_can_be_chosen(paper):
    found = _simulated(regions=["BA45", "A1"])
    assert set(found.folds["region"].values) == {"BA45", "A1"} == set(found.table["roi"])
    assert len(rois.slope_table(found, "published")) == 2
    assert len(rois.region_scores("published", regions=["TP"]).folds["region"]) == 1


@pytest.mark.parametrize(
    ("study", "words"),
    [("published", "'V1' is not among those of the published scores"), ("testbed", "'V1' has no")],
)
def test_a_region_outside_the_mask_is_refused(study, words):
    with pytest.raises(InputError, match=words):
        if study == "published":
            rois.region_scores("published", regions=["V1"])
        else:
            _simulated(regions=["V1"])


def test_a_region_outside_the_mask_is_refused_before_anything_is_encoded(monkeypatch):
    def encoded(*args, **options):
        raise AssertionError("nothing should be encoded")

    monkeypatch.setattr("brainalign.scores.voxel_scores", encoded)
    with pytest.raises(InputError, match="'V1' has no voxels on both sides"):
        rois.region_scores("testbed", regions=["BA45", "V1"], n_runs=3)


def test_a_single_model_has_no_slope():
    found = rois.region_scores("published", models=["gpt2"])
    with pytest.raises(InputError, match="at least 3 models; 1 was given \\(gpt2\\)"):
        rois.slope_table(found)


def test_notes_say_what_bars_are(paper, simulated):
    assert "jackknife over 28 models\n" in region_tables.note(paper, "jackknife", "both")
    both = region_tables.note(simulated, "bootstrap", "both")
    assert "bootstrap over 9 models and 9 runs" in both and "nested" in both
    assert "over voxels" in region_tables.note(simulated, "published", "both")


def test_figures_say_what_they_show(paper, simulated):
    for found in (paper, simulated):
        table = rois.slope_table(found)
        figure = plots_regions.slopes_figure(table, found.source, "note")
        names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
        assert names == list(table["region"])
        alt = plots_regions.slopes_alt(table, found.source)
        assert all(name in alt for name in names)
        levels, order = baseline_rows(found.table), list(table["region"])
        assert len(plots_regions.levels_figure(levels, order, found.source, "").axes) == 2
        assert "of 28 models" in plots_regions.levels_alt(levels, order, found.source) or (
            "of 9 models" in plots_regions.levels_alt(levels, order, found.source)
        )
    assert plots_regions.slopes_alt(table, simulated.source).startswith("Simulated listeners")


def test_null_figure_and_sentences():
    scores = brain_scores()
    scores = scores.isel(model=(scores["kind"] == "language model").to_numpy())
    noise = 0.01 * np.random.default_rng(0).standard_normal((2, *scores.shape, N_FOLDS))
    values = np.moveaxis(scores.to_numpy()[None, ..., None] + noise, -1, 2)
    dims = ("brain", "model", "fold", "voxel")
    brains = xr.DataArray(values, scores.coords, dims).assign_coords(brain=[0, 1])
    rates = simulations.false_positives(simulations.null_findings(brains, 100))
    figure = plots_regions.null_figure(rates, 2)
    assert len(figure.axes[0].get_yticklabels()) == len(rates) == 7
    assert "2 brains" in plots_regions.null_alt(rates, 2)
    numbers = region_tables.null_numbers(rates)
    assert {"null_coverage_jackknife_both", "false_positives_t_test_voxels"} <= set(numbers)
    shown = region_tables.null_table(rates)
    assert len(shown) == 7 and (shown["regions × brains"] == rates["cells"]).all()
    assert region_tables.null_text(rates).startswith("The default intervals cover 0 in")
    words = {0.98: "more often than they need to", 0.95: "as often as", 0.92: "nearly", 0: "less"}
    for coverage, expected in words.items():
        assert f", {expected}" in region_tables.null_text(rates.assign(coverage=coverage))


def test_voxel_tests_need_models():
    scores = brain_scores().isel(model=[0])
    with pytest.raises(InputError, match="at least 3 models"):
        voxel_tests(scores)
