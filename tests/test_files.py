"""Files are whole or absent; folders are where they are said to be; work is spread in order."""

import hashlib
import os
import subprocess
import sys

import pytest

from brainalign import files
from brainalign.parallel import map_processes


def test_atomic_path_leaves_nothing_half_written(tmp_path):
    target = tmp_path / "deep" / "result.txt"
    with files.atomic_path(target) as temporary:
        temporary.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == ["result.txt"]


def test_atomic_path_makes_folders(tmp_path):
    with files.atomic_path(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "file").touch()
    assert (tmp_path / "folder" / "file").is_file()


def test_checksums(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"brain" * 1000)
    assert files.file_sha256(path) == hashlib.sha256(b"brain" * 1000).hexdigest()
    path.write_bytes(b"brain" * 999 + b"train")
    assert files.file_sha256(path) == hashlib.sha256(b"brain" * 999 + b"train").hexdigest()
    assert files.digest({"a": 1, "b": 2}) == files.digest({"b": 2, "a": 1})
    assert files.digest([1]) != files.digest(["1"])


def test_checksums_of_large_files_are_noted_for_other_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "_NOTED", 1000)
    path = tmp_path / "file"
    for content in (b"brain" * 1000, b"train" * 1000):
        path.write_bytes(content)
        expected = hashlib.md5(content).hexdigest()
        assert files.file_digest(path, "md5") == expected
        files._file_digest.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(files, "_hexdigest", pytest.fail)
            assert files.file_digest(path, "md5") == expected
        assert files.file_digest(path, "sha256") == hashlib.sha256(content).hexdigest()
    # A cache that cannot be written to.
    monkeypatch.setenv("BRAINALIGN_CACHE", str(path))
    files._file_digest.cache_clear()
    assert files.file_digest(path, "md5") == expected


def test_source_digest_covers_packages(monkeypatch, tmp_path):
    monkeypatch.setattr(files, "PACKAGE", tmp_path)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "one.py").write_text("x = 1")
    (tmp_path / "two.py").write_text("y = 1")
    before = files.source_digest(["part", "two"])
    assert before == files.source_digest(["part", "two"])
    (tmp_path / "part" / "one.py").write_text("x = 2")
    assert before != files.source_digest(["part", "two"])


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    monkeypatch.delenv("BRAINALIGN_OUTPUT", raising=False)
    assert files.cache_folder() == tmp_path
    assert files.output_folder() is None
    monkeypatch.delenv("BRAINALIGN_CACHE")
    assert files.cache_folder() == files.project_root() / ".cache"


def _square(number):
    assert os.environ["OMP_NUM_THREADS"] == "1"
    return number**2


def _fail(number):
    raise ValueError(f"item {number}")


def test_processes_keep_the_order_and_the_environment(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert map_processes(_square, range(5), jobs=2) == [0, 1, 4, 9, 16]
    assert os.environ["OMP_NUM_THREADS"] == "7"
    with pytest.raises(ValueError, match="item"):
        map_processes(_fail, range(3), jobs=2)
    assert map_processes(len, ["abc"], jobs=4) == [3]


def test_a_notebook_without_widgets_hears_nothing_of_progress_bars():
    """Importing tqdm's bar for notebooks warns there, as transformers does; pages show no bars."""
    code = (
        "import sys, warnings, ipykernel.zmqshell\n"
        "sys.modules['ipywidgets'] = None\n"
        "warnings.simplefilter('always', UserWarning)\n"
        "import brainalign.parallel, tqdm.auto\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "IProgress" not in done.stderr
