"""The published DeepLab networks that ``benchmark.segmentation`` has not; importing registers all.

A config needs only ``custom_imports = dict(imports=["benchmark.deeplab"])``.
"""

from __future__ import annotations

import benchmark.segmentation  # noqa: F401  (registers what these networks build on)
from benchmark.deeplab import resnet, scales, vgg16, wide_resnet, xception  # noqa: F401
