"""Block permutation: time and agreement against permuting the responses one by one.

    python benchmarks/bench_significance.py --quick

The peer does what scripts of the field do: it permutes the blocks of the responses and correlates
them with the predictions again, for every permutation. What counts is the ratio of the times.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from measure import in_fresh_process, print_rows, row

from brainalign.significance import BLOCK, block_permutation
from brainalign.study import standardise

N_FOLDS, N_SCANS = 9, 280


def one_by_one(
    predicted: list[np.ndarray],
    measured: list[np.ndarray],
    n_permutations: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Scores of fixed predictions with permuted blocks, (permutation, voxel)."""
    null = np.zeros((n_permutations, measured[0].shape[1]))
    for x, y in zip(predicted, measured, strict=True):
        n_blocks = len(y) // BLOCK
        orders = rng.permuted(np.tile(np.arange(n_blocks), (n_permutations, 1)), axis=1)
        x, y = (standardise(values[: n_blocks * BLOCK]) for values in (x, y))
        blocks = y.reshape(n_blocks, BLOCK, -1)
        for number, order in enumerate(orders):
            shuffled = blocks[order].reshape(x.shape)
            null[number] += np.einsum("sv,sv->v", x, shuffled) / len(x)
    return null / len(measured)


def _ours(predicted: list, measured: list, n_permutations: int, rng: np.random.Generator):
    return block_permutation(predicted, measured, n_permutations, rng)[1]


def _prepare(function: Callable, n_voxels: int, n_permutations: int) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (N_SCANS, n_voxels)
    predicted = [rng.standard_normal(shape, dtype=np.float32) for _ in range(N_FOLDS)]
    measured = [values + rng.standard_normal(shape, dtype=np.float32) for values in predicted]
    function(*([run[:, :2] for run in runs] for runs in (predicted, measured)), 2, rng)
    return partial(function, predicted, measured, n_permutations, np.random.default_rng(1))


def rows(quick: bool = False) -> list[dict[str, Any]]:
    """Rows of one comparison, of few permutations where it has to be quick."""
    n_voxels, n_permutations = (500, 200) if quick else (3000, 1000)
    ours, null = in_fresh_process(_prepare, _ours, n_voxels, n_permutations)
    peer, theirs = in_fresh_process(_prepare, one_by_one, n_voxels, n_permutations)
    both = ("block permutation", f"{n_voxels:,} voxels, {n_permutations:,} permutations")
    difference = float(np.abs(null - theirs).max())
    return [
        row(*both, "brainalign", ours, max_difference=difference),
        row(*both, "one by one", peer),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few voxels and permutations")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
