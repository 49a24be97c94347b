"""Checks that a method keeps its contract: small, named, and quick enough to run while writing one.

A check gets a subject, which builds the method's network on a slim VGG-16 as often as it is asked,
and returns "" or one line that says what is wrong. An exception is a failure too. A check whose
groundwork failed is not tried: one mistake is reported once.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attention import Trainer, attention_maps, build_optimiser, class_scores, fuse
from benchmark.backbones import build_backbone
from benchmark.device import device
from benchmark.method import Batch, Head, LabelledImages, Method
from benchmark.progress import SilentProgress
from benchmark.weights import load_state_dict, save_state_dict

CLASS_COUNTS = (20, 1)
SIZE = 48
STEPS = 3
HEAD = Head(width=0.125, init_gain=2.0)
TOLERANCE = 1e-4
"""Between an image's maps in a batch and alone: convolutions sum in another order there."""

StateDict = dict[str, Tensor]


@dataclass(frozen=True)
class Outcome:
    """One check's result; ``passed`` is None where it was not tried, and ``reason`` says why."""

    check: str
    passed: bool | None
    reason: str


class Subject:
    """A method under check, with a number of classes and tiny images, all from fixed seeds."""

    def __init__(self, make: Callable[[], Method], classes: int, scratch: Path) -> None:
        self.make = make
        self.classes = classes
        self.scratch = scratch

    def build(self, seed: int = 0) -> tuple[Method, Any]:
        """Return the method and its network, initialised under ``seed``."""
        torch.manual_seed(seed)
        method = self.make()
        backbone = build_backbone("vgg16", width=0.125, output_stride=8)
        return method, method.network(backbone, self.classes, HEAD)

    def batch(self, height: int = SIZE, width: int = SIZE) -> Batch:
        """Return three images: of two labels, of one, and of two others (with one class: of it)."""
        generator = torch.Generator().manual_seed(1)
        images = torch.randn(3, 3, height, width, generator=generator)
        labels = torch.zeros(3, self.classes)
        for image, present in enumerate(((0, 2), (1, 1), (1, 19))):
            labels[image, [place % self.classes for place in present]] = 1
        saliency = torch.rand(3, height, width, generator=generator)
        return Batch(images, labels, saliency if self.make().needs_saliency else None)

    def images(self) -> LabelledImages:
        """Return six decoded images of several sizes for the trainer."""
        rng = np.random.default_rng(2)
        shapes = [(40 + 4 * number, 60 - 4 * number) for number in range(6)]
        images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
        saliency = [rng.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
        labels = np.zeros((6, self.classes), bool)
        for image in range(6):
            labels[image, [image % self.classes, 5 * image % self.classes]] = True
        return LabelledImages(images, labels, saliency if self.make().needs_saliency else None)

    def fit(self, scratch: Path) -> tuple[Method, Any]:
        """Return the method and its network after ``fit`` of a few steps."""
        method, network = self.build()
        network.to(device())
        recipe = replace(
            method.training(),
            iterations=STEPS,
            batch_size=2,
            crop=SIZE,
            test_size=SIZE,
            view="warp",
        )
        scratch.mkdir(exist_ok=True)
        torch.manual_seed(3)
        trainer = Trainer(
            self.images(), recipe, seed=0, scratch=scratch, progress=SilentProgress(), label="check"
        )
        method.fit(network, trainer)
        return method, network

    @cached_property
    def fitted(self) -> tuple[Method, Any, StateDict]:
        """The method, its network and the weights that one ``fit`` in ``scratch`` gave."""
        method, network = self.fit(self.scratch / f"fit of {self.classes}")
        return method, network, weights(network)


CheckFunction = Callable[[Subject], str]


@dataclass(frozen=True)
class Check:
    """A named check; ``after`` are those that must have passed for it to make sense."""

    function: CheckFunction
    after: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The function's name in words."""
        return self.function.__name__.replace("_", " ")


def check_method(make: Callable[[], Method]) -> list[Outcome]:
    """Run every check over the method that ``make`` returns; never raises for a fault of its."""
    return list(checked(make))


def checked(make: Callable[[], Method]) -> Iterator[Outcome]:
    """Yield what ``check_method`` returns, each check as it ends."""
    passed: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        subjects = [Subject(make, classes, Path(scratch)) for classes in CLASS_COUNTS]
        for check in CHECKS:
            lacking = [name for name in check.after if name not in passed]
            if lacking:
                reason = f"not tried: {lacking[0]!r} did not pass"
                outcome = Outcome(check.name, None, reason)
            else:
                outcome = _outcome(check, subjects)
            if outcome.passed:
                passed.add(check.name)
            yield outcome


def _outcome(check: Check, subjects: Sequence[Subject]) -> Outcome:
    for subject in subjects:
        try:
            with _global_state_restored():
                reason = check.function(subject)
        except NotTried as skipped:
            return Outcome(check.name, None, f"not tried: {skipped}")
        except Exception as error:  # a plugin may fail in any way at all
            reason = f"{type(error).__name__}: {error}"
        if reason:
            line = " ".join(reason.split())
            plural = "class" if subject.classes == 1 else "classes"
            return Outcome(check.name, False, f"with {subject.classes} {plural}: {line}")
    return Outcome(check.name, True, "")


class NotTried(Exception):
    """Raised by a check that cannot be made on this machine."""


# What the method says of itself


def supervision_is_stated(subject: Subject) -> str:
    """A paper with title, venue and reference; a method that sees saliency says I+S."""
    method = subject.make()
    paper = method.paper
    if not (paper.title and paper.venue and paper.reference):
        return f"the paper lacks a title, a venue or a reference: {paper}"
    if method.needs_saliency and method.supervision != "I+S":
        return f"it needs saliency, yet its supervision is {method.supervision!r}, not 'I+S'"
    return ""


def network_builds(subject: Subject) -> str:
    """``network`` returns a module that keeps the backbone as ``backbone``."""
    _, network = subject.build()
    if not isinstance(network, nn.Module):
        return f"network() returned a {type(network).__name__}, not a torch module"
    if not isinstance(getattr(network, "backbone", None), nn.Module):
        return "the network has no attribute 'backbone'"
    return ""


def networks_share_nothing(subject: Subject) -> str:
    """Two networks have no parameter and no buffer in common."""
    (_, one), (_, two) = subject.build(), subject.build()
    memory = {tensor.data_ptr() for tensor in one.state_dict().values()}
    for name, tensor in two.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in memory:
            return f"two networks share {name}"
    return ""


# Attention


def attention_shape(subject: Subject) -> str:
    """Attention is (B, C, h, w), of floating point."""
    maps = _attention(subject, subject.batch())
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        return f"attention is {_kind(maps)}, not a tensor of floating point"
    if maps.ndim != 4 or maps.shape[:2] != (3, subject.classes) or not maps.numel():
        return f"attention has shape {tuple(maps.shape)}, not (3, {subject.classes}, h, w)"
    return ""


def attention_range(subject: Subject) -> str:
    """Attention is finite, and after what ``inference`` normalises in [0, 1]."""
    method, network = subject.build()
    own = infer(method, network, subject.batch())["attention"]
    if not bool(torch.isfinite(own).all()):
        return "attention is not finite"
    maps = fuse([own], method.inference())
    if not bool((maps >= 0).all()):
        return f"attention falls to {float(maps.min()):.3g}, below 0"
    if not bool((maps <= 1).all()):
        return f"attention rises to {float(maps.max()):.3g}, above 1"
    return ""


def absent_classes_have_no_attention(subject: Subject) -> str:
    """The maps of classes that an image does not hold are exactly 0."""
    batch = subject.batch()
    absent = _attention(subject, batch)[batch.labels == 0]
    if not bool((absent == 0).all()):
        return f"the map of an absent class reaches {float(absent.abs().max()):.3g}"
    return ""


def images_without_a_class_have_no_attention(subject: Subject) -> str:
    """An image without any class, alone or beside others, has maps of 0."""
    for batch in _with_unlabelled(subject):
        maps = _attention(subject, batch)[-1]
        if not bool((maps == 0).all()):
            return f"its maps reach {float(maps.abs().max()):.3g}"
    return ""


def images_need_not_be_square(subject: Subject) -> str:
    """Wide images give wide maps, tall ones tall maps."""
    for height, width in ((32, 56), (56, 32)):
        found = infer(*subject.build(), subject.batch(height, width))
        for name, maps in found.items():
            if name != "class scores" and (maps.shape[-2] < maps.shape[-1]) != (height < width):
                cells = tuple(maps.shape[-2:])
                return f"images of {height}x{width} pixels give {name} of {cells} cells"
    return ""


# Background


def background_shape(subject: Subject) -> str:
    """The background map, if there is one, is (B, h, w)."""
    background = _background(subject)
    if background is None:
        return ""
    if not isinstance(background, Tensor) or not background.is_floating_point():
        return f"background is {_kind(background)}, not a tensor of floating point"
    if background.ndim != 3 or len(background) != 3 or not background.numel():
        return f"background has shape {tuple(background.shape)}, not (3, h, w)"
    return ""


def background_range(subject: Subject) -> str:
    """The background map lies in [0, 1]."""
    background = _background(subject)
    if background is not None and not bool(((background >= 0) & (background <= 1)).all()):
        low, high = float(background.min()), float(background.max())
        return f"background leaves [0, 1]: {low:.3g} to {high:.3g}"
    return ""


# The classifier


def class_scores_are_finite(subject: Subject) -> str:
    """Class scores are (B, C) and finite, with no label given."""
    method, network = subject.build()
    batch = subject.batch()
    network.eval()
    with torch.no_grad():
        scores = method.class_scores(network, batch.images, batch.saliency)
    if scores.shape != (3, subject.classes):
        return f"class scores have shape {tuple(scores.shape)}, not (3, {subject.classes})"
    return "" if bool(torch.isfinite(scores).all()) else "class scores are not finite"


# Losses


def losses_are_finite_scalars(subject: Subject) -> str:
    """``losses`` returns named scalars, all finite."""
    method, network = subject.build()
    return _loss_fault(method.losses(network.train(), subject.batch()))


def losses_need_no_class(subject: Subject) -> str:
    """The losses are finite where an image holds no class."""
    for batch in _with_unlabelled(subject):
        method, network = subject.build()
        if fault := _loss_fault(method.losses(network.train(), batch)):
            return fault
    return ""


def gradient_reaches_the_backbone(subject: Subject) -> str:
    """The sum of the losses has a finite gradient, not 0 everywhere, in a trained backbone."""
    method, network = subject.build()
    total(method.losses(network.train(), subject.batch())).backward()
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all()):
            return f"the gradient of {name} is not finite"
    trained = [one for one in network.backbone.parameters() if one.requires_grad]
    found = [parameter.grad for parameter in trained]
    if trained and not any(gradient is not None and bool(gradient.any()) for gradient in found):
        return "no gradient reaches the backbone"
    return ""


# What must not matter, and what must not change


def batch_size_does_not_matter(subject: Subject) -> str:
    """At inference an image gives the same alone as beside others."""
    method, network = subject.build()
    together = infer(method, network, subject.batch())
    for image in range(3):
        alone = infer(method, network, part(subject.batch(), image))
        for name, values in alone.items():
            distance = float((together[name][image] - values[0]).abs().max())
            if not distance <= TOLERANCE:
                return f"{name} of an image alone and in a batch differ by {distance:.3g}"
    return ""


def inference_repeats(subject: Subject) -> str:
    """Asked twice, the network gives the same; so no labels are remembered."""
    method, network = subject.build()
    first, second = (infer(method, network, subject.batch()) for _ in range(2))
    name = _first_difference(first, second)
    return f"{name} differ when asked a second time" if name else ""


def inference_leaves_the_network_alone(subject: Subject) -> str:
    """Inference changes no weight, no statistic, no gradient and no training mode."""
    method, network = subject.build()
    network.zero_grad(set_to_none=True)
    before = weights(network)
    infer(method, network, subject.batch())
    if name := _first_difference(before, weights(network)):
        return f"inference changes {name}"
    for name, module in network.named_modules():
        if module.training:
            return f"inference puts {name or 'the network'} into training mode"
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            return f"inference leaves a gradient in {name}"
    return ""


def inputs_stay_as_they_are(subject: Subject) -> str:
    """No image, label or saliency map given is written to."""
    method, network = subject.build()
    batch = subject.batch()
    infer(method, network, batch)
    method.losses(network.train(), batch)
    given = subject.batch()
    for name in ("images", "labels", "saliency"):
        before, after = getattr(given, name), getattr(batch, name)
        if before is not None and not torch.equal(before, after):
            return f"the {name} given are written to"
    return ""


def inference_draws_no_random_number(subject: Subject) -> str:
    """Inference leaves torch's random state as it was."""
    method, network = subject.build()
    before = torch.get_rng_state()
    infer(method, network, subject.batch())
    changed = not torch.equal(before, torch.get_rng_state())
    return "inference changes torch's random state" if changed else ""


def random_numbers_come_from_torch_alone(subject: Subject) -> str:
    """NumPy's and Python's global generators, which no checkpoint keeps, are not used."""
    before = repr(np.random.get_state()), random.getstate()
    method, network = subject.build()
    method.losses(network.train(), subject.batch())
    infer(method, network, subject.batch())
    after = repr(np.random.get_state()), random.getstate()
    for name, old, new in zip(("NumPy's", "Python's"), before, after, strict=True):
        if old != new:
            return f"it draws from {name} global random generator"
    return ""


def global_settings_stay(subject: Subject) -> str:
    """Default type, gradient mode, deterministic algorithms and threads stay as they were."""
    before = _settings()
    method, network = subject.build()
    method.losses(network.train(), subject.batch())
    if fault := _changed_setting(before):
        return fault
    network.eval()
    batch = subject.batch()
    with torch.no_grad():
        before = _settings()
        _infer(method, network, batch)
        return _changed_setting(before)


def training_is_deterministic(subject: Subject) -> str:
    """Under one seed two builds, their losses and one training step are equal bit for bit."""
    runs = []
    for _ in range(2):
        method, network = subject.build()
        built = weights(network)
        torch.manual_seed(4)
        losses = method.losses(network.train(), subject.batch())
        optimiser = build_optimiser(network, method.training())
        total(losses).backward()
        optimiser.step()
        found = {name: loss.detach().clone() for name, loss in losses.items()}
        runs.append((built, found, weights(network)))
    one, two = runs
    for what, first, second in zip(("initial", "loss", "after one step"), one, two, strict=True):
        if name := _first_difference(first, second):
            return f"two runs under one seed differ ({what}: {name})"
    return ""


def saved_weights_give_the_same_maps(subject: Subject) -> str:
    """Weights written as safetensors and loaded into another network give the same maps."""
    method, network = subject.build()
    path = subject.scratch / "saved.safetensors"
    save_state_dict(path, network.state_dict())
    other_method, other = subject.build(seed=5)
    other.load_state_dict(load_state_dict(path))
    first = infer(method, network, subject.batch())
    name = _first_difference(first, infer(other_method, other, subject.batch()))
    return f"{name} differ after saving: something is no weight and no buffer" if name else ""


# Training for real


def fit_trains(subject: Subject) -> str:
    """``fit`` with the real trainer, a few steps on six images, changes weights, all finite."""
    _, network = subject.build()
    _, _, trained = subject.fitted
    if not _first_difference(weights(network), trained):
        return "fit() changed no weight"
    for name, tensor in trained.items():
        if not bool(torch.isfinite(tensor).all()):
            return f"{name} is not finite after fit()"
    return ""


def fit_is_deterministic(subject: Subject) -> str:
    """A second ``fit`` under the same seed gives the same weights."""
    if device().type != "cpu":
        raise NotTried("on a GPU training is not equal bit for bit")
    _, network = subject.fit(subject.scratch / f"second fit of {subject.classes}")
    name = _first_difference(subject.fitted[2], weights(network))
    return f"two fits under one seed differ in {name}" if name else ""


def finished_fit_resumes(subject: Subject) -> str:
    """``fit`` after a kill at its very end gives the same weights from the same scratch folder."""
    if device().type != "cpu":
        raise NotTried("on a GPU training is not equal bit for bit")
    trained = subject.fitted[2]
    _, network = subject.fit(subject.scratch / f"fit of {subject.classes}")
    name = _first_difference(trained, weights(network))
    return f"fit() once more in the same scratch folder changes {name}" if name else ""


def fitted_maps_are_usable(subject: Subject) -> str:
    """After ``fit``, maps and class scores can be read as the suite reads them."""
    method, network, _ = subject.fitted
    data = subject.images()
    maps, background = attention_maps(method, network, data, SIZE)
    if maps.shape[:2] != data.labels.shape:
        return f"the maps of {data.labels.shape} labels have shape {maps.shape}"
    if background is not None and not ((background >= 0) & (background <= 1)).all():
        return "the background maps leave [0, 1]"
    scores = class_scores(method, network, data, SIZE, batch=4)
    return "" if np.isfinite(scores).all() else "class scores are not finite"


def fitted_weights_give_the_same_maps(subject: Subject) -> str:
    """What ``fit`` learned is all in the weights and buffers."""
    method, network, _ = subject.fitted
    path = subject.scratch / "fitted.safetensors"
    save_state_dict(path, network.state_dict())
    other_method, other = subject.build(seed=5)
    other.load_state_dict(load_state_dict(path))
    first = infer(method, network.cpu(), subject.batch())
    network.to(device())
    name = _first_difference(first, infer(other_method, other, subject.batch()))
    return f"{name} after fit() differ after saving and loading" if name else ""


def runs_on_a_gpu(subject: Subject) -> str:
    """Losses and maps of a network on a GPU stay there."""
    if not accelerators():
        raise NotTried("no GPU here")
    for place in accelerators():
        method, network = subject.build()
        network.to(place)
        batch = _moved(subject.batch(), place)
        losses = method.losses(network.train(), batch)
        total(losses).backward()
        for name, values in (losses | infer(method, network, batch)).items():
            if values.device.type != place.type:
                return f"{name} of a network on {place} lie on {values.device}"
    return ""


def accelerators() -> list[torch.device]:
    """Return the GPU where there is one."""
    return [torch.device("cuda")] if torch.cuda.is_available() else []


CHECKS = (
    Check(supervision_is_stated),
    Check(network_builds),
    Check(networks_share_nothing, ("network builds",)),
    Check(attention_shape, ("network builds",)),
    Check(attention_range, ("attention shape",)),
    Check(absent_classes_have_no_attention, ("attention shape",)),
    Check(images_without_a_class_have_no_attention, ("absent classes have no attention",)),
    Check(background_shape, ("network builds",)),
    Check(background_range, ("background shape",)),
    Check(class_scores_are_finite, ("network builds",)),
    Check(losses_are_finite_scalars, ("network builds",)),
    Check(losses_need_no_class, ("losses are finite scalars",)),
    Check(gradient_reaches_the_backbone, ("losses are finite scalars",)),
    *(
        Check(function, ("attention shape", "background shape", "class scores are finite"))
        for function in (
            images_need_not_be_square,
            inference_repeats,
            inference_leaves_the_network_alone,
            inference_draws_no_random_number,
            saved_weights_give_the_same_maps,
        )
    ),
    Check(batch_size_does_not_matter, ("inference repeats", "attention range")),
    *(
        Check(function, ("attention shape", "background shape", "losses are finite scalars"))
        for function in (
            inputs_stay_as_they_are,
            random_numbers_come_from_torch_alone,
            global_settings_stay,
        )
    ),
    Check(training_is_deterministic, ("networks share nothing", "losses are finite scalars")),
    Check(fit_trains, ("losses are finite scalars",)),
    Check(fit_is_deterministic, ("fit trains", "training is deterministic")),
    Check(finished_fit_resumes, ("fit is deterministic",)),
    Check(
        fitted_maps_are_usable,
        ("fit trains", "attention range", "background range", "class scores are finite"),
    ),
    Check(fitted_weights_give_the_same_maps, ("fit trains", "saved weights give the same maps")),
    Check(runs_on_a_gpu, ("attention shape", "losses are finite scalars")),
)


# What the checks share


def infer(method: Method, network: Any, batch: Batch) -> dict[str, Tensor]:
    """Return class scores, attention and background (if any), as at inference."""
    network.eval()
    with torch.no_grad():
        return _infer(method, network, batch)


def _infer(method: Method, network: Any, batch: Batch) -> dict[str, Tensor]:
    found: dict[str, Tensor | None] = {
        "class scores": method.class_scores(network, batch.images, batch.saliency),
        "attention": method.attention(network, batch),
        "background": method.background(network, batch),
    }
    return {name: values for name, values in found.items() if values is not None}


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """Return what the trainer minimises."""
    return torch.stack(list(losses.values())).sum()


def weights(network: nn.Module) -> StateDict:
    """Return copies of all weights and buffers, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def part(batch: Batch, image: int) -> Batch:
    """Return one image of a batch as a batch."""
    saliency = None if batch.saliency is None else batch.saliency[image : image + 1]
    return Batch(batch.images[image : image + 1], batch.labels[image : image + 1], saliency)


def _attention(subject: Subject, batch: Batch) -> Tensor:
    method, network = subject.build()
    network.eval()
    with torch.no_grad():
        return method.attention(network, batch)


def _background(subject: Subject) -> Tensor | None:
    method, network = subject.build()
    network.eval()
    with torch.no_grad():
        return method.background(network, subject.batch())


def _with_unlabelled(subject: Subject) -> list[Batch]:
    """Return two batches whose last image holds no class: beside others, and alone."""
    batch = subject.batch()
    batch.labels[-1] = 0
    return [batch, part(batch, 2)]


def _moved(batch: Batch, place: torch.device) -> Batch:
    saliency = None if batch.saliency is None else batch.saliency.to(place)
    return Batch(batch.images.to(place), batch.labels.to(place), saliency)


def _kind(value: object) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _loss_fault(losses: Any) -> str:
    if not isinstance(losses, dict) or not losses:
        return f"losses() returned {_kind(losses)}, not a mapping with a loss in it"
    for name, loss in losses.items():
        if not isinstance(loss, Tensor) or loss.ndim:
            shape = tuple(loss.shape) if isinstance(loss, Tensor) else _kind(loss)
            return f"the loss {name!r} is no scalar tensor: {shape}"
        if not bool(torch.isfinite(loss)):
            return f"the loss {name!r} is {float(loss.detach())}"
    return ""


def _first_difference(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> str:
    """Return the first name under which both do not hold equal tensors, "" if there is none."""
    for name in (*one, *two):
        if name not in one or name not in two or not _equal(one[name], two[name]):
            return name
    return ""


def _equal(one: Tensor, two: Tensor) -> bool:
    """Equal bit for bit; nan equals nan, so that a nan fails the checks of ranges alone."""
    same_shape = one.shape == two.shape
    return same_shape and bool(((one == two) | (one.isnan() & two.isnan())).all())


def _settings() -> dict[str, Any]:
    return {
        "default type": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "cuDNN's benchmark mode": torch.backends.cudnn.benchmark,
        "cuDNN's deterministic mode": torch.backends.cudnn.deterministic,
        "number of threads": torch.get_num_threads(),
    }


def _changed_setting(before: Mapping[str, Any]) -> str:
    for name, value in _settings().items():
        if value != before[name]:
            return f"it changes torch's {name} from {before[name]} to {value}"
    return ""


@contextmanager
def _global_state_restored() -> Iterator[None]:
    """Undo what a method does to global state, so that one fault fails one check."""
    before = _settings()
    numpy_state, python_state, torch_state = (
        np.random.get_state(),
        random.getstate(),
        torch.get_rng_state(),
    )
    try:
        yield
    finally:
        torch.set_default_dtype(before["default type"])
        torch.set_grad_enabled(before["gradient mode"])
        torch.use_deterministic_algorithms(before["deterministic mode"])
        torch.backends.cudnn.benchmark = before["cuDNN's benchmark mode"]
        torch.backends.cudnn.deterministic = before["cuDNN's deterministic mode"]
        torch.set_num_threads(before["number of threads"])
        np.random.set_state(numpy_state)
        random.setstate(python_state)
        torch.set_rng_state(torch_state)
