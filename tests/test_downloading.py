"""One file from servers that are slow, broken or wrong: it comes whole, or not at all."""

import hashlib
import threading
from dataclasses import replace

import numpy as np
import pytest
from byte_server import byte_server
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainalign.errors import InputError
from brainalign.studies import downloading
from brainalign.studies.downloading import Call, Unreachable, download
from brainalign.studies.registry import DataFile

CONTENT = np.random.default_rng(1).bytes(50_000)
SHA256 = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"
BLOB = hashlib.sha1(b"blob 50000\0" + CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    monkeypatch.setattr(downloading, "_PAUSE", 0)
    monkeypatch.setattr(downloading, "_CHUNK", 1000)


@pytest.fixture
def server():
    with byte_server({"/x.bin": CONTENT}) as server:
        yield server


@pytest.fixture
def file(server):
    url = f"{server.url}x.bin"
    return DataFile("alice", "tales", "x.bin", 50_000, SHA256, url, "CC BY", "Doe (2001).")


@pytest.fixture
def target(tmp_path):
    return tmp_path / "x.bin"


def refused(file, target, call=None) -> str:
    """What is said when a file cannot be had; it has no name then."""
    with pytest.raises(InputError) as caught:
        download(file, target, call)
    assert not target.exists()
    text = str(caught.value)
    assert text.startswith("tales/x.bin cannot be fetched from http://127.0.0.1:")
    assert text.endswith("; `brainalign fetch alice` continues where this one stopped.")
    return text


def ranges(server) -> list[str | None]:
    return [wanted for _, wanted in server.requests]


# Without a size and a length, nobody can know that a transfer was truncated.
@pytest.mark.parametrize(("size", "lengths"), [(50_000, True), (50_000, False), (None, True)])
def test_a_truncated_transfer_goes_on_where_it_broke_off(file, server, target, size, lengths):
    server.cut, server.broken, server.lengths = 20_000, 2, lengths
    download(replace(file, size=size), target)
    assert target.read_bytes() == CONTENT and list(target.parent.iterdir()) == [target]
    assert ranges(server) == [None, "bytes=20000-", "bytes=40000-"]


def test_what_one_call_began_the_next_one_continues(file, server, target):
    server.cut, server.ranges = 20_000, False
    refused(file, target)
    part = downloading.part_path(target)
    assert part.read_bytes() == CONTENT[:20_000]
    server.cut, server.ranges, server.requests = None, True, []
    download(file, target)
    assert target.read_bytes() == CONTENT and not part.exists()
    assert ranges(server) == ["bytes=20000-"]


def test_a_server_that_knows_no_ranges_starts_over(file, server, target):
    server.ranges = False
    downloading.part_path(target).write_bytes(CONTENT[:1000])
    download(file, target)
    assert ranges(server) == ["bytes=1000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_breaks_off_at_the_same_byte_is_given_up(file, server, target):
    server.ranges, server.cut = False, 20_000
    with pytest.raises(Unreachable, match=r"x.bin \((ChunkedEncoding|Connection)Error\); "):
        download(file, target)
    assert len(server.requests) == 1 + downloading._ATTEMPTS
    assert downloading.part_path(target).stat().st_size == 20_000


@pytest.mark.parametrize("wrong", [CONTENT[:-1] + b"x", b"<html>Log in first</html>", b""])
def test_wrong_bytes_get_no_name(file, server, target, wrong):
    wrong = wrong or CONTENT[1:] + b"y"
    server.contents["/x.bin"] = wrong
    found = f"has sha256:{hashlib.sha256(wrong).hexdigest()}; {SHA256} is"
    if len(wrong) < len(CONTENT):
        found = f"has {len(wrong):,} bytes; 50,000 are"
    assert f"x.bin (what came {found} expected; it has been deleted); " in refused(file, target)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize(
    ("algorithm", "digits"), [("md5", hashlib.md5(CONTENT).hexdigest()), ("git-blob-sha1", BLOB)]
)
def test_other_checksums(file, server, target, algorithm, digits):
    file = replace(file, checksum=f"{algorithm}:{digits}")
    server.contents["/x.bin"] = CONTENT[::-1]
    assert f"{algorithm}:{digits} is expected" in refused(file, target)
    server.contents["/x.bin"] = CONTENT
    download(file, target)
    assert target.read_bytes() == CONTENT


def test_a_part_of_something_else_is_given_up(file, server, target):
    for other in (b"something else", b"x" * 50_000, b"x" * 60_000):
        downloading.part_path(target).write_bytes(other)
        download(file, target)
        assert target.read_bytes() == CONTENT
        target.unlink()


@pytest.mark.parametrize("size", [50_000, None])
def test_a_part_that_is_complete_gets_its_name(file, server, target, size):
    downloading.part_path(target).write_bytes(CONTENT)
    download(replace(file, size=size), target)
    assert list(target.parent.iterdir()) == [target]
    # Without a known size the server has to be asked, and says that there is nothing left.
    assert ranges(server) == ([] if size else ["bytes=50000-"])


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_taken_at_once(file, server, target, status):
    server.statuses = [status] * 9
    assert f"x.bin (HTTPError {status}); " in refused(file, target)
    assert len(server.requests) == 1 and not list(target.parent.iterdir())


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_server_in_trouble_is_asked_again(file, server, target, status):
    server.statuses = [status] * (downloading._ATTEMPTS - 1)
    download(file, target)
    assert target.read_bytes() == CONTENT
    target.unlink()
    server.statuses = [status] * 9
    assert f"(HTTPError {status})" in refused(file, target)
    assert len(server.statuses) == 9 - downloading._ATTEMPTS


def test_pauses_double(file, server, target, monkeypatch):
    waited = []

    class Patient(threading.Event):
        def wait(self, timeout=None):
            waited.append(timeout)

    monkeypatch.setattr(downloading, "_PAUSE", 1.0)
    server.statuses = [500] * 9
    refused(file, target, Call(stop=Patient()))
    assert waited == [1, 2, 4]


def test_a_stalled_transfer_is_continued(file, server, target, monkeypatch):
    monkeypatch.setattr(downloading, "_TIMEOUT", 1)
    server.cut, server.broken, server.stall = 30_000, 1, True
    download(file, target)
    assert target.read_bytes() == CONTENT
    assert len(server.requests) == 2
    assert server.requests[1][1].startswith("bytes=")


def test_a_server_that_only_stalls_is_given_up(file, server, target, monkeypatch):
    monkeypatch.setattr(downloading, "_TIMEOUT", 0.1)
    server.cut, server.stall = 0, True
    assert "x.bin (ConnectionError)" in refused(file, target)
    assert not list(target.parent.iterdir())


def test_a_redirect_is_followed(file, server, target):
    server.redirects["/moved"] = f"{server.url}x.bin"
    server.cut, server.broken = 20_000, 1
    download(replace(file, url=f"{server.url}moved"), target)
    assert target.read_bytes() == CONTENT
    assert server.requests[-2:] == [("/moved", "bytes=20000-"), ("/x.bin", "bytes=20000-")]


def test_a_redirect_to_itself_is_given_up(file, server, target):
    server.redirects["/x.bin"] = f"{server.url}x.bin"
    assert "x.bin (TooManyRedirects 302)" in refused(file, target)


@pytest.mark.parametrize("size", [50_000, None])
@pytest.mark.parametrize("answers_ranges", [True, False])
def test_no_more_is_fetched_than_expected(file, server, target, monkeypatch, size, answers_ranges):
    monkeypatch.setattr(downloading, "_LARGEST", 100_000)
    server.endless, server.ranges = True, answers_ranges
    downloading.part_path(target).write_bytes(CONTENT[:5])
    text = refused(replace(file, size=size), target)
    assert f"it has more than the {size or 100_000:,} bytes that are expected" in text
    assert not list(target.parent.iterdir())


def test_mirrors_are_asked_in_turn(file, server, target):
    urls = [f"{server.url}{name}" for name in ("none", "wrong", "x.bin")]
    server.contents["/wrong"] = CONTENT[::-1]
    download(replace(file, url=urls[0], mirrors=tuple(urls[1:])), target)
    assert target.read_bytes() == CONTENT
    assert [path for path, _ in server.requests] == ["/none", "/wrong", "/x.bin"]
    target.unlink()
    text = refused(replace(file, url=urls[0], mirrors=(urls[1],)), target)
    assert f"{urls[0]} (HTTPError 404), {urls[1]} (what came has sha256:" in text


def test_a_mirror_continues_what_another_one_began(file, server, target):
    server.cut, server.ranges = 20_000, False
    with byte_server({"/y.bin": CONTENT}) as mirror:
        download(replace(file, mirrors=(f"{mirror.url}y.bin",)), target)
        assert mirror.requests == [("/y.bin", "bytes=20000-")]
    assert target.read_bytes() == CONTENT


def test_no_server_at_all(file, target):
    nowhere = replace(file, url="http://127.0.0.1:1/x.bin")
    with pytest.raises(Unreachable, match=r"127.0.0.1:1/x.bin \(ConnectionError\)"):
        download(nowhere, target)
    assert not list(target.parent.iterdir())


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_a_proxy_is_used(file, server, target, monkeypatch, name):
    for other in ("HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, server.url)
    server.contents = {"http://tales.invalid/x.bin": CONTENT}
    download(replace(file, url="http://tales.invalid/x.bin"), target)
    assert target.read_bytes() == CONTENT
    assert server.requests == [("http://tales.invalid/x.bin", None)]


def test_a_stopped_call_keeps_what_has_come(file, server, target):
    call = Call()

    def count(n_bytes: int) -> None:
        if n_bytes:
            call.stop.set()

    with pytest.raises(downloading._Stopped):
        download(file, target, replace(call, count=count))
    assert downloading.part_path(target).read_bytes() == CONTENT[:1000]
    with pytest.raises(downloading._Stopped):
        download(file, target, call)
    assert not target.exists()


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    statuses=st.lists(st.sampled_from([500, 503, 429]), max_size=3),
    cut=st.integers(1, 60_000),
    broken=st.integers(0, 3),
    begun=st.integers(0, 60_000),
    right=st.booleans(),
    answers_ranges=st.booleans(),
    lengths=st.booleans(),
)
def test_whatever_happens_a_file_comes_whole_and_is_counted_once(
    file, server, target, statuses, cut, broken, begun, right, answers_ranges, lengths
):
    server.statuses, server.cut, server.broken = statuses, cut, broken
    server.ranges, server.lengths = answers_ranges, lengths
    target.unlink(missing_ok=True)
    before = (CONTENT * 2 if right else CONTENT[::-1] * 2)[:begun]
    downloading.part_path(target).write_bytes(before)
    counted = [len(before)]
    # Three broken and three refused connections in a row at most are more than one address gets.
    download(replace(file, mirrors=(file.url, file.url)), target, Call(count=counted.append))
    assert target.read_bytes() == CONTENT
    assert sum(counted) == len(CONTENT)
