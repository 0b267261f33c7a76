"""Public files: what the tables say of them, how they are found, checked and fetched."""

import csv
import errno
import hashlib
import re
import shutil
import subprocess
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from byte_server import byte_server
from filelock import FileLock

from brainalign.errors import InputError
from brainalign.files import file_digest
from brainalign.studies import fetching, registry, study_names
from brainalign.studies.downloading import Unreachable
from brainalign.studies.fetching import fetch
from brainalign.studies.registry import (
    DataFile,
    corpus_files,
    data_files,
    optional_files,
    response_files,
)

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
        option="--all",
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
    assert len({(file.study, file.collection, file.path) for file in files}) == len(files)
    for file in files:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|git-blob-sha1:[0-9a-f]{40}", file.checksum)
        # Addresses are those of a commit, but for one archive that never changed.
        assert file.study == registry.GLOVE or re.search("/[0-9a-f]{40}/", file.url)
        assert file.url.startswith("https://") and file.url.endswith(file.path)
        assert file.size or file.checksum.startswith("git-blob-sha1:")
        assert file.licence and re.search(r"\(20\d\d\)", file.citation)
        mirror = file.mirrors[-1]
        name, digits = file.checksum.removeprefix("git-blob-").split(":")
        assert mirror.endswith(f"/{'sha1_git' if name == 'sha1' else name}:{digits}/raw/")
    studies = {file.study for file in files}
    assert studies - {registry.GLOVE} == {"alice", "concepts", *registry.LANGUAGES}
    assert studies - {registry.GLOVE} < set(study_names())
    assert data_files("testbed") == optional_files("testbed") == []
    for study in registry.LANGUAGES:
        assert len(data_files(study)) == 13 and len(optional_files(study)) == 10
        text = " ".join(file.path for file in data_files(study))
        language = study[-2:]
        assert f"mask_lpp_{language}.nii.gz" in text and f"isc_10trials_{language}.gz" in text
        assert f"lpp{language.upper()}_word_information.csv" in text


def rows(path) -> list[dict]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def test_tables_agree_with_the_files(real_data, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(real_data))
    listed = {(row["study"], row["path"]): row for row in rows(real_data / "files.csv")}
    for file in registry._registry():
        if file.checksum.startswith("sha256:") and file.collection not in (
            "harvard-oxford",
            "glove",
        ):
            row = listed[file.collection, file.path]
            assert file.checksum == f"sha256:{row['sha256']}"
            assert (file.url, file.size) == (row["url"], int(row["size"]))
    for study in ("alice", "petitprince-en"):
        assert registry.missing_files(study) == []
        paths = registry.verified_paths(study)
        assert list(paths) == [file.path for file in data_files(study)]


def test_git_names_of_real_files(real_data):
    listed = {row["path"]: row for row in rows(real_data / "files_git_blob_sha1.csv")}
    files = [file for file in registry._registry() if file.checksum.startswith("git-blob-sha1:")]
    name = (
        "isc_10trials_en.gz"  # the one that is small enough to have been read: its SHA-256 is known
    )
    assert {file.path for file in files} == set(listed) - {name}
    for file in files:
        assert file.checksum == f"git-blob-sha1:{listed[file.path]['git_blob_sha1']}"
        assert file.url == listed[file.path]["url"]
    for study in registry.LANGUAGES:
        language, averages = study[-2:], optional_files(study)[:9]
        assert [file.path for file in averages] == [
            f"lpp_{language}_average_subject/average_subject_run-{run}.gz" for run in range(9)
        ]
    found = file_digest(real_data / "petitprince" / name, "git-blob-sha1")
    assert found == listed[name]["git_blob_sha1"]


def test_corpus():
    everything = {file.path for study in registry.LANGUAGES for file in corpus_files(study)}
    assert len(everything) == 7313
    assert corpus_files("alice") == corpus_files("testbed") == []
    # Files of several languages: the corpus' description, and what is common to its stimuli.
    common = set.intersection(
        *({file.path for file in corpus_files(study)} for study in registry.LANGUAGES)
    )
    assert len(common) == 19 and {"README", "participants.tsv"} <= common
    for study, n_subjects, n_bytes in [  # Li et al. 2022, table 1: 49, 28 and 35 listeners
        ("petitprince-en", 49, 31.9e9),
        ("petitprince-fr", 28, 20.8e9),
        ("petitprince-cn", 35, 24.5e9),
    ]:
        subjects = registry.subject_names(study)
        assert len(subjects) == n_subjects
        assert all(re.fullmatch(rf"{study[-2:].upper()}\d\d\d", name) for name in subjects)
        responses = [response_files(study, subject) for subject in subjects]
        assert {len(files) for files in responses} == {9}
        size = sum(file.size for files in responses for file in files)
        assert size == pytest.approx(n_bytes, rel=2e-3)
    assert (
        registry.fetch_command(responses[0][0])
        == "brainalign fetch petitprince-cn --subjects CN001"
    )
    (table,) = [file for file in data_files("petitprince-fr") if file.collection == "ds003643"]
    assert table.path == "annotation/FR/lppFR_word_information.csv" and table.size == 912926
    assert registry.subject_names("alice") == []


def test_corpus_agrees_with_its_manifest(real_data):
    listed = {row["path"]: row for row in rows(real_data / "ds003643_manifest.csv")}
    studies = {language.label: study for study, language in registry.LANGUAGES.items()}
    for language, study in studies.items():
        files = corpus_files(study)
        assert {file.path for file in files} == {
            path for path, row in listed.items() if row["lang"] in (language, "")
        }
        for file in files:
            row = listed[file.path]
            assert (file.size, file.checksum) == (int(row["size_bytes"]), f"md5:{row['md5']}")
            assert (file.url, file.subject or "") == (row["https_url"], row["subject"])
            assert file.mirrors[-1].endswith(f"/2.0.7/files/{file.path.replace('/', ':')}")
            earlier = [
                f"https://s3.amazonaws.com/openneuro.org/{row['fallback_s3_key']}"
                f"?versionId={row['fallback_version_id']}"
            ]
            assert list(file.mirrors[:-1]) == (earlier if row["fallback_s3_key"] else [])
        for subject in registry.subject_names(study):
            found = [listed[file.path] for file in response_files(study, subject)]
            assert [row["section"] for row in found] == list("123456789")
            assert {row["kind"] for row in found} == {"preproc_bold"}
    n_responses = sum(row["kind"] == "preproc_bold" for row in listed.values())
    assert n_responses == 1008 == 9 * sum(len(registry.subject_names(s)) for s in studies.values())


def test_english_words_are_those_of_the_corpus(real_data):
    """The table comes from another collection; the corpus has the same file."""
    path = "annotation/EN/lppEN_word_information.csv"
    (file,) = [file for file in corpus_files("petitprince-en") if file.path == path]
    local = real_data / "petitprince-annotation" / "annotation" / "lppEN_word_information.csv"
    assert registry.difference(file, local) is None


def test_checksums_of_known_content(tmp_path):
    path = tmp_path / "x"
    for content in (b"", b"hello\n", CONTENT):
        path.write_bytes(content)
        assert file_digest(path, "sha256") == hashlib.sha256(content).hexdigest()
        assert file_digest(path, "git-blob-sha1") == git_blob(content)
        assert file_digest(path, "md5") == hashlib.md5(content).hexdigest()
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
    with pytest.raises(InputError, match="Unknown study 'wonderland'; known are testbed,"):
        fetch("wonderland")
    with pytest.raises(
        InputError, match="Study './mine' is a folder of your own; nothing is fetch"
    ):
        fetch("./mine")
    lines = []
    fetch("testbed", say=lines.append)
    assert lines == ["Study 'testbed' needs no files."]


def test_one_call_at_a_time(files, server, data):
    data.mkdir()
    with FileLock(data / ".fetch.lock"):
        with pytest.raises(InputError) as caught:
            fetch("alice", say=no_words)
        assert str(caught.value) == (
            f"Another `brainalign fetch` is writing to {data}; call it again when that one has "
            "ended."
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
    def refuse(file, target, call):
        raise PermissionError(errno.EACCES, "Permission denied", str(target))

    monkeypatch.setattr(fetching, "download", refuse)
    with pytest.raises(
        InputError, match=r"\(Permission denied: .*x\.bin\); move what is in the way"
    ):
        fetch("alice", say=no_words)


def test_files_that_cannot_be_had_do_not_keep_others_from_coming(files, server, data, monkeypatch):
    lost = [replace(files[0], path=name, url=f"{server.url}{name}") for name in ("no", "nor")]
    monkeypatch.setattr(registry, "_registry", lambda: (lost[0], files[0]))
    with pytest.raises(
        InputError, match=r"^tales/no cannot be fetched from http\S+/no \(HTTPError 4"
    ):
        fetch("alice", say=no_words)
    assert contents(data) == ["tales/a/x.bin"]
    more = replace(files[1], option="")
    monkeypatch.setattr(registry, "_registry", lambda: (*lost, more))
    with pytest.raises(
        InputError, match="^2 of 3 files cannot be fetched, such as this: tales/no "
    ):
        fetch("alice", say=no_words)
    assert contents(data) == ["tales/a/x.bin", "tales/words.txt"]


def test_nothing_more_is_asked_for_where_no_server_answers(files, server, data, monkeypatch):
    nowhere = replace(files[0], path="y.bin", url="http://127.0.0.1:1/y.bin")
    monkeypatch.setattr(registry, "_registry", lambda: (nowhere, files[0]))
    monkeypatch.setattr("brainalign.studies.downloading._PAUSE", 0)
    with pytest.raises(
        Unreachable, match=r"y\.bin cannot be fetched from http.*\(ConnectionError\)"
    ):
        fetch("alice", say=no_words, jobs=1)
    assert set(contents(data)) <= {"tales/a/x.bin"}


def test_files_come_side_by_side(server, files, data, monkeypatch):
    """Four wait for each other on the server, no more are asked for before one has come."""
    many = [replace(files[0], path=f"{k}.bin", url=f"{server.url}{k}.bin") for k in range(12)]
    server.contents |= {f"/{k}.bin": CONTENT for k in range(12)}
    server.meeting = threading.Barrier(4)
    monkeypatch.setattr(registry, "_registry", lambda: tuple(many))
    fetch("alice", say=no_words, jobs=4)
    assert len(contents(data)) == len(server.requests) == 12
    assert server.most_at_once == 4


def test_a_mirror_is_asked_first(files, server, data):
    server.contents = {"/mirror/tales/a/x.bin": CONTENT, "/words.txt": OTHER}
    fetch("alice", say=no_words, optional=True, mirror=f"{server.url}mirror/")
    assert contents(data) == ["tales/a/x.bin", "tales/words.txt"]
    assert [path for path, _ in sorted(server.requests)] == [
        "/mirror/tales/a/x.bin",
        "/mirror/tales/words.txt",
        "/words.txt",
    ]
    with pytest.raises(InputError, match="The mirror is 'lab/data'; an address with http:// or"):
        fetch("alice", mirror="lab/data")


def test_a_disk_with_too_little_space(files, server, data, monkeypatch):
    usage = shutil.disk_usage(data.parent)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage._replace(free=69_000))
    with pytest.raises(InputError) as caught:
        fetch("alice", say=no_words)
    assert str(caught.value) == (
        f"{data} has 69,000 bytes free; 70,000 are to be fetched: make room, or set "
        "BRAINALIGN_DATA to another folder."
    )
    assert not server.requests
    # What has come already needs no room.
    put(data / "tales/a/x.bin.part", CONTENT[:1000])
    fetch("alice", say=no_words)
    assert contents(data) == ["tales/a/x.bin"]


@pytest.fixture
def corpus(server, files, monkeypatch):
    """A corpus of two listeners with two runs each, served as OpenNeuro does."""
    paths = ["README", "stimuli/story.wav"]
    for subject in ("EN057", "EN058"):
        for run in (9, 10):
            name = f"sub-{subject}/func/sub-{subject}_task-lppEN_run-{run:02}"
            paths += [f"{name}_echo-1_bold.nii.gz", f"derivatives/{name}_bold.nii.gz"]
    md5 = hashlib.md5(CONTENT).hexdigest()
    row = {"size": str(len(CONTENT)), "md5": md5, "version": "v1"}
    rows = [row | {"path": path, "earlier_path": "", "earlier_version": ""} for path in paths]
    collection = {"url": f"{server.url}ds003643/", "licence": "CC0", "citation": "Li (2022)."}
    monkeypatch.setattr(registry, "_collections", lambda: {"ds003643": collection})
    found = tuple(registry._corpus_file("alice", row) for row in rows)
    monkeypatch.setattr(registry, "_corpus", lambda study: found if study == "alice" else ())
    server.contents |= {f"/ds003643/{path}?versionId=v1": CONTENT for path in paths}
    return paths


def test_fetch_subjects(corpus, server, data):
    assert registry.subject_names("alice") == ["EN057", "EN058"]
    fetch("alice", say=no_words, subjects=["sub-EN058"])
    runs = [path for path in sorted(corpus) if re.match(r"derivatives/sub-EN058", path)]
    assert contents(data) == [
        *(f"ds003643/{path}" for path in ["README", *runs]),
        "tales/a/x.bin",
    ]
    assert [file.path for file in response_files("alice", "EN058")] == runs and len(runs) == 2
    lines = []
    fetch("alice", say=lines.append, subjects=["all"], dry_run=True)
    assert sum(line.startswith("at hand") for line in lines) == 4
    assert sum(line.startswith("to be fetched  70,000 bytes  CC0") for line in lines) == 2
    assert "Study 'alice': 6 file(s), 2 to be fetched" in lines[-1] and "140,000" in lines[-1]


def test_fetch_files_by_path(corpus, data):
    fetch("alice", say=no_words, paths=["stimuli/*", "sub-EN057*run-09*"])
    raw = "sub-EN057/func/sub-EN057_task-lppEN_run-09_echo-1_bold.nii.gz"
    assert contents(data) == ["ds003643/stimuli/story.wav", f"ds003643/{raw}", "tales/a/x.bin"]
    with pytest.raises(InputError) as caught:
        fetch("alice", paths=["stimuli/boa.png"])
    assert str(caught.value) == (
        "Study 'alice' has no file 'stimuli/boa.png'; `brainalign fetch alice --files '*' "
        "--dry-run` lists all."
    )


def test_subjects_that_are_not_there(corpus):
    with pytest.raises(InputError) as caught:
        fetch("alice", subjects=["EN057", "EN59"])
    assert str(caught.value) == "Study 'alice' has no subject 'EN59'; it has EN057, EN058."
    with pytest.raises(InputError, match="'petitprince-en' has no files of single subjects to"):
        fetch("petitprince-en", subjects=["all"])


def test_a_study_in_another_language_has_files(monkeypatch):
    lines = []
    fetch("petitprince-fr", dry_run=True, subjects=["FR001"], say=lines.append)
    assert len(lines) == 1 + 13 + 7 + 9
    assert "Study 'petitprince-fr': 29 file(s), 29 to be fetched into" in lines[-1]
    assert "bytes and 1 of unknown size" in lines[-1] and "CC0" in lines[-1]


def test_a_full_disk_is_said_as_such(files, data, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pooch.HTTPDownloader.__call__", full)
    with pytest.raises(
        InputError, match=rf"{data} cannot .*\(No space left on device\); .*make room"
    ):
        fetch("alice", say=no_words)
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
