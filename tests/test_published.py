"""The published tables: what the paper printed comes out of the digitised points."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from brainalign import published
from brainalign.errors import InputError
from brainalign.scaling import LANGUAGE_MODEL


def rows(table, **wanted):
    for name, value in {"kind": LANGUAGE_MODEL, **wanted}.items():
        table = table[table[name] == value]
    return table


@pytest.mark.parametrize(
    ("voxels", "statistic", "hemisphere", "printed"),
    [
        ("all", "mean", "both", 0.95),
        ("reliable", "mean", "both", 0.95),
        ("all", "mean", "L-R", 0.82),
        ("reliable", "mean", "L-R", 0.89),
        ("all", "90th percentile", "L-R", 0.93),
    ],
)
def test_printed_correlations_come_out(voxels, statistic, hemisphere, printed):
    part = rows(published.score_table(), voxels=voxels, statistic=statistic, hemisphere=hemisphere)
    assert len(part) == 28
    r = stats.pearsonr(np.log(part["n_parameters"]), part["score"]).statistic
    assert abs(r - printed) <= 0.006


def test_every_region_comes_out():
    table = published.region_table()
    assert set(table["hemisphere"]) == {"L", "R"}
    for roi, part in rows(table).groupby("roi"):
        sides = part.pivot(index=["model", "n_parameters"], columns="hemisphere", values="score")
        assert len(sides) == 28
        sizes = np.log(sides.index.get_level_values("n_parameters"))
        r = stats.pearsonr(sizes, sides["L"] - sides["R"]).statistic
        printed = published.printed_correlation(f"roi_{roi} L-R")["published_stat"]
        assert abs(r - printed) <= 0.006, roi


def test_slopes_agree_with_the_table_of_fits():
    fits = published.single_predictor_fits().set_index("dependent")["slope_per_decade"]
    table = published.score_table("value")
    for panel, wanted in {
        "rv_mean": {"voxels": "reliable", "statistic": "mean", "hemisphere": "both"},
        "wb_LmR": {"voxels": "all", "statistic": "mean", "hemisphere": "L-R"},
        "p90_L": {"voxels": "all", "statistic": "90th percentile", "hemisphere": "L"},
    }.items():
        part = rows(table, **wanted)
        slope = np.polyfit(np.log10(part["n_parameters"]), part["score"], 1)[0]
        assert slope == pytest.approx(fits[panel], rel=2e-3), panel


def test_left_minus_right_agrees_with_left_and_right_up_to_a_pixel():
    table = rows(published.score_table(), statistic="mean")
    for voxels, pixel in [("all", 1.5e-4), ("reliable", 2.5e-4)]:
        part = table[table["voxels"] == voxels]
        sides = part.pivot(index="model", columns="hemisphere", values="score")
        assert (sides["L"] - sides["R"] - sides["L-R"]).abs().max() < pixel
        assert ((sides["L"] + sides["R"]) / 2 - sides["both"]).abs().max() < 3 * pixel


def test_table_has_its_columns_and_one_row_per_key():
    table = published.score_table()
    assert list(table.columns) == published.SCORE_COLUMNS
    assert not table.duplicated(["model", "voxels", "statistic", "hemisphere"]).any()
    assert table["score"].notna().all()
    assert set(table["source"]) == {"published values (digitised)"}
    assert str(table["seed"].dtype) == "Int64"


def test_controls_are_the_printed_ones():
    table = published.score_table()
    part = table[(table["hemisphere"] == "L-R") & (table["voxels"] == "reliable")]
    scores = part.set_index("model")["score"]
    assert scores["random-vectors-300"] == pytest.approx(-0.002671, abs=1e-6)
    assert scores["random-embeddings-1024"] == pytest.approx(-0.024747, abs=1e-6)
    assert scores["glove-300"] == pytest.approx(-0.002296, abs=1e-6)
    untrained = part[part["kind"] == "untrained"]
    assert len(untrained) == 9 and set(untrained["seed"]) == {1}


def test_raw_scores_of_the_temporal_sulcus_are_higher_on_the_right():
    table = rows(published.region_table())
    sides = table.pivot(index=["roi", "model"], columns="hemisphere", values="score")
    difference = sides["L"] - sides["R"]
    assert (difference[["aSTS", "pSTS"]] < 0).all()
    assert (difference[["BA44", "BA45", "BA47"]] > 0).all()


def test_two_columns_differ_by_little():
    first, second = (
        published.score_table(column)["score"] for column in ("value", "value_pixel_only")
    )
    assert 0 < (first - second).abs().max() <= 5.3e-5


def test_models_can_be_chosen():
    table = published.score_table(names=["gpt2", "gpt2-xl"])
    assert set(rows(table)["model"]) == {"gpt2", "gpt2-xl"}
    assert (table["kind"] == "random vectors").any()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: published.score_table(names=["gpt5"]), "'gpt5'"),
        (lambda: published.score_table("shifted"), "'shifted'"),
        (lambda: published.models("de"), "'de'"),
        (lambda: published.printed_correlation("rv_sum"), "'rv_sum'"),
    ],
)
def test_unknown_names_are_refused(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_languages_and_other_tables():
    assert [len(published.models(language)) for language in ("en", "fr", "cn")] == [28, 4, 10]
    assert published.isc_summary().set_index("lang")["n_voxels"]["en"] == 25_870
    assert {"published", "recomputed_from_pixel_only_digitised"} <= set(published.ols().columns)


def test_printed_tests_agree_with_their_recomputation():
    table = published.tests().dropna(subset=["published_stat", "recomputed_stat"])
    assert len(table) == 50
    assert (table["published_stat"] - table["recomputed_stat"]).abs().max() <= 0.0061
    assert isinstance(table, pd.DataFrame)


def test_front_page_states_what_the_points_give():
    text = (Path(__file__).parents[1] / "book" / "index.md").read_text(encoding="utf-8")
    pattern = r"^\| (left − right|brain score), (whole brain|reliable voxels) \| (\S+) \| (\S+) \|$"
    stated = re.findall(pattern, text, re.MULTILINE)
    assert len(stated) == 4
    for what, where, r, slope in stated:
        part = rows(
            published.score_table(),
            voxels={"whole brain": "all", "reliable voxels": "reliable"}[where],
            statistic="mean",
            hemisphere={"left − right": "L-R", "brain score": "both"}[what],
        )
        line = stats.linregress(np.log10(part["n_parameters"]), part["score"])
        assert f"{line.rvalue:.2f}" == r
        assert f"{line.slope:.2g}" == slope
