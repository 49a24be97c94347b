"""The store: finished stages, addressed by what they were made from.

    ROOT/format.json                the version of this layout
    ROOT/stages/NAME/KEY/           one finished stage: its files, record.json and SHA256SUMS
    ROOT/scratch/KEY/               what an unfinished stage has so far; survives a kill
    ROOT/scratch/KEY/under_way.json who makes it and how far it is, or why it failed
    ROOT/locks/KEY.lock             held by the process that makes the stage

A stage's folder appears by one rename when everything in it is on the disk, and never changes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from filelock import BaseFileLock, FileLock
from pydantic import ConfigDict, TypeAdapter, with_config

from benchmark.checkpoints import damaged_file
from benchmark.errors import BenchmarkError
from benchmark.progress import Progress, SilentProgress
from benchmark.provenance import environment, fingerprint, git_revision

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]
Metrics = dict[str, float | int | str]
State = Literal["cached", "stale", "damaged", "missing"]

STORE_VERSION = 1
RECORD_VERSION = 1
RECORD = "record.json"
SUMS = "SHA256SUMS"
UNFINISHED = ("*.part", "unfinished.*", ".*.tmp")
"""What checkpoints are called until they are wholly written."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One cached step: equal names, configs and inputs make equal stages."""

    name: str
    config: Mapping[str, JSON]  # everything that changes the result; no machine paths
    inputs: Mapping[str, Stage] = field(default_factory=dict)  # role -> upstream stage
    locations: Mapping[str, str] = field(default_factory=dict)  # role -> the user's files
    label: str = ""  # for people
    code: tuple[str, ...] = ()  # dotted names of the modules the result depends on

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name):
            raise ValueError(f"a stage's name is a lower-case word, not {self.name!r}")
        object.__setattr__(self, "config", _plain(self.config, self.name))
        object.__setattr__(self, "label", self.label or self.name)

    @cached_property
    def key(self) -> str:
        """The sha256 of the canonical JSON of name, config and the inputs' keys."""
        inputs = {role: stage.key for role, stage in self.inputs.items()}
        return _digest({"name": self.name, "config": self.config, "inputs": inputs})

    def code_fingerprint(self) -> str:
        """Return a sha256 over the source of the stage's modules and of all stages before it."""
        return self.combined_code({r: s.code_fingerprint() for r, s in self.inputs.items()})

    def combined_code(self, inputs: Mapping[str, str]) -> str:
        """Join this stage's own source with the fingerprints its inputs were made with."""
        return _digest({"own": fingerprint(self.code), "inputs": dict(inputs)})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stage) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True)
class Record:
    """What a finished stage leaves about itself; never changed afterwards."""

    stage: str
    key: str
    config: dict[str, Any]
    inputs: dict[str, str]  # role -> key
    input_digests: dict[str, str]  # role -> digest of the files that were read
    outputs: dict[str, str]  # top-level file, or folder/ -> sha256
    metrics: Metrics
    started: str  # ISO 8601, UTC
    seconds: float  # of the attempt that finished, after any resume
    peak_memory_mb: float
    environment: dict[str, str]
    code: str  # Stage.code_fingerprint() when it was made
    git_revision: str | None

    @property
    def digest(self) -> str:
        """A sha256 of all the stage's files."""
        return _digest(self.outputs)

    def to_json(self) -> str:
        """Return the text of record.json."""
        return json.dumps({"version": RECORD_VERSION} | asdict(self), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, source: str = RECORD) -> Record:
        """Read record.json; ValueError if unreadable, BenchmarkError if from a newer version."""
        try:
            data = json.loads(text)
        except RecursionError as error:
            raise ValueError(f"{source} is not a record") from error
        if not isinstance(data, dict) or not isinstance(version := data.pop("version", None), int):
            raise ValueError(f"{source} is not a record")
        if version > RECORD_VERSION:
            raise BenchmarkError(_newer(source, version, RECORD_VERSION))
        return _record_reader().validate_json(json.dumps(data))  # of Python's dicts it makes none


@cache
def _record_reader() -> TypeAdapter[Record]:
    rules = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return TypeAdapter(with_config(rules)(Record))


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
            raise BenchmarkError(_newer(f"store {self.root}", version, STORE_VERSION))

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
        except (ValueError, KeyError, TypeError) as error:
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
            record = _read_record(folder)
            line = f"{_sha256(folder / RECORD)}  {RECORD}\n"
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
        if damage := _damage(self.folder(stage), stage.key):
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
        made_from = _digest([self._code(stage, records), _digests(records)])
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
        if damage := _damage(folder, stage.key):
            raise BenchmarkError(f"{stage.label}: {damage}")
        _fsync_tree(folder)
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
        sums = _hash_files(workspace.out, _files(workspace.out))
        if reserved := {RECORD, SUMS} & sums.keys():
            raise ValueError(f"a stage must not write {', '.join(sorted(reserved))} itself")
        records = workspace.input_records
        record = Record(
            stage=stage.name,
            key=stage.key,
            config=dict(stage.config),
            inputs={role: upstream.key for role, upstream in stage.inputs.items()},
            input_digests=_digests(records),
            outputs=_outputs(sums),
            metrics=_plain_metrics(metrics),
            started=started,
            seconds=seconds,
            peak_memory_mb=peak_memory_mb,
            environment=environment(),
            code=self._code(stage, records),
            git_revision=git_revision(),
        )
        (workspace.out / RECORD).write_text(record.to_json() + "\n")
        sums |= _hash_files(workspace.out, [RECORD])
        (workspace.out / SUMS).write_text("".join(_sum_lines(sums)))
        _fsync_tree(workspace.out)
        self._publish(stage, workspace.out)
        return record

    def _publish(self, stage: Stage, out: Path) -> None:
        final = self.folder(stage)
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.exists():  # damaged or stale; a folder can only be renamed onto an empty one
            os.rename(final, self._base(stage) / "replaced")
        os.rename(out, final)
        _fsync(final.parent)
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
                yield _read_record(folder)
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


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all; BenchmarkError naming it if that cannot be."""
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        _fsync(path.parent)
    except OSError as error:
        if is_disk_full(error):
            raise BenchmarkError(
                f"cannot write {path}: the disk is full; free space and run again"
            ) from error
        raise BenchmarkError(f"cannot write {path}: {error.strerror or error}") from error


FULL_IN_WORDS = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")
"""What errors of a full disk say; the last two are torch.save's, which knows no other."""


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, says that the disk or the quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(seen) for words in FULL_IN_WORDS):  # libraries that hide the OSError
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def canonical_json(value: JSON) -> str:
    """Return the one JSON text of a value: sorted keys, floats by repr, tuples as lists.

    Raises TypeError for other types (paths, sets) and ValueError for NaN and infinities.
    """
    return json.dumps(
        _plain(value, "value"), sort_keys=True, separators=(",", ":"), allow_nan=False
    )


def _plain(value: Any, where: str) -> Any:
    """Copy a JSON value into plain dicts and lists, or refuse it naming the entry."""
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{where}: keys are strings, not {wrong[0]!r}")
        return {key: _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if value is not None and not isinstance(value, bool | int | float | str):
        raise TypeError(f"{where}: {type(value).__name__} is not JSON")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{where}: {value} is not JSON")
    return value


def _plain_metrics(metrics: Mapping[str, Any]) -> Metrics:
    # .item() turns NumPy's and torch's scalars into Python's.
    return {
        name: _plain(value.item() if hasattr(value, "item") else value, f"metric {name}")
        for name, value in metrics.items()
    }


def _digest(value: JSON) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _digests(records: Mapping[str, Record]) -> dict[str, str]:
    return {role: record.digest for role, record in records.items()}


def _newer(what: str, found: int, known: int) -> str:
    return (
        f"{what} was written by a newer version ({found} > {known}): "
        "upgrade the suite or choose another --store"
    )


def _read_record(folder: Path) -> Record:
    path = folder / RECORD
    return Record.from_json(path.read_text(encoding="utf-8"), str(path))


def _damage(folder: Path, key: str) -> str:
    """Return what is wrong with a finished stage's files, "" if nothing is."""
    try:
        record = _read_record(folder)
    except (OSError, ValueError):
        return f"{RECORD} is damaged (unreadable)"
    try:
        sums = parse_sums((folder / SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{SUMS} is damaged (unreadable)"
    problems = _file_problems(folder, sums)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0] + more
    listed = {path: digest for path, digest in sums.items() if path != RECORD}
    if record.key != key or record.outputs != _outputs(listed):
        return f"{RECORD} is damaged (it does not belong to these files)"
    return ""


def _file_problems(folder: Path, sums: Mapping[str, str]) -> list[str]:
    try:
        present = set(_files(folder)) - {SUMS}
        found = _hash_files(folder, sorted(present & sums.keys()))
    except (OSError, ValueError) as error:
        return [f"a file is damaged ({error})"]
    problems = [f"{path} is missing" for path in sorted(sums.keys() - present)]
    problems += [
        f"{path} is damaged (sha256 differs)"
        for path, digest in found.items()
        if digest != sums[path]
    ]
    return problems + [f"{path} does not belong there" for path in sorted(present - sums.keys())]


def _files(folder: Path) -> list[str]:
    """Return the paths of all files below a folder; ValueError for links and odd names."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or "\n" in relative or "\\" in relative:
            raise ValueError(f"{relative!r} is a link, or has a name that {SUMS} cannot hold")
        if path.is_file():
            found.append(relative)
    return found


def _hash_files(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    paths = list(paths)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(paths, pool.map(lambda path: _sha256(folder / path), paths), strict=True))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sum_lines(sums: Mapping[str, str]) -> list[str]:
    return [f"{digest}  {path}\n" for path, digest in sorted(sums.items())]


def parse_sums(text: str) -> dict[str, str]:
    """Read ``sha256sum``'s format; ValueError for what is not in it, or cut off."""
    sums = {}
    for line in text.splitlines():
        if not (match := re.fullmatch(r"([0-9a-f]{64})  (.+)", line)):
            raise ValueError(f"not a line of {SUMS}: {line!r}")
        sums[match[2]] = match[1]
    if not text.endswith("\n") or RECORD not in sums:
        raise ValueError(f"{SUMS} is cut off")
    return sums


def _outputs(sums: Mapping[str, str]) -> dict[str, str]:
    """Return one entry for each top-level file, and one for each folder (of its sums' lines)."""
    outputs = {path: digest for path, digest in sums.items() if "/" not in path}
    for folder in sorted({path.split("/")[0] for path in sums if "/" in path}):
        below = {path: digest for path, digest in sums.items() if path.startswith(f"{folder}/")}
        outputs[f"{folder}/"] = hashlib.sha256("".join(_sum_lines(below)).encode()).hexdigest()
    return outputs


def _fsync_tree(folder: Path) -> None:
    """Bring all files and folders below ``folder`` onto the disk; in threads, they mostly wait."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(_fsync, [*folder.rglob("*"), folder]))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
