"""Intervals beside the scores they are of; tables, numbers and sentences beside each other."""

import json

import numpy as np
import pytest
from scipy import stats
from synthetic_controls import FEATURES, REGIONS, choice_scores, control_scores, simulated_controls

from brainalign import control_tables
from brainalign.companion.output import record
from brainalign.controls import BOXCARS, IMPULSES, JOINT, MODEL, RANDOM

NAME = "small-model"


@pytest.fixture(scope="module")
def found():
    return control_scores()


def score_table(found, n_boot=2000):
    return control_tables.score_table(found, n_boot, np.random.default_rng(0))


def test_rows_have_both_intervals(found):
    table = score_table(found).set_index(["region", "features"])
    alone = found["alone"].sel(features=BOXCARS, region="RATL").to_numpy()
    row = table.loc["RATL", BOXCARS]
    assert row["listeners"] == pytest.approx(alone.mean())
    half = stats.sem(alone) * stats.t.ppf(0.975, 8)
    # The average scores twice the listeners' mean here, so that its interval is twice as wide.
    assert row["high"] - row["low"] == pytest.approx(4 * half)
    drawn = row["listeners high"] - row["listeners low"]
    assert drawn == pytest.approx(2 * 1.96 * alone.std() / 3, rel=0.1)
    assert np.isnan(row["p"]) and table.loc["LPTL", NAME]["p"] == pytest.approx(0.2)
    shifted = table.loc["LATL", control_tables.SHIFTED]
    assert shifted["high"] == pytest.approx(np.quantile(found["shift"][:, 0], 0.95))
    assert len(table) == 3 * 6


def test_pages_show_the_scores_in_order(found):
    table = score_table(found)
    average = control_tables.average_table(found, table)
    assert list(average.index) == list(REGIONS)
    names = [NAME, BOXCARS, IMPULSES, f"{NAME} and word rate", RANDOM]
    assert list(average.columns) == [*names, "noise ceiling"]
    assert average["noise ceiling"].tolist() == ["0.90", "0.80", "0.70"]
    score = found["score"].sel(features=RANDOM, region="LPTL").item()
    assert average.loc["LPTL", RANDOM].startswith(f"{score:.2f} (")
    listeners = control_tables.listener_table(table)
    assert listeners.loc["LATL", NAME].startswith(f"{found['alone'][0, :, 0].mean():.2f} (")


def test_differences_are_paired(found):
    table = control_tables.difference_table(found).set_index(["difference", "region"])
    assert len(table) == 4 * 3
    row = table.loc[f"{NAME} and word rate − {BOXCARS}", "LPTL"]
    alone = found["alone"].sel(region="LPTL")
    gained = 2 * (alone.sel(features=JOINT) - alone.sel(features=BOXCARS)).to_numpy()
    assert row["value"] == pytest.approx(gained.mean())
    half = stats.sem(gained) * stats.t.ppf(0.975, 8)
    assert row["high"] - row["value"] == pytest.approx(half)
    page = control_tables.difference_page_table(table.reset_index())
    assert page.loc["LPTL"].iloc[2].startswith(f"{row['value']:.3f}".replace("-", "−"))


@pytest.mark.parametrize(
    ("hrf", "coding"), [("glover", BOXCARS), ("glover_impulse", IMPULSES), ("fir", None)]
)
def test_joint_model_is_compared_with_word_rate_of_its_own_coding(hrf, coding):
    table = control_tables.difference_table(control_scores(hrf=hrf))
    joint = [name for name in table["difference"].unique() if "and word rate" in name]
    assert joint == ([f"{NAME} and word rate − {coding}"] if coding else [])


def test_chance_of_voxels_has_their_share(found):
    regions = control_tables.chance_table(found, of_voxels=False)
    assert not any("voxels" in name for name in regions)
    voxels = control_tables.chance_table(found, of_voxels=True)
    assert voxels["voxels with q < .05 (blocks)"].tolist() == ["100 %", "50 %", "0 %"]
    expected = np.quantile(found["shift_word_rate"], 0.95, axis=0)
    assert voxels["word rate shifted: 95 % are below"].tolist() == pytest.approx(expected)
    assert (voxels["p (blocks)"] < voxels["p (shifted)"]).all()
    assert voxels["shifted: mean"].tolist() == pytest.approx(found["shift"].mean("shift"))


def test_captions_say_how_small_p_can_be(found):
    assert control_tables.chance_caption(found, of_voxels=False) == (
        "The model's score beside what chance gives: 100 shifts, 1,000 permutations of blocks. The "
        "smallest possible p is 1/101 by shifts and 1/1,001 by blocks."
    )
    assert ". Shifts: 40 voxels of" in control_tables.chance_caption(found, of_voxels=True)


def test_numbers_have_a_name_for_every_region(found, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_OUTPUT", str(tmp_path))
    record(control_tables.numbers(found, score_table(found)))
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert numbers["n_models"] == 1
    assert numbers["r_log_parameters"] is None and numbers["slope_per_decade"] is None
    for key, features in {
        "owner_small_model": MODEL,
        "word_rate": BOXCARS,
        "word_rate_impulses": IMPULSES,
        "joint": JOINT,
        "random_embeddings": RANDOM,
    }.items():
        expected = found["score"].sel(features=features, region="RATL").item()
        assert numbers[f"score_{key}_RATL"] == pytest.approx(expected)
        assert numbers[f"ci_low_{key}_RATL"] < expected < numbers[f"ci_high_{key}_RATL"]
        assert f"listeners_{key}_RATL" in numbers
    assert numbers["p_LATL"] == 0.001 and numbers["q_LATL"] == 0.002
    assert numbers["p_blocks_LATL"] == 0.0001 and numbers["q_blocks_LATL"] == 0.0002
    expected = np.quantile(found["shift_word_rate"][:, 1], 0.95)
    assert numbers["shifted_95_word_rate_RATL"] == pytest.approx(expected)
    assert numbers["score_shifted_LPTL"] < numbers["shifted_95_LPTL"]
    assert numbers["ceiling_RATL"] == pytest.approx(0.8)
    assert len(numbers) == 3 + 3 * (4 * len(FEATURES) + 8)


def test_sentences_count_what_the_tables_show(found):
    differences = control_tables.difference_table(found)
    text = control_tables.findings(found, differences, choice_scores())
    part = differences[differences["difference"] == f"{NAME} − {RANDOM}"]
    above, surely = (part["value"] > 0).sum(), (part["low"] > 0).sum()
    assert f"{NAME} − {RANDOM}: above zero in {above} of 3 regions" in text
    assert f"{NAME} − {RANDOM}: above zero in 3 of 3 regions, with the whole interval in {surely}."
    assert f"are: {NAME} 0.20 to 0.60; {BOXCARS} 0.10 to 0.40; {IMPULSES} 0.10 to 0.60." in text
    rate = np.quantile(found["shift_word_rate"], 0.95, axis=0)
    assert f"of word rate, above {rate.min():.2f} to {rate.max():.2f}." in text
    assert f"with q < .05 over regions in {int((found['q'] < 0.05).sum())}." in text
    score = found["score"].sel(features=MODEL)
    best = score["region"].values[int(score.argmax("region"))]
    assert f"to {score.max().item():.2f} ({best}); word rate" in text


@pytest.mark.parametrize(
    ("better", "always"),
    [
        (BOXCARS, "−0.10 to 0.40; it is above zero under every choice in 1 of 3 regions (LATL)"),
        (IMPULSES, "−0.10 to 0.30; it is above zero under every choice in 2 of 3 regions (LATL, L"),
    ],
)
def test_the_better_coding_comes_first(found, better, always):
    ahead = (found["features"] == better) & (found["region"] != "RATL")
    raised = found.assign(score=found["score"] + 10.0 * (found["features"] == better))
    low = raised.assign(score=raised["score"] - 20.0 * ahead)
    assert control_tables.better_coding(raised) == better
    differences = control_tables.difference_table(raised)
    text = control_tables.findings(raised, differences, choice_scores())
    opening = f"Against the better coding of word rate ({better}), the whole interval of"
    assert f"{opening} the difference is above zero in 0 of 3 regions. {NAME}" in text
    assert f"{NAME} minus {better} is {always}" in text
    assert f"- {NAME} − {better}:" not in text
    assert control_tables.better_coding(low) != better


def test_choices_have_a_row_for_each_features():
    table = control_tables.sensitivity_table(choice_scores(), "owner/small-model")
    assert table["features"].tolist() == [NAME, BOXCARS, IMPULSES] * 2
    assert table["LPTL"].tolist() == [0.3, 0.4, 0.2, 0.6, 0.2, 0.3]


def test_many_regions(n_boot=100):
    found = simulated_controls()
    table = score_table(found, n_boot)
    assert control_tables.average_table(found, table).shape == (10, 6)
