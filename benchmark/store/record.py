"""What a finished stage leaves about itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, with_config

from benchmark.errors import BenchmarkError
from benchmark.store.canonical import digest_of, plain

Metrics = dict[str, float | int | str]

RECORD_VERSION = 1
RECORD = "record.json"


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
        return digest_of(self.outputs)

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
            raise BenchmarkError(newer(source, version, RECORD_VERSION))
        return _record_reader().validate_json(json.dumps(data))  # of Python's dicts it makes none


@cache
def _record_reader() -> TypeAdapter[Record]:
    rules = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return TypeAdapter(with_config(rules)(Record))


def read_record(folder: Path) -> Record:
    """Read the record in a stage's folder; OSError, or what ``Record.from_json`` raises."""
    path = folder / RECORD
    return Record.from_json(path.read_text(encoding="utf-8"), str(path))


def digests_of(records: Mapping[str, Record]) -> dict[str, str]:
    """Return the digest of each record's files, by role."""
    return {role: record.digest for role, record in records.items()}


def plain_metrics(metrics: Mapping[str, Any]) -> Metrics:
    """Return Python's own numbers and strings; as ``plain`` raises for what is no JSON."""
    # .item() turns NumPy's and torch's scalars into Python's.
    return {
        name: plain(value.item() if hasattr(value, "item") else value, f"metric {name}")
        for name, value in metrics.items()
    }


def newer(what: str, found: int, known: int) -> str:
    """Say that a newer version of the suite has written ``what``."""
    return (
        f"{what} was written by a newer version ({found} > {known}): "
        "upgrade the suite or choose another --store"
    )
