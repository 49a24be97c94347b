"""A reproducibility benchmark for weakly-supervised semantic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.notebook import TableResult, read_table, run_table

__all__ = ["TableResult", "read_table", "run_table"]


def __getattr__(name: str) -> Any:
    """Import the interface for notebooks when it is asked for: every command imports this file."""
    if name not in __all__:
        raise AttributeError(f"module 'benchmark' has no attribute {name!r}")
    from benchmark import notebook

    return getattr(notebook, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
