"""Released files that a row is started from, in place of one of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import BenchmarkError, NotGiven, lacking
from benchmark.registry import near_name
from benchmark.user_files import file_digest, folder_digest

Kind = Literal["attention", "maps", "cues", "labels"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class ReleasedFiles:
    """Files of one kind: a folder of labels, a folder or an archive of maps, cues, or weights."""

    kind: Kind
    path: Path

    def __post_init__(self) -> None:
        """Check that they are there."""
        folder, file = self.path.is_dir(), self.path.is_file()
        if self.kind == "labels" and not folder:
            raise BenchmarkError(f"--from labels: no folder at {self.path}")
        if self.kind in ("cues", "attention") and not file:
            raise BenchmarkError(f"--from {self.kind}: no file at {self.path}")
        if self.kind == "maps" and not (folder or file):
            raise BenchmarkError(f"--from maps: no folder and no file at {self.path}")

    @property
    def name(self) -> str:
        """The name of the folder or file."""
        return self.path.resolve().name

    @property
    def suffix(self) -> str:
        """How the names of a folder's files end."""
        return ".png" if self.kind == "labels" else ".npz"

    @cached_property
    def sha256(self) -> str:
        """The sha256 of the file, or over the names and contents of the folder's files."""
        if self.path.is_dir():
            return folder_digest(self.path, self.suffix)
        return file_digest(self.path)

    @cached_property
    def ids(self) -> frozenset[str]:
        """The ids of the images that the files hold; BenchmarkError where they hold none."""
        found = self._ids()
        if not found:
            raise BenchmarkError(f"--from {self.kind}: {self.path} holds no ID{self.suffix}")
        return found

    def _ids(self) -> frozenset[str]:
        if self.path.is_dir():
            found = frozenset(path.stem for path in self.path.glob(f"*{self.suffix}"))
            pickled = next(self.path.glob("*.npy"), None)
            if not found and pickled is not None and self.kind == "maps":
                raise BenchmarkError(
                    f"{pickled}: .npy files of maps are pickled and may run code, so they are "
                    "not read: save each as ID.npz with the arrays maps (K, h, w) and classes (K,)"
                )
            return found
        try:
            return self._ids_of_file()
        except BenchmarkError:
            raise
        except Exception as error:  # a damaged file can fail at any byte of it
            reason = f"{type(error).__name__}: {error}"
            raise BenchmarkError(f"--from {self.kind}: {self.path} is damaged: {reason}") from error

    def _ids_of_file(self) -> frozenset[str]:
        if self.kind == "cues":
            from benchmark.data.cues import read_cues

            return frozenset(read_cues(self.path).ids)
        from benchmark.maps import MapArchive

        return frozenset(MapArchive(self.path).ids())

    def check_split(self, split: str, wanted: Sequence[str]) -> None:
        """Raise NotGiven if no image of a split is there, BenchmarkError if some are not."""
        missing = [image_id for image_id in wanted if image_id not in self.ids]
        if len(missing) == len(wanted):
            raise NotGiven(f"{self.kind} given in {self.name} hold no image of {split}")
        if missing:
            raise BenchmarkError(
                f"--from {self.kind}: {self.path} lacks {lacking(missing, wanted, split)}"
            )

    @property
    def described(self) -> str:
        """What a report says of them."""
        return f"{self.kind} given: {self.name} (sha256 {self.sha256[:16]})"


Released = Mapping[Kind, ReleasedFiles]


def parse_released(values: Sequence[str]) -> Released:
    """Read ``KIND=PATH`` values; BenchmarkError for unknown kinds, two of one, and no files."""
    found: dict[Kind, ReleasedFiles] = {}
    for value in values:
        kind, separator, path = value.partition("=")
        if not separator or not path:
            raise BenchmarkError(f"--from {value}: say KIND=PATH, KIND one of {', '.join(KINDS)}")
        if kind not in KINDS:
            raise BenchmarkError(f"--from {value}: {near_name('kind of files', kind, KINDS)}")
        if kind in found:
            raise BenchmarkError(f"--from {kind}: given twice")
        found[kind] = ReleasedFiles(kind, Path(path))
    if {"labels", "cues"} <= found.keys():
        raise BenchmarkError("--from labels and --from cues stand for the same stage: give one")
    return found


def described(released: Released) -> str:
    """Return what a report says of all the released files."""
    return "; ".join(files.described for files in released.values())
