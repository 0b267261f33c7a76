"""Significant voxels, maps over participants and regions, on small cases and the published map."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from brainalign.concepts.permutations import PermutationTest
from brainalign.concepts.probability import (
    binomial_p,
    derive_regions,
    probability_map,
    regions_without_each,
    significant_voxels,
)
from brainalign.errors import InputError

MAP = "concepts/outputs/semantic_consistency/probabilistic_consistency_map.nii"


def with_p(exceeded, n_permutations=1000, n_pooled=10**6):
    """A test with given numbers of permutations that exceed each voxel, alone and pooled."""
    exceeded = np.asarray(exceeded, dtype=float)
    observed = np.where(np.isfinite(exceeded), 0.5 - exceeded / 4000, np.nan)
    values = -1 + 1e-4 * np.arange(20001)
    pooled = np.where(values <= 0, n_pooled, np.clip((0.5 - values) * 4, 0, 1) * n_pooled)
    whole = np.nan_to_num(exceeded).astype(int)
    return PermutationTest(observed, whole, n_permutations, pooled.astype(int))


def test_the_published_rule_counts_to_49_of_1000_in_both_halves():
    first = with_p([0, 49, 50, 10, np.nan, 0])
    second = with_p([0, 49, 10, 50, 0, np.nan])
    found = significant_voxels([first, second], "published")
    assert found.tolist() == [True, True, False, False, False, False]


def test_the_default_corrects_for_the_number_of_voxels():
    test = with_p([0, 3, 20, 40, 45, 500, np.nan, 900])
    valid = np.isfinite(test.observed)
    expected = np.zeros(8, dtype=bool)
    expected[valid] = multipletests(test.p_pooled[valid], 0.05, "fdr_bh")[0]
    assert significant_voxels([test]).tolist() == expected.tolist()
    assert 0 < expected.sum() < significant_voxels([test], "published").sum()


def test_rules_and_tests_that_do_not_fit():
    with pytest.raises(InputError, match="rule is 'best'"):
        significant_voxels([with_p([1])], "best")
    with pytest.raises(InputError, match="There are 0 tests"):
        significant_voxels([])
    with pytest.raises(InputError, match=r"of \[1, 2\] voxels"):
        significant_voxels([with_p([1]), with_p([1, 2])])


def test_probability_is_over_those_who_were_measured():
    significant = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], dtype=bool)
    covered = np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0]], dtype=bool)
    np.testing.assert_allclose(probability_map(significant), [2 / 3, 1 / 3, 0, 0])
    np.testing.assert_allclose(probability_map(significant, covered), [2 / 3, 1, 0, np.nan])
    with pytest.raises(InputError, match="significant has shape"):
        probability_map(significant, covered[:2])


def test_binomial_p_is_a_sum_of_probabilities():
    counts = np.arange(4)
    expected = [stats.binom.pmf(np.arange(k, 18), 17, 0.0025).sum() for k in counts]
    np.testing.assert_allclose(binomial_p(counts, 17, 0.0025), expected)


def grid_places(shape):
    return np.stack(np.unravel_index(np.arange(np.prod(shape)), shape), axis=1)


def test_regions_are_connected_and_ranked_by_size():
    ijk = grid_places((6, 3, 2)) - 4
    grid = np.zeros((6, 3, 2))
    grid[0, 0, 0] = grid[1, 1, 1] = 0.5  # share a corner
    grid[3:5, 0] = 0.7
    grid[5, 2, 1] = 0.4  # shares nothing
    grid[0, 2, 0] = np.nan
    order = np.random.default_rng(0).permutation(len(ijk))
    found = derive_regions(grid.ravel()[order], ijk[order], 0.4, 1)[np.argsort(order)]
    labels = found.reshape(grid.shape)
    assert (labels[3:5, 0] == 1).all() and labels[0, 0, 0] == labels[1, 1, 1] == 2
    assert labels[5, 2, 1] == 3 and (labels > 0).sum() == 7
    assert set(derive_regions(grid.ravel(), ijk, 0.4, 2)) == {0, 1, 2}
    assert not derive_regions(grid.ravel(), ijk, 0.9, 1).any()
    with pytest.raises(InputError, match="ijk has shape"):
        derive_regions(grid.ravel(), ijk[1:], 0.4, 1)


def test_a_participant_does_not_shape_the_own_regions():
    ijk = grid_places((4, 4, 4))
    significant = np.random.default_rng(0).random((5, 64)) < 0.4
    found = regions_without_each(significant, ijk, 0.5, 2)
    for participant in range(5):
        changed = significant.copy()
        changed[participant] = ~changed[participant]
        again = regions_without_each(changed, ijk, 0.5, 2)
        np.testing.assert_array_equal(again[participant], found[participant])
        assert (again != found).any()
    expected = derive_regions(probability_map(significant[1:]), ijk, 0.5, 2)
    np.testing.assert_array_equal(found[0], expected)
    with pytest.raises(InputError, match="There is 1 participant"):
        regions_without_each(significant[:1], ijk, 0.5, 2)


def test_clusters_of_the_published_map(real_data):
    import nibabel

    path = real_data / MAP
    if not path.is_file():
        pytest.skip("the probability map of the concepts study is not in BRAINALIGN_DATA")
    image = nibabel.load(path)
    counts = np.rint(17 * image.get_fdata()).astype(int)
    ijk = np.argwhere(counts > 0)
    k = counts[tuple(ijk.T)]
    assert len(k) == 41_154
    for threshold, n_clusters, sizes, centre in (
        (2, 615, [2724, 941, 412, 354, 282, 253], (-46, -52, 5)),
        (3, 186, [277, 218, 133, 95, 89], (-58, -37, 1)),
    ):
        labels = derive_regions(k / 17, ijk, threshold / 17 - 1e-9, 1)
        assert labels.max() == n_clusters
        assert np.bincount(labels)[1 : 1 + len(sizes)].tolist() == sizes
        place = (ijk[labels == 1] @ image.affine[:3, :3].T + image.affine[:3, 3]).mean(axis=0)
        np.testing.assert_allclose(place, centre, atol=0.51)
    # Voxels found at 5 % if halves are independent, and if the mean rate is all false.
    p = np.ones(242_545)
    p[: len(k)] = binomial_p(k, 17, 0.05**2)
    assert multipletests(p, 0.05, "fdr_bh")[0].sum() == (k >= 2).sum() == 7396
    p[: len(k)] = binomial_p(k, 17, k.sum() / 17 / len(p))
    assert multipletests(p, 0.05, "fdr_bh")[0].sum() == (k >= 4).sum() == 312
