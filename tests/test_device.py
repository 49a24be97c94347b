"""Where bfloat16 is used, and that it changes little."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from benchmark import device as device_module
from benchmark.backbones import build_backbone
from benchmark.device import full_precision, has_fast_bfloat16, mixed_precision
from benchmark.executor import execute
from benchmark.method import Batch, Head, Precision
from benchmark.progress import SilentProgress
from benchmark.registry import build_method
from benchmark.seeding import is_deterministic
from benchmark.store import Stage, Store, Workspace

HEAD = Head(width=0.125, init_gain=4.0)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16"])
def test_a_cpu_with_its_own_instructions_is_fast(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: False})
    assert not has_fast_bfloat16()
    assert isinstance(mixed_precision(), nullcontext)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, name: True})
    assert has_fast_bfloat16()
    assert isinstance(mixed_precision(), torch.autocast)
    assert isinstance(mixed_precision("float32"), nullcontext)


def test_only_bfloat16_is_raised() -> None:
    values = [0.1, 1.0, 3.0]
    raised = full_precision(torch.tensor(values, dtype=torch.bfloat16))
    assert raised.dtype == torch.float32
    torch.testing.assert_close(raised, torch.tensor(values), atol=0.01, rtol=0.01)
    for dtype in (torch.float32, torch.float64):
        plain = torch.tensor(values, dtype=dtype)
        assert full_precision(plain) is plain


def gradients(
    method_name: str, precision: Precision, step: int
) -> tuple[float, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    method = build_method(method_name, {})
    backbone = build_backbone("vgg16", width=0.125, output_stride=8)
    network: nn.Module = method.network(backbone, 3, HEAD)
    for parameter in network.parameters():
        if parameter.ndim == 0:  # the share of SGAN's attention, which begins with none
            parameter.data.fill_(0.5)
    images = torch.randn(2, 3, 48, 48)
    labels = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    seeds = torch.randint(-1, 3, (2, 48, 48))
    batch = Batch(images, labels, torch.rand(2, 48, 48), seeds, step)
    with mixed_precision(precision):
        losses = method.losses(network, batch)
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    total = torch.stack(list(losses.values())).sum()
    total.backward()
    found = {n: p.grad for n, p in network.named_parameters() if p.grad is not None}
    assert all(one.dtype == torch.float32 for one in found.values())
    return float(total.detach()), found


METHODS = ["acol", "ae", "cam", "dcsp", "dsna", "eader", "gain", "psa", "seenet", "sec", "sgan"]


@pytest.mark.parametrize(
    ("method_name", "step"),
    [*((name, 0) for name in METHODS), ("eader", 200)],  # 200: the adversary's turn
)
def test_losses_and_gradients_agree_with_float32(
    monkeypatch: pytest.MonkeyPatch, method_name: str, step: int
) -> None:
    """bfloat16 keeps 8 bits: a relative error of 0.4 % an operation, over some 15 layers."""
    monkeypatch.setattr(device_module, "has_fast_bfloat16", lambda: True)
    loss, found = gradients(method_name, "auto", step)
    expected_loss, expected = gradients(method_name, "float32", step)
    assert loss == pytest.approx(expected_loss, rel=0.01)
    assert found.keys() == expected.keys()  # no weight is left out of the graph
    one, other = (torch.cat([g.flatten() for g in all_.values()]) for all_ in (found, expected))
    assert not torch.equal(one, other)  # it is another arithmetic
    assert nn.functional.cosine_similarity(one, other, dim=0) > 0.9


@pytest.mark.parametrize(("value", "wanted"), [("1", True), ("0", False), ("", False)])
def test_stages_use_deterministic_algorithms_where_the_environment_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, wanted: bool
) -> None:
    monkeypatch.setenv("WSSS_DETERMINISTIC", value)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    assert is_deterministic() == wanted
    found = []

    def attention(work: Workspace) -> dict[str, int]:
        found.append(torch.are_deterministic_algorithms_enabled())
        return {}

    stage = Stage("attention", {}, label="attention")
    try:
        records = execute(
            [stage],
            Store(tmp_path / "store"),
            {"attention": attention},
            SilentProgress(),
            announce=print,
        )
    finally:
        torch.use_deterministic_algorithms(False)
    assert found == [wanted]
    assert (records[stage.key].environment["deterministic"] == "asked for") == wanted
