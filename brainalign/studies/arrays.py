"""Arrays that joblib has pickled, read without unpickling anything.

A pickle is a program; running one from elsewhere runs whatever it says. Here the few instructions
by which joblib describes an array are followed one by one, on a stack of plain values, and any
other instruction is refused. Nothing is imported or called.
"""

import gzip
import io
import math
import pickletools
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from brainalign.errors import InputError

_WRAPPER = ("global", "joblib.numpy_pickle", "NumpyArrayWrapper")
_NDARRAY = ("global", "numpy", "ndarray")
_DTYPE = ("global", "numpy", "dtype")
_FIELDS = {"subclass", "shape", "order", "dtype", "allow_mmap", "numpy_array_alignment_bytes"}
# Integers and floats of at most eight bytes; no objects, records or strings.
_NUMBERS = re.compile(r"[iu][1248]|f[248]")
_MAX_DIMENSIONS = 8
# Instructions that describe an array take some 250 bytes.
_HEADER_BYTES = 4096
_MARK = object()
_IGNORED = {"PROTO", "FRAME"}
_VALUES = {"BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_joblib_array(path: Path, max_bytes: int) -> np.ndarray:
    """Read an array of numbers from a file made by `joblib.dump(array, "x.gz")`.

    Parameters
    ----------
    path
        The file, compressed with gzip.
    max_bytes
        Size of the largest array that is accepted; no more than that is decompressed.

    Returns
    -------
    numpy.ndarray
        In native byte order.

    Raises
    ------
    InputError
        Where the file is not gzip, is truncated, expands beyond `max_bytes`, or holds anything
        else than one array of integers or floats.
    """
    content = _decompress(path, max_bytes + _HEADER_BYTES)
    try:
        state, start = _read_header(content)
        dtype, shape, order = _array_type(state)
        start = _skip_padding(content, start, state)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} holds something else than one array of numbers written by joblib ({error}); "
            "it is not read."
        ) from error
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        raise InputError(
            f"{path} holds an array of {size:,} bytes; at most {max_bytes:,} are expected."
        )
    # A full stop ends a pickle.
    if content[start + size :] != b".":
        raise InputError(
            f"{path} has {len(content) - start:,} bytes behind the description of its array, which "
            f"is of shape {shape}; {size + 1:,} are expected."
        )
    array = np.frombuffer(content, dtype, math.prod(shape), start).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="))


def _decompress(path: Path, limit: int) -> bytes:
    try:
        with gzip.open(path) as stream:
            content = stream.read(limit + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(
            f"{path} is not a complete gzip file ({error}); delete it and fetch it again."
        ) from error
    if len(content) > limit:
        raise InputError(f"{path} expands to more than {limit:,} bytes; it is not read.")
    return content


def _read_header(content: bytes) -> tuple[Any, int]:
    """Description of the array, and where its padding or its first byte stands."""
    stream = io.BytesIO(content[:_HEADER_BYTES])
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == "BUILD" and len(stack) == 2:
            # Nothing but the wrapper of an array, and what it is filled with.
            if stack[0] != ("made", _WRAPPER, ()):
                raise ValueError("another object")
            return stack[1], stream.tell()
        if name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name not in _IGNORED:
            _follow(name, argument, stack)
    raise ValueError("no array")


def _follow(name: str, argument: Any, stack: list[Any]) -> None:
    """Do what one instruction says to the stack; what would be called is only written down."""
    if name in _VALUES:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name == "EMPTY_DICT":
        stack.append({})
    elif name == "MARK":
        stack.append(_MARK)
    elif name in _TUPLES:
        stack.append(_pop(stack, _TUPLES[name]))
    elif name == "TUPLE":
        stack.append(_pop_to_mark(stack))
    elif name == "SETITEMS":
        values = _pop_to_mark(stack)
        stack[-1].update(zip(map(_string, values[::2]), values[1::2], strict=True))
    elif name == "GLOBAL":
        stack.append(_admitted(*argument.split(" ")))
    elif name == "STACK_GLOBAL":
        stack.append(_admitted(*_pop(stack, 2)))
    elif name in ("NEWOBJ", "REDUCE"):
        stack.append(("made", *_pop(stack, 2)))
    elif name == "BUILD":
        stack.append(("built", *_pop(stack, 2)))
    else:
        raise ValueError(f"instruction {name}")


def _pop(stack: list[Any], count: int) -> tuple[Any, ...]:
    values = tuple(stack[-count:])
    del stack[-count:]
    if len(values) < count or any(value is _MARK for value in values):
        raise ValueError("a stack that is too short")
    return values


def _pop_to_mark(stack: list[Any]) -> tuple[Any, ...]:
    marks = [place for place, value in enumerate(stack) if value is _MARK]
    values = tuple(stack[marks[-1] + 1 :])
    del stack[marks[-1] :]
    return values


def _string(value: Any) -> str:
    """The value itself, if it is a string.

    Tuples of tuples that share their parts take for ever to hash, compare or print, so that
    nothing else of what the file made is ever hashed or shown.
    """
    if not isinstance(value, str):
        raise ValueError("a name that is no string")
    return value


def _admitted(module: Any, name: Any) -> tuple[str, str, str]:
    found = ("global", _string(module), _string(name))
    if found not in (_WRAPPER, _NDARRAY, _DTYPE):
        raise ValueError(f"{module}.{name}")
    return found


def _array_type(state: Any) -> tuple[np.dtype, tuple[int, ...], str]:
    """Type, shape and order of the array, each checked."""
    # Anything else is not looked into, see `_string`.
    if not isinstance(state, dict) or set(state) - _FIELDS or state["subclass"] != _NDARRAY:
        raise ValueError("another kind of array")
    built, (made, what, (code, *_)), (version, byte_order, *rest) = state["dtype"]
    if (built, made, what, version) != ("built", "made", _DTYPE, 3) or rest[:3] != [None] * 3:
        raise ValueError("another kind of dtype")
    if not _NUMBERS.fullmatch(_string(code)) or _string(byte_order) not in ("<", ">", "|"):
        raise ValueError(f"numbers of type {code!r}")
    shape, order = state["shape"], state["order"]
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError("another kind of shape")
    if _string(order) not in ("C", "F"):
        raise ValueError(f"order {order!r}")
    return np.dtype(byte_order + code), tuple(shape), order


def _skip_padding(content: bytes, start: int, state: dict[str, Any]) -> int:
    """Where the array begins: newer versions of joblib align it, and say by how much."""
    return start + 1 + content[start] if "numpy_array_alignment_bytes" in state else start
