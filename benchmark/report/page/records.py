"""Where the numbers of a page come from: every record once, and the chain behind each score."""

from __future__ import annotations

import json
from collections import Counter
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


@dataclass(frozen=True)
class _Known:
    """A record of a report; a key may have several, of stages made anew by other code."""

    record: Mapping[str, Any]
    environment: int  # its place in ``Provenance.environments``
    id: str  # in the page
    inputs: Mapping[str, str]  # role -> id in the page


class ReportRecords:
    """The records of one report, by key."""

    def __init__(self, known: Mapping[str, _Known]) -> None:
        self._known = known

    def chain(self, key: str) -> list[Step]:
        """Return the record of that key and all before it, each once, the last made first."""
        found: dict[str, _Known] = {}
        waiting = [key]
        while waiting:
            known = self._known.get(waiting.pop(0))
            if known and known.id not in found:
                found[known.id] = known
                waiting += known.record["inputs"].values()
        made = sorted(
            found.values(),
            key=lambda one: (one.record["started"], one.record["key"]),
            reverse=True,
        )
        return [Step(one.id, one.record["stage"], one.record["key"][:SHORT]) for one in made]

    def origin(self, keys: Sequence[str]) -> tuple[str, str]:
        """Return commits and environments behind some records, in words."""
        chained = [known for key in keys if (known := self._known.get(key))]
        revisions = sorted({_revision(one.record)[:SHORT] for one in chained})
        numbers = sorted({one.environment + 1 for one in chained})
        return ", ".join(revisions), ", ".join(str(number) for number in numbers)


class Provenance:
    """The records of several reports, each once; of two with one key both."""

    def __init__(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Join the records and environments of the reports' JSON."""
        self.environments: list[Mapping[str, str]] = []
        self._known: dict[tuple[str, ...], _Known] = {}
        self._versions = Counter[str]()  # of each key
        self._reports = [(document, self._read(document)) for document in documents]

    def _read(self, document: Mapping[str, Any]) -> ReportRecords:
        ids = {record["key"]: self._id(record) for record in document["records"]}
        found = {}
        for record in document["records"]:
            environment = document["environments"][record["environment"]]
            if environment not in self.environments:
                self.environments.append(environment)
            inputs = {role: ids.get(key, _id(key)) for role, key in record["inputs"].items()}
            known = _Known(record, self.environments.index(environment), ids[record["key"]], inputs)
            if _identity(record) not in self._known:
                self._known[_identity(record)] = known
                self._versions[record["key"]] += 1
            found[record["key"]] = self._known[_identity(record)]
        return ReportRecords(found)

    def _id(self, record: Mapping[str, Any]) -> str:
        """Return a record's id in the page, with a number where another has its key."""
        if known := self._known.get(_identity(record)):
            return known.id
        others = self._versions[record["key"]]
        return _id(record["key"]) + (f"-{others + 1}" if others else "")

    def of(self, document: Mapping[str, Any]) -> ReportRecords:
        """Return the records of one of the documents."""
        return next(records for one, records in self._reports if one is document)

    @property
    def records(self) -> list[RecordView]:
        """All of them, by stage and key."""
        found = sorted(
            self._known.values(), key=lambda one: (one.record["stage"], one.record["key"], one.id)
        )
        return [_view(known) for known in found]

    @property
    def revisions(self) -> list[str]:
        """The commits of the suite that they were made with."""
        return sorted({_revision(known.record) for known in self._known.values()})


def _identity(record: Mapping[str, Any]) -> tuple[str, ...]:
    return record["key"], record["digest"] or "", record["started"]


def _view(known: _Known) -> RecordView:
    record = known.record
    return RecordView(
        id=known.id,
        stage=record["stage"],
        key=record["key"],
        short=record["key"][:SHORT],
        digest=record["digest"] or "",
        started=record["started"],
        seconds=f"{record['seconds']:.1f}",
        peak=f"{record['peak_memory_mb']:.0f}",
        revision=_revision(record),
        environment=str(known.environment + 1),
        metrics=", ".join(f"{name} {_number(v)}" for name, v in record["metrics"].items()),
        inputs=tuple(
            (role, known.inputs[role], key[:SHORT]) for role, key in record["inputs"].items()
        ),
        config=json.dumps(record["config"], ensure_ascii=False, sort_keys=True, indent=1),
    )


def _id(key: str) -> str:
    return "record-" + "".join(one if one.isalnum() and one.isascii() else "-" for one in key)


def _revision(record: Mapping[str, Any]) -> str:
    return record["git_revision"] or "not in a checkout"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
