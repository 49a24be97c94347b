"""The options for other machines: what goes together, and what Slurm is asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmark.cluster.slurm import load_slurm_config
from benchmark.commands.clusters import ClusterName, chosen_start
from benchmark.errors import BenchmarkError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "slurm.toml"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("tcp://a:1", ClusterName.local, None, None, None), "leave out --cluster"),
        (("tcp://a:1", None, None, None, 2), "leave out --jobs"),
        ((None, ClusterName.slurm, None, None, None), "--cluster-config FILE go together"),
        ((None, ClusterName.local, Path("x.toml"), None, None), "--cluster-config FILE go"),
        ((None, None, None, "memory://m", None), "--mirror goes with"),
    ],
)
def test_options_that_do_not_go_together(options: tuple, expected: str) -> None:
    with pytest.raises(BenchmarkError, match=expected):
        chosen_start(*options, print)


def test_no_option_is_this_machine_s_own_processes() -> None:
    assert chosen_start(None, None, None, None, 2, print) is None


def test_without_dask_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("benchmark.cluster")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BenchmarkError, match=r"need Dask \(.*\): pip install -e '\.\[dask\]'"):
        chosen_start("tcp://a:1", None, None, None, None, print)


def test_what_slurm_is_asked_for(config: Path) -> None:
    from dask_jobqueue.slurm import SLURMJob

    config.write_text(
        'jobs = 4\ncores = 8\nmemory = "32GB"\nwalltime = "12:00:00"\ngpus = 1\nqueue = "gpu"\n'
        'directives = ["--qos=long"]\nprologue = ["module load cuda"]\nlog_directory = "logs"\n'
    )
    options = load_slurm_config(config).options() | {"log_directory": None}
    del options["scheduler_options"]  # of the cluster, not of a job
    script = SLURMJob(scheduler="tcp://login:1", name="w", **options).job_script()
    lines = script.splitlines()
    for line in ("-p gpu", "--cpus-per-task=8", "--mem=30G", "-t 12:00:00", "--qos=long"):
        assert f"#SBATCH {line}" in lines
    assert "#SBATCH --gres=gpu:1" in lines
    assert "module load cuda" in lines
    assert "dask_worker tcp://login:1" in lines[-1]
    assert "--nthreads 1" in lines[-1]
    assert lines[-1].endswith("--resources GPU=1 --memory-limit 0")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("job = 3", r"^slurm\.toml: job: .*\(there are: jobs, cores, "),
        ("jobs = 0", r"^slurm\.toml: jobs: "),
        ('memory = ""', r"^slurm\.toml: memory: "),
        ('walltime = "soon"', r"^slurm\.toml: walltime: "),
        ("gpus = 2", r"^slurm\.toml: gpus: "),
        ("jobs =", r"^slurm\.toml: not valid TOML: "),
    ],
)
def test_a_wrong_config_is_one_line(config: Path, text: str, expected: str) -> None:
    config.write_text(text)
    with pytest.raises(BenchmarkError, match=expected) as caught:
        load_slurm_config(config)
    assert "\n" not in str(caught.value)


def test_no_config_is_one_line(config: Path) -> None:
    with pytest.raises(BenchmarkError, match="cannot be read"):
        load_slurm_config(config)
