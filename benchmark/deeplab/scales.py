"""DeepLab v2's several input scales, which learn together and speak as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmseg.models.segmentors import EncoderDecoder
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch import Tensor
from torch.nn import functional


@MODELS.register_module()
class MaxOfScales(EncoderDecoder):
    """An EncoderDecoder that sees each image at several scales and takes the highest score.

    Chen et al. (PAMI 2018, section 3.2): score maps are interpolated to the largest and joined by
    their maximum, in training and in test. As in the released training the loss is the sum of that
    of the maximum and those of every scale, each on the labels of its own cells.

    Cell i of a map is centred on pixel stride * i: a scaled side is rounded up to a multiple of the
    stride plus 1, 321 pixels to 241 and 161.

    Args:
        scales: Factors on the image's size, the largest first.
        options: ``EncoderDecoder``'s; its head must align corners.
    """

    def __init__(self, scales: tuple[float, ...] = (1.0, 0.75, 0.5), **options: Any) -> None:
        super().__init__(**options)
        self.scales = scales

    def scores(self, images: Tensor) -> list[Tensor]:
        """Return the class scores of normalised images (B, 3, H, W), (B, L, h, w) a scale."""
        stride = self.backbone.net.output_stride
        found = []
        for scale in self.scales:
            cells = [-(-round((side - 1) * scale) // stride) for side in images.shape[2:]]
            view = _resized(images, [stride * count + 1 for count in cells])
            found.append(self.decode_head(self.extract_feat(view)))
        return found

    def loss(self, inputs: Tensor, data_samples: list[SegDataSample]) -> dict[str, Tensor]:
        """Return the losses of the maximum and of every scale."""
        labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data_samples])
        scores = self.scores(inputs)
        found = {"loss_max": self._loss(joined(scores), labels)}
        for scale, one in zip(self.scales, scores, strict=True):
            found[f"loss_scale_{scale:g}"] = self._loss(one, labels)
        return found

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        head, cells = self.decode_head, at_cells(labels, scores.shape[2:])
        return head.loss_decode(scores, cells, ignore_index=head.ignore_index)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict[str, Any]]) -> Tensor:
        """Return the joined scores at the size that the images had."""
        return self.decode_head.predict_by_feat(joined(self.scores(inputs)), batch_img_metas)

    def _forward(self, inputs: Tensor, data_samples: list[SegDataSample] | None = None) -> Tensor:
        return joined(self.scores(inputs))


def joined(scores: list[Tensor]) -> Tensor:
    """Return the maximum (B, L, h, w) of score maps, each interpolated to the first's size."""
    size = scores[0].shape[2:]
    return torch.stack([_resized(one, size) for one in scores]).amax(dim=0)


def at_cells(labels: Tensor, size: Sequence[int]) -> Tensor:
    """Return the labels (B, h, w) of the pixels that the cells are centred on, of (B, H, W)."""
    rows, columns = (
        torch.linspace(0, side - 1, cells, device=labels.device).round().long()
        for side, cells in zip(labels.shape[1:], size, strict=True)
    )
    return labels[:, rows][:, :, columns]


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode="bilinear", align_corners=True)
