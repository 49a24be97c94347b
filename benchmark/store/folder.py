"""The folder of finished stages."""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import BaseFileLock, FileLock

from benchmark.checkpoints import damaged_file
from benchmark.errors import BenchmarkError
from benchmark.progress import Progress, SilentProgress
from benchmark.provenance import environment, git_revision
from benchmark.store.atomic import fsync, fsync_tree, write_atomic
from benchmark.store.canonical import digest_of
from benchmark.store.record import (
    RECORD,
    Record,
    digests_of,
    newer,
    plain_metrics,
    read_record,
)
from benchmark.store.stage import Stage
from benchmark.store.sums import (
    SUMS,
    damage_of,
    files_below,
    hash_files,
    outputs_of,
    sha256_of,
    sum_lines,
)

State = Literal["cached", "stale", "damaged", "missing"]

STORE_VERSION = 1
UNFINISHED = ("*.part", "unfinished.*", ".*.tmp")
"""What checkpoints are called until they are wholly written."""


@dataclass(frozen=True)
class Workspace:
    """What a stage function gets to work with."""

    config: Mapping[str, Any]
    inputs: Mapping[str, Path]  # role -> folder of the upstream stage's files
    input_records: Mapping[str, Record]
    locations: Mapping[str, Path]
    out: Path  # an empty folder; becomes the artifact
    scratch: Path  # survives a kill: checkpoints, but for files named like UNFINISHED
    progress: Progress
    label: str


@dataclass(frozen=True)
class Status:
    """The state of a stage in a store, and why it is not simply cached."""

    state: State
    reason: str = ""


class Store:
    """A folder of finished stages; owns every path in it."""

    def __init__(self, root: Path) -> None:
        """Open the store at ``root``, or create it; BenchmarkError if that cannot be."""
        self.root = Path(root)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            version = self._version()
        except OSError as error:
            raise BenchmarkError(
                f"cannot use {self.root} as store ({error.strerror}): choose another --store"
            ) from error
        if version is None:
            write_atomic(self.root / "format.json", json.dumps({"version": STORE_VERSION}) + "\n")
        elif version > STORE_VERSION:
            raise BenchmarkError(newer(f"store {self.root}", version, STORE_VERSION))

    @property
    def writable(self) -> bool:
        """Whether stages can be made here; those of a read-only store can all the same be read."""
        return os.access(self.root, os.W_OK)

    def check_writable(self) -> None:
        """Raise BenchmarkError where nothing can be made."""
        if not self.writable:
            raise BenchmarkError(f"store {self.root} is read-only: choose another --store")

    def _version(self) -> int | None:
        path = self.root / "format.json"
        if not path.exists():
            filled = any(not entry.name.startswith(".") for entry in self.root.iterdir())
            if not filled:
                return None
            if not path.exists():  # else another process has made the store just now
                raise BenchmarkError(
                    f"{self.root} is neither empty nor a store (it has no format.json): "
                    "choose another --store"
                )
        try:
            return int(json.loads(path.read_text())["version"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BenchmarkError(
                f'{path} is unreadable: write {{"version": {STORE_VERSION}}} into it, '
                "or choose another --store"
            ) from error

    def folder(self, stage: Stage) -> Path:
        """Return the folder of the stage's files, finished or not."""
        return self.root / "stages" / stage.name / stage.key

    def lock(self, stage: Stage) -> BaseFileLock:
        """Return the lock that whoever makes the stage holds; the system frees it at a kill."""
        folder = self.root / "locks"
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{stage.key}.lock")

    def record(self, stage: Stage) -> Record | None:
        """Return the stage's record, None if there is none or it is damaged."""
        folder = self.folder(stage)
        try:
            record = read_record(folder)
            line = f"{sha256_of(folder / RECORD)}  {RECORD}\n"
            return record if line in (folder / SUMS).read_text(encoding="utf-8") else None
        except (OSError, ValueError):
            return None

    def metrics(self, stages: Iterable[Stage], name: str) -> tuple[float, ...]:
        """Return one metric of every stage that is finished; KeyError where one has no such."""
        records = [self.record(stage) for stage in stages]
        return tuple(float(record.metrics[name]) for record in records if record is not None)

    def state(self, stage: Stage) -> State:
        """Return the stage's state; reads and hashes every file of it."""
        return self.inspect(stage).state

    def inspect(self, stage: Stage) -> Status:
        """Return the stage's state and the reason; reads and hashes every file of it."""
        if not self.folder(stage).exists():
            return Status("missing")
        if damage := damage_of(self.folder(stage), stage.key):
            return Status("damaged", damage)
        if reason := self.staleness(stage):
            return Status("stale", reason)
        return Status("cached")

    def check_whole(self, stage: Stage) -> None:
        """Raise BenchmarkError where a file of a finished stage is not what it was."""
        status = self.inspect(stage)
        if status.state == "damaged":
            raise BenchmarkError(f"{stage.label}: {status.reason}: run the table again")

    def staleness(self, stage: Stage) -> str:
        """Return why the stage's files are out of date, "" if they are not; hashes nothing."""
        record = self.record(stage)
        if record is None:
            return ""
        if record.code != stage.code_fingerprint():
            return "the code behind it has changed"
        for role, upstream in stage.inputs.items():
            source = self.record(upstream)
            if source is None:
                continue
            if source.digest != record.input_digests.get(role) or self.staleness(upstream):
                return f"{upstream.label} has changed"
        return ""

    def prepare(self, stage: Stage, progress: Progress | None = None) -> Workspace:
        """Return the workspace to make the stage in; the caller holds the lock.

        What a dead process left of ``out`` is removed. Its scratch is kept if the code and the
        inputs are still the same, so that no checkpoint of other code is gone on from.
        """
        records = {role: self._finished(upstream) for role, upstream in stage.inputs.items()}
        made_from = digest_of([self._code(stage, records), digests_of(records)])
        base = self._base(stage)
        if base.is_symlink():  # it leads out of the store
            base.unlink()
        stamp = base / "made_from.txt"
        if not stamp.exists() or stamp.read_text() != made_from:
            shutil.rmtree(base, ignore_errors=True)
            write_atomic(stamp, made_from)
        self.discard(stage)
        for folder in (base / "out", base / "checkpoints"):
            folder.mkdir(exist_ok=True)
        return Workspace(
            config=stage.config,
            inputs={role: self.folder(upstream) for role, upstream in stage.inputs.items()},
            input_records=records,
            locations={role: Path(path) for role, path in stage.locations.items()},
            out=base / "out",
            scratch=base / "checkpoints",
            progress=progress or SilentProgress(),
            label=stage.label,
        )

    def discard(self, stage: Stage) -> None:
        """Remove the unfinished files of the stage, but not its checkpoints."""
        base = self._base(stage)
        for name in ("out", "replaced"):
            shutil.rmtree(base / name, ignore_errors=True)
        for pattern in UNFINISHED:
            for path in base.rglob(pattern):
                path.unlink(missing_ok=True)

    def damaged_checkpoint(self, stage: Stage) -> str | None:
        """Return the name of a checkpoint of an unfinished attempt that cannot be gone on from."""
        return damaged_file(self._base(stage) / "checkpoints")

    def discard_scratch(self, stage: Stage) -> None:
        """Remove everything unfinished of the stage; the caller holds the lock."""
        shutil.rmtree(self._base(stage), ignore_errors=True)

    def has_scratch(self, stage: Stage) -> bool:
        """Tell whether an unfinished attempt at the stage left something."""
        return self._base(stage).exists()

    def sign_path(self, stage: Stage) -> Path:
        """Return the file in which whoever makes the stage says how far it is."""
        return self._base(stage) / "under_way.json"

    def incoming(self, stage: Stage) -> Path:
        """Return an empty folder for ``adopt``; the caller holds the lock."""
        folder = self._base(stage) / "incoming"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def adopt(self, stage: Stage, folder: Path) -> None:
        """Take a finished stage's files, made in another store, from a folder of ``incoming``.

        Raises BenchmarkError, and leaves the store as it was, where they are not whole.
        """
        if damage := damage_of(folder, stage.key):
            raise BenchmarkError(f"{stage.label}: {damage}")
        fsync_tree(folder)
        self._publish(stage, folder)

    def commit(
        self,
        stage: Stage,
        workspace: Workspace,
        metrics: Mapping[str, Any],
        *,
        started: str,
        seconds: float,
        peak_memory_mb: float,
    ) -> Record:
        """Turn ``workspace.out`` into the stage's folder, whole or not at all.

        Raises ValueError for metrics that are no finite numbers or strings, for links and for
        file names that a SHA256SUMS cannot hold.
        """
        sums = hash_files(workspace.out, files_below(workspace.out))
        if reserved := {RECORD, SUMS} & sums.keys():
            raise ValueError(f"a stage must not write {', '.join(sorted(reserved))} itself")
        records = workspace.input_records
        record = Record(
            stage=stage.name,
            key=stage.key,
            config=dict(stage.config),
            inputs={role: upstream.key for role, upstream in stage.inputs.items()},
            input_digests=digests_of(records),
            outputs=outputs_of(sums),
            metrics=plain_metrics(metrics),
            started=started,
            seconds=seconds,
            peak_memory_mb=peak_memory_mb,
            environment=environment(),
            code=self._code(stage, records),
            git_revision=git_revision(),
        )
        (workspace.out / RECORD).write_text(record.to_json() + "\n")
        sums |= hash_files(workspace.out, [RECORD])
        (workspace.out / SUMS).write_text("".join(sum_lines(sums)))
        fsync_tree(workspace.out)
        self._publish(stage, workspace.out)
        return record

    def _publish(self, stage: Stage, out: Path) -> None:
        final = self.folder(stage)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # damaged or stale; a folder can only be renamed onto an empty one
            os.rename(final, self._base(stage) / "replaced")
        os.rename(out, final)
        fsync(final.parent)
        self.discard_scratch(stage)

    def typical_seconds(self, stage: Stage) -> float | None:
        """Return the median time of the records most like the stage, None without any.

        Like means: of the same name, of the same scale (``_scale``), and with the most equal
        entries in the config.
        """
        scale = _scale(stage.config)
        found = [r for r in self._records(stage.name) if _scale(r.config) == scale]
        if not found:
            return None
        likeness = [sum(r.config.get(k) == v for k, v in stage.config.items()) for r in found]
        best = max(likeness)
        return statistics.median(
            r.seconds for r, like in zip(found, likeness, strict=True) if like == best
        )

    def _records(self, name: str) -> Iterator[Record]:
        for folder in sorted((self.root / "stages" / name).glob("*")):
            try:
                yield read_record(folder)
            except (OSError, ValueError):
                continue

    def _finished(self, stage: Stage) -> Record:
        record = self.record(stage)
        if record is None:
            raise ValueError(f"{stage.label} has not been made yet")
        return record

    def _code(self, stage: Stage, records: Mapping[str, Record]) -> str:
        # The inputs' own records, not today's source: a stale input that was kept leaves its mark.
        return stage.combined_code({role: record.code for role, record in records.items()})

    def _base(self, stage: Stage) -> Path:
        return self.root / "scratch" / stage.key


def _scale(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what decides how much work a stage is: images, network, and length of its training."""
    data, recipe, backbone = (config.get(key) for key in ("data", "recipe", "backbone"))
    steps = ("iterations", "batch_size", "crop")
    return (
        data.get("name") if isinstance(data, Mapping) else None,
        [recipe.get(key) for key in steps] if isinstance(recipe, Mapping) else None,
        backbone.get("architecture") if isinstance(backbone, Mapping) else None,
        config.get("config"),
        config.get("size"),
    )
