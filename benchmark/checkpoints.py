"""Whether the checkpoints that a killed process left can be gone on from."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

from PIL import Image


def damaged_file(folder: Path) -> str | None:
    """Return the first file, by its path in ``folder``, that a fault of the disk has changed.

    Found are truncated files and flipped bits in what torch.save writes (a zip archive, whose
    checksums torch itself does not look at) and in PNGs; other files have no checksums.
    """
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".pt", ".pth") and _damaged_archive(path):
            return path.relative_to(folder).as_posix()
        if path.suffix == ".png" and _damaged_png(path):
            return path.relative_to(folder).as_posix()
    return None


def _damaged_archive(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return True
    except Exception:  # a flipped bit in a header makes zipfile raise almost anything
        return True
    return not _opens(path)


def _opens(path: Path) -> bool:
    """Tell whether torch takes the archive: it reads fields of the directory that zipfile skips."""
    import torch

    try:
        torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError:  # whole, but with more in it than tensors
        return True
    except RuntimeError as error:
        return "PytorchStreamReader" not in str(error)
    return True


def _damaged_png(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.verify()  # reading it does not look at all checksums
    except Exception:  # so does Pillow
        return True
    return False
