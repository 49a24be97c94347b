"""The one JSON text of a value, and its digest: what keys are made of."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


def canonical_json(value: JSON) -> str:
    """Return the one JSON text of a value: sorted keys, floats by repr, tuples as lists.

    Raises TypeError for other types (paths, sets) and ValueError for NaN and infinities.
    """
    return json.dumps(plain(value, "value"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def plain(value: Any, where: str) -> Any:
    """Copy a JSON value into plain dicts and lists, or refuse it naming the entry."""
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where}: keys are strings, not {wrong[0]!r}")
        return {key: plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is not None and not isinstance(value, bool | int | float | str):
        raise TypeError(f"{where}: {type(value).__name__} is not JSON")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} is not JSON")
    return value


def digest_of(value: JSON) -> str:
    """Return the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
