"""The schedules of trainings that are another paper's network for another time."""

from __future__ import annotations

from typing import Any

from benchmark.configs import config_path
from benchmark.segmentation.networks import load_config

IMAGES = 10_582


def config(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load_config(config_path(name)).to_dict()
    return found


def test_dsnas_schedule_alone_is_its_own() -> None:
    own, general = (config(f"{of}_largefov_vgg16_voc12.py") for of in ("dsna", "deeplab"))
    differing = {key for key in own if own[key] != general[key]}
    assert differing == {"train_cfg", "param_scheduler"}


def test_dsna_trains_for_12_epochs_and_drops_its_rate_after_8() -> None:
    """arXiv:1803.02563, Sec. IV-A; 20 images a step."""
    own = config("dsna_largefov_vgg16_voc12.py")
    assert own["train_dataloader"]["batch_size"] == 20
    assert own["optim_wrapper"]["optimizer"]["lr"] == 1e-3
    assert own["train_cfg"]["max_iters"] == round(12 * IMAGES / 20)
    (schedule,) = own["param_scheduler"]
    assert (schedule["type"], schedule["gamma"]) == ("MultiStepLR", 0.1)
    assert schedule["milestones"] == [round(8 * IMAGES / 20)]


def test_dcsp_trains_as_its_released_code_does() -> None:
    """dcsp_segmentation: batch 10, rate 1e-3, 10,000 iterations, poly; one scale and one loss."""
    own = config("dcsp_aspp_resnet101_voc12.py")
    assert own["train_dataloader"]["batch_size"] == 10
    assert own["train_cfg"]["max_iters"] == 10_000
    assert own["optim_wrapper"]["optimizer"]["lr"] == 1e-3
    (schedule,) = own["param_scheduler"]
    assert (schedule["type"], schedule["power"], schedule["end"]) == ("PolyLR", 0.9, 10_001)
    general = config("deeplab_aspp_resnet101_voc12.py")
    assert own["model"] == {
        **{key: value for key, value in general["model"].items() if key != "scales"},
        "type": "EncoderDecoder",
    }
    assert own["train_dataloader"] == general["train_dataloader"]
    assert own["optim_wrapper"]["paramwise_cfg"] == general["optim_wrapper"]["paramwise_cfg"]


def test_dsrgs_second_training_is_deeplabs_own() -> None:
    """DSRG's solver of stage f: batch 10, crop 321, 20,000 iterations, rate 1e-3, poly 0.9."""
    from benchmark.profiles import load_profile

    family = load_profile("paper").segmentation["dsrg_aspp_vgg16"]
    assert family.retraining is not None
    second = config(family.retraining)
    assert second["train_dataloader"]["batch_size"] == 10
    assert second["train_dataloader"]["dataset"]["augmentation"]["crop_size"] == (321, 321)
    assert second["train_cfg"]["max_iters"] == 20_000
    assert second["optim_wrapper"]["optimizer"]["lr"] == 1e-3
    (schedule,) = second["param_scheduler"]
    assert (schedule["type"], schedule["power"]) == ("PolyLR", 0.9)
    assert second["model"]["type"] == "EncoderDecoder"  # plain cross-entropy, no cues
    first = config(family.config)
    for part in ("backbone", "decode_head"):  # so that it goes on from the first one's weights
        assert second["model"][part] == first["model"][part]
