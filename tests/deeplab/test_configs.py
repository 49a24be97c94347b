"""The published networks' configs and their metafile, against figures worked out by hand."""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmseg.registry import PARAM_SCHEDULERS
from torch import nn

from benchmark.configs import config_digest, config_modules, config_path
from benchmark.crf import CrfOptions
from benchmark.profiles import load_profile
from benchmark.segmentation.networks import (
    build_model,
    load_config,
    model_config,
    quiet_mmengine,
)
from benchmark.tables import load_table

FOLDER = config_path("deeplab_largefov_vgg16_voc12.py").parent
METAFILE = tomllib.loads((FOLDER / "metafile.toml").read_text())["network"]
ENTRIES = {entry["config"]: entry for entry in METAFILE}

# --- by hand --------------------------------------------------------------------------------------

# VGG-16's thirteen 3x3 convolutions: biases, then weights.
VGG_BIASES = 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512
VGG_WEIGHTS = 9 * (
    3 * 64 + 64 * 64
    + 64 * 128 + 128 * 128
    + 128 * 256 + 2 * 256 * 256
    + 256 * 512 + 2 * 512 * 512
    + 3 * 512 * 512
)  # fmt: skip
FC6, FC7 = 9 * 512 * 1024, 1024 * 1024  # and 1,024 biases each

# torchvision prints 44,549,160 parameters for ResNet-101; its classifier has 2048 x 1000 + 1000.
# Norms: the stem's 64; of each unit 2 x width and 4 x width; of each stage's shortcut 4 x width.
RESNET = 44_549_160 - 2_049_000
RESNET_NORMS = (
    64 + 3 * 6 * 64 + 4 * 6 * 128 + 23 * 6 * 256 + 3 * 6 * 512 + 4 * (64 + 128 + 256 + 512)
)

# Wide ResNet-38: stem; stages 2 to 5 of 3, 3, 6 and 3 units of two 3x3 convolutions, the first unit
# of each with a 1x1 shortcut; two bottlenecks of 1x1, 3x3 and 1x1 with a 1x1 shortcut.
WIDE = (
    9 * 3 * 64
    + 9 * (64 * 128 + 5 * 128 * 128) + 64 * 128
    + 9 * (128 * 256 + 5 * 256 * 256) + 128 * 256
    + 9 * (256 * 512 + 11 * 512 * 512) + 256 * 512
    + 9 * (512 * 512 + 3 * 512 * 1024 + 2 * 1024 * 512) + 512 * 1024
    + 1024 * 2048 + 1024 * 512 + 9 * 512 * 1024 + 1024 * 2048
    + 2048 * 4096 + 2048 * 1024 + 9 * 1024 * 2048 + 2048 * 4096
)  # fmt: skip
# A norm before every convolution but the stem and the shortcuts, and one at the end.
WIDE_NORMS = (
    64 + 5 * 128
    + 128 + 5 * 256
    + 256 + 11 * 512
    + 512 + 512 + 2 * (1024 + 512)
    + 1024 + 512 + 1024
    + 2048 + 1024 + 2048
    + 4096
)  # fmt: skip

# DeepLabV3+: 256 channels everywhere; separable layers are a 3x3 of each channel and a 1x1.
PLUS_WEIGHTS = (
    2 * 2048 * 256  # the mean of the image, and the 1x1 branch
    + 3 * (9 * 2048 + 2048 * 256)
    + 9 * 5 * 256 * 256
    + 256 * 48
    + 9 * 304 + 304 * 256
    + 9 * 256 + 256 * 256
    + 256 * 21
)  # fmt: skip
PLUS_NORMS = 2 * 256 + 3 * (2048 + 256) + 256 + 48 + (304 + 256) + (256 + 256)

# torchvision prints 3,504,872 parameters for MobileNetV2; its classifier has 1280 x 1000 + 1000,
# its last convolution 320 x 1280 and a norm. 17 units: expanded, depthwise and out channels.
MOBILE = 3_504_872 - 1_281_000 - 320 * 1280 - 2 * 1280
MOBILE_NORMS = (
    32 + (32 + 16)
    + (2 * 96 + 24) + (2 * 144 + 24)
    + (2 * 144 + 32) + 2 * (2 * 192 + 32)
    + (2 * 192 + 64) + 3 * (2 * 384 + 64)
    + (2 * 384 + 96) + 2 * (2 * 576 + 96)
    + (2 * 576 + 160) + 2 * (2 * 960 + 160)
    + (2 * 960 + 320)
)  # fmt: skip
MOBILE_HEAD = 2 * 320 * 256 + 9 * 2 * 256 * 256 + 256 * 21  # and three norms of 256

# Xception-65: two 3x3 convolutions; 3 + 16 + 2 units of three separable convolutions, a 3x3 of each
# channel and a 1x1 with a norm after either. Units that change size or channels have a 1x1 shortcut
# with a norm: the three of the entry flow and the first of the exit flow.
XCEPTION_SEPARABLE = [
    *[(64, 128), (128, 128), (128, 128)],
    *[(128, 256), (256, 256), (256, 256)],
    *[(256, 728), (728, 728), (728, 728)],
    *([(728, 728)] * 3 * 16),
    *[(728, 728), (728, 1024), (1024, 1024)],
    *[(1024, 1536), (1536, 1536), (1536, 2048)],
]
XCEPTION_SHORTCUTS = [(64, 128), (128, 256), (256, 728), (728, 1024)]
XCEPTION_DEPTHWISE = 9 * sum(inside for inside, _ in XCEPTION_SEPARABLE)
XCEPTION_WEIGHTS = 9 * (3 * 32 + 32 * 64) + sum(
    inside * outside for inside, outside in XCEPTION_SEPARABLE + XCEPTION_SHORTCUTS
)
XCEPTION_NORMS = (
    32 + 64
    + sum(inside + outside for inside, outside in XCEPTION_SEPARABLE)
    + sum(outside for _, outside in XCEPTION_SHORTCUTS)
)  # fmt: skip
PLUS_DEPTHWISE = 9 * (3 * 2048 + 304 + 256)

# config -> {(factor on the rate, whether the weights decay): parameters}
GROUPS: dict[str, dict[tuple[int, bool], int]] = {
    "deeplab_largefov_vgg16_voc12.py": {
        (1, True): VGG_WEIGHTS + FC6 + FC7,
        (2, False): VGG_BIASES + 2 * 1024,
        (10, True): 1024 * 21,
        (20, False): 21,
    },
    "deeplab_aspp_vgg16_voc12.py": {
        (1, True): VGG_WEIGHTS + 4 * (FC6 + FC7),
        (2, False): VGG_BIASES + 4 * 2 * 1024,
        (10, True): 4 * 1024 * 21,
        (20, False): 4 * 21,
    },
    "deeplab_aspp_resnet101_voc12.py": {
        (1, True): RESNET - 2 * RESNET_NORMS,
        (0, False): 2 * RESNET_NORMS,
        (10, True): 4 * 9 * 2048 * 21,
        (20, False): 4 * 21,
    },
    "deeplab_largefov_resnet101_voc12.py": {
        (1, True): RESNET - RESNET_NORMS,  # a norm's scales decay, its shifts are biases
        (1, False): RESNET_NORMS,
        (10, True): 9 * 2048 * 1024 + 1024 * 1024 + 1024 * 21,
        (20, False): 2 * 1024 + 21,
    },
    "deeplabv3plus_resnet101_voc12.py": {
        (1, True): RESNET - 2 * RESNET_NORMS + PLUS_WEIGHTS,
        (1, False): 2 * RESNET_NORMS + 2 * PLUS_NORMS,
        (2, False): 21,
    },
    "deeplabv3plus_xception65_voc12.py": {
        (1, True): XCEPTION_WEIGHTS + PLUS_WEIGHTS - PLUS_DEPTHWISE,
        (1, False): XCEPTION_DEPTHWISE + PLUS_DEPTHWISE + 2 * (XCEPTION_NORMS + PLUS_NORMS),
        (2, False): 21,
    },
    "deeplabv3_mobilenetv2_voc12.py": {
        (1, True): MOBILE - 2 * MOBILE_NORMS + MOBILE_HEAD,
        (1, False): 2 * MOBILE_NORMS + 2 * 3 * 256,
        (2, False): 21,
    },
    "deeplabv1_resnet38_voc12.py": {
        (1, True): WIDE,
        (0, False): 2 * WIDE_NORMS + 2 * 2 * 512,
        (10, True): 9 * 4096 * 512 + 512 * 512 + 512 * 21,
        (20, False): 21,
    },
}
for _network in ("largefov", "aspp"):
    GROUPS[f"deeplab_{_network}_vgg16_caffe_voc12.py"] = GROUPS[
        f"deeplab_{_network}_vgg16_voc12.py"
    ]


def step(iteration: int) -> float:
    """Divided by 10 every 2,000 iterations (ICLR 2015)."""
    return 1e-3 * 0.1 ** (iteration // 2000)


def poly(rate: float, total: int, iteration: int) -> float:
    """(1 - iteration / total) ** 0.9 (PAMI 2018)."""
    return rate * (1 - iteration / total) ** 0.9


# config -> iterations, decay, first rate, rate half-way, rate of the last iteration, batch, crop
SCHEDULES = {
    "deeplab_largefov_vgg16_voc12.py": (6000, 5e-4, 1e-3, step(3000), step(5999), 20, 321),
    "deeplab_aspp_vgg16_voc12.py": (
        20000, 5e-4, 1e-3, poly(1e-3, 20000, 10000), poly(1e-3, 20000, 19999), 10, 321,
    ),
    "deeplab_aspp_resnet101_voc12.py": (
        20000, 5e-4, 2.5e-4, poly(2.5e-4, 20000, 10000), poly(2.5e-4, 20000, 19999), 10, 321,
    ),
    "deeplab_largefov_resnet101_voc12.py": (
        16000, 5e-4, 1e-3, poly(1e-3, 16000, 8000), poly(1e-3, 16000, 15999), 10, 321,
    ),
    "deeplabv3plus_resnet101_voc12.py": (
        30000, 1e-4, 7e-3, poly(7e-3, 30000, 15000), poly(7e-3, 30000, 29999), 16, 513,
    ),
    "deeplabv3plus_xception65_voc12.py": (
        30000, 4e-5, 7e-3, poly(7e-3, 30000, 15000), poly(7e-3, 30000, 29999), 16, 513,
    ),
    "deeplabv3_mobilenetv2_voc12.py": (
        30000, 4e-5, 7e-3, poly(7e-3, 30000, 15000), poly(7e-3, 30000, 29999), 16, 513,
    ),
    "deeplabv1_resnet38_voc12.py": (
        20000, 5e-4, 1e-3, poly(1e-3, 20000, 10000), poly(1e-3, 20000, 19999), 10, 448,
    ),
}  # fmt: skip
for _network in ("largefov", "aspp"):
    SCHEDULES[f"deeplab_{_network}_vgg16_caffe_voc12.py"] = SCHEDULES[
        f"deeplab_{_network}_vgg16_voc12.py"
    ]


def test_figures_that_the_papers_print() -> None:
    assert sum(GROUPS["deeplab_largefov_vgg16_voc12.py"].values()) == pytest.approx(
        20.5e6, rel=1e-3
    )
    assert VGG_WEIGHTS + VGG_BIASES == 14_714_688  # torchvision's features of VGG-16
    # timm prints 39.92 million for xception65, 2048 x 1000 + 1000 of them in its classifier.
    xception = XCEPTION_DEPTHWISE + XCEPTION_WEIGHTS + 2 * XCEPTION_NORMS
    assert round((xception + 2_049_000) / 1e6, 2) == 39.92
    assert poly(1e-3, 20000, 10000) == pytest.approx(5.359e-4, rel=1e-3)
    assert (step(0), step(1999), step(2000), step(5999)) == pytest.approx((1e-3, 1e-3, 1e-4, 1e-5))


# --- the metafile ---------------------------------------------------------------------------------


def told_groups(entry: dict[str, Any]) -> dict[tuple[float, float], int]:
    """(rate, decay) -> parameters, as the metafile has it."""
    return {(round(g["rate"], 9), g["decay"]): g["parameters"] for g in entry["groups"]}


def test_every_published_network_has_its_entry() -> None:
    assert set(ENTRIES) == {path.name for path in FOLDER.glob("deeplab*_voc12.py")}
    assert len(ENTRIES) == len(METAFILE)
    assert set(GROUPS) == set(SCHEDULES) == set(ENTRIES)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_metafile_says_what_was_worked_out_by_hand(name: str) -> None:
    entry, groups = ENTRIES[name], GROUPS[name]
    iterations, decay, first, middle, last, batch, crop = SCHEDULES[name]
    assert entry["parameters"] == sum(groups.values())
    assert told_groups(entry) == {
        (round(first * factor, 9), decay if decays else 0.0): count
        for (factor, decays), count in groups.items()
    }
    assert (entry["iterations"], entry["batch"], entry["crop"]) == (iterations, batch, crop)
    assert entry["rates"] == pytest.approx([first, middle, last], rel=1e-3)
    assert entry["paper"] and entry["source"] and entry["title"] and entry["weights"]
    assert all(50 < value < 90 for value in entry["published"].values())
    assert "MS-COCO" not in entry["weights"]


# --- the configs ----------------------------------------------------------------------------------


def network_of(config: Any) -> nn.Module:
    with torch.device("meta"):
        return build_model(model_config(config, 21))


@pytest.mark.parametrize("name", ENTRIES)
def test_parameters_and_their_rates(name: str) -> None:
    config, entry = load_config(config_path(name)), ENTRIES[name]
    network = network_of(config)
    assert sum(value.numel() for value in network.parameters()) == entry["parameters"]
    with quiet_mmengine():
        optimiser = build_optim_wrapper(network, config.optim_wrapper).optimizer
    assert optimiser.defaults["momentum"] == 0.9
    found: Counter[tuple[float, float]] = Counter()
    for group in optimiser.param_groups:
        for value in group["params"]:
            found[round(group["lr"], 9), group["weight_decay"]] += value.numel()
    assert found == told_groups(entry)


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize("name", ENTRIES)
def test_the_rate_from_the_first_iteration_to_the_last(name: str) -> None:
    config, entry = load_config(config_path(name)), ENTRIES[name]
    iterations = entry["iterations"]
    assert config.train_cfg.max_iters == config.train_cfg.val_interval == iterations
    optimiser = torch.optim.SGD(
        [nn.Parameter(torch.zeros(1))], lr=config.optim_wrapper.optimizer.lr
    )
    schedulers = [
        PARAM_SCHEDULERS.build({**settings, "optimizer": optimiser})
        for settings in config.param_scheduler
    ]
    rates = []
    for _ in range(iterations):
        rates.append(optimiser.param_groups[0]["lr"])
        for scheduler in schedulers:
            scheduler.step()
    found = [rates[0], rates[iterations // 2], rates[-1]]
    assert found == pytest.approx(entry["rates"], rel=1e-3)
    assert all(later <= earlier for earlier, later in pairwise(rates))


@pytest.mark.parametrize("name", ENTRIES)
def test_batches_views_and_classes(name: str) -> None:
    config, entry = load_config(config_path(name)), ENTRIES[name]
    augmentation = config.train_dataloader.dataset.augmentation
    assert config.train_dataloader.batch_size == entry["batch"]
    assert tuple(augmentation.crop_size) == (entry["crop"], entry["crop"])
    assert tuple(config.model.data_preprocessor.size) == (entry["crop"], entry["crop"])
    assert list(augmentation.scale_range) == entry["scales"]
    assert augmentation.mirror
    assert config.model.decode_head.num_classes == 21
    assert config.model.decode_head.ignore_index == 255
    assert config.load_from is None
    assert "weights" not in config.model.backbone  # a user's file; nothing is downloaded
    scales = {scale.scale_factor for scale in config.tta_pipeline[1].transforms[0]}
    assert scales >= set(entry["test"]["scales"])


CONSTANTS = (
    "bilateral_weight", "bilateral_sd_xy", "bilateral_sd_rgb", "gaussian_weight", "gaussian_sd",
)  # fmt: skip


@pytest.mark.parametrize("name", ENTRIES)
def test_the_ceiling_is_tested_and_compared_as_the_metafile_says(name: str) -> None:
    entry = ENTRIES[name]
    families = {
        family for family, one in load_profile("paper").segmentation.items() if one.config == name
    }
    known = load_table("fullsup")
    rows = [row for row in known.rows if row.segmentation in families]
    if not rows:
        assert name == "deeplabv3plus_xception65_voc12.py"  # cited alone: MS-COCO and JFT
        return
    (row,) = rows
    renamed = {"single_scale": "val", "crf": "val_crf", "test_crf": "test_crf"}
    assert row.published == {renamed[key]: value for key, value in entry["published"].items()}
    for column in known.columns:
        evaluation = row.scored(column).evaluation
        assert evaluation is not None
        assert evaluation.crf == column.id.endswith("crf")
        assert list(evaluation.scales) == entry["test"]["scales"]
        assert evaluation.flip == entry["test"]["flip"]
        if "crf" in entry["test"] and evaluation.crf:
            used = {**asdict(CrfOptions()), **evaluation.crf_constants}
            assert [used[name] for name in CONSTANTS] == entry["test"]["crf"]


@pytest.mark.parametrize("network", ["largefov", "aspp"])
def test_a_caffe_network_differs_in_its_input_alone(network: str) -> None:
    plain, caffe = (
        load_config(config_path(f"deeplab_{network}_vgg16_{kind}voc12.py")).to_dict()
        for kind in ("", "caffe_")
    )
    preprocessor = caffe["model"]["data_preprocessor"]
    assert preprocessor["mean"] == [104.008, 116.669, 122.675]  # blue, green, red
    assert preprocessor["std"] == [1.0, 1.0, 1.0]
    assert preprocessor["bgr_to_rgb"] is False
    fill = caffe["train_dataloader"]["dataset"]["augmentation"].pop("fill")
    assert fill == (123, 117, 104)  # red, green, blue: the mean, so nothing once it is subtracted
    caffe["model"]["data_preprocessor"] = plain["model"]["data_preprocessor"]
    assert caffe == plain


def test_caffe_input_is_blue_first_and_not_scaled() -> None:
    config = load_config(config_path("deeplab_largefov_vgg16_caffe_voc12.py"))
    config.model.data_preprocessor.size = (1, 1)
    preprocessor = build_model(dict(config.model.data_preprocessor))
    pixel = torch.tensor([10, 20, 30], dtype=torch.uint8).reshape(3, 1, 1)  # blue, green, red
    found = preprocessor({"inputs": [pixel]})["inputs"].flatten().tolist()
    assert found == pytest.approx([10 - 104.008, 20 - 116.669, 30 - 122.675])


# --- the networks ---------------------------------------------------------------------------------


def test_the_published_dilations_and_strides() -> None:
    aspp = network_of(load_config(config_path("deeplab_aspp_vgg16_voc12.py")))
    assert [branch.fc6.dilation[0] for branch in aspp.backbone.branches] == [6, 12, 18, 24]
    assert isinstance(aspp.backbone.average, nn.Identity)
    fov = network_of(load_config(config_path("deeplab_largefov_vgg16_voc12.py")))
    assert [branch.fc6.dilation[0] for branch in fov.backbone.branches] == [12]
    assert isinstance(fov.backbone.average, nn.AvgPool2d)
    direct = network_of(load_config(config_path("deeplab_aspp_resnet101_voc12.py")))
    assert [branch.dilation[0] for branch in direct.decode_head.branches] == [6, 12, 18, 24]
    assert all(branch.kernel_size == (3, 3) for branch in direct.decode_head.branches)


def test_the_norms_of_the_large_resnets_keep_their_statistics() -> None:
    for name in ("deeplab_largefov_resnet101_voc12.py", "deeplab_aspp_resnet101_voc12.py"):
        assert load_config(config_path(name)).model.backbone.norm_eval is True
    learns = load_config(config_path("deeplabv3plus_resnet101_voc12.py")).model.backbone
    assert "norm_eval" not in learns


def test_deeplabv3plus_sees_stage_1_and_dilates_stage_4() -> None:
    config = load_config(config_path("deeplabv3plus_resnet101_voc12.py"))
    config.model.backbone.update(depth=50, base_channels=4)
    backbone = build_model(config.model.backbone).eval()
    assert [unit.conv2.dilation[0] for unit in backbone.net.layer4] == [2, 4, 8]
    assert [unit.conv2.stride[0] for unit in backbone.net.layer4] == [1, 1, 1]
    with torch.no_grad():
        low, high = backbone(torch.zeros(1, 3, 65, 97))
    assert low.shape == (1, 16, 17, 25)  # stride 4
    assert high.shape == (1, 128, 5, 7)  # stride 16
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.0003}


def test_xception_sees_stride_4_and_dilates_its_last_unit_alone() -> None:
    backbone = build_model(
        load_config(config_path("deeplabv3plus_xception65_voc12.py")).model.backbone
    ).eval()
    dilated = {
        int(name.split(".")[1])
        for name, module in backbone.net.named_modules()
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1)
    }
    assert dilated == {3 + 16 + 2 - 1}
    with torch.no_grad():
        low, high = backbone(torch.zeros(1, 3, 33, 65))
    assert low.shape == (1, 256, 9, 17)  # stride 4
    assert high.shape == (1, 2048, 3, 5)  # stride 16
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.0003}
    assert {norm.eps for norm in norms} == {1e-3}


def test_xception_sees_pixels_between_minus_1_and_1() -> None:
    config = load_config(config_path("deeplabv3plus_xception65_voc12.py"))
    config.model.data_preprocessor.size = (1, 1)
    preprocessor = build_model(dict(config.model.data_preprocessor))
    pixel = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1)  # blue, green, red
    found = preprocessor({"inputs": [pixel]})["inputs"].flatten().tolist()
    assert found == pytest.approx([1, -0.6, -1])


def test_summed_classifiers_are_a_sum_of_what_each_sees() -> None:
    config = load_config(config_path("deeplab_aspp_vgg16_voc12.py"))
    config.model.decode_head.update(in_channels=2, channels=2, num_classes=3, maps=2)
    head = build_model(config.model.decode_head)
    for classifier, weight in zip(head.classifiers, (1.0, 10.0), strict=True):
        nn.init.constant_(classifier.weight, weight)
        nn.init.constant_(classifier.bias, weight / 2)
    maps = (
        torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1),
        torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1),
    )
    expected = (1 + 2 + 0.5) + (10 * (3 + 4) + 5)
    assert head(maps).flatten().tolist() == pytest.approx([expected] * 3)


# --- what a result depends on ---------------------------------------------------------------------


def test_a_config_names_the_code_of_its_networks(tmp_path: Path) -> None:
    assert config_modules(config_path("deeplab_aspp_vgg16_voc12.py")) == {
        "benchmark.deeplab",
        "benchmark.segmentation",
    }
    for name in ("deeplab_largefov_vgg16_scenes.py", "deeplab_largefov_mobilenetv2_light.py"):
        assert config_modules(config_path(name)) == {"benchmark.segmentation"}
    own = tmp_path / "own.py"
    own.write_text('_base_ = []\ncustom_imports = dict(imports=["mine.heads"])\n')
    assert config_modules(own) == {"mine.heads"}
    (tmp_path / "plain.py").write_text("model = dict()\n")
    assert config_modules(tmp_path / "plain.py") == set()
    assert config_digest(own) != config_digest(tmp_path / "plain.py")
