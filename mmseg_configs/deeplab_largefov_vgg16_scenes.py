"""DeepLab-LargeFOV on a VGG-16 of a quarter of the channels, for the generated scenes."""

_base_ = [
    "_base_/runtime.py",
    "_base_/largefov_vgg16.py",
    "_base_/scenes.py",
    "_base_/sgd.py",
]

model = dict(
    data_preprocessor=dict(size=(97, 97)),
    backbone=dict(width=0.25, frozen_blocks=2),
    # On a map of 13x13 cells a dilation of 12 would read little but the border.
    decode_head=dict(in_channels=128, channels=256, dilation=6, dropout=0.1, label_stride=4),
)
# Without batch norm and with few iterations SGD does not leave the class frequencies.
optim_wrapper = dict(
    _delete_=True,
    type="OptimWrapper",
    optimizer=dict(type="AdamW", fused=True, lr=3e-4, weight_decay=1e-3),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=5.0))),
)
default_hooks = dict(checkpoint=dict(interval=200))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=450, val_interval=450)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.03, begin=0, end=30, by_epoch=False),
    dict(type="PolyLR", power=0.9, eta_min=0.0, begin=30, end=450, by_epoch=False),
]
