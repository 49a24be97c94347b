"""Figure sheets: what a row's attention and proxy labels look like, image by image."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from benchmark.data.voc import CLASS_NAMES, PALETTE, VOID, VocDataset, read_label_png
from benchmark.errors import BenchmarkError
from benchmark.maps import MapArchive
from benchmark.plan import Plan, Sheet
from benchmark.progress import SilentProgress
from benchmark.proxy import resize_maps
from benchmark.stages.inputs import dataset_of
from benchmark.store import Stage, Store, Workspace, write_atomic

COLUMNS = ("image", "attention", "proxy label", "truth")
HEAT = "inferno"
VOID_COLOUR = (235, 235, 235)
MOST_BYTES = 300_000
QUALITIES = (90, 80, 70, 60)

# All in inches
CELL = 1.7
GAP = 0.06
CAPTION = 0.2
HEADER = 0.72
LEGEND_LINE = 0.2
MARGIN = 0.12
DPI = 100

Pixels = NDArray[np.uint8]


class Unfinished(BenchmarkError):
    """A row whose stages are not all in the store."""


@dataclass(frozen=True)
class Strip:
    """One image's row of the sheet; ``labels`` and ``truth`` hold contiguous ids and 255."""

    image_id: str
    image: Pixels
    present: tuple[str, ...]
    shown: str
    """The class whose attention is shown."""
    attention: NDArray[np.float32]
    labels: Pixels
    truth: Pixels


def write_sheet(
    plan: Plan,
    row: str,
    store: Store,
    results: Path,
    images: int,
    *,
    announce: Callable[[str], None],
) -> Path:
    """Write results/PROFILE/figures/TABLE_ROW.jpg from what the store holds; return its path.

    With released files it is results/PROFILE/from/TABLE-ROW-KIND.jpg.
    BenchmarkError for a row that the plan does not measure, or that has not been run.
    ``announce`` is told where the code behind the row has changed since.
    """
    sheet = plan.sheet(row)
    check_finished(plan, (sheet.maps, sheet.labels), store)
    tell_stale(sheet.labels, store, announce)
    dataset = dataset_of(reading(sheet.labels, store))
    strips = read_strips(dataset, sheet, store, images)
    title = plan.table.row(row).title
    about = f"{plan.table.id}, profile {plan.profile.id}, seed {sheet.seed}, {dataset.val_split}"
    picture = compact(draw_sheet(strips, dataset.classes, title, about))
    name = plan.name if plan.released else f"figures/{plan.table.id}_{row}"
    path = results / plan.profile.id / f"{name}.jpg"
    write_atomic(path, picture)
    return path


def write_sheets(
    plan: Plan, store: Store, results: Path, images: int, *, announce: Callable[[str], None]
) -> Iterator[Path]:
    """Write the sheet of every row that is finished, one after the other, and yield its path.

    ``announce`` is told of rows that are not; BenchmarkError where none is.
    """
    unfinished = 0
    for row in plan.sheets:
        try:
            yield write_sheet(plan, row, store, results, images, announce=announce)
        except Unfinished as error:
            announce(f"{row} is left out: {error}")
            unfinished += 1
    if not plan.sheets and plan.not_given:
        raise BenchmarkError(f"no row of {plan.table.id} has a figure: {plan.not_given[0]}")
    if unfinished == len(plan.sheets):
        raise BenchmarkError(f"no row of {plan.table.id} is finished in the store {store.root}")


def chosen_ids(archive: MapArchive, number: int) -> tuple[str, ...]:
    """Return up to ``number`` image ids, evenly spaced over those, sorted, that hold a class.

    They depend on the images and their labels alone, so every method is shown on the same ones.
    """
    ids = sorted(image_id for image_id in archive.ids() if len(archive.read(image_id)[1]))
    places = np.linspace(0, len(ids) - 1, min(number, len(ids)))
    return tuple(ids[round(place)] for place in places)


def read_strips(dataset: VocDataset, sheet: Sheet, store: Store, number: int) -> list[Strip]:
    """Return the rows of a sheet; BenchmarkError where no image holds a class."""
    archive = MapArchive(store.folder(sheet.maps) / "maps.safetensors")
    ids = chosen_ids(archive, number)
    if not ids:
        raise BenchmarkError(f"no image of {dataset.val_split} holds one of the classes")
    folder = store.folder(sheet.labels) / "labels"
    return [_strip(dataset, archive, folder, image_id) for image_id in ids]


def _strip(dataset: VocDataset, archive: MapArchive, folder: Path, image_id: str) -> Strip:
    image = dataset.image(image_id)
    maps, classes = archive.read(image_id)
    names = tuple(dataset.classes[index - 1] for index in classes)
    strongest = int(np.argmax(maps.mean(axis=(1, 2))))
    return Strip(
        image_id,
        image,
        names,
        names[strongest],
        resize_maps(maps[[strongest]], image.shape[:2])[0],
        read_label_png(folder / f"{image_id}.png"),
        dataset.mask(image_id),
    )


def heat_overlay(image: Pixels, attention: NDArray[np.float32]) -> Pixels:
    """Lay attention (H, W) in [0, 1] over a grey image (H, W, 3): the higher, the less grey."""
    grey = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    heat = 255 * colormaps[HEAT](attention)[..., :3]
    opacity = 0.45 + 0.4 * attention[..., None]
    return np.rint((1 - opacity) * grey + opacity * heat).astype(np.uint8)


def coloured(ids: Pixels, classes: Sequence[str]) -> Pixels:
    """Return contiguous ids (H, W) in VOC's colours (H, W, 3), void in grey."""
    table = np.zeros((256, 3), np.uint8)
    for index, name in enumerate(classes, start=1):
        table[index] = class_colour(name)
    table[VOID] = VOID_COLOUR
    return table[ids]


def class_colour(name: str) -> Pixels:
    """Return VOC's colour of a class."""
    return PALETTE[CLASS_NAMES.index(name) + 1]


def draw_sheet(strips: Sequence[Strip], classes: Sequence[str], title: str, about: str) -> Figure:
    """Return the figure: a row an image, a header, and a legend of what occurs."""
    heights = [CELL * strip.image.shape[0] / strip.image.shape[1] for strip in strips]
    legend = _legend(strips, classes)
    lines = -(-len(legend) // len(COLUMNS))
    width = 2 * MARGIN + len(COLUMNS) * CELL + (len(COLUMNS) - 1) * GAP
    height = HEADER + sum(heights) + len(strips) * CAPTION + (lines + 1) * LEGEND_LINE + 2 * MARGIN
    figure = Figure((width, height), dpi=DPI)
    draw_header(figure, title, about, COLUMNS)
    top = height - HEADER
    for strip, tall in zip(strips, heights, strict=True):
        place_text(figure, MARGIN, top - 0.14, _caption(strip), size=7.5, color="0.25")
        top -= CAPTION + tall
        for column, picture in enumerate(_pictures(strip, classes)):
            left = MARGIN + column * (CELL + GAP)
            place = (left / width, top / height, CELL / width, tall / height)
            axes = figure.add_axes(place)
            axes.imshow(
                picture, aspect="auto", interpolation="bilinear" if column < 2 else "nearest"
            )
            axes.set_axis_off()
    figure.legend(
        handles=legend,
        loc="lower left",
        bbox_to_anchor=(MARGIN / width, MARGIN / height),
        borderaxespad=0,
        ncols=len(COLUMNS),
        frameon=False,
        fontsize=8,
    )
    _colour_bar(figure)
    return figure


def draw_header(figure: Figure, title: str, about: str, columns: Sequence[str]) -> None:
    """Write a title, what it is about, and a name above every column of cells."""
    height = figure.get_figheight()
    place_text(figure, MARGIN, height - 0.24, title, size=11, weight="bold")
    place_text(figure, MARGIN, height - 0.42, about, size=7.5, color="0.4")
    for column, name in enumerate(columns):
        left = MARGIN + column * (CELL + GAP)
        place_text(figure, left, height - 0.66, name, size=9, weight="bold")


def _colour_bar(figure: Figure) -> None:
    """Draw the scale of attention above its column."""
    width, height = figure.get_size_inches()
    left = MARGIN + CELL + GAP
    bar = (left + 0.82, height - 0.66, CELL - 1.0, 0.09)
    axes = figure.add_axes((bar[0] / width, bar[1] / height, bar[2] / width, bar[3] / height))
    axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=HEAT)
    axes.set_axis_off()
    place_text(figure, bar[0] - 0.1, bar[1], "0", size=7)
    place_text(figure, bar[0] + bar[2] + 0.03, bar[1], "1", size=7)


def place_text(figure: Figure, left: float, bottom: float, text: str, **style: Any) -> None:
    """Write a text at a place given in inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, bottom / height, text, **style)


def _caption(strip: Strip) -> str:
    return f"{strip.image_id}: {', '.join(strip.present)} · attention of {strip.shown}"


def _pictures(strip: Strip, classes: Sequence[str]) -> tuple[Pixels, ...]:
    return (
        strip.image,
        heat_overlay(strip.image, strip.attention),
        coloured(strip.labels, classes),
        coloured(strip.truth, classes),
    )


def _legend(strips: Sequence[Strip], classes: Sequence[str]) -> list[Patch]:
    found = {
        int(index)
        for strip in strips
        for ids in (strip.labels, strip.truth)
        for index in np.unique(ids)
    }
    entries = [("background", PALETTE[0])]
    entries += [
        (classes[index - 1], class_colour(classes[index - 1]))
        for index in sorted(found - {0, VOID})
    ]
    if VOID in found:
        entries.append(("void", np.array(VOID_COLOUR, np.uint8)))
    return [Patch(facecolor=colour / 255, edgecolor="0.5", label=name) for name, colour in entries]


def compact(figure: Figure) -> bytes:
    """Return a JPEG of at most MOST_BYTES, or of the lowest quality."""
    for quality in QUALITIES:
        buffer = io.BytesIO()
        options = {"quality": quality, "optimize": True, "subsampling": 0}
        figure.savefig(buffer, format="jpg", pil_kwargs=options)
        if buffer.tell() <= MOST_BYTES:
            break
    return buffer.getvalue()


def reading(stage: Stage, store: Store) -> Workspace:
    """Return what a stage function would get, to read its inputs by; nothing is written."""
    folder = store.folder(stage)
    return Workspace(
        config=stage.config,
        inputs={role: store.folder(upstream) for role, upstream in stage.inputs.items()},
        input_records={},
        locations={role: Path(path) for role, path in stage.locations.items()},
        out=folder,
        scratch=folder,
        progress=SilentProgress(),
        label=stage.label,
    )


def check_finished(plan: Plan, stages: Sequence[Stage], store: Store) -> None:
    """Raise Unfinished unless all of the stages are in the store, BenchmarkError for damage."""
    for stage in stages:
        if store.record(stage) is None:
            raise Unfinished(f"{stage.label} is not in the store {store.root}: {plan.run_first}")
        store.check_whole(stage)


def tell_stale(stage: Stage, store: Store, announce: Callable[[str], None]) -> None:
    """Say so where the code behind a stage has changed since it was made."""
    if reason := store.staleness(stage):
        announce(f"{stage.label} is stale ({reason}): run the table again for a new figure")
