"""Options of methods and recipes with their defaults, read off the code."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

from benchmark.method import Fraction
from benchmark.proxy import RECIPES
from benchmark.refinement import load_refinement_class
from benchmark.registry import load_method_class
from benchmark.report.card import TITLES
from benchmark.report.document import KEYS
from benchmark.report.markdown import markdown_table

CARD_MEANINGS: Mapping[str, str] = {
    "stage": "`labels`: the proxy labels themselves; `segmentation`: what a network trained on "
    "them predicts",
    "dataset": "the images",
    "train_split": "the list of images that everything was trained on",
    "split": "the list of images that is scored",
    "classes": "those that enter the mean, the background left out of the list",
    "image_labels": "CSV, XML annotations or masks: the lists in circulation differ on hundreds of "
    "VOC's images",
    "labels_at_test": "whether the scored prediction was allowed to know which classes an image "
    "holds",
    "refinement": "what made the maps better before they became labels, e.g. `affinity`",
    "threshold": "of the proxy labels; `none` where they come from an argmax alone",
    "threshold_policy": "`fixed`, `tuned` or `oracle`, see below",
    "scales": "sizes of the image whose predictions are joined",
    "flip": "whether the mirror image is predicted too",
    "views": "what is joined over scales and mirror images: `probabilities`, sums of `logits`, or "
    "the `maximum` of the logits; and the side of the squares that images are warped to",
    "crf": "whether a DenseCRF follows the prediction",
    "network": "of the segmentation, or what the maps come from",
    "initial_weights": "what the networks had seen before",
    "saliency": "where saliency maps come from, if any are used",
    "supervision": "`I`: image labels; `I+S`: and saliency learned from other people's masks; "
    "`F`: the true masks",
    "profile": "the scale of the experiment",
    "started_from": "`images`, or the released files that stand for a stage, with their sha256",
}


def options(kind: str, name: str) -> str:
    """Return the options of a ``method`` or ``refinement``: what they mean, then the defaults."""
    owner = load_method_class(name) if kind == "method" else load_refinement_class(name)
    _, _, sources = prose(inspect.getmodule(owner).__doc__).partition("\n\n")
    indented = sources.replace("\n", "\n    ")
    quoted = f'!!! note "From the code"\n\n    {indented}\n\n' if sources else ""
    return f"{quoted}{prose(owner.Options.__doc__)}\n\n{defaults(owner.Options)}"


def cue_options() -> str:
    """Return the options of a segmentation that learns from cues."""
    from benchmark.segmentation.cues import CueOptions

    meanings = _attributes(CueOptions)
    rows = [(f"`{n}`", kind, value, meanings[n]) for n, kind, value in _fields(CueOptions)]
    return markdown_table(("option", "values", "default", "meaning"), rows)


def training(kind: str, name: str) -> str:
    """Return the paper's training recipe of a method or refinement, folded."""
    owner = load_method_class(name) if kind == "method" else load_refinement_class(name)
    made = owner()
    rows = [(f"`{one}`", shown(value)) for one, value in asdict(made.training()).items()]
    parts = [prose(owner.training.__doc__), markdown_table(("constant", "value"), rows)]
    if kind == "method":
        rows = [(f"`{one}`", shown(value)) for one, value in asdict(made.inference()).items()]
        about = prose(owner.inference.__doc__)
        parts += [f"Reading the maps. {about}", markdown_table(("constant", "value"), rows)]
    body = "\n\n".join(parts).replace("\n", "\n    ")
    return f'??? note "Training and inference, as the paper profile has them"\n\n    {body}'


def label_recipes() -> str:
    """Return every label recipe: what it looks at, its constants, and its first sentence."""
    rows = []
    for name, recipe in sorted(RECIPES.items()):
        about = prose(recipe.function.__doc__).split("\n\n")[0].replace("\n", " ")
        constants = ", ".join(f"`{one}`" for one in recipe.constants)
        rows.append((f"`{name}`", ", ".join(("maps", *recipe.needs)), constants or "–", about))
    return markdown_table(("recipe", "looks at", "constants", "what it makes"), rows)


def card_fields() -> str:
    """Return every field of the protocol card with its meaning."""
    rows = [(f"`{name}`", title, CARD_MEANINGS[name]) for name, title in TITLES.items()]
    return markdown_table(("field", "in reports", "meaning"), rows)


def checks() -> str:
    """Return every check of a method's contract with what it demands."""
    from benchmark.conformance import CHECKS

    rows = [(check.name, prose(check.function.__doc__)) for check in CHECKS]
    return markdown_table(("check", "what must hold"), rows)


def document_keys() -> str:
    """Return every key of a report's JSON with its meaning."""
    rows = [(f"`{name}`", meaning.replace("->", "→")) for name, meaning in KEYS.items()]
    return markdown_table(("key", "meaning"), rows)


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown."""
    return inspect.cleandoc(docstring or "").replace("``", "`")


def defaults(owner: type) -> str:
    """Return a table of a dataclass's fields."""
    rows = [(f"`{name}`", kind, value) for name, kind, value in _fields(owner)]
    return markdown_table(("option", "values", "default"), rows)


def _fields(owner: Any) -> list[tuple[str, str, str]]:
    hints = typing.get_type_hints(owner, include_extras=True)
    return [
        (one.name, values(hints[one.name]), "" if one.default is MISSING else shown(one.default))
        for one in fields(owner)
    ]


def values(hint: Any) -> str:
    """Return which values a type hint allows, in words."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint == Fraction:
        return "0 to 1"
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in arguments)
    if origin is typing.Annotated:
        words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
        extras = [getattr(extra, "metadata", ()) for extra in arguments[1:]]
        bounds = [vars_of(bound) for extra in extras for bound in extra]
        limits = [f"{words[name]} {value}" for bound in bounds for name, value in bound.items()]
        return " and ".join([values(arguments[0]), *limits])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(values(one) for one in arguments)
    if is_dataclass(hint):
        return "some of these constants"
    names = {float: "a number", int: "a whole number", bool: "`true`, `false`", str: "a name"}
    return names.get(hint) or ("none" if hint is type(None) else str(origin or hint))


def vars_of(bound: Any) -> dict[str, Any]:
    """Return what a bound of a field says: its dataclass fields."""
    return {one.name: getattr(bound, one.name) for one in fields(bound)}


def shown(value: Any) -> str:
    """Return a value for people."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{name} {shown(one)}" for name, one in asdict(value).items())
    if isinstance(value, tuple | list):
        return ", ".join(shown(one) for one in value) or "none"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _attributes(owner: type) -> dict[str, str]:
    """Return the section ``Attributes`` of a docstring, by name."""
    _, _, section = prose(owner.__doc__).partition("Attributes:\n")
    meanings: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = line.strip().partition(": ")
            meanings[name] = text
        else:
            meanings[name] += f" {line.strip()}"
    return meanings
