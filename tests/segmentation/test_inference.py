from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from benchmark.crf import CrfOptions, dense_crf_present
from benchmark.data.voc import PALETTE, read_image, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.progress import SilentProgress
from benchmark.segmentation.inference import CRF_FLOOR, Views, load_network, predict, probabilities


@pytest.fixture(scope="module")
def network(learned: tuple[Path, Path]) -> nn.Module:
    return load_network(*learned, 3)


def run(learned: tuple[Path, Path], tiny_set: Any, out: Path, **options: Any) -> None:
    settings: dict[str, Any] = {
        "images": tiny_set.images,
        "num_classes": 3,
        "scales": (1.0,),
        "flip": False,
        "crf": None,
        "progress": SilentProgress(),
        "label": "tiny",
    }
    predict(*learned, out=out, **{**settings, **options})


def by_hand(network: nn.Module, image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """One image's probabilities, (H, W) warped to ``size``, without any of MMSegmentation."""
    mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
    std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
    pixels = torch.from_numpy(image).permute(2, 0, 1).float()
    warped = nn.functional.interpolate(pixels[None], size, mode="bilinear").round().clamp(0, 255)
    with torch.no_grad():
        scores = network.decode_head((network.backbone.net((warped - mean) / std),))
    scores = nn.functional.interpolate(scores, image.shape[:2], mode="bilinear", align_corners=True)
    return scores.softmax(1)[0]


def test_scales_and_mirror_images_are_averaged(network: nn.Module, tiny_set: Any) -> None:
    image = read_image(tiny_set.images["image1"])  # 40 x 56
    found = probabilities(network, [image], Views((0.5, 1.0, 1.5), True))[0]
    expected = torch.zeros_like(found)
    # Sides are rounded up to 8 k + 1: 20 -> 25, 28 -> 33; 40 -> 41, 56 -> 57; 60 -> 65, 84 -> 89.
    for size in ((25, 33), (41, 57), (65, 89)):
        expected += by_hand(network, image, size)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        expected += by_hand(network, mirrored, size).flip(2)
    torch.testing.assert_close(found, expected / 6, rtol=0, atol=0.02)
    torch.testing.assert_close(found.sum(0), torch.ones(40, 56))


def scores_by_hand(network: nn.Module, image: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """As ``by_hand``, up to a constant in every pixel: its softmax takes that away."""
    return by_hand(network, image, size).double().log()


def test_logits_of_square_warps_are_summed(network: nn.Module, tiny_set: Any) -> None:
    """SGAN's released test has squares of 288, 385 and 481 pixels: 0.75, 1 and 1.25 times 385."""
    image = read_image(tiny_set.images["image1"])  # 40 x 56
    views = Views((0.75, 1.0, 1.25), square=48, fusion="logits")
    found = probabilities(network, [image], views)[0]
    # Sides of 36, 48 and 60 are rounded up to 8 k + 1.
    summed = sum(scores_by_hand(network, image, (side, side)) for side in (41, 49, 65))
    assert isinstance(summed, torch.Tensor)
    expected = summed.softmax(0).float()
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    averaged = probabilities(network, [image], Views(views.scales, square=48))[0]
    assert (averaged - found).abs().max() > 0.05
    own_shape = probabilities(network, [image], Views(views.scales, fusion="logits"))[0]
    assert (own_shape - found).abs().max() > 0.01


@pytest.mark.parametrize("flip", [False, True])
def test_the_highest_logit_of_the_scales_is_taken(
    network: nn.Module, tiny_set: Any, flip: bool
) -> None:
    """DCSP's released test: the maximum, class by class, of the scores at 1, 0.75 and 0.5."""
    image = read_image(tiny_set.images["image1"])  # 40 x 56
    found = probabilities(network, [image], Views((1.0, 0.5), flip, fusion="maximum"))[0]
    scores = []
    for seen in (image, image[:, ::-1].copy()) if flip else (image,):
        for size in ((41, 57), (25, 33)):
            pixels = torch.from_numpy(cv2.resize(seen, size[::-1])).permute(2, 0, 1).float()
            mean = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
            std = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)
            with torch.no_grad():
                cells = network.decode_head((network.backbone.net((pixels - mean)[None] / std),))
            own = nn.functional.interpolate(cells, (40, 56), mode="bilinear", align_corners=True)
            scores.append(own.flip(3) if seen is not image else own)
    expected = np.stack([one[0].double().numpy() for one in scores]).max(axis=0)
    expected = np.exp(expected) / np.exp(expected).sum(axis=0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-4)
    averaged = probabilities(network, [image], Views((1.0, 0.5), flip))[0]
    assert (averaged - found).abs().max() > 0.01


def test_a_prediction_joins_its_views_as_it_is_told(
    learned: tuple[Path, Path], network: nn.Module, tiny_set: Any, tmp_path: Path
) -> None:
    images = dict(list(tiny_set.images.items())[1:2])
    settings = {"scales": (0.5, 1.0), "square": 33, "fusion": "logits"}
    run(learned, tiny_set, tmp_path, images=images, **settings)
    ((name, path),) = images.items()
    scores = probabilities(network, [read_image(path)], Views((0.5, 1.0), False, 33, "logits"))
    found = read_label_png(tmp_path / "labels" / f"{name}.png")
    assert (found == scores[0].argmax(0).numpy()).mean() > 0.999


def test_a_mirrored_image_gives_the_mirrored_result(network: nn.Module, tiny_set: Any) -> None:
    image = read_image(tiny_set.images["image2"])
    mirrored = np.ascontiguousarray(image[:, ::-1])
    one = probabilities(network, [image], Views((1.0,), True))
    other = probabilities(network, [mirrored], Views((1.0,), True)).flip(3)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    alone = probabilities(network, [image], Views((1.0,)))
    assert (one - alone).abs().max() > 1e-3


def test_a_batch_is_its_images(network: nn.Module, tiny_set: Any) -> None:
    images = [read_image(tiny_set.images[f"image{i}"]) for i in (0, 3, 6)]
    together = probabilities(network, images, Views((1.0,)))
    alone = torch.cat([probabilities(network, [image], Views((1.0,))) for image in images])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_labels_have_each_images_size_and_vocs_palette(
    learned: tuple[Path, Path], network: nn.Module, tiny_set: Any, tmp_path: Path
) -> None:
    from PIL import Image

    run(learned, tiny_set, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labels"]
    for name, truth in tiny_set.truth.items():
        path = tmp_path / "labels" / f"{name}.png"
        found = read_label_png(path)
        assert found.shape == truth.shape
        image = read_image(tiny_set.images[name])
        expected = probabilities(network, [image], Views((1.0,)))[0].argmax(0).numpy()
        assert (found == expected).mean() > 0.999
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[:9] == PALETTE[:3].ravel().tolist()


@pytest.mark.parametrize("workers", [1, 2])
def test_crf_is_applied_to_the_averaged_probabilities(
    learned: tuple[Path, Path],
    network: nn.Module,
    tiny_set: Any,
    tmp_path: Path,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import benchmark.segmentation.inference as module

    monkeypatch.setattr(module, "_workers", lambda images: workers)
    options = CrfOptions(iterations=3)
    images = dict(list(tiny_set.images.items())[:4])
    run(learned, tiny_set, tmp_path, images=images, crf=options)
    differs = 0
    for name, path in images.items():
        image = read_image(path)
        scores = probabilities(network, [image], Views((1.0,)))[0].numpy()
        present = scores.max(axis=(1, 2)) >= CRF_FLOOR
        expected = dense_crf_present(image, scores, present, options).argmax(0)
        found = read_label_png(tmp_path / "labels_crf" / f"{name}.png")
        assert (found == expected).mean() > 0.995
        differs += int((found != read_label_png(tmp_path / "labels" / f"{name}.png")).sum())
    assert differs > 0


def test_weights_for_other_classes_are_told(
    learned: tuple[Path, Path], tiny_set: Any, tmp_path: Path
) -> None:
    with pytest.raises(BenchmarkError, match=r"conv_seg.* has shape \(3.*expected \(5"):
        run(learned, tiny_set, tmp_path, num_classes=5)
