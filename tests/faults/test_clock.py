"""A clock that jumps by a day at every look: times are measured by one that does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from forked import TESTS

pytestmark = pytest.mark.faults

CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long jump(void) { static long n = 0; return ++n % 2 ? -86400 * n : 86400 * n; }
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, t);
    if (id == CLOCK_REALTIME) t->tv_sec += jump();
    return status;
}
int gettimeofday(struct timeval *t, void *zone) {
    struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec; t->tv_usec = now.tv_nsec / 1000; return 0;
}
time_t time(time_t *out) {
    struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
"""

RUN = """
import sys, time
from pathlib import Path
from benchmark.executor import execute
from benchmark.progress import PlainProgress
from benchmark.store import Stage, Store

def work(space):
    with space.progress.task(space.label, 40) as task:
        for _ in range(40):
            time.sleep(0.005)
            task.advance()
    return {}

looks = [time.time() for _ in range(4)]
assert max(looks) - min(looks) > 86400, "the clock does not jump"
stages = [Stage("stage", {"n": n}, label=f"stage {n}") for n in range(3)]
progress = PlainProgress(interval=0.02)
execute(stages, Store(Path(sys.argv[1])), {"stage": work}, progress, announce=print)
"""


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that puts a jumping clock in the place of the system's."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler to make a clock with")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(CLOCK)
    command = [compiler, "-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "clock.so"


def test_times_are_right_although_the_clock_jumps(clock: Path, tmp_path: Path) -> None:
    environment = os.environ | {"LD_PRELOAD": str(clock), "PYTHONPATH": str(TESTS.parent)}
    started = time.monotonic()
    command = [sys.executable, "-c", RUN, str(tmp_path / "store")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    elapsed = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in tmp_path.rglob("record.json")]
    assert len(records) == 3
    for record in records:
        assert 0.2 <= record["seconds"] <= elapsed
        datetime.fromisoformat(record["started"])  # wrong, but a time
    left = re.findall(r"(\S+) s left", done.stderr)
    assert left
    assert all(0 <= float(seconds) <= elapsed for seconds in left)
    assert "-" not in "".join(re.findall(r"done in (.*)", done.stderr))
    again = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (0, "")  # nothing is made again
