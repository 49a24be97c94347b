"""The schema of a table file: rows, columns, published values, claims. One TOML is one table.

Every key is known and typed; an unknown or missing one is an error that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ID = r"^[a-z0-9_]+$"
Id = Annotated[str, Field(pattern=ID)]
PRINTABLE = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]*$"
"""No control characters, and none that turn the direction of what stands after them."""
Text = Annotated[str, Field(min_length=1, pattern=PRINTABLE)]
Scale = Annotated[float, Field(gt=0, le=8)]
Points = Annotated[float, Field(ge=-1e6, le=1e6)]
Option = bool | int | float | str
Supervision = Literal["I", "I+S", "F"]
"""Image labels; and saliency; or the true masks of the training images."""
MetricName = Literal["miou", "precision", "recall"]
ThresholdPolicy = Literal["fixed", "tuned", "oracle"]
Fusion = Literal["probabilities", "logits", "maximum"]
"""How the views of an image are joined: probabilities averaged, or scores added, or the highest."""
Retraining = Literal["adapt", "plain"]
"""``adapt``: on labels restricted to background and the image's classes; ``plain``: on any."""
Place = tuple[str, str]
"""One cell: the ids of its row and of its column."""


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
    attention: Text | None = None  # the backbone that the attention maps, and labels, come from
    saliency: Text | None = None
    profile: Text = "paper"


class Evaluation(_Model):
    """How one score is taken: the part of the protocol that a column decides."""

    stage: Literal["labels", "segmentation"]  # labels: those made of the maps, image labels known
    split: Text  # val, test, train_aug (what is trained on), or train: VOC's own 1,464 of these
    metric: MetricName = "miou"
    of_class: Text | None = None  # "background" or a class of the data set; none: mean over classes
    mean_over: Literal["all", "foreground"] = "all"  # foreground: the background is left out
    # of the labels, where they are made in another way than the row's segmentation learns from:
    raw: bool = False  # of the method's own maps, without the row's refinement
    recipe: Text | None = None
    constants: dict[Text, float] = {}  # of that recipe
    # of the segmentation network's test:
    scales: tuple[Scale, ...] = Field(default=(1.0,), min_length=1)
    flip: bool = False
    square: int | None = Field(default=None, ge=1)  # warp images to such a side, times the scale
    fusion: Fusion = "probabilities"  # of the scales and mirror images
    crf: bool = False
    crf_constants: dict[Text, float] = {}  # of ``CrfOptions``; DeepLab's official ones where absent

    @property
    def views(self) -> str:
        """What of its views an image's scores are made of, in words."""
        return f"{self.fusion}, squares of {self.square} px" if self.square else self.fusion

    @model_validator(mode="after")
    def _check(self) -> Evaluation:
        if self.stage == "segmentation" and (self.raw or self.recipe):
            raise ValueError("raw and recipe are of labels, not of a segmentation")
        if self.stage == "labels" and (self.square or self.fusion != "probabilities"):
            raise ValueError("square and fusion are of a segmentation, not of labels")
        if self.constants and self.recipe is None:
            raise ValueError("constants need recipe")
        if self.of_class is not None and self.mean_over != "all":
            raise ValueError("of_class is one class, mean_over is of many")
        return self


class Column(_Model):
    """One column: a score with its evaluation, or a text that the paper prints.

    ``server = true``: the masks of its split are not public, so the score comes from a server.
    """

    id: Id
    title: Text
    kind: Literal["score", "text"] = "score"
    unit: Literal["%", "text"] = "%"
    evaluation: Evaluation | None = None
    decimals: int = Field(default=1, ge=0, le=9)  # as the paper prints
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
    published: dict[Id, Points] = {}  # column -> printed value, in the column's unit
    deviation: dict[Id, Points] = {}  # column -> standard deviation printed beside the value
    flags: dict[Id, Text] = {}  # column -> doubt about how its value was read
    notes: tuple[Text, ...] = ()  # e.g. where paper and released code differ

    labels: Literal["truth"] | None = None  # train on the true masks: full supervision, no method
    method: Text | None = None  # the name of a method plugin
    options: dict[Text, Option] = {}
    refine: Text | None = None  # the name of a refinement plugin that betters the maps
    refine_options: dict[
        Text, Option | dict[Text, Option]
    ] = {}  # a mapping: e.g. a CRF's constants
    recipe: Text | None = None  # how maps become proxy labels
    constants: dict[Text, float] = {}  # of the recipe
    segmentation: Id | None = None  # family of the segmentation network
    retrain: Retraining | None = None  # once more, on the network's own segmentation
    supervision: Supervision | None = None
    saliency: Text | None = None  # of this row's paper, where it is not the whole table's
    evaluation: dict[Id, Evaluation] = {}  # column -> how this row's own paper tested it

    @property
    def ours(self) -> bool:
        """Whether the suite measures this row."""
        return self.method is not None or self.labels is not None

    def scored(self, column: Column) -> Column:
        """Return the column with this row's own evaluation, where it has one."""
        if column.id not in self.evaluation:
            return column
        return column.model_copy(update={"evaluation": self.evaluation[column.id]})

    @model_validator(mode="after")
    def _check(self) -> Row:
        if self.labels is not None:
            return self._check_truth()
        plan = {"recipe": self.recipe, "supervision": self.supervision}
        if self.ours and None in plan.values():
            lacking = next(key for key, value in plan.items() if value is None)
            raise ValueError(f"row {self.id}: a row with a method needs {lacking}")
        names = (*plan.values(), self.segmentation, self.retrain, self.refine, self.saliency)
        if not self.ours and (any(names) or self.options or self.constants or self.evaluation):
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
        for column in self.deviation:
            if column not in self.published:
                raise ValueError(f"row {self.id}: deviation for {column!r}, which has no value")
        return self


class _Claim(_Model):
    """What every claim has: the paper's words, and what the paper's own numbers say of them."""

    id: Id
    text: Text  # what the paper says
    contradicted: Text | None = None  # how the paper's own numbers contradict it
    printed: Points | None = None  # the effect between values that stand in another table


class GainClaim(_Claim):
    """``better`` exceeds ``worse`` by at least ``by`` points; the columns may differ."""

    kind: Literal["gain"]
    better: Id
    worse: Id
    column: Id
    worse_column: Id | None = None  # of the row ``worse``, where it is another one
    by: float = Field(ge=0, le=1e6)

    def cells(self) -> tuple[Place, ...]:
        """Return the better cell, then the worse one."""
        return (self.better, self.column), (self.worse, self.worse_column or self.column)


class OrderClaim(_Claim):
    """``better`` is above every row of ``worse`` in one column."""

    kind: Literal["order"]
    better: Id
    worse: tuple[Id, ...] = Field(min_length=1)
    column: Id

    def cells(self) -> tuple[Place, ...]:
        """Return the better cell, then the worse ones."""
        return ((self.better, self.column), *((row, self.column) for row in self.worse))


class EveryClaim(_Claim):
    """``better`` is above ``worse`` in every one of ``columns``."""

    kind: Literal["every"]
    better: Id
    worse: Id
    columns: tuple[Id, ...] = Field(min_length=2)

    def cells(self) -> tuple[Place, ...]:
        """Return, column by column, the better cell and then the worse one."""
        rows = (self.better, self.worse)
        return tuple((row, column) for column in self.columns for row in rows)


class TrendClaim(_Claim):
    """The score of one column rises, or falls, from each of ``rows`` to the next."""

    kind: Literal["trend"]
    rows: tuple[Id, ...] = Field(min_length=3)
    column: Id
    direction: Literal["rises", "falls"]

    def cells(self) -> tuple[Place, ...]:
        """Return every cell, from the one that should be highest down."""
        highest_first = self.rows[::-1] if self.direction == "rises" else self.rows
        return tuple((row, self.column) for row in highest_first)


class PeakClaim(_Claim):
    """The score of one column rises along ``rows`` up to ``best``, and falls after it."""

    kind: Literal["peak"]
    rows: tuple[Id, ...] = Field(min_length=3)  # in the order of what is varied
    best: Id  # neither the first nor the last of them
    column: Id

    def cells(self) -> tuple[Place, ...]:
        """Return the best cell, then the others in the order of the rows."""
        others = (row for row in self.rows if row != self.best)
        return ((self.best, self.column), *((row, self.column) for row in others))

    @model_validator(mode="after")
    def _check(self) -> PeakClaim:
        if self.best not in self.rows[1:-1]:
            raise ValueError(f"claim {self.id}: best must lie between the first and the last row")
        return self


class UnstableClaim(_Claim):
    """The score of ``row`` varies more over the seeds than that of every row of ``than``."""

    kind: Literal["unstable"]
    row: Id
    than: tuple[Id, ...] = Field(min_length=1)
    column: Id

    def cells(self) -> tuple[Place, ...]:
        """Return the cell that should vary most, then the others."""
        return ((self.row, self.column), *((row, self.column) for row in self.than))


Claim = Annotated[
    GainClaim | OrderClaim | EveryClaim | TrendClaim | PeakClaim | UnstableClaim,
    Field(discriminator="kind"),
]


class Curve(_Model):
    """A sweep that the table holds: the scores of some columns over one number of the rows."""

    id: Id
    title: Text
    x_title: Text
    x: tuple[Points, ...] = Field(min_length=2)  # one a row, rising
    rows: tuple[Id, ...]
    columns: tuple[Id, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Curve:
        if len(self.x) != len(self.rows):
            raise ValueError(f"curve {self.id}: {len(self.x)} x for {len(self.rows)} rows")
        if any(right <= left for left, right in pairwise(self.x)):
            raise ValueError(f"curve {self.id}: x must rise from each row to the next")
        for what, names in (("row", self.rows), ("column", self.columns)):
            if len(set(names)) < len(names):
                raise ValueError(f"curve {self.id}: a {what} stands twice")
        return self


class Table(_Model):
    """One published table."""

    id: Id
    title: Text
    caption: Text
    published_id: Id | None = None  # its name in published.csv; none: printed nowhere
    paper: Paper | None = None  # none: printed in no paper
    protocol: Protocol
    notes: tuple[Text, ...] = ()
    diagnostics: dict[Text, Text] = {}  # stage.metric (a fraction) -> title for people
    columns: tuple[Column, ...] = Field(min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1)
    claims: tuple[Claim, ...] = ()
    curves: tuple[Curve, ...] = ()

    @property
    def source(self) -> str:
        """Where it was published, in words."""
        if self.paper is None:
            return "printed in no paper"
        return f"{self.paper.table} of {self.paper.title}, {self.paper.venue}"

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
                    yield row, row.scored(column)

    @model_validator(mode="after")
    def _check(self) -> Table:
        _unique("column", [column.id for column in self.columns])
        _unique("row", [row.id for row in self.rows])
        _unique("claim", [claim.id for claim in self.claims])
        _unique("curve", [curve.id for curve in self.curves])
        scores = {column.id for column in self.score_columns}
        texts = {column.id for column in self.columns} - scores
        segmented = any(c.evaluation and c.evaluation.stage == "segmentation" for c in self.columns)
        for row in self.rows:
            if row.ours and segmented and row.segmentation is None:
                raise ValueError(f"row {row.id}: a row with a method needs segmentation")
            _known(f"row {row.id}: published", row.published, scores, "score column")
            _known(f"row {row.id}: text", row.text, texts, "text column")
            _known(f"row {row.id}: evaluation", row.evaluation, scores, "score column")
        for claim in self.claims:
            cells = claim.cells()
            rows, columns = zip(*cells, strict=True)
            _known(f"claim {claim.id}", rows, {row.id for row in self.rows}, "row")
            _known(f"claim {claim.id}", columns, scores, "score column")
            if len(set(cells)) < len(cells):
                raise ValueError(f"claim {claim.id} compares a cell with itself")
        for curve in self.curves:
            _known(f"curve {curve.id}", curve.rows, {row.id for row in self.rows}, "row")
            _known(f"curve {curve.id}", curve.columns, scores, "score column")
        return self


def _unique(what: str, ids: list[str]) -> None:
    for name in ids:
        if ids.count(name) > 1:
            raise ValueError(f"two {what}s have the id {name!r}")


def _known(where: str, names: Iterable[str], known: set[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: no {what} {name!r} (there are: {', '.join(sorted(known))})")
