"""Zip archives: what is in them comes out, and what is made to do harm does not."""

import io
import stat
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brainalign.archives import member_names, open_member, read_member
from brainalign.errors import InputError

LINES = "".join(f"form{n} {n / 7:.4f}\n" for n in range(2000)).encode()


def write(path, members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_content_comes_out_and_nothing_is_unpacked(tmp_path):
    path = write(tmp_path / "a.zip", [("folder/", b""), ("folder/x.txt", LINES), ("y", b"")])
    assert member_names(path) == ["folder/x.txt", "y"]
    assert read_member(path, "folder/x.txt", len(LINES)) == LINES
    assert read_member(path, "y", 0) == b""
    with open_member(path, "folder/x.txt", 10**6) as stream:
        lines = list(io.TextIOWrapper(stream, encoding="utf-8"))
    assert "".join(lines).encode() == LINES and len(lines) == 2000
    assert [found.name for found in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a/..", "..", "..\\x", "\\x", "C:\\x", "c:x"]
)
def test_paths_that_lead_out(tmp_path, name):
    path = write(tmp_path / "a.zip", [("good", b"1"), (name, b"2")])
    for read in (lambda: member_names(path), lambda: read_member(path, "good", 10)):
        with pytest.raises(InputError, match="a path that leads out of the archive; it is not"):
            read()


def test_names_with_dots_are_harmless(tmp_path):
    names = ["..a/b..", "a..b", ".hidden", "a/...", "b:c"]
    with pytest.raises(InputError, match="leads out"):
        member_names(write(tmp_path / "a.zip", [(name, b"") for name in names]))
    assert (
        member_names(write(tmp_path / "b.zip", [(name, b"") for name in names[:-1]])) == names[:-1]
    )


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links(tmp_path, kind):
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, (kind | 0o777) << 16
    path = write(tmp_path / "a.zip", [(info, b"/etc/passwd"), ("good", b"1")])
    with pytest.raises(InputError, match="'link', a link or another special file"):
        read_member(path, "good", 10)


def test_two_files_of_one_name(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        path = write(tmp_path / "a.zip", [("x", b"1"), ("x", b"2")])
    with pytest.raises(InputError, match="holds 'x' twice"):
        member_names(path)


def test_encrypted(tmp_path):
    path = write(tmp_path / "a.zip", [("x", b"secret")])
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    path.write_bytes(content)
    assert member_names(path) == ["x"]
    with pytest.raises(InputError, match="holds 'x', which is encrypted; an archive without"):
        read_member(path, "x", 100)


def test_bombs(tmp_path):
    path = write(tmp_path / "a.zip", [("zeros", b"\0" * 10**7), ("lines", LINES)])
    with pytest.raises(InputError, match="expands to 10,000,000 bytes; at most 1,000 are"):
        read_member(path, "zeros", 1000)
    with pytest.raises(InputError, match=r"from [\d,]+ to 10,000,000 bytes, more than 200 times"):
        read_member(path, "zeros", 10**9)
    with pytest.raises(InputError, match="at most 100 are expected"):
        read_member(path, "lines", 100)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = write(tmp_path / "b.zip", [("x", b"\0" * 10**6)], method)
        with pytest.raises(InputError, match=f"by method {method}; deflate is expected"):
            read_member(path, "x", 10**9)


def test_a_bomb_that_states_a_small_size(tmp_path):
    path = write(tmp_path / "a.zip", [("x", np.random.default_rng(0).bytes(5000) + b"\0" * 10**6)])
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 6000)
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged in 'x' .*CRC"):
        read_member(path, "x", 10**9)


def test_a_bomb_that_states_a_small_size_does_not_expand_in_memory(tmp_path):
    path = write(tmp_path / "a.zip", [("x", b"\0" * 10**8)])
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", content, content.index(signature) + offset, 50_000)
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="is damaged in 'x'"):
            read_member(path, "x", 100_000)
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


def test_what_is_no_archive(tmp_path):
    path = write(tmp_path / "a.zip", [("x", LINES)])
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match="a.zip is not a complete zip archive"):
            member_names(path)
    with pytest.raises(InputError, match="There is no file .*b.zip; a zip archive is expected"):
        member_names(tmp_path / "b.zip")
    path.write_bytes(whole)
    with pytest.raises(InputError, match="has no file 'z'"):
        read_member(path, "z", 10)


def test_errors_of_the_reader_stay_its_own(tmp_path):
    path = write(tmp_path / "a.zip", [("x", b"\xff")])
    with pytest.raises(UnicodeDecodeError), open_member(path, "x", 10) as stream:
        stream.read().decode()


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), value=st.integers(0, 255), cut=st.integers(0, 20))
def test_a_changed_archive_gives_its_content_or_one_sentence(tmp_path, place, value, cut):
    path = write(tmp_path / "a.zip", [("x", LINES[:300])])
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] = value
    del content[place : place + cut if cut > 10 else place]
    path.write_bytes(content)
    try:
        found = {name: read_member(path, name, 10**4) for name in member_names(path)}
    except InputError as error:
        assert str(path) in str(error) and "\n" not in str(error)
    else:
        assert set(found.values()) <= {LINES[:300]}
