"""Work on several processes: the scores of one process, whatever happens to workers and clients."""

import logging
import os
import signal
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import dask
import psutil
import pytest
import tiny_models
import tiny_named
import xarray as xr
from distributed import LocalCluster

from brainalign import clusters, distributed, studies
from brainalign.activations import extract
from brainalign.cli import INTERRUPTED, main
from brainalign.companion import DISK_FULL, WorkError
from brainalign.distributed import distribute
from brainalign.encoding import encode, score_file, score_key
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings
from brainalign.parallel import cpu_count

HERE = Path(__file__).parent
PRELOAD = {"distributed.worker.preload": [str(HERE / "tiny_named.py")]}
QUIET = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
SETTINGS = EncodingSettings(alphas=(0, 4, 5))


@pytest.fixture(scope="module")
def address():
    """A running scheduler with two workers of one thread."""
    changes = PRELOAD | clusters._CONFIGURATION
    with (
        dask.config.set(changes),
        LocalCluster(n_workers=2, threads_per_worker=1, **QUIET) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny language model of several layers that knows the study's words."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(tiny_models.save_model(folder, "gpt2", tokenizer=tiny_models.byte_level()))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setitem(studies._MODULES, "tiny", "tiny_named")
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def file_of(model, settings=SETTINGS):
    return score_file(score_key(tiny_named.fingerprint(), model, settings))


def check_same(models, folder, settings=SETTINGS):
    """What workers left is what one process makes, and that process finds it."""
    study = tiny_named.load()
    found = encode(study, models, settings)
    assert study.runs[0].load.log == []  # nothing was fitted again
    for one, alone in zip(found, encode(study, models, settings, folder, jobs=1), strict=True):
        xr.testing.assert_allclose(one, alone, rtol=0, atol=1e-6)


def width(n):
    return f"random-embeddings-{n}"


def test_scores_are_those_of_one_process(address, model, cache, tmp_path):
    models = [model, width(3), "word-rate"]
    distribute(address, "tiny", {}, models, SETTINGS)
    assert not list(cache.rglob("*.layers")) and len(list(cache.rglob("*.nc"))) == 3
    check_same(models, tmp_path / "alone")
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nc")}
    distribute(address, "tiny", {}, models, SETTINGS)
    assert written == {path: path.stat().st_mtime_ns for path in cache.rglob("*.nc")}


def test_activations_alone(address, model, cache):
    distribute(address, "tiny", {}, [model], SETTINGS, fit=False)
    assert len(list(cache.rglob("run-*.zarr"))) == 3 and not list(cache.rglob("*.nc"))
    written = {path: path.stat().st_mtime_ns for path in cache.rglob("run-*.zarr")}
    assert extract(tiny_named.load(), model)[0].shape[1] == tiny_models.LAYERS + 1
    assert written == {path: path.stat().st_mtime_ns for path in cache.rglob("run-*.zarr")}


def test_work_of_lost_workers_is_done_again(address, cache, tmp_path):
    models = [width(tiny_named.KILLS_ONCE), width(tiny_named.KILLS_WRITER)]
    distribute(address, "tiny", {}, models, SETTINGS)
    assert len(list(cache.glob("killed-*"))) == 2
    check_same(models, tmp_path / "alone")


def test_work_that_kills_its_workers_is_named_and_all_else_is_done(address, tmp_path):
    others = [width(3), "word-rate"]
    with pytest.raises(WorkError, match=f"computed model '{width(5)}', layer 0 died") as caught:
        distribute(address, "tiny", {}, [width(tiny_named.KILLS), *others], SETTINGS)
    assert caught.value.status == 1
    check_same(others, tmp_path / "alone")
    assert not file_of(width(tiny_named.KILLS)).exists()


def test_input_that_a_worker_refuses_is_the_same_sentence(address):
    with pytest.raises(InputError) as alone:
        encode(tiny_named.load(constant=True), ["word-rate"], SETTINGS)
    with pytest.raises(InputError) as refused:
        distribute(address, "tiny", {"constant": True}, ["word-rate"], SETTINGS)
    assert str(refused.value) == str(alone.value)


def test_a_full_disk_leaves_whole_files_only(address, cache, tmp_path, capsys):
    (cache / tiny_named.FULL).parent.mkdir()
    (cache / tiny_named.FULL).touch()
    command = ["encode", "tiny", "--models", width(3), "word-rate", "--scheduler", address]
    assert main(command) == 1
    assert capsys.readouterr().err == f"brainalign: {DISK_FULL}\n"
    assert not list(cache.rglob("*.nc"))
    (cache / tiny_named.FULL).unlink()
    assert main(command) == 0
    check_same([width(3), "word-rate"], tmp_path / "alone", EncodingSettings())


def start_client(cache, models, finished=()):
    """A command with a worker for each model; some are finished, a worker waits in another."""
    client = subprocess.Popen(
        [sys.executable, HERE / "tiny_named.py", "encode", "tiny", "--models", *models]
        + ["--workers", str(len(models))],
        env=os.environ | {"DASK_DISTRIBUTED__WORKER__PRELOAD": str(HERE / "tiny_named.py")},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Who was started in the background ignores Ctrl-C, and so would the client.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    expected = [cache / "waiting", *finished]
    while not all(path.exists() for path in expected) and client.poll() is None:
        time.sleep(0.05)
    return client


def wait_for_end_of_worker(cache):
    worker = int((cache / "waiting").read_text())
    while psutil.pid_exists(worker):
        time.sleep(0.05)


def test_a_killed_client_leaves_whole_files(address, cache, tmp_path):
    models = [width(3), width(tiny_named.WAITS)]
    finished = file_of(models[0], EncodingSettings())
    client = start_client(cache, models, [finished])
    client.kill()
    assert client.wait() == -signal.SIGKILL
    client.stderr.close()
    wait_for_end_of_worker(cache)
    before = finished.stat().st_mtime_ns
    (cache / "go").touch()
    distribute(address, "tiny", {}, models, EncodingSettings())
    assert finished.stat().st_mtime_ns == before
    check_same(models, tmp_path / "alone", EncodingSettings())


def test_an_interrupted_client_says_so_and_ends_its_workers(cache):
    client = start_client(cache, [width(tiny_named.WAITS)])
    os.killpg(client.pid, signal.SIGINT)  # as a terminal does, to workers too
    assert client.communicate(timeout=150)[1] == f"brainalign: {INTERRUPTED}\n"
    assert client.returncode == 130
    wait_for_end_of_worker(cache)
    assert not list(cache.rglob("*.nc"))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SOURCE", "other", "runs another version of brainalign"),
        ("_identity", lambda cache: "other", "does not see the cache folder"),
    ],
)
def test_workers_that_do_not_fit_are_refused(address, cache, monkeypatch, name, value, message):
    monkeypatch.setattr(distributed, name, value)
    with pytest.raises(InputError, match=rf"Worker tcp://\S+ {message}"):
        distribute(address, "tiny", {}, ["word-rate"], SETTINGS)
    assert not list(cache.rglob("run-*.zarr"))


def test_a_worker_that_finds_other_data_is_refused(address, monkeypatch):
    monkeypatch.setitem(studies._MODULES, "tiny", "tiny_other")
    other = types.ModuleType("tiny_other")
    other.load = lambda: tiny_named.load(n_voxels=11)
    monkeypatch.setitem(sys.modules, "tiny_other", other)
    with pytest.raises(InputError, match="finds another version of study 'tiny' or of model"):
        distribute(address, "tiny", {}, ["word-rate"], SETTINGS)


def test_a_cluster_without_suitable_workers_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "_SECONDS_TO_CONNECT", 2)
    (tmp_path / "old" / "brainalign").mkdir(parents=True)
    # Where the package is installed for editing, an empty one would be filled with its modules.
    (tmp_path / "old" / "brainalign" / "__init__.py").write_text("raise ImportError('older')\n")
    with LocalCluster(n_workers=0, **QUIET) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(InputError, match="has no workers; start some"):
            distribute(address, "tiny", {}, ["word-rate"], SETTINGS)
        start = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny"]
        for options, environment, message in [
            (["--nthreads", "2"], {}, "has 2 threads; 1 is expected"),
            (
                ["--nthreads", "1"],
                {"PYTHONPATH": str(tmp_path / "old")},
                "cannot run this version of",
            ),
        ]:
            worker = subprocess.Popen(
                [*start, *options],
                cwd=tmp_path,
                env=os.environ | environment,
                stderr=subprocess.DEVNULL,
            )
            cluster.wait_for_workers(1)
            with pytest.raises(InputError, match=rf"Worker tcp://\S+ {message}"):
                distribute(address, "tiny", {}, ["word-rate"], SETTINGS)
            worker.terminate()
            worker.wait()


@pytest.mark.parametrize(
    ("scheduler", "workers", "message"),
    [
        ("tcp://127.0.0.1:1", None, "No scheduler answers at 'tcp://127.0.0.1:1'"),
        ("somewhere", None, "No scheduler answers at 'somewhere'; 'local', 'slurm' or an address"),
        ("tcp://127.0.0.1:1", 3, "leave --workers out"),
        ("slurm", 3, "no command sbatch"),
    ],
)
def test_schedulers_that_are_not_there(monkeypatch, scheduler, workers, message):
    monkeypatch.setattr(clusters, "_SECONDS_TO_CONNECT", 0.5)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=message):
        distribute(scheduler, "tiny", {}, ["word-rate"], SETTINGS, workers=workers)


def test_workers_share_gpus_and_cores(monkeypatch):
    monkeypatch.setattr(clusters, "chosen_device", lambda device: "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    with clusters.connected("local", "cuda", 2) as client:
        gpus = client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        threads = client.run(os.getenv, "OMP_NUM_THREADS")
    assert sorted(gpus.values()) == ["3,7", "5"]
    assert set(threads.values()) == {str(max(cpu_count() // 2, 1))}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Folder for commands such as sbatch, and the settings of a cluster."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    write_command(folder / "sbatch", "exit 1")
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(InputError, match="jobqueue.slurm.cores and jobqueue.slurm.memory"):
        distribute("slurm", "tiny", {}, ["word-rate"], SETTINGS)
    assert signal.getsignal(signal.SIGINT) is handler
    resources = {"cores": 4, "memory": "2GB", "queue": "short"}
    with dask.config.set({f"jobqueue.slurm.{name}": value for name, value in resources.items()}):
        yield folder


def write_command(path, script):
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def test_jobs_of_slurm_do_the_work(slurm, tmp_path, monkeypatch):
    """A command sbatch that starts the job's script at once, on this machine."""
    job = tmp_path / "job"
    run = f'setsid bash {job} > {job}.log 2>&1 & echo "Submitted batch job $!"'
    write_command(slurm / "sbatch", f'cp "$1" {job}; {run}')
    write_command(slurm / "scancel", 'kill -- "-$1"')
    monkeypatch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
    monkeypatch.setenv("DASK_DISTRIBUTED__WORKER__PRELOAD", str(HERE / "tiny_named.py"))
    distribute("slurm", "tiny", {}, [width(3)], SETTINGS, workers=1)
    script = job.read_text()
    assert "#SBATCH --cpus-per-task=4\n" in script and "#SBATCH -p short\n" in script
    assert "export OMP_NUM_THREADS=4\n" in script and "--nthreads 1 " in script
    check_same([width(3)], tmp_path / "alone")


def test_a_job_that_slurm_refuses_is_one_sentence(slurm):
    write_command(slurm / "sbatch", "echo 'sbatch: error: no such queue' >&2; exit 1")
    with pytest.raises(InputError, match="'slurm' takes no job: sbatch: error: no such queue$"):
        distribute("slurm", "tiny", {}, ["word-rate"], SETTINGS)
