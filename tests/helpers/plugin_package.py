"""A package with a label recipe, a saliency source and a segmentation config, as if installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmark import provenance, registry
from benchmark.configs import config_path

RECIPE = '''
import numpy as np

from benchmark.proxy import Recipe
from tiny_plugin.choice import chosen


def halves(maps, classes, saliency, least=0.5):
    """The first class where it is salient."""
    found = np.zeros(saliency.shape, np.uint8)
    if len(classes):
        found[saliency > least] = chosen(classes)
    return found


RECIPE = Recipe(halves, ("saliency",), ("least",))
'''
CHOICE = """
def chosen(classes):
    return min(classes)
"""
SALIENCY = '''
from dataclasses import dataclass

import numpy as np

from benchmark.saliency.source import SaliencySource


class LeftHalf(SaliencySource):
    """The left half of every image."""

    title = "Left"

    @dataclass(frozen=True)
    class Options:
        value: float = 1.0

    def maps(self, images):
        found = []
        for image in images:
            plane = np.zeros(image.shape[:2])
            plane[:, : image.shape[1] // 2] = self.options.value
            found.append(plane)
        return found
'''
HEAD = """
from mmseg.registry import MODELS

from benchmark.segmentation.model import LargeFOVHead


@MODELS.register_module(force=True)
class TinyPluginHead(LargeFOVHead):
    pass
"""
CONFIG = """
_base_ = ["{base}"]
custom_imports = dict(imports=["benchmark.segmentation", "tiny_plugin.head"])
model = dict(decode_head=dict(type="TinyPluginHead", channels=8))
train_dataloader = dict(batch_size=2)
train_cfg = dict(max_iters=2, val_interval=2)
"""
FAMILIES = """
[tiny.my_network]
config = "my_network.py"
weights = "vgg16_slim"
"""
ENTRY_POINTS = """
[wsss_benchmark.labels]
halves = tiny_plugin.recipe:RECIPE
broken_recipe = no_such_package:RECIPE
wrong_recipe = tiny_plugin.choice:chosen

[wsss_benchmark.saliency]
left_half = tiny_plugin.saliency:LeftHalf
broken_source = no_such_package:Source
wrong_source = tiny_plugin.choice:chosen

[wsss_benchmark.segmentation_configs]
tiny_configs = tiny_plugin.configs
broken_configs = no_such_package.configs
"""
METADATA = "Metadata-Version: 2.1\nName: tiny-plugin\nVersion: 1.0\n"


def write_plugin(site: Path) -> Path:
    """Write the package and its metadata into a folder of ``sys.path``; return the package."""
    package = site / "tiny_plugin"
    base = config_path("deeplab_largefov_vgg16_scenes.py").as_posix()
    files = {
        package / "__init__.py": "",
        package / "recipe.py": RECIPE,
        package / "choice.py": CHOICE,
        package / "saliency.py": SALIENCY,
        package / "head.py": HEAD,
        package / "configs" / "__init__.py": "",
        package / "configs" / "my_network.py": CONFIG.format(base=base),
        package / "configs" / "families.toml": FAMILIES,
        site / "tiny_plugin-1.0.dist-info" / "entry_points.txt": ENTRY_POINTS,
        site / "tiny_plugin-1.0.dist-info" / "METADATA": METADATA,
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def forget_plugins(package: str) -> None:
    """Forget what was found of plugins and of their code, and that ``package`` was imported."""
    importlib.invalidate_caches()
    registry._points.cache_clear()
    provenance._module_fingerprint.cache_clear()
    provenance._own_imports.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]
