from __future__ import annotations

import errno
import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmark.errors import BenchmarkError
from benchmark.store import (
    Record,
    Stage,
    Store,
    canonical_json,
    is_disk_full,
    write_atomic,
)

FILES = {"weights.bin": b"\x00\x01" * 50, "labels/a.png": b"aaa", "labels/b.png": b"bbb"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def make(store: Store, stage: Stage, files: dict[str, bytes] = FILES, **metrics: object) -> Record:
    with store.lock(stage):
        workspace = store.prepare(stage)
        for name, content in files.items():
            (workspace.out / name).parent.mkdir(exist_ok=True)
            (workspace.out / name).write_bytes(content)
        started = "2026-01-02T03:04:05+00:00"
        return store.commit(
            stage, workspace, metrics, started=started, seconds=2.5, peak_memory_mb=10.0
        )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# Keys


def test_key_is_the_sha256_of_the_canonical_json() -> None:
    first = Stage("maps", {"b": (1, 2.5), "a": None})
    second = Stage("labels", {"ü": True}, {"maps": first})
    first_text = '{"config":{"a":null,"b":[1,2.5]},"inputs":{},"name":"maps"}'
    assert first.key == sha256(first_text.encode())
    second_text = (
        '{"config":{"\\u00fc":true},"inputs":{"maps":"' + first.key + '"},"name":"labels"}'
    )
    assert second.key == sha256(second_text.encode())


def test_equal_stages_are_one_whatever_their_label_location_and_code() -> None:
    plain = Stage("maps", {"a": 1, "b": [0.1, 2]})
    other = Stage("maps", {"b": (0.1, 2), "a": 1}, {}, {"data": "/x"}, "maps of X", ("json",))
    assert plain == other
    assert len({plain, other}) == 1


@pytest.mark.parametrize(
    "other",
    [
        Stage("labels", {"a": 1}),
        Stage("maps", {"a": 2}),
        Stage("maps", {"a": 1.0}),
        Stage("maps", {"a": 1}, {"images": Stage("images", {})}),
    ],
)
def test_what_changes_the_result_changes_the_key(other: Stage) -> None:
    assert Stage("maps", {"a": 1}) != other


def test_an_input_s_config_changes_the_key() -> None:
    def labels(seed: int) -> Stage:
        return Stage("labels", {}, {"maps": Stage("maps", {"seed": seed})})

    assert labels(0).key != labels(1).key
    assert labels(0).key == labels(0).key


def test_a_config_changed_afterwards_does_not_reach_the_stage() -> None:
    options = {"list": [1]}
    stage = Stage("maps", options)
    options["list"].append(2)
    assert stage.config == {"list": [1]}


@pytest.mark.parametrize("value", [Path("/data"), {1, 2}, np.float32(1), b"x", {1: 2}])
def test_what_is_not_json_is_refused_naming_the_entry(value: object) -> None:
    with pytest.raises(TypeError, match=r"maps\.options\[1\]"):
        Stage("maps", {"options": [0, value]})  # type: ignore[dict-item, list-item]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_that_json_lacks(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        canonical_json({"a": value})


@pytest.mark.parametrize("name", ["", "../x", "Maps", "a/b"])
def test_a_stage_s_name_makes_a_folder_name(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case word"):
        Stage(name, {})


# Commit and verification


def test_commit_leaves_files_sums_and_record(store: Store) -> None:
    images = Stage("images", {"count": 1})
    source = make(store, images)
    stage = Stage("labels", {"seed": 0}, {"images": images})
    record = make(store, stage, miou=np.float32(0.5), images=3, note="x")
    folder = store.folder(stage)
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    check = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, capture_output=True)
    assert check.returncode == 0
    assert len(check.stdout.splitlines()) == len(FILES) + 1  # and record.json
    lines = f"{sha256(b'aaa')}  labels/a.png\n{sha256(b'bbb')}  labels/b.png\n"
    assert record.outputs == {
        "weights.bin": sha256(FILES["weights.bin"]),
        "labels/": sha256(lines.encode()),
    }
    assert record.inputs == {"images": images.key}
    assert record.input_digests == {"images": source.digest}
    assert record.metrics == {"miou": 0.5, "images": 3, "note": "x"}
    assert (record.stage, record.key, record.config) == ("labels", stage.key, {"seed": 0})
    assert record.seconds == 2.5
    assert record.environment["python"]
    assert store.record(stage) == record
    assert Record.from_json(record.to_json()) == record
    assert store.state(stage) == "cached"
    assert not list((store.root / "scratch").iterdir())


def test_a_stage_that_was_never_made_is_missing(store: Store) -> None:
    stage = Stage("maps", {})
    assert store.state(stage) == "missing"
    assert store.record(stage) is None


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit_metric(folder: Path) -> None:
    path = folder / "record.json"
    path.write_text(path.read_text().replace('"miou": 0.5', '"miou": 0.9'))


def forge_file_and_sum(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(b"forged")
    sums = (folder / "SHA256SUMS").read_text()
    sums = sums.replace(sha256(FILES["weights.bin"]), sha256(b"forged"))
    (folder / "SHA256SUMS").write_text(sums)


def forget_a_file_and_its_sum(folder: Path) -> None:
    (folder / "weights.bin").unlink()
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    (folder / "SHA256SUMS").write_text("".join(x for x in lines if "weights" not in x))


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda f: flip_a_bit(f / "labels/a.png"), "labels/a.png is damaged (sha256 differs)"),
        (lambda f: truncate(f / "weights.bin"), "weights.bin is damaged (sha256 differs)"),
        (lambda f: (f / "labels/b.png").unlink(), "labels/b.png is missing"),
        (lambda f: (f / "labels/c.png").touch(), "labels/c.png does not belong there"),
        (lambda f: truncate(f / "record.json"), "record.json is damaged (unreadable)"),
        (lambda f: (f / "record.json").unlink(), "record.json is damaged (unreadable)"),
        (lambda f: (f / "record.json").write_text("[]"), "record.json is damaged (unreadable)"),
        (lambda f: (f / "record.json").write_bytes(b"\xff"), "record.json is damaged (unreadable)"),
        (edit_metric, "record.json is damaged (sha256 differs)"),
        (lambda f: truncate(f / "SHA256SUMS"), "SHA256SUMS is damaged (unreadable)"),
        (lambda f: (f / "SHA256SUMS").unlink(), "SHA256SUMS is damaged (unreadable)"),
        (forge_file_and_sum, "record.json is damaged (it does not belong to these files)"),
        (forget_a_file_and_its_sum, "record.json is damaged (it does not belong to these files)"),
    ],
)
def test_any_damage_is_found(store: Store, damage: Callable[[Path], object], reason: str) -> None:
    stage = Stage("labels", {})
    make(store, stage, miou=0.5)
    damage(store.folder(stage))
    status = store.inspect(stage)
    assert (status.state, status.reason) == ("damaged", reason)


def test_the_first_of_many_damaged_files_is_named(store: Store) -> None:
    stage = Stage("labels", {})
    make(store, stage)
    for name in FILES:
        flip_a_bit(store.folder(stage) / name)
    assert store.inspect(stage).reason == "labels/a.png is damaged (sha256 differs) (and 2 more)"


def test_a_damaged_folder_is_replaced(store: Store) -> None:
    stage = Stage("labels", {})
    first = make(store, stage)
    flip_a_bit(store.folder(stage) / "weights.bin")
    second = make(store, stage)
    assert store.state(stage) == "cached"
    assert first.outputs == second.outputs


@pytest.mark.parametrize("name", ["record.json", "SHA256SUMS", "a\nb", "a\\b"])
def test_file_names_the_store_cannot_hold_are_refused(store: Store, name: str) -> None:
    with pytest.raises(ValueError, match=r"must not write|cannot hold"):
        make(store, Stage("maps", {}), {name: b""})
    assert store.state(Stage("maps", {})) == "missing"


def test_links_are_refused(store: Store, tmp_path: Path) -> None:
    stage = Stage("maps", {})
    workspace = store.prepare(stage)
    (workspace.out / "link").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="'link' is a link"):
        store.commit(stage, workspace, {}, started="", seconds=0, peak_memory_mb=0)


@pytest.mark.parametrize("value", [float("nan"), np.float32("nan"), None.__class__, [1, {2}]])
def test_metrics_that_are_no_finite_numbers_are_refused(store: Store, value: object) -> None:
    with pytest.raises((ValueError, TypeError), match="metric miou"):
        make(store, Stage("maps", {}), miou=value)


# Staleness


def module(folder: Path, name: str, source: str) -> str:
    (folder / f"{name}.py").write_text(source)
    return name


def test_a_stage_is_stale_when_code_behind_it_changed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    old = module(tmp_path, "stale_code_old", "x = 1")
    new = module(tmp_path, "stale_code_new", "x = 2")

    def stages(code: str) -> tuple[Stage, Stage, Stage]:
        maps = Stage("maps", {}, code=(code,))
        labels = Stage("labels", {}, {"maps": maps}, code=("json.decoder",))
        return maps, labels, Stage("other", {}, code=("json.decoder",))

    for stage in stages(old):
        make(store, stage)
    assert [store.state(stage) for stage in stages(old)] == ["cached"] * 3
    assert [store.state(stage) for stage in stages(new)] == ["stale", "stale", "cached"]
    assert store.staleness(stages(new)[1]) == "the code behind it has changed"
    make(store, stages(new)[0])  # the stage before is new; what rests on it is still of the old one
    assert [store.state(stage) for stage in stages(new)] == ["cached", "stale", "cached"]


def test_what_was_made_from_a_stale_input_is_itself_stale(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    old = module(tmp_path, "stale_kept_old", "x = 1")
    new = module(tmp_path, "stale_kept_new", "x = 2")
    make(store, Stage("maps", {}, code=(old,)))
    labels = Stage("labels", {}, {"maps": Stage("maps", {}, code=(new,))})
    make(store, labels)
    assert store.state(labels) == "stale"


def test_a_stage_is_stale_when_its_input_s_files_became_others(store: Store) -> None:
    maps = Stage("maps", {}, label="maps of X")
    labels = Stage("labels", {}, {"maps": maps})
    score = Stage("score", {}, {"labels": labels})
    make(store, maps)
    make(store, labels)
    make(store, score)
    make(store, maps)
    assert store.state(score) == "cached"  # the same bytes again
    make(store, maps, {"weights.bin": b"other"})
    assert store.inspect(labels).reason == "maps of X has changed"
    assert [store.state(stage) for stage in (maps, labels, score)] == ["cached", "stale", "stale"]


def test_checkpoints_survive_but_not_a_change_of_code(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    old = Stage("maps", {}, code=(module(tmp_path, "scratch_old", "x = 1"),))
    new = Stage("maps", {}, code=(module(tmp_path, "scratch_new", "x = 2"),))
    first = store.prepare(old)
    (first.scratch / "checkpoint").write_text("5")
    (first.out / "half").write_text("5")
    second = store.prepare(old)
    assert (second.scratch / "checkpoint").read_text() == "5"
    assert not list(second.out.iterdir())
    assert not list(store.prepare(new).scratch.iterdir())


def test_the_workspace_shows_the_inputs(store: Store) -> None:
    maps = Stage("maps", {})
    record = make(store, maps, threshold=0.3)
    stage = Stage("labels", {"a": 1}, {"maps": maps}, {"data": "/voc"}, "labels of X")
    workspace = store.prepare(stage)
    assert (workspace.inputs["maps"] / "weights.bin").read_bytes() == FILES["weights.bin"]
    assert workspace.input_records == {"maps": record}
    assert workspace.locations == {"data": Path("/voc")}
    assert (workspace.config, workspace.label) == ({"a": 1}, "labels of X")


# Typical times


def test_typical_seconds_is_the_median_of_the_most_alike(store: Store) -> None:
    def record(seconds: float, **config: object) -> None:
        stage = Stage("maps", config)  # type: ignore[arg-type]
        workspace = store.prepare(stage)
        store.commit(stage, workspace, {}, started="", seconds=seconds, peak_memory_mb=0)

    for seed, seconds in enumerate([1.0, 2.0, 9.0]):
        record(seconds, data={"name": "small"}, method="x", seed=seed)
    record(50.0, data={"name": "small"}, method="y", seed=9)
    record(7000.0, data={"name": "large"}, method="x", seed=0)
    wanted = {"data": {"name": "small"}, "method": "x", "seed": 77}
    assert store.typical_seconds(Stage("maps", wanted)) == 2.0
    assert store.typical_seconds(Stage("maps", wanted | {"method": "y"})) == 50.0
    assert store.typical_seconds(Stage("maps", {"data": {"name": "medium"}})) is None
    assert store.typical_seconds(Stage("labels", wanted)) is None


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": {"iterations": 25_000, "batch_size": 16, "crop": 80}},
        {"recipe": {"iterations": 400, "batch_size": 16, "crop": 224}},
        {"backbone": {"architecture": "resnet"}},
        {"config": "deeplab_voc12.py"},
        {"size": 224},
        {"data": {"name": "VOC 2012"}},
    ],
)
def test_times_of_another_scale_say_nothing(store: Store, other: dict[str, object]) -> None:
    config: dict[str, object] = {
        "recipe": {"iterations": 400, "batch_size": 16, "crop": 80, "colour": 0.1},
        "backbone": {"architecture": "vgg16"},
        "config": "deeplab_scenes.py",
        "size": 96,
    }
    made = Stage("attention", config)  # type: ignore[arg-type]
    store.commit(made, store.prepare(made), {}, started="", seconds=70, peak_memory_mb=0)
    recipe = {"iterations": 400, "batch_size": 16, "crop": 80, "colour": 0.0}
    assert store.typical_seconds(Stage("attention", config | {"recipe": recipe})) == 70  # type: ignore[arg-type]
    assert store.typical_seconds(Stage("attention", config | other)) is None  # type: ignore[arg-type]


# Stores that cannot be used


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Store(tmp_path / "s")
    (tmp_path / "s/format.json").write_text('{"version": 2}')
    with pytest.raises(BenchmarkError, match=r"s was written by a newer version \(2 > 1\): up"):
        Store(tmp_path / "s")


def test_a_record_of_a_newer_version_is_refused_not_made_again(store: Store) -> None:
    stage = Stage("maps", {})
    make(store, stage)
    path = store.folder(stage) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 2, "more": 1}))
    with pytest.raises(BenchmarkError, match=r"record\.json was written by a newer version"):
        store.state(stage)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"version": "x"}', '{"version": null}', '{"version": 1e400}']
)
def test_an_unreadable_format_is_told(tmp_path: Path, text: str) -> None:
    Store(tmp_path / "s")
    (tmp_path / "s/format.json").write_text(text)
    with pytest.raises(BenchmarkError, match=r"format\.json is unreadable: write .*version"):
        Store(tmp_path / "s")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(BenchmarkError, match="neither empty nor a store"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_place_of_the_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file/below"):
        with pytest.raises(BenchmarkError, match=r"cannot use .*file.* choose another --store"):
            Store(path)


def test_a_read_only_store_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store(tmp_path / "s")
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write anywhere
    with pytest.raises(BenchmarkError, match=r"s is read-only: choose another --store"):
        Store(tmp_path / "s").check_writable()


def test_a_read_only_disk_is_told(small_disk: Path) -> None:
    Store(small_disk / "s")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(BenchmarkError, match=r"s is read-only"):
        Store(small_disk / "s").check_writable()
    with pytest.raises(BenchmarkError, match=r"cannot use .*Read-only file system"):
        Store(small_disk / "other")


def test_a_store_half_created_by_a_killed_process_is_used(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/.format.json.0123abcd.tmp").touch()
    assert Store(tmp_path / "s").state(Stage("maps", {})) == "missing"


# Atomic files


def test_write_atomic_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_atomic(path, "old ü")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]
    plain = tmp_path / "plain"
    plain.touch()
    assert path.stat().st_mode == plain.stat().st_mode


def test_write_atomic_tells_of_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BenchmarkError, match=r"cannot write .*file\.txt: the disk is full"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_atomic_on_a_disk_that_is_really_full(small_disk: Path) -> None:
    path = small_disk / "file.bin"
    write_atomic(path, b"old")
    with pytest.raises(BenchmarkError, match=r"cannot write .*file\.bin: the disk is full"):
        write_atomic(path, b"x" * 400_000)
    assert path.read_bytes() == b"old"
    assert list(small_disk.iterdir()) == [path]


def test_write_atomic_tells_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BenchmarkError, match=r"cannot write .*: (Not a directory|File exists)"):
        write_atomic(tmp_path / "file" / "below.txt", "x")


def test_a_full_disk_is_recognised_behind_other_errors() -> None:
    assert is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
    with pytest.raises(RuntimeError) as caught:
        fail_while_handling(OSError(errno.ENOSPC, "full"))
    assert is_disk_full(caught.value)


def fail_while_handling(error: Exception) -> None:
    try:
        raise error
    except OSError:
        raise RuntimeError("cannot save")  # noqa: B904
