"""Finished stages at a URL of fsspec's, laid out like a store.

    URL/stages/NAME/KEY/    a stage's files, SHA256SUMS, and record.json, which is written last

Whatever comes down is checked against its sha256 before the store takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.errors import BenchmarkError, DiskFull
from benchmark.store import RECORD, SUMS, Stage, Store, is_disk_full, parse_sums

TRANSFERS = 8
"""Files under way at once."""


class Mirror:
    """Uploads finished stages to a URL and downloads them from there."""

    def __init__(self, url: str) -> None:
        """Open the URL; BenchmarkError where there is no package for it, or it is no URL."""
        from fsspec.core import url_to_fs

        self._url = url
        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise BenchmarkError(f"--mirror {url}: {error}") from error

    def push(self, stage: Stage, store: Store) -> None:
        """Upload a stage that is finished in ``store``, unless it is there; the record last.

        Raises BenchmarkError where the URL cannot be written.
        """
        folder, there = store.folder(stage), self._folder(stage)
        sums = (folder / SUMS).read_bytes()
        try:
            if self._files.exists(f"{there}/{RECORD}"):
                if self._files.cat_file(f"{there}/{SUMS}") == sums:
                    return
                self._files.rm_file(f"{there}/{RECORD}")  # of a stage that was made again
            paths = set(parse_sums(sums.decode())) - {RECORD}
            _at_once(lambda path: self._upload(folder, there, path), sorted(paths))
            for path in (SUMS, RECORD):
                self._upload(folder, there, path)
        except OSError as error:
            raise BenchmarkError(f"{stage.label}: cannot write {self._url}: {error}") from error

    def pull(self, stage: Stage, store: Store) -> None:
        """Download a stage that ``store`` lacks, or has other files of.

        Raises BenchmarkError where it is not there or not whole.
        """
        with store.lock(stage):
            there = self._folder(stage)
            try:
                sums = self._files.cat_file(f"{there}/{SUMS}")
                if _has(store, stage, sums):
                    return
                incoming = store.incoming(stage)
                paths = {*_safe_paths(sums, stage), RECORD, SUMS}
                _at_once(lambda path: self._download(there, incoming, path), sorted(paths))
                store.adopt(stage, incoming)
            except OSError as error:
                if is_disk_full(error):
                    raise DiskFull(f"{stage.label}: the disk is full ({error})") from error
                raise BenchmarkError(f"{stage.label}: cannot read {self._url}: {error}") from error
            except BenchmarkError as error:
                raise BenchmarkError(f"{error} at {there}: remove that and run again") from error

    def _folder(self, stage: Stage) -> str:
        return f"{self._root}/stages/{stage.name}/{stage.key}"

    def _upload(self, folder: Path, there: str, path: str) -> None:
        self._files.makedirs(str(PurePosixPath(there, path).parent), exist_ok=True)
        self._files.put_file(str(folder / path), f"{there}/{path}")

    def _download(self, there: str, folder: Path, path: str) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        self._files.get_file(f"{there}/{path}", str(folder / path))


def _has(store: Store, stage: Stage, sums: bytes) -> bool:
    whole = store.state(stage) in ("cached", "stale")
    return whole and (store.folder(stage) / SUMS).read_bytes() == sums


def _safe_paths(sums: bytes, stage: Stage) -> list[str]:
    """Return the files of a stage; BenchmarkError for one outside its folder."""
    try:
        paths = list(parse_sums(sums.decode()))
    except ValueError as error:
        raise BenchmarkError(f"{stage.label}: {error}") from error
    for path in paths:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise BenchmarkError(f"{stage.label}: {SUMS} names {path!r}, outside the stage")
    return paths


def _at_once(do: Callable[[str], Any], paths: Iterable[str]) -> None:
    with ThreadPoolExecutor(max_workers=TRANSFERS) as pool:
        list(pool.map(do, paths))
