"""Configs whose text a Runner logs as it is."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from benchmark.segmentation.networks import load_config


def unformatted(path: Path) -> Config:
    """Read a config; putting its text into PEP 8's form would take longer than small steps do."""
    return Config(load_config(path).to_dict(), format_python_code=False)
