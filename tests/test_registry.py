"""Plugins: found by entry point, one by one under guard."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from benchmark import registry
from benchmark.errors import BenchmarkError


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    registry._points.cache_clear()
    yield
    registry._points.cache_clear()


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [
        EntryPoint("broken", "no_such_module:Method", registry.GROUP),
        EntryPoint("wrong", "pathlib:Path", registry.GROUP),
        EntryPoint("cam", "methods.cam:CAM", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)


@pytest.mark.usefixtures("plugins")
def test_a_broken_plugin_is_told_and_breaks_no_other() -> None:
    with pytest.raises(BenchmarkError, match=r"'broken' .* cannot be imported"):
        registry.load_method_class("broken")
    with pytest.raises(BenchmarkError, match=r"'wrong' .* is not a benchmark.method.Method"):
        registry.load_method_class("wrong")
    assert registry.load_method_class("cam").__name__ == "CAM"


def test_without_any_plugin_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    with pytest.raises(BenchmarkError, match="install the project first"):
        registry.load_method_class("cam")


def test_near_name_lists_what_there_is_where_nothing_is_near() -> None:
    assert registry.near_name("table", "zzz", ["a", "b"]) == "no table 'zzz': known: a, b"
