"""Seeds derived from named axes, so that adding one thing never changes another's draw."""

from __future__ import annotations

import hashlib


def derive(*axes: str | int) -> int:
    """Return a 63-bit seed for the given axes, e.g. ``derive("attention", 0)``."""
    digest = hashlib.sha256("/".join(map(str, axes)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
