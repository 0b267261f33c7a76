"""Fits in the eigenbasis of a training set: few to moderately many regressors.

Notation: X regressors, Y responses; T the training set, L the one or two runs left out of it.

- XᵀX of T is Q diag(λ) Qᵀ. With C = diag(λ)^-½ QᵀXᵀY in T and S = X Q diag(λ)^-½ in L, the
  predictions for every penalty are S diag(λ / (λ + α)) C; `shrinkage` shares their products.
- T without runs i and j scores run j for fold i and run i for fold j, so that 36 decompositions
  serve the 72 inner fits of nine runs.
- XᵀY is summed over all runs once; that of T is what is left of the sum without L.
- With fewer regressors than the scans of a run, scores need no predictions. Their products with
  the responses y of a run are wᵀXᵀy. Their squares for both runs of L come from an orthonormal
  basis: S = UR (QR) and UᵢᵀUᵢ = B diag(μ) Bᵀ, so that z = BᵀRw gives |Sᵢw|² = Σ μ z² and
  |Sⱼw|² = Σ (1 - μ) z².
- With more regressors than scans in T, the kernel XXᵀ = V diag(λ) Vᵀ of T gives C = VᵀY.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brainalign.ridge.shrinkage import Shrinkage, shrink
from brainalign.ridge.work import (
    Regressors,
    Request,
    Responses,
    Use,
    Worker,
    normalised,
)

if TYPE_CHECKING:
    from torch import Tensor

# Voxels at once, and rows of a prediction at once: few enough for a core's cache.
BLOCK = {"cpu": 512, "cuda": 2**14}
ROWS = {"cpu": 64, "cuda": 2**10}
# Numbers in one block where regressors are few.
SMALL_BLOCK = {"cpu": 2**20, "cuda": 2**26}


@dataclass(frozen=True)
class Piece:
    """Some rows of the matrix that turns C into predictions, or into z.

    Attributes
    ----------
    rows : slice
        Of that matrix.
    products : list of Tensor
        For each group of components, (function * row, component).
    """

    rows: slice
    products: "list[Tensor]"


@dataclass(frozen=True)
class Basis:
    """All that is small about one request.

    Attributes
    ----------
    request : Request
        What is wanted.
    rotation : Tensor
        diag(λ)^-½ Qᵀ, (component, regressor); with the kernel Vᵀ, (component, training scan).
    left : Tensor
        Sᵀ, (component, left-out scan).
    groups : list of slice
        Of components.
    pieces : list of Piece
        Of the rows of the scored runs.
    combinations, factors : Tensor
        (penalty, function) and (penalty, component), see `shrinkage`.
    combined : bool
        Whether the functions are not the factors themselves.
    power : Tensor or None
        μ and 1 - μ, (left-out run, row), where regressors are few.
    """

    request: Request
    rotation: "Tensor"
    left: "Tensor"
    groups: list[slice]
    pieces: list[Piece]
    combinations: "Tensor"
    factors: "Tensor"
    combined: bool
    power: "Tensor | None"


def are_few(regressors: Regressors) -> bool:
    """Whether scores are had from cross-products, without predictions."""
    return regressors.values.shape[1] <= min(regressors.lengths)


def score(
    work: Worker,
    regressors: Regressors,
    responses: Responses,
    alphas: np.ndarray,
    requests: Sequence[Request],
    use: Use,
) -> None:
    """Correlations for every request.

    Parameters
    ----------
    work, regressors, responses
        See `work`.
    alphas
        Grid of penalties.
    requests
        What is wanted.
    use
        Takes the correlations; see `work`.
    """
    few, n_voxels = are_few(regressors), responses.n_voxels
    cross = _cross_products(work, regressors, responses, few)

    def make(request: Request) -> Basis:
        return _basis(work, regressors, alphas, request, few)

    for basis in work.one_ahead(make, requests):

        def run(block: slice, basis: Basis = basis) -> None:
            if few:
                found = _from_cross_products(basis, regressors.lengths, cross[..., block])
            else:
                found = _from_predictions(basis, responses.block(block), cross, block)
            use(basis.request, basis.request.places, block, found)

        work.over_blocks(run, n_voxels, _small_blocks(basis) if few else BLOCK)


def _small_blocks(basis: Basis) -> dict[str, int]:
    """Voxels in a block where regressors are few."""
    numbers = max(len(basis.factors) * basis.factors.shape[1], 1)
    return {device: max(size // numbers, 128) for device, size in SMALL_BLOCK.items()}


def _cross_products(
    work: Worker, regressors: Regressors, responses: Responses, few: bool
) -> "Tensor | None":
    """XᵀY of every run and last their sum, (run, regressor, voxel), or of all runs together.

    None where the kernel is used.
    """
    import torch

    if _is_dual(regressors):
        return None
    x = regressors.values.float()
    runs = x.split(regressors.lengths) if few else [x]
    cross = work.zeros(len(runs) + few, x.shape[1], responses.n_voxels)

    def fill(block: slice) -> None:
        y = responses.block(block)
        for k, values in enumerate(runs):
            torch.matmul(values.T, y[k] if few else torch.cat(y), out=cross[k, :, block])
        if few:
            torch.sum(cross[:-1, :, block], 0, out=cross[-1, :, block])

    work.over_blocks(fill, responses.n_voxels, BLOCK)
    return cross if few else cross[0]


def _is_dual(regressors: Regressors) -> bool:
    return regressors.values.shape[1] > sum(sorted(regressors.lengths)[:-2])


def _basis(
    work: Worker, regressors: Regressors, alphas: np.ndarray, request: Request, few: bool
) -> Basis:
    """Decompose a training set."""
    import torch

    decompose = _decompose_kernel if _is_dual(regressors) else _decompose_gram
    values, rotation, left = decompose(regressors, request.left_out)
    scored = [left[request.left_out.index(run)] for run in request.scored]
    rows, bounds, power = torch.cat(scored), np.cumsum([0, *map(len, scored)]), None
    if few:
        rows, power = _sum_of_squares(rows, len(scored[0]))
        bounds, power = np.array([0, len(rows)]), power[: len(scored)].float()
    found = shrink(work.backend.to_numpy(values), alphas[list(request.places)])
    return Basis(
        request,
        rotation.float().contiguous(),
        torch.cat(left).T.float().contiguous(),
        found.groups,
        list(_pieces(work, rows, bounds, found)),
        work.tensor(found.combinations),
        work.tensor(found.factors),
        found.combined,
        power,
    )


def _pieces(
    work: Worker, rows: "Tensor", bounds: np.ndarray, shrinkage: Shrinkage
) -> Iterator[Piece]:
    """Pieces of rows that do not reach over a border between runs."""
    functions = [work.tensor(function, "float64") for function in shrinkage.functions]
    for first, last in zip(bounds[:-1], bounds[1:], strict=True):
        for start in range(first, last, ROWS[work.device]):
            part = slice(start, min(start + ROWS[work.device], last))
            products = [
                (function[:, None] * rows[part, group]).flatten(0, 1).float()
                for function, group in zip(functions, shrinkage.groups, strict=True)
            ]
            yield Piece(part, products)


def _decompose_gram(regressors: Regressors, left_out: tuple[int, ...]) -> tuple:
    """λ, diag(λ)^-½ Qᵀ and S of every left-out run, from the Gram matrix of the training set."""
    runs = [regressors.runs[run] for run in left_out]
    values, vectors = _eigh(regressors.gram - sum(x.T @ x for x in runs))
    scaled = vectors / values.sqrt()
    return values, scaled.T, [x @ scaled for x in runs]


def _decompose_kernel(regressors: Regressors, left_out: tuple[int, ...]) -> tuple:
    """λ, Vᵀ and S of every left-out run, from the kernel of the training set."""
    import torch

    kernel, device = regressors.kernel, regressors.kernel.device
    lengths = torch.tensor(regressors.lengths, device=device)
    owner = torch.arange(len(lengths), device=device).repeat_interleave(lengths)
    train = torch.stack([owner != run for run in left_out]).all(0)
    values, vectors = _eigh(kernel[train][:, train])
    scaled = vectors / values
    return values, vectors.T, [kernel[owner == run][:, train] @ scaled for run in left_out]


def _eigh(gram: "Tensor") -> tuple:
    """Eigenvalues of a Gram matrix above rounding error, and their vectors as columns."""
    import torch

    values, vectors = torch.linalg.eigh(gram)
    keep = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return values[keep], vectors[:, keep]


def _sum_of_squares(scores: "Tensor", n_first: int) -> tuple:
    """BᵀR and (μ, 1 - μ), in the module's notation, from S.

    `n_first` is the number of scans of the first run; μ = 1 where it is the only one.
    """
    import torch

    if len(scores) <= scores.shape[1]:
        mu = (torch.arange(len(scores), device=scores.device) < n_first).double()
        return scores, torch.stack([mu, 1 - mu])
    basis, factor = torch.linalg.qr(scores)
    mu, vectors = torch.linalg.eigh(basis[:n_first].T @ basis[:n_first])
    mu = mu.clamp(0, 1)
    return vectors.T @ factor, torch.stack([mu, 1 - mu])


def _applied(basis: Basis, trained: "Tensor") -> "Iterator[tuple[slice, Tensor]]":
    """Rows and their products with the shrunk C for every penalty, (penalty, row, voxel)."""
    import torch

    n_functions = basis.combinations.shape[1]
    for piece in basis.pieces:
        n_rows, n_voxels = piece.rows.stop - piece.rows.start, trained.shape[1]
        made = trained.new_empty(n_functions * n_rows, n_voxels)
        start = 0
        for group, product in zip(basis.groups, piece.products, strict=True):
            stop = start + len(product)
            torch.matmul(product, trained[group], out=made[start:stop])
            start = stop
        if basis.combined:
            made = basis.combinations @ made.view(n_functions, -1)
        yield piece.rows, made.view(-1, n_rows, n_voxels)


def _from_predictions(
    basis: Basis, measured: "tuple[Tensor, ...]", total: "Tensor | None", block: slice
) -> "Tensor":
    """Correlations (scored, penalty, voxel) of predictions that are made and forgotten."""
    import torch

    request = basis.request
    if total is None:
        kept = [y for run, y in enumerate(measured) if run not in request.left_out]
        trained = basis.rotation @ torch.cat(kept)
    else:
        left = torch.cat([measured[run] for run in request.left_out])
        trained = torch.addmm(basis.left @ left, basis.rotation, total[:, block], beta=-1)
    scored = [measured[run] for run in request.scored]
    ends, scored = np.cumsum([len(y) for y in scored]), torch.cat(scored)
    shape = (len(ends), len(basis.factors), scored.shape[1])
    numerator, squares = trained.new_zeros(shape), trained.new_zeros(shape)
    for rows, predicted in _applied(basis, trained):
        run = int(np.searchsorted(ends, rows.start, side="right"))
        numerator[run] += (predicted * scored[rows]).sum(1)
        squares[run] += predicted.square_().sum(1)
    lengths = torch.as_tensor(np.diff(ends, prepend=0), device=trained.device)
    return normalised(numerator, squares, lengths[:, None, None])


def _from_cross_products(basis: Basis, lengths: tuple[int, ...], cross: "Tensor") -> "Tensor":
    """The same from wᵀXᵀy and |z|²; `cross` is from `_cross_products`."""
    import torch

    request = basis.request
    left_out = sum(cross[run] for run in request.left_out)
    scored = [cross[run] for run in request.scored]
    trained, *scored = basis.rotation @ torch.stack([cross[-1] - left_out, *scored])
    numerator = basis.factors @ (trained * torch.stack(scored))
    squares = trained.new_zeros(numerator.transpose(0, 1).shape)
    for rows, z in _applied(basis, trained):
        squares += basis.power[:, rows] @ z.square_()
    lengths = torch.as_tensor([lengths[run] for run in request.scored], device=cross.device)
    return normalised(numerator, squares.transpose(0, 1), lengths[:, None, None])
