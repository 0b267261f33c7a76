"""Public files: what the tables say of them, how they are found, checked and fetched."""

import csv
import errno
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from byte_server import byte_server
from filelock import FileLock

from brainalign.errors import InputError
from brainalign.studies import fetching, registry, study_names
from brainalign.studies.fetching import download, fetch
from brainalign.studies.registry import DataFile, data_files, optional_files

CONTENT = np.random.default_rng(0).bytes(70_000)
OTHER = b"a few words\n" * 1000


def git_blob(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """No data folder of the machine is read or written."""
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path / "data"))


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def server():
    with byte_server({"/a/x.bin": CONTENT, "/words.txt": OTHER}) as server:
        yield server


@pytest.fixture
def files(server, monkeypatch):
    """Two files of a study, one of them optional and without a size."""
    first = DataFile(
        study="alice",
        collection="tales",
        path="a/x.bin",
        size=len(CONTENT),
        checksum=f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        url=f"{server.url}a/x.bin",
        licence="CC BY 4.0",
        citation="Doe (2001).",
    )
    second = replace(
        first,
        path="words.txt",
        size=None,
        checksum=f"git-blob-sha1:{git_blob(OTHER)}",
        url=f"{server.url}words.txt",
        optional=True,
    )
    monkeypatch.setattr(registry, "_registry", lambda: (first, second))
    return first, second


def contents(folder):
    """Files of a folder; an empty one holds the place of a call that is fetching."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return sorted(str(path.relative_to(folder)) for path in found)


def put(path, content: bytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def no_words(text: str) -> None:
    """Take what `fetch` says."""


def test_tables():
    files = registry._registry()
    assert len({(file.collection, file.path) for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|git-blob-sha1:[0-9a-f]{40}", file.checksum)
        assert re.fullmatch(r"https://\S+/[0-9a-f]{40}/\S+", file.url)
        assert file.url.endswith(file.path)
        assert file.size or file.optional
        assert file.licence and re.search(r"\(20\d\d\)", file.citation)
    assert {"alice", "petitprince-en"} <= {file.study for file in files} & set(study_names())
    assert data_files("testbed") == optional_files("testbed") == []
    assert len(optional_files("petitprince-en")) == 10


def test_tables_agree_with_the_files(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    with open(real_data / "files.csv", newline="") as stream:
        rows = {(row["study"], row["path"]): row for row in csv.DictReader(stream)}
    for file in registry._registry():
        if not file.optional:
            row = rows[file.collection, file.path]
            assert file.checksum == f"sha256:{row['sha256']}"
            assert (file.url, file.size) == (row["url"], int(row["size"]))
    for study in ("alice", "petitprince-en"):
        assert registry.missing_files(study) == []
        paths = registry.verified_paths(study)
        assert list(paths) == [file.path for file in data_files(study)]


def test_git_names_of_real_files(real_data):
    with open(real_data / "files_git_blob_sha1.csv", newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    for file in optional_files("petitprince-en")[:9]:
        assert file.checksum == f"git-blob-sha1:{rows[file.path]['git_blob_sha1']}"
        assert file.url == rows[file.path]["url"]
    name = "isc_10trials_en.gz"
    found = registry.file_checksum(real_data / "petitprince" / name, "git-blob-sha1")
    assert found == f"git-blob-sha1:{rows[name]['git_blob_sha1']}"


def test_checksums_of_known_content(tmp_path):
    path = tmp_path / "x"
    for content in (b"", b"hello\n", CONTENT):
        path.write_bytes(content)
        assert registry.file_checksum(path, "sha256").endswith(hashlib.sha256(content).hexdigest())
        assert registry.file_checksum(path, "git-blob-sha1") == f"git-blob-sha1:{git_blob(content)}"
    assert git_blob(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
    if shutil.which("git"):
        done = subprocess.run(["git", "hash-object", path], capture_output=True, text=True)
        assert done.stdout.strip() == git_blob(CONTENT)


def test_where_files_are_looked_for(files, data, tmp_path, monkeypatch):
    file = files[0]
    cached = tmp_path / "cache" / "brainalign" / "data" / "tales" / "a" / "x.bin"
    assert registry.local_path(file) == data / "tales" / "a" / "x.bin"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(CONTENT)
    assert registry.local_path(file) == cached
    (data / "tales" / "a").mkdir(parents=True)
    (data / "tales" / "a" / "x.bin").write_bytes(b"")
    assert registry.local_path(file) == data / "tales" / "a" / "x.bin"
    monkeypatch.delenv("BRAINALIGN_DATA")
    assert registry.local_path(file) == cached


def test_where_files_are_fetched_into(data, tmp_path, monkeypatch):
    cached = tmp_path / "cache" / "brainalign" / "data"
    assert registry.target_folder() == data
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    assert registry.target_folder() == cached
    monkeypatch.setenv("BRAINALIGN_DATA", __file__)
    assert registry.target_folder() == cached
    monkeypatch.delenv("BRAINALIGN_DATA")
    assert registry.target_folder() == cached


def test_fetch(files, server, data):
    assert registry.missing_files("alice") == [files[0]]
    lines = []
    fetch("alice", say=lines.append)
    assert contents(data) == ["tales/a/x.bin"]
    assert (data / "tales/a/x.bin").read_bytes() == CONTENT
    assert server.requests == [("/a/x.bin", None)]
    assert len(lines) == 1
    assert lines[0].startswith(f"Study 'alice': 1 file(s), 1 to be fetched into {data}, 70,")
    assert "tales: Doe (2001). (CC BY 4.0)" in lines[0]
    assert registry.missing_files("alice") == []
    assert registry.verified_paths("alice") == {"a/x.bin": data / "tales/a/x.bin"}

    fetch("alice", say=lines.append, optional=True)
    assert contents(data) == ["tales/a/x.bin", "tales/words.txt"]
    assert server.requests[1:] == [("/words.txt", None)]
    fetch("alice", say=lines.append, optional=True)
    assert len(server.requests) == 2
    assert "2 file(s), all at hand." in lines[-1]


def test_dry_run(files, server, tmp_path):
    lines = []
    fetch("alice", dry_run=True, say=lines.append, optional=True)
    assert lines[0] == "to be fetched  70,000 bytes  CC BY 4.0  tales/a/x.bin"
    assert lines[1] == "to be fetched  size unknown  CC BY 4.0  tales/words.txt"
    assert "70,000 bytes and 1 of unknown size" in lines[2]
    assert not server.requests and not contents(tmp_path)


def test_fetch_needs_a_study(monkeypatch):
    with pytest.raises(InputError, match="Unknown study 'wonderland'; known studies are testbed,"):
        fetch("wonderland")
    lines = []
    fetch("testbed", say=lines.append)
    assert lines == ["Study 'testbed' needs no files."]


@pytest.mark.parametrize("number", [0, 1])
def test_an_interrupted_file_is_continued(files, server, data, number):
    file = files[number]
    target = data / "tales" / file.path
    whole = server.contents[f"/{file.path}"]
    server.cut = len(whole) // 2
    with pytest.raises(InputError, match="cannot be fetched.* `brainalign fetch alice.*continues"):
        download(file, target)
    assert contents(data) == [f"tales/{file.path}.part"]
    kept = (data / f"tales/{file.path}.part").stat().st_size
    assert 0 < kept <= server.cut
    server.cut = None
    download(file, target)
    assert target.read_bytes() == whole
    assert contents(data) == [f"tales/{file.path}"]
    assert server.requests == [(f"/{file.path}", None), (f"/{file.path}", f"bytes={kept}-")]


def test_a_server_that_cannot_continue_starts_over(files, server, data):
    server.ranges = False
    part = data / "tales/a/x.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT[:1000])
    fetch("alice", say=no_words)
    assert server.requests == [("/a/x.bin", "bytes=1000-")]
    assert (data / "tales/a/x.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("ranges", [True, False])
def test_no_more_is_fetched_than_expected(files, server, data, monkeypatch, number, ranges):
    monkeypatch.setattr(fetching, "_LARGEST", 100_000)
    server.endless, server.ranges = True, ranges
    part = put(data / f"tales/{files[number].path}.part", b"begun")
    with pytest.raises(InputError, match=r"has more than the (70|100),000 bytes that are expect"):
        download(files[number], part.with_suffix(""))
    assert contents(data) == []


def test_one_call_at_a_time(files, server, data):
    data.mkdir()
    with FileLock(data / ".fetch-alice.lock"):
        with pytest.raises(InputError) as caught:
            fetch("alice", say=no_words)
        assert str(caught.value) == (
            f"Another `brainalign fetch alice` is writing to {data}; call it again when that one "
            "has ended."
        )
    assert not server.requests
    fetch("alice", say=no_words)
    assert contents(data) == ["tales/a/x.bin"]


@pytest.mark.parametrize("place", ["tales", "tales/a", "tales/a/x.bin/y", "tales/a/x.bin.part/y"])
def test_something_else_is_where_a_file_should_be(files, data, place):
    put(data / place, b"")
    with pytest.raises(
        InputError, match=rf"{data} cannot take the files of study 'alice' \(.* set"
    ):
        fetch("alice", say=no_words)
    assert place in contents(data)


def test_a_data_folder_below_a_file(files, data, tmp_path, monkeypatch):
    file = put(tmp_path / "file", b"")
    monkeypatch.setenv("BRAINALIGN_DATA", str(file / "data"))
    fetch("alice", say=no_words)
    assert registry.missing_files("alice") == []
    monkeypatch.setattr("pooch.os_cache", lambda name: file / "cache")
    with pytest.raises(InputError, match="cannot take the files .*Not a directory: "):
        fetch("alice", say=no_words)


def test_a_folder_that_takes_no_files(files, data, monkeypatch):
    def refuse(file, target):
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    monkeypatch.setattr(fetching, "download", refuse)
    with pytest.raises(
        InputError, match=r"\(Permission denied: .*x\.bin\); move what is in the way"
    ):
        fetch("alice", say=no_words)


@pytest.mark.parametrize("number", [0, 1])
def test_a_part_that_is_complete_gets_its_name(files, server, data, number):
    file = files[number]
    target = data / "tales" / file.path
    target.parent.mkdir(parents=True)
    target.with_name(f"{target.name}.part").write_bytes(server.contents[f"/{file.path}"])
    download(file, target)
    assert contents(data) == [f"tales/{file.path}"]
    # Without a known size the server has to be asked, and says that there is nothing left.
    assert len(server.requests) == number


def test_wrong_content_gets_no_name(files, server, data):
    for wrong in (CONTENT[:-1] + b"x", CONTENT[:-1], CONTENT + b"x"):
        server.contents["/a/x.bin"] = wrong
        with pytest.raises(InputError, match=r"x\.bin has .* expected; what came has been deleted"):
            fetch("alice", say=no_words)
        assert contents(data) == []
    # A part of something else is given up, and the next call starts afresh.
    server.contents["/a/x.bin"] = CONTENT
    (data / "tales/a/x.bin.part").write_bytes(b"something else")
    with pytest.raises(InputError, match="sha256:"):
        fetch("alice", say=no_words)
    fetch("alice", say=no_words)
    assert contents(data) == ["tales/a/x.bin"]


def test_no_answer(files, server, data):
    del server.contents["/a/x.bin"]
    with pytest.raises(
        InputError, match=r"x\.bin cannot be fetched \(HTTPError 404\); `brainalign"
    ):
        fetch("alice", say=no_words)
    nowhere = replace(files[0], url="http://127.0.0.1:1/x.bin")
    with pytest.raises(InputError, match=r"cannot be fetched \(ConnectionError\)"):
        download(nowhere, data / "x.bin")
    assert contents(data) == []


def test_a_full_disk_is_said_as_such(files, data, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(OSError) as caught:
        fetch("alice", say=no_words)
    assert caught.value.errno == errno.ENOSPC
    assert contents(data) == []


def test_missing_files(files, data, monkeypatch):
    with pytest.raises(InputError) as caught:
        registry.verified_paths("alice")
    folders = " or ".join(map(str, registry.data_folders()))
    assert str(caught.value) == (
        f"tales/a/x.bin is not in {folders}; `brainalign fetch alice` fetches it."
    )
    with pytest.raises(InputError, match="`brainalign fetch alice --all` fetches it"):
        registry.verified_path(files[1])
    several = tuple(replace(files[0], path=f"{number}.bin") for number in range(3))
    monkeypatch.setattr(registry, "_registry", lambda: several)
    with pytest.raises(InputError, match="Study 'alice' lacks 3 of its 3 files in .*0.bin; `brain"):
        registry.verified_paths("alice")


def test_files_that_are_not_what_they_should_be(files, server, data):
    path, said = data / "tales/a/x.bin", []
    wrong_size = "has 69,999 bytes; 70,000 are expected; "
    for content, wrong in [(CONTENT[:-1], wrong_size), (CONTENT[:-1] + b"x", "has sha256:")]:
        put(path, content)
        assert registry.missing_files("alice") == []
        for refused in (
            registry.verified_paths,
            partial(fetch, say=said.append),
            partial(fetch, say=said.append, dry_run=True),
        ):
            with pytest.raises(InputError) as caught:
                refused("alice")
            text = str(caught.value)
            assert text.startswith(f"{path} {wrong}") and " expected; " in text
            assert text.endswith("delete it and call `brainalign fetch alice` to fetch it again.")
    assert files[0].checksum in text
    assert not server.requests and not said
    path.unlink()
    fetch("alice", say=no_words)
    assert registry.verified_path(files[0]) == path


def test_damaged_files_are_known_by_their_size(files, data):
    assert registry.damaged_files("alice") == []
    path = put(data / "tales/a/x.bin", CONTENT)
    put(data / "tales/words.txt", b"of unknown size")
    assert registry.damaged_files("alice") == []
    put(path, CONTENT[:-1])
    assert registry.damaged_files("alice") == [
        f"{path} has 69,999 bytes; 70,000 are expected; delete it and call `brainalign fetch alice` "
        "to fetch it again."
    ]
