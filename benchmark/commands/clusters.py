"""Options of ``run`` for making stages on other machines."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.cluster.dask_workers import Cluster, DaskWorkers
    from benchmark.executor import Maker, Start
    from benchmark.progress import Progress


class ClusterName(StrEnum):
    """A Dask cluster that a run begins and ends."""

    local = "local"
    slurm = "slurm"


Scheduler = Annotated[
    str | None,
    typer.Option("--scheduler", help="Make the stages on a running Dask cluster: tcp://HOST:PORT."),
]
ClusterKind = Annotated[
    ClusterName | None,
    typer.Option("--cluster", help="Begin a Dask cluster: of --jobs processes, or Slurm jobs."),
]
ClusterConfig = Annotated[
    Path | None,
    typer.Option("--cluster-config", help="TOML of what Slurm is asked for."),
]
MirrorUrl = Annotated[
    str | None,
    typer.Option(
        "--mirror", help="URL through which stages travel where workers do not share the store."
    ),
]


def chosen_start(
    scheduler: str | None,
    cluster: ClusterName | None,
    config: Path | None,
    mirror: str | None,
    jobs: int | None,
    announce: Callable[[str], None],
) -> Start | None:
    """Return what begins a run's workers, None for this machine's own processes.

    Raises BenchmarkError for options that do not go together, and where Dask is missing.
    """
    _check_together(scheduler, cluster, config, mirror, jobs)
    if scheduler is None and cluster is None:
        return None
    try:
        from benchmark.cluster.dask_workers import DaskWorkers
        from benchmark.cluster.exchange import MirroredStore, SharedStore
    except ImportError as error:
        raise BenchmarkError(
            f"--scheduler and --cluster need Dask ({error}): pip install -e '.[dask]'"
        ) from error
    chosen = _chosen_cluster(scheduler, cluster, config, jobs, announce)

    def start(make: Maker, progress: Progress, told: Callable[[str], None]) -> DaskWorkers:
        exchange = MirroredStore(make, mirror) if mirror else SharedStore(make)
        return DaskWorkers(chosen, exchange, progress, told)

    return start


def _check_together(
    scheduler: str | None,
    cluster: ClusterName | None,
    config: Path | None,
    mirror: str | None,
    jobs: int | None,
) -> None:
    if scheduler and cluster:
        raise BenchmarkError("--scheduler is a cluster that runs already: leave out --cluster")
    if scheduler and jobs:
        raise BenchmarkError("--scheduler: the cluster has its workers, leave out --jobs")
    if (cluster == ClusterName.slurm) != (config is not None):
        raise BenchmarkError("--cluster slurm and --cluster-config FILE go together")
    if mirror and not (scheduler or cluster):
        raise BenchmarkError("--mirror goes with --scheduler or --cluster")


def _chosen_cluster(
    scheduler: str | None,
    cluster: ClusterName | None,
    config: Path | None,
    jobs: int | None,
    announce: Callable[[str], None],
) -> Cluster:
    from benchmark.cluster.slurm import load_slurm_config
    from benchmark.cluster.start import RunningCluster, local_cluster, slurm_cluster
    from benchmark.workers import jobs_without_gpus

    if scheduler:
        return RunningCluster(scheduler, announce)
    if config:
        return slurm_cluster(load_slurm_config(config), jobs, announce)
    return local_cluster(jobs or jobs_without_gpus(), announce)
