"""What keeps a GPU busy: images drawn ahead by threads, and losses read a step late."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from benchmark.cores import share_of_cores
from benchmark.device import device
from benchmark.errors import BenchmarkError

MOST_THREADS = 16
LOWER_THE_RATE = "lower the profile's learning rate"

Made = TypeVar("Made")


def drawing_threads() -> int:
    """Return how many threads draw images beside a GPU's steps: this process's share of the cores.

    0 where the CPU computes the step itself: there is nothing to wait for.
    """
    if device().type == "cpu":
        return 0
    return max(1, min(MOST_THREADS, share_of_cores()))


def made_ahead(
    make: Callable[[int], Made], numbers: Iterable[int], *, threads: int, ahead: int
) -> Iterator[Made]:
    """Yield ``make(number)`` in order; ``threads`` make up to ``ahead`` more meanwhile.

    With no threads each is made when it is asked for. What ``make`` raises is raised in its turn;
    it is called from several threads at once.
    """
    if not threads:
        yield from map(make, numbers)
        return
    waiting: deque[Future[Made]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="draw") as pool:
        try:
            for number in numbers:
                waiting.append(pool.submit(make, number))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for one in waiting:
                one.cancel()


class LossReader:
    """Reads each step's loss and stops a training that has gone astray.

    On a GPU a loss is read when the step after it is under way: reading it at once would have the
    device wait for the host in every step. On a CPU it is there at once.
    """

    def __init__(self, late: int | None = None, mend: str = LOWER_THE_RATE) -> None:
        """Read losses ``late`` steps after they were taken; by default 1 on a GPU, else 0."""
        self._late = (1 if device().type == "cuda" else 0) if late is None else late
        self.mend = mend
        self.recent: deque[float] = deque(maxlen=50)
        self._waiting: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def take(self, step: int, loss: Tensor) -> None:
        """Take the loss of ``step``; BenchmarkError where one that is read now is not finite."""
        self._waiting.append((step, *_on_host(loss.detach())))
        self._read_all_but(self._late)

    def read_rest(self) -> None:
        """Read what was taken and is not read yet, as before a checkpoint is kept."""
        self._read_all_but(0)

    @property
    def note(self) -> str:
        """The last loss that was read, for people; empty before the first."""
        return f"loss {self.recent[-1]:.3f}" if self.recent else ""

    def _read_all_but(self, number: int) -> None:
        while len(self._waiting) > number:
            step, loss, copied = self._waiting.popleft()
            if copied is not None:
                copied.synchronize()
            value = float(loss)
            if not math.isfinite(value):
                raise BenchmarkError(f"the loss is {value} at step {step + 1}: {self.mend}")
            self.recent.append(value)


def _on_host(loss: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
    """Return the loss on the host, and from a GPU the event after which it is there."""
    if loss.device.type != "cuda":
        return loss, None
    copied = torch.cuda.Event()
    host = torch.empty(loss.shape, dtype=loss.dtype, pin_memory=True)
    host.copy_(loss, non_blocking=True)
    copied.record()
    return host, copied
