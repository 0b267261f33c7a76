"""The testbed of concepts: what is planted is there, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression

from brainalign.errors import InputError
from brainalign.studies import load_concepts, study_fingerprint
from brainalign.studies.concepts.responses import PARADIGMS, select_voxels
from brainalign.studies.concepts.simulated import MAPS, REGIONS, codes, configure
from brainalign.studies.concepts.world import concept_latents, concept_table
from brainalign.studies.testbed.config import SEEDS

PAIRS = ((0, 1), (0, 2), (1, 2))


def every(study, step):
    """Every so manieth voxel."""
    return select_voxels(study, np.arange(study.n_voxels) % step == 0)


@pytest.fixture(scope="module")
def study():
    return load_concepts("concepts-testbed", n_listeners=4)


@pytest.fixture(scope="module")
def few(study):
    return every(study, 8)


def standardised(values):
    centred = values - values.mean(axis=-2, keepdims=True)
    return centred / centred.std(axis=-2, keepdims=True)


def half_means(study):
    """Standardised means of all listeners, (listener, paradigm, half, concept, voxel)."""
    return [standardised(study.half_means(subject).to_numpy()) for subject in study.subjects]


@pytest.fixture(scope="module")
def halves(few):
    return half_means(few)


def estimated_consistency(halves):
    """Correlation between paradigms across halves, by the split-half correlation within them.

    Both are averaged over listeners before the one is divided by the other.
    """
    across, within = 0, 0
    for half in halves:
        products = np.einsum("picv,qjcv->piqjv", half, half, optimize=True) / half.shape[-2]
        own = np.clip([products[p, 0, p, 1] for p in range(3)], 0.02, None)
        across += sum((products[p, 0, q, 1] + products[p, 1, q, 0]) / 2 for p, q in PAIRS)
        within += sum(np.sqrt(own[p] * own[q]) for p, q in PAIRS)
    return across / within


def raw_consistency(halves):
    """Mean correlation between paradigms, as published, over listeners and halves."""
    return np.mean(
        [[(half[p] * half[q]).mean(axis=-2) for p, q in PAIRS] for half in halves], (0, 1, 2)
    )


def test_the_design_is_that_of_the_experiment(study):
    assert len(set(study.concepts)) == 180 and study.paradigms == PARADIGMS
    assert study.concepts == tuple(sorted(study.concepts))
    assert study.halves.shape == (3, 6, 180)
    assert (np.sort(study.halves, axis=1)[:, :, 0] == [1, 1, 1, 2, 2, 2]).all()
    assert study.simulated and study.source == "SIMULATED LISTENERS"
    one = every(study, 5000)
    shown = {}
    for subject in one.subjects[:2]:
        for paradigm in PARADIGMS:
            seen = np.isfinite(one.responses(subject, paradigm)).any(dim="voxel")
            assert len(set(seen.sum(dim="stimulus").to_numpy())) == 1
            shown[subject, paradigm] = int(seen.sum())
    assert set(shown.values()) <= {720, 900, 1080} and len(set(shown.values())) > 1


def test_concepts_come_from_the_story_world(study):
    table = concept_table()
    assert tuple(table["concept"]) == study.concepts
    assert table["kind"].value_counts().to_dict() == {
        "thing of a place": 64, "thing": 40, "act": 36, "being": 26, "place": 8, "purpose": 6
    }  # fmt: skip
    acorn = table.set_index("concept").loc["acorn"]
    forest = table.set_index("concept").loc["forest"]
    assert acorn["place"] == forest["place"] >= 0 and acorn["goal"] == -1
    latents = concept_latents(table)
    assert latents.columns.get_level_values("family").value_counts().to_dict() == {
        "kind": 6, "place": 8, "goal": 6, "meaning": 12
    }  # fmt: skip
    assert (latents["kind"].sum(axis=1) == 1).all()
    assert (latents["place"].sum(axis=1) == (table["place"] >= 0)).all()


def test_stimuli_show_their_concept(study):
    stimuli = study.stimuli
    assert stimuli.groupby(["paradigm", "concept"]).size().eq(6).all()
    assert (stimuli[stimuli["paradigm"] == "pictures"].eval("text == concept")).all()
    clouds = stimuli[stimuli["paradigm"] == "word_clouds"]
    for row in clouds.drop_duplicates("concept").itertuples():
        words = row.text.split()
        assert words[0] == row.concept and len(set(words)) == 6
    assert (clouds.groupby("concept")["text"].nunique() == 1).all()
    sentences = stimuli[stimuli["paradigm"] == "sentences"]
    assert not sentences["text"].duplicated().any()
    assert sentences["text"].str.split().str.len().between(4, 8).all()
    # All but inflected verbs and plurals are there letter by letter; of those, the stem is.
    found = [row.concept[:3] in row.text.lower() for row in sentences.itertuples()]
    assert all(found)


def test_maps_do_not_depend_on_each_other(study):
    truth = study.truth.assign(snr=np.log(study.truth["snr"]))
    values = np.stack([truth[name] for name in MAPS])
    assert np.abs(np.corrcoef(values)[np.triu_indices(3, 1)]).max() < 0.02
    assert np.abs(spearmanr(values.T)[0][np.triu_indices(3, 1)]).max() < 0.05
    for roi in SEEDS:
        for side in ("L", "R"):
            inside = (study.voxels["roi"] == roi) & (study.voxels["hemisphere"] == side)
            within = np.corrcoef(values[:, inside])[np.triu_indices(3, 1)]
            np.testing.assert_allclose(within, 0, atol=1e-9)


def test_regions_have_every_combination_of_high_and_low(study):
    assert set(REGIONS) == set(SEEDS)
    assert len(set(REGIONS.values())) == 8
    means = study.truth.groupby("parcel").mean()
    for roi, levels in REGIONS.items():
        left, right = means.sel(parcel=f"{roi} L"), means.sel(parcel=f"{roi} R")
        for name, level, middle in zip(MAPS, levels, (0.4, 0.0, 0.35), strict=True):
            assert np.sign(float(left[name]) - middle) == level
        assert (right["consistency"] < left["consistency"] - 0.2) == (levels[0] > 0)


def test_planted_consistency_is_the_correlation_without_noise():
    quiet = every(load_concepts("concepts-testbed", n_listeners=1, snr=1e4), 40)
    means = standardised(quiet.concept_means("listener-01").to_numpy().astype(float))
    for p, q in PAIRS:
        found = (means[p] * means[q]).mean(axis=0)
        np.testing.assert_allclose(found, quiet.truth["consistency"], atol=2e-3)


def test_signal_is_as_strong_as_planted(few):
    responses = [few.responses(few.subjects[0], paradigm) for paradigm in PARADIGMS]
    # Variance between stimuli of a concept is noise; that of concepts is signal and its share.
    noise = np.mean([r.var(dim="stimulus", ddof=1).mean(dim="concept") for r in responses], axis=0)
    count = np.mean([np.isfinite(r[:, 0, 0]).sum() for r in responses])
    total = np.mean([r.mean(dim="stimulus").var(dim="concept", ddof=1) for r in responses], axis=0)
    assert noise.mean() == pytest.approx(1, abs=0.01)
    signal = (total - noise / count) / few.truth["snr"] ** 2
    gain = float(signal.mean())
    assert 0.5 < gain < 2
    by_size = np.argsort(few.truth["snr"].to_numpy())
    for part in np.array_split(by_size, 4):
        assert signal[part].mean() == pytest.approx(gain, rel=0.1)


def test_planted_consistency_is_recovered(few, halves):
    found, planted = estimated_consistency(halves), few.truth["consistency"].to_numpy()
    assert spearmanr(found, planted)[0] > 0.8
    assert abs(spearmanr(found, few.truth["snr"])[0]) < 0.1
    inside = (few.voxels["roi"] != "").to_numpy()
    assert spearmanr(found[inside], planted[inside])[0] > 0.85
    assert found[inside].mean() == pytest.approx(planted[inside].mean(), abs=0.04)


def test_constant_consistency_leaves_only_the_signal_to_noise_ratio():
    options = {"consistency_spread": 0.0, "snr_spread": 0.8, "n_listeners": 3}
    study = every(load_concepts("concepts-testbed", **options), 8)
    assert (study.truth["consistency"] == 0.4).all()
    log_snr = np.log(study.truth["snr"].to_numpy())
    assert log_snr.std() > 0.4
    halves = half_means(study)
    assert spearmanr(raw_consistency(halves), log_snr)[0] > 0.7
    loud = log_snr > np.median(log_snr)
    assert abs(spearmanr(estimated_consistency(halves)[loud], log_snr[loud])[0]) < 0.1


def fit_of_latents(study):
    """Part of the shared code's variance that place, goal and kind explain."""
    known = study.truth["latents"][:, study.truth["family"] != "meaning"].to_numpy()
    code = study.truth["shared_code"].to_numpy()
    return LinearRegression().fit(known, code).score(known, code)


def test_shared_codes_follow_the_world_or_nothing(study):
    unrelated = load_concepts("concepts-testbed", codes="unrelated")
    # 17 of 29 dimensions are of the world; 17 random ones would explain 17 of 179.
    assert fit_of_latents(study) == pytest.approx(17 / 29, abs=0.06)
    assert fit_of_latents(unrelated) == pytest.approx(17 / 179, abs=0.03)
    latents = study.truth["latents"].to_numpy()
    everything = LinearRegression().fit(latents, study.truth["shared_code"])
    assert everything.score(latents, study.truth["shared_code"]) == pytest.approx(1)
    np.testing.assert_array_equal(unrelated.truth["latents"], latents)


@pytest.mark.parametrize("kind", ["world", "unrelated"])
def test_codes_are_uncorrelated(kind):
    shared, specific = codes(concept_latents(concept_table()), configure(codes=kind))
    together = np.column_stack([shared, *specific])
    np.testing.assert_allclose(together.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(together.T @ together / 180, np.eye(together.shape[1]), atol=1e-10)


def test_selectivity_is_measured_apart_from_the_concepts(few):
    contrasts = np.stack([few.selectivity(subject) for subject in few.subjects])
    planted = few.truth["selectivity"].to_numpy()
    assert spearmanr(contrasts.mean(axis=0), planted)[0] > 0.8
    residuals = contrasts - planted
    np.testing.assert_allclose(np.corrcoef(residuals), np.eye(len(contrasts)), atol=0.06)
    assert residuals.std() == pytest.approx(0.5, abs=0.02)


def test_the_same_seed_gives_the_same_listeners():
    first, again, other = (
        every(load_concepts("concepts-testbed", n_listeners=2, seed=seed), 2000)
        for seed in (3, 3, 4)
    )
    name = first.subjects[1]
    values = [study.responses(name, "pictures") for study in (first, again, other)]
    assert values[0].identical(values[1]) and not values[0].equals(values[2])
    assert not np.array_equal(values[0], first.responses(name, "sentences"), equal_nan=True)
    assert not np.array_equal(values[0], first.responses(first.subjects[0], "pictures"))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert first.stimuli.equals(other.stimuli)


def test_selected_voxels_are_those_of_the_study(study, few):
    keep = np.arange(study.n_voxels) % 8 == 0
    name = study.subjects[0]
    np.testing.assert_array_equal(
        few.responses(name, "pictures"), study.responses(name, "pictures")[..., keep]
    )
    np.testing.assert_array_equal(few.selectivity(name), study.selectivity(name)[keep])
    assert few.truth["consistency"].equals(study.truth["consistency"][keep])
    assert few.fingerprint != study.fingerprint and few.mask is None
    with pytest.raises(InputError, match="one value for each of the"):
        select_voxels(study, keep[1:])


def test_names_that_the_study_does_not_have(few):
    with pytest.raises(InputError, match="has no participant 'nobody'"):
        few.responses("nobody", "pictures")
    with pytest.raises(InputError, match="has no paradigm 'films'; it has sentences, pictures"):
        few.responses(few.subjects[0], "films")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"noise": 1}, "has no option 'noise'"),
        ({"codes": "none"}, "Option codes of study 'concepts-testbed' is 'none'"),
        ({"consistency": 1.2}, "consistency is 1.2; a number from 0 to .95"),
        ({"shared_noise": -0.1}, "shared_noise is -0.1"),
        ({"snr": 0}, "snr is 0"),
        ({"n_listeners": 0}, "n_listeners is 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(InputError, match=message):
        load_concepts("concepts-testbed", **options)
    with pytest.raises(InputError, match=message):
        study_fingerprint("concepts-testbed", **options)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9), st.floats(0, 0.5), st.floats(0, 1))
def test_any_maps_are_in_range_and_independent(seed, consistency, spread, snr_spread):
    from brainalign.studies.concepts.simulated import planted_maps
    from brainalign.studies.testbed.brain import brain_mask, voxel_table

    config = configure(
        seed=seed, consistency=consistency, consistency_spread=spread, snr_spread=snr_spread
    )
    mask = brain_mask()
    voxels = voxel_table(mask)
    maps = planted_maps(voxels, mask, config)
    assert maps["consistency"].min() >= 0 and maps["consistency"].max() <= 0.95
    assert maps["snr"].min() > 0
    inside = (voxels["parcel"] == "pSTS L").to_numpy()
    values = [maps["consistency"][inside], maps["selectivity"][inside], np.log(maps["snr"][inside])]
    covariance = np.cov(values)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(covariance, 0, atol=1e-9)
