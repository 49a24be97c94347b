"""The machine's cores, and how the processes that have a GPU each share them."""

from __future__ import annotations

import os

CORES_SHARED_BY = "WSSS_CORES_SHARED_BY"
"""In the environment of a worker with a GPU: how many of them share the machine's cores."""


def share_of_cores() -> int:
    """Return how many cores this process may use; 0 where there are more processes than cores."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # Not torch's number of GPUs: a worker sees one, and one job alone uses but the first of many.
    sharing = int(os.environ.get(CORES_SHARED_BY, "1"))
    return (cores or 1) // sharing
