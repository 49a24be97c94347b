from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmark.errors import BenchmarkError
from benchmark.executor import execute, plan_states, to_make, with_inputs
from benchmark.progress import SilentProgress
from benchmark.store import Record, Stage, Store, Workspace

HELPER = Path(__file__).parent / "helpers" / "small_graph.py"
ROOT = Path(__file__).parents[1]


class Kitchen:
    """A store with stage functions that say what they made, and can be told to fail."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self.made: list[str] = []
        self.lines: list[str] = []
        self.before: Callable[[Workspace], None] = lambda space: None
        self.content = "content"

    def cook(self, space: Workspace) -> dict[str, int]:
        self.before(space)
        self.made.append(space.label)
        parts = [(folder / "out.txt").read_text() for _, folder in sorted(space.inputs.items())]
        text = f"{self.content}({space.config.get('seed', 0)}; {', '.join(parts)})"
        (space.out / "out.txt").write_text(text)
        return {"length": len(text)}

    def run(self, *stages: Stage, keep_stale: bool = False) -> dict[str, Record]:
        self.made.clear()
        self.lines.clear()
        functions = dict.fromkeys(["images", "attention", "maps", "labels", "score"], self.cook)
        return execute(
            stages,
            self.store,
            functions,
            SilentProgress(),
            keep_stale=keep_stale,
            announce=self.lines.append,
        )

    def damage(self, stage: Stage) -> None:
        with (self.store.folder(stage) / "out.txt").open("r+b") as file:
            file.write(b"C")


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path / "store")


def graph(seed: int = 0, code: Mapping[str, str] | None = None) -> dict[str, Stage]:
    """Return a diamond with a tail: images -> attention, maps -> labels -> score."""
    modules = {name: (module,) for name, module in (code or {}).items()}
    stages: dict[str, Stage] = {}

    def add(name: str, *inputs: str, **config: int) -> None:
        upstream = {role: stages[role] for role in inputs}
        stages[name] = Stage(name, config, upstream, label=name, code=modules.get(name, ()))

    add("images")
    add("attention", "images")
    add("maps", "images", seed=seed)
    add("labels", "attention", "maps")
    add("score", "labels")
    return stages


ALL = ["images", "attention", "maps", "labels", "score"]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two modules of different code, to stand for one before and after an edit."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "executor_code_old.py").write_text("x = 1")
    (tmp_path / "executor_code_new.py").write_text("x = 2")
    return "executor_code_old", "executor_code_new"


def test_each_stage_is_made_once_and_its_inputs_first(kitchen: Kitchen) -> None:
    stages = graph()
    records = kitchen.run(stages["score"], stages["maps"], graph()["score"])
    assert kitchen.made == ALL
    assert kitchen.lines == []
    assert set(records) == {stage.key for stage in stages.values()}
    text = (kitchen.store.folder(stages["score"]) / "out.txt").read_text()
    images = "content(0; )"
    assert text == f"content(0; content(0; content(0; {images}), content(0; {images})))"
    assert records[stages["score"].key].metrics == {"length": len(text)}
    assert records[stages["score"].key].peak_memory_mb > 5


def test_nothing_is_made_again(kitchen: Kitchen) -> None:
    first = kitchen.run(graph()["score"])
    assert kitchen.run(graph()["score"]) == first
    assert kitchen.made == []


def test_a_changed_option_remakes_only_what_depends_on_it(kitchen: Kitchen) -> None:
    kitchen.run(graph(seed=0)["score"])
    kitchen.run(graph(seed=1)["score"])
    assert kitchen.made == ["maps", "labels", "score"]
    kitchen.run(graph(seed=0)["score"])
    assert kitchen.made == []


def test_what_a_finished_target_rests_on_may_be_gone(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.run(stages["score"])
    for name in ("images", "attention", "maps", "labels"):
        remove(kitchen.store.folder(stages[name]))
    records = kitchen.run(stages["score"])
    assert kitchen.made == []
    assert set(records) == {stages["score"].key}


def remove(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


def test_what_is_needed_and_gone_is_made_again(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.run(stages["score"])
    for name in ("images", "maps", "score"):
        remove(kitchen.store.folder(stages[name]))
    kitchen.run(stages["score"])
    assert kitchen.made == ["score"]  # from the labels, which are there


# Damage


def test_a_damaged_stage_is_told_and_made_again(kitchen: Kitchen) -> None:
    stages = graph()
    before = kitchen.run(stages["score"])
    kitchen.damage(stages["maps"])
    after = kitchen.run(stages["score"])
    assert kitchen.made == ["maps"]
    assert kitchen.lines == ["maps: out.txt is damaged (sha256 differs); making it again"]
    assert {k: r.outputs for k, r in before.items()} == {k: r.outputs for k, r in after.items()}
    assert set(plan_states([stages["score"]], kitchen.store).values()) == {"cached"}


def test_a_record_with_a_flipped_bit_does_not_remake_what_follows(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.run(stages["score"])
    remove(kitchen.store.folder(stages["attention"]))
    path = kitchen.store.folder(stages["maps"]) / "record.json"
    text = path.read_text()
    place = text.index('"out.txt": "') + len('"out.txt": "')
    path.write_text(text[:place] + ("0" if text[place] != "0" else "1") + text[place + 1 :])
    assert kitchen.store.record(stages["maps"]) is None
    kitchen.run(stages["score"])
    assert kitchen.made == ["maps"]
    assert kitchen.lines == ["maps: record.json is damaged (sha256 differs); making it again"]


def test_a_damaged_stage_whose_input_is_gone(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.run(stages["score"])
    kitchen.damage(stages["maps"])
    remove(kitchen.store.folder(stages["images"]))
    kitchen.run(stages["score"])
    assert kitchen.made == ["images", "maps"]


def test_what_follows_is_made_again_if_the_bytes_come_out_differently(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.run(stages["score"])
    kitchen.damage(stages["maps"])
    remove(kitchen.store.folder(stages["attention"]))
    kitchen.content = "different"
    kitchen.run(stages["score"])
    assert kitchen.made == ["maps", "attention", "labels", "score"]  # labels need both
    assert kitchen.lines[1:] == [
        "labels: out of date, attention has changed; making it again",
        "score: out of date, labels has changed; making it again",
    ]


# Staleness


def test_changed_code_remakes_the_stage_and_what_follows(
    kitchen: Kitchen, code: tuple[str, str]
) -> None:
    old, new = code
    kitchen.run(graph(code={"maps": old})["score"])
    changed = graph(code={"maps": new})
    assert plan_states([changed["score"]], kitchen.store) == {
        changed["images"].key: "cached",
        changed["attention"].key: "cached",
        changed["maps"].key: "stale",
        changed["labels"].key: "stale",
        changed["score"].key: "stale",
    }
    kitchen.run(changed["score"])
    assert kitchen.made == ["maps", "labels", "score"]
    assert kitchen.lines == [
        f"{name}: out of date, the code behind it has changed; making it again"
        for name in kitchen.made
    ]
    kitchen.run(changed["score"])
    assert kitchen.made == []


def test_stale_results_are_kept_on_demand(kitchen: Kitchen, code: tuple[str, str]) -> None:
    old, new = code
    kitchen.run(graph(code={"maps": old})["labels"])
    changed = graph(code={"maps": new})
    records = kitchen.run(changed["score"], keep_stale=True)
    assert kitchen.made == ["score"]
    assert kitchen.lines == [f"{name}: out of date, kept as it is" for name in ("maps", "labels")]
    assert len(records) == 5
    assert kitchen.store.state(changed["score"]) == "stale"  # it was made from stale ones
    kitchen.run(changed["score"])
    assert kitchen.made == ["maps", "labels", "score"]


def test_a_run_stopped_between_two_stale_stages_goes_on(
    kitchen: Kitchen, code: tuple[str, str]
) -> None:
    old, new = code
    kitchen.run(graph(code={"maps": old})["score"])
    changed = graph(code={"maps": new})["score"]
    kitchen.before = fail_at("labels", RuntimeError("stopped"))
    with pytest.raises(RuntimeError):
        kitchen.run(changed)
    kitchen.before = lambda space: None
    kitchen.run(changed)
    assert kitchen.made == ["labels", "score"]


def test_to_make_says_what_execute_makes(kitchen: Kitchen, code: tuple[str, str]) -> None:
    old, new = code
    kitchen.run(graph(code={"maps": old})["labels"])
    stages = graph(code={"maps": new})
    for keep_stale in (True, False):
        states = plan_states([stages["score"]], kitchen.store)
        planned = to_make([stages["score"]], states, keep_stale=keep_stale)
        kitchen.run(stages["score"], keep_stale=keep_stale)
        assert kitchen.made == [stage.label for stage in planned]


def test_with_inputs_puts_inputs_first() -> None:
    stages = graph()
    order = [stage.name for stage in with_inputs([stages["score"], stages["images"]])]
    assert order == ALL


# Failures


def fail_at(label: str, error: BaseException) -> Callable[[Workspace], None]:
    def fail(space: Workspace) -> None:
        if space.label == label:
            (space.out / "half.txt").write_text("half")
            (space.scratch / "checkpoint.txt").write_text("5")
            raise error

    return fail


def test_a_mistake_is_told_with_the_stage_s_label(kitchen: Kitchen) -> None:
    kitchen.before = fail_at("maps", BenchmarkError("no such file: a.jpg"))
    with pytest.raises(BenchmarkError, match=r"^maps: no such file: a\.jpg$"):
        kitchen.run(graph()["score"])


def test_a_failure_leaves_earlier_stages_and_checkpoints_but_nothing_half_made(
    kitchen: Kitchen,
) -> None:
    stages = graph()
    kitchen.before = fail_at("labels", ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError, match="a bug") as caught:
        kitchen.run(stages["score"])
    assert caught.value.__notes__ == ["while making labels"]
    states = plan_states([stages["score"]], kitchen.store)
    assert list(states.values()) == ["cached", "cached", "cached", "missing", "missing"]
    left = [path.name for path in (kitchen.store.root / "scratch").rglob("*") if path.is_file()]
    assert sorted(left) == ["checkpoint.txt", "made_from.txt", "under_way.json"]
    seen = []
    kitchen.before = lambda space: seen.extend(path.name for path in space.scratch.iterdir())
    kitchen.run(stages["score"])
    assert kitchen.made == ["labels", "score"]
    assert seen == ["checkpoint.txt"]
    assert not list((kitchen.store.root / "scratch").iterdir())


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/store/x.png"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_told_in_one_line(kitchen: Kitchen, error: Exception) -> None:
    kitchen.before = fail_at("labels", error)
    with pytest.raises(BenchmarkError) as caught:
        kitchen.run(graph()["score"])
    message = str(caught.value)
    assert message.startswith("labels: the disk is full (")
    assert message.endswith("free space and run again, finished stages are kept")
    assert "\n" not in message


def test_a_disk_that_fills_up_while_the_stage_is_put_into_the_store(
    kitchen: Kitchen, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = graph()
    kitchen.run(stages["maps"])

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BenchmarkError, match=r"^attention: .*disk is full"):
            kitchen.run(stages["score"])
    kitchen.run(stages["score"])
    assert kitchen.made == ["attention", "labels", "score"]


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    kitchen = Kitchen(small_disk / "store")
    stages = graph()
    ballast = small_disk / "ballast"

    def fill(space: Workspace) -> None:
        if space.label == "maps":
            (space.out / "big.bin").write_bytes(b"x" * 500_000)

    kitchen.before = fill
    with pytest.raises(BenchmarkError, match=r"^maps: the disk is full"):
        kitchen.run(stages["score"])
    assert kitchen.store.state(stages["attention"]) == "cached"
    assert kitchen.store.state(stages["maps"]) == "missing"
    assert not list((kitchen.store.root / "scratch").rglob("big.bin"))
    kitchen.before = lambda space: None
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"x" * 500_000)
    with pytest.raises(BenchmarkError, match=r"^maps: .*disk is full"):
        kitchen.run(stages["score"])  # not even the workspace fits
    ballast.unlink()
    kitchen.run(stages["score"])
    assert kitchen.made == ["maps", "labels", "score"]


# Processes


def start(store: Path, log: Path, sleep: float = 0.0, jobs: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, str(HELPER), "run", str(store), str(log), str(sleep), str(jobs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for(log: Path, line: str) -> None:
    deadline = time.monotonic() + 120
    while not log.exists() or line not in log.read_text().splitlines():
        assert time.monotonic() < deadline, f"{line!r} never came"
        time.sleep(0.005)


def artifacts(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in (store / "stages").rglob("*")
        if path.is_file() and path.name not in ("record.json", "SHA256SUMS")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    assert start(folder / "store", folder / "log").wait() == 0
    found = artifacts(folder / "store")
    assert len(found) == 9
    return found


def test_two_processes_make_each_stage_once(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    log = tmp_path / "log"
    both = [start(tmp_path / "store", log, 0.06) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    lines = Counter(log.read_text().splitlines())
    waited = {line: lines.pop(line) for line in list(lines) if "waiting" in line}
    steps = [f"step {i}" for i in range(4)] + [f"label {i}" for i in range(4)]
    assert lines == Counter(["images", *steps])
    assert "training seed 0: another process is making it; waiting" in waited
    assert artifacts(tmp_path / "store") == undisturbed


@pytest.mark.parametrize(
    ("number", "status", "moment", "jobs"),
    [
        (signal.SIGKILL, -9, "images", 1),
        (signal.SIGKILL, -9, "step 2", 1),
        (signal.SIGKILL, -9, "label 1", 1),
        (signal.SIGTERM, 143, "step 2", 1),
        (signal.SIGINT, -2, "label 1", 1),
        (signal.SIGKILL, -9, "step 2", 2),
        (signal.SIGTERM, 143, "label 1", 2),
        (signal.SIGINT, -2, "step 2", 2),
    ],
)
def test_a_run_stopped_from_outside_goes_on(
    tmp_path: Path, undisturbed: dict[str, bytes], number: int, status: int, moment: str, jobs: int
) -> None:
    store, log = tmp_path / "store", tmp_path / "log"
    process = start(store, log, 0.08, jobs)
    wait_for(log, moment)
    process.send_signal(number)
    process.communicate()
    assert process.returncode == status
    if number != signal.SIGKILL:
        assert not list((store / "scratch").glob("*/out"))
    finished = len(list((store / "stages").glob("*/*")))
    assert finished == ["images", "step 2", "label 1"].index(moment)
    assert start(store, log).wait() == 0
    assert artifacts(store) == undisturbed
    assert not list((store / "scratch").iterdir())
    lines = Counter(log.read_text().splitlines())
    assert [lines[f"step {i}"] for i in range(4)] == [1, 1, 1, 1]  # it went on, not anew


def test_a_kill_between_any_two_changes_of_files_is_survived(tmp_path: Path) -> None:
    command = [sys.executable, str(HELPER), "kill-everywhere", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 30  # so many moments were tried


def test_what_a_kill_right_after_the_commit_left_is_cleaned_up(kitchen: Kitchen) -> None:
    stage = graph()["images"]
    kitchen.run(stage)
    kitchen.store.prepare(stage)
    kitchen.run(stage)
    assert not list((kitchen.store.root / "scratch").iterdir())
    kitchen.store.prepare(stage)
    with kitchen.store.lock(stage):  # somebody is at it
        kitchen.run(stage)
    assert list((kitchen.store.root / "scratch").iterdir())


def test_sigterm_is_as_before_when_the_run_is_over(kitchen: Kitchen) -> None:
    before = signal.getsignal(signal.SIGTERM)
    during = []
    kitchen.before = lambda space: during.append(signal.getsignal(signal.SIGTERM))
    kitchen.run(graph()["images"])
    assert signal.getsignal(signal.SIGTERM) == before
    assert during[0] != before


# Several tables: a failure does not stop what does not rest on it


def run_all(kitchen: Kitchen, *stages: Stage) -> dict[str, str]:
    kitchen.made.clear()
    failures: dict[str, str] = {}
    functions = dict.fromkeys(["images", "attention", "maps", "labels", "score"], kitchen.cook)
    execute(
        stages,
        kitchen.store,
        functions,
        SilentProgress(),
        announce=kitchen.lines.append,
        set_aside=lambda stage, error: failures.update({stage.label: str(error)}),
    )
    return failures


def test_a_failure_is_set_aside_with_what_rests_on_it(kitchen: Kitchen) -> None:
    stages = graph()
    kitchen.before = fail_at("attention", ZeroDivisionError("a bug"))
    assert run_all(kitchen, stages["score"], stages["maps"]) == {"attention": "a bug"}
    assert kitchen.made == ["images", "maps"]
    states = plan_states([stages["score"]], kitchen.store)
    assert states[stages["labels"].key] == states[stages["score"].key] == "missing"
    kitchen.before = lambda space: None
    assert run_all(kitchen, stages["score"]) == {}
    assert kitchen.made == ["attention", "labels", "score"]


def test_several_failures_are_all_told(kitchen: Kitchen) -> None:
    first, second = graph(), graph(seed=1)

    def fail(space: Workspace) -> None:
        if space.label == "maps":
            raise BenchmarkError(f"seed {space.config['seed']}")

    kitchen.before = fail
    failures = []
    functions = dict.fromkeys(["images", "attention", "maps", "labels", "score"], kitchen.cook)
    execute(
        [first["score"], second["score"]],
        kitchen.store,
        functions,
        SilentProgress(),
        announce=kitchen.lines.append,
        set_aside=lambda stage, error: failures.append(str(error)),
    )
    assert sorted(failures) == ["maps: seed 0", "maps: seed 1"]
    assert kitchen.made == ["images", "attention"]


def test_nothing_of_a_failed_stage_is_held_while_the_next_is_made(tmp_path: Path) -> None:
    """Its frames would keep what fills a GPU: all others would be out of memory as well."""

    class Network:
        pass

    networks: list[weakref.ref[Network]] = []
    held: list[bool] = []

    def attention(space: Workspace) -> dict[str, int]:
        network = Network()
        networks.append(weakref.ref(network))
        raise RuntimeError("out of memory")

    def maps(space: Workspace) -> dict[str, int]:
        held.append(networks[0]() is not None)
        return {}

    execute(
        [Stage("attention", {}, label="a"), Stage("maps", {}, label="b")],
        Store(tmp_path / "store"),
        {"attention": attention, "maps": maps},
        SilentProgress(),
        announce=print,
        set_aside=lambda stage, error: None,
    )
    assert held == [False]


def test_a_full_disk_is_never_set_aside(kitchen: Kitchen) -> None:
    kitchen.before = fail_at("maps", OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(BenchmarkError, match="the disk is full"):
        run_all(kitchen, graph()["score"])
