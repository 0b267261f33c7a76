"""Permutations of concepts: time, memory and agreement against two ways of doing it one by one.

    python benchmarks/bench_consistency.py --quick

"Voxel by voxel" correlates the paradigms again for every voxel and permutation, as the paper's code
does; "map by map" standardises once and adds up whole permuted maps. What counts is the ratio of the
times.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
from measure import in_fresh_process, print_rows, row

from brainalign.concepts.permutations import permutation_test
from brainalign.study import standardise

N_PARADIGMS, N_CONCEPTS = 3, 180
# As an order that leaves all as it was, in single precision.
ROUNDING = 1e-6


def draw_orders(n_permutations: int, n_concepts: int, rng: np.random.Generator) -> np.ndarray:
    """The same orders as those of `permutation_test`, (permutation, paradigm − 1, concept)."""
    same = np.tile(np.arange(n_concepts), (n_permutations, N_PARADIGMS - 1, 1))
    return rng.permuted(same, axis=2)


def mean_correlation(paradigms: list[np.ndarray]) -> float:
    """Consistency of one voxel from the correlations themselves."""
    return float(np.mean([np.corrcoef(x, y)[0, 1] for x, y in combinations(paradigms, 2)]))


def voxel_by_voxel(
    responses: np.ndarray, n_permutations: int, rng: np.random.Generator
) -> np.ndarray:
    """p of every voxel."""
    orders = draw_orders(n_permutations, responses.shape[1], rng)
    found = []
    for voxel in responses.transpose(2, 0, 1).astype(float):
        observed, (first, *others) = mean_correlation(list(voxel)), voxel
        null = [
            mean_correlation([first, *(x[places] for x, places in zip(others, order, strict=True))])
            for order in orders
        ]
        found.append((1 + (np.array(null) >= observed - ROUNDING).sum()) / (1 + n_permutations))
    return np.array(found)


def map_by_map(responses: np.ndarray, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """p of every voxel."""
    first, *others = (standardise(values) for values in responses)
    n_concepts = len(first)

    def consistency(maps: list[np.ndarray]) -> np.ndarray:
        total = first + sum(maps)
        squares = np.einsum("cv,cv->v", total, total)
        return (squares / n_concepts - N_PARADIGMS) / (N_PARADIGMS * (N_PARADIGMS - 1))

    observed, exceeded = consistency(others), 0
    for order in draw_orders(n_permutations, n_concepts, rng):
        moved = [z[places] for z, places in zip(others, order, strict=True)]
        exceeded = exceeded + (consistency(moved) >= observed - ROUNDING)
    return (1 + exceeded) / (1 + n_permutations)


def _ours(responses: np.ndarray, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    return permutation_test(responses, n_permutations, rng).p


def _prepare(
    function: Callable, n_voxels: int, kept: int, n_permutations: int
) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(0)
    responses = rng.standard_normal((N_PARADIGMS, N_CONCEPTS, n_voxels), dtype=np.float32)
    function(responses[..., :2], 2, rng)
    return partial(function, responses[..., :kept], n_permutations, np.random.default_rng(1))


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of one comparison, of few voxels and permutations where it has to be quick."""
    n_voxels, n_permutations, n_some, n_maps = (
        (2000, 100, 3, 100) if quick else (180_000, 1000, 5, 20)
    )
    ours, p = in_fresh_process(_prepare, _ours, n_voxels, n_voxels, n_permutations)
    one, p_some = in_fresh_process(_prepare, voxel_by_voxel, n_voxels, n_some, n_permutations)
    maps, _ = in_fresh_process(_prepare, map_by_map, n_voxels, n_voxels, n_maps)
    both = ("permuted concepts", f"{n_voxels:,} voxels, {n_permutations:,} permutations")
    difference = float(np.abs(p[:n_some] - p_some).max())
    seconds = maps.seconds * n_permutations / n_maps, one.seconds * n_voxels / n_some
    how = f"{n_maps} of {n_permutations:,} permutations", f"{n_some} of {n_voxels:,} voxels"
    return [
        row(*both, "brainalign", ours, max_difference=difference),
        row(*both, "map by map", maps, seconds[0], how[0]),
        row(*both, "voxel by voxel", one, seconds[1], how[1]),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few voxels and permutations")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
