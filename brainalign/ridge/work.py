"""What every form of the regression shares: data on the device, requests, and who computes.

There is no intercept: regressors and responses of every run are standardised by themselves.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from brainalign.errors import InputError
from brainalign.parallel import cpu_count
from brainalign.study import standardise

if TYPE_CHECKING:
    from torch import Tensor

BACKENDS = {"cpu": "torch", "cuda": "torch_cuda"}


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

    def over_blocks(self, function: Callable, n_voxels: int, size: dict[str, int]) -> None:
        """Call a function of a block of voxels (slice) for every block.

        `size` has the voxels in a block by device, unless the caller of the regression chose.
        """
        step = self.block or max(size[self.device], 1)
        blocks = [slice(start, min(start + step, n_voxels)) for start in range(0, n_voxels, step)]
        for _ in self.pool.map(function, blocks):
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
class Regressors:
    """Regressors of all runs, and their products with each other.

    Attributes
    ----------
    values : Tensor
        (scan, regressor), float64, the runs one below the other.
    lengths : tuple of int
        Scans of each run.
    """

    values: "Tensor"
    lengths: tuple[int, ...]

    @cached_property
    def runs(self) -> "tuple[Tensor, ...]":
        """The values of each run."""
        return self.values.split(self.lengths)

    @cached_property
    def mean_eigenvalue(self) -> float:
        """That of the kernel."""
        return float(self.values.square().sum() / len(self.values))

    @cached_property
    def gram(self) -> "Tensor":
        """XᵀX, (regressor, regressor), float64."""
        return self.values.T @ self.values

    @cached_property
    def kernel(self) -> "Tensor":
        """XXᵀ, (scan, scan), float64."""
        return self.values @ self.values.T


@dataclass(frozen=True)
class Responses:
    """Responses of all runs on the device; they serve any number of regressions.

    Attributes
    ----------
    values : Tensor
        (scan, voxel), float32, the runs one below the other, standardised.
    lengths : tuple of int
        Scans of each run.
    valid : Tensor
        (run, voxel), False where a voxel is constant.
    """

    values: "Tensor"
    lengths: tuple[int, ...]
    valid: "Tensor"

    @property
    def n_voxels(self) -> int:
        """Number of voxels."""
        return self.values.shape[1]

    def block(self, block: slice) -> "tuple[Tensor, ...]":
        """The responses of a block of voxels in every run."""
        return self.values[:, block].split(self.lengths)

    def take(self, voxels: "Tensor") -> "Responses":
        """Responses of some voxels, given by their indices."""
        return Responses(self.values[:, voxels], self.lengths, self.valid[:, voxels])


@dataclass(frozen=True)
class Request:
    """Scores that are wanted of the model fitted without one or two runs.

    Attributes
    ----------
    left_out : tuple of int
        These runs.
    scored : tuple of int
        Those of them whose scores are wanted.
    places : tuple of int
        Penalties wanted, as places in the grid.
    """

    left_out: tuple[int, ...]
    scored: tuple[int, ...]
    places: tuple[int, ...]


# Takes a request, places in the grid, a block of voxels, and correlations (scored, place, voxel).
Use = Callable[[Request, Sequence[int], slice, "Tensor"], None]


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


def load_responses(work: Worker, Y: Sequence[np.ndarray]) -> Responses:
    """Standardise responses run by run and move them to the device.

    Parameters
    ----------
    work
        Where.
    Y
        One array (scan, voxel) per run.

    Returns
    -------
    Responses
    """
    lengths = tuple(map(len, Y))
    values = work.zeros(sum(lengths), Y[0].shape[1])

    def fill(run: int, start: int, stop: int) -> "Tensor":
        values[start:stop] = work.tensor(standardise(Y[run]))
        return (values[start:stop] != 0).any(0)

    bounds = pairwise(accumulate(lengths, initial=0))
    valid = work.pool.map(lambda item: fill(item[0], *item[1]), enumerate(bounds))
    return Responses(values, lengths, work.backend.stack(list(valid)))


def correlation(predicted: "Tensor", measured: "Tensor") -> "Tensor":
    """Correlations of predictions with standardised responses over their last but one axis.

    Parameters
    ----------
    predicted
        (..., scan, voxel), of mean 0.
    measured
        (scan, voxel), standardised.

    Returns
    -------
    Tensor
        (..., voxel); 0 where the prediction or the voxel is constant.
    """
    numerator = (predicted * measured).sum(-2)
    return normalised(numerator, predicted.square().sum(-2), len(measured))


def normalised(numerator: "Tensor", squares: "Tensor", n_scans: "Tensor | int") -> "Tensor":
    """Correlations from products of predictions with standardised responses and with themselves."""
    # Constant predictions have a numerator of zero; the bound makes their correlation zero too.
    return (numerator / (squares * n_scans).clamp_min(1e-30).sqrt()).clamp_(-1, 1)
