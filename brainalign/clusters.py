"""Clusters for `brainalign.distributed`: processes of this machine, jobs of Slurm, or an address."""

import logging
import math
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from brainalign.errors import InputError
from brainalign.parallel import THREAD_VARIABLES, changed_environment, chosen_device, cpu_count

if TYPE_CHECKING:
    from distributed import Client, Worker
    from distributed.deploy import Cluster

#: Schedulers that are started here; every other one is an address.
STARTED = ("local", "slurm")
# Of clusters that are started here. A task is blamed for the death of its worker only if it was the
# only one there, and a worker that waits for memory that nobody else holds would wait for ever.
_CONFIGURATION = {
    "distributed.scheduler.allowed-failures": 1,
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
}
# To a scheduler, and for its first worker, which may just be coming back.
_SECONDS_TO_CONNECT = 10


def dask_setup(_worker: "Worker") -> None:
    """Leave Ctrl-C to the command, which ends its workers; called by dask in each of them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def connected(scheduler: str, device: str, workers: int | None) -> Iterator["Client"]:
    """Client of a cluster; one that is started here ends with the block."""
    try:
        import dask
        from distributed import Client
        from distributed.utils import silence_logging_cmgr
    except ImportError as error:
        raise InputError(_lacking("distributed")) from error
    if scheduler not in STARTED and workers:
        raise InputError(f"Scheduler {scheduler!r} has its workers; leave --workers out.")
    with dask.config.set(_CONFIGURATION), silence_logging_cmgr(logging.CRITICAL):
        if scheduler in STARTED:
            start = {"local": _local_cluster, "slurm": _slurm_cluster}[scheduler]
            with start(device, workers) as cluster, Client(cluster) as client:
                yield client
            return
        try:
            client = Client(scheduler, timeout=_SECONDS_TO_CONNECT)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No scheduler answers at {scheduler!r}; 'local', 'slurm' or an address such as "
                "tcp://host:8786 is expected (dask scheduler starts one)."
            ) from error
        with client:
            try:
                client.wait_for_workers(1, timeout=_SECONDS_TO_CONNECT)
            except TimeoutError as error:
                raise InputError(
                    f"Scheduler {scheduler!r} has no workers; start some "
                    f"(dask worker {scheduler} --nthreads 1)."
                ) from error
            yield client


def _lacking(package: str) -> str:
    return (
        f"--scheduler needs the package {package}: "
        'pip install -c constraints.txt -e ".[cluster]" installs it.'
    )


def _local_cluster(device: str, workers: int | None) -> "Cluster":
    """Processes on this machine, each with its share of the cores, the memory and the GPUs."""
    from dask import config
    from distributed import Nanny, Scheduler, SpecCluster
    from distributed.system import MEMORY_LIMIT

    gpus = _gpus() if chosen_device(device) == "cuda" else []
    n_workers = min(workers or len(gpus) or cpu_count(), len(gpus) or cpu_count())
    options = {
        "nthreads": 1,
        "memory_limit": MEMORY_LIMIT // n_workers,
        "host": "127.0.0.1",
        "dashboard": False,
        "silence_logs": logging.CRITICAL,
    }
    spec = {}
    for number in range(n_workers):
        own = {"CUDA_VISIBLE_DEVICES": ",".join(gpus[number::n_workers])} if gpus else {}
        spec[number] = {"cls": Nanny, "options": options | {"env": own}}
    given = config.get("distributed.worker.preload")  # one name or several
    preload = [*([given] if isinstance(given, str) else given), __name__]
    scheduler = {"host": "127.0.0.1", "port": 0, "dashboard": False, "dashboard_address": ":0"}
    threads = str(max(cpu_count() // n_workers, 1))
    with (
        changed_environment(dict.fromkeys(THREAD_VARIABLES, threads)),
        config.set({"distributed.worker.preload": preload}),
    ):
        return SpecCluster(
            spec, {"cls": Scheduler, "options": scheduler}, silence_logs=logging.CRITICAL
        )


def _gpus() -> list[str]:
    """What CUDA_VISIBLE_DEVICES may hold, one text for each GPU that this process sees."""
    import torch

    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",") if named else [str(k) for k in range(torch.cuda.device_count())]


def _slurm_cluster(device: str, workers: int | None) -> "Cluster":
    """Jobs with the resources of dask's configuration; each process has all cores of its share."""
    if shutil.which("sbatch") is None:
        raise InputError("Scheduler 'slurm': there is no command sbatch on this machine.")
    handler = signal.getsignal(signal.SIGINT)
    try:
        import dask_jobqueue
    except ImportError as error:
        raise InputError(_lacking("dask-jobqueue")) from error
    signal.signal(signal.SIGINT, handler)  # which the package takes for itself
    from dask import config

    found = config.get("jobqueue.slurm")
    if not found["cores"] or not found["memory"]:
        raise InputError(
            "Scheduler 'slurm': jobqueue.slurm.cores and jobqueue.slurm.memory are expected in "
            "dask's configuration, such as ~/.config/dask/jobqueue.yaml."
        )
    processes = found["processes"] or 1
    threads = [f"export {name}={found['cores'] // processes}" for name in THREAD_VARIABLES]
    # One thread of dask's per process, whose work takes all of the process's cores.
    cluster = dask_jobqueue.SLURMCluster(
        cores=processes,
        processes=processes,
        job_cpu=found["job-cpu"] or found["cores"],
        job_script_prologue=[*found["job-script-prologue"], *threads],
    )
    for _ in range(math.ceil((workers or 1) / processes)):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(cluster._correct_state)  # `scale` would tell nobody of a job that is refused
    except RuntimeError as error:
        with suppress(AssertionError):  # of a job that never was
            cluster.close()
        reason = str(error).partition("stderr:")[2].strip() or str(error)
        raise InputError(f"Scheduler 'slurm' takes no job: {reason.splitlines()[0]}") from error
    return cluster
