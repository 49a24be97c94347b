"""What MMSegmentation lacks for these experiments; importing this registers all of it.

A config needs only ``custom_imports = dict(imports=["benchmark.segmentation"])``.
"""

from __future__ import annotations

import contextlib
import io
import warnings

import benchmark.torchvision_schemas  # noqa: F401  (must precede mmengine's Runner)

# These imports tell, on stdout too, of optional parts that are not there and not used here.
with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
    warnings.simplefilter("ignore")
    import mmseg.datasets
    import mmseg.models  # noqa: F401

from benchmark.configs import config_path
from benchmark.segmentation import cues, data, hooks, model  # noqa: F401
from benchmark.segmentation.inference import predict
from benchmark.segmentation.training import train_segmentation

__all__ = ["config_path", "predict", "train_segmentation"]
