"""MMEngine's optimiser wrapper in mixed precision."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from torch import nn

from benchmark import device as device_module
from benchmark.segmentation.mixed_precision import MixedPrecisionWrapper
from benchmark.segmentation.training import _in_mixed_precision


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_layers_compute_as_fast_as_they_can_and_weights_stay_float32(
    monkeypatch: pytest.MonkeyPatch, fast: bool, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(device_module, "has_fast_bfloat16", lambda: fast)
    model = nn.Conv2d(2, 3, 1, bias=False)
    before = model.weight.detach().clone()
    wrapper = MixedPrecisionWrapper(optimizer=torch.optim.SGD(model.parameters(), 0.5))
    images = torch.ones(1, 2, 4, 4)
    with wrapper.optim_context(model):
        scores = model(images)
    assert scores.dtype == dtype
    wrapper.update_params(scores.float().mean())
    assert model.weight.dtype == torch.float32
    # The mean of 3 maps: every weight's gradient is a third.
    torch.testing.assert_close(model.weight.detach(), before - 0.5 / 3, atol=1e-3, rtol=0)


def test_only_the_plain_wrapper_is_replaced() -> None:
    sgd = {"type": "SGD", "lr": 0.1}
    plain = Config({"optim_wrapper": {"type": "OptimWrapper", "optimizer": sgd}})
    ours = {"type": "MixedPrecisionWrapper", "optimizer": sgd}
    assert _in_mixed_precision(plain) == {**ours, "precision": "auto"}
    amp = Config({"optim_wrapper": {"type": "AmpOptimWrapper", "optimizer": sgd}})
    assert _in_mixed_precision(amp) is amp.optim_wrapper


def test_a_config_may_ask_for_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = {"type": "OptimWrapper", "optimizer": {"type": "SGD", "lr": 0.1}}
    settings = _in_mixed_precision(Config({"optim_wrapper": wrapper, "precision": "float32"}))
    assert settings["precision"] == "float32"
    monkeypatch.setattr(device_module, "has_fast_bfloat16", lambda: True)
    model = nn.Conv2d(2, 3, 1)
    made = MixedPrecisionWrapper(
        optimizer=torch.optim.SGD(model.parameters(), 0.5), precision=settings["precision"]
    )
    with made.optim_context(model):
        assert model(torch.ones(1, 2, 4, 4)).dtype == torch.float32
