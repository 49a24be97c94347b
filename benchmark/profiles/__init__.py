"""Profiles: the scale of an experiment, one TOML file each, in this folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchmarkError
from benchmark.registry import near_name

FOLDER = Path(__file__).parent


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GeneratedScenes(_Model):
    """The generated scenes; keys are those of ``SceneOptions``."""

    kind: Literal["scenes"]
    options: dict[str, Any] = {}


class VocFolder(_Model):
    """A folder in VOC layout, given with ``--data``.

    With ``name`` it must be that data set: as many images as ``images`` says, split by split.
    """

    kind: Literal["voc"]
    name: str | None = None
    images: dict[str, int] = {}


class Weights(_Model):
    """Initial weights of one backbone: shipped with the package, or a file given by the user."""

    architecture: Literal["vgg16", "mobilenet_v2", "resnet", "resnet38", "xception65"]
    options: dict[str, Any] = {}  # those that decide the shapes, such as width
    source: Literal["package", "user"]
    title: str  # for the protocol card


class Backbone(_Model):
    """Whose initial weights, and what of the backbone is changed."""

    weights: str
    options: dict[str, Any] = {}


class Attention(_Model):
    """The attention network: whose weights, what of the backbone is changed, and the schedule."""

    weights: str
    options: dict[str, Any] = {}
    follow_method: bool = False  # take the backbone changes of each method's paper first
    by_method: dict[str, Backbone] = {}  # of methods whose paper has another backbone altogether
    head: dict[str, float] = {}  # those of ``benchmark.method.Head``
    recipe: dict[str, Any] = {}  # replaces constants of every method's TrainingRecipe alike


class Saliency(_Model):
    """Where saliency comes from: our own network, a folder of PNGs (``--saliency``), or nowhere."""

    kind: Literal["network", "folder", "none"]
    weights: str | None = None
    options: dict[str, Any] = {}  # of the network's backbone
    recipe: dict[str, Any] = {}  # replaces constants of SaliencyRecipe
    trained: str | None = None  # the package's file of the network that this recipe gave
    passes: int = Field(default=1, ge=1)  # of our network; from 2 on without what was salient

    @model_validator(mode="after")
    def _check(self) -> Saliency:
        if self.passes > 1 and self.kind != "network":
            raise ValueError("only saliency of kind 'network' is read in several passes")
        return self


class Segmentation(_Model):
    """One family of segmentation networks at this scale: an MMEngine config and its backbone."""

    config: str
    weights: str
    fully_connected: bool = False  # load VGG-16's fc6 and fc7 too, thinned as in DeepLab


class LabelRecipe(_Model):
    """Replaces the recipes that need saliency, where a profile's saliency is not fit for labels."""

    name: str
    constants: dict[str, float] = {}


class Profile(_Model):
    """The scale of an experiment."""

    id: str
    title: str
    about: str
    data: Annotated[GeneratedScenes | VocFolder, Field(discriminator="kind")]
    weights: dict[str, Weights]
    attention: Attention
    saliency: Saliency
    labels: LabelRecipe | None = None
    refinement: dict[str, Any] = {}  # replaces constants of every refinement's TrainingRecipe
    segmentation: dict[str, Segmentation]

    @model_validator(mode="after")
    def _check(self) -> Profile:
        used = [self.attention.weights, *(one.weights for one in self.attention.by_method.values())]
        for name in (*used, *(family.weights for family in self.segmentation.values())):
            if name not in self.weights:
                raise ValueError(f"no weights {name!r} (there are: {', '.join(self.weights)})")
        return self


def profile_ids() -> tuple[str, ...]:
    """Return the ids of all profiles, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def load_profile(profile: str) -> Profile:
    """Return the profile of that id, or of that ``.toml`` file of the user's own.

    Raises BenchmarkError, with the near name or the key that is wrong.
    """
    path = Path(profile) if profile.endswith(".toml") else FOLDER / f"{profile}.toml"
    if not path.is_file():
        raise BenchmarkError(near_name("profile", profile, profile_ids()))
    try:
        return Profile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise BenchmarkError(f"profile {path.name}: not valid TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise BenchmarkError(f"profile {path.name}: {key}: {first['msg']}") from error
