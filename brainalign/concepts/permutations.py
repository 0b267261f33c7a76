"""Is a voxel more consistent than chance? Concepts change places, independently in each paradigm.

All voxels are permuted alike. Since a sum of paradigms stays the same when all of them are permuted
alike, the first one keeps its order.
"""

import hashlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from brainalign.concepts.consistency import CHUNK, check_responses, from_squares, standardised
from brainalign.errors import InputError
from brainalign.files import atomic_path
from brainalign.parallel import map_threads, progress

# Voxels whose paradigms stay in a core's own cache.
_BLOCK = 256
# Single precision: an order that leaves all as it was may differ from it by that much.
_ROUNDING = 1e-6
# Steps of the pooled null; far below its standard deviation of some 0.04.
_STEP = 1e-4


@dataclass(frozen=True)
class PermutationTest:
    """Consistency of every voxel beside what permuted concepts give.

    Attributes
    ----------
    observed : numpy.ndarray
        Consistency, shape (voxel,); NaN for voxels without one.
    exceeded : numpy.ndarray of int
        Permutations in which the voxel was at least as consistent, shape (voxel,).
    n_permutations : int
        Number of permutations.
    pooled : numpy.ndarray of int
        How often permuted voxels were at least as consistent as −1, −1 + 0.0001, ..., 1 in all
        voxels and permutations together, shape (value,).
    """

    observed: np.ndarray
    exceeded: np.ndarray
    n_permutations: int
    pooled: np.ndarray

    @property
    def p(self) -> np.ndarray:
        """(1 + times exceeded) / (1 + permutations) of each voxel on its own, NaN without value."""
        p = (1 + self.exceeded) / (1 + self.n_permutations)
        return np.where(np.isfinite(self.observed), p, np.nan)

    @property
    def p_pooled(self) -> np.ndarray:
        """p against the permutations of all voxels together, which can be as small as FDR needs.

        Under chance a consistency has the same mean and variance in every voxel.
        """
        place = np.floor((np.nan_to_num(self.observed) + 1) / _STEP).astype(int)
        p = (1 + self.pooled[place]) / (1 + self.pooled[0])
        return np.where(np.isfinite(self.observed), p, np.nan)


def permutation_test(
    responses: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
    resume: Path | str | None = None,
) -> PermutationTest:
    """Consistency against permutations of the concepts (Ryskina et al. 2025, section 2.1).

    Parameters
    ----------
    responses
        Shape (paradigm, concept, voxel): one participant, one half or all. May be a memory map;
        some thousand voxels are read at once.
    n_permutations
        Number of permutations.
    rng
        Seeded generator.
    resume
        File that keeps what has been done, so that an interrupted call with the same arguments
        goes on from there.

    Returns
    -------
    PermutationTest

    Raises
    ------
    InputError
        As `consistency.consistency`; for fewer than one permutation, and for a file of a test of
        other responses or permutations.
    """
    check_responses(responses)
    if n_permutations < 1:
        raise InputError(f"n_permutations is {n_permutations}; at least 1 is expected.")
    n_paradigms, n_concepts, n_voxels = responses.shape
    same = np.tile(np.arange(n_concepts), (n_permutations, n_paradigms - 1, 1))
    orders = rng.permuted(same, axis=2)
    state = _empty(n_voxels)
    key = ""
    if resume is not None:
        key = _key(responses, orders)
        state = _read(Path(resume), key) or state
    starts = range(int(state["done"]), n_voxels, CHUNK)
    for start in progress(starts, desc="permutations"):
        stop = min(start + CHUNK, n_voxels)
        _add(state, start, standardised(responses[..., start:stop]), orders)
        state["done"] = np.array(stop)
        if resume is not None:
            _write(Path(resume), key, state)
    pooled = np.cumsum(state["histogram"][::-1])[::-1]
    return PermutationTest(state["observed"], state["exceeded"], n_permutations, pooled)


def _empty(n_voxels: int) -> dict[str, np.ndarray]:
    return {
        "done": np.array(0),
        "observed": np.full(n_voxels, np.nan),
        "exceeded": np.zeros(n_voxels, dtype=np.int64),
        "histogram": np.zeros(int(2 / _STEP) + 1, dtype=np.int64),
    }


def _add(state: dict[str, np.ndarray], start: int, z: np.ndarray, orders: np.ndarray) -> None:
    """Add a chunk of standardised voxels, the first of which is voxel `start`, to the state."""
    valid = np.flatnonzero(np.isfinite(z[0, 0]))
    blocks = [valid[k : k + _BLOCK] for k in range(0, len(valid), _BLOCK)]
    nulls = map_threads(lambda voxels: _null(z[..., voxels], orders), blocks)
    for voxels, null in zip(blocks, nulls, strict=True):
        observed, chance = null[0], null[1:]
        state["observed"][start + voxels] = observed
        state["exceeded"][start + voxels] = (chance >= observed - _ROUNDING).sum(axis=0)
        # Values are counted at the step above them, so that no p comes out too small.
        steps = np.ceil((chance + _ROUNDING + 1) / _STEP).astype(np.int64)
        steps = np.minimum(steps, len(state["histogram"]) - 1)
        state["histogram"] += np.bincount(steps.ravel(), minlength=len(state["histogram"]))


def _null(z: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Consistency in the order as it is and in every other one, (1 + permutation, voxel)."""
    first, *others = np.ascontiguousarray(z)
    own = np.broadcast_to(np.arange(z.shape[1]), (1, *orders.shape[1:]))
    total, moved = np.empty_like(first), np.empty_like(first)
    squares = np.empty((1 + len(orders), z.shape[2]))
    for number, order in enumerate(chain(own, orders)):
        np.copyto(total, first)
        for values, places in zip(others, order, strict=True):
            # Another mode would go through a buffer.
            np.take(values, places, axis=0, out=moved, mode="clip")
            total += moved
        squares[number] = np.einsum("cv,cv->v", total, total)
    return from_squares(squares, *z.shape[:2])


def _key(responses: np.ndarray, orders: np.ndarray) -> str:
    """Digest of the responses and the permutations."""
    found = hashlib.sha256(f"{responses.dtype} {responses.shape} {orders.shape}".encode())
    for values in (*responses, orders):
        found.update(np.ascontiguousarray(values).view(np.uint8))
    return found.hexdigest()


def _write(path: Path, key: str, state: dict[str, np.ndarray]) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, key=np.array(key), **state)


def _read(path: Path, key: str) -> dict[str, np.ndarray] | None:
    """State from a file; None where there is none yet."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            state = {name: stored[name] for name in stored.files}
    except (BadZipFile, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a permutation test that can be resumed.") from error
    if str(state.pop("key", "")) != key:
        raise InputError(
            f"{path} holds a permutation test of other responses or permutations; another file, or "
            "none, is expected."
        )
    return state
