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
- Where few pairs are wanted, their own matrices take fewer operations. Without runs i and j, the
  responses of the other runs T predict run j by Hⱼ = Lⱼ + Rⱼᵢ (Lᵢ + Lᵢⱼ Lⱼ) and run i by
  Lᵢ + Lᵢⱼ Hⱼ, all in the columns of T.

Every run is centred, so that K has a null vector per run; K with a constant added within each run
gives the same predictions of centred responses, and a better inverse.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from brainalign.ridge.operations import of_separate, of_shared
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
class Shared:
    """What one penalty needs for all requests together; tensors in float32.

    Attributes
    ----------
    requests : list of Request
        Those that want the penalty.
    left_out : Tensor
        L, (scan, scan), with blocks of zeros on the diagonal.
    second : dict
        Rⱼᵢ by (j, i).
    """

    requests: list[Request]
    left_out: "Tensor"
    second: "dict[tuple[int, int], Tensor]"

    def correlations(self, measured: "tuple[Tensor, ...]") -> "Iterator[tuple[Request, Tensor]]":
        """Requests and their correlations (scored, voxel) in a block of voxels."""
        import torch

        lengths = [len(y) for y in measured]
        everything = torch.cat(measured)
        predicted = self.left_out @ everything
        rest = (everything - predicted).split(lengths)
        blocks = [rows.split(lengths, dim=1) for rows in self.left_out.split(lengths)]
        predicted = predicted.split(lengths)
        for request in self.requests:
            if len(request.left_out) == 1:
                run = request.left_out[0]
                yield request, correlation(predicted[run], measured[run])[None]
                continue
            i, j = _order(request)
            joint = torch.addmm(rest[i], blocks[i][j], rest[j])
            second = torch.addmm(predicted[j], self.second[j, i], joint, alpha=-1)
            found = {j: correlation(second, measured[j])}
            if i in request.scored:
                error = measured[j] - second
                first = torch.addmm(predicted[i], blocks[i][j], error, alpha=-1)
                found[i] = correlation(first, measured[i])
            yield request, torch.stack([found[run] for run in request.scored])


@dataclass(frozen=True)
class Separate:
    """What one penalty needs where every request has matrices of its own.

    Attributes
    ----------
    matrices : list
        Requests, and for each the stretches of its training scans and the matrices (float32) that
        predict its scored runs: (scan, scan of a stretch) for every stretch.
    """

    matrices: "list[tuple[Request, list[slice], list[list[Tensor]]]]"

    def correlations(self, measured: "tuple[Tensor, ...]") -> "Iterator[tuple[Request, Tensor]]":
        """Requests and their correlations (scored, voxel) in a block of voxels."""
        import torch

        everything = torch.cat(measured)
        for request, training, of_runs in self.matrices:
            parts = [everything[stretch] for stretch in training]
            found = []
            for run, matrices in zip(request.scored, of_runs, strict=True):
                predicted = matrices[0] @ parts[0]
                for matrix, part in zip(matrices[1:], parts[1:], strict=True):
                    predicted = torch.addmm(predicted, matrix, part)
                found.append(correlation(predicted, measured[run]))
            yield request, torch.stack(found)


def score(
    work: Worker,
    regressors: Regressors,
    responses: Responses,
    alphas: np.ndarray,
    requests: Sequence[Request],
    use: Use,
) -> None:
    """Correlations for every request; see `eigenbasis.score`."""
    import torch

    places = sorted({place for request in requests for place in request.places})
    kernel = _invertible(regressors)

    about = (regressors.lengths, responses.n_voxels)
    separate = of_separate(*about, requests).weight < of_shared(*about, requests).weight

    def make(place: int) -> Shared | Separate:
        wanted = [request for request in requests if place in request.places]
        hat = _leave_one_out(kernel, regressors.lengths, float(alphas[place]))
        pairs = [_order(request) for request in wanted if len(request.left_out) == 2]
        second = {(j, i): _second(hat, j, i) for i, j in pairs}
        if separate:
            return _separate(hat, second, regressors.lengths, wanted)
        second = {pair: matrix.float() for pair, matrix in second.items()}
        return Shared(wanted, torch.cat([torch.cat(row, 1).float() for row in hat]), second)

    def run(place: int, operators: Shared | Separate, block: slice) -> None:
        for request, found in operators.correlations(responses.block(block)):
            use(request, (place,), block, found[:, None])

    if responses.n_voxels <= (work.block or BLOCK[work.device]) * 8:
        # Few voxels: threads share the penalties rather than the voxels.
        def whole(place: int) -> None:
            operators = make(place)
            for start in range(0, responses.n_voxels, BLOCK[work.device]):
                run(place, operators, slice(start, start + BLOCK[work.device]))

        list(work.pool.map(whole, places))
        return
    for place, operators in zip(places, work.one_ahead(make, places), strict=True):
        work.over_blocks(partial(run, place, operators), responses.n_voxels, BLOCK)


def _invertible(regressors: Regressors) -> "Tensor":
    """The kernel with a constant added within each run, as large as its mean eigenvalue."""
    kernel = regressors.kernel.clone()
    constant = kernel.diagonal().mean()
    start = 0
    for n in regressors.lengths:
        kernel[start : start + n, start : start + n] += constant / n
        start += n
    return kernel


def _leave_one_out(
    kernel: "Tensor", lengths: tuple[int, ...], alpha: float
) -> "list[list[Tensor]]":
    """Blocks of L for one penalty, float64."""
    import torch

    penalised = kernel.clone()
    penalised.diagonal().add_(alpha)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(penalised))
    hat = []
    for run, rows in enumerate(inverse.split(lengths)):
        columns = list(rows.split(lengths, dim=1))
        own = torch.linalg.cholesky(columns[run])
        hat.append(list(torch.cholesky_solve(rows, own).neg_().split(lengths, dim=1)))
        hat[run][run].zero_()
    return hat


def _second(hat: "list[list[Tensor]]", j: int, i: int) -> "Tensor":
    """Rⱼᵢ, float64."""
    import torch

    near_one = torch.eye(len(hat[j][i]), dtype=hat[j][i].dtype, device=hat[j][i].device)
    return torch.linalg.solve(near_one - hat[j][i] @ hat[i][j], hat[j][i])


def _separate(
    hat: "list[list[Tensor]]",
    second: "dict[tuple[int, int], Tensor]",
    lengths: tuple[int, ...],
    requests: list[Request],
) -> Separate:
    """Matrices of every request by itself."""
    import torch

    def training(run: int, left_out: tuple[int, ...]) -> "Tensor":
        return torch.cat([m for k, m in enumerate(hat[run]) if k not in left_out], dim=1)

    made = []
    for request in requests:
        found = {}
        if len(request.left_out) == 1:
            found[request.left_out[0]] = training(request.left_out[0], request.left_out)
        else:
            i, j = _order(request)
            of_i, of_j = training(i, request.left_out), training(j, request.left_out)
            found[j] = of_j + second[j, i] @ (of_i + hat[i][j] @ of_j)
            found[i] = of_i + hat[i][j] @ found[j] if i in request.scored else None
        parts = stretches(lengths, request.left_out)
        widths = [part.stop - part.start for part in parts]
        split = [found[run].float().split(widths, dim=1) for run in request.scored]
        made.append((request, parts, [[m.contiguous() for m in matrices] for matrices in split]))
    return Separate(made)


def stretches(lengths: Sequence[int], left_out: Sequence[int]) -> list[slice]:
    """Scans of the training runs, neighbours together."""
    ends = np.cumsum(lengths)
    found: list[slice] = []
    for run, (end, length) in enumerate(zip(map(int, ends), lengths, strict=True)):
        if run in left_out:
            continue
        joined = bool(found) and found[-1].stop == end - length
        start = found.pop().start if joined else end - length
        found.append(slice(start, end))
    return found


def _order(request: Request) -> tuple[int, int]:
    """Runs i and j of the module's notation: j is scored, i perhaps as well."""
    j = request.scored[0]
    return sum(request.left_out) - j, j
