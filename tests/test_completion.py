"""What a shell completes: commands, options, names of tables, rows, methods and profiles."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import cli

ROOT = Path(__file__).parents[1]


@pytest.fixture
def complete(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return what bash is told for a line; its last word is completed."""

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_WSSS_BENCHMARK_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        monkeypatch.setattr(sys, "argv", words[:1])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        return capsys.readouterr().out.split()

    return completed


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("wsss-benchmark pl", ["plan"]),
        ("wsss-benchmark methods ", ["new", "check"]),
        ("wsss-benchmark run --tab", ["--table"]),
        ("wsss-benchmark list pro", ["profiles"]),
        ("wsss-benchmark run --table seenet_", ["seenet_table1", "seenet_table2"]),
        ("wsss-benchmark run --table al", ["all"]),
        ("wsss-benchmark figures --table al", []),
        (
            "wsss-benchmark plan --table dsna_table1,seenet_",
            ["dsna_table1,seenet_table1", "dsna_table1,seenet_table2"],
        ),
        ("wsss-benchmark plan --table seenet_table1,seenet_", ["seenet_table1,seenet_table2"]),
        ("wsss-benchmark run --profile ", ["light", "paper", "scenes"]),
        ("wsss-benchmark data check folder --profile p", ["paper"]),
        ("wsss-benchmark methods check s", ["sec", "seenet", "sgan"]),
        (
            "wsss-benchmark figures --table seenet_table1 --row ",
            ["acol", "seenet_no_flip", "seenet", "all"],
        ),
        ("wsss-benchmark run --table seenet_table1 --rows acol,seenet_", ["acol,seenet_no_flip"]),
        ("wsss-benchmark gap --table seenet_table2 --row cc", []),  # a cited row
        ("wsss-benchmark gap --table seenet_tabel1 --row ", []),
        ("wsss-benchmark gap --row ", []),
    ],
)
def test_a_word_is_completed(complete, line: str, expected: list[str]) -> None:
    assert complete(line) == expected


def test_names_are_completed_within_half_a_second_without_heavy_imports() -> None:
    program = (
        "import sys; sys.argv = ['wsss-benchmark']\n"
        "from benchmark.cli import main\n"
        "try: main()\n"
        "finally: assert not {'torch', 'mmseg', 'numpy', 'pandas', 'matplotlib'} & set(sys.modules)"
    )
    words = {"COMP_WORDS": "wsss-benchmark run --table see", "COMP_CWORD": "3"}
    seconds = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "_WSSS_BENCHMARK_COMPLETE": "complete_bash", **words},
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (done.returncode, done.stdout.split()) == (0, ["seenet_table1", "seenet_table2"])
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) < 0.5  # of the processor: others may use it at the same time


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_what_install_completion_installed(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "wsss-benchmark"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom benchmark.cli import main\nmain()\n")
    program.chmod(0o755)
    script = """
        wsss-benchmark --install-completion
        source ~/.bashrc
        COMP_WORDS=(wsss-benchmark methods check se) COMP_CWORD=3
        $(complete -p wsss-benchmark | sed 's/.*-F \\([^ ]*\\).*/\\1/') wsss-benchmark
        echo "completed: ${COMPREPLY[*]}"
    """
    path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "HOME": str(tmp_path), "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "completed: sec seenet"
