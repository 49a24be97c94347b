"""Training on cues: the CRF in the step, each loss on and off, the configs."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from pydensecrf.densecrf import DenseCRF2D
from torch import Tensor, nn
from torch.nn import functional

from benchmark.configs import config_path
from benchmark.crf import CrfOptions
from benchmark.data.voc import VOID, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress
from benchmark.segmentation import cues, predict, train_segmentation
from benchmark.segmentation.cues import CueOptions, crf_marginals, cue_losses
from benchmark.segmentation.losses import balanced_seed_loss, floored_softmax
from benchmark.segmentation.model import ASPPSumHead
from benchmark.segmentation.networks import build_model, load_config, model_config
from benchmark.weights import load_state_dict

NAMES = ("seed", "balanced_seed", "expand", "constrain")
FOLDER = config_path("sec_largefov_vgg16_scenes.py").parent
CONFIGS = sorted(
    path.name for kind in ("sec", "dsrg", "sgan") for path in FOLDER.glob(f"{kind}_*.py")
)
SMALL = [name for name in CONFIGS if not name.endswith("_voc12.py")]


def scene(classes: int = 3, size: tuple[int, int] = (9, 11), batch: int = 2) -> dict[str, Tensor]:
    """Scores, cues, image labels and images of twice the cells' size."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (batch, *size), generator=generator)
    void = torch.rand(batch, *size, generator=generator) < 0.7
    shape = (batch, 3, 2 * size[0] - 1, 2 * size[1] - 1)
    return {
        "scores": 2 * torch.randn(batch, classes, *size, generator=generator),
        "labels": labels.masked_fill(void, VOID),
        "image_labels": torch.tensor([[True] * (classes - 1), [False] * (classes - 1)])[:batch],
        "images": torch.randint(0, 256, shape, generator=generator).float(),
    }


# --- the CRF ------------------------------------------------------------------------------------


def test_the_published_constants_are_scaled() -> None:
    assert CueOptions().crf() == CrfOptions(10, 3.0, 0.25, 10.0, 80 / 12, 13.0)
    assert CueOptions(crf_scale=20.0).crf() == CrfOptions(10, 3.0, 0.15, 10.0, 4.0, 13.0)


@pytest.mark.parametrize("scale", [1.0, 12.0])
def test_negative_energies_are_what_pydensecrf_calls_minus_unaries(scale: float) -> None:
    data = scene()
    options = CueOptions(crf_scale=scale).crf()
    energies = data["scores"]
    found = crf_marginals(data["images"], energies, options)
    for image in range(2):
        field = DenseCRF2D(11, 9, 3)
        field.setUnaryEnergy(np.ascontiguousarray(-energies[image].numpy().reshape(3, -1)))
        field.addPairwiseGaussian(sxy=3 / scale, compat=3)
        pixels = data["images"][image, :, ::2, ::2].permute(1, 2, 0).numpy().astype(np.uint8)
        field.addPairwiseBilateral(
            sxy=80 / scale, srgb=13, rgbim=np.ascontiguousarray(pixels), compat=10
        )
        marginals = np.maximum(np.array(field.inference(10)), 1e-4)
        expected = (marginals / marginals.sum(axis=0)).reshape(3, 9, 11)
        np.testing.assert_allclose(found[image].numpy(), expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
def test_what_the_crf_is_given(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data = scene()
    seen: list[np.ndarray] = []

    def spy(image: np.ndarray, probabilities: np.ndarray, options: CrfOptions) -> np.ndarray:
        assert np.array_equal(
            image, data["images"][len(seen), :, ::2, ::2].permute(1, 2, 0).numpy()
        )
        seen.append(probabilities)
        return probabilities

    monkeypatch.setattr(cues, "dense_crf", spy)
    cue_losses(**data, options=CueOptions(losses=("constrain",), crf_input=kind))
    for scores, given in zip(data["scores"].double().numpy(), seen, strict=True):
        certain = np.exp(scores) / np.exp(scores).sum(axis=0)
        floored = (certain + 1e-4) / (1 + 3e-4)
        expected = np.exp(floored) / np.exp(floored).sum(axis=0)
        wanted = certain if kind == "logits" else expected
        np.testing.assert_allclose(given, wanted, rtol=1e-4)


def test_marginals_have_a_floor_and_no_gradient() -> None:
    data = scene()
    scores = (100 * data["scores"]).requires_grad_()
    found = crf_marginals(data["images"], scores, CueOptions().crf())
    assert not found.requires_grad
    assert float(found.min()) >= 0.99e-4
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2, 9, 11))


def test_the_constrain_losss_gradient_leaves_the_crf_out() -> None:
    """Finite differences of the divergence with the CRF's result held where it is."""
    data = scene()
    scores = data["scores"].double().requires_grad_()
    options = CueOptions(losses=("constrain",))
    cue_losses(**{**data, "scores": scores}, options=options)["constrain"].backward()
    refined = crf_marginals(data["images"], scores, options.crf()).numpy()

    def divergence(values: np.ndarray) -> float:
        p = np.exp(values) / np.exp(values).sum(axis=1, keepdims=True) + 1e-4
        p /= p.sum(axis=1, keepdims=True)
        return float((refined * np.log(refined / p)).sum(axis=1).mean())

    assert scores.grad is not None
    for place in [(0, 0, 0, 0), (1, 2, 4, 7), (0, 1, 8, 10)]:
        step = np.zeros(scores.shape)
        step[place] = 1e-6
        values = scores.detach().numpy()
        slope = (divergence(values + step) - divergence(values - step)) / 2e-6
        assert float(scores.grad[place]) == pytest.approx(slope, rel=1e-3, abs=1e-8)


# --- which losses -------------------------------------------------------------------------------


SUBSETS = [subset for size in (1, 2, 3, 4) for subset in combinations(NAMES, size)]


@pytest.mark.parametrize("losses", SUBSETS, ids="+".join)
def test_each_loss_is_on_or_off(losses: tuple[Any, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    original = cues.dense_crf

    def counted(*arguments: Any) -> np.ndarray:
        nonlocal calls
        calls += 1
        return original(*arguments)

    monkeypatch.setattr(cues, "dense_crf", counted)
    found = cue_losses(**scene(), options=CueOptions(losses=losses))
    assert set(found) == set(losses)
    assert all(torch.isfinite(loss) and loss.ndim == 0 for loss in found.values())
    assert calls == (2 if "constrain" in losses else 0)  # one an image, only where it is needed
    everything = cue_losses(**scene(), options=CueOptions(losses=NAMES))
    for name, loss in found.items():
        torch.testing.assert_close(loss, everything[name])


def test_the_options_reach_their_losses() -> None:
    data = scene()

    def loss(name: Any, **options: Any) -> float:
        return float(cue_losses(**data, options=CueOptions(losses=(name,), **options))[name])

    probabilities = floored_softmax(data["scores"]).double().numpy()
    maxima = probabilities.max(axis=(2, 3))
    present = -np.log(maxima[0, 1:]).mean() - math.log(maxima[0, 0])
    absent = -np.log(1 - maxima[1, 1:]).mean() - math.log(maxima[1, 0])
    only_maxima = {"foreground_decay": 0.0, "background_decay": 0.0}
    assert loss("expand", **only_maxima) == pytest.approx((present + absent) / 2, rel=1e-5)
    pooled = -np.log(probabilities[0, 1:].mean(axis=(1, 2))).mean() - math.log(maxima[0, 0])
    means = {"foreground_decay": 1.0, "background_decay": 0.0}
    assert loss("expand", **means) == pytest.approx((pooled + absent) / 2, rel=1e-5)
    assert abs(loss("constrain", ratio_range=(0.999, 1.001))) < 0.001 < loss("constrain")


def test_grown_seeds_are_what_the_seed_loss_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    marginals = np.array([[0.02, 0.02, 0.9], [0.9, 0.9, 0.05], [0.08, 0.08, 0.05]])[:, None]
    monkeypatch.setattr(cues, "dense_crf", lambda *_: marginals.astype(np.float32))
    scores = torch.randn(2, 3, 1, 3, generator=torch.Generator().manual_seed(0))
    data = {
        "scores": scores,
        "labels": torch.tensor([[[1, 255, 255]], [[1, 255, 0]]]),
        "image_labels": torch.tensor([[True, False], [False, False]]),
        "images": torch.zeros(2, 3, 1, 3),
    }
    options = CueOptions(losses=("balanced_seed",), grow=True)
    # In the second image class 1 is absent, so nothing of it grows.
    grown = torch.tensor([[[1, 1, 255]], [[1, 255, 0]]])
    expected = balanced_seed_loss(floored_softmax(scores), grown)
    found = cue_losses(**data, options=options)["balanced_seed"]
    torch.testing.assert_close(found, expected)
    high = CueOptions(losses=("balanced_seed",), grow=True, grow_foreground=0.95)
    still = balanced_seed_loss(floored_softmax(scores), data["labels"])
    torch.testing.assert_close(cue_losses(**data, options=high)["balanced_seed"], still)
    low = CueOptions(losses=("balanced_seed",), grow=True, grow_background=0.5)
    other = {**data, "labels": torch.tensor([[[255, 255, 0]], [[255, 255, 0]]])}
    same = balanced_seed_loss(floored_softmax(scores), other["labels"])
    torch.testing.assert_close(cue_losses(**other, options=low)["balanced_seed"], same)


def test_unknown_losses_and_none_are_told() -> None:
    with pytest.raises(BenchmarkError, match=r"no cue loss 'constrian': did you mean constrain\?"):
        CueOptions(losses=("seed", "constrian"))  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError, match="no cue loss is on"):
        CueOptions(losses=())


# --- the segmentor ------------------------------------------------------------------------------


def slim(name: str, folder: Path) -> Path:
    """A config that inherits ``name`` with few channels, small images and two steps."""
    backbone, channels = "width=0.0625, frozen_blocks=0", 32
    if "resnet" in name:
        backbone, channels = "base_channels=8", 64
    if "mobilenet" in name:
        backbone, channels = "frozen_blocks=14", 320
    path = folder / f"slim_{name}"
    path.write_text(
        f"_base_ = {str(config_path(name))!r}\n"
        "model = dict(\n"
        f"    data_preprocessor=dict(size=(33, 33)), backbone=dict({backbone}),\n"
        f"    decode_head=dict(in_channels={channels}, channels=8),\n"
        ")\n"
        "train_dataloader = dict(\n"
        "    batch_size=2,\n"
        "    dataset=dict(augmentation=dict(crop_size=(33, 33), warp=(33, 33))),\n"
        ")\n"
        "train_cfg = dict(max_iters=2)\n"
    )
    return path


def image_labels(tiny_set: Any) -> dict[str, np.ndarray]:
    return {name: np.isin([1, 2], truth) for name, truth in tiny_set.truth.items()}


def train(config: Path, tiny_set: Any, folder: Path, **options: Any) -> dict[str, Any]:
    (folder / "scratch").mkdir(parents=True, exist_ok=True)
    settings = {"image_labels": image_labels(tiny_set), **options}
    return train_segmentation(
        config,
        images=tiny_set.images,
        labels=tiny_set.labels,
        num_classes=3,
        initial_weights=None,
        seed=5,
        scratch=folder / "scratch",
        out=folder / "model.safetensors",
        progress=SilentProgress(),
        label="tiny",
        **settings,
    )


@pytest.mark.parametrize("name", SMALL)
def test_every_small_config_trains_two_steps(name: str, tiny_set: Any, tmp_path: Path) -> None:
    config = slim(name, tmp_path)
    metrics = train(config, tiny_set, tmp_path)
    assert metrics["iterations"] == 2
    assert math.isfinite(metrics["final_loss"]) and metrics["final_loss"] > 0
    weights = load_state_dict(tmp_path / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert any(key.startswith("decode_head") for key in weights)


def test_weights_of_backbone_and_head_move(tiny_set: Any, tmp_path: Path) -> None:
    config = slim("dsrg_aspp_vgg16_scenes.py", tmp_path)
    train(config, tiny_set, tmp_path / "two")
    one = tmp_path / "one.py"
    one.write_text(f"_base_ = {str(config)!r}\ntrain_cfg = dict(max_iters=1)\n")
    train(one, tiny_set, tmp_path / "one")
    first = load_state_dict(tmp_path / "one" / "model.safetensors")
    second = load_state_dict(tmp_path / "two" / "model.safetensors")
    moved = {key for key in first if not torch.equal(first[key], second[key])}
    assert moved == set(first)
    predict(
        config,
        tmp_path / "two" / "model.safetensors",
        images=dict(list(tiny_set.images.items())[:1]),
        num_classes=3,
        scales=(1.0,),
        flip=False,
        crf=None,
        out=tmp_path,
        progress=SilentProgress(),
        label="tiny",
    )
    name, truth = next(iter(tiny_set.truth.items()))
    assert read_label_png(tmp_path / "labels" / f"{name}.png").shape == truth.shape


def test_training_without_image_labels_is_told(tiny_set: Any, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="needs image labels"):
        train(slim("sec_largefov_vgg16_scenes.py", tmp_path), tiny_set, tmp_path, image_labels=None)


def test_the_step_sees_the_right_images_labels_and_cells(
    tiny_set: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the tiny set the colour tells the class, so that each image proves its own labels."""
    seen: list[dict[str, Tensor]] = []
    original = cues.cue_losses

    def spy(*arguments: Any) -> dict[str, Tensor]:
        names = ("scores", "labels", "image_labels", "images")
        seen.append(dict(zip(names, arguments, strict=False)))
        return original(*arguments)

    monkeypatch.setattr(cues, "cue_losses", spy)
    train(slim("sec_largefov_vgg16_scenes.py", tmp_path), tiny_set, tmp_path)
    assert len(seen) == 2
    for step in seen:
        assert step["scores"].shape == (2, 3, 9, 9)  # every fourth of 33 pixels
        assert step["labels"].shape == (2, 9, 9)
        assert step["images"].shape == (2, 3, 33, 33)
        for image, labels, present in zip(
            step["images"], step["labels"], step["image_labels"], strict=True
        ):
            red, _, blue = image
            found = torch.stack([(red > 180) & (blue < 80), (blue > 180) & (red < 80)])
            assert found.flatten(1).any(dim=1).tolist() == present.tolist()
            shown = set(labels.unique().tolist()) - {VOID}
            assert shown == {0} | {1 + i for i in range(2) if present[i]}
            reddish = found[:, ::4, ::4]
            for class_id in (1, 2):
                agree = (reddish[class_id - 1] == (labels == class_id)).float().mean()
                assert float(agree) > 0.85


def test_scores_are_taken_at_the_labels_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores of 5x5 cells, labels of 9x9: every second cell has the network's own score."""
    model = model_config(load_config(config_path("sec_largefov_vgg16_scenes.py")), 3)
    model["data_preprocessor"]["size"] = (33, 33)
    model["backbone"]["width"] = 1 / 16
    model["decode_head"].update(in_channels=32, channels=8)
    torch.manual_seed(0)
    network = build_model(model).eval()
    given: list[Tensor] = []
    monkeypatch.setattr(cues, "cue_losses", lambda *a: given.extend(a[:2]) or {"seed": a[0].sum()})
    label = torch.arange(33 * 33).reshape(1, 33, 33) % 3
    pixels = torch.randint(0, 256, (3, 33, 33), dtype=torch.uint8)
    sample = SegDataSample(gt_sem_seg=PixelData(data=label))
    sample.set_metainfo({"img_shape": (33, 33), "image_labels": [True, False]})
    data = network.data_preprocessor({"inputs": [pixels], "data_samples": [sample]}, True)
    assert set(network(**data, mode="loss")) == {"loss_seed"}
    scores, labels = given
    own = network.decode_head(network.backbone(data["inputs"]))
    assert own.shape == (1, 3, 5, 5)
    torch.testing.assert_close(scores[:, :, ::2, ::2], own)
    torch.testing.assert_close(scores[:, :, ::2, 1], (own[:, :, :, 0] + own[:, :, :, 1]) / 2)
    assert labels.tolist() == label[:, ::4, ::4].tolist()


# --- the ASPP head ------------------------------------------------------------------------------


LOSS = {"type": "CrossEntropyLoss", "avg_non_ignore": True}


def test_direct_branches_reach_where_their_dilations_say() -> None:
    head = ASPPSumHead(in_channels=2, channels=1, num_classes=3, direct=True, loss_decode=LOSS)
    for parameter in head.parameters():
        nn.init.constant_(parameter, 1.0 if parameter.ndim == 4 else 0.0)
    features = torch.zeros(1, 2, 61, 61)
    features[0, 1, 30, 30] = 5.0
    expected = torch.zeros(61, 61)
    for rate in (6, 12, 18, 24):
        for down in (-rate, 0, rate):
            for right in (-rate, 0, rate):
                expected[30 + down, 30 + right] += 5
    for scores in head((features,))[0]:
        torch.testing.assert_close(scores, expected)


def test_deep_branches_are_summed_with_all_their_biases() -> None:
    torch.manual_seed(0)
    head = ASPPSumHead(
        in_channels=6, channels=5, num_classes=3, dilations=(1, 3), loss_decode=LOSS
    ).eval()
    for parameter in head.parameters():
        nn.init.normal_(parameter)
    features = torch.randn(2, 6, 7, 9)
    expected = torch.zeros(2, 3, 7, 9)
    for branch, rate in enumerate((1, 3)):
        layers = dict(head.branches[branch].named_parameters())
        assert len(layers) == 6
        hidden = features
        for name, options in (("fc6", {"padding": rate, "dilation": rate}), ("fc7", {})):
            weight, bias = layers[f"{name}.weight"], layers[f"{name}.bias"]
            hidden = functional.conv2d(hidden, weight, bias, **options).clamp(min=0)
        expected += torch.einsum("kc,bchw->bkhw", layers["conv_seg.weight"][:, :, 0, 0], hidden)
        expected += layers["conv_seg.bias"][:, None, None]
    torch.testing.assert_close(head((features,)), expected)


@pytest.mark.parametrize("direct", [False, True])
def test_new_classifiers_begin_at_a_hundredth(direct: bool) -> None:
    torch.manual_seed(0)
    head = ASPPSumHead(
        in_channels=64, channels=128, num_classes=21, direct=direct, loss_decode=LOSS
    )
    head.init_weights()
    for branch in head.branches:
        classifier = branch if direct else branch.conv_seg
        assert float(classifier.weight.detach().std()) == pytest.approx(0.01, rel=0.1)
        assert not classifier.bias.any()
        if not direct:
            found = float(branch.fc6.weight.detach().std())
            assert found == pytest.approx(np.sqrt(2 / (128 * 9)), rel=0.05)


# --- the published configs ----------------------------------------------------------------------


def head_parameters(classes: int = 21) -> int:
    return 512 * 1024 * 9 + 1024 + 1024 * 1024 + 1024 + 1024 * classes + classes


VGG16 = 14_714_688
RESNET101 = 44_549_160 - 2_049_000

PUBLISHED = {
    # parameters, batch, rate, warp, mirror, colour, milestones, factor, losses, CRF's input, grow
    "sec_largefov_vgg16_voc12.py": (
        VGG16 + head_parameters(), 15, 1e-3, 321, False, False, (2000, 4000, 6000), 0.1,
        ("seed", "expand", "constrain"), "logits", None, False,
    ),
    "sec_seed_largefov_vgg16_voc12.py": (
        VGG16 + head_parameters(), 15, 1e-3, 321, False, False, (2000, 4000, 6000), 0.1,
        ("seed",), "logits", None, False,
    ),
    "sec_seed_expand_largefov_vgg16_voc12.py": (
        VGG16 + head_parameters(), 15, 1e-3, 321, False, False, (2000, 4000, 6000), 0.1,
        ("seed", "expand"), "logits", None, False,
    ),
    "sec_seed_constrain_largefov_vgg16_voc12.py": (
        VGG16 + head_parameters(), 15, 1e-3, 321, False, False, (2000, 4000, 6000), 0.1,
        ("seed", "constrain"), "logits", None, False,
    ),
    "dsrg_aspp_vgg16_voc12.py": (
        VGG16 + 4 * head_parameters(), 20, 5e-4, 321, True, False, tuple(range(1000, 8000, 1000)),
        0.33, ("balanced_seed", "constrain"), "probabilities", (0.05, 20.0), True,
    ),
    "sgan_aspp_vgg16_voc12.py": (
        VGG16 + 4 * head_parameters(), 15, 1e-3, 353, True, True, (2000, 4000, 6000), 0.33,
        ("balanced_seed", "constrain"), "probabilities", (0.05, 20.0), False,
    ),
    "sgan_aspp_resnet101_voc12.py": (
        RESNET101 + 4 * (2048 * 9 * 21 + 21), 15, 1e-3, 353, True, True, (2000, 4000, 6000), 0.33,
        ("balanced_seed", "constrain"), "probabilities", (0.05, 20.0), False,
    ),
}  # fmt: skip


def test_no_published_config_is_forgotten() -> None:
    assert set(PUBLISHED) == {name for name in CONFIGS if name.endswith("_voc12.py")}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_constants(name: str) -> None:
    (
        parameters, batch, rate, warp, mirror, colour, milestones, factor, losses, crf_input,
        ratio_range, grows,
    ) = PUBLISHED[name]  # fmt: skip
    config = load_config(config_path(name))
    assert config.train_dataloader.batch_size == batch
    augmentation = config.train_dataloader.dataset.augmentation
    assert tuple(augmentation.warp) == (warp, warp)
    assert tuple(augmentation.crop_size) == (321, 321)
    assert tuple(augmentation.scale_range) == (1.0, 1.0)
    assert (augmentation.mirror, augmentation.get("colour", False)) == (mirror, colour)
    assert (config.train_cfg.max_iters, config.train_cfg.val_interval) == (8000, 8000)
    (schedule,) = config.param_scheduler
    assert (schedule.type, tuple(schedule.milestones)) == ("MultiStepLR", milestones)
    assert (schedule.gamma, schedule.by_epoch) == (factor, False)
    with torch.device("meta"):
        network = build_model(model_config(config, 21))
    options = network.cues
    assert (options.losses, options.crf_input) == (losses, crf_input)
    assert (options.ratio_range, options.grow, options.crf_scale) == (ratio_range, grows, 12.0)
    assert (options.foreground_decay, options.background_decay) == (0.996, 0.999)
    assert (options.grow_foreground, options.grow_background) == (0.85, 0.99)
    assert sum(p.numel() for p in network.parameters()) == parameters
    assert network.backbone.net.output_stride == 8
    assert network.decode_head.label_stride == 8
    averages = [part for part in network.modules() if isinstance(part, nn.AvgPool2d)]
    assert len(averages) == ("vgg16" in name)  # before fc6, in the released SEC, DSRG and SGAN
    optimiser = build_optim_wrapper(network, config.optim_wrapper).optimizer
    assert optimiser.defaults["momentum"] == 0.9
    names = {id(p): key for key, p in network.named_parameters()}
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            key = names.pop(id(parameter))
            if "bn" in key or "downsample.1" in key:  # DeepLab v2's on ResNet-101 learn nothing
                assert (group["lr"], group["weight_decay"]) == (0.0, 0.0), key
                continue
            head, bias = key.startswith("decode_head"), key.endswith("bias")
            expected = rate * (10 if head else 1) * (2 if bias else 1), 0.0 if bias else 5e-4
            assert (group["lr"], group["weight_decay"]) == pytest.approx(expected), key
    assert not names


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_build_and_have_no_machine_path(name: str) -> None:
    config = load_config(config_path(name))
    assert config.model.type == "CueSegmentor"
    assert config.data_root.startswith("data/")
    assert config.custom_imports.imports in (["benchmark.segmentation"], ["benchmark.deeplab"])
    end = config.param_scheduler[-1].get("end", config.train_cfg.max_iters)
    assert end == config.train_cfg.max_iters
    with torch.device("meta"):
        network = build_model(model_config(config, 5))
    crop = config.train_dataloader.dataset.augmentation.crop_size
    assert tuple(crop) == tuple(config.model.data_preprocessor.size)
    stride = network.decode_head.label_stride
    assert (crop[0] - 1) % stride == 0
    # As many of the CRF's pixels to a cell as 12 are to one of 41 cells, and the decays likewise.
    cells = (crop[0] - 1) // stride + 1
    assert network.cues.crf_scale == pytest.approx(12 * 41 / cells, rel=0.03)
    if "expand" in network.cues.losses:
        share = 41**2 / cells**2
        for found, published in (
            (network.cues.foreground_decay, 0.996),
            (network.cues.background_decay, 0.999),
        ):
            assert math.log(found) == pytest.approx(share * math.log(published), rel=0.05)


def test_variants_differ_in_their_losses_alone() -> None:
    for profile in ("voc12", "scenes"):
        whole = load_config(config_path(f"sec_largefov_vgg16_{profile}.py")).to_dict()
        for variant in ("seed", "seed_expand", "seed_constrain"):
            name = f"sec_{variant}_largefov_vgg16_{profile}.py"
            part = load_config(config_path(name)).to_dict()
            assert tuple(part["model"]["cues"]["losses"]) == tuple(variant.split("_"))
            part["model"]["cues"]["losses"] = whole["model"]["cues"]["losses"]
            assert part == whole
