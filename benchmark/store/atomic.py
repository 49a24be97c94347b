"""Files and folders that are on the disk, whole, before anybody sees them."""

from __future__ import annotations

import errno
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmark.errors import BenchmarkError

FULL_IN_WORDS = ("No space left on device", "PytorchStreamWriter failed", "unexpected pos")
"""What errors of a full disk say; the last two are torch.save's, which knows no other."""


def write_atomic(path: Path, data: bytes | str) -> None:
    """Write a file whole or not at all; BenchmarkError naming it if that cannot be."""
    content = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        fsync(path.parent)
    except OSError as error:
        if is_disk_full(error):
            raise BenchmarkError(
                f"cannot write {path}: the disk is full; free space and run again"
            ) from error
        raise BenchmarkError(f"cannot write {path}: {error.strerror or error}") from error


def is_disk_full(error: BaseException) -> bool:
    """Tell whether an error, or one that led to it, says that the disk or the quota is full."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if any(words in str(seen) for words in FULL_IN_WORDS):  # libraries that hide the OSError
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def fsync_tree(folder: Path) -> None:
    """Bring all files and folders below ``folder`` onto the disk; in threads, they mostly wait."""
    with ThreadPoolExecutor(max_workers=16) as pool:
        list(pool.map(fsync, [*folder.rglob("*"), folder]))


def fsync(path: Path) -> None:
    """Bring one file, or the names in one folder, onto the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
