"""Tables of attributions: scipy, loops, and made-up scores whose answers are known."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from brainalign import attribution_checks as checks
from brainalign import attribution_tables as tables
from brainalign import attribution_words as words_tables
from brainalign import load_study
from brainalign.attribution import metrics, word_classes
from brainalign.attribution.word_classes import cue_words
from brainalign.errors import InputError

N_RUNS, N_SCANS, N_WORDS = 4, 12, 30
TARGETS = (
    *("error", "error: half 1", "error: half 2", "error: shuffled", "error: mixture"),
    *("error: white", "region", "region: half 1", "region: half 2", "region: refit"),
    *("region: shifted", "other", "region: random 1", "region: random 2"),
    *("next word: output", "next word: layer", "next word: pooled words"),
)


@pytest.fixture(scope="module")
def made_up():
    """Scores of all targets, drawn apart from each other but for the halves, which are alike."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(len(TARGETS), N_RUNS, N_SCANS, N_WORDS))
    values *= np.exp(-np.arange(N_WORDS) / 8) + 0.05
    values[TARGETS.index("error: half 2")] = values[TARGETS.index("error: half 1")]
    values[..., :3, 20:] = np.nan
    word = np.where(np.isfinite(values[0]), 40 - np.arange(N_WORDS), -1)
    return xr.Dataset(
        {
            "score": (("target", "fold", "scan", "distance"), values),
            "word": (("fold", "scan", "distance"), word),
            "run": ("fold", range(N_RUNS)),
        },
        {"target": list(TARGETS), "scan": range(N_SCANS), "distance": range(N_WORDS)},
    )


def causal_or_not(scores):
    """The same scores without those of the next word."""
    keep = [name for name in TARGETS if "next word" not in name]
    return scores.sel(target=keep)


def of(scores, target):
    return scores["score"].sel(target=target).to_numpy()


def row(table, **wanted):
    for name, value in wanted.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def check_interval(found, values, name):
    """Mean over runs and Student's interval, as scipy has them."""
    interval = stats.ttest_1samp(values, 0).confidence_interval()
    assert found[name] == pytest.approx(np.mean(values))
    assert found["low"] == pytest.approx(interval.low)
    assert found["high"] == pytest.approx(interval.high)


def test_means_over_runs_are_those_of_scipy():
    values = np.array([0.3, 0.5, np.nan, 0.1, 0.45])
    found = tables.over_runs(values)
    expected = stats.ttest_1samp(values[np.isfinite(values)], 0)
    check_interval(found, values[np.isfinite(values)], "mean")
    assert found["p"] == pytest.approx(expected.pvalue)
    wider = expected.confidence_interval(0.99)
    assert tables.over_runs(values, 0.99)["low"] == pytest.approx(wider.low)
    alone = tables.over_runs(np.array([0.3, np.nan]))
    assert alone["mean"] == 0.3 and np.isnan([alone[name] for name in ("low", "high", "p")]).all()
    assert np.isnan([*tables.over_runs(np.array([np.nan])).values()]).all()


def test_overlap_of_what_is_alike_is_one(made_up):
    found = tables.overlap(made_up, np.random.default_rng(0))
    assert set(found["threshold"]) == set(metrics.THRESHOLDS)
    names = [*tables.PAIRS, "next word, positions kept", "random sets"]
    assert list(found["what"].unique()) == names
    same = found[found["what"] == "same brain, other listeners"]
    assert (same[["iou", "low", "high"]] == 1).all(axis=None)
    a, b = (metrics.important_sets(of(made_up, one), 10) for one in (tables.BRAIN, tables.OUTPUT))
    per_run = metrics.iou(a, b).mean(1)
    check_interval(row(found, threshold=10, what="brain and next word"), per_run, "iou")
    # What was drawn apart shares what its positions make it share, and more than any sets.
    shared, kept, sets = (
        row(found, threshold=30, what=what)["iou"] for what in (names[0], *names[-2:])
    )
    assert abs(shared - kept) < 0.05 and kept > sets + 0.05


def test_overlap_of_a_model_that_predicts_no_word(made_up):
    found = tables.overlap(causal_or_not(made_up), np.random.default_rng(0))
    assert set(found["what"]) == {"same brain, other listeners", "brain, shuffled responses"}
    assert "iou_10" not in tables.numbers(found)


def test_numbers_are_the_overlap_at_ten_percent_its_null_and_its_ceiling(made_up):
    curves = tables.overlap(made_up, np.random.default_rng(0))
    found = tables.numbers(curves)
    assert list(found) == ["iou_10", "iou_10_null", "iou_10_ceiling"]
    assert found["iou_10_ceiling"] == 1
    assert found["iou_10"] == row(curves, threshold=10, what="brain and next word")["iou"]


def test_pairs_share_words_and_ranks(made_up):
    found = tables.pairs(made_up).set_index("what")
    assert list(found.index) == [*tables.PAIRS, *tables.MORE_PAIRS]
    same = found.loc["same brain, other listeners"]
    assert same["intersection over union"] == 1 and same["rank correlation"] == pytest.approx(1)
    ranks = []
    for one, other in zip(
        of(made_up, "region").reshape(-1, N_WORDS), of(made_up, "other").reshape(-1, N_WORDS),
        strict=True,
    ):  # fmt: skip
        there = np.isfinite(one)
        ranks.append(stats.spearmanr(np.abs(one[there]), np.abs(other[there]))[0])
    found_rank = found.loc["region, and the other region", "rank correlation"]
    assert found_rank == pytest.approx(np.mean(ranks))
    fewer = tables.pairs(causal_or_not(made_up))["what"].tolist()
    assert "brain and next word" not in fewer and "region, and the other region" in fewer


@pytest.fixture(scope="module")
def layers(made_up):
    """Two layers; in the second the brain's attribution lies on single words."""
    late = made_up.copy(deep=True)
    sharp = late["score"].sel(target="error").to_numpy() ** 5
    late["score"].loc[{"target": "error"}] = sharp
    return xr.concat([made_up, late], pd.Index([1, 2], name="layer"), data_vars=["score"])


def test_spread_is_the_part_of_the_words_that_is_needed(layers):
    found = tables.spread(layers, {1: "early", 2: "late"})
    whats = ["brain", "next word at the output", "next word at the layer", "random readouts"]
    assert list(found["what"].unique()) == whats
    values = of(layers.sel(layer=1), "error")
    areas = np.zeros((N_RUNS, N_SCANS))
    for place in np.ndindex(N_RUNS, N_SCANS):
        sizes = np.sort(np.abs(values[place][np.isfinite(values[place])]))[::-1]
        total = np.cumsum(sizes) / sizes.sum() * 100
        needed = [np.argmax(total >= t - 1e-9) + 1 for t in metrics.THRESHOLDS]
        areas[place] = np.trapezoid(needed, metrics.THRESHOLDS) / (98 - 1) / len(sizes)
    check_interval(row(found, layer=1, what="brain"), areas.mean(1), "area")
    late = row(found, layer=2, what="brain")
    assert late["layer_group"] == "late"
    assert late["area"] < row(found, layer=1, what="brain")["area"] - 0.05


def test_spread_is_tested_in_pairs_over_runs(layers):
    found = tables.spread_tests(layers, {1: "early", 2: "late"})
    assert len(found) == 6
    one = row(found, layers="late", **{"brain minus": "next word at the output"})
    brain, other = (
        metrics.spread_area(of(layers.sel(layer=2), name)).mean(1)
        for name in (tables.BRAIN, tables.OUTPUT)
    )
    expected = stats.ttest_rel(brain, other)
    assert one["difference"] == pytest.approx((brain - other).mean())
    assert one["p"] == pytest.approx(expected.pvalue)
    assert one["low"] == pytest.approx(expected.confidence_interval().low)
    np.testing.assert_allclose(found["p corrected"], stats.false_discovery_control(found["p"]))


def test_positions_are_shares_that_sum_to_one(made_up):
    whole = made_up.isel(scan=slice(3, None))
    found = tables.positions(whole, {"untrained model": whole})
    sums = found.groupby("what")["share"].sum()
    np.testing.assert_allclose(sums, 1, rtol=1e-6)
    assert {"brain", "next word", "next word, pooled words", "random readouts"} <= set(sums.index)
    sizes = np.abs(of(whole, "error"))
    shares = (sizes / sizes.sum(-1, keepdims=True)).mean(1)
    brain = found[found["what"] == "brain"].reset_index(drop=True)
    check_interval(brain.iloc[4], shares[:, 4], "share")
    untrained = found[found["what"] == "untrained model"].reset_index(drop=True)
    np.testing.assert_array_equal(brain["share"], untrained["share"])
    random = found[found["what"] == "random readouts"]
    assert (random["low"] <= random["share"]).all() and (random["share"] <= random["high"]).all()
    alone = tables.positions(causal_or_not(whole), {})
    assert set(alone["what"]) == {"brain", "random readouts"}


def test_position_measures_are_moments_of_shares(made_up):
    found = tables.position_measures(made_up, n_newest=5).set_index("what")
    assert len(found) == 7
    moments = np.zeros((N_RUNS, N_SCANS, 5))
    for place in np.ndindex(N_RUNS, N_SCANS):
        sizes = np.abs(of(made_up, "region")[place])
        sizes = sizes[np.isfinite(sizes)]
        law = stats.rv_discrete(values=(np.arange(len(sizes)), sizes / sizes.sum()))
        newest, oldest = sizes[:5].sum() / sizes.sum(), sizes[-1] / sizes.sum()
        entropy = stats.entropy(sizes, base=2)
        moments[place] = law.mean(), law.std(), entropy, 100 * newest, 100 * oldest
    region = found.loc["region"]
    check_interval(region, moments[..., 0].mean(1), "centre of mass")
    names = ["standard deviation", "entropy (bits)", "newest 5 words (%)", "oldest word (%)"]
    np.testing.assert_allclose(
        region[names].astype(float), moments[..., 1:].mean((0, 1)), rtol=1e-6
    )
    assert "next word" not in tables.position_measures(causal_or_not(made_up))["what"].tolist()


@pytest.fixture(scope="module")
def curves():
    """Deletion in three runs: the attribution loses twice as much as random words do."""
    fraction = np.array([0, 0.01, 0.1])
    slope = {"brain": 2, "lowest words": 0.2, "random words": 1, "random words, same distances": 1}
    runs = np.array([0.9, 1.0, 1.1])
    values = np.stack([100 * k * fraction[:, None] * runs for k in slope.values()])
    values = np.stack([values, 0.3 - values / 100, np.full_like(values, np.nan)])
    return xr.Dataset(
        {"curve": (("way", "measure", "ranking", "fraction", "fold"), np.stack([values, -values]))},
        {
            "way": ["deletion", "insertion"],
            "measure": ["prediction", "brain score", "next-word loss"],
            "ranking": list(slope),
            "fraction": fraction,
        },
    )


def test_deletion_is_a_mean_over_runs(curves):
    found = checks.curves(curves)
    inserted = checks.curves(curves, "insertion")
    np.testing.assert_allclose(inserted["value"], -found["value"])
    assert len(found) == 2 * 4 * 3 and found["value"].notna().all()
    at = row(found, measure="prediction", ranking="brain", fraction=0.1)
    check_interval(at, [18.0, 20, 22], "value")
    assert row(found, measure="brain score", ranking="brain", fraction=0)["value"] == 0.3


def test_deletion_areas_are_what_is_lost_beyond_random_words(curves):
    found = checks.areas(curves)
    assert set(found["way"]) == {"deletion", "insertion"}
    found = found[found["way"] == "deletion"]
    assert set(found["ranking"]) == {"brain", "lowest words"}
    assert set(found["measure"]) == {"prediction", "brain score"}
    # Curves of brain and random words differ by 1 and 10; their mean over fractions above 0.
    at = row(found, measure="prediction", ranking="brain")
    check_interval(at, 5.5 * np.array([0.9, 1, 1.1]), "beyond random words")
    at = row(found, measure="prediction", ranking="lowest words")
    assert at["beyond random words"] == pytest.approx(-0.8 * 5.5)


def test_completeness_says_where_the_score_comes_from():
    rng = np.random.default_rng(0)
    score = rng.normal(size=(2, 5, 80))
    score[1, 4] = np.nan
    others = rng.normal(size=(2, 5))
    others[1, 4] = np.nan
    change = np.nansum(score, 2) + others
    found = checks.completeness(
        xr.Dataset(
            {
                "score": (("fold", "scan", "distance"), score),
                "others": (("fold", "scan"), others),
                "change": (("fold", "scan"), change),
                "scalar": (("fold", "scan"), change + 0.5),
                "error": (("fold", "scan"), np.full((2, 5), 1e-4) * np.arange(5)),
                "run": ("fold", [0, 3]),
            },
            {"distance": range(80)},
        )
    )
    assert found["fold"].tolist() == [1, 2]
    np.testing.assert_allclose(found["r"], [np.nansum(c) + 0.5 * n for c, n in zip(change, (5, 4), strict=True)])  # fmt: skip
    np.testing.assert_allclose(found["baseline"], [2.5, 2.0])
    np.testing.assert_allclose(found["sum"], found["r"] - found["baseline"])
    np.testing.assert_allclose(found["largest error"], 4e-4)
    ranges = ["0 to 15 back", "16 to 31 back", "32 to 63 back", "64 or more back"]
    np.testing.assert_allclose(found[ranges].sum(1) + np.nansum(others, 1), found["sum"])
    np.testing.assert_allclose(found["16 to 31 back"], np.nansum(score[:, :, 16:32], (1, 2)))


@pytest.fixture(scope="module")
def story():
    """Contexts of 40 words at every eighth word of four runs of the testbed, without scores."""
    study = load_study("testbed")
    lengths = [len(study.runs[run].words) for run in (0, 2, 3, 5)]
    newest = np.arange(39, min(lengths), 8)
    word = np.broadcast_to(newest[:, None] - np.arange(40), (4, len(newest), 40)).copy()
    word[:, 0, 30:] = -1
    scores = xr.Dataset(
        {"word": (("fold", "scan", "distance"), word), "run": ("fold", [0, 2, 3, 5])},
        {"scan": range(10, 10 + len(newest)), "distance": range(40)},
    )
    return study, scores


def test_words_of_a_story_are_found_in_the_tables_of_their_runs(story):
    study, scores = story
    words, word = words_tables.story_words(study, scores)
    assert len(words) == sum(len(run.words) for run in study.runs)
    assert (word[:, 0, 30:] == -1).all() and (word[:, 1:] >= 0).all()
    for fold, run in enumerate((0, 2, 3, 5)):
        own = study.runs[run].words["word"].to_numpy()
        expected = own[scores["word"][fold, 4].to_numpy()]
        assert words["word"].to_numpy()[word[fold, 4]].tolist() == expected.tolist()
        assert (words["run"].to_numpy()[word[fold, 4]] == run).all()


def changes_of(story):
    """Changes of readouts: a model that favours cues throughout, and a region that does so twice."""
    study, scores = story
    words, word = words_tables.story_words(study, scores)
    setters, rng = cue_words(words, "en"), np.random.default_rng(0)
    cue = (setters["scene"] | setters["goal"]).to_numpy()
    favoured = np.exp(rng.normal(size=len(words))) * np.where(cue, 5, 1)
    targets = ["region", "other", "region: shifted", *(f"region: random {k}" for k in range(1, 7))]
    change = np.stack(
        [
            favoured * np.exp(0.6 * rng.normal(size=len(words))) * np.where(cue & own, 2.5, 1)
            for own in (name == "region" for name in targets)
        ]
        + [-favoured]
    )[:, word]
    change = np.where(word >= 0, change, np.nan)
    found = scores.assign(change=(("target", "fold", "scan", "distance"), change))
    return found.assign_coords(target=[*targets, "next word: output"]), words, word


def test_planted_cues_are_found_and_what_the_model_favours_cancels(story):
    rng = np.random.default_rng(0)
    found = words_tables.cue_areas(*changes_of(story), "en", ("AG_TPJ", "A1"), rng, n_boot=200)
    assert set(found["cue"]) == {"scene", "goal", "both"}
    area = found.set_index(["target", "cue"])["area"]
    low = found.set_index(["target", "cue"])["low"]
    for cue in ("scene", "goal", "both"):
        assert area["brain, AG_TPJ", cue] > 0.8 and low["brain, AG_TPJ", cue] > 0.7
        assert area["brain, A1", cue] == pytest.approx(0.5, abs=0.1)
        assert area["brain, shifted responses", cue] == pytest.approx(0.5, abs=0.1)
        assert area["random readouts", cue] == pytest.approx(0.5, abs=0.04)
        # Without the ratio, everything finds them.
        assert area["next word", cue] > 0.8
    null = found[found["target"] == "random readouts"]
    assert (null["low"] < 0.5).all() and (null["high"] > 0.5).all()
    named = words_tables.cue_numbers(found)
    assert named["cue_area_brain_AG_TPJ_both"] == area["brain, AG_TPJ", "both"]
    assert named["cue_low_brain_AG_TPJ_both"] == low["brain, AG_TPJ", "both"]


def test_classes_are_held_against_next_word_and_chance(story):
    study, scores = story
    words, word = words_tables.story_words(study, scores)
    kinds, rng = word_classes.testbed_classes(words, "en"), np.random.default_rng(0)
    names = ["error", "next word: output", "error: shuffled"]
    values = rng.normal(size=(3, *word.shape))
    values[0] *= np.where(kinds["verb"].to_numpy()[word], 3, 1)
    values[:, word < 0] = np.nan
    scored = scores.assign(score=(("target", "fold", "scan", "distance"), values))
    scored = scored.assign_coords(target=names)
    found = words_tables.classes(scored, words, word, kinds[["verb", "name"]])
    assert set(found["task"]) == {"brain", "next word", "brain, shuffled responses"}
    verb = found.set_index(["class", "task"]).loc["verb"]
    assert verb.loc["brain", "low"] > 1 and verb.loc["brain", "p_adjusted"] < 0.05
    assert abs(verb.loc["next word", "log_odds"]) < 0.3
    assert abs(verb.loc["brain, shuffled responses", "log_odds"]) < 0.3
    sets = metrics.important_sets(values[0], 10)
    own = kinds["verb"].to_numpy()[word] & (word >= 0)
    assert verb.loc["brain", "share"] == pytest.approx(sets[own].mean())
    encoder = words_tables.classes(
        scored.sel(target=["error", "error: shuffled"]), words, word, kinds[["verb"]]
    )
    assert set(encoder["task"]) == {"brain", "brain, shuffled responses"}


@pytest.fixture(scope="module")
def with_passage(story):
    study, scores = story
    rng = np.random.default_rng(0)
    word = scores["word"].to_numpy()
    values = np.where(word >= 0, rng.normal(size=(1, *word.shape)), np.nan)
    # The first scan, whose context is short, is shown of the first fold.
    passage = np.where(np.arange(40) < 30, rng.random((4, 40)), np.nan)
    passage[1:] = rng.random((3, 40))
    return study, scores.assign(
        score=(("target", "fold", "scan", "distance"), values),
        passage=(("fold", "distance"), passage),
        passage_scan=("fold", [10, 14, 15, 16]),
        pooled=(("fold", "scan"), np.full(word.shape[1:2], 7)[None].repeat(4, 0)),
    ).assign_coords(target=["next word: output"])


@pytest.mark.parametrize("fold", [0, 2])
def test_a_passage_is_the_context_word_by_word(with_passage, fold):
    study, scores = with_passage
    found = words_tables.passage(study, scores, fold)
    here = scores.isel(fold=fold).sel(scan=[10, 14, 15, 16][fold])
    rows = here["word"].to_numpy()
    rows = rows[rows >= 0][::-1]
    told = study.runs[int(here["run"])].words
    assert found["word"].tolist() == told["word"].to_numpy()[rows].tolist()
    assert found["pooled"].tolist() == [False] * (len(rows) - 7) + [True] * 7
    brain = here["passage"].to_numpy()[: len(rows)][::-1]
    np.testing.assert_allclose(found["brain"], brain / brain.sum())
    following = np.abs(here["score"].to_numpy()[0][: len(rows)][::-1])
    np.testing.assert_allclose(found["next_word"], following / following.sum())
    setters = cue_words(told, "en").iloc[rows]
    assert (found["cue"].to_numpy() == "scene").tolist() == setters["scene"].tolist()
    assert (found["cue"].to_numpy() == "goal").tolist() == setters["goal"].tolist()


def test_passages_of_encoders_have_no_next_word(with_passage):
    study, scores = with_passage
    scores = scores.assign_coords(target=["error"])
    assert words_tables.passage(study, scores, 1)["next_word"].isna().all()


def test_passages_refuse_what_may_not_be_printed_and_what_is_not_there(with_passage):
    study, scores = with_passage
    secret = replace(study, licence="CC0 (the text of the story is under copyright)")
    with pytest.raises(InputError, match="text of study 'testbed' is under copyright"):
        words_tables.passage(secret, scores)
    for fold in (-1, 4):
        with pytest.raises(InputError, match=f"fold is {fold}; folds 0 to 3 have"):
            words_tables.passage(study, scores, fold)
    assert (words_tables.passage(replace(study, simulated=False), scores)["cue"] == "").all()


def test_the_paper_is_compared_in_orders_and_ranges(made_up, layers, curves):
    shared = tables.overlap(made_up, np.random.default_rng(0))
    deleted = checks.curves(curves).assign(
        measure=lambda table: table["measure"].replace("prediction", "next-word loss"),
    )
    deleted = pd.concat(
        [deleted, deleted[deleted["ranking"] == "brain"].assign(ranking="next word", value=[1.5, 4, 5] * 2)]
    )  # fmt: skip
    found = tables.paper_rows(
        shared,
        tables.spread(layers, {1: "early", 2: "late"}),
        tables.position_measures(made_up),
        deleted,
    ).set_index("what")
    assert list(found.columns) == ["paper", "here", "agrees"]
    assert set(found["agrees"]) <= {"yes", "no"}
    at = row(shared, threshold=98, what="brain and next word")["iou"]
    assert found.loc["shared words at 98 %", "here"] == at
    late = found.loc["spread of the brain minus next word, late layers"]
    assert late["here"] < 0 and late["agrees"] == "no"
    loss = found.loc["next-word loss without the first 1 %, ratio"]
    assert loss["here"] == pytest.approx(4 / 1.5) and loss["agrees"] == "yes"
    lost = found.loc["brain score lost without the first 1 %"]
    assert lost["here"] == pytest.approx(0.02 / 0.3) and lost["agrees"] == "no"
