"""How a benchmark measures: one call in a fresh process, and what the machine did meanwhile.

What counts are ratios of times measured in the same run; seconds depend on the machine and on what
else it does. So every time stands beside the processor time that other processes took in it, and
beside the speed of a matrix product of single precision (sgemm) just before and after.

A benchmark is a module with a function `rows(quick)` that gives a list of dictionaries from `row`.
The first row of a case is brainalign; the others are compared with it.
"""

import multiprocessing
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from brainalign.parallel import cpu_count

PACKAGES = ("numpy", "torch", "himalaya", "scikit-learn", "nilearn", "transformers")
# Imported once, in the process that fresh ones are forked from.
IMPORTED = (
    *("torch", "transformers", "xarray", "scipy.signal", "sklearn.model_selection"),
    *("himalaya.kernel_ridge", "himalaya.ridge", "brainalign.encoding", "brainalign.ridge"),
    *("transformers.models.gpt2.modeling_gpt2", "transformers.models.qwen2.modeling_qwen2"),
    *("nilearn.datasets", "scipy.stats", "zarr"),
)
#: Keys of a row and what they are called in print.
COLUMNS = {
    "part": "part",
    "case": "case",
    "who": "who",
    "seconds": "seconds",
    "ratio": "times as long",
    "how": "measured of it",
    "measured_s": "measured s",
    "own_cpu_s": "own CPU s",
    "other_cpu_s": "others' CPU s",
    "of_sgemm": "of sgemm",
    "sgemm_gflops": "sgemm GFLOP/s",
    "peak_gb": "peak GB",
    "before_gb": "before GB",
    "max_difference": "max difference",
}
Prepare = Callable[..., Callable[[], Any]]


@dataclass(frozen=True)
class Timing:
    """One measured call.

    Attributes
    ----------
    seconds
        Wall time.
    own
        Processor time of its process, in seconds.
    others
        Processor time of all other processes meanwhile, in seconds; time that a host took from a
        virtual machine counts with them.
    sgemm
        Speed of a matrix product with all cores just before and after, FLOP/s.
    before
        Memory of the process before the call in bytes: imports and data.
    peak
        Largest memory of the process, in bytes.
    """

    seconds: float
    own: float
    others: float
    sgemm: float
    before: int
    peak: int


def in_fresh_process(prepare: Prepare, *arguments: Any, repeats: int = 1) -> tuple[Timing, Any]:
    """Measure a call in a process of its own, so that its memory is its own, too.

    Parameters
    ----------
    prepare
        Module-level function that reads the data, warms up and gives the function to be measured.
    *arguments
        Of `prepare`; they are pickled.
    repeats
        Calls; the shortest one counts.

    Returns
    -------
    timing : Timing
    result : object
        What the measured function gave.
    """
    return in_turn(_alone, prepare, *arguments, repeats=repeats)[0]


def _alone(prepare: Prepare, *arguments: Any) -> list[Callable[[], Any]]:
    return [prepare(*arguments)]


def in_turn(prepare: Callable, *arguments: Any, repeats: int = 1) -> list[tuple[Timing, Any]]:
    """Measure several calls in one fresh process, one after the other, again and again.

    What other processes do then spoils the times of all of them or of none, so that their ratios
    hold; memory is that of all.

    Parameters
    ----------
    prepare
        As for `in_fresh_process`; gives a list of functions.
    *arguments
        Of `prepare`.
    repeats
        Calls of each; the shortest one counts.

    Returns
    -------
    list of (Timing, object)
        One for each function.
    """
    with ProcessPoolExecutor(1, mp_context=_fresh()) as pool:
        return pool.submit(_measure, prepare, arguments, repeats).result()


def _fresh() -> BaseContext:
    """How processes start: forked from one that has imported, but not computed, anything."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(IMPORTED))
    return context


def _measure(prepare: Callable, arguments: tuple, repeats: int) -> list[tuple[Timing, Any]]:
    functions = prepare(*arguments)
    speeds = [sgemm_speed()]
    _forget_peak()
    before = psutil.Process().memory_info().rss
    passed, results = [[] for _ in functions], {}
    for _ in range(repeats):
        for number, function in enumerate(functions):
            start = clocks()
            results[number] = function()
            passed[number].append(clocks() - start)
    peak = _peak_memory()
    speeds.append(sgemm_speed())
    sgemm = np.mean(speeds).item()
    found = []
    for number, times in enumerate(passed):
        seconds, own, busy = min(times, key=lambda clock: clock[0]).tolist()
        timing = Timing(seconds, own, max(busy - own, 0.0), sgemm, before, peak)
        found.append((timing, results[number]))
    return found


def clocks() -> np.ndarray:
    """Wall clock, processor time of this process and its children, that of the whole machine."""
    machine = psutil.cpu_times()
    names = set(machine._fields) - {"idle", "iowait", "guest", "guest_nice"}
    busy = sum(getattr(machine, name) for name in names)
    return np.array([time.perf_counter(), sum(os.times()[:4]), busy])


def _forget_peak() -> None:
    """Let the largest memory count from now on, where the system can do that (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    try:
        # What getrusage says on Linux may be the memory of the process that started this one.
        status = Path("/proc/self/status").read_text()
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", status)[1])
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def sgemm_speed(size: int = 1024, repeats: int = 6) -> float:
    """FLOP/s of a product of two square matrices of single precision, the best of some."""
    import torch

    left, right = torch.rand(2, size, size)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        torch.mm(left, right)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def row(
    part: str,
    case: str,
    who: str,
    timing: Timing,
    seconds: float | None = None,
    how: str = "all",
    flops: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One row of the table.

    Parameters
    ----------
    part
        What is measured: "ridge".
    case
        What rows are compared with each other: "768 features, nested".
    who
        Whose code.
    timing
        Of the call.
    seconds
        Time of the whole case, where the call was only a part of it.
    how
        What was measured of it, in words; the rest is extrapolated.
    flops
        Floating-point operations counted for the call.
    **more
        Further columns, such as `max_difference` from another implementation.
    """
    return {
        "part": part,
        "case": case,
        "who": who,
        "seconds": timing.seconds if seconds is None else seconds,
        "how": how,
        "measured_s": timing.seconds,
        "own_cpu_s": timing.own,
        "other_cpu_s": timing.others,
        "of_sgemm": None if flops is None else flops / timing.seconds / timing.sgemm,
        "sgemm_gflops": timing.sgemm / 1e9,
        "peak_gb": timing.peak / 1e9,
        "before_gb": timing.before / 1e9,
        **more,
    }


def add_ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with `ratio`: their seconds divided by those of the first row of the same case."""
    first = {}
    for entry in rows:
        first.setdefault((entry["part"], entry["case"]), entry["seconds"])
    return [
        entry | {"ratio": entry["seconds"] / first[entry["part"], entry["case"]]} for entry in rows
    ]


def print_rows(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print every row when it has been measured and the table with ratios at the end."""
    import pandas as pd

    found = []
    for entry in rows:
        found.append(entry)
        print(
            f"{entry['part']}, {entry['case']}: {entry['who']} {entry['seconds']:.3g} s", flush=True
        )
    table = pd.DataFrame(add_ratios(found)).reindex(columns=list(COLUMNS)).rename(columns=COLUMNS)
    with pd.option_context("display.float_format", "{:.3g}".format, "display.width", None):
        print(f"\n{table.to_string(index=False, na_rep='')}\n")
    return found


def machine() -> dict[str, Any]:
    """What the benchmark ran on: processor, cores, memory, versions."""
    return {
        "processor": _processor(),
        "cores": cpu_count(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
    }


def _processor() -> str:
    """Name of the processor, with the model number where the name alone says little."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(tuple(map(str.strip, line.split(":", 1))) for line in lines if ":" in line)
    family = ", ".join(f"{k} {known[k]}" for k in ("cpu family", "model") if k in known)
    return f"{known.get('model name', platform.machine())} ({family})" if family else "unknown"
