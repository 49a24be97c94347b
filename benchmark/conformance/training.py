"""Training for real: repeatable, resumable, all of it in the weights, and on a GPU where one is."""

from __future__ import annotations

import numpy as np
import torch

from benchmark.attention import attention_maps, build_optimiser, class_scores
from benchmark.conformance.faults import first_difference
from benchmark.conformance.subject import SIZE, NotTried, Subject, infer, total, weights
from benchmark.device import device
from benchmark.method import Batch
from benchmark.weights import load_state_dict, save_state_dict


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
        if name := first_difference(first, second):
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
    name = first_difference(first, infer(other_method, other, subject.batch()))
    return f"{name} differ after saving: something is no weight and no buffer" if name else ""


def fit_trains(subject: Subject) -> str:
    """``fit`` with the real trainer, a few steps on six images, changes weights, all finite."""
    _, network = subject.build()
    _, _, trained = subject.fitted
    if not first_difference(weights(network), trained):
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
    name = first_difference(subject.fitted[2], weights(network))
    return f"two fits under one seed differ in {name}" if name else ""


def finished_fit_resumes(subject: Subject) -> str:
    """``fit`` after a kill at its very end gives the same weights from the same scratch folder."""
    if device().type != "cpu":
        raise NotTried("on a GPU training is not equal bit for bit")
    trained = subject.fitted[2]
    _, network = subject.fit(subject.scratch / f"fit of {subject.classes}")
    name = first_difference(trained, weights(network))
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
    name = first_difference(first, infer(other_method, other, subject.batch()))
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


def _moved(batch: Batch, place: torch.device) -> Batch:
    saliency = None if batch.saliency is None else batch.saliency.to(place)
    return Batch(batch.images.to(place), batch.labels.to(place), saliency)
