"""Stages that travel by URL: what is uploaded, what is checked, what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from filelock import FileLock

from benchmark.cluster.exchange import MakeInSharedStore, MakeThroughMirror, MirroredStore
from benchmark.cluster.mirror import Mirror
from benchmark.errors import BenchmarkError
from benchmark.executor import Maker, execute
from benchmark.progress import SilentProgress
from benchmark.store import Metrics, Stage, Store, Workspace

URL = "memory://mirror"


def first(work: Workspace) -> Metrics:
    (work.out / "folder").mkdir()
    (work.out / "folder" / "value.txt").write_text("7")
    return {}


def second(work: Workspace) -> Metrics:
    value = (work.inputs["first"] / "folder" / "value.txt").read_text()
    (work.out / "double.txt").write_text(str(2 * int(value)))
    return {}


FUNCTIONS = {"first": first, "second": second}
FIRST = Stage("first", {}, label="first")
SECOND = Stage("second", {}, {"first": FIRST}, label="second")


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    execute([FIRST], made, FUNCTIONS, SilentProgress(), announce=print)
    return made


def there(name: str) -> str:
    return f"/mirror/stages/first/{FIRST.key}/{name}"


def test_a_stage_arrives_as_it_was_and_its_record_is_written_last(
    memory: fsspec.AbstractFileSystem, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = []
    upload = Mirror._upload

    def noted(self: Mirror, folder: Path, where: str, path: str) -> None:
        uploaded.append(path)
        upload(self, folder, where, path)

    monkeypatch.setattr(Mirror, "_upload", noted)
    mirror, other = Mirror(URL), Store(tmp_path / "other")
    mirror.push(FIRST, store)
    assert uploaded == ["folder/value.txt", "SHA256SUMS", "record.json"]
    mirror.push(FIRST, store)
    assert len(uploaded) == 3  # it is there
    mirror.pull(FIRST, other)
    assert other.state(FIRST) == "cached"
    assert other.record(FIRST) == store.record(FIRST)
    assert not list((other.root / "scratch").iterdir())


def test_what_was_changed_on_the_way_is_refused(
    memory: fsspec.AbstractFileSystem, store: Store, tmp_path: Path
) -> None:
    mirror, other = Mirror(URL), Store(tmp_path / "other")
    mirror.push(FIRST, store)
    memory.pipe_file(there("folder/value.txt"), b"8")
    with pytest.raises(BenchmarkError, match=r"^first: folder/value.txt is damaged .*run again$"):
        mirror.pull(FIRST, other)
    assert other.state(FIRST) == "missing"


@pytest.mark.parametrize("path", ["../../escaped", "/tmp/escaped"])
def test_a_file_outside_the_stage_is_refused(
    memory: fsspec.AbstractFileSystem, store: Store, tmp_path: Path, path: str
) -> None:
    mirror = Mirror(URL)
    mirror.push(FIRST, store)
    sums = memory.cat_file(there("SHA256SUMS")).decode()
    line = f"{hashlib.sha256(b'x').hexdigest()}  {path}\n"
    memory.pipe_file(there("SHA256SUMS"), (sums + line).encode())
    with pytest.raises(BenchmarkError, match="outside the stage"):
        mirror.pull(FIRST, Store(tmp_path / "other"))
    assert not list(tmp_path.rglob("escaped"))


def test_what_is_not_there_is_one_line(store: Store, memory: fsspec.AbstractFileSystem) -> None:
    with pytest.raises(BenchmarkError, match=r"^first: cannot read memory://mirror: "):
        Mirror(URL).pull(FIRST, store)


@pytest.mark.parametrize("url", ["nothing-like-it://x", "hdfs2://x"])
def test_an_unknown_kind_of_url_is_one_line(url: str) -> None:
    with pytest.raises(BenchmarkError, match=f"^--mirror {url}: "):
        Mirror(url)


def test_a_stage_made_again_with_other_files_replaces_the_old_one(
    memory: fsspec.AbstractFileSystem, store: Store, tmp_path: Path
) -> None:
    mirror, other = Mirror(URL), Store(tmp_path / "other")
    mirror.push(FIRST, store)
    mirror.pull(FIRST, other)
    again = Store(tmp_path / "again")
    eight = {"first": lambda work: (work.out / "value.txt").write_text("8") and {}}
    execute([FIRST], again, eight, SilentProgress(), announce=print)
    mirror.push(FIRST, again)
    mirror.pull(FIRST, other)
    assert (other.folder(FIRST) / "value.txt").read_text() == "8"


def test_a_worker_without_the_store_makes_a_stage_from_the_url(
    memory: fsspec.AbstractFileSystem,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WSSS_WORKER_STORE", str(tmp_path / "worker"))
    exchange = MirroredStore(Maker(store.root, FUNCTIONS, False), URL)
    make = exchange.give(SECOND)
    make(SECOND, SilentProgress(), print)
    assert store.state(SECOND) == "missing"
    exchange.take(SECOND)
    assert store.state(SECOND) == "cached"
    assert (store.folder(SECOND) / "double.txt").read_text() == "14"


# What a worker checks before it makes anything


def made_there(store: Store, mark: Path, code: str = FIRST.code_fingerprint()) -> None:
    make = MakeInSharedStore(Maker(store.root, FUNCTIONS, False), mark, code)
    make(FIRST, SilentProgress(), print)


def test_a_worker_that_does_not_see_the_store(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"does not see the store .*--mirror URL$"):
        made_there(store, tmp_path / "elsewhere")


def test_a_worker_for_whom_locks_do_not_hold(store: Store, tmp_path: Path) -> None:
    mark = tmp_path / "mark.lock"
    mark.touch()
    with pytest.raises(BenchmarkError, match="could take a lock in"):
        made_there(store, mark)
    with FileLock(mark):
        made_there(store, mark)


def test_a_worker_with_other_code(store: Store, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="has other code than the machine that runs"):
        made_there(store, tmp_path / "mark", "0" * 64)
    make = MakeThroughMirror(Maker(store.root, FUNCTIONS, False), URL, "0" * 64)
    with pytest.raises(BenchmarkError, match="has other code"):
        make(FIRST, SilentProgress(), print)
