"""Where a result came from: the code behind it, the software and the machine it ran on."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Self

import psutil

from benchmark.repeated import Repeated
from benchmark.seeding import is_deterministic

SOURCE = Path(__file__).resolve()

CPU = "cpu"
ASKED_FOR = "asked for"

# Import name -> the distributions that provide it, in the order they are looked for.
DISTRIBUTIONS = {
    "benchmark": ("wsss-benchmark",),
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "mmseg": ("onedl-mmsegmentation", "mmsegmentation"),
    "mmengine": ("onedl-mmengine", "mmengine"),
    "numpy": ("numpy",),
    "pydensecrf": ("pydensecrf2", "pydensecrf"),
}


def fingerprint(modules: Iterable[str]) -> str:
    """Return a sha256 over what the named code does: modules, or one definition, ``module:name``.

    A definition is a function or a class; a package stands for all .py below it. Comments,
    docstrings and layout do not count. Nothing is imported, and what the code imports itself is
    not followed. Raises ValueError for a module without Python source and for a name that its
    module does not define.
    """
    lines = [f"{name} {_module_fingerprint(name)}\n" for name in sorted(set(modules))]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def _module_fingerprint(name: str) -> str:
    module, _, definition = name.partition(":")
    digest = hashlib.sha256()
    for relative, path in _sources(module):
        digest.update(f"{relative}\n{_normal_form(path, definition)}\n".encode())
    return digest.hexdigest()


def _sources(name: str) -> Iterator[tuple[str, Path]]:
    """Yield (path below the module, source file) for a module, or for all files of a package."""
    spec = _find_spec(name)
    if spec is None:
        raise ValueError(f"no module named {name}")
    if spec.submodule_search_locations is None:
        if spec.origin is None or not spec.origin.endswith(".py"):
            raise ValueError(f"module {name} has no Python source")
        yield "", Path(spec.origin)
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in sorted(folder.rglob("*.py")):
            yield path.relative_to(folder).as_posix(), path


def own_code(*modules: str) -> tuple[str, ...]:
    """Return modules and all that they import of their own packages, directly or not, sorted.

    Imports inside functions count, but for modules that are not there, as optional ones may be.
    Nothing is imported for it. Raises SyntaxError for a module that is no Python.
    """
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= _own_imports(module) - found
    return tuple(sorted(found))


@cache
def _own_imports(module: str) -> frozenset[str]:
    spec = _find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return frozenset()
    package = module if spec.submodule_search_locations else module.rpartition(".")[0]
    tree = ast.parse(Path(spec.origin).read_bytes(), filename=spec.origin)
    named = {name for node in ast.walk(tree) for name in _imported(node, package)}
    top = module.split(".")[0]
    own = (name for name in named if name.split(".")[0] == top)
    return frozenset(name for name in own if _find_spec(name) is not None)


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Yield the modules that a statement of a module in ``package`` imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        relative = "." * node.level + (node.module or "")
        base = importlib.util.resolve_name(relative, package)
        for alias in node.names:
            below = f"{base}.{alias.name}"
            yield below if _find_spec(below) is not None else base


def _find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Find a module without importing its parents, as ``importlib.util.find_spec`` would."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    for part in rest:
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = importlib.machinery.PathFinder.find_spec(
            f"{spec.name}.{part}", list(spec.submodule_search_locations)
        )
    return spec


def _normal_form(path: Path, definition: str = "") -> str:
    """Return the source, or a function or class of it, without comments, docstrings and layout.

    ``ast.unparse`` and not ``ast.dump``: the dump changes with the Python version.
    """
    tree = ast.parse(path.read_bytes(), filename=path.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = _without_docstring(node.body)
    if not definition:
        return ast.unparse(tree)
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == definition:
            return ast.unparse(node)
    raise ValueError(f"{path.name} defines no function or class {definition}")


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest or [ast.Pass()]
    return body


def environment() -> dict[str, str]:
    """Return versions, platform and device; imports none of the packages it names."""
    versions = {name: version for name in DISTRIBUTIONS if (version := installed_version(name))}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": str(os.cpu_count()),
        "device": _device(),
        "threads": _threads(),
        "bfloat16": _bfloat16(),
        "deterministic": ASKED_FOR if is_deterministic() else "as the device is",
        **versions,
    }


def repeats(environment: Mapping[str, str]) -> bool:
    """Tell whether a seed gives the same numbers again where a record's stage was made."""
    return environment.get("device", CPU) == CPU or environment.get("deterministic") == ASKED_FOR


def installed_version(import_name: str) -> str | None:
    """Return e.g. "2.13.0", or "onedl-mmsegmentation 1.4.2" where the names differ."""
    for distribution in DISTRIBUTIONS[import_name]:
        try:
            version = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
        return version if distribution == import_name else f"{distribution} {version}"
    return None


def _device() -> str:
    torch = sys.modules.get("torch")  # a stage that never loaded torch ran on the CPU
    if torch is None or not torch.cuda.is_available():
        return CPU
    return str(torch.cuda.get_device_name())


def _threads() -> str:
    """Return how many threads torch computes with: sums in another order round differently."""
    torch = sys.modules.get("torch")
    return str(torch.get_num_threads()) if torch is not None else "1"


def _bfloat16() -> str:
    """Return whether a training here computes in bfloat16, unless its recipe asks for float32."""
    if "torch" not in sys.modules:
        return "no"
    from benchmark.device import has_fast_bfloat16

    return "yes" if has_fast_bfloat16() else "no"


@cache
def git_revision(source: Path = SOURCE) -> str | None:
    """Return the commit of the checkout that tracks ``source``, "+dirty" if code has changed.

    None outside a checkout, and for a copy installed inside somebody else's checkout.
    """
    if _git(source.parent, "ls-files", "--error-unmatch", source.name) is None:
        return None
    revision = _git(source.parent, "rev-parse", "HEAD")
    changes = _git(source.parent, "status", "--porcelain", "--", ":/*.py", ":/*.toml")
    if revision is None or changes is None:
        return None
    return f"{revision}+dirty" if changes else revision


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        finished = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return finished.stdout.strip() if finished.returncode == 0 else None


class PeakMemory(Repeated):
    """Samples the resident memory of this process and its children while the block runs.

    Pages shared by several processes count once for each, so the peak is an upper bound.
    """

    def __init__(self, interval: float = 0.25) -> None:
        super().__init__(interval)
        self._bytes = 0

    @property
    def megabytes(self) -> float:
        """The peak so far, in 10^6 bytes."""
        return self._bytes / 1e6

    def __enter__(self) -> Self:
        self.act()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.act()

    def act(self) -> None:
        """Take one sample."""
        self._bytes = max(self._bytes, _resident_bytes())


def _resident_bytes() -> int:
    process = psutil.Process()
    total = process.memory_info().rss
    for child in process.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.Error:  # it has ended meanwhile
            continue
    return int(total)
