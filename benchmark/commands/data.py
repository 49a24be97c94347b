"""Make or check a folder of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark import completion
from benchmark.commands.options import Json, print_json
from benchmark.errors import BenchmarkError
from benchmark.given import (
    Classes,
    Given,
    Labels,
    LabelsCsv,
    SaliencyFolder,
    WeightFiles,
    split_names,
)


def scenes(
    folder: Annotated[Path, typer.Argument(help="A new folder for the images.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    train_images: Annotated[int, typer.Option(min=1, max=1_000_000)] = 500,
    val_images: Annotated[int, typer.Option(min=1, max=1_000_000)] = 150,
    size: Annotated[int, typer.Option(min=48, max=4096, help="Pixels a side.")] = 96,
    co_occurrence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Rate of the usual background.")
    ] = 0.8,
) -> None:
    """Write the generated scenes in VOC layout."""
    from benchmark.data.scenes import SceneOptions, write_scenes
    from benchmark.progress import make_progress

    options = SceneOptions(
        seed=seed,
        train_images=train_images,
        val_images=val_images,
        size=size,
        co_occurrence=co_occurrence,
    )
    with make_progress().task("scenes", train_images + val_images) as task:
        write_scenes(folder, options, task)
    print(f"wrote {train_images} training and {val_images} validation images to {folder}")


def check(
    folder: Annotated[Path, typer.Argument(help="A folder in VOC layout.")],
    classes: Classes = None,
    labels: Labels = None,
    labels_csv: LabelsCsv = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            help="paper: is the folder VOC 2012, and all of it?",
            autocompletion=completion.profiles,
        ),
    ] = None,
    weights: WeightFiles = None,
    saliency: SaliencyFolder = None,
    manifest: Annotated[
        Path | None, typer.Option(help="With --profile: write the sha256 of every file there.")
    ] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download", help="With --profile: fetch VOC 2012 and SBD into the folder first."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Check every image, mask and label of a folder; exit 1 if anything is wrong."""
    if download and profile != "paper":
        raise BenchmarkError("--download goes with --profile paper: only VOC 2012 can be fetched")
    if download:
        from benchmark.data.download import download_voc
        from benchmark.progress import make_progress

        download_voc(folder, make_progress(as_json))
    _refuse_unread(
        profile,
        {"--classes": classes, "--labels": labels, "--labels-csv": labels_csv},
        {"--manifest": manifest, "--weights": weights, "--saliency": saliency},
    )
    if profile is not None:
        _check_paper(
            folder, Given(profile=profile, weights=weights, saliency=saliency), manifest, as_json
        )
        return
    from benchmark.data.check import check_dataset
    from benchmark.data.voc import open_voc
    from benchmark.listing import print_check
    from benchmark.progress import make_progress

    dataset = open_voc(
        folder,
        classes=split_names(classes),
        labels=labels.value if labels else None,
        labels_csv=labels_csv,
    )
    checked = check_dataset(dataset, make_progress(as_json))
    if as_json:
        print_json(dataclasses.asdict(checked))
    else:
        print_check(checked)
    if checked.problems:
        raise typer.Exit(1)


def _refuse_unread(
    profile: str | None, of_folders: Mapping[str, Any], of_profiles: Mapping[str, Any]
) -> None:
    """Raise BenchmarkError for an option that the chosen kind of check would not look at."""
    unread = of_profiles if profile is None else of_folders
    for option in (name for name, given in unread.items() if given):
        how = "goes with --profile paper" if profile is None else "does not go with --profile"
        raise BenchmarkError(f"{option} {how}")


def _check_paper(folder: Path, given: Given, manifest: Path | None, as_json: bool) -> None:
    from benchmark.data.paper_check import check_paper, write_manifest
    from benchmark.listing import print_paper_check
    from benchmark.progress import make_progress
    from benchmark.user_files import check_files

    if given.profile != "paper":
        raise BenchmarkError(f"--profile {given.profile}: only the paper profile has a data set")
    profile, files = given.chosen()
    wanted = [name for name, kind in profile.weights.items() if kind.source == "user"]
    own = {"saliency": files.saliency, **{name: files.weights.get(name) for name in wanted}}
    check_files(profile, files)
    checked = check_paper(folder, make_progress(as_json), given=own)
    if manifest is not None:
        write_manifest(manifest, checked.manifest)
    if as_json:
        print_json(dataclasses.asdict(checked))
    else:
        print_paper_check(checked)
    if checked.problems:
        raise typer.Exit(1)
