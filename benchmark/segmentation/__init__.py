"""What MMSegmentation lacks for these experiments; importing this registers all of it.

A config needs only ``custom_imports = dict(imports=["benchmark.segmentation"])``.
"""

from __future__ import annotations

from benchmark.quiet_imports import quiet_imports

with quiet_imports():
    import mmseg.datasets
    import mmseg.models  # noqa: F401

from benchmark.configs import config_path
from benchmark.segmentation import cues, data, hooks, model  # noqa: F401
from benchmark.segmentation.inference import predict
from benchmark.segmentation.training import train_segmentation

__all__ = ["config_path", "predict", "train_segmentation"]
