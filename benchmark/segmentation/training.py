"""Training a segmentation network on label files with MMEngine's Runner."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.runner import Runner
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from benchmark.progress import Progress
from benchmark.segmentation.data import DrawSampler, LabelledImages, Pair
from benchmark.segmentation.hooks import (
    AtomicCheckpoint,
    SeedEachIteration,
    StartFrom,
    WatchLoss,
)
from benchmark.segmentation.mixed_precision import MixedPrecisionWrapper
from benchmark.segmentation.networks import load_config, model_config, quiet_mmengine
from benchmark.weights import save_state_dict

# MMEngine's own hooks that print, time or write, and the one that reads every loss at once, for
# which a GPU would wait; ours take their place.
_UNWANTED_HOOKS = ("timer", "sampler_seed", "logger", "checkpoint", "runtime_info")


def train_segmentation(
    config: Path,
    *,
    images: Mapping[str, Path],
    labels: Path,
    num_classes: int,
    initial_weights: Path | None,
    initial_model: Path | None = None,
    seed: int,
    scratch: Path,
    out: Path,
    progress: Progress,
    label: str,
    image_labels: Mapping[str, NDArray[np.bool_]] | None = None,
) -> dict[str, float | int | str]:
    """Train the config's network, write its weights to ``out`` and return metrics.

    A training that was killed goes on from its last checkpoint in ``scratch``, and on a CPU ends
    with the weights of an unbroken one, bit for bit.

    Args:
        config: An MMEngine config (mmseg_configs/).
        images: Image file of each id.
        labels: Folder with an ID.png for each image: contiguous ids, 255 void.
        num_classes: Including the background.
        initial_weights: State dict of the backbone; None leaves the config's choice.
        initial_model: State dict of the whole network, as this function wrote it, to go on from.
        seed: Of initial weights, order, augmentation and dropout.
        scratch: Folder for checkpoints and logs.
        out: The safetensors file to write.
        progress: Where the iterations are shown, under ``label``.
        image_labels: Which classes (num_classes - 1,) each image holds, for the configs with
            losses that look at it.

    Raises:
        BenchmarkError: Unreadable config, image, label or weights; a loss that is not finite.
    """
    cfg = load_config(config)
    pairs = [(name, path, labels / f"{name}.png") for name, path in images.items()]
    checkpoint = scratch / AtomicCheckpoint.FILE
    started = time.monotonic()
    with quiet_mmengine(), ExitStack() as tasks:
        total = cfg.train_cfg.max_iters
        interval = cfg.default_hooks.checkpoint.interval
        watch = WatchLoss(
            lambda done: tasks.enter_context(progress.task(label, total, done=done)), interval
        )
        runner = Runner(
            model=model_config(cfg, num_classes, initial_weights),
            work_dir=str(scratch),
            train_dataloader=_loader(cfg, pairs, image_labels, seed),
            train_cfg=cfg.train_cfg,
            optim_wrapper=_in_mixed_precision(cfg),
            param_scheduler=cfg.param_scheduler,
            default_hooks=dict.fromkeys(_UNWANTED_HOOKS),
            custom_hooks=[
                SeedEachIteration(seed),
                watch,
                AtomicCheckpoint(interval),
                *([StartFrom(initial_model)] if initial_model else []),
            ],
            load_from=str(checkpoint) if checkpoint.is_file() else None,
            resume=checkpoint.is_file(),
            randomness={"seed": seed % 2**32},
            default_scope="mmseg",
            log_level="ERROR",
            experiment_name=uuid.uuid4().hex,  # names MMEngine's global objects: never shared
        )
        runner.train()
        save_state_dict(out, runner.model.state_dict(), {"config": config.stem})
    last = watch.reader.recent
    return {
        "iterations": runner.iter,
        "resumed_at": watch.resumed_at,
        "final_loss": sum(last) / max(len(last), 1),
        "train_seconds": time.monotonic() - started,
        "parameters": sum(parameter.numel() for parameter in runner.model.parameters()),
    }


def _in_mixed_precision(cfg: Config) -> ConfigDict:
    """Return the config's wrapper, ours in the place of the plain one; others are kept.

    ``precision = "float32"`` in the config keeps bfloat16 out, as MMSegmentation's own tools do.
    """
    settings = cfg.optim_wrapper
    if settings.type != "OptimWrapper":
        return settings
    name = MixedPrecisionWrapper.__name__
    return ConfigDict(settings, type=name, precision=cfg.get("precision", "auto"))


def _loader(
    cfg: Config,
    pairs: Sequence[Pair],
    image_labels: Mapping[str, NDArray[np.bool_]] | None,
    seed: int,
) -> DataLoader:
    """Return the config's training loader over ``pairs`` instead of the config's own folder."""
    settings = cfg.train_dataloader
    options = {key: settings.dataset[key] for key in ("augmentation", "memory_mb")}
    dataset = LabelledImages(pairs, seed=seed, image_labels=image_labels, **options)
    return DataLoader(
        dataset,
        batch_size=settings.batch_size,
        sampler=DrawSampler(dataset),
        num_workers=settings.num_workers,
        persistent_workers=settings.num_workers > 0,
        collate_fn=pseudo_collate,
        pin_memory=torch.cuda.is_available(),
    )
