"""The modules that a stage's fingerprint consists of, where several stages share them."""

from __future__ import annotations

from pathlib import Path

from benchmark.configs import config_modules
from benchmark.method import Method
from benchmark.provenance import own_code
from benchmark.refinement import Refinement

READING = ("benchmark.stages.inputs", "benchmark.data.voc", "benchmark.maps")
"""The code through which stages read images, masks and maps."""
TRAINING = (
    "benchmark.attention",
    "benchmark.batches",
    "benchmark.method:LabelledImages",
    "benchmark.feeding",
    "benchmark.device",
    "benchmark.backbones",
    "benchmark.data.augment",
    "benchmark.data.resident",
)
"""The code that trains attention networks and refinements."""


def method_code(method: type[Method] | type[Refinement]) -> tuple[str, ...]:
    """Return the modules a method consists of: its own, and what it imports of its own package."""
    return own_code(method.__module__)


def network_code(path: Path) -> tuple[str, ...]:
    """Return the modules behind a config: a plugin's with all that they import of their package."""
    named = config_modules(path)
    own = {module for module in named if module.split(".")[0] == "benchmark"}
    common = "benchmark.segmentation", "benchmark.device"
    return (*common, *sorted(own), *own_code(*(named - own)))


def training_code(path: Path) -> tuple[str, ...]:
    """Return what trains the segmentation network of a config."""
    return (
        "benchmark.stages.segmentation:segmentation",
        *READING,
        *network_code(path),
        "benchmark.feeding",
        "benchmark.backbones",
        "benchmark.crf",
    )


def prediction_code(path: Path, stage: str) -> tuple[str, ...]:
    """Return what segments images with the network of a config, in the function ``stage``."""
    return (
        f"benchmark.stages.segmentation:{stage}",
        "benchmark.stages.segmentation:_predicted",
        *READING,
        *network_code(path),
        "benchmark.crf",
    )
