"""Arrays from joblib's pickles: read to the last bit, and nothing else is read or run."""

import gzip
import io
import os
import pickle
import tracemalloc

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numbers
from joblib.numpy_pickle import NumpyArrayWrapper

from brainalign.errors import InputError
from brainalign.studies.arrays import read_joblib_array

DTYPES = st.sampled_from(["<f4", ">f4", "<f8", ">f8", "<f2", "<i8", ">i2", "|u1", "|i1", "<u4"])
SHAPES = numbers.array_shapes(min_dims=1, max_dims=4, max_side=6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("arrays")


def write(folder, content: bytes):
    path = folder / "array.gz"
    path.write_bytes(gzip.compress(content, 1))
    return path


def pickled(value, protocol: int = 4) -> bytes:
    """What joblib would write, before compression."""
    stream = io.BytesIO()
    joblib.dump(value, stream, protocol=protocol)
    return stream.getvalue()


@given(DTYPES.flatmap(lambda dtype: numbers.arrays(dtype, SHAPES)), st.booleans(), st.data())
def test_reads_what_joblib_wrote(folder, array, by_columns, data):
    array = np.asfortranarray(array) if by_columns else array
    path = folder / "written.gz"
    protocol = data.draw(st.integers(2, pickle.HIGHEST_PROTOCOL))
    joblib.dump(array, path, compress=data.draw(st.integers(1, 9)), protocol=protocol)
    found = read_joblib_array(path, max_bytes=array.nbytes)
    expected = joblib.load(path)
    assert found.dtype == expected.dtype.newbyteorder("=") and found.shape == expected.shape
    assert found.dtype.isnative and found.flags.writeable
    np.testing.assert_array_equal(found, expected)


def test_reads_arrays_without_padding(folder):
    """Up to joblib 1.1 the array followed its description at once."""
    array = np.arange(6.0).reshape(2, 3)
    wrapper = NumpyArrayWrapper(np.ndarray, array.shape, "C", array.dtype)
    del wrapper.numpy_array_alignment_bytes
    head = pickle.dumps(wrapper, protocol=3)[:-1]
    path = write(folder, head + array.tobytes() + b".")
    np.testing.assert_array_equal(read_joblib_array(path, 48), array)


class Command:
    """An object whose pickle runs a command."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def smuggled(value) -> bytes:
    """A well-formed array whose shape, or one of whose other fields, is another object."""
    wrapper = NumpyArrayWrapper(np.ndarray, (2,), "C", np.dtype("f8"))
    wrapper.shape = value
    return pickle.dumps(wrapper, protocol=4)[:-1] + bytes([0]) + np.zeros(2).tobytes() + b"."


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_runs_no_command(folder, protocol):
    mark = folder / f"mark-{protocol}"
    command = Command(mark)
    contents = [
        pickle.dumps(command, protocol),
        pickle.dumps([np.zeros(2), command], protocol),
        pickle.dumps({"shape": command}, protocol),
        smuggled(command),
        smuggled((command, 2)),
        pickled(np.zeros(2))[:-1] + pickle.dumps(command, protocol),
        pickled(np.array([command], dtype=object), max(protocol, 2)),
    ]
    for content in contents:
        path = write(folder, content)
        with pytest.raises(InputError, match=str(path)):
            read_joblib_array(path, 10_000)
    assert not mark.exists()
    os.system(f"touch {mark}")
    assert mark.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.array(["text"]),
        np.array([("a", 1)], dtype=[("name", "U1"), ("number", "i4")]),
        np.array([None, 1], dtype=object),
        np.ma.masked_array([1.0, 2.0], [True, False]),
        np.zeros(2, dtype=complex),
        np.zeros(2, dtype="M8[s]"),
        [np.zeros(2), np.zeros(2)],
        {"array": np.zeros(2)},
        [1.0, 2.0],
        np.float64(3.0),
        "text",
        None,
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_but_one_array_of_numbers_is_refused(folder, value):
    path = write(folder, pickled(value))
    with pytest.raises(InputError, match="something else than one array of numbers"):
        read_joblib_array(path, 10_000)


def test_names_the_foreign_instruction(folder):
    path = write(folder, pickle.dumps(Command("x"), protocol=4))
    with pytest.raises(InputError, match=r"joblib \((posix|nt)\.system\)"):
        read_joblib_array(path, 100)
    path = write(folder, pickle.dumps(b"bytes", protocol=4))
    with pytest.raises(InputError, match="instruction SHORT_BINBYTES"):
        read_joblib_array(path, 100)


def test_zip_bomb_is_not_expanded(folder):
    path = folder / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(100):
            stream.write(bytes(2_000_000))
    assert path.stat().st_size < 1_000_000
    tracemalloc.start()
    with pytest.raises(InputError, match="expands to more than 104,096 bytes"):
        read_joblib_array(path, 100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_array_larger_than_expected_or_than_its_file(folder):
    path = write(folder, pickled(np.zeros(100)))
    with pytest.raises(InputError, match="an array of 800 bytes; at most 799 are expected"):
        read_joblib_array(path, 799)
    path = write(folder, smuggled((2**30, 2**30, 2**30)))
    with pytest.raises(InputError, match="at most 800 are expected"):
        read_joblib_array(path, 800)


def shared(depth: int) -> tuple:
    """A tuple that names its own parts twice, again and again; to hash it would take for ever."""
    value: tuple = (1,)
    for _ in range(depth):
        value = (value, value)
    return value


def filled(state) -> bytes:
    """The wrapper of an array, filled with a value of any kind."""
    wrapper = object.__new__(NumpyArrayWrapper)
    build_and_stop = b"b."
    return pickle.dumps(wrapper, 2)[:-1] + pickle.dumps(state, 2)[:-1] + build_and_stop


@pytest.mark.parametrize("state", [shared(60), (shared(60), {"shape": 1, "order": "C"}), "text", 1])
def test_a_description_that_is_no_dictionary(folder, state):
    path = write(folder, filled(state))
    with pytest.raises(InputError, match="something else .*another kind of array"):
        read_joblib_array(path, 1000)


def test_shapes_that_are_none(folder):
    endless = shared(200)
    deep: object = ()
    for _ in range(400):
        deep = (deep,)
    for shape in [(-1, 2), (0,), (2.0,), (True,), "ab", None, endless, deep, (2**70,), (1,) * 900]:
        path = write(folder, smuggled(shape))
        with pytest.raises(InputError, match="something else than one array of numbers"):
            read_joblib_array(path, 1000)


def test_incomplete_files(folder):
    whole = gzip.compress(pickled(np.arange(1000.0)))
    path = folder / "cut.gz"
    for length in (0, 1, 9, 30, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"{path} (is not a complete gzip|holds something)"):
            read_joblib_array(path, 8000)
    path.write_bytes(pickled(np.arange(3.0)))
    with pytest.raises(InputError, match="is not a complete gzip file"):
        read_joblib_array(path, 8000)


@pytest.mark.parametrize("change", [-9, -1, 1, 8])
def test_bytes_missing_or_left_over(folder, change):
    content = pickled(np.arange(4.0))
    path = write(folder, content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(InputError, match=r"behind the description .* 33 are expected"):
        read_joblib_array(path, 32)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
def test_damaged_files_are_read_or_refused(folder, changes):
    content = bytearray(pickled(np.arange(16.0).reshape(2, 8)))
    for place, value in changes:
        content[place % len(content)] = value
    path = write(folder, bytes(content))
    try:
        array = read_joblib_array(path, 128)
    except InputError:
        return
    assert array.nbytes <= 128
