"""Reads MXNet's ``.params`` files without MXNet: plain arrays, nothing in them is ever run.

The layout, little-endian, of a list of arrays with names::

    uint64 0x112, uint64 reserved, uint64 count, the arrays, uint64 count, the names
    name:  uint64 length, UTF-8
    array: uint32 magic, (version 2 and 3) int32 storage type, shape, context, int32 dtype, values
    shape: uint32 number of dimensions, and as many int64
    context: int32 device type, int32 device number

Before version 1 an array had no magic: it began with its shape, whose dimensions were uint32.
"""

from __future__ import annotations

import math
import re
import struct
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.errors import BenchmarkError

LIST_MAGIC = 0x112
VERSION_1, VERSION_2, VERSION_3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
DENSE = 0
DTYPES = {0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8"}
MOST_DIMENSIONS = 32
"""Of NumPy's arrays in every version; a larger number means that the file is of another kind."""

BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_var": "running_var",
}
_UNIT = re.compile(r"(res|bn)(\d)(?:a|b(\d+))_(branch\w+?)_(weight|gamma|beta|moving_(?:mean|var))")


def read_mxnet_params(path: Path) -> dict[str, Tensor]:
    """Return the arrays of a ``.params`` file by name, without MXNet's ``arg:`` and ``aux:``.

    Raises BenchmarkError where the file is cut off, of another kind, or has names twice.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchmarkError(f"cannot read {path}: {error.strerror}") from error
    try:
        return _parse(_Reader(content))
    except _FormatError as error:
        raise BenchmarkError(f"{path} is not a readable MXNet params file: {error}") from error


def resnet38_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with the names of Wide ResNet-38's MXNet release turned into the backbone's.

    Other names, the classifier's (``linear1000_weight``) among them, stay as they are.
    """
    return {resnet38_name(name): value for name, value in state.items()}


def resnet38_name(name: str) -> str:
    """Turn ``res2b1_branch2a_weight`` into ``b2_1.conv_branch2a.weight``, and so on."""
    if name == "conv1a_weight":
        return "conv1a.weight"
    if name.startswith("bn7_") and name[4:] in BATCH_NORM:
        return f"bn7.{BATCH_NORM[name[4:]]}"
    found = _UNIT.fullmatch(name)
    if found is None:
        return name
    kind, stage, unit, branch, last = found.groups()
    if (kind == "res") != (last == "weight"):
        return name
    block = f"b{stage}" if unit is None else f"b{stage}_{unit}"
    layer = "conv" if kind == "res" else "bn"
    return f"{block}.{layer}_{branch}.{BATCH_NORM.get(last, last)}"


class _FormatError(Exception):
    """What about the bytes is wrong."""


class _Reader:
    """Takes values off the front of some bytes, never past their end."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.place = 0

    def take(self, size: int) -> bytes:
        if size > len(self.content) - self.place:
            raise _FormatError(
                f"{size} bytes wanted at byte {self.place}, "
                f"but it ends at byte {len(self.content)}: cut off?"
            )
        self.place += size
        return self.content[self.place - size : self.place]

    def numbers(self, kind: str, count: int = 1) -> tuple[int, ...]:
        layout = f"<{count}{kind}"
        return struct.unpack(layout, self.take(struct.calcsize(layout)))

    def number(self, kind: str) -> int:
        return self.numbers(kind)[0]


def _parse(reader: _Reader) -> dict[str, Tensor]:
    magic, _ = reader.numbers("Q", 2)
    if magic != LIST_MAGIC:
        raise _FormatError(f"it begins with {magic:#x}, not {LIST_MAGIC:#x}")
    arrays = [_array(reader) for _ in range(_count(reader))]
    names = [_name(reader) for _ in range(_count(reader))]
    if len(names) != len(arrays):
        raise _FormatError(f"it has {len(arrays)} arrays and {len(names)} names")
    if reader.place != len(reader.content):
        raise _FormatError(f"{len(reader.content) - reader.place} bytes follow its end")
    found = {
        name: torch.from_numpy(array)
        for name, array in zip(names, arrays, strict=True)
        if array is not None
    }
    if len(set(names)) != len(names):
        raise _FormatError("it has a name twice")
    return found


def _count(reader: _Reader) -> int:
    count = reader.number("Q")
    if count > len(reader.content):  # each takes a byte at least
        raise _FormatError(f"it announces {count} arrays or names")
    return count


def _name(reader: _Reader) -> str:
    try:
        name = reader.take(reader.number("Q")).decode()
    except UnicodeDecodeError as error:
        raise _FormatError("a name is not UTF-8") from error
    return name.removeprefix("arg:").removeprefix("aux:")


def _array(reader: _Reader) -> NDArray[np.generic] | None:
    """Return the next array; None where it was saved empty, with no dimensions and no values."""
    magic = reader.number("I")
    if magic in (VERSION_2, VERSION_3):
        storage = reader.number("i")
        if storage != DENSE:
            raise _FormatError(f"an array has storage type {storage}; only dense (0) is read")
    versioned = magic in (VERSION_1, VERSION_2, VERSION_3)
    dimensions = reader.number("I") if versioned else magic
    if dimensions > MOST_DIMENSIONS:
        raise _FormatError(f"an array has {dimensions} dimensions, or an unknown magic")
    shape = reader.numbers("q" if versioned else "I", dimensions)
    if dimensions == 0 and magic != VERSION_3:
        return None
    return _values(reader, shape)


def _values(reader: _Reader, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if min(shape, default=0) < 0:
        raise _FormatError(f"an array has the shape {shape}")
    reader.numbers("i", 2)  # the device that it lay on
    code = reader.number("i")
    if code not in DTYPES:
        raise _FormatError(f"an array has the unknown dtype {code}")
    dtype = np.dtype(DTYPES[code])
    values = np.frombuffer(reader.take(math.prod(shape) * dtype.itemsize), dtype)
    return values.reshape(shape).copy()  # bytes cannot be written to
