"""A GPU: the fit of one layer and the reading of a large model, against the chip's arithmetic.

    python benchmarks/bench_gpu.py            some minutes on a data-centre GPU
    python benchmarks/bench_gpu.py --quick    small sizes

The fit is that of the paper's size, nested, by the package and fold by fold by himalaya's own
solver. The model has the size of GPT-2 XL and random weights; it goes through the package's own
reading code. "Arithmetic limit" is the time of the counted operations at the peak that the chip's
maker states, or, for a chip that `calibration.CHIPS` does not list, at the speed of a large product
measured here. TF32 is torch's own switch (`torch.set_float32_matmul_precision("high")`), off unless
asked for. Differences are those of brain scores from the scores in float32: the mean over voxels,
of the layer where it differs most.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import simulated
from bench_extraction import save_gpt2
from measure import Timing, in_fresh_process, print_rows, row
from ridge_peers import himalaya_fold
from simulated import Size

from brainalign.activations import ActivationSettings, _read_run, extract
from brainalign.calibration import CHIPS, Chip
from brainalign.costs import counted, forward_operations, window_lengths
from brainalign.fitting import EncodingSettings, layer_fitter
from brainalign.loading import load_language_model
from brainalign.model_sizes import find_model
from brainalign.ridge import ALPHAS, count_operations, leave_one_run_out
from brainalign.states import probe
from brainalign.studies import load_study
from brainalign.study import Study, select_voxels

NO_GPU = "bench_gpu: torch finds no CUDA GPU on this machine; nothing is measured."
_WARM_UP = Size((20, 20, 20), 8, 16)
#: What is measured: name, precision of the model's products, whether float32 ones may be TF32.
MODES = (
    ("float32", "float32", False),
    ("TF32", "float32", True),
    ("bfloat16", "bfloat16", True),
    ("bfloat16 weights", "bfloat16-weights", True),
)


@dataclass(frozen=True)
class Sizes:
    """Sizes of everything.

    Attributes
    ----------
    ridge : Size
        Of the fit.
    large, small : tuple of int
        Layers, units and heads of the model that is timed, and of the one whose scores count.
    n_runs : int
        Runs of the testbed that the models read.
    every_voxel : int
        One voxel in so many is scored.
    product : int
        Rows of the square matrices by whose product an unknown chip is measured.
    """

    ridge: Size
    large: tuple[int, int, int]
    small: tuple[int, int, int]
    n_runs: int
    every_voxel: int
    product: int = 8192


FULL = Sizes(Size(simulated.SCANS, 4096, 25_870), (48, 1600, 25), (12, 768, 12), 9, 8)
QUICK = Sizes(Size((100,) * 9, 256, 2000), (12, 768, 12), (2, 64, 2), 3, 32, 2048)


@contextmanager
def float32_products(tf32: bool) -> Iterator[None]:
    """Let products of float32 matrices be rounded to TF32 inside the block, or not."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def the_chip(device: str, size: int) -> Chip:
    """The chip with its published peaks, or with speeds of products that are measured here."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else device
    for chip in CHIPS:
        if chip.name.partition(",")[0] in name:
            return chip
    with float32_products(tf32=False):
        single, half, double = (
            product_speed(device, size, dtype)
            for dtype in (torch.float32, torch.bfloat16, torch.float64)
        )
    with float32_products(tf32=True):
        rounded = product_speed(device, size, torch.float32)
    return Chip(f"{name}, products measured", 0, single, rounded, half, double, 0)


def product_speed(device: str, size: int, dtype: Any) -> float:
    """FLOP/s of a product of two square matrices, the best of some."""
    import torch

    left, right = torch.rand(2, size, size, device=device).to(dtype)
    times = []
    for _ in range(4):
        start = perf_counter()
        (left @ right)[0, 0].item()  # waits until it is there
        times.append(perf_counter() - start)
    return 2 * size**3 / min(times)


def prepare_fit(folder: Path, size: Size, device: str, tf32: bool) -> Callable[[], np.ndarray]:
    """The package's nested fit of one layer; gives the scores."""
    options = {"alphas": ALPHAS, "device": device, "alpha_search": "all"}
    leave_one_run_out(*simulated.read(folder, _WARM_UP), **options)
    X, Y = simulated.read(folder, size)

    def fit() -> np.ndarray:
        with float32_products(tf32):
            return leave_one_run_out(X, Y, **options).r

    return fit


def prepare_himalaya(folder: Path, size: Size, device: str) -> Callable[[], np.ndarray]:
    """One fold of the same by himalaya."""
    fold = partial(himalaya_fold, "RidgeCV", validation="all", per_voxel=False, device=device)
    fold(*simulated.read(folder, _WARM_UP), 0)
    X, Y = simulated.read(folder, size)
    return lambda: fold(X, Y, 0)


def limit_row(case: str, timing: Timing, seconds: float, chip: Chip, what: str) -> dict[str, Any]:
    """Row of the time below which the chip cannot go."""
    return row("gpu", case, f"arithmetic limit, {what}", timing, seconds, f"counted; {chip.name}")


def ridge_rows(folder: Path, sizes: Sizes, device: str, chip: Chip) -> Iterator[dict[str, Any]]:
    """Seconds of one layer: ours in float32 and TF32, himalaya's, and the limit."""
    size = sizes.ridge
    for data in (size, _WARM_UP):
        simulated.write(folder, data)
    case = f"{size.features:,} features, {size.voxels:,} voxels, nested, exact"
    timing, full = in_fresh_process(prepare_fit, folder, size, device, False)
    yield row("gpu", case, "brainalign, float32", timing)
    rounded, other = in_fresh_process(prepare_fit, folder, size, device, True)
    difference = float(np.abs(np.nanmean(other - full, axis=1)).max())
    yield row("gpu", case, "brainalign, TF32", rounded, max_difference=difference)
    peer, scores = in_fresh_process(prepare_himalaya, folder, size, device)
    n_runs = len(size.scans)
    moved = float(abs(np.nanmean(scores - full[0])))
    seconds, how = peer.seconds * n_runs, f"1 of {n_runs} folds"
    yield row("gpu", case, "himalaya RidgeCV", peer, seconds, how, max_difference=moved)
    operations = count_operations(size.scans, size.features, size.voxels)
    least = operations.products / chip.float32 + operations.decompositions / chip.float64
    yield limit_row(case, timing, least, chip, "float32 and float64")


def testbed(n_runs: int, every_voxel: int = 1) -> Study:
    """The first runs of the testbed, one voxel in so many."""
    study = load_study("testbed")
    study = replace(study, runs=study.runs[:n_runs])
    return select_voxels(study, np.arange(study.n_voxels) % every_voxel == 0)


def reading_settings(precision: str) -> ActivationSettings:
    """Windows as the paper's, with batches that fill a GPU."""
    return ActivationSettings(stride=64, precision=precision, batch_size=2**14)


def prepare_reading(
    model: str, n_runs: int, device: str, precision: str, tf32: bool
) -> Callable[[], None]:
    """The runs through a model, pooled to words, but not to disk."""
    settings, study = reading_settings(precision), testbed(n_runs)
    language_model = load_language_model(model, device, precision=precision)
    reader = probe(language_model)

    def read() -> None:
        with float32_products(tf32):
            for run in study.runs:
                _read_run(run, language_model, reader, settings)

    return read


def reading_rows(model: str, sizes: Sizes, device: str, chip: Chip) -> Iterator[dict[str, Any]]:
    """Seconds and tokens per second of a large model in every mode, and the limits."""
    size = find_model(model)
    lengths = window_lengths(counted(testbed(sizes.n_runs)), size, reading_settings("float32"))
    n_tokens, operations = int(lengths.sum()), forward_operations(size, lengths)
    case = f"{size.n_parameters / 1e6:,.0f} M parameters, {n_tokens:,} tokens"
    for name, precision, tf32 in MODES:
        arguments = (model, sizes.n_runs, device, precision, tf32)
        timing, _ = in_fresh_process(prepare_reading, *arguments)
        speed = n_tokens / timing.seconds
        how = f"{speed:,.0f} tokens/s"
        yield row("gpu", case, name, timing, how=how, tokens_per_second=speed)
    peaks = {"float32": chip.float32, "TF32": chip.tf32, "bfloat16": chip.bfloat16}
    for name, peak in peaks.items():
        yield limit_row(case, timing, operations / peak, chip, name)


def prepare_scores(
    model: str, n_runs: int, every_voxel: int, device: str
) -> Callable[[], np.ndarray]:
    """Brain scores in every mode of reading and fitting: (mode, layer), means over voxels."""
    study = testbed(n_runs, every_voxel)
    fit = layer_fitter(study, EncodingSettings(), device)

    def scores(precision: str, tf32: bool) -> list[float]:
        with TemporaryDirectory() as folder, float32_products(tf32):
            runs = extract(study, model, reading_settings(precision), folder, device)
            layers = range(0, runs[0].shape[1], max(runs[0].shape[1] // 4, 1))
            features = ([np.asarray(run[:, k], np.float32) for run in runs] for k in layers)
            return [float(fit(words)["r_fold"].mean()) for words in features]

    return lambda: np.array([scores(precision, tf32) for _, precision, tf32 in MODES])


def score_rows(model: str, sizes: Sizes, device: str) -> Iterator[dict[str, Any]]:
    """How far brain scores are from those in float32, reading and fit together."""
    arguments = (model, sizes.n_runs, sizes.every_voxel, device)
    timing, found = in_fresh_process(prepare_scores, *arguments)
    for (name, _, _), scores in zip(MODES, found, strict=True):
        difference = float(np.abs(scores - found[0]).max())
        how = f"score {scores.max():.4f}, {len(scores)} layers"
        entry = row("gpu", "brain scores", name, timing, how=how, max_difference=difference)
        yield entry | {"seconds": timing.seconds / len(found)}


def device_rows(sizes: Sizes, device: str = "cuda") -> Iterator[dict[str, Any]]:
    """Rows of one device, as they are measured."""
    chip = the_chip(device, sizes.product)
    with TemporaryDirectory() as name:
        folder = Path(name)
        yield from ridge_rows(folder, sizes, device, chip)
        yield from reading_rows(save_gpt2(folder / "large", *sizes.large), sizes, device, chip)
        yield from score_rows(save_gpt2(folder / "small", *sizes.small), sizes, device)


def rows(quick: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of this machine's GPU; none where it has none, which is said.

    Parameters
    ----------
    quick
        Small sizes.
    """
    import torch

    if not torch.cuda.is_available():
        print(NO_GPU)
        return
    yield from device_rows(QUICK if quick else FULL)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes")
    if found := list(rows(parser.parse_args(arguments).quick)):
        print_rows(found)


if __name__ == "__main__":
    main()
