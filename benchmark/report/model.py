"""What is measured and what is reported: plain frozen data, ready for any writer."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from benchmark.metrics import Counts
from benchmark.report.card import ProtocolCard
from benchmark.report.claims import ClaimVerdict, Effect
from benchmark.report.verdicts import Verdict
from benchmark.tables.schema import Claim, Column, Row, Table

if TYPE_CHECKING:
    from benchmark.store import Record


@dataclass(frozen=True)
class ThresholdCurve:
    """mIoU of one seed's attention maps over the background threshold, image labels known."""

    seed: int
    thresholds: tuple[float, ...]  # rising
    values: tuple[float, ...]  # mIoU as fractions, one a threshold
    fixed: float | None = None  # the threshold of the row's recipe, where it has one

    def __post_init__(self) -> None:
        """Check that there is a value for every threshold."""
        if not self.values or len(self.values) != len(self.thresholds):
            raise ValueError(f"{len(self.values)} values of {len(self.thresholds)} thresholds")

    @property
    def oracle(self) -> tuple[float, float]:
        """The best threshold, the lowest of equals, and its value."""
        best = max(self.values)
        return self.thresholds[self.values.index(best)], best

    @property
    def fixed_value(self) -> float | None:
        """The value at the recipe's threshold; None where it was not scored."""
        if self.fixed is None:
            return None
        return dict(zip(self.thresholds, self.values, strict=True)).get(self.fixed)


@dataclass(frozen=True)
class Measurement:
    """Our runs behind one cell, one a seed; with ``error``, why there are none."""

    card: ProtocolCard
    seeds: tuple[int, ...] = ()
    counts: tuple[Counts, ...] = ()  # one int64 (N, C, C + 1) a seed, see benchmark.metrics
    image_ids: tuple[str, ...] = ()  # the N images, in the order of the counts
    keys: tuple[str, ...] = ()  # of the score records, one a seed
    records: tuple[Record, ...] = ()  # every record behind the cell, in any order
    diagnostics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # fractions a seed
    threshold_curves: tuple[ThresholdCurve, ...] = ()  # of the row's maps, one a seed
    stale: bool = False
    error: str | None = None

    def __post_init__(self) -> None:
        """Check that seeds, counts and images belong together."""
        if len(self.counts) != len(self.seeds):
            raise ValueError(f"{len(self.seeds)} seeds but counts of {len(self.counts)} runs")
        if self.error is None and not self.seeds:
            raise ValueError("a measurement needs at least one seed, or an error")
        classes = len(self.card.classes) + 1
        shape = (len(self.image_ids), classes, classes + 1)
        for counts in self.counts:
            if counts.shape != shape:
                raise ValueError(
                    f"counts are {counts.shape}, not {shape} (images, truth, prediction)"
                )


@dataclass(frozen=True)
class Cell:
    """One score of a table: published beside ours, with the verdict. Scores are in points."""

    row: Row
    column: Column
    verdict: Verdict
    published: float | None = None
    flag: str = ""  # doubt about how the published value was read
    seeds: tuple[int, ...] = ()
    values: tuple[float, ...] = ()  # ours, one a seed
    interval: tuple[float, float] | None = None  # 95 % prediction interval of a single run
    differing: tuple[str, ...] = ()  # fields of the protocol cards
    note: str = ""
    keys: tuple[str, ...] = ()
    card: ProtocolCard | None = None
    published_card: ProtocolCard | None = None
    class_scores: tuple[float | None, ...] = ()  # mean over the seeds, background first
    images: int = 0
    more_seeds: int | None = None  # that would settle a compared cell, see benchmark.report.outlook

    @property
    def mean(self) -> float | None:
        """Our mean over the seeds."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def sd(self) -> float | None:
        """Our sample standard deviation; None below two seeds."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def difference(self) -> float | None:
        """Ours minus published; None where the two may not be compared."""
        if self.mean is None or self.published is None or self.differing:
            return None
        return self.mean - self.published


@dataclass(frozen=True)
class ClaimResult:
    """One claim of the paper with our verdict; the effect is in points."""

    claim: Claim
    verdict: ClaimVerdict
    effect: Effect | None  # None where the cells it needs are not measured
    published_effect: float | None  # of the published values
    note: str = ""
    more_seeds: int | None = None  # that would decide an undecided claim, where that is known


@dataclass(frozen=True)
class Diagnostic:
    """One measure of a stage before the score, for one row; fractions, one a seed."""

    row: Row
    name: str
    title: str
    values: tuple[float, ...]


@dataclass(frozen=True)
class TableReport:
    """One table under one profile, as every writer shows it."""

    table: Table
    profile: str
    meaning: str  # what the profile may and may not claim
    cells: tuple[Cell, ...]
    claims: tuple[ClaimResult, ...]
    diagnostics: tuple[Diagnostic, ...]
    records: tuple[Record, ...]  # behind all cells, each once, by time
    data: Mapping[str, str]  # what describes the data set: name, digest ...
    caveats: tuple[str, ...] = ()  # of how the records were made, each one line
    threshold_curves: Mapping[str, tuple[ThresholdCurve, ...]] = field(default_factory=dict)
    """Row id -> the curves of its maps, one a seed; rows without maps to threshold are absent."""

    @cached_property
    def by_place(self) -> dict[tuple[str, str], Cell]:
        """The cells by (row, column)."""
        return {(cell.row.id, cell.column.id): cell for cell in self.cells}

    @property
    def measured(self) -> tuple[Cell, ...]:
        """The cells that hold a number of ours."""
        return tuple(cell for cell in self.cells if cell.values)

    @property
    def date(self) -> str:
        """The day of the last record, ISO; empty without records."""
        return max((record.started for record in self.records), default="")[:10]

    @property
    def seeds(self) -> int:
        """The largest number of seeds behind a cell."""
        return max((len(cell.seeds) for cell in self.cells), default=0)

    def verdict_counts(self) -> dict[str, int]:
        """Return how often each verdict stands in our rows."""
        return dict(sorted(Counter(cell.verdict for cell in self.cells if cell.row.ours).items()))

    def claim_counts(self) -> dict[str, int]:
        """Return how often each verdict stands among the claims."""
        return dict(sorted(Counter(result.verdict for result in self.claims).items()))
