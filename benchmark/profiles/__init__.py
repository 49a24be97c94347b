"""Profiles: the scale of an experiment, one TOML file each, in this folder."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmark.errors import BenchmarkError
from benchmark.registry import near_name
from benchmark.segmentation_families import config_packages
from benchmark.store import canonical_json

FOLDER = Path(__file__).parent
PROFILE_ID = r"[A-Za-z0-9_-]+"


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
    # take the backbone changes of each method's paper first, and read maps at the paper's shapes
    follow_method: bool = False
    by_method: dict[str, Backbone] = {}  # of methods whose paper has another backbone altogether
    head: dict[str, float] = {}  # those of ``benchmark.method.Head``
    recipe: dict[str, Any] = {}  # replaces constants of every method's TrainingRecipe alike


class Saliency(_Model):
    """Where saliency comes from.

    Our own network, a folder of PNGs (``--saliency``), a plugin (``source``), or nowhere.
    """

    kind: Literal["network", "folder", "source", "none"]
    source: str | None = None  # the name of a saliency source
    weights: str | None = None
    options: dict[str, Any] = {}  # of the network's backbone, or of the source
    recipe: dict[str, Any] = {}  # replaces constants of SaliencyRecipe
    trained: str | None = None  # the package's file of the network that this recipe gave
    passes: int = Field(default=1, ge=1)  # of our network; from 2 on without what was salient

    @model_validator(mode="after")
    def _check(self) -> Saliency:
        if self.passes > 1 and self.kind != "network":
            raise ValueError("only saliency of kind 'network' is read in several passes")
        if (self.kind == "source") != (self.source is not None):
            raise ValueError("saliency of kind 'source', and no other, names its source")
        return self


class Segmentation(_Model):
    """One family of segmentation networks at this scale: an MMEngine config and its backbone."""

    config: str
    weights: str
    retraining: str | None = None  # the config of a row's second training, where it is another one
    fully_connected: bool = False  # load VGG-16's fc6 and fc7 too, thinned as in DeepLab
    substitute: bool = False  # in place of a network that the paper does not describe in full


class LabelRecipe(_Model):
    """Replaces the recipes that need saliency, where a profile's saliency is not fit for labels."""

    name: str
    constants: dict[str, float] = {}


class Profile(_Model):
    """The scale of an experiment."""

    id: str = Field(pattern=rf"^{PROFILE_ID}$")  # a folder's name below results/
    title: str
    about: str
    data: Annotated[GeneratedScenes | VocFolder, Field(discriminator="kind")]
    weights: dict[str, Weights]
    attention: Attention
    saliency: Saliency
    labels: LabelRecipe | None = None
    refinement: dict[str, Any] = {}  # replaces constants of every refinement's TrainingRecipe
    # what a refinement's own network changes of the attention's backbone, by its architecture
    refinement_backbones: dict[str, dict[str, Any]] = {}
    segmentation: dict[str, Segmentation]
    squares: bool = False  # warp test images to the side that a row's test names: VOC's pixels

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
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"profile {path.name}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # tomllib's own error is but one of them
        raise BenchmarkError(f"profile {path.name}: not valid TOML: {error}") from error
    try:
        canonical_json(told)  # options go into the configs of stages, which no date can
        loaded = Profile.model_validate(told)
    except ValidationError as error:
        raise BenchmarkError(f"profile {path.name}: {_first(error)}") from error
    except (TypeError, ValueError) as error:
        raise BenchmarkError(f"profile {path.name}: {error}") from error
    if path.resolve().parent != FOLDER.resolve() and loaded.id in profile_ids():
        raise BenchmarkError(
            f"profile {path.name}: the id '{loaded.id}' is that of a profile of the suite, "
            "whose results it would pass for: choose another"
        )
    found = {one.name: one.settings for one in plugin_families(loaded) if one.settings is not None}
    return loaded.model_copy(update={"segmentation": {**found, **loaded.segmentation}})


@dataclass(frozen=True)
class PluginFamily:
    """A segmentation family that another package gives a profile, or why it cannot be used."""

    package: str
    name: str
    settings: Segmentation | None
    reason: str = ""


def plugin_families(profile: Profile) -> Iterator[PluginFamily]:
    """Yield what other packages say of a profile; a package that is broken has no name for it."""
    for package in config_packages():
        if package.folder is None:
            yield PluginFamily(package.name, "", None, package.reason)
            continue
        for name, keys in package.families.get(profile.id, {}).items():
            try:
                settings = _family_of(profile, package.folder, keys)
            except BenchmarkError as error:
                yield PluginFamily(package.name, name, None, f"{profile.id}.{name}: {error}")
                continue
            yield PluginFamily(package.name, name, settings)


def why_no_family(profile: Profile, name: str) -> str:
    """Return one line that says that a profile has no segmentation family ``name``, and why."""
    lacking = f"profile {profile.id} has no {name}"
    broken = [one for one in plugin_families(profile) if one.reason and one.name in ("", name)]
    if broken:
        return "; ".join([lacking, *(f"plugin '{one.package}': {one.reason}" for one in broken)])
    everywhere = {name for known in profile_ids() for name in load_profile(known).segmentation}
    if name in everywhere:
        return lacking
    return f"{lacking}: {near_name('segmentation family', name, everywhere)}"


def _family_of(profile: Profile, folder: Path, keys: Mapping[str, Any]) -> Segmentation:
    """Return a family whose configs lie in ``folder``; BenchmarkError where one cannot be used."""
    try:
        given = Segmentation.model_validate(keys)
    except ValidationError as error:
        raise BenchmarkError(_first(error)) from error
    if given.weights not in profile.weights:
        raise BenchmarkError(near_name("weights", given.weights, profile.weights))
    paths = {"config": given.config, "retraining": given.retraining}
    for config in filter(None, paths.values()):
        if not (folder / config).is_file():
            raise BenchmarkError(f"no segmentation config {folder / config}")
    changes = {key: str(folder / config) for key, config in paths.items() if config is not None}
    return given.model_copy(update=changes)


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
