"""How several cores are used: spawned processes, or threads for work that numpy does."""

import multiprocessing
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from threading import RLock

from tqdm import TqdmWarning, tqdm

from brainalign.errors import InputError

# Bars of several processes never share a terminal here; tqdm's own lock would be a semaphore of the
# system's, which a killed process leaves behind.
tqdm.set_lock(RLock())
# Notebooks have no bars; other libraries would say there that widgets for bars are missing.
warnings.filterwarnings("ignore", "IProgress not found", TqdmWarning)
# What a command's --device may be.
DEVICES = ("auto", "cpu", "cuda")
# Numbers of threads, read when numpy or torch are imported.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def cpu_count() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen_device(device: str) -> str:
    """The device that "auto" stands for here; the others stand for themselves.

    Parameters
    ----------
    device
        "cpu", "cuda", "cuda:N" for one of several GPUs, or "auto" for "cuda" where torch finds one.

    Returns
    -------
    str
        "cpu", "cuda" or "cuda:N".

    Raises
    ------
    InputError
        For another device, and for a GPU that torch does not find.
    """
    if device == "cpu":
        return device
    number = re.fullmatch(r"cuda:(\d+)", device)
    if device not in DEVICES and not number:
        raise InputError(f"device is {device!r}; {', '.join(DEVICES)} or cuda:N are expected.")
    import torch

    found = torch.cuda.device_count()
    if device == "auto":
        return "cuda" if found else "cpu"
    if found <= int(number[1] if number else 0):
        raise InputError(f"Device {device!r} is not available on this machine; 'cpu' always is.")
    return device


def progress(iterable: Iterable, **options):
    """Progress bar on a terminal, nothing on a page, in a log file or from other processes."""
    hidden = not sys.stderr.isatty() or multiprocessing.parent_process() is not None
    return tqdm(iterable, disable=hidden, **options)


def map_threads(function: Callable, items: Iterable) -> Iterator:
    """Apply a function to items in one thread per core; results come in the order of the items.

    For functions that spend their time where numpy lets other threads run: drawing random
    numbers, arithmetic on large arrays, reading files.
    """
    with ThreadPoolExecutor(cpu_count()) as pool:
        yield from pool.map(function, items)


@contextmanager
def changed_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile."""
    saved = dict(os.environ)
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(saved)


def map_processes(function: Callable, items: Iterable, jobs: int | None = None, title: str = ""):
    """Apply a function to items in spawned processes, one torch thread each.

    Parameters
    ----------
    function
        A module-level function of one item; its result is pickled back.
    items
        The work. Long items first keep the cores busy to the end.
    jobs
        Number of processes; by default one per core. With one, the work runs here.
    title
        Label of the progress bar.

    Returns
    -------
    list
        Results in the order of `items`.

    Raises
    ------
    Exception
        The first one that an item raised; work not yet started is dropped.
    """
    items = list(items)
    jobs = min(jobs or cpu_count(), max(len(items), 1))
    if jobs == 1:
        return [function(item) for item in progress(items, desc=title)]
    context = multiprocessing.get_context("spawn")
    with (
        changed_environment(dict.fromkeys(THREAD_VARIABLES, "1")),
        ProcessPoolExecutor(jobs, mp_context=context) as pool,
    ):
        futures = [pool.submit(function, item) for item in items]
        try:
            for done in progress(as_completed(futures), total=len(futures), desc=title):
                done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]
