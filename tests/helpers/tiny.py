"""A whole profile in miniature: the real stages on a few generated images."""

from __future__ import annotations

from pathlib import Path

PROFILE = """
id = "tiny"
title = "tiny"
about = "The real stages on a few images."

[data]
kind = "scenes"
options = {{ seed = 5, train_images = 12, val_images = 6, size = 64 }}

[weights.vgg16_slim]
architecture = "vgg16"
options = {{ width = 0.25 }}
source = "package"
title = "generated objects of other classes"

[weights.resnet_slim]
architecture = "resnet"
options = {{ depth = 18, base_channels = 16 }}
source = "package"
title = "generated objects of other classes"

[attention]
weights = "vgg16_slim"
options = {{ output_stride = 8 }}
head = {{ width = 0.05, classifier_bias = -2.5 }}

[attention.recipe]
iterations = 3
batch_size = 4
side = [64, 72]
crop = 64
test_size = 64

[saliency]
kind = "network"
weights = "vgg16_slim"
options = {{ output_stride = 8 }}
recipe = {{ images = 16, size = 64, iterations = 3, batch_size = 4 }}

[segmentation.largefov_vgg16]
config = "{vgg16}"
weights = "vgg16_slim"

[segmentation.largefov_resnet101]
config = "{resnet}"
weights = "resnet_slim"
"""

CONFIG = """
_base_ = ["{base}"]
model = dict(decode_head=dict(channels=16))
train_dataloader = dict(batch_size=2)
default_hooks = dict(checkpoint=dict(interval=2))
train_cfg = dict(max_iters=6, val_interval=6)
"""


def write_profile(folder: Path) -> Path:
    """Write the profile and its segmentation configs; return the profile's path."""
    from benchmark.configs import config_path

    configs = {}
    for network in ("vgg16", "resnet"):
        base = config_path(f"deeplab_largefov_{network}_scenes.py")
        configs[network] = folder / f"tiny_{network}.py"
        configs[network].write_text(CONFIG.format(base=base))
    profile = folder / "tiny.toml"
    profile.write_text(PROFILE.format(**configs))
    return profile
