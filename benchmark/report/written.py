"""What the JSON of a report must be, so that whatever reads it can rely on it.

``benchmark.report.document.KEYS`` says what every key means. Keys that are not known are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Paper(_Model):
    title: str
    venue: str
    reference: str
    table: str


class _Column(_Model):
    id: str
    title: str
    kind: Literal["score", "text"]
    metric: str | None
    decimals: int = Field(ge=0, le=9)
    server: bool
    notes: list[str]


class _Row(_Model):
    id: str
    title: str
    ours: bool
    supervision: str | None
    text: dict[str, str]
    notes: list[str]


Interval = list[float]
"""Its two ends."""


class _Cell(_Model):
    row: str
    row_title: str
    column: str
    column_title: str
    published: float | None
    deviation: float | None = None
    flag: str
    verdict: str
    mean: float | None
    sd: float | None
    seeds: list[int]
    values: list[float]
    interval: Interval | None = Field(min_length=2, max_length=2)
    difference: float | None
    differing: list[str]
    note: str
    more_seeds: int | None = None
    records: list[str]
    card: dict[str, Any] | None
    published_card: dict[str, Any] | None
    images: int
    class_scores: dict[str, float | None]


class _Claim(_Model):
    id: str
    kind: str
    text: str
    verdict: str
    by: float | None
    effect: float | None
    interval: Interval | None = Field(min_length=2, max_length=2)
    published_effect: float | None
    contradicted: str | None = None
    note: str
    more_seeds: int | None = None


class _Diagnostic(_Model):
    row: str
    name: str
    title: str
    values: list[float] = Field(min_length=1)


class _Curve(_Model):
    id: str
    title: str
    x_title: str
    x: list[float] = Field(min_length=2)
    rows: list[str]
    columns: list[str]

    @model_validator(mode="after")
    def _check(self) -> _Curve:
        if len(self.x) != len(self.rows) or sorted(set(self.x)) != self.x:
            raise ValueError("x must rise, with one for every row")
        return self


class _At(_Model):
    threshold: float
    value: float


class _Fixed(_Model):
    threshold: float
    value: float | None


class _ThresholdCurve(_Model):
    row: str
    seed: int
    thresholds: list[float] = Field(min_length=1)
    values: list[float] = Field(min_length=1)
    oracle: _At
    fixed: _Fixed | None

    @model_validator(mode="after")
    def _check(self) -> _ThresholdCurve:
        if len(self.thresholds) != len(self.values):
            raise ValueError(f"{len(self.values)} values of {len(self.thresholds)} thresholds")
        return self


class _Record(_Model):
    stage: str
    key: str
    config: dict[str, Any]
    digest: str | None
    inputs: dict[str, str]
    metrics: dict[str, float | int | str]
    started: str
    seconds: float
    peak_memory_mb: float
    environment: int = Field(ge=0)
    git_revision: str | None


class _Document(_Model):
    table: str
    title: str
    caption: str
    notes: list[str]
    caveats: list[str] = []
    paper: _Paper | None
    profile: str
    meaning: str
    date: str
    seeds: int = Field(ge=0, le=1000)  # of as many, ``diff`` makes a plan
    data: dict[str, str]
    verdict_meanings: dict[str, str]
    verdicts: dict[str, int]
    claim_verdicts: dict[str, int]
    columns: list[_Column]
    rows: list[_Row]
    cells: list[_Cell]
    claims: list[_Claim]
    diagnostics: list[_Diagnostic]
    curves: list[_Curve]
    threshold_curves: list[_ThresholdCurve]
    records: list[_Record]
    environments: list[dict[str, str]]

    @model_validator(mode="after")
    def _check(self) -> _Document:
        rows, columns = {row.id for row in self.rows}, {column.id for column in self.columns}
        _known("row", rows, (one.row for one in self.cells))
        _known("column", columns, (one.column for one in self.cells))
        _known("row", rows, (one.row for one in self.threshold_curves))
        for curve in self.curves:
            _known("row", rows, curve.rows)
            _known("column", columns, curve.columns)
        if any(record.environment >= len(self.environments) for record in self.records):
            raise ValueError("a record of an environment that is not there")
        return self


def _known(what: str, known: set[str], names: Iterable[str]) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"no {what} {name!r}")


def mistake(document: Any) -> str:
    """Return the first thing that is wrong with the JSON values of a report; empty if nothing."""
    try:
        _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{_place(first['loc'])}{first['msg']}"
    return ""


def _place(keys: Sequence[int | str]) -> str:
    return f"{'.'.join(map(str, keys))}: " if keys else ""
