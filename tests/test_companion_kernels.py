"""Warm kernels: the same page as a cold one gives, and nothing left running."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
import tiny_book

from brainalign.cli import INTERRUPTED
from brainalign.companion import WorkError, book, cache, kernels
from brainalign.companion.run import execute, plan

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no fork")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tiny_book.make_project(tmp_path_factory.mktemp("kernels"))


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))
    assert kernels.start_server()


def run_code(project: Path, source: str, folder: Path, warm: bool = True) -> str:
    """What a notebook of one cell prints."""
    cells = [tiny_book.code("", "parameters"), tiny_book.code(source)]
    path = tiny_book.write_notebook(project, "one", cells)
    folder.mkdir()
    try:
        execute(plan("one", {}), folder, warm)
    finally:
        path.unlink()
    cell = nbformat.read(folder / "one.ipynb", as_version=4).cells[1]
    return "".join(output.text for output in cell.outputs)


def test_a_warm_kernel_gives_the_same_page(project, tmp_path):
    execution = plan("tiny", {})
    for name, warm in {"cold": False, "warm": True}.items():
        (tmp_path / name).mkdir()
        execute(execution, tmp_path / name, warm)
    cold, warm = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "cold", tmp_path / "warm")
    )
    # When it ran and how long differ from run to run.
    used = [json.loads(files.pop(Path("usage.json")))["cpu_seconds"] for files in (cold, warm)]
    assert min(used) > 0
    when = Path("provenance.json")
    records = [json.loads(files.pop(when)) for files in (cold, warm)]
    assert cold == warm and len(cold) > 6
    assert records[0]["dependencies"] == records[1]["dependencies"]


def test_a_warm_kernel_has_libraries_and_no_module_of_ours(project, tmp_path):
    source = (
        "import json, os, sys\n"
        "ours = [name for name in sys.modules if name.startswith('brainalign')]\n"
        "warm = [name for name in ('seaborn', 'xarray', 'nilearn.plotting') if name in sys.modules]\n"
        "print(json.dumps([ours, warm, os.environ['BRAINALIGN_OUTPUT'], os.environ['OMP_PROC_BIND'],"
        " hash('a'), os.getsid(0) == os.getpid()]))"
    )
    with pytest.MonkeyPatch.context() as patch:
        # Set after the server has started.
        patch.setenv("OMP_PROC_BIND", "false")
        warm = json.loads(run_code(project, source, tmp_path / "warm"))
        cold = json.loads(run_code(project, source, tmp_path / "cold", warm=False))
    assert warm[:2] == [[], ["seaborn", "xarray", "nilearn.plotting"]]
    assert cold[:2] == [[], []]
    assert warm[2] == str(tmp_path / "warm")
    assert warm[3:] == cold[3:] == ["false", cold[4], True]


def test_libraries_leave_nothing_that_a_fork_would_break():
    code = (
        "import importlib, os, sys\n"
        f"for name in {kernels.LIBRARIES}: importlib.import_module(name)\n"
        "import threading\n"
        "assert threading.active_count() == 1\n"
        "assert not {'torch', 'transformers', 'brainalign'} & set(sys.modules)\n"
        "assert len(os.listdir('/proc/self/task')) == 1 if os.path.isdir('/proc') else True\n"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_stopped_kernels_end_what_waits_for_them(project, tmp_path):
    started, failures = tmp_path / "started", []
    source = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)"

    def work() -> None:
        with pytest.raises(WorkError) as caught:
            run_code(project, source, tmp_path / "slow")
        failures.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    while not started.exists() and thread.is_alive():
        time.sleep(0.05)
    kernels.stop_all()
    thread.join(30)
    assert not thread.is_alive() and "one" in str(failures[0])


def test_a_terminated_book_leaves_no_kernel(project, tmp_path):
    wait = "from pathlib import Path\nimport os, time\nPath(f'pid-{os.getpid()}').touch()\ntime.sleep(60)"
    cells = [tiny_book.code("n: int = 1  # number", "parameters"), tiny_book.code(wait)]
    path = tiny_book.write_notebook(project, "slow", cells, [{"n": 1}, {"n": 2}])
    toc = (project / "_toc.yml").read_text()
    (project / "_toc.yml").write_text(toc.replace("executed/tiny", "executed/slow"))
    command = [sys.executable, "-m", "brainalign.cli", "book", "--jobs", "2"]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    while len(started := list(project.glob("pid-*"))) < 2 and running.poll() is None:
        time.sleep(0.05)
    running.terminate()
    message = running.communicate(timeout=60)[1]
    path.unlink()
    (project / "_toc.yml").write_text(toc)
    assert running.returncode == 130 and message == f"brainalign: {INTERRUPTED}\n"
    assert len(started) == 2
    for pid in (int(file.name.removeprefix("pid-")) for file in started):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    pages = project / ".cache" / "pages"
    assert not [folder for folder in pages.glob("*") if folder.name.startswith((".new", "slow"))]


def test_failures_come_after_the_pages_that_succeed(project):
    cells = [tiny_book.code("n: int = 0  # number", "parameters"), tiny_book.code("print(1 / n)")]
    path = tiny_book.write_notebook(project, "divide", cells)
    todo = [plan("divide", {"n": n}) for n in (0, 1, 2)]
    (failure,) = book._refresh_all(todo, 2)
    path.unlink()
    assert "ZeroDivisionError" in str(failure)
    assert [cache.seconds(execution) < float("inf") for execution in todo] == [False, True, True]
