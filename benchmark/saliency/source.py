"""What a saliency source is: the one file that the author of such a plugin reads.

It tells of every image where it is salient. It is one class, found by its entry point in the group
``wsss_benchmark.saliency``::

    [project.entry-points."wsss_benchmark.saliency"]
    mine = "my_package.mine:Mine"

``--saliency mine`` puts it in the place of the profile's own saliency, and so does ``kind =
"source"`` with ``source = "mine"`` in the ``[saliency]`` of a profile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchmarkError
from benchmark.provenance import own_code
from benchmark.registry import load_plugin, parse_options, plugin_points

GROUP = "wsss_benchmark.saliency"
KIND = "saliency source"


class SaliencySource(ABC):
    """One way from images to saliency maps."""

    title: ClassVar[str]
    """Its name on protocol cards, as the papers write it, e.g. DSS."""

    @dataclass(frozen=True)
    class Options:
        """The source's own constants."""

    def __init__(self, options: Any = None) -> None:
        self.options: Any = self.Options() if options is None else options

    @abstractmethod
    def maps(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[NDArray[np.floating]]:
        """Return a map (h, w) in [0, 1] of every image (H, W, 3), RGB; it is resized to (H, W)."""


def source_names() -> tuple[str, ...]:
    """Return the names of all sources, sorted; none of them is imported."""
    return tuple(sorted(plugin_points(GROUP)))


def build_source(name: str, options: Mapping[str, Any]) -> SaliencySource:
    """Return the source with its options checked; BenchmarkError where either is wrong."""
    kind = load_source_class(name)
    return kind(parse_options(f"{KIND} '{name}'", kind.Options, options))


def load_source_class(name: str) -> type[SaliencySource]:
    """Import the source's class; BenchmarkError if it is unknown or its plugin is broken."""
    loaded: type[SaliencySource] = load_plugin(GROUP, KIND, name, SaliencySource)
    if not isinstance(getattr(loaded, "title", None), str):
        raise BenchmarkError(f"{KIND} '{name}' has no title for the protocol cards")
    return loaded


def source_code(name: str) -> tuple[str, ...]:
    """Return the modules of a source: its own, and what it imports of its own package."""
    return own_code(plugin_points(GROUP)[name].module)


def checked_maps(name: str, maps: Any, number: int) -> list[NDArray[np.float32]]:
    """Return a source's maps of ``number`` images; BenchmarkError where they are not such."""
    if not isinstance(maps, Sequence | np.ndarray):
        raise BenchmarkError(f"{KIND} {name} gives {type(maps).__name__}, not a list of maps")
    if len(maps) != number:
        raise BenchmarkError(f"{KIND} {name} gives {len(maps)} maps of {number} images")
    checked = []
    for one in maps:
        found = np.asarray(one)
        if found.ndim != 2 or not found.size or not np.issubdtype(found.dtype, np.floating):
            raise BenchmarkError(
                f"{KIND} {name} gives a map {found.dtype} {found.shape}, not floats (height, width)"
            )
        if not ((found >= 0) & (found <= 1)).all():  # written so that nan fails as well
            raise BenchmarkError(
                f"{KIND} {name}: a map leaves [0, 1]: {found.min():.3g} to {found.max():.3g}"
            )
        checked.append(found.astype(np.float32))
    return checked
