"""Seeds derived from named axes, so that adding one thing never changes another's draw."""

from __future__ import annotations

import hashlib
import os


def derive(*axes: str | int) -> int:
    """Return a 63-bit seed for the given axes, e.g. ``derive("attention", 0)``."""
    digest = hashlib.sha256("/".join(map(str, axes)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def is_deterministic() -> bool:
    """Whether ``WSSS_DETERMINISTIC=1`` asks that a GPU, too, gives a seed the same numbers twice.

    That costs speed. A CPU does so anyway. Workers of a cluster look into their own environment.
    """
    return os.environ.get("WSSS_DETERMINISTIC", "0") not in ("", "0")
