"""Finds plugins by entry point: lazily, and one broken plugin never breaks the others."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from benchmark.errors import BenchmarkError
from benchmark.method import Method

GROUP = "wsss_benchmark.methods"

Wanted = TypeVar("Wanted")


def method_entry_points() -> dict[str, EntryPoint]:
    """Return every registered method's entry point by name, none of them imported."""
    return _points(GROUP)


@cache  # a plan asks for every row, and each time all installed packages would be looked through
def _points(group: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in sorted(entry_points(group=group))}


def near_name(kind: str, name: str, known: Iterable[str]) -> str:
    """Return one line that says ``name`` is unknown and suggests what may have been meant."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(known) or 'none'}"
    return f"no {kind} '{name}': {hint}"


def load_method_class(name: str) -> type[Method]:
    """Import the method's class; BenchmarkError if it is unknown or its plugin is broken."""
    loaded: type[Method] = load_plugin(GROUP, "method", name, Method)
    return loaded


def load_plugin(group: str, kind: str, name: str, base: type) -> Any:
    """Import the class ``name`` of an entry point group, a subclass of ``base``.

    Raises BenchmarkError, which speaks of the ``kind``, if it is unknown or its plugin is broken.
    """
    loaded = _load(group, kind, name)
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise _not_a(group, kind, name, base)
    return loaded


def load_instance(group: str, kind: str, name: str, wanted: type[Wanted]) -> Wanted:
    """Import the object ``name`` of an entry point group, a ``wanted``; BenchmarkError likewise."""
    loaded = _load(group, kind, name)
    if not isinstance(loaded, wanted):
        raise _not_a(group, kind, name, wanted)
    return loaded


def plugin_points(group: str) -> dict[str, EntryPoint]:
    """Return every entry point of a group by name, none of them imported."""
    return dict(_points(group))


def _load(group: str, kind: str, name: str) -> Any:
    points = _points(group)
    if name not in points:
        if not points:
            raise BenchmarkError(
                f"no {kind} '{name}': none is registered; install the project first (pip install)"
            )
        raise BenchmarkError(near_name(kind, name, points))
    point = points[name]
    try:
        return point.load()
    except Exception as error:  # a plugin may fail in any way at all
        raise BenchmarkError(
            f"{kind} '{name}' ({point.value}) cannot be imported: {type(error).__name__}: {error}"
        ) from error


def _not_a(group: str, kind: str, name: str, wanted: type) -> BenchmarkError:
    value = _points(group)[name].value
    return BenchmarkError(
        f"{kind} '{name}' ({value}) is not a {wanted.__module__}.{wanted.__name__}"
    )


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """Return the method with its options checked; BenchmarkError names an unknown or bad one."""
    method_class = load_method_class(name)
    return method_class(parse_options(f"method '{name}'", method_class.Options, options))


def parse_options(owner: str, kind: type, options: Mapping[str, Any]) -> Any:
    """Return a ``kind`` dataclass from a mapping; BenchmarkError on an unknown key or bad value."""
    known = [field.name for field in dataclasses.fields(kind)]
    for key in options:
        if key not in known:
            raise BenchmarkError(f"{owner}: {near_name('option', key, known)}")
    try:
        return _adapter(kind).validate_python(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise BenchmarkError(
            f"{owner}: option '{where}': {first['msg']} (got {first['input']!r})"
        ) from error


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(with_config(ConfigDict(extra="forbid"))(kind))
