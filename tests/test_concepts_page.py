"""What the page on concepts shows: maps, scores, leaks and geometry of studies with known answers."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from nibabel import Nifti1Image
from scipy import stats

from brainalign import plots_concept_scores, plots_concepts, published
from brainalign.concepts import answers, maps, tables
from brainalign.concepts.listeners import as_moments, listener_data, region_voxels
from brainalign.concepts.page import ConceptPage
from brainalign.concepts.reading import stimulus_vectors, text_vectors
from brainalign.errors import InputError
from brainalign.studies.concepts.responses import PARADIGMS, ConceptResponses
from brainalign.studies.images import voxel_table

MODEL = "nano-qwen2-24x3"
N_CONCEPTS, SHAPE = 60, (11, 8, 3)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = -20, -8, -8


def voxels_and_mask():
    """A box of 4 mm voxels, two regions on either side of the midline."""
    mask = Nifti1Image(np.ones(SHAPE, dtype=np.uint8), AFFINE)
    table = voxel_table(mask, {})
    far = table["x"].abs() > 10
    roi = np.where(table["x"] == 0, "", np.where(far, "BA45", "TP"))
    return table.assign(roi=roi, parcel=roi + " " + table["hemisphere"]), mask


def tiny_study(codes="related", snr=1.5):
    """Three listeners; BA45 is consistent on the left, and nothing else anywhere."""
    voxels, mask = voxels_and_mask()
    rng = np.random.default_rng(5)
    latents = rng.standard_normal((N_CONCEPTS, 6))
    amount = ((voxels["roi"] == "BA45") & (voxels["hemisphere"] == "L")).to_numpy() * 0.9
    weights = rng.standard_normal((6, len(voxels)))
    weights /= np.linalg.norm(weights, axis=0)
    own = rng.standard_normal((3, N_CONCEPTS, len(voxels)))

    def load(subject, paradigm):
        number = PARADIGMS.index(paradigm)
        noise = np.random.default_rng([int(subject[1:]), number])
        signal = np.sqrt(amount) * (latents @ weights) + np.sqrt(1 - amount) * own[number]
        values = snr * signal + noise.standard_normal((6, *signal.shape))
        values[5, ::2] = np.nan
        return values.astype(np.float32)

    halves = np.broadcast_to(np.repeat([1, 2], 3)[:, None], (3, 6, N_CONCEPTS))
    subjects = ("L1", "L2", "L3")
    truth = xr.Dataset(
        {"consistency": ("voxel", amount), "snr": ("voxel", np.full(len(voxels), snr))}
    )
    selectivity = np.random.default_rng(6).standard_normal((3, len(voxels)))
    study = ConceptResponses(
        "tiny",
        subjects,
        tuple(f"concept {n:02d}" for n in range(N_CONCEPTS)),
        voxels,
        load,
        f"{codes} {snr}",
        halves,
        selectivity=lambda subject: selectivity[subjects.index(subject)],
        mask=mask,
        simulated=True,
        truth=truth,
    )
    return study, latents


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(folder, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(folder))


@pytest.fixture
def study():
    return tiny_study()[0]


@pytest.fixture
def data(study):
    return listener_data(study, 40)


@pytest.fixture
def found(study, data):
    return maps.listener_map(study, data, "published")


def vectors_of(latents, noise=0.0):
    """Vectors of two configurations, the same for all stimuli of a concept."""
    rng = np.random.default_rng(7)
    each = np.stack([latents + noise * rng.standard_normal(latents.shape), latents[:, ::-1]])
    return {name: np.repeat(each[:, None], 6, axis=1) for name in PARADIGMS}


def test_texts_are_read_on_their_own():
    texts = ["The queen finds a rope.", "rope", "A dog and a cat sail to the harbor."]
    together = text_vectors(MODEL, texts)
    assert together.shape[1:] == (3, 24) and together.dtype == np.float32
    alone = text_vectors(MODEL, texts[:1])
    np.testing.assert_allclose(together[:, :1], alone, atol=1e-5)
    # One token: its mean is its last token.
    n = len(together) // 2
    np.testing.assert_allclose(together[:n, 1], together[n:, 1], atol=1e-6)
    assert not np.allclose(together[:n, 0], together[n:, 0], atol=1e-3)


def test_stimuli_have_the_vectors_of_their_texts():
    rows = [
        (
            paradigm,
            concept,
            stimulus,
            f"{concept} {stimulus}" if paradigm == "sentences" else concept,
        )
        for paradigm in PARADIGMS
        for concept in ("bell", "acorn")
        for stimulus in (1, 2)
    ]
    table = pd.DataFrame(rows, columns=["paradigm", "concept", "stimulus", "text"])
    found = stimulus_vectors(MODEL, table)
    assert {name: values.shape[1:3] for name, values in found.items()} == dict.fromkeys(
        PARADIGMS, (2, 2)
    )
    np.testing.assert_allclose(
        found["pictures"][:, 0], text_vectors(MODEL, ["acorn", "bell"]), atol=1e-5
    )
    np.testing.assert_allclose(
        found["sentences"][:, 1, 0], text_vectors(MODEL, ["acorn 2"])[:, 0], atol=1e-5
    )


@pytest.mark.parametrize("texts", [[], ["rope", ""]])
def test_texts_without_tokens_are_refused(texts):
    with pytest.raises(InputError, match="at least one text"):
        text_vectors(MODEL, texts)


def test_results_of_listeners_are_kept(study, data, folder):
    inside = region_voxels(study)
    assert data["parts"].shape == (3, 3, 4, N_CONCEPTS, inside.sum())
    assert len(list((folder / "concepts").glob("*.nc"))) == 1
    again = listener_data(study, 40)
    xr.testing.assert_identical(again, data)
    own = study.responses("L2", "pictures").to_numpy()[..., inside]
    # All parts together, weighted by their stimuli, are the mean over what was shown.
    region = study.voxels["roi"].to_numpy(str)[inside] == "TP"
    np.testing.assert_allclose(
        data["stimuli"].sel(subject="L2", paradigm="pictures", region="TP"),
        own[..., region].mean(axis=2),
        rtol=1e-4,
        atol=1e-5,
    )
    few = listener_data(study, 0, paradigms=("pictures",))
    assert "significant" not in few and few.sizes["paradigm"] == 1


def test_a_study_without_regions_is_refused(study):
    study.voxels["roi"] = ""
    with pytest.raises(InputError, match="no regions in the left"):
        listener_data(study, 0)


def test_the_map_finds_the_consistent_region(found, study):
    inside = maps.region_table(found).set_index("region")
    assert inside.loc["BA45", "probability"] > 0.95 and inside.loc["BA45", "mirrored"] < 0.1
    assert inside.loc["TP", "probability"] < 0.1
    rows = maps.lateralization(found)
    assert list(rows["where"].unique()) == [maps.WHOLE, maps.REGIONS]
    first = rows.iloc[0]
    left = (found.counts > 0) & (found.voxels["hemisphere"] == "L").to_numpy()
    assert first["left"] == left.sum() and first["index"] > 0.7
    assert rows[rows["k"] == 4]["index"].isna().all()
    assert maps.recovery(found) > 0.6


def test_mirror_images():
    voxels, _ = voxels_and_mask()
    values = voxels["x"].to_numpy() + 100 * voxels["y"].to_numpy()
    expected = -voxels["x"].to_numpy() + 100 * voxels["y"].to_numpy()
    np.testing.assert_array_equal(maps.mirrored(values, voxels), expected)
    left = voxels[voxels["hemisphere"] == "L"]
    np.testing.assert_array_equal(maps.mirrored(np.ones(len(left)), left), 0)


def test_chance_is_binomial_where_half_of_the_participants_are_covered(found):
    # The first voxels are those of one participant, the next ones of two of three.
    found.selectivity[1:, :20] = found.selectivity[2, 20:40] = np.nan
    found.counts[:20] = 1
    rows = maps.chance_table(found)
    counts = found.counts[20:]
    np.testing.assert_allclose(rows["chance"][0], len(counts) * (1 - 0.9975**3))
    assert rows["voxels"].tolist()[:2] == [(counts >= k).sum() for k in (1, 2)]
    rate = counts.mean() / 3
    np.testing.assert_allclose(rows["cautious chance"][2], len(counts) * rate**3)


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_consistency_by_selectivity_counts_quartiles(found):
    selectivity = found.selectivity
    selectivity[:] = selectivity[0]
    ba45 = ((found.voxels["roi"] == "BA45") & (found.voxels["hemisphere"] == "L")).to_numpy()
    found.counts[ba45] = 3 * (selectivity[0, ba45] > np.median(selectivity[0, ba45]))
    rows = maps.consistency_by_selectivity(found).set_index(["region", "quartile"])["value"]
    np.testing.assert_allclose(rows["BA45"], [0, 0, 1, 1], atol=1e-9)


def test_planted_consistency_comes_out(study, data):
    rows = maps.recovered_table(study, data).set_index(["region", "side"])
    assert rows.loc[("BA45", "L"), "planted"] == pytest.approx(0.9)
    assert rows.loc[("BA45", "L"), "found"] == pytest.approx(0.9, abs=0.05)
    assert rows.loc[("TP", "R"), "found"] == pytest.approx(0, abs=0.1)
    assert as_moments(data["moments"][0]).shared.shape == (3, study.n_voxels)
    groups = maps.region_groups(study, data)
    region = study.voxels["roi"].to_numpy(str)[region_voxels(study)]
    np.testing.assert_array_equal(groups["more consistent"], region == "BA45")


def test_scores_follow_consistency(study, data):
    latents = tiny_study()[1]
    values = answers.voxel_values(data, vectors_of(latents), 4)
    region = study.voxels["roi"].to_numpy(str)[region_voxels(study)]
    assert values["score"].shape == (3, len(region))
    assert values["score"][:, region == "BA45"].mean() > 0.6
    assert abs(values["score"][:, region == "TP"].mean()) < 0.1
    rows = answers.relation_table(values).set_index(["analysis", "what"])
    assert (rows.xs("consistency", level="what")["low"] > 0.3).all()
    assert rows.loc[("default", "selectivity"), "low"] < rows.loc[("default", "selectivity"), "r"]


def test_noise_alone_passes_for_consistency_as_published_only():
    """Voxels with one consistency and one alignment, of different noise."""
    rng = np.random.default_rng(8)
    n = (12, 400)
    reliability = np.broadcast_to(rng.uniform(0.1, 0.8, n[1]), n)
    values = {
        "consistency": 0.5 * reliability + 0.04 * rng.standard_normal(n),
        "score": 0.3 * np.sqrt(reliability) + 0.07 * rng.standard_normal(n),
        "score_other": 0.3 * np.sqrt(reliability) + 0.07 * rng.standard_normal(n),
        "excess": 0.1 * rng.standard_normal(n),
        "reliability": reliability + 0.05 * rng.standard_normal(n),
        "selectivity": rng.standard_normal(n),
    }
    rows = answers.relation_table(values).set_index(["analysis", "what"])
    assert rows.loc[("published", "consistency"), "low"] > 0.5
    assert (
        rows.loc[("default", "consistency"), "low"]
        < 0
        < rows.loc[("default", "consistency"), "high"]
    )
    worlds = {tables.CONSTANT: answers.relation_table(values)}
    numbers = tables.relation_numbers(worlds, {tables.CONSTANT: values})
    assert numbers["r_C_constant"] > 0.5 > abs(numbers["r_L_constant"])
    for function in ("quartiles_figure", "quartiles_alt"):
        getattr(plots_concept_scores, function)(values, tables.CONSTANT)


def test_folds_of_stimuli_leak():
    """Every concept has a code of its own, and vectors that name it without telling more."""
    rng = np.random.default_rng(9)
    n = 180
    code = 0.5 * rng.standard_normal((n, 2))
    stimuli = code + rng.standard_normal((3, 1, 6, n, 2))
    stimuli[:, :, 5, ::3] = np.nan
    dims = ("subject", "paradigm", "stimulus", "concept", "region")
    coords = {"subject": ["L1", "L2", "L3"], "paradigm": ["pictures"]}
    data = xr.Dataset({"stimuli": (dims, stimuli)}, coords)
    vectors = {"pictures": np.repeat(rng.standard_normal((1, 1, n, 170)), 6, axis=1)}
    rows = answers.leak_table(data, vectors, 4)
    means = rows.groupby("folds")["r"].mean()
    assert means["of stimuli"] > 0.2 and abs(means["of concepts"]) < 0.1
    assert len(rows) == 6
    numbers = tables.leak_numbers(rows)
    assert numbers["leak_pictures"] == pytest.approx(means["of stimuli"])
    assert "pictures, folds of stimuli" in plots_concept_scores.leak_alt(rows)
    assert isinstance(plots_concept_scores.leak_figure(rows), Figure)
    shown = tables.listeners_page(rows, "folds").set_index("folds")["score"]
    assert shown.to_dict() == pytest.approx(means.to_dict())


def test_only_what_is_shared_carries_over(study, data):
    latents = tiny_study()[1]
    groups = maps.region_groups(study, data)
    rows = answers.transfer_table(data, vectors_of(latents), groups, 4)
    assert len(rows) == 3 * 2 * 3
    means = rows.groupby(["regions", "paradigm"])["r"].mean()
    assert (means["more consistent"] > 0.5).all() and (means["less consistent"].abs() < 0.1).all()
    shown = tables.listeners_page(rows, "regions")
    assert shown.columns.tolist() == ["paradigm", "regions", "score", "95 % interval"]


def test_geometry_tells_the_model_that_knows(study, data):
    latents = tiny_study()[1]
    models = {
        answers.TRAINED: vectors_of(latents),
        answers.UNTRAINED: vectors_of(np.random.default_rng(1).standard_normal(latents.shape)),
    }
    groups = maps.region_groups(study, data)
    rows = answers.geometry_table(data, models, groups, 10, 40)
    assert len(rows) == 2 * 2 * 4
    shared = rows[rows["concepts as"] == answers.SHARED].set_index(["regions", "model"])
    assert shared.loc[("more consistent", "trained"), "low"] > 0.2
    assert shared.loc[("more consistent", "trained"), "p"] == pytest.approx(1 / 41)
    assert abs(shared.loc[("more consistent", "untrained"), "r"]) < 0.1
    assert abs(shared.loc[("less consistent", "trained"), "r"]) < 0.15
    assert isinstance(plots_concept_scores.geometry_figure(rows), Figure)
    assert "more consistent regions, trained model" in plots_concept_scores.geometry_alt(rows)
    numbers = tables.geometry_numbers(rows)
    assert set(numbers) == {"rsa_sentences", "rsa_pictures", "rsa_word_clouds", "rsa_shared"}
    assert "95 % interval" in tables.geometry_page(rows)
    values = answers.voxel_values(data, models[answers.TRAINED], 4)
    found = maps.listener_map(study, data, "fdr")
    claims = {row.what: (row.printed, row.here) for row in tables.claim_rows(found, values, rows)}
    for printed, here in claims.values():
        assert sorted(printed) == sorted(here)
    assert claims["consistent voxels of the regions"][1] == ["left", "right"]


@pytest.mark.filterwarnings("ignore:Precision loss")
def test_figures_of_the_map(found):
    for name in ("lateralization", "regions", "selectivity"):
        assert isinstance(getattr(plots_concepts, f"{name}_figure")(found), Figure)
        alt = getattr(plots_concepts, f"{name}_alt")(found)
        assert alt.startswith("Simulated listeners, not people.") and "nan" not in alt.split()
    row = maps.lateralization(found).iloc[0]
    text = plots_concepts.lateralization_alt(found)
    assert f"k = 1: {row['left']:,} left, {row['right']:,} right" in text


def test_maps_of_listeners_and_published_ones(found):
    figure = plots_concepts.map_figure(found)
    assert sum("Planted" in text.get_text() for text in figure.texts) == 1
    assert "planted consistency" in plots_concepts.map_alt(found)
    plain = maps.ConsistencyMap(
        found.counts, found.selectivity, found.voxels, found.mask, 3, "published maps", "published"
    )
    figure = plots_concepts.map_figure(plain)
    assert [text.get_text() for text in figure.legends[0].texts] == ["1: BA45", "2: TP"]
    assert "the regions made from it" in plots_concepts.map_alt(plain)


@pytest.mark.parametrize("upright", [True, False])
def test_bars_reach_from_low_to_high_wherever_the_value_is(upright):
    rows = pd.DataFrame({"value": [0.9, 0.5], "low": [0.1, 0.4], "high": [0.6, 0.8]})
    axes = Figure().subplots()
    line = plots_concepts.dots(axes, rows, "value", [1, 2], upright, color="k", marker="o")
    values = 1 if upright else 0
    np.testing.assert_array_equal(line.get_xydata()[:, values], rows["value"])
    (bars,) = axes.collections
    ends = [segment[:, values].tolist() for segment in bars.get_segments()]
    assert ends == rows[["low", "high"]].to_numpy().tolist()


def test_recovery_is_drawn_and_said(study, data, found):
    rows = maps.recovered_table(study, data)
    assert isinstance(plots_concept_scores.recovery_figure(rows), Figure)
    assert "BA45 L: planted 0.90" in plots_concept_scores.recovery_alt(rows)
    page = ConceptPage(found, study=study, data=data)
    assert page.not_at_hand == ("published",)
    assert tables.truth_table(page)["region"].tolist()[0] == "BA45 L"
    numbers = tables.truth_numbers(page) | tables.map_numbers(page)
    assert numbers["largest_error_regions"] < 0.1 and numbers["n_subjects"] == 3
    assert numbers["n_roi_BA45"] == (region_voxels(study) & (study.voxels["roi"] == "BA45")).sum()
    assert tables.page_regions(found)["region"].tolist() == ["BA45", "TP"]
    assert tables.lateralization_table(found)["chance, both sides"].notna().sum() == 4


def test_boxes_are_the_same_on_both_sides(found, monkeypatch):
    # Edges of boxes, at 12 and 36 mm, are places of voxels.
    found.voxels["x"] *= 3
    places = []
    monkeypatch.setattr(maps, "map_correlation", lambda *given, **_: places.append(given[2]))
    maps.selectivity_relation(found, 99, np.random.default_rng(0))
    mirrored = places[0] * [-1, 1, 1]
    assert sorted(map(tuple, mirrored)) == sorted(map(tuple, places[0] + 0.0))


def test_relation_with_selectivity(found):
    known = np.isfinite(found.selectivity).all(axis=0)
    r, n, boxes = maps.selectivity_relation(found, 99, np.random.default_rng(0))
    expected = stats.pearsonr(found.probability[known], found.selectivity.mean(axis=0)[known])
    assert (r, n) == (pytest.approx(expected.statistic), known.sum())
    assert 0 < boxes.p <= 1
    assert tables.selectivity_table(r, n, boxes)["r"].tolist() == [r, boxes.r]


def test_published_numbers_are_compared_by_name():
    table = published.concepts()
    assert table["name"].is_unique and set(table["source"]) == {
        "paper", "authors' tables", "authors' maps"
    }  # fmt: skip
    rows = tables.paper_rows({"n_left_k4": 295})
    assert [row.here for row in rows if row.what == "voxels with k ≥ 4, left"] == [295]
    assert all(row.tolerance is not None for row in rows)
