"""Generated scenes, version 1: a small diagnostic data set in the VOC layout.

Each class has a small part that tells it and a body that it shares with others; classes sit in
usual places. ``foreign_images`` draws things of other kinds, to train on beforehand.
"""

from __future__ import annotations

from benchmark.data.scenes.compose import SCENES_VERSION, Scene, SceneOptions, draw_scene
from benchmark.data.scenes.foreign import FOREIGN_KINDS, ForeignImages, foreign_images
from benchmark.data.scenes.writer import contact_sheet, scene_id, write_scenes

__all__ = [
    "FOREIGN_KINDS",
    "SCENES_VERSION",
    "ForeignImages",
    "Scene",
    "SceneOptions",
    "contact_sheet",
    "draw_scene",
    "foreign_images",
    "scene_id",
    "write_scenes",
]
