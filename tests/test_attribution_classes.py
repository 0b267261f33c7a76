"""Against the story's generator, scikit-learn, statsmodels, loops, and effects that are planted."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from sklearn.metrics import roc_auc_score

from brainalign import load_study
from brainalign.attribution import word_classes
from brainalign.attribution.cues import cue_area, score_by_word
from brainalign.attribution.word_classes import (
    class_table,
    plain_classes,
    word_covariates,
)
from brainalign.errors import InputError
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.sentence import PARTS_OF_SPEECH


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_a_cue_is_told_by_its_lemma(code):
    # A lemma is a cue always or never, so that classes by lemma are exact.
    spoken = LANGUAGES[code]
    things = [*spoken.places, *(thing for place in spoken.scene_objects for thing in place)]
    acts = [verb.infinitive for goal in spoken.goal_verbs for verb in goal]
    cues = [*things, *acts, *spoken.purposes]
    verbs = (*spoken.verbs, *spoken.speech_verbs, *spoken.motion_verbs)
    others = {verb.infinitive for verb in verbs} | {name for name, _ in spoken.names}
    others |= {singular for singular, _ in spoken.animates} | set(spoken.times)
    others |= {*spoken.objects, *spoken.adjectives, *spoken.adverbs, *spoken.prepositions}
    assert len(set(cues)) == len(cues)
    assert not set(cues) & others


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_classes_of_the_testbed(code):
    words = load_study("testbed", language=code).runs[0].words
    classes = word_classes.testbed_classes(words, code)
    assert len(classes.select_dtypes(bool).columns) == 7 and len(classes) == len(words)
    assert (classes["content"] ^ classes["function"]).all()
    part = words["part_of_speech"]
    assert set(part[classes["function"]]) <= set(PARTS_OF_SPEECH) - set(word_classes.CONTENT)
    assert set(part[classes["scene cue"]]) == {"noun"}
    assert set(part[classes["goal cue"]]) == {"noun", "verb"}
    for name in ("name", "pronoun", "verb"):
        assert set(part[classes[name]]) == {name}
    # The opening of every scene names its place and its goal.
    for _, scene in classes.groupby(words["scene"].to_numpy()):
        assert scene.iloc[:20][["scene cue", "goal cue", "name"]].any().all()


def test_classes_of_an_opening_by_hand():
    words = load_study("testbed").runs[0].words.iloc[:21]
    classes = word_classes.testbed_classes(words, "en")
    told = {name: words["word"][classes[name]].tolist() for name in classes}
    assert told["scene cue"] == ["farm", "haystack", "tractor"]
    assert told["goal cue"] == ["carry", "hauled", "carried"]
    assert told["name"] == ["Clara"] and told["pronoun"] == ["she"]


@pytest.mark.parametrize("code", sorted(LANGUAGES))
def test_every_scene_is_set_once_and_controls_set_nothing(code):
    words = load_study("testbed", language=code).runs[1].words
    found, spoken = word_classes.cue_words(words, code), LANGUAGES[code]
    acts = [{verb.infinitive for verb in goal} for goal in spoken.goal_verbs]
    for _, scene in words.groupby("scene"):
        for name, lemmas in (("scene", {*spoken.places}), ("goal", set().union(*acts))):
            expected = [row for row, lemma in scene["lemma"].items() if lemma in lemmas][:1]
            assert scene.index[found.loc[scene.index, name]].tolist() == expected
    classes = word_classes.testbed_classes(words, code)
    cue = classes["scene cue"] | classes["goal cue"]
    assert cue[found["scene"] | found["goal"]].all()
    controls = found["scene control"] | found["goal control"]
    assert controls.sum() > 100 and not (cue & controls).any()
    part = words["part_of_speech"]
    assert set(part[found["scene control"]]) == {"noun"}
    assert set(part[found["goal control"]]) == {"verb"} == set(part[found["goal"]])


def test_scenes_of_several_runs_are_told_apart():
    runs = [
        run.words.assign(run=number) for number, run in enumerate(load_study("testbed").runs[:3])
    ]
    together = word_classes.cue_words(pd.concat(runs, ignore_index=True), "en")
    alone = pd.concat([word_classes.cue_words(run, "en") for run in runs], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)
    assert together["scene"].sum() == sum(run["scene"].nunique() for run in runs)


def test_the_words_that_set_an_opening_by_hand():
    words = load_study("testbed").runs[0].words.iloc[:21]
    found = word_classes.cue_words(words, "en")
    told = {name: words["word"][found[name]].tolist() for name in ("scene", "goal")}
    assert told == {"scene": ["farm"], "goal": ["carry"]}


def test_classes_of_plain_words():
    words = (
        "Alice was beginning to get very tired: “She’d found it,” don't couldn't Alice's I'm side"
    )
    classes = plain_classes(words.split())
    told = {name: [w for w, is_in in zip(words.split(), classes[name], strict=True) if is_in] for name in classes}  # fmt: skip
    assert told["function"] == ["was", "to", "very", "“She’d", "it,”", "don't", "couldn't", "I'm"]
    assert told["pronoun"] == ["“She’d", "it,”", "I'm"]
    assert (classes["content"] != classes["function"]).all()


def test_lexical_entries_are_in_the_stop_list():
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    assert set(word_classes._LEXICAL) <= ENGLISH_STOP_WORDS
    assert not set(word_classes._AUXILIARIES) & ENGLISH_STOP_WORDS


def test_covariates_of_words():
    found = word_covariates(["The", "owl", "the", "crow"])
    np.testing.assert_allclose(found["log frequency"], np.log([2, 1, 2, 1]))
    assert found["length"].tolist() == [3, 3, 3, 4]


def planted(effects=(1.5, 0.0), n_scans=400, n_distances=25, seed=0):
    """Importance by class, distance, frequency and block, for as many tasks as effects."""
    rng = np.random.default_rng(seed)
    n_words = n_scans * 3
    classes = pd.DataFrame({"cue": rng.random(n_words) < 0.3, "other": rng.random(n_words) < 0.5})
    covariates = pd.DataFrame({"log frequency": rng.normal(size=n_words), "constant": np.ones(n_words)})  # fmt: skip
    # Cues are frequent, so that their raw share is not their own.
    covariates["log frequency"] += classes["cue"]
    clusters = np.arange(n_scans) // 20
    newest = 3 * np.arange(n_scans)[:, None]
    word_index = np.maximum(newest - np.arange(n_distances), -1)
    important = {}
    for number, effect in enumerate(effects):
        odds = (
            -0.5 - 0.6 * np.log1p(np.arange(n_distances)) + rng.normal(0, 0.3, 20)[clusters, None]
        )
        odds = odds + 0.8 * covariates["log frequency"].to_numpy()[word_index]
        odds = odds + effect * classes["cue"].to_numpy()[word_index]
        chosen = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
        important["ab"[number]] = chosen & (word_index >= 0)
    return important, classes, word_index, covariates, clusters


def stacked(important, classes, word_index, covariates, clusters):
    """The same model as one regression of all tasks, each with coefficients of its own."""
    scan, distance = np.nonzero(word_index >= 0)
    word, oldest = word_index[scan, distance], (word_index >= 0).sum(1)[scan] - 1
    one = np.column_stack(
        [
            classes["cue"].to_numpy()[word],
            np.ones(len(word)),
            covariates["log frequency"].to_numpy()[word],
            np.log1p(distance),
            distance == oldest,
        ]
    ).astype(float)
    y = np.concatenate([sets[scan, distance] for sets in important.values()]).astype(float)
    design = np.kron(np.eye(len(important)), one)
    groups = np.tile(clusters[scan], len(important))
    model = sm.GLM(y, design, family=sm.families.Binomial())
    return model.fit(cov_type="cluster", cov_kwds={"groups": groups}), one.shape[1], len(y)


def test_log_odds_and_errors_agree_with_one_regression_of_all_tasks():
    given = planted()
    table = class_table(*given).query("`class` == 'cue'").set_index("task")
    fit, n_columns, n = stacked(*given)
    contrasts = np.zeros((3, len(fit.params)))
    contrasts[[0, 1, 2, 2], [0, n_columns, 0, n_columns]] = 1, 1, 1, -1
    expected = fit.t_test(contrasts)
    # statsmodels also corrects for the number of coefficients.
    error = expected.sd * np.sqrt((n - len(fit.params)) / (n - 1))
    assert table.index.tolist() == ["a", "b", "a − b"]
    np.testing.assert_allclose(table["log_odds"], expected.effect, rtol=1e-5)
    half = stats.t.ppf(0.975, 19) * error
    np.testing.assert_allclose(table["high"] - table["log_odds"], half, rtol=1e-3)
    np.testing.assert_allclose(table["log_odds"] - table["low"], half, rtol=1e-3)
    np.testing.assert_allclose(
        table["p"], 2 * stats.t.sf(np.abs(expected.effect / error), 19), rtol=0.05, atol=1e-12
    )


def test_planted_effects_are_found_beside_covariates():
    given = planted(effects=(1.5, 0.0))
    important, classes, word_index = given[:3]
    table = class_table(*given).set_index(["class", "task"])
    found = table.loc[("cue", "a")]
    assert found["low"] < 1.5 < found["high"] and found["p_corrected"] < 0.001
    assert table.loc[("cue", "b"), "low"] < 0 < table.loc[("cue", "b"), "high"]
    assert table.loc[("cue", "a − b"), "p"] < 0.001
    assert table.loc[("other", "a"), "low"] < 0 < table.loc[("other", "a"), "high"]
    # Shares by counting; more cues than others are important in b because they are frequent.
    used = word_index[word_index >= 0]
    member = classes["cue"].to_numpy()[used]
    chosen = important["b"][word_index >= 0]
    assert table.loc[("cue", "b"), "share"] == pytest.approx(chosen[member].mean())
    assert table.loc[("cue", "b"), "base_rate"] == pytest.approx(member.mean())
    assert chosen[member].mean() > chosen[~member].mean() + 0.05


def test_correction_is_over_classes_for_each_task():
    table = class_table(*planted())
    for _, rows in table.groupby("task"):
        expected = stats.false_discovery_control(rows["p"])
        np.testing.assert_allclose(rows["p_corrected"], expected)


def test_separated_classes_have_no_log_odds():
    important, classes, word_index, covariates, clusters = planted()
    cue = classes["cue"].to_numpy()[word_index] & (word_index >= 0)
    important = {"a": important["a"] & ~cue, "b": important["b"]}
    classes = classes.assign(none=False)
    table = class_table(important, classes, word_index, covariates, clusters)
    table = table.set_index(["class", "task"])
    numbers = ["log_odds", "low", "high", "p", "p_corrected"]
    assert table.loc[[("cue", "a"), ("cue", "a − b"), ("none", "b")], numbers].isna().all(axis=None)
    assert table.loc[("cue", "a"), "share"] == 0 and np.isnan(table.loc[("none", "a"), "share"])
    assert table.loc[[("cue", "b"), ("other", "a"), ("other", "a − b")], numbers].notna().all(axis=None)  # fmt: skip


@pytest.mark.parametrize("alike", [False, True])
def test_first_words_that_are_alike_change_nothing(alike):
    important, classes, word_index, covariates, clusters = planted(effects=(1.5,))
    first = np.arange(25) == (word_index >= 0).sum(1)[:, None] - 1
    important["a"] = np.where(first, alike, important["a"])
    given = (classes, word_index, covariates, clusters)
    whole = class_table(important, *given).loc[0, ["log_odds", "low", "high"]].astype(float)
    # Far beyond what a flag needs, its coefficient is at its limit.
    scan, distance = np.nonzero(word_index >= 0)
    word = word_index[scan, distance]
    columns = [classes["cue"].to_numpy()[word], np.ones(len(word)), np.log1p(distance)]
    columns += [covariates["log frequency"].to_numpy()[word], first[scan, distance]]
    fit = sm.GLM(
        important["a"][scan, distance].astype(float),
        np.column_stack(columns).astype(float),
        family=sm.families.Binomial(),
    ).fit(cov_type="cluster", cov_kwds={"groups": clusters[scan]})
    assert whole["log_odds"] == pytest.approx(fit.params[0], rel=1e-4)
    half = stats.t.ppf(0.975, 19) * fit.bse[0]
    assert whole["high"] - whole["log_odds"] == pytest.approx(half, rel=1e-2)


def test_importance_that_follows_from_distance_alone_does_not_crash():
    important, *rest = planted()
    newest = np.zeros_like(important["a"])
    newest[:, :3] = rest[1][:, :3] >= 0
    table = class_table({"a": newest}, *rest)
    assert table["log_odds"].isna().all() and table["share"].notna().all()


@pytest.mark.parametrize(
    "cells",
    [
        # (class, covariate, important): the covariate alone tells what is important.
        [(0, -1, 0), (0, 1, 1), (1, -2, 0), (1, 2, 1)],
        # Where the covariate is 0 the class tells it, where it is 1 there is nothing else.
        [(0, 0, 0), (0, 0, 1), (1, 0, 1), (1, 1, 0), (1, 1, 1)],
    ],
)
def test_a_class_that_is_separated_beside_a_covariate_has_no_log_odds(cells):
    member, other, chosen = np.tile(cells, (40, 1)).T
    first, blocks = np.zeros(len(member), dtype=bool), np.arange(len(member)) // 20
    value, influence = word_classes._log_odds(
        chosen == 1, member == 1, other[:, None], first, blocks
    )
    assert np.isnan(value) and np.isnan(influence).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clusters": np.zeros(400)}, "1 cluster"),
        ({"clusters": np.zeros(4)}, "alike"),
        ({"important": {"a": np.ones((4, 5), dtype=bool)}}, "alike"),
        ({"covariates": pd.DataFrame({"x": np.ones(3)})}, "one row for each word"),
    ],
)
def test_tables_refuse_what_does_not_fit(change, message):
    names = ("important", "classes", "word_index", "covariates", "clusters")
    with pytest.raises(InputError, match=message):
        class_table(**(dict(zip(names, planted(), strict=True)) | change))


def test_classes_refuse_words_without_annotations():
    with pytest.raises(InputError, match="lemma"):
        word_classes.testbed_classes(pd.DataFrame({"word": ["a"]}), "en")
    with pytest.raises(InputError, match=r"lacks \['scene'\]"):
        word_classes.cue_words(load_study("testbed").runs[0].words.drop(columns="scene"), "en")
    with pytest.raises(InputError, match="'xx'"):
        word_classes.testbed_classes(load_study("testbed").runs[0].words, "xx")


def test_score_by_word_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    word_index = np.maximum(2 * np.arange(12)[:, None] - np.arange(9), -1)
    values = np.where(word_index >= 0, rng.standard_normal(word_index.shape), np.nan)
    values[3, 1] = np.nan
    found = score_by_word(values, word_index, 30, edges=(0, 4))
    assert found.shape == (30, 2)
    for word in range(30):
        for number, columns in enumerate([slice(0, 4), slice(4, None)]):
            own = values[:, columns][word_index[:, columns] == word]
            own = own[~np.isnan(own)]
            expected = own.mean() if len(own) else np.nan
            np.testing.assert_allclose(found[word, number], expected)
    total = score_by_word(values, word_index, 30)[:, 0]
    assert total[4] == pytest.approx(np.nanmean(values[word_index == 4]))
    with pytest.raises(InputError, match="the same"):
        score_by_word(values, word_index[:, :4], 30)


def words_with_cues(shift, n=400, seed=0):
    """Scores on a coarse grid, so that some tie; cues score higher by `shift`."""
    rng = np.random.default_rng(seed)
    cue, strata = rng.random(n) < 0.3, rng.integers(3, size=n)
    scores = np.round(rng.standard_normal(n) + shift * cue + strata, 1)
    return scores, cue, strata, np.arange(n) // 40


def test_area_in_one_stratum_agrees_with_scikit_learn():
    scores, cue, _, blocks = words_with_cues(0.7)
    area, (low, high) = cue_area(scores, cue, np.zeros(400), blocks, rng=np.random.default_rng(1))
    assert area == pytest.approx(roc_auc_score(cue, scores))
    rng, drawn = np.random.default_rng(2), []
    for _ in range(400):
        words = (rng.integers(10, size=(10, 1)) * 40 + np.arange(40)).ravel()
        drawn.append(roc_auc_score(cue[words], scores[words]))
    np.testing.assert_allclose((low, high), np.percentile(drawn, [2.5, 97.5]), atol=0.015)


def test_area_is_a_weighted_mean_over_strata():
    scores, cue, strata, blocks = words_with_cues(0.7)
    areas, weights = [], []
    for stratum in range(3):
        own = strata == stratum
        n1, n0 = cue[own].sum(), (~cue[own]).sum()
        areas.append(roc_auc_score(cue[own], scores[own]))
        weights.append(n1 * n0 / (n1 + n0))
    # Words without a score, and strata of cues or controls alone, add nothing.
    more = [np.append(scores, [np.nan, 9]), np.append(cue, [True] * 2)]
    more += [np.append(strata, [0, 7]), np.append(blocks, [0, 0])]
    for given in ([scores, cue, strata, blocks], more):
        assert cue_area(*given, n_boot=10)[0] == pytest.approx(np.average(areas, weights=weights))


def test_area_without_an_effect_is_chance_where_strata_differ():
    # Cues that come mostly in a stratum of high scores look found where nothing is matched.
    rng = np.random.default_rng(0)
    strata = rng.integers(2, size=2000)
    cue = rng.random(2000) < 0.1 + 0.4 * strata
    scores = rng.standard_normal(2000) + 2 * strata
    blocks = np.arange(2000) // 100
    assert cue_area(scores, cue, np.zeros(2000), blocks, n_boot=10)[0] > 0.65
    area, (low, high) = cue_area(scores, cue, strata, blocks)
    assert low < 0.5 < high and area == pytest.approx(0.5, abs=0.05)
    flipped = cue_area(-scores, cue, strata, blocks)
    assert flipped[0] == pytest.approx(1 - area)


def test_area_refuses_words_without_controls():
    with pytest.raises(InputError, match="both cues and controls"):
        cue_area(np.ones(3), np.ones(3, dtype=bool), np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="both cues and controls"):
        cue_area(np.full(3, np.nan), np.ones(3, dtype=bool), np.zeros(3), np.zeros(3))
    with pytest.raises(InputError, match="one value per word"):
        cue_area(np.ones(3), np.ones(2, dtype=bool), np.zeros(3), np.zeros(3))
