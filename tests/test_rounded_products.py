"""Brain scores where a GPU rounds the factors of float32 products to TF32, here by emulation.

torch does so on its own switch (`torch.set_float32_matmul_precision("high")`), which is off unless
somebody turns it on. The benchmark of a GPU measures both; here the factors of every product of
float32 matrices are rounded to TF32's ten bits, and the sums are of float32.
"""

from concurrent.futures import Future

import numpy as np
import pytest
import simulated
import torch
from simulated import Size
from torch.utils._python_dispatch import TorchDispatchMode

from brainalign.ridge import leave_one_run_out, work

SCANS = (60, 52, 64, 56, 48)
# Products of two matrices, and at which argument their factors begin.
_FACTORS = {"aten.mm": 0, "aten.bmm": 0, "aten.addmm": 1, "aten.baddbmm": 1}


def to_tf32(values: torch.Tensor) -> torch.Tensor:
    """Round float32 numbers to ten bits of mantissa, to the nearest."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class Rounded(TorchDispatchMode):
    """Rounds the factors of float32 products inside the block; counts them."""

    count = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        first = _FACTORS.get(str(getattr(function, "_overloadpacket", None)))
        if first is not None and arguments[first].dtype == torch.float32:
            self.count += 1
            arguments = list(arguments)
            arguments[first : first + 2] = map(to_tf32, arguments[first : first + 2])
        return function(*arguments, **(keywords or {}))


class Here:
    """A pool that works in this thread, where the products are rounded."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def map(self, function, items):
        return list(map(function, items))

    def submit(self, function, *arguments):
        future = Future()
        future.set_result(function(*arguments))
        return future


def test_ten_bits_are_kept():
    values = torch.tensor([1.0, 1 + 2.0**-10, 1 + 2.0**-12, -3.1415927, 1e-20])
    rounded = to_tf32(values)
    assert rounded[:3].tolist() == [1.0, 1 + 2.0**-10, 1.0]
    assert ((rounded - values).abs() <= values.abs() * 2.0**-11).all()


@pytest.mark.parametrize("n_regressors", [30, 150, 900])
@pytest.mark.parametrize("per_voxel", [False, True])
def test_scores_move_by_less_than_a_thousandth(tmp_path, monkeypatch, n_regressors, per_voxel):
    size = Size(SCANS, n_regressors, 300)
    simulated.write(tmp_path, size)
    monkeypatch.setattr(work, "ThreadPoolExecutor", Here)
    options = {"per_voxel_alpha": per_voxel, "alpha_search": "all"}
    full = leave_one_run_out(*simulated.read(tmp_path, size), **options)
    with Rounded() as mode:
        rounded = leave_one_run_out(*simulated.read(tmp_path, size), **options)
    assert mode.count > 10
    difference = np.abs(rounded.r.mean(0) - full.r.mean(0))
    assert difference.max() > 0 and np.abs(rounded.r.mean() - full.r.mean()) < 1e-4
    if not per_voxel:  # otherwise some voxels choose a neighbouring alpha that scores as well
        assert (rounded.alpha == full.alpha).all() and difference.max() < 1e-3
