"""Ways in which files are broken, and what may come of them: an error in one line, in time."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import strategies as st

from benchmark.errors import BenchmarkError

SECONDS = 60
"""Of work, after which something hangs; ten times as many of waiting, for a busy machine."""

UGLY = (
    "",
    "..",
    "../../outside",
    "/etc/passwd",
    "a\\b",
    "a\0b",
    "x" * 5000,
    "-",
    "=1+1",
    "<script>alert(1)</script>",
    "\u202egnp.exe",
    "\x1b[31m",
    "{{ 7*7 }}",
    "%s%n",
    "nan",
    "1e999",
    "NaN",
    "null",
    "☃",
)
"""Texts that have broken programs."""

texts = st.one_of(st.sampled_from(UGLY), st.text(max_size=12))
numbers = st.one_of(
    st.sampled_from([0, -1, 1, 2**63, 10**400, 1e308, -0.0, 5e-324]),
    st.integers(),
    st.floats(),
)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


def one_line(read: Callable[[], Any]) -> str:
    """Return what the mistake is called, empty where ``read`` finds none; it must not hang."""
    with _in_time():
        try:
            read()
        except (BenchmarkError, OSError) as error:  # the command line tells both in one line
            return str(error) or "a mistake without words"
    return ""


@contextmanager
def _in_time() -> Iterator[None]:
    def late(*_: object) -> None:
        raise AssertionError(f"it takes longer than {SECONDS} s")

    timers = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, late) for number in timers}
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, 10 * SECONDS)
    try:
        yield
    finally:
        for number, timer in timers.items():
            signal.setitimer(timer, 0)
            signal.signal(number, before[number])


@st.composite
def broken_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """Return the bytes cut off, with some flipped, some doubled, or something else altogether."""
    kind = draw(st.sampled_from(["cut", "flip", "flip", "flip", "double", "other"]))
    place = draw(st.integers(0, max(len(whole) - 1, 0)))
    if kind == "cut":
        return whole[:place]
    if kind == "double":
        return whole[:place] + whole[max(0, place - 20) :]
    if kind == "other":
        return draw(st.binary(max_size=64))
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content)


@st.composite
def broken_json(draw: st.DrawFn, whole: Any) -> Any:
    """Return the JSON value with one of its values, at any depth, replaced or taken away."""
    if isinstance(whole, dict) and whole and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(whole)))
        if draw(st.integers(0, 5)) == 0:
            return {name: value for name, value in whole.items() if name != key}
        return {**whole, key: draw(broken_json(whole[key]))}
    if isinstance(whole, list) and whole and draw(st.integers(0, 9)):
        place = draw(st.integers(0, len(whole) - 1))
        if draw(st.integers(0, 5)) == 0:
            return whole[:place] + whole[place + 1 :]
        return [*whole[:place], draw(broken_json(whole[place])), *whole[place + 1 :]]
    return draw(values)
