"""What the fits of a leave-one-run-out ridge share: sums, decompositions, and where they run.

Notation: X regressors, Y responses, G = XᵀX; all runs are standardised by themselves and there is
no intercept.

- Cross-products XᵀY are computed once per run; those of a training set are sums over its runs.
- A training set without runs i and j validates run j for fold i and run i for fold j, so that 36
  decompositions serve the 72 inner fits of nine runs.
- With G = Q diag(λ) Qᵀ, the weights for every alpha are Q diag(1 / (λ + α)) QᵀXᵀY.
- The score of a left-out run needs no predictions: r = wᵀXᵀy / √(wᵀXᵀXw · yᵀy).
- An orthonormal basis makes the quadratic form wᵀXᵀXw of both left-out runs a sum of squares.
  With S = [XᵢQ; XⱼQ] = UR (QR) and UᵢᵀUᵢ = B diag(μ) Bᵀ, the vector z = BᵀRQᵀw gives
  |Xᵢw|² = Σ μ z² and |Xⱼw|² = Σ (1 - μ) z². With more components than left-out scans z = SQᵀw,
  the predictions themselves.
- With more regressors than training scans, the decomposition is that of the kernel K = XXᵀ:
  K = V diag(λ) Vᵀ gives XQ = V √λ in the training set, and K V / √λ in the left-out runs. Their
  product, shrunk, turns training responses into predictions without the detour over QᵀXᵀY.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from brainalign.decompositions import (
    decompose_gram,
    decompose_kernel,
    from_training,
    sum_of_squares,
)
from brainalign.errors import InputError
from brainalign.parallel import cpu_count
from brainalign.study import standardise

if TYPE_CHECKING:
    from torch import Tensor

BACKENDS = {"cpu": "torch", "cuda": "torch_cuda"}
# Numbers in one block of voxels: small enough for a core's cache, or large enough for a GPU.
BLOCK_SIZE = {"cpu": 2**20, "cuda": 2**26}
MINIMUM_BLOCK = 128


@dataclass(frozen=True)
class Worker:
    """Where the work is done.

    Attributes
    ----------
    backend
        himalaya's backend.
    pool
        Threads with one torch thread each.
    device
        "cpu" or "cuda".
    block
        Voxels handled at once; None takes as many as suit the device.
    """

    backend: ModuleType
    pool: ThreadPoolExecutor
    device: str
    block: int | None = None

    def tensor(self, values: np.ndarray, dtype: str = "float32") -> "Tensor":
        """An array on the device."""
        return self.backend.asarray(values, dtype=dtype, device=self.device)

    def zeros(self, *shape: int) -> "Tensor":
        """float32 zeros on the device."""
        return self.backend.zeros(shape, dtype="float32", device=self.device)

    def over_blocks(self, function: Callable, split: "Split", n_voxels: int) -> None:
        """Call a function of a split and a block of voxels (slice) for every block."""
        fitting = BLOCK_SIZE[self.device] // max(len(split.prediction), 1)
        step = self.block or max(fitting, MINIMUM_BLOCK)
        blocks = [slice(start, min(start + step, n_voxels)) for start in range(0, n_voxels, step)]
        for _ in self.pool.map(lambda block: function(split, block), blocks):
            pass

    def one_ahead(self, function: Callable, items: Iterable) -> Iterator:
        """Values of a function; the next one is computed while one is used."""
        waiting = []
        for item in items:
            waiting.append(self.pool.submit(function, item))
            if len(waiting) == 2:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()


@dataclass(frozen=True)
class Products:
    """What the runs contribute to training sets; tensors on the device.

    Attributes
    ----------
    lengths : tuple of int
        Scans of each run.
    valid : Tensor
        (run, voxel), False where a voxel is constant.
    regressors : Tensor
        (scan, regressor), float64, the runs one below the other.
    gram : Tensor or None
        XᵀX of all runs, (regressor, regressor), float64; None where the kernel is used.
    kernel : Tensor or None
        XXᵀ of all runs, (scan, scan), float64, where regressors outnumber training scans.
    cross, total : Tensor or None
        XᵀY of every run (run, regressor, voxel) and its sum; None where regressors are many.
    responses : list of Tensor or None
        Then Y of every run, (scan, voxel), standardised.
    """

    lengths: tuple[int, ...]
    valid: "Tensor"
    regressors: "Tensor"
    gram: "Tensor | None"
    kernel: "Tensor | None"
    cross: "Tensor | None" = None
    total: "Tensor | None" = None
    responses: list | None = None


@dataclass(frozen=True)
class Split:
    """All that is small about a training set and the one or two runs left out of it.

    Attributes
    ----------
    left_out : tuple of int
        Indices of these runs.
    scored : tuple of int
        Those of them that `correlations` is asked for; with the kernel they alone are predicted.
    lengths : Tensor
        Their numbers of scans, (scored, 1, 1).
    rotation : Tensor or None
        Qᵀ, (component, regressor), where `Products.cross` is kept.
    projected : list of Tensor or None
        QᵀXᵀ of every run, (component, scan), where `Products.responses` are.
    shrinkage : Tensor
        α / (λ + α), (alpha, component).
    prediction : Tensor
        Cross-products in the eigenbasis to z, (alpha * entry, component); with the kernel, training
        responses to predictions in the scored runs, (alpha * scan, training scan).
    power : Tensor or None
        μ and 1 - μ, (scored, entry); None with the kernel.
    """

    left_out: tuple[int, ...]
    scored: tuple[int, ...]
    lengths: "Tensor"
    rotation: "Tensor | None"
    projected: list | None
    shrinkage: "Tensor"
    prediction: "Tensor"
    power: "Tensor | None"


@contextmanager
def himalaya_backend(device: str = "cpu") -> Iterator[ModuleType]:
    """Use himalaya's torch backend for a device, and the earlier backend again afterwards.

    Parameters
    ----------
    device
        "cpu" or "cuda".

    Yields
    ------
    module
        The backend.

    Raises
    ------
    InputError
        For another device, or where torch finds no GPU.
    """
    if device not in BACKENDS:
        raise InputError(f"device is {device!r}; 'cpu' or 'cuda' is expected.")
    import torch
    from himalaya.backend import get_backend, set_backend

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device is 'cuda', but torch finds no CUDA GPU; 'cpu' is expected.")
    previous = get_backend().name
    try:
        yield set_backend(BACKENDS[device])
    finally:
        set_backend(previous)


@contextmanager
def worker(device: str = "cpu", block: int | None = None) -> Iterator[Worker]:
    """Backend and threads for one regression.

    Threads over blocks of voxels wait for each other once per training set. Torch's own threads do
    so in every operation, which costs minutes where other programs use the cores too.

    Parameters
    ----------
    device
        "cpu" or "cuda".
    block
        See `Worker`.

    Yields
    ------
    Worker

    Raises
    ------
    InputError
        As `himalaya_backend`.
    """
    with himalaya_backend(device) as backend:
        import torch

        before = torch.get_num_threads()
        n_threads = 1 if device == "cuda" else min(before, cpu_count())
        torch.set_num_threads(1)
        try:
            with ThreadPoolExecutor(
                n_threads, initializer=torch.set_num_threads, initargs=(1,)
            ) as pool:
                yield Worker(backend, pool, device, block)
        finally:
            torch.set_num_threads(before)


def reduce_runs(work: Worker, X: list[np.ndarray], Y: list[np.ndarray]) -> Products:
    """Move regressors to the device and reduce responses to what training sets need of them.

    Parameters
    ----------
    work
        Where.
    X
        Regressors (scan, regressor) per run, centred.
    Y
        Responses (scan, voxel) per run.

    Returns
    -------
    Products
    """
    lengths, n_regressors = tuple(map(len, X)), X[0].shape[1]
    x = work.tensor(np.vstack(X), "float64")
    dual = n_regressors > sum(sorted(lengths)[:-2])
    gram, kernel = (None, x @ x.T) if dual else (x.T @ x, None)
    # Rotating three cross-products costs 3 * n_regressors per voxel and component, projecting all
    # responses n_scans; the cheaper of the two also holds less.
    few = not dual and 3 * n_regressors <= len(x)
    cross = work.zeros(len(X), n_regressors, Y[0].shape[1]) if few else None

    def reduce_run(run: int) -> tuple:
        y = work.tensor(standardise(Y[run]))
        if few:
            cross[run] = work.tensor(X[run]).T @ y
        return (y != 0).any(0), None if few else y

    valid, responses = zip(*work.pool.map(reduce_run, range(len(X))), strict=True)
    valid = work.backend.stack(valid)
    common = (lengths, valid, x, gram, kernel)
    if few:
        return Products(*common, cross=cross, total=cross.sum(0))
    return Products(*common, responses=list(responses))


def make_split(
    work: Worker,
    products: Products,
    alphas: np.ndarray,
    left_out: tuple[int, ...],
    scored: tuple[int, ...] | None = None,
) -> Split:
    """Decompose a training set, and the quadratic forms of the one or two runs left out of it.

    Parameters
    ----------
    work
        Where.
    products
        Of all runs.
    alphas
        Penalties.
    left_out
        Indices of the runs left out.
    scored
        Those of them that scores are wanted of; by default all. Others may be scored as well.

    Returns
    -------
    Split
    """
    decompose = decompose_gram if products.kernel is None else decompose_kernel
    values, scores, rotation = decompose(products, left_out)
    penalties = work.tensor(alphas, "float64")[:, None]
    # A factor per alpha changes no correlation; this one keeps extreme alphas within float32.
    shrinkage = penalties / (values + penalties)
    if products.kernel is not None:
        scored = scored or left_out
        lengths = work.tensor([[[products.lengths[run]]] for run in scored])
        prediction = from_training(scores, shrinkage, left_out, scored)
        return Split(left_out, scored, lengths, None, None, shrinkage, prediction, None)
    left = [scores[run] for run in left_out]
    to_z, power = sum_of_squares(work.backend.concatenate(left), len(left[0]))
    prediction = (shrinkage[:, None] * to_z).reshape(len(alphas) * len(to_z), len(values))
    return Split(
        left_out,
        left_out,
        work.tensor([[[len(x)]] for x in left]),
        None if products.responses else rotation.float().contiguous(),
        [x.T.float() for x in scores] if products.responses else None,
        shrinkage.float(),
        prediction.float(),
        power[: len(left)].float(),
    )


def correlations(products: Products, split: Split, block: slice) -> "Tensor":
    """Correlations in the left-out runs for every alpha.

    Parameters
    ----------
    products, split
        See there.
    block
        Voxels.

    Returns
    -------
    Tensor
        (scored, alpha, voxel); 0 where the prediction or the voxel is constant.
    """
    if products.kernel is not None:
        numerator, squares = _from_predictions(products, split, block)
    else:
        numerator, squares = _from_cross_products(products, split, block)
    # Constant predictions have a numerator of zero; the bound makes their correlation zero too.
    return (numerator / (squares * split.lengths).clamp_min(1e-30).sqrt()).clamp_(-1, 1)


def _from_predictions(products: Products, split: Split, block: slice) -> tuple:
    """Products of predictions with responses, and with themselves, (scored, alpha, voxel)."""
    import torch

    runs = [y[:, block] for y in products.responses]
    train = torch.cat([y for run, y in enumerate(runs) if run not in split.left_out])
    left = [runs[run] for run in split.scored]
    shape = (len(split.shrinkage), sum(map(len, left)), train.shape[1])
    parts = (split.prediction @ train).view(shape).split([len(y) for y in left], dim=1)
    numerator = torch.stack([(z * y).sum(1) for z, y in zip(parts, left, strict=True)])
    return numerator, torch.stack([z.square_().sum(1) for z in parts])


def _from_cross_products(products: Products, split: Split, block: slice) -> tuple:
    """The same from wᵀXᵀy and wᵀXᵀXw."""
    train, left = _rotated_products(products, split, block)
    numerator = split.shrinkage @ (train * left)
    z = (split.prediction @ train).square_()
    z = z.view(len(split.shrinkage), split.power.shape[1], z.shape[1])
    return numerator, (split.power @ z).transpose(0, 1)


def _rotated_products(products: Products, split: Split, block: slice) -> tuple:
    """QᵀXᵀY of the training set (component, voxel), and of each left-out run (left out, ...)."""
    import torch

    if products.cross is not None:
        left = [products.cross[run, :, block] for run in split.left_out]
        train = products.total[:, block] - sum(left)
        rotated = split.rotation @ torch.stack([train, *left])
        return rotated[0], rotated[1:]
    runs = zip(split.projected, products.responses, strict=True)
    parts = [projected @ y[:, block] for projected, y in runs]
    left = [parts[run] for run in split.left_out]
    return sum(p for run, p in enumerate(parts) if run not in split.left_out), torch.stack(left)
