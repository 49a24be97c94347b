"""The schema of a table file: rows, columns, published values, claims. One TOML is one table.

Every key is known and typed; an unknown or missing one is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Id = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Text = Annotated[str, Field(min_length=1)]
Option = bool | int | float | str
Supervision = Literal["I", "I+S", "F"]
"""Image labels; and saliency; or the true masks of the training images."""
MetricName = Literal["miou", "precision", "recall"]
ThresholdPolicy = Literal["fixed", "tuned", "oracle"]
Retraining = Literal["adapt", "plain"]
"""``adapt``: on labels restricted to background and the image's classes; ``plain``: on any."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Paper(_Model):
    """Where the table was published."""

    title: Text
    venue: Text
    reference: Text  # arXiv id or DOI
    table: Text  # "Table 1"


class Protocol(_Model):
    """What the paper states for the whole table; a key left out is not stated by the paper."""

    dataset: Text
    train_split: Text
    classes: tuple[Text, ...] = Field(min_length=1)  # the evaluated classes, background left out
    image_labels: Text | None = None  # csv | xml | masks, or a named list
    labels_at_test: Literal["none", "image labels"] = "none"
    threshold: float | Text | None = None  # "none" where the labels come from an argmax alone
    threshold_policy: ThresholdPolicy = "fixed"
    initial_weights: Text | None = None
    saliency: Text | None = None
    profile: Text = "paper"


class Evaluation(_Model):
    """How one score is taken: the part of the protocol that a column decides."""

    stage: Literal["labels", "segmentation"]  # labels: those made of the maps, image labels known
    split: Text
    metric: MetricName = "miou"
    # of the segmentation network's test:
    scales: tuple[float, ...] = Field(default=(1.0,), min_length=1)
    flip: bool = False
    crf: bool = False
    crf_constants: dict[Text, float] = {}  # of ``CrfOptions``; DeepLab's official ones where absent


class Column(_Model):
    """One column: a score with its evaluation, or a text that the paper prints.

    ``server = true``: the masks of its split are not public, so the score comes from a server.
    """

    id: Id
    title: Text
    kind: Literal["score", "text"] = "score"
    unit: Literal["%", "text"] = "%"
    evaluation: Evaluation | None = None
    decimals: int = Field(default=1, ge=0)  # as the paper prints
    server: bool = False
    notes: tuple[Text, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Column:
        if self.kind == "score" and self.evaluation is None:
            raise ValueError(f"column {self.id}: a score needs its evaluation")
        if self.kind == "text" and (self.evaluation is not None or self.server):
            raise ValueError(f"column {self.id}: a text has no evaluation and no server")
        return self


class Row(_Model):
    """One row. With a method or true labels the suite measures it; without either it is cited."""

    id: Id
    title: Text
    text: dict[Id, Text] = {}  # column -> printed text
    published: dict[Id, float] = {}  # column -> printed value, in the column's unit
    flags: dict[Id, Text] = {}  # column -> doubt about how its value was read
    notes: tuple[Text, ...] = ()  # e.g. where paper and released code differ

    labels: Literal["truth"] | None = None  # train on the true masks: full supervision, no method
    method: Text | None = None  # the name of a method plugin
    options: dict[Text, Option] = {}
    refine: Text | None = None  # the name of a refinement plugin that betters the maps
    refine_options: dict[Text, Option] = {}
    recipe: Text | None = None  # how maps become proxy labels
    constants: dict[Text, float] = {}  # of the recipe
    segmentation: Id | None = None  # family of the segmentation network
    retrain: Retraining | None = None  # once more, on the network's own segmentation
    supervision: Supervision | None = None

    @property
    def ours(self) -> bool:
        """Whether the suite measures this row."""
        return self.method is not None or self.labels is not None

    @model_validator(mode="after")
    def _check(self) -> Row:
        if self.labels is not None:
            return self._check_truth()
        plan = {"recipe": self.recipe, "supervision": self.supervision}
        if self.ours and None in plan.values():
            lacking = next(key for key, value in plan.items() if value is None)
            raise ValueError(f"row {self.id}: a row with a method needs {lacking}")
        names = (*plan.values(), self.segmentation, self.retrain, self.refine)
        if not self.ours and (any(names) or self.options or self.constants):
            raise ValueError(f"row {self.id}: a cited row has no method, so no options or recipe")
        if self.refine_options and self.refine is None:
            raise ValueError(f"row {self.id}: refine_options need refine")
        return self._check_flags()

    def _check_truth(self) -> Row:
        made = (self.method, self.recipe, self.refine, self.retrain)
        if any(made) or self.options or self.constants or self.refine_options:
            raise ValueError(
                f"row {self.id}: true labels need no method, recipe or second training"
            )
        if self.segmentation is None or self.supervision != "F":
            raise ValueError(f"row {self.id}: true labels need segmentation and supervision 'F'")
        return self._check_flags()

    def _check_flags(self) -> Row:
        for column in self.flags:
            if column not in self.published:
                raise ValueError(f"row {self.id}: flag for {column!r}, which has no value")
        return self


class GainClaim(_Model):
    """``better`` exceeds ``worse`` by at least ``by`` points; the columns may differ."""

    kind: Literal["gain"]
    id: Id
    text: Text  # what the paper says
    better: Id
    worse: Id
    column: Id
    worse_column: Id | None = None  # of the row ``worse``, where it is another one
    by: float = Field(ge=0)

    def cells(self) -> tuple[tuple[str, str], ...]:
        """Return (row, column) of the better cell, then of the worse one."""
        return (self.better, self.column), (self.worse, self.worse_column or self.column)


class OrderClaim(_Model):
    """``better`` is above every row of ``worse`` in one column."""

    kind: Literal["order"]
    id: Id
    text: Text
    better: Id
    worse: tuple[Id, ...] = Field(min_length=1)
    column: Id

    def cells(self) -> tuple[tuple[str, str], ...]:
        """Return (row, column) of the better cell, then of the worse ones."""
        return ((self.better, self.column), *((row, self.column) for row in self.worse))


class TrendClaim(_Model):
    """The score of one column rises, or falls, from each of ``rows`` to the next."""

    kind: Literal["trend"]
    id: Id
    text: Text
    rows: tuple[Id, ...] = Field(min_length=3)
    column: Id
    direction: Literal["rises", "falls"]

    def cells(self) -> tuple[tuple[str, str], ...]:
        """Return (row, column) of every cell, from the one that should be highest down."""
        highest_first = self.rows[::-1] if self.direction == "rises" else self.rows
        return tuple((row, self.column) for row in highest_first)


Claim = Annotated[GainClaim | OrderClaim | TrendClaim, Field(discriminator="kind")]


class Table(_Model):
    """One published table."""

    id: Id
    title: Text
    caption: Text
    published_id: Id | None = None  # its name in published.csv; none: printed nowhere
    paper: Paper
    protocol: Protocol
    notes: tuple[Text, ...] = ()
    diagnostics: dict[Text, Text] = {}  # stage.metric (a fraction) -> title for people
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    claims: tuple[Claim, ...] = ()

    def row(self, row_id: str) -> Row:
        """Return the row of that id; KeyError where there is none."""
        return {row.id: row for row in self.rows}[row_id]

    def column(self, column_id: str) -> Column:
        """Return the column of that id; KeyError where there is none."""
        return {column.id: column for column in self.columns}[column_id]

    @property
    def score_columns(self) -> tuple[Column, ...]:
        """The columns that hold scores, left to right."""
        return tuple(column for column in self.columns if column.kind == "score")

    def measurable(self) -> Iterator[tuple[Row, Column]]:
        """Yield the cells the suite can measure: rows with a method, columns without a server."""
        for row in self.rows:
            for column in self.score_columns:
                if row.ours and not column.server:
                    yield row, column

    @model_validator(mode="after")
    def _check(self) -> Table:
        _unique("column", [column.id for column in self.columns])
        _unique("row", [row.id for row in self.rows])
        _unique("claim", [claim.id for claim in self.claims])
        scores = {column.id for column in self.score_columns}
        texts = {column.id for column in self.columns} - scores
        segmented = any(c.evaluation and c.evaluation.stage == "segmentation" for c in self.columns)
        for row in self.rows:
            if row.ours and segmented and row.segmentation is None:
                raise ValueError(f"row {row.id}: a row with a method needs segmentation")
            _known(f"row {row.id}: published", row.published, scores, "score column")
            _known(f"row {row.id}: text", row.text, texts, "text column")
        for claim in self.claims:
            cells = claim.cells()
            rows, columns = zip(*cells, strict=True)
            _known(f"claim {claim.id}", rows, {row.id for row in self.rows}, "row")
            _known(f"claim {claim.id}", columns, scores, "score column")
            if cells[0] in cells[1:]:
                raise ValueError(f"claim {claim.id} compares a cell with itself")
        return self


def _unique(what: str, ids: list[str]) -> None:
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"two {what}s have the id {name!r}")


def _known(where: str, names: Iterable[str], known: set[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: no {what} {name!r} (there are: {', '.join(sorted(known))})")
