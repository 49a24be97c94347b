"""What Slurm is asked for: a small TOML, checked before anything begins."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import BenchmarkError


class SlurmConfig(BaseModel):
    """One job of Slurm's is one Dask worker, which makes one stage at a time."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    jobs: int = Field(default=1, ge=1)  # how many at once
    cores: int = Field(default=1, ge=1)  # of one job
    memory: str = Field(default="8GB", pattern=r"^\d+(\.\d+)? ?[KMGT]i?B$")  # of one job
    walltime: str = Field(default="24:00:00", pattern=r"^(\d+-)?\d{1,3}(:\d{2}){1,2}$")
    gpus: int = Field(default=0, ge=0, le=1)  # of one job
    queue: str | None = None  # Slurm's partition
    account: str | None = None
    interface: str | None = None  # the network that workers reach this machine by, e.g. "ib0"
    directives: list[str] = []  # more lines for sbatch, e.g. "--qos=long"
    prologue: list[str] = []  # shell lines before the worker, e.g. "module load cuda"
    local_directory: str | None = None  # fast disk of a node
    log_directory: str | None = None  # what the workers print
    python: str | None = None  # of the nodes; else the one that runs this

    def options(self) -> dict[str, Any]:
        """Return the keyword options of dask-jobqueue's SLURMCluster."""
        gres = [f"--gres=gpu:{self.gpus}"] if self.gpus else []
        offers = ["--resources", f"GPU={self.gpus}"] if self.gpus else []
        given = {
            "queue": self.queue,
            "account": self.account,
            "interface": self.interface,
            "local_directory": self.local_directory,
            "log_directory": self.log_directory,
            "python": self.python,
        }
        return {
            "cores": 1,  # of Dask's threads: a stage at a time
            "processes": 1,
            "job_cpu": self.cores,
            "memory": self.memory,
            "walltime": self.walltime,
            "job_extra_directives": [*gres, *self.directives],
            "job_script_prologue": self.prologue,
            # A worker watches a process, whose memory Slurm limits and Dask does not see.
            "worker_extra_args": [*offers, "--memory-limit", "0"],
            "scheduler_options": {"dashboard_address": ":0"},
            **{name: value for name, value in given.items() if value is not None},
        }


def load_slurm_config(path: Path) -> SlurmConfig:
    """Return the checked file; BenchmarkError, in one line, with the key that is wrong."""
    try:
        return SlurmConfig.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"--cluster-config {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise BenchmarkError(f"{path.name}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        known = ", ".join(SlurmConfig.model_fields)
        hint = f" (there are: {known})" if first["type"] == "extra_forbidden" else ""
        raise BenchmarkError(f"{path.name}: {key}: {first['msg']}{hint}") from error
