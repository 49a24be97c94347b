"""Makes the slim weights that the package ships: what ImageNet and DSS are to the papers' networks.

The images are generated objects of classes that VOC does not have, learned with their kinds and
their masks; nothing of VOC is seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.backbones import build_backbone
from benchmark.batches import to_tensor
from benchmark.data.augment import training_crop
from benchmark.data.scenes import ForeignImages, foreign_images
from benchmark.device import device, mixed_precision
from benchmark.errors import BenchmarkError
from benchmark.profiles import Profile, Weights, load_profile, profile_ids
from benchmark.progress import Progress
from benchmark.registry import near_name, parse_options
from benchmark.saliency.network import saliency_maps, trained_network
from benchmark.saliency.recipe import SaliencyRecipe
from benchmark.seeding import derive
from benchmark.user_files import shipped_weights
from benchmark.weights import save_state_dict

HELD_OUT = 500
SIZE = 96
SMALL = 64
SMALL_SHARE = 0.7
"""The first share of the steps sees SMALL-pixel crops: most of the learning at half the cost."""
BATCH = 32
LEARNING_RATE = 3e-3


@dataclass(frozen=True)
class Schedule:
    """How many images are seen, and in how many steps."""

    images: int = 6000
    iterations: int = 2400


SCHEDULES = {"vgg16_slim": Schedule(images=9000, iterations=4000), "resnet_slim": Schedule()}


def make_weights(name: str, out: Path, progress: Progress) -> float:
    """Train the shipped weights ``name`` from scratch; return the accuracy on held-out objects.

    Of a backbone the share of images whose kind is found; of a saliency network that of the
    pixels told apart at 0.5. Half precision on disk. Raises BenchmarkError where no profile ships
    weights of that name.
    """
    for profile in map(load_profile, profile_ids()):
        if profile.saliency.trained == name:
            return make_saliency_network(profile, out, progress)
    described = _described(name)
    torch.manual_seed(derive("pretraining", name))
    backbone = build_backbone(described.architecture, **described.options)
    add_norms(backbone)
    schedule = SCHEDULES[name]
    images = foreign_images(schedule.images + HELD_OUT, SIZE, derive("pretraining images"))
    classifier = Classifier(backbone, int(images.kinds.max()) + 1).to(device())
    train_classifier(classifier, images, schedule.iterations, progress)
    fold_norms(backbone)
    _save_halved(out, backbone)
    return accuracy(classifier, images)


def make_saliency_network(profile: Profile, out: Path, progress: Progress) -> float:
    """Train the profile's saliency network; return the share of held-out pixels told apart."""
    settings = profile.saliency
    assert settings.weights is not None
    weights = profile.weights[settings.weights]
    recipe = parse_options("saliency", SaliencyRecipe, settings.recipe)
    with progress.task("saliency network", recipe.iterations) as task:
        network, _ = trained_network(
            weights.architecture,
            {**weights.options, **settings.options},
            shipped_weights(settings.weights),
            recipe,
            task,
        )
    _save_halved(out, network)
    images = foreign_images(HELD_OUT, recipe.size, derive("held-out saliency images"))
    found = np.stack(saliency_maps(network, list(images.images), recipe.size))
    return float(((found >= 0.5) == images.masks).mean())


def _save_halved(out: Path, module: nn.Module) -> None:
    state = {
        key: value.half() if value.is_floating_point() else value
        for key, value in module.state_dict().items()
    }
    save_state_dict(out, state)


class Classifier(nn.Module):
    """A linear classifier of the image and of every cell on one backbone.

    (B, 3, H, W) -> kind logits (B, kinds) and cell logits (B, kinds + 1, h, w), 0 background.
    """

    def __init__(self, backbone: Any, kinds: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.linear = nn.Linear(backbone.channels, kinds)
        self.cells = nn.Conv2d(backbone.channels, kinds + 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return both sets of logits."""
        features = self.backbone(images)
        return self.linear(features.mean(dim=(2, 3))), self.cells(features)


def add_norms(backbone: nn.Module) -> None:
    """Put a batch norm behind every convolution that has a bias, so that it has none yet."""
    for parent, name, convolution in _children(backbone, nn.Conv2d):
        if convolution.bias is not None:
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            norm = nn.BatchNorm2d(convolution.out_channels)
            setattr(parent, name, nn.Sequential(convolution, norm))


def fold_norms(backbone: nn.Module) -> None:
    """Undo ``add_norms``: the convolutions take over what their norms do at inference."""
    for parent, name, pair in _children(backbone, nn.Sequential):
        match list(pair):
            case [nn.Conv2d(bias=nn.Parameter()) as convolution, nn.BatchNorm2d() as norm]:
                fused = nn.utils.fuse_conv_bn_eval(convolution.eval(), norm.eval())
                setattr(parent, name, fused)


def _children(module: nn.Module, kind: type) -> list[tuple[nn.Module, str, Any]]:
    return [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, kind)
    ]


def train_classifier(
    classifier: Classifier, data: ForeignImages, iterations: int, progress: Progress
) -> None:
    """Train in place with AdamW, warm-up and a cosine schedule, on all but the held-out images."""
    optimiser = torch.optim.AdamW(classifier.parameters(), LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, iterations))
    rng = np.random.default_rng(derive("pretraining order"))
    classifier.train()
    with progress.task("pretraining", iterations) as task:
        for step in range(iterations):
            size = SMALL if step < SMALL_SHARE * iterations else SIZE
            images, kinds, cells = draw_batch(data, rng, size)
            with mixed_precision():
                whole, local = classifier(images)
                target = functional.interpolate(cells, local.shape[2:], mode="nearest-exact")
                loss = functional.cross_entropy(whole, kinds)
                loss = loss + functional.cross_entropy(local, target[:, 0].long())
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            task.advance(1, f"loss {float(loss.detach()):.3f}")


def draw_batch(
    data: ForeignImages, rng: np.random.Generator, size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return images (B, 3, size, size), kinds (B,), and per pixel kind + 1, or 0 for background."""
    views, cells = [], []
    chosen = rng.integers(HELD_OUT, len(data.images), BATCH)
    for index in chosen:
        mask = data.masks[index].astype(np.uint8) * 255
        view = training_crop(
            np.dstack([data.images[index], mask]),
            rng,
            shorter_side=(size, size * 5 // 4),
            crop=size,
            flip=True,
            colour=0.0,
        )
        gain = rng.uniform(0.7, 1.3)
        views.append(np.clip(view[:, :, :3] * gain, 0, 255).astype(np.uint8))
        cells.append((view[:, :, 3] > 127) * (data.kinds[index] + 1))
    pixels = torch.from_numpy(np.stack(cells)[:, None].astype(np.float32)).to(device())
    return to_tensor(views), torch.from_numpy(data.kinds[chosen]).to(device()), pixels


def rate_at(step: int, iterations: int) -> float:
    """Return the factor on the learning rate: linear warm-up over 5 %, then a cosine to 0."""
    return min(1.0, step / (0.05 * iterations)) * (1 + math.cos(math.pi * step / iterations)) / 2


@torch.inference_mode()
def accuracy(classifier: Classifier, data: ForeignImages) -> float:
    """Return the share of held-out images whose kind is found."""
    classifier.eval()
    whole, _ = classifier(to_tensor(list(data.images[:HELD_OUT])))
    found = whole.argmax(dim=1).cpu().numpy()
    return float((found == data.kinds[:HELD_OUT]).mean())


def _described(name: str) -> Weights:
    shipped = {
        key: weights
        for profile_id in profile_ids()
        for key, weights in load_profile(profile_id).weights.items()
        if weights.source == "package"
    }
    if name not in shipped:
        raise BenchmarkError(near_name("shipped weights", name, shipped))
    return shipped[name]
