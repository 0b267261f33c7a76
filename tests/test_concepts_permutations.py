"""Permuted concepts beside a naive loop; an interrupted test goes on; rules and their errors."""

from itertools import combinations

import bench_consistency
import measure
import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from brainalign.concepts import permutations as module
from brainalign.concepts.consistency import consistency
from brainalign.concepts.permutations import PermutationTest, permutation_test
from brainalign.errors import InputError


def rng(seed=0):
    return np.random.default_rng(seed)


def data(n_voxels=23, n_concepts=20, shared=0.4):
    common = rng(1).standard_normal((n_concepts, n_voxels))
    return shared * common + rng(2).standard_normal((3, n_concepts, n_voxels))


def naive(responses, n_permutations, generator):
    """Consistency in every permutation by np.corrcoef, (permutation, voxel)."""
    n_paradigms, n_concepts, n_voxels = responses.shape
    same = np.tile(np.arange(n_concepts), (n_permutations, n_paradigms - 1, 1))
    orders = generator.permuted(same, axis=2)
    null = np.empty((n_permutations, n_voxels))
    for number, order in enumerate(orders):
        moved = [responses[0], *(responses[k + 1][order[k]] for k in range(n_paradigms - 1))]
        for voxel in range(n_voxels):
            pairs = combinations([x[:, voxel] for x in moved], 2)
            null[number, voxel] = np.mean([np.corrcoef(x, y)[0, 1] for x, y in pairs])
    return null


@pytest.mark.parametrize("n_paradigms", [2, 3])
def test_the_same_as_a_naive_loop(n_paradigms, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(module, "_BLOCK", 4)
    responses = data()[:n_paradigms]
    test = permutation_test(responses, 50, rng())
    null = naive(responses, 50, rng())
    observed = consistency(responses)
    np.testing.assert_allclose(test.observed, observed, atol=1e-6)
    np.testing.assert_array_equal(test.exceeded, (null >= observed - 1e-6).sum(axis=0))
    np.testing.assert_allclose(test.p, (1 + test.exceeded) / 51)
    pooled = [(1 + (null >= value).sum()) / (1 + null.size) for value in observed]
    # Values are counted in steps, on the safe side.
    assert (test.p_pooled >= np.array(pooled) - 1e-12).all()
    np.testing.assert_allclose(test.p_pooled, pooled, atol=4 / null.size)


def test_chance_is_found_at_its_rate():
    # Rates of Ryskina et al.'s rule: p of at most 50 / 1001 in one half.
    test = permutation_test(rng(1).standard_normal((3, 180, 3000)), 199, rng())
    error = 3 * np.sqrt(0.05 * 0.95 / 3000)
    for p in (test.p, test.p_pooled):
        assert (p <= 0.05).mean() == pytest.approx(0.05, abs=error)
    assert stats.kstest(test.p_pooled, "uniform").pvalue > 0.01


def test_missing_voxels_stay_missing():
    responses = data(6)
    responses[0, 3, 2] = np.nan
    test = permutation_test(responses, 19, rng())
    for values in (test.observed, test.p, test.p_pooled):
        assert np.flatnonzero(np.isnan(values)).tolist() == [2]
    without = permutation_test(np.delete(responses, 2, axis=2), 19, rng())
    np.testing.assert_array_equal(np.delete(test.p_pooled, 2), without.p_pooled)


class Interrupted(Exception):
    pass


def test_an_interrupted_test_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 5)
    responses, path = data(), tmp_path / "test.npz"
    whole = permutation_test(responses, 30, rng())
    add, done = module._add, []

    def until_third(state, start, z, orders):
        if len(done) == 2:
            raise Interrupted
        done.append(start)
        add(state, start, z, orders)

    monkeypatch.setattr(module, "_add", until_third)
    with pytest.raises(Interrupted):
        permutation_test(responses, 30, rng(), path)
    rest = []
    monkeypatch.setattr(module, "_add", lambda *given: (rest.append(given[1]), add(*given)))
    resumed = permutation_test(responses, 30, rng(), path)
    assert (done, rest) == ([0, 5], [10, 15, 20])
    for name in ("observed", "exceeded", "n_permutations", "pooled"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    again = permutation_test(responses, 30, rng(), path)
    assert len(rest) == 3
    np.testing.assert_array_equal(again.p, whole.p)
    assert [entry.name for entry in tmp_path.iterdir()] == ["test.npz"]


def test_a_file_of_another_test_is_refused(tmp_path):
    responses, path = data(), tmp_path / "test.npz"
    permutation_test(responses, 5, rng(), path)
    for other in ((responses + 1e-9, 5, rng()), (responses, 5, rng(1)), (responses, 6, rng())):
        with pytest.raises(InputError, match="of other responses or permutations"):
            permutation_test(*other, path)
    path.write_text("nothing of the kind")
    with pytest.raises(InputError, match="cannot|not a permutation test"):
        permutation_test(responses, 5, rng(), path)


def test_a_memory_map_is_read(tmp_path):
    responses = data().astype(np.float32)
    np.save(tmp_path / "r.npy", responses)
    mapped = np.load(tmp_path / "r.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        permutation_test(mapped, 9, rng(), tmp_path / "t.npz").p,
        permutation_test(responses, 9, rng()).p,
    )


def test_no_permutation_is_refused():
    with pytest.raises(InputError, match="n_permutations is 0"):
        permutation_test(data(), 0, rng())
    with pytest.raises(InputError, match="at least 2 paradigms"):
        permutation_test(data()[:1], 5, rng())


def test_fdr_can_reach_what_single_voxels_cannot():
    # 5 of 2000 voxels respond; 1 / 100 is the smallest p of a voxel on its own.
    responses = rng().standard_normal((3, 60, 2000))
    responses[..., :5] += 2 * rng(1).standard_normal((60, 5))
    test = permutation_test(responses, 99, rng())
    assert not multipletests(test.p, method="fdr_bh")[0].any()
    assert np.flatnonzero(multipletests(test.p_pooled, method="fdr_bh")[0])[:5].tolist() == [
        0, 1, 2, 3, 4,
    ]  # fmt: skip


def test_benchmark_rows(monkeypatch):
    timing = measure.Timing(2.0, 1.5, 0.5, 1e11, 3 * 10**8, 5 * 10**8)
    monkeypatch.setattr(
        bench_consistency, "in_fresh_process", lambda make, *given: (timing, make(*given)())
    )
    ours, maps, voxels = bench_consistency.rows(quick=True)
    assert ours["max_difference"] == 0
    assert maps["seconds"] == 2 and voxels["seconds"] == pytest.approx(2 * 2000 / 3)
    # The other peer computes the same.
    responses = data(4, bench_consistency.N_CONCEPTS)
    expected = bench_consistency.voxel_by_voxel(responses, 20, rng())
    np.testing.assert_array_equal(bench_consistency.map_by_map(responses, 20, rng()), expected)


def test_p_of_known_values():
    pooled = np.zeros(20001, dtype=int)
    pooled[: 10000 + 1000] = 99
    test = PermutationTest(np.array([0.05, 0.2]), np.array([3, 0]), 2, pooled)
    np.testing.assert_allclose(test.p, [4 / 3, 1 / 3])
    np.testing.assert_allclose(test.p_pooled, [1, 0.01])


def test_permuted_concepts_may_be_perfectly_consistent():
    # Of 24 orders of four concepts one in both other paradigms leaves all as it was.
    responses = np.tile(np.array([0.0, 1.0, 3.0, 7.0])[:, None], (3, 1, 5))
    test = permutation_test(responses, 2000, rng())
    np.testing.assert_allclose(test.observed, 1, atol=1e-6)
    assert (test.exceeded > 0).all()
    np.testing.assert_allclose(test.p_pooled, (1 + test.exceeded.sum()) / (1 + 5 * 2000))
