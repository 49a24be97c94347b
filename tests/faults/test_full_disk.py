"""A disk that is full, for everything that writes: one line, nothing half-written, and again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from forked import Place, to_a_full_disk

from benchmark.errors import BenchmarkError, DiskFull
from benchmark.executor import execute
from benchmark.progress import SilentProgress
from benchmark.store import Metrics, Stage, Store, Workspace

pytestmark = pytest.mark.faults


def fill(folder: Path, leave: int = 0) -> Path:
    """Fill the disk up to its last byte, or but for a few; return the file to remove."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        with suppress(OSError):
            while file.write(bytes(4096)):
                pass
        file.truncate(max(0, file.tell() - leave))
    return ballast


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


# What a stage writes


def run(store: Path, function: Callable[[Workspace], Metrics]) -> None:
    execute(
        [Stage("work", {}, label="the work")],
        Store(store),
        {"work": function},
        SilentProgress(),
        announce=print,
    )


def check_stage(folder: Path, function: Callable[[Workspace], Metrics]) -> None:
    """Run a stage that fills the disk, and again when there is room; the disk is of 256 kB."""
    with pytest.raises(DiskFull, match=r"^the work: the disk is full .*free space and run again"):
        run(folder / "store", function)
    assert not list((folder / "store" / "stages").rglob("*/*"))
    scratch = folder / "store" / "scratch"
    assert {path.split("/")[-1] for path in files(scratch)} <= {
        "made_from.txt",
        "kept.pt",
        "under_way.json",
    }
    (folder / "ballast").unlink(missing_ok=True)
    run(folder / "store", function)
    assert not list(scratch.iterdir())


def writes_out(work: Workspace) -> Metrics:
    (work.out / "first.txt").write_text("fits")
    fill_once(work)
    (work.out / "second.txt").write_text("does not" * 5000)
    return {}


def fill_once(work: Workspace) -> None:
    """Fill the disk at the first attempt."""
    disk = work.out.parents[3]
    if not (disk / "filled").exists():
        (disk / "filled").touch()
        fill(disk)


def leaves_no_room_for_the_record(work: Workspace) -> Metrics:
    (work.out / "all.txt").write_text("fits")
    fill_once(work)
    return {}


def saves_a_checkpoint(work: Workspace) -> Metrics:
    """As the attention's training does, which torch tells of in words of its own."""
    import torch
    from torch import nn

    from benchmark.attention import save

    network = nn.Linear(60, 60)
    optimiser = torch.optim.SGD(network.parameters(), 0.1)
    save(work.scratch / "kept.pt", network, optimiser, 1)
    fill_once(work)
    save(work.scratch / "next.pt", network, optimiser, 2)
    return {}


def saves_weights(work: Workspace) -> Metrics:
    import torch
    from safetensors.torch import save_file

    fill_once(work)
    save_file({"weights": torch.zeros(10_000)}, work.out / "weights.safetensors")
    return {}


def writes_labels(work: Workspace) -> Metrics:
    import numpy as np

    from benchmark.data.voc import write_label_png

    fill_once(work)
    noise = np.random.default_rng(0).integers(0, 21, (200, 200), dtype=np.uint8)
    write_label_png(work.out / "label.png", noise)
    return {}


def writes_maps(work: Workspace) -> Metrics:
    import numpy as np

    from benchmark.maps import write_maps

    fill_once(work)
    maps = {"a": np.random.default_rng(0).random((2, 40, 40), dtype=np.float32)}
    write_maps(work.out / "maps.safetensors", maps, {"a": [1, 2]}, None)
    return {}


@pytest.mark.parametrize(
    "function",
    [
        writes_out,
        leaves_no_room_for_the_record,
        saves_a_checkpoint,
        saves_weights,
        writes_labels,
        writes_maps,
    ],
)
def test_a_stage_on_a_full_disk(
    disk: Callable[[str], Path], function: Callable[[Workspace], Metrics]
) -> None:
    check_stage(disk("256k"), function)


def test_a_stage_that_may_write_no_larger_files(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")

    def work(space: Workspace) -> Metrics:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            (space.out / "large.bin").write_bytes(bytes(5000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return {}

    with pytest.raises(BenchmarkError, match=r"^the work: .*: File too large$"):
        run(tmp_path / "store", work)
    assert not list((tmp_path / "store" / "scratch").rglob("large.bin"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["attention", "refinement", "saliency_network", "segmentation"])
@pytest.mark.parametrize("leave", [0, 40_000, 400_000, 4_000_000])
def test_the_real_stages_on_a_full_disk(
    place: Place, finished: Place, disk: Callable[[str], Path], name: str, leave: int
) -> None:
    folder = disk("80m")
    place.copy_store(finished)
    key = next(key for key, one in finished.records().items() if one["stage"] == name)
    place.forget(key)
    shutil.move(place.store, folder / "store")
    place.store.symlink_to(folder / "store")
    ballast = fill(folder, leave)
    assert "the disk is full" in place.run("run").complaint
    place.check_clean(checkpoints=True)
    ballast.unlink()
    place.finish()
    assert place.artifacts() == finished.artifacts()


# What commands write

SERVER = "https://host.robots.ox.ac.uk:8080/anonymous/ABCDEF.html"
COMMANDS = {
    "report": ("report",),
    "figures": ("figures", "--row", "weak"),
    "run": ("run",),
}
PLAIN = {
    "data scenes": ("data", "scenes", "{0}/new", "--train-images", "20", "--val-images", "5"),
    "methods new": ("methods", "new", "new_one", "--folder", "{0}/new"),
    "score add": (
        *("score", "add", "--table", "fullsup", "--row", "largefov_vgg16", "--value", "70"),
        *("--column", "test_crf", "--link", SERVER, "--results", "{0}/new"),
    ),
}


@pytest.mark.parametrize("name", [*COMMANDS, *PLAIN])
def test_a_command_on_a_full_disk(
    place: Place, finished: Place, disk: Callable[[str], Path], name: str
) -> None:
    folder = disk("2m")
    ballast = fill(folder)
    if name in COMMANDS:
        place.copy_store(finished)
        place.results.symlink_to(folder)
        call = partial(place.run, *COMMANDS[name])
    else:
        words = [word.format(folder) for word in PLAIN[name]]
        call = lambda: place.start_plain(*words).end()  # noqa: E731
    complaint = call().complaint
    assert "disk is full" in complaint or "No space left" in complaint
    assert files(folder) == {"ballast"}
    ballast.unlink()
    ended = call()
    assert ended.status == 0, ended.err
    assert files(folder)


def test_what_is_printed_to_a_full_disk(place: Place) -> None:
    assert "disk is full" in place.run("plan", before=to_a_full_disk).complaint
