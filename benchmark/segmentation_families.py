"""Segmentation networks of other packages: their configs, and for which profiles they are.

Another package adds some by naming, in the entry point group
``wsss_benchmark.segmentation_configs``, one of its packages::

    [project.entry-points."wsss_benchmark.segmentation_configs"]
    mine = "my_package.configs"

In it lie MMEngine configs (``*.py``), which may build on one another by ``_base_``, and a
``families.toml`` that says what a table's rows call them, profile by profile::

    [scenes.my_network]
    config = "my_network_scenes.py"
    weights = "resnet_slim"

A profile's own families keep their names. A package that is broken is left out and told of by
``python -m benchmark list segmentations``.
"""

from __future__ import annotations

import importlib.util
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark.errors import BenchmarkError
from benchmark.registry import plugin_points

GROUP = "wsss_benchmark.segmentation_configs"
FAMILIES = "families.toml"


@dataclass(frozen=True)
class ConfigPackage:
    """One package of configs: where it lies and its families by profile, or why it is broken."""

    name: str
    value: str
    folder: Path | None = None
    families: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    reason: str = ""


def config_packages() -> Iterator[ConfigPackage]:
    """Yield every package of configs, sorted by name; a broken one has a reason."""
    for name, point in sorted(plugin_points(GROUP).items()):
        try:
            folder = _folder(point.value)
            families = _families(folder / FAMILIES)
        except BenchmarkError as error:
            yield ConfigPackage(name, point.value, reason=str(error))
            continue
        yield ConfigPackage(name, point.value, folder, families)


def _folder(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # the package above it is imported for this: it may fail in any way
        raise BenchmarkError(f"{type(error).__name__}: {error}") from error
    folders = list((spec and spec.submodule_search_locations) or ())
    if not folders:
        raise BenchmarkError(f"there is no package {package}")
    return Path(folders[0])


def _families(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """Return profile -> family -> its keys."""
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: not valid TOML: {error}") from error
    for profile, families in told.items():
        tables = families.values() if isinstance(families, dict) else [None]
        if not all(isinstance(family, dict) for family in tables):
            raise BenchmarkError(f"{path}: write [{profile}.FAMILY] with its config and weights")
    return told
