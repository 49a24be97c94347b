"""Training images that stay on the device, and their views, cut there for a whole batch at once.

The same views as ``View.of`` cuts on the host with OpenCV, whose fixed-point interpolation may
round a value to its neighbour; nearest neighbours, colours and padding are equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.data.augment import View
from benchmark.device import device, on_device

SHARE_OF_MEMORY = 0.3
"""Of a GPU's memory, for images: VOC's 10,582 take 6 GB, the steps of VGG-16 some 10."""


def fits_on_device(planes: Sequence[NDArray[Any]]) -> bool:
    """Whether there is a GPU with room for ``planes`` beside what its steps need.

    All its memory counts, not what is free of it now: the same machine always decides the same.
    """
    if device().type != "cuda":
        return False
    _, memory = torch.cuda.mem_get_info()
    return sum(plane.nbytes for plane in planes) <= SHARE_OF_MEMORY * memory


@dataclass(frozen=True)
class _Axis:
    """Where the positions along one axis of B views lie in what they show, each (B, crop).

    Between ``low`` and ``high``, nearer to that by ``share``; ``inside``: not in the padding.
    """

    low: Tensor
    high: Tensor
    share: Tensor
    inside: Tensor


class ResidentPlanes:
    """Planes (H, W) or (H, W, K) of any sizes and one type, one behind the other on the device."""

    def __init__(self, planes: Sequence[NDArray[Any]], sizes: Sequence[tuple[int, int]]) -> None:
        """Take planes of ``sizes`` (H, W) one by one: some are made as they are looked at."""
        counts = [height * width for height, width in sizes]
        self._starts = np.cumsum([0, *counts])
        self._widths = [width for _, width in sizes]
        first = planes[0]
        self._channels = first.shape[2:]
        shape = (sum(counts), *(self._channels or (1,)))
        dtype = torch.from_numpy(np.empty(0, first.dtype)).dtype
        self._cells = torch.empty(shape, dtype=dtype, device=device())
        for start, count, plane in zip(self._starts, counts, planes, strict=False):
            flat = np.array(plane).reshape(count, shape[1])  # torch warns of a read-only one
            self._cells[start : start + count] = torch.from_numpy(flat)

    def views(
        self,
        places: Sequence[int],
        views: Sequence[View],
        *,
        padding: Any = 0,
        nearest: bool = False,
        colours: Sequence[NDArray[np.uint8]] = (),
    ) -> Tensor:
        """Return what the B ``views``, of one crop, show of the planes at ``places``.

        That is (B, crop, crop) or (B, crop, crop, K), of the planes' type. ``colours``: what the
        values of each view become, (256, K); none where they stay.
        """
        chosen = zip(places, views, strict=True)
        numbers = on_device(np.array([self._numbers(place, view) for place, view in chosen]))
        corner, width, high, wide, tall, broad, top, left, mirrored = numbers[..., None].unbind(1)
        at = torch.arange(views[0].crop, device=numbers.device)[None]
        rows = _along(top + at, high, tall, nearest)
        columns = _along(left + torch.where(mirrored > 0, at.flip(1), at), wide, broad, nearest)

        def cells(row: Tensor, column: Tensor) -> Tensor:
            return self._cells[(corner + row * width)[:, :, None] + column[:, None]]

        shown = cells(rows.low, columns.low)
        if not nearest:
            across, down = columns.share[:, None, :, None], rows.share[:, :, None, None]
            upper = shown.float().lerp(cells(rows.low, columns.high).float(), across)
            lower = cells(rows.high, columns.low).float()
            lower = lower.lerp(cells(rows.high, columns.high).float(), across)
            shown = (upper.lerp(lower, down) + 0.5).floor().to(shown.dtype)
        if len(colours):
            shown = _translated(shown, on_device(np.stack(colours)))
        inside = rows.inside[:, :, None, None] & columns.inside[:, None, :, None]
        shown = torch.where(inside, shown, on_device(np.asarray(padding)).to(shown.dtype))
        return shown if self._channels else shown[..., 0]

    def _numbers(self, place: int, view: View) -> tuple[int, ...]:
        """Return the first cell of the view's source, the plane's width, and the view's numbers."""
        top, left, height, width = view.source
        corner = int(self._starts[place]) + top * self._widths[place] + left
        return corner, self._widths[place], height, width, *view.size, *view.corner, view.mirrored


def _along(at: Tensor, length: Tensor, size: Tensor, nearest: bool) -> _Axis:
    """Return where ``at`` lie, positions in ``length`` cells resized to ``size``, as in OpenCV."""
    inside = (at >= 0) & (at < size)
    if nearest:
        position = at.double() * (1 / (size.double() / length.double()))
    else:
        position = (at.double() + 0.5) * (length.double() / size.double()) - 0.5
    position = torch.minimum(position.clamp(min=0), (length - 1).double())
    low = position.long()
    return _Axis(low, torch.minimum(low + 1, length - 1), (position - low).float(), inside)


def _translated(shown: Tensor, colours: Tensor) -> Tensor:
    """Return ``shown`` (B, crop, crop, K) with every value as ``colours`` (B, 256, K) has it."""
    places = shown.flatten(1, 2).long()
    return colours.gather(1, places).view(shown.shape)
