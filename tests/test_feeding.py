"""Images drawn ahead by threads, and losses read a step late, as on a GPU."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.attention import Trainer
from benchmark.errors import BenchmarkError
from benchmark.executor import StageFunction, execute
from benchmark.feeding import LossReader, drawing_threads, made_ahead
from benchmark.method import Batch, LabelledImages, TrainingRecipe
from benchmark.progress import SilentProgress
from benchmark.store import Stage, Store, Workspace
from benchmark.workers import _environments

RECIPE = TrainingRecipe(
    iterations=6, batch_size=3, learning_rate=0.01, side=(32, 40), crop=32, test_size=32
)


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_what_is_made_ahead_comes_in_order(threads: int) -> None:
    made = made_ahead(lambda number: number**2, range(50), threads=threads, ahead=7)
    assert list(made) == [number**2 for number in range(50)]


def test_it_is_made_while_nobody_asks_but_not_without_end() -> None:
    made: list[int] = []
    far_enough = threading.Event()

    def make(number: int) -> int:
        made.append(number)
        if number == 5:
            far_enough.set()
        return number

    numbers = made_ahead(make, range(1000), threads=2, ahead=5)
    assert next(numbers) == 0
    assert far_enough.wait(timeout=30)  # 5 was never asked for
    numbers.close()
    assert sorted(made) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_is_raised_in_its_turn(threads: int) -> None:
    def make(number: int) -> int:
        if number == 3:
            raise BenchmarkError("three is bad")
        return number

    numbers = made_ahead(make, range(10), threads=threads, ahead=4)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(BenchmarkError, match="three is bad"):
        next(numbers)


def test_a_cpu_draws_when_asked_and_processes_with_a_gpu_share_the_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("benchmark.feeding.device", lambda: torch.device("cpu"))
    assert drawing_threads() == 0
    monkeypatch.setattr("benchmark.feeding.device", lambda: torch.device("cuda"))
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(12), raising=False)
    monkeypatch.setattr("benchmark.workers._gpus", lambda: ["0", "1", "2"])
    assert drawing_threads() == 12  # alone on the machine
    for jobs, threads in ((4, 3), (64, 1)):
        for environment in _environments(jobs):
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            assert drawing_threads() == threads
    assert [one["CUDA_VISIBLE_DEVICES"] for one in _environments(4)] == ["0", "1", "2", "0"]


def trainer(scratch: Path) -> Trainer:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (40, 50, 3), dtype=np.uint8) for _ in range(7)]
    planes = [rng.integers(0, 255, (40, 50), dtype=np.uint8) for _ in range(7)]
    return Trainer(
        LabelledImages(pictures, np.ones((7, 3), bool), planes),
        RECIPE,
        seed=0,
        scratch=scratch,
        progress=SilentProgress(),
        label="test",
    )


def test_threads_draw_the_very_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six steps of three of seven images: the order of epochs is asked for from three threads."""
    plain = list(trainer(tmp_path).batches(0))
    monkeypatch.setattr("benchmark.attention.drawing_threads", lambda: 3)
    for (step, one), (same_step, other) in zip(plain, trainer(tmp_path).batches(0), strict=True):
        assert step == same_step
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
        assert one.saliency is not None and other.saliency is not None
        assert torch.equal(one.saliency, other.saliency)


@pytest.mark.parametrize("late", [0, 1, 3])
def test_losses_are_read_so_many_steps_late(late: int) -> None:
    reader = LossReader(late)
    for step in range(5):
        reader.take(step, torch.tensor(float(step)))
        assert reader.note == (f"loss {step - late:.3f}" if step >= late else "")
    reader.read_rest()
    assert reader.note == "loss 4.000"


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_named_with_its_step(late: int, bad: float) -> None:
    reader = LossReader(late)
    reader.take(0, torch.tensor(1.0))

    def take_two_bad_ones() -> None:
        reader.take(1, torch.tensor(bad))
        reader.take(2, torch.tensor(bad))

    with pytest.raises(BenchmarkError, match=f"^the loss is {bad} at step 2: lower"):
        take_two_bad_ones()


def test_a_training_read_late_keeps_no_checkpoint_that_has_gone_astray(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint is kept after every step, the loss of step 4 is nan and read a step late."""
    monkeypatch.setattr("benchmark.attention.LossReader", lambda: LossReader(1))
    monkeypatch.setattr("benchmark.attention.CHECKPOINT_SECONDS", -1.0)
    network = nn.Conv2d(3, 3, 1)

    def losses(network: nn.Module, batch: Batch) -> dict[str, torch.Tensor]:
        return {"mean": network(batch.images).mean() * (float("nan") if batch.step == 3 else 1)}

    with pytest.raises(BenchmarkError, match="nan at step 4"):
        trainer(tmp_path).run(network, losses)
    kept = torch.load(tmp_path / "attention.pt", weights_only=True)
    assert kept["step"] == 3
    assert all(torch.isfinite(value).all() for value in kept["network"].values())


@pytest.mark.parametrize(
    ("name", "what_to_do"),
    [
        ("attention", "lower batch_size or crop in the profile, or give fewer --jobs"),
        ("segmentation", "lower batch_size or crop_size in net.py, or give fewer --jobs"),
        ("maps", "give fewer --jobs"),
    ],
)
def test_a_full_gpu_is_one_line_that_says_what_to_lower(
    tmp_path: Path, name: str, what_to_do: str
) -> None:
    def full(work: Workspace) -> dict[str, int]:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    assert told_of(full, name, tmp_path) == f"{name} x: out of GPU memory: {what_to_do}"


def test_an_operation_that_is_not_deterministic_is_named_in_one_line(tmp_path: Path) -> None:
    def background(work: Workspace) -> dict[str, int]:
        # As torch 2.13 says it.
        raise RuntimeError(
            "median CUDA with indices output does not have a deterministic implementation, but you "
            "set 'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for "
            "this operation, or you can use the 'warn_only=True' option, if that's acceptable for "
            "your application."
        )

    assert told_of(background, "maps", tmp_path) == (
        "maps x: median CUDA with indices output has no deterministic algorithm on this GPU: "
        "run it without WSSS_DETERMINISTIC"
    )


def told_of(function: StageFunction, name: str, folder: Path) -> str:
    """Return the error line of a stage that is made by ``function``."""
    with pytest.raises(BenchmarkError) as told:
        execute(
            [Stage(name, {"config": "net.py"}, label=f"{name} x")],
            Store(folder / "store"),
            {name: function},
            SilentProgress(),
            announce=print,
        )
    return str(told.value)
