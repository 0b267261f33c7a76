"""Maps of two models above random embeddings: by hand, planted, on the surface, and as slices."""

import json
import re

import numpy as np
import pytest
import xarray as xr

from brainalign import brain_maps, comparison, plots_maps
from brainalign.errors import InputError
from brainalign.scores import VoxelScores
from brainalign.studies import load_study
from brainalign.study import voxel_coordinates


@pytest.fixture(scope="module")
def study():
    return load_study("testbed", n_scans=30, n_listeners=1)


def encoded(study, name, kind, n_parameters, width, values):
    """One layer and three folds around given scores, as `encoding.encode` gives them."""
    shifts = np.array([-0.01, 0, 0.01])[:, None, None]
    folds = (("fold", "layer", "voxel"), (values + shifts).astype(np.float32))
    info = {"name": name, "family": kind, "kind": kind, "n_parameters": n_parameters}
    info |= {"n_layers": 1, "n_hidden": width}
    return xr.Dataset(
        {"r_fold": folds, "r_inner": folds},
        coords={"fold": range(3), "layer": [0], **voxel_coordinates(study.voxels)},
        attrs={"settings": json.dumps({"model": info})},
    )


@pytest.fixture(scope="module")
def found(study):
    """The large model follows discourse; embeddings of two widths differ in level."""
    rng = np.random.default_rng(0)
    noise = 0.02 * rng.normal(size=(5, study.n_voxels))
    discourse = study.truth["weight"].sel(family="discourse").to_numpy()
    rows = [
        ("large", "language model", 1_000_000, 128, 0.1 + 0.2 * discourse),
        ("small", "language model", 1_000, 8, 0.06),
        ("random-embeddings-128:seed-0", "random embeddings", 0, 128, 0.05),
        ("random-embeddings-128:seed-1", "random embeddings", 0, 128, 0.07),
        ("random-embeddings-8:seed-0", "random embeddings", 0, 8, 0.01),
    ]
    scores = [
        encoded(study, *row[:4], row[4] + part) for row, part in zip(rows, noise, strict=True)
    ]
    reliable = discourse > np.quantile(discourse, 0.75)
    return VoxelScores(study, scores, reliable)


@pytest.fixture(scope="module")
def maps(found):
    return brain_maps.brain_maps(VoxelScores(found.study, found.encoded[:4], found.reliable))


def test_the_smaller_model_comes_first_and_seeds_are_averaged(found, maps):
    assert maps.models == ["small", "large"]
    baseline = np.mean([one["r_fold"].mean("fold")[0] for one in found.encoded[2:4]], axis=0)
    np.testing.assert_allclose(maps.baseline, [baseline, baseline], atol=1e-6)
    raw = found.encoded[1]["r_fold"].mean("fold")[0]
    np.testing.assert_allclose(maps.above[0], raw - baseline, atol=1e-6)


def test_embeddings_of_matched_width_are_taken_where_they_are(found):
    matched = brain_maps.brain_maps(found)
    assert matched.baseline[0].mean() == pytest.approx(0.01, abs=0.001)
    assert matched.baseline[1].mean() == pytest.approx(0.06, abs=0.001)


def test_sums_over_reliable_voxels_by_hand(maps):
    row = brain_maps.map_table(maps).iloc[-1]
    side = maps.study.voxels["hemisphere"].to_numpy()
    left = maps.above[1].to_numpy()[maps.reliable & (side == "L")].mean()
    right = maps.above[1].to_numpy()[maps.reliable & (side == "R")].mean()
    assert row["left − right"] == pytest.approx(left - right)
    assert row["map"] == "large above random embeddings"


def test_what_was_planted_is_recovered_and_nothing_else(maps):
    truth = brain_maps.truth_table(maps).set_index("map")["discourse"]
    assert truth["large above random embeddings"] > 0.8
    assert abs(truth["small above random embeddings"]) < 0.05
    recovered = brain_maps.map_recovery(maps, 199, np.random.default_rng(0))
    assert recovered.r > 0.98 and recovered.p == pytest.approx(1 / 200)
    assert brain_maps.numbers(maps)["r_planted_largest"] == truth["large above random embeddings"]


def test_the_papers_maps_come_from_its_tables(maps):
    rows = brain_maps.paper_rows(maps)
    printed = {row.what: row.printed for row in rows}
    assert printed["smallest model, mean above random embeddings"] == pytest.approx(
        0.3963 - 0.180, abs=0.0041
    )
    assert printed["largest model, L − R above random embeddings"] == pytest.approx(
        0.0170 + 0.0247, abs=1e-3
    )
    assert comparison.compare(rows, False)["agrees"].iloc[-1] == "printed only"


def test_names_of_baselines():
    names = brain_maps.baseline_names(["gpt2"], "widest", 2)
    assert names == ["random-embeddings-128:seed-0", "random-embeddings-128:seed-1"]
    assert brain_maps.baseline_names(["gpt2"], "matched", 1) == ["random-embeddings-768:seed-0"]


def test_bad_input(found, maps):
    with pytest.raises(InputError, match="There are scores of 2 language models and 0 random emb"):
        brain_maps.brain_maps(VoxelScores(found.study, found.encoded[:2], found.reliable))
    with pytest.raises(InputError, match="a smaller model with a larger one; gpt2-xl with"):
        brain_maps.extremes("testbed", "gpt2-xl", "gpt2")


def test_a_study_of_regions_has_no_maps(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    with pytest.raises(InputError, match="'alice' has 6 regions and no brain mask"):
        brain_maps.study_maps("alice")


def stamps(figure):
    return [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]


@pytest.mark.parametrize("name", ["glass_brain", "surface"])
def test_figures_share_one_colour_range(maps, name):
    figure = getattr(plots_maps, f"{name}_figure")(maps)
    alt = getattr(plots_maps, f"{name}_alt")(maps)
    assert stamps(figure) == ["SIMULATED LISTENERS"]
    assert alt.startswith("Simulated listeners, not people. 3 rows")
    assert f"0 to {float(maps.above.max()):.3f}" in alt
    names = [text.get_text() for text in figure.texts]
    assert {"Smallest model: small", "Largest model: large"} <= set(names)
    assert sum(len(axes.collections) > 0 for axes in figure.axes if axes.name == "3d") in (0, 12)


def test_a_constant_map_is_constant_on_the_surface(maps):
    values = plots_maps.surface_values(np.full(maps.study.n_voxels, 0.3), maps.study.mask)
    for side in ("left", "right"):
        inside = np.isfinite(values[side])
        assert len(values[side]) == 10_242 and inside.mean() > 0.98
        np.testing.assert_allclose(values[side][inside], 0.3, rtol=1e-5)


def test_slices_fit_their_budget_and_ask_for_nothing(maps):
    page = plots_maps.slices_page(maps)
    assert page == plots_maps.slices_page(maps)
    assert len(page) <= plots_maps.PAGE_BUDGET
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page)
    assert "SIMULATED LISTENERS" in page
