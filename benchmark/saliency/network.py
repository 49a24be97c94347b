"""A small salient-object network, trained with masks of generated objects that VOC does not have.

It stands where the papers use DSS or S-Net, which were trained on saliency masks of data other
than VOC. The ground truth of the images at hand is never seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.backbones import build_backbone
from benchmark.batches import to_tensor
from benchmark.data.augment import warped
from benchmark.data.scenes import ForeignImages, foreign_images
from benchmark.device import device, full_precision, mixed_precision
from benchmark.feeding import LossReader
from benchmark.progress import Task
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.seeding import derive
from benchmark.weights import load_backbone, load_state_dict

SALIENT_FIRST = 0.7
SALIENT_LATER = 0.8
LOWER_THE_RATE = "lower learning_rate in the profile's [saliency.recipe]"


class SaliencyNetwork(nn.Module):
    """Backbone features and a shallow stem: (B, 3, H, W) -> logits (B, 1, H, W)."""

    def __init__(self, backbone: Any, channels: int = 32) -> None:
        super().__init__()
        self.backbone = backbone
        self.stem = nn.Sequential(
            conv_norm(3, channels // 2, stride=2), conv_norm(channels // 2, channels // 2)
        )
        self.reduce = conv_norm(backbone.channels, channels)
        self.fuse = nn.Sequential(
            conv_norm(channels + channels // 2, channels), nn.Conv2d(channels, 1, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return logits at the images' size."""
        detail = self.stem(images)
        context = self.reduce(self.backbone(images))
        context = functional.interpolate(context, detail.shape[2:], mode="bilinear")
        logits = self.fuse(torch.cat([context, detail], dim=1))
        return functional.interpolate(logits, images.shape[2:], mode="bilinear")


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a 3×3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def trained_network(
    architecture: str,
    options: Mapping[str, Any],
    weights: Path,
    recipe: SaliencyRecipe,
    task: Task,
) -> tuple[SaliencyNetwork, float]:
    """Train on generated objects a network whose backbone begins with ``weights``.

    Return it with the last steps' loss. BenchmarkError where the weights are another backbone's.
    """
    torch.manual_seed(derive("saliency network", 0))
    backbone = build_backbone(architecture, **options)
    load_backbone(backbone, load_state_dict(weights), str(weights))
    network = SaliencyNetwork(backbone).to(device())
    data = foreign_images(recipe.images, recipe.size, derive("saliency images", 0))
    return network, train_saliency(network, data, recipe, 0, task)


def train_saliency(
    network: SaliencyNetwork, data: ForeignImages, recipe: SaliencyRecipe, seed: int, task: Task
) -> float:
    """Train in place with binary cross-entropy; return the last 20 steps' mean loss.

    BenchmarkError where a loss is not finite.
    """
    rng = np.random.default_rng(derive("saliency", seed))
    optimiser = torch.optim.Adam(_groups(network, recipe))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.iterations)
    network.train()
    reader = LossReader(mend=LOWER_THE_RATE)
    for step in range(recipe.iterations):
        images, masks = _batch(data, rng, recipe.batch_size)
        with mixed_precision():
            logits = network(images)
        loss = functional.binary_cross_entropy_with_logits(full_precision(logits), masks)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        reader.take(step, loss)
        task.advance(1, reader.note)
    reader.read_rest()
    return float(np.mean(list(reader.recent)[-20:]))


def _groups(network: SaliencyNetwork, recipe: SaliencyRecipe) -> list[dict[str, object]]:
    backbone = [p for p in network.backbone.parameters() if p.requires_grad]
    own = [p for name, p in network.named_parameters() if not name.startswith("backbone.")]
    return [
        {"params": backbone, "lr": recipe.learning_rate * recipe.backbone_rate},
        {"params": own, "lr": recipe.learning_rate},
    ]


def _batch(data: ForeignImages, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    chosen = rng.integers(0, len(data.images), size)
    images, masks = data.images[chosen], data.masks[chosen]
    if rng.random() < 0.5:
        images, masks = images[:, :, ::-1], masks[:, :, ::-1]
    gain = rng.uniform(0.7, 1.3, (size, 1, 1, 3))
    images = np.clip(images * gain, 0, 255).astype(np.uint8)
    target = torch.from_numpy(np.ascontiguousarray(masks)).float()[:, None]
    return to_tensor(list(images)), target.to(device())


@torch.inference_mode()
def saliency_maps(
    network: SaliencyNetwork, images: Sequence[NDArray[np.uint8]], size: int, passes: int = 1
) -> list[NDArray[np.float32]]:
    """Return one map (size, size) in [0, 1] an image: the mean over it and its mirror image.

    With more ``passes`` the hierarchical saliency of arXiv:1707.05821: what is salient takes the
    mean colour, the network looks again, and the maximum over all passes counts. Salient is what
    reaches the released code's 0.7 in the first pass, 0.8 in later ones. The code makes two
    passes, so that its 0.8 changes no map. It erases at the image's own size, we at ``size``.
    """
    network.eval()
    views = to_tensor([warped(image, size) for image in images])
    latest = _both_ways(network, views)
    found = latest
    for number in range(1, passes):
        salient = SALIENT_FIRST if number == 1 else SALIENT_LATER
        views = torch.where(latest >= salient, 0.0, views)  # normalised, the mean colour is 0
        latest = _both_ways(network, views)
        found = torch.maximum(found, latest)
    return list(found[:, 0].cpu().numpy())


def _both_ways(network: SaliencyNetwork, views: Tensor) -> Tensor:
    """Return the mean map (B, 1, H, W) of ``views`` (B, 3, H, W) and their mirror images."""
    straight = torch.sigmoid(network(views))
    mirrored = torch.sigmoid(network(views.flip(3))).flip(3)
    return (straight + mirrored) / 2
