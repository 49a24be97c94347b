"""Imports of libraries that tell, on stdout too, of optional parts that are not used here."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator

import benchmark.torchvision_schemas  # noqa: F401  (must precede mmengine's Runner)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep warnings and what is printed inside to itself."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
