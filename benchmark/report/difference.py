"""What changed between two reports of one table: then and now, each the JSON of a report.

A cell has regressed where our mean lies below what was to be expected of it: below the 95 %
prediction interval of a single run that the earlier report gives (from three seeds on), or, where
that has none, more than the margin of ``benchmark.report.verdicts`` below the earlier mean; and
where it had a value and has none now. A claim has regressed where it held and fails. Improved is
the same upwards. What moved within its interval has not changed.

Beside every change stand the published value and the verdict on it; a verdict on it that is
another one now is a change too, but no regression: ours may just be known better.

Numbers of another profile, other images or another protocol are not compared, and neither are
those of code that has changed since (stale). Where no number at all can be compared, nobody knows
whether anything regressed: ``passes`` says no then, so that a CI does not go on in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, Literal

from benchmark.report.card import TITLES
from benchmark.report.markdown import NONE, effect_text, points, span
from benchmark.report.verdicts import MARGIN

Document = Mapping[str, Any]
Kind = Literal["regressed", "gone", "improved", "new", "changed", "not comparable"]


@dataclass(frozen=True)
class Change:
    """One thing that is another one now; scores and effects in points."""

    kind: Kind
    of: Literal["table", "cell", "claim"]
    id: str  # table id, row/column or claim id
    title: str  # for people
    why: str
    regression: bool = False
    then: float | None = None  # our mean, or the claim's effect
    now: float | None = None
    published: float | None = None
    verdict_then: str | None = None
    verdict_now: str | None = None


@dataclass(frozen=True)
class Difference:
    """All changes of one table, and how much of it there is."""

    table: str
    profile: str
    cells: int  # with a number of ours, then or now
    both: int  # of them with a number then and now
    compared: int  # of these, by one protocol on the same images
    claims: int
    changes: tuple[Change, ...]

    @property
    def regressed(self) -> bool:
        """Whether anything is worse than could be expected."""
        return any(change.regression for change in self.changes)

    @property
    def incomparable(self) -> bool:
        """Whether there are numbers then and now, of which none can be compared."""
        return self.both > 0 and self.compared == 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"regressed": self.regressed}


def difference(then: Document | None, now: Document | None) -> Difference:
    """Return what changed; None for a report that is not there, ValueError if both are not."""
    known = now or then
    if known is None:
        raise ValueError("neither of the two reports is there")
    cells = _pairs(then, now, "cells", "row", "column")
    cells = [(a, b) for a, b in cells if _mean(a) is not None or _mean(b) is not None]
    claims = _pairs(then, now, "claims", "id")
    both = sum(_mean(a) is not None and _mean(b) is not None for a, b in cells)
    if then and now and (why := _other_data(then, now)):
        changes = [Change("not comparable", "table", known["table"], known["title"], why)]
        compared = 0
    else:
        changes = [change for a, b in cells if (change := _cell_change(a, b))]
        unlike = sum(change.kind == "not comparable" for change in changes)
        compared = both - unlike
        changes += [change for a, b in claims if (change := _claim_change(a, b, not unlike))]
    return Difference(
        known["table"],
        known["profile"],
        len(cells),
        both,
        compared,
        len(claims),
        tuple(changes),
    )


def passes(differences: Sequence[Difference]) -> bool:
    """Whether nothing regressed, as far as that can be known.

    Not where no number was compared at all, nor where a table has numbers then and now and none of
    them can be; a table that is new passes beside others that are compared.
    """
    if not any(one.compared for one in differences):
        return False
    return not any(one.regressed or one.incomparable for one in differences)


def difference_lines(differences: Sequence[Difference]) -> list[str]:
    """Return what changed for people, a line a change under its table; one line if nothing did."""
    lines = []
    for one in differences:
        if one.changes:
            lines.append(f"{one.table}, profile {one.profile}")
            lines += [f"  {line}" for line in _change_lines(one.changes)]
        if one.incomparable:
            lines.append("  no number of this table can be compared: write its results again")
    if not any(one.compared for one in differences):
        return [*lines, "nothing was compared"]
    if lines:
        return lines
    cells = sum(one.cells for one in differences)
    claims = sum(one.claims for one in differences)
    tables = ", ".join(one.table for one in differences)
    return [f"nothing changed in {tables}: {cells} cells, {claims} claims"]


def _change_lines(changes: Sequence[Change]) -> list[str]:
    """Return a line a change, and a line alone for cells not compared for the same reason."""
    lines = []
    for reason, alike in groupby(changes, key=lambda one: (one.kind, one.of, one.why)):
        group = list(alike)
        if reason[:2] == ("not comparable", "cell") and len(group) > 1:
            lines.append(f"{reason[0]:<14}  {len(group)} cells: {reason[2]}")
        else:
            lines += [change_line(change) for change in group]
    return lines


def change_line(change: Change) -> str:
    """Return a change on one line for people."""
    claim = "claim: " if change.of == "claim" else ""
    line = f"{change.kind:<14}  {claim}{change.title.rstrip('.')}: {change.why}"
    if change.of != "cell":
        return line
    published = f"published {points(change.published)}; " if change.published is not None else ""
    return f"{line} ({published}{_moved(change.verdict_then, change.verdict_now)})"


def _pairs(
    then: Document | None, now: Document | None, part: str, *names: str
) -> list[tuple[Document | None, Document | None]]:
    """Return what the reports hold of a part, side by side, in the order of now."""
    earlier, later = (
        {tuple(one[name] for name in names): one for one in (report or {}).get(part, ())}
        for report in (then, now)
    )
    return [(earlier.get(place), later.get(place)) for place in {**later, **earlier}]


def _other_data(then: Document, now: Document) -> str:
    """Return what of the profile and the images differs; empty if nothing does."""
    before, after = (
        {"profile": report["profile"]}
        | {f"data {name}": value for name, value in report["data"].items()}
        for report in (then, now)
    )
    return _differs(before, after, {**before, **after})


def _other_protocol(then: Document, now: Document) -> str:
    """Return the fields of our protocol cards that both state and that differ; empty if none."""
    before, after = (
        {
            TITLES.get(name, name): value
            for name, value in (cell["card"] or {}).items()
            if value is not None
        }
        | {"number of images": cell["images"]}
        for cell in (then, now)
    )
    return _differs(before, after, [name for name in before if name in after])


def _differs(before: Document, after: Document, names: Iterable[str]) -> str:
    differing = [name for name in names if before.get(name) != after.get(name)]
    return f"differs in: {', '.join(differing)}" if differing else ""


def _cell_change(then: Document | None, now: Document | None) -> Change | None:
    before, after = _mean(then), _mean(now)
    cell = now or then
    assert cell is not None

    def change(kind: Kind, why: str, regression: bool = False) -> Change:
        return Change(
            kind,
            "cell",
            f"{cell['row']}/{cell['column']}",
            f"{cell['row_title']}, {cell['column_title']}",
            why,
            regression,
            before,
            after,
            cell["published"],
            then["verdict"] if then else None,
            now["verdict"] if now else None,
        )

    if before is None or then is None:
        return change("new", points(after))
    if after is None or now is None:
        note = f": {now['note']}" if now and now["note"] else ""
        return change("gone", f"{points(before)} then, none now{note}", regression=True)
    if differing := _other_protocol(then, now):
        return change("not comparable", differing)
    if now["verdict"] == "stale":
        return change("not comparable", "the code behind the number has changed: run again")
    low, high = then["interval"] or (before - MARGIN, before + MARGIN)
    moved = f"{points(before)} then, {points(after)} now"
    basis = f"{span((low, high))}, {_basis(then)}"
    if after < low:
        return change("regressed", f"{moved}, below {basis}", regression=True)
    if after > high:
        return change("improved", f"{moved}, above {basis}")
    if then["published"] != now["published"]:
        values = f"{points(then['published'])} then, {points(now['published'])} now"
        return change("changed", f"{moved}; the published value is another: {values}")
    if then["verdict"] != now["verdict"]:
        return change("changed", f"{moved}; another verdict")
    return None


def _basis(then: Document) -> str:
    if then["interval"]:
        return f"95 % of {len(then['values'])} seeds then"
    return f"a margin of {MARGIN:g} point, for fewer than 3 seeds then"


def _claim_change(then: Document | None, now: Document | None, comparable: bool) -> Change | None:
    claim = now or then
    assert claim is not None
    verdicts = (then["verdict"] if then else None, now["verdict"] if now else None)

    def change(kind: Kind, why: str, regression: bool = False) -> Change:
        effects = (then["effect"] if then else None, now["effect"] if now else None)
        published = claim["published_effect"]
        return Change(
            kind,
            "claim",
            claim["id"],
            claim["text"],
            why,
            regression,
            *effects,
            published,
            *verdicts,
        )

    if then is None or now is None:
        return change("new" if then is None else "gone", claim["verdict"])
    if (then["kind"], then["by"]) != (now["kind"], now["by"]):
        return change("not comparable", "the claim is another one now")
    if then["verdict"] == now["verdict"]:
        return None
    moved = f"{_moved(*verdicts)}{_effects(then, now)}"
    if not comparable:
        return change("not comparable", f"{moved}; cells of the table are not comparable")
    if verdicts == ("holds", "fails"):
        return change("regressed", moved, regression=True)
    return change("improved" if verdicts == ("fails", "holds") else "changed", moved)


def _effects(then: Document, now: Document) -> str:
    before, after = (
        effect_text(then["effect"], then["kind"]),
        effect_text(now["effect"], now["kind"]),
    )
    return "" if NONE in (before, after) else f", {before} then, {after} now"


def _moved(then: str | None, now: str | None) -> str:
    if then is None or now is None or then == now:
        return str(now or then)
    return f"{then} then, {now} now"


def _mean(cell: Document | None) -> float | None:
    return cell["mean"] if cell else None
