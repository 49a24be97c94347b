"""The suite in a notebook: run a table, or read a written one, and go on with data frames.

    import benchmark

    result = benchmark.run_table("seenet_table1", seeds=3)
    result                  # the table with its verdicts
    result.to_dataframe()   # a line a cell
    result.claims()         # a line a claim
    result.plot()           # the sweeps, of a table that has any

In a script, call ``run_table`` below ``if __name__ == "__main__":``, since stages are made in
processes of their own, which import the script.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchmarkError
from benchmark.report.card import TITLES
from benchmark.report.document import read_document, report_to_json
from benchmark.report.markdown import NONE, effect_text, points, signed, span

if TYPE_CHECKING:
    from pandas import DataFrame

FilePath = str | Path

NUMBERS = (
    "ours_mean",
    "ours_sd",
    "pi_low",
    "pi_high",
    "published",
    "difference",
    "by",
    "effect",
    "effect_low",
    "effect_high",
    "published_effect",
)
"""Columns of the data frames in points; an effect of ``unstable`` is a ratio of variances."""


@dataclass(frozen=True, repr=False)
class TableResult:
    """One table with our numbers, the published ones and the verdicts. Scores are in points."""

    document: Mapping[str, Any]
    """The JSON of the report; ``benchmark.report.document.KEYS`` says what every key means."""

    def to_dataframe(self) -> DataFrame:
        """Return a line a cell: ours (mean, sd, seeds, 95 % interval), published, and the verdict.

        ``difference`` is ours - published where the two may be compared, and ``more_seeds`` the
        number of seeds that would settle the verdict. What there is none of is NaN.
        """
        return _frame(
            {
                "row": cell["row"],
                "column": cell["column"],
                "ours_mean": cell["mean"],
                "ours_sd": cell["sd"],
                "seeds": len(cell["seeds"]),
                **_interval("pi", cell["interval"]),
                "published": cell["published"],
                "difference": cell["difference"],
                "verdict": cell["verdict"],
                "more_seeds": cell.get("more_seeds"),
                "differing_fields": " ".join(cell["differing"]),
                "note": cell["note"],
            }
            for cell in self.document["cells"]
        )

    def claims(self) -> DataFrame:
        """Return a line a claim of the paper: our effect, the published one, and the verdict."""
        return _frame(
            {
                "id": claim["id"],
                "text": claim["text"],
                "kind": claim["kind"],
                "by": claim["by"],
                "effect": claim["effect"],
                **_interval("effect", claim["interval"]),
                "published_effect": claim["published_effect"],
                "verdict": claim["verdict"],
                "more_seeds": claim.get("more_seeds"),
                "note": claim["note"],
            }
            for claim in self.document["claims"]
        )

    def plot(self) -> Picture:
        """Draw the scores over each number that the table sweeps; BenchmarkError if it has none."""
        from benchmark.report.curves import render_sweeps

        if not self.document["curves"]:
            raise BenchmarkError(f"{self.document['table']} sweeps nothing: no curve to draw")
        return Picture(render_sweeps(self.document))

    def __repr__(self) -> str:
        """Return the table's id, its profile and how many verdicts there are of each kind."""
        counts = ", ".join(f"{count} {name}" for name, count in self.document["verdicts"].items())
        return f"<{self.document['table']}, profile {self.document['profile']}: {counts}>"

    def _repr_html_(self) -> str:
        """Return the table for Jupyter: scores with verdicts, then claims; all text escaped."""
        from pandas import DataFrame, option_context

        document, paper = self.document, self.document["paper"]
        about = "Printed in no paper. "
        if paper is not None:
            about = f"{paper['table']} of {paper['title']}, {paper['venue']}. "
        about += f"Profile {document['profile']}. {document['meaning']}"
        parts = [f"<h4>{html.escape(document['title'])}</h4>", f"<p>{html.escape(about)}</p>"]
        scores = DataFrame([_shown_cell(cell) for cell in document["cells"]])
        claims = DataFrame([_shown_claim(claim) for claim in document["claims"]])
        with option_context("display.max_colwidth", None):  # else long text is cut
            parts += [one.to_html(index=False, border=0) for one in (scores, claims) if len(one)]
        return "\n".join(parts)


@dataclass(frozen=True)
class Picture:
    """A drawing that Jupyter shows."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg


def run_table(
    table: str,
    *,
    profile: str = "scenes",
    seeds: int = 1,
    rows: Sequence[str] | None = None,
    data: FilePath | None = None,
    classes: Sequence[str] | None = None,
    labels: str | None = None,
    labels_csv: FilePath | None = None,
    weights: FilePath | Mapping[str, FilePath] | None = None,
    saliency: FilePath | Mapping[str, FilePath] | None = None,
    store: FilePath = "store",
    jobs: int | None = None,
    keep_stale: bool = False,
) -> TableResult:
    """Run what a table still needs and return it; nothing is written but to the store.

    The arguments are the options of ``python -m benchmark run``; ``weights`` is a file, or files
    by name where there are several, and ``saliency`` a folder, or one by its name. A row that fails
    does not stop the others: the note of its cells says why. Raises BenchmarkError for mistakes of
    the user's.
    """
    from benchmark.given import Given, LabelSourceName
    from benchmark.progress import make_progress
    from benchmark.runner import report_plan, run_plans
    from benchmark.store import Store
    from benchmark.workers import default_jobs

    if isinstance(saliency, Mapping) and len(saliency) != 1:
        raise BenchmarkError(f"saliency: one folder by its name, not {len(saliency)}")
    given = Given(
        profile=profile,
        data=Path(data) if data else None,
        classes=",".join(classes) if classes else None,
        labels=LabelSourceName(labels) if labels else None,
        labels_csv=Path(labels_csv) if labels_csv else None,
        weights=_as_typed(weights) if weights else None,
        saliency=_as_typed(saliency)[0] if saliency else None,
    )
    plan = given.plan(table, seeds)
    finished = Store(Path(store))
    failures = run_plans(
        [plan],
        finished,
        make_progress(),
        rows=rows,
        keep_stale=keep_stale,
        jobs=jobs or default_jobs(),
        announce=lambda line: print(line, file=sys.stderr),
    )
    return TableResult(report_to_json(report_plan(plan, finished, {}, failures)))


def read_table(
    table: str, *, profile: str = "scenes", results: FilePath = "results"
) -> TableResult:
    """Return a table as ``python -m benchmark`` wrote it; BenchmarkError where there is none."""
    folder = Path(results) / profile
    document = read_document(folder / f"{table}.json")
    if document is None:
        known = ", ".join(sorted(path.stem for path in folder.glob("*.json"))) or "nothing"
        raise BenchmarkError(f"no report of {table} in {folder}; there is: {known}")
    return TableResult(document)


def _frame(lines: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Return mappings with equal keys as a data frame, whose numbers are numbers even if absent."""
    from pandas import DataFrame

    frame = DataFrame(list(lines))
    kinds = {name: "float64" for name in NUMBERS if name in frame} | {"more_seeds": "Int64"}
    return frame.astype(kinds) if len(frame) else frame


def _interval(name: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _shown_cell(cell: Mapping[str, Any]) -> dict[str, str]:
    differing = ", ".join(TITLES.get(name, name) for name in cell["differing"])
    spread = "" if cell["sd"] is None else f" ± {points(cell['sd'])}"
    return {
        "row": cell["row_title"],
        "column": cell["column_title"],
        "published": points(cell["published"]),
        "ours": points(cell["mean"]) + spread,
        "95 % for one run": span(cell["interval"]),
        "difference": signed(cell["difference"]),
        "verdict": cell["verdict"],
        "note": "; ".join(filter(None, (differing and f"differs in: {differing}", cell["note"]))),
    }


def _shown_claim(claim: Mapping[str, Any]) -> dict[str, str]:
    ends = [effect_text(end, claim["kind"]) for end in claim["interval"] or ()]
    return {
        "claim": claim["text"],
        "paper": signed(claim["published_effect"]),
        "ours": effect_text(claim["effect"], claim["kind"]),
        "95 % interval": " to ".join(ends) or NONE,
        "verdict": claim["verdict"],
        "note": claim["note"],
    }


def _as_typed(files: FilePath | Mapping[str, FilePath]) -> list[str]:
    """Return files as the command line takes them: FILE, or NAME=FILE."""
    if isinstance(files, Mapping):
        return [f"{name}={path}" for name, path in files.items()]
    return [str(files)]
