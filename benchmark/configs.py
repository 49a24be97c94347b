"""Where the MMEngine config files are, and what a config's result depends on."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
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
    """Return the sha256 of a config and of every ``_base_`` it builds on.

    BenchmarkError where one of them is missing, is not Python, or builds on itself.
    """
    with _mistakes_told(path):
        return _config_digest(path)


def _config_digest(path: Path) -> str:
    source = path.read_bytes()
    digest = hashlib.sha256(source)
    for base in _bases(source):
        digest.update(_config_digest((path.parent / base).resolve()).encode())
    return digest.hexdigest()


def config_modules(path: Path) -> set[str]:
    """Return the modules that a config and its ``_base_`` name in ``custom_imports``.

    Raises BenchmarkError as ``config_digest`` does.
    """
    with _mistakes_told(path):
        return _config_modules(path)


def _config_modules(path: Path) -> set[str]:
    source = path.read_bytes()
    value = _assigned(source, "custom_imports")
    names: set[str] = set()
    if isinstance(value, ast.Call):
        listed = {keyword.arg: keyword.value for keyword in value.keywords}.get("imports")
        names.update(ast.literal_eval(listed) if listed is not None else ())
    for base in _bases(source):
        names |= _config_modules((path.parent / base).resolve())
    return names


@contextmanager
def _mistakes_told(path: Path) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        raise BenchmarkError(f"segmentation config {path}: its _base_ leads to itself") from error
    except (OSError, SyntaxError, TypeError, ValueError) as error:
        raise BenchmarkError(f"segmentation config {path} cannot be read: {error}") from error


def _bases(source: bytes) -> list[str]:
    node = _assigned(source, "_base_")
    value = ast.literal_eval(node) if node is not None else []
    return [value] if isinstance(value, str) else list(value)


def _assigned(source: bytes, name: str) -> ast.expr | None:
    """Return what a config assigns to ``name``; None where it does not."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node.value
    return None
