"""What this machine has, and what each profile still needs."""

from __future__ import annotations

import os
import sys
from typing import Any

from rich.console import Console

from benchmark.profiles import Profile, load_profile, profile_ids
from benchmark.provenance import DISTRIBUTIONS, environment
from benchmark.registry import method_entry_points
from benchmark.user_files import shipped_weights


def examine() -> dict[str, Any]:
    """Return versions, devices, problems, and what each profile needs from the user."""
    import torch

    installed = environment()
    problems = [
        f"{name} is not installed: run the README's install command"
        for name in DISTRIBUTIONS
        if name not in installed
    ]
    if not method_entry_points():
        problems.append("no method is registered: run the README's install command")
    needs = {}
    for profile_id in profile_ids():
        profile = load_profile(profile_id)
        problems += _missing_weights(profile)
        needs[profile_id] = _needs(profile)
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "python": sys.version.split()[0],
        "environment": installed,
        "cores": len(os.sched_getaffinity(0)),
        "gpus": gpus,
        "problems": problems,
        "profiles": needs,
    }


def print_examination(found: dict[str, Any]) -> None:
    """Print what ``examine`` found."""
    console = Console(highlight=False)
    for name, value in found["environment"].items():
        console.print(f"{name:12} {value}")
    console.print(f"{'cores':12} {found['cores']}")
    console.print(f"{'GPUs':12} {', '.join(found['gpus']) or 'none'}")
    for profile, needs in found["profiles"].items():
        console.print(f"profile {profile}: {'; '.join(needs) if needs else 'ready'}")
    for problem in found["problems"]:
        console.print(f"problem: {problem}")


def _missing_weights(profile: Profile) -> list[str]:
    shipped = [name for name, weights in profile.weights.items() if weights.source == "package"]
    if profile.saliency.trained is not None:
        shipped.append(profile.saliency.trained)
    return [
        f"the package lacks {path.name}: `python -m benchmark weights make {path.stem}`"
        for path in map(shipped_weights, shipped)
        if not path.is_file()
    ]


def _needs(profile: Profile) -> list[str]:
    needs = []
    if profile.data.kind == "voc":
        needs.append("give --data FOLDER in VOC layout")
    weights = [name for name, kind in profile.weights.items() if kind.source == "user"]
    if weights:
        which = ", ".join(f"{name} ({profile.weights[name].title})" for name in weights)
        needs.append(f"--weights NAME=FILE for what a table begins from: {which}")
    if profile.saliency.kind == "folder":
        needs.append("--saliency NAME=FOLDER of grey PNGs where a method or its labels look at it")
    return needs
