"""How far a run is, as another shell sees it: what its store holds and what is under way in it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from filelock import Timeout
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table as Grid
from rich.text import Text

from benchmark.executor import to_make, with_inputs
from benchmark.progress import duration
from benchmark.store import Stage, State, Store
from benchmark.under_way import Sign, read_sign

Stand = Literal["running", "failed", "stopped", "waiting", "cached", "stale", "not needed"]
"""Where a stage stands; a stopped one was interrupted and goes on from its checkpoints."""

STYLES = {"running": "green", "failed": "red", "stopped": "yellow", "cached": "dim"}
OPEN: tuple[Stand, ...] = ("running", "failed", "stopped", "waiting")
"""What a live view shows, in this order; all else is only counted."""
EVERY, QUIET = 2.0, 10.0
"""Seconds between two looks at a store; and until a run where nothing happens has ended."""


@dataclass(frozen=True)
class StageStatus:
    """Where one stage stands, and what its sign says of who makes it and how far it is."""

    stage: Stage
    stand: Stand
    sign: Sign | None = None

    def to_json(self) -> dict[str, Any]:
        """Return what ``status --json`` prints for the stage."""
        sign = self.sign
        return {
            "stage": self.stage.name,
            "label": self.stage.label,
            "key": self.stage.key,
            "state": self.stand,
            "percent": sign and sign.percent,
            "note": sign and (sign.error or sign.note),
            "since": sign and sign.since.isoformat(timespec="seconds"),
            "host": sign and sign.host,
            "process": sign and sign.pid,
        }


def stage_statuses(targets: Sequence[Stage], store: Store) -> list[StageStatus]:
    """Return where the targets and all before them stand, inputs first.

    Reads records and signs, and none of the stages' files: damage is not seen.
    """
    order = with_inputs(targets)
    states = {stage.key: _recorded(stage, store) for stage in order}
    needed = {stage.key for stage in to_make(targets, states)}
    return [_status(stage, states[stage.key], stage.key in needed, store) for stage in order]


def print_statuses(statuses: Sequence[StageStatus]) -> None:
    """Print the stages as a table, and how many there are of each kind."""
    console = Console()
    console.print(_grid(statuses))
    console.print(_counted(statuses))


def watch_statuses(
    look: Callable[[], Sequence[StageStatus]],
    *,
    console: Console | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Show what is under way and what waits until all is made, or the run that was seen has ended.

    A terminal shows it in place, as many stages as fit; elsewhere each change of the numbers is a
    line.
    """
    console = console or Console()
    shown, begun, quiet = "", False, 0.0
    with Live(console=console, auto_refresh=False) as live:
        while True:
            statuses = look()
            counts = _counted(statuses)
            if console.is_terminal:
                live.update(_open_stages(statuses, console.height), refresh=True)
            elif counts != shown:
                console.print(counts)
            shown = counts
            running = any(status.stand == "running" for status in statuses)
            begun = begun or running
            quiet = quiet + EVERY if begun and not running else 0.0
            if not any(status.stand in OPEN for status in statuses) or quiet > QUIET:
                return
            sleep(EVERY)


def _open_stages(statuses: Sequence[StageStatus], height: int) -> Group:
    found = [status for status in statuses if status.stand in OPEN]
    found.sort(key=lambda status: OPEN.index(status.stand))
    return Group(_grid(found[: max(1, height - 4)]), _counted(statuses))


def _grid(statuses: Sequence[StageStatus]) -> Grid:
    grid = Grid("stage", "state", "so far", "for", "by", box=None, pad_edge=False)
    for status in statuses:
        grid.add_row(*_cells(status), style=STYLES.get(status.stand))
    return grid


def _counted(statuses: Sequence[StageStatus]) -> str:
    counts = Counter(status.stand for status in statuses)
    return ", ".join(f"{counts[stand]} {stand}" for stand in get_args(Stand) if counts[stand])


def _recorded(stage: Stage, store: Store) -> State:
    if store.record(stage) is None:
        return "missing"
    return "stale" if store.staleness(stage) else "cached"


def _status(stage: Stage, state: State, needed: bool, store: Store) -> StageStatus:
    if sign := read_sign(store.sign_path(stage)):
        if sign.error:
            return StageStatus(stage, "failed", sign)
        return StageStatus(stage, "running" if _is_held(stage, store) else "stopped", sign)
    if state == "missing" or (state == "stale" and needed):
        return StageStatus(stage, "waiting" if needed else "not needed")
    return StageStatus(stage, "stale" if state == "stale" else "cached")


def _is_held(stage: Stage, store: Store) -> bool:
    try:
        with store.lock(stage).acquire(timeout=0):
            return False
    except (Timeout, OSError):  # the system refuses the lock of a store that cannot be written
        return True


def _cells(status: StageStatus) -> tuple[str | Text, ...]:
    sign = status.sign
    if sign is None:
        return (Text(status.stage.label), status.stand, "", "", "")
    so_far = sign.error or ", ".join(part for part in (_percent(sign), sign.note) if part)
    elapsed = (datetime.now(UTC) - sign.since).total_seconds()
    return (
        Text(status.stage.label),
        status.stand,
        Text(so_far),
        duration(max(0.0, elapsed)) if status.stand == "running" else "",
        Text(f"{sign.host} {sign.pid}"),
    )


def _percent(sign: Sign) -> str:
    if sign.percent is None:
        return str(sign.done) if sign.done else ""
    return f"{sign.percent:.0f} % ({sign.done}/{sign.total})"
