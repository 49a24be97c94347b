"""LargeFOV on an ImageNet MobileNetV2, for real images on a CPU or a small GPU.

The first blocks keep their ImageNet weights, so that no gradient passes the large maps.
"""

_base_ = [
    "_base_/runtime.py",
    "_base_/largefov_vgg16.py",
    "_base_/voc12.py",
    "_base_/sgd.py",
]

model = dict(
    data_preprocessor=dict(size=(193, 193)),
    backbone=dict(
        _delete_=True,
        type="DeepLabBackbone",
        name="mobilenet_v2",
        output_stride=16,
        last_conv=False,
        frozen_blocks=14,
        norm_eval=True,
    ),
    # At stride 16 a dilation of 6 reaches as far as 12 at stride 8.
    decode_head=dict(in_channels=320, channels=128, dilation=6, label_stride=4),
)
train_dataloader = dict(
    batch_size=10,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(augmentation=dict(crop_size=(193, 193), scale_range=(0.75, 1.25)), memory_mb=256),
)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
# With few iterations SGD does not leave the class frequencies.
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", fused=True, lr=3e-4, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=5.0))),
)
default_hooks = dict(checkpoint=dict(interval=50))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=350, val_interval=350)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.03, begin=0, end=20, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=20, end=350, by_epoch=False),
]
