"""A full disk, simulated wherever something is written: one sentence, exit 1, nothing half-there."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_book
from tiny_study import tiny_study

from brainalign.cli import main
from brainalign.companion import DISK_FULL, WorkError, is_disk_full
from brainalign.companion.run import plan, run_to
from brainalign.companion.site import website
from brainalign.encoding import encode
from brainalign.files import atomic_path

FULL = f"raise OSError({errno.ENOSPC}, {os.strerror(errno.ENOSPC)!r})"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return tiny_book.make_project(tmp_path_factory.mktemp("full"))


@pytest.fixture(autouse=True)
def inside(project, monkeypatch):
    monkeypatch.chdir(project)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(project / ".cache"))


def no_space(*arguments, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_known_by_number_and_by_words():
    quota = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    wrapped = RuntimeError(
        "Unable to write (errno = 28, error message = 'No space left on device')"
    )
    assert is_disk_full(quota) and is_disk_full(wrapped)
    outer = ValueError("chunk lost")
    outer.__cause__ = OSError(errno.ENOSPC, "x")
    assert is_disk_full(outer)
    outer.__cause__ = outer.__context__ = outer
    assert not is_disk_full(outer) and not is_disk_full(PermissionError(errno.EACCES, "x"))


def test_an_atomic_file_is_there_or_not(tmp_path):
    with pytest.raises(OSError), atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("half")
        no_space()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["in the notebook", "in the runner", "in the page"])
def test_a_run_says_one_sentence_and_leaves_nothing(project, capsys, monkeypatch, where):
    cells = [tiny_book.code("", "parameters"), tiny_book.code(FULL)]
    name = "tiny"
    if where == "in the notebook":
        name = tiny_book.write_notebook(project, "full", cells).stem
    if where == "in the runner":
        monkeypatch.setattr("nbformat.write", no_space)
    if where == "in the page":
        monkeypatch.setattr("brainalign.companion.webpage.to_html", no_space)
    status = main(["run", name, "-o", "no"])
    printed = capsys.readouterr()
    (project / "notebooks" / "full.ipynb").unlink(missing_ok=True)
    assert status == 1 and printed.out == ""
    assert printed.err.splitlines()[1] == f"brainalign: {DISK_FULL}"
    assert "Traceback" not in printed.err
    assert not (project / "no").exists() and not list(project.glob(".brainalign-*"))


def test_an_earlier_result_survives(project, monkeypatch):
    execution = plan("tiny", {"n_boot": 200})
    run_to(execution, project / "out")
    before = {p: p.read_bytes() for p in (project / "out").rglob("*") if p.is_file()}
    monkeypatch.setattr("brainalign.companion.provenance.write", no_space)
    with pytest.raises(OSError):
        run_to(execution, project / "out")
    assert {p: p.read_bytes() for p in (project / "out").rglob("*") if p.is_file()} == before


def test_a_website_is_not_left_half_built(project, monkeypatch):
    def full(root, builder, log):
        (root / "_build" / "html").mkdir(parents=True)
        (root / "_build" / "html" / "index.html").write_text("half")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(f"OSError: [Errno 28] {os.strerror(errno.ENOSPC)}: 'index.html'")
        return True

    monkeypatch.setattr(website, "call_jupyter_book", full)
    with pytest.raises(WorkError, match="The disk is full"):
        website.build(project)
    assert not (project / "_build").exists()


def test_scores_are_kept_whole_or_not_at_all(tmp_path, monkeypatch):
    study, models = tiny_study(), ["random-vectors-4"]
    with monkeypatch.context() as patch:
        patch.setenv("BRAINALIGN_CACHE", str(tmp_path))
        patch.setattr("xarray.Dataset.to_netcdf", no_space)
        with pytest.raises(OSError):
            encode(study, models)
        assert not list(tmp_path.rglob("*.nc"))
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    assert encode(study, models)[0]["r"].notnull().all()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_onto_a_full_disk(project):
    command = [sys.executable, "-m", "brainalign.cli", "params", "tiny"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=project)
    assert (done.returncode, done.stderr) == (1, f"brainalign: {DISK_FULL}\n")
