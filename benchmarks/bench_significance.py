"""Block permutation: time and agreement against permuting the responses one by one.

    python benchmarks/bench_significance.py                    half a minute on two cores
    python benchmarks/bench_significance.py --voxels 26000

The peer does what scripts of the field do: it permutes the blocks of the responses and correlates
them with the predictions again, for every permutation. What counts is the ratio of the times.
"""

import argparse
import time

import numpy as np

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


def timed(function, *arguments):
    """Result and seconds."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


def main() -> None:
    """Print times, their ratio and the largest difference of a score."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxels", type=int, default=3000)
    parser.add_argument("--permutations", type=int, default=1000)
    chosen = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (N_SCANS, chosen.voxels)
    predicted = [rng.standard_normal(shape, dtype=np.float32) for _ in range(N_FOLDS)]
    measured = [values + rng.standard_normal(shape, dtype=np.float32) for values in predicted]
    arguments = (predicted, measured, chosen.permutations)
    (_, ours), seconds = timed(block_permutation, *arguments, np.random.default_rng(1))
    theirs, peer = timed(one_by_one, *arguments, np.random.default_rng(1))
    print(
        f"{chosen.voxels} voxels, {N_FOLDS} x {N_SCANS} scans, {chosen.permutations} permutations"
    )
    print(f"brainalign {seconds:.1f} s, one by one {peer:.1f} s, ratio {seconds / peer:.3f}")
    print(f"largest difference of a score {np.abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main()
