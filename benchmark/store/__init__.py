"""The store: finished stages, addressed by what they were made from.

    ROOT/format.json                the version of this layout
    ROOT/stages/NAME/KEY/           one finished stage: its files, record.json and SHA256SUMS
    ROOT/scratch/KEY/               what an unfinished stage has so far; survives a kill
    ROOT/scratch/KEY/under_way.json who makes it and how far it is, or why it failed
    ROOT/locks/KEY.lock             held by the process that makes the stage

A stage's folder appears by one rename when everything in it is on the disk, and never changes.
"""

from __future__ import annotations

from benchmark.store.atomic import is_disk_full, write_atomic
from benchmark.store.canonical import JSON, canonical_json
from benchmark.store.folder import State, Status, Store, Workspace
from benchmark.store.record import RECORD, Metrics, Record
from benchmark.store.stage import Stage
from benchmark.store.sums import SUMS, parse_sums, sha256_of

__all__ = [
    "JSON",
    "RECORD",
    "SUMS",
    "Metrics",
    "Record",
    "Stage",
    "State",
    "Status",
    "Store",
    "Workspace",
    "canonical_json",
    "is_disk_full",
    "parse_sums",
    "sha256_of",
    "write_atomic",
]
