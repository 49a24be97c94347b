"""The SHA256SUMS of a finished stage, and what they say is damaged."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.store.record import RECORD, read_record

SUMS = "SHA256SUMS"


def damage_of(folder: Path, key: str) -> str:
    """Return what is wrong with a finished stage's files, "" if nothing is."""
    try:
        record = read_record(folder)
    except (OSError, ValueError):
        return f"{RECORD} is damaged (unreadable)"
    try:
        sums = parse_sums((folder / SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{SUMS} is damaged (unreadable)"
    problems = _file_problems(folder, sums)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return problems[0] + more
    listed = {path: digest for path, digest in sums.items() if path != RECORD}
    if record.key != key or record.outputs != outputs_of(listed):
        return f"{RECORD} is damaged (it does not belong to these files)"
    return ""


def _file_problems(folder: Path, sums: Mapping[str, str]) -> list[str]:
    try:
        present = set(files_below(folder)) - {SUMS}
        found = hash_files(folder, sorted(present & sums.keys()))
    except (OSError, ValueError) as error:
        return [f"a file is damaged ({error})"]
    problems = [f"{path} is missing" for path in sorted(sums.keys() - present)]
    problems += [
        f"{path} is damaged (sha256 differs)"
        for path, digest in found.items()
        if digest != sums[path]
    ]
    return problems + [f"{path} does not belong there" for path in sorted(present - sums.keys())]


def files_below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder; ValueError for links and odd names."""
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if path.is_symlink() or "\n" in relative or "\\" in relative:
            raise ValueError(f"{relative!r} is a link, or has a name that {SUMS} cannot hold")
        if path.is_file():
            found.append(relative)
    return found


def hash_files(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of each of the files below ``folder``."""
    paths = list(paths)
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(paths, pool.map(lambda path: sha256_of(folder / path), paths), strict=True))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sum_lines(sums: Mapping[str, str]) -> list[str]:
    """Return what ``parse_sums`` reads, a line a file."""
    return [f"{digest}  {path}\n" for path, digest in sorted(sums.items())]


def parse_sums(text: str) -> dict[str, str]:
    """Read ``sha256sum``'s format; ValueError for what is not in it, or cut off."""
    sums = {}
    for line in text.splitlines():
        if not (match := re.fullmatch(r"([0-9a-f]{64})  (.+)", line)):
            raise ValueError(f"not a line of {SUMS}: {line!r}")
        sums[match[2]] = match[1]
    if not text.endswith("\n") or RECORD not in sums:
        raise ValueError(f"{SUMS} is cut off")
    return sums


def outputs_of(sums: Mapping[str, str]) -> dict[str, str]:
    """Return one entry for each top-level file, and one for each folder (of its sums' lines)."""
    outputs = {path: digest for path, digest in sums.items() if "/" not in path}
    for folder in sorted({path.split("/")[0] for path in sums if "/" in path}):
        below = {path: digest for path, digest in sums.items() if path.startswith(f"{folder}/")}
        outputs[f"{folder}/"] = hashlib.sha256("".join(sum_lines(below)).encode()).hexdigest()
    return outputs
