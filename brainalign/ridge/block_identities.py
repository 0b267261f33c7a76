"""Fits from one inverse per penalty for all training sets: many regressors.

Notation: K = XXᵀ the kernel of all runs, A = (K + αI)⁻¹, and pₛ the prediction of run s.

- Leaving run s out: pₛ = Σₖ Lₛₖ yₖ over the other runs k, with the blocks Lₛₖ = -Aₛₛ⁻¹ Aₛₖ.
- A left-out run that holds its own prediction instead of its responses changes nothing in a fit.
  So leaving out run j as well is the same with pⱼ in place of yⱼ, and the other way round; both
  predictions follow from two equations. With pᵢ, pⱼ from the first line and eⱼ = yⱼ - pⱼ,

      pⱼ without i = pⱼ - Rⱼᵢ (eᵢ + Lᵢⱼ eⱼ),    Rⱼᵢ = (I - Lⱼᵢ Lᵢⱼ)⁻¹ Lⱼᵢ
      pᵢ without j = pᵢ - Lᵢⱼ (yⱼ - pⱼ without i)

- So one inverse and one product L Y per penalty serve every fold and every pair of folds. Inverses
  are float64; the rest loses nothing in float32, because no difference of near equals occurs.

Every run is centred, so that K has a null vector per run; K with a constant added within each run
gives the same predictions of centred responses, and a better inverse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainalign.ridge.work import (
    Regressors,
    Request,
    Responses,
    Use,
    Worker,
    correlation,
)

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = {"cpu": 512, "cuda": 2**14}


@dataclass(frozen=True)
class Inverse:
    """What one penalty needs; tensors in float32.

    Attributes
    ----------
    place : int
        Of the penalty in the grid.
    requests : list of Request
        Those that want it.
    left_out : Tensor
        L, (scan, scan), with blocks of zeros on the diagonal.
    second : dict
        Rⱼᵢ by (j, i).
    """

    place: int
    requests: list[Request]
    left_out: "Tensor"
    second: "dict[tuple[int, int], Tensor]"


def score(
    work: Worker,
    regressors: Regressors,
    responses: Responses,
    alphas: np.ndarray,
    requests: Sequence[Request],
    use: Use,
) -> None:
    """Correlations for every request; see `eigenbasis.score`."""
    places = sorted({place for request in requests for place in request.places})
    kernel = _invertible(regressors)

    def make(place: int) -> Inverse:
        wanted = [request for request in requests if place in request.places]
        return _inverse(kernel, regressors.lengths, float(alphas[place]), place, wanted)

    def run(inverse: Inverse, block: slice) -> None:
        for request, found in _correlations(inverse, responses.block(block)):
            use(request, (inverse.place,), block, found[:, None])

    if responses.n_voxels <= (work.block or BLOCK[work.device]) * 8:
        # Few voxels: threads share the penalties rather than the voxels.
        def whole(place: int) -> None:
            inverse = make(place)
            for start in range(0, responses.n_voxels, BLOCK[work.device]):
                run(inverse, slice(start, start + BLOCK[work.device]))

        list(work.pool.map(whole, places))
        return
    for inverse in work.one_ahead(make, places):
        work.over_blocks(lambda block, one=inverse: run(one, block), responses.n_voxels, BLOCK)


def _invertible(regressors: Regressors) -> "Tensor":
    """The kernel with a constant added within each run, as large as its mean eigenvalue."""
    kernel = regressors.kernel.clone()
    constant = kernel.diagonal().mean()
    start = 0
    for n in regressors.lengths:
        kernel[start : start + n, start : start + n] += constant / n
        start += n
    return kernel


def _inverse(
    kernel: "Tensor", lengths: tuple[int, ...], alpha: float, place: int, requests: list[Request]
) -> Inverse:
    """Operators of one penalty, computed in float64."""
    import torch

    penalised = kernel.clone()
    penalised.diagonal().add_(alpha)
    factor = torch.linalg.cholesky(penalised)
    inverse = torch.cholesky_inverse(factor, out=penalised)
    del factor
    ends = np.cumsum(lengths)
    runs = [slice(int(end - n), int(end)) for end, n in zip(ends, lengths, strict=True)]
    left_out = torch.empty_like(inverse, dtype=torch.float32)
    blocks = {}
    for i, rows in enumerate(runs):
        own = torch.linalg.cholesky(inverse[rows, rows])
        values = torch.cholesky_solve(inverse[rows], own).neg_()
        values[:, rows] = 0
        left_out[rows] = values
        blocks |= {(i, j): values[:, columns] for j, columns in enumerate(runs)}
    second = {}
    for request in requests:
        if len(request.left_out) == 2:
            i, j = _order(request)
            near_one = torch.eye(lengths[j], dtype=inverse.dtype, device=inverse.device)
            near_one -= blocks[j, i] @ blocks[i, j]
            second[j, i] = torch.linalg.solve(near_one, blocks[j, i]).float()
    return Inverse(place, requests, left_out, second)


def _order(request: Request) -> tuple[int, int]:
    """Runs i and j of the module's notation: j is scored, i perhaps as well."""
    j = request.scored[0]
    return sum(request.left_out) - j, j


def _correlations(inverse: Inverse, measured: "tuple[Tensor, ...]"):
    """Requests and their correlations (scored, voxel) in a block of voxels."""
    import torch

    lengths = [len(y) for y in measured]
    everything = torch.cat(measured)
    predicted = inverse.left_out @ everything
    rest = (everything - predicted).split(lengths)
    blocks = [rows.split(lengths, dim=1) for rows in inverse.left_out.split(lengths)]
    predicted = predicted.split(lengths)
    for request in inverse.requests:
        if len(request.left_out) == 1:
            run = request.left_out[0]
            yield request, correlation(predicted[run], measured[run])[None]
            continue
        i, j = _order(request)
        joint = torch.addmm(rest[i], blocks[i][j], rest[j])
        second = torch.addmm(predicted[j], inverse.second[j, i], joint, alpha=-1)
        found = {j: correlation(second, measured[j])}
        if i in request.scored:
            error = measured[j] - second
            found[i] = correlation(
                torch.addmm(predicted[i], blocks[i][j], error, alpha=-1), measured[i]
            )
        yield request, torch.stack([found[run] for run in request.scored])
