"""Counted arithmetic operations, by which the form of a regression is chosen.

A multiplication and an addition are two operations. Those of float64 count as they are; they run
at half the speed of float32 ones, and decompositions at less.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from brainalign.ridge.work import Request

# Weight of a float64 operation in a decomposition against a float32 one in a product.
DECOMPOSITION = 4
# Estimates of what `shrinkage` finds: functions per penalty and component, and per penalty.
FUNCTIONS, COMBINATIONS = 0.35, 3.5


@dataclass(frozen=True)
class Operations:
    """Operations of one way to serve requests.

    Attributes
    ----------
    products : float
        In float32 products, which grow with the voxels.
    decompositions : float
        In float64, for the matrices that all voxels share.
    """

    products: float
    decompositions: float

    @property
    def weight(self) -> float:
        """What the choice goes by."""
        return self.products + DECOMPOSITION * self.decompositions

    @property
    def total(self) -> float:
        """All of them."""
        return self.products + self.decompositions

    def plus(self, other: "Operations") -> "Operations":
        """Those of two ways, one after the other."""
        return Operations(
            self.products + other.products, self.decompositions + other.decompositions
        )


def of_eigenbasis(
    lengths: Sequence[int],
    n_regressors: int,
    n_voxels: int,
    requests: Sequence[Request],
    shared: tuple[float, float] | None = None,
) -> Operations:
    """Operations of `eigenbasis.score`.

    Parameters
    ----------
    lengths
        Scans of each run.
    n_regressors, n_voxels
        Numbers of them.
    requests
        What is wanted.
    shared
        Functions per component, and in all, for all penalties of a request (`shrinkage`); by
        default estimates.

    Returns
    -------
    Operations
    """
    n_scans, p = sum(lengths), n_regressors
    few = p <= min(lengths)
    products = 2.0 * n_scans * p * n_voxels
    decompositions = 2.0 * n_scans * p**2
    for request in requests:
        left = sum(lengths[run] for run in request.left_out)
        scored = sum(lengths[run] for run in request.scored)
        n, n_alphas = min(p, n_scans - left), len(request.places)
        estimate = _estimate(n_alphas)
        functions, combinations = shared if shared and estimate[1] else estimate
        rows = min(n, scored) if few else scored
        per_voxel = rows * (functions * n + n_alphas * combinations)
        if few:
            n_runs = len(request.scored)
            per_voxel += p * n * (1 + n_runs) + n_runs * n_alphas * (n + rows)
        else:
            per_voxel += n * (p + left) if p == n else n * (n_scans - left)
        products += 2 * per_voxel * n_voxels
        decompositions += 9 * n**3 + 2 * left * p * n
    return Operations(products, decompositions)


def _estimate(n_alphas: int) -> tuple[float, float]:
    if n_alphas < 4:
        return n_alphas, 0
    return FUNCTIONS * n_alphas, COMBINATIONS * n_alphas


def of_block_identities(
    lengths: Sequence[int], n_regressors: int, n_voxels: int, requests: Sequence[Request]
) -> Operations:
    """Operations of `block_identities.score`; parameters as in `of_eigenbasis`."""
    places = {place for request in requests for place in request.places}
    n_scans, longest = sum(lengths), max(lengths)
    shared, separate = (way(lengths, n_voxels, requests) for way in (of_shared, of_separate))
    # The kernel, and for every penalty a Cholesky factor, an inverse and a solution for every run.
    kernel = 2.0 * n_scans**2 * n_regressors
    inverses = kernel + len(places) * n_scans**2 * (n_scans + 2 * longest)
    way = min(shared, separate, key=lambda operations: operations.weight)
    return way.plus(Operations(0, inverses))


def of_shared(lengths: Sequence[int], n_voxels: int, requests: Sequence[Request]) -> Operations:
    """Operations of `block_identities.Shared`, without the inverses."""
    places = {place for request in requests for place in request.places}
    products, decompositions = 2.0 * len(places) * sum(lengths) ** 2 * n_voxels, 0.0
    for request in requests:
        if len(request.left_out) == 2:
            first, second = (lengths[run] for run in request.left_out)
            each = 2.0 * first * second * n_voxels * len(request.places)
            products += (1 + len(request.scored)) * each
            decompositions += _second(lengths, request) * len(request.places)
    return Operations(products, decompositions)


def of_separate(lengths: Sequence[int], n_voxels: int, requests: Sequence[Request]) -> Operations:
    """Operations of `block_identities.Separate`, without the inverses."""
    products = decompositions = 0.0
    for request in requests:
        scored = sum(lengths[run] for run in request.scored)
        training = sum(lengths) - sum(lengths[run] for run in request.left_out)
        products += 2.0 * scored * training * n_voxels * len(request.places)
        if len(request.left_out) == 2:
            first, second = (lengths[run] for run in request.left_out)
            matrices = 2.0 * (1 + len(request.scored)) * first * second * training
            decompositions += (matrices + _second(lengths, request)) * len(request.places)
    return Operations(products, decompositions)


def _second(lengths: Sequence[int], request: Request) -> float:
    """Operations of the matrix R of a pair of runs, for one penalty."""
    first, second = (lengths[run] for run in request.left_out)
    longest = max(first, second)
    return 4.0 * longest * first * second + 2 * longest**3 / 3
