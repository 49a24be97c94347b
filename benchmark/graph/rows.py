"""What a row of a table names: its plugins with their options, and the labels that are scored."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from benchmark.graph.code import method_code
from benchmark.method import Method
from benchmark.provenance import fingerprint
from benchmark.proxy import recipe_code
from benchmark.refinement import Refinement, load_refinement_class
from benchmark.registry import BrokenPlugin, build_method, build_plugin
from benchmark.tables import Column, Row


def row_method(row: Row) -> Method:
    """Return the row's method with its options; BrokenPlugin where its plugin cannot be used."""
    return build_method(str(row.method), row.options)


def row_refinement(row: Row) -> Refinement:
    """Return the row's refinement with its options; BrokenPlugin likewise."""
    assert row.refine is not None
    refiner: Refinement = build_plugin(
        "refinement", row.refine, load_refinement_class(row.refine), row.refine_options
    )
    return refiner


def broken_plugin(row: Row) -> str:
    """Return why the row's method, refinement or recipe cannot be used; empty if they can."""
    try:
        for plugin in _plugins(row):
            fingerprint(method_code(type(plugin)))
        if row.recipe is not None:
            fingerprint(recipe_code(row.recipe))
    except BrokenPlugin as error:
        return str(error)
    except (OSError, ValueError, SyntaxError) as error:
        # A result without its source could never turn stale.
        return f"row {row.id}: the source of its plugin cannot be read: {error}"
    return ""


def _plugins(row: Row) -> Iterator[Method | Refinement]:
    if row.method is not None:
        yield row_method(row)
    if row.refine is not None:
        yield row_refinement(row)


def segments(column: Column) -> bool:
    """Tell whether the column scores a segmentation network, and not the labels it learns from."""
    return column.evaluation is not None and column.evaluation.stage == "segmentation"


def as_scored(row: Row, column: Column) -> Row:
    """Return the row with the labels that the column scores, where these are not the row's own."""
    evaluation = column.evaluation
    assert evaluation is not None
    changes: dict[str, Any] = {"refine": None, "refine_options": {}} if evaluation.raw else {}
    if evaluation.recipe is not None:
        changes |= {"recipe": evaluation.recipe, "constants": evaluation.constants}
    return row.model_copy(update=changes)


def plain(options: Any) -> dict[str, Any]:
    """Return options, a dataclass, as a stage's config holds them."""
    values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(options)))
    return values


def training_options(method: Method | Refinement) -> dict[str, Any]:
    """Return the options that the training depends on; the others take their defaults there."""
    options = plain(method.options)
    return {key: value for key, value in options.items() if key not in method.reading_options}
