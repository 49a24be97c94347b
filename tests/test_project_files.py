"""The files around the code: licence, citation, changelog, checks before a commit, Dockerfile."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
import shutil
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
# sha256 of the text at https://www.apache.org/licenses/LICENSE-2.0.txt
APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def test_the_licence_is_the_apache_licence_word_for_word() -> None:
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2


@pytest.mark.parametrize("requirement", PROJECT["dependencies"])
def test_no_dependency_has_a_licence_that_conflicts(requirement: str) -> None:
    name = re.match(r"[\w-]+", requirement)
    assert name is not None
    about = metadata.metadata(name[0])
    classifiers = [c for c in about.get_all("Classifier") or () if c.startswith("License ::")]
    stated = " ".join([about.get("License-Expression") or "", *classifiers])
    assert not re.search(r"\bA?GPL|General Public License", stated)
    whole = f"{stated} {about.get('License') or ''}"
    assert re.search(r"Apache|\bMIT\b|BSD|Python Software Foundation", whole), whole[:200]


def test_the_citation_is_complete_and_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()  # what 1.2.0 requires
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["title"] == PROJECT["name"]
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_the_changelog_tells_of_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    unreleased, *released = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)
    assert unreleased == "Unreleased"
    if released:
        assert released[0] == PROJECT["version"]
    else:
        assert f"will be {PROJECT['version']}" in changelog


def test_the_checks_before_a_commit_are_those_of_ci() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    commands = (ROOT / ".ci" / "run").read_text().splitlines()
    checks = [line for line in commands if line.split(" ")[0] in ("ruff", "mypy")]
    assert [hook["entry"] for hook in hooks] == checks


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: (name, everything after it on one line)."""
    kept = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    lines = re.sub(r"\\\n\s*", " ", "\n".join(kept)).splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (x.partition(" ") for x in lines)]


def ignored(path: str) -> bool:
    """Whether .dockerignore leaves out a path at the top; the last pattern that fits decides."""
    left_out = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch.fnmatch(path, pattern.strip("!")):
            left_out = not pattern.startswith("!")
    return left_out


def copied(steps: list[tuple[str, str]]) -> list[str]:
    """Return what a Dockerfile copies out of the checkout."""
    copies = [rest.split() for name, rest in steps if name == "COPY"]
    return [source for words in copies if "--from" not in words[0] for source in words[:-1]]


def complaints(text: str) -> list[str]:
    """Return what is wrong with a Dockerfile."""
    steps = instructions(text)
    found = []
    stages: set[str] = set()
    for _, rest in (step for step in steps if step[0] == "FROM"):
        image, _, name = rest.partition(" AS ")
        if image not in stages and not re.search(r":[^:/]*\d+\.\d+\.\d+", image):
            found.append(f"{image} is not pinned")
        stages.add(name)
    users = [rest for name, rest in steps if name == "USER"]
    if not users or users[-1] in ("root", "0"):
        found.append("runs as root")
    for name, rest in steps:
        if name == "ADD":
            found.append(f"ADD {rest}")
        if name in ("ENV", "ARG") and re.search(r"(?i)token|secret|password|_key", rest):
            found.append(f"a secret: {rest}")
        if "apt-get install" in rest and not (
            "--no-install-recommends" in rest and "rm -rf /var/lib/apt/lists" in rest
        ):
            found.append(f"packages beyond need: {rest}")
        if "pip install" in rest and not ("-c constraints.txt" in rest and "--no-cache" in rest):
            found.append(f"versions are not those tested: {rest}")
    for source in copied(steps):
        if not (ROOT / source).exists() or ignored(source):
            found.append(f"{source} is not there")
    return found


DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_dockerfile_is_sound() -> None:
    assert complaints(DOCKERFILE) == []
    steps = instructions(DOCKERFILE)
    assert steps[0][1].startswith("nvidia/cuda:")
    (entry,) = (json.loads(rest) for name, rest in steps if name == "ENTRYPOINT")
    assert set(entry) <= PROJECT["scripts"].keys()
    packages = {
        name.rstrip("*") for name in PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages | {PROJECT["readme"], *PROJECT["license-files"]} <= set(copied(steps))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("cuda:13.0.1-base-ubuntu24.04 AS", "cuda AS", "nvidia/cuda is not pinned"),
        ("cuda:13.0.1-base-ubuntu24.04 AS", "cuda:latest AS", "nvidia/cuda:latest is not pinned"),
        ("USER 10001", "USER root", "runs as root"),
        ("USER 10001\n", "", "runs as root"),
        ("COPY methods methods", "ADD https://example.org/x x", "ADD https://example.org/x x"),
        ("COPY methods methods", "COPY absent absent", "absent is not there"),
        ("COPY methods methods", "COPY results results", "results is not there"),
        ("ENV PATH", "ENV API_TOKEN=1 PATH", "a secret"),
        (" -c constraints.txt .", " .", "versions are not those tested"),
        ("--no-install-recommends libgl1", "libgl1", "packages beyond need"),
    ],
)
def test_a_dockerfile_made_worse_is_complained_of(old: str, new: str, complaint: str) -> None:
    assert old in DOCKERFILE
    assert any(line.startswith(complaint) for line in complaints(DOCKERFILE.replace(old, new)))


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="there is no hadolint here")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(["hadolint", str(ROOT / "Dockerfile")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
