"""A package of methods that misbehave, found by its entry points like any other's."""

from __future__ import annotations

from pathlib import Path

MODULE = """
import sys

import torch

from methods.cam import CAM


class Raises(CAM):
    def losses(self, network, batch):
        raise ZeroDivisionError("of <b>nothing</b> | at all")


class Shape(CAM):
    def attention(self, network, batch):
        return super().attention(network, batch).mean(dim=3)


class NotFinite(CAM):
    def attention(self, network, batch):
        return super().attention(network, batch) * float("nan")


class Quits(CAM):
    def network(self, backbone, num_classes, head):
        sys.exit(0)


class Leaks(CAM):
    def losses(self, network, batch):
        kept = []
        while True:
            kept.append(torch.zeros(1 << 50))


class NoRecipe(CAM):
    def training(self):
        return None


class Constructed(CAM):
    def __init__(self, options=None):
        raise LookupError("no such constant")


class Elsewhere(CAM):
    pass
"""

POINTS = {
    "raises": "bad_methods:Raises",
    "shape": "bad_methods:Shape",
    "not_finite": "bad_methods:NotFinite",
    "quits": "bad_methods:Quits",
    "leaks": "bad_methods:Leaks",
    "no_recipe": "bad_methods:NoRecipe",
    "constructed": "bad_methods:Constructed",
    "import_fails": "bad_import:Method",
    "import_quits": "bad_exit:Method",
    "missing": "no_such_module_at_all:Method",
    "attribute": "bad_methods:NoSuchClass",
    "not_a_method": "pathlib:Path",
    "twice": "bad_methods:CAM",
    "cam": "bad_methods:Elsewhere",
}
"""Name -> where it is; ``cam`` is also a method of the suite, ``twice`` also of another package."""

TABLE = """
id = "{name}"
title = "Methods that misbehave"
caption = "None of them stops the others."

[protocol]
dataset = "VOC 2012"
train_split = "train_aug"
classes = ["aeroplane"]
labels_at_test = "image labels"

[[columns]]
id = "val"
title = "proxy labels, mIoU val"
evaluation = {{ stage = "labels", split = "val" }}
"""

ROW = """
[[rows]]
id = "{name}"
title = "{name}"
method = "{name}"
recipe = "background_threshold"
constants.threshold = 0.3
supervision = "I"
"""


def write_bad_methods(site: Path) -> None:
    """Write the packages as pip would have installed them into ``site``.

    Tables: ``bad_all`` of all of them, ``bad_only`` of one, and ``bad_toml``, which is broken.
    """
    tables = site / "bad_tables"
    tables.mkdir(parents=True)
    (site / "bad_methods.py").write_text(MODULE)
    (site / "bad_import.py").write_text("raise RuntimeError('no compiler')\n")
    (site / "bad_exit.py").write_text("import sys\nsys.exit(3)\n")
    _points(site, "bad-methods", POINTS, tables="bad_tables")
    _points(site, "other-methods", {"twice": "bad_methods:Raises"}, tables="bad_exit.tables")
    names = {"bad_all": list(POINTS), "bad_only": ["import_fails"]}
    for name, rows in names.items():
        text = TABLE.format(name=name) + "".join(ROW.format(name=row) for row in rows)
        (tables / f"{name}.toml").write_text(text)
    (tables / "bad_toml.toml").write_text('id = "bad_toml')


def _points(site: Path, distribution: str, methods: dict[str, str], tables: str) -> None:
    folder = site / f"{distribution.replace('-', '_')}-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    lines = ["[wsss_benchmark.methods]", *(f"{name} = {value}" for name, value in methods.items())]
    lines += ["[wsss_benchmark.tables]", f"tables = {tables}"]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
