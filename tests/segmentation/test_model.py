from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import nn

from benchmark.configs import config_path
from benchmark.errors import BenchmarkError
from benchmark.segmentation.model import LargeFOVHead
from benchmark.segmentation.networks import build_model, load_config, model_config

CONFIGS = [
    path.name for path in Path(config_path("deeplab_largefov_vgg16_voc12.py")).parent.glob("d*.py")
]


def build(name: str, num_classes: int = 21) -> nn.Module:
    torch.manual_seed(0)
    return build_model(model_config(load_config(config_path(name)), num_classes))


def batch(labels: torch.Tensor, seed: int = 0) -> dict[str, Any]:
    """A training batch of noise with ``labels`` (B, H, W)."""
    generator = torch.Generator().manual_seed(seed)
    size = (len(labels), 3, *labels.shape[1:])
    images = torch.randint(0, 256, size, generator=generator, dtype=torch.uint8)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=label[None])) for label in labels]
    for sample, label in zip(samples, labels, strict=True):
        sample.set_metainfo({"img_shape": label.shape, "ori_shape": label.shape})
    return {"inputs": list(images), "data_samples": samples}


def head_parameters(in_channels: int, channels: int, classes: int) -> int:
    fc6 = in_channels * channels * 9 + channels
    fc7 = channels * channels + channels
    return fc6 + fc7 + channels * classes + classes


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds_and_has_no_machine_path(name: str) -> None:
    config = load_config(config_path(name))
    assert config.model.decode_head.ignore_index == 255
    assert config.data_root.startswith("data/")
    assert config.custom_imports.imports in (["benchmark.segmentation"], ["benchmark.deeplab"])
    end = config.param_scheduler[-1].get("end", config.train_cfg.max_iters)
    # One more than the iterations: MMEngine's rate is 0 in the last step before the end.
    assert end - config.train_cfg.max_iters in (0, 1)
    crop = tuple(config.train_dataloader.dataset.augmentation.crop_size)
    assert crop == tuple(config.model.data_preprocessor.size)
    network = build(name) if "101" not in name and "38" not in name else None
    if network is not None:
        stride = network.backbone.net.output_stride
        assert (crop[0] - 1) % stride == 0  # what align_corners wants
        with torch.no_grad():
            side = network.backbone(torch.zeros(1, 3, 65, 97))[-1].shape
        assert side[1:] == (network.decode_head.in_channels, 64 // stride + 1, 96 // stride + 1)


def test_published_vgg_network() -> None:
    network = build("deeplab_largefov_vgg16_voc12.py")
    (layers,) = network.backbone.branches
    (classifier,) = network.decode_head.classifiers
    assert layers.fc6.weight.shape == (1024, 512, 3, 3)
    assert layers.fc6.dilation == layers.fc6.padding == (12, 12)
    assert layers.fc7.weight.shape == (1024, 1024, 1, 1)
    assert classifier.weight.shape == (21, 1024, 1, 1)
    assert layers.drop.p == 0.5
    assert type(layers.drop) is nn.Dropout  # single values, not whole channels
    assert network.backbone.net.output_stride == 8
    # VGG-16's thirteen convolutions, as torchvision counts them, and the head.
    total = 14_714_688 + head_parameters(512, 1024, 21)
    assert sum(p.numel() for p in network.parameters()) == total
    with torch.no_grad():
        assert network.backbone.net(torch.zeros(1, 3, 321, 321)).shape == (1, 512, 41, 41)


def test_published_vgg_schedule_and_rates() -> None:
    config = load_config(config_path("deeplab_largefov_vgg16_voc12.py"))
    assert config.train_dataloader.batch_size == 20
    assert config.train_cfg.max_iters == 6000
    assert tuple(config.param_scheduler[0].milestones) == (2000, 4000)
    network = build("deeplab_largefov_vgg16_voc12.py")
    optimiser = build_optim_wrapper(network, config.optim_wrapper).optimizer
    rates = {}
    names = {id(p): name for name, p in network.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            rates[names[id(parameter)]] = (group["lr"], group["weight_decay"])
    assert set(rates) == set(names.values())
    for name, found in rates.items():
        # fc6 and fc7 are loaded: the classifier alone is new.
        head, bias = name.startswith("decode_head"), name.endswith("bias")
        rate = 1e-3 * (10 if head else 1) * (2 if bias else 1)
        assert found == pytest.approx((rate, 0.0 if bias else 5e-4)), name


def test_published_resnet_network() -> None:
    network = build("deeplab_largefov_resnet101_voc12.py")
    assert network.decode_head.fc6.weight.shape == (1024, 2048, 3, 3)
    assert network.backbone.net.output_stride == 8
    # torchvision's ResNet-101 has 44,549,160 parameters, 2,049,000 of them in its classifier.
    total = 44_549_160 - 2_049_000 + head_parameters(2048, 1024, 21)
    assert sum(p.numel() for p in network.parameters()) == total


def test_two_steps_of_the_published_vgg() -> None:
    config = load_config(config_path("deeplab_largefov_vgg16_voc12.py"))
    config.model.data_preprocessor.size = (65, 65)
    torch.manual_seed(0)
    network = build_model(model_config(config, 21)).train()
    wrapper = build_optim_wrapper(network, config.optim_wrapper)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    labels = torch.randint(0, 21, (2, 65, 65), generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        losses = network.train_step(batch(labels), wrapper)
        assert torch.isfinite(losses["loss"])
    unmoved = [k for k, v in network.state_dict().items() if torch.equal(v, before[k])]
    assert unmoved == []


def test_field_of_view_is_the_hand_worked_one() -> None:
    """Pixels that one cell of the classifier sees, along one side.

    Blocks 1 to 5: 1 + 2 x 2 + (pool) 2 = 7; + 8 + 4 = 19; + 24 + 8 = 51; + 48 + 16 = 115 (pool 4
    keeps the stride of 8); + 3 x 2 x 2 x 8 = 96 (dilation 2) + 16 = 227. The average adds 16 and
    fc6 2 x 12 x 8 = 192: 435 pixels.
    """
    config = load_config(config_path("deeplab_largefov_vgg16_voc12.py"))
    model = model_config(config, 2)
    model["backbone"].update(width=1 / 64, channels=2)
    model["decode_head"].update(in_channels=2, channels=2)
    network = build_model(model).eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.05)
    image = torch.rand(1, 3, 513, 513).requires_grad_()
    scores = network.decode_head(network.backbone(image))
    assert scores.shape == (1, 2, 65, 65)
    # A maximum passes the gradient to one pixel, a mean to all: the field is about where it can.
    for module in network.modules():
        if isinstance(module, nn.MaxPool2d):
            module.forward = lambda x, m=module: nn.functional.avg_pool2d(  # type: ignore[method-assign]
                x, m.kernel_size, m.stride, m.padding
            )
    scores = network.decode_head(network.backbone(image))
    scores[0, 0, 32, 32].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0) > 0
    columns = torch.nonzero(seen.any(0)).flatten()
    assert (int(columns.min()), int(columns.max())) == (256 - 217, 256 + 217)
    assert 2 * 217 + 1 == 435


def test_void_pixels_change_neither_loss_nor_gradient() -> None:
    network = build("deeplab_largefov_vgg16_scenes.py", 3)
    network.decode_head.drop.p = 0.0
    network.decode_head.label_stride = None
    network.train()
    labels = torch.randint(0, 3, (2, 97, 97), generator=torch.Generator().manual_seed(0))
    void = torch.zeros(2, 97, 97, dtype=torch.bool)
    void[:, 20:60, 30:80] = True

    def gradient(labels: torch.Tensor) -> tuple[float, torch.Tensor]:
        network.zero_grad()
        data = network.data_preprocessor(batch(labels), True)
        losses = network(**data, mode="loss")
        losses["decode.loss_ce"].backward()
        return losses["decode.loss_ce"].item(), network.decode_head.fc7.weight.grad.clone()

    loss, grad = gradient(labels.masked_fill(void, 255))
    # The same loss by hand: cross-entropy of the valid pixels alone, their mean.
    data = network.data_preprocessor(batch(labels), True)
    scores = network.decode_head(network.backbone(data["inputs"]))
    scores = nn.functional.interpolate(scores, (97, 97), mode="bilinear", align_corners=True)
    logs = scores.log_softmax(1).gather(1, labels[:, None])[:, 0]
    network.zero_grad()
    by_hand = -logs[~void].mean()
    by_hand.backward()
    assert loss == pytest.approx(float(by_hand), rel=1e-5)
    torch.testing.assert_close(grad, network.decode_head.fc7.weight.grad, rtol=1e-4, atol=1e-7)
    with_other_labels, _ = gradient(labels)
    assert with_other_labels != pytest.approx(loss, rel=1e-6)


def test_published_loss_is_on_every_eighth_pixel() -> None:
    config = load_config(config_path("deeplab_largefov_vgg16_voc12.py"))
    model = model_config(config, 3)
    model["data_preprocessor"]["size"] = (33, 33)
    model["backbone"].update(width=1 / 16, channels=8, dropout=0.0)
    model["decode_head"].update(in_channels=8, channels=8)
    torch.manual_seed(0)
    network = build_model(model).train()
    labels = torch.full((1, 33, 33), 255)
    labels[0, 8, 16] = 1
    labels[0, 9:16, 17:24] = 2  # between the pixels that count
    data = network.data_preprocessor(batch(labels), True)
    loss = network(**data, mode="loss")["decode.loss_ce"]
    scores = network.decode_head(network.backbone(data["inputs"]))
    assert scores.shape == (1, 3, 5, 5)
    assert loss.item() == pytest.approx(-scores.log_softmax(1)[0, 1, 1, 2].item(), rel=1e-5)


def test_a_batch_of_void_alone_has_loss_zero() -> None:
    network = build("deeplab_largefov_vgg16_scenes.py", 3).train()
    data = network.data_preprocessor(batch(torch.full((1, 97, 97), 255)), True)
    losses = network(**data, mode="loss")
    assert float(losses["decode.loss_ce"]) == 0


def test_class_weights_come_from_the_config(tmp_path: Path) -> None:
    base = config_path("deeplab_largefov_vgg16_scenes.py")
    path = tmp_path / "weighted.py"
    path.write_text(
        f"_base_ = {str(base)!r}\n"
        "model = dict(decode_head=dict(loss_decode=dict(class_weight=[1.0, 2.0, 0.0])))\n"
    )
    config = load_config(path)
    network = build_model(model_config(config, 3))
    assert network.decode_head.loss_decode.class_weight == [1.0, 2.0, 0.0]
    with pytest.raises(BenchmarkError, match="3 class weights for 21 classes"):
        model_config(config, 21)


def test_head_initialisation() -> None:
    torch.manual_seed(0)
    loss = {"type": "CrossEntropyLoss", "avg_non_ignore": True}
    head = LargeFOVHead(in_channels=64, channels=128, num_classes=21, loss_decode=loss)
    head.init_weights()
    assert float(head.conv_seg.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
    assert float(head.fc6.weight.detach().std()) == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.05)
    assert not head.fc6.bias.any()


def test_unreadable_configs_are_told(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"no segmentation config at .*absent\.py"):
        load_config(tmp_path / "absent.py")
    (tmp_path / "bad.py").write_text("model = dict(")
    with pytest.raises(BenchmarkError, match=r"bad\.py"):
        load_config(tmp_path / "bad.py")
