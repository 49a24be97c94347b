"""What a method answers: its paper, maps, scores and losses have the shapes and ranges agreed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmark.attention import fuse
from benchmark.conformance.faults import kind, loss_fault
from benchmark.conformance.subject import (
    Subject,
    attention_of,
    background_of,
    infer,
    total,
    with_unlabelled,
)


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


def attention_shape(subject: Subject) -> str:
    """Attention is (B, C, h, w), of floating point."""
    maps = attention_of(subject, subject.batch())
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        return f"attention is {kind(maps)}, not a tensor of floating point"
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
    absent = attention_of(subject, batch)[batch.labels == 0]
    if not bool((absent == 0).all()):
        return f"the map of an absent class reaches {float(absent.abs().max()):.3g}"
    return ""


def images_without_a_class_have_no_attention(subject: Subject) -> str:
    """An image without any class, alone or beside others, has maps of 0."""
    for batch in with_unlabelled(subject):
        maps = attention_of(subject, batch)[-1]
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


def background_shape(subject: Subject) -> str:
    """The background map, if there is one, is (B, h, w)."""
    background = background_of(subject)
    if background is None:
        return ""
    if not isinstance(background, Tensor) or not background.is_floating_point():
        return f"background is {kind(background)}, not a tensor of floating point"
    if background.ndim != 3 or len(background) != 3 or not background.numel():
        return f"background has shape {tuple(background.shape)}, not (3, h, w)"
    return ""


def background_range(subject: Subject) -> str:
    """The background map lies in [0, 1]."""
    background = background_of(subject)
    if background is not None and not bool(((background >= 0) & (background <= 1)).all()):
        low, high = float(background.min()), float(background.max())
        return f"background leaves [0, 1]: {low:.3g} to {high:.3g}"
    return ""


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


def losses_are_finite_scalars(subject: Subject) -> str:
    """``losses`` returns named scalars, all finite."""
    method, network = subject.build()
    return loss_fault(method.losses(network.train(), subject.batch()))


def losses_need_no_class(subject: Subject) -> str:
    """The losses are finite where an image holds no class."""
    for batch in with_unlabelled(subject):
        method, network = subject.build()
        if fault := loss_fault(method.losses(network.train(), batch)):
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
