"""Initial weights that the package ships."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def make(
    name: Annotated[str, typer.Argument(help="Name of shipped weights, e.g. vgg16_slim.")],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
) -> None:
    """Make the package's own initial weights again, from generated objects alone."""
    from benchmark.pretraining import make_weights
    from benchmark.progress import make_progress

    accuracy = make_weights(name, out, make_progress())
    print(f"wrote {out} (accuracy on held-out generated objects: {accuracy:.3f})")
