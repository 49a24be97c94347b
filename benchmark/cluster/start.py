"""Clusters to make stages on: one that runs already, one on this machine, one of Slurm's jobs."""

from __future__ import annotations

import importlib.util
import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed import Client, LocalCluster

from benchmark.cluster.slurm import SlurmConfig
from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from distributed.deploy.spec import SpecCluster

CONNECT = 30.0
"""Seconds to find a scheduler."""

ADDRESS = r"(tcp|tls|ucx|ws|wss)://[^/\s]+:\d{1,5}"
"""What Dask connects to; anything else it tries for a minute, and then fails in the background."""


@dataclass(frozen=True)
class RunningCluster:
    """A scheduler that somebody began, with its workers."""

    address: str
    announce: Callable[[str], None]

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """Connect for as long as the block lasts; BenchmarkError where nobody answers."""
        if not re.fullmatch(ADDRESS, self.address):
            raise BenchmarkError(
                f"--scheduler {self.address!r} is no address: say tcp://HOST:PORT, as the "
                "scheduler printed it when it began"
            )
        try:
            client = Client(self.address, timeout=CONNECT, set_as_default=False)
        except (OSError, ValueError) as error:
            raise BenchmarkError(
                f"no Dask scheduler answers at {self.address}: begin one, or mend --scheduler"
            ) from error
        with client:
            _tell_dashboard(client, self.announce)
            yield client

    def keep_up(self) -> None:
        """Do nothing: the workers are not ours."""


class OwnCluster:
    """A cluster that begins and ends with the run; ``jobs`` are asked for, and again if they go."""

    def __init__(
        self,
        name: str,
        begin: Callable[[], SpecCluster],
        jobs: int,
        announce: Callable[[str], None],
    ) -> None:
        self.address = name
        self._begin, self._jobs, self._announce = begin, jobs, announce

    @contextmanager
    def connected(self) -> Iterator[Client]:
        """Begin the cluster, and end it with the block."""
        with self._begin() as cluster, Client(cluster, set_as_default=False) as client:
            self._cluster = cluster
            self.keep_up()
            _tell_dashboard(client, self._announce)
            yield client

    def keep_up(self) -> None:
        """Ask for as many jobs as there should be, those included that run."""
        self._cluster.scale(self._jobs)


def local_cluster(jobs: int, announce: Callable[[str], None]) -> OwnCluster:
    """Return a cluster of ``jobs`` workers on this machine, each with one thread."""
    begin = partial(
        LocalCluster,
        n_workers=0,
        threads_per_worker=1,
        memory_limit=0,  # a worker watches processes, whose memory Dask does not see
        dashboard_address=":0",
        silence_logs=logging.CRITICAL,
    )
    return OwnCluster("the local cluster", begin, jobs, announce)


def slurm_cluster(
    config: SlurmConfig, jobs: int | None, announce: Callable[[str], None]
) -> OwnCluster:
    """Return a cluster of Slurm's jobs; BenchmarkError where dask-jobqueue is missing."""
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise BenchmarkError(
            "--cluster slurm needs dask-jobqueue: pip install -e '.[dask]'"
        ) from error
    if shutil.which("sbatch") is None:
        raise BenchmarkError("--cluster slurm: there is no sbatch on this machine")

    def begin() -> SpecCluster:
        try:
            cluster = SLURMCluster(**config.options())
        except (OSError, ValueError, RuntimeError) as error:
            raise BenchmarkError(f"Slurm's cluster cannot begin: {error}") from error
        if refusal := _refusal(cluster.job_script()):
            cluster.close()
            raise BenchmarkError(f"Slurm refuses the job: {refusal}")
        return cluster

    return OwnCluster("Slurm", begin, jobs or config.jobs, announce)


def _refusal(script: str) -> str:
    """Return why Slurm would not take a job, "" if it would; Dask only logs what sbatch says."""
    command = ["sbatch", "--test-only"]
    tried = subprocess.run(command, input=script, capture_output=True, text=True)
    return tried.stderr.strip() if tried.returncode else ""


def _tell_dashboard(client: Any, announce: Callable[[str], None]) -> None:
    if importlib.util.find_spec("bokeh") is not None:  # without, Dask serves none
        announce(f"dashboard: {client.dashboard_link}")
