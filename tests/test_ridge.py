"""Nested ridge against himalaya and scikit-learn, which fit every fold from scratch."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from himalaya.backend import get_backend, set_backend
from himalaya.kernel_ridge import KernelRidgeCV
from himalaya.ridge import GroupRidgeCV, RidgeCV
from himalaya.scoring import correlation_score
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from brainalign.errors import InputError
from brainalign.ridge import (
    RATIOS,
    RidgeResult,
    banded_leave_one_run_out,
    leave_one_run_out,
    validation_runs,
)
from brainalign.ridge.work import himalaya_backend
from brainalign.study import standardise

LENGTHS = (34, 40, 37, 31)
ALPHAS = np.logspace(0, 4, 9)
# Few regressors use sums of cross-products, more of them projected responses, and more than scans
# the kernel; the last three go through himalaya's kernel ridge.
WIDTHS = (3, 12, 60, 80, 200)
TOLERANCE = 1e-4
pytestmark = pytest.mark.filterwarnings("ignore:Solving .* is slower:UserWarning")
CUDA = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
)


def simulate(n_regressors=12, n_voxels=25, lengths=LENGTHS, noise=2.0, seed=0):
    """Runs whose voxels follow some of the regressors, more or less, with smooth regressors."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n_regressors, n_voxels)) / np.sqrt(n_regressors)
    weights *= np.linspace(0, 2, n_voxels)
    X, Y = [], []
    for length in lengths:
        x = rng.normal(size=(length + 3, n_regressors))
        x = sum(x[k : k + length] for k in range(4)) * np.geomspace(1, 0.1, n_regressors)
        x = standardise(x)
        X.append(x)
        Y.append(standardise(x @ weights + noise * rng.normal(size=(length, n_voxels))))
    return X, Y


def pearson(a, b):
    """Correlation of columns, from its definition, float64."""
    a, b = (values.astype(float) - values.mean(0) for values in (a, b))
    return (a * b).sum(0) / np.sqrt((a**2).sum(0) * (b**2).sum(0))


def training(fold, n_runs):
    return [run for run in range(n_runs) if run != fold]


def himalaya_scores(X, Y, alphas, per_voxel, validation, estimator):
    """r, alpha and inner scores from himalaya, one fold at a time."""
    r, alpha, inner = [], [], []
    for fold, (x_test, y_test) in enumerate(zip(X, Y, strict=True)):
        runs = training(fold, len(X))
        ends = np.cumsum([0, *(len(X[run]) for run in runs)])
        parts = [np.arange(start, stop) for start, stop in pairwise(ends)]
        everything = np.arange(ends[-1])
        splits = [(np.setdiff1d(everything, part), part) for part in parts]
        model = estimator(
            alphas=alphas,
            cv=splits if validation == "all" else splits[:1],
            solver_params={"local_alpha": per_voxel, "score_func": correlation_score},
        )
        model.fit(np.vstack([X[run] for run in runs]), np.vstack([Y[run] for run in runs]))
        r.append(pearson(np.asarray(model.predict(x_test)), y_test))
        alpha.append(np.asarray(model.best_alphas_))
        inner.append(np.asarray(model.cv_scores_).reshape(-1, y_test.shape[1])[0])
    return np.array(r), np.array(alpha), np.array(inner)


def sklearn_scores(X, Y, alphas, per_voxel, validation):
    """r, alpha and inner scores from scikit-learn's Ridge, one fit at a time, float64."""

    def predict(runs, alpha, x):
        stacked = [np.vstack([values[run] for run in runs]).astype(float) for values in (X, Y)]
        return Ridge(alpha=alpha, fit_intercept=False).fit(*stacked).predict(x.astype(float))

    r, chosen, inner = [], [], []
    for fold in range(len(X)):
        runs = training(fold, len(X))
        scores = np.mean(
            [
                [
                    pearson(predict([k for k in runs if k != held], alpha, X[held]), Y[held])
                    for alpha in alphas
                ]
                for held in (runs if validation == "all" else runs[:1])
            ],
            axis=0,
        )
        best = scores.argmax(0) if per_voxel else np.full(Y[0].shape[1], scores.mean(1).argmax())
        tests = np.array([pearson(predict(runs, alpha, X[fold]), Y[fold]) for alpha in alphas])
        columns = np.arange(len(best))
        r.append(tests[best, columns])
        inner.append(scores[best, columns])
        chosen.append(alphas[best])
    return np.array(r), np.array(chosen), np.array(inner)


def assert_same(result, expected, per_voxel):
    r, alpha, inner = expected
    assert result.r.dtype == np.float32
    found = result.alpha if per_voxel else np.repeat(result.alpha[:, None], r.shape[1], 1)
    # Where two alphas score the same within float32, either may be chosen.
    same = np.isclose(found, alpha, rtol=1e-5)
    assert same.mean() > 0.98
    assert np.abs(result.r - r)[same].max() < TOLERANCE
    assert np.abs(result.r_inner - inner).max() < TOLERANCE


@pytest.fixture(autouse=True)
def torch_backend():
    """himalaya's estimators on torch, as the module under test."""
    previous = get_backend().name
    set_backend("torch")
    yield
    set_backend(previous)


@pytest.mark.parametrize("validation", ["all", "first"])
@pytest.mark.parametrize("per_voxel", [False, True])
@pytest.mark.parametrize("n_regressors", WIDTHS)
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_equals_himalaya_and_sklearn(n_regressors, per_voxel, validation, device):
    X, Y = simulate(n_regressors)
    result = leave_one_run_out(X, Y, ALPHAS, per_voxel, validation, device)
    assert result.alpha.shape == ((4, 25) if per_voxel else (4,))
    estimator = KernelRidgeCV if n_regressors > min(LENGTHS) else RidgeCV
    expected = himalaya_scores(X, Y, ALPHAS, per_voxel, validation, estimator)
    assert_same(result, expected, per_voxel)
    assert_same(result, sklearn_scores(X, Y, ALPHAS, per_voxel, validation), per_voxel)


def test_default_grid_is_the_published_one():
    X, Y = simulate()
    np.testing.assert_allclose(leave_one_run_out(X, Y).alphas, np.logspace(2, 7, 16))


@pytest.mark.parametrize("per_voxel", [False, True])
def test_two_bands_equal_himalaya_group_ridge(per_voxel):
    X, Y = simulate(10)
    rng = np.random.default_rng(1)
    nuisance = [standardise(rng.normal(size=(len(x), 2))) for x in X]
    Y = [standardise(y + n @ rng.normal(size=(2, 25))) for y, n in zip(Y, nuisance, strict=True)]
    result, ratio = banded_leave_one_run_out(
        (X, nuisance), Y, RATIOS, alphas=ALPHAS, per_voxel_alpha=per_voxel
    )
    weights = np.array([[1, ratio] for ratio in RATIOS])
    weights /= weights.sum(1, keepdims=True)
    for fold in range(len(X)):
        runs = training(fold, len(X))
        labels = np.repeat(runs, [len(X[run]) for run in runs])
        splits = [(np.flatnonzero(labels != run), np.flatnonzero(labels == run)) for run in runs]
        model = GroupRidgeCV(
            groups="input",
            cv=splits,
            solver_params={
                "n_iter": weights.astype(np.float32),
                "alphas": ALPHAS,
                "local_alpha": per_voxel,
                "score_func": correlation_score,
                "progress_bar": False,
            },
        )
        bands = [np.vstack([band[run] for run in runs]) for band in (X, nuisance)]
        model.fit(bands, np.vstack([Y[run] for run in runs]))
        predicted = np.asarray(model.predict([X[fold], nuisance[fold]]))
        inner = np.asarray(model.cv_scores_).max(0)
        deltas = np.asarray(model.deltas_)
        same = np.isclose(np.exp(deltas[1] - deltas[0]), ratio[fold], rtol=1e-3)
        same &= np.isclose(np.asarray(model.best_alphas_), result.alpha[fold], rtol=1e-3)
        assert same.mean() > 0.9
        assert np.abs(result.r_inner[fold] - inner).max() < TOLERANCE
        assert np.abs(result.r[fold] - pearson(predicted, Y[fold]))[same].max() < TOLERANCE


def test_standardises_runs():
    X, Y = simulate()
    rng = np.random.default_rng(2)
    raw_x = [x * rng.uniform(0.1, 9, 12) + rng.normal(0, 50, 12) for x in X]
    raw_y = [y * rng.uniform(0.1, 9, 25) + 1000 for y in Y]
    raw, plain = leave_one_run_out(raw_x, raw_y), leave_one_run_out(X, Y)
    np.testing.assert_allclose(raw.r, plain.r, atol=TOLERANCE)


@pytest.mark.parametrize("n_regressors", WIDTHS)
def test_blocks_of_voxels_change_nothing(n_regressors):
    X, Y = simulate(n_regressors)
    whole, pieces = leave_one_run_out(X, Y, ALPHAS), leave_one_run_out(X, Y, ALPHAS, block=7)
    np.testing.assert_allclose(whole.r, pieces.r, atol=1e-6)
    np.testing.assert_array_equal(whole.alpha, pieces.alpha)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n_regressors=st.sampled_from([2, 9, 60, 130]))
def test_symmetries(seed, n_regressors):
    """Order of runs and voxels, and a rotation of all regressors, move scores but change none."""
    lengths = (30, 25, 28)
    X, Y = simulate(n_regressors, 6, lengths, seed=seed)
    rng = np.random.default_rng(seed)
    order, voxels = rng.permutation(3), rng.permutation(6)
    base = leave_one_run_out(X, Y, [50.0])
    moved = leave_one_run_out([X[k] for k in order], [Y[k][:, voxels] for k in order], [50.0])
    np.testing.assert_allclose(moved.r, base.r[order][:, voxels], atol=1e-5)
    np.testing.assert_allclose(moved.r_inner, base.r_inner[order][:, voxels], atol=1e-5)
    doubled = leave_one_run_out([np.hstack([x, x]) for x in X], Y, [100.0])
    np.testing.assert_allclose(doubled.r, base.r, atol=1e-5)
    assert np.abs(base.r).max() <= 1


def test_exact_and_unrelated_responses():
    X, Y = simulate(1, 20, noise=0.0)
    perfect = leave_one_run_out(X, [y[:, 1:] for y in Y])
    np.testing.assert_allclose(perfect.r, 1, atol=1e-6)
    X, Y = simulate(5, 300)
    rng = np.random.default_rng(3)
    unrelated = leave_one_run_out(X, [rng.normal(size=y.shape) for y in Y])
    assert abs(unrelated.r.mean()) < 4 / np.sqrt(unrelated.r.size * min(LENGTHS) / 4)


@pytest.mark.parametrize("n_regressors", WIDTHS)
def test_extreme_alphas_have_the_known_limits(n_regressors):
    """Least squares (of minimum norm) for no penalty, bare cross-products for an endless one."""
    X, Y = simulate(n_regressors)
    weak, strong = leave_one_run_out(X, Y, [1e-9]), leave_one_run_out(X, Y, [1e25])
    for fold in range(len(X)):
        x, y = (np.vstack([values[run] for run in training(fold, 4)]) for values in (X, Y))
        least = np.linalg.lstsq(x.astype(float), y.astype(float), rcond=1e-5)[0]
        np.testing.assert_allclose(weak.r[fold], pearson(X[fold] @ least, Y[fold]), atol=1e-3)
        expected = pearson(X[fold] @ (x.T @ y), Y[fold])
        np.testing.assert_allclose(strong.r[fold], expected, atol=TOLERANCE)


@pytest.mark.parametrize("per_voxel", [False, True])
@pytest.mark.parametrize("n_regressors", WIDTHS)
def test_constant_voxels_are_nan_and_disturb_no_other(n_regressors, per_voxel):
    X, Y = simulate(n_regressors)
    plain = leave_one_run_out(X, [y[:, 2:] for y in Y], ALPHAS, per_voxel)
    for y in Y:
        y[:, 0] = 7.7
    Y[1][:, 1] = -3
    result = leave_one_run_out(X, Y, ALPHAS, per_voxel)
    assert np.isnan(result.r[:, 0]).all() and np.isnan(result.r_inner[:, 0]).all()
    assert np.isnan(result.r[:, 1]).tolist() == [False, True, False, False]
    assert np.isfinite(result.r_inner[:, 1]).all()
    if per_voxel:
        assert np.isnan(result.alpha[:, 0]).all()
        np.testing.assert_allclose(result.r[:, 2:], plain.r, atol=1e-6)
    elif np.array_equal(result.alpha, plain.alpha):
        np.testing.assert_allclose(result.r[:, 2:], plain.r, atol=1e-6)
    # A run in which the voxel is constant is left out of its mean inner score.
    lone = leave_one_run_out(X, [y[:, 1:2] for y in Y], [10.0], validation="first")
    assert np.isnan(lone.r_inner[:, 0]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("n_regressors", WIDTHS)
def test_constant_regressors_count_for_nothing(n_regressors):
    X, Y = simulate(n_regressors)
    plain = leave_one_run_out(X, Y, ALPHAS)
    wider = leave_one_run_out([np.hstack([x, np.full((len(x), 1), 3.0)]) for x in X], Y, ALPHAS)
    np.testing.assert_allclose(wider.r, plain.r, atol=1e-5)
    X[2][:] = 1
    silent = leave_one_run_out(X, Y, ALPHAS)
    assert (silent.r[2] == 0).all() and np.isfinite(silent.r).all()
    nothing = leave_one_run_out([np.zeros_like(x) for x in X], Y, ALPHAS)
    assert (nothing.r == 0).all() and (nothing.r_inner == 0).all()


def test_duplicated_regressors_and_more_of_them_than_scans_stay_accurate():
    X, Y = simulate(12)
    result = leave_one_run_out([np.hstack([x] * 20) for x in X], Y, ALPHAS * 20)
    plain = leave_one_run_out(X, Y, ALPHAS)
    np.testing.assert_allclose(result.r, plain.r, atol=TOLERANCE)


def test_validation_runs_are_the_published_ones():
    assert validation_runs(4, "first") == [(1,), (0,), (0,), (0,)]
    assert validation_runs(3, "all") == [(1, 2), (0, 2), (0, 1)]


def test_alphas_at_the_edge_are_told():
    X, Y = simulate()
    assert leave_one_run_out(X, Y, [1e5, 1e6]).at_edge == 1
    assert leave_one_run_out(X, Y, [1e5]).at_edge == 0
    alphas = np.array([1.0, 2.0, 4.0])
    chosen = np.array([[1.0, 2.0], [4.0, np.nan]])
    result = RidgeResult(np.zeros((2, 2)), chosen, np.zeros((2, 2)), alphas)
    assert result.at_edge == pytest.approx(2 / 3)


def test_leaves_backend_and_threads_as_they_were():
    X, Y = simulate()
    set_backend("numpy")
    threads = torch.get_num_threads()
    leave_one_run_out(X, Y)
    assert get_backend().name == "numpy"
    with pytest.raises(ZeroDivisionError), himalaya_backend("cpu"):
        raise ZeroDivisionError
    assert get_backend().name == "numpy"
    assert torch.get_num_threads() == threads


def spoiled(values, run, place, value):
    copies = [x.copy() for x in values]
    copies[run][place] = value
    return copies


X, Y = simulate(4, 3)
BAD = {
    "at least 3": {"X": X[:2], "Y": Y[:2]},
    "regressors of 4 runs and responses of 3": {"Y": Y[:3]},
    r"Run 2 has regressors of shape \(40, 4\) and responses of shape \(39, 3\)": {
        "Y": [Y[0], Y[1][:-1], *Y[2:]]
    },
    "Run 3 has 3 regressors and 3 voxels; 4 and 3": {"X": [*X[:2], X[2][:, 1:], X[3]]},
    r"Run 1 has regressors of shape \(34,\)": {"X": [X[0][:, 0], *X[1:]]},
    "regressors of run 2 hold nan in column 3 at scan 5": {"X": spoiled(X, 1, (5, 3), np.nan)},
    "responses of run 4 hold inf in voxel 2 at scan 0": {"Y": spoiled(Y, 3, (0, 2), np.inf)},
    r"alphas is \[1.0, 0.0\]": {"alphas": [1, 0]},
    r"alphas is \[\]": {"alphas": []},
    r"alphas is \[nan\]": {"alphas": [np.nan]},
    "validation is 'last'": {"validation": "last"},
    "device is 'tpu'": {"device": "tpu"},
    r"scale has shape \(2,\); \(4,\)": {"scale": np.ones(2)},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_gives_one_sentence(message):
    with pytest.raises(InputError, match=message) as caught:
        leave_one_run_out(**({"X": X, "Y": Y} | BAD[message]))
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_bad_ratios_and_missing_gpu():
    with pytest.raises(InputError, match=r"ratios is \[-1.0\]"):
        banded_leave_one_run_out((X, X), Y, [-1])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="torch finds no CUDA GPU"):
            leave_one_run_out(X, Y, device="cuda")
