"""DeepLab-LargeFOV on a ResNet-18 of a quarter of the channels, for the generated scenes."""

_base_ = ["deeplab_largefov_vgg16_scenes.py"]

model = dict(
    backbone=dict(
        _delete_=True,
        type="DeepLabBackbone",
        name="resnet",
        depth=18,
        base_channels=16,
        output_stride=8,
    ),
    decode_head=dict(in_channels=128),
)
# Batch norms bear one high rate for the backbone and the head.
optim_wrapper = dict(
    optimizer=dict(lr=3e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=1.0))),
)
