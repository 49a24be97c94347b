"""The stages behind a row of a table, each with what its result depends on.

``stage_graph`` is what a plan asks; behind it ``images``, ``initial_weights``, ``saliency``,
``attention``, ``refinement``, ``labels`` and ``segmentation`` each build the stages of one part of
the way from images to scores, out of those before it. ``code`` says what code a stage consists of,
``rows`` what a row of a table names, ``files`` where the user's files come in.
"""

from __future__ import annotations

from benchmark.graph.code import READING, method_code
from benchmark.graph.files import GivenFiles
from benchmark.graph.rows import as_scored, broken_plugin, row_method, segments
from benchmark.graph.segmentation import ADAPTED_LABELS, at_scale
from benchmark.graph.stage_graph import StageGraph

__all__ = [
    "ADAPTED_LABELS",
    "READING",
    "GivenFiles",
    "StageGraph",
    "as_scored",
    "at_scale",
    "broken_plugin",
    "method_code",
    "row_method",
    "segments",
]
