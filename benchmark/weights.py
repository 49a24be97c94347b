"""Reading and writing network weights: tensors only, and every mistake told in one line."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor, nn

from benchmark.errors import BenchmarkError
from benchmark.mxnet_params import read_mxnet_params, resnet38_names
from benchmark.store import write_atomic

StateDict = dict[str, Tensor]


def load_state_dict(path: Path | str) -> StateDict:
    """Return the tensors of a ``.safetensors`` file, or of a torch file that holds nothing else.

    A torch file may wrap its tensors in ``{"state_dict": ...}``. Code in it is never run. Of an
    MXNet ``.params`` file, the names of Wide ResNet-38 are turned into those of our backbone.
    """
    path = Path(path)
    if not path.is_file():
        raise BenchmarkError(f"no weights file at {path}: give the path of an existing file")
    state = _READERS.get(path.suffix, _read_torch)(path)
    if not isinstance(state, dict):
        raise BenchmarkError(f"{path} holds no state dict (a mapping of names to tensors)")
    inner = state.get("state_dict", state)
    tensors = inner if isinstance(inner, dict) else state
    for key, value in tensors.items():
        if not isinstance(value, Tensor):
            raise BenchmarkError(f"{path} is no plain state dict: {key!r} is not a tensor")
    if not tensors:
        raise BenchmarkError(f"{path} holds no tensor")
    return dict(tensors)


def _read_safetensors(path: Path) -> StateDict:
    try:
        return parse_safetensors(path.read_bytes())
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise BenchmarkError(f"{path} is not a readable safetensors file: {error}") from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise BenchmarkError(
            f"{path} is no torch file of tensors alone: export its state dict as safetensors"
        ) from error
    except Exception as error:  # a damaged file can fail at any byte of it
        reason = str(error).splitlines()[0] if str(error) else "truncated"
        raise BenchmarkError(f"{path} is not a readable torch file: {reason}") from error


def _read_mxnet(path: Path) -> StateDict:
    return resnet38_names(read_mxnet_params(path))


_READERS: dict[str, Callable[[Path], object]] = {
    ".safetensors": _read_safetensors,
    ".params": _read_mxnet,
}


def load_backbone(module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Copy into ``module`` its own keys of ``state``; keys it has not (classifiers) are ignored.

    Args:
        module: The network to fill.
        state: A state dict in the module's key layout.
        source: Where the state came from, for the message.

    Raises:
        BenchmarkError: A key of the module is missing, has another shape or is not finite.
    """
    own = module.state_dict()
    for key, value in own.items():
        if key.endswith("num_batches_tracked"):  # a counter that old files do not have
            continue
        if key not in state:
            raise BenchmarkError(
                f"{source} lacks {key!r} (expected shape {tuple(value.shape)}): "
                "these weights are of another network"
            )
        if state[key].shape != value.shape:
            raise BenchmarkError(
                f"{source}: {key!r} has shape {tuple(state[key].shape)}, "
                f"expected {tuple(value.shape)}: these weights are of another width or network"
            )
        if not state[key].isfinite().all():
            raise BenchmarkError(f"{source}: {key!r} holds values that are not finite numbers")
    module.load_state_dict({key: state.get(key, value) for key, value in own.items()})


def save_state_dict(
    path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors as safetensors, whole or not at all."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_atomic(path, format_safetensors(tensors, metadata=dict(metadata or {})))
