"""What must not matter to a method, and what it must not change."""

from __future__ import annotations

import random

import numpy as np
import torch

from benchmark.conformance.faults import first_difference
from benchmark.conformance.global_state import changed_setting, settings
from benchmark.conformance.subject import Subject, infer, outputs, part, weights

TOLERANCE = 1e-4
"""Between an image's maps in a batch and alone: convolutions sum in another order there."""


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
    name = first_difference(first, second)
    return f"{name} differ when asked a second time" if name else ""


def inference_leaves_the_network_alone(subject: Subject) -> str:
    """Inference changes no weight, no statistic, no gradient and no training mode."""
    method, network = subject.build()
    network.zero_grad(set_to_none=True)
    before = weights(network)
    infer(method, network, subject.batch())
    if name := first_difference(before, weights(network)):
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
    before = settings()
    method, network = subject.build()
    method.losses(network.train(), subject.batch())
    if fault := changed_setting(before):
        return fault
    network.eval()
    batch = subject.batch()
    with torch.no_grad():
        before = settings()
        outputs(method, network, batch)
        return changed_setting(before)
