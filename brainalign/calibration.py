"""How fast this machine is at the work of a study, measured in some ten seconds; chips as published.

Nothing is downloaded or loaded: the regression is the package's own on random numbers, the blocks
of a language model are torch's own with random weights.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from brainalign.parallel import cpu_count
from brainalign.ridge import count_operations, leave_one_run_out
from brainalign.ridge.operations import DECOMPOSITION
from brainalign.studies.grid import Grid

#: Hidden units of the blocks that are timed, and tokens of each call: windows times their length.
WIDTHS = {64: (4, 512), 256: (4, 512), 768: (4, 512), 2048: (1, 512)}
#: Scans of the runs, regressors and voxels of the regression that is timed.
RIDGE = ((100,) * 9, 768, 1500)
_SMALL_RIDGE = ((12,) * 9, 8, 16)
_STATE = (2 * 768, 16)
_LEAST_SECONDS = 0.4
_COPIED = 2**26


@dataclass(frozen=True)
class Speeds:
    """What a machine can do.

    Attributes
    ----------
    forward : mapping
        FLOP/s of a model's blocks by the number of hidden units; in between and beyond, the
        nearest ones count.
    step : float
        Seconds of one token in one layer of a model that reads token by token (Mamba).
    products, decompositions : float
        FLOP/s of the two kinds of operations that `ridge.count_operations` counts.
    fit : float
        Seconds of a regression without any size to speak of, nine folds.
    bandwidth : float
        Bytes/s from memory to memory.
    others : float
        Share of the machine's cores that other programs took meanwhile.
    """

    forward: Mapping[int, float]
    step: float
    products: float
    decompositions: float
    fit: float
    bandwidth: float
    others: float = 0.0

    def forward_at(self, n_hidden: int) -> float:
        """FLOP/s of blocks with so many hidden units, from the measured ones."""
        widths = sorted(self.forward)
        speeds = np.log([self.forward[width] for width in widths])
        return float(np.exp(np.interp(np.log(n_hidden), np.log(widths), speeds)))


@dataclass(frozen=True)
class Chip:
    """A graphics card with the dense peak that its maker states; nothing of it is measured.

    Attributes
    ----------
    name : str
    memory : float
        Bytes.
    float32, tf32, bfloat16, float64 : float
        FLOP/s; torch rounds to TF32 only when asked to.
    bandwidth : float
        Bytes/s of its memory.
    """

    name: str
    memory: float
    float32: float
    tf32: float
    bfloat16: float
    float64: float
    bandwidth: float


CHIPS = (
    Chip("RTX 4090, 24 GB", 24e9, 82.6e12, 82.6e12, 165e12, 1.3e12, 1.0e12),
    Chip("A100, 80 GB", 80e9, 19.5e12, 156e12, 312e12, 9.7e12, 2.0e12),
    Chip("H100, 80 GB", 80e9, 67e12, 494e12, 989e12, 34e12, 3.35e12),
    Chip("H200, 141 GB", 141e9, 67e12, 494e12, 989e12, 34e12, 4.8e12),
)
#: Assumed share of the peak that large products reach, and decompositions; seconds of a token in
#: a layer that reads token by token, and of a small regression, where starting kernels counts.
UTILISATION, DECOMPOSITION_UTILISATION = 0.4, 0.05
_CHIP_STEP, _CHIP_FIT = 1e-4, 0.5


def assumed(chip: Chip, precision: str) -> Speeds:
    """Speeds of a chip from its published peak and an assumed share of it."""
    peak = chip.float32 if precision == "float32" else chip.bfloat16
    return Speeds(
        {1: UTILISATION * peak},
        _CHIP_STEP,
        UTILISATION * chip.float32,
        DECOMPOSITION_UTILISATION * chip.float64,
        _CHIP_FIT,
        UTILISATION * chip.bandwidth,
    )


def measure(
    device: str = "cpu", precision: str = "float32", least: float = _LEAST_SECONDS
) -> Speeds:
    """Measure a machine.

    Parameters
    ----------
    device
        "cpu" or "cuda".
    precision
        As in `ActivationSettings`.
    least
        Seconds that each measurement is repeated for; the shortest counts. 0 takes the first.

    Returns
    -------
    Speeds
        The two speeds of a regression come from one measurement: a float64 operation in a
        decomposition is taken for as slow as `ridge.operations` takes it.
    """
    before = _busy()
    fit = time_regression(*_SMALL_RIDGE, device, least)
    products = count_operations(*RIDGE).weight / time_regression(*RIDGE, device, 0)
    found = Speeds(
        {width: block_speed(width, *WIDTHS[width], device, precision, least) for width in WIDTHS},
        _step_seconds(device, least),
        products,
        products / DECOMPOSITION,
        fit,
        _bandwidth(device, least),
    )
    seconds, others = _busy() - before
    return replace(found, others=float(np.clip(others / seconds / cpu_count(), 0, 1)))


def _busy() -> np.ndarray:
    """Wall clock, and processor time of all other processes, in seconds."""
    import psutil

    machine = psutil.cpu_times()
    idle = machine.idle + getattr(machine, "iowait", 0.0)
    return np.array([time.perf_counter(), sum(machine[:8]) - idle - sum(os.times()[:4])])


def time_regression(
    lengths: Sequence[int],
    n_regressors: int,
    n_voxels: int,
    device: str,
    least: float,
) -> float:
    """Seconds of a nested regression of random numbers, every alpha scored in every voxel."""
    rng = np.random.default_rng(0)
    strength = 1 / np.sqrt(1 + np.arange(n_regressors, dtype=np.float32))
    mixing = rng.standard_normal((n_regressors, n_regressors), dtype=np.float32)
    X = [rng.standard_normal((n, n_regressors), dtype=np.float32) * strength for n in lengths]
    X = [values @ mixing for values in X]
    Y = [rng.standard_normal((n, n_voxels), dtype=np.float32) for n in lengths]

    def fit() -> None:
        leave_one_run_out(X, Y, alpha_search="all", device=device)

    return _seconds(fit, device, least)


def block_speed(
    width: int, n_windows: int, length: int, device: str, precision: str, least: float
) -> float:
    """FLOP/s of a block of a language model: attention, four times as many units, two norms."""
    import torch

    half = precision == "bfloat16-weights"
    block = torch.nn.TransformerEncoderLayer(
        width, max(width // 64, 1), 4 * width, 0.0, torch.nn.functional.gelu, batch_first=True
    ).to(device, torch.bfloat16 if half else torch.float32)
    tokens = torch.rand(n_windows, length, width, device=device, dtype=block.norm1.weight.dtype)

    def read() -> None:
        # In training mode, without dropout, it takes the plain form that language models have.
        with (
            torch.no_grad(),
            torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"),
        ):
            block(tokens)

    counted = n_windows * (2 * 12 * width**2 * length + 4 * width * length**2)
    return counted / _seconds(read, device, least)


def _step_seconds(device: str, least: float) -> float:
    """Seconds in which a layer of Mamba takes in one token, in plain torch."""
    import torch

    state, decay, gain = torch.rand(3, 1, *_STATE, device=device)
    readout = torch.rand(1, _STATE[1], 1, device=device)
    n_steps = 200

    def steps() -> None:
        with torch.inference_mode():
            now = state
            for _ in range(n_steps):
                now = decay * now + gain
                torch.matmul(now, readout)[:, :, 0]

    return _seconds(steps, device, least) / n_steps


def _bandwidth(device: str, least: float) -> float:
    import torch

    source, target = torch.rand(2, _COPIED // 4, device=device)
    return 2 * _COPIED / _seconds(lambda: target.copy_(source), device, least)


def time_resampling(grid: Grid, shape: tuple[int, int, int] = (91, 109, 91)) -> float:
    """Seconds in which one core brings a volume with voxels of 2 mm onto a grid."""
    from nibabel import Nifti1Image
    from nilearn.image import resample_img

    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-90, -126, -72)
    volume = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    image = Nifti1Image(volume, affine)
    return _seconds(lambda: resample_img(image, grid.affine, grid.shape), "cpu", _LEAST_SECONDS)


def _seconds(function: Callable[[], object], device: str, least: float = _LEAST_SECONDS) -> float:
    """Shortest of the calls that fit into some tenths of a second, of at least two; of one for 0."""
    import torch

    times: list[float] = []
    while not times or (least and (len(times) < 2 or sum(times) < least)):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return min(times)
