"""A critical reading: what was noted comes out, and made-up scores give what they were made with."""

import numpy as np
import pandas as pd
import pytest
import synthetic_layers
import xarray as xr
from matplotlib.text import Text
from scipy import stats
from synthetic_scores import brain_scores, reliable_voxels, simulated_scores

from brainalign import (
    comparison,
    evidence,
    lateralization,
    plots_robustness,
    published,
    regions,
    robustness,
)
from brainalign.errors import InputError
from brainalign.evidence import DIFFERENCE, SCORE, WHOLE_BRAIN
from brainalign.robustness import ALL, DRAWN, FAMILIES, LARGEST, ONE_LAYER, SMALLEST
from brainalign.scaling import select
from brainalign.study import SIMULATED

FIGURES = ("choices", "layers", "baseline", "normalised")


@pytest.fixture(scope="module")
def printed():
    return evidence.gather("published")


@pytest.fixture(scope="module")
def simulated():
    """Made-up scores; the best single layer loses 0.01, and half of it on the left."""
    scores = simulated_scores()
    rows = select(scores.table, "reliable")
    difference = select(scores.table, "reliable", "mean", "L-R")["score"]
    one = rows.assign(score=rows["score"] - 0.01, difference=difference - 0.005)
    isc = np.where(brain_scores()["hemisphere"] == "L", 0.5, 0.25)
    how = {"source": SIMULATED, "layer_rule": "nested"}
    normalised = [
        lateralization.isc_normalised(brain_scores(), by, reliable_voxels()).assign(divisor=name)
        for name, by in [(evidence.ISC, isc), (evidence.CEILING, np.ones_like(isc))]
    ]
    return evidence.Evidence(scores, one, pd.concat(normalised).assign(**how))


def choices_of(found):
    return robustness.all_choices(found, 100, np.random.default_rng(0))


def findings_of(found):
    return robustness.findings(found, choices_of(found))


def test_everything_noted_comes_out(printed):
    rows = robustness.claims(findings_of(printed))
    table = comparison.compare(rows, True)
    assert table["agrees"].tolist() == ["yes"] * len(published.critical_reading())


def test_names_of_notes_are_unique_and_each_has_one_way_to_compare():
    notes = published.critical_reading()
    assert notes["name"].is_unique and notes["what"].is_unique
    assert (notes["tolerance"].notna() ^ notes["factor"].notna()).all()
    assert set(notes["signed"]) == {"yes", "no"}


def test_the_largest_two_thirds_are_the_models_above_a_billion(printed):
    rows = evidence.quantity_rows(printed, SCORE)
    assert (robustness.largest(rows)["n_parameters"] > 1e9).all()
    assert len(robustness.largest(rows)) == (rows["n_parameters"] > 1e9).sum()


@pytest.mark.parametrize("quantity", [SCORE, DIFFERENCE])
def test_lines_are_those_of_scipy_and_of_centred_families(printed, quantity):
    lines = choices_of(printed)[quantity].set_index("choice")
    rows = evidence.quantity_rows(printed, quantity)
    rows["x"] = np.log10(rows["n_parameters"].astype(float))
    for choice, part in {ALL: rows, SMALLEST: rows.iloc[3:], LARGEST: rows.iloc[-19:]}.items():
        known = stats.linregress(part["x"], part["score"])
        assert lines.loc[choice, "slope"] == pytest.approx(known.slope)
        assert lines.loc[choice, "p"] == pytest.approx(known.pvalue)
        assert lines.loc[choice, "low"] < known.slope < lines.loc[choice, "high"]
    # A constant for each family is the same as means of families taken away.
    centred = rows[["x", "score"]] - rows.groupby("family")[["x", "score"]].transform("mean")
    known = stats.linregress(centred["x"], centred["score"])
    assert lines.loc[FAMILIES, "slope"] == pytest.approx(known.slope)
    assert lines.loc[FAMILIES, "r"] == pytest.approx(known.rvalue)


def test_a_single_layer_has_the_line_that_it_was_given(simulated):
    for quantity in (SCORE, DIFFERENCE):
        lines = choices_of(simulated)[quantity].set_index("choice")
        assert lines.loc[ONE_LAYER, "slope"] == pytest.approx(lines.loc[ALL, "slope"])
    assert evidence.layer_bias(simulated)["bias"].to_numpy() == pytest.approx(0.01)


def test_one_family_has_no_constants_and_the_whole_brain_no_single_layer(simulated):
    choices = choices_of(simulated)[WHOLE_BRAIN]["choice"]
    assert choices.tolist() == [ALL, SMALLEST, LARGEST]


def test_a_baseline_is_subtracted_region_by_region(printed):
    rows = regions.baseline_rows(printed.scores.regions)
    slopes = published.roi_slopes().set_index("roi")
    known = slopes["random_embedding_1024d_L"] - slopes["random_embedding_1024d_R"]
    assert len(rows) == 7 * 28
    assert (rows["baseline"] - rows["roi"].map(known)).abs().max() < 1e-4
    table = robustness.baseline_table(rows).set_index("region")
    assert (table["left higher, less baseline"] == 28).all()
    assert table.loc["aSTS", "left higher, raw"] == 0


def test_the_widest_random_embeddings_are_the_baseline(simulated):
    table = simulated.scores.regions
    rows = regions.baseline_rows(table)
    wide = table[table["model"].str.startswith("random-embeddings-128")]
    sides = wide.groupby(["roi", "hemisphere"])["score"].mean().unstack()
    known = rows["roi"].map(sides["L"] - sides["R"])
    assert rows["baseline"].to_numpy() == pytest.approx(known.to_numpy())
    assert (rows["raw"] - rows["baseline"]).to_numpy() == pytest.approx(rows["subtracted"])
    assert rows["model"].nunique() == 9


def test_division_by_isc_turns_the_sign_where_the_left_has_more_of_it(simulated):
    findings = findings_of(simulated)
    assert findings["n_negative_normalised"] == 9
    # Divided by 1, the scores are what they were.
    raw = evidence.quantity_rows(simulated, DIFFERENCE)["score"]
    same = evidence.normalised_rows(simulated, evidence.CEILING)["score"]
    assert same.to_numpy() == pytest.approx(raw.to_numpy(), abs=1e-6)
    assert np.isnan(findings["n_listeners"])
    assert "slope_difference_families" not in findings


def test_claims_about_other_listeners_compare_signs_only(simulated):
    table = comparison.compare(robustness.claims(findings_of(simulated)), False)
    assert set(table["agrees"]) <= {"sign agrees", "sign differs", "not compared", "printed only"}
    single = table.set_index("what").loc["best single layer, score: r"]
    assert single["agrees"] == "sign agrees"


@pytest.mark.parametrize("study", ["printed", "simulated"])
@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_stamped_whole_and_readable(study, name, request):
    found = request.getfixturevalue(study)
    given = [found, choices_of(found)] if name == "choices" else [found]
    figure = getattr(plots_robustness, f"{name}_figure")(*given)
    alt = getattr(plots_robustness, f"{name}_alt")(*given)
    figure.draw_without_rendering()
    stamps = [text.get_text() for text in figure.texts if text.get_gid() == "stamp"]
    assert stamps == [found.scores.table["source"].iloc[0]]
    assert alt.startswith("Simulated" if stamps == [SIMULATED] else "Published values")
    assert "nan" not in alt.replace("nano", "")
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [item.get_tightbbox() for item in (*figure.axes, *figure.legends)]
    boxes += [text.get_window_extent() for text in figure.texts]
    for i, box in enumerate(boxes):
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:i])
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert 380 * min(sizes) / (72 * figure.get_size_inches()[0]) >= 8


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda found: evidence.quantity_rows(found, "sum"), "'sum'"),
        (lambda _: evidence.gather("published", ["gpt2", "gpt2-xl"]), "at least 6 .* 2 were"),
        (lambda _: evidence.gather("published", ["gpt5"]), "'gpt5'"),
    ],
)
def test_bad_input_is_one_sentence(printed, call, words):
    with pytest.raises(InputError, match=words):
        call(printed)


def test_drawing_whole_families_keeps_the_slope(printed):
    lines = choices_of(printed)[DIFFERENCE].set_index("choice")
    assert lines.loc[DRAWN, "slope"] == pytest.approx(lines.loc[ALL, "slope"])
    assert lines.loc[DRAWN, "low"] < lines.loc[ALL, "slope"] < lines.loc[DRAWN, "high"]


def test_tables_of_the_page(printed):
    table = evidence.model_table(printed)
    assert len(table) == 28 and table.notna().all(axis=None)
    assert table["parameters"].is_monotonic_increasing
    choices = robustness.choices_table(choices_of(printed))
    assert choices.groupby("quantity").size().to_dict() == {
        SCORE: 6,
        DIFFERENCE: 6,
        WHOLE_BRAIN: 5,
    }


def test_size_beside_depth_and_width_is_that_of_the_printed_regressions(printed):
    table = robustness.shape_table(printed).set_index(["quantity", "term"])
    stated = published.ols().set_index(["dependent", "term", "statistic"])["published"]
    for quantity, panel in {SCORE: "rv_mean", DIFFERENCE: "rv_LmR", WHOLE_BRAIN: "wb_LmR"}.items():
        row = table.loc[(quantity, "ln parameters")]
        assert row["R²"] == pytest.approx(stated[panel, np.nan, "r_squared"], abs=0.002)
        assert row["coefficient"] == pytest.approx(
            stated[panel, "x1_ln_n_parameters", "coef"], abs=1e-4
        )
        # A rescaled regressor keeps its p value.
        printed_p = stated[panel, "x3_n_hidden", "p"]
        assert table.loc[(quantity, "width"), "p"] == pytest.approx(printed_p, rel=0.4)


def test_voxels_without_a_ceiling_are_not_divided(monkeypatch):
    found = synthetic_layers.found(vectors=False)
    by = np.where(np.arange(found.study.n_voxels) < 10, 0.0, 0.5)
    monkeypatch.setattr(evidence, "LEAST_MODELS", 4)
    monkeypatch.setattr(evidence, "voxel_scores", lambda *args, **options: found)
    for name in ("reliability_map", "noise_ceiling"):
        monkeypatch.setattr(f"brainalign.reliability.{name}", lambda study: xr.DataArray(by))
    divided = evidence.gather("testbed").normalised
    assert set(divided["divisor"]) == {evidence.ISC, evidence.CEILING}
    assert np.isfinite(divided["score"]).all()
