"""Where the MMEngine config files are, and what a config's digest covers."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from pathlib import Path

from benchmark.errors import BenchmarkError


def config_path(name: str) -> Path:
    """Return the path of a config: ``mmseg_configs/NAME``, or a file of the user's own.

    Raises BenchmarkError if there is no such file.
    """
    if (own := Path(name)).is_absolute() and own.is_file():
        return own
    spec = importlib.util.find_spec("mmseg_configs")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        if (path := Path(folder) / name).is_file():
            return path
    raise BenchmarkError(f"no segmentation config mmseg_configs/{name}")


def config_digest(path: Path) -> str:
    """Return the sha256 of a config and of every ``_base_`` it builds on."""
    source = path.read_bytes()
    digest = hashlib.sha256(source)
    for base in _bases(source):
        digest.update(config_digest((path.parent / base).resolve()).encode())
    return digest.hexdigest()


def _bases(source: bytes) -> list[str]:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            value = ast.literal_eval(node.value)
            return [value] if isinstance(value, str) else list(value)
    return []
