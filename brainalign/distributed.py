"""Activations and scores on several processes or machines, by dask.distributed.

Names travel, arrays do not: a worker loads the study and the model that a task names, and leaves
the same files in the shared cache as the same work without a scheduler. A file is whole or not
there, so that lost work is done again and finished work never is.
"""

import json
import os
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from brainalign import encoding
from brainalign.activations import extract
from brainalign.clusters import connected
from brainalign.companion import WorkError
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, source_digest
from brainalign.fitting import EncodingSettings, LayerFit, layer_fitter
from brainalign.models import describe
from brainalign.parallel import chosen_device, progress
from brainalign.studies import load_study
from brainalign.study import Study

if TYPE_CHECKING:
    from distributed import Client, Future, Worker
    from tqdm import tqdm

# File by which workers know the client's cache.
IDENTITY = "identity"

# Of the code that was read when this process started, whatever lies on disk by now.
SOURCE = source_digest((*encoding.SOURCES, "distributed"))


@dataclass(frozen=True)
class Work:
    """What a worker has to know of a call; it loads the rest.

    Attributes
    ----------
    study, options : str
        Name of a study, and what to load it with as JSON.
    settings : EncodingSettings
        Of the fit and of the activations.
    device : str
        "cpu", "cuda" or "auto", which every worker decides for itself.
    folder, cache, data : str
        Where the client stands, its cache, and what its `BRAINALIGN_DATA` names ("" for nothing).
    identity : str
        What the file `identity` in the client's cache holds.
    source : str
        Digest of the client's code.
    """

    study: str
    options: str
    settings: EncodingSettings
    device: str
    folder: str
    cache: str
    data: str
    identity: str
    source: str


@dataclass(frozen=True)
class Task:
    """One piece of work, and the key of the scores that it is for.

    `call` takes the work and this task; `layer` is None for tasks that are no fit.
    """

    call: Callable[[Work, "Task"], int | None]
    model: str
    key: str
    layer: int | None = None

    def __str__(self) -> str:
        return f"model {self.model!r}" + ("" if self.layer is None else f", layer {self.layer}")


def distribute(
    scheduler: str,
    study: str,
    options: Mapping[str, Any],
    models: Sequence[str],
    settings: EncodingSettings,
    device: str = "cpu",
    workers: int | None = None,
    fit: bool = True,
) -> None:
    """Have workers compute what is missing, so that `extract` and `encode` find it.

    Parameters
    ----------
    scheduler
        "local" starts processes on this machine, one per core or GPU; "slurm" asks for jobs with
        the resources that dask's configuration gives (`jobqueue.slurm`); otherwise the address of
        a running scheduler, "tcp://host:port", whose workers share this machine's cache folder.
    study, options
        Name of a study and what to load it with.
    models
        Names.
    settings
        Of the fit and of the activations.
    device
        "cpu", "cuda" or "auto".
    workers
        Number of processes that "local" and "slurm" start; by default one per core or GPU, and one.
    fit
        Whether to compute scores, or activations only.

    Raises
    ------
    InputError
        Where there is no such cluster, its workers do not fit, and the first one that a task
        raised. All other tasks are finished before.
    WorkError
        For a task whose workers die each time, after all others; for a scheduler that is lost.
    OSError
        For a full disk.
    """
    loaded = load_study(study, **options)
    keys = {name: encoding.score_key(loaded.fingerprint, name, settings) for name in models}
    if fit:
        encoding.check_subject(loaded, settings.subject)
        loaded.folds()
        models = [name for name in models if not encoding.score_file(keys[name]).is_file()]
    if not models:
        return
    # The longest tasks first, so that no worker ends long after the others.
    ordered = sorted(models, key=lambda name: -(describe(name).n_parameters or 0))
    tasks = [Task(_extract, name, keys[name]) for name in ordered]
    with connected(scheduler, device, workers) as client:
        work = _work(study, options, settings, device)
        _check_workers(client, work)
        client.run(_forget)  # data may have changed since an earlier call
        with progress([], total=0, desc="tasks") as bar:
            _finish(client, work, tasks, fit, bar)
        client.run(_forget)  # responses are large


def _work(study: str, options: Mapping[str, Any], settings: EncodingSettings, device: str) -> Work:
    cache = cache_folder()
    data = os.environ.get("BRAINALIGN_DATA", "")
    places = (os.getcwd(), str(cache), data and os.path.abspath(data))
    written = json.dumps(dict(options), sort_keys=True)
    return Work(study, written, settings, device, *places, _identity(cache), SOURCE)


def _identity(cache: Path) -> str:
    """Content of a file by which workers know the cache; it is made once and stays."""
    path = cache / IDENTITY
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.is_file():
            with atomic_path(path) as temporary:
                temporary.write_text(uuid.uuid4().hex)
        return path.read_text()


# What runs on workers.


def _extract(work: Work, task: Task) -> int:
    """Keep a model's activations; gives the number of its layers."""
    study = _prepare(work, task)
    runs = extract(study, task.model, work.settings.activations, device=chosen_device(work.device))
    return len(runs[0].attrs["layers"])


def _fit(work: Work, task: Task) -> None:
    """Keep the scores of one layer."""
    study, path = _prepare(work, task), encoding.score_file(task.key)
    if not path.is_file():
        arrays = extract(study, task.model, work.settings.activations)
        encoding.fit_layer(arrays, task.layer, path, _fitter(work))


def _assemble(work: Work, task: Task) -> None:
    """Put a model's layers together, which are all there."""
    encoding.encode_files(_prepare(work, task), [task.model], work.settings, jobs=1)


def _prepare(work: Work, task: Task) -> Study:
    """Stand where the client stands, and load its study."""
    from distributed import get_worker

    if reason := _unsuitable(work, get_worker()):
        raise InputError(reason)
    os.environ["BRAINALIGN_CACHE"] = work.cache
    if work.data and Path(work.data).is_dir():
        os.environ["BRAINALIGN_DATA"] = work.data
    if Path(work.folder).is_dir():
        os.chdir(work.folder)
    study = _study(work)
    if encoding.score_key(study.fingerprint, task.model, work.settings) != task.key:
        raise InputError(
            f"Worker {get_worker().address} finds another version of study {work.study!r} or of "
            f"model {task.model!r} than this machine; the same files are expected on both."
        )
    return study


def _unsuitable(work: Work, dask_worker: "Worker") -> str:
    """Why a worker cannot do the work, in a sentence; "" if it can."""
    about = f"Worker {dask_worker.address}"
    if work.source != SOURCE:
        return f"{about} runs another version of brainalign than this machine; install the same."
    identity = Path(work.cache) / IDENTITY
    if not identity.is_file() or identity.read_text() != work.identity:
        return (
            f"{about} does not see the cache folder {work.cache}; one that this machine and all "
            "workers share is expected (BRAINALIGN_CACHE)."
        )
    if (n_threads := dask_worker.state.nthreads) > 1:
        return f"{about} has {n_threads} threads; 1 is expected (dask worker --nthreads 1)."
    return ""


@lru_cache(maxsize=1)
def _study(work: Work) -> Study:
    return load_study(work.study, **json.loads(work.options))


@lru_cache(maxsize=1)
def _fitter(work: Work) -> LayerFit:
    """Fits layer after layer to responses that a process reads once."""
    return layer_fitter(_study(work), work.settings, chosen_device(work.device))


def _forget() -> None:
    """Let go of what is kept for further tasks."""
    _study.cache_clear()
    _fitter.cache_clear()


# What runs on the client.


def _check_workers(client: "Client", work: Work) -> None:
    """Refuse workers that cannot do the work; those that come later refuse it themselves."""
    answers = client.run(_unsuitable, work, on_error="return")
    for address, answer in answers.items():
        if isinstance(answer, Exception):
            answer = (
                f"Worker {address} cannot run this version of brainalign "
                f"({type(answer).__name__}: {answer}); install the same there."
            )
        if answer:
            raise InputError(answer)


def _finish(client: "Client", work: Work, tasks: list[Task], fit: bool, bar: "tqdm") -> None:
    """Do all tasks and those that follow from them, then say what failed."""
    left: Counter[str] = Counter()  # layers of every model that have no scores yet

    def follow(task: Task, n_layers: int | None) -> list[Task]:
        if task.call is _extract and fit:
            left[task.model] = n_layers
            return [Task(_fit, task.model, task.key, layer) for layer in range(n_layers)]
        if task.call is _fit:
            left[task.model] -= 1
            return [] if left[task.model] else [Task(_assemble, task.model, task.key)]
        return []

    failed = _run(client, work, tasks, follow, bar)
    for task in [task for task, error in failed.items() if not isinstance(error, InputError)]:
        # Once more by itself: workers of one machine share its memory.
        del failed[task]
        failed |= _run(client, work, [task], follow, bar)
    for task, error in failed.items():
        if isinstance(error, InputError):
            raise error
        raise WorkError(
            f"Every worker that computed {task} died, most likely for lack of memory; all else is "
            "finished. Give each worker more memory, or start fewer (--workers)."
        ) from error


def _run(
    client: "Client",
    work: Work,
    tasks: list[Task],
    follow: Callable[[Task, int | None], list[Task]],
    bar: "tqdm",
) -> dict[Task, Exception]:
    """Do tasks and those that follow; gives those that failed by themselves, and how."""
    from distributed import KilledWorker, as_completed

    running: dict[str, tuple[Future, Task]] = {}
    failed: dict[Task, Exception] = {}
    finished = as_completed()

    def submit(some: list[Task]) -> None:
        bar.total += len(some)
        for task in some:
            future = client.submit(task.call, work, task, pure=False)
            running[future.key] = (future, task)
            finished.add(future)

    try:
        submit(tasks)
        for future in finished:
            _, task = running.pop(future.key)
            if future.cancelled():
                raise WorkError("The scheduler was lost; call again to do what is left.")
            error = future.exception()
            if error is None:
                submit(follow(task, future.result()))
            elif isinstance(error, (InputError, KilledWorker)):
                failed[task] = error
            else:  # such as a full disk: what comes after it would fail too
                raise error
            bar.update()
    finally:
        client.cancel([future for future, _ in running.values()])
    return failed
