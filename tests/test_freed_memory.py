"""Memory between what is kept goes back to the system, in a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import time
import psutil
from benchmark.freed_memory import FreedMemory, give_back

def resident():
    return psutil.Process().memory_info().rss / 1e6

def gaps():
    # smaller than what the C library asks the system for block by block
    blocks = [bytearray(b"x" * 100_000) for _ in range(3000)]
    return blocks[-1]  # the end of the heap is in use

before = resident()
kept = gaps()
held = resident() - before
{given_back}
left = resident() - before
print(held, left)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
@pytest.mark.parametrize(
    ("given_back", "returns"),
    [
        ("pass", False),
        ("assert give_back()", True),
        ("with FreedMemory(seconds=0.05): time.sleep(1)", True),
        ("with FreedMemory(seconds=60): pass", False),
    ],
)
def test_gaps_are_given_back(given_back: str, returns: bool) -> None:
    program = PROGRAM.format(given_back=given_back)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    held, left = map(float, done.stdout.split())
    assert held > 200
    assert (left < 50) == returns
