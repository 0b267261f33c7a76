"""Eigendecompositions of training sets; the notation is that of `factorisations`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from brainalign.factorisations import Products


def decompose_gram(products: "Products", left_out: tuple[int, ...]) -> tuple:
    """λ, XQ of every run and Qᵀ, from the training set's Gram matrix."""
    runs = products.regressors.split(products.lengths)
    gram = products.gram - sum(runs[run].T @ runs[run] for run in left_out)
    values, vectors = _eigh(gram)
    return values, (products.regressors @ vectors).split(products.lengths), vectors.T


def decompose_kernel(products: "Products", left_out: tuple[int, ...]) -> tuple:
    """λ and XQ of every run (and None for Qᵀ), from the training set's kernel."""
    import torch

    lengths = torch.tensor(products.lengths, device=products.kernel.device)
    owner = torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
    train = torch.stack([owner != run for run in left_out]).all(0)
    values, vectors = _eigh(products.kernel[train][:, train])
    scores = products.kernel[:, train] @ (vectors / values.sqrt())
    scores[train] = vectors * values.sqrt()
    return values, scores.split(products.lengths), None


def _eigh(gram: "Tensor") -> tuple:
    """Eigenvalues of a Gram matrix above rounding error, and their vectors as columns."""
    import torch

    values, vectors = torch.linalg.eigh(gram)
    keep = values > len(values) * torch.finfo(values.dtype).eps * values[-1]
    return values[keep], vectors[:, keep]


def sum_of_squares(scores: "Tensor", n_first: int) -> tuple:
    """BᵀR and (μ, 1 - μ), in the module's notation, from S (scan, component).

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


def from_training(
    scores: tuple, shrinkage: "Tensor", left_out: tuple[int, ...], scored: tuple[int, ...]
) -> "Tensor":
    """Training responses to predictions, (alpha * scan, training scan), from XQ of every run."""
    import torch

    train = torch.cat([x for run, x in enumerate(scores) if run not in left_out]).float()
    left = torch.cat([scores[run] for run in scored])
    shrunk = (shrinkage[:, None] * left).float()
    return shrunk.reshape(len(shrinkage) * len(left), left.shape[1]) @ train.T
