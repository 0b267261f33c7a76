"""The testbed: geometry, story, latents, listeners."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.glm.first_level import compute_regressor

from brainalign.errors import InputError
from brainalign.studies import load_study, study_fingerprint
from brainalign.studies.testbed import configure
from brainalign.studies.testbed.brain import AFFINE, SHAPE, brain_mask, planted_brain, voxel_table
from brainalign.studies.testbed.config import SEEDS, WEIGHTS, StoryConfig
from brainalign.studies.testbed.languages import ENGLISH
from brainalign.studies.testbed.latents import word_latents
from brainalign.studies.testbed.story import as_text, write

SMALL = {"n_runs": 3, "n_scans": 60, "n_listeners": 3}


@pytest.fixture(scope="module")
def small():
    return load_study("testbed", **SMALL)


@pytest.fixture(scope="module")
def voxels():
    return voxel_table(brain_mask())


@pytest.fixture(scope="module")
def sentences():
    return write(ENGLISH, StoryConfig(), np.random.default_rng(0), 30_000)


def test_mask_is_the_papers_grid_and_mirror_symmetric():
    mask = brain_mask()
    inside = mask.get_fdata() > 0
    assert mask.shape == SHAPE and np.array_equal(mask.affine, AFFINE)
    assert np.array_equal(inside, inside[::-1])
    assert 25_000 < inside.sum() < 32_000
    middle = (SHAPE[0] - 1) // 2
    assert (AFFINE @ [middle, 0, 0, 1])[0] == 0 and inside[middle].any()


def test_hemispheres_have_a_midline_and_mirror_each_other(voxels):
    counts = voxels["hemisphere"].value_counts()
    assert counts["L"] == counts["R"] and counts["midline"] > 500
    assert (voxels.loc[voxels["hemisphere"] == "midline", "x"] == 0).all()


def test_every_region_has_its_sphere_on_both_sides(voxels):
    sizes = voxels[voxels["roi"] != ""].groupby(["roi", "hemisphere"]).size().unstack()
    assert set(sizes.index) == set(SEEDS)
    assert sizes["L"].equals(sizes["R"].rename("L"))
    assert sizes.min().min() >= 50 and sizes.max().max() <= 85
    for name, seed in SEEDS.items():
        inside = voxels[(voxels["roi"] == name) & (voxels["hemisphere"] == "L")]
        distance = np.linalg.norm(inside[["x", "y", "z"]].to_numpy() - seed, axis=1)
        assert distance.max() <= 10


def test_no_region_spills_into_its_neighbour(voxels):
    brain = planted_brain(voxels, configure())
    for name, (left, right) in WEIGHTS.items():
        for side, planted in (("L", left), ("R", right)):
            inside = ((voxels["roi"] == name) & (voxels["hemisphere"] == side)).to_numpy()
            mean = brain["weight"].to_numpy()[:, inside].mean(axis=1)
            assert np.abs(mean - planted).max() < 0.03


def test_a_graded_quarter_is_driven_and_the_rest_fades(voxels):
    amplitude = planted_brain(voxels, configure())["amplitude"].to_numpy()
    assert (amplitude > 0.5).mean() > 0.25
    assert (amplitude == 0).mean() > 0.2
    assert ((amplitude > 0.1) & (amplitude < 0.9)).mean() > 0.2


def test_asymmetry_scales_the_difference_of_the_sides(voxels):
    weights = {
        asymmetry: planted_brain(voxels, configure(asymmetry=asymmetry))["weight"].to_numpy()
        for asymmetry in (0, 0.5, 1, 2)
    }
    mirror = voxels.assign(x=-voxels["x"]).sort_values(["x", "y", "z"]).index.to_numpy()
    assert np.array_equal(weights[0], weights[0][:, mirror])
    difference = weights[1] - weights[1][:, mirror]
    assert np.abs(difference).max() > 0.5
    for asymmetry, weight in weights.items():
        assert np.allclose(weight - weight[:, mirror], asymmetry * difference)
        assert np.allclose(weight + weight[:, mirror], weights[1] + weights[1][:, mirror])
        assert weight.min() >= 0


@pytest.mark.parametrize(
    "asymmetry, left, right",
    [(1, 9372.242520298909, 8406.847835271241), (0, 8889.545177785076, 8889.545177785076)],
)
def test_planted_weights_are_those_of_the_shipped_results(voxels, asymmetry, left, right):
    weight = planted_brain(voxels, configure(asymmetry=asymmetry))["weight"].to_numpy()
    sides = [weight[:, voxels["hemisphere"] == side].sum() for side in ("L", "R")]
    assert sides == pytest.approx([left, right], rel=1e-12)


def test_text_is_the_words_with_capitals_and_punctuation(sentences):
    text = as_text(sentences[:50])
    words = [word.form for sentence in sentences[:50] for word in sentence.words]
    stripped = text.replace(".", "").replace(",", "").split()
    assert [word.lower() for word in stripped] == [word.lower() for word in words]
    assert text[0].isupper() and text.endswith(".")


def test_latents_have_the_documented_families(sentences):
    table = word_latents(sentences, ENGLISH)
    sizes = table.columns.get_level_values("family").value_counts()
    assert sizes.to_dict() == {
        "surface": 3, "lexical": 12, "syntax": 23, "event": 24, "discourse": 25,
    }  # fmt: skip
    discourse = table["discourse"]
    # Scene, goal and protagonist are known after the first opening, one of each.
    assert (discourse.iloc[20:].drop(columns="past").sum(axis=1) == 3).all()


def test_events_reset_at_each_clause_and_discourse_persists(sentences):
    table = word_latents(sentences, ENGLISH)
    words = [word for sentence in sentences for word in sentence.words]
    changes = table["discourse"].diff().abs().sum(axis=1) > 0
    tells = [any(slot in ("scene", "goal", "protagonist") for slot, _ in w.tells) for w in words]
    tense = table["discourse"]["past"].diff().abs() > 0
    assert (~changes | tense | np.array(tells))[1:].all()
    first = [
        a.clause is not b.clause and not b.tells for a, b in zip(words, words[1:], strict=False)
    ]
    new = [
        first[i] and words[i + 1].clause not in {w.clause for w in words[max(0, i - 60) : i + 1]}
        for i in range(200)
    ]
    starts = np.flatnonzero(new) + 1
    assert len(starts) and (table["event"].iloc[starts].sum(axis=1) == 0).all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_words=st.integers(1, 500))
def test_same_seed_same_story(seed, n_words):
    first, second = (
        as_text(write(ENGLISH, StoryConfig(), np.random.default_rng(seed), n_words))
        for _ in range(2)
    )
    assert first == second


def test_study_has_the_promised_shape(small):
    assert len(small.runs) == 3 and small.simulated and small.tr == 2.0
    responses = small.responses(0, ("listener-01", "average"))
    assert responses.dims == ("subject", "scan", "voxel")
    assert responses.shape == (2, 60, small.n_voxels) and responses.dtype == np.float32
    for run in small.runs:
        assert run.words["offset"].max() < run.n_scans * small.tr
        assert (run.words["onset"].diff().dropna() > 0).all()


def test_listeners_are_reproducible_and_differ(small):
    again = load_study("testbed", **SMALL)
    one = small.responses(1, "listener-02").to_numpy()
    assert np.array_equal(one, again.responses(1, "listener-02").to_numpy())
    assert not np.allclose(one, small.responses(1, "listener-03").to_numpy())
    other = load_study("testbed", **SMALL, seed=5)
    assert not np.allclose(one, other.responses(1, "listener-02").to_numpy())


def test_signal_is_linear_in_the_convolved_latents():
    # With hardly any noise, ordinary least squares on nilearn's regressors explains everything.
    study = load_study("testbed", n_runs=3, n_scans=200, n_listeners=1, noise=1e-4)
    latents = study.truth["latents"]
    design = []
    for number, run in enumerate(study.runs):
        values = latents.to_numpy()[latents["run"].to_numpy() == number].astype(float)
        events = [run.words["onset"], run.words["offset"] - run.words["onset"]]
        times = (np.arange(run.n_scans) + 0.5) * study.tr
        columns = [
            compute_regressor(np.vstack([*events, column]), "glover", times)[0][:, 0]
            for column in values.T
        ]
        design.append(np.column_stack(columns))
    design = np.concatenate(design)
    design = np.column_stack([np.ones(len(design)), design])
    driven = np.flatnonzero(study.truth["amplitude"].to_numpy() == 1)[:50]
    responses = np.concatenate([study.responses(run, "listener-01")[0] for run in range(3)])
    target = responses[:, driven].astype(float)
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    assert ((target - fitted).var(axis=0) / target.var(axis=0)).max() < 1e-4


def test_planted_noise_ceiling_is_what_the_true_signal_reaches():
    study = load_study("testbed", n_runs=3, n_scans=300, n_listeners=4)
    quiet = load_study("testbed", n_runs=3, n_scans=300, n_listeners=1, noise=1e-4)
    voxels = np.flatnonzero(study.truth["amplitude"].to_numpy() == 1)
    reached = []
    for run in range(3):
        noisy = study.trimmed(study.responses(run).to_numpy()[0])[:, voxels]
        clean = quiet.trimmed(quiet.responses(run, "listener-01").to_numpy()[0])[:, voxels]
        noisy, clean = noisy - noisy.mean(axis=0), clean - clean.mean(axis=0)
        scale = np.sqrt((noisy**2).sum(axis=0) * (clean**2).sum(axis=0))
        reached.append((noisy * clean).sum(axis=0) / scale)
    planted = study.truth["noise_ceiling"].to_numpy()[voxels]
    assert abs(np.mean(reached) - planted.mean()) < 0.01
    assert np.corrcoef(np.mean(reached, axis=0), planted)[0, 1] > 0.7


def test_unknown_names_are_one_clear_sentence():
    with pytest.raises(InputError, match="Unknown study 'nothing'"):
        load_study("nothing")
    with pytest.raises(InputError, match="no option 'sed'"):
        load_study("testbed", sed=1)
    with pytest.raises(InputError, match="n_runs is 2"):
        load_study("testbed", n_runs=2)
    with pytest.raises(InputError, match="asymmetry is 2.5; a number from 0 to 2 is expected"):
        load_study("testbed", asymmetry=2.5)
    with pytest.raises(InputError, match="asymmetry is nan"):
        load_study("testbed", asymmetry=float("nan"))
    with pytest.raises(InputError, match="does not speak 'tlh'"):
        load_study("testbed", language="tlh")


def test_fingerprint_follows_the_configuration():
    assert study_fingerprint("testbed") == study_fingerprint("testbed", seed=0)
    assert study_fingerprint("testbed") != study_fingerprint("testbed", seed=1)
