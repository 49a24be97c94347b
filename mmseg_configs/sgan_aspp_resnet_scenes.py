"""SGAN's segmentation losses on a ResNet-18 of a quarter of the channels, for the scenes."""

_base_ = ["sgan_aspp_vgg16_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeepLabBackbone",
        name="resnet",
        depth=18,
        base_channels=16,
        output_stride=8,
    ),
    decode_head=dict(in_channels=128, direct=True),
)
# From random weights: one rate for the backbone and the head.
optim_wrapper = dict(
    optimizer=dict(lr=3e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=1.0))),
)
