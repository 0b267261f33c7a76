"""Regressors against nilearn, and by their properties."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.glm.first_level import compute_regressor
from nilearn.glm.first_level.hemodynamic_models import _gamma_difference_hrf
from scipy.stats import zscore

from brainalign import regressors
from brainalign.drift import remove_drift
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings, study_regressors
from brainalign.regressors import hrf_operator, nuisance_features, run_regressors
from brainalign.study import Run, Study, select_voxels, standardise
from tests.tiny_study import tiny_study


def random_words(rng, n_words, seconds, first=0.0):
    """Words that may overlap, follow each other or have no length."""
    onsets = np.sort(rng.uniform(first, seconds, n_words))
    lengths = rng.choice([0.0, 0.005, 0.2, 0.7, 5.0], n_words) * rng.uniform(0.5, 1.5, n_words)
    return onsets, onsets + lengths


def nilearn_regressor(onsets, offsets, amplitudes, n_scans, tr, hrf="glover"):
    frames = (np.arange(n_scans) + 0.5) * tr
    events = np.array([onsets, offsets - onsets, amplitudes])
    return compute_regressor(events, hrf, frames, oversampling=50, min_onset=-24)[0][:, 0]


def old_glover(t_r, oversampling):
    """Glover's response as in nilearn 0.10.4."""
    return _gamma_difference_hrf(
        t_r, oversampling, delay=6, undershoot=12.0, dispersion=0.9, u_dispersion=0.9, ratio=0.35
    )


@pytest.mark.parametrize("tr, n_scans", [(2.0, 300), (2.0, 40), (1.5, 61), (0.8, 100), (2.21, 7)])
@pytest.mark.parametrize("hrf, oracle", [("glover", "glover"), ("glover_published", old_glover)])
def test_glover_operator_equals_nilearn(tr, n_scans, hrf, oracle):
    rng = np.random.default_rng(n_scans)
    # Words start before the first scan and end behind the last.
    onsets, offsets = random_words(rng, 80, n_scans * tr * 1.05, first=-20)
    amplitudes = rng.standard_normal((80, 3))
    computed = hrf_operator(onsets, offsets, n_scans, tr, hrf) @ amplitudes
    for column, values in zip(amplitudes.T, computed.T, strict=True):
        expected = nilearn_regressor(onsets, offsets, column, n_scans, tr, oracle)
        assert np.abs(values - expected).max() <= 1e-6 * np.abs(expected).max()


def test_impulses_at_the_offsets_equal_nilearn():
    onsets, offsets = random_words(np.random.default_rng(3), 80, 200.0)
    amplitudes = np.random.default_rng(4).standard_normal(80)
    computed = hrf_operator(onsets, offsets, 100, 2.0, "glover_impulse") @ amplitudes
    expected = nilearn_regressor(offsets, offsets, amplitudes, 100, 2.0)
    assert np.abs(computed - expected).max() <= 1e-6 * np.abs(expected).max()


def test_drift_goes_before_trimming():
    onsets, offsets = random_words(np.random.default_rng(5), 200, 400.0)
    words = pd.DataFrame({"word": "w", "onset": onsets, "offset": offsets})
    features = np.random.default_rng(6).standard_normal((200, 3))
    whole = hrf_operator(onsets, offsets, 200, 2.0) @ features
    expected = standardise(remove_drift(whole, 2.0, 0.01)[5:-3])
    found = run_regressors(features, words, 200, 2.0, (5, 3), high_pass=0.01)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_words_on_the_grid_equal_nilearn():
    onsets = np.arange(60) / 3
    offsets = onsets + 1 / 3
    operator = hrf_operator(onsets, offsets, 20, 2.0)
    for word in (0, 7, 59):
        amplitude = np.eye(60)[word]
        expected = nilearn_regressor(onsets, offsets, amplitude, 20, 2.0)
        np.testing.assert_allclose(operator[:, word], expected, rtol=0, atol=1e-7)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), factor=st.floats(-5, 5))
def test_regressors_are_linear_in_the_features(seed, factor):
    rng = np.random.default_rng(seed)
    onsets, offsets = random_words(rng, 12, 40)
    one, two = rng.standard_normal((2, 12))
    operator = hrf_operator(onsets, offsets, 25, 2.0)
    mixed = nilearn_regressor(onsets, offsets, one + factor * two, 25, 2.0)
    np.testing.assert_allclose(operator @ one + factor * (operator @ two), mixed, atol=1e-9)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), shift=st.integers(0, 8))
def test_whole_scans_of_delay_shift_the_regressor(seed, shift):
    rng = np.random.default_rng(seed)
    onsets = rng.uniform(0, 20, 6)
    offsets = onsets + rng.uniform(1, 5, 6)
    n_scans, tr = 40, 2.0
    for hrf in ("impulse", "fir", "glover"):
        early = hrf_operator(onsets, offsets, n_scans, tr, hrf)
        late = hrf_operator(onsets + shift * tr, offsets + shift * tr, n_scans, tr, hrf)
        here, there = early[..., : n_scans - shift, :], late[..., shift:, :]
        # nilearn's fine grid is not a whole number of samples per scan.
        slack = 0.05 * early.max() if hrf == "glover" else 0
        assert np.abs(here - there).max() <= slack


def test_a_word_is_the_sum_of_its_halves():
    whole = hrf_operator([3.0], [5.0], 30, 2.0)
    halves = hrf_operator([3.0, 4.1], [4.1, 5.0], 30, 2.0)
    np.testing.assert_allclose(whole[:, 0], halves.sum(axis=1), atol=1e-12)


def test_a_word_without_length_lasts_one_sample():
    point = hrf_operator([4.0], [4.0], 30, 2.0)[:, 0]
    assert point.max() > 0
    assert 45 < hrf_operator([4.0], [6.0], 30, 2.0).sum() / point.sum() < 55


def test_overlapping_words_add_up():
    both = hrf_operator([2.0, 3.0], [6.0, 8.0], 30, 2.0) @ np.ones(2)
    expected = nilearn_regressor(np.array([2.0, 3.0]), np.array([6.0, 8.0]), np.ones(2), 30, 2.0)
    np.testing.assert_allclose(both, expected, atol=1e-9)


def test_impulse_lies_in_the_scan_in_which_the_word_ends():
    offsets = np.array([0.1, 1.999, 2.0, 3 * (2 / 3), 7.2, 100.0])
    operator = hrf_operator(offsets - 0.1, offsets, 5, 2.0, "impulse")
    scan = [np.flatnonzero(column).tolist() for column in operator.T]
    assert scan == [[0], [0], [1], [1], [3], []]
    assert set(np.unique(operator)) == {0.0, 1.0}


def test_fir_delays_are_shifted_impulses():
    rng = np.random.default_rng(3)
    onsets, offsets = random_words(rng, 20, 40)
    operator = hrf_operator(onsets, offsets, 25, 2.0, "fir", delays=(0, 1, 4))
    impulse = hrf_operator(onsets, offsets, 25, 2.0, "impulse")
    assert operator.shape == (3, 25, 20)
    for delay, matrix in zip((0, 1, 4), operator, strict=True):
        naive = np.zeros_like(impulse)
        for word in range(20):
            scan = int(offsets[word] // 2.0) + delay
            if scan < 25:
                naive[scan, word] = 1
        np.testing.assert_array_equal(matrix, naive)
    np.testing.assert_array_equal(operator[0], impulse)


def words_table(rng, n_words=40, seconds=50):
    onsets, offsets = random_words(rng, n_words, seconds)
    return pd.DataFrame({"word": ["word"] * n_words, "onset": onsets, "offset": offsets})


def test_run_regressors_are_trimmed_and_standardised():
    rng = np.random.default_rng(1)
    words = words_table(rng)
    features = rng.standard_normal((40, 5)).astype(np.float16)
    result = run_regressors(features, words, 30, 2.0, trim=(4, 3))
    assert result.shape == (23, 5) and result.dtype == np.float32
    onsets, offsets = words["onset"].to_numpy(), words["offset"].to_numpy()
    for column in range(5):
        values = features[:, column].astype(float)
        expected = nilearn_regressor(onsets, offsets, values, 30, 2.0)[4:27]
        expected = (expected - expected.mean()) / expected.std()
        np.testing.assert_allclose(result[:, column], expected, atol=1e-5)


def test_run_regressors_with_fir_put_delay_by_delay():
    rng = np.random.default_rng(2)
    words = words_table(rng)
    features = rng.standard_normal((40, 3))
    together = run_regressors(features, words, 30, 2.0, (2, 2), "fir", delays=(1, 3))
    assert together.shape == (26, 6)
    for block, delay in enumerate((1, 3)):
        alone = run_regressors(features, words, 30, 2.0, (2, 2), "fir", delays=(delay,))
        np.testing.assert_array_equal(together[:, 3 * block : 3 * block + 3], alone)


def test_scale_and_zero_columns_do_not_matter():
    rng = np.random.default_rng(5)
    words = words_table(rng)
    features = np.column_stack([rng.standard_normal((40, 2)), np.zeros(40)])
    one = run_regressors(features, words, 30, 2.0)
    two = run_regressors(features * 1024, words, 30, 2.0)
    np.testing.assert_allclose(one, two, atol=1e-6)
    assert not one[:, 2].any()


@pytest.mark.parametrize("mean", [0.0, 20.0])
def test_each_of_many_regressors_equals_nilearn(mean):
    rng = np.random.default_rng(8)
    words = words_table(rng)
    # More units than are convolved at once.
    features = rng.normal(mean, size=(40, 300)).astype(np.float32)
    found = run_regressors(features, words, 30, 2.0, trim=(4, 3))
    times = words["onset"].to_numpy(), words["offset"].to_numpy()
    expected = [nilearn_regressor(*times, column, 30, 2.0)[4:-3] for column in features.T]
    np.testing.assert_allclose(found, zscore(np.array(expected).T), rtol=0, atol=1e-6)


def by_definition(study: Study, features: list[np.ndarray], how: EncodingSettings):
    """Regressors from a dense operator, column by column in double precision."""
    found = []
    for number, scans in study.folds():
        run = study.runs[number]
        times = run.words["onset"].to_numpy(), run.words["offset"].to_numpy()
        operator = hrf_operator(*times, run.n_scans, study.tr, how.hrf, how.delays)
        operator = operator if operator.ndim == 3 else operator[None]
        columns = np.column_stack(
            [one @ column for one in operator for column in features[number].T]
        )
        found.append(zscore(study.trimmed(remove_drift(columns, study.tr, study.high_pass))[scans]))
    return found


def delayed(study: Study) -> Study:
    """The same words a third of a second later, in other tables."""
    later = [run.words[["onset", "offset"]] + 1 / 3 for run in study.runs]
    runs = zip(study.runs, later, strict=True)
    return replace(
        study, runs=tuple(replace(run, words=run.words.assign(**times)) for run, times in runs)
    )


def values_of(run: Run) -> np.ndarray:
    """Features of a run's words, always the same."""
    shape = (len(run.words), 5)
    return np.random.default_rng(shape).normal(1, size=shape).astype(np.float32)


def test_what_is_kept_is_never_used_for_something_else():
    study, settings = tiny_study(), EncodingSettings()
    longer = tuple(replace(run, n_scans=run.n_scans + 3) for run in study.runs)
    cases = [
        (study, settings),
        (study, replace(settings, hrf="glover_published")),
        (study, replace(settings, hrf="glover_impulse")),
        (study, replace(settings, hrf="impulse")),
        (study, replace(settings, hrf="fir")),
        (study, replace(settings, hrf="fir", delays=(0, 2))),
        (delayed(study), settings),
        (replace(study, tr=2.5), settings),
        (replace(study, trim=(0, 7)), settings),
        (replace(study, runs=longer), settings),
        (replace(study, runs=study.runs[::-1]), settings),
        (replace(study, high_pass=0.02), settings),
        (replace(study, high_pass=0.04), settings),
        (replace(study, n_folds=2, gap=3), settings),
        (study, settings),
    ]
    features = [[values_of(run) for run in changed.runs] for changed, _ in cases]
    found = [study_regressors(c, own, how) for (c, how), own in zip(cases, features, strict=True)]
    for (changed, how), own, folds in zip(cases, features, found, strict=True):
        regressors._kept_operator.cache_clear()
        for one, expected in zip(folds, by_definition(changed, own, how), strict=True):
            assert one.dtype == np.float32 and one.flags.c_contiguous
            np.testing.assert_allclose(one, expected, rtol=0, atol=1e-6)


def test_layers_and_parts_of_a_study_share_operators():
    study, settings = tiny_study(), EncodingSettings(hrf="glover_published")
    narrow = select_voxels(study, np.arange(study.n_voxels) < 2)
    features = [np.ones((len(run.words), 2)) for run in study.runs]
    regressors._kept_operator.cache_clear()
    for part in (study, study, narrow):
        study_regressors(part, features, settings)
    kept = regressors._kept_operator.cache_info()
    assert kept.misses == len(study.runs) and kept.maxsize is not None


def test_delays_that_equal_kept_ones_are_still_refused():
    words = words_table(np.random.default_rng(1))
    run_regressors(np.ones((40, 1)), words, 30, 2.0, hrf="fir", delays=(1,))
    with pytest.raises(InputError, match=r"delays is \(1.0,\)"):
        run_regressors(np.ones((40, 1)), words, 30, 2.0, hrf="fir", delays=(1.0,))


def test_results_may_be_changed():
    words = words_table(np.random.default_rng(1))
    times = words["onset"], words["offset"]
    operator = hrf_operator(*times, 30, 2.0)
    expected = operator.copy()
    operator[:] = 0
    np.testing.assert_array_equal(hrf_operator(*times, 30, 2.0), expected)


@pytest.mark.parametrize("hrf", ["glover", "impulse", "fir"])
def test_a_run_without_words_has_constant_regressors(hrf):
    words = words_table(np.random.default_rng(0)).iloc[:0]
    found = run_regressors(np.empty((0, 2)), words, 30, 2.0, hrf=hrf, delays=(1, 2))
    assert found.shape == (30, 4 if hrf == "fir" else 2) and not found.any()
    assert run_regressors(np.empty((0, 0)), words, 30, 2.0).shape == (30, 0)


def test_nuisance_features():
    words = pd.DataFrame(
        {
            "word": ["Anna", np.nan, "saw", "boats "],
            "onset": [0.0, 1.0, 2.0, 4.0],
            "offset": [1.0, 2.0, 3.0, 5.0],
            "sound_power": [1, 2, 3, 4],
        }
    )
    features = nuisance_features(words, ("word_rate", "word_length", "position", "sound_power"))
    expected = [[1, 4, -1, 1], [1, 0, -0.5, 2], [1, 3, 0, 3], [1, 5, 1, 4]]
    np.testing.assert_array_equal(features, expected)
    assert nuisance_features(words, ()).shape == (4, 0)
    assert nuisance_features(words.iloc[:0], ("word_rate", "position")).shape == (0, 2)
    with pytest.raises(InputError, match="'pitch' is unknown"):
        nuisance_features(words, ("pitch",))
    with pytest.raises(InputError, match="holds nan for word 1"):
        nuisance_features(words.assign(sound_power=[1, np.nan, 3, 4]), ("sound_power",))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"hrf": "gamma"}, "hrf is 'gamma'"),
        ({"hrf": "fir", "delays": (1, -1)}, "delays is"),
        ({"hrf": "fir", "delays": ()}, "delays is"),
        ({"onsets": [0.0, np.nan]}, "Word 1"),
        ({"onsets": [-30.0, 1.0]}, "Word 0 lasts from -30.0"),
        ({"offsets": [1.0, 0.5]}, "Word 1 lasts from 1.0 to 0.5"),
        ({"offsets": [1.0]}, "one of each per word"),
        ({"n_scans": 1}, "n_scans is 1"),
        ({"tr": 0.0}, "tr is 0.0"),
    ],
)
def test_bad_times_are_named(change, message):
    given = {"onsets": [0.0, 1.0], "offsets": [0.5, 1.5], "n_scans": 10, "tr": 2.0} | change
    with pytest.raises(InputError, match=message):
        hrf_operator(**given)


def test_bad_features_are_named():
    words = words_table(np.random.default_rng(0))
    with pytest.raises(InputError, match=r"\(39, 2\); \(40, units\)"):
        run_regressors(np.ones((39, 2)), words, 30, 2.0)
    features = np.ones((40, 2))
    features[7, 1] = np.inf
    with pytest.raises(InputError, match="not finite, for word 7"):
        run_regressors(features, words, 30, 2.0)
    with pytest.raises(InputError, match="at least two of 30 scans"):
        run_regressors(np.ones((40, 2)), words, 30, 2.0, trim=(20, 9))
