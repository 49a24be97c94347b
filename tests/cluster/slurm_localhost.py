"""Slurm on this machine alone: munged, slurmctld and slurmd of Debian's packages in one folder.

    apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
    python tests/cluster/slurm_localhost.py FOLDER   runs until Ctrl-C, and says which SLURM_CONF

Nothing of a Slurm that the machine may have already is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")

CONF = """
ClusterName=localhost
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Return why Slurm cannot be run here, None if it can."""
    if missing := [name for name in PROGRAMS if _program(name) is None]:
        return f"Slurm is not installed ({', '.join(missing)} missing)"
    if os.getuid() != 0:
        return "slurmctld and slurmd are started as root"
    return None


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Run Slurm in ``folder`` and yield the environment in which its commands find it."""
    conf = _configure(folder)
    environment = os.environ | {"SLURM_CONF": str(conf)}
    commands = {
        "munged": _munged(folder),
        "slurmctld": ["slurmctld", "-D", "-f", str(conf)],
        "slurmd": ["slurmd", "-D", "-f", str(conf), "-N", socket.gethostname()],
    }
    with ExitStack() as running:
        for name, (program, *options) in commands.items():
            running.enter_context(
                _daemon([str(_program(program)), *options], environment, folder / f"{name}.out")
            )
            if name == "munged":
                _wait_until((folder / "munge.socket").exists, "munged made no socket")
        _wait_until(lambda: _idle(environment), "no node of Slurm became idle")
        yield environment


def _configure(folder: Path) -> Path:
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)  # munged refuses a socket in a folder that others cannot enter
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    conf = folder / "slurm.conf"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20 - 100
    conf.write_text(
        CONF.format(
            host=socket.gethostname(),
            ports=_free_ports(2),
            folder=folder,
            cpus=os.cpu_count(),
            memory=memory,
        )
    )
    return conf


def _munged(folder: Path) -> list[str]:
    places = {
        "key-file": "munge.key",
        "socket": "munge.socket",
        "pid-file": "munged.pid",
        "log-file": "munged.log",
        "seed-file": "munged.seed",
    }
    options = [f"--{option}={folder / name}" for option, name in places.items()]
    return ["munged", "--foreground", "--force", *options]


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _idle(environment: dict[str, str]) -> bool:
    command = ["sinfo", "--noheader", "--format=%T"]
    found = subprocess.run(command, env=environment, capture_output=True, text=True)
    return found.stdout.strip() == "idle"


def _wait_until(ready: object, complaint: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not ready():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.2)


def _free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    with slurm(Path(sys.argv[1]).resolve()) as found:
        print(f"export SLURM_CONF={found['SLURM_CONF']}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
