"""Networks from config files, and MMEngine kept quiet."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from mmseg.registry import MODELS
from torch import nn

from benchmark.errors import BenchmarkError


def load_config(path: Path) -> Config:
    """Read an MMEngine config with its ``_base_`` files."""
    if not path.is_file():
        raise BenchmarkError(f"no segmentation config at {path}")
    try:
        return Config.fromfile(path)
    except (OSError, SyntaxError, TypeError, KeyError, ValueError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchmarkError(f"{path} is not a readable MMEngine config: {reason}") from error


def model_config(config: Config, num_classes: int, weights: Path | None = None) -> dict[str, Any]:
    """Return a config's ``model`` for ``num_classes`` classes (background included).

    ``weights``, a backbone's state dict, takes the place of the config's.
    """
    model = config.model.to_dict()
    model["decode_head"]["num_classes"] = num_classes
    class_weight = model["decode_head"].get("loss_decode", {}).get("class_weight")
    if class_weight is not None and len(class_weight) != num_classes:
        raise BenchmarkError(
            f"{config.filename}: {len(class_weight)} class weights for {num_classes} classes"
        )
    if weights is not None:
        model["backbone"]["weights"] = str(weights)
    return model


def build_model(model: dict[str, Any]) -> nn.Module:
    """Return the MMSegmentation network of a ``model_config``."""
    with DefaultScope.overwrite_default_scope("mmseg"), quiet_mmengine():
        return MODELS.build(model)


@contextmanager
def quiet_mmengine() -> Iterator[None]:
    """Silence the libraries' warnings, and drop the global objects that a Runner leaves."""
    managers = (MMLogger, MessageHub, Visualizer, DefaultScope)
    before = {manager: set(manager._instance_dict) for manager in managers}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for manager in managers:
            for name in set(manager._instance_dict) - before[manager]:
                instance = manager._instance_dict.pop(name)
                for handler in getattr(instance, "handlers", ()):
                    handler.close()
