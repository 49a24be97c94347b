"""Finds plugins by entry point: lazily, and one broken plugin never breaks the others."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from benchmark.errors import BenchmarkError
from benchmark.method import Method, TrainingRecipe
from benchmark.report.visible import in_short

GROUP = "wsss_benchmark.methods"
OWN = "wsss-benchmark"
"""The distribution whose plugins are meant where another one has plugins of the same names."""


class BrokenPlugin(BenchmarkError):
    """A plugin that cannot be used, whatever it is asked for."""


Wanted = TypeVar("Wanted")


def method_entry_points() -> dict[str, EntryPoint]:
    """Return every registered method's entry point by name, none of them imported."""
    return plugin_points(GROUP)


@cache  # a plan asks for every row, and each time all installed packages would be looked through
def _points(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points by name; several of one name where nobody knows which is meant."""
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in sorted(entry_points(group=group)):
        found.setdefault(point.name, {}).setdefault(point.value, point)
    return {name: _meant(list(points.values())) for name, points in found.items()}


def _meant(points: list[EntryPoint]) -> list[EntryPoint]:
    own = [point for point in points if point.dist is not None and point.dist.name == OWN]
    return own[:1] or points


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
    return {name: points[0] for name, points in _points(group).items()}


def _load(group: str, kind: str, name: str) -> Any:
    points = _points(group)
    if name not in points:
        if not points:
            raise BenchmarkError(
                f"no {kind} '{name}': none is registered; install the project first (pip install)"
            )
        raise BenchmarkError(near_name(kind, name, points))
    point, *others = points[name]
    if others:
        values = ", ".join(one.value for one in points[name])
        raise BrokenPlugin(f"{len(points[name])} {kind}s are called '{name}': {values}; remove one")
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # a plugin may fail in any way at all
        raise BrokenPlugin(
            f"{kind} '{name}' ({point.value}) cannot be imported: {_said(error)}"
        ) from error


def _not_a(group: str, kind: str, name: str, wanted: type) -> BrokenPlugin:
    value = plugin_points(group)[name].value
    return BrokenPlugin(f"{kind} '{name}' ({value}) is not a {wanted.__module__}.{wanted.__name__}")


def build_method(name: str, options: Mapping[str, Any]) -> Method:
    """Return the method with its options checked; BenchmarkError names an unknown or bad one."""
    made: Method = build_plugin("method", name, load_method_class(name), options)
    return made


def build_plugin(kind: str, name: str, loaded: Any, options: Mapping[str, Any]) -> Any:
    """Return an object of a plugin's class with its options checked.

    Raises BenchmarkError for an unknown or bad option, and BrokenPlugin where the class cannot be
    made, or does not say as it must what it is trained with.
    """
    owner = f"{kind} '{name}'"
    try:
        made = loaded(parse_options(owner, loaded.Options, options))
        json.dumps([dataclasses.asdict(made.options), dict(getattr(made, "backbone_options", {}))])
        set(made.reading_options)
        recipe = made.training()
    except BenchmarkError:
        raise
    except (Exception, SystemExit) as error:
        raise BrokenPlugin(f"{owner} ({_place(loaded)}) cannot be used: {_said(error)}") from error
    if not isinstance(recipe, TrainingRecipe):
        raise BrokenPlugin(f"{owner} ({_place(loaded)}): training() gives no TrainingRecipe")
    return made


def _place(loaded: type) -> str:
    return f"{loaded.__module__}:{loaded.__qualname__}"


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {in_short(str(error))}"


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
