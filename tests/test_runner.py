"""What the report reads from the store beside the scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import pytest

from benchmark.plan import Plan, make_plan
from benchmark.profiles import load_profile
from benchmark.runner import threshold_curves
from benchmark.store import Stage, Store
from benchmark.tables import load_table
from benchmark.user_files import UserFiles

CURVE = {"0.25": 0.41, "0.3": 0.4, "0.45": 0.38}


class KeptMaps:
    """A store in which the maps of seed 0 are scored, and nothing else is finished."""

    def __init__(self, root: Path, plan: Plan, row: str) -> None:
        self.root = root
        self.finished = plan.diagnostics[row]["maps.val_miou"].stages[0]
        self.folder(self.finished).mkdir()
        (self.folder(self.finished) / "curve.json").write_text(json.dumps(CURVE))

    def folder(self, stage: Stage) -> Path:
        return self.root / stage.key

    def state(self, stage: Stage) -> str:
        return "cached" if stage == self.finished else "missing"


@pytest.mark.parametrize(
    ("row", "fixed", "value"),
    [
        ("cam", 0.3, 0.4),  # its recipe is a threshold on the maps
        ("seenet", None, None),  # its recipe looks at saliency
    ],
)
def test_a_rows_threshold_curve_comes_with_the_threshold_of_its_recipe(
    row: str, fixed: float | None, value: float | None, tmp_path: Path
) -> None:
    methods = load_table("methods")
    table = methods.model_copy(update={"rows": (methods.row(row),)})
    plan = make_plan(table, load_profile("scenes"), UserFiles(), (0, 1))
    store = cast(Store, KeptMaps(tmp_path, plan, row))
    (curve,) = threshold_curves(plan, row, store)
    assert (curve.seed, curve.thresholds, curve.values) == (0, (0.25, 0.3, 0.45), (0.41, 0.4, 0.38))
    assert (curve.fixed, curve.fixed_value, curve.oracle) == (fixed, value, (0.25, 0.41))
