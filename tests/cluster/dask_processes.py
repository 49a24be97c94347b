"""A Dask scheduler and its workers as processes of their own, as an administrator begins them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
HELPERS = ROOT / "tests" / "helpers"


class DaskProcesses:
    """Processes that log into ``folder``; use as a context manager, which kills them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: list[subprocess.Popen[bytes]] = []

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> DaskProcesses:
        self.start_scheduler()
        return self

    def __exit__(self, *error: object) -> None:
        for process in [*self.workers, self.scheduler]:
            if process is not None:
                kill_tree(process)

    def start_scheduler(self) -> None:
        options = ["--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard", "--no-show"]
        self.scheduler = self._start("scheduler", *options)

    def start_worker(self, *options: str) -> None:
        number = len(self.workers)
        places = ["--local-directory", str(self.folder), "--no-dashboard", "--memory-limit", "0"]
        command = [self.address, "--nthreads", "1", *places, *options]
        store = {"WSSS_WORKER_STORE": str(self.folder / f"store-of-worker-{number}")}
        self.workers.append(self._start("worker", *command, **store))

    def _start(self, what: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(ROOT), str(HELPERS)])
        settings = {"PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "warning", **environment}
        with (self.folder / f"{what}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *options],
                env=os.environ | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL a process and all that it began, and wait for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_for(path: Path, seconds: float = 300) -> str:
    """Wait until a file holds something, and return it."""
    deadline = time.monotonic() + seconds
    while not (path.exists() and (text := path.read_text())):
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)
    return text


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
