"""Where the numbers of a page come from: every record once, and the chain behind each score."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SHORT = 12  # digits of a key that people read


@dataclass(frozen=True)
class RecordView:
    """One record as the page shows it."""

    id: str
    stage: str
    key: str
    short: str
    digest: str
    started: str
    seconds: str
    peak: str
    revision: str
    environment: str
    metrics: str
    inputs: tuple[tuple[str, str, str], ...]  # role, id in the page, short key
    config: str


@dataclass(frozen=True)
class Step:
    """One record of a chain, by its place in the page."""

    id: str
    name: str
    short: str


class Provenance:
    """The records of several reports, each once, by key."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Join the records and environments of the reports' JSON."""
        self.environments: list[Mapping[str, str]] = []
        self._records: dict[str, Mapping[str, Any]] = {}
        self._environments: dict[str, int] = {}
        for document in documents:
            for record in document["records"]:
                environment = document["environments"][record["environment"]]
                if environment not in self.environments:
                    self.environments.append(environment)
                self._records[record["key"]] = record
                self._environments[record["key"]] = self.environments.index(environment)

    @property
    def records(self) -> list[RecordView]:
        """All of them, by stage and key."""
        found = sorted(self._records.values(), key=lambda one: (one["stage"], one["key"]))
        return [self._view(record) for record in found]

    @property
    def revisions(self) -> list[str]:
        """The commits of the suite that they were made with."""
        return sorted({_revision(record) for record in self._records.values()})

    def chain(self, key: str) -> list[Step]:
        """Return the record of that key and all before it, each once, the last made first."""
        found: dict[str, Mapping[str, Any]] = {}
        waiting = [key]
        while waiting:
            record = self._records.get(waiting.pop(0))
            if record and record["key"] not in found:
                found[record["key"]] = record
                waiting += record["inputs"].values()
        made = sorted(found.values(), key=lambda one: (one["started"], one["key"]), reverse=True)
        return [Step(_id(one["key"]), one["stage"], one["key"][:SHORT]) for one in made]

    def origin(self, keys: Sequence[str]) -> tuple[str, str]:
        """Return commits and environments behind some records, in words."""
        chained = {record["key"]: record for key in keys if (record := self._records.get(key))}
        revisions = sorted({_revision(record)[:SHORT] for record in chained.values()})
        numbers = sorted({self._environments[key] + 1 for key in chained})
        return ", ".join(revisions), ", ".join(str(number) for number in numbers)

    def _view(self, record: Mapping[str, Any]) -> RecordView:
        return RecordView(
            id=_id(record["key"]),
            stage=record["stage"],
            key=record["key"],
            short=record["key"][:SHORT],
            digest=record["digest"] or "",
            started=record["started"],
            seconds=f"{record['seconds']:.1f}",
            peak=f"{record['peak_memory_mb']:.0f}",
            revision=_revision(record),
            environment=str(self._environments[record["key"]] + 1),
            metrics=", ".join(f"{name} {_number(v)}" for name, v in record["metrics"].items()),
            inputs=tuple((role, _id(key), key[:SHORT]) for role, key in record["inputs"].items()),
            config=json.dumps(record["config"], ensure_ascii=False, sort_keys=True, indent=1),
        )


def _id(key: str) -> str:
    return "record-" + "".join(one if one.isalnum() and one.isascii() else "-" for one in key)


def _revision(record: Mapping[str, Any]) -> str:
    return record["git_revision"] or "not in a checkout"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
