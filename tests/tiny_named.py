"""The tiny study under the name "tiny", here and on workers, and workers that misbehave.

Workers of dask.distributed preload this file. What they do follows from the width of a model, by
which a fit is known, and from files in the cache, which tests make.
"""

import errno
import os
import signal
import sys
import time

import numpy as np
import xarray as xr
from tiny_study import tiny_study

from brainalign import activations, encoding, studies
from brainalign.cli import main
from brainalign.files import cache_folder
from brainalign.study import Study

# Widths of models whose fit kills its worker each time, kills it once, or waits for a file "go".
KILLS, KILLS_ONCE, WAITS = 5, 6, 7
# Width of a model that kills the worker which writes its activations, once.
KILLS_WRITER = 8
# Name of the file in the cache that stands for a full disk.
FULL = "disk-is-full"

fit_layer, write_activations = encoding.fit_layer, activations._write
to_netcdf = xr.Dataset.to_netcdf


def fingerprint(n_voxels: int = 12, **_) -> str:
    return tiny_study(n_voxels).fingerprint


def load(n_voxels: int = 12, constant: bool = False) -> Study:
    """The tiny study; `constant` responses cannot be fitted."""
    study = tiny_study(n_voxels)
    if constant:
        for run in study.runs:
            run.load.signal[:, 3] = np.nan
    return study


def die_once(width: int) -> None:
    marker = cache_folder() / f"killed-{width}"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def misbehaving_fit(arrays, *rest):
    width, cache = arrays[0].shape[2], cache_folder()
    if width == KILLS:
        os.kill(os.getpid(), signal.SIGKILL)
    if width == KILLS_ONCE:
        die_once(width)
    while width == WAITS and not (cache / "go").exists():
        (cache / "waiting").write_text(str(os.getpid()))
        time.sleep(0.05)
    fit_layer(arrays, *rest)


def misbehaving_extraction(path, layers, attributes):
    if layers.shape[2] == KILLS_WRITER:
        die_once(KILLS_WRITER)
    write_activations(path, layers, attributes)


def misbehaving_write(*arguments, **options):
    if (cache_folder() / FULL).exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return to_netcdf(*arguments, **options)


def dask_setup(_worker) -> None:
    """Called by dask in every worker process."""
    studies._MODULES["tiny"] = "tiny_named"
    encoding.fit_layer = misbehaving_fit
    activations._write = misbehaving_extraction
    xr.Dataset.to_netcdf = misbehaving_write


if __name__ == "__main__":
    studies._MODULES["tiny"] = "tiny_named"
    sys.exit(main())
