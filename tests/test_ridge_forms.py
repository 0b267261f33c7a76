"""The forms of the nested ridge against each other, and what they rest on."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_ridge import CUDA, simulate

from brainalign.errors import InputError
from brainalign.ridge import (
    block_identities,
    eigenbasis,
    leave_one_run_out,
    prepare_responses,
    search,
    validation_runs,
)
from brainalign.ridge.operations import (
    Operations,
    of_block_identities,
    of_eigenbasis,
    of_separate,
    of_shared,
)
from brainalign.ridge.search import Task
from brainalign.ridge.shrinkage import shrink
from brainalign.ridge.work import Regressors, Request, correlation, load_responses, worker
from brainalign.study import standardise

LENGTHS = (34, 40, 37, 31)
ALPHAS = np.logspace(0, 4, 9)


FORMS = {
    "eigenbasis": (eigenbasis, {}),
    "one product for all pairs": (block_identities, {"of_shared": 0}),
    "a product for every pair": (block_identities, {"of_separate": 0}),
}


@pytest.fixture(params=FORMS)
def form(request, monkeypatch):
    """Every request goes to one form, whatever it costs."""
    chosen, free = FORMS[request.param]
    monkeypatch.setattr(Task, "_ways", lambda self, requests: {chosen: Operations(1, 0)})
    for name in free:
        monkeypatch.setattr(block_identities, name, lambda *_: Operations(0, 0))
    return request.param


def by_hand(X, Y, alpha, left_out, scored):
    """Correlations of explicit float64 predictions."""
    kept = [run for run in range(len(X)) if run not in left_out]
    x, y = (np.vstack([values[run] for run in kept]).astype(float) for values in (X, Y))
    weights = np.linalg.solve(x.T @ x + alpha * np.eye(x.shape[1]), x.T @ y)
    predicted = standardise(X[scored] @ weights)
    return (predicted * standardise(Y[scored])).mean(0)


@pytest.mark.parametrize("n_regressors", [5, 33, 60, 80, 200])
@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_every_form_equals_explicit_predictions(form, n_regressors, device):
    X, Y = simulate(n_regressors)
    result = leave_one_run_out(X, Y, ALPHAS, per_voxel_alpha=False, device=device)
    for fold in range(4):
        alpha = result.alpha[fold]
        np.testing.assert_allclose(result.r[fold], by_hand(X, Y, alpha, [fold], fold), atol=2e-6)
        inner = [by_hand(X, Y, alpha, [fold, run], run) for run in range(4) if run != fold]
        np.testing.assert_allclose(result.r_inner[fold], np.mean(inner, axis=0), atol=2e-6)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n_regressors=st.integers(1, 150),
    alpha=st.floats(0, 6),
    lengths=st.lists(st.integers(4, 30), min_size=3, max_size=5),
)
def test_forms_agree(seed, n_regressors, alpha, lengths):
    """Whatever the shapes and the penalty, a pair's scores are the same in either form."""
    X, Y = simulate(n_regressors, 7, lengths, seed=seed)
    found = []
    for form in (eigenbasis, block_identities):
        scores = {}
        with worker() as work:
            regressors = Regressors(work.tensor(np.vstack(X), "float64"), tuple(lengths))
            requests = [
                Request(pair, pair[::-1], (0,)) for pair in combinations(range(len(X)), 2)
            ] + [Request((run,), (run,), (0,)) for run in range(len(X))]

            def use(request, places, block, r, scores=scores):
                scores[request, block.start] = r.numpy().copy()

            responses = load_responses(work, Y)
            form.score(work, regressors, responses, np.array([10.0**alpha]), requests, use)
        found.append(scores)
    assert found[0].keys() == found[1].keys()
    for key, r in found[0].items():
        np.testing.assert_allclose(found[1][key], r, atol=2e-4)


@settings(max_examples=60, deadline=None)
@given(
    logs=st.lists(st.floats(-6, 8), min_size=1, max_size=300),
    n_alphas=st.integers(1, 20),
    span=st.floats(0, 8),
)
def test_shrinkage_makes_the_factors_of_all_penalties(logs, n_alphas, span):
    values, alphas = np.sort(10.0 ** np.array(logs)), np.logspace(0, span, n_alphas)
    found = shrink(values, alphas)
    n_functions = [len(function) for function in found.functions]
    ends = np.cumsum(n_functions)
    made = np.hstack(
        [
            found.combinations[:, end - n : end] @ function
            for end, n, function in zip(ends, n_functions, found.functions, strict=True)
        ]
    )
    expected = values / (values + alphas[:, None])
    expected /= expected.max(1, keepdims=True)
    np.testing.assert_allclose(made, expected, atol=3e-7)
    assert [group.stop - group.start for group in found.groups] == [
        function.shape[1] for function in found.functions
    ]
    assert found.cost <= len(alphas) * len(values)


def test_shrinkage_saves_operations_for_slowly_decaying_and_for_steep_spectra():
    alphas = np.logspace(2, 7, 16)
    for steepness in (0.5, 1.0, 2.0):
        values = np.sort(1e6 * np.arange(1, 769.0) ** -steepness)
        assert shrink(values, alphas).cost < 0.7 * 16 * 768


@pytest.mark.parametrize("validation", ["all", "first"])
@pytest.mark.parametrize("n_regressors", [6, 60, 200])
def test_a_sample_of_voxels_finds_the_same_alphas(n_regressors, validation, monkeypatch):
    monkeypatch.setattr(search, "SAMPLE", 150)
    X, Y = simulate(n_regressors, 700)
    every = leave_one_run_out(X, Y, ALPHAS, validation=validation, alpha_search="all")
    sample = leave_one_run_out(X, Y, ALPHAS, validation=validation)
    np.testing.assert_array_equal(sample.alpha, every.alpha)
    np.testing.assert_array_equal(sample.alphas, every.alphas)
    np.testing.assert_allclose(sample.r, every.r, atol=1e-5)
    np.testing.assert_allclose(sample.r_inner, every.r_inner, atol=1e-5)


def task(X, Y, work, alphas=ALPHAS):
    regressors = Regressors(work.tensor(np.vstack(X), "float64"), tuple(map(len, X)))
    everything = np.ones((len(X), len(alphas)), dtype=bool)
    inner = validation_runs(len(X))
    return Task(work, regressors, load_responses(work, Y), alphas, inner, everything)


def test_a_sample_rules_out_most_alphas_but_never_the_best(monkeypatch):
    monkeypatch.setattr(search, "SAMPLE", 150)
    X, Y = simulate(60, 700)
    with worker() as work:
        whole = task(X, Y, work)
        kept = search.candidates(whole)
        sums, counts, _ = search.score_requests(whole, whole.inner_requests)
    best = (sums / counts[:, None]).double().mean(-1).argmax(1).numpy()
    assert kept[np.arange(4), best].all()
    assert kept.mean() < 0.9


def test_few_voxels_are_not_sampled():
    X, Y = simulate(6, 50)
    with worker() as work:
        assert search.candidates(task(X, Y, work)).all()


def test_scores_that_no_sample_can_tell_apart_stay_candidates():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(3, 400)) * 0.1 + np.array([[0.2], [0.2], [-0.5]])
    assert search._not_ruled_out(scores, 5000).tolist() == [True, True, False]
    scores[:, 7] = np.nan
    assert search._not_ruled_out(scores, 5000).tolist() == [True, True, False]
    assert search._not_ruled_out(np.full((3, 4), np.nan), 5000).all()


def test_requests_serve_two_folds_at_once():
    requests = search.inner_requests(validation_runs(4), np.ones((4, 2), dtype=bool))
    assert [request.left_out for request in requests] == list(combinations(range(4), 2))
    assert all(set(request.scored) == set(request.left_out) for request in requests)


def test_the_cheaper_form_is_chosen_by_features_against_scans():
    requests = search.inner_requests(validation_runs(9), np.ones((9, 16), dtype=bool))

    def identities_are_cheaper(n_regressors):
        about = ((290,) * 9, n_regressors, 25_870, requests)
        return of_block_identities(*about).weight < of_eigenbasis(*about).weight

    assert [identities_are_cheaper(p) for p in (16, 128, 768)] == [False] * 3
    assert [identities_are_cheaper(p) for p in (2048, 4096, 25_870)] == [True] * 3


@pytest.mark.parametrize("count", [of_shared, of_separate])
def test_counted_products_are_those_of_torch(count):
    """The formulas against torch's own counter, for one penalty in one thread."""
    from torch.utils.flop_counter import FlopCounterMode

    X, Y = simulate(200, 64)
    lengths, pair = tuple(map(len, X)), Request((0, 2), (0, 2), (0,))
    with worker() as work:
        regressors = Regressors(work.tensor(np.vstack(X), "float64"), lengths)
        measured = load_responses(work, Y).block(slice(None))
        hat = block_identities._leave_one_out(regressors.kernel, lengths, 10.0)
        second = {(0, 2): block_identities._second(hat, 0, 2)}
        if count is of_separate:
            operators = block_identities._separate(hat, second, lengths, [pair])
        else:
            whole = torch.cat([torch.cat(row, 1).float() for row in hat])
            operators = block_identities.Shared([pair], whole, {(0, 2): second[0, 2].float()})
        with FlopCounterMode(display=False) as counter:
            list(operators.correlations(measured))
    assert counter.get_total_flops() == count(lengths, 64, [pair]).products


def test_stretches_of_training_runs():
    lengths = (3, 4, 5, 6)
    assert block_identities.stretches(lengths, [1]) == [slice(0, 3), slice(7, 18)]
    assert block_identities.stretches(lengths, [0, 3]) == [slice(3, 12)]


@pytest.mark.parametrize("per_voxel", [False, True])
def test_prepared_responses_serve_many_regressions(per_voxel):
    _, Y = simulate()
    prepared = prepare_responses(Y)
    for n_regressors in (5, 60):
        X, _ = simulate(n_regressors)
        once = leave_one_run_out(X, prepared, ALPHAS, per_voxel)
        again = leave_one_run_out(X, Y, ALPHAS, per_voxel)
        np.testing.assert_array_equal(once.r, again.r)
        np.testing.assert_array_equal(once.alpha, again.alpha)
    with pytest.raises(InputError, match="regressors of 3 runs and responses of 4"):
        leave_one_run_out(X[:3], prepared)
    with pytest.raises(InputError, match="responses of run 2 hold nan in voxel 0 at scan 3"):
        Y[1][3, 0] = np.nan
        prepare_responses(Y)


def test_correlation_is_zero_for_constant_predictions():
    measured = torch.tensor(standardise(np.random.default_rng(0).normal(size=(30, 4))))
    assert (correlation(torch.zeros(2, 30, 4), measured) == 0).all()
    np.testing.assert_allclose(correlation(3 * measured, measured), 1, atol=1e-6)
