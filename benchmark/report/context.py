"""Context sheets: to which cells a method's attention carries what it sees at one pixel."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmark.data.voc import VocDataset
from benchmark.errors import BenchmarkError
from benchmark.graph import row_method
from benchmark.method import Method
from benchmark.plan import Plan
from benchmark.proxy import resize_maps
from benchmark.registry import near_name
from benchmark.report.sheet import (
    CAPTION,
    CELL,
    DPI,
    GAP,
    HEADER,
    MARGIN,
    Pixels,
    check_finished,
    compact,
    draw_header,
    heat_overlay,
    place_text,
    reading,
    tell_stale,
)
from benchmark.stages.inputs import attention_network, dataset_of, labelled_images
from benchmark.store import Stage, Store, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

Pixel = tuple[int, int]  # x, y


class ContextMap(Protocol):
    """What the module of a method may define as ``context_map``, beside the method's class."""

    def __call__(
        self, network: Any, image: Tensor, saliency: Tensor | None, pixel: tuple[int, int]
    ) -> Tensor:
        """Return how much each cell (h, w) gathers from the one under ``pixel`` (row, column).

        image (3, H, W), normalised; saliency (H, W) in [0, 1]; ``network`` is in evaluation mode.
        """


@dataclass(frozen=True)
class Context:
    """One image (H, W, 3), its saliency (H, W), and the context map (h, w) of some pixels."""

    image_id: str
    image: Pixels
    saliency: NDArray[np.float32] | None
    pixels: tuple[Pixel, ...]
    maps: tuple[NDArray[np.float32], ...]


def write_context(
    plan: Plan,
    row: str,
    image_id: str,
    pixels: Sequence[Pixel],
    store: Store,
    results: Path,
    *,
    announce: Callable[[str], None],
) -> Path:
    """Write results/PROFILE/figures/TABLE_ROW_context_ID.jpg and return its path.

    With released files it is results/PROFILE/from/TABLE-ROW-KIND-context-ID.jpg.
    BenchmarkError for a row without such maps or not run yet, and for an image or a pixel that is
    not there. ``announce`` is told where the code behind the network has changed since.
    """
    sheet = plan.sheet(row)
    function = context_function(row_method(plan.table.row(row)), row)
    _check_trained(plan, sheet.maps, store, announce)
    context = read_context(function, plan, row, image_id, pixels, store)
    about = f"{plan.table.id}, profile {plan.profile.id}, seed {sheet.seed}"
    picture = compact(draw_context(context, plan.table.row(row).title, about))
    name = f"figures/{plan.table.id}_{row}_context_{image_id}"
    if plan.released:
        name = f"{plan.name}-context-{image_id}"
    path = results / plan.profile.id / f"{name}.jpg"
    write_atomic(path, picture)
    return path


def context_function(method: Method, row: str) -> ContextMap:
    """Return what the method's module defines; BenchmarkError where it defines nothing."""
    found: ContextMap | None = getattr(sys.modules[type(method).__module__], "context_map", None)
    if found is None:
        raise BenchmarkError(
            f"row {row}: the method {type(method).__name__} has no context maps to show (its "
            "module defines no context_map)"
        )
    return found


def read_context(
    function: ContextMap, plan: Plan, row: str, image_id: str, pixels: Sequence[Pixel], store: Store
) -> Context:
    """Return the context maps of some pixels (x, y) of one image, from the trained network."""
    import torch

    from benchmark.batches import whole_images
    from benchmark.weights import load_state_dict

    maps = plan.sheets[row].maps
    trained = maps.inputs["attention"]
    work = reading(trained, store)
    dataset = dataset_of(work)
    data = labelled_images(work, dataset, [image_id], _saliency_role(dataset, image_id))
    image = np.asarray(data.images[0])
    _check_pixels(image_id, image, pixels)
    method = row_method(plan.table.row(row))
    network = attention_network(reading(maps, store), method, dataset, trained.config["backbone"])
    network.load_state_dict(load_state_dict(store.folder(trained) / "attention.safetensors"))
    network.eval()
    size = int(maps.config["size"])  # type: ignore[arg-type]
    batch = whole_images(data, size)
    saliency = None if batch.saliency is None else batch.saliency[0]
    height, width = image.shape[:2]
    found = []
    for x, y in pixels:
        place = (y * size // height, x * size // width)
        with torch.no_grad():
            found.append(function(network, batch.images[0], saliency, place).float().cpu().numpy())
    shown = None if data.saliency is None else np.float32(1 / 255) * data.saliency[0]
    return Context(image_id, image, shown, tuple(pixels), tuple(found))


def _check_trained(plan: Plan, maps: Stage, store: Store, announce: Callable[[str], None]) -> None:
    if "attention" not in maps.inputs:
        raise BenchmarkError("the files given leave no attention network to look into")
    trained = maps.inputs["attention"]
    seen = [stage for role, stage in trained.inputs.items() if role.startswith("saliency")]
    check_finished(plan, (trained, *seen), store)
    tell_stale(trained, store, announce)


def _saliency_role(dataset: VocDataset, image_id: str) -> str:
    """Return the role of the saliency of the image's split; BenchmarkError for an unknown image."""
    val, train = dataset.ids(dataset.val_split), dataset.ids(dataset.train_split)
    if image_id in val:
        return "saliency_val"
    if image_id in train:
        return "saliency_train"
    raise BenchmarkError(near_name("image", image_id, (*val, *train)))


def _check_pixels(image_id: str, image: Pixels, pixels: Sequence[Pixel]) -> None:
    height, width = image.shape[:2]
    for x, y in pixels:
        if not (0 <= x < width and 0 <= y < height):
            raise BenchmarkError(
                f"pixel {x},{y} lies outside {image_id}: x is 0 to {width - 1}, "
                f"y is 0 to {height - 1}"
            )


def parse_pixels(values: Sequence[str]) -> tuple[Pixel, ...]:
    """Read ``X,Y`` values; BenchmarkError for anything else."""
    found = []
    for value in values:
        parts = value.split(",")
        if len(parts) != 2 or not all(re.fullmatch(r" *[0-9]{1,9} *", part) for part in parts):
            raise BenchmarkError(f"--pixel {value}: say X,Y in pixels from the upper left corner")
        found.append((int(parts[0]), int(parts[1])))
    return tuple(found)


def draw_context(context: Context, title: str, about: str) -> Figure:
    """Return the figure: a line a pixel, with the image, its saliency and the context map.

    A context map is shown from 0 to its maximum; what is below 0 is shown as 0.
    """
    names = ["image", *([] if context.saliency is None else ["saliency"]), "context map"]
    tall = CELL * context.image.shape[0] / context.image.shape[1]
    width = 2 * MARGIN + len(names) * CELL + (len(names) - 1) * GAP
    height = HEADER + len(context.pixels) * (tall + CAPTION) + MARGIN
    figure = Figure((width, height), dpi=DPI)
    draw_header(figure, title, about, names)
    top = height - HEADER
    for pixel, values in zip(context.pixels, context.maps, strict=True):
        caption = f"{context.image_id}: pixel {pixel[0]},{pixel[1]} · maximum {values.max():.3g}"
        place_text(figure, MARGIN, top - 0.14, caption, size=7.5, color="0.25")
        top -= CAPTION + tall
        for column, picture in enumerate(pictures(context, values)):
            left = MARGIN + column * (CELL + GAP)
            place = (left / width, top / height, CELL / width, tall / height)
            axes = figure.add_axes(place)
            axes.imshow(picture, aspect="auto", interpolation="bilinear")
            axes.set_axis_off()
            if column != 1 or context.saliency is None:
                _mark(axes, pixel)
    return figure


def pictures(context: Context, values: NDArray[np.float32]) -> list[Pixels]:
    """Return the image, its saliency where there is one, and the map (h, w) over the image."""
    found = [context.image]
    if context.saliency is not None:
        grey = np.rint(255 * context.saliency).astype(np.uint8)
        found.append(np.repeat(grey[..., None], 3, axis=2))
    positive = np.maximum(values, 0)
    highest = float(positive.max())
    full = resize_maps(positive[None] / (highest or 1.0), context.image.shape[:2])[0]
    return [*found, heat_overlay(context.image, full)]


def _mark(axes: Axes, pixel: Pixel) -> None:
    """Mark a pixel with a yellow plus, outlined so that it is seen on light and on dark."""
    limits = axes.get_xlim(), axes.get_ylim()
    axes.plot(*pixel, "+", markersize=11, color="black", mew=3.6)
    axes.plot(*pixel, "+", markersize=9, color="yellow", mew=1.6)
    axes.set_xlim(limits[0])
    axes.set_ylim(limits[1])
