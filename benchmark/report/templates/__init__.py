"""The templates of the page and its charts; every value that a template shows is escaped."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from benchmark.report.visible import UNSEEN

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render(name: str, /, **values: Any) -> str:
    """Return a template of this folder with its values."""
    return _environment().get_template(name).render(**values)


def source(name: str) -> str:
    """Return a file of this folder as it stands."""
    return (files(__package__) / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(source),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_visible,
    )
    environment.filters["lowered"] = lowered
    environment.filters["lowered_svg"] = lowered_svg
    return environment


def _visible(value: Any) -> Any:
    """Return a text without control characters and without those that turn its direction."""
    return value.translate(UNSEEN) if isinstance(value, str) else value  # Markup stays such


def lowered(text: str) -> Markup:
    """Return text in which ``L_{seed}`` stands with its subscript; all else is escaped."""
    return _lowered(text, "<sub>{}</sub>")


def lowered_svg(text: str) -> Markup:
    """Return the same for an SVG text."""
    return _lowered(text, '<tspan baseline-shift="sub" font-size="9">{}</tspan>')


def _lowered(text: str, below: str) -> Markup:
    from markupsafe import Markup, escape

    pieces = re.split(r"_\{([^{}]*)\}", text)
    marked = [
        Markup(below).format(piece) if index % 2 else escape(piece)
        for index, piece in enumerate(pieces)
    ]
    return Markup("").join(marked)
