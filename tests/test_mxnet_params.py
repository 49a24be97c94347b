"""MXNet's params files: read back what a writer made from the description of the format wrote."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from benchmark.backbones import build_backbone
from benchmark.errors import BenchmarkError
from benchmark.mxnet_params import read_mxnet_params, resnet38_name
from benchmark.weights import load_backbone, load_state_dict

CODES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}


def written_array(array: np.ndarray, version: int) -> bytes:
    """Return an array as MXNet saves it; version 0 is the layout without a magic."""
    if version == 0:
        head = struct.pack(f"<I{array.ndim}I", array.ndim, *array.shape)
    else:
        magic = struct.pack("<I", {1: 0xF993FAC8, 2: 0xF993FAC9, 3: 0xF993FACA}[version])
        storage = struct.pack("<i", 0) if version >= 2 else b""
        head = magic + storage + struct.pack(f"<I{array.ndim}q", array.ndim, *array.shape)
    context = struct.pack("<ii", 2, 1)  # the second GPU
    return head + context + struct.pack("<i", CODES[array.dtype.name]) + array.tobytes()


def written(arrays: dict[str, np.ndarray], version: int = 2) -> bytes:
    parts = [struct.pack("<QQQ", 0x112, 0, len(arrays))]
    parts += [written_array(array, version) for array in arrays.values()]
    parts.append(struct.pack("<Q", len(arrays)))
    parts += [struct.pack("<Q", len(name.encode())) + name.encode() for name in arrays]
    return b"".join(parts)


ARRAYS = {
    "arg:conv1a_weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "aux:bn7_moving_mean": np.array([0.5, -1.5], np.float64),
}


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "net-0001.params"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_every_version_of_the_layout(tmp_path: Path, version: int) -> None:
    found = read_mxnet_params(saved(tmp_path, written(ARRAYS, version)))
    assert list(found) == ["conv1a_weight", "bn7_moving_mean"]
    for value, array in zip(found.values(), ARRAYS.values(), strict=True):
        assert value.numpy().dtype == array.dtype
        assert np.array_equal(value.numpy(), array)


@pytest.mark.parametrize("dtype", CODES)
def test_every_dtype(tmp_path: Path, dtype: str) -> None:
    array = np.array([[1, 2, 100]]).astype(dtype)
    found = read_mxnet_params(saved(tmp_path, written({"arg:a": array})))["a"]
    assert found.numpy().dtype == dtype
    assert np.array_equal(found.numpy(), array)


def test_bytes_written_by_hand(tmp_path: Path) -> None:
    """One float32 array [1, -2] called w, without a magic, byte by byte."""
    content = bytes.fromhex(
        "1201000000000000 0000000000000000 0100000000000000"
        "01000000 02000000 01000000 00000000 00000000 0000803f 000000c0"
        "0100000000000000 0500000000000000 6172673a77"
    )
    assert read_mxnet_params(saved(tmp_path, content))["w"].tolist() == [1, -2]


def test_empty_arrays_and_scalars(tmp_path: Path) -> None:
    """An array without dimensions ends after its shape, but for version 3, where it is a scalar."""
    nothing = struct.pack("<QQQIiI", 0x112, 0, 1, 0xF993FAC9, 0, 0)
    names = struct.pack("<QQ", 1, 1) + b"n"
    assert read_mxnet_params(saved(tmp_path, nothing + names)) == {}
    scalar = {"s": np.array(3.0, np.float32)}
    assert read_mxnet_params(saved(tmp_path, written(scalar, 3)))["s"].item() == 3
    none = {"z": np.zeros((0, 3), np.float32)}
    assert read_mxnet_params(saved(tmp_path, written(none)))["z"].shape == (0, 3)


@pytest.mark.parametrize("version", [0, 2])
def test_cut_off_anywhere_is_told_in_one_line(tmp_path: Path, version: int) -> None:
    whole = written(ARRAYS, version)
    for end in range(len(whole)):
        path = saved(tmp_path, whole[:end])
        with pytest.raises(BenchmarkError, match="not a readable MXNet params file") as error:
            read_mxnet_params(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("version", [0, 1, 2, 3])
def test_any_flipped_bit_of_a_header_is_told(tmp_path: Path, version: int) -> None:
    """The list's magic and count; the array's magic, storage type and number of dimensions."""
    whole = written(ARRAYS, version)
    array = {0: 4, 1: 8, 2: 12, 3: 12}[version]
    for byte in (*range(8), *range(16, 24 + array)):
        for bit in range(8):
            content = bytearray(whole)
            content[byte] ^= 1 << bit
            path = saved(tmp_path, bytes(content))
            with pytest.raises(BenchmarkError, match="not a readable MXNet params file"):
                read_mxnet_params(path)


@pytest.mark.parametrize("version", [0, 2])
def test_a_flipped_bit_of_the_shape_or_dtype_is_told_or_keeps_the_size(
    tmp_path: Path, version: int
) -> None:
    whole = written(ARRAYS, version)
    start = 24 + {0: 4, 2: 12}[version]
    told = 0
    for bit in range(8 * start, 8 * (24 + len(written_array(ARRAYS["arg:conv1a_weight"], 0)) - 96)):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        try:
            found = read_mxnet_params(saved(tmp_path, bytes(content)))["conv1a_weight"]
        except BenchmarkError:
            told += 1
        else:
            assert found.numel() * found.element_size() == 96
    assert told > 50


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cut off"),
        (struct.pack("<QQQ", 0x113, 0, 0), "begins with 0x113, not 0x112"),
        (struct.pack("<QQQ", 0x112, 0, 2**60), "announces"),
        (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<I", 0xF993FACB), "unknown magic"),
        (struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<Ii", 0xF993FAC9, 1), "storage type 1"),
        (
            struct.pack("<QQQ", 0x112, 0, 1)
            + struct.pack("<IiIq", 0xF993FAC9, 0, 1, -4)
            + b"0" * 9,
            "shape",
        ),
        (
            struct.pack("<QQQ", 0x112, 0, 1) + struct.pack("<IIiii", 1, 4, 1, 0, 7) + b"\0" * 99,
            "unknown dtype 7",
        ),
        (written(ARRAYS) + b"x", "1 bytes follow"),
        (written({"arg:a": np.zeros(1), "aux:a": np.zeros(1)}), "a name twice"),
        (written({"a": np.zeros(1)})[:-17] + struct.pack("<Q", 0), "1 arrays and 0 names"),
        (written({"a": np.zeros(1)})[:-1] + b"\xff", "not UTF-8"),
        (
            struct.pack("<QQQIIIiii", 0x112, 0, 1, 2, 2**32 - 1, 2**32 - 1, 1, 0, 0),
            "cut off",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        read_mxnet_params(saved(tmp_path, content))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1a_weight", "conv1a.weight"),
        ("res2a_branch1_weight", "b2.conv_branch1.weight"),
        ("res2a_branch2b1_weight", "b2.conv_branch2b1.weight"),
        ("bn2a_branch2a_gamma", "b2.bn_branch2a.weight"),
        ("res4b5_branch2a_weight", "b4_5.conv_branch2a.weight"),
        ("bn4b5_branch2b1_beta", "b4_5.bn_branch2b1.bias"),
        ("bn7a_branch2b2_moving_mean", "b7.bn_branch2b2.running_mean"),
        ("bn7_moving_var", "bn7.running_var"),
        ("linear1000_weight", "linear1000_weight"),
        ("bn2a_branch2a_weight", "bn2a_branch2a_weight"),
    ],
)
def test_names(theirs: str, ours: str) -> None:
    assert resnet38_name(theirs) == ours


def their_name(ours: str) -> str:
    """The release's name, spelled from the backbone's the other way round."""
    last = {"weight": "gamma", "bias": "beta"}
    last |= {"running_mean": "moving_mean", "running_var": "moving_var"}
    parts = ours.split(".")
    if len(parts) == 2:
        return f"{parts[0]}_{parts[1] if parts[0] == 'conv1a' else last[parts[1]]}"
    block, layer, value = parts
    kind, branch = layer.split("_")
    stage, _, unit = block[1:].partition("_")
    place = f"{stage}b{unit}" if unit else f"{stage}a"
    if kind == "conv":
        return f"res{place}_{branch}_{value}"
    return f"bn{place}_{branch}_{last[value]}"


def test_a_released_file_fills_the_whole_backbone(tmp_path: Path) -> None:
    source = build_backbone("resnet38", width=0.0625)
    state = {k: v for k, v in source.state_dict().items() if not k.endswith("batches_tracked")}
    arrays = {f"arg:{their_name(name)}": value.numpy() for name, value in state.items()}
    path = saved(tmp_path, written(arrays, version=0))
    target = build_backbone("resnet38", width=0.0625)
    load_backbone(target, load_state_dict(path), str(path))
    for name, value in target.state_dict().items():
        assert np.array_equal(value.numpy(), source.state_dict()[name].numpy()), name
